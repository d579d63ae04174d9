//! Any octets into every parser: no panic, and what comes out lies inside what went in.

use crate::ends;
use crate::packets;
use hopshot_core::wire::checksum::Checksum;
use hopshot_core::wire::extensions::Extensions;
use hopshot_core::wire::icmp::{HEADER_LEN, Message, QuotedEcho};
use hopshot_core::wire::tcp::{Flags, QuotedSegment, Segment};
use hopshot_core::wire::udp::Datagram;
use hopshot_core::wire::{AddressFamily, Ends, ip};
use hopshot_core::{Answer, Changes, Echo, Protocol, Tcp, Udp, UdpPayload};

/// Reads `octets` as everything that they might be.
pub fn body(octets: &[u8]) {
    let whole = ip::parse(octets);
    let quoted = ip::parse_quoted(octets);
    if let Ok((header, payload)) = whole {
        assert_within(payload, octets);
        let (same, rest) = quoted.expect("what is whole can be quoted");
        assert_eq!(header, same);
        assert!(
            rest.starts_with(payload),
            "only what follows the packet may be more"
        );
        message(header.ends, payload);
    }
    if let Ok((header, payload)) = quoted {
        assert_within(payload, octets);
        assert!(payload.len() + ip::header_len(header.ends.family()) <= octets.len());
        quoted_echo(header.ends.family(), payload);
    }
    for family in [AddressFamily::V4, AddressFamily::V6] {
        transport(family, octets);
        quoted_echo(family, octets);
        let known = ends::of(family);
        message(known, octets);
        message(
            Ends {
                destination: family.unspecified(),
                ..known
            },
            octets,
        );
        // Behind the checksum there is more to reach.
        message(known, &with_right_checksum(known, octets));
    }
}

/// What the target may say by TCP and UDP, and what errors may quote of them.
fn transport(family: AddressFamily, octets: &[u8]) {
    let unknown = Ends {
        source: ends::of(family).source,
        destination: family.unspecified(),
    };
    for ends in [ends::of(family), unknown] {
        if let Ok(segment) = Segment::parse(ends, octets) {
            let quoted = QuotedSegment::parse(octets).expect("what is whole can be quoted");
            assert_eq!((segment.source, segment.seq), (quoted.source, quoted.seq));
            assert_eq!(segment.destination, quoted.destination);
            let answer = Tcp::answer(ends, Some(9), octets);
            assert_eq!(answer.is_ok(), segment.flags.contains(Flags::ACK));
        }
        if let Ok(answer) = Tcp::answer(ends, Some(9), octets) {
            assert_eq!(Tcp::key(&answer).unwrap() >> 16, word(octets, 2));
            recognize(&answer);
        }
        if let Ok(datagram) = Datagram::parse(ends, octets) {
            assert_within(datagram.payload, octets);
            assert_eq!(datagram.payload.len() + 8, word(octets, 4) as usize);
        }
        if let Ok(answer) = Udp::answer(ends, Some(9), octets) {
            assert_eq!(Udp::key(&answer).unwrap() >> 16, word(octets, 2));
            recognize(&answer);
        }
    }
}

/// An answer, as traces of each protocol see it. A guess that is right is one of 2²⁷ at best.
fn recognize(answer: &Answer<'_>) {
    let ends = ends::of(AddressFamily::of(answer.from));
    let random = *b"0123456789abcdef";
    let _ = Tcp::new(443, random).recognize(ends, answer, Changes::default());
    for payload in [UdpPayload::Plain, UdpPayload::Dns, UdpPayload::Quic] {
        let udp = Udp::new(53, payload, random);
        let _ = udp.recognize(ends, answer, Changes::default());
        let _ = udp.is_reply(ends, answer);
    }
}

fn word(octets: &[u8], at: usize) -> u32 {
    u16::from_be_bytes([octets[at], octets[at + 1]]).into()
}

fn message(ends: Ends, octets: &[u8]) {
    let parsed = Message::parse(ends, octets);
    match parsed {
        Ok(Message::EchoRequest(echo) | Message::EchoReply(echo)) => {
            assert_is_rest(echo.payload, octets);
        }
        Ok(Message::Error(error)) => {
            assert_is_rest(error.quoted, octets);
            let _ = error.mtu(ends.family());
            extensions(&Extensions::of(ends.family(), &error), octets);
        }
        Err(_) => {}
    }
    if let Ok(answer) = Answer::parse(ends, Some(64), octets) {
        assert!(parsed.is_ok());
        assert_eq!((answer.from, answer.hop_limit), (ends.source, Some(64)));
        assert_eq!(answer.icmp, (octets[0], octets[1]));
        let message = packets::came_back(&answer);
        assert_within(message, octets);
        assert!(octets.ends_with(message), "a message goes on to the end");
        recognize(&answer);
        if let Ok(key) = Echo::key(&answer) {
            assert_eq!(key.to_be_bytes(), message[4..8]);
        }
    }
}

/// Reads all of them: they lie inside the message, and there are no more than fit there.
fn extensions(extensions: &Extensions<'_>, message: &[u8]) {
    assert!(extensions.objects().count() <= message.len() / 4);
    for object in extensions.objects() {
        assert_within(object.payload, message);
        if let Some(labels) = object.mpls() {
            assert_eq!(labels.count(), object.payload.len() / 4);
        }
        if let Some(interface) = object.interface() {
            assert_within(interface.name.unwrap_or(object.payload), object.payload);
        }
    }
}

fn quoted_echo(family: AddressFamily, octets: &[u8]) {
    if let Ok(quoted) = QuotedEcho::parse(family, octets) {
        assert_is_rest(quoted.echo.payload, octets);
        assert_eq!(quoted.checksum.to_be_bytes(), octets[2..4]);
        assert_eq!(quoted.echo.ident.to_be_bytes(), octets[4..6]);
        assert_eq!(quoted.echo.seq.to_be_bytes(), octets[6..8]);
    }
}

fn with_right_checksum(ends: Ends, octets: &[u8]) -> Vec<u8> {
    let mut octets = octets.to_vec();
    if octets.len() >= HEADER_LEN {
        octets[2..4].fill(0);
        let sum = Checksum::of_ends(ends, octets.len()).expect("both ends are known");
        let sum = sum.with(&octets).finish();
        octets[2..4].copy_from_slice(&sum.to_be_bytes());
    }
    octets
}

fn assert_within(part: &[u8], whole: &[u8]) {
    let (part, whole) = (part.as_ptr_range(), whole.as_ptr_range());
    assert!(whole.start <= part.start && part.end <= whole.end);
}

fn assert_is_rest(body: &[u8], message: &[u8]) {
    assert_within(body, message);
    assert_eq!(body, &message[HEADER_LEN..]);
}
