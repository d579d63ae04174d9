//! Probes: those of the traces that are due, as the pace permits.

use super::{BUNCH, Driver};
use crate::departures::tag;
use crate::link::{Datagram, Link, Obstacle};
use crate::next_hop::{self, Verdict};
use crate::running::{Endurance, Held, Running};
use crate::trace_id::TraceId;
use crate::uplink::CutOff;
use hopshot_core::wire::AddressFamily;
use hopshot_core::{APART, Action, Instant};

/// A queue that was full so often, for 1.3 s, isn't about to drain: that is a failure as others
/// are.
const OFTEN: u32 = 8;

impl<L: Link> Driver<L> {
    /// Sends a few probes of the traces that are due, in turn and the oldest first, as the pace
    /// permits. Returns how many.
    pub(super) fn send(&mut self) -> usize {
        let mut sent = 0;
        let mut now = self.link.now();
        // Where the next of this round is, and whether the round has come to anything.
        let (mut from, mut is_fruitful) = (TraceId::FIRST, false);
        let most = if self.is_survey { BUNCH } else { 1 };
        while sent < most && self.pace.next() <= now {
            let Some(id) = self.schedule.due(now, from) else {
                if !is_fruitful {
                    break;
                }
                (from, is_fruitful) = (TraceId::FIRST, false);
                continue;
            };
            from = id.next();
            let due = match self.step(id, now) {
                Turn::Idle(Some(due)) => {
                    let over = self.send_asides(id, now);
                    Some(over.map_or(due, |over| over.min(due)))
                }
                Turn::Idle(None) => self.check(id, now),
                Turn::Tried(due) => {
                    self.pace.spend(now);
                    sent += 1;
                    is_fruitful = true;
                    // Deciding took a moment, and so may waiting for room.
                    now = self.link.now();
                    Some(due)
                }
            };
            self.schedule.set(id, due);
            if due.is_none() {
                self.end_asides(id);
            }
        }
        sent
    }

    /// Asks a trace for what it has to send, and sends that.
    fn step(&mut self, id: TraceId, now: Instant) -> Turn {
        let Some(trace) = self.traces.get_mut(&id) else {
            return Turn::Idle(None);
        };
        if let Some(left) = trace.unheard_since() {
            if trace.look_at().is_some_and(|at| at <= now) {
                trace.was_missed = Some(next_hop::was_missed(&self.link, trace.way()));
            }
            let is_over = now.saturating_since(left) >= trace.tracer.config().timeout;
            let was_missed = trace.was_missed == Some(true);
            let patience = trace.patience(self.is_survey);
            let judge = || {
                next_hop::judge(
                    self.link.next_hop(trace.way()),
                    left,
                    now,
                    patience,
                    was_missed,
                )
            };
            match if is_over { judge() } else { Verdict::Innocent } {
                Verdict::Pending(until) => {
                    trace.was_missed = Some(true);
                    return Turn::Idle(Some(until));
                }
                Verdict::Unreachable => trace.abandon(),
                Verdict::NoGateway => {
                    if trace.endurance == Endurance::Outage {
                        self.uplinks.get_mut(trace.family()).miss_gateway(now);
                    }
                    trace.abandon();
                }
                Verdict::Innocent => {
                    let uplink = self.uplinks.get_mut(trace.family());
                    let way = trace.way();
                    let is_found = || {
                        next_hop::is_gateway(&self.link, way)
                            && !next_hop::was_missed(&self.link, way)
                    };
                    if is_over && uplink.cut_off() == Some(CutOff::Gateway) && is_found() {
                        uplink.find_gateway();
                    }
                }
            }
        }
        let destination = trace.tracer.config().target;
        let held = trace.held.take();
        let probe = match &held {
            Some(held) => held.leaving(),
            None => match trace.poll(now, &mut self.outbox) {
                Action::Wait(until) => {
                    let look_at = trace.unheard_since().and_then(|_| trace.look_at());
                    return Turn::Idle(Some(look_at.map_or(until, |at| until.min(at))));
                }
                Action::Done if trace.goes_on() => return Turn::Idle(Some(Instant::EPOCH)),
                Action::Done => return Turn::Idle(None),
                Action::Transmit(probe) => {
                    trace.reasons.count(probe.reason);
                    probe.into()
                }
            },
        };
        let Some(listener) = self.listeners.get(trace.listener) else {
            return Turn::Idle(None);
        };
        let (family, port) = (listener.port.family, trace.listener);
        let index = trace.tracer.index(probe.probe);
        let uplink = self.uplinks.get_mut(family);
        let datagram = Datagram {
            destination,
            scope_id: trace.scope_id,
            hop_limit: probe.hop_limit,
            protocol: listener.port.protocol,
            message: probe.message,
            tag: tag(id, probe.probe),
            is_detour: index.is_some_and(|index| index & APART != 0),
        };
        match self.link.send(port, datagram) {
            Ok(left) => {
                trace.tracer.sent(probe.probe, left);
                trace.left.get_or_insert(left);
                trace.last_left = Some(left);
                if self.questions.contains(&id) {
                    uplink.asked(left);
                }
                if !trace.is_to_itself && uplink.sent(trace.witness(), left) {
                    self.hasten_held(family);
                }
                Turn::Tried(Instant::EPOCH)
            }
            Err(error) => {
                let held = match held {
                    Some(held) => held,
                    None => Held::new(&probe, now),
                };
                let (is_listed, failing) = (trace.endurance == Endurance::Outage, trace.witness());
                let is_question = self.questions.contains(&id);
                let obstacle = L::obstacle(error);
                match obstacle {
                    // Only this size of packet may be too large; and what waits for neighbours that
                    // don't answer fills a socket's buffer.
                    Obstacle::Full if is_listed && held.failures() >= OFTEN => {
                        self.note_failure(failing, now);
                    }
                    Obstacle::TooLarge | Obstacle::Full => {}
                    // Its trace will meet the same.
                    Obstacle::Other if self.asides.contains_key(&id) => {}
                    Obstacle::Other if is_listed || is_question => self.note_failure(failing, now),
                    Obstacle::Other => uplink.fail(now),
                }
                let health = self.health(family);
                let due = self
                    .traces
                    .get_mut(&id)
                    .and_then(|trace| trace.hold(held, error, obstacle, &health, now));
                if is_question && due.is_none() {
                    self.uplinks.get_mut(family).not_asked(error);
                }
                Turn::Tried(due.unwrap_or(Instant::EPOCH))
            }
        }
    }

    /// Tries the probes again that could not be sent: one of this family has just left.
    pub(super) fn hasten_held(&mut self, family: AddressFamily) {
        let is_held = |trace: &Running| trace.held.is_some() && trace.family() == family;
        for id in self
            .traces
            .iter()
            .filter(|(_, trace)| is_held(trace))
            .map(|(id, _)| *id)
        {
            self.schedule.hasten(id);
        }
    }
}

/// The outcome of a look at one trace.
enum Turn {
    /// It has nothing to send before this instant, or ever.
    Idle(Option<Instant>),
    /// A probe was sent, or could not be; the trace wants to be asked again at this instant.
    Tried(Instant),
}
