//! The binary: namespaces, devices, names, exit status. Where the kernel doesn't permit namespaces
//! these tests say so and pass.
#![cfg(all(target_os = "linux", feature = "play"))]

use hopshot_core::wire::{AddressFamily, Ends, icmp};
use hopshot_lab::log::{Event, parse};
use nix::sys::socket::{
    AddressFamily as Domain, MsgFlags, SockFlag, SockProtocol, SockType, SockaddrIn, SockaddrIn6,
    SockaddrLike, recvfrom, sendto, setsockopt, socket, sockopt,
};
use std::io::Write;
use std::net::{IpAddr, SocketAddr};
use std::os::fd::AsRawFd;
use std::process::{Command, Output};
use std::time::{Duration, Instant};

/// Runs the lab; `None` where it isn't permitted.
fn lab(arguments: &[&str]) -> Option<Output> {
    let output = Command::new(env!("CARGO_BIN_EXE_hopshot-lab"))
        .args(arguments)
        .output()
        .unwrap();
    if output.status.code() == Some(77) {
        skipped(&output);
        return None;
    }
    Some(output)
}

/// Says so on the real standard error, which a passing test's captured output never reaches.
fn skipped(output: &Output) {
    assert!(
        std::env::var_os("HOPSHOT_NO_SKIP").is_none(),
        "no namespaces, but none may be skipped"
    );
    let _ = writeln!(
        std::io::stderr(),
        "SKIPPED: {}",
        String::from_utf8_lossy(&output.stderr).trim()
    );
}

#[test]
fn status_and_output_are_the_commands_own() {
    let Some(output) = lab(&[
        "run",
        "short",
        "--",
        "sh",
        "-c",
        "echo {4} {6} {name} $HOPSHOT_LAB_NAME; echo no >&2; exit 5",
    ]) else {
        return;
    };
    assert_eq!(output.status.code(), Some(5));
    assert_eq!(String::from_utf8_lossy(&output.stderr), "no\n");
    let expected = "10.255.0.80 2001:db8:ffff::80 target.example target.example\n";
    assert_eq!(String::from_utf8_lossy(&output.stdout), expected);
}

#[test]
fn a_signal_and_a_missing_command_have_their_usual_status() {
    let status = |arguments: &[&str]| lab(arguments).map(|output| output.status.code());
    let Some(killed) = status(&["run", "short", "--", "sh", "-c", "kill -9 $$"]) else {
        return;
    };
    assert_eq!(killed, Some(137));
    assert_eq!(
        status(&["run", "short", "--", "/no/such/command"]),
        Some(Some(127))
    );
    assert_eq!(
        status(&["run", "no-such-scenario", "--", "true"]),
        Some(Some(125))
    );
}

#[test]
fn a_command_that_takes_too_long_is_killed() {
    let started = Instant::now();
    let Some(output) = lab(&["run", "short", "--time-limit", "1", "--", "sleep", "60"]) else {
        return;
    };
    assert_eq!(output.status.code(), Some(137));
    assert!(started.elapsed() < Duration::from_secs(30));
}

#[test]
fn memory_is_the_commands_own() {
    let log = std::env::temp_dir().join(format!("hopshot-lab-test-{}-memory", std::process::id()));
    let log_path = log.to_str().unwrap();
    // A shell that holds thirty million octets, then gives the status of a child that a signal
    // ended.
    let script = "big=$(head -c 30000000 /dev/zero | tr '\\0' x); sh -c 'kill -9 $$'; exit $((${#big} / 10000000 + $?))";
    let arguments = [
        "run",
        "short",
        "--memory",
        "--time-limit",
        "60",
        "--log",
        log_path,
        "--",
        "sh",
        "-c",
    ];
    let mut memories = [0; 2];
    for (memory, script) in memories.iter_mut().zip(["exit 140", script]) {
        let Some(output) = lab(&[&arguments[..], &[script]].concat()) else {
            return;
        };
        assert_eq!(output.status.code(), Some(140));
        let events = parse(&std::fs::read_to_string(&log).unwrap()).unwrap();
        let Some(Event::Exit(exit)) = events.last() else {
            panic!("{events:?}")
        };
        *memory = exit.peak_memory;
    }
    std::fs::remove_file(&log).unwrap();
    // What a bare shell takes, some megabytes, depends on the system and on what else runs; most of
    // what it holds beyond that doesn't.
    assert!(memories[1] > memories[0] + 20_000_000, "{memories:?}");
}

#[test]
fn packets_take_the_path_and_its_time_on_either_device() {
    for link in ["tun", "veth"] {
        let log =
            std::env::temp_dir().join(format!("hopshot-lab-test-{}-{link}", std::process::id()));
        let log_path = log.to_str().unwrap();
        let client = std::env::current_exe().unwrap();
        let client = [client.to_str().unwrap(), "--ignored", "--exact", "client"];
        let arguments = [
            &["run", "short", "--link", link, "--log", log_path, "--"],
            &client[..],
        ]
        .concat();
        let Some(output) = lab(&arguments) else {
            continue;
        };
        let stderr = String::from_utf8_lossy(&output.stderr);
        if link == "tun" && !output.status.success() && stderr.contains("TUN device") {
            skipped(&output);
            continue;
        }
        assert!(
            output.status.success(),
            "{link}: {stderr}{}",
            String::from_utf8_lossy(&output.stdout)
        );
        let events = parse(&std::fs::read_to_string(&log).unwrap()).unwrap();
        std::fs::remove_file(&log).unwrap();
        let (Some(Event::Exit(exit)), 15) = (events.last(), events.len()) else {
            panic!("{link}: {events:?}")
        };
        assert!(exit.status == 0 && exit.ended_ns > exit.started_ns);
        for event in &events[..14] {
            let Event::Probe(probe) = event else {
                panic!("{event:?}")
            };
            let [answer] = probe.answers.as_slice() else {
                panic!("{probe:?}")
            };
            assert!(answer.delivered_ns.unwrap() >= probe.at_ns + answer.rtt_ns);
            assert_eq!(probe.past_target, probe.hop_limit > 5);
        }
    }
}

