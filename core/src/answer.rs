//! An answer as it came off the wire: parsed, not yet believed.

use crate::wire::extensions::Extensions;
use crate::wire::icmp::{Echo, Message, QuotedEcho, Type};
use crate::wire::{Ends, Malformed, ip};
use core::fmt;
use core::net::IpAddr;

/// What an answer says.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
#[cfg_attr(feature = "defmt", derive(defmt::Format))]
pub enum Kind {
    /// The target's answer.
    EchoReply,
    /// A router's: the hop limit ran out there, the path goes on.
    TimeExceeded,
    /// A router's or the target's: no way further. Destination Unreachable, Packet Too Big or Parameter Problem; ICMP type
    /// and code say which.
    Unreachable,
}

/// What an error tells about the probe as it arrived where the error was made.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[cfg_attr(feature = "defmt", derive(defmt::Format))]
pub struct Quoted {
    /// The destination address of the probe.
    pub destination: IpAddr,
    /// The ICMP checksum.
    pub checksum: u16,
    /// The rest of the IP header; `None` where a kernel keeps it to itself.
    pub header: Option<QuotedHeader>,
}

/// The fields of a quoted IP header, but for the destination.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[cfg_attr(feature = "defmt", derive(defmt::Format))]
pub struct QuotedHeader {
    /// The source address of the probe.
    pub source: IpAddr,
    /// The hop limit that was left: normally 1.
    pub hop_limit: u8,
    /// The traffic class (TOS in IPv4).
    pub traffic_class: u8,
}

/// An ICMP message that answers somebody's Echo Request.
///
/// [`Answer::parse`] reads it from octets. A backend that gets its answers already parsed (the error queue of a Linux ping
/// socket) fills it in itself, and calls [`Tracer::accept`](crate::Tracer::accept).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[cfg_attr(feature = "defmt", derive(defmt::Format))]
pub struct Answer<'a> {
    /// Who sent the answer.
    pub from: IpAddr,
    /// The hop limit that the answer arrived with, if known.
    pub hop_limit: Option<u8>,
    /// What it says.
    pub kind: Kind,
    /// The ICMP type, as the answer's family numbers it.
    pub icmp_type: u8,
    /// The ICMP code.
    pub icmp_code: u8,
    /// The MTU that a Fragmentation Needed or Packet Too Big names, in octets.
    pub mtu: Option<u16>,
    /// The Echo as it came back: replied by the target or quoted by a router.
    pub echo: Echo<'a>,
    /// The quoted header of an error. An error without it is [unproven](crate::Changes::UNPROVEN), unless it quotes the cookie.
    pub quoted: Option<Quoted>,
    /// What the router appended to the error.
    pub extensions: Extensions<'a>,
}

impl<'a> Answer<'a> {
    /// Reads an ICMP message (without its IP header) that went from `ends.source` to `ends.destination`. The destination is
    /// our own address, or the unspecified one where it isn't known: then the checksum of ICMPv6 isn't verified.
    ///
    /// # Errors
    /// [`Malformed`], also for what is well formed but answers no Echo Request: requests, Time Exceeded in reassembly
    /// (code 1), errors about other protocols.
    pub fn parse(ends: Ends, hop_limit: Option<u8>, message: &'a [u8]) -> Result<Self, Malformed> {
        let version = ends.version();
        let unquoted = |kind, icmp_type: Type, icmp_code, mtu, echo| Self {
            from: ends.source,
            hop_limit,
            kind,
            icmp_type: icmp_type.number(version).unwrap_or_default(),
            icmp_code,
            mtu,
            echo,
            quoted: None,
            extensions: Extensions::default(),
        };
        let error = match Message::parse(ends, message)? {
            Message::EchoRequest(_) => return Err(Malformed::Foreign),
            Message::EchoReply(echo) => return Ok(unquoted(Kind::EchoReply, Type::EchoReply, 0, None, echo)),
            Message::Error(error) => error,
        };
        let kind = match (error.icmp_type, error.code) {
            (Type::TimeExceeded, 0) => Kind::TimeExceeded,
            // Code 1: a fragment was missing at the destination. That is no hop (RFC 792; RFC 4443, section 3.3).
            (Type::TimeExceeded, _) => return Err(Malformed::Foreign),
            _ => Kind::Unreachable,
        };
        let (header, payload) = ip::parse_quoted(error.quoted)?;
        if header.ends.version() != version || !header.is_icmp() {
            return Err(Malformed::Foreign);
        }
        let probe = QuotedEcho::parse(version, payload)?;
        let ip::Header { ends: Ends { source, destination }, hop_limit: left, traffic_class, .. } = header;
        let header = QuotedHeader { source, hop_limit: left, traffic_class };
        let quoted = Quoted { destination, checksum: probe.checksum, header: Some(header) };
        let answer = unquoted(kind, error.icmp_type, error.code, error.mtu(version), probe.echo);
        Ok(Self { quoted: Some(quoted), extensions: Extensions::of(version, &error), ..answer })
    }
}

/// Why a message was not taken as an answer. Ordinary: a raw socket hears everybody's ICMP. Nothing has changed.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
#[cfg_attr(feature = "defmt", derive(defmt::Format))]
#[non_exhaustive]
pub enum Discard {
    /// It can't be read, or is of a kind that answers no probe.
    Malformed(Malformed),
    /// It answers an Echo Request of somebody else, or one that was never sent.
    NotOurs,
    /// Ident and seq fit, but the cookie is missing or wrong: a forgery.
    WrongCookie,
    /// The probe has an answer already that is as good.
    Duplicate,
}

impl fmt::Display for Discard {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Malformed(malformed) => malformed.fmt(f),
            Self::NotOurs => f.write_str("an answer to somebody else's probe"),
            Self::WrongCookie => f.write_str("an answer without the probe's cookie"),
            Self::Duplicate => f.write_str("one more answer to the same probe"),
        }
    }
}

impl core::error::Error for Discard {}

impl From<Malformed> for Discard {
    fn from(malformed: Malformed) -> Self {
        Self::Malformed(malformed)
    }
}
