//! What this machine itself says: a firewall, a lack of routes, a neighbour that doesn't answer. It
//! is summed up, and no router is blamed for it.

use crate::world::{HOPSHOT, Said, command_in_scenario, command_on_chain, has};
use serde_json::Value;

/// Each socket in each family: the kind of socket, the target of the chain, and an address on the
/// first link where nobody is.
const SOCKETS: [(&str, &str, &str); 4] = [
    ("raw", "10.4.0.1", "10.1.0.99"),
    ("ping", "10.4.0.1", "10.1.0.98"),
    ("raw", "2001:db8:4::1", "2001:db8:1::99"),
    ("ping", "2001:db8:4::1", "2001:db8:1::98"),
];

/// The kernel's verdict on a neighbour that doesn't answer.
const NOBODY: &str =
    "host unreachable, says this machine itself: the next hop doesn't answer on its link";

/// A firewall for what leaves this machine.
fn firewall(rule: &str) -> String {
    let echo = ["icmp type echo-request", "icmpv6 type echo-request"]
        .map(|what| format!("nft add rule inet f o {what} {rule}"));
    format!(
        "nft add table inet f; nft add chain inet f o '{{ type filter hook output priority 0; }}'; {}",
        echo.join("; ")
    )
}

/// Runs a shell command on a chain of three routers, where `$0` is hopshot.
fn on_chain(script: &str) -> Option<Said> {
    command_on_chain(3, &["--ping"], &["sh", "-c", script, HOPSHOT])
}

/// Does the same for each kind of socket in each family at the same time.
fn on_each_socket(check: impl Fn(&str, &str, &str) + Sync) {
    std::thread::scope(|scope| {
        SOCKETS
            .iter()
            .for_each(|(socket, target, dead)| _ = scope.spawn(|| check(socket, target, dead)));
    });
}

/// Does the same for each way in which the kernel may choose among next hops, too: with the command
/// that sets it, and an option.
fn on_each_choice(check: impl Fn(&str, &str, &str, &str) + Sync) {
    std::thread::scope(|scope| {
        for (policy, is_given) in CHOICES {
            let check = &check;
            scope.spawn(move || {
                on_each_socket(|socket, target, _| {
                    let own = if target.contains(':') { "2001:db8:1::fe" } else { "10.1.0.254" };
                    let source = if is_given { format!("-s {own}") } else { String::new() };
                    let setting = format!(
                        "net.ipv6.fib_multipath_hash_policy={policy} net.ipv4.fib_multipath_hash_policy={policy}"
                    );
                    check(&format!("sysctl -qw {setting}"), socket, target, &source);
                });
            });
        }
    });
}

#[test]
fn a_firewall_that_lets_nothing_out_is_told_once_and_nobody_else_is_blamed() {
    if !has("nft", "a firewall of this machine") {
        return;
    }
    for rule in ["drop", "reject"] {
        let firewall = firewall(rule);
        on_each_socket(|socket, target, _| {
            if (rule, socket, target.contains(':')) == ("drop", "ping", true) {
                // The kernel doesn't tell, on ping sockets of IPv6.
                return;
            }
            let Some(said) = on_chain(&format!("{firewall}; \"$0\" -n --socket {socket} {target}"))
            else {
                return;
            };
            let lines: Vec<&str> = said.stdout.lines().collect();
            assert_eq!((said.status, lines.len()), (1, 3), "{lines:?}");
            let (mark, reason) = lines[1]
                .strip_prefix(" 1-32  ")
                .and_then(|line| line.split_once(' '))
                .unwrap();
            assert!(mark.starts_with('!') && !reason.is_empty(), "{lines:?}");
            assert!(
                lines[2].ends_with(&format!(" {target}: {reason}.")),
                "{lines:?}"
            );
            let script = format!("{firewall}; \"$0\" -n --json --socket {socket} {target}");
            let Some(said) = on_chain(&script) else {
                return;
            };
            let document = said.json();
            assert_eq!(
                (&document["stop_reason"], &document["failure"]),
                (&"local".into(), &reason.into()),
                "{document}"
            );
            for search in ["--paths", "--mtu"] {
                let script = format!("{firewall}; \"$0\" -n {search} --socket {socket} {target}");
                let Some(said) = on_chain(&script) else {
                    return;
                };
                assert_eq!(said.status, 1);
                assert!(
                    said.stdout.contains(&format!(" {target}: {reason}.\n")),
                    "{search}: {}",
                    said.stdout
                );
                assert!(
                    !said.stdout.contains("routers did not answer"),
                    "{search}: {}",
                    said.stdout
                );
            }
        });
    }
}

