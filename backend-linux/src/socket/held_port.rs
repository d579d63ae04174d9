//! A source port that is held, so that no other program of this machine gets it meanwhile.
//!
//! A TCP socket that is bound and doesn't listen changes nothing of what the kernel answers: it
//! resets the connection that a SYN/ACK would open. A UDP socket keeps the kernel from telling the
//! target that nobody is there.

use super::filter;
use super::options::{Options, endpoint};
use crate::sys;
use hopshot_core::wire::AddressFamily;
use hopshot_engine::ProbeProtocol;
use rustix::io::Errno;
use rustix::net::{SocketFlags, SocketType, sockopt};
use std::net::SocketAddr;
use std::os::fd::{AsFd, OwnedFd};

/// A port of TCP or UDP, as long as this lives.
#[derive(Debug)]
pub(crate) struct HeldPort(OwnedFd);

impl HeldPort {
    /// Holds the port that the options name, or one that is free. ICMP has none.
    ///
    /// # Errors
    /// EADDRINUSE: another program has it.
    pub(crate) fn open(family: AddressFamily, options: &Options) -> Result<Option<Self>, Errno> {
        let socket_type = match options.protocol {
            ProbeProtocol::Tcp { .. } => SocketType::STREAM,
            ProbeProtocol::Udp { .. } => SocketType::DGRAM,
            _ => return Ok(None),
        };
        let domain = super::options::domain(family);
        let flags = SocketFlags::CLOEXEC | SocketFlags::NONBLOCK;
        let socket = rustix::net::socket_with(domain, socket_type, flags, None)?;
        // It reads nothing. Without the filter the kernel throws away what finds no room.
        let _ = sys::attach_filter(socket.as_fd(), &filter::pass_nothing());
        if family == AddressFamily::V6 {
            // The port may be held in IPv4 too.
            let _ = sockopt::set_ipv6_v6only(&socket, true);
        }
        let port = options.source_port.unwrap_or(0);
        // From all addresses: a trace may leave from any.
        rustix::net::bind(&socket, &endpoint(family.unspecified(), 0, port))?;
        Ok(Some(Self(socket)))
    }

    /// Returns the port.
    pub(crate) fn number(&self) -> Option<u16> {
        let name = rustix::net::getsockname(&self.0).ok()?;
        Some(SocketAddr::try_from(name).ok()?.port())
    }
}
