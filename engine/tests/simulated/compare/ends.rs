//! Where each side ends, and why.

use super::{How, ICMP, USUAL, at, each, path, with};
use crate::hostile::reply;
use crate::judge::tcp;
use hopshot_core::wire::ip;
use hopshot_engine::{Refusal, SideEnd, SocketKind};
use hopshot_lab::{Attack, Hop, Machine, Protocol};
use std::time::Duration;

/// Lets a proxy at a hop answer TCP in the target's name.
fn proxy(machine: &mut Machine, hop: u8) {
    machine.attack(move |packet| {
        let (header, message) = ip::parse(packet).unwrap();
        if header.protocol != 6 || header.hop_limit < hop {
            return Attack::default();
        }
        let rtt = Duration::from_millis(80 * u64::from(hop) / 12);
        Attack {
            is_alone: true,
            forged: vec![(rtt, reply(&header, message))],
        }
    });
}

#[test]
fn where_all_is_the_same_one_sentence_says_so() {
    each(&path(), &USUAL, |seen| {
        seen.reaches(0, None);
        seen.reaches(1, Some(false));
        seen.reaches(2, Some(true));
        seen.shows_ends_alone();
        assert!(seen.result.reached());
        let is_alike = seen.result.verdict().is_alike();
        assert_eq!(is_alike, seen.has_icmp(), "{}", seen.told);
        let (sentences, start) = match is_alike {
            true => (1, "No difference seen: ICMP 8"),
            false => (2, "UDP 33434 gets there: closed, 8"),
        };
        assert_eq!(seen.sentences().len(), sentences, "{}", seen.told);
        assert!(seen.sentences()[0].starts_with(start), "{}", seen.told);
    });
}

#[test]
fn a_firewall_that_forbids_udp_is_named_with_its_hop() {
    let forbids = vec![Protocol::Udp];
    each(&with(Hop { forbids, ..at(9) }), &USUAL, |seen| {
        seen.reaches(0, None);
        seen.reaches(2, Some(true));
        let (after, by, how) = (9, seen.router(9), Refusal::Filtered);
        seen.ends(1, &SideEnd::Refused { after, by, how });
        seen.shows_ends_alone();
        let told = format!("UDP 33434 stops after hop 9: filtered by {by}");
        assert!(seen.sentences().contains(&told), "{}", seen.told);
    });
}

#[test]
fn where_icmp_is_dropped_on_the_way_tcp_is_open_all_the_same() {
    let drops = vec![Protocol::Icmp];
    each(&with(Hop { drops, ..at(5) }), &USUAL, |seen| {
        seen.ends(
            0,
            &SideEnd::Quiet {
                after: 5,
                unproven: None,
            },
        );
        seen.reaches(1, Some(false));
        seen.reaches(2, Some(true));
        seen.shows_ends_alone();
        let told = "ICMP is silent after hop 5: filtered, or lost".to_owned();
        let is_told = seen.sentences().contains(&told);
        assert_eq!(is_told, seen.has_icmp(), "{}", seen.told);
        assert!(seen.result.reached());
    });
}

#[test]
fn a_closed_port_gets_there_as_much_as_an_open_one() {
    let protocols = &[ICMP, tcp(81), tcp(443)];
    let how = How { protocols, ..USUAL };
    each(&path(), &how, |seen| {
        seen.reaches(1, Some(false));
        seen.reaches(2, Some(true));
        seen.shows_ends_alone();
    });
}

#[test]
fn one_port_that_is_filtered_says_nothing_of_another() {
    let mut scenario = path();
    scenario.target.tcp.filtered = vec![22];
    let protocols = &[ICMP, tcp(22), tcp(443)];
    each(&scenario, &How { protocols, ..USUAL }, |seen| {
        seen.ends(
            1,
            &SideEnd::Quiet {
                after: 11,
                unproven: None,
            },
        );
        seen.reaches(2, Some(true));
        seen.shows_ends_alone();
        // One side by TCP doesn't get there.
        assert!(!seen.result.reached());
    });
}

