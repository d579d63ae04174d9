//! Raw sockets.

use super::super::raw::Socket;
use super::super::{FirstLink, OpenError, Options, Sources};
use super::*;
use crate::advice::Refusals;
use crate::clock;
use hopshot_core::wire::icmp::{QuotedEcho, Type};
use hopshot_core::wire::ip;
use hopshot_engine::SocketKind;
use rustix::io::Errno;
use std::time::Duration;

fn source_for(destination: IpAddr, scope_id: u32, options: &Options) -> Result<IpAddr, OpenError> {
    let [raw, ping] = [SocketKind::Raw, SocketKind::Ping].map(|kind| {
        let sources = Sources::open(AddressFamily::of(destination), kind, options)?;
        // The answer to the second question is as right as that to the first.
        let first = sources.of(destination, scope_id);
        let _ = sources.of(address("127.0.0.1"), 0);
        assert_eq!(sources.of(destination, scope_id), first);
        first
    });
    assert_eq!(raw, ping);
    raw
}

fn open(family: AddressFamily, ident: u16) -> Socket {
    let mut socket = Socket::open(family, &Options::default()).unwrap();
    socket.listen_for(Some(&identity(ident))).unwrap();
    socket
}

#[test]
fn an_echo_comes_back_over_the_loopback_with_the_kernels_stamp() {
    in_namespace(
        "socket::tests::raw::an_echo_comes_back_over_the_loopback_with_the_kernels_stamp",
        "",
        || {
            for target in LOOPBACKS.map(address) {
                let mut socket = open(AddressFamily::of(target), 0x4242);
                assert!(hear(&mut socket).is_none());
                let mut stamped = 0;
                for seq in 0..100 {
                    let sent = clock::now();
                    socket
                        .send(target, 0, 64, &request(target, 0x4242, seq), 0)
                        .unwrap();
                    // With the kernel's stamp this wait is not in the RTT.
                    std::thread::sleep(Duration::from_millis(2));
                    let heard = wait(&mut socket).unwrap();
                    assert_eq!((heard.from, heard.hop_limit), (target, Some(64)));
                    assert!(heard.at >= sent);
                    let rtt = heard.at.saturating_since(sent);
                    stamped +=
                        u32::from(heard.clock == Clock::Kernel && rtt < Duration::from_millis(2));
                    let Message::EchoReply(echo) = heard.parse() else {
                        panic!("{heard:?}")
                    };
                    assert_eq!((echo.ident, echo.seq), (0x4242, seq));
                    assert!(
                        hear(&mut socket).is_none(),
                        "our own Echo Request was heard"
                    );
                }
                assert_eq!(socket.dropped(), 0);
                // Not all: the kernel may begin to stamp only after the first, and the machine may
                // be busy.
                assert!(stamped >= 80, "only {stamped} RTTs were without the wait");
            }
        },
    );
}

#[test]
fn sockets_hear_only_the_idents_that_they_asked_for() {
    in_namespace(
        "socket::tests::raw::sockets_hear_only_the_idents_that_they_asked_for",
        "",
        || {
            for target in LOOPBACKS.map(address) {
                let family = AddressFamily::of(target);
                let (mut one, mut two) = (open(family, 1), open(family, 2));
                let mut all = Socket::open(family, &Options::default()).unwrap();
                for ident in [1, 2, 3, 4] {
                    one.send(target, 0, 64, &request(target, ident, 0), 0)
                        .unwrap();
                }
                let idents = |socket: &mut Socket| -> Vec<u16> {
                    let heard = std::iter::from_fn(|| hear(socket));
                    let ident = |heard: Heard| match heard.parse() {
                        Message::EchoReply(echo) => echo.ident,
                        other => panic!("{other:?}"),
                    };
                    heard.map(ident).collect()
                };
                // On the loopback, everything has arrived when the send returns.
                assert_eq!(idents(&mut one), [1]);
                assert_eq!(idents(&mut two), [2]);
                assert_eq!(
                    idents(&mut all),
                    [1, 2, 3, 4],
                    "nobody has said yet whose answers are wanted"
                );
                assert_eq!(
                    [&one, &two, &all].map(Socket::dropped),
                    [0; 3],
                    "the filter's refusals aren't losses"
                );

                two.listen_for(Some(&identity(3))).unwrap();
                two.lock_filter().unwrap();
                assert_eq!(two.listen_for(Some(&identity(9))), Err(Errno::PERM));
                one.send(target, 0, 64, &request(target, 3, 0), 0).unwrap();
                assert_eq!(idents(&mut two), [3]);
            }
        },
    );
}

