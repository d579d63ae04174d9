//! Verdicts over facts that are written down here.

use super::end::{Refusal, SideEnd, Unproven};
use super::facts::{Facts, HopFacts};
use super::side::Side;
use super::verdict::Verdict;
use crate::checks::Proxy;
use crate::protocol::ProbeProtocol;
use hopshot_core::wire::AddressFamily;
use hopshot_core::{TcpOptions, UdpPayload};
use std::net::IpAddr;
use std::time::Duration;

const ICMP: Side = Side::Protocol(ProbeProtocol::Icmp);
const UDP: Side = udp(53, UdpPayload::Dns);
const TCP: Side = Side::Protocol(ProbeProtocol::Tcp {
    port: 443,
    options: TcpOptions::Mss,
});

const fn udp(port: u16, payload: UdpPayload) -> Side {
    Side::Protocol(ProbeProtocol::Udp { port, payload })
}

fn router(hop: u8) -> IpAddr {
    [10, hop, 0, 1].into()
}

/// A side that ended so, behind routers that all answered within a millisecond.
fn side(side: Side, end: SideEnd, routers: &[IpAddr]) -> Facts {
    let hop = |(number, address): (u8, &IpAddr)| HopFacts {
        number,
        addresses: vec![*address],
        rtts: vec![Duration::from_millis(number.into()); 3],
    };
    Facts {
        has_many_flows: false,
        side,
        target: Some([192, 0, 2, 80].into()),
        end,
        hops: (1..).zip(routers).map(hop).collect(),
        loss: None,
    }
}

fn reached(is_open: Option<bool>) -> SideEnd {
    SideEnd::Reached {
        distance: Some(3),
        is_open,
        rtt: Some(Duration::from_micros(3_040)),
    }
}

fn said(sides: &[Facts]) -> Vec<String> {
    Verdict::of(sides).sentences()
}

#[test]
fn each_end_has_its_words() {
    let after = 2;
    let refused = |how| SideEnd::Refused {
        after,
        by: router(2),
        how,
    };
    let proxy = |is_certain| {
        SideEnd::Proxied(Proxy {
            hop: 2,
            protocol: ProbeProtocol::Icmp,
            router: router(2),
            is_certain,
        })
    };
    let weak = |hop, is_target| Some(Unproven { hop, is_target });
    let why = "no permission; run this as root (sudo)".to_owned();
    for (end, told) in [
        (reached(None), "TCP 443 gets there: 3.0 ms"),
        (reached(Some(false)), "TCP 443 gets there: closed, 3.0 ms"),
        (
            refused(Refusal::Filtered),
            "TCP 443 stops after hop 2: filtered by 10.2.0.1",
        ),
        (
            refused(Refusal::Rejected),
            "TCP 443 stops after hop 2: 10.2.0.1 rejects packets to this port",
        ),
        (
            refused(Refusal::TooBig),
            "TCP 443 stops after hop 2: 10.2.0.1 says that packets are too big",
        ),
        (
            refused(Refusal::Unreachable),
            "TCP 443 stops after hop 2: 10.2.0.1 says that the target can't be reached",
        ),
        (
            SideEnd::Quiet {
                after: 0,
                unproven: None,
            },
            "TCP 443 is not answered at all: filtered, or lost",
        ),
        (
            SideEnd::Quiet {
                after: 0,
                unproven: weak(9, false),
            },
            "TCP 443 has only answers that prove nothing, up to hop 9: filtered, or lost",
        ),
        (
            SideEnd::Quiet {
                after,
                unproven: weak(9, false),
            },
            "TCP 443 is silent after hop 2, but for answers that prove nothing, up to hop 9: \
             filtered, or lost",
        ),
        (
            SideEnd::Quiet {
                after,
                unproven: weak(9, true),
            },
            "TCP 443 seems to get there at hop 9, but nothing proves that answer",
        ),
        (
            SideEnd::MaxHops {
                after,
                unproven: weak(6, false),
            },
            "TCP 443 stops after hop 2, but for answers that prove nothing, up to hop 6: no \
             farther hop was probed (-m)",
        ),
        (
            SideEnd::MaxHops {
                after: 0,
                unproven: weak(6, false),
            },
            "TCP 443 has only answers that prove nothing, up to hop 6: no farther hop was probed \
             (-m)",
        ),
        (
            SideEnd::Timeout {
                after,
                unproven: None,
            },
            "TCP 443 is silent after hop 2 for as long as was waited (-w)",
        ),
        (
            SideEnd::Loop { after },
            "TCP 443 stops after hop 2: the path goes round in a loop",
        ),
        (
            SideEnd::MaxHops {
                after,
                unproven: None,
            },
            "TCP 443 stops after hop 2: no farther hop was probed (-m)",
        ),
        (
            SideEnd::Interrupted { after: 0 },
            "TCP 443 was interrupted before hop 1",
        ),
        (
            SideEnd::Local { why },
            "TCP 443 failed: no permission; run this as root (sudo)",
        ),
        (
            proxy(true),
            "TCP 443 is answered at hop 2 by a proxy, a redirect or a firewall, not the target: \
             ICMP finds 10.2.0.1 there",
        ),
        (
            proxy(false),
            "TCP 443 is answered at hop 2, perhaps by a proxy, a redirect or a firewall, not the \
             target: ICMP finds 10.2.0.1 there",
        ),
    ] {
        let routers = [router(1), router(2)];
        let sides = [
            side(ICMP, reached(None), &routers),
            side(
                UDP,
                SideEnd::Quiet {
                    after,
                    unproven: None,
                },
                &routers,
            ),
            side(TCP, end, &routers),
        ];
        assert_eq!(
            said(&sides),
            [
                "ICMP gets there: 3.0 ms",
                "UDP 53 is silent after hop 2: filtered, lost, or an open port that says nothing",
                told
            ]
        );
    }
}

