//! TCP sockets: each sends one probe, and what becomes of it is told as the answer to the SYN that
//! the caller wrote.

use super::super::{OpenError, Options, Socket};
use super::*;
use hopshot_core::{Changes, Match, Protocol, Tcp, TcpAnswer, TcpOptions};
use hopshot_engine::{ProbeProtocol, SocketKind};
use std::net::TcpListener;
use std::thread;
use std::time::{Duration, Instant as Clocktime};

/// A link behind which nobody answers.
const NOWHERE: &str = "ip link add near type veth peer name far; \
    ip link set near up arp off; ip link set far up arp off; \
    ip address add 192.0.2.1/24 dev near; ip address add 2001:db8::1/64 dev near nodad; \
    until ip link show near | grep -q 'state UP'; do sleep 0.01; done; ";

fn open(family: AddressFamily, port: u16) -> Socket {
    let options = TcpOptions::Full;
    let options = Options {
        protocol: ProbeProtocol::Tcp { port, options },
        kind: Some(SocketKind::Tcp),
        ..Options::default()
    };
    Socket::open(family, &options).unwrap()
}

/// The probes of a trace.
fn probes(port: u16) -> Tcp {
    Tcp {
        options: TcpOptions::Full,
        ..Tcp::new(port, *b"a random number!")
    }
}

/// Sends a probe.
fn send(socket: &mut Socket, probes: &Tcp, target: IpAddr, index: u16) -> Result<(), Errno> {
    send_to(64, socket, probes, target, index)
}

/// Sends a probe to a hop.
fn send_to(
    hop: u8,
    socket: &mut Socket,
    probes: &Tcp,
    target: IpAddr,
    index: u16,
) -> Result<(), Errno> {
    let unknown = AddressFamily::of(target).unspecified();
    let ends = Ends {
        source: unknown,
        destination: unknown,
    };
    let mut message = vec![0; probes.message_len()];
    probes.emit(ends, index, &mut message).unwrap();
    socket.send(target, 0, hop, &message, 0).map(drop)
}

/// Waits up to a second for an answer: to which probe, and what it says.
fn answer(socket: &mut Socket, probes: &Tcp) -> Option<(u16, TcpAnswer)> {
    let end = Clocktime::now() + Duration::from_secs(1);
    let mut buf = [0; 2_048];
    while Clocktime::now() < end {
        if let Some(arrival) = socket.receive(&mut buf).unwrap() {
            let answer = arrival.answer().unwrap();
            let unknown = AddressFamily::of(answer.from).unspecified();
            let ends = Ends {
                source: unknown,
                destination: unknown,
            };
            let found = probes.recognize(ends, &answer, Changes::default());
            let Match { index, changes } = found.unwrap();
            assert_eq!(changes, Changes::default());
            return Some((index, TcpAnswer::of(answer.icmp.1)));
        }
        let short = Timespec::try_from(Duration::from_millis(20)).unwrap();
        rustix::event::poll(&mut [PollFd::new(&*socket, PollFlags::IN)], Some(&short)).unwrap();
    }
    None
}

/// Reads a counter of the kernel's TCP.
fn counted(name: &str) -> u64 {
    let text = std::fs::read_to_string("/proc/self/net/snmp").unwrap();
    let mut lines = text.lines().filter(|line| line.starts_with("Tcp:"));
    let mut line = || lines.next().unwrap().split_whitespace();
    let (mut names, mut numbers) = (line(), line());
    let place = names.position(|it| it == name).unwrap();
    numbers.nth(place).unwrap().parse().unwrap()
}

#[test]
fn a_port_is_open_or_closed_and_no_connection_stays() {
    in_namespace(
        "socket::tests::tcp::a_port_is_open_or_closed_and_no_connection_stays",
        "",
        || {
            renounce();
            for target in LOOPBACKS.map(address) {
                let listener = TcpListener::bind((target, 0)).unwrap();
                let open_port = listener.local_addr().unwrap().port();
                let its = probes(open_port);
                let mut socket = open(AddressFamily::of(target), open_port);
                // More than there are sockets: each serves again. As many as the listener holds.
                for index in 0..128 {
                    send(&mut socket, &its, target, index).unwrap();
                    assert_eq!(answer(&mut socket, &its), Some((index, TcpAnswer::SynAck)));
                }
                assert_eq!(counted("CurrEstab"), 0);
                drop(listener);
                for index in 200..400 {
                    send(&mut socket, &its, target, index).unwrap();
                    assert_eq!(answer(&mut socket, &its), Some((index, TcpAnswer::Rst)));
                }
            }
        },
    );
}

#[test]
fn of_each_probe_one_syn_leaves_and_then_its_socket_is_free() {
    in_namespace(
        "socket::tests::tcp::of_each_probe_one_syn_leaves_and_then_its_socket_is_free",
        NOWHERE,
        || {
            for target in ["192.0.2.2", "2001:db8::2"].map(address) {
                let (mut socket, its) = (open(AddressFamily::of(target), 443), probes(443));
                let room = u16::try_from(socket.room().unwrap()).unwrap();
                let (sent, again) = (counted("OutSegs"), counted("RetransSegs"));
                for index in 0..room {
                    send(&mut socket, &its, target, index).unwrap();
                }
                assert_eq!(send(&mut socket, &its, target, room), Err(Errno::AGAIN));
                // Somebody who sleeps for longer than they may be under way is woken for that.
                assert_eq!(answer(&mut socket, &its), None);
                for index in 0..room {
                    send(&mut socket, &its, target, index).unwrap();
                }
                thread::sleep(Duration::from_millis(500));
                assert_eq!(answer(&mut socket, &its), None);
                assert_eq!(counted("RetransSegs"), again);
                assert_eq!(counted("OutSegs") - sent, 2 * u64::from(room));
            }
        },
    );
}

