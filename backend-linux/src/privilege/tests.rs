//! From inside: what a process that has given something up still can.

use super::*;
use crate::namespace::{PERMIT_PING, in_namespace};
use crate::{Clock, Settings, SocketKind, Step, StopReason};
use rustix::net::SocketType;
use rustix::termios::{OptionalActions, tcgetattr, tcsetattr};
use std::fs::File;
use std::io::ErrorKind;
use std::net::{TcpListener, TcpStream, UdpSocket};
use std::process::Command;

/// What is expected of a confined process: nothing new can be had, and life goes on.
fn assert_confined() {
    let denied = |what: &str, kind: Option<ErrorKind>| {
        assert_eq!(kind, Some(ErrorKind::PermissionDenied), "{what}");
    };
    denied(
        "a file to read",
        File::open("/proc/self/status")
            .err()
            .map(|error| error.kind()),
    );
    denied(
        "a file to write",
        File::create("/tmp/hopshot-confined")
            .err()
            .map(|error| error.kind()),
    );
    denied(
        "a directory",
        std::fs::read_dir("/").err().map(|error| error.kind()),
    );
    denied(
        "a UDP socket",
        UdpSocket::bind("127.0.0.1:0")
            .err()
            .map(|error| error.kind()),
    );
    denied(
        "a TCP socket",
        TcpStream::connect("127.0.0.1:1")
            .err()
            .map(|error| error.kind()),
    );
    denied("a pipe", io::pipe().err().map(|error| error.kind()));
    denied(
        "a thread",
        std::thread::Builder::new()
            .spawn(|| ())
            .err()
            .map(|error| error.kind()),
    );
    let command = Command::new("/bin/true")
        .spawn()
        .err()
        .map(|error| error.kind());
    denied("a program", command);
    for kind in [SocketKind::Raw, SocketKind::Ping] {
        assert!(
            Settings::new()
                .socket(kind)
                .trace("127.0.0.1")
                .start()
                .is_err()
        );
    }
    // Memory, time and output.
    assert_eq!(
        vec![1_u8; 64 << 20]
            .iter()
            .map(|octet| u64::from(*octet))
            .sum::<u64>(),
        64 << 20
    );
    std::thread::sleep(std::time::Duration::from_millis(1));
    println!("confined");
}

#[test]
fn a_confined_process_can_open_nothing() {
    in_namespace(
        "privilege::tests::a_confined_process_can_open_nothing",
        "",
        || {
            let other = rustix::pty::openpt(rustix::pty::OpenptFlags::RDWR).unwrap();
            let settings = tcgetattr(&other).unwrap();
            let shortfalls = confine().unwrap();
            // The harness has threads, and an older kernel knows less of Landlock.
            let is_expected = |shortfall: &Shortfall| {
                matches!(
                    shortfall,
                    Shortfall::OtherThreads(_) | Shortfall::NoLandlock | Shortfall::PartialLandlock
                )
            };
            assert!(shortfalls.iter().all(is_expected), "{shortfalls:?}");
            assert_confined();
            let set = tcsetattr(rustix::stdio::stdin(), OptionalActions::Flush, &settings);
            assert_eq!(set, Err(Errno::PERM));
            // Once more does no harm, and no good.
            assert!(!confine().unwrap().is_empty());
        },
    );
}

#[test]
fn who_connects_to_a_port_can_connect_to_no_other() {
    const TEST: &str = "privilege::tests::who_connects_to_a_port_can_connect_to_no_other";
    in_namespace(TEST, "", || {
        let here = ("127.0.0.1", 0);
        let [its, other] = [(); 2].map(|()| TcpListener::bind(here).unwrap().local_addr().unwrap());
        let socket = || {
            let (domain, kind) = (rustix::net::AddressFamily::INET, SocketType::STREAM);
            rustix::net::socket(domain, kind, None).unwrap()
        };
        let [one, two] = [socket(), socket()];
        let ports = vec![its.port()];
        let shortfalls = confine_but(&Beside {
            ports,
            ..Beside::default()
        });
        let knows_ports = shortfalls.unwrap().iter().all(|shortfall| {
            !matches!(
                shortfall,
                Shortfall::NoLandlock | Shortfall::PartialLandlock
            )
        });
        // Nobody listens any more, which is as good.
        assert_eq!(rustix::net::connect(&one, &its), Err(Errno::CONNREFUSED));
        let refused = match knows_ports {
            true => Errno::ACCESS,
            false => Errno::CONNREFUSED,
        };
        assert_eq!(rustix::net::connect(&two, &other), Err(refused));
        assert_eq!(rustix::net::connect_unspec(&two), Ok(()));
    });
}

