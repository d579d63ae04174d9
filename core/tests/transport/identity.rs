//! What tells the probes of a trace apart, and its answers from those of others.

use crate::network::{BOTH, config, ends, router};
use crate::{PAYLOADS, probe, quoting, recognized, tcp, udp};
use hopshot_core::wire::checksum::Checksum;
use hopshot_core::wire::icmp::Type;
use hopshot_core::wire::udp::Datagram;
use hopshot_core::wire::{AddressFamily, Ends, Malformed};
use hopshot_core::{
    APART, Answer, Back, Changes, ConfigError, Discard, Instant, Kind, Protocol, Tcp, Tracer, Udp,
    UdpPayload,
};
use std::collections::HashSet;

const EXCEEDED: (Type, u8) = (Type::TimeExceeded, 0);

/// From a router to us.
fn to_us(from: std::net::IpAddr) -> Ends {
    let family = AddressFamily::of(from);
    Ends {
        source: from,
        destination: ends(family).source,
    }
}

/// The index that an error brings back, which quotes so many octets.
fn index_of(protocol: &impl Protocol, error: &[u8], family: AddressFamily) -> Result<u16, Discard> {
    let answer = Answer::parse(to_us(router(family, 1)), None, error).unwrap();
    recognized(protocol, &answer).map(|found| {
        assert!(found.changes.is_empty(), "{:?}", found.changes);
        found.index
    })
}

#[test]
fn every_index_comes_back_with_eight_octets_and_with_all_of_the_probe() {
    for family in BOTH {
        let from = router(family, 1);
        for index in (0..=u16::MAX).step_by(97).chain([u16::MAX - 2]) {
            let probe = probe(&tcp(), ends(family), index);
            for octets in [8, probe.len()] {
                let error = quoting(&tcp(), from, EXCEEDED, &probe, octets);
                assert_eq!(index_of(&tcp(), &error, family), Ok(index));
            }
        }
        for payload in PAYLOADS {
            let udp = udp(payload);
            for index in (0..65_534).step_by(997) {
                let probe = probe(&udp, ends(family), index);
                for octets in [8, 9, 10, 20, 50, probe.len()] {
                    let error = quoting(&udp, from, EXCEEDED, &probe, octets);
                    assert_eq!(index_of(&udp, &error, family), Ok(index), "{octets} octets");
                }
            }
        }
    }
}

#[test]
fn one_flow_and_no_two_probes_alike() {
    for family in BOTH {
        let (mut seqs, mut checksums) = (HashSet::new(), HashSet::new());
        for index in 0..2_000 {
            let syn = probe(&tcp(), ends(family), index);
            assert_eq!(syn[..4], probe(&tcp(), ends(family), 0)[..4]);
            let [a, b, c, d] = syn[4..8].try_into().unwrap();
            seqs.insert(u32::from_be_bytes([a, b, c, d]));
            let datagram = probe(&udp(UdpPayload::Plain), ends(family), index);
            let read = Datagram::parse(ends(family), &datagram).unwrap();
            assert!(read.checksum != 0 && read.checksum != u16::MAX);
            checksums.insert(read.checksum);
        }
        assert_eq!((seqs.len(), checksums.len()), (2_000, 2_000));
        // Far apart, as challenge acknowledgments want it: none in the window of another.
        let mut seqs: Vec<u32> = seqs.into_iter().collect();
        seqs.sort_unstable();
        let far = seqs.windows(2).filter(|pair| pair[1] - pair[0] > 65_535);
        assert!(far.count() > 1_900);
    }
}

#[test]
fn seqs_are_far_apart_whatever_the_key() {
    for key in [0, 1, 0x0080_0000, 0xffff_0000, u32::MAX] {
        let tcp = Tcp {
            key: [key; 4],
            ..tcp()
        };
        let mut seqs: Vec<u32> = (0..2_000).map(|index| tcp.seq(index)).collect();
        seqs.sort_unstable();
        let far = seqs.windows(2).filter(|pair| pair[1] - pair[0] > 65_535);
        assert!(far.count() > 1_900, "{key:#x}");
    }
}

