//! The largest packets that a path carries, and where it carries only smaller ones.
//!
//! A sweep with packets as large as the first link carries goes to all hops at once. The router
//! before a link that is too small says so for every hop behind it, and how large packets may be;
//! from the first of these hops on the next sweep goes, with packets of that size; and so on. *k*
//! such links cost *k* + 1 round trips: beside each sweep goes one of packets that are one
//! octet larger, which shows whether that router told the truth.

mod findings;
mod route;
mod search;
mod stuck;
mod trial;

use crate::driver::{Driver, Step};
use crate::extensions::{NONE, OwnedExtensions};
use crate::job::Job;
use crate::link::{Link, SocketKind};
use crate::pace::Pace;
use crate::rejected::Rejected;
use crate::route::Route;
use crate::running::Endurance;
use crate::settings::{self, ProbeSettings, specified};
use crate::summary::{Reasons, Summary};
use crate::trace::Begun;
use findings::findings;
use hopshot_core::wire::AddressFamily;
use hopshot_core::{Hop, Instant, ProbeId, Reply};
pub use route::{MtuRoute, Stretch};
pub use search::Limit;
use search::{Findings, Purpose, Round, Search};
use std::fmt;
use std::net::{IpAddr, SocketAddr};
use std::time::Duration;
pub use trial::Trial;

/// A search for the largest packets that the path to a host carries, while it runs: a [`Job`].
///
/// What a router says is tried if it proves itself ([`Strong`](hopshot_core::Evidence::Strong)),
/// and believed once packets of that size have passed and those one octet larger have not. One that
/// is older than RFC 1191 and names no MTU, or one that names what can't be or what isn't true, is
/// believed that the packet was too big; then usual sizes are tried. Where large packets are
/// answered by nobody, a small one shows whether it is their size, and then usual sizes show which,
/// each beside a smaller one that is answered: silence alone may be loss, or a router that has
/// answered enough. Both leave the MTU known up to the next usual size: [`Limit::less_than`].
pub struct PathMtu<L: Link> {
    driver: Driver<L>,
    settings: ProbeSettings,
    address: SocketAddr,
    /// The MTU of the first link.
    link: u16,
    search: Search,
    round: Round,
    /// The round's trace.
    begun: Option<Begun>,
    /// The one beside it, of another size.
    beside: Option<Begun>,
    /// What the rounds that are over have found.
    found: MtuRoute,
    /// What the last round has seen of the path that is part of no stretch yet.
    aside: Option<Stretch>,
    start: Instant,
    /// The greatest RTT so far.
    slowest: Duration,
    is_interrupted: bool,
    /// The next round, if it can't begin.
    stuck: Option<Stuck>,
}

/// A round that waits to begin.
#[derive(Clone, Copy, Debug)]
struct Stuck {
    round: Round,
    since: Instant,
    /// When it is tried again.
    retry: Instant,
}

impl<L: Link> PathMtu<L> {
    /// Begins a search for the MTU of the path to an address, which is called `host` in the result.
    /// The link must not let probes be fragmented. `first_link` asks it for the MTU of the first
    /// link, in octets, once it is known that there is a route. The search begins with the size
    /// that the settings name, if they name one that the first link carries. The port has no
    /// meaning.
    ///
    /// # Errors
    /// As [`Trace::start`](crate::Trace::start), and those of `first_link`.
    pub fn start(
        link: L,
        settings: &ProbeSettings,
        host: &str,
        address: SocketAddr,
        first_link: impl FnOnce(&mut L, IpAddr, u32) -> Result<u16, L::Error>,
    ) -> Result<Self, L::Error> {
        let address = specified(address);
        let (family, (target, scope_id)) =
            (AddressFamily::of(address.ip()), settings::target(address));
        settings.check(family)?;
        let mut settings = settings.clone();
        // Two traces may run at a time.
        let pace = Pace::every(settings.config.interval, link.now());
        let mut driver = Driver::new(link, &settings, pace);
        // Traces are added after the filter may have been locked.
        driver.expect_many();
        // First: it tells better why there is no route.
        driver.source(target, scope_id, settings.protocol)?;
        let link = first_link(&mut driver.link, target, scope_id)?;
        // The same way for all sizes.
        settings.flow = Some(match settings.flow {
            Some(flow) => flow,
            None => settings.protocol.probes(driver.link.random()?).flow(),
        });
        let search = Search::new(family, settings.config.max_hops);
        let size = settings.size.map_or(link, |size| size.min(link));
        let round = search.begin(size, settings.config.first_hop);
        let summary = Summary {
            host: host.to_owned(),
            target,
            // Until the first trace has begun.
            source: target,
            protocol: settings.protocol,
            socket: driver
                .socket(family, settings.protocol)
                .unwrap_or(SocketKind::Raw),
            started: driver.link.date(),
            duration: Duration::ZERO,
            probes_sent: 0,
            reasons: Reasons::default(),
            rejected: Rejected::default(),
        };
        let unsent = Stretch {
            size,
            route: Route::unsent::<L>(
                summary.clone(),
                settings.protocol.probes(0),
                settings.config,
            )?,
            numbers: settings.config.first_hop..=settings.config.max_hops,
        };
        let start = driver.link.now();
        let mut this = Self {
            driver,
            settings,
            address,
            link,
            search,
            round,
            begun: None,
            beside: None,
            found: MtuRoute::new(size == link, summary, unsent),
            aside: None,
            start,
            slowest: Duration::ZERO,
            is_interrupted: false,
            stuck: None,
        };
        this.begin(round)?;
        Ok(this)
    }

