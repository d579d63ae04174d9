//! What many rounds say of a path: pure, without clock and terminal.

use hopshot_linux::{Outcome, Route, StopReason};
use std::collections::{BTreeMap, VecDeque};
use std::fmt;
use std::net::IpAddr;
use std::time::Duration;

/// RTTs remembered for each hop.
pub(crate) const REMEMBERED: usize = 240;
/// Rounds without an answer after which a hop that had answered has vanished.
pub(crate) const VANISHED: u32 = 5;
/// Addresses remembered for each hop, and changes of the path: more than that is no path.
const ADDRESSES: usize = 8;
const CHANGES: usize = 100;

/// What a round said.
#[derive(Clone, Debug, Default)]
pub(crate) struct Round {
    /// Each probe of each hop: who answered and when, or that nobody did. One that did not get out is neither.
    pub(crate) probes: BTreeMap<u8, Vec<Option<(IpAddr, Duration)>>>,
    /// Where the path ends, if the round shows that.
    pub(crate) end: Option<u8>,
    /// Whether the target answered.
    pub(crate) reached: bool,
    /// Whether the end is who said that there is no way further.
    pub(crate) unreachable: bool,
}

impl From<&Route> for Round {
    fn from(route: &Route) -> Self {
        let mut round = Self { end: route.distance(), reached: route.reached(), ..Self::default() };
        for hop in route.hops() {
            let answered = hop.outcomes().filter_map(|outcome| match outcome {
                Outcome::Answered(reply) => Some(Some((reply.from, reply.rtt))),
                Outcome::Lost => Some(None),
                Outcome::InFlight | Outcome::Failed(_) => None,
            });
            round.probes.insert(hop.number(), answered.collect());
        }
        if route.stop_reason() == Some(StopReason::Unreachable) {
            round.end = round.end.or_else(|| round.heard());
            round.unreachable = true;
        }
        round
    }
}

impl Round {
    /// The farthest hop that answered.
    pub(crate) fn heard(&self) -> Option<u8> {
        self.probes.iter().rev().find(|(_, probes)| probes.iter().any(Option::is_some)).map(|(hop, _)| *hop)
    }
}

/// Everything since the start, or since it was begun anew.
#[derive(Clone, Debug, Default)]
pub(crate) struct History {
    pub(crate) rounds: u32,
    /// Whether the target answered in the last round.
    pub(crate) reached: bool,
    unreachable: bool,
    /// How many hops the path has, as far as is known.
    pub(crate) length: u8,
    /// Where the target was when it last answered.
    pub(crate) distance: Option<u8>,
    pub(crate) hops: BTreeMap<u8, Hop>,
    pub(crate) changes: VecDeque<Change>,
}

/// One hop.
#[derive(Clone, Debug, Default)]
pub(crate) struct Hop {
    /// Who answers here: the last one first.
    pub(crate) addresses: Vec<Seen>,
    pub(crate) sent: u32,
    pub(crate) lost: u32,
    pub(crate) last: Option<Duration>,
    pub(crate) best: Option<Duration>,
    pub(crate) worst: Option<Duration>,
    sum: Duration,
    differences: Duration,
    /// The last RTTs, the newest at the end; nothing where one was lost.
    pub(crate) rtts: VecDeque<Option<Duration>>,
    /// Rounds in a row without an answer.
    silent: u32,
    pub(crate) mark: Option<Mark>,
}

/// An address that answered at a hop.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Seen {
    pub(crate) address: IpAddr,
    /// In which rounds it was the first and the last time.
    pub(crate) first: u32,
    pub(crate) last: u32,
    /// Whether it came back after another had answered: the hop is several routers, not a new one.
    pub(crate) returned: bool,
}

/// What is different at a hop now.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Mark {
    /// Another address answers than before.
    Changed,
    /// It was silent, or not there, before.
    Up,
    /// It answered before, and doesn't any more.
    Gone,
}

impl Mark {
    pub(crate) const fn sign(self) -> char {
        match self {
            Self::Changed => '~',
            Self::Up => '+',
            Self::Gone => '-',
        }
    }
}

/// A change of the path.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Change {
    pub(crate) round: u32,
    /// From this hop to this: neighbours to whom the same happened.
    pub(crate) hops: (u8, u8),
    pub(crate) event: Event,
}

/// What happened.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Event {
    /// The second address answers in place of the first.
    Address(IpAddr, IpAddr),
    Up,
    Gone,
}

