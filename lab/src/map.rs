//! Where everything is: the routers with their addresses and names, the paths between client and
//! target, and the truth that a trace should find.

use crate::hop::{Hop, Link, Unreachable, prohibited};
use crate::host::{Port, Target};
use crate::scenario::{Diamond, Loop, Scenario};
use crate::transport::Protocol;
use hopshot_core::wire::AddressFamily;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};

/// An address in each family.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Both {
    /// In IPv4.
    pub v4: Ipv4Addr,
    /// In IPv6.
    pub v6: Ipv6Addr,
}

impl Both {
    /// The address in one of them.
    #[must_use]
    pub const fn address(&self, family: AddressFamily) -> IpAddr {
        match family {
            AddressFamily::V4 => IpAddr::V4(self.v4),
            AddressFamily::V6 => IpAddr::V6(self.v6),
        }
    }
}

/// The client's own addresses. What lies under the same [`PREFIX_LEN`] is the simulated internet.
pub const CLIENT: Both = Both {
    v4: Ipv4Addr::new(10, 0, 0, 2),
    v6: Ipv6Addr::new(0x2001, 0xdb8, 0, 0, 0, 0, 0, 2),
};

/// The client's prefixes, IPv4 and IPv6.
pub const PREFIX_LEN: (u8, u8) = (8, 32);

/// The client's address outside, where a translator leaves it in quotes.
pub(crate) const OUTSIDE: Both = Both {
    v4: Ipv4Addr::new(203, 0, 113, 7),
    v6: Ipv6Addr::new(0x2001, 0xdb8, 0xa7, 0, 0, 0, 0, 7),
};

/// The target's address inside, where a translator leaves it in quotes.
pub(crate) const INSIDE: Both = Both {
    v4: Ipv4Addr::new(192, 168, 1, 80),
    v6: Ipv6Addr::new(0xfd00, 0, 0, 0, 0, 0, 0, 0x80),
};

/// What a trace should find.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Truth {
    /// Every path that a packet may take; one where nothing balances load.
    pub paths: Vec<TruePath>,
}

/// One path.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct TruePath {
    /// The address that answers at each hop, from hop 1 to the end (in a loop: the first 255);
    /// `None` where nobody does.
    pub hops: Vec<Option<IpAddr>>,
    /// How it ends.
    pub end: End,
}

/// How a path ends.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum End {
    /// At the target, which answers.
    Target,
    /// At the target, which doesn't answer.
    Silent,
    /// At a router that says "unreachable".
    Unreachable,
    /// At a firewall, which drops without a word.
    Dropped,
    /// Nowhere.
    Loop,
}

impl Truth {
    /// All that may answer at a hop (1-based), without repetition.
    #[must_use]
    pub fn at(&self, hop: u8) -> Vec<Option<IpAddr>> {
        let mut answers = Vec::new();
        for path in &self.paths {
            if let Some(answer) = path.hops.get(usize::from(hop).wrapping_sub(1))
                && !answers.contains(answer)
            {
                answers.push(*answer);
            }
        }
        answers
    }

    /// The target's distance, by the shortest path; `None` if no packet reaches it. A silent target
    /// has a distance.
    #[must_use]
    pub fn distance(&self) -> Option<u8> {
        let reaching = self
            .paths
            .iter()
            .filter(|path| matches!(path.end, End::Target | End::Silent));
        reaching
            .map(|path| u8::try_from(path.hops.len()).unwrap_or(u8::MAX))
            .min()
    }
}

/// A router with its entry in the scenario, or a plain one.
#[derive(Clone, Debug)]
pub(crate) struct Router {
    pub(crate) addresses: Both,
    pub(crate) name: String,
    pub(crate) entry: Hop,
}

/// The routers and the paths.
#[derive(Clone, Debug)]
pub(crate) struct Map {
    pub(crate) routers: Vec<Router>,
    /// Routers by path: the index of a path counts the branches as digits, the first diamond's
    /// lowest.
    pub(crate) paths: Vec<Vec<usize>>,
    pub(crate) diamonds: Vec<Diamond>,
    pub(crate) target: Target,
    cycle: Option<Loop>,
}

/// What is at a place on a path.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Place {
    Router(usize),
    Target,
}