#[test]
fn checksums_pass_by_zero_wherever_they_begin() {
    for first in [0, 1, 65_530, 65_533, 65_534, 65_535] {
        for family in BOTH {
            let udp = Udp {
                first,
                ..udp(UdpPayload::Plain)
            };
            for index in 0..16 {
                let probe = probe(&udp, ends(family), index);
                assert!(Datagram::parse(ends(family), &probe).is_ok());
                let error = quoting(&udp, router(family, 1), EXCEEDED, &probe, 8);
                assert_eq!(index_of(&udp, &error, family), Ok(index), "from {first}");
            }
        }
    }
}

#[test]
fn a_guess_of_a_seq_is_hardly_ever_right() {
    // 64 probes of 2³² numbers: none in 100,000 guesses, most likely.
    let (tcp, family) = (tcp(), AddressFamily::V4);
    let template = probe(&tcp, ends(family), 0);
    let right = (0..100_000_u32).filter(|guess| {
        let mut guessed = template.clone();
        guessed[4..8].copy_from_slice(&guess.wrapping_mul(0x9e37_79b9).to_be_bytes());
        let error = quoting(&tcp, router(family, 1), EXCEEDED, &guessed, 8);
        let answer = Answer::parse(to_us(router(family, 1)), None, &error).unwrap();
        recognized(&tcp, &answer).is_ok_and(|found| found.index & !APART < 64)
    });
    assert_eq!(right.count(), 0);
}

#[test]
fn what_a_translator_changed_is_told_and_the_probe_is_known_all_the_same() {
    for family in BOTH {
        let from = router(family, 1);
        let changed = |protocol: &dyn Fn(&Answer<'_>) -> Changes, error: &[u8]| {
            protocol(&Answer::parse(to_us(from), None, error).unwrap())
        };
        // TCP: ports.
        for (at, change) in [(1, Changes::IDENT), (3, Changes::PORT)] {
            let mut syn = probe(&tcp(), ends(family), 5);
            syn[at] ^= 1;
            let error = quoting(&tcp(), from, EXCEEDED, &syn, 8);
            let found = |answer: &Answer<'_>| {
                let found = recognized(&tcp(), answer).unwrap();
                assert_eq!(found.index, 5);
                found.changes
            };
            assert!(changed(&found, &error).contains(change));
        }
        // UDP: ports and checksum, where the cookie came back too.
        let udp = udp(UdpPayload::Plain);
        for (at, change) in [
            (1, Changes::IDENT),
            (3, Changes::PORT),
            (6, Changes::CHECKSUM),
        ] {
            let mut datagram = probe(&udp, ends(family), 5);
            datagram[at] ^= 1;
            let error = quoting(&udp, from, EXCEEDED, &datagram, 100);
            let found = |answer: &Answer<'_>| {
                let found = recognized(&udp, answer).unwrap();
                assert_eq!(found.index, 5);
                found.changes
            };
            assert!(changed(&found, &error).contains(change));
            if at < 6 {
                // With the checksum alone it can't be told which probe it is.
                let error = quoting(&udp, from, EXCEEDED, &datagram, 8);
                let answer = Answer::parse(to_us(from), None, &error).unwrap();
                assert_eq!(recognized(&udp, &answer), Err(Discard::NotOurs));
            }
        }
        // Another cookie is a forger's.
        let mut datagram = probe(&udp, ends(family), 5);
        datagram[12] ^= 1;
        let error = quoting(&udp, from, EXCEEDED, &datagram, 100);
        let answer = Answer::parse(to_us(from), None, &error).unwrap();
        assert_eq!(recognized(&udp, &answer), Err(Discard::WrongCookie));
    }
}

