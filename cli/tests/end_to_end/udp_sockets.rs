//! UDP by sockets that every user may open.

use crate::world::users::{Copy, NOBODY, can_be_nobody};
use crate::world::{FAMILIES, HOPSHOT, command_on_chain, in_lab};
use serde_json::Value;
use std::collections::HashSet;

/// Reads what each hop shows: who answered, and how well that is proven.
fn shown(document: &Value) -> Vec<Vec<(String, String)>> {
    let of_probe = |probe: &Value| {
        let field = |name: &str| probe[name].as_str().map(str::to_owned);
        Some((field("from")?, field("evidence")?))
    };
    let of_hop = |hop: &Value| {
        let probes = hop["probes"].as_array().unwrap().iter();
        probes.filter_map(of_probe).collect()
    };
    document["hops"]
        .as_array()
        .unwrap()
        .iter()
        .map(of_hop)
        .collect()
}

fn traced(scenario: &str, socket: &str, target: &str) -> Option<Value> {
    let options = [
        "run", "--seed", "7", scenario, "--", HOPSHOT, "-n", "-q1", "--json", "-U",
    ];
    let said = in_lab(
        &options,
        &["--socket", socket, "--source-port", "40001", target],
    )?;
    let document = said.json();
    assert_eq!(document["socket"], socket);
    assert_eq!(
        (&document["source_port"], &document["protocol"]),
        (&40_001.into(), &"udp".into())
    );
    Some(document)
}

#[test]
fn the_route_is_that_of_raw_sockets() {
    for (_, target) in FAMILIES {
        for scenario in [
            "short", "wan", "long", "silent", "dup", "mpls", "loop", "altreply", "hostile",
        ] {
            let [Some(raw), Some(udp)] =
                ["raw", "udp"].map(|socket| traced(scenario, socket, target))
            else {
                return;
            };
            assert_eq!(shown(&udp), shown(&raw), "{scenario}");
            for field in ["distance", "stop_reason", "reached"] {
                assert_eq!(udp[field], raw[field], "{scenario}");
            }
            if scenario == "mpls" {
                let labels = |document: &Value| document["hops"][4]["probes"][0]["mpls"].clone();
                assert_eq!(labels(&udp), labels(&raw));
                assert!(
                    labels(&udp)
                        .as_array()
                        .is_some_and(|labels| !labels.is_empty()),
                    "{udp}"
                );
            }
        }
    }
}

#[test]
fn a_router_that_quotes_no_payload_looks_silent_and_misleads_nobody() {
    for (_, target) in FAMILIES {
        let Some(document) = traced("short-quotes", "udp", target) else {
            return;
        };
        assert_eq!(
            (&document["distance"], &document["stop_reason"]),
            (&12.into(), &"reached".into())
        );
        let shown = shown(&document);
        assert!(shown[..11].iter().all(Vec::is_empty), "{document}");
    }
}

#[test]
fn nobody_has_the_whole_route_and_the_state_of_the_port() {
    const TEST: &str = "nobody_has_the_whole_route_and_the_state_of_the_port";
    if !can_be_nobody(TEST) {
        return;
    }
    let copy = Copy::new("udp");
    for target in ["10.4.0.1", "2001:db8:4::1"] {
        for (port, answer) in [("4430", "datagram"), ("4431", "port_unreachable")] {
            let args = [copy.path(), "-n", "--json", "-U", "-p", port, target];
            let command = [&NOBODY[..], &args].concat();
            let Some(said) = command_on_chain(3, &["--serve", "4430"], &command) else {
                return;
            };
            let document = said.json();
            assert_eq!(
                (&document["socket"], &document["distance"]),
                (&"udp".into(), &4.into())
            );
            let hops = document["hops"].as_array().unwrap();
            for hop in &hops[..3] {
                let probes = hop["probes"].as_array().unwrap();
                assert!(
                    probes.iter().all(|probe| probe["evidence"] == "strong"),
                    "{hop}"
                );
            }
            let last = hops[3]["probes"].as_array().unwrap();
            assert!(
                last.iter().all(|probe| probe["answer"] == answer),
                "{document}"
            );
        }
        // More hosts than sockets.
        let hosts = [target; 40];
        let args = [&[copy.path(), "-n", "-q1", "--json", "-U"][..], &hosts].concat();
        let said = command_on_chain(3, &[], &[&NOBODY[..], &args].concat()).unwrap();
        let documents = said
            .stdout
            .lines()
            .map(|line| serde_json::from_str::<Value>(line).unwrap());
        let distances: Vec<Value> = documents
            .map(|document| document["distance"].clone())
            .collect();
        assert_eq!(distances, vec![Value::from(4); 40], "{}", said.stderr);
        let watch = [
            "-n", "-q1", "--json", "-U", "--watch", "--count", "3", "--every", "0.2",
        ];
        let args = [&[copy.path()][..], &watch, &[target]].concat();
        let said = command_on_chain(3, &[], &[&NOBODY[..], &args].concat()).unwrap();
        let document = said.json();
        assert_eq!(
            (&document["rounds"], &document["distance"]),
            (&3.into(), &4.into())
        );
        assert!(
            document["hops"]
                .as_array()
                .unwrap()
                .iter()
                .all(|hop| hop["lost"] == 0),
            "{document}"
        );
    }
}

