//! The facts that all results have.

use crate::link::SocketKind;
use crate::protocol::ProbeProtocol;
use crate::rejected::Rejected;
use hopshot_core::Reason;
use std::net::IpAddr;
use std::ops::AddAssign;
use std::time::{Duration, SystemTime};

/// The facts that every result has, be it of one trace or of a search of many.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct Summary {
    /// The host as it was given: a name or an address.
    pub host: String,
    /// The address that was traced.
    pub target: IpAddr,
    /// The address that the probes left from. Of a search for all paths this is the first flow's,
    /// of a search for an MTU that of the last part of the path: the machine may have got another
    /// address meanwhile.
    pub source: IpAddr,
    /// The protocol of the probes.
    pub protocol: ProbeProtocol,
    /// The kind of socket that was used.
    pub socket: SocketKind,
    /// The start, on the wall clock.
    pub started: SystemTime,
    /// The time from the start to the end, on the monotonic clock. Look-ups of names are not
    /// included.
    pub duration: Duration,
    /// The number of probes that left this machine, in all traces of a search together.
    pub probes_sent: usize,
    /// The reasons of these probes.
    pub reasons: Reasons,
    /// Counts of received messages that answered no probe.
    pub rejected: Rejected,
}

/// Counts of probes by the reason why they were sent: see [`Reason`].
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
#[non_exhaustive]
pub struct Reasons {
    /// Probes of the first sweep.
    pub sweep: usize,
    /// Further attempts that were asked for.
    pub attempts: usize,
    /// Probes to hops that were silent.
    pub retries: usize,
    /// More of them, to a hop that may be the target itself.
    pub rechecks: usize,
    /// Probes that were to find out how far away the target is.
    pub knocks: usize,
    /// Echo Requests that were to find out whether it is the target that answers.
    pub checks: usize,
}

impl Reasons {
    pub(crate) const fn count(&mut self, reason: Reason) {
        let count = match reason {
            Reason::Sweep => &mut self.sweep,
            Reason::Attempt => &mut self.attempts,
            Reason::Retry => &mut self.retries,
            Reason::Recheck => &mut self.rechecks,
            _ => return,
        };
        *count += 1;
    }
}

impl AddAssign for Reasons {
    fn add_assign(&mut self, other: Self) {
        self.sweep += other.sweep;
        self.attempts += other.attempts;
        self.retries += other.retries;
        self.rechecks += other.rechecks;
        self.knocks += other.knocks;
        self.checks += other.checks;
    }
}