#[test]
fn a_chain_of_linux_routers_answers_hop_by_hop() {
    let client = std::env::current_exe().unwrap();
    let Some(output) = lab(&[
        "chain",
        "4",
        "--",
        client.to_str().unwrap(),
        "--ignored",
        "--exact",
        "client",
    ]) else {
        return;
    };
    let stderr = String::from_utf8_lossy(&output.stderr);
    assert!(
        output.status.success(),
        "{stderr}{}",
        String::from_utf8_lossy(&output.stdout)
    );
}

/// Runs inside the lab: five hops and two probes past the target, in both families.
#[test]
#[ignore = "only inside the lab; other tests start it there"]
fn client() {
    for variable in ["HOPSHOT_LAB_TARGET4", "HOPSHOT_LAB_TARGET6"] {
        let Ok(target) = std::env::var(variable) else {
            return;
        };
        let target: IpAddr = target.parse().unwrap();
        for hop in 1..=7_u8 {
            let expected = match target {
                _ if hop >= 5 => target,
                IpAddr::V4(_) => IpAddr::from([10, hop, 0, 1]),
                IpAddr::V6(_) => IpAddr::from([0x2001, 0xdb8, hop.into(), 0, 0, 0, 0, 1]),
            };
            assert_eq!(ask(target, hop), expected, "hop {hop}");
        }
    }
}

/// Sends one probe and says who answers it.
fn ask(target: IpAddr, hop_limit: u8) -> IpAddr {
    let family = AddressFamily::of(target);
    let ends = Ends {
        source: family.unspecified(),
        destination: target,
    };
    let mut message = [0; 16];
    let echo = icmp::Echo {
        ident: 99,
        seq: hop_limit.into(),
        payload: &[0; 8],
    };
    icmp::Message::EchoRequest(echo)
        .emit(ends, &mut message)
        .unwrap();
    match SocketAddr::new(target, 0) {
        SocketAddr::V4(target) => exchange::<SockaddrIn>(
            Domain::Inet,
            SockProtocol::Icmp,
            &target.into(),
            hop_limit,
            &message,
            20,
        )
        .ip()
        .into(),
        SocketAddr::V6(target) => {
            let to = SockaddrIn6::from(target);
            exchange::<SockaddrIn6>(
                Domain::Inet6,
                SockProtocol::IcmpV6,
                &to,
                hop_limit,
                &message,
                0,
            )
            .ip()
            .into()
        }
    }
}

fn exchange<A: SockaddrLike>(
    family: Domain,
    protocol: SockProtocol,
    to: &A,
    hop_limit: u8,
    message: &[u8],
    header_len: usize,
) -> A {
    let socket = socket(family, SockType::Raw, SockFlag::SOCK_NONBLOCK, protocol).unwrap();
    let value = i32::from(hop_limit);
    match family {
        Domain::Inet => setsockopt(&socket, sockopt::Ipv4Ttl, &value).unwrap(),
        _ => setsockopt(&socket, sockopt::Ipv6Ttl, &value).unwrap(),
    }
    sendto(socket.as_raw_fd(), message, to, MsgFlags::empty()).unwrap();
    let asked = Instant::now();
    let mut buf = [0; 2048];
    while asked.elapsed() < Duration::from_secs(2) {
        match recvfrom::<A>(socket.as_raw_fd(), &mut buf) {
            // Echo Reply or Time Exceeded; what else there is (a neighbour's question in IPv6) is
            // none of ours.
            Ok((_, from)) if [0, 11, 129, 3].contains(&buf[header_len]) => return from.unwrap(),
            _ => std::thread::sleep(Duration::from_micros(100)),
        }
    }
    panic!("no answer at hop {hop_limit}");
}

#[test]
fn a_real_kernel_connects_to_open_ports_through_every_box_and_to_no_other() {
    for (scenario, port, is_open) in [
        ("wan --link veth", 443, true),
        ("wan", 443, true),
        ("wan", 81, false),
        ("first-syn", 443, true),
        ("no-icmp", 80, true),
        ("seq-nat", 443, true),
        ("port-nat", 443, true),
        ("port-nat", 81, false),
        ("mss-clamp", 443, true),
        ("tcp-rejected", 443, false),
    ] {
        for target in ["{4}", "{6}"] {
            let script = format!("exec 3<>/dev/tcp/{target}/{port}");
            let run: Vec<&str> = ["run"].into_iter().chain(scenario.split(' ')).collect();
            let arguments = ["--time-limit", "20", "--", "bash", "-c", &script];
            let Some(output) = lab(&[&run[..], &arguments].concat()) else {
                return;
            };
            let status = i32::from(!is_open);
            assert_eq!(
                output.status.code(),
                Some(status),
                "{scenario} {target} {port}"
            );
        }
    }
}
