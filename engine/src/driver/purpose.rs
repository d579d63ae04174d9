//! The purpose of a port: traces, or checks of traces by other protocols.

use crate::link::Port;
use crate::protocol::ProbeProtocol;
use crate::settings::ProbeSettings;

/// Those whose probes leave by a port.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(super) enum Purpose {
    /// Traces of the job.
    Traces,
    /// Checks alone. Such a port has an ident of its own.
    Checks,
    /// Traces, and checks of traces by other protocols.
    Both,
}

impl Purpose {
    /// Returns what a port is used for by traces with these settings.
    pub(super) fn of(port: Port, settings: &[&ProbeSettings]) -> Self {
        let number = |protocol: ProbeProtocol| protocol.number(port.family);
        let mut all = settings.iter().map(|settings| settings.protocol);
        let is_own = all.any(|protocol| number(protocol) == port.protocol);
        let is_icmp = number(ProbeProtocol::Icmp) == port.protocol;
        let mut others = settings.iter().map(|settings| settings.protocol);
        match (
            is_own,
            is_icmp && others.any(|protocol| protocol != ProbeProtocol::Icmp),
        ) {
            (true, true) => Self::Both,
            (true, false) => Self::Traces,
            (false, _) => Self::Checks,
        }
    }
}
