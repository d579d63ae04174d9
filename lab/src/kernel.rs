//! The client's kernel, as far as it answers by itself.

use crate::answer::wrap;
use crate::transport::{self, Protocol, RST, Segment};
use hopshot_core::wire::ip;

/// The hop limit of a packet that the kernel sends.
const HOP_LIMIT: u8 = 64;

/// The RST that a kernel sends for a TCP segment when no socket of its own has the connection: a
/// SYN/ACK to a raw socket's probe, for instance. None for an RST, and for what is no segment with
/// a right checksum.
///
/// On virtual time this is what keeps a target from holding connections open, as it is on Linux.
#[must_use]
pub fn reset(packet: &[u8]) -> Option<Vec<u8>> {
    let (header, message) = ip::parse(packet).ok()?;
    let protocol = Protocol::numbered(header.protocol, header.ends.family())?;
    let segment = Segment::parse(message).filter(|_| protocol == Protocol::Tcp)?;
    if segment.has(RST) || !transport::is_right(header.ends, protocol, message) {
        return None;
    }
    let answer = segment.refusal();
    let ends = header.ends.reversed();
    let message = transport::segment(ends, &answer, 0, None);
    Some(wrap(ends, Protocol::Tcp, HOP_LIMIT, &message))
}
