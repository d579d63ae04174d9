//! Asides: probes that are to tell a trace something of its target. Each is a trace of a probe, or
//! two, with an identity of its own.
//!
//! A *knock* finds out about how far away a target is: see [`knocks`](super::knocks).
//! A *check* finds out whether it is the target that answers: see [`checks`](crate::checks).

use super::Driver;
use crate::checks::{Proxy, Todo};
use crate::link::Link;
use crate::protocol::{ProbeProtocol, Probes};
use crate::running::{Aside, Asides, Endurance, Running};
use crate::schedule::Schedule;
use crate::trace_id::TraceId;
use hopshot_core::{Config, Evidence, Instant, Kind, Reply, Sweep};
use std::collections::BTreeMap;
use std::net::IpAddr;
use std::ops::RangeInclusive;
use std::time::Duration;

/// Hardly a path is longer.
const FARTHEST: u8 = 30;

/// Targets whose proxies are remembered.
const MOST_PROXIES: usize = 1_024;

impl<L: Link> Driver<L> {
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
    pub(super) fn age_of_asides(&self, now: Instant) -> impl Fn(TraceId) -> Option<Duration> {
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

    pub(super) fn aside(
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
