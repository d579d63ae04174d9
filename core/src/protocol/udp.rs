//! Probes that are UDP datagrams of one flow.
//!
//! Both ports are the same in all probes. The checksum of a probe says its index: every error
//! brings it back in its first 8 octets, and routers that balance load don't look at it. Two octets
//! of balance in the payload make the checksum come out right. They say the index too, where a
//! quote is long enough, and stand where many servers return what they were sent.

use super::echo::MAX_PAYLOAD;
use super::{Match, Protocol};
use crate::answer::{Answer, Back, Discard, Kind, Quoted};
use crate::config::{ConfigError, check_range};
use crate::probe::Changes;
use crate::wire::checksum::Checksum;
use crate::wire::extensions::Extensions;
use crate::wire::udp::{self, Datagram};
use crate::wire::{AddressFamily, BufferTooSmall, Ends, Malformed, is_same_address};

/// Checksums that a probe may have: neither 0, which means that there is none, nor 65,535.
const CHECKSUMS: u32 = 65_534;

/// The identity of a trace whose probes are UDP datagrams. [`Udp::new`] gives defaults for
/// everything but the port and the random octets; [`Tracer::new`](crate::Tracer::new) checks the
/// ranges.
///
/// The target is reached if it says that nobody listens (Port Unreachable), or answers with a
/// datagram, which [`Udp::answer`] reads for [`Tracer::accept`](crate::Tracer::accept).
/// [`Config::source`](crate::Config::source) must be given, else there is no checksum, and only
/// errors that quote the payload are known for answers.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[cfg_attr(feature = "defmt", derive(defmt::Format))]
pub struct Udp {
    /// The source port of all probes, not 0. Unique among the traces that share an address, best
    /// random.
    pub source_port: u16,
    /// The destination port of all probes, not 0.
    pub port: u16,
    /// The number that checksums are computed from, random.
    pub first: u16,
    /// Random octets in the payload of all probes. An answer that brings back others is none.
    pub cookie: [u8; 8],
    /// The content of the probes.
    pub payload: UdpPayload,
    /// The payload of a probe in octets: from what [`UdpPayload`] takes to
    /// [`MAX_PAYLOAD`](crate::MAX_PAYLOAD).
    pub payload_len: u16,
    /// Whether the sender can send a probe from a source port that only this probe has, whatever
    /// its header says: one whose index has the bit [`APART`](crate::APART). It is for sockets that
    /// hide the UDP header of a quote, and routers that quote no more. The caller writes checksum 0
    /// where the header is hidden. After such an error that quotes nothing else, hops that are
    /// silent are asked again by such probes, but in a burst. Their answers come back with the
    /// header that was written. One that quotes no cookie is [unproven](Changes::UNPROVEN), since
    /// ports can be guessed.
    pub detours: bool,
}

/// The payload of a probe.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
#[cfg_attr(feature = "defmt", derive(defmt::Format))]
#[non_exhaustive]
pub enum UdpPayload {
    /// Balance, cookie and zeros: at least 10 octets. Hardly a server answers that.
    #[default]
    Plain,
    /// A DNS query for the name servers of the root (RFC 1035, section 4) with a cookie (RFC 7873,
    /// section 4): 40 octets. The ID is the balance.
    Dns,
    /// The start of a QUIC connection in a version that nobody knows (RFC 9000, section 6): 1,200
    /// octets. Servers answer with the versions that they know; no cryptography is needed.
    Quic,
}

/// Where in a payload things are, all at even places.
struct Layout {
    /// What is always the same, with zeros for the rest.
    head: &'static [u8],
    balance_at: usize,
    cookie_at: usize,
    /// The least octets.
    len: u16,
}

impl UdpPayload {
    const fn layout(self) -> Layout {
        match self {
            Self::Plain => Layout {
                head: &[],
                balance_at: 0,
                cookie_at: 2,
                len: 10,
            },
            Self::Dns => Layout {
                // One question and one additional record: "." NS IN, and OPT (RFC 6891, section
                // 6.1.2) for 1,232 octets with the option COOKIE (10).
                head: &[
                    0, 0, 1, 0, 0, 1, 0, 0, 0, 0, 0, 1, 0, 0, 2, 0, 1, 0, 0, 41, 4, 208, 0, 0, 0,
                    0, 0, 12, 0, 10, 0, 8,
                ],
                balance_at: 0,
                cookie_at: 32,
                len: 40,
            },
            Self::Quic => Layout {
                // A long header (RFC 8999, section 5.1) with a reserved version (RFC 9000, section
                // 15), and two connection IDs of 8 octets.
                head: &[
                    0xc0, 0x1a, 0x2a, 0x3a, 0x4a, 8, 0, 0, 0, 0, 0, 0, 0, 0, 8, 0,
                ],
                balance_at: 16,
                cookie_at: 6,
                // RFC 9000, section 14.1.
                len: 1200,
            },
        }
    }

