//! Boxes on the path that change TCP and UDP as it passes: firewalls that hide sequence numbers,
//! routers that clamp the MSS, translators of ports.

use crate::answer::Request;
use crate::hop::Hop;
use crate::translator::{inside, outside};
use crate::transport::{self, ACK, Protocol, SYN, Segment};
use hopshot_core::wire::ip;

/// Who sees a packet.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum View {
    /// Its receiver.
    Arrived,
    /// The client, in a quote that has come back through the boxes.
    Quoted,
}

/// The packet as the boxes leave it; none if they don't change it.
pub(crate) fn pass<'h>(
    request: &Request<'_>,
    boxes: impl Iterator<Item = &'h Hop>,
    view: View,
) -> Option<Vec<u8>> {
    let protocol = request.protocol();
    let mut ports = request.ports()?;
    let mut packet = request.packet.to_vec();
    let message = &mut packet[request.start..];
    for hop in boxes {
        if let Some(mut segment) = Segment::parse(message).filter(|_| protocol == Protocol::Tcp) {
            if let Some(added) = hop.rewrites_seq {
                segment.seq = segment.seq.wrapping_add(added);
                transport::set_seq(message, segment.seq);
            }
            if let Some(greatest) = hop.clamps_mss.filter(|_| segment.has(SYN)) {
                transport::clamp_mss(message, greatest);
            }
        }
        if hop
            .port_nat
            .is_some_and(|nat| view == View::Arrived || nat.leaves_quotes)
        {
            ports.source = outside(ports.source);
            transport::set_source_port(message, protocol, ports.source);
        }
    }
    (packet != request.packet).then_some(packet)
}

/// Changes an answer of the target back. The order of the boxes makes no difference.
pub(crate) fn pass_back<'h>(packet: &mut [u8], boxes: impl Iterator<Item = &'h Hop>) {
    let Ok((header, message)) = ip::parse(packet) else {
        return;
    };
    let start = packet.len() - message.len();
    let protocol = match Protocol::numbered(header.protocol, header.ends.family()) {
        Some(protocol @ (Protocol::Tcp | Protocol::Udp)) => protocol,
        Some(Protocol::Icmp) | None => return,
    };
    let message = &mut packet[start..];
    for hop in boxes {
        if hop.port_nat.is_some() {
            let port = u16::from_be_bytes([message[2], message[3]]);
            transport::set_destination_port(message, protocol, inside(port));
        }
        if let (Some(added), Protocol::Tcp) = (hop.rewrites_seq, protocol)
            && let Some(segment) = Segment::parse(message).filter(|segment| segment.has(ACK))
        {
            transport::set_ack(message, segment.ack.wrapping_sub(added));
        }
    }
}
