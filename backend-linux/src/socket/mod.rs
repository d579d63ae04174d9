//! Sockets that send Echo Requests with a hop limit of their own each, and receive what comes back.
//!
//! [`raw`] sockets see whole ICMP messages and need the privilege `CAP_NET_RAW`.

mod filter;
mod raw;
#[cfg(test)]
mod tests;

pub(crate) use raw::Socket;

use crate::clock::Clock;
use crate::sys::{self, Name};
use hopshot_core::Instant;
use hopshot_core::wire::Version;
use rustix::io::Errno;
use rustix::net::{AddressFamily, SocketFlags, SocketType, sockopt};
use std::net::{IpAddr, SocketAddr, SocketAddrV6};
use std::os::fd::{AsFd, BorrowedFd};

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
}

/// Why a socket could not be opened.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum OpenError {
    /// This process may not open such a socket (EPERM, EACCES).
    Permission,
    /// There is no interface of that name (ENODEV).
    NoSuchInterface,
    /// The source address isn't one of this machine's (EADDRNOTAVAIL).
    SourceNotLocal,
    /// The source address is link-local, so an interface must be given with it.
    SourceNeedsInterface,
    /// Anything else: `AFNOSUPPORT` where this kernel doesn't have the family, or the source is of the other one.
    Other(Errno),
}

impl From<Errno> for OpenError {
    fn from(errno: Errno) -> Self {
        match errno {
            Errno::PERM | Errno::ACCESS => Self::Permission,
            errno => Self::Other(errno),
        }
    }
}

/// An ICMP message that was received.
#[derive(Debug)]
pub(crate) struct Arrival<'b> {
    /// Who sent it.
    pub(crate) from: IpAddr,
    /// The interface that a link-local `from` belongs to; else 0.
    #[allow(dead_code, reason = "no view of a route names interfaces yet")]
    pub(crate) scope_id: u32,
    /// The hop limit (TTL in IPv4) that was left.
    pub(crate) hop_limit: Option<u8>,
    /// The message, from its ICMP header on.
    pub(crate) message: &'b [u8],
    /// When it arrived.
    pub(crate) at: Instant,
    /// Which clock says so.
    #[allow(dead_code, reason = "no reply says yet which clock its RTT is from")]
    pub(crate) clock: Clock,
}

/// The address that the kernel would send from to `destination`. No packet leaves: a UDP socket is connected, which only looks
/// up the route. `scope_id` is the interface that a link-local destination belongs to, else 0.
///
/// # Errors
/// As [`Socket::open`] for the options. A route that leads nowhere is always [`OpenError::Other`]: `NETUNREACH` if there is
/// none, `HOSTUNREACH` for an `unreachable` route, `ACCESS` for a `prohibit` route or a broadcast address, `INVAL` for a
/// `blackhole` or a link-local destination without its interface.
pub(crate) fn source_for(destination: IpAddr, scope_id: u32, options: &Options) -> Result<IpAddr, OpenError> {
    /// "discard" (RFC 863): where nothing would answer, if anything were sent.
    const PORT: u16 = 9;
    let version = Version::of(destination);
    let socket = rustix::net::socket_with(family(version), SocketType::DGRAM, SocketFlags::CLOEXEC, None)?;
    apply(options, version, socket.as_fd())?;
    rustix::net::connect(&socket, &endpoint(destination, scope_id, PORT)).map_err(OpenError::Other)?;
    let local = SocketAddr::try_from(rustix::net::getsockname(&socket)?)?;
    Ok(local.ip())
}

/// Makes a socket send as the options say.
fn apply(options: &Options, version: Version, fd: BorrowedFd<'_>) -> Result<(), OpenError> {
    if let Some(interface) = &options.interface {
        bind_interface(fd, interface)?;
    }
    if let Some(class) = options.traffic_class {
        match version {
            Version::V4 => sockopt::set_ip_tos(fd, class)?,
            Version::V6 => sockopt::set_ipv6_tclass(fd, class.into())?,
        }
    }
    // After the interface: a link-local address needs to know it.
    if let Some(source) = options.source {
        bind_source(fd, source, version)?;
    }
    Ok(())
}

fn bind_interface(fd: BorrowedFd<'_>, interface: &str) -> Result<(), OpenError> {
    /// The longest name that an interface can have, in octets (IFNAMSIZ - 1). The kernel silently cuts longer ones short,
    /// and takes an empty one for "any".
    const MAX_NAME: usize = 15;
    if interface.is_empty() || interface.len() > MAX_NAME || interface.contains('\0') {
        return Err(OpenError::NoSuchInterface);
    }
    sys::set_option(fd, Name::SO_BINDTODEVICE, interface.as_bytes()).map_err(|errno| match errno {
        Errno::NODEV => OpenError::NoSuchInterface,
        errno => errno.into(),
    })
}

fn bind_source(fd: BorrowedFd<'_>, source: IpAddr, version: Version) -> Result<(), OpenError> {
    if Version::of(source) != version {
        return Err(OpenError::Other(Errno::AFNOSUPPORT));
    }
    // bind(2) takes a multicast address, and then lets the kernel choose the source.
    if source.is_multicast() {
        return Err(OpenError::SourceNotLocal);
    }
    let link_local = matches!(source, IpAddr::V6(source) if source.is_unicast_link_local());
    rustix::net::bind(fd, &endpoint(source, 0, 0)).map_err(|errno| match errno {
        Errno::ADDRNOTAVAIL => OpenError::SourceNotLocal,
        Errno::INVAL if link_local => OpenError::SourceNeedsInterface,
        errno => errno.into(),
    })
}

/// An address as the kernel wants it: with the interface if it is link-local.
fn endpoint(address: IpAddr, scope_id: u32, port: u16) -> SocketAddr {
    match address {
        IpAddr::V4(address) => (address, port).into(),
        IpAddr::V6(address) => SocketAddrV6::new(address, port, 0, scope_id).into(),
    }
}

const fn family(version: Version) -> AddressFamily {
    match version {
        Version::V4 => AddressFamily::INET,
        Version::V6 => AddressFamily::INET6,
    }
}