#[test]
fn a_message_that_does_not_fit_is_passed_over() {
    in_namespace(
        "socket::tests::raw::a_message_that_does_not_fit_is_passed_over",
        "",
        || {
            for target in LOOPBACKS.map(address) {
                let mut socket = open(AddressFamily::of(target), 7);
                socket
                    .send(target, 0, 64, &request(target, 7, 0), 0)
                    .unwrap();
                assert!(socket.receive(&mut [0; 16]).unwrap().is_none());
                socket
                    .send(target, 0, 64, &request(target, 7, 1), 0)
                    .unwrap();
                assert!(hear(&mut socket).is_some());
            }
        },
    );
}

#[test]
fn what_the_receive_buffer_cannot_hold_is_counted() {
    in_namespace(
        "socket::tests::raw::what_the_receive_buffer_cannot_hold_is_counted",
        "",
        || {
            for target in LOOPBACKS.map(address) {
                let mut socket = open(AddressFamily::of(target), 7);
                let message = request(target, 7, 0);
                for _ in 0..20_000 {
                    socket.send(target, 0, 64, &message, 0).unwrap();
                }
                let dropped = socket.dropped();
                let heard = std::iter::from_fn(|| hear(&mut socket)).count();
                let lost = 20_000 - heard;
                assert!(lost > 0, "the buffer held them all");
                // The Echo Requests, which come by here too, count while the buffer is full.
                assert!(
                    (lost..=2 * lost).contains(&(dropped as usize)),
                    "{dropped} of {lost}"
                );
            }
        },
    );
}

#[test]
fn options_that_cannot_be_had_are_told_apart() {
    in_namespace(
        "socket::tests::raw::options_that_cannot_be_had_are_told_apart",
        "ip address add fe80::1/64 dev lo nodad",
        || {
            let source = |text| Options {
                source: Some(address(text)),
                ..Options::default()
            };
            let interface = |name: &str| Options {
                interface: Some(name.to_owned()),
                ..Options::default()
            };
            let cases = [
                (AddressFamily::V4, Options::default(), None),
                (AddressFamily::V4, source("127.0.0.9"), None),
                (AddressFamily::V6, source("::1"), None),
                (AddressFamily::V4, interface("lo"), None),
                (
                    AddressFamily::V6,
                    Options {
                        traffic_class: Some(0xb8),
                        ..source("::1")
                    },
                    None,
                ),
                (
                    AddressFamily::V6,
                    Options {
                        interface: Some("lo".to_owned()),
                        ..source("fe80::1")
                    },
                    None,
                ),
                (
                    AddressFamily::V4,
                    source("203.0.113.1"),
                    Some(OpenError::SourceNotLocal),
                ),
                (
                    AddressFamily::V6,
                    source("2001:db8::1"),
                    Some(OpenError::SourceNotLocal),
                ),
                (
                    AddressFamily::V4,
                    source("224.0.0.1"),
                    Some(OpenError::SourceNotLocal),
                ),
                (
                    AddressFamily::V6,
                    source("fe80::1"),
                    Some(OpenError::SourceNeedsInterface),
                ),
                (
                    AddressFamily::V6,
                    source("127.0.0.1"),
                    Some(OpenError::SourceOfOtherFamily),
                ),
                (
                    AddressFamily::V4,
                    interface("absent"),
                    Some(OpenError::NoSuchInterface),
                ),
                (
                    AddressFamily::V6,
                    interface(""),
                    Some(OpenError::NoSuchInterface),
                ),
                (
                    AddressFamily::V6,
                    interface("lo\0x"),
                    Some(OpenError::NoSuchInterface),
                ),
                (
                    AddressFamily::V4,
                    interface("a-name-longer-than-any"),
                    Some(OpenError::NoSuchInterface),
                ),
            ];
            let open_files = || std::fs::read_dir("/proc/self/fd").unwrap().count();
            let before = open_files();
            for (family, options, error) in cases {
                assert_eq!(Socket::open(family, &options).err(), error, "{options:?}");
            }
            assert_eq!(open_files(), before, "a descriptor was left open");

            renounce();
            for family in [AddressFamily::V4, AddressFamily::V6] {
                let refused = OpenError::Refused(Refusals {
                    raw: Some(Errno::PERM),
                    unprivileged: None,
                });
                assert_eq!(
                    Socket::open(family, &Options::default()).err(),
                    Some(refused)
                );
            }
        },
    );
}

