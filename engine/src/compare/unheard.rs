//! Routers that answer one side and not another.

use super::facts::{Facts, HopFacts};
use super::side::Side;

/// The fewest routers that are no chance.
const LEAST: usize = 2;

/// A side that routers on its way don't answer, although they, or others as far away, answer other
/// sides. They may limit their answers: Linux sends a host six errors, then one a second.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct Unheard {
    /// The side.
    pub side: Side,
    /// The hops of these routers, nearest first: two or more.
    pub hops: Vec<u8>,
}

/// Returns the sides that get no answers from routers, in the order of the sides.
pub(super) fn unheard(sides: &[Facts]) -> Vec<Unheard> {
    let protocols = sides
        .iter()
        .filter(|side| matches!(side.side, Side::Protocol(_)));
    let of = |side: &Facts| {
        let others = protocols.clone().filter(|other| other.side != side.side);
        let answers = |number: u8| {
            let mut hops = others.clone().filter_map(|other| other.hop(number));
            hops.any(|hop| is_router(hop, side))
        };
        let silent = side
            .hops
            .iter()
            .filter(|hop| hop.addresses.is_empty() && hop.number < reach(side));
        let numbers = silent.map(|hop| hop.number);
        let hops: Vec<u8> = numbers.filter(|number| answers(*number)).collect();
        (hops.len() >= LEAST).then_some(Unheard {
            side: side.side,
            hops,
        })
    };
    protocols.clone().filter_map(of).collect()
}

/// Returns the first hop that a side is not known to get to. One that nobody answers may get
/// anywhere.
fn reach(side: &Facts) -> u8 {
    let mut heard = side.hops.iter().filter(|hop| !hop.addresses.is_empty());
    heard.next_back().map_or(u8::MAX, |hop| hop.number)
}

fn is_router(hop: &HopFacts, side: &Facts) -> bool {
    let target = side.target;
    hop.addresses.iter().any(|address| Some(*address) != target)
}
