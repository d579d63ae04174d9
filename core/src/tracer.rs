//! The state machine: one trace, from the first probe to the route.

#[cfg(test)]
mod tests;

use crate::answer::{Answer, Discard, Kind};
use crate::config::{Config, ConfigError, Sweep};
use crate::detour;
use crate::outcome::{Failure, Reply, SendError};
use crate::past_end;
use crate::patience::{self, Patience};
use crate::plan::{self, Next, Reason};
use crate::probe::{Evidence, ProbeId};
use crate::protocol::echo::Echo;
use crate::protocol::{APART, Match, Protocol};
use crate::route::{RouteView, StopReason, Tally};
use crate::slot::Slot;
use crate::storage::{Inline, Storage};
use crate::table::{self, EndKind, Path, Progress, View};
use crate::time::Instant;
use crate::wire::extensions::Extensions;
use crate::wire::{AddressFamily, BufferTooSmall, Ends, ip};
use core::net::IpAddr;

/// The least time between a probe that could not be sent and the next, in nanoseconds: what a frame
/// takes at 10 Mbit/s.
const AFTER_FAILURE: u64 = 1_250_000;

/// A clock that goes back by more, in nanoseconds, has begun again: no readings that were taken in
/// another order than they are passed on are so far apart.
const BACK: u64 = 1_000_000_000;

/// The next thing to do, as [`Tracer::poll`] says.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[cfg_attr(feature = "defmt", derive(defmt::Format))]
pub enum Action<'b> {
    /// Send this, then poll again at once.
    Transmit(Transmit<'b>),
    /// Nothing before this instant: poll again then, or after any answer.
    Wait(Instant),
    /// The trace has ended. Polling again is harmless and says the same.
    Done,
}

/// A probe to send.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[cfg_attr(feature = "defmt", derive(defmt::Format))]
#[non_exhaustive]
pub struct Transmit<'b> {
    /// The name of the probe, for [`Tracer::sent`], [`Tracer::unsent`] and [`Tracer::fail`].
    pub probe: ProbeId,
    /// The reason why it is sent.
    pub reason: Reason,
    /// The address to send it to.
    pub destination: IpAddr,
    /// The hop limit to send it with (TTL in IPv4).
    pub hop_limit: u8,
    /// The traffic class to send it with (TOS in IPv4): [`Config::traffic_class`].
    pub traffic_class: u8,
    /// The ICMP message. In IPv6 its checksum is zero if [`Config::source`] wasn't given.
    pub message: &'b [u8],
}

/// The origin of a message, and the time when it arrived.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[cfg_attr(feature = "defmt", derive(defmt::Format))]
pub struct Arrival {
    /// The moment of receiving, on the clock of [`Tracer::poll`].
    pub at: Instant,
    /// The source address of the packet.
    pub from: IpAddr,
    /// The hop limit (TTL in IPv4) of the packet, if known.
    pub hop_limit: Option<u8>,
}

/// An accepted answer, with what the router appended to it. The extensions are a view of the
/// message: the tracer doesn't keep them.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[cfg_attr(feature = "defmt", derive(defmt::Format))]
#[non_exhaustive]
pub struct Accepted<'m> {
    /// The answer.
    pub reply: Reply,
    /// MPLS labels and the like.
    pub extensions: Extensions<'m>,
}

/// One trace, with room for `N` probes: at least hops times attempts, and what is beyond that for
/// retries.
pub type Tracer<const N: usize, P = Echo> = TracerIn<Inline<N>, P>;

/// One trace, in memory of its owner's choice: [`Tracer`] has its own.
///
/// It does no I/O and reads no clock: [`poll`](Self::poll) says what to send and when,
/// [`handle`](Self::handle) takes what arrives, [`route`](Self::route) shows what is known. Nothing
/// in it panics, allocates or blocks, whatever arrives in whatever order, and it always ends if
/// time goes on and its probes are not all [given back](Self::unsent).
#[derive(Clone, Debug)]
pub struct TracerIn<S, P = Echo> {
    config: Config,
    protocol: P,
    path: Path,
    /// The time of the last poll.
    polled: Instant,
    /// No probe leaves before this instant.
    next_send: Instant,
    ended: Option<StopReason>,
    tally: Tally,
    memory: S,
}