impl Map {
    pub(crate) fn new(scenario: &Scenario) -> Self {
        let mut routers: Vec<Router> = (1..scenario.hops)
            .map(|hop| Router::new(scenario, hop, 0))
            .collect();
        let mut paths = vec![(0..routers.len()).collect::<Vec<_>>()];
        // From the last diamond to the first, so that the places of those before it stay as they
        // are.
        for (number, diamond) in scenario.diamond.iter().enumerate().rev() {
            let main = usize::from(diamond.at) - 1
                ..usize::from(diamond.at) - 1 + usize::from(diamond.lengths[0]);
            let mut branches: Vec<Vec<usize>> = vec![main.clone().collect()];
            for (branch, length) in diamond.lengths.iter().enumerate().skip(1) {
                let start = routers.len();
                let label = u8::try_from(number * 16 + branch).unwrap_or(u8::MAX);
                routers.extend(
                    (0..*length)
                        .map(|step| Router::new(scenario, diamond.at.saturating_add(step), label)),
                );
                branches.push((start..routers.len()).collect());
            }
            let detour = |path: &Vec<usize>, branch: &Vec<usize>| {
                let mut path = path.clone();
                path.splice(main.clone(), branch.iter().copied());
                path
            };
            let all = paths
                .iter()
                .flat_map(|path| branches.iter().map(move |branch| detour(path, branch)))
                .collect();
            paths = all;
        }
        Self {
            routers,
            paths,
            diamonds: scenario.diamond.clone(),
            target: scenario.target.clone(),
            cycle: scenario.cycle,
        }
    }

    /// What a packet with this hop limit reaches on a path, if it isn't stopped before.
    pub(crate) fn place(&self, path: usize, hop_limit: u8) -> Place {
        let index = usize::from(hop_limit.max(1)) - 1;
        if let Some(Loop { from, to }) = self.cycle {
            let (from, to) = (usize::from(from) - 1, usize::from(to) - 1);
            let index = if index < from {
                index
            } else {
                from + (index - from) % (to - from + 1)
            };
            return Place::Router(self.paths[path][index]);
        }
        self.paths[path]
            .get(index)
            .map_or(Place::Target, |router| Place::Router(*router))
    }

    /// The router that stops a packet with this hop limit before it expires, and its place.
    pub(crate) fn barrier(
        &self,
        path: usize,
        hop_limit: u8,
        protocol: Protocol,
    ) -> Option<(u8, usize, Unreachable)> {
        (1..=hop_limit)
            .zip(&self.paths[path])
            .find_map(|(hop, router)| {
                let entry = &self.routers[*router].entry;
                let forbidden = entry.forbids.contains(&protocol).then(|| Unreachable {
                    v4: prohibited(AddressFamily::V4),
                    v6: prohibited(AddressFamily::V6),
                    // What expires there is answered as ever.
                    from: hop + 1,
                    ..Unreachable::default()
                });
                let mut barriers = entry.unreachable.into_iter().chain(forbidden);
                let stops =
                    |barrier: &Unreachable| (barrier.from..=barrier.to).contains(&hop_limit);
                Some((hop, *router, barriers.find(stops)?))
            })
    }

    /// The router whose link onward is too small for a packet of so many octets that expires at
    /// this hop or behind it, and its place.
    pub(crate) fn bottleneck(
        &self,
        path: usize,
        hop_limit: u8,
        octets: usize,
    ) -> Option<(u8, usize, Link)> {
        (1..hop_limit)
            .zip(&self.paths[path])
            .find_map(|(hop, router)| {
                let link = self.routers[*router].entry.link?;
                (octets > link.mtu.into()).then_some((hop, *router, link))
            })
    }

