//! Cases 10 to 12: what routers append to an error, and the known ways of getting it wrong.

use crate::network::{BOTH, Trace, error, octets, probe_packet, router};
use hopshot_core::wire::AddressFamily;
use hopshot_core::wire::checksum::Checksum;
use hopshot_core::wire::extensions::{Interface, Object};
use hopshot_core::wire::icmp::Type;

/// A label stack of one entry: label 24001, bottom, TTL 1.
const LABEL: &str = "00 08 01 01 05 dc 11 01";

/// A structure of version 2 with a right checksum.
fn structure(objects: &[u8]) -> Vec<u8> {
    versioned([0x20, 0], objects)
}

fn versioned(family: [u8; 2], objects: &[u8]) -> Vec<u8> {
    let mut octets = [family[0], family[1], 0, 0].to_vec();
    octets.extend_from_slice(objects);
    let sum = Checksum::new().with(&octets).finish();
    octets[2..4].copy_from_slice(&sum.to_be_bytes());
    octets
}

/// The probe, padded with zeros to `len` octets, then the structure.
fn quoted(family: AddressFamily, len: usize, structure: &[u8]) -> Vec<u8> {
    let mut quoted = probe_packet(family);
    quoted.resize(len, 0);
    quoted.extend_from_slice(structure);
    quoted
}

/// The length field of the message: so many words in octet 5, in IPv6 in octet 4.
fn words(family: AddressFamily, words: u8) -> u32 {
    match family {
        AddressFamily::V4 => u32::from(words) << 16,
        AddressFamily::V6 => u32::from(words) << 24,
    }
}

/// So many octets as the family's length field has to say them.
fn length(family: AddressFamily, octets: usize) -> u32 {
    let unit = if family == AddressFamily::V4 { 4 } else { 8 };
    words(family, u8::try_from(octets / unit).unwrap())
}

/// Class, C-Type and payload of the objects that an answer brings.
fn heard(family: AddressFamily, rest: u32, quoted: &[u8]) -> Vec<(u8, u8, Vec<u8>)> {
    let message = error(router(family, 1), Type::TimeExceeded, 0, rest, quoted);
    let mut trace = Trace::new(family);
    let heard = trace
        .handle(10, router(family, 1), &message)
        .expect("whatever is appended, it is an answer");
    assert_eq!(heard.reply.probe.hop, 1);
    heard
        .extensions
        .objects()
        .map(|object| (object.class, object.kind, object.payload.to_vec()))
        .collect()
}

fn one_label() -> Vec<(u8, u8, Vec<u8>)> {
    vec![(1, 1, octets("05 dc 11 01"))]
}

#[test]
fn case_10_the_length_is_in_words_of_four_octets_and_in_ipv6_of_eight() {
    for family in BOTH {
        for len in [128, 136, 512] {
            let quoted = quoted(family, len, &structure(&octets(LABEL)));
            assert_eq!(
                heard(family, length(family, len), &quoted),
                one_label(),
                "{family:?} {len}"
            );
        }
    }
}

#[test]
fn case_10_a_length_of_255_words_needs_more_than_an_octet() {
    for (family, len) in [(AddressFamily::V4, 1020), (AddressFamily::V6, 2040)] {
        for said in [63, 64, 65, 255] {
            let quoted = quoted(
                family,
                len / 255 * usize::from(said),
                &structure(&octets(LABEL)),
            );
            assert_eq!(
                heard(family, words(family, said), &quoted),
                one_label(),
                "{said} words"
            );
        }
    }
}

#[test]
fn case_10_the_other_familys_length_field_says_nothing() {
    for (family, rest) in [
        (AddressFamily::V4, 0x4000_0000),
        (AddressFamily::V6, 0x0040_0000),
    ] {
        // At 256 or 512 octets there is a structure, but this family doesn't look there.
        let len = if family == AddressFamily::V4 {
            512
        } else {
            256
        };
        assert_eq!(
            heard(
                family,
                rest,
                &quoted(family, len, &structure(&octets(LABEL)))
            ),
            []
        );
    }
}

