//! The protocols of probes, and what tells the probes of one trace from those of others. Only this
//! file matches on the protocol.
//!
//! Each protocol is one of core's. The choice among them is made at run time, so it is an enum that
//! implements [`Protocol`] by match.

use crate::memory::Memory;
use hopshot_core::wire::{AddressFamily, BufferTooSmall, Ends, Malformed, icmp, ip, tcp, udp};
use hopshot_core::{Answer, Back, Changes, ConfigError, Discard, Echo, Kind, MIN_PAYLOAD, Match};
use hopshot_core::{Protocol, Quoted, Reply, Sweep, Tcp, TcpAnswer, TcpOptions, Udp, UdpPayload};

use std::net::IpAddr;

/// The protocol of probes, with what of it is asked for.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum ProbeProtocol {
    /// ICMP Echo Requests.
    #[default]
    Icmp,
    /// UDP datagrams to a port.
    Udp {
        /// The destination port, not 0.
        port: u16,
        /// What the datagrams say.
        payload: UdpPayload,
    },
    /// TCP SYNs to a port.
    Tcp {
        /// The destination port, not 0.
        port: u16,
        /// The options that come with them.
        options: TcpOptions,
    },
}

impl ProbeProtocol {
    /// UDP to the first port of classic traceroutes, where hardly anybody listens.
    pub const UNUSED_UDP: Self = Self::Udp {
        port: 33_434,
        payload: UdpPayload::Plain,
    };

    /// Returns its name in documents.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Icmp => "icmp",
            Self::Udp { .. } => "udp",
            Self::Tcp { .. } => "tcp",
        }
    }

    /// Returns whether it is TCP.
    #[must_use]
    pub const fn is_tcp(self) -> bool {
        matches!(self, Self::Tcp { .. })
    }

    /// Returns its number in IP headers.
    #[must_use]
    pub const fn number(self, family: AddressFamily) -> u8 {
        match self {
            Self::Icmp => ip::icmp(family),
            Self::Udp { .. } => udp::PROTOCOL,
            Self::Tcp { .. } => tcp::PROTOCOL,
        }
    }

    /// Returns the destination port, if it has one.
    #[must_use]
    pub const fn port(self) -> Option<u16> {
        match self {
            Self::Icmp => None,
            Self::Udp { port, .. } | Self::Tcp { port, .. } => Some(port),
        }
    }

    /// Returns the flow that a number of 1 to 65,534 stands for. Source ports are those of the
    /// upper half, where few services listen.
    #[must_use]
    pub const fn flow(self, number: u16) -> u16 {
        match self {
            Self::Icmp => number,
            Self::Udp { .. } | Self::Tcp { .. } => 0x8000 | number,
        }
    }

    /// Returns what the target said, if a reply is the target's own.
    #[must_use]
    pub fn target_answer(self, reply: &Reply) -> Option<TargetAnswer> {
        if reply.kind != Kind::Reply {
            return None;
        }
        Some(match self {
            Self::Icmp => TargetAnswer::EchoReply,
            Self::Udp { .. } if reply.icmp_type == 0 => TargetAnswer::Datagram,
            Self::Udp { .. } => TargetAnswer::PortUnreachable,
            Self::Tcp { .. } => match TcpAnswer::of(reply.icmp_code) {
                TcpAnswer::SynAck => TargetAnswer::SynAck,
                TcpAnswer::Rst => TargetAnswer::Rst,
                TcpAnswer::Ack => TargetAnswer::Ack,
            },
        })
    }

    /// Returns whether an answer says that a firewall forbids the probes (RFC 1812, section
    /// 5.2.7.1; RFC 4443, section 3.1). Of ICMP it may mean anything.
    #[must_use]
    pub fn is_filtered(self, reply: &Reply) -> bool {
        let family = AddressFamily::of(reply.from);
        let forbids = matches!(
            (family, reply.icmp_type, reply.icmp_code),
            (AddressFamily::V4, 3, 9 | 10 | 13) | (AddressFamily::V6, 1, 1 | 5 | 6)
        );
        forbids && reply.kind == Kind::Unreachable && self != Self::Icmp
    }

    /// Returns how far the first sweep to a target goes at once, by what is known of it. A SYN that
    /// goes past the end is a connection to somebody's server: there are at most three of them, a
    /// whole one where `are_whole` says so and then two, and nothing is guessed.
    pub(crate) fn sweep(self, are_whole: bool, memory: &Memory, target: IpAddr) -> Option<Sweep> {
        // Another one is for farther out, if neither of the two nearest hops answers.
        const FIRST: u8 = 2;
        match self {
            Self::Tcp { .. } => Some(Sweep::Window {
                first: memory.exactly(target).unwrap_or(FIRST),
                step: if are_whole { 2 } else { 3 },
            }),
            _ => memory.sweep(target),
        }
    }

    /// Returns the names of all that came back otherwise than it was sent, as documents have them.
    pub fn changed(self, changes: Changes) -> impl Iterator<Item = &'static str> {
        changes.names().map(move |name| match (self, name) {
            (Self::Tcp { .. }, "checksum") => "seq",
            _ => name,
        })
    }

    /// Returns whether one probe is to find out how far away the target is before others go as far.
    pub(crate) const fn knocks(self) -> bool {
        self.is_tcp()
    }

    /// Makes the probes of a trace from octets that nobody can predict.
    pub(crate) const fn probes(self, random: u128) -> Probes {
        let random = random.to_be_bytes();
        match self {
            Self::Icmp => Probes::Echo(Echo::new(random)),
            Self::Udp { port, payload } => Probes::Udp(Udp {
                detours: true,
                ..Udp::new(port, payload, random)
            }),
            Self::Tcp { port, options } => Probes::Tcp(Tcp {
                options,
                ..Tcp::new(port, random)
            }),
        }
    }
}