#[test]
fn the_routing_table_says_the_source_or_why_there_is_none() {
    const ROUTES: &str = "
        ip address add 192.0.2.1/24 dev lo; ip address add 2001:db8::1/64 dev lo nodad
        for net in 198.51.100.0/30 2001:db8:1::/126; do ip route add prohibit $net; done
        for net in 198.51.100.4/30 2001:db8:1::4/126; do ip route add blackhole $net; done
        for net in 198.51.100.8/30 2001:db8:1::8/126; do ip route add unreachable $net; done";
    let setup = format!("{PERMIT_PING}{ROUTES}");
    in_namespace(
        "socket::tests::raw::the_routing_table_says_the_source_or_why_there_is_none",
        &setup,
        || {
            let cases = [
                ("127.0.0.1", Ok("127.0.0.1")),
                ("192.0.2.1", Ok("192.0.2.1")),
                ("2001:db8::1", Ok("2001:db8::1")),
                ("203.0.113.1", Err(Errno::NETUNREACH)),
                ("2001:db8:2::1", Err(Errno::NETUNREACH)),
                ("198.51.100.1", Err(Errno::ACCESS)),
                ("2001:db8:1::1", Err(Errno::ACCESS)),
                ("198.51.100.5", Err(Errno::INVAL)),
                ("2001:db8:1::5", Err(Errno::INVAL)),
                ("198.51.100.9", Err(Errno::HOSTUNREACH)),
                ("2001:db8:1::9", Err(Errno::HOSTUNREACH)),
            ];
            for (destination, expected) in cases {
                let destination = address(destination);
                let source = source_for(destination, 0, &Options::default());
                assert_eq!(
                    source,
                    expected.map(address).map_err(OpenError::Other),
                    "to {destination}"
                );
                let sent = open(AddressFamily::of(destination), 0).send(
                    destination,
                    0,
                    64,
                    &request(destination, 1, 1),
                    0,
                );
                assert_eq!(sent.map(drop), expected.map(drop), "to {destination}");
            }
            let from = Options {
                source: Some(address("192.0.2.1")),
                ..Options::default()
            };
            assert_eq!(
                source_for(address("127.0.0.1"), 0, &from),
                Ok(address("192.0.2.1"))
            );
        },
    );
}

#[test]
fn a_broadcast_address_is_told_from_a_route_that_prohibits() {
    const ROUTES: &str = "
        ip link add name near type veth peer name far; ip link set near up
        ip address add 192.0.2.1/24 broadcast 192.0.2.255 dev near
        ip route add prohibit 198.51.100.0/24";
    let setup = format!("{PERMIT_PING}{ROUTES}");
    in_namespace(
        "socket::tests::raw::a_broadcast_address_is_told_from_a_route_that_prohibits",
        &setup,
        || {
            let near = Options {
                interface: Some("near".to_owned()),
                ..Options::default()
            };
            let ours = Options {
                source: Some(address("192.0.2.1")),
                ..Options::default()
            };
            for (destination, options, error) in [
                ("192.0.2.255", Options::default(), OpenError::Broadcast),
                ("192.0.2.255", ours.clone(), OpenError::Broadcast),
                ("255.255.255.255", near, OpenError::Broadcast),
                (
                    "198.51.100.255",
                    Options::default(),
                    OpenError::Other(Errno::ACCESS),
                ),
                ("198.51.100.255", ours, OpenError::Other(Errno::ACCESS)),
            ] {
                assert_eq!(
                    source_for(address(destination), 0, &options),
                    Err(error),
                    "{destination}"
                );
            }
        },
    );
}

