//! Findings of a round: what its trace says about the size of its packets.

use super::search::{Findings, TooBig};
use crate::link::{Link, Obstacle};
use crate::route::Route;
use hopshot_core::{Evidence, Failure, Kind, Reply, StopReason};
use std::net::IpAddr;

/// Whether it says that the packet was too big, be that true or not: by its type and code.
fn is_about_size(reply: &Reply) -> bool {
    match reply.from {
        IpAddr::V4(_) => (reply.icmp_type, reply.icmp_code) == (3, 4),
        IpAddr::V6(_) => reply.icmp_type == 2,
    }
}

/// Reads what a round's trace says about its size.
pub(super) fn findings<L: Link>(route: &Route) -> Findings {
    let replies = || {
        route
            .hops()
            .flat_map(|hop| hop.replies().map(move |reply| (hop.number(), reply)))
    };
    let passing =
        replies().filter(|(_, reply)| reply.kind != Kind::Unreachable && reply.is_proven());
    let passed = passing.map(|(hop, _)| hop).max().unwrap_or(0);
    // Where packets pass all the same, it was not this link that they were too big for.
    let behind =
        replies().filter(|(hop, reply)| *hop > passed && reply.evidence() == Evidence::Strong);
    let too_big = behind.filter_map(|(hop, reply)| {
        Some(TooBig {
            hop,
            by: reply.from,
            mtu: reply.mtu?,
        })
    });
    let is_doubtful = replies().any(|(_, reply)| is_about_size(&reply) && reply.is_proven());
    Findings {
        passed,
        too_big: too_big.min_by_key(|too_big| too_big.hop),
        reached: replies().any(|(_, reply)| reply.kind == Kind::Reply) && route.reached(),
        ended: match route.stop_reason() {
            Some(StopReason::Unreachable) => !is_doubtful,
            Some(StopReason::Quiet | StopReason::Timeout | StopReason::Reached) => false,
            // Only this size of packet may be too large for this machine.
            Some(StopReason::Local) => {
                route.summary().probes_sent == 0 || !is_too_large::<L>(route.failure())
            }
            // A loop, an end of the hops or of the room, an interrupt: more would not help.
            Some(_) | None => true,
        },
    }
}

/// Whether it is this machine's refusal of a packet that doesn't fit the first link.
fn is_too_large<L: Link>(failure: Option<Failure>) -> bool {
    matches!(failure, Some(Failure::Send(error)) if L::obstacle(error) == Obstacle::TooLarge)
}
