//! Names and address families.

use crate::error::Error;
use crate::interface::{self, has_zone};
use dns_lookup::{AddrFamily, AddrInfoHints, LookupErrorKind, SockType};
use hopshot_core::wire::AddressFamily;
use hopshot_engine::specified;
use idna::AsciiDenyList;
use std::collections::HashSet;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr, SocketAddrV6};
use std::{fs, io};

/// The address of a host: the first of those that the system's resolver returns, in its order of
/// preference (RFC 6724), or the first of one family. An address is taken as it is, with a zone
/// where it has one (`fe80::1%eth0`), but one of IPv4 that is written as one of IPv6
/// (`::ffff:192.0.2.1`; RFC 4291, section 2.5.5.2) is one of IPv4, and the unspecified one (`::`)
/// is this machine's loopback address. The port is 0.
///
/// # Errors
/// [`Error::NoHost`] if it can be neither an address nor a name, [`Error::Resolve`] if the host has
/// no address at all, [`Error::NoSuchFamily`] if it has none of the family,
/// [`Error::NoSuchInterface`] if the zone of an address names none, [`Error::Zone`] if the address
/// can have no zone.
pub fn resolve(host: &str, family: Option<AddressFamily>) -> Result<SocketAddr, Error> {
    let bare = bare(host);
    if let Some(why) = why_no_host(bare) {
        return Err(Error::NoHost {
            host: host.to_owned(),
            why,
        });
    }
    let found = match address_and_zone(bare) {
        Some((IpAddr::V6(address), Some(zone))) => {
            vec![SocketAddrV6::new(address, 0, 0, scope(address, zone)?).into()]
        }
        Some((address, _)) => vec![SocketAddr::from((address, 0))],
        None => look_up_as_written(bare, family).map_err(|Failed { reason, kind }| {
            let (host, may_pass) = (host.to_owned(), may_pass(kind));
            Error::Resolve {
                host,
                reason,
                may_pass,
            }
        })?,
    };
    let found = found.into_iter().map(as_it_is);
    let mut fitting =
        found.filter(|found| family.is_none_or(|it| it == AddressFamily::of(found.ip())));
    match (fitting.next(), family) {
        (Some(address), _) => Ok(specified(address)),
        (None, Some(family)) => Err(Error::NoSuchFamily {
            host: host.to_owned(),
            family,
        }),
        (None, None) => {
            let reason = io::Error::new(io::ErrorKind::NotFound, "the name has no address");
            Err(Error::Resolve {
                host: host.to_owned(),
                reason,
                may_pass: false,
            })
        }
    }
}

/// An address of IPv4 in the clothes of IPv6 for what it is.
fn as_it_is(found: SocketAddr) -> SocketAddr {
    match found.ip().to_canonical() {
        IpAddr::V4(v4) => SocketAddr::from((v4, 0)),
        IpAddr::V6(_) => found,
    }
}

/// The addresses of a name. One beyond ASCII is looked for as DNS has it (RFC 5891), and then as it
/// is written: files of hosts and mDNS may have it so.
fn look_up_as_written(
    host: &str,
    family: Option<AddressFamily>,
) -> Result<Vec<SocketAddr>, Failed> {
    match idna::domain_to_ascii_cow(host.as_bytes(), AsciiDenyList::EMPTY) {
        // An address with characters that nobody sees is a mistake, not an address.
        Ok(ascii) if !host.is_ascii() && ascii.parse::<IpAddr>().is_err() => {
            look_up(&ascii, family).or_else(|failed| look_up(host, family).map_err(|_| failed))
        }
        _ => look_up(host, family),
    }
}

/// The addresses of a name in ASCII.
///
/// The resolver asks for both families at once. Where one answer comes, and be it that there is no
/// such address, it hides that the other did not: so what is missing is asked for alone.
fn look_up(host: &str, family: Option<AddressFamily>) -> Result<Vec<SocketAddr>, Failed> {
    let both = ask(host, None);
    let is_missing = match &both {
        Ok(found) => family.is_some_and(|family| {
            !found
                .iter()
                .any(|it| AddressFamily::of(as_it_is(*it).ip()) == family)
        }),
        Err(failed) => matches!(failed.kind, LookupErrorKind::NoData),
    };
    if !is_missing {
        return both;
    }
    let families = [AddressFamily::V4, AddressFamily::V6]
        .into_iter()
        .filter(|it| family.is_none_or(|family| family == *it));
    let alone: Vec<_> = families.map(|family| ask(host, Some(family))).collect();
    let (found, failed): (Vec<_>, Vec<_>) = alone.into_iter().partition(Result::is_ok);
    let failed = failed
        .into_iter()
        .find(|failed| failed.as_ref().is_err_and(|failed| may_pass(failed.kind)));
    found.into_iter().next().or(failed).unwrap_or(both)
}

