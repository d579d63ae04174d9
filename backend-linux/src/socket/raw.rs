//! Raw sockets: raw(7), icmp(7), ipv6(7).
//!
//! Probes of TCP and UDP leave by raw sockets of these protocols, and the target's own answers come
//! in by one more; errors about them are ICMP.
//!
//! Sending and receiving are two descriptors, since one can't do both well. Only a socket with
//! `IP_RECVERR` learns of a packet that a queueing discipline drops (ENOBUFS; without it the send
//! "succeeds"), but such a socket gets every ICMP error twice, in its error queue and as a packet,
//! and both fill the same receive buffer. So one descriptor sends, and only its error queue is ever
//! read; the other one receives, and never reports errors.

use super::arrival::Arrival;
use super::filter::{self, AnswerKey};
use super::needs::{Lack, Lacks, Nicety};
use super::options::{
    OpenError, Options, TRANSIENT_ERRORS, apply, deafen, errors, fragment_probes, open, set,
    set_receive_buffer, set_type_filter,
};
use super::queue::Queue;
use super::sender::Sender;
use crate::epoll::readable_with_any;
use crate::sys::{self, Instruction, Name};
use hopshot_core::Instant;
use hopshot_core::wire::{AddressFamily, ip};
use hopshot_engine::{ProbeProtocol, SocketKind};
use rustix::io::Errno;
use std::net::IpAddr;
use std::ops::Range;
use std::os::fd::{AsFd, BorrowedFd, OwnedFd};

/// Raw sockets of one family. `AsFd` is readable when there may be an [`Arrival`].
#[derive(Debug)]
pub(crate) struct Socket {
    family: AddressFamily,
    protocol: ProbeProtocol,
    sender: Sender,
    /// A receiver of ICMP, and one of the probes' own protocol where that is another.
    receivers: Vec<Receiver>,
    /// The receiver that is read next: a flood on one must not keep the others from being read.
    turn: usize,
    /// Readable when one of several receivers is.
    epoll: Option<OwnedFd>,
    pub(super) lacks: Lacks,
}

/// A socket that receives messages of one protocol.
#[derive(Debug)]
struct Receiver {
    fd: OwnedFd,
    arrivals: Queue,
    protocol: u8,
}

impl Socket {
    /// Opens the pair. Before [`Socket::listen_for`] it receives everybody's answers, and in IPv4
    /// the types above 31 too.
    ///
    /// The options are the sender's alone. Answers may come in by another interface than the probes
    /// went out by.
    ///
    /// # Errors
    /// See [`OpenError`].
    pub(crate) fn open(family: AddressFamily, options: &Options) -> Result<Self, OpenError> {
        let mut lacks = Lacks::of(family);
        // First: the kernel begins to stamp packets a moment after it was asked.
        let icmp = open_receiver(family, options.protocol, &mut lacks)?;
        let mut receivers = vec![Receiver::new(icmp, ip::icmp(family))];
        if options.protocol != ProbeProtocol::Icmp {
            let own = open_own_receiver(family, options.protocol, &mut lacks)?;
            receivers.push(Receiver::new(own, options.protocol.number(family)));
        }
        let epoll = match receivers.as_slice() {
            [_] => None,
            several => Some(readable_with_any(
                several.iter().map(|receiver| receiver.fd.as_fd()),
            )?),
        };
        let sender = open_sender(family, options, &mut lacks)?;
        apply(options, family, sender.as_fd(), 0)?;
        let sender = Sender::new(sender, family, options.precise, 0, &mut lacks);
        Ok(Self {
            family,
            protocol: options.protocol,
            sender,
            receivers,
            turn: 0,
            epoll,
            lacks,
        })
    }

    /// What it does without.
    pub(crate) fn lacks(&self) -> &[Lack] {
        self.lacks.list()
    }

    /// Receives from now on the answers to the probes of this trace, and no others, but for errors
    /// whose quote the filter can't read or that a translator may have changed. If no trace is
    /// given, those to everybody's probes. What is in the receive buffer already stays there.
    ///
    /// # Errors
    /// EPERM after [`Socket::lock_filter`]. Then, and on a kernel that has no such filter, what is
    /// received stays as it was.
    pub(crate) fn listen_for(&mut self, trace: Option<&AnswerKey>) -> Result<(), Errno> {
        let attached = self.receivers.iter().try_for_each(|receiver| {
            let filter = receiver.filter(self.family, self.protocol, trace);
            sys::attach_filter(receiver.fd.as_fd(), &filter)
        });
        self.lacks.note(Nicety::PacketFilter, attached);
        attached
    }

