//! Names and address families.

use crate::Error;
use hopshot_core::wire::Version;
use std::net::{IpAddr, SocketAddr, ToSocketAddrs};

/// An address to trace, with the interface that a link-local one belongs to (else 0).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Destination {
    pub(crate) address: IpAddr,
    pub(crate) scope_id: u32,
}

impl From<SocketAddr> for Destination {
    fn from(address: SocketAddr) -> Self {
        match address {
            SocketAddr::V4(v4) => Self { address: (*v4.ip()).into(), scope_id: 0 },
            SocketAddr::V6(v6) => Self { address: (*v6.ip()).into(), scope_id: v6.scope_id() },
        }
    }
}

/// The address of a host: the first of those that the system's resolver returns, in its order of preference (RFC 6724), or
/// the first of one family. An address is taken as it is, with a zone where it has one (`fe80::1%eth0`).
///
/// # Errors
/// [`Error::Resolve`] if the host has no address at all, [`Error::NoSuchFamily`] if it has none of the family.
pub(crate) fn resolve(host: &str, family: Option<Version>) -> Result<Destination, Error> {
    let bare = host.strip_prefix('[').and_then(|rest| rest.strip_suffix(']')).unwrap_or(host);
    let found = (bare, 0).to_socket_addrs().map_err(|reason| Error::Resolve { host: host.to_owned(), reason })?;
    let mut fitting =
        found.map(Destination::from).filter(|found| family.is_none_or(|it| it == Version::of(found.address)));
    match (fitting.next(), family) {
        (Some(destination), _) => Ok(destination),
        (None, Some(family)) => Err(Error::NoSuchFamily { host: host.to_owned(), family }),
        (None, None) => {
            let reason = std::io::Error::new(std::io::ErrorKind::NotFound, "the name has no address");
            Err(Error::Resolve { host: host.to_owned(), reason })
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_address_is_taken_as_it_is_in_brackets_or_not() {
        assert_eq!(resolve("192.0.2.1", None).unwrap().address, IpAddr::from([192, 0, 2, 1]));
        assert_eq!(resolve("[2001:db8::1]", None).unwrap().address, "2001:db8::1".parse::<IpAddr>().unwrap());
    }

    #[test]
    fn an_address_of_the_other_family_is_an_error_of_its_own() {
        let error = resolve("192.0.2.1", Some(Version::V6)).unwrap_err();
        assert_eq!(error.to_string(), "'192.0.2.1' has no IPv6 address; leave out -6, or ask for -4");
    }

    #[test]
    fn a_name_that_no_resolver_can_know_is_an_error_with_the_name() {
        let error = resolve("no such host", None).unwrap_err();
        assert!(matches!(&error, Error::Resolve { host, .. } if host == "no such host"), "{error}");
    }
}
