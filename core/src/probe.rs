//! The identity of a probe: how it is written so that its answer can be told from everything else.
//!
//! The probes of a trace are numbered in the order they leave; the seq of probe *i* is `first_seq + i`, so finding the probe
//! that an answer belongs to is one bounds-checked look-up. Ident, checksum and cookie are the same in all of them. The
//! payload is two octets of balance (see [`emit_balanced`](crate::wire::icmp::emit_balanced)), the cookie, then zeros.

use crate::answer::{Answer, Kind};
use crate::config::Config;
use crate::tracer::Discard;
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
    /// The quoted destination or checksum isn't what was sent (a NAT on the path, or a forgery), or an Echo Reply came from
    /// another address than the target's.
    Weak,
    /// Everything that came back is what was sent, and an Echo Reply came from the target.
    Strong,
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

/// Which probe an answer belongs to, by number, and how well it proves it.
pub(crate) fn recognise(config: &Config, answer: &Answer<'_>) -> Result<(u16, Evidence), Discard> {
    if answer.echo.ident != config.ident {
        return Err(Discard::NotOurs);
    }
    let index = answer.echo.seq.wrapping_sub(config.first_seq);
    let cookie = answer.echo.payload.get(2..).and_then(|rest| rest.first_chunk());
    match (cookie, answer.kind) {
        (Some(cookie), _) if *cookie != config.cookie => return Err(Discard::WrongCookie),
        // An Echo Reply brings the whole payload back (RFC 1122, section 3.2.2.6), so one without the cookie isn't one.
        (None, Kind::EchoReply) => return Err(Discard::WrongCookie),
        _ => {}
    }
    let strong = match (answer.kind, &answer.quoted) {
        (Kind::EchoReply, _) => answer.from == config.target,
        // Without its source the checksum of an ICMPv6 probe isn't known here: whoever filled it in knows.
        (_, Some(quoted)) => {
            quoted.destination == config.target
                && (quoted.checksum == config.checksum || config.source.is_unspecified() && config.source.is_ipv6())
        }
        // Only what a kernel matched against its own socket comes without the quoted header.
        (_, None) => true,
    };
    Ok((index, if strong { Evidence::Strong } else { Evidence::Weak }))
}
