//! What no plan can beat. All that a plan learns before the target answers is which routers have; so a plan is a function from
//! the farthest router heard to the farthest hop sent to. This tries them all, on the paths of the first table of `FIGURES.md`.

/// Paths of 5 to 25 hops.
const LENGTHS: std::ops::RangeInclusive<usize> = 5..=25;
/// The probes that all of them need.
const NEEDED: usize = 315;

/// `opens[h]` is the farthest hop sent to once router h was heard. Returns the mean time in round trips, unless more than
/// `budget` probes in all go past the target.
fn mean_time(opens: &[usize; 26], budget: usize) -> Option<f64> {
    let (mut time, mut waste) = (0.0, 0);
    for hops in LENGTHS {
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
        let end = last.max(sent_at[hops] + 1.0);
        time += end;
        waste += sent - hops;
        if waste > budget {
            return None;
        }
    }
    Some(time / LENGTHS.count() as f64)
}

/// Tries every way to go on from router `from`.
fn search(opens: &mut [usize; 26], from: usize, budget: usize, best: &mut f64) {
    if from == opens.len() {
        *best = best.min(mean_time(opens, budget).unwrap_or(f64::MAX));
        return;
    }
    for reach in opens[from - 1].max(from + 1)..=26 {
        opens[from] = reach;
        search(opens, from + 1, budget, best);
    }
}

#[test]
fn no_plan_takes_less_than_1_22_round_trips_with_40_percent_waste() {
    let mut best = f64::MAX;
    for first in 17..=21 {
        let mut opens = [first; 26];
        search(&mut opens, 12, NEEDED * 40 / 100, &mut best);
    }
    println!("{best:.4}");
    assert!((1.22..1.23).contains(&best), "{best}");
}
