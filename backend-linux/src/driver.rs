//! The loop: read everything that has arrived, then send what is due, then sleep until an answer or a deadline.
//!
//! One driver runs any number of traces on one socket pair per family. Reading before each send keeps the length of a burst
//! out of the RTTs; the kernel's filter keeps other people's ICMP from waking it.

use crate::clock::{self, Clock, Clocks};
use crate::error::{Error, refused};
use crate::socket::{Options, Socket, SocketKind};
use hopshot_core::wire::{BufferTooSmall, Version};
use hopshot_core::{Action, Config, Instant, ProbeId, Reply, SendError, Tracer};
use rustix::event::{PollFd, PollFlags, Timespec};
use rustix::io::Errno;
use std::collections::{HashMap, VecDeque};
use std::os::fd::{AsFd, BorrowedFd};

/// Probes that one trace may send: all attempts at all hops, and what silent hops get beyond that.
pub(crate) const CAPACITY: usize = 768;

/// Messages read in one go, so that a flood can't keep the loop from sending.
const DRAIN: usize = 1024;

/// Where the RTTs of the answered probes are from.
pub(crate) type ClocksOf = HashMap<ProbeId, Clocks>;

/// One trace among those of a driver.
struct Running {
    tracer: Box<Tracer<CAPACITY>>,
    clocks: ClocksOf,
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

/// What [`Trace::advance`](crate::Trace::advance) came back for.
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

    /// Adds a trace, to be started by the next [`advance`](Self::advance), and returns its number. Where the kernel chooses
    /// the ident, the trace takes it from there.
    pub(crate) fn add(&mut self, config: Config, scope_id: u32) -> Result<usize, Error> {
        let version = Version::of(config.target);
        let ident = self.open(version)?.ident().unwrap_or(config.ident);
        let tracer = Box::new(Tracer::new(Config { ident, ..config })?);
        self.traces.push(Running { tracer, clocks: HashMap::new(), scope_id, due: Some(Instant::EPOCH) });
        self.listen(version)?;
        Ok(self.traces.len() - 1)
    }

    /// The state of a trace, by the number that [`add`](Self::add) gave.
    pub(crate) fn tracer(&self, number: usize) -> &Tracer<CAPACITY> {
        &self.traces[number].tracer
    }

    /// Where the RTTs of a trace are from.
    pub(crate) fn clocks(&self, number: usize) -> &ClocksOf {
        &self.traces[number].clocks
    }

    /// The kind of socket that a trace uses.
    pub(crate) fn socket(&self, number: usize) -> SocketKind {
        let version = Version::of(self.tracer(number).config().target);
        let listener = self.listeners.iter().find(|listener| listener.version == version);
        listener.map_or(SocketKind::Raw, |listener| listener.socket.kind())
    }

    /// The state of a trace, for keeping.
    pub(crate) fn into_result(mut self, number: usize) -> (Box<Tracer<CAPACITY>>, ClocksOf) {
        let trace = self.traces.swap_remove(number);
        (trace.tracer, trace.clocks)
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

    /// Sends what is due now, as long as nothing has arrived. Reads nothing.
    pub(crate) fn launch(&mut self) -> Result<(), Error> {
        while !self.has_arrivals()? && self.send() {}
        Ok(())
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

    /// The sockets of a family; opens them, unless they are.
    fn open(&mut self, version: Version) -> Result<&mut Socket, Error> {
        let index = match self.listeners.iter().position(|listener| listener.version == version) {
            Some(index) => index,
            None => {
                let socket = Socket::open(version, &self.options).map_err(|error| refused(error, &self.options))?;
                self.listeners.push(Listener { version, socket });
                self.listeners.len() - 1
            }
        };
        Ok(&mut self.listeners[index].socket)
    }

    /// Tells the kernel whose answers to let through.
    fn listen(&mut self, version: Version) -> Result<(), Error> {
        let configs = self.traces.iter().map(|trace| trace.tracer.config());
        let idents: Vec<u16> =
            configs.filter(|config| Version::of(config.target) == version).map(|config| config.ident).collect();
        self.open(version)?.listen_for(&idents).map_err(Error::system("can't set the socket's filter"))
    }

    fn has_arrivals(&self) -> Result<bool, Error> {
        let sockets = self.listeners.iter().map(|listener| listener.socket.as_fd());
        let mut fds: Vec<PollFd<'_>> = sockets.map(|fd| PollFd::from_borrowed_fd(fd, PollFlags::IN)).collect();
        match rustix::event::poll(&mut fds, Some(&Timespec::default())) {
            Ok(readable) => Ok(readable > 0),
            Err(Errno::INTR) => Ok(false),
            Err(errno) => Err(Error::system("can't look for answers")(errno)),
        }
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
                let Some(answer) = arrival.answer() else { continue };
                // First when the probe left: the RTT of the reply is final.
                settle(&mut listener.socket, &mut self.traces);
                let of_version = |trace: &Running| Version::of(trace.tracer.config().target) == listener.version;
                for (number, trace) in self.traces.iter_mut().enumerate().filter(|(_, trace)| of_version(trace)) {
                    if let Ok(reply) = trace.tracer.accept(arrival.at, &answer) {
                        trace.clocks.entry(reply.probe).or_default().received = arrival.clock;
                        self.replies.push_back((number, reply));
                        trace.due = trace.due.map(|_| Instant::EPOCH);
                        break;
                    }
                }
            }
            settle(&mut listener.socket, &mut self.traces);
        }
        Ok(())
    }

    /// Sends at most one probe of each trace that is due. Returns whether any was sent.
    fn send(&mut self) -> bool {
        let mut sent = false;
        for (number, trace) in self.traces.iter_mut().enumerate() {
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
                    let result = match self.listeners.iter_mut().find(|listener| listener.version == version) {
                        Some(Listener { socket, .. }) => {
                            let tag = tag(number, probe.probe);
                            socket.send(probe.destination, trace.scope_id, probe.hop_limit, probe.message, tag)
                        }
                        None => Err(Errno::NOTSOCK),
                    };
                    match result {
                        // Deciding took a moment, and so may waiting for room.
                        Ok(left) => trace.tracer.sent(probe.probe, left),
                        Err(errno) => {
                            let code = u16::try_from(errno.raw_os_error()).unwrap_or(u16::MAX);
                            trace.tracer.fail(probe.probe, SendError(code));
                        }
                    }
                    sent = true;
                    Some(now)
                }
            };
        }
        sent
    }
}

/// Corrects when probes left by what the kernel says, if it was asked to say so.
fn settle(socket: &mut Socket, traces: &mut [Running]) {
    while let Some((tag, at)) = socket.departure() {
        let (number, probe) = tagged(tag);
        if let Some(trace) = traces.get_mut(number) {
            trace.tracer.sent(probe, at);
            trace.clocks.entry(probe).or_default().sent = Clock::Kernel;
        }
    }
}

/// A probe as a number: half for the trace, modulo 2¹⁶, a quarter each for hop and attempt.
fn tag(number: usize, probe: ProbeId) -> u32 {
    let [.., high, low] = number.to_be_bytes();
    u32::from_be_bytes([high, low, probe.hop, probe.attempt])
}

/// Reads what [`tag`] writes.
fn tagged(tag: u32) -> (usize, ProbeId) {
    let [high, low, hop, attempt] = tag.to_be_bytes();
    (u16::from_be_bytes([high, low]).into(), ProbeId { hop, attempt })
}
