//! What the views of a route say while a trace runs.

use crate::network::{BOTH, Trace, config, echo_reply, ends, error, ms, quote, router, stranger};
use hopshot_core::wire::AddressFamily;
use hopshot_core::wire::icmp::Type;
use hopshot_core::{
    Arrival, Config, Discard, Instant, Loss, Outcome, ProbeId, Reply, SendError, StopReason, Sweep,
};
use std::time::Duration;

/// Four hops at once.
fn four(family: AddressFamily) -> Config {
    Config {
        sweep: Some(Sweep::Window { first: 4, step: 1 }),
        ..config(family)
    }
}

/// The hops that are settled.
fn settled(trace: &Trace) -> Vec<u8> {
    trace
        .tracer
        .route()
        .hops()
        .filter(hopshot_core::Hop::is_settled)
        .map(|hop| hop.number())
        .collect()
}

/// A Time Exceeded that quotes another checksum: weak.
fn weak(trace: &mut Trace, millis: u64, index: usize) -> Result<Reply, Discard> {
    let (family, from) = (trace.family, stranger(trace.family));
    let mut probe = trace.probes[index][..8].to_vec();
    probe[2] ^= 0x2a;
    let message = error(from, Type::TimeExceeded, 0, 0, &quote(family, &probe));
    trace
        .handle(millis, from, &message)
        .map(|heard| heard.reply)
}

#[test]
fn a_hop_is_settled_when_it_has_its_answers_or_they_were_given_up() {
    for family in BOTH {
        let mut trace = Trace::with(four(family));
        assert_eq!(settled(&trace), []);
        trace.time_exceeded(80, 1).unwrap();
        trace.time_exceeded(80, 3).unwrap();
        assert_eq!(settled(&trace), [1, 3]);
        for at in [80, 92, 97, 239] {
            trace.send(at);
            assert_eq!(
                settled(&trace),
                [1, 3],
                "hop 2 is waited for, and asked again"
            );
        }
        trace.send(240);
        assert_eq!(settled(&trace), [1, 2, 3]);
        let end = trace.run_out(240);
        assert_eq!(
            settled(&trace),
            [1, 2, 3, 4],
            "at the end everything is: {end:?}"
        );
    }
}

#[test]
fn a_hop_is_not_settled_while_true_answers_are_on_their_way_whatever_was_guessed_before() {
    for family in BOTH {
        for attempts in [1, 3] {
            let mut trace = Trace::with(Config {
                attempts,
                max_hops: 3,
                ..config(family)
            });
            let of_hop = |trace: &Trace, hop| {
                (0..trace.hops.len())
                    .filter(|index| trace.hops[*index] == hop)
                    .collect()
            };
            let [first, second]: [Vec<usize>; 2] = [1, 2].map(|hop| of_hop(&trace, hop));
            let answer = |trace: &mut Trace, at, index: usize, from| {
                let quoted = quote(family, &trace.probes[index]);
                trace
                    .handle(at, from, &error(from, Type::TimeExceeded, 0, 0, &quoted))
                    .unwrap();
            };
            for index in of_hop(&trace, 3) as Vec<usize> {
                let target = ends(family).destination;
                let message = echo_reply(target, &trace.probes[index]);
                trace.handle(12, target, &message).unwrap();
            }
            // Of hop 1 the first true answer has come, of hop 2 none.
            answer(&mut trace, 10, first[0], router(family, 1));
            for index in first[1..].iter().chain(&second) {
                weak(&mut trace, 13, *index).unwrap();
            }
            trace.send(14);
            assert_eq!(
                settled(&trace),
                if attempts == 1 { vec![1, 3] } else { vec![3] }
            );
            first[1..]
                .iter()
                .for_each(|index| answer(&mut trace, 15, *index, router(family, 1)));
            assert_eq!(settled(&trace), [1, 3]);
            second
                .iter()
                .for_each(|index| answer(&mut trace, 16, *index, router(family, 2)));
            assert_eq!(settled(&trace), [1, 2, 3]);
        }
    }
}

