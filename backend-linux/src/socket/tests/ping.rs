//! Ping sockets, and what both kinds do alike.

use super::super::{OpenError, Options, Socket};
use super::*;
use crate::advice::Refusals;
use crate::clock;
use hopshot_core::wire::icmp::{Error, Type, emit_balanced};
use hopshot_core::wire::ip;
use hopshot_core::{Answer, Back, Kind, Protocol, Quoted};
use hopshot_engine::SocketKind;
use std::collections::BTreeMap;
use std::time::Duration;

const PING: Options = Options {
    protocol: hopshot_engine::ProbeProtocol::Icmp,
    source_port: None,
    one_flow: false,
    source: None,
    interface: None,
    mark: None,
    traffic_class: None,
    kind: Some(SocketKind::Ping),
    ident: None,
    precise: false,
    may_be_fragmented: false,
    must_stay_whole: false,
};

/// What is said of the next arrival, and when and by which clock.
fn next<T>(
    socket: &mut Socket,
    read: impl FnOnce(u16, u16, &Answer<'_>) -> T,
) -> Option<(T, Instant, Clock)> {
    let second = Timespec {
        tv_sec: 1,
        tv_nsec: 0,
    };
    rustix::event::poll(&mut [PollFd::new(&*socket, PollFlags::IN)], Some(&second)).unwrap();
    let mut buf = [0; 2048];
    let arrival = socket.receive(&mut buf).unwrap()?;
    let answer = arrival.answer().unwrap();
    let [ident, seq] = key(&answer);
    Some((read(ident, seq, &answer), arrival.at, arrival.clock))
}

/// The ident and the seq of the probe that is answered.
fn key(answer: &Answer<'_>) -> [u16; 2] {
    let key = hopshot_core::Echo::key(answer).unwrap();
    [(key >> 16) as u16, key as u16]
}

/// The quote of an error: the destination and the checksum of the probe, and its payload.
fn quoted<'a>(answer: &Answer<'a>) -> (IpAddr, u16, &'a [u8]) {
    let Back::Quoted(Quoted {
        destination,
        header: None,
        message,
        ..
    }) = answer.back
    else {
        panic!("{answer:?}")
    };
    (
        destination.unwrap(),
        u16::from_be_bytes([message[2], message[3]]),
        &message[8..],
    )
}

#[test]
fn an_echo_comes_back_without_a_privilege() {
    in_namespace(
        "socket::tests::ping::an_echo_comes_back_without_a_privilege",
        PERMIT_PING,
        || {
            renounce();
            for target in LOOPBACKS.map(address) {
                let family = AddressFamily::of(target);
                let mut socket = Socket::open(family, &Options::default()).unwrap();
                let mut other = Socket::open(family, &Options::default()).unwrap();
                assert_eq!(
                    (socket.kind(), other.kind()),
                    (SocketKind::Ping, SocketKind::Ping)
                );
                let ident = socket.ident().unwrap();
                assert_ne!(Some(ident), other.ident());
                let mut stamped = 0;
                for seq in 0..100 {
                    let sent = clock::now();
                    // Whatever the ident, the kernel puts its own.
                    socket
                        .send(target, 0, 64, &request(target, seq, seq), 0)
                        .unwrap();
                    std::thread::sleep(Duration::from_millis(2));
                    let read = |ident: u16, seq: u16, answer: &Answer<'_>| {
                        (answer.from, answer.kind, answer.hop_limit, ident, seq)
                    };
                    let (said, at, clock) = next(&mut socket, read).unwrap();
                    assert_eq!(said, (target, Kind::Reply, Some(64), ident, seq));
                    let rtt = at.saturating_since(sent);
                    stamped += u32::from(clock == Clock::Kernel && rtt < Duration::from_millis(2));
                }
                assert!(stamped >= 80, "only {stamped} RTTs were without the wait");
                assert!(hear(&mut socket).is_none() && hear(&mut other).is_none());
            }
        },
    );
}

