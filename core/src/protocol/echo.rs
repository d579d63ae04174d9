//! Probes that are ICMP Echo Requests.
//!
//! The seq of the probe with index *i* is `first_seq + i`, so one look-up finds the probe that an
//! answer belongs to. Ident, checksum and cookie are the same in all probes. The payload is two
//! octets of balance (see [`emit_balanced`](icmp::emit_balanced)), the cookie, then zeros.

use super::{Match, Protocol};
use crate::answer::{Answer, Back, Discard, Kind, Quoted};
use crate::config::{ConfigError, check_range};
use crate::probe::Changes;
use crate::wire::icmp::{self, QuotedEcho, Type};
use crate::wire::{AddressFamily, BufferTooSmall, Ends, Malformed, ip};

/// The least payload of a probe in octets: two of balance and the cookie.
pub const MIN_PAYLOAD: u16 = 10;
/// The greatest payload of a probe in octets: an IPv4 packet carries no more behind its header and
/// ICMP's.
pub const MAX_PAYLOAD: u16 = 65_507;

/// The identity of a trace whose probes are Echo Requests. [`Echo::new`] gives defaults for
/// everything but the random octets; [`Tracer::new`](crate::Tracer::new) checks the ranges.
///
/// ```
/// use hopshot_core::{Echo, Protocol};
///
/// let random = *b"0123456789abcdef"; // from a real source of randomness
/// let echo = Echo { payload_len: 56, ..Echo::new(random) };
/// assert_eq!(echo.message_len(), 64);
/// ```
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[cfg_attr(feature = "defmt", derive(defmt::Format))]
pub struct Echo {
    /// The ICMP identifier of all probes. Unique among the traces that share an address, best
    /// random.
    pub ident: u16,
    /// The sequence number of the first probe, best random.
    pub first_seq: u16,
    /// The ICMP checksum of all probes. Load balancers that hash it keep all probes on one path;
    /// another value may show another path. Neither 0 nor 65,535.
    pub checksum: u16,
    /// Whether others may know the checksum, as where many traces have the same one. Then only the
    /// cookie proves an error. False by default.
    pub checksum_is_public: bool,
    /// Random octets in the payload of all probes. An answer that brings back others is none.
    pub cookie: [u8; 8],
    /// The payload of a probe in octets, [`MIN_PAYLOAD`] to [`MAX_PAYLOAD`]; 24 by default.
    pub payload_len: u16,
}

impl Echo {
    /// The octets of a probe with the default payload, without its IP header: 32.
    pub const DEFAULT_MESSAGE_LEN: usize = Self::new([0; 16]).message_len();

    /// Takes ident, first seq, checksum and cookie from `random`, of which every octet counts. They
    /// tell an answer from a forgery, so nobody else may be able to guess them:
    /// [`embedding`](crate::embedding#random-octets) says what to do on a board without a source of
    /// randomness.
    #[must_use]
    pub const fn new(random: [u8; 16]) -> Self {
        let [a, b, c, d, e, f, rest @ ..] = random;
        let [cookie @ .., y, z] = rest;
        Self {
            ident: u16::from_be_bytes([a, b]),
            first_seq: u16::from_be_bytes([c ^ y, d ^ z]),
            checksum: match u16::from_be_bytes([e, f]) {
                0 | u16::MAX => 0x5a5a,
                other => other,
            },
            checksum_is_public: false,
            cookie,
            payload_len: 24,
        }
    }

    /// Octets of a probe, without its IP header.
    #[must_use]
    #[expect(
        clippy::as_conversions,
        reason = "any u16 fits, and `From` isn't const"
    )]
    pub const fn message_len(&self) -> usize {
        (self.payload_len as usize).saturating_add(icmp::HEADER_LEN)
    }

    /// Compares what came back with what was sent with this seq. The balance is different in each
    /// probe, so a cookie with another probe's seq is wrong too.
    fn read_back(&self, ends: Ends, echo: &icmp::Echo<'_>) -> Secret {
        let Self {
            ident,
            checksum,
            cookie,
            ..
        } = *self;
        let balance =
            icmp::balance_of(ends, ident, echo.seq, checksum, self.message_len(), &cookie);
        let mut pairs = balance.iter().chain(&cookie).zip(echo.payload);
        match echo.payload.len() {
            _ if pairs.any(|(sent, back)| sent != back) => Secret::Wrong,
            len if len < usize::from(MIN_PAYLOAD) => Secret::CutShort,
            _ => Secret::Whole,
        }
    }
}

