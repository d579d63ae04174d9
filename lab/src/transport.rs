//! Headers of TCP (RFC 9293) and UDP (RFC 768), read and written without the core's own code: the
//! lab is what that code is tested against.

use core::net::SocketAddr;
use hopshot_core::wire::checksum::Checksum;
use hopshot_core::wire::{AddressFamily, Ends, ip};
use serde::{Deserialize, Serialize};
use std::net::IpAddr;

/// Flags of a TCP header.
pub(crate) const FIN: u8 = 0x01;
pub(crate) const SYN: u8 = 0x02;
pub(crate) const RST: u8 = 0x04;
pub(crate) const ACK: u8 = 0x10;

/// The least octets of a header.
const TCP_HEADER_LEN: usize = 20;
const UDP_HEADER_LEN: usize = 8;

/// Places in a header.
const SOURCE_PORT: usize = 0;
const DESTINATION_PORT: usize = 2;
const SEQ: usize = 4;
const ACK_NUMBER: usize = 8;

/// A protocol of probes.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Protocol {
    /// ICMP or ICMPv6.
    #[default]
    Icmp,
    /// TCP.
    Tcp,
    /// UDP.
    Udp,
}

impl Protocol {
    /// The number in the IP header.
    pub(crate) const fn number(self, family: AddressFamily) -> u8 {
        match self {
            Self::Icmp => ip::icmp(family),
            Self::Tcp => 6,
            Self::Udp => 17,
        }
    }

    /// The protocol with this number.
    pub(crate) fn numbered(number: u8, family: AddressFamily) -> Option<Self> {
        [Self::Icmp, Self::Tcp, Self::Udp]
            .into_iter()
            .find(|protocol| protocol.number(family) == number)
    }

    /// Where the checksum stands in a header.
    const fn checksum_at(self) -> usize {
        match self {
            Self::Icmp => 2,
            Self::Tcp => 16,
            Self::Udp => 6,
        }
    }
}

/// The two ports of a TCP segment or a UDP datagram.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
pub struct Ports {
    /// The sender's.
    pub source: u16,
    /// The receiver's.
    pub destination: u16,
}

impl Ports {
    pub(crate) const fn reversed(self) -> Self {
        Self {
            source: self.destination,
            destination: self.source,
        }
    }
}

/// What a firewall or a host knows a connection by.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) struct Flow {
    source: SocketAddr,
    destination: SocketAddr,
}

impl Flow {
    pub(crate) fn new(ends: Ends, ports: Ports) -> Self {
        Self {
            source: SocketAddr::new(ends.source, ports.source),
            destination: SocketAddr::new(ends.destination, ports.destination),
        }
    }
}

/// A TCP segment.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Segment {
    pub(crate) ports: Ports,
    pub(crate) seq: u32,
    pub(crate) ack: u32,
    pub(crate) flags: u8,
    /// How far it moves the sequence number: its payload, and one for SYN and FIN each.
    pub(crate) length: u32,
}

impl Segment {
    /// Reads a segment. Its checksum is the receiver's concern.
    pub(crate) fn parse(message: &[u8]) -> Option<Self> {
        let header_len = header_len(message)?;
        let flags = message[13];
        let payload = u32::try_from(message.len() - header_len).ok()?;
        let of = |flag| u32::from(flags & flag != 0);
        Some(Self {
            ports: ports(message),
            seq: u32_at(message, SEQ),
            ack: u32_at(message, ACK_NUMBER),
            flags,
            length: payload + of(SYN) + of(FIN),
        })
    }

    pub(crate) const fn has(&self, flag: u8) -> bool {
        self.flags & flag != 0
    }

    /// The RST with which a host refuses it (RFC 9293, section 3.5.2).
    pub(crate) const fn refusal(&self) -> Self {
        let (seq, ack, flags) = if self.has(ACK) {
            (self.ack, 0, RST)
        } else {
            (0, self.seq.wrapping_add(self.length), RST | ACK)
        };
        Self {
            ports: self.ports.reversed(),
            seq,
            ack,
            flags,
            length: 0,
        }
    }
}

/// The length of a TCP header, if it is whole.
fn header_len(message: &[u8]) -> Option<usize> {
    let len = usize::from(*message.get(12)? >> 4) * 4;
    (TCP_HEADER_LEN..=message.len())
        .contains(&len)
        .then_some(len)
}

/// A UDP datagram.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Datagram<'a> {
    pub(crate) ports: Ports,
    pub(crate) payload: &'a [u8],
}