#[test]
fn a_hop_that_is_to_be_asked_again_isnt_settled_though_nothing_is_in_flight() {
    for family in BOTH {
        let fail = |trace: &mut Trace, attempt| {
            trace.tracer.fail(ProbeId { hop: 2, attempt }, SendError(1));
        };
        let mut trace = Trace::with(four(family));
        fail(&mut trace, 1);
        trace.time_exceeded(80, 1).unwrap();
        trace.time_exceeded(80, 3).unwrap();
        for (at, attempt) in [(80, 1), (92, 2), (97, 3)] {
            trace.send(at);
            assert_eq!(settled(&trace), [1, 3], "{at} ms");
            fail(&mut trace, attempt);
        }
        assert_eq!(settled(&trace), [1, 2, 3]);
    }
}

#[test]
fn a_hop_that_gets_more_attempts_when_all_is_quiet_isnt_settled_before() {
    for family in BOTH {
        let mut trace = Trace::with(Config {
            attempts: 5,
            ..four(family)
        });
        trace.play_until(170, u8::MAX, |_, hop| hop <= 2);
        // Hop 2 has three answers to three probes, and two are missing.
        assert_eq!(settled(&trace), []);
    }
}

#[test]
fn a_hop_behind_the_last_router_isnt_settled_before_the_end() {
    for family in BOTH {
        let mut trace = Trace::with(Config {
            retries: 0,
            ..four(family)
        });
        trace
            .tracer
            .fail(ProbeId { hop: 4, attempt: 1 }, SendError(1));
        trace
            .tracer
            .fail(ProbeId { hop: 2, attempt: 1 }, SendError(1));
        trace.time_exceeded(80, 1).unwrap();
        assert_eq!(settled(&trace), [1]);
        trace.time_exceeded(80, 3).unwrap();
        assert_eq!(
            settled(&trace),
            [1, 2, 3],
            "what can't be sent is settled where the path leads"
        );
    }
}

#[test]
fn a_weak_answer_settles_a_hop_only_at_the_end() {
    for family in BOTH {
        let mut trace = Trace::with(four(family));
        weak(&mut trace, 80, 1).unwrap();
        trace.time_exceeded(80, 1).unwrap();
        trace.time_exceeded(80, 3).unwrap();
        trace.send(80);
        assert_eq!(settled(&trace), [1, 3]);
        trace.time_exceeded(85, 2).unwrap();
        assert_eq!(settled(&trace), [1, 2, 3]);
        let mut trace = Trace::with(four(family));
        weak(&mut trace, 80, 1).unwrap();
        trace.run_out(80);
        assert!(settled(&trace).contains(&2));
    }
}

#[test]
fn the_target_is_settled_when_it_has_answered_often_enough_past_it_too() {
    for family in BOTH {
        for (attempts, settled_by) in [(1, 1), (2, 2), (3, 3)] {
            let mut trace = Trace::with(Config {
                attempts,
                retries: 0,
                ..four(family)
            });
            let at_2 = trace.hops.iter().position(|hop| *hop == 2).unwrap();
            for answered in 1..=3 {
                trace
                    .answer(Instant::from_millis(80), at_2 + answered - 1, true)
                    .unwrap();
                let is_settled = settled(&trace).contains(&2);
                assert_eq!(
                    is_settled,
                    answered >= settled_by,
                    "{answered} of {attempts}"
                );
            }
            let target = trace.tracer.route().hops().nth(1).unwrap();
            let mut probes: Vec<ProbeId> = target.replies().map(|reply| reply.probe).collect();
            assert_eq!(probes.len(), usize::from(attempts));
            probes.dedup();
            assert_eq!(
                probes.len(),
                usize::from(attempts),
                "each answer stands there once"
            );
        }
    }
}