impl Protocol for Echo {
    const IDLE: Self = Self {
        ident: 0,
        first_seq: 0,
        checksum: 0,
        checksum_is_public: false,
        cookie: [0; 8],
        payload_len: 0,
    };

    fn number(&self, family: AddressFamily) -> u8 {
        ip::icmp(family)
    }

    fn check(&self) -> Result<(), ConfigError> {
        check_range("payload_len", self.payload_len, MIN_PAYLOAD, MAX_PAYLOAD)?;
        check_range("checksum", self.checksum, 1, u16::MAX.saturating_sub(1))
    }

    fn message_len(&self) -> usize {
        self.message_len()
    }

    fn emit(&self, ends: Ends, index: u16, message: &mut [u8]) -> Result<(), BufferTooSmall> {
        let too_small = BufferTooSmall {
            needed: self.message_len(),
        };
        let payload = message.get_mut(icmp::BALANCED_LEN..).ok_or(too_small)?;
        payload.fill(0);
        let (cookie, _) = payload.split_first_chunk_mut().ok_or(too_small)?;
        *cookie = self.cookie;
        icmp::emit_balanced(
            ends,
            self.ident,
            self.first_seq.wrapping_add(index),
            self.checksum,
            message,
        )
    }

    fn recognize(
        &self,
        ends: Ends,
        answer: &Answer<'_>,
        mut changes: Changes,
    ) -> Result<Match, Discard> {
        let QuotedEcho { checksum, echo } = read(ends.family(), answer)?;
        let same_ident = echo.ident == self.ident;
        let secret = self.read_back(ends, &echo);
        match (&secret, same_ident, answer.kind) {
            // Also with another ident: a translator may change it, but nobody else can know the
            // cookie.
            (Secret::Whole, _, _) => {}
            (_, false, _) => return Err(Discard::NotOurs),
            // An Echo Reply brings the whole payload back (RFC 1122, section 3.2.2.6).
            (Secret::Wrong, _, _) | (Secret::CutShort, _, Kind::Reply) => {
                return Err(Discard::WrongCookie);
            }
            (Secret::CutShort, true, _) => {}
        }
        changes.note(Changes::IDENT, !same_ident);
        let mut proven = matches!(secret, Secret::Whole);
        if let Back::Quoted(Quoted {
            destination: Some(_),
            ..
        }) = &answer.back
        {
            // Only the kernel that fills in the checksum knows it, if the source of an ICMPv6 probe
            // isn't known here.
            let is_known = !ends.source.is_unspecified() || ends.source.is_ipv4();
            let same_checksum = checksum == self.checksum;
            changes.note(Changes::CHECKSUM, is_known && !same_checksum);
            let same_destination = !changes.contains(Changes::DESTINATION);
            proven |= same_destination && same_checksum && is_known && !self.checksum_is_public;
        }
        changes.note(Changes::UNPROVEN, !proven);
        Ok(Match {
            index: echo.seq.wrapping_sub(self.first_seq),
            changes,
        })
    }

    /// Ident and seq.
    fn key(answer: &Answer<'_>) -> Result<u32, Malformed> {
        let icmp::Echo { ident, seq, .. } = read(AddressFamily::of(answer.from), answer)?.echo;
        Ok(u32::from(ident) << 16 | u32::from(seq))
    }
}

/// The part of the payload that came back of which nobody else can know: balance and cookie.
enum Secret {
    Whole,
    /// Right as far as it goes.
    CutShort,
    Wrong,
}

/// Reads the Echo Reply, or the Echo Request that an error quotes.
fn read<'a>(family: AddressFamily, answer: &Answer<'a>) -> Result<QuotedEcho<'a>, Malformed> {
    let (icmp_type, protocol, message) = match answer.back {
        Back::Reply { protocol, message } => (Type::EchoReply, protocol, message),
        Back::Quoted(quoted) => (Type::EchoRequest, quoted.protocol, quoted.message),
    };
    if protocol != ip::icmp(family) {
        return Err(Malformed::Foreign);
    }
    QuotedEcho::of_type(icmp_type, family, message)
}
