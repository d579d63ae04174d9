//! The octets of an answer: an error with its quote, as routers make it and as translators leave
//! it, or an Echo Reply.

use crate::hop::{Hop, Nat};
use crate::map::{INSIDE, OUTSIDE};
use core::time::Duration;
use hopshot_core::wire::checksum::Checksum;
use hopshot_core::wire::{AddressFamily, Ends, icmp, ip};
use std::net::IpAddr;

/// A packet for the client.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Delivery {
    /// When it is due.
    pub due: Duration,
    /// The whole packet, from its IP header on.
    pub packet: Vec<u8>,
    /// Which answer in the log this is: the probe's index and the answer's; `None` for what nobody
    /// asked for.
    pub answer: Option<(usize, usize)>,
}

/// A packet that may be answered.
pub(crate) struct Request<'a> {
    pub(crate) header: ip::Header,
    pub(crate) echo: icmp::Echo<'a>,
    pub(crate) checksum: u16,
    pub(crate) packet: &'a [u8],
}

impl<'a> Request<'a> {
    /// Reads an Echo Request; anything else isn't answered by anybody here.
    pub(crate) fn parse(packet: &'a [u8]) -> Option<Self> {
        let (header, message) = ip::parse(packet).ok()?;
        let (true, Ok(icmp::Message::EchoRequest(echo))) =
            (header.is_icmp(), icmp::Message::parse(header.ends, message))
        else {
            return None;
        };
        let checksum = u16::from_be_bytes([message[2], message[3]]);
        Some(Self {
            header,
            echo,
            checksum,
            packet,
        })
    }

    pub(crate) fn family(&self) -> AddressFamily {
        self.header.ends.family()
    }

    /// Whether a router may cut it in pieces: IPv6's never may.
    pub(crate) fn may_be_fragmented(&self) -> bool {
        /// Among the flags of an IPv4 header (RFC 791, section 3.1).
        const DONT_FRAGMENT: u8 = 0x40;
        self.family() == AddressFamily::V4 && self.packet[6] & DONT_FRAGMENT == 0
    }
}

/// An error to make.
pub(crate) struct Report {
    pub(crate) icmp_type: u8,
    pub(crate) code: u8,
    pub(crate) rest: u32,
    /// The hop limit that the request had left when it got there.
    pub(crate) left: u8,
}

/// The whole packet of an Echo Reply.
pub(crate) fn echo_reply(request: &Request<'_>, from: IpAddr, hop_limit: u8) -> Vec<u8> {
    let ends = Ends {
        source: from,
        destination: request.header.ends.source,
    };
    let mut message = vec![0; icmp::HEADER_LEN + request.echo.payload.len()];
    let emitted = icmp::Message::EchoReply(request.echo).emit(ends, &mut message);
    debug_assert!(emitted.is_ok(), "the buffer has the message's length");
    wrap(ends, hop_limit, &message)
}

/// The whole packet of an error.
pub(crate) fn error(
    request: &Request<'_>,
    from: IpAddr,
    hop_limit: u8,
    report: &Report,
    by: &Hop,
) -> Vec<u8> {
    let ends = Ends {
        source: from,
        destination: request.header.ends.source,
    };
    let family = ends.family();
    let mut body = quote(request, by, report.left);
    let mut rest = report.rest;
    let extension = extension(by, from);
    if !extension.is_empty() {
        // RFC 4884, sections 4.1 and 4.2: a quote of 128 octets, its length in words of 4 (IPv4) or
        // 8 (IPv6) octets.
        body.resize(128, 0);
        body.extend_from_slice(&extension);
        rest |= match family {
            _ if by.unsaid => 0,
            AddressFamily::V4 => 32 << 16,
            AddressFamily::V6 => 16 << 24,
        };
    }
    let mut message = vec![report.icmp_type, report.code, 0, 0];
    message.extend_from_slice(&rest.to_be_bytes());
    message.extend_from_slice(&body);
    let checksum = checksum(ends, &message) ^ if by.bad_checksum { 0x5555 } else { 0 };
    message[2..4].copy_from_slice(&checksum.to_be_bytes());
    wrap(ends, hop_limit, &message)
}

/// Puts the IP header before a message.
pub(crate) fn wrap(ends: Ends, hop_limit: u8, message: &[u8]) -> Vec<u8> {
    let family = ends.family();
    let protocol = match family {
        AddressFamily::V4 => ip::PROTOCOL_ICMP,
        AddressFamily::V6 => ip::PROTOCOL_ICMPV6,
    };
    let mut packet = vec![0; ip::header_len(family)];
    let emitted = ip::Header {
        ends,
        hop_limit,
        traffic_class: 0,
        protocol,
    }
    .emit(message.len(), &mut packet);
    debug_assert!(emitted.is_ok(), "the buffer has the header's length");
    packet.extend_from_slice(message);
    packet
}

/// The ICMP checksum of a message whose checksum field is zero.
pub(crate) fn checksum(ends: Ends, message: &[u8]) -> u16 {
    Checksum::of_ends(ends, message.len())
        .unwrap_or_default()
        .with(message)
        .finish()
}

