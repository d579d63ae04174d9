//! Sizes of probes, and links that are too small for them, on real Linux routers and in the lab.

use crate::world::read::marks;
use crate::world::{
    FAMILIES, HOPSHOT, KINDS, Said, command_in_scenario, command_on_chain, hopshot, in_lab,
    in_scenario, shell_in_scenario,
};
use serde_json::Value;

/// A chain of four routers and the target, whose third link carries 1400 octets.
fn behind_a_small_link(kind: &str, args: &[&str]) -> Option<Said> {
    let options = ["--ping", "--mtu", "3=1400"];
    command_on_chain(
        4,
        &options,
        &[&[HOPSHOT, "-n", "--json", "-q1", "--socket", kind], args].concat(),
    )
}

/// What the first probe to a hop says of an MTU.
fn mtu_said(document: &Value, hop: usize) -> &Value {
    &document["hops"][hop - 1]["probes"][0]["mtu"]
}

#[test]
fn a_probe_has_the_size_that_was_asked_for_up_to_the_octet() {
    for kind in KINDS {
        for (_, target) in FAMILIES {
            let Some(said) = behind_a_small_link(kind, &["-F", "--size", "1400", target]) else {
                return;
            };
            assert_eq!(
                (said.status, &said.json()["distance"]),
                (0, &5.into()),
                "{kind} {target} {}",
                said.stdout
            );
            let Some(said) = behind_a_small_link(kind, &["-F", "--size", "1401", target]) else {
                return;
            };
            assert_eq!(said.status, 1, "{kind} {target} {}", said.stdout);
            assert_eq!(
                mtu_said(&said.json(), 3),
                1400,
                "{kind} {target} {}",
                said.stdout
            );
        }
    }
}

#[test]
fn a_large_probe_is_fragmented_unless_that_is_forbidden() {
    for kind in KINDS {
        // By a router, and by this machine.
        for size in ["1500", "4000"] {
            let Some(said) = behind_a_small_link(kind, &["--size", size, "{4}"]) else {
                return;
            };
            assert_eq!(
                (said.status, &said.json()["distance"]),
                (0, &5.into()),
                "{kind} {size} {}",
                said.stdout
            );
        }
        let Some(said) = behind_a_small_link(kind, &["--size", "4000", "-F", "{4}"]) else {
            return;
        };
        assert_eq!(
            (said.status, &said.json()["probes_sent"]),
            (1, &0.into()),
            "{kind} {}",
            said.stdout
        );
    }
}

#[test]
fn that_a_probe_was_too_big_is_why_the_target_did_not_answer() {
    let Some(said) = in_scenario("mtu", &["--size", "1500", "-F", "-n", "-q1", "{4}"]) else {
        return;
    };
    let why = "No answer from 10.255.0.80: the packets are too big for a link on the way.\n";
    assert!(
        said.stdout.contains(" !F-1400") && said.stdout.ends_with(why),
        "{}",
        said.stdout
    );
}

#[test]
fn in_ipv6_this_machine_fragments_once_it_has_been_told() {
    for kind in KINDS {
        let twice = "$0 $1 $2 --size 1500 {6} >/dev/null; exec $0 $1 $2 --size 1500 {6}";
        let command = [
            "sh",
            "-c",
            twice,
            HOPSHOT,
            "-q1",
            &format!("--socket={kind}"),
        ];
        let Some(said) = command_on_chain(4, &["--ping", "--mtu", "3=1400"], &command) else {
            return;
        };
        assert_eq!(said.status, 0, "{kind} {}{}", said.stdout, said.stderr);
    }
}

#[test]
fn what_was_learnt_before_does_not_hide_where_a_small_link_is() {
    let twice = "$0 --mtu $1 >/dev/null; exec $0 -n --mtu $1";
    for (_, target) in FAMILIES {
        let Some(said) = command_on_chain(
            4,
            &["--mtu", "3=1400"],
            &["sh", "-c", twice, HOPSHOT, target],
        ) else {
            return;
        };
        assert_eq!(
            marks(&said.stdout),
            [(1, 1500), (3, 1400)],
            "{}{}",
            said.stdout,
            said.stderr
        );
    }
}

