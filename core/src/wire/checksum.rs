//! The Internet checksum (RFC 1071), of IPv4 headers, ICMP, ICMPv6, TCP and UDP.

use super::Ends;
use core::net::{IpAddr, Ipv6Addr};

/// ICMPv6's protocol number, part of the pseudo-header (RFC 8200, section 8.1).
const NEXT_HEADER_ICMPV6: u32 = 58;

/// A running one's complement sum.
///
/// ```
/// use hopshot_core::wire::checksum::Checksum;
///
/// // RFC 1071, section 3: the sum of these octets is ddf2.
/// let sum = Checksum::new().with(&[0x00, 0x01, 0xf2, 0x03, 0xf4, 0xf5, 0xf6, 0xf7]);
/// assert_eq!(sum.finish(), !0xddf2);
/// ```
#[derive(Clone, Copy, Debug, Default)]
#[cfg_attr(feature = "defmt", derive(defmt::Format))]
pub struct Checksum(u32);

impl Checksum {
    /// The sum of nothing.
    #[must_use]
    pub const fn new() -> Self {
        Self(0)
    }

    /// What the checksum of an ICMP message of `length` octets covers before the message itself:
    /// nothing in IPv4, the pseudo-header in IPv6 (RFC 4443, section 2.3). `None` where an end
    /// that it would cover isn't known.
    #[must_use]
    pub fn of_ends(ends: Ends, length: usize) -> Option<Self> {
        match (ends.source, ends.destination) {
            (IpAddr::V6(source), IpAddr::V6(destination)) => {
                let (source, destination) = (sum_of(&source), sum_of(&destination));
                let length = fold(u32::try_from(length).unwrap_or(u32::MAX));
                let sum = source.wrapping_add(destination).wrapping_add(length);
                // Of the unspecified address the sum is zero, and of no other.
                (source != 0 && destination != 0)
                    .then_some(Self(fold(sum.wrapping_add(NEXT_HEADER_ICMPV6))))
            }
            (_, IpAddr::V6(_)) => None,
            (_, IpAddr::V4(_)) => Some(Self::new()),
        }
    }

    /// What the checksum of a TCP segment or UDP datagram of `length` octets covers before it: the
    /// pseudo-header (RFC 9293, section 3.1; RFC 768; RFC 8200, section 8.1). `None` where an end
    /// isn't known.
    #[must_use]
    pub fn of_pseudo_header(ends: Ends, protocol: u8, length: usize) -> Option<Self> {
        if ends.source.is_unspecified() || ends.destination.is_unspecified() {
            return None;
        }
        let sum = match (ends.source, ends.destination) {
            (IpAddr::V4(source), IpAddr::V4(destination)) => Self::new()
                .with(&source.octets())
                .with(&destination.octets()),
            (IpAddr::V6(source), IpAddr::V6(destination)) => Self::new()
                .with(&source.octets())
                .with(&destination.octets()),
            _ => return None,
        };
        let length = u32::try_from(length).unwrap_or(u32::MAX).to_be_bytes();
        Some(sum.with(&length).with(&[0, protocol]))
    }

    /// Adds octets as big-endian 16-bit words; an odd last octet is padded with a zero, so only the
    /// last piece of a message may have an odd length.
    #[must_use]
    #[inline(never)]
    pub fn with(self, octets: &[u8]) -> Self {
        let mut sum = self.0;
        let (words, odd) = octets.as_chunks::<2>();
        for word in words {
            sum = fold(sum.wrapping_add(u32::from(u16::from_be_bytes(*word))));
        }
        if let [last] = odd {
            sum = fold(sum.wrapping_add(u32::from(u16::from_be_bytes([*last, 0]))));
        }
        Self(sum)
    }

    /// The checksum: the complement of the sum. Zero when the octets summed include their own right
    /// checksum.
    #[must_use]
    pub fn finish(self) -> u16 {
        let [_, _, high, low] = fold(self.0).to_be_bytes();
        !u16::from_be_bytes([high, low])
    }
}

/// The sum of an address.
#[inline(never)]
fn sum_of(address: &Ipv6Addr) -> u32 {
    Checksum::new().with(&address.octets()).0
}

/// Brings the carry back in (RFC 1071, section 2, "deferred carries"), here after every word: the
/// sum then never outgrows 17 bits, whatever the length.
const fn fold(sum: u32) -> u32 {
    (sum & 0xffff).wrapping_add(sum >> 16)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_odd_last_octet_counts_as_the_high_half_of_a_word() {
        assert_eq!(Checksum::new().with(&[0x12]).finish(), !0x1200);
        assert_eq!(Checksum::new().with(&[]).finish(), 0xffff);
    }

    #[test]
    fn carries_come_back_in_however_long_the_message() {
        let long = [0xff; 200_001];
        assert_eq!(Checksum::new().with(&long).finish(), !0xff00);
    }

    #[test]
    fn the_pseudo_header_needs_both_ends_in_ipv6_and_none_in_ipv4() {
        let ends = |source: &str, destination: &str| Ends {
            source: source.parse().unwrap(),
            destination: destination.parse().unwrap(),
        };
        assert!(Checksum::of_ends(ends("::", "2001:db8::1"), 8).is_none());
        assert!(Checksum::of_ends(ends("10.0.0.1", "2001:db8::1"), 8).is_none());
        assert_eq!(
            Checksum::of_ends(ends("0.0.0.0", "192.0.2.1"), 8)
                .unwrap()
                .finish(),
            0xffff
        );
        // 2001:db8::1 twice: 2 * (2001 + 0db8 + 1), then length 8 and protocol 58.
        let sum = Checksum::of_ends(ends("2001:db8::1", "2001:db8::1"), 8).unwrap();
        assert_eq!(sum.finish(), !(2 * (0x2001 + 0x0db8 + 1) + 8 + 58));
    }
}
