//! Faults of the engine, as errors of the machine that it runs on.

use hopshot_core::ConfigError;
use hopshot_core::wire::AddressFamily;
use std::error::Error;
use std::time::Duration;

/// Errors of a [`Link`](crate::Link): those of the machine, and those of the engine.
pub trait LinkError: Error + From<Fault<Self>> + Send + Sync + 'static {
    /// Returns whether another try may succeed: this machine's network failed, or its name servers
    /// did.
    fn may_pass(&self) -> bool;

    /// Returns whether it is about what this machine lacks that it may have had before, such as an
    /// interface or an address.
    fn is_change(&self) -> bool;

    /// Returns whether a name server's answer says so.
    fn is_answer(&self) -> bool;

    /// Returns the cause alone, without what it happened to and what to do.
    fn reason(&self) -> String;
}

/// An error of the engine.
#[derive(Debug)]
pub enum Fault<E> {
    /// A parameter out of its range.
    Config(ConfigError),
    /// A size that no probe of this family can have.
    Size {
        /// The family.
        family: AddressFamily,
        /// The size that was asked for, in octets.
        given: u16,
        /// The least that there is, in octets.
        least: u16,
    },
    /// There is no room for one more trace.
    Full,
    /// A host of a list was given up, while others could be traced.
    GivenUp {
        /// The failure of the last try.
        reason: Box<E>,
        /// How often it was tried.
        tries: u32,
        /// The time between the first try and the last.
        waited: Duration,
    },
    /// A host of a list waited to be tried again when the list was interrupted.
    Interrupted {
        /// Why it had to wait.
        reason: String,
    },
    /// The rest of a list was not traced: this machine was cut off for longer than an outage may
    /// last.
    Away {
        /// The service that failed, such as `nothing gets through over IPv4`.
        what: &'static str,
        /// For how long.
        waited: Duration,
        /// Why, at last.
        reason: String,
    },
}
