//! Messages that were no answer, counted.

use hopshot_core::wire::Malformed;

/// Counts of messages that were received and were no answer to any trace that shares the sockets,
/// from their opening on. The counts saturate. What the kernel's filter turned away is not among
/// them: most of what is about other traces, or about nothing at all, from soon after the first
/// probes on. Nor is what had not been read when a trace had all that it needs. Forgeries are
/// counted by [`Tally::forged`](crate::Tally::forged).
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub struct Rejected {
    /// Cut short before what tells whose they are, or with a header that contradicts itself.
    pub malformed: u32,
    /// With a wrong ICMP checksum. In IPv6, and on ping sockets, the kernel finds those, and may
    /// count them among `dropped`.
    pub bad_checksum: u32,
    /// Readable, but about nothing that a trace on these sockets has sent: also what answers one
    /// that was taken out already.
    pub not_ours: u32,
    /// At most so many were lost because the receive buffer was full; some of them the filter
    /// would have turned away. In IPv6 also with a wrong checksum. 0 where the kernel doesn't
    /// tell (before Linux 4.12).
    pub dropped: u32,
}

impl std::ops::Add for Rejected {
    type Output = Self;

    /// Both together, as of the sockets of both families.
    fn add(self, other: Self) -> Self {
        Self {
            malformed: self.malformed.saturating_add(other.malformed),
            bad_checksum: self.bad_checksum.saturating_add(other.bad_checksum),
            not_ours: self.not_ours.saturating_add(other.not_ours),
            dropped: self.dropped.saturating_add(other.dropped),
        }
    }
}

impl Rejected {
    /// Whether there were none.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        *self == Self::default()
    }

    /// Counts a message that could not be read.
    pub(crate) const fn count(&mut self, malformed: Malformed) {
        let count = match malformed {
            Malformed::Checksum => &mut self.bad_checksum,
            Malformed::Foreign => &mut self.not_ours,
            _ => &mut self.malformed,
        };
        *count = count.saturating_add(1);
    }

    /// Counts an answer that no trace knows of.
    pub(crate) const fn count_not_ours(&mut self) {
        self.count(Malformed::Foreign);
    }
}
