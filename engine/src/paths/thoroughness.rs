//! How thorough a search for all paths is to be.

use crate::survey::DEFAULT_RATE;

/// The thoroughness of a search for all paths.
#[derive(Clone, Copy, Debug)]
#[non_exhaustive]
pub struct Thoroughness {
    /// The confidence that no next hop of any router is missing: above 0, below 1. What is beyond
    /// 0.5 to 0.999999 is taken for the nearest, and what is no number for 0.95.
    pub confidence: f64,
    /// Probes a second, all flows together, 1 to 1,000,000 (what is beyond is taken for the
    /// nearest).
    pub rate: u32,
    /// The most flows to trace, 1 to 65,534 (what is beyond is taken for the nearest).
    pub most_flows: usize,
}

impl Thoroughness {
    /// The confidence by default.
    pub const CONFIDENCE: f64 = 0.95;

    /// Flows traced at most by default.
    pub const MOST_FLOWS: usize = 1024;

    pub(super) fn confidence(self) -> f64 {
        if self.confidence.is_nan() {
            Self::CONFIDENCE
        } else {
            self.confidence.clamp(0.5, 0.999_999)
        }
    }
}

impl Default for Thoroughness {
    fn default() -> Self {
        Self {
            confidence: Self::CONFIDENCE,
            rate: DEFAULT_RATE,
            most_flows: Self::MOST_FLOWS,
        }
    }
}