#[test]
fn a_datagram_without_a_checksum_is_known_by_its_payload_alone() {
    for family in BOTH {
        let (from, udp) = (router(family, 1), udp(UdpPayload::Plain));
        // Kernels keep it to themselves, or have none to tell.
        for (checksum, why) in [
            ([0, 0], Discard::Unattributed),
            ([0xff, 0xff], Discard::NotOurs),
        ] {
            let mut datagram = probe(&udp, ends(family), 5);
            datagram[6..8].copy_from_slice(&checksum);
            let error = quoting(&udp, from, EXCEEDED, &datagram, 8);
            assert_eq!(index_of(&udp, &error, family), Err(why));
        }
        let mut datagram = probe(&udp, ends(family), 5);
        datagram[6..8].fill(0);
        let error = quoting(&udp, from, EXCEEDED, &datagram, 18);
        assert_eq!(index_of(&udp, &error, family), Ok(5));
    }
}

#[test]
fn a_checksum_that_the_kernel_wrote_is_not_compared() {
    for family in BOTH {
        let udp = udp(UdpPayload::Plain);
        let ends = Ends {
            source: family.unspecified(),
            ..ends(family)
        };
        let mut datagram = probe(&udp, ends, 5);
        datagram[6..8].copy_from_slice(&[0x12, 0x34]);
        let error = quoting(&udp, router(family, 1), EXCEEDED, &datagram, 18);
        let answer = Answer::parse(to_us(router(family, 1)), None, &error).unwrap();
        let found = udp.recognize(ends, &answer, Changes::default()).unwrap();
        assert_eq!((found.index, found.changes), (5, Changes::default()));
    }
}

/// What a server returns to a datagram: its ports the other way round, and this payload.
fn datagram(to: &[u8], payload: &[u8]) -> Vec<u8> {
    let len = u16::try_from(payload.len() + 8).unwrap();
    [&to[2..4], &to[..2], &len.to_be_bytes(), &[0, 0], payload].concat()
}

#[test]
fn an_answer_of_a_server_is_its_own_probes() {
    for family in BOTH {
        let from_target = ends(family).reversed();
        for payload in PAYLOADS {
            let udp = udp(payload);
            for index in (0..300).step_by(7) {
                let probe = probe(&udp, ends(family), index);
                let sent = &probe[8..];
                let said = match payload {
                    // An echo, or a DNS server that rejects the question: RFC 1035, section 4.1.1.
                    UdpPayload::Plain => [sent[..2].to_vec(), b"\x80\x01".to_vec()].concat(),
                    UdpPayload::Dns => [
                        sent[..2].to_vec(),
                        b"\x81\x80\0\x01\0\0\0\0\0\0\0\0\x02\0\x01".to_vec(),
                    ]
                    .concat(),
                    // RFC 9000, section 17.2.1: the connection IDs change places.
                    _ => [
                        &b"\xff\0\0\0\0\x08"[..],
                        &sent[15..23],
                        b"\x08",
                        &sent[6..14],
                        b"\0\0\0\x01",
                    ]
                    .concat(),
                };
                let reply = datagram(&probe, &said);
                let answer = Udp::answer(from_target, Some(60), &reply).unwrap();
                assert_eq!((answer.kind, answer.icmp), (Kind::Reply, (0, 0)));
                let found = recognized(&udp, &answer).unwrap();
                assert_eq!((found.index, found.changes), (index, Changes::default()));
                assert_eq!(Udp::key(&answer), Ok(u32::from(udp.source_port) << 16));
                // To another port it is somebody else's.
                let mut other = reply.clone();
                other[3] ^= 1;
                let answer = Udp::answer(from_target, None, &other).unwrap();
                assert_eq!(recognized(&udp, &answer), Err(Discard::NotOurs));
            }
        }
    }
}

/// A segment that answers one of ours: with these flags, and an acknowledgment of this number.
fn segment(tcp: &Tcp, flags: u8, ack: u32) -> Vec<u8> {
    let ports = [tcp.port.to_be_bytes(), tcp.source_port.to_be_bytes()].concat();
    let rest = [0x50, flags, 0xff, 0xff, 0, 0, 0, 0];
    [&ports, &[9; 4][..], &ack.to_be_bytes(), &rest].concat()
}

