//! TCP and UDP, to real kernels: whether a port is open, and by which path.

use crate::world::{FAMILIES, HOPSHOT, Said, command_on_chain, hopshot, in_lab};
use serde_json::Value;

/// The targets at the end of a chain of three routers.
const TARGETS: [&str; 2] = ["10.4.0.1", "2001:db8:4::1"];

/// A port that the target serves, by TCP and by UDP, and one that it doesn't.
const OPEN: &str = "4430";
const CLOSED: &str = "4431";

/// Runs hopshot where the target serves a port.
fn on_chain(args: &[&str]) -> Option<Said> {
    command_on_chain(3, &["--serve", OPEN], &[&[HOPSHOT], args].concat())
}

/// The last hop of a document, and what the target said there.
fn answers(document: &Value) -> Vec<&str> {
    let hops = document["hops"].as_array().unwrap();
    let probes = hops.last().unwrap()["probes"].as_array().unwrap();
    let answers = probes.iter().filter_map(|probe| probe["answer"].as_str());
    answers.collect()
}

#[test]
fn a_port_is_open_or_closed_at_the_end_of_the_true_path() {
    for target in TARGETS {
        for (protocol, port, state, answer) in [
            ("--tcp", OPEN, "open", "syn_ack"),
            ("--tcp", CLOSED, "closed", "rst"),
            ("--udp", OPEN, "open", "datagram"),
            ("--udp", CLOSED, "closed", "port_unreachable"),
        ] {
            let args = ["-n", protocol, "-p", port, target];
            let Some(said) = on_chain(&args) else { return };
            assert_eq!(said.status, 0, "{}", said.stderr);
            let lines: Vec<&str> = said.stdout.lines().collect();
            let name = protocol.trim_start_matches('-').to_uppercase();
            assert!(
                lines[0].contains(&format!("{name} port {port}")),
                "{}",
                lines[0]
            );
            assert_eq!(lines.len(), 5, "{lines:?}");
            assert!(lines[4].ends_with(&format!("  [{state}]")), "{}", lines[4]);
            assert!(
                lines[1..4].iter().all(|line| !line.contains('[')),
                "{lines:?}"
            );
            let Some(said) = on_chain(&[&["--json"][..], &args].concat()) else {
                return;
            };
            let document = said.json();
            assert_eq!(document["stop_reason"], "reached");
            assert_eq!(
                (&document["distance"], &document["socket"]),
                (&4.into(), &"raw".into())
            );
            assert_eq!(document["protocol"], name.to_lowercase());
            assert_eq!(document["port"].to_string(), port);
            assert_eq!(document["source_port"], document["flow"]);
            assert_eq!(answers(&document), [answer; 3]);
            // Each answer is its own probe's: evidence is strong, and nothing was sent in vain.
            let hops = document["hops"].as_array().unwrap();
            let probes = hops
                .iter()
                .flat_map(|hop| hop["probes"].as_array().unwrap());
            for probe in probes {
                assert_eq!(
                    (&probe["evidence"], &probe["changed"]),
                    (&"strong".into(), &Value::Array(vec![]))
                );
            }
            // Datagrams go farther at once; of the SYNs one may have gone to learn the distance, and
            // two Echo Requests go to check that it is the target that answers.
            let most = 2 + if protocol == "--tcp" { 13 } else { 26 };
            assert!(document["probes_sent"].as_u64() <= Some(most), "{document}");
            assert_eq!(document["forged"], 0);
        }
    }
}

#[test]
fn a_flow_can_be_repeated() {
    for target in TARGETS {
        for protocol in ["-T", "-U"] {
            let args = [
                "-n",
                "-q1",
                "--json",
                protocol,
                "-p",
                OPEN,
                "--source-port",
                "50123",
                target,
            ];
            let Some(said) = on_chain(&args) else { return };
            assert_eq!(said.json()["source_port"], 50_123);
        }
    }
}

