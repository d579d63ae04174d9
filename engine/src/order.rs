//! The order in which the hosts of a list are traced.

use std::collections::HashSet;
use std::hash::{BuildHasher, RandomState};

/// A shorter list is at its end before anything that it taught could be of use.
const SHORTEST: usize = 32;

/// Places that are reserved for draws, beside one in so many.
const FIRST_DRAWS: usize = 64;
const ONE_IN: usize = 8;

/// The order in which the hosts of a list are traced: that of the list, but for some that are drawn
/// at random from all of it, so that a [`Survey`](crate::Survey::sample) can learn from them. Each
/// place comes once.
///
/// What is drawn is decided at the beginning. To draw from what is left later on would not do:
/// hosts at the end of a list, a few of all, would then be many of those that can be drawn.
#[derive(Debug)]
pub struct Order {
    next: usize,
    end: usize,
    reserved: HashSet<usize>,
    /// The reserved places that have not been drawn yet.
    draws: Vec<usize>,
}

impl Order {
    /// An order of so many places, which count from 0. Of fewer than 32 none is drawn.
    #[must_use]
    pub fn new(len: usize) -> Self {
        // Keyed at random by the system: nobody can predict which hosts are drawn.
        let random = RandomState::new();
        Self::by(len, (0_u64..).map(|number| random.hash_one(number)))
    }

    /// The order that random numbers give.
    pub(crate) fn by(len: usize, mut random: impl Iterator<Item = u64>) -> Self {
        let count = if len < SHORTEST {
            0
        } else {
            len.min(FIRST_DRAWS + len / ONE_IN)
        };
        // Never 0 where anything is drawn.
        let places = u64::try_from(len).unwrap_or(u64::MAX);
        let mut reserved = HashSet::with_capacity(count);
        let mut draws = Vec::with_capacity(count);
        while draws.len() < count
            && let Some(number) = random.next()
        {
            let place = usize::try_from(number % places).unwrap_or_default();
            if reserved.insert(place) {
                draws.push(place);
            }
        }
        Self {
            next: 0,
            end: len,
            reserved,
            draws,
        }
    }

    /// Whether every place has come.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.draws.is_empty() && (self.next..self.end).all(|place| self.reserved.contains(&place))
    }

    /// A place drawn at random; `None` if there is none left to draw.
    pub fn draw(&mut self) -> Option<usize> {
        self.draws.pop()
    }
}

/// The next place that is not for drawing; after the last of these, those that have not been drawn.
impl Iterator for Order {
    type Item = usize;

    fn next(&mut self) -> Option<usize> {
        let next = (self.next..self.end).find(|place| !self.reserved.contains(place));
        self.next = next.map_or(self.end, |place| place + 1);
        next.or_else(|| self.draws.pop())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_place_comes_once_whether_it_is_drawn_or_not() {
        for len in [0, 1, 31, 32, 33, 64, 100, 1000, 70_000] {
            let mut order = Order::new(len);
            let drawn: Vec<usize> = std::iter::from_fn(|| order.draw()).take(len / 20).collect();
            let mut places: Vec<usize> = drawn.iter().copied().chain(order).collect();
            places.sort_unstable();
            assert!(places.into_iter().eq(0..len), "{len}");
            assert_eq!(drawn.len(), if len < SHORTEST { 0 } else { len / 20 });
        }
    }

    #[test]
    fn what_is_not_drawn_comes_in_the_order_of_the_list() {
        let order = Order::new(1000);
        let first: Vec<usize> = order.take(1000 - FIRST_DRAWS - 1000 / ONE_IN).collect();
        assert!(first.is_sorted() && first.len() > 800);
        assert!(Order::new(31).eq(0..31));
    }

    #[test]
    fn draws_are_from_all_of_the_list_and_no_two_lists_have_the_same() {
        let draws = || -> Vec<usize> {
            let mut order = Order::new(4000);
            std::iter::from_fn(|| order.draw()).take(500).collect()
        };
        let drawn = draws();
        // 125 are expected in each quarter, with a deviation of 9.1: 65 is off by more than six of
        // these.
        for quarter in 0..4 {
            assert!(
                drawn
                    .iter()
                    .filter(|place| **place / 1000 == quarter)
                    .count()
                    > 65,
                "{drawn:?}"
            );
        }
        assert_ne!(drawn, draws());
    }
}
