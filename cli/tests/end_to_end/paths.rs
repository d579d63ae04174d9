//! All paths to a host: in every scenario that balances load, the graph is the true one.

use crate::world::{
    FAMILIES, HOPSHOT, Said, command_in_scenario, hopshot, in_scenario, on_chain, shell_in_scenario,
};
use hopshot_lab::{Internet, Scenario, Truth};
use serde_json::Value;
use std::collections::BTreeSet;
use std::net::IpAddr;

/// From one hop to the next.
type Link = ((u64, Option<IpAddr>), (u64, Option<IpAddr>));

/// The links that are known to be there, or those that may be.
fn links(document: &Value, are_certain: bool) -> BTreeSet<Link> {
    let node = |edge: &Value, end: &str| {
        let node = &document["nodes"][usize::try_from(edge[end].as_u64().unwrap()).unwrap()];
        (
            node["hop"].as_u64().unwrap(),
            node["address"]
                .as_str()
                .map(|address| address.parse().unwrap()),
        )
    };
    let edges = document["edges"]
        .as_array()
        .expect("edges is a list")
        .iter();
    let wanted = edges.filter(|edge| edge["certain"] == are_certain && edge["from"] != 0);
    wanted
        .map(|edge| (node(edge, "from"), node(edge, "to")))
        .collect()
}

fn true_links(truth: &Truth) -> BTreeSet<Link> {
    let paths = truth
        .paths
        .iter()
        .map(|path| (1..).zip(path.hops.iter().copied()).collect::<Vec<_>>());
    paths
        .flat_map(|hops| {
            hops.windows(2)
                .map(|pair| (pair[0], pair[1]))
                .collect::<Vec<_>>()
        })
        .collect()
}

/// As sure as can be asked for: one run in 100,000 may miss something at a balancer.
fn all_paths(scenario: &str, kind: &str, target: &str) -> Option<Said> {
    let options = [
        "--paths",
        "-n",
        "--json",
        "--confidence",
        "99.999",
        "--rate",
        "5000",
        "--socket",
        kind,
        target,
    ];
    command_in_scenario(scenario, true, &[&[HOPSHOT][..], &options].concat())
}

fn scenario(name: &str) {
    for kind in ["raw", "ping"] {
        for (family, target) in FAMILIES {
            let Some(said) = all_paths(name, kind, target) else {
                return;
            };
            let document = said.json();
            let truth =
                true_links(&Internet::new(&Scenario::named(name).unwrap(), 1).truth(family));
            let (certain, doubtful) = (links(&document, true), links(&document, false));
            let either: BTreeSet<Link> = certain.union(&doubtful).copied().collect();
            assert!(
                certain.is_subset(&truth),
                "{name} {kind} {target}: {certain:?}\n{truth:?}\n{document}"
            );
            assert!(
                either.is_superset(&truth),
                "{name} {kind} {target}: {either:?}\n{truth:?}\n{document}"
            );
            assert_eq!(doubtful.is_empty(), name != "ecmp-packet", "{document}");
            assert_eq!(
                (&document["completeness"], said.status),
                (&"complete".into(), 0),
                "{document}"
            );
        }
    }
}

macro_rules! scenarios {
    ($($test:ident: $name:literal),+ $(,)?) => {
        $(#[test]
        fn $test() {
            scenario($name);
        })+

        #[test]
        fn every_scenario_that_balances_load_is_among_these() {
            let balancing: Vec<&str> = Scenario::names().filter(|name| name.starts_with("ecmp")).collect();
            assert_eq!(balancing, [$($name),+]);
        }
    };
}

scenarios! {
    two_diamonds_are_found: "ecmp",
    balancing_by_packet_is_told_from_balancing_by_flow: "ecmp-packet",
    branches_of_different_lengths_are_found: "ecmp-uneven",
    eight_branches_are_found: "ecmp-wide",
    branches_that_each_lead_to_each_other_are_found: "ecmp-mesh",
}

#[test]
fn a_plain_path_is_one_path_also_where_real_routers_limit_their_answers() {
    let Some(said) = on_chain(3, &["--paths", "-n", "--json", "{4}"]) else {
        return;
    };
    let document = said.json();
    assert_eq!(
        (&document["paths"], &document["flows"], said.status),
        (&1.into(), &10.into(), 0),
        "{document}"
    );
}

