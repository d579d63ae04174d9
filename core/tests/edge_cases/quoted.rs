//! Cases 1 to 9: the datagram that an error quotes.

use crate::network::{BOTH, Trace, config, error, octets, probe_packet, router, stranger};
use hopshot_core::wire::icmp::Type;
use hopshot_core::wire::{AddressFamily, Malformed, ip};
use hopshot_core::{Changes, Discard, Evidence, Reply};

/// Time Exceeded from the first router with this quote.
fn quoting(family: AddressFamily, quoted: &[u8]) -> Result<Reply, Discard> {
    let message = error(router(family, 1), Type::TimeExceeded, 0, 0, quoted);
    Trace::new(family)
        .handle(10, router(family, 1), &message)
        .map(|heard| heard.reply)
}

fn malformed(reason: Malformed) -> Result<Reply, Discard> {
    Err(Discard::Malformed(reason))
}

const fn header_len(family: AddressFamily) -> usize {
    ip::header_len(family)
}

/// Where the hop limit is.
const fn hop_limit_at(family: AddressFamily) -> usize {
    match family {
        AddressFamily::V4 => 8,
        AddressFamily::V6 => 7,
    }
}

#[test]
fn case_01_eight_quoted_octets_of_the_probe_are_enough() {
    let golden = [
        (
            AddressFamily::V4,
            "0b 00 aa a2 00 00 00 00 45 00 00 34 00 00 40 00 01 01 8d 31 c0 00 02 01 c6 33 64 63 \
            08 00 c5 c5 1d e7 5e b0",
        ),
        (
            AddressFamily::V6,
            "03 00 e7 84 00 00 00 00 60 00 00 00 00 20 3a 01 20 01 0d b8 00 01 00 00 00 00 00 00 00 00 00 01 \
            20 01 0d b8 00 09 00 00 00 00 00 00 00 00 00 99 80 00 c5 c5 1d e7 5e b0",
        ),
    ];
    for (family, hex) in golden {
        let message = octets(hex);
        let heard = Trace::new(family)
            .handle(10, router(family, 1), &message)
            .unwrap();
        assert_eq!(
            (heard.reply.probe.hop, heard.reply.evidence()),
            (1, Evidence::Strong)
        );
    }
}

#[test]
fn case_01_every_longer_quote_is_as_good() {
    for family in BOTH {
        let packet = probe_packet(family);
        for len in header_len(family) + 8..=packet.len() {
            let reply = quoting(family, &packet[..len]).unwrap();
            assert_eq!(
                (reply.probe.hop, reply.evidence()),
                (1, Evidence::Strong),
                "{len} octets"
            );
        }
        // Padding behind the probe, up to what RFC 1812 and RFC 4443 permit.
        let mut padded = packet;
        padded.resize(1232, 0);
        assert!(quoting(family, &padded).is_ok());
    }
}

#[test]
fn case_02_fewer_than_eight_quoted_octets_are_nobodys_answer() {
    for family in BOTH {
        let packet = probe_packet(family);
        for len in 0..header_len(family) + 8 {
            assert_eq!(
                quoting(family, &packet[..len]),
                malformed(Malformed::Truncated),
                "{len} octets"
            );
        }
    }
}

#[test]
fn case_02_a_message_of_fewer_than_eight_octets_is_none() {
    for family in BOTH {
        let whole = error(router(family, 1), Type::TimeExceeded, 0, 0, &[]);
        for len in 0..8 {
            let heard = Trace::new(family).handle(10, router(family, 1), &whole[..len]);
            assert_eq!(
                heard.unwrap_err(),
                Discard::Malformed(Malformed::Truncated),
                "{len} octets"
            );
        }
    }
}

#[test]
fn case_03_a_quoted_header_with_options_is_walked_by_its_ihl() {
    // Eight octets of Record Route, as a probe with the option has them on its way.
    let hex = "47 00 00 3c 00 00 40 00 01 01 00 00 c0 00 02 01 c6 33 64 63 07 07 08 c0 00 02 fe 01 \
        08 00 c5 c5 1d e7 5e b0";
    assert_eq!(
        quoting(AddressFamily::V4, &octets(hex)).unwrap().probe.hop,
        1
    );
}

#[test]
fn case_03_a_quoted_ihl_below_five_contradicts_itself() {
    for ihl in 0..5 {
        let mut packet = probe_packet(AddressFamily::V4);
        packet[0] = 0x40 | ihl;
        assert_eq!(
            quoting(AddressFamily::V4, &packet),
            malformed(Malformed::Header),
            "IHL {ihl}"
        );
    }
}

#[test]
fn case_03_a_quoted_ihl_beyond_the_message_points_nowhere() {
    for ihl in 6..16 {
        let mut packet = probe_packet(AddressFamily::V4);
        packet[0] = 0x40 | ihl;
        packet.truncate(28);
        let expected = if ihl <= 7 {
            Malformed::Truncated
        } else {
            Malformed::Header
        };
        assert_eq!(
            quoting(AddressFamily::V4, &packet),
            malformed(expected),
            "IHL {ihl}"
        );
    }
}

