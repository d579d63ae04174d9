//! The first hops that the paths to all hosts share: what spares the traces of a survey their
//! nearest hops.
//!
//! Traces of hosts that are drawn at random, whole ones, [vote](votes) on who is at a hop. A trace
//! of another host then begins at the farthest hop whose router answers more often than not. If
//! that router answers there, the path is taken to begin as the others did; if somebody else does,
//! or nobody, the trace goes back to the first hop: what was learnt may be old, but then it costs
//! time alone.

mod ballot;
mod tally;
mod votes;

pub(crate) use ballot::Ballot;
pub use votes::Sample;

use crate::memory::network;
use crate::per_family::PerFamily;
use hopshot_core::wire::AddressFamily;
use hopshot_core::{Evidence, Hop, Kind, Reply};
use std::net::IpAddr;
use tally::{QUORUM, Tally};
use votes::Votes;

/// One draw in so many hosts.
const ONE_IN: u8 = 16;

/// So many more traces that didn't meet where they began than that did show that the paths begin
/// otherwise now.
const CHANGED: u8 = 8;

/// What drawn traces said of the hops, in IPv4 and in IPv6, and how many more of them are wanted.
#[derive(Debug)]
pub(crate) struct SharedHops {
    votes: Votes,
    tallies: PerFamily<Vec<Tally>>,
    /// The distances of the nearest and the farthest of the drawn hosts, but for as many as may be
    /// hostile.
    nearest: Option<u8>,
    farthest: Option<u8>,
    /// Draws that are wanted now.
    wanted: u8,
    /// Hosts that were added since one was last wanted.
    undrawn: u8,
    /// How many more traces missed where they began than met it.
    missed: u8,
}

impl Default for SharedHops {
    fn default() -> Self {
        let (votes, tallies) = Default::default();
        Self {
            votes,
            tallies,
            nearest: None,
            farthest: None,
            wanted: QUORUM,
            undrawn: 0,
            missed: 0,
        }
    }
}

/// A hop that was not probed, because the path is known to begin as those to other hosts do.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct SharedHop {
    /// Its number.
    pub hop: u8,
    /// Its router; `None` where nobody answers, or where it isn't well enough known who does.
    pub from: Option<IpAddr>,
    /// The number of traces that named this router, of the last 64 that were
    /// [drawn](crate::Survey::sample); 0 without a router.
    pub seen: u8,
    /// The number of these that passed this hop.
    pub of: u8,
}

/// The nearest hops of a path as they are elsewhere.
#[derive(Clone, Debug)]
pub(crate) struct Head {
    spared: Vec<SharedHop>,
    /// Who answers at the hop where the trace begins.
    router: IpAddr,
    is_met: bool,
}

impl SharedHops {
    /// Whether the next host should be drawn at random. While nothing is known traces are whole
    /// anyway, so all may be drawn; and where the first few votes differ some more make it clear.
    pub(crate) fn wants_sample(&self) -> bool {
        let is_unclear = |tallies: &Vec<Tally>| {
            tallies
                .iter()
                .find(|tally| tally.parts())
                .is_some_and(Tally::is_early)
        };
        let is_new = self.votes.is_first_window()
            && (self.tallies.iter().any(is_unclear)
                || self.tallies.iter().all(|tallies| start(tallies).is_none()));
        (self.wanted > 0 || is_new) && self.votes.has_room()
    }

    pub(crate) fn sample(&mut self) -> Sample {
        self.wanted = self.wanted.saturating_sub(1);
        self.votes.draw()
    }

    /// A host is traced that was not drawn.
    pub(crate) fn pass(&mut self) {
        self.undrawn += 1;
        if self.undrawn == ONE_IN {
            self.undrawn = 0;
            self.want();
        }
    }

    fn want(&mut self) {
        self.wanted = QUORUM.min(self.wanted + 1);
    }

    /// How far the first sweep to a host may go if neighbours alone say how far it is; `None` while
    /// that isn't known. Those that a few hostile hosts have neighbours guess too far are not
    /// worth the probes.
    pub(crate) const fn sweep_limit(&self) -> Option<u8> {
        self.farthest
    }

    /// What the path to a host begins with; `distance` is where the host is thought to be.
    pub(crate) fn head(&self, target: IpAddr, distance: Option<u8>, max_hops: u8) -> Option<Head> {
        // To begin too far costs a round trip, and not to spare any probe is what a hostile
        // neighbour may want.
        let distance =
            distance.filter(|distance| self.nearest.is_some_and(|nearest| nearest <= *distance));
        let tallies = self.tallies.get(AddressFamily::of(target));
        let (last, router) = start(tallies)?;
        if last == 0 || last + 1 >= distance.unwrap_or(u8::MAX).min(max_hops).into() {
            return None;
        }
        let spared = (1..)
            .zip(tallies.iter().take(last))
            .map(|(hop, tally)| SharedHop::new(hop, tally))
            .collect();
        Some(Head {
            spared,
            router,
            is_met: false,
        })
    }

    /// Counts the vote of a host that was drawn: its whole trace.
    pub(crate) fn vote<'r>(
        &mut self,
        sample: Sample,
        target: IpAddr,
        hops: impl Iterator<Item = Hop<'r>>,
    ) {
        self.cast(sample, Ballot::new(network(target), hops));
    }

    fn cast(&mut self, sample: Sample, ballot: Ballot) {
        self.votes.cast(sample, ballot);
        self.tallies = PerFamily::new(|family| self.votes.tallies(family));
        (self.nearest, self.farthest) = (self.votes.nearest(), self.votes.farthest());
    }

    /// A trace with a head has ended. Where most don't meet theirs the paths have changed, and more
    /// hosts are drawn. That costs probes alone, so those who miss need not be random.
    pub(crate) fn met(&mut self, is_met: bool) {
        if is_met {
            self.missed = self.missed.saturating_sub(1);
            return;
        }
        self.missed = (self.missed + 1).min(2 * CHANGED);
        if self.missed >= CHANGED {
            self.want();
        }
    }
}

/// The farthest hop that a trace can begin at, before the paths part: its index, and its router.
fn start(tallies: &[Tally]) -> Option<(usize, IpAddr)> {
    let common = tallies
        .iter()
        .position(Tally::parts)
        .unwrap_or(tallies.len());
    let mut farthest = tallies.iter().enumerate().take(common).rev();
    farthest.find_map(|(index, tally)| Some((index, tally.start()?)))
}

impl SharedHop {
    fn new(hop: u8, tally: &Tally) -> Self {
        let from = tally.name();
        Self {
            hop,
            from,
            seen: from.map_or(0, |_| tally.seen),
            of: tally.of,
        }
    }
}

impl Head {
    /// The hop that the trace begins at.
    pub(crate) fn first_hop(&self) -> u8 {
        u8::try_from(self.spared.len() + 1).unwrap_or(u8::MAX)
    }

    /// Whether an answer leaves it possible that the path begins so.
    pub(crate) fn fits(&mut self, reply: &Reply) -> bool {
        // Who can't prove that it is an answer proves nothing else.
        if self.is_met
            || reply.probe.hop != self.first_hop()
            || reply.evidence() != Evidence::Strong
        {
            return true;
        }
        self.is_met = reply.from == self.router && reply.kind == Kind::TimeExceeded;
        self.is_met
    }

    /// The hops that were not probed, if the path is known to begin so.
    pub(crate) fn spared(&self) -> Option<&[SharedHop]> {
        self.is_met.then_some(&self.spared)
    }
}

#[cfg(test)]
mod tests;
