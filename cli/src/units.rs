//! Values as outputs write them: for programs, and for people.

use std::time::{Duration, SystemTime};

/// Nanoseconds divided by a million: a double holds every RTT of a trace exactly to the nanosecond,
/// and prints it so.
pub(crate) fn milliseconds(span: Duration) -> f64 {
    span.as_nanos() as f64 / 1e6
}

/// RFC 3339, in UTC.
pub(crate) fn started(at: SystemTime) -> String {
    humantime::format_rfc3339_nanos(at).to_string()
}

/// A moment, for people.
pub(crate) fn date(at: SystemTime) -> String {
    let text = humantime::format_rfc3339_seconds(at).to_string();
    text.replace('T', " ").replace('Z', " UTC")
}

/// So many of something.
pub(crate) fn counted(count: u64, what: &str) -> String {
    format!("{count} {what}{}", if count == 1 { "" } else { "s" })
}