#[test]
fn a_target_that_does_not_answer_is_said_not_to() {
    let Some(said) = in_scenario("deadtarget", &["--paths", "-n", "{4}"]) else {
        return;
    };
    assert_eq!(said.status, 1);
    assert!(
        said.stdout
            .contains("\nNo answer from 10.255.0.80.\n1 path: "),
        "{}",
        said.stdout
    );
}

#[test]
fn a_path_that_goes_round_is_said_to_by_a_search_and_by_a_watch() {
    for (_, target) in FAMILIES {
        for options in [&["--paths", "-m", "12"][..], &["--watch", "--count", "1"]] {
            let Some(said) = in_scenario("loop", &[&["-n"], options, &[target]].concat()) else {
                return;
            };
            assert!(
                said.status == 1 && said.stdout.contains("the path goes round in a loop"),
                "{}",
                said.stdout
            );
        }
    }
}

#[test]
fn a_target_that_refuses_is_told_from_a_router_that_does() {
    let refusing = concat!(env!("CARGO_MANIFEST_DIR"), "/tests/data/refusing.toml");
    for (scenario, sentence) in [
        (
            refusing,
            "\n10.255.0.80 answers only that it can't be reached.\n",
        ),
        (
            "unreach",
            "\nNo answer from 10.255.0.80: a hop says that it can't be reached.\n",
        ),
    ] {
        let Some(said) = in_scenario(scenario, &["--paths", "-n", "{4}"]) else {
            return;
        };
        assert!(
            said.status == 1 && said.stdout.contains(sentence),
            "{}",
            said.stdout
        );
    }
}

#[test]
fn of_a_path_that_is_longer_than_what_was_probed_only_the_beginning_is_sure() {
    let Some(said) = in_scenario("wan", &["--paths", "-n", "-m", "5", "{4}"]) else {
        return;
    };
    let sentences = "\nNo answer from 10.255.0.80: it is farther than the hops probed (-m).\n\
                     1 path: 95 % sure that none is missing before hop 5. ";
    assert!(
        said.status == 1 && said.stdout.contains(sentences),
        "{}",
        said.stdout
    );
}

#[test]
fn where_nobody_answers_there_is_no_path_and_nothing_to_be_sure_of() {
    let Some(said) = in_scenario(
        "deadtarget",
        &["--paths", "-n", "-f", "14", "-m", "16", "{4}"],
    ) else {
        return;
    };
    assert_eq!(said.status, 1);
    assert!(
        said.stdout
            .contains("\nNo answer from 10.255.0.80.\n0 paths: not complete, "),
        "{}",
        said.stdout
    );
}

#[test]
fn a_silent_router_beside_others_is_told_and_nobody_is_said_to_lead_on_from_it() {
    let scenario = concat!(env!("CARGO_TARGET_TMPDIR"), "/silent-beside.toml");
    let text = "about = 'one of two is silent'\nhops = 8\nrtt_ms = 40\nhop = [{ at = 4, silent = true }]\n\
                diamond = [{ at = 4, lengths = [2, 2] }]\n";
    std::fs::write(scenario, text).unwrap();
    let Some(said) = in_scenario(
        scenario,
        &["--paths", "-n", "--confidence", "99.999", "{4}"],
    ) else {
        return;
    };
    assert!(
        said.stdout
            .contains(" path: not complete, routers did not answer"),
        "{}",
        said.stdout
    );
    let line = said
        .stdout
        .lines()
        .find(|line| line.starts_with(" 5") && line.contains(" 10.5.0.1 "));
    assert!(
        line.is_some_and(|line| line.contains("  from 4?  --flow ")),
        "{}",
        said.stdout
    );
}

#[test]
fn what_is_known_is_shown_when_the_route_goes_away_and_why_there_is_no_more() {
    let script = "(sleep 2; for device in $(ip -o link | cut -d : -f 2 | cut -d @ -f 1); do ip link set $device down; done) & \
                  exec $0 --paths -n --json --rate 20 10.255.0.80";
    let Some(said) = shell_in_scenario("wan", script) else {
        return;
    };
    let document = said.json();
    assert_eq!(
        (&document["completeness"], said.status),
        (&"interrupted".into(), 2),
        "{document}"
    );
    assert!(
        document["flows"] != 0 && said.stderr.contains("no route to 10.255.0.80"),
        "{document} {}",
        said.stderr
    );
}

