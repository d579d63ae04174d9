//! TCP and UDP, to real kernels: whether a port is open, and by which path.

use crate::world::{HOPSHOT, Said, command_on_chain, hopshot};
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
            assert_eq!(document["probes_sent"], 12);
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
        last.contains(",tcp,4430,") && last.ends_with(",syn_ack"),
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
        said.stdout.contains("TCP port 4430, source port"),
        "{}",
        said.stdout
    );
    let said = on_chain(&["--format", "json-stream", target]).unwrap();
    let begin: Value = serde_json::from_str(said.stdout.lines().next().unwrap()).unwrap();
    assert_eq!(
        (&begin["protocol"], &begin["port"]),
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
fn several_hosts_have_a_source_port_each() {
    for protocol in ["-T", "-U"] {
        let args = [
            "-n", "-q1", "--json", protocol, "-p", OPEN, TARGETS[0], TARGETS[1], "10.3.0.1",
        ];
        let Some(said) = on_chain(&args) else { return };
        let documents = said
            .stdout
            .lines()
            .map(|line| serde_json::from_str::<Value>(line).unwrap());
        let mut ports: Vec<u64> = documents
            .map(|document| {
                assert_eq!(document["stop_reason"], "reached", "{document}");
                document["source_port"].as_u64().unwrap()
            })
            .collect();
        ports.sort_unstable();
        ports.dedup();
        assert_eq!(ports.len(), 3, "{ports:?}");
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
            "--port goes with --tcp or --udp: ICMP has no ports",
        ),
        (
            &["--source-port", "80"],
            "--source-port goes with --tcp or --udp",
        ),
        (&["--quic"], "--quic goes with --udp only"),
        (&["-U", "--full-syn"], "--full-syn goes with --tcp only"),
        (&["-T", "--socket", "ping"], "ping sockets send ICMP only"),
        (&["-T", "--mtu"], "a SYN has the size that it has"),
        (&["-T", "--size", "100"], "a SYN has the size that it has"),
        (
            &["-U", "--flow", "7"],
            "only ICMP has one; --source-port tells flows apart",
        ),
        (
            &["-U", "--ident", "7"],
            "only ICMP has one; --source-port tells flows apart",
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
