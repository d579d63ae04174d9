//! Sockets that take no privilege: [`ping`](super::ping) sockets, known by an ident, and
//! [`udp`](super::udp) sockets, known by a port. Both are a number to bind(2).
//!
//! Two descriptors. One that has asked for errors (`IP_RECVERR`) is told of each by making its next
//! send fail in place of the packet. So one descriptor sends, and has not asked; the other one,
//! bound to the same number, has asked, and receives: of sockets with the same number the kernel
//! takes the one that was bound last. That much isn't documented, so a send that fails
//! is tried again, which takes the pending error away, and where the second bind is refused one
//! socket does both.

use super::arrival::{Arrival, Received};
use super::needs::{Lacks, Necessity, Nicety};
use super::options::{
    OpenError, Options, TRANSIENT_ERRORS, apply, endpoint, errors, fragment_probes, set,
    set_receive_buffer,
};
use super::queue::{Origin, Packet, Queue, Report};
use super::sender::Sender;
use crate::interface::Interface;
use crate::sys::{self, Name};
use hopshot_core::Instant;
use hopshot_core::wire::AddressFamily;
use hopshot_engine::SocketKind;
use rustix::io::Errno;
use rustix::net::sockopt;
use std::net::{IpAddr, SocketAddr};
use std::os::fd::{AsFd, BorrowedFd, OwnedFd};

/// Errors of earlier packets that a send overlooks: each makes one send fail in place of its own
/// packet.
const PENDING_ERRORS: usize = 3;

/// A kind of sockets: its name, and what the kernel does with the header of a message.
#[derive(Clone, Copy, Debug)]
pub(super) struct Kind {
    pub(super) name: SocketKind,
    /// The octets of the header that the kernel writes, and keeps to itself.
    pub(super) header_len: usize,
    /// Writes that header before a message that was read, given what is known of it and what the
    /// kernel says. `None` if that isn't enough.
    pub(super) restore: fn(Known, &mut Packet, &mut [u8]) -> Option<()>,
}

/// The fields of a header that are known, whatever the kernel keeps to itself.
#[derive(Clone, Copy, Debug)]
pub(super) struct Known {
    /// The ident or the source port.
    pub(super) number: u16,
    /// The checksum; 0 if it isn't known.
    pub(super) checksum: u16,
}

/// A pair of sockets of one kind, one family and one number. `AsFd` is the receiving one.
#[derive(Debug)]
pub(crate) struct Socket {
    pub(super) kind: Kind,
    known: Known,
    /// The number of the protocol that it sends.
    protocol: u8,
    sender: Sender,
    /// The one that receives, if it isn't the one that sends.
    receiver: Option<OwnedFd>,
    /// Replies.
    arrivals: Queue,
    /// Errors.
    reports: Queue,
    pub(super) lacks: Lacks,
}

impl Socket {
    /// Makes a pair of a sender that is bound to `number`, and of a receiver that was bound to it
    /// after that; without a receiver one socket does both.
    ///
    /// # Errors
    /// See [`OpenError`].
    pub(super) fn new(
        kind: Kind,
        number: u16,
        (sender, receiver): (OwnedFd, Option<OwnedFd>),
        family: AddressFamily,
        options: &Options,
        mut lacks: Lacks,
    ) -> Result<Self, OpenError> {
        fragment_probes(&sender, family, options, &mut lacks)?;
        hear_all(receiver.as_ref().unwrap_or(&sender), family, &mut lacks)?;
        let mut sender = Sender::new(sender, family, options.precise, PENDING_ERRORS, &mut lacks);
        sender.port = options.protocol.port().unwrap_or_default();
        Ok(Self {
            kind,
            known: Known {
                number,
                checksum: 0,
            },
            protocol: options.protocol.number(family),
            sender,
            receiver,
            arrivals: Queue::of_arrivals(),
            reports: Queue::of_reports(),
            lacks,
        })
    }

