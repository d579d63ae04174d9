//! Whole traces by TCP and UDP, answered by hand.

use crate::network::{BOTH, ends, ms, router};
use crate::{quoting, tcp, udp};
use hopshot_core::wire::icmp::Type;
use hopshot_core::wire::{AddressFamily, Ends};
use hopshot_core::{
    Action, Arrival, Config, Evidence, Instant, Kind, Protocol, StopReason, Sweep, Tcp, Tracer,
    Udp, UdpPayload,
};

fn config(family: AddressFamily) -> Config {
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
    let mut tracer = Tracer::<64, P>::new(config(family), protocol).unwrap();
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
                let from = router(family, hop);
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
                due.push((
                    now + u64::from(hop),
                    probe.hop_limit,
                    probe.message.to_vec(),
                ));
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
fn segment(syn: &[u8], flags: u8) -> Vec<u8> {
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
                let accept = |tracer: &mut Tracer<64, Tcp>, at, message: &[u8]| {
                    let answer = Tcp::answer(from_target(family), Some(60), message).unwrap();
                    tracer.accept(at, &answer).map(drop).unwrap();
                };
                let syn_ack = |syn: &[u8]| segment(syn, flags);
                let (tracer, past) = play(family, tcp(), routers, syn_ack, accept);
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
