//! Whole traces by TCP and UDP, answered by hand.

use crate::network::{BOTH, ends, ms, router};
use crate::{quoting, tcp, udp};
use hopshot_core::wire::icmp::Type;
use hopshot_core::wire::{AddressFamily, Ends};
use hopshot_core::{
    APART, Action, Arrival, Config, Evidence, Instant, Kind, Protocol, Reply, StopReason, Sweep,
    Tcp, Tracer, Udp, UdpPayload,
};
use std::collections::HashSet;

pub(crate) fn config(family: AddressFamily) -> Config {
    let Ends {
        source,
        destination,
    } = ends(family);
    Config {
        source,
        max_hops: 8,
        sweep: Some(Sweep::Window { first: 3, step: 3 }),
        ..Config::new(destination)
    }
}

/// Plays a trace to a target behind so many routers, 1 ms a hop, that answers a probe with
/// `reply`. Returns the tracer and how many probes went past the target.
fn play<P: Protocol + Copy>(
    family: AddressFamily,
    protocol: P,
    routers: u8,
    reply: impl Fn(&[u8]) -> Vec<u8>,
    accept: impl Fn(&mut Tracer<64, P>, Instant, &[u8]),
) -> (Tracer<64, P>, usize) {
    play_through(&config(family), protocol, routers, reply, accept, |_, _| {
        true
    })
}

/// The same where not every probe passes: of each it is said how far it goes.
pub(crate) fn play_through<P: Protocol + Copy>(
    config: &Config,
    protocol: P,
    routers: u8,
    reply: impl Fn(&[u8]) -> Vec<u8>,
    accept: impl Fn(&mut Tracer<64, P>, Instant, &[u8]),
    passes: impl FnMut(u8, &[u8]) -> bool,
) -> (Tracer<64, P>, usize) {
    let tracer = Tracer::<64, P>::new(*config, protocol).unwrap();
    play_on(tracer, routers, reply, accept, passes)
}

/// The same with a tracer that has not sent anything yet.
pub(crate) fn play_on<P: Protocol + Copy>(
    mut tracer: Tracer<64, P>,
    routers: u8,
    reply: impl Fn(&[u8]) -> Vec<u8>,
    accept: impl Fn(&mut Tracer<64, P>, Instant, &[u8]),
    mut passes: impl FnMut(u8, &[u8]) -> bool,
) -> (Tracer<64, P>, usize) {
    let (config, protocol) = (*tracer.config(), *tracer.protocol());
    let (mut buf, mut now, mut past) = ([0; 1500], 0, 0);
    let mut due: Vec<(u64, u8, Vec<u8>)> = Vec::new();
    loop {
        due.sort_by_key(|(at, ..)| *at);
        while due.first().is_some_and(|(at, ..)| *at <= now) {
            let (at, hop, probe) = due.remove(0);
            let at = Instant::from_millis(at);
            if hop > routers {
                accept(&mut tracer, at, &reply(&probe));
            } else {
                let from = router(AddressFamily::of(config.target), hop);
                let error = quoting(&protocol, from, (Type::TimeExceeded, 0), &probe, 8);
                let hop_limit = None;
                let arrival = Arrival {
                    at,
                    from,
                    hop_limit,
                };
                tracer.handle(arrival, &error).unwrap();
            }
        }
        match tracer.poll(Instant::from_millis(now), &mut buf).unwrap() {
            Action::Transmit(probe) => {
                past += usize::from(probe.hop_limit > routers + 1);
                let hop = probe.hop_limit.min(routers + 1);
                if passes(hop, probe.message) {
                    due.push((
                        now + u64::from(hop),
                        probe.hop_limit,
                        probe.message.to_vec(),
                    ));
                }
            }
            Action::Wait(until) => {
                let until = until.as_nanos().div_ceil(1_000_000);
                now = due
                    .first()
                    .map_or(until, |(at, ..)| (*at).min(until))
                    .max(now + 1);
            }
            Action::Done => return (tracer, past),
        }
    }
}

/// A segment from the target that acknowledges a SYN.
pub(crate) fn segment(syn: &[u8], flags: u8) -> Vec<u8> {
    let seq = u32::from_be_bytes(syn[4..8].try_into().unwrap());
    let ack = seq.wrapping_add(1).to_be_bytes();
    let rest = [0x50, flags, 0xff, 0xff, 0, 0, 0, 0];
    [&syn[2..4], &syn[..2], &[7; 4], &ack, &rest].concat()
}

fn from_target(family: AddressFamily) -> Ends {
    Ends {
        source: ends(family).destination,
        destination: family.unspecified(),
    }
}

