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
//! - **A weak answer** doesn't end the wait for a better one: whoever forges it can be early, but
//!   can't keep the true one away.

use crate::slot::Slot;
use crate::table::{EndKind, Progress, View};
use crate::time::{Instant, nanos};

const fn millis(millis: u64) -> u64 {
    millis.saturating_mul(1_000_000)
}

/// The least wait for a probe whose answer would be one more at its hop.
const LOST: u64 = millis(90);
/// What a slow router may need to write an error.
const SLOW_ROUTER: u64 = millis(160);
/// The least wait before the sweep goes on although nothing says that the path does.
const QUIET: u64 = millis(190);
/// The same, while only the neighbourhood has answered.
const QUIET_NEARBY: u64 = millis(500);
/// The least wait for hops of which nothing is known, from then on.
const UNKNOWN: u64 = millis(290);
/// The same, while only the neighbourhood has answered.
const UNKNOWN_NEARBY: u64 = millis(590);
/// What counts as the neighbourhood.
const NEARBY: u64 = millis(20);
/// An RTT to reckon with before one is known.
const TYPICAL: u64 = millis(400);

/// After this time an answer is later than any other was: time for a retry.
#[inline(never)]
pub(crate) fn overdue(slowest: Option<u64>) -> u64 {
    let slowest = slowest.unwrap_or(TYPICAL);
    slowest
        .saturating_add(slowest >> 3)
        .saturating_add(millis(2))
}

/// Between two attempts at one hop.
pub(crate) fn spacing(slowest: Option<u64>) -> u64 {
    slowest.unwrap_or_default() >> 4
}

/// When a probe is lost, most likely, to a hop that is no farther than others that have answered.
pub(crate) fn lost_at(view: &View<'_>, progress: &Progress) -> Instant {
    view.sent_at(progress.first)
        .after(overdue(view.path.slowest).max(LOST))
}

/// When the sweep should go on beyond what it was held back to, because nothing more is expected
/// from what was sent.
pub(crate) fn quiet_at(view: &View<'_>) -> Option<Instant> {
    let patience = until_quiet(view.path.slowest).min(nanos(view.config.timeout));
    let ahead = view.behind(view.top()).iter();
    ahead
        .map(|progress| view.sent_at(progress.first).after(patience))
        .max()
}

/// When a probe is given up, or, if its answer so far is weak, the wait for a better one; `None` if
/// nobody waits.
pub(crate) fn deadline(view: &View<'_>, probe: &Slot) -> Option<Instant> {
    Some(
        probe
            .sent()
            .after(wait(view, probe)?.min(nanos(view.config.timeout))),
    )
}

/// How long after the first probe of a silent hop a retry leaves that would leave after `wait`
/// without patience.
// In its callers it takes more room.
#[inline(never)]
pub(crate) fn until_retry(view: &View<'_>, wait: u64) -> u64 {
    // Once the first probe is given up, nothing is left to wait for.
    patient(view, wait)
        .min(nanos(view.config.timeout))
        .max(wait)
}

/// Whether the timeout, not what was heard, bounds the wait for the unknown.
pub(crate) fn timeout_rules(view: &View<'_>) -> bool {
    let slowest = view.path.slowest;
    nanos(view.config.timeout)
        <= patient(
            view,
            until_quiet(slowest).saturating_add(from_quiet(slowest)),
        )
}

// In its callers it takes more room.
#[inline(never)]
fn patient(view: &View<'_>, wait: u64) -> u64 {
    // Two years are long enough, and need no check.
    wait.min(u64::MAX >> 8)
        .wrapping_mul(view.config.patience.into())
}

/// How long after the last of the probes sent so far nothing more is expected of them.
// In its callers it takes more room.
#[inline(never)]
fn until_quiet(slowest: Option<u64>) -> u64 {
    match slowest {
        None => overdue(None),
        Some(slowest) if slowest < NEARBY => QUIET_NEARBY,
        // The next answer may be from another continent.
        Some(slowest) => slowest.saturating_add(slowest >> 1).max(QUIET),
    }
}

/// How long the wait for hops of which nothing is known goes on from then on.
// In its callers it takes more room.
#[inline(never)]
fn from_quiet(slowest: Option<u64>) -> u64 {
    match slowest {
        None => u64::MAX,
        Some(slowest) if slowest < NEARBY => UNKNOWN_NEARBY,
        Some(slowest) => slowest.saturating_mul(2).max(UNKNOWN),
    }
}

fn wait(view: &View<'_>, probe: &Slot) -> Option<u64> {
    let slowest = view.path.slowest.unwrap_or(TYPICAL);
    let progress = view.progress(probe.hop());
    if progress.sure >= view.config.attempts {
        return None;
    }
    let lost = patient(view, overdue(view.path.slowest).max(LOST));
    let slowest_router = slowest.saturating_add(SLOW_ROUTER);
    let slow = match view.path.certain_end() {
        // 2.3, without a division: that of 64 bits is a long function where the processor has none.
        Some(_) => (slowest.saturating_mul(147) >> 6).clamp(SLOW_ROUTER, slowest_router),
        None => slowest_router,
    };
    let slow = patient(view, slow);
    // What a slow router owes to its first probe is owed to those that followed too: until then
    // they are late, not lost.
    let first = view.sent_at(progress.first);
    let after_first = probe.sent().nanos_since(first);
    let at_known_hop = if progress.sure == 0 {
        lost.max(slow.saturating_sub(after_first))
    } else {
        lost
    };
    match view.path.certain_end() {
        Some(end) if probe.hop() < end.hop => Some(at_known_hop),
        Some(end) if end.kind == EndKind::Target => {
            (view.samples_sure(end) < view.config.attempts).then_some(lost)
        }
        Some(_) => Some(at_known_hop),
        None if probe.hop() <= view.path.sure_top => Some(at_known_hop),
        None => {
            // All that was sent before it was quiet is waited for as long as what is sent then.
            let until_quiet = match view.quiet {
                Some(quiet) => {
                    let from_first =
                        patient(view, quiet.nanos_since(first)).saturating_sub(after_first);
                    from_first.max(patient(view, quiet.nanos_since(probe.sent())))
                }
                None => patient(view, until_quiet(view.path.slowest)),
            };
            Some(until_quiet.saturating_add(patient(view, from_quiet(view.path.slowest))))
        }
    }
}
