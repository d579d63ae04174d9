//! The sockets on a real kernel, inside a network namespace of their own: no packet leaves this machine, none comes in, and
//! where the kernel lets users make namespaces no privilege is needed.
//!
//! Each test starts this test program again under unshare(1), for that test alone, and there does what it is about.

use super::{OpenError, Options, Socket, source_for};
use crate::clock::{self, Clock};
use hopshot_core::Instant;
use hopshot_core::wire::icmp::{Echo, Message, QuotedEcho, Type};
use hopshot_core::wire::{Ends, Version, ip};
use rustix::event::{PollFd, PollFlags, Timespec};
use rustix::io::Errno;
use rustix::thread::{CapabilitySet, CapabilitySets, set_capabilities};
use std::io::Write;
use std::net::IpAddr;
use std::process::{Command, Output};
use std::time::Duration;

/// Set inside the namespace.
const INSIDE: &str = "HOPSHOT_TEST_NAMESPACE";

/// Runs `body` in a new network namespace that the shell commands `setup` have prepared. `test` is the name of the test that
/// calls this.
fn in_namespace(test: &str, setup: &str, body: fn()) {
    if std::env::var_os(INSIDE).is_some() {
        return body();
    }
    let unshare = |script: &str, arguments: &[&str]| -> std::io::Result<Output> {
        let mut command = Command::new("unshare");
        command.args(["--user", "--map-root-user", "--net", "--", "sh", "-c", script]);
        command.args(arguments).env(INSIDE, "1").output()
    };
    let text = |output: &Output| String::from_utf8_lossy(&[&output.stdout[..], &output.stderr].concat()).into_owned();
    let prepare = format!("set -e; ip link set lo up; {setup}");
    let obstacle = match unshare(&prepare, &[]) {
        Ok(output) if output.status.success() => None,
        Ok(output) => Some(text(&output)),
        Err(error) => Some(format!("unshare: {error}")),
    };
    if let Some(obstacle) = obstacle {
        // Not eprintln!, which the test harness hides when the test passes.
        let mut stderr = std::io::stderr();
        let _ = writeln!(
            stderr,
            "SKIP {test}: this needs unshare, ip (and tc) and a kernel that lets users make network namespaces: {}",
            obstacle.trim()
        );
        return;
    }
    let program = std::env::current_exe().unwrap();
    let script = format!("{prepare}\n\"$0\" \"$@\"");
    let name = format!("socket::tests::{test}");
    let output = unshare(&script, &[program.to_str().unwrap(), &name, "--exact", "--nocapture"]).unwrap();
    assert!(output.status.success() && text(&output).contains("1 passed"), "{}", text(&output));
}

fn address(text: &str) -> IpAddr {
    text.parse().unwrap()
}

const LOOPBACKS: [&str; 2] = ["127.0.0.1", "::1"];

fn open(version: Version, idents: &[u16]) -> Socket {
    let socket = Socket::open(version, &Options::default()).unwrap();
    socket.listen_for(idents).unwrap();
    socket
}

fn request(destination: IpAddr, ident: u16, seq: u16) -> Vec<u8> {
    let ends = Ends { source: Version::of(destination).unspecified(), destination };
    let mut octets = vec![0; 64];
    let echo = Echo { ident, seq, payload: b"a payload of hopshot's" };
    let len = Message::EchoRequest(echo).emit(ends, &mut octets).unwrap();
    octets.truncate(len);
    octets
}

/// What was heard: one arrival, without its buffer.
#[derive(Debug)]
struct Heard {
    from: IpAddr,
    scope_id: u32,
    hop_limit: Option<u8>,
    at: Instant,
    clock: Clock,
    message: Vec<u8>,
}

impl Heard {
    fn parse(&self) -> Message<'_> {
        let ends = Ends { source: self.from, destination: Version::of(self.from).unspecified() };
        Message::parse(ends, &self.message).unwrap()
    }
}

fn hear(socket: &mut Socket) -> Option<Heard> {
    let mut buf = [0; 2048];
    let arrival = socket.receive(&mut buf).unwrap()?;
    Some(Heard {
        from: arrival.from,
        scope_id: arrival.scope_id,
        hop_limit: arrival.hop_limit,
        at: arrival.at,
        clock: arrival.clock,
        message: arrival.message.to_vec(),
    })
}

/// Waits up to a second for the next arrival.
fn wait(socket: &mut Socket) -> Option<Heard> {
    hear(socket).or_else(|| {
        let second = Timespec { tv_sec: 1, tv_nsec: 0 };
        rustix::event::poll(&mut [PollFd::new(&*socket, PollFlags::IN)], Some(&second)).unwrap();
        hear(socket)
    })
}

