//! Formats on the wire, one module each: [`checksum`], [`icmp`], [`ip`], [`tcp`], [`udp`] and
//! [`extensions`].
//!
//! Everything here is a pure function of octets. `parse` reads a view out of the caller's buffer
//! and never copies a payload; `emit` writes into the caller's buffer and says how many octets it
//! used. Parsing is lenient about what a router may do on the way (cut a quote short, rewrite a
//! length) and strict about what it must not do (a header that points out of its packet). No input
//! makes it panic.

pub mod checksum;
pub mod extensions;
pub mod icmp;
pub mod ip;
pub mod tcp;
pub mod udp;

use core::fmt;
use core::net::{IpAddr, Ipv4Addr, Ipv6Addr};

/// A family of addresses, and with it a version of the Internet Protocol.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
#[cfg_attr(feature = "defmt", derive(defmt::Format))]
pub enum AddressFamily {
    /// IPv4 (RFC 791), with ICMP (RFC 792).
    V4,
    /// IPv6 (RFC 8200), with ICMPv6 (RFC 4443).
    V6,
}

impl AddressFamily {
    /// Returns the family of an address.
    #[must_use]
    pub const fn of(address: IpAddr) -> Self {
        match address {
            IpAddr::V4(_) => Self::V4,
            IpAddr::V6(_) => Self::V6,
        }
    }

    /// The address that stands for "not known": `0.0.0.0` or `::`.
    #[must_use]
    pub const fn unspecified(self) -> IpAddr {
        match self {
            Self::V4 => IpAddr::V4(Ipv4Addr::UNSPECIFIED),
            Self::V6 => IpAddr::V6(Ipv6Addr::UNSPECIFIED),
        }
    }
}

/// The two ends of a message, which is what the ICMPv6 checksum covers beside the message (RFC
/// 4443, section 2.3).
///
/// The destination names the family. With an unspecified address at either end (`::`) an ICMPv6
/// checksum can be neither made nor verified: it is left zero for whoever knows (a Linux raw socket
/// fills it in), and taken as it is on arrival.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[cfg_attr(feature = "defmt", derive(defmt::Format))]
pub struct Ends {
    /// Who sends the message.
    pub source: IpAddr,
    /// To whom it goes.
    pub destination: IpAddr,
}

impl Ends {
    /// The family that the message belongs to.
    #[must_use]
    pub const fn family(&self) -> AddressFamily {
        AddressFamily::of(self.destination)
    }

    /// The same path, walked back.
    #[must_use]
    pub const fn reversed(&self) -> Self {
        Self {
            source: self.destination,
            destination: self.source,
        }
    }
}

/// Tells whether two addresses are the same. In its callers the comparison takes more room.
#[inline(never)]
pub(crate) fn is_same_address(one: &IpAddr, other: &IpAddr) -> bool {
    one == other
}

/// Copies octets between slices of one length. The standard library's own copy panics where they
/// differ, and at some opt levels the compiler doesn't see that they can't.
fn copy(to: &mut [u8], from: &[u8]) {
    to.iter_mut().zip(from).for_each(|(to, from)| *to = *from);
}

/// Why octets could not be read. Ordinary for a raw socket: anybody can send anything.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
#[cfg_attr(feature = "defmt", derive(defmt::Format))]
#[non_exhaustive]
pub enum Malformed {
    /// The octets end before the header that must be there does.
    Truncated,
    /// An IP header of an unknown version, or one whose length field points out of the packet.
    Header,
    /// The checksum of the message is wrong.
    Checksum,
    /// A fragment that doesn't hold the start of the message.
    Fragment,
    /// Not ICMP, or an ICMP type that a traceroute has no use for.
    Foreign,
}

impl fmt::Display for Malformed {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Truncated => "the message is cut short",
            Self::Header => "an IP header contradicts itself",
            Self::Checksum => "the checksum is wrong",
            Self::Fragment => "a fragment without the start of the message",
            Self::Foreign => "not an ICMP message of a traceroute",
        })
    }
}

impl core::error::Error for Malformed {}

/// The caller's buffer can't hold what was to be written. Nothing was written and nothing changed:
/// call again with `needed` octets.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
#[cfg_attr(feature = "defmt", derive(defmt::Format))]
pub struct BufferTooSmall {
    /// How many octets the buffer must have.
    pub needed: usize,
}

impl fmt::Display for BufferTooSmall {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "the buffer must hold {} octets", self.needed)
    }
}

impl core::error::Error for BufferTooSmall {}
