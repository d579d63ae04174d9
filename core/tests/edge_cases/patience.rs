//! How long a trace waits, to the nanosecond: what the head of `src/patience.rs` and the crate's
//! front page promise.

use crate::network::{BOTH, ECHO, Trace, config, ends, error, ms, quote, router, stranger};
use hopshot_core::wire::icmp::Type;
use hopshot_core::{Action, Config, Instant, Outcome, ProbeId, StopReason, Sweep, Tracer};
use std::time::Duration;

/// What a trace has heard, and how it goes on when it hears nothing more.
struct Silence {
    trace: Trace,
    now: Instant,
    until: Option<Instant>,
}

impl Silence {
    fn after(mut trace: Trace, millis: u64) -> Self {
        let now = Instant::from_millis(millis);
        Self {
            until: trace.send_at(now),
            trace,
            now,
        }
    }

    /// Goes on to the instant that the trace has asked for; false if it has ended.
    fn step(&mut self) -> bool {
        let Some(until) = self.until else {
            return false;
        };
        assert!(until > self.now, "a wait ends later than it begins");
        // Nothing happens before.
        let sent = self.trace.probes.len();
        let early = Instant::from_nanos(until.as_nanos() - 1);
        assert_eq!(
            (self.trace.send_at(early), self.trace.probes.len()),
            (Some(until), sent)
        );
        self.now = until;
        self.until = self.trace.send_at(until);
        true
    }

    fn time(&self) -> Duration {
        self.now.saturating_since(Instant::EPOCH)
    }

    /// When the trace ends.
    fn end(&mut self) -> Duration {
        for _ in 0..1000 {
            if !self.step() {
                return self.time();
            }
        }
        panic!("the trace doesn't end");
    }

    /// When the probe is given up that was the `attempt`th to `hop`, counted from 0.
    fn lost(&mut self, hop: u8, attempt: usize) -> Duration {
        for _ in 0..1000 {
            let route = self.trace.tracer.route();
            let hop = route
                .hops()
                .find(|at| at.number() == hop)
                .expect("it was probed");
            if hop.outcomes().nth(attempt) == Some(Outcome::Lost) {
                return self.time();
            }
            assert!(self.step(), "the trace ends before");
        }
        panic!("the probe is never given up");
    }

    /// When the next probe leaves.
    fn next(&mut self) -> Duration {
        let sent = self.trace.probes.len();
        while self.trace.probes.len() == sent {
            assert!(self.step(), "the trace ends before");
        }
        self.time()
    }

    fn reason(&self) -> Option<StopReason> {
        self.trace.tracer.route().stop_reason()
    }
}

/// Asks each hop once, and none again.
fn once(family: hopshot_core::wire::AddressFamily) -> Config {
    Config {
        retries: 0,
        ..config(family)
    }
}

/// Four hops, of which routers answer after `rtt`, each at the same time, and the target if
/// `target` is one.
fn heard(config: Config, rtt: Duration, routers: &[u8], target: Option<u8>) -> Silence {
    let mut trace = Trace::with(config);
    let at = Instant::EPOCH.saturating_add(rtt);
    for hop in routers {
        trace.answer(at, usize::from(*hop) - 1, false).unwrap();
    }
    if let Some(hop) = target {
        trace.answer(at, usize::from(hop) - 1, true).unwrap();
    }
    Silence {
        until: trace.send_at(at),
        trace,
        now: at,
    }
}

#[test]
fn when_the_target_has_answered_a_hop_that_never_did_is_waited_for_2_3_round_trips() {
    for family in BOTH {
        for rtt in [80, 100, 110] {
            let lost = heard(once(family), ms(rtt), &[1, 3], Some(4)).lost(2, 0);
            let round_trips = lost.as_secs_f64() / ms(rtt).as_secs_f64();
            assert!(
                (2.29..2.31).contains(&round_trips),
                "{rtt} ms: {round_trips}"
            );
        }
        // At least 160 ms, at most 160 ms more than the round trip.
        for (rtt, least, most) in [
            (1, 160, 160),
            (69, 160, 160),
            (150, 310, 310),
            (1000, 1160, 1160),
        ] {
            let lost = heard(once(family), ms(rtt), &[1, 3], Some(4)).lost(2, 0);
            assert!((ms(least)..=ms(most)).contains(&lost), "{rtt} ms: {lost:?}");
        }
    }
}

