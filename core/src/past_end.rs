//! Thrift where each probe past the end of the path begins a connection to somebody's server.
//!
//! A silent target can't be told from silent routers, so each probe past the last router counts as
//! one that the target gets.

use crate::config::Sweep;
use crate::patience;
use crate::sweep::{self, EDGE};
use crate::table::{EndKind, Progress, View};
use crate::time::Instant;

/// Hops past the last router that are probed at once, at most. One less is how many more probes may
/// go there than attempts were asked for: with the one that finds out the distance they are three.
const WIDTH: u8 = 3;

/// The step of a sweep that goes to a target which is known to answer: then two more probes may go
/// past the last router.
pub(crate) const KNOWN: u8 = 5;

/// Hops at which a router is looked for while nobody has answered: behind the silent routers of a
/// data center, and behind those of a whole network.
const LEAPS: [u8; 2] = [6, 12];

/// The probes past the last router.
#[derive(Clone, Copy)]
pub(crate) struct PastEnd<'a> {
    view: &'a View<'a>,
    /// The first hops of the sweep.
    first: u8,
    /// How many hops past the last router are probed at once.
    width: u8,
    /// Whether the target is expected at the last of the first hops, and nothing speaks against it.
    is_expected: bool,
    /// Whether there is no need to save probes.
    is_generous: bool,
    /// The last hop before those where the target may be.
    base: u8,
    /// Whether another probe may go farther than that.
    may_pass: bool,
}

impl<'a> PastEnd<'a> {
    pub(crate) fn of(view: &'a View<'a>) -> Self {
        let top = view.path.top;
        let (first, step) = match view.config.sweep() {
            Sweep::Window { first, step } => (first, step),
            Sweep::Burst => (0, 0),
        };
        // A first sweep of a single step is nobody's expectation.
        let is_expected = first > WIDTH && top < first;
        let base = match is_expected {
            true => first.saturating_sub(1),
            false => top,
        };
        let passed = view.behind(base).iter();
        let passed = passed.fold(0, |sum: u8, progress| sum.saturating_add(progress.sent));
        let more = step.max(WIDTH).saturating_sub(1);
        Self {
            view,
            first,
            width: step.min(WIDTH),
            is_expected,
            is_generous: step > WIDTH,
            base,
            may_pass: passed < view.config.attempts.saturating_add(more),
        }
    }

    /// Returns the farthest hop that the first sweep may go to, as things stand, and when it may go
    /// farther, if ever.
    pub(crate) fn reach(self, now: Instant) -> (u8, Instant) {
        let view = self.view;
        match (view.config.sweep(), view.path.certain_end()) {
            (Sweep::Burst, _) => (view.config.max_hops, Instant::NEVER),
            (_, Some(end)) if end.kind != EndKind::Barrier => {
                (end.hop.saturating_sub(1), Instant::NEVER)
            }
            (_, None) if sweep::is_held_back(view) => (0, Instant::NEVER),
            (_, end) => {
                let edge = self.window();
                match sweep::silent_edge(view, edge) {
                    // Many routers may refuse, each just what expires there: the sweep looks as far
                    // as if none had been heard.
                    _ if end.is_some() => (edge, Instant::NEVER),
                    opens if opens <= now => (edge.max(self.beyond()), Instant::NEVER),
                    opens => (edge, opens),
                }
            }
        }
    }

    /// Returns how far the window is open, by the answers from its edge.
    fn window(self) -> u8 {
        let is_open = self.view.path.top >= self.first;
        let edge = if is_open { self.beyond() } else { self.first };
        edge.min(self.view.config.max_hops)
    }

    /// Returns how far the sweep goes past the last router, or past the hop before the one where
    /// the target is expected.
    fn beyond(self) -> u8 {
        let keeps_one = !self.is_generous && (self.is_expected || self.may_need_retry());
        match self.base {
            // Nothing says that the end isn't near.
            0 => 0,
            base if !self.may_pass => base,
            base => base.saturating_add(self.width.saturating_sub(u8::from(keeps_one)).max(1)),
        }
    }

    /// Whether one of the few probes is better kept for a retry: there is only one attempt, and
    /// answers get lost, or may be.
    fn may_need_retry(self) -> bool {
        let view = self.view;
        let is_silent_at_first = |progress: &&Progress| {
            let first = view.probes.get(usize::from(progress.first));
            first.is_some_and(|probe| !probe.is_answered())
        };
        let may_be_loss = |progress: &Progress| progress.heard > 0 || progress.waiting > 0;
        let passed = view.between(0, view.path.top).iter();
        view.config.attempts == 1 && passed.filter(is_silent_at_first).any(may_be_loss)
    }

    /// Returns the hop at which a router is to be looked for, since nobody at all has answered in
    /// time.
    pub(crate) fn leap(self, now: Instant) -> Option<u8> {
        let view = self.view;
        let is_dark = self.base == 0 && view.path.end.is_none() && self.first > 0;
        if !is_dark || !self.may_pass {
            return None;
        }
        let farthest = view.hops.iter().rposition(|progress| progress.sent > 0)?;
        let farthest = u8::try_from(farthest).ok()?.saturating_add(1);
        let last = view.last_first(view.hops, false);
        let at = last.after(patience::lost(view.path));
        let is_overdue = farthest >= self.first && (at <= now || view.path.quiet.is_some());
        let mut farther = LEAPS.into_iter().filter(|leap| *leap > farthest);
        let leap = farther.next().filter(|leap| *leap <= view.config.max_hops);
        leap.filter(|_| is_overdue)
    }

    /// Whether a hop gets no further probe, since the target may be there, or nearer, and enough
    /// have gone so far.
    pub(crate) fn bars(self, hop: u8) -> bool {
        hop > self.base && self.view.path.end.is_none() && self.first > 0 && !self.may_pass
    }

    /// Whether a hop at the silent end gets another probe although it may be a stranger's server:
    /// the next one a second, and the one where the target is expected all its retries.
    pub(crate) fn is_doubtful(self, hop: u8, progress: &Progress) -> bool {
        let (config, top) = (self.view.config, self.view.path.top);
        let is_first = hop == self.first;
        let is_next = hop == top.saturating_add(1) || is_first && hop <= top.saturating_add(EDGE);
        let most = config.attempts.saturating_add(config.retries);
        let is_expected = is_first && self.is_expected;
        progress.sent < most && (is_expected || is_next && progress.sent == 1)
    }
}
