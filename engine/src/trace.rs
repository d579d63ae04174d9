//! A trace while it runs.

use crate::distance::{Distance, distance};
use crate::driver::{Driver, Step};
use crate::error::Fault;
use crate::extensions::OwnedExtensions;
use crate::job::Job;
use crate::link::{Clocks, Link, SocketKind};
use crate::memory::Memory;
use crate::pace::Pace;
use crate::protocol::Probes;
use crate::route::{HostReply, Route};
use crate::running::{Endurance, Running};
use crate::settings::{self, ProbeSettings};
use crate::shared::{Head, Sample};
use crate::summary::{Reasons, Summary};
use crate::trace_id::TraceId;
use hopshot_core::wire::AddressFamily;
use hopshot_core::{Config, Instant, ProbeId, Reply};
use std::fmt;
use std::net::{IpAddr, SocketAddr};
use std::time::SystemTime;

/// A trace among those of a driver, and what the driver doesn't know of it.
pub(crate) struct Begun {
    pub(crate) id: TraceId,
    host: String,
    pub(crate) target: IpAddr,
    pub(crate) source: IpAddr,
    /// Its probes; their flow may be another one than was asked for.
    pub(crate) probes: Probes,
    started: SystemTime,
    start: Instant,
    memory: Memory,
    /// What is known of a host of a list.
    pub(crate) listed: Option<Listed>,
    /// Whether it began farther out than at hop 1, because the hops before are known.
    pub(crate) has_head: bool,
    /// Whether each probe is of another flow.
    has_many_flows: bool,
}

/// A host of a list.
pub(crate) struct Listed {
    pub(crate) address: SocketAddr,
    /// How often its trace was run before.
    pub(crate) reruns: u8,
    /// Where its vote on the nearest hops goes, if it has one.
    pub(crate) sample: Option<Sample>,
    /// Whether it shows if an outage that has ended the list is over.
    pub(crate) is_trial: bool,
}

impl Begun {
    /// Gives a driver a trace.
    pub(crate) fn new<L: Link>(
        settings: &ProbeSettings,
        driver: &mut Driver<L>,
        host: &str,
        address: SocketAddr,
        head: Option<Head>,
        endurance: Endurance,
    ) -> Result<Self, L::Error> {
        let has_head = head.is_some();
        let (target, scope_id) = settings::target(address);
        let random = driver.link.random()?;
        let family = AddressFamily::of(target);
        let probing = settings.probing(family, random)?;
        let own_port = driver
            .own_port(family, settings.protocol)
            .filter(|_| settings.flow.is_none());
        let probing = own_port.map_or(probing, |port| probing.with_flow(port, false));
        let are_whole = driver.socket(family, settings.protocol) == Some(SocketKind::Tcp);
        let sweep = settings
            .config
            .sweep
            .or_else(|| settings.protocol.sweep(are_whole, &settings.memory, target));
        let remembered = settings.memory.exactly(target);
        let is_known = has_head || remembered.is_some();
        let knocks = settings.protocol.knocks() && settings.config.sweep.is_none();
        let config = Config {
            target,
            sweep,
            ..settings.config
        };
        let has_timeout = settings.has_timeout;
        let (id, source) = driver
            .add(config, probing, scope_id, head, endurance, has_timeout)?
            .ok_or(Fault::Full)?;
        if knocks {
            driver.permit_knock(id, !is_known, remembered);
        }
        let (started, start) = (driver.link.date(), driver.link.now());
        let probes = driver
            .tracer(id)
            .map_or(probing, |tracer| *tracer.protocol());
        let (host, memory) = (host.to_owned(), settings.memory.clone());
        Ok(Self {
            id,
            host,
            target,
            source,
            probes,
            started,
            start,
            memory,
            listed: None,
            has_head,
            has_many_flows: driver.has_many_flows(family, settings.protocol),
        })
    }

    pub(crate) fn host(&self) -> &str {
        &self.host
    }

    pub(crate) const fn start(&self) -> Instant {
        self.start
    }

