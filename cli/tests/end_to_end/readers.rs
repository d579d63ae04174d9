//! Outputs that are closed or full, that nobody reads or somebody slowly, and what ends a trace
//! then.

use crate::errors::refused;
use crate::world::{Said, shell_in_scenario};

#[test]
fn a_full_disk_is_one_line_and_exit_status_2() {
    for args in ["", "--json"] {
        let Some(said) = shell_in_scenario(
            "short",
            &format!("$0 -n {args} $HOPSHOT_LAB_TARGET4 > /dev/full"),
        ) else {
            return;
        };
        refused(&said, "can't write the output: No space left on device");
    }
    if let Some(said) = shell_in_scenario("short", "$0 --help > /dev/full") {
        refused(&said, "can't write the output: No space left on device");
    }
}

#[test]
fn output_that_is_closed_or_read_only_is_an_error_and_what_swallows_it_is_none() {
    let cases = [
        "--help",
        "--version",
        "--generate man",
        "-n $HOPSHOT_LAB_TARGET4",
        "-n --json $HOPSHOT_LAB_TARGET6",
    ];
    for args in cases {
        for output in [">&-", "1</dev/null", "<&- >&-", "<&- 1</dev/null"] {
            let Some(said) = shell_in_scenario("short", &format!("$0 {args} {output}")) else {
                return;
            };
            refused(&said, "can't write the output: Bad file descriptor");
        }
        // As shells, Python's subprocess.DEVNULL and daemons open it; and what is closed beside it
        // does no harm.
        for output in [
            ">/dev/null",
            "1<>/dev/null",
            "0<>/dev/null 1>&0 2>&0",
            "0<>/dev/null 1>&0",
            "<&- 2>&- >/dev/null",
        ] {
            let Some(said) = shell_in_scenario("short", &format!("$0 {args} {output}")) else {
                return;
            };
            assert_eq!(
                (said.status, said.stderr.as_str()),
                (0, ""),
                "{args} {output}"
            );
        }
    }
}

/// Runs hopshot with the arguments and a descriptor 3 that is a full pipe which nobody reads, and
/// sends it SIGTERM once it would catch that. One that goes on for 10 s has the status 137.
fn ended_beside_a_full_pipe(scenario: &str, args: &str) -> Option<Said> {
    let script = format!(
        r#"f=$(mktemp -u); mkfifo $f; exec 3<>$f; rm $f; head -c 65536 /dev/zero >&3
        $0 -n {args} & pid=$!
        for _ in $(seq 100); do grep -q '^SigCgt:.*[4-7c-f]...$' /proc/$pid/status && break; sleep 0.1; done
        sleep 0.5; kill -TERM $pid
        (sleep 10; kill -KILL $pid) 2>/dev/null >&- & guard=$!
        wait $pid; status=$?; kill $guard; exit $status"#
    );
    shell_in_scenario(scenario, &script)
}

#[test]
fn the_first_signal_is_the_end_where_nobody_reads_the_output() {
    let formats = [
        "text",
        "json",
        "json-stream",
        "atlas",
        "csv",
        "dot",
        "svg",
        "markdown",
    ];
    let formats =
        formats.map(|format| format!("-q1 -w 20 --format {format} $HOPSHOT_LAB_TARGET4 >&3"));
    let ways = [
        "--mtu $HOPSHOT_LAB_TARGET6 >&3",
        "--mtu --json $HOPSHOT_LAB_TARGET4 >&3",
        "--paths $HOPSHOT_LAB_TARGET4 >&3",
        "--paths --json $HOPSHOT_LAB_TARGET6 >&3",
        "$HOPSHOT_LAB_TARGET4 $HOPSHOT_LAB_TARGET6 >&3",
        "--json $HOPSHOT_LAB_TARGET4 $HOPSHOT_LAB_TARGET6 >&3",
        "--watch --count 9 $HOPSHOT_LAB_TARGET4 >&3",
        "--watch --count 9 --json $HOPSHOT_LAB_TARGET6 >&3",
        "-v $HOPSHOT_LAB_TARGET4 >&3 2>&3",
    ];
    for args in formats.into_iter().chain(ways.map(str::to_owned)) {
        let Some(said) = ended_beside_a_full_pipe("deadtarget", &args) else {
            return;
        };
        assert_eq!(
            (said.status, said.stdout.as_str(), said.stderr.as_str()),
            (130, "", ""),
            "{args}"
        );
    }
}

