//! Every scenario of the lab, in both families: what is found is the truth.

use crate::world::{Traced, trace};
use hopshot_core::wire::AddressFamily;
use hopshot_core::{Config, Kind, Sweep};
use hopshot_lab::{Scenario, Truth};
use std::collections::BTreeSet;

/// Seeds per scenario, family and number of attempts.
const RUNS: u64 = 10;

/// Scenarios whose answers may get lost or be refused: a hop may be missing there, but never wrong.
const LOSSY: [&str; 3] = ["loss", "ratelimit", "ratelimit-strict"];

/// Scenarios that hide a router's quote, so that some of the truth can't be seen: never wrong
/// either.
const OPAQUE: [&str; 3] = ["truncated", "nat-id", "badchecksum"];

fn each(check: impl Fn(&str, &Traced, &Truth, Config)) {
    for name in Scenario::names() {
        let scenario = Scenario::named(name).unwrap();
        for family in [AddressFamily::V4, AddressFamily::V6] {
            for attempts in [1, 3] {
                for seed in 0..RUNS {
                    let traced = trace(&scenario, family, seed, |config| Config {
                        attempts,
                        ..config
                    });
                    let config = *traced.tracer.config();
                    check(name, &traced, &traced.internet.truth(family), config);
                }
            }
        }
    }
}

#[test]
fn no_hop_is_ever_wrong() {
    each(|name, traced, truth, config| {
        for hop in traced.tracer.route().hops() {
            for reply in hop.replies() {
                assert!(
                    truth.at(hop.number()).contains(&Some(reply.from)),
                    "{name} {:?} hop {}: {} is none of {:?}",
                    config.target,
                    hop.number(),
                    reply.from,
                    truth.at(hop.number())
                );
            }
        }
    });
}

#[test]
fn every_hop_that_answers_is_found() {
    each(|name, traced, truth, config| {
        if LOSSY.contains(&name) || OPAQUE.contains(&name) {
            return;
        }
        for hop in traced.tracer.route().hops() {
            let expected = truth.at(hop.number());
            let silent = expected.is_empty() || expected.contains(&None);
            assert!(
                silent || hop.replies().next().is_some(),
                "{name} {:?} hop {} is missing",
                config.target,
                hop.number()
            );
        }
    });
}

#[test]
fn the_distance_is_the_targets() {
    each(|name, traced, truth, config| {
        let expected = match name {
            // The targets that answer no ping.
            "deadtarget" | "compare" => None,
            _ => truth.distance(),
        };
        // A diamond of unequal branches has more than one true distance.
        let longest = truth
            .paths
            .iter()
            .map(|path| u8::try_from(path.hops.len()).unwrap())
            .max();
        let found = traced.distance();
        assert!(
            found == expected || ["ecmp-uneven", "ecmp-mesh"].contains(&name) && found == longest,
            "{name} {:?}: {found:?}",
            config.target
        );
    });
}

#[test]
fn nothing_goes_past_a_target_that_has_answered() {
    each(|name, traced, _, config| {
        if LOSSY.contains(&name) {
            return;
        }
        let answers = traced.internet.log().iter().flat_map(|probe| {
            let at_target = probe
                .answers
                .iter()
                .filter(|answer| matches!(answer.icmp_type, 0 | 129));
            at_target.map(|answer| probe.at_ns + answer.rtt_ns)
        });
        let Some(answered) = answers.min() else {
            return;
        };
        let late = traced
            .internet
            .log()
            .iter()
            .filter(|probe| probe.past_target && probe.at_ns > answered)
            .count();
        // Where the target missed the first probes of the burst, what comes back first is not yet
        // its distance; and an answer from another address is not beyond doubt.
        assert!(
            late == 0 || ["partial", "altreply"].contains(&name),
            "{name} {:?}: {late} probes past the target",
            config.target
        );
    });
}

#[test]
fn all_probes_of_a_trace_are_one_flow() {
    each(|name, traced, _, _| {
        let echo = traced.tracer.protocol();
        let flows: BTreeSet<_> = traced
            .internet
            .log()
            .iter()
            .map(|probe| (probe.ident, probe.checksum))
            .collect();
        assert_eq!(
            flows,
            BTreeSet::from([(echo.ident, echo.checksum)]),
            "{name}"
        );
    });
}

#[test]
fn no_hop_is_asked_more_often_than_was_wanted_unless_it_is_silent() {
    each(|name, traced, _, config| {
        for hop in traced.tracer.route().hops() {
            let probes = traced
                .internet
                .log()
                .iter()
                .filter(|probe| probe.hop_limit == hop.number())
                .count();
            // Two more than asked for where the target may hide.
            let most = config.attempts + config.retries + 2;
            assert!(
                probes <= usize::from(most),
                "{name}: {probes} probes to hop {}",
                hop.number()
            );
        }
    });
}

#[test]
fn a_burst_is_every_probe_to_every_hop_at_once() {
    let scenario = Scenario::named("wan").unwrap();
    let burst = |config| Config {
        attempts: 3,
        sweep: Some(Sweep::Burst),
        ..config
    };
    let traced = trace(&scenario, AddressFamily::V6, 1, burst);
    assert_eq!(traced.sent(), 32 * 3);
    assert!(traced.internet.log().iter().all(|probe| probe.at_ns == 0));
    assert_eq!(traced.took, std::time::Duration::from_millis(80));
}

#[test]
fn an_unreachable_ends_the_path_where_it_came_from() {
    let scenario = Scenario::named("unreach").unwrap();
    for family in [AddressFamily::V4, AddressFamily::V6] {
        let traced = trace(&scenario, family, 1, |config| config);
        let route = traced.tracer.route();
        let last = route.hops().last().unwrap();
        assert_eq!(
            (last.number(), last.replies().next().unwrap().kind),
            (6, Kind::Unreachable)
        );
        assert_eq!(route.distance(), None);
    }
}
