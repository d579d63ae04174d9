//! Hops that the hosts of a list share are learnt from them, and not from hostile ones.

use crate::survey::{addresses, addresses_or_silence, documents};
use crate::world::{command_in_scenario, in_scenario, shell_in_scenario};
use serde_json::Value;
use std::collections::BTreeMap;

#[test]
fn what_neighbours_taught_spares_probes_unless_that_is_not_wanted() {
    let sent = |more: &[&str]| -> Option<i64> {
        let hosts: Vec<String> = (1..100)
            .map(|number| format!("10.200.3.{number}"))
            .collect();
        let hosts: Vec<&str> = hosts.iter().map(String::as_str).collect();
        let said = in_scenario(
            "many",
            &[&["-n", "-q1", "--json", "--rate", "2000"], more, &hosts].concat(),
        )?;
        let documents = documents(&said.stdout);
        assert_eq!(documents.len(), 99);
        Some(
            documents
                .values()
                .map(|document| document["probes_sent"].as_i64().unwrap())
                .sum(),
        )
    };
    let Some(learning) = sent(&[]) else { return };
    let Some(alone) = sent(&["--no-learning"]) else {
        return;
    };
    // All 12 hops, and 8 past the target for each of the first 16; what was learnt spares the
    // routers near us too.
    assert!((99 * 12..99 * 17).contains(&alone), "{alone}");
    assert!(learning < alone - 99, "{learning}");
}

#[test]
fn the_routers_near_us_are_not_probed_for_each_host_and_a_change_among_them_is_noticed() {
    let scenario = concat!(env!("CARGO_MANIFEST_DIR"), "/tests/data/shared.toml");
    for kind in ["raw", "ping"] {
        for attempts in ["-q1", "-q2"] {
            let list = "for i in $(seq 250); do echo 10.200.$((i % 16)).$((i / 16)); done";
            let script = format!(
                "{list} | {} -n {attempts} --json --socket {kind} --targets -",
                crate::world::HOPSHOT
            );
            let Some(said) = command_in_scenario(scenario, true, &["sh", "-c", &script]) else {
                return;
            };
            assert_eq!((said.status, said.stderr.as_str()), (0, ""));
            let documents = documents(&said.stdout);
            assert_eq!(documents.len(), 250);
            let (mut sharing, mut detours) = (0, 0);
            for (host, document) in documents {
                let none = Vec::new();
                let shared = document["shared"].as_array().unwrap_or(&none);
                let numbers = shared
                    .iter()
                    .chain(document["hops"].as_array().unwrap())
                    .map(|hop| hop["hop"].as_u64().unwrap());
                assert_eq!(
                    numbers.collect::<Vec<_>>(),
                    (1..=12).collect::<Vec<_>>(),
                    "{document}"
                );
                let path = addresses(&document);
                let [is_as_before, is_detour] =
                    ["10.5.0.1", "10.5.99.1"].map(|router| path[4] == router);
                assert!(is_as_before || is_detour, "{path:?}");
                assert_eq!(path[..4], [1, 2, 3, 4].map(|hop| format!("10.{hop}.0.1")));
                assert_eq!(
                    (&path[11], &document["distance"]),
                    (&host, &Value::from(12))
                );
                sharing += usize::from(document.get("shared").is_some());
                detours += usize::from(is_detour);
            }
            assert!(
                sharing > 100 && detours > 100,
                "{sharing} share, {detours} go the other way"
            );
        }
    }
}

/// 301 hosts of the scenarios with usurpers, in different networks, and the hostile ones first.
fn usurpers_first(family: &str) -> Vec<String> {
    (0..301)
        .map(|number| neighbour(family, number * 257 % 4096))
        .collect()
}

#[test]
fn a_few_hostile_hosts_of_a_list_name_no_router_in_the_results_of_others_and_do_not_stop_the_learning()
 {
    for (name, hostile) in [("usurper", 1), ("usurpers", 15)] {
        let scenario = format!("{}/tests/data/{name}.toml", env!("CARGO_MANIFEST_DIR"));
        for family in ["-4", "-6"] {
            let list = usurpers_first(family);
            let file = format!("{}/{name}{family}", env!("CARGO_TARGET_TMPDIR"));
            std::fs::write(&file, list.join("\n")).unwrap();
            check_attack(&scenario, &list[..hostile]);
            for (kind, intake) in [
                ("raw", "< $LIST"),
                ("ping", "cat $LIST |"),
                ("raw", "arguments"),
            ] {
                let options = format!("$0 {family} -n -q1 --json --rate 3000 --socket {kind}");
                let command = match intake {
                    "arguments" => format!("{options} $(cat {file})"),
                    "< $LIST" => format!("{options} --targets {file}"),
                    _ => format!("cat {file} | {options} --targets -"),
                };
                let command = ["sh", "-c", &command, crate::world::HOPSHOT];
                let Some(said) = command_in_scenario(&scenario, true, &command) else {
                    return;
                };
                assert_eq!(
                    (said.status, said.stderr.as_str()),
                    (0, ""),
                    "{name} {family} {kind} {intake}"
                );
                check_unusurped(&documents(&said.stdout), &list, hostile);
            }
        }
    }
}

