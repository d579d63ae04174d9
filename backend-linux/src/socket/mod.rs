//! Sockets that send Echo Requests with a hop limit of their own each, and receive what comes back.
//!
//! [`raw`] sockets see whole ICMP messages and need the privilege `CAP_NET_RAW`. [`ping`] sockets need none where the
//! administrator permits them, and see less.

mod filter;
mod first_link;
#[cfg(feature = "fuzzing")]
pub mod fuzzing;
mod needs;
mod ping;
mod queue;
mod raw;
mod sender;
mod sources;
#[cfg(test)]
mod tests;

use crate::advice::Refusals;
use crate::clock::Clock;
use crate::interface::{self, Interface};
use crate::sys::{self, Name};
pub(crate) use filter::Identity;
pub(crate) use first_link::FirstLink;
use hopshot_core::wire::icmp::Type;
use hopshot_core::wire::{Ends, Malformed, Version};
use hopshot_core::{Answer, Echo, Instant, Protocol};
use needs::Lacks;
pub(crate) use needs::Necessity;
pub use needs::{Lack, Nicety};
use queue::Report;
use rustix::io::Errno;
use rustix::net::sockopt::{Ipv4PathMtuDiscovery, Ipv6PathMtuDiscovery};
use rustix::net::{AddressFamily, SocketFlags, SocketType, ipproto, sockopt};
pub(crate) use sources::Sources;
use std::net::{IpAddr, SocketAddr, SocketAddrV6};
use std::os::fd::{AsFd, BorrowedFd, OwnedFd};

/// What the receiving socket asks to buffer, in octets; the kernel doubles it. A small answer takes up to 2.5 KiB there, so
/// this holds a burst of at least 3,000. Without `CAP_NET_ADMIN` the kernel gives at most `net.core.rmem_max`.
const RECEIVE_BUFFER: usize = 4 << 20;

/// Errors in a row that a receive overlooks: one that is reported once is gone when it has been read, and in a flood more may come
/// between two calls.
const TRANSIENT_ERRORS: u32 = 64;

/// The two kinds of sockets that send Echo Requests and hear the answers.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum SocketKind {
    /// A raw socket: sees all of an answer. It needs the privilege `CAP_NET_RAW`.
    Raw,
    /// An ICMP datagram socket, a "ping socket": for every user whose group is in `net.ipv4.ping_group_range`. The kernel
    /// keeps some of an answer to itself: of the IP header that an error quotes all but the destination (so there is no quoted
    /// hop limit, and a translated source isn't seen), errors that quote less than 28 octets in IPv4, and errors that quote
    /// another ident than the one sent.
    ///
    /// All probes of a socket have one ident. It is drawn at random, and nobody else can open a socket for it, unless it is
    /// [given](crate::Traceroute::ident). Then another user of this machine may open a ping socket for it, on purpose, and gets
    /// the answers. That user can make them missing, but can't make up an Echo Reply, nor an error that proves itself.
    #[doc(alias = "unprivileged")]
    Ping,
}

/// How packets are to leave this machine.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(crate) struct Options {
    /// The source address, one of this machine's; else the kernel chooses.
    pub(crate) source: Option<IpAddr>,
    /// The name of the interface to send by; else the routing table chooses.
    #[doc(alias = "SO_BINDTODEVICE")]
    pub(crate) interface: Option<String>,
    /// The traffic class (TOS in IPv4), DSCP and ECN; else 0.
    #[doc(alias = "IP_TOS")]
    #[doc(alias = "IPV6_TCLASS")]
    pub(crate) traffic_class: Option<u8>,
    /// The firewall mark, which routing can depend on; else 0.
    #[doc(alias = "SO_MARK")]
    pub(crate) mark: Option<u32>,
    /// Whether a packet may be cut in pieces on its way: by routers (IPv4), by this machine where it knows of a small MTU.
    pub(crate) may_be_fragmented: bool,
    /// The kind of socket; else raw where that is permitted.
    pub(crate) kind: Option<SocketKind>,
    /// The ident; a raw socket leaves it to whoever sends, a ping socket takes a free one if none is given.
    pub(crate) ident: Option<u16>,
    /// Whether the kernel is asked when each packet left.
    pub(crate) precise: bool,
}

