//! Instants without a clock: the caller reads the time and passes it in.

use core::time::Duration;

/// A moment, in nanoseconds since an epoch of the caller's choice.
///
/// The epoch must not move while a trace runs: use a monotonic clock (`CLOCK_MONOTONIC`, a hardware
/// timer, a simulation's counter). All arithmetic saturates; an instant that jumps back is treated
/// as "no time has passed".
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
    #[inline(never)]
    pub(crate) const fn after(self, nanos: u64) -> Self {
        Self(self.0.saturating_add(nanos))
    }

    /// The nanoseconds from `earlier` to this instant; zero if `earlier` is the later one.
    // In its callers it takes more room.
    #[inline(never)]
    pub(crate) const fn nanos_since(self, earlier: Self) -> u64 {
        self.0.saturating_sub(earlier.0)
    }

    /// The time from `earlier` to this instant; zero if `earlier` is the later one.
    #[must_use]
    pub const fn saturating_since(self, earlier: Self) -> Duration {
        Duration::from_nanos(self.nanos_since(earlier))
    }
}

/// The earlier of two instants, where both are there.
#[inline(never)]
pub(crate) fn earlier(one: Option<Instant>, other: Option<Instant>) -> Option<Instant> {
    match (one, other) {
        (Some(one), Some(other)) => Some(one.min(other)),
        (one, other) => one.or(other),
    }
}

/// A span of less than 2^41 nanoseconds, without a division of 64 bits: that is a long function
/// where the processor has none. 10^9 is 2^9 times 1,953,125.
#[inline(never)]
pub(crate) fn short_span(nanos: u64) -> Duration {
    const SECOND: u32 = 1_000_000_000;
    let secs = u32::try_from(nanos >> 9).unwrap_or(u32::MAX) / 1_953_125;
    let rest = nanos.saturating_sub(u64::from(secs).saturating_mul(SECOND.into()));
    Duration::new(
        secs.into(),
        u32::try_from(rest).unwrap_or_default() % SECOND,
    )
}

/// A span in nanoseconds, which is what all is reckoned in: one word pair, no division, no case of
/// its own for a carry.
#[inline(never)]
pub(crate) fn nanos(span: Duration) -> u64 {
    span.as_secs()
        .saturating_mul(1_000_000_000)
        .saturating_add(u64::from(span.subsec_nanos()))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_short_span_is_what_a_long_one_would_be() {
        let seconds = (0..1100).map(|seconds| seconds * 1_000_000_000);
        for nanos in seconds.flat_map(|second| {
            [0, 1, 511, 512, 513, 999_999_487, 999_999_999].map(|rest| second + rest)
        }) {
            assert_eq!(short_span(nanos), Duration::from_nanos(nanos), "{nanos}");
        }
        assert_eq!(
            short_span(crate::slot::LONGEST_RTT),
            Duration::from_nanos(crate::slot::LONGEST_RTT)
        );
    }
}
