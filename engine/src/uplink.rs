//! The way out of one family: whether its packets leave this machine, and whether answers come in
//! at all.

use crate::health::Health;
use crate::protocol::ProbeProtocol;
use hopshot_core::{Instant, SendError};
use std::mem::swap;
use std::net::IpAddr;
use std::time::Duration;

/// A gateway isn't missed while somebody is heard more often than this.
const SILENCE: Duration = Duration::from_millis(300);

/// The time without an answer after which somebody is asked who answered before, and between such
/// questions.
pub(crate) const ASK: Duration = Duration::from_millis(100);

/// The longest that the answer to such a question is waited for.
pub(crate) const LONGEST: Duration = Duration::from_secs(2);

/// The patience with such questions, beside two round trips: where none is answered in this time,
/// nothing gets through.
const PATIENCE: Duration = Duration::from_millis(400);

/// The same where only routers are asked: they limit their errors, to one a second often (RFC 1812,
/// section 4.3.2.8).
const PATIENCE_WITH_ROUTERS: Duration = Duration::from_secs(1);

/// The shortest silence, beyond two round trips, that counts as an outage although a target answers
/// in the end.
const FLAP: Duration = Duration::from_millis(250);

/// For how long it holds what a packet to others has shown.
const SHOWN: Duration = Duration::from_millis(50);

/// A target, and what probes to it are.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Witness {
    pub(crate) target: IpAddr,
    /// The interface that it belongs to if it is link-local, else 0.
    pub(crate) scope_id: u32,
    pub(crate) protocol: ProbeProtocol,
}

/// Targets that are kept, and those who answered.
const WITNESSES: usize = 4;

/// Somebody who has answered.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Answerer {
    /// The target of the probe, and its hop limit.
    pub(crate) target: Witness,
    pub(crate) hop: u8,
    pub(crate) from: IpAddr,
    pub(crate) rtt: Duration,
}

impl Answerer {
    fn is_target(&self) -> bool {
        self.from == self.target.target
    }
}

/// Questions that nobody has answered yet.
#[derive(Clone, Copy, Debug)]
struct Questions {
    /// When the first of them left.
    first: Option<Instant>,
    last: Instant,
    count: usize,
    /// Why the last of those could not be sent that were not.
    obstacle: Option<SendError>,
}

/// An outage of which this machine isn't told when it sends.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum CutOff {
    /// Nobody is heard any more.
    Silence,
    /// The gateway doesn't answer on its link.
    Gateway,
    /// It does again, but nobody is heard yet.
    BehindGateway,
}

/// What is known of one family.
#[derive(Clone, Copy, Debug, Default)]
pub(crate) struct Uplink {
    pub(crate) health: Health,
    /// Whether probes have left from an address that is valid beyond its link.
    had_global_source: bool,
    /// The target of the last packet that has left, as long as no router was met on the way to
    /// any.
    reached: Option<Witness>,
    /// The latest targets that are behind a router, each of another network, the last first.
    passed: [Option<Witness>; WITNESSES],
    /// When a packet could not be sent last that was no fault of its target's.
    outage: Option<Instant>,
    /// When a packet was sent to others last to see whether it leaves, and whether it did.
    shown: Option<(Instant, bool)>,
    /// When the last answer came.
    heard: Option<Instant>,
    /// The latest that answered, each another one, the last first.
    answerers: [Option<Answerer>; WITNESSES],
    /// The questions that they were asked since.
    questions: Option<Questions>,
    /// An outage although packets leave, which then count for nothing.
    cut_off: Option<CutOff>,
    /// When such an outage was over.
    restored: Option<Instant>,
    /// When a silence was over that nobody had taken for one.
    silent_until: Option<Instant>,
    /// Whether silence was waited out, and is no outage until somebody is heard again.
    is_quiet: bool,
}