#[test]
fn what_is_on_its_way_to_a_hop_that_has_its_answers_is_left_out() {
    for family in BOTH {
        let mut trace = Trace::with(four(family));
        trace.time_exceeded(80, 1).unwrap();
        trace.time_exceeded(80, 3).unwrap();
        trace.send(92);
        let outcomes = |trace: &Trace| {
            trace
                .tracer
                .route()
                .hops()
                .nth(1)
                .unwrap()
                .outcomes()
                .collect::<Vec<_>>()
        };
        assert_eq!(outcomes(&trace), [Outcome::InFlight, Outcome::InFlight]);
        // The first answer was only late.
        let reply = trace.time_exceeded(95, 2).unwrap();
        assert_eq!(outcomes(&trace), [Outcome::Answered(reply)]);
    }
}

#[test]
fn a_route_has_no_hops_that_were_never_probed() {
    for family in BOTH {
        let mut trace = Trace::with(Config {
            max_hops: 8,
            first_hop: 2,
            ..four(family)
        });
        trace.time_exceeded(10, 1).unwrap();
        let hops: Vec<u8> = trace
            .tracer
            .route()
            .hops()
            .map(|hop| hop.number())
            .collect();
        assert_eq!(hops, [2, 3, 4]);
    }
}

#[test]
fn a_router_may_be_limited_that_answered_and_then_lost_two() {
    for family in BOTH {
        let limited = |answered: usize, timeout: u64| {
            let config = Config {
                attempts: 3,
                retries: 0,
                timeout: ms(timeout),
                ..config(family)
            };
            let mut trace = Trace::with(config);
            let mut left = answered;
            for index in 0..trace.hops.len() {
                let hop = trace.hops[index];
                if hop == 2 && left == 0 {
                    continue;
                }
                left -= usize::from(hop == 2);
                trace
                    .answer(Instant::from_millis(80), index, hop == 4)
                    .unwrap();
            }
            trace.run_out(80);
            trace
                .tracer
                .route()
                .hops()
                .filter(hopshot_core::Hop::may_be_rate_limited)
                .map(|hop| hop.number())
                .collect()
        };
        let none: [u8; 0] = [];
        let at: [Vec<u8>; 4] = [0, 1, 2, 3].map(|answered| limited(answered, 2000));
        assert_eq!(at, [&none[..], &[2], &none, &none]);
        // A timeout that doesn't tell late from lost: an answer is overdue after 92 ms.
        assert_eq!(
            [91, 92].map(|timeout| limited(1, timeout)),
            [vec![], vec![2]]
        );
    }
}

#[test]
fn what_cant_be_sent_isnt_waited_for() {
    for family in BOTH {
        let mut trace = Trace::with(Config {
            retries: 0,
            ..four(family)
        });
        trace
            .tracer
            .fail(ProbeId { hop: 2, attempt: 1 }, SendError(1));
        trace.time_exceeded(80, 1).unwrap();
        trace.time_exceeded(80, 3).unwrap();
        trace.echo_reply(80, 4).unwrap();
        assert_eq!(trace.send(80), None);
        assert_eq!(trace.tracer.route().probes_sent(), 3);
    }
}

#[test]
fn a_trace_that_began_farther_out_goes_on_with_the_nearer_hops() {
    for family in BOTH {
        let mut trace = Trace::with(Config {
            first_hop: 3,
            ..four(family)
        });
        assert_eq!(trace.hops, [3, 4]);
        assert!(trace.tracer.start_from(4).is_err() && trace.tracer.start_from(0).is_err());
        assert_eq!(trace.tracer.start_from(3), Ok(()));
        trace.answer(Instant::from_millis(80), 1, true).unwrap();
        trace.answer(Instant::from_millis(80), 0, false).unwrap();
        assert_eq!((trace.send(80), trace.hops.len()), (None, 2));
        assert_eq!(
            trace.tracer.route().stop_reason(),
            Some(StopReason::Reached)
        );
        trace.tracer.start_from(1).unwrap();
        assert_eq!(trace.tracer.route().stop_reason(), None);
        assert!(trace.send(81).is_some());
        assert_eq!(trace.hops, [3, 4, 1, 2]);
        assert_eq!(trace.tracer.config().first_hop, 1);
    }
}

