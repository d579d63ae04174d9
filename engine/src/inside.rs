//! IPv4 addresses inside of IPv6 ones: what such an address is, and whose.

use std::fmt;
use std::net::{IpAddr, Ipv4Addr};

/// An IPv4 address, and why it stands inside of an IPv6 one.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct Inside {
    /// The mechanism that put it there.
    pub mechanism: Mechanism,
    /// The address.
    pub address: Ipv4Addr,
}

/// A mechanism that puts IPv4 addresses into IPv6 ones.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum Mechanism {
    /// An IPv4 router that carries IPv6 by labels and has no IPv6 address: ::ffff:0:0/96 (RFC
    /// 4798).
    SixPe,
    /// An IPv4 host as IPv6 hosts see it: 64:ff9b::/96 (RFC 6052), 64:ff9b:1::/48 (RFC 8215).
    Nat64,
    /// A network behind an IPv4 address: 2002::/16 (RFC 3056).
    SixToFour,
    /// A host behind an IPv4 address, by way of a server: 2001::/32 (RFC 4380).
    Teredo,
}

impl Mechanism {
    /// Returns its name in documents.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::SixPe => "6pe",
            Self::Nat64 => "nat64",
            Self::SixToFour => "6to4",
            Self::Teredo => "teredo",
        }
    }
}

impl Inside {
    /// Returns the IPv4 address inside of an address, if there is one.
    #[must_use]
    pub fn of(address: IpAddr) -> Option<Self> {
        let IpAddr::V6(address) = address else {
            return None;
        };
        let (mechanism, [high, low]) = match address.segments() {
            [0, 0, 0, 0, 0, 0xffff, inside @ ..] => (Mechanism::SixPe, inside),
            [0x64, 0xff9b, 0, 0, 0, 0, inside @ ..] => (Mechanism::Nat64, inside),
            // Networks choose prefixes here themselves (RFC 8215), and only one of 96 bits has this
            // shape.
            [0x64, 0xff9b, 1, _, 0, 0, high @ (1..), low] => (Mechanism::Nat64, [high, low]),
            // The address of the host as others see it; its bits are turned (section 4).
            [0x2001, 0, _, _, _, _, high, low] => (Mechanism::Teredo, [!high, !low]),
            [0x2002, high, low, ..] => (Mechanism::SixToFour, [high, low]),
            _ => return None,
        };
        Some(Self {
            mechanism,
            address: Ipv4Addr::from_bits(u32::from(high) << 16 | u32::from(low)),
        })
    }
}

impl fmt::Display for Inside {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let mechanism = match self.mechanism {
            Mechanism::SixPe => "6PE",
            Mechanism::Nat64 => "NAT64",
            Mechanism::SixToFour => "6to4",
            Mechanism::Teredo => "Teredo",
        };
        write!(f, "{mechanism}: {}", self.address)
    }
}

/// Returns the address whose AS stands for this one: that inside, if there is one.
#[must_use]
pub fn owner(address: IpAddr) -> IpAddr {
    Inside::of(address).map_or(address, |inside| inside.address.into())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_stands_inside_is_told_with_its_reason() {
        for (address, said) in [
            ("::ffff:10.1.2.3", Some("6PE: 10.1.2.3")),
            ("64:ff9b::203.0.113.9", Some("NAT64: 203.0.113.9")),
            ("2002:c000:204::1", Some("6to4: 192.0.2.4")),
            ("2002:c000:204:1:2:3:4:5", Some("6to4: 192.0.2.4")),
            ("64:ff9b:1::203.0.113.9", Some("NAT64: 203.0.113.9")),
            ("64:ff9b:1:abcd::203.0.113.9", Some("NAT64: 203.0.113.9")),
            (
                "2001:0:4136:e378:8000:63bf:3fff:fdd2",
                Some("Teredo: 192.0.2.45"),
            ),
            // Deprecated, a shorter prefix that networks choose themselves, one bit beside each,
            // and IPv4 as it is.
            ("::10.1.2.3", None),
            ("64:ff9b:1:cb00:71:900::", None),
            ("64:ff9b:2::203.0.113.9", None),
            ("2001:1:4136:e378:8000:63bf:3fff:fdd2", None),
            ("64:ff9b::1:203.0.113.9", None),
            ("64:ff9a::203.0.113.9", None),
            ("::fffe:10.1.2.3", None),
            ("::1:ffff:10.1.2.3", None),
            ("2003:c000:204::1", None),
            ("2001:db8::1", None),
            ("10.1.2.3", None),
        ] {
            let address: IpAddr = address.parse().unwrap();
            let inside = Inside::of(address);
            assert_eq!(
                inside.map(|inside| inside.to_string()).as_deref(),
                said,
                "{address}"
            );
            assert_eq!(owner(address) == address, said.is_none(), "{address}");
        }
        assert_eq!(
            owner("2002:c000:204::1".parse().unwrap()),
            IpAddr::from([192, 0, 2, 4])
        );
    }
}