    /// Forbids any further change of what is received, to whoever holds these descriptors.
    ///
    /// # Errors
    /// EPERM if that was done already.
    pub(crate) fn lock_filter(&self) -> Result<(), Errno> {
        sys::attach_filter(self.sender.fd.as_fd(), &filter::pass_nothing())?;
        self.receivers
            .iter()
            .map(|receiver| &receiver.fd)
            .chain([&self.sender.fd])
            .try_for_each(|fd| set(fd, Name::SO_LOCK_FILTER, 1))
    }

    /// Sends one message. In ICMPv6 the kernel fills in its checksum. If the kernel has no room
    /// for it (ENOBUFS, EAGAIN) it is tried again for about 3 ms. `scope_id` is the interface
    /// that a link-local destination belongs to, else 0. `tag` comes back with its
    /// [`departure`](Self::departure). Returns the moment right before it went.
    ///
    /// # Errors
    /// Of this packet alone; the next one may well go. ENOBUFS and EAGAIN: still no room.
    /// ENETUNREACH: no route. EHOSTUNREACH, EACCES, EINVAL: an `unreachable`, `prohibit`,
    /// `blackhole` route. EACCES: a broadcast address. EPERM: a firewall of this
    /// machine. EMSGSIZE: larger than the interface's MTU, if it may not be fragmented. EINVAL: an
    /// IPv4 hop limit of 0.
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

    /// The next message that the kernel saw leave, if [`Options::precise`] asked for it: its tag,
    /// and when.
    pub(crate) fn departure(&mut self) -> Option<(u32, Instant)> {
        self.sender.departure()
    }

    #[cfg(test)]
    pub(super) fn count_departures(&mut self) {
        self.sender.count();
    }

    /// Receives one message into `buf`; `None` when there are no more for now. What doesn't
    /// fit, and what isn't whole, is passed over.
    ///
    /// # Errors
    /// None that are expected; an error that only happens once is passed over too.
    pub(crate) fn receive<'b>(&mut self, buf: &'b mut [u8]) -> Result<Option<Arrival<'b>>, Errno> {
        let (mut errors, mut empty) = (0, 0);
        loop {
            if empty == self.receivers.len() {
                return Ok(None);
            }
            self.turn = (self.turn + 1) % self.receivers.len();
            let receiver = &mut self.receivers[self.turn];
            let protocol = receiver.protocol;
            let packet = match receiver.arrivals.read(receiver.fd.as_fd(), buf) {
                Ok(Some(packet)) if packet.cut => continue,
                Ok(Some(packet)) => packet,
                Ok(None) => {
                    empty += 1;
                    continue;
                }
                Err(errno) if errors == TRANSIENT_ERRORS => return Err(errno),
                Err(_) => {
                    errors += 1;
                    continue;
                }
            };
            let Some(from) = packet.peer.map(|peer| peer.ip()) else {
                continue;
            };
            let Some((message, outer_hop_limit)) = self.find_message(&buf[..packet.len]) else {
                continue;
            };
            let hop_limit = outer_hop_limit.or(packet.hop_limit);
            let (at, clock, message) = (packet.at, packet.clock, &buf[message]);
            return Ok(Some(Arrival {
                from,
                hop_limit,
                protocol,
                message,
                report: None,
                at,
                clock,
            }));
        }
    }

    /// Returns where in a packet the message is: in IPv4 behind the outer header, which has the hop
    /// limit.
    fn find_message(&self, packet: &[u8]) -> Option<(Range<usize>, Option<u8>)> {
        match self.family {
            AddressFamily::V4 => {
                let (header, message) = ip::parse(packet).ok()?;
                let start = message.as_ptr().addr() - packet.as_ptr().addr();
                Some((start..start + message.len(), Some(header.hop_limit)))
            }
            AddressFamily::V6 => Some((0..packet.len(), None)),
        }
    }

    /// See [`Rejected::dropped`](crate::Rejected::dropped).
    #[doc(alias = "SO_MEMINFO")]
    pub(crate) fn dropped(&self) -> u32 {
        let dropped = |receiver: &Receiver| sys::drops(receiver.fd.as_fd()).unwrap_or(0);
        self.receivers.iter().map(dropped).sum()
    }
}

