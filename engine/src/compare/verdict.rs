//! A verdict over the sides of a comparison: a function of what their answers show.

use super::end::SideEnd;
use super::facts::Facts;
use super::figures::{Lossier, Slower, lossier, slower};
use super::parting::{Parting, parting};
use super::side::Side;
use super::unheard::{Unheard, unheard};

/// A verdict: what the answers show of the differences between sides, and nothing else.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Verdict {
    ends: Vec<(Side, SideEnd)>,
    parting: Option<Parting>,
    slower: Vec<Slower>,
    lossier: Vec<Lossier>,
    unheard: Vec<Unheard>,
    /// The hops at which the target has answered, where those differ.
    distances: Vec<(Side, u8)>,
}

impl Verdict {
    pub(super) fn of(sides: &[Facts]) -> Self {
        Self {
            ends: sides
                .iter()
                .map(|side| (side.side, side.end.clone()))
                .collect(),
            parting: parting(sides),
            slower: slower(sides),
            lossier: lossier(sides),
            unheard: unheard(sides),
            distances: distances(sides),
        }
    }

    /// Returns the hop at which the target has answered each side, where not all are the same. Of
    /// families each has its own.
    #[must_use]
    pub fn distances(&self) -> &[(Side, u8)] {
        &self.distances
    }

    /// Returns where each side ends and why, in their order.
    #[must_use]
    pub fn ends(&self) -> &[(Side, SideEnd)] {
        &self.ends
    }

    /// Returns the first hop at which paths are different ones, if there is one.
    #[must_use]
    pub const fn parting(&self) -> Option<&Parting> {
        self.parting.as_ref()
    }

    /// Returns the sides whose answers are slower than those of others beyond noise: at routers,
    /// nearest first, then at the target.
    #[must_use]
    pub fn slower(&self) -> &[Slower] {
        &self.slower
    }

    /// Returns the sides that lose more probes to the target than others beyond noise.
    #[must_use]
    pub fn lossier(&self) -> &[Lossier] {
        &self.lossier
    }

    /// Returns the sides that get no answers from routers which answer others.
    #[must_use]
    pub fn unheard(&self) -> &[Unheard] {
        &self.unheard
    }

    /// Returns whether the target answered all sides, and nothing differs beyond noise but perhaps
    /// the state of ports.
    #[must_use]
    pub fn is_alike(&self) -> bool {
        self.ends.iter().all(|(_, end)| end.is_reached())
            && self.parting.is_none()
            && self.slower.is_empty()
            && self.lossier.is_empty()
            && self.unheard.is_empty()
            && self.distances.is_empty()
    }
}

/// Returns the distances of one target that differ: none if they are all the same.
fn distances(sides: &[Facts]) -> Vec<(Side, u8)> {
    let of = |side: &Facts| Some((side.side, side.distance()?));
    let known: Vec<(Side, u8)> = sides.iter().filter_map(of).collect();
    let are_of_one = sides
        .iter()
        .all(|side| matches!(side.side, Side::Protocol(_)));
    let differ = known
        .iter()
        .any(|(_, hop)| known.first().is_some_and(|first| first.1 != *hop));
    if are_of_one && differ {
        known
    } else {
        Vec::new()
    }
}
