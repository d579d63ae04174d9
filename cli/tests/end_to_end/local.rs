//! What this machine itself says: a firewall, a lack of routes, a neighbour that doesn't answer. It is summed up, and no router is
//! blamed for it.

use crate::world::{HOPSHOT, Said, command_on_chain, has};
use serde_json::Value;

/// Each socket in each family: the kind of socket, the target of the chain, and an address on the first link where nobody is.
const SOCKETS: [(&str, &str, &str); 4] = [
    ("raw", "10.4.0.1", "10.1.0.99"),
    ("ping", "10.4.0.1", "10.1.0.98"),
    ("raw", "2001:db8:4::1", "2001:db8:1::99"),
    ("ping", "2001:db8:4::1", "2001:db8:1::98"),
];

/// The kernel's verdict on a neighbour that doesn't answer.
const NOBODY: &str = "host unreachable, says this machine itself: the next hop doesn't answer on its link";

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
        SOCKETS.iter().for_each(|(socket, target, dead)| _ = scope.spawn(|| check(socket, target, dead)));
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
            let Some(said) = on_chain(&format!("{firewall}; \"$0\" -n --socket {socket} {target}")) else { return };
            let lines: Vec<&str> = said.stdout.lines().collect();
            assert_eq!((said.status, lines.len()), (1, 3), "{lines:?}");
            let (mark, reason) = lines[1].strip_prefix(" 1-32  ").and_then(|line| line.split_once(' ')).unwrap();
            assert!(mark.starts_with('!') && !reason.is_empty(), "{lines:?}");
            assert!(lines[2].ends_with(&format!(" {target}: {reason}.")), "{lines:?}");
            let script = format!("{firewall}; \"$0\" -n --json --socket {socket} {target}");
            let Some(said) = on_chain(&script) else { return };
            let document = said.json();
            assert_eq!(
                (&document["stop_reason"], &document["failure"]),
                (&"local".into(), &reason.into()),
                "{document}"
            );
            for search in ["--paths", "--mtu"] {
                let script = format!("{firewall}; \"$0\" -n {search} --socket {socket} {target}");
                let Some(said) = on_chain(&script) else { return };
                assert_eq!(said.status, 1);
                assert!(said.stdout.contains(&format!(" {target}: {reason}.\n")), "{search}: {}", said.stdout);
                assert!(!said.stdout.contains("routers did not answer"), "{search}: {}", said.stdout);
            }
        });
    }
}

#[test]
fn each_mark_of_a_probe_that_failed_here_has_its_reason_and_no_router_is_limited() {
    if !has("nft", "a firewall of this machine") {
        return;
    }
    // A ping socket tries again at once, so several in a row are dropped; and the first ones, since later ones are sent again.
    let firewall = firewall("numgen inc mod 40 '<' 4 drop");
    on_each_socket(|socket, target, _| {
        if (socket, target.contains(':')) == ("ping", true) {
            // The kernel doesn't tell.
            return;
        }
        let Some(said) = on_chain(&format!("{firewall}; \"$0\" -n --socket {socket} {target}")) else { return };
        assert_eq!(said.status, 0, "{}", said.stdout);
        assert!(said.stdout.contains(" ! "), "{}", said.stdout);
        let legend = said.stdout.lines().filter(|line| *line == "! Operation not permitted").count();
        assert!(legend == 1 && !said.stdout.contains("rate limited"), "{}", said.stdout);
    });
}

#[test]
fn where_the_next_hop_does_not_answer_on_its_link_the_kernels_verdict_is_waited_for_and_told() {
    on_each_socket(|socket, _, dead| {
        let Some(said) = on_chain(&format!("\"$0\" -n -q1 --socket {socket} {dead}")) else { return };
        let lines: Vec<&str> = said.stdout.lines().skip(1).collect();
        assert_eq!(lines, [format!(" 1-32  !H {NOBODY}"), format!("No answer from {dead}: {NOBODY}.")]);
        // Nobody is waited for any longer than was asked for.
        let Some(said) = on_chain(&format!("\"$0\" -n --json -w 1 --socket {socket} {dead}")) else { return };
        let document = said.json();
        assert_eq!((&document["stop_reason"], &document["failure"]), (&"timeout".into(), &Value::Null), "{document}");
    });
}

/// The counts of a document agree: nothing left this machine, and what it said of its own probes is no stranger's.
fn assert_nothing_left(document: &Value) {
    let sent: u64 = document["hops"].as_array().unwrap().iter().map(|hop| hop["sent"].as_u64().unwrap()).sum();
    let rejected = &document["rejected"]["not_ours"];
    assert_eq!((&document["probes_sent"], sent, rejected), (&0.into(), 0, &0.into()), "{document}");
}

