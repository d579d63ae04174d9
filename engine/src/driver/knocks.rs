//! Knocks: probes that find out about how far away a target is, where each probe past it is a
//! connection to somebody's server.
//!
//! A knock goes as far as its trace may. It leaves from a port of its own, since a target answers
//! only the first of two SYNs on one flow. On one flow of TCP sockets it shares the port of its
//! trace: there probes leave one after the other, and the system ends each before the next. The
//! hop limit of the answer tells the distance on the way back. A trace knocks once: when it begins,
//! unless it knows how far away the target is, or else when everything is silent, since the target
//! may have moved.
//!
//! The kernel doesn't say with which hop limit a TCP socket was answered: such a knock is mute.
//! There a trace never begins with one, checks tell the distance, and without them the hops are
//! probed one after the other.

use super::Driver;
use crate::checks::overdue;
use crate::link::{Link, SocketKind};
use crate::running::Running;
use crate::trace_id::TraceId;
use hopshot_core::{Instant, StopReason};
use std::time::Duration;

/// Hops behind the last router that are looked at one after the other, where the target is known to
/// answer.
const STEPS: u8 = 8;

/// The hop up to which somebody answers, if anybody does, most likely.
const DARK: u8 = 5;

/// The wait for a knock that has left behind all other probes, at least: the target may be an ocean
/// behind the last router.
const BEHIND: Duration = Duration::from_millis(480);

/// From one look for that to the next.
const GLANCE: Duration = Duration::from_millis(20);

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

    /// Knocks at the target of a trace. Without it the trace takes longer, or misses a target
    /// behind a few silent hops.
    pub(super) fn knock(&mut self, id: TraceId) {
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

    /// Looks for a target that has answered a knock, which doesn't tell how far away it is: hop
    /// after hop behind the last that were probed. Where no router has answered, as far as
    /// [`DARK`], nothing more is to be known, and the trace ends. Returns when to look again.
    pub(super) fn go_on(&mut self, id: TraceId, now: Instant) -> Option<Instant> {
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

    /// Waits for a knock of a trace that has ended, and looks for the target that has answered it:
    /// a knock that had to take its turn may have left last. Returns when to look again.
    pub(super) fn outlast(&mut self, id: TraceId, now: Instant) -> Option<Instant> {
        self.traces.get_mut(&id)?.knock.is_awaited = false;
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
        trace.reopen();
        Some(now)
    }

    /// Whether an answer to a trace's knock may still come.
    fn is_knocking(&self, trace: &Running, now: Instant) -> bool {
        let is_knock = |aside: &TraceId| self.asides.get(aside).is_some_and(|it| !it.is_check);
        let knock = trace.asides.iter().copied().find(is_knock);
        let age = knock.and_then(self.age_of_asides(now));
        age.is_some_and(|age| age < BEHIND)
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
