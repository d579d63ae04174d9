//! Answers to a probe, true or not, as the network would bring them.

use crate::ends;
use arbitrary::Arbitrary;
use core::net::IpAddr;
use hopshot_core::wire::checksum::Checksum;
use hopshot_core::wire::icmp::{Echo, Error, Message, Type};
use hopshot_core::wire::{AddressFamily, Ends, ip};
use hopshot_core::{Answer, Back, Evidence, Kind};

/// What an answer says, and in what it isn't what the target or a router would say.
#[derive(Arbitrary, Clone, Copy, Debug)]
pub(crate) struct Shape {
    pub(crate) says: Says,
    /// Errors: another destination in the quote.
    pub(crate) other_destination: bool,
    /// Errors: another checksum in the quote.
    pub(crate) other_checksum: bool,
    /// From somebody else.
    pub(crate) stranger: bool,
    /// Errors: how many octets of the probe are quoted, beyond eight.
    pub(crate) quote: u8,
    pub(crate) quoted_hop_limit: u8,
    pub(crate) rest: u32,
}

#[derive(Arbitrary, Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Says {
    EchoReply,
    TimeExceeded,
    Unreachable {
        code: u8,
    },
    PacketTooBig,
    ParameterProblem {
        code: u8,
    },
    /// Destination Unreachable, from the target itself.
    Refused {
        code: u8,
    },
    /// Destination Unreachable, from this machine.
    Local {
        code: u8,
    },
}

/// The message that an answer brings back.
pub(crate) fn came_back<'a>(answer: &Answer<'a>) -> &'a [u8] {
    match answer.back {
        Back::Reply { message, .. } => message,
        Back::Quoted(quoted) => quoted.message,
        _ => panic!("{answer:?}"),
    }
}

impl Shape {
    /// What an honest router or target says, quoting everything.
    pub(crate) const fn honest(says: Says) -> Self {
        Self {
            says,
            other_destination: false,
            other_checksum: false,
            stranger: false,
            quote: 255,
            quoted_hop_limit: 1,
            rest: 0,
        }
    }

    /// As what it has to be taken.
    pub(crate) fn kind(&self) -> Kind {
        match self.says {
            Says::EchoReply => Kind::Reply,
            Says::TimeExceeded => Kind::TimeExceeded,
            _ => Kind::Unreachable,
        }
    }

    /// Whether it is proven, and how far it has to be believed. With the source left to the kernel
    /// nobody knows the checksum of an ICMPv6 probe.
    pub(crate) fn rank(&self, family: AddressFamily, source_known: bool) -> (bool, Evidence) {
        /// Octets of balance and cookie.
        const COOKIE: u8 = 10;
        let checksum_counts = source_known || family == AddressFamily::V4;
        let (is_proven, is_changed) = match self.says {
            Says::EchoReply => (true, self.stranger),
            _ => {
                let is_changed = self.other_destination || self.other_checksum && checksum_counts;
                (
                    self.quote >= COOKIE || !is_changed && checksum_counts,
                    is_changed,
                )
            }
        };
        (
            is_proven,
            if is_changed || !is_proven {
                Evidence::Weak
            } else {
                Evidence::Strong
            },
        )
    }

    pub(crate) fn from(&self, family: AddressFamily, hop: u8) -> IpAddr {
        match self.says {
            _ if self.stranger => ends::stranger(family),
            Says::EchoReply | Says::Refused { .. } => ends::of(family).destination,
            Says::Local { .. } => ends::of(family).source,
            _ => ends::router(family, hop),
        }
    }
}

/// The answer of this shape to the `probe` at `hop`: a whole ICMP message.
pub(crate) fn answer(shape: &Shape, family: AddressFamily, hop: u8, probe: &[u8]) -> Vec<u8> {
    let true_ends = ends::of(family);
    let back = Ends {
        source: shape.from(family, hop),
        destination: true_ends.source,
    };
    let (icmp_type, code) = match shape.says {
        Says::EchoReply => return emit(back, &Message::EchoReply(echo(probe))),
        Says::TimeExceeded => (Type::TimeExceeded, 0),
        Says::PacketTooBig => (Type::PacketTooBig, 4),
        Says::ParameterProblem { code } => (Type::ParameterProblem, code),
        Says::Unreachable { code } | Says::Refused { code } | Says::Local { code } => {
            (Type::Unreachable, code)
        }
    };
    let mut quoted_probe = probe.to_vec();
    if shape.other_checksum {
        quoted_probe[2] ^= 0x40;
    }
    let destination = if shape.other_destination {
        ends::stranger(family)
    } else {
        true_ends.destination
    };
    let header = ip::Header {
        ends: Ends {
            destination,
            ..true_ends
        },
        hop_limit: shape.quoted_hop_limit,
        traffic_class: 0,
        protocol: if family == AddressFamily::V4 {
            ip::PROTOCOL_ICMP
        } else {
            ip::PROTOCOL_ICMPV6
        },
    };
    let quoted = packet(&header, &quoted_probe);
    let len = ip::header_len(family) + 8 + usize::from(shape.quote);
    let quoted = &quoted[..len.min(quoted.len())];
    emit(
        back,
        &Message::Error(Error {
            icmp_type,
            code,
            rest: shape.rest,
            quoted,
        }),
    )
}

/// The probe as it leaves: a kernel that knows both ends fills in the checksum that was left out.
pub(crate) fn on_the_wire(family: AddressFamily, probe: &[u8]) -> Vec<u8> {
    let mut probe = probe.to_vec();
    if probe[2..4] == [0, 0] {
        let sum = Checksum::of_ends(ends::of(family), probe.len())
            .expect("both ends are known")
            .with(&probe)
            .finish();
        probe[2..4].copy_from_slice(&sum.to_be_bytes());
    }
    probe
}

/// Puts the checksum of an answer right.
pub(crate) fn put_right(family: AddressFamily, from: IpAddr, message: &mut [u8]) {
    if message.len() >= 8 {
        message[2..4].fill(0);
        let back = Ends {
            source: from,
            destination: ends::of(family).source,
        };
        let sum = Checksum::of_ends(back, message.len())
            .expect("both ends are known")
            .with(message)
            .finish();
        message[2..4].copy_from_slice(&sum.to_be_bytes());
    }
}

fn echo(probe: &[u8]) -> Echo<'_> {
    let word = |at: usize| u16::from_be_bytes([probe[at], probe[at + 1]]);
    Echo {
        ident: word(4),
        seq: word(6),
        payload: &probe[8..],
    }
}

pub(crate) fn packet(header: &ip::Header, payload: &[u8]) -> Vec<u8> {
    let len = ip::header_len(header.ends.family());
    let mut packet = vec![0; len];
    header
        .emit(payload.len(), &mut packet)
        .expect("there is space");
    packet.extend_from_slice(payload);
    packet
}

fn emit(ends: Ends, message: &Message<'_>) -> Vec<u8> {
    let mut buf = vec![0; 2048];
    let len = message.emit(ends, &mut buf).expect("there is space");
    buf.truncate(len);
    buf
}
