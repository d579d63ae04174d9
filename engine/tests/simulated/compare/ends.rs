//! Where each side ends, and why.

use super::{How, ICMP, USUAL, at, each, path, with};
use crate::hostile::reply;
use crate::judge::tcp;
use hopshot_core::wire::ip;
use hopshot_engine::{Refusal, SideEnd};
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
        assert!(seen.result.verdict().is_alike() && seen.result.reached());
        let sentences = seen.result.verdict().sentences();
        let [sentence] = sentences.as_slice() else {
            panic!("{sentences:?}");
        };
        assert!(
            sentence.starts_with("No difference seen: ICMP 8"),
            "{sentence}"
        );
    });
}

#[test]
fn a_firewall_that_forbids_udp_is_named_with_its_hop() {
    let forbids = vec![Protocol::Udp];
    each(&with(Hop { forbids, ..at(9) }), &USUAL, |seen| {
        seen.reaches(0, None);
        seen.reaches(2, Some(true));
        let (after, by, how) = (9, seen.router(9), Refusal::Filtered);
        assert_eq!(*seen.end(1), SideEnd::Refused { after, by, how });
        seen.shows_ends_alone();
        let told = format!("UDP 33434 stops after hop 9: filtered by {by}");
        assert_eq!(seen.result.verdict().sentences()[1], told);
    });
}

#[test]
fn where_icmp_is_dropped_on_the_way_tcp_is_open_all_the_same() {
    let drops = vec![Protocol::Icmp];
    each(&with(Hop { drops, ..at(5) }), &USUAL, |seen| {
        assert_eq!(*seen.end(0), SideEnd::Quiet { after: 5 });
        seen.reaches(1, Some(false));
        seen.reaches(2, Some(true));
        seen.shows_ends_alone();
        assert_eq!(
            seen.result.verdict().sentences()[0],
            "ICMP is silent after hop 5: filtered, or lost"
        );
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
        assert_eq!(*seen.end(1), SideEnd::Quiet { after: 11 });
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
            assert_eq!(*seen.end(side), SideEnd::Quiet { after: 11 });
        }
        seen.shows_ends_alone();
        let sentences = seen.result.verdict().sentences();
        let told = "ICMP, UDP 33434 and TCP 443 are silent after hop 11: filtered, down, or of \
                    UDP an open port that says nothing";
        assert_eq!(sentences, [told]);
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
