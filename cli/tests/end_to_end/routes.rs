//! In every scenario, in both families, the command finds the true route. `HOPSHOT_REPEAT=50` in
//! the environment runs each that many times in a row.

use crate::world::{
    FAMILIES, HOPSHOT, command_in_scenario, in_scenario, on_chain, shell_in_scenario,
};
use hopshot_core::wire::AddressFamily;
use hopshot_lab::{Internet, Scenario, Truth};
use serde_json::Value;
use std::net::IpAddr;

/// The addresses that answered at each hop, without repetition.
fn hops(document: &Value) -> Vec<(u64, Vec<IpAddr>)> {
    let hops = document["hops"]
        .as_array()
        .expect("hops is a list")
        .iter()
        .map(|hop| {
            let probes = hop["probes"].as_array().expect("probes is a list").iter();
            let mut from: Vec<IpAddr> = probes
                .filter_map(|probe| probe["from"].as_str()?.parse().ok())
                .collect();
            from.dedup();
            (hop["hop"].as_u64().expect("a number"), from)
        });
    hops.collect()
}

/// Checks a document against the truth: no hop wrong, and unless answers may get lost none missing.
pub(crate) fn check(name: &str, document: &Value, truth: &Truth, lossless: bool) {
    for (hop, from) in hops(document) {
        let expected = truth.at(u8::try_from(hop).unwrap());
        for address in &from {
            assert!(
                expected.contains(&Some(*address)),
                "{name} hop {hop}: {address} is none of {expected:?}\n{document}"
            );
        }
        let silent = expected.is_empty() || expected.contains(&None);
        assert!(
            !lossless || silent || !from.is_empty(),
            "{name} hop {hop} is missing\n{document}"
        );
    }
}

/// Each family, as many times as is asked for.
fn runs() -> impl Iterator<Item = (AddressFamily, &'static str)> {
    let times = std::env::var("HOPSHOT_REPEAT")
        .ok()
        .and_then(|times| times.parse().ok())
        .unwrap_or(1);
    FAMILIES.into_iter().cycle().take(times * FAMILIES.len())
}

/// The routers at the hops in `unheard` answer with what can't be believed.
fn scenario(name: &str, unheard: &[u64]) {
    for (family, target) in runs() {
        let Some(said) = in_scenario(name, &["-n", "--json", target]) else {
            return;
        };
        assert_eq!(said.stderr, "");
        let document = said.json();
        let internet = Internet::new(&Scenario::named(name).unwrap(), 1);
        let truth = internet.truth(family);
        let distance = if name == "deadtarget" {
            None
        } else {
            truth.distance()
        };
        check(
            name,
            &document,
            &truth,
            name != "loss" && unheard.is_empty(),
        );
        if !unheard.is_empty() {
            let silent = hops(&document)
                .into_iter()
                .filter(|(_, from)| from.is_empty())
                .map(|(hop, _)| hop);
            assert_eq!(
                silent.collect::<Vec<_>>(),
                unheard,
                "{name} {family:?}\n{document}"
            );
        }
        assert_eq!(
            document["distance"].as_u64(),
            distance.map(u64::from),
            "{name} {family:?}\n{document}"
        );
        assert_eq!(
            said.status,
            i32::from(distance.is_none()),
            "{name} {family:?}"
        );
    }
}