#[test]
fn a_target_that_is_silent_to_all_may_be_down() {
    let mut scenario = path();
    scenario.target.silent = true;
    each(&scenario, &USUAL, |seen| {
        for side in 0..3 {
            seen.ends(
                side,
                &SideEnd::Quiet {
                    after: 11,
                    unproven: None,
                },
            );
        }
        seen.shows_ends_alone();
        let who = match seen.has_icmp() {
            true => "ICMP, UDP 33434 and TCP 443",
            false => "UDP 33434 and TCP 443",
        };
        let why = "filtered, down, or of UDP an open port that says nothing";
        let told = format!("{who} are silent after hop 11: {why}");
        assert_eq!(seen.sentences(), [told]);
        assert!(!seen.result.reached());
    });
}

#[test]
fn a_proxy_for_tcp_is_no_target() {
    let change: &dyn Fn(&mut Machine) = &|machine| proxy(machine, 6);
    each(&path(), &How { change, ..USUAL }, |seen| {
        seen.reaches(0, None);
        seen.reaches(1, Some(false));
        let SideEnd::Proxied(proxy) = seen.end(2) else {
            panic!("{}: {:?}", seen.told, seen.end(2));
        };
        assert_eq!((proxy.hop, proxy.router), (6, seen.router(6)));
        assert!(proxy.is_certain && !seen.result.reached());
        seen.shows_ends_alone();
    });
}

#[test]
fn answers_that_prove_nothing_are_told_as_such_and_not_as_silence() {
    let mut scenario = path();
    scenario.hop.extend((1..12).map(|hop| Hop {
        quote: Some(8),
        ..at(hop)
    }));
    scenario.target.udp.filtered = vec![33_434];
    each(&scenario, &USUAL, |seen| {
        seen.reaches(2, Some(true));
        let end = seen.end(1);
        let is_weak = seen.result.sides()[1]
            .route
            .as_ref()
            .is_ok_and(|route| route.summary().socket == SocketKind::Udp);
        let unproven = end.unproven().map(|it| (it.hop, it.is_target));
        let (after, why) = match is_weak {
            true => (0, "has only answers that prove nothing, up to hop 11"),
            false => (11, "is silent after hop 11"),
        };
        assert_eq!(
            (end.as_str(), end.after(), unproven),
            ("quiet", Some(after), is_weak.then_some((11, false))),
            "{}",
            seen.told
        );
        let told = format!("UDP 33434 {why}: filtered, lost, or an open port that says nothing");
        assert!(seen.sentences().contains(&told), "{}", seen.told);
    });
}

#[test]
fn a_target_that_proves_nothing_is_told_and_is_not_reached() {
    let mut scenario = path();
    scenario.hop.push(Hop {
        quote: Some(8),
        ..at(3)
    });
    scenario.target.quote = Some(8);
    each(&scenario, &USUAL, |seen| {
        let end = seen.end(1);
        if end.is_reached() {
            return;
        }
        let unproven = end.unproven().map(|it| (it.hop, it.is_target));
        assert_eq!(
            (end.as_str(), end.after(), unproven),
            ("quiet", Some(11), Some((12, true))),
            "{}",
            seen.told
        );
        let told = "UDP 33434 seems to get there at hop 12, but nothing proves that answer";
        assert!(seen.sentences().contains(&told.to_owned()), "{}", seen.told);
    });
}

#[test]
fn a_side_by_udp_sockets_hears_routers_that_quote_little_whatever_checks_there_are() {
    let mut scenario = path();
    let short = [2, 5, 11];
    scenario.hop.extend(short.map(|hop| Hop {
        quote: Some(8),
        ..at(hop)
    }));
    each(&scenario, &USUAL, |seen| {
        let side = &seen.result.sides()[1];
        let route = side.route.as_ref().unwrap();
        for hop in 1..12 {
            let its = route.hops().find(|it| it.number() == hop).unwrap();
            let from: Vec<_> = its.replies().map(|reply| reply.from).collect();
            assert!(from.contains(&seen.router(hop)), "hop {hop}: {}", seen.told);
        }
    });
}
