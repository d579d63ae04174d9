//! The loop: read everything that has arrived, then send what is due, then sleep until an answer or a deadline.
//!
//! One driver runs any number of traces on one socket pair per family. Reading before each send keeps the length of a burst
//! out of the RTTs; the kernel's filter keeps other people's ICMP from waking it.

use crate::clock;
use crate::error::{Error, refused};
use crate::socket::{Options, Socket};
use hopshot_core::wire::{BufferTooSmall, Ends, Version};
use hopshot_core::{Action, Answer, Config, Instant, Reply, SendError, Tracer};
use rustix::event::{PollFd, PollFlags, Timespec};
use rustix::io::Errno;
use std::collections::VecDeque;
use std::os::fd::{AsFd, BorrowedFd};

/// Probes that one trace may send: all attempts at all hops, and what silent hops get beyond that.
pub(crate) const CAPACITY: usize = 768;

/// Messages read in one go, so that a flood can't keep the loop from sending.
const DRAIN: usize = 1024;

/// One trace among those of a driver.
struct Running {
    tracer: Box<Tracer<CAPACITY>>,
    scope_id: u32,
    /// When it wants to be polled; `None` once it has ended.
    due: Option<Instant>,
}

struct Listener {
    version: Version,
    socket: Socket,
}

/// Any number of traces on one pair of sockets per family.
pub(crate) struct Driver {
    options: Options,
    listeners: Vec<Listener>,
    traces: Vec<Running>,
    replies: VecDeque<(usize, Reply)>,
    inbox: Vec<u8>,
    outbox: Vec<u8>,
}

/// What [`Driver::advance`] came back for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Step {
    /// Something may have changed; call again.
    Running,
    /// The descriptor that was given is readable; call again.
    Woken,
    /// All traces have ended.
    Done,
}

impl Driver {
    /// A driver without traces. It opens the sockets of a family when the first trace of that family is added.
    pub(crate) fn new(options: Options) -> Self {
        Self {
            options,
            listeners: Vec::new(),
            traces: Vec::new(),
            replies: VecDeque::new(),
            inbox: vec![0; 65_536],
            outbox: Vec::new(),
        }
    }

    /// Adds a trace, to be started by the next [`advance`](Self::advance), and returns its number.
    pub(crate) fn add(&mut self, config: Config, scope_id: u32) -> Result<usize, Error> {
        let version = Version::of(config.target);
        let tracer = Box::new(Tracer::new(config)?);
        self.traces.push(Running { tracer, scope_id, due: Some(Instant::EPOCH) });
        self.listen(version)?;
        Ok(self.traces.len() - 1)
    }

    /// The state of a trace, by the number that [`add`](Self::add) gave.
    pub(crate) fn tracer(&self, number: usize) -> &Tracer<CAPACITY> {
        &self.traces[number].tracer
    }

    /// The state of a trace, for keeping.
    pub(crate) fn into_tracer(mut self, number: usize) -> Box<Tracer<CAPACITY>> {
        self.traces.swap_remove(number).tracer
    }

    /// Ends all traces with what is known.
    pub(crate) fn interrupt(&mut self) {
        for trace in &mut self.traces {
            trace.tracer.interrupt();
            trace.due = None;
        }
    }

    /// The next reply that has been received and not been taken yet, with the number of its trace.
    pub(crate) fn take_reply(&mut self) -> Option<(usize, Reply)> {
        self.replies.pop_front()
    }

    /// Sleeps until there is something to do, or until `wake` is readable, and does it.
    pub(crate) fn advance(&mut self, wake: Option<BorrowedFd<'_>>) -> Result<Step, Error> {
        let Some(due) = self.traces.iter().filter_map(|trace| trace.due).min() else {
            return Ok(Step::Done);
        };
        if self.sleep(due, wake)? {
            return Ok(Step::Woken);
        }
        loop {
            self.drain()?;
            if !self.send() {
                break;
            }
        }
        Ok(if self.traces.iter().any(|trace| trace.due.is_some()) { Step::Running } else { Step::Done })
    }

