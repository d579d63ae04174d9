//! A router's entry in a scenario: what it is like, where it differs from the others.

use crate::transport::Protocol;
use hopshot_core::wire::AddressFamily;
use serde::Deserialize;
use std::net::{Ipv4Addr, Ipv6Addr};

/// One or more routers that differ from the others. In a diamond it is the main branch's router
/// that is meant.
#[derive(Clone, Debug, Default, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct Hop {
    /// At which hop, or at which hops.
    pub at: Places,
    /// Its IPv4 address, in place of the generated one.
    pub v4: Option<Ipv4Addr>,
    /// Its IPv6 address.
    pub v6: Option<Ipv6Addr>,
    /// Its name.
    pub name: Option<String>,
    /// The round trip to it.
    pub rtt_ms: Option<f64>,
    /// How much longer its control plane takes for an answer; what it forwards is not delayed.
    pub slow_ms: f64,
    /// The protocols of the probes that it takes longer for. Left out: all.
    pub slow_for: Vec<Protocol>,
    /// Its own jitter.
    pub jitter_ms: Option<f64>,
    /// The share of its answers that get lost, beside what the path loses.
    pub loss: f64,
    /// It never answers.
    pub silent: bool,
    /// How many errors it sends.
    pub limit: Option<Limit>,
    /// How many octets after the IP header it quotes.
    pub quote: Option<usize>,
    /// So many copies follow each of its answers.
    pub duplicates: Option<u8>,
    /// It doesn't forward, and says so.
    pub unreachable: Option<Unreachable>,
    /// The link that leads on from it, if that carries only small packets.
    pub link: Option<Link>,
    /// The code of its Time Exceeded; anything but 0 is no hop.
    pub code: u8,
    /// Its errors come from the target's address: a gateway that translates addresses is in front
    /// of it.
    pub dnat: bool,
    /// What a translator between here and the client has changed in the quote, and not changed
    /// back.
    pub nat: Vec<Nat>,
    /// The hop limit that the quote shows, in place of 1.
    pub quoted_hop_limit: Option<u8>,
    /// The label stack that it reports (RFC 4950).
    pub mpls: Vec<Label>,
    /// The interface that it reports (RFC 5837).
    pub interface: Option<Interface>,
    /// It reports its own name and address (node identification, class 5).
    pub node: Option<String>,
    /// What it appends has a checksum of zero: not computed.
    pub unsummed: bool,
    /// Its errors don't say where what is appended begins, as before RFC 4884.
    pub unsaid: bool,
    /// The ICMP checksum of its answers is wrong.
    pub bad_checksum: bool,
    /// A firewall: no probes of these protocols get past it.
    pub drops: Vec<Protocol>,
    /// A firewall: no probes of these protocols get past it, and it says so.
    pub forbids: Vec<Protocol>,
    /// It loses some of what it should forward.
    pub loses: Option<Loses>,
    /// A firewall: of a connection only the first SYN ever gets past it.
    pub first_syn_only: bool,
    /// So much is added to the sequence number of a TCP segment that passes. What the target
    /// acknowledges is changed back; quotes from behind are not.
    pub rewrites_seq: Option<u32>,
    /// The MSS of a SYN that passes is no greater than this.
    pub clamps_mss: Option<u16>,
    /// The source port of what passes is translated, and that of answers back again.
    pub port_nat: Option<PortNat>,
}

impl Hop {
    /// Whether nothing that it sends can be taken for an answer to a probe.
    pub(crate) fn is_mute(&self) -> bool {
        self.silent || self.bad_checksum || self.quote.is_some_and(|quote| quote < 8)
    }
}

/// What a router loses of what it should forward.
#[derive(Clone, Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Loses {
    /// Packets of these protocols.
    pub of: Vec<Protocol>,
    /// The share of them.
    pub share: f64,
}

/// How much longer an answer to a protocol takes.
pub(crate) fn slow_ms(slow_ms: f64, slow_for: &[Protocol], protocol: Protocol) -> f64 {
    match slow_for.is_empty() || slow_for.contains(&protocol) {
        true => slow_ms,
        false => 0.0,
    }
}

/// The number of a hop, or several.
#[derive(Clone, Debug, Deserialize)]
#[serde(untagged)]
pub enum Places {
    /// One.
    One(u8),
    /// Several.
    Many(Vec<u8>),
}

impl Default for Places {
    fn default() -> Self {
        Self::Many(Vec::new())
    }
}

impl Places {
    /// The numbers as a slice.
    #[must_use]
    pub fn as_slice(&self) -> &[u8] {
        match self {
            Self::One(place) => core::slice::from_ref(place),
            Self::Many(places) => places,
        }
    }
}

/// A token bucket.
#[derive(Clone, Copy, Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Limit {
    /// How many answers may leave back to back.
    pub burst: f64,
    /// How many tokens come back each second.
    pub per_second: Rate,
}

