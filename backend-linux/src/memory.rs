//! What one trace learnt that spares the next one probes.

use hopshot_core::Sweep;
use std::collections::HashMap;
use std::net::IpAddr;
use std::sync::{Arc, Mutex, PoisonError};

/// Places remembered, targets and the networks around them; more than that and the memory starts anew.
const CAPACITY: usize = 65_536;

/// The distances of targets that were traced before. Clones share what they know.
///
/// A trace of a target that is in here, or that has a neighbour here (the same /24 in IPv4, the same /48 in IPv6; else the same
/// /16, the same /32), sends its first sweep just so far: hardly a probe is wasted. If it is farther away than that, it takes
/// one more round trip, and the route is right all the same; if it is nearer, the difference is wasted.
#[derive(Clone, Debug)]
pub struct Memory(Option<Arc<Mutex<HashMap<Place, u8>>>>);

/// A network: its first address, and the length of its prefix, which for a host is all of the address.
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
        Self(Some(Arc::default()))
    }

    /// A memory that never knows anything: no trace is spared what another has learnt.
    #[must_use]
    pub const fn none() -> Self {
        Self(None)
    }

    /// Whether it never knows anything.
    pub(crate) const fn is_none(&self) -> bool {
        self.0.is_none()
    }

    /// The distance of a target if it was reached before, else that of the near or the far neighbour that was reached last.
    #[must_use]
    pub fn distance(&self, target: IpAddr) -> Option<u8> {
        let distances = self.0.as_ref()?.lock().unwrap_or_else(PoisonError::into_inner);
        places(target).iter().find_map(|place| distances.get(place).copied())
    }

    /// The first sweep to a target whose distance can be guessed.
    pub(crate) fn sweep(&self, target: IpAddr) -> Option<Sweep> {
        self.distance(target).map(|first| Sweep::Window { first, step: 5 })
    }

    pub(crate) fn learn(&self, target: IpAddr, distance: u8) {
        let Some(distances) = &self.0 else { return };
        let mut distances = distances.lock().unwrap_or_else(PoisonError::into_inner);
        if distances.len() >= CAPACITY {
            distances.clear();
        }
        distances.extend(places(target).map(|place| (place, distance)));
    }
}

/// An address, and the networks around it as a site and as a provider is given them.
fn places(address: IpAddr) -> [Place; 3] {
    match address {
        IpAddr::V4(address) => [32, 24, 16].map(|length| {
            let rest = u32::MAX.checked_shr(length.into()).unwrap_or(0);
            (IpAddr::from((address.to_bits() & !rest).to_be_bytes()), length)
        }),
        IpAddr::V6(address) => [128, 48, 32].map(|length| {
            let rest = u128::MAX.checked_shr(length.into()).unwrap_or(0);
            (IpAddr::from((address.to_bits() & !rest).to_be_bytes()), length)
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
        assert_eq!(memory.sweep(target), Some(Sweep::Window { first: 7, step: 5 }));
    }

    #[test]
    fn a_target_is_guessed_to_be_where_its_neighbour_is_until_it_is_known() {
        let address = |text: &str| -> IpAddr { text.parse().unwrap() };
        let memory = Memory::new();
        memory.learn(address("192.0.2.1"), 7);
        memory.learn(address("2001:db8:1:2::1"), 9);
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
        memory.learn(address("192.0.2.200"), 8);
        memory.learn(address("192.0.9.1"), 5);
        let distances = ["192.0.2.1", "192.0.2.9", "192.0.7.1"].map(|target| memory.distance(address(target)));
        assert_eq!(distances, [Some(7), Some(8), Some(5)]);
        let none = Memory::none();
        none.learn(address("192.0.2.1"), 7);
        assert_eq!(none.distance(address("192.0.2.1")), None);
    }

    #[test]
    fn a_network_is_neither_the_host_nor_the_larger_network_that_has_its_address() {
        let memory = Memory::new();
        memory.learn([192, 0, 0, 1].into(), 7);
        memory.learn([192, 0, 2, 1].into(), 9);
        memory.learn([192, 0, 255, 1].into(), 5);
        memory.learn([192, 0, 3, 1].into(), 8);
        // Of its own network, though the larger one has learnt something else since.
        let distances = [[192, 0, 0, 0], [192, 0, 0, 255], [192, 0, 2, 255], [192, 0, 255, 255]];
        let distances = distances.map(|target| memory.distance(target.into()));
        assert_eq!(distances, [Some(7), Some(7), Some(9), Some(5)]);
    }
}
