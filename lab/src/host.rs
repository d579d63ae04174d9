//! The target's entry in a scenario: where it is, how often it answers, and what its ports do.

use crate::hop::Limit;
use crate::transport::Protocol;
use serde::Deserialize;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};

/// The target.
#[derive(Clone, Debug, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct Target {
    /// Its IPv4 address.
    pub v4: Ipv4Addr,
    /// Its IPv6 address.
    pub v6: Ipv6Addr,
    /// Its name.
    pub name: String,
    /// So many hosts are there side by side: this address and those that follow it. The name is
    /// the first one's.
    pub count: u32,
    /// So many bits further left in an IPv6 address stands the number of the host among these:
    /// with 80 each is in a /48 of its own.
    pub shift_v6: u8,
    /// It never answers.
    pub silent: bool,
    /// How much longer it takes for an answer.
    pub slow_ms: f64,
    /// The protocols of the probes that it takes longer for. Left out: all.
    pub slow_for: Vec<Protocol>,
    /// How many answers it sends.
    pub limit: Option<Limit>,
    /// How many ICMP errors it sends, of all its answers: about closed UDP ports.
    pub errors: Option<Limit>,
    /// How many octets after the IP header its errors quote.
    pub quote: Option<usize>,
    /// It answers only some of each burst.
    pub partial: Option<Partial>,
    /// It answers from this IPv4 address.
    pub reply_v4: Option<Ipv4Addr>,
    /// It answers from this IPv6 address.
    pub reply_v6: Option<Ipv6Addr>,
    /// The hop limit that its answers start with.
    pub hop_limit: u8,
    /// What its TCP ports do.
    pub tcp: TcpPorts,
    /// What its UDP ports do.
    pub udp: UdpPorts,
    /// It sends a SYN/ACK again, after 1 s and each time twice as long, until an RST or an ACK
    /// comes. On virtual time nobody sends one.
    pub resends: bool,
}

impl Target {
    /// The number of a host among those at the target's place.
    pub(crate) fn place(&self, address: IpAddr) -> Option<u32> {
        let place = match address {
            IpAddr::V4(address) => address.to_bits().wrapping_sub(self.v4.to_bits()).into(),
            IpAddr::V6(address) => address
                .to_bits()
                .wrapping_sub(self.v6.to_bits())
                .rotate_right(self.shift_v6.into()),
        };
        u32::try_from(place)
            .ok()
            .filter(|place| *place < self.count)
    }
}

/// A host that answers only part of a burst.
#[derive(Clone, Copy, Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Partial {
    /// So many requests are dropped when nothing came for 10 s: the neighbour's address is still
    /// being asked for.
    pub skip: u32,
    /// So many are answered in each window.
    pub answer: u32,
    /// How long a window is.
    pub window_ms: f64,
}

/// TCP ports; those in no list are closed.
#[derive(Clone, Debug, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct TcpPorts {
    /// A SYN gets a SYN/ACK. Ports 80 and 443 unless given.
    pub open: Vec<u16>,
    /// Nothing gets an answer.
    pub filtered: Vec<u16>,
    /// The last router answers that it is forbidden.
    pub rejected: Vec<u16>,
}

/// UDP ports; those in no list are closed: ICMP says that there is nobody.
#[derive(Clone, Debug, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct UdpPorts {
    /// A datagram comes back as it is. Port 7 unless given.
    pub echo: Vec<u16>,
    /// QUIC: a long header of an unknown version, in 1,200 octets or more, gets a Version
    /// Negotiation (RFC 9000, section 6). Port 443 unless given.
    pub quic: Vec<u16>,
    /// Nothing gets an answer: filtered, or a service that isn't spoken to in its language.
    pub filtered: Vec<u16>,
    /// The last router answers that it is forbidden.
    pub rejected: Vec<u16>,
}

/// What a port does.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Port {
    /// A TCP port that accepts connections.
    Open,
    /// A UDP port that echoes.
    Echo,
    /// A UDP port that speaks QUIC.
    Quic,
    /// Silent.
    Filtered,
    /// Refused by the last router.
    Rejected,
    /// Nobody listens.
    Closed,
}

impl Port {
    /// What the first list with a port says.
    fn of(port: u16, lists: &[(&[u16], Self)]) -> Self {
        lists
            .iter()
            .find(|(list, _)| list.contains(&port))
            .map_or(Self::Closed, |(_, does)| *does)
    }
}

impl Target {
    /// What a port does.
    pub(crate) fn port(&self, protocol: Protocol, port: u16) -> Port {
        let Self { tcp, udp, .. } = self;
        match protocol {
            Protocol::Icmp => Port::Open,
            Protocol::Tcp => Port::of(
                port,
                &[
                    (&tcp.filtered, Port::Filtered),
                    (&tcp.rejected, Port::Rejected),
                    (&tcp.open, Port::Open),
                ],
            ),
            Protocol::Udp => Port::of(
                port,
                &[
                    (&udp.filtered, Port::Filtered),
                    (&udp.rejected, Port::Rejected),
                    (&udp.quic, Port::Quic),
                    (&udp.echo, Port::Echo),
                ],
            ),
        }
    }
}

impl Default for TcpPorts {
    fn default() -> Self {
        Self {
            open: vec![80, 443],
            filtered: Vec::new(),
            rejected: Vec::new(),
        }
    }
}

impl Default for UdpPorts {
    fn default() -> Self {
        Self {
            echo: vec![7],
            quic: vec![443],
            filtered: Vec::new(),
            rejected: Vec::new(),
        }
    }
}

impl Default for Target {
    fn default() -> Self {
        Self {
            v4: Ipv4Addr::new(10, 255, 0, 80),
            v6: Ipv6Addr::new(0x2001, 0xdb8, 0xffff, 0, 0, 0, 0, 0x80),
            name: "target.example".to_owned(),
            count: 1,
            shift_v6: 0,
            silent: false,
            slow_ms: 0.0,
            slow_for: Vec::new(),
            limit: None,
            errors: None,
            quote: None,
            partial: None,
            reply_v4: None,
            reply_v6: None,
            hop_limit: 64,
            tcp: TcpPorts::default(),
            udp: UdpPorts::default(),
            resends: false,
        }
    }
}
