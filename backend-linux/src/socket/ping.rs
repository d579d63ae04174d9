//! ICMP datagram sockets, "ping sockets": icmp(7), Linux 3.0, for IPv6 3.11. The kernel knows each
//! by its ident (its port), sends nothing but Echo Requests by it, and gives it nothing but Echo
//! Replies with its ident, and in its error queue the errors that quote its ident.
//!
//! Two descriptors. One that has asked for errors (`IP_RECVERR`) is told of each by making its next
//! send fail in place of the packet. So one descriptor sends, and has not asked; the other one,
//! bound to the same ident, has asked, and receives: of sockets with the same ident the kernel
//! takes the one that was bound last. That much isn't documented, so a send that fails
//! is tried again, which takes the pending error away, and where the second bind is refused one
//! socket does both.

use super::arrival::Arrival;
use super::needs::{Lack, Lacks, Necessity, Nicety};
use super::options::{
    OpenError, Options, TRANSIENT_ERRORS, apply, endpoint, errors, fragment_probes, open, set,
    set_receive_buffer,
};
use super::queue::{Origin, Queue, Report};
use super::sender::Sender;
use crate::sys::{self, Name};
use hopshot_core::Instant;
use hopshot_core::wire::{AddressFamily, ip};
use hopshot_engine::{ProbeProtocol, SocketKind};
use rustix::io::Errno;
use rustix::net::sockopt;
use std::net::{IpAddr, SocketAddr};
use std::os::fd::{AsFd, BorrowedFd, OwnedFd};

/// Errors of earlier packets that a send overlooks: each makes one send fail in place of its own
/// packet.
pub(super) const PENDING_ERRORS: usize = 3;

/// A pair of ping sockets of one family and one ident. `AsFd` is the receiving one.
#[derive(Debug)]
pub(crate) struct Socket {
    ident: u16,
    sender: Sender,
    receiver: OwnedFd,
    /// Echo Replies.
    arrivals: Queue,
    /// Errors.
    reports: Queue,
    pub(super) lacks: Lacks,
}

impl Socket {
    /// Opens the pair, with the ident of the options, which others may have too, or with one that
    /// nobody else has or gets.
    ///
    /// # Errors
    /// See [`OpenError`]; `Refused` also if no group of this process is in
    /// `net.ipv4.ping_group_range`.
    pub(crate) fn open(
        family: AddressFamily,
        options: &Options,
        mut lacks: Lacks,
    ) -> Result<Self, OpenError> {
        // To the kernel 0 means any.
        let given = options.ident.filter(|ident| *ident != 0);
        let (sender, ident) = match given {
            Some(ident) => (
                open_sender(family, options, ident, true, &mut lacks)?,
                ident,
            ),
            None => open_alone(family, options, &mut lacks)?,
        };
        fragment_probes(&sender, family, options, &mut lacks)?;
        let receiver = open(family, SocketKind::Ping, ProbeProtocol::Icmp)?;
        lacks.note(
            Nicety::OwnIdent,
            sockopt::set_socket_reuseaddr(&sender, true),
        );
        let receiver = match bind(&receiver, family, ident) {
            Ok(()) => receiver,
            Err(_) => rustix::io::fcntl_dupfd_cloexec(&sender, 0)?,
        };
        if given.is_none() {
            // From now on nobody can bind the ident, and take the answers.
            for fd in [&sender, &receiver] {
                lacks.note(Nicety::OwnIdent, sockopt::set_socket_reuseaddr(fd, false));
            }
        }
        hear_all(&receiver, family, &mut lacks)?;
        let sender = Sender::new(sender, family, options.precise, PENDING_ERRORS, &mut lacks);
        Ok(Self {
            ident,
            sender,
            receiver,
            arrivals: Queue::of_arrivals(),
            reports: Queue::of_reports(),
            lacks,
        })
    }

    /// What it does without.
    pub(crate) fn lacks(&self) -> &[Lack] {
        self.lacks.list()
    }

    /// The ident of everything sent and heard here.
    pub(crate) const fn ident(&self) -> u16 {
        self.ident
    }

    /// See [`raw::Socket::send`](super::raw::Socket::send). The kernel puts its own ident into the
    /// message, and makes the checksum right.
    pub(crate) fn send(
        &mut self,
        destination: IpAddr,
        scope_id: u32,
        hop_limit: u8,
        message: &[u8],
        tag: u32,
    ) -> Result<Instant, Errno> {
        self.sender
            .send(destination, scope_id, hop_limit, message, tag)
    }

    /// See [`raw::Socket::departure`](super::raw::Socket::departure).
    pub(crate) fn departure(&mut self) -> Option<(u32, Instant)> {
        self.sender.departure()
    }

    #[cfg(test)]
    pub(super) fn count_departures(&mut self) {
        self.sender.count();
    }