impl Uplink {
    /// Returns whether the address that packets would leave from is a way to the target. Where the
    /// others have gone, IPv6 falls back on one that is valid on its link only, and whose
    /// packets no router may forward (RFC 4291, section 2.5.6).
    pub(crate) fn admits(&mut self, source: IpAddr, target: IpAddr) -> bool {
        let is_local =
            |address| matches!(address, IpAddr::V6(address) if address.is_unicast_link_local());
        if is_local(source) && !is_local(target) && !target.is_multicast() && self.had_global_source
        {
            return false;
        }
        self.had_global_source |= !is_local(source);
        true
    }

    /// Records that a packet has left for a target. Returns whether none could before.
    ///
    /// A neighbour shows nothing of what is behind the gateway, and can be told from the others
    /// only by what answers: once there are targets behind a router, no packet to anybody else
    /// counts.
    pub(crate) fn sent(&mut self, target: Witness, at: Instant) -> bool {
        match self
            .passed
            .iter()
            .flatten()
            .find(|passed| network(passed.target) == network(target.target))
        {
            None if self.passed[0].is_some() => false,
            None => {
                self.reached = Some(target);
                self.succeed(at)
            }
            Some(_) => self.succeed(at),
        }
    }

    /// Records that a packet has left, to somebody who shows that others are reached. Returns
    /// whether none could before.
    pub(crate) fn succeed(&mut self, at: Instant) -> bool {
        self.cut_off.is_none() && self.health.succeed(at)
    }

    /// Records that a router was met on the way to a target: so packets leave. The oldest of the
    /// other networks makes room.
    pub(crate) fn pass(&mut self, target: Witness, at: Instant) {
        self.succeed(at);
        let place = self.passed.iter().position(|passed| {
            passed.is_none_or(|passed| network(passed.target) == network(target.target))
        });
        let place = place.unwrap_or(self.passed.len() - 1);
        put_first(&mut self.passed, place, target);
    }

    /// Returns targets that may show whether others are reached than one that isn't, those of other
    /// networks first. If nothing has left yet it is the only one: a firewall may refuse what
    /// expires near us, and nothing else.
    pub(crate) fn witnesses(&self, failing: Witness) -> [Option<Witness>; WITNESSES] {
        let mut witnesses = self.passed;
        if witnesses[0].is_none() {
            witnesses[0] = self.reached.or(Some(failing));
        }
        witnesses.sort_by_key(|witness| {
            witness.is_none_or(|witness| network(witness.target) == network(failing.target))
        });
        witnesses
    }

    /// Returns whether a target of the same network is known to be behind a router.
    pub(crate) fn has_witness_beside(&self, target: IpAddr) -> bool {
        self.passed
            .iter()
            .flatten()
            .any(|passed| network(passed.target) == network(target))
    }

    /// Records that a packet could not be sent, and no other either, as far as is known.
    pub(crate) fn fail(&mut self, at: Instant) {
        self.health.fail(at);
        self.outage = Some(at);
    }

    /// Records whether a packet to others has left.
    pub(crate) const fn show(&mut self, leaves: bool, at: Instant) {
        self.shown = Some((at, leaves));
    }

    /// Returns whether a packet to others has left, if that was seen a moment ago.
    pub(crate) fn showed(&self, now: Instant) -> Option<bool> {
        self.shown
            .filter(|(at, _)| now.saturating_since(*at) < SHOWN)
            .map(|(_, leaves)| leaves)
    }

    /// Returns whether packets could not be sent, to whomever, since an instant.
    pub(crate) fn had_outage_since(&self, start: Instant) -> bool {
        self.outage.is_some_and(|at| at >= start)
    }

