//! Times and losses of sides that differ by more than noise.
//!
//! The times of two sides differ if there are [`LEAST`] answers of each or more, no answer of the
//! slower side is as fast as any of the other, the gap between the two ranges is wider than both
//! together, and than two ranges that are usual on this path, and the times in the middle differ by
//! 20 % and by 2 ms.
//!
//! Losses at the target differ if chance alone would share them so in less than one case of 100
//! (Fisher's exact test).

use super::end::median;
use super::facts::{Facts, HopFacts};
use super::side::Side;
use hopshot_core::Loss;
use std::time::Duration;

/// Answers of each side that a comparison takes. `-q 3` asks for as many.
const LEAST: usize = 3;

/// The least difference in time.
const SPAN: Duration = Duration::from_millis(2);

/// How often chance alone may look like a difference in losses.
const CHANCE: f64 = 0.01;

/// A side whose answers take longer than those of others.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct Slower {
    /// The side.
    pub side: Side,
    /// The RTT in the middle of its answers.
    pub rtt: Duration,
    /// The sides that are faster, with theirs.
    pub than: Vec<(Side, Duration)>,
    /// The hop whose answers are slow, where it is that and not the way to it: a router behind
    /// which answers are as fast as ever, or the target behind one before which they are. `None`
    /// where the way to the target may be longer.
    pub hop: Option<u8>,
    /// Whether it is the target that answers.
    pub is_target: bool,
}

/// A side that loses more probes to the target than another.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct Lossier {
    /// The side.
    pub side: Side,
    /// Its losses.
    pub loss: Loss,
    /// The sides that lose less, with theirs.
    pub than: Vec<(Side, Loss)>,
}

/// Returns all whose answers are slower than those of others, the target's last.
pub(super) fn slower(sides: &[Facts]) -> Vec<Slower> {
    let noise = noise(sides);
    let routers = sides
        .iter()
        .flat_map(|side| &side.hops)
        .map(|hop| hop.number);
    let last = routers.max().unwrap_or(0);
    let routers = (1..=last).flat_map(|hop| sides.iter().map(move |side| (hop, side)));
    let at_routers = routers.filter_map(|(hop, side)| slow_router(sides, side, hop, noise));
    let at_target = sides
        .iter()
        .filter_map(|side| slow_target(sides, side, noise));
    at_routers.chain(at_target).collect()
}

/// Returns that a router answers a side slowly, if it answers all others faster and what it passes
/// on for this side isn't late.
fn slow_router(sides: &[Facts], side: &Facts, hop: u8, noise: Duration) -> Option<Slower> {
    let own = side.hop(hop).filter(|_| side.distance() != Some(hop))?;
    let router = own.only()?;
    let others = sides.iter().filter(|other| other.side != side.side);
    let same = others.filter_map(|other| {
        let there = other.hop(hop).filter(|it| it.only() == Some(router))?;
        (there.rtts.len() >= LEAST).then_some((other.side, &there.rtts))
    });
    let same: Vec<_> = same.collect();
    let is_slower = |(_, rtts): &(Side, &Vec<Duration>)| are_slower(&own.rtts, rtts, noise);
    if same.is_empty() || !same.iter().all(is_slower) {
        return None;
    }
    // Only the answers of the router itself are late.
    let passes = side.hops.iter().any(|behind| {
        let fastest = behind.rtts.first();
        behind.number > hop
            && fastest.is_some_and(|rtt| are_slower(&own.rtts, &[*rtt; LEAST], noise))
    });
    passes.then(|| Slower {
        side: side.side,
        rtt: median(&own.rtts).unwrap_or_default(),
        than: medians(&same),
        hop: Some(hop),
        is_target: false,
    })
}

/// Returns that a side's answers from the target are slow, if they are slower than another's.
fn slow_target(sides: &[Facts], side: &Facts, noise: Duration) -> Option<Slower> {
    let distance = side.distance()?;
    let own = side.hop(distance)?;
    let others = sides.iter().filter(|other| other.side != side.side);
    let faster = others.filter_map(|other| {
        let there = other.hop(other.distance()?)?;
        are_slower(&own.rtts, &there.rtts, noise).then_some((other, &there.rtts))
    });
    let faster: Vec<(&Facts, &Vec<Duration>)> = faster.collect();
    if faster.is_empty() {
        return None;
    }
    // The last router before it is the same, and answers this side as fast as a target should.
    let is_near = |(other, rtts): &(&Facts, &Vec<Duration>)| {
        let last = distance.saturating_sub(1);
        let before = side.hop(last);
        let others = other.hop(last).and_then(HopFacts::only);
        let is_same = |it: &&HopFacts| it.only().is_some() && it.only() == others;
        let late = rtts
            .last()
            .copied()
            .unwrap_or_default()
            .saturating_add(SPAN);
        let fastest = before
            .filter(is_same)
            .and_then(|before| before.rtts.first());
        other.distance() == Some(distance) && fastest.is_some_and(|rtt| *rtt <= late)
    };
    let is_own = faster.iter().all(is_near);
    let than: Vec<_> = faster
        .iter()
        .map(|(other, rtts)| (other.side, *rtts))
        .collect();
    Some(Slower {
        side: side.side,
        rtt: median(&own.rtts)?,
        than: medians(&than),
        hop: is_own.then_some(distance),
        is_target: true,
    })
}

fn medians(sides: &[(Side, &Vec<Duration>)]) -> Vec<(Side, Duration)> {
    let median = |(side, rtts): &(Side, &Vec<Duration>)| (*side, median(rtts).unwrap_or_default());
    sides.iter().map(median).collect()
}

