//! Little room: the first probes get lost, and there are hardly places to ask again. The distance
//! is right, or it is said that it may not be.

use crate::network::{BOTH, ECHO, Trace, config};
use hopshot_core::wire::AddressFamily;
use hopshot_core::{Action, Config, Instant, SendError, StopReason, Sweep, Tracer};
use std::collections::VecDeque;

/// A trace as it is by default.
fn default(family: AddressFamily) -> Config {
    Config {
        max_hops: 32,
        sweep: None,
        ..config(family)
    }
}

/// Plays all distances in `N` places, where the first `lost` probes are lost. How many are right,
/// and how many it is said of that they may not be.
fn distances<const N: usize>(lost: usize) -> (usize, usize) {
    let (mut right, mut doubted) = (0, 0);
    for family in BOTH {
        for distance in 1..=31 {
            let mut trace = Trace::<N>::in_room(default(family));
            trace.play(distance, |index, _| index >= lost);
            match (trace.distance(), trace.tracer.route().stop_reason()) {
                (found, Some(StopReason::Reached)) => {
                    assert_eq!(found, Some(distance), "{family:?}, {lost} lost");
                    right += 1;
                }
                (_, reason) => {
                    assert_eq!(
                        reason,
                        Some(StopReason::NoRoom),
                        "{family:?}, {distance} hops, {lost} lost"
                    );
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
        let found = [
            distances::<32>(lost),
            distances::<48>(lost),
            distances::<64>(lost),
        ];
        assert_eq!(found, [(62, 0); 3], "{lost} lost");
    }
    // With a place for every hop and five to spare it can only be said.
    for lost in 27..=31 {
        let (right, doubted) = distances::<32>(lost);
        assert!(
            doubted > 40 && right + doubted == 62,
            "{lost} lost: {right}, {doubted}"
        );
        assert_eq!(distances::<48>(lost), (62, 0), "{lost} lost");
    }
}

#[test]
fn a_burst_asked_for_is_not_held_back() {
    let mut trace = Trace::<32>::in_room(Config {
        sweep: Some(Sweep::Burst),
        ..default(BOTH[0])
    });
    assert_eq!(trace.probes.len(), 32);
    trace.play(12, |index, _| index >= 20);
    assert_eq!(
        (trace.distance(), trace.tracer.route().stop_reason()),
        (Some(21), Some(StopReason::NoRoom))
    );
}

#[test]
fn the_last_places_are_used_once_nothing_more_is_to_come() {
    // Nobody answers from hop 12 on: all hops are probed all the same.
    let mut trace = Trace::<32>::in_room(default(BOTH[0]));
    trace.play(33, |_, hop| hop < 12);
    assert_eq!((trace.hops.len(), trace.hops.last()), (32, Some(&32)));
    assert_eq!(trace.tracer.route().stop_reason(), Some(StopReason::Quiet));
}

#[test]
fn the_sweep_leaves_the_last_places_to_as_many_silent_hops_as_it_has_passed() {
    for family in BOTH {
        let sweep = Some(Sweep::Window { first: 32, step: 1 });
        let mut trace = Trace::<32>::in_room(Config {
            sweep,
            ..default(family)
        });
        // The last quarter of the places is at stake: the others go out at once.
        assert_eq!(trace.hops, Vec::from_iter(1..=24));
        for heard in 1..=31 {
            trace.time_exceeded(80, heard).unwrap();
            trace.send(80);
            // No more places are left than hops that have not answered, and no fewer than one less.
            let sent = usize::from((32 + heard).div_ceil(2).max(24));
            assert_eq!(trace.hops.len(), sent, "{family:?}, {heard} heard");
        }
    }
}

#[test]
fn the_sweep_takes_the_last_places_as_soon_as_nothing_is_waited_for() {
    for family in BOTH {
        // What can't be sent is silent too, but no answer can come.
        let sweep = Some(Sweep::Window { first: 32, step: 1 });
        let mut tracer = Tracer::<32>::new(
            Config {
                sweep,
                ..default(family)
            },
            ECHO,
        )
        .unwrap();
        let (mut now, mut tried) = (Instant::EPOCH, Vec::new());
        for _ in 0..100 {
            match tracer.poll(now, &mut [0; 64]).unwrap() {
                Action::Transmit(probe) => {
                    tried.push((probe.hop_limit, now.as_nanos()));
                    tracer.fail(probe.probe, SendError(105));
                }
                Action::Wait(until) => now = until,
                Action::Done => break,
            }
        }
        // Each a moment after the other.
        assert_eq!(
            tried,
            Vec::from_iter((1..=32).map(|hop| (hop, (u64::from(hop) - 1) * 1_250_000))),
            "{family:?}"
        );
    }
}

/// The silent hops that are asked again in `N` places, and when, in milliseconds: hop 8 is the
/// target, and of the others from `first_hop` on those in `heard` answer.
fn asked_again<const N: usize>(
    family: AddressFamily,
    first_hop: u8,
    heard: &[u8],
) -> Vec<(u64, u8)> {
    let sweep = Some(Sweep::Window { first: 8, step: 1 });
    let mut trace = Trace::<N>::in_room(Config {
        first_hop,
        max_hops: 8,
        sweep,
        ..config(family)
    });
    let swept = trace.hops.len();
    assert_eq!(trace.hops, Vec::from_iter(first_hop..=8));
    trace.play(8, |index, hop| {
        index < swept && (hop == 8 || heard.contains(&hop))
    });
    let again = trace.hops.iter().zip(&trace.sent).skip(swept);
    again
        .map(|(hop, sent)| (sent.as_nanos() / 1_000_000, *hop))
        .collect()
}

#[test]
fn with_fewer_places_than_silent_hops_the_end_is_looked_for_from_the_middle_one_probe_at_a_time() {
    for family in BOTH {
        // Every answer takes 80 ms, so the next is asked after 92 more. Three places for seven
        // hops, and one too few.
        assert_eq!(
            asked_again::<11>(family, 1, &[]),
            [(184, 4), (276, 3), (368, 5)]
        );
        let one_by_one = [(184, 4), (276, 3), (368, 5), (460, 2), (552, 6), (644, 1)];
        assert_eq!(asked_again::<14>(family, 1, &[]), one_by_one);
        // With a place for each they are asked when they are due, as long as that is so.
        assert_eq!(
            asked_again::<15>(family, 1, &[])[..3],
            [(92, 1), (184, 4), (276, 3)]
        );
        assert_eq!(
            asked_again::<17>(family, 1, &[])[..4],
            [(92, 1), (92, 2), (92, 3), (184, 4)]
        );
        // Hops that were never asked need none.
        assert_eq!(asked_again::<10>(family, 3, &[])[..2], [(184, 5), (276, 4)]);
        assert_eq!(asked_again::<11>(family, 3, &[])[..2], [(92, 3), (184, 5)]);
    }
}

#[test]
fn silent_routers_get_the_last_places_only_where_the_end_is_known() {
    for family in BOTH {
        // Hops 1 and 2 are routers for sure, 4 to 7 may be the target: the middle of 3 and 8 is 5.
        assert_eq!(
            asked_again::<12>(family, 1, &[3]),
            [(184, 5), (276, 4), (368, 6), (460, 7)]
        );
        // Hop 7 is a router, so nothing but routers is missing.
        assert_eq!(
            asked_again::<11>(family, 1, &[2, 3, 7]),
            [(92, 1), (92, 4), (92, 5)]
        );
    }
}

/// What becomes of a probe that a stack takes.
enum Fate {
    Leaves,
    /// The stack has no room, and the probe has had its place.
    Fails,
    /// The stack has no room, and the probe is given back until there is: at this time.
    ComesBack(u64),
}

const RTT: u64 = 80_000_000;

/// Traces through a stack. It is asked about each probe with what is under way (when each answer
/// comes, to which probe), the time, and the number of the probe, and adds it there if it leaves.
fn through<const N: usize>(
    family: AddressFamily,
    distance: u8,
    mut stack: impl FnMut(&mut VecDeque<(u64, usize)>, u64, usize) -> Fate,
) -> Trace<N> {
    let tracer = Tracer::new(default(family), ECHO).unwrap();
    let (probes, hops, sent, reasons) = Default::default();
    let mut trace = Trace::<N> {
        tracer,
        family,
        probes,
        hops,
        sent,
        reasons,
    };
    let (mut now, mut buf) = (Instant::EPOCH, [0; 64]);
    let mut due = VecDeque::new();
    for _ in 0..10_000 {
        while let Some((at, index)) = due.front().copied().filter(|(at, _)| *at <= now.as_nanos()) {
            due.pop_front();
            let is_target = trace.hops[index] >= distance;
            trace
                .answer(Instant::from_nanos(at), index, is_target)
                .unwrap();
        }
        let until = match trace.tracer.poll(now, &mut buf).unwrap() {
            Action::Done => return trace,
            Action::Transmit(probe) => {
                trace.probes.push(probe.message.to_vec());
                trace.hops.push(probe.hop_limit);
                let id = probe.probe;
                match stack(&mut due, now.as_nanos(), trace.probes.len() - 1) {
                    Fate::Leaves => continue,
                    Fate::Fails => {
                        trace.tracer.fail(id, SendError(105));
                        continue;
                    }
                    Fate::ComesBack(free) => {
                        trace.tracer.unsent(id);
                        trace.probes.pop();
                        trace.hops.pop();
                        Instant::from_nanos(free)
                    }
                }
            }
            Action::Wait(until) => until,
        };
        now = due
            .front()
            .map_or(until, |(at, _)| until.min(Instant::from_nanos(*at)));
    }
    panic!("the trace doesn't end");
}

fn assert_right<const N: usize>(trace: &Trace<N>, distance: u8, how: &str) {
    let found = (trace.distance(), trace.tracer.route().stop_reason());
    let right = (Some(distance), Some(StopReason::Reached));
    assert_eq!(found, right, "{:?}, {N} places, {how}", trace.family);
}

#[test]
fn a_queue_of_one_frame_never_makes_a_wrong_distance() {
    fn check<const N: usize>(family: AddressFamily, distance: u8, frame: u64) {
        for gives_back in [false, true] {
            let mut free = 0;
            let trace = through::<N>(family, distance, |due, now, index| {
                if now >= free {
                    free = now + frame;
                    due.push_back((now + RTT, index));
                    Fate::Leaves
                } else if gives_back {
                    Fate::ComesBack(free)
                } else {
                    Fate::Fails
                }
            });
            let how = format!("{frame} ns a frame, given back: {gives_back}");
            assert_right(&trace, distance, &how);
            if gives_back {
                // Nothing but the target's own distance limits what is heard.
                let heard = trace.route().iter().flatten().count();
                assert_eq!(heard, usize::from(distance), "{how}");
            }
        }
    }
    for family in BOTH {
        for distance in 1..=31 {
            for frame in [1, 120_000, 1_200_000] {
                check::<32>(family, distance, frame);
                check::<48>(family, distance, frame);
            }
        }
    }
}

/// As lwIP does it: while it asks for the hardware address of the router it keeps the last ten
/// packets, drops the others, and says of all that they were sent. Its first question is lost, and
/// the next follows a second later.
#[test]
fn a_first_question_for_the_neighbour_that_is_lost_never_makes_a_wrong_distance() {
    fn check<const N: usize>(family: AddressFamily, distance: u8, known: u64, kept: usize) {
        let trace = through::<N>(family, distance, |due, now, index| {
            let leaves = now.max(known);
            due.push_back((leaves + RTT, index));
            let waits = |(at, _): &(u64, usize)| leaves == known && *at == known + RTT;
            if due.iter().filter(|packet| waits(packet)).count() > kept {
                let oldest = due.iter().position(waits).unwrap();
                due.remove(oldest);
            }
            Fate::Leaves
        });
        let reason = trace.tracer.route().stop_reason();
        let is_told = reason == Some(StopReason::NoRoom) && N == 32;
        // A queue of one or two may hold the only probe that could have told.
        if !is_told && (kept == 10 || trace.distance().is_some()) {
            assert_right(&trace, distance, &format!("{kept} kept until {known} ns"));
        }
    }
    for family in BOTH {
        for distance in 1..=31 {
            for kept in [1, 3, 10] {
                for known in [300_000, 30_000_000, 1_000_000_000] {
                    check::<32>(family, distance, known, kept);
                    check::<48>(family, distance, known, kept);
                    check::<64>(family, distance, known, kept);
                }
            }
        }
    }
}

#[test]
fn nearer_hops_get_no_probe_where_there_is_no_room_for_one() {
    for family in BOTH {
        let mut trace = Trace::<4>::in_room(Config {
            first_hop: 3,
            max_hops: 4,
            ..default(family)
        });
        trace.play(4, |_, hop| hop == 4);
        assert_eq!(trace.hops, [3, 4, 3, 3]);
        trace.tracer.start_from(1).unwrap();
        trace.run_out(3_000);
        assert_eq!(trace.hops.len(), 4);
        assert_eq!(trace.tracer.route().probes_sent(), 4);
    }
}
