//! The JSON document. A field is never renamed or removed; new ones may come.

use crate::extensions;
use crate::names::{Names, Origin};
use hopshot_linux::{
    Changes, Clock, Evidence, Hop, Kind, Outcome, Rejected, Route, SocketKind, StopReason, failure_text,
};
use serde::Serialize;
use std::net::IpAddr;
use std::time::Duration;

/// One trace.
#[derive(Serialize)]
pub(crate) struct Document<'a> {
    target: Target<'a>,
    source: IpAddr,
    socket: &'static str,
    started: String,
    duration_ms: f64,
    reached: bool,
    stop_reason: &'static str,
    distance: Option<u8>,
    probes_sent: usize,
    duplicates: u16,
    late: u16,
    forged: u16,
    rejected: JsonRejected,
    hops: Vec<JsonHop>,
}

/// What was received and was no answer.
#[derive(Serialize)]
struct JsonRejected {
    forged: u16,
    bad_checksum: u32,
    malformed: u32,
    not_ours: u32,
    dropped: u32,
}

#[derive(Serialize)]
struct Target<'a> {
    name: &'a str,
    address: Option<IpAddr>,
}

/// A host that could not be traced, among those of a survey.
#[derive(Serialize)]
pub(crate) struct Lost<'a> {
    target: Target<'a>,
    error: &'a str,
}

impl<'a> Lost<'a> {
    pub(crate) fn new(host: &'a str, error: &'a str) -> Self {
        Self { target: Target { name: host, address: host.parse().ok() }, error }
    }
}

#[derive(Serialize)]
struct JsonHop {
    hop: u8,
    rate_limited: bool,
    probes: Vec<Option<Probe>>,
}

/// A probe that was answered, or that could not be sent; a lost one is `null`.
#[derive(Serialize)]
#[serde(untagged)]
enum Probe {
    Answered {
        attempt: usize,
        from: IpAddr,
        name: Option<String>,
        #[serde(flatten)]
        origin: JsonOrigin,
        rtt_ms: f64,
        /// Whose clock said when the answer came, and when the probe left.
        clock: &'static str,
        sent_clock: &'static str,
        kind: &'static str,
        icmp_type: u8,
        icmp_code: u8,
        #[serde(skip_serializing_if = "Option::is_none")]
        mtu: Option<u16>,
        reply_ttl: Option<u8>,
        quoted_ttl: Option<u8>,
        quoted_tos: Option<u8>,
        hops_back: Option<u8>,
        evidence: &'static str,
        changed: Vec<&'static str>,
        #[serde(flatten)]
        extensions: Box<extensions::Json>,
    },
    Failed {
        attempt: usize,
        error: String,
    },
}

/// The AS of an address, as far as it is known.
#[derive(Default, Serialize)]
struct JsonOrigin {
    asn: Option<u32>,
    as_name: Option<String>,
    #[serde(skip_serializing_if = "Vec::is_empty")]
    more_asns: Vec<u32>,
}

impl From<Origin> for JsonOrigin {
    fn from(origin: Origin) -> Self {
        Self { asn: Some(origin.number), as_name: origin.name, more_asns: origin.more }
    }
}

impl<'a> Document<'a> {
    pub(crate) fn new(route: &'a Route, names: &Names) -> Self {
        Self {
            target: Target { name: route.host(), address: Some(route.target()) },
            source: route.source(),
            socket: match route.socket() {
                SocketKind::Raw => "raw",
                SocketKind::Ping => "ping",
            },
            started: humantime::format_rfc3339_nanos(route.started()).to_string(),
            duration_ms: milliseconds(route.duration()),
            reached: route.reached(),
            stop_reason: stop_reason(route.stop_reason()),
            distance: route.distance(),
            probes_sent: route.probes_sent(),
            duplicates: route.tally().duplicates,
            late: route.tally().late,
            forged: route.tally().forged,
            rejected: JsonRejected::new(route),
            hops: route.hops().map(|hop| JsonHop::new(route, hop, names)).collect(),
        }
    }
}

