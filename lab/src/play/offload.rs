//! Checksums that a kernel leaves to the network card, which a veth pair doesn't have: of TCP
//! segments and UDP datagrams from its own sockets.

use hopshot_core::wire::checksum::Checksum;
use hopshot_core::wire::{AddressFamily, ip};

const TCP: u8 = 6;
const UDP: u8 = 17;

/// Writes the checksum of a packet that has only the sum of its pseudo-header there, as Linux
/// leaves it to the card; `None` if the packet is another, which stays as it is.
pub(super) fn complete(packet: &mut [u8]) -> Option<()> {
    let (header, message) = ip::parse(packet).ok()?;
    let start = match header.ends.family() {
        AddressFamily::V4 => usize::from(packet[0] & 0x0f) * 4,
        AddressFamily::V6 if packet[6] == header.protocol => 40,
        AddressFamily::V6 => return None,
    };
    let at = match header.protocol {
        TCP => 16,
        UDP => 6,
        _ => return None,
    };
    let field = u16::from_be_bytes(message.get(at..at + 2)?.try_into().ok()?);
    let pseudo_header =
        Checksum::of_pseudo_header(header.ends, header.protocol, message.len())?.finish();
    if field != !pseudo_header {
        return None;
    }
    // The pseudo-header is in it already, by the field.
    let sum = match Checksum::new().with(message).finish() {
        // In UDP a zero would say that there is none (RFC 768).
        0 if header.protocol == UDP => 0xffff,
        sum => sum,
    };
    packet
        .get_mut(start + at..start + at + 2)?
        .copy_from_slice(&sum.to_be_bytes());
    Some(())
}

#[cfg(test)]
mod tests {
    use super::*;
    use hopshot_core::wire::Ends;

    /// A packet of each family and protocol with this checksum, or with what Linux leaves there.
    fn packets(checksum: Option<u16>) -> impl Iterator<Item = (ip::Header, Vec<u8>)> {
        let families = [
            ("10.0.0.2", "10.255.0.80"),
            ("2001:db8::2", "2001:db8:ffff::80"),
        ];
        families.into_iter().flat_map(move |(source, destination)| {
            [(TCP, 16), (UDP, 6), (1, 2)].map(|(protocol, at)| {
                let header = ip::Header {
                    ends: Ends {
                        source: source.parse().unwrap(),
                        destination: destination.parse().unwrap(),
                    },
                    hop_limit: 64,
                    traffic_class: 0,
                    protocol,
                };
                let mut message: Vec<u8> = (1..24).collect();
                let sum = Checksum::of_pseudo_header(header.ends, protocol, message.len());
                let left = checksum.unwrap_or(!sum.unwrap().finish());
                message[at..at + 2].copy_from_slice(&left.to_be_bytes());
                let mut packet = vec![0; 64];
                let start = header.emit(message.len(), &mut packet).unwrap();
                packet.truncate(start);
                (header, [packet, message].concat())
            })
        })
    }

    #[test]
    fn what_is_left_to_the_card_becomes_right() {
        for (header, mut packet) in packets(None) {
            let is_completed = complete(&mut packet).is_some();
            assert_eq!(is_completed, header.protocol != 1);
            if is_completed {
                let (_, message) = ip::parse(&packet).unwrap();
                let sum = Checksum::of_pseudo_header(header.ends, header.protocol, message.len());
                assert_eq!(sum.unwrap().with(message).finish(), 0);
            }
        }
    }

    #[test]
    fn a_checksum_that_is_wrong_stays_so() {
        for (_, packet) in packets(Some(0x1234)) {
            for length in 0..=packet.len() {
                let mut packet = packet[..length].to_vec();
                let before = packet.clone();
                assert_eq!(complete(&mut packet), None);
                assert_eq!(packet, before);
            }
        }
    }
}