    /// The target's address.
    #[must_use]
    pub const fn target(&self) -> IpAddr {
        self.address.ip()
    }

    /// The address that the probes leave from.
    #[must_use]
    pub const fn source(&self) -> IpAddr {
        self.found.summary.source
    }

    /// The flow of all its probes: what load balancers tell flows apart by.
    #[must_use]
    pub fn flow(&self) -> u16 {
        self.settings.flow.unwrap_or_default()
    }

    /// The kind of socket that was opened.
    #[must_use]
    pub const fn socket(&self) -> SocketKind {
        self.found.summary.socket
    }

    /// The trace that looks for more of the path now, if that is what is done now, and the size of
    /// its probes in octets. It is left out as long as that size is a router's word alone.
    #[must_use]
    pub fn sweep(&self) -> Option<(u16, hopshot_core::RouteView<'_>)> {
        let begun = self
            .begun
            .as_ref()
            .filter(|_| self.round.purpose == Purpose::Sweep && self.is_larger_refused())?;
        Some((self.round.size, self.driver.tracer(begun.id)?.route()))
    }

    /// The part of the path that no stretch has yet, as answers to packets of another size show it:
    /// those by which the search finds out which size passes. Empty while a
    /// [`sweep`](Self::sweep) looks for it.
    pub fn sketch(&self) -> impl Iterator<Item = Hop<'_>> {
        let is_check = matches!(self.round.purpose, Purpose::Check { .. });
        let begun = self.begun.as_ref().filter(|_| is_check);
        let running = begun
            .and_then(|begun| self.driver.tracer(begun.id))
            .into_iter()
            .flat_map(|tracer| tracer.route().hops());
        let is_narrow = matches!(self.round.purpose, Purpose::Narrow { .. });
        let aside = self.aside.iter().filter(move |_| is_narrow);
        let known = self
            .stretches()
            .last()
            .map_or(0, |stretch| *stretch.numbers.end());
        running
            .chain(aside.flat_map(Stretch::hops))
            .filter(move |hop| hop.number() > known)
    }

    /// Returns what the search tries at present.
    #[must_use]
    pub const fn trial(&self) -> Trial {
        Trial::of(self.round)
    }

    /// Whether packets of the size beside this one are too big, if there are any.
    fn is_larger_refused(&self) -> bool {
        let Some(beside) = &self.beside else {
            return true;
        };
        let tracer = self.driver.tracer(beside.id);
        let first = tracer.and_then(|tracer| tracer.route().hops().next());
        first.is_some_and(|hop| {
            hop.replies()
                .any(|reply| reply.mtu.is_some() && reply.is_proven())
        })
    }

    /// Returns what the router appended to the answer of a probe of that trace.
    #[must_use]
    pub fn extensions(&self, probe: ProbeId) -> &OwnedExtensions {
        self.begun
            .as_ref()
            .map_or(&NONE, |begun| self.driver.extensions(begun.id, probe))
    }

    /// The parts of the path that are known.
    #[must_use]
    pub fn stretches(&self) -> &[Stretch] {
        &self.found.stretches
    }

    /// Returns where the path is known to carry only smaller packets.
    #[must_use]
    pub fn limits(&self) -> &[Limit] {
        self.search.limits()
    }

    fn begin(&mut self, round: Round) -> Result<(), L::Error> {
        // What a router that answers has always been faster than; nor is anything believed for one
        // answer that is later.
        let patience = self
            .slowest
            .saturating_mul(2)
            .saturating_add(Duration::from_millis(100));
        let mut patient = self.settings.clone();
        patient.has_timeout = true;
        patient.config.timeout = patience.min(patient.config.timeout);
        let mut settings = self.settings.clone();
        if let Purpose::Narrow { .. } = round.purpose {
            settings = patient.clone();
            settings.config.attempts = 1;
        }
        let beside = match round.purpose {
            Purpose::Narrow { .. } => settings.clone(),
            Purpose::Sweep | Purpose::Check { .. } => patient,
        };
        self.round = round;
        let begun = self.trace(settings, round.size, round.hops)?;
        self.found.summary.source = begun.source;
        self.begun = Some(begun);
        // It leaves behind the other, and takes no answer from it.
        self.beside = round
            .beside
            .map(|(size, hops)| self.trace(beside, size, hops))
            .transpose()?;
        Ok(())
    }

    fn trace(
        &mut self,
        mut settings: ProbeSettings,
        size: u16,
        (first, last): (u8, u8),
    ) -> Result<Begun, L::Error> {
        settings.size = Some(size);
        (settings.config.first_hop, settings.config.max_hops) = (first, last);
        Begun::new(
            &settings,
            &mut self.driver,
            &self.found.summary.host,
            self.address,
            None,
            Endurance::Timeout,
        )
    }

    /// A round is over: keeps what it found of the path, and begins the next one.
    fn conclude(&mut self, begun: Begun) -> Result<Step, L::Error> {
        let Some(route) = self.take(begun) else {
            return Ok(Step::Done);
        };
        let beside = self.beside.take().and_then(|beside| self.take(beside));
        let beside = beside.map_or_else(Findings::default, |beside| findings::<L>(&beside));
        let round = self.round;
        let next = match self.is_interrupted {
            true => {
                self.search.note(round, findings::<L>(&route), beside);
                None
            }
            false => self.search.next(round, findings::<L>(&route), beside),
        };
        self.found.is_over = next.is_none() && !self.is_interrupted;
        let begin = round.first_unknown();
        let end = next.map_or(round.hops.1, |next| next.first_unknown() - 1);
        let part = |end| Stretch {
            size: round.size,
            route,
            numbers: begin..=end,
        };
        match round.purpose {
            Purpose::Sweep if end >= begin => {
                self.aside = None;
                self.found.stretches.push(part(end));
            }
            Purpose::Sweep | Purpose::Check { .. } => self.aside = Some(part(round.hops.1)),
            Purpose::Narrow { .. } => {}
        }
        match next {
            Some(next) => self.begin_or_wait(next, self.link().now()),
            None => Ok(Step::Done),
        }
    }

    /// Takes a trace that has ended out of the driver, and counts it.
    fn take(&mut self, begun: Begun) -> Option<Route> {
        let route = begun.finish(&mut self.driver)?;
        let rtts = route
            .hops()
            .flat_map(|hop| hop.replies().filter(Reply::is_proven))
            .map(|reply| reply.rtt);
        self.slowest = rtts.max().unwrap_or_default().max(self.slowest);
        self.found.note(&route);
        Some(route)
    }
}

