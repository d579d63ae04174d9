//! What many rounds say of a path: pure, without clock and terminal.

use crate::units::date;
use hopshot_linux::{Failure, Outcome, Route, StopReason, failure_text};
use std::collections::{BTreeMap, VecDeque};
use std::fmt;
use std::net::IpAddr;
use std::time::{Duration, SystemTime};

/// RTTs remembered for each hop.
pub(crate) const REMEMBERED: usize = 240;
/// Rounds without an answer after which a hop that had answered has vanished.
const VANISHED: u32 = 5;
/// An address that was away for fewer rounds than that takes turns with those that answered
/// meanwhile; after more it is a change.
const TURN: u32 = 5;
/// Rounds that addresses are still expected to take turns after the last time that they did.
const TURNS: u32 = 60;
/// Addresses remembered for each hop, and changes of the path: more than that is no path.
const ADDRESSES: usize = 8;
const CHANGES: usize = 100;

/// The outcome of a round.
#[derive(Clone, Debug, Default)]
pub(crate) struct Round {
    /// Each probe of each hop: who answered and when, or that nobody did, or nobody who proves it.
    /// One that did not get out is neither.
    pub(crate) probes: BTreeMap<u8, Vec<Option<(IpAddr, Duration)>>>,
    /// The hop at which the path ends, if the round shows that.
    pub(crate) end: Option<u8>,
    /// Whether the target answered.
    pub(crate) reached: bool,
    /// Whether the end is who said that there is no way further.
    pub(crate) unreachable: bool,
    /// Whether the path goes round in a loop.
    pub(crate) goes_round: bool,
    /// Why it could not be sent, or not in full.
    pub(crate) trouble: Option<String>,
    /// Why nothing of it left this machine, if that is so.
    pub(crate) away: Option<String>,
    /// When it began, where that is known.
    pub(crate) began: Option<SystemTime>,
}

impl From<&Route> for Round {
    fn from(route: &Route) -> Self {
        let began = Some(route.summary().started);
        let mut round = Self {
            end: route.distance(),
            reached: route.reached(),
            began,
            ..Self::default()
        };
        for hop in route.hops() {
            let probes = round.probes.entry(hop.number()).or_default();
            for outcome in hop.outcomes() {
                match outcome {
                    Outcome::Answered(reply) => {
                        probes.push(reply.is_proven().then_some((reply.from, reply.rtt)));
                    }
                    Outcome::Lost => probes.push(None),
                    Outcome::InFlight => {}
                    Outcome::Failed(why) => round.trouble = Some(trouble(why)),
                }
            }
        }
        if round.heard().is_none() {
            round.away = route.failure().map(failure_text);
        }
        if route.stop_reason() == Some(StopReason::Unreachable) {
            round.end = round.end.or_else(|| round.heard());
            round.unreachable = true;
        }
        round.goes_round = route.stop_reason() == Some(StopReason::Loop);
        round
    }
}

impl Round {
    /// One that could not begin at this time: why, in a sentence and in a few words.
    pub(crate) fn not_begun(trouble: String, reason: String, at: SystemTime) -> Self {
        Self {
            trouble: Some(trouble),
            away: Some(reason),
            began: Some(at),
            ..Self::default()
        }
    }

    /// The farthest hop that answered.
    fn heard(&self) -> Option<u8> {
        self.probes
            .iter()
            .rev()
            .find(|(_, probes)| probes.iter().any(Option::is_some))
            .map(|(hop, _)| *hop)
    }
}

/// A failure in a sentence. What this machine said of a probe came after it was sent.
fn trouble(failure: Failure) -> String {
    let text = failure_text(failure);
    if matches!(failure, Failure::Send(_)) {
        format!("can't send: {text}")
    } else {
        text
    }
}

/// Everything since the start, or since it was begun anew.
#[derive(Clone, Debug, Default)]
pub(crate) struct History {
    pub(crate) rounds: u32,
    /// Whether the target answered in the last round.
    pub(crate) reached: bool,
    unreachable: bool,
    goes_round: bool,
    /// Why the last round could not be sent, or not in full.
    pub(crate) trouble: Option<String>,
    /// Rounds of which some probes could not be sent though others were, and why in the last of
    /// them.
    pub(crate) in_part: Option<(u32, String)>,
    /// How many hops the path has, as far as is known.
    length: u8,
    /// The target's hop when it last answered.
    pub(crate) distance: Option<u8>,
    pub(crate) hops: BTreeMap<u8, Hop>,
    /// The last changes of the path.
    changes: VecDeque<Change>,
    /// The last outages.
    outages: VecDeque<Outage>,
    /// The rounds of all outages.
    pub(crate) rounds_away: u32,
}

