//! Asides: probes that are to tell a trace something of its target. Each is a trace of a probe, or
//! two, with an identity of its own.
//!
//! A *knock* finds out about how far away a target is where each probe past it is a connection to
//! somebody's server. It goes as far as its trace may, from a port of its own: of two SYNs on one
//! flow the target answers only the first. The hop limit of the answer tells the distance on the
//! way back. A trace knocks once: when it begins, unless it knows how far away the target is, or
//! else when everything is silent, since the target may have moved. The kernel doesn't say with
//! which hop limit a TCP socket was answered. There a trace never begins with a knock, checks tell
//! the distance, and without them the hops are probed one after the other.
//!
//! A *check* finds out whether it is the target that answers: see [`checks`](crate::checks).

use super::Driver;
use crate::checks::{Proxy, Todo, overdue};
use crate::link::{Link, SocketKind};
use crate::protocol::{ProbeProtocol, Probes};
use crate::running::{Aside, Asides, Endurance, Running};
use crate::schedule::Schedule;
use crate::trace_id::TraceId;
use hopshot_core::{Config, Evidence, Instant, Kind, Reply, StopReason, Sweep};
use std::collections::BTreeMap;
use std::net::IpAddr;
use std::ops::RangeInclusive;
use std::time::Duration;

/// Hardly a path is longer.
const FARTHEST: u8 = 30;

/// Hops behind the last router that are looked at one after the other, where the target is known to
/// answer.
const STEPS: u8 = 8;

/// Where no router as far as this answers, none does, most likely.
const DARK: u8 = 5;

/// The wait for a knock that has left behind all other probes, at least: the target may be an ocean
/// behind the last router.
const BEHIND: Duration = Duration::from_millis(480);

/// From one look for that to the next.
const GLANCE: Duration = Duration::from_millis(20);

/// Targets whose proxies are remembered.
const MOST_PROXIES: usize = 1_024;

impl<L: Link> Driver<L> {
    /// Permits a trace that has just been added to knock: at once if nothing is known of its
    /// target, or else if everything is silent. `remembered` is the distance of the target, if that
    /// is known.
    pub(crate) fn permit_knock(&mut self, id: TraceId, at_once: bool, remembered: Option<u8>) {
        let Some(trace) = self.traces.get_mut(&id) else {
            return;
        };
        let listener = self.listeners.get(trace.listener);
        let is_mute = listener.is_some_and(|listener| listener.port.kind == SocketKind::Tcp);
        let at_once = at_once && !is_mute;
        trace.knock.is_permitted = true;
        trace.knock.is_mute = is_mute;
        trace.knock.takes_turns = listener.is_some_and(|listener| listener.port.room == Some(1));
        trace.knock.remembered = remembered;
        trace.knock.steps = STEPS;
        if at_once {
            self.knock(id);
        }
    }

    /// Permits a trace that has just been added to check whether it is its target that answers, if
    /// there is a port for it.
    pub(crate) fn permit_checks(&mut self, id: TraceId) {
        let Some(trace) = self.traces.get(&id) else {
            return;
        };
        let (protocol, family) = (trace.tracer.protocol().protocol(), trace.family());
        let has_port = |check: &ProbeProtocol| {
            check.number(family) != protocol.number(family)
                && self.listeners_of(family, *check).next().is_some()
        };
        let target = trace.tracer.config().target;
        let is_beyond = !trace.is_to_itself && !target.is_multicast();
        let check = [ProbeProtocol::Icmp, ProbeProtocol::UNUSED_UDP]
            .into_iter()
            .find(|check| is_beyond && protocol != ProbeProtocol::Icmp && has_port(check));
        let has_many_flows = self.has_many_flows(family, protocol);
        let Some(trace) = self.traces.get_mut(&id) else {
            return;
        };
        trace.checks.protocol = check;
        trace.checks.has_many_flows = has_many_flows;
        trace.checks.found = self.proxies.get(&target).copied();
    }

    /// Sends knocks and checks ahead of need. Returns when to look again if nothing comes before,
    /// where that is known.
    pub(super) fn send_asides(&mut self, id: TraceId, now: Instant) -> Option<Instant> {
        let trace = self.traces.get(&id)?;
        let (age, knocked) = (self.age_of_asides(now), trace.knock.answer);
        let guess = match trace.knock.is_mute {
            true => trace.checks.answer(),
            false => knocked,
        };
        let guess = guess.and_then(|reply| reply.hops_back());
        let guess = guess.filter(|hops| *hops <= FARTHEST);
        let guess = guess.or(trace.knock.remembered.filter(|_| trace.knock.is_mute));
        let next = trace.checks.next(&trace.tracer, age, knocked, guess);
        let knocks_at = trace.knocks_at();
        if knocks_at.is_some_and(|at| at <= now) {
            self.knock(id);
        }
        if let Some(hop) = next {
            self.ask_as_far(id, hop);
        }
        self.go_on(id, now)
            .or_else(|| knocks_at.filter(|at| *at > now))
    }