#[test]
fn where_nobody_gets_there_the_target_may_be_down() {
    let routers = [router(1), router(2)];
    let quiet = |of| {
        side(
            of,
            SideEnd::Quiet {
                after: 2,
                unproven: None,
            },
            &routers,
        )
    };
    let none = |of| {
        side(
            of,
            SideEnd::Quiet {
                after: 0,
                unproven: None,
            },
            &[],
        )
    };
    for (sides, told) in [
        (
            vec![quiet(ICMP), quiet(TCP)],
            "ICMP and TCP 443 are silent after hop 2: filtered, or down",
        ),
        (
            vec![quiet(UDP)],
            "UDP 53 is silent after hop 2: filtered, down, or an open port that says nothing",
        ),
        (
            vec![quiet(ICMP), quiet(UDP), quiet(TCP)],
            "ICMP, UDP 53 and TCP 443 are silent after hop 2: filtered, down, or of UDP an open \
             port that says nothing",
        ),
        (
            vec![none(ICMP), none(UDP)],
            "ICMP and UDP 53 are not answered at all: filtered, down, or of UDP an open port that \
             says nothing",
        ),
    ] {
        assert_eq!(said(&sides), [told]);
    }
}

#[test]
fn one_sentence_says_that_nothing_differs() {
    let routers = [router(1), router(2)];
    let quic = udp(443, UdpPayload::Quic);
    let sides = [
        side(ICMP, reached(None), &routers),
        side(quic, reached(Some(true)), &routers),
        side(TCP, reached(Some(false)), &routers),
    ];
    assert_eq!(
        said(&sides),
        ["No difference seen: ICMP 3.0 ms, QUIC 443 3.0 ms (open), TCP 443 3.0 ms (closed)"]
    );
    assert_eq!(
        (quic.name(), UDP.name()),
        ("quic:443".into(), "udp:53".into())
    );
}

#[test]
fn paths_part_only_where_each_side_meets_one_address_there_and_beside_it() {
    let one = [router(1), router(2), router(3), router(4)];
    let other = [router(1), router(7), router(8), router(9)];
    let sides = |mixed: Option<usize>| {
        let mut sides = [
            side(ICMP, reached(None), &one),
            side(TCP, reached(None), &other),
        ];
        if let Some(hop) = mixed {
            sides[0].hops[hop - 1].addresses.push(router(99));
        }
        Verdict::of(&sides).parting().map(|parting| parting.hop)
    };
    assert_eq!(sides(None), Some(2));
    let exact = [
        side(ICMP, reached(None), &one),
        side(TCP, reached(None), &other),
    ];
    assert!(Verdict::of(&exact).parting().unwrap().is_exact);
    assert_eq!(
        [1, 2, 3, 4].map(|hop| sides(Some(hop))),
        [Some(3), Some(4), None, Some(2)]
    );
    // A hop that is silent on one side shows nothing.
    let mut silent = [
        side(ICMP, reached(None), &one),
        side(TCP, reached(None), &other),
    ];
    silent[1].hops.retain(|hop| hop.number != 2);
    let verdict = Verdict::of(&silent);
    let parting = verdict.parting().unwrap();
    assert_eq!((parting.hop, parting.ways.len()), (3, 2));
    assert_eq!(
        verdict.sentences().last().unwrap(),
        "Paths part at hop 3 or before: ICMP by 10.3.0.1, TCP 443 by 10.8.0.1"
    );
}

