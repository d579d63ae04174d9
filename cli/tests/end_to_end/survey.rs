//! Many hosts at once.

use crate::world::{command_in_scenario, hopshot, in_scenario, shell_in_scenario};
use serde_json::Value;
use std::collections::BTreeMap;

/// The documents of an NDJSON output, by host.
pub(crate) fn documents(stdout: &str) -> BTreeMap<String, Value> {
    let line = |line: &str| -> (String, Value) {
        let document: Value =
            serde_json::from_str(line).unwrap_or_else(|error| panic!("{error} in {line:?}"));
        (
            document["target"]["name"]
                .as_str()
                .expect("every document names its host")
                .to_owned(),
            document,
        )
    };
    stdout.lines().map(line).collect()
}

pub(crate) fn addresses(document: &Value) -> Vec<String> {
    let shared = document["shared"].as_array().into_iter().flatten();
    assert!(
        shared.clone().all(|hop| hop["from"].is_string()),
        "{document}"
    );
    addresses_or_silence(document)
}

/// The same where a hop that is shared may be silent.
pub(crate) fn addresses_or_silence(document: &Value) -> Vec<String> {
    let shared = document["shared"].as_array().into_iter().flatten();
    let shared = shared.map(|hop| hop["from"].as_str().unwrap_or("*").to_owned());
    let hops = document["hops"].as_array().expect("there are hops");
    // On a busy machine a probe may be lost and sent again.
    let from = |hop: &Value| {
        hop["probes"]
            .as_array()?
            .iter()
            .find_map(|probe| probe["from"].as_str().map(str::to_owned))
    };
    shared
        .chain(
            hops.iter()
                .map(|hop| from(hop).unwrap_or_else(|| "*".to_owned())),
        )
        .collect()
}

#[test]
fn each_of_several_hosts_gets_its_block_of_text() {
    let hosts = ["10.200.0.7", "10.200.9.1", "2001:db8:ffff:1::5"];
    let Some(said) = in_scenario("many", &[&["-n", "-q1"], &hosts[..]].concat()) else {
        return;
    };
    assert_eq!((said.status, said.stderr.as_str()), (0, ""));
    let blocks: Vec<&str> = said.stdout.split("\n\n").collect();
    assert_eq!(blocks.len(), 3, "{}", said.stdout);
    for host in hosts {
        let header = format!("traceroute to {host} ({host}), 32 hops max");
        let block = blocks
            .iter()
            .find(|block| block.starts_with(&header))
            .expect("each host has one");
        let lines: Vec<&str> = block.lines().collect();
        assert_eq!(lines.len(), 13, "{block}");
        assert!(lines[12].starts_with(&format!("12  {host} ")), "{block}");
    }
}

#[test]
fn a_list_of_hosts_is_traced_on_either_socket_and_bad_lines_are_told_by_number_while_the_rest_goes_on()
 {
    for kind in ["raw", "ping"] {
        let script = format!(
            "for i in $(seq 0 299); do echo 10.200.$((i % 16)).$((i / 16)); done |
            sed -e '3i# a comment' -e '5itwo hosts' -e '9s/$/  # the ninth/' |
            {} -4 -n -q1 --json --rate 4000 --socket {kind} --targets - target.example",
            crate::world::HOPSHOT
        );
        let Some(said) = command_in_scenario("many", true, &["sh", "-c", &script]) else {
            return;
        };
        assert_eq!(said.status, 1, "a line was bad: {}", said.stderr);
        assert_eq!(
            said.stderr,
            "hopshot: standard input, line 6: 'two hosts' isn't one host; there must be one a line\n"
        );
        let documents = documents(&said.stdout);
        assert_eq!(documents.len(), 301);
        for (host, document) in documents {
            let mut path: Vec<String> = (1..12).map(|hop| format!("10.{hop}.0.1")).collect();
            path.push(if host == "target.example" {
                "10.200.0.0".to_owned()
            } else {
                host
            });
            assert_eq!(addresses(&document), path);
            assert_eq!(
                (&document["reached"], &document["socket"]),
                (&Value::from(true), &Value::from(kind))
            );
        }
    }
}

#[test]
fn a_host_that_can_not_be_traced_is_a_document_too() {
    let Some(said) = in_scenario(
        "many",
        &[
            "-n",
            "--json",
            "--outage=0",
            "no-such.example",
            "10.200.0.1",
        ],
    ) else {
        return;
    };
    assert_eq!((said.status, said.stderr.as_str()), (1, ""));
    let documents = documents(&said.stdout);
    assert!(
        documents["no-such.example"]["error"]
            .as_str()
            .unwrap()
            .contains("no-such.example"),
        "{}",
        said.stdout
    );
    assert_eq!(
        documents["no-such.example"]["target"]["address"],
        Value::Null
    );
    assert_eq!(documents["10.200.0.1"]["distance"], 12);
}