impl JsonRejected {
    fn new(route: &Route) -> Self {
        let Rejected { bad_checksum, malformed, not_ours, dropped } = route.rejected();
        Self { forged: route.tally().forged, bad_checksum, malformed, not_ours, dropped }
    }
}

impl JsonHop {
    fn new(route: &Route, hop: Hop<'_>, names: &Names) -> Self {
        Self { hop: hop.number(), rate_limited: hop.may_be_rate_limited(), probes: probes(route, hop, names) }
    }
}

fn probes(route: &Route, hop: Hop<'_>, names: &Names) -> Vec<Option<Probe>> {
    // At the target some of the probes may have been sent to farther hops: they are numbered as they stand here.
    let numbered = (1..).zip(hop.outcomes());
    let probes = numbered.map(|(attempt, outcome)| match outcome {
        Outcome::InFlight | Outcome::Lost => None,
        Outcome::Failed(error) => Some(Probe::Failed { attempt, error: failure_text(error) }),
        Outcome::Answered(reply) => Some(Probe::Answered {
            attempt,
            from: reply.from,
            name: names.of(reply.from),
            origin: names.origin(reply.from).map(JsonOrigin::from).unwrap_or_default(),
            rtt_ms: milliseconds(reply.rtt),
            clock: clock(route.clocks(reply.probe).received),
            sent_clock: clock(route.clocks(reply.probe).sent),
            kind: match reply.kind {
                Kind::EchoReply => "echo_reply",
                Kind::TimeExceeded => "time_exceeded",
                Kind::Unreachable => "unreachable",
            },
            icmp_type: reply.icmp_type,
            icmp_code: reply.icmp_code,
            mtu: reply.mtu,
            reply_ttl: reply.hop_limit,
            quoted_ttl: reply.quoted_hop_limit,
            quoted_tos: reply.quoted_traffic_class,
            hops_back: reply.hops_back(),
            evidence: match reply.evidence() {
                Evidence::Strong => "strong",
                Evidence::Weak => "weak",
            },
            changed: changed(reply.changes),
            extensions: Box::new(route.extensions(reply.probe).into()),
        }),
    });
    probes.collect()
}

const fn clock(clock: Clock) -> &'static str {
    match clock {
        Clock::Kernel => "kernel",
        Clock::User => "user",
    }
}

/// What came back otherwise than it was sent: the quoted header fields, or the sender of an Echo Reply.
fn changed(changes: Changes) -> Vec<&'static str> {
    let all = [
        (Changes::SOURCE, "source"),
        (Changes::DESTINATION, "destination"),
        (Changes::CHECKSUM, "checksum"),
        (Changes::IDENT, "ident"),
        (Changes::TRAFFIC_CLASS, "tos"),
        (Changes::SENDER, "sender"),
    ];
    all.iter().filter(|(change, _)| changes.contains(*change)).map(|(_, name)| *name).collect()
}

/// Nanoseconds divided by a million: a double holds every RTT of a trace exactly to the nanosecond, and prints it so.
fn milliseconds(span: Duration) -> f64 {
    span.as_nanos() as f64 / 1e6
}

const fn stop_reason(reason: Option<StopReason>) -> &'static str {
    match reason {
        Some(StopReason::Reached) => "reached",
        Some(StopReason::Unreachable) => "unreachable",
        Some(StopReason::Loop) => "loop",
        Some(StopReason::Quiet) => "quiet",
        Some(StopReason::MaxHops) => "max_hops",
        Some(StopReason::Timeout) => "timeout",
        Some(StopReason::Interrupted) | None => "interrupted",
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_rtt_keeps_its_nanoseconds() {
        for (nanos, text) in [(80_123_457, "80.123457"), (1, "1e-6"), (1_999_999_999, "1999.999999")] {
            assert_eq!(serde_json::to_string(&milliseconds(Duration::from_nanos(nanos))).unwrap(), text);
        }
    }
}