/// Nothing but the results of the hostile hosts themselves has their name, and the others share
/// what is true.
fn check_unusurped(documents: &BTreeMap<String, Value>, list: &[String], hostile: usize) {
    assert_eq!(documents.len(), list.len());
    let mut sharing = 0;
    for host in &list[hostile..] {
        let document = &documents[host];
        assert!(
            !addresses_or_silence(document).contains(&list[0]),
            "{document}"
        );
        assert_eq!(
            (document["reached"].clone(), document["distance"].as_u64()),
            (true.into(), Some(12))
        );
        let Some(shared) = document["shared"].as_array() else {
            continue;
        };
        sharing += 1;
        for hop in shared {
            let [number, seen, of] =
                ["hop", "seen", "of"].map(|field| hop[field].as_u64().unwrap());
            let is_named = hop["from"].is_string();
            assert_eq!(is_named, number != 3, "{document}");
            assert!(
                if is_named {
                    (16..=of).contains(&seen)
                } else {
                    seen == 0
                },
                "{document}"
            );
        }
    }
    assert!(sharing > list.len() / 3, "{sharing}");
}

/// The attack works where it can: in the hostile hosts' own results, on both kinds of sockets.
fn check_attack(scenario: &str, hostile: &[String]) {
    for kind in ["raw", "ping"] {
        let options = ["-n", "-q1", "--json", "--no-learning", "--socket", kind];
        let hosts: Vec<&str> = hostile.iter().map(String::as_str).collect();
        let command = [&[crate::world::HOPSHOT], &options[..], &hosts].concat();
        let Some(said) = command_in_scenario(scenario, true, &command) else {
            return;
        };
        let lines = said.stdout.lines();
        let documents = lines.map(|line| serde_json::from_str::<Value>(line).unwrap());
        let usurped = documents.filter(|document| addresses_or_silence(document)[2] == hostile[0]);
        assert_eq!(usurped.count(), hostile.len(), "{kind}: {}", said.stdout);
    }
}

#[test]
fn hosts_that_seem_far_away_have_their_neighbours_swept_no_farther() {
    // Those that lie are 96 of 2,048, and the first of the list.
    let (liars, honest): (Vec<u32>, Vec<u32>) = (0..2048).partition(|place| place % 64 < 3);
    let scenario = std::fs::read_to_string(format!(
        "{}/tests/data/liars.toml",
        env!("CARGO_MANIFEST_DIR")
    ))
    .unwrap();
    let truth = scenario
        .lines()
        .filter(|line| !line.starts_with("liar ="))
        .map(|line| format!("{line}\n"))
        .collect();
    for family in ["-4", "-6"] {
        let list: Vec<String> = liars
            .iter()
            .chain(&honest)
            .map(|place| neighbour(family, *place))
            .collect();
        let folder = env!("CARGO_TARGET_TMPDIR");
        let hosts = format!("{folder}/liars{family}");
        std::fs::write(&hosts, list.join("\n")).unwrap();
        let mut probes = Vec::new();
        for text in [&truth, &scenario] {
            let path = format!("{folder}/liars{family}.toml");
            std::fs::write(&path, text).unwrap();
            let options = [
                family,
                "-n",
                "-q1",
                "--json",
                "--rate",
                "3000",
                "--targets",
                &hosts,
            ];
            let command = [&[crate::world::HOPSHOT], &options[..]].concat();
            let Some(said) = command_in_scenario(&path, true, &command) else {
                return;
            };
            let documents = documents(&said.stdout);
            let sent = |host: &String| documents[host]["probes_sent"].as_u64().unwrap();
            probes.push(list[liars.len()..].iter().map(sent).sum::<u64>());
            // The lie works: the liars themselves stand at hop 32.
            let distance = if text == &truth { 12 } else { 32 };
            assert_eq!(
                documents[&list[0]]["distance"], distance,
                "{}",
                documents[&list[0]]
            );
        }
        assert!(probes[1] * 20 < probes[0] * 21, "{family}: {probes:?}");
    }
}

/// A host of the scenarios with usurpers or liars.
fn neighbour(family: &str, place: u32) -> String {
    match family {
        "-4" => format!("10.200.{}.{}", place / 256, place % 256),
        _ => format!(
            "2001:db8:{:x}:{:x}::",
            0x1000 + place / 16,
            place % 16 * 0x1000
        )
        .replace(":0::", "::"),
    }
}

#[test]
fn hosts_of_one_network_spare_each_other_probes_and_name_no_router() {
    let script =
        "for i in $(seq 120); do echo 10.200.0.$i; done | $0 -n -q1 --json --rate 3000 --targets -";
    let Some(said) = shell_in_scenario("many", script) else {
        return;
    };
    let documents = documents(&said.stdout);
    let shared: Vec<&Value> = documents
        .values()
        .filter_map(|document| document["shared"].as_array())
        .flatten()
        .collect();
    assert!(
        documents.len() == 120 && shared.len() > 200,
        "{}",
        shared.len()
    );
    assert!(
        shared
            .iter()
            .all(|hop| hop["from"].is_null() && hop["seen"] == 0 && hop["of"].as_u64() >= Some(16))
    );
    // No star, which would say that they were asked and did not answer.
    for (format, line) in [
        ("text", "\n 1-10  shared\n"),
        ("dot", "[label=\"1-10  shared\" "),
        ("markdown", "1-10 | shared "),
    ] {
        let script = script.replace("--json", &format!("--format {format}"));
        let Some(said) = shell_in_scenario("many", &script) else {
            return;
        };
        assert!(
            said.stdout.contains(line) && !said.stdout.contains(" 1  *"),
            "{format}: {}",
            said.stdout
        );
    }
}
