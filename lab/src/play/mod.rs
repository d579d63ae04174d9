//! The model in real time: namespaces, devices and commands.

pub(crate) mod bench;
pub(crate) mod chain;
mod command;
pub(crate) mod demo;
mod link;
mod namespace;
mod netlink;
mod player;
pub(crate) mod refuse;
pub(crate) mod run;

pub(crate) use command::Conduct;
pub(crate) use link::LinkKind;

use core::fmt;
use core::time::Duration;
use nix::time::{ClockId, clock_gettime};
use thread_priority::unix::{
    RealtimeThreadSchedulePolicy, ThreadSchedulePolicy, set_thread_priority_and_policy, thread_native_id,
};
use thread_priority::{Error as PriorityError, ThreadPriority};

/// Why a command didn't run.
#[derive(Debug)]
pub(crate) enum Failure {
    /// The kernel doesn't give this user what is needed.
    NotPermitted(String),
    /// Something else in the lab failed.
    Lab(String),
    /// The command couldn't be started.
    Command(String, u8),
}

impl Failure {
    /// The exit status: 77 means "skipped" to test harnesses; the others are those of env(1).
    pub(crate) const fn status(&self) -> u8 {
        match self {
            Self::NotPermitted(_) => 77,
            Self::Lab(_) => 125,
            Self::Command(_, status) => *status,
        }
    }
}

impl fmt::Display for Failure {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::NotPermitted(reason) => write!(
                f,
                "no private network here: {reason}. Run as root, or let users make namespaces \
                 (sysctl kernel.unprivileged_userns_clone=1, or kernel.apparmor_restrict_unprivileged_userns=0)"
            ),
            Self::Lab(reason) | Self::Command(reason, _) => f.write_str(reason),
        }
    }
}

/// Turns an error into a [`Failure`] that says what was tried.
trait Context<T> {
    fn context(self, what: &str) -> Result<T, Failure>;
}

impl<T, E: Into<std::io::Error>> Context<T> for Result<T, E> {
    fn context(self, what: &str) -> Result<T, Failure> {
        self.map_err(|error| {
            let error = error.into();
            let reason = format!("{what}: {error}");
            match error.kind() {
                std::io::ErrorKind::PermissionDenied => Failure::NotPermitted(reason),
                _ => Failure::Lab(reason),
            }
        })
    }
}

/// `CLOCK_MONOTONIC`. It can't fail for a clock that every Linux has.
fn clock() -> Duration {
    clock_gettime(ClockId::CLOCK_MONOTONIC).map(Duration::from).unwrap_or_default()
}

/// Puts this thread before all that aren't in a hurry, where that is permitted.
fn real_time() -> Result<(), PriorityError> {
    set_thread_priority_and_policy(
        thread_native_id(),
        ThreadPriority::Min,
        ThreadSchedulePolicy::Realtime(RealtimeThreadSchedulePolicy::Fifo),
    )
}
