//! Traces by TCP where the target says nothing: few SYNs go where it may be.

use crate::network::{BOTH, ms, router};
use crate::traces::{accept_segment, config, play_on, play_through};
use crate::{quoting, tcp};
use hopshot_core::wire::AddressFamily;
use hopshot_core::wire::icmp::Type;
use hopshot_core::{Action, Arrival, Config, Instant, SendError, StopReason, Sweep, Tcp, Tracer};
use std::collections::HashSet;
use std::time::Duration;

/// Hops, and how many probes went there.
type Past = &'static [(u8, usize)];

const EXCEEDED: (Type, u8) = (Type::TimeExceeded, 0);

/// Nothing is known of the target.
const COLD: Sweep = Sweep::Window { first: 2, step: 3 };

pub(crate) fn asking(family: AddressFamily, attempts: u8, sweep: Sweep) -> Config {
    Config {
        max_hops: (64 / attempts).min(30),
        attempts,
        sweep: Some(sweep),
        ..config(family)
    }
}

/// Traces a silent target behind so many routers, to which the probes get that pass.
fn trace(config: &Config, routers: u8, mut passes: impl FnMut(u8) -> bool) -> Tracer<64, Tcp> {
    let passes = |hop: u8, _: &[u8]| hop <= routers && passes(hop);
    let nothing = |_: &[u8]| Vec::new();
    play_through(config, tcp(), routers, nothing, accept_segment, passes).0
}

/// The same where the target has answered another probe, and is thought to be at the hop behind.
fn trace_known(config: &Config, routers: u8) -> Tracer<64, Tcp> {
    let mut tracer = Tracer::new(*config, tcp()).unwrap();
    tracer.expect(routers + 1, true);
    let (nothing, passes) = (|_: &[u8]| Vec::new(), |hop: u8, _: &[u8]| hop <= routers);
    play_on(tracer, routers, nothing, accept_segment, passes).0
}

/// How many probes went to each hop that had any, and whether it has answered.
fn asked(tracer: &Tracer<64, Tcp>) -> Vec<(u8, usize, bool)> {
    let route = tracer.route();
    let hops = route.hops().map(|hop| {
        let has_answered = hop.replies().next().is_some();
        (hop.number(), hop.outcomes().count(), has_answered)
    });
    hops.collect()
}

/// The probes to hops behind so many.
fn past(tracer: &Tracer<64, Tcp>, hops: u8) -> Vec<(u8, usize)> {
    let asked = asked(tracer).into_iter();
    let past = asked.filter(|(hop, ..)| *hop > hops);
    past.map(|(hop, probes, _)| (hop, probes)).collect()
}

#[test]
fn a_silent_target_gets_two_syns_more_than_were_asked_for_wherever_it_is() {
    for family in BOTH {
        for routers in 1..9 {
            for (attempts, most) in [(1, [1, 1, 1]), (2, [2, 1, 1]), (3, [2, 1, 1])] {
                let config = asking(family, attempts, COLD);
                let tracer = trace(&config, routers, |_| true);
                let expected = (1..)
                    .zip(most)
                    .map(|(more, probes)| (routers + more, probes));
                let expected: Vec<(u8, usize)> = expected.collect();
                assert_eq!(past(&tracer, routers), expected, "{attempts} attempts");
                let asked = asked(&tracer).into_iter().take(routers.into());
                assert!({ asked }.all(|(_, probes, _)| probes == usize::from(attempts)));
                assert_eq!(tracer.route().stop_reason(), Some(StopReason::Quiet));
            }
        }
    }
}

