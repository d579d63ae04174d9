//! Time: the monotonic clock, and the kernel's receive stamps brought to it.
//!
//! The kernel stamps a packet as it arrives, with `CLOCK_REALTIME`, which anybody may set while a
//! trace runs. So a stamp is never compared with a moment before it was made. It only says how long
//! the packet waited to be read: its age, counted back from now on the monotonic clock. Setting the
//! clock can bend that short wait and nothing else, and no stamp is believed whose wait can't be
//! true (less than nothing, or since before the queue was last seen empty), or during whose wait
//! the two clocks came apart.

use hopshot_core::Instant;
use hopshot_engine::Clock;
use rustix::time::{ClockId, clock_gettime};
use std::time::Duration;

/// The monotonic time now, in nanoseconds since the machine started.
#[doc(alias = "CLOCK_MONOTONIC")]
pub(crate) fn now() -> Instant {
    Instant::from_nanos(u64::try_from(read(ClockId::Monotonic)).unwrap_or(0))
}

fn read(clock: ClockId) -> i64 {
    let since_epoch = Duration::try_from(clock_gettime(clock)).unwrap_or_default();
    i64::try_from(since_epoch.as_nanos()).unwrap_or(i64::MAX)
}

fn nanos(seconds: i64, nanos: i64) -> Option<i64> {
    seconds.checked_mul(1_000_000_000)?.checked_add(nanos)
}

/// A moment on the wall clock, in nanoseconds since 1970.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct WallTime(i64);

impl WallTime {
    /// Reads a kernel stamp: a `timespec` of two 64-bit numbers, or of two of 32 bits on machines
    /// that still count so.
    #[doc(alias = "SCM_TIMESTAMPNS")]
    pub(crate) fn parse(data: &[u8]) -> Option<Self> {
        let (seconds, rest) = match data.len() {
            16 => split(data, i64::from_ne_bytes)?,
            8 => split(data, |octets| i32::from_ne_bytes(octets).into())?,
            _ => return None,
        };
        nanos(seconds, rest).map(Self)
    }
}

impl WallTime {
    /// Reads the first of three stamps: the kernel's, beside two of the hardware's.
    #[doc(alias = "SCM_TIMESTAMPING")]
    pub(crate) fn parse_first(data: &[u8]) -> Option<Self> {
        data.get(..data.len() / 3).and_then(Self::parse)
    }
}

fn split<const N: usize>(data: &[u8], number: impl Fn([u8; N]) -> i64) -> Option<(i64, i64)> {
    Some((number(*data.first_chunk()?), number(*data.last_chunk()?)))
}

/// The wall clock, read between two readings of the monotonic clock: what a stamp is carried over
/// with.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Reading {
    before: Instant,
    wall: WallTime,
    after: Instant,
}

impl Reading {
    /// A reading that takes longer than this was interrupted.
    const TIGHT: Duration = Duration::from_micros(10);

    /// How much earlier than the queue was last seen empty a packet of this queue may have been
    /// stamped: the stamp is made before the packet has gone through the stack, which a busy
    /// machine may put off.
    const STACK: Duration = Duration::from_millis(1);

    /// How far the clocks may seem to come apart between two readings by rounding alone.
    const ROUNDING: Duration = Duration::from_micros(1);

    /// Reads both clocks now. Tries again, twice at most, when it was interrupted between the
    /// readings.
    pub(crate) fn take() -> Self {
        let once = || Self {
            before: now(),
            wall: WallTime(read(ClockId::Realtime)),
            after: now(),
        };
        let first = once();
        let mut tightest = first;
        for _ in 0..2 {
            if tightest.width() <= Self::TIGHT {
                break;
            }
            let next = once();
            if next.width() < tightest.width() {
                tightest = next;
            }
        }
        tightest
    }

    fn width(&self) -> Duration {
        self.after.saturating_since(self.before)
    }

    fn middle(&self) -> Instant {
        self.before.saturating_add(self.width() / 2)
    }

    /// Whether the wall clock was set since `earlier`. What slews the one clock slews the other, so
    /// what lies between them stays the same; how far it is known, the widths of the readings
    /// say.
    fn stepped_since(&self, earlier: &Self) -> bool {
        let walls = self
            .wall
            .0
            .checked_sub(earlier.wall.0)
            .and_then(|span| u64::try_from(span).ok());
        let span = self.middle().saturating_since(earlier.middle());
        let doubt = (self.width() + earlier.width()) / 2 + Self::ROUNDING;
        walls.is_none_or(|walls| Duration::from_nanos(walls).abs_diff(span) > doubt)
    }

