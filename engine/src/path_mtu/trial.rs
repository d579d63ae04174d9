//! The present trial of a search, for those who watch it.

use super::search::{Purpose, Round};

/// The trial of a search, with sizes in octets.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum Trial {
    /// Packets of this size go to all hops that are left.
    Sweep {
        /// Their size.
        size: u16,
    },
    /// A small size shows whether the silence of a hop is a matter of size.
    Check {
        /// The nearest hop that is silent.
        hop: u8,
        /// The size that it doesn't answer.
        silent: u16,
        /// The small size.
        size: u16,
    },
    /// A size between one that passes and one that doesn't.
    Narrow {
        /// The hop behind the link.
        hop: u8,
        /// The largest size that passes, as far as is known.
        passes: u16,
        /// The smallest size that doesn't.
        fails: u16,
        /// The size that is tried.
        size: u16,
    },
}

impl Trial {
    pub(super) const fn of(round: Round) -> Self {
        let size = round.size;
        match round.purpose {
            Purpose::Sweep => Self::Sweep { size },
            Purpose::Check { hop, fails } => Self::Check {
                hop,
                silent: fails,
                size,
            },
            Purpose::Narrow {
                hop, passes, fails, ..
            } => Self::Narrow {
                hop,
                passes,
                fails,
                size,
            },
        }
    }
}
