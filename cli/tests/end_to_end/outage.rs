//! This machine's network fails for a moment, or for good: no host of a list is lost without a
//! reason, and a trace goes on.

use crate::world::lists::{
    ADDRESSES, LONGEST, ROUTES, SOCKETS, assert_all_whole, assert_no_outage,
    assert_nothing_is_lost, run, waited, whole_of,
};
use crate::world::{HOPSHOT, command_in_scenario, command_on_chain};
use serde_json::Value;

#[test]
fn a_list_outlasts_a_link_that_is_down() {
    let mend = "ip link set ahead up; ip address replace 2001:db8:1::fe/64 dev ahead nodad; \
        ip route replace 10.0.0.0/8 via 10.1.0.1; ip route replace 2001:db8::/32 via 2001:db8:1::1 dev ahead";
    assert_nothing_is_lost("ip link set ahead down", mend);
}

#[test]
fn a_list_outlasts_a_lack_of_routes() {
    let cut = "ip route del 10.0.0.0/8; ip route del 2001:db8::/32";
    assert_nothing_is_lost(cut, ROUTES);
}

#[test]
fn a_list_outlasts_routes_that_lead_nowhere() {
    for kind in ["unreachable", "blackhole", "prohibit", "throw"] {
        let [cut, mend] = ["add", "del"].map(|action| {
            format!(
                "ip route {action} {kind} 10.6.0.0/24; ip route {action} {kind} 2001:db8:6::/64"
            )
        });
        assert_nothing_is_lost(&cut, &mend);
    }
}

#[test]
fn a_list_outlasts_a_lack_of_addresses() {
    let cut = "ip address del 10.1.0.254/24 dev ahead; ip address del 2001:db8:1::fe/64 dev ahead";
    assert_nothing_is_lost(cut, &format!("{ADDRESSES}; {ROUTES}"));
}

#[test]
fn a_list_with_a_source_keeps_to_it_however_often_the_address_goes_and_comes() {
    // The kernel doesn't tell an IPv6 ping socket that the source it is bound to has gone: what it
    // sends meanwhile is lost.
    for (family, target, socket) in &SOCKETS[..3] {
        let (source, address) = match *family {
            "-4" => ("10.1.0.253", "10.1.0.253/24"),
            _ => ("2001:db8:1::fd", "2001:db8:1::fd/64"),
        };
        let add = format!(
            "ip address replace {address} dev ahead nodad 2>/dev/null || ip address replace {address} dev ahead"
        );
        let script = format!(
            "{add}
            yes {target} | head -n 600 | {HOPSHOT} {family} -s {source} -n -q1 --json --socket {socket} --targets - &
            pid=$!
            for i in $(seq 10); do sleep 0.1; ip address del {address} dev ahead; sleep 0.05; {add}; done
            wait $pid"
        );
        let Some(said) = command_on_chain(5, &["--ping"], &["sh", "-c", &script]) else {
            return;
        };
        assert_all_whole(&said, 600, socket);
        let source = format!("\"source\":\"{source}\"");
        assert_eq!(
            said.stdout.matches(&source).count(),
            600,
            "{family} {socket}"
        );
        assert!(
            !said.stdout.contains("\"changed\":[\""),
            "{family} {socket}"
        );
    }
}

#[test]
fn an_outage_that_lasts_too_long_ends_the_list_with_the_reason_at_each_host_that_is_left() {
    for (family, target, _) in &SOCKETS[1..3] {
        let script = format!(
            "(sleep 0.5; ip route del 10.0.0.0/8; ip route del 2001:db8::/32) & yes {target} | head -n 3000 |
            {HOPSHOT} {family} -n -q1 --json --rate 500 --outage 2 --targets -; status=$?; wait; exit $status"
        );
        let Some(said) = command_on_chain(5, &[], &["sh", "-c", &script]) else {
            return;
        };
        let documents: Vec<Value> = said
            .stdout
            .lines()
            .map(|line| serde_json::from_str(line).unwrap())
            .collect();
        assert_eq!((documents.len(), said.status), (3000, 1), "{}", said.stderr);
        let errors = documents
            .iter()
            .filter_map(|document| document["error"].as_str());
        let (told, others): (Vec<&str>, Vec<&str>) = errors.partition(|error| {
            error.starts_with("not traced, since nothing gets through over IPv")
        });
        assert!(
            told.len() > 1000 && others.is_empty(),
            "{} {others:?}",
            told.len()
        );
        // Each that waits is tried once more.
        assert!(
            told.iter()
                .all(|error| (2..10).contains(&waited(error, "(Network is unreachable)"))),
            "{}",
            told[0]
        );
        assert!(
            said.stderr.contains("waiting for up to 2 s (--outage)"),
            "{}",
            said.stderr
        );
    }
}

