//! The figures of a hop: loss, and the least, the middle and the greatest RTT.

use super::value::milliseconds;
use hopshot_core::{Hop, Loss, Reply};
use serde::Serialize;
use std::time::Duration;

/// The probes to a hop, all addresses there together. Probes that did not get out of this machine
/// don't count; those whose answer proves nothing have a count of their own, and no RTT; those that
/// were still on their way when the trace was interrupted count as sent only. RTTs are in
/// milliseconds.
#[derive(Clone, Copy, Debug, Default, PartialEq, Serialize)]
#[non_exhaustive]
pub struct Figures {
    /// Probes that left this machine.
    pub sent: usize,
    /// Those of them that are lost: without any answer.
    pub lost: usize,
    /// Those whose answer [proves nothing](hopshot_core::Changes::UNPROVEN), so that anybody may
    /// have written it.
    pub unproven: usize,
    /// The least RTT.
    pub best_ms: Option<f64>,
    /// The RTT in the middle, or between the two there: to half a nanosecond, which
    /// [`Hop::median`] rounds.
    pub median_ms: Option<f64>,
    /// The mean of all RTTs.
    pub average_ms: Option<f64>,
    /// The greatest RTT.
    pub worst_ms: Option<f64>,
}

impl From<Hop<'_>> for Figures {
    fn from(hop: Hop<'_>) -> Self {
        let proven = hop.replies().filter(Reply::is_proven);
        let unproven = hop.replies().filter(|reply| !reply.is_proven()).count();
        let figures = Self::new(proven.map(|reply| reply.rtt).collect(), hop.loss());
        Self {
            // A hop's own loss has them too, as it may decide something.
            lost: figures.lost.saturating_sub(unproven),
            unproven,
            ..figures
        }
    }
}

impl Figures {
    /// Sums RTTs up, in whatever order. A sum that is longer than a `Duration` is taken for the
    /// longest.
    #[must_use]
    pub fn new(mut rtts: Vec<Duration>, loss: Loss) -> Self {
        rtts.sort_unstable();
        // Not `Iterator::sum`, which panics where the sum is too long.
        let sum = rtts
            .iter()
            .fold(Duration::ZERO, |sum, rtt| sum.saturating_add(*rtt));
        let average = u32::try_from(rtts.len())
            .ok()
            .filter(|count| *count > 0)
            .map(|count| sum / count);
        Self {
            sent: loss.sent,
            lost: loss.lost,
            unproven: 0,
            best_ms: rtts.first().map(|rtt| milliseconds(*rtt)),
            median_ms: median(&rtts),
            average_ms: average.map(milliseconds),
            worst_ms: rtts.last().map(|rtt| milliseconds(*rtt)),
        }
    }
}

/// The RTT in the middle of a sorted list, or between the two there.
fn median(sorted: &[Duration]) -> Option<f64> {
    let at = |index: usize| sorted.get(index).map(|rtt| milliseconds(*rtt));
    let middle = sorted.len() / 2;
    match sorted.len() % 2 {
        0 => Some(f64::midpoint(at(middle.checked_sub(1)?)?, at(middle)?)),
        _ => at(middle),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_figures_are_of_what_was_answered_and_the_loss_of_all() {
        let of = |rtts: &[u64], lost, sent| {
            Figures::new(
                rtts.iter().map(|rtt| Duration::from_millis(*rtt)).collect(),
                Loss { lost, sent },
            )
        };
        let figures = of(&[9, 1, 2], 1, 6);
        assert_eq!((figures.sent, figures.lost), (6, 1));
        let rtts = [
            figures.best_ms,
            figures.median_ms,
            figures.average_ms,
            figures.worst_ms,
        ];
        assert_eq!(rtts, [1.0, 2.0, 4.0, 9.0].map(Some));
        assert_eq!(
            of(&[], 3, 3),
            Figures {
                sent: 3,
                lost: 3,
                ..Figures::default()
            }
        );
    }

    #[test]
    fn rtts_of_any_length_have_figures() {
        let longest = milliseconds(Duration::MAX);
        for (rtts, [best, median, average, worst]) in [
            (vec![Duration::MAX], [longest; 4]),
            (
                vec![Duration::MAX; 2],
                [longest, longest, longest / 2.0, longest],
            ),
            (
                vec![Duration::MAX, Duration::ZERO, Duration::from_nanos(1)],
                [0.0, 1e-6, longest / 3.0, longest],
            ),
        ] {
            let loss = Loss {
                lost: usize::MAX,
                sent: usize::MAX,
            };
            let figures = Figures::new(rtts, loss);
            assert_eq!(figures.best_ms, Some(best));
            assert_eq!(figures.median_ms, Some(median));
            let found = figures.average_ms.unwrap();
            assert!((found / average - 1.0).abs() < 1e-12, "{found} {average}");
            assert_eq!(figures.worst_ms, Some(worst));
            assert_eq!((figures.sent, figures.lost), (usize::MAX, usize::MAX));
        }
    }

    #[test]
    fn the_median_is_the_one_in_the_middle_or_between_two() {
        let of = |milliseconds: &[u64]| {
            median(
                &milliseconds
                    .iter()
                    .map(|rtt| Duration::from_millis(*rtt))
                    .collect::<Vec<_>>(),
            )
        };
        let found = [
            of(&[7]),
            of(&[1, 4]),
            of(&[1, 2, 9]),
            of(&[1, 2, 4, 9]),
            of(&[]),
        ];
        assert_eq!(found, [Some(7.0), Some(2.5), Some(2.0), Some(3.0), None]);
    }
}
