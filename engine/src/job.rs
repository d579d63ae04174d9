//! The shape that all jobs have: they are advanced until they are done, and then finished.

use crate::driver::{Driver, Step};
use crate::link::Link;
use hopshot_core::Instant;
use std::time::Duration;

/// A job that runs on a link: a [`Trace`](crate::Trace), a [`Survey`](crate::Survey), an
/// [`Exploration`](crate::Exploration), a [`PathMtu`](crate::PathMtu), a
/// [`Compare`](crate::Compare).
///
/// A caller that has nothing else to do calls [`advance`](Self::advance) until it returns
/// [`Step::Done`]. An event loop waits for the link or for [`timeout`](Self::timeout), and calls
/// [`work`](Self::work).
pub trait Job: Sized {
    /// The machine that it runs on.
    type Link: Link;

    /// The result.
    type Output;

    #[doc(hidden)]
    fn driver(&self) -> &Driver<Self::Link>;

    #[doc(hidden)]
    fn driver_mut(&mut self) -> &mut Driver<Self::Link>;

    /// Returns when there is something to do even if nothing arrives; `None` when it is done, or
    /// what has ended is to be taken first.
    fn deadline(&self) -> Option<Instant>;

    /// Receives what has arrived and sends what is due, without sleeping.
    ///
    /// # Errors
    /// The machine fails in what can't fail in ordinary use, or what is to begin next can't.
    fn work(&mut self) -> Result<Step, <Self::Link as Link>::Error>;

    /// Ends it now, with what is known.
    fn interrupt(&mut self);

    /// Returns the result: what is known now.
    fn finish(self) -> Self::Output;

    /// Returns the machine that it runs on.
    fn link(&self) -> &Self::Link {
        &self.driver().link
    }

    /// Returns the machine that it runs on, to be changed.
    fn link_mut(&mut self) -> &mut Self::Link {
        &mut self.driver_mut().link
    }

    /// Returns how long to wait for an answer at most before [`work`](Self::work) is called; `None`
    /// as of [`deadline`](Self::deadline).
    fn timeout(&self) -> Option<Duration> {
        self.deadline()
            .map(|deadline| deadline.saturating_since(self.link().now()))
    }

    /// Sleeps until there is something to do, then does it. `wake` is something of the caller's
    /// that ends the sleep.
    ///
    /// # Errors
    /// As [`work`](Self::work).
    fn advance(
        &mut self,
        wake: Option<<Self::Link as Link>::Wake<'_>>,
    ) -> Result<Step, <Self::Link as Link>::Error> {
        self.advance_within(wake, Duration::MAX)
    }

    /// The same, but sleeps at most so long.
    ///
    /// # Errors
    /// As [`work`](Self::work).
    fn advance_within(
        &mut self,
        wake: Option<<Self::Link as Link>::Wake<'_>>,
        at_most: Duration,
    ) -> Result<Step, <Self::Link as Link>::Error> {
        let Some(deadline) = self.deadline() else {
            return Ok(Step::Done);
        };
        let driver = self.driver_mut();
        let deadline = deadline.min(driver.link.now().saturating_add(at_most));
        if driver.sleep(deadline, wake)? {
            return Ok(Step::Woken);
        }
        self.work()
    }

    /// Sends the first probes without reading an answer: for a process that has something to do
    /// meanwhile, such as to confine itself before it reads what strangers send. Ends early if
    /// something has arrived, but not before the very first probe.
    ///
    /// # Errors
    /// As [`work`](Self::work).
    fn launch(&mut self) -> Result<(), <Self::Link as Link>::Error> {
        self.driver_mut().launch()
    }

    /// Says now whose answers are wanted, if that has not been said yet: later the process may not
    /// be permitted to.
    fn listen(&mut self) {
        self.driver_mut().listen();
    }
}
