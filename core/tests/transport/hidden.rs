//! Errors about datagrams where a kernel keeps the quoted headers to itself: what can't be told apart
//! is asked for once more, each by a probe that its sender knows by the port.

use crate::network::{BOTH, config, ends, router};
use crate::{probe, recognized, udp};
use hopshot_core::wire::AddressFamily;
use hopshot_core::{
    APART, Action, Answer, Back, Changes, Config, Discard, Instant, Kind, Outcome, Quoted,
    StopReason, Tracer, Udp, UdpPayload,
};
use std::net::IpAddr;

fn with_detours() -> Udp {
    Udp {
        detours: true,
        ..udp(UdpPayload::Plain)
    }
}

/// An error without the quoted IP header.
fn hidden(from: IpAddr, is_end: bool, message: &[u8]) -> Answer<'_> {
    let family = AddressFamily::of(from);
    let (kind, icmp) = match (is_end, family) {
        (false, AddressFamily::V4) => (Kind::TimeExceeded, (11, 0)),
        (false, AddressFamily::V6) => (Kind::TimeExceeded, (3, 0)),
        (true, AddressFamily::V4) => (Kind::Unreachable, (3, 3)),
        (true, AddressFamily::V6) => (Kind::Unreachable, (1, 4)),
    };
    Answer {
        from,
        hop_limit: None,
        kind,
        icmp,
        mtu: None,
        back: Back::Quoted(Quoted {
            destination: Some(ends(family).destination),
            header: None,
            protocol: 17,
            message,
        }),
        extensions: Default::default(),
    }
}

/// The header of a probe as such a kernel gives it: the ports alone.
fn ports_of(probe: &[u8]) -> [u8; 8] {
    let mut header = [0; 8];
    header[..6].copy_from_slice(&probe[..6]);
    header
}

#[test]
fn ports_alone_name_no_probe_and_those_of_others_are_none_of_ours() {
    for family in BOTH {
        let (udp, from) = (with_detours(), router(family, 3));
        let header = ports_of(&probe(&udp, ends(family), 7));
        let found = recognized(&udp, &hidden(from, false, &header));
        assert_eq!(found, Err(Discard::Unattributed));
        for at in 0..4 {
            let mut other = header;
            other[at] ^= 1;
            let found = recognized(&udp, &hidden(from, false, &other));
            assert_eq!(found, Err(Discard::NotOurs), "octet {at}");
        }
        // With the payload it needs no header.
        let mut whole = probe(&udp, ends(family), 7);
        whole[..8].copy_from_slice(&header);
        let found = recognized(&udp, &hidden(from, false, &whole)).unwrap();
        assert_eq!((found.index, found.changes), (7, Changes::default()));
    }
}

#[test]
fn an_answer_that_is_known_by_its_port_is_unproven_unless_it_quotes_the_cookie() {
    for family in BOTH {
        let (udp, from) = (with_detours(), router(family, 3));
        for index in [0, 9, 700].map(|place| place | APART) {
            let probe = probe(&udp, ends(family), index);
            for (octets, is_proven) in [(8, false), (17, false), (18, true), (probe.len(), true)] {
                let answer = hidden(from, false, &probe[..octets]);
                let found = recognized(&udp, &answer).unwrap();
                assert_eq!(found.index, index);
                let is_unproven = found.changes.contains(Changes::UNPROVEN);
                assert_eq!(is_unproven, !is_proven, "{octets} octets");
            }
        }
    }
}

/// A trace over `hops` hops, and the index of each probe. Those that are short quote ports alone,
/// the others all, be it the target.
fn play(udp: Udp, family: AddressFamily, short: &[u8], hops: u8) -> (Tracer<96, Udp>, Vec<u16>) {
    let (tracer, sent) = play_silent(udp, family, short, &[], hops);
    (tracer, sent.into_iter().map(|(_, index)| index).collect())
}

