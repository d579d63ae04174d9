//! What this machine itself says: a firewall, a lack of routes, a neighbour that doesn't answer. It
//! is summed up, and no router is blamed for it.

use crate::world::chain::{NOBODY, on_chain, on_each_choice, on_each_socket};
use serde_json::Value;

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
