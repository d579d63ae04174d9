//! IP headers, RFC 791 and RFC 8200: each as octets that are read, as a header that is written,
//! field by field, and made from its fields.

use crate::network::{ends, octets};
use hopshot_core::wire::ip::{self, Header, PROTOCOL_ICMP, PROTOCOL_ICMPV6};
use hopshot_core::wire::{AddressFamily, BufferTooSmall, Malformed};
use std::net::IpAddr;

/// A traffic class of DSCP 46 and ECN 1, a hop limit of 7.
const V4: &str = "45 b9 00 1c 00 00 40 00 07 01 86 90 c0 00 02 01 c6 33 64 63";
const V6: &str = "6b 90 00 00 00 08 3a 07 20 01 0d b8 00 01 00 00 00 00 00 00 00 00 00 01 \
    20 01 0d b8 00 09 00 00 00 00 00 00 00 00 00 99";
/// What follows both.
const PAYLOAD: &str = "08 00 c5 c5 1d e7 5e b0";

fn header(family: AddressFamily) -> Header {
    let protocol = if family == AddressFamily::V4 {
        PROTOCOL_ICMP
    } else {
        PROTOCOL_ICMPV6
    };
    Header {
        ends: ends(family),
        hop_limit: 7,
        traffic_class: 0xb9,
        protocol,
    }
}

#[test]
fn a_header_is_read_and_written_octet_by_octet() {
    for (family, hex) in [(AddressFamily::V4, V4), (AddressFamily::V6, V6)] {
        let golden = octets(hex);
        let packet = octets(&format!("{hex} {PAYLOAD}"));
        assert_eq!(
            ip::parse(&packet),
            Ok((header(family), &octets(PAYLOAD)[..]))
        );
        assert_eq!(ip::header_len(family), golden.len());
        let mut buf = vec![0xa5; golden.len() + 4];
        assert_eq!(header(family).emit(8, &mut buf), Ok(golden.len()));
        assert_eq!(buf[..golden.len()], golden);
        assert_eq!(
            buf[golden.len()..],
            [0xa5; 4],
            "nothing is written past the end"
        );
        let mut short = vec![0xa5; golden.len() - 1];
        assert_eq!(
            header(family).emit(8, &mut short),
            Err(BufferTooSmall {
                needed: golden.len()
            })
        );
        assert!(short.iter().all(|octet| *octet == 0xa5));
        assert!(header(family).is_icmp());
    }
}

fn address<const N: usize>(octets: &[u8]) -> IpAddr
where
    IpAddr: From<[u8; N]>,
{
    <[u8; N]>::try_from(octets).unwrap().into()
}

#[test]
fn the_fields_stand_where_the_rfcs_have_them() {
    let [v4, v6] = [V4, V6].map(octets);
    let (read, _) = ip::parse_quoted(&v4).unwrap();
    assert_eq!(
        (read.traffic_class, read.hop_limit, read.protocol),
        (v4[1], v4[8], v4[9])
    );
    assert_eq!(read.ends.source, address::<4>(&v4[12..16]));
    assert_eq!(read.ends.destination, address::<4>(&v4[16..20]));
    let (read, _) = ip::parse_quoted(&v6).unwrap();
    assert_eq!(
        (read.traffic_class, read.hop_limit, read.protocol),
        (0xb9, v6[7], v6[6])
    );
    assert_eq!(read.ends.source, address::<16>(&v6[8..24]));
    assert_eq!(read.ends.destination, address::<16>(&v6[24..40]));
}