#[test]
fn hosts_that_are_found_wait_for_room_and_none_is_lost() {
    // They are found at once, and the seqs of the one ping socket that there are descriptors for
    // are enough for 42 such traces.
    let list =
        "for i in $(seq 120); do echo 10.200.4.$i h$i.example >>/etc/hosts; echo h$i.example; done";
    let options = "-4 -n -q10 -m 64 --json --socket ping --rate 100000";
    let script = format!(
        "ulimit -n 60; {list} | {} {options} --targets -",
        crate::world::HOPSHOT
    );
    let Some(said) = command_in_scenario("deadtarget", true, &["sh", "-c", &script]) else {
        return;
    };
    let documents = documents(&said.stdout);
    assert_eq!(documents.len(), 120, "{}", said.stderr);
    let lost: Vec<&Value> = documents
        .values()
        .filter(|document| document.get("error").is_some())
        .collect();
    assert!(lost.is_empty(), "{lost:?}");
}

#[test]
fn no_more_probes_leave_than_the_rate_permits() {
    let hosts: Vec<String> = (1..40).map(|number| format!("10.200.3.{number}")).collect();
    let hosts: Vec<&str> = hosts.iter().map(String::as_str).collect();
    let args = [
        &["-n", "-q1", "--json", "--no-learning", "--rate", "400"],
        hosts.as_slice(),
    ]
    .concat();
    let Some(said) = in_scenario("many", &args) else {
        return;
    };
    let documents = documents(&said.stdout);
    let sent: f64 = documents
        .values()
        .map(|document| document["probes_sent"].as_f64().unwrap())
        .sum();
    let began = documents.values().map(started).fold(f64::MAX, f64::min);
    let ended = documents
        .values()
        .map(|document| started(document) + document["duration_ms"].as_f64().unwrap() / 1e3);
    let took = ended.fold(0.0, f64::max) - began;
    assert!(
        sent > 400.0 && sent <= 400.0 * took + 2.0,
        "{sent} in {took} s"
    );
}

/// When it started, in seconds of its hour, which is enough to compare.
fn started(document: &Value) -> f64 {
    let text = document["started"].as_str().expect("it is a time");
    let (minutes, seconds) = (&text[14..16], &text[17..text.len() - 1]);
    minutes.parse::<f64>().unwrap() * 60.0 + seconds.parse::<f64>().unwrap()
}

#[test]
fn ctrl_c_ends_a_survey_with_what_is_known() {
    let script = "yes 10.200.0.1 | head -100000 | $0 -n -q1 --json --rate 100 --targets - & sleep 1; kill -INT $!; wait $!";
    let Some(said) = shell_in_scenario("many", script) else {
        return;
    };
    assert_eq!(said.status, 1, "{}", said.stderr);
    let documents: Vec<Value> = said
        .stdout
        .lines()
        .map(|line| serde_json::from_str(line).unwrap())
        .collect();
    assert!((2..60).contains(&documents.len()), "{}", documents.len());
    let last = documents.last().unwrap();
    assert_eq!(
        (&last["stop_reason"], &last["reached"]),
        (&Value::from("interrupted"), &Value::from(false))
    );
}

#[test]
fn a_file_that_can_not_be_read_is_one_line_and_exit_status_2() {
    let said = hopshot(&["--targets", "/no/such/file"]);
    assert_eq!((said.status, said.stdout.as_str()), (2, ""));
    assert_eq!(
        said.stderr,
        "hopshot: can't read the hosts of '/no/such/file': No such file or directory (os error 2)\n"
    );
}

#[test]
fn a_list_that_can_not_be_read_on_ends_with_the_results_of_what_was_on_its_way() {
    let Some(said) = in_scenario("many", &["-n", "--json", "--targets", "/", "10.200.0.1"]) else {
        return;
    };
    assert_eq!(
        (said.status, said.json()["reached"].clone()),
        (2, Value::from(true))
    );
    assert_eq!(
        said.stderr,
        "hopshot: can't read the hosts of '/': Is a directory (os error 21)\n"
    );
    let said = hopshot(&["--targets", "/"]);
    assert_eq!((said.status, said.stdout.as_str()), (2, ""));
    assert_eq!(
        said.stderr,
        "hopshot: can't read the hosts of '/': Is a directory (os error 21)\n"
    );
}

#[test]
fn what_a_list_or_a_name_has_for_a_terminal_to_obey_is_escaped() {
    let script = r"printf '10.200.0.1\342\200\256a\n10.200.0.2\n' | $0 -n -q1 --csv --targets -";
    let script = script.replace("--csv", "--format csv");
    let Some(said) = shell_in_scenario("many", &script) else {
        return;
    };
    assert!(
        said.status == 1
            && said
                .stderr
                .contains(r"'10.200.0.1\u{202e}a' isn't one host"),
        "{}",
        said.stderr
    );
    assert_eq!(
        said.stderr
            .matches(|c: char| c != '\n' && !c.is_ascii_graphic() && c != ' ')
            .count(),
        0
    );
    let Some(said) = in_scenario("many", &["-n", "a\u{202e}\x1b[2Jb.example"]) else {
        return;
    };
    assert!(
        said.status == 2 && said.stderr.contains(r"'a\u{202e}\u{1b}[2Jb.example'"),
        "{}",
        said.stderr
    );
}

