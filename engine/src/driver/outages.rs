//! Outages among the traces of a driver: the failures and silences that are this machine's, told
//! from those of single hosts.

use super::Driver;
use crate::departures::tag;
use crate::distance::{Distance, distance};
use crate::health::Health;
use crate::link::{Datagram, Link};
use crate::per_family::FAMILIES;
use crate::running::{Endurance, Running};
use crate::trace_id::TraceId;
use crate::uplink::{Answerer, CutOff, LONGEST, Witness};
use hopshot_core::wire::AddressFamily;
use hopshot_core::{Action, Config, Instant, Protocol, SendError, Tracer};
use std::net::IpAddr;
use std::time::Duration;

impl<L: Link> Driver<L> {
    /// Whether packets of a family leave this machine.
    pub(crate) fn health(&self, family: AddressFamily) -> Health {
        self.uplinks.get(family).health
    }

    /// Counts a host that no route leads to as a packet that could not be sent. It costs as much of
    /// the pace.
    pub(crate) fn fail(&mut self, failing: Witness) {
        let now = self.link.now();
        self.pace.spend(now);
        self.note_failure(failing, now);
    }

    /// Tells an outage from the fault of one host, which says nothing of the family: a whole prefix
    /// may lead nowhere, or be closed by a firewall.
    pub(super) fn note_failure(&mut self, failing: Witness, now: Instant) {
        let family = AddressFamily::of(failing.target);
        if !self.leaves_for_others(failing, now) {
            self.uplinks.get_mut(family).fail(now);
        }
    }

    /// Returns whether a packet leaves for any target but `failing`. Only sending one tells, since
    /// a firewall answers no questions: a probe with the identity of no trace, no more often than
    /// every 50 ms.
    pub(crate) fn leaves_for_others(&mut self, failing: Witness, now: Instant) -> bool {
        let family = AddressFamily::of(failing.target);
        if let Some(leaves) = self.uplinks.get(family).showed(now) {
            return leaves;
        }
        let witnesses = self.uplinks.get(family).witnesses(failing);
        let leaves = witnesses
            .into_iter()
            .flatten()
            .any(|witness| self.send_to(witness).is_some());
        self.uplinks.get_mut(family).show(leaves, now);
        leaves
    }

    fn send_to(&mut self, witness: Witness) -> Option<()> {
        /// As far as any host: a firewall may refuse what expires near us.
        const FAR: u8 = 64;
        let Witness {
            target,
            scope_id,
            protocol,
        } = witness;
        let family = AddressFamily::of(target);
        let source = self.source(target, scope_id, protocol).ok()?;
        let config = Config {
            max_hops: 1,
            source,
            ..Config::new(target)
        };
        let probing = protocol.probes(self.link.random().ok()?);
        let (index, first) = self.take_identity(&config, &probing)?;
        let probing = probing.with_first_key(first);
        let id = self.take_id();
        let tracer = Tracer::<1, _>::new(config, probing).ok();
        let sent = tracer.and_then(|mut tracer| {
            self.outbox
                .resize(self.outbox.len().max(probing.message_len()), 0);
            let Ok(Action::Transmit(probe)) = tracer.poll(self.link.now(), &mut self.outbox) else {
                return None;
            };
            let (message, tag) = (probe.message, tag(id, probe.probe));
            self.link
                .send(
                    index,
                    Datagram {
                        destination: target,
                        scope_id,
                        hop_limit: FAR,
                        protocol: protocol.number(family),
                        message,
                        tag,
                        is_detour: false,
                    },
                )
                .ok()
        });
        self.give_back(index, id, first.ident);
        let left = sent?;
        self.pace.spend(left);
        if self.uplinks.get_mut(family).succeed(left) {
            self.hasten_held(family);
        }
        self.cut_off(family).is_none().then_some(())
    }

    /// Returns whether a target of the same network was reached, which shows whether this one can
    /// be.
    pub(crate) fn has_witness_beside(&self, target: IpAddr) -> bool {
        self.uplinks
            .get(AddressFamily::of(target))
            .has_witness_beside(target)
    }

    /// Why the last packet of a trace could not be sent, if it waits to be tried again, or else a
    /// question.
    pub(crate) fn obstacle(&self, family: AddressFamily) -> Option<SendError> {
        let mut of_family = self
            .traces
            .values()
            .filter(|trace| trace.family() == family);
        let held = of_family.find_map(|trace| trace.held.as_ref()?.error);
        held.or_else(|| self.uplinks.get(family).obstacle())
    }

    /// Whether packets to the target of a trace would leave from another address now, or not at
    /// all.
    pub(crate) fn has_moved(&mut self, id: TraceId) -> bool {
        let Some(trace) = self.traces.get(&id) else {
            return false;
        };
        let Config { target, source, .. } = *trace.tracer.config();
        let (scope_id, protocol) = (trace.scope_id, trace.tracer.protocol().protocol());
        self.source(target, scope_id, protocol).ok() != Some(source)
    }

    /// From now on, while traces hear nobody, those who have answered are asked again: packets may
    /// vanish without a word, by a firewall or a link that fails at its far end, and hosts that
    /// don't answer look the same.
    pub(crate) const fn expect_silence(&mut self) {
        self.asks = true;
    }

    /// When somebody is to be asked next, unless anybody is heard before.
    pub(super) fn next_question(&self) -> Option<Instant> {
        let uplinks = self.uplinks.iter().zip(self.own.iter());
        uplinks
            .filter(|(_, own)| self.asks && **own > 0)
            .filter_map(|(uplink, _)| uplink.next_question())
            .min()
    }