impl Receiver {
    fn new(fd: OwnedFd, protocol: u8) -> Self {
        Self {
            fd,
            arrivals: Queue::of_arrivals(),
            protocol,
        }
    }

    /// The filter that passes what answers the probes of a trace, or of everybody.
    fn filter(
        &self,
        family: AddressFamily,
        probes: ProbeProtocol,
        trace: Option<&AnswerKey>,
    ) -> Vec<Instruction> {
        let is_icmp = self.protocol == ip::icmp(family);
        match (probes.port(), trace) {
            (Some(_), _) if is_icmp => filter::pass_errors_about(family, probes.number(family)),
            (Some(_), Some(AnswerKey::Ports(first, number))) => {
                filter::pass_from_target(family, probes, Some((*first, *number)))
            }
            (Some(_), _) => filter::pass_from_target(family, probes, None),
            (None, Some(AnswerKey::Echo(echo))) => filter::pass_answers(family, Some(echo)),
            (None, _) => filter::pass_answers(family, None),
        }
    }
}

impl AsFd for Socket {
    fn as_fd(&self) -> BorrowedFd<'_> {
        // There is always the receiver of ICMP.
        match (&self.epoll, self.receivers.as_slice()) {
            (Some(epoll), _) => epoll.as_fd(),
            (None, [only, ..]) => only.fd.as_fd(),
            (None, []) => self.sender.fd.as_fd(),
        }
    }
}

/// A socket that sends, reports every error of sending, and hears next to nothing: ICMP errors
/// about its packets still wait in its error queue, so that has room for two or three and is never
/// read (unless transmit timestamps are wanted, which come by it).
fn open_sender(
    family: AddressFamily,
    options: &Options,
    lacks: &mut Lacks,
) -> Result<OwnedFd, OpenError> {
    let sender = open(family, SocketKind::Raw, options.protocol)?;
    deafen(&sender, family, options.protocol, lacks);
    if options.precise {
        // The types above 31, which IPv4 filters by nothing else, would take the room of transmit
        // timestamps.
        lacks.note(
            Nicety::PacketFilter,
            sys::attach_filter(sender.as_fd(), &filter::pass_nothing()),
        );
    }
    fragment_probes(&sender, family, options, lacks)?;
    lacks.note(Nicety::SendErrors, set(&sender, errors(family), 1));
    Ok(sender)
}

/// A socket that receives ICMP, with a stamp on each packet and, in IPv6, its hop limit.
fn open_receiver(
    family: AddressFamily,
    probes: ProbeProtocol,
    lacks: &mut Lacks,
) -> Result<OwnedFd, OpenError> {
    let receiver = open(family, SocketKind::Raw, ProbeProtocol::Icmp)?;
    let answers = filter::TypeFilter::answers(family, probes);
    lacks.note(
        Nicety::TypeFilter,
        set_type_filter(&receiver, family, &answers),
    );
    hear(&receiver, family, lacks);
    Ok(receiver)
}

/// Opens the socket that receives what the target itself sends, by TCP or UDP.
fn open_own_receiver(
    family: AddressFamily,
    probes: ProbeProtocol,
    lacks: &mut Lacks,
) -> Result<OwnedFd, OpenError> {
    let receiver = open(family, SocketKind::Raw, probes)?;
    // At once: it would hear all that this machine does.
    let filter = filter::pass_from_target(family, probes, None);
    lacks.note(
        Nicety::PacketFilter,
        sys::attach_filter(receiver.as_fd(), &filter),
    );
    hear(&receiver, family, lacks);
    Ok(receiver)
}

fn hear(receiver: &OwnedFd, family: AddressFamily, lacks: &mut Lacks) {
    lacks.note(
        Nicety::ArrivalStamps,
        set(receiver, Name::SO_TIMESTAMPNS, 1),
    );
    if family == AddressFamily::V6 {
        lacks.note(Nicety::HopLimits, set(receiver, Name::IPV6_RECVHOPLIMIT, 1));
    }
    lacks.note(Nicety::Buffer, set_receive_buffer(receiver));
}