#[test]
fn each_mark_of_a_probe_that_failed_here_has_its_reason_and_no_router_is_limited() {
    if !has("nft", "a firewall of this machine") {
        return;
    }
    // A ping socket tries again at once, so several in a row are dropped; and the first ones, since
    // later ones are sent again.
    let firewall = firewall("numgen inc mod 40 '<' 4 drop");
    on_each_socket(|socket, target, _| {
        if (socket, target.contains(':')) == ("ping", true) {
            // The kernel doesn't tell.
            return;
        }
        let Some(said) = on_chain(&format!("{firewall}; \"$0\" -n --socket {socket} {target}"))
        else {
            return;
        };
        assert_eq!(said.status, 0, "{}", said.stdout);
        assert!(said.stdout.contains(" ! "), "{}", said.stdout);
        let legend = said
            .stdout
            .lines()
            .filter(|line| *line == "! Operation not permitted")
            .count();
        assert!(
            legend == 1 && !said.stdout.contains("rate limited"),
            "{}",
            said.stdout
        );
    });
}

#[test]
fn where_some_hops_at_the_end_are_silent_and_some_are_forbidden_here_each_format_tells_them_apart()
{
    if !has("nft", "a firewall of this machine") {
        return;
    }
    let formats = [
        ("text", "12-19  *", "20-32  ! "),
        ("markdown", "| 12-19 | \\*", "| 20-32 | "),
        ("dot", "12-19  *\"", "20-32  "),
    ];
    // On ping sockets of IPv6 the kernel doesn't tell.
    for (socket, family, limit) in [
        ("raw", 4, "ip ttl"),
        ("ping", 4, "ip ttl"),
        ("raw", 6, "ip6 hoplimit"),
    ] {
        let firewall = firewall(&format!("{limit} 20-64 drop"));
        for (format, silent, failed) in formats {
            let target = format!("$HOPSHOT_LAB_TARGET{family}");
            let script = format!(
                "{firewall}; exec \"$0\" -n -q1 --socket {socket} --format {format} {target}"
            );
            let Some(said) =
                command_in_scenario("deadtarget", true, &["sh", "-c", &script, HOPSHOT])
            else {
                return;
            };
            let failed = format!("{failed}Operation not permitted");
            let tells = said.stdout.contains(silent) && said.stdout.contains(&failed);
            assert!(tells, "{socket} {target}: {}", said.stdout);
        }
    }
}

#[test]
fn all_paths_are_not_complete_where_this_machine_lets_no_probe_out_to_a_hop() {
    if !has("nft", "a firewall of this machine") {
        return;
    }
    for (range, first, last) in [("3-64", 3, 32), ("2", 2, 2), ("4", 4, 4), ("1", 1, 1)] {
        on_each_socket(|socket, target, _| {
            if (socket, target.contains(':')) == ("ping", true) {
                // The kernel doesn't tell.
                return;
            }
            let limit = if target.contains(':') {
                "ip6 hoplimit"
            } else {
                "ip ttl"
            };
            let firewall = firewall(&format!("{limit} {range} drop"));
            let Some(said) = on_chain(&format!(
                "{firewall}; \"$0\" -n --paths --socket {socket} {target}"
            )) else {
                return;
            };
            let numbers = if first == last {
                format!("{first:>2}")
            } else {
                format!("{first:>2}-{last}")
            };
            let line = format!("{numbers}  ! Operation not permitted\n");
            assert!(
                said.stdout.contains(&line),
                "{range} {socket}: {}",
                said.stdout
            );
            assert!(
                said.stdout
                    .contains(": not complete, this machine is in the way. "),
                "{}",
                said.stdout
            );
            let Some(said) = on_chain(&format!(
                "{firewall}; \"$0\" -n --paths --json --socket {socket} {target}"
            )) else {
                return;
            };
            let document = said.json();
            assert_eq!(document["completeness"], "no_progress", "{document}");
            let blocked = document["blocked"].as_array().unwrap();
            let hops: Vec<u64> = blocked
                .iter()
                .map(|blocked| blocked["hop"].as_u64().unwrap())
                .collect();
            assert_eq!(hops, (first..=last).collect::<Vec<u64>>(), "{document}");
            assert!(
                blocked
                    .iter()
                    .all(|blocked| blocked["error"] == "Operation not permitted"),
                "{document}"
            );
            let Some(said) = on_chain(&format!(
                "{firewall}; \"$0\" -n --paths --format dot --socket {socket} {target}"
            )) else {
                return;
            };
            let label = format!(
                "label=\"{}  Operation not permitted\" style=\"rounded,dashed\"]",
                numbers.trim()
            );
            let node = said
                .stdout
                .lines()
                .find_map(|line| line.trim().strip_suffix(&label)?.strip_suffix(" ["));
            let leads_there =
                node.is_some_and(|node| said.stdout.contains(&format!(" -> {node}\n")));
            assert!(
                leads_there && !said.stdout.contains('*'),
                "{range} {socket}: {}",
                said.stdout
            );
        });
    }
}

