//! The identity of a probe: how it is written so that its answer can be told from everything else.
//!
//! The probes of a trace are numbered in the order they leave; the seq of probe *i* is `first_seq + i`, so finding the probe
//! that an answer belongs to is one bounds-checked look-up. Ident, checksum and cookie are the same in all of them. The
//! payload is two octets of balance (see [`emit_balanced`](crate::wire::icmp::emit_balanced)), the cookie, then zeros.

use crate::answer::{Answer, Discard, Kind};
use crate::config::Config;
use crate::wire::{BufferTooSmall, icmp};

/// Which probe: the hop that it was sent to, and which attempt there.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
#[cfg_attr(feature = "defmt", derive(defmt::Format))]
pub struct ProbeId {
    /// The hop, from 1: the hop limit that the probe left with.
    pub hop: u8,
    /// The attempt at this hop, from 1.
    pub attempt: u8,
}

/// How well an answer proves that it is one.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
#[cfg_attr(feature = "defmt", derive(defmt::Format))]
pub enum Evidence {
    /// The quoted destination, checksum or ident isn't what was sent (a NAT on the path, or a forgery), an Echo Reply came
    /// from another address than the target's, or an error is [unproven](Changes::UNPROVEN).
    Weak,
    /// Everything that counts came back as it was sent, and an Echo Reply came from the target.
    Strong,
}

/// What came back otherwise than it was sent.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
#[cfg_attr(feature = "defmt", derive(defmt::Format))]
pub struct Changes(u8);

impl Changes {
    /// The quoted destination address: translated on the way to the target.
    pub const DESTINATION: Self = Self(1);
    /// The quoted source address: translated on the way out, and not translated back in the quote.
    pub const SOURCE: Self = Self(2);
    /// The quoted ICMP checksum.
    pub const CHECKSUM: Self = Self(4);
    /// The quoted ident.
    pub const IDENT: Self = Self(8);
    /// The quoted traffic class (TOS): remarked on the way.
    pub const TRAFFIC_CLASS: Self = Self(16);
    /// An Echo Reply's sender, which isn't the target.
    pub const SENDER: Self = Self(32);
    /// The proof of an error, which is missing: it quotes neither the cookie nor a secret checksum with the right destination.
    /// Such an error stands at its hop, as a weak one, and decides nothing.
    pub const UNPROVEN: Self = Self(64);

    /// Whether all of `other` are among these.
    #[must_use]
    pub const fn contains(self, other: Self) -> bool {
        self.0 & other.0 == other.0
    }

    /// Whether everything came back as it was sent.
    #[must_use]
    pub const fn is_empty(self) -> bool {
        self.0 == 0
    }

    /// What this means for an answer: many networks rewrite the source and the traffic class, and neither helps a forger.
    #[must_use]
    pub const fn evidence(self) -> Evidence {
        let harmless = Self::SOURCE.0 | Self::TRAFFIC_CLASS.0;
        if self.0 & !harmless == 0 { Evidence::Strong } else { Evidence::Weak }
    }

    /// What decides between two answers to one probe. Of weak ones a proven one is better: it is a translator's, not a forger's.
    pub(crate) const fn rank(self) -> (bool, Evidence) {
        (!self.contains(Self::UNPROVEN), self.evidence())
    }

    fn note(&mut self, change: Self, changed: bool) {
        if changed {
            self.0 |= change.0;
        }
    }
}

/// Writes probe number `index` to the start of `buf`.
pub(crate) fn emit<'b>(config: &Config, index: u16, buf: &'b mut [u8]) -> Result<&'b [u8], BufferTooSmall> {
    let needed = config.message_len();
    let message = buf.get_mut(..needed).ok_or(BufferTooSmall { needed })?;
    let payload = message.get_mut(icmp::BALANCED_LEN..).ok_or(BufferTooSmall { needed })?;
    payload.fill(0);
    let (cookie, _) = payload.split_first_chunk_mut().ok_or(BufferTooSmall { needed })?;
    *cookie = config.cookie;
    icmp::emit_balanced(config.ends(), config.ident, config.first_seq.wrapping_add(index), config.checksum, message)?;
    Ok(message)
}

/// What came back of the payload that nobody else can know: balance and cookie.
enum Secret {
    Whole,
    /// Right as far as it goes.
    CutShort,
    Wrong,
}

/// Compares what came back with what was sent with this seq. The balance is different in each probe, so that a cookie with
/// another probe's seq is wrong too.
fn read_back(config: &Config, answer: &Answer<'_>) -> Secret {
    let Config { ident, checksum, cookie, .. } = *config;
    let balance = icmp::balance_of(config.ends(), ident, answer.echo.seq, checksum, config.message_len(), &cookie);
    let sent = balance.iter().chain(&cookie);
    let back = answer.echo.payload.iter().take(balance.len().saturating_add(cookie.len()));
    match (sent.clone().zip(back.clone()).all(|(sent, back)| sent == back), back.len() == sent.count()) {
        (false, _) => Secret::Wrong,
        (true, true) => Secret::Whole,
        (true, false) => Secret::CutShort,
    }
}

/// Which probe an answer belongs to, by number, and what came back otherwise than it was sent.
pub(crate) fn recognise(config: &Config, answer: &Answer<'_>) -> Result<(u16, Changes), Discard> {
    let index = answer.echo.seq.wrapping_sub(config.first_seq);
    let same_ident = answer.echo.ident == config.ident;
    let secret = read_back(config, answer);
    match (&secret, same_ident, answer.kind) {
        // Also with another ident: a translator may change it, but nobody else can know the cookie.
        (Secret::Whole, _, _) => {}
        (_, false, _) => return Err(Discard::NotOurs),
        // An Echo Reply brings the whole payload back (RFC 1122, section 3.2.2.6), so one without the cookie isn't one.
        (Secret::Wrong, _, _) | (Secret::CutShort, _, Kind::EchoReply) => return Err(Discard::WrongCookie),
        (Secret::CutShort, true, _) => {}
    }
    let mut changes = Changes::default();
    changes.note(Changes::IDENT, !same_ident);
    changes.note(Changes::SENDER, answer.kind == Kind::EchoReply && answer.from != config.target);
    let source_known = !config.source.is_unspecified();
    // Who fills in the checksum of an ICMPv6 probe whose source isn't known here knows what it is.
    let checksum_known = source_known || config.source.is_ipv4();
    let mut proven = matches!(secret, Secret::Whole);
    if let Some(quoted) = &answer.quoted {
        let same_destination = quoted.destination == config.target;
        let same_checksum = quoted.checksum == config.checksum;
        changes.note(Changes::DESTINATION, !same_destination);
        changes.note(Changes::CHECKSUM, checksum_known && !same_checksum);
        proven |= same_destination && same_checksum && checksum_known && !config.checksum_is_public;
        if let Some(header) = &quoted.header {
            changes.note(Changes::SOURCE, source_known && header.source != config.source);
            changes.note(Changes::TRAFFIC_CLASS, header.traffic_class != config.traffic_class);
        }
    }
    changes.note(Changes::UNPROVEN, !proven);
    Ok((index, changes))
}