impl fmt::Display for Change {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let (hops, verb) = match self.hops {
            (first, last) if first == last => (format!("hop {first}"), "has"),
            (first, last) => (format!("hops {first} to {last}"), "have"),
        };
        write!(f, "round {}: {hops} ", self.round)?;
        match self.event {
            Event::Address(before, after) => write!(f, "{verb} become {after}, was {before}"),
            Event::Up => write!(f, "{verb} come up"),
            Event::Gone => write!(f, "{verb} vanished"),
        }
    }
}

impl History {
    /// Learns what a round said.
    pub(crate) fn add(&mut self, round: &Round) {
        self.rounds += 1;
        (self.reached, self.unreachable) = (round.reached, round.unreachable);
        // Without an end that is known the path is as long as it was, unless something answered from farther on.
        self.length = round.end.unwrap_or_else(|| self.length.max(round.heard().unwrap_or(0)));
        self.distance = if round.reached { round.end } else { self.distance };
        for (number, probes) in round.probes.range(..=self.length).filter(|(_, probes)| !probes.is_empty()) {
            let is_new = !self.hops.contains_key(number);
            let hop = self.hops.entry(*number).or_default();
            let event = hop.add(probes, self.rounds);
            if is_new && self.rounds > 1 && event.is_none() && hop.silent == 0 {
                hop.mark = Some(Mark::Up);
                self.note(*number, Event::Up);
            }
            if let Some(event) = event {
                self.note(*number, event);
            }
        }
        if round.end.is_some() {
            let behind = self.hops.range_mut(self.length + 1..);
            let gone: Vec<u8> = behind.filter_map(|(number, hop)| hop.leave().then_some(*number)).collect();
            gone.into_iter().for_each(|number| self.note(number, Event::Gone));
        }
    }

    /// What is to be said if the target did not answer in the last round.
    pub(crate) fn silence(&self) -> Option<String> {
        match (self.reached, self.unreachable) {
            (true, _) => None,
            (false, true) => Some(format!("hop {} says that the target can't be reached", self.length)),
            (false, false) => Some("the target did not answer in the last round".to_owned()),
        }
    }

    /// How far a round needs to go: a little farther than anything was heard, and now and then as far as it may.
    pub(crate) fn horizon(&self, farthest: u8) -> u8 {
        const MARGIN: u8 = 3;
        const ALL: u32 = 10;
        match self.length {
            0 => farthest,
            _ if !self.reached && self.rounds.is_multiple_of(ALL) => farthest,
            length => length.saturating_add(MARGIN).min(farthest),
        }
    }

    fn note(&mut self, hop: u8, event: Event) {
        let round = self.rounds;
        if let Some(last) = self.changes.back_mut()
            && (last.round, last.event, last.hops.1 + 1) == (round, event, hop)
        {
            last.hops.1 = hop;
            return;
        }
        if self.changes.len() == CHANGES {
            self.changes.pop_front();
        }
        self.changes.push_back(Change { round, hops: (hop, hop), event });
    }
}

impl Hop {
    /// Learns what became of the probes of a round. Returns what has changed.
    fn add(&mut self, probes: &[Option<(IpAddr, Duration)>], round: u32) -> Option<Event> {
        let mut event = None;
        for probe in probes {
            self.sent += 1;
            match probe {
                Some((address, rtt)) => {
                    self.time(*rtt);
                    event = self.hear(*address, round).or(event);
                }
                None => self.lost += 1,
            }
            if self.rtts.len() == REMEMBERED {
                self.rtts.pop_front();
            }
            self.rtts.push_back(probe.map(|(_, rtt)| rtt));
        }
        let was_gone = self.mark == Some(Mark::Gone) || self.silent >= VANISHED;
        if probes.iter().any(Option::is_some) {
            self.silent = 0;
            if self.is_several() {
                // Who is next of those that take turns is no change.
                event = None;
                self.mark = self.mark.filter(|mark| *mark != Mark::Changed);
            }
            if event.is_some() {
                self.mark = Some(Mark::Changed);
            } else if was_gone {
                self.mark = Some(Mark::Up);
                event = Some(Event::Up);
            }
        } else {
            self.silent += 1;
            if self.silent == VANISHED && self.leave() {
                event = Some(Event::Gone);
            }
        }
        event
    }

    /// It answers no more. Returns whether that is new.
    fn leave(&mut self) -> bool {
        let is_new = !self.addresses.is_empty() && self.mark != Some(Mark::Gone);
        if is_new {
            self.mark = Some(Mark::Gone);
        }
        is_new
    }

    fn time(&mut self, rtt: Duration) {
        if let Some(last) = self.last {
            self.differences += last.abs_diff(rtt);
        }
        self.last = Some(rtt);
        self.best = Some(self.best.map_or(rtt, |best| best.min(rtt)));
        self.worst = Some(self.worst.map_or(rtt, |worst| worst.max(rtt)));
        self.sum += rtt;
    }

