//! The state machine: one trace, from the first probe to the route.

use crate::answer::{Answer, Discard, Kind};
use crate::config::{Config, ConfigError};
use crate::outcome::{Failure, Reply, SendError};
use crate::patience::{self, Patience};
use crate::plan::{self, Next, Reason};
use crate::probe::{Evidence, ProbeId};
use crate::protocol::echo::Echo;
use crate::protocol::{Match, Protocol};
use crate::route::{RouteView, StopReason, Tally};
use crate::slot::Slot;
use crate::storage::{Inline, Storage};
use crate::table::{self, End, EndKind, Path, Progress, View};
use crate::time::{Instant, earlier};
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
    quiet: Option<Instant>,
    /// The loop that the path goes into.
    path_loop: Option<End>,
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
            quiet: None,
            path_loop: None,
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
        self.path_loop = None;
        self.polled = Instant::EPOCH;
        self.next_send = Instant::EPOCH;
        self.tally = Tally::NONE;
        self.path = Path::beginning_at(config.first_hop);
        self.quiet = None;
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

    /// Extends the trace to nearer hops, from `first_hop` on. Use it when the hops that were skipped
    /// turn out not to be what you assumed. A trace that has ended goes on, as far as there is room:
    /// what silent hops got beyond their attempts is spent.
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
        self.path = self.survey();
        self.quiet = None;
        self.ended = None;
        Ok(())
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
            let soonest = match self.plan(now) {
                Next::Now(..) if now < self.next_send => return Ok(Action::Wait(self.next_send)),
                Next::Now(hop, reason) => {
                    return self.transmit(hop, reason, now, buf).map(Action::Transmit);
                }
                Next::At(at) => Some(at),
                Next::Nothing => None,
            };
            let quiet_at = match (self.quiet, self.path.certain_end()) {
                (None, None) => patience::quiet_at(&self.view()),
                _ => None,
            };
            let (any_lost, given_up) = self.give_up(now);
            if any_lost {
                continue;
            }
            match earlier(earlier(soonest, quiet_at), given_up) {
                Some(_) if quiet_at.is_some_and(|at| at <= now) => self.quiet = Some(now),
                Some(at) => return Ok(Action::Wait(at)),
                None => self.ended = Some(self.reason()),
            }
        }
    }

    /// Moves all instants back, after the clock began again.
    fn turn_back(&mut self, nanos: u64) {
        for probe in self.memory.probes_mut() {
            probe.turn_back(nanos);
        }
        self.quiet = self.quiet.map(|quiet| quiet.before(nanos));
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
            _ => return accepted,
        };
        *counter = counter.saturating_add(1);
        accepted
    }

    #[inline(never)]
    fn match_up(&mut self, at: Instant, answer: &Answer<'_>) -> Result<Reply, Discard> {
        let ends = self.config.ends();
        let changes = answer.changes(ends, self.config.traffic_class);
        let Match { index, changes } = self.protocol.recognize(ends, answer, changes)?;
        let probe = self
            .memory
            .probes_mut()
            .get_mut(usize::from(index))
            .ok_or(Discard::NotOurs)?;
        // In our own name anybody can write: what isn't proven is nothing.
        let local = self.config.is_local(answer.kind, answer.from);
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
        if probe.is_answered() && probe.changes().rank() >= changes.rank() {
            return Err(Discard::Duplicate);
        }
        if probe.is_lost() {
            self.tally.late = self.tally.late.saturating_add(1);
        }
        let packet_len = self
            .protocol
            .message_len()
            .saturating_add(ip::header_len(AddressFamily::of(self.config.target)));
        probe.take(at, answer, changes, self.config.target, packet_len);
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
        self.path_loop = table::find_loop(hops, probes, hop, self.path.top, self.path_loop);
        self.path = self.survey();
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
            self.path = self.survey();
        }
    }

    /// Gives back the probe that [`poll`](Self::poll) gave out last, because a queue is full. Call
    /// it only if the probe surely won't leave: its number is used again. Several are given back in
    /// the reverse order. The next [`poll`](Self::poll) decides anew, so call that when there is
    /// room. A trace whose every probe is given back never ends; for what can't be sent at all there
    /// is [`fail`](Self::fail).
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

    /// Ends the trace now, with what is known.
    pub fn stop(&mut self) {
        self.ended.get_or_insert(StopReason::Interrupted);
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
            quiet: self.quiet,
            room: self
                .memory
                .capacity()
                .saturating_sub(self.memory.probes().len()),
        }
    }

    #[inline(never)]
    fn hops(&self) -> &[Progress] {
        self.memory
            .hops()
            .get(..self.config.max_hops.into())
            .unwrap_or_default()
    }

    fn plan(&self, now: Instant) -> Next {
        let view = self.view();
        match view.room {
            0 => Next::Nothing,
            _ => plan::next(&view, now),
        }
    }

    fn transmit<'b>(
        &mut self,
        hop: u8,
        reason: Reason,
        now: Instant,
        buf: &'b mut [u8],
    ) -> Result<Transmit<'b>, BufferTooSmall> {
        let index = u16::try_from(self.memory.probes().len()).unwrap_or(u16::MAX);
        let needed = self.protocol.message_len();
        let message = buf.get_mut(..needed).ok_or(BufferTooSmall { needed })?;
        self.protocol.emit(self.config.ends(), index, message)?;
        let attempt = self.view().progress(hop).sent.saturating_add(1);
        // There is room: the plan is asked only when there is.
        let slot = Slot::new(hop, attempt, now);
        self.memory.push(slot);
        if let Some(progress) = self.progress_mut(hop) {
            progress.add(index, &slot);
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

    /// Marks what nobody waits for any longer as lost, and says when the wait for the next of the
    /// rest, or for a better answer, will be over.
    fn give_up(&mut self, now: Instant) -> (bool, Option<Instant>) {
        let (mut any_lost, mut soonest) = (false, None::<Instant>);
        let patience = Patience::of(&self.view());
        for index in 0..self.memory.probes().len() {
            let view = self.view();
            let Some(probe) = view.probes.get(index).filter(|probe| probe.may_improve()) else {
                continue;
            };
            let progress = view.progress(probe.hop());
            let first = view.sent_at(progress.first);
            match patience.deadline(probe, progress.sure, first) {
                Some(at) if at > now => soonest = earlier(soonest, Some(at)),
                Some(_) if probe.is_in_flight() => {
                    let hop = probe.hop();
                    if let Some(probe) = self.memory.probes_mut().get_mut(index) {
                        probe.lose(now);
                    }
                    if let Some(progress) = self.progress_mut(hop) {
                        progress.waiting = progress.waiting.saturating_sub(1);
                    }
                    any_lost = true;
                }
                _ => {}
            }
        }
        (any_lost, soonest)
    }

    fn survey(&self) -> Path {
        Path::survey(
            self.config.first_hop,
            self.hops(),
            self.memory.probes(),
            self.path_loop,
        )
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
            _ if plan::is_unsure(&self.view()) => StopReason::NoRoom,
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

#[cfg(test)]
mod tests {
    use super::*;
    use crate::answer::{Back, Quoted};
    use crate::config::Sweep;
    use crate::outcome::Outcome;
    use core::time::Duration;

    const ECHO: Echo = Echo::new([7; 16]);

    fn config(max_hops: u8) -> Config {
        Config {
            max_hops,
            ..Config::new([192, 0, 2, 1].into())
        }
    }

    /// A tracer that has sent a probe to hop 1 at 10 ms, and that probe.
    fn tracer() -> (Tracer<8>, [u8; 32]) {
        let (mut tracer, mut probe) = (Tracer::new(config(1), ECHO).unwrap(), [0; 32]);
        assert!(matches!(
            tracer.poll(Instant::from_millis(10), &mut probe),
            Ok(Action::Transmit(_))
        ));
        (tracer, probe)
    }

    /// Hears the target's reply: the probe with another type.
    fn reply(tracer: &mut Tracer<8>, at: u64, probe: &[u8]) -> Reply {
        let mut message = [0; 32];
        message[1..].copy_from_slice(&probe[1..]);
        let back = Back::Reply {
            protocol: ip::PROTOCOL_ICMP,
            message: &message,
        };
        tracer
            .accept(Instant::from_millis(at), &answer(Kind::Reply, back))
            .unwrap()
    }

    fn answer(kind: Kind, back: Back<'_>) -> Answer<'_> {
        let extensions = Extensions::default();
        Answer {
            from: [192, 0, 2, 1].into(),
            hop_limit: None,
            kind,
            icmp: (0, 0),
            mtu: None,
            back,
            extensions,
        }
    }

    fn rtt(tracer: &Tracer<8>) -> Duration {
        tracer
            .route()
            .hops()
            .next()
            .unwrap()
            .replies()
            .next()
            .unwrap()
            .rtt
    }

    const PROBE: ProbeId = ProbeId { hop: 1, attempt: 1 };

    #[test]
    fn a_transmit_timestamp_moves_the_sending_time() {
        let (mut tracer, probe) = tracer();
        tracer.sent(PROBE, Instant::from_millis(12));
        tracer.sent(
            ProbeId {
                attempt: 2,
                ..PROBE
            },
            Instant::from_millis(99),
        );
        assert_eq!(reply(&mut tracer, 15, &probe).rtt, Duration::from_millis(3));
    }

    #[test]
    fn a_transmit_timestamp_after_the_answer_still_counts_but_never_turns_the_rtt_around() {
        let (mut tracer, probe) = tracer();
        assert_eq!(reply(&mut tracer, 15, &probe).rtt, Duration::from_millis(5));
        tracer.sent(PROBE, Instant::from_millis(14));
        assert_eq!(rtt(&tracer), Duration::from_millis(1));
        tracer.sent(PROBE, Instant::from_millis(16));
        assert_eq!(rtt(&tracer), Duration::ZERO);
    }

    /// Answers every probe of a burst: by the router that `router` names for its hop.
    fn answered(router: impl Fn(u8) -> u8) -> Tracer<64> {
        let config = Config {
            sweep: Some(Sweep::Burst),
            ..config(64)
        };
        let (mut tracer, mut buf) = (Tracer::new(config, ECHO).unwrap(), [0; 32]);
        for _ in 1..=64 {
            let Ok(Action::Transmit(probe)) = tracer.poll(Instant::EPOCH, &mut buf) else {
                panic!()
            };
            let from = [10, 0, 0, router(probe.hop_limit)].into();
            let (protocol, message) = (ip::PROTOCOL_ICMP, probe.message);
            let back = Back::Quoted(Quoted {
                destination: None,
                header: None,
                protocol,
                message,
            });
            let answer = Answer {
                from,
                ..answer(Kind::TimeExceeded, back)
            };
            tracer.accept(Instant::from_millis(5), &answer).unwrap();
        }
        tracer
    }

    fn end(tracer: &Tracer<64>) -> Option<(u8, EndKind)> {
        tracer.path.end.map(|end| (end.hop, end.kind))
    }

    /// Lets the router with this number answer a probe, weakly where the quoted destination is
    /// another.
    fn answer_from(tracer: &mut Tracer<64>, hop: u8, router: u8, is_weak: bool) {
        let mut message = [0; 32];
        let index = u16::from(hop - 1);
        ECHO.emit(tracer.config.ends(), index, &mut message)
            .unwrap();
        let back = Back::Quoted(Quoted {
            destination: is_weak.then(|| [192, 0, 2, 99].into()),
            header: None,
            protocol: ip::PROTOCOL_ICMP,
            message: &message,
        });
        let answer = Answer {
            from: [10, 0, 0, router].into(),
            ..answer(Kind::TimeExceeded, back)
        };
        let _ = tracer.accept(Instant::from_millis(5), &answer);
    }

    /// The loop that a look at all routers finds.
    fn any_loop(tracer: &Tracer<64>) -> Option<(u8, Evidence)> {
        let probes = tracer.memory.probes();
        [Evidence::Strong, Evidence::Weak]
            .into_iter()
            .find_map(|evidence| {
                let routers = probes.iter().filter_map(Slot::passed_by);
                let thirds =
                    routers.filter_map(|router| table::third_visit(probes, router, evidence));
                thirds.min().map(|hop| (hop, evidence))
            })
    }

    #[test]
    fn a_loop_is_found_in_whatever_order_its_answers_come_and_however_well_they_are_proven() {
        let mut random = 1u32;
        let mut below = |most: usize| {
            random = random.wrapping_mul(1_664_525).wrapping_add(1_013_904_223);
            (random >> 8) as usize % most
        };
        let (mut strong, mut weak) = (0, 0);
        for _ in 0..20_000 {
            let config = Config {
                sweep: Some(Sweep::Burst),
                ..config(12)
            };
            let (mut tracer, mut buf) = (Tracer::<64>::new(config, ECHO).unwrap(), [0; 32]);
            while let Ok(Action::Transmit(_)) = tracer.poll(Instant::EPOCH, &mut buf) {}
            // Answers in any order, some of them twice: a strong one takes the place of a weak one,
            // which may be another router's.
            let routers = 2 + below(3);
            let honest: [u8; 12] = core::array::from_fn(|_| below(routers) as u8);
            for _ in 0..8 + below(16) {
                let hop = below(12);
                let (router, is_weak) = match below(4) {
                    0 => (below(routers) as u8, true),
                    1 => (honest[hop], true),
                    _ => (honest[hop], false),
                };
                answer_from(&mut tracer, hop as u8 + 1, router, is_weak);
                let found = tracer.path_loop.map(|found| (found.hop, found.evidence));
                let any = any_loop(&tracer);
                // A weak loop that others than those that have just answered make may come later.
                if any.is_none_or(|(_, evidence)| evidence == Evidence::Strong) {
                    assert_eq!(found, any);
                }
                strong += u32::from(any.is_some_and(|any| any.1 == Evidence::Strong));
                weak += u32::from(found.is_some_and(|found| found.1 == Evidence::Weak));
            }
        }
        assert!(strong > 1000 && weak > 1000, "{strong}, {weak}");
    }

    #[test]
    fn a_loop_of_any_length_ends_where_its_first_router_is_met_for_the_third_time() {
        assert_eq!(end(&answered(|hop| hop % 32)), None);
        assert_eq!(
            end(&answered(|hop| if hop % 8 == 0 { 200 } else { hop })),
            Some((24, EndKind::Loop))
        );
        for routers in [2, 3, 4, 5, 21] {
            let tracer = answered(|hop| hop % routers);
            assert_eq!(
                end(&tracer),
                Some((2 * routers + 1, EndKind::Loop)),
                "{routers} routers"
            );
        }
    }

    #[test]
    fn a_better_sending_time_leaves_a_loop_as_it_is() {
        let mut tracer = answered(|hop| hop % 3);
        let before = tracer.path.end;
        for hop in 1..=64 {
            tracer.sent(ProbeId { hop, attempt: 1 }, Instant::from_millis(1));
        }
        assert_eq!(tracer.path.end, before);
    }

    #[test]
    fn an_idle_tracer_has_nothing_to_do_and_starts_again_and_again() {
        static IDLE: Tracer<8> = Tracer::idle();
        let mut tracer = IDLE.clone();
        let mut buf = [0; 32];
        assert_eq!(tracer.poll(Instant::EPOCH, &mut buf), Ok(Action::Done));
        assert_eq!(tracer.route().stop_reason(), Some(StopReason::Interrupted));
        assert_eq!(tracer.route().hops().count(), 0);
        for max_hops in [3, 5, 1] {
            tracer.start(&config(max_hops), ECHO).unwrap();
            assert_eq!(tracer.route().stop_reason(), None);
            assert_eq!(tracer.route().probes_sent(), 0);
            for hop in 1..=max_hops {
                let Ok(Action::Transmit(probe)) = tracer.poll(Instant::EPOCH, &mut buf) else {
                    panic!()
                };
                assert_eq!(probe.hop_limit, hop);
            }
            reply(&mut tracer, 5, &buf);
        }
        // What can't be started leaves it as it is.
        assert!(tracer.start(&config(9), ECHO).is_err());
        assert_eq!(tracer.route().distance(), Some(1));
    }

    #[test]
    fn a_clock_that_begins_again_does_not_hold_the_trace_up() {
        // Whenever it does, be it among the first probes, once it is quiet, or near the end.
        for (interval, at) in [0, 30]
            .into_iter()
            .flat_map(|ms| (0..20).map(move |at| (ms, at)))
        {
            let config = Config {
                interval: Duration::from_millis(interval),
                ..config(6)
            };
            let (mut tracer, mut buf) = (Tracer::<12>::new(config, ECHO).unwrap(), [0; 32]);
            let (mut now, mut spent) = (Instant::from_millis(1 << 32), Duration::ZERO);
            for step in 0.. {
                if step == at {
                    now = Instant::from_millis(3);
                }
                match tracer.poll(now, &mut buf).unwrap() {
                    Action::Transmit(_) => {}
                    Action::Wait(until) => {
                        spent += until.saturating_since(now);
                        now = until;
                    }
                    Action::Done => break,
                }
            }
            assert!(
                spent < Duration::from_secs(5),
                "{interval} ms, {at}: {spent:?}"
            );
        }
    }

    #[test]
    fn a_clock_that_goes_back_by_a_second_has_not_begun_again() {
        for (back, expected) in [(1_000_000_000, 0), (1_000_000_001, 5_000_000)] {
            let (mut tracer, mut buf) = (Tracer::<8>::new(config(2), ECHO).unwrap(), [0; 32]);
            let sent = Instant::from_millis(10_000);
            let _ = tracer.poll(sent, &mut buf);
            let now = sent.before(back);
            let _ = tracer.poll(now, &mut [0; 32]);
            let heard = now.after(5_000_000).as_nanos() / 1_000_000;
            let rtt = reply(&mut tracer, heard, &buf).rtt;
            assert!(
                rtt.as_nanos().abs_diff(expected) <= 1_000_000,
                "{back}: {rtt:?}"
            );
        }
    }

    #[test]
    fn a_queue_that_was_full_puts_off_nothing_but_what_failed_does() {
        let config = Config {
            interval: Duration::from_millis(30),
            ..config(4)
        };
        let is_sent =
            |action: Result<Action<'_>, BufferTooSmall>| matches!(action, Ok(Action::Transmit(_)));
        let (mut tracer, mut buf) = (Tracer::<8>::new(config, ECHO).unwrap(), [0; 32]);
        let now = Instant::from_millis(10);
        assert!(is_sent(tracer.poll(now, &mut buf)));
        tracer.unsent(PROBE);
        assert!(is_sent(tracer.poll(now, &mut buf)));
        // Once it has left, or failed, the next one waits.
        tracer.unsent(ProbeId { hop: 2, attempt: 1 });
        assert!(matches!(tracer.poll(now, &mut buf), Ok(Action::Wait(_))));
        let (mut tracer, now) = (
            Tracer::<8>::new(
                Config {
                    interval: Duration::ZERO,
                    ..config
                },
                ECHO,
            )
            .unwrap(),
            now,
        );
        assert!(is_sent(tracer.poll(now, &mut buf)));
        assert!(is_sent(tracer.poll(now, &mut buf)));
        tracer.fail(PROBE, SendError(105));
        tracer.unsent(ProbeId { hop: 2, attempt: 1 });
        assert_eq!(
            tracer.poll(now, &mut buf),
            Ok(Action::Wait(now.after(AFTER_FAILURE)))
        );
    }

    #[test]
    fn a_probe_that_was_not_sent_comes_again() {
        let (mut tracer, mut first) = tracer();
        tracer.unsent(PROBE);
        assert_eq!(tracer.route().probes_sent(), 0);
        let mut again = [0; 32];
        let later = Instant::from_millis(900);
        assert!(matches!(
            tracer.poll(later, &mut again),
            Ok(Action::Transmit(Transmit { probe: PROBE, .. }))
        ));
        assert_eq!(first, again);
        assert_eq!(
            reply(&mut tracer, 905, &first).rtt,
            Duration::from_millis(5)
        );
        // What was answered has been sent, whatever the caller says; so has what isn't the last.
        tracer.unsent(PROBE);
        assert_eq!(tracer.route().distance(), Some(1));
        let mut tracer = Tracer::<8>::new(config(2), ECHO).unwrap();
        for _ in 1..=2 {
            let _ = tracer.poll(Instant::EPOCH, &mut first);
        }
        tracer.unsent(PROBE);
        assert_eq!(tracer.route().probes_sent(), 2);
    }

    #[test]
    fn the_next_probe_leaves_a_while_after_one_that_failed() {
        let (mut tracer, mut buf) = (Tracer::<8>::new(config(4), ECHO).unwrap(), [0; 32]);
        let now = Instant::from_millis(10);
        let Ok(Action::Transmit(probe)) = tracer.poll(now, &mut buf) else {
            panic!()
        };
        let probe = probe.probe;
        tracer.fail(probe, SendError(105));
        let later = now.after(AFTER_FAILURE);
        assert_eq!(tracer.poll(now, &mut buf), Ok(Action::Wait(later)));
        assert!(matches!(
            tracer.poll(later, &mut buf),
            Ok(Action::Transmit(_))
        ));
    }

    #[test]
    fn what_could_not_be_sent_has_no_sending_time() {
        let (mut tracer, _) = tracer();
        tracer.fail(PROBE, SendError(1));
        tracer.sent(PROBE, Instant::from_millis(12));
        assert!(matches!(
            tracer.route().hops().next().unwrap().outcomes().next(),
            Some(Outcome::Failed(_))
        ));
    }
}