    /// Records an answer.
    pub(crate) fn answered(&mut self, at: Instant) {
        let flap = if self.asks_targets() {
            FLAP
        } else {
            PATIENCE_WITH_ROUTERS
        }
        .saturating_add(self.round_trips());
        if self
            .questions
            .take()
            .and_then(|asked| asked.first)
            .is_some_and(|first| at.saturating_since(first) >= flap)
        {
            self.silent_until = Some(at);
        }
        self.heard = Some(at);
        self.is_quiet = false;
        if self.cut_off.take().is_some() {
            self.restored = Some(at);
            self.health.succeed(at);
        }
    }

    /// Keeps somebody who has answered, to be asked again. A target stays, since routers limit
    /// their answers.
    pub(crate) fn remember(&mut self, answerer: Answerer) {
        let is_free =
            |place: &Option<Answerer>| place.is_none_or(|other| other.from == answerer.from);
        let is_router = |place: &Option<Answerer>| place.is_none_or(|other| !other.is_target());
        let place = self.answerers.iter().position(is_free);
        let oldest = || match answerer.is_target() {
            true => Some(WITNESSES - 1),
            false => self.answerers.iter().rposition(is_router),
        };
        let Some(place) = place.or_else(oldest) else {
            return;
        };
        put_first(&mut self.answerers, place, answerer);
    }

    /// Returns when somebody is to be asked who answered before, unless anybody is heard until
    /// then.
    pub(crate) fn next_question(&self) -> Option<Instant> {
        let is_known = self.answerers.iter().any(Option::is_some);
        let heard = self.heard.filter(|_| is_known && !self.is_quiet)?;
        let last = self
            .questions
            .map_or(heard, |questions| questions.last.max(heard));
        Some(last.saturating_add(ASK))
    }

    /// Returns whom to ask now, each in turn.
    pub(crate) fn ask(&mut self, now: Instant) -> Option<Answerer> {
        let known = self.answerers.iter().flatten().count();
        let new = Questions {
            first: None,
            last: now,
            count: 0,
            obstacle: None,
        };
        let questions = self.questions.unwrap_or(new);
        let answerer = self
            .answerers
            .get(questions.count.checked_rem(known)?)
            .copied()
            .flatten();
        self.questions = Some(Questions {
            last: now,
            count: questions.count + 1,
            ..questions
        });
        answerer
    }

    /// Records that a question has left.
    pub(crate) fn asked(&mut self, at: Instant) {
        if let Some(questions) = &mut self.questions {
            questions.first.get_or_insert(at);
        }
    }

    /// Records that a question could not be sent: it shows nothing of silence.
    pub(crate) const fn not_asked(&mut self, error: SendError) {
        if let Some(questions) = &mut self.questions {
            questions.obstacle = Some(error);
        }
    }

    /// Returns why nobody can be asked, if a question could not be sent since somebody was heard.
    pub(crate) fn obstacle(&self) -> Option<SendError> {
        self.questions?.obstacle
    }

    fn asks_targets(&self) -> bool {
        self.answerers.iter().flatten().any(Answerer::is_target)
    }

    fn round_trips(&self) -> Duration {
        let answerers = self.answerers.iter().flatten();
        let fastest = answerers.map(|answerer| answerer.rtt).min();
        // Whoever lets an answer wait for long doesn't hide that all others have fallen silent.
        fastest.unwrap_or_default().min(LONGEST).saturating_mul(2)
    }

    /// Returns whether nobody answers any more who did before.
    pub(crate) fn is_silent(&self, now: Instant) -> bool {
        let patience = if self.asks_targets() {
            PATIENCE
        } else {
            PATIENCE_WITH_ROUTERS
        };
        let patience = patience.saturating_add(self.round_trips());
        let first = self.questions.and_then(|asked| asked.first);
        !self.is_quiet && first.is_some_and(|first| now.saturating_since(first) >= patience)
    }

    /// Returns whether it isn't known yet if anybody still answers, and will be: somebody is asked.
    pub(crate) fn may_be_silent(&self, now: Instant) -> bool {
        let is_open = self.cut_off.is_none() && !self.is_quiet && !self.is_silent(now);
        let is_asking = self
            .questions
            .is_some_and(|asked| asked.first.is_some() || asked.obstacle.is_none());
        is_open && (is_asking || self.next_question().is_some_and(|next| next <= now))
    }

