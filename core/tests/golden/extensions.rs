//! Extensions of errors: RFC 4884, RFC 4950, RFC 5837. Core reads them and writes none.

use crate::network::{octets, probe_packet, router};
use hopshot_core::wire::AddressFamily;
use hopshot_core::wire::extensions::{Extensions, Interface, Label, Object, Role};
use hopshot_core::wire::icmp::{Error, Type};

const LABELS: &str = "00 0c 01 01 05 dc 1a 01 00 01 01 fe";
const INTERFACE_V4: &str = "00 20 02 0f 00 00 02 15 00 01 00 00 c0 00 02 fe 0c 67 65 2d 30 2f 30 2f 30 2e 37 00 00 00 23 28";
const INTERFACE_V6: &str = "00 2c 02 0f 00 00 02 15 00 02 00 00 20 01 0d b8 00 01 00 00 00 00 00 00 00 00 00 fe \
    0c 67 65 2d 30 2f 30 2f 30 2e 37 00 00 00 23 28";
const UNKNOWN: &str = "00 08 f7 01 de ad be ef";

/// The quote of the probe filled up to 128 octets, then the structure.
fn quoted(family: AddressFamily, structure: &str) -> Vec<u8> {
    let mut quoted = probe_packet(family);
    quoted.resize(128, 0);
    quoted.extend(octets(structure));
    quoted
}

/// Time Exceeded whose length field is right: 128 octets in words of 4, in IPv6 of 8.
fn time_exceeded(family: AddressFamily, quoted: &[u8]) -> Error<'_> {
    let rest = if family == AddressFamily::V4 {
        0x0020_0000
    } else {
        0x1000_0000
    };
    Error {
        icmp_type: Type::TimeExceeded,
        code: 0,
        rest,
        quoted,
    }
}

/// The first object of a structure without a checksum.
fn object(hex: &str) -> Option<(Vec<u8>, u8, u8)> {
    let quoted = quoted(AddressFamily::V4, &format!("20 00 00 00 {hex}"));
    let extensions = Extensions::of(
        AddressFamily::V4,
        &time_exceeded(AddressFamily::V4, &quoted),
    );
    extensions
        .objects()
        .next()
        .map(|object| (object.payload.to_vec(), object.class, object.kind))
}

#[test]
fn a_label_stack_is_read_from_the_top() {
    for family in [AddressFamily::V4, AddressFamily::V6] {
        let quoted = quoted(family, &format!("20 00 bd 16 {LABELS}"));
        let extensions = Extensions::of(family, &time_exceeded(family, &quoted));
        let [object] = extensions.objects().collect::<Vec<_>>()[..] else {
            panic!("one object")
        };
        assert_eq!(
            (object.class, object.kind, object.payload),
            (1, 1, &octets(LABELS)[4..])
        );
        let labels: Vec<Label> = object.mpls().unwrap().collect();
        let transport = Label {
            label: 24_001,
            traffic_class: 5,
            bottom: false,
            ttl: 1,
        };
        let service = Label {
            label: 16,
            traffic_class: 0,
            bottom: true,
            ttl: 254,
        };
        assert_eq!(labels, [transport, service]);
        assert_eq!(object.interface(), None);
    }
}

#[test]
fn the_fields_of_a_label_fill_their_bits() {
    for (hex, label) in [
        (
            "ff ff f0 00",
            Label {
                label: 0xf_ffff,
                traffic_class: 0,
                bottom: false,
                ttl: 0,
            },
        ),
        (
            "00 00 0e 00",
            Label {
                label: 0,
                traffic_class: 7,
                bottom: false,
                ttl: 0,
            },
        ),
        (
            "00 00 01 00",
            Label {
                label: 0,
                traffic_class: 0,
                bottom: true,
                ttl: 0,
            },
        ),
        (
            "00 00 00 ff",
            Label {
                label: 0,
                traffic_class: 0,
                bottom: false,
                ttl: 255,
            },
        ),
    ] {
        let payload = octets(hex);
        let object = Object {
            class: 1,
            kind: 1,
            payload: &payload,
        };
        assert_eq!(object.mpls().unwrap().collect::<Vec<_>>(), [label]);
    }
}

#[test]
fn an_interface_says_index_address_name_and_mtu() {
    for (family, checksum, hex) in [
        (AddressFamily::V4, "bc 72", INTERFACE_V4),
        (AddressFamily::V6, "50 ac", INTERFACE_V6),
    ] {
        let quoted = quoted(family, &format!("20 00 {checksum} {hex}"));
        let extensions = Extensions::of(family, &time_exceeded(family, &quoted));
        let [object] = extensions.objects().collect::<Vec<_>>()[..] else {
            panic!("one object")
        };
        let expected = Interface {
            role: Role::Incoming,
            index: Some(533),
            address: Some(router(family, 1)),
            name: Some(b"ge-0/0/0.7"),
            mtu: Some(9000),
        };
        assert_eq!(object.interface(), Some(expected));
        assert!(object.mpls().is_none());
    }
}