#[test]
fn case_03_an_ihl_that_points_into_the_probe_finds_no_echo_there() {
    for ihl in 6..=13 {
        let mut packet = probe_packet(AddressFamily::V4);
        packet[0] = 0x40 | ihl;
        let discard = quoting(AddressFamily::V4, &packet).unwrap_err();
        assert!(
            matches!(discard, Discard::Malformed(_) | Discard::NotOurs),
            "IHL {ihl}: {discard:?}"
        );
    }
}

#[test]
fn case_04_the_quoted_ttl_is_told_and_never_matched_on() {
    for family in BOTH {
        for hop_limit in [0, 1, 2, 64, 255] {
            let mut packet = probe_packet(family);
            packet[hop_limit_at(family)] = hop_limit;
            let reply = quoting(family, &packet).unwrap();
            assert_eq!(
                (reply.quoted_hop_limit, reply.evidence()),
                (Some(hop_limit), Evidence::Strong)
            );
        }
    }
}

#[test]
fn case_05_a_translated_source_is_harmless_and_told() {
    for family in BOTH {
        let mut packet = probe_packet(family);
        packet[header_len(family) - if family == AddressFamily::V4 { 5 } else { 17 }] ^= 0x2a;
        let reply = quoting(family, &packet).unwrap();
        assert_eq!(
            (reply.changes, reply.evidence()),
            (Changes::SOURCE, Evidence::Strong)
        );
    }
}

#[test]
fn case_05_a_translated_destination_or_checksum_is_weak_and_told() {
    for family in BOTH {
        for (at, change) in [
            (header_len(family) - 1, Changes::DESTINATION),
            (header_len(family) + 2, Changes::CHECKSUM),
        ] {
            let mut packet = probe_packet(family);
            packet[at] ^= 0x2a;
            let reply = quoting(family, &packet).unwrap();
            assert_eq!(
                (reply.probe.hop, reply.changes, reply.evidence()),
                (1, change, Evidence::Weak)
            );
        }
    }
}

#[test]
fn case_05_a_quoted_header_checksum_that_is_wrong_means_nothing() {
    let mut packet = probe_packet(AddressFamily::V4);
    packet[10..12].fill(0);
    assert_eq!(
        quoting(AddressFamily::V4, &packet).unwrap().evidence(),
        Evidence::Strong
    );
}

#[test]
fn case_06_the_quoted_length_and_offset_may_be_in_the_order_of_the_host() {
    // 00 34 and 40 00 the other way round, as kernels of the BSD family quoted them; and a length
    // without the header.
    for (length, flags) in [
        ([0x34, 0x00], [0x40, 0x00]),
        ([0x00, 0x20], [0x40, 0x00]),
        ([0, 0], [0, 0]),
        ([0xff, 0xff], [0, 0]),
    ] {
        let mut packet = probe_packet(AddressFamily::V4);
        packet[2..4].copy_from_slice(&length);
        packet[6..8].copy_from_slice(&flags);
        assert_eq!(
            quoting(AddressFamily::V4, &packet).unwrap().probe.hop,
            1,
            "{length:02x?} {flags:02x?}"
        );
    }
    for length in [[0x20, 0x00], [0, 0], [0xff, 0xff]] {
        let mut packet = probe_packet(AddressFamily::V6);
        packet[4..6].copy_from_slice(&length);
        assert_eq!(
            quoting(AddressFamily::V6, &packet).unwrap().probe.hop,
            1,
            "{length:02x?}"
        );
    }
}

#[test]
fn case_06_dont_fragment_in_the_order_of_the_host_is_not_an_offset() {
    // DF alone is 40 00; read the other way round it would be an offset of 64 units.
    let mut packet = probe_packet(AddressFamily::V4);
    packet[6..8].copy_from_slice(&[0x00, 0x40]);
    assert_eq!(quoting(AddressFamily::V4, &packet).unwrap().probe.hop, 1);
}

#[test]
fn case_07_a_remarked_tos_is_harmless_and_told() {
    for (family, at, value, class) in [
        (AddressFamily::V4, 1, 0xb9, 0xb9),
        (AddressFamily::V6, 0, 0x6b, 0xb0),
    ] {
        let mut packet = probe_packet(family);
        packet[at] = value;
        let reply = quoting(family, &packet).unwrap();
        assert_eq!(
            (reply.changes, reply.evidence()),
            (Changes::TRAFFIC_CLASS, Evidence::Strong)
        );
        assert_eq!(reply.quoted_traffic_class, Some(class));
    }
}

