//! Instants without a clock: the caller reads the time and passes it in.

use core::num::NonZeroU32;
use core::time::Duration;

/// A moment, in nanoseconds since an epoch of the caller's choice.
///
/// The epoch should not move while a trace runs: use a monotonic clock (`CLOCK_MONOTONIC`, a
/// hardware timer, a simulation's counter). [`Extend32`] makes one of a counter of 32 bits. All
/// arithmetic saturates. An instant that jumps back is treated as "no time has passed"; where
/// [`poll`](crate::Tracer::poll) is given one that is more than a second before the last, the clock
/// has begun again, and the trace goes on by the new one. RTTs of probes that were in flight are
/// too short then, and an instant that [`Action::Wait`](crate::Action::Wait) named before is void.
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

    /// The moment of what never happens. What is [`after`](Self::after) it never happens either.
    pub(crate) const NEVER: Self = Self(u64::MAX);

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

    /// This instant, `nanos` nanoseconds earlier.
    pub(crate) const fn before(self, nanos: u64) -> Self {
        Self(self.nanos_since(Self(nanos)))
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

/// A clock that never wraps, made of a hardware counter of 32 bits that does.
///
/// Ask it at least twice while the counter goes round, which takes 43 s at 100 MHz, 71 minutes at 1
/// MHz and 49 days at 1 kHz. A count of less than half a round ago, as an interrupt handler may
/// have noted it, is taken for what it is.
///
/// ```
/// use core::num::NonZeroU32;
/// use hopshot_core::{Extend32, Instant};
///
/// const KILOHERTZ: NonZeroU32 = NonZeroU32::new(1_000).unwrap();
/// let mut clock = Extend32::new(KILOHERTZ);
/// for quarter in 1..=3 {
///     clock.now(quarter << 30);
/// }
/// let noted = clock.now(u32::MAX);
/// let now = clock.now(1);
/// assert_eq!(now, Instant::from_nanos(noted.as_nanos() + 2_000_000));
/// assert_eq!(clock.now(u32::MAX), noted);
/// ```
#[derive(Clone, Copy, Debug)]
#[cfg_attr(feature = "defmt", derive(defmt::Format))]
pub struct Extend32 {
    /// Nanoseconds a tick.
    whole: u32,
    /// The fraction of a nanosecond in a tick, in 2^-32 ns.
    fraction: u32,
    /// The fraction of a nanosecond in the time so far, in 2^-32 ns.
    rest: u32,
    count: u32,
    nanos: u64,
}

impl Extend32 {
    /// A counter with `hz` ticks a second, whose count is 0 at the epoch.
    #[must_use]
    #[expect(
        clippy::as_conversions,
        reason = "widened, and what is narrowed is less than a tick; `From` isn't const"
    )]
    pub const fn new(hz: NonZeroU32) -> Self {
        const SECOND: u32 = 1_000_000_000;
        let hz = hz.get();
        let (whole, rest) = match (SECOND.checked_div(hz), SECOND.checked_rem(hz)) {
            (Some(whole), Some(rest)) => (whole, rest as u64),
            _ => (0, 0),
        };
        let fraction = match (rest << 32).checked_div(hz as u64) {
            Some(fraction) => fraction as u32,
            None => 0,
        };
        Self {
            whole,
            fraction,
            rest: 0,
            count: 0,
            nanos: 0,
        }
    }

    /// The time at which the counter has this count.
    pub fn now(&mut self, count: u32) -> Instant {
        let ticks = count.wrapping_sub(self.count);
        if ticks > u32::MAX >> 1 {
            let ticks = u64::from(ticks.wrapping_neg());
            let nanos = ticks
                .wrapping_mul(self.whole.into())
                .saturating_add(ticks.wrapping_mul(self.fraction.into()) >> 32);
            return Instant(self.nanos.saturating_sub(nanos));
        }
        let ticks = u64::from(ticks);
        self.count = count;
        // At most (2^32 - 1)^2 + 2^32 - 1, which fits.
        let parts = ticks
            .wrapping_mul(self.fraction.into())
            .wrapping_add(self.rest.into());
        self.rest = u32::try_from(parts & u64::from(u32::MAX)).unwrap_or_default();
        self.nanos = self
            .nanos
            .saturating_add(ticks.wrapping_mul(self.whole.into()))
            .saturating_add(parts >> 32);
        Instant(self.nanos)
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
    fn a_counter_that_wraps_makes_a_clock_that_does_not() {
        for hz in [
            1,
            7,
            1_000,
            32_768,
            1_000_000,
            12_500_000,
            100_000_000,
            u32::MAX,
        ] {
            let mut clock = Extend32::new(NonZeroU32::new(hz).unwrap());
            let (mut ticks, mut count) = (0u128, 0u32);
            for step in [
                1,
                2,
                u32::MAX / 2,
                12_345,
                u32::MAX / 2,
                3,
                u32::MAX / 2,
                u32::MAX / 3,
            ] {
                count = count.wrapping_add(step);
                ticks += u128::from(step);
                let exact = ticks * 1_000_000_000 / u128::from(hz);
                let late = exact - u128::from(clock.now(count).as_nanos());
                // A second is off by less than 2^-32 ns for each of its ticks.
                assert!(
                    late <= 1 + (ticks >> 32),
                    "{hz} Hz after {ticks} ticks: {late} ns late"
                );
                // A count from before is before, and the clock doesn't move by it.
                let now = clock.now(count);
                let back = step.min(1_000);
                let noted = clock.now(count.wrapping_sub(back));
                let apart = u128::from(back) * 1_000_000_000 / u128::from(hz);
                assert!(u128::from(now.nanos_since(noted)).abs_diff(apart) <= 1);
                assert_eq!(clock.now(count), now);
            }
        }
    }

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