/// The probes of a trace: their protocol, and the identity that all of them share.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum Probes {
    /// ICMP Echo Requests.
    Echo(Echo),
    /// UDP datagrams of one flow.
    Udp(Udp),
    /// TCP SYNs of one flow.
    Tcp(Tcp),
}

/// An answer of the target's own.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum TargetAnswer {
    /// An ICMP Echo Reply.
    EchoReply,
    /// A UDP datagram: somebody listens on the port.
    Datagram,
    /// An ICMP Port Unreachable: nobody listens on the port.
    PortUnreachable,
    /// A TCP SYN/ACK: the port is open.
    SynAck,
    /// A TCP RST: the port is closed.
    Rst,
    /// A TCP ACK alone: the SYN/ACK was lost, and a later SYN has drawn this, so the RTT is too
    /// long.
    Ack,
}

impl TargetAnswer {
    /// Returns its name in documents.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::EchoReply => "echo_reply",
            Self::Datagram => "datagram",
            Self::PortUnreachable => "port_unreachable",
            Self::SynAck => "syn_ack",
            Self::Rst => "rst",
            Self::Ack => "ack",
        }
    }

    /// Returns whether it is an ICMP message.
    #[must_use]
    pub const fn is_icmp(self) -> bool {
        matches!(self, Self::EchoReply | Self::PortUnreachable)
    }

    /// Returns the [`Kind::as_str`] of such an answer: of Echo Replies their own.
    #[must_use]
    pub const fn kind(self) -> &'static str {
        match self {
            Self::EchoReply => Kind::Reply.as_str(),
            _ => "reply",
        }
    }

    /// Returns whether it shows that the port is open, or that it is closed, if it shows that.
    #[must_use]
    pub const fn is_open(self) -> Option<bool> {
        match self {
            Self::SynAck | Self::Datagram => Some(true),
            Self::Rst | Self::PortUnreachable => Some(false),
            Self::EchoReply | Self::Ack => None,
        }
    }
}

/// The key that an answer finds its probe by, among those of all traces on a port: of an Echo
/// Request its ident and its seq; of the others the source port.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Key {
    /// The part that all probes of a trace share.
    pub(crate) ident: u16,
    /// The number of the probe: one more for each, beginning anywhere. `None` where the trace has
    /// the ident for itself, and numbers its probes in its own way.
    pub(crate) seq: Option<u16>,
}

impl Key {
    /// Reads the key of the probe that is answered.
    pub(crate) fn of(answer: &Answer<'_>) -> Result<Self, Malformed> {
        let [a, b, c, d] = Probes::key(answer)?.to_be_bytes();
        let has_seq = !matches!(protocol_of(answer), Some(tcp::PROTOCOL | udp::PROTOCOL));
        Ok(Self {
            ident: u16::from_be_bytes([a, b]),
            seq: has_seq.then_some(u16::from_be_bytes([c, d])),
        })
    }
}

/// Returns the protocol of what came back.
const fn protocol_of(answer: &Answer<'_>) -> Option<u8> {
    match answer.back {
        Back::Reply { protocol, .. } | Back::Quoted(Quoted { protocol, .. }) => Some(protocol),
        _ => None,
    }
}

impl Probes {
    /// Returns the key of the first probe.
    pub(crate) const fn first_key(&self) -> Key {
        match self {
            Self::Echo(echo) => Key {
                ident: echo.ident,
                seq: Some(echo.first_seq),
            },
            Self::Udp(Udp { source_port, .. }) | Self::Tcp(Tcp { source_port, .. }) => Key {
                ident: *source_port,
                seq: None,
            },
        }
    }

