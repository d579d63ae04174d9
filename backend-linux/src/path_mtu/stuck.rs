//! A round that can't begin, since this machine's network fails for the moment.

use super::{PathMtu, Round};
use crate::driver::Step;
use crate::{Error, clock};
use hopshot_core::Instant;
use std::os::fd::BorrowedFd;
use std::time::Duration;

/// The pause before it is tried again.
const RETRY: Duration = Duration::from_millis(50);

impl PathMtu {
    /// Begins a round. What may pass is waited for as long as an answer is, from `since` on.
    pub(super) fn begin_or_wait(&mut self, round: Round, since: Instant) -> Result<Step, Error> {
        match self.begin(round) {
            Err(error) if error.may_pass() && clock::now().saturating_since(since) < self.settings.config.timeout => {
                // Of two traces the first may have begun.
                self.begun.take().and_then(|begun| self.take(begun));
                self.stuck = Some((round, since));
                Ok(Step::Running)
            }
            begun => begun.map(|()| Step::Running),
        }
    }

    /// Tries again, after a pause.
    pub(super) fn try_again(&mut self, wake: Option<BorrowedFd<'_>>) -> Result<Step, Error> {
        let Some((round, since)) = self.stuck.filter(|_| !self.is_interrupted) else { return Ok(Step::Done) };
        if self.driver.sleep(clock::now().saturating_add(RETRY), wake)? {
            return Ok(Step::Woken);
        }
        // Late answers would end the next pause at once.
        self.driver.work()?;
        self.stuck = None;
        self.begin_or_wait(round, since)
    }
}
