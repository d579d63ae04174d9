//! The hops at which the routers of sides differ, where all paths of each side were looked for.

use super::side::{Side, listed};
use crate::paths::{Completeness, End, Paths};
use std::collections::BTreeSet;
use std::net::IpAddr;

/// Routers that are named in a sentence.
const MOST_NAMED: usize = 4;

/// A hop at which two sides have different routers.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct Difference {
    /// The hop.
    pub hop: u8,
    /// The sides of which all routers there are known, those together that have the same.
    pub sets: Vec<RouterSet>,
}

/// Sides that have the same routers at a hop.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct RouterSet {
    /// The sides.
    pub sides: Vec<Side>,
    /// The addresses of the routers, in their order.
    pub routers: Vec<IpAddr>,
}

/// The routers of a side, by hop.
#[derive(Clone, Debug, Default)]
pub(super) struct Routers {
    pub(super) target: Option<IpAddr>,
    /// Whether no router is missing, as sure as the search was to be.
    pub(super) are_all: bool,
    /// Hop after hop, from the first on; empty where somebody is silent or nobody is known.
    pub(super) hops: Vec<BTreeSet<IpAddr>>,
}

impl Routers {
    /// Reads the routers of a graph.
    pub(super) fn of(paths: &Paths) -> Self {
        let nodes = paths.graph().nodes();
        let target = paths.summary().target;
        let last = nodes.last().map_or(0, |node| node.hop);
        let at = |hop| {
            // Who refuses a probe may stand before the hop that it was for.
            let there = nodes.iter().filter(|node| node.hop == hop);
            let routers = there.filter(|node| node.end != Some(End::Unreachable));
            let addresses: Option<BTreeSet<IpAddr>> = routers.map(|node| node.address).collect();
            // At other distances the target is no other way.
            let others = addresses.into_iter().flatten();
            others.filter(|address| *address != target).collect()
        };
        Self {
            target: Some(target),
            are_all: paths.completeness() == Completeness::Complete,
            hops: (1..=last).map(at).collect(),
        }
    }

    fn at(&self, hop: u8) -> Option<&BTreeSet<IpAddr>> {
        let set = self.hops.get(usize::from(hop).checked_sub(1)?);
        set.filter(|set| !set.is_empty())
    }

    /// Whether the routers of two sides at a hop can't be the same. Where some may be missing they
    /// have to be others altogether.
    fn differ(&self, other: &Self, hop: u8) -> bool {
        let (Some(own), Some(others)) = (self.at(hop), other.at(hop)) else {
            return false;
        };
        match self.are_all && other.are_all {
            true => own != others,
            false => own.is_disjoint(others),
        }
    }
}

/// Returns the hops at which sides have different routers, nearest first.
pub(super) fn differences(sides: &[(Side, Routers)]) -> Vec<Difference> {
    let mut targets = sides.iter().filter_map(|(_, routers)| routers.target);
    let first = targets.next();
    if targets.any(|target| Some(target) != first) {
        // Families have no address in common.
        return Vec::new();
    }
    let last = sides.iter().map(|(_, routers)| routers.hops.len()).max();
    let last = u8::try_from(last.unwrap_or(0)).unwrap_or(u8::MAX);
    let difference = |hop: u8| {
        let differs = |one: &Routers| sides.iter().any(|(_, other)| one.differ(other, hop));
        if !sides.iter().any(|(_, routers)| differs(routers)) {
            return None;
        }
        let mut sets: Vec<RouterSet> = Vec::new();
        for (side, routers) in sides {
            let Some(there) = routers.at(hop) else {
                continue;
            };
            let routers: Vec<IpAddr> = there.iter().copied().collect();
            match sets.iter_mut().find(|set| set.routers == routers) {
                Some(set) => set.sides.push(*side),
                None => sets.push(RouterSet {
                    sides: vec![*side],
                    routers,
                }),
            }
        }
        Some(Difference { hop, sets })
    };
    (1..=last).filter_map(difference).collect()
}

/// Says for people where routers differ, or that none is seen to.
pub(super) fn sentence(differences: &[Difference]) -> String {
    let Some(first) = differences.first() else {
        return "No difference seen between the routers".to_owned();
    };
    let set = |set: &RouterSet| {
        let named: Vec<String> = set
            .routers
            .iter()
            .take(MOST_NAMED)
            .map(IpAddr::to_string)
            .collect();
        let more = match set.routers.len().saturating_sub(MOST_NAMED) {
            0 => String::new(),
            more => format!(" and {more} more"),
        };
        format!("{} by {}{more}", listed(&set.sides), named.join(" or "))
    };
    let sets: Vec<String> = first.sets.iter().map(set).collect();
    let hops: Vec<u8> = differences
        .iter()
        .map(|difference| difference.hop)
        .collect();
    format!("Routers differ at {}: {}", spans(&hops), sets.join(", "))
}

/// Names hops, those in a row together.
fn spans(hops: &[u8]) -> String {
    let rows = hops.chunk_by(|one, next| one.saturating_add(1) == *next);
    let row = |row: &[u8]| match row {
        [first, .., last] => format!("{first} to {last}"),
        row => row.iter().map(u8::to_string).collect(),
    };
    let rows: Vec<String> = rows.map(row).collect();
    let word = if hops.len() == 1 { "hop" } else { "hops" };
    format!("{word} {}", rows.join(", "))
}

#[cfg(test)]
mod tests {
    use super::*;
    use hopshot_core::wire::AddressFamily;

    const SIDES: [Side; 2] = [
        Side::Family(AddressFamily::V4),
        Side::Family(AddressFamily::V6),
    ];

    fn found(are_all: bool, one: &[&[u8]], other: &[&[u8]]) -> Vec<Difference> {
        let routers = |hops: &[&[u8]]| Routers {
            target: Some([192, 0, 2, 80].into()),
            are_all,
            hops: hops
                .iter()
                .map(|hop| hop.iter().map(|it| [10, 0, 0, *it].into()).collect())
                .collect(),
        };
        differences(&[(SIDES[0], routers(one)), (SIDES[1], routers(other))])
    }

    #[test]
    fn sets_differ_where_all_are_known_or_none_is_the_same() {
        let (one, other): (&[&[u8]], &[&[u8]]) = (
            &[&[1], &[2, 3], &[], &[5], &[6]],
            &[&[1], &[3], &[4], &[7], &[8], &[9]],
        );
        let hops = |all| -> Vec<u8> { found(all, one, other).iter().map(|it| it.hop).collect() };
        assert_eq!((hops(true), hops(false)), (vec![2, 4, 5], vec![4, 5]));
        assert_eq!(
            sentence(&found(true, one, other)),
            "Routers differ at hops 2, 4 to 5: IPv4 by 10.0.0.2 or 10.0.0.3, IPv6 by 10.0.0.3"
        );
        let many: &[&[u8]] = &[&[1, 2, 3, 4, 5, 6]];
        assert_eq!(
            sentence(&found(true, many, &[&[1]])),
            "Routers differ at hop 1: IPv4 by 10.0.0.1 or 10.0.0.2 or 10.0.0.3 or 10.0.0.4 and 2 \
             more, IPv6 by 10.0.0.1"
        );
        assert_eq!(
            sentence(&found(true, one, one)),
            "No difference seen between the routers"
        );
    }
}
