//! Hosts: what their ports do.

use crate::packets::{ACK, BOTH, PORT, Probe, RST, Read, TCP, UDP, named, send};
use core::time::Duration;
use hopshot_core::wire::{AddressFamily, ip};
use hopshot_lab::log::Fate;

const FIRST: u32 = 0x0102_0304;

#[test]
fn a_syn_ack_and_a_reset_to_the_octet() {
    let mut internet = named("wan");
    let open = Probe::new(&internet, AddressFamily::V4, 30, 443).tcp();
    let mut answers = internet.receive(Duration::ZERO, &open);
    assert_eq!(answers[0].due, Duration::from_millis(80));
    let packet = &mut answers[0].packet;
    // The ISN and, with it, the checksum are random.
    packet[24..28].fill(0xaa);
    packet[36..38].fill(0xaa);
    assert_eq!(
        *packet,
        [
            0x45, 0, 0, 44, 0, 0, 0x40, 0, 53, 6, 0x30, 0x7c, 10, 255, 0, 80, 10, 0, 0,
            2, // IP
            0x01, 0xbb, 0x9c, 0x40, 0xaa, 0xaa, 0xaa, 0xaa, 1, 2, 3, 5, // ack: seq + 1
            0x60, 0x12, 0xfa, 0xf0, 0xaa, 0xaa, 0, 0, 2, 4, 5, 0xb4 // SYN/ACK, MSS 1,460
        ]
    );
    let closed = Probe::new(&internet, AddressFamily::V6, 30, 444).tcp();
    let answers = internet.receive(Duration::ZERO, &closed);
    assert_eq!(answers[0].packet[..8], [0x60, 0, 0, 0, 0, 20, 6, 53]);
    assert_eq!(
        answers[0].packet[40..],
        [
            0x01, 0xbc, 0x9c, 0x40, 0, 0, 0, 0, 1, 2, 3, 5, 0x50, 0x14, 0, 0, 0xb1, 0xd9, 0, 0
        ]
    );
}

#[test]
fn a_closed_port_resets_each_syn_and_a_filtered_one_says_nothing() {
    for family in BOTH {
        let mut internet = named("tcp-filtered");
        for (port, seq) in [(81, FIRST), (81, FIRST), (81, 9), (65_535, u32::MAX)] {
            let syn = Probe {
                seq,
                ..Probe::new(&internet, family, 30, port)
            };
            let expected = (RST | ACK, 0, seq.wrapping_add(1));
            assert_eq!(
                send(&mut internet, 0, &syn.tcp()).unwrap().numbers(),
                expected
            );
        }
        for protocol in [TCP, UDP] {
            let probe = Probe::new(&internet, family, 30, 443);
            assert_eq!(send(&mut internet, 0, &probe.of(protocol)), None);
            assert_eq!(internet.log().last().unwrap().fate, Fate::Silent);
        }
    }
}

#[test]
fn a_rejected_port_is_refused_by_the_last_router() {
    for (family, kind) in BOTH.into_iter().zip([[3, 13], [1, 1]]) {
        for protocol in [TCP, UDP] {
            let mut internet = named("tcp-rejected");
            let last = internet.truth(family).at(11)[0].unwrap();
            for hop_limit in [12, 30] {
                let probe = Probe::new(&internet, family, hop_limit, 443).of(protocol);
                let message = probe[if family == AddressFamily::V4 { 20 } else { 40 }..].to_vec();
                let expected = Read::Error {
                    from: last,
                    kind,
                    quoted: message,
                };
                assert_eq!(send(&mut internet, 0, &probe), Some(expected));
                assert_eq!(internet.log().last().unwrap().hop, 11);
            }
            // At its own hop it is a router as any other.
            let probe = Probe::new(&internet, family, 11, 443).of(protocol);
            let Some(Read::Error { kind, .. }) = send(&mut internet, 0, &probe) else {
                panic!("an error")
            };
            assert!([[11, 0], [3, 0]].contains(&kind));
            let open = Probe::new(&internet, family, 12, 80).of(protocol);
            assert_eq!(
                send(&mut internet, 0, &open).unwrap().from(),
                Some(internet.target(family))
            );
        }
    }
}

