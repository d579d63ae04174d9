//! The programs, run by a machine of the tests' own.

use super::*;
use hopshot_core::wire::icmp::{Echo, Error, Message, QuotedEcho};
use hopshot_core::wire::{Ends, ip};
use hopshot_engine::{TcpOptions, UdpPayload};

const OURS: u16 = 0x1234;
const COOKIE: [u8; 4] = *b"cook";

/// The program for a trace with this ident.
fn pass_ident(family: AddressFamily, ident: u16) -> Vec<Instruction> {
    let target = Identity::of(&hopshot_core::Echo::new([0; 16]), ends(family).destination).target;
    pass_answers(
        family,
        Some(&Identity {
            ident,
            cookie: COOKIE,
            target,
        }),
    )
}

/// A classic BPF machine for the instructions used here: whether `packet` passes.
fn passes(program: &[Instruction], packet: &[u8]) -> bool {
    let load = |at: u32, len: usize| -> Option<u32> {
        let octets = packet.get(at as usize..)?.get(..len)?;
        Some(
            octets
                .iter()
                .fold(0, |value, octet| value << 8 | u32::from(*octet)),
        )
    };
    let (mut a, mut x, mut memory, mut at) = (0_u32, 0_u32, 0_u32, 0);
    loop {
        let Instruction { code, jt, jf, k } = program[at];
        at += 1;
        let loaded = match code {
            LOAD_OCTET => load(k, 1),
            LOAD_WORD32 => load(k, 4),
            LOAD_LEN => Some(packet.len() as u32),
            LOAD_MEMORY => Some(memory),
            SUBTRACT => Some(a - k),
            LOAD_OCTET_INDEXED => load(x + k, 1),
            LOAD_WORD16_INDEXED => load(x + k, 2),
            LOAD_WORD32_INDEXED => load(x + k, 4),
            LOAD_INDEX => Some(a),
            ADD => Some(a + k),
            LOAD_INDEX_HEADER_LEN => load(k, 1)
                .inspect(|octet| x = (octet & 0x0f) * 4)
                .map(|_| a),
            AND => Some(a & k),
            SHIFT_LEFT => Some(a << k),
            ADD_INDEX => Some(a + x),
            MOVE_TO_INDEX
            | STORE
            | JUMP
            | JUMP_IF_EQUAL
            | JUMP_IF_ANY
            | JUMP_UNLESS_BELOW_INDEX => Some(a),
            RETURN => return k != 0,
            _ => panic!("not an instruction: {code:#x}"),
        };
        let Some(loaded) = loaded else { return false };
        a = loaded;
        match code {
            MOVE_TO_INDEX => x = a,
            LOAD_INDEX => x = k,
            STORE => memory = a,
            JUMP => at += k as usize,
            JUMP_UNLESS_BELOW_INDEX => at += usize::from(if a >= x { jt } else { jf }),
            JUMP_IF_EQUAL => at += usize::from(if a == k { jt } else { jf }),
            JUMP_IF_ANY => at += usize::from(if a & k != 0 { jt } else { jf }),
            _ => {}
        }
    }
}

fn ends(family: AddressFamily) -> Ends {
    let (source, destination) = match family {
        AddressFamily::V4 => ("192.0.2.1", "192.0.2.2"),
        AddressFamily::V6 => ("2001:db8::1", "2001:db8::2"),
    };
    Ends {
        source: source.parse().unwrap(),
        destination: destination.parse().unwrap(),
    }
}

/// `message` as the filter sees it: after an IP header in IPv4, which gets `options` words of
/// padding.
fn packet(family: AddressFamily, options: usize, message: &[u8]) -> Vec<u8> {
    let protocol = if family == AddressFamily::V4 { 1 } else { 58 };
    let header = ip::Header {
        ends: ends(family),
        hop_limit: 9,
        traffic_class: 0,
        protocol,
    };
    let mut octets = vec![0; ip::header_len(family)];
    header
        .emit(options * 4 + message.len(), &mut octets)
        .unwrap();
    if family == AddressFamily::V4 {
        octets[0] += options as u8;
        octets.resize(20 + options * 4, 1);
    }
    [&octets, message].concat()
}

fn emitted(family: AddressFamily, message: Message<'_>) -> Vec<u8> {
    let mut octets = vec![0; 200];
    let len = message.emit(ends(family), &mut octets).unwrap();
    octets.truncate(len);
    octets
}