    /// Puts an address first.
    fn hear(&mut self, address: IpAddr, round: u32) -> Option<Event> {
        let before = self.addresses.first().map(|seen| seen.address);
        match self.addresses.iter().position(|seen| seen.address == address) {
            Some(place) => {
                let mut seen = self.addresses.remove(place);
                seen.last = round;
                seen.returned |= place > 0;
                self.addresses.insert(0, seen);
                None
            }
            None => {
                self.addresses.truncate(ADDRESSES - 1);
                self.addresses.insert(0, Seen { address, first: round, last: round, returned: false });
                before.map(|before| Event::Address(before, address))
            }
        }
    }

    /// Whether several addresses answer here by turns.
    pub(crate) fn is_several(&self) -> bool {
        self.addresses.iter().any(|seen| seen.returned)
    }

    /// The addresses but the last one that answered, each between the words that tell whether it still does.
    pub(crate) fn others(&self) -> impl Iterator<Item = (&'static str, &Seen, String)> {
        let is_several = self.is_several();
        self.addresses.iter().skip(1).map(move |seen| match is_several {
            true => ("and", seen, String::new()),
            false => ("was", seen, format!(" until round {}", seen.last)),
        })
    }

    const fn answers(&self) -> u32 {
        self.sent - self.lost
    }

    /// The share of probes that were lost, in percent.
    pub(crate) fn loss(&self) -> f64 {
        match self.sent {
            0 => 0.0,
            sent => 100.0 * f64::from(self.lost) / f64::from(sent),
        }
    }

    pub(crate) fn average(&self) -> Option<Duration> {
        self.sum.checked_div(self.answers())
    }

