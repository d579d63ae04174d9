//! The flows to trace, drawn at random.

use std::collections::HashSet;

/// How many flows there are: the checksums but for 0 and 65,535, which mean the same.
pub(crate) const FLOWS: u16 = u16::MAX - 1;

/// Flows in a random order, none twice before all had their turn. Only of random ones it is known
/// how often a balancer that looks at few of their bits, or adds octets up, has not shown a next
/// hop yet: those of a sequence may all look the same to it.
pub(crate) struct Flows {
    first: Option<u16>,
    state: u64,
    drawn: HashSet<u16>,
}

impl Flows {
    /// Begins with this flow if one is given; which others follow depends on the seed.
    pub(crate) fn new(first: Option<u16>, seed: u64) -> Self {
        Self {
            first,
            state: seed,
            drawn: HashSet::new(),
        }
    }

    /// The next flow, 1 to 65,534.
    pub(crate) fn draw(&mut self) -> u16 {
        if self.drawn.len() >= FLOWS.into() {
            self.drawn.clear();
        }
        loop {
            let drawn = (mixed(&mut self.state) % u64::from(FLOWS))
                .try_into()
                .map_or(1, |flow: u16| flow + 1);
            let flow = self.first.take().unwrap_or(drawn);
            if self.drawn.insert(flow) {
                return flow;
            }
        }
    }
}

/// The next of a sequence of random numbers: SplitMix64 (G. L. Steele, D. Lea, C. H. Flood, 'Fast
/// Splittable Pseudorandom Number Generators', OOPSLA 2014).
pub(crate) fn mixed(state: &mut u64) -> u64 {
    *state = state.wrapping_add(0x9e37_79b9_7f4a_7c15);
    let mixed = (*state ^ (*state >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
    let mixed = (mixed ^ (mixed >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
    mixed ^ (mixed >> 31)
}
