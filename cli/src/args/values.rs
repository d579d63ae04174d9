//! How single values are read: each with a text that says what is permitted.

use std::fmt::Display;
use std::net::{IpAddr, Ipv4Addr, SocketAddr};
use std::ops::RangeInclusive;
use std::str::FromStr;
use std::time::Duration;

/// The longest zone below which the name of every IPv6 address fits (RFC 1035, section 2.3.4).
const LONGEST_ZONE: usize = 253 - "origin6.".len() - 2 * 32;

/// A number in a range, of a unit if it has one.
pub(super) fn number<N: Display + FromStr + PartialOrd + Clone>(
    range: RangeInclusive<N>,
    unit: &'static str,
) -> impl Fn(&str) -> Result<N, String> + Clone {
    move |text| {
        let number = text.parse().ok().filter(|number| range.contains(number));
        number.ok_or_else(|| {
            format!("must be {} to {} {unit}", range.start(), range.end())
                .trim_end()
                .to_owned()
        })
    }
}

pub(super) fn seconds(
    range: RangeInclusive<f64>,
) -> impl Fn(&str) -> Result<Duration, String> + Clone {
    let seconds = number(range, "seconds");
    move |text| seconds(text).map(Duration::from_secs_f64)
}

/// A host. A bare number would be one too, 0.0.0.60, but who writes it means the size of probes, as
/// traceroute does.
pub(super) fn host(text: &str) -> Result<String, String> {
    let is_number = !text.is_empty() && text.bytes().all(|octet| octet.is_ascii_digit());
    match (text, text.parse::<u32>()) {
        ("-", _) => {
            Err("it is no host; '--targets -' reads a list of them from standard input".to_owned())
        }
        (_, Ok(size)) if is_number && SIZES.contains(&size) => Err(format!(
            "a number is no host; the size of probes is --size {text}"
        )),
        (_, Ok(address)) if is_number && address > *SIZES.end() => Err(format!(
            "a number is no host; as an address it is {}",
            Ipv4Addr::from_bits(address)
        )),
        _ if is_number => Err("a number is no host; give a name or an address".to_owned()),
        _ => Ok(text.to_owned()),
    }
}

/// The sizes that probes may have (`--size`).
const SIZES: RangeInclusive<u32> = 38..=65_535;

pub(super) fn octet(text: &str) -> Result<u8, String> {
    any_number(text)
        .and_then(|number| u8::try_from(number).ok())
        .ok_or_else(|| "must be 0 to 255, or 0x00 to 0xff".to_owned())
}

pub(super) fn word(text: &str) -> Result<u16, String> {
    any_number(text)
        .and_then(|number| u16::try_from(number).ok())
        .ok_or_else(|| "must be 0 to 65535, or 0x0000 to 0xffff".to_owned())
}

/// An address to send from, and the interface that it has behind it if it is link-local.
#[derive(Clone, Debug)]
pub(super) struct Source {
    pub(super) address: IpAddr,
    pub(super) interface: Option<String>,
}

pub(super) fn source(text: &str) -> Result<Source, String> {
    let (address, interface) = match text.split_once('%') {
        Some((address, interface)) => (address, Some(interface.to_owned())),
        None => (text, None),
    };
    let address: IpAddr = address
        .parse()
        .map_err(|_| "must be an address of this machine; ip address lists them")?;
    let is_link_local = matches!(address, IpAddr::V6(address) if address.is_unicast_link_local());
    match (is_link_local, &interface) {
        (false, Some(_)) => Err(format!(
            "{address} has no zone: only link-local addresses (fe80::/10) have one"
        )),
        (_, Some(interface)) if interface.is_empty() => {
            Err("an interface must follow %, as in fe80::1%eth0".to_owned())
        }
        _ => Ok(Source { address, interface }),
    }
}

/// A zone of DNS, without the dot at its end.
pub(super) fn zone(text: &str) -> Result<String, String> {
    let zone = text.strip_suffix('.').unwrap_or(text);
    let is_label = |label: &str| {
        (1..=63).contains(&label.len())
            && label
                .bytes()
                .all(|octet| octet.is_ascii_alphanumeric() || b"-_".contains(&octet))
    };
    match zone.len() <= LONGEST_ZONE && zone.split('.').all(is_label) {
        true => Ok(zone.to_owned()),
        false => Err(format!(
            "not a zone of DNS, such as asn.example, of at most {LONGEST_ZONE} characters"
        )),
    }
}

