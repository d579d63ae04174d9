//! The number of flows through a router that is enough to have seen all of its next hops.
//!
//! The rule is that of the multipath detection algorithm: D. Veitch, B. Augustin, R. Teixeira, T.
//! Friedman, 'Failure Control in Multipath Route Tracing', IEEE INFOCOM 2009. A balancer with one
//! next hop more than were seen, all equally likely, would have shown it by now but for the
//! accepted chance of failure; more next hops than that would have shown sooner.
//!
//! The chance is that of the whole graph: each of its routers gets an equal part of it. By the
//! union bound the chances that something is missing somewhere add up to no more than what was
//! accepted.

use std::collections::HashMap;

/// Give up beyond this many next hops. No real router has as many, and the cost grows with their
/// cube, which a forger could exploit.
pub(crate) const MOST_NEXT_HOPS: u16 = 256;

/// More flows than there are.
const NEVER: usize = 65_535;

/// Routers that a graph is taken to have at least: most paths have about as many, and the first
/// flows are traced before it is known. Fewer steps than routers keep what was enough from being
/// too few each time that one more is found.
const FEWEST_ROUTERS: u32 = 16;

/// The rule for one accepted chance of failure.
#[derive(Debug)]
pub(crate) struct Stopping {
    failure: f64,
    routers: u32,
    /// What was worked out, by the number of next hops.
    enough: HashMap<u16, usize>,
}

impl Stopping {
    /// With this confidence, above 0 and below 1, all next hops of all routers are found.
    pub(crate) fn new(confidence: f64) -> Self {
        Self {
            failure: 1.0 - confidence,
            routers: FEWEST_ROUTERS,
            enough: HashMap::new(),
        }
    }

    /// Takes the number of routers that share the chance of failure.
    pub(crate) fn share(&mut self, routers: usize) {
        let routers = u32::try_from(routers)
            .ok()
            .and_then(u32::checked_next_power_of_two)
            .unwrap_or(u32::MAX)
            .max(FEWEST_ROUTERS);
        if routers != self.routers {
            self.routers = routers;
            self.enough.clear();
        }
    }

    /// How many flows are enough where so many next hops were seen; where none was, as for one.
    pub(crate) fn enough(&mut self, seen: usize) -> usize {
        let Some(seen) = u16::try_from(seen.max(1))
            .ok()
            .filter(|seen| *seen < MOST_NEXT_HOPS)
        else {
            return NEVER;
        };
        let failure = self.failure / f64::from(self.routers);
        *self
            .enough
            .entry(seen)
            .or_insert_with(|| draws(seen + 1, failure))
    }
}

/// The least number of draws from so many equally likely things after which one of them is missing
/// at most so often.
fn draws(things: u16, failure: f64) -> usize {
    // How likely it is that none, or that 1, 2, 3, ... different ones have been drawn: exact, where
    // a sum of signs cancels out.
    let mut none = 1.0;
    let mut seen = vec![0.0; things.into()];
    let mut draws = 0;
    while seen.last().is_some_and(|all| 1.0 - all > failure) {
        // That it was one fewer before this draw.
        let mut fewer = none;
        for (count, likely) in (1..=things).zip(&mut seen) {
            let again = f64::from(count) / f64::from(things);
            let new = f64::from(things - count + 1) / f64::from(things);
            let before = *likely;
            *likely = before * again + fewer * new;
            fewer = before;
        }
        none = 0.0;
        draws += 1;
    }
    draws
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_rule_is_that_of_the_paper() {
        let enough = |confidence: f64| {
            (1..=16)
                .map(|seen| draws(seen + 1, 1.0 - confidence))
                .collect::<Vec<_>>()
        };
        assert_eq!(
            enough(0.95),
            [
                6, 11, 16, 21, 27, 33, 38, 44, 51, 57, 63, 70, 76, 83, 90, 96
            ]
        );
        assert_eq!(
            enough(0.99),
            [
                8, 15, 21, 28, 36, 43, 51, 58, 66, 74, 82, 90, 98, 106, 115, 123
            ]
        );
    }

    #[test]
    fn without_a_next_hop_it_is_as_with_one_and_many_are_no_trouble() {
        let mut stopping = Stopping::new(0.99999);
        assert_eq!(stopping.enough(0), stopping.enough(1));
        assert!((1..200).is_sorted_by_key(|seen| stopping.enough(seen)));
        assert_eq!(stopping.enough(100_000), NEVER);
    }

    #[test]
    fn the_more_routers_share_the_chance_of_failure_the_more_flows_each_takes() {
        let enough = |routers| {
            let mut stopping = Stopping::new(0.95);
            stopping.share(routers);
            [1, 2, 4].map(|seen| stopping.enough(seen))
        };
        assert_eq!(enough(1), enough(16));
        assert_eq!(
            enough(16),
            [1, 2, 4].map(|seen| draws(seen + 1, 0.05 / 16.0))
        );
        assert_eq!(
            enough(17),
            [1, 2, 4].map(|seen| draws(seen + 1, 0.05 / 32.0))
        );
    }
}
