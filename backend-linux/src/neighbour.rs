//! The state of a next hop on its link, as the kernel tells it by rtnetlink: whether it is still being asked for (ARP, Neighbor
//! Discovery), or didn't answer.
//!
//! It is a nicety: where the kernel refuses a question, nothing is known.

use crate::interface;
use crate::netlink::{Answer, Netlink, Question};
use crate::socket::Options;
use hopshot_core::Instant;
use hopshot_core::wire::Version;
use rustix::net::AddressFamily;
use std::net::IpAddr;
use std::time::Duration;

/// The kernel asks for a neighbour three times, a second apart, and then says that nobody is there.
const LONGEST: Duration = Duration::from_millis(3_600);
/// After this time two of three questions have gone without an answer.
const DOUBTFUL: Duration = Duration::from_secs(2);
/// Between two looks at an entry.
const LOOK: Duration = Duration::from_millis(50);

/// The numbers of <linux/rtnetlink.h> and <linux/neighbour.h>.
const RTM_NEWROUTE: u16 = 24;
const RTM_GETROUTE: u16 = 26;
const RTM_NEWNEIGH: u16 = 28;
const RTM_GETNEIGH: u16 = 30;
const RTA_DST: u16 = 1;
const RTA_SRC: u16 = 2;
const RTA_OIF: u16 = 4;
const RTA_GATEWAY: u16 = 5;
const RTA_MARK: u16 = 16;
const RTA_VIA: u16 = 18;
const RTA_IP_PROTO: u16 = 27;
/// The place of the type of a route in `rtmsg`, and that of this machine's own addresses.
const RTM_TYPE: usize = 7;
const RTN_LOCAL: u8 = 2;
const NDA_DST: u16 = 1;
const NUD_INCOMPLETE: u16 = 1;
const NUD_FAILED: u16 = 0x20;

/// The length of both `rtmsg` and `ndmsg`.
const BODY: usize = 12;

/// A socket for questions about routes and neighbours.
#[derive(Debug)]
pub(crate) struct Neighbours {
    netlink: Option<Netlink>,
    interface: Option<u32>,
    mark: Option<u32>,
}

/// The state of a next hop.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Neighbour {
    /// It is being asked for, and has not answered.
    Sought,
    /// It did not answer.
    Missing,
    /// It is known, or there is none, or the kernel doesn't tell.
    Other,
}

/// How long a trace that has heard nothing waits for the kernel to find out.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Patience {
    /// Until the kernel's verdict.
    Verdict,
    /// No longer than its timeout, which somebody chose.
    Timeout,
    /// No longer than its timeout, since others wait for its place: a neighbour that has left two questions without an answer
    /// is taken for missing.
    Doubt,
}

/// The meaning of a neighbour's state for a trace that has heard nothing in time.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Verdict {
    /// The kernel is about to tell: look again then.
    Pending(Instant),
    /// Nobody is there.
    Unreachable,
    /// Nobody is there, and it is the gateway: what is behind it can't be reached either.
    NoGateway,
    /// It isn't to blame.
    Innocent,
}

impl Neighbours {
    /// Opens the socket; the options are those that packets are sent with.
    pub(crate) fn open(options: &Options) -> Self {
        let interface = options.interface.as_ref().and_then(|name| interface::find(name));
        Self { interface: interface.map(|found| found.number), mark: options.mark, netlink: Netlink::open() }
    }

    /// Judges why a trace has heard nothing since its first probe left.
    pub(crate) fn judge(&self, way: Way, left: Instant, now: Instant, patience: Patience) -> Verdict {
        let waited = now.saturating_since(left);
        let Some((interface, next_hop)) = self.next_hop(way) else { return Verdict::Innocent };
        let missing = if next_hop == way.target { Verdict::Unreachable } else { Verdict::NoGateway };
        match (self.state(interface, next_hop), patience) {
            (Neighbour::Missing, _) => missing,
            (Neighbour::Sought, Patience::Verdict) if waited < LONGEST => Verdict::Pending(now.saturating_add(LOOK)),
            (Neighbour::Sought, Patience::Doubt) if waited >= DOUBTFUL => missing,
            _ => Verdict::Innocent,
        }
    }

