//! What many rounds say of a path: pure, without clock and terminal.

mod incidents;

pub(crate) use incidents::{Change, Event, Incident, Mark, Outage, PortChange};

use crate::reading::{PortState, is_reached_by_knock_alone};
use hopshot_linux::{Failure, Outcome, Route, StopReason, failure_text};
use std::collections::{BTreeMap, VecDeque};
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
    /// Whether the target's distance is unknown, since it answered another source port only.
    pub(crate) is_knock_alone: bool,
    /// The state of the target's port, if anybody said it.
    pub(crate) port: Option<PortState>,
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
        let proxy = route.proxy().filter(|_| route.is_proxied());
        let mut round = Self {
            end: route.distance().or_else(|| proxy.map(|proxy| proxy.hop)),
            reached: route.reached(),
            is_knock_alone: is_reached_by_knock_alone(route),
            port: PortState::of_route(route),
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
    /// Whether the target answered another source port only, when it last answered.
    is_knock_alone: bool,
    /// The state of the target's port when somebody last said it.
    pub(crate) port: Option<PortState>,
    /// The state that was said in the last round.
    said: Option<PortState>,
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
    /// The last changes of the port's state.
    port_changes: VecDeque<PortChange>,
    /// The last outages.
    outages: VecDeque<Outage>,
    /// The rounds of all outages.
    pub(crate) rounds_away: u32,
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
        if round.reached {
            self.is_knock_alone = round.is_knock_alone;
        }
        self.note_port(round.port);
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
        self.distance = if round.port == Some(PortState::Proxied) {
            None
        } else if round.reached {
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
            .chain(self.port_changes.iter().map(Incident::Port))
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

    /// Learns the state of the port in a round. Silence doesn't change it.
    fn note_port(&mut self, state: Option<PortState>) {
        self.said = state;
        let Some(after) = state else { return };
        let before = self.port.replace(after);
        if let Some(before) = before.filter(|before| *before != after) {
            if self.port_changes.len() == CHANGES {
                self.port_changes.pop_front();
            }
            let round = self.rounds;
            self.port_changes.push_back(PortChange {
                round,
                before,
                after,
            });
        }
    }

    /// Says that the target did not answer in the last round, or from where nobody knows, or that
    /// there was none.
    pub(crate) fn silence(&self) -> Option<String> {
        match (self.reached, self.unreachable) {
            _ if self.rounds == 0 => Some("no round has ended".to_owned()),
            (true, _) if self.is_knock_alone => Some(
                "the target answered only a probe from another source port: its distance is unknown"
                    .to_owned(),
            ),
            (true, _) => None,
            (false, _) if self.said == Some(PortState::Proxied) => {
                Some("a proxy answers in the target's name".to_owned())
            }
            (false, true) if self.said == Some(PortState::Filtered) => {
                Some(format!("hop {} forbids the probes: filtered", self.length))
            }
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
            // The knock goes no farther than the round, and nobody knows how far the target is.
            _ if self.is_knock_alone => farthest,
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