#[test]
fn where_the_next_hop_does_not_answer_on_its_link_the_kernels_verdict_is_waited_for_and_told() {
    on_each_socket(|socket, _, dead| {
        let Some(said) = on_chain(&format!("\"$0\" -n -q1 --socket {socket} {dead}")) else {
            return;
        };
        let lines: Vec<&str> = said.stdout.lines().skip(1).collect();
        assert_eq!(
            lines,
            [
                format!(" 1-32  !H {NOBODY}"),
                format!("No answer from {dead}: {NOBODY}.")
            ]
        );
        // Nobody is waited for any longer than was asked for.
        let Some(said) = on_chain(&format!("\"$0\" -n --json -w 1 --socket {socket} {dead}"))
        else {
            return;
        };
        let document = said.json();
        assert_eq!(
            (&document["stop_reason"], &document["failure"]),
            (&"timeout".into(), &Value::Null),
            "{document}"
        );
    });
}

#[test]
fn nor_is_a_list_or_a_search_whose_wait_was_chosen() {
    on_each_socket(|socket, _, dead| {
        for (options, hosts) in [
            ("--paths", dead),
            ("--mtu", dead),
            ("", &format!("{dead} {dead}")),
        ] {
            let script = format!("\"$0\" -n -q1 -w 1 {options} --socket {socket} {hosts}");
            let Some(said) = on_chain(&script) else {
                return;
            };
            let run = format!("{socket} {options} {hosts}: {}{}", said.stdout, said.stderr);
            assert!(
                said.status == 1 && said.stdout.contains(&format!("No answer from {dead}")),
                "{run}"
            );
            assert!(!said.stdout.contains(NOBODY), "{run}");
        }
    });
}

/// The counts of a document agree: nothing left this machine, and what it said of its own probes is
/// no stranger's.
fn assert_nothing_left(document: &Value) {
    let sent: u64 = document["hops"]
        .as_array()
        .unwrap()
        .iter()
        .map(|hop| hop["sent"].as_u64().unwrap())
        .sum();
    let rejected = &document["rejected"]["not_ours"];
    assert_eq!(
        (&document["probes_sent"], sent, rejected),
        (&0.into(), 0, &0.into()),
        "{document}"
    );
}

#[test]
fn what_this_machine_says_of_its_own_probes_is_not_counted_as_a_strangers_and_none_of_them_was_sent()
 {
    let reject = has("nft", "a firewall of this machine").then(|| firewall("reject"));
    on_each_socket(|socket, target, dead| {
        for (setup, target) in reject
            .iter()
            .map(|firewall| (firewall.as_str(), target))
            .chain([("true", dead)])
        {
            let Some(said) = on_chain(&format!(
                "{setup}; \"$0\" -n -q1 --json --socket {socket} {target}"
            )) else {
                return;
            };
            assert_nothing_left(&said.json());
        }
        let Some(said) = on_chain(&format!("\"$0\" -n -q1 -v --socket {socket} {dead}")) else {
            return;
        };
        assert_eq!(
            said.stderr.lines().last(),
            Some("hopshot: rejected: nothing")
        );
        assert!(
            said.stdout
                .lines()
                .last()
                .unwrap()
                .starts_with("0 probes, "),
            "{}",
            said.stdout
        );
    });
}

