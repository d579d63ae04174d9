//! Votes on the nearest hops: who answered there, by traces of hosts that were drawn at random.
//!
//! Two things keep a few hostile hosts from deciding. Hosts are drawn, so they can't choose to
//! vote; and votes are counted in the order of the draws, so they can't choose when: somebody who
//! lets the ends of a hundred traces wait and come at once has still no larger share of 64 draws
//! that follow one another. All families and all distances share these 64 draws, since hostile
//! hosts may be most of one family, or all that claim to be far away.

use super::ballot::Ballot;
use super::tally::{QUORUM, Tally};
use hopshot_core::wire::AddressFamily;
use std::collections::VecDeque;
use std::sync::{Arc, Weak};

/// Draws whose votes count.
pub(crate) const WINDOW: usize = 64;

/// Draws without a vote so far that the window may have before it waits for these. Most hosts that
/// don't answer take seconds.
const MOST_OPEN: usize = WINDOW / 4;

/// Draws that may be open or behind the window, so that tickets which are kept for ever take no
/// memory.
const MOST_SLOTS: usize = 2048;

/// A place among the votes for a host that is drawn at random: see
/// [`Survey::sample`](crate::Survey::sample). It is given up by being dropped.
#[derive(Debug)]
#[must_use = "the host that it is for is to be added with it"]
pub struct Sample {
    number: u64,
    is_open: Arc<()>,
}

#[derive(Debug)]
enum Slot {
    Drawn(Weak<()>),
    Voted(Ballot),
}

/// The draws, the oldest first: the window, and those behind it.
#[derive(Debug, Default)]
pub(crate) struct Votes {
    slots: VecDeque<Slot>,
    /// The number of the first of them.
    first: u64,
    /// That of the next draw.
    next: u64,
}

impl Votes {
    /// Whether there were fewer draws than the window has.
    pub(crate) fn is_first_window(&self) -> bool {
        self.first == 0 && self.slots.len() < WINDOW
    }

    /// Whether one more draw finds room.
    pub(crate) fn has_room(&self) -> bool {
        self.slots.len() < MOST_SLOTS
    }

    pub(crate) fn draw(&mut self) -> Sample {
        let sample = Sample {
            number: self.next,
            is_open: Arc::new(()),
        };
        self.next += 1;
        self.slots
            .push_back(Slot::Drawn(Arc::downgrade(&sample.is_open)));
        sample
    }

    /// Counts a vote, unless it comes after the window has passed its draw.
    pub(crate) fn cast(&mut self, sample: Sample, ballot: Ballot) {
        let index = sample
            .number
            .checked_sub(self.first)
            .and_then(|index| usize::try_from(index).ok());
        // A ticket of another survey has another place, or none.
        let is_its = |slot: &&mut Slot| matches!(slot, Slot::Drawn(open) if open.as_ptr() == Arc::as_ptr(&sample.is_open));
        if let Some(slot) = index
            .and_then(|index| self.slots.get_mut(index))
            .filter(is_its)
        {
            *slot = Slot::Voted(ballot);
        }
        drop(sample);
        self.slide();
    }

    /// Moves the window on while next to all votes of where it comes to are there.
    fn slide(&mut self) {
        while self.slots.len() > WINDOW
            && self
                .slots
                .range(1..=WINDOW)
                .filter(|slot| slot.is_open())
                .count()
                <= MOST_OPEN
        {
            self.slots.pop_front();
            self.first += 1;
        }
    }

    /// What the window says of the hops that paths of a family begin with.
    pub(crate) fn tallies(&self, family: AddressFamily) -> Vec<Tally> {
        let ballots: Vec<&Ballot> = self
            .ballots()
            .filter(|ballot| AddressFamily::of(ballot.network) == family)
            .collect();
        (0..).map_while(|hop| Tally::of(&ballots, hop)).collect()
    }

    /// The distance of the nearest hosts that can't all be hostile. `None` while fewer have
    /// answered: of those that answer hostile hosts may be most.
    pub(crate) fn nearest(&self) -> Option<u8> {
        let mut distances: Vec<u8> = self
            .ballots()
            .filter_map(|ballot| ballot.distance)
            .collect();
        distances.sort_unstable();
        distances.get(usize::from(QUORUM) - 1).copied()
    }

    /// The distance of the farthest hosts that can't all be hostile; `None` while few have voted:
    /// hostile hosts may be the first. Both families count together: they may be most of one.
    pub(crate) fn farthest(&self) -> Option<u8> {
        let mut distances: Vec<u8> = self.ballots().map(Ballot::least_distance).collect();
        if distances.len() < QUORUM.into() {
            return None;
        }
        distances.sort_unstable();
        // Where most can't be found, more than half of the others.
        let rank = usize::from(QUORUM).min(distances.len() / 2 + 1);
        distances.get(distances.len() - rank).copied()
    }

    /// The votes of the window.
    fn ballots(&self) -> impl Iterator<Item = &Ballot> {
        self.slots.iter().take(WINDOW).filter_map(Slot::ballot)
    }
}

impl Slot {
    const fn ballot(&self) -> Option<&Ballot> {
        match self {
            Self::Voted(ballot) => Some(ballot),
            Self::Drawn(_) => None,
        }
    }

    /// Whether its vote may still come.
    fn is_open(&self) -> bool {
        matches!(self, Self::Drawn(open) if open.strong_count() > 0)
    }
}
