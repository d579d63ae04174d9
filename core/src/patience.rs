//! How long to wait for what is still in flight.
//!
//! No fixed timeout decides when a trace ends (though [`Config::timeout`](crate::Config::timeout)
//! bounds every wait). What has been heard does:
//!
//! - **The first final answer is a clock.** All probes left together, so when the target has
//!   answered after *R*, the answers of nearer hops are due about then too. A hop that has never
//!   answered is given up 2.3 *R* after its first probe, at least 160 ms (a busy router may take
//!   150 ms to write an error), at most *R* + 160 ms; just that where no end of the path is known.
//! - **A lost probe** at a hop that has answered before, or a retry, is given up after *R*/8 + 2 ms
//!   more than *R*, the greatest RTT of the trace so far, but not before 90 ms.
//! - **A silent target** ends by quiescence: when nothing has come for 190 ms, or 1.5 *R* if that
//!   is longer, the sweep goes on to where nothing says that the path leads, and 290 ms or 2 *R*
//!   later it is over. While all that has answered is nearer than 20 ms, the next hop may still be
//!   an ocean or a satellite away: then it is 500 and 590 ms.
//! - **Nothing at all** heard: the timeout.
//! - [`Config::patience`](crate::Config::patience) multiplies the waits after which a probe is
//!   given up or sent again.
//! - **Where a probe past the end begins a connection** nothing goes on into the unknown: what is
//!   silent at the end is asked again when it is overdue, and waited for for 190 ms or 1.5 *R*
//!   more, so that the first probe has had the time that it has elsewhere.
//! - **A weak answer** doesn't end the wait for a better one: whoever forges it can be early, but
//!   can't keep the true one away.

use crate::slot::Slot;
use crate::table::{EndKind, Path, View};
use crate::time::{Instant, nanos};

const fn millis(millis: u64) -> u64 {
    millis.saturating_mul(1_000_000)
}

/// The least wait for a probe whose answer would be one more at its hop.
const LOST: u64 = millis(90);
/// What a slow router may need to write an error.
const SLOW_ROUTER: u64 = millis(160);
/// The least wait before the sweep goes on although nothing says that the path does.
const QUIET: u32 = 190_000_000;
/// The same, while only the neighbourhood has answered.
const QUIET_NEARBY: u32 = 500_000_000;
/// The least wait for hops of which nothing is known, from then on.
const UNKNOWN: u32 = 290_000_000;
/// The same, while only the neighbourhood has answered.
const UNKNOWN_NEARBY: u32 = 590_000_000;
/// What counts as the neighbourhood.
const NEARBY: u64 = millis(20);
/// An RTT to reckon with before one is known.
const TYPICAL: u64 = millis(400);

// An RTT is 18 minutes at most: nothing that is reckoned from one here overflows.

/// After this time an answer is later than any other was: time for a retry.
#[inline(never)]
pub(crate) fn overdue(path: &Path) -> u64 {
    let slowest = path.slowest().unwrap_or(TYPICAL);
    slowest.wrapping_add(slowest >> 3).wrapping_add(millis(2))
}

/// Between two attempts at one hop.
pub(crate) fn spacing(path: &Path) -> u64 {
    path.slowest().unwrap_or_default() >> 4
}

/// How long after a probe to a hop that is no farther than others that have answered it is lost,
/// most likely.
#[inline(never)]
pub(crate) fn lost(path: &Path) -> u64 {
    overdue(path).max(LOST)
}

/// When the sweep should go on beyond what it was held back to, because nothing more is expected
/// from what was sent.
pub(crate) fn quiet_at(view: &View<'_>) -> Instant {
    let patience = until_quiet(view.path).min(timeout(view));
    let last = view.last_first(view.behind(view.path.top), false);
    last.after(patience)
}

/// How long after the first probe of a silent hop a retry leaves that would leave after `wait`
/// without patience.
pub(crate) fn until_retry(view: &View<'_>, wait: u64) -> u64 {
    // Once the first probe is given up, nothing is left to wait for.
    patient(view, wait).min(timeout(view)).max(wait)
}

/// Whether the timeout, not what was heard, bounds the wait for the unknown.
pub(crate) fn timeout_rules(view: &View<'_>) -> bool {
    let path = view.path;
    timeout(view) <= patient(view, until_quiet(path).saturating_add(from_quiet(path)))
}

/// The timeout in nanoseconds. Longer than any clock runs is as good as for ever. As long as the
/// clock shows less than 292 years no sum with it is mistaken for [`NEVER`](Instant::NEVER).
// In its callers it takes more room.
#[inline(never)]
pub(crate) fn timeout(view: &View<'_>) -> u64 {
    nanos(view.config.timeout).min(u64::MAX >> 1)
}

pub(crate) fn patient(view: &View<'_>, wait: u64) -> u64 {
    times(wait, view.config.patience)
}