/// A server of DNS, by its address.
pub(super) fn server(text: &str) -> Result<SocketAddr, String> {
    let address = || {
        text.parse::<IpAddr>()
            .map(|address| SocketAddr::new(address, 53))
    };
    text.parse()
        .or_else(|_| address())
        .map_err(|_| "not an address, such as 192.0.2.53 or [2001:db8::53]:5353".to_owned())
}

pub(super) fn mark(text: &str) -> Result<u32, String> {
    any_number(text).ok_or_else(|| "must be 0 to 4294967295, or 0x0 to 0xffffffff".to_owned())
}

/// Decimal, or hexadecimal after `0x`, as both are usual for TOS, ident and mark.
fn any_number(text: &str) -> Option<u32> {
    match text.strip_prefix("0x") {
        Some(digits) => u32::from_str_radix(digits, 16).ok(),
        None => text.parse().ok(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn numbers_are_decimal_or_hexadecimal_and_in_range() {
        assert_eq!(octet("184"), Ok(184));
        assert_eq!(octet("0xb8"), Ok(184));
        assert_eq!(word("0xffff"), Ok(65535));
        for wrong in ["256", "0x100", "-1", "", "0x"] {
            assert!(octet(wrong).is_err(), "{wrong}");
        }
        assert!(word("65536").is_err());
    }

    #[test]
    fn a_zone_is_a_name_that_leaves_room_for_the_longest_question() {
        assert_eq!(zone("asn.example.").as_deref(), Ok("asn.example"));
        let longest = ["a".repeat(63), "a".repeat(63), "b".repeat(53)].join(".");
        assert_eq!(zone(&longest).map(|zone| zone.len()), Ok(181));
        let long = format!("{longest}b");
        for wrong in [
            "",
            ".",
            "a..b",
            ".a",
            "a b",
            "a\n",
            "as\u{e4}.example",
            &"a".repeat(64),
            &long,
        ] {
            assert!(zone(wrong).is_err(), "{wrong}");
        }
    }

    #[test]
    fn a_server_is_an_address_with_a_port_or_without() {
        for (text, parsed) in [
            ("192.0.2.53", "192.0.2.53:53"),
            ("192.0.2.53:5353", "192.0.2.53:5353"),
            ("2001:db8::53", "[2001:db8::53]:53"),
            ("[2001:db8::53]:5353", "[2001:db8::53]:5353"),
        ] {
            assert_eq!(
                server(text).map(|server| server.to_string()).as_deref(),
                Ok(parsed)
            );
        }
        for wrong in ["", "ns.example", "192.0.2.53:", "192.0.2.53:65536", ":53"] {
            assert!(server(wrong).is_err(), "{wrong}");
        }
    }

    #[test]
    fn waits_are_positive_and_finite() {
        let wait = seconds(0.001..=3600.0);
        assert_eq!(wait("0.5"), Ok(Duration::from_millis(500)));
        for wrong in ["", "0", "-1", "nan", "inf", "3601", "soon"] {
            assert_eq!(
                wait(wrong),
                Err("must be 0.001 to 3600 seconds".to_owned()),
                "{wrong}"
            );
        }
    }

    #[test]
    fn whatever_a_number_is_not_the_range_is_what_it_must_be_in() {
        let attempts = number(1..=10_u8, "answers");
        assert_eq!(attempts("10"), Ok(10));
        for wrong in ["", "0", "11", "256", "-1", "1.5", "one"] {
            assert_eq!(
                attempts(wrong),
                Err("must be 1 to 10 answers".to_owned()),
                "{wrong}"
            );
        }
        assert_eq!(number(1..=9_u8, "")("0"), Err("must be 1 to 9".to_owned()));
    }

    #[test]
    fn a_bare_number_is_no_host() {
        assert_eq!(
            host("60"),
            Err("a number is no host; the size of probes is --size 60".to_owned())
        );
        assert_eq!(
            host("2130706433"),
            Err("a number is no host; as an address it is 127.0.0.1".to_owned())
        );
        for other in ["0", "37", "99999999999"] {
            assert_eq!(
                host(other),
                Err("a number is no host; give a name or an address".to_owned())
            );
        }
        let list = "it is no host; '--targets -' reads a list of them from standard input";
        assert_eq!(host("-"), Err(list.to_owned()));
        for right in ["", "127.1", "1e100.net", "60.example", "::1"] {
            assert_eq!(host(right).as_deref(), Ok(right));
        }
    }
}
