//! The choice of the next probe, and of its time: speculation.
//!
//! 1. **The first sweep** goes out at once, as far as [`Sweep`] says, and opens as answers come
//!    from its edge, or, where a silent router or two may be just there, when they are overdue.
//!    When nothing is left to wait for and the target has not been heard, it goes on to `max_hops`,
//!    and two silent hops behind the last router get a second probe.
//! 2. **Further attempts** follow the answers: a hop gets its second probe once the path is known
//!    to lead there, one more with each answer from farther on, and what is left when the target
//!    has answered, or nothing more is to come. So once the target has answered nothing goes past
//!    it, the attempts at one router are spread over the round trip, and the trace still ends
//!    within two.
//! 3. **Retries** go to a hop that is silent although hops behind it have answered, when its answer
//!    is overdue; two more than that if it stands right below the lowest hop limit that reached the
//!    target, since it may be the target itself.
//! 4. The target needs none where probes of the first sweep went past it: each of those is one more
//!    sample of it.
//! 5. **Where a probe past the end begins a connection** ([`Protocol::connects`]) the sweep ends at
//!    its first hops, where the target is expected, or goes one step past the last router; nothing
//!    goes on to `max_hops`. Of silent hops only the next and the expected one get a second probe,
//!    as long as few have gone past the last router. While nobody at all has answered, two or three
//!    probes look farther out.
//!
//! [`Protocol::connects`]: crate::Protocol::connects

use crate::past_end::PastEnd;
use crate::patience;
use crate::slot::Slot;
use crate::sweep::{self, EDGE};
use crate::table::{End, EndKind, Progress, View};
use crate::time::Instant;

/// Between two retries at one hop, at least.
const RETRY_GAP: u64 = 5_000_000;

/// Retries beyond the others for a silent hop right below the target. If it isn't a router but the
/// target itself, and only its answers were lost, the target would be placed too far.
pub(crate) const RECHECKS: u8 = 2;

/// The reason why a probe is sent. Its number (`as u8`) and its name ([`as_str`](Self::as_str)) are
/// those of this list for good.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
#[cfg_attr(feature = "defmt", derive(defmt::Format))]
#[non_exhaustive]
#[repr(u8)]
pub enum Reason {
    /// The first sweep: the hop has had no probe yet.
    Sweep = 1,
    /// One of the attempts asked for, since the path is known to lead there.
    Attempt = 2,
    /// The hop is silent, and a probe or its answer may be lost. As long as the hop has not had all
    /// attempts asked for, the retry is one of them.
    Retry = 3,
    /// The hop has had its retries and is still silent, right below the target: it may be the
    /// target itself.
    Recheck = 4,
}

impl Reason {
    /// Returns its name in documents.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Sweep => "sweep",
            Self::Attempt => "attempt",
            Self::Retry => "retry",
            Self::Recheck => "recheck",
        }
    }
}

/// A decision of the plan.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Next {
    /// Send a probe to this hop.
    Now(u8, Reason),
    /// Nothing before this instant, unless an answer comes.
    At(Instant),
}

/// Returns the next probe: among those that are due the one to the hop with the fewest, so that the
/// trace sweeps over the hops.
// In its caller it takes more room.
#[inline(never)]
pub(crate) fn next(view: &View<'_>, now: Instant) -> Next {
    choose::<false, false>(view, now)
}

/// Does the same for protocols that [connect](crate::Protocol::connects). Apart, so that it isn't
/// linked for others.
pub(crate) fn next_connecting(view: &View<'_>, now: Instant) -> Next {
    choose::<true, false>(view, now)
}

/// Returns the next probe where [answers came that name none](crate::Udp::detours).
pub(crate) fn next_blind(view: &View<'_>, now: Instant) -> Next {
    choose::<false, true>(view, now)
}