#[test]
fn with_an_outage_of_no_time_nothing_is_tried_again() {
    let Some(said) = command_on_chain(
        2,
        &[],
        &[
            HOPSHOT,
            "-n",
            "-q1",
            "--json",
            "--outage",
            "0",
            "192.0.2.1",
            "10.3.0.1",
        ],
    ) else {
        return;
    };
    let lost = said
        .stdout
        .lines()
        .find(|line| line.contains("192.0.2.1"))
        .unwrap();
    assert!(
        lost.contains("no route to 192.0.2.1") && !lost.contains("tries"),
        "{lost}"
    );
}

#[test]
fn a_host_without_a_route_among_others_is_given_up_after_three_tries() {
    let hosts = ["10.3.0.1", "192.0.2.1", "2001:db8:3::1"];
    let Some(said) = command_on_chain(
        2,
        &[],
        &[&[HOPSHOT, "-n", "-q1", "--json"], &hosts[..]].concat(),
    ) else {
        return;
    };
    let lost: Vec<&str> = said
        .stdout
        .lines()
        .filter(|line| line.contains("\"error\":"))
        .collect();
    assert!(
        matches!(lost[..], [lost] if lost.contains("192.0.2.1") && lost.contains("tries in 12 s"))
    );
    assert_eq!((said.stdout.lines().count(), said.status), (3, 1));
}

#[test]
fn a_trace_sends_again_what_it_could_not_send_for_a_moment() {
    for (family, target, socket) in SOCKETS {
        // Some 60 probes, 5 ms apart.
        let script = format!(
            "(sleep 0.1; ip route del 10.0.0.0/8; ip route del 2001:db8::/32; sleep 0.05; {ROUTES}) &
            {HOPSHOT} {family} -n -q10 --json --rate 200 --socket {socket} {target}; status=$?; wait; exit $status"
        );
        let Some(said) = command_on_chain(5, &["--ping"], &["sh", "-c", &script]) else {
            return;
        };
        let document = said.json();
        assert_eq!(
            (&document["distance"], said.status),
            (&6.into(), 0),
            "{socket}: {}",
            said.stderr
        );
        let hops = document["hops"].as_array().unwrap();
        for probe in hops
            .iter()
            .flat_map(|hop| hop["probes"].as_array().unwrap())
        {
            assert_eq!(probe.get("error"), None, "{socket}: {document}");
        }
    }
}

#[test]
fn a_trace_without_a_route_ends_at_once() {
    let Some(said) = command_on_chain(1, &[], &[HOPSHOT, "-n", "192.0.2.1"]) else {
        return;
    };
    assert!(
        said.status == 2 && said.stderr.contains("no route to 192.0.2.1"),
        "{}",
        said.stderr
    );
}

#[test]
fn hosts_that_never_answer_are_no_outage() {
    let scenario = concat!(env!("CARGO_MANIFEST_DIR"), "/tests/data/silent.toml");
    let lists = [
        "seq -f 10.200.0.%.0f 60",
        "for i in $(seq 60); do printf '2001:db8:ffff:1::%x\\n' $i; done",
    ];
    for (list, socket) in lists.into_iter().zip(["raw", "ping"]) {
        let script = format!(
            "{list} | {HOPSHOT} -n --json-stream --rate 20000 --socket {socket} --targets -"
        );
        let Some(said) = command_in_scenario(scenario, true, &["sh", "-c", &script]) else {
            return;
        };
        let count = |event: &str| {
            said.stdout
                .matches(&format!("\"event\":\"{event}\""))
                .count()
        };
        // On a busy machine a few may seem to have run into an outage, and are run again.
        assert_eq!(count("end"), 60);
        assert!(count("begin") <= 80, "{}", count("begin"));
    }
}

