//! The clock of the lab, and its place before other threads.

use core::time::Duration;
use nix::time::{ClockId, clock_gettime};
use thread_priority::unix::{
    RealtimeThreadSchedulePolicy, ThreadSchedulePolicy, set_thread_priority_and_policy,
    thread_native_id,
};
use thread_priority::{Error as PriorityError, ThreadPriority};

/// `CLOCK_MONOTONIC`. It can't fail for a clock that every Linux has.
pub(super) fn clock() -> Duration {
    clock_gettime(ClockId::CLOCK_MONOTONIC)
        .map(Duration::from)
        .unwrap_or_default()
}

/// Puts this thread before all that aren't in a hurry, where that is permitted.
pub(super) fn real_time() -> Result<(), PriorityError> {
    set_thread_priority_and_policy(
        thread_native_id(),
        ThreadPriority::Min,
        ThreadSchedulePolicy::Realtime(RealtimeThreadSchedulePolicy::Fifo),
    )
}
