//! An answer as it came off the wire: parsed, not yet believed.

use crate::probe::Changes;
use crate::wire::extensions::Extensions;
use crate::wire::icmp::{Message, Type};
use crate::wire::{Ends, Malformed, ip, is_same_address};
use core::fmt;
use core::net::IpAddr;

/// The meaning of an answer. Its number (`as u8`) and its name ([`as_str`](Self::as_str)) are those
/// of this list for good.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
#[cfg_attr(feature = "defmt", derive(defmt::Format))]
#[repr(u8)]
pub enum Kind {
    /// The target's own answer.
    Reply = 1,
    /// A router's answer: the hop limit ran out there, the path goes on.
    TimeExceeded = 2,
    /// A router's or the target's answer: no way further. Destination Unreachable, Packet Too Big
    /// or Parameter Problem; ICMP type and code say which.
    Unreachable = 3,
}

impl Kind {
    /// Returns its name in documents.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Reply => "echo_reply",
            Self::TimeExceeded => "time_exceeded",
            Self::Unreachable => "unreachable",
        }
    }
}

/// The probe as an error brings it back.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[cfg_attr(feature = "defmt", derive(defmt::Format))]
pub struct Quoted<'a> {
    /// The destination address of the probe; `None` where a kernel keeps it to itself. An error
    /// without it is [unproven](Changes::UNPROVEN), unless it quotes a secret of the payload.
    pub destination: Option<IpAddr>,
    /// The rest of the IP header; `None` where a kernel keeps it to itself.
    pub header: Option<QuotedHeader>,
    /// The protocol of the message.
    pub protocol: u8,
    /// The message, as far as it is quoted.
    pub message: &'a [u8],
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

/// The octets that came back, for the protocol to find its probe in.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[cfg_attr(feature = "defmt", derive(defmt::Format))]
#[non_exhaustive]
pub enum Back<'a> {
    /// A message of the target's own.
    Reply {
        /// Its protocol.
        protocol: u8,
        /// The message.
        message: &'a [u8],
    },
    /// The probe, quoted by an error.
    Quoted(Quoted<'a>),
}

/// A message that answers somebody's probe.
///
/// [`Answer::parse`] reads it from octets. A backend that gets its answers already parsed (the
/// error queue of a Linux ping socket) fills it in itself, and calls
/// [`Tracer::accept`](crate::Tracer::accept).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[cfg_attr(feature = "defmt", derive(defmt::Format))]
pub struct Answer<'a> {
    /// The sender of the answer.
    pub from: IpAddr,
    /// The hop limit that the answer arrived with, if known.
    pub hop_limit: Option<u8>,
    /// The meaning of the answer.
    pub kind: Kind,
    /// The ICMP type and code, as the answer's family numbers them. Of a datagram or segment of the
    /// target the type is 0; the code is 0 in UDP, the flags in TCP.
    pub icmp: (u8, u8),
    /// The MTU that a Fragmentation Needed or Packet Too Big names, in octets.
    pub mtu: Option<u16>,
    /// The octets that came back.
    pub back: Back<'a>,
    /// Objects that the router appended to the error.
    pub extensions: Extensions<'a>,
}