    /// The routers that a packet passes on a path before it gets to a hop.
    pub(crate) fn before(&self, path: usize, hop: u8) -> impl Iterator<Item = usize> + '_ {
        let passed = usize::from(hop).saturating_sub(1);
        self.paths[path].iter().take(passed).copied()
    }

    /// The target's distance on a path; `None` in a loop.
    pub(crate) fn distance(&self, path: usize) -> Option<u8> {
        let routers = u8::try_from(self.paths[path].len()).unwrap_or(u8::MAX);
        self.cycle.is_none().then(|| routers.saturating_add(1))
    }

    pub(crate) fn target_addresses(&self) -> Both {
        Both {
            v4: self.target.v4,
            v6: self.target.v6,
        }
    }

    /// The addresses of one of the hosts at the target's place.
    pub(crate) fn host(&self, number: u32) -> Both {
        let Both { v4, v6 } = self.target_addresses();
        Both {
            v4: Ipv4Addr::from_bits(v4.to_bits().wrapping_add(number)),
            v6: Ipv6Addr::from_bits(v6.to_bits().wrapping_add(number.into())),
        }
    }

    /// Whether this is one of the hosts at the target's place.
    pub(crate) fn is_target(&self, address: IpAddr) -> bool {
        self.target.place(address).is_some()
    }

    /// Where the target's answers come from.
    pub(crate) fn reply_addresses(&self) -> Both {
        Both {
            v4: self.target.reply_v4.unwrap_or(self.target.v4),
            v6: self.target.reply_v6.unwrap_or(self.target.v6),
        }
    }

    /// Where a router's errors come from.
    pub(crate) fn error_addresses(&self, router: usize) -> Both {
        let Router {
            addresses, entry, ..
        } = &self.routers[router];
        if entry.dnat {
            self.target_addresses()
        } else {
            *addresses
        }
    }

    pub(crate) fn truth(&self, family: AddressFamily, protocol: Protocol, port: u16) -> Truth {
        Truth {
            paths: (0..self.paths.len())
                .map(|path| self.true_path(path, family, protocol, port))
                .collect(),
        }
    }

    fn true_path(
        &self,
        path: usize,
        family: AddressFamily,
        protocol: Protocol,
        port: u16,
    ) -> TruePath {
        let mut hops = Vec::new();
        let drops = |router: usize| self.routers[router].entry.drops.contains(&protocol);
        let answerer = |router: usize| self.error_addresses(router).address(family);
        for hop_limit in 1..=u8::MAX {
            let barrier = self
                .barrier(path, hop_limit, protocol)
                .filter(|(hop, ..)| !self.before(path, *hop).any(drops));
            let place = barrier.map_or_else(
                || self.place(path, hop_limit),
                |(_, router, _)| Place::Router(router),
            );
            let is_dropped = barrier.is_none() && self.before(path, hop_limit).any(drops);
            match place {
                Place::Router(router) => {
                    let entry = &self.routers[router].entry;
                    // What can't be told from noise, or isn't an answer to this probe, counts as
                    // silence.
                    let mute = entry.is_mute() || (entry.code != 0 && barrier.is_none());
                    hops.push((!mute && !is_dropped).then(|| answerer(router)));
                    if barrier.is_some_and(|(_, _, barrier)| barrier.to == u8::MAX) {
                        return TruePath {
                            hops,
                            end: End::Unreachable,
                        };
                    }
                }
                Place::Target => {
                    let port = self.target.port(protocol, port);
                    let last = self.paths[path].last().copied();
                    let (answer, end) = match (port, last) {
                        // The last router refuses what it might drop.
                        (Port::Rejected, Some(router))
                            if !self.before(path, hop_limit - 1).any(drops) =>
                        {
                            let mute = self.routers[router].entry.is_mute();
                            ((!mute).then(|| answerer(router)), End::Unreachable)
                        }
                        _ if is_dropped => (None, End::Dropped),
                        (Port::Filtered, _) => (None, End::Silent),
                        _ if self.target.silent => (None, End::Silent),
                        _ => (Some(self.reply_addresses().address(family)), End::Target),
                    };
                    hops.push(answer);
                    return TruePath { hops, end };
                }
            }
        }
        TruePath {
            hops,
            end: End::Loop,
        }
    }
}

impl Router {
    fn new(scenario: &Scenario, hop: u8, branch: u8) -> Self {
        let entry = scenario
            .hop
            .iter()
            .find(|entry| branch == 0 && entry.at.as_slice().contains(&hop));
        let mut entry = entry.cloned().unwrap_or_default();
        entry.limit = entry.limit.or(scenario.limit);
        entry.quote = entry.quote.or(scenario.quote);
        entry.duplicates = entry.duplicates.or(Some(scenario.duplicates));
        let v6 = Ipv6Addr::new(0x2001, 0xdb8, hop.into(), branch.into(), 0, 0, 0, 1);
        Self {
            addresses: Both {
                v4: entry.v4.unwrap_or(Ipv4Addr::new(10, hop, branch, 1)),
                v6: entry.v6.unwrap_or(v6),
            },
            name: entry
                .name
                .clone()
                .unwrap_or_else(|| generated_name(scenario.hops, hop, branch)),
            entry,
        }
    }
}

/// A name such as operators give: what it is, which one, and where.
fn generated_name(hops: u8, hop: u8, branch: u8) -> String {
    const CITIES: [&str; 10] = [
        "ber", "fra", "ams", "lon", "nyc", "chi", "den", "sea", "tyo", "syd",
    ];
    if hop == 1 {
        return "gateway.home.example".to_owned();
    }
    let city = CITIES[usize::from(hop / 2 - 1) % CITIES.len()];
    let role = if hop + 1 == hops { "edge" } else { "core" };
    match branch {
        0 => format!("{role}{hop}.{city}.example"),
        _ => format!("{role}{hop}-{branch}.{city}.example"),
    }
}