#[test]
fn the_source_and_the_first_link_are_those_of_icmp_where_other_protocols_have_another_route() {
    const RULES: &str = "
        ip link add name near type veth peer name far; ip link add name other type veth peer name beyond
        ip link set near up mtu 1400; ip link set other up mtu 1300
        ip address add 192.0.2.1/24 dev near; ip address add 203.0.113.1/24 dev other
        ip address add 2001:db8::1/64 dev near nodad; ip address add 2001:db8:3::1/64 dev other nodad
        ip route add 198.51.100.0/24 dev near table 200; ip -6 route add 2001:db8:9::/48 dev near table 200
        ip rule add ipproto icmp lookup 200; ip -6 rule add ipproto ipv6-icmp lookup 200";
    const OTHERS: &str =
        "; ip route add 198.51.100.0/24 dev other; ip -6 route add 2001:db8:9::/48 dev other";
    const TEST: &str = "socket::tests::raw::the_source_and_the_first_link_are_those_of_icmp_where_other_protocols_have_another_route";
    // Without any route for others it must work just the same: the second half.
    let setup = format!("{PERMIT_PING}{RULES}{OTHERS}");
    in_namespace(TEST, &setup, || {
        let check = || {
            for (target, source) in [
                ("198.51.100.1", "192.0.2.1"),
                ("2001:db8:9::1", "2001:db8::1"),
            ] {
                let (target, source) = (address(target), address(source));
                assert_eq!(source_for(target, 0, &Options::default()), Ok(source));
                for kind in [SocketKind::Raw, SocketKind::Ping] {
                    let link =
                        FirstLink::open(AddressFamily::of(target), kind, &Options::default())
                            .unwrap();
                    assert_eq!(link.mtu(target, 0), Ok(1400), "{target} {kind:?}");
                }
            }
        };
        check();
        let script = "ip link del other";
        assert!(
            std::process::Command::new("sh")
                .args(["-c", script])
                .status()
                .unwrap()
                .success()
        );
        check();
    });
}

#[test]
fn a_router_reports_probes_and_sending_goes_on() {
    in_namespace(
        "socket::tests::raw::a_router_reports_probes_and_sending_goes_on",
        ROUTER,
        || {
            // Few of each: Linux limits errors in many ways, one of which
            // (net.ipv4.route.error_burst: five prohibited packets, none after other
            // errors without a limit) can't be changed in a namespace.
            const TIMES: u16 = 4;
            let ways = [
                ("192.0.2.2", "198.51.100.9", 5, Type::Unreachable, 13),
                ("2001:db8::2", "2001:db8:1::9", 5, Type::Unreachable, 1),
                ("192.0.2.2", "198.51.100.1", 1, Type::TimeExceeded, 0),
                ("2001:db8::2", "2001:db8:1::1", 1, Type::TimeExceeded, 0),
            ];
            for (router, target, hop_limit, icmp_type, code) in ways {
                let (router, target) = (address(router), address(target));
                let family = AddressFamily::of(target);
                let options = Options {
                    traffic_class: Some(0x48),
                    ..Options::default()
                };
                let mut socket = Socket::open(family, &options).unwrap();
                let mut stranger = open(family, 0x7778);
                socket.listen_for(Some(&identity(0x7777))).unwrap();
                for seq in 0..TIMES {
                    let sent = clock::now();
                    // The errors about earlier probes wait in the sender's queue and must not be
                    // this one's.
                    socket
                        .send(target, 0, hop_limit, &request(target, 0x7777, seq), 0)
                        .unwrap();
                    let heard = wait(&mut socket)
                        .unwrap_or_else(|| panic!("no answer about {target} to probe {seq}"));
                    assert_eq!((heard.from, heard.hop_limit), (router, Some(64)));
                    assert!(heard.at >= sent);
                    let Message::Error(error) = heard.parse() else {
                        panic!("{heard:?}")
                    };
                    assert_eq!((error.icmp_type, error.code), (icmp_type, code));
                    let (quoted, payload) = ip::parse_quoted(error.quoted).unwrap();
                    assert_eq!((quoted.hop_limit, quoted.traffic_class), (hop_limit, 0x48));
                    assert_eq!(QuotedEcho::parse(family, payload).unwrap().echo.seq, seq);
                }
                assert!(hear(&mut stranger).is_none() && stranger.dropped() == 0);
            }
        },
    );
}

