//! A trace among those of a driver, and what is kept of its answers beside what the core keeps.

use crate::checks::Checks;
use crate::extensions::OwnedExtensions;
use crate::health::{self, ALONE, Health};
use crate::link::{Clock, Clocks, Link, Obstacle, Way};
use crate::next_hop::{DOUBTFUL, Patience};
use crate::quoted_syn::QuotedSyn;
use crate::shared::Head;
use crate::storage::Tracer;
use crate::summary::Reasons;
use crate::trace_id::TraceId;
use crate::uplink::Witness;
use hopshot_core::wire::{AddressFamily, Ends};
use hopshot_core::{
    Action, Answer, Changes, Failure, Instant, Kind, ProbeId, Protocol, Reason, Reply, SendError,
    Transmit,
};
use std::collections::BTreeMap;
use std::time::Duration;

/// Wait for any answer before a mute trace knocks. RTTs to the nearest hops are hardly longer.
const SILENCE: Duration = Duration::from_millis(200);

/// The pause before a probe that could not be sent is tried again, at first.
const PAUSE: Duration = Duration::from_millis(10);

/// Where the RTTs of the answered probes are from.
pub(crate) type ClocksOf = BTreeMap<ProbeId, Clocks>;

/// What came with the answers, where anything did.
pub(crate) type ExtensionsOf = BTreeMap<ProbeId, OwnedExtensions>;

/// The source ports of answered probes, where only the link knows them.
pub(crate) type PortsOf = BTreeMap<ProbeId, u16>;

/// One trace among those of a driver.
pub(crate) struct Running {
    pub(crate) tracer: Box<Tracer>,
    /// The index of the listener that it sends by and hears.
    pub(crate) listener: usize,
    pub(crate) clocks: ClocksOf,
    pub(crate) extensions: ExtensionsOf,
    pub(crate) ports: PortsOf,
    pub(crate) scope_id: u32,
    /// What its path is thought to begin with, where it doesn't begin at hop 1.
    pub(crate) head: Option<Head>,
    /// Whether its target is this machine.
    pub(crate) is_to_itself: bool,
    pub(crate) endurance: Endurance,
    /// The last probe of the tracer's, while it waits to be tried again.
    pub(crate) held: Option<Held>,
    /// When its first probe left.
    pub(crate) left: Option<Instant>,
    /// When its last probe left.
    pub(crate) last_left: Option<Instant>,
    /// Whether the next hop was missed: when it was looked for at [`look_at`](Self::look_at), or
    /// while the kernel was waited for.
    pub(crate) was_missed: Option<bool>,
    /// Whether its timeout was chosen by somebody.
    pub(crate) has_timeout: bool,
    /// Whether a probe was given up: those that follow are not held any more.
    pub(crate) has_given_up: bool,
    /// Whether anybody but this machine itself has answered, and proved it.
    pub(crate) has_heard: bool,
    /// Why its probes were sent.
    pub(crate) reasons: Reasons,
    pub(crate) knock: Knock,
    pub(crate) checks: Checks,
    /// Probes that are to tell something of its target, and are waited for.
    pub(crate) asides: Vec<TraceId>,
}

/// The knock of a trace: see `driver/knocks.rs`.
#[derive(Debug, Default)]
pub(crate) struct Knock {
    /// Whether it may knock.
    pub(crate) is_permitted: bool,
    /// Whether it has.
    pub(crate) is_made: bool,
    /// The target's answer.
    pub(crate) answer: Option<Reply>,
    /// Whether its answer comes without a hop limit. Then checks tell the distance.
    pub(crate) is_mute: bool,
    /// Whether it may have to wait until another probe of the trace has had its turn.
    pub(crate) takes_turns: bool,
    /// Whether its answer is all that is waited for.
    pub(crate) is_awaited: bool,
    /// The distance of the target as far as it is remembered.
    pub(crate) remembered: Option<u8>,
    /// How often it may be looked farther on for a target that has answered.
    pub(crate) steps: u8,
    /// The farthest hop that may have been probed, and since when.
    pub(crate) edge: Option<(u8, Instant)>,
}

/// All asides.
pub(crate) type Asides = BTreeMap<TraceId, Aside>;

/// A trace that is to tell another one something of its target.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Aside {
    /// The trace.
    pub(crate) of: TraceId,
    pub(crate) is_check: bool,
}

