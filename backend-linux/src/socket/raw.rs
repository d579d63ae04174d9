//! Raw ICMP and ICMPv6 sockets: raw(7), icmp(7), ipv6(7).
//!
//! Two descriptors, since one can't do both well. Only a socket with `IP_RECVERR` learns of a packet that a queueing
//! discipline drops (ENOBUFS; without it the send "succeeds"), but such a socket gets every ICMP error twice, in its error
//! queue and as a packet, and both fill the same receive buffer. So one descriptor sends and hears nothing; the other one
//! receives, and never reports errors.

use super::{Arrival, OpenError, Options, apply, endpoint, family, filter};
use crate::clock::{self, Reading, WallTime};
use crate::sys::{self, Cmsgs, Name};
use hopshot_core::Instant;
use hopshot_core::wire::{Version, ip};
use rustix::io::{Errno, retry_on_intr};
use rustix::net::sockopt::{self, Ipv4PathMtuDiscovery, Ipv6PathMtuDiscovery};
use rustix::net::{RecvFlags, ReturnFlags, SendFlags, SocketFlags, SocketType, ipproto};
use std::net::{IpAddr, SocketAddr};
use std::ops::Range;
use std::os::fd::{AsFd, BorrowedFd, OwnedFd};
use std::thread;
use std::time::Duration;

/// What the receiving socket asks to buffer, in octets; the kernel doubles it. A small answer takes up to 2.5 KiB there, so
/// this holds a burst of at least 3,000. Without `CAP_NET_ADMIN` the kernel gives at most `net.core.rmem_max`.
const RECEIVE_BUFFER: usize = 4 << 20;

/// How long to wait for room, in turn, before a send is given up: 3.1 ms together.
const PAUSES: [Duration; 5] = [
    Duration::from_micros(100),
    Duration::from_micros(200),
    Duration::from_micros(400),
    Duration::from_micros(800),
    Duration::from_micros(1_600),
];

/// How many errors in a row a receive overlooks: an error that is reported once is gone when it has been read.
const TRANSIENT_ERRORS: u32 = 8;

/// A pair of raw sockets of one family. `AsFd` is the receiving one, readable when there may be an [`Arrival`].
#[derive(Debug)]
pub(crate) struct Socket {
    version: Version,
    sender: OwnedFd,
    receiver: OwnedFd,
    /// When the receive buffer was last seen empty.
    last_empty: Instant,
}

impl Socket {
    /// Opens the pair. Nothing is received before [`Socket::listen_for`].
    ///
    /// The options are the sender's alone. Answers may come in by another interface than the probes went out by.
    ///
    /// # Errors
    /// See [`OpenError`].
    pub(crate) fn open(version: Version, options: &Options) -> Result<Self, OpenError> {
        // First: the kernel begins to stamp packets a moment after it was asked.
        let receiver = open_receiver(version)?;
        let sender = open_sender(version)?;
        apply(options, version, sender.as_fd())?;
        Ok(Self { version, sender, receiver, last_empty: clock::now() })
    }

    /// Receives from now on the Echo Replies with one of these idents, and the errors about Echo Requests with one of them;
    /// nothing else, but for errors whose quote the filter can't read. With more than 32 idents, those of all idents. What
    /// is in the receive buffer already stays there.
    ///
    /// # Errors
    /// EPERM after [`Socket::lock_filter`].
    pub(crate) fn listen_for(&self, idents: &[u16]) -> Result<(), Errno> {
        sys::attach_filter(self.as_fd(), &filter::pass_idents(self.version, idents))
    }

    /// Forbids any further change of what is received, to whoever holds these descriptors.
    ///
    /// # Errors
    /// None that are expected.
    #[allow(dead_code, reason = "for a process that gives up its privileges")]
    pub(crate) fn lock_filter(&self) -> Result<(), Errno> {
        [&self.sender, &self.receiver].into_iter().try_for_each(|fd| set(fd, Name::SO_LOCK_FILTER, 1))
    }