fn echo(ident: u16) -> Echo<'static> {
    Echo {
        ident,
        seq: 7,
        payload: &[5; 8],
    }
}

fn error(family: AddressFamily, icmp_type: Type, options: usize, quoted: Message<'_>) -> Vec<u8> {
    let quoted = packet(family, options, &emitted(family, quoted));
    emitted(
        family,
        Message::Error(Error {
            icmp_type,
            code: 0,
            rest: 0,
            quoted: &quoted,
        }),
    )
}

/// What the kernel's filter sees of a message: in IPv6 no outer header.
fn seen(family: AddressFamily, options: usize, message: &[u8]) -> Vec<u8> {
    match family {
        AddressFamily::V4 => packet(family, options, message),
        AddressFamily::V6 => message.to_vec(),
    }
}

const ERRORS: [Type; 3] = [
    Type::Unreachable,
    Type::TimeExceeded,
    Type::ParameterProblem,
];

#[test]
fn what_has_the_ident_passes_behind_any_options() {
    for family in [AddressFamily::V4, AddressFamily::V6] {
        let pairs = [
            (0x1234, 0x1234),
            (0, 0),
            (0xffff, 0xffff),
            (0x1234, 0x1235),
            (0x1234, 0x3412),
            (0, 1),
        ];
        for (wanted, ident) in pairs {
            let (program, ours) = (pass_ident(family, wanted), wanted == ident);
            for options in 0..=10 {
                let reply = emitted(family, Message::EchoReply(echo(ident)));
                assert_eq!(passes(&program, &seen(family, options, &reply)), ours);
                let request = emitted(family, Message::EchoRequest(echo(ident)));
                assert!(!passes(&program, &seen(family, options, &request)));
                for icmp_type in ERRORS {
                    let quoting = if family == AddressFamily::V4 {
                        10 - options
                    } else {
                        0
                    };
                    let about_probe = error(
                        family,
                        icmp_type,
                        quoting,
                        Message::EchoRequest(echo(ident)),
                    );
                    assert_eq!(passes(&program, &seen(family, options, &about_probe)), ours);
                    let about_reply =
                        error(family, icmp_type, quoting, Message::EchoReply(echo(ident)));
                    assert!(!passes(&program, &seen(family, options, &about_reply)));
                }
            }
        }
        assert!(!passes(
            &pass_nothing(),
            &seen(
                family,
                0,
                &emitted(family, Message::EchoReply(echo(0x1234)))
            )
        ));
    }
}

#[test]
fn packet_too_big_passes_and_extension_headers_pass_unjudged() {
    let program = pass_ident(AddressFamily::V6, OURS);
    let mut message = error(
        AddressFamily::V6,
        Type::PacketTooBig,
        0,
        Message::EchoRequest(echo(0x1234)),
    );
    assert!(passes(&program, &message));
    for (next_header, pass) in [
        (0, true),
        (43, true),
        (44, true),
        (60, true),
        (6, false),
        (17, false),
        (1, false),
    ] {
        message[8 + 6] = next_header;
        assert_eq!(passes(&program, &message), pass);
    }
}

#[test]
fn without_a_trace_the_answers_of_everybody_pass_and_nothing_else() {
    for family in [AddressFamily::V4, AddressFamily::V6] {
        let program = pass_answers(family, None);
        for ident in [0, 0x1234, 0xffff] {
            let about_probe = error(
                family,
                Type::TimeExceeded,
                0,
                Message::EchoRequest(echo(ident)),
            );
            assert!(passes(&program, &seen(family, 3, &about_probe)));
            assert!(passes(
                &program,
                &seen(family, 3, &emitted(family, Message::EchoReply(echo(ident))))
            ));
            assert!(!passes(
                &program,
                &seen(
                    family,
                    3,
                    &emitted(family, Message::EchoRequest(echo(ident)))
                )
            ));
        }
        let cut = &error(family, Type::TimeExceeded, 0, Message::EchoRequest(echo(7)))
            [..8 + ip::header_len(family)];
        assert!(!passes(&program, &seen(family, 3, cut)));
    }
}