#[test]
fn a_segment_that_acknowledges_a_probe_is_its_answer_and_no_other_is() {
    use hopshot_core::TcpAnswer;
    for family in BOTH {
        let tcp = tcp();
        // Not known: then nothing is verified.
        let from_target = Ends {
            source: ends(family).destination,
            destination: family.unspecified(),
        };
        for index in 0..200 {
            for (flags, said) in [
                (0x12, TcpAnswer::SynAck),
                (0x14, TcpAnswer::Rst),
                (0x10, TcpAnswer::Ack),
            ] {
                let segment = segment(&tcp, flags, tcp.seq(index).wrapping_add(1));
                let answer = Tcp::answer(from_target, Some(60), &segment).unwrap();
                assert_eq!(TcpAnswer::of(answer.icmp.1), said);
                assert_eq!(
                    recognized(&tcp, &answer).map(|found| found.index),
                    Ok(index)
                );
                assert_eq!(Tcp::key(&answer), Ok(u32::from(tcp.source_port) << 16));
            }
            for ack in [tcp.seq(index), tcp.seq(index).wrapping_add(2)] {
                let segment = segment(&tcp, 0x12, ack);
                let answer = Tcp::answer(from_target, None, &segment).unwrap();
                assert_eq!(recognized(&tcp, &answer), Err(Discard::NotOurs));
            }
        }
        // Without an acknowledgment it answers nothing.
        for flags in [0x02, 0x04, 0x00] {
            let answer = Tcp::answer(from_target, None, &segment(&tcp, flags, 1)).map(drop);
            assert_eq!(answer, Err(Malformed::Foreign));
        }
    }
}

#[test]
fn what_another_protocol_brings_is_foreign_though_its_octets_fit() {
    /// Whether answers to this protocol are foreign to it once they are said to be of another.
    fn is_foreign(protocol: &impl Protocol, mut answer: Answer<'_>) {
        assert!(recognized(protocol, &answer).is_ok());
        let foreign = match &mut answer.back {
            Back::Reply { protocol, .. } => protocol,
            Back::Quoted(quoted) => &mut quoted.protocol,
            _ => panic!("there is no other"),
        };
        *foreign = 132;
        let found = recognized(protocol, &answer);
        assert_eq!(found, Err(Discard::Malformed(Malformed::Foreign)));
    }
    for family in BOTH {
        let (tcp, udp, router) = (tcp(), udp(UdpPayload::Plain), router(family, 1));
        let syn = probe(&tcp, ends(family), 3);
        let error = quoting(&tcp, router, EXCEEDED, &syn, 8);
        is_foreign(&tcp, Answer::parse(to_us(router), None, &error).unwrap());
        let sent = probe(&udp, ends(family), 3);
        let error = quoting(&udp, router, EXCEEDED, &sent, 8);
        is_foreign(&udp, Answer::parse(to_us(router), None, &error).unwrap());
        let from_target = Ends {
            source: ends(family).destination,
            destination: family.unspecified(),
        };
        let syn_ack = segment(&tcp, 0x12, tcp.seq(3).wrapping_add(1));
        is_foreign(&tcp, Tcp::answer(from_target, None, &syn_ack).unwrap());
        let echo = datagram(&sent, &sent[8..]);
        is_foreign(&udp, Udp::answer(from_target, None, &echo).unwrap());
    }
}

#[test]
fn an_answer_on_another_flow_than_its_probe_left_on_is_none() {
    for family in BOTH {
        let (tcp, mut buf) = (tcp(), [0; 64]);
        let mut tracer = Tracer::<64, _>::new(config(family), tcp).unwrap();
        tracer.poll(Instant::EPOCH, &mut buf).unwrap();
        let from_target = Ends {
            source: ends(family).destination,
            destination: family.unspecified(),
        };
        for (index, is_it) in [(APART, false), (0, true)] {
            let mut segment = segment(&tcp, 0x12, tcp.seq(index).wrapping_add(1));
            segment[2..4].copy_from_slice(&tcp.source_port_of(index).to_be_bytes());
            let answer = Tcp::answer(from_target, None, &segment).unwrap();
            let accepted = tracer.accept(Instant::from_millis(5), &answer).map(drop);
            let expected = if is_it { Ok(()) } else { Err(Discard::NotOurs) };
            assert_eq!(accepted, expected);
        }
    }
}