    /// Sends one ICMP message. In IPv6 the kernel fills in its checksum. If the kernel has no room for it (ENOBUFS, EAGAIN)
    /// it is tried again for about 3 ms. `scope_id` is the interface that a link-local destination belongs to, else 0.
    ///
    /// # Errors
    /// Of this packet alone; the next one may well go. ENOBUFS and EAGAIN: still no room. ENETUNREACH: no route. EHOSTUNREACH,
    /// EACCES, EINVAL: an `unreachable`, `prohibit`, `blackhole` route. EACCES: a broadcast address. EPERM: a firewall of this
    /// machine. EMSGSIZE: larger than the interface's MTU. EINVAL: an IPv4 hop limit of 0.
    pub(crate) fn send(&self, destination: IpAddr, scope_id: u32, hop_limit: u8, message: &[u8]) -> Result<(), Errno> {
        const CONTROL_LEN: usize = sys::cmsg_space(size_of::<i32>());
        let name = match self.version {
            Version::V4 => Name::IP_TTL,
            Version::V6 => Name::IPV6_HOPLIMIT,
        };
        let mut control = [0; CONTROL_LEN];
        sys::put_cmsg(&mut control, name, &i32::from(hop_limit).to_ne_bytes());
        // On a raw socket the port would be taken for a protocol number.
        let destination = endpoint(destination, scope_id, 0);
        let attempt = || {
            let fd = self.sender.as_fd();
            retry_on_intr(|| sys::sendmsg(fd, destination, message, &control, SendFlags::empty())).map(drop)
        };
        // Not poll(2): errors that wait on this socket would end it at once, and it knows nothing of queueing disciplines.
        for pause in PAUSES {
            match attempt() {
                Err(Errno::NOBUFS | Errno::AGAIN) => thread::sleep(pause),
                sent => return sent,
            }
        }
        attempt()
    }

    /// Receives one ICMP message into `buf`; `None` when there are no more for now. What doesn't fit, and what isn't whole, is
    /// passed over.
    ///
    /// # Errors
    /// None that are expected; an error that only happens once is passed over too.
    pub(crate) fn receive<'b>(&mut self, buf: &'b mut [u8]) -> Result<Option<Arrival<'b>>, Errno> {
        /// Room for a stamp and a hop limit, and as much again.
        const CONTROL_LEN: usize = 2 * (sys::cmsg_space(16) + sys::cmsg_space(size_of::<i32>()));
        let mut control = [0; CONTROL_LEN];
        let mut errors = 0;
        loop {
            let asked = clock::now();
            let received = match retry_on_intr(|| sys::recvmsg(self.as_fd(), buf, &mut control, RecvFlags::empty())) {
                Ok(received) => received,
                Err(Errno::AGAIN) => {
                    self.last_empty = asked;
                    return Ok(None);
                }
                Err(errno) if errors == TRANSIENT_ERRORS => return Err(errno),
                Err(_) => {
                    errors += 1;
                    continue;
                }
            };
            let reading = Reading::take();
            if received.flags.contains(ReturnFlags::TRUNC) {
                continue;
            }
            let Some((from, scope_id)) = received.from.map(address_of) else { continue };
            let Some((message, outer_hop_limit)) = self.find_message(&buf[..received.len]) else { continue };
            let (mut stamp, mut hop_limit) = (None, outer_hop_limit);
            for (name, data) in Cmsgs::new(&control[..received.control_len]) {
                match name {
                    Name::SO_TIMESTAMPNS => stamp = WallTime::parse(data),
                    Name::IPV6_HOPLIMIT => hop_limit = parse_hop_limit(data),
                    _ => {}
                }
            }
            let (at, clock) = reading.carry(stamp, self.last_empty, asked);
            return Ok(Some(Arrival { from, scope_id, hop_limit, message: &buf[message], at, clock }));
        }
    }

    /// Where in a packet the ICMP message is: in IPv4 behind the outer header, which has the hop limit.
    fn find_message(&self, packet: &[u8]) -> Option<(Range<usize>, Option<u8>)> {
        match self.version {
            Version::V4 => {
                let (header, message) = ip::parse(packet).ok()?;
                let start = message.as_ptr().addr() - packet.as_ptr().addr();
                Some((start..start + message.len(), Some(header.hop_limit)))
            }
            Version::V6 => Some((0..packet.len(), None)),
        }
    }

    /// At most how many answers were lost since the socket was opened, modulo 2³². The receive buffer was full, and some of what
    /// came then the filter would have turned away; or, in IPv6, the checksum was wrong. 0 on kernels that don't tell (before
    /// Linux 4.12).
    #[doc(alias = "SO_MEMINFO")]
    #[allow(dead_code, reason = "nothing reports losses yet")]
    pub(crate) fn dropped(&self) -> u32 {
        sys::drops(self.as_fd()).unwrap_or(0)
    }
}

