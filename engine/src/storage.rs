//! The memory of a trace, which grows as its probes leave.

use crate::protocol::Probes;
use hopshot_core::{Config, Progress, Slot, Storage, TracerIn};

/// Probes that one trace may send: all attempts at all hops, and what silent hops get beyond that.
pub(crate) const CAPACITY: usize = 768;

/// Places that are added at a time: few traces send more than a handful of probes to their hops.
const STEP: usize = 16;

/// A trace of the engine's.
pub(crate) type Tracer = TracerIn<Growing, Probes>;

/// Memory for [`CAPACITY`] probes, of which there is as much as was needed so far.
#[derive(Clone, Debug)]
pub(crate) struct Growing {
    probes: Vec<Slot>,
    hops: Box<[Progress]>,
}

impl Growing {
    /// Memory of a trace with these parameters.
    pub(crate) fn new(config: &Config) -> Self {
        Self {
            probes: Vec::new(),
            hops: vec![Progress::default(); config.max_hops.into()].into(),
        }
    }
}

impl Storage for Growing {
    fn capacity(&self) -> usize {
        CAPACITY
    }

    fn probes(&self) -> &[Slot] {
        &self.probes
    }

    fn probes_mut(&mut self) -> &mut [Slot] {
        &mut self.probes
    }

    fn push(&mut self, probe: Slot) {
        if self.probes.len() == self.probes.capacity() {
            // Twice as much, as `push` would have it, is too much for a trace that is nearly done.
            self.probes.reserve_exact(STEP);
        }
        self.probes.push(probe);
    }

    fn pop(&mut self) {
        self.probes.pop();
    }

    fn clear(&mut self) {
        self.probes.clear();
        self.hops.fill(Progress::default());
    }

    fn hops(&self) -> &[Progress] {
        &self.hops
    }

    fn hops_mut(&mut self) -> &mut [Progress] {
        &mut self.hops
    }
}