    /// Looks for a target that has answered a knock, which doesn't tell how far away it is: hop
    /// after hop behind the last that were probed. Where no router has answered, as far as
    /// [`DARK`], nothing more is to be known, and the trace ends. Returns when to look again.
    fn go_on(&mut self, id: TraceId, now: Instant) -> Option<Instant> {
        let trace = self.traces.get_mut(&id)?;
        let knock = trace.knock.answer.filter(|_| trace.knock.is_mute)?;
        let (route, config) = (trace.tracer.route(), trace.tracer.config());
        let patience = overdue(knock.rtt).saturating_mul(config.patience.into());
        let is_from_start = trace.first_probed()? == config.first_hop;
        if route.distance().is_some() || route.stop_reason().is_some() {
            return None;
        }
        let farthest = trace.farthest();
        let known = trace.knock.edge.filter(|(edge, _)| *edge >= farthest);
        let (edge, since) = *trace.knock.edge.insert(known.unwrap_or((farthest, now)));
        let over = since.saturating_add(patience);
        let ends = is_dark(trace) && is_from_start && trace.head.is_none();
        // What was permitted last is to have left.
        if farthest < edge || !ends && !may_step(trace) {
            return None;
        }
        if over <= now && ends {
            trace.tracer.conclude();
        } else if over <= now {
            step(trace, now);
        }
        Some(over.max(now))
    }

    /// Waits for a knock of a trace that has ended, and looks for the target that has answered it.
    /// Where probes leave one after the other the knock may have left last. Returns when to look
    /// again.
    fn outlast(&mut self, id: TraceId, now: Instant) -> Option<Instant> {
        let trace = self.traces.get(&id)?;
        let (route, knock) = (trace.tracer.route(), &trace.knock);
        let is_over = route.stop_reason() == Some(StopReason::Quiet) && route.distance().is_none();
        if !is_over || !knock.takes_turns || trace.head.is_some() {
            return None;
        }
        let is_awaited = knock.answer.is_none() && self.is_knocking(trace, now);
        let trace = self.traces.get_mut(&id)?;
        trace.knock.is_awaited = is_awaited;
        if is_awaited {
            return Some(now.saturating_add(GLANCE));
        }
        if trace.knock.answer.is_none() || !may_step(trace) {
            return None;
        }
        step(trace, now);
        let first_hop = trace.tracer.config().first_hop;
        trace.tracer.start_from(first_hop).ok()?;
        Some(now)
    }

    /// Whether an answer to a trace's knock may still come.
    fn is_knocking(&self, trace: &Running, now: Instant) -> bool {
        let is_knock = |aside: &TraceId| self.asides.get(aside).is_some_and(|it| !it.is_check);
        let knock = trace.asides.iter().copied().find(is_knock);
        let age = knock.and_then(self.age_of_asides(now));
        age.is_some_and(|age| age < BEHIND)
    }

    /// Looks whether it is the target that has answered a trace that is about to end. Returns when
    /// to look again if that isn't known yet.
    pub(super) fn check(&mut self, id: TraceId, now: Instant) -> Option<Instant> {
        if let Some(due) = self.outlast(id, now) {
            return Some(due);
        }
        let trace = self.traces.get(&id)?;
        match trace.checks.todo(&trace.tracer, self.age_of_asides(now)) {
            Todo::Ask(hop) if self.ask_as_far(id, hop) => Some(now),
            Todo::Wait(check, span) => {
                let left = self.traces.get(&check).and_then(|check| check.last_left);
                Some(left.unwrap_or(now).saturating_add(span))
            }
            // Or none that there is a socket for.
            Todo::Nothing | Todo::Ask(_) => {
                if let Some(trace) = self.traces.get_mut(&id) {
                    trace.checks.are_over = true;
                }
                None
            }
        }
    }

    /// How long ago an aside left, with all its probes, if it is still waited for.
    fn age_of_asides(&self, now: Instant) -> impl Fn(TraceId) -> Option<Duration> {
        move |aside| {
            let aside = self.traces.get(&aside)?;
            let (route, config) = (aside.tracer.route(), aside.tracer.config());
            let is_sent = route.probes_sent() > usize::from(config.max_hops - config.first_hop);
            let left = aside.last_left.filter(|_| is_sent);
            let age = left.map_or(Duration::ZERO, |left| now.saturating_since(left));
            route.stop_reason().is_none().then_some(age)
        }
    }

    /// Remembers the proxy that the checks of a trace have found, for the next trace to its target;
    /// forgets it only where it is certain that there is none.
    pub(crate) fn remember_proxy(&mut self, target: IpAddr, proxy: Option<Proxy>, is_clear: bool) {
        if is_clear {
            self.proxies.remove(&target);
        }
        let has_room = self.proxies.len() < MOST_PROXIES || self.proxies.contains_key(&target);
        if let Some(proxy) = proxy.filter(|proxy| proxy.is_certain && has_room) {
            self.proxies.insert(target, proxy);
        }
    }