#[test]
fn what_has_the_cookie_passes_with_any_ident() {
    for family in [AddressFamily::V4, AddressFamily::V6] {
        let program = pass_ident(family, OURS);
        let echo = Echo {
            ident: 0x1235,
            seq: 7,
            payload: b"\x05\x05cookie!!",
        };
        let reply = emitted(family, Message::EchoReply(echo));
        assert!(passes(&program, &seen(family, 3, &reply)));
        let mut about_probe = error(family, Type::TimeExceeded, 0, Message::EchoRequest(echo));
        while about_probe.len() > 8 + ip::header_len(family) + 14 {
            assert!(
                passes(&program, &seen(family, 3, &about_probe)),
                "{} octets",
                about_probe.len()
            );
            about_probe.pop();
        }
        about_probe.pop();
        assert!(
            !passes(&program, &seen(family, 3, &about_probe)),
            "half a cookie"
        );
        let other = Echo {
            payload: b"\x05\x05bookie!!",
            ..echo
        };
        assert!(!passes(
            &program,
            &seen(family, 3, &emitted(family, Message::EchoReply(other)))
        ));
        let shifted = Echo {
            payload: b"\x05cookie!!!",
            ..echo
        };
        let about_other = error(family, Type::TimeExceeded, 0, Message::EchoRequest(shifted));
        assert!(!passes(&program, &seen(family, 3, &about_other)));
    }
}

#[test]
fn what_is_cut_short_before_its_ident_passes_if_it_is_about_our_target() {
    for family in [AddressFamily::V4, AddressFamily::V6] {
        let program = pass_ident(family, OURS);
        let header = 8 + ip::header_len(family);
        let whole = error(
            family,
            Type::TimeExceeded,
            0,
            Message::EchoRequest(echo(0x1235)),
        );
        assert!(!passes(&program, &seen(family, 3, &whole)));
        let mut about_other = whole.clone();
        about_other[header - 1] ^= 1;
        for len in 0..header + 8 {
            let quotes_header = len >= header;
            assert_eq!(
                passes(&program, &seen(family, 3, &whole[..len])),
                quotes_header,
                "{len} octets"
            );
            assert!(
                !passes(&program, &seen(family, 3, &about_other[..len])),
                "{len} octets"
            );
        }
        assert!(!passes(&program, &seen(family, 3, &whole[..header + 8])));
    }
}

/// Whether the core could match this message to a probe with the ident, or with the cookie.
fn of_use(family: AddressFamily, message: &[u8]) -> bool {
    // An unknown end leaves the ICMPv6 checksum alone; the IPv4 one is made right by the caller.
    let ends = Ends {
        source: family.unspecified(),
        destination: family.unspecified(),
    };
    let echo = match Message::parse(ends, message) {
        Ok(Message::EchoReply(echo)) => echo,
        Ok(Message::Error(error)) => match ip::parse_quoted(error.quoted) {
            Ok((header, payload)) if header.is_icmp() && header.ends.family() == family => {
                match QuotedEcho::parse(family, payload) {
                    Ok(quoted) => quoted.echo,
                    Err(_) => return false,
                }
            }
            _ => return false,
        },
        _ => return false,
    };
    echo.ident == OURS || echo.payload.get(2..6) == Some(&COOKIE)
}

#[test]
fn nothing_that_the_core_could_match_is_turned_away() {
    let mut random = 0x9e37_79b9_7f4a_7c15_u64;
    let mut below = |bound: usize| {
        random ^= random << 13;
        random ^= random >> 7;
        random ^= random << 17;
        (random >> 33) as usize % bound
    };
    let mut useful = 0;
    for _ in 0..200_000 {
        let family = if below(2) == 0 {
            AddressFamily::V4
        } else {
            AddressFamily::V6
        };
        let options = if family == AddressFamily::V4 {
            below(11)
        } else {
            0
        };
        let ident = [OURS, OURS, OURS, 0x4321][below(4)];
        let echo = Echo {
            payload: [&b"\x05\x05cookie!!"[..], &[5; 8]][below(2)],
            ..echo(ident)
        };
        let probe = Message::EchoRequest(echo);
        let mut message = match below(4) {
            0 => emitted(family, Message::EchoReply(echo)),
            kind => error(family, ERRORS[kind - 1], options, probe),
        };
        for _ in 0..below(3) {
            let at = below(message.len());
            message[at] = [below(256) as u8, below(64) as u8][below(2)];
        }
        message.truncate(message.len() - below(message.len() / 2));
        if family == AddressFamily::V4 && message.len() >= 4 {
            message[2..4].fill(0);
            let sum = hopshot_core::wire::checksum::Checksum::new()
                .with(&message)
                .finish();
            message[2..4].copy_from_slice(&sum.to_be_bytes());
        }
        if of_use(family, &message) {
            useful += 1;
            assert!(
                passes(
                    &pass_ident(family, OURS),
                    &seen(family, below(11), &message)
                ),
                "{message:02x?}"
            );
        }
    }
    assert!(useful > 50_000, "only {useful} messages were of use");
}