/// Why a socket could not be opened.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum OpenError {
    /// There is no socket of a kind that was tried, or this process may not open it.
    Refused(Refusals),
    /// An option that is necessary.
    Necessary(Necessity, Errno),
    /// This process may not mark packets (EPERM).
    MarkNotPermitted,
    /// There is no interface of that name (ENODEV).
    NoSuchInterface,
    /// The source address isn't one of this machine's (EADDRNOTAVAIL).
    SourceNotLocal,
    /// The source address is of the other family than the destination.
    SourceOfOtherFamily,
    /// The destination can't be reached from the source address (EINVAL).
    SourceOfElsewhere,
    /// The source address is link-local, so an interface must be given with it.
    SourceNeedsInterface,
    /// The destination is a broadcast address (EACCES).
    Broadcast,
    /// Anything else.
    Other(Errno),
}

impl From<Errno> for OpenError {
    fn from(errno: Errno) -> Self {
        Self::Other(errno)
    }
}

/// An ICMP message that was received.
#[derive(Debug)]
pub(crate) struct Arrival<'b> {
    /// Who sent it.
    pub(crate) from: IpAddr,
    /// The hop limit (TTL in IPv4) that was left.
    pub(crate) hop_limit: Option<u8>,
    /// The message, from its ICMP header on; of an error that the kernel has taken apart, the Echo Request that it quotes.
    message: &'b [u8],
    /// What the kernel says of an error that it has taken apart.
    report: Option<Report>,
    /// When it arrived.
    pub(crate) at: Instant,
    /// Which clock says so.
    pub(crate) clock: Clock,
}

impl<'b> Arrival<'b> {
    /// The ident and the seq of the Echo Request that it answers, and the answer.
    ///
    /// # Errors
    /// See [`Answer::parse`] and [`Echo::key`].
    pub(crate) fn answer(&self) -> Result<(u16, u16, Answer<'b>), Malformed> {
        let answer = match &self.report {
            Some(report) => ping::answer(report, self.from, self.hop_limit, self.message)?,
            // The kernel has verified an ICMPv6 checksum before a socket sees the message (RFC 3542, section 3.1).
            None => {
                let ends = Ends { source: self.from, destination: Version::of(self.from).unspecified() };
                Answer::parse(ends, self.hop_limit, self.message)?
            }
        };
        let [a, b, c, d] = Echo::key(&answer)?.to_be_bytes();
        Ok((u16::from_be_bytes([a, b]), u16::from_be_bytes([c, d]), answer))
    }
}

/// A pair of sockets of one family. `AsFd` is the receiving one, readable when there may be an [`Arrival`].
#[derive(Debug)]
pub(crate) enum Socket {
    Raw(raw::Socket),
    Ping(ping::Socket),
}

