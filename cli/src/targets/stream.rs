//! The lines of a pipe or a terminal, as they come.
//!
//! Some are drawn at random, for what the traces share. No host may have a better chance of that
//! for its place in the list, so lines are drawn from a stretch of the list: all of it, or at least
//! 65,536 lines that are there at the same time, and of which most have yet to be traced. Nothing
//! is drawn from a shorter one, such as the rest of a list: its hostile hosts may stand together
//! there. Lines that come so slowly that they are traced as they come teach nothing.

use super::lines::{Lines, not_utf8};
use super::next::{Next, next_of};
use hopshot_linux::survey::Order;
use rustix::event::{PollFd, PollFlags, Timespec};
use std::collections::VecDeque;
use std::fs::File;
use std::io::{self, Read};
use std::os::fd::{AsFd, BorrowedFd};

/// The lines of a stretch. Twice as many are read ahead, so that the last lines of the list join
/// those before them.
const STRETCH: usize = 65_536;

/// Of the lines among which some are drawn so many to one have not been taken before.
const LEFT_TO_TAKEN: usize = 7;

/// Lines that have been read, and the input for more.
pub(super) struct Stream {
    input: Option<File>,
    /// Why it can't be read on.
    error: Option<io::Error>,
    lines: Lines,
    /// What has come and not been taken, while more is to come.
    ahead: VecDeque<Next>,
    /// Lines of this stretch that were taken as they came.
    taken: usize,
    /// Whether the stretch is the first of the list.
    is_first: bool,
    /// What is left of a stretch once nothing more is to come before these have been taken, and
    /// their order.
    whole: Vec<Option<Next>>,
    order: Order,
}

impl Stream {
    /// What is there before the first line, and the input.
    pub(super) fn new(given: impl Iterator<Item = Next>, input: Option<File>) -> Self {
        let (ahead, whole, order) = (given.collect(), Vec::new(), Order::new(0));
        Self {
            input,
            error: None,
            lines: Lines::default(),
            ahead,
            taken: 0,
            is_first: true,
            whole,
            order,
        }
    }

    pub(super) fn input(&self) -> Option<BorrowedFd<'_>> {
        self.input.as_ref().map(File::as_fd)
    }

    pub(super) fn next(&mut self) -> io::Result<Next> {
        self.fill();
        if let Some(next) = self.order.next().and_then(|place| self.whole[place].take()) {
            return Ok(next);
        }
        if let Some(next) = self.ahead.pop_front() {
            self.taken += 1;
            return Ok(next);
        }
        match (&self.input, self.error.take()) {
            (_, Some(error)) => Err(error),
            (Some(_), None) => Ok(Next::Later),
            (None, None) => Ok(Next::End),
        }
    }

    pub(super) fn draw(&mut self) -> Option<Next> {
        self.fill();
        self.order.draw().and_then(|place| self.whole[place].take())
    }

    /// Reads what is there, and when that is all for now decides on its order.
    fn fill(&mut self) {
        if !self.order.is_empty() {
            return;
        }
        if self.taken >= STRETCH {
            (self.taken, self.is_first) = (0, false);
        }
        while self.len() < 2 * STRETCH
            && let Some(input) = &self.input
            && is_readable(input)
        {
            self.read();
        }
        if let Some(count) = self.to_draw_from() {
            self.whole = self.ahead.drain(..count).map(Some).collect();
            self.order = Order::new(self.whole.len());
            (self.taken, self.is_first) = (0, false);
        }
    }

    /// The lines of this stretch, and those of the next that have come.
    fn len(&self) -> usize {
        self.taken + self.ahead.len()
    }

    /// How many lines to draw from now, if any: those of the stretch that were not taken.
    fn to_draw_from(&self) -> Option<usize> {
        let (is_all, len, left) = (self.input.is_none(), self.len(), self.ahead.len());
        let count = if is_all || len < 2 * STRETCH {
            left
        } else {
            STRETCH.saturating_sub(self.taken)
        };
        // If one more were taken they would be too few, so the rest of the list isn't waited for.
        let is_last_chance = count <= LEFT_TO_TAKEN * (self.taken + 1);
        let is_due = is_all || len >= 2 * STRETCH || is_last_chance;
        let is_long = len >= STRETCH || is_all && self.is_first;
        (count > 0 && is_due && is_long && count >= LEFT_TO_TAKEN * self.taken).then_some(count)
    }

    fn read(&mut self) {
        let Some(input) = &mut self.input else { return };
        let mut octets = [0; 4096];
        match input.read(&mut octets) {
            Ok(0) => self.input = None,
            Ok(len) => self.lines.take(&octets[..len]),
            Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
            Err(error) => (self.input, self.error) = (None, Some(error)),
        }
        if self.input.is_some() && self.lines.are_undecided() {
            return;
        }
        if let Some(encoding) = self.lines.encoding() {
            (self.input, self.error, self.lines) =
                (None, Some(not_utf8(encoding)), Lines::default());
        }
        while let Some((number, found)) = self.lines.next(self.input.is_some()) {
            self.ahead.push_back(next_of(number, found));
        }
    }
}

fn is_readable(input: &File) -> bool {
    let mut fds = [PollFd::new(input, PollFlags::IN)];
    // A signal is no input.
    matches!(
        rustix::event::poll(&mut fds, Some(&Timespec::default())),
        Ok(1..)
    )
}
