//! What the command prints.

use crate::world::{HOPSHOT, command_in_scenario, in_scenario};
use serde_json::{Value, json};
use std::collections::BTreeSet;

fn keys(value: &Value) -> BTreeSet<&str> {
    value
        .as_object()
        .expect("it is an object")
        .keys()
        .map(String::as_str)
        .collect()
}

#[test]
fn the_text_has_a_header_and_a_line_per_hop_and_nothing_past_the_target() {
    let Some(said) = in_scenario("silent", &["-n", "{4}"]) else {
        return;
    };
    let lines: Vec<&str> = said.stdout.lines().collect();
    assert_eq!(
        lines[0],
        "traceroute to 10.255.0.80 (10.255.0.80), 32 hops max, from 10.0.0.2"
    );
    assert_eq!(lines.len(), 13, "{}", said.stdout);
    assert_eq!(lines[3], " 3  *");
    assert!(
        lines[1].starts_with(" 1  10.1.0.1  ") && lines[1].ends_with(" ms"),
        "{}",
        lines[1]
    );
    assert!(lines[12].starts_with("12  10.255.0.80  "), "{}", lines[12]);
    assert_eq!(lines[12].matches(" ms").count(), 3);
}

#[test]
fn every_format_says_by_which_flow_the_path_was_found() {
    for target in ["{4}", "{6}"] {
        let with = |options: &[&str]| {
            in_scenario(
                "short",
                &[&["-n", "-q1", "--flow", "37748"], options, &[target]].concat(),
            )
        };
        let Some(said) = with(&["--json"]) else {
            return;
        };
        assert_eq!(said.json()["flow"], 37748);
        let begin = with(&["--json-stream"]).unwrap().stdout;
        let begin: Value = serde_json::from_str(begin.lines().next().unwrap()).unwrap();
        assert_eq!(
            (&begin["settings"]["flow"], &begin["version"]),
            (&37748.into(), &env!("CARGO_PKG_VERSION").into())
        );
        assert!(
            with(&["--format", "markdown"])
                .unwrap()
                .stdout
                .contains(", flow 37748.\n")
        );
        assert!(
            with(&["--format", "csv"])
                .unwrap()
                .stdout
                .lines()
                .skip(1)
                .all(|row| row.contains(",37748,"))
        );
        for format in ["dot", "svg"] {
            assert!(
                with(&["--format", format])
                    .unwrap()
                    .stdout
                    .contains("flow 37748"),
                "{format}"
            );
        }
        let Some(said) = with(&["--mtu", "--json"]) else {
            return;
        };
        assert_eq!(said.json()["flow"], 37748);
        let Some(said) = with(&["--watch", "--count", "1", "--json"]) else {
            return;
        };
        assert_eq!(said.json()["flow"], 37748);
    }
    // One that was drawn leads there again.
    let Some(said) = in_scenario("ecmp", &["-n", "--json", "{4}"]) else {
        return;
    };
    let document = said.json();
    let flow = document["flow"].to_string();
    let again = in_scenario("ecmp", &["-n", "--json", "--flow", &flow, "{4}"])
        .unwrap()
        .json();
    for hop in [3, 7] {
        assert_eq!(
            document["hops"][hop]["probes"][0]["from"],
            again["hops"][hop]["probes"][0]["from"]
        );
    }
}

#[test]
fn the_figures_of_a_hop_are_those_of_its_probes() {
    let Some(said) = in_scenario("loss", &["-n", "--json", "-q5", "{6}"]) else {
        return;
    };
    let document = said.json();
    for hop in document["hops"].as_array().unwrap() {
        let probes = hop["probes"].as_array().unwrap();
        let mut rtts: Vec<f64> = probes
            .iter()
            .filter_map(|probe| probe["rtt_ms"].as_f64())
            .collect();
        rtts.sort_by(f64::total_cmp);
        assert_eq!(
            (&hop["sent"], &hop["lost"]),
            (&probes.len().into(), &(probes.len() - rtts.len()).into()),
            "{hop}"
        );
        assert_eq!(
            (hop["best_ms"].as_f64(), hop["worst_ms"].as_f64()),
            (rtts.first().copied(), rtts.last().copied())
        );
        assert!(
            hop["median_ms"].as_f64() >= hop["best_ms"].as_f64(),
            "{hop}"
        );
    }
}