#[test]
fn a_trace_by_syns_ends_at_an_open_and_at_a_closed_port_and_few_go_past() {
    for family in BOTH {
        for flags in [0x12, 0x14] {
            for routers in 0..7 {
                let syn_ack = |syn: &[u8]| segment(syn, flags);
                let (tracer, past) = play(family, tcp(), routers, syn_ack, accept_segment);
                let route = tracer.route();
                assert_eq!(route.stop_reason(), Some(StopReason::Reached));
                assert_eq!(route.distance(), Some(routers + 1));
                assert!(past <= 3, "{past} past the end");
                let target = route.hops().last().unwrap();
                let reply = target.replies().next().unwrap();
                assert_eq!((reply.kind, reply.icmp_code), (Kind::Reply, flags));
                assert_eq!(reply.evidence(), Evidence::Strong);
                assert_eq!(reply.rtt, ms(u64::from(routers) + 1));
            }
        }
    }
}

#[test]
fn a_trace_by_datagrams_ends_where_nobody_listens_and_where_somebody_does() {
    for (family, code) in BOTH.into_iter().zip([3, 4]) {
        for is_open in [false, true] {
            let probes = udp(UdpPayload::Plain);
            let target = ends(family).destination;
            let reply = |datagram: &[u8]| match is_open {
                true => [
                    &datagram[2..4],
                    &datagram[..2],
                    &[0, 32, 0, 0],
                    &datagram[8..],
                ]
                .concat(),
                false => quoting(&probes, target, (Type::Unreachable, code), datagram, 8),
            };
            let accept = |tracer: &mut Tracer<64, Udp>, at, message: &[u8]| {
                let (from, hop_limit) = (target, None);
                let accepted = match is_open {
                    true => {
                        let answer = Udp::answer(from_target(family), None, message).unwrap();
                        tracer.accept(at, &answer).map(drop)
                    }
                    false => {
                        let arrival = Arrival {
                            at,
                            from,
                            hop_limit,
                        };
                        tracer.handle(arrival, message).map(drop)
                    }
                };
                accepted.unwrap();
            };
            let (tracer, past) = play(family, probes, 4, reply, accept);
            let route = tracer.route();
            assert_eq!(route.stop_reason(), Some(StopReason::Reached), "{is_open}");
            assert_eq!((route.distance(), past <= 3), (Some(5), true));
            let replies: Vec<_> = route.hops().last().unwrap().replies().collect();
            assert!(replies.iter().all(|reply| reply.kind == Kind::Reply));
            assert!(
                replies
                    .iter()
                    .all(|reply| (reply.icmp_type == 0) == is_open)
            );
        }
    }
}

#[test]
fn a_target_that_answered_a_farther_syn_first_is_found_where_it_is() {
    for family in BOTH {
        for attempts in [1, 3] {
            // The target is at hop 5. It answers the first SYN of a flow alone, and the first that
            // gets there went to hop 6: the one to hop 5 was lost.
            let mut seen = HashSet::new();
            let mut is_lost = false;
            let mut passes = |hop_limit: u8, syn: &[u8]| match hop_limit {
                ..5 => true,
                5 if !is_lost => {
                    is_lost = true;
                    false
                }
                _ => seen.insert(syn[..4].to_vec()),
            };
            let config = Config {
                attempts,
                ..config(family)
            };
            let mut last = 0;
            let passes = |hop: u8, syn: &[u8]| {
                // Past the target `hop` is that of the target.
                last = last.max(hop);
                passes(hop, syn)
            };
            let syn_ack = |syn: &[u8]| segment(syn, 0x12);
            let (tracer, _) = play_through(&config, tcp(), 4, syn_ack, accept_segment, passes);
            assert_eq!(tracer.route().distance(), Some(5), "{attempts} attempts");
        }
    }
}

pub(crate) fn accept_segment<const N: usize>(
    tracer: &mut Tracer<N, Tcp>,
    at: Instant,
    message: &[u8],
) {
    let family = AddressFamily::of(tracer.config().target);
    let answer = Tcp::answer(from_target(family), Some(60), message).unwrap();
    tracer.accept(at, &answer).map(drop).unwrap();
}

/// How many probes were answered at each hop of a route, and whether all of them left on its flow.
fn answered(tracer: &Tracer<64, Tcp>) -> Vec<(usize, bool)> {
    let is_apart = |reply: &Reply| tracer.index(reply.probe).unwrap() & APART != 0;
    let hops = tracer.route();
    let hops = hops.hops().map(|hop| {
        let replies: Vec<_> = hop.replies().collect();
        (replies.len(), !replies.iter().any(is_apart))
    });
    hops.collect()
}