fn choose<const CONNECTS: bool, const BLIND: bool>(view: &View<'_>, now: Instant) -> Next {
    let first = view.config.first_hop;
    let hops = (first..).zip(view.behind(first.wrapping_sub(1)));
    // Nothing has fewer than a hop that has had none, so in a burst there is no need to look at the
    // others.
    let mut soonest = Instant::NEVER;
    let past_end = CONNECTS.then(|| PastEnd::of(view));
    if let Some(hop) = past_end.and_then(|past_end| past_end.leap(now)) {
        return Next::Now(hop, Reason::Sweep);
    }
    if let Some((hop, _)) = hops.clone().find(|(_, progress)| progress.sent == 0) {
        let reach = match past_end {
            Some(past_end) => past_end.reach(now),
            None => sweep::reach(view, now),
        };
        match reach {
            (reach, _) if hop <= reach => return Next::Now(hop, Reason::Sweep),
            (_, opens) => soonest = opens,
        }
    }
    let spare = view.room.saturating_sub(reserved(view));
    let search = Search::of(view, spare);
    // Reckoned once, as it is the same at most hops.
    let wait = patience::until_retry(view, patience::overdue(view.path));
    let mut ready: Option<((u8, u8), u8, Reason)> = None;
    for (hop, progress) in hops.filter(|(_, progress)| progress.sent > 0) {
        let is_extra = progress.sent >= view.config.attempts;
        if is_extra && (spare == 0 || search.is_some_and(|search| search.waits(hop))) {
            continue;
        }
        let is_the_target = view.path.end.is_some_and(|end| is_target(end, hop));
        if CONNECTS && !is_the_target && is_heard_apart(view, hop) {
            continue;
        }
        let reason = match past_end {
            Some(past_end) if past_end.bars(hop) => None,
            Some(past_end) if is_silent_end(view, hop) => {
                past_end.is_doubtful(hop, progress).then_some(Reason::Retry)
            }
            _ if BLIND => reason_if_blind(view, hop, progress),
            _ => reason(view, hop, progress),
        };
        let Some(reason) = reason else {
            continue;
        };
        let at = due(view, hop, progress, reason, wait);
        let at = match past_end {
            Some(_) if reason == Reason::Retry => at.max(overdue_at(view, progress)),
            _ => at,
        };
        if at > now {
            soonest = soonest.min(at);
            continue;
        }
        let rank = (
            progress.sent,
            search.map_or(0, |search| search.middle.abs_diff(hop)),
        );
        if ready.is_none_or(|(least, ..)| rank < least) {
            ready = Some((rank, hop, reason));
        }
    }
    match ready {
        Some((_, hop, reason)) => Next::Now(hop, reason),
        None => Next::At(soonest),
    }
}

/// The search for the end by halves, where there are fewer places than silent hops before it.
#[derive(Clone, Copy)]
struct Search {
    /// The last router before the end.
    top: u8,
    middle: u8,
    /// Whether an answer may still say in which half it is.
    waiting: bool,
}

impl Search {
    fn of(view: &View<'_>, spare: usize) -> Option<Self> {
        let (top, end) = (view.path.top, view.path.end?.hop);
        let (mut silent, mut waiting) = (0usize, false);
        for (hop, progress) in (1u8..).zip(view.between(0, end)) {
            if progress.heard == 0 && progress.sent > 0 {
                silent = silent.wrapping_add(1);
                waiting |= hop > top && progress.waiting > 0;
            }
        }
        (silent > spare && is_unsure(view)).then_some(Self {
            top,
            middle: top.wrapping_add(end) >> 1,
            waiting,
        })
    }

    /// Whether a retry at `hop` is for later: what routers there are matters less than where the
    /// end is.
    const fn waits(self, hop: u8) -> bool {
        self.waiting || hop <= self.top
    }
}

/// Whether silent hops right before the end are to be asked again, since any of them may be the
/// end. If so when nothing is left to do, then for want of room.
pub(crate) fn is_unsure(view: &View<'_>) -> bool {
    let end = view.path.end.map_or(0, |end| end.hop.saturating_sub(1));
    let top = view.path.top;
    let mut hidden = (top.wrapping_add(1)..).zip(view.between(top, end));
    hidden.any(|(hop, progress)| reason(view, hop, progress).is_some())
}

/// The room that the attempts asked for may still need: what is beyond it may go into retries.
fn reserved(view: &View<'_>) -> usize {
    let config = view.config;
    let last = view
        .path
        .certain_end()
        .map_or(config.max_hops, |end| end.hop);
    let hops = view.between(config.first_hop.wrapping_sub(1), last);
    hops.iter().fold(0, |sum: usize, hop| {
        sum.wrapping_add(config.attempts.saturating_sub(hop.sent).into())
    })
}

/// Returns why a hop gets another probe where [answers came that name none](crate::Udp::detours).
/// Each hop may have sent one. So silent ones are asked by detours, a few at a time behind the last
/// that has answered: the target may be as silent, and then nothing else ends the search.
fn reason_if_blind(view: &View<'_>, hop: u8, progress: &Progress) -> Option<Reason> {
    /// Hops behind the last that has answered which are asked at once.
    const WIDTH: u8 = 4;
    let answered = view.probes.iter().filter(|probe| probe.is_answered());
    let of_target = answered.clone().filter(|probe| probe.is_targets());
    let last = answered.map(Slot::hop).max().max(Some(view.path.top));
    let last = match of_target.map(Slot::hop).min() {
        Some(hop) => hop,
        None => last.unwrap_or_default().saturating_add(WIDTH),
    };
    let is_behind = hop > view.path.top && view.path.end.is_none();
    let reason = match reason(view, hop, progress) {
        _ if is_behind && hop > last => None,
        None if is_behind && view.path.quiet.is_some() && progress.heard == 0 => {
            Some(Reason::Retry)
        }
        reason => reason,
    };
    let mut apart = view.probes.iter().filter(|probe| probe.is_apart());
    // Behind the last router once is enough: nothing shows that there is another one.
    let is_asked = apart.any(|probe| {
        probe.hop() == hop && (is_behind || probe.is_answered() || probe.is_in_flight())
    });
    reason.filter(|reason| *reason == Reason::Attempt || !is_asked)
}

