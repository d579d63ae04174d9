//! The settings of a trace, as programs read them.

use crate::args::Probes;
use hopshot_linux::document::milliseconds;
use serde::Serialize;

/// The version of this program.
pub(crate) const VERSION: &str = env!("CARGO_PKG_VERSION");

/// The options that shape a trace.
#[derive(Clone, Copy, Serialize)]
pub(crate) struct Settings {
    pub(super) first_hop: u8,
    pub(super) max_hops: u8,
    pub(super) attempts: u8,
    pub(super) wait_ms: f64,
    pub(super) tos: u8,
    /// Null for the size of the smallest probes.
    pub(super) size: Option<u16>,
    pub(super) dont_fragment: bool,
    pub(super) patience: u8,
}

impl From<&Probes> for Settings {
    fn from(probing: &Probes) -> Self {
        Self {
            first_hop: probing.first,
            max_hops: probing.max,
            attempts: probing.attempts,
            wait_ms: milliseconds(probing.wait()),
            tos: probing.tos.unwrap_or(0),
            size: probing.size,
            dont_fragment: probing.dont_fragment,
            patience: probing.patience,
        }
    }
}
