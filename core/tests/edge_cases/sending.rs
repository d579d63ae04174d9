//! Cases 30, 34 and 35, as far as they are core's: what can't be sent, checksums, and clocks.

use crate::network::{BOTH, ECHO, Trace, config, ends, ms};
use hopshot_core::wire::checksum::Checksum;
use hopshot_core::wire::{AddressFamily, Ends};
use hopshot_core::{
    Action, Config, ConfigError, Discard, Echo, Failure, Instant, Outcome, ProbeId, Protocol,
    SendError, StopReason, Sweep, Tracer,
};
use std::time::Duration;

const FIRST: ProbeId = ProbeId { hop: 1, attempt: 1 };

#[test]
fn case_30_what_cant_be_sent_is_told_and_the_trace_goes_on() {
    for family in BOTH {
        let mut trace = Trace::new(family);
        trace.tracer.fail(FIRST, SendError(113));
        assert_eq!(trace.tracer.route().probes_sent(), 3);
        assert_eq!(
            trace.time_exceeded(10, 1).unwrap_err(),
            Discard::NotOurs,
            "it never left"
        );
        trace.time_exceeded(10, 2).unwrap();
        trace.echo_reply(10, 3).unwrap();
        trace.run_out(11);
        let route = trace.tracer.route();
        let first = route.hops().next().unwrap().outcomes().next();
        assert_eq!(first, Some(Outcome::Failed(Failure::Send(SendError(113)))));
        assert_eq!(
            (route.distance(), route.stop_reason()),
            (Some(3), Some(StopReason::Reached))
        );
    }
}

#[test]
fn case_30_a_trace_of_which_nothing_can_be_sent_ends() {
    for family in BOTH {
        let mut tracer = Tracer::<64>::new(
            Config {
                sweep: None,
                ..config(family)
            },
            ECHO,
        )
        .unwrap();
        let (mut now, mut buf) = (Instant::EPOCH, [0; 64]);
        for _ in 0..1000 {
            match tracer.poll(now, &mut buf).unwrap() {
                Action::Transmit(probe) => tracer.fail(probe.probe, SendError(1)),
                Action::Wait(until) => now = until,
                Action::Done => break,
            }
        }
        let route = tracer.route();
        assert_eq!(route.stop_reason(), Some(StopReason::Local));
        assert_eq!(
            (route.probes_sent(), route.failure()),
            (0, Some(Failure::Send(SendError(1))))
        );
        assert!(now <= Instant::from_millis(10_000));
    }
}

/// A trace of eight hops in silence, of which these probes fail and the first `heard` hops answer.
fn silent_trace(family: AddressFamily, heard: u8, fails: impl Fn(u8) -> bool) -> Tracer<64> {
    let config = Config {
        sweep: Some(Sweep::Burst),
        max_hops: 8,
        attempts: 1,
        retries: 0,
        ..config(family)
    };
    let mut trace = Trace::with(config);
    for hop in (1..=8).filter(|hop| fails(*hop)) {
        trace.tracer.fail(ProbeId { hop, attempt: 1 }, SendError(1));
    }
    for hop in 1..=heard {
        trace.time_exceeded(10, hop).unwrap();
    }
    trace.run_out(11);
    trace.tracer
}

#[test]
fn what_is_left_has_failed_here_if_nothing_left_any_more_behind_the_last_answer() {
    let failure = Some(Failure::Send(SendError(1)));
    for family in BOTH {
        for (heard, from) in [(0, 1), (2, 3), (2, 6)] {
            let tracer = silent_trace(family, heard, |hop| hop >= from);
            assert_eq!(
                (tracer.route().failure(), tracer.route().stop_reason()),
                (failure, Some(StopReason::Local))
            );
        }
        // Some fail and others leave: that isn't why nobody answers.
        for fails in [
            |hop: u8| [2, 4, 6].contains(&hop),
            |hop| hop == 1,
            |hop| hop == 3,
            |_| false,
        ] {
            let tracer = silent_trace(family, 0, fails);
            assert_eq!(tracer.route().failure(), None);
            assert_ne!(tracer.route().stop_reason(), Some(StopReason::Local));
        }
    }
}

#[test]
fn an_abandoned_trace_ends_at_once_and_what_was_answered_stays() {
    let failures = [
        Failure::Local {
            icmp_type: 3,
            icmp_code: 1,
        },
        Failure::NextHop,
    ];
    for (family, failure) in BOTH
        .into_iter()
        .flat_map(|family| failures.map(|failure| (family, failure)))
    {
        let mut trace = Trace::new(family);
        let reply = trace.time_exceeded(10, 1).unwrap();
        trace.tracer.abandon(failure);
        assert!(matches!(
            trace.tracer.poll(Instant::from_millis(11), &mut [0; 64]),
            Ok(Action::Done)
        ));
        let route = trace.tracer.route();
        assert_eq!(
            (route.stop_reason(), route.failure()),
            (Some(StopReason::Local), Some(failure))
        );
        let outcomes = route.hops().flat_map(|hop| hop.outcomes());
        assert!(
            outcomes.eq([Outcome::Answered(reply)]
                .into_iter()
                .chain([Outcome::Failed(failure); 3]))
        );
    }
}