#[test]
fn what_this_machine_says_of_its_own_probes_is_not_counted_as_a_strangers_and_none_of_them_was_sent() {
    let reject = has("nft", "a firewall of this machine").then(|| firewall("reject"));
    on_each_socket(|socket, target, dead| {
        for (setup, target) in reject.iter().map(|firewall| (firewall.as_str(), target)).chain([("true", dead)]) {
            let Some(said) = on_chain(&format!("{setup}; \"$0\" -n -q1 --json --socket {socket} {target}")) else {
                return;
            };
            assert_nothing_left(&said.json());
        }
        let Some(said) = on_chain(&format!("\"$0\" -n -q1 -v --socket {socket} {dead}")) else { return };
        assert_eq!(said.stderr.lines().last(), Some("hopshot: rejected: nothing"));
        assert!(said.stdout.lines().last().unwrap().starts_with("0 probes, "), "{}", said.stdout);
    });
}

#[test]
fn a_dead_gateway_looks_as_a_dead_host_and_so_does_one_that_is_sought_by_paths_and_sizes() {
    let routes =
        "ip route replace 10.0.0.0/8 via 10.1.0.77; ip route replace 2001:db8::/32 via 2001:db8:1::77 dev ahead";
    on_each_socket(|socket, target, _| {
        for search in ["", "--paths", "--mtu"] {
            let Some(said) = on_chain(&format!("{routes}; \"$0\" -n {search} --socket {socket} {target}")) else {
                return;
            };
            let why = format!("No answer from {target}: {NOBODY}.\n");
            assert!(said.status == 1 && said.stdout.contains(&why), "{search}: {}", said.stdout);
            // What the first link carries is known, and what each must (RFC 791, RFC 8200).
            let least = if target.contains(':') { 1280 } else { 68 };
            let bounds = format!("path MTU unknown: at least {least}, at most 1500\n");
            assert!(search != "--mtu" || said.stdout.ends_with(&bounds), "{}", said.stdout);
        }
    });
}

#[test]
fn all_dead_hosts_of_a_list_look_the_same() {
    on_each_socket(|socket, target, dead| {
        let prefix = dead.trim_end_matches(|digit: char| digit.is_ascii_digit());
        let hosts: Vec<String> = (70..90).map(|host| format!("{prefix}{host}")).collect();
        let script = format!("\"$0\" -n --json -q1 --socket {socket} {} {target}", hosts.join(" "));
        let Some(said) = on_chain(&script) else { return };
        let documents: Vec<Value> = said.stdout.lines().map(|line| serde_json::from_str(line).unwrap()).collect();
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
            assert!(
                hops.iter().all(|hop| hop["probes"].as_array().unwrap().iter().all(|probe| probe["error"] == NOBODY))
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
            let watch = format!("\"$0\" -n --watch --count 20 --every 0.2 {options} --socket {socket} {target}");
            let script = format!("(sleep 1.1; {cut}; sleep 1.2; {mend}) & {watch}");
            let Some(said) = on_chain(&script) else { return };
            assert_eq!(said.status, 0, "{} {}", said.stdout, said.stderr);
            if !is_json {
                assert!(
                    said.stdout.contains(": nothing left this machine (Network is unreachable), from "),
                    "{}",
                    said.stdout
                );
                assert!(said.stdout.contains(" of 20 rounds nothing left this machine: "), "{}", said.stdout);
                continue;
            }
            let report = said.json();
            let outage =
                report["changes"].as_array().unwrap().iter().find(|change| change["event"] == "outage").unwrap();
            let number = |name: &str| outage[name].as_u64().unwrap();
            assert_eq!(outage["reason"], "Network is unreachable", "{report}");
            assert_eq!(number("last_round") + 1 - number("round"), number("rounds"), "{report}");
            assert!(outage["began"].as_str().unwrap() < outage["ended"].as_str().unwrap(), "{report}");
            assert_eq!(report["rounds_away"], outage["rounds"], "{report}");
            let hop = &report["hops"][0];
            assert_eq!((hop["sent"].as_u64().unwrap() + number("rounds"), &hop["lost"]), (20, &0.into()), "{report}");
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
        let watch = format!("\"$0\" -n --watch --count 15 --every 0.2 --json --socket {socket} {target}");
        let Some(said) = on_chain(&format!("{cut}; (sleep 0.9; {mend}) & {watch}")) else { return };
        assert_eq!(said.status, 0, "{} {}", said.stdout, said.stderr);
        assert!(said.stderr.starts_with(&format!("hopshot: no route to {target}: ")), "{}", said.stderr);
        assert!(
            said.stderr.ends_with("; waiting for the network\n") && said.stderr.lines().count() == 1,
            "{}",
            said.stderr
        );
        let report = said.json();
        let outage = &report["changes"][0];
        assert_eq!((&outage["event"], &outage["round"]), (&"outage".into(), &1.into()), "{report}");
        assert!(outage["ended"].is_string() && report["reached"] == true, "{report}");
        let Some(said) = on_chain(&format!("{cut}; \"$0\" -n --socket {socket} {target}")) else { return };
        assert_eq!((said.status, said.stdout.as_str()), (2, ""), "{}", said.stderr);
    });
}