/// The start of the request as the router saw it: its hop limit nearly used up, and what a
/// translator changed still changed.
fn quote(request: &Request<'_>, by: &Hop, left: u8) -> Vec<u8> {
    let family = request.family();
    let mut quote = request.packet.to_vec();
    // Where the addresses are, how long they are, where the hop limit is, where the ICMP header
    // starts.
    let (source, length, hop_limit, icmp) = match family {
        AddressFamily::V4 => (12, 4, 8, usize::from(quote[0] & 0x0f) * 4),
        AddressFamily::V6 => (
            8,
            16,
            7,
            quote.len() - icmp::HEADER_LEN - request.echo.payload.len(),
        ),
    };
    quote[hop_limit] = by.quoted_hop_limit.unwrap_or(left);
    for change in &by.nat {
        match change {
            Nat::Source => put(&mut quote[source..source + length], OUTSIDE.address(family)),
            Nat::Destination => put(
                &mut quote[source + length..source + 2 * length],
                INSIDE.address(family),
            ),
            Nat::Ident => quote[icmp + 5] ^= 0x0f,
            Nat::Checksum => quote[icmp + 2] ^= 0x0f,
        }
    }
    let ends = ip::parse_quoted(&quote).map_or(request.header.ends, |(header, _)| header.ends);
    if !by.nat.is_empty() && !by.nat.contains(&Nat::Checksum) {
        // A translator keeps the checksum right for what it changed.
        quote[icmp + 2..icmp + 4].fill(0);
        let sum = checksum(ends, &quote[icmp..]);
        quote[icmp + 2..icmp + 4].copy_from_slice(&sum.to_be_bytes());
    }
    let header_len = match family {
        AddressFamily::V4 => {
            quote[10..12].fill(0);
            let sum = Checksum::new().with(&quote[..icmp]).finish();
            quote[10..12].copy_from_slice(&sum.to_be_bytes());
            icmp
        }
        AddressFamily::V6 => ip::header_len(family),
    };
    // RFC 1812, section 4.3.2.3, and RFC 4443, section 2.4: so long that the whole error has 576 or
    // 1,280 octets.
    let whole = match family {
        AddressFamily::V4 => 576 - 20 - icmp::HEADER_LEN,
        AddressFamily::V6 => 1280 - 40 - icmp::HEADER_LEN,
    };
    quote.truncate(by.quote.map_or(whole, |octets| header_len + octets));
    quote
}

fn put(place: &mut [u8], address: IpAddr) {
    match address {
        IpAddr::V4(address) => place.copy_from_slice(&address.octets()),
        IpAddr::V6(address) => place.copy_from_slice(&address.octets()),
    }
}

/// The extension structure (RFC 4884, section 7), or nothing.
fn extension(by: &Hop, from: IpAddr) -> Vec<u8> {
    let mut octets = vec![0x20, 0, 0, 0];
    if !by.mpls.is_empty() {
        // RFC 4950: class 1, type 1, label stack entries of four octets.
        let last = by.mpls.len() - 1;
        let entries = by.mpls.iter().enumerate().flat_map(|(index, entry)| {
            let bottom = u32::from(index == last);
            (entry.label << 12 | u32::from(entry.tc) << 9 | bottom << 8 | u32::from(entry.ttl))
                .to_be_bytes()
        });
        object(&mut octets, 1, 1, &entries.collect::<Vec<_>>());
    }
    if let Some(interface) = &by.interface {
        // RFC 5837, section 4: incoming interface (role 0) with index, address, name and MTU.
        let mut payload = interface.index.to_be_bytes().to_vec();
        who(&mut payload, from, &interface.name);
        payload.extend_from_slice(&interface.mtu.to_be_bytes());
        object(&mut octets, 2, 0b0000_1111, &payload);
    }
    if let Some(name) = &by.node {
        let mut payload = Vec::new();
        who(&mut payload, from, name);
        object(&mut octets, 5, 0b0000_0110, &payload);
    }
    if octets.len() == 4 {
        return Vec::new();
    }
    if by.unsummed {
        return octets;
    }
    let sum = Checksum::new().with(&octets).finish();
    octets[2..4].copy_from_slice(&sum.to_be_bytes());
    octets
}

/// An address with its family, and a name that is padded with zeros (RFC 5837, sections 4.3 and
/// 4.4).
fn who(payload: &mut Vec<u8>, address: IpAddr, name: &str) {
    match address {
        IpAddr::V4(address) => {
            payload.extend_from_slice(&[0, 1, 0, 0]);
            payload.extend_from_slice(&address.octets());
        }
        IpAddr::V6(address) => {
            payload.extend_from_slice(&[0, 2, 0, 0]);
            payload.extend_from_slice(&address.octets());
        }
    }
    let mut name = name.as_bytes().to_vec();
    name.truncate(63);
    name.resize((name.len() + 4) / 4 * 4 - 1, 0);
    payload.push(u8::try_from(name.len() + 1).unwrap_or(64));
    payload.extend_from_slice(&name);
}

fn object(octets: &mut Vec<u8>, class: u8, class_type: u8, payload: &[u8]) {
    let length = u16::try_from(payload.len() + 4).unwrap_or(u16::MAX);
    octets.extend_from_slice(&length.to_be_bytes());
    octets.extend_from_slice(&[class, class_type]);
    octets.extend_from_slice(payload);
}