    /// The octets that it takes at least.
    #[must_use]
    pub const fn least(self) -> u16 {
        self.layout().len
    }

    const fn default_len(self) -> u16 {
        match self {
            Self::Plain => 24,
            _ => self.least(),
        }
    }

    /// Where the balance, and the cookie if it comes back at all, stand in what a server answers.
    const fn answered(self) -> (usize, Option<usize>) {
        match self {
            Self::Plain => (0, None),
            // Servers may leave the cookie out.
            Self::Dns => (0, None),
            // Connection IDs come back the other way round (RFC 9000, section 17.2.1).
            Self::Quic => (7, Some(15)),
        }
    }
}

impl Udp {
    /// Takes source port, first checksum and cookie from `random`, of which every octet counts.
    /// They tell an answer from a forgery, so nobody else may be able to guess them. The source
    /// port is one of the upper half, where few services listen.
    #[must_use]
    pub const fn new(port: u16, payload: UdpPayload, random: [u8; 16]) -> Self {
        let [a, b, c, d, e, f, rest @ ..] = random;
        let [cookie @ .., y, z] = rest;
        Self {
            source_port: 0x8000 | u16::from_be_bytes([a ^ e, b ^ f]),
            port,
            first: u16::from_be_bytes([c ^ y, d ^ z]),
            cookie,
            payload,
            payload_len: payload.default_len(),
            detours: false,
        }
    }

    /// Reads a UDP datagram (without its IP header) that went from `ends.source` to
    /// `ends.destination` as an answer. The destination is our own address, or the unspecified one
    /// where it isn't known: then the checksum isn't verified.
    ///
    /// # Errors
    /// [`Malformed`].
    pub fn answer(
        ends: Ends,
        hop_limit: Option<u8>,
        datagram: &[u8],
    ) -> Result<Answer<'_>, Malformed> {
        Datagram::parse(ends, datagram)?;
        Ok(Answer {
            from: ends.source,
            hop_limit,
            kind: Kind::Reply,
            icmp: (0, 0),
            mtu: None,
            back: Back::Reply {
                protocol: udp::PROTOCOL,
                message: datagram,
            },
            extensions: Extensions::default(),
        })
    }

    /// The sum of everything in a probe but checksum and balance.
    fn rest(&self, ends: Ends) -> Checksum {
        let len = self.message_len();
        let covered = Checksum::of_pseudo_header(ends, udp::PROTOCOL, len).unwrap_or_default();
        let [_, _, high, low] = u32::try_from(len).unwrap_or_default().to_be_bytes();
        covered
            .with(&self.source_port.to_be_bytes())
            .with(&self.port.to_be_bytes())
            .with(&[high, low])
            .with(self.payload.layout().head)
            .with(&self.cookie)
    }

    fn checksum(&self, index: u16) -> u16 {
        let number = u32::from(self.first).wrapping_add(index.into());
        let checksum = number.checked_rem(CHECKSUMS).unwrap_or_default();
        u16::try_from(checksum).unwrap_or_default().wrapping_add(1)
    }

    /// The index of the probe with this checksum, if there can be one.
    fn index(&self, checksum: u16) -> Option<u16> {
        let first = u32::from(self.checksum(0));
        let number = u32::from(checksum)
            .wrapping_add(CHECKSUMS)
            .wrapping_sub(first);
        let is_one = checksum != 0 && checksum != u16::MAX;
        u16::try_from(number.checked_rem(CHECKSUMS)?)
            .ok()
            .filter(|_| is_one)
    }

    /// The index of the probe with this balance.
    fn index_of_balance(&self, ends: Ends, balance: [u8; 2]) -> Option<u16> {
        self.index(self.rest(ends).with(&balance).finish())
    }
}

impl Protocol for Udp {
    const IDLE: Self = Self {
        source_port: 0,
        port: 0,
        first: 0,
        cookie: [0; 8],
        payload: UdpPayload::Plain,
        payload_len: 0,
        detours: false,
    };

    fn number(&self, _: AddressFamily) -> u8 {
        udp::PROTOCOL
    }

    fn check(&self) -> Result<(), ConfigError> {
        check_range("source_port", self.source_port, 1, u16::MAX)?;
        check_range("port", self.port, 1, u16::MAX)?;
        let least = self.payload.least();
        check_range("payload_len", self.payload_len, least, MAX_PAYLOAD)
    }

    fn message_len(&self) -> usize {
        usize::from(self.payload_len).saturating_add(udp::HEADER_LEN)
    }

