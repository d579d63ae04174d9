//! The same target by several protocols, or over both families, at the same time, and what
//! differs.
//!
//! Each side is a trace as it is alone, with its own flow, knocks and checks. All of them run in
//! one driver. A [`Verdict`] says where each ends and why, where the paths part, and whose answers
//! are slower or more often lost than those of others: nothing that the answers don't show.

mod end;
mod exploration;
mod facts;
mod figures;
mod job;
mod parting;
mod result;
mod routers;
mod sentences;
mod side;
#[cfg(test)]
mod tests;
mod unheard;
mod verdict;

pub use end::{Refusal, SideEnd, Unproven};
pub use exploration::{ComparePaths, ExploredSide, PathsComparison};
pub use figures::{Lossier, Slower};
pub use job::{Compare, SidePlan};
pub use parting::{Parting, Way};
pub use result::{Compared, Comparison};
pub use routers::{Difference, RouterSet};
pub use side::Side;
pub use unheard::Unheard;
pub use verdict::Verdict;
