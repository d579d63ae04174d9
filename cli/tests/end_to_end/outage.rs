//! This machine's network fails for a moment, or for good: no host of a list is lost without a
//! reason, and a trace goes on.

use crate::world::{HOPSHOT, Said, command_in_scenario, command_on_chain};
use serde_json::Value;

/// The routes to the chain as they were.
pub(crate) const ROUTES: &str = "ip route replace 10.0.0.0/8 via 10.1.0.1; ip route replace 2001:db8::/32 via 2001:db8:1::1 dev ahead";
pub(crate) const ADDRESSES: &str = "ip address replace 10.1.0.254/24 dev ahead; ip address replace 2001:db8:1::fe/64 dev ahead nodad";

/// Each socket in each family: the family, the target and the kind of socket.
pub(crate) const SOCKETS: [(&str, &str, &str); 4] = [
    ("-4", "10.6.0.1", "raw"),
    ("-4", "10.6.0.1", "ping"),
    ("-6", "2001:db8:6::1", "raw"),
    ("-6", "2001:db8:6::1", "ping"),
];

/// Traces a list of 600 hosts at 1,000 probes a second, and cuts the network off for 0.4 s
/// meanwhile, on each kind of socket in each family, by shell commands. Every host must have its
/// whole path.
fn assert_nothing_is_lost(cut: &str, mend: &str) {
    assert_nothing_is_lost_on(&SOCKETS, cut, mend);
}

