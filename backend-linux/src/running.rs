//! Jobs of the engine on sockets, while they run.

#[cfg(test)]
mod tests;

use crate::epoll::readable_with_any;
use crate::error::Error;
use crate::privilege::{self, Shortfall, Shortfalls};
use crate::socket::Lack;
use crate::sockets::{Pair, Sockets};
use crate::sys::calls::Beside;
use hopshot_core::wire::AddressFamily;
use hopshot_engine::{Job, Step};
use std::ops::{Deref, DerefMut};
use std::os::fd::{AsFd, BorrowedFd, OwnedFd};
use std::time::Duration;

/// A job that has been started. What it alone has, such as its target, stands in the type behind
/// it.
///
/// For an event loop there are its descriptor ([`AsFd`]), readable when an answer has come, or with
/// an error to be read where that is how the kernel tells of one (`EPOLLERR`, on ping sockets), and
/// two calls: [`timeout`](Self::timeout) says how long to wait for that at most,
/// [`work`](Self::work) does what there is to do then. `examples/tokio.rs` shows it.
#[derive(Debug)]
pub struct Running<J> {
    pub(crate) job: J,
    /// Readable when one of several sockets is.
    epoll: Option<OwnedFd>,
}

impl<J: Job<Link = Sockets>> Running<J> {
    pub(crate) fn of(job: J) -> Result<Self, Error> {
        let sockets = job.link();
        let epoll = match (sockets.open.as_slice(), &sockets.bell) {
            ([pair], None) if pair.fds().count() == 1 => None,
            (open, bell) => {
                let bell = bell.iter().map(|bell| bell.as_fd());
                let all = open.iter().flat_map(Pair::fds).chain(bell);
                let epoll = readable_with_any(all);
                Some(epoll.map_err(Error::system("can't wait for several sockets at once"))?)
            }
        };
        Ok(Self { job, epoll })
    }

    /// Returns how long to wait for an answer at most before [`work`](Self::work) is called; `None`
    /// once it has ended, or when what has ended is to be taken first.
    #[must_use]
    pub fn timeout(&self) -> Option<Duration> {
        self.job.timeout()
    }

    /// Receives what has arrived and sends what is due, without sleeping.
    ///
    /// # Errors
    /// As [`advance`](Self::advance).
    pub fn work(&mut self) -> Result<Step, Error> {
        self.job.work()
    }

    /// Sends the first probes without reading an answer: for a process that has something to do
    /// meanwhile, such as to [`confine`](Self::confine) itself before it reads what strangers
    /// send. Ends early if something has arrived, but not before the very first probe.
    ///
    /// # Errors
    /// [`Error::System`] if the kernel fails in what can't fail in ordinary use.
    pub fn launch(&mut self) -> Result<(), Error> {
        self.job.launch()
    }

    /// Sleeps until there is something to do, then receives and sends what is due. `wake` is a
    /// descriptor of the caller's that ends the sleep when it becomes readable.
    ///
    /// # Errors
    /// [`Error::System`] if the kernel fails in what can't fail in ordinary use. Of a search for
    /// paths or for an MTU also why the next trace can't begin, such as when the route to the
    /// target has gone; [`finish`](Self::finish) returns what is known by then.
    pub fn advance(&mut self, wake: Option<BorrowedFd<'_>>) -> Result<Step, Error> {
        self.job.advance(wake)
    }

    /// The same, but sleeps at most so long.
    ///
    /// # Errors
    /// As [`advance`](Self::advance).
    pub fn advance_within(
        &mut self,
        wake: Option<BorrowedFd<'_>>,
        at_most: Duration,
    ) -> Result<Step, Error> {
        self.job.advance_within(wake, at_most)
    }

    /// Ends it now, with what is known.
    pub fn interrupt(&mut self) {
        self.job.interrupt();
    }

    /// Returns the result: what is known now.
    #[must_use]
    pub fn finish(self) -> J::Output {
        self.job.finish()
    }

    /// Gives up everything that the rest doesn't need: fixes what its sockets receive, and then see
    /// [`privilege::confine`](crate::privilege::confine). [TCP sockets](crate::SocketKind::Tcp) may
    /// still connect to the port of their probes. Sockets of a later job can't be opened in
    /// this process any more. Addresses can be added to a [`Survey`](crate::survey::Survey)
    /// afterwards, names can't.
    ///
    /// # Errors
    /// As there.
    pub fn confine(&mut self) -> Result<Shortfalls, Error> {
        self.confine_but(false)
    }

    /// The same, but for a terminal whose settings are to be restored: see
    /// [`privilege::confine_on_terminal`](crate::privilege::confine_on_terminal).
    ///
    /// # Errors
    /// As there.
    pub fn confine_on_terminal(&mut self) -> Result<Shortfalls, Error> {
        self.confine_but(true)
    }

    fn confine_but(&mut self, terminal: bool) -> Result<Shortfalls, Error> {
        self.job.listen();
        let locked = self.job.link().lock_filters();
        let ports = self.job.link().connects_to();
        let mut shortfalls = privilege::confine_but(&Beside { terminal, ports })?;
        shortfalls.note(locked.map_err(|errno| Shortfall::SocketFilter(errno.into())));
        Ok(shortfalls)
    }

    /// Returns what the sockets of a family do without.
    #[must_use]
    pub fn lacks(&self, family: AddressFamily) -> Vec<Lack> {
        self.job.link().lacks(family)
    }
}

impl<J: Job<Link = Sockets>> AsFd for Running<J> {
    fn as_fd(&self) -> BorrowedFd<'_> {
        let first = || self.job.link().open.first().map(|pair| pair.socket.as_fd());
        self.epoll
            .as_ref()
            .map(AsFd::as_fd)
            .or_else(first)
            .expect("a job has its sockets from the start")
    }
}

impl<J> Deref for Running<J> {
    type Target = J;

    fn deref(&self) -> &J {
        &self.job
    }
}

impl<J> DerefMut for Running<J> {
    fn deref_mut(&mut self) -> &mut J {
        &mut self.job
    }
}
