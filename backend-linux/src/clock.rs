//! Time: the monotonic clock, and the kernel's receive stamps brought to it.
//!
//! The kernel stamps a packet as it arrives, with `CLOCK_REALTIME`, which anybody may set while a trace runs. So a stamp is
//! never compared with a moment before it was made. It only says how long the packet waited to be read: its age, counted back
//! from now on the monotonic clock. Setting the clock can bend that short wait and nothing else, and a wait that can't be true
//! (less than nothing, or since before the queue was last seen empty) is not believed.

use hopshot_core::Instant;
use rustix::time::{ClockId, clock_gettime};
use std::time::Duration;

/// Which clock the arrival of an answer was read from.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub(crate) enum Clock {
    /// The kernel's, as the packet came in: independent of how busy this machine is.
    Kernel,
    /// This process's, as it read the packet: late by the time that took.
    User,
}

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
    /// Reads a kernel stamp: a `timespec` of two 64-bit numbers, or of two of 32 bits on machines that still count so.
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

fn split<const N: usize>(data: &[u8], number: impl Fn([u8; N]) -> i64) -> Option<(i64, i64)> {
    Some((number(*data.first_chunk()?), number(*data.last_chunk()?)))
}

/// The wall clock, read between two readings of the monotonic clock: what a stamp is carried over with.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Reading {
    before: Instant,
    wall: WallTime,
    after: Instant,
}

impl Reading {
    /// A reading that takes longer than this was interrupted.
    const TIGHT: Duration = Duration::from_micros(10);

    /// How much earlier than the queue was last seen empty a packet of this queue may have been stamped: the stamp is made
    /// before the packet has gone through the stack, which a busy machine may put off.
    const STACK: Duration = Duration::from_millis(1);

    /// Reads both clocks now. Tries again, twice at most, when it was interrupted between the readings.
    pub(crate) fn take() -> Self {
        let once = || Self { before: now(), wall: WallTime(read(ClockId::Realtime)), after: now() };
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

    /// The monotonic time of a stamp, and which clock that is: the kernel's if the stamp can be true of a packet that was read
    /// just before this reading by a call begun at `asked`, from a queue that was empty at `last_empty`.
    ///
    /// A stamp that isn't older than the call is no better than a reading of our own, and may be none of the packet's: where
    /// the kernel had not begun to stamp yet (it begins a moment after the first socket asks), the call made it up.
    pub(crate) fn carry(&self, stamp: Option<WallTime>, last_empty: Instant, asked: Instant) -> (Instant, Clock) {
        let middle = self.before.saturating_add(self.width() / 2).as_nanos();
        let age = stamp.and_then(|stamp| self.wall.0.checked_sub(stamp.0)).and_then(|age| u64::try_from(age).ok());
        let moment = age.map(|age| Instant::from_nanos(middle.saturating_sub(age)));
        match moment.filter(|moment| *moment < asked && moment.saturating_add(Self::STACK) >= last_empty) {
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

    /// Read at 5,000,000 µs and 2 µs on, by a call 5 µs before; the queue was empty at 4,990,000 µs. `ago` in µs on the wall
    /// clock.
    fn carry(ago: i64) -> (Instant, Clock) {
        let reading = Reading { before: at(5_000_000), wall: WallTime(WALL), after: at(5_000_002) };
        reading.carry(Some(WallTime(WALL - ago * 1_000)), at(4_990_000), at(4_999_995))
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
        // The wall clock was set forward while the packet waited; or the stamp is stale. A millisecond is the stack's.
        assert_eq!(carry(11_001).1, Clock::Kernel);
        assert_eq!(carry(11_002), (at(5_000_000), Clock::User));
        assert_eq!(carry(3_600_000_000), (at(5_000_000), Clock::User));
    }

    #[test]
    fn without_a_stamp_and_with_absurd_ones_the_user_time_stands() {
        let reading = Reading { before: at(5), wall: WallTime(i64::MAX), after: at(6) };
        let carry = |stamp| reading.carry(stamp, Instant::EPOCH, at(4));
        assert_eq!(carry(None), (at(5), Clock::User));
        assert_eq!(carry(Some(WallTime(i64::MIN))), (at(5), Clock::User));
        assert_eq!(carry(Some(WallTime(i64::MAX - 50_000))), (Instant::EPOCH, Clock::Kernel));
    }

    #[test]
    fn stamps_are_read_in_both_widths() {
        let wide = [3_i64.to_ne_bytes(), 7_i64.to_ne_bytes()].concat();
        let narrow = [3_i32.to_ne_bytes(), 7_i32.to_ne_bytes()].concat();
        assert_eq!(WallTime::parse(&wide), Some(WallTime(3_000_000_007)));
        assert_eq!(WallTime::parse(&narrow), Some(WallTime(3_000_000_007)));
        assert!((0..16).filter(|len| *len != 8).all(|len| WallTime::parse(&wide[..len]).is_none()));
        let absurd = [i64::MAX.to_ne_bytes(), i64::MAX.to_ne_bytes()].concat();
        assert_eq!(WallTime::parse(&absurd), None);
    }

    #[test]
    fn a_real_reading_carries_a_real_moment() {
        let start = now();
        let stamp = WallTime(read(ClockId::Realtime));
        std::thread::sleep(Duration::from_millis(1));
        let asked = now();
        let (moment, clock) = Reading::take().carry(Some(stamp), start, asked);
        assert_eq!(clock, Clock::Kernel);
        assert!(start <= moment.saturating_add(Reading::TIGHT) && moment < asked);
    }
}
