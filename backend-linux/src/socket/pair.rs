//! A pair of sockets of any kind.

use super::arrival::Arrival;
use super::filter::AnswerKey;
use super::needs::{Lack, Lacks, Nicety};
use super::options::{OpenError, Options};
use super::{ping, raw, tcp, udp, unprivileged};
use crate::advice::Refusals;
use hopshot_core::Instant;
use hopshot_core::wire::AddressFamily;
use hopshot_engine::{ProbeProtocol, SocketKind};
use rustix::io::Errno;
use std::net::IpAddr;
use std::os::fd::{AsFd, BorrowedFd};

/// A pair of sockets of one family. `AsFd` is the receiving one, readable when there may be an
/// [`Arrival`].
#[derive(Debug)]
pub(crate) enum Socket {
    Raw(raw::Socket),
    Unprivileged(unprivileged::Socket),
    Tcp(tcp::Socket),
}

impl Socket {
    /// Opens a pair of the kind that the options name; of either kind that there is, rather raw, if
    /// they name none.
    ///
    /// # Errors
    /// See [`OpenError`].
    pub(crate) fn open(family: AddressFamily, options: &Options) -> Result<Self, OpenError> {
        let raw = || raw::Socket::open(family, options).map(Self::Raw);
        let unprivileged = |lacks| match options.protocol {
            ProbeProtocol::Tcp { .. } => tcp::Socket::open(family, options, lacks).map(Self::Tcp),
            ProbeProtocol::Udp { .. } => {
                udp::open_pair(family, options, lacks).map(Self::Unprivileged)
            }
            _ => ping::open_pair(family, options, lacks).map(Self::Unprivileged),
        };
        match options.kind {
            Some(SocketKind::Raw) => raw(),
            // Each TCP socket has a port of its own.
            None if options.lacks_one_flow() => raw(),
            Some(_) => unprivileged(Lacks::of(family)),
            None => match raw() {
                Err(OpenError::Refused(Refusals {
                    raw: Some(errno), ..
                })) => {
                    let mut lacks = Lacks::of(family);
                    lacks.note(Nicety::RawSockets, Err(errno));
                    unprivileged(lacks).map_err(|error| match error {
                        OpenError::Refused(refusals) => OpenError::Refused(Refusals {
                            raw: Some(errno),
                            ..refusals
                        }),
                        error => error,
                    })
                }
                opened => opened,
            },
        }
    }

    /// What it does without.
    pub(crate) fn lacks(&self) -> &[Lack] {
        match self {
            Self::Raw(raw) => raw.lacks(),
            Self::Unprivileged(other) => other.lacks.list(),
            Self::Tcp(tcp) => tcp.lacks.list(),
        }
    }

    /// Records that something was refused that isn't of the socket itself.
    pub(crate) fn note(&mut self, nicety: Nicety, done: Result<(), Errno>) {
        match self {
            Self::Raw(raw) => raw.lacks.note(nicety, done),
            Self::Unprivileged(other) => other.lacks.note(nicety, done),
            Self::Tcp(tcp) => tcp.lacks.note(nicety, done),
        }
    }

    /// Which kind it is.
    pub(crate) const fn kind(&self) -> SocketKind {
        match self {
            Self::Raw(_) => SocketKind::Raw,
            Self::Unprivileged(other) => other.kind.name,
            Self::Tcp(_) => SocketKind::Tcp,
        }
    }

    /// The ident or the source port that everything it sends will have, whatever the message says;
    /// `None` if it stays as it is.
    pub(crate) const fn ident(&self) -> Option<u16> {
        match self {
            Self::Raw(_) => None,
            Self::Tcp(tcp) => tcp.port(),
            Self::Unprivileged(other) => Some(other.number()),
        }
    }

    /// How many probes may be under way at a time; `None` where any number may.
    pub(crate) const fn room(&self) -> Option<usize> {
        match self {
            Self::Tcp(tcp) => Some(tcp.room()),
            _ => None,
        }
    }

    /// See [`raw::Socket::listen_for`]; one without privilege always listens, for its own ident or
    /// port.
    pub(crate) fn listen_for(&mut self, trace: Option<&AnswerKey>) -> Result<(), Errno> {
        match self {
            Self::Raw(raw) => raw.listen_for(trace),
            Self::Unprivileged(_) | Self::Tcp(_) => Ok(()),
        }
    }

    /// See [`raw::Socket::lock_filter`]; what others receive no filter decides.
    pub(crate) fn lock_filter(&self) -> Result<(), Errno> {
        match self {
            Self::Raw(raw) => raw.lock_filter(),
            Self::Unprivileged(_) | Self::Tcp(_) => Ok(()),
        }
    }

    /// See [`raw::Socket::send`].
    pub(crate) fn send(
        &mut self,
        destination: IpAddr,
        scope_id: u32,
        hop_limit: u8,
        message: &[u8],
        tag: u32,
    ) -> Result<Instant, Errno> {
        match self {
            Self::Raw(raw) => raw.send(destination, scope_id, hop_limit, message, tag),
            Self::Unprivileged(other) => other.send(destination, scope_id, hop_limit, message, tag),
            Self::Tcp(tcp) => tcp.send(destination, scope_id, hop_limit, message, tag),
        }
    }

    /// Ends probes that nobody waits for any more, where they are connections.
    pub(crate) fn forget(&mut self, are_these: impl Fn(u32) -> bool) {
        if let Self::Tcp(tcp) = self {
            tcp.forget(are_these);
        }
    }

    /// How many packets the receiving socket lost: see
    /// [`Rejected::dropped`](crate::Rejected::dropped).
    pub(crate) fn dropped(&self) -> u32 {
        match self {
            Self::Raw(raw) => raw.dropped(),
            Self::Unprivileged(other) => other.dropped(),
            Self::Tcp(_) => 0,
        }
    }

    /// See [`raw::Socket::departure`].
    pub(crate) fn departure(&mut self) -> Option<(u32, Instant)> {
        match self {
            Self::Raw(raw) => raw.departure(),
            Self::Unprivileged(other) => other.departure(),
            Self::Tcp(_) => None,
        }
    }

    /// See [`raw::Socket::receive`].
    pub(crate) fn receive<'b>(&mut self, buf: &'b mut [u8]) -> Result<Option<Arrival<'b>>, Errno> {
        match self {
            Self::Raw(raw) => raw.receive(buf),
            Self::Unprivileged(other) => other.receive(buf),
            Self::Tcp(tcp) => tcp.receive(buf),
        }
    }
}

impl AsFd for Socket {
    fn as_fd(&self) -> BorrowedFd<'_> {
        match self {
            Self::Raw(raw) => raw.as_fd(),
            Self::Unprivileged(other) => other.as_fd(),
            Self::Tcp(tcp) => tcp.as_fd(),
        }
    }
}
