//! Extensions that routers append to their answers, and answers that were rejected.

use crate::world::{HOPSHOT, command_in_scenario, hopshot, in_scenario};
use serde_json::{Value, json};

/// The extensions of hops 4 to 8 of the scenario "mpls".
fn assert_extensions(document: &Value, interface_address: &str) {
    let probes = |hop: usize| {
        document["hops"][hop - 1]["probes"]
            .as_array()
            .unwrap()
            .iter()
    };
    let label =
        |label, tc, bottom, ttl| json!({"label": label, "tc": tc, "bottom": bottom, "ttl": ttl});
    for hop in 1..=12 {
        let (mpls, interface) = match hop {
            4..=6 => (json!([label(24001, 0, true, 1)]), Value::Null),
            7 => (
                json!([label(24002, 3, false, 1), label(16, 0, true, 2)]),
                Value::Null,
            ),
            8 => {
                let (role, name, address) = ("incoming", "xe-0/0/1", interface_address);
                (
                    json!([]),
                    json!({"role": role, "index": 7, "name": name, "address": address, "mtu": 9000}),
                )
            }
            _ => (json!([]), Value::Null),
        };
        assert!(probes(hop).len() > 0);
        for probe in probes(hop) {
            assert_eq!(
                (&probe["mpls"], &probe["interface"]),
                (&mpls, &interface),
                "hop {hop}: {document}"
            );
            assert_eq!(probe["unknown_objects"], 0);
        }
    }
}

#[test]
fn what_routers_append_is_in_json_on_either_socket() {
    for socket in ["raw", "ping"] {
        for (target, address) in [("{4}", "10.8.0.1"), ("{6}", "2001:db8:8::1")] {
            let command = [HOPSHOT, "-n", "--json", "--socket", socket, target];
            let Some(said) = command_in_scenario("mpls", true, &command) else {
                return;
            };
            assert_extensions(&said.json(), address);
        }
    }
}

#[test]
fn what_routers_append_is_shown_below_their_line_if_asked_for() {
    let Some(said) = in_scenario("mpls", &["-n", "-e", "{4}"]) else {
        return;
    };
    let lines: Vec<&str> = said.stdout.lines().collect();
    assert_eq!(lines.len(), 13 + 5, "{}", said.stdout);
    assert!(lines[4].starts_with(" 4  10.4.0.1 "), "{}", said.stdout);
    assert_eq!(lines[5], "    <MPLS:L=24001,E=0,S=1,T=1>");
    assert_eq!(lines[11], "    <MPLS:L=24002,E=3,S=0,T=1/L=16,E=0,S=1,T=2>");
    assert_eq!(lines[13], "    <INC:7,10.8.0.1,\"xe-0/0/1\",mtu=9000>");
    let Some(said) = in_scenario("mpls", &["-n", "{4}"]) else {
        return;
    };
    assert_eq!(said.stdout.lines().count(), 13);
    let Some(said) = in_scenario(
        "mpls",
        &["-n", "--extensions", "--format", "markdown", "{6}"],
    ) else {
        return;
    };
    assert!(
        said.stdout.contains(r"| \<MPLS:L=24001,E=0,S=1,T=1\> "),
        "{}",
        said.stdout
    );
    let Some(said) = in_scenario("mpls", &["-n", "--format", "markdown", "{6}"]) else {
        return;
    };
    assert!(
        !said.stdout.contains("MPLS") && !said.stdout.contains("Appended"),
        "{}",
        said.stdout
    );
    for options in [
        &["--watch"][..],
        &["--paths"],
        &["--format", "svg"],
        &["--format", "dot"],
    ] {
        let said = hopshot(&[options, &["-e", "127.0.0.1"]].concat());
        assert_eq!((said.status, said.stdout.as_str()), (2, ""), "{options:?}");
        assert!(
            said.stderr
                .starts_with("hopshot: -e goes with a single path as text, "),
            "{}",
            said.stderr
        );
    }
}

#[test]
fn the_name_of_an_interface_can_do_no_harm_to_a_terminal() {
    let Some(said) = in_scenario("interface-name", &["-n", "-e", "{4}"]) else {
        return;
    };
    assert!(
        said.stdout
            .chars()
            .all(|c| c.is_ascii_graphic() || " \n".contains(c)),
        "{:?}",
        said.stdout
    );
    assert!(
        said.stdout
            .contains(r#"    <INC:7,10.2.0.1,"a\u{1b}[2J\u{20}\u{202e}b\u{a}",mtu=1500>"#),
        "{}",
        said.stdout
    );
    let Some(said) = in_scenario("interface-name", &["-n", "--json", "{6}"]) else {
        return;
    };
    let name = said.json()["hops"][1]["probes"][0]["interface"]["name"]
        .as_str()
        .unwrap()
        .to_owned();
    assert_eq!(name, r"a\u{1b}[2J\u{20}\u{202e}b\u{a}");
}

#[test]
fn what_was_rejected_is_counted_and_said_if_asked_for() {
    let rejected = |scenario: &str, target: &str| -> Option<Value> {
        in_scenario(scenario, &["-n", "--json", "--socket", "raw", target])
            .map(|said| said.json()["rejected"].clone())
    };
    for target in ["{4}", "{6}"] {
        let Some(clean) = rejected("wan", target) else {
            return;
        };
        let counts = ["forged", "bad_checksum", "malformed", "not_ours", "dropped"];
        assert!(counts.iter().all(|count| clean[count] == 0), "{clean}");
        // Routers that quote less than tells whose probe it was.
        let Some(truncated) = rejected("truncated", target) else {
            return;
        };
        assert!(truncated["malformed"].as_u64() >= Some(4), "{truncated}");
        let Some(bad) = rejected("badchecksum", target) else {
            return;
        };
        // In IPv6 the kernel finds them.
        let count = if target == "{4}" {
            "bad_checksum"
        } else {
            "dropped"
        };
        assert!(bad[count].as_u64() >= Some(1), "{bad}");
    }
    let Some(said) = in_scenario("truncated", &["-n", "-v", "--socket", "raw", "{4}"]) else {
        return;
    };
    let last = said.stderr.lines().last().unwrap();
    assert!(
        last.starts_with("hopshot: rejected: ") && last.ends_with(" malformed"),
        "{}",
        said.stderr
    );
    let Some(said) = in_scenario("wan", &["-n", "-v", "{4}"]) else {
        return;
    };
    assert_eq!(
        said.stderr.lines().last(),
        Some("hopshot: rejected: nothing")
    );
}