    /// The mean difference between an RTT and the one before, whatever its sign: what RFC 3550 calls jitter, of all RTTs alike
    /// where that forgets the older ones.
    pub(crate) fn jitter(&self) -> Option<Duration> {
        self.differences.checked_div(self.answers().saturating_sub(1))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// A round of a path whose routers are told by the last octet of their addresses, at the last of which is the target.
    fn round(hops: &[Option<u8>]) -> Round {
        let probe = |(number, octet): (u8, &Option<u8>)| {
            (
                number,
                vec![octet.map(|octet| (IpAddr::from([10, 0, 0, octet]), Duration::from_millis(u64::from(octet))))],
            )
        };
        let end = u8::try_from(hops.len()).ok();
        Round {
            probes: (1..).zip(hops).map(probe).collect(),
            end,
            reached: hops.last().is_some_and(Option::is_some),
            unreachable: false,
        }
    }

    fn history(rounds: &[&[Option<u8>]]) -> History {
        let mut history = History::default();
        rounds.iter().for_each(|hops| history.add(&round(hops)));
        history
    }

    fn marks(history: &History) -> Vec<Option<Mark>> {
        history.hops.values().map(|hop| hop.mark).collect()
    }

    const MS: fn(u64) -> Option<Duration> = |ms| Some(Duration::from_millis(ms));

    #[test]
    fn statistics_are_of_answers_and_loss_is_of_probes() {
        let history = history(&[&[Some(10)], &[Some(30)], &[None], &[Some(20)]]);
        let hop = &history.hops[&1];
        assert_eq!((hop.sent, hop.lost, hop.loss()), (4, 1, 25.0));
        assert_eq!([hop.last, hop.best, hop.average(), hop.worst], [20, 10, 20, 30].map(MS));
        // 20 up, 10 down.
        assert_eq!(hop.jitter(), MS(15));
        assert_eq!(hop.rtts, [MS(10), MS(30), None, MS(20)]);
    }

    #[test]
    fn of_a_hop_that_never_answered_nothing_is_claimed() {
        let history = history(&[&[None, Some(2)]]);
        let hop = &history.hops[&1];
        assert_eq!([hop.last, hop.best, hop.average(), hop.worst, hop.jitter()], [None; 5]);
        assert_eq!((hop.loss(), hop.mark), (100.0, None));
    }

    #[test]
    fn a_probe_that_was_not_sent_is_not_lost() {
        let mut history = history(&[&[Some(1), Some(2)]]);
        let mut failed = round(&[Some(1), Some(2)]);
        failed.probes.insert(1, Vec::new());
        history.add(&failed);
        assert_eq!([1, 2].map(|hop| history.hops[&hop].sent), [1, 2]);
    }

    #[test]
    fn another_address_is_a_change_and_the_one_before_is_remembered() {
        let history = history(&[&[Some(1), Some(9)], &[Some(2), Some(9)], &[Some(2), Some(9)]]);
        let hop = &history.hops[&1];
        let seen: Vec<_> = hop.addresses.iter().map(|seen| (seen.address.to_string(), seen.first, seen.last)).collect();
        assert_eq!(seen, [("10.0.0.2".to_owned(), 2, 3), ("10.0.0.1".to_owned(), 1, 1)]);
        assert_eq!(marks(&history), [Some(Mark::Changed), None]);
        assert!(!hop.is_several());
        let event = Event::Address([10, 0, 0, 1].into(), [10, 0, 0, 2].into());
        assert_eq!(history.changes, [Change { round: 2, hops: (1, 1), event }]);
    }

    #[test]
    fn addresses_that_take_turns_are_several_and_one_change() {
        let history = history(&[&[Some(1)], &[Some(2)], &[Some(1)], &[Some(2)]]);
        assert!(history.hops[&1].is_several());
        assert_eq!(history.changes.len(), 1);
    }

    #[test]
    fn a_hop_vanishes_after_five_silent_rounds_and_comes_up_with_its_next_answer() {
        let up: &[Option<u8>] = &[Some(1), Some(2)];
        let down: &[Option<u8>] = &[None, Some(2)];
        assert_eq!(marks(&history(&[up, down, down, down, down])), [None, None]);
        let gone = history(&[up, down, down, down, down, down]);
        assert_eq!(marks(&gone), [Some(Mark::Gone), None]);
        let back = history(&[up, down, down, down, down, down, down, up]);
        assert_eq!(marks(&back), [Some(Mark::Up), None]);
        let events: Vec<_> = back.changes.iter().map(|change| (change.round, change.event)).collect();
        assert_eq!(events, [(6, Event::Gone), (8, Event::Up)]);
    }

    #[test]
    fn hops_behind_the_end_of_a_shorter_path_are_gone_and_lose_nothing() {
        let long: &[Option<u8>] = &[Some(1), Some(2), Some(3), Some(9)];
        let mut history = history(&[long, &[Some(1), Some(9)]]);
        assert_eq!((history.length, history.distance), (2, Some(2)));
        assert_eq!(marks(&history), [None, Some(Mark::Changed), Some(Mark::Gone), Some(Mark::Gone)]);
        assert_eq!((history.hops[&4].sent, history.hops[&4].lost), (1, 0));
        assert_eq!(history.changes.back().unwrap().hops, (3, 4));
        history.add(&round(long));
        assert_eq!(marks(&history)[2..], [Some(Mark::Up), Some(Mark::Up)]);
    }

    #[test]
    fn who_says_that_there_is_no_way_further_is_told_and_what_is_behind_has_gone() {
        let mut history = history(&[&[Some(1), Some(2), Some(9)]]);
        assert_eq!(history.silence(), None);
        history.add(&Round { unreachable: true, reached: false, ..round(&[Some(1), Some(2)]) });
        assert_eq!(history.silence().unwrap(), "hop 2 says that the target can't be reached");
        assert_eq!((marks(&history), history.hops[&3].lost), (vec![None, None, Some(Mark::Gone)], 0));
    }

    #[test]
    fn behind_a_target_that_vanished_nothing_is_counted() {
        let mut history = history(&[&[Some(1), Some(9)]]);
        let mut silent = round(&[Some(1), None, None, None, None]);
        silent.end = None;
        history.add(&silent);
        assert!(!history.reached);
        assert_eq!((history.length, history.hops.len(), history.hops[&2].lost), (2, 2, 1));
        assert_eq!(history.distance, Some(2));
    }

    #[test]
    fn a_round_goes_little_farther_than_the_path_and_a_silent_target_is_looked_for_now_and_then() {
        assert_eq!(History::default().horizon(32), 32);
        let mut history = history(&[&[Some(1), Some(9)]]);
        assert_eq!([history.horizon(32), history.horizon(3)], [5, 3]);
        let mut silent = round(&[Some(1), None, None]);
        silent.end = None;
        let horizons: Vec<u8> = (0..10)
            .map(|_| {
                history.add(&silent);
                history.horizon(32)
            })
            .collect();
        assert_eq!(horizons, [5, 5, 5, 5, 5, 5, 5, 5, 32, 5]);
    }

    #[test]
    fn what_is_remembered_is_bounded() {
        let mut history = History::default();
        for number in 0..2000_u32 {
            let octet = u8::try_from(number % 250).unwrap();
            history.add(&round(&[Some(octet)]));
        }
        let hop = &history.hops[&1];
        assert_eq!((hop.addresses.len(), hop.rtts.len(), history.changes.len()), (ADDRESSES, REMEMBERED, CHANGES));
    }
}