#[test]
fn where_no_end_is_known_a_hop_before_others_is_waited_for_160_ms_longer_than_the_round_trip() {
    for family in BOTH {
        for rtt in [1, 30, 80, 300] {
            let mut silence = heard(once(family), ms(rtt), &[1, 3], None);
            assert_eq!(silence.lost(2, 0), ms(rtt + 160), "{rtt} ms");
        }
        // The farthest router that has answered is a known hop itself: its second probe is one more
        // there.
        let twice = Config {
            attempts: 2,
            ..once(family)
        };
        assert_eq!(heard(twice, ms(80), &[1, 3], None).lost(3, 1), ms(92));
    }
}

#[test]
fn one_more_probe_to_a_hop_that_has_answered_is_waited_for_an_eighth_and_2_ms_longer_than_the_round_trip()
 {
    for family in BOTH {
        for (rtt, wait) in [(1, 90), (40, 90), (80, 92), (160, 182), (800, 902)] {
            let twice = Config {
                attempts: 2,
                ..once(family)
            };
            let mut silence = heard(twice, ms(rtt), &[1, 2, 3], Some(4));
            assert_eq!(silence.lost(1, 1), ms(wait), "{rtt} ms");
        }
    }
}

#[test]
fn patience_multiplies_the_waits_up_to_the_timeout() {
    for family in BOTH {
        let timeout = config(family).timeout;
        for patience in [1, 2, 3, 10] {
            for rtt in [1, 80, 300] {
                let waits = |patience| {
                    let once = Config {
                        patience,
                        ..once(family)
                    };
                    let twice = Config {
                        attempts: 2,
                        ..once
                    };
                    [
                        heard(once, ms(rtt), &[1, 3], Some(4)).lost(2, 0),
                        heard(once, ms(rtt), &[1, 3], None).lost(2, 0),
                        heard(twice, ms(rtt), &[1, 2, 3], Some(4)).lost(1, 1),
                        heard(
                            Config {
                                max_hops: 4,
                                ..once
                            },
                            ms(rtt),
                            &[1, 2],
                            None,
                        )
                        .lost(4, 0),
                    ]
                };
                let expected = waits(1).map(|wait| (wait * patience).min(timeout));
                assert_eq!(
                    waits(u8::try_from(patience).unwrap()),
                    expected,
                    "{patience} times, {rtt} ms"
                );
            }
        }
    }
}

#[test]
fn patience_multiplies_the_wait_before_a_retry_and_after_it() {
    for family in BOTH {
        let retried = |patience, timeout| {
            let sweep = Some(Sweep::Window { first: 4, step: 1 });
            let config = Config {
                retries: 1,
                sweep,
                patience,
                timeout: ms(timeout),
                ..config(family)
            };
            heard(config, ms(80), &[1, 3], Some(4))
        };
        for patience in [1, 2, 3, 10] {
            let mut silence = retried(patience, 5000);
            let wait = 92 * u64::from(patience);
            assert_eq!(
                (silence.next(), silence.lost(2, 1)),
                (ms(wait), ms(2 * wait)),
                "{patience}"
            );
        }
        // The first probe is given up then.
        assert_eq!(retried(10, 500).next(), ms(500));
        // Where nothing says that the path leads, the second probe to the next hop waits too.
        let quiet = |patience| {
            let sweep = Some(Sweep::Window { first: 4, step: 1 });
            let config = Config {
                retries: 1,
                sweep,
                patience,
                timeout: ms(9000),
                ..config(family)
            };
            heard(config, ms(80), &[1, 2], None)
        };
        for patience in [1, 2, 3, 10] {
            let mut silence = quiet(patience);
            let patience = u64::from(patience);
            assert_eq!(
                (silence.next(), silence.end()),
                (ms(190 * patience), ms(480 * patience)),
                "{patience}"
            );
        }
    }
}