/// Where smaller packets begin: the hop, the MTU, what it is less than, and whether somebody said
/// so.
type Limit = (u64, u64, Option<u64>, bool);

/// What `--mtu` says of a scenario of twelve hops, and the limits in it.
pub(crate) fn limits(scenario: &str, target: &str) -> Option<(Value, Vec<Limit>)> {
    let document = in_scenario(scenario, &["-n", "-q1", "--json", "--mtu", target])?.json();
    let limits = document["mtu_limits"]
        .as_array()
        .expect("a list")
        .iter()
        .map(|limit| {
            let number = |field: &str| limit[field].as_u64();
            (
                number("hop").unwrap(),
                number("mtu").unwrap(),
                number("less_than"),
                limit["from"].is_string(),
            )
        });
    let limits = limits.collect();
    Some((document, limits))
}

#[test]
fn what_an_interrupted_search_knows_is_in_its_document() {
    for target in ["$HOPSHOT_LAB_TARGET4", "$HOPSHOT_LAB_TARGET6"] {
        let script = format!("timeout --foreground -s INT 0.2 $0 -n --mtu --json {target}");
        let Some(said) = shell_in_scenario("mtu-silent", &script) else {
            return;
        };
        let document = said.json();
        let bounds = ["path_mtu_at_least", "path_mtu_at_most"]
            .map(|field| document[field].as_u64().unwrap());
        assert!(
            bounds[0] >= 68 && bounds[0] <= bounds[1] && bounds[1] <= 1500,
            "{document}"
        );
        assert_eq!(document["path_mtu"], Value::Null, "{document}");
    }
    let Some((document, _)) = limits("mtu", "{4}") else {
        return;
    };
    assert_eq!(
        (
            &document["path_mtu_at_least"],
            &document["path_mtu_at_most"]
        ),
        (&1280.into(), &1280.into())
    );
}

#[test]
fn every_small_link_is_found_in_one_round_trip_more() {
    for (_, target) in FAMILIES {
        let Some((document, limits)) = limits("mtu", target) else {
            return;
        };
        assert_eq!(
            limits,
            [(5, 1400, None, true), (9, 1280, None, true)],
            "{document}"
        );
        assert_eq!(
            (&document["path_mtu"], &document["distance"]),
            (&1280.into(), &12.into()),
            "{document}"
        );
        let mtus: Vec<_> = document["hops"]
            .as_array()
            .unwrap()
            .iter()
            .map(|hop| hop["mtu"].as_u64())
            .collect();
        assert_eq!(
            mtus,
            [[Some(1500); 4], [Some(1400); 4], [Some(1280); 4]].concat(),
            "{document}"
        );
    }
}

#[test]
fn packets_that_vanish_without_a_word_are_told_from_silence() {
    for (_, target) in FAMILIES {
        let Some((document, vanish)) = limits("mtu-silent", target) else {
            return;
        };
        assert_eq!(
            (vanish.as_slice(), &document["path_mtu"]),
            (&[(6, 1400, Some(1420), false)][..], &1400.into())
        );
        let Some((document, none)) = limits("deadtarget", target) else {
            return;
        };
        assert_eq!(
            (none.as_slice(), &document["path_mtu"]),
            (&[][..], &Value::Null),
            "{document}"
        );
    }
}

#[test]
fn a_silent_target_ends_the_search_as_it_ends_a_trace() {
    for (_, target) in FAMILIES {
        let Some((document, _)) = limits("deadtarget", target) else {
            return;
        };
        assert_eq!(document["stop_reason"], "quiet", "{document}");
        let hops: Vec<_> = document["hops"]
            .as_array()
            .unwrap()
            .iter()
            .map(|hop| hop["hop"].as_u64().unwrap())
            .collect();
        assert_eq!(hops, (1..=32).collect::<Vec<_>>(), "{document}");
        assert_eq!(document["hops"][10]["mtu"], 1500, "{document}");
    }
}

/// A link that drops what is larger than 1400 octets, among routers that the rest says something
/// of.
fn behind_a_silent_link(name: &str, rest: &str) -> String {
    let path = std::env::temp_dir().join(format!("hopshot-{name}-{}.toml", std::process::id()));
    let scenario = format!("{rest}\n[[hop]]\nat = 5\nlink = {{ mtu = 1400, silent = true }}\n");
    std::fs::write(&path, scenario).expect("a file can be written");
    path.to_str().expect("the path is text").to_owned()
}