#[test]
fn only_on_a_terminal_and_only_those_of_standard_input_can_settings_be_restored() {
    const TEST: &str = "privilege::tests::only_on_a_terminal_and_only_those_of_standard_input_can_settings_be_restored";
    in_namespace(TEST, "", || {
        let other =
            rustix::pty::openpt(rustix::pty::OpenptFlags::RDWR | rustix::pty::OpenptFlags::NOCTTY)
                .unwrap();
        let settings = tcgetattr(&other).unwrap();
        // It is none here: where that can be found out the call is permitted.
        let set = |action| tcsetattr(rustix::stdio::stdin(), action, &settings);
        let _ = confine_on_terminal().unwrap();
        assert_confined();
        assert_eq!(set(OptionalActions::Flush), Err(Errno::NOTTY));
        assert_eq!(set(OptionalActions::Now), Err(Errno::PERM));
        assert_eq!(
            tcsetattr(&other, OptionalActions::Flush, &settings),
            Err(Errno::PERM)
        );
    });
}

#[test]
fn a_confined_trace_runs_to_its_end_on_either_socket() {
    in_namespace(
        "privilege::tests::a_confined_trace_runs_to_its_end_on_either_socket",
        PERMIT_PING,
        || {
            let mut traces = Vec::new();
            for kind in [SocketKind::Raw, SocketKind::Ping] {
                for target in ["127.0.0.1", "::1"] {
                    for precise in [false, true] {
                        let settings = Settings::new().socket(kind).precise(precise).attempts(3);
                        traces.push((settings.trace(target).start().unwrap(), precise));
                    }
                }
            }
            let _ = traces[0].0.confine().unwrap();
            assert_confined();
            for (mut trace, precise) in traces {
                while trace.advance(None).unwrap() != Step::Done {}
                let route = trace.finish();
                assert_eq!(
                    (route.distance(), route.stop_reason()),
                    (Some(1), Some(StopReason::Reached))
                );
                let clocks = route
                    .hops()
                    .flat_map(|hop| hop.replies())
                    .map(|reply| route.clocks(reply.probe));
                let sent: Vec<Clock> = clocks.map(|clocks| clocks.sent).collect();
                assert_eq!(sent, [if precise { Clock::Kernel } else { Clock::User }; 3]);
            }
        },
    );
}

#[test]
fn renouncing_keeps_files_and_sockets_and_gives_up_the_rest() {
    in_namespace(
        "privilege::tests::renouncing_keeps_files_and_sockets_and_gives_up_the_rest",
        "",
        || {
            renounce().unwrap();
            assert!(
                File::open("/proc/self/status").is_ok() && UdpSocket::bind("127.0.0.1:0").is_ok()
            );
            let sets = thread::capabilities(None).unwrap();
            assert!(
                sets.permitted.is_empty()
                    && sets.effective.is_empty()
                    && sets.inheritable.is_empty()
            );
            assert!(!thread::capability_is_in_bounding_set(CapabilitySet::NET_RAW).unwrap());
            assert!(
                Settings::new()
                    .socket(SocketKind::Raw)
                    .trace("127.0.0.1")
                    .start()
                    .is_err()
            );
        },
    );
}

#[test]
fn who_looks_names_up_can_read_and_ask_but_neither_write_nor_start_programs() {
    const TEST: &str = "privilege::tests::who_looks_names_up_can_read_and_ask_but_neither_write_nor_start_programs";
    in_namespace(TEST, "", || {
        let _ = confine_to_lookups().unwrap();
        assert!(File::open("/etc/nsswitch.conf").is_ok() && UdpSocket::bind("127.0.0.1:0").is_ok());
        assert!(crate::resolve("localhost", None).is_ok());
        let refused = TcpStream::connect("127.0.0.1:1")
            .err()
            .map(|error| error.kind());
        assert_eq!(refused, Some(ErrorKind::ConnectionRefused));
        let denied = [
            File::create("/tmp/hopshot-confined").err(),
            Command::new("/bin/true").spawn().err(),
        ];
        let denied = denied.map(|error| error.map(|error| error.kind()));
        assert_eq!(denied, [Some(ErrorKind::PermissionDenied); 2]);
    });
}
