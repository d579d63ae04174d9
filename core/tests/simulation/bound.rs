//! What no plan can beat. All that a plan learns before the target answers is which routers have;
//! so a plan is a function from the farthest router heard to the farthest hop sent to. This tries
//! all that send to 17 hops or more at once, on the paths of the first table of `FIGURES.md`.
//! (Those that send to 14, 15 or 16, which takes minutes, were tried once at 40 %: none is better.)

use std::ops::RangeInclusive;

/// Paths of 5 to 25 hops.
const LENGTHS: RangeInclusive<usize> = 5..=25;
/// The probes that all of them need.
const NEEDED: usize = 315;

/// `opens[h]` is the farthest hop sent to once router h was heard. Returns how long a path takes in
/// round trips, and how many probes go past its target; neither depends on routers from the target
/// on.
fn traced(opens: &[usize; 26], hops: usize) -> (f64, usize) {
    // Hop h answers h/hops after its probe was sent; the answers come in the order of the hops.
    let mut sent_at = [0.0; 32];
    let (mut sent, mut last) = (opens[0], 0.0_f64);
    for hop in 1..hops {
        let heard = sent_at[hop] + hop as f64 / hops as f64;
        last = last.max(heard);
        while sent < opens[hop] {
            sent += 1;
            sent_at[sent] = heard;
        }
    }
    (last.max(sent_at[hops] + 1.0), sent - hops)
}

/// What the paths that end right behind the routers tried so far take in all.
#[derive(Clone, Copy, Default)]
struct Sums {
    time: f64,
    waste: usize,
}

/// Tries every way to go on from router `from`, unless it wastes more than `budget` or can't be
/// better than `best` any more: no path takes less than a round trip.
fn search(opens: &mut [usize; 26], from: usize, sums: Sums, budget: usize, best: &mut f64) {
    let hops = from + 1;
    if hops > *LENGTHS.end() {
        *best = best.min(sums.time);
        return;
    }
    for reach in opens[from - 1].max(hops)..=26 {
        opens[from] = reach;
        let mut sums = sums;
        if LENGTHS.contains(&hops) {
            let (time, waste) = traced(opens, hops);
            sums = Sums {
                time: sums.time + time,
                waste: sums.waste + waste,
            };
        }
        if sums.waste > budget {
            return;
        }
        let longer = LENGTHS.filter(|length| *length > hops).count();
        if sums.time + (longer as f64) < *best {
            search(opens, hops, sums, budget, best);
        }
    }
}

/// The least mean of all plans that waste no more than so many probes.
fn least(budget: usize) -> f64 {
    let lengths = LENGTHS.count() as f64;
    let mut best = 1.25 * lengths;
    for first in (17..=26).rev() {
        search(&mut [first; 26], 1, Sums::default(), budget, &mut best);
    }
    best / lengths
}

#[test]
fn no_plan_takes_less_than_1_22_round_trips_with_40_percent_waste() {
    let mean = least(NEEDED * 40 / 100);
    println!("{mean:.4}");
    assert!((1.22..1.23).contains(&mean), "{mean}");
}

#[test]
fn no_plan_that_wastes_as_much_as_the_default_is_faster() {
    let mut opens = [20; 26];
    opens[20..].fill(25);
    let traced = LENGTHS.map(|hops| traced(&opens, hops));
    let (time, waste) = traced.fold((0.0, 0), |(time, waste), one| (time + one.0, waste + one.1));
    let mean = time / LENGTHS.count() as f64;
    println!("{mean:.4} {waste}");
    assert_eq!(
        (waste, (least(waste) - mean).abs() < 1e-9),
        (130, true),
        "{mean}"
    );
}