/// Why the resolver has no address.
struct Failed {
    reason: io::Error,
    kind: LookupErrorKind,
}

/// Whether it may have one soon. EAI_AGAIN is also what SERVFAIL and silence become, EAI_FAIL what
/// a refusal does.
const fn may_pass(kind: LookupErrorKind) -> bool {
    matches!(
        kind,
        LookupErrorKind::Again
            | LookupErrorKind::Fail
            | LookupErrorKind::System
            | LookupErrorKind::Memory
    )
}

/// Asks the system's resolver for the addresses of a host, of one family or of both.
#[doc(alias = "getaddrinfo")]
fn ask(host: &str, family: Option<AddressFamily>) -> Result<Vec<SocketAddr>, Failed> {
    let address = match family {
        None => 0,
        Some(AddressFamily::V4) => AddrFamily::Inet.into(),
        Some(AddressFamily::V6) => AddrFamily::Inet6.into(),
    };
    // One socket type, or each address would come three times.
    let hints = AddrInfoHints {
        socktype: SockType::Stream.into(),
        address,
        ..AddrInfoHints::default()
    };
    let found = dns_lookup::getaddrinfo(Some(host), None, Some(hints)).map_err(|error| Failed {
        kind: error.kind(),
        reason: error.into(),
    })?;
    let found: io::Result<Vec<_>> = found
        .map(|found| found.map(|found| found.sockaddr))
        .collect();
    found.map_err(|reason| Failed {
        reason,
        kind: LookupErrorKind::IO,
    })
}

/// The look-ups of a list.
#[derive(Clone, Debug)]
pub(crate) struct Resolver {
    family: Option<AddressFamily>,
    /// The family of the source address, if one was asked for.
    of_source: Option<AddressFamily>,
    names_of_file: HashSet<String>,
}

impl Resolver {
    pub(crate) fn new(family: Option<AddressFamily>, of_source: Option<AddressFamily>) -> Self {
        Self {
            family,
            of_source,
            names_of_file: names_of_file(),
        }
    }

    /// The address of a host: of the family that was asked for, else of that of the source address
    /// if it has one.
    pub(crate) fn resolve(&self, host: &str) -> Result<SocketAddr, Error> {
        match (resolve(host, self.family.or(self.of_source)), self.family) {
            // What is wrong then is the source, and told when the trace begins.
            (Err(Error::NoSuchFamily { .. }), None) => resolve(host, None),
            (found, _) => found,
        }
    }

    /// Whether this machine has a name in its file of hosts. That it is found shows nothing of name
    /// servers.
    pub(crate) fn has_in_file(&self, host: &str) -> bool {
        self.names_of_file.contains(&host.to_lowercase())
    }
}

/// The names that this machine has in its file of hosts, in small letters.
fn names_of_file() -> HashSet<String> {
    let text = fs::read("/etc/hosts").unwrap_or_default();
    names_in(&String::from_utf8_lossy(&text))
}

/// The names in the text of a file of hosts (hosts(5)): all words of a line but the first.
fn names_in(text: &str) -> HashSet<String> {
    let without_comment = |line: &'_ str| line.split('#').next().unwrap_or_default().to_lowercase();
    let names = |line: String| {
        line.split_whitespace()
            .skip(1)
            .map(str::to_owned)
            .collect::<Vec<_>>()
    };
    text.lines().map(without_comment).flat_map(names).collect()
}

/// Whether a resolver has to be asked for the address of a host: not for an address, as [`resolve`]
/// takes it, nor for what can be no host.
#[must_use]
pub fn needs_resolver(host: &str) -> bool {
    let bare = bare(host);
    address_and_zone(bare).is_none() && why_no_host(bare).is_none()
}

/// The address that a host is, and what follows its `%`, which only IPv6 has. Who holds privileges,
/// or has none to open a file, need not ask the C library.
fn address_and_zone(bare: &str) -> Option<(IpAddr, Option<&str>)> {
    match bare.split_once('%') {
        Some((address, zone)) => Some((IpAddr::V6(address.parse().ok()?), Some(zone))),
        None => Some((bare.parse().ok()?, None)),
    }
}

