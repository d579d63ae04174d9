//! Sockets opened and set as was asked for.

use super::filter;
use super::needs::{Lacks, Necessity, Nicety};
use crate::advice::Refusals;
use crate::interface::{self, Interface};
use crate::sys::{self, Name};
use hopshot_core::wire::AddressFamily;
use hopshot_core::wire::icmp::Type;
use hopshot_engine::{ProbeProtocol, SocketKind};
use rustix::io::Errno;
use rustix::net::sockopt::{Ipv4PathMtuDiscovery, Ipv6PathMtuDiscovery};
use rustix::net::{AddressFamily as Domain, SocketFlags, SocketType, ipproto, sockopt};
use rustix::process::Resource;
use std::net::{IpAddr, SocketAddr, SocketAddrV6};
use std::os::fd::{AsFd, BorrowedFd, OwnedFd};

/// What the receiving socket asks to buffer, in octets; the kernel doubles it. A small answer takes
/// up to 2.5 KiB there, so this holds a burst of at least 3,000. Without `CAP_NET_ADMIN` the kernel
/// gives at most `net.core.rmem_max`.
const RECEIVE_BUFFER: usize = 4 << 20;

/// Errors in a row that a receive overlooks: one that is reported once is gone when it has been
/// read, and in a flood more may come between two calls.
pub(super) const TRANSIENT_ERRORS: u32 = 64;

/// Options of how packets leave this machine.
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
    /// Whether a packet may be cut in pieces on its way: by routers (IPv4), by this machine where
    /// it knows of a small MTU.
    pub(crate) may_be_fragmented: bool,
    /// Whether somebody asked that no packet is cut. Otherwise the kernel may decide, where it
    /// refuses the option.
    pub(crate) must_stay_whole: bool,
    /// The protocol of probes.
    pub(crate) protocol: ProbeProtocol,
    /// The source port of TCP or UDP; else a free one.
    pub(crate) source_port: Option<u16>,
    /// Whether all packets of a trace leave from one port, also where that means one after the
    /// other.
    pub(crate) one_flow: bool,
    /// The kind of socket; else raw where that is permitted.
    pub(crate) kind: Option<SocketKind>,
    /// The ident; a raw socket leaves it to whoever sends, a ping socket takes a free one if none
    /// is given.
    pub(crate) ident: Option<u16>,
    /// Whether the kernel is asked when each packet left.
    pub(crate) precise: bool,
}

impl Options {
    /// Whether TCP sockets would do, if only all probes were to be of one flow: each has a port of
    /// its own otherwise, and one was given.
    pub(crate) fn lacks_one_flow(&self) -> bool {
        let is_given = self.source_port.is_some() && !self.one_flow;
        is_given && self.protocol.is_tcp() && self.kind.is_none()
    }
}

/// The reason why a socket could not be opened.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum OpenError {
    /// There is no socket of a kind that was tried, or this process may not open it.
    Refused(Refusals),
    /// An option that is necessary.
    Necessary(Necessity, Errno),
    /// TCP sockets of this kernel don't tell which router has answered.
    OldKernel,
    /// This process may not mark packets (EPERM).
    MarkNotPermitted,
    /// Another program has the source port (EADDRINUSE).
    PortInUse,
    /// This process may not have the source port (EACCES).
    PortNotPermitted,
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
    /// The destination belongs to another interface than the one to send by (EINVAL).
    OtherInterface,
    /// The destination is a broadcast address (EACCES).
    Broadcast,
    /// Anything else.
    Other(Errno),
}

impl OpenError {
    /// Returns what the kernel said, as far as it is known.
    pub(crate) fn errno(&self) -> Errno {
        match self {
            Self::Refused(Refusals { raw, unprivileged }) => {
                unprivileged.or(*raw).unwrap_or(Errno::PERM)
            }
            Self::Necessary(_, errno) | Self::Other(errno) => *errno,
            _ => Errno::PERM,
        }
    }
}

impl From<Errno> for OpenError {
    fn from(errno: Errno) -> Self {
        Self::Other(errno)
    }
}

