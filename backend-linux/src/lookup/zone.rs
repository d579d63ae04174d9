//! The AS that an address belongs to, and the name of an AS, by TXT records below a zone such as
//! `asn.cymru.com`:
//!
//! | name | text |
//! | --- | --- |
//! | `1.2.0.192.origin.ZONE`, or the 32 nibbles of an IPv6 address and `origin6.ZONE` | `64500 64501 \| 192.0.2.0/24 \| ...` |
//! | `AS64500.ZONE` | `64500 \| ... \| EXAMPLE-NET` |

use super::dns;
use crate::resolve::resolve;
use hopshot_engine::owner;
use std::collections::HashMap;
use std::fmt::Write as _;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr};
use std::sync::{Mutex, PoisonError};

/// The zone that everybody may ask, about public addresses.
pub const PUBLIC_ZONE: &str = "asn.cymru.com";
/// More ASes than so many announce no prefix.
const MOST: usize = 8;
/// Blocks remembered; with more they are forgotten.
const REMEMBERED: usize = 65_536;

/// A zone of DNS that tells the ASes of addresses, and who is asked.
#[derive(Debug)]
pub struct Zone {
    name: String,
    servers: Vec<SocketAddr>,
    /// What the public zone has said of whole blocks of addresses.
    blocks: Mutex<HashMap<IpAddr, Vec<u32>>>,
}

impl Zone {
    /// A zone, and the server to ask if it isn't one of the system's.
    #[must_use]
    pub fn new(name: String, server: Option<SocketAddr>) -> Self {
        let servers = server.map_or_else(system_servers, |server| vec![server]);
        Self {
            name,
            servers,
            blocks: Mutex::default(),
        }
    }

    /// Returns the ASes that announce an address, or the IPv4 address [inside](crate::Inside);
    /// `None` if no server says. Nobody is asked about addresses that aren't public in the
    /// [public zone](PUBLIC_ZONE).
    #[must_use]
    pub fn origin(&self, address: IpAddr) -> Option<Vec<u32>> {
        let address = owner(address);
        let is_public_zone = self.name.eq_ignore_ascii_case(PUBLIC_ZONE);
        if is_public_zone && !is_public(address) {
            return Some(Vec::new());
        }
        let block = block(address);
        let blocks = || self.blocks.lock().unwrap_or_else(PoisonError::into_inner);
        let known = blocks().get(&block).cloned();
        known.or_else(|| {
            let texts = dns::texts(&self.servers, &question(address, &self.name))?;
            let Some(origin) = best(&texts, address) else {
                return Some(Vec::new());
            };
            // Somebody else may announce a part of a wide prefix; but on the internet not a part of
            // a block.
            if is_public_zone && origin.length <= block_length(address) {
                let mut blocks = blocks();
                if blocks.len() >= REMEMBERED {
                    blocks.clear();
                }
                blocks.insert(block, origin.numbers.clone());
            }
            Some(origin.numbers)
        })
    }

    /// Returns what an AS is called, if a server says. A stranger wrote it.
    #[must_use]
    pub fn name(&self, number: u32) -> Option<String> {
        let texts = dns::texts(&self.servers, &format!("AS{number}.{}", self.name))?;
        texts.iter().find_map(|text| {
            let mut fields = text.split('|').map(str::trim);
            let is_it = fields
                .next()
                .is_some_and(|field| parse_number(field) == Some(number));
            let name = fields.nth(3)?;
            (is_it && !name.is_empty()).then(|| name.to_owned())
        })
    }
}

/// The servers that the system asks.
fn system_servers() -> Vec<SocketAddr> {
    let conf = std::fs::read("/etc/resolv.conf").unwrap_or_default();
    let (conf, _bad_lines) = resolv_conf::Config::parse_with_errors(&conf);
    let servers = conf.get_nameservers_or_local();
    let addresses = servers
        .iter()
        .filter_map(|server| resolve(&server.to_string(), None).ok());
    addresses
        .map(|mut address| {
            address.set_port(53);
            address
        })
        .collect()
}

/// What a text says of an address.
struct Origin {
    numbers: Vec<u32>,
    /// That of the prefix.
    length: u8,
}

impl Origin {
    fn parse(text: &str, address: IpAddr) -> Option<Self> {
        let mut fields = text.split('|').map(str::trim);
        let numbers: Option<Vec<u32>> = fields.next()?.split(' ').map(parse_number).collect();
        let (network, length) = fields.next()?.split_once('/')?;
        let (network, length) = (network.parse().ok()?, length.parse().ok()?);
        let numbers = numbers.filter(|numbers| numbers.len() <= MOST)?;
        (masked(network, length)? == masked(address, length)?).then_some(Self { numbers, length })
    }
}