#[test]
fn case_08_a_quoted_fragment_that_isnt_the_first_has_no_echo_in_it() {
    for offset in [1, 0x1fff] {
        let mut packet = probe_packet(AddressFamily::V4);
        packet[6..8].copy_from_slice(&u16::to_be_bytes(0x2000 | offset));
        assert_eq!(
            quoting(AddressFamily::V4, &packet),
            malformed(Malformed::Fragment)
        );
        let packet = with_headers(
            44,
            &[&[
                58,
                0,
                (offset >> 5) as u8,
                (offset << 3) as u8 | 1,
                0,
                0,
                0,
                7,
            ]],
        );
        assert_eq!(
            quoting(AddressFamily::V6, &packet),
            malformed(Malformed::Fragment)
        );
    }
    // The first one has.
    let mut packet = probe_packet(AddressFamily::V4);
    packet[6..8].copy_from_slice(&[0x20, 0]);
    assert!(quoting(AddressFamily::V4, &packet).is_ok());
    assert!(
        quoting(
            AddressFamily::V6,
            &with_headers(44, &[&[58, 0, 0, 1, 0, 0, 0, 7]])
        )
        .is_ok()
    );
}

/// The probe in IPv6 with extension headers before it.
fn with_headers(first: u8, headers: &[&[u8]]) -> Vec<u8> {
    let mut packet = probe_packet(AddressFamily::V6);
    packet[6] = first;
    let probe = packet.split_off(40);
    packet.extend(headers.concat());
    packet.extend(probe);
    packet
}

#[test]
fn case_09_quoted_extension_headers_are_walked_by_their_own_lengths() {
    let destination_options: &[u8] = &[
        43, 2, 1, 20, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0,
    ];
    let routing: &[u8] = &[58, 1, 4, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0];
    let packet = with_headers(60, &[destination_options, routing]);
    let reply = quoting(AddressFamily::V6, &packet).unwrap();
    assert_eq!((reply.probe.hop, reply.evidence()), (1, Evidence::Strong));
    for len in 0..packet.len() - 24 {
        assert_eq!(
            quoting(AddressFamily::V6, &packet[..len]),
            malformed(Malformed::Truncated),
            "{len} octets"
        );
    }
    // The longest that one can say, 2,048 octets, goes beyond the message.
    let mut too_long = packet;
    too_long[41] = 255;
    assert_eq!(
        quoting(AddressFamily::V6, &too_long),
        malformed(Malformed::Truncated)
    );
}

#[test]
fn case_09_a_hundred_extension_headers_take_no_stack_and_no_time() {
    let mut chain = vec![&[60, 0, 1, 4, 0, 0, 0, 0][..]; 99];
    chain.push(&[58, 0, 1, 4, 0, 0, 0, 0]);
    assert_eq!(
        quoting(AddressFamily::V6, &with_headers(60, &chain))
            .unwrap()
            .probe
            .hop,
        1
    );
}

#[test]
fn case_09_an_upper_layer_that_is_cut_off_is_not_ours() {
    // "No next header", and extension headers that we don't walk: authentication, ESP.
    for protocol in [59, 51, 50] {
        let packet = with_headers(60, &[&[protocol, 0, 1, 4, 0, 0, 0, 0]]);
        assert_eq!(
            quoting(AddressFamily::V6, &packet),
            malformed(Malformed::Foreign)
        );
    }
}

#[test]
fn a_quote_of_the_other_family_or_of_another_protocol_is_not_ours() {
    for family in BOTH {
        let other = if family == AddressFamily::V4 {
            AddressFamily::V6
        } else {
            AddressFamily::V4
        };
        // Also if the Echo in it is one of this family.
        for echo in [probe_packet(other), probe_packet(family)] {
            let packet = [
                &probe_packet(other)[..header_len(other)],
                &echo[echo.len() - 32..],
            ]
            .concat();
            assert_eq!(quoting(family, &packet), malformed(Malformed::Foreign));
        }
        let at = if family == AddressFamily::V4 { 9 } else { 6 };
        for protocol in [6, 17, if family == AddressFamily::V4 { 58 } else { 1 }] {
            let mut packet = probe_packet(family);
            packet[at] = protocol;
            assert_eq!(quoting(family, &packet), malformed(Malformed::Foreign));
        }
        let mut packet = probe_packet(family);
        packet[header_len(family)] = 13;
        assert_eq!(
            quoting(family, &packet),
            malformed(Malformed::Foreign),
            "another type than Echo Request"
        );
    }
}

#[test]
fn an_unknown_source_of_ours_is_never_a_changed_one() {
    for family in BOTH {
        let config = hopshot_core::Config {
            source: family.unspecified(),
            ..config(family)
        };
        let mut trace = Trace::with(config);
        let mut packet = trace.quote(1);
        packet[header_len(family) - if family == AddressFamily::V4 { 5 } else { 17 }] ^= 0x2a;
        let message = error(stranger(family), Type::TimeExceeded, 0, 0, &packet);
        let reply = trace.handle(10, stranger(family), &message).unwrap().reply;
        assert!(reply.changes.is_empty());
    }
}