/// Rounds on end of which nothing left this machine. They are no loss of the path.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Outage {
    pub(crate) first: u32,
    pub(crate) last: u32,
    /// Why, in so many of its rounds: the first reason first.
    reasons: Vec<(String, u32)>,
    pub(crate) began: Option<SystemTime>,
    /// When the first round began of which something left again.
    pub(crate) ended: Option<SystemTime>,
    is_over: bool,
}

impl Outage {
    pub(crate) const fn rounds(&self) -> u32 {
        self.last - self.first + 1
    }

    /// Why, in most of its rounds: the first of several that were as frequent.
    pub(crate) fn reason(&self) -> &str {
        self.reasons
            .iter()
            .rev()
            .max_by_key(|(_, rounds)| *rounds)
            .map_or("", |(reason, _)| reason.as_str())
    }

    fn count(&mut self, reason: &str) {
        match self.reasons.iter_mut().find(|(before, _)| before == reason) {
            Some((_, rounds)) => *rounds += 1,
            None => self.reasons.push((reason.to_owned(), 1)),
        }
    }
}

impl fmt::Display for Outage {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match (self.first, self.last) {
            (first, last) if first == last => write!(f, "round {first}")?,
            (first, last) => write!(f, "rounds {first} to {last}")?,
        }
        write!(f, ": nothing left this machine ({})", self.reason())?;
        match (self.began, self.ended) {
            (Some(began), Some(ended)) => write!(f, ", from {} to {}", date(began), date(ended)),
            (Some(began), None) => write!(f, ", since {}", date(began)),
            (None, _) => Ok(()),
        }
    }
}

/// One hop.
#[derive(Clone, Debug, Default)]
pub(crate) struct Hop {
    /// The addresses that answer here: the last one first.
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
    /// Rounds for which who answers next is still no change.
    turns: u32,
    pub(crate) mark: Option<Mark>,
}

/// An address that answered at a hop.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Seen {
    pub(crate) address: IpAddr,
    /// In which rounds it was the first and the last time.
    pub(crate) first: u32,
    pub(crate) last: u32,
}

/// A difference at a hop since before.
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
    /// Its name in JSON.
    pub(crate) const fn as_str(self) -> &'static str {
        match self {
            Self::Changed => "changed",
            Self::Up => "up",
            Self::Gone => "gone",
        }
    }

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

/// A change of the path, or an outage of this machine's network.
#[derive(Clone, Copy, Debug)]
pub(crate) enum Incident<'h> {
    Change(&'h Change),
    Outage(&'h Outage),
}

impl Incident<'_> {
    const fn round(self) -> u32 {
        match self {
            Self::Change(change) => change.round,
            Self::Outage(outage) => outage.first,
        }
    }
}

impl fmt::Display for Incident<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Change(change) => change.fmt(f),
            Self::Outage(outage) => outage.fmt(f),
        }
    }
}

/// The kind of a change.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Event {
    /// The second address answers in place of the first; it may have done so before.
    Address(IpAddr, IpAddr),
    Up,
    Gone,
}

impl Event {
    /// The mark that a hop gets for it.
    pub(crate) const fn mark(self) -> Mark {
        match self {
            Self::Address(..) => Mark::Changed,
            Self::Up => Mark::Up,
            Self::Gone => Mark::Gone,
        }
    }
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
    /// Returns the addresses that have answered, at any hop.
    pub(crate) fn addresses(&self) -> impl Iterator<Item = IpAddr> {
        self.hops
            .values()
            .flat_map(|hop| &hop.addresses)
            .map(|seen| seen.address)
    }

    /// Learns what a round said.
    pub(crate) fn add(&mut self, round: &Round) {
        self.rounds += 1;
        (self.reached, self.unreachable) = (round.reached, round.unreachable);
        self.goes_round = round.goes_round;
        self.trouble.clone_from(&round.trouble);
        if let Some(why) = round.trouble.as_ref().filter(|_| round.away.is_none()) {
            let before = self.in_part.take().map_or(0, |(rounds, _)| rounds);
            self.in_part = Some((before + 1, why.clone()));
        }
        self.count_outage(round);
        // Without an end that is known the path is as long as it was, unless something answered
        // from farther on.
        self.length = round
            .end
            .unwrap_or_else(|| self.length.max(round.heard().unwrap_or(0)));
        self.distance = if round.reached {
            round.end
        } else {
            self.distance
        };
        for (number, probes) in round
            .probes
            .range(..=self.length)
            .filter(|(_, probes)| !probes.is_empty())
        {
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
            let gone: Vec<u8> = behind
                .filter_map(|(number, hop)| hop.leave().then_some(*number))
                .collect();
            gone.into_iter()
                .for_each(|number| self.note(number, Event::Gone));
        }
    }

