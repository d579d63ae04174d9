//! A tracer under watch: every call is checked against what must always hold, and against a slow
//! model of the route.

use crate::packets::{self, Packet, Shape, Worth};
use crate::written::Written;
use core::time::Duration;
use hopshot_core::wire::{AddressFamily, Ends, tcp, udp};
use hopshot_core::{
    Action, Arrival, Changes, Config, Discard, Evidence, Hop, Instant, Kind, Outcome, ProbeId,
    Protocol, Reply, SendError, StopReason, Sweep, Tally, Tcp, Tracer, Udp,
};
use hopshot_engine::Probes;

/// What a silent hop right below the target may get beyond its retries.
const RECHECKS: u8 = 2;

/// What an RTT is cut to, in nanoseconds.
const LONGEST_RTT: u64 = (1 << 40) - 1;

/// A probe that was sent, and what the tracer must know of it.
#[derive(Clone, Debug)]
pub(crate) struct Sent {
    pub(crate) id: ProbeId,
    pub(crate) at: u64,
    pub(crate) message: Vec<u8>,
    /// Whether it was said not to have left at all.
    pub(crate) failed: bool,
    /// Whether this machine itself reported it unreachable.
    pub(crate) is_local: bool,
    pub(crate) reply: Option<Reply>,
}

impl Sent {
    /// Whether this is what became of it, at a hop where somebody has proved to be, or nobody.
    fn became(&self, outcome: &Outcome, is_known: bool) -> bool {
        match outcome {
            Outcome::Failed(_) => self.failed || self.is_local,
            Outcome::Lost if is_known && self.reply.is_some_and(|reply| !is_proven(&reply)) => true,
            Outcome::Answered(reply) => self.reply.as_ref() == Some(reply),
            Outcome::InFlight | Outcome::Lost => {
                !self.failed && !self.is_local && self.reply.is_none()
            }
        }
    }
}

fn is_proven(reply: &Reply) -> bool {
    !reply.changes.contains(Changes::UNPROVEN)
}

/// What a poll said.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Step {
    Transmitted(usize),
    Wait(u64),
    Done,
}

pub(crate) struct Watched<const N: usize> {
    tracer: Tracer<N, Probes>,
    config: Config,
    probes: Probes,
    family: AddressFamily,
    /// No probe may leave before.
    due: u64,
    /// The time of the last poll.
    clock: u64,
    /// The latest of all polls, before the clock turned back too.
    latest: u64,
    pub(crate) sent: Vec<Sent>,
    stopped: Option<StopReason>,
    tally: Tally,
    has_unattributed: bool,
}

impl<const N: usize> Watched<N> {
    /// `None` if the tracer refuses the parameters, for the one reason that is left.
    pub(crate) fn new(config: Config, probes: Probes) -> Option<Self> {
        let swept = usize::from(config.max_hops) + 1 - usize::from(config.first_hop);
        let fits = N >= (swept * usize::from(config.attempts)).max(config.max_hops.into());
        let tracer = Tracer::new(config, probes);
        assert_eq!(tracer.is_ok(), fits, "{tracer:?}");
        let family = AddressFamily::of(config.target);
        Some(Self {
            tracer: tracer.ok()?,
            config,
            probes,
            family,
            due: 0,
            clock: 0,
            latest: 0,
            sent: Vec::new(),
            stopped: None,
            tally: Tally::default(),
            has_unattributed: false,
        })
    }

    pub(crate) fn poll(&mut self, now: u64) -> Step {
        self.turn_back(now);
        let mut buf = [0xa5; 2048];
        let distance = self.sure_distance();
        let step = match self
            .tracer
            .poll(Instant::from_nanos(now), &mut buf)
            .expect("there is space")
        {
            Action::Transmit(transmit) => {
                assert_eq!(transmit.destination, self.config.target);
                assert_eq!(transmit.hop_limit, transmit.probe.hop);
                let message = transmit.message.to_vec();
                self.sent.push(Sent {
                    id: transmit.probe,
                    at: now,
                    message,
                    failed: false,
                    is_local: false,
                    reply: None,
                });
                self.check_probe(distance);
                let interval = self.config.interval.as_nanos();
                self.due = now.saturating_add(u64::try_from(interval).unwrap_or(u64::MAX));
                Step::Transmitted(self.sent.len() - 1)
            }
            Action::Wait(until) => {
                assert!(until.as_nanos() > now, "a wait for the past");
                Step::Wait(until.as_nanos())
            }
            Action::Done => {
                assert!(self.tracer.route().stop_reason().is_some());
                Step::Done
            }
        };
        self.check();
        step
    }

