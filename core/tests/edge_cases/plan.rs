//! Which probe leaves and when: what the head of `src/plan.rs` and the crate's front page promise.
//! Every answer takes 80 ms, so attempts are 5 ms apart and an answer is overdue after 92.

use crate::network::{BOTH, ECHO, Trace, config, error, ms, router};
use hopshot_core::wire::AddressFamily;
use hopshot_core::wire::icmp::Type;
use hopshot_core::{Action, Config, Instant, Reason, SendError, StopReason, Sweep, Tracer};

/// A sweep of so many hops, then so many more at a time, of as many as there are.
fn sweep(family: AddressFamily, max_hops: u8, first: u8, step: u8) -> Config {
    Config {
        max_hops,
        sweep: Some(Sweep::Window { first, step }),
        ..config(family)
    }
}

/// Four hops at once.
fn four(family: AddressFamily) -> Config {
    sweep(family, 4, 4, 1)
}

/// No target within the hops that are probed.
const NONE: u8 = u8::MAX;

/// Plays a trace to its end: the target is at `distance`, and what is said in `silent` never
/// answers.
fn played<const N: usize>(config: Config, distance: u8, silent: &[u8]) -> Trace<N> {
    let mut trace = Trace::in_room(config);
    trace.play(distance, |_, hop| !silent.contains(&hop));
    trace
}

impl<const N: usize> Trace<N> {
    /// When the probes to `hop` left, in milliseconds.
    fn times(&self, hop: u8) -> Vec<u64> {
        let at_hop = self
            .hops
            .iter()
            .zip(&self.sent)
            .filter(|(at, _)| **at == hop);
        at_hop
            .map(|(_, sent)| sent.as_nanos() / 1_000_000)
            .collect()
    }

    /// How many probes each hop got.
    fn counts(&self) -> Vec<usize> {
        (1..=self.tracer.config().max_hops)
            .map(|hop| self.times(hop).len())
            .collect()
    }

    /// The hops that got a probe at this time, in order.
    fn sent_at(&self, millis: u64) -> Vec<u8> {
        let at = Instant::from_millis(millis);
        self.hops
            .iter()
            .zip(&self.sent)
            .filter(|(_, sent)| **sent == at)
            .map(|(hop, _)| *hop)
            .collect()
    }
}

#[test]
fn retries_leave_the_room_that_the_attempts_need() {
    for family in BOTH {
        // Hop 2 is silent; when its retry is due, three hops have attempts before them.
        let config = Config {
            attempts: 2,
            ..sweep(family, 6, 3, 3)
        };
        assert_eq!(
            played::<12>(config, NONE, &[2]).counts(),
            [2, 2, 2, 2, 2, 2]
        );
        assert_eq!(
            played::<13>(config, NONE, &[2]).counts(),
            [2, 3, 2, 2, 2, 2]
        );
        assert_eq!(
            played::<14>(config, NONE, &[2]).counts(),
            [2, 4, 2, 2, 2, 2]
        );
        assert_eq!(
            played::<99>(config, NONE, &[2]).counts(),
            [2, 4, 2, 2, 2, 2]
        );
    }
}

#[test]
fn behind_the_target_no_room_is_left_for_attempts() {
    for family in BOTH {
        // Two hops were never probed: what they would have needed goes into retries.
        let config = sweep(family, 6, 4, 1);
        assert_eq!(played::<6>(config, 4, &[2]).counts(), [1, 3, 1, 1, 0, 0]);
        // While the end isn't known they need it.
        assert_eq!(played::<6>(config, NONE, &[2]).counts(), [1; 6]);
    }
}

#[test]
fn before_hops_that_dont_answer_attempts_follow_the_answers_from_farther_on() {
    for family in BOTH {
        // Hop 1 leads on in any case, and one more probe goes to each hop with each answer from
        // farther on: hop 3 gets its second because hop 2 passes on what goes there.
        let trace = played::<64>(
            Config {
                attempts: 5,
                ..four(family)
            },
            NONE,
            &[3, 4],
        );
        assert_eq!(trace.sent_at(0), [1, 2, 3, 4, 1]);
        assert_eq!(trace.sent_at(80), [2, 3, 1]);
        assert_eq!(trace.sent_at(85), [2, 1]);
        // What is left follows when nothing more is to come: 190 ms after the first probes to 3 and
        // 4. Where the path may lead a second one is all.
        assert_eq!(trace.sent_at(190), [4, 2, 1]);
        assert_eq!(trace.sent_at(195), [2]);
        assert_eq!(trace.counts(), [5, 5, 2, 2]);
        assert_eq!(trace.tracer.route().stop_reason(), Some(StopReason::Quiet));
    }
}