macro_rules! scenarios {
    ($($test:ident: $name:literal $(without [$($unheard:literal),+])?),* $(,)?) => {
        $(#[test] fn $test() { scenario($name, &[$($($unheard),+)?]); })*
    };
}

scenarios! {
    short: "short", wan: "wan", long: "long", leap: "leap", silent: "silent", deadtarget: "deadtarget", loss: "loss", dup: "dup",
    unreach: "unreach", slowhop: "slowhop", looping: "loop", dnat: "dnat", altreply: "altreply", partial: "partial",
    ecmp: "ecmp", nat: "nat", nat_id: "nat-id", mpls: "mpls", hostile: "hostile",
    truncated: "truncated" without [3, 4, 6, 9], badchecksum: "badchecksum" without [5],
}

#[test]
fn no_forgery_makes_an_rtt_too_short() {
    for (_, target) in FAMILIES {
        let Some(said) = in_scenario("hostile", &["-n", "--json", target]) else {
            return;
        };
        let document = said.json();
        for (hop, nearest) in document["hops"].as_array().unwrap().iter().zip(1_u8..) {
            for probe in hop["probes"]
                .as_array()
                .unwrap()
                .iter()
                .filter(|probe| probe.is_object())
            {
                let least = 80.0 * f64::from(nearest) / 12.0;
                assert!(
                    probe["rtt_ms"].as_f64().unwrap() > least - 0.1,
                    "hop {nearest}: {document}"
                );
            }
        }
        assert_eq!(document["forged"], 0);
    }
}

#[test]
fn a_quoted_ident_that_was_changed_is_told() {
    for (_, target) in FAMILIES {
        let Some(said) = in_scenario(
            "nat-id",
            &["-n", "--json", "-q1", "--socket", "raw", target],
        ) else {
            return;
        };
        let document = said.json();
        for hop in 4..=11 {
            let probe = &document["hops"][hop - 1]["probes"][0];
            assert_eq!(
                (&probe["evidence"], &probe["kind"]),
                (&"weak".into(), &"time_exceeded".into()),
                "{document}"
            );
            assert!(
                probe["changed"]
                    .as_array()
                    .unwrap()
                    .contains(&"ident".into()),
                "{document}"
            );
        }
        assert_eq!(
            (
                &document["hops"][11]["probes"][0]["evidence"],
                &document["forged"]
            ),
            (&"strong".into(), &0.into())
        );
    }
}

#[test]
fn a_router_that_is_later_than_most_is_heard_with_patience() {
    let scenario = concat!(env!("CARGO_MANIFEST_DIR"), "/tests/data/late.toml");
    for (_, target) in FAMILIES {
        for socket in ["raw", "ping"] {
            for (patience, silent) in [("1", true), ("3", false)] {
                let trace = [
                    HOPSHOT,
                    "-n",
                    "-q1",
                    "--json",
                    "--socket",
                    socket,
                    "--patience",
                    patience,
                    target,
                ];
                let Some(said) = command_in_scenario(scenario, true, &trace) else {
                    return;
                };
                let document = said.json();
                let hop = &document["hops"][4]["probes"];
                let is_silent = hop.as_array().unwrap().iter().all(Value::is_null);
                assert_eq!(
                    (is_silent, &document["distance"]),
                    (silent, &12.into()),
                    "{socket} {document}"
                );
            }
        }
    }
}

#[test]
fn a_chain_of_real_linux_routers() {
    for (family, target) in runs() {
        let Some(said) = on_chain(5, &["-n", "--json", target]) else {
            return;
        };
        let expected: Vec<_> = (1..=5)
            .map(|hop| (hop, vec![router(family, hop)]))
            .collect();
        let found = hops(&said.json());
        assert_eq!(found.len(), 6);
        assert_eq!(found[..5], expected, "{}", said.stdout);
        assert_eq!(
            (said.status, said.json()["distance"].as_u64()),
            (0, Some(6))
        );
    }
}

/// The lab's addresses: `10.hop.0.1` and `2001:db8:hop::1`.
fn router(family: AddressFamily, hop: u64) -> IpAddr {
    let text = match family {
        AddressFamily::V4 => format!("10.{hop}.0.1"),
        AddressFamily::V6 => format!("2001:db8:{hop:x}::1"),
    };
    text.parse().expect("it is an address")
}

#[test]
fn traces_that_run_side_by_side_do_not_mix() {
    let script = "d=$(mktemp -d); for i in 1 2 3 4 5 6 7 8; do $0 -n --json $HOPSHOT_LAB_TARGET4 > $d/$i & done; wait; cat $d/*; rm -r $d";
    let Some(said) = shell_in_scenario("wan", script) else {
        return;
    };
    let internet = Internet::new(&Scenario::named("wan").unwrap(), 1);
    let truth = internet.truth(AddressFamily::V4);
    assert_eq!(
        said.stdout.lines().count(),
        8,
        "{}{}",
        said.stdout,
        said.stderr
    );
    for line in said.stdout.lines() {
        let document: Value = serde_json::from_str(line).unwrap();
        check("wan", &document, &truth, true);
        assert_eq!(document["distance"], 12);
        assert_eq!(
            (&document["duplicates"], &document["forged"]),
            (&Value::from(0), &Value::from(0))
        );
    }
}

#[test]
fn what_arrived_while_the_process_was_stopped_is_not_lost() {
    let script = "$0 -n --json --burst $HOPSHOT_LAB_TARGET4 & sleep 0.06; kill -STOP $!; sleep 0.5; kill -CONT $!; wait $!";
    let Some(said) = shell_in_scenario("wan", script) else {
        return;
    };
    let document = said.json();
    assert_eq!(
        document["hops"].as_array().map(Vec::len),
        Some(12),
        "{document}"
    );
    for hop in document["hops"].as_array().into_iter().flatten() {
        let answers = hop["probes"]
            .as_array()
            .into_iter()
            .flatten()
            .filter(|probe| !probe.is_null());
        assert_eq!(answers.count(), 3, "{document}");
    }
}