#[test]
fn an_ident_that_was_asked_for_is_kept() {
    in_namespace(
        "socket::tests::ping::an_ident_that_was_asked_for_is_kept",
        PERMIT_PING,
        || {
            for (target, source) in LOOPBACKS.into_iter().zip([None, Some(address("::1"))]) {
                let options = Options {
                    ident: Some(0x4242),
                    source,
                    ..PING
                };
                let target = address(target);
                let mut socket = Socket::open(AddressFamily::of(target), &options).unwrap();
                assert_eq!(socket.ident(), Some(0x4242));
                socket
                    .send(target, 0, 64, &request(target, 1, 9), 0)
                    .unwrap();
                assert_eq!(
                    next(&mut socket, |ident, seq, _| (ident, seq)).unwrap().0,
                    (0x4242, 9)
                );
            }
        },
    );
}

#[test]
fn what_is_not_permitted_is_said() {
    in_namespace(
        "socket::tests::ping::what_is_not_permitted_is_said",
        "",
        || {
            for family in [AddressFamily::V4, AddressFamily::V6] {
                let no_ping = Refusals {
                    raw: None,
                    unprivileged: Some(Errno::ACCESS),
                };
                assert_eq!(
                    Socket::open(family, &PING).err(),
                    Some(OpenError::Refused(no_ping))
                );
                let raw = Socket::open(family, &Options::default()).unwrap();
                assert_eq!((raw.kind(), raw.ident()), (SocketKind::Raw, None));
            }
            renounce();
            let raw = Options {
                kind: Some(SocketKind::Raw),
                ..Options::default()
            };
            for family in [AddressFamily::V4, AddressFamily::V6] {
                let refusals = [
                    (Some(Errno::PERM), Some(Errno::ACCESS)),
                    (Some(Errno::PERM), None),
                    (None, Some(Errno::ACCESS)),
                ];
                for (options, (raw, unprivileged)) in
                    [&Options::default(), &raw, &PING].into_iter().zip(refusals)
                {
                    let refused = OpenError::Refused(Refusals { raw, unprivileged });
                    assert_eq!(Socket::open(family, options).err(), Some(refused));
                }
            }
        },
    );
}

#[test]
fn errors_come_in_full_and_no_send_fails_for_them() {
    in_namespace(
        "socket::tests::ping::errors_come_in_full_and_no_send_fails_for_them",
        &format!("{PERMIT_PING}{ROUTER}"),
        || {
            renounce();
            const PROBES: u16 = 30;
            // First, since Linux has a limit on these that counts what came before
            // (net.ipv4.route.error_burst).
            for (router, target, code) in [
                ("192.0.2.2", "198.51.100.9", 13),
                ("2001:db8::2", "2001:db8:1::9", 1),
            ] {
                let target = address(target);
                let mut socket = Socket::open(AddressFamily::of(target), &PING).unwrap();
                socket
                    .send(target, 0, 9, &request(target, 1, 7), 0)
                    .unwrap();
                let said = next(&mut socket, |_, seq, answer| {
                    (answer.from, answer.kind, answer.icmp.1, seq)
                })
                .unwrap()
                .0;
                assert_eq!(said, (address(router), Kind::Unreachable, code, 7));
            }
            for (router, target) in [
                ("192.0.2.2", "198.51.100.1"),
                ("2001:db8::2", "2001:db8:1::1"),
            ] {
                let (router, target) = (address(router), address(target));
                let mut socket = Socket::open(AddressFamily::of(target), &PING).unwrap();
                let ident = socket.ident().unwrap();
                let mut stamped = 0;
                // The kernel begins to stamp a moment after it was asked.
                std::thread::sleep(Duration::from_millis(20));
                // Each send but the first finds errors about earlier probes waiting.
                for seq in 0..PROBES {
                    socket
                        .send(target, 0, 1, &request(target, ident, seq), 0)
                        .unwrap();
                }
                for seq in 0..PROBES {
                    let read = |ident: u16, seq: u16, answer: &Answer<'_>| {
                        let (destination, _, payload) = quoted(answer);
                        assert_eq!(
                            (destination, payload),
                            (target, &b"a payload of hopshot's"[..])
                        );
                        (answer.from, answer.kind, answer.hop_limit, ident, seq)
                    };
                    let (said, _, clock) = next(&mut socket, read)
                        .unwrap_or_else(|| panic!("no answer to probe {seq}"));
                    assert_eq!(said, (router, Kind::TimeExceeded, Some(64), ident, seq));
                    stamped += u32::from(clock == Clock::Kernel);
                }
                assert!(
                    stamped >= u32::from(PROBES) / 2,
                    "only {stamped} of {PROBES} came with a stamp"
                );
            }
        },
    );
}

