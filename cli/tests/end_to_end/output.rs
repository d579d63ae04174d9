//! What the command prints.

use crate::world::{hopshot, in_scenario};
use serde_json::Value;
use std::collections::BTreeSet;

fn keys(value: &Value) -> BTreeSet<&str> {
    value.as_object().expect("it is an object").keys().map(String::as_str).collect()
}

#[test]
fn the_text_has_a_header_and_a_line_per_hop_and_nothing_past_the_target() {
    let Some(said) = in_scenario("silent", &["-n", "{4}"]) else { return };
    let lines: Vec<&str> = said.stdout.lines().collect();
    assert_eq!(lines[0], "traceroute to 10.255.0.80 (10.255.0.80), 32 hops max");
    assert_eq!(lines.len(), 13, "{}", said.stdout);
    assert_eq!(lines[3], " 3  *");
    assert!(lines[1].starts_with(" 1  10.1.0.1  ") && lines[1].ends_with(" ms"), "{}", lines[1]);
    assert!(lines[12].starts_with("12  10.255.0.80  "), "{}", lines[12]);
    assert_eq!(lines[12].matches(" ms").count(), 3);
}

#[test]
fn names_stand_before_addresses() {
    let Some(said) = in_scenario("short", &["-4", "{name}"]) else { return };
    assert!(said.stdout.contains("gateway.home.example (10.1.0.1)"), "{}", said.stdout);
}

#[test]
fn an_unreachable_is_marked_and_silence_at_the_end_is_one_line() {
    let Some(said) = in_scenario("unreach", &["-n", "{4}"]) else { return };
    assert!(said.stdout.lines().nth(6).unwrap().contains("ms !H"), "{}", said.stdout);
    let Some(said) = in_scenario("deadtarget", &["-n", "{6}"]) else { return };
    let lines: Vec<&str> = said.stdout.lines().collect();
    assert_eq!(lines[12], "12-32  *", "{}", said.stdout);
    assert!(lines[13].starts_with("No answer from 2001:db8:ffff::80: "), "{}", said.stdout);
    assert_eq!(lines.len(), 14);
}

#[test]
fn json_has_the_documented_fields_and_no_others() {
    let Some(said) = in_scenario("wan", &["--json", "{name}"]) else { return };
    let document = said.json();
    let documented = [
        "target",
        "source",
        "socket",
        "started",
        "duration_ms",
        "reached",
        "stop_reason",
        "distance",
        "probes_sent",
        "duplicates",
        "late",
        "forged",
        "hops",
    ];
    assert_eq!(keys(&document), BTreeSet::from(documented));
    assert_eq!(keys(&document["target"]), BTreeSet::from(["name", "address"]));
    assert_eq!(keys(&document["hops"][0]), BTreeSet::from(["hop", "rate_limited", "probes"]));
    let probe = &document["hops"][0]["probes"][0];
    let documented = [
        "attempt",
        "from",
        "name",
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
    ];
    assert_eq!(keys(probe), BTreeSet::from(documented));
    assert_eq!(probe["name"], "gateway.home.example");
    assert_eq!((&probe["kind"], &probe["evidence"]), (&"time_exceeded".into(), &"strong".into()));
    assert_eq!((&probe["reply_ttl"], &probe["quoted_ttl"]), (&255.into(), &1.into()));
    assert_eq!(document["hops"][11]["probes"][0]["kind"], "echo_reply");
    assert_eq!((&document["stop_reason"], &document["reached"]), (&"reached".into(), &true.into()));
    assert!(document["started"].as_str().is_some_and(|at| at.ends_with('Z')));
}

#[test]
fn hops_can_be_left_out_at_the_near_end() {
    let Some(said) = in_scenario("wan", &["-n", "--json", "-q1", "-f", "3", "-m", "5", "{4}"]) else { return };
    let document = said.json();
    let hops: Vec<u64> = document["hops"].as_array().unwrap().iter().map(|hop| hop["hop"].as_u64().unwrap()).collect();
    assert_eq!(hops, [3, 4, 5]);
    assert_eq!((said.status, &document["stop_reason"]), (1, &"max_hops".into()));
}

#[test]
fn help_and_version_go_to_standard_output() {
    let help = hopshot(&["--help"]);
    assert_eq!((help.status, help.stderr.as_str()), (0, ""));
    assert!(help.stdout.contains("Examples:") && help.stdout.contains("Exit status:"));
    let version = hopshot(&["--version"]);
    assert_eq!((version.status, version.stdout.as_str()), (0, concat!("hopshot ", env!("CARGO_PKG_VERSION"), "\n")));
}