#[test]
fn an_echo_comes_back_over_the_loopback_with_the_kernels_stamp() {
    in_namespace("an_echo_comes_back_over_the_loopback_with_the_kernels_stamp", "", || {
        for target in LOOPBACKS.map(address) {
            let mut socket = open(Version::of(target), &[0x4242]);
            assert!(hear(&mut socket).is_none());
            let mut stamped = 0;
            for seq in 0..100 {
                let sent = clock::now();
                socket.send(target, 0, 64, &request(target, 0x4242, seq)).unwrap();
                // With the kernel's stamp this wait is not in the RTT.
                std::thread::sleep(Duration::from_millis(2));
                let heard = wait(&mut socket).unwrap();
                assert_eq!((heard.from, heard.scope_id, heard.hop_limit), (target, 0, Some(64)));
                assert!(heard.at >= sent);
                let rtt = heard.at.saturating_since(sent);
                stamped += u32::from(heard.clock == Clock::Kernel && rtt < Duration::from_millis(2));
                let Message::EchoReply(echo) = heard.parse() else { panic!("{heard:?}") };
                assert_eq!((echo.ident, echo.seq), (0x4242, seq));
                assert!(hear(&mut socket).is_none(), "our own Echo Request was heard");
            }
            assert_eq!(socket.dropped(), 0);
            // Not all: the kernel may begin to stamp only after the first, and the machine may be busy.
            assert!(stamped >= 80, "only {stamped} RTTs were without the wait");
        }
    });
}

#[test]
fn two_sockets_hear_only_their_own_idents() {
    in_namespace("two_sockets_hear_only_their_own_idents", "", || {
        for target in LOOPBACKS.map(address) {
            let version = Version::of(target);
            let (mut one, mut two) = (open(version, &[1, 3]), open(version, &[2]));
            let mut none = Socket::open(version, &Options::default()).unwrap();
            for ident in [1, 2, 3, 4] {
                one.send(target, 0, 64, &request(target, ident, 0)).unwrap();
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
            assert_eq!(idents(&mut one), [1, 3]);
            assert_eq!(idents(&mut two), [2]);
            assert_eq!(idents(&mut none), []);
            assert_eq!([&one, &two, &none].map(Socket::dropped), [0; 3], "the filter's refusals aren't losses");

            two.listen_for(&[1, 2]).unwrap();
            two.lock_filter().unwrap();
            assert_eq!(two.listen_for(&[9]), Err(Errno::PERM));
            one.send(target, 0, 64, &request(target, 1, 0)).unwrap();
            assert_eq!(idents(&mut two), [1]);
        }
    });
}

#[test]
fn a_message_that_does_not_fit_is_passed_over() {
    in_namespace("a_message_that_does_not_fit_is_passed_over", "", || {
        for target in LOOPBACKS.map(address) {
            let mut socket = open(Version::of(target), &[7]);
            socket.send(target, 0, 64, &request(target, 7, 0)).unwrap();
            assert!(socket.receive(&mut [0; 16]).unwrap().is_none());
            socket.send(target, 0, 64, &request(target, 7, 1)).unwrap();
            assert!(hear(&mut socket).is_some());
        }
    });
}

#[test]
fn what_the_receive_buffer_cannot_hold_is_counted() {
    in_namespace("what_the_receive_buffer_cannot_hold_is_counted", "", || {
        for target in LOOPBACKS.map(address) {
            let mut socket = open(Version::of(target), &[7]);
            let message = request(target, 7, 0);
            for _ in 0..20_000 {
                socket.send(target, 0, 64, &message).unwrap();
            }
            let dropped = socket.dropped();
            let heard = std::iter::from_fn(|| hear(&mut socket)).count();
            let lost = 20_000 - heard;
            assert!(lost > 0, "the buffer held them all");
            // The Echo Requests, which come by here too, count while the buffer is full.
            assert!((lost..=2 * lost).contains(&(dropped as usize)), "{dropped} of {lost}");
        }
    });
}

#[test]
fn options_that_cannot_be_had_are_told_apart() {
    in_namespace("options_that_cannot_be_had_are_told_apart", "ip address add fe80::1/64 dev lo nodad", || {
        let source = |text| Options { source: Some(address(text)), ..Options::default() };
        let interface = |name: &str| Options { interface: Some(name.to_owned()), ..Options::default() };
        let cases = [
            (Version::V4, Options::default(), None),
            (Version::V4, source("127.0.0.9"), None),
            (Version::V6, source("::1"), None),
            (Version::V4, interface("lo"), None),
            (Version::V6, Options { traffic_class: Some(0xb8), ..source("::1") }, None),
            (Version::V6, Options { interface: Some("lo".to_owned()), ..source("fe80::1") }, None),
            (Version::V4, source("203.0.113.1"), Some(OpenError::SourceNotLocal)),
            (Version::V6, source("2001:db8::1"), Some(OpenError::SourceNotLocal)),
            (Version::V4, source("224.0.0.1"), Some(OpenError::SourceNotLocal)),
            (Version::V6, source("fe80::1"), Some(OpenError::SourceNeedsInterface)),
            (Version::V6, source("127.0.0.1"), Some(OpenError::Other(Errno::AFNOSUPPORT))),
            (Version::V4, interface("absent"), Some(OpenError::NoSuchInterface)),
            (Version::V6, interface(""), Some(OpenError::NoSuchInterface)),
            (Version::V6, interface("lo\0x"), Some(OpenError::NoSuchInterface)),
            (Version::V4, interface("a-name-longer-than-any"), Some(OpenError::NoSuchInterface)),
        ];
        let open_files = || std::fs::read_dir("/proc/self/fd").unwrap().count();
        let before = open_files();
        for (version, options, error) in cases {
            assert_eq!(Socket::open(version, &options).err(), error, "{options:?}");
        }
        assert_eq!(open_files(), before, "a descriptor was left open");

        let none = CapabilitySet::empty();
        set_capabilities(None, CapabilitySets { effective: none, permitted: none, inheritable: none }).unwrap();
        for version in [Version::V4, Version::V6] {
            assert_eq!(Socket::open(version, &Options::default()).err(), Some(OpenError::Permission));
        }
        assert_eq!(source_for(address("::1"), 0, &Options::default()), Ok(address("::1")));
    });
}

#[test]
fn the_routing_table_says_the_source_or_why_there_is_none() {
    const ROUTES: &str = "
        ip address add 192.0.2.1/24 dev lo; ip address add 2001:db8::1/64 dev lo nodad
        for net in 198.51.100.0/30 2001:db8:1::/126; do ip route add prohibit $net; done
        for net in 198.51.100.4/30 2001:db8:1::4/126; do ip route add blackhole $net; done
        for net in 198.51.100.8/30 2001:db8:1::8/126; do ip route add unreachable $net; done";
    in_namespace("the_routing_table_says_the_source_or_why_there_is_none", ROUTES, || {
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
            assert_eq!(source, expected.map(address).map_err(OpenError::Other), "to {destination}");
            let sent = open(Version::of(destination), &[]).send(destination, 0, 64, &request(destination, 1, 1));
            assert_eq!(sent, expected.map(drop), "to {destination}");
        }
        let from = Options { source: Some(address("192.0.2.1")), ..Options::default() };
        assert_eq!(source_for(address("127.0.0.1"), 0, &from), Ok(address("192.0.2.1")));
    });
}