#[test]
fn a_mark_chooses_the_route() {
    const RULES: &str = "
        ip route add unreachable 198.51.100.0/24
        ip -6 route add unreachable 2001:db8:9::/48
        ip rule add fwmark 42 table 42
        ip route add 198.51.100.0/24 dev near table 42
        ip -6 rule add fwmark 42 table 42
        ip -6 route add 2001:db8:9::/48 dev near table 42";
    let setup = format!("{PERMIT_PING}{ROUTER}{RULES}");
    in_namespace(
        "socket::tests::raw::a_mark_chooses_the_route",
        &setup,
        || {
            for target in ["198.51.100.1", "2001:db8:9::1"].map(address) {
                for (mark, way) in [
                    (Some(42), Ok(())),
                    (Some(43), Err(Errno::HOSTUNREACH)),
                    (None, Err(Errno::HOSTUNREACH)),
                ] {
                    let options = Options {
                        mark,
                        ..Options::default()
                    };
                    assert_eq!(
                        source_for(target, 0, &options).map(drop),
                        way.map_err(OpenError::Other),
                        "{target} {mark:?}"
                    );
                    let mut socket = Socket::open(AddressFamily::of(target), &options).unwrap();
                    let sent = socket.send(target, 0, 64, &request(target, 5, 0), 0);
                    assert_eq!(sent.map(drop), way, "{target} {mark:?}");
                }
            }
        },
    );
}

#[test]
fn a_link_local_neighbour_is_reached_by_its_interface() {
    let setup = format!("{PERMIT_PING}{ROUTER}");
    in_namespace(
        "socket::tests::raw::a_link_local_neighbour_is_reached_by_its_interface",
        &setup,
        || {
            let target = address("fe80::2");
            let near = Options {
                interface: Some("near".to_owned()),
                ..Options::default()
            };
            let scope_id =
                rustix::net::netdevice::name_to_index(open(AddressFamily::V6, 0), "near").unwrap();
            assert_eq!(
                source_for(target, 0, &Options::default()),
                Err(OpenError::Other(Errno::INVAL))
            );
            for (scope_id, options) in [(scope_id, Options::default()), (0, near)] {
                assert_eq!(
                    source_for(target, scope_id, &options),
                    Ok(address("fe80::1"))
                );
                let mut socket = Socket::open(AddressFamily::V6, &options).unwrap();
                socket.listen_for(Some(&identity(5))).unwrap();
                socket
                    .send(target, scope_id, 64, &request(target, 5, 0), 0)
                    .unwrap();
                let heard = wait(&mut socket).unwrap();
                assert_eq!((heard.from, heard.hop_limit), (target, Some(64)));
            }
        },
    );
}

#[test]
fn a_packet_that_the_queueing_discipline_drops_is_an_error() {
    // 8 kbit/s, and room for two packets. The neighbour is known, else packets would wait for it
    // before they come so far.
    const SLOW: &str = "
        ip neighbour add 192.0.2.2 lladdr 02:00:00:00:00:02 dev near nud permanent
        ip neighbour add 2001:db8::2 lladdr 02:00:00:00:00:02 dev near nud permanent
        tc qdisc add dev near root tbf rate 8kbit burst 200 limit 200";
    let setup = format!("{ROUTER}{SLOW}");
    in_namespace(
        "socket::tests::raw::a_packet_that_the_queueing_discipline_drops_is_an_error",
        &setup,
        || {
            for target in ["192.0.2.2", "2001:db8::2"].map(address) {
                let mut socket = open(AddressFamily::of(target), 7);
                let start = clock::now();
                let sent: Vec<_> = (0..20)
                    .map(|seq| socket.send(target, 0, 64, &request(target, 7, seq), 0))
                    .collect();
                let took = clock::now().saturating_since(start);
                assert!(sent.contains(&Err(Errno::NOBUFS)), "{sent:?}");
                assert!(
                    took < Duration::from_millis(500),
                    "the tries of 20 sends took {took:?}"
                );
            }
        },
    );
}