#[test]
fn neither_loss_nor_a_bound_on_errors_makes_a_limit() {
    let strict = "limit = { burst = 1, per_second = 1 }\ntarget = { silent = true }";
    for (name, rest, times) in [("mtu-strict", strict, 1), ("mtu-loss", "loss = 0.1", 3)] {
        let scenario = behind_a_silent_link(name, rest);
        for _ in 0..times {
            let Some((document, limits)) = limits(&scenario, "{4}") else {
                return;
            };
            // One that isn't found is no error: what was heard may have been too little.
            assert!(
                limits.is_empty() || limits == [(6, 1400, Some(1420), false)],
                "{name}: {document}"
            );
            assert_eq!(document["path_mtu_exact"], false, "{name}: {document}");
        }
        std::fs::remove_file(scenario).expect("the file can be removed");
    }
}

#[test]
fn the_rate_holds_for_the_whole_search() {
    let log = std::env::temp_dir().join(format!("hopshot-mtu-{}", std::process::id()));
    let lab = [
        "run",
        "--log",
        log.to_str().unwrap(),
        "mtu-silent",
        "--",
        HOPSHOT,
    ];
    let Some(said) = in_lab(
        &lab,
        &["-n", "-q1", "--json", "--mtu", "--rate", "50", "{4}"],
    ) else {
        return;
    };
    let events = std::fs::read_to_string(&log).unwrap();
    std::fs::remove_file(&log).unwrap();
    let events = events
        .lines()
        .map(|line| serde_json::from_str::<Value>(line).unwrap());
    let times: Vec<u64> = events.filter_map(|event| event["at_ns"].as_u64()).collect();
    assert_eq!(said.json()["probes_sent"], times.len());
    // 20 ms apart, less what one may be late by. A busy lab may see two at once, but not one pair a
    // round.
    let near = times
        .windows(2)
        .filter(|pair| pair[1] - pair[0] < 10_000_000)
        .count();
    assert!(near <= 2 && times.len() > 30, "{near} of {}", times.len());
}

#[test]
fn a_search_that_is_interrupted_says_so_and_shows_what_it_knows() {
    for (format, seconds) in [
        ("json", "0.3"),
        ("json", "0.9"),
        ("json", "1.4"),
        ("text", "0.9"),
    ] {
        let script = format!(
            "timeout --foreground -s TERM {seconds} \"$0\" -n -q1 --format {format} --mtu {{4}}"
        );
        let script = script.replace("{4}", "\"$HOPSHOT_LAB_TARGET4\"");
        let Some(said) = shell_in_scenario("mtu-silent", &format!("{script}; exit 0")) else {
            return;
        };
        if format == "text" {
            assert!(
                said.stdout.contains(" 5  10.5.0.1 ") && said.stdout.ends_with(" (interrupted)\n"),
                "{}",
                said.stdout
            );
            assert_eq!(marks(&said.stdout), [(1, 1500)], "{}", said.stdout);
            continue;
        }
        let document = said.json();
        assert_eq!(
            document["stop_reason"], "interrupted",
            "{seconds}: {document}"
        );
        assert_eq!(
            (&document["path_mtu"], &document["path_mtu_exact"]),
            (&Value::Null, &false.into()),
            "{document}"
        );
        assert!(
            document["hops"]
                .as_array()
                .is_some_and(|hops| hops.len() >= 5),
            "{seconds}: {document}"
        );
    }
}

#[test]
fn what_is_known_is_shown_when_the_route_has_gone() {
    let script = r#"(sleep 0.6; ip link show | grep -o '^[0-9]*: [^:@]*' | cut -d' ' -f2 | grep -v '^lo$' |
        while read -r link; do ip link set "$link" down; done) & "$0" -n -q1 --mtu "$HOPSHOT_LAB_TARGET4""#;
    let Some(said) = shell_in_scenario("mtu-silent", script) else {
        return;
    };
    assert!(
        said.stdout.contains(" 5  10.5.0.1 ") && said.stdout.ends_with(" (interrupted)\n"),
        "{}",
        said.stdout
    );
    assert!(
        said.status == 2 && said.stderr.contains("no route to"),
        "{} {}",
        said.status,
        said.stderr
    );
}

