//! The ends of sides: where each ends, and why.

use crate::checks::Proxy;
use crate::protocol::{ProbeProtocol, TargetAnswer};
use crate::route::Route;
use hopshot_core::wire::AddressFamily;
use hopshot_core::{Evidence, Hop, Kind, Reply, StopReason};
use std::net::IpAddr;
use std::time::Duration;

/// The end of a side.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum SideEnd {
    /// The target answered.
    Reached {
        /// Its hop, if that is known.
        distance: Option<u8>,
        /// Whether the port is open, if an answer shows it.
        is_open: Option<bool>,
        /// The RTT in the middle of its answers, or that of its answer to the knock alone.
        rtt: Option<Duration>,
    },
    /// Somebody answers in the target's name, or may do so.
    Proxied(Proxy),
    /// Somebody refuses to pass the probes on.
    Refused {
        /// The last hop that probes got to and were not refused at; 0 if there is none.
        after: u8,
        /// The host that says so.
        by: IpAddr,
        /// The reason that it gives.
        how: Refusal,
    },
    /// Nothing more came.
    Quiet {
        /// The last hop that probes got to, as far as answers prove; 0 if there is none.
        after: u8,
        /// Answers from behind it that prove nothing, if there are any.
        unproven: Option<Unproven>,
    },
    /// Nothing more came in the time that was waited.
    Timeout {
        /// The last hop that probes got to, as far as answers prove.
        after: u8,
        /// Answers from behind it that prove nothing, if there are any.
        unproven: Option<Unproven>,
    },
    /// The path goes round in a loop.
    Loop {
        /// The last hop that probes got to.
        after: u8,
    },
    /// The target is farther away than the hops that were probed.
    MaxHops {
        /// The last hop that probes got to, as far as answers prove.
        after: u8,
        /// Answers from behind it that prove nothing, if there are any.
        unproven: Option<Unproven>,
    },
    /// It failed on this machine: nothing was sent, or what was left was not.
    Local {
        /// The reason, and the remedy where there is one.
        why: String,
    },
    /// It was interrupted, or there was no room for more probes.
    Interrupted {
        /// The last hop that probes got to, so far.
        after: u8,
    },
}

/// Answers that prove nothing, so that they decide nothing.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub struct Unproven {
    /// The last hop with such an answer. If one is in the target's name: the first hop with one of
    /// those.
    pub hop: u8,
    /// Whether it is in the target's name.
    pub is_target: bool,
}

/// The reason of somebody who refuses to pass probes on.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum Refusal {
    /// A firewall forbids it.
    Filtered,
    /// A router rejects packets to this port.
    Rejected,
    /// The packets are too big for a link.
    TooBig,
    /// There is no way to the target.
    Unreachable,
}

impl SideEnd {
    /// Returns its name in documents.
    #[must_use]
    pub const fn as_str(&self) -> &'static str {
        match self {
            Self::Reached { .. } => "reached",
            Self::Proxied(Proxy {
                is_certain: true, ..
            }) => "proxied",
            Self::Proxied(_) => "perhaps_proxied",
            Self::Refused { how, .. } => how.as_str(),
            Self::Quiet { .. } => "quiet",
            Self::Timeout { .. } => "timeout",
            Self::Loop { .. } => "loop",
            Self::MaxHops { .. } => "max_hops",
            Self::Local { .. } => "local",
            Self::Interrupted { .. } => "interrupted",
        }
    }

    /// Returns whether the target answered, beyond doubt.
    #[must_use]
    pub const fn is_reached(&self) -> bool {
        matches!(self, Self::Reached { .. })
    }

    /// Returns the last hop that probes got to, where they didn't get to the target.
    #[must_use]
    pub const fn after(&self) -> Option<u8> {
        match self {
            Self::Refused { after, .. }
            | Self::Quiet { after, .. }
            | Self::Timeout { after, .. }
            | Self::Loop { after }
            | Self::MaxHops { after, .. }
            | Self::Interrupted { after } => Some(*after),
            Self::Reached { .. } | Self::Proxied(_) | Self::Local { .. } => None,
        }
    }

    /// Returns the answers from behind the last hop that probes are known to have got to, if they
    /// prove nothing.
    #[must_use]
    pub const fn unproven(&self) -> Option<Unproven> {
        match self {
            Self::Quiet { unproven, .. }
            | Self::Timeout { unproven, .. }
            | Self::MaxHops { unproven, .. } => *unproven,
            _ => None,
        }
    }

    /// Returns the state of the target's port, `open` or `closed`, if an answer shows it.
    #[must_use]
    pub const fn port_state(&self) -> Option<&'static str> {
        match self {
            Self::Reached {
                is_open: Some(true),
                ..
            } => Some("open"),
            Self::Reached {
                is_open: Some(false),
                ..
            } => Some("closed"),
            _ => None,
        }
    }

    /// Returns the end of a route.
    pub(super) fn of(route: &Route) -> Self {
        let after = route.hops().filter(Hop::is_passed).last();
        let after = after.map_or(0, |hop| hop.number());
        if let Some(proxy) = route.proxy() {
            return Self::Proxied(proxy);
        }
        // The target itself may refuse: that is no way to it.
        if route.stop_reason() == Some(StopReason::Unreachable)
            && route.knock().is_none()
            && let Some((by, how)) = refusal(route)
        {
            return Self::Refused { after, by, how };
        }
        if route.reached() {
            return Self::Reached {
                distance: route.distance(),
                is_open: route.is_open(),
                rtt: median(&target_rtts(route)).or(route.knock_rtt()),
            };
        }
        let unproven = Unproven::of(route, after);
        match route.stop_reason() {
            Some(StopReason::Unreachable) => Self::Quiet { after, unproven },
            Some(StopReason::Loop) => Self::Loop { after },
            Some(StopReason::MaxHops) => Self::MaxHops { after, unproven },
            Some(StopReason::Interrupted | StopReason::NoRoom) | None => {
                Self::Interrupted { after }
            }
            _ => match route.failure() {
                Some(failure) => Self::Local {
                    why: route.failure_text(failure),
                },
                None if route.stop_reason() == Some(StopReason::Timeout) && after > 0 => {
                    Self::Timeout { after, unproven }
                }
                None => Self::Quiet { after, unproven },
            },
        }
    }
}