#[test]
fn behind_a_firewall_that_passes_one_syn_of_a_flow_every_hop_answers_on_a_flow_of_its_own() {
    for family in BOTH {
        for attempts in [1, 3] {
            let mut seen = HashSet::new();
            // Behind the second router.
            let passes = |hop: u8, syn: &[u8]| hop <= 2 || seen.insert(syn[..4].to_vec());
            let config = Config {
                attempts,
                sweep: Some(Sweep::Window { first: 6, step: 3 }),
                ..config(family)
            };
            let syn_ack = |syn: &[u8]| segment(syn, 0x12);
            let (tracer, past) = play_through(&config, tcp(), 5, syn_ack, accept_segment, passes);
            let route = tracer.route();
            assert_eq!(route.stop_reason(), Some(StopReason::Reached));
            assert!(past <= 2, "{past} past the end");
            assert_eq!(route.distance(), Some(6));
            let answered = answered(&tracer);
            assert_eq!(answered[..2], [(usize::from(attempts), true); 2]);
            // The third hop had the flow's own; the routers behind it are not asked more than they
            // have to.
            assert_eq!(answered[2], (1, true));
            assert_eq!(answered[3..5], [(1, false); 2]);
            assert_eq!(answered[5], (attempts.into(), false));
        }
    }
}

#[test]
fn what_is_lost_before_a_hop_that_answers_is_asked_again_on_the_same_flow() {
    for family in BOTH {
        for lost in 1..5 {
            let mut seen = HashSet::new();
            let passes = |hop: u8, _: &[u8]| hop != lost || !seen.insert(hop);
            let syn_ack = |syn: &[u8]| segment(syn, 0x12);
            let (tracer, _) =
                play_through(&config(family), tcp(), 4, syn_ack, accept_segment, passes);
            assert_eq!(tracer.route().distance(), Some(5));
            assert_eq!(answered(&tracer)[..4], [(1, true); 4], "{lost}");
        }
    }
}

#[test]
fn a_target_whose_syn_ack_is_lost_is_asked_again_from_another_port() {
    for family in BOTH {
        // The target answers no other SYN of the flow.
        let passes = |hop: u8, syn: &[u8]| hop < 5 || syn[..2] != tcp().source_port.to_be_bytes();
        let config = Config {
            sweep: Some(Sweep::Window { first: 5, step: 3 }),
            ..config(family)
        };
        let syn_ack = |syn: &[u8]| segment(syn, 0x12);
        let (tracer, past) = play_through(&config, tcp(), 4, syn_ack, accept_segment, passes);
        assert_eq!(tracer.route().distance(), Some(5));
        assert!(past <= 2, "{past} past the end");
        assert_eq!(answered(&tracer)[4], (1, false));
    }
}

#[test]
fn a_hop_where_the_target_is_expected_is_probed_also_when_all_is_silent() {
    for family in BOTH {
        // Two routers answer, and the target behind six that don't.
        let config = Config {
            max_hops: 30,
            ..config(family)
        };
        let mut tracer = Tracer::<64, Tcp>::new(config, tcp()).unwrap();
        let (mut buf, mut now, mut due) = ([0; 64], Instant::EPOCH, Vec::new());
        loop {
            match tracer.poll(now, &mut buf).unwrap() {
                Action::Transmit(probe) if !(3..=7).contains(&probe.hop_limit) => {
                    due.push((probe.hop_limit, probe.message.to_vec()));
                }
                Action::Transmit(_) => {}
                Action::Wait(until) => {
                    for (hop, probe) in due.drain(..) {
                        if hop < 8 {
                            let from = router(family, hop);
                            let error = quoting(&tcp(), from, (Type::TimeExceeded, 0), &probe, 8);
                            let arrival = Arrival {
                                at: now,
                                from,
                                hop_limit: None,
                            };
                            tracer.handle(arrival, &error).unwrap();
                        } else {
                            accept_segment(&mut tracer, now, &segment(&probe, 0x12));
                        }
                    }
                    if tracer.is_quiet() {
                        tracer.expect(8, true);
                    }
                    now = until;
                }
                Action::Done => break,
            }
        }
        assert_eq!(tracer.route().distance(), Some(8));
    }
}

#[test]
fn further_answers_of_the_target_are_to_syns_from_other_ports() {
    for family in BOTH {
        // As a firewall that tracks connections and the target do: one SYN of a flow.
        let mut seen = HashSet::new();
        let passes = |hop: u8, syn: &[u8]| hop <= 4 || seen.insert(syn[..4].to_vec());
        let config = Config {
            attempts: 3,
            sweep: Some(Sweep::Window { first: 5, step: 3 }),
            ..config(family)
        };
        let syn_ack = |syn: &[u8]| segment(syn, 0x12);
        let (tracer, past) = play_through(&config, tcp(), 4, syn_ack, accept_segment, passes);
        let route = tracer.route();
        assert_eq!((route.distance(), past), (Some(5), 0));
        let target = route.hops().last().unwrap();
        assert_eq!((target.replies().count(), target.loss().lost), (3, 0));
        let is_apart = |reply: &Reply| tracer.index(reply.probe).unwrap() & APART != 0;
        let apart: Vec<bool> = target.replies().map(|reply| is_apart(&reply)).collect();
        assert_eq!(apart, [false, true, true]);
    }
}