#[test]
fn sides_of_many_flows_show_a_parting_only_where_chance_does_not_explain_its_hop() {
    let one = [router(1), router(2), router(3), router(4)];
    let other = [router(1), router(7), router(8), router(9)];
    let sides = |answers: usize| {
        let mut tcp = Facts {
            has_many_flows: true,
            ..side(TCP, reached(None), &other)
        };
        for hop in &mut tcp.hops {
            hop.rtts.truncate(answers);
        }
        [
            side(ICMP, reached(None), &one),
            side(UDP, reached(None), &one),
            tcp,
        ]
    };
    let parting = |sides: &[Facts]| {
        let verdict = Verdict::of(sides);
        let parting = verdict.parting()?;
        let told = (parting.hop, parting.is_exact, parting.has_many_flows);
        Some((told, parting.ways.len()))
    };
    assert_eq!(parting(&sides(3)), Some(((2, true, true), 2)));
    assert_eq!(parting(&sides(1)), Some(((2, false, true), 2)));
    // Where flows are seen to go different ways, only the others are judged.
    let mut balanced = sides(3);
    balanced[2].hops[1].addresses.push(router(2));
    assert_eq!(parting(&balanced), None);
    balanced[1].hops[1].addresses = vec![router(5)];
    assert_eq!(parting(&balanced), Some(((2, true, false), 2)));
}

#[test]
fn of_families_the_distance_is_told_and_addresses_are_not_compared() {
    let family = |family, target: &str| Facts {
        target: Some(target.parse().unwrap()),
        ..side(Side::Family(family), reached(None), &[router(1)])
    };
    let mut sides = [
        family(AddressFamily::V4, "192.0.2.80"),
        family(AddressFamily::V6, "2001:db8::80"),
    ];
    sides[1].hops[0].addresses = vec!["2001:db8::1".parse().unwrap()];
    assert_eq!(
        said(&sides),
        ["No difference seen: IPv4 3.0 ms, IPv6 3.0 ms"]
    );
    sides[1].end = SideEnd::Quiet {
        after: 1,
        unproven: None,
    };
    // The other address may be down.
    assert_eq!(
        said(&sides),
        [
            "IPv4 gets there: 3 hops, 3.0 ms",
            "IPv6 is silent after hop 1: filtered, or down"
        ]
    );
}

#[test]
fn a_target_at_different_hops_is_a_difference_and_no_parting() {
    let target: IpAddr = [192, 0, 2, 80].into();
    let near = SideEnd::Reached {
        distance: Some(2),
        is_open: Some(true),
        rtt: None,
    };
    let icmp = side(ICMP, reached(None), &[router(1), router(2), target]);
    let tcp = side(TCP, near, &[router(1), target]);
    let verdict = Verdict::of(&[icmp, tcp]);
    assert!(!verdict.is_alike() && verdict.parting().is_none());
    let sentences = verdict.sentences();
    let told = "The target answers ICMP at hop 3, TCP 443 at hop 2".to_owned();
    assert!(sentences.contains(&told), "{sentences:?}");
}

#[test]
fn a_side_is_unheard_where_routers_on_its_way_answer_others() {
    let target: IpAddr = [192, 0, 2, 80].into();
    let way: Vec<IpAddr> = (1..=5).map(router).chain([target]).collect();
    let quiet = |after| SideEnd::Quiet {
        after,
        unproven: None,
    };
    let silent_at = |end: SideEnd, silent: &[u8]| {
        let mut side = side(TCP, end, &way);
        let is_silent = |hop: &&mut HopFacts| silent.contains(&hop.number);
        for hop in side.hops.iter_mut().filter(is_silent) {
            (hop.addresses, hop.rtts) = (Vec::new(), Vec::new());
        }
        side
    };
    for (end, silent, unheard) in [
        (
            reached(Some(true)),
            &[1, 2, 3, 4, 5][..],
            &[1, 2, 3, 4, 5][..],
        ),
        (reached(Some(true)), &[2, 4], &[2, 4]),
        // One may be chance.
        (reached(Some(true)), &[3], &[]),
        // Behind the last router that was heard a firewall may drop the probes.
        (quiet(3), &[4, 5, 6], &[]),
        (quiet(3), &[1, 2, 4, 5, 6], &[1, 2]),
        (quiet(0), &[1, 2, 3, 4, 5, 6], &[1, 2, 3, 4, 5]),
    ] {
        let sides = [side(ICMP, reached(None), &way), silent_at(end, silent)];
        let verdict = Verdict::of(&sides);
        let found = verdict.unheard().iter();
        let found: Vec<(Side, &[u8])> = found.map(|it| (it.side, &it.hops[..])).collect();
        let expected: Vec<(Side, &[u8])> = match unheard {
            [] => Vec::new(),
            hops => vec![(TCP, hops)],
        };
        assert_eq!(found, expected, "{silent:?}");
        assert!(unheard.is_empty() || !verdict.is_alike());
        let told = format!("TCP 443 gets no answers from {} routers", unheard.len());
        let sentences = verdict.sentences();
        let is_told = sentences.iter().any(|sentence| sentence.starts_with(&told));
        assert_eq!(is_told, !unheard.is_empty(), "{sentences:?}");
        // If nobody else hears them, they are silent.
        let twice = [silent_at(reached(Some(true)), silent)];
        assert!(Verdict::of(&twice).unheard().is_empty());
    }
}
