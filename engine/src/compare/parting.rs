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

/// How often chance alone may look like a parting at just this hop.
const CHANCE: f64 = 0.01;

/// Returns the first hop at which the paths of two sides part. A hop that is silent on one side is
/// no difference. Where a side of one flow meets several addresses at a hop, or at one beside it,
/// each packet may go its own way, and nothing is beyond doubt. Where each probe of a side is of
/// another flow, that shows no more than that flows go different ways: from there on this side is
/// left out.
pub(super) fn parting(sides: &[Facts]) -> Option<Parting> {
    let mut targets = sides.iter().filter_map(|side| side.target);
    let first = targets.next()?;
    if targets.any(|target| target != first) {
        // Families have no address in common.
        return None;
    }
    let hops = sides.iter().flat_map(|side| &side.hops);
    let last = hops.map(|hop| hop.number).max()?;
    (1..=last).find_map(|hop| {
        let near = hop.saturating_sub(1)..=hop.saturating_add(1);
        let is_near = |mixed: u8| near.contains(&mixed);
        let one_flow = sides.iter().filter(|side| !side.has_many_flows);
        if one_flow.flat_map(mixed).any(is_near) {
            return None;
        }
        let mut ways: Vec<Way> = Vec::new();
        let mut own: Vec<&Facts> = Vec::new();
        for side in sides {
            let is_balanced = side.has_many_flows && mixed(side).any(|mixed| mixed <= *near.end());
            // At other distances the target is no other way, nor is a translator that speaks in its
            // name.
            let address = side.hop(hop).and_then(HopFacts::only);
            let Some(address) = address.filter(|address| *address != first && !is_balanced) else {
                continue;
            };
            own.push(side);
            match ways.iter_mut().find(|way| way.address == address) {
                Some(way) => way.sides.push(side.side),
                None => ways.push(Way {
                    sides: vec![side.side],
                    address,
                }),
            }
        }
        (ways.len() > 1).then(|| Parting {
            hop,
            is_exact: hop == 1 || is_common(&own, hop - 1) && is_no_chance(&own, hop),
            has_many_flows: own.iter().any(|side| side.has_many_flows),
            ways,
        })
    })
}

/// The hops at which a side has met several addresses.
fn mixed(side: &Facts) -> impl Iterator<Item = u8> {
    let hops = side.hops.iter().filter(|hop| hop.addresses.len() > 1);
    hops.map(|hop| hop.number)
}

/// Whether all these sides have met one address at a hop.
fn is_common(sides: &[&Facts], hop: u8) -> bool {
    let mut met = sides
        .iter()
        .map(|side| side.hop(hop).and_then(HopFacts::only));
    let first = met.next().flatten();
    first.is_some() && met.all(|address| address == first)
}

/// Whether a balancer before this hop that shares out flows would hardly look like the parting: all
/// flows of a side that ended right before the hop went the way of the other sides, and none of
/// those that got as far did.
fn is_no_chance(sides: &[&Facts], hop: u8) -> bool {
    let address = |side: &Facts, hop| side.hop(hop).and_then(HopFacts::only);
    let is_sure = |side: &&Facts| {
        let others = sides
            .iter()
            .filter(|other| address(other, hop) != address(side, hop));
        let is_apart = |it: &&HopFacts| {
            let there = others.clone().filter_map(|other| other.hop(it.number));
            let mut there = there.flat_map(|hop| &hop.addresses).peekable();
            there.peek().is_some() && there.all(|address| !it.addresses.contains(address))
        };
        // The other sides have one flow that went there, too.
        let before = 1 + side.hop(hop - 1).map_or(0, |hop| hop.rtts.len());
        let behind = side.hops.iter().skip_while(|it| it.number < hop);
        let behind = behind.take_while(is_apart).map(|hop| hop.rtts.len()).sum();
        chance(before, behind) < CHANCE
    };
    let mut many = sides.iter().filter(|side| side.has_many_flows);
    many.all(is_sure)
}

/// Returns how probable it is that so many flows go one way and so many others do not, where it is
/// most probable.
fn chance(one: usize, other: usize) -> f64 {
    let number = |count: usize| u32::try_from(count).unwrap_or(u32::MAX);
    let (one, other) = (number(one), number(other));
    let share = f64::from(one) / f64::from(one.saturating_add(other));
    let power = |base: f64, count: u32| base.powf(f64::from(count));
    power(share, one) * power(1.0 - share, other)
}
