//! `--watch` without a terminal.

use crate::world::read::shows;
use crate::world::{hopshot, in_scenario, shell_in_scenario};

#[test]
fn without_a_terminal_there_is_a_report_of_so_many_rounds_as_text_or_json() {
    let Some(said) = in_scenario(
        "silent",
        &[
            "-4", "--watch", "--count", "3", "--every", "0.2", "--json", "{name}",
        ],
    ) else {
        return;
    };
    assert_eq!((said.status, said.stderr.as_str()), (0, ""));
    let report = said.json();
    assert_eq!(
        (&report["rounds"], &report["reached"], &report["distance"]),
        (&3.into(), &true.into(), &12.into())
    );
    let hop = |number: usize| &report["hops"][number - 1];
    assert_eq!(
        (&hop(5)["sent"], &hop(5)["lost"], &hop(5)["state"]),
        (&3.into(), &0.into(), &"same".into())
    );
    assert_eq!(hop(5)["hosts"][0]["address"], "10.5.0.1");
    // A silent hop is asked once a round, not more.
    assert_eq!(
        (&hop(4)["sent"], &hop(4)["lost"], &hop(4)["average_ms"]),
        (&3.into(), &3.into(), &().into())
    );
    let text = in_scenario(
        "silent",
        &[
            "-4", "-n", "--watch", "--count", "2", "--every", "0.2", "{name}",
        ],
    )
    .unwrap()
    .stdout;
    let lines: Vec<&str> = text.lines().collect();
    assert_eq!(lines.len(), 15, "{text}");
    assert!(shows(&lines, "  4 *", "100%      2"), "{text}");
}

#[test]
fn a_watch_whose_target_does_not_answer_in_the_last_round_fails_and_says_why() {
    let Some(said) = in_scenario(
        "deadtarget",
        &["--watch", "--count", "3", "--every", "0.1", "-n", "{4}"],
    ) else {
        return;
    };
    assert_eq!(said.status, 1, "{}", said.stderr);
    assert!(
        said.stdout
            .ends_with("the target did not answer in the last round\n"),
        "{}",
        said.stdout
    );
}

#[test]
fn a_watch_whose_last_rounds_can_not_begin_fails_and_says_why() {
    for (options, is_json) in [("", false), ("--json", true)] {
        let script = format!(
            "(sleep 1; ip route flush table main) & \"$0\" -n --watch --count 12 --every 0.2 {options} \"$HOPSHOT_LAB_TARGET4\""
        );
        let Some(said) = shell_in_scenario("short", &script) else {
            return;
        };
        assert_eq!(
            (said.status, said.stderr.as_str()),
            (1, ""),
            "{}",
            said.stdout
        );
        if is_json {
            let report = said.json();
            assert_eq!(
                (&report["rounds"], &report["reached"]),
                (&12.into(), &false.into())
            );
            assert!(
                report["trouble"]
                    .as_str()
                    .unwrap()
                    .starts_with("no route to 10.255.0.80: "),
                "{report}"
            );
            let hop = &report["hops"][0];
            assert!(
                (1..12).contains(&hop["sent"].as_u64().unwrap()) && hop["lost"] == 0,
                "{report}"
            );
        } else {
            assert!(
                said.stdout
                    .starts_with("watch of 10.255.0.80, 12 rounds in "),
                "{}",
                said.stdout
            );
            let why = "the target did not answer in the last round\nin the last round: no route to 10.255.0.80: ";
            assert!(said.stdout.contains(why), "{}", said.stdout);
        }
    }
}

#[test]
fn the_report_knows_the_as_of_each_host() {
    let database = concat!(env!("CARGO_MANIFEST_DIR"), "/tests/data/asn.mmdb");
    let args = [
        "--watch", "--count", "1", "--json", "-n", "--asn-db", database, "{4}",
    ];
    let Some(said) = in_scenario("wan", &args) else {
        return;
    };
    let host = &said.json()["hops"][0]["hosts"][0];
    assert_eq!(
        (&host["asn"], &host["as_name"]),
        (&64500.into(), &"EXAMPLE-64500 Example Network".into())
    );
}

#[test]
fn a_watch_keeps_to_one_path_where_flows_are_balanced() {
    let args = [
        "--watch", "--count", "8", "--every", "0.1", "--json", "-n", "{4}",
    ];
    let Some(said) = in_scenario("ecmp", &args) else {
        return;
    };
    assert_eq!(said.json()["changes"], serde_json::json!([]));
}

#[test]
fn a_watch_that_has_no_terminal_and_no_end_or_more_than_one_host_is_refused() {
    for (args, why) in [
        (&["--watch", "127.0.0.1"][..], "--count N"),
        (
            &["--watch", "127.0.0.1", "127.0.0.2"],
            "--watch is for one host",
        ),
        (
            &["--watch", "--count", "1", "--format", "csv", "127.0.0.1"],
            "text and json",
        ),
        (&["--watch", "--mtu", "127.0.0.1"], "cannot be used with"),
        (&["--watch", "--targets", "-"], "cannot be used with"),
        (&["--count", "3", "127.0.0.1"], "--watch"),
        (
            &["--watch", "--every", "0", "127.0.0.1"],
            "must be 0.1 to 3600 seconds",
        ),
        (
            &["--watch", "--count", "0", "127.0.0.1"],
            "must be 1 to 4294967295 rounds",
        ),
    ] {
        let said = hopshot(args);
        assert_eq!((said.status, said.stdout.as_str()), (2, ""));
        assert!(
            said.stderr.contains(why) && said.stderr.lines().count() == 1,
            "{}",
            said.stderr
        );
    }
}