    /// See [`raw::Socket::receive`](super::raw::Socket::receive).
    pub(crate) fn receive<'b>(&mut self, buf: &'b mut [u8]) -> Result<Option<Arrival<'b>>, Errno> {
        loop {
            let fd = self.receiver.as_fd();
            let (reports, arrivals) = (&mut self.reports, &mut self.arrivals);
            let next = overlook(|| match reports.read(fd, buf) {
                Ok(None) => arrivals.read(fd, buf),
                reported => reported,
            });
            let Some(packet) = next? else { return Ok(None) };
            if packet.cut {
                continue;
            }
            let Some(from) = sender(packet.report.as_ref(), packet.peer) else {
                continue;
            };
            let (hop_limit, report, message) =
                (packet.hop_limit, packet.report, &buf[..packet.len]);
            return Ok(Some(Arrival {
                protocol: ip::icmp(AddressFamily::of(from)),
                from,
                hop_limit,
                message,
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

/// Reads, and overlooks errors: those in the queue are told here too, once each.
///
/// In a flood more are told than can be overlooked, also while the queue has no room for them. What
/// an ICMP error makes is no failure of this socket: then there is nothing to read for now.
pub(super) fn overlook<T>(
    mut read: impl FnMut() -> Result<Option<T>, Errno>,
) -> Result<Option<T>, Errno> {
    /// Linux: `icmp_err_convert` in net/ipv4/icmp.c, `icmpv6_err_convert` in net/ipv6/icmp.c.
    const TOLD: [Errno; 10] = [
        Errno::NETUNREACH,
        Errno::HOSTUNREACH,
        Errno::NOPROTOOPT,
        Errno::CONNREFUSED,
        Errno::MSGSIZE,
        Errno::OPNOTSUPP,
        Errno::HOSTDOWN,
        Errno::NONET,
        Errno::ACCESS,
        Errno::PROTO,
    ];
    for _ in 0..TRANSIENT_ERRORS {
        if let Ok(packet) = read() {
            return Ok(packet);
        }
    }
    match read() {
        Err(errno) if TOLD.contains(&errno) => Ok(None),
        last => last,
    }
}

/// Who sent a packet, if it came from the network; of one from the error queue `peer` is where the
/// probe went.
pub(super) fn sender(report: Option<&Report>, peer: Option<SocketAddr>) -> Option<IpAddr> {
    let from = match report {
        None => peer,
        Some(Report {
            origin: Origin::Icmp,
            offender,
            ..
        }) => *offender,
        Some(_) => None,
    };
    from.map(|from| from.ip())
}

/// Opens a sender with an ident. If it isn't to share it, it gets none that a socket has.
fn open_sender(
    family: AddressFamily,
    options: &Options,
    ident: u16,
    may_share: bool,
    lacks: &mut Lacks,
) -> Result<OwnedFd, OpenError> {
    let sender = open(family, SocketKind::Ping, ProbeProtocol::Icmp)?;
    lacks.note(
        Nicety::OwnIdent,
        sockopt::set_socket_reuseaddr(&sender, may_share),
    );
    apply(options, family, sender.as_fd(), ident)?;
    if options.source.is_none() {
        bind(&sender, family, ident)?;
    }
    Ok(sender)
}

/// Opens a sender with an ident of its own, drawn at random: the kernel would take the next one
/// each time, so that who knows one knows the others.
fn open_alone(
    family: AddressFamily,
    options: &Options,
    lacks: &mut Lacks,
) -> Result<(OwnedFd, u16), OpenError> {
    /// Idents that are tried, as long as they are taken.
    const DRAWS: usize = 64;
    let mut draws = 1;
    loop {
        let mut ident = [0; 2];
        rustix::rand::getrandom(&mut ident, rustix::rand::GetRandomFlags::empty())?;
        let ident = u16::from_ne_bytes(ident).max(1);
        match open_sender(family, options, ident, false, lacks) {
            Err(OpenError::Other(Errno::ADDRINUSE)) if draws < DRAWS => draws += 1,
            opened => return opened.map(|sender| (sender, ident)),
        }
    }
}

fn bind(fd: &OwnedFd, family: AddressFamily, ident: u16) -> Result<(), Errno> {
    rustix::net::bind(fd, &endpoint(family.unspecified(), 0, ident))
}

/// Asks for errors, and for stamps and hop limits of everything.
pub(super) fn hear_all(
    fd: &OwnedFd,
    family: AddressFamily,
    lacks: &mut Lacks,
) -> Result<(), OpenError> {
    let [extensions, hop_limits] = match family {
        AddressFamily::V4 => [Name::IP_RECVERR_RFC4884, Name::IP_RECVTTL],
        AddressFamily::V6 => [Name::IPV6_RECVERR_RFC4884, Name::IPV6_RECVHOPLIMIT],
    };
    set(fd, errors(family), 1).map_err(|errno| OpenError::Necessary(Necessity::Errors, errno))?;
    lacks.note(Nicety::ArrivalStamps, set(fd, Name::SO_TIMESTAMPNS, 1));
    lacks.note(Nicety::HopLimits, set(fd, hop_limits, 1));
    lacks.note(Nicety::Extensions, set(fd, extensions, 1));
    lacks.note(Nicety::Buffer, set_receive_buffer(fd));
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    /// What is read where each read but the first so many tells an error.
    fn read(errno: Errno, before: usize, errors: usize) -> Result<Option<usize>, Errno> {
        let mut reads = 0..;
        overlook(|| match reads.next() {
            Some(number) if (before..before + errors).contains(&number) => Err(errno),
            number => Ok(number),
        })
    }

    #[test]
    fn no_flood_of_icmp_errors_makes_receiving_fail_and_a_broken_socket_does() {
        for errno in [
            Errno::HOSTUNREACH,
            Errno::CONNREFUSED,
            Errno::PROTO,
            Errno::MSGSIZE,
            Errno::ACCESS,
            Errno::NONET,
        ] {
            assert_eq!(
                (read(errno, 0, 1), read(errno, 0, 64), read(errno, 0, 1000)),
                (Ok(Some(1)), Ok(Some(64)), Ok(None))
            );
            assert_eq!(read(errno, 1, 1000), Ok(Some(0)));
        }
        for errno in [
            Errno::BADF,
            Errno::NOTSOCK,
            Errno::PERM,
            Errno::INVAL,
            Errno::FAULT,
        ] {
            assert_eq!(
                (read(errno, 0, 1), read(errno, 0, 1000)),
                (Ok(Some(1)), Err(errno))
            );
        }
    }
}
