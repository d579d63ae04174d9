//! What goes wrong, each with its exit status and one clear line.

use crate::world::{Said, has, hopshot, in_scenario, shell_in_scenario};

/// One line on standard error, nothing on standard output, exit status 2.
pub(crate) fn refused(said: &Said, words: &str) {
    assert_eq!(
        (said.status, said.stdout.as_str()),
        (2, ""),
        "{}",
        said.stderr
    );
    assert_eq!(said.stderr.lines().count(), 1, "{:?}", said.stderr);
    assert!(
        said.stderr.starts_with("hopshot: ") && said.stderr.contains(words),
        "{:?}",
        said.stderr
    );
}

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
        "--paths",
        "--mtu",
        "--targets",
        "--watch",
        "--format",
        "hopshot --json",
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
fn an_address_without_a_route_is_refused() {
    if let Some(said) = in_scenario("short", &["172.16.1.1"]) {
        refused(&said, "no route to 172.16.1.1");
    }
}

#[test]
fn a_name_that_does_not_exist_is_refused() {
    if let Some(said) = in_scenario("short", &["nowhere.invalid"]) {
        refused(&said, "can't find the address of 'nowhere.invalid'");
        assert!(!said.stderr.contains("lookup"), "{}", said.stderr);
    }
}

#[test]
fn what_can_be_no_host_is_refused_without_asking_dns() {
    for host in ["", "192.0.2.0/24", "two hosts", "256.0.0.1"] {
        refused(&hopshot(&[host]), &format!("'{host}' is no host: "));
    }
}

#[test]
fn the_wrong_family_is_refused() {
    if let Some(said) = in_scenario("short", &["-6", "{4}"]) {
        refused(&said, "has no IPv6 address");
    }
}

