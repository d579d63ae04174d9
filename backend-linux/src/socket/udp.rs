//! UDP sockets, which every user may open: udp(7). The error queue brings what an ICMP error quotes
//! from behind the UDP header on, so the payload must say which probe it is; an error that quotes
//! no more than that header says nothing of it, and is passed over.
//!
//! Two descriptors for the reason that [`ping`](super::ping) has: an error is told by making the
//! next send fail. One sends and has not asked for errors; the other one is bound to the same port
//! after it, and receives: of sockets that share a port the kernel takes the one bound last.

use super::arrival::Arrival;
use super::needs::{Lack, Lacks};
use super::options::{OpenError, Options, apply, endpoint, fragment_probes, open};
use super::ping::{PENDING_ERRORS, hear_all, overlook, sender};
use super::queue::Queue;
use super::sender::Sender;
use crate::sys;
use hopshot_core::Instant;
use hopshot_core::wire::{AddressFamily, udp};
use hopshot_engine::SocketKind;
use rustix::io::Errno;
use rustix::net::sockopt;
use std::net::{IpAddr, SocketAddr};
use std::os::fd::{AsFd, BorrowedFd, OwnedFd};

/// A pair of UDP sockets of one family and one port. `AsFd` is the receiving one.
#[derive(Debug)]
pub(crate) struct Socket {
    port: u16,
    sender: Sender,
    receiver: OwnedFd,
    /// Datagrams.
    arrivals: Queue,
    /// Errors.
    reports: Queue,
    pub(super) lacks: Lacks,
}

impl Socket {
    /// Opens the pair, on the source port of the options, or on one that is free.
    ///
    /// # Errors
    /// See [`OpenError`].
    pub(crate) fn open(
        family: AddressFamily,
        options: &Options,
        mut lacks: Lacks,
    ) -> Result<Self, OpenError> {
        let sender = open(family, SocketKind::Udp, options.protocol)?;
        if family == AddressFamily::V6 {
            // The port may be somebody's in IPv4.
            let _ = sockopt::set_ipv6_v6only(&sender, true);
        }
        bind(&sender, family, options, options.source_port.unwrap_or(0)).map_err(|error| {
            match error {
                OpenError::Other(Errno::ADDRINUSE) => OpenError::PortInUse,
                OpenError::Other(Errno::ACCESS) => OpenError::PortNotPermitted,
                error => error,
            }
        })?;
        fragment_probes(&sender, family, options, &mut lacks)?;
        let port = SocketAddr::try_from(rustix::net::getsockname(&sender)?)?.port();
        let receiver = open_receiver(family, options, &sender, port)?;
        hear_all(&receiver, family, &mut lacks)?;
        let mut sender = Sender::new(sender, family, options.precise, PENDING_ERRORS, &mut lacks);
        sender.port = options.protocol.port().unwrap_or_default();
        Ok(Self {
            port,
            sender,
            receiver,
            arrivals: Queue::of_arrivals(),
            reports: Queue::of_reports(),
            lacks,
        })
    }

    /// Lists what it does without.
    pub(crate) fn lacks(&self) -> &[Lack] {
        self.lacks.list()
    }

    /// The source port of everything sent and heard here.
    pub(crate) const fn port(&self) -> u16 {
        self.port
    }

    /// See [`raw::Socket::send`](super::raw::Socket::send). The kernel writes the UDP header, whose
    /// checksum comes out as the payload was made for.
    pub(crate) fn send(
        &mut self,
        destination: IpAddr,
        scope_id: u32,
        hop_limit: u8,
        message: &[u8],
        tag: u32,
    ) -> Result<Instant, Errno> {
        let payload = message.get(udp::HEADER_LEN..).unwrap_or_default();
        self.sender
            .send(destination, scope_id, hop_limit, payload, tag)
    }

    /// See [`raw::Socket::departure`](super::raw::Socket::departure).
    pub(crate) fn departure(&mut self) -> Option<(u32, Instant)> {
        self.sender.departure()
    }

    /// See [`raw::Socket::receive`](super::raw::Socket::receive). The UDP header is made from what
    /// the kernel says; its checksum is 0, since that isn't known.
    pub(crate) fn receive<'b>(&mut self, buf: &'b mut [u8]) -> Result<Option<Arrival<'b>>, Errno> {
        loop {
            let fd = self.receiver.as_fd();
            let (reports, arrivals) = (&mut self.reports, &mut self.arrivals);
            let payload = buf.get_mut(udp::HEADER_LEN..).unwrap_or_default();
            let next = overlook(|| match reports.read(fd, payload) {
                Ok(None) => arrivals.read(fd, payload),
                reported => reported,
            });
            let Some(packet) = next? else { return Ok(None) };
            let from = sender(packet.report.as_ref(), packet.peer);
            let (Some(from), Some(peer), false) = (from, packet.peer, packet.cut) else {
                continue;
            };
            let (source, destination) = match packet.report {
                None => (peer.port(), self.port),
                Some(_) => (self.port, peer.port()),
            };
            let len = udp::HEADER_LEN + packet.len;
            if udp::emit(source, destination, 0, &mut buf[..len]).is_err() {
                continue;
            }
            let report = packet.report.map(|mut report| {
                // The place of its extensions is counted from the start of what is there.
                if report.data & 0xffff != 0 {
                    report.data = report.data.saturating_add(udp::HEADER_LEN as u32);
                }
                report
            });
            return Ok(Some(Arrival {
                protocol: udp::PROTOCOL,
                from,
                hop_limit: packet.hop_limit,
                message: &buf[..len],
                report,
                at: packet.at,
                clock: packet.clock,
            }));
        }
    }

    /// See [`Rejected::dropped`](crate::Rejected::dropped).
    pub(crate) fn dropped(&self) -> u32 {
        sys::drops(self.as_fd()).unwrap_or(0)
    }
}

impl AsFd for Socket {
    fn as_fd(&self) -> BorrowedFd<'_> {
        self.receiver.as_fd()
    }
}

/// Opens the receiver on the sender's port. Nobody else can bind the port then.
fn open_receiver(
    family: AddressFamily,
    options: &Options,
    sender: &OwnedFd,
    port: u16,
) -> Result<OwnedFd, OpenError> {
    let receiver = open(family, SocketKind::Udp, options.protocol)?;
    if family == AddressFamily::V6 {
        let _ = sockopt::set_ipv6_v6only(&receiver, true);
    }
    let share = |may: bool| {
        let mut both = [sender, &receiver].into_iter();
        both.try_for_each(|fd| sockopt::set_socket_reuseaddr(fd, may))
    };
    share(true)?;
    let bound = bind(&receiver, family, options, port);
    share(false)?;
    match bound {
        Ok(()) => Ok(receiver),
        // One does both.
        Err(_) => Ok(rustix::io::fcntl_dupfd_cloexec(sender, 0)?),
    }
}

/// Binds a socket to a port, and to the source and the interface of the options, both sockets
/// alike: else the kernel would take the one that is bound more closely.
fn bind(
    fd: &OwnedFd,
    family: AddressFamily,
    options: &Options,
    port: u16,
) -> Result<(), OpenError> {
    apply(options, family, fd.as_fd(), port)?;
    if options.source.is_none() {
        rustix::net::bind(fd, &endpoint(family.unspecified(), 0, port))?;
    }
    Ok(())
}
