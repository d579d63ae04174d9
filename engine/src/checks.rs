//! Checks whether it is the target that answers, or a proxy in its name.
//!
//! A proxy, a local redirect, or a firewall that completes connections itself, answers TCP or UDP
//! with the target's address. Nothing in such an answer shows it. But ICMP Echo goes past it: where
//! a router answers that at the target's hop, the target is farther away.
//!
//! One Echo Request goes as far as the trace may. If the target answers it from as far away as it
//! answers the trace, it is one machine. Else some go to the target's hop, each of another flow,
//! with a second one to the hop before. If a router answers, and the hop before is the same as the
//! trace's, a proxy answers for the target. If the hop before is another one, ICMP has taken
//! another way, which may be longer, and shows nothing.
//!
//! Where no socket for ICMP may be opened UDP checks TCP: the target answers with Port Unreachable.

use crate::protocol::ProbeProtocol;
use crate::storage::Tracer;
use crate::trace_id::TraceId;
use hopshot_core::{Evidence, Kind, Reply};
use std::net::IpAddr;
use std::time::Duration;

/// Most checks that leave before the trace ends. Each better estimate of the distance may cost
/// some.
const MOST_EARLY: usize = 5;

/// Flows that must find a router in the target's place. Linux sends six errors to a host before it
/// limits them to one a second.
const FLOWS: usize = 3;

/// Checks that go to one hop, since some may be lost.
const LEAST_AT_HOP: usize = 2;
const MOST_AT_HOP: usize = 6;

/// Checks to the last hop before a proxy is called certain.
const LEAST_FAR: usize = 2;

/// An answer to a check is waited for as long as to any probe whose answer is overdue, and at least
/// so long: a router may be far behind a proxy that is near.
const LEAST_WAIT: Duration = Duration::from_millis(90);

/// Evidence of a proxy that answers in the target's name, or of a redirect, a firewall that
/// completes connections itself, or another machine with the target's address.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct Proxy {
    /// The hop that answers.
    pub hop: u8,
    /// The router that answers probes of another protocol there.
    pub router: IpAddr,
    /// That protocol: ICMP, or where no socket for that may be opened UDP.
    pub protocol: ProbeProtocol,
    /// Whether routers answered there on several flows, and the hop before was the trace's wherever
    /// it is known, at least once. Else ICMP may have taken another way, which is longer.
    pub is_certain: bool,
}

/// The checks of a trace.
#[derive(Debug, Default)]
pub(crate) struct Checks {
    /// The protocol of those that are to be made, if there are to be any.
    pub(crate) protocol: Option<ProbeProtocol>,
    /// Whether they are decided, as far as they can be.
    pub(crate) are_over: bool,
    /// Whether each probe of the trace is of another flow, so that what answers at one hop may be
    /// on another way than what answers at the next.
    pub(crate) has_many_flows: bool,
    /// The proxy that was found before. If it is still there one flow tells, and silence doesn't
    /// change it.
    pub(crate) found: Option<Proxy>,
    made: Vec<Check>,
}

/// A probe to the target of a trace, and perhaps one of the same flow to the hop before.
#[derive(Debug)]
struct Check {
    id: TraceId,
    hop: u8,
    asks_before: bool,
    reply: Option<Reply>,
    before: Option<Reply>,
}

impl Check {
    /// Whether an answer may still come within a time after it left.
    fn is_awaited(&self, span: Duration, age: impl Fn(TraceId) -> Option<Duration>) -> bool {
        let is_whole = self.reply.is_some() && (self.before.is_some() || !self.asks_before);
        !is_whole && age(self.id).is_some_and(|age| age < span)
    }

    /// Its answers.
    fn replies(&self) -> impl Iterator<Item = Reply> {
        self.reply.into_iter().chain(self.before)
    }
}

/// The next step before a trace ends.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Todo {
    /// A check as far as this tells.
    Ask(u8),
    /// The answer to a check tells, until so long after it left.
    Wait(TraceId, Duration),
    Nothing,
}

/// The evidence about a target that has answered.
enum Shown {
    /// Nothing speaks against the target.
    Target,
    /// Routers have answered where the target is said to be, and whether they are on its way, as
    /// far as that is known.
    Routers(Vec<(IpAddr, Option<bool>)>),
}

impl Checks {
    /// Whether none was made.
    pub(crate) const fn is_empty(&self) -> bool {
        self.made.is_empty()
    }

    /// Returns the target's answer to a check.
    pub(crate) fn answer(&self) -> Option<Reply> {
        self.made.iter().flat_map(Check::replies).find(is_targets)
    }