    /// With too little space nothing is sent, and nothing is lost by it.
    pub(crate) fn poll_short(&mut self, now: u64, space: u8) {
        self.turn_back(now);
        let mut buf = vec![0xa5; usize::from(space) % self.probes.message_len()];
        if let Err(error) = self.tracer.poll(Instant::from_nanos(now), &mut buf) {
            assert_eq!(error.needed, self.probes.message_len());
        }
        self.check();
    }

    /// A clock that goes back by more than a second has begun again, and all that was goes with it.
    fn turn_back(&mut self, now: u64) {
        let back = self.clock.saturating_sub(now);
        self.clock = now;
        self.latest = self.latest.max(now);
        if back > 1_000_000_000 {
            for sent in &mut self.sent {
                sent.at = sent.at.saturating_sub(back);
            }
            self.due = self.due.saturating_sub(back);
        }
    }

    /// Probe number `index` could not be sent after all.
    pub(crate) fn fail(&mut self, index: usize) {
        let before = self.tracer.route().probes_sent();
        self.tracer.fail(self.sent[index].id, SendError(101));
        let after = self.tracer.route().probes_sent();
        if after < before {
            assert!(self.sent[index].reply.is_none() && !self.sent[index].failed);
            self.sent[index].failed = true;
        }
        self.check();
    }

    /// The probe that was sent last is given back: if it is in flight it never was.
    pub(crate) fn unsent(&mut self) {
        let Some(last) = self.sent.last() else {
            return;
        };
        let before = self.tracer.route().probes_sent();
        self.tracer.unsent(last.id);
        if self.tracer.route().probes_sent() < before {
            assert!(last.reply.is_none() && !last.failed && !last.is_local);
            self.sent.pop();
            self.due = 0;
        }
        self.check();
    }

    /// The same trace from the start, in place.
    pub(crate) fn start(&mut self) {
        let result = self.tracer.start(&self.config, self.probes);
        assert!(result.is_ok(), "it has been started before: {result:?}");
        (self.due, self.clock) = (0, 0);
        self.sent.clear();
        self.stopped = None;
        self.tally = Tally::default();
        self.has_unattributed = false;
        self.check();
    }

    pub(crate) fn interrupt(&mut self) {
        self.tracer.stop();
        self.check();
        assert!(self.stopped.is_some());
    }

    pub(crate) fn start_from(&mut self, first_hop: u8) {
        let swept = usize::from(self.config.max_hops) + 1
            - usize::from(first_hop.min(self.config.max_hops));
        let fits =
            N >= (swept * usize::from(self.config.attempts)).max(self.config.max_hops.into());
        let result = self.tracer.start_from(first_hop);
        assert_eq!(
            result.is_ok(),
            fits && (1..=self.config.first_hop).contains(&first_hop),
            "{result:?}"
        );
        if result.is_ok() {
            self.config.first_hop = first_hop;
            self.stopped = None;
        }
        self.check();
    }

    /// When probe number `index` really left.
    pub(crate) fn left(&mut self, index: usize, at: u64) {
        let sent = &mut self.sent[index];
        self.tracer.sent(sent.id, Instant::from_nanos(at));
        if let Some(reply) = &mut sent.reply {
            let received = sent.at
                + u64::try_from(reply.rtt.as_nanos())
                    .expect("it is the difference of two instants");
            sent.at = at.min(received);
            reply.rtt = Duration::from_nanos((received - sent.at).min(LONGEST_RTT));
        } else if !sent.failed && !sent.is_local {
            sent.at = at;
        }
        self.check();
    }