impl<'a> Datagram<'a> {
    /// Reads a datagram. Its checksum is the receiver's concern.
    pub(crate) fn parse(message: &'a [u8]) -> Option<Self> {
        let length = usize::from(u16_at(message.get(..UDP_HEADER_LEN)?, 4));
        Some(Self {
            ports: ports(message),
            payload: message.get(UDP_HEADER_LEN..length)?,
        })
    }
}

/// The octets of a segment without payload; with an MSS option if there is a number for it.
pub(crate) fn segment(ends: Ends, segment: &Segment, window: u16, mss: Option<u16>) -> Vec<u8> {
    let mut message = Vec::with_capacity(TCP_HEADER_LEN + 4);
    message.extend_from_slice(&segment.ports.source.to_be_bytes());
    message.extend_from_slice(&segment.ports.destination.to_be_bytes());
    message.extend_from_slice(&segment.seq.to_be_bytes());
    message.extend_from_slice(&segment.ack.to_be_bytes());
    message.extend_from_slice(&[if mss.is_some() { 0x60 } else { 0x50 }, segment.flags]);
    message.extend_from_slice(&window.to_be_bytes());
    message.extend_from_slice(&[0; 4]);
    if let Some(mss) = mss {
        message.extend_from_slice(&[2, 4]);
        message.extend_from_slice(&mss.to_be_bytes());
    }
    seal(ends, Protocol::Tcp, &mut message);
    message
}

/// The octets of a datagram.
pub(crate) fn datagram(ends: Ends, ports: Ports, payload: &[u8]) -> Vec<u8> {
    let length = u16::try_from(UDP_HEADER_LEN + payload.len()).unwrap_or(u16::MAX);
    let mut message = Vec::with_capacity(length.into());
    message.extend_from_slice(&ports.source.to_be_bytes());
    message.extend_from_slice(&ports.destination.to_be_bytes());
    message.extend_from_slice(&length.to_be_bytes());
    message.extend_from_slice(&[0, 0]);
    message.extend_from_slice(payload);
    seal(ends, Protocol::Udp, &mut message);
    message
}

/// Writes the checksum.
pub(crate) fn seal(ends: Ends, protocol: Protocol, message: &mut [u8]) {
    set_checksum(message, protocol, 0);
    let sum = sent(sum(ends, protocol, message), protocol);
    set_checksum(message, protocol, sum);
}

/// A checksum as it is sent: in UDP a zero would say that there is none (RFC 768).
const fn sent(sum: u16, protocol: Protocol) -> u16 {
    match protocol {
        Protocol::Udp if sum == 0 => 0xffff,
        _ => sum,
    }
}

/// The checksum over the pseudo-header (RFC 9293, section 3.1; RFC 8200, section 8.1) and a message
/// as it is: zero if the message holds its own right checksum.
fn sum(ends: Ends, protocol: Protocol, message: &[u8]) -> u16 {
    let octets = |address| match address {
        IpAddr::V4(address) => address.octets().to_vec(),
        IpAddr::V6(address) => address.octets().to_vec(),
    };
    let length = u32::try_from(message.len()).unwrap_or(u32::MAX);
    Checksum::new()
        .with(&octets(ends.source))
        .with(&octets(ends.destination))
        .with(&length.to_be_bytes())
        .with(&[0, protocol.number(ends.family())])
        .with(message)
        .finish()
}

/// The checksum that a message carries.
pub(crate) fn checksum(protocol: Protocol, message: &[u8]) -> u16 {
    u16_at(message, protocol.checksum_at())
}

/// Writes another checksum.
pub(crate) fn set_checksum(message: &mut [u8], protocol: Protocol, sum: u16) {
    let at = protocol.checksum_at();
    message[at..at + 2].copy_from_slice(&sum.to_be_bytes());
}

/// Whether a receiver takes a message's checksum for right. A UDP datagram over IPv4 may have none
/// (RFC 768).
pub(crate) fn is_right(ends: Ends, protocol: Protocol, message: &[u8]) -> bool {
    let message = match protocol {
        Protocol::Udp => message.get(..u16_at(message, 4).into()).unwrap_or(message),
        Protocol::Icmp | Protocol::Tcp => message,
    };
    if protocol == Protocol::Udp && checksum(protocol, message) == 0 {
        return ends.family() == AddressFamily::V4;
    }
    sum(ends, protocol, message) == 0
}

