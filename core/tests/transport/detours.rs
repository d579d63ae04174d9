//! Which SYNs leave from another port than the trace's own, and when each leaves.

use crate::network::{BOTH, router};
use crate::silence::asking;
use crate::traces::{accept_segment, segment};
use crate::{quoting, tcp};
use hopshot_core::wire::AddressFamily;
use hopshot_core::wire::icmp::Type;
use hopshot_core::{Action, Arrival, Config, Instant, Sweep, Tcp, Tracer};
use std::time::Duration;

/// When a trace begins. Nothing may depend on it.
const BEGIN: u64 = 10_000;

/// The time from a hop to the next, there and back, in milliseconds.
const STEP: u64 = 10;

/// A probe that has left.
struct Sent {
    /// Milliseconds after the trace began.
    at: u64,
    hop: u8,
    is_apart: bool,
}

/// The distance of the target.
const DISTANCE: u8 = 6;

/// Plays a trace to an open port of a target. Of each probe it is asked whether it is answered, by
/// its hop limit and how many were sent so far before. Returns what left, and how long the trace
/// took.
fn play(config: &Config, is_answered: impl FnMut(u8, usize) -> bool) -> (Vec<Sent>, u64) {
    play_in::<64>(config, u8::MAX, is_answered)
}

/// The same, with room for `N` probes, where a router refuses what goes as far as its hop.
fn play_in<const N: usize>(
    config: &Config,
    refuses: u8,
    is_answered: impl FnMut(u8, usize) -> bool,
) -> (Vec<Sent>, u64) {
    play_by::<N>(tcp(), config, refuses, is_answered)
}

/// The same by other SYNs.
fn play_by<const N: usize>(
    tcp: Tcp,
    config: &Config,
    refuses: u8,
    mut is_answered: impl FnMut(u8, usize) -> bool,
) -> (Vec<Sent>, u64) {
    let mut tracer = Tracer::<N, Tcp>::new(*config, tcp).unwrap();
    let (mut buf, mut now) = ([0; 64], BEGIN);
    let mut due: Vec<(u64, u8, Vec<u8>)> = Vec::new();
    let mut sent: Vec<Sent> = Vec::new();
    loop {
        due.sort_by_key(|(at, ..)| *at);
        while due.first().is_some_and(|(at, ..)| *at <= now) {
            let (at, hop, syn) = due.remove(0);
            let at = Instant::from_millis(at);
            if hop < DISTANCE || hop >= refuses {
                let says = match hop >= refuses {
                    true => (Type::Unreachable, 1),
                    false => (Type::TimeExceeded, 0),
                };
                let from = router(AddressFamily::of(config.target), hop.min(refuses));
                let error = quoting(&tcp, from, says, &syn, 8);
                let hop_limit = None;
                let arrival = Arrival {
                    at,
                    from,
                    hop_limit,
                };
                tracer.handle(arrival, &error).unwrap();
            } else {
                accept_segment(&mut tracer, at, &segment(&syn, 0x12));
            }
        }
        match tracer.poll(Instant::from_millis(now), &mut buf).unwrap() {
            Action::Transmit(probe) => {
                let hop = probe.hop_limit;
                let before = sent.iter().filter(|sent| sent.hop == hop).count();
                let far = u64::from(hop.min(DISTANCE).min(refuses));
                if is_answered(hop, before) {
                    due.push((now + far * STEP, hop, probe.message.to_vec()));
                }
                let own = tcp.source_port.to_be_bytes();
                sent.push(Sent {
                    at: now - BEGIN,
                    hop,
                    is_apart: probe.message[..2] != own,
                });
            }
            Action::Wait(until) => {
                let until = until.as_nanos().div_ceil(1_000_000);
                let next = due.first().map_or(until, |(at, ..)| (*at).min(until));
                now = next.max(now + 1);
            }
            Action::Done => return (sent, now - BEGIN),
        }
    }
}

/// Whether each probe to a hop left from another port.
fn apart(sent: &[Sent], hop: u8) -> Vec<bool> {
    let to_hop = sent.iter().filter(|sent| sent.hop == hop);
    to_hop.map(|sent| sent.is_apart).collect()
}

/// When each probe to a hop left.
fn times(sent: &[Sent], hop: u8) -> Vec<u64> {
    let to_hop = sent.iter().filter(|sent| sent.hop == hop);
    to_hop.map(|sent| sent.at).collect()
}

fn expecting(family: AddressFamily, attempts: u8) -> Config {
    asking(family, attempts, Sweep::Window { first: 6, step: 3 })
}

#[test]
fn a_silent_hop_that_the_flow_has_passed_is_asked_again_on_it() {
    for family in BOTH {
        let (sent, _) = play(&expecting(family, 1), |hop, _| hop != 3);
        assert_eq!(apart(&sent, 3), [false; 3]);
    }
}

