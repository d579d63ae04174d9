//! Answers to a probe, true or not, as the network would bring them.

use crate::ends;
use arbitrary::Arbitrary;
use core::net::IpAddr;
use hopshot_core::wire::checksum::Checksum;
use hopshot_core::wire::icmp::{Echo, Error, Message, Type};
use hopshot_core::wire::{AddressFamily, Ends, ip, tcp, udp};
use hopshot_core::{Answer, Back, Evidence, Kind, Protocol, Udp, UdpPayload};
use hopshot_engine::Probes;

/// What an answer says, and in what it isn't what the target or a router would say.
#[derive(Arbitrary, Clone, Copy, Debug)]
pub(crate) struct Shape {
    pub(crate) says: Says,
    /// Errors: another destination in the quote.
    pub(crate) other_destination: bool,
    /// Errors: another checksum in the quote, or another destination port of TCP.
    pub(crate) other_checksum: bool,
    /// From somebody else.
    pub(crate) stranger: bool,
    /// Errors: how many octets of the probe are quoted, beyond eight.
    pub(crate) quote: u8,
    pub(crate) quoted_hop_limit: u8,
    /// Octets 4 to 7 of an error. The first of them says whether a quoted datagram has another
    /// cookie. Of a segment it is the sequence number, and says which kind it is of.
    pub(crate) rest: u32,
}

#[derive(Arbitrary, Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Says {
    /// What the target answers: an Echo Reply, a segment, a datagram.
    Reply,
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

    /// As what it has to be taken. That nobody listens on a UDP port the target says itself.
    pub(crate) fn kind(&self, probes: &Probes, family: AddressFamily) -> Kind {
        let nobody_listens = match family {
            AddressFamily::V4 => 3,
            AddressFamily::V6 => 4,
        };
        match (self.says, probes) {
            (Says::Reply, _) => Kind::Reply,
            (Says::TimeExceeded, _) => Kind::TimeExceeded,
            (Says::Refused { code }, Probes::Udp(_))
                if code == nobody_listens && !self.stranger =>
            {
                Kind::Reply
            }
            _ => Kind::Unreachable,
        }
    }

    /// What has to become of it.
    pub(crate) fn worth(&self, probes: &Probes, family: AddressFamily, source: bool) -> Worth {
        let is_reply = self.says == Says::Reply;
        match probes {
            Probes::Udp(udp) if !is_reply => self.worth_of_quote(udp, source),
            Probes::Udp(_) | Probes::Tcp(_) => {
                let is_changed = self.other_destination || self.other_checksum;
                Worth::of(if is_reply { self.stranger } else { is_changed })
            }
            _ => {
                let (is_proven, evidence) = self.rank(family, source);
                Worth::Accepted(is_proven, evidence)
            }
        }
    }

    /// What has to become of an error that quotes a datagram: with the cookie it is proven, and
    /// without that the checksum says which one it is. Without a source there is no checksum.
    fn worth_of_quote(&self, udp: &Udp, source_known: bool) -> Worth {
        let is_whole = usize::from(self.quote) >= cookie_at(udp.payload) + udp.cookie.len();
        let has_balance = self.quote >= balance_end(udp.payload);
        if is_whole && self.has_other_cookie() {
            Worth::Nothing
        } else if is_whole && has_balance {
            Worth::of(self.other_destination || self.other_checksum && source_known)
        } else if self.other_destination {
            Worth::Nothing
        } else if self.other_checksum {
            // It may be another probe's.
            Worth::Unknown
        } else if source_known {
            Worth::of(false)
        } else {
            Worth::Nothing
        }
    }

    const fn has_other_cookie(&self) -> bool {
        self.rest >> 24 == 0xff
    }

    /// Whether an answer to an Echo Request is proven, and how far it has to be believed. With the
    /// source left to the kernel nobody knows the checksum of an ICMPv6 probe.
    fn rank(&self, family: AddressFamily, source_known: bool) -> (bool, Evidence) {
        /// Octets of balance and cookie.
        const COOKIE: u8 = 10;
        let checksum_counts = source_known || family == AddressFamily::V4;
        let (is_proven, is_changed) = match self.says {
            Says::Reply => (true, self.stranger),
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
            Says::Reply | Says::Refused { .. } => ends::of(family).destination,
            Says::Local { .. } => ends::of(family).source,
            _ => ends::router(family, hop),
        }
    }
}

/// Where in a datagram's payload the cookie begins.
const fn cookie_at(payload: UdpPayload) -> usize {
    match payload {
        UdpPayload::Plain => 2,
        UdpPayload::Dns => 32,
        _ => 6,
    }
}

/// Where in a datagram's payload the balance ends.
const fn balance_end(payload: UdpPayload) -> u8 {
    match payload {
        UdpPayload::Quic => 18,
        _ => 2,
    }
}

/// What has to become of an answer.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Worth {
    /// It is taken if there is none as good: whether it is proven, and how far it is believed.
    Accepted(bool, Evidence),
    /// It answers nothing.
    Nothing,
    /// Nothing is promised.
    Unknown,
}