/// Translates the source port.
pub(crate) fn set_source_port(message: &mut [u8], protocol: Protocol, port: u16) {
    rewrite(message, protocol, SOURCE_PORT, &port.to_be_bytes());
}

/// Translates the destination port.
pub(crate) fn set_destination_port(message: &mut [u8], protocol: Protocol, port: u16) {
    rewrite(message, protocol, DESTINATION_PORT, &port.to_be_bytes());
}

/// Changes the sequence number of a TCP segment.
pub(crate) fn set_seq(message: &mut [u8], seq: u32) {
    rewrite(message, Protocol::Tcp, SEQ, &seq.to_be_bytes());
}

/// Changes the acknowledgement number of a TCP segment.
pub(crate) fn set_ack(message: &mut [u8], ack: u32) {
    rewrite(message, Protocol::Tcp, ACK_NUMBER, &ack.to_be_bytes());
}

/// Lowers the MSS option of a TCP segment, if it has one and that is greater.
pub(crate) fn clamp_mss(message: &mut [u8], greatest: u16) {
    let Some(header_len) = header_len(message) else {
        return;
    };
    let mut at = TCP_HEADER_LEN;
    // The end of the options, no operation, or a kind with its length.
    while let [kind @ 1..=u8::MAX, rest @ ..] = &message[at..header_len] {
        let length = match (*kind, rest) {
            (1, _) => 1,
            (_, [length, ..]) if *length >= 2 => usize::from(*length),
            _ => return,
        };
        if let (2, [4, high, low, ..]) = (*kind, rest)
            && u16::from_be_bytes([*high, *low]) > greatest
        {
            rewrite(message, Protocol::Tcp, at + 2, &greatest.to_be_bytes());
        }
        at = (at + length).min(header_len);
    }
}

/// Writes octets into a message, and carries them over into its checksum.
fn rewrite(message: &mut [u8], protocol: Protocol, at: usize, new: &[u8]) {
    // The checksum is made of words.
    let words = at & !1..((at + new.len() + 1) & !1).min(message.len());
    let old = message[words.clone()].to_vec();
    message[at..at + new.len()].copy_from_slice(new);
    let new = message[words].to_vec();
    adjust(message, protocol, &old, &new);
}

/// Carries a change of words, of the message or of the addresses before it, over into its checksum
/// (RFC 1624): a right one stays right, a wrong one wrong.
pub(crate) fn adjust(message: &mut [u8], protocol: Protocol, old: &[u8], new: &[u8]) {
    let at = protocol.checksum_at();
    let Some(&[high, low]) = message.get(at..at + 2) else {
        return;
    };
    if protocol == Protocol::Udp && [high, low] == [0, 0] {
        return;
    }
    let gone: Vec<u8> = old.iter().map(|octet| !octet).collect();
    let sum = Checksum::new()
        .with(&[!high, !low])
        .with(&gone)
        .with(new)
        .finish();
    set_checksum(message, protocol, sent(sum, protocol));
}

/// The ports of a message that has them.
pub(crate) fn ports(message: &[u8]) -> Ports {
    Ports {
        source: u16_at(message, SOURCE_PORT),
        destination: u16_at(message, DESTINATION_PORT),
    }
}

fn u16_at(message: &[u8], at: usize) -> u16 {
    u16::from_be_bytes([message[at], message[at + 1]])
}