#[test]
fn case_11_no_length_but_a_structure_at_128() {
    for family in BOTH {
        assert_eq!(
            heard(family, 0, &quoted(family, 128, &structure(&octets(LABEL)))),
            one_label()
        );
    }
}

#[test]
fn case_11_a_length_below_128_octets_but_a_structure_at_128() {
    for family in BOTH {
        for len in [8, 16, probe_packet(family).len() / 8 * 8, 120] {
            let quoted = quoted(family, 128, &structure(&octets(LABEL)));
            assert_eq!(
                heard(family, length(family, len), &quoted),
                one_label(),
                "{family:?} {len}"
            );
        }
    }
}

#[test]
fn case_11_a_length_in_octets_instead_of_words() {
    for family in BOTH {
        let quoted = quoted(family, 128, &structure(&octets(LABEL)));
        assert_eq!(heard(family, words(family, 128), &quoted), one_label());
    }
}

#[test]
fn case_11_a_length_below_128_octets_that_is_meant_so() {
    for family in BOTH {
        let len = probe_packet(family).len().next_multiple_of(8);
        let quoted = quoted(family, len, &structure(&octets(LABEL)));
        assert_eq!(heard(family, length(family, len), &quoted), one_label());
    }
}

#[test]
fn case_11_the_version_in_the_wrong_half_of_its_octet() {
    for family in BOTH {
        let wrong = versioned([0x02, 0], &octets(LABEL));
        assert_eq!(heard(family, 0, &quoted(family, 128, &wrong)), one_label());
        assert_eq!(
            heard(family, length(family, 128), &quoted(family, 128, &wrong)),
            one_label()
        );
        // Its reserved bits are zero, or it is something else.
        let reserved = versioned([0x02, 1], &octets(LABEL));
        assert_eq!(heard(family, 0, &quoted(family, 128, &reserved)), []);
        // Elsewhere too much may look like it.
        assert_eq!(
            heard(family, length(family, 160), &quoted(family, 160, &wrong)),
            []
        );
    }
}

#[test]
fn case_11_other_versions_are_unknown() {
    for family in BOTH {
        for first in [0x00, 0x01, 0x10, 0x12, 0x30, 0xf0] {
            let other = versioned([first, 0], &octets(LABEL));
            assert_eq!(
                heard(family, length(family, 128), &quoted(family, 128, &other)),
                [],
                "{first:02x}"
            );
        }
        // Reserved bits are ignored on receipt.
        let reserved = versioned([0x2f, 0xff], &octets(LABEL));
        assert_eq!(
            heard(family, length(family, 128), &quoted(family, 128, &reserved)),
            one_label()
        );
    }
}

#[test]
fn case_11_a_checksum_of_zero_was_not_computed() {
    for family in BOTH {
        let unsummed = octets(&format!("20 00 00 00 {LABEL}"));
        assert_eq!(
            heard(family, length(family, 136), &quoted(family, 136, &unsummed)),
            one_label()
        );
        for rest in [
            0,
            length(family, 128),
            length(family, 16),
            words(family, 128),
        ] {
            assert_eq!(
                heard(family, rest, &quoted(family, 128, &unsummed)),
                one_label(),
                "{rest:08x}"
            );
        }
        // Where the message doesn't say that there is one, it is told from data by objects that
        // fill all that is left.
        for left in [
            "00",
            "00 00 00 00",
            "00 03 01 01",
            "00 09 01 01 00 00 00 00",
        ] {
            let unsummed = octets(&format!("20 00 00 00 {LABEL} {left}"));
            assert_eq!(
                heard(family, 0, &quoted(family, 128, &unsummed)),
                [],
                "{left}"
            );
        }
        // The version is where it belongs, or the checksum is right.
        let wrong = octets(&format!("02 00 00 00 {LABEL}"));
        assert_eq!(heard(family, 0, &quoted(family, 128, &wrong)), []);
    }
}

