//! Probes that are TCP SYNs of one flow.
//!
//! Both ports are the same in all probes, but for [detours](Tcp::detours). The sequence number of a
//! probe is its index and a secret, enciphered with a key: so they are far apart, as challenge
//! acknowledgments want it, every error brings the whole of it back in its first 8 octets, and the
//! target acknowledges it.

use super::{APART, Match, Protocol};
use crate::answer::{Answer, Back, Discard, Kind};
use crate::config::{ConfigError, check_range};
use crate::probe::Changes;
use crate::wire::extensions::Extensions;
use crate::wire::tcp::{self, Flags, QuotedSegment, Segment};
use crate::wire::{AddressFamily, BufferTooSmall, Ends, Malformed};

/// The maximum segment size that a probe asks for (RFC 9293, section 3.7.1): what Ethernet leaves
/// in IPv4 and in IPv6.
const fn mss(family: AddressFamily) -> u16 {
    match family {
        AddressFamily::V4 => 1460,
        AddressFamily::V6 => 1440,
    }
}

/// The identity of a trace whose probes are TCP SYNs. [`Tcp::new`] gives defaults for everything
/// but the port and the random octets; [`Tracer::new`](crate::Tracer::new) checks the ranges.
///
/// Answers of the target are segments, which [`Tcp::answer`] reads; they go to
/// [`Tracer::accept`](crate::Tracer::accept). Errors go to
/// [`Tracer::handle`](crate::Tracer::handle) as ever. [`Config::source`](crate::Config::source)
/// must be given, else the checksum is zero. Somebody must answer a SYN/ACK with a RST, so that the
/// target keeps no connection: an operating system does by itself.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[cfg_attr(feature = "defmt", derive(defmt::Format))]
pub struct Tcp {
    /// The source port of the flow, not 0. Unique among the traces that share an address, and so
    /// are all that [`detours`](Self::detours) takes; best random.
    pub source_port: u16,
    /// The destination port of all probes, not 0.
    pub port: u16,
    /// The options that come with the probes.
    pub options: TcpOptions,
    /// The key of the sequence numbers, random.
    pub key: [u32; 4],
    /// Whether some probes leave from other source ports: what goes to the target after the first,
    /// or may, and to a silent hop that no SYN of the flow is known to have passed. Targets, and
    /// firewalls that know connections, take only the first SYN of a flow. The ports are the
    /// others of the aligned block of [`PORTS`](Self::PORTS) that `source_port` belongs to.
    pub detours: bool,
}

/// TCP options of a probe.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
#[cfg_attr(feature = "defmt", derive(defmt::Format))]
#[non_exhaustive]
pub enum TcpOptions {
    /// The maximum segment size alone: 4 octets.
    #[default]
    Mss,
    /// The options that operating systems usually send: maximum segment size, SACK permitted,
    /// timestamps and window scale, 20 octets. Some firewalls drop a SYN without them.
    Full,
}

impl TcpOptions {
    const fn len(self) -> usize {
        match self {
            Self::Mss => 4,
            Self::Full => 20,
        }
    }
}

impl Tcp {
    /// Takes the source port and the key from `random`, of which every octet counts, and permits
    /// [`detours`](Self::detours). They tell an
    /// answer from a forgery, so nobody else may be able to guess them. The source port is one of
    /// the upper half, where few services listen.
    #[must_use]
    pub const fn new(port: u16, random: [u8; 16]) -> Self {
        let [a, b, c, d, e, f, g, h, i, j, k, l, m, n, o, p] = random;
        Self {
            source_port: 0x8000 | u16::from_be_bytes([a, b]),
            port,
            options: TcpOptions::Mss,
            key: [
                u32::from_be_bytes([a, b, c, d]),
                u32::from_be_bytes([e, f, g, h]),
                u32::from_be_bytes([i, j, k, l]),
                u32::from_be_bytes([m, n, o, p]),
            ],
            detours: true,
        }
    }

    /// The number of source ports of a trace with [`detours`](Self::detours): an aligned block.
    pub const PORTS: u16 = 32;

    /// Returns the source port of the probe with this index, which has the bit [`APART`] where it
    /// leaves on a flow of its own. It is never 0.
    #[must_use]
    pub const fn source_port_of(&self, index: u16) -> u16 {
        if !self.detours || index & APART == 0 {
            return self.source_port;
        }
        // Those of as many probes in a row all differ.
        match self.source_port ^ (index % (Self::PORTS - 1)).wrapping_add(1) {
            0 => self.source_port,
            other => other,
        }
    }

