//! A hostile host of a list that knows ident and checksum of its own probes, and guesses at those
//! of the others.

use crate::world::{HOPSHOT, in_lab};
use serde_json::Value;
use std::collections::{BTreeMap, BTreeSet};
use std::fs;

/// Hosts of the list; the eighth is hostile, and hop 4 is silent for all.
const HOSTS: u32 = 150;

const HOSTILE: u32 = 7;

/// The addresses in the scenario's file.
fn address(family: &str, number: u32) -> String {
    if family == "-4" {
        format!("10.200.0.{number}")
    } else {
        format!("2001:db8:ffff:1::{number:x}")
    }
}

/// What a list looked like, and which idents the probes to each host had: a trace may be run again,
/// and a host asked whether anybody is heard still.
struct Swept {
    documents: BTreeMap<String, Value>,
    idents: BTreeMap<String, BTreeSet<u64>>,
}

/// Traces the list while the hostile host sweeps. `None` where namespaces aren't permitted.
fn sweep(name: &str, sweeper: &str, limit: &str, family: &str, options: &str) -> Option<Swept> {
    let file = |kind: &str| {
        std::env::temp_dir().join(format!(
            "hopshot-sweep-{}-{name}.{kind}",
            std::process::id()
        ))
    };
    let (scenario, log) = (file("toml"), file("log"));
    let text = include_str!("../../../lab/scenarios/sweeper.toml");
    assert!(text.contains("sweeper = { host = 7 }"));
    fs::write(
        &scenario,
        text.replace(
            "host = 7 }",
            &format!("host = {HOSTILE}, sweeps = 2, {sweeper} }}"),
        ),
    )
    .unwrap();
    let hosts: Vec<String> = (0..HOSTS).map(|number| address(family, number)).collect();
    let script = format!(
        "{limit} {HOPSHOT} {family} -n -q1 --json --rate 1000 {options} {}",
        hosts.join(" ")
    );
    let [scenario, log] = [&scenario, &log].map(|path| path.to_str().unwrap());
    let said = in_lab(
        &["run", scenario, "--ping", "--log", log, "--"],
        &["sh", "-c", &script],
    )?;
    let events = fs::read_to_string(log).unwrap();
    [scenario, log]
        .into_iter()
        .for_each(|path| fs::remove_file(path).unwrap());
    let read = |line: &str| -> Value { serde_json::from_str(line).unwrap() };
    let named = |document: Value| {
        (
            document["target"]["address"].as_str().unwrap().to_owned(),
            document,
        )
    };
    let documents: BTreeMap<_, _> = said.stdout.lines().map(|line| named(read(line))).collect();
    assert_eq!((documents.len(), said.stderr.as_str()), (hosts.len(), ""));
    let probes = events
        .lines()
        .map(read)
        .filter(|event| event["event"] == "probe");
    let mut idents: BTreeMap<String, BTreeSet<u64>> = BTreeMap::new();
    for probe in probes {
        let (host, ident) = (probe["destination"].as_str(), probe["ident"].as_u64());
        let of_host = idents.entry(host.unwrap().to_owned()).or_default();
        of_host.insert(ident.unwrap());
    }
    Some(Swept { documents, idents })
}

/// Every answer of a document with its hop.
fn answers(document: &Value) -> impl Iterator<Item = (u64, &Value)> {
    let hops = document["hops"].as_array().unwrap().iter();
    hops.flat_map(|hop| {
        hop["probes"]
            .as_array()
            .unwrap()
            .iter()
            .map(|probe| (hop["hop"].as_u64().unwrap(), probe))
    })
    .filter(|(_, probe)| probe.is_object())
}

impl Swept {
    /// Checks every trace but the hostile host's own: that all is true but for weak answers at the
    /// silent hop, and those only where the ident is the one that it knows. Returns how many
    /// there were.
    fn check(&self, family: &str) -> usize {
        let hostile = address(family, HOSTILE);
        let mut weak = 0;
        for (host, document) in self.documents.iter().filter(|(host, _)| **host != hostile) {
            let end = (&document["stop_reason"], &document["distance"]);
            assert_eq!(
                end,
                (&Value::from("reached"), &Value::from(12)),
                "{document}"
            );
            for (hop, probe) in answers(document) {
                if probe["evidence"] == "strong" {
                    assert_ne!(probe["from"], hostile.as_str(), "{document}");
                    continue;
                }
                assert_eq!(
                    (hop, probe["from"].as_str()),
                    (4, Some(hostile.as_str())),
                    "{document}"
                );
                assert!(
                    probe["changed"]
                        .as_array()
                        .unwrap()
                        .contains(&Value::from("unproven")),
                    "{document}"
                );
                let is_known = !self.idents[host].is_disjoint(&self.idents[&hostile]);
                assert!(is_known, "{document}");
                weak += 1;
            }
        }
        weak
    }
}

