//! The state machine: one trace, from the first probe to the route.

use crate::answer::{Answer, Kind};
use crate::config::{Config, ConfigError};
use crate::patience;
use crate::plan::{self, Next};
use crate::probe::{self, Evidence, ProbeId};
use crate::route::{Reply, Route, StopReason, Tally};
use crate::slot::{LONGEST_RTT, Slot};
use crate::table::{self, Answered, EndKind, Failure, Path, Progress, SendError, State, View};
use crate::time::Instant;
use crate::wire::extensions::Extensions;
use crate::wire::{BufferTooSmall, Ends, Malformed};
use core::fmt;
use core::net::IpAddr;
use heapless::Vec;

/// The least time between a probe that could not be sent and the next, in nanoseconds: what a frame takes at 10 Mbit/s.
const AFTER_FAILURE: u64 = 1_250_000;

/// What to do next, as [`Tracer::poll`] says.
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
pub struct Transmit<'b> {
    /// Which probe: for [`Tracer::fail`], if it can't be sent.
    pub probe: ProbeId,
    /// The address to send it to.
    pub destination: IpAddr,
    /// The hop limit to send it with (TTL in IPv4).
    pub hop_limit: u8,
    /// The ICMP message. In IPv6 its checksum is zero if [`Config::source`] wasn't given.
    pub message: &'b [u8],
}

/// Where and when a message arrived.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[cfg_attr(feature = "defmt", derive(defmt::Format))]
pub struct Arrival {
    /// When it was received, on the clock of [`Tracer::poll`].
    pub at: Instant,
    /// The source address of the packet.
    pub from: IpAddr,
    /// The hop limit (TTL in IPv4) of the packet, if known.
    pub hop_limit: Option<u8>,
}

/// An accepted answer, with what the router appended to it. The extensions are a view of the message: the tracer doesn't keep
/// them.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[cfg_attr(feature = "defmt", derive(defmt::Format))]
pub struct Heard<'m> {
    /// The answer.
    pub reply: Reply,
    /// MPLS labels and the like.
    pub extensions: Extensions<'m>,
}

/// Why a message was not taken as an answer. Ordinary: a raw socket hears everybody's ICMP. Nothing has changed.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
#[cfg_attr(feature = "defmt", derive(defmt::Format))]
#[non_exhaustive]
pub enum Discard {
    /// It can't be read, or is of a kind that answers no probe.
    Malformed(Malformed),
    /// It answers an Echo Request of somebody else, or one that was never sent.
    NotOurs,
    /// Ident and seq fit, but the cookie is missing or wrong: a forgery.
    WrongCookie,
    /// The probe has an answer already that is as good.
    Duplicate,
    /// This machine says of a probe of ours that it failed here, which is known.
    FailedHere,
}

impl fmt::Display for Discard {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Malformed(malformed) => malformed.fmt(f),
            Self::NotOurs => f.write_str("an answer to somebody else's probe"),
            Self::WrongCookie => f.write_str("an answer without the probe's cookie"),
            Self::Duplicate => f.write_str("one more answer to the same probe"),
            Self::FailedHere => f.write_str("this machine's own word on a probe that is known to have failed"),
        }
    }
}

impl core::error::Error for Discard {}

impl From<Malformed> for Discard {
    fn from(malformed: Malformed) -> Self {
        Self::Malformed(malformed)
    }
}

/// One trace, with room for `N` probes: at least hops times attempts, and what is beyond that for retries.
///
/// It does no I/O and reads no clock: [`poll`](Self::poll) says what to send and when, [`handle`](Self::handle) takes what
/// arrives, [`route`](Self::route) shows what is known. Nothing in it panics, allocates or blocks, whatever arrives in
/// whatever order, and it always ends if time goes on.
#[derive(Clone, Debug)]
pub struct Tracer<const N: usize> {
    config: Config,
    probes: Vec<Slot, N>,
    hops: [Progress; N],
    path: Path,
    quiet: Option<Instant>,
    /// Whether a router has answered from three hops: it was [marked](table::mark).
    may_loop: bool,
    /// No probe leaves before this instant.
    next_send: Instant,
    ended: Option<StopReason>,
    tally: Tally,
}