#[test]
fn a_firewall_that_calls_a_host_unreachable_is_not_taken_for_a_dead_neighbour() {
    if !has("nft", "a firewall of this machine") {
        return;
    }
    for range in ["1-64", "3-64"] {
        let rules = format!(
            "nft add table inet f; nft add chain inet f o '{{ type filter hook output priority 0; }}'
            nft add rule inet f o icmp type echo-request ip ttl {range} reject with icmp type host-unreachable
            nft add rule inet f o icmpv6 type echo-request ip6 hoplimit {range} reject with icmpv6 type addr-unreachable"
        );
        on_each_socket(|socket, target, _| {
            let list = format!("--outage 1 {target}");
            for mode in ["", "--paths", "--mtu", &list] {
                let Some(said) = on_chain(&format!(
                    "{rules}; \"$0\" -n -q1 {mode} --socket {socket} {target}"
                )) else {
                    return;
                };
                assert!(
                    said.status == 1 && !said.stdout.contains(NOBODY),
                    "{range} {mode}: {}",
                    said.stdout
                );
                // On the others sending fails.
                if (socket, target.contains(':')) == ("ping", true) {
                    let hint =
                        "host unreachable, says this machine itself (a firewall here may say so)";
                    assert!(
                        said.stdout.contains(hint),
                        "{range} {mode}: {}",
                        said.stdout
                    );
                }
            }
        });
    }
}

#[test]
fn this_machines_verdict_is_its_own_whichever_of_its_addresses_probes_leave_from() {
    let addresses = "ip address add 10.1.0.253/24 dev ahead; ip address add 10.9.0.9/32 dev lo;
        ip address add 2001:db8:1::fd/64 dev ahead nodad; ip address add 2001:db8:9::9/128 dev lo nodad";
    on_each_socket(|socket, _, dead| {
        let sources = match dead.contains(':') {
            true => ["2001:db8:1::fd", "2001:db8:9::9"],
            false => ["10.1.0.253", "10.9.0.9"],
        };
        for source in sources {
            let call = |options: &str| {
                on_chain(&format!(
                    "{addresses}; \"$0\" -n -q1 --socket {socket} -s {source} {options} {dead}"
                ))
            };
            let Some(said) = call("") else { return };
            let lines: Vec<&str> = said.stdout.lines().skip(1).collect();
            let run = format!("{socket} {source}");
            assert_eq!(
                lines,
                [
                    format!(" 1-32  !H {NOBODY}"),
                    format!("No answer from {dead}: {NOBODY}.")
                ],
                "{run}"
            );
            let Some(said) = call(&format!("--json {dead}")) else {
                return;
            };
            let documents: Vec<Value> = said
                .stdout
                .lines()
                .map(|line| serde_json::from_str(line).unwrap())
                .collect();
            assert_eq!(documents.len(), 2, "{run}");
            assert!(
                documents
                    .iter()
                    .all(|document| document["failure"] == NOBODY),
                "{run} {}",
                said.stdout
            );
            let Some(said) = call("--watch --count 2 --every 4 --json") else {
                return;
            };
            let report = said.json();
            let hosts = report["hops"]
                .as_array()
                .unwrap()
                .iter()
                .map(|hop| hop["hosts"].as_array().unwrap().len());
            assert_eq!(
                (hosts.sum::<usize>(), &report["rounds_away"]),
                (0, &2.into()),
                "{run} {report}"
            );
        }
    });
}

#[test]
fn a_dead_gateway_looks_as_a_dead_host_and_so_does_one_that_is_sought_by_paths_and_sizes() {
    let routes = "ip route replace 10.0.0.0/8 via 10.1.0.77; ip route replace 2001:db8::/32 via 2001:db8:1::77 dev ahead";
    on_each_socket(|socket, target, _| {
        for search in ["", "--paths", "--mtu"] {
            let Some(said) = on_chain(&format!(
                "{routes}; \"$0\" -n {search} --socket {socket} {target}"
            )) else {
                return;
            };
            let why = format!("No answer from {target}: {NOBODY}.\n");
            assert!(
                said.status == 1 && said.stdout.contains(&why),
                "{search}: {}",
                said.stdout
            );
            // What the first link carries is known, and what each must (RFC 791, RFC 8200).
            let least = if target.contains(':') { 1280 } else { 68 };
            let bounds = format!("path MTU unknown: at least {least}, at most 1500\n");
            assert!(
                search != "--mtu" || said.stdout.ends_with(&bounds),
                "{}",
                said.stdout
            );
        }
        let script = format!("{routes}; \"$0\" -n --paths --format dot --socket {socket} {target}");
        let Some(said) = on_chain(&script) else {
            return;
        };
        let node = format!("n1 [label=\"1-32  {NOBODY}\"");
        assert!(
            said.stdout.contains(&node) && said.stdout.contains("n0 -> n1"),
            "{}",
            said.stdout
        );
    });
}

