//! A pair of sockets of either kind.

use super::arrival::Arrival;
use super::filter::AnswerKey;
use super::needs::{Lack, Lacks, Nicety};
use super::options::{OpenError, Options};
use super::{ping, raw, udp};
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
    Ping(ping::Socket),
    Udp(udp::Socket),
}

impl Socket {
    /// Opens a pair of the kind that the options name; of either kind that there is, rather raw, if
    /// they name none.
    ///
    /// # Errors
    /// See [`OpenError`].
    pub(crate) fn open(family: AddressFamily, options: &Options) -> Result<Self, OpenError> {
        let raw = || raw::Socket::open(family, options).map(Self::Raw);
        let other = |lacks| match options.protocol {
            ProbeProtocol::Udp { .. } => udp::Socket::open(family, options, lacks).map(Self::Udp),
            _ => ping::Socket::open(family, options, lacks).map(Self::Ping),
        };
        match options.kind {
            Some(SocketKind::Raw) => raw(),
            // There is no other for it.
            _ if matches!(options.protocol, ProbeProtocol::Tcp { .. }) => raw(),
            Some(_) => other(Lacks::of(family)),
            None => match raw() {
                Err(OpenError::Refused(Refusals {
                    raw: Some(errno), ..
                })) => {
                    let mut lacks = Lacks::of(family);
                    lacks.note(Nicety::RawSockets, Err(errno));
                    other(lacks).map_err(|error| match error {
                        OpenError::Refused(ping) => OpenError::Refused(Refusals {
                            raw: Some(errno),
                            ..ping
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
            Self::Ping(ping) => ping.lacks(),
            Self::Udp(udp) => udp.lacks(),
        }
    }

    /// Records that something was refused that isn't of the socket itself.
    pub(crate) fn note(&mut self, nicety: Nicety, done: Result<(), Errno>) {
        match self {
            Self::Raw(raw) => raw.lacks.note(nicety, done),
            Self::Ping(ping) => ping.lacks.note(nicety, done),
            Self::Udp(udp) => udp.lacks.note(nicety, done),
        }
    }

    /// Which kind it is.
    pub(crate) const fn kind(&self) -> SocketKind {
        match self {
            Self::Raw(_) => SocketKind::Raw,
            Self::Ping(_) => SocketKind::Ping,
            Self::Udp(_) => SocketKind::Udp,
        }
    }

    /// The ident or the source port that everything it sends will have, whatever the message says;
    /// `None` if it stays as it is.
    pub(crate) const fn ident(&self) -> Option<u16> {
        match self {
            Self::Raw(_) => None,
            Self::Ping(ping) => Some(ping.ident()),
            Self::Udp(udp) => Some(udp.port()),
        }
    }

    /// See [`raw::Socket::listen_for`]; a ping socket always listens, for its own ident.
    pub(crate) fn listen_for(&mut self, trace: Option<&AnswerKey>) -> Result<(), Errno> {
        match self {
            Self::Raw(raw) => raw.listen_for(trace),
            Self::Ping(_) | Self::Udp(_) => Ok(()),
        }
    }

    /// See [`raw::Socket::lock_filter`]; what a ping socket receives no filter decides.
    pub(crate) fn lock_filter(&self) -> Result<(), Errno> {
        match self {
            Self::Raw(raw) => raw.lock_filter(),
            Self::Ping(_) | Self::Udp(_) => Ok(()),
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
            Self::Ping(ping) => ping.send(destination, scope_id, hop_limit, message, tag),
            Self::Udp(udp) => udp.send(destination, scope_id, hop_limit, message, tag),
        }
    }

    /// How many packets the receiving socket lost: see
    /// [`Rejected::dropped`](crate::Rejected::dropped).
    pub(crate) fn dropped(&self) -> u32 {
        match self {
            Self::Raw(raw) => raw.dropped(),
            Self::Ping(ping) => ping.dropped(),
            Self::Udp(udp) => udp.dropped(),
        }
    }

    /// See [`raw::Socket::departure`].
    pub(crate) fn departure(&mut self) -> Option<(u32, Instant)> {
        match self {
            Self::Raw(raw) => raw.departure(),
            Self::Ping(ping) => ping.departure(),
            Self::Udp(udp) => udp.departure(),
        }
    }

    /// See [`raw::Socket::receive`].
    pub(crate) fn receive<'b>(&mut self, buf: &'b mut [u8]) -> Result<Option<Arrival<'b>>, Errno> {
        match self {
            Self::Raw(raw) => raw.receive(buf),
            Self::Ping(ping) => ping.receive(buf),
            Self::Udp(udp) => udp.receive(buf),
        }
    }
}

impl AsFd for Socket {
    fn as_fd(&self) -> BorrowedFd<'_> {
        match self {
            Self::Raw(raw) => raw.as_fd(),
            Self::Ping(ping) => ping.as_fd(),
            Self::Udp(udp) => udp.as_fd(),
        }
    }
}
