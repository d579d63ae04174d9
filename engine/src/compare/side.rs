//! The sides of a comparison, and what they are called.

use crate::protocol::ProbeProtocol;
use hopshot_core::UdpPayload;
use hopshot_core::wire::AddressFamily;
use std::fmt;

/// A side of a comparison: what it differs from the others by.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum Side {
    /// A protocol, and its port if it has one.
    Protocol(ProbeProtocol),
    /// A family of addresses.
    Family(AddressFamily),
}

impl Side {
    /// Returns its name in documents and on the command line, such as `udp:53` or `4`.
    #[must_use]
    pub fn name(self) -> String {
        match self {
            Self::Protocol(ProbeProtocol::Icmp) => "icmp".to_owned(),
            Self::Protocol(ProbeProtocol::Udp {
                port,
                payload: UdpPayload::Quic,
            }) => format!("quic:{port}"),
            Self::Protocol(ProbeProtocol::Udp { port, .. }) => format!("udp:{port}"),
            Self::Protocol(ProbeProtocol::Tcp { port, .. }) => format!("tcp:{port}"),
            Self::Family(AddressFamily::V4) => "4".to_owned(),
            Self::Family(AddressFamily::V6) => "6".to_owned(),
        }
    }
}

/// For people, such as `UDP 53`.
impl fmt::Display for Side {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Protocol(ProbeProtocol::Icmp) => f.pad("ICMP"),
            Self::Protocol(ProbeProtocol::Udp {
                port,
                payload: UdpPayload::Quic,
            }) => f.pad(&format!("QUIC {port}")),
            Self::Protocol(ProbeProtocol::Udp { port, .. }) => f.pad(&format!("UDP {port}")),
            Self::Protocol(ProbeProtocol::Tcp { port, .. }) => f.pad(&format!("TCP {port}")),
            Self::Family(AddressFamily::V4) => f.pad("IPv4"),
            Self::Family(AddressFamily::V6) => f.pad("IPv6"),
        }
    }
}

/// Joins the names of sides.
pub(super) fn listed(sides: &[Side]) -> String {
    let names: Vec<String> = sides.iter().map(Side::to_string).collect();
    match names.as_slice() {
        [all @ .., last] if !all.is_empty() => format!("{} and {last}", all.join(", ")),
        names => names.concat(),
    }
}