    /// Takes silence for an outage, where it lasts although something was heard before.
    pub(crate) fn suspect(&mut self, now: Instant) {
        if self.is_silent(now) {
            self.cut_off.get_or_insert(CutOff::Silence);
            self.health.fail(now);
        }
    }

    /// Records that the gateway doesn't answer on its link. It is an outage unless others are
    /// heard, by another gateway.
    pub(crate) fn miss_gateway(&mut self, now: Instant) {
        if self
            .heard
            .is_none_or(|at| now.saturating_since(at) >= SILENCE)
        {
            self.cut_off = Some(CutOff::Gateway);
            self.health.fail(now);
        }
    }

    /// Records that the gateway answers on its link. Somebody must be heard before the outage is
    /// over.
    pub(crate) fn find_gateway(&mut self) {
        if self.cut_off == Some(CutOff::Gateway) {
            self.cut_off = Some(CutOff::BehindGateway);
        }
    }

    /// Returns the outage that there is although packets leave.
    pub(crate) const fn cut_off(&self) -> Option<CutOff> {
        self.cut_off
    }

    /// Returns whether there was, or is, such an outage after an instant.
    pub(crate) fn was_cut_off_since(&self, start: Instant) -> bool {
        self.cut_off.is_some() || self.restored.is_some_and(|restored| start < restored)
    }

    /// Returns whether nobody was heard for a time after an instant, which may have been such an
    /// outage: none of the traces that showed it had ended.
    pub(crate) fn was_silent_after(&self, start: Instant) -> bool {
        self.silent_until.is_some_and(|until| start < until)
    }

    /// Takes silence for what it is from now on: nobody answers.
    pub(crate) fn accept_silence(&mut self, now: Instant) {
        (self.cut_off, self.questions, self.is_quiet) = (None, None, true);
        self.health.succeed(now);
    }
}

/// The network that is routed as one, as far as can be guessed: the first 24 bits in IPv4, 48 in
/// IPv6.
fn network(address: IpAddr) -> [u8; 6] {
    match address {
        IpAddr::V4(address) => {
            let [a, b, c, _] = address.octets();
            [a, b, c, 0, 0, 0]
        }
        IpAddr::V6(address) => {
            let [a, b, c, d, e, f, ..] = address.octets();
            [a, b, c, d, e, f]
        }
    }
}

