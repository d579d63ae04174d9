//! UDP sockets for detours: each probe leaves from a source port that only it has. So its answer is
//! known by that port, however little of the probe it quotes.

use super::arrival::Received;
use super::needs::Lacks;
use super::options::{OpenError, Options};
use super::udp;
use super::unprivileged::Socket;
use crate::epoll::readable_with_any;
use hopshot_core::Instant;
use hopshot_core::wire::AddressFamily;
use rustix::io::Errno;
use rustix::process::Resource;
use std::net::IpAddr;
use std::os::fd::{AsFd, BorrowedFd, OwnedFd};

/// Sockets of one family. A trace seldom has more detours under way; then the oldest is given up.
pub(super) const MOST: usize = 32;

/// Descriptors that a process may have for each of them: so those of both families take an eighth.
const FILES_PER_SPARE: usize = 16;

/// Sockets of one family, for one probe each. `AsFd` is readable when there may be an answer.
#[derive(Debug)]
pub(crate) struct Spares {
    places: Vec<Spare>,
    /// The place of the next probe: the one that was used longest ago.
    next: usize,
    events: OwnedFd,
}

#[derive(Debug)]
struct Spare {
    socket: Socket,
    /// The tag of the probe that is under way.
    tag: Option<u32>,
}

impl Spares {
    /// Opens as many as this process may well have.
    ///
    /// # Errors
    /// See [`OpenError`], where there is none.
    pub(crate) fn open(family: AddressFamily, options: &Options) -> Result<Self, OpenError> {
        let files = rustix::process::getrlimit(Resource::Nofile).current;
        let files = usize::try_from(files.unwrap_or(u64::MAX)).unwrap_or(usize::MAX);
        let count = (files / FILES_PER_SPARE).clamp(1, MOST);
        let mut places = Vec::with_capacity(count);
        for _ in 0..count {
            let socket = match udp::open_spare(family, options, Lacks::of(family)) {
                Err(_) if !places.is_empty() => break,
                opened => opened?,
            };
            places.push(Spare { socket, tag: None });
        }
        let events = readable_with_any(places.iter().map(|spare| spare.socket.as_fd()))?;
        let next = 0;
        Ok(Self {
            places,
            next,
            events,
        })
    }

    /// See [`raw::Socket::send`](super::raw::Socket::send). The header of the message comes back
    /// with its answer.
    pub(crate) fn send(
        &mut self,
        destination: IpAddr,
        scope_id: u32,
        hop_limit: u8,
        message: &[u8],
        tag: u32,
    ) -> Result<Instant, Errno> {
        let next = (self.next + 1) % self.places.len();
        let spare = self.places.get_mut(self.next).ok_or(Errno::BADF)?;
        self.next = next;
        spare.release();
        spare.socket.restores(message);
        let left = spare
            .socket
            .send(destination, scope_id, hop_limit, message, tag)?;
        spare.tag = Some(tag);
        Ok(left)
    }

    /// Reads the next answer into a buffer.
    pub(crate) fn read(&mut self, buf: &mut [u8]) -> Result<Option<Received>, Errno> {
        for spare in self.places.iter_mut().filter(|spare| spare.tag.is_some()) {
            if let Some(received) = spare.socket.read(buf)? {
                // Nothing more is expected, and nobody would read it.
                spare.release();
                return Ok(Some(received));
            }
        }
        Ok(None)
    }

    /// Ends probes that nobody waits for any more.
    pub(crate) fn forget(&mut self, are_these: impl Fn(u32) -> bool) {
        for spare in &mut self.places {
            if spare.tag.is_some_and(&are_these) {
                spare.release();
            }
        }
    }
}

impl Spare {
    /// Gives the socket another port, by the time that it sends again: a late answer to this probe
    /// is none to the next.
    fn release(&mut self) {
        if self.tag.take().is_some() {
            self.socket.disconnect();
        }
    }
}

impl AsFd for Spares {
    fn as_fd(&self) -> BorrowedFd<'_> {
        self.events.as_fd()
    }
}
