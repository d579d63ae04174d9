//! All paths of each side, and where the routers of sides differ.

use super::{ALL, ICMP, TCP, UDP, path, plan};
use crate::{FAMILIES, to_the_end};
use hopshot_core::wire::AddressFamily;
use hopshot_engine::{ComparePaths, Completeness, PathsComparison, Side, SocketKind, Thoroughness};
use hopshot_lab::{Balance, Diamond, Error, Machine, Scenario, Truth};
use std::collections::BTreeSet;
use std::net::IpAddr;

fn explored(scenario: &Scenario, family: AddressFamily, seed: u64) -> (PathsComparison, Truth) {
    let machine = Machine::new(scenario, SocketKind::Raw, seed).speaking_all(&ALL);
    let target = machine.internet().target(family);
    let truth = machine.internet().truth(family);
    let plan = |protocol| plan(Side::Protocol(protocol), protocol, Ok(target), 1);
    let plans = ALL.map(plan).into();
    let job = ComparePaths::start(machine, "target", plans, Thoroughness::default()).unwrap();
    (to_the_end(job), truth)
}

#[test]
fn where_protocols_have_ways_of_their_own_the_routers_differ_there_and_nowhere_else() {
    let mut scenario = path();
    scenario.diamond = vec![Diamond {
        at: 4,
        lengths: vec![3, 3],
        by: Balance::Protocol,
    }];
    for family in FAMILIES {
        for seed in 0..10 {
            let (result, truth) = explored(&scenario, family, seed);
            let told = format!("{family:?} seed {seed}: {:?}", result.sentences());
            assert!(result.reached(), "{told}");
            let hops: Vec<u8> = result.differences().iter().map(|it| it.hop).collect();
            assert_eq!(hops, [4, 5, 6], "{told}");
            let side = Side::Protocol;
            for difference in result.differences() {
                let way = |way: usize| truth.paths[way].hops[usize::from(difference.hop) - 1];
                let sides = [vec![side(ICMP), side(UDP)], vec![side(TCP)]];
                for (way, (set, sides)) in [way(0), way(1)]
                    .into_iter()
                    .zip(difference.sets.iter().zip(sides))
                {
                    assert_eq!(set.sides, sides, "{told}");
                    assert_eq!(set.routers, [way.unwrap()], "{told}");
                }
            }
        }
    }
}

#[test]
fn where_load_is_balanced_by_flow_all_sides_find_the_same_routers() {
    let mut differ = 0;
    for family in FAMILIES {
        for name in ["ecmp", "ecmp-mesh"] {
            let scenario = Scenario::named(name).unwrap();
            for seed in 0..20 {
                let (result, truth) = explored(&scenario, family, seed);
                for paths in result.paths() {
                    assert_eq!(paths.completeness(), Completeness::Complete);
                    let nodes = paths.graph().nodes().iter();
                    let found: BTreeSet<IpAddr> = nodes.filter_map(|node| node.address).collect();
                    let all = (1..=12).flat_map(|hop| truth.at(hop)).flatten();
                    assert!(found.is_subset(&all.collect()), "{name} {family:?} {seed}");
                }
                differ += usize::from(!result.differences().is_empty());
            }
        }
    }
    // Each search misses something in 5 of 100 cases at most, and there are three.
    assert!(differ <= 12, "{differ} of 80");
}

#[test]
fn a_side_that_can_not_begin_says_why_and_families_are_not_compared() {
    let machine = Machine::new(&path(), SocketKind::Raw, 1).speaking_all(&ALL);
    let target = machine.internet().target(AddressFamily::V4);
    let none = plan(Side::Protocol(ICMP), ICMP, Err(Error::NotPermitted), 1);
    let plans = vec![none, plan(Side::Protocol(UDP), UDP, Ok(target), 1)];
    let job = ComparePaths::start(machine, "target", plans, Thoroughness::default()).unwrap();
    let result = to_the_end(job);
    assert_eq!(result.sentences(), ["ICMP failed: NotPermitted"]);
    assert!(result.reached());
    let machine = Machine::new(&path(), SocketKind::Raw, 1).speaking_all(&[ICMP]);
    let plans = FAMILIES.map(|family| {
        let target = machine.internet().target(family);
        plan(Side::Family(family), ICMP, Ok(target), 1)
    });
    let job = ComparePaths::start(machine, "target", plans.into(), Thoroughness::default());
    let result = to_the_end(job.unwrap());
    assert_eq!((result.differences(), result.paths().count()), (&[][..], 2));
    let told = "Families have no addresses in common: routers are not compared";
    assert_eq!(result.sentences(), [told]);
}
