//! How large a packet the first link carries.

use super::queue::{Packet, Queue, Report};
use super::sources::PORT;
use super::{OpenError, Options, apply, endpoint, family, set, set_fragmentation};
use crate::sys::Name;
use hopshot_core::wire::Version;
use rustix::io::Errno;
use rustix::net::{SendFlags, SocketFlags, SocketType, sockopt};
use std::net::IpAddr;
use std::os::fd::{AsFd, OwnedFd};

/// A question to the kernel: a UDP socket that is offered a datagram that no link carries.
#[derive(Debug)]
pub(crate) struct FirstLink(OwnedFd);

impl FirstLink {
    /// Opens the socket. The options are those that packets will be sent with.
    ///
    /// # Errors
    /// As [`Sources::open`](super::Sources::open).
    pub(crate) fn open(version: Version, options: &Options) -> Result<Self, OpenError> {
        let flags = SocketFlags::CLOEXEC | SocketFlags::NONBLOCK;
        let socket = rustix::net::socket_with(family(version), SocketType::DGRAM, flags, None)?;
        apply(options, version, socket.as_fd(), 0)?;
        set_fragmentation(&socket, version, &Options { may_be_fragmented: false, ..Options::default() })?;
        let report = match version {
            Version::V4 => Name::IP_RECVERR,
            Version::V6 => Name::IPV6_RECVERR,
        };
        set(&socket, report, 1)?;
        Ok(Self(socket))
    }

    /// The MTU of the link by which packets to `destination` leave, in octets; 65,535 if it is greater.
    ///
    /// The kernel says how large a datagram may be when it refuses one. (Asked directly, it says what was learnt of the whole
    /// path before.)
    ///
    /// # Errors
    /// As [`Sources::of`](super::Sources::of).
    pub(crate) fn mtu(self, destination: IpAddr, scope_id: u32) -> Result<u16, OpenError> {
        /// The most that a datagram can carry in IPv4.
        const TOO_LARGE: usize = 65_507;
        let Self(socket) = self;
        rustix::net::connect(&socket, &endpoint(destination, scope_id, PORT)).map_err(OpenError::Other)?;
        let learnt = match Version::of(destination) {
            Version::V4 => sockopt::ip_mtu(&socket),
            Version::V6 => sockopt::ipv6_mtu(&socket),
        }?;
        let saturated = |octets: u32| u16::try_from(octets).unwrap_or(u16::MAX);
        // Loopback would carry it.
        if saturated(learnt) == u16::MAX {
            return Ok(u16::MAX);
        }
        let refused = rustix::net::send(&socket, &[0; TOO_LARGE], SendFlags::empty()) == Err(Errno::MSGSIZE);
        match Queue::of_reports().read(socket.as_fd(), &mut [])? {
            Some(Packet { report: Some(Report { info, .. }), .. }) if refused => Ok(saturated(info)),
            _ => Ok(saturated(learnt)),
        }
    }
}
