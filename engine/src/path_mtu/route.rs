//! The result of a search: the path in parts, each with the size of its packets.

use super::search::Limit;
use crate::route::Route;
use crate::summary::Summary;
use hopshot_core::{Hop, StopReason, Tally};
use std::ops::RangeInclusive;

/// A part of the path, and the trace that found it.
#[derive(Debug)]
#[non_exhaustive]
pub struct Stretch {
    /// The size of the trace's probes, in octets.
    pub size: u16,
    /// The trace; hops outside of the stretch may be part of it.
    pub route: Route,
    pub(super) numbers: RangeInclusive<u8>,
}

impl Stretch {
    /// The hops of this part.
    pub fn hops(&self) -> impl Iterator<Item = Hop<'_>> {
        self.route
            .hops()
            .filter(|hop| self.numbers.contains(&hop.number()))
    }
}

/// The path to a host, and how large packets it carries how far.
#[derive(Debug)]
pub struct MtuRoute {
    pub(super) summary: Summary,
    pub(super) bounds: (u16, u16),
    pub(super) stretches: Vec<Stretch>,
    /// The last stretch as long as there is none.
    pub(super) unsent: Stretch,
    pub(super) limits: Vec<Limit>,
    pub(super) path_mtu: Option<u16>,
    /// Whether the first packets were as large as the first link carries.
    pub(super) is_whole: bool,
    /// Whether there was nothing more to find.
    pub(super) is_over: bool,
    pub(super) tally: Tally,
}

impl MtuRoute {
    pub(super) fn new(is_whole: bool, summary: Summary, unsent: Stretch) -> Self {
        Self {
            summary,
            bounds: (0, u16::MAX),
            stretches: Vec::new(),
            unsent,
            limits: Vec::new(),
            path_mtu: None,
            is_whole,
            is_over: false,
            tally: Tally::default(),
        }
    }

    /// Counts a round that is over.
    pub(super) fn note(&mut self, route: &Route) {
        self.summary.probes_sent += route.summary().probes_sent;
        self.summary.reasons += route.summary().reasons;
        let Tally {
            duplicates,
            late,
            forged,
            ..
        } = route.tally();
        self.tally.duplicates = self.tally.duplicates.saturating_add(duplicates);
        self.tally.late = self.tally.late.saturating_add(late);
        self.tally.forged = self.tally.forged.saturating_add(forged);
        // All rounds share the sockets, from whose opening on this counts.
        self.summary.rejected = route.summary().rejected;
    }

    /// Returns the facts that every result has: who was traced, from where, when and for how long.
    #[must_use]
    pub const fn summary(&self) -> &Summary {
        &self.summary
    }

    /// The size of the largest packets that get to the target, in octets; `None` if that isn't
    /// known, as where it didn't answer.
    #[must_use]
    pub const fn path_mtu(&self) -> Option<u16> {
        self.path_mtu
    }

    /// Whether larger packets than [`path_mtu`](Self::path_mtu) says are known not to get to the
    /// target; if not, it is the least that the path MTU may be: because the search began with
    /// smaller packets than the first link carries
    /// ([`ProbeSettings::size`](crate::ProbeSettings::size)), or because the MTU of the last limit
    /// isn't known ([`Limit::less_than`]).
    #[must_use]
    pub fn is_exact(&self) -> bool {
        self.path_mtu.is_some()
            && self
                .limits
                .last()
                .map_or(self.is_whole, |limit| limit.less_than.is_none())
    }

    /// The least and the most that the path MTU can be, in octets: equal where it is known. Every
    /// link carries at least what IP requires, and none of the path's more than the first one.
    #[must_use]
    pub const fn bounds(&self) -> (u16, u16) {
        self.bounds
    }

    /// Returns why the search ended: as its last trace did, unless it was
    /// [interrupted](crate::Job::interrupt) or failed.
    #[must_use]
    pub fn stop_reason(&self) -> StopReason {
        let reason = if self.is_over {
            self.last().route.stop_reason()
        } else {
            None
        };
        reason.unwrap_or(StopReason::Interrupted)
    }

    /// Returns where the path begins to carry only smaller packets, from the nearest such place on.
    /// The first link is not among them.
    #[must_use]
    pub fn limits(&self) -> &[Limit] {
        &self.limits
    }

    /// Returns counts of what came beside the answers, in all traces.
    #[must_use]
    pub const fn tally(&self) -> Tally {
        self.tally
    }

    /// The path in the parts that the search found it in, at least one. Packets never get larger
    /// from one to the next.
    #[must_use]
    pub fn stretches(&self) -> &[Stretch] {
        &self.stretches
    }

    /// The last part: its trace says how the search ended.
    #[must_use]
    pub fn last(&self) -> &Stretch {
        self.stretches.last().unwrap_or(&self.unsent)
    }

    /// The hops of all parts, each with the size of the packets that went there.
    pub fn hops(&self) -> impl Iterator<Item = (u16, Hop<'_>)> {
        self.stretches
            .iter()
            .flat_map(|stretch| stretch.hops().map(|hop| (stretch.size, hop)))
    }
}