/// The number of the interface that a zone names, or is.
fn scope(address: Ipv6Addr, zone: &str) -> Result<u32, Error> {
    if !has_zone(address) {
        return Err(Error::Zone(address));
    }
    let interface = interface::find(zone).ok_or_else(|| Error::NoSuchInterface(zone.to_owned()))?;
    Ok(interface.number)
}

/// A host without the brackets that an address may have in a URL.
fn bare(host: &str) -> &str {
    host.strip_prefix('[')
        .and_then(|rest| rest.strip_suffix(']'))
        .unwrap_or(host)
}

/// What no resolver need be asked for: it can take seconds to find out, and would tell others (RFC
/// 1123, section 2.1).
fn why_no_host(host: &str) -> Option<&'static str> {
    // Fewer than four numbers are an address as well, and octal ones: inet_aton(3).
    let number = |part: &str| {
        part.parse::<u64>()
            .ok()
            .filter(|_| part == "0" || !part.starts_with('0'))
    };
    let numbers: Option<Vec<u64>> = host.split('.').map(number).collect();
    let is_bad_address = |numbers: Vec<u64>| {
        numbers.len() > 4 || numbers.len() == 4 && numbers.iter().any(|number| *number > 255)
    };
    let is_port = |port: &str| !port.is_empty() && port.bytes().all(|octet| octet.is_ascii_digit());
    let has_port = host
        .rsplit_once(':')
        .is_some_and(|(host, port)| is_port(port) && (host.ends_with(']') || !host.contains(':')));
    let has_ipv4_zone = host
        .split_once('%')
        .is_some_and(|(address, _)| address.parse::<Ipv4Addr>().is_ok());
    match host {
        "" => Some("it is empty"),
        _ if host.len() > LONGEST => Some("a name has at most 253 characters"),
        _ if has_port => Some("with a port it is a service, and ICMP has no ports"),
        "255.255.255.255" => {
            Some("it is the broadcast address, which stands for all hosts of a link")
        }
        "-" => Some("no name is a mere '-'"),
        _ if host.contains('/') => Some("with a '/' it is a network or a URL"),
        _ if host.contains(char::is_whitespace) => Some("no name has a space in it"),
        _ if host.contains(char::is_control) => Some("no name has a control character in it"),
        _ if host.contains('@') => Some("no name has a '@' in it"),
        _ if host.contains(',') => Some("no name has a comma in it"),
        _ if host.contains(':') && address_and_zone(host).is_none() => {
            Some("it is no IPv6 address, and no name has a ':' in it")
        }
        _ if has_ipv4_zone => Some("only IPv6 addresses have a zone, which follows %"),
        _ if numbers.is_some_and(is_bad_address) => {
            Some("an IPv4 address is four numbers from 0 to 255")
        }
        _ => None,
    }
}

/// The longest name, and the dot that may end it (RFC 1035, section 2.3.4).
const LONGEST: usize = 254;

#[cfg(test)]
mod tests {
    use super::*;
    use crate::namespace::in_namespace;

    #[test]
    fn an_address_is_taken_as_it_is_in_brackets_or_not() {
        assert_eq!(
            resolve("192.0.2.1", None).unwrap(),
            SocketAddr::from(([192, 0, 2, 1], 0))
        );
        assert_eq!(
            resolve("[2001:db8::1]", None).unwrap(),
            "[2001:db8::1]:0".parse().unwrap()
        );
    }

    #[test]
    fn an_address_of_ipv4_in_the_clothes_of_ipv6_is_one_of_ipv4() {
        assert_eq!(
            resolve("::ffff:192.0.2.1", None).unwrap(),
            SocketAddr::from(([192, 0, 2, 1], 0))
        );
        assert!(resolve("::ffff:192.0.2.1", Some(AddressFamily::V6)).is_err());
    }

    #[test]
    fn an_address_of_the_other_family_is_an_error_of_its_own() {
        let error = resolve("192.0.2.1", Some(AddressFamily::V6)).unwrap_err();
        assert_eq!(
            error.to_string(),
            "'192.0.2.1' has no IPv6 address; ask for the other family, or for either"
        );
    }

    #[test]
    fn a_name_that_is_not_found_is_an_error_with_the_name() {
        // Where no server can be asked.
        in_namespace(
            "resolve::tests::a_name_that_is_not_found_is_an_error_with_the_name",
            "",
            || {
                let error = resolve("host.invalid", None).unwrap_err();
                assert!(
                    matches!(&error, Error::Resolve { host, .. } if host == "host.invalid"),
                    "{error}"
                );
            },
        );
    }

