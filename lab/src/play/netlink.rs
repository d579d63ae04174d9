//! Interfaces, addresses and routes through rtnetlink, so that no `ip` command is needed.

use netlink_packet_core::{
    NLM_F_ACK, NLM_F_CREATE, NLM_F_EXCL, NLM_F_REQUEST, NetlinkHeader, NetlinkMessage,
    NetlinkPayload,
};
use netlink_packet_route::address::{AddressAttribute, AddressHeaderFlags, AddressMessage};
use netlink_packet_route::link::{
    InfoData, InfoKind, InfoVeth, LinkAttribute, LinkFlags, LinkInfo, LinkMessage,
};
use netlink_packet_route::route::{
    RouteAddress, RouteAttribute, RouteHeader, RouteMessage, RouteProtocol, RouteScope, RouteType,
};
use netlink_packet_route::{AddressFamily, RouteNetlinkMessage};
use netlink_sys::{Socket, SocketAddr, protocols::NETLINK_ROUTE};
use nix::net::if_::if_nametoindex;
use std::io;
use std::net::IpAddr;
use std::os::fd::RawFd;

/// A connection to the kernel's tables of the network namespace in which it was opened.
pub(super) struct Netlink(Socket);

impl Netlink {
    pub(super) fn open() -> io::Result<Self> {
        let mut socket = Socket::new(NETLINK_ROUTE)?;
        socket.bind_auto()?;
        socket.connect(&SocketAddr::new(0, 0))?;
        Ok(Self(socket))
    }

    /// Brings an interface up; with `arp` off no neighbour is ever asked for.
    pub(super) fn up(&self, name: &str, arp: bool) -> io::Result<()> {
        let mut message = LinkMessage::default();
        message.header.index = if_nametoindex(name)?;
        message.header.flags = if arp {
            LinkFlags::Up
        } else {
            LinkFlags::Up | LinkFlags::Noarp
        };
        message.header.change_mask = message.header.flags;
        self.ask(RouteNetlinkMessage::SetLink(message), 0)
    }

    /// Sets the MTU of an interface.
    pub(super) fn mtu(&self, name: &str, octets: u32) -> io::Result<()> {
        let mut message = LinkMessage::default();
        message.header.index = if_nametoindex(name)?;
        message.attributes.push(LinkAttribute::Mtu(octets));
        self.ask(RouteNetlinkMessage::SetLink(message), 0)
    }

    /// Makes a veth pair; the peer goes to another network namespace if one is given.
    pub(super) fn veth(
        &self,
        name: &str,
        peer: &str,
        peer_namespace: Option<RawFd>,
    ) -> io::Result<()> {
        let mut other = LinkMessage::default();
        other
            .attributes
            .push(LinkAttribute::IfName(peer.to_owned()));
        other
            .attributes
            .extend(peer_namespace.map(LinkAttribute::NetNsFd));
        let mut message = LinkMessage::default();
        message
            .attributes
            .push(LinkAttribute::IfName(name.to_owned()));
        message.attributes.push(LinkAttribute::LinkInfo(vec![
            LinkInfo::Kind(InfoKind::Veth),
            LinkInfo::Data(InfoData::Veth(InfoVeth::Peer(other))),
        ]));
        self.ask(
            RouteNetlinkMessage::NewLink(message),
            NLM_F_CREATE | NLM_F_EXCL,
        )
    }

    /// Gives an interface an address, usable at once: without duplicate address detection.
    pub(super) fn address(&self, name: &str, address: IpAddr, prefix_len: u8) -> io::Result<()> {
        let mut message = AddressMessage::default();
        message.header.family = family(address);
        message.header.prefix_len = prefix_len;
        message.header.index = if_nametoindex(name)?;
        message.header.flags = AddressHeaderFlags::Nodad;
        message.attributes = vec![
            AddressAttribute::Local(address),
            AddressAttribute::Address(address),
        ];
        self.ask(
            RouteNetlinkMessage::NewAddress(message),
            NLM_F_CREATE | NLM_F_EXCL,
        )
    }

    /// Routes a prefix by a gateway.
    pub(super) fn route(&self, prefix: IpAddr, prefix_len: u8, gateway: IpAddr) -> io::Result<()> {
        let mut message = RouteMessage::default();
        message.header.address_family = family(prefix);
        message.header.destination_prefix_length = prefix_len;
        message.header.table = RouteHeader::RT_TABLE_MAIN;
        message.header.protocol = RouteProtocol::Static;
        message.header.scope = RouteScope::Universe;
        message.header.kind = RouteType::Unicast;
        message.attributes = vec![
            RouteAttribute::Destination(route_address(prefix)),
            RouteAttribute::Gateway(route_address(gateway)),
        ];
        self.ask(
            RouteNetlinkMessage::NewRoute(message),
            NLM_F_CREATE | NLM_F_EXCL,
        )
    }

    /// Sends a request and waits for the kernel's yes or no.
    fn ask(&self, message: RouteNetlinkMessage, flags: u16) -> io::Result<()> {
        let mut header = NetlinkHeader::default();
        header.flags = NLM_F_REQUEST | NLM_F_ACK | flags;
        let mut request = NetlinkMessage::new(header, NetlinkPayload::from(message));
        request.finalize();
        let mut octets = vec![0; request.buffer_len()];
        request.serialize(&mut octets);
        self.0.send(&octets, 0)?;
        let (reply, _) = self.0.recv_from_full()?;
        let reply =
            NetlinkMessage::<RouteNetlinkMessage>::deserialize(&reply).map_err(io::Error::other)?;
        match reply.payload {
            NetlinkPayload::Error(error) if error.code.is_some() => Err(error.to_io()),
            _ => Ok(()),
        }
    }
}

const fn family(address: IpAddr) -> AddressFamily {
    match address {
        IpAddr::V4(_) => AddressFamily::Inet,
        IpAddr::V6(_) => AddressFamily::Inet6,
    }
}

const fn route_address(address: IpAddr) -> RouteAddress {
    match address {
        IpAddr::V4(address) => RouteAddress::Inet(address),
        IpAddr::V6(address) => RouteAddress::Inet6(address),
    }
}