#[test]
fn where_all_hops_are_routers_attempts_wait_for_nobody() {
    for family in BOTH {
        let trace = played::<64>(
            Config {
                attempts: 4,
                ..four(family)
            },
            NONE,
            &[],
        );
        assert_eq!(
            [80, 85, 90].map(|at| trace.sent_at(at)),
            [vec![2, 3, 4, 1], vec![2, 3, 4, 1], vec![2, 3, 4]]
        );
        assert_eq!(trace.counts(), [4; 4]);
        assert_eq!(
            trace.tracer.route().stop_reason(),
            Some(StopReason::MaxHops)
        );
    }
}

#[test]
fn once_the_target_has_answered_attempts_are_a_sixteenth_of_the_round_trip_apart() {
    for family in BOTH {
        let trace = played::<64>(
            Config {
                attempts: 3,
                ..four(family)
            },
            4,
            &[],
        );
        assert_eq!(trace.times(2), [0, 80, 85]);
        assert_eq!(trace.times(3), [0, 80, 85]);
        assert_eq!(trace.times(4), [0, 80, 85]);
        assert_eq!(trace.counts(), [3; 4]);
    }
}

#[test]
fn probes_past_the_target_are_attempts_at_it() {
    for family in BOTH {
        for (attempts, at_target) in [(1, 1), (2, 1), (3, 1), (4, 2)] {
            let trace = played::<64>(
                Config {
                    attempts,
                    ..four(family)
                },
                2,
                &[],
            );
            assert_eq!(trace.counts(), [attempts.into(), at_target, 1, 1]);
            let route = trace.tracer.route();
            assert_eq!(
                route.hops().last().unwrap().replies().count(),
                usize::from(attempts)
            );
        }
        // Those that are on their way count as well.
        let mut trace: Trace = Trace::with(Config {
            attempts: 3,
            ..four(family)
        });
        trace.time_exceeded(80, 1).unwrap();
        trace.echo_reply(80, 2).unwrap();
        trace.send(80);
        trace.send(85);
        assert_eq!(trace.counts(), [3, 1, 1, 1]);
    }
}

#[test]
fn nothing_goes_past_a_target_that_has_answered_though_the_sweep_isnt_done() {
    for family in BOTH {
        let interval = ms(30);
        for sweep in [None, Some(Sweep::Window { first: 8, step: 1 })] {
            let trace = played::<64>(
                Config {
                    interval,
                    max_hops: 8,
                    sweep,
                    ..config(family)
                },
                1,
                &[],
            );
            // At 80 ms the target is known.
            assert_eq!(trace.counts(), [1, 1, 1, 0, 0, 0, 0, 0]);
        }
    }
}

#[test]
fn a_silent_hop_is_asked_again_when_its_answer_is_overdue_and_5_ms_later() {
    for family in BOTH {
        for distance in [4, NONE] {
            let trace = played::<64>(four(family), distance, &[2]);
            assert_eq!(trace.times(2), [0, 92, 97]);
            assert_eq!(trace.counts(), [1, 3, 1, 1]);
        }
        // What is one of the attempts asked for doesn't wait for that, since a router behind it has
        // answered.
        let trace = played::<64>(
            Config {
                attempts: 2,
                ..four(family)
            },
            4,
            &[2],
        );
        assert_eq!(trace.times(2), [0, 80, 92, 97]);
        // Where the target answers and no router behind it has, it does.
        let trace = played::<64>(
            Config {
                attempts: 2,
                ..four(family)
            },
            4,
            &[3],
        );
        assert_eq!(trace.times(3)[..3], [0, 92, 97]);
    }
}

#[test]
fn silent_hops_before_the_target_are_asked_again_and_the_last_twice_more() {
    for family in BOTH {
        for (silent, counts) in [
            (&[2, 3][..], [1, 3, 5, 1]),
            (&[1, 2, 3], [3, 3, 5, 1]),
            (&[3], [1, 1, 5, 1]),
            (&[1, 2], [3, 3, 1, 1]),
        ] {
            assert_eq!(
                played::<64>(four(family), 4, silent).counts(),
                counts,
                "{silent:?}"
            );
        }
    }
}

