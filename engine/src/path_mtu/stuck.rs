//! A round that can't begin, since this machine's network fails for the moment.

use super::{PathMtu, Round, Stuck};
use crate::driver::Step;
use crate::error::LinkError;
use crate::job::Job;
use crate::link::Link;
use hopshot_core::Instant;
use std::time::Duration;

/// The pause before it is tried again.
const RETRY: Duration = Duration::from_millis(50);

impl<L: Link> PathMtu<L> {
    /// Begins a round. What may pass is waited for as long as an answer is, from `since` on.
    pub(super) fn begin_or_wait(&mut self, round: Round, since: Instant) -> Result<Step, L::Error> {
        let now = self.link().now();
        match self.begin(round) {
            Err(error)
                if error.may_pass()
                    && now.saturating_since(since) < self.settings.config.timeout =>
            {
                // Of two traces the first may have begun.
                self.begun.take().and_then(|begun| self.take(begun));
                self.stuck = Some(Stuck {
                    round,
                    since,
                    retry: now.saturating_add(RETRY),
                });
                Ok(Step::Running)
            }
            begun => begun.map(|()| Step::Running),
        }
    }

    /// Tries again, once the pause is over.
    pub(super) fn try_again(&mut self, stuck: Stuck) -> Result<Step, L::Error> {
        if self.is_interrupted {
            return Ok(Step::Done);
        }
        if self.link().now() < stuck.retry {
            return Ok(Step::Running);
        }
        self.stuck = None;
        self.begin_or_wait(stuck.round, stuck.since)
    }
}
