//! Checks whether it is the target that answers, or a proxy in its name.
//!
//! A proxy, a local redirect, or a firewall that completes connections itself, answers TCP or UDP
//! with the target's address. Nothing in such an answer shows it. But ICMP Echo goes past it: where
//! a router is heard by ICMP as far away as the target is said to be, or farther, the target is not
//! there.
//!
//! One Echo Request goes as far as the trace may. If the target answers it from as far away as it
//! answers the trace, it is one machine. Else another one goes just as far as the target seems to
//! be away. If a router answers that, some more are sent: each is of another flow, and ways may
//! differ in length.

use crate::storage::Tracer;
use crate::trace_id::TraceId;
use hopshot_core::{Evidence, Instant, Kind, Reply};
use std::net::IpAddr;
use std::time::Duration;

/// The distance of a target is told better and better; no more of them are checked.
const MOST: usize = 4;

/// Flows of which each finds a router where the target is said to be.
const FLOWS: usize = 5;

/// Requests of which none shows that the target is one machine.
const TRIES: usize = 2;

/// An answer to a check is waited for as long as to any probe whose answer is overdue, and at least
/// so long: a router may be far behind a proxy that is near.
const LEAST_WAIT: Duration = Duration::from_millis(90);

/// The checks of a trace.
#[derive(Debug, Default)]
pub(crate) struct Checks {
    /// Whether there are to be any.
    pub(crate) are_wanted: bool,
    /// The distance of the target, as far as it was known before.
    pub(crate) known: Option<u8>,
    /// The target's answer to a knock.
    pub(crate) knocked: Option<Reply>,
    made: Vec<Check>,
}

/// An Echo Request to the target of a trace.
#[derive(Debug)]
struct Check {
    id: TraceId,
    hop: u8,
    reply: Option<Reply>,
}

/// What is known of a target that has answered.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Verdict {
    /// A check as far as this tells.
    Ask(u8),
    /// The answer to a check tells.
    Wait(TraceId),
    /// Nothing speaks against the target.
    Target,
    /// A router has answered this where the target is said to be.
    Proxy(Reply),
}

impl Checks {
    /// Remembers a check that is to leave.
    pub(crate) fn add(&mut self, id: TraceId, hop: u8) {
        let reply = None;
        self.made.push(Check { id, hop, reply });
    }

    /// Takes the answer to a check.
    pub(crate) fn take(&mut self, id: TraceId, reply: Reply) {
        if let Some(check) = self.made.iter_mut().find(|check| check.id == id) {
            check.reply = Some(reply);
        }
    }

    /// Returns how far the next check goes, if one may as well leave before it is asked for.
    pub(crate) fn next(&self, tracer: &Tracer) -> Option<u8> {
        let far = tracer.config().max_hops;
        if !self.are_wanted || self.at(far).next().is_none() {
            return self.are_wanted.then_some(far);
        }
        let knocked = || self.knocked.and_then(|reply| reply.hops_back());
        let hop = tracer.route().distance().or_else(knocked).or(self.known)?;
        let is_new = self.at(hop).next().is_none() && self.made.len() < MOST;
        let is_one = self.is_one_machine(self.knocked) || self.is_one_machine(targets(tracer));
        (is_new && !is_one).then_some(hop)
    }

    /// Judges the target of a trace. `is_over` says whether the answer to a check is no longer
    /// waited for.
    pub(crate) fn judge(&self, tracer: &Tracer, is_over: impl Fn(TraceId) -> bool) -> Verdict {
        let route = tracer.route();
        let Some(distance) = route.distance().filter(|_| self.are_wanted) else {
            return Verdict::Target;
        };
        let is_targets = |check: &Check| check.reply.is_some_and(|reply| is_targets(&reply));
        let mut as_near = self.made.iter().filter(|check| check.hop <= distance);
        if as_near.any(is_targets) || self.is_one_machine(targets(tracer)) {
            return Verdict::Target;
        }
        // A way that is longer for ICMP leads through the same router, later.
        let before = route.hops().filter(|hop| hop.number() < distance);
        let known: Vec<IpAddr> = before
            .flat_map(|hop| hop.replies().map(|reply| reply.from).collect::<Vec<_>>())
            .chain([tracer.config().target])
            .collect();
        let mut router = None;
        for check in self.at(distance) {
            let Some(reply) = check.reply else {
                return match is_over(check.id) {
                    true => Verdict::Target,
                    false => Verdict::Wait(check.id),
                };
            };
            if reply.kind != Kind::TimeExceeded
                || reply.evidence() != Evidence::Strong
                || known.contains(&reply.from)
            {
                return Verdict::Target;
            }
            router = Some(reply);
        }
        let far = tracer.config().max_hops;
        match router {
            Some(_) if self.at(distance).count() < FLOWS => Verdict::Ask(distance),
            Some(_) if self.at(far).count() < TRIES => Verdict::Ask(far),
            Some(reply) => {
                let is_open = |check: &&Check| check.reply.is_none() && !is_over(check.id);
                let open = self.at(far).find(is_open);
                open.map_or(Verdict::Proxy(reply), |check| Verdict::Wait(check.id))
            }
            None if self.made.len() < MOST => Verdict::Ask(distance),
            None => Verdict::Target,
        }
    }

    /// Returns what shows that a proxy answers in the target's name, if anything does.
    pub(crate) fn proxy(&self, tracer: &Tracer) -> Option<Reply> {
        match self.judge(tracer, |_| true) {
            Verdict::Proxy(reply) => Some(reply),
            _ => None,
        }
    }

    /// The checks that went as far as this.
    fn at(&self, hop: u8) -> impl Iterator<Item = &Check> {
        self.made.iter().filter(move |check| check.hop == hop)
    }

    /// Whether the target has answered ICMP from as far away as it has answered otherwise, by the
    /// hop limits of its answers.
    fn is_one_machine(&self, answers: impl IntoIterator<Item = Reply>) -> bool {
        let checks = self.made.iter().filter_map(|check| check.reply);
        let backs: Vec<u8> = checks
            .filter(is_targets)
            .filter_map(|reply| reply.hop_limit)
            .collect();
        let has_back = |reply: Reply| reply.hop_limit.is_some_and(|back| backs.contains(&back));
        answers.into_iter().any(has_back)
    }
}

/// Returns the target's answers.
fn targets(tracer: &Tracer) -> Vec<Reply> {
    let hops = tracer.route().hops();
    let all = hops.flat_map(|hop| hop.replies().filter(is_targets).collect::<Vec<_>>());
    all.collect()
}

fn is_targets(reply: &Reply) -> bool {
    reply.kind == Kind::Reply && reply.evidence() == Evidence::Strong
}

/// Returns until when the answer to a check is waited for that left then, once its trace has ended.
pub(crate) fn wait(tracer: &Tracer, left: Instant) -> Instant {
    let route = tracer.route();
    let slowest = route
        .hops()
        .flat_map(|hop| hop.replies().map(|reply| reply.rtt).max())
        .max()
        .unwrap_or_default();
    let overdue = slowest + slowest / 8 + Duration::from_millis(2);
    let patience = u32::from(tracer.config().patience);
    left.saturating_add(overdue.max(LEAST_WAIT).saturating_mul(patience))
}