#[test]
fn the_hop_before_the_target_is_asked_again_on_the_flow_once_and_then_from_other_ports() {
    for family in BOTH {
        let (sent, _) = play(&expecting(family, 1), |hop, _| hop != 5);
        assert_eq!(apart(&sent, 5), [false, false, true, true, true]);
        // With two attempts the second is one of them.
        let (sent, _) = play(&expecting(family, 2), |hop, _| hop != 5);
        assert_eq!(apart(&sent, 5), [false, false, false, true, true, true]);
    }
}

#[test]
fn the_target_is_asked_again_from_other_ports() {
    for family in BOTH {
        // The second left before the target had answered, and is lost.
        let (sent, _) = play(&expecting(family, 2), |hop, before| hop < 6 || before != 1);
        assert_eq!(apart(&sent, 6), [false, false, true]);
    }
}

#[test]
fn without_detours_the_target_is_asked_on_the_flow_one_attempt_after_the_other() {
    for family in BOTH {
        let one_flow = Tcp {
            detours: false,
            ..tcp()
        };
        for (tcp, left) in [(tcp(), [0, 59, 63]), (one_flow, [0, 59, 119])] {
            let (sent, _) = play_by::<64>(tcp, &expecting(family, 3), u8::MAX, |_, _| true);
            assert_eq!(times(&sent, 6), left);
            assert_eq!(apart(&sent, 6), [false, false, tcp.detours]);
        }
    }
}

#[test]
fn a_hop_that_has_answered_on_another_flow_is_asked_no_more() {
    for family in BOTH {
        // The router where the target was expected lets no SYN of the flow pass.
        let expected = Sweep::Window { first: 5, step: 3 };
        let (sent, _) = play(&asking(family, 4, expected), |hop, before| match hop {
            1 | 2 => true,
            5 => before > 0,
            _ => false,
        });
        // The last left before the one before it was answered. A fourth was asked for.
        assert_eq!(apart(&sent, 5), [false, true, true]);
        assert_eq!(apart(&sent, 2), [false; 4]);
    }
}

#[test]
fn the_first_probes_wait_for_nothing() {
    for family in BOTH {
        for attempts in [1, 3] {
            let (sent, _) = play(&expecting(family, attempts), |_, _| true);
            for hop in 1..=6 {
                assert_eq!(times(&sent, hop)[0], 0, "hop {hop}, {attempts} attempts");
            }
            // Nor do those that follow, while the edge is in flight.
            let cold = Sweep::Window { first: 2, step: 3 };
            let (sent, _) = play(&asking(family, attempts, cold), |hop, _| hop < 6);
            let first: Vec<u64> = (1..=8).map(|hop| times(&sent, hop)[0]).collect();
            assert_eq!(first, [0, 0, 20, 20, 20, 50, 60, 70], "{attempts}");
        }
    }
}

#[test]
fn attempts_wait_for_what_may_be_at_the_target() {
    for family in BOTH {
        let config = asking(family, 3, Sweep::Window { first: 2, step: 3 });
        let all = |sent: &[Sent], hops: u8| -> Vec<_> {
            (1..=hops).map(|hop| times(sent, hop)).collect()
        };
        // What is in flight behind the last router is waited for first.
        let (sent, _) = play(&config, |hop, _| hop < 6);
        let late: [&[u64]; 8] = [
            &[0, 14, 188],
            &[0, 14, 188],
            &[20, 45, 188],
            &[20, 129, 188],
            &[20, 129, 188],
            &[50, 129],
            &[60],
            &[70],
        ];
        assert_eq!(all(&sent, 8), late);
        // Where nothing can be there they follow the answers.
        let config = Config {
            max_hops: 5,
            ..config
        };
        let (sent, _) = play(&config, |_, _| true);
        let soon = [
            [0, 14, 70],
            [0, 14, 70],
            [20, 45, 70],
            [20, 56, 70],
            [20, 67, 71],
        ];
        assert_eq!(all(&sent, 5), soon);
    }
}

#[test]
fn a_silent_target_is_asked_again_when_it_is_overdue_and_given_up_in_time() {
    for family in BOTH {
        let (cold, known) = (
            Sweep::Window { first: 2, step: 3 },
            Sweep::Window { first: 6, step: 3 },
        );
        let cases: [(Sweep, u8, &[u64], u64); 6] = [
            (cold, 1, &[50], 480),
            (cold, 3, &[50, 129], 480),
            (known, 1, &[0, 190], 480),
            (known, 3, &[0, 59, 190, 249], 480),
            (Sweep::Burst, 1, &[0, 190], 480),
            (Sweep::Burst, 3, &[0, 0, 0], 480),
        ];
        for (sweep, attempts, asked, lasts) in cases {
            let (sent, took) = play(&asking(family, attempts, sweep), |hop, _| hop < 6);
            assert_eq!(times(&sent, 6), asked, "{sweep:?} {attempts}");
            assert_eq!(took, lasts, "{sweep:?} {attempts}");
        }
    }
}

