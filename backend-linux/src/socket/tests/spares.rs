//! Sockets for detours.

use super::LOOPBACKS;
use super::address;
use crate::namespace::in_namespace;
use crate::socket::spares::{MOST, Spares};
use crate::socket::{Arrival, Options};
use hopshot_core::wire::AddressFamily;
use hopshot_core::{Back, Kind};
use hopshot_engine::{ProbeProtocol, UdpPayload};
use std::collections::HashSet;
use std::net::{IpAddr, SocketAddr, UdpSocket};
use std::time::{Duration, Instant};

/// The header of a probe as its caller wrote it, with this checksum.
fn message(checksum: u8) -> Vec<u8> {
    [&[0x80, 1, 0, 7, 0, 12, 0xab, checksum][..], b"load"].concat()
}

fn open(family: AddressFamily, port: u16) -> Spares {
    let options = Options {
        protocol: ProbeProtocol::Udp {
            port,
            payload: UdpPayload::Plain,
        },
        ..Options::default()
    };
    Spares::open(family, &options).unwrap()
}

fn send(spares: &mut Spares, to: IpAddr, number: u8) {
    let sent = spares.send(to, 0, 9, &message(number), number.into());
    sent.unwrap();
}

/// Reads one answer, if one comes soon.
fn read(spares: &mut Spares, buf: &mut [u8]) -> Option<usize> {
    let end = Instant::now() + Duration::from_millis(200);
    loop {
        if let Some(received) = spares.read(buf).unwrap() {
            let arrival: Arrival<'_> = received.arrival(buf);
            return Some(arrival.message.len());
        }
        if Instant::now() > end {
            return None;
        }
        std::thread::sleep(Duration::from_millis(1));
    }
}

#[test]
fn each_probe_has_a_port_of_its_own_and_its_answer_has_the_header_that_was_written() {
    in_namespace(
        "socket::tests::spares::each_probe_has_a_port_of_its_own_and_its_answer_has_the_header_that_was_written",
        "",
        || {
            for loopback in LOOPBACKS {
                let to = address(loopback);
                let server = UdpSocket::bind(SocketAddr::from((to, 0))).unwrap();
                let port = server.local_addr().unwrap().port();
                let mut spares = open(AddressFamily::of(to), port);
                let mut ports = Vec::new();
                // Each place is used twice.
                for number in 0..2 * MOST as u8 {
                    send(&mut spares, to, number);
                    let (_, from) = server.recv_from(&mut [0; 64]).unwrap();
                    ports.push(from.port());
                }
                let (old, current) = ports.split_at(MOST);
                let distinct: HashSet<_> = current.iter().collect();
                assert_eq!(distinct.len(), MOST);

                // A late answer to a probe whose place was used again is nobody's.
                let mut buf = [0; 64];
                let late = old.iter().find(|port| !current.contains(port)).unwrap();
                server.send_to(b"late", (to, *late)).unwrap();
                assert_eq!(read(&mut spares, &mut buf), None);

                server.send_to(b"answer", (to, current[5])).unwrap();
                assert_eq!(read(&mut spares, &mut buf), Some(14));
                assert_eq!((&buf[2..4], &buf[8..14]), (&[0x80, 1][..], &b"answer"[..]));
                // It has had its answer.
                server.send_to(b"answer", (to, current[5])).unwrap();
                assert_eq!(read(&mut spares, &mut buf), None);
            }
        },
    );
}

#[test]
fn an_error_is_about_the_probe_of_its_port() {
    in_namespace(
        "socket::tests::spares::an_error_is_about_the_probe_of_its_port",
        "",
        || {
            for loopback in LOOPBACKS {
                let to = address(loopback);
                // Nobody listens there.
                let mut spares = open(AddressFamily::of(to), 7);
                let mut buf = [0; 1500];
                for number in 0..3 {
                    send(&mut spares, to, number);
                }
                let mut checksums = Vec::new();
                for _ in 0..3 {
                    let end = Instant::now() + Duration::from_secs(5);
                    let received = loop {
                        match spares.read(&mut buf).unwrap() {
                            Some(received) => break received,
                            None => assert!(Instant::now() < end),
                        }
                    };
                    let arrival = received.arrival(&buf);
                    let answer = arrival.answer().unwrap();
                    assert_eq!((answer.kind, answer.from), (Kind::Unreachable, to));
                    let Back::Quoted(quoted) = answer.back else {
                        panic!("{answer:?}");
                    };
                    assert_eq!(&quoted.message[..2], &[0x80, 1]);
                    assert_eq!(&quoted.message[8..], b"load");
                    checksums.push(quoted.message[7]);
                }
                checksums.sort_unstable();
                assert_eq!(checksums, [0, 1, 2]);
                // Those that were forgotten have no answer.
                send(&mut spares, to, 3);
                spares.forget(|tag| tag == 3);
                assert_eq!(read(&mut spares, &mut buf), None);
            }
        },
    );
}