#[test]
fn a_burst_repeats_nothing_but_silent_hops_right_before_the_target() {
    for family in BOTH {
        for (silent, counts) in [
            (&[2, 3][..], [2, 4, 6, 2]),
            (&[3], [2, 2, 6, 2]),
            (&[1, 2], [2, 2, 2, 2]),
            (&[4], [2, 2, 2, 2]),
        ] {
            let trace = played::<64>(
                Config {
                    attempts: 2,
                    ..config(family)
                },
                4,
                silent,
            );
            assert_eq!(trace.counts(), counts, "{silent:?}");
            assert_eq!(trace.sent_at(0), [1, 2, 3, 4, 1, 2, 3, 4]);
        }
        // Half of the target's answers are lost, and half of a router's.
        let mut trace = Trace::with(Config {
            attempts: 2,
            ..config(family)
        });
        trace.play(4, |index, _| index < 5);
        assert_eq!(trace.counts(), [2; 4]);
    }
}

#[test]
fn the_target_is_asked_again_when_no_nearer_hop_can_be_it() {
    for family in BOTH {
        let attempts = |silent: &[u8]| {
            played::<64>(
                Config {
                    attempts: 2,
                    ..four(family)
                },
                4,
                silent,
            )
            .times(4)
        };
        assert_eq!(attempts(&[]), [0, 80]);
        // Hop 3 may be it until its answer is overdue; hop 2 is a router, since 3 has answered.
        assert_eq!(attempts(&[3]), [0, 92]);
        assert_eq!(attempts(&[2]), [0, 80]);
    }
}

#[test]
fn the_target_is_asked_again_at_once_where_a_nearer_hop_has_refused() {
    for family in BOTH {
        let config = Config {
            attempts: 2,
            ..four(family)
        };
        let mut trace = Trace::<64>::in_room(config);
        for hop in [1, 2] {
            trace.time_exceeded(80, hop).unwrap();
        }
        let message = error(router(family, 3), Type::Unreachable, 0, 0, &trace.quote(3));
        trace.handle(80, router(family, 3), &message).unwrap();
        trace.echo_reply(80, 4).unwrap();
        trace.send(80);
        assert_eq!(trace.times(4), [0, 80]);
    }
}

#[test]
fn where_the_path_may_lead_two_hops_get_a_second_probe_and_no_others() {
    for family in BOTH {
        for retries in [1, 2] {
            let config = Config {
                retries,
                ..sweep(family, 5, 5, 1)
            };
            let trace = played::<64>(config, NONE, &[2, 3, 4, 5]);
            assert_eq!(
                (trace.counts(), trace.times(2)),
                (vec![1, 2, 2, 1, 1], vec![0, 190])
            );
            // Nothing answers: the two nearest.
            let trace = played::<64>(config, NONE, &[1, 2, 3, 4, 5]);
            assert_eq!(trace.counts(), [2, 2, 1, 1, 1]);
            // Before the first hop there is no need to know.
            let trace = played::<64>(
                Config {
                    first_hop: 3,
                    ..config
                },
                NONE,
                &[3, 4, 5],
            );
            assert_eq!(trace.counts(), [0, 0, 2, 2, 1]);
        }
        let none = played::<64>(
            Config {
                retries: 0,
                ..four(family)
            },
            NONE,
            &[2, 3, 4],
        );
        assert_eq!(none.counts(), [1; 4]);
    }
}

#[test]
fn where_the_target_is_heard_only_after_the_quiet_silent_hops_are_asked_again_as_anywhere() {
    for family in BOTH {
        // Nothing answers from hop 6 to 19: at 190 ms the sweep goes on from 14 to 20, and the
        // nearest two get their second.
        let silent: Vec<u8> = (6..=19).collect();
        let trace = played::<99>(sweep(family, 20, 14, 1), 20, &silent);
        assert_eq!(trace.times(20), [190]);
        // At 270 ms the target is known: what left at 0 is overdue, what left at 190 is when it
        // always is.
        assert_eq!(
            [6, 7].map(|hop| trace.times(hop)),
            [[0, 190, 270], [0, 190, 270]]
        );
        assert_eq!(
            [8, 14].map(|hop| trace.times(hop)),
            [[0, 270, 275], [0, 270, 275]]
        );
        assert_eq!(
            [15, 18].map(|hop| trace.times(hop)),
            [[190, 282, 287], [190, 282, 287]]
        );
        assert_eq!(trace.times(19), [190, 282, 287, 292, 297]);
    }
}