/// Returns how many probes a silent hop gets at most. That, and the number of any hop, is small: no
/// sum of these overflows.
fn most(view: &View<'_>) -> u8 {
    view.config.attempts.wrapping_add(view.config.retries)
}

/// Returns why a hop that has had a probe gets another; `None` if, as things stand, it gets none.
pub(crate) fn reason(view: &View<'_>, hop: u8, progress: &Progress) -> Option<Reason> {
    let (config, top, end) = (view.config, view.path.top, view.path.end);
    let is_wanted = progress.sent < config.attempts;
    // Silent between the last router and the end: it may be the target itself.
    let end_hop = end.map_or(0, |end| end.hop);
    let is_hidden = hop > top && hop < end_hop;
    if config.is_burst() && (is_wanted || !is_hidden) {
        return is_wanted.then_some(Reason::Attempt);
    }
    let most = most(view);
    let again = match progress.sent {
        sent if sent < most => Reason::Retry,
        sent if is_hidden
            && hop.wrapping_add(1) == end_hop
            && sent < most.wrapping_add(RECHECKS) =>
        {
            Reason::Recheck
        }
        _ => return None,
    };
    match end {
        Some(end) if hop > end.hop => None,
        Some(end) if is_target(end, hop) => {
            // Probes in flight may still make up the attempts asked for.
            let samples = view.samples(end);
            let is_short = samples.heard.saturating_add(samples.waiting) < config.attempts;
            is_short.then_some(if is_wanted { Reason::Attempt } else { again })
        }
        _ if is_wanted && leads(view, hop, progress) => Some(Reason::Attempt),
        _ if progress.heard == 0 && may_be_lost(view, hop, progress) => Some(again),
        _ => None,
    }
}

/// Whether the path is known to lead to a hop, as far as that its next attempt may follow.
fn leads(view: &View<'_>, hop: u8, progress: &Progress) -> bool {
    let top = view.path.top;
    match view.path.end {
        Some(_) => hop <= top || progress.heard > 0,
        // Each answer from farther on is worth one more.
        None if top.wrapping_add(2) >= hop.wrapping_add(progress.sent) => true,
        // Nothing from farther on will say that it is time.
        None => hop <= top && (view.path.quiet.is_some() || top == view.config.max_hops),
    }
}

/// Whether a silent hop may be a router whose answer was lost.
fn may_be_lost(view: &View<'_>, hop: u8, progress: &Progress) -> bool {
    // A loss is worth one more probe where the path may or may not lead, and none where nothing
    // said that it leads.
    let is_near = view.path.quiet.is_some() && hop <= view.path.top.wrapping_add(EDGE);
    view.path.end.is_some() || hop < view.path.top || is_near && progress.sent == 1
}

/// Whether a hop has answered on another flow than the first probes': more answers would be of one
/// flow each.
fn is_heard_apart(view: &View<'_>, hop: u8) -> bool {
    let mut apart = view.probes.iter().filter(|probe| probe.is_apart());
    apart.any(|probe| probe.hop() == hop && probe.is_answered() && probe.is_proven())
}

/// Whether a hop is behind the last router, where nothing is expected to answer.
fn is_silent_end(view: &View<'_>, hop: u8) -> bool {
    view.path.quiet.is_some() && view.path.end.is_none() && hop > view.path.top
}

/// Returns when a probe that a hop gets for this reason is to leave. `wait` is how long after the
/// first of a hop a retry leaves where the hop has had its chance from the beginning.
fn due(view: &View<'_>, hop: u8, progress: &Progress, reason: Reason, wait: u64) -> Instant {
    let last = view.sent_at(progress.last);
    let next = last.after(patience::spacing(view.path));
    match (reason, view.path.end) {
        (Reason::Attempt, _) if view.config.is_burst() => Instant::EPOCH,
        (_, Some(end)) if is_target(end, hop) => next.max(end_is_sure(view, end)),
        (Reason::Attempt, _) => next,
        (_, end) => {
            let first = view.sent_at(progress.first);
            let (wait, gap) = match view.path.quiet {
                // Nothing came from there until it was quiet.
                Some(quiet) if end.is_none() && hop >= view.path.top => {
                    (patience::until_retry(view, quiet.nanos_since(first)), 0)
                }
                _ => (wait, RETRY_GAP),
            };
            first.after(wait).max(last.after(gap))
        }
    }
}

/// Returns when the answer to the first probe of a hop is overdue, also where that has left after
/// it was quiet.
fn overdue_at(view: &View<'_>, progress: &Progress) -> Instant {
    let first = view.sent_at(progress.first);
    first.after(patience::overdue(view.path))
}

fn is_target(end: End, hop: u8) -> bool {
    end.kind == EndKind::Target && hop == end.hop
}

/// Returns when no nearer hop can turn out to be the target any more, unless its answer is overdue:
/// the answers to one burst may come in another order than its probes left.
fn end_is_sure(view: &View<'_>, end: End) -> Instant {
    let between = view.between(view.path.top, end.hop.saturating_sub(1));
    match view.last_first(between, true) {
        Instant::NEVER => Instant::EPOCH,
        last => last.after(patience::overdue(view.path)),
    }
}
