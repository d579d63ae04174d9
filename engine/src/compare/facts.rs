//! The facts of a side that a verdict is made of: without octets, probes or clocks, so that a test
//! can write them down.

use super::end::{SideEnd, target_rtts};
use super::side::Side;
use crate::protocol::{ProbeProtocol, TargetAnswer};
use crate::route::Route;
use hopshot_core::{Evidence, Hop, Kind, Loss, Reply, Sweep};
use std::net::IpAddr;
use std::time::Duration;

/// The facts of a side.
#[derive(Clone, Debug)]
pub(super) struct Facts {
    pub(super) side: Side,
    /// Its target; `None` if it has none.
    pub(super) target: Option<IpAddr>,
    /// Whether each of its probes is of another flow.
    pub(super) has_many_flows: bool,
    pub(super) end: SideEnd,
    pub(super) hops: Vec<HopFacts>,
    /// Probes to the target and those lost, where losses can mean something: nobody limits these
    /// answers.
    pub(super) loss: Option<Loss>,
}

/// The facts of a hop: of answers that prove who is there.
#[derive(Clone, Debug, Default)]
pub(super) struct HopFacts {
    pub(super) number: u8,
    /// Those who are there, each once.
    pub(super) addresses: Vec<IpAddr>,
    /// The RTTs of their answers, sorted.
    pub(super) rtts: Vec<Duration>,
}

impl Facts {
    /// Reads the facts of a route.
    pub(super) fn of(side: Side, route: &Route) -> Self {
        let end = SideEnd::of(route);
        // What a proxy answers, and what is behind it, shows nothing of the path.
        let until = route.proxy().map_or(u8::MAX, |proxy| proxy.hop);
        let hops = route.hops().filter(|hop| hop.number() < until);
        Self {
            side,
            target: Some(route.summary().target),
            has_many_flows: route.flow().is_none(),
            hops: hops.map(|hop| HopFacts::of(route, hop)).collect(),
            loss: loss(route).filter(|_| end.is_reached()),
            end,
        }
    }

    /// The facts of a side that could not begin.
    pub(super) fn failed(side: Side, why: &str) -> Self {
        Self {
            side,
            target: None,
            has_many_flows: false,
            end: SideEnd::Local {
                why: why.to_owned(),
            },
            hops: Vec::new(),
            loss: None,
        }
    }

    /// Returns what is known of a hop.
    pub(super) fn hop(&self, number: u8) -> Option<&HopFacts> {
        self.hops.iter().find(|hop| hop.number == number)
    }

    /// Returns the hop of the target, if it answered beyond doubt.
    pub(super) fn distance(&self) -> Option<u8> {
        match self.end {
            SideEnd::Reached { distance, .. } => distance,
            _ => None,
        }
    }
}

impl HopFacts {
    fn of(route: &Route, hop: Hop<'_>) -> Self {
        if hop.is_target() {
            return Self {
                number: hop.number(),
                addresses: vec![route.summary().target],
                rtts: target_rtts(route),
            };
        }
        // Who refuses a probe may stand before the hop that it was for, and a probe of another flow
        // may have taken another way.
        let is_there = |reply: &Reply| {
            reply.kind == Kind::TimeExceeded
                && reply.evidence() == Evidence::Strong
                && !route.is_detour(reply.probe)
        };
        let replies: Vec<Reply> = hop.replies().filter(is_there).collect();
        let mut addresses: Vec<IpAddr> = replies.iter().map(|reply| reply.from).collect();
        addresses.sort_unstable();
        addresses.dedup();
        let mut rtts: Vec<Duration> = replies.iter().map(|reply| reply.rtt).collect();
        rtts.sort_unstable();
        Self {
            number: hop.number(),
            addresses,
            rtts,
        }
    }

    /// Returns who is there, if it is always the same.
    pub(super) fn only(&self) -> Option<IpAddr> {
        match self.addresses.as_slice() {
            [address] => Some(*address),
            _ => None,
        }
    }
}

/// Returns the losses at the target, unless answers there are limited, or all but the first of a
/// flow are hidden.
fn loss(route: &Route) -> Option<Loss> {
    let target = route.hops().find(Hop::is_target)?;
    let says = |answer| {
        target
            .replies()
            .any(|it| route.target_answer(&it) == Some(answer))
    };
    // Linux limits errors, so those about a closed port.
    let is_limited = says(TargetAnswer::PortUnreachable);
    let hides = matches!(route.protocol(), ProbeProtocol::Tcp { .. })
        && route.tracer.config().sweep == Some(Sweep::Burst);
    (!is_limited && !hides).then(|| target.loss())
}
