//! The first sweep: how far it goes, and when it goes farther.

use crate::config::Sweep;
use crate::patience;
use crate::table::{EndKind, View};
use crate::time::Instant;

/// Silent hops at the edge of the sweep, or behind the last router, that may be routers: routers
/// that don't answer, or whose answers were lost. More than these are the end of the path, most
/// likely.
pub(crate) const EDGE: u8 = 2;

/// Paths seldom end nearer than this.
const NEAR: u8 = 12;

/// Returns the farthest hop that the first sweep may go to, as things stand, and when it may go
/// farther, if ever.
// In its caller it takes every poll more instructions than a call does.
#[inline(never)]
pub(crate) fn reach(view: &View<'_>, now: Instant) -> (u8, Instant) {
    let end = view.path.certain_end();
    match view.config.sweep() {
        Sweep::Window { first, step } => match end {
            Some(end) if end.kind != EndKind::Barrier => {
                (end.hop.saturating_sub(1), Instant::NEVER)
            }
            None if is_held_back(view) => (0, Instant::NEVER),
            None if view.path.quiet.is_some() => (view.config.max_hops, Instant::NEVER),
            _ => {
                let edge = window(view, first, step);
                match silent_edge(view, edge) {
                    // Many routers may refuse, each just what expires there: the sweep looks as far
                    // as if none had been heard.
                    _ if end.is_some() => (edge, Instant::NEVER),
                    opens if opens <= now => (edge.saturating_add(step), Instant::NEVER),
                    opens => (edge, opens),
                }
            }
        },
        Sweep::Burst => (view.config.max_hops, Instant::NEVER),
    }
}

/// Returns how far the window is open, by the answers from its edge.
fn window(view: &View<'_>, first: u8, step: u8) -> u8 {
    let nearest = view.config.first_hop;
    let mut edge = if first < nearest {
        nearest.saturating_add(step).saturating_sub(1)
    } else {
        first
    };
    // It ends: a step is a hop at least, or the trace would not have started.
    while edge <= view.path.top {
        edge = edge.saturating_add(step);
    }
    edge.min(view.config.max_hops)
}

/// Returns when answers from the edge are overdue, if only they are missing, or if paths seldom end
/// so near: then there may be routers there that are silent.
pub(crate) fn silent_edge(view: &View<'_>, edge: u8) -> Instant {
    let missing = edge.saturating_sub(view.path.top);
    let last = view.last_first(view.between(view.path.top, edge), false);
    if missing <= EDGE || edge < NEAR {
        last.after(patience::lost(view.path))
    } else {
        Instant::NEVER
    }
}

/// Whether the first sweep leaves the last places to the silent hops that it has passed, since
/// answers may still come.
pub(crate) fn is_held_back(view: &View<'_>) -> bool {
    let places = view.probes.len().wrapping_add(view.room);
    if view.room > places >> 2 {
        return false;
    }
    let (mut silent, mut is_waiting) = (0usize, false);
    for progress in view.hops {
        if progress.sent > 0 && progress.heard == 0 {
            silent = silent.wrapping_add(1);
            is_waiting |= progress.waiting > 0;
        }
    }
    view.room <= silent && is_waiting
}