#[test]
fn every_format_says_what_was_probed_and_what_the_target_said() {
    let target = TARGETS[0];
    let on_chain = |args: &[&str]| on_chain(&[&["-n", "-q1", "-T", "-p", OPEN], args].concat());
    let Some(said) = on_chain(&["--format", "csv", target]) else {
        return;
    };
    let last = said.stdout.lines().last().unwrap();
    assert!(
        last.contains(",tcp,4430,") && last.ends_with(",syn_ack,0"),
        "{last}"
    );
    let said = on_chain(&["--format", "atlas", target]).unwrap();
    let document = said.json();
    assert_eq!(document["proto"], "TCP");
    assert_eq!(
        document["result"][3]["result"][0]["flags"], "SA",
        "{document}"
    );
    let said = on_chain(&["--format", "markdown", target]).unwrap();
    assert!(
        said.stdout.contains(r"TCP port 4430 \[open\], source port"),
        "{}",
        said.stdout
    );
    let said = on_chain(&["--format", "svg", target]).unwrap();
    assert!(
        said.stdout.contains("TCP port 4430 [open]"),
        "{}",
        said.stdout
    );
    let said = on_chain(&["--format", "json-stream", target]).unwrap();
    let begin: Value = serde_json::from_str(said.stdout.lines().next().unwrap()).unwrap();
    assert_eq!(
        (&begin["settings"]["protocol"], &begin["settings"]["port"]),
        (&"tcp".into(), &4430.into())
    );
    let said = on_chain(&[
        "--watch", "--count", "2", "--every", "0.2", "--json", target,
    ])
    .unwrap();
    let document = said.json();
    assert_eq!(
        (&document["protocol"], &document["port"]),
        (&"tcp".into(), &4430.into())
    );
    assert_eq!(
        (&document["rounds"], &document["distance"]),
        (&2.into(), &4.into())
    );
    let said = on_chain(&["--paths", "--json", target]).unwrap();
    let document = said.json();
    assert_eq!(
        (&document["protocol"], &document["reached"]),
        (&"tcp".into(), &true.into())
    );
    assert_eq!(document["paths"], 1, "{document}");
}

#[test]
fn a_watch_says_the_state_of_the_port() {
    for target in TARGETS {
        for (protocol, port, state) in [
            ("--tcp", OPEN, "open"),
            ("--tcp", CLOSED, "closed"),
            ("--udp", OPEN, "open"),
            ("--udp", CLOSED, "closed"),
        ] {
            let watch = ["-n", "--watch", "--count", "2", "--every", "0.2"];
            let args = [&watch[..], &[protocol, "-p", port, target]].concat();
            let Some(said) = on_chain(&args) else { return };
            let lines: Vec<&str> = said.stdout.lines().collect();
            let (last, before) = lines.split_last().unwrap();
            assert!(last.ends_with(&format!("  [{state}]")), "{}", said.stdout);
            assert!(!before.concat().contains('['), "{}", said.stdout);
            let report = on_chain(&[&["--json"][..], &args].concat()).unwrap().json();
            assert_eq!(report["port_state"], state, "{report}");
            assert_eq!(report["changes"], Value::Array(vec![]), "{report}");
        }
        let args = ["-n", "--watch", "--count", "1", "--json", target];
        let report = on_chain(&args).unwrap().json();
        assert!(report.get("port_state").is_none(), "{report}");
    }
}

#[test]
fn where_the_target_has_no_line_a_watch_says_the_state_above() {
    for (scenario, above, end) in [
        (
            "tcp-rejected",
            "TCP port 443 [filtered], source port",
            "hop 12 forbids the probes: filtered",
        ),
        (
            "first-syn",
            "TCP port 443 [open], source port",
            "its distance is unknown",
        ),
        (
            "tcp-filtered",
            "TCP port 443, source port",
            "the target did not answer in the last round",
        ),
    ] {
        let rounds = ["--count", "3", "--every", "0.2"];
        let args = [&["-n", "-T", "--watch"][..], &rounds, &["{4}"]].concat();
        let Some(said) = in_lab(&["run", scenario, "--", HOPSHOT], &args) else {
            return;
        };
        let lines: Vec<&str> = said.stdout.lines().collect();
        assert!(lines[1].contains(above), "{scenario}: {}", said.stdout);
        assert!(
            lines.last().unwrap().ends_with(end),
            "{scenario}: {}",
            said.stdout
        );
    }
}