#[test]
fn a_probe_that_is_forgotten_leaves_no_connection_and_its_socket_is_free() {
    in_namespace(
        "socket::tests::tcp::a_probe_that_is_forgotten_leaves_no_connection_and_its_socket_is_free",
        "",
        || {
            for target in LOOPBACKS.map(address) {
                let listener = TcpListener::bind((target, 0)).unwrap();
                let port = listener.local_addr().unwrap().port();
                let (mut socket, its) = (open(AddressFamily::of(target), port), probes(port));
                let room = u16::try_from(socket.room().unwrap()).unwrap();
                for _ in 0..2 {
                    (0..room).for_each(|index| send(&mut socket, &its, target, index).unwrap());
                    // What was accepted by nobody is there until then.
                    assert_eq!(counted("CurrEstab"), 2 * u64::from(room));
                    socket.forget(|tag| tag == 0);
                    assert_eq!(counted("CurrEstab"), 0);
                }
                assert_eq!(answer(&mut socket, &its), None);
            }
        },
    );
}

#[test]
fn a_socket_that_is_connected_to_itself_says_that_nobody_listens() {
    // The kernel has one port for it, which is the target's.
    in_namespace(
        "socket::tests::tcp::a_socket_that_is_connected_to_itself_says_that_nobody_listens",
        "echo 40003 40003 >/proc/sys/net/ipv4/ip_local_port_range",
        || {
            for target in LOOPBACKS.map(address) {
                let (mut socket, its) = (open(AddressFamily::of(target), 40_003), probes(40_003));
                for index in 0..100 {
                    send(&mut socket, &its, target, index).unwrap();
                    assert_eq!(answer(&mut socket, &its), Some((index, TcpAnswer::Rst)));
                }
            }
        },
    );
}

#[test]
fn what_cannot_be_sent_is_an_error_and_takes_no_socket() {
    in_namespace(
        "socket::tests::tcp::what_cannot_be_sent_is_an_error_and_takes_no_socket",
        "",
        || {
            for target in ["192.0.2.2", "2001:db8::2"].map(address) {
                let (mut socket, its) = (open(AddressFamily::of(target), 443), probes(443));
                for index in 0..200 {
                    let sent = send(&mut socket, &its, target, index);
                    assert_eq!(sent, Err(Errno::NETUNREACH));
                }
                assert_eq!(answer(&mut socket, &its), None);
            }
        },
    );
}

#[test]
fn an_error_is_the_answer_to_the_probe_of_its_socket() {
    in_namespace(
        "socket::tests::tcp::an_error_is_the_answer_to_the_probe_of_its_socket",
        ROUTER,
        || {
            for target in ["198.51.100.8", "2001:db8:1::8"].map(address) {
                let (mut socket, its) = (open(AddressFamily::of(target), 443), probes(443));
                let mut buf = [0; 2_048];
                for index in 0..200 {
                    send_to(1, &mut socket, &its, target, index).unwrap();
                    let end = Clocktime::now() + Duration::from_secs(1);
                    let mut found = None;
                    while found.is_none() && Clocktime::now() < end {
                        if let Some(arrival) = socket.receive(&mut buf).unwrap() {
                            let answer = arrival.answer().unwrap();
                            assert_eq!(arrival.clock, Clock::Kernel);
                            assert!(answer.hop_limit.is_some());
                            let unknown = AddressFamily::of(target).unspecified();
                            let ends = Ends {
                                source: unknown,
                                destination: unknown,
                            };
                            found = its.recognize(ends, &answer, Changes::default()).ok();
                        }
                    }
                    let changes = Changes::default();
                    assert_eq!(found, Some(Match { index, changes }));
                }
            }
        },
    );
}

#[test]
fn one_flow_has_a_port_for_good_which_is_nobody_elses() {
    in_namespace(
        "socket::tests::tcp::one_flow_has_a_port_for_good_which_is_nobody_elses",
        "",
        || {
            for loopback in LOOPBACKS {
                let target = address(loopback);
                let family = AddressFamily::of(target);
                let server = TcpListener::bind((target, 0)).unwrap();
                let port = server.local_addr().unwrap().port();
                let open = |source_port| {
                    let options = TcpOptions::Full;
                    let options = Options {
                        protocol: ProbeProtocol::Tcp { port, options },
                        kind: Some(SocketKind::Tcp),
                        one_flow: true,
                        source_port,
                        ..Options::default()
                    };
                    Socket::open(family, &options)
                };
                let mut socket = open(None).unwrap();
                let own = socket.ident().unwrap();
                assert_eq!((socket.room(), own >= 0x8000), (Some(1), true));
                for taken in [own, port] {
                    assert_eq!(open(Some(taken)).unwrap_err(), OpenError::PortInUse);
                }
                let probes = probes(port);
                for index in 0..3 {
                    send(&mut socket, &probes, target, index).unwrap();
                    let said = answer(&mut socket, &probes);
                    assert_eq!(said, Some((index, TcpAnswer::SynAck)));
                    let (_, from) = server.accept().unwrap();
                    assert_eq!(from.port(), own);
                }
            }
        },
    );
}
