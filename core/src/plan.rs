//! Which probe goes next, and when: speculation.
//!
//! 1. **The first sweep** goes out at once, as far as [`Sweep`] says, and opens as answers come from its edge, or, where a silent
//!    router or two may be just there, when they are overdue. When nothing is left to wait for and the target has not been
//!    heard, it goes on to `max_hops`, and two silent hops behind the last router get a second probe.
//! 2. **Further attempts** follow the answers: a hop gets its second probe once the path is known to lead there, one more with
//!    each answer from farther on, and what is left when the target has answered, or nothing more is to come. So once the
//!    target has answered nothing goes past it, the attempts at one router are spread over the round trip, and the trace still
//!    ends within two.
//! 3. **Retries** go to a hop that is silent although hops behind it have answered, when its answer is overdue; two more than
//!    that if it stands right below the lowest hop limit that reached the target, since it may be the target itself.
//! 4. The target needs none where probes of the first sweep went past it: each of those is one more sample of it.

use crate::config::Sweep;
use crate::patience;
use crate::table::{End, EndKind, Progress, View};
use crate::time::Instant;

/// Between two retries at one hop, at least.
const RETRY_GAP: u64 = 5_000_000;

/// Retries beyond the others for a silent hop right below the target. If it isn't a router but the target itself, and only its
/// answers were lost, the target would be placed too far.
pub(crate) const RECHECKS: u8 = 2;

/// So many silent hops at the edge of the sweep, or behind the last router, may be routers that don't answer, or whose answers
/// were lost. More are the end of the path, most likely.
const EDGE: u8 = 2;

/// Paths seldom end nearer than this.
const NEAR: u8 = 12;

/// What the plan says.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Next {
    /// Send a probe to this hop.
    Now(u8),
    /// Nothing before this instant, unless an answer comes.
    At(Instant),
    /// Nothing, unless an answer comes.
    Nothing,
}

/// The next probe: among those that are due the one to the hop with the fewest, so that the trace sweeps over the hops.
pub(crate) fn next(view: &View<'_>, now: Instant) -> Next {
    let hops = (1u8..).zip(view.hops).skip(usize::from(view.config.first_hop).saturating_sub(1));
    // Nothing has fewer than a hop that has had none, so in a burst there is no need to look at the others.
    let mut soonest: Option<Instant> = None;
    if let Some((hop, _)) = hops.clone().find(|(_, progress)| progress.sent == 0) {
        match reach(view, now) {
            (reach, _) if hop <= reach => return Next::Now(hop),
            (_, opens) => soonest = opens,
        }
    }
    let spare = view.room.saturating_sub(reserved(view));
    let search = Search::of(view, spare);
    let mut ready: Option<((u8, u8), u8)> = None;
    for (hop, progress) in hops.filter(|(_, progress)| progress.sent > 0) {
        let rank = (progress.sent, search.map_or(0, |search| search.middle.abs_diff(hop)));
        match due(view, hop, *progress) {
            Some(_)
                if progress.sent >= view.config.attempts && (spare == 0 || search.is_some_and(|it| it.waits(hop))) => {}
            Some(at) if at > now => soonest = Some(soonest.map_or(at, |other| other.min(at))),
            Some(_) if ready.is_none_or(|(least, _)| rank < least) => ready = Some((rank, hop)),
            _ => {}
        }
    }
    match (ready, soonest) {
        (Some((_, hop)), _) => Next::Now(hop),
        (None, Some(at)) => Next::At(at),
        (None, None) => Next::Nothing,
    }
}

/// How the end is found where there are fewer places than silent hops before it: by halves.
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
        let (top, end) = (view.top(), view.path.end?.hop);
        let silent = (1u8..).zip(view.hops).take(end.into()).filter(|(_, progress)| progress.heard == 0);
        let waiting = silent.clone().any(|(hop, progress)| hop > top && progress.waiting > 0);
        let is_short = silent.filter(|(_, progress)| progress.sent > 0).count() > spare;
        (is_short && is_unsure(view)).then_some(Self { top, middle: top.saturating_add(end) >> 1, waiting })
    }

    /// Whether a retry at `hop` is for later: what routers there are matters less than where the end is.
    const fn waits(self, hop: u8) -> bool {
        self.waiting || hop <= self.top
    }
}

/// Whether silent hops right before the end are to be asked again, since any of them may be the end. If so when nothing is left
/// to do, then for want of room.
pub(crate) fn is_unsure(view: &View<'_>) -> bool {
    let end = view.path.end.map_or(0, |end| end.hop.saturating_sub(1));
    let mut hidden = (1u8..).zip(view.hops).take(end.into()).skip(view.top().into());
    hidden.any(|(hop, progress)| due(view, hop, *progress).is_some())
}

/// Whether the first sweep leaves the last places to the silent hops that it has passed, since answers may still come.
fn is_held_back(view: &View<'_>) -> bool {
    let places = view.probes.len().saturating_add(view.room);
    let silent = view.hops.iter().filter(|progress| progress.sent > 0 && progress.heard == 0);
    view.room <= places >> 2
        && view.room <= silent.clone().count()
        && silent.clone().any(|progress| progress.waiting > 0)
}

/// The room that the attempts asked for may still need: what is beyond it may go into retries.
fn reserved(view: &View<'_>) -> usize {
    let config = view.config;
    let last = view.path.certain_end().map_or(config.max_hops, |end| end.hop);
    let hops = view.hops.iter().take(last.into()).skip(usize::from(config.first_hop).saturating_sub(1));
    hops.fold(0, |sum: usize, hop| sum.saturating_add(config.attempts.saturating_sub(hop.sent).into()))
}