#[test]
fn case_11_a_wrong_checksum_is_no_structure() {
    for family in BOTH {
        let right = structure(&octets(LABEL));
        for bit in 0..right.len() * 8 {
            let mut wrong = right.clone();
            wrong[bit / 8] ^= 1 << (bit % 8);
            for rest in [length(family, 128), 0] {
                assert_eq!(
                    heard(family, rest, &quoted(family, 128, &wrong)),
                    [],
                    "bit {bit}"
                );
            }
        }
    }
}

#[test]
fn case_11_an_object_that_is_too_short_or_too_long_ends_the_list() {
    for family in BOTH {
        for bad in [
            "00 00 01 01",
            "00 01 01 01",
            "00 03 01 01",
            "00 09 01 01 00 00 00 00",
            "ff ff 01 01",
            "00 08 01",
        ] {
            let objects = octets(&format!("{LABEL} {bad}"));
            let found = heard(
                family,
                length(family, 128),
                &quoted(family, 128, &structure(&objects)),
            );
            assert_eq!(found, one_label(), "what came before {bad} is kept");
            let found = heard(
                family,
                length(family, 128),
                &quoted(family, 128, &structure(&octets(bad))),
            );
            assert_eq!(found, [], "{bad}");
        }
    }
}

#[test]
fn case_11_a_length_that_isnt_a_multiple_of_four_is_taken_at_its_word() {
    for family in BOTH {
        let objects = octets(&format!("00 07 f7 01 aa bb cc {LABEL}"));
        let found = heard(
            family,
            length(family, 128),
            &quoted(family, 128, &structure(&objects)),
        );
        assert_eq!(
            found,
            [vec![(0xf7, 1, octets("aa bb cc"))], one_label()].concat()
        );
    }
    // A label stack with a rest: the rest isn't a label.
    let payload = octets("05 dc 11 01 00 00 01");
    let stack = Object {
        class: 1,
        kind: 1,
        payload: &payload,
    };
    assert_eq!(stack.mpls().unwrap().count(), 1);
}

#[test]
fn case_11_data_that_looks_like_a_structure_is_told_apart_by_its_checksum() {
    for family in BOTH {
        // A long probe, quoted whole: octet 128 is data, and it begins as a structure with a label
        // would.
        for data in [
            octets(&format!("20 00 00 00 {LABEL} 00")),
            octets(&format!("20 00 12 34 {LABEL}")),
            vec![0x20; 40],
        ] {
            assert_eq!(heard(family, 0, &quoted(family, 128, &data)), []);
        }
        // Where the message says where they begin, what stands at 128 isn't looked at.
        let mut quote = quoted(family, 128, &structure(&octets("00 08 f7 01 00 00 00 00")));
        quote.resize(160, 0);
        quote.extend(structure(&octets(LABEL)));
        assert_eq!(heard(family, length(family, 160), &quote), one_label());
    }
}

#[test]
fn case_11_a_structure_cut_in_its_header_is_none() {
    for family in BOTH {
        let whole = structure(&octets(LABEL));
        for len in 0..whole.len() {
            for rest in [length(family, 128), 0] {
                assert_eq!(
                    heard(family, rest, &quoted(family, 128, &whole[..len])),
                    [],
                    "{len} octets"
                );
            }
        }
        assert_eq!(
            heard(
                family,
                length(family, 128),
                &quoted(family, 128, &structure(&[]))
            ),
            [],
            "no objects"
        );
    }
}

#[test]
fn case_12_classes_of_which_nothing_is_known_are_handed_out_as_they_are() {
    // RFC 8335, section 2.1: class 3, C-Type 2, an interface index. And somebody's own.
    let objects = octets("00 08 03 02 00 00 00 07 00 06 f7 01 ab cd");
    for family in BOTH {
        let found = heard(
            family,
            length(family, 128),
            &quoted(family, 128, &structure(&objects)),
        );
        assert_eq!(
            found,
            [(3, 2, octets("00 00 00 07")), (0xf7, 1, octets("ab cd"))]
        );
    }
    let object = Object {
        class: 3,
        kind: 2,
        payload: &[0, 0, 0, 7],
    };
    assert!(object.mpls().is_none() && object.interface().is_none());
    let other_type = Object {
        class: 1,
        kind: 2,
        payload: &[0, 0, 0, 7],
    };
    assert!(other_type.mpls().is_none(), "MPLS has one C-Type");
}

