//! Read-only views of the result.

use crate::answer::Kind;
use crate::outcome::{Failure, Outcome, Reply};
use crate::patience;
use crate::plan;
use crate::slot::Slot;
use crate::table::{EndKind, View};
use crate::time::nanos;
use core::fmt;
use core::time::Duration;

/// The reason why a trace ended. Its number (`as u8`) and its name ([`as_str`](Self::as_str)) are
/// those of this list for good.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
#[cfg_attr(feature = "defmt", derive(defmt::Format))]
#[non_exhaustive]
#[repr(u8)]
pub enum StopReason {
    /// [`Tracer::stop`](crate::Tracer::stop) was called, or [`Tracer::start`](crate::Tracer::start)
    /// was not.
    Interrupted = 0,
    /// The target answered, and so did all hops that will.
    Reached = 1,
    /// A router, or the target itself, said that there is no way further.
    Unreachable = 2,
    /// Routers came back that were on the path before.
    Loop = 3,
    /// Nothing more came.
    Quiet = 4,
    /// All hops up to `max_hops` are routers.
    MaxHops = 5,
    /// The timeout was over before it could be known that nothing more comes.
    Timeout = 6,
    /// The tracer had no room left to ask the silent hops before the end again: the end may be
    /// nearer than it seems. A [`Tracer`](crate::Tracer) with a greater `N` tells.
    NoRoom = 7,
    /// All probes that were left failed on this machine: [`RouteView::failure`] says why.
    Local = 8,
}

impl StopReason {
    /// Returns its name in documents.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Reached => "reached",
            Self::Unreachable => "unreachable",
            Self::Loop => "loop",
            Self::Quiet => "quiet",
            Self::MaxHops => "max_hops",
            Self::Timeout => "timeout",
            Self::NoRoom => "no_room",
            Self::Local => "local",
            Self::Interrupted => "interrupted",
        }
    }
}

/// Counts of what arrived beside the answers that stand in the route. They saturate.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
#[cfg_attr(feature = "defmt", derive(defmt::Format))]
#[non_exhaustive]
pub struct Tally {
    /// Further answers to a probe that had one as good.
    pub duplicates: u16,
    /// Answers that came after their probe had been given up. They count all the same.
    pub late: u16,
    /// Messages with our ident but without our cookie: forgeries.
    pub forged: u16,
}

/// A fraction of the probes to a hop: so many of so many.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
#[cfg_attr(feature = "defmt", derive(defmt::Format))]
pub struct Loss {
    /// Probes that got no answer, or only one that is [unproven](crate::Changes::UNPROVEN).
    pub lost: usize,
    /// Probes that left this machine: those that are lost, answered or still in flight.
    pub sent: usize,
}

/// The path as far as it is known.
#[derive(Clone, Copy)]
pub struct RouteView<'a> {
    view: View<'a>,
    ended: Option<StopReason>,
    tally: Tally,
}

impl Tally {
    pub(crate) const NONE: Self = Self {
        duplicates: 0,
        late: 0,
        forged: 0,
    };
}

impl<'a> RouteView<'a> {
    pub(crate) const fn new(view: View<'a>, ended: Option<StopReason>, tally: Tally) -> Self {
        Self { view, ended, tally }
    }

    /// The hop of the target: the lowest hop limit that reached it. `None` while it has not
    /// answered.
    #[must_use]
    pub fn distance(&self) -> Option<u8> {
        self.view
            .path
            .end
            .filter(|end| end.kind == EndKind::Target)
            .map(|end| end.hop)
    }

    /// Returns why the trace ended; `None` while it runs.
    #[must_use]
    pub const fn stop_reason(&self) -> Option<StopReason> {
        self.ended
    }

    /// The failure on this machine that the path ends in, as far as is known: behind the last hop
    /// that answered this machine itself said that nobody is to be reached, or no probe left any
    /// more. `None` once the target has answered.
    #[must_use]
    pub fn failure(&self) -> Option<Failure> {
        if self.distance().is_some() {
            return None;
        }
        let answered = self
            .view
            .probes
            .iter()
            .filter(|probe| probe.is_answered() && probe.is_proven());
        let heard = answered.fold(0, |last: u8, probe| last.max(probe.hop()));
        let (mut failure, mut others_left) = (None, false);
        for probe in self.view.probes.iter().filter(|probe| probe.hop() > heard) {
            match (probe.failure(), failure) {
                // This verdict holds for all of them: they take the same link. So does a firewall's
                // word while nobody answers at all.
                (Some(verdict @ (Failure::NextHop | Failure::Local { .. })), _)
                    if heard == 0 || verdict.is_host_unreachable() =>
                {
                    return Some(verdict);
                }
                (Some(first), None) => failure = Some(first),
                (Some(_), Some(_)) => {}
                // If some fail and others leave, the failures don't tell why nobody answers.
                (None, failure) => others_left |= failure.is_some(),
            }
        }
        if others_left { None } else { failure }
    }

