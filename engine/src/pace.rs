//! The pace at which probes may leave, all traces together.

use hopshot_core::Instant;
use std::time::Duration;

/// What a pause gives back: a sleep ends a little late, and what was missed by it may be made up
/// for.
const SLACK: Duration = Duration::from_nanos(SLACK_NANOS);
const SLACK_NANOS: u64 = 5_000_000;

/// A pace of at most so many probes a second, evenly spread.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Pace {
    interval: Duration,
    next: Instant,
}

impl Pace {
    /// No bound.
    pub(crate) const UNBOUND: Self = Self {
        interval: Duration::ZERO,
        next: Instant::EPOCH,
    };

    /// At most so many probes a second; none of them sooner than now.
    pub(crate) fn per_second(rate: u32, now: Instant) -> Self {
        Self::every(Duration::from_secs(1) / rate.max(1), now)
    }

    /// One probe in each such interval; none of them sooner than now.
    pub(crate) const fn every(interval: Duration, now: Instant) -> Self {
        Self {
            interval,
            next: now,
        }
    }

    /// When the next probe may leave.
    pub(crate) const fn next(&self) -> Instant {
        self.next
    }

    /// Whether probes have left, until a moment ago, as fast as they may.
    pub(crate) fn is_used_up(&self, now: Instant) -> bool {
        now.saturating_since(self.next) < SLACK
    }

    /// Records a departure.
    pub(crate) fn spend(&mut self, now: Instant) {
        if !self.interval.is_zero() {
            let earliest = Instant::from_nanos(now.as_nanos().saturating_sub(SLACK_NANOS));
            self.next = self.next.max(earliest).saturating_add(self.interval);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn whoever_always_sends_as_soon_as_permitted_keeps_the_pace_even_if_late_each_time() {
        let begin = Instant::from_millis(10_000);
        let mut pace = Pace::per_second(1000, begin);
        let (mut now, mut sent) = (begin, 0_u32);
        while now < begin.saturating_add(Duration::from_secs(1)) {
            // A sleep that ends half a millisecond late.
            now = now
                .max(pace.next())
                .saturating_add(Duration::from_micros(500));
            while pace.next() <= now {
                pace.spend(now);
                sent += 1;
            }
        }
        assert!((999..=1005).contains(&sent), "{sent}");
    }

    #[test]
    fn a_pace_is_used_up_while_probes_leave_as_soon_as_they_may_and_not_after_a_pause() {
        let begin = Instant::from_millis(10_000);
        let mut pace = Pace::per_second(1000, begin);
        pace.spend(begin);
        assert!(
            pace.is_used_up(begin)
                && pace.is_used_up(begin.saturating_add(Duration::from_millis(2)))
        );
        assert!(!pace.is_used_up(begin.saturating_add(Duration::from_millis(7))));
        assert!(!Pace::UNBOUND.is_used_up(begin));
    }

    #[test]
    fn a_long_pause_is_not_made_up_for() {
        let mut pace = Pace::per_second(1000, Instant::EPOCH);
        let now = Instant::from_millis(60_000);
        let mut burst = 0;
        while pace.next() <= now {
            pace.spend(now);
            burst += 1;
        }
        assert_eq!(burst, 6);
    }
}
