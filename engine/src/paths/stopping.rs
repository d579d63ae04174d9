//! How many flows through a router are enough to have seen all of its next hops.
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
pub(crate) const MOST_NEXT_HOPS: usize = 256;

/// More flows than there are.
const NEVER: usize = 65_535;

/// Routers that a graph is taken to have at least: most paths have about as many, and the first
/// flows are traced before it is known. Fewer steps than routers keep what was enough from being
/// too few each time that one more is found.
const FEWEST_ROUTERS: usize = 16;

/// The rule for one accepted chance of failure.
#[derive(Debug)]
pub(crate) struct Stopping {
    failure: f64,
    routers: usize,
    /// What was worked out, by the number of next hops.
    enough: HashMap<usize, usize>,
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
        let routers = routers.max(FEWEST_ROUTERS).next_power_of_two();
        if routers != self.routers {
            self.routers = routers;
            self.enough.clear();
        }
    }

    /// How many flows are enough where so many next hops were seen; where none was, as for one.
    pub(crate) fn enough(&mut self, seen: usize) -> usize {
        let seen = seen.max(1);
        if seen >= MOST_NEXT_HOPS {
            return NEVER;
        }
        let failure = self.failure / self.routers as f64;
        *self
            .enough
            .entry(seen)
            .or_insert_with(|| draws(seen + 1, failure))
    }
}

/// The least number of draws from so many equally likely things after which one of them is missing
/// at most so often.
fn draws(things: usize, failure: f64) -> usize {
    // How likely it is that 0, 1, 2, ... different ones have been drawn: exact, where a sum of
    // signs cancels out.
    let mut seen = vec![0.0; things + 1];
    seen[0] = 1.0;
    let mut draws = 0;
    while 1.0 - seen[things] > failure {
        for count in (1..=things).rev() {
            let again = count as f64 / things as f64;
            let new = (things - count + 1) as f64 / things as f64;
            seen[count] = seen[count] * again + seen[count - 1] * new;
        }
        seen[0] = 0.0;
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
