//! Where packets of ICMP go, and where those of other protocols go: rules of routing tell them
//! apart. And routes that lead nowhere, and the ways to name an interface.

use crate::errors::refused;
use crate::world::chain::WAYS;
use crate::world::{HOPSHOT, Said, command_on_chain};
use serde_json::Value;

/// Leaves the route of the chain to ICMP alone.
const ICMP_ALONE: &str = "
    ip route del 10.0.0.0/8; ip route add 10.0.0.0/8 via 10.1.0.1 table 200; ip rule add ipproto icmp lookup 200
    ip route del 2001:db8::/32; ip route add 2001:db8::/32 via 2001:db8:1::1 dev ahead table 200
    ip -6 rule add ipproto ipv6-icmp lookup 200
";

/// Gives all other protocols a route of their own, from another address, by a link that carries
/// less.
const OTHERS_ELSEWHERE: &str = "
    ip link add other type veth peer name beyond; ip link set other up mtu 1300
    ip address add 172.16.0.1/24 dev other; ip address add 2001:db8:fe::1/64 dev other nodad
    ip route add 10.0.0.0/8 via 172.16.0.9; ip route add 2001:db8::/32 via 2001:db8:fe::9 dev other
";

/// Runs hopshot on the chain after these shell commands; `$0` is hopshot.
fn after(setup: &str, socket: &str, args: &str) -> Option<Said> {
    let script = format!("set -e; {setup}\nset +e; exec $0 -n -q1 --socket {socket} {args}");
    command_on_chain(3, &["--ping"], &["sh", "-c", &script, HOPSHOT])
}

fn assert_whole(document: &Value, source: &str, what: &str) {
    assert_eq!(
        (&document["distance"], &document["source"]),
        (&4.into(), &source.into()),
        "{what}: {document}"
    );
    for hop in document["hops"].as_array().unwrap() {
        assert_eq!(
            hop["probes"][0]["changed"].as_array().map(Vec::len),
            Some(0),
            "{what}: {document}"
        );
    }
}

#[test]
fn a_trace_takes_the_route_of_icmp_whatever_that_of_other_protocols_is() {
    for others in ["", OTHERS_ELSEWHERE] {
        let setup = format!("{ICMP_ALONE}{others}");
        for (target, source, socket) in WAYS {
            let what = format!("{target} {socket} {others}");
            let Some(said) = after(&setup, socket, &format!("--json {target}")) else {
                return;
            };
            assert_whole(&said.json(), source, &what);
            let Some(said) = after(
                &setup,
                socket,
                &format!("--json --targets - <<END\n{target}\n{target}\nEND"),
            ) else {
                return;
            };
            assert_eq!(
                (said.status, said.stdout.lines().count()),
                (0, 2),
                "{what}: {}",
                said.stderr
            );
            for line in said.stdout.lines() {
                assert_whole(&serde_json::from_str(line).unwrap(), source, &what);
            }
            let Some(said) = after(&setup, socket, &format!("--mtu --json {target}")) else {
                return;
            };
            assert_eq!(
                (&said.json()["path_mtu"], said.status),
                (&1500.into(), 0),
                "{what}: {}",
                said.stdout
            );
            let Some(said) = after(&setup, socket, &format!("--paths --json {target}")) else {
                return;
            };
            assert_eq!(
                (&said.json()["source"], said.status),
                (&source.into(), 0),
                "{what}: {}",
                said.stdout
            );
        }
    }
}

