//! Lists and all paths by TCP: what a trace finds, they find too, or say that they do not.

use crate::world::{HOPSHOT, in_lab};
use serde_json::Value;

#[test]
fn every_host_of_a_list_is_found_behind_silent_routers_and_a_firewall() {
    let scenario = concat!(env!("CARGO_MANIFEST_DIR"), "/tests/data/dark.toml");
    let v4 = (1..=24).map(|host| format!("10.200.0.{host}")).collect();
    let v6 = (1..=24).map(|host| format!("2001:db8:ffff:1::{host:x}"));
    let lists: [Vec<String>; 2] = [v4, v6.collect()];
    for hosts in lists {
        for attempts in ["-q1", "-q3"] {
            let options = [
                "run", scenario, "--", HOPSHOT, "-n", "--json", "-T", attempts,
            ];
            let hosts: Vec<&str> = hosts.iter().map(String::as_str).collect();
            let Some(said) = in_lab(&options, &hosts) else {
                return;
            };
            let documents = said.stdout.lines();
            let documents = documents.map(|line| serde_json::from_str::<Value>(line).unwrap());
            let found = documents.filter(|document| {
                assert_eq!(document["distance"], 12, "{document}");
                document["stop_reason"] == "reached"
            });
            assert_eq!(found.count(), hosts.len());
        }
    }
}

#[test]
fn all_paths_to_a_target_that_answers_none_of_the_flows_end_before_it() {
    for target in ["{4}", "{6}"] {
        let options = ["run", "first-syn", "--", HOPSHOT, "-n", "-T", "--paths"];
        let Some(said) = in_lab(&options, &["--json", target]) else {
            return;
        };
        let document = said.json();
        assert_eq!(document["reached"], true, "{document}");
        assert_eq!(document["knock"], "syn_ack", "{document}");
        let said = in_lab(&options, &[target]).unwrap();
        assert!(
            said.stdout
                .contains(" is [open], but answered probes of no flow")
        );
        assert!(
            said.stdout.contains("none is missing before hop 5"),
            "{}",
            said.stdout
        );
    }
}