impl<'a> Answer<'a> {
    /// Reads an ICMP message (without its IP header) that went from `ends.source` to
    /// `ends.destination`. The destination is our own address, or the unspecified one where it
    /// isn't known: then the checksum of ICMPv6 isn't verified.
    ///
    /// # Errors
    /// [`Malformed`], also for what is well formed but answers nothing: requests, Time Exceeded in
    /// reassembly (code 1), errors about another IP version.
    // In its caller it takes more room.
    #[inline(never)]
    pub fn parse(ends: Ends, hop_limit: Option<u8>, message: &'a [u8]) -> Result<Self, Malformed> {
        let family = ends.family();
        let error = Message::parse(ends, message)?.into_error()?;
        let [icmp_type, icmp_code, ..] = message else {
            return Err(Malformed::Truncated);
        };
        let reply = Self {
            from: ends.source,
            hop_limit,
            kind: Kind::Reply,
            icmp: (*icmp_type, *icmp_code),
            mtu: None,
            back: Back::Reply {
                protocol: ip::icmp(family),
                message,
            },
            extensions: Extensions::default(),
        };
        let Some(error) = error else { return Ok(reply) };
        let kind = match (error.icmp_type, error.code) {
            (Type::TimeExceeded, 0) => Kind::TimeExceeded,
            // Code 1: a fragment was missing at the destination. That is no hop (RFC 792; RFC 4443,
            // section 3.3).
            (Type::TimeExceeded, _) => return Err(Malformed::Foreign),
            _ => Kind::Unreachable,
        };
        let (quoted, message) = ip::fields(error.quoted)?;
        if quoted.destination.family() != family {
            return Err(Malformed::Foreign);
        }
        Ok(Self {
            kind,
            mtu: error.mtu(family),
            back: Back::Quoted(Quoted {
                destination: Some(quoted.destination.address()),
                header: Some(QuotedHeader {
                    source: quoted.source.address(),
                    hop_limit: quoted.hop_limit,
                    traffic_class: quoted.traffic_class,
                }),
                protocol: quoted.protocol,
                message,
            }),
            extensions: Extensions::of(family, &error),
            ..reply
        })
    }

    /// The quoted IP header but for the destination, if that came back.
    pub(crate) const fn header(&self) -> Option<&QuotedHeader> {
        match &self.back {
            Back::Quoted(quoted) => quoted.header.as_ref(),
            Back::Reply { .. } => None,
        }
    }

    /// Compares what all protocols have in common with what was sent.
    pub(crate) fn changes(&self, sent: &Ends, traffic_class: u8) -> Changes {
        let mut changes = Changes::default();
        match &self.back {
            Back::Reply { .. } => {
                changes.note(
                    Changes::SENDER,
                    !is_same_address(&self.from, &sent.destination),
                );
            }
            Back::Quoted(quoted) => {
                let is_another = quoted
                    .destination
                    .is_some_and(|destination| !is_same_address(&destination, &sent.destination));
                changes.note(Changes::DESTINATION, is_another);
            }
        }
        if let Some(header) = self.header() {
            let is_known = !sent.source.is_unspecified();
            changes.note(
                Changes::SOURCE,
                is_known && !is_same_address(&header.source, &sent.source),
            );
            changes.note(
                Changes::TRAFFIC_CLASS,
                header.traffic_class != traffic_class,
            );
        }
        changes
    }
}

/// The reason why a message was not taken as an answer. Ordinary: a raw socket hears everybody's
/// ICMP. Nothing has changed.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
#[cfg_attr(feature = "defmt", derive(defmt::Format))]
#[non_exhaustive]
pub enum Discard {
    /// The message can't be read, or is of a kind that answers no probe.
    Malformed(Malformed),
    /// The message answers a probe of somebody else, or one that was never sent.
    NotOurs,
    /// Its key fits, but the secret of the payload is missing or wrong: a forgery.
    WrongCookie,
    /// It is about one of our probes, and quotes too little to tell which.
    Unattributed,
    /// The probe has an answer already that is as good.
    Duplicate,
    /// This machine says of a probe of ours that it failed here, which is known.
    FailedHere,
}

impl fmt::Display for Discard {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Malformed(malformed) => malformed.fmt(f),
            Self::NotOurs => f.write_str("an answer to somebody else's probe"),
            Self::WrongCookie => f.write_str("an answer without the probe's cookie"),
            Self::Unattributed => f.write_str("an error that quotes too little of its probe"),
            Self::Duplicate => f.write_str("one more answer to the same probe"),
            Self::FailedHere => {
                f.write_str("this machine's own word on a probe that is known to have failed")
            }
        }
    }
}

impl core::error::Error for Discard {}

impl From<Malformed> for Discard {
    fn from(malformed: Malformed) -> Self {
        Self::Malformed(malformed)
    }
}
