//! Our reading of a packet against that of another parser, etherparse, wherever that one accepts
//! it.

use etherparse::{
    IcmpEchoHeader, Icmpv4Slice, Icmpv4Type, Icmpv6Slice, Icmpv6Type, IpSlice, LaxIpSlice,
};
use hopshot_core::wire::icmp::{Echo, HEADER_LEN, Message};
use hopshot_core::wire::{AddressFamily, Ends, Malformed, ip};
use std::net::IpAddr;

/// An authentication header, which etherparse walks over and we don't: no traceroute sends one.
const AUTHENTICATION: u8 = 51;

/// Reads `octets` as a packet, and once more with the ICMP checksum put right.
pub fn body(octets: &[u8]) {
    let Some(message_at) = packet(octets) else {
        return;
    };
    let mut octets = octets.to_vec();
    let (header, len) = match ip::parse(&octets) {
        Ok((header, message)) if header.is_icmp() && message.len() >= HEADER_LEN => {
            (header, message.len())
        }
        _ => return,
    };
    let message = &mut octets[message_at..][..len];
    message[2..4].fill(0);
    let sum = their_sum(header.ends, message);
    message[2..4].copy_from_slice(&sum.to_be_bytes());
    assert!(!matches!(
        Message::parse(header.ends, message),
        Err(Malformed::Checksum)
    ));
    packet(&octets);
}

/// Compares the two readings of a packet; says where the ICMP message starts in what both have
/// read.
fn packet(octets: &[u8]) -> Option<usize> {
    let theirs = IpSlice::from_slice(octets).ok()?;
    let (hop_limit, traffic_class, first_protocol, jumbo) = match &theirs {
        IpSlice::Ipv4(v4) => {
            let header = v4.header();
            let class = header.dcp().value() << 2 | header.ecn().value();
            (header.ttl(), class, header.protocol().0, false)
        }
        IpSlice::Ipv6(v6) => {
            let header = v6.header();
            (
                header.hop_limit(),
                header.traffic_class(),
                header.next_header().0,
                header.payload_length() == 0,
            )
        }
    };
    let ours = ip::parse(octets);
    let walked_on = first_protocol == AUTHENTICATION
        || matches!(&ours, Ok((header, _)) if header.protocol == AUTHENTICATION);
    // A length of 0 means a jumbogram, or nothing: they take the rest of the buffer, we take
    // nothing.
    if jumbo || walked_on || (ours == Err(Malformed::Fragment) && theirs.is_fragmenting_payload()) {
        return None;
    }
    let (header, payload) = ours.expect("etherparse can read it");
    assert_eq!(
        header.ends,
        Ends {
            source: theirs.source_addr(),
            destination: theirs.destination_addr()
        }
    );
    assert_eq!(
        (header.hop_limit, header.traffic_class),
        (hop_limit, traffic_class)
    );
    assert_eq!(header.protocol, theirs.payload_ip_number().0);
    assert_eq!(payload, theirs.payload().payload);
    if header.is_icmp() {
        message(header.ends, payload);
    }
    Some(payload.as_ptr().addr() - octets.as_ptr().addr())
}

fn message(ends: Ends, octets: &[u8]) {
    // With an end unknown we verify nothing.
    if ends.family() == AddressFamily::V6
        && (ends.source.is_unspecified() || ends.destination.is_unspecified())
    {
        return;
    }
    let ours = Message::parse(ends, octets);
    let echo = match ends.family() {
        AddressFamily::V4 => {
            Icmpv4Slice::from_slice(octets)
                .ok()
                .and_then(|theirs| match theirs.icmp_type() {
                    Icmpv4Type::EchoRequest(echo) => Some((echo, theirs.payload(), true)),
                    Icmpv4Type::EchoReply(echo) => Some((echo, theirs.payload(), false)),
                    _ => None,
                })
        }
        AddressFamily::V6 => {
            Icmpv6Slice::from_slice(octets)
                .ok()
                .and_then(|theirs| match theirs.icmp_type() {
                    Icmpv6Type::EchoRequest(echo) => Some((echo, theirs.payload(), true)),
                    Icmpv6Type::EchoReply(echo) => Some((echo, theirs.payload(), false)),
                    _ => None,
                })
        }
    };
    match ours {
        Ok(Message::EchoRequest(ours)) => same_echo(ours, echo, true),
        Ok(Message::EchoReply(ours)) => same_echo(ours, echo, false),
        Ok(Message::Error(error)) => {
            assert!(echo.is_none());
            quote(error.quoted);
        }
        Err(Malformed::Checksum) => assert_ne!(their_sum(ends, octets), 0),
        Err(_) => assert!(echo.is_none(), "etherparse can read it"),
    }
    if ours.is_ok() {
        assert_eq!(their_sum(ends, octets), 0);
    }
}

fn same_echo(ours: Echo<'_>, theirs: Option<(IcmpEchoHeader, &[u8], bool)>, is_request: bool) {
    let (header, payload, theirs_is_request) = theirs.expect("an Echo to us is one to etherparse");
    assert_eq!(
        (ours.ident, ours.seq, ours.payload),
        (header.id, header.seq, payload)
    );
    assert_eq!(is_request, theirs_is_request);
}

/// The quoted start of a packet: what etherparse reads leniently we read alike; it stops where the
/// length field says.
fn quote(octets: &[u8]) {
    let Ok((theirs, None)) = LaxIpSlice::from_slice(octets) else {
        return;
    };
    let ours = ip::parse_quoted(octets);
    if ours == Err(Malformed::Fragment) && theirs.is_fragmenting_payload() {
        return;
    }
    let (header, payload) = ours.expect("etherparse can read it");
    assert_eq!(
        header.ends,
        Ends {
            source: theirs.source_addr(),
            destination: theirs.destination_addr()
        }
    );
    if header.protocol == theirs.payload_ip_number().0 && header.protocol != AUTHENTICATION {
        assert!(payload.starts_with(theirs.payload().payload));
    }
}

/// The checksum of a message as etherparse reckons it: 0 if its own is right.
fn their_sum(ends: Ends, octets: &[u8]) -> u16 {
    let mut sum = etherparse::checksum::Sum16BitWords::new();
    if let (IpAddr::V6(source), IpAddr::V6(destination)) = (ends.source, ends.destination) {
        let len = u32::try_from(octets.len()).expect("a packet is shorter");
        sum = sum
            .add_16bytes(source.octets())
            .add_16bytes(destination.octets());
        sum = sum
            .add_4bytes(len.to_be_bytes())
            .add_4bytes([0, 0, 0, ip::PROTOCOL_ICMPV6]);
    }
    // It keeps its sum in memory order.
    sum.add_slice(octets).ones_complement().to_be()
}