    /// See [`raw::Socket::send`](super::raw::Socket::send). The kernel puts the number of the
    /// socket into the message, and makes the checksum right; of UDP it comes out as the payload
    /// was made for.
    pub(crate) fn send(
        &mut self,
        destination: IpAddr,
        scope_id: u32,
        hop_limit: u8,
        message: &[u8],
        tag: u32,
    ) -> Result<Instant, Errno> {
        let message = message.get(self.kind.header_len..).unwrap_or_default();
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

    /// The ident or the source port of everything sent and heard here.
    pub(super) const fn number(&self) -> u16 {
        self.known.number
    }

    /// Has everything that is read come with the header of a message: one socket sends no other.
    pub(super) fn restores(&mut self, message: &[u8]) {
        if let Some(&[a, b, _, _, _, _, c, d]) = message.first_chunk() {
            self.known = Known {
                number: u16::from_be_bytes([a, b]),
                checksum: u16::from_be_bytes([c, d]),
            };
        }
    }

    /// Gives up the port of a socket that was bound to none in particular, and all that has arrived
    /// at it.
    pub(super) fn disconnect(&mut self) {
        let _ = rustix::net::connect_unspec(self.as_fd());
        while self.read(&mut [0; 64]).is_ok_and(|read| read.is_some()) {}
    }

    /// See [`raw::Socket::receive`](super::raw::Socket::receive).
    pub(crate) fn receive<'b>(&mut self, buf: &'b mut [u8]) -> Result<Option<Arrival<'b>>, Errno> {
        let received = self.read(buf)?;
        Ok(received.map(|received| received.arrival(buf)))
    }

    /// Reads the next message into a buffer.
    pub(super) fn read(&mut self, buf: &mut [u8]) -> Result<Option<Received>, Errno> {
        let Kind {
            header_len,
            restore,
            ..
        } = self.kind;
        loop {
            let fd = self.receiver.as_ref().unwrap_or(&self.sender.fd).as_fd();
            let room = buf.get_mut(header_len..).unwrap_or_default();
            let next = overlook(|| match self.reports.read(fd, room) {
                Ok(None) => self.arrivals.read(fd, room),
                reported => reported,
            });
            let Some(mut packet) = next? else {
                return Ok(None);
            };
            let from = sender(packet.report.as_ref(), packet.peer);
            let len = header_len + packet.len;
            let message = buf.get_mut(..len).unwrap_or_default();
            let restored = restore(self.known, &mut packet, message);
            if let (Some(from), Some(()), false) = (from, restored, packet.cut) {
                return Ok(Some(Received {
                    from,
                    protocol: self.protocol,
                    len,
                    packet,
                }));
            }
        }
    }

    /// See [`Rejected::dropped`](crate::Rejected::dropped).
    pub(crate) fn dropped(&self) -> u32 {
        sys::drops(self.as_fd()).unwrap_or(0)
    }
}

impl AsFd for Socket {
    fn as_fd(&self) -> BorrowedFd<'_> {
        self.receiver.as_ref().unwrap_or(&self.sender.fd).as_fd()
    }
}

/// Binds a socket to a number, and to the source and the interface of the options, which it
/// returns.
pub(super) fn bind(
    fd: &OwnedFd,
    family: AddressFamily,
    options: &Options,
    number: u16,
) -> Result<Option<Interface>, OpenError> {
    let interface = apply(options, family, fd.as_fd(), number)?;
    if options.source.is_none() {
        rustix::net::bind(fd, &endpoint(family.unspecified(), 0, number))?;
    }
    Ok(interface)
}

/// Says whether sockets may share their number, with each other and with those of others. Returns
/// the first refusal.
pub(super) fn share<const N: usize>(fds: [&OwnedFd; N], may: bool) -> Result<(), Errno> {
    fds.map(|fd| sockopt::set_socket_reuseaddr(fd, may))
        .into_iter()
        .collect()
}

/// Reads, and overlooks errors: those in the queue are told here too, once each.
///
/// In a flood more are told than can be overlooked, also while the queue has no room for them. What
/// an ICMP error makes is no failure of this socket: then there is nothing to read for now.
fn overlook<T>(mut read: impl FnMut() -> Result<Option<T>, Errno>) -> Result<Option<T>, Errno> {
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

/// Returns who sent a packet, if it came from the network. Of one from the error queue `peer` is
/// where the probe went.
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

/// Asks for errors, and for stamps and hop limits of everything.
fn hear_all(fd: &OwnedFd, family: AddressFamily, lacks: &mut Lacks) -> Result<(), OpenError> {
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

    /// Reads where `errors` reads tell an error, after so many `before` that don't.
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
