//! This machine's network fails and stays away, or fails in another way next: a list ends, and says
//! why.

use crate::needs::needs;
use crate::world::lists::{ROUTES, SOCKETS, assert_all_whole, run, run_by, waited};
use crate::world::{HOPSHOT, Said};
use serde_json::Value;

/// Answers vanish, whatever the neighbours say of their addresses.
const SILENCE: &str = "nft -f - <<'END'
table inet silence { chain input { type filter hook prerouting priority -400
iifname ahead icmp type { echo-reply, time-exceeded, destination-unreachable } drop
iifname ahead icmpv6 type { echo-reply, time-exceeded, destination-unreachable } drop
}; }
END
true";

/// The gateway hears and says nothing.
const NO_GATEWAY: &str = "nft -f - <<'END'
table netdev gateway { chain in { type filter hook ingress device ahead priority 0; drop; }; }
END
ip neigh flush dev ahead";

/// A firewall that lets no probe out.
fn closed(verdict: &str) -> String {
    format!(
        "nft -f - <<'END'
table inet closed {{ chain output {{ type filter hook output priority 0
icmp type echo-request {verdict}
icmpv6 type echo-request {verdict}
}}; }}
END
true"
    )
}

fn documents(said: &Said) -> Vec<Value> {
    said.stdout
        .lines()
        .map(|line| serde_json::from_str(line).unwrap())
        .collect()
}