#[test]
fn an_interface_or_a_source_that_is_not_there_is_refused() {
    if let Some(said) = in_scenario("short", &["-i", "nosuch0", "{4}"]) {
        refused(&said, "no interface is named 'nosuch0'");
    }
    if let Some(said) = in_scenario("short", &["fe80::1%nosuch0"]) {
        refused(&said, "no interface is named 'nosuch0'");
    }
    let ways: [(&[&str], &str); 6] = [
        (&["::1%lo"], "::1 has no zone"),
        (
            &["fe80::1"],
            "fe80::1 is link-local, so its interface must follow, as in fe80::1%eth0",
        ),
        (&["fe80::1%hopshot0"], "no route to fe80::1%hopshot0: "),
        (
            &["fe80::1%hopshot0"],
            "(ip route get fe80::1 dev hopshot0 ipproto ipv6-icmp)",
        ),
        (
            &["-s", "127.0.0.1", "{4}"],
            "can't send from 127.0.0.1: the target can't be reached from it",
        ),
        (
            &["--mtu", "-s", "127.0.0.1", "{4}"],
            "can't send from 127.0.0.1: the target can't be reached from it",
        ),
    ];
    for (args, words) in ways {
        if let Some(said) = in_scenario("short", args) {
            refused(&said, words);
        }
    }
    if let Some(said) = in_scenario("short", &["-s", "10.9.9.9", "{4}"]) {
        refused(&said, "it isn't an address of this machine");
    }
}

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
fn loopback_is_one_hop() {
    for address in ["127.0.0.1", "::1"] {
        let Some(said) = in_scenario("short", &["-n", "--json", address]) else {
            return;
        };
        let document = said.json();
        assert_eq!(
            (said.status, &document["distance"]),
            (0, &1.into()),
            "{document}"
        );
        assert_eq!(document["hops"].as_array().map(Vec::len), Some(1));
    }
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

#[test]
fn an_ipv4_address_written_as_ipv6_is_traced_as_ipv4() {
    let Some(said) = in_scenario("short", &["-n", "-q1", "--json", "::ffff:10.255.0.80"]) else {
        return;
    };
    let document = said.json();
    assert_eq!(
        (said.status, &document["distance"]),
        (0, &5.into()),
        "{document}"
    );
    assert_eq!(document["target"]["address"], "10.255.0.80");
}

#[test]
fn a_host_with_addresses_of_both_families_is_traced_in_that_of_the_source() {
    for (source, target) in [
        ("10.0.0.2", "10.255.0.80"),
        ("2001:db8::2", "2001:db8:ffff::80"),
    ] {
        for more in [
            &["{name}"][..],
            &["{name}", "10.1.0.1"],
            &["--watch", "--count", "1", "{name}"],
        ] {
            let Some(said) =
                in_scenario("short", &[&["-n", "-q1", "-s", source][..], more].concat())
            else {
                return;
            };
            assert!(
                said.stdout.contains(target),
                "{more:?}: {} {}",
                said.stdout,
                said.stderr
            );
        }
    }
}

#[test]
fn a_source_of_the_other_family_and_hops_in_the_wrong_order_are_told_in_the_words_of_the_command() {
    let said = hopshot(&["-s", "::1", "127.0.0.1"]);
    assert_eq!(said.status, 2);
    assert_eq!(
        said.stderr,
        "hopshot: can't send from ::1: it is of another family than the target's address\n"
    );
    let said = hopshot(&["-f", "5", "-m", "3", "127.0.0.1"]);
    assert_eq!(
        (said.status, said.stderr.as_str()),
        (2, "hopshot: --first must be 1 to 3 (--max-hops), not 5\n")
    );
}

#[test]
fn a_wait_that_is_too_short_makes_no_hop_rate_limited() {
    let Some(said) = in_scenario("wan", &["-n", "-w", "0.03", "{4}"]) else {
        return;
    };
    assert!(!said.stdout.contains("rate limited"), "{}", said.stdout);
}

#[test]
fn a_trace_without_a_probe_that_left_says_why_in_three_lines() {
    let script = "tc qdisc add dev hopshot0 root tbf rate 1kbit burst 10 limit 1; exec $0 -n -q1 $HOPSHOT_LAB_TARGET4";
    let Some(said) = shell_in_scenario("short", script) else {
        return;
    };
    let lines: Vec<&str> = said.stdout.lines().collect();
    assert_eq!((said.status, lines.len()), (1, 3), "{lines:?}");
    assert_eq!(
        lines[1..],
        [
            " 1-32  ! No buffer space available",
            "No probe could be sent to 10.255.0.80: No buffer space available."
        ]
    );
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
fn too_few_open_files_are_not_taken_for_a_full_disk() {
    let script = "ulimit -n 9; $0 -q1 $HOPSHOT_LAB_TARGET4";
    let Some(said) = shell_in_scenario("short", script) else {
        return;
    };
    // The words are those of the C library.
    refused(&said, "(os error 24)");
    assert!(
        !said.stderr.contains("can't write") && said.stderr.contains("ulimit -n"),
        "{}",
        said.stderr
    );
}

#[test]
fn nobody_is_told_to_give_up_a_safety_measure_for_a_slip_of_the_pen() {
    for option in ["--no-sandbx", "--no-sandboxes", "--nosandbox"] {
        let said = hopshot(&[option, "127.0.0.1"]);
        assert!(
            said.status == 2 && !said.stderr.contains("did you mean"),
            "{}",
            said.stderr
        );
    }
    for option in ["--no-dns", "--numeric"] {
        let Some(said) = in_scenario("short", &["-q1", option, "--ipv4", "{4}"]) else {
            return;
        };
        assert!(
            said.status == 0 && !said.stdout.contains("example"),
            "{}",
            said.stdout
        );
    }
}

#[test]
fn what_can_be_no_host_is_told_as_what_it_is() {
    for (host, why) in [
        ("example.com:443", "with a port it is a service"),
        ("192.0.2.1:80", "with a port it is a service"),
        ("[2001:db8::1]:443", "with a port it is a service"),
        ("255.255.255.255", "it is the broadcast address"),
        ("203.0.113.9\u{200b}/", r"'203.0.113.9\u{200b}/' is no host"),
    ] {
        let Some(said) = in_scenario("short", &[host]) else {
            return;
        };
        assert!(
            said.status == 2 && said.stderr.contains(why),
            "{host}: {}",
            said.stderr
        );
    }
}

#[test]
fn a_multicast_address_that_nobody_answers_for_is_told_as_one() {
    for (target, address) in [("224.0.0.1", "224.0.0.1"), ("ff02::1%hopshot0", "ff02::1")] {
        let script =
            format!("ip route add 224.0.0.0/4 dev hopshot0; exec $0 -n -q1 -w 0.3 -m 3 {target}");
        let Some(said) = shell_in_scenario("short", &script) else {
            return;
        };
        let why = format!(
            "No answer from {address}: it is a multicast address, which stands for many hosts.\n"
        );
        assert!(
            said.status == 1 && said.stdout.ends_with(&why),
            "{} {}",
            said.stdout,
            said.stderr
        );
    }
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
        (&["-I"][..], "'-I': hopshot always sends ICMP"),
        (&["-T", "-p", "443"], "'-T': hopshot sends ICMP only"),
        (&["-nU"], "'-U': hopshot sends ICMP only"),
        (&["-p", "33434"], "'-p': hopshot sends ICMP only"),
        (&["--tcp"], "'--tcp': hopshot sends ICMP only"),
        (&["--port=80"], "'--port': hopshot sends ICMP only"),
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
fn what_nobody_sees_in_a_host_is_seen_in_the_message() {
    for hidden in ['\u{200b}', '\u{feff}', '\u{2060}', '\u{ad}'] {
        let Some(said) = in_scenario("short", &[&format!("203.0.113.9{hidden}")]) else {
            return;
        };
        let escaped = format!("'203.0.113.9{}'", hidden.escape_unicode());
        assert!(
            said.status == 2 && said.stderr.contains(&escaped),
            "{}",
            said.stderr
        );
    }
}

#[test]
fn a_name_beyond_ascii_is_found_as_dns_has_it_and_as_it_is_written() {
    let script = "echo '10.255.0.80 xn--mnchen-3ya.example büro.example' >>/etc/hosts; \
        for host in münchen.example MÜNCHEN.example büro.example; do $0 -n -q1 --json $host; done";
    let Some(said) = shell_in_scenario("short", script) else {
        return;
    };
    let found = said.stdout.matches("\"address\":\"10.255.0.80\"").count();
    assert_eq!(
        (found, said.status),
        (3, 0),
        "{}{}",
        said.stdout,
        said.stderr
    );
}

#[test]
fn a_list_in_another_encoding_is_told_as_that_once_and_the_advice_converts_it() {
    if !has("iconv", "the advice for a list in another encoding") {
        return;
    }
    for encoding in [
        "UTF-16", "UTF-16LE", "UTF-16BE", "UTF-32", "UTF-32LE", "UTF-32BE",
    ] {
        let path = std::env::temp_dir().join(format!("hopshot-{encoding}-{}", std::process::id()));
        let name = path.to_str().unwrap();
        // Without a number for the order iconv writes a mark.
        let write =
            format!("printf '203.0.113.9\\n203.0.113.8\\n' | iconv -f UTF-8 -t {encoding} >{name}");
        let slowly = format!(
            "(head -c 1 {name}; sleep 0.1; tail -c +2 {name} | head -c 1; sleep 0.1; tail -c +3 {name})"
        );
        for read in [
            format!("--targets {name}"),
            format!("--targets - <{name}"),
            format!("--targets - < <({slowly})"),
        ] {
            let script = format!("{write}; exec bash -c '\"$0\" -n {read}' \"$0\"");
            let Some(said) = shell_in_scenario("short", &script) else {
                return;
            };
            assert_eq!(
                (
                    said.status,
                    said.stdout.as_str(),
                    said.stderr.lines().count()
                ),
                (2, "", 1),
                "{}",
                said.stderr
            );
            assert!(
                said.stderr.contains(&format!("it is in {encoding}, ")),
                "{encoding}: {}",
                said.stderr
            );
            let advice = format!("iconv -f {encoding} -t UTF-8");
            assert!(said.stderr.contains(&advice), "{}", said.stderr);
            let converted = std::process::Command::new("sh")
                .args(["-c", &format!("{advice} <{name}")])
                .output()
                .unwrap();
            assert_eq!(
                String::from_utf8_lossy(&converted.stdout),
                "203.0.113.9\n203.0.113.8\n"
            );
        }
        std::fs::remove_file(path).expect("the file can be removed");
    }
}

#[test]
fn a_dumb_terminal_is_told_as_that() {
    let script = "export HOPSHOT=$0; TERM=dumb script -qec '$HOPSHOT --watch 127.0.0.1' /dev/null";
    let Some(said) = shell_in_scenario("short", script) else {
        return;
    };
    assert!(
        said.stdout.contains("TERM says that it is dumb"),
        "{:?}",
        said.stdout
    );
}

#[test]
fn without_proc_it_is_told_why_there_are_no_names() {
    const WHY: &str = "nothing can be looked up: there is no /proc/self/exe";
    // The last is a list.
    for mode in [
        "",
        "-v",
        "--json",
        "--paths",
        "--mtu",
        "--watch --count 1",
        "127.0.0.1",
    ] {
        for (names, told) in [("", 1), ("-n", 0)] {
            for (target, address) in [("4", "10.255.0.80"), ("6", "2001:db8:ffff::80")] {
                let script = format!(
                    "mount -t tmpfs none /proc && $0 {names} {mode} -q1 $HOPSHOT_LAB_TARGET{target}"
                );
                let Some(said) =
                    shell_in_scenario("short", &format!("unshare -m sh -c '{script}' $0"))
                else {
                    return;
                };
                assert_eq!(
                    (said.status, said.stderr.matches(WHY).count()),
                    (0, told),
                    "{names} {mode}: {}",
                    said.stderr
                );
                assert!(said.stdout.contains(address), "{mode}: {}", said.stdout);
            }
        }
    }
}