impl Worth {
    const fn of(is_changed: bool) -> Self {
        Self::Accepted(
            true,
            if is_changed {
                Evidence::Weak
            } else {
                Evidence::Strong
            },
        )
    }
}

/// A packet that arrives.
#[derive(Clone, Debug)]
pub(crate) struct Packet {
    pub(crate) from: IpAddr,
    pub(crate) protocol: u8,
    pub(crate) message: Vec<u8>,
}

impl Packet {
    /// Puts its checksum right.
    pub(crate) fn put_right(&mut self) {
        let family = AddressFamily::of(self.from);
        let at = match self.protocol {
            tcp::PROTOCOL => 16,
            udp::PROTOCOL => 6,
            _ => return put_right(family, self.from, &mut self.message),
        };
        let len = self.message.len();
        let back = Ends {
            source: self.from,
            destination: ends::of(family).source,
        };
        if let Some(field) = self.message.get_mut(at..at + 2) {
            field.fill(0);
            let sum = Checksum::of_pseudo_header(back, self.protocol, len);
            let sum = sum.expect("both ends are known").with(&self.message);
            self.message[at..at + 2].copy_from_slice(&sum.finish().to_be_bytes());
        }
    }
}

/// The answer of this shape to the `probe` at `hop`.
pub(crate) fn answer(probes: &Probes, shape: &Shape, hop: u8, sent: &Sent<'_>) -> Packet {
    let &Sent { family, probe } = sent;
    let from = shape.from(family, hop);
    let back = Ends {
        source: from,
        destination: ends::of(family).source,
    };
    let mut packet = Packet {
        from,
        protocol: ip::icmp(family),
        message: Vec::new(),
    };
    if shape.says != Says::Reply {
        packet.message = error(probes, shape, back, probe);
        return packet;
    }
    packet.protocol = probes.number(family);
    packet.message = match probes {
        Probes::Tcp(_) => segment(probe, shape.rest),
        Probes::Udp(udp) => datagram(udp.payload, probe),
        _ => emit(back, &Message::EchoReply(echo(probe))),
    };
    packet.put_right();
    packet
}

/// A probe on the wire.
pub(crate) struct Sent<'a> {
    pub(crate) family: AddressFamily,
    pub(crate) probe: &'a [u8],
}

/// What the target says to a SYN: that its port is open, that it is closed, or that it has heard
/// another one before.
pub(crate) fn segment(syn: &[u8], rest: u32) -> Vec<u8> {
    let flags = [0x12, 0x14, 0x10][usize::try_from(rest % 3).unwrap_or(0)];
    let seq = u32::from_be_bytes([syn[4], syn[5], syn[6], syn[7]]);
    [
        &syn[2..4],
        &syn[..2],
        &rest.to_be_bytes(),
        &seq.wrapping_add(1).to_be_bytes(),
        &[0x50, flags, 0xff, 0xff, 0, 0, 0, 0],
    ]
    .concat()
}

/// What a server says: by QUIC which versions it knows, with the connection IDs in each other's
/// place, and else what it was sent.
pub(crate) fn datagram(payload: UdpPayload, probe: &[u8]) -> Vec<u8> {
    let said = &probe[8..];
    let said = match payload {
        UdpPayload::Quic => [
            &[0x80, 0, 0, 0, 0],
            &said[14..23],
            &said[5..14],
            &[0, 0, 0, 1],
        ]
        .concat(),
        _ => said.to_vec(),
    };
    let length = u16::try_from(8 + said.len()).expect("a probe is short");
    [
        &probe[2..4],
        &probe[..2],
        &length.to_be_bytes(),
        &[0, 0],
        &said,
    ]
    .concat()
}

fn error(probes: &Probes, shape: &Shape, back: Ends, probe: &[u8]) -> Vec<u8> {
    let family = back.family();
    let true_ends = ends::of(family);
    let (icmp_type, code) = match shape.says {
        Says::Reply | Says::TimeExceeded => (Type::TimeExceeded, 0),
        Says::PacketTooBig => (Type::PacketTooBig, 4),
        Says::ParameterProblem { code } => (Type::ParameterProblem, code),
        Says::Unreachable { code } | Says::Refused { code } | Says::Local { code } => {
            (Type::Unreachable, code)
        }
    };
    let mut quoted_probe = probe.to_vec();
    if shape.other_checksum {
        // Of an Echo Request its checksum, of a SYN the destination port.
        let at = if matches!(probes, Probes::Udp(_)) {
            6
        } else {
            2
        };
        quoted_probe[at] ^= 0x40;
    }
    if let (Probes::Udp(udp), true) = (probes, shape.has_other_cookie()) {
        quoted_probe[8 + cookie_at(udp.payload)] ^= 1;
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
        protocol: probes.number(family),
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

/// The probe as it leaves: a kernel that knows both ends fills in the checksum that ICMP was left
/// without.
pub(crate) fn on_the_wire(probes: &Probes, family: AddressFamily, probe: &[u8]) -> Vec<u8> {
    let mut probe = probe.to_vec();
    if matches!(probes, Probes::Echo(_)) && probe[2..4] == [0, 0] {
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
