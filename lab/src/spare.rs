//! UDP sockets of a kernel: one flow, and for each detour a port that only it has. The kernel keeps
//! the header that an error quotes to itself.

use hopshot_core::wire::udp;
use hopshot_core::{Answer, Back};
use std::collections::BTreeMap;

/// Octets of a UDP header.
const HEADER: usize = udp::HEADER_LEN;

/// The first source port of detours.
const FIRST: u16 = 0x4000;

/// The messages that left as detours, by their source port.
#[derive(Debug, Default)]
pub(crate) struct Spares {
    sent: BTreeMap<u16, Vec<u8>>,
}

impl Spares {
    /// Returns a message as it leaves as a detour. Its checksum stays right for the payload.
    pub(crate) fn divert(&mut self, message: &[u8]) -> Vec<u8> {
        let more = u16::try_from(self.sent.len()).unwrap_or(u16::MAX);
        let port = FIRST.wrapping_add(more);
        self.sent.insert(port, message.to_vec());
        let mut diverted = message.to_vec();
        let sum = |octets: &[u8]| u16::from_be_bytes([octets[0], octets[1]]);
        // RFC 1624, section 3: the difference of the ports goes into the checksum.
        let (old, checksum) = (sum(message), sum(&message[6..]));
        let mut total = u32::from(!checksum) + u32::from(!old) + u32::from(port);
        while total > 0xffff {
            total = (total & 0xffff) + (total >> 16);
        }
        diverted[..2].copy_from_slice(&port.to_be_bytes());
        diverted[6..HEADER].copy_from_slice(&(!(total as u16)).to_be_bytes());
        diverted
    }

    /// Returns the source port of the detour that an answer is about, if it is about one.
    pub(crate) fn port_of(&self, answer: &Answer<'_>) -> Option<u16> {
        let (message, at) = match answer.back {
            Back::Quoted(quoted) if quoted.protocol == udp::PROTOCOL => (quoted.message, 0),
            Back::Reply { protocol, message } if protocol == udp::PROTOCOL => (message, 2),
            _ => return None,
        };
        let port = message.get(at..at + 2)?;
        let port = u16::from_be_bytes([port[0], port[1]]);
        self.sent.contains_key(&port).then_some(port)
    }

    /// Puts the header of an answer's message in its place as such a socket knows it, into a copy
    /// in `room`. An answer of another protocol stays as it is.
    pub(crate) fn hide<'b>(&self, answer: Answer<'b>, room: &'b mut [u8]) -> Answer<'b> {
        let message = match answer.back {
            Back::Quoted(quoted) if quoted.protocol == udp::PROTOCOL => quoted.message,
            Back::Reply { protocol, message } if protocol == udp::PROTOCOL => message,
            _ => return answer,
        };
        let (Some(copy), true) = (room.get_mut(..message.len()), message.len() >= HEADER) else {
            return answer;
        };
        copy.copy_from_slice(message);
        let port_at = match answer.back {
            Back::Quoted(_) => 0,
            _ => 2,
        };
        let port = u16::from_be_bytes([message[port_at], message[port_at + 1]]);
        match (self.sent.get(&port), answer.back) {
            (Some(sent), Back::Quoted(_)) => copy[..HEADER].copy_from_slice(&sent[..HEADER]),
            (Some(sent), _) => copy[2..4].copy_from_slice(&sent[..2]),
            (None, Back::Quoted(_)) => copy[6..HEADER].fill(0),
            (None, _) => {}
        }
        let copy = &*copy;
        let back = match answer.back {
            Back::Quoted(quoted) => Back::Quoted(hopshot_core::Quoted {
                message: copy,
                ..quoted
            }),
            Back::Reply { protocol, .. } => Back::Reply {
                protocol,
                message: copy,
            },
            other => other,
        };
        Answer { back, ..answer }
    }
}