    /// Counts the probes that have left this machine; those that [failed](Outcome::Failed) on it
    /// are not counted.
    #[must_use]
    pub fn probes_sent(&self) -> usize {
        self.view
            .probes
            .iter()
            .filter(|probe| probe.failure().is_none())
            .count()
    }

    /// Counts of what else arrived.
    #[must_use]
    pub const fn tally(&self) -> Tally {
        self.tally
    }

    /// The hops that were probed, in order, up to the end of the path if that is known.
    pub fn hops(&self) -> impl Iterator<Item = Hop<'a>> + use<'a> {
        let route = *self;
        let last = self
            .view
            .path
            .end
            .map_or(self.view.config.max_hops, |end| end.hop);
        let hops = self.view.config.first_hop..last.saturating_add(1);
        hops.filter(move |hop| route.view.progress(*hop).sent > 0)
            .map(move |number| Hop { route, number })
    }
}

/// One hop of a route.
#[derive(Clone, Copy)]
pub struct Hop<'a> {
    route: RouteView<'a>,
    number: u8,
}

impl<'a> Hop<'a> {
    /// Its place on the path, from 1.
    #[must_use]
    pub const fn number(&self) -> u8 {
        self.number
    }

    /// Whether the target answered from here.
    #[must_use]
    pub fn is_target(&self) -> bool {
        self.route.distance() == Some(self.number)
    }

    /// Whether nothing more will become known about this hop: it has its answers, or what is
    /// missing was given up. An answer that is weak may still be replaced until the trace ends;
    /// while one is [unproven](crate::Changes::UNPROVEN), and others don't suffice, nothing is
    /// settled. The last hop of a path is settled for good once all before it are, since a
    /// nearer one may still turn out to be the target.
    #[must_use]
    pub fn is_settled(&self) -> bool {
        let view = &self.route.view;
        let progress = view.progress(self.number);
        let on_path = self.number <= view.path.end.map_or(view.path.top, |end| end.hop);
        let (waiting, heard, sure) = match view.path.end {
            Some(end) if self.is_target() => {
                let samples = view.samples(end);
                (samples.waiting, samples.heard, samples.sure)
            }
            _ => (progress.waiting, progress.heard, progress.sure),
        };
        let asked = progress.sent >= view.config.attempts || self.is_target();
        // The true answer to a probe about which somebody guessed may still be on its way.
        let is_guessed = view
            .probes
            .iter()
            .any(|probe| probe.hop() == self.number && !probe.is_proven());
        let is_awaited = waiting > 0 || is_guessed || heard != sure;
        let complete = sure >= view.config.attempts || asked && !is_awaited;
        self.route.ended.is_some()
            || on_path && complete && plan::reason(view, self.number, progress).is_none()
    }

    /// Whether it answered, with proof, and then stopped: its last two probes or more are lost.
    /// Routers limit how many errors they write; Linux writes six at once, then one a second. Never
    /// where a lost answer can't be told from a late one: the timeout is too short, or the router's
    /// own answers took longer than the lost ones were waited for. Nor where probes failed on this
    /// machine: then it may be this machine that is in the way.
    #[must_use]
    pub fn may_be_rate_limited(&self) -> bool {
        let proven = self.replies().filter(Reply::is_proven);
        let slowest = proven.map(|reply| nanos(reply.rtt)).max();
        let heard = slowest.is_some();
        let lost = self.outcomes().fold(0, |lost: u8, outcome| match outcome {
            Outcome::Lost => lost.saturating_add(1),
            _ => 0,
        });
        let view = &self.route.view;
        let in_time = patience::overdue(view.path) <= nanos(view.config.timeout);
        let at_hop = view
            .probes
            .iter()
            .filter(|probe| probe.hop() == self.number);
        let late = at_hop
            .filter_map(Slot::waited)
            .any(|waited| Some(waited) < slowest);
        heard
            && lost >= 2
            && in_time
            && !late
            && view.probes.iter().all(|probe| probe.failure().is_none())
    }