/// The same where some say nothing, with the hop of each probe.
fn play_silent(
    udp: Udp,
    family: AddressFamily,
    short: &[u8],
    silent: &[u8],
    hops: u8,
) -> (Tracer<96, Udp>, Vec<(u8, u16)>) {
    const STEP: u64 = 10;
    let config = Config {
        max_hops: 20,
        attempts: 1,
        retries: 2,
        sweep: None,
        ..config(family)
    };
    let mut tracer = Tracer::<96, Udp>::new(config, udp).unwrap();
    let (mut buf, mut now) = ([0; 64], 10_000);
    let mut due: Vec<(u64, u8, u16, Vec<u8>)> = Vec::new();
    let mut indices = Vec::new();
    loop {
        due.sort_by_key(|(at, ..)| *at);
        while due.first().is_some_and(|(at, ..)| *at <= now) {
            let (at, hop, index, message) = due.remove(0);
            if silent.contains(&hop.min(hops)) {
                continue;
            }
            let is_end = hop >= hops;
            let from = match is_end {
                true => ends(family).destination,
                false => router(family, hop),
            };
            let header = ports_of(&message);
            let message = match (short.contains(&hop.min(hops)), index & APART != 0) {
                (false, _) => &message[..],
                (true, true) => &message[..8],
                (true, false) => &header[..],
            };
            let answer = hidden(from, is_end, message);
            let _ = tracer.accept(Instant::from_millis(at), &answer);
        }
        match tracer.poll(Instant::from_millis(now), &mut buf).unwrap() {
            Action::Transmit(probe) => {
                let (id, message) = (probe.probe, probe.message.to_vec());
                let index = tracer.index(id).unwrap();
                indices.push((id.hop, index));
                let at = now + u64::from(id.hop.min(hops)) * STEP;
                due.push((at, id.hop, index, message));
            }
            Action::Wait(until) => {
                let until = until.as_nanos().div_ceil(1_000_000);
                let next = due.first().map_or(until, |(at, ..)| (*at).min(until));
                now = next.max(now + 1);
            }
            Action::Done => return (tracer, indices),
        }
    }
}

/// Whether a hop has answers, and whether all of these are proven.
fn heard<const N: usize>(tracer: &Tracer<N, Udp>, hop: u8) -> Option<bool> {
    let route = tracer.route();
    let hop = route.hops().find(|it| it.number() == hop)?;
    let replies: Vec<_> = hop
        .outcomes()
        .filter_map(|outcome| match outcome {
            Outcome::Answered(reply) => Some(reply.is_proven()),
            _ => None,
        })
        .collect();
    (!replies.is_empty()).then(|| replies.iter().all(|is_proven| *is_proven))
}

#[test]
fn hops_that_are_silent_on_the_flow_are_asked_by_detours_once_an_answer_named_no_probe() {
    for family in BOTH {
        let (tracer, indices) = play(with_detours(), family, &[2, 5], 8);
        assert_eq!(tracer.route().stop_reason(), Some(StopReason::Reached));
        for hop in 1..=8 {
            assert_eq!(heard(&tracer, hop), Some(hop != 2 && hop != 5), "hop {hop}");
        }
        assert!(tracer.has_unattributed());
        assert_eq!(indices.iter().filter(|it| **it & APART != 0).count(), 2);

        // Where the sender knows no detours, or nothing came that names no probe, all is one flow.
        for (udp, short) in [(udp(UdpPayload::Plain), &[2, 5][..]), (with_detours(), &[])] {
            let (tracer, indices) = play(udp, family, short, 8);
            assert!(indices.iter().all(|index| index & APART == 0));
            assert_eq!(tracer.has_unattributed(), !short.is_empty());
            assert_eq!(heard(&tracer, 2), short.is_empty().then_some(true));
        }
    }
}

#[test]
fn few_detours_go_past_a_target_whose_answers_name_no_probe() {
    for family in BOTH {
        for hops in [1, 4, 9] {
            let short: Vec<u8> = (1..=hops).collect();
            let (tracer, indices) = play(with_detours(), family, &short, hops);
            let route = tracer.route();
            assert_eq!(route.distance(), None);
            assert_eq!(heard(&tracer, hops), Some(false), "{hops} hops");
            assert_eq!(heard(&tracer, hops + 4), None, "{hops} hops");
            let detours = indices.iter().filter(|index| *index & APART != 0).count();
            assert!(detours <= usize::from(hops) + 3, "{hops} hops: {detours}");
        }
    }
}

#[test]
fn silent_hops_behind_the_last_router_are_asked_by_one_detour_and_others_as_often_as_is_permitted()
{
    for family in BOTH {
        let silent: Vec<u8> = [3].into_iter().chain(5..=12).collect();
        let (tracer, sent) = play_silent(with_detours(), family, &[2], &silent, 12);
        assert_eq!(tracer.route().stop_reason(), Some(StopReason::Quiet));
        let detours = |hop| {
            let of_hop = sent.iter().filter(|(to, _)| *to == hop);
            of_hop.filter(|(_, index)| index & APART != 0).count()
        };
        let counts: Vec<usize> = (1..=20).map(detours).collect();
        // Hop 2 has answered its first, hop 3 gets both retries, and four hops behind hop 4 one.
        let mut expected = vec![0, 1, 2, 0, 1, 1, 1, 1];
        expected.resize(20, 0);
        assert_eq!(counts, expected);
    }
}