/// Makes a socket send as the options say. A source is bound with `port`. Returns the interface
/// that they name.
pub(super) fn apply(
    options: &Options,
    family: AddressFamily,
    fd: BorrowedFd<'_>,
    port: u16,
) -> Result<Option<Interface>, OpenError> {
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
        match family {
            AddressFamily::V4 => sockopt::set_ip_tos(fd, class),
            AddressFamily::V6 => sockopt::set_ipv6_tclass(fd, class.into()),
        }
        .map_err(|errno| OpenError::Necessary(Necessity::TrafficClass, errno))?;
    }
    // After the interface: a link-local address needs to know it.
    if let Some(source) = options.source {
        bind_source(fd, source, port, interface.as_ref(), family)?;
    }
    Ok(interface)
}

/// Returns how many descriptors this process may have.
pub(crate) fn files_permitted() -> usize {
    let files = rustix::process::getrlimit(Resource::Nofile).current;
    let files = files.map(|files| usize::try_from(files).unwrap_or(usize::MAX));
    files.unwrap_or(usize::MAX)
}

/// Returns the error that a refusal to bind a source port means.
pub(super) fn port_refused(error: OpenError) -> OpenError {
    match error {
        OpenError::Other(Errno::ADDRINUSE) => OpenError::PortInUse,
        OpenError::Other(Errno::ACCESS) => OpenError::PortNotPermitted,
        error => error,
    }
}

