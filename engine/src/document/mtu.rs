//! The document of a search for the MTU of a path.

use super::annotate::Annotate;
use super::trace::{HopDocument, TraceEnd};
use crate::path_mtu::{Limit, MtuRoute};
use serde::{Serialize, Serializer};
use std::net::IpAddr;

/// A search for the MTU of a path that has ended, but for [`MtuBounds`].
#[derive(Debug, Serialize)]
pub struct MtuDocument<'a, K> {
    #[serde(flatten)]
    end: TraceEnd<'a, K>,
    path_mtu: Option<u16>,
    path_mtu_exact: bool,
    mtu_limits: Vec<LimitDocument>,
    hops: Vec<MtuHop<'a, K>>,
}

/// Bounds of the path MTU, in octets. Separate, so that the command can print them last.
#[derive(Clone, Copy, Debug, Serialize)]
pub struct MtuBounds {
    path_mtu_at_least: u16,
    path_mtu_at_most: u16,
}

/// A hop from which on packets are smaller.
#[derive(Debug, Serialize)]
struct LimitDocument {
    hop: u8,
    mtu: u16,
    less_than: Option<u16>,
    from: Option<IpAddr>,
}

#[derive(Debug, Serialize)]
struct MtuHop<'a, K> {
    #[serde(flatten)]
    hop: HopDocument<'a, K>,
    /// The size of the packets that got there.
    mtu: Option<u16>,
}

/// A whole document.
#[derive(Serialize)]
struct Whole<'a> {
    #[serde(flatten)]
    document: MtuDocument<'a, ()>,
    #[serde(flatten)]
    bounds: MtuBounds,
}

impl<'a, K: Default> MtuDocument<'a, K> {
    /// Makes the document of a search.
    #[must_use]
    pub fn new(search: &'a MtuRoute, annotations: &impl Annotate<Known = K>) -> Self {
        let hops = search.stretches().iter().flat_map(|stretch| {
            stretch.hops().map(|hop| MtuHop {
                hop: HopDocument::new(&stretch.route, hop, annotations),
                mtu: hop.is_passed().then_some(stretch.size),
            })
        });
        Self {
            end: TraceEnd::of_search(search, annotations),
            path_mtu: search.path_mtu(),
            path_mtu_exact: search.is_exact(),
            mtu_limits: search.limits().iter().map(LimitDocument::from).collect(),
            hops: hops.collect(),
        }
    }
}

impl From<&MtuRoute> for MtuBounds {
    fn from(search: &MtuRoute) -> Self {
        let (path_mtu_at_least, path_mtu_at_most) = search.bounds();
        Self {
            path_mtu_at_least,
            path_mtu_at_most,
        }
    }
}

impl From<&Limit> for LimitDocument {
    fn from(limit: &Limit) -> Self {
        let Limit {
            hop,
            mtu,
            less_than,
            from,
        } = *limit;
        Self {
            hop,
            mtu,
            less_than,
            from,
        }
    }
}

impl Serialize for MtuRoute {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        let whole = Whole {
            document: MtuDocument::new(self, &()),
            bounds: self.into(),
        };
        whole.serialize(serializer)
    }
}
