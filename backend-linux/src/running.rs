//! A trace among those of a driver, and what is kept of its answers beside what the core keeps.

use crate::clock::{Clock, Clocks};
use crate::extensions::Extensions;
use crate::near::Head;
use hopshot_core::{Answer, ProbeId, Reply, Tracer};
use std::collections::BTreeMap;

/// Probes that one trace may send: all attempts at all hops, and what silent hops get beyond that.
pub(crate) const CAPACITY: usize = 768;

/// Where the RTTs of the answered probes are from.
pub(crate) type ClocksOf = BTreeMap<ProbeId, Clocks>;

/// What came with the answers, where anything did.
pub(crate) type ExtensionsOf = BTreeMap<ProbeId, Extensions>;

/// One trace among those of a driver.
pub(crate) struct Running {
    pub(crate) tracer: Box<Tracer<CAPACITY>>,
    /// The index of the listener that it sends by and hears.
    pub(crate) listener: usize,
    pub(crate) clocks: ClocksOf,
    pub(crate) extensions: ExtensionsOf,
    pub(crate) scope_id: u32,
    /// What its path is thought to begin with, where it doesn't begin at hop 1.
    pub(crate) head: Option<Head>,
}

impl Running {
    /// Looks whether an answer fits what the path is thought to begin with.
    pub(crate) fn compare(&mut self, reply: &Reply) {
        if self.head.as_mut().is_some_and(|head| !head.fits(reply)) {
            self.go_back();
        }
    }

    /// When it has ended: probes the nearest hops after all if the path isn't known to begin as it was thought. Returns whether
    /// it goes on.
    pub(crate) fn goes_on(&mut self) -> bool {
        self.head.as_ref().is_some_and(|head| head.spared().is_none()) && self.go_back()
    }

    fn go_back(&mut self) -> bool {
        self.head = None;
        self.tracer.start_from(1).is_ok()
    }

    /// Keeps what the tracer doesn't of an answer that it has accepted, in place of what came with a weaker one.
    pub(crate) fn note(&mut self, probe: ProbeId, clock: Clock, answer: &Answer<'_>) {
        self.clocks.entry(probe).or_default().received = clock;
        let extensions = Extensions::copy(&answer.extensions);
        if extensions.is_empty() {
            self.extensions.remove(&probe);
        } else {
            self.extensions.insert(probe, extensions);
        }
    }
}