impl AsFd for Socket {
    fn as_fd(&self) -> BorrowedFd<'_> {
        self.receiver.as_fd()
    }
}

/// A socket that sends, reports every error of sending, and hears nothing: ICMP errors about its packets still wait in its
/// error queue, so that has room for two or three and is never read.
///
/// Path MTU discovery "probe" sets DF, keeps the IPv4 identification 0 and believes no MTU learnt before: a probe that is too
/// large gets to the router that has to say so. Only what the first link can't carry is refused here.
fn open_sender(version: Version) -> Result<OwnedFd, OpenError> {
    let sender = open(version)?;
    set_type_filter(&sender, version, &filter::TypeFilter::NONE)?;
    sys::attach_filter(sender.as_fd(), &filter::pass_nothing())?;
    sockopt::set_socket_recv_buffer_size(&sender, 0)?;
    match version {
        Version::V4 => {
            sockopt::set_ip_mtu_discover(&sender, Ipv4PathMtuDiscovery::PROBE)?;
            set(&sender, Name::IP_RECVERR, 1)?;
        }
        Version::V6 => {
            sockopt::set_ipv6_mtu_discover(&sender, Ipv6PathMtuDiscovery::PROBE)?;
            set(&sender, Name::IPV6_RECVERR, 1)?;
        }
    }
    Ok(sender)
}

/// A socket that receives, with a stamp on each packet and, in IPv6, its hop limit; so far nothing passes its filter.
fn open_receiver(version: Version) -> Result<OwnedFd, OpenError> {
    let receiver = open(version)?;
    sys::attach_filter(receiver.as_fd(), &filter::pass_nothing())?;
    set_type_filter(&receiver, version, &filter::TypeFilter::answers(version))?;
    set(&receiver, Name::SO_TIMESTAMPNS, 1)?;
    if version == Version::V6 {
        set(&receiver, Name::IPV6_RECVHOPLIMIT, 1)?;
    }
    sockopt::set_socket_recv_buffer_size_force(&receiver, RECEIVE_BUFFER)
        .or_else(|_| sockopt::set_socket_recv_buffer_size(&receiver, RECEIVE_BUFFER))?;
    Ok(receiver)
}

/// Opens a raw socket: non-blocking, closed when another program is executed.
fn open(version: Version) -> Result<OwnedFd, Errno> {
    let protocol = match version {
        Version::V4 => ipproto::ICMP,
        Version::V6 => ipproto::ICMPV6,
    };
    let flags = SocketFlags::CLOEXEC | SocketFlags::NONBLOCK;
    rustix::net::socket_with(family(version), SocketType::RAW, flags, Some(protocol))
}

fn set_type_filter(fd: &OwnedFd, version: Version, types: &filter::TypeFilter) -> Result<(), Errno> {
    let name = match version {
        Version::V4 => Name::ICMP_FILTER,
        Version::V6 => Name::ICMPV6_FILTER,
    };
    sys::set_option(fd.as_fd(), name, &types.value(version))
}

fn set(fd: &OwnedFd, name: Name, value: i32) -> Result<(), Errno> {
    sys::set_option(fd.as_fd(), name, &value.to_ne_bytes())
}

fn address_of(from: SocketAddr) -> (IpAddr, u32) {
    match from {
        SocketAddr::V4(from) => ((*from.ip()).into(), 0),
        SocketAddr::V6(from) => ((*from.ip()).into(), from.scope_id()),
    }
}

fn parse_hop_limit(data: &[u8]) -> Option<u8> {
    data.try_into().ok().and_then(|data| u8::try_from(i32::from_ne_bytes(data)).ok())
}