impl<const N: usize> Tracer<N> {
    /// A trace that has not sent anything yet.
    ///
    /// # Errors
    /// [`ConfigError`] if a parameter is out of its range, or if `N` is less than hops times attempts.
    pub fn new(config: Config) -> Result<Self, ConfigError> {
        Self::check(&config)?;
        Ok(Self {
            config,
            probes: Vec::new(),
            hops: [Progress::default(); N],
            path: Path::default(),
            quiet: None,
            may_loop: false,
            next_send: Instant::EPOCH,
            ended: None,
            tally: Tally::default(),
        })
    }

    fn check(config: &Config) -> Result<(), ConfigError> {
        config.check()?;
        let hops = usize::from(config.max_hops);
        let swept = hops.saturating_add(1).saturating_sub(usize::from(config.first_hop));
        let needed = swept.saturating_mul(usize::from(config.attempts)).max(hops);
        let capacity = N.min(usize::from(u16::MAX));
        if needed > capacity { Err(ConfigError::Capacity { needed, capacity }) } else { Ok(()) }
    }

    /// Probes the nearer hops as well, from `first_hop` on: for whoever began farther out because those were known, and then
    /// heard somebody there whom that doesn't fit. A trace that has ended goes on, as far as `N` has room: what silent hops got
    /// beyond their attempts is spent.
    ///
    /// # Errors
    /// [`ConfigError`] as of [`new`](Self::new), also if it is farther out than before. Nothing has changed then.
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
        let config = Config { first_hop, ..self.config };
        Self::check(&config)?;
        self.config = config;
        self.quiet = None;
        self.ended = None;
        Ok(())
    }

    /// The parameters of the trace.
    #[must_use]
    pub const fn config(&self) -> &Config {
        &self.config
    }

    /// The next thing to do. After [`Action::Transmit`] send it and call again; after [`Action::Wait`] call again at that
    /// instant, or after any answer. `now` is taken as the moment of sending: read the clock right before the call. Calling
    /// too early is harmless.
    ///
    /// # Errors
    /// [`BufferTooSmall`] if `buf` can't hold a probe ([`Config::message_len`]). Nothing has changed then.
    pub fn poll<'b>(&mut self, now: Instant, buf: &'b mut [u8]) -> Result<Action<'b>, BufferTooSmall> {
        loop {
            if self.ended.is_some() {
                return Ok(Action::Done);
            }
            let soonest = match self.plan(now) {
                Next::Now(_) if now < self.next_send => return Ok(Action::Wait(self.next_send)),
                Next::Now(hop) => return self.transmit(hop, now, buf).map(Action::Transmit),
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
            match [soonest, quiet_at, given_up].into_iter().flatten().min() {
                Some(_) if quiet_at.is_some_and(|at| at <= now) => self.quiet = Some(now),
                Some(at) => return Ok(Action::Wait(at)),
                None => self.ended = Some(self.reason()),
            }
        }
    }

    /// A message that arrived: parsed, and accepted if it answers a probe of this trace.
    ///
    /// # Errors
    /// [`Discard`] says why it was not accepted.
    pub fn handle<'m>(&mut self, arrival: Arrival, message: &'m [u8]) -> Result<Heard<'m>, Discard> {
        let ends = Ends { source: arrival.from, destination: self.config.source };
        let answer = Answer::parse(ends, arrival.hop_limit, message)?;
        let reply = self.accept(arrival.at, &answer)?;
        Ok(Heard { reply, extensions: answer.extensions })
    }

    /// An answer that was parsed already, received at `at`. A better one replaces what the probe had, whichever came first.
    /// Answers are taken at any time, also after the end.
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

    fn match_up(&mut self, at: Instant, answer: &Answer<'_>) -> Result<Reply, Discard> {
        let (index, changes) = probe::recognise(&self.config, answer)?;
        let probe = self.probes.get_mut(usize::from(index)).ok_or(Discard::NotOurs)?;
        // In our own name anybody can write: what isn't proven is nothing.
        let local =
            answer.kind == Kind::Unreachable && answer.from == self.config.source && answer.from != self.config.target;
        if local && changes.evidence() == Evidence::Weak {
            return Err(Discard::NotOurs);
        }
        match probe.state() {
            State::InFlight => {}
            State::Lost => self.tally.late = self.tally.late.saturating_add(1),
            State::Answered(before) if before.changes.rank() < changes.rank() => {}
            State::Answered(_) => return Err(Discard::Duplicate),
            State::Failed(_) if local => return Err(Discard::FailedHere),
            State::Failed(_) => return Err(Discard::NotOurs),
        }
        let header = answer.quoted.as_ref().and_then(|quoted| quoted.header.as_ref());
        let answered = Answered {
            received: at.max(probe.sent()).min(probe.sent().after(LONGEST_RTT)),
            from: answer.from,
            kind: answer.kind,
            icmp_type: answer.icmp_type,
            icmp_code: answer.icmp_code,
            // What fits isn't too big, whoever says so.
            mtu: answer.mtu.filter(|mtu| usize::from(*mtu) < self.config.packet_len()),
            hop_limit: answer.hop_limit,
            quoted_hop_limit: header.map(|header| header.hop_limit),
            quoted_traffic_class: header.map(|header| header.traffic_class),
            changes,
        };
        let state = match local {
            true => State::Failed(Failure::Local { icmp_type: answer.icmp_type, icmp_code: answer.icmp_code }),
            false => State::Answered(answered),
        };
        let before = probe.passed_by().copied();
        probe.set(probe.sent(), &state);
        let (hop, reply, router) = (probe.hop(), Reply::new(probe, &answered), probe.passed_by().copied());
        // The mark of a router that is no longer believed here goes to another of its answers.
        for router in [before, router].iter().flatten() {
            self.may_loop |= table::mark(&mut self.probes, router);
        }
        self.sum_up(hop);
        self.path = Path::survey(self.hops(), &self.probes, self.may_loop);
        Ok(reply)
    }

    /// The probe that [`poll`](Self::poll) gave out left at `at`: a kernel's or a device's transmit timestamp, in place of the
    /// moment of polling. A probe never leaves later than its answer comes; one that could not be sent stays as it is.
    pub fn sent(&mut self, probe: ProbeId, at: Instant) {
        let Some(slot) = self.find(probe) else { return };
        let (state, is_marked) = (slot.state(), slot.is_marked());
        let at = match state {
            State::Failed(_) => return,
            State::Answered(answer) => at.min(answer.received),
            State::InFlight | State::Lost => at,
        };
        slot.set(at, &state);
        if is_marked {
            slot.mark();
        }
        if slot.rtt().is_some() {
            self.path = Path::survey(self.hops(), &self.probes, self.may_loop);
        }
    }

    /// The probe that [`poll`](Self::poll) gave out could not be sent. The trace goes on without it, after 1.25 ms: a queue that
    /// is full may drain meanwhile.
    pub fn fail(&mut self, probe: ProbeId, error: SendError) {
        if let Some(sent) = self.find(probe)
            && sent.is_in_flight()
        {
            sent.set(sent.sent(), &State::Failed(Failure::Send(error)));
            // A queue that is full drains meanwhile; else the rest of a burst would be spent on it.
            let next_send = sent.sent().after(AFTER_FAILURE);
            self.next_send = self.next_send.max(next_send);
            self.sum_up(probe.hop);
        }
    }

    /// Ends the trace, because this machine knows that nothing more can be answered, such as when nobody is there on its link:
    /// what has no answer failed for this reason.
    pub fn abandon(&mut self, failure: Failure) {
        for index in 0..self.probes.len() {
            if let Some(probe) = self.probes.get_mut(index)
                && probe.rtt().is_none()
                && probe.failure().is_none()
            {
                probe.set(probe.sent(), &State::Failed(failure));
                let hop = probe.hop();
                self.sum_up(hop);
            }
        }
        let reason = self.reason();
        self.ended.get_or_insert(reason);
    }

    fn find(&mut self, probe: ProbeId) -> Option<&mut Slot> {
        self.probes.iter_mut().rev().find(|sent| (sent.hop(), sent.attempt()) == (probe.hop, probe.attempt))
    }

    /// Ends the trace now, with what is known.
    pub fn interrupt(&mut self) {
        self.ended.get_or_insert(StopReason::Interrupted);
    }

    /// What is known so far.
    #[must_use]
    pub fn route(&self) -> Route<'_> {
        Route::new(self.view(), self.ended, self.tally)
    }

    fn view(&self) -> View<'_> {
        View {
            config: &self.config,
            probes: &self.probes,
            hops: self.hops(),
            path: &self.path,
            quiet: self.quiet,
            room: N.saturating_sub(self.probes.len()),
        }
    }

    fn hops(&self) -> &[Progress] {
        self.hops.get(..self.config.max_hops.into()).unwrap_or_default()
    }

    fn plan(&self, now: Instant) -> Next {
        if self.probes.is_full() { Next::Nothing } else { plan::next(&self.view(), now) }
    }

    fn transmit<'b>(&mut self, hop: u8, now: Instant, buf: &'b mut [u8]) -> Result<Transmit<'b>, BufferTooSmall> {
        let index = u16::try_from(self.probes.len()).unwrap_or(u16::MAX);
        let message = probe::emit(&self.config, index, buf)?;
        let attempt = self.view().progress(hop).sent.saturating_add(1);
        // There is room: the plan is asked only when there is.
        let _ = self.probes.push(Slot::new(hop, attempt, now));
        self.sum_up(hop);
        self.next_send = now.saturating_add(self.config.interval);
        let probe = ProbeId { hop, attempt };
        Ok(Transmit { probe, destination: self.config.target, hop_limit: hop, message })
    }

    /// Marks what nobody waits for any longer as lost, and says when the wait for the next of the rest, or for a better answer,
    /// will be over.
    fn give_up(&mut self, now: Instant) -> (bool, Option<Instant>) {
        let (mut any_lost, mut soonest) = (false, None::<Instant>);
        for index in 0..u16::try_from(self.probes.len()).unwrap_or(u16::MAX) {
            let view = self.view();
            let deadline = match view.probes.get(usize::from(index)) {
                Some(probe) if probe.may_improve() => patience::deadline(&view, probe),
                _ => continue,
            };
            match (deadline, self.probes.get_mut(usize::from(index))) {
                (Some(at), Some(probe)) if at <= now => {
                    if probe.is_in_flight() {
                        probe.give_up(now);
                        any_lost = true;
                        let hop = probe.hop();
                        self.sum_up(hop);
                    }
                }
                (Some(at), _) => soonest = Some(soonest.map_or(at, |other| other.min(at))),
                (None, _) => {}
            }
        }
        (any_lost, soonest)
    }

    fn sum_up(&mut self, hop: u8) {
        let progress = Progress::of(hop, self.config.target, &self.probes);
        if let Some(slot) = self.hops.get_mut(usize::from(hop).wrapping_sub(1)) {
            *slot = progress;
        }
    }

    fn reason(&self) -> StopReason {
        match self.path.end {
            _ if plan::is_unsure(&self.view()) => StopReason::NoRoom,
            Some(end) if end.kind == EndKind::Target && !self.refused(end.hop) => StopReason::Reached,
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
        let mut at_hop = self.probes.iter().filter(|probe| probe.hop() == hop);
        !at_hop.any(|probe| matches!(probe.state(), State::Answered(Answered { kind: Kind::EchoReply, .. })))
    }
}

