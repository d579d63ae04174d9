//! Options that don't go together or mean nothing, those of a file, and what helps with them.

use crate::errors::refused;
use crate::world::{HOPSHOT, command_in_scenario, hopshot, shell_in_scenario};

#[test]
fn numbers_out_of_range_are_refused_with_the_range() {
    for (args, words) in [
        (["-m", "0"], "must be 1 to 64 hops"),
        (["-m", "65"], "must be 1 to 64 hops"),
        (["-q", "one"], "must be 1 to 10 answers"),
        (["-f", "0"], "must be 1 to 64 hops"),
        (["-w", "0"], "0.001 to 3600"),
        (["-w", "-1"], "0.001 to 3600"),
        (["-q", "-4"], "must be 1 to 10 answers"),
        (["-t", "256"], "0 to 255"),
        (["--ident", "65536"], "0 to 65535"),
        (["--flow", "0"], "must be 1 to 65534"),
        (["--size", "37"], "must be 38 to 65535 octets"),
        (
            ["--size", "57"],
            "a probe in IPv6 is a packet of 58 to 65535 octets, not 57",
        ),
    ] {
        refused(&hopshot(&[args[0], args[1], "::1"]), words);
    }
    refused(
        &hopshot(&["-f", "9", "-m", "8", "::1"]),
        "--first must be 1 to 8 (--max-hops), not 9",
    );
    refused(&hopshot(&["-n"]), "<HOST>");
}

#[test]
fn the_name_alone_shows_the_short_help_and_is_a_mistake_all_the_same() {
    let alone = hopshot(&[]);
    assert_eq!((alone.status, alone.stdout.as_str()), (2, ""));
    assert_eq!(alone.stderr, hopshot(&["-h"]).stdout);
    for shown in [
        "--tcp",
        "--paths",
        "--mtu",
        "--targets",
        "--watch",
        "--format",
        "hopshot --compare",
        "json",
    ] {
        assert!(alone.stderr.contains(shown), "{}", alone.stderr);
    }
}

#[test]
fn an_option_where_it_means_nothing_is_refused_with_what_it_goes_with() {
    for (args, words) in [
        (
            &["--every", "2", "::1"][..],
            "--every goes with --watch only",
        ),
        (&["--count", "2", "::1"], "--count goes with --watch only"),
        (
            &["--confidence", "99", "::1"],
            "--confidence goes with --paths only",
        ),
        (
            &["--at-once", "9", "::1"],
            "--at-once goes with several hosts only",
        ),
        (
            &["--targets", "a", "--targets", "b"],
            "--targets names one list: join them",
        ),
        (
            &["--jsno", "::1"],
            "unexpected argument '--jsno' found; did you mean '--json'?",
        ),
        (
            &["::1", "60"],
            "a number is no host; the size of probes is --size 60",
        ),
    ] {
        refused(&hopshot(args), words);
    }
    // Of others the latter counts, as where a shell's alias gives the former; and a file may have
    // what holds on other days.
    refused(
        &hopshot(&[
            "-n", "-q", "2", "-q", "3", "-n", "-f", "9", "-f", "8", "-m", "7", "::1",
        ]),
        "not 8",
    );
    let script = "f=$(mktemp); printf -- '--every 2\n--count 2\n' > $f; HOPSHOT_CONFIG=$f $0 -n 127.0.0.1; s=$?; rm $f; exit $s";
    if let Some(said) = shell_in_scenario("short", script) {
        assert_eq!((said.status, said.stderr.as_str()), (0, ""));
        assert!(
            said.stdout.starts_with("traceroute to 127.0.0.1"),
            "{}",
            said.stdout
        );
    }
}

#[test]
fn a_mistake_in_the_file_of_options_is_told_with_its_line() {
    let script = "f=$(mktemp); printf -- '-n\\n-q 11\\n' > $f; HOPSHOT_CONFIG=$f $0 ::1; status=$?; rm $f; exit $status";
    if let Some(said) = shell_in_scenario("short", script) {
        refused(
            &said,
            ", line 2: invalid value '11' for '--attempts <N>': must be 1 to 10 answers",
        );
    }
    if let Some(said) = shell_in_scenario("short", "HOPSHOT_CONFIG=/nosuch $0 ::1") {
        refused(
            &said,
            "can't read the options of '/nosuch' (HOPSHOT_CONFIG): No such file or directory",
        );
    }
}

#[test]
fn a_file_of_options_that_is_no_file_is_refused_and_not_waited_for() {
    let files = r#"d=$(mktemp -d); mkdir $d/folder $d/hopshot; mkfifo $d/fifo $d/hopshot/config; ln -s fifo $d/link"#;
    for file in [
        "fifo",
        "link",
        "folder",
        "../../../../dev/zero",
        "../../../../dev/full",
    ] {
        let script = format!(
            "{files}; HOPSHOT_CONFIG=$d/{file} timeout 10 $0 ::1; status=$?; rm -r $d; exit $status"
        );
        let Some(said) = shell_in_scenario("short", &script) else {
            return;
        };
        refused(
            &said,
            "(HOPSHOT_CONFIG): not a regular file (--no-config goes without)",
        );
    }
    let usual = "unset HOPSHOT_CONFIG; XDG_CONFIG_HOME=$d";
    let script = format!("{files}; {usual} timeout 10 $0 ::1; status=$?; rm -r $d; exit $status");
    let Some(said) = shell_in_scenario("short", &script) else {
        return;
    };
    refused(
        &said,
        "/hopshot/config': not a regular file (--no-config goes without)",
    );
}

#[test]
fn the_file_of_options_is_printed_and_nothing_is_traced() {
    let printed = |args: &[&str]| {
        let said = hopshot(&[args, &["--print-config"]].concat());
        assert_eq!((said.status, said.stderr.as_str()), (0, ""));
        said.stdout
    };
    assert_eq!(printed(&[]), "# /dev/null\n");
    assert_eq!(
        printed(&["--no-config", "::1"]),
        "# no options: there is no file of them, or it is not read\n"
    );
}

#[test]
fn options_of_other_traceroutes_are_explained_in_one_line() {
    for (line, why) in [
        (
            &["-D"][..],
            "'-D': hopshot sends ICMP, TCP (--tcp) and UDP (--udp)",
        ),
        (&["--sctp"], "'--sctp': hopshot sends ICMP, TCP"),
        (
            &["-c", "3"],
            "'-c': a report of so many rounds is --watch --count 10",
        ),
        (&["--report"], "'--report': a report of so many rounds is"),
        (&["-z"], "'-z': the AS of each address is -A"),
    ] {
        let said = hopshot(&[line, &["127.0.0.1"]].concat());
        assert_eq!(
            (said.status, said.stderr.lines().count()),
            (2, 1),
            "{}",
            said.stderr
        );
        assert!(said.stderr.contains(why), "{}", said.stderr);
    }
    let said = hopshot(&["-"]);
    assert!(
        said.status == 2 && said.stderr.contains("'--targets -' reads"),
        "{}",
        said.stderr
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