    /// Returns whether packets to a target go to a gateway.
    pub(crate) fn is_behind_gateway(&self, way: Way) -> bool {
        self.next_hop(way).is_some_and(|(_, next_hop)| next_hop != way.target)
    }

    fn state(&self, interface: u32, next_hop: IpAddr) -> Neighbour {
        match self.entry(interface, next_hop) {
            Some(state) if state & NUD_INCOMPLETE != 0 => Neighbour::Sought,
            Some(state) if state & NUD_FAILED != 0 => Neighbour::Missing,
            _ => Neighbour::Other,
        }
    }

    /// Returns whether an address is one of this machine's. In a VRF only its own interfaces know.
    pub(crate) fn is_own(&self, address: IpAddr) -> bool {
        let interfaces = [None, self.interface];
        let routes = interfaces.into_iter().filter_map(|interface| self.route(address, None, interface));
        routes.into_iter().any(|route| route.body(RTM_TYPE) == Some([RTN_LOCAL]))
    }

    /// The interface that packets leave by, and the neighbour that they go to.
    fn next_hop(&self, way: Way) -> Option<(u32, IpAddr)> {
        let scope = (way.scope_id != 0).then_some(way.scope_id);
        // A source of the kernel's own choice is the same one again.
        let answer = self.route(way.target, Some(way.source), scope.or(self.interface))?;
        let interface = u32::from_ne_bytes(answer.attribute(RTA_OIF)?.try_into().ok()?);
        let gateway = answer.attribute(RTA_GATEWAY).and_then(address);
        // A gateway of the other family stands behind the number of its own.
        let other = || answer.attribute(RTA_VIA).and_then(|via| address(via.get(2..)?));
        Some((interface, gateway.or_else(other).unwrap_or(way.target)))
    }

    /// The route of packets to a target, as the kernel tells it.
    fn route(&self, target: IpAddr, source: Option<IpAddr>, interface: Option<u32>) -> Option<Answer<BODY>> {
        let (family, protocol) = match Version::of(target) {
            Version::V4 => (AddressFamily::INET, 1_u8),
            Version::V6 => (AddressFamily::INET6, 58),
        };
        let mut body = [0; BODY];
        (body[0], body[1], body[2]) = (family.as_raw() as u8, bits(target), source.map_or(0, bits));
        let mut question = Question::new(RTM_GETROUTE, body);
        question.add(RTA_DST, &octets(target));
        if let Some(source) = source {
            question.add(RTA_SRC, &octets(source));
        }
        question.add(RTA_IP_PROTO, &[protocol]);
        if let Some(interface) = interface {
            question.add(RTA_OIF, &interface.to_ne_bytes());
        }
        if let Some(mark) = self.mark {
            question.add(RTA_MARK, &mark.to_ne_bytes());
        }
        self.netlink.as_ref()?.ask(question, RTM_NEWROUTE)
    }

    /// The state of a neighbour's entry, if there is one.
    fn entry(&self, interface: u32, neighbour: IpAddr) -> Option<u16> {
        let family = if neighbour.is_ipv4() { AddressFamily::INET } else { AddressFamily::INET6 };
        let mut body = [0; BODY];
        body[0] = family.as_raw() as u8;
        body[4..8].copy_from_slice(&interface.to_ne_bytes());
        let mut question = Question::new(RTM_GETNEIGH, body);
        question.add(NDA_DST, &octets(neighbour));
        let answer = self.netlink.as_ref()?.ask(question, RTM_NEWNEIGH)?;
        answer.body(8).map(u16::from_ne_bytes)
    }
}

