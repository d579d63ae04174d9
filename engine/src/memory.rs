//! Distances that one trace has learnt, which spare the next one probes.

use hopshot_core::Sweep;
use std::collections::HashMap;
use std::net::IpAddr;
use std::sync::{Arc, Mutex, PoisonError};

/// Places remembered, targets and the networks around them; more than that and the memory starts
/// anew.
const CAPACITY: usize = 65_536;

/// The hosts of a network that its distance is the median of: those that were reached last.
const RECENT: usize = 5;

/// So many of them it must be: of fewer the median is what one alone says.
const ENOUGH: u8 = 3;

/// The distances of targets that were traced before. Clones share what they know.
///
/// A trace of a target that is in here sends its first sweep just so far: hardly a probe is wasted.
/// Where the target isn't, but three neighbours are (the same /24 in IPv4, the same /48 in IPv6;
/// else the same /16, the same /32), it is guessed to be as far away as the median of the last five
/// of these.
///
/// No single host can set what is guessed of its neighbours; three of the last five in a network
/// can. A wrong guess never changes a route. One that is too low costs a round trip for every five
/// hops. One that is too high costs the probes from the target's hop to the guess, which is at
/// most the [farthest hop](hopshot_core::Config::max_hops). In a [`Survey`](crate::Survey) that
/// draws hosts at random no first sweep goes farther than 16 of the last 64 drawn hosts are, or
/// more than half of them if these are few; a guess beyond that costs one more round trip.
#[derive(Clone, Debug)]
pub struct Memory {
    known: Option<Arc<Mutex<HashMap<Place, Distances>>>>,
    /// How far the first sweep to a target may go that was not reached before; clones don't share
    /// this.
    pub(crate) limit: Option<u8>,
}

/// The distances of the hosts at a place that were reached last, the latest first; of a host its
/// own.
#[derive(Clone, Copy, Debug, Default)]
struct Distances {
    recent: [u8; RECENT],
    count: u8,
}

/// A network: its first address, and the length of its prefix, which for a host is all of the
/// address.
type Place = (IpAddr, u8);

impl Default for Memory {
    fn default() -> Self {
        Self::new()
    }
}

impl Memory {
    /// A memory that knows nothing yet.
    #[must_use]
    pub fn new() -> Self {
        Self {
            known: Some(Arc::default()),
            limit: None,
        }
    }

    /// A memory that never knows anything: no trace is spared what another has learnt.
    #[must_use]
    pub const fn none() -> Self {
        Self {
            known: None,
            limit: None,
        }
    }

    /// Whether it never knows anything.
    pub(crate) const fn is_none(&self) -> bool {
        self.known.is_none()
    }

    /// The distance of a target if it was reached before, else the median of those of its near or
    /// its far neighbours.
    #[must_use]
    pub fn distance(&self, target: IpAddr) -> Option<u8> {
        let [own, neighbours] = self.known(target);
        own.or(neighbours)
    }

    /// The distance of a target, if it was reached before.
    pub(crate) fn exactly(&self, target: IpAddr) -> Option<u8> {
        let [own, _] = self.known(target);
        own
    }

    /// The first sweep to a target whose distance can be guessed.
    pub(crate) fn sweep(&self, target: IpAddr) -> Option<Sweep> {
        const STEP: u8 = 5;
        match self.known(target) {
            [Some(first), _] => Some(Sweep::Window { first, step: STEP }),
            [None, Some(guess)] => {
                let first = self.limit.map_or(guess, |limit| limit.min(guess));
                // Neighbours that are really so far cost one round trip more, and no second one.
                Some(Sweep::Window {
                    first,
                    step: STEP.max(guess - first),
                })
            }
            [None, None] => None,
        }
    }

    /// The distance of a target, and that of its near or its far neighbours.
    fn known(&self, target: IpAddr) -> [Option<u8>; 2] {
        let Some(memory) = &self.known else {
            return [None; 2];
        };
        let memory = memory.lock().unwrap_or_else(PoisonError::into_inner);
        let [host, networks @ ..] = places(target);
        let known = networks.iter().filter_map(|network| memory.get(network));
        let mut known = known.filter(|distances| distances.count >= ENOUGH);
        [
            memory.get(&host).and_then(Distances::median),
            known.next().and_then(Distances::median),
        ]
    }

    pub(crate) fn learn(&self, target: IpAddr, distance: u8) {
        let Some(memory) = &self.known else { return };
        let mut memory = memory.lock().unwrap_or_else(PoisonError::into_inner);
        if memory.len() >= CAPACITY {
            memory.clear();
        }
        let [host, networks @ ..] = places(target);
        // A host that is traced again is no further neighbour.
        if memory.insert(host, Distances::one(distance)).is_none() {
            networks
                .into_iter()
                .for_each(|network| memory.entry(network).or_default().push(distance));
        }
    }
}

impl Distances {
    fn one(distance: u8) -> Self {
        let mut distances = Self::default();
        distances.push(distance);
        distances
    }

    fn push(&mut self, distance: u8) {
        self.recent.rotate_right(1);
        let [latest, ..] = &mut self.recent;
        *latest = distance;
        if usize::from(self.count) < RECENT {
            self.count += 1;
        }
    }

    /// Of an even number the lower one in the middle.
    fn median(&self) -> Option<u8> {
        let mut recent = self.recent;
        let known = recent.get_mut(..usize::from(self.count))?;
        known.sort_unstable();
        let middle = known.len().checked_sub(1)? / 2;
        known.get(middle).copied()
    }
}

/// The network that a site is given: the /24 or /48 of an address.
pub(crate) fn network(address: IpAddr) -> IpAddr {
    let [_, (network, _), _] = places(address);
    network
}