#[test]
fn a_loop_ends_the_trace_and_is_told() {
    for family in BOTH {
        let mut trace = Trace::with(Config {
            max_hops: 8,
            retries: 0,
            ..config(family)
        });
        for hop in 1..=8_u8 {
            let from = router(family, if hop <= 4 { hop } else { 3 + (hop - 3) % 2 });
            let message = error(from, Type::TimeExceeded, 0, 0, &trace.quote(hop));
            trace.handle(10, from, &message).unwrap();
        }
        trace.run_out(10);
        assert_eq!(trace.tracer.route().stop_reason(), Some(StopReason::Loop));
        assert_eq!((trace.distance(), trace.route().len()), (None, 7));
    }
}

#[test]
fn time_exceeded_in_our_own_name_is_a_hop() {
    for family in BOTH {
        let us = ends(family).source;
        let mut trace = Trace::new(family);
        let message = error(us, Type::TimeExceeded, 0, 0, &trace.quote(1));
        let reply = trace.handle(10, us, &message).unwrap().reply;
        assert_eq!(trace.route()[0], Some(reply.from));
    }
}

#[test]
fn two_routers_that_share_hop_after_hop_are_no_loop() {
    for family in BOTH {
        let mut trace = Trace::with(Config {
            max_hops: 6,
            attempts: 2,
            retries: 0,
            ..config(family)
        });
        // At hops 3 to 5 both answer: neither has another one between two of its hops more than
        // once.
        for index in 0..trace.hops.len() {
            let (hop, first) = (trace.hops[index], index < 6);
            let from = router(
                family,
                if (3..=5).contains(&hop) {
                    3 + u8::from(first)
                } else {
                    hop
                },
            );
            let message = error(
                from,
                Type::TimeExceeded,
                0,
                0,
                &quote(family, &trace.probes[index]),
            );
            trace.handle(10, from, &message).unwrap();
        }
        assert_eq!(trace.route().len(), 6);
        trace.run_out(10);
        assert_eq!(
            trace.tracer.route().stop_reason(),
            Some(StopReason::MaxHops)
        );
    }
}

#[test]
fn an_answer_that_is_beyond_doubt_isnt_waited_for_again() {
    for family in BOTH {
        let mut trace = Trace::with(Config {
            attempts: 2,
            ..config(family)
        });
        // The second probe to hop 1 can't be sent; all the others are answered.
        trace
            .tracer
            .fail(ProbeId { hop: 1, attempt: 2 }, SendError(1));
        for index in [0, 1, 2, 3, 5, 6, 7] {
            let hop = trace.hops[index];
            trace
                .answer(Instant::from_millis(80), index, hop == 4)
                .unwrap();
        }
        assert_eq!(trace.send(80), None);
    }
}

#[test]
fn what_the_target_has_answered_says_nothing_of_the_hops_before_it() {
    for family in BOTH {
        let mut trace = Trace::with(Config {
            retries: 0,
            ..four(family)
        });
        trace.time_exceeded(80, 1).unwrap();
        trace.time_exceeded(80, 3).unwrap();
        trace.echo_reply(80, 4).unwrap();
        trace.send(80);
        assert_eq!(settled(&trace), [1, 3, 4]);
        let hop_2: Vec<Outcome> = trace
            .tracer
            .route()
            .hops()
            .nth(1)
            .unwrap()
            .outcomes()
            .collect();
        assert_eq!(hop_2, [Outcome::InFlight]);
    }
}