    /// Remembers a check that is to leave.
    pub(crate) fn add(&mut self, id: TraceId, hop: u8, asks_before: bool) {
        let (reply, before) = (None, None);
        self.made.push(Check {
            id,
            hop,
            asks_before,
            reply,
            before,
        });
    }

    /// Takes the answer to a check. A weak one is none.
    pub(crate) fn take(&mut self, id: TraceId, reply: Reply) {
        if let Some(check) = self.made.iter_mut().find(|check| check.id == id)
            && reply.evidence() == Evidence::Strong
        {
            match reply.probe.hop == check.hop {
                true => check.reply = Some(reply),
                false => check.before = Some(reply),
            }
        }
    }

    /// Returns how far the next check goes, if one may as well leave before it is asked for. `age`
    /// tells when a check left, `knocked` is the target's answer to a knock, and `guess` is how far
    /// away it may be.
    pub(crate) fn next(
        &self,
        tracer: &Tracer,
        age: impl Fn(TraceId) -> Option<Duration>,
        knocked: Option<Reply>,
        guess: Option<u8>,
    ) -> Option<u8> {
        let far = tracer.config().max_hops;
        if self.protocol.is_none() || self.made.len() >= MOST_EARLY {
            return None;
        }
        if self.made.is_empty() {
            return Some(far);
        }
        let hop = tracer.route().distance().or(guess)?;
        if hop > far || self.at(hop).count() >= self.least_at(hop) {
            return None;
        }
        let mut answers = targets(tracer);
        answers.extend(knocked);
        let is_one = self.is_one_machine(&answers);
        // A TCP socket tells no hop limit that the answer to the first check could be compared with.
        let tells = !self.has_many_flows;
        let is_awaited = tells && self.is_awaited(far, late_after(tracer, &answers), age);
        (!is_one && !is_awaited).then_some(hop)
    }

    /// Returns what is to be done before a trace ends. `age` tells how long ago a check left, if it
    /// is still waited for.
    pub(crate) fn todo(&self, tracer: &Tracer, age: impl Fn(TraceId) -> Option<Duration>) -> Todo {
        let (Some(distance), Some(_)) = (tracer.route().distance(), self.protocol) else {
            return Todo::Nothing;
        };
        let far = tracer.config().max_hops;
        let overdue = late_after(tracer, &targets(tracer));
        let factor = u32::from(tracer.config().patience);
        let longest = overdue.max(LEAST_WAIT.saturating_mul(factor));
        let wait = |hop: u8, span: Duration| {
            let open = self.at(hop).find(|check| check.is_awaited(span, &age));
            open.map_or(Todo::Nothing, |check| Todo::Wait(check.id, span))
        };
        let made = self.at(distance).count();
        let found = match self.shown(tracer, distance) {
            Shown::Target => return Todo::Nothing,
            Shown::Routers(found) => found,
        };
        // The first check left together with the probe that the target has answered, so its answer
        // is due.
        if made == 0 && self.is_awaited(far, overdue, &age) {
            return wait(far, overdue);
        }
        if made < self.least_at(distance) {
            return Todo::Ask(distance);
        }
        let is_known = self.found_at(distance).is_some();
        if !found.is_empty() && !is_known {
            if self.at(far).count() < LEAST_FAR {
                return Todo::Ask(far);
            }
            let silent = self.at(distance).filter(|check| check.reply.is_none());
            let open = silent
                .filter(|check| check.is_awaited(longest, &age))
                .count();
            let on_way = found.iter().filter(|it| it.1 != Some(false)).count();
            if on_way + open < FLOWS && made < MOST_AT_HOP {
                return Todo::Ask(distance);
            }
        }
        match (wait(distance, longest), found.is_empty()) {
            (Todo::Nothing, false) => wait(far, if is_known { overdue } else { longest }),
            (todo, _) => todo,
        }
    }

    /// Returns the proxy that answers in the target's name, if anything shows one.
    pub(crate) fn proxy(&self, tracer: &Tracer) -> Option<Proxy> {
        let (hop, protocol) = (tracer.route().distance()?, self.protocol?);
        let Shown::Routers(found) = self.shown(tracer, hop) else {
            return None;
        };
        let before = self.found_at(hop);
        if found.is_empty() {
            return before;
        }
        let count = |is_on_way| found.iter().filter(|it| it.1 == is_on_way).count();
        let (on_way, off_way) = (count(Some(true)), count(Some(false)));
        // Where all ICMP goes another way nothing is shown.
        let Some((router, _)) = found.iter().find(|it| it.1 != Some(false)) else {
            return before;
        };
        let is_shown = before.is_some() || on_way > 0 && found.len() >= FLOWS;
        Some(Proxy {
            hop,
            router: *router,
            protocol,
            is_certain: is_shown && off_way == 0,
        })
    }

