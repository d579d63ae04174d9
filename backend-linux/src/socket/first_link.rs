//! The size of the packets that the first link carries.

use super::needs::Necessity;
use super::options::{OpenError, Options, asked, errors, set, set_fragmentation};
use super::queue::{Origin, Packet, Queue, Report};
use super::sources::open_to_ask;
use hopshot_core::wire::AddressFamily;
use hopshot_core::wire::icmp::Type;
use hopshot_engine::{ProbeProtocol, SocketKind};
use rustix::io::Errno;
use rustix::net::{SendFlags, sockopt};
use std::net::IpAddr;
use std::os::fd::{AsFd, OwnedFd};

/// A question to the kernel: an ICMP socket that is offered an Echo Request that no link carries.
#[derive(Debug)]
pub(crate) struct FirstLink(OwnedFd);

impl FirstLink {
    /// Opens the socket, of the kind that packets will be sent with. The options are theirs too.
    ///
    /// # Errors
    /// As [`Socket::open`](super::Socket::open).
    pub(crate) fn open(
        family: AddressFamily,
        kind: SocketKind,
        options: &Options,
    ) -> Result<Self, OpenError> {
        let (socket, _) = open_to_ask(family, kind, options)?;
        let unfragmented = Options {
            may_be_fragmented: false,
            ..Options::default()
        };
        // The probes need it as well: a kernel that cuts them shows nothing of the path.
        set_fragmentation(&socket, family, &unfragmented)
            .map_err(|errno| OpenError::Necessary(Necessity::Unfragmented, errno))?;
        // Without it there is what was learnt of the path, which is no more than the first link
        // carries.
        let _ = set(&socket, errors(family), 1);
        Ok(Self(socket))
    }

    /// The MTU of the link by which packets to `destination` leave, in octets; 65,535 if it is
    /// greater.
    ///
    /// The kernel says how large a packet may be when it refuses one. (Asked directly, it says what
    /// was learnt of the whole
    /// path before.)
    ///
    /// # Errors
    /// As [`Sources::of`](super::Sources::of).
    pub(crate) fn mtu(self, destination: IpAddr, scope_id: u32) -> Result<u16, OpenError> {
        /// With headers of IPv4 and UDP as much as an IP packet can be.
        const TOO_LARGE: usize = 65_507;
        let Self(socket) = self;
        let family = AddressFamily::of(destination);
        rustix::net::connect(&socket, &asked(destination, scope_id, ProbeProtocol::Icmp))
            .map_err(OpenError::Other)?;
        let learnt = match family {
            AddressFamily::V4 => sockopt::ip_mtu(&socket),
            AddressFamily::V6 => sockopt::ipv6_mtu(&socket),
        }
        .map_err(|errno| OpenError::Necessary(Necessity::Mtu, errno))?;
        let saturated = |octets: u32| u16::try_from(octets).unwrap_or(u16::MAX);
        // Loopback would carry it.
        if saturated(learnt) == u16::MAX {
            return Ok(u16::MAX);
        }
        let mut request = [0; TOO_LARGE];
        // A ping socket sends nothing else.
        request[0] = Type::EchoRequest.number(family).unwrap_or_default();
        let refused =
            rustix::net::send(&socket, &request, SendFlags::empty()) == Err(Errno::MSGSIZE);
        Ok(saturated(if refused {
            said(&socket).unwrap_or(learnt)
        } else {
            learnt
        }))
    }
}

/// Returns the MTU that this machine's refusal has named.
fn said(socket: &OwnedFd) -> Option<u32> {
    /// Errors of others that a raw socket may have been told before.
    const OTHERS: usize = 8;
    let mut reports = Queue::of_reports();
    (0..OTHERS).find_map(|_| match reports.read(socket.as_fd(), &mut []) {
        Ok(Some(Packet {
            report:
                Some(Report {
                    origin: Origin::Other,
                    info,
                    ..
                }),
            ..
        })) => Some(info),
        _ => None,
    })
}