#[test]
fn with_an_outage_of_no_time_the_others_go_on_also_at_a_slow_rate() {
    let list =
        "echo 192.0.2.1; yes 10.3.0.1 | head -n 5; echo 192.0.2.2; yes 2001:db8:3::1 | head -n 5";
    let script = format!("({list}) | {HOPSHOT} -n -q1 --json --outage 0 --rate 40 --targets -");
    let Some(said) = command_on_chain(2, &[], &["sh", "-c", &script]) else {
        return;
    };
    let count = |text: &str| said.stdout.matches(text).count();
    assert_eq!(
        (
            count("\"reached\":true"),
            count("no route to 192.0.2."),
            said.status
        ),
        (10, 2, 1),
        "{}",
        said.stdout
    );
}

#[test]
fn an_interrupt_names_the_hosts_that_waited() {
    let script =
        format!("seq -f 192.0.2.%.0f 5 | timeout -s INT 1 {HOPSHOT} -n --json --targets -");
    let Some(said) = command_on_chain(1, &[], &["sh", "-c", &script]) else {
        return;
    };
    let waited =
        "not traced: interrupted while it waited to be tried again (Network is unreachable)";
    assert_eq!(
        said.stdout.matches(waited).count(),
        5,
        "{}{}",
        said.stdout,
        said.stderr
    );
}

#[test]
fn the_last_hosts_of_a_list_outlast_an_outage_as_well() {
    let script = format!(
        "(sleep 0.5; ip route del 10.0.0.0/8; sleep 14; {ROUTES}) & yes 10.6.0.1 | head -n 8 |
        {HOPSHOT} -n -q1 --json --rate 15 --targets -; status=$?; wait; exit $status"
    );
    let Some(said) = command_on_chain(5, &[], &["sh", "-c", &script]) else {
        return;
    };
    assert_all_whole(&said, 8, "the last");
}

#[test]
fn a_prefix_that_leads_nowhere_is_no_outage_however_many_hosts_are_in_it() {
    assert_no_outage("ip route add prohibit 10.99.0.0/16; ip route add prohibit 2001:db8:99::/48");
}

#[test]
fn a_host_without_a_route_makes_no_other_trace_run_again() {
    let list = "for i in $(seq 100); do echo $HOPSHOT_LAB_TARGET4; [ $((i % 20)) != 0 ] || echo 10.210.0.$i; done";
    let script = format!(
        "ip route add prohibit 10.210.0.0/16; ({list}) |
        {HOPSHOT} -n -q1 --json-stream --no-learning --targets -"
    );
    let Some(said) = command_in_scenario("silent", false, &["sh", "-c", &script]) else {
        return;
    };
    let count = |event: &str| {
        said.stdout
            .matches(&format!("\"event\":\"{event}\""))
            .count()
    };
    assert_eq!(
        (count("begin"), count("end"), count("error")),
        (100, 100, 5),
        "{}",
        said.stderr
    );
}

#[test]
fn a_family_of_which_one_host_failed_first_is_traced_all_the_same() {
    let list = "(echo 2001:db8:99::1; yes 10.3.0.1 | head -n 300; yes 2001:db8:3::1 | head -n 20)";
    let before = "ip route add prohibit 2001:db8:99::/48";
    let Some((whole, all, said)) = whole_of("--rate 60 --no-learning", before, list, "true") else {
        return;
    };
    assert_eq!((whole, all), (320, 321), "{said}");
}

#[test]
fn a_host_of_the_own_link_does_not_hide_an_outage() {
    let list =
        "(for i in $(seq 200); do echo 10.6.0.1; [ $((i % 20)) != 0 ] || echo 10.1.0.1; done)";
    let cut = format!("sleep 0.4; ip route del 10.0.0.0/8; sleep 14; {ROUTES}");
    let Some((whole, all, said)) = whole_of("--rate 300", "", list, &cut) else {
        return;
    };
    assert_eq!((whole, all), (210, 210), "{said}");
}

#[test]
fn a_list_that_was_stopped_in_an_outage_tries_again_before_it_ends() {
    let cut = format!("sleep 0.6; kill -STOP $pid; sleep 0.7; {ROUTES}; sleep 3; kill -CONT $pid");
    let list = "yes 10.6.0.1 | head -n 50";
    let Some((whole, all, said)) = whole_of("--outage 3", "ip route del 10.0.0.0/8", list, &cut)
    else {
        return;
    };
    assert_eq!((whole, all), (50, 50), "{said}");
}

