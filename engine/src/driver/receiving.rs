//! Answers: read from all sockets, and given to the traces that they belong to.

use super::{Driver, Filter, asides};
use crate::departures::correct_departures;
use crate::link::Link;
use crate::next_hop;
use crate::protocol::Key;
use crate::running::Endurance;
use crate::storage::Tracer;
use crate::uplink::Answerer;
use hopshot_core::{Discard, Evidence, Kind, Outcome, Reply};

/// Messages read in one go: as many as the receive buffer holds, so that nothing that is there is
/// taken for lost, but a flood can't keep the loop from sending.
const DRAIN: usize = 16_384;

/// No message is longer: the length of a packet is a number of 16 bits (RFC 791, section 3.1; RFC
/// 8200, section 3).
const LONGEST: usize = 65_536;

impl<L: Link> Driver<L> {
    /// Reads what has arrived and gives it to whom it belongs: everything, but where there is one
    /// trace no more than it needs. What is left then are answers to probes of the burst that
    /// went past the target, duplicates and forgeries. Returns whether there may be no more.
    pub(super) fn drain(&mut self) -> Result<bool, L::Error> {
        if self.inbox.is_empty() {
            // Not `resize`, which would write all of it.
            self.inbox = vec![0; LONGEST];
        }
        for (index, listener) in self.listeners.iter_mut().enumerate() {
            for _ in 0..DRAIN {
                let Some(arrival) = self.link.receive(index, &mut self.inbox)? else {
                    break;
                };
                let known = arrival
                    .answer
                    .and_then(|answer| Ok((Key::of(&answer)?, answer)));
                let (key, answer) = match known {
                    Ok(known) => known,
                    Err(malformed) => {
                        listener.rejected.count(malformed);
                        continue;
                    }
                };
                // First when the probe left: the RTT of the reply is final.
                correct_departures(&mut self.link, index, &mut self.traces, self.next);
                let mut is_ours = false;
                for id in listener.identities.whose(key) {
                    let Some(trace) = self.traces.get_mut(&id) else {
                        continue;
                    };
                    if trace.has_not_sent(&answer) {
                        let answer = trace.in_own_name(&answer, &self.link);
                        is_ours |= trace.tracer.config().is_local(answer.kind, answer.from);
                        continue;
                    }
                    let answer = trace.in_own_name(&answer, &self.link);
                    let accepted = trace.tracer.accept(arrival.at, &answer);
                    is_ours |= accepted != Err(Discard::NotOurs);
                    if let Ok(reply) = accepted
                        && trace.is_local(&reply)
                    {
                        // No answer: nobody was heard.
                        if trace.note_local(&reply, |way| next_hop::may_be_missing(&self.link, way))
                            && trace.endurance == Endurance::Outage
                            && next_hop::is_gateway(&self.link, trace.way())
                        {
                            self.uplinks
                                .get_mut(listener.port.family)
                                .miss_gateway(self.link.now());
                        }
                        self.schedule.hasten(id);
                        break;
                    }
                    if let Ok(reply) = &accepted
                        && self.asides.contains_key(&id)
                    {
                        if trace.is_somebodys(reply) && !trace.is_to_itself {
                            let uplink = self.uplinks.get_mut(listener.port.family);
                            uplink.answered(arrival.at);
                        }
                        let (traces, schedule) = (&mut self.traces, &mut self.schedule);
                        asides::take(&self.asides, traces, schedule, id, reply);
                        break;
                    }
                    if let Ok(reply) = accepted {
                        let uplink = self.uplinks.get_mut(listener.port.family);
                        // That this machine answers itself shows nothing of its network, nor does a
                        // forger's guess.
                        if trace.is_somebodys(&reply) && !trace.is_to_itself {
                            uplink.answered(arrival.at);
                            // A question to a target could be a connection.
                            let is_askable =
                                reply.kind != Kind::Reply || listener.port.room.is_none();
                            if self.asks && is_askable && reply.evidence() == Evidence::Strong {
                                uplink.remember(Answerer {
                                    target: trace.witness(),
                                    hop: reply.probe.hop,
                                    from: reply.from,
                                    rtt: reply.rtt,
                                });
                            }
                        }
                        if reply.kind == Kind::TimeExceeded && reply.evidence() == Evidence::Strong
                        {
                            uplink.pass(trace.witness(), arrival.at);
                        }
                        trace.note_answer(&reply);
                        trace.note(reply.probe, arrival.clock, &answer);
                        trace.note_port(reply.probe, arrival.source_port);
                        trace.compare(&reply);
                        self.replies.push_back((id, reply));
                        self.schedule.hasten(id);
                        if listener.filter != Filter::Off && has_all(&trace.tracer, &reply) {
                            correct_departures(&mut self.link, index, &mut self.traces, self.next);
                            return Ok(false);
                        }
                        break;
                    }
                }
                if !is_ours {
                    listener.rejected.count_not_ours();
                }
            }
            correct_departures(&mut self.link, index, &mut self.traces, self.next);
        }
        Ok(true)
    }
}

/// Whether a trace needs no more answers after this one. What is known decides, not the time:
/// others may lie in the buffer.
fn has_all(tracer: &Tracer, reply: &Reply) -> bool {
    let route = tracer.route();
    let is_heard = |outcome: &Outcome| match outcome {
        Outcome::InFlight | Outcome::Lost => false,
        Outcome::Answered(reply) => reply.is_proven(),
        Outcome::Failed(_) => true,
    };
    reply.kind != Kind::TimeExceeded
        && route.distance().is_some()
        && route
            .hops()
            .all(|hop| hop.is_settled() && hop.outcomes().all(|outcome| is_heard(&outcome)))
}
