//! A gateway on Ethernet, as far as a board can see it: whoever is asked for, it is this one (RFC
//! 826; RFC 4861).

use hopshot_core::wire::checksum::Checksum;
use hopshot_core::wire::{Ends, ip};
use std::net::IpAddr;

const HEADER_LEN: usize = 14;
const ADDRESS: [u8; 6] = [0x02, 0, 0, 0, 0, 0x01];
const IPV4: [u8; 2] = [0x08, 0x00];
const ARP: [u8; 2] = [0x08, 0x06];
const IPV6: [u8; 2] = [0x86, 0xdd];

const NEIGHBOR_SOLICITATION: u8 = 135;
const NEIGHBOR_ADVERTISEMENT: u8 = 136;
/// Solicited, and to replace what is known.
const FLAGS: u8 = 0x60;
/// Who isn't on this link doesn't get such a message, so all come with this hop limit (RFC 4861,
/// section 4.3).
const NEIGHBOR_HOP_LIMIT: u8 = 255;

/// The gateway, with what it has learnt of the board.
#[derive(Default)]
pub(crate) struct Gateway {
    board: Option<[u8; 6]>,
}

/// What a frame was.
pub(crate) enum Taken<'f> {
    /// A question to the gateway; its answer, as a frame.
    Question(Vec<u8>),
    /// A packet to send on.
    Packet(&'f [u8]),
    /// Nothing to a gateway.
    Nothing,
}

impl Gateway {
    /// Takes a frame from the board.
    pub(crate) fn take<'f>(&mut self, frame: &'f [u8]) -> Taken<'f> {
        let Some((header, body)) = frame.split_first_chunk::<HEADER_LEN>() else {
            return Taken::Nothing;
        };
        self.board = header[6..12].try_into().ok();
        let reply = match [header[12], header[13]] {
            ARP => arp_reply(body).and_then(|body| self.frame(ARP, &body)),
            // Without the padding of short frames.
            IPV4 if body.len() >= 20 => {
                let len = usize::from(u16::from_be_bytes([body[2], body[3]]));
                return body.get(..len).map_or(Taken::Nothing, Taken::Packet);
            }
            IPV6 if body.len() >= 40 => match advertisement(body) {
                Some(packet) => self.frame(IPV6, &packet),
                None => {
                    let len = 40 + usize::from(u16::from_be_bytes([body[4], body[5]]));
                    return body.get(..len).map_or(Taken::Nothing, Taken::Packet);
                }
            },
            _ => None,
        };
        reply.map_or(Taken::Nothing, Taken::Question)
    }

    /// Puts a packet for the board into a frame; `None` before the board has been heard.
    pub(crate) fn wrap(&self, packet: &[u8]) -> Option<Vec<u8>> {
        self.frame(
            if packet.first()? >> 4 == 4 {
                IPV4
            } else {
                IPV6
            },
            packet,
        )
    }

    fn frame(&self, ether_type: [u8; 2], body: &[u8]) -> Option<Vec<u8>> {
        Some([&self.board?[..], &ADDRESS, &ether_type, body].concat())
    }
}

/// Answers a question for any IPv4 address.
fn arp_reply(request: &[u8]) -> Option<Vec<u8>> {
    let request = request.get(..28)?;
    let (kind, operation) = (&request[..6], &request[6..8]);
    let (asker, asked) = (&request[8..18], &request[24..28]);
    (operation == [0, 1]).then(|| [kind, &[0, 2], &ADDRESS, asked, asker].concat())
}

/// Answers a question for any IPv6 address.
fn advertisement(packet: &[u8]) -> Option<Vec<u8>> {
    let (header, message) = ip::parse(packet).ok()?;
    let asked: [u8; 16] = message.get(8..24)?.try_into().ok()?;
    if !header.is_icmp()
        || message[0] != NEIGHBOR_SOLICITATION
        || header.hop_limit != NEIGHBOR_HOP_LIMIT
    {
        return None;
    }
    let ends = Ends {
        source: IpAddr::from(asked),
        destination: header.ends.source,
    };
    let option = [&[2, 1], &ADDRESS[..]].concat();
    let mut answer = [
        &[NEIGHBOR_ADVERTISEMENT, 0, 0, 0, FLAGS, 0, 0, 0],
        &asked[..],
        &option,
    ]
    .concat();
    let checksum = Checksum::of_ends(ends, answer.len())?
        .with(&answer)
        .finish();
    answer[2..4].copy_from_slice(&checksum.to_be_bytes());
    let header = ip::Header { ends, ..header };
    let mut packet = vec![0; 40];
    header.emit(answer.len(), &mut packet).ok()?;
    packet.extend(answer);
    Some(packet)
}
