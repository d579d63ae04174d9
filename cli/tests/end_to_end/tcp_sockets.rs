//! TCP by sockets that every user may open: each probe is the SYN of a connect(2).

use crate::world::users::{Copy, NOBODY, can_be_nobody};
use crate::world::{FAMILIES, HOPSHOT, command_in_scenario, command_on_chain, hopshot, in_lab};
use serde_json::Value;

/// The last hop of a chain of three routers.
const TARGETS: [&str; 2] = ["10.4.0.1", "2001:db8:4::1"];

/// An answer: who sent it, how well it is proven, and what it says if it is the target's.
type Shown = [Option<String>; 3];

/// Reads the answers of each hop, as far as there are any.
fn shown(document: &Value) -> Vec<Vec<Shown>> {
    let of_probe = |probe: &Value| -> Shown {
        ["from", "evidence", "answer"].map(|name| probe[name].as_str().map(str::to_owned))
    };
    let of_hop = |hop: &Value| {
        let probes = hop["probes"].as_array().unwrap().iter();
        let answered = probes.filter(|probe| probe["from"].is_string());
        answered.map(of_probe).collect()
    };
    let hops = document["hops"].as_array().unwrap();
    let mut shown: Vec<Vec<Shown>> = hops.iter().map(of_hop).collect();
    let last = shown.iter().rposition(|answers| !answers.is_empty());
    shown.truncate(last.map_or(0, |last| last + 1));
    shown
}

/// Checks that a document says of its sockets what is so.
fn is_by_tcp_sockets(document: &Value) {
    assert_eq!(document["socket"], "tcp", "{document}");
    assert_eq!(document["protocol"], "tcp", "{document}");
    assert_eq!(document["one_flow"], false, "{document}");
    for none in ["flow", "source_port"] {
        assert_eq!(document[none], Value::Null, "{document}");
    }
}

fn traced(scenario: &str, socket: &str, target: &str) -> Option<Value> {
    let options = [
        "run", "--seed", "7", scenario, "--", HOPSHOT, "-n", "-q1", "--json", "-T",
    ];
    Some(in_lab(&options, &["--socket", socket, target])?.json())
}

#[test]
fn the_route_is_that_of_raw_sockets() {
    for (_, target) in FAMILIES {
        for scenario in [
            "short",
            "wan",
            "long",
            "silent",
            "dup",
            "mpls",
            "loop",
            "hostile",
            "no-icmp",
            "short-quotes",
            "tcp-filtered",
            "tcp-rejected",
            "deadtarget",
            "slowhop",
            "unreach",
        ] {
            let [Some(raw), Some(tcp)] =
                ["raw", "tcp"].map(|socket| traced(scenario, socket, target))
            else {
                return;
            };
            is_by_tcp_sockets(&tcp);
            assert_eq!(shown(&tcp), shown(&raw), "{scenario}");
            for field in ["distance", "stop_reason", "reached"] {
                assert_eq!(tcp[field], raw[field], "{scenario}");
            }
            if scenario == "mpls" {
                let labels = |document: &Value| document["hops"][4]["probes"][0]["mpls"].clone();
                assert_eq!(labels(&tcp), labels(&raw));
                assert_ne!(labels(&tcp), serde_json::json!([]), "{tcp}");
            }
        }
    }
}

#[test]
fn nobody_has_the_whole_route_and_the_state_of_the_port() {
    const TEST: &str = "nobody_has_the_whole_route_and_the_state_of_the_port";
    if !can_be_nobody(TEST) {
        return;
    }
    let copy = Copy::new("tcp");
    for target in TARGETS {
        // With ping sockets, and without: then UDP goes along.
        for more in [&["--ping"][..], &[]] {
            let chain = [&["--serve", "4430"][..], more].concat();
            for (port, answer) in [("4430", "syn_ack"), ("4431", "rst")] {
                for attempts in ["-q1", "-q3"] {
                    let args = [
                        copy.path(),
                        "-n",
                        "--json",
                        attempts,
                        "-T",
                        "-p",
                        port,
                        target,
                    ];
                    let Some(said) = command_on_chain(3, &chain, &[&NOBODY[..], &args].concat())
                    else {
                        return;
                    };
                    let document = said.json();
                    is_by_tcp_sockets(&document);
                    let shown = shown(&document);
                    assert_eq!(shown.len(), 4, "{document}");
                    let strong = |probe: &Shown| probe[1].as_deref() == Some("strong");
                    assert!(shown.iter().flatten().all(strong), "{document}");
                    let is_it = |probe: &Shown| probe[2].as_deref() == Some(answer);
                    assert!(shown[3].iter().all(is_it), "{document}");
                }
            }
        }
    }
}