    /// Sends a check. One to the target's hop also sends a probe to the hop before. Returns whether
    /// that can be done.
    fn ask_as_far(&mut self, id: TraceId, hop: u8) -> bool {
        let Some(trace) = self.traces.get(&id) else {
            return false;
        };
        let far = trace.tracer.config().max_hops;
        let is_targets = hop < far || trace.tracer.route().distance() == Some(hop);
        let asks_before = hop > 1 && is_targets && !trace.checks.is_empty();
        let first = hop - u8::from(asks_before);
        let protocol = trace.checks.protocol;
        let check = protocol.and_then(|protocol| self.aside(id, first..=hop, protocol, true));
        let Some(check) = check else {
            return false;
        };
        if let Some(trace) = self.traces.get_mut(&id) {
            trace.checks.add(check, hop, asks_before);
        }
        true
    }

    /// Knocks at the target of a trace. Without it the trace takes longer, or misses a target
    /// behind a few silent hops.
    fn knock(&mut self, id: TraceId) {
        let Some(trace) = self.traces.get_mut(&id) else {
            return;
        };
        trace.knock.is_made = true;
        let farthest = trace.tracer.route().hops().last();
        trace.knock.edge = farthest.map(|hop| hop.number()).zip(trace.last_left);
        let far = trace.tracer.config().max_hops;
        let protocol = trace.tracer.protocol().protocol();
        self.aside(id, far..=far, protocol, false);
    }

    fn aside(
        &mut self,
        of: TraceId,
        hops: RangeInclusive<u8>,
        protocol: ProbeProtocol,
        is_check: bool,
    ) -> Option<TraceId> {
        let trace = self.traces.get(&of)?;
        let (config, scope_id, family) = (trace.tracer.config(), trace.scope_id, trace.family());
        let one = Config {
            first_hop: *hops.start(),
            max_hops: *hops.end(),
            attempts: 1,
            retries: 0,
            sweep: Some(Sweep::Burst),
            ..*config
        };
        let probes: Probes = protocol.probes(self.link.random().ok()?);
        let added = self.add(one, probes, scope_id, None, Endurance::Queue, true);
        let (id, _) = added.ok()??;
        self.asides.insert(id, Aside { of, is_check });
        *self.own.get_mut(family) -= 1;
        if let Some(trace) = self.traces.get_mut(&of) {
            trace.asides.push(id);
        }
        Some(id)
    }

    /// Waits no longer for answers to a trace's asides.
    pub(super) fn end_asides(&mut self, id: TraceId) {
        let Some(trace) = self.traces.get_mut(&id) else {
            return;
        };
        let (mut knocks, mut checks) = (0, 0);
        for aside in std::mem::take(&mut trace.asides) {
            let is_check = self.asides.remove(&aside).is_some_and(|is| is.is_check);
            let aside = self.forget(aside);
            let count = if is_check { &mut checks } else { &mut knocks };
            *count += aside.map_or(0, |aside| aside.tracer.route().probes_sent());
        }
        if let Some(trace) = self.traces.get_mut(&id) {
            trace.reasons.knocks += knocks;
            trace.reasons.checks += checks;
        }
    }
}

/// Whether nobody has answered a trace, although it has looked where somebody would be.
fn is_dark(trace: &Running) -> bool {
    trace.is_silent() && trace.farthest() >= DARK.min(trace.tracer.config().max_hops)
}

/// Whether a target that has answered the knock may be looked for one hop farther on.
fn may_step(trace: &Running) -> bool {
    let is_last = trace.farthest() >= trace.tracer.config().max_hops;
    !is_dark(trace) && trace.knock.steps > 0 && !is_last
}

/// Lets a trace go one hop farther.
fn step(trace: &mut Running, now: Instant) {
    let next = trace.farthest().saturating_add(1);
    trace.knock.steps -= 1;
    trace.knock.edge = Some((next, now));
    trace.tracer.expect(next, false);
}

/// Takes an answer to an aside. By a knock its trace goes as far at once as the target seems to be
/// away.
pub(super) fn take(
    asides: &Asides,
    traces: &mut BTreeMap<TraceId, Running>,
    schedule: &mut Schedule,
    id: TraceId,
    reply: &Reply,
) {
    let Some(aside) = asides.get(&id) else {
        return;
    };
    let is_targets = reply.kind == Kind::Reply && reply.evidence() == Evidence::Strong;
    if let Some(trace) = traces.get_mut(&aside.of) {
        if aside.is_check {
            trace.checks.take(id, *reply);
        } else if is_targets {
            trace.knock.answer = Some(*reply);
            trace.note_answer(reply);
        }
        // A hop limit that suggests more is that of a system which begins with another one.
        if is_targets
            && aside.is_check == trace.knock.is_mute
            && let Some(hops) = reply.hops_back().filter(|hops| *hops <= FARTHEST)
        {
            trace.tracer.expect(hops, !aside.is_check);
        }
        schedule.hasten(aside.of);
    }
    schedule.hasten(id);
}