#[test]
fn what_is_on_its_way_to_the_target_is_left_out_once_probes_past_it_have_stood_in() {
    for family in BOTH {
        let mut trace = Trace::with(Config {
            attempts: 2,
            ..config(family)
        });
        let at = Instant::from_millis(80);
        let target = |trace: &Trace| {
            trace
                .tracer
                .route()
                .hops()
                .nth(1)
                .unwrap()
                .outcomes()
                .collect::<Vec<_>>()
        };
        let own = trace.answer(at, 1, true).unwrap();
        assert_eq!(target(&trace), [Outcome::Answered(own), Outcome::InFlight]);
        let past = trace.answer(at, 2, true).unwrap();
        assert_eq!(
            target(&trace),
            [Outcome::Answered(own), Outcome::Answered(past)]
        );
    }
}

#[test]
fn a_route_shows_each_answer_whole() {
    for family in BOTH {
        let target = ends(family).destination;
        let too_big = if family == AddressFamily::V4 {
            (Type::Unreachable, 4)
        } else {
            (Type::PacketTooBig, 0)
        };
        for (hop_limit, (icmp_type, code), mtu) in [
            (None, (Type::TimeExceeded, 0), 0),
            (Some(0), (Type::TimeExceeded, 0), 0),
            (Some(61), (Type::Unreachable, 13), 0),
            (Some(61), too_big, 0),
            (None, too_big, 51),
        ] {
            let mut trace = Trace::new(family);
            let from = router(family, 2);
            let message = error(from, icmp_type, code, mtu, &trace.quote(2));
            let arrival = Arrival {
                at: Instant::from_millis(10),
                from,
                hop_limit,
            };
            let reply = trace.tracer.handle(arrival, &message).unwrap().reply;
            assert_eq!(reply.mtu.is_some(), (icmp_type, code) == too_big);
            assert_eq!(
                (reply.hop_limit, reply.quoted_hop_limit),
                (hop_limit, Some(1))
            );
            assert_eq!(
                trace.tracer.route().hops().nth(1).unwrap().replies().next(),
                Some(reply)
            );
        }
        let mut trace = Trace::new(family);
        let reply = trace.echo_reply(10, 4).unwrap();
        assert_eq!(
            (reply.from, reply.mtu, reply.quoted_hop_limit),
            (target, None, None)
        );
        assert_eq!(
            trace.tracer.route().hops().nth(3).unwrap().replies().next(),
            Some(reply)
        );
    }
}

/// The least RTT at a hop, the one in the middle, and the loss.
fn figures(trace: &Trace, hop: u8) -> (Option<Duration>, Option<Duration>, Loss) {
    let mut hops = trace.tracer.route().hops();
    let hop = hops.find(|found| found.number() == hop).unwrap();
    (hop.best(), hop.median(), hop.loss())
}

#[test]
fn the_figures_of_a_hop_are_those_of_its_proven_answers() {
    for family in BOTH {
        let mut trace = Trace::with(Config {
            attempts: 4,
            retries: 0,
            ..config(family)
        });
        let micros = |micros| Some(Duration::from_micros(micros));
        let loss = |lost, sent| Loss { lost, sent };
        let probes: Vec<usize> = (0..trace.hops.len())
            .filter(|index| trace.hops[*index] == 2)
            .collect();
        assert_eq!(figures(&trace, 2), (None, None, loss(0, 4)));
        let medians = [9_000, 9_500, 10_000];
        for ((index, at), median) in probes.iter().zip([9, 10, 20]).zip(medians) {
            let at = Instant::from_millis(at);
            trace.answer(at, *index, false).unwrap();
            let expected = (micros(9_000), micros(median), loss(0, 4));
            assert_eq!(figures(&trace, 2), expected);
        }
        weak(&mut trace, 21, probes[3]).unwrap();
        let expected = (micros(9_000), micros(10_000), loss(1, 4));
        assert_eq!(figures(&trace, 2), expected);
        let failed = ProbeId { hop: 3, attempt: 1 };
        trace.tracer.fail(failed, SendError(1));
        assert_eq!(figures(&trace, 3), (None, None, loss(0, 3)));
        trace.run_out(22);
        assert_eq!(figures(&trace, 3), (None, None, loss(3, 3)));
    }
}