/// All that a sweep may say and quote.
const SWEEPS: [&str; 3] = [
    "says = 'time-exceeded'",
    "says = 'unreachable'",
    "says = 'unreachable', quotes = 20",
];

#[test]
fn on_raw_sockets_a_sweep_gets_nowhere() {
    for family in ["-4", "-6"] {
        for sweeper in SWEEPS {
            let Some(swept) = sweep("raw", sweeper, "", family, "--socket raw") else {
                return;
            };
            assert_eq!(swept.check(family), 0);
        }
    }
}

#[test]
fn on_ping_sockets_a_sweep_is_weak_and_reaches_only_the_traces_on_its_own_socket() {
    for family in ["-4", "-6"] {
        for sweeper in SWEEPS {
            let Some(swept) = sweep("ping", sweeper, "", family, "--socket ping") else {
                return;
            };
            swept.check(family);
            let idents: BTreeSet<_> = swept.idents.values().flatten().collect();
            // Each host draws one of 16 sockets: some socket is left out once in a thousand lists.
            assert!((12..=16).contains(&idents.len()), "{idents:?}");
        }
    }
}

#[test]
fn on_one_ping_socket_a_sweep_meets_traces_and_is_weak_in_all_of_them() {
    // On a busy machine a single sweep may come too late for all of them.
    let mut weak = 0;
    for family in ["-4", "-6"] {
        for (sweeper, options) in [
            (SWEEPS[0], ""),
            (SWEEPS[1], ""),
            (SWEEPS[0], "--flow 1234"),
            (SWEEPS[2], "--flow 1234"),
        ] {
            // So few descriptors that there is one pair of sockets.
            let options = format!("--socket ping {options}");
            let Some(swept) = sweep("one-ping", sweeper, "ulimit -n 60;", family, &options) else {
                return;
            };
            weak += swept.check(family);
            let idents: BTreeSet<_> = swept.idents.values().flatten().collect();
            assert_eq!(idents.len(), 1, "{idents:?}");
        }
    }
    assert!(weak > 0, "no sweep met a trace");
}

#[test]
fn all_ping_sockets_of_a_list_send_the_checksum_that_errors_are_compared_with() {
    // Real routers: what they quote is strong, on whichever socket.
    for family in ["4", "6"] {
        let list = format!("for i in $(seq 60); do echo $HOPSHOT_LAB_TARGET{family}; done");
        let script =
            format!("{list} | {HOPSHOT} -n -q1 --json --no-learning --socket ping --targets -");
        let Some(said) = in_lab(&["chain", "3", "--ping", "--"], &["sh", "-c", &script]) else {
            return;
        };
        let documents: Vec<Value> = said
            .stdout
            .lines()
            .map(|line| serde_json::from_str(line).unwrap())
            .collect();
        assert_eq!(documents.len(), 60, "{}", said.stderr);
        for document in documents {
            assert_eq!(document["distance"], 4, "{document}");
            for (_, probe) in answers(&document) {
                assert_eq!(
                    (&probe["evidence"], &probe["changed"]),
                    (&"strong".into(), &Value::Array(Vec::new()))
                );
            }
        }
    }
}

#[test]
fn where_all_hosts_have_one_flow_an_error_that_quotes_no_cookie_is_weak() {
    // Routers of this scenario quote 28 octets; a forger could as well.
    let scenario = std::env::temp_dir().join(format!("hopshot-public-{}.toml", std::process::id()));
    fs::write(&scenario, "hops = 6\nrtt_ms = 10\nquote = 8\n").unwrap();
    let path = scenario.to_str().unwrap();
    for family in ["4", "6"] {
        for socket in ["raw", "ping"] {
            for (flow, evidence) in [("", "strong"), ("--flow 1234", "weak")] {
                let target = format!("$HOPSHOT_LAB_TARGET{family}");
                let script =
                    format!("{HOPSHOT} -n -q1 --json --socket {socket} {flow} {target} {target}");
                let said = in_lab(&["run", path, "--ping", "--"], &["sh", "-c", &script]);
                let Some(said) = said else { return };
                for document in said
                    .stdout
                    .lines()
                    .map(|line| serde_json::from_str::<Value>(line).unwrap())
                {
                    let at_routers: Vec<_> =
                        answers(&document).filter(|(hop, _)| *hop < 6).collect();
                    assert!(!at_routers.is_empty(), "{document}");
                    for (hop, probe) in at_routers {
                        assert_eq!(
                            probe["evidence"], evidence,
                            "hop {hop} {socket} {flow}: {document}"
                        );
                    }
                }
            }
        }
    }
    fs::remove_file(scenario).unwrap();
}