#[test]
fn a_sweep_opens_by_its_step_with_each_answer_from_its_edge() {
    for family in BOTH {
        let trace = played::<64>(sweep(family, 9, 3, 2), NONE, &[]);
        assert_eq!(
            [0, 80, 160, 240].map(|at| trace.sent_at(at)),
            [vec![1, 2, 3], vec![4, 5], vec![6, 7], vec![8, 9]]
        );
        let trace = played::<64>(sweep(family, 4, 1, 1), NONE, &[]);
        assert_eq!(
            [0, 80, 160, 240].map(|at| trace.sent_at(at)),
            [[1], [2], [3], [4]]
        );
        // An answer from before the edge doesn't open it: the one from it may be on its way.
        let trace = played::<64>(sweep(family, 9, 3, 3), NONE, &[5, 6]);
        assert_eq!(
            (trace.sent_at(80), trace.sent_at(160)),
            (vec![4, 5, 6], vec![])
        );
        // It is overdue at 172.
        assert_eq!(trace.sent_at(80 + 92), [7, 8, 9]);
    }
}

#[test]
fn a_sweep_that_begins_farther_out_than_it_is_wide_begins_with_a_step() {
    for family in BOTH {
        let first = |first, step| {
            Trace::with(Config {
                first_hop: 5,
                ..sweep(family, 12, first, step)
            })
            .hops
        };
        assert_eq!(first(3, 2), [5, 6]);
        assert_eq!(first(4, 1), [5]);
        assert_eq!(first(5, 3), [5]);
        assert_eq!(first(6, 3), [5, 6]);
        assert_eq!(first(8, 1), [5, 6, 7, 8]);
    }
}

#[test]
fn the_sweep_goes_on_past_two_silent_hops_at_its_edge_or_past_any_where_paths_seldom_end() {
    for family in BOTH {
        // The edge, the last router heard, and when the next hop is sent to: when what is missing
        // is overdue, or when all is quiet.
        for (edge, last, opens) in [
            (12, 10, 92),
            (12, 9, 190),
            (12, 1, 190),
            (11, 9, 92),
            (11, 1, 92),
            (30, 28, 92),
        ] {
            let silent: Vec<u8> = (last + 1..=64).collect();
            let trace = played::<99>(sweep(family, 40, edge, 3), NONE, &silent);
            assert_eq!(trace.times(edge + 1), [opens], "{last} of {edge}");
            if opens == 92 {
                assert_eq!(trace.sent_at(92), [edge + 1, edge + 2, edge + 3]);
            } else {
                assert!(trace.sent_at(190).ends_with(&[40]) || trace.sent_at(190).contains(&40));
            }
        }
    }
}

#[test]
fn when_nothing_can_be_sent_every_hop_is_tried_and_the_trace_ends() {
    for family in BOTH {
        for sweep in [Sweep::Window { first: 2, step: 1 }, Sweep::Burst] {
            let config = Config {
                sweep: Some(sweep),
                timeout: ms(1),
                retries: 0,
                ..config(family)
            };
            let mut tracer = Tracer::<64>::new(config, ECHO).unwrap();
            let mut buf = [0; 64];
            let (mut now, mut tried) = (Instant::EPOCH, Vec::new());
            for _ in 0..100 {
                match tracer.poll(now, &mut buf).unwrap() {
                    Action::Transmit(probe) => {
                        tried.push(probe.hop_limit);
                        tracer.fail(probe.probe, SendError(101));
                    }
                    Action::Wait(until) => now = until,
                    Action::Done => break,
                }
            }
            assert_eq!(tried, [1, 2, 3, 4]);
            // However short the timeout is: nothing was waited for.
            assert_eq!(tracer.route().stop_reason(), Some(StopReason::Local));
        }
    }
}

#[test]
fn an_interrupt_ends_the_trace_at_once_and_an_end_before_it_stands() {
    for family in BOTH {
        let mut trace: Trace = Trace::with(sweep(family, 8, 4, 1));
        trace.time_exceeded(10, 1).unwrap();
        assert_eq!(trace.tracer.route().stop_reason(), None);
        trace.tracer.stop();
        assert_eq!((trace.send(11), trace.probes.len()), (None, 4));
        assert_eq!(
            trace.tracer.route().stop_reason(),
            Some(StopReason::Interrupted)
        );
        // What was sent may still be answered.
        trace.time_exceeded(12, 2).unwrap();
        assert_eq!(trace.route().iter().flatten().count(), 2);
        assert_eq!(
            trace.tracer.route().stop_reason(),
            Some(StopReason::Interrupted)
        );

        let mut reached = played::<64>(four(family), 4, &[]);
        reached.tracer.stop();
        assert_eq!(
            reached.tracer.route().stop_reason(),
            Some(StopReason::Reached)
        );
    }
}