fn u32_at(message: &[u8], at: usize) -> u32 {
    u32::from(u16_at(message, at)) << 16 | u32::from(u16_at(message, at + 2))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn ends(source: &str, destination: &str) -> Ends {
        Ends {
            source: source.parse().unwrap(),
            destination: destination.parse().unwrap(),
        }
    }

    const PORTS: Ports = Ports {
        source: 40_000,
        destination: 443,
    };

    /// Segments and datagrams of both families, the segments with an MSS of 1,460.
    fn messages() -> impl Iterator<Item = (Ends, Protocol, Vec<u8>)> {
        let both = [
            ends("10.0.0.2", "10.255.0.80"),
            ends("2001:db8::2", "2001:db8:ffff::80"),
        ];
        let syn = Segment {
            ports: PORTS,
            seq: 0xffff_fffe,
            ack: 0,
            flags: SYN,
            length: 1,
        };
        both.into_iter().flat_map(move |ends| {
            let tcp = segment(ends, &syn, 64_240, Some(1460));
            assert_eq!(Segment::parse(&tcp), Some(syn));
            let udp = datagram(ends, PORTS, b"odd");
            let parsed = Datagram {
                ports: PORTS,
                payload: b"odd",
            };
            assert_eq!(Datagram::parse(&udp), Some(parsed));
            [(ends, Protocol::Tcp, tcp), (ends, Protocol::Udp, udp)]
        })
    }

    #[test]
    fn a_syn_and_a_datagram_to_the_octet() {
        let all: Vec<_> = messages().map(|(.., message)| message).collect();
        assert_eq!(
            all[0],
            [
                0x9c, 0x40, 1, 0xbb, 0xff, 0xff, 0xff, 0xfe, 0, 0, 0, 0, 0x60, 2, 0xfa, 0xf0, 0xe9,
                0xea, 0, 0, 2, 4, 5, 0xb4
            ]
        );
        assert_eq!(
            all[3],
            [0x9c, 0x40, 1, 0xbb, 0, 11, 0x32, 0x84, b'o', b'd', b'd']
        );
    }

    #[test]
    fn what_is_translated_stays_right_and_what_was_wrong_stays_wrong() {
        for (ends, protocol, right) in messages() {
            for bit in [None, Some(77)] {
                let mut message = right.clone();
                if let Some(bit) = bit {
                    message[bit % right.len()] ^= 1;
                }
                for port in [1, 40_000, 65_535] {
                    set_source_port(&mut message, protocol, port);
                    set_destination_port(&mut message, protocol, port ^ 5);
                    if protocol == Protocol::Tcp {
                        set_seq(&mut message, u32::from(port) << 9);
                        set_ack(&mut message, 7);
                        clamp_mss(&mut message, 1360);
                    }
                    assert_eq!(is_right(ends, protocol, &message), bit.is_none());
                }
            }
        }
    }

    #[test]
    fn a_datagram_without_a_checksum_is_right_in_ipv4_only_and_stays_so() {
        for (ends, protocol, mut message) in messages() {
            if protocol == Protocol::Udp {
                message[6..8].fill(0);
                set_source_port(&mut message, protocol, 9);
                let is_v4 = ends.family() == AddressFamily::V4;
                assert_eq!(
                    (&message[6..8], is_right(ends, protocol, &message)),
                    (&[0, 0][..], is_v4)
                );
            }
        }
    }

    #[test]
    fn a_checksum_of_zero_is_sent_as_ones() {
        for (ends, ..) in messages() {
            let all = (1..=u16::MAX).map(|source| {
                let ports = Ports { source, ..PORTS };
                let message = datagram(ends, ports, b"");
                assert!(is_right(ends, Protocol::Udp, &message));
                checksum(Protocol::Udp, &message)
            });
            assert_eq!(
                all.filter(|sum| [0, 0xffff].contains(sum)).max(),
                Some(0xffff)
            );
        }
    }

    #[test]
    fn an_mss_is_lowered_wherever_its_option_stands() {
        let (ends, _, plain) = messages().next().unwrap();
        let with = |options: &[u8]| {
            let mut message = plain[..TCP_HEADER_LEN].to_vec();
            message.extend_from_slice(options);
            message[12] = 0x50 + u8::try_from(options.len() / 4 * 16).unwrap();
            seal(ends, Protocol::Tcp, &mut message);
            clamp_mss(&mut message, 1360);
            assert!(is_right(ends, Protocol::Tcp, &message));
            message.split_off(TCP_HEADER_LEN)
        };
        assert_eq!(with(&[2, 4, 5, 0xb4]), [2, 4, 5, 0x50]);
        // At an odd octet, behind SACK permitted.
        assert_eq!(
            with(&[1, 4, 2, 2, 4, 5, 0xb4, 0]),
            [1, 4, 2, 2, 4, 5, 0x50, 0]
        );
        // Smaller already, after the end, cut short, of an impossible length.
        for options in [[2, 4, 4, 0], [0, 2, 4, 9], [1, 2, 4, 9], [9, 0, 2, 4]] {
            assert_eq!(with(&options), options);
        }
    }

    #[test]
    fn what_is_cut_short_is_neither() {
        for (_, protocol, message) in messages() {
            for length in 0..message.len() {
                let cut = &message[..length];
                let is_read = match protocol {
                    Protocol::Tcp => Segment::parse(cut).is_some(),
                    _ => Datagram::parse(cut).is_some(),
                };
                assert!(!is_read, "{protocol:?} of {length} octets");
            }
        }
    }
}
