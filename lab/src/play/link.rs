//! The wire between the client's kernel and the simulated internet.

use super::failure::{Context, Failure};
use super::netlink::Netlink;
use super::{neighbour, offload};
use hopshot_core::wire::AddressFamily;
use hopshot_lab::{CLIENT, PREFIX_LEN};
use nix::sys::socket::{
    AddressFamily as Domain, MsgFlags, SockFlag, SockProtocol, SockType, bind, recv, send, socket,
};
use std::os::fd::{AsFd, AsRawFd, BorrowedFd, OwnedFd};
use std::{fs, io};
use tun_rs::{DeviceBuilder, SyncDevice};

/// The name of the client's interface.
const CLIENT_END: &str = "hopshot0";
const OTHER_END: &str = "hopshot1";
const ETHERNET_HEADER: usize = 14;

/// How packets come and go.
#[derive(Clone, Copy, Debug, PartialEq, Eq, clap::ValueEnum)]
pub(crate) enum LinkKind {
    /// A TUN device.
    Tun,
    /// A veth pair with a packet socket at the far end.
    Veth,
}

/// The far end of the client's interface: reads what the client sends, and sends it answers.
/// Neither ever blocks.
pub(super) enum Link {
    Tun(SyncDevice),
    /// The socket, and the Ethernet addresses that start every frame to the client.
    Veth(OwnedFd, [u8; 12]),
}

impl Link {
    /// Makes the client's interface and gives it its addresses.
    pub(super) fn open(kind: Option<LinkKind>) -> Result<Self, Failure> {
        let netlink = Netlink::open().context("netlink")?;
        let tun = || {
            fs::OpenOptions::new()
                .read(true)
                .write(true)
                .open("/dev/net/tun")
        };
        let link = match kind.unwrap_or_else(|| {
            if tun().is_ok() {
                LinkKind::Tun
            } else {
                LinkKind::Veth
            }
        }) {
            LinkKind::Tun => tun().and_then(|_| Self::open_tun()).context("TUN device")?,
            LinkKind::Veth => {
                netlink
                    .veth(CLIENT_END, OTHER_END, None)
                    .context("veth pair")?;
                // The kernel must not ask for neighbours: there are none. A program may, and gets
                // an answer.
                netlink.up(OTHER_END, false).context(OTHER_END)?;
                Self::open_packet_socket().context("packet socket")?
            }
        };
        netlink.up(CLIENT_END, false).context(CLIENT_END)?;
        for (family, prefix_len) in [
            (AddressFamily::V4, PREFIX_LEN.0),
            (AddressFamily::V6, PREFIX_LEN.1),
        ] {
            netlink
                .address(CLIENT_END, CLIENT.address(family), prefix_len)
                .context("the client's address")?;
        }
        Ok(link)
    }

    fn open_tun() -> io::Result<Self> {
        // Room for what comes while answers are handed over: a path's losses are to be those that
        // its scenario names.
        let device = DeviceBuilder::new()
            .name(CLIENT_END)
            .tx_queue_len(10_000)
            .build_sync()?;
        device.set_nonblocking(true)?;
        Ok(Self::Tun(device))
    }

    fn open_packet_socket() -> io::Result<Self> {
        let flags = SockFlag::SOCK_CLOEXEC | SockFlag::SOCK_NONBLOCK;
        let socket = socket(Domain::Packet, SockType::Raw, flags, SockProtocol::EthAll)?;
        let mut frame = [0; 12];
        for interface in nix::ifaddrs::getifaddrs()? {
            let Some(address) = interface
                .address
                .as_ref()
                .and_then(|address| address.as_link_addr())
            else {
                continue;
            };
            let ethernet = address.addr().unwrap_or_default();
            match interface.interface_name.as_str() {
                CLIENT_END => frame[..6].copy_from_slice(&ethernet),
                OTHER_END => {
                    bind(socket.as_raw_fd(), address)?;
                    frame[6..].copy_from_slice(&ethernet);
                }
                _ => {}
            }
        }
        Ok(Self::Veth(socket, frame))
    }

    /// Reads a packet; its place in the buffer, or `None` if there is none now.
    pub(super) fn receive<'b>(&self, buf: &'b mut [u8]) -> io::Result<Option<&'b [u8]>> {
        let (start, read) = match self {
            Self::Tun(device) => (0, device.recv(buf)),
            Self::Veth(socket, _) => (
                ETHERNET_HEADER,
                recv(socket.as_raw_fd(), buf, MsgFlags::empty()).map_err(Into::into),
            ),
        };
        match read {
            Ok(length) => {
                if let (Self::Veth(socket, addresses), Some(frame)) = (self, buf.get_mut(..length))
                {
                    Self::serve(socket, addresses, frame)?;
                }
                Ok(buf.get(start..length).or(Some(&[])))
            }
            Err(error)
                if matches!(
                    error.kind(),
                    io::ErrorKind::WouldBlock | io::ErrorKind::Interrupted
                ) =>
            {
                Ok(None)
            }
            Err(error) => Err(error),
        }
    }

    /// Does for a frame what a network card and a neighbour would.
    fn serve(socket: &OwnedFd, addresses: &[u8; 12], frame: &mut [u8]) -> io::Result<()> {
        if let Some(packet) = frame.get_mut(ETHERNET_HEADER..) {
            let _ = offload::complete(packet);
        }
        if let Some(&here) = addresses.last_chunk()
            && let Some(reply) = neighbour::answer(frame, here)
        {
            send(socket.as_raw_fd(), &reply, MsgFlags::empty())?;
        }
        Ok(())
    }

    /// Hands a packet to the client's kernel.
    pub(super) fn send(&self, packet: &[u8]) -> io::Result<()> {
        match self {
            Self::Tun(device) => device.send(packet).map(drop),
            Self::Veth(socket, addresses) => {
                let ether_type: [u8; 2] = if packet.first().is_some_and(|octet| octet >> 4 == 6) {
                    [0x86, 0xdd]
                } else {
                    [8, 0]
                };
                let frame = [&addresses[..], &ether_type, packet].concat();
                Ok(send(socket.as_raw_fd(), &frame, MsgFlags::empty()).map(drop)?)
            }
        }
    }
}

impl AsFd for Link {
    fn as_fd(&self) -> BorrowedFd<'_> {
        match self {
            Self::Tun(device) => device.as_fd(),
            Self::Veth(socket, _) => socket.as_fd(),
        }
    }
}