#[test]
fn silence_is_blamed_on_what_it_may_come_from() {
    for (args, why) in [
        // Nobody answers there: no longer wait would help.
        (
            &["-T", "-i", "lo", "192.0.2.1"][..],
            "no hop answered at all; check the interface (-i), the gateway and the firewalls.",
        ),
        (
            &["-U", "-i", "lo", "192.0.2.1"],
            "no hop answered at all; check the interface (-i), the gateway and the firewalls.",
        ),
        (
            &["-T", "10.4.0.77"],
            "nothing more came: filtered, or down.",
        ),
        (
            &["-U", "10.4.0.77"],
            "nothing more came: filtered, down, or an open port that says nothing.",
        ),
    ] {
        let Some(said) = on_chain(&[&["-n", "-q1", "-m6"][..], args].concat()) else {
            return;
        };
        assert_eq!(said.status, 1, "{}", said.stderr);
        assert!(said.stdout.trim_end().ends_with(why), "{}", said.stdout);
    }
}

#[test]
fn where_no_route_leads_the_remedy_asks_for_that_of_the_probes() {
    for (protocol, asked) in [
        (&["-T"][..], "ipproto tcp dport 443)"),
        (&["-U", "-p", "53"], "ipproto udp dport 53)"),
    ] {
        let Some(said) = on_chain(&[protocol, &["192.0.2.1"]].concat()) else {
            return;
        };
        assert_eq!(said.status, 2);
        assert!(said.stderr.trim_end().ends_with(asked), "{}", said.stderr);
    }
}

#[test]
fn the_hosts_of_a_list_are_told_apart() {
    for protocol in ["-T", "-U"] {
        let hosts = [
            TARGETS[0],
            TARGETS[1],
            "10.3.0.1",
            "10.2.0.1",
            "2001:db8:2::1",
        ];
        let args = ["-n", "-q1", "--json", protocol, "-p", CLOSED];
        let Some(said) = on_chain(&[&args[..], &hosts].concat()) else {
            return;
        };
        assert_eq!(said.status, 0, "{}", said.stderr);
        let documents = said.stdout.lines();
        let documents = documents.map(|line| serde_json::from_str::<Value>(line).unwrap());
        let mut distances: Vec<_> = documents
            .map(|document| {
                assert_eq!(document["stop_reason"], "reached", "{document}");
                assert!(document["source_port"].as_u64() >= Some(1024), "{document}");
                document["distance"].as_u64().unwrap()
            })
            .collect();
        distances.sort_unstable();
        assert_eq!(distances, [2, 2, 3, 4, 4]);
    }
}

#[test]
fn the_path_mtu_is_found_by_datagrams_too() {
    for target in TARGETS {
        let options = ["--mtu", "3=1400", "--serve", OPEN];
        let command = [HOPSHOT, "-n", "--mtu", "--json", "-U", "-p", OPEN, target];
        let Some(said) = command_on_chain(3, &options, &command) else {
            return;
        };
        let document = said.json();
        assert_eq!(document["path_mtu"], 1400, "{document}");
        assert_eq!(document["mtu_limits"][0]["hop"], 3);
    }
}

