//! A comparison while it runs.

use super::result::{Compared, Comparison};
use super::side::Side;
use crate::driver::{Driver, Step};
use crate::error::Fault;
use crate::job::Job;
use crate::link::{Link, SocketKind};
use crate::pace::Pace;
use crate::protocol::ProbeProtocol;
use crate::route::{HostReply, Route};
use crate::running::Endurance;
use crate::settings::ProbeSettings;
use crate::trace::Begun;
use crate::trace_id::TraceId;
use hopshot_core::wire::AddressFamily;
use hopshot_core::{Instant, RouteView};
use std::fmt;
use std::net::{IpAddr, SocketAddr};
use std::time::SystemTime;

/// A side that is to be compared: what its probes are, and where they go, or why it can't begin.
#[derive(Clone, Debug)]
pub struct SidePlan<E> {
    /// The side.
    pub side: Side,
    /// Its settings.
    pub settings: ProbeSettings,
    /// The address of the host, or why this side can't be traced.
    pub address: Result<SocketAddr, E>,
}

/// Traces of one host by several protocols, or over both families, that run at the same time.
pub struct Compare<L: Link> {
    driver: Driver<L>,
    host: String,
    sides: Vec<Tracing>,
    started: SystemTime,
    start: Instant,
}

/// A side while it runs.
struct Tracing {
    side: Side,
    protocol: ProbeProtocol,
    /// Its trace, if it has begun.
    id: Option<TraceId>,
    state: State,
}

enum State {
    /// With the result before the first probe, in place of one that the driver doesn't have: see
    /// [`Trace`](crate::Trace).
    Running(Box<(Begun, Route)>),
    Ended(Box<Route>),
    Failed(String),
}

impl<L: Link> Compare<L> {
    /// Begins to trace a host, which is called `host` in the result, on all sides. `checks` says
    /// whether others than ICMP are checked for a proxy. A side that can't begin doesn't keep the
    /// others from it. Each wants a port of its own on the link.
    ///
    /// # Errors
    /// A setting is out of its range, there is no side, or none can begin: the first one's reason.
    pub fn start(
        link: L,
        host: &str,
        plans: Vec<SidePlan<L::Error>>,
        checks: bool,
    ) -> Result<Self, L::Error> {
        let family = |plan: &SidePlan<L::Error>| {
            let address = plan.address.as_ref().ok();
            address.map_or(AddressFamily::V4, |address| AddressFamily::of(address.ip()))
        };
        for plan in &plans {
            plan.settings.check(family(plan))?;
        }
        let settings: Vec<&ProbeSettings> = plans.iter().map(|plan| &plan.settings).collect();
        let mut driver = Driver::of_several(link, &settings, Pace::UNBOUND);
        let (started, start) = (driver.link.date(), driver.link.now());
        let (mut sides, mut first_error) = (Vec::new(), None);
        for SidePlan {
            side,
            settings,
            address,
        } in plans
        {
            let begun = address.and_then(|address| begin(&mut driver, &settings, host, address));
            if let (Ok((begun, _)), true) = (&begun, checks) {
                driver.permit_checks(begun.id);
            }
            let (id, state) = match begun {
                Ok(begun) => (Some(begun.0.id), State::Running(Box::new(begun))),
                Err(error) => {
                    let why = error.to_string();
                    first_error.get_or_insert(error);
                    (None, State::Failed(why))
                }
            };
            let protocol = settings.protocol;
            sides.push(Tracing {
                side,
                protocol,
                id,
                state,
            });
        }
        let is_running = |side: &Tracing| matches!(side.state, State::Running(_));
        if !sides.iter().any(is_running) {
            return Err(first_error.unwrap_or_else(|| Fault::Full.into()));
        }
        Ok(Self {
            driver,
            host: host.to_owned(),
            sides,
            started,
            start,
        })
    }

    /// Returns the next answer that has come in and has not been taken yet, and the number of its
    /// side, as [`Trace::take_reply`](crate::Trace::take_reply) does.
    pub fn take_reply(&mut self) -> Option<(usize, HostReply<'_>)> {
        let (id, reply) = self.driver.take_reply()?;
        let number = self.sides.iter().position(|side| side.id == Some(id))?;
        let heard = match &self.sides.get(number)?.state {
            State::Running(running) => running.0.heard(&self.driver, reply),
            State::Ended(route) => route.told(reply),
            State::Failed(_) => return None,
        };
        Some((number, heard))
    }

