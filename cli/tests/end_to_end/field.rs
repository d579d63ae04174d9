//! Routers as they are met: that refuse what expires there, that say who they are, whose addresses
//! have others inside.

use crate::world::{HOPSHOT, command_in_scenario, in_scenario};
use serde_json::{Value, json};

const KINDS: [&str; 2] = ["raw", "ping"];

const TARGETS: [&str; 2] = ["{4}", "{6}"];

/// A path of six hops whose router at hop 2 refuses what expires there, and passes all the rest.
fn refusing(name: &str, v4: &str, v6: &str, rest: u32, rtt_ms: f64) -> String {
    let scenario = format!("{}/{name}.toml", env!("CARGO_TARGET_TMPDIR"));
    let text = format!(
        "about = 'hop 2 refuses what expires there'\nhops = 6\nrtt_ms = {rtt_ms}\n[[hop]]\nat = 2\n\
         unreachable = {{ v4 = {v4}, v6 = {v6}, rest = {rest}, from = 2, to = 2 }}\n"
    );
    std::fs::write(&scenario, text).unwrap();
    scenario
}

/// Calls hopshot on either kind of socket, in both families, where hop 2 refuses in several ways,
/// at several RTTs.
fn wherever_one_refuses(name: &str, args: &[&str], check: impl Fn(&str, &str)) {
    let prohibited = ("[3, 10]", "[1, 1]", 0);
    let too_big = ("[3, 4]", "[2, 0]", 9000);
    for ((v4, v6, rest), rtt_ms) in [
        (prohibited, 0.3),
        (too_big, 0.3),
        (prohibited, 3.0),
        (too_big, 30.0),
        (prohibited, 120.0),
    ] {
        let scenario = refusing(name, v4, v6, rest, rtt_ms);
        for (socket, target) in KINDS
            .into_iter()
            .flat_map(|kind| TARGETS.map(|target| (kind, target)))
        {
            let command = [&[HOPSHOT, "-n", "--socket", socket][..], args, &[target]].concat();
            let Some(said) = command_in_scenario(&scenario, true, &command) else {
                return;
            };
            let run = format!(
                "{socket} {target} {v4} {rtt_ms} ms: {}{}",
                said.stdout, said.stderr
            );
            assert_eq!(said.status, 0, "{run}");
            check(&said.stdout, &run);
        }
    }
}

/// Checks the hops of a document: all six are there, and the second refuses.
fn six_hops(text: &str, run: &str) {
    let document: Value = serde_json::from_str(text).expect(run);
    assert_eq!(
        (&document["distance"], &document["stop_reason"]),
        (&json!(6), &json!("reached")),
        "{run}"
    );
    // On a busy machine the first answers may be lost.
    let answer = |hop: &Value| {
        hop["probes"]
            .as_array()
            .unwrap()
            .iter()
            .find(|probe| probe.is_object())
            .cloned()
    };
    let answers: Vec<Value> = document["hops"]
        .as_array()
        .unwrap()
        .iter()
        .filter_map(answer)
        .collect();
    let kinds: Vec<&Value> = answers.iter().map(|answer| &answer["kind"]).collect();
    let passes = "time_exceeded";
    assert_eq!(
        kinds,
        [passes, "unreachable", passes, passes, passes, "echo_reply"],
        "{run}"
    );
    assert_eq!(answers[1]["mtu"], Value::Null, "it was not too big: {run}");
}

#[test]
fn a_trace_goes_past_a_router_that_refuses() {
    wherever_one_refuses("refusing-one", &["--json", "-q1"], six_hops);
    wherever_one_refuses("refusing-three", &["--json", "-q3"], six_hops);
}

#[test]
fn a_refusal_is_marked_and_what_fits_is_not_called_too_big() {
    for (v4, v6, rest, marks) in [
        ("[3, 10]", "[1, 1]", 0, ["!X", "!X"]),
        ("[3, 4]", "[2, 0]", 9000, ["!<4>", "!<2-0>"]),
    ] {
        let scenario = refusing("refusing-marks", v4, v6, rest, 0.3);
        for (target, mark) in TARGETS.into_iter().zip(marks) {
            let Some(said) = in_scenario(&scenario, &["-n", "-q1", target]) else {
                return;
            };
            let marked: Vec<usize> = said
                .stdout
                .lines()
                .enumerate()
                .filter(|(_, line)| line.contains('!'))
                .map(|(hop, _)| hop)
                .collect();
            assert_eq!((said.status, marked), (0, vec![2]), "{}", said.stdout);
            assert!(
                said.stdout.contains(&format!(" ms {mark}\n")),
                "{}",
                said.stdout
            );
        }
    }
}

#[test]
fn a_list_goes_past_a_router_that_refuses() {
    let scenario = refusing("refusing-list", "[3, 13]", "[1, 1]", 0, 0.3);
    for kind in KINDS {
        let script = format!(
            "for i in $(seq 20); do echo $HOPSHOT_LAB_TARGET4; echo $HOPSHOT_LAB_TARGET6; done | \
             {HOPSHOT} -n -q1 --json --no-learning --socket {kind} --targets -"
        );
        let Some(said) = command_in_scenario(&scenario, true, &["sh", "-c", &script]) else {
            return;
        };
        let run = format!("{kind}: {}{}", said.stdout, said.stderr);
        assert_eq!(said.status, 0, "{run}");
        assert_eq!(said.stdout.lines().count(), 40, "{run}");
        said.stdout.lines().for_each(|line| six_hops(line, &run));
    }
}