#[test]
fn what_does_not_go_together_is_refused_with_the_reason() {
    for (args, why) in [
        (
            &["-p", "80"][..],
            "--port requires --tcp or --udp: ICMP has no ports",
        ),
        (
            &["--source-port", "80"],
            "--source-port requires --tcp or --udp",
        ),
        (&["--quic"], "--quic requires --udp"),
        (&["-U", "--full-syn"], "--full-syn requires --tcp"),
        (&["--no-checks"], "--no-checks requires --tcp or --udp"),
        (&["--one-flow"], "--one-flow requires --tcp or --udp"),
        (
            &["-T", "--socket", "ping"],
            "--socket ping, which sends ICMP only",
        ),
        (&["-T", "--mtu"], "the size of a SYN is fixed"),
        (&["-T", "--size", "100"], "the size of a SYN is fixed"),
        (
            &["-U", "--flow", "7"],
            "which only ICMP has; --source-port tells flows apart",
        ),
        (
            &["-U", "--ident", "7"],
            "which only ICMP has; --source-port tells flows apart",
        ),
        (&["-T", "-p", "0"], "0"),
        (
            &["-T", "--source-port", "5", "127.0.0.2"],
            "--source-port is for one host: give one",
        ),
    ] {
        let said = hopshot(&[args, &["127.0.0.1"]].concat());
        assert_eq!(said.status, 2, "{args:?}");
        assert!(said.stderr.contains(why), "{args:?}: {}", said.stderr);
    }
}

#[test]
fn the_last_protocol_counts_and_icmp_is_one() {
    let args = ["-n", "-q1", "--json", "-T", "-U", "-I", TARGETS[0]];
    let Some(said) = on_chain(&args) else { return };
    let document = said.json();
    assert_eq!(
        (&document["protocol"], &document["port"]),
        (&"icmp".into(), &Value::Null)
    );
    assert_eq!(answers(&document), ["echo_reply"]);
}

/// A trace by TCP in a scenario: the document, and how many SYNs went past the target.
fn in_scenario(scenario: &str, args: &[&str]) -> Option<(Value, usize)> {
    let number = std::process::id();
    let log = std::env::temp_dir().join(format!("hopshot-{number}-{scenario}-{}", args.join("")));
    let path = log.to_str().unwrap();
    let options = [
        "run", "--log", path, scenario, "--", HOPSHOT, "-n", "--json", "-T",
    ];
    let said = in_lab(&options, args)?;
    let events = std::fs::read_to_string(&log).unwrap();
    std::fs::remove_file(&log).unwrap();
    let events = events
        .lines()
        .map(|line| serde_json::from_str::<Value>(line).unwrap());
    let past = events.filter(|event| event["tcp"]["flags"] == 2 && event["past_target"] == true);
    let past = past.count();
    Some((said.json(), past))
}

#[test]
fn in_no_scenario_is_a_port_or_a_distance_wrong_and_few_syns_go_past_the_end() {
    for (_, target) in FAMILIES {
        for (scenario, distance) in [
            ("short", Some(5)),
            ("wan", Some(12)),
            ("long", Some(25)),
            ("leap", Some(14)),
            ("silent", Some(12)),
            ("dup", Some(12)),
            ("slowhop", Some(12)),
            ("ecmp", Some(12)),
            ("no-icmp", Some(12)),
            ("short-quotes", Some(12)),
            ("seq-nat", Some(12)),
            ("port-nat", Some(12)),
            ("mss-clamp", Some(12)),
            ("mpls", Some(12)),
            // The first SYN of each flow is all that passes.
            ("first-syn", Some(12)),
        ] {
            for (port, answer) in [("443", "syn_ack"), ("81", "rst")] {
                let Some((document, past)) = in_scenario(scenario, &["-q1", "-p", port, target])
                else {
                    return;
                };
                let said = format!("{scenario} {port}: {document}");
                assert_eq!(document["distance"].as_u64(), distance, "{said}");
                assert_eq!(document["reached"], true, "{said}");
                assert!(
                    answers(&document).iter().all(|said| *said == answer),
                    "{said}"
                );
                assert!(
                    past <= 4,
                    "{past} past the end, the one from another port included: {said}"
                );
                assert_eq!(document["one_flow"], scenario != "first-syn", "{said}");
            }
        }
        for (scenario, stop_reason) in [("tcp-filtered", "quiet"), ("tcp-rejected", "filtered")] {
            let (document, past) = in_scenario(scenario, &["-q1", target]).unwrap();
            assert_eq!(document["stop_reason"], stop_reason, "{document}");
            // Two to learn the distance.
            assert!(past <= 4, "{past} past a silent target: {document}");
            assert_eq!(
                (&document["reached"], &document["knock"]),
                (&false.into(), &Value::Null)
            );
        }
    }
}