#[test]
fn options_stand_between_an_ipv4_header_and_its_payload() {
    // Record Route with one place, and no operation: 28 octets of header, IHL 7.
    let hex = "47 b9 00 24 00 00 40 00 07 01 00 00 c0 00 02 01 c6 33 64 63 07 07 04 00 00 00 00 01";
    let packet = octets(&format!("{hex} {PAYLOAD} a5 a5"));
    let (read, payload) = ip::parse(&packet).unwrap();
    assert_eq!(
        (read, payload),
        (header(AddressFamily::V4), &octets(PAYLOAD)[..]),
        "padding of the link is cut off"
    );
    // The most that there can be: IHL 15, sixty octets.
    let mut most = octets(&format!("{V4}\n01 * 40\n{PAYLOAD}"));
    most[0] = 0x4f;
    assert_eq!(
        ip::parse_quoted(&most),
        Ok((header(AddressFamily::V4), &octets(PAYLOAD)[..]))
    );
}

#[test]
fn extension_headers_stand_between_an_ipv6_header_and_its_payload() {
    let extension_headers = [
        ("hop-by-hop options", 0, "3a 00 01 04 00 00 00 00"),
        (
            "destination options of 24 octets",
            60,
            "3a 02 01 14 00 00 00 00 00 00 00 00 00 00 00 00 00 00 00 00 00 00 00 00",
        ),
        ("routing", 43, "3a 00 04 00 00 00 00 00"),
        ("the first fragment", 44, "3a 00 00 01 12 34 56 78"),
        (
            "a reserved field of a fragment that isn't zero",
            44,
            "3a ff 00 06 12 34 56 78",
        ),
        (
            "hop-by-hop, routing and destination options",
            0,
            "2b 00 01 04 00 00 00 00 3c 00 04 00 00 00 00 00 3a 00 01 04 00 00 00 00",
        ),
    ];
    for (what, first, hex) in extension_headers {
        let mut packet = octets(&format!("{V6} {hex} {PAYLOAD}"));
        packet[6] = first;
        packet[5] = u8::try_from(packet.len() - 40).unwrap();
        assert_eq!(
            ip::parse(&packet),
            Ok((header(AddressFamily::V6), &octets(PAYLOAD)[..])),
            "{what}"
        );
        // Cut anywhere in the extension headers there is no payload to be found.
        for len in 40..packet.len() - 8 {
            assert_eq!(
                ip::parse_quoted(&packet[..len]),
                Err(Malformed::Truncated),
                "{what}, {len} octets"
            );
        }
    }
}

#[test]
fn what_is_no_extension_header_ends_the_walk() {
    for protocol in [1, 4, 6, 17, 41, 50, 51, 59, 135] {
        let mut packet = octets(&format!("{V6} {PAYLOAD}"));
        packet[6] = protocol;
        let (read, payload) = ip::parse(&packet).unwrap();
        assert_eq!(
            (read.protocol, read.is_icmp(), payload.len()),
            (protocol, false, 8)
        );
    }
}

#[test]
fn a_packet_shorter_than_its_length_field_says_is_not_whole_but_can_be_quoted() {
    for (hex, low) in [(V4, 3), (V6, 5)] {
        let mut packet = octets(&format!("{hex} {PAYLOAD}"));
        packet[low] += 1;
        assert_eq!(ip::parse(&packet), Err(Malformed::Truncated));
        assert!(ip::parse_quoted(&packet).is_ok());
    }
}

#[test]
fn a_payload_that_is_too_long_for_the_length_field_is_written_as_the_longest() {
    let mut buf = [0xa5; 40];
    header(AddressFamily::V4).emit(65_516, &mut buf).unwrap();
    assert_eq!(buf[2..4], [0xff, 0xff]);
    header(AddressFamily::V6).emit(65_536, &mut buf).unwrap();
    assert_eq!(buf[4..6], [0xff, 0xff]);
}

#[test]
fn every_other_version_is_refused() {
    for family in (0..16).filter(|family| !matches!(family, 4 | 6)) {
        let mut packet = octets(&format!("{V6} {PAYLOAD}"));
        packet[0] = family << 4 | 5;
        assert_eq!(
            ip::parse_quoted(&packet),
            Err(Malformed::Header),
            "version {family}"
        );
    }
    assert_eq!(ip::parse_quoted(&[]), Err(Malformed::Truncated));
}