    /// Gives the first probe another key.
    pub(crate) fn with_first_key(self, Key { ident, seq }: Key) -> Self {
        match self {
            Self::Echo(echo) => Self::Echo(Echo {
                ident,
                first_seq: seq.unwrap_or(echo.first_seq),
                ..echo
            }),
            other => other.with_source_port(ident),
        }
    }

    /// Returns their protocol, with what of it was asked for.
    pub(crate) const fn protocol(&self) -> ProbeProtocol {
        match *self {
            Self::Echo(_) => ProbeProtocol::Icmp,
            Self::Udp(Udp { port, payload, .. }) => ProbeProtocol::Udp { port, payload },
            Self::Tcp(Tcp { port, options, .. }) => ProbeProtocol::Tcp { port, options },
        }
    }

    /// Returns the source port, if they have one.
    pub(crate) const fn source_port(&self) -> Option<u16> {
        match self {
            Self::Echo(_) => None,
            Self::Udp(Udp { source_port, .. }) | Self::Tcp(Tcp { source_port, .. }) => {
                Some(*source_port)
            }
        }
    }

    const fn with_source_port(self, source_port: u16) -> Self {
        match self {
            Self::Echo(_) => self,
            Self::Udp(udp) => Self::Udp(Udp { source_port, ..udp }),
            Self::Tcp(tcp) => Self::Tcp(Tcp { source_port, ..tcp }),
        }
    }

    /// Returns the source port of the probe with this index, if it has one.
    pub(crate) const fn source_port_of(&self, index: u16) -> Option<u16> {
        match self {
            Self::Tcp(tcp) => Some(tcp.source_port_of(index)),
            other => other.source_port(),
        }
    }

    /// Gives SYNs the options that operating systems send.
    pub(crate) const fn with_options_of_systems(self) -> Self {
        match self {
            Self::Tcp(tcp) => Self::Tcp(Tcp {
                options: TcpOptions::Full,
                ..tcp
            }),
            other => other,
        }
    }

    /// Keeps all probes on one flow, also where silent hops might answer another.
    pub(crate) const fn on_one_flow(self) -> Self {
        match self {
            Self::Tcp(tcp) => Self::Tcp(Tcp {
                detours: false,
                ..tcp
            }),
            Self::Udp(udp) => Self::Udp(Udp {
                detours: false,
                ..udp
            }),
            Self::Echo(_) => self,
        }
    }

    /// Returns the flow: what load balancers look at. Of Echo Requests it is the checksum, of the
    /// others the source port.
    pub(crate) const fn flow(&self) -> u16 {
        match self {
            Self::Echo(echo) => echo.checksum,
            Self::Udp(Udp { source_port, .. }) | Self::Tcp(Tcp { source_port, .. }) => *source_port,
        }
    }

    /// Returns whether others may know the flow, so that it proves nothing.
    pub(crate) const fn flow_is_public(&self) -> bool {
        match self {
            Self::Echo(echo) => echo.checksum_is_public,
            Self::Udp(_) | Self::Tcp(_) => false,
        }
    }

    /// Gives the probes another flow, which others may know.
    pub(crate) const fn with_flow(self, flow: u16, is_public: bool) -> Self {
        match self {
            Self::Echo(echo) => Self::Echo(Echo {
                checksum: flow,
                checksum_is_public: is_public,
                ..echo
            }),
            other => other.with_source_port(flow),
        }
    }

    /// Returns the size of a probe in octets, its IP header included.
    pub(crate) fn size(&self, family: AddressFamily) -> usize {
        ip::header_len(family) + self.message_len()
    }

    /// Gives the probes another size, or returns the least that they can have. A SYN has the one
    /// that it has.
    pub(crate) fn with_size(self, family: AddressFamily, size: u16) -> Result<Self, u16> {
        let payload_len = |headers: usize, least_payload: u16| {
            let headers = u16::try_from(ip::header_len(family) + headers).unwrap_or(u16::MAX);
            let least = headers.saturating_add(least_payload);
            let payload_len = size.checked_sub(headers).filter(|_| size >= least);
            payload_len.ok_or(least)
        };
        match self {
            Self::Echo(echo) => Ok(Self::Echo(Echo {
                payload_len: payload_len(icmp::HEADER_LEN, MIN_PAYLOAD)?,
                ..echo
            })),
            Self::Udp(udp) => Ok(Self::Udp(Udp {
                payload_len: payload_len(udp::HEADER_LEN, udp.payload.least())?,
                ..udp
            })),
            Self::Tcp(_) => Ok(self),
        }
    }
}

