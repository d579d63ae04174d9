//! Where the paths of sides part.

use super::{How, ICMP, Seen, TCP, UDP, USUAL, compare, each, path, with};
use crate::FAMILIES;
use crate::judge;
use hopshot_engine::{Refusal, Side, SideEnd, SocketKind};
use hopshot_lab::log::Probe;
use hopshot_lab::{Balance, Diamond, Hop, Machine, Places, Scenario};

/// The path that a side's probes took, if it is one: in the log of all.
fn path_of(seen: &Seen, side: usize) -> Option<usize> {
    let route = seen.result.sides()[side].route.as_ref().unwrap();
    let is_its = |probe: &&Probe| match (route.source_port(), probe.ports) {
        (Some(port), Some(ports)) => ports.source == port,
        (None, None) => route.flow() == Some(probe.checksum),
        _ => false,
    };
    let mut paths = seen.log.iter().filter(is_its).map(|probe| probe.path);
    let first = paths.next()?;
    paths.all(|path| path == first).then_some(first)
}

#[test]
fn paths_that_part_by_protocol_part_where_they_do() {
    for lengths in [vec![1, 1], vec![3, 3], vec![2, 4], vec![1, 1, 1]] {
        let mut scenario = path();
        let ways = lengths.len();
        scenario.diamond = vec![Diamond {
            at: 4,
            lengths,
            by: Balance::Protocol,
        }];
        each(&scenario, &USUAL, |seen| {
            let parting = seen.result.verdict().parting().expect("they part");
            assert!(parting.is_exact, "{}", seen.told);
            assert_eq!(
                (parting.hop, parting.ways.len()),
                (4, ways),
                "{}",
                seen.told
            );
            let side = |protocol| Side::Protocol(protocol);
            let of_icmp = match ways {
                2 => vec![side(ICMP), side(UDP)],
                _ => vec![side(ICMP)],
            };
            assert_eq!(parting.ways[0].sides, of_icmp);
            let way = |way: usize| seen.truth.paths[way].hops[3];
            assert_eq!(Some(parting.ways[0].address), way(0), "{}", seen.told);
            let of_tcp = parting.ways.iter().find(|way| way.sides == [side(TCP)]);
            assert_eq!(of_tcp.map(|way| way.address), way(1), "{}", seen.told);
        });
    }
}

#[test]
fn silent_routers_are_no_difference() {
    for silent in [vec![3, 4, 9], (1..=11).collect()] {
        let at = Places::Many(silent);
        let scenario = with(Hop {
            at,
            silent: true,
            ..Hop::default()
        });
        each(&scenario, &USUAL, |seen| {
            seen.reaches(0, None);
            seen.reaches(1, Some(false));
            seen.reaches(2, Some(true));
            seen.shows_ends_alone();
        });
    }
}

#[test]
fn where_load_is_balanced_by_flow_the_paths_part_where_those_of_the_flows_do() {
    for name in ["ecmp", "ecmp-uneven", "ecmp-mesh"] {
        let scenario = Scenario::named(name).unwrap();
        each(&scenario, &USUAL, |seen| {
            let paths: Vec<_> = (0..3).map(|side| path_of(seen, side)).collect();
            assert!(paths.iter().all(Option::is_some), "{}", seen.told);
            let hops = paths
                .iter()
                .flatten()
                .map(|path| &seen.truth.paths[*path].hops);
            let hops: Vec<_> = hops.collect();
            let at = |hop: usize| {
                let there = hops.iter().filter_map(|hops| *hops.get(hop)?);
                there.collect::<std::collections::BTreeSet<_>>()
            };
            let expected = (0..30).find(|hop| at(*hop).len() > 1);
            let parting = seen.result.verdict().parting();
            let found = parting.map(|parting| usize::from(parting.hop) - 1);
            assert_eq!(found, expected, "{name} {}", seen.told);
            let ways = parting.iter().flat_map(|parting| &parting.ways);
            let addresses: Vec<_> = ways.map(|way| way.address).collect();
            let expected = expected.map(at).unwrap_or_default();
            assert!(addresses.iter().all(|address| expected.contains(address)));
            assert_eq!(addresses.len(), expected.len(), "{name} {}", seen.told);
        });
    }
}

#[test]
fn where_each_packet_goes_its_own_way_hardly_anything_looks_like_a_parting() {
    let scenario = Scenario::named("ecmp-packet").unwrap();
    let parted = std::cell::Cell::new(0);
    each(&scenario, &USUAL, |seen| {
        parted.set(parted.get() + u32::from(seen.result.verdict().parting().is_some()));
    });
    assert!(parted.get() <= 2, "{} of 100", parted.get());
}

#[test]
fn icmp_and_udp_may_end_where_tcp_goes_on_by_another_way() {
    let scenario = Scenario::named("compare").unwrap();
    each(&scenario, &USUAL, |seen| {
        let (after, by, how) = (9, seen.router(9), Refusal::Filtered);
        let refused = SideEnd::Refused { after, by, how };
        assert_eq!([seen.end(0), seen.end(1)], [&refused; 2], "{}", seen.told);
        seen.reaches(2, Some(true));
        let parting = seen.result.verdict().parting().expect("they part");
        assert_eq!(parting.hop, 4, "{}", seen.told);
        let sentences = seen.result.verdict().sentences();
        assert_eq!(
            sentences[0],
            format!("ICMP and UDP 33434 stop after hop 9: filtered by {by}")
        );
        assert!(sentences[1].starts_with("TCP 443 gets there: open, 8"));
        assert_eq!((sentences.len(), seen.result.reached()), (3, true));
    });
}

#[test]
fn no_verdict_on_any_path_says_what_is_not_so() {
    // There the route changes while it is traced, or answers come from where nobody is asked; and
    // the attacker knows the ports.
    let moves = ["changing", "leap", "altreply", "dnat", "demo", "hostile"];
    for name in Scenario::names().filter(|name| !moves.contains(name)) {
        let scenario = Scenario::named(name).unwrap();
        for family in FAMILIES {
            for seed in 0..4 {
                let attempts = 1 + u8::try_from(seed).unwrap();
                let seen = compare(&scenario, family, seed, &How { attempts, ..USUAL });
                let ways = seen.result.verdict().parting().into_iter();
                for (hop, way) in ways.flat_map(|it| it.ways.iter().map(|way| (it.hop, way))) {
                    let is_there = seen.truth.at(hop).contains(&Some(way.address));
                    assert!(is_there, "{name} {}", seen.told);
                }
                for (side, end) in seen.result.verdict().ends() {
                    let Side::Protocol(protocol) = side else {
                        continue;
                    };
                    let machine = Machine::new(&scenario, SocketKind::Raw, seed);
                    let truth = judge::truth(&machine, family, *protocol);
                    let ends = truth.paths.iter().map(|path| path.end);
                    let may_be_reached = ends.clone().any(|end| end == hopshot_lab::End::Target);
                    assert!(!end.is_reached() || may_be_reached, "{name} {}", seen.told);
                    if let SideEnd::Refused { by, .. } = end {
                        let all = truth.paths.iter().flat_map(|path| &path.hops);
                        assert!(all.flatten().any(|it| it == by), "{name} {}", seen.told);
                    }
                    let is_proxied = matches!(end, SideEnd::Proxied(proxy) if proxy.is_certain);
                    assert!(!is_proxied, "{name} {}", seen.told);
                }
            }
        }
    }
}