    /// The flow of its probes, if they have one in common.
    pub(crate) fn flow(&self) -> Option<u16> {
        Some(self.probes.flow()).filter(|_| !self.has_many_flows)
    }

    /// One of its answers, which its driver has handed out.
    pub(crate) fn heard<'a, L: Link>(
        &'a self,
        driver: &'a Driver<L>,
        reply: Reply,
    ) -> HostReply<'a> {
        HostReply {
            host: &self.host,
            target: self.target,
            reply,
            protocol: self.probes.protocol(),
            detour: driver
                .detour(self.id, reply.probe)
                .filter(|_| !self.has_many_flows),
            answer: self.probes.protocol().target_answer(&reply),
            clocks: driver.clocks(self.id, reply.probe),
            extensions: driver.extensions(self.id, reply.probe),
        }
    }

    /// Takes it out of its driver, with what is known now, and learns from it.
    pub(crate) fn finish<L: Link>(self, driver: &mut Driver<L>) -> Option<Route> {
        let Running {
            tracer,
            clocks,
            extensions,
            ports,
            head,
            reasons,
            knock,
            checks,
            ..
        } = driver.remove(self.id)?;
        let spared = head.as_ref().and_then(Head::spared).map(<[_]>::to_vec);
        let config = tracer.config();
        let proxy = checks.proxy(&tracer);
        driver.remember_proxy(self.target, proxy, checks.clears(&tracer));
        let is_checked = checks.are_over || checks.protocol.is_none();
        // From a hop in the middle the first answer may be the target's, and says nothing of its
        // distance.
        if proxy.is_none()
            && is_checked
            && (config.first_hop == 1 || spared.is_some())
            && let Distance::Exactly(distance) = distance(&tracer.route())
        {
            self.memory.learn(config.target, distance);
        }
        let summary = Summary {
            probes_sent: tracer.route().probes_sent() + reasons.knocks + reasons.checks,
            reasons,
            ..self.summary(driver)
        };
        Some(Route {
            summary,
            describe: L::describe,
            tracer,
            knock: knock.answer,
            proxy,
            is_checked,
            shared: spared.unwrap_or_default(),
            has_many_flows: self.has_many_flows,
            clocks,
            extensions,
            ports,
        })
    }

    /// Its result before the first probe.
    pub(crate) fn unsent<L: Link>(
        &self,
        driver: &Driver<L>,
        settings: &ProbeSettings,
    ) -> Result<Route, L::Error> {
        let unsent = Route::unsent::<L>(self.summary(driver), self.probes, settings.config)?;
        Ok(Route {
            has_many_flows: self.has_many_flows,
            ..unsent
        })
    }

    /// The facts of its result, as long as nothing was sent.
    fn summary<L: Link>(&self, driver: &Driver<L>) -> Summary {
        let (family, protocol) = (AddressFamily::of(self.target), self.probes.protocol());
        Summary {
            host: self.host.clone(),
            target: self.target,
            source: self.source,
            protocol,
            socket: driver.socket(family, protocol).unwrap_or(SocketKind::Raw),
            started: self.started,
            duration: driver.link.now().saturating_since(self.start),
            probes_sent: 0,
            reasons: Reasons::default(),
            rejected: driver.rejected(family, protocol),
        }
    }
}

/// A trace that has been started: an iterator of the replies as they come, or, for a loop of one's
/// own, a [`Job`].
pub struct Trace<L: Link> {
    driver: Driver<L>,
    begun: Begun,
    /// The result before the first probe, in place of one that the driver doesn't have. It has it
    /// until the trace is finished, but only this says so without a panic.
    unsent: Route,
}

