//! What may happen beside the traces, as one descriptor to wait for: a signal, a name that has come
//! in, a line of input.

use rustix::event::{PollFd, PollFlags, Timespec, epoll};
use signal_hook::consts::{SIGHUP, SIGINT, SIGQUIT, SIGTERM, SIGTSTP, SIGWINCH};
use signal_hook::low_level::{pipe, unregister};
use signal_hook::{SigId, flag};
use std::ffi::c_int;
use std::io::{self, Read};
use std::os::fd::{AsFd, BorrowedFd, OwnedFd};
use std::os::unix::net::UnixStream;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

/// Signals, and what else is watched.
pub(crate) struct Events {
    any: OwnedFd,
    /// The same and the input, if it can be waited for: a file can't, it is always there.
    with_input: Option<OwnedFd>,
    signals: UnixStream,
    writable: UnixStream,
    interrupted: Arc<AtomicBool>,
    stopping: Arc<AtomicBool>,
    /// What ends the command at once when a second signal comes.
    at_once: [SigId; 2],
}

impl Events {
    /// Ctrl-C, and what becomes readable when there are names.
    pub(crate) fn new(names: Option<BorrowedFd<'_>>) -> io::Result<Self> {
        let (signals, writable) = UnixStream::pair()?;
        signals.set_nonblocking(true)?;
        writable.set_nonblocking(true)?;
        let [interrupted, stopping] = [(); 2].map(|()| Arc::new(AtomicBool::new(false)));
        crate::console::heed(&interrupted);
        let any = watch([Some(signals.as_fd()), names])?;
        // Before what marks the first signal, so that only a second one finds the mark.
        let at_once =
            |signal| flag::register_conditional_shutdown(signal, 130, Arc::clone(&interrupted));
        let at_once = [at_once(SIGINT)?, at_once(SIGTERM)?];
        let events = Self {
            any,
            with_input: None,
            signals,
            writable,
            interrupted,
            stopping,
            at_once,
        };
        [SIGINT, SIGTERM]
            .into_iter()
            .try_for_each(|signal| events.mark(&events.interrupted, signal))?;
        Ok(events)
    }

    /// A signal sets a flag, and is something to wake for.
    fn mark(&self, what: &Arc<AtomicBool>, signal: c_int) -> io::Result<()> {
        flag::register(signal, Arc::clone(what))?;
        pipe::register(signal, self.writable.try_clone()?).map(drop)
    }

    /// Watches an input too.
    pub(crate) fn and_input(mut self, input: BorrowedFd<'_>) -> Self {
        self.with_input = watch([Some(self.any.as_fd()), Some(input)]).ok();
        self
    }

    /// Watches the terminal too: what is typed, and whether its size changes. It is to be given
    /// back, so from now on no signal that can be caught ends the command at once, or stops it.
    pub(crate) fn and_terminal(self) -> io::Result<Self> {
        self.at_once
            .into_iter()
            .for_each(|action| _ = unregister(action));
        [SIGHUP, SIGQUIT]
            .into_iter()
            .try_for_each(|signal| self.mark(&self.interrupted, signal))?;
        self.mark(&self.stopping, SIGTSTP)?;
        pipe::register(SIGWINCH, self.writable.try_clone()?)?;
        Ok(self.and_input(rustix::stdio::stdin()))
    }

    /// What is readable when something has happened.
    pub(crate) fn fd(&self) -> BorrowedFd<'_> {
        self.any.as_fd()
    }

    /// The same, or when there is input.
    pub(crate) fn fd_with_input(&self) -> BorrowedFd<'_> {
        self.with_input.as_ref().unwrap_or(&self.any).as_fd()
    }

    /// Whether the user wants an end.
    pub(crate) fn interrupted(&self) -> bool {
        self.interrupted.load(Ordering::SeqCst)
    }

    /// Whether the command is to stop, as with Ctrl-Z, since this was asked last.
    pub(crate) fn is_to_stop(&self) -> bool {
        self.stopping.swap(false, Ordering::SeqCst)
    }

    /// Waits for something to happen, at most this long if a bound is given. Returns whether it
    /// did.
    pub(crate) fn wait(&mut self, input: bool, span: Option<Duration>) -> io::Result<bool> {
        let timeout = span.and_then(|span| Timespec::try_from(span).ok());
        let fd = if input {
            self.fd_with_input()
        } else {
            self.fd()
        };
        let mut fds = [PollFd::from_borrowed_fd(fd, PollFlags::IN)];
        match rustix::event::poll(&mut fds, timeout.as_ref()) {
            Ok(0) => Ok(false),
            Ok(_) => self.clear().map(|()| true),
            Err(rustix::io::Errno::INTR) => Ok(true),
            Err(errno) => Err(errno.into()),
        }
    }

    /// Signals have been seen.
    pub(crate) fn clear(&mut self) -> io::Result<()> {
        let mut octets = [0; 64];
        loop {
            match self.signals.read(&mut octets) {
                Ok(0) => return Ok(()),
                Ok(_) => {}
                Err(error) if error.kind() == io::ErrorKind::WouldBlock => return Ok(()),
                Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
                Err(error) => return Err(error),
            }
        }
    }
}

/// A descriptor that is readable when one of these is.
fn watch<const N: usize>(fds: [Option<BorrowedFd<'_>>; N]) -> io::Result<OwnedFd> {
    let any = epoll::create(epoll::CreateFlags::CLOEXEC)?;
    for fd in fds.into_iter().flatten() {
        epoll::add(
            &any,
            fd,
            epoll::EventData::new_u64(0),
            epoll::EventFlags::IN,
        )?;
    }
    Ok(any)
}
