//! ICMP and ICMPv6 messages, RFC 792 and RFC 4443. Each is tested four ways: as octets that are
//! read, as a message that is written, its fields one by one, and made from them.

use crate::network::{BOTH, ends, octets, router};
use hopshot_core::wire::icmp::{Echo, Error, Message, QuotedEcho, Type, emit_balanced};
use hopshot_core::wire::{AddressFamily, BufferTooSmall, Ends, Malformed};

/// What the errors quote: the header of the probe and eight octets.
const QUOTED_V4: &str =
    "45 00 00 34 00 00 40 00 01 01 8d 31 c0 00 02 01 c6 33 64 63 08 00 c5 c5 1d e7 5e b0";
const QUOTED_V6: &str = "60 00 00 00 00 20 3a 01 20 01 0d b8 00 01 00 00 00 00 00 00 00 00 00 01 \
    20 01 0d b8 00 09 00 00 00 00 00 00 00 00 00 99 80 00 c5 c5 1d e7 5e b0";

fn quoted(family: AddressFamily) -> Vec<u8> {
    octets(if family == AddressFamily::V4 {
        QUOTED_V4
    } else {
        QUOTED_V6
    })
}

/// An odd payload, so that the checksum has to pad.
const ECHO: Echo<'static> = Echo {
    ident: 0x1de7,
    seq: 0x5eb0,
    payload: b"hop",
};

/// The ends of a message to us from the target, and from the first router.
fn from_target(family: AddressFamily) -> Ends {
    ends(family).reversed()
}

fn from_router(family: AddressFamily) -> Ends {
    Ends {
        source: router(family, 1),
        ..from_target(family)
    }
}

/// Reads the octets and writes the message; both ways nothing may differ.
fn check(ends: Ends, hex: &str, message: &Message<'_>) {
    let golden = octets(hex);
    assert_eq!(Message::parse(ends, &golden), Ok(*message), "parse {hex}");
    let mut buf = vec![0xa5; golden.len() + 4];
    assert_eq!(message.emit(ends, &mut buf), Ok(golden.len()));
    assert_eq!(buf[..golden.len()], golden, "emit {message:?}");
    assert_eq!(
        buf[golden.len()..],
        [0xa5; 4],
        "nothing is written past the end"
    );
    let mut short = vec![0xa5; golden.len() - 1];
    assert_eq!(
        message.emit(ends, &mut short),
        Err(BufferTooSmall {
            needed: golden.len()
        })
    );
    assert!(
        short.iter().all(|octet| *octet == 0xa5),
        "nothing is written where there is no room"
    );
    // The checksum covers every octet.
    for at in 0..golden.len() {
        let mut wrong = golden.clone();
        wrong[at] ^= 0x10;
        assert_ne!(Message::parse(ends, &wrong), Ok(*message), "octet {at}");
    }
}

/// An error, read and written, and its fields.
fn check_error(
    family: AddressFamily,
    header: &str,
    icmp_type: Type,
    code: u8,
    rest: u32,
    mtu: Option<u16>,
) {
    let quoted = quoted(family);
    let error = Error {
        icmp_type,
        code,
        rest,
        quoted: &quoted,
    };
    let hex = format!(
        "{header} {}",
        if family == AddressFamily::V4 {
            QUOTED_V4
        } else {
            QUOTED_V6
        }
    );
    check(from_router(family), &hex, &Message::Error(error));
    let golden = octets(&hex);
    let Ok(Message::Error(read)) = Message::parse(from_router(family), &golden) else {
        panic!("it is an error")
    };
    assert_eq!(read.icmp_type.number(family), Some(golden[0]));
    assert_eq!(
        (read.code, read.rest.to_be_bytes()),
        (golden[1], [golden[4], golden[5], golden[6], golden[7]])
    );
    assert_eq!((read.quoted, read.mtu(family)), (&golden[8..], mtu));
}

#[test]
fn an_echo_request_is_type_8_and_in_ipv6_128() {
    check(
        ends(AddressFamily::V4),
        "08 00 a2 f8 1d e7 5e b0 68 6f 70",
        &Message::EchoRequest(ECHO),
    );
    check(
        ends(AddressFamily::V6),
        "80 00 ce 9c 1d e7 5e b0 68 6f 70",
        &Message::EchoRequest(ECHO),
    );
}

#[test]
fn an_echo_reply_is_type_0_and_in_ipv6_129() {
    check(
        from_target(AddressFamily::V4),
        "00 00 aa f8 1d e7 5e b0 68 6f 70",
        &Message::EchoReply(ECHO),
    );
    check(
        from_target(AddressFamily::V6),
        "81 00 cd 9c 1d e7 5e b0 68 6f 70",
        &Message::EchoReply(ECHO),
    );
}

#[test]
fn the_fields_of_an_echo_stand_where_the_rfc_has_them() {
    let golden = octets("00 00 aa f8 1d e7 5e b0 68 6f 70");
    let Ok(Message::EchoReply(echo)) = Message::parse(from_target(AddressFamily::V4), &golden)
    else {
        panic!("a reply")
    };
    assert_eq!(
        (echo.ident.to_be_bytes(), echo.seq.to_be_bytes()),
        ([0x1d, 0xe7], [0x5e, 0xb0])
    );
    assert_eq!(echo.payload, b"hop");
}

#[test]
fn time_exceeded_is_type_11_and_in_ipv6_3() {
    check_error(
        AddressFamily::V4,
        "0b 00 aa a2 00 00 00 00",
        Type::TimeExceeded,
        0,
        0,
        None,
    );
    check_error(
        AddressFamily::V6,
        "03 00 e7 84 00 00 00 00",
        Type::TimeExceeded,
        0,
        0,
        None,
    );
}

