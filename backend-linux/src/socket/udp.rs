//! UDP sockets, which every user may open: udp(7). The error queue brings what an ICMP error quotes
//! from behind the UDP header on, so the payload must say which probe it is. An error that quotes
//! no more than that header is told with the checksum 0, and can't be credited: then
//! [`spares`](super::spares) send detours.

use super::needs::Lacks;
use super::options::{OpenError, Options, apply, open, port_refused, set};
use super::queue::Packet;
use super::unprivileged::{self, Kind, Known, Socket, share};
use crate::interface::Interface;
use crate::sys::Name;
use hopshot_core::wire::{AddressFamily, udp};
use hopshot_engine::SocketKind;
use rustix::net::sockopt;
use std::net::SocketAddr;
use std::os::fd::{AsFd, OwnedFd};

const UDP: Kind = Kind {
    name: SocketKind::Udp,
    header_len: udp::HEADER_LEN,
    restore,
};

/// Opens the pair, on the source port of the options, or on one that is free. Nobody else can bind
/// the port then.
///
/// # Errors
/// See [`OpenError`].
pub(super) fn open_pair(
    family: AddressFamily,
    options: &Options,
    lacks: Lacks,
) -> Result<Socket, OpenError> {
    let sender = open(family, UDP.name, options.protocol)?;
    let port = options.source_port.unwrap_or(0);
    bind(&sender, family, options, port).map_err(port_refused)?;
    let port = SocketAddr::try_from(rustix::net::getsockname(&sender)?)?.port();
    let receiver = open(family, UDP.name, options.protocol)?;
    share([&sender, &receiver], true)?;
    let bound = bind(&receiver, family, options, port);
    share([&sender, &receiver], false)?;
    let pair = (sender, bound.is_ok().then_some(receiver));
    Socket::new(UDP, port, pair, family, options, lacks)
}

/// Opens a socket for one probe at a time, each from another port, which it gets when it sends.
/// Returns the interface that it is bound to, too.
///
/// # Errors
/// See [`OpenError`].
pub(super) fn open_spare(
    family: AddressFamily,
    options: &Options,
    lacks: Lacks,
) -> Result<(Socket, Option<Interface>), OpenError> {
    let fd = open(family, UDP.name, options.protocol)?;
    if family == AddressFamily::V6 {
        let _ = sockopt::set_ipv6_v6only(&fd, true);
    }
    // A source is bound without a port.
    let _ = set(&fd, Name::IP_BIND_ADDRESS_NO_PORT, 1);
    let interface = apply(options, family, fd.as_fd(), 0)?;
    let socket = Socket::new(UDP, 0, (fd, None), family, options, lacks)?;
    Ok((socket, interface))
}

/// Returns the source port of a socket, if it has one.
pub(super) fn port(fd: impl AsFd) -> Option<u16> {
    let name = SocketAddr::try_from(rustix::net::getsockname(fd).ok()?).ok()?;
    Some(name.port()).filter(|port| *port != 0)
}

/// Binds a socket to a port. Both are bound alike: else the kernel would take the one that is bound
/// more closely.
fn bind(
    fd: &OwnedFd,
    family: AddressFamily,
    options: &Options,
    port: u16,
) -> Result<Option<Interface>, OpenError> {
    if family == AddressFamily::V6 {
        // The port may be somebody's in IPv4.
        let _ = sockopt::set_ipv6_v6only(fd, true);
    }
    unprivileged::bind(fd, family, options, port)
}

/// Writes the header from the ports, with the checksum of the probe if there is only one.
fn restore(known: Known, packet: &mut Packet, message: &mut [u8]) -> Option<()> {
    let peer = packet.peer?.port();
    let port = known.number;
    let (source, destination) = match &mut packet.report {
        None => (peer, port),
        Some(report) => {
            // The place of its extensions is counted from the start of what is there.
            if report.data & 0xffff != 0 {
                report.data = report.data.saturating_add(udp::HEADER_LEN as u32);
            }
            (port, peer)
        }
    };
    udp::emit(source, destination, known.checksum, message).ok()
}