    /// Returns the last changes and outages by their rounds, the oldest first.
    pub(crate) fn incidents(&self) -> Vec<Incident<'_>> {
        let outages = self.outages.iter().map(Incident::Outage);
        let mut incidents: Vec<_> = self
            .changes
            .iter()
            .map(Incident::Change)
            .chain(outages)
            .collect();
        incidents.sort_by_key(|incident| incident.round());
        incidents
    }

    /// Begins an outage, or lengthens or ends the one that lasts.
    fn count_outage(&mut self, round: &Round) {
        let lasting = self.outages.back_mut().filter(|outage| !outage.is_over);
        match (lasting, &round.away) {
            (Some(outage), Some(reason)) => {
                outage.last = self.rounds;
                outage.count(reason);
            }
            (Some(outage), None) => (outage.is_over, outage.ended) = (true, round.began),
            (None, Some(reason)) => {
                if self.outages.len() == CHANGES {
                    self.outages.pop_front();
                }
                let (first, last, reasons) = (self.rounds, self.rounds, vec![(reason.clone(), 1)]);
                self.outages.push_back(Outage {
                    first,
                    last,
                    reasons,
                    began: round.began,
                    ended: None,
                    is_over: false,
                });
            }
            (None, None) => {}
        }
        self.rounds_away += u32::from(round.away.is_some());
    }

    /// Says that the target did not answer in the last round, or that there was none.
    pub(crate) fn silence(&self) -> Option<String> {
        match (self.reached, self.unreachable) {
            _ if self.rounds == 0 => Some("no round has ended".to_owned()),
            (true, _) => None,
            (false, true) => Some(format!(
                "hop {} says that the target can't be reached",
                self.length
            )),
            (false, false) if self.goes_round => Some("the path goes round in a loop".to_owned()),
            (false, false) => Some("the target did not answer in the last round".to_owned()),
        }
    }

    /// How far a round needs to go: a little farther than anything was heard, and now and then as
    /// far as it may.
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
        self.changes.push_back(Change {
            round,
            hops: (hop, hop),
            event,
        });
    }
}

impl Hop {
    /// Learns what became of the probes of a round. Returns what has changed.
    fn add(&mut self, probes: &[Option<(IpAddr, Duration)>], round: u32) -> Option<Event> {
        let mut event = None;
        self.turns = self.turns.saturating_sub(1);
        for probe in probes {
            self.sent += 1;
            match probe {
                Some((address, rtt)) => {
                    self.time(*rtt);
                    event = self.note_address(*address, round).or(event);
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
    fn note_address(&mut self, address: IpAddr, round: u32) -> Option<Event> {
        let before = self.addresses.first().map(|seen| seen.address);
        match self
            .addresses
            .iter()
            .position(|seen| seen.address == address)
        {
            Some(place) => {
                let mut seen = self.addresses.remove(place);
                if place > 0 && round - seen.last <= TURN {
                    self.turns = TURNS;
                }
                seen.last = round;
                self.addresses.insert(0, seen);
            }
            None => {
                self.addresses.truncate(ADDRESSES - 1);
                self.addresses.insert(
                    0,
                    Seen {
                        address,
                        first: round,
                        last: round,
                    },
                );
            }
        }
        before
            .filter(|before| *before != address)
            .map(|before| Event::Address(before, address))
    }

    /// Whether several addresses answer here by turns.
    const fn is_several(&self) -> bool {
        self.turns > 0
    }

    /// The addresses but the last one that answered, each between the words that tell whether it
    /// still does.
    pub(crate) fn others(&self) -> impl Iterator<Item = (&'static str, &Seen, String)> {
        let is_several = self.is_several();
        self.addresses
            .iter()
            .skip(1)
            .map(move |seen| match is_several {
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

    /// The mean difference between an RTT and the one before, whatever its sign.
    pub(crate) fn jitter(&self) -> Option<Duration> {
        self.differences
            .checked_div(self.answers().saturating_sub(1))
    }
}

#[cfg(test)]
mod tests;