impl<const N: usize, P: Protocol> Tracer<N, P> {
    /// A tracer without a trace: [`start`](Self::start) gives it one. It is all zeros, so as a
    /// `static` it takes no flash.
    ///
    /// ```
    /// use hopshot_core::Tracer;
    /// # use std::sync::Mutex;
    ///
    /// static TRACER: Mutex<Tracer<48>> = Mutex::new(Tracer::idle());
    /// ```
    #[must_use]
    pub const fn idle() -> Self {
        Self::idle_in(Inline::new())
    }

    /// A trace that has not sent anything yet. Where the stack is short, see
    /// [`start`](Self::start).
    ///
    /// # Errors
    /// As of [`start`](Self::start).
    pub fn new(config: Config, protocol: P) -> Result<Self, ConfigError> {
        Self::new_in(Inline::new(), config, protocol)
    }
}

impl<S, P: Protocol> TracerIn<S, P> {
    /// A tracer without a trace, in memory that nothing was pushed to. Until it is
    /// [started](Self::start) its trace has ended, [interrupted](StopReason::Interrupted).
    #[must_use]
    pub const fn idle_in(memory: S) -> Self {
        Self {
            config: Config::IDLE,
            protocol: P::IDLE,
            path: Path::UNKNOWN,
            polled: Instant::EPOCH,
            next_send: Instant::EPOCH,
            ended: Some(StopReason::Interrupted),
            tally: Tally::NONE,
            memory,
        }
    }
}

impl<S: Storage, P: Protocol> TracerIn<S, P> {
    /// A trace that has not sent anything yet, in memory of the caller's.
    ///
    /// # Errors
    /// As of [`start`](Self::start).
    pub fn new_in(memory: S, config: Config, protocol: P) -> Result<Self, ConfigError> {
        let mut tracer = Self::idle_in(memory);
        tracer.start(&config, protocol)?;
        Ok(tracer)
    }

    /// Starts a trace in place, whatever the tracer did before: that is forgotten.
    ///
    /// # Errors
    /// [`ConfigError`] if a parameter is out of its range, or if there is room for less than hops
    /// times attempts. Nothing has changed then.
    pub fn start(&mut self, config: &Config, protocol: P) -> Result<(), ConfigError> {
        Self::check(config, &self.memory)?;
        protocol.check()?;
        self.config = *config;
        self.protocol = protocol;
        self.memory.clear();
        self.polled = Instant::EPOCH;
        self.next_send = Instant::EPOCH;
        self.tally = Tally::NONE;
        self.path = Path::beginning_at(config.first_hop);
        self.ended = None;
        Ok(())
    }

    fn check(config: &Config, memory: &S) -> Result<(), ConfigError> {
        config.check()?;
        let hops = usize::from(config.max_hops);
        let swept = hops
            .saturating_add(1)
            .saturating_sub(usize::from(config.first_hop));
        let needed = swept.saturating_mul(usize::from(config.attempts)).max(hops);
        let capacity = memory.capacity().min(usize::from(u16::MAX));
        if needed > capacity {
            Err(ConfigError::Capacity { needed, capacity })
        } else {
            Ok(())
        }
    }

    /// Extends the trace to nearer hops, from `first_hop` on. Use it when the hops that were
    /// skipped turn out not to be what you assumed. A trace that has ended goes on, as far as there
    /// is room: what silent hops got beyond their attempts is spent.
    ///
    /// # Errors
    /// [`ConfigError`] as of [`new`](Self::new), also if it is farther out than before. Nothing has
    /// changed then.
    pub fn start_from(&mut self, first_hop: u8) -> Result<(), ConfigError> {
        let greatest = self.config.first_hop.into();
        if first_hop > self.config.first_hop {
            return Err(ConfigError::OutOfRange {
                parameter: "first_hop",
                given: first_hop.into(),
                least: 1,
                greatest,
            });
        }
        let config = Config {
            first_hop,
            ..self.config
        };
        Self::check(&config, &self.memory)?;
        self.config = config;
        self.path.quiet = None;
        self.survey();
        self.ended = None;
        Ok(())
    }

    /// Lets the first sweep go as far as this hop at once, up to
    /// [`max_hops`](Config::max_hops): the target is thought to be there. What was sent already
    /// stays, and a [`Sweep::Burst`] stays one. `has_answered` says that the target has answered
    /// another probe of this protocol: of probes that [connect](Protocol::connects) to it it may
    /// get two more then than if it may be silent.
    pub fn expect(&mut self, hop: u8, has_answered: bool) {
        if let Sweep::Window { step, .. } = self.config.sweep() {
            // Not `clamp`, which panics where the least is more than the most: an idle tracer goes
            // to no hop at all.
            let first = hop.min(self.config.max_hops).max(1);
            let step = match has_answered && self.protocol.connects() {
                true => step.max(past_end::KNOWN),
                false => step,
            };
            self.config.sweep = Some(Sweep::Window { first, step });
        }
    }