/// Does the same on each kind of socket in each family, side by side.
fn on_each(
    sockets: &[(&'static str, &'static str, &'static str)],
    test: impl Fn(&str, &str, &str) + Sync,
) {
    std::thread::scope(|scope| {
        for (family, target, socket) in sockets {
            scope.spawn(|| test(family, target, socket));
        }
    });
}

#[test]
fn silence_that_lasts_is_a_result_of_each_host_and_the_list_ends() {
    needs("nft");
    on_each(&SOCKETS, |family, target, socket| {
        let (list, cut) = (
            format!("yes {target} | head -n 100"),
            format!("sleep 0.5; {SILENCE}"),
        );
        let Some(said) = run(
            "true",
            &list,
            &format!("{family} --socket {socket} --rate 400"),
            &cut,
        ) else {
            return;
        };
        assert_eq!(
            (said.stdout.lines().count(), said.status),
            (100, 1),
            "{family} {socket}: {}",
            said.stderr
        );
        assert!(
            !said.stdout.contains("\"error\":"),
            "{family} {socket}: {}",
            said.stdout
        );
        assert!(
            said.stdout.contains("\"stop_reason\":\"timeout\""),
            "{family} {socket}"
        );
    });
}

#[test]
fn a_firewall_that_closes_for_good_ends_the_list_and_is_its_reason() {
    needs("nft");
    // To an IPv6 ping socket what is dropped is silence.
    on_each(&SOCKETS[..3], |family, target, socket| {
        for verdict in ["drop", "reject"] {
            let (list, cut) = (
                format!("yes {target} | head -n 100"),
                format!("sleep 0.5; {}", closed(verdict)),
            );
            let options = format!("{family} --socket {socket} --rate 200 --outage 3");
            let Some(said) = run("true", &list, &options, &cut) else {
                return;
            };
            let what = format!(
                "{verdict} {family} {socket}: {}{}",
                said.stdout, said.stderr
            );
            assert_eq!(
                (said.stdout.lines().count(), said.status),
                (100, 1),
                "{what}"
            );
            for document in documents(&said) {
                let is_told = document["error"]
                    .as_str()
                    .is_some_and(|error| error.contains("(Operation not permitted)"));
                let is_ended = document["stop_reason"] == "interrupted";
                assert!(is_told || is_ended || document["reached"] == true, "{what}");
            }
        }
    });
}

#[test]
fn a_firewall_that_closes_while_the_last_host_is_waited_for_is_not_waited_for_without_end() {
    needs("nft");
    let deaf = "nft -f - <<'END'
table inet deaf { chain input { type filter hook prerouting priority -400
ip saddr 10.6.0.1 drop
ip6 saddr 2001:db8:6::1 drop
}; }
END
true";
    on_each(&SOCKETS[..3], |family, target, socket| {
        let other = if family == "-4" {
            "10.4.0.1"
        } else {
            "2001:db8:4::1"
        };
        // Its probes have left, and their answers are still waited for.
        let (list, cut) = (
            format!("yes {other} | head -n 10; echo {target}"),
            format!("sleep 0.8; {}", closed("drop")),
        );
        let options = format!("{family} --socket {socket} --rate 400 --outage 3");
        let Some(said) = run(deaf, &list, &options, &cut) else {
            return;
        };
        assert_eq!(
            (said.stdout.lines().count(), said.status),
            (11, 1),
            "{family} {socket}: {}",
            said.stderr
        );
    });
}

#[test]
fn a_gateway_that_comes_back_with_nobody_behind_it_is_not_blamed_any_longer() {
    needs("nft");
    on_each(&SOCKETS[1..3], |family, target, socket| {
        let list = format!("yes {target} | head -n 60");
        let meanwhile =
            format!("sleep 0.6; {NO_GATEWAY}; sleep 6; {SILENCE}\nnft delete table netdev gateway");
        let options = format!("{family} --socket {socket} --rate 200 --outage 20");
        let Some(said) = run("true", &list, &options, &meanwhile) else {
            return;
        };
        assert_eq!(
            (said.stdout.lines().count(), said.status),
            (60, 1),
            "{family}: {}",
            said.stderr
        );
        let documents = documents(&said);
        let errors: Vec<&str> = documents
            .iter()
            .filter_map(|document| document["error"].as_str())
            .collect();
        assert!(!errors.is_empty(), "{family}: {}", said.stderr);
        assert!(
            errors
                .iter()
                .all(|error| (20..30).contains(&waited(error, "(no answer from anybody)"))),
            "{family}: {}",
            errors[0]
        );
        // Silence is waited for 12 s, a gateway for as long as was said.
        assert!(
            said.stderr.contains("waiting for up to 20 s"),
            "{family}: {}",
            said.stderr
        );
    });
}

#[test]
fn what_comes_after_the_end_of_an_outage_is_traced_although_the_list_had_ended() {
    needs("nft");
    let cuts = [
        (SILENCE, "nft delete table inet silence"),
        (NO_GATEWAY, "nft delete table netdev gateway"),
        (
            "ip route del 10.0.0.0/8; ip route del 2001:db8::/32",
            ROUTES,
        ),
    ];
    for (cut, mend) in cuts {
        on_each(&SOCKETS[1..3], |family, target, _| {
            let hosts = |count: usize| format!("yes {target} | head -n {count}");
            // The last come when the network is back.
            let list = format!(
                "{}; sleep 1; {}; sleep 14; {}",
                hosts(20),
                hosts(20),
                hosts(60)
            );
            let meanwhile = format!("sleep 0.7; {cut}; sleep 9; {mend}");
            let Some(said) = run(
                "true",
                &list,
                &format!("{family} --rate 400 --outage 4"),
                &meanwhile,
            ) else {
                return;
            };
            let what = format!("{cut} {family}: {}{}", said.stdout, said.stderr);
            assert_eq!(
                (said.stdout.lines().count(), said.status),
                (100, 1),
                "{what}"
            );
            assert!(
                said.stdout
                    .contains("not traced, since nothing gets through"),
                "{what}"
            );
            assert_eq!(
                said.stdout.matches("\"reached\":true").count(),
                80,
                "{what}"
            );
        });
    }
}

#[test]
fn the_time_in_which_a_list_was_stopped_is_none_of_an_outage() {
    needs("nft");
    on_each(&SOCKETS[1..3], |family, target, socket| {
        let list = format!("yes {target} | head -n 60");
        let meanwhile = format!(
            "sleep 0.6; {NO_GATEWAY}; sleep 6; kill -STOP $pid; sleep 0.5
            nft delete table netdev gateway; sleep 12; kill -CONT $pid"
        );
        let options = format!("{family} --socket {socket} --rate 200 --outage 10");
        let Some(said) = run_by(HOPSHOT, "true", &list, &options, &meanwhile) else {
            return;
        };
        assert_all_whole(&said, 60, family);
    });
}
