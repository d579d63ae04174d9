//! Instants without a clock: the caller reads the time and passes it in.

use core::time::Duration;

/// A moment, in nanoseconds since an epoch of the caller's choice.
///
/// The epoch must not move while a trace runs: use a monotonic clock (`CLOCK_MONOTONIC`, a hardware timer, a simulation's
/// counter). All arithmetic saturates; an instant that jumps back is treated as "no time has passed".
///
/// ```
/// use core::time::Duration;
/// use hopshot_core::Instant;
///
/// let sent = Instant::from_nanos(1_000);
/// let heard = sent.saturating_add(Duration::from_micros(80));
/// assert_eq!(heard.saturating_since(sent), Duration::from_micros(80));
/// assert_eq!(sent.saturating_since(heard), Duration::ZERO);
/// ```
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash)]
#[cfg_attr(feature = "defmt", derive(defmt::Format))]
pub struct Instant(u64);

impl Instant {
    /// The caller's epoch.
    pub const EPOCH: Self = Self(0);

    /// The instant `nanos` nanoseconds after the epoch.
    #[must_use]
    pub const fn from_nanos(nanos: u64) -> Self {
        Self(nanos)
    }

    /// The instant `millis` milliseconds after the epoch.
    #[must_use]
    pub const fn from_millis(millis: u64) -> Self {
        Self(millis.saturating_mul(1_000_000))
    }

    /// Nanoseconds since the epoch.
    #[must_use]
    pub const fn as_nanos(self) -> u64 {
        self.0
    }

    /// This instant, `span` later. Saturates after 584 years.
    #[must_use]
    pub fn saturating_add(self, span: Duration) -> Self {
        self.after(nanos(span))
    }

    /// This instant, `nanos` nanoseconds later.
    pub(crate) const fn after(self, nanos: u64) -> Self {
        Self(self.0.saturating_add(nanos))
    }

    /// The time from `earlier` to this instant; zero if `earlier` is the later one.
    #[must_use]
    pub const fn saturating_since(self, earlier: Self) -> Duration {
        Duration::from_nanos(self.0.saturating_sub(earlier.0))
    }
}

/// A span in nanoseconds, which is what all is reckoned in: one word pair, no division, no case of its own for a carry.
#[inline(never)]
pub(crate) fn nanos(span: Duration) -> u64 {
    span.as_secs().saturating_mul(1_000_000_000).saturating_add(u64::from(span.subsec_nanos()))
}