#[test]
fn at_a_silent_end_patience_multiplies_the_wait_and_the_timeout_bounds_it() {
    for family in BOTH {
        let one = asking(family, 1, Sweep::Window { first: 6, step: 3 });
        let patient = Config { patience: 3, ..one };
        let (_, took) = play(&patient, |hop, _| hop < 6);
        assert_eq!(took, 3 * 480);
        let hurried = Config {
            timeout: Duration::from_millis(200),
            ..one
        };
        let (sent, took) = play(&hurried, |hop, _| hop < 6);
        assert_eq!((times(&sent, 6).as_slice(), took), (&[0, 190][..], 390));
        // What was lost at a router that has answered isn't waited for so long.
        let near = Config {
            max_hops: 5,
            ..asking(family, 3, Sweep::Window { first: 2, step: 3 })
        };
        let (_, took) = play(&near, |hop, before| hop != 5 || before != 2);
        assert_eq!(took, 161);
    }
}

/// Which hops got a probe.
fn hops(sent: &[Sent]) -> Vec<u8> {
    let mut hops: Vec<u8> = sent.iter().map(|sent| sent.hop).collect();
    hops.sort_unstable();
    hops.dedup();
    hops
}

#[test]
fn once_an_end_is_known_nothing_goes_past_it() {
    for family in BOTH {
        let cold = Sweep::Window { first: 2, step: 3 };
        // The next probe would have left after the answer.
        let config = Config {
            interval: Duration::from_millis(2 * u64::from(DISTANCE) * STEP),
            ..asking(family, 1, cold)
        };
        let (sent, _) = play(&config, |_, _| true);
        assert_eq!(hops(&sent), [1, 2, 3, 4, 5, 6]);
        // A router refuses everything, and may refuse just what expires there: what goes farther
        // tells, as far as without its answer.
        let (sent, _) = play_in::<64>(&config, 4, |_, _| true);
        assert_eq!(hops(&sent), [1, 2, 3, 4, 5, 6]);
        let (sent, _) = play_in::<64>(&expecting(family, 1), 4, |_, _| true);
        assert_eq!(hops(&sent), [1, 2, 3, 4, 5, 6]);
    }
}

#[test]
fn the_last_places_are_kept_for_silent_hops_as_long_as_answers_may_come() {
    for family in BOTH {
        let config = Config {
            max_hops: 8,
            ..asking(family, 1, Sweep::Window { first: 8, step: 3 })
        };
        let (sent, _) = play_in::<8>(&config, u8::MAX, |_, _| true);
        assert_eq!(hops(&sent), [1, 2, 3, 4, 5, 6, 7]);
        let (sent, _) = play(&config, |_, _| true);
        assert_eq!(hops(&sent), [1, 2, 3, 4, 5, 6, 7, 8]);
    }
}

#[test]
fn a_sweep_that_begins_farther_out_goes_three_hops_at_a_time() {
    for family in BOTH {
        for (first, expected) in [(1, [0, 0, 0, 20, 30]), (2, [0, 20, 20, 20, 50])] {
            let config = Config {
                first_hop: 2,
                ..asking(family, 1, Sweep::Window { first, step: 3 })
            };
            let (sent, _) = play(&config, |_, _| true);
            let left: Vec<_> = (2..=6).map(|hop| times(&sent, hop)[0]).collect();
            assert_eq!(left, expected, "{first}");
        }
    }
}

#[test]
fn a_slow_burst_goes_from_hop_to_hop() {
    for family in BOTH {
        let config = Config {
            max_hops: 8,
            interval: Duration::from_millis(500),
            ..asking(family, 1, Sweep::Burst)
        };
        let (sent, _) = play(&config, |_, _| false);
        let first: Vec<u8> = sent.iter().map(|sent| sent.hop).take(8).collect();
        assert_eq!(first, [1, 2, 3, 4, 5, 6, 7, 8]);
    }
}

#[test]
fn what_is_asked_again_late_is_waited_for_no_longer_than_until_it_is_quiet() {
    for family in BOTH {
        let config = Config {
            interval: Duration::from_millis(100),
            ..asking(family, 1, Sweep::Window { first: 2, step: 3 })
        };
        // The last leaves after 700 ms, and is overdue 90 ms later; the others have long had all of
        // their time.
        let (sent, took) = play(&config, |hop, _| hop < 6);
        assert_eq!(sent.last().map(|sent| sent.at), Some(700));
        assert_eq!(took, 700 + 90 + 190);
    }
}