/// The narrowest of the prefixes that texts name, which is the one that packets follow.
fn best(texts: &[String], address: IpAddr) -> Option<Origin> {
    texts
        .iter()
        .filter_map(|text| Origin::parse(text, address))
        .max_by_key(|origin| origin.length)
}

/// The number of an AS: not 0, which is nobody's (RFC 7607).
fn parse_number(text: &str) -> Option<u32> {
    let is_number = text.bytes().all(|octet| octet.is_ascii_digit());
    text.parse().ok().filter(|number| is_number && *number != 0)
}

/// Where the origin of an address is written.
fn question(address: IpAddr, zone: &str) -> String {
    let mut name = String::new();
    match address {
        IpAddr::V4(address) => {
            for octet in address.octets().iter().rev() {
                let _ = write!(name, "{octet}.");
            }
            name + "origin." + zone
        }
        IpAddr::V6(address) => {
            for octet in address.octets().iter().rev() {
                let _ = write!(name, "{:x}.{:x}.", octet & 0xf, octet >> 4);
            }
            name + "origin6." + zone
        }
    }
}

/// The length of the narrowest prefixes that the internet's routers tell each other.
const fn block_length(address: IpAddr) -> u8 {
    match address {
        IpAddr::V4(_) => 24,
        IpAddr::V6(_) => 48,
    }
}

/// The narrowest of such prefixes around an address.
fn block(address: IpAddr) -> IpAddr {
    masked(address, block_length(address)).unwrap_or(address)
}

/// The first address of the prefix of a length around an address, if it has so many bits.
fn masked(address: IpAddr, length: u8) -> Option<IpAddr> {
    match address {
        IpAddr::V4(address) => {
            let mask = u32::MAX
                .checked_shl(32_u32.checked_sub(length.into())?)
                .unwrap_or(0);
            Some(Ipv4Addr::from_bits(address.to_bits() & mask).into())
        }
        IpAddr::V6(address) => {
            let mask = u128::MAX
                .checked_shl(128_u32.checked_sub(length.into())?)
                .unwrap_or(0);
            Some(Ipv6Addr::from_bits(address.to_bits() & mask).into())
        }
    }
}

