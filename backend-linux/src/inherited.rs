//! Descriptors that whoever started the program gave it.

use crate::sys::start;

/// Returns whether standard output was open when the program began (in a library that is loaded
/// later: when it was loaded).
///
/// Rust's runtime opens `/dev/null` in place of a standard descriptor that is closed. Without this
/// a program whose output is lost takes it for written.
#[must_use]
pub fn had_standard_output() -> bool {
    start::had_output()
}