    /// Reads a TCP segment (without its IP header) that went from `ends.source` to
    /// `ends.destination` as an answer. Its flags stand in the place of an ICMP code. The
    /// destination is our own address, or the unspecified one where it isn't known: then the
    /// checksum isn't verified.
    ///
    /// # Errors
    /// [`Malformed`], also for what is well formed but answers no SYN.
    pub fn answer(
        ends: Ends,
        hop_limit: Option<u8>,
        segment: &[u8],
    ) -> Result<Answer<'_>, Malformed> {
        let Segment { flags, .. } = Segment::parse(ends, segment)?;
        if !flags.contains(Flags::ACK) {
            return Err(Malformed::Foreign);
        }
        Ok(Answer {
            from: ends.source,
            hop_limit,
            kind: Kind::Reply,
            icmp: (0, flags.0),
            mtu: None,
            back: Back::Reply {
                protocol: tcp::PROTOCOL,
                message: segment,
            },
            extensions: Extensions::default(),
        })
    }

    /// The sequence number of the probe with this index.
    #[must_use]
    pub fn seq(&self, index: u16) -> u32 {
        let [.., check] = self.key;
        let [_, _, a, b] = check.to_be_bytes();
        let rounds = self.key.into_iter();
        let (left, right) = rounds
            .fold((u16::from_be_bytes([a, b]), index), |(left, right), key| {
                (right, left ^ mix(right, key))
            });
        u32::from(left) << 16 | u32::from(right)
    }

    /// The index of the probe with this sequence number, if there can be one.
    fn index(&self, seq: u32) -> Option<u16> {
        let [.., check] = self.key;
        let [a, b, c, d] = seq.to_be_bytes();
        let rounds = self.key.into_iter().rev();
        let seq = (u16::from_be_bytes([a, b]), u16::from_be_bytes([c, d]));
        let (left, right) = rounds.fold(seq, |(left, right), key| (right ^ mix(left, key), left));
        let [_, _, a, b] = check.to_be_bytes();
        (left == u16::from_be_bytes([a, b])).then_some(right)
    }

    /// The index of a probe whose sequence number was changed on the way, if its ports weren't and
    /// its window came back.
    fn index_by_window(&self, quoted: &QuotedSegment<'_>) -> Option<u16> {
        let place = quoted.window?.checked_sub(LEAST_WINDOW)?;
        if place == NO_PLACE {
            return None;
        }
        let ports = (quoted.source, quoted.destination);
        let is_it = |index: &u16| ports == (self.source_port_of(*index), self.port);
        [place, place | APART].into_iter().find(is_it)
    }
}

/// The least window of a probe. How much more it is says which of the first thousand probes it is,
/// also where a firewall has rewritten the sequence number.
const LEAST_WINDOW: u16 = 0xfc00;

/// The rest of the window where it doesn't say which probe it is.
const NO_PLACE: u16 = 0x3ff;

const fn window_of(index: u16) -> u16 {
    let place = index & !APART;
    LEAST_WINDOW | if place < NO_PLACE { place } else { NO_PLACE }
}

/// One round of the cipher, a Feistel network on two halves of 16 bits. It need not withstand those
/// who see probes: they can forge answers to what they see anyway.
const fn mix(half: u16, key: u32) -> u16 {
    let [a, b] = half.to_be_bytes();
    let product = (u32::from_be_bytes([0, 0, a, b]) ^ key).wrapping_mul(key.rotate_left(9) | 1);
    let [c, d, ..] = (product ^ product >> 15)
        .wrapping_mul(0x9e37_79b1)
        .to_be_bytes();
    u16::from_be_bytes([c, d])
}

impl Protocol for Tcp {
    const IDLE: Self = Self {
        source_port: 0,
        port: 0,
        options: TcpOptions::Mss,
        key: [0; 4],
        detours: false,
    };

    fn number(&self, _: AddressFamily) -> u8 {
        tcp::PROTOCOL
    }

    fn check(&self) -> Result<(), ConfigError> {
        check_range("source_port", self.source_port, 1, u16::MAX)?;
        check_range("port", self.port, 1, u16::MAX)
    }

    fn message_len(&self) -> usize {
        tcp::HEADER_LEN.saturating_add(self.options.len())
    }

