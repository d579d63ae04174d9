//! TCP and UDP through what stands between: firewalls, translators, a name server. Nothing may be
//! said that isn't so: neither that a port is open or closed, nor a distance.

use crate::needs::needs;
use crate::world::{HOPSHOT, command_on_chain};
use serde_json::Value;

/// The targets at the end of a chain of three routers.
pub(crate) const TARGETS: [&str; 2] = ["10.4.0.1", "2001:db8:4::1"];

/// A command for a hop: a table with a chain at this hook, and these rules in it.
pub(crate) fn rules(hop: u8, hook: &str, rules: &[&str]) -> String {
    let added = rules
        .iter()
        .map(|rule| format!("nft add rule inet t c {rule}; "));
    format!(
        "{hop}=nft add table inet t; nft add chain inet t c '{{ type {hook}; }}'; {}",
        added.collect::<String>()
    )
}

pub(crate) const FORWARD: &str = "filter hook forward priority 0";

/// Traces port 443, which the target serves, with this at hops on the way.
fn trace(at: &[&str], target: &str, args: &[&str]) -> Option<Value> {
    let at = at.iter().flat_map(|at| ["--at", at]);
    let options: Vec<&str> = ["--serve", "443"].into_iter().chain(at).collect();
    let command = [&[HOPSHOT, "-n", "--json"][..], args, &[target]].concat();
    let said = command_on_chain(3, &options, &command)?;
    Some(said.json())
}

/// The answers of the target.
pub(crate) fn answers(document: &Value) -> Vec<&str> {
    let hops = document["hops"].as_array().unwrap();
    let probes = hops
        .iter()
        .flat_map(|hop| hop["probes"].as_array().unwrap());
    probes
        .filter_map(|probe| probe["answer"].as_str())
        .collect()
}

#[test]
fn filtered_is_what_somebody_forbids_and_silence_is_quiet() {
    needs("nft");
    let forbids = rules(
        2,
        FORWARD,
        &["tcp dport 443 reject with icmpx admin-prohibited"],
    );
    let drops = rules(2, FORWARD, &["tcp dport 443 drop"]);
    let silent = rules(4, "filter hook input priority 0", &["tcp dport 443 drop"]);
    for target in TARGETS {
        for (at, stop_reason) in [
            (&forbids, "filtered"),
            (&drops, "quiet"),
            (&silent, "quiet"),
        ] {
            let Some(document) = trace(&[at], target, &["-T", "-q1"]) else {
                return;
            };
            assert_eq!(document["stop_reason"], stop_reason, "{document}");
            assert_eq!(
                (&document["reached"], &document["distance"]),
                (&false.into(), &Value::Null)
            );
            assert_eq!(answers(&document), [""; 0]);
            assert_eq!(document["knock"], Value::Null);
        }
    }
}

#[test]
fn a_firewall_that_drops_pings_and_one_that_drops_errors_hide_no_open_port() {
    needs("nft");
    let pings = rules(
        1,
        FORWARD,
        &[
            "icmp type echo-request drop",
            "icmpv6 type echo-request drop",
        ],
    );
    let errors = rules(
        1,
        FORWARD,
        &[
            "icmp type time-exceeded drop",
            "icmpv6 type time-exceeded drop",
        ],
    );
    for target in TARGETS {
        let Some(document) = trace(&[&pings], target, &["-q1"]) else {
            return;
        };
        assert_eq!(document["reached"], false, "pings are dropped");
        for (at, heard) in [(&pings, 4), (&errors, 2)] {
            let document = trace(&[at], target, &["-T", "-q1"]).unwrap();
            assert_eq!(
                (&document["reached"], &document["distance"]),
                (&true.into(), &4.into())
            );
            assert!(answers(&document).iter().all(|answer| *answer == "syn_ack"));
            let hops = document["hops"].as_array().unwrap().iter();
            let heard_of = hops.filter(|hop| hop["best_ms"].is_number()).count();
            assert_eq!(heard_of, heard, "{document}");
        }
    }
}

#[test]
fn translators_make_no_false_statement() {
    needs("nft");
    // To another port of the target; from another port of ours; and both ways in one.
    let forward = rules(
        3,
        "nat hook prerouting priority -100",
        &[
            "ip daddr 10.4.0.1 tcp dport 80 dnat ip to 10.4.0.1:443",
            "ip6 daddr 2001:db8:4::1 tcp dport 80 dnat ip6 to [2001:db8:4::1]:443",
        ],
    );
    let masquerade = rules(
        2,
        "nat hook postrouting priority 100",
        &["meta l4proto tcp masquerade to :20000-30000"],
    );
    for target in TARGETS {
        for (at, port) in [
            (&[forward.as_str()][..], "80"),
            (&[masquerade.as_str()], "443"),
            (&[&masquerade, &forward], "80"),
        ] {
            let Some(document) = trace(at, target, &["-T", "-p", port]) else {
                return;
            };
            assert_eq!(
                (&document["reached"], &document["distance"]),
                (&true.into(), &4.into())
            );
            assert!(
                answers(&document).iter().all(|answer| *answer == "syn_ack"),
                "{document}"
            );
            let document = trace(at, target, &["-T", "-p", "81"]).unwrap();
            assert_eq!(
                (&document["reached"], &document["distance"]),
                (&true.into(), &4.into())
            );
            assert!(
                answers(&document).iter().all(|answer| *answer == "rst"),
                "{document}"
            );
        }
    }
}

#[test]
fn where_only_the_first_syn_passes_every_hop_is_asked_from_another_port() {
    needs("nft");
    let first = rules(
        2,
        FORWARD,
        &[
            "tcp flags syn / syn,ack tcp sport @seen drop",
            "tcp flags syn / syn,ack add @seen { tcp sport }",
        ],
    );
    let set =
        "nft add set inet t seen '{ type inet_service; flags dynamic; size 100; }'; nft add rule";
    let first = first
        .replacen("nft add rule", set, 1)
        .replace("{ tcp sport }", "'{ tcp sport }'");
    for target in TARGETS {
        let Some(document) = trace(&[&first], target, &["-T", "-q1"]) else {
            return;
        };
        assert_eq!(document["distance"], 4, "{document}");
        assert_eq!(answers(&document), ["syn_ack"]);
        assert_eq!(document["one_flow"], false);
        for hop in document["hops"].as_array().unwrap() {
            let mut probes = hop["probes"].as_array().unwrap().iter();
            assert!(probes.any(|probe| !probe.is_null()), "{hop}");
        }
    }
}

#[test]
fn a_name_server_answers_a_question() {
    needs("dnsmasq");
    let server = "4=dnsmasq --no-daemon --no-resolv --no-hosts --port=53 --user=root --pid-file= \
                  >/dev/null 2>&1 & sleep 0.5";
    for target in TARGETS {
        let Some(document) = trace(&[server], target, &["-U", "-p", "53"]) else {
            return;
        };
        assert_eq!(
            (&document["reached"], &document["distance"]),
            (&true.into(), &4.into())
        );
        assert_eq!(answers(&document), ["datagram"; 3], "{document}");
    }
}
