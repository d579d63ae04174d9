//! The vote of one trace: who answered at each of the nearest hops.

use hopshot_core::{Changes, Evidence, Hop, Kind, Reply};
use std::net::IpAddr;

/// What one drawn host's trace said.
#[derive(Clone, Debug)]
pub(crate) struct Ballot {
    /// The /24 or /48 of the host.
    pub(super) network: IpAddr,
    /// The hop at which the host answered, if it did.
    pub(super) distance: Option<u8>,
    /// Who answered from hop 1 on, as far as the trace passed routers.
    pub(super) hops: Vec<Who>,
}

/// Who answered at a hop.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Who {
    Router(IpAddr),
    Nobody,
    /// Different routers.
    Several,
    /// Somebody whose answer was changed on the way, or who says that the path ends here.
    Unsure,
}

impl Ballot {
    /// Reads a trace that began at hop 1.
    pub(crate) fn new<'r>(network: IpAddr, hops: impl Iterator<Item = Hop<'r>>) -> Self {
        let hops: Vec<Hop<'_>> = hops.collect();
        let end = hops.iter().position(Hop::is_target);
        // Behind the last that was heard there may be nothing, unless the target was heard.
        let heard = || {
            hops.iter()
                .rposition(|hop| proven(*hop).next().is_some())
                .map_or(0, |last| last + 1)
        };
        let passed = hops
            .iter()
            .take(end.unwrap_or_else(heard))
            .map(|hop| who(*hop));
        let distance = end.and_then(|end| hops.get(end)).map(Hop::number);
        Self {
            network,
            distance,
            hops: passed.take_while(|who| *who != Who::Unsure).collect(),
        }
    }

    /// Returns how far away the host is at least: one that doesn't answer is behind the last router
    /// that does.
    pub(super) fn least_distance(&self) -> u8 {
        let behind = self.hops.len().saturating_add(1);
        self.distance
            .unwrap_or_else(|| u8::try_from(behind).unwrap_or(u8::MAX))
    }
}

/// The answers that nobody can have guessed. Anybody can send the others to a silent hop: if they
/// counted, a hostile host could cut the votes of all traces there.
fn proven(hop: Hop<'_>) -> impl Iterator<Item = Reply> {
    hop.replies()
        .filter(|reply| !reply.changes.contains(Changes::UNPROVEN))
}

fn who(hop: Hop<'_>) -> Who {
    let mut replies = proven(hop);
    let Some(first) = replies.next() else {
        return Who::Nobody;
    };
    let is_router =
        |reply: &Reply| (reply.kind, reply.evidence()) == (Kind::TimeExceeded, Evidence::Strong);
    match proven(hop).all(|reply| is_router(&reply)) {
        false => Who::Unsure,
        true if replies.all(|reply| reply.from == first.from) => Who::Router(first.from),
        true => Who::Several,
    }
}