#[test]
fn a_retry_is_waited_for_as_long_as_the_first_probe_and_at_least_as_long_as_one_that_is_lost() {
    for family in BOTH {
        let retried = |retries, rtt| {
            let sweep = Some(Sweep::Window { first: 4, step: 1 });
            heard(
                Config {
                    retries,
                    sweep,
                    ..config(family)
                },
                ms(rtt),
                &[1, 3],
                Some(4),
            )
        };
        // The first one leaves after 92 ms, and a slow router owes its answer after 2.3 round trips
        // from the beginning.
        let mut silence = retried(1, 80);
        assert_eq!(silence.next(), ms(92));
        assert_eq!(
            (silence.lost(2, 1), silence.time()),
            (ms(92 + 92), ms(92 + 92))
        );
        // With 40 ms: after 47, and it is 160 ms then, more than 90 later.
        let mut silence = retried(1, 40);
        assert_eq!((silence.next(), silence.lost(2, 1)), (ms(47), ms(160)));
    }
}

#[test]
fn an_answer_later_than_the_wait_for_lost_probes_shows_no_rate_limit() {
    for family in BOTH {
        // As long as the second retry was waited for is no longer than that.
        for (at, limited) in [
            (91, true),
            (143, true),
            (144, false),
            (260, false),
            (400, false),
        ] {
            let mut trace = Trace::with(Config {
                sweep: Some(Sweep::Window { first: 4, step: 1 }),
                ..config(family)
            });
            for hop in [1, 3] {
                trace.time_exceeded(80, hop).unwrap();
            }
            // Two retries, given up after 148 and 143 ms; nothing is heard from the target.
            for millis in 80..260 {
                trace.send(millis);
            }
            let index = trace.hops.iter().position(|hop| *hop == 2).unwrap();
            trace
                .answer(Instant::from_millis(at), index, false)
                .unwrap();
            let hop = trace.tracer.route().hops().nth(1).unwrap();
            let lost = hop
                .outcomes()
                .filter(|outcome| *outcome == Outcome::Lost)
                .count();
            assert_eq!((hop.may_be_rate_limited(), lost), (limited, 2), "{at} ms");
        }
    }
}

#[test]
fn a_probe_past_the_target_is_waited_for_only_while_the_target_has_answers_to_give() {
    for family in BOTH {
        // Hops 3 and 4 are in flight.
        let mut silence = heard(once(family), ms(80), &[1], Some(2));
        assert_eq!(
            (silence.end(), silence.reason()),
            (ms(80), Some(StopReason::Reached))
        );
        let three = Config {
            attempts: 3,
            sweep: Some(Sweep::Window { first: 4, step: 1 }),
            ..once(family)
        };
        let mut silence = heard(three, ms(80), &[1], Some(2));
        // The second to hop 1 left with the first; the third follows the answer. The target's two
        // are in flight past it.
        assert_eq!(
            (silence.next(), &silence.trace.hops[4..]),
            (ms(92), &[1, 1, 2][..])
        );
        assert_eq!(
            silence.time(),
            ms(92),
            "as soon as those are lost the target is asked again"
        );
    }
}

#[test]
fn a_probe_to_the_target_isnt_waited_for_once_another_past_it_has_stood_in() {
    for family in BOTH {
        let mut trace = Trace::with(Config {
            attempts: 2,
            ..once(family)
        });
        // All probes left at once: the second to hop 1 is number 4.
        assert_eq!(trace.hops, [1, 2, 3, 4, 1, 2, 3, 4]);
        for index in [0, 4] {
            trace
                .answer(Instant::from_millis(80), index, false)
                .unwrap();
        }
        for index in [1, 2] {
            trace.answer(Instant::from_millis(80), index, true).unwrap();
        }
        assert_eq!(trace.send(80), None, "the target has answered twice");
    }
}

#[test]
fn what_comes_from_behind_an_unreachable_is_waited_for_as_a_slow_router_is() {
    // Where the router at hop 2 refuses what was to go farther too; where it refuses just what
    // expires there, as another may; and where what was to go farther comes back changed, so
    // that somebody else may have refused it in its name.
    for (refused, by, changed, least, most) in [
        (3, 2, 0, 2.29, 2.31),
        (2, 2, 0, 5.99, 6.01),
        (3, 3, 0, 5.99, 6.01),
        (3, 2, 0x2a, 5.99, 6.01),
    ] {
        for family in BOTH {
            let mut trace = Trace::with(once(family));
            trace.time_exceeded(80, 1).unwrap();
            for (hop, from, changed) in [(2, 2, 0), (refused, by, changed)] {
                let mut quoted = trace.quote(hop);
                let checksum = quoted.len() - trace.probes[0].len() + 2;
                quoted[checksum] ^= changed;
                let message = error(router(family, from), Type::Unreachable, 13, 0, &quoted);
                let _ = trace.handle(80, router(family, from), &message);
            }
            let mut silence = Silence::after(trace, 80);
            let round_trips = silence.end().as_secs_f64() / 0.08;
            assert!((least..most).contains(&round_trips), "{round_trips}");
            assert_eq!(silence.reason(), Some(StopReason::Unreachable));
        }
    }
}

