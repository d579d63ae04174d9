//! Who answers only so often: token buckets, and hosts that answer part of a burst.

use crate::hop::{Limit, Rate};
use crate::host::Partial;
use core::time::Duration;
use hopshot_core::wire::AddressFamily;

/// The state of a [`Limit`] towards one client, in one family.
#[derive(Clone, Copy, Debug, Default)]
pub(crate) struct Bucket {
    used: f64,
    last: Duration,
}

impl Bucket {
    /// Takes a token, if there is one.
    pub(crate) fn take(&mut self, now: Duration, limit: Limit, family: AddressFamily) -> bool {
        let rate = match (limit.per_second, family) {
            (Rate::Same(rate), _) => rate,
            (Rate::Each { v4, .. }, AddressFamily::V4) => v4,
            (Rate::Each { v6, .. }, AddressFamily::V6) => v6,
        };
        let refill = now.saturating_sub(self.last).as_secs_f64() * rate;
        self.used = (self.used - refill).max(0.0);
        self.last = now.max(self.last);
        // A token that is whole but for rounding is whole.
        let granted = self.used + 1.0 <= limit.burst + 1e-9;
        if granted {
            self.used += 1.0;
        }
        granted
    }
}

/// The state of a [`Partial`].
#[derive(Clone, Copy, Debug, Default)]
pub(crate) struct Window {
    last: Option<Duration>,
    skipped: u32,
    started: Duration,
    answered: u32,
}

impl Window {
    /// Whether a request that arrives now is answered.
    pub(crate) fn take(&mut self, now: Duration, partial: Partial) -> bool {
        if self
            .last
            .is_none_or(|last| now.saturating_sub(last) > Duration::from_secs(10))
        {
            *self = Self {
                started: now,
                ..Self::default()
            };
        }
        self.last = Some(now);
        if self.skipped < partial.skip {
            self.skipped += 1;
            return false;
        }
        if now.saturating_sub(self.started) >= Duration::from_secs_f64(partial.window_ms / 1e3) {
            (self.started, self.answered) = (now, 0);
        }
        self.answered += 1;
        self.answered <= partial.answer
    }
}