/// When the next probe of a hop that has had one is to leave; `None` if, as things stand, it gets no more.
pub(crate) fn due(view: &View<'_>, hop: u8, progress: Progress) -> Option<Instant> {
    let config = view.config;
    let top = view.path.top;
    // Silent between the last router and the target: it may be the target itself.
    let hidden = hop > top && view.path.end.is_some_and(|end| hop < end.hop);
    match config.sweep() {
        Sweep::Burst if progress.sent < config.attempts => return Some(Instant::EPOCH),
        Sweep::Burst if !hidden => return None,
        Sweep::Burst | Sweep::Window { .. } => {}
    }
    let below_end = hidden && view.path.end.is_some_and(|end| hop.saturating_add(1) == end.hop);
    let most = config.attempts.saturating_add(config.retries).saturating_add(if below_end { RECHECKS } else { 0 });
    if progress.sent >= most {
        return None;
    }
    let wanted = progress.sent < config.attempts;
    let next_attempt = view.sent_at(progress.last).after(patience::spacing(view.path.slowest));
    match view.path.end {
        Some(End { hop: end, .. }) if hop > end => None,
        Some(end @ End { kind: EndKind::Target, .. }) if hop == end.hop => {
            let samples = view.samples_heard(end).saturating_add(view.samples_in_flight(end));
            (samples < config.attempts).then_some(next_attempt.max(end_is_sure(view, end)))
        }
        Some(_) if wanted && (hop <= top || progress.heard > 0) => Some(next_attempt),
        // Nothing from farther on will say that it is time.
        None if wanted && hop <= top && (view.quiet.is_some() || top == config.max_hops) => Some(next_attempt),
        None if wanted && top.saturating_add(2) >= hop.saturating_add(progress.sent) => Some(next_attempt),
        // From here on what is sent because a hop is silent.
        _ if progress.heard > 0 => None,
        Some(_) => Some(retry(view, progress)),
        None if hop < top => Some(retry(view, progress)),
        // Where the path may or may not lead, a second probe is all that a loss is worth; where nothing said that it leads, none.
        None => (view.quiet.is_some() && progress.sent == 1 && hop <= view.top().saturating_add(EDGE))
            .then(|| after_quiet(view, &progress)),
    }
}

/// When a second probe leaves to a hop from which nothing came until it was quiet.
fn after_quiet(view: &View<'_>, progress: &Progress) -> Instant {
    let first = view.sent_at(progress.first);
    let quiet = view.quiet.map_or(0, |quiet| quiet.nanos_since(first));
    first.after(patience::until_retry(view, quiet))
}

/// When no nearer hop can turn out to be the target any more, unless its answer is overdue: the answers to one burst may come
/// in another order than its probes left.
fn end_is_sure(view: &View<'_>, end: End) -> Instant {
    let between = usize::from(end.hop.saturating_sub(1)).saturating_sub(view.path.top.into());
    let unheard = view.behind(view.path.top).iter().take(between).filter(|progress| progress.heard == 0);
    unheard.map(|progress| overdue(view, progress)).max().unwrap_or(Instant::EPOCH)
}

fn overdue(view: &View<'_>, progress: &Progress) -> Instant {
    view.sent_at(progress.first).after(patience::overdue(view.path.slowest))
}

fn retry(view: &View<'_>, progress: Progress) -> Instant {
    let wait = patience::until_retry(view, patience::overdue(view.path.slowest));
    view.sent_at(progress.first).after(wait).max(view.sent_at(progress.last).after(RETRY_GAP))
}

/// The farthest hop that the first sweep may go to, as things stand, and when it may go farther, if ever.
// In its caller it takes every poll more instructions than a call does.
#[inline(never)]
fn reach(view: &View<'_>, now: Instant) -> (u8, Option<Instant>) {
    let end = view.path.certain_end();
    match view.config.sweep() {
        Sweep::Window { first, step } => match end {
            Some(end) if end.kind != EndKind::Barrier => (end.hop.saturating_sub(1), None),
            None if is_held_back(view) => (0, None),
            None if view.quiet.is_some() => (view.config.max_hops, None),
            _ => {
                let edge = window(view, first, step);
                match silent_edge(view, edge) {
                    // What refuses may be many routers, each just what expires there: the sweep looks as far as if it had not
                    // been heard.
                    _ if end.is_some() => (edge, None),
                    Some(at) if at <= now => (edge.saturating_add(step), None),
                    opens => (edge, opens),
                }
            }
        },
        Sweep::Burst => (view.config.max_hops, None),
    }
}

/// How far the window is open, by the answers from its edge.
fn window(view: &View<'_>, first: u8, step: u8) -> u8 {
    let nearest = view.config.first_hop;
    let first = if first < nearest { nearest.saturating_add(step).saturating_sub(1) } else { first };
    let steps = match view.path.top.checked_sub(first) {
        Some(past) => past.checked_div(step).unwrap_or(0).saturating_add(1),
        None => 0,
    };
    first.saturating_add(steps.saturating_mul(step)).min(view.config.max_hops)
}

/// When answers from the edge are overdue, if only they are missing, or if paths seldom end so near: then it may be routers
/// there that are silent.
fn silent_edge(view: &View<'_>, edge: u8) -> Option<Instant> {
    let missing = edge.saturating_sub(view.top());
    let silent = view.behind(view.top()).iter().take(missing.into());
    let lost = silent.map(|progress| patience::lost_at(view, progress)).max();
    lost.filter(|_| missing <= EDGE || edge < NEAR)
}
