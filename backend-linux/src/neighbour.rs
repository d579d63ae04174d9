//! The state of a next hop on its link, as the kernel tells it by rtnetlink: whether it is still
//! being asked for (ARP, Neighbor Discovery), or didn't answer.
//!
//! It is a nicety: where the kernel refuses a question, nothing is known.

use crate::interface;
use crate::netlink::{self, Answer, Netlink, Question};
use crate::socket::Options;
use hopshot_core::wire::AddressFamily;
use hopshot_engine::link::{Neighbour, NextHop, Way};
use rustix::io::Errno;
use rustix::net::AddressFamily as Domain;
use std::fs;
use std::net::IpAddr;

/// The numbers of <linux/rtnetlink.h> and <linux/neighbour.h>.
const RTM_NEWROUTE: u16 = 24;
const RTM_GETROUTE: u16 = 26;
const RTM_NEWNEIGH: u16 = 28;
const RTM_GETNEIGH: u16 = 30;
const RTA_DST: u16 = 1;
const RTA_SRC: u16 = 2;
const RTA_OIF: u16 = 4;
const RTA_GATEWAY: u16 = 5;
const RTA_MULTIPATH: u16 = 9;
const RTA_MARK: u16 = 16;
const RTA_VIA: u16 = 18;
const RTA_UID: u16 = 25;
const RTA_IP_PROTO: u16 = 27;
const RTA_DPORT: u16 = 29;
/// Asks for the route as it is in the table, with all its next hops. Linux 4.13.
const RTM_F_FIB_MATCH: u32 = 0x2000;
/// The length of `rtnexthop`, and the flags of one that isn't used: dead, or without a carrier.
const NEXT_HOP: usize = 8;
const RTNH_UNUSED: u8 = 1 | 16;
/// The place of the type of a route in `rtmsg`, and that of this machine's own addresses.
const RTM_TYPE: usize = 7;
const RTN_LOCAL: u8 = 2;
const NDA_DST: u16 = 1;
const NUD_INCOMPLETE: u16 = 1;
const NUD_FAILED: u16 = 0x20;

/// ECN, which no rule of routing may ask for (RFC 3168, section 5).
const ECN: u8 = 3;

/// The length of both `rtmsg` and `ndmsg`.
const BODY: usize = 12;

/// A socket for questions about routes and neighbours, with what the kernel knew of a socket when
/// it looked up the route of a probe.
#[derive(Debug)]
pub(crate) struct Neighbours {
    netlink: Result<Netlink, Errno>,
    interface: Option<u32>,
    mark: Option<u32>,
    /// The source, if the sockets are bound to one. Else there was none yet when the kernel chose
    /// among next hops.
    source: Option<IpAddr>,
    traffic_class: u8,
    /// The user that opened the sockets, whom they belong to for good.
    user: u32,
    /// Whether the kernel chooses among next hops in IPv4 by more than the addresses. Its answers
    /// then take ports for none, and its probes have their ICMP type instead.
    hashes_ports: bool,
}

/// Reads the state of an entry.
const fn state_of(entry: Option<u16>) -> Neighbour {
    match entry {
        Some(state) if state & NUD_INCOMPLETE != 0 => Neighbour::Sought,
        Some(state) if state & NUD_FAILED != 0 => Neighbour::Missing,
        Some(_) => Neighbour::Other,
        None => Neighbour::Unknown,
    }
}

/// A next hop: the first that packets go to.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
struct Chosen {
    interface: u32,
    address: IpAddr,
}

impl Neighbours {
    /// Opens the socket; the options are those that packets are sent with, by sockets that this
    /// user opens now.
    pub(crate) fn open(options: &Options) -> Self {
        let interface = options
            .interface
            .as_ref()
            .and_then(|name| interface::find(name));
        // Unreadable: as most machines have it.
        let policy =
            fs::read_to_string("/proc/sys/net/ipv4/fib_multipath_hash_policy").unwrap_or_default();
        Self {
            netlink: Netlink::open(),
            interface: interface.map(|found| found.number),
            mark: options.mark,
            source: options.source,
            traffic_class: options.traffic_class.unwrap_or(0),
            user: rustix::process::geteuid().as_raw(),
            // 0 and 2 are by the addresses alone.
            hashes_ports: matches!(policy.trim(), "1" | "3"),
        }
    }