#[test]
fn an_unreachable_from_the_last_hop_to_be_probed_is_not_waited_behind() {
    for family in BOTH {
        let mut trace = Trace::with(Config {
            max_hops: 2,
            ..once(family)
        });
        trace.time_exceeded(80, 1).unwrap();
        let message = error(router(family, 2), Type::Unreachable, 13, 0, &trace.quote(2));
        trace.handle(80, router(family, 2), &message).unwrap();
        assert_eq!(trace.send(80), None);
    }
}

#[test]
fn a_silent_target_ends_the_trace_when_it_has_been_quiet_for_long_enough() {
    for family in BOTH {
        // The first probe leaves, the sweep goes on, and it is over.
        for (rtt, quiet, unknown) in [
            (Duration::from_nanos(19_999_999), 500, 590),
            (ms(20), 190, 290),
            (ms(80), 190, 290),
            (ms(126), 190, 290),
            (ms(140), 210, 290),
            (ms(200), 300, 400),
        ] {
            let sweep = Some(Sweep::Window { first: 12, step: 1 });
            let config = Config {
                max_hops: 14,
                sweep,
                timeout: ms(5000),
                ..once(family)
            };
            let mut silence = heard(config, rtt, &[1], None);
            assert_eq!(silence.next(), ms(quiet), "{rtt:?}");
            assert_eq!(silence.trace.hops[12..], [13, 14], "{rtt:?}");
            assert_eq!(
                (silence.end(), silence.reason()),
                (ms(quiet + unknown), Some(StopReason::Quiet)),
                "{rtt:?}"
            );
        }
    }
}

#[test]
fn where_nothing_has_answered_the_timeout_ends_the_trace() {
    for family in BOTH {
        for timeout in [100, 700, 5000] {
            let mut silence = Silence::after(
                Trace::with(Config {
                    timeout: ms(timeout),
                    ..once(family)
                }),
                0,
            );
            assert_eq!(
                (silence.end(), silence.reason()),
                (ms(timeout), Some(StopReason::Timeout))
            );
        }
    }
}

#[test]
fn no_wait_is_longer_than_the_timeout() {
    for family in BOTH {
        let config = Config {
            timeout: ms(100),
            ..once(family)
        };
        // A slow router, one more answer, and the unknown.
        assert_eq!(heard(config, ms(80), &[1, 3], Some(4)).lost(2, 0), ms(100));
        assert_eq!(heard(config, ms(80), &[1, 3], None).lost(2, 0), ms(100));
        assert_eq!(heard(config, ms(80), &[1, 3], None).lost(4, 0), ms(100));
        let twice = Config {
            attempts: 2,
            ..config
        };
        assert_eq!(
            heard(twice, ms(95), &[1, 2, 3], Some(4)).lost(1, 1),
            ms(100)
        );
        // And before the sweep goes on.
        let window = Config {
            sweep: Some(Sweep::Window { first: 2, step: 1 }),
            ..config
        };
        assert!(
            heard(
                Config {
                    max_hops: 20,
                    ..window
                },
                ms(1),
                &[],
                None
            )
            .next()
                <= ms(100)
        );
    }
}

#[test]
fn without_a_timeout_to_speak_of_a_trace_that_hears_nothing_ends_all_the_same() {
    // The timeout alone bounds this wait, and it may be the longest there is.
    const YEAR: u64 = 365 * 24 * 60 * 60;
    for family in BOTH {
        for patience in 1..=10_u8 {
            let mut silence = heard(
                Config {
                    timeout: Duration::MAX,
                    patience,
                    ..once(family)
                },
                ms(80),
                &[],
                None,
            );
            let years = silence.end().as_secs() / YEAR;
            assert_eq!(
                years / u64::from(patience),
                2,
                "{years} years with a patience of {patience}"
            );
        }
    }
}