/// An address, and the networks around it as a site and as a provider is given them.
fn places(address: IpAddr) -> [Place; 3] {
    match address {
        IpAddr::V4(address) => [32, 24, 16].map(|length| {
            let rest = u32::MAX.checked_shr(length.into()).unwrap_or(0);
            (
                IpAddr::from((address.to_bits() & !rest).to_be_bytes()),
                length,
            )
        }),
        IpAddr::V6(address) => [128, 48, 32].map(|length| {
            let rest = u128::MAX.checked_shr(length.into()).unwrap_or(0);
            (
                IpAddr::from((address.to_bits() & !rest).to_be_bytes()),
                length,
            )
        }),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn clones_share_what_they_know() {
        let (memory, target) = (Memory::new(), IpAddr::from([192, 0, 2, 1]));
        assert_eq!(memory.sweep(target), None);
        memory.clone().learn(target, 7);
        assert_eq!(memory.distance(target), Some(7));
        assert_eq!(
            memory.sweep(target),
            Some(Sweep::Window { first: 7, step: 5 })
        );
    }

    fn address(text: &str) -> IpAddr {
        text.parse().unwrap()
    }

    fn learn(memory: &Memory, hosts: &[&str], distance: u8) {
        hosts
            .iter()
            .for_each(|host| memory.learn(address(host), distance));
    }

    #[test]
    fn a_target_is_guessed_to_be_where_its_neighbours_are_until_it_is_known() {
        let memory = Memory::new();
        learn(&memory, &["192.0.2.1", "192.0.2.2", "192.0.2.3"], 7);
        learn(
            &memory,
            &["2001:db8:1:2::1", "2001:db8:1:3::1", "2001:db8:1::1"],
            9,
        );
        for (target, distance) in [
            ("192.0.2.200", Some(7)),
            ("192.0.3.1", Some(7)),
            ("192.1.3.1", None),
            ("2001:db8:1:ffff::", Some(9)),
            ("2001:db8:2::1", Some(9)),
            ("2001:db9::1", None),
        ] {
            assert_eq!(memory.distance(address(target)), distance, "{target}");
        }
        learn(&memory, &["192.0.2.200"], 8);
        learn(&memory, &["192.0.9.1", "192.0.9.2", "192.0.9.3"], 5);
        let distances = ["192.0.2.1", "192.0.2.200", "192.0.2.9", "192.0.7.1"]
            .map(|target| memory.distance(address(target)));
        assert_eq!(distances, [Some(7), Some(8), Some(7), Some(5)]);
        let none = Memory::none();
        learn(&none, &["192.0.2.1"], 7);
        assert_eq!(none.distance(address("192.0.2.1")), None);
    }

    #[test]
    fn neither_one_host_nor_two_of_five_set_what_is_guessed_of_their_neighbours() {
        for [own, neighbour, honest] in [
            ["192.0.2.66", "192.0.2.9", "192.0.2."],
            ["2001:db8:1::66", "2001:db8:1::9", "2001:db8:1::"],
        ] {
            let memory = Memory::new();
            (0..100).for_each(|_| memory.learn(address(own), 30));
            assert_eq!(
                (
                    memory.distance(address(own)),
                    memory.distance(address(neighbour))
                ),
                (Some(30), None)
            );
            (1..=3).for_each(|host| memory.learn(address(&format!("{honest}{host}")), 12));
            memory.learn(address(&format!("{honest}67")), 1);
            assert_eq!(
                memory.distance(address(neighbour)),
                Some(12),
                "30, 12, 12, 12, 1"
            );
            // A network that has moved is known again when most of the last five say so.
            (21..=23).for_each(|host| memory.learn(address(&format!("{honest}{host}")), 14));
            assert_eq!(memory.distance(address(neighbour)), Some(14));
        }
    }

    #[test]
    fn a_sweep_to_a_neighbour_goes_as_far_as_its_limit_and_then_all_the_way() {
        let mut memory = Memory::new();
        learn(&memory, &["192.0.2.1", "192.0.2.2", "192.0.2.3"], 20);
        for (limit, host, first, step) in [
            (None, "192.0.2.9", 20, 5),
            (Some(25), "192.0.2.9", 20, 5),
            (Some(12), "192.0.2.9", 12, 8),
            (Some(18), "192.0.2.9", 18, 5),
            // Its own distance is no guess.
            (Some(12), "192.0.2.1", 20, 5),
        ] {
            memory.limit = limit;
            assert_eq!(
                memory.sweep(address(host)),
                Some(Sweep::Window { first, step }),
                "{limit:?} {host}"
            );
            assert_eq!(memory.clone().distance(address(host)), Some(20));
        }
    }

    #[test]
    fn a_network_is_neither_the_host_nor_the_larger_network_that_has_its_address() {
        let memory = Memory::new();
        learn(&memory, &["192.0.0.1", "192.0.0.2", "192.0.0.3"], 7);
        learn(&memory, &["192.0.2.1", "192.0.2.2", "192.0.2.3"], 9);
        learn(&memory, &["192.0.255.1", "192.0.255.2", "192.0.255.3"], 5);
        learn(&memory, &["192.0.3.1", "192.0.3.2", "192.0.3.3"], 8);
        // Of its own network, though the larger one has learnt something else since.
        let distances = ["192.0.0.0", "192.0.0.255", "192.0.2.255", "192.0.255.255"];
        let distances = distances.map(|target| memory.distance(address(target)));
        assert_eq!(distances, [Some(7), Some(7), Some(9), Some(5)]);
    }
}