impl Protocol for Probes {
    const IDLE: Self = Self::Echo(Echo::IDLE);

    fn number(&self, family: AddressFamily) -> u8 {
        match self {
            Self::Echo(echo) => echo.number(family),
            Self::Udp(udp) => udp.number(family),
            Self::Tcp(tcp) => tcp.number(family),
        }
    }

    fn check(&self) -> Result<(), ConfigError> {
        match self {
            Self::Echo(echo) => echo.check(),
            Self::Udp(udp) => udp.check(),
            Self::Tcp(tcp) => tcp.check(),
        }
    }

    fn message_len(&self) -> usize {
        match self {
            Self::Echo(echo) => echo.message_len(),
            Self::Udp(udp) => udp.message_len(),
            Self::Tcp(tcp) => tcp.message_len(),
        }
    }

    fn emit(&self, ends: Ends, index: u16, message: &mut [u8]) -> Result<(), BufferTooSmall> {
        match self {
            Self::Echo(echo) => echo.emit(ends, index, message),
            Self::Udp(udp) => udp.emit(ends, index, message),
            Self::Tcp(tcp) => tcp.emit(ends, index, message),
        }
    }

    fn recognize(
        &self,
        ends: Ends,
        answer: &Answer<'_>,
        changes: Changes,
    ) -> Result<Match, Discard> {
        match self {
            Self::Echo(echo) => echo.recognize(ends, answer, changes),
            Self::Udp(udp) => udp.recognize(ends, answer, changes),
            Self::Tcp(tcp) => tcp.recognize(ends, answer, changes),
        }
    }

    fn connects(&self) -> bool {
        match self {
            Self::Echo(echo) => echo.connects(),
            Self::Udp(udp) => udp.connects(),
            Self::Tcp(tcp) => tcp.connects(),
        }
    }

    fn detours(&self) -> bool {
        match self {
            Self::Echo(echo) => echo.detours(),
            Self::Udp(udp) => udp.detours(),
            Self::Tcp(tcp) => tcp.detours(),
        }
    }

    fn may_be_unattributed(&self) -> bool {
        match self {
            Self::Echo(echo) => echo.may_be_unattributed(),
            Self::Udp(udp) => udp.may_be_unattributed(),
            Self::Tcp(tcp) => tcp.may_be_unattributed(),
        }
    }

    fn is_reply(&self, ends: Ends, error: &Answer<'_>) -> bool {
        match self {
            Self::Echo(echo) => echo.is_reply(ends, error),
            Self::Udp(udp) => udp.is_reply(ends, error),
            Self::Tcp(tcp) => tcp.is_reply(ends, error),
        }
    }

    fn key(answer: &Answer<'_>) -> Result<u32, Malformed> {
        match protocol_of(answer) {
            Some(tcp::PROTOCOL) => Tcp::key(answer),
            Some(udp::PROTOCOL) => Udp::key(answer),
            _ => Echo::key(answer),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const FAMILIES: [(AddressFamily, u16); 2] = [(AddressFamily::V4, 38), (AddressFamily::V6, 58)];

    #[test]
    fn a_size_is_that_of_the_whole_packet_and_holds_what_an_answer_is_known_by() {
        for (family, least) in FAMILIES {
            for size in [least, 100, 1_500, u16::MAX] {
                let probing = ProbeProtocol::Icmp
                    .probes(7)
                    .with_size(family, size)
                    .unwrap();
                assert_eq!(probing.size(family), usize::from(size));
                assert!(probing.check().is_ok());
            }
            for size in [0, 27, least - 1] {
                assert_eq!(
                    ProbeProtocol::Icmp.probes(7).with_size(family, size),
                    Err(least)
                );
            }
        }
    }

    #[test]
    fn a_probe_has_the_key_and_the_flow_that_it_was_given() {
        for (family, _) in FAMILIES {
            let first = Key {
                ident: 0x1234,
                seq: Some(u16::MAX),
            };
            let probing = ProbeProtocol::Icmp
                .probes(7)
                .with_first_key(first)
                .with_flow(0x5678, true);
            assert_eq!(probing.first_key(), first);
            assert_eq!((probing.flow(), probing.flow_is_public()), (0x5678, true));
            let ends = Ends {
                source: family.unspecified(),
                destination: family.unspecified(),
            };
            let mut message = vec![0; probing.message_len()];
            probing.emit(ends, 2, &mut message).unwrap();
            assert_eq!(message[6..8], 1_u16.to_be_bytes());
            assert_eq!(message[4..6], first.ident.to_be_bytes());
        }
    }
}