    #[test]
    fn a_name_beyond_ascii_is_what_dns_calls_it_however_it_is_composed() {
        for (name, ascii) in [
            ("münchen.example", "xn--mnchen-3ya.example"),
            ("mu\u{308}nchen.example", "xn--mnchen-3ya.example"),
            ("MÜNCHEN.Example", "xn--mnchen-3ya.example"),
            ("bücher.tld.", "xn--bcher-kva.tld."),
            ("例え。テスト", "xn--r8jz45g.xn--zckzah"),
            ("_sip.a_b.example", "_sip.a_b.example"),
        ] {
            assert_eq!(
                idna::domain_to_ascii_cow(name.as_bytes(), AsciiDenyList::EMPTY).unwrap(),
                ascii,
                "{name}"
            );
        }
    }

    #[test]
    fn the_file_of_hosts_has_names_behind_addresses() {
        let names = names_in(
            "127.0.0.1 localhost\n#192.0.2.1 no\n192.0.2.2\tRouter router.example # old.example\n\n::1\n",
        );
        assert_eq!(
            names,
            ["localhost", "router", "router.example"]
                .map(str::to_owned)
                .into()
        );
    }

    #[test]
    fn what_can_be_no_host_is_refused_without_asking_anybody() {
        for host in [
            "",
            "[]",
            "example.com:443",
            "192.0.2.1:80",
            "[::1]:443",
            "255.255.255.255",
            "192.0.2.0/24",
            "https://example.com",
            "two hosts",
            "256.0.0.1",
            "192.0.2.1.1",
            "a\u{1b}b",
            "10.4.0.1%eth0",
            "2001:db8:4::1::2",
            "fe80::1::2%eth0",
            "2001:db8:4:1",
            "a,b",
            "192.0.2.1,192.0.2.2",
            "user@example.com",
            "-",
        ] {
            assert!(
                matches!(resolve(host, None), Err(Error::NoHost { .. })),
                "{host}"
            );
        }
        let error = resolve("256.0.0.1", None).unwrap_err();
        let text = "'256.0.0.1' is no host: an IPv4 address is four numbers from 0 to 255; give one address or name";
        assert_eq!(error.to_string(), text);
        // Other ways of writing an address.
        let others = [
            ("127.1", [127, 0, 0, 1]),
            ("0300.0.0.010", [192, 0, 0, 8]),
            ("2130706433", [127, 0, 0, 1]),
        ];
        for (host, address) in others {
            assert_eq!(
                resolve(host, None).unwrap().ip(),
                IpAddr::from(address),
                "{host}"
            );
        }
    }

    #[test]
    fn a_zone_is_the_number_of_its_interface_or_its_name() {
        in_namespace(
            "resolve::tests::a_zone_is_the_number_of_its_interface_or_its_name",
            "",
            || {
                for host in ["fe80::1%lo", "[fe80::1%lo]", "fe80::1%1"] {
                    assert_eq!(
                        resolve(host, None).unwrap().to_string(),
                        "[fe80::1%1]:0",
                        "{host}"
                    );
                    assert!(!needs_resolver(host));
                }
            },
        );
        assert!(
            ["example.com", "fe80%lo", "127.1"]
                .into_iter()
                .all(needs_resolver)
        );
        let none = ["192.0.2.1", "[::1]", "::1%lo", "", "256.0.0.1", "a/b"];
        assert!(!none.into_iter().any(needs_resolver) && !needs_resolver(&"a".repeat(255)));
    }

    #[test]
    fn a_zone_that_is_no_interface_is_told_as_one() {
        in_namespace(
            "resolve::tests::a_zone_that_is_no_interface_is_told_as_one",
            "",
            || {
                let error = resolve("fe80::1%99", None).unwrap_err();
                assert_eq!(
                    error.to_string(),
                    "no interface has the number 99; ip link lists them"
                );
            },
        );
        let error = resolve("fe80::1%nosuch0", None).unwrap_err();
        assert_eq!(
            error.to_string(),
            "no interface is named 'nosuch0'; ip link lists them"
        );
    }

    #[test]
    fn an_address_that_is_the_same_on_all_links_has_no_zone() {
        let error = resolve("::1%lo", None).unwrap_err();
        assert_eq!(
            error.to_string(),
            "::1 has no zone: only link-local addresses (fe80::/10) have one; leave out what follows %"
        );
    }
}