/// Returns the difference in time that is usual between the answers of two sides: twice the range
/// of the answers to one side at a hop, that of the hop in the middle.
fn noise(sides: &[Facts]) -> Duration {
    let hops = sides.iter().flat_map(|side| &side.hops);
    let range = |hop: &HopFacts| Some(hop.rtts.last()?.saturating_sub(*hop.rtts.first()?));
    let several = hops.filter(|hop| hop.rtts.len() >= LEAST);
    let mut ranges: Vec<Duration> = several.filter_map(range).collect();
    ranges.sort_unstable();
    median(&ranges).unwrap_or_default().saturating_mul(2)
}

/// Whether sorted RTTs are greater than others beyond noise.
fn are_slower(slow: &[Duration], fast: &[Duration], noise: Duration) -> bool {
    if slow.len() < LEAST || fast.len() < LEAST {
        return false;
    }
    let ends = |rtts: &[Duration]| Some((*rtts.first()?, *rtts.last()?));
    let (Some((least, most)), Some((fastest, slowest))) = (ends(slow), ends(fast)) else {
        return false;
    };
    let (Some(middle), Some(other)) = (median(slow), median(fast)) else {
        return false;
    };
    let ranges = (most - least).saturating_add(slowest - fastest).max(noise);
    let gap = least.checked_sub(slowest).filter(|gap| *gap > ranges);
    gap.is_some() && middle.saturating_sub(other) > SPAN.max(other / 5)
}

/// Returns the sides that lose more than others.
pub(super) fn lossier(sides: &[Facts]) -> Vec<Lossier> {
    let more = |side: &Facts| {
        let loss = side.loss?;
        let others = sides.iter().filter(|other| other.side != side.side);
        let less = others.filter_map(|other| Some((other.side, other.loss?)));
        let than: Vec<_> = less.filter(|(_, less)| loses_more(loss, *less)).collect();
        (!than.is_empty()).then_some(Lossier {
            side: side.side,
            loss,
            than,
        })
    };
    sides.iter().filter_map(more).collect()
}

/// Whether one loses more than another, and chance doesn't explain it.
fn loses_more(more: Loss, less: Loss) -> bool {
    let lost = more.lost + less.lost;
    // That many of the lost ones, or more, are of the first.
    let chance: f64 = (more.lost..=lost.min(more.sent))
        .map(|of_first| share(more.sent, less.sent, lost, of_first))
        .sum();
    more.lost > 0 && chance < CHANCE
}

/// Returns how probable it is that of all lost probes so many are among the first.
fn share(first: usize, second: usize, lost: usize, of_first: usize) -> f64 {
    let of_second = lost.saturating_sub(of_first);
    (choose(first, of_first) + choose(second, of_second) - choose(first + second, lost)).exp()
}

/// Returns the logarithm of the number of ways to choose some of all.
fn choose(all: usize, some: usize) -> f64 {
    if some > all {
        return f64::NEG_INFINITY;
    }
    let number = |number: usize| f64::from(u32::try_from(number).unwrap_or(u32::MAX));
    (0..some)
        .map(|taken| (number(all - taken) / number(taken + 1)).ln())
        .sum()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn ms(rtts: &[u64]) -> Vec<Duration> {
        rtts.iter().map(|rtt| Duration::from_millis(*rtt)).collect()
    }

    #[test]
    fn times_differ_only_where_noise_does_not_explain_it() {
        for (slow, fast, differs) in [
            (&[95, 96, 97][..], &[41, 42, 43][..], true),
            // Two answers show nothing, nor do ranges that meet, or are as wide as the gap.
            (&[95, 96], &[41, 42, 43], false),
            (&[43, 96, 97], &[41, 42, 43], false),
            (&[60, 70, 90], &[40, 41, 42], false),
            // A difference of less than 20 %, or of 2 ms.
            (&[90, 90, 90], &[80, 80, 80], false),
            (&[3, 3, 3], &[1, 1, 1], false),
            (&[4, 4, 4], &[1, 1, 1], true),
            (&[41, 42, 43], &[95, 96, 97], false),
        ] {
            assert_eq!(
                are_slower(&ms(slow), &ms(fast), Duration::ZERO),
                differs,
                "{slow:?} {fast:?}"
            );
        }
    }

    #[test]
    fn losses_differ_only_where_chance_does_not_explain_it() {
        let loss = |lost, sent| Loss { lost, sent };
        for (more, less, differs) in [
            // All of three against none of three is chance in one case of twenty.
            (loss(3, 3), loss(0, 3), false),
            (loss(1, 3), loss(0, 3), false),
            (loss(5, 10), loss(0, 10), false),
            (loss(6, 10), loss(0, 10), true),
            (loss(9, 10), loss(2, 10), true),
            (loss(0, 10), loss(0, 10), false),
            (loss(0, 10), loss(6, 10), false),
        ] {
            assert_eq!(loses_more(more, less), differs, "{more:?} {less:?}");
        }
    }

    #[test]
    fn chances_are_those_of_the_tables() {
        let chance = |first, second, lost, of_first| share(first, second, lost, of_first);
        assert!((chance(3, 3, 3, 3) - 0.05).abs() < 1e-12);
        assert!((chance(10, 10, 5, 5) - 252.0 / 15_504.0).abs() < 1e-12);
        let all: f64 = (0..=5).map(|of_first| chance(7, 9, 5, of_first)).sum();
        assert!((all - 1.0).abs() < 1e-12);
    }
}
