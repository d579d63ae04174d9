//! A firewall cuts the network off for a moment: no host of a list is lost without a reason.

use crate::needs::needs;
use crate::world::lists::{
    SOCKETS, assert_no_outage, assert_nothing_is_lost, assert_nothing_is_lost_on, whole_of,
};
use crate::world::{HOPSHOT, command_in_scenario, command_on_chain};
use serde_json::Value;

#[test]
fn a_list_outlasts_a_firewall_that_drops_or_rejects_what_leaves() {
    needs("nft");
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
    needs("nft");
    let cut = "nft -f - <<'END'
table inet hopshot { chain input { type filter hook prerouting priority -400; iifname ahead drop; }; }
END
true";
    assert_nothing_is_lost(cut, "nft delete table inet hopshot");
}

#[test]
fn hosts_on_their_way_when_an_outage_ends_the_list_are_told_the_reason_as_well() {
    needs("nft");
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

/// A firewall that lets nothing out to one prefix.
const CLOSED: &str = "nft -f - <<'END'
table inet hopshot {
    chain output {
        type filter hook output priority 0
        ip daddr 10.99.0.0/16 drop
        ip6 daddr 2001:db8:99::/48 reject
    }
}
END
true";

#[test]
fn a_prefix_that_is_closed_is_no_outage_however_many_hosts_are_in_it() {
    needs("nft");
    assert_no_outage(CLOSED);
}

#[test]
fn a_list_of_few_hosts_at_a_time_outlasts_an_outage_and_gives_single_ones_up() {
    needs("nft");
    let waits = |cut: &str, mend: &str| {
        let script = format!(
            "(sleep 0.5; {cut}; sleep 14; {mend}) & yes 10.3.0.1 | head -n 80 |
            {HOPSHOT} -n -q1 --json --rate 100 --at-once 4 --targets -; status=$?; wait; exit $status"
        );
        command_on_chain(2, &[], &["sh", "-c", &script])
    };
    let cut = CLOSED.replace("10.99.0.0/16", "10.0.0.0/8");
    let Some(said) = waits(&cut, "nft delete table inet hopshot") else {
        return;
    };
    assert_eq!(
        (said.stdout.matches("\"reached\":true").count(), said.status),
        (80, 0),
        "{}",
        said.stderr
    );
    let script = format!("{CLOSED}; {HOPSHOT} -n -q1 --json 10.3.0.1 10.99.0.1 10.3.0.1");
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
fn one_closed_network_loses_nobody_elsewhere() {
    needs("nft");
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
fn a_firewall_that_refuses_what_expires_near_us_costs_that_hop_alone() {
    needs("nft");
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
    needs("nft");
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
fn a_firewall_that_lets_few_probes_out_makes_no_target_farther_than_it_is() {
    needs("nft");
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
fn this_machine_in_a_list_hides_no_outage() {
    needs("nft");
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
fn silence_loses_nobody_however_few_are_on_their_way_and_at_the_end_of_a_list_too() {
    needs("nft");
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