/// The kernel keeps the type and code of an Echo Request where ports of others are, and rules by
/// ports go by that: 8 and 0 are port 2048, 128 and 0 port 32768.
#[test]
fn a_rule_by_ports_that_holds_for_probes_is_followed_by_all_that_is_asked_about_them() {
    // Nothing of the chain but the port of its family's probes leads by the other address.
    const OTHER_ADDRESS: &str = "
        ip address add 10.1.0.253/24 dev ahead; ip address add 2001:db8:1::fd/64 dev ahead nodad
        ip route replace 10.0.0.0/8 via 10.1.0.1 src 10.1.0.254
        ip -6 route del 2001:db8::/32; ip route add 2001:db8::/32 via 2001:db8:1::1 dev ahead src 2001:db8:1::fe
        ip route add 10.0.0.0/8 via 10.1.0.1 src 10.1.0.253 table 200
        ip route add 2001:db8::/32 via 2001:db8:1::1 dev ahead src 2001:db8:1::fd table 200
    ";
    // No route but that one.
    const ALONE: &str = "ip route del 10.0.0.0/8; ip -6 route del 2001:db8::/32";
    for (ports, is_ruled) in [
        ("2048", "."),
        ("32768", ":"),
        ("1024-40000", ".:"),
        ("1-1023", ""),
    ] {
        for (target, source, socket) in WAYS {
            let is_ruled = is_ruled.chars().any(|mark| target.contains(mark));
            let source = if is_ruled {
                source.replace("254", "253").replace("fe", "fd")
            } else {
                source.to_owned()
            };
            let rules = format!(
                "ip -4 rule add dport {ports} lookup 200; ip -6 rule add dport {ports} lookup 200"
            );
            let alone = if is_ruled { ALONE } else { "true" };
            let setup = format!("{OTHER_ADDRESS}\n{rules}\n{alone}");
            let what = format!("{target} {socket} {ports}");
            let Some(said) = after(&setup, socket, &format!("--json {target}")) else {
                return;
            };
            assert_whole(&said.json(), &source, &what);
            let Some(said) = after(
                &setup,
                socket,
                &format!("--json --targets - <<END\n{target}\n{target}\nEND"),
            ) else {
                return;
            };
            assert_eq!(
                (said.status, said.stdout.lines().count()),
                (0, 2),
                "{what}: {}",
                said.stderr
            );
            for line in said.stdout.lines() {
                assert_whole(&serde_json::from_str(line).unwrap(), &source, &what);
            }
            let Some(said) = after(&setup, socket, &format!("--mtu --json {target}")) else {
                return;
            };
            assert_eq!(
                (&said.json()["path_mtu"], said.status),
                (&1500.into(), 0),
                "{what}: {}",
                said.stdout
            );
            let Some(said) = after(&setup, socket, &format!("--paths --json {target}")) else {
                return;
            };
            assert_eq!(said.json()["source"], source, "{what}: {}", said.stdout);
        }
    }
}