    /// An answer of a known shape to probe number `index`: what becomes of it is known beforehand.
    pub(crate) fn answer(&mut self, index: usize, shape: &Shape, at: u64) -> Packet {
        let sent = self.sent[index].clone();
        let packet = self.packet(index, shape);
        let kind = shape.kind(&self.probes, self.family);
        let source_known = !self.config.source.is_unspecified();
        let worth = shape.worth(&self.probes, self.family, source_known);
        let result = self.handle(&packet, at);
        let rank = match worth {
            Worth::Accepted(is_proven, evidence) => (is_proven, evidence),
            Worth::Nothing => {
                assert!(result.is_err(), "{result:?}");
                return packet;
            }
            Worth::Unknown => return packet,
        };
        match &sent.reply {
            _ if sent.failed || sent.is_local => {
                assert!(
                    matches!(result, Err(Discard::NotOurs | Discard::FailedHere)),
                    "{result:?}"
                );
            }
            // Nothing is promised about a report in our own name that doesn't quote what was sent.
            _ if packet.from == self.config.source && rank.1 == Evidence::Weak => {}
            Some(before) if (is_proven(before), before.evidence()) >= rank => {
                assert_eq!(result, Err(Discard::Duplicate));
            }
            _ => {
                let reply =
                    result.expect("it answers a probe in flight, or better than what there was");
                assert_eq!(
                    (reply.probe, reply.from, reply.kind),
                    (sent.id, packet.from, kind)
                );
                assert_eq!((is_proven(&reply), reply.evidence()), rank);
                let has_quote = shape.says != packets::Says::Reply;
                assert_eq!(
                    reply.quoted_hop_limit,
                    has_quote.then_some(shape.quoted_hop_limit)
                );
            }
        }
        packet
    }

    /// The answer of a shape to probe number `index`.
    pub(crate) fn packet(&self, index: usize, shape: &Shape) -> Packet {
        let sent = &self.sent[index];
        let probe = packets::on_the_wire(&self.probes, self.family, &sent.message);
        let wire = packets::Sent {
            family: self.family,
            probe: &probe,
        };
        packets::answer(&self.probes, shape, sent.id.hop, &wire)
    }

    /// Any octets.
    pub(crate) fn handle(&mut self, packet: &Packet, at: u64) -> Result<Reply, Discard> {
        let (from, message) = (packet.from, &packet.message);
        let (hop_limit, at_nanos) = (Some(61), at);
        let at = Instant::from_nanos(at);
        let arrival = Arrival {
            at,
            from,
            hop_limit,
        };
        let ends = Ends {
            source: from,
            destination: self.config.source,
        };
        let answer = match packet.protocol {
            tcp::PROTOCOL => Some(Tcp::answer(ends, hop_limit, message)),
            udp::PROTOCOL => Some(Udp::answer(ends, hop_limit, message)),
            _ => None,
        };
        let result = match answer {
            Some(answer) => answer
                .map_err(Discard::from)
                .and_then(|answer| self.tracer.accept(at, &answer)),
            None => self
                .tracer
                .handle(arrival, message)
                .map(|heard| heard.reply),
        };
        let at = at_nanos;
        if let Ok(reply) = result {
            let sent = self.sent.iter().find(|sent| sent.id == reply.probe);
            let sent = sent.expect("no reply without a probe");
            assert!(self.written(sent).is_in(&self.probes, message));
            let sent = self
                .sent
                .iter_mut()
                .find(|sent| sent.id == reply.probe)
                .expect("no reply without a probe");
            assert!(!sent.failed && !sent.is_local, "a reply to what never left");
            let rank = |reply: &Reply| (is_proven(reply), reply.evidence());
            let is_better = |before: Reply| rank(&before) < rank(&reply);
            assert!(sent.reply.is_none_or(is_better), "a better reply was lost");
            assert_eq!(
                reply.rtt,
                Duration::from_nanos(at.saturating_sub(sent.at).min(LONGEST_RTT))
            );
            assert_eq!(
                (reply.from, reply.hop_limit, reply.hops_back()),
                (from, Some(61), Some(4))
            );
            sent.is_local = reply.kind == Kind::Unreachable && from == self.config.source;
            sent.reply = (!sent.is_local).then_some(reply);
        }
        match result {
            Err(Discard::Duplicate) => {
                self.tally.duplicates = self.tally.duplicates.saturating_add(1);
            }
            Err(Discard::WrongCookie) => self.tally.forged = self.tally.forged.saturating_add(1),
            Err(Discard::Unattributed) if self.tracer.protocol().may_be_unattributed() => {
                self.has_unattributed = true;
            }
            _ => {}
        }
        self.check();
        result
    }

