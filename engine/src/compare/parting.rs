//! The first hop at which the paths of two sides are different ones.

use super::facts::{Facts, HopFacts};
use super::side::Side;
use std::net::IpAddr;

/// The first hop at which two sides have different addresses, beyond doubt.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct Parting {
    /// The hop.
    pub hop: u8,
    /// Whether all these sides have met the same address at the hop before, if there is one. Else
    /// they may have parted before.
    pub is_exact: bool,
    /// Whether each probe of one of these sides is of another flow: then that alone may be why.
    pub has_many_flows: bool,
    /// The different ways, in the order of the sides.
    pub ways: Vec<Way>,
}

/// Sides that go by one address at a hop.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct Way {
    /// The sides.
    pub sides: Vec<Side>,
    /// The address.
    pub address: IpAddr,
}

/// Returns the first hop at which the paths of two sides part. A hop that is silent on one side is
/// no difference. Where a side meets several addresses at a hop, or at one beside it, each packet
/// may go its own way, and nothing is beyond doubt.
pub(super) fn parting(sides: &[Facts]) -> Option<Parting> {
    let mut targets = sides.iter().filter_map(|side| side.target);
    let first = targets.next()?;
    if targets.any(|target| target != first) {
        // Families have no address in common.
        return None;
    }
    let last = sides
        .iter()
        .flat_map(|side| &side.hops)
        .map(|hop| hop.number);
    let is_mixed = |hop: u8| {
        let mut there = sides.iter().filter_map(|side| side.hop(hop));
        there.any(|hop| hop.addresses.len() > 1)
    };
    let is_doubtful = |hop: &u8| (hop.saturating_sub(1)..=hop.saturating_add(1)).any(is_mixed);
    let mut hops = (1..=last.max()?).filter(|hop| !is_doubtful(hop));
    hops.find_map(|hop| {
        let mut ways: Vec<Way> = Vec::new();
        for side in sides {
            // At other distances the target is no other way, nor is a translator that speaks in its
            // name.
            let address = side.hop(hop).and_then(HopFacts::only);
            let Some(address) = address.filter(|address| *address != first) else {
                continue;
            };
            match ways.iter_mut().find(|way| way.address == address) {
                Some(way) => way.sides.push(side.side),
                None => ways.push(Way {
                    sides: vec![side.side],
                    address,
                }),
            }
        }
        let is_exact = hop == 1 || is_common(sides, &ways, hop - 1);
        let is_of_ways = |side: &&Facts| ways.iter().any(|way| way.sides.contains(&side.side));
        let has_many_flows = sides
            .iter()
            .filter(is_of_ways)
            .any(|side| side.has_many_flows);
        (ways.len() > 1).then_some(Parting {
            hop,
            is_exact,
            has_many_flows,
            ways,
        })
    })
}

/// Whether all sides of these ways have met one address at a hop.
fn is_common(sides: &[Facts], ways: &[Way], hop: u8) -> bool {
    let of_ways = |side: &&Facts| ways.iter().any(|way| way.sides.contains(&side.side));
    let own = sides.iter().filter(of_ways);
    let mut met = own.map(|side| side.hop(hop).and_then(HopFacts::only));
    let first = met.next().flatten();
    first.is_some() && met.all(|address| address == first)
}