fn assert_nothing_is_lost_on(sockets: &[(&str, &str, &'static str)], cut: &str, mend: &str) {
    let run = |(family, target, socket): (&str, &str, &'static str)| {
        // The list must be on its way when the cut comes, and when it is mended.
        let script = format!(
            "yes {target} | head -n 600 | {HOPSHOT} {family} -n -q1 --json --socket {socket} --targets - &
            pid=$!
            sleep 0.4; kill -0 $pid || exit 9
            {cut}
            sleep 0.4; kill -0 $pid || exit 9
            {mend}
            wait $pid"
        );
        (
            socket,
            command_on_chain(5, &["--ping"], &["sh", "-c", &script]),
        )
    };
    std::thread::scope(|scope| {
        let running: Vec<_> = sockets
            .iter()
            .map(|socket| scope.spawn(move || run(*socket)))
            .collect();
        for running in running {
            let (socket, said) = running.join().unwrap();
            let Some(said) = said else { continue };
            assert_all_whole(&said, 600, socket);
        }
    });
}

pub(crate) fn assert_all_whole(said: &Said, hosts: usize, what: &str) {
    let documents: Vec<Value> = said
        .stdout
        .lines()
        .map(|line| serde_json::from_str(line).unwrap())
        .collect();
    assert_eq!(
        (documents.len(), said.status),
        (hosts, 0),
        "{what}: {}",
        said.stderr
    );
    for document in documents {
        assert_eq!(
            (&document["reached"], &document["distance"]),
            (&true.into(), &6.into()),
            "{what}: {document}"
        );
        assert!(has_every_hop(&document), "{what}: {document}");
    }
}

/// Whether somebody answered at each hop, at once or when asked again.
fn has_every_hop(document: &Value) -> bool {
    let is_answered = |hop: &Value| {
        hop["probes"]
            .as_array()
            .unwrap()
            .iter()
            .any(|probe| probe["from"].is_string())
    };
    document["hops"].as_array().unwrap().iter().all(is_answered)
}

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
fn a_list_outlasts_a_firewall_that_drops_or_rejects_what_leaves() {
    // The kernel doesn't tell an IPv6 ping socket what a firewall has dropped: some of it is loss
    // there, all of it an outage.
    let random = ("numgen random mod 10 < 4 drop", &SOCKETS[..3]);
    for (verdict, sockets) in [("drop", &SOCKETS[..]), ("reject", &SOCKETS[..]), random] {
        let cut = format!(
            "nft -f - <<'END'
table inet hopshot {{
    chain output {{
        type filter hook output priority 0
        icmp type echo-request {verdict}
        icmpv6 type echo-request {verdict}
    }}
}}
END
true"
        );
        assert_nothing_is_lost_on(sockets, &cut, "nft delete table inet hopshot");
    }
}

#[test]
fn a_list_outlasts_answers_that_are_dropped_without_a_word() {
    let cut = "nft -f - <<'END'
table inet hopshot { chain input { type filter hook prerouting priority -400; iifname ahead drop; }; }
END
true";
    assert_nothing_is_lost(cut, "nft delete table inet hopshot");
}

/// The seconds that everything had failed for, in an error that says why.
pub(crate) fn waited(error: &str, why: &str) -> u64 {
    let before = error.split(why).next().unwrap();
    assert_ne!(before, error, "{error}");
    let mut words = before.trim_end_matches([' ', 's']).rsplit(' ');
    words.next().unwrap().parse().unwrap()
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
fn hosts_on_their_way_when_an_outage_ends_the_list_are_told_the_reason_as_well() {
    const DEAD_GATEWAY: (&str, &str) = (
        "table netdev hopshot { chain in { type filter hook ingress device ahead priority 0; drop; }; }",
        "the gateway doesn't answer on its link",
    );
    const SILENCE: (&str, &str) = (
        "table inet hopshot { chain input { type filter hook prerouting priority -400; iifname ahead drop; }; }",
        "no answer from anybody",
    );
    let run = |(family, target, socket): (&str, &str, &str),
               (cut, reason): (&str, &str),
               pause: f32| {
        let flush = if reason == DEAD_GATEWAY.1 {
            "ip neigh flush dev ahead"
        } else {
            "true"
        };
        // Of few at a time, none waits.
        let script = format!(
            "(sleep {pause}; nft '{cut}'; {flush}) & yes {target} | head -n 300 |
            {HOPSHOT} {family} -n -q1 --json --rate 300 --at-once 20 --outage 3 --socket {socket} --targets -
            status=$?; wait; exit $status"
        );
        let Some(said) = command_on_chain(5, &["--ping"], &["sh", "-c", &script]) else {
            return;
        };
        let what = format!("{family} {socket} {reason}: {}", said.stderr);
        assert_eq!(
            (said.stdout.lines().count(), said.status),
            (300, 1),
            "{what}"
        );
        let mut told = 0;
        for line in said.stdout.lines() {
            let document: Value = serde_json::from_str(line).unwrap();
            assert_ne!(document["stop_reason"], "interrupted", "{what} {line}");
            told += usize::from(
                document["error"]
                    .as_str()
                    .is_some_and(|error| error.contains(reason)),
            );
        }
        assert!(told > 100, "{told} {what}");
    };
    std::thread::scope(|scope| {
        for socket in SOCKETS {
            for cut in [DEAD_GATEWAY, SILENCE] {
                scope.spawn(move || run(socket, cut, 0.7));
            }
        }
    });
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

/// Routes that lead nowhere, and a firewall that lets nothing out.
const DEAD_ENDS: [&str; 2] = [
    "ip route add prohibit 10.99.0.0/16; ip route add prohibit 2001:db8:99::/48",
    "nft -f - <<'END'
table inet hopshot {
    chain output {
        type filter hook output priority 0
        ip daddr 10.99.0.0/16 drop
        ip6 daddr 2001:db8:99::/48 reject
    }
}
END
true",
];

#[test]
fn a_prefix_that_leads_nowhere_is_no_outage_however_many_hosts_are_in_it() {
    let run = |dead_end: &str, family: &str, list: &str| {
        let script = format!(
            "{dead_end}; ({list}) | {HOPSHOT} {family} -n -q1 --json --outage 3 --at-once 100 --targets -"
        );
        let Some(said) = command_on_chain(2, &[], &["sh", "-c", &script]) else {
            return;
        };
        let count = |text: &str| said.stdout.matches(text).count();
        let given_up = said
            .stdout
            .lines()
            .filter(|line| line.contains("\"error\":"))
            .count();
        assert_eq!(
            (count("\"reached\":true"), given_up, count("not traced")),
            (51, 150, 0),
            "{dead_end} {}",
            said.stderr
        );
    };
    let list =
        |alive, dead| format!("echo {alive}; seq -f {dead}%.0f 150; yes {alive} | head -n 50");
    let lists = [
        ("-4", list("10.3.0.1", "10.99.0.")),
        ("-6", list("2001:db8:3::1", "2001:db8:99::")),
    ];
    std::thread::scope(|scope| {
        for dead_end in DEAD_ENDS {
            for (family, list) in &lists {
                scope.spawn(|| run(dead_end, family, list));
            }
        }
    });
}

#[test]
fn a_list_of_few_hosts_at_a_time_outlasts_an_outage_and_gives_single_ones_up() {
    let waits = |cut: &str, mend: &str| {
        let script = format!(
            "(sleep 0.5; {cut}; sleep 14; {mend}) & yes 10.3.0.1 | head -n 80 |
            {HOPSHOT} -n -q1 --json --rate 100 --at-once 4 --targets -; status=$?; wait; exit $status"
        );
        command_on_chain(2, &[], &["sh", "-c", &script])
    };
    let [_, closed] = DEAD_ENDS;
    let cut = closed.replace("10.99.0.0/16", "10.0.0.0/8");
    let Some(said) = waits(&cut, "nft delete table inet hopshot") else {
        return;
    };
    assert_eq!(
        (said.stdout.matches("\"reached\":true").count(), said.status),
        (80, 0),
        "{}",
        said.stderr
    );
    let script = format!("{closed}; {HOPSHOT} -n -q1 --json 10.3.0.1 10.99.0.1 10.3.0.1");
    let Some(said) = command_on_chain(2, &[], &["sh", "-c", &script]) else {
        return;
    };
    let reached = said.stdout.matches("\"reached\":true").count();
    assert!(
        reached == 2 && !said.stdout.contains("not traced"),
        "{}{}",
        said.stdout,
        said.stderr
    );
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

/// Runs a list of the shell command `list` on a chain of six hops while `script` goes on, and
/// returns how many of its hosts have their whole path, of all results.
fn whole_of(
    options: &str,
    before: &str,
    list: &str,
    meanwhile: &str,
) -> Option<(usize, usize, String)> {
    let script = format!(
        "{before}
        {list} | {HOPSHOT} -n -q1 --json {options} --targets - &
        pid=$!
        {meanwhile}
        wait $pid"
    );
    let said = command_on_chain(5, &["--ping"], &["sh", "-c", &script])?;
    let is_whole = |line: &&str| {
        let document: Value = serde_json::from_str(line).unwrap();
        document["stop_reason"] == "reached" && has_every_hop(&document)
    };
    Some((
        said.stdout.lines().filter(is_whole).count(),
        said.stdout.lines().count(),
        said.stdout + &said.stderr,
    ))
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
fn one_closed_network_loses_nobody_elsewhere() {
    // Those that are closed fill all places, and the last that was reached is one of them.
    let close = "sleep 0.7; nft -f - <<'END'
table inet hopshot { chain output { type filter hook output priority 0; ip daddr 10.6.0.0/24 drop; }; }
END
true";
    let list = "(yes 10.6.0.1 | head -n 300; yes 10.4.0.1 | head -n 40)";
    let run = |options: &'static str| {
        let Some((_, all, said)) = whole_of(options, "", list, close) else {
            return;
        };
        let is_elsewhere = |line: &&str| line.starts_with("{\"target\":{\"name\":\"10.4.0.1\"");
        let elsewhere = said
            .lines()
            .filter(is_elsewhere)
            .filter(|line| line.contains("\"reached\":true"));
        assert_eq!((elsewhere.count(), all), (40, 340), "{options}: {said}");
    };
    std::thread::scope(|scope| {
        for options in [
            "--rate 2000 --outage 3 --at-once 40",
            "--rate 2000 --outage 3 --no-learning",
        ] {
            scope.spawn(move || run(options));
        }
    });
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
fn a_firewall_that_refuses_what_expires_near_us_costs_that_hop_alone() {
    let before = "nft -f - <<'END'
table inet hopshot { chain output { type filter hook output priority 0; ip ttl 1 drop; }; }
END
true";
    let Some((_, all, said)) = whole_of("--rate 2000", before, "yes 10.6.0.1 | head -n 20", "true")
    else {
        return;
    };
    assert_eq!(
        (said.matches("\"reached\":true").count(), all),
        (20, 20),
        "{said}"
    );
}

#[test]
fn a_gateway_that_answers_no_question_for_its_address_is_an_outage_whatever_this_machine_says_of_it()
 {
    let cut = "sleep 0.7; nft -f - <<'END'
table netdev hopshot { chain in { type filter hook ingress device ahead priority 0; drop; }; }
END
ip neigh flush dev ahead; sleep 16; nft delete table netdev hopshot";
    std::thread::scope(|scope| {
        for (family, target) in [("-4", "10.6.0.1"), ("-6", "2001:db8:6::1")] {
            scope.spawn(move || {
                let list = format!("yes {target} | head -n 600");
                let Some((whole, all, said)) =
                    whole_of(&format!("{family} --rate 500"), "", &list, cut)
                else {
                    return;
                };
                assert_eq!((whole, all), (600, 600), "{family}: {said}");
            });
        }
    });
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
fn a_firewall_that_lets_few_probes_out_makes_no_target_farther_than_it_is() {
    let run = |family: &'static str, target: &'static str, socket: &'static str| {
        let limit = "limit rate over 30/second burst 5 packets drop";
        let script = format!(
            "nft -f - <<'END'
table inet hopshot {{ chain output {{ type filter hook output priority 0; icmp type echo-request {limit}
icmpv6 type echo-request {limit}
}}; }}
END
            yes {target} | head -n 60 | timeout 200 {HOPSHOT} {family} -n -q1 --json --socket {socket} --targets -"
        );
        let Some(said) = command_on_chain(5, &["--ping"], &["sh", "-c", &script]) else {
            return;
        };
        assert_eq!(
            said.stdout.lines().count(),
            60,
            "{family} {socket}: {}",
            said.stderr
        );
        for line in said.stdout.lines() {
            let document: Value = serde_json::from_str(line).unwrap();
            let distance = &document["distance"];
            assert!(
                distance.is_null() || distance == 6,
                "{family} {socket}: {line}"
            );
        }
    };
    // An IPv6 ping socket isn't told: there it is loss as any other.
    std::thread::scope(|scope| {
        for (family, target, socket) in &SOCKETS[..3] {
            scope.spawn(move || run(family, target, socket));
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
fn this_machine_in_a_list_hides_no_outage() {
    let cut = "sleep 0.7; nft -f - <<'END'
table netdev hopshot { chain in { type filter hook ingress device ahead priority 0; drop; }; }
END
ip neigh flush dev ahead; sleep 5; nft delete table netdev hopshot";
    std::thread::scope(|scope| {
        for (target, own, source) in [
            ("10.6.0.1", "127.0.0.1", ""),
            ("10.6.0.1", "10.1.0.254", ""),
            ("2001:db8:6::1", "::1", ""),
            ("10.6.0.1", "10.1.0.254", "-s 10.1.0.253"),
            ("2001:db8:6::1", "2001:db8:1::fe", "-s 2001:db8:1::fd"),
        ] {
            scope.spawn(move || {
                let list = format!("(for i in $(seq 300); do echo {target}; echo {own}; done)");
                let options = format!("--rate 500 {source}");
                let before = "ip address add 10.1.0.253/24 dev ahead; ip address add 2001:db8:1::fd/64 dev ahead nodad";
                let Some((whole, all, said)) = whole_of(&options, before, &list, cut) else { return };
                assert_eq!((whole, all), (600, 600), "{own} {source}: {said}");
            });
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
fn silence_loses_nobody_however_few_are_on_their_way_and_at_the_end_of_a_list_too() {
    const SILENCE: &str = "nft -f - <<'END'
table inet hopshot { chain input { type filter hook prerouting priority -400; iifname != lo drop; }; }
END
sleep 3; nft delete table inet hopshot";
    let run = |target: &str, socket: &str, hosts: usize, options: &str, cut: f32| {
        let script = format!(
            "(sleep {cut}; {SILENCE}) & for i in $(seq {hosts}); do echo ${target}; done |
            {HOPSHOT} -n -q1 --json --socket {socket} {options} --targets -; status=$?; wait; exit $status"
        );
        let Some(said) = command_in_scenario("long", true, &["sh", "-c", &script]) else {
            return;
        };
        let reached = said.stdout.matches("\"reached\":true").count();
        assert_eq!(
            (reached, said.status),
            (hosts, 0),
            "{target} {socket} {hosts}: {}{}",
            said.stdout,
            said.stderr
        );
    };
    std::thread::scope(|scope| {
        for target in ["HOPSHOT_LAB_TARGET4", "HOPSHOT_LAB_TARGET6"] {
            for socket in ["raw", "ping"] {
                // All are on their way when it begins.
                scope.spawn(move || run(target, socket, 40, "--rate 20000", 0.15));
            }
            // Four at a time.
            scope.spawn(move || run(target, "raw", 30, "--at-once 4 --rate 2000", 0.6));
        }
    });
}