#[test]
fn a_weak_answer_leaves_the_wait_for_a_better_one_as_long_as_it_was() {
    for family in BOTH {
        let mut trace = Trace::with(once(family));
        trace.time_exceeded(80, 1).unwrap();
        trace.time_exceeded(80, 3).unwrap();
        trace.echo_reply(80, 4).unwrap();
        let mut forged = trace.probes[1][..8].to_vec();
        forged[2] ^= 0x2a;
        let message = error(
            stranger(family),
            Type::TimeExceeded,
            0,
            0,
            &quote(family, &forged),
        );
        trace.handle(80, stranger(family), &message).unwrap();
        let round_trips = Silence::after(trace, 80).end().as_secs_f64() / 0.08;
        assert!((2.29..2.31).contains(&round_trips), "{round_trips}");
    }
}

#[test]
fn what_this_machine_says_of_a_probe_is_no_answer_to_reckon_with() {
    for family in BOTH {
        // A transmit timestamp, and a failure in our own name.
        let mut trace = Trace::with(once(family));
        trace
            .tracer
            .sent(ProbeId { hop: 1, attempt: 1 }, Instant::EPOCH);
        let us = ends(family).source;
        let message = error(us, Type::Unreachable, 1, 0, &trace.quote(2));
        trace.handle(1, us, &message).unwrap();
        let mut silence = Silence::after(trace, 1);
        assert_eq!(
            (silence.end(), silence.reason()),
            (ms(2000), Some(StopReason::Local))
        );
    }
}

#[test]
fn a_weak_answer_from_the_last_hop_makes_the_trace_no_longer_than_none() {
    for family in BOTH {
        let mut trace = Trace::with(once(family));
        trace.time_exceeded(80, 1).unwrap();
        let mut forged = trace.probes[3][..8].to_vec();
        forged[2] ^= 0x2a;
        let message = error(
            stranger(family),
            Type::TimeExceeded,
            0,
            0,
            &quote(family, &forged),
        );
        trace.handle(80, stranger(family), &message).unwrap();
        assert_eq!(heard(once(family), ms(80), &[1], None).end(), ms(190 + 290));
        assert_eq!(Silence::after(trace, 80).end(), ms(190 + 290));
    }
}

#[test]
fn it_is_quiet_from_when_nothing_more_is_expected_until_the_target_is_heard_or_the_end() {
    for family in BOTH {
        let quiet = || {
            let trace: Trace = Trace::with(Config {
                sweep: None,
                ..config(family)
            });
            assert!(!trace.tracer.is_quiet());
            let mut silence = Silence::after(trace, 0);
            while !silence.trace.tracer.is_quiet() {
                assert!(silence.step());
            }
            silence
        };
        let mut silence = quiet();
        while silence.until.is_some() {
            assert!(silence.trace.tracer.is_quiet());
            silence.step();
        }
        assert!(!silence.trace.tracer.is_quiet());
        let mut trace = quiet().trace;
        trace.echo_reply(900, 4).unwrap();
        assert!(!trace.tracer.is_quiet());
    }
}

#[test]
fn the_last_hop_that_was_reached_out_to_has_all_its_time_before_it_is_quiet() {
    for family in BOTH {
        let mut trace = Trace::with(Config {
            sweep: Some(Sweep::Window { first: 2, step: 1 }),
            ..config(family)
        });
        trace.time_exceeded(80, 1).unwrap();
        trace.time_exceeded(80, 2).unwrap();
        let mut silence = Silence::after(trace, 80);
        while !silence.trace.tracer.is_quiet() {
            assert!(silence.step());
        }
        let last = *silence.trace.sent.get(3).expect("hop 4 has been probed");
        assert_eq!(silence.now.saturating_since(last), ms(190));
    }
}

#[test]
fn a_timeout_as_long_as_can_be_ends_nothing_at_once() {
    for family in BOTH {
        let config = Config {
            timeout: Duration::MAX,
            ..config(family)
        };
        let mut tracer = Tracer::<64>::new(config, ECHO).unwrap();
        let (mut now, mut buf) = (Instant::from_millis(1_000), [0; 64]);
        let two_years = Instant::from_millis(2 * 365 * 86_400_000);
        while now < two_years {
            match tracer.poll(now, &mut buf).unwrap() {
                Action::Transmit(_) => {}
                Action::Wait(until) => now = until,
                Action::Done => panic!("nothing was waited for at {now:?}"),
            }
        }
    }
}
