//! The result of a search for all paths.

use super::graph::{End, Graph};
use super::search::Completeness;
use crate::failure::{Describe, failure_text};
use crate::protocol::TargetAnswer;
use crate::route::Route;
use crate::summary::Summary;
use hopshot_core::{Failure, Outcome};
use std::collections::BTreeMap;

/// The paths to a host.
#[derive(Clone, Debug)]
pub struct Paths {
    pub(super) summary: Summary,
    describe: Describe,
    confidence: f64,
    pub(super) graph: Graph,
    pub(super) flows: usize,
    forged: u32,
    failure: Option<Failure>,
    end_failure: Option<Failure>,
    /// Of each hop why a probe to it failed, if one did, and whether one left.
    sent_to: BTreeMap<u8, (Option<Failure>, bool)>,
    pub(super) completeness: Option<Completeness>,
    knock: Option<TargetAnswer>,
}

impl Paths {
    pub(super) fn new(summary: Summary, describe: Describe, confidence: f64) -> Self {
        Self {
            summary,
            describe,
            confidence,
            graph: Graph::default(),
            flows: 0,
            forged: 0,
            failure: None,
            end_failure: None,
            knock: None,
            sent_to: BTreeMap::new(),
            completeness: None,
        }
    }

    /// Counts a flow whose trace has ended.
    pub(super) fn note(&mut self, route: &Route) {
        self.summary.probes_sent += route.summary().probes_sent;
        self.summary.reasons += route.summary().reasons;
        self.forged += u32::from(route.tally().forged);
        self.end_failure = route.failure();
        self.knock = self.knock.or(route.knock());
        for hop in route.hops() {
            let (why, has_left) = self.sent_to.entry(hop.number()).or_default();
            for outcome in hop.outcomes() {
                match outcome {
                    Outcome::Failed(failure) => *why = why.or(Some(failure)),
                    _ => *has_left = true,
                }
            }
            self.failure = self.failure.or(*why);
        }
    }

    /// Returns the facts that every result has: who was traced, from where, when and for how long.
    #[must_use]
    pub const fn summary(&self) -> &Summary {
        &self.summary
    }

    /// Returns how sure it is, if the search is complete, that no next hop of any router is
    /// missing.
    #[must_use]
    pub const fn confidence(&self) -> f64 {
        self.confidence
    }

    /// The routers, and who leads to whom.
    #[must_use]
    pub const fn graph(&self) -> &Graph {
        &self.graph
    }

    /// Returns how many flows were traced.
    #[must_use]
    pub const fn flows(&self) -> usize {
        self.flows
    }

    /// Messages with the ident of a flow but without its cookie: forgeries.
    #[must_use]
    pub const fn forged(&self) -> u32 {
        self.forged
    }

    /// Returns why a probe did not get out of this machine, if one didn't.
    #[must_use]
    pub const fn failure(&self) -> Option<Failure> {
        self.failure
    }

    /// Returns why a probe failed on this machine, in the machine's words where they are its own.
    #[must_use]
    pub fn failure_text(&self, failure: Failure) -> String {
        failure_text(failure, self.describe)
    }

    /// The failure on this machine that the path of the last flow ends in: see
    /// [`Route::failure`](crate::Route::failure).
    #[must_use]
    pub const fn end_failure(&self) -> Option<Failure> {
        self.end_failure
    }

    /// The hops to which no probe got out of this machine, nearest first, and why. The search isn't
    /// complete if there are any.
    pub fn blocked(&self) -> impl Iterator<Item = (u8, Failure)> {
        let blocked = self.sent_to.iter().filter(|(_, (_, has_left))| !has_left);
        blocked.filter_map(|(hop, (why, _))| Some((*hop, (*why)?)))
    }

    /// Whether the target answered, be it a [knock](Self::knock) alone.
    #[must_use]
    pub fn reached(&self) -> bool {
        let mut nodes = self.graph.nodes().iter();
        self.knock.is_some() || nodes.any(|node| node.end == Some(End::Target))
    }

    /// Returns what the target said to the first probe that was to learn its distance. Such a probe
    /// is of no flow: where only it was answered, the paths end before the target.
    #[must_use]
    pub const fn knock(&self) -> Option<TargetAnswer> {
        self.knock
    }

    /// Returns whether all routers were passed by enough flows, or why not.
    #[must_use]
    pub fn completeness(&self) -> Completeness {
        self.completeness.unwrap_or(Completeness::Interrupted)
    }
}