    /// Returns the host as it was given.
    #[must_use]
    pub fn host(&self) -> &str {
        &self.host
    }

    /// Returns the sides, in the order in which they were asked for, each with its target and the
    /// address that its probes leave from; `None` of a side that could not begin.
    pub fn sides(&self) -> impl Iterator<Item = (Side, Option<(IpAddr, IpAddr)>)> {
        let ends = |side: &Tracing| match &side.state {
            State::Running(running) => Some((running.0.target, running.0.source)),
            State::Ended(route) => Some((route.summary().target, route.summary().source)),
            State::Failed(_) => None,
        };
        self.sides.iter().map(move |side| (side.side, ends(side)))
    }

    /// Returns what is known so far of each side, in their order; `None` of one that could not
    /// begin.
    pub fn routes(&self) -> impl Iterator<Item = Option<RouteView<'_>>> {
        self.sides.iter().map(|side| side.route(&self.driver))
    }

    /// Returns the kinds of sockets that were opened, each once, in the order of the sides.
    #[must_use]
    pub fn sockets(&self) -> Vec<SocketKind> {
        let mut kinds = Vec::new();
        for side in &self.sides {
            let kind = match &side.state {
                State::Running(running) => {
                    let family = AddressFamily::of(running.0.target);
                    self.driver.socket(family, side.protocol)
                }
                State::Ended(route) => Some(route.summary().socket),
                State::Failed(_) => None,
            };
            kinds.extend(kind.filter(|kind| !kinds.contains(kind)));
        }
        kinds
    }

    /// Takes the sides out of the driver that have ended: their time is over.
    fn take_ended(&mut self) {
        while let Some(id) = self.driver.ended() {
            match self.sides.iter_mut().find(|side| side.id == Some(id)) {
                Some(side) => side.end(&mut self.driver),
                None => drop(self.driver.remove(id)),
            }
        }
    }
}

/// Gives the driver the trace of a side, with the result that it has before the first probe.
fn begin<L: Link>(
    driver: &mut Driver<L>,
    settings: &ProbeSettings,
    host: &str,
    address: SocketAddr,
) -> Result<(Begun, Route), L::Error> {
    let begun = Begun::new(settings, driver, host, address, None, Endurance::Timeout)?;
    let unsent = begun.unsent(driver, settings)?;
    Ok((begun, unsent))
}

impl Tracing {
    /// Returns what is known so far.
    fn route<'a, L: Link>(&'a self, driver: &'a Driver<L>) -> Option<RouteView<'a>> {
        match &self.state {
            State::Running(running) => {
                let tracer = driver.tracer(running.0.id);
                Some(tracer.unwrap_or(&running.1.tracer).route())
            }
            State::Ended(route) => Some(route.tracer.route()),
            State::Failed(_) => None,
        }
    }

    /// Takes it out of its driver, with what is known now.
    fn end<L: Link>(&mut self, driver: &mut Driver<L>) {
        let state = std::mem::replace(&mut self.state, State::Failed(String::new()));
        self.state = match state {
            State::Running(running) => {
                let (begun, unsent) = *running;
                State::Ended(Box::new(begun.finish(driver).unwrap_or(unsent)))
            }
            ended => ended,
        };
    }
}

impl<L: Link> Job for Compare<L> {
    type Link = L;
    type Output = Comparison;

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
        let step = self.driver.work();
        self.take_ended();
        step
    }

    fn interrupt(&mut self) {
        self.driver.interrupt();
    }

    fn finish(mut self) -> Comparison {
        let Self {
            driver,
            sides,
            started,
            start,
            ..
        } = &mut self;
        for side in sides.iter_mut() {
            side.end(driver);
        }
        let duration = driver.link.now().saturating_since(*start);
        let started = *started;
        let compared = |Tracing {
                            side,
                            protocol,
                            state,
                            ..
                        }| Compared {
            side,
            protocol,
            route: match state {
                State::Ended(route) => Ok(route),
                State::Failed(why) => Err(why),
                State::Running(running) => Ok(Box::new(running.1)),
            },
        };
        let sides = self.sides.into_iter().map(compared).collect();
        Comparison::new(self.host, started, duration, sides)
    }
}

impl<L: Link> fmt::Debug for Compare<L> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let sides: Vec<Side> = self.sides.iter().map(|side| side.side).collect();
        f.debug_struct("Compare")
            .field("host", &self.host)
            .field("sides", &sides)
            .finish_non_exhaustive()
    }
}