#[test]
fn the_type_filters_name_the_answers() {
    assert_eq!(
        TypeFilter::answers(AddressFamily::V4, ProbeProtocol::Icmp).0[0],
        !(1 << 0 | 1 << 3 | 1 << 11 | 1 << 12)
    );
    let v6 = TypeFilter::answers(AddressFamily::V6, ProbeProtocol::Icmp);
    assert_eq!(v6.0, [!0b11110, !0, !0, !0, !0b10, !0, !0, !0]);
    assert_eq!(v6.value(AddressFamily::V6).len(), 32);
    assert_eq!(TypeFilter::NONE.value(AddressFamily::V4), [0xff; 4]);
}

#[test]
fn errors_about_one_protocol_pass_and_about_others_do_not() {
    for family in [AddressFamily::V4, AddressFamily::V6] {
        for protocol in [6, 17] {
            let program = pass_errors_about(family, protocol);
            for quoted in [1, 6, 17, 58] {
                for options in [0, 3] {
                    let mut message = error(
                        family,
                        Type::TimeExceeded,
                        0,
                        Message::EchoRequest(echo(OURS)),
                    );
                    let at = if family == AddressFamily::V4 { 9 } else { 6 };
                    message[8 + at] = quoted;
                    let passed = passes(&program, &seen(family, options, &message));
                    assert_eq!(passed, quoted == protocol, "{protocol} of {quoted}");
                }
            }
            let short = seen(family, 0, &[11, 0, 0, 0, 0, 0, 0, 0, 0x45]);
            assert!(!passes(&program, &short), "a quote that is cut short");
        }
    }
    // What has extension headers passes: the protocol stands behind them.
    let mut message = error(
        AddressFamily::V6,
        Type::TimeExceeded,
        0,
        Message::EchoRequest(echo(OURS)),
    );
    message[8 + 6] = 44;
    assert!(passes(&pass_errors_about(AddressFamily::V6, 6), &message));
}

#[test]
fn what_comes_from_the_target_passes_to_our_port_and_without_one_what_has_no_data() {
    let tcp = ProbeProtocol::Tcp {
        port: 443,
        options: TcpOptions::Mss,
    };
    let udp = ProbeProtocol::Udp {
        port: 443,
        payload: UdpPayload::Plain,
    };
    for family in [AddressFamily::V4, AddressFamily::V6] {
        // Of a block of 32 the first is 49,984, and the last 50,015.
        let ends = [
            (443, 50_000),
            (443, 50_001),
            (443, 49_984),
            (443, 50_015),
            (443, 50_016),
        ];
        for (from, to) in ends
            .into_iter()
            .chain([(443, 49_983), (80, 50_000), (50_000, 443)])
        {
            // SYN/ACK, RST/ACK, ACK, data: little may be options.
            for (flags, data, begins) in [
                (0x12, 100, true),
                (0x14, 0, true),
                (0x10, 0, true),
                (0x10, 40, true),
                (0x18, 41, false),
                (0x18, 1400, false),
            ] {
                for options in [0, 3] {
                    let ports = [u16::to_be_bytes(from), u16::to_be_bytes(to)].concat();
                    let header = [&ports[..], &[0; 8], &[0x50, flags], &[0; 6]].concat();
                    let segment = [&header[..], &vec![0; data]].concat();
                    let packet = seen(family, options, &segment);
                    let is_from = from == 443;
                    for (protocol, any) in [(tcp, begins), (udp, true)] {
                        let passed = passes(&pass_from_target(family, protocol, None), &packet);
                        assert_eq!(passed, is_from && any);
                        let ours = pass_from_target(family, protocol, Some((50_000, 1)));
                        assert_eq!(passes(&ours, &packet), (from, to) == (443, 50_000));
                        let block = pass_from_target(family, protocol, Some((49_984, 32)));
                        let is_in_block = (49_984..50_016).contains(&to);
                        assert_eq!(passes(&block, &packet), is_from && is_in_block);
                    }
                }
            }
        }
        let short = seen(family, 0, &[1]);
        assert!(!passes(&pass_from_target(family, tcp, None), &short));
    }
}