#[test]
fn destination_unreachable_is_type_3_and_in_ipv6_1() {
    check_error(
        AddressFamily::V4,
        "03 0d b2 95 00 00 00 00",
        Type::Unreachable,
        13,
        0,
        None,
    );
    check_error(
        AddressFamily::V6,
        "01 01 e9 83 00 00 00 00",
        Type::Unreachable,
        1,
        0,
        None,
    );
}

#[test]
fn packet_too_big_is_type_2_in_ipv6_and_a_code_of_unreachable_in_ipv4() {
    check_error(
        AddressFamily::V4,
        "03 04 ac ca 00 00 05 d4",
        Type::Unreachable,
        4,
        1492,
        Some(1492),
    );
    check_error(
        AddressFamily::V6,
        "02 00 e2 bc 00 00 05 c8",
        Type::PacketTooBig,
        0,
        1480,
        Some(1480),
    );
    // Written for IPv4, Packet Too Big becomes what IPv4 has for it.
    let quoted = quoted(AddressFamily::V4);
    let error = Error {
        icmp_type: Type::PacketTooBig,
        code: 0,
        rest: 1492,
        quoted: &quoted,
    };
    let mut buf = [0xa5; 64];
    let len = Message::Error(error)
        .emit(from_router(AddressFamily::V4), &mut buf)
        .unwrap();
    assert_eq!(
        buf[..len],
        octets(&format!("03 04 ac ca 00 00 05 d4 {QUOTED_V4}"))
    );
}

#[test]
fn parameter_problem_is_type_12_and_in_ipv6_4() {
    check_error(
        AddressFamily::V4,
        "0c 00 95 a2 14 00 00 00",
        Type::ParameterProblem,
        0,
        0x1400_0000,
        None,
    );
    check_error(
        AddressFamily::V6,
        "04 01 e6 5b 00 00 00 28",
        Type::ParameterProblem,
        1,
        40,
        None,
    );
}

#[test]
fn every_other_type_is_foreign_in_its_family() {
    for family in BOTH {
        let known: &[u8] = if family == AddressFamily::V4 {
            &[0, 3, 8, 11, 12]
        } else {
            &[1, 2, 3, 4, 128, 129]
        };
        for number in 0..=u8::MAX {
            let icmp_type = Type::from_number(family, number);
            assert_eq!(
                icmp_type.is_some(),
                known.contains(&number),
                "{family:?} type {number}"
            );
            let mut message = octets("00 00 00 00 1d e7 5e b0");
            message[0] = number;
            let parsed = Message::parse(
                Ends {
                    source: family.unspecified(),
                    ..from_target(family)
                },
                &message,
            );
            assert_eq!(parsed == Err(Malformed::Foreign), icmp_type.is_none());
        }
    }
}

#[test]
fn an_echo_has_the_code_0() {
    for (family, hex) in [
        (AddressFamily::V4, "00 07 e1 61 1d e7 00 b0"),
        (AddressFamily::V6, "81 01 00 00 1d e7 00 b0"),
    ] {
        let unknown = Ends {
            destination: family.unspecified(),
            ..from_target(family)
        };
        assert_eq!(
            Message::parse(unknown, &octets(hex)),
            Err(Malformed::Foreign)
        );
    }
}

#[test]
fn a_balanced_echo_request_has_the_checksum_asked_for() {
    let golden = [
        (
            AddressFamily::V4,
            "08 00 c5 c5 1d e7 5e b0 17 9e c0 0c 1e 5a 17 b0 a7 ed",
        ),
        (
            AddressFamily::V6,
            "80 00 c5 c5 1d e7 5e b0 43 3b c0 0c 1e 5a 17 b0 a7 ed",
        ),
    ];
    for (family, hex) in golden {
        let golden = octets(hex);
        let mut message = vec![0xa5; golden.len()];
        message[10..].copy_from_slice(&golden[10..]);
        emit_balanced(ends(family), 0x1de7, 0x5eb0, 0xc5c5, &mut message).unwrap();
        assert_eq!(message, golden);
        let echo = Echo {
            ident: 0x1de7,
            seq: 0x5eb0,
            payload: &golden[8..],
        };
        assert_eq!(
            Message::parse(ends(family), &message),
            Ok(Message::EchoRequest(echo))
        );
        assert_eq!(
            QuotedEcho::parse(family, &message),
            Ok(QuotedEcho {
                checksum: 0xc5c5,
                echo
            })
        );
        let mut short = [0xa5; 9];
        assert_eq!(
            emit_balanced(ends(family), 1, 2, 3, &mut short),
            Err(BufferTooSmall { needed: 10 })
        );
        assert_eq!(short, [0xa5; 9]);
    }
}

#[test]
fn where_an_end_is_unknown_the_icmpv6_checksum_is_left_out() {
    let unknown = Ends {
        source: AddressFamily::V6.unspecified(),
        ..ends(AddressFamily::V6)
    };
    let mut message = [0xa5; 18];
    message[10..].copy_from_slice(&octets("c0 0c 1e 5a 17 b0 a7 ed"));
    emit_balanced(unknown, 0x1de7, 0x5eb0, 0xc5c5, &mut message).unwrap();
    assert_eq!(message[..8], octets("80 00 00 00 1d e7 5e b0"));
    let mut buf = [0xa5; 11];
    assert_eq!(Message::EchoRequest(ECHO).emit(unknown, &mut buf), Ok(11));
    assert_eq!(buf, *octets("80 00 00 00 1d e7 5e b0 68 6f 70"));
    // And what comes back is taken as it is.
    assert!(Message::parse(unknown.reversed(), &octets("81 00 12 34 1d e7 5e b0")).is_ok());
}