impl Unproven {
    /// Returns the last hop behind another one with answers that prove nothing. What the target
    /// says to probes that go past it stands at its own hop.
    fn of(route: &Route, after: u8) -> Option<Self> {
        let target = route.summary().target;
        let behind = || route.hops().filter(move |hop| hop.number() > after);
        let is_target =
            |hop: &Hop<'_>| hop.replies().any(|it| it.from == target && !it.is_proven());
        if let Some(hop) = behind().find(is_target) {
            let (hop, is_target) = (hop.number(), true);
            return Some(Self { hop, is_target });
        }
        let is_unproven = |hop: &Hop<'_>| hop.replies().any(|reply| !reply.is_proven());
        let last = behind().filter(is_unproven).last()?;
        Some(Self {
            hop: last.number(),
            is_target: false,
        })
    }
}

impl Refusal {
    /// Returns its name in documents.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Filtered => "filtered",
            Self::Rejected => "rejected",
            Self::TooBig => "too_big",
            Self::Unreachable => "unreachable",
        }
    }

    fn of(reply: &Reply, protocol: ProbeProtocol) -> Self {
        let family = AddressFamily::of(reply.from);
        match (family, reply.icmp_type, reply.icmp_code) {
            _ if reply.mtu.is_some() => Self::TooBig,
            // RFC 1812, section 5.2.7.1; RFC 4443, section 3.1.
            (AddressFamily::V4, 3, 9 | 10 | 13) | (AddressFamily::V6, 1, 1 | 5 | 6) => {
                Self::Filtered
            }
            (AddressFamily::V4, 3, 3) | (AddressFamily::V6, 1, 4)
                if protocol != ProbeProtocol::Icmp =>
            {
                Self::Rejected
            }
            _ => Self::Unreachable,
        }
    }
}

/// Returns who refuses to pass the probes of a route on, and why: of the last hop with an answer.
fn refusal(route: &Route) -> Option<(IpAddr, Refusal)> {
    let proven = |hop: Hop<'_>| hop.replies().filter(Reply::is_proven).collect::<Vec<_>>();
    let answered = route
        .hops()
        .map(proven)
        .filter(|replies| !replies.is_empty());
    let last = answered.last()?;
    let refusals = last.iter().filter(|reply| reply.kind == Kind::Unreachable);
    let told = refusals.map(|reply| (reply.from, Refusal::of(reply, route.protocol())));
    // A firewall that forbids is a better reason than that nobody is there.
    told.min_by_key(|(_, how)| match how {
        Refusal::Filtered => 0,
        Refusal::Rejected => 1,
        Refusal::TooBig => 2,
        Refusal::Unreachable => 3,
    })
}

/// Returns the RTTs of the target's own answers, sorted. An ACK that another SYN has drawn is too
/// late.
pub(super) fn target_rtts(route: &Route) -> Vec<Duration> {
    let is_in_time = |reply: &Reply| {
        let answer = route.target_answer(reply);
        reply.evidence() == Evidence::Strong
            && answer.is_some_and(|answer| answer != TargetAnswer::Ack)
    };
    let target = route.hops().filter(Hop::is_target);
    let replies = target.flat_map(|hop| hop.replies().filter(is_in_time).collect::<Vec<_>>());
    let mut rtts: Vec<Duration> = replies.map(|reply| reply.rtt).collect();
    rtts.sort_unstable();
    rtts
}

/// Returns the RTT in the middle of a sorted list, or halfway between the two there.
pub(super) fn median(sorted: &[Duration]) -> Option<Duration> {
    let last = sorted.len().checked_sub(1)?;
    let (lower, upper) = (sorted.get(last / 2)?, sorted.get(last.div_ceil(2))?);
    Some(lower.saturating_add(*upper) / 2)
}