    pub(crate) fn stop_reason(&self) -> Option<StopReason> {
        self.stopped
    }

    pub(crate) fn tracer(&self) -> &Tracer<N, Probes> {
        &self.tracer
    }

    pub(crate) fn family(&self) -> AddressFamily {
        self.family
    }

    /// Polls at each instant that it is told to, hearing nothing more, until the trace ends. It
    /// must.
    pub(crate) fn run_out(&mut self, mut now: u64) {
        // Each probe is worth one transmission, one wait before it and a few until it is given up.
        for _ in 0..8 * N + 100 {
            match self.poll(now) {
                Step::Transmitted(_) => {}
                Step::Wait(until) => now = until,
                Step::Done => return,
            }
        }
        panic!("the trace doesn't end");
    }

    /// The probe just sent: written right, within what was asked for, and not past a target that
    /// has answered.
    fn check_probe(&self, distance: Option<u8>) {
        let config = &self.config;
        let (sent, before) = self.sent.split_last().expect("one was sent");
        let hop = sent.id.hop;
        assert!((config.first_hop..=config.max_hops).contains(&hop));
        let earlier = before.iter().filter(|other| other.id.hop == hop).count();
        assert_eq!(usize::from(sent.id.attempt), earlier + 1);
        let is_burst = config.sweep == Some(Sweep::Burst);
        let most = config.attempts + config.retries + RECHECKS;
        assert!(sent.id.attempt <= most, "too many probes to hop {hop}");
        assert!(self.sent.len() <= N);
        if let (false, Some(distance)) = (is_burst, distance) {
            assert!(
                hop <= distance,
                "a probe to hop {hop} past the target at {distance}"
            );
        }
        assert!(sent.at >= self.due, "sent before its time");
        assert_eq!(sent.message.len(), self.probes.message_len());
        let before = before.iter().map(|other| &other.message[..]);
        self.written(sent).check(&self.probes, before);
    }