    fn emit(&self, ends: Ends, index: u16, message: &mut [u8]) -> Result<(), BufferTooSmall> {
        let too_small = BufferTooSmall {
            needed: self.message_len(),
        };
        let seq = self.seq(index);
        let options = message.get_mut(tcp::HEADER_LEN..).ok_or(too_small)?;
        let [high, low] = mss(ends.family()).to_be_bytes();
        // RFC 9293, section 3.2: kind, length, value.
        let (mss, rest) = options.split_first_chunk_mut().ok_or(too_small)?;
        *mss = [2, 4, high, low];
        if self.options == TcpOptions::Full {
            let [a, b, c, d] = seq.rotate_left(11).to_be_bytes();
            let rest: &mut [u8; 16] = rest.first_chunk_mut().ok_or(too_small)?;
            // SACK permitted (RFC 2018, section 2), timestamps (RFC 7323, section 3.2), padding
            // and a window scale of 7 (section 2.2).
            *rest = [4, 2, 8, 10, a, b, c, d, 0, 0, 0, 0, 1, 3, 3, 7];
        }
        tcp::emit_syn(
            ends,
            self.source_port_of(index),
            self.port,
            seq,
            window_of(index),
            message,
        )
    }

    fn recognize(
        &self,
        _: Ends,
        answer: &Answer<'_>,
        mut changes: Changes,
    ) -> Result<Match, Discard> {
        let index = match read(answer)? {
            Read::Reply(reply) => self
                .index(reply.ack.wrapping_sub(1))
                // From the target's port to ours.
                .filter(|index| {
                    (reply.destination, reply.source) == (self.source_port_of(*index), self.port)
                })
                // Of an earlier trace on these ports, or of a connection of somebody else's.
                .ok_or(Discard::NotOurs)?,
            Read::Quoted(quoted) => {
                let index = self.index(quoted.seq);
                // The window is no secret: whoever guesses the port can write it.
                changes.note(Changes::SEQ, index.is_none());
                changes.note(Changes::UNPROVEN, index.is_none());
                let index = index
                    .or_else(|| self.index_by_window(&quoted))
                    .ok_or(Discard::NotOurs)?;
                changes.note(Changes::IDENT, quoted.source != self.source_port_of(index));
                changes.note(Changes::PORT, quoted.destination != self.port);
                index
            }
        };
        Ok(Match { index, changes })
    }

    /// While a connection is half open the target acknowledges no other SYN of the same flow (RFC
    /// 5961, section 4), until a RST has ended it.
    fn connects(&self) -> bool {
        true
    }

    fn detours(&self) -> bool {
        self.detours
    }

    /// The source port, as it came back: a translator may have changed it.
    fn key(answer: &Answer<'_>) -> Result<u32, Malformed> {
        let port = match read(answer)? {
            Read::Reply(segment) => segment.destination,
            Read::Quoted(quoted) => quoted.source,
        };
        Ok(u32::from(port) << 16)
    }
}

/// What came back.
enum Read<'a> {
    Reply(Segment),
    Quoted(QuotedSegment<'a>),
}

fn read<'a>(answer: &Answer<'a>) -> Result<Read<'a>, Malformed> {
    match answer.back {
        Back::Reply { protocol, message } if protocol == tcp::PROTOCOL => {
            // Its checksum was verified, or can't be.
            let unknown = AddressFamily::of(answer.from).unspecified();
            let ends = Ends {
                source: unknown,
                destination: unknown,
            };
            Segment::parse(ends, message).map(Read::Reply)
        }
        Back::Quoted(quoted) if quoted.protocol == tcp::PROTOCOL => {
            QuotedSegment::parse(quoted.message).map(Read::Quoted)
        }
        _ => Err(Malformed::Foreign),
    }
}

/// The target's answer to a SYN.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
#[cfg_attr(feature = "defmt", derive(defmt::Format))]
pub enum TcpAnswer {
    /// A SYN/ACK: the port is open.
    SynAck,
    /// A RST: the port is closed.
    Rst,
    /// An ACK alone (RFC 5961, section 4): the SYN began a connection, and its SYN/ACK was lost. A
    /// later SYN drew this, so the RTT is too long.
    Ack,
}

impl TcpAnswer {
    /// Reads the flags that [`Tcp::answer`] put in the place of an ICMP code.
    #[must_use]
    pub const fn of(code: u8) -> Self {
        let flags = Flags(code);
        if flags.contains(Flags::RST) {
            Self::Rst
        } else if flags.contains(Flags::SYN) {
            Self::SynAck
        } else {
            Self::Ack
        }
    }
}
