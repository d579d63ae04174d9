//! What the command prints.

use crate::world::{HOPSHOT, command_in_scenario, hopshot, in_scenario, shell_in_scenario};
use serde_json::{Value, json};
use std::collections::BTreeSet;

fn keys(value: &Value) -> BTreeSet<&str> {
    value
        .as_object()
        .expect("it is an object")
        .keys()
        .map(String::as_str)
        .collect()
}

#[test]
fn the_text_has_a_header_and_a_line_per_hop_and_nothing_past_the_target() {
    let Some(said) = in_scenario("silent", &["-n", "{4}"]) else {
        return;
    };
    let lines: Vec<&str> = said.stdout.lines().collect();
    assert_eq!(
        lines[0],
        "traceroute to 10.255.0.80 (10.255.0.80), 32 hops max, from 10.0.0.2"
    );
    assert_eq!(lines.len(), 13, "{}", said.stdout);
    assert_eq!(lines[3], " 3  *");
    assert!(
        lines[1].starts_with(" 1  10.1.0.1  ") && lines[1].ends_with(" ms"),
        "{}",
        lines[1]
    );
    assert!(lines[12].starts_with("12  10.255.0.80  "), "{}", lines[12]);
    assert_eq!(lines[12].matches(" ms").count(), 3);
}

#[test]
fn the_last_line_says_how_it_ended_and_when_on_a_terminal_and_with_v_and_not_in_a_pipe() {
    for (target, source) in [("{4}", "10.0.0.2"), ("{6}", "2001:db8::2")] {
        let Some(said) = in_scenario("short", &["-n", "-v", "--flow", "37748", target]) else {
            return;
        };
        let lines: Vec<&str> = said.stdout.lines().collect();
        assert!(
            lines[0].ends_with(&format!(", from {source}, flow 37748")),
            "{}",
            said.stdout
        );
        assert!(
            lines[6].starts_with("5 hops, ") && lines[6].ends_with(" UTC"),
            "{}",
            said.stdout
        );
        assert!(
            lines[6].contains(" probes, no loss at the target, 0."),
            "{}",
            said.stdout
        );
        let said = in_scenario("short", &["-n", target]).unwrap();
        assert!(
            said.stdout.lines().count() == 6 && !said.stdout.contains("UTC"),
            "{}",
            said.stdout
        );
    }
    let script = "export TERM=xterm HOPSHOT=$0; \
        script -qec 'stty cols 60 rows 24; $HOPSHOT -n $HOPSHOT_LAB_TARGET6' /dev/null";
    let Some(said) = shell_in_scenario("deadtarget", script) else {
        return;
    };
    let lines: Vec<&str> = said.stdout.lines().map(str::trim_end).collect();
    assert_eq!(
        lines[1], "    32 hops max, from 2001:db8::2",
        "{:?}",
        said.stdout
    );
    assert!(
        lines
            .iter()
            .any(|line| line.contains(" probes, ") && line.contains(" UTC")),
        "{:?}",
        said.stdout
    );
}

#[test]
fn what_is_no_terminal_gets_no_cursor_sequences() {
    for (term, draws) in [
        ("xterm", true),
        ("", false),
        ("unknown", false),
        ("dumb", false),
    ] {
        let script = format!(
            "export HOPSHOT=$0; TERM={term} script -qec '$HOPSHOT -n $HOPSHOT_LAB_TARGET4' /dev/null"
        );
        let Some(said) = shell_in_scenario("short", &script) else {
            return;
        };
        assert_eq!(
            said.stdout.contains("\u{1b}["),
            draws,
            "{term}: {:?}",
            said.stdout
        );
    }
}