/// The way that probes take.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Way {
    pub(crate) source: IpAddr,
    pub(crate) target: IpAddr,
    /// The interface that a link-local target belongs to, else 0.
    pub(crate) scope_id: u32,
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

    /// Neighbours that are dead and such that are known: on the link, behind a gateway, and behind one of the other family.
    const LINK: &str = "
        ip link add near type veth peer name far; ip link set near up; ip link set far up
        ip address add 192.0.2.1/24 dev near; ip address add 2001:db8::1/64 dev near nodad
        ip neighbour add 192.0.2.2 lladdr 02:00:00:00:00:02 dev near nud permanent
        ip neighbour add 2001:db8::2 lladdr 02:00:00:00:00:02 dev near nud permanent
        ip route add 198.51.100.0/24 via 192.0.2.99; ip route add 2001:db8:1::/64 via 2001:db8::99
        ip route add 203.0.113.0/24 via inet6 2001:db8::98 dev near";

    #[test]
    fn a_neighbour_is_sought_and_then_missing_whatever_leads_to_it() {
        in_namespace("neighbour::tests::a_neighbour_is_sought_and_then_missing_whatever_leads_to_it", LINK, || {
            let neighbours = Neighbours::open(&Options::default());
            let state = |target: &str| {
                let target: IpAddr = target.parse().unwrap();
                let source = if target.is_ipv4() { "192.0.2.1" } else { "2001:db8::1" }.parse().unwrap();
                let (interface, next_hop) = neighbours.next_hop(Way { source, target, scope_id: 0 }).unwrap();
                neighbours.state(interface, next_hop)
            };
            let dead = ["192.0.2.97", "198.51.100.1", "203.0.113.1", "2001:db8::97", "2001:db8:1::1"];
            for target in dead {
                assert_eq!(state(target), Neighbour::Other, "{target}: nobody has asked for it");
                let socket = UdpSocket::bind(if target.contains(':') { "[::]:0" } else { "0.0.0.0:0" }).unwrap();
                socket.send_to(&[0], (target.parse::<IpAddr>().unwrap(), 9)).unwrap();
                assert_eq!(state(target), Neighbour::Sought, "{target}");
            }
            for target in ["192.0.2.2", "2001:db8::2", "127.0.0.1", "192.0.2.1", "::1"] {
                assert_eq!(state(target), Neighbour::Other, "{target}");
            }
            std::thread::sleep(LONGEST);
            for target in dead {
                assert_eq!(state(target), Neighbour::Missing, "{target}");
            }
        });
    }

    #[test]
    fn an_address_of_this_machine_is_known_whichever_it_is() {
        const SETUP: &str = "
            ip link add near type veth peer name far; ip link set near up; ip link set far up; ip link set lo up
            ip address add 192.0.2.1/24 dev near; ip address add 192.0.2.9/24 dev near
            ip address add 2001:db8::1/64 dev near nodad; ip address add 2001:db8::9/64 dev near nodad
            ip address add 198.51.100.1/24 dev far; ip address add 2001:db8:1::1/64 dev far nodad
            ip route add 203.0.113.0/24 via 192.0.2.99; ip route add unreachable 203.0.114.0/24";
        in_namespace("neighbour::tests::an_address_of_this_machine_is_known_whichever_it_is", SETUP, || {
            for interface in [None, Some("near".to_owned())] {
                let neighbours = Neighbours::open(&Options { interface, ..Options::default() });
                let is_own = |address: &&str| neighbours.is_own(address.parse().unwrap());
                let own = "192.0.2.1 192.0.2.9 198.51.100.1 127.0.0.1 2001:db8::1 2001:db8::9 2001:db8:1::1 ::1";
                assert_eq!(own.split(' ').filter(|address| !is_own(address)).count(), 0);
                let others = "192.0.2.2 198.51.100.2 203.0.113.1 203.0.114.1 8.8.8.8 2001:db8::2 2001:db8:2::1";
                assert_eq!(others.split(' ').filter(is_own).count(), 0);
            }
            // Also one that has come or gone since.
            let neighbours = Neighbours::open(&Options::default());
            let ip = |what: &str| {
                let run = Command::new("ip").args(["address", what, "192.0.2.17/24", "dev", "near"]).status();
                assert!(run.unwrap().success());
                neighbours.is_own([192, 0, 2, 17].into())
            };
            assert!(ip("add") && !ip("del"));
        });
    }

    #[test]
    fn where_the_kernel_is_not_asked_nobody_is_to_blame() {
        let neighbours = Neighbours { netlink: None, interface: None, mark: None };
        let way = Way { source: [192, 0, 2, 1].into(), target: [192, 0, 2, 2].into(), scope_id: 0 };
        assert_eq!(neighbours.judge(way, Instant::EPOCH, Instant::EPOCH, Patience::Verdict), Verdict::Innocent);
        assert!(!neighbours.is_own(way.source));
    }
}