    /// Returns what became of each probe, in the order of sending. At the target this includes its
    /// answers to probes that went past it, as many as make up the attempts asked for: they reached
    /// it too. Once a hop has answered often enough, what is still on its way there is left out,
    /// and so are [unproven](crate::Changes::UNPROVEN) answers; where fewer are proven those count
    /// as lost.
    pub fn outcomes(&self) -> impl Iterator<Item = Outcome> + use<'a> {
        let Self { route, number } = *self;
        let view = route.view;
        let attempts = view.config.attempts;
        let heard = self.heard();
        let enough = heard >= attempts;
        let is_pending = |probe: &Slot| probe.is_in_flight() || !probe.is_proven();
        let at = move |probe: &Slot| probe.hop() == number && !(enough && is_pending(probe));
        let reached = move |probe: &Slot| probe.is_proven() && probe.is_targets();
        let past = move |probe: &Slot| probe.hop() > number && reached(probe);
        let count = view.probes.len();
        let own = view.probes.iter().filter(|probe| at(probe)).count();
        let mut surplus = if self.is_target() {
            usize::from(attempts).saturating_sub(own)
        } else {
            0
        };
        // By index, over all probes twice: a chain of two filters takes more room.
        (0..count.saturating_mul(2)).filter_map(move |index| {
            let slot = match index.checked_sub(count) {
                None => view.probes.get(index).filter(|probe| at(probe))?,
                Some(index) => {
                    let slot = view
                        .probes
                        .get(index)
                        .filter(|probe| surplus > 0 && past(probe))?;
                    surplus = surplus.saturating_sub(1);
                    slot
                }
            };
            Some(match slot.outcome() {
                // Somebody who has proved to be here is known, so a guess is left out.
                Outcome::Answered(_) if !slot.is_proven() && heard > 0 => Outcome::Lost,
                outcome => outcome,
            })
        })
    }

    /// Counts its answers.
    fn heard(&self) -> u8 {
        match self.route.view.path.end {
            Some(end) if self.is_target() => self.route.view.samples(end).heard,
            _ => self.route.view.progress(self.number).heard,
        }
    }

    /// The answers from this hop, in the order of sending.
    pub fn replies(&self) -> impl Iterator<Item = Reply> + use<'a> {
        self.outcomes().filter_map(|outcome| match outcome {
            Outcome::Answered(reply) => Some(reply),
            _ => None,
        })
    }

    /// Returns the least RTT of its answers; `None` without an answer. Those that are
    /// [unproven](crate::Changes::UNPROVEN) don't count.
    #[must_use]
    pub fn best(&self) -> Option<Duration> {
        self.rtts().min()
    }

    /// Returns the RTT in the middle of its answers, or halfway between the two there, rounded down
    /// to nanoseconds; `None` without an answer. Those that are
    /// [unproven](crate::Changes::UNPROVEN) don't count.
    #[must_use]
    pub fn median(&self) -> Option<Duration> {
        let last = self.rtts().count().checked_sub(1)?;
        let lower = self.nth_rtt(last.checked_div(2)?)?;
        let upper = self.nth_rtt(last.div_ceil(2))?;
        lower.checked_add(upper)?.checked_div(2)
    }

    /// Returns the fraction of its probes that are lost. Probes that [failed](Outcome::Failed) on
    /// this machine don't count.
    #[must_use]
    pub fn loss(&self) -> Loss {
        self.outcomes().fold(Loss::default(), |loss, outcome| {
            let (lost, sent) = match outcome {
                Outcome::Lost => (1, 1),
                Outcome::Answered(reply) => (usize::from(!reply.is_proven()), 1),
                Outcome::InFlight => (0, 1),
                Outcome::Failed(_) => (0, 0),
            };
            Loss {
                lost: loss.lost.saturating_add(lost),
                sent: loss.sent.saturating_add(sent),
            }
        })
    }

    /// Whether a packet got to this hop and was not refused there, as far as answers prove.
    #[must_use]
    pub fn is_passed(&self) -> bool {
        self.replies()
            .any(|reply| reply.kind != Kind::Unreachable && reply.is_proven())
    }

    /// The RTTs of its answers that are proven, in the order of sending.
    fn rtts(&self) -> impl Iterator<Item = Duration> + use<'a> {
        self.replies()
            .filter(Reply::is_proven)
            .map(|reply| reply.rtt)
    }

    /// Returns the RTT with this index in ascending order. Nothing is sorted, as that takes memory.
    fn nth_rtt(&self, index: usize) -> Option<Duration> {
        self.rtts().find(|rtt| {
            let less = self.rtts().filter(|other| other < rtt).count();
            let equal = self.rtts().filter(|other| other == rtt).count();
            (less..less.saturating_add(equal)).contains(&index)
        })
    }
}

impl fmt::Debug for RouteView<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("RouteView")
            .field("stop_reason", &self.ended)
            .field("tally", &self.tally)
            .field("hops", &List(|| self.hops()))
            .finish()
    }
}

impl fmt::Debug for Hop<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Hop")
            .field("number", &self.number)
            .field("outcomes", &List(|| self.outcomes()))
            .finish()
    }
}

/// A list for people, of what an iterator gives.
struct List<F>(F);

impl<I: Iterator<Item: fmt::Debug>, F: Fn() -> I> fmt::Debug for List<F> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_list().entries((self.0)()).finish()
    }
}

#[cfg(feature = "defmt")]
impl defmt::Format for RouteView<'_> {
    fn format(&self, f: defmt::Formatter<'_>) {
        defmt::write!(f, "{} after {} probes:", self.ended, self.probes_sent());
        for hop in self.hops() {
            defmt::write!(f, " {};", hop);
        }
    }
}

#[cfg(feature = "defmt")]
impl defmt::Format for Hop<'_> {
    fn format(&self, f: defmt::Formatter<'_>) {
        defmt::write!(f, "hop {}:", self.number);
        for outcome in self.outcomes() {
            match outcome {
                Outcome::Answered(reply) => defmt::write!(f, " {} {}", reply.from, reply.rtt),
                other => defmt::write!(f, " {}", other),
            }
        }
    }
}
