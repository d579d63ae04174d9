//! The lines of a pipe or a terminal, as they come.
//!
//! Some are drawn at random, for what the traces share. A host at the head of the list must have no
//! better chance of that than others, so none is drawn before all lines are there, or as many as
//! are kept, and most have yet to be traced. What comes so slowly that it is traced as it comes
//! teaches nothing.

use super::lines::{Lines, not_utf8};
use super::next::{Next, next_of};
use hopshot_linux::Order;
use rustix::event::{PollFd, PollFlags, Timespec};
use std::collections::VecDeque;
use std::fs::File;
use std::io::{self, Read};
use std::os::fd::{AsFd, BorrowedFd};

/// Lines that are read ahead.
const AHEAD: usize = 65_536;

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
    taken: usize,
    /// The same once nothing more is to come before these have been taken, and their order.
    whole: Vec<Option<Next>>,
    order: Order,
}

impl Stream {
    /// What is there before the first line, and the input.
    pub(super) fn new(given: impl Iterator<Item = Next>, input: Option<File>) -> Self {
        let (ahead, whole, order) = (given.collect(), Vec::new(), Order::new(0));
        Self { input, error: None, lines: Lines::default(), ahead, taken: 0, whole, order }
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
        if self.ahead.is_empty() && self.taken >= AHEAD {
            self.taken = 0;
        }
        while self.taken + self.ahead.len() < AHEAD
            && let Some(input) = &self.input
            && is_readable(input)
        {
            self.read();
        }
        let is_all = self.input.is_none() || self.taken + self.ahead.len() >= AHEAD;
        if is_all && self.ahead.len() >= LEFT_TO_TAKEN * self.taken {
            self.whole = self.ahead.drain(..).map(Some).collect();
            self.order = Order::new(self.whole.len());
            self.taken = 0;
        }
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
            (self.input, self.error, self.lines) = (None, Some(not_utf8(encoding)), Lines::default());
        }
        while let Some((number, found)) = self.lines.next(self.input.is_some()) {
            self.ahead.push_back(next_of(number, found));
        }
    }
}

fn is_readable(input: &File) -> bool {
    let mut fds = [PollFd::new(input, PollFlags::IN)];
    // A signal is no input.
    matches!(rustix::event::poll(&mut fds, Some(&Timespec::default())), Ok(1..))
}