#[inline(never)]
fn times(wait: u64, patience: u8) -> u64 {
    // Two years are long enough, and need no check.
    wait.min(u64::MAX >> 8).wrapping_mul(patience.into())
}

/// How long after the last of the probes sent so far nothing more is expected of them.
// In its callers it takes more room.
#[inline(never)]
pub(crate) fn until_quiet(path: &Path) -> u64 {
    match path.slowest() {
        None => overdue(path),
        Some(slowest) => by_half(slowest, 3, QUIET, QUIET_NEARBY),
    }
}

/// How long the wait for hops of which nothing is known goes on from then on.
// In its callers it takes more room.
#[inline(never)]
pub(crate) fn from_quiet(path: &Path) -> u64 {
    match path.slowest() {
        None => u64::MAX,
        Some(slowest) => by_half(slowest, 4, UNKNOWN, UNKNOWN_NEARBY),
    }
}

/// Returns so many halves of the greatest RTT, and no less than `least`; `nearby` while only the
/// neighbourhood has answered.
#[inline(never)]
fn by_half(slowest: u64, halves: u32, least: u32, nearby: u32) -> u64 {
    if slowest < NEARBY {
        // The next answer may be from another continent.
        nearby.into()
    } else {
        (slowest.wrapping_mul(halves.into()) >> 1).max(least.into())
    }
}

/// When probes are given up, as things stand: spans in nanoseconds.
pub(crate) struct Patience {
    timeout: u64,
    /// From a probe on, at a hop that has answered.
    lost: u64,
    /// From the first probe of a hop on, until its first answer.
    slow: u64,
    /// The last hop that is known to be on the path, before its target.
    known: u8,
    /// Whether the target has answered often enough, if it is known where it is.
    has_enough: Option<bool>,
    /// From a probe on, until it is quiet.
    until_quiet: u64,
    /// From then on.
    from_quiet: u64,
}

impl Patience {
    pub(crate) fn of(view: &View<'_>) -> Self {
        let path = view.path;
        let typical = path.slowest().unwrap_or(TYPICAL);
        let slowest_router = typical.wrapping_add(SLOW_ROUTER);
        let (slow, known, has_enough) = match path.certain_end() {
            None => (slowest_router, path.sure_top, None),
            Some(end) => {
                // 2.3, without a division: that of 64 bits is a long function where the processor
                // has none.
                let slow = (typical.wrapping_mul(147) >> 6).max(SLOW_ROUTER);
                let (known, has_enough) = match end.kind {
                    EndKind::Target => (
                        end.hop.saturating_sub(1),
                        view.samples(end).sure >= view.config.attempts,
                    ),
                    EndKind::Loop | EndKind::Barrier => (u8::MAX, false),
                };
                (slow.min(slowest_router), known, Some(has_enough))
            }
        };
        Self {
            timeout: timeout(view),
            lost: patient(view, lost(path)),
            slow: patient(view, slow),
            known,
            has_enough,
            until_quiet: patient(view, until_quiet(path)),
            from_quiet: patient(view, from_quiet(path)),
        }
    }

    /// Waits no longer from when it is quiet on than until it is quiet.
    pub(crate) const fn wait_as_until_quiet(&mut self) {
        self.from_quiet = self.until_quiet;
    }

    /// When a probe is given up, or, if its answer so far is weak, the wait for a better one;
    /// [`NEVER`](Instant::NEVER) if nobody waits.
    pub(crate) fn deadline(&self, view: &View<'_>, probe: &Slot) -> Instant {
        let progress = view.progress(probe.hop());
        let (sure, first) = (progress.sure, view.sent_at(progress.first));
        if sure >= view.config.attempts {
            return Instant::NEVER;
        }
        let sent = probe.sent();
        let lost = sent.after(self.lost);
        let deadline = if probe.hop() <= self.known {
            // What a slow router owes to its first probe is owed to those that followed too: until
            // then they are late, not lost.
            if sure == 0 {
                lost.max(first.after(self.slow))
            } else {
                lost
            }
        } else {
            match (self.has_enough, view.path.quiet) {
                (Some(true), _) => return Instant::NEVER,
                (Some(false), _) => lost,
                (None, None) => sent.after(self.until_quiet).after(self.from_quiet),
                // All that was sent before it was quiet is waited for as long as what is sent then.
                (None, Some(quiet)) => {
                    let first = until(view, quiet, first);
                    first.max(until(view, quiet, sent)).after(self.from_quiet)
                }
            }
        };
        deadline.min(sent.after(self.timeout))
    }
}

/// When it is quiet for what left then, as far as patience goes.
fn until(view: &View<'_>, quiet: Instant, sent: Instant) -> Instant {
    sent.after(patient(view, quiet.nanos_since(sent)))
}
