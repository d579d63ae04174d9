//! The memory of a trace: inside the tracer, or wherever its owner keeps it.

use crate::slot::Slot;
use crate::table::Progress;
use heapless::Vec;

/// Memory of a trace: a place for each probe, in the order of sending, and one for each hop.
///
/// [`Inline`] keeps it inside the tracer. A program with an allocator may let it grow as probes
/// leave: few traces send as many as they may. The types in it are opaque; [`Slot`] has the octets
/// that each probe takes, [`Progress`] those of each hop.
pub trait Storage {
    /// Returns the most probes that there is room for.
    fn capacity(&self) -> usize;

    /// Returns the probes that were pushed, oldest first.
    fn probes(&self) -> &[Slot];

    /// Returns the probes that were pushed, to be changed.
    fn probes_mut(&mut self) -> &mut [Slot];

    /// Adds a probe behind the others. It is asked for only while there are fewer than
    /// [`capacity`](Self::capacity).
    fn push(&mut self, probe: Slot);

    /// Takes back the probe that was pushed last.
    fn pop(&mut self);

    /// Forgets all probes, and sets all hops to their default.
    fn clear(&mut self);

    /// Returns the hops, nearest first: at least as many as the trace has, all with their default
    /// at first.
    fn hops(&self) -> &[Progress];

    /// Returns the hops, to be changed.
    fn hops_mut(&mut self) -> &mut [Progress];
}

/// Memory inside the tracer, with room for `N` probes and `N` hops.
#[derive(Clone, Debug)]
pub struct Inline<const N: usize> {
    probes: Vec<Slot, N>,
    hops: [Progress; N],
}

impl<const N: usize> Inline<N> {
    /// Memory that nothing was pushed to: all zeros.
    #[must_use]
    pub const fn new() -> Self {
        Self {
            probes: Vec::new(),
            hops: [Progress::NONE; N],
        }
    }
}

impl<const N: usize> Default for Inline<N> {
    fn default() -> Self {
        Self::new()
    }
}

impl<const N: usize> Storage for Inline<N> {
    fn capacity(&self) -> usize {
        N
    }

    fn probes(&self) -> &[Slot] {
        &self.probes
    }

    fn probes_mut(&mut self) -> &mut [Slot] {
        &mut self.probes
    }

    fn push(&mut self, probe: Slot) {
        // Beyond the capacity there is no place, and nothing to do about it.
        let _ = self.probes.push(probe);
    }

    fn pop(&mut self) {
        self.probes.pop();
    }

    fn clear(&mut self) {
        self.probes.clear();
        self.hops.fill(Progress::NONE);
    }

    fn hops(&self) -> &[Progress] {
        &self.hops
    }

    fn hops_mut(&mut self) -> &mut [Progress] {
        &mut self.hops
    }
}