/// A veth pair, `near` here and `far` at a router in a namespace of its own. The router sends everything back but to one
/// host, which it prohibits, and answers as often as it is asked.
const ROUTER: &str = r#"
    unshare --net sleep 30 >/dev/null 2>&1 </dev/null &
    router=$!
    trap 'kill $router' EXIT
    until [ "$(readlink /proc/$router/ns/net)" != "$(readlink /proc/$$/ns/net)" ]; do sleep 0.01; done
    ip link add near type veth peer name far address 02:00:00:00:00:02 netns $router
    ip link set near addrgenmode none
    ip address add 192.0.2.1/24 dev near
    ip address add 2001:db8::1/64 dev near nodad
    ip address add fe80::1/64 dev near nodad
    ip link set near up
    nsenter --target $router --net sh -e <<'END'
        echo 1 >/proc/sys/net/ipv4/ip_forward
        echo 1 >/proc/sys/net/ipv6/conf/all/forwarding
        echo 0 >/proc/sys/net/ipv4/icmp_ratelimit
        echo 0 >/proc/sys/net/ipv6/icmp/ratelimit
        for limit in /proc/sys/net/ipv4/icmp_msgs_*; do
            if [ -e $limit ]; then echo 10000 >$limit; fi
        done
        ip link set far addrgenmode none
        ip address add 192.0.2.2/24 dev far
        ip address add 2001:db8::2/64 dev far nodad
        ip address add fe80::2/64 dev far nodad
        ip link set far up
        ip route add default via 192.0.2.1
        ip route add default via 2001:db8::1
        ip route add prohibit 198.51.100.9
        ip route add prohibit 2001:db8:1::9
END
    ip route add default via 192.0.2.2
    ip route add default via 2001:db8::2
    # A link that comes up carries nothing before the kernel's link watch has seen it, which may take a second.
    until ip link show near | grep -q 'state UP'; do sleep 0.01; done
    until nsenter --target $router --net ip link show far | grep -q 'state UP'; do sleep 0.01; done
