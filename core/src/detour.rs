//! Probes on flows of their own.
//!
//! Care for what knows connections: targets, and firewalls that track them. Of one flow they take
//! the first SYN for the beginning of a connection, and the next for a mistake.
//!
//! Flows also tell probes apart whose answers quote too little.

use crate::config::Sweep;
use crate::patience;
use crate::plan::Reason;
use crate::slot::Slot;
use crate::table::{EndKind, View};
use crate::time::Instant;

/// Whether a probe is to leave on a flow of its own: a retry where nothing shows that the flow gets
/// as far, and whatever goes after the first to the target, or to a hop that may be the target.
pub(crate) fn is_one(view: &View<'_>, hop: u8, reason: Reason) -> bool {
    let target = view.path.end.filter(|end| end.kind == EndKind::Target);
    let target = target.map(|end| end.hop);
    match reason {
        Reason::Sweep => false,
        Reason::Recheck => true,
        Reason::Attempt => target == Some(hop),
        // The hop below may be the target, or a router of which one answer was lost.
        Reason::Retry if target == hop.checked_add(1) => {
            view.progress(hop).sent > view.config.attempts || !is_passed(view, hop)
        }
        Reason::Retry => target == Some(hop) || !is_passed(view, hop),
    }
}

/// Whether a probe is to leave on a flow of its own, since answers to others name no probe: each
/// that goes to a hop again, as long as that has answered none of the common flow.
pub(crate) fn is_for_blind(view: &View<'_>, hop: u8, reason: Reason) -> bool {
    let mut heard = view.probes.iter().filter(|probe| probe.is_answered());
    let is_known = |probe: &Slot| probe.hop() == hop && probe.is_proven() && !probe.is_apart();
    reason != Reason::Sweep && !heard.any(is_known)
}

/// Whether an answer shows that the flow gets to a hop, or farther.
fn is_passed(view: &View<'_>, hop: u8) -> bool {
    let mut behind = view.probes.iter().filter(|probe| probe.hop() >= hop);
    behind.any(|probe| probe.is_answered() && probe.is_proven() && !probe.is_apart())
}

/// Returns until when a probe of the flow waits: until the target, if an earlier probe may be
/// there, has had time to answer. What passes a firewall meanwhile would spoil the answer.
pub(crate) fn busy_until(view: &View<'_>, hop: u8, reason: Reason) -> Instant {
    let (top, is_open) = (view.path.top, view.path.end.is_none());
    let may_be_there = |probe: &&Slot| {
        let counts = probe.hop() == hop || reason == Reason::Attempt && is_open;
        probe.hop() > top && counts && probe.is_in_flight()
    };
    let waiting = view.probes.iter().filter(may_be_there);
    let last = waiting.map(Slot::sent).max();
    match (last, view.config.sweep()) {
        (None, _) | (_, Sweep::Burst) => Instant::EPOCH,
        (Some(last), _) => last.after(patience::overdue(view.path)),
    }
}

/// Returns when silent hops at the end of the path are asked again. All that a knock could have
/// told is known by the time when nothing more is expected of the first probe, and of the edge when
/// its answers are overdue: nothing goes on to hops of which nothing is known.
pub(crate) fn quiet_at(view: &View<'_>) -> Instant {
    if view.config.is_burst() {
        return patience::quiet_at(view);
    }
    let edge = view.last_first(view.behind(view.path.top), false);
    let begun = first_sent(view).after(patience::until_quiet(view.path));
    let again = begun.max(edge.after(patience::lost(view.path)));
    again.min(edge.after(patience::timeout(view)))
}

/// Returns when a probe is given up that [`Patience`](patience::Patience) gives up at `deadline`:
/// at a silent end not before the first probe of the trace has had all its time.
pub(crate) fn deadline(view: &View<'_>, probe: &Slot, deadline: Instant) -> Instant {
    let path = view.path;
    let is_open = path.quiet.is_some() && path.certain_end().is_none();
    if !is_open || deadline == Instant::NEVER {
        return deadline;
    }
    let whole = patience::until_quiet(path).saturating_add(patience::from_quiet(path));
    let begun = first_sent(view).after(patience::patient(view, whole));
    deadline
        .max(begun)
        .min(probe.sent().after(patience::timeout(view)))
}

fn first_sent(view: &View<'_>) -> Instant {
    view.probes.first().map_or(Instant::EPOCH, Slot::sent)
}