#[test]
fn a_router_that_lets_nothing_through_gets_the_attempts_asked_for() {
    for family in BOTH {
        let mut trace = Trace::<64>::in_room(Config {
            attempts: 3,
            ..four(family)
        });
        trace.time_exceeded(80, 1).unwrap();
        let from = router(family, 2);
        let message = error(from, Type::Unreachable, 13, 0, &trace.quote(2));
        trace.handle(80, from, &message).unwrap();
        trace.run_out(80);
        assert_eq!(
            (trace.times(2), trace.counts()),
            (vec![0, 80, 85], vec![3, 3, 1, 1])
        );
        assert_eq!(
            trace.tracer.route().stop_reason(),
            Some(StopReason::Unreachable)
        );
    }
}

#[test]
fn a_router_that_lets_nothing_through_neither_ends_the_sweep_nor_opens_it() {
    for family in BOTH {
        // Behind it others may be that refuse, each just what expires there: hops 4 to 6 are still
        // to be probed when it has refused what was for hops 2 and 3.
        for (refused, counts) in [
            (&[2, 3][..], [1, 1, 1, 1, 1, 1, 0, 0, 0]),
            (&[], [1, 2, 2, 1, 1, 1, 1, 1, 1]),
        ] {
            let mut trace = Trace::<64>::in_room(Config {
                interval: ms(10),
                ..sweep(family, 9, 6, 3)
            });
            (10..=20).step_by(10).for_each(|at| _ = trace.send(at));
            trace.time_exceeded(25, 1).unwrap();
            for hop in refused {
                let from = router(family, 2);
                let message = error(from, Type::Unreachable, 13, 0, &trace.quote(*hop));
                trace.handle(25, from, &message).unwrap();
            }
            trace.run_out(26);
            assert_eq!(trace.counts(), counts, "{refused:?}");
        }
    }
}

#[test]
fn each_probe_says_why_it_leaves() {
    use Reason::{Attempt, Recheck, Retry, Sweep};
    let reasons = |trace: &Trace, hop: u8| {
        let at_hop = trace
            .hops
            .iter()
            .zip(&trace.reasons)
            .filter(|(at, _)| **at == hop);
        at_hop.map(|(_, reason)| *reason).collect::<Vec<_>>()
    };
    for family in BOTH {
        let config = Config {
            attempts: 2,
            retries: 1,
            ..four(family)
        };
        let trace = played(config, 4, &[2, 3]);
        assert_eq!(reasons(&trace, 1), [Sweep, Attempt]);
        // Attempts to a silent hop are retries too, in time and in kind.
        assert_eq!(reasons(&trace, 2), [Sweep, Retry, Retry]);
        // Right below the target it may be the target itself.
        assert_eq!(reasons(&trace, 3), [Sweep, Retry, Retry, Recheck, Recheck]);
        assert_eq!(reasons(&trace, 4), [Sweep, Attempt]);
        let burst = played(
            Config {
                sweep: Some(hopshot_core::Sweep::Burst),
                ..config
            },
            4,
            &[2, 3],
        );
        assert_eq!(reasons(&burst, 1), [Sweep, Attempt]);
        assert_eq!(
            reasons(&burst, 3),
            [Sweep, Attempt, Retry, Recheck, Recheck]
        );
    }
}

#[test]
fn after_a_short_timeout_the_second_probes_wait_for_nothing_more() {
    for family in BOTH {
        // Later than the timeout no answer is waited for, so none is overdue either.
        let mut trace = Trace::<64>::in_room(Config {
            timeout: ms(100),
            ..four(family)
        });
        trace.run_out(0);
        let times = [1, 2, 3, 4].map(|hop| trace.times(hop));
        assert_eq!(times, [vec![0, 100], vec![0, 100], vec![0], vec![0]]);
    }
}

#[test]
fn a_burst_waits_for_its_interval_alone_whatever_is_heard_meanwhile() {
    for family in BOTH {
        let burst = Some(Sweep::Burst);
        let config = Config {
            attempts: 4,
            sweep: burst,
            interval: ms(7),
            ..four(family)
        };
        // The target answers after 101 ms. Hop 3 is overdue only after 106, and might be the
        // target.
        let trace = played::<64>(config, 4, &[3]);
        assert_eq!(trace.times(4), [21, 49, 77, 105]);
    }
}