/// Makes a socket send by an interface: by its number, or where that is refused by its name, which
/// can be too long.
pub(super) fn bind_interface(fd: BorrowedFd<'_>, interface: &Interface) -> Result<(), OpenError> {
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

pub(super) fn bind_source(
    fd: BorrowedFd<'_>,
    source: IpAddr,
    port: u16,
    interface: Option<&Interface>,
    family: AddressFamily,
) -> Result<(), OpenError> {
    if AddressFamily::of(source) != family {
        return Err(OpenError::SourceOfOtherFamily);
    }
    // bind(2) takes a multicast address, and then lets the kernel choose the source.
    if source.is_multicast() {
        return Err(OpenError::SourceNotLocal);
    }
    let link_local = matches!(source, IpAddr::V6(source) if source.is_unicast_link_local());
    // A ping socket wants to be told of the interface here as well.
    let scope_id = interface
        .filter(|_| link_local)
        .map_or(0, |interface| interface.number);
    rustix::net::bind(fd, &endpoint(source, scope_id, port)).map_err(|errno| match errno {
        Errno::ADDRNOTAVAIL => OpenError::SourceNotLocal,
        Errno::INVAL if link_local => OpenError::SourceNeedsInterface,
        errno => errno.into(),
    })
}

/// Opens a socket of the protocol of probes: non-blocking, closed when another program is executed.
pub(super) fn open(
    family: AddressFamily,
    kind: SocketKind,
    protocol: ProbeProtocol,
) -> Result<OwnedFd, OpenError> {
    let protocol = match (protocol, family) {
        (ProbeProtocol::Tcp { .. }, _) => ipproto::TCP,
        (ProbeProtocol::Udp { .. }, _) => ipproto::UDP,
        (_, AddressFamily::V4) => ipproto::ICMP,
        (_, AddressFamily::V6) => ipproto::ICMPV6,
    };
    let is_raw = kind == SocketKind::Raw;
    let socket_type = match kind {
        SocketKind::Raw => SocketType::RAW,
        SocketKind::Tcp => SocketType::STREAM,
        _ => SocketType::DGRAM,
    };
    let flags = SocketFlags::CLOEXEC | SocketFlags::NONBLOCK;
    rustix::net::socket_with(domain(family), socket_type, flags, Some(protocol)).map_err(|errno| {
        match errno {
            // Of sockets of the other kind there would be too many as well.
            Errno::MFILE | Errno::NFILE | Errno::NOBUFS | Errno::NOMEM => OpenError::Other(errno),
            errno => OpenError::Refused(Refusals {
                raw: is_raw.then_some(errno),
                unprivileged: (!is_raw).then_some(errno),
            }),
        }
    })
}

/// Keeps a raw socket that only sends, or asks, from receiving packets that it would never read.
pub(super) fn deafen(
    fd: &OwnedFd,
    family: AddressFamily,
    protocol: ProbeProtocol,
    lacks: &mut Lacks,
) {
    if protocol == ProbeProtocol::Icmp {
        lacks.note(
            Nicety::TypeFilter,
            set_type_filter(fd, family, &filter::TypeFilter::NONE),
        );
    } else {
        lacks.note(
            Nicety::PacketFilter,
            sys::attach_filter(fd.as_fd(), &filter::pass_nothing()),
        );
    }
    lacks.note(Nicety::Buffer, sockopt::set_socket_recv_buffer_size(fd, 0));
}

pub(super) fn set_type_filter(
    fd: &OwnedFd,
    family: AddressFamily,
    types: &filter::TypeFilter,
) -> Result<(), Errno> {
    let name = match family {
        AddressFamily::V4 => Name::ICMP_FILTER,
        AddressFamily::V6 => Name::ICMPV6_FILTER,
    };
    sys::set_option(fd.as_fd(), name, &types.value(family))
}

/// The option by which a socket reports errors in full.
pub(super) const fn errors(family: AddressFamily) -> Name {
    match family {
        AddressFamily::V4 => Name::IP_RECVERR,
        AddressFamily::V6 => Name::IPV6_RECVERR,
    }
}

/// What is never fragmented goes by path MTU discovery "probe": it sets DF, keeps the IPv4
/// identification 0 and believes no MTU learnt before, so that a packet that is too large gets to
/// the router that has to say so. Only what the first link can't carry is refused here. What may be
/// fragmented goes without DF, and is cut here to an MTU learnt before, as IPv6 wants it.
pub(super) fn set_fragmentation(
    fd: &OwnedFd,
    family: AddressFamily,
    options: &Options,
) -> Result<(), Errno> {
    match (family, options.may_be_fragmented) {
        (AddressFamily::V4, false) => sockopt::set_ip_mtu_discover(fd, Ipv4PathMtuDiscovery::PROBE),
        (AddressFamily::V4, true) => sockopt::set_ip_mtu_discover(fd, Ipv4PathMtuDiscovery::DONT),
        (AddressFamily::V6, false) => {
            sockopt::set_ipv6_mtu_discover(fd, Ipv6PathMtuDiscovery::PROBE)
        }
        (AddressFamily::V6, true) => sockopt::set_ipv6_mtu_discover(fd, Ipv6PathMtuDiscovery::DONT),
    }
}

/// The same for probes: what was not asked for is done without.
pub(super) fn fragment_probes(
    fd: &OwnedFd,
    family: AddressFamily,
    options: &Options,
    lacks: &mut Lacks,
) -> Result<(), OpenError> {
    match set_fragmentation(fd, family, options) {
        Err(errno) if options.must_stay_whole => Err(OpenError::Necessary(Necessity::Whole, errno)),
        set => {
            lacks.note(Nicety::Fragmentation, set);
            Ok(())
        }
    }
}

pub(super) fn set_receive_buffer(fd: &OwnedFd) -> Result<(), Errno> {
    sockopt::set_socket_recv_buffer_size_force(fd, RECEIVE_BUFFER)
        .or_else(|_| sockopt::set_socket_recv_buffer_size(fd, RECEIVE_BUFFER))
}

pub(super) fn set(fd: &OwnedFd, name: Name, value: i32) -> Result<(), Errno> {
    sys::set_option(fd.as_fd(), name, &value.to_ne_bytes())
}

/// An address as the kernel wants it: with the interface if it is link-local.
pub(super) fn endpoint(address: IpAddr, scope_id: u32, port: u16) -> SocketAddr {
    match address {
        IpAddr::V4(address) => (address, port).into(),
        IpAddr::V6(address) => SocketAddrV6::new(address, port, 0, scope_id).into(),
    }
}

/// An address for a question about the route of probes. Where the port of others is, the kernel
/// keeps the type and code of an ICMP message when it looks a route up: a rule by ports goes by
/// that. Of what raw sockets send by TCP and UDP it knows no ports, so none is asked about either.
pub(super) fn asked(destination: IpAddr, scope_id: u32, protocol: ProbeProtocol) -> SocketAddr {
    let echo = Type::EchoRequest
        .number(AddressFamily::of(destination))
        .unwrap_or_default();
    let port = match protocol {
        ProbeProtocol::Icmp => u16::from_be_bytes([echo, 0]),
        _ => 0,
    };
    endpoint(destination, scope_id, port)
}

pub(super) const fn domain(family: AddressFamily) -> Domain {
    match family {
        AddressFamily::V4 => Domain::INET,
        AddressFamily::V6 => Domain::INET6,
    }
}
