//! The result of a comparison.

use super::end::SideEnd;
use super::facts::Facts;
use super::side::Side;
use super::verdict::Verdict;
use crate::protocol::ProbeProtocol;
use crate::route::Route;
use std::time::{Duration, SystemTime};

/// The routes to a host by several protocols, or over both families, and what differs.
#[derive(Debug)]
pub struct Comparison {
    host: String,
    started: SystemTime,
    duration: Duration,
    sides: Vec<Compared>,
    verdict: Verdict,
}

/// A side of a comparison, with its route; or why there is none, and what to do.
#[derive(Debug)]
#[non_exhaustive]
pub struct Compared {
    /// The side.
    pub side: Side,
    /// The protocol of its probes.
    pub protocol: ProbeProtocol,
    /// Its route, or why it could not begin.
    pub route: Result<Box<Route>, String>,
}

impl Compared {
    fn facts(&self) -> Facts {
        match &self.route {
            Ok(route) => Facts::of(self.side, route),
            Err(why) => Facts::failed(self.side, why),
        }
    }

    /// Returns whether its target answered, and neither refused its probes nor did a proxy answer.
    #[must_use]
    pub fn reached(&self) -> bool {
        let is_passed = |route: &Route| match SideEnd::of(route) {
            SideEnd::Proxied(proxy) => !proxy.is_certain,
            end => end.is_reached(),
        };
        self.route.as_deref().is_ok_and(is_passed)
    }
}

impl Comparison {
    pub(super) fn new(
        host: String,
        started: SystemTime,
        duration: Duration,
        sides: Vec<Compared>,
    ) -> Self {
        let facts: Vec<Facts> = sides.iter().map(Compared::facts).collect();
        Self {
            host,
            started,
            duration,
            verdict: Verdict::of(&facts),
            sides,
        }
    }

    /// Returns the host as it was given.
    #[must_use]
    pub fn host(&self) -> &str {
        &self.host
    }

    /// Returns the start, on the wall clock.
    #[must_use]
    pub const fn started(&self) -> SystemTime {
        self.started
    }

    /// Returns the time from the start to the end of the last side, on the monotonic clock.
    #[must_use]
    pub const fn duration(&self) -> Duration {
        self.duration
    }

    /// Returns the sides, in the order in which they were asked for.
    #[must_use]
    pub fn sides(&self) -> &[Compared] {
        &self.sides
    }

    /// Returns the routes of the sides that began.
    pub fn routes(&self) -> impl Iterator<Item = &Route> {
        self.sides
            .iter()
            .filter_map(|side| side.route.as_deref().ok())
    }

    /// Returns what differs.
    #[must_use]
    pub const fn verdict(&self) -> &Verdict {
        &self.verdict
    }

    /// Returns whether every side by TCP got to its target; without TCP, whether any side did.
    #[must_use]
    pub fn reached(&self) -> bool {
        let mut tcp = self.sides.iter().filter(|side| side.protocol.is_tcp());
        let has_tcp = tcp.clone().next().is_some();
        match has_tcp {
            true => tcp.all(Compared::reached),
            false => self.sides.iter().any(Compared::reached),
        }
    }
}