/// A rate for both families, or one for each.
#[derive(Clone, Copy, Debug, Deserialize)]
#[serde(untagged)]
pub enum Rate {
    /// The same for both.
    Same(f64),
    /// Linux answers more often in IPv6 than in IPv4.
    Each {
        /// In IPv4.
        v4: f64,
        /// In IPv6.
        v6: f64,
    },
}

/// A router that answers with an error of another kind instead of forwarding.
#[derive(Clone, Copy, Debug, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct Unreachable {
    /// In IPv4; host unreachable unless given.
    pub v4: ErrorKind,
    /// In IPv6; address unreachable unless given.
    pub v6: ErrorKind,
    /// Only to packets that were sent with at least this hop limit. Left out: to every packet that
    /// comes here.
    pub from: u8,
    /// Only to packets that were sent with at most this hop limit; others pass.
    pub to: u8,
    /// Octets 4 to 7 of the message, for instance an MTU.
    pub rest: u32,
}

/// A link that carries packets up to a size. A larger one is too big there if it may not be
/// fragmented: in IPv4 if it says so, in IPv6 always. What may be fragmented passes as it is.
#[derive(Clone, Copy, Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Link {
    /// The greatest packet that passes, in octets.
    pub mtu: u16,
    /// The MTU that the router names, in place of the true one.
    pub says: Option<Says>,
    /// The router drops what is too big without a word.
    #[serde(default)]
    pub silent: bool,
}

/// An MTU that a router names, and that isn't true.
#[derive(Clone, Copy, Debug, Deserialize)]
#[serde(untagged)]
pub enum Says {
    /// Always this: 0 is that of a router older than RFC 1191.
    Mtu(u16),
    /// Made of the packet.
    Made(Made),
}

/// How a router makes up an MTU.
#[derive(Clone, Copy, Debug, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Made {
    /// One octet less than the packet has.
    OneLess,
    /// Less than the packet has, and something else for each.
    Any,
}

impl Says {
    /// The MTU that is named for a packet of so many octets, which is like no other by a number.
    pub(crate) fn mtu(self, octets: usize, number: u16) -> u16 {
        let octets = u16::try_from(octets).unwrap_or(u16::MAX);
        match self {
            Self::Mtu(mtu) => mtu,
            Self::Made(Made::OneLess) => octets.saturating_sub(1),
            Self::Made(Made::Any) => number.wrapping_mul(40_503) % octets.max(1),
        }
    }
}

/// An ICMP type and code.
#[derive(Clone, Copy, Debug, Deserialize)]
#[serde(from = "[u8; 2]")]
pub struct ErrorKind {
    /// The type's number.
    pub icmp_type: u8,
    /// The code.
    pub code: u8,
}

/// The error about what is forbidden: communication administratively prohibited (RFC 1812, section
/// 5.2.7.1; RFC 4443, section 3.1).
pub(crate) const fn prohibited(family: AddressFamily) -> ErrorKind {
    let (icmp_type, code) = match family {
        AddressFamily::V4 => (3, 13),
        AddressFamily::V6 => (1, 1),
    };
    ErrorKind { icmp_type, code }
}

impl From<[u8; 2]> for ErrorKind {
    fn from([icmp_type, code]: [u8; 2]) -> Self {
        Self { icmp_type, code }
    }
}

impl Default for Unreachable {
    fn default() -> Self {
        Self {
            v4: [3, 1].into(),
            v6: [1, 3].into(),
            from: 0,
            to: u8::MAX,
            rest: 0,
        }
    }
}

/// What a translator leaves changed in a quote.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Nat {
    /// The source: the client's address outside.
    Source,
    /// The destination: the target's address inside.
    Destination,
    /// The source port of TCP and UDP.
    Port,
    /// The ident of ICMP, and with it the checksum.
    Ident,
    /// The checksum alone.
    Checksum,
}

/// A translator of ports.
#[derive(Clone, Copy, Debug, Default, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct PortNat {
    /// It doesn't translate quotes back.
    pub leaves_quotes: bool,
}

/// An MPLS label stack entry (RFC 3032).
#[derive(Clone, Copy, Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Label {
    /// The label, 20 bits.
    pub label: u32,
    /// The traffic class, 3 bits.
    #[serde(default)]
    pub tc: u8,
    /// The TTL.
    #[serde(default = "one")]
    pub ttl: u8,
}

const fn one() -> u8 {
    1
}

/// The interface a packet came in by (RFC 5837): index, name and MTU; its address is the router's
/// own.
#[derive(Clone, Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Interface {
    /// The interface's index.
    pub index: u32,
    /// The interface's name.
    pub name: String,
    /// Its MTU.
    pub mtu: u32,
}
