//! The votes on one hop, counted, and what they are enough for.

use super::ballot::{Ballot, Who};
use std::collections::HashSet;
use std::net::IpAddr;

/// Of 64 votes fewer decide nothing, neither for a router nor against the sharing of a hop. Where 5
/// % of the hosts are hostile, as many of 64 that are drawn at random are theirs once in 13 million
/// windows.
pub(crate) const QUORUM: u8 = 16;

/// A hop belongs to all paths if its router has so many votes for each vote for somebody else.
const CLEARLY: u8 = 4;

/// So many more where fewer than half of the draws have voted, as on the hops of one of two
/// families. Two routers that balance the load are taken for one no more often than with 32 votes,
/// and in a list of which half is IPv6, 5 % hostile hosts end the sharing of a hop in one window of
/// 90.
const CLEARLY_EARLY: u8 = 8;

/// A router has a name if it has these votes and twice as many as all others together, and the
/// quorum. Of two routers that balance the load, one has as many once in a thousand windows; more
/// would let a few hostile hosts take the name of a router that seldom answers.
const MARGIN: u8 = 12;

/// The networks of the hosts whose traces name a router.
const NETWORKS: usize = 4;

/// What the votes say of a hop.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Tally {
    /// Who has the most votes, and how many.
    pub(super) router: Option<IpAddr>,
    pub(super) seen: u8,
    /// Votes for anybody else, or for several.
    others: u8,
    /// How many passed here.
    pub(super) of: u8,
    /// Whether hosts of different networks named the router.
    is_named_by_many: bool,
}

impl Tally {
    /// Counts; the hop's index is its number less one. `None` where too few passed, or where the
    /// paths part.
    pub(super) fn of(ballots: &[&Ballot], hop: usize) -> Option<Self> {
        let votes = || {
            ballots
                .iter()
                .filter_map(|ballot| Some((*ballot.hops.get(hop)?, ballot.network)))
        };
        let mut routers: Vec<(IpAddr, u8)> = Vec::new();
        let (mut of, mut silent) = (0, 0);
        for (who, _) in votes() {
            of += 1;
            match who {
                Who::Router(router) => match routers.iter_mut().find(|(known, _)| *known == router)
                {
                    Some((_, seen)) => *seen += 1,
                    None => routers.push((router, 1)),
                },
                Who::Nobody => silent += 1,
                Who::Several | Who::Unsure => {}
            }
        }
        let first = routers
            .into_iter()
            .max_by_key(|(router, seen)| (*seen, *router));
        let (router, seen) = first.map_or((None, 0), |(router, seen)| (Some(router), seen));
        let named_by =
            votes().filter(|(who, _)| router.is_some_and(|router| *who == Who::Router(router)));
        let named_by: HashSet<IpAddr> = named_by.map(|(_, network)| network).collect();
        let others = of - seen - silent;
        let tally = Self {
            router,
            seen,
            others,
            of,
            is_named_by_many: named_by.len() >= NETWORKS,
        };
        (of >= QUORUM).then_some(tally)
    }

    /// Whether different routers answer, so that nothing farther out is common to all paths: many
    /// others do, or it is a hop that answers and nobody clearly does.
    pub(super) fn parts(&self) -> bool {
        let is_heard = (u16::from(self.seen) + u16::from(self.others)) * 2 > self.of.into();
        // Few votes are not clear, unless next to all agree.
        let margin = if self.is_early() { CLEARLY_EARLY } else { 0 };
        let is_clear = self.seen >= self.others.saturating_mul(CLEARLY).saturating_add(margin);
        self.others >= QUORUM || self.others > 0 && is_heard && !is_clear
    }

    /// Whether there are so few votes that one or two hostile ones among them would count.
    pub(super) const fn is_early(&self) -> bool {
        self.of < 2 * QUORUM
    }

    fn is_agreed(&self) -> bool {
        self.seen >= QUORUM.max(self.others.saturating_mul(2).saturating_add(MARGIN))
    }

    /// The router, where enough say so.
    pub(super) fn name(&self) -> Option<IpAddr> {
        self.router
            .filter(|_| self.is_agreed() && self.is_named_by_many)
    }

    /// The router that a trace can begin at: one that answers more often than not. Its own answer
    /// shows whether it is there, so the networks don't matter.
    pub(super) fn start(&self) -> Option<IpAddr> {
        self.router
            .filter(|_| self.is_agreed() && u16::from(self.seen) * 2 > u16::from(self.of))
    }
}
