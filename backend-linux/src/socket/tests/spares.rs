//! Sockets for detours.

use super::LOOPBACKS;
use super::address;
use crate::namespace::in_namespace;
use crate::socket::spares::{MOST, Spares};
use crate::socket::{Arrival, Options};
use hopshot_core::wire::AddressFamily;
use hopshot_core::{Back, Kind};
use hopshot_engine::{ProbeProtocol, UdpPayload};
use rustix::event::{PollFd, PollFlags, Timespec};
use rustix::io::Errno;
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

/// Whether whoever waits would be woken.
fn is_readable(spares: &Spares) -> bool {
    let mut fds = [PollFd::new(spares, PollFlags::IN)];
    rustix::event::poll(&mut fds, Some(&Timespec::default())).unwrap() > 0
}

#[test]
fn what_comes_to_sockets_without_a_probe_wakes_nobody_for_long() {
    in_namespace(
        "socket::tests::spares::what_comes_to_sockets_without_a_probe_wakes_nobody_for_long",
        "",
        || {
            for loopback in LOOPBACKS {
                let to = address(loopback);
                let mut spares = open(AddressFamily::of(to), 7);
                let noise = UdpSocket::bind(SocketAddr::from((to, 0))).unwrap();
                // Before they have sent they have no port.
                let used = |port: &u16| noise.send_to(b"noise", (to, *port)).is_ok();
                assert!((32_768..61_000).filter(used).count() > 20_000);
                assert!(!is_readable(&spares));
                assert_eq!(read(&mut spares, &mut [0; 64]), None);
            }
        },
    );
}

/// Reads one answer, if one comes soon.
fn read(spares: &mut Spares, buf: &mut [u8]) -> Option<usize> {
    let end = Instant::now() + Duration::from_millis(200);
    loop {
        if let Some((received, _)) = spares.read(buf).unwrap() {
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
                for round in 0..2 {
                    for number in 0..MOST as u8 {
                        send(&mut spares, to, number);
                        let (_, from) = server.recv_from(&mut [0; 64]).unwrap();
                        ports.push(from.port());
                    }
                    // All have a probe under way.
                    let more = spares.send(to, 0, 9, &message(0), 0);
                    assert_eq!(more, Err(Errno::AGAIN));
                    if round == 0 {
                        spares.forget(|_| true);
                    }
                }
                let (old, current) = ports.split_at(MOST);
                let distinct: HashSet<_> = current.iter().collect();
                assert_eq!(distinct.len(), MOST);

                // A late answer to a probe whose place was used again is nobody's, and nor is what
                // comes from elsewhere.
                let mut buf = [0; 64];
                let late = old.iter().find(|port| !current.contains(port)).unwrap();
                server.send_to(b"late", (to, *late)).unwrap();
                if to.is_ipv4() {
                    let stranger = UdpSocket::bind(("127.0.0.9", 0)).unwrap();
                    stranger.send_to(b"noise", (to, current[5])).unwrap();
                }
                assert_eq!(read(&mut spares, &mut buf), None);
                assert!(!is_readable(&spares));

                for _ in 0..2 {
                    server.send_to(b"answer", (to, current[5])).unwrap();
                    assert_eq!(read(&mut spares, &mut buf), Some(14));
                    assert_eq!((&buf[2..4], &buf[8..14]), (&[0x80, 1][..], &b"answer"[..]));
                }
                assert_eq!(read(&mut spares, &mut buf), None);
                // Its place is the next one's.
                send(&mut spares, to, 77);
                server.send_to(b"answer", (to, current[5])).unwrap();
                assert_eq!(read(&mut spares, &mut buf), None);
                assert!(!is_readable(&spares));
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
                let (mut checksums, mut ports) = (Vec::new(), HashSet::new());
                for _ in 0..3 {
                    let end = Instant::now() + Duration::from_secs(5);
                    let (received, port) = loop {
                        match spares.read(&mut buf).unwrap() {
                            Some(received) => break received,
                            None => assert!(Instant::now() < end),
                        }
                    };
                    ports.insert(port.unwrap());
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
                assert_eq!(ports.len(), 3);
                // Those that were forgotten have no answer.
                send(&mut spares, to, 3);
                spares.forget(|tag| tag == 3);
                assert_eq!(read(&mut spares, &mut buf), None);
            }
        },
    );
}
