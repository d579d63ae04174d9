//! Which address the kernel would send from.

use super::{OpenError, Options, apply, bind_interface, endpoint, family};
use hopshot_core::wire::Version;
use rustix::net::{Shutdown, SocketFlags, SocketType};
use std::net::{IpAddr, SocketAddr};
use std::os::fd::{AsFd, OwnedFd};

/// "discard" (RFC 863): where nothing would answer, if anything were sent.
pub(super) const PORT: u16 = 9;

/// A question to the kernel: a UDP socket that is connected, which looks up the route, and can't send.
#[derive(Debug)]
pub(crate) struct Sources {
    socket: OwnedFd,
    interface: Option<String>,
}

impl Sources {
    /// Opens the socket. The options are those that packets will be sent with.
    ///
    /// # Errors
    /// As [`Socket::open`](super::Socket::open) for the options.
    pub(crate) fn open(version: Version, options: &Options) -> Result<Self, OpenError> {
        let socket = rustix::net::socket_with(family(version), SocketType::DGRAM, SocketFlags::CLOEXEC, None)?;
        apply(options, version, socket.as_fd(), 0)?;
        // What is said here before there is a destination, the kernel does all the same.
        let _ = rustix::net::shutdown(&socket, Shutdown::Write);
        Ok(Self { socket, interface: options.interface.clone() })
    }

    /// The address that packets to `destination` will leave from. `scope_id` is the interface that a link-local destination
    /// belongs to, else 0.
    ///
    /// # Errors
    /// A route that leads nowhere is always [`OpenError::Other`]: `NETUNREACH` if there is none, `HOSTUNREACH` for an
    /// `unreachable` route, `ACCESS` for a `prohibit` route or a broadcast address, `INVAL` for a `blackhole` or a link-local
    /// destination without its interface.
    pub(crate) fn of(&self, destination: IpAddr, scope_id: u32) -> Result<IpAddr, OpenError> {
        let found = self.look_up(destination, scope_id);
        // Else the answer to the next question would be the same; it forgets the interface too.
        let _ = rustix::net::connect_unspec(&self.socket);
        if let Some(interface) = &self.interface {
            bind_interface(self.socket.as_fd(), interface)?;
        }
        found
    }

    fn look_up(&self, destination: IpAddr, scope_id: u32) -> Result<IpAddr, OpenError> {
        let destination = endpoint(destination, scope_id, PORT);
        rustix::net::connect(&self.socket, &destination).map_err(OpenError::Other)?;
        Ok(SocketAddr::try_from(rustix::net::getsockname(&self.socket)?)?.ip())
    }
}