#[test]
fn an_address_to_which_no_trace_can_go_is_told_for_what_it_is() {
    const ROUTES: &str = "for kind in prohibit blackhole unreachable; do
        ip route add $kind 10.77.${#kind}.0/24; ip route add $kind 2001:db8:77:${#kind}::/64; done";
    let cases = [
        (
            "10.1.0.255",
            "no route to 10.1.0.255: it is a broadcast address",
        ),
        (
            "-i ahead 10.1.0.255",
            "no route to 10.1.0.255: it is a broadcast address",
        ),
        (
            "10.77.8.255",
            "a 'prohibit' route forbids it (Permission denied)",
        ),
        (
            "2001:db8:77:8::1",
            "a 'prohibit' route forbids it (Permission denied)",
        ),
        (
            "10.77.9.1",
            "a 'blackhole' route leads there (Invalid argument)",
        ),
        (
            "-s 10.1.0.254 10.77.9.1",
            "a 'blackhole' route leads there (Invalid argument)",
        ),
        (
            "2001:db8:77:9::1",
            "a 'blackhole' route leads there (Invalid argument)",
        ),
        (
            "10.77.11.1",
            "an 'unreachable' route leads there (No route to host)",
        ),
        (
            "2001:db8:77:11::1",
            "an 'unreachable' route leads there (No route to host)",
        ),
        ("192.0.2.1", "no route to 192.0.2.1: Network is unreachable"),
        (
            "2001:db9::1",
            "no route to 2001:db9::1: Network is unreachable",
        ),
        (
            "ff02::1",
            "ff02::1 is link-local, so its interface must follow, as in ff02::1%eth0",
        ),
        (
            "ff31::1",
            "ff31::1 is link-local, so its interface must follow, as in ff31::1%eth0",
        ),
        (
            "-i ahead fe80::1%lo",
            "it belongs to another interface than probes are to leave by",
        ),
        (
            "fe80::1",
            "fe80::1 is link-local, so its interface must follow, as in fe80::1%eth0",
        ),
    ];
    for socket in ["raw", "ping"] {
        // Each alone in three ways, and in a list: one chain for all.
        let hopshot = format!("$0 -n -q1 --socket {socket}");
        let alone = |args: &str| {
            format!(
                "for way in '' --mtu --paths; do {hopshot} $way {args} 2>&1; echo \"= $?\"; done; "
            )
        };
        let in_list = |args: &str| {
            format!("{hopshot} --json --outage 0 {args} 10.4.0.1 2001:db8:4::1; echo; ")
        };
        let script: String = cases
            .iter()
            .map(|(args, _)| format!("{}{}echo ====;", alone(args), in_list(args)))
            .collect();
        let script = format!("{ROUTES}\n{script}");
        let Some(said) = command_on_chain(3, &["--ping"], &["sh", "-c", &script, HOPSHOT]) else {
            return;
        };
        let parts: Vec<&str> = said.stdout.split("====\n").collect();
        assert_eq!(parts.len(), cases.len() + 1, "{}", said.stderr);
        for ((args, words), part) in cases.iter().zip(parts) {
            let told = part.lines().filter(|line| line.contains(words)).count();
            // With a source or an interface of one family not everything is reached.
            let reached = part.contains("\"reached\":true");
            assert_eq!(
                (told, part.matches("= 2\n").count(), reached),
                (4, 3, true),
                "{args} {socket}: {part}"
            );
        }
    }
}

#[test]
fn a_loopback_address_sends_to_this_machine_alone() {
    // Each is an address of this machine, from which the target can't be reached, with another one.
    let sources = [
        ("127.0.0.1", "10.4.0.1", "10.1.0.254"),
        ("::1", "2001:db8:4::1", "2001:db8:1::fe"),
    ];
    for (source, target, own) in sources {
        for socket in ["raw", "ping"] {
            // The last is a list.
            let list = format!("--outage 0 {target}");
            for mode in ["", "--paths", "--mtu", "--watch --count 1", &list] {
                let Some(said) = after("", socket, &format!("-s {source} {mode} {target}")) else {
                    return;
                };
                let why = format!("can't send from {source}: the target can't be reached from it");
                assert!(
                    said.status != 0 && said.stderr.contains(&why),
                    "{socket} {mode}: {}{}",
                    said.stdout,
                    said.stderr
                );
            }
            for (target, mode) in [(own, ""), (own, "--mtu"), (source, "")] {
                let Some(said) = after("", socket, &format!("-s {source} {mode} --json {target}"))
                else {
                    return;
                };
                assert_eq!(
                    (said.status, &said.json()["distance"]),
                    (0, &1.into()),
                    "{socket} {target}"
                );
            }
        }
    }
}

#[test]
fn the_unspecified_address_is_this_machine_on_either_socket() {
    for socket in ["raw", "ping"] {
        for (target, address) in [("::", "::1"), ("0.0.0.0", "127.0.0.1"), ("[::]", "::1")] {
            for more in ["", "10.1.0.1"] {
                let Some(said) = after("", socket, &format!("--json '{target}' {more}")) else {
                    return;
                };
                let line = said
                    .stdout
                    .lines()
                    .find(|line| line.contains(&format!("\"address\":\"{address}\"")));
                let document: Value = serde_json::from_str(line.unwrap_or_default()).unwrap();
                assert_eq!(
                    (&document["distance"], said.status),
                    (&1.into(), 0),
                    "{socket} {target}: {document}"
                );
            }
            let Some(said) = after("", socket, &format!("--mtu --json '{target}'")) else {
                return;
            };
            assert_eq!(
                (said.status, &said.json()["path_mtu"]),
                (0, &65_535.into()),
                "{socket}: {}",
                said.stdout
            );
        }
    }
}

#[test]
fn an_interface_has_alternative_names_of_any_length() {
    const NAMES: &str =
        "ip link property add dev ahead altname the-interface-that-leads-ahead altname a2
        ip address add fe80::2/64 dev ahead nodad";
    for (target, source, socket) in WAYS {
        for name in ["ahead", "a2", "the-interface-that-leads-ahead"] {
            let Some(said) = after(NAMES, socket, &format!("--json -i {name} {target}")) else {
                return;
            };
            assert_whole(&said.json(), source, name);
        }
        let Some(said) = after(
            NAMES,
            socket,
            &format!("-i the-interface-that-leads-nowhere {target}"),
        ) else {
            return;
        };
        refused(
            &said,
            "no interface is named 'the-interface-that-leads-nowhere'",
        );
    }
}

#[test]
fn a_link_local_source_may_have_its_interface_behind_it() {
    // The router can't look for its neighbour before its own address of the link has been found to
    // be free.
    const ADDRESS: &str = "ip address add fe80::2/64 dev ahead nodad
        ip link property add dev ahead altname the-interface-that-leads-ahead
        for i in $(seq 20); do $0 -n -q1 -i ahead -s fe80::2 2001:db8:1::1 >/dev/null && break; done";
    for socket in ["raw", "ping"] {
        for zone in [
            "ahead",
            "$(ip -o link show ahead | cut -d: -f1)",
            "the-interface-that-leads-ahead",
        ] {
            for more in ["", "2001:db8:1::1"] {
                let args = format!("--json -s fe80::2%{zone} 2001:db8:1::1 {more}");
                let Some(said) = after(ADDRESS, socket, &args) else {
                    return;
                };
                let document: Value =
                    serde_json::from_str(said.stdout.lines().next().unwrap_or_default()).unwrap();
                let found = (&document["distance"], &document["source"], said.status);
                assert_eq!(
                    found,
                    (&1.into(), &"fe80::2".into(), 0),
                    "{zone} {socket} {}",
                    said.stderr
                );
            }
        }
    }
    for (args, words) in [
        (
            "-s fe80::2%nosuch0 2001:db8:1::1",
            "no interface is named 'nosuch0'",
        ),
        (
            "-s fe80::2%ahead -i lo 2001:db8:1::1",
            "--source names the interface ahead, and --interface lo",
        ),
        ("-s 10.1.0.254%ahead 10.1.0.1", "10.1.0.254 has no zone"),
        ("-s fe80::2% 2001:db8:1::1", "an interface must follow %"),
        (
            "-s fe80::2 2001:db8:1::1",
            "it is link-local, so the interface must be given too",
        ),
        (
            "-s nowhere 2001:db8:1::1",
            "must be an address of this machine",
        ),
    ] {
        let Some(said) = after(ADDRESS, "raw", args) else {
            return;
        };
        refused(&said, words);
    }
}

#[test]
fn each_side_of_a_comparison_leaves_by_the_route_of_its_protocol() {
    // TCP alone has the route of the chain; ICMP comes first, and goes elsewhere.
    let setup = format!("{ICMP_ALONE}{OTHERS_ELSEWHERE}")
        .replace("ipproto icmp", "ipproto tcp")
        .replace("ipproto ipv6-icmp", "ipproto tcp");
    for (target, source, socket) in WAYS {
        if socket != "raw" {
            continue;
        }
        for sides in ["icmp,tcp:4430", "udp,tcp:4430"] {
            let args = format!("--json --compare={sides} {target}");
            let Some(said) = after(&setup, socket, &args) else {
                return;
            };
            let document = said.json();
            let route = |side: usize| &document["sides"][side]["route"];
            assert_whole(route(1), source, sides);
            let other = route(0)["source"].as_str().unwrap();
            assert!(["172.16.0.1", "2001:db8:fe::1"].contains(&other), "{other}");
            assert_eq!(route(0)["reached"], false);
        }
    }
}