    /// Opens the sockets of a family, unless they are, and tells the kernel whose answers to let through.
    fn listen(&mut self, version: Version) -> Result<(), Error> {
        let listener = match self.listeners.iter_mut().position(|listener| listener.version == version) {
            Some(index) => &mut self.listeners[index],
            None => {
                let socket = Socket::open(version, &self.options).map_err(|error| refused(error, &self.options))?;
                self.listeners.push(Listener { version, socket });
                self.listeners.last_mut().expect("one was just pushed")
            }
        };
        let configs = self.traces.iter().map(|trace| trace.tracer.config());
        let idents: Vec<u16> =
            configs.filter(|config| Version::of(config.target) == version).map(|config| config.ident).collect();
        listener.socket.listen_for(&idents).map_err(Error::system("can't set the socket's filter"))
    }

    /// Sleeps until `due`, or an arrival. Returns true if `wake` became readable.
    fn sleep(&self, due: Instant, wake: Option<BorrowedFd<'_>>) -> Result<bool, Error> {
        let span = due.saturating_since(clock::now());
        let timeout = Timespec::try_from(span).ok();
        let mut fds: Vec<PollFd<'_>> = Vec::with_capacity(3);
        fds.extend(wake.map(|wake| PollFd::from_borrowed_fd(wake, PollFlags::IN)));
        if !span.is_zero() {
            let sockets = self.listeners.iter().map(|listener| listener.socket.as_fd());
            fds.extend(sockets.map(|fd| PollFd::from_borrowed_fd(fd, PollFlags::IN)));
        }
        if fds.is_empty() {
            return Ok(false);
        }
        match rustix::event::poll(&mut fds, timeout.as_ref()) {
            Ok(_) | Err(Errno::INTR) => Ok(wake.is_some() && fds.first().is_some_and(|fd| !fd.revents().is_empty())),
            Err(errno) => Err(Error::system("can't wait for answers")(errno)),
        }
    }

    /// Reads everything that has arrived and gives it to whom it belongs.
    fn drain(&mut self) -> Result<(), Error> {
        for listener in &mut self.listeners {
            let receive = Error::system("can't receive");
            for _ in 0..DRAIN {
                let Some(arrival) = listener.socket.receive(&mut self.inbox).map_err(&receive)? else { break };
                // The kernel has verified an ICMPv6 checksum before a raw socket sees the message (RFC 3542, section 3.1).
                let ends = Ends { source: arrival.from, destination: listener.version.unspecified() };
                let Ok(answer) = Answer::parse(ends, arrival.hop_limit, arrival.message) else { continue };
                let of_version = |trace: &Running| Version::of(trace.tracer.config().target) == listener.version;
                for (number, trace) in self.traces.iter_mut().enumerate().filter(|(_, trace)| of_version(trace)) {
                    if let Ok(reply) = trace.tracer.accept(arrival.at, &answer) {
                        self.replies.push_back((number, reply));
                        trace.due = trace.due.map(|_| Instant::EPOCH);
                        break;
                    }
                }
            }
        }
        Ok(())
    }

    /// Sends at most one probe of each trace that is due. Returns whether any was sent.
    fn send(&mut self) -> bool {
        let mut sent = false;
        for trace in &mut self.traces {
            let now = clock::now();
            if trace.due.is_none_or(|due| due > now) {
                continue;
            }
            trace.due = match trace.tracer.poll(now, &mut self.outbox) {
                Err(BufferTooSmall { needed }) => {
                    self.outbox.resize(needed, 0);
                    sent = true;
                    Some(now)
                }
                Ok(Action::Wait(until)) => Some(until),
                Ok(Action::Done) => None,
                Ok(Action::Transmit(probe)) => {
                    let version = Version::of(probe.destination);
                    let result = match self.listeners.iter().find(|listener| listener.version == version) {
                        Some(listener) => {
                            listener.socket.send(probe.destination, trace.scope_id, probe.hop_limit, probe.message)
                        }
                        None => Err(Errno::NOTSOCK),
                    };
                    if let Err(errno) = result {
                        let code = u16::try_from(errno.raw_os_error()).unwrap_or(u16::MAX);
                        trace.tracer.fail(probe.probe, SendError(code));
                    }
                    sent = true;
                    Some(now)
                }
            };
        }
        sent
    }
}