#[test]
fn the_checksum_that_was_asked_for_is_on_the_wire_and_in_the_quote() {
    let setup = format!("{PERMIT_PING}{ROUTER}");
    in_namespace(
        "socket::tests::ping::the_checksum_that_was_asked_for_is_on_the_wire_and_in_the_quote",
        &setup,
        || {
            for (source, target) in [
                ("192.0.2.1", "198.51.100.1"),
                ("2001:db8::1", "2001:db8:1::1"),
            ] {
                let [source, destination] = [source, target].map(address);
                let mut socket = Socket::open(AddressFamily::of(destination), &PING).unwrap();
                for (seq, checksum) in [0x1234, 1, 0xfffe].into_iter().enumerate() {
                    let mut probe = [0xa5; 32];
                    let (ends, seq) = (
                        Ends {
                            source,
                            destination,
                        },
                        seq as u16,
                    );
                    emit_balanced(ends, socket.ident().unwrap(), seq, checksum, &mut probe)
                        .unwrap();
                    socket.send(destination, 0, 1, &probe, 0).unwrap();
                    let read = |_: u16, seq: u16, answer: &Answer<'_>| {
                        (seq, quoted(answer).0, quoted(answer).1)
                    };
                    let (said, ..) = next(&mut socket, read).unwrap();
                    assert_eq!(said, (seq, destination, checksum));
                }
            }
        },
    );
}

#[test]
fn a_quoted_checksum_or_destination_that_was_changed_is_told() {
    in_namespace(
        "socket::tests::ping::a_quoted_checksum_or_destination_that_was_changed_is_told",
        PERMIT_PING,
        || {
            for (us, elsewhere) in LOOPBACKS
                .map(address)
                .into_iter()
                .zip(["198.51.100.7", "2001:db8::7"])
            {
                let family = AddressFamily::of(us);
                let mut socket = Socket::open(family, &PING).unwrap();
                let mut forger = Socket::open(family, &Options::default()).unwrap();
                for (seq, destination) in [(3, us), (4, address(elsewhere))] {
                    let mut probe = [0; 8];
                    let ends = Ends {
                        source: us,
                        destination,
                    };
                    let echo = Echo {
                        ident: socket.ident().unwrap(),
                        seq,
                        payload: &[],
                    };
                    Message::EchoRequest(echo).emit(ends, &mut probe).unwrap();
                    probe[2..4].copy_from_slice(&[0x12, seq as u8]);
                    for icmp_type in [Type::TimeExceeded, Type::Unreachable] {
                        let error = quoting(ends, icmp_type, &probe);
                        forger.send(us, 0, 64, &error, 0).unwrap();
                        let read = |_: u16, seq: u16, answer: &Answer<'_>| {
                            let (destination, checksum, _) = quoted(answer);
                            (answer.from, seq, destination, checksum)
                        };
                        let (said, ..) = next(&mut socket, read).unwrap();
                        assert_eq!(said, (us, seq, destination, 0x1200 + seq));
                    }
                }
            }
        },
    );
}

/// An error to us that quotes these octets as sent between these ends.
fn quoting(ends: Ends, icmp_type: Type, probe: &[u8]) -> Vec<u8> {
    let family = ends.family();
    let protocol = if family == AddressFamily::V4 {
        ip::PROTOCOL_ICMP
    } else {
        ip::PROTOCOL_ICMPV6
    };
    let mut quoted = vec![0; ip::header_len(family)];
    ip::Header {
        ends,
        hop_limit: 1,
        traffic_class: 0,
        protocol,
    }
    .emit(probe.len(), &mut quoted)
    .unwrap();
    quoted.extend_from_slice(probe);
    let mut octets = vec![0; 128];
    let to_us = Ends {
        source: family.unspecified(),
        destination: family.unspecified(),
    };
    let error = Message::Error(Error {
        icmp_type,
        code: 0,
        rest: 0,
        quoted: &quoted,
    });
    let len = error.emit(to_us, &mut octets).unwrap();
    octets.truncate(len);
    octets
}