#[test]
fn a_port_that_another_program_has_is_an_error() {
    for host in ["127.0.0.1", "::1"] {
        let held = std::net::UdpSocket::bind((host, 0)).unwrap();
        let port = held.local_addr().unwrap().port().to_string();
        let said = crate::world::hopshot(&["-U", "--socket", "udp", "--source-port", &port, host]);
        assert_eq!(said.status, 2, "{}", said.stdout);
        assert!(said.stderr.contains(&port), "{}", said.stderr);
    }
}

#[test]
fn what_a_udp_socket_cannot_do_is_refused_with_the_reason() {
    for (args, why) in [
        (&[][..], "--socket udp requires --udp"),
        (&["-T"], "--socket udp, which sends UDP only"),
        (&["-U", "--mtu"], "those take raw sockets"),
        (&["-U", "--paths"], "those take raw sockets"),
    ] {
        let said = crate::world::hopshot(&[&["--socket", "udp"], args, &["127.0.0.1"]].concat());
        assert_eq!(said.status, 2, "{args:?}");
        assert!(said.stderr.contains(why), "{args:?}: {}", said.stderr);
    }
}

#[test]
fn a_router_that_quotes_no_payload_is_asked_again_from_another_port() {
    for (_, target) in FAMILIES {
        let trace = |scenario, socket| {
            let options = ["run", "--seed", "7", scenario, "--", HOPSHOT, "-n", "-q1"];
            let more = ["--json", "-U", "--socket", socket, target];
            in_lab(&options, &more).map(|said| said.json())
        };
        let [Some(raw), Some(udp)] = ["raw", "udp"].map(|socket| trace("short-quotes", socket))
        else {
            return;
        };
        let who = |document: &Value| -> Vec<Option<String>> {
            let shown = shown(document).into_iter();
            shown.map(|hop| Some(hop.first()?.0.clone())).collect()
        };
        assert_eq!(who(&udp), who(&raw));
        let evidence: Vec<String> = shown(&udp).concat().into_iter().map(|it| it.1).collect();
        assert_eq!(evidence, [&["weak"; 11][..], &["strong"]].concat());
        assert_eq!(
            (&udp["one_flow"], &udp["distance"], &udp["stop_reason"]),
            (&false.into(), &12.into(), &"reached".into())
        );
        // Each left from a port of its own, and the others from that of the trace.
        let ports = |document: &Value| -> Vec<Value> {
            let hops = document["hops"].as_array().unwrap().iter();
            let probes = hops.flat_map(|hop| hop["probes"].as_array().unwrap());
            let answered = probes.filter(|probe| !probe.is_null());
            answered.map(|probe| probe["source_port"].clone()).collect()
        };
        let (own, told) = (&udp["source_port"], ports(&udp));
        let (last, detours) = told.split_last().unwrap();
        assert!(last.is_null() && !detours.contains(own), "{udp}");
        let different: HashSet<u64> = detours.iter().filter_map(Value::as_u64).collect();
        assert_eq!(different.len(), 11, "{udp}");
        assert!(ports(&raw).iter().all(Value::is_null), "{raw}");
        let options = [
            "run",
            "--seed",
            "7",
            "short-quotes",
            "--",
            HOPSHOT,
            "-n",
            "-q1",
        ];
        let more = ["--json-stream", "-U", "--socket", "udp", target];
        let events = in_lab(&options, &more).unwrap().stdout;
        let events = events
            .lines()
            .map(|line| serde_json::from_str::<Value>(line).unwrap());
        let weak = events.filter(|event| event["evidence"] == "weak");
        let ports: HashSet<u64> = weak.filter_map(|it| it["source_port"].as_u64()).collect();
        assert_eq!(ports.len(), 11);
        // Where routers quote enough, nothing leaves the flow.
        let whole = trace("wan", "udp").unwrap();
        assert_eq!(whole["one_flow"], true);
        assert!(shown(&whole).concat().iter().all(|it| it.1 == "strong"));
    }
}