"#;

#[test]
fn a_router_reports_probes_and_sending_goes_on() {
    in_namespace("a_router_reports_probes_and_sending_goes_on", ROUTER, || {
        // Few of each: Linux limits errors in many ways, one of which (net.ipv4.route.error_burst: five prohibited packets,
        // none after other errors without a limit) can't be changed in a namespace.
        const TIMES: u16 = 4;
        let ways = [
            ("192.0.2.2", "198.51.100.9", 5, Type::Unreachable, 13),
            ("2001:db8::2", "2001:db8:1::9", 5, Type::Unreachable, 1),
            ("192.0.2.2", "198.51.100.1", 1, Type::TimeExceeded, 0),
            ("2001:db8::2", "2001:db8:1::1", 1, Type::TimeExceeded, 0),
        ];
        for (router, target, hop_limit, icmp_type, code) in ways {
            let (router, target) = (address(router), address(target));
            let version = Version::of(target);
            let options = Options { traffic_class: Some(0x48), ..Options::default() };
            let mut socket = Socket::open(version, &options).unwrap();
            let mut stranger = open(version, &[0x7778]);
            socket.listen_for(&[0x7777]).unwrap();
            for seq in 0..TIMES {
                let sent = clock::now();
                // The errors about earlier probes wait in the sender's queue and must not be this one's.
                socket.send(target, 0, hop_limit, &request(target, 0x7777, seq)).unwrap();
                let heard = wait(&mut socket).unwrap_or_else(|| panic!("no answer about {target} to probe {seq}"));
                assert_eq!((heard.from, heard.hop_limit), (router, Some(64)));
                assert!(heard.at >= sent);
                let Message::Error(error) = heard.parse() else { panic!("{heard:?}") };
                assert_eq!((error.icmp_type, error.code), (icmp_type, code));
                let (quoted, payload) = ip::parse_quoted(error.quoted).unwrap();
                assert_eq!((quoted.hop_limit, quoted.traffic_class), (hop_limit, 0x48));
                assert_eq!(QuotedEcho::parse(version, payload).unwrap().echo.seq, seq);
            }
            assert!(hear(&mut stranger).is_none() && stranger.dropped() == 0);
        }
    });
}

#[test]
fn a_link_local_neighbour_is_reached_by_its_interface() {
    in_namespace("a_link_local_neighbour_is_reached_by_its_interface", ROUTER, || {
        let target = address("fe80::2");
        let near = Options { interface: Some("near".to_owned()), ..Options::default() };
        let scope_id = rustix::net::netdevice::name_to_index(open(Version::V6, &[]), "near").unwrap();
        assert_eq!(source_for(target, 0, &Options::default()), Err(OpenError::Other(Errno::INVAL)));
        for (scope_id, options) in [(scope_id, Options::default()), (0, near)] {
            assert_eq!(source_for(target, scope_id, &options), Ok(address("fe80::1")));
            let mut socket = Socket::open(Version::V6, &options).unwrap();
            socket.listen_for(&[5]).unwrap();
            socket.send(target, scope_id, 64, &request(target, 5, 0)).unwrap();
            let heard = wait(&mut socket).unwrap();
            assert_eq!((heard.from, heard.hop_limit), (target, Some(64)));
            assert_ne!(heard.scope_id, 0);
        }
    });
}

#[test]
fn a_packet_that_the_queueing_discipline_drops_is_an_error() {
    // 8 kbit/s, and room for two packets. The neighbour is known, else packets would wait for it before they come so far.
    const SLOW: &str = "
        ip neighbour add 192.0.2.2 lladdr 02:00:00:00:00:02 dev near nud permanent
        ip neighbour add 2001:db8::2 lladdr 02:00:00:00:00:02 dev near nud permanent
        tc qdisc add dev near root tbf rate 8kbit burst 200 limit 200";
    let setup = format!("{ROUTER}{SLOW}");
    in_namespace("a_packet_that_the_queueing_discipline_drops_is_an_error", &setup, || {
        for target in ["192.0.2.2", "2001:db8::2"].map(address) {
            let socket = open(Version::of(target), &[7]);
            let start = clock::now();
            let sent: Vec<_> = (0..20).map(|seq| socket.send(target, 0, 64, &request(target, 7, seq))).collect();
            let took = clock::now().saturating_since(start);
            assert!(sent.contains(&Err(Errno::NOBUFS)), "{sent:?}");
            assert!(took < Duration::from_millis(500), "the tries of 20 sends took {took:?}");
        }
    });
}
