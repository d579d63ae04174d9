//! The health of something that works or doesn't at present: packets of a family leave this
//! machine, names are found.

use hopshot_core::Instant;
use std::time::Duration;

/// A host or a probe that fails while others succeed is given up after this time.
pub(crate) const ALONE: Duration = Duration::from_secs(12);

/// As an outage begins, a success may still follow a failure: what was on its way comes in.
const OVERLAP: Duration = Duration::from_secs(1);

/// Successes and failures of one service, as far as they tell an outage from a fault of a single
/// host.
#[derive(Clone, Copy, Debug, Default)]
pub(crate) struct Health {
    /// The first success, and the last one.
    succeeded: Option<(Instant, Instant)>,
    /// The first failure since the last success, and the last one.
    failing: Option<(Instant, Instant)>,
}

impl Health {
    /// Records a success. Returns whether it ends a row of failures.
    pub(crate) fn succeed(&mut self, now: Instant) -> bool {
        self.succeeded.get_or_insert((now, now)).1 = now;
        self.failing.take().is_some()
    }

    /// Records a failure.
    pub(crate) fn fail(&mut self, now: Instant) {
        self.failing.get_or_insert((now, now)).1 = now;
    }

    /// Returns whether it has ever worked.
    pub(crate) const fn has_worked(&self) -> bool {
        self.succeeded.is_some()
    }

    /// Returns when it worked first.
    pub(crate) fn worked_since(&self) -> Option<Instant> {
        self.succeeded.map(|(first, _)| first)
    }

    /// Returns whether it works for others, where something has failed since an instant.
    pub(crate) fn works_for_others(&self, since: Instant) -> bool {
        self.succeeded
            .is_some_and(|(_, at)| at > since.saturating_add(OVERLAP))
    }

    /// Returns for how long everything has failed; `None` if the last try succeeded.
    pub(crate) fn failing_for(&self, now: Instant) -> Option<Duration> {
        self.failing.map(|(first, _)| now.saturating_since(first))
    }

    /// Returns whether everything has failed for longer than successes take that were on their way.
    pub(crate) fn is_out(&self, now: Instant) -> bool {
        self.failing_for(now)
            .is_some_and(|failing| failing >= OVERLAP)
    }

    /// Returns the time from an instant to the last failure.
    pub(crate) fn failed_since(&self, since: Instant) -> Duration {
        self.failing
            .map_or(Duration::ZERO, |(_, last)| last.saturating_since(since))
    }

    /// Leaves a time out that ends now, since nothing could be tried in it: this process was
    /// stopped.
    pub(crate) fn skip(&mut self, time: Duration, now: Instant) {
        let later = |at: Instant| at.saturating_add(time).min(now);
        self.failing = self
            .failing
            .map(|(first, last)| (later(first), later(last)));
    }

    /// Returns for how long everything was seen to fail: up to the last try, since this process may
    /// have been stopped.
    pub(crate) fn failed_for(&self) -> Option<Duration> {
        self.failing
            .map(|(first, last)| last.saturating_since(first))
    }
}

/// The pause before another try: doubled by each failure, up to a second, so that what is over soon
/// costs little time and what lasts costs few tries.
pub(crate) fn pause(first: Duration, failures: u32) -> Duration {
    const LONGEST: Duration = Duration::from_secs(1);
    first
        .saturating_mul(
            1_u32
                .checked_shl(failures.saturating_sub(1))
                .unwrap_or(u32::MAX),
        )
        .min(LONGEST)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_success_ends_the_row_of_failures_and_only_that() {
        let at = Instant::from_millis;
        let mut health = Health::default();
        assert!(!health.succeed(at(1)) && health.failing_for(at(5)).is_none());
        health.fail(at(10));
        health.fail(at(30));
        assert_eq!(health.failing_for(at(40)), Some(Duration::from_millis(30)));
        assert!(!health.works_for_others(at(10)));
        assert!(health.succeed(at(1050)) && health.failing_for(at(1060)).is_none());
        assert!(health.works_for_others(at(49)) && !health.works_for_others(at(50)));
        assert!(!Health::default().works_for_others(at(0)));
    }

    #[test]
    fn a_time_that_is_left_out_counts_for_no_failure_and_leads_to_no_time_to_come() {
        let at = Instant::from_millis;
        let mut health = Health::default();
        health.skip(Duration::from_millis(5), at(5));
        assert!(health.failing_for(at(5)).is_none());
        health.fail(at(10));
        health.fail(at(20));
        health.skip(Duration::from_millis(500), at(530));
        health.fail(at(540));
        assert_eq!(health.failed_for(), Some(Duration::from_millis(30)));
        health.skip(Duration::from_millis(900), at(1_000));
        health.fail(at(1_000));
        assert_eq!(health.failed_for(), Some(Duration::ZERO));
    }

    #[test]
    fn pauses_grow_from_the_first_to_a_second() {
        let pauses = [1, 2, 3, 7, 8, 40, u32::MAX]
            .map(|failures| pause(Duration::from_millis(10), failures));
        assert_eq!(
            pauses.map(|pause| pause.as_millis()),
            [10, 20, 40, 640, 1000, 1000, 1000]
        );
    }
}