#[test]
fn nobody_else_gets_an_ident_that_was_drawn() {
    in_namespace(
        "socket::tests::ping::nobody_else_gets_an_ident_that_was_drawn",
        PERMIT_PING,
        || {
            for family in [AddressFamily::V4, AddressFamily::V6] {
                let socket = Socket::open(family, &PING).unwrap();
                let thief = Options {
                    ident: socket.ident(),
                    ..PING
                };
                for family in [AddressFamily::V4, AddressFamily::V6] {
                    assert_eq!(
                        Socket::open(family, &thief).err(),
                        Some(OpenError::Other(Errno::ADDRINUSE))
                    );
                }
                drop(socket);
                // One that is given is shared, as long as all want that.
                let given = Socket::open(family, &thief).unwrap();
                assert_eq!(
                    (given.ident(), Socket::open(family, &thief).unwrap().ident()),
                    (thief.ident, thief.ident)
                );
            }
        },
    );
}

#[test]
fn idents_are_no_neighbours() {
    in_namespace(
        "socket::tests::ping::idents_are_no_neighbours",
        PERMIT_PING,
        || {
            let sockets: Vec<_> = (0..16)
                .map(|_| Socket::open(AddressFamily::V4, &PING).unwrap())
                .collect();
            let mut idents: Vec<u16> = sockets.iter().filter_map(Socket::ident).collect();
            idents.sort_unstable();
            let near = idents
                .windows(2)
                .filter(|pair| pair[1] - pair[0] < 16)
                .count();
            // Sixteen that are drawn have one such pair in one of twenty cases.
            assert!(idents.len() == 16 && near < 8, "{idents:?}");
        },
    );
}

#[test]
fn the_kernel_says_when_a_probe_left() {
    in_namespace(
        "socket::tests::ping::the_kernel_says_when_a_probe_left",
        &format!("{PERMIT_PING}{ROUTER}"),
        || {
            for target in ["192.0.2.2", "2001:db8::2", "198.51.100.1", "2001:db8:1::1"].map(address)
            {
                for kind in [SocketKind::Raw, SocketKind::Ping] {
                    for counted in [false, true] {
                        let options = Options {
                            kind: Some(kind),
                            precise: true,
                            ..Options::default()
                        };
                        let mut socket = Socket::open(AddressFamily::of(target), &options).unwrap();
                        let mut departures = BTreeMap::new();
                        let mut spans = Vec::new();
                        for tag in 0..20_u32 {
                            if counted && tag % 7 == 0 {
                                // As after a packet that may have been counted or not.
                                std::iter::from_fn(|| socket.departure())
                                    .for_each(|(tag, at)| _ = departures.insert(tag, at));
                                match &mut socket {
                                    Socket::Raw(raw) => raw.count_departures(),
                                    Socket::Unprivileged(other) => other.count_departures(),
                                    Socket::Tcp(_) => unreachable!(),
                                }
                            }
                            let before = clock::now();
                            socket
                                .send(target, 0, 1, &request(target, 1, 0), tag + 1000)
                                .unwrap();
                            spans.push((tag + 1000, before, clock::now()));
                            std::thread::sleep(Duration::from_micros(200));
                        }
                        std::iter::from_fn(|| socket.departure())
                            .for_each(|(tag, at)| _ = departures.insert(tag, at));
                        for (tag, before, after) in spans {
                            // A packet to a neighbour that isn't known yet waits for it.
                            let at = departures
                                .get(&tag)
                                .copied()
                                .unwrap_or_else(|| panic!("{kind:?} {target} {tag}"));
                            assert!(
                                before <= at && (at <= after || tag == 1000),
                                "{kind:?} {target} {tag}"
                            );
                        }
                    }
                }
            }
        },
    );
}
