//! Name servers fail for a moment, or for good: no host of a list is lost without a reason.

use crate::needs::needs;
use crate::world::lists::assert_all_whole;
use crate::world::{HOPSHOT, Said, command_on_chain};
use serde_json::Value;

const DNS: &str = concat!(
    env!("CARGO_MANIFEST_DIR"),
    "/tests/data/failing_name_server.py"
);

/// Traces a list of names while a name server fails as told for a time.
fn names(manner: &str, options: &str, names: &str) -> Option<Said> {
    let script = format!(
        "python3 {DNS} {manner} sh -c '({names}) | {HOPSHOT} -n -q1 --json --rate 2000 {options} --targets -'"
    );
    command_on_chain(5, &[], &["sh", "-c", &script])
}

#[test]
fn a_list_outlasts_name_servers_that_fail() {
    needs("python3");
    for manner in ["servfail", "refused", "silent"] {
        let Some(said) = names(
            &format!("{manner} 0.4 0.4"),
            "",
            "for i in $(seq 600); do echo h$i.example; done",
        ) else {
            return;
        };
        assert_all_whole(&said, 600, manner);
    }
}

#[test]
fn a_list_outlasts_name_servers_that_fail_for_one_type_of_address() {
    needs("python3");
    // The name with one address, the one with both, and each family that they are wanted in.
    let cases = [
        ("1", "h", ""),
        ("1", "d", "-4"),
        ("1", "h", "-4"),
        ("28", "s", ""),
        ("28", "d", "-6"),
        ("28", "s", "-6"),
    ];
    for (kind, name, family) in cases {
        let list = format!("for i in $(seq 100); do echo {name}$i.example; done");
        let Some(said) = names(&format!("servfail-{kind} 0 0.5"), family, &list) else {
            return;
        };
        assert_all_whole(&said, 100, &format!("{kind} {name} {family}"));
    }
}

#[test]
fn hosts_that_need_no_name_server_show_nothing_of_it() {
    needs("python3");
    let others = ["[2001:db8:6::1]", "[fe80::1%lo]", "localhost", "10.6.0.1"];
    let run = |other: &str| {
        let list = format!(
            "echo h0.example; sleep 1; for i in $(seq 20); do echo h$i.example; done; yes {other} | head -n 300"
        );
        let Some(said) = names("servfail 0.7 16", "--rate 40 --outage 40", &list) else {
            return;
        };
        let named = said
            .stdout
            .lines()
            .filter(|line| line.contains(".example\""));
        assert_eq!(
            named
                .filter(|line| line.contains("\"reached\":true"))
                .count(),
            21,
            "{other}: {}",
            said.stderr
        );
    };
    std::thread::scope(|scope| {
        for other in others {
            scope.spawn(move || run(other));
        }
    });
}

#[test]
fn more_names_may_wait_than_there_is_room_for() {
    needs("python3");
    let list = "seq -f h%.0f.example 6000";
    let Some(said) = names("servfail 0.3 6", "--outage 20", list) else {
        return;
    };
    assert!(
        said.stderr.contains("no name can be looked up"),
        "{}",
        said.stderr
    );
    assert_all_whole(&said, 6000, "names");
}

#[test]
fn a_name_that_fails_among_others_is_given_up_with_its_reason() {
    needs("python3");
    let list = "for i in $(seq 20); do echo h$i.example; done; echo bad.example; echo none.example";
    let Some(said) = names("servfail 99 0", "", list) else {
        return;
    };
    let lost: Vec<Value> = said
        .stdout
        .lines()
        .map(|line| serde_json::from_str(line).unwrap())
        .collect();
    let error = |name: &str| {
        let document = lost
            .iter()
            .find(|document| document["target"]["name"] == name)
            .unwrap();
        document["error"].as_str().unwrap_or_default().to_owned()
    };
    assert_eq!((lost.len(), said.status), (22, 1));
    let bad = error("bad.example");
    assert!(
        bad.contains("Temporary failure in name resolution") && bad.contains("tries in 12 s"),
        "{bad}"
    );
    // There is no such name, and asking again doesn't change that.
    assert!(!error("none.example").contains("tries"));
}

#[test]
fn a_look_up_that_failed_while_the_list_was_stopped_is_made_again() {
    needs("python3");
    let script = format!(
        "python3 {DNS} silent 0.5 10 sh -c '(seq -f h%.0f.example 40; sleep 1; seq -f h%.0f.example 40) |
        {HOPSHOT} -n -q1 --json --outage 12 --targets - &
        pid=$!
        sleep 8; kill -STOP $pid; sleep 14; kill -CONT $pid; wait $pid'"
    );
    let Some(said) = command_on_chain(5, &[], &["sh", "-c", &script]) else {
        return;
    };
    assert_all_whole(&said, 80, "names");
}

#[test]
fn a_zone_that_fails_at_the_end_of_a_list_is_no_outage_however_many_names_are_in_it() {
    needs("python3");
    let list = "for name in h bad; do seq -f $name%.0f.example 40; done";
    let Some(said) = names("servfail 99 0", "--outage 18", list) else {
        return;
    };
    let count = |text: &str| said.stdout.matches(text).count();
    assert_eq!(
        (
            count("\"reached\":true"),
            count("; given up after "),
            said.status
        ),
        (40, 40, 1),
        "{}",
        said.stdout
    );
}

#[test]
fn an_interrupt_names_the_hosts_whose_addresses_were_looked_up_once_each() {
    needs("python3");
    // Those of the first are asked for a second time when the interrupt comes.
    for (manner, reason) in [
        ("servfail", "(Temporary failure in name resolution)"),
        ("silent", "its address was looked up"),
    ] {
        let script = format!(
            "python3 {DNS} {manner} 0 99 sh -c '(seq -f h%.0f.example 5; echo h5.example; sleep 2) |
            timeout -s INT 1 {HOPSHOT} -n --json --targets -'"
        );
        let Some(said) = command_on_chain(1, &[], &["sh", "-c", &script]) else {
            return;
        };
        let told = said
            .stdout
            .lines()
            .filter(|line| line.contains("not traced: interrupted while"))
            .collect::<Vec<_>>();
        assert!(
            told.len() == 6 && told.iter().all(|line| line.contains(reason)),
            "{}{}",
            said.stdout,
            said.stderr
        );
    }
}

#[test]
fn names_are_waited_for_although_addresses_can_be_traced() {
    needs("python3");
    let lists = [
        // None was ever found.
        ("servfail 0 15", "echo 10.6.0.1; seq -f h%.0f.example 200"),
        // The last of the list: the first is asked for again, to see whether it can be found
        // still.
        (
            "servfail 0.7 16",
            "echo h0.example; sleep 1; seq -f h%.0f.example 4",
        ),
    ];
    std::thread::scope(|scope| {
        for (manner, list) in lists {
            scope.spawn(move || {
                let Some(said) = names(manner, "", list) else {
                    return;
                };
                assert!(
                    said.stdout
                        .lines()
                        .all(|line| line.contains("\"reached\":true")),
                    "{list}: {}",
                    said.stdout
                );
                assert_eq!(said.status, 0, "{list}: {}", said.stderr);
            });
        }
    });
}