#[test]
fn no_router_is_blamed_for_a_limit_where_this_machine_is_in_the_way() {
    for fails in [false, true] {
        let config = Config {
            sweep: Some(Sweep::Burst),
            attempts: 3,
            max_hops: 4,
            ..config(AddressFamily::V4)
        };
        let mut trace = Trace::with(config);
        if fails {
            trace
                .tracer
                .fail(ProbeId { hop: 4, attempt: 1 }, SendError(1));
        }
        trace.time_exceeded(10, 1).unwrap();
        trace.run_out(11);
        assert_eq!(
            trace
                .tracer
                .route()
                .hops()
                .next()
                .unwrap()
                .may_be_rate_limited(),
            !fails
        );
    }
}

#[test]
fn case_30_an_answered_probe_cant_fail_any_more() {
    for family in BOTH {
        let mut trace = Trace::new(family);
        let reply = trace.time_exceeded(10, 1).unwrap();
        trace.tracer.fail(FIRST, SendError(1));
        let outcomes: Vec<Outcome> = trace
            .tracer
            .route()
            .hops()
            .next()
            .unwrap()
            .outcomes()
            .collect();
        assert_eq!(outcomes, [Outcome::Answered(reply)]);
    }
}

#[test]
fn case_34_every_seq_has_the_same_checksum_and_it_is_right() {
    for family in BOTH {
        for checksum in [1, 0x5a5a, 0xfffe] {
            for payload_len in [10, 11, 24, 999] {
                let config = Config {
                    max_hops: 32,
                    ..config(family)
                };
                let echo = Echo {
                    checksum,
                    payload_len,
                    first_seq: 0xfff0,
                    ..ECHO
                };
                for probe in &Trace::of(config, echo).probes {
                    assert_eq!(probe[2..4], u16::to_be_bytes(checksum));
                    let sum = Checksum::of_ends(ends(family), probe.len())
                        .unwrap()
                        .with(probe)
                        .finish();
                    assert_eq!(sum, 0);
                }
            }
        }
    }
}

#[test]
fn case_34_neither_form_of_a_zero_checksum_is_ever_sent() {
    for family in BOTH {
        for checksum in [0, 0xffff] {
            let refused = Tracer::<64>::new(config(family), Echo { checksum, ..ECHO }).unwrap_err();
            assert!(matches!(
                refused,
                ConfigError::OutOfRange {
                    parameter: "checksum",
                    ..
                }
            ));
        }
        for random in [[0; 16], [0xff; 16]] {
            assert!(Echo::new(random).check().is_ok());
        }
    }
}

#[test]
fn every_random_bit_makes_another_identity() {
    let random = *b"0123456789abcdef";
    for bit in 0..128 {
        let mut other = random;
        other[bit / 8] ^= 1 << (bit % 8);
        assert_ne!(Echo::new(other), Echo::new(random), "bit {bit}");
    }
}

#[test]
fn case_34_whoever_fills_in_an_icmpv6_checksum_finds_the_same_for_every_seq() {
    let unknown = Config {
        source: AddressFamily::V6.unspecified(),
        max_hops: 32,
        ..config(AddressFamily::V6)
    };
    let known: Ends = ends(AddressFamily::V6);
    let sums = Trace::with(unknown).probes.into_iter().map(|probe| {
        assert_eq!(probe[2..4], [0, 0]);
        Checksum::of_ends(known, probe.len())
            .unwrap()
            .with(&probe)
            .finish()
    });
    let sums: Vec<u16> = sums.collect();
    assert!(sums.iter().all(|sum| *sum == sums[0]), "{sums:04x?}");
}

#[test]
fn case_35_an_rtt_is_never_negative_and_never_longer_than_the_time_that_passed() {
    for family in BOTH {
        // The longest that a probe's memory holds.
        let longest = Duration::from_nanos((1 << 40) - 1);
        for (arrival, rtt) in [
            (0, Duration::ZERO),
            (10, ms(10)),
            (u64::MAX / 2_000_000, longest),
        ] {
            assert_eq!(
                Trace::new(family).time_exceeded(arrival, 1).unwrap().rtt,
                rtt
            );
        }
        let mut trace = Trace::new(family);
        trace.time_exceeded(10, 1).unwrap();
        // A transmit timestamp from after the answer.
        trace.tracer.sent(FIRST, Instant::from_millis(11));
        let reply = trace
            .tracer
            .route()
            .hops()
            .next()
            .unwrap()
            .replies()
            .next()
            .unwrap();
        assert_eq!(reply.rtt, Duration::ZERO);
    }
}

#[test]
fn case_35_a_clock_that_jumps_back_sends_nothing_early_and_ends_all_the_same() {
    for family in BOTH {
        let config = Config {
            interval: ms(5),
            sweep: None,
            ..config(family)
        };
        let mut tracer = Tracer::<64>::new(config, ECHO).unwrap();
        let mut buf = [0; 64];
        assert!(matches!(
            tracer.poll(Instant::from_millis(1000), &mut buf),
            Ok(Action::Transmit(_))
        ));
        let next = Instant::from_millis(1005);
        for now in [0, 500, 1000, 1004] {
            assert_eq!(
                tracer.poll(Instant::from_millis(now), &mut buf),
                Ok(Action::Wait(next))
            );
        }
        let mut now = next;
        for _ in 0..1000 {
            match tracer.poll(now, &mut buf).unwrap() {
                Action::Transmit(_) => {}
                Action::Wait(until) => now = until,
                Action::Done => break,
            }
        }
        assert!(
            tracer.route().stop_reason().is_some(),
            "the trace doesn't end"
        );
    }
}