#[test]
fn a_list_ends_where_one_family_has_no_route() {
    let list = "for i in $(seq 1500); do echo 10.3.0.1; echo 2001:db8:3::1; done";
    let run = |options: &str| {
        let script = format!(
            "ip -6 route del 2001:db8::/32; ({list}) | timeout 100 {HOPSHOT} -n -q1 --json {options} --targets -"
        );
        let Some(said) = command_on_chain(2, &[], &["sh", "-c", &script]) else {
            return;
        };
        let reached = said.stdout.matches("\"reached\":true").count();
        assert_eq!(
            (reached, said.stdout.lines().count(), said.status),
            (1500, 3000, 1),
            "{options}: {}",
            said.stderr
        );
        // Nothing was waited for that is to be told.
        assert!(
            !options.contains("--outage 0") || !said.stderr.contains("waiting"),
            "{}",
            said.stderr
        );
    };
    std::thread::scope(|scope| {
        for options in ["--rate 2000 --outage 0", "--rate 5000 --outage 1"] {
            scope.spawn(move || run(options));
        }
    });
}

#[test]
fn dead_hosts_of_the_own_link_are_no_outage_however_many_they_are() {
    let list = "(yes 10.6.0.1 | head -n 50; seq -f 10.1.0.%.0f 2 250; yes 10.6.0.1 | head -n 50)";
    for socket in ["raw", "ping"] {
        let options = format!("--socket {socket} --outage 3");
        let Some((_, all, said)) = whole_of(&options, "", list, "true") else {
            return;
        };
        let is_good = |line: &&str| {
            line.contains("\"address\":\"10.6.0.1\"") && line.contains("\"reached\":true")
        };
        assert_eq!(
            (said.lines().filter(is_good).count(), all),
            (100, 349),
            "{socket}"
        );
        assert!(!said.contains("nothing gets through"), "{socket}");
    }
}

#[test]
fn a_family_that_comes_back_after_the_other_is_waited_for() {
    let run = |first: &'static str, second: &'static str| {
        let list = "(yes 10.6.0.1 | head -n 200; yes 2001:db8:6::1 | head -n 200)";
        let before = "ip route del 10.0.0.0/8; ip route del 2001:db8::/32";
        let meanwhile = format!("sleep 16; {first}; sleep 1.5; {second}");
        let Some((whole, all, said)) = whole_of("", before, list, &meanwhile) else {
            return;
        };
        assert_eq!((whole, all), (400, 400), "{first}: {said}");
    };
    let (v4, v6) = ROUTES.split_once("; ").unwrap();
    std::thread::scope(|scope| {
        for (first, second) in [(v4, v6), (v6, v4)] {
            scope.spawn(move || run(first, second));
        }
    });
}

#[test]
fn all_paths_are_found_although_the_route_is_gone_for_a_moment() {
    for target in ["10.6.0.1", "2001:db8:6::1"] {
        let script = format!(
            "(sleep 0.3; ip route del 10.0.0.0/8; ip route del 2001:db8::/32; sleep 0.3; {ROUTES}) &
            {HOPSHOT} -n --json --rate 60 --paths {target}; status=$?; wait; exit $status"
        );
        let Some(said) = command_on_chain(5, &[], &["sh", "-c", &script]) else {
            return;
        };
        assert_eq!(
            (&said.json()["completeness"], said.status),
            (&"complete".into(), 0),
            "{}{}",
            said.stdout,
            said.stderr
        );
    }
}

#[test]
fn an_address_that_is_still_to_come_is_waited_for() {
    // The route is there, and the kernel would send from `::1`.
    let before = "ip -6 address flush dev ahead";
    for (_, target, socket) in &SOCKETS[2..] {
        let meanwhile = format!("sleep 4; {ADDRESSES}; {ROUTES}");
        let list = format!("yes {target} | head -n 30; yes 10.6.0.1 | head -n 30");
        let Some(said) = run(before, &list, &format!("--socket {socket}"), &meanwhile) else {
            return;
        };
        assert_all_whole(&said, 60, socket);
        assert!(
            !said.stdout.contains("\"source\":\"::1\""),
            "{}",
            said.stdout
        );
        let script = format!("{before}; timeout {LONGEST} {HOPSHOT} -n --socket {socket} {target}");
        let Some(said) = command_on_chain(1, &["--ping"], &["sh", "-c", &script]) else {
            return;
        };
        assert!(
            said.status == 2 && said.stderr.contains("no route to 2001:db8:6::1"),
            "{}",
            said.stderr
        );
    }
}