    /// The monotonic time of a stamp, and which clock that is: the kernel's if the stamp can be
    /// true of a packet that was read just before this reading by a call begun at `asked`, from
    /// a queue that was empty at `last_empty`.
    ///
    /// A stamp that isn't older than the call is no better than a reading of our own, and may be
    /// none of the packet's: where the kernel had not begun to stamp yet (it begins a moment
    /// after the first socket asks), the call made it up.
    pub(crate) fn carry(
        &self,
        stamp: Option<WallTime>,
        last_empty: &Self,
        asked: &Self,
    ) -> (Instant, Clock) {
        let age = stamp
            .and_then(|stamp| self.wall.0.checked_sub(stamp.0))
            .and_then(|age| u64::try_from(age).ok());
        let moment =
            age.map(|age| Instant::from_nanos(self.middle().as_nanos().saturating_sub(age)));
        let waited_here = |moment: Instant| {
            moment < asked.before && moment.saturating_add(Self::STACK) >= last_empty.before
        };
        match moment.filter(|moment| waited_here(*moment) && !self.stepped_since(last_empty)) {
            Some(moment) => (moment, Clock::Kernel),
            None => (self.before, Clock::User),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const WALL: i64 = 1_700_000_000_000_000_000;

    fn at(micros: u64) -> Instant {
        Instant::from_nanos(micros * 1_000)
    }

    /// The clocks read at `micros` and 2 µs on.
    fn reading(micros: u64) -> Reading {
        let wall = WALL - (5_000_000 - micros as i64) * 1_000;
        Reading {
            before: at(micros),
            wall: WallTime(wall),
            after: at(micros + 2),
        }
    }

    /// Read at 5,000,000 µs, by a call 5 µs before; the queue was empty at 4,990,000 µs. `ago` in
    /// µs on the wall clock.
    fn carry(ago: i64) -> (Instant, Clock) {
        let stamp = WallTime(WALL - ago * 1_000);
        reading(5_000_000).carry(Some(stamp), &reading(4_990_000), &reading(4_999_995))
    }

    #[test]
    fn a_stamp_is_carried_by_its_age_from_the_middle_of_the_reading() {
        assert_eq!(carry(7), (at(4_999_994), Clock::Kernel));
        assert_eq!(carry(300), (at(4_999_701), Clock::Kernel));
        assert_eq!(carry(10_000), (at(4_990_001), Clock::Kernel));
    }

    #[test]
    fn a_stamp_that_the_reading_call_may_have_made_up_is_not_believed() {
        assert_eq!(carry(0), (at(5_000_000), Clock::User));
        assert_eq!(carry(6), (at(5_000_000), Clock::User));
    }

    #[test]
    fn a_stamp_from_the_future_is_not_believed() {
        // The wall clock was set back while the packet waited.
        assert_eq!(carry(-1), (at(5_000_000), Clock::User));
        assert_eq!(carry(-3_600_000_000), (at(5_000_000), Clock::User));
    }

    #[test]
    fn a_stamp_from_before_the_queue_was_empty_is_not_believed() {
        // The wall clock was set forward while the packet waited; or the stamp is stale. A
        // millisecond is the stack's.
        assert_eq!(carry(11_001).1, Clock::Kernel);
        assert_eq!(carry(11_002), (at(5_000_000), Clock::User));
        assert_eq!(carry(3_600_000_000), (at(5_000_000), Clock::User));
    }

    #[test]
    fn a_stamp_from_before_or_after_the_clock_was_set_is_not_believed() {
        let stamp = Some(WallTime(WALL - 100_000));
        for (step, clock) in [
            (0, Clock::Kernel),
            (3_000, Clock::Kernel),
            (3_001, Clock::User),
            (-3_001, Clock::User),
        ] {
            let mut empty = reading(4_990_000);
            empty.wall.0 += step;
            assert_eq!(
                reading(5_000_000)
                    .carry(stamp, &empty, &reading(4_999_995))
                    .1,
                clock,
                "{step} ns"
            );
        }
    }

    #[test]
    fn without_a_stamp_and_with_absurd_ones_the_user_time_stands() {
        let carry =
            |stamp| reading(5_000_000).carry(stamp, &reading(4_990_000), &reading(4_999_995));
        for stamp in [
            None,
            Some(WallTime(i64::MIN)),
            Some(WallTime(i64::MAX)),
            Some(WallTime(0)),
        ] {
            assert_eq!(carry(stamp), (at(5_000_000), Clock::User));
        }
    }

    #[test]
    fn stamps_are_read_in_both_widths() {
        let wide = [3_i64.to_ne_bytes(), 7_i64.to_ne_bytes()].concat();
        let narrow = [3_i32.to_ne_bytes(), 7_i32.to_ne_bytes()].concat();
        assert_eq!(WallTime::parse(&wide), Some(WallTime(3_000_000_007)));
        assert_eq!(WallTime::parse(&narrow), Some(WallTime(3_000_000_007)));
        assert!(
            (0..16)
                .filter(|len| *len != 8)
                .all(|len| WallTime::parse(&wide[..len]).is_none())
        );
        let absurd = [i64::MAX.to_ne_bytes(), i64::MAX.to_ne_bytes()].concat();
        assert_eq!(WallTime::parse(&absurd), None);
    }

    #[test]
    fn a_real_reading_carries_a_real_moment() {
        let start = Reading::take();
        let stamp = WallTime(read(ClockId::Realtime));
        std::thread::sleep(Duration::from_millis(1));
        let asked = Reading::take();
        let (moment, clock) = Reading::take().carry(Some(stamp), &start, &asked);
        assert_eq!(clock, Clock::Kernel);
        assert!(start.before <= moment.saturating_add(Reading::TIGHT) && moment < asked.before);
    }
}
