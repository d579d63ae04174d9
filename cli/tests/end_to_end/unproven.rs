//! An answer that proves nothing: marked wherever it is shown, and no ground for any decision.

use crate::world::read::read;
use crate::world::{HOPSHOT, Said, command_in_scenario};
use serde_json::{Value, json};
use std::cell::RefCell;

/// How hop 3 answers what expires there. Its quotes show nothing that only a witness of the probe
/// can know.
const SAYS: [(&str, &str); 3] = [
    ("time-exceeded", ""),
    (
        "refuses",
        "unreachable = { v4 = [3, 10], v6 = [1, 1], from = 3, to = 3 }",
    ),
    (
        "too-big",
        "unreachable = { v4 = [3, 4], v6 = [2, 0], rest = 1300, from = 3, to = 3 }",
    ),
];

/// Calls hopshot where hop 3 of five answers so, on either kind of socket, in both families.
fn where_one_guesses(name: &str, says: (&str, &str), args: &[&str], check: impl Fn(&str, &str)) {
    where_one_guesses_before(name, says, "", args, |said, run| {
        assert_eq!(said.status, 0, "{run}");
        check(&said.stdout, run);
    });
}

/// The same where the path goes on otherwise behind it.
fn where_one_guesses_before(
    name: &str,
    says: (&str, &str),
    behind: &str,
    args: &[&str],
    check: impl Fn(&Said, &str),
) {
    let scenario = format!("{}/{name}-{}.toml", env!("CARGO_TARGET_TMPDIR"), says.0);
    let hop = format!(
        "[[hop]]\nat = 3\nquote = 8\nnat = ['destination']\n{}\n{behind}\n",
        says.1
    );
    std::fs::write(&scenario, format!("hops = 5\nrtt_ms = 10\n{hop}")).unwrap();
    for (socket, target) in ["raw", "ping"]
        .into_iter()
        .flat_map(|socket| ["{4}", "{6}"].map(|target| (socket, target)))
    {
        let command = [&[HOPSHOT, "-n", "--socket", socket][..], args, &[target]].concat();
        let Some(said) = command_in_scenario(&scenario, true, &command) else {
            return;
        };
        let run = format!(
            "{} {socket} {target} {args:?}: {}{}",
            says.0, said.stdout, said.stderr
        );
        check(&said, &run);
    }
}

/// The lines that have something at their beginning.
pub(crate) fn lines<'t>(text: &'t str, begin: &str) -> Vec<&'t str> {
    text.lines()
        .filter(|line| line.starts_with(begin))
        .collect()
}

#[test]
fn it_is_marked_in_every_format() {
    let [passes, refuses, _] = SAYS;
    for (says, mark) in [(passes, "?"), (refuses, "!X?")] {
        where_one_guesses("text", says, &[], |text, run| {
            let at_hop = lines(text, " 3  ").concat();
            assert!(at_hop.ends_with(&format!(" ms {mark}")), "{run}");
            assert!(
                [" 2  ", " 4  ", " 5  "]
                    .iter()
                    .all(|hop| !lines(text, hop).concat().contains('?')),
                "{run}"
            );
        });
        where_one_guesses("dot", says, &["--format", "dot"], |text, run| {
            let node = text
                .lines()
                .find(|line| line.contains("label=\"3  "))
                .unwrap();
            assert!(
                node.ends_with(&format!(" ms {mark}\" style=\"rounded,dashed\"]")),
                "{run}"
            );
            // To it, and away from it.
            let dashed = text
                .lines()
                .filter(|line| line.contains(" -> ") && line.ends_with(" [style=dashed]"));
            assert_eq!(dashed.count(), 2, "{run}");
        });
        where_one_guesses("markdown", says, &["--format", "markdown"], |text, run| {
            let row = lines(text, "|   3 ").concat();
            assert!(
                row.ends_with(&format!(" {} |", mark.replace('!', "\\!")))
                    && row.contains(" 0 % ? "),
                "{run}"
            );
        });
        where_one_guesses("svg", says, &["--format", "svg"], |text, run| {
            assert!(
                text.contains(&format!(">{mark}</text>")) && text.contains("class=\"hop silent\""),
                "{run}"
            );
        });
    }
    for says in SAYS {
        where_one_guesses("json", says, &["--json"], |text, run| {
            let hop = &read(text)["hops"][2];
            let probes = hop["probes"].as_array().unwrap();
            assert!(
                probes.iter().all(|probe| probe["evidence"] == "weak"),
                "{run}"
            );
            let is_marked = |probe: &Value| {
                probe["changed"]
                    .as_array()
                    .unwrap()
                    .contains(&json!("unproven"))
            };
            assert!(probes.iter().all(is_marked), "{run}");
            assert_eq!(
                (&hop["sent"], &hop["lost"], &hop["best_ms"]),
                (&hop["unproven"], &json!(0), &Value::Null),
                "{run}"
            );
        });
        where_one_guesses("csv", says, &["--format", "csv"], |text, run| {
            let rows: Vec<&str> = text
                .lines()
                .filter(|line| line.split(',').nth(2) == Some("3"))
                .collect();
            assert!(
                !rows.is_empty() && rows.iter().all(|row| row.contains(",weak,")),
                "{run}"
            );
            let count = rows.len().to_string();
            let unproven = |row: &&str| row.rsplit(',').next() == Some(&count);
            assert!(rows.iter().all(unproven), "{run}");
        });
        // It has no mark for it, so its readers see a lost probe.
        where_one_guesses("atlas", says, &["--format", "atlas"], |text, run| {
            let hop = &read(text)["result"][2]["result"];
            let is_beside = |answer: &Value| {
                answer["x"] == "*" && answer["unproven"]["rtt"].is_f64() && answer["rtt"].is_null()
            };
            assert!(hop.as_array().unwrap().iter().all(is_beside), "{run}");
        });
    }
}