#[test]
fn messages_that_nobody_reads_hold_no_result_up_once_the_user_wants_an_end() {
    let Some(said) =
        ended_beside_a_full_pipe("deadtarget", "-v --json -w 20 $HOPSHOT_LAB_TARGET4 2>&3")
    else {
        return;
    };
    let document = said.json();
    assert_eq!(
        (said.status, &document["stop_reason"]),
        (1, &"interrupted".into()),
        "{document}"
    );
}

#[test]
fn output_that_a_slow_reader_takes_is_whole() {
    // More than a pipe holds, to somebody who reads after a while, and bit by bit.
    let script = r#"for i in $(seq 400); do echo $HOPSHOT_LAB_TARGET4; done |
        $0 -n --json --targets - | { sleep 1; while head -c 4096 | grep ''; do sleep 0.001; done; }"#;
    let Some(said) = shell_in_scenario("short", script) else {
        return;
    };
    let text = said.stdout.replace('\n', "");
    let documents = serde_json::Deserializer::from_str(&text).into_iter::<serde_json::Value>();
    assert_eq!(
        documents.filter(Result::is_ok).count(),
        400,
        "{}",
        said.stderr
    );
}

#[test]
fn a_list_that_nobody_writes_can_be_interrupted() {
    // Before it is opened SIGTERM ends the process, later it ends the list.
    for (before, status) in [("", 143), ("exec 3<>$f; ", 1)] {
        let script = format!(
            r#"f=$(mktemp -u); mkfifo $f; {before}$0 -n --targets $f 2>/dev/null & pid=$!
            for _ in $(seq 20); do grep -q '^SigCgt:.*[4-7c-f]...$' /proc/$pid/status && break; sleep 0.1; done
            kill -TERM $pid; (sleep 10; kill -KILL $pid) 2>/dev/null >&- & guard=$!
            wait $pid; status=$?; kill $guard; rm $f; exit $status"#
        );
        let Some(said) = shell_in_scenario("short", &script) else {
            return;
        };
        assert_eq!(
            said.status, status,
            "{before} {} {}",
            said.stdout, said.stderr
        );
    }
}

#[test]
fn a_reader_that_has_had_enough_is_no_error() {
    let Some(said) = shell_in_scenario("wan", "$0 -n $HOPSHOT_LAB_TARGET4 | head -n 1") else {
        return;
    };
    assert_eq!((said.status, said.stderr.as_str()), (0, ""));
    assert_eq!(said.stdout.lines().count(), 1);
    // As of every program that SIGPIPE ends.
    let Some(said) =
        shell_in_scenario("wan", "{ $0 -n $HOPSHOT_LAB_TARGET4; echo $? >&2; } | true")
    else {
        return;
    };
    assert_eq!((said.status, said.stderr.as_str()), (0, "141\n"));
}

#[test]
fn ctrl_c_shows_what_is_known_so_far() {
    let script = "$0 -n --json -w 20 $HOPSHOT_LAB_TARGET4 & sleep 0.3; kill -TERM $!; wait $!";
    let Some(said) = shell_in_scenario("deadtarget", script) else {
        return;
    };
    let document = said.json();
    assert_eq!(
        (said.status, &document["stop_reason"]),
        (1, &"interrupted".into()),
        "{document}"
    );
    assert_eq!(document["hops"][10]["probes"][0]["kind"], "time_exceeded");
}
