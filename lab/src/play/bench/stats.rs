//! What many numbers come to.

/// The middle one, or the mean of the two in the middle; `None` of nothing.
pub(super) fn median(numbers: impl IntoIterator<Item = f64>) -> Option<f64> {
    let mut sorted: Vec<f64> = numbers.into_iter().collect();
    sorted.sort_by(f64::total_cmp);
    let middle = sorted.len() / 2;
    let upper = *sorted.get(middle)?;
    Some(if sorted.len() % 2 == 1 {
        upper
    } else {
        (sorted[middle - 1] + upper) / 2.0
    })
}

/// The smallest number that so large a share of all doesn't exceed: of 1 the greatest. `None` of
/// nothing.
pub(super) fn percentile(numbers: &[f64], share: f64) -> Option<f64> {
    let mut sorted = numbers.to_vec();
    sorted.sort_by(f64::total_cmp);
    let place = (sorted.len() as f64 * share).ceil() as usize;
    sorted.get(place.saturating_sub(1)).copied()
}

/// The mean; `None` of nothing.
pub(super) fn mean(numbers: impl IntoIterator<Item = f64>) -> Option<f64> {
    let (count, sum) = numbers
        .into_iter()
        .fold((0.0, 0.0), |(count, sum), number| {
            (count + 1.0, sum + number)
        });
    (count > 0.0).then(|| sum / count)
}

/// A part of a whole; of nothing it is 0.
pub(super) fn share(part: f64, whole: f64) -> f64 {
    if whole > 0.0 { part / whole } else { 0.0 }
}

/// Each number once with how often it came, the most frequent first.
pub(super) fn frequencies(numbers: impl IntoIterator<Item = u8>) -> Vec<(u8, usize)> {
    let mut counts: Vec<(u8, usize)> = Vec::new();
    for number in numbers {
        match counts.iter_mut().find(|(seen, _)| *seen == number) {
            Some((_, count)) => *count += 1,
            None => counts.push((number, 1)),
        }
    }
    counts.sort_by_key(|(number, count)| (core::cmp::Reverse(*count), *number));
    counts
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_median_is_in_the_middle() {
        assert_eq!(median([]), None);
        assert_eq!(median([3.0]), Some(3.0));
        assert_eq!(median([9.0, 1.0, 2.0]), Some(2.0));
        assert_eq!(median([4.0, 1.0, 9.0, 2.0]), Some(3.0));
    }

    #[test]
    fn a_percentile_is_one_of_the_numbers() {
        let numbers: Vec<f64> = (1..=20).rev().map(f64::from).collect();
        assert_eq!(
            [0.05, 0.5, 0.95, 1.0].map(|share| percentile(&numbers, share)),
            [1.0, 10.0, 19.0, 20.0].map(Some)
        );
        assert_eq!(
            (percentile(&[3.0], 0.5), percentile(&[], 0.5)),
            (Some(3.0), None)
        );
    }

    #[test]
    fn the_mean_weighs_all_alike() {
        assert_eq!(mean([]), None);
        assert_eq!(mean([1.0, 2.0, 6.0]), Some(3.0));
    }

    #[test]
    fn a_share_of_nothing_is_no_accident() {
        assert_eq!(share(1.0, 4.0), 0.25);
        assert_eq!(share(0.0, 0.0), 0.0);
    }

    #[test]
    fn the_most_frequent_comes_first() {
        assert_eq!(
            frequencies([0, 1, 1, 137, 1, 0]),
            [(1, 3), (0, 2), (137, 1)]
        );
    }
}