#[test]
fn where_only_the_target_answers_the_text_says_what_that_may_mean() {
    let scenario = std::env::temp_dir().join(format!("hopshot-shy-{}.toml", std::process::id()));
    let silent: String = (1..5)
        .map(|hop| format!("[[hop]]\nat = {hop}\nsilent = true\n"))
        .collect();
    std::fs::write(&scenario, format!("hops = 5\nrtt_ms = 5\n{silent}"))
        .expect("a file can be written");
    let path = scenario.to_str().unwrap();
    let why =
        "No router answered, but the target did: they may never answer, or limit their answers";
    for target in ["{4}", "{6}"] {
        let Some(said) = in_scenario(path, &["-n", target]) else {
            return;
        };
        assert!(said.stdout.contains(why), "{}", said.stdout);
    }
    let Some(said) = in_scenario("silent", &["-n", "{4}"]) else {
        return;
    };
    assert!(!said.stdout.contains(why), "{}", said.stdout);
    std::fs::remove_file(scenario).expect("the file can be removed");
}

#[test]
fn names_stand_before_addresses() {
    let Some(said) = in_scenario("short", &["-4", "{name}"]) else {
        return;
    };
    assert!(
        said.stdout.contains("gateway.home.example (10.1.0.1)"),
        "{}",
        said.stdout
    );
}

#[test]
fn an_unreachable_is_marked_and_silence_at_the_end_is_one_line() {
    let Some(said) = in_scenario("unreach", &["-n", "{4}"]) else {
        return;
    };
    assert!(
        said.stdout.lines().nth(6).unwrap().contains("ms !H"),
        "{}",
        said.stdout
    );
    let Some(said) = in_scenario("deadtarget", &["-n", "{6}"]) else {
        return;
    };
    let lines: Vec<&str> = said.stdout.lines().collect();
    assert_eq!(lines[12], "12-32  *", "{}", said.stdout);
    assert!(
        lines[13].starts_with("No answer from 2001:db8:ffff::80: "),
        "{}",
        said.stdout
    );
    assert_eq!(lines.len(), 14);
}

#[test]
fn json_has_the_documented_fields_and_no_others() {
    let Some(said) = in_scenario("wan", &["--json", "{name}"]) else {
        return;
    };
    let document = said.json();
    let documented = [
        "target",
        "source",
        "socket",
        "protocol",
        "started",
        "duration_ms",
        "reached",
        "stop_reason",
        "distance",
        "probes_sent",
        "duplicates",
        "late",
        "forged",
        "rejected",
        "hops",
        "flow",
        "one_flow",
        "settings",
        "version",
    ];
    assert_eq!(keys(&document), BTreeSet::from(documented));
    assert_eq!(
        keys(&document["target"]),
        BTreeSet::from(["name", "address"])
    );
    let rejected = ["forged", "bad_checksum", "malformed", "not_ours", "dropped"];
    assert_eq!(keys(&document["rejected"]), BTreeSet::from(rejected));
    let figures = [
        "sent",
        "lost",
        "unproven",
        "best_ms",
        "median_ms",
        "average_ms",
        "worst_ms",
    ];
    let of_hop = ["hop", "rate_limited", "probes"].into_iter().chain(figures);
    assert_eq!(keys(&document["hops"][0]), of_hop.collect());
    let settings = [
        "first_hop",
        "max_hops",
        "attempts",
        "wait_ms",
        "tos",
        "size",
        "dont_fragment",
        "patience",
    ];
    assert_eq!(keys(&document["settings"]), BTreeSet::from(settings));
    assert_eq!(document["version"], env!("CARGO_PKG_VERSION"));
    let probe = &document["hops"][0]["probes"][0];
    let documented = [
        "attempt",
        "from",
        "name",
        "asn",
        "as_name",
        "rtt_ms",
        "clock",
        "sent_clock",
        "kind",
        "icmp_type",
        "icmp_code",
        "reply_ttl",
        "quoted_ttl",
        "quoted_tos",
        "hops_back",
        "evidence",
        "changed",
        "mpls",
        "interface",
        "unknown_objects",
    ];
    assert_eq!(keys(probe), BTreeSet::from(documented));
    assert_eq!(probe["name"], "gateway.home.example");
    assert_eq!(
        (&probe["kind"], &probe["evidence"]),
        (&"time_exceeded".into(), &"strong".into())
    );
    assert_eq!(
        (&probe["reply_ttl"], &probe["quoted_ttl"]),
        (&255.into(), &1.into())
    );
    assert_eq!(document["hops"][11]["probes"][0]["kind"], "echo_reply");
    assert_eq!(
        (&document["stop_reason"], &document["reached"]),
        (&"reached".into(), &true.into())
    );
    assert!(
        document["started"]
            .as_str()
            .is_some_and(|at| at.ends_with('Z'))
    );
}

