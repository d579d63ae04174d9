//! IPv4 addresses inside of IPv6 ones, for documents.

use serde::Serialize;
use std::fmt;
use std::net::{IpAddr, Ipv4Addr};

/// An IPv4 address, and why it stands inside of an IPv6 one.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
pub(crate) struct Inside {
    kind: &'static str,
    address: Ipv4Addr,
    #[serde(skip)]
    inside: hopshot_linux::Inside,
}

impl Inside {
    pub(crate) fn of(address: IpAddr) -> Option<Self> {
        let inside = hopshot_linux::Inside::of(address)?;
        Some(Self {
            kind: inside.mechanism.as_str(),
            address: inside.address,
            inside,
        })
    }
}

impl fmt::Display for Inside {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.inside.fmt(f)
    }
}