impl<L: Link> Trace<L> {
    /// Begins to trace an address, which is called `host` in the result. The first probes leave
    /// with [`launch`](Job::launch) or [`advance`](Job::advance), or when the first reply is
    /// asked for. The port has no meaning.
    ///
    /// # Errors
    /// A setting is out of its range, or no route leads to the address.
    pub fn start(
        link: L,
        settings: &ProbeSettings,
        host: &str,
        address: SocketAddr,
    ) -> Result<Self, L::Error> {
        settings.check(AddressFamily::of(address.ip()))?;
        let mut driver = Driver::new(link, settings, Pace::UNBOUND);
        let begun = Begun::new(
            settings,
            &mut driver,
            host,
            address,
            None,
            Endurance::Timeout,
        )?;
        driver.permit_checks(begun.id);
        let unsent = begun.unsent(&driver, settings)?;
        Ok(Self {
            driver,
            begun,
            unsent,
        })
    }

    /// The next answer that has come in and has not been taken yet, by this or as the next item of
    /// the iterator. It never sleeps: for a loop of one's own, after each
    /// [`advance`](Job::advance) or [`work`](Job::work).
    pub fn take_reply(&mut self) -> Option<HostReply<'_>> {
        let (_, reply) = self.driver.take_reply()?;
        Some(self.begun.heard(&self.driver, reply))
    }

    /// The host as it was given: a name or an address.
    #[must_use]
    pub fn host(&self) -> &str {
        &self.begun.host
    }

    /// The target's address.
    #[must_use]
    pub fn target(&self) -> IpAddr {
        self.begun.target
    }

    /// The address that the probes leave from.
    #[must_use]
    pub fn source(&self) -> IpAddr {
        self.begun.source
    }

    /// The flow of its probes: see [`Route::flow`].
    #[must_use]
    pub fn flow(&self) -> Option<u16> {
        self.begun.flow()
    }

    /// The kind of socket that was opened.
    #[must_use]
    pub fn socket(&self) -> SocketKind {
        self.driver
            .socket(
                AddressFamily::of(self.target()),
                self.begun.probes.protocol(),
            )
            .unwrap_or(SocketKind::Raw)
    }

    /// Returns which clocks the RTT of an answered probe is from.
    #[must_use]
    pub fn clocks(&self, probe: ProbeId) -> Clocks {
        self.driver.clocks(self.begun.id, probe)
    }

    /// Returns what the router appended to the answer of a probe.
    #[must_use]
    pub fn extensions(&self, probe: ProbeId) -> &OwnedExtensions {
        self.driver.extensions(self.begun.id, probe)
    }

    /// Returns what is known so far.
    #[must_use]
    pub fn route(&self) -> hopshot_core::RouteView<'_> {
        let tracer = self.driver.tracer(self.begun.id);
        tracer.unwrap_or(&self.unsent.tracer).route()
    }
}

impl<L: Link> Job for Trace<L> {
    type Link = L;
    type Output = Route;

    fn driver(&self) -> &Driver<L> {
        &self.driver
    }

    fn driver_mut(&mut self) -> &mut Driver<L> {
        &mut self.driver
    }

    fn deadline(&self) -> Option<Instant> {
        self.driver.deadline()
    }

    fn work(&mut self) -> Result<Step, L::Error> {
        self.driver.work()
    }

    fn interrupt(&mut self) {
        self.driver.interrupt();
    }

    fn finish(self) -> Route {
        let Self {
            mut driver,
            begun,
            unsent,
        } = self;
        begun.finish(&mut driver).unwrap_or(unsent)
    }
}

impl<L: Link> fmt::Debug for Trace<L> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Trace")
            .field("host", &self.host())
            .field("target", &self.target())
            .field("route", &self.route())
            .finish_non_exhaustive()
    }
}

impl<L: Link> Iterator for Trace<L> {
    type Item = Result<Reply, L::Error>;

    fn next(&mut self) -> Option<Self::Item> {
        loop {
            if let Some((_, reply)) = self.driver.take_reply() {
                return Some(Ok(reply));
            }
            match self.advance(None) {
                Ok(Step::Done) => return self.driver.take_reply().map(|(_, reply)| Ok(reply)),
                Ok(Step::Running | Step::Woken) => {}
                Err(error) => {
                    self.driver.interrupt();
                    return Some(Err(error));
                }
            }
        }
    }
}