impl<L: Link> fmt::Debug for PathMtu<L> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("PathMtu")
            .field("trial", &self.trial())
            .field("found", &self.found)
            .finish_non_exhaustive()
    }
}

impl<L: Link> Job for PathMtu<L> {
    type Link = L;
    type Output = MtuRoute;

    fn driver(&self) -> &Driver<L> {
        &self.driver
    }

    fn driver_mut(&mut self) -> &mut Driver<L> {
        &mut self.driver
    }

    fn deadline(&self) -> Option<Instant> {
        let retry = self
            .stuck
            .filter(|_| !self.is_interrupted)
            .map(|stuck| stuck.retry);
        self.driver.deadline().into_iter().chain(retry).min()
    }

    /// # Errors
    /// Those of the machine, and where the next trace can't begin, such as when the route to the
    /// target has gone and doesn't come back within the time that an answer is waited for. What
    /// is known by then [`finish`](Self::finish) returns.
    fn work(&mut self) -> Result<Step, L::Error> {
        let step = self.driver.work()?;
        while self.driver.take_reply().is_some() {}
        if let Some(stuck) = self.stuck {
            return self.try_again(stuck);
        }
        match (step, self.begun.take()) {
            (Step::Done, Some(begun)) => self.conclude(begun),
            (step, begun) => {
                self.begun = begun;
                Ok(step)
            }
        }
    }

    fn interrupt(&mut self) {
        self.is_interrupted = true;
        self.driver.interrupt();
    }

    fn finish(mut self) -> MtuRoute {
        if let Some(begun) = self.begun.take() {
            self.interrupt();
            // It begins nothing any more.
            let _ = self.conclude(begun);
        }
        self.found.stretches.extend(self.aside);
        let summary = &mut self.found.summary;
        summary.duration = self.driver.link.now().saturating_since(self.start);
        if let Some(last) = self.found.stretches.last() {
            summary.source = last.route.summary().source;
        }
        let bounds = self.search.bounds(self.round, self.link);
        MtuRoute {
            bounds,
            path_mtu: self.search.path_mtu(),
            limits: self.search.into_limits(),
            ..self.found
        }
    }
}
