//! What one trace learnt that spares the next one probes.

use hopshot_core::Sweep;
use std::collections::HashMap;
use std::net::IpAddr;
use std::sync::{Arc, Mutex, PoisonError};

/// Targets remembered; more than that and the memory starts anew.
const CAPACITY: usize = 65_536;

/// The distances of targets that were traced before. Clones share what they know.
///
/// A trace of a target that is in here sends its first sweep just so far: hardly a probe is wasted. If the path has become
/// longer since, it takes one more round trip, and is right all the same; if it has become shorter, the difference is wasted.
#[derive(Clone, Debug, Default)]
pub struct Memory(Arc<Mutex<HashMap<IpAddr, u8>>>);

impl Memory {
    /// A memory that knows nothing yet.
    #[must_use]
    pub fn new() -> Self {
        Self::default()
    }

    /// The distance of a target, if it was reached before.
    #[must_use]
    pub fn distance(&self, target: IpAddr) -> Option<u8> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner).get(&target).copied()
    }

    /// The first sweep to a target that was reached before.
    pub(crate) fn sweep(&self, target: IpAddr) -> Option<Sweep> {
        self.distance(target).map(|first| Sweep::Window { first, step: 5 })
    }

    pub(crate) fn learn(&self, target: IpAddr, distance: u8) {
        let mut distances = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        if distances.len() >= CAPACITY {
            distances.clear();
        }
        distances.insert(target, distance);
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
}