/// Puts a value in front. Those before a place move back by one, and the one there makes room.
fn put_first<T>(values: &mut [Option<T>], place: usize, first: T) {
    let mut moved = Some(first);
    for value in values.iter_mut().take(place + 1) {
        swap(value, &mut moved);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn at(millis: u64) -> Instant {
        Instant::from_millis(millis)
    }

    /// Asks from one instant on, in milliseconds, every 100 ms until another.
    fn ask(uplink: &mut Uplink, from: u64, until: u64) {
        for now in (from..until).step_by(100) {
            uplink.ask(at(now));
            uplink.asked(at(now));
        }
    }

    fn witness(target: [u8; 4]) -> Witness {
        Witness {
            target: target.into(),
            scope_id: 0,
            protocol: ProbeProtocol::Icmp,
        }
    }

    fn answerer(from: [u8; 4]) -> Answerer {
        let target = witness([192, 0, 2, 1]);
        Answerer {
            target,
            hop: 3,
            from: from.into(),
            rtt: Duration::from_millis(50),
        }
    }

    #[test]
    fn silence_is_an_outage_only_where_those_are_silent_who_answered_and_until_the_next() {
        let mut uplink = Uplink::default();
        assert!(
            uplink.ask(at(1_000)).is_none() && uplink.next_question().is_none(),
            "nobody was ever heard"
        );
        uplink.suspect(at(5_000));
        assert!(uplink.cut_off().is_none());
        uplink.answered(at(6_000));
        uplink.remember(answerer([192, 0, 2, 1]));
        uplink.suspect(at(9_000));
        assert!(
            uplink.cut_off().is_none() && uplink.may_be_silent(at(9_000)),
            "nobody was asked"
        );
        assert_eq!(uplink.next_question(), Some(at(6_100)));
        ask(&mut uplink, 9_000, 9_500);
        uplink.suspect(at(9_499));
        assert!(uplink.cut_off().is_none());
        uplink.suspect(at(9_500));
        let target = witness([192, 0, 2, 1]);
        assert!(uplink.cut_off().is_some() && !uplink.sent(target, at(9_500)));
        assert!(uplink.health.failing_for(at(9_500)).is_some() && !uplink.may_be_silent(at(9_500)));
        uplink.answered(at(9_600));
        assert!(uplink.cut_off().is_none() && uplink.health.failing_for(at(9_600)).is_none());
        assert!(uplink.was_cut_off_since(at(9_599)) && !uplink.was_cut_off_since(at(9_600)));
    }

    #[test]
    fn where_nobody_can_be_asked_nothing_is_due() {
        let mut uplink = Uplink::default();
        // Somebody whose answers are changed on their way, so that they are weak.
        uplink.answered(at(1_000));
        assert!(uplink.next_question().is_none() && !uplink.may_be_silent(at(9_000)));
        uplink.remember(answerer([192, 0, 2, 1]));
        assert_eq!(uplink.next_question(), Some(at(1_100)));
    }

    #[test]
    fn who_was_slow_once_does_not_put_off_that_silence_is_noticed() {
        let mut uplink = Uplink::default();
        uplink.remember(Answerer {
            rtt: Duration::from_secs(3_000),
            ..answerer([192, 0, 2, 1])
        });
        uplink.answered(at(0));
        ask(&mut uplink, 100, 4_500);
        uplink.suspect(at(4_499));
        assert!(uplink.cut_off().is_none());
        uplink.suspect(at(4_500));
        assert!(uplink.cut_off().is_some());
    }

    #[test]
    fn routers_are_given_more_time_and_are_asked_in_turn() {
        let mut uplink = Uplink::default();
        uplink.answered(at(0));
        (1..=6).for_each(|router| uplink.remember(answerer([10, 0, 0, router])));
        let mut asked = Vec::new();
        for now in (100..=500).step_by(100) {
            asked.extend(uplink.ask(at(now)).map(|answerer| answerer.from));
            uplink.asked(at(now));
        }
        let routers = [6, 5, 4, 3, 6].map(|router| IpAddr::from([10, 0, 0, router]));
        assert_eq!(asked, routers);
        uplink.suspect(at(1_199));
        assert!(uplink.cut_off().is_none());
        uplink.suspect(at(1_200));
        assert!(uplink.cut_off().is_some());
        // A target is kept.
        uplink.remember(answerer([192, 0, 2, 1]));
        (7..=9).for_each(|router| uplink.remember(answerer([10, 0, 0, router])));
        uplink.remember(answerer([10, 0, 0, 10]));
        assert!(uplink.asks_targets());
    }

    #[test]
    fn silence_that_was_waited_out_is_no_outage_until_somebody_is_heard_again() {
        let mut uplink = Uplink::default();
        uplink.remember(answerer([192, 0, 2, 1]));
        uplink.answered(at(0));
        ask(&mut uplink, 100, 1_000);
        uplink.suspect(at(1_000));
        uplink.accept_silence(at(2_000));
        uplink.suspect(at(9_000));
        assert!(uplink.cut_off().is_none() && uplink.next_question().is_none());
        assert!(!uplink.may_be_silent(at(9_000)), "it is known");
        uplink.answered(at(10_000));
        ask(&mut uplink, 10_100, 11_000);
        uplink.suspect(at(11_000));
        assert!(uplink.cut_off().is_some());
    }

    #[test]
    fn a_question_that_can_not_be_sent_is_not_waited_for() {
        let mut uplink = Uplink::default();
        uplink.remember(answerer([192, 0, 2, 1]));
        uplink.answered(at(0));
        uplink.ask(at(100));
        assert!(uplink.may_be_silent(at(150)), "it is about to leave");
        uplink.not_asked(SendError(1));
        assert!(!uplink.may_be_silent(at(150)) && uplink.obstacle() == Some(SendError(1)));
        // The next one leaves.
        ask(&mut uplink, 200, 201);
        assert!(uplink.may_be_silent(at(250)));
        uplink.not_asked(SendError(1));
        assert!(uplink.may_be_silent(at(250)));
        uplink.answered(at(300));
        assert_eq!(uplink.obstacle(), None);
    }

    #[test]
    fn a_gateway_that_is_found_again_is_to_blame_no_more_and_the_outage_goes_on() {
        let mut uplink = Uplink::default();
        uplink.find_gateway();
        assert_eq!(uplink.cut_off(), None);
        uplink.miss_gateway(at(1_000));
        uplink.find_gateway();
        assert_eq!(uplink.cut_off(), Some(CutOff::BehindGateway));
        assert!(uplink.health.failing_for(at(2_000)).is_some());
        uplink.miss_gateway(at(3_000));
        assert_eq!(uplink.cut_off(), Some(CutOff::Gateway));
        uplink.find_gateway();
        uplink.answered(at(4_000));
        assert!(uplink.cut_off().is_none() && uplink.health.failing_for(at(4_000)).is_none());
    }

    #[test]
    fn once_targets_are_known_behind_routers_neighbours_show_nothing() {
        let [near, far, farther]: [Witness; 3] =
            [[10, 0, 0, 1], [10, 6, 0, 1], [10, 7, 0, 1]].map(witness);
        let mut uplink = Uplink::default();
        uplink.fail(at(1_000));
        assert!(uplink.sent(near, at(1_100)), "nothing else is known");
        assert_eq!(uplink.witnesses(far)[0], Some(near));
        uplink.pass(far, at(1_500));
        uplink.pass(farther, at(1_500));
        uplink.fail(at(2_000));
        assert!(!uplink.sent(near, at(2_100)) && uplink.health.failing_for(at(2_100)).is_some());
        assert!(uplink.sent(far, at(2_200)));
        // Those of other networks are asked first.
        assert_eq!(uplink.witnesses(farther)[0], Some(far));
        assert_eq!(uplink.witnesses(far)[0], Some(farther));
        assert!(uplink.had_outage_since(at(2_000)) && !uplink.had_outage_since(at(2_001)));
    }

    #[test]
    fn a_silence_that_is_over_spoils_what_was_on_its_way() {
        let mut uplink = Uplink::default();
        uplink.remember(answerer([192, 0, 2, 1]));
        uplink.answered(at(1_000));
        for (answered, is_silence) in [(1_449, false), (2_450, true)] {
            ask(
                &mut uplink,
                answered - 349 - u64::from(is_silence),
                answered,
            );
            uplink.answered(at(answered));
            assert_eq!(uplink.was_silent_after(at(1_200)), is_silence);
        }
        assert!(!uplink.was_silent_after(at(2_450)));
    }

    #[test]
    fn a_link_local_source_is_a_makeshift_where_there_was_a_better_one() {
        let [local, global]: [IpAddr; 2] =
            ["fe80::1", "2001:db8::1"].map(|address| address.parse().unwrap());
        let mut uplink = Uplink::default();
        assert!(
            uplink.admits(local, global),
            "a neighbour may be reached from it"
        );
        assert!(uplink.admits(global, global));
        assert!(!uplink.admits(local, global));
        assert!(uplink.admits(local, local));
    }
}