#[test]
fn port_unreachable_is_the_targets_own_answer_and_no_routers() {
    for (family, code) in BOTH.into_iter().zip([3, 4]) {
        let udp = udp(UdpPayload::Plain);
        let probe = probe(&udp, ends(family), 0);
        for (from, is_reply) in [(ends(family).destination, true), (router(family, 1), false)] {
            let error = quoting(&udp, from, (Type::Unreachable, code), &probe, 8);
            let answer = Answer::parse(to_us(from), None, &error).unwrap();
            assert_eq!(udp.is_reply(ends(family), &answer), is_reply);
            let error = quoting(&udp, from, (Type::Unreachable, 0), &probe, 8);
            let answer = Answer::parse(to_us(from), None, &error).unwrap();
            assert!(!udp.is_reply(ends(family), &answer));
        }
    }
}

#[test]
fn ranges_are_checked() {
    let out = |parameter, given, least| {
        Err(ConfigError::OutOfRange {
            parameter,
            given,
            least,
            greatest: if parameter == "payload_len" {
                65_507
            } else {
                65_535
            },
        })
    };
    assert_eq!(tcp().check(), Ok(()));
    assert_eq!(Tcp { port: 0, ..tcp() }.check(), out("port", 0, 1));
    assert_eq!(
        Tcp {
            source_port: 0,
            ..tcp()
        }
        .check(),
        out("source_port", 0, 1)
    );
    for (payload, least) in PAYLOADS.into_iter().zip([10, 40, 1200]) {
        let udp = udp(payload);
        assert_eq!(udp.check(), Ok(()));
        assert_eq!(Udp { port: 0, ..udp }.check(), out("port", 0, 1));
        assert_eq!(
            Udp {
                source_port: 0,
                ..udp
            }
            .check(),
            out("source_port", 0, 1)
        );
        let payload_len = least - 1;
        assert_eq!(
            Udp { payload_len, ..udp }.check(),
            out("payload_len", payload_len, least)
        );
    }
    assert!(tcp().source_port >= 0x8000 && udp(UdpPayload::Plain).source_port >= 0x8000);
}

#[test]
fn a_short_quote_with_another_address_may_be_of_any_probe() {
    for family in BOTH {
        let udp = udp(UdpPayload::Plain);
        for (octets, is_known) in [(8, false), (17, false), (18, true), (32, true)] {
            let probe = probe(&udp, ends(family), 3);
            let mut error = quoting(&udp, router(family, 1), EXCEEDED, &probe, octets);
            // The last octet of the quoted source, and a checksum that fits: as translators leave
            // it.
            let at = 8 + if family == AddressFamily::V4 { 15 } else { 23 };
            error[at] ^= 1;
            error[2..4].fill(0);
            let sum = Checksum::of_ends(to_us(router(family, 1)), error.len()).unwrap();
            let sum = sum.with(&error).finish();
            error[2..4].copy_from_slice(&sum.to_be_bytes());
            let answer = Answer::parse(to_us(router(family, 1)), None, &error).unwrap();
            let mut tracer = Tracer::<64, _>::new(config(family), udp).unwrap();
            for _ in 0..4 {
                let mut buf = [0; 64];
                tracer.poll(Instant::EPOCH, &mut buf).unwrap();
            }
            let accepted = tracer.accept(Instant::from_millis(5), &answer);
            assert_eq!(accepted.is_ok(), is_known, "{octets} octets: {accepted:?}");
            if let Ok(reply) = accepted {
                assert_eq!(reply.probe.hop, 4);
                assert!(reply.changes.contains(Changes::SOURCE));
            }
        }
    }
}