#[test]
fn a_silent_target_that_was_expected_is_asked_again() {
    for family in BOTH {
        for (attempts, syns) in [(1, [2, 1]), (2, [3, 1]), (3, [4, 1])] {
            let first = 7;
            let config = asking(family, attempts, Sweep::Window { first, step: 3 });
            let tracer = trace(&config, 6, |_| true);
            assert_eq!(past(&tracer, 6), [(7, syns[0]), (8, syns[1])]);
            let config_without = Config {
                retries: 0,
                ..config
            };
            let tracer = trace(&config_without, 6, |_| true);
            assert_eq!(past(&tracer, 6)[0], (7, attempts.into()), "without retries");
            // Nobody else answers either.
            let tracer = trace(&config, 6, |_| false);
            assert_eq!(
                past(&tracer, 6),
                [(7, syns[0]), (8, syns[1])],
                "{attempts} dark"
            );
            assert_eq!(tracer.route().hops().count(), 8);
            // It is at the next hop now, and farther.
            let tracer = trace(&config, 7, |_| true);
            let expected = [(8, if attempts > 1 { 2 } else { 1 }), (9, 1), (10, 1)];
            assert_eq!(past(&tracer, 7), expected, "{attempts} attempts");
            let tracer = trace(&config, 8, |_| true);
            assert_eq!(
                past(&tracer, 9)
                    .iter()
                    .map(|(_, probes)| probes)
                    .sum::<usize>(),
                2
            );
        }
    }
}

#[test]
fn where_answers_get_lost_the_last_router_is_asked_again() {
    for family in BOTH {
        let cases = [
            (1, [4, 9]),
            (1, [2, 9]),
            (1, [7, 9]),
            (2, [9, 9]),
            (3, [9, 9]),
        ];
        for ((attempts, lost), interval) in
            cases.into_iter().flat_map(|case| [(case, 0), (case, 30)])
        {
            let mut seen = HashSet::new();
            let passes = |hop| !lost.contains(&hop) || !seen.insert(hop);
            let config = Config {
                interval: Duration::from_millis(interval),
                ..asking(family, attempts, COLD)
            };
            let tracer = trace(&config, 9, passes);
            let asked = asked(&tracer);
            let last = asked.iter().rfind(|(.., has_answered)| *has_answered);
            assert_eq!(last.map(|(hop, ..)| *hop), Some(9), "{attempts} {lost:?}");
        }
        // Without a sign of loss what is silent is so for good: the sweep looks farther.
        for silent in [0, 4] {
            let tracer = trace(&asking(family, 1, COLD), 11, |hop| {
                hop != silent && hop != 9 && hop != 10
            });
            assert_eq!(past(&tracer, 11), [(12, 1), (13, 1), (14, 1)], "{silent}");
        }
    }
}

#[test]
fn while_nobody_has_answered_a_few_probes_look_farther_out() {
    for family in BOTH {
        let nobody: [(u8, Past); 4] = [
            (1, &[(1, 1), (2, 1), (6, 1)]),
            (2, &[(1, 1), (2, 1), (6, 1), (12, 1)]),
            (3, &[(1, 2), (2, 1), (6, 1), (12, 1)]),
            (4, &[(1, 2), (2, 2), (6, 1), (12, 1)]),
        ];
        for (attempts, expected) in nobody {
            let config = asking(family, attempts, COLD);
            assert_eq!(past(&trace(&config, 0, |_| true), 0), expected);
            assert_eq!(past(&trace(&config, 20, |_| false), 0), expected);
            let config = Config {
                max_hops: 5,
                ..config
            };
            let near = past(&trace(&config, 20, |_| false), 0);
            assert!(near.iter().all(|(hop, _)| *hop <= 2), "{near:?}");
        }
        for (attempts, silent) in [(1, 5), (2, 11)] {
            let tracer = trace(&asking(family, attempts, COLD), 14, |hop| hop > silent);
            let answered = asked(&tracer)
                .into_iter()
                .filter(|(.., has_answered)| *has_answered);
            let hops: Vec<u8> = answered.map(|(hop, ..)| hop).collect();
            assert_eq!(hops, (silent + 1..=14).collect::<Vec<_>>());
            let past = past(&tracer, 14).into_iter().map(|(_, probes)| probes);
            assert_eq!(past.sum::<usize>(), usize::from(attempts) + 2);
        }
    }
}