#[test]
fn every_format_says_by_which_flow_the_path_was_found() {
    for target in ["{4}", "{6}"] {
        let with = |options: &[&str]| {
            in_scenario(
                "short",
                &[&["-n", "-q1", "--flow", "37748"], options, &[target]].concat(),
            )
        };
        let Some(said) = with(&["--json"]) else {
            return;
        };
        assert_eq!(said.json()["flow"], 37748);
        let begin = with(&["--json-stream"]).unwrap().stdout;
        let begin: Value = serde_json::from_str(begin.lines().next().unwrap()).unwrap();
        assert_eq!(
            (&begin["settings"]["flow"], &begin["version"]),
            (&37748.into(), &env!("CARGO_PKG_VERSION").into())
        );
        assert!(
            with(&["--format", "markdown"])
                .unwrap()
                .stdout
                .contains(", flow 37748.\n")
        );
        assert!(
            with(&["--format", "csv"])
                .unwrap()
                .stdout
                .lines()
                .skip(1)
                .all(|row| row.contains(",37748,"))
        );
        for format in ["dot", "svg"] {
            assert!(
                with(&["--format", format])
                    .unwrap()
                    .stdout
                    .contains("flow 37748"),
                "{format}"
            );
        }
        let Some(said) = with(&["--mtu", "--json"]) else {
            return;
        };
        assert_eq!(said.json()["flow"], 37748);
        let Some(said) = with(&["--watch", "--count", "1", "--json"]) else {
            return;
        };
        assert_eq!(said.json()["flow"], 37748);
    }
    // One that was drawn leads there again.
    let Some(said) = in_scenario("ecmp", &["-n", "--json", "{4}"]) else {
        return;
    };
    let document = said.json();
    let flow = document["flow"].to_string();
    let again = in_scenario("ecmp", &["-n", "--json", "--flow", &flow, "{4}"])
        .unwrap()
        .json();
    for hop in [3, 7] {
        assert_eq!(
            document["hops"][hop]["probes"][0]["from"],
            again["hops"][hop]["probes"][0]["from"]
        );
    }
}

#[test]
fn the_figures_of_a_hop_are_those_of_its_probes() {
    let Some(said) = in_scenario("loss", &["-n", "--json", "-q5", "{6}"]) else {
        return;
    };
    let document = said.json();
    for hop in document["hops"].as_array().unwrap() {
        let probes = hop["probes"].as_array().unwrap();
        let mut rtts: Vec<f64> = probes
            .iter()
            .filter_map(|probe| probe["rtt_ms"].as_f64())
            .collect();
        rtts.sort_by(f64::total_cmp);
        assert_eq!(
            (&hop["sent"], &hop["lost"]),
            (&probes.len().into(), &(probes.len() - rtts.len()).into()),
            "{hop}"
        );
        assert_eq!(
            (hop["best_ms"].as_f64(), hop["worst_ms"].as_f64()),
            (rtts.first().copied(), rtts.last().copied())
        );
        assert!(
            hop["median_ms"].as_f64() >= hop["best_ms"].as_f64(),
            "{hop}"
        );
    }
}

#[test]
fn where_only_the_target_answers_the_text_says_what_that_may_mean() {
    let scenario = std::env::temp_dir().join(format!("hopshot-shy-{}.toml", std::process::id()));
    let silent: String = (1..5)
        .map(|hop| format!("[[hop]]\nat = {hop}\nsilent = true\n"))
        .collect();
    std::fs::write(&scenario, format!("hops = 5\nrtt_ms = 5\n{silent}"))
        .expect("a file can be written");
    let path = scenario.to_str().unwrap();
    let why = "No router answered, but the target did: they may limit their answers";
    for target in ["{4}", "{6}"] {
        let Some(said) = in_scenario(path, &["-n", target]) else {
            return;
        };
        assert!(said.stdout.contains(why), "{}", said.stdout);
    }
    let Some(said) = in_scenario("silent", &["-n", "{4}"]) else {
        return;
    };
    assert!(!said.stdout.contains(why), "{}", said.stdout);
    std::fs::remove_file(scenario).expect("the file can be removed");
}