    /// Whether it is certain that the target has answered, and no proxy.
    pub(crate) fn clears(&self, tracer: &Tracer) -> bool {
        let distance = tracer
            .route()
            .distance()
            .filter(|_| self.protocol.is_some());
        distance.is_some_and(|distance| matches!(self.shown(tracer, distance), Shown::Target))
    }

    fn shown(&self, tracer: &Tracer, distance: u8) -> Shown {
        let mut replies = self.made.iter().flat_map(Check::replies);
        let is_there = replies.any(|reply| reply.probe.hop <= distance && is_targets(&reply));
        if is_there || self.is_one_machine(&targets(tracer)) {
            return Shown::Target;
        }
        // A way that is longer for ICMP leads through the same router, later; and a machine that
        // translates its own address says in that name that a packet has expired.
        let before = (1..distance).flat_map(|hop| answerers(tracer, hop));
        let innocent: Vec<IpAddr> = before.chain([tracer.config().target]).collect();
        let last = answerers(tracer, distance.saturating_sub(1));
        let is_steady = !self.has_many_flows || self.is_one_way(tracer, distance, &last);
        let is_on_way = |before: Option<Reply>| match distance {
            1 => Some(true),
            _ if last.is_empty() => None,
            _ => before
                .map(|reply| last.contains(&reply.from))
                .filter(|is_on_way| is_steady || !is_on_way),
        };
        let mut routers = Vec::new();
        for check in self.at(distance) {
            let Some(reply) = check.reply else { continue };
            if reply.kind != Kind::TimeExceeded || innocent.contains(&reply.from) {
                return Shown::Target;
            }
            routers.push((reply.from, is_on_way(check.before)));
        }
        Shown::Routers(routers)
    }

    /// Whether as many flows as show a proxy meet the same router, and behind it the target, by its
    /// name.
    fn is_one_way(&self, tracer: &Tracer, distance: u8, last: &[IpAddr]) -> bool {
        let target = tracer.config().target;
        let here = answerers(tracer, distance);
        let is_same = |all: &[IpAddr], it: Option<&IpAddr>| {
            all.len() >= FLOWS && all.iter().all(|one| Some(one) == it)
        };
        is_same(last, last.first()) && is_same(&here, Some(&target))
    }

    /// The proxy that was found at this hop before.
    fn found_at(&self, hop: u8) -> Option<Proxy> {
        self.found.filter(|found| found.hop == hop)
    }

    /// How many checks go to a hop at least.
    fn least_at(&self, hop: u8) -> usize {
        match self.found_at(hop) {
            Some(_) => 1,
            None => LEAST_AT_HOP,
        }
    }

    fn is_awaited(
        &self,
        hop: u8,
        span: Duration,
        age: impl Fn(TraceId) -> Option<Duration>,
    ) -> bool {
        self.at(hop).any(|check| check.is_awaited(span, &age))
    }

    /// The checks that went as far as this.
    fn at(&self, hop: u8) -> impl Iterator<Item = &Check> {
        self.made.iter().filter(move |check| check.hop == hop)
    }

    /// Whether the target has answered ICMP from as far away as it has answered otherwise, by the
    /// hop limits of its answers.
    fn is_one_machine(&self, answers: &[Reply]) -> bool {
        let checks = self.made.iter().flat_map(Check::replies);
        let backs: Vec<u8> = checks
            .filter(is_targets)
            .filter_map(|reply| reply.hops_back())
            .collect();
        let has_back = |reply: &Reply| reply.hops_back().is_some_and(|back| backs.contains(&back));
        answers.iter().any(has_back)
    }
}

/// Returns the addresses that have answered a trace at a hop, beyond doubt.
fn answerers(tracer: &Tracer, hop: u8) -> Vec<IpAddr> {
    let hops = tracer.route().hops().filter(|it| it.number() == hop);
    let strong = |reply: &Reply| reply.evidence() == Evidence::Strong;
    let all = hops.flat_map(|hop| hop.replies().filter(strong).collect::<Vec<_>>());
    all.map(|reply| reply.from).collect()
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

/// For how long after it left an answer that is as far away as these isn't late.
fn late_after(tracer: &Tracer, answers: &[Reply]) -> Duration {
    let slowest = answers.iter().map(|reply| reply.rtt).max();
    overdue(slowest.unwrap_or_default()).saturating_mul(tracer.config().patience.into())
}

/// For how long after it left an answer isn't late where the slowest took so long.
pub(crate) fn overdue(slowest: Duration) -> Duration {
    slowest + slowest / 8 + Duration::from_millis(2)
}
