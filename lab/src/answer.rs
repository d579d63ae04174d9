//! A request, and the octets of an answer: an error with its quote, as routers make it and as
//! translators leave it, or an Echo Reply.

use crate::hop::{Hop, Nat};
use crate::map::{INSIDE, OUTSIDE};
use crate::translator::outside;
use crate::transport::{self, Datagram, Flow, Ports, Protocol, Segment};
use core::ops::Range;
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
    pub(crate) packet: &'a [u8],
    /// Where the message behind the IP header starts.
    pub(crate) start: usize,
    pub(crate) body: Body<'a>,
}

/// The message of a request.
#[derive(Clone, Copy)]
pub(crate) enum Body<'a> {
    Echo(icmp::Echo<'a>),
    Segment(Segment),
    Datagram(Datagram<'a>),
}

impl<'a> Request<'a> {
    /// Reads an Echo Request, a TCP segment or a UDP datagram; anything else isn't answered by
    /// anybody here.
    pub(crate) fn parse(packet: &'a [u8]) -> Option<Self> {
        let (header, message) = ip::parse(packet).ok()?;
        let family = header.ends.family();
        let body = match Protocol::numbered(header.protocol, family)? {
            Protocol::Icmp => match icmp::Message::parse(header.ends, message) {
                Ok(icmp::Message::EchoRequest(echo)) => Body::Echo(echo),
                _ => return None,
            },
            Protocol::Tcp => Body::Segment(Segment::parse(message)?),
            Protocol::Udp => Body::Datagram(Datagram::parse(message)?),
        };
        // In IPv6 there may be extension headers between.
        let length = match family {
            AddressFamily::V4 => u16::from_be_bytes([packet[2], packet[3]]).into(),
            AddressFamily::V6 => usize::from(u16::from_be_bytes([packet[4], packet[5]])) + 40,
        };
        Some(Self {
            header,
            packet: &packet[..length],
            start: length - message.len(),
            body,
        })
    }

    pub(crate) fn family(&self) -> AddressFamily {
        self.header.ends.family()
    }

    /// What is behind the IP header.
    pub(crate) fn message(&self) -> &'a [u8] {
        &self.packet[self.start..]
    }

    pub(crate) const fn protocol(&self) -> Protocol {
        match self.body {
            Body::Echo(_) => Protocol::Icmp,
            Body::Segment(_) => Protocol::Tcp,
            Body::Datagram(_) => Protocol::Udp,
        }
    }

    pub(crate) fn echo(&self) -> Option<icmp::Echo<'a>> {
        match self.body {
            Body::Echo(echo) => Some(echo),
            Body::Segment(_) | Body::Datagram(_) => None,
        }
    }

    pub(crate) fn segment(&self) -> Option<Segment> {
        match self.body {
            Body::Segment(segment) => Some(segment),
            Body::Echo(_) | Body::Datagram(_) => None,
        }
    }

    pub(crate) fn ports(&self) -> Option<Ports> {
        match self.body {
            Body::Echo(_) => None,
            Body::Segment(segment) => Some(segment.ports),
            Body::Datagram(datagram) => Some(datagram.ports),
        }
    }

    /// The connection that it belongs to.
    pub(crate) fn flow(&self) -> Option<Flow> {
        Some(Flow::new(self.header.ends, self.ports()?))
    }

    /// The checksum of the message.
    pub(crate) fn checksum(&self) -> u16 {
        transport::checksum(self.protocol(), self.message())
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
pub(crate) fn echo_reply(ends: Ends, echo: icmp::Echo<'_>, hop_limit: u8) -> Vec<u8> {
    let mut message = vec![0; icmp::HEADER_LEN + echo.payload.len()];
    let emitted = icmp::Message::EchoReply(echo).emit(ends, &mut message);
    debug_assert!(emitted.is_ok(), "the buffer has the message's length");
    wrap(ends, Protocol::Icmp, hop_limit, &message)
}

/// What is left of a hop limit after the way back from a hop: the sender itself doesn't count.
pub(crate) const fn remaining(hop_limit: u8, hop: u8) -> u8 {
    let left = hop_limit.saturating_sub(hop.saturating_sub(1));
    if left == 0 { 1 } else { left }
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
    wrap(ends, Protocol::Icmp, hop_limit, &message)
}

/// Puts the IP header before a message.
pub(crate) fn wrap(ends: Ends, protocol: Protocol, hop_limit: u8, message: &[u8]) -> Vec<u8> {
    let family = ends.family();
    let mut packet = vec![0; ip::header_len(family)];
    let emitted = ip::Header {
        ends,
        hop_limit,
        traffic_class: 0,
        protocol: protocol.number(family),
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
    let (hop_limit, start) = (
        if family == AddressFamily::V4 { 8 } else { 7 },
        request.start,
    );
    quote[hop_limit] = by.quoted_hop_limit.unwrap_or(left);
    match request.protocol() {
        Protocol::Icmp => translate_echo(&mut quote, request, &by.nat),
        protocol => translate(&mut quote, request, protocol, &by.nat),
    }
    let header_len = match family {
        AddressFamily::V4 => {
            quote[10..12].fill(0);
            let sum = Checksum::new().with(&quote[..start]).finish();
            quote[10..12].copy_from_slice(&sum.to_be_bytes());
            start
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

/// Changes a quoted Echo Request.
fn translate_echo(quote: &mut [u8], request: &Request<'_>, changes: &[Nat]) {
    let (family, icmp) = (request.family(), request.start);
    for change in changes {
        match change {
            Nat::Source => put(&mut quote[addresses(family).0], OUTSIDE.address(family)),
            Nat::Destination => put(&mut quote[addresses(family).1], INSIDE.address(family)),
            Nat::Port => {}
            Nat::Ident => quote[icmp + 5] ^= 0x0f,
            Nat::Checksum => quote[icmp + 2] ^= 0x0f,
        }
    }
    let ends = ip::parse_quoted(quote).map_or(request.header.ends, |(header, _)| header.ends);
    if !changes.is_empty() && !changes.contains(&Nat::Checksum) {
        // A translator keeps the checksum right for what it changed.
        quote[icmp + 2..icmp + 4].fill(0);
        let sum = checksum(ends, &quote[icmp..]);
        quote[icmp + 2..icmp + 4].copy_from_slice(&sum.to_be_bytes());
    }
}

/// Changes a quoted TCP segment or UDP datagram, with its checksum unless that is to be wrong.
fn translate(quote: &mut [u8], request: &Request<'_>, protocol: Protocol, changes: &[Nat]) {
    let family = request.family();
    let (header, message) = quote.split_at_mut(request.start);
    for change in changes {
        let (place, address) = match change {
            Nat::Source => (addresses(family).0, OUTSIDE.address(family)),
            Nat::Destination => (addresses(family).1, INSIDE.address(family)),
            Nat::Port => {
                let port = request.ports().map_or(0, |ports| ports.source);
                transport::set_source_port(message, protocol, outside(port));
                continue;
            }
            Nat::Ident | Nat::Checksum => continue,
        };
        let old = header[place.clone()].to_vec();
        put(&mut header[place.clone()], address);
        transport::adjust(message, protocol, &old, &header[place]);
    }
    if changes.contains(&Nat::Checksum) {
        transport::set_checksum(message, protocol, request.checksum() ^ 0x0f00);
    }
}

/// Where in an IP header the source and the destination are.
const fn addresses(family: AddressFamily) -> (Range<usize>, Range<usize>) {
    match family {
        AddressFamily::V4 => (12..16, 16..20),
        AddressFamily::V6 => (8..24, 24..40),
    }
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