#[test]
fn an_interface_says_only_what_its_type_announces() {
    let nothing = Interface {
        role: Role::Incoming,
        index: None,
        address: None,
        name: None,
        mtu: None,
    };
    let cases: [(u8, &str, Interface<'_>); 7] = [
        (0b0000_0000, "", nothing),
        (
            0b0100_0000,
            "",
            Interface {
                role: Role::IncomingSubIp,
                ..nothing
            },
        ),
        (
            0b1000_1000,
            "00 00 00 02",
            Interface {
                role: Role::Outgoing,
                index: Some(2),
                ..nothing
            },
        ),
        (
            0b1100_0001,
            "00 00 05 dc",
            Interface {
                role: Role::NextHop,
                mtu: Some(1500),
                ..nothing
            },
        ),
        (
            0b0000_0100,
            "00 01 00 00 c0 00 02 fe",
            Interface {
                address: Some(router(AddressFamily::V4, 1)),
                ..nothing
            },
        ),
        (
            0b0000_0010,
            "04 65 74 68",
            Interface {
                name: Some(b"eth"),
                ..nothing
            },
        ),
        // The reserved bits mean nothing.
        (
            0b0011_1001,
            "00 00 00 02 00 00 05 dc",
            Interface {
                index: Some(2),
                mtu: Some(1500),
                ..nothing
            },
        ),
    ];
    for (kind, hex, expected) in cases {
        let payload = octets(hex);
        assert_eq!(
            Object {
                class: 2,
                kind,
                payload: &payload
            }
            .interface(),
            Some(expected),
            "{kind:08b}"
        );
    }
}

#[test]
fn all_objects_come_out_in_order_the_unknown_ones_too() {
    for (family, checksum, interface) in [
        (AddressFamily::V4, "04 e2", INTERFACE_V4),
        (AddressFamily::V6, "99 1b", INTERFACE_V6),
    ] {
        let quoted = quoted(
            family,
            &format!("20 00 {checksum} {LABELS} {interface} {UNKNOWN}"),
        );
        let extensions = Extensions::of(family, &time_exceeded(family, &quoted));
        let classes: Vec<(u8, u8, usize)> = extensions
            .objects()
            .map(|object| (object.class, object.kind, object.payload.len()))
            .collect();
        assert_eq!(
            classes,
            [
                (1, 1, 8),
                (2, 15, octets(interface).len() - 4),
                (0xf7, 1, 4)
            ]
        );
        assert!(!extensions.is_empty());
    }
}

#[test]
fn an_object_without_a_payload_is_one() {
    assert_eq!(object("00 04 f7 02"), Some((Vec::new(), 0xf7, 2)));
}

#[test]
fn other_errors_have_no_extensions() {
    for family in [AddressFamily::V4, AddressFamily::V6] {
        let quoted = quoted(family, &format!("20 00 bd 16 {LABELS}"));
        // In IPv4 a Parameter Problem has them too (RFC 4884, section 4.3); in IPv6 its whole word
        // is the pointer.
        let parameter_problem = Error {
            icmp_type: Type::ParameterProblem,
            ..time_exceeded(family, &quoted)
        };
        assert_eq!(
            Extensions::of(family, &parameter_problem).is_empty(),
            family == AddressFamily::V6
        );
        let too_big = Error {
            icmp_type: Type::PacketTooBig,
            ..time_exceeded(family, &quoted)
        };
        assert!(Extensions::of(family, &too_big).is_empty());
        let unreachable = Error {
            icmp_type: Type::Unreachable,
            ..time_exceeded(family, &quoted)
        };
        assert!(!Extensions::of(family, &unreachable).is_empty());
    }
}

/// The checksum right, absent and wrong; the version in the right half and in the wrong one.
#[test]
fn without_its_quoted_header_an_error_has_the_same_extensions() {
    for family in [AddressFamily::V4, AddressFamily::V6] {
        let (header, unit) = if family == AddressFamily::V4 {
            (20, 4)
        } else {
            (40, 8)
        };
        for head in [
            "20 00 bd 16",
            "20 00 00 00",
            "20 00 bd 17",
            "02 00 db 16",
            "02 00 00 00",
        ] {
            let whole = quoted(family, &format!("{head} {LABELS}"));
            for said in [0_usize, 128, 128 - unit, 1016] {
                let words = u32::try_from(said / unit).unwrap();
                let rest = if family == AddressFamily::V4 {
                    words << 16
                } else {
                    words << 24
                };
                let error = |quoted| Error {
                    rest,
                    ..time_exceeded(family, quoted)
                };
                let all = Extensions::of(family, &error(&whole));
                let behind = Extensions::behind_header(
                    family,
                    &error(&whole[header..]),
                    said.saturating_sub(header).try_into().unwrap(),
                );
                assert_eq!(behind, all, "{family:?}, {head}, {said}");
                assert!(said != 128 || head != "20 00 bd 16" || !all.is_empty());
            }
        }
    }
}

#[test]
fn extensions_are_the_same_if_their_objects_are_wherever_they_stand() {
    let [longer, shorter] = [AddressFamily::V6, AddressFamily::V4]
        .map(|family| quoted(family, &format!("20 00 00 00 {UNKNOWN}")));
    let other = quoted(AddressFamily::V4, &format!("20 00 00 00 {LABELS}"));
    let of = |family, quoted| Extensions::of(family, &time_exceeded(family, quoted));
    let longer = of(AddressFamily::V6, &longer);
    assert_eq!(longer, of(AddressFamily::V4, &shorter));
    assert_ne!(longer, of(AddressFamily::V4, &other));
    assert_ne!(longer, Extensions::default());
    let shown = format!("{longer:?}");
    assert!(shown.contains(&format!("{:?}", octets(UNKNOWN))), "{shown}");
}