#[test]
fn a_datagram_comes_back_or_nobody_is_there() {
    for (family, kind) in BOTH.into_iter().zip([[3, 3], [1, 4]]) {
        let mut internet = named("wan");
        let target = internet.target(family);
        let echo = Probe::new(&internet, family, 30, 7);
        let expected = Read::Datagram {
            from: target,
            port: PORT,
            payload: b"payload".to_vec(),
        };
        assert_eq!(send(&mut internet, 0, &echo.udp()), Some(expected));
        let closed = Probe {
            port: 33_434,
            ..echo
        }
        .udp();
        let message = closed[if family == AddressFamily::V4 { 20 } else { 40 }..].to_vec();
        let expected = Read::Error {
            from: target,
            kind,
            quoted: message,
        };
        assert_eq!(send(&mut internet, 0, &closed), Some(expected));
        let answers = internet.receive(Duration::ZERO, &closed);
        let (_, error) = ip::parse(&answers[0].packet).unwrap();
        let quoted = ip::parse_quoted(&error[8..]).unwrap().0;
        assert_eq!(quoted.hop_limit, 30 - 11, "as it has arrived");
    }
}

#[test]
fn errors_about_closed_ports_are_limited_as_a_routers_are() {
    for family in BOTH {
        let mut internet = named("ratelimit");
        let udp = Probe::new(&internet, family, 30, 81);
        let tcp = udp.tcp();
        let answered = |internet: &mut _, packet: &[u8]| {
            let sent = (0..10).filter(|_| send(internet, 0, packet).is_some());
            sent.count()
        };
        assert_eq!(answered(&mut internet, &udp.udp()), 6);
        assert_eq!(answered(&mut internet, &tcp), 10);
        let echo = Probe { port: 7, ..udp };
        assert_eq!(answered(&mut internet, &echo.udp()), 10);
    }
}

#[test]
fn an_unknown_version_of_quic_is_negotiated() {
    for family in BOTH {
        let mut internet = named("wan");
        let mut initial = vec![0xc0, 0x1a, 0x2a, 0x3a, 0x4a, 3, 1, 2, 3, 2, 8, 9];
        initial.resize(1200, 0);
        let ask = |internet: &mut _, payload: &[u8]| {
            let probe = Probe {
                payload,
                ..Probe::new(internet, family, 30, 443)
            };
            match send(internet, 0, &probe.udp()) {
                Some(Read::Datagram { payload, .. }) => Some(payload),
                other => {
                    assert_eq!(other, None);
                    None
                }
            }
        };
        let mut answer = ask(&mut internet, &initial).unwrap();
        assert_eq!(answer.remove(0) & 0x80, 0x80);
        assert_eq!(answer, [0, 0, 0, 0, 2, 8, 9, 3, 1, 2, 3, 0, 0, 0, 1]);
        // Too short, a short header, version 1, a negotiation itself, ids that end nowhere.
        let with = |at: usize, octets: &[u8]| {
            let mut changed = initial.clone();
            changed[at..at + octets.len()].copy_from_slice(octets);
            changed
        };
        for silent in [
            initial[..1199].to_vec(),
            with(0, &[0x40]),
            with(1, &[0, 0, 0, 1]),
            with(1, &[0; 4]),
            initial[..7].to_vec(),
            b"".to_vec(),
        ] {
            assert_eq!(ask(&mut internet, &silent), None);
        }
    }
}

#[test]
fn a_wrong_checksum_gets_no_answer_from_a_host_but_from_a_router() {
    for family in BOTH {
        for (protocol, port) in [(TCP, 443), (TCP, 81), (UDP, 7), (UDP, 81)] {
            let mut internet = named("wan");
            let start = if family == AddressFamily::V4 { 20 } else { 40 };
            let mut send_wrong = |hop_limit| {
                let mut probe = Probe::new(&internet, family, hop_limit, port).of(protocol);
                probe[start + if protocol == TCP { 16 } else { 6 }] ^= 1;
                send(&mut internet, 0, &probe)
            };
            assert_eq!(send_wrong(12), None);
            assert!(matches!(send_wrong(5), Some(Read::Error { .. })));
        }
        let mut internet = named("wan");
        let mut none = Probe::new(&internet, family, 30, 7).udp();
        let start = if family == AddressFamily::V4 { 20 } else { 40 };
        none[start + 6..start + 8].fill(0);
        let answered = send(&mut internet, 0, &none).is_some();
        assert_eq!(answered, family == AddressFamily::V4);
    }
}

#[test]
fn a_router_that_is_the_destination_has_no_open_port() {
    for family in BOTH {
        let mut internet = named("wan");
        let router = internet.truth(family).at(5)[0].unwrap();
        let probe = Probe {
            to: router,
            ..Probe::new(&internet, family, 9, 443)
        };
        assert_eq!(
            send(&mut internet, 0, &probe.tcp()).unwrap().numbers().0,
            RST | ACK
        );
        let Some(Read::Error { from, .. }) = send(&mut internet, 0, &probe.udp()) else {
            panic!("an error")
        };
        assert_eq!(from, router);
        let mut wrong = probe.tcp();
        *wrong.last_mut().unwrap() ^= 1;
        assert_eq!(send(&mut internet, 0, &wrong), None);
    }
}
