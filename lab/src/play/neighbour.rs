//! Answers to whoever asks for a neighbour's Ethernet address on the veth pair. The client's kernel
//! never asks there; scamper builds its own frames and does.

use hopshot_core::wire::Ends;
use hopshot_core::wire::checksum::Checksum;
use std::net::{IpAddr, Ipv6Addr};

/// The octets of an Ethernet address.
const MAC: usize = 6;
const ETHERNET_HEADER: usize = 14;
const IPV6_HEADER: usize = 40;

/// The start of an ARP request and of its reply: Ethernet, IPv4, the lengths of their addresses,
/// and the operation (RFC 826).
const ARP_REQUEST: [u8; 8] = [0, 1, 8, 0, 6, 4, 0, 1];
const ARP_REPLY: [u8; 8] = [0, 1, 8, 0, 6, 4, 0, 2];
const ARP: usize = 28;

/// Neighbor Discovery (RFC 4861, section 4).
const ICMPV6: u8 = 58;
const SOLICITATION: u8 = 135;
const ADVERTISEMENT: u8 = 136;
const SOLICITED: u8 = 0x40;
const TARGET_ADDRESS: u8 = 2;
/// No router forwards it, so it comes from the link.
const FROM_THE_LINK: u8 = 255;

/// Returns the frame that answers a request for any neighbour, all of which are at `here`; `None`
/// for any other frame.
pub(super) fn answer(frame: &[u8], here: [u8; MAC]) -> Option<Vec<u8>> {
    let (header, packet) = frame.split_at_checked(ETHERNET_HEADER)?;
    let (asker, kind) = (&header[MAC..2 * MAC], &header[2 * MAC..]);
    let packet = match kind {
        [0x08, 0x06] => arp(packet, here)?,
        [0x86, 0xdd] => advertisement(packet, here)?,
        _ => return None,
    };
    Some([asker, &here, kind, &packet].concat())
}

fn arp(request: &[u8], here: [u8; MAC]) -> Option<Vec<u8>> {
    let (start, addresses) = request.get(..ARP)?.split_at(ARP_REQUEST.len());
    let (asker, wanted) = (&addresses[..10], &addresses[16..]);
    // A host that asks for its own address wants to hear that nobody has it.
    let is_request = start == ARP_REQUEST && asker[MAC..] != *wanted;
    is_request.then(|| [&ARP_REPLY, &here[..], wanted, asker].concat())
}

fn advertisement(packet: &[u8], here: [u8; MAC]) -> Option<Vec<u8>> {
    let (header, message) = packet.split_at_checked(IPV6_HEADER)?;
    let asker = Ipv6Addr::from(<[u8; 16]>::try_from(&header[8..24]).ok()?);
    let wanted = Ipv6Addr::from(<[u8; 16]>::try_from(message.get(8..24)?).ok()?);
    // A host without an address looks whether the one that it would like is taken.
    let is_request = header[6..8] == [ICMPV6, FROM_THE_LINK] && message[0] == SOLICITATION;
    if !is_request || asker.is_unspecified() {
        return None;
    }
    let mut message = vec![ADVERTISEMENT, 0, 0, 0, SOLICITED, 0, 0, 0];
    message.extend_from_slice(&wanted.octets());
    message.extend_from_slice(&[TARGET_ADDRESS, 1]);
    message.extend_from_slice(&here);
    let ends = Ends {
        source: IpAddr::V6(wanted),
        destination: IpAddr::V6(asker),
    };
    let sum = Checksum::of_ends(ends, message.len())?
        .with(&message)
        .finish();
    message[2..4].copy_from_slice(&sum.to_be_bytes());
    let length = u8::try_from(message.len()).ok()?;
    let mut packet = vec![0x60, 0, 0, 0, 0, length, ICMPV6, FROM_THE_LINK];
    packet.extend_from_slice(&wanted.octets());
    packet.extend_from_slice(&asker.octets());
    Some([packet, message].concat())
}

#[cfg(test)]
mod tests {
    use super::*;

    const CLIENT: [u8; MAC] = [2, 0, 0, 0, 0, 1];
    const HERE: [u8; MAC] = [2, 0, 0, 0, 0, 9];

    fn frame(kind: [u8; 2], packet: &[u8]) -> Vec<u8> {
        [&[0xff; MAC][..], &CLIENT, &kind, packet].concat()
    }

    fn request(asker: [u8; 4], wanted: [u8; 4]) -> Vec<u8> {
        let packet = [&ARP_REQUEST[..], &CLIENT, &asker, &[0; MAC], &wanted].concat();
        frame([8, 6], &packet)
    }

    fn solicitation(asker: &str) -> Vec<u8> {
        let address = |text: &str| text.parse::<Ipv6Addr>().unwrap().octets();
        let mut packet = vec![0x60, 0, 0, 0, 0, 24, ICMPV6, 255];
        packet.extend_from_slice(&address(asker));
        packet.extend_from_slice(&address("ff02::1:ff00:80"));
        packet.extend_from_slice(&[SOLICITATION, 0, 0, 0, 0, 0, 0, 0]);
        packet.extend_from_slice(&address("2001:db8:ffff::80"));
        frame([0x86, 0xdd], &packet)
    }

    #[test]
    fn any_ipv4_neighbour_is_here() {
        let mut asked = request([10, 0, 0, 2], [10, 255, 0, 80]);
        let expected = [
            &CLIENT[..],
            &HERE,
            &[8, 6],
            &ARP_REPLY,
            &HERE,
            &[10, 255, 0, 80],
            &CLIENT,
            &[10, 0, 0, 2],
        ]
        .concat();
        assert_eq!(answer(&asked, HERE), Some(expected.clone()));
        // Ethernet pads short frames.
        asked.extend_from_slice(&[0; 18]);
        assert_eq!(answer(&asked, HERE), Some(expected));
    }

    #[test]
    fn any_ipv6_neighbour_is_here() {
        let advertised = answer(&solicitation("2001:db8::2"), HERE).unwrap();
        let (header, message) = advertised.split_at(ETHERNET_HEADER + IPV6_HEADER);
        assert_eq!(header[..MAC], CLIENT);
        assert_eq!(header[18..22], [0, 32, ICMPV6, 255]);
        let ends = Ends {
            source: "2001:db8:ffff::80".parse().unwrap(),
            destination: "2001:db8::2".parse().unwrap(),
        };
        let sum = Checksum::of_ends(ends, message.len()).unwrap();
        assert_eq!(sum.with(message).finish(), 0);
        assert_eq!(message[..2], [ADVERTISEMENT, 0]);
        assert_eq!(message[24..], [&[TARGET_ADDRESS, 1][..], &HERE].concat());
    }

    #[test]
    fn nothing_else_is_answered() {
        assert_eq!(answer(&request([10, 0, 0, 2], [10, 0, 0, 2]), HERE), None);
        assert_eq!(answer(&solicitation("::"), HERE), None);
        for asked in [
            request([10, 0, 0, 2], [10, 255, 0, 80]),
            solicitation("2001:db8::2"),
        ] {
            for length in 0..asked.len() {
                assert_eq!(answer(&asked[..length], HERE), None, "{length} octets");
            }
            let reply = answer(&asked, HERE).unwrap();
            assert_eq!(answer(&reply, CLIENT), None);
        }
    }
}