#[test]
fn a_watch_goes_past_a_router_that_refuses() {
    wherever_one_refuses(
        "refusing-watch",
        &["--watch", "--count", "2", "--every", "0.3", "--json"],
        |text, run| {
            let document: Value = serde_json::from_str(text).expect(run);
            assert_eq!(
                (
                    &document["reached"],
                    document["hops"].as_array().map(Vec::len)
                ),
                (&json!(true), Some(6)),
                "{run}"
            );
            assert_eq!(document["changes"], json!([]), "{run}");
        },
    );
}

#[test]
fn all_paths_go_past_a_router_that_refuses() {
    wherever_one_refuses("refusing-paths", &["--paths", "--json"], |text, run| {
        let document: Value = serde_json::from_str(text).expect(run);
        assert_eq!(
            (&document["completeness"], &document["paths"]),
            (&json!("complete"), &json!(1)),
            "{run}"
        );
        let ends: Vec<&Value> = document["nodes"]
            .as_array()
            .unwrap()
            .iter()
            .map(|node| &node["end"])
            .collect();
        let (none, target) = (&Value::Null, &json!("target"));
        assert_eq!(ends, [none, none, none, none, none, none, target], "{run}");
    });
}

#[test]
fn a_path_mtu_is_found_past_a_router_that_refuses() {
    wherever_one_refuses("refusing-mtu", &["--mtu", "--json"], |text, run| {
        let document: Value = serde_json::from_str(text).expect(run);
        assert_eq!(
            (&document["path_mtu"], &document["path_mtu_exact"]),
            (&json!(1500), &json!(true)),
            "{run}"
        );
        assert_eq!(
            (
                &document["mtu_limits"],
                document["hops"].as_array().map(Vec::len)
            ),
            (&json!([]), Some(6)),
            "{run}"
        );
    });
}

#[test]
fn what_routers_say_of_themselves_is_the_same_on_either_socket() {
    for kind in KINDS {
        for (target, address) in [("{4}", "10.N.0.1"), ("{6}", "2001:db8:N::1")] {
            let command = [HOPSHOT, "-n", "-q1", "--json", "--socket", kind, target];
            let Some(said) = command_in_scenario("nodeid", true, &command) else {
                return;
            };
            let document = said.json();
            for hop in 2..=5 {
                let probe = &document["hops"][hop - 1]["probes"][0];
                let node = json!({"name": format!("r{hop}.example"), "address": address.replace('N', &hop.to_string())});
                assert_eq!(
                    (&probe["node"], &probe["unknown_objects"]),
                    (&node, &json!(0)),
                    "{kind} {document}"
                );
                let label = json!({"label": 84016, "tc": 0, "bottom": true, "ttl": 1});
                assert_eq!(
                    probe["mpls"],
                    if hop >= 4 { json!([label]) } else { json!([]) },
                    "{kind} {document}"
                );
            }
            assert_eq!(document["hops"][0]["probes"][0]["node"], Value::Null);
        }
    }
    let Some(said) = in_scenario("nodeid", &["-n", "-q1", "-e", "{4}"]) else {
        return;
    };
    let line = "    <MPLS:L=84016,E=0,S=1,T=1> <NODE:10.4.0.1,\"r4.example\">\n";
    assert!(said.stdout.contains(line), "{}", said.stdout);
}

#[test]
fn an_ipv4_address_inside_of_another_is_told_with_its_as() {
    let database = concat!(env!("CARGO_MANIFEST_DIR"), "/tests/data/asn.mmdb");
    let scenario = concat!(env!("CARGO_TARGET_TMPDIR"), "/inside.toml");
    let text = "about = 'translators'\nhops = 5\nrtt_ms = 10\n[[hop]]\nat = 2\nv6 = '64:ff9b::10.3.0.1'\n\
                [[hop]]\nat = 3\nv6 = '2002:0a05:0001::1'\n";
    std::fs::write(scenario, text).unwrap();
    let args = ["-n", "-q1", "--asn-db", database];
    let Some(said) = in_scenario(scenario, &[&args[..], &["{6}"]].concat()) else {
        return;
    };
    let lines: Vec<&str> = said.stdout.lines().collect();
    assert!(
        lines[2].contains("[AS64501") && lines[2].contains("NAT64: 10.3.0.1"),
        "{}",
        said.stdout
    );
    assert!(
        lines[3].contains("[AS64502") && lines[3].contains("6to4: 10.5.0.1"),
        "{}",
        said.stdout
    );
    let Some(said) = in_scenario(scenario, &[&args[..], &["--json", "{6}"]].concat()) else {
        return;
    };
    let document = said.json();
    let probe = |hop: usize| &document["hops"][hop - 1]["probes"][0];
    assert_eq!(
        probe(2)["ipv4_inside"],
        json!({"kind": "nat64", "address": "10.3.0.1"}),
        "{document}"
    );
    assert_eq!(
        (&probe(3)["asn"], &probe(3)["ipv4_inside"]["kind"]),
        (&json!(64502), &json!("6to4")),
        "{document}"
    );
    assert!(probe(1).get("ipv4_inside").is_none(), "{document}");
    for view in [
        &["--paths"][..],
        &["-q1", "--format", "markdown"],
        &["--watch", "--count", "1"],
    ] {
        let Some(said) = in_scenario(scenario, &[view, &["-n", "{6}"]].concat()) else {
            return;
        };
        assert!(said.stdout.contains("NAT64: 10.3.0.1"), "{}", said.stdout);
    }
}