#[test]
fn a_terminal_that_tells_no_size_is_drawn_on_as_one_of_80_columns_and_24_lines() {
    let on_terminal = |options: &str| {
        let script = format!(
            "export TERM=xterm HOPSHOT=$0; script -qec 'stty cols 0 rows 0; $HOPSHOT -n {options} $HOPSHOT_LAB_TARGET4' /dev/null"
        );
        shell_in_scenario("short", &script).map(|said| said.stdout)
    };
    let Some(text) = on_terminal("") else { return };
    assert!(text.contains("\x1b[K"), "it is drawn over: {text:?}");
    let Some(view) = on_terminal("--watch --count 2 --every 0.2") else {
        return;
    };
    assert!(
        view.contains("hopshot 10.255.0.80 ") && view.contains(" q quit"),
        "{view:?}"
    );
}

#[test]
fn names_stand_before_addresses() {
    let Some(said) = in_scenario("short", &["-4", "{name}"]) else {
        return;
    };
    assert!(
        said.stdout.contains("gateway.home.example (10.1.0.1)"),
        "{}",
        said.stdout
    );
}

#[test]
fn an_unreachable_is_marked_and_silence_at_the_end_is_one_line() {
    let Some(said) = in_scenario("unreach", &["-n", "{4}"]) else {
        return;
    };
    assert!(
        said.stdout.lines().nth(6).unwrap().contains("ms !H"),
        "{}",
        said.stdout
    );
    let Some(said) = in_scenario("deadtarget", &["-n", "{6}"]) else {
        return;
    };
    let lines: Vec<&str> = said.stdout.lines().collect();
    assert_eq!(lines[12], "12-32  *", "{}", said.stdout);
    assert!(
        lines[13].starts_with("No answer from 2001:db8:ffff::80: "),
        "{}",
        said.stdout
    );
    assert_eq!(lines.len(), 14);
}

#[test]
fn json_has_the_documented_fields_and_no_others() {
    let Some(said) = in_scenario("wan", &["--json", "{name}"]) else {
        return;
    };
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
        "rejected",
        "hops",
        "flow",
        "settings",
        "version",
    ];
    assert_eq!(keys(&document), BTreeSet::from(documented));
    assert_eq!(
        keys(&document["target"]),
        BTreeSet::from(["name", "address"])
    );
    let rejected = ["forged", "bad_checksum", "malformed", "not_ours", "dropped"];
    assert_eq!(keys(&document["rejected"]), BTreeSet::from(rejected));
    let figures = [
        "sent",
        "lost",
        "best_ms",
        "median_ms",
        "average_ms",
        "worst_ms",
    ];
    let of_hop = ["hop", "rate_limited", "probes"].into_iter().chain(figures);
    assert_eq!(keys(&document["hops"][0]), of_hop.collect());
    let settings = [
        "first_hop",
        "max_hops",
        "attempts",
        "wait_ms",
        "tos",
        "size",
        "dont_fragment",
        "patience",
    ];
    assert_eq!(keys(&document["settings"]), BTreeSet::from(settings));
    assert_eq!(document["version"], env!("CARGO_PKG_VERSION"));
    let probe = &document["hops"][0]["probes"][0];
    let documented = [
        "attempt",
        "from",
        "name",
        "asn",
        "as_name",
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
        "mpls",
        "interface",
        "unknown_objects",
    ];
    assert_eq!(keys(probe), BTreeSet::from(documented));
    assert_eq!(probe["name"], "gateway.home.example");
    assert_eq!(
        (&probe["kind"], &probe["evidence"]),
        (&"time_exceeded".into(), &"strong".into())
    );
    assert_eq!(
        (&probe["reply_ttl"], &probe["quoted_ttl"]),
        (&255.into(), &1.into())
    );
    assert_eq!(document["hops"][11]["probes"][0]["kind"], "echo_reply");
    assert_eq!(
        (&document["stop_reason"], &document["reached"]),
        (&"reached".into(), &true.into())
    );
    assert!(
        document["started"]
            .as_str()
            .is_some_and(|at| at.ends_with('Z'))
    );
}