    fn written<'a>(&self, sent: &'a Sent) -> Written<'a> {
        let ends = Ends {
            source: self.config.source,
            destination: self.config.target,
        };
        Written {
            ends,
            message: &sent.message,
        }
    }

    /// What the route must say, whatever happened.
    fn check(&mut self) {
        let route = self.tracer.route();
        if self.stopped.is_some() {
            assert_eq!(
                route.stop_reason(),
                self.stopped,
                "once ended always ended, and for one reason"
            );
        }
        self.stopped = route.stop_reason();
        assert_eq!(
            route.probes_sent(),
            self.sent
                .iter()
                .filter(|sent| !sent.failed && !sent.is_local)
                .count()
        );
        assert_eq!(route.distance(), self.distance());
        // Which answers are late the model doesn't know; there are no more of them than were taken.
        let late = route.tally().late;
        let mut expected = self.tally;
        expected.late = late;
        assert_eq!(route.tally(), expected);
        assert!(self.has_unattributed || !self.tracer.has_unattributed());
        assert!(usize::from(late) <= self.sent.len());
        assert_eq!(self.tracer.config(), &self.config);
        let mut last = 0;
        let mut targets = 0;
        for hop in route.hops() {
            let number = hop.number();
            assert!(
                number > last && (self.config.first_hop..=self.config.max_hops).contains(&number)
            );
            last = number;
            assert_eq!(hop.is_target(), route.distance() == Some(number));
            targets += u8::from(hop.is_target());
            self.check_hop(&hop);
        }
        assert_eq!(
            targets,
            u8::from(route.distance().is_some()),
            "one target, if it answered"
        );
        if let Some(distance) = route.distance() {
            assert_eq!(last, distance, "nothing is shown past the target");
        }
    }

    /// A hop shows what became of its probes, but for those that nobody waits for since it has
    /// answered often enough; the target shows answers to farther probes too, up to as many as
    /// were asked for.
    fn check_hop(&self, hop: &Hop<'_>) {
        let number = hop.number();
        let outcomes: Vec<Outcome> = hop.outcomes().collect();
        let mut rest = outcomes.iter().peekable();
        let mut own = 0;
        let is_heard_here = |reply: &Reply| {
            let at = reply.probe.hop;
            at == number || hop.is_target() && at > number && self.is_of_target(reply)
        };
        let heard = self.replies().filter(is_heard_here).count();
        for sent in self.sent.iter().filter(|sent| sent.id.hop == number) {
            if rest
                .next_if(|outcome| sent.became(outcome, heard > 0))
                .is_none()
            {
                let is_pending = sent.became(&Outcome::InFlight, false)
                    || sent.reply.is_some_and(|reply| !is_proven(&reply));
                assert!(is_pending, "probe {:?} is missing", sent.id);
                assert!(
                    heard >= self.config.attempts.into(),
                    "somebody waits for {:?}",
                    sent.id
                );
            }
            own += 1;
        }
        assert!(
            hop.is_target() || rest.peek().is_none(),
            "more than its own"
        );
        assert!(outcomes.len() <= own.max(self.config.attempts.into()));
        let farther: Vec<Reply> = rest
            .map(|outcome| *outcome.reply().expect("only answers are added"))
            .collect();
        assert!(
            farther.is_sorted_by(|a, b| a.probe != b.probe),
            "no answer twice"
        );
        for reply in farther {
            assert!(
                self.is_of_target(&reply),
                "a router's answer passed off as the target's"
            );
            assert!(
                reply.probe.hop > number && self.sent.iter().any(|sent| sent.reply == Some(reply))
            );
        }
        let lost = outcomes
            .iter()
            .rev()
            .take_while(|outcome| matches!(outcome, Outcome::Lost))
            .count();
        // Where no answer is proven 400 ms stand for the RTT.
        let proven = self
            .sent
            .iter()
            .filter_map(|sent| sent.reply)
            .filter(is_proven);
        let slowest = proven
            .map(|reply| reply.rtt)
            .max()
            .unwrap_or(Duration::from_millis(400));
        let can_tell = self.config.timeout >= slowest + slowest / 8 + Duration::from_millis(2);
        let is_in_the_way = self.sent.iter().any(|sent| sent.failed || sent.is_local);
        let heard = hop.replies().any(|reply| reply.is_proven());
        let is_limited = lost >= 2 && heard && can_tell && !is_in_the_way;
        // For how long lost probes were waited for the model doesn't know, but it was never less
        // than this.
        let least = self.config.timeout.min(Duration::from_millis(90));
        // Towards the end of time there is nothing to wait for: other probes may have been waited
        // for beyond it.
        let may_be_late =
            hop.replies().any(|reply| reply.rtt > least) || self.latest > u64::MAX / 2;
        assert!(hop.may_be_rate_limited() == is_limited || is_limited && may_be_late);
        assert_eq!(
            hop.replies().count(),
            outcomes.iter().filter_map(Outcome::reply).count()
        );
    }

    /// Where the target is, the slow way: the nearest hop from which it answered beyond doubt; if
    /// it never did, the nearest from which it may have answered, unless a router answered from
    /// there on.
    fn distance(&self) -> Option<u8> {
        let routers = self
            .replies()
            .filter(|reply| reply.kind == Kind::TimeExceeded);
        let last_router = routers.map(|reply| reply.probe.hop).max();
        let may_be = self
            .target_at(Evidence::Weak)
            .filter(|hop| Some(*hop) > last_router)
            .min();
        self.sure_distance().or(may_be)
    }

    fn sure_distance(&self) -> Option<u8> {
        self.target_at(Evidence::Strong).min()
    }

    /// The hops from which the target answered, as well proven as this.
    fn target_at(&self, evidence: Evidence) -> impl Iterator<Item = u8> {
        let of_target = self.replies().filter(|reply| self.is_of_target(reply));
        of_target
            .filter(move |reply| reply.evidence() == evidence)
            .map(|reply| reply.probe.hop)
    }

    fn is_of_target(&self, reply: &Reply) -> bool {
        match reply.kind {
            Kind::Reply => true,
            Kind::Unreachable => reply.from == self.config.target,
            Kind::TimeExceeded => false,
        }
    }

    /// The answers that decide anything.
    fn replies(&self) -> impl Iterator<Item = Reply> {
        self.sent
            .iter()
            .filter_map(|sent| sent.reply)
            .filter(is_proven)
    }
}