#[test]
fn it_breaks_no_silence() {
    let silent: String = [1, 2, 4]
        .iter()
        .map(|hop| format!("[[hop]]\nat = {hop}\nsilent = true\n"))
        .collect();
    for says in SAYS {
        where_one_guesses_before("silence", says, &silent, &["-q1"], |said, run| {
            let last = said.stdout.lines().last().unwrap();
            assert!(
                last.starts_with("No router proved to answer, but the target did: they may never answer, or limit"),
                "{run}"
            );
        });
    }
}

#[test]
fn a_watch_counts_it_as_lost() {
    for says in SAYS {
        where_one_guesses(
            "watch",
            says,
            &["--watch", "--count", "2", "--every", "0.2", "--json"],
            |text, run| {
                let report = read(text);
                let hop = &report["hops"][2];
                assert_eq!(
                    (&hop["sent"], &hop["lost"], &hop["hosts"]),
                    (&json!(2), &json!(2), &json!([])),
                    "{run}"
                );
                assert_eq!(
                    (&report["distance"], &report["changes"]),
                    (&json!(5), &json!([])),
                    "{run}"
                );
            },
        );
    }
}

#[test]
fn it_is_nobody_on_any_path() {
    for says in SAYS {
        where_one_guesses("paths", says, &["--paths", "--json"], |text, run| {
            let document = read(text);
            let nodes = document["nodes"].as_array().unwrap();
            let at_hop: Vec<&Value> = nodes.iter().filter(|node| node["hop"] == 3).collect();
            assert_eq!(
                (at_hop.len(), &at_hop[0]["address"], &at_hop[0]["end"]),
                (1, &Value::Null, &Value::Null),
                "{run}"
            );
            assert_eq!(
                (nodes.len(), &document["completeness"]),
                (6, &json!("complete")),
                "{run}"
            );
        });
    }
}

#[test]
fn it_makes_no_packet_smaller() {
    for says in SAYS {
        where_one_guesses("mtu", says, &["--mtu", "--json"], |text, run| {
            let document = read(text);
            assert_eq!(
                (&document["path_mtu"], &document["mtu_limits"]),
                (&json!(1500), &json!([])),
                "{run}"
            );
            assert_eq!(
                (&document["hops"][1]["mtu"], &document["hops"][2]["mtu"]),
                (&json!(1500), &Value::Null),
                "{run}"
            );
        });
    }
}

/// The probes that a search takes on each kind of socket, by both families, where somebody guesses.
fn probes_of_a_search(says: (&str, &str)) -> Vec<u64> {
    let closed = "[[hop]]\nat = 4\nunreachable = { v4 = [3, 10], v6 = [1, 1] }";
    let probes = RefCell::new(Vec::new());
    where_one_guesses_before(
        "mtu-closed",
        says,
        closed,
        &["--mtu", "--json"],
        |said, run| {
            let document = said.json();
            assert_eq!(
                (said.status, &document["stop_reason"]),
                (1, &json!("unreachable")),
                "{run}"
            );
            probes
                .borrow_mut()
                .push(document["probes_sent"].as_u64().unwrap());
        },
    );
    probes.into_inner()
}

#[test]
fn it_makes_no_search_longer() {
    let [passes, _, too_big] = SAYS;
    // Another sweep would be twice as many.
    let is_more = |(passes, too_big): (&u64, &u64)| *too_big > passes + 5;
    let mut seen = Vec::new();
    // On a busy machine an answer may come too late, and then the same is asked again.
    let is_no_longer = (0..3).any(|_| {
        seen = [passes, too_big].map(probes_of_a_search).to_vec();
        !seen[0].iter().zip(&seen[1]).any(is_more)
    });
    assert!(is_no_longer, "{seen:?}");
}

#[test]
fn where_hardly_anything_can_be_proven_dead_hosts_are_no_outage() {
    // With one flow for all hosts, routers that quote eight octets prove nothing.
    let scenario = format!("{}/public-flow.toml", env!("CARGO_TARGET_TMPDIR"));
    let target = "[target]\nv4 = '10.200.0.0'\nv6 = '2001:db8:ffff:1::'\ncount = 16\n";
    std::fs::write(
        &scenario,
        format!("hops = 6\nrtt_ms = 10\nquote = 8\n{target}"),
    )
    .unwrap();
    std::thread::scope(|scope| {
        for (live, dead) in [
            ("10.200.0.", "10.200.1."),
            ("2001:db8:ffff:1::", "2001:db8:ffff:9::"),
        ] {
            for socket in ["raw", "ping"] {
                let script = format!(
                    "(seq -f {live}%.0f 0 9; seq -f {dead}%.0f 0 79; seq -f {live}%.0f 0 9) |
                    timeout 60 {HOPSHOT} -n -q1 --json --rate 1000 --flow 1234 --socket {socket} --targets -"
                );
                let scenario = &scenario;
                scope.spawn(move || {
                    let Some(said) = command_in_scenario(scenario, true, &["sh", "-c", &script])
                    else {
                        return;
                    };
                    let (lines, run) = (
                        said.stdout.lines().count(),
                        format!("{live} {socket}: {}", said.stderr),
                    );
                    assert_eq!(
                        (lines, said.status, said.stderr.as_str()),
                        (100, 1, ""),
                        "{run}"
                    );
                });
            }
        }
    });
}