    /// The parameters of the trace.
    #[must_use]
    pub const fn config(&self) -> &Config {
        &self.config
    }

    /// The identity of the probes.
    #[must_use]
    pub const fn protocol(&self) -> &P {
        &self.protocol
    }

    /// The next thing to do. After [`Action::Transmit`] send it and call again; after
    /// [`Action::Wait`] call again at that instant, or after any answer. `now` is taken as the
    /// moment of sending: read the clock right before the call. Calling too early is harmless.
    ///
    /// # Errors
    /// [`BufferTooSmall`] if `buf` can't hold a probe ([`Protocol::message_len`]). Nothing has
    /// changed then.
    pub fn poll<'b>(
        &mut self,
        now: Instant,
        buf: &'b mut [u8],
    ) -> Result<Action<'b>, BufferTooSmall> {
        let back = self.polled.nanos_since(now);
        if back > BACK {
            self.turn_back(back);
        }
        self.polled = now;
        loop {
            if self.ended.is_some() {
                return Ok(Action::Done);
            }
            let view = self.view();
            let soonest = match self.plan(&view, now) {
                Next::Now(..) if now < self.next_send => return Ok(Action::Wait(self.next_send)),
                Next::Now(hop, reason) if self.busy_until(hop, reason) > now => {
                    self.busy_until(hop, reason)
                }
                Next::Now(hop, reason) => {
                    return self.transmit(hop, reason, now, buf).map(Action::Transmit);
                }
                Next::At(at) => at,
            };
            let quiet_at = match (self.path.quiet, self.path.certain_end()) {
                (None, None) if self.protocol.connects() => detour::quiet_at(&view),
                (None, None) => patience::quiet_at(&view),
                _ => Instant::NEVER,
            };
            let mut patience = Patience::of(&view);
            if self.protocol.connects() && self.path.quiet.is_some() {
                patience.wait_as_until_quiet();
            }
            let (any_lost, given_up) = self.give_up(&patience, now);
            if any_lost {
                continue;
            }
            match soonest.min(quiet_at).min(given_up) {
                Instant::NEVER => self.ended = Some(self.reason()),
                _ if quiet_at <= now => self.path.quiet = Some(now),
                at => return Ok(Action::Wait(at)),
            }
        }
    }

    /// Moves all instants back, after the clock began again.
    fn turn_back(&mut self, nanos: u64) {
        for probe in self.memory.probes_mut() {
            probe.turn_back(nanos);
        }
        self.path.quiet = self.path.quiet.map(|quiet| quiet.before(nanos));
        self.next_send = self.next_send.before(nanos);
    }

    /// A message that arrived: parsed, and accepted if it answers a probe of this trace.
    ///
    /// # Errors
    /// [`Discard`] says why it was not accepted.
    pub fn handle<'m>(
        &mut self,
        arrival: Arrival,
        message: &'m [u8],
    ) -> Result<Accepted<'m>, Discard> {
        let ends = Ends {
            source: arrival.from,
            destination: self.config.source,
        };
        let answer = Answer::parse(ends, arrival.hop_limit, message)?;
        let reply = self.accept(arrival.at, &answer)?;
        Ok(Accepted {
            reply,
            extensions: answer.extensions,
        })
    }

    /// An answer that was parsed already, received at `at`. A better one replaces what the probe
    /// had, whichever came first. Answers are taken at any time, also after the end.
    ///
    /// # Errors
    /// [`Discard`] says why it was not accepted.
    pub fn accept(&mut self, at: Instant, answer: &Answer<'_>) -> Result<Reply, Discard> {
        let accepted = self.match_up(at, answer);
        let counter = match accepted {
            Err(Discard::Duplicate) => &mut self.tally.duplicates,
            Err(Discard::WrongCookie) => &mut self.tally.forged,
            Err(Discard::Unattributed) if self.protocol.may_be_unattributed() => {
                if let Some(first) = self.memory.probes_mut().first_mut() {
                    first.set_followed();
                }
                return accepted;
            }
            _ => return accepted,
        };
        *counter = counter.saturating_add(1);
        accepted
    }

    fn match_up(&mut self, at: Instant, answer: &Answer<'_>) -> Result<Reply, Discard> {
        let ends = self.config.ends();
        let changes = answer.changes(&ends, self.config.traffic_class);
        let Match { index, changes } = self.protocol.recognize(ends, answer, changes)?;
        let detours = self.protocol.detours();
        let (place, is_apart) = match detours {
            true => (index & !APART, index & APART != 0),
            false => (index, false),
        };
        let probe = self
            .memory
            .probes_mut()
            .get_mut(usize::from(place))
            .filter(|probe| !detours || probe.is_apart() == is_apart)
            .ok_or(Discard::NotOurs)?;
        // In our own name anybody can write: what isn't proven is nothing.
        // Not the error's own kind, so that probes that know no such thing pay nothing for it.
        let is_reply = self.protocol.is_reply(ends, answer);
        let local = !is_reply && self.config.is_local(answer.kind, answer.from);
        if local && changes.evidence() == Evidence::Weak {
            return Err(Discard::NotOurs);
        }
        if probe.failure().is_some() {
            return Err(if local {
                Discard::FailedHere
            } else {
                Discard::NotOurs
            });
        }
        let replaces = probe.is_answered();
        if replaces && probe.changes().rank() >= changes.rank() {
            return Err(Discard::Duplicate);
        }
        if probe.is_lost() {
            self.tally.late = self.tally.late.saturating_add(1);
        }
        let packet_len = self
            .protocol
            .message_len()
            .saturating_add(ip::header_len(AddressFamily::of(self.config.target)));
        probe.take(at, answer, changes, &self.config.target, packet_len);
        if is_reply {
            probe.be_reply();
        }
        let reply = probe.reply();
        if local {
            let (icmp_type, icmp_code) = answer.icmp;
            probe.fail(Failure::Local {
                icmp_type,
                icmp_code,
            });
        }
        let hop = probe.hop();
        self.sum_up(hop);
        let (hops, probes) = (self.hops(), self.memory.probes());
        self.path.found_loop = table::find_loop(
            hops,
            probes,
            hop,
            self.path.top,
            self.path.found_loop,
            replaces,
        );
        self.survey();
        Ok(reply)
    }

    /// The probe that [`poll`](Self::poll) gave out left at `at`: a kernel's or a device's transmit
    /// timestamp, in place of the moment of polling. A probe never leaves later than its answer
    /// comes; one that could not be sent stays as it is.
    pub fn sent(&mut self, probe: ProbeId, at: Instant) {
        let Some(slot) = self.find(probe) else { return };
        if slot.failure().is_some() {
            return;
        }
        slot.leave(at);
        if slot.is_answered() {
            self.survey();
        }
    }

    /// Gives back the probe that [`poll`](Self::poll) gave out last, because a queue is full. Call
    /// it only if the probe surely won't leave: its number is used again. Several are given back in
    /// the reverse order. The next [`poll`](Self::poll) decides anew, so call that when there is
    /// room. A trace whose every probe is given back never ends; for what can't be sent at all
    /// there is [`fail`](Self::fail).
    pub fn unsent(&mut self, probe: ProbeId) {
        let is_it = |last: &&Slot| last.id() == probe && last.is_in_flight();
        let Some(last) = self.memory.probes().last().filter(is_it) else {
            return;
        };
        // A probe that failed before may have put the next one off.
        if self.next_send == last.sent().saturating_add(self.config.interval) {
            self.next_send = Instant::EPOCH;
        }
        self.memory.pop();
        self.sum_up(probe.hop);
    }

    /// The probe that [`poll`](Self::poll) gave out could not be sent. The trace goes on without
    /// it, after 1.25 ms: a queue that is full may drain meanwhile.
    pub fn fail(&mut self, probe: ProbeId, error: SendError) {
        if let Some(sent) = self.find(probe)
            && sent.is_in_flight()
        {
            sent.fail(Failure::Send(error));
            // A queue that is full drains meanwhile; else the rest of a burst would be spent on it.
            let next_send = sent.sent().after(AFTER_FAILURE);
            self.next_send = self.next_send.max(next_send);
            self.sum_up(probe.hop);
        }
    }

    /// Ends the trace, because this machine knows that nothing more can be answered, such as when
    /// nobody is there on its link: what has no answer, or an
    /// [unproven](crate::Changes::UNPROVEN) one, failed for this reason, also what this machine
    /// called unreachable in other words.
    pub fn abandon(&mut self, failure: Failure) {
        let is_open = |probe: &&mut Slot| {
            let is_answered = probe.is_answered() && probe.is_proven();
            !is_answered
                && probe
                    .failure()
                    .is_none_or(|before| before.is_host_unreachable())
        };
        for probe in self.memory.probes_mut().iter_mut().filter(is_open) {
            probe.fail(failure);
        }
        (1..=self.config.max_hops).for_each(|hop| self.sum_up(hop));
        let reason = self.reason();
        self.ended.get_or_insert(reason);
    }

    fn find(&mut self, probe: ProbeId) -> Option<&mut Slot> {
        self.memory
            .probes_mut()
            .iter_mut()
            .rev()
            .find(|sent| sent.id() == probe)
    }

    /// Ends the trace, because nothing more is to be expected, by what its caller knows: as it
    /// would end when the time has come.
    pub fn conclude(&mut self) {
        let reason = match self.reason() {
            StopReason::Timeout => StopReason::Quiet,
            reason => reason,
        };
        self.ended.get_or_insert(reason);
    }

    /// Ends the trace now, with what is known.
    pub fn stop(&mut self) {
        self.ended.get_or_insert(StopReason::Interrupted);
    }

    /// Whether the trace goes on although nothing more is expected from what was sent at first, and
    /// the target has not been heard.
    #[must_use]
    pub fn is_quiet(&self) -> bool {
        self.path.quiet.is_some() && self.path.certain_end().is_none() && self.ended.is_none()
    }

    /// Returns whether an error came that quoted too little to tell which probe it is about: see
    /// [`Udp::detours`](crate::Udp::detours).
    #[must_use]
    pub fn has_unattributed(&self) -> bool {
        self.memory.probes().first().is_some_and(Slot::is_followed)
    }

    /// Shows what is known so far.
    #[must_use]
    pub fn route(&self) -> RouteView<'_> {
        RouteView::new(self.view(), self.ended, self.tally)
    }

    fn view(&self) -> View<'_> {
        View {
            config: &self.config,
            probes: self.memory.probes(),
            hops: self.hops(),
            path: &self.path,
            room: self
                .memory
                .capacity()
                .saturating_sub(self.memory.probes().len()),
        }
    }

    /// Returns the index of a probe, as [`Protocol::emit`] got it; `None` if there is none.
    #[must_use]
    pub fn index(&self, probe: ProbeId) -> Option<u16> {
        let mut probes = (0..).zip(self.memory.probes());
        let (place, slot) = probes.find(|(_, slot)| slot.id() == probe)?;
        Some(if slot.is_apart() {
            place | APART
        } else {
            place
        })
    }

    fn hops(&self) -> &[Progress] {
        self.memory
            .hops()
            .get(..self.config.max_hops.into())
            .unwrap_or_default()
    }

    fn plan(&self, view: &View<'_>, now: Instant) -> Next {
        match view.room {
            0 => Next::At(Instant::NEVER),
            _ if self.protocol.connects() => plan::next_connecting(view, now),
            _ if self.is_blind() => plan::next_blind(view, now),
            _ => plan::next(view, now),
        }
    }

    /// Whether routers have answered that only a probe on a flow of its own can find.
    fn is_blind(&self) -> bool {
        self.protocol.detours()
            && !self.protocol.connects()
            && self.has_unattributed()
            && !self.config.is_burst()
    }

    /// Whether a probe leaves on a flow of its own.
    fn leaves_apart(&self, hop: u8, reason: Reason) -> bool {
        if self.protocol.connects() {
            self.protocol.detours() && detour::is_one(&self.view(), hop, reason)
        } else {
            self.is_blind() && detour::is_for_blind(&self.view(), hop, reason)
        }
    }

    /// Until when a probe waits, since the target may be about to answer.
    fn busy_until(&self, hop: u8, reason: Reason) -> Instant {
        if !self.protocol.connects() || reason == Reason::Attempt && self.leaves_apart(hop, reason)
        {
            return Instant::EPOCH;
        }
        detour::busy_until(&self.view(), hop, reason)
    }

    fn transmit<'b>(
        &mut self,
        hop: u8,
        reason: Reason,
        now: Instant,
        buf: &'b mut [u8],
    ) -> Result<Transmit<'b>, BufferTooSmall> {
        let place = u16::try_from(self.memory.probes().len()).unwrap_or(u16::MAX);
        let is_apart = place < APART && self.leaves_apart(hop, reason);
        let index = if is_apart { place | APART } else { place };
        let needed = self.protocol.message_len();
        let message = buf.get_mut(..needed).ok_or(BufferTooSmall { needed })?;
        self.protocol.emit(self.config.ends(), index, message)?;
        let attempt = self.view().progress(hop).sent.saturating_add(1);
        // There is room: the plan is asked only when there is.
        let mut slot = Slot::new(hop, attempt, now);
        if is_apart {
            slot.set_apart();
        }
        self.memory.push(slot);
        if let Some(progress) = self.progress_mut(hop) {
            progress.add(place, &slot);
        }
        self.next_send = now.saturating_add(self.config.interval);
        let probe = ProbeId { hop, attempt };
        Ok(Transmit {
            probe,
            reason,
            destination: self.config.target,
            hop_limit: hop,
            traffic_class: self.config.traffic_class,
            message,
        })
    }

    /// When a probe is given up: see [`Patience::deadline`].
    fn deadline(&self, patience: &Patience, probe: &Slot) -> Instant {
        let view = self.view();
        let deadline = patience.deadline(&view, probe);
        match self.protocol.connects() {
            true => detour::deadline(&view, probe, deadline),
            false => deadline,
        }
    }

    /// Marks what nobody waits for any longer as lost, and says when the wait for the next of the
    /// rest, or for a better answer, will be over.
    fn give_up(&mut self, patience: &Patience, now: Instant) -> (bool, Instant) {
        let (mut any_lost, mut soonest) = (false, Instant::NEVER);
        for index in 0..self.memory.probes().len() {
            let probe = self.memory.probes().get(index);
            let Some(probe) = probe.filter(|probe| probe.may_improve()) else {
                continue;
            };
            let (hop, deadline) = (probe.hop(), self.deadline(patience, probe));
            if deadline > now {
                soonest = soonest.min(deadline);
            } else if probe.is_in_flight() {
                if let Some(probe) = self.memory.probes_mut().get_mut(index) {
                    probe.lose(now);
                }
                if let Some(progress) = self.progress_mut(hop) {
                    progress.waiting = progress.waiting.wrapping_sub(1);
                }
                any_lost = true;
            }
        }
        (any_lost, soonest)
    }

    fn survey(&mut self) {
        let hops = self.memory.hops();
        let hops = hops.get(..self.config.max_hops.into()).unwrap_or_default();
        self.path
            .survey(self.config.first_hop, hops, self.memory.probes());
    }

    fn sum_up(&mut self, hop: u8) {
        let progress = Progress::of(hop, self.memory.probes());
        if let Some(place) = self.progress_mut(hop) {
            *place = progress;
        }
    }

    fn progress_mut(&mut self, hop: u8) -> Option<&mut Progress> {
        let index = usize::from(hop).wrapping_sub(1);
        self.memory.hops_mut().get_mut(index)
    }

    // In its callers it takes more room.
    #[inline(never)]
    fn reason(&self) -> StopReason {
        match self.path.end {
            // With detours a hop may be left alone though there is room.
            _ if plan::is_unsure(&self.view())
                && (!self.protocol.detours() || self.view().room == 0) =>
            {
                StopReason::NoRoom
            }
            Some(end) if end.kind == EndKind::Target && !self.refused(end.hop) => {
                StopReason::Reached
            }
            Some(end) if end.kind == EndKind::Loop => StopReason::Loop,
            Some(_) => StopReason::Unreachable,
            None if self.path.top == self.config.max_hops => StopReason::MaxHops,
            None if self.route().failure().is_some() => StopReason::Local,
            None if patience::timeout_rules(&self.view()) => StopReason::Timeout,
            None => StopReason::Quiet,
        }
    }

    /// Whether the target answered from `hop`, but with nothing better than an unreachable.
    fn refused(&self, hop: u8) -> bool {
        let mut at_hop = self
            .memory
            .probes()
            .iter()
            .filter(|probe| probe.hop() == hop);
        !at_hop.any(|probe| probe.kind() == Some(Kind::Reply))
    }
}

#[cfg(feature = "defmt")]
impl<S: Storage, P: Protocol + defmt::Format> defmt::Format for TracerIn<S, P> {
    fn format(&self, f: defmt::Formatter<'_>) {
        defmt::write!(f, "{}, {}, {}", self.config, self.protocol, self.route());
    }
}
