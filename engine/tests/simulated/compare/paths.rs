//! Where the paths of sides part.

use super::{How, ICMP, SOCKETS, Seen, Sockets, TCP, UDP, USUAL, compare, each, path, with};
use crate::FAMILIES;
use crate::judge;
use hopshot_engine::{Refusal, Side, SideEnd, SocketKind};
use hopshot_lab::log::Probe;
use hopshot_lab::{Balance, Diamond, Hop, Machine, Places, Scenario};
use std::cell::Cell;
use std::collections::BTreeSet;
use std::net::IpAddr;

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
            let (has_many, told) = (seen.sockets != Sockets::Raw, &seen.told);
            assert_eq!(parting.has_many_flows, has_many, "{told}");
            assert!(parting.is_exact, "{told}");
            let side = |protocol| Side::Protocol(protocol);
            let mut expected = match ways {
                2 => vec![vec![side(ICMP), side(UDP)], vec![side(TCP)]],
                _ => vec![vec![side(ICMP)], vec![side(UDP)], vec![side(TCP)]],
            };
            for sides in &mut expected {
                sides.retain(|it| *it != side(ICMP) || seen.has_icmp());
            }
            expected.retain(|sides| !sides.is_empty());
            let found: Vec<_> = parting.ways.iter().map(|way| way.sides.clone()).collect();
            assert_eq!((parting.hop, found), (4, expected), "{told}");
            let way = |way: usize| seen.truth.paths[way].hops[3];
            let of_udp = parting
                .ways
                .iter()
                .find(|way| way.sides.contains(&side(UDP)));
            let of_udp = of_udp.map(|way| way.address);
            assert_eq!(of_udp, way(if ways == 2 { 0 } else { 2 }), "{told}");
            let of_tcp = parting.ways.iter().find(|way| way.sides == [side(TCP)]);
            assert_eq!(of_tcp.map(|way| way.address), way(1), "{told}");
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

/// The addresses at a hop of the paths that these are.
fn there(seen: &Seen, paths: &[usize], hop: u8) -> BTreeSet<IpAddr> {
    let at = |path: &usize| *seen.truth.paths[*path].hops.get(usize::from(hop) - 1)?;
    paths.iter().filter_map(at).collect()
}

#[test]
fn where_load_is_balanced_by_flow_the_paths_part_where_those_of_the_flows_do() {
    for name in ["ecmp", "ecmp-uneven", "ecmp-mesh", "ecmp-wide"] {
        let scenario = Scenario::named(name).unwrap();
        let wrong = Cell::new(0);
        each(&scenario, &USUAL, |seen| {
            let has_many = seen.sockets != Sockets::Raw;
            let own = (0..3).filter(|side| !(seen.fails(*side) || has_many && *side == 2));
            let paths: Vec<usize> = own.map(|side| path_of(seen, side).unwrap()).collect();
            let expected = (1..30).find(|hop| there(seen, &paths, *hop).len() > 1);
            let Some(parting) = seen.result.verdict().parting() else {
                assert_eq!(expected, None, "{name} {}", seen.told);
                return;
            };
            let ways = parting.ways.iter().map(|way| way.address).collect();
            if !parting.has_many_flows {
                assert!(parting.is_exact, "{name} {}", seen.told);
                assert_eq!(Some(parting.hop), expected, "{name} {}", seen.told);
                assert_eq!(
                    there(seen, &paths, parting.hop),
                    ways,
                    "{name} {}",
                    seen.told
                );
                return;
            }
            // Flows of TCP that happen to go the same way. The others don't part before.
            assert!(has_many && expected.is_none_or(|hop| parting.hop <= hop));
            let by_tcp = seen.log.iter().filter(|probe| probe.is_syn());
            let as_far = by_tcp.filter(|probe| probe.hop_limit == parting.hop);
            let all: Vec<usize> = as_far.map(|probe| probe.path).chain(paths).collect();
            assert!(
                ways.is_subset(&there(seen, &all, parting.hop)),
                "{name} {}",
                seen.told
            );
            let is_right = (1..parting.hop).all(|hop| there(seen, &all, hop).len() == 1);
            assert!(seen.told.contains("(or each TCP probe goes its own way)"));
            wrong.set(wrong.get() + u32::from(parting.is_exact && !is_right));
        });
        assert_eq!(wrong.get(), 0, "{name}");
    }
}

#[test]
fn where_each_packet_goes_its_own_way_hardly_anything_looks_like_a_parting() {
    let scenario = Scenario::named("ecmp-packet").unwrap();
    let parted = Cell::new(0);
    each(&scenario, &USUAL, |seen| {
        parted.set(parted.get() + u32::from(seen.result.verdict().parting().is_some()));
    });
    assert!(parted.get() <= 6, "{} of 300", parted.get());
}

#[test]
fn icmp_and_udp_may_end_where_tcp_goes_on_by_another_way() {
    let scenario = Scenario::named("compare").unwrap();
    each(&scenario, &USUAL, |seen| {
        let (after, by, how) = (9, seen.router(9), Refusal::Filtered);
        let refused = SideEnd::Refused { after, by, how };
        seen.ends(0, &refused);
        seen.ends(1, &refused);
        seen.reaches(2, Some(true));
        let parting = seen.result.verdict().parting().expect("they part");
        assert_eq!((parting.hop, parting.is_exact), (4, true), "{}", seen.told);
        let sentences = seen.sentences();
        let who = match seen.has_icmp() {
            true => "ICMP and UDP 33434 stop",
            false => "UDP 33434 stops",
        };
        assert_eq!(sentences[0], format!("{who} after hop 9: filtered by {by}"));
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
            for (seed, sockets) in (0..4).flat_map(|seed| SOCKETS.map(|it| (seed, it))) {
                let attempts = 1 + u8::try_from(seed).unwrap();
                let how = How { attempts, ..USUAL };
                let seen = compare(&scenario, family, seed, sockets, &how);
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
