//! The address that the kernel would send from.
//!
//! The question is asked with a socket of the protocol that is probed, and of the kind that probes:
//! rules of routing tell protocols apart (`ip rule add ipproto icmp`), and a hook of a cgroup may
//! redirect UDP alone. A VRF binds every socket of the processes in it (a cgroup's `sock_create`
//! hook), this one too, and [`Options::interface`] names one like any interface.

use super::needs::Lacks;
use super::options::{OpenError, Options, apply, asked, bind_interface, bind_source, deafen, open};
use crate::interface::Interface;
use hopshot_core::wire::AddressFamily;
use hopshot_engine::{ProbeProtocol, SocketKind, UdpPayload};
use rustix::io::Errno;
use rustix::net::{Shutdown, sockopt};
use std::iter;
use std::net::{IpAddr, SocketAddr};
use std::os::fd::{AsFd, OwnedFd};

/// A question to the kernel: an ICMP socket that is connected, which looks up the route, and can't
/// send.
#[derive(Debug)]
pub(crate) struct Sources {
    socket: OwnedFd,
    /// One that may be connected to broadcast addresses, in IPv4: the kernel refuses these and
    /// prohibited ones alike.
    broadcasting: Option<OwnedFd>,
    interface: Option<Interface>,
    /// The source address that was asked for, where the kernel forgets it: on raw sockets.
    source: Option<IpAddr>,
    protocol: ProbeProtocol,
}

impl Sources {
    /// Opens the socket, of the kind that packets will be sent with. The options are theirs too.
    ///
    /// # Errors
    /// As [`Socket::open`](super::Socket::open).
    pub(crate) fn open(
        family: AddressFamily,
        kind: SocketKind,
        options: &Options,
    ) -> Result<Self, OpenError> {
        let (socket, interface) = open_to_ask(family, kind, options)?;
        let broadcasting = match family {
            AddressFamily::V4 => Some(open_to_ask(family, kind, options)?.0),
            AddressFamily::V6 => None,
        };
        let broadcasting =
            broadcasting.filter(|socket| sockopt::set_socket_broadcast(socket, true).is_ok());
        for socket in iter::once(&socket).chain(&broadcasting) {
            // What is said here before there is a destination, the kernel does all the same.
            let _ = rustix::net::shutdown(socket, Shutdown::Write);
        }
        let source = options.source.filter(|_| kind == SocketKind::Raw);
        Ok(Self {
            socket,
            broadcasting,
            interface,
            source,
            protocol: options.protocol,
        })
    }

    /// The address that packets to `destination` will leave from. `scope_id` is the interface that
    /// a link-local destination belongs to, else 0.
    ///
    /// # Errors
    /// A route that leads nowhere is always [`OpenError::Other`]: `NETUNREACH` if there is none,
    /// `HOSTUNREACH` for an `unreachable` route, `ACCESS` for a `prohibit` route, `INVAL` for a
    /// `blackhole` or a link-local destination without its interface. [`OpenError::Broadcast`] and
    /// [`OpenError::OtherInterface`].
    pub(crate) fn of(&self, destination: IpAddr, scope_id: u32) -> Result<IpAddr, OpenError> {
        match self.ask(&self.socket, destination, scope_id) {
            Err(OpenError::Other(Errno::ACCESS)) if self.is_broadcast(destination) => {
                Err(OpenError::Broadcast)
            }
            // The kernel says the same of a `blackhole` route.
            Err(OpenError::Other(Errno::INVAL)) if self.is_beside(scope_id) => {
                Err(OpenError::OtherInterface)
            }
            found => found,
        }
    }

    /// Whether a destination's interface isn't the one to send by.
    fn is_beside(&self, scope_id: u32) -> bool {
        let is_other = |interface: &Interface| interface.number != scope_id;
        scope_id != 0 && self.interface.as_ref().is_some_and(is_other)
    }

    fn is_broadcast(&self, destination: IpAddr) -> bool {
        self.broadcasting
            .as_ref()
            .is_some_and(|socket| self.ask(socket, destination, 0).is_ok())
    }

    fn ask(
        &self,
        socket: &OwnedFd,
        destination: IpAddr,
        scope_id: u32,
    ) -> Result<IpAddr, OpenError> {
        // Else the answer would be that of the last question; it forgets the interface too, and the
        // source, each of which may be away for the moment.
        let _ = rustix::net::connect_unspec(socket);
        if let Some(interface) = &self.interface {
            bind_interface(socket.as_fd(), interface)?;
        }
        if let Some(source) = self.source {
            bind_source(
                socket.as_fd(),
                source,
                0,
                self.interface.as_ref(),
                AddressFamily::of(source),
            )?;
        }
        let asked = asked(destination, scope_id, self.protocol);
        rustix::net::connect(socket, &asked).map_err(OpenError::Other)?;
        Ok(SocketAddr::try_from(rustix::net::getsockname(socket)?)?.ip())
    }
}

/// Opens a socket that asks for the route of probes, and receives nothing.
pub(super) fn open_to_ask(
    family: AddressFamily,
    kind: SocketKind,
    options: &Options,
) -> Result<(OwnedFd, Option<Interface>), OpenError> {
    let socket = match (kind, options.protocol) {
        // A TCP socket doesn't ask, it connects. So a rule that is for TCP alone isn't heeded here.
        (SocketKind::Tcp, ProbeProtocol::Tcp { port, .. }) => {
            let payload = UdpPayload::Plain;
            open(
                family,
                SocketKind::Udp,
                ProbeProtocol::Udp { port, payload },
            )?
        }
        (kind, protocol) => open(family, kind, protocol)?,
    };
    if kind == SocketKind::Raw {
        // What is refused here the sockets of the trace have told already.
        deafen(&socket, family, options.protocol, &mut Lacks::of(family));
    }
    let interface = apply(options, family, socket.as_fd(), 0)?;
    Ok((socket, interface))
}