#[test]
fn it_is_said_where_nothing_can_check_the_target() {
    const TEST: &str = "it_is_said_where_nothing_can_check_the_target";
    if !can_be_nobody(TEST) {
        return;
    }
    let copy = Copy::new("tcp-checks");
    for target in TARGETS {
        // Without ping sockets UDP checks it, and for those there may be no descriptors.
        for (chain, files, is_said) in [
            (&["--serve", "443"][..], "31", true),
            (&["--serve", "443"], "64", false),
            (&["--serve", "443", "--ping"], "31", false),
        ] {
            let script = "ulimit -n $1; exec $0 -n -q1 -v -T $2";
            let args = ["sh", "-c", script, copy.path(), files, target];
            let Some(said) = command_on_chain(3, chain, &[&NOBODY[..], &args].concat()) else {
                return;
            };
            assert_eq!(said.status, 0, "{}", said.stderr);
            let lack = "a proxy that answers in the target's name may be taken for it";
            let has_said = said.stderr.contains(lack);
            assert_eq!(has_said, is_said, "{files} {}", said.stderr);
        }
    }
}

#[test]
fn nobody_has_lists_and_watches() {
    const TEST: &str = "nobody_has_lists_and_watches";
    if !can_be_nobody(TEST) {
        return;
    }
    let copy = Copy::new("tcp-lists");
    for target in TARGETS {
        // More hosts than there are sockets for.
        let hosts = [target; 40];
        let args = [&[copy.path(), "-n", "-q1", "--json", "-T"][..], &hosts].concat();
        let Some(said) = command_on_chain(3, &["--serve", "443"], &[&NOBODY[..], &args].concat())
        else {
            return;
        };
        let distances: Vec<Value> = said
            .stdout
            .lines()
            .map(|line| serde_json::from_str::<Value>(line).unwrap()["distance"].clone())
            .collect();
        assert_eq!(distances, vec![Value::from(4); 40], "{}", said.stderr);
        let watch = [
            "-n", "-q1", "--json", "-T", "--watch", "--count", "3", "--every", "0.2",
        ];
        let args = [&[copy.path()][..], &watch, &[target]].concat();
        let chain = ["--serve", "443", "--ping"];
        let said = command_on_chain(3, &chain, &[&NOBODY[..], &args].concat()).unwrap();
        let document = said.json();
        assert_eq!(
            (
                &document["rounds"],
                &document["distance"],
                &document["port_state"]
            ),
            (&3.into(), &4.into(), &"open".into())
        );
        assert_eq!(document["flow"], Value::Null, "{document}");
        let hops = document["hops"].as_array().unwrap();
        assert!(hops.iter().all(|hop| hop["lost"] == 0), "{document}");
    }
}

#[test]
fn what_a_tcp_socket_cannot_do_is_refused_with_the_reason() {
    for (args, why) in [
        (&[][..], "--socket tcp requires --tcp"),
        (&["-U"], "--socket tcp, which sends TCP only"),
        (&["-T", "--paths"], "those take raw sockets"),
        (
            &["-T", "--source-port", "4000"],
            "each TCP socket has a port of its own",
        ),
    ] {
        let said = hopshot(&[&["--socket", "tcp"], args, &["127.0.0.1"]].concat());
        assert_eq!(said.status, 2, "{args:?}");
        assert!(said.stderr.contains(why), "{args:?}: {}", said.stderr);
    }
}