    /// Returns why the kernel can't be asked, if that is so.
    pub(crate) fn refused(&self) -> Option<Errno> {
        self.netlink.as_ref().err().copied()
    }

    /// Returns the next hop of probes, and whether it answers on its link.
    pub(crate) fn next_hop(&self, way: Way) -> Option<NextHop> {
        let chosen = self.chosen(way)?;
        Some(NextHop {
            is_gateway: chosen.address != way.target,
            neighbour: self.state(way, chosen),
        })
    }

    /// The state of the next hop that probes went to, which the kernel would choose now. With
    /// several, they may have gone to another one: because the choice can't be asked for, or has
    /// changed since, as the kernel passes over those that don't answer. Then all that were asked
    /// for must be away; whoever has no entry was sent nothing.
    fn state(&self, way: Way, chosen: Chosen) -> Neighbour {
        let entry = self.entry(chosen);
        let is_certain = entry.is_some() && (way.target.is_ipv6() || !self.hashes_ports);
        if is_certain {
            return state_of(entry);
        }
        let mut all = state_of(entry);
        for next_hop in self.next_hops(way) {
            all = match (state_of(self.entry(next_hop)), all) {
                (Neighbour::Other, _) | (_, Neighbour::Other) => return Neighbour::Other,
                (Neighbour::Sought, _) | (_, Neighbour::Sought) => Neighbour::Sought,
                (Neighbour::Missing, _) | (_, Neighbour::Missing) => Neighbour::Missing,
                (Neighbour::Unknown, Neighbour::Unknown) => Neighbour::Unknown,
            };
        }
        all
    }

    /// The next hop that the kernel chooses for a probe.
    fn chosen(&self, way: Way) -> Option<Chosen> {
        let answer = self.route(way, 0)?;
        let interface = u32::from_ne_bytes(answer.attribute(RTA_OIF)?.try_into().ok()?);
        let address = gateway(|name| answer.attribute(name)).unwrap_or(way.target);
        Some(Chosen { interface, address })
    }

    /// All next hops that the kernel chooses among for probes; none if it doesn't choose.
    fn next_hops(&self, way: Way) -> Vec<Chosen> {
        let Some(answer) = self.route(way, RTM_F_FIB_MATCH) else {
            return Vec::new();
        };
        let mut rest = answer.attribute(RTA_MULTIPATH).unwrap_or_default();
        let mut next_hops = Vec::new();
        while let Some((header, _)) = rest.split_first_chunk::<NEXT_HOP>() {
            let [len_0, len_1, flags, _, interface @ ..] = *header;
            let len = usize::from(u16::from_ne_bytes([len_0, len_1]));
            let Some(attributes) = rest.get(NEXT_HOP..len) else {
                break;
            };
            if flags & RTNH_UNUSED == 0 {
                let address =
                    gateway(|name| netlink::attribute(attributes, name)).unwrap_or(way.target);
                next_hops.push(Chosen {
                    interface: u32::from_ne_bytes(interface),
                    address,
                });
            }
            rest = rest.get(len.next_multiple_of(4)..).unwrap_or_default();
        }
        next_hops
    }

    /// Asks for the route of a probe, as the kernel did when it was sent.
    fn route(&self, way: Way, flags: u32) -> Option<Answer<BODY>> {
        let source = self
            .source
            .filter(|source| source.is_ipv4() == way.target.is_ipv4());
        // A route for some sources alone is found only with the source: then the kernel asks twice.
        self.route_from(way, source, flags)
            .or_else(|| self.route_from(way, Some(way.source), flags))
    }

    fn route_from(&self, way: Way, source: Option<IpAddr>, flags: u32) -> Option<Answer<BODY>> {
        let (family, protocol, echo) = match AddressFamily::of(way.target) {
            AddressFamily::V4 => (Domain::INET, 1_u8, 8),
            AddressFamily::V6 => (Domain::INET6, 58, 128),
        };
        let mut body = [0; BODY];
        (body[0], body[1], body[3]) = (
            family.as_raw() as u8,
            bits(way.target),
            self.traffic_class & !ECN,
        );
        body[2] = source.map_or(0, bits);
        body[8..].copy_from_slice(&flags.to_ne_bytes());
        let mut question = Question::new(RTM_GETROUTE, body);
        question.add(RTA_DST, &octets(way.target));
        if let Some(source) = source {
            question.add(RTA_SRC, &octets(source));
        }
        question.add(RTA_IP_PROTO, &[protocol]);
        // The kernel keeps the ICMP type and code where the destination port of others is.
        question.add(RTA_DPORT, &[echo, 0]);
        question.add(RTA_UID, &self.user.to_ne_bytes());
        let scope = (way.scope_id != 0).then_some(way.scope_id);
        if let Some(interface) = scope.or(self.interface) {
            question.add(RTA_OIF, &interface.to_ne_bytes());
        }
        if let Some(mark) = self.mark {
            question.add(RTA_MARK, &mark.to_ne_bytes());
        }
        self.netlink.as_ref().ok()?.ask(question, RTM_NEWROUTE)
    }