#[test]
fn what_is_on_its_way_when_a_search_is_interrupted_is_not_lost() {
    for kind in ["raw", "ping"] {
        for (_, target) in FAMILIES {
            let options = "--paths -n --json --confidence 99.999";
            let script = format!(
                "timeout --foreground -s INT 0.7 {HOPSHOT} {options} --socket {kind} {target}; exit 0"
            );
            let Some(said) = command_in_scenario("ecmp", true, &["sh", "-c", &script]) else {
                return;
            };
            let document = said.json();
            let nodes = document["nodes"].as_array().unwrap();
            assert!(
                document["completeness"] == "interrupted" && nodes.len() > 12,
                "{kind} {target}: {document}"
            );
            assert!(
                nodes.iter().all(|node| node["lost"] == 0),
                "{kind} {target}: {document}"
            );
        }
    }
}

#[test]
fn the_flow_of_a_router_leads_to_it_again() {
    for (_, target) in FAMILIES {
        let Some(said) = in_scenario("ecmp-uneven", &["--paths", "-n", "--json", target]) else {
            return;
        };
        let document = said.json();
        assert_eq!(document["settings"]["max_hops"], 32);
        for node in document["nodes"].as_array().unwrap().iter().skip(1) {
            assert_eq!(
                (node["lost"].as_u64(), node["flow"].is_u64()),
                (Some(0), true),
                "{node}"
            );
            let (hop, flow) = (node["hop"].to_string(), node["flow"].to_string());
            let args = [
                "-n", "-q1", "--json", "-f", &hop, "-m", &hop, "--flow", &flow, target,
            ];
            let Some(said) = in_scenario("ecmp-uneven", &args) else {
                return;
            };
            assert_eq!(
                said.json()["hops"][0]["probes"][0]["from"],
                node["address"],
                "{node}"
            );
        }
    }
}

#[test]
fn what_was_not_probed_is_no_link() {
    let Some(said) = in_scenario(
        "wan",
        &["--paths", "-n", "-f", "5", "--format", "dot", "{4}"],
    ) else {
        return;
    };
    assert!(
        said.stdout
            .contains("\n  n0 -> n1 [style=dotted label=\"up to 4 not probed\"]\n"),
        "{}",
        said.stdout
    );
}

#[test]
fn the_text_says_which_of_several_leads_to_which() {
    let command = ["--paths", "-n", "--confidence", "99.999", "{4}"];
    let Some(said) = in_scenario("ecmp-uneven", &command) else {
        return;
    };
    let lines: Vec<&str> = said.stdout.lines().collect();
    let begins = |line: &str| lines.iter().any(|printed| printed.starts_with(line));
    assert!(
        begins("all paths to 10.255.0.80 (10.255.0.80), 32 hops max"),
        "{}",
        said.stdout
    );
    for line in [
        " 4  10.4.0.1 ",
        " 5a 10.5.0.1 ",
        " 5b 10.5.1.1 ",
        "13  10.255.0.80 ",
        "2 paths: 99.999 % sure ",
    ] {
        assert!(begins(line), "{line}: {}", said.stdout);
    }
    assert!(
        lines
            .iter()
            .any(|line| line.starts_with(" 6b") && line.contains("  from 5b  --flow ")),
        "{}",
        said.stdout
    );
}

#[test]
fn a_graph_has_a_node_for_each_router_and_doubtful_edges_are_dashed() {
    let Some(said) = in_scenario(
        "ecmp-packet",
        &[
            "--paths",
            "--confidence",
            "99.999",
            "--format",
            "dot",
            "{6}",
        ],
    ) else {
        return;
    };
    assert!(
        said.stdout.starts_with("digraph ") && said.stdout.ends_with("}\n"),
        "{}",
        said.stdout
    );
    assert!(
        said.stdout
            .contains(r#"[label="5  core5.fra.example\n2001:db8:5::1\n"#),
        "{}",
        said.stdout
    );
    assert_eq!(
        said.stdout.matches("[style=dashed]").count(),
        4,
        "{}",
        said.stdout
    );
}

#[test]
fn paths_are_those_to_one_host_in_formats_that_have_a_graph() {
    for (args, said) in [
        (
            &["--paths", "192.0.2.1", "192.0.2.2"][..],
            "--paths is for one host",
        ),
        (
            &["--paths", "--format", "csv", "192.0.2.1"],
            "--paths supports the formats text, json and dot only",
        ),
        (
            &["--paths", "--confidence", "100", "192.0.2.1"],
            "must be 50 to 99.999",
        ),
    ] {
        let refused = hopshot(args);
        assert_eq!(refused.status, 2);
        assert!(refused.stderr.contains(said), "{}", refused.stderr);
    }
}
