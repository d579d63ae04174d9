//! Refusals by a firewall of this machine: they are summed up, and no router is blamed for them.

use crate::needs::needs;
use crate::world::chain::{NOBODY, on_chain, on_each_choice, on_each_socket};
use crate::world::{HOPSHOT, command_in_scenario};
use serde_json::Value;

/// A firewall for what leaves this machine.
fn firewall(rule: &str) -> String {
    let echo = ["icmp type echo-request", "icmpv6 type echo-request"]
        .map(|what| format!("nft add rule inet f o {what} {rule}"));
    format!(
        "nft add table inet f; nft add chain inet f o '{{ type filter hook output priority 0; }}'; {}",
        echo.join("; ")
    )
}

#[test]
fn a_firewall_that_lets_nothing_out_is_told_once_and_nobody_else_is_blamed() {
    needs("nft");
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
    needs("nft");
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
    needs("nft");
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
    needs("nft");
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
    needs("nft");
    let reject = firewall("reject");
    on_each_socket(|socket, target, dead| {
        for (setup, target) in [(reject.as_str(), target), ("true", dead)] {
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
    needs("nft");
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
fn a_gateway_that_lives_is_not_blamed_for_a_dead_one_of_the_same_route() {
    needs("nft");
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
fn so_they_do_where_the_kernel_has_forgotten_them_or_says_nothing_of_some() {
    needs("nft");
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
fn an_outage_of_a_watch_is_told_also_if_it_is_shorter_than_an_answer_is_waited_for() {
    needs("nft");
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