/// For how long a probe that this machine can't send is tried again.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Endurance {
    /// As long as its answer would be waited for, but only once something has left: a trace that
    /// can't begin is to say so at once.
    Timeout,
    /// The same where only a queue was full; else not at all: a round of a watch, since the next
    /// one follows anyway, and an outage is to be seen.
    Queue,
    /// As long as nothing can be sent to any host, and [`ALONE`] if others can be reached: a host
    /// of a list.
    Outage,
}

/// A probe that is to leave: from the tracer, or held before.
#[derive(Clone, Copy)]
pub(crate) struct Leaving<'m> {
    pub(crate) probe: ProbeId,
    reason: Reason,
    pub(crate) hop_limit: u8,
    pub(crate) message: &'m [u8],
}

impl<'m> From<Transmit<'m>> for Leaving<'m> {
    fn from(probe: Transmit<'m>) -> Self {
        Self {
            probe: probe.probe,
            reason: probe.reason,
            hop_limit: probe.hop_limit,
            message: probe.message,
        }
    }
}

/// A probe that could not be sent.
#[derive(Debug)]
pub(crate) struct Held {
    probe: ProbeId,
    reason: Reason,
    hop_limit: u8,
    message: Vec<u8>,
    since: Instant,
    /// When it is to be tried again.
    due: Instant,
    failures: u32,
    /// Why it could not be sent the last time.
    pub(crate) error: Option<SendError>,
    /// Whether only room for it was missing.
    is_for_room: bool,
}

impl Held {
    /// Keeps a probe that was to leave now.
    pub(crate) fn new(probe: &Leaving<'_>, now: Instant) -> Self {
        let Leaving {
            probe,
            reason,
            hop_limit,
            message,
        } = *probe;
        Self {
            probe,
            reason,
            hop_limit,
            message: message.to_vec(),
            since: now,
            due: now,
            failures: 0,
            error: None,
            is_for_room: false,
        }
    }

    /// The probe as the tracer gave it out.
    pub(crate) fn leaving(&self) -> Leaving<'_> {
        let Self {
            probe,
            reason,
            hop_limit,
            ref message,
            ..
        } = *self;
        Leaving {
            probe,
            reason,
            hop_limit,
            message,
        }
    }

    /// How often it could not be sent, but for the last time.
    pub(crate) const fn failures(&self) -> u32 {
        self.failures
    }
}

impl Running {
    /// The family of its target.
    pub(crate) fn family(&self) -> AddressFamily {
        AddressFamily::of(self.tracer.config().target)
    }