#[test]
fn case_12_an_interface_that_isnt_whole_is_none() {
    let cases = [
        (0b1000, ""),
        (0b1000, "00 00 00"),
        (0b0100, "00 01 00 00 c0 00 02"),
        (0b0100, "00 02 00 00 c0 00 02 fe"),
        // No address family of ours, with room for either address.
        (
            0b0100,
            "00 03 00 00 20 01 0d b8 00 01 00 00 00 00 00 00 00 00 00 fe",
        ),
        (0b0100, "00 01"),
        (0b0010, ""),
        (0b0010, "00 65 74 68"),
        (0b0010, "05 65 74 68"),
        (0b0010, "ff 65 74 68"),
        (0b0001, "00 05 dc"),
        (0b1001, "00 00 00 01"),
    ];
    for (kind, hex) in cases {
        let payload = octets(hex);
        assert_eq!(
            Object {
                class: 2,
                kind,
                payload: &payload
            }
            .interface(),
            None,
            "{kind:04b} {hex}"
        );
    }
}

#[test]
fn case_12_a_router_says_who_it_is() {
    let node = |kind: u8, hex: &str| {
        let payload = octets(hex);
        let node = Object {
            class: 5,
            kind,
            payload: &payload,
        }
        .node()?;
        Some((
            node.address.map(|address| address.to_string()),
            node.name.map(<[u8]>::to_vec),
        ))
    };
    let name = || Some(b"r1.example".to_vec());
    let named = "0c 72 31 2e 65 78 61 6d 70 6c 65 00";
    assert_eq!(
        node(0b0110, &format!("00 01 00 00 c0 00 02 fe {named}")),
        Some((Some("192.0.2.254".into()), name()))
    );
    let v6 = "00 02 00 00 20 01 0d b8 00 01 00 00 00 00 00 00 00 00 00 fe";
    assert_eq!(
        node(0b0110, &format!("{v6} {named}")),
        Some((Some("2001:db8:1::fe".into()), name()))
    );
    assert_eq!(node(0b0010, named), Some((None, name())));
    assert_eq!(
        node(0b0100, v6),
        Some((Some("2001:db8:1::fe".into()), None))
    );
    assert_eq!(node(0, ""), Some((None, None)));
    // Bits that it doesn't have say nothing; what isn't whole is nothing.
    assert_eq!(node(0b1111_1011, named), Some((None, name())));
    for (kind, hex) in [
        (0b0100, "00 01 00 00 c0 00 02"),
        (0b0100, ""),
        (0b0010, ""),
        (0b0110, named),
        (0b0010, "05 65"),
    ] {
        assert_eq!(node(kind, hex), None, "{kind:04b} {hex}");
    }
    let payload = octets(named);
    assert_eq!(
        Object {
            class: 2,
            kind: 0b0010,
            payload: &payload
        }
        .node(),
        None
    );
    assert_eq!(
        Object {
            class: 5,
            kind: 0b0010,
            payload: &payload
        }
        .interface(),
        None
    );
}

#[test]
fn case_12_a_name_ends_at_its_first_zero_and_may_be_any_octets() {
    let name = |hex: &str| {
        let payload = octets(hex);
        let interface: Option<Interface<'_>> = Object {
            class: 2,
            kind: 2,
            payload: &payload,
        }
        .interface();
        interface.and_then(|interface| interface.name.map(<[u8]>::to_vec))
    };
    assert_eq!(name("08 65 74 68 30 00 00 00"), Some(b"eth0".to_vec()));
    assert_eq!(name("08 65 00 68 30 00 00 00"), Some(b"e".to_vec()));
    assert_eq!(name("01"), Some(Vec::new()));
    assert_eq!(
        name("04 1b 5b 41"),
        Some(b"\x1b[A".to_vec()),
        "who shows it makes it harmless"
    );
    // Longer than the 63 octets that RFC 5837 permits, but there.
    assert_eq!(name("ff\n61 * 254").map(|name| name.len()), Some(254));
}