#[test]
fn answers_of_routers_that_quote_little_stand_in_one_column_and_are_not_lost() {
    for (_, target) in FAMILIES {
        let run = |more: &[&str]| {
            let options = ["run", "--seed", "7", "short-quotes", "--", HOPSHOT, "-n"];
            let args = [&["-U", "--socket", "udp"][..], more, &[target]].concat();
            in_lab(&options, &args)
        };
        let Some(said) = run(&[]) else {
            return;
        };
        // Behind the hop's number and its address.
        let at_hops = said.stdout.lines().skip(1).take(12);
        let ends: Vec<usize> = at_hops.filter_map(|line| line.find(" ms")).collect();
        assert_eq!(ends, [ends[0]; 12], "{}", said.stdout);
        let document = run(&["--json"]).unwrap().json();
        let hops = document["hops"].as_array().unwrap();
        for hop in &hops[..11] {
            let count = |field: &str| hop[field].as_u64().unwrap();
            let null = hop["probes"].as_array().unwrap().iter();
            let null = null.filter(|probe| probe.is_null()).count() as u64;
            assert!(count("unproven") > 0 && hop["best_ms"].is_null(), "{hop}");
            let told = (count("lost"), count("sent") - count("unproven"));
            assert_eq!(told, (null, null), "{hop}");
        }
        let last = &hops[11];
        assert_eq!((&last["lost"], &last["unproven"]), (&0.into(), &0.into()));
        let said = run(&["-m", "6", "-q1"]).unwrap();
        let last = "it seems to be farther than the hops probed (-m).";
        assert!(
            said.stdout.contains(last) && said.status == 1,
            "{}",
            said.stdout
        );
        let document = run(&["-m", "6", "-q1", "--json"]).unwrap().json();
        assert_eq!(document["stop_reason"], "max_hops", "{document}");
    }
}

#[test]
fn a_comparison_says_that_only_unproven_answers_came() {
    let scenario = format!("{}/silent-short.toml", env!("CARGO_TARGET_TMPDIR"));
    let text = "hops = 6\nrtt_ms = 20\nquote = 8\n[target.udp]\nfiltered = [33434]\n";
    std::fs::write(&scenario, text).unwrap();
    for (_, target) in FAMILIES {
        let args = [
            "-n",
            "--json",
            "--compare=udp,quic",
            "--socket",
            "udp",
            target,
        ];
        let options = ["run", "--seed", "7", &scenario, "--", HOPSHOT];
        let Some(said) = in_lab(&options, &args) else {
            return;
        };
        let verdict = &said.json()["verdict"];
        let end = &verdict["ends"][0];
        assert_eq!(
            (&end["end"], &end["after_hop"], &end["unproven"]["hop"]),
            (&"quiet".into(), &0.into(), &5.into()),
            "{verdict}"
        );
        let sentence = verdict["sentences"][0].as_str().unwrap();
        let begin = "UDP 33434 has only answers that prove nothing, up to hop 5: filtered";
        assert!(sentence.starts_with(begin), "{verdict}");
    }
}
