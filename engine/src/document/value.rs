//! Values that all documents have.

use crate::rejected::Rejected;
use serde::Serialize;
use std::net::IpAddr;
use std::time::{Duration, SystemTime};

/// The first second that RFC 3339 can't say: the year 10,000.
const END: Duration = Duration::from_secs(253_402_300_800);

/// Returns a span in milliseconds. A double holds every RTT of a trace exactly to the nanosecond,
/// and prints it so.
#[must_use]
pub fn milliseconds(span: Duration) -> f64 {
    span.div_duration_f64(Duration::from_millis(1))
}

/// Returns a date and time in UTC, as in RFC 3339, to the nanosecond. Times before 1970 and after
/// 9999 are shown as the nearest between.
#[must_use]
pub fn timestamp(at: SystemTime) -> String {
    let since = at
        .duration_since(SystemTime::UNIX_EPOCH)
        .unwrap_or_default();
    let last = END.saturating_sub(Duration::from_nanos(1));
    humantime::format_rfc3339_nanos(SystemTime::UNIX_EPOCH + since.min(last)).to_string()
}

/// The host that a document is about.
#[derive(Clone, Copy, Debug, Serialize)]
pub struct Target<'a> {
    name: &'a str,
    address: Option<IpAddr>,
}

impl<'a> Target<'a> {
    /// Makes one of the host as it was given, and its address if that is known.
    #[must_use]
    pub const fn new(name: &'a str, address: Option<IpAddr>) -> Self {
        Self { name, address }
    }
}

/// Counts of what arrived and was no answer.
#[derive(Clone, Copy, Debug, Serialize)]
pub(super) struct RejectedDocument {
    forged: u32,
    bad_checksum: u32,
    malformed: u32,
    not_ours: u32,
    dropped: u32,
}

impl RejectedDocument {
    pub(super) const fn new(forged: u32, rejected: Rejected) -> Self {
        let Rejected {
            bad_checksum,
            malformed,
            not_ours,
            dropped,
        } = rejected;
        Self {
            forged,
            bad_checksum,
            malformed,
            not_ours,
            dropped,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_rtt_keeps_its_nanoseconds() {
        for (nanos, text) in [
            (80_123_457, "80.123457"),
            (1, "1e-6"),
            (1_999_999_999, "1999.999999"),
        ] {
            let span = milliseconds(Duration::from_nanos(nanos));
            assert_eq!(serde_json::to_string(&span).unwrap(), text);
        }
    }

    #[test]
    fn any_time_can_be_shown() {
        let epoch = SystemTime::UNIX_EPOCH;
        let day = Duration::from_secs(86_400);
        for (at, text) in [
            (epoch - day, "1970-01-01T00:00:00.000000000Z"),
            (epoch + day, "1970-01-02T00:00:00.000000000Z"),
            (epoch + END + day, "9999-12-31T23:59:59.999999999Z"),
        ] {
            assert_eq!(timestamp(at), text);
        }
    }
}