#[test]
fn how_far_it_is_stands_below_the_results_again_at_once_and_fits_the_terminal() {
    let on_terminal = |term: &str| {
        let hosts = "$(for i in $(seq 100); do echo 10.200.1.$i; done)";
        let command =
            format!("stty cols 30 rows 24; TERM={term} $HOPSHOT -n -q1 --format csv {hosts}");
        shell_in_scenario(
            "many",
            &format!("export HOPSHOT=$0; script -qec '{command}' /dev/null"),
        )
        .map(|said| said.stdout)
    };
    let Some(said) = on_terminal("xterm") else {
        return;
    };
    let drawn = said
        .split("\r\x1b[K")
        .filter(|text| text.contains(" traced, "));
    let widths: Vec<usize> = drawn.map(str::len).collect();
    // Several results may come at once.
    assert!(
        widths.len() > 20 && widths.iter().all(|width| *width < 30),
        "{widths:?}"
    );
    let Some(said) = on_terminal("dumb") else {
        return;
    };
    assert!(
        said.contains(",answered,") && !said.contains(" traced, ") && !said.contains('\x1b'),
        "{said:?}"
    );
}

#[test]
fn where_no_helper_can_be_started_it_is_said_why() {
    // It is the program that /proc names.
    let script = "mount -t tmpfs none /proc && $0 -v -n -q1 --json nowhere.example 10.200.0.1";
    let Some(said) = shell_in_scenario("many", script) else {
        return;
    };
    let why = "there is no /proc/self/exe; mount /proc";
    assert!(
        said.stderr
            .contains(&format!("hopshot: nothing can be looked up: {why}\n")),
        "{}",
        said.stderr
    );
    let documents = documents(&said.stdout);
    assert_eq!(
        documents["nowhere.example"]["error"],
        format!("its address can't be looked up: {why}")
    );
    assert_eq!(
        (said.status, &documents["10.200.0.1"]["reached"]),
        (1, &Value::from(true))
    );
}

#[test]
fn an_interrupt_is_heard_also_when_the_list_is_at_its_end() {
    let script = "$0 -n -q1 --json -w 20 $HOPSHOT_LAB_TARGET4 $HOPSHOT_LAB_TARGET6 & sleep 0.25; kill -INT $!; wait $!";
    let Some(said) = shell_in_scenario("deadtarget", script) else {
        return;
    };
    assert_eq!(said.status, 1, "{}", said.stderr);
    let reasons: Vec<Value> = documents(&said.stdout)
        .into_values()
        .map(|document| document["stop_reason"].clone())
        .collect();
    assert_eq!(reasons, ["interrupted", "interrupted"]);
}

#[test]
fn a_list_without_a_host_is_a_mistake() {
    let said = hopshot(&["--targets", "/dev/null"]);
    assert_eq!((said.status, said.stdout.as_str()), (2, ""));
    assert_eq!(
        said.stderr,
        "hopshot: the list has no host: expected one per line\n"
    );
}

#[test]
fn a_host_that_is_none_is_told_and_neither_waited_for_nor_passed_on() {
    let hosts = [
        "no such host",
        "a\nfind * b",
        "10.200.0.1",
        "nowhere.example",
        "nowhere.example",
    ];
    let Some(said) = in_scenario(
        "many",
        &[&["-n", "--json", "--outage=0"], &hosts[..]].concat(),
    ) else {
        return;
    };
    assert_eq!(said.status, 1);
    assert_eq!(said.stderr.lines().count(), 2, "{}", said.stderr);
    // A host that is given twice is traced, or not, twice.
    assert_eq!(said.stdout.lines().count(), 3, "{}", said.stdout);
}

#[test]
fn why_a_host_of_a_list_is_not_traced_is_told_with_the_host_as_it_was_given() {
    let Some(said) = in_scenario("wan", &["-n", "-q1", "-s", "10.0.0.2", "{6}", "{4}"]) else {
        return;
    };
    let why = ": can't send from 10.0.0.2: it is of another family than the target's address\n";
    assert!(
        said.status == 1 && said.stderr.ends_with(why),
        "{}",
        said.stderr
    );
    // One of the ways of writing an address: inet_aton(3).
    let Some(said) = in_scenario("wan", &["-n", "-q1", "--outage=0", "0.1", "{4}"]) else {
        return;
    };
    assert!(
        said.stderr.starts_with("hopshot: 0.1: no route to 0.0.0.1"),
        "{}",
        said.stderr
    );
}