    /// Asks those who have answered before, where nobody is heard, and takes note if none of them
    /// answers.
    pub(super) fn watch_silence(&mut self) {
        let now = self.link.now();
        for family in FAMILIES {
            let uplink = self.uplinks.get(family);
            let is_due = uplink.next_question().is_some_and(|next| next <= now);
            if self.asks && *self.own.get(family) > 0 && is_due {
                self.ask(family, now);
                self.uplinks.get_mut(family).suspect(now);
            }
        }
    }

    fn ask(&mut self, family: AddressFamily, now: Instant) {
        let Some(Answerer {
            target:
                Witness {
                    target,
                    scope_id,
                    protocol,
                },
            hop,
            ..
        }) = self.uplinks.get_mut(family).ask(now)
        else {
            return;
        };
        // One that has yet to leave is enough: at a slow rate they would be ever more.
        if self
            .questions_of(family)
            .any(|(id, trace)| trace.left.is_none() && self.schedule.has(id))
        {
            return;
        }
        let Ok(random) = self.link.random() else {
            return;
        };
        let hops = Config {
            first_hop: hop,
            max_hops: hop,
            attempts: 1,
            retries: 0,
            timeout: LONGEST,
            ..Config::new(target)
        };
        if let Ok(Some((id, _))) = self.add(
            hops,
            protocol.probes(random),
            scope_id,
            None,
            Endurance::Queue,
            true,
        ) {
            self.questions.insert(id);
            *self.own.get_mut(family) -= 1;
        }
    }

    /// Asks nobody any longer, since no trace waits for that.
    pub(super) fn end_questions(&mut self, family: AddressFamily) {
        let ended: Vec<TraceId> = self.questions_of(family).map(|(id, _)| id).collect();
        for id in ended {
            self.questions.remove(&id);
            self.forget(id);
        }
    }

    /// Whether it isn't known yet if anybody is heard still, so a trace that has ended without all
    /// answers isn't over: somebody is being asked.
    pub(crate) fn may_be_silent(&mut self, family: AddressFamily) -> bool {
        let now = self.link.now();
        if !self.asks || !self.uplinks.get(family).may_be_silent(now) {
            return false;
        }
        if !self.is_asking(family) {
            self.ask(family, now);
        }
        self.is_asking(family)
    }

    /// Whether a question waits for its answer. One that has ended may not have been taken out yet.
    fn is_asking(&self, family: AddressFamily) -> bool {
        self.questions_of(family)
            .any(|(id, _)| self.schedule.has(id))
    }

    fn questions_of(&self, family: AddressFamily) -> impl Iterator<Item = (TraceId, &Running)> {
        let questions = self
            .questions
            .iter()
            .filter_map(|id| Some((*id, self.traces.get(id)?)));
        questions.filter(move |(_, trace)| trace.family() == family)
    }

    /// Leaves the time out of all outages in which this process was stopped: after the last look,
    /// or after it was to wake up from a sleep that began then.
    pub(super) fn leave_out_stops(&mut self, asleep: Instant, due: Instant) {
        /// A busy machine may be late too.
        const STOPPED: Duration = Duration::from_secs(1);
        let now = self.link.now();
        let before = asleep.saturating_since(self.looked);
        let missed = before.saturating_add(now.saturating_since(due.max(asleep)));
        self.looked = now;
        if missed >= STOPPED {
            for uplink in self.uplinks.iter_mut() {
                uplink.health.skip(missed, now);
            }
        }
    }

    /// Whether a trace that is not whole, and began at `start`, ran while nobody was heard who had
    /// been before.
    pub(crate) fn fell_silent(&mut self, id: TraceId, start: Instant) -> bool {
        let Some(trace) = self.traces.get(&id) else {
            return false;
        };
        let uplink = self.uplinks.get_mut(trace.family());
        uplink.suspect(self.link.now());
        uplink.was_cut_off_since(start)
    }

    /// Whether a trace has heard anybody.
    pub(crate) fn has_heard(&self, id: TraceId) -> bool {
        self.traces.get(&id).is_some_and(|trace| trace.has_heard)
    }

    /// Whether packets of a family could not be sent, to whomever, since an instant.
    pub(crate) fn had_outage_since(&self, family: AddressFamily, start: Instant) -> bool {
        self.uplinks.get(family).had_outage_since(start)
    }

    /// Whether nobody was heard for a time after an instant, although much was sent.
    pub(crate) fn was_silent_after(&self, family: AddressFamily, start: Instant) -> bool {
        self.uplinks.get(family).was_silent_after(start)
    }

    /// The outage of a family that there is although packets leave.
    pub(crate) fn cut_off(&self, family: AddressFamily) -> Option<CutOff> {
        self.uplinks.get(family).cut_off()
    }

    /// Whether the target of a trace answered, but no probe to the hop before left: then it may be
    /// nearer than that.
    pub(crate) fn has_doubtful_distance(&self, id: TraceId) -> bool {
        self.traces
            .get(&id)
            .is_some_and(|trace| distance(&trace.tracer.route()) == Distance::AtMost)
    }

    /// Takes silence for what it is from now on: nobody answers.
    pub(crate) fn accept_silence(&mut self, family: AddressFamily) {
        self.uplinks.get_mut(family).accept_silence(self.link.now());
    }
}
