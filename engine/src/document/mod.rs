//! Results as documents: what `hopshot --json` prints, for any program.
//!
//! Results implement [`Serialize`](serde::Serialize), with the names and meanings of `cli/schema`.
//! A field is never renamed or removed; new ones may come. A program that knows more about
//! addresses, such as their names, makes the documents itself and says so with [`Annotate`]: the
//! command does.

mod annotate;
mod answer;
mod compare;
mod compare_paths;
mod figures;
mod mtu;
mod paths;
mod trace;
mod value;

pub use annotate::Annotate;
pub use answer::{AnswerDocument, ReplyDocument};
pub use compare::ComparisonDocument;
pub use compare_paths::PathsComparisonDocument;
pub use figures::Figures;
pub use mtu::{MtuBounds, MtuDocument};
pub use paths::PathsDocument;
pub use trace::{HopDocument, TraceDocument, TraceEnd};
pub use value::{Target, milliseconds, timestamp};