    /// Returns whether an address is one of this machine's. In a VRF only its own interfaces know.
    pub(crate) fn is_own(&self, address: IpAddr) -> bool {
        let interfaces = [None, self.interface];
        let is_own = |interface: Option<u32>| {
            let mut body = [0; BODY];
            let family = if address.is_ipv4() {
                Domain::INET
            } else {
                Domain::INET6
            };
            (body[0], body[1]) = (family.as_raw() as u8, bits(address));
            let mut question = Question::new(RTM_GETROUTE, body);
            question.add(RTA_DST, &octets(address));
            if let Some(interface) = interface {
                question.add(RTA_OIF, &interface.to_ne_bytes());
            }
            let route = self
                .netlink
                .as_ref()
                .ok()
                .and_then(|netlink| netlink.ask(question, RTM_NEWROUTE));
            route.is_some_and(|route: Answer<BODY>| route.body(RTM_TYPE) == Some([RTN_LOCAL]))
        };
        interfaces.into_iter().any(is_own)
    }

    /// The state of a neighbour's entry, if there is one.
    fn entry(&self, Chosen { interface, address }: Chosen) -> Option<u16> {
        let family = if address.is_ipv4() {
            Domain::INET
        } else {
            Domain::INET6
        };
        let mut body = [0; BODY];
        body[0] = family.as_raw() as u8;
        body[4..8].copy_from_slice(&interface.to_ne_bytes());
        let mut question = Question::new(RTM_GETNEIGH, body);
        question.add(NDA_DST, &octets(address));
        let answer = self.netlink.as_ref().ok()?.ask(question, RTM_NEWNEIGH)?;
        answer.body(8).map(u16::from_ne_bytes)
    }
}

/// The gateway that attributes name. One of the other family stands behind the number of its own.
fn gateway<'a>(attribute: impl Fn(u16) -> Option<&'a [u8]>) -> Option<IpAddr> {
    let other = || attribute(RTA_VIA).and_then(|via| address(via.get(2..)?));
    attribute(RTA_GATEWAY).and_then(address).or_else(other)
}

fn address(octets: &[u8]) -> Option<IpAddr> {
    let v4 = || Some(IpAddr::from(<[u8; 4]>::try_from(octets).ok()?));
    let v6 = || Some(IpAddr::from(<[u8; 16]>::try_from(octets).ok()?));
    v4().or_else(v6)
}

fn octets(address: IpAddr) -> Vec<u8> {
    match address {
        IpAddr::V4(address) => address.octets().to_vec(),
        IpAddr::V6(address) => address.octets().to_vec(),
    }
}