#[test]
fn a_dead_gateway_is_told_although_the_kernel_turns_to_a_wider_route_then() {
    // By IPv6 it does.
    let routes = "ip route add 10.4.0.0/16 via 10.1.0.77
        ip route add 2001:db8:4::/48 via 2001:db8:1::77 dev ahead";
    on_each_socket(|socket, target, _| {
        for mode in ["", "-w 5", "--paths", "--mtu"] {
            let Some(said) = on_chain(&format!(
                "{routes}; \"$0\" -n -q1 {mode} --socket {socket} {target}"
            )) else {
                return;
            };
            let why = format!("No answer from {target}: {NOBODY}.\n");
            assert!(
                said.status == 1 && said.stdout.contains(&why),
                "{socket} {mode}: {}",
                said.stdout
            );
        }
    });
}

/// The policy by which the kernel chooses among next hops, and whether the source is given.
const CHOICES: [(u8, bool); 3] = [(0, false), (1, false), (0, true)];

#[test]
fn where_all_gateways_of_a_route_are_dead_that_is_told_whichever_was_chosen() {
    let routes =
        "ip route replace 10.0.0.0/8 nexthop via 10.1.0.77 nexthop via 10.1.0.78; ip -6 route del 2001:db8::/32
        ip route add 2001:db8::/32 nexthop via 2001:db8:1::77 dev ahead nexthop via 2001:db8:1::78 dev ahead";
    // The same as groups of next hops.
    let groups = "ip nexthop add id 1 via 10.1.0.77 dev ahead; ip nexthop add id 2 via 10.1.0.78 dev ahead
        ip nexthop add id 3 via 2001:db8:1::77 dev ahead; ip nexthop add id 4 via 2001:db8:1::78 dev ahead
        ip nexthop add id 10 group 1/2; ip nexthop add id 11 group 3/4; ip -6 route del 2001:db8::/32
        ip route replace 10.0.0.0/8 nhid 10; ip route add 2001:db8::/32 nhid 11";
    on_each_choice(|policy, socket, target, source| {
        let prefix = target.trim_end_matches('1');
        for (host, routes) in [
            (1, routes),
            (2, routes),
            (3, routes),
            (1, groups),
            (2, groups),
        ] {
            let trace = format!("\"$0\" -n -q1 {source} --socket {socket} {prefix}{host}");
            let Some(said) = on_chain(&format!("{policy}; {routes}; {trace}")) else {
                return;
            };
            let why = format!("No answer from {prefix}{host}: {NOBODY}.\n");
            assert!(
                said.stdout.contains(&why),
                "{policy} {source}: {}",
                said.stdout
            );
        }
    });
}