#[test]
fn a_retry_apart_leaves_from_a_port_of_its_own_and_its_answers_find_it() {
    for family in BOTH {
        let tcp = tcp();
        let ports: HashSet<u16> = (5..36).map(|n| tcp.source_port_of(n | APART)).collect();
        assert_eq!(ports.len(), 31, "those of 31 probes in a row all differ");
        assert!(!ports.contains(&tcp.source_port));
        assert!(
            ports
                .iter()
                .all(|port| port / Tcp::PORTS == tcp.source_port / Tcp::PORTS)
        );
        for index in [0, 1, 14, 15, 16, 1_000, APART - 1] {
            let index = index | APART;
            let probe = probe(&tcp, ends(family), index);
            let port = tcp.source_port_of(index);
            assert_eq!(probe[..2], port.to_be_bytes());
            let error = quoting(&tcp, router(family, 1), EXCEEDED, &probe, 8);
            assert_eq!(index_of(&tcp, &error, family), Ok(index));
            let from_target = Ends {
                source: ends(family).destination,
                destination: family.unspecified(),
            };
            // To that port, and to no other of them.
            for (destination, is_it) in [(port, true), (tcp.source_port, false)] {
                let mut segment = segment(&tcp, 0x12, tcp.seq(index).wrapping_add(1));
                segment[2..4].copy_from_slice(&destination.to_be_bytes());
                let answer = Tcp::answer(from_target, None, &segment).unwrap();
                let found = recognized(&tcp, &answer).map(|found| found.index);
                assert_eq!(
                    found,
                    if is_it {
                        Ok(index)
                    } else {
                        Err(Discard::NotOurs)
                    }
                );
            }
        }
        let one_flow = Tcp {
            detours: false,
            ..tcp
        };
        assert_eq!(one_flow.source_port_of(7 | APART), tcp.source_port);
    }
    // No port is 0.
    for source_port in 1..32 {
        let tcp = Tcp {
            source_port,
            ..tcp()
        };
        assert!((0..80).all(|index| tcp.source_port_of(index | APART) != 0));
    }
}

#[test]
fn a_probe_whose_seq_was_changed_is_known_by_its_window_but_proves_nothing() {
    for family in BOTH {
        for index in [0, 3, 1_022, APART, APART | 9] {
            let mut probe = probe(&tcp(), ends(family), index);
            probe[5] ^= 0x10;
            for (octets, is_known) in [(8, false), (15, false), (16, true), (20, true), (24, true)]
            {
                let error = quoting(&tcp(), router(family, 1), EXCEEDED, &probe, octets);
                let answer = Answer::parse(to_us(router(family, 1)), None, &error).unwrap();
                let found = recognized(&tcp(), &answer);
                assert_eq!(found.is_ok(), is_known, "{octets} octets");
                if let Ok(found) = found {
                    assert_eq!(found.index, index);
                    let names: Vec<_> = found.changes.names().collect();
                    assert_eq!(names, ["checksum", "unproven"]);
                    assert!(found.changes.contains(Changes::SEQ));
                }
            }
            // Of those that are later than the window can say, none is.
            let mut late = crate::probe(&tcp(), ends(family), 1_023 | index & APART);
            late[5] ^= 0x10;
            let error = quoting(&tcp(), router(family, 1), EXCEEDED, &late, 24);
            let answer = Answer::parse(to_us(router(family, 1)), None, &error).unwrap();
            assert_eq!(recognized(&tcp(), &answer), Err(Discard::NotOurs));
            // Nor is it if a port was changed too.
            probe[1] ^= 0x40;
            let error = quoting(&tcp(), router(family, 1), EXCEEDED, &probe, 24);
            let answer = Answer::parse(to_us(router(family, 1)), None, &error).unwrap();
            assert_eq!(recognized(&tcp(), &answer), Err(Discard::NotOurs));
        }
    }
}
