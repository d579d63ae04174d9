//! Little room: the first probes get lost, and there are hardly places to ask again. The distance is right, or it is said that it
//! may not be.

use crate::network::{BOTH, ECHO, Trace, config};
use hopshot_core::{Action, Config, Instant, SendError, StopReason, Sweep, Tracer};
use std::collections::VecDeque;

/// A trace as it is by default.
fn default(version: hopshot_core::wire::Version) -> Config {
    Config { max_hops: 32, sweep: None, ..config(version) }
}

/// Plays all distances in `N` places, where the first `lost` probes are lost. How many are right, and how many it is said of that
/// they may not be.
fn distances<const N: usize>(lost: usize) -> (usize, usize) {
    let (mut right, mut doubted) = (0, 0);
    for version in BOTH {
        for distance in 1..=31 {
            let mut trace = Trace::<N>::in_room(default(version));
            trace.play(distance, |index, _| index >= lost);
            match (trace.distance(), trace.tracer.route().stop_reason()) {
                (found, Some(StopReason::Reached)) => {
                    assert_eq!(found, Some(distance), "{version:?}, {lost} lost");
                    right += 1;
                }
                (_, reason) => {
                    assert_eq!(reason, Some(StopReason::NoRoom), "{version:?}, {distance} hops, {lost} lost");
                    doubted += 1;
                }
            }
        }
    }
    (right, doubted)
}

#[test]
fn a_first_burst_that_is_lost_never_makes_a_wrong_distance() {
    for lost in 0..=26 {
        let found = [distances::<32>(lost), distances::<48>(lost), distances::<64>(lost)];
        assert_eq!(found, [(62, 0); 3], "{lost} lost");
    }
    // With a place for every hop and five to spare it can only be said.
    for lost in 27..=31 {
        let (right, doubted) = distances::<32>(lost);
        assert!(doubted > 40 && right + doubted == 62, "{lost} lost: {right}, {doubted}");
        assert_eq!(distances::<48>(lost), (62, 0), "{lost} lost");
    }
}

#[test]
fn a_burst_asked_for_is_not_held_back() {
    let mut trace = Trace::<32>::in_room(Config { sweep: Some(Sweep::Burst), ..default(BOTH[0]) });
    assert_eq!(trace.probes.len(), 32);
    trace.play(12, |index, _| index >= 20);
    assert_eq!((trace.distance(), trace.tracer.route().stop_reason()), (Some(21), Some(StopReason::NoRoom)));
}

#[test]
fn the_last_places_are_used_once_nothing_more_is_to_come() {
    // Nobody answers from hop 12 on: all hops are probed all the same.
    let mut trace = Trace::<32>::in_room(default(BOTH[0]));
    trace.play(33, |_, hop| hop < 12);
    assert_eq!((trace.hops.len(), trace.hops.last()), (32, Some(&32)));
    assert_eq!(trace.tracer.route().stop_reason(), Some(StopReason::Quiet));
}

/// Traces with a queue that holds one frame, which takes `frame` nanoseconds to leave; what doesn't fit fails.
fn with_a_queue_of_one<const N: usize>(distance: u8, frame: u64) -> Trace<N> {
    const RTT: u64 = 80_000_000;
    let tracer = Tracer::new(default(BOTH[0]), ECHO).unwrap();
    let (probes, hops, sent, reasons) = Default::default();
    let mut trace = Trace::<N> { tracer, version: BOTH[0], probes, hops, sent, reasons };
    let (mut now, mut free, mut buf) = (Instant::EPOCH, 0, [0; 64]);
    let mut due = VecDeque::new();
    for _ in 0..10_000 {
        while let Some((at, index)) = due.front().copied().filter(|(at, _)| *at <= now.as_nanos()) {
            due.pop_front();
            let is_target = trace.hops[index] >= distance;
            trace.answer(Instant::from_nanos(at), index, is_target).unwrap();
        }
        let until = match trace.tracer.poll(now, &mut buf).unwrap() {
            Action::Done => return trace,
            Action::Transmit(probe) => {
                trace.probes.push(probe.message.to_vec());
                trace.hops.push(probe.hop_limit);
                if now.as_nanos() < free {
                    trace.tracer.fail(probe.probe, SendError(105));
                } else {
                    free = now.as_nanos() + frame;
                    due.push_back((now.as_nanos() + RTT, trace.probes.len() - 1));
                }
                continue;
            }
            Action::Wait(until) => until,
        };
        now = due.front().map_or(until, |(at, _)| until.min(Instant::from_nanos(*at)));
    }
    panic!("the trace doesn't end");
}

#[test]
fn a_queue_of_one_frame_never_makes_a_wrong_distance() {
    fn check<const N: usize>(distance: u8, frame: u64) {
        let trace = with_a_queue_of_one::<N>(distance, frame);
        let found = (trace.distance(), trace.tracer.route().stop_reason());
        assert_eq!(found, (Some(distance), Some(StopReason::Reached)), "{N} places, {frame} ns a frame");
    }
    for distance in 1..=31 {
        for frame in [1, 120_000, 1_200_000] {
            check::<32>(distance, frame);
            check::<48>(distance, frame);
        }
    }
}