#[test]
fn a_long_name_does_not_push_the_times_of_later_hops_away() {
    let Some(said) = in_scenario("interface-name", &["-4", "{name}"]) else {
        return;
    };
    let lines: Vec<&str> = said.stdout.lines().collect();
    assert!(
        lines[3].contains(&"c".repeat(60)) && lines[3].len() > 180,
        "{}",
        said.stdout
    );
    assert!(lines[4].len() < 140, "{}", said.stdout);
}

#[test]
fn hops_can_be_left_out_at_the_near_end() {
    let Some(said) = in_scenario("wan", &["-n", "--json", "-q1", "-f", "3", "-m", "5", "{4}"])
    else {
        return;
    };
    let document = said.json();
    let hops: Vec<u64> = document["hops"]
        .as_array()
        .unwrap()
        .iter()
        .map(|hop| hop["hop"].as_u64().unwrap())
        .collect();
    assert_eq!(hops, [3, 4, 5]);
    assert_eq!(
        (said.status, &document["stop_reason"]),
        (1, &"max_hops".into())
    );
}

#[test]
fn a_target_that_answers_from_the_first_hop_probed_may_be_nearer() {
    for (socket, target) in ["raw", "ping"]
        .into_iter()
        .flat_map(|socket| ["{4}", "{6}"].map(|target| (socket, target)))
    {
        let call = |args: &[&str]| {
            command_in_scenario(
                "wan",
                true,
                &[&[HOPSHOT, "-n", "-q1", "--socket", socket], args].concat(),
            )
        };
        for (first, distance) in [
            ("1", json!(12)),
            ("11", json!(12)),
            ("12", Value::Null),
            ("13", Value::Null),
        ] {
            let run = format!("{socket} {target} -f {first}");
            let Some(said) = call(&["-f", first, "--json", target]) else {
                return;
            };
            let document = said.json();
            assert_eq!(
                (said.status, &document["reached"]),
                (0, &json!(true)),
                "{run} {document}"
            );
            assert_eq!(document["distance"], distance, "{run} {document}");
            let Some(said) = call(&["-f", first, "-v", target]) else {
                return;
            };
            let is_doubted = said
                .stdout
                .contains(" answered from the first hop probed (-f): it may be nearer.\n");
            let is_told = said
                .stdout
                .lines()
                .any(|line| line.starts_with("12 hops, "));
            assert_eq!(
                (is_doubted, is_told),
                (distance.is_null(), !distance.is_null()),
                "{run} {}",
                said.stdout
            );
            assert!(!said.stdout.contains("13 hops"), "{run} {}", said.stdout);
            let Some(said) = call(&[
                "-f", first, "--json", "--watch", "--count", "2", "--every", "0.2", target,
            ]) else {
                return;
            };
            let report = said.json();
            assert_eq!(
                (said.status, &report["reached"]),
                (0, &json!(true)),
                "{run} {report}"
            );
            assert_eq!(
                (&report["distance"], &report["changes"]),
                (&distance, &json!([])),
                "{run} {report}"
            );
            let Some(said) = call(&["-f", first, "--json", target, target]) else {
                return;
            };
            let documents: Vec<Value> = said
                .stdout
                .lines()
                .map(|line| serde_json::from_str(line).unwrap())
                .collect();
            assert_eq!(
                (said.status, documents.len()),
                (0, 2),
                "{run} {}",
                said.stderr
            );
            assert!(
                documents
                    .iter()
                    .all(|document| document["distance"] == distance),
                "{run} {}",
                said.stdout
            );
        }
    }
}