#[test]
fn a_source_port_without_privilege_is_refused_with_the_option_that_does_without() {
    const TEST: &str =
        "a_source_port_without_privilege_is_refused_with_the_option_that_does_without";
    if !can_be_nobody(TEST) {
        return;
    }
    let copy = Copy::new("tcp-port");
    for target in ["10.4.0.1", "2001:db8:4::1"] {
        let run = |more: &[&str]| {
            let args = [copy.path(), "-n", "-T", "--source-port", "50001", target];
            let command = [&NOBODY[..], &args, more].concat();
            command_on_chain(3, &["--serve", "443"], &command)
        };
        let Some(said) = run(&[]) else {
            return;
        };
        assert_eq!(said.status, 2, "{}", said.stdout);
        assert!(
            said.stderr.contains(": use --one-flow, "),
            "{}",
            said.stderr
        );
        let said = run(&["--one-flow"]).unwrap();
        assert_eq!(said.status, 0, "{}", said.stderr);
    }
}

#[test]
fn on_one_flow_the_path_is_that_of_raw_sockets_with_the_same_port() {
    let flow = &["--socket", "tcp", "--one-flow"][..];
    let mut paths = Vec::new();
    for (_, target) in FAMILIES {
        for (scenario, attempts, port) in [
            ("ecmp", "1", "40001"),
            ("ecmp", "1", "50002"),
            ("ecmp", "3", "50002"),
            ("silent", "1", "40001"),
            // From 10 to 150 ms at once.
            ("leap", "3", "40001"),
        ] {
            let trace = |socket: &[&str], attempts| {
                let options = [
                    "run", "--seed", "7", scenario, "--", HOPSHOT, "-n", "--json",
                ];
                let flow = ["-T", "-q", attempts, "--source-port", port];
                let options = [&options[..], &flow, socket].concat();
                in_lab(&options, &[target]).map(|said| said.json())
            };
            // In IPv6 the balancers look at flow labels too, and those of raw sockets are others.
            let other = match (scenario, target) {
                ("ecmp", "{6}") => flow,
                _ => &["--socket", "raw"],
            };
            let [Some(tcp), Some(other)] =
                [(flow, attempts), (other, "1")].map(|(socket, q)| trace(socket, q))
            else {
                return;
            };
            assert_eq!(tcp["socket"], "tcp");
            let number: Value = port.parse::<u16>().unwrap().into();
            assert_eq!((&tcp["flow"], &tcp["source_port"]), (&number, &number));
            assert_eq!(tcp["one_flow"], true);
            let who = |document: &Value| -> Vec<Vec<Shown>> {
                let hops = shown(document).into_iter();
                hops.map(|mut answers| {
                    answers.dedup();
                    answers
                })
                .collect()
            };
            assert_eq!(who(&tcp), who(&other), "{scenario} -q {attempts}: {tcp}");
            assert_eq!(tcp["distance"], other["distance"], "{scenario}: {tcp}");
            paths.push(who(&tcp));
        }
    }
    // Another port takes another path.
    assert!(paths.first() != paths.get(1));
}

/// A trace by one port, of a target behind six silent routers and a firewall that drops pings.
fn on_one_flow(target: &str, script: &str) -> Option<Value> {
    let options = "-n -q1 --json -T --socket tcp --one-flow --no-checks";
    let script = format!("{script} \"$0\" {options} {target}; exit 0");
    let said = command_in_scenario("no-icmp", true, &["sh", "-c", &script, HOPSHOT])?;
    Some(said.json())
}

#[test]
fn on_one_flow_a_target_behind_silent_routers_is_knocked_at() {
    for (_, target) in FAMILIES {
        let Some(document) = on_one_flow(target, "") else {
            return;
        };
        assert_eq!(document["distance"], 12, "{document}");
        assert_eq!(document["knock"], "syn_ack", "{document}");
        assert_eq!(document["one_flow"], true, "{document}");
        let heard: Vec<usize> = shown(&document).iter().map(Vec::len).collect();
        assert_eq!(heard, [1, 1, 1, 1, 1, 0, 0, 0, 0, 0, 0, 1], "{document}");
    }
}

#[test]
fn on_one_flow_a_probe_that_waits_for_its_turn_has_not_failed_when_the_trace_is_interrupted() {
    for (_, target) in FAMILIES {
        // A moment at which the probe to hop 7 waits for that to hop 6, as a rule.
        let Some(document) = on_one_flow(target, "timeout --foreground -s INT 0.4") else {
            return;
        };
        assert_eq!(document["stop_reason"], "interrupted", "{document}");
        assert!(!document.to_string().contains("unavailable"), "{document}");
    }
}
