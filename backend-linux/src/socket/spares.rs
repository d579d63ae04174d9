//! UDP sockets for detours: each probe leaves from a source port that only it has. So its answer is
//! known by that port, however little of the probe it quotes.

use super::arrival::Received;
use super::needs::Lacks;
use super::options::{OpenError, Options, bind_interface, files_permitted};
use super::udp;
use super::unprivileged::Socket;
use crate::clock;
use crate::interface::Interface;
use hopshot_core::Instant;
use hopshot_core::wire::AddressFamily;
use rustix::event::Timespec;
use rustix::event::epoll::{self, CreateFlags, Event, EventData, EventFlags};
use rustix::io::Errno;
use std::collections::VecDeque;
use std::net::IpAddr;
use std::os::fd::{AsFd, BorrowedFd, OwnedFd};
use std::time::Duration;

/// Sockets of one family. A trace seldom has more detours under way.
pub(super) const MOST: usize = 32;

/// Descriptors that a process may have for each of them: so those of both families take an eighth.
const FILES_PER_SPARE: usize = 16;

/// Descriptors that are left to the rest of the process, or there are no spares.
const RESERVE: usize = 16;

/// How long a probe keeps its socket if nothing answers it and others are in want of one.
const TURN: Duration = Duration::from_millis(500);

/// Sockets of one family, for one probe each. `AsFd` is readable when there may be an answer.
#[derive(Debug)]
pub(crate) struct Spares {
    places: Vec<Spare>,
    /// All places: the one that was used longest ago comes first.
    order: VecDeque<usize>,
    /// Places where something is to be read.
    ready: VecDeque<usize>,
    events: OwnedFd,
    interface: Option<Interface>,
}

#[derive(Debug)]
struct Spare {
    socket: Socket,
    probe: Option<Probe>,
}

/// A probe that has left. It keeps its port until the socket is needed for another one.
#[derive(Clone, Copy, Debug)]
struct Probe {
    tag: u32,
    target: IpAddr,
    left: Instant,
    is_answered: bool,
}

impl Spares {
    /// Opens as many as this process may well have.
    ///
    /// # Errors
    /// See [`OpenError`]: also if then there are few descriptors left.
    pub(crate) fn open(family: AddressFamily, options: &Options) -> Result<Self, OpenError> {
        let count = (files_permitted() / FILES_PER_SPARE).clamp(1, MOST);
        let events = epoll::create(CreateFlags::CLOEXEC)?;
        let (mut places, mut interface) = (Vec::with_capacity(count), None);
        for index in 0..count {
            let (socket, bound) = udp::open_spare(family, options, Lacks::of(family))?;
            interface = bound;
            // Edge-triggered: what is read once wakes nobody again.
            let what = EventFlags::IN | EventFlags::ET;
            epoll::add(&events, &socket, EventData::new_u64(index as u64), what)?;
            places.push(Spare {
                socket,
                probe: None,
            });
        }
        let reserve = (0..RESERVE).map(|_| rustix::io::fcntl_dupfd_cloexec(&events, 0));
        reserve.collect::<Result<Vec<_>, _>>()?;
        Ok(Self {
            order: (0..places.len()).collect(),
            ready: VecDeque::new(),
            places,
            events,
            interface,
        })
    }

    /// See [`raw::Socket::send`](super::raw::Socket::send). The header of the message comes back
    /// with its answer.
    ///
    /// # Errors
    /// EAGAIN too, if all sockets have a probe under way.
    pub(crate) fn send(
        &mut self,
        destination: IpAddr,
        scope_id: u32,
        hop_limit: u8,
        message: &[u8],
        tag: u32,
    ) -> Result<Instant, Errno> {
        let place = self.take().ok_or(Errno::AGAIN)?;
        self.release(place);
        let spare = &mut self.places[place];
        spare.socket.restores(message);
        let sent = spare
            .socket
            .send(destination, scope_id, hop_limit, message, tag);
        match sent {
            Ok(left) => {
                spare.probe = Some(Probe {
                    tag,
                    target: destination,
                    left,
                    is_answered: false,
                });
            }
            // It may have got its port before it failed.
            Err(_) => self.disconnect(place),
        }
        sent
    }

    /// Takes a place for the next probe: one without a probe, or whose probe was answered, or the
    /// one whose probe has waited longest.
    fn take(&mut self) -> Option<usize> {
        let now = clock::now();
        let find = |is_it: &dyn Fn(Option<Probe>) -> bool| {
            let mut order = self.order.iter();
            order.position(|place| is_it(self.places[*place].probe))
        };
        let found = find(&|probe| probe.is_none())
            .or_else(|| find(&|probe| probe.is_some_and(|probe| probe.is_answered)))
            .or_else(|| {
                find(&|probe| probe.is_some_and(|it| now.saturating_since(it.left) > TURN))
            });
        let place = self.order.remove(found?)?;
        self.order.push_back(place);
        Some(place)
    }

    /// Reads the next answer into a buffer. Returns the port that it came to as well.
    pub(crate) fn read(
        &mut self,
        buf: &mut [u8],
    ) -> Result<Option<(Received, Option<u16>)>, Errno> {
        if self.ready.is_empty() {
            self.look()?;
        }
        while let Some(place) = self.ready.front() {
            let spare = &mut self.places[*place];
            match (spare.socket.read(buf)?, &mut spare.probe) {
                (None, _) => drop(self.ready.pop_front()),
                (Some(received), Some(probe)) if is_answer(&received, probe) => {
                    probe.is_answered = true;
                    // The kernel has chosen it when the probe left.
                    return Ok(Some((received, udp::port(&spare.socket))));
                }
                // Somebody's who sends to any port.
                (Some(_), _) => {}
            }
        }
        Ok(None)
    }

    /// Looks for places where something is to be read.
    fn look(&mut self) -> Result<(), Errno> {
        let mut events = Vec::<Event>::with_capacity(self.places.len());
        let room = rustix::buffer::spare_capacity(&mut events);
        match epoll::wait(&self.events, room, Some(&Timespec::default())) {
            Ok(_) | Err(Errno::INTR) => {}
            Err(errno) => return Err(errno),
        }
        let places = events.iter().map(|event| event.data.u64());
        let places = places.filter_map(|place| usize::try_from(place).ok());
        self.ready
            .extend(places.filter(|place| *place < self.places.len()));
        Ok(())
    }

    /// Ends probes that nobody waits for any more.
    pub(crate) fn forget(&mut self, are_these: impl Fn(u32) -> bool) {
        for place in 0..self.places.len() {
            let probe = self.places[place].probe;
            if probe.is_some_and(|probe| are_these(probe.tag)) {
                self.release(place);
            }
        }
    }

    fn release(&mut self, place: usize) {
        if self.places[place].probe.take().is_some() {
            self.disconnect(place);
        }
    }

    /// Has a socket get another port when it sends again: a late answer to this probe is none to
    /// the next.
    fn disconnect(&mut self, place: usize) {
        let socket = &mut self.places[place].socket;
        socket.disconnect();
        // The kernel has forgotten it.
        if let Some(interface) = &self.interface {
            let _ = bind_interface(socket.as_fd(), interface);
        }
    }
}

/// Whether a message is about the probe: any error that comes to its port, and what the target
/// sends.
fn is_answer(received: &Received, probe: &Probe) -> bool {
    received.packet.report.is_some() || received.from == probe.target
}

impl AsFd for Spares {
    fn as_fd(&self) -> BorrowedFd<'_> {
        self.events.as_fd()
    }
}