const fn bits(address: IpAddr) -> u8 {
    if address.is_ipv4() { 32 } else { 128 }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::namespace::in_namespace;
    use std::net::UdpSocket;
    use std::process::Command;
    use std::time::Duration;

    /// Neighbours that are dead and such that are known: on the link, behind a gateway, and behind
    /// one of the other family.
    const LINK: &str = "
        ip link add near type veth peer name far; ip link set near up; ip link set far up
        ip address add 192.0.2.1/24 dev near; ip address add 2001:db8::1/64 dev near nodad
        ip neighbour add 192.0.2.2 lladdr 02:00:00:00:00:02 dev near nud permanent
        ip neighbour add 2001:db8::2 lladdr 02:00:00:00:00:02 dev near nud permanent
        ip route add 198.51.100.0/24 via 192.0.2.99; ip route add 2001:db8:1::/64 via 2001:db8::99
        ip route add 203.0.113.0/24 via inet6 2001:db8::98 dev near";

    #[test]
    fn a_neighbour_is_sought_and_then_missing_whatever_leads_to_it() {
        in_namespace(
            "neighbour::tests::a_neighbour_is_sought_and_then_missing_whatever_leads_to_it",
            LINK,
            || {
                let neighbours = Neighbours::open(&Options::default());
                let state = |target: &str| {
                    let target: IpAddr = target.parse().unwrap();
                    let source = if target.is_ipv4() {
                        "192.0.2.1"
                    } else {
                        "2001:db8::1"
                    }
                    .parse()
                    .unwrap();
                    let way = Way {
                        source,
                        target,
                        scope_id: 0,
                    };
                    neighbours.next_hop(way).unwrap().neighbour
                };
                let dead = [
                    "192.0.2.97",
                    "198.51.100.1",
                    "203.0.113.1",
                    "2001:db8::97",
                    "2001:db8:1::1",
                ];
                for target in dead {
                    assert_eq!(
                        state(target),
                        Neighbour::Unknown,
                        "{target}: nobody has asked for it"
                    );
                    let socket = UdpSocket::bind(if target.contains(':') {
                        "[::]:0"
                    } else {
                        "0.0.0.0:0"
                    })
                    .unwrap();
                    socket
                        .send_to(&[0], (target.parse::<IpAddr>().unwrap(), 9))
                        .unwrap();
                    assert_eq!(state(target), Neighbour::Sought, "{target}");
                }
                for target in ["192.0.2.2", "2001:db8::2"] {
                    assert_eq!(state(target), Neighbour::Other, "{target}");
                }
                for target in ["127.0.0.1", "192.0.2.1", "::1"] {
                    assert!(
                        matches!(state(target), Neighbour::Other | Neighbour::Unknown),
                        "{target}"
                    );
                }
                // It asks three times, a second apart.
                std::thread::sleep(Duration::from_millis(3_600));
                for target in dead {
                    assert_eq!(state(target), Neighbour::Missing, "{target}");
                }
            },
        );
    }

    #[test]
    fn an_address_of_this_machine_is_known_whichever_it_is() {
        const SETUP: &str = "
            ip link add near type veth peer name far; ip link set near up; ip link set far up; ip link set lo up
            ip address add 192.0.2.1/24 dev near; ip address add 192.0.2.9/24 dev near
            ip address add 2001:db8::1/64 dev near nodad; ip address add 2001:db8::9/64 dev near nodad
            ip address add 198.51.100.1/24 dev far; ip address add 2001:db8:1::1/64 dev far nodad
            ip route add 203.0.113.0/24 via 192.0.2.99; ip route add unreachable 203.0.114.0/24";
        in_namespace(
            "neighbour::tests::an_address_of_this_machine_is_known_whichever_it_is",
            SETUP,
            || {
                for interface in [None, Some("near".to_owned())] {
                    let neighbours = Neighbours::open(&Options {
                        interface,
                        ..Options::default()
                    });
                    let is_own = |address: &&str| neighbours.is_own(address.parse().unwrap());
                    let own = "192.0.2.1 192.0.2.9 198.51.100.1 127.0.0.1 2001:db8::1 2001:db8::9 2001:db8:1::1 ::1";
                    assert_eq!(own.split(' ').filter(|address| !is_own(address)).count(), 0);
                    let others = "192.0.2.2 198.51.100.2 203.0.113.1 203.0.114.1 8.8.8.8 2001:db8::2 2001:db8:2::1";
                    assert_eq!(others.split(' ').filter(is_own).count(), 0);
                }
                // Also one that has come or gone since.
                let neighbours = Neighbours::open(&Options::default());
                let ip = |what: &str| {
                    let run = Command::new("ip")
                        .args(["address", what, "192.0.2.17/24", "dev", "near"])
                        .status();
                    assert!(run.unwrap().success());
                    neighbours.is_own([192, 0, 2, 17].into())
                };
                assert!(ip("add") && !ip("del"));
            },
        );
    }

    #[test]
    fn where_the_kernel_is_not_asked_nobody_is_to_blame() {
        let neighbours = Neighbours {
            netlink: Err(Errno::AFNOSUPPORT),
            ..Neighbours::open(&Options::default())
        };
        let way = Way {
            source: [192, 0, 2, 1].into(),
            target: [192, 0, 2, 2].into(),
            scope_id: 0,
        };
        assert_eq!(neighbours.next_hop(way), None);
        assert!(!neighbours.is_own(way.source));
    }
}