#[test]
fn no_flow_is_mixed_with_another_where_load_is_balanced_by_ports() {
    // Two diamonds by flow: where they begin and end each flow has one router a hop, whose last
    // digits say which way it went.
    for round in 0..20 {
        let target = FAMILIES[round % 2].1;
        let Some((document, _)) = in_scenario("ecmp", &["-q3", target]) else {
            return;
        };
        for hop in document["hops"].as_array().unwrap() {
            let probes = hop["probes"].as_array().unwrap();
            let mut from: Vec<&str> = probes
                .iter()
                .filter_map(|probe| probe["from"].as_str())
                .collect();
            from.dedup();
            assert_eq!(from.len(), 1, "{hop}");
        }
        let way = |hop: usize| {
            let from = document["hops"][hop - 1]["probes"][0]["from"]
                .as_str()
                .unwrap();
            let number = from
                .split(['.', ':'])
                .nth(if from.contains('.') { 2 } else { 3 })
                .unwrap();
            number.to_owned()
        };
        assert_eq!(way(4), way(5), "{document}");
        assert_eq!((way(8), way(9)), (way(9), way(10)), "{document}");
    }
}

#[test]
fn what_a_middlebox_does_is_told_with_the_hop_that_shows_it() {
    for (_, target) in FAMILIES {
        for (scenario, change, first_hop) in [
            ("mss-clamp", "mss", 5),
            ("seq-nat", "seq", 4),
            ("port-nat", "ident", 9),
        ] {
            let Some((document, _)) = in_scenario(scenario, &["-q1", target]) else {
                return;
            };
            for (hop, number) in document["hops"].as_array().unwrap().iter().zip(1..12) {
                let changed = hop["probes"][0]["changed"].as_array().unwrap();
                let is_told = changed.iter().any(|name| name == change);
                let is_true = number >= first_hop;
                assert_eq!(is_told, is_true, "{scenario}: {hop}");
                let mss = &hop["probes"][0]["mss"];
                let clamped = is_true && change == "mss";
                assert_eq!(*mss, if clamped { 1360.into() } else { Value::Null });
            }
        }
        for (scenario, told) in [
            ("mss-clamp", "MSS clamped to 1360 before hop 5."),
            (
                "seq-nat",
                "Sequence numbers look rewritten before hop 4: nothing proves",
            ),
            (
                "first-syn",
                "Hops 6-12 answered only probes from other source ports",
            ),
        ] {
            let options = ["run", scenario, "--", HOPSHOT, "-n", "-q1", "-T"];
            let said = in_lab(&options, &[target]).unwrap();
            assert!(said.stdout.contains(told), "{scenario}: {}", said.stdout);
        }
    }
}

#[test]
fn behind_a_firewall_each_hop_shows_the_port_that_was_let_through() {
    for (_, target) in FAMILIES {
        let Some((document, _)) = in_scenario("first-syn", &["-q1", target]) else {
            return;
        };
        let mut ports = std::collections::HashSet::new();
        for (hop, number) in document["hops"].as_array().unwrap().iter().zip(1..) {
            let probes = hop["probes"].as_array().unwrap();
            let answered = probes.iter().find(|probe| !probe.is_null()).unwrap();
            let port = answered["source_port"].as_u64();
            assert_eq!(port.is_some(), number > 5, "{hop}");
            assert!(port.is_none_or(|port| ports.insert(port)), "{hop}");
        }
    }
}