#[test]
fn the_median_of_equal_rtts_is_their_rtt_and_of_two_rounded_down() {
    for family in BOTH {
        let mut trace = Trace::with(Config {
            attempts: 4,
            ..config(family)
        });
        let probes = (0..trace.hops.len()).filter(|index| trace.hops[*index] == 1);
        let nanos = [7_000_001, 7_000_001, 9_000_000, 7_000_002];
        let expected = [7_000_001, 7_000_001, 7_000_001, 7_000_001];
        for ((index, at), median) in probes
            .collect::<Vec<_>>()
            .into_iter()
            .zip(nanos)
            .zip(expected)
        {
            trace.answer(Instant::from_nanos(at), index, false).unwrap();
            let median = Some(Duration::from_nanos(median));
            assert_eq!(figures(&trace, 1).1, median);
        }
    }
}

#[test]
fn a_hop_that_was_only_guessed_at_is_not_settled_though_it_is_not_asked_again() {
    for family in BOTH {
        let mut trace = Trace::with(Config {
            retries: 0,
            ..four(family)
        });
        trace.time_exceeded(80, 1).unwrap();
        trace.time_exceeded(80, 3).unwrap();
        assert_eq!(settled(&trace), [1, 3]);
        let second = (0..trace.hops.len()).find(|index| trace.hops[*index] == 2);
        weak(&mut trace, 81, second.unwrap()).unwrap();
        assert_eq!(settled(&trace), [1, 3]);
        trace.time_exceeded(82, 2).unwrap();
        assert_eq!(settled(&trace), [1, 2, 3]);
    }
}

#[test]
fn a_hop_is_passed_if_an_answer_proves_that_a_packet_got_there_and_was_not_refused() {
    for family in BOTH {
        let mut trace = Trace::with(four(family));
        let passed = |trace: &Trace| -> Vec<u8> {
            let hops = trace.tracer.route().hops();
            let passed = hops.filter(hopshot_core::Hop::is_passed);
            passed.map(|hop| hop.number()).collect()
        };
        assert_eq!(passed(&trace), []);
        let of = |trace: &Trace, hop| {
            let mut indexes = 0..trace.hops.len();
            indexes.find(|index| trace.hops[*index] == hop).unwrap()
        };
        let (second, third) = (of(&trace, 2), of(&trace, 3));
        weak(&mut trace, 80, second).unwrap();
        let refused = quote(family, &trace.probes[third]);
        let refused = error(router(family, 3), Type::Unreachable, 0, 0, &refused);
        trace.handle(80, router(family, 3), &refused).unwrap();
        assert_eq!(passed(&trace), []);
        trace.time_exceeded(81, 1).unwrap();
        assert_eq!(passed(&trace), [1]);
        trace.time_exceeded(82, 2).unwrap();
        assert_eq!(passed(&trace), [1, 2]);
    }
}

#[test]
fn a_route_shows_its_hops_and_their_outcomes_to_who_debugs() {
    for family in BOTH {
        let mut trace = Trace::with(four(family));
        trace.time_exceeded(80, 1).unwrap();
        let (from, route) = (router(family, 1), trace.tracer.route());
        let shown = format!("{route:?}");
        assert!(shown.starts_with("RouteView { stop_reason: None, tally: "));
        assert!(shown.contains("hops: [Hop { number: 1, outcomes: [Answered(Reply { "));
        assert!(shown.contains(&format!("from: {from}")), "{shown}");
        assert!(shown.contains("Hop { number: 2, outcomes: [InFlight"));
    }
}