/// What hops 4 to 8 of the scenario "mpls" append.
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
fn a_long_name_does_not_push_the_times_of_later_hops_away() {
    let Some(said) = in_scenario("interface-name", &["-4", "{name}"]) else {
        return;
    };
    let lines: Vec<&str> = said.stdout.lines().collect();
    assert!(
        lines[3].contains(&"c".repeat(60)) && lines[3].len() > 180,
        "{}",
        said.stdout
    );
    assert!(lines[4].len() < 140, "{}", said.stdout);
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

#[test]
fn hops_can_be_left_out_at_the_near_end() {
    let Some(said) = in_scenario("wan", &["-n", "--json", "-q1", "-f", "3", "-m", "5", "{4}"])
    else {
        return;
    };
    let document = said.json();
    let hops: Vec<u64> = document["hops"]
        .as_array()
        .unwrap()
        .iter()
        .map(|hop| hop["hop"].as_u64().unwrap())
        .collect();
    assert_eq!(hops, [3, 4, 5]);
    assert_eq!(
        (said.status, &document["stop_reason"]),
        (1, &"max_hops".into())
    );
}

#[test]
fn colours_are_for_terminals_unless_they_are_wanted_or_not() {
    // With a terminal of 80 columns, as the first part says; its output is `script`'s.
    let on_terminal = |environment: &str, options: &str| {
        let command =
            format!("stty cols 80 rows 24; {environment} $0 -n {options} $HOPSHOT_LAB_TARGET4");
        let script = format!(
            "export TERM=xterm HOPSHOT=$0; script -qec '{}' /dev/null",
            command.replace("$0", "$HOPSHOT")
        );
        shell_in_scenario("short", &script).map(|said| said.stdout)
    };
    let Some(coloured) = on_terminal("", "") else {
        return;
    };
    assert!(
        coloured.contains("\x1b[1m 5  10.255.0.80\x1b[0m"),
        "{coloured:?}"
    );
    assert!(coloured.contains("\x1b[32m  "), "{coloured:?}");
    for (environment, options) in [("NO_COLOR=1", ""), ("", "--color never"), ("TERM=dumb", "")] {
        let Some(plain) = on_terminal(environment, options) else {
            return;
        };
        assert!(
            plain.contains(" 5  10.255.0.80") && !plain.contains("\x1b[32m"),
            "{plain:?}"
        );
    }
    let Some(said) = in_scenario("short", &["-n", "{4}"]) else {
        return;
    };
    assert!(!said.stdout.contains('\x1b'), "{:?}", said.stdout);
    let Some(said) = in_scenario("short", &["-n", "--color", "always", "{4}"]) else {
        return;
    };
    assert!(
        said.stdout.contains("\x1b[1m 5  10.255.0.80\x1b[0m"),
        "{:?}",
        said.stdout
    );
}

#[test]
fn help_and_version_go_to_standard_output() {
    for (option, words) in [
        ("-h", "-q, --attempts"),
        ("--help", "Exit status:"),
        ("--generate=man", ".TH HOPSHOT 1"),
    ] {
        let help = hopshot(&[option]);
        assert_eq!((help.status, help.stderr.as_str()), (0, ""));
        assert!(help.stdout.contains(words), "{}", help.stdout);
    }
    let family = hopshot(&["--version"]);
    assert_eq!(
        (family.status, family.stdout.as_str()),
        (0, concat!("hopshot ", env!("CARGO_PKG_VERSION"), "\n"))
    );
}

#[test]
fn options_that_always_hold_stand_in_a_file_and_the_command_line_wins() {
    let file = "d=$(mktemp -d); mkdir $d/hopshot; printf -- '--json # always\\n-q 1\\n' > $d/hopshot/config; unset HOPSHOT_CONFIG";
    let attempts = |command: &str| {
        let script = format!(
            "{file}; XDG_CONFIG_HOME=$d {command} -n $HOPSHOT_LAB_TARGET4; status=$?; rm -r $d; exit $status"
        );
        let said = shell_in_scenario("short", &script)?;
        assert_eq!(said.status, 0, "{}", said.stderr);
        let is_json = said.stdout.starts_with('{');
        Some(is_json.then(|| said.json()["hops"][0]["probes"].as_array().unwrap().len()))
    };
    let Some(found) = attempts("$0") else { return };
    assert_eq!(found, Some(1));
    assert_eq!(attempts("$0 -q 2"), Some(Some(2)));
    assert_eq!(attempts("$0 --no-config"), Some(None));
    assert_eq!(attempts("HOPSHOT_CONFIG=/dev/null $0"), Some(None));
    assert_eq!(attempts("HOME=$d XDG_CONFIG_HOME=relative $0"), Some(None));
}

#[test]
fn a_file_of_options_is_not_read_with_the_rights_of_another() {
    // With the rights of another user, and with those of another group.
    for (mode, secret) in [("4755", "600"), ("2755", "640")] {
        let script = format!(
            "d=$(mktemp -d); chmod 755 $d; cp $0 $d/; chmod {mode} $d/hopshot
            echo --nosuch > $d/config; chmod {secret} $d/config
            HOPSHOT_CONFIG=$d/config setpriv --reuid 65534 --regid 65534 --clear-groups \
                $d/hopshot -n $HOPSHOT_LAB_TARGET4; status=$?
            rm -r $d; exit $status"
        );
        let Some(said) = command_in_scenario("short", true, &["sh", "-c", &script, HOPSHOT]) else {
            return;
        };
        assert_eq!((said.status, said.stderr.as_str()), (0, ""), "{mode}");
    }
}

#[test]
fn a_target_that_answers_from_the_first_hop_probed_may_be_nearer() {
    for (socket, target) in ["raw", "ping"]
        .into_iter()
        .flat_map(|socket| ["{4}", "{6}"].map(|target| (socket, target)))
    {
        let call = |args: &[&str]| {
            command_in_scenario(
                "wan",
                true,
                &[&[HOPSHOT, "-n", "-q1", "--socket", socket], args].concat(),
            )
        };
        for (first, distance) in [
            ("1", json!(12)),
            ("11", json!(12)),
            ("12", Value::Null),
            ("13", Value::Null),
        ] {
            let run = format!("{socket} {target} -f {first}");
            let Some(said) = call(&["-f", first, "--json", target]) else {
                return;
            };
            let document = said.json();
            assert_eq!(
                (said.status, &document["reached"]),
                (0, &json!(true)),
                "{run} {document}"
            );
            assert_eq!(document["distance"], distance, "{run} {document}");
            let Some(said) = call(&["-f", first, "-v", target]) else {
                return;
            };
            let is_doubted = said
                .stdout
                .contains(" answered from the first hop probed (-f): it may be nearer.\n");
            let is_told = said
                .stdout
                .lines()
                .any(|line| line.starts_with("12 hops, "));
            assert_eq!(
                (is_doubted, is_told),
                (distance.is_null(), !distance.is_null()),
                "{run} {}",
                said.stdout
            );
            assert!(!said.stdout.contains("13 hops"), "{run} {}", said.stdout);
            let Some(said) = call(&[
                "-f", first, "--json", "--watch", "--count", "2", "--every", "0.2", target,
            ]) else {
                return;
            };
            let report = said.json();
            assert_eq!(
                (said.status, &report["reached"]),
                (0, &json!(true)),
                "{run} {report}"
            );
            assert_eq!(
                (&report["distance"], &report["changes"]),
                (&distance, &json!([])),
                "{run} {report}"
            );
            let Some(said) = call(&["-f", first, "--json", target, target]) else {
                return;
            };
            let documents: Vec<Value> = said
                .stdout
                .lines()
                .map(|line| serde_json::from_str(line).unwrap())
                .collect();
            assert_eq!(
                (said.status, documents.len()),
                (0, 2),
                "{run} {}",
                said.stderr
            );
            assert!(
                documents
                    .iter()
                    .all(|document| document["distance"] == distance),
                "{run} {}",
                said.stdout
            );
        }
    }
}