#[cfg(feature = "defmt")]
impl<const N: usize> defmt::Format for Tracer<N> {
    fn format(&self, f: defmt::Formatter<'_>) {
        defmt::write!(f, "{}, {}", self.config, self.route());
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::route::Outcome;
    use crate::wire::icmp::Echo;
    use core::time::Duration;

    /// A tracer that has sent a probe to hop 1 at 10 ms, and the payload of that probe.
    fn tracer() -> (Tracer<8>, [u8; 24]) {
        let config = Config { max_hops: 1, ..Config::new([192, 0, 2, 1].into(), 7) };
        let mut tracer = Tracer::new(config).unwrap();
        let mut buf = [0; 32];
        let Ok(Action::Transmit(probe)) = tracer.poll(Instant::from_millis(10), &mut buf) else { panic!() };
        let payload = probe.message[8..].try_into().unwrap();
        (tracer, payload)
    }

    fn reply(tracer: &mut Tracer<8>, at: u64, payload: &[u8]) -> Reply {
        let config = *tracer.config();
        let echo = Echo { ident: config.ident, seq: config.first_seq, payload };
        tracer.accept(Instant::from_millis(at), &echo_reply(&config, echo)).unwrap()
    }

    fn echo_reply<'a>(config: &Config, echo: Echo<'a>) -> Answer<'a> {
        Answer {
            from: config.target,
            hop_limit: None,
            kind: Kind::EchoReply,
            icmp_type: 0,
            icmp_code: 0,
            mtu: None,
            echo,
            quoted: None,
            extensions: Extensions::default(),
        }
    }

    fn rtt(tracer: &Tracer<8>) -> Duration {
        tracer.route().hops().next().unwrap().replies().next().unwrap().rtt
    }

    const PROBE: ProbeId = ProbeId { hop: 1, attempt: 1 };

    #[test]
    fn a_transmit_timestamp_moves_the_sending_time() {
        let (mut tracer, payload) = tracer();
        tracer.sent(PROBE, Instant::from_millis(12));
        tracer.sent(ProbeId { attempt: 2, ..PROBE }, Instant::from_millis(99));
        assert_eq!(reply(&mut tracer, 15, &payload).rtt, Duration::from_millis(3));
    }

    #[test]
    fn a_transmit_timestamp_after_the_answer_still_counts_but_never_turns_the_rtt_around() {
        let (mut tracer, payload) = tracer();
        assert_eq!(reply(&mut tracer, 15, &payload).rtt, Duration::from_millis(5));
        tracer.sent(PROBE, Instant::from_millis(14));
        assert_eq!(rtt(&tracer), Duration::from_millis(1));
        tracer.sent(PROBE, Instant::from_millis(16));
        assert_eq!(rtt(&tracer), Duration::ZERO);
    }

    /// Answers every probe of a burst: by the router that `router` names for its hop.
    fn answered(router: impl Fn(u8) -> u8) -> Tracer<64> {
        let config = Config { max_hops: 64, sweep: Some(crate::Sweep::Burst), ..Config::new([192, 0, 2, 1].into(), 7) };
        let (mut tracer, mut buf) = (Tracer::new(config).unwrap(), [0; 32]);
        for hop in 1..=64 {
            let Ok(Action::Transmit(probe)) = tracer.poll(Instant::EPOCH, &mut buf) else { panic!() };
            let echo =
                Echo { ident: config.ident, seq: config.first_seq.wrapping_add(hop - 1), payload: &probe.message[8..] };
            let from = [10, 0, 0, router(probe.hop_limit)].into();
            let answer = Answer { from, kind: Kind::TimeExceeded, icmp_type: 11, ..echo_reply(&config, echo) };
            tracer.accept(Instant::from_millis(5), &answer).unwrap();
        }
        tracer
    }

    fn marked(tracer: &Tracer<64>) -> usize {
        tracer.probes.iter().filter(|probe| probe.is_marked()).count()
    }

    #[test]
    fn a_loop_costs_as_little_work_as_there_are_probes() {
        // Each mark costs a pass over the probes. Twice is no loop.
        assert_eq!(marked(&answered(|hop| hop % 32)), 0);
        assert_eq!(marked(&answered(|hop| if hop % 8 == 0 { 200 } else { hop })), 1);
        for routers in [2, 3, 4, 5, 21] {
            let tracer = answered(|hop| hop % routers);
            assert_eq!(marked(&tracer), usize::from(routers.min(4)));
            let end = tracer.path.end.map(|end| (end.hop, end.kind));
            assert_eq!(end, Some((2 * routers + 1, EndKind::Loop)), "{routers} routers");
        }
    }

    #[test]
    fn a_better_sending_time_leaves_a_loop_as_it_is() {
        let mut tracer = answered(|hop| hop % 3);
        let before = (marked(&tracer), tracer.path.end);
        for hop in 1..=64 {
            tracer.sent(ProbeId { hop, attempt: 1 }, Instant::from_millis(1));
        }
        assert_eq!((marked(&tracer), tracer.path.end), before);
    }

    #[test]
    fn the_next_probe_leaves_a_while_after_one_that_failed() {
        let config = Config { max_hops: 4, ..Config::new([192, 0, 2, 1].into(), 7) };
        let (mut tracer, mut buf) = (Tracer::<8>::new(config).unwrap(), [0; 32]);
        let now = Instant::from_millis(10);
        let Ok(Action::Transmit(probe)) = tracer.poll(now, &mut buf) else { panic!() };
        let probe = probe.probe;
        tracer.fail(probe, SendError(105));
        let later = now.after(AFTER_FAILURE);
        assert_eq!(tracer.poll(now, &mut buf), Ok(Action::Wait(later)));
        assert!(matches!(tracer.poll(later, &mut buf), Ok(Action::Transmit(_))));
    }

    #[test]
    fn what_could_not_be_sent_has_no_sending_time() {
        let (mut tracer, _) = tracer();
        tracer.fail(PROBE, SendError(1));
        tracer.sent(PROBE, Instant::from_millis(12));
        assert!(matches!(tracer.route().hops().next().unwrap().outcomes().next(), Some(Outcome::Failed(_))));
    }
}