/// However far the search has got: each of its rounds begins anew.
#[test]
fn a_route_that_is_away_for_a_moment_ends_no_search() {
    for kind in KINDS {
        for (_, target) in FAMILIES {
            for pause in ["0", "0.05", "0.1", "0.15", "0.2"] {
                let rule = "for family in -4 -6; do ip $family rule $how pref 1 unreachable; done";
                let script = format!(
                    "said=$(mktemp); {HOPSHOT} -n -w 10 --mtu --socket {kind} {target} >$said & search=$!; \
                    until [ -s $said ]; do sleep 0.01; done; sleep {pause}; how=add; {rule}; sleep 0.5; how=del; {rule}; \
                    wait $search; status=$?; cat $said; rm $said; exit $status"
                );
                let Some(said) = command_in_scenario("mtu", true, &["sh", "-c", &script]) else {
                    return;
                };
                let is_whole = said.status == 0 && said.stdout.ends_with("\npath MTU 1280\n");
                assert!(
                    is_whole,
                    "{kind} {target} {pause}: {} {}",
                    said.stdout, said.stderr
                );
            }
        }
    }
}

#[test]
fn hops_are_shown_while_the_search_goes_on() {
    let script = r#"mkfifo "$0.fifo" && trap 'rm -f "$0.fifo"' EXIT
        "$1" -n -q1 --mtu "$2" >"$0.fifo" & pid=$!
        { read -r header; read -r first; kill -TERM $pid; echo "$header"; echo "$first"; cat; } <"$0.fifo"
        wait $pid"#;
    let fifo = std::env::temp_dir().join(format!("hopshot-mtu-{}", std::process::id()));
    let command = ["sh", "-c", script, fifo.to_str().unwrap(), HOPSHOT, "{4}"];
    let Some(said) = command_in_scenario("mtu-silent", false, &command) else {
        return;
    };
    assert!(
        said.stdout.starts_with("traceroute to 10.255.0.80 "),
        "{}",
        said.stdout
    );
    assert!(
        said.stdout.contains("\n1  10.1.0.1 ") && said.stdout.contains("interrupted."),
        "{}",
        said.stdout
    );
}

#[test]
fn a_search_that_begins_with_small_packets_knows_only_the_least() {
    let Some(said) = in_scenario("short", &["-n", "-q1", "--mtu", "--size", "100", "{4}"]) else {
        return;
    };
    let last = "path MTU at least 100, larger packets were not tried (--size)";
    assert_eq!(
        (said.status, said.stdout.lines().last()),
        (0, Some(last)),
        "{}",
        said.stdout
    );
    for (size, exact) in [("100", false), ("1500", true), ("9000", true)] {
        let Some(said) = in_scenario(
            "short",
            &["-n", "-q1", "--json", "--mtu", "--size", size, "{4}"],
        ) else {
            return;
        };
        assert_eq!(said.json()["path_mtu_exact"], exact, "{}", said.stdout);
    }
}

#[test]
fn what_was_rejected_is_counted_over_the_whole_search() {
    let args = ["-n", "-v", "--json", "--socket", "raw", "--mtu", "{4}"];
    let Some(said) = in_scenario("badchecksum", &args) else {
        return;
    };
    let bad = said.json()["rejected"]["bad_checksum"].as_u64().unwrap();
    assert!(bad > 0, "{}", said.stdout);
    let last = format!("hopshot: rejected: {bad} bad checksum");
    assert_eq!(
        said.stderr.lines().last(),
        Some(last.as_str()),
        "{}",
        said.stderr
    );
}

#[test]
fn a_search_is_of_one_host_in_text_or_json() {
    for (args, words) in [
        (["::1", "::2"], "one host"),
        (["--format=csv", "::1"], "text and json"),
    ] {
        let said = hopshot(&[&["--mtu"], &args[..]].concat());
        assert_eq!(said.status, 2);
        assert!(said.stderr.contains(words), "{}", said.stderr);
    }
}
