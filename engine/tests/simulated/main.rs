//! The engine on the simulated internet, on virtual time: days pass in seconds, and the same seed
//! always gives the same answers.

mod compare;
mod hostile;
mod judge;
mod lists;
mod outages;
mod protocols;
mod proxies;
mod silent;
mod tcp_sockets;
mod udp_sockets;
mod worlds;

use hopshot_core::wire::AddressFamily;
use hopshot_engine::{
    Completeness, Evidence, Exploration, Job, PathMtu, ProbeSettings, Route, SocketKind, Step,
    StopReason, Thoroughness, Trace,
};
use hopshot_lab::{CLIENT, Machine, Scenario, Truth};
use std::net::{IpAddr, SocketAddr};

const FAMILIES: [AddressFamily; 2] = [AddressFamily::V4, AddressFamily::V6];
const KINDS: [SocketKind; 2] = [SocketKind::Raw, SocketKind::Ping];

/// Steps that a job takes at most. One that does nothing over and over would take more.
const MOST_STEPS: usize = 1_000_000;

fn to_the_end<J: Job<Link = Machine>>(job: J) -> J::Output {
    to_the_end_with(job, |_| ()).1
}

/// Runs a job, and looks at its link in the end.
fn to_the_end_with<J: Job<Link = Machine>, T>(
    mut job: J,
    look: impl FnOnce(&Machine) -> T,
) -> (T, J::Output) {
    for _ in 0..MOST_STEPS {
        if job.advance(None).unwrap() == Step::Done {
            return (look(job.link()), job.finish());
        }
    }
    panic!("it does not end");
}

/// The scenario, a machine on it, and the address of its target.
fn world(
    name: &str,
    family: AddressFamily,
    kind: SocketKind,
    seed: u64,
) -> (Machine, SocketAddr, Truth) {
    let machine = Machine::new(&Scenario::named(name).unwrap(), kind, seed);
    let (target, truth) = (
        machine.internet().target(family),
        machine.internet().truth(family),
    );
    (machine, (target, 0).into(), truth)
}

fn trace(name: &str, family: AddressFamily, kind: SocketKind, seed: u64) -> (Route, Truth) {
    let (machine, target, truth) = world(name, family, kind, seed);
    (
        to_the_end(Trace::start(machine, &ProbeSettings::default(), name, target).unwrap()),
        truth,
    )
}

/// The answers of a route that prove themselves, with their hops.
fn strong(route: &Route) -> impl Iterator<Item = (u8, IpAddr)> {
    let replies = route
        .hops()
        .flat_map(|hop| hop.replies().map(move |reply| (hop.number(), reply)));
    replies
        .filter(|(_, reply)| reply.evidence() == Evidence::Strong)
        .map(|(hop, reply)| (hop, reply.from))
}

#[test]
fn no_trace_names_anybody_at_a_hop_where_nobody_is() {
    // There the route changes while it is traced, or answers come from where nobody is asked.
    let moves = ["changing", "leap", "altreply", "dnat", "demo"];
    for name in Scenario::names().filter(|name| !moves.contains(name)) {
        for (family, kind) in FAMILIES
            .into_iter()
            .flat_map(|family| KINDS.map(|kind| (family, kind)))
        {
            for seed in 0..5 {
                let (route, truth) = trace(name, family, kind, seed);
                assert_eq!(route.summary().source, CLIENT.address(family));
                for (hop, from) in strong(&route) {
                    let is_there = truth.at(hop).contains(&Some(from));
                    assert!(
                        is_there,
                        "{name} {family:?} {kind:?} seed {seed}: {from} at hop {hop}"
                    );
                }
            }
        }
    }
}

#[test]
fn where_every_hop_answers_every_hop_is_found_with_hardly_a_probe_too_many() {
    for name in ["short", "wan", "long", "many", "mpls", "nodeid", "dup"] {
        for (family, kind) in FAMILIES
            .into_iter()
            .flat_map(|family| KINDS.map(|kind| (family, kind)))
        {
            let (route, truth) = trace(name, family, kind, 1);
            assert_eq!(
                (route.distance(), route.stop_reason()),
                (truth.distance(), Some(StopReason::Reached)),
                "{name}"
            );
            let heard: Vec<u8> = strong(&route).map(|(hop, _)| hop).collect();
            let all: Vec<u8> = (1..=truth.distance().unwrap()).collect();
            assert_eq!(heard, all, "{name} {family:?} {kind:?}");
            assert!(
                route.summary().probes_sent <= all.len() + 16,
                "{name}: {}",
                route.summary().probes_sent
            );
        }
    }
}

#[test]
fn all_paths_are_found_whatever_the_seed() {
    for (family, kind) in FAMILIES
        .into_iter()
        .flat_map(|family| KINDS.map(|kind| (family, kind)))
    {
        let mut complete = 0;
        for seed in 0..20 {
            let (machine, target, truth) = world("ecmp", family, kind, seed);
            let settings = ProbeSettings::default();
            let paths =
                Exploration::start(machine, &settings, Thoroughness::default(), "ecmp", target)
                    .unwrap();
            let paths = to_the_end(paths);
            assert_eq!(paths.completeness(), Completeness::Complete);
            let routers: std::collections::BTreeSet<_> =
                (1..=12).flat_map(|hop| truth.at(hop)).flatten().collect();
            let found: std::collections::BTreeSet<_> = paths
                .graph()
                .nodes()
                .iter()
                .filter_map(|node| node.address)
                .collect();
            assert!(found.is_subset(&routers), "{found:?}");
            complete += usize::from(found == routers);
        }
        // Each search misses something in 5 of 100 cases at most.
        assert!(complete >= 17, "{family:?} {kind:?}: {complete} of 20");
    }
}

#[test]
fn the_mtu_of_a_path_is_found_with_its_limits() {
    for (family, kind) in FAMILIES
        .into_iter()
        .flat_map(|family| KINDS.map(|kind| (family, kind)))
    {
        let (machine, target, _) = world("mtu", family, kind, 1);
        let search = PathMtu::start(
            machine,
            &ProbeSettings::default(),
            "mtu",
            target,
            |_, _, _| Ok(1500),
        )
        .unwrap();
        let route = to_the_end(search);
        assert_eq!(
            (route.path_mtu(), route.bounds()),
            (Some(1280), (1280, 1280)),
            "{family:?} {kind:?}"
        );
        assert_eq!(route.limits().len(), 2);
    }
}