    /// As [`Tracer::poll`], with room made for the probe where there isn't enough.
    pub(crate) fn poll<'b>(&mut self, now: Instant, outbox: &'b mut Vec<u8>) -> Action<'b> {
        outbox.resize(outbox.len().max(self.tracer.protocol().message_len()), 0);
        // There is room; if not, nothing could be sent.
        self.tracer.poll(now, outbox).unwrap_or(Action::Done)
    }

    /// Looks whether an answer fits what the path is thought to begin with.
    pub(crate) fn compare(&mut self, reply: &Reply) {
        if self.head.as_mut().is_some_and(|head| !head.fits(reply)) {
            self.go_back();
        }
    }

    /// When it has ended: probes the nearest hops after all if the path isn't known to begin as it
    /// was thought. Returns whether it goes on.
    pub(crate) fn goes_on(&mut self) -> bool {
        self.head
            .as_ref()
            .is_some_and(|head| head.spared().is_none())
            && self.go_back()
    }

    fn go_back(&mut self) -> bool {
        self.head = None;
        self.tracer.start_from(1).is_ok()
    }

    /// Returns whether a message can't be an answer, since the probe that it is about has not left
    /// yet: a local firewall that rejects a probe writes an ICMP error, or a RST, about it too.
    pub(crate) fn has_not_sent(&self, answer: &Answer<'_>) -> bool {
        let Some(held) = &self.held else {
            return false;
        };
        let (protocol, config) = (self.tracer.protocol(), self.tracer.config());
        let ends = Ends {
            source: config.source,
            destination: config.target,
        };
        let Ok(found) = protocol.recognize(ends, answer, Changes::default()) else {
            return false;
        };
        let mut message = vec![0; protocol.message_len()];
        protocol.emit(ends, found.index, &mut message).is_ok() && message == held.message
    }

    /// Decides about a probe that could not be sent: keeps it and returns when to try again, or
    /// records the failure.
    pub(crate) fn hold(
        &mut self,
        held: Held,
        error: SendError,
        obstacle: Obstacle,
        health: &Health,
        now: Instant,
    ) -> Option<Instant> {
        // An outage says nothing of this target, nor does the time that the pace has it wait for a
        // try.
        let since = match self.endurance {
            Endurance::Timeout | Endurance::Queue => held.since,
            Endurance::Outage if health.is_out(now) => now,
            Endurance::Outage => held.since.saturating_add(now.saturating_since(held.due)),
        };
        let waited = now.saturating_since(since);
        // Only this size of packet is too large; the next may go.
        let is_passing = obstacle != Obstacle::TooLarge;
        let is_full = obstacle == Obstacle::Full;
        let endures = match self.endurance {
            Endurance::Queue if !is_full => false,
            Endurance::Timeout | Endurance::Queue => {
                health.has_worked() && waited < self.tracer.config().timeout
            }
            Endurance::Outage => waited < ALONE || !health.works_for_others(since),
        };
        if is_passing && endures && !self.has_given_up {
            let failures = held.failures.saturating_add(1);
            let due = now.saturating_add(health::pause(PAUSE, failures));
            self.held = Some(Held {
                since,
                due,
                failures,
                error: Some(error),
                is_for_room: is_full,
                ..held
            });
            return Some(due);
        }
        self.has_given_up |= is_passing;
        self.tracer.fail(held.probe, error);
        None
    }

    /// Remembers that somebody was heard, if an answer shows it: anybody but this machine itself,
    /// and with proof.
    pub(crate) fn note_answer(&mut self, reply: &Reply) {
        self.has_heard |= self.is_somebodys(reply) && reply.from != self.tracer.config().source;
    }

    /// Whether an answer shows that somebody is heard: it is proven. Where all hosts of a list have
    /// one flow most errors can't prove anything, and an outage would be seen where there is
    /// none: there it is enough that all of it is right.
    pub(crate) fn is_somebodys(&self, reply: &Reply) -> bool {
        let is_wrong = |change| reply.changes.contains(change);
        let is_right = || {
            ![Changes::DESTINATION, Changes::CHECKSUM, Changes::IDENT]
                .into_iter()
                .any(is_wrong)
        };
        reply.is_proven() || self.tracer.protocol().flow_is_public() && is_right()
    }

    /// When it is time to knock, because all is silent; `None` as long as that isn't known.
    pub(crate) fn knocks_at(&self) -> Option<Instant> {
        if !self.knock.is_permitted || self.knock.is_made {
            return None;
        }
        if self.tracer.is_quiet() {
            return Some(Instant::EPOCH);
        }
        let left = self.left.filter(|_| self.knock.is_mute);
        let overdue = left.map(|left| left.saturating_add(SILENCE));
        overdue.filter(|_| self.is_silent())
    }

    /// The nearest hop that was probed.
    pub(crate) fn first_probed(&self) -> Option<u8> {
        let first = self.tracer.route().hops().next();
        first.map(|hop| hop.number())
    }

    /// The farthest hop that was probed, or the one to begin with.
    pub(crate) fn farthest(&self) -> u8 {
        let last = self.tracer.route().hops().last();
        last.map_or(self.tracer.config().first_hop, |hop| hop.number())
    }

    /// Whether nobody has answered its own probes.
    pub(crate) fn is_silent(&self) -> bool {
        let mut hops = self.tracer.route().hops();
        hops.all(|hop| hop.replies().next().is_none())
    }

    /// When its first probe left, if it has not ended and nobody has answered.
    pub(crate) fn unheard_since(&self) -> Option<Instant> {
        if self.held.is_some() || self.tracer.route().stop_reason().is_some() {
            return None;
        }
        self.left.filter(|_| !self.has_heard)
    }

    /// When the next hop is to be looked for once before the timeout is over, if that is still to
    /// come.
    pub(crate) fn look_at(&self) -> Option<Instant> {
        let is_long = self.tracer.config().timeout > DOUBTFUL;
        self.left
            .filter(|_| is_long && self.was_missed.is_none())
            .map(|left| left.saturating_add(DOUBTFUL))
    }

    /// How long it waits where the next hop is still being looked for.
    pub(crate) const fn patience(&self, is_survey: bool) -> Patience {
        match (is_survey, self.has_timeout) {
            (true, _) => Patience::Doubt,
            (false, true) => Patience::Timeout,
            (false, false) => Patience::Verdict,
        }
    }

    /// Its target and what its probes are, for who wants to know whether others like them leave.
    pub(crate) fn witness(&self) -> Witness {
        Witness {
            target: self.tracer.config().target,
            scope_id: self.scope_id,
            protocol: self.tracer.protocol().protocol(),
        }
    }

    /// The way that its probes take.
    pub(crate) fn way(&self) -> Way {
        let config = self.tracer.config();
        Way {
            source: config.source,
            target: config.target,
            scope_id: self.scope_id,
        }
    }

    /// Returns whether it was this machine itself that wrote an answer: not about itself, but that
    /// its probe goes nowhere.
    pub(crate) fn is_local(&self, reply: &Reply) -> bool {
        self.tracer.config().is_local(reply.kind, reply.from)
    }

    /// The same answer in the name of the trace's source, if this machine wrote it in the name of
    /// another of its addresses. In IPv4 that is the first of the interface, whatever address a
    /// probe left from.
    pub(crate) fn in_own_name<'a, L: Link>(&self, answer: &Answer<'a>, link: &L) -> Answer<'a> {
        let config = self.tracer.config();
        let may_be = answer.kind == Kind::Unreachable
            && ![config.source, config.target].contains(&answer.from);
        let from = if may_be && link.is_own(answer.from) {
            config.source
        } else {
            answer.from
        };
        Answer { from, ..*answer }
    }

    /// Records what this machine says of a probe. That the next hop isn't there holds for all of
    /// them, if the neighbour's state permits it: a firewall says the same. Returns whether it
    /// is so.
    pub(crate) fn note_local(
        &mut self,
        reply: &Reply,
        may_be_missing: impl FnOnce(Way) -> bool,
    ) -> bool {
        let failure = Failure::Local {
            icmp_type: reply.icmp_type,
            icmp_code: reply.icmp_code,
        };
        // The kernel may have turned to another route since.
        let is_missing = failure.is_host_unreachable()
            && !self.has_heard
            && (self.was_missed == Some(true) || may_be_missing(self.way()));
        if is_missing {
            self.abandon();
        }
        is_missing
    }

    /// Lets a trace go on that has ended: one that starts anew from where it began has not.
    pub(crate) fn reopen(&mut self) {
        let _ = self.tracer.start_from(self.tracer.config().first_hop);
    }

    /// Ends it, since the next hop isn't there.
    pub(crate) fn abandon(&mut self) {
        self.tracer.abandon(Failure::NextHop);
    }

    /// Ends the trace with what is known.
    pub(crate) fn interrupt(&mut self) {
        match self.held.take() {
            // It only waited for others.
            Some(held) if held.is_for_room && self.left.is_some() => self.tracer.unsent(held.probe),
            Some(Held {
                probe,
                error: Some(error),
                ..
            }) => self.tracer.fail(probe, error),
            _ => {}
        }
        if self.knock.is_awaited {
            self.reopen();
        }
        self.tracer.stop();
    }

    /// Keeps the source port of a probe that was answered, if its link says that it has one of its
    /// own.
    pub(crate) fn note_port(&mut self, probe: ProbeId, port: Option<u16>) {
        if let Some(port) = port {
            self.ports.insert(probe, port);
        }
    }

    /// Keeps what the tracer doesn't of an answer that it has accepted, in place of what came with
    /// a weaker one.
    pub(crate) fn note(&mut self, probe: ProbeId, clock: Clock, answer: &Answer<'_>) {
        self.clocks.entry(probe).or_default().received = clock;
        let config = self.tracer.config();
        let ends = Ends {
            source: config.source,
            destination: config.target,
        };
        let extensions = OwnedExtensions {
            syn: QuotedSyn::of(self.tracer.protocol(), ends, answer),
            ..OwnedExtensions::copy(&answer.extensions)
        };
        if extensions.is_empty() {
            self.extensions.remove(&probe);
        } else {
            self.extensions.insert(probe, extensions);
        }
    }
}
