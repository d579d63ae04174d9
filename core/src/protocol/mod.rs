//! Kinds of probes: how each is written, and what proves that an answer belongs to it.
//!
//! A tracer is generic over its [`Protocol`], so only the one that is named is linked. Everything
//! behind the match is free of it: the memory, the plan, the patience and the route know hops, not
//! octets.

pub(crate) mod echo;
pub(crate) mod tcp;
pub(crate) mod udp;

use crate::answer::{Answer, Discard};
use crate::config::ConfigError;
use crate::probe::Changes;
use crate::wire::{AddressFamily, BufferTooSmall, Ends, Malformed};

/// A kind of probe, with the identity that all probes of one trace share.
///
/// The tracer numbers its probes from 0, in the order they leave. The index of a probe must come
/// back with every answer to it.
pub trait Protocol {
    /// The protocol of a tracer without a trace: best all zeros, see
    /// [`Tracer::idle`](crate::Tracer::idle).
    const IDLE: Self;

    /// The number of the protocol in IP headers of this version.
    fn number(&self, family: AddressFamily) -> u8;

    /// Checks every range.
    ///
    /// # Errors
    /// The first [`ConfigError`] found.
    fn check(&self) -> Result<(), ConfigError>;

    /// Octets of the message of a probe, without its IP header.
    fn message_len(&self) -> usize;

    /// Writes the probe with this index over the whole of `message`, which has
    /// [`message_len`](Self::message_len) octets.
    ///
    /// # Errors
    /// [`BufferTooSmall`] if it has fewer.
    fn emit(&self, ends: Ends, index: u16, message: &mut [u8]) -> Result<(), BufferTooSmall>;

    /// Finds the probe that an answer belongs to. `ends` are those of the probes. `changes` are
    /// those that the tracer has found, which all protocols have in common: the sender of a reply,
    /// the addresses and the traffic class of a quoted IP header.
    ///
    /// # Errors
    /// [`Discard`] says why it belongs to none.
    fn recognize(
        &self,
        ends: Ends,
        answer: &Answer<'_>,
        changes: Changes,
    ) -> Result<Match, Discard>;

    /// Whether a probe that reaches the target begins a connection there. Then few go past the end,
    /// and each attempt at the target on one flow waits for the answer to the last, since a target
    /// answers one at a time.
    fn connects(&self) -> bool {
        false
    }

    /// Whether some probes leave on flows of their own, see [`Tcp::detours`](crate::Tcp::detours):
    /// then the index of such a probe has the bit [`APART`].
    fn detours(&self) -> bool {
        false
    }

    /// Whether an error may quote too little to tell which probe it is about: it is
    /// [`Discard::Unattributed`] then.
    fn may_be_unattributed(&self) -> bool {
        false
    }

    /// Whether an error about one of the probes is the target's own answer: a
    /// [`Kind::Reply`](crate::Kind::Reply).
    fn is_reply(&self, _ends: Ends, _error: &Answer<'_>) -> bool {
        false
    }

    /// The part of an answer that tells traces on one socket apart.
    ///
    /// # Errors
    /// [`Malformed`] if no probe of this protocol has such an answer.
    fn key(answer: &Answer<'_>) -> Result<u32, Malformed>;
}

/// The bit of an index that says that the probe left on a flow of its own: see
/// [`Protocol::detours`].
pub const APART: u16 = 1 << 15;

/// The probe that an answer belongs to.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[cfg_attr(feature = "defmt", derive(defmt::Format))]
pub struct Match {
    /// The index of the probe, as [`emit`](Protocol::emit) got it. There may be no such probe.
    pub index: u16,
    /// All that came back otherwise than it was sent.
    pub changes: Changes,
}
