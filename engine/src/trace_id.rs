//! Handles of the traces of a driver.

/// A trace among those of a driver. Handles are given out in order, and none comes again: the lower
/// one is the older trace.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub(crate) struct TraceId(u64);

impl TraceId {
    /// The handle of the oldest trace.
    pub(crate) const FIRST: Self = Self(0);

    /// No trace is younger.
    pub(crate) const LAST: Self = Self(u64::MAX);

    /// The handle after so many others.
    pub(crate) const fn after(others: u64) -> Self {
        Self(others)
    }

    /// The next handle.
    pub(crate) const fn next(self) -> Self {
        // Nobody lives to see the last one.
        Self(self.0.saturating_add(1))
    }

    /// How many handles came before.
    pub(crate) const fn age(self) -> u64 {
        self.0
    }
}