#[test]
fn a_gateway_that_lives_is_not_blamed_for_a_dead_one_of_the_same_route() {
    if !has("nft", "which gateway was chosen") {
        return;
    }
    on_each_choice(|policy, socket, target, source| {
        let (ip, net, alive, dead) = match target.contains(':') {
            true => ("ip6", "2001:db8::/32", "2001:db8:1::1", "2001:db8:1::77"),
            false => ("ip", "10.0.0.0/8", "10.1.0.1", "10.1.0.77"),
        };
        let prefix = target.trim_end_matches('1');
        // Nobody is heard, so that only the neighbour tells.
        let script = format!(
            "{policy}; nft add table inet f; nft add chain inet f i '{{ type filter hook input priority 0; }}'
            nft add rule inet f i icmp type '{{ time-exceeded, echo-reply, destination-unreachable }}' drop
            nft add rule inet f i icmpv6 type '{{ time-exceeded, echo-reply, destination-unreachable }}' drop
            nft add chain inet f o '{{ type filter hook output priority 0; }}'
            ip route del {net}; ip route add {net} nexthop via {alive} dev ahead nexthop via {dead} dev ahead
            \"$0\" -n -q1 {dead} >/dev/null
            for host in 1 2 3 4 5; do
                nft flush chain inet f o
                for via in {alive} {dead}; do nft add rule inet f o {ip} daddr {net} rt {ip} nexthop $via counter; done
                said=$(\"$0\" -n -q1 {source} --socket {socket} {prefix}$host | tail -n1)
                echo $(nft list chain inet f o | sed -n 's/.*packets \\([0-9]*\\).*/\\1/p') $said
            done"
        );
        let Some(said) = on_chain(&script) else {
            return;
        };
        let lines: Vec<&str> = said.stdout.lines().collect();
        assert_eq!(lines.len(), 5, "{} {}", said.stdout, said.stderr);
        for line in &lines {
            let mut counts = line
                .split(' ')
                .map(|count| count.parse::<u32>().unwrap_or(0));
            let (to_alive, to_dead) = (counts.next().unwrap(), counts.next().unwrap());
            assert!(to_alive + to_dead > 0, "{lines:?}");
            if to_dead == 0 {
                assert!(
                    !line.contains(NOBODY),
                    "{policy} {source} {socket}: {lines:?}"
                );
            }
            // By IPv6 the kernel turns to the other gateway, and by ports it can't be asked.
            if to_alive == 0 && ip == "ip" && policy.ends_with("=0") {
                assert!(
                    line.contains(NOBODY),
                    "{policy} {source} {socket}: {lines:?}"
                );
            }
        }
    });
}

#[test]
fn a_dead_gateway_is_found_by_what_the_rules_of_routing_go_by() {
    let table = "ip route add 10.0.0.0/8 via 10.1.0.77 table 200;
        ip route add 2001:db8::/32 via 2001:db8:1::77 dev ahead table 200";
    let check = |rule: &str, options: &str| {
        on_each_socket(|socket, target, _| {
            let (family, own) = if target.contains(':') {
                ("-6", "2001:db8:1::fe")
            } else {
                ("-4", "10.1.0.254")
            };
            let (rule, options) = (rule.replace("{}", own), options.replace("{}", own));
            for search in ["", "--paths", "--mtu"] {
                let trace = format!("\"$0\" -n -q1 {search} {options} --socket {socket} {target}");
                let Some(said) = on_chain(&format!(
                    "ip {family} rule add {rule} lookup 200; {table}; {trace}"
                )) else {
                    return;
                };
                let why = format!("No answer from {target}: {NOBODY}.\n");
                assert!(
                    said.status == 1 && said.stdout.contains(&why),
                    "{rule} {search}: {}",
                    said.stdout
                );
            }
        });
    };
    std::thread::scope(|scope| {
        for (rule, options) in [
            ("tos 0x10", "-t 16"),
            ("uidrange 0-0", ""),
            ("uidrange 0-0", "--no-sandbox"),
            ("fwmark 7", "--mark 7"),
            ("from {}", "-s {}"),
        ] {
            let check = &check;
            scope.spawn(move || check(rule, options));
        }
    });
}

#[test]
fn all_dead_hosts_of_a_list_look_the_same() {
    on_each_socket(|socket, target, dead| {
        let prefix = dead.trim_end_matches(|digit: char| digit.is_ascii_digit());
        let hosts: Vec<String> = (70..90).map(|host| format!("{prefix}{host}")).collect();
        let script = format!(
            "\"$0\" -n --json -q1 --socket {socket} {} {target}",
            hosts.join(" ")
        );
        let Some(said) = on_chain(&script) else {
            return;
        };
        let documents: Vec<Value> = said
            .stdout
            .lines()
            .map(|line| serde_json::from_str(line).unwrap())
            .collect();
        assert_eq!(documents.len(), hosts.len() + 1);
        for document in documents {
            if document["target"]["name"] == *target {
                assert_eq!(document["reached"], true, "{document}");
                continue;
            }
            assert_eq!(
                (&document["stop_reason"], &document["failure"]),
                (&"local".into(), &NOBODY.into()),
                "{document}"
            );
            let hops = document["hops"].as_array().unwrap();
            assert!(hops.iter().all(|hop| {
                hop["probes"]
                    .as_array()
                    .unwrap()
                    .iter()
                    .all(|probe| probe["error"] == NOBODY)
            }));
        }
    });
}

#[test]
fn so_they_do_where_the_kernel_has_forgotten_them_or_says_nothing_of_some() {
    if !has("nft", "a kernel that says nothing") {
        return;
    }
    on_each_socket(|socket, _, dead| {
        let prefix = dead.trim_end_matches(|digit: char| digit.is_ascii_digit());
        let hosts: Vec<String> = (70..80).map(|host| format!("{prefix}{host}")).collect();
        let spared = &hosts[4];
        let icmp = if dead.contains(':') { "icmpv6" } else { "icmp" };
        let script = format!(
            "nft add table inet f; nft add chain inet f i '{{ type filter hook input priority 0; }}'
            nft add rule inet f i {icmp} type destination-unreachable drop
            (sleep 3.6; for i in 1 2 3 4 5 6 7 8 9; do
                ip neigh flush to {spared} nud failed; ip neigh flush to {spared} nud incomplete; sleep 0.2
            done) >/dev/null 2>&1 &
            \"$0\" -n --json -q1 -w 5 --socket {socket} {}",
            hosts.join(" ")
        );
        let Some(said) = on_chain(&script) else {
            return;
        };
        let documents: Vec<Value> = said
            .stdout
            .lines()
            .map(|line| serde_json::from_str(line).unwrap())
            .collect();
        assert_eq!(documents.len(), hosts.len(), "{}", said.stderr);
        for document in documents {
            assert_eq!(
                (&document["stop_reason"], &document["failure"]),
                (&"local".into(), &NOBODY.into()),
                "{document}"
            );
        }
    });
}

#[test]
fn an_outage_of_a_watch_is_told_with_its_beginning_its_end_and_its_reason_and_is_no_loss() {
    let (cut, mend) = (
        "ip route del 10.0.0.0/8; ip route del 2001:db8::/32",
        "ip route add 10.0.0.0/8 via 10.1.0.1; ip route add 2001:db8::/32 via 2001:db8:1::1 dev ahead",
    );
    on_each_socket(|socket, target, _| {
        for (is_json, options) in [(true, "--json"), (false, "")] {
            let watch = format!(
                "\"$0\" -n --watch --count 20 --every 0.2 {options} --socket {socket} {target}"
            );
            let script = format!("(sleep 1.1; {cut}; sleep 1.2; {mend}) & {watch}");
            let Some(said) = on_chain(&script) else {
                return;
            };
            assert_eq!(said.status, 0, "{} {}", said.stdout, said.stderr);
            if !is_json {
                assert!(
                    said.stdout
                        .contains(": nothing left this machine (Network is unreachable), from "),
                    "{}",
                    said.stdout
                );
                assert!(said.stdout.contains(
                    " of 20 rounds nothing left this machine: they don't count as loss\n"
                ));
                continue;
            }
            let report = said.json();
            let outage = report["changes"]
                .as_array()
                .unwrap()
                .iter()
                .find(|change| change["event"] == "outage")
                .unwrap();
            let number = |name: &str| outage[name].as_u64().unwrap();
            assert_eq!(outage["reason"], "Network is unreachable", "{report}");
            assert_eq!(
                number("last_round") + 1 - number("round"),
                number("rounds"),
                "{report}"
            );
            assert!(
                outage["began"].as_str().unwrap() < outage["ended"].as_str().unwrap(),
                "{report}"
            );
            assert_eq!(report["rounds_away"], outage["rounds"], "{report}");
            let hop = &report["hops"][0];
            assert_eq!(
                (
                    hop["sent"].as_u64().unwrap() + number("rounds"),
                    &hop["lost"]
                ),
                (20, &0.into()),
                "{report}"
            );
        }
    });
}

#[test]
fn the_reason_of_an_outage_is_that_of_most_of_its_rounds_not_of_the_last() {
    let [none, forbidden, mended] = [
        "ip route del 10.0.0.0/8; ip route del 2001:db8::/32",
        "ip route replace prohibit 10.0.0.0/8; ip route replace prohibit 2001:db8::/32",
        "ip route replace 10.0.0.0/8 via 10.1.0.1; ip route del 2001:db8::/32;
        ip route add 2001:db8::/32 via 2001:db8:1::1 dev ahead",
    ];
    on_each_socket(|socket, target, _| {
        for (long, short, expected) in [
            (1.8, 0.4, "Network is unreachable"),
            (0.4, 1.8, "a 'prohibit' route forbids it"),
        ] {
            let script = format!(
                "(sleep 0.7; {none}; sleep {long}; {forbidden}; sleep {short}; {mended}) &
                \"$0\" -n --watch --count 20 --every 0.2 --json --socket {socket} {target}"
            );
            let Some(said) = on_chain(&script) else {
                return;
            };
            let report = said.json();
            let changes = report["changes"].as_array().unwrap();
            let outages: Vec<_> = changes
                .iter()
                .filter(|change| change["event"] == "outage")
                .collect();
            assert_eq!(
                (said.status, outages.len()),
                (0, 1),
                "{socket} {target} {report}"
            );
            assert_eq!(outages[0]["reason"], expected, "{socket} {target} {report}");
        }
    });
}

#[test]
fn an_outage_of_a_watch_is_told_also_if_it_is_shorter_than_an_answer_is_waited_for() {
    if !has("nft", "a firewall of this machine") {
        return;
    }
    for rule in ["drop", "reject"] {
        let firewall = firewall(rule);
        on_each_socket(|socket, target, _| {
            if (socket, target.contains(':')) == ("ping", true) {
                // The kernel doesn't tell.
                return;
            }
            let script = format!(
                "nft add table inet f; (sleep 1; {firewall}; sleep 1; nft flush chain inet f o) &
                \"$0\" -n --watch --count 15 --every 0.2 -w 20 --json --socket {socket} {target}"
            );
            let Some(said) = on_chain(&script) else {
                return;
            };
            assert_eq!(said.status, 0, "{} {}", said.stdout, said.stderr);
            let report = said.json();
            let outages: Vec<&Value> = report["changes"]
                .as_array()
                .unwrap()
                .iter()
                .filter(|change| change["event"] == "outage")
                .collect();
            assert_eq!(outages.len(), 1, "{rule} {socket}: {report}");
            assert!(
                !outages[0]["reason"].as_str().unwrap().is_empty()
                    && outages[0]["ended"].is_string()
            );
            let away = report["rounds_away"].as_u64().unwrap();
            assert!(away >= 1, "{rule} {socket}: {report}");
            // A round ends with the outage at the latest, not when its answers would have come in:
            // 20 s later.
            assert!(
                report["duration_ms"].as_f64().unwrap() < 10_000.0,
                "{report}"
            );
        });
    }
}

#[test]
fn a_watch_that_is_started_without_a_network_waits_for_it_and_a_trace_does_not() {
    let (cut, mend) = (
        "ip route del 10.0.0.0/8; ip route del 2001:db8::/32",
        "ip route add 10.0.0.0/8 via 10.1.0.1; ip route add 2001:db8::/32 via 2001:db8:1::1 dev ahead",
    );
    on_each_socket(|socket, target, _| {
        let watch =
            format!("\"$0\" -n --watch --count 15 --every 0.2 --json --socket {socket} {target}");
        let Some(said) = on_chain(&format!("{cut}; (sleep 0.9; {mend}) & {watch}")) else {
            return;
        };
        assert_eq!(said.status, 0, "{} {}", said.stdout, said.stderr);
        assert!(
            said.stderr
                .starts_with(&format!("hopshot: no route to {target}: ")),
            "{}",
            said.stderr
        );
        assert!(
            said.stderr.ends_with("; waiting for the network\n")
                && said.stderr.lines().count() == 1,
            "{}",
            said.stderr
        );
        let report = said.json();
        let outage = &report["changes"][0];
        assert_eq!(
            (&outage["event"], &outage["round"]),
            (&"outage".into(), &1.into()),
            "{report}"
        );
        assert!(
            outage["ended"].is_string() && report["reached"] == true,
            "{report}"
        );
        let Some(said) = on_chain(&format!("{cut}; \"$0\" -n --socket {socket} {target}")) else {
            return;
        };
        assert_eq!(
            (said.status, said.stdout.as_str()),
            (2, ""),
            "{}",
            said.stderr
        );
    });
}