/// Whether an address can be anybody's on the internet: what is said of others is nobody's business
/// there (RFC 6890).
fn is_public(address: IpAddr) -> bool {
    match address {
        IpAddr::V4(v4) => !matches!(
            v4.octets(),
            [0 | 10 | 127 | 224.., ..]
                | [100, 64..=127, ..]
                | [169, 254, ..]
                | [172, 16..=31, ..]
                | [192, 168, ..]
                | [192, 0, 0 | 2, _]
                | [198, 18 | 19, ..]
                | [198, 51, 100, _]
                | [203, 0, 113, _]
        ),
        // Global unicast, without documentation (RFC 3849, RFC 9637) and what is for protocols (RFC
        // 2928).
        IpAddr::V6(v6) => match v6.segments() {
            [0x2001, 0xdb8 | 0..=0x1ff, ..] | [0x3fff, 0..=0xfff, ..] => false,
            [first, ..] => first >> 13 == 1,
        },
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use simple_dns::rdata::{RData, TXT};
    use simple_dns::{CLASS, Packet, ResourceRecord};
    use std::net::UdpSocket;
    use std::sync::Arc;
    use std::sync::atomic::{AtomicUsize, Ordering::SeqCst};
    use std::thread;

    fn origin(texts: &[&str], address: &str) -> Option<Vec<u32>> {
        let texts: Vec<String> = texts.iter().map(|text| (*text).to_owned()).collect();
        best(&texts, address.parse().unwrap()).map(|origin| origin.numbers)
    }

    #[test]
    fn the_narrowest_prefix_around_an_address_tells_its_ases() {
        let texts = [
            "64500 | 192.0.0.0/16 | ZZ",
            "64501 64502 | 192.0.2.0/24 | ZZ",
            "64503 | 192.0.3.0/25 | ZZ",
        ];
        assert_eq!(origin(&texts, "192.0.2.9"), Some(vec![64501, 64502]));
        assert_eq!(origin(&texts, "192.0.9.9"), Some(vec![64500]));
        assert_eq!(origin(&texts, "198.51.100.9"), None);
        assert_eq!(
            origin(&["64500|2001:db8::/32"], "2001:db8::1"),
            Some(vec![64500])
        );
        assert_eq!(
            origin(&["64500 | 0.0.0.0/0 |"], "192.0.2.9"),
            Some(vec![64500])
        );
        assert_eq!(
            origin(&["64500 | 192.0.2.9/32 |"], "192.0.2.9"),
            Some(vec![64500])
        );
    }

    #[test]
    fn a_text_that_is_not_strictly_one_tells_nothing() {
        for wrong in [
            "",
            "|",
            "64500",
            "64500 |",
            "64500 | 192.0.2.0",
            "64500 | 192.0.2.0/33",
            "64500 | 192.0.2.0/-1",
            "64500 | ::/0",
            "0 | 192.0.2.0/24",
            "+1 | 192.0.2.0/24",
            "4294967296 | 192.0.2.0/24",
            "AS64500 | 192.0.2.0/24",
            "1  2 | 192.0.2.0/24",
            "1 2 3 4 5 6 7 8 9 | 192.0.2.0/24",
            "64500 | 192.0.3.0/24",
        ] {
            assert_eq!(origin(&[wrong], "192.0.2.9"), None, "{wrong}");
        }
    }

    #[test]
    fn questions_are_written_backwards() {
        assert_eq!(
            question("192.0.2.1".parse().unwrap(), "as.example"),
            "1.2.0.192.origin.as.example"
        );
        assert_eq!(
            question("2001:db8::a1".parse().unwrap(), "as.example"),
            format!("1.a.{}8.b.d.0.1.0.0.2.origin6.as.example", "0.".repeat(22))
        );
    }

    #[test]
    fn addresses_that_are_not_on_the_internet_are_not_asked_there() {
        for private in [
            "0.0.0.0",
            "10.1.2.3",
            "100.64.0.1",
            "127.0.0.1",
            "169.254.1.1",
            "172.31.0.1",
            "192.0.0.8",
            "192.0.2.1",
            "192.168.1.1",
            "198.19.0.1",
            "198.51.100.1",
            "203.0.113.1",
            "224.0.0.1",
            "255.255.255.255",
            "::",
            "::1",
            "fe80::1",
            "fd00::1",
            "ff02::1",
            "2001:db8::1",
            "2001:1::1",
            "3fff::1",
            "64:ff9b::1",
        ] {
            assert!(!is_public(private.parse().unwrap()), "{private}");
        }
        for public in [
            "1.0.0.1",
            "100.128.0.1",
            "172.32.0.1",
            "192.0.1.1",
            "223.255.255.1",
            "2001:200::1",
            "2c00::1",
            "3fff:1000::1",
        ] {
            assert!(is_public(public.parse().unwrap()), "{public}");
        }
    }

    /// A zone whose second server, in this process, says the same of every address, and how often
    /// it was asked; the first isn't there.
    fn zone(name: &str, text: &'static str) -> (Zone, Arc<AtomicUsize>) {
        let [absent, server] = [(); 2].map(|()| UdpSocket::bind("127.0.0.1:0").unwrap());
        let servers = vec![absent.local_addr().unwrap(), server.local_addr().unwrap()];
        drop(absent);
        let asked = Arc::new(AtomicUsize::new(0));
        let count = Arc::clone(&asked);
        thread::spawn(move || {
            let mut octets = [0; 512];
            while let Ok((len, client)) = server.recv_from(&mut octets) {
                count.fetch_add(1, SeqCst);
                let mut packet = Packet::parse(&octets[..len]).unwrap().into_reply();
                let name = packet.questions[0].qname.clone();
                let text = RData::TXT(TXT::new().with_string(text).unwrap());
                packet
                    .answers
                    .push(ResourceRecord::new(name, CLASS::IN, 60, text));
                server
                    .send_to(&packet.build_bytes_vec().unwrap(), client)
                    .unwrap();
            }
        });
        (
            Zone {
                name: name.to_owned(),
                servers,
                blocks: Mutex::default(),
            },
            asked,
        )
    }

    #[test]
    fn a_block_of_the_internet_is_asked_about_once_unless_its_parts_have_prefixes_of_their_own() {
        for (name, text, addresses, questions) in [
            (
                PUBLIC_ZONE,
                "64500 | 1.0.0.0/16",
                ["1.0.2.1", "1.0.2.2", "1.0.2.255"],
                1,
            ),
            // Something in a wide prefix may be announced by somebody else, and in a network of
            // one's own by anybody.
            (
                PUBLIC_ZONE,
                "64500 | 1.0.0.0/16",
                ["1.0.2.1", "1.0.3.1", "1.0.2.2"],
                2,
            ),
            (
                PUBLIC_ZONE,
                "64500 | 1.0.2.0/25",
                ["1.0.2.1", "1.0.2.2", "1.0.2.2"],
                3,
            ),
            (
                PUBLIC_ZONE,
                "64500 | 2c00::/32",
                ["2c00::1", "2c00:0:0:9::1", "2c00:0:1::1"],
                2,
            ),
            (
                "as.example",
                "64500 | 10.0.0.0/8",
                ["10.0.0.1", "10.0.0.2", "10.0.0.3"],
                3,
            ),
        ] {
            let (zone, asked) = zone(name, text);
            for address in addresses {
                assert_eq!(
                    zone.origin(address.parse().unwrap()).as_deref(),
                    Some(&[64500][..]),
                    "{address}"
                );
            }
            assert_eq!(asked.load(SeqCst), questions, "{text}");
        }
    }
}