#[test]
fn the_step_of_the_sweep_says_how_many_go_past_an_end() {
    for family in BOTH {
        // Never more than three hops at a time; and two more probes where five are allowed for, as
        // once the target has answered.
        let cases: [(u8, Past, Past); 5] = [
            (1, &[(7, 3)], &[(7, 2)]),
            (2, &[(7, 3)], &[(7, 2), (8, 1)]),
            (3, &[(7, 2), (8, 1)], &[(7, 1), (8, 1), (9, 1)]),
            (4, &[(7, 2), (8, 1), (9, 1)], &[(7, 2), (8, 1), (9, 1)]),
            (5, &[(7, 3), (8, 1), (9, 1)], &[(7, 2), (8, 1), (9, 1)]),
        ];
        for (step, known, cold) in cases {
            for (first, expected) in [(7, known), (2, cold)] {
                let config = asking(family, 1, Sweep::Window { first, step });
                assert_eq!(
                    past(&trace(&config, 6, |_| true), 6),
                    expected,
                    "{first}, {step}"
                );
            }
        }
        let known = trace_known(&asking(family, 1, COLD), 6);
        assert_eq!(past(&known, 6), [(7, 3), (8, 1), (9, 1)]);
        // A first sweep of three hops expects nothing at the third.
        let three = asking(family, 1, Sweep::Window { first: 3, step: 3 });
        assert_eq!(
            past(&trace(&three, 20, |_| false), 0),
            [(1, 1), (2, 1), (3, 1)]
        );
    }
}

#[test]
fn a_router_that_answers_late_gets_its_attempts_though_none_goes_past_it_any_more() {
    for family in BOTH {
        let known = Sweep::Window { first: 6, step: 3 };
        let mut tracer = Tracer::<64, _>::new(asking(family, 2, known), tcp()).unwrap();
        let (mut now, mut buf, mut sent) = (Instant::EPOCH, [0; 64], [0; 31]);
        let mut late = None;
        loop {
            match tracer.poll(now, &mut buf).unwrap() {
                Action::Transmit(probe) => {
                    let hop = probe.hop_limit;
                    sent[usize::from(hop)] += 1;
                    let error = quoting(&tcp(), router(family, hop), EXCEEDED, probe.message, 8);
                    match hop {
                        1..=3 => expect_accepted(&mut tracer, now, hop, &error),
                        5 if sent[5] == 1 => late = Some(error),
                        _ => {}
                    }
                }
                Action::Wait(until) => now = until,
                Action::Done => break,
            }
            // Two attempts, and two more.
            if sent[6..].iter().sum::<u32>() == 4
                && let Some(error) = late.take()
            {
                expect_accepted(&mut tracer, now, 5, &error);
            }
        }
        assert_eq!((sent[5], sent[6..].iter().sum()), (2, 4));
    }
}

#[test]
fn a_probe_that_fails_when_it_is_quiet_is_made_up_for_when_its_answer_would_be_overdue() {
    for family in BOTH {
        let mut tracer = Tracer::<64, _>::new(asking(family, 1, COLD), tcp()).unwrap();
        let (mut now, mut buf, mut sent) = (Instant::EPOCH, [0; 64], Vec::new());
        loop {
            match tracer.poll(now, &mut buf).unwrap() {
                Action::Transmit(probe) if probe.hop_limit <= 2 => {
                    let hop = probe.hop_limit;
                    let error = quoting(&tcp(), router(family, hop), EXCEEDED, probe.message, 8);
                    expect_accepted(&mut tracer, now.saturating_add(ms(16)), hop, &error);
                }
                Action::Transmit(probe) if probe.hop_limit == 8 => {
                    sent.push(now);
                    if sent.len() == 1 {
                        let probe = probe.probe;
                        tracer.fail(probe, SendError(105));
                    }
                }
                Action::Transmit(_) => {}
                Action::Wait(until) => now = until,
                Action::Done => break,
            }
            if tracer.is_quiet() && sent.is_empty() {
                tracer.expect(8, false);
            }
        }
        // An eighth more than the RTT, and two milliseconds.
        assert_eq!(sent[1].saturating_since(sent[0]), ms(20));
    }
}

/// Passes on the answer of the router at a hop.
fn expect_accepted(tracer: &mut Tracer<64, Tcp>, at: Instant, hop: u8, error: &[u8]) {
    let arrival = Arrival {
        at,
        from: router(AddressFamily::of(tracer.config().target), hop),
        hop_limit: None,
    };
    tracer.handle(arrival, error).unwrap();
}