    fn emit(&self, ends: Ends, index: u16, message: &mut [u8]) -> Result<(), BufferTooSmall> {
        let layout = self.payload.layout();
        let too_small = BufferTooSmall {
            needed: usize::from(layout.len).saturating_add(udp::HEADER_LEN),
        };
        let checksum = self.checksum(index);
        let balance = self.rest(ends).with(&checksum.to_be_bytes()).finish();
        let payload = message.get_mut(udp::HEADER_LEN..).ok_or(too_small)?;
        if payload.len() < usize::from(layout.len) {
            return Err(too_small);
        }
        payload.fill(0);
        for (to, from) in payload.iter_mut().zip(layout.head) {
            *to = *from;
        }
        put(payload, layout.cookie_at, self.cookie).ok_or(too_small)?;
        put(payload, layout.balance_at, balance.to_be_bytes()).ok_or(too_small)?;
        let is_summed = !ends.source.is_unspecified();
        let checksum = if is_summed { checksum } else { 0 };
        udp::emit(self.source_port, self.port, checksum, message)
    }

    fn recognize(
        &self,
        ends: Ends,
        answer: &Answer<'_>,
        mut changes: Changes,
    ) -> Result<Match, Discard> {
        let layout = self.payload.layout();
        let datagram = read(answer)?;
        let Back::Quoted(quoted) = answer.back else {
            // From the target's port to ours.
            if (datagram.destination, datagram.source) != (self.source_port, self.port) {
                return Err(Discard::NotOurs);
            }
            let (balance_at, cookie_at) = self.payload.answered();
            let is_wrong =
                cookie_at.is_some_and(|at| cut(datagram.payload, at) != Some(self.cookie));
            let index = cut(datagram.payload, balance_at)
                .and_then(|balance| self.index_of_balance(ends, balance))
                .filter(|_| !is_wrong);
            // An answer that returns nothing of the probe can't be credited to one.
            let index = index.ok_or(Discard::NotOurs)?;
            return Ok(Match { index, changes });
        };
        let same_source = datagram.source == self.source_port;
        let by_checksum = self.index(datagram.checksum);
        let cookie = cut(datagram.payload, layout.cookie_at);
        let by_balance = cut(datagram.payload, layout.balance_at)
            .and_then(|balance| self.index_of_balance(ends, balance));
        changes.note(Changes::IDENT, !same_source);
        changes.note(Changes::PORT, datagram.destination != self.port);
        // A translator that changes addresses or ports changes the checksum too, which then says
        // another index.
        let translated = [
            Changes::SOURCE,
            Changes::DESTINATION,
            Changes::IDENT,
            Changes::PORT,
        ];
        let is_translated = translated.iter().any(|change| changes.contains(*change));
        let index = match (cookie == Some(self.cookie), by_balance) {
            // Also with other ports and another checksum: a translator may change them, but nobody
            // else can know the cookie.
            (true, Some(index)) => index,
            _ if is_translated => return Err(Discard::NotOurs),
            (false, _) if cookie.is_some() => return Err(Discard::WrongCookie),
            // Where a kernel keeps the header to itself.
            _ if datagram.checksum == 0 => return Err(Discard::Unattributed),
            // A quote of QUIC may end between the cookie and the balance.
            _ => by_checksum.ok_or(Discard::NotOurs)?,
        };
        // The header is the caller's own then.
        let is_hidden = quoted.header.is_none() && cookie.is_none();
        changes.note(Changes::UNPROVEN, is_hidden);
        let is_summed = !ends.source.is_unspecified() && datagram.checksum != 0;
        changes.note(Changes::CHECKSUM, is_summed && by_checksum != Some(index));
        Ok(Match { index, changes })
    }

    fn detours(&self) -> bool {
        self.detours
    }

    fn may_be_unattributed(&self) -> bool {
        true
    }

    /// Port Unreachable from the target is its answer (RFC 1122, section 4.1.3.1).
    fn is_reply(&self, ends: Ends, error: &Answer<'_>) -> bool {
        let is_port = match ends.family() {
            AddressFamily::V4 => error.icmp == (3, 3),
            AddressFamily::V6 => error.icmp == (1, 4),
        };
        is_port && is_same_address(&error.from, &ends.destination)
    }

    /// The source port, as it came back: a translator may have changed it.
    fn key(answer: &Answer<'_>) -> Result<u32, Malformed> {
        let datagram = read(answer)?;
        let port = match answer.back {
            Back::Reply { .. } => datagram.destination,
            Back::Quoted(_) => datagram.source,
        };
        Ok(u32::from(port) << 16)
    }
}

fn put<const N: usize>(octets: &mut [u8], at: usize, value: [u8; N]) -> Option<()> {
    *octets.get_mut(at..)?.first_chunk_mut()? = value;
    Some(())
}

fn cut<const N: usize>(octets: &[u8], at: usize) -> Option<[u8; N]> {
    octets.get(at..)?.first_chunk().copied()
}

/// Reads the datagram of the target, or the one that an error quotes.
fn read<'a>(answer: &Answer<'a>) -> Result<Datagram<'a>, Malformed> {
    match answer.back {
        Back::Reply { protocol, message }
        | Back::Quoted(Quoted {
            protocol, message, ..
        }) if protocol == udp::PROTOCOL => Datagram::parse_quoted(message),
        _ => Err(Malformed::Foreign),
    }
}