impl Socket {
    /// Opens a pair of the kind that the options name; of either kind that there is, rather raw, if
    /// they name none.
    ///
    /// # Errors
    /// See [`OpenError`].
    pub(crate) fn open(version: Version, options: &Options) -> Result<Self, OpenError> {
        let raw = || raw::Socket::open(version, options).map(Self::Raw);
        let ping = |lacks| ping::Socket::open(version, options, lacks).map(Self::Ping);
        match options.kind {
            Some(SocketKind::Raw) => raw(),
            Some(SocketKind::Ping) => ping(Lacks::of(version)),
            None => match raw() {
                Err(OpenError::Refused(Refusals { raw: Some(errno), .. })) => {
                    let mut lacks = Lacks::of(version);
                    lacks.note(Nicety::RawSockets, Err(errno));
                    ping(lacks).map_err(|error| match error {
                        OpenError::Refused(ping) => OpenError::Refused(Refusals { raw: Some(errno), ..ping }),
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
        }
    }

    /// Records that something was refused that isn't of the socket itself.
    pub(crate) fn note(&mut self, nicety: Nicety, done: Result<(), Errno>) {
        match self {
            Self::Raw(raw) => raw.lacks.note(nicety, done),
            Self::Ping(ping) => ping.lacks.note(nicety, done),
        }
    }

    /// Which kind it is.
    pub(crate) const fn kind(&self) -> SocketKind {
        match self {
            Self::Raw(_) => SocketKind::Raw,
            Self::Ping(_) => SocketKind::Ping,
        }
    }

    /// The ident that everything it sends will have, whatever the message says; `None` if it stays as it is.
    pub(crate) const fn ident(&self) -> Option<u16> {
        match self {
            Self::Raw(_) => None,
            Self::Ping(ping) => Some(ping.ident()),
        }
    }

    /// See [`raw::Socket::listen_for`]; a ping socket always listens, for its own ident.
    pub(crate) fn listen_for(&mut self, trace: Option<&Identity>) -> Result<(), Errno> {
        match self {
            Self::Raw(raw) => raw.listen_for(trace),
            Self::Ping(_) => Ok(()),
        }
    }

    /// See [`raw::Socket::lock_filter`]; what a ping socket receives no filter decides.
    pub(crate) fn lock_filter(&self) -> Result<(), Errno> {
        match self {
            Self::Raw(raw) => raw.lock_filter(),
            Self::Ping(_) => Ok(()),
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
        }
    }

    /// How many packets the receiving socket lost: see [`Rejected::dropped`](crate::Rejected::dropped).
    pub(crate) fn dropped(&self) -> u32 {
        match self {
            Self::Raw(raw) => raw.dropped(),
            Self::Ping(ping) => ping.dropped(),
        }
    }

    /// See [`raw::Socket::departure`].
    pub(crate) fn departure(&mut self) -> Option<(u32, Instant)> {
        match self {
            Self::Raw(raw) => raw.departure(),
            Self::Ping(ping) => ping.departure(),
        }
    }

    /// See [`raw::Socket::receive`].
    pub(crate) fn receive<'b>(&mut self, buf: &'b mut [u8]) -> Result<Option<Arrival<'b>>, Errno> {
        match self {
            Self::Raw(raw) => raw.receive(buf),
            Self::Ping(ping) => ping.receive(buf),
        }
    }
}

impl AsFd for Socket {
    fn as_fd(&self) -> BorrowedFd<'_> {
        match self {
            Self::Raw(raw) => raw.as_fd(),
            Self::Ping(ping) => ping.as_fd(),
        }
    }
}

/// Makes a socket send as the options say. A source is bound with `port`. Returns the interface
/// that they name.
fn apply(options: &Options, version: Version, fd: BorrowedFd<'_>, port: u16) -> Result<Option<Interface>, OpenError> {
    let interface = match &options.interface {
        Some(name) => Some(interface::find(name).ok_or(OpenError::NoSuchInterface)?),
        None => None,
    };
    if let Some(interface) = &interface {
        bind_interface(fd, interface)?;
    }
    if let Some(mark) = options.mark {
        sys::set_option(fd, Name::SO_MARK, &mark.to_ne_bytes()).map_err(|errno| match errno {
            Errno::PERM => OpenError::MarkNotPermitted,
            errno => OpenError::Necessary(Necessity::Mark, errno),
        })?;
    }
    if let Some(class) = options.traffic_class {
        match version {
            Version::V4 => sockopt::set_ip_tos(fd, class),
            Version::V6 => sockopt::set_ipv6_tclass(fd, class.into()),
        }
        .map_err(|errno| OpenError::Necessary(Necessity::TrafficClass, errno))?;
    }
    // After the interface: a link-local address needs to know it.
    if let Some(source) = options.source {
        bind_source(fd, source, port, interface.as_ref(), version)?;
    }
    Ok(interface)
}

/// Makes a socket send by an interface: by its number, or where that is refused by its name, which
/// can be too long.
fn bind_interface(fd: BorrowedFd<'_>, interface: &Interface) -> Result<(), OpenError> {
    let by_number = sys::set_option(fd, Name::SO_BINDTOIFINDEX, &interface.number.to_ne_bytes());
    let bound = match (by_number, &interface.short_name) {
        (Err(_), Some(name)) => sys::set_option(fd, Name::SO_BINDTODEVICE, name.as_bytes()),
        (bound, _) => bound,
    };
    bound.map_err(|errno| match errno {
        Errno::NODEV => OpenError::NoSuchInterface,
        errno => OpenError::Necessary(Necessity::Interface, errno),
    })
}

fn bind_source(
    fd: BorrowedFd<'_>,
    source: IpAddr,
    port: u16,
    interface: Option<&Interface>,
    version: Version,
) -> Result<(), OpenError> {
    if Version::of(source) != version {
        return Err(OpenError::SourceOfOtherFamily);
    }
    // bind(2) takes a multicast address, and then lets the kernel choose the source.
    if source.is_multicast() {
        return Err(OpenError::SourceNotLocal);
    }
    let link_local = matches!(source, IpAddr::V6(source) if source.is_unicast_link_local());
    // A ping socket wants to be told of the interface here as well.
    let scope_id = interface.filter(|_| link_local).map_or(0, |interface| interface.number);
    rustix::net::bind(fd, &endpoint(source, scope_id, port)).map_err(|errno| match errno {
        Errno::ADDRNOTAVAIL => OpenError::SourceNotLocal,
        Errno::INVAL if link_local => OpenError::SourceNeedsInterface,
        errno => errno.into(),
    })
}

/// Opens an ICMP or ICMPv6 socket: non-blocking, closed when another program is executed.
fn open(version: Version, kind: SocketKind) -> Result<OwnedFd, OpenError> {
    let protocol = match version {
        Version::V4 => ipproto::ICMP,
        Version::V6 => ipproto::ICMPV6,
    };
    let socket_type = match kind {
        SocketKind::Raw => SocketType::RAW,
        SocketKind::Ping => SocketType::DGRAM,
    };
    let flags = SocketFlags::CLOEXEC | SocketFlags::NONBLOCK;
    rustix::net::socket_with(family(version), socket_type, flags, Some(protocol)).map_err(|errno| match (errno, kind) {
        // Of sockets of the other kind there would be too many as well.
        (Errno::MFILE | Errno::NFILE | Errno::NOBUFS | Errno::NOMEM, _) => OpenError::Other(errno),
        (errno, SocketKind::Raw) => OpenError::Refused(Refusals { raw: Some(errno), ping: None }),
        (errno, SocketKind::Ping) => OpenError::Refused(Refusals { raw: None, ping: Some(errno) }),
    })
}

/// Keeps a raw socket that only sends, or asks, from receiving packets that it would never read.
fn deafen(fd: &OwnedFd, version: Version, lacks: &mut Lacks) {
    lacks.note(Nicety::TypeFilter, set_type_filter(fd, version, &filter::TypeFilter::NONE));
    lacks.note(Nicety::Buffer, sockopt::set_socket_recv_buffer_size(fd, 0));
}

fn set_type_filter(fd: &OwnedFd, version: Version, types: &filter::TypeFilter) -> Result<(), Errno> {
    let name = match version {
        Version::V4 => Name::ICMP_FILTER,
        Version::V6 => Name::ICMPV6_FILTER,
    };
    sys::set_option(fd.as_fd(), name, &types.value(version))
}

/// The option by which a socket reports errors in full.
const fn errors(version: Version) -> Name {
    match version {
        Version::V4 => Name::IP_RECVERR,
        Version::V6 => Name::IPV6_RECVERR,
    }
}

/// What is never fragmented goes by path MTU discovery "probe": it sets DF, keeps the IPv4 identification 0 and believes no MTU
/// learnt before, so that a packet that is too large gets to the router that has to say so. Only what the first link can't carry
/// is refused here. What may be fragmented goes without DF, and is cut here to an MTU learnt before, as IPv6 wants it.
fn set_fragmentation(fd: &OwnedFd, version: Version, options: &Options) -> Result<(), Errno> {
    match (version, options.may_be_fragmented) {
        (Version::V4, false) => sockopt::set_ip_mtu_discover(fd, Ipv4PathMtuDiscovery::PROBE),
        (Version::V4, true) => sockopt::set_ip_mtu_discover(fd, Ipv4PathMtuDiscovery::DONT),
        (Version::V6, false) => sockopt::set_ipv6_mtu_discover(fd, Ipv6PathMtuDiscovery::PROBE),
        (Version::V6, true) => sockopt::set_ipv6_mtu_discover(fd, Ipv6PathMtuDiscovery::DONT),
    }
}

fn set_receive_buffer(fd: &OwnedFd) -> Result<(), Errno> {
    sockopt::set_socket_recv_buffer_size_force(fd, RECEIVE_BUFFER)
        .or_else(|_| sockopt::set_socket_recv_buffer_size(fd, RECEIVE_BUFFER))
}

fn set(fd: &OwnedFd, name: Name, value: i32) -> Result<(), Errno> {
    sys::set_option(fd.as_fd(), name, &value.to_ne_bytes())
}

/// An address as the kernel wants it: with the interface if it is link-local.
fn endpoint(address: IpAddr, scope_id: u32, port: u16) -> SocketAddr {
    match address {
        IpAddr::V4(address) => (address, port).into(),
        IpAddr::V6(address) => SocketAddrV6::new(address, port, 0, scope_id).into(),
    }
}

/// An address for a question about the route of an Echo Request. Where the port of others is, the kernel
/// keeps the type and code of a message when it looks a route up: a rule by ports goes by that.
fn asked(destination: IpAddr, scope_id: u32) -> SocketAddr {
    let echo = Type::EchoRequest.number(Version::of(destination)).unwrap_or_default();
    endpoint(destination, scope_id, u16::from_be_bytes([echo, 0]))
}

const fn family(version: Version) -> AddressFamily {
    match version {
        Version::V4 => AddressFamily::INET,
        Version::V6 => AddressFamily::INET6,
    }
}
