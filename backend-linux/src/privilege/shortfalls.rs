//! Shortfalls of a sandbox.

use std::io;

/// Rights that could not be taken from this process. It has no privilege all the same: that is an
/// error, and not among these.
#[must_use = "what is left open is worth telling"]
#[derive(Debug, Default)]
pub struct Shortfalls(Vec<Shortfall>);

/// A part of a sandbox that isn't there.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum Shortfall {
    /// Threads that were running before, and keep what they had.
    #[error("{0} other threads were running already, and are not confined")]
    OtherThreads(usize),

    /// Filters of the sockets can still be changed.
    #[error("can't set and lock the socket's filter: {0}")]
    SocketFilter(io::Error),

    /// Landlock, which files and processes take, isn't in this kernel, or is switched off.
    #[error("this kernel has no Landlock")]
    NoLandlock,

    /// Landlock of a kernel that knows less than this library.
    #[error("this kernel's Landlock knows files, but not all else")]
    PartialLandlock,

    /// Landlock that failed.
    #[error("no Landlock: {0}")]
    Landlock(String),

    /// The filter of system calls, which this kernel or this library doesn't have for this
    /// architecture.
    #[error("no seccomp filter: {0}")]
    Filter(String),
}

impl Shortfalls {
    pub(crate) fn note(&mut self, done: Result<(), Shortfall>) {
        self.0.extend(done.err());
    }

    /// Whether nothing is missing.
    #[must_use]
    pub const fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    /// Each of them.
    pub fn iter(&self) -> std::slice::Iter<'_, Shortfall> {
        self.0.iter()
    }
}

impl<'a> IntoIterator for &'a Shortfalls {
    type Item = &'a Shortfall;
    type IntoIter = std::slice::Iter<'a, Shortfall>;

    fn into_iter(self) -> Self::IntoIter {
        self.iter()
    }
}
