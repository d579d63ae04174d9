//! The JSON document. A field is never renamed or removed; new ones may come:
//! `cli/schema/hopshot.schema.json` has them all.

use super::results::Format;
use super::settings::{Settings, VERSION};
use crate::args::Args;
use crate::console::print;
use crate::extensions;
use crate::figures::Figures;
use crate::inside::Inside;
use crate::names::{Names, Origin};
use crate::reading::passes;
use crate::units::{milliseconds, started};
use hopshot_linux::{
    Clocks, Hop, MtuRoute, Outcome, OwnedExtensions, Rejected, Reply, Route, StopReason,
    failure_text,
};
use serde::Serialize;
use std::io;
use std::net::IpAddr;

/// A document for each host, on a line.
pub(super) struct Json {
    settings: Settings,
}

impl Json {
    pub(super) fn new(args: &Args) -> Self {
        Self {
            settings: Settings::from(&args.probing),
        }
    }
}

impl Format for Json {
    fn finish(&mut self, route: &Route, names: &Names) -> io::Result<()> {
        let hops = route
            .hops()
            .map(|hop| JsonHop::new(route, hop, names))
            .collect();
        let summary = Summary::new(route, names);
        print_line(&Document {
            summary,
            hops,
            settings: self.settings,
            version: VERSION,
        })
    }

    fn lose(&mut self, host: &str, why: &str) -> io::Result<bool> {
        print_line(&Lost::new(host, why)).map(|()| true)
    }
}

/// A document of a search for the path MTU.
pub(crate) fn path_mtu(args: &Args, route: &MtuRoute, names: &Names) -> io::Result<()> {
    let (found, tally) = (route.summary(), route.tally());
    let summary = Summary {
        started: started(found.started),
        stop_reason: route.stop_reason().as_str(),
        duration_ms: milliseconds(found.duration),
        probes_sent: found.probes_sent,
        duplicates: tally.duplicates,
        late: tally.late,
        forged: tally.forged,
        rejected: JsonRejected::new(tally.forged.into(), found.rejected),
        ..Summary::new(&route.last().route, names)
    };
    let hops = route.stretches().iter().flat_map(|stretch| {
        stretch.hops().map(|hop| {
            let mtu = passes(&hop).then_some(stretch.size);
            MtuHop {
                hop: JsonHop::new(&stretch.route, hop, names),
                mtu,
            }
        })
    });
    let limits = route.limits().iter().map(|limit| MtuLimit {
        hop: limit.hop,
        mtu: limit.mtu,
        less_than: limit.less_than,
        from: limit.from,
    });
    print_line(&MtuDocument {
        summary,
        path_mtu: route.path_mtu(),
        path_mtu_exact: route.is_exact(),
        path_mtu_at_least: route.bounds().0,
        path_mtu_at_most: route.bounds().1,
        mtu_limits: limits.collect(),
        hops: hops.collect(),
        settings: Settings::from(&args.probing),
        version: VERSION,
    })
}

/// The octets of a document of some 30 hops with three attempts each.
const ROOM: usize = 32 << 10;

pub(crate) fn print_line(document: &impl Serialize) -> io::Result<()> {
    // Room for most documents: to grow step by step takes longer than all the rest.
    let mut line = Vec::with_capacity(ROOM);
    serde_json::to_writer(&mut line, document)?;
    line.push(b'\n');
    print(&line)
}

/// One trace.
#[derive(Serialize)]
struct Document<'a> {
    #[serde(flatten)]
    summary: Summary<'a>,
    hops: Vec<JsonHop>,
    settings: Settings,
    version: &'static str,
}

/// A search for the path MTU.
#[derive(Serialize)]
struct MtuDocument<'a> {
    #[serde(flatten)]
    summary: Summary<'a>,
    path_mtu: Option<u16>,
    path_mtu_exact: bool,
    mtu_limits: Vec<MtuLimit>,
    hops: Vec<MtuHop>,
    settings: Settings,
    version: &'static str,
    path_mtu_at_least: u16,
    path_mtu_at_most: u16,
}

/// A hop from which on packets are smaller.
#[derive(Serialize)]
struct MtuLimit {
    hop: u8,
    mtu: u16,
    less_than: Option<u16>,
    from: Option<IpAddr>,
}

#[derive(Serialize)]
struct MtuHop {
    #[serde(flatten)]
    hop: JsonHop,
    /// The size of the packets that got there.
    mtu: Option<u16>,
}

/// One trace but for its hops.
#[derive(Serialize)]
pub(super) struct Summary<'a> {
    target: Target<'a>,
    source: IpAddr,
    socket: &'static str,
    started: String,
    duration_ms: f64,
    reached: bool,
    stop_reason: &'static str,
    #[serde(skip_serializing_if = "Option::is_none")]
    failure: Option<String>,
    distance: Option<u8>,
    probes_sent: usize,
    duplicates: u16,
    late: u16,
    forged: u16,
    rejected: JsonRejected,
    #[serde(skip_serializing_if = "Vec::is_empty")]
    shared: Vec<Shared>,
    flow: u16,
}

/// A hop that was not probed, because the path begins as those to other hosts do.
#[derive(Serialize)]
struct Shared {
    hop: u8,
    from: Option<IpAddr>,
    seen: u8,
    of: u8,
    #[serde(flatten)]
    known: Known,
}

/// Counts of packets that were no answers.
#[derive(Serialize)]
pub(crate) struct JsonRejected {
    forged: u32,
    bad_checksum: u32,
    malformed: u32,
    not_ours: u32,
    dropped: u32,
}

#[derive(Serialize)]
pub(crate) struct Target<'a> {
    name: &'a str,
    address: Option<IpAddr>,
}

impl<'a> Target<'a> {
    pub(crate) const fn new(name: &'a str, address: IpAddr) -> Self {
        Self {
            name,
            address: Some(address),
        }
    }
}

/// A host that could not be traced, among those of a survey.
#[derive(Serialize)]
pub(super) struct Lost<'a> {
    target: Target<'a>,
    error: &'a str,
}

impl<'a> Lost<'a> {
    pub(super) fn new(host: &'a str, error: &'a str) -> Self {
        Self {
            target: Target {
                name: host,
                address: host.parse().ok(),
            },
            error,
        }
    }
}

#[derive(Serialize)]
struct JsonHop {
    hop: u8,
    rate_limited: bool,
    probes: Vec<Option<Probe>>,
    #[serde(flatten)]
    figures: Figures,
}

/// A probe that was answered, or that could not be sent; a lost one is `null`.
#[derive(Serialize)]
#[serde(untagged)]
enum Probe {
    Answered(Box<Answered>),
    Failed { attempt: usize, error: String },
}

/// An answer.
#[derive(Serialize)]
pub(super) struct Answered {
    attempt: usize,
    from: IpAddr,
    #[serde(flatten)]
    known: Known,
    rtt_ms: f64,
    /// The clocks that timed the answer's arrival and the probe's departure.
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
    extensions: extensions::Json,
}

/// All that is known of an address so far.
#[derive(Default, PartialEq, Eq, Serialize)]
pub(crate) struct Known {
    name: Option<String>,
    asn: Option<u32>,
    as_name: Option<String>,
    #[serde(skip_serializing_if = "Vec::is_empty")]
    more_asns: Vec<u32>,
    /// The IPv4 address inside.
    #[serde(skip_serializing_if = "Option::is_none")]
    ipv4_inside: Option<Inside>,
}

impl Known {
    pub(crate) fn of(address: IpAddr, names: &Names) -> Self {
        let (asn, as_name, more_asns) = match names.origin(address) {
            Some(Origin { number, name, more }) => (Some(number), name, more),
            None => (None, None, Vec::new()),
        };
        Self {
            name: names.of(address),
            asn,
            as_name,
            more_asns,
            ipv4_inside: Inside::of(address),
        }
    }
}

impl<'a> Summary<'a> {
    pub(super) fn new(route: &'a Route, names: &Names) -> Self {
        let known = |router: Option<IpAddr>| {
            router
                .map(|router| Known::of(router, names))
                .unwrap_or_default()
        };
        let summary = route.summary();
        Self {
            target: Target::new(&summary.host, summary.target),
            source: summary.source,
            socket: summary.socket.as_str(),
            started: started(summary.started),
            duration_ms: milliseconds(summary.duration),
            reached: route.reached(),
            stop_reason: stop_reason(route),
            failure: route.failure().map(failure_text),
            distance: route.distance(),
            probes_sent: summary.probes_sent,
            duplicates: route.tally().duplicates,
            late: route.tally().late,
            forged: route.tally().forged,
            rejected: JsonRejected::new(route.tally().forged.into(), summary.rejected),
            shared: route
                .shared()
                .map(|shared| Shared::new(shared, known(shared.from)))
                .collect(),
            flow: route.flow(),
        }
    }
}

impl Shared {
    fn new(shared: hopshot_linux::Shared, known: Known) -> Self {
        let hopshot_linux::Shared {
            hop,
            from,
            seen,
            of,
            ..
        } = shared;
        Self {
            hop,
            from,
            seen,
            of,
            known,
        }
    }
}

impl JsonRejected {
    pub(crate) fn new(forged: u32, rejected: Rejected) -> Self {
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

impl JsonHop {
    fn new(route: &Route, hop: Hop<'_>, names: &Names) -> Self {
        let (rate_limited, probes) = (hop.may_be_rate_limited(), probes(route, hop, names));
        Self {
            hop: hop.number(),
            rate_limited,
            probes,
            figures: Figures::from(hop),
        }
    }
}

fn probes(route: &Route, hop: Hop<'_>, names: &Names) -> Vec<Option<Probe>> {
    // At the target some of the probes may have been sent to farther hops: they are numbered as
    // they stand here.
    let numbered = (1..).zip(hop.outcomes());
    let probes = numbered.map(|(attempt, outcome)| match outcome {
        Outcome::InFlight | Outcome::Lost => None,
        Outcome::Failed(error) => Some(Probe::Failed {
            attempt,
            error: failure_text(error),
        }),
        Outcome::Answered(reply) => {
            let (clocks, extensions) = (route.clocks(reply.probe), route.extensions(reply.probe));
            Some(Probe::Answered(Box::new(Answered::new(
                attempt, &reply, clocks, extensions, names,
            ))))
        }
    });
    probes.collect()
}

impl Answered {
    pub(super) fn new(
        attempt: usize,
        reply: &Reply,
        clocks: Clocks,
        extensions: &OwnedExtensions,
        names: &Names,
    ) -> Self {
        Self {
            attempt,
            from: reply.from,
            known: Known::of(reply.from, names),
            rtt_ms: milliseconds(reply.rtt),
            clock: clocks.received.as_str(),
            sent_clock: clocks.sent.as_str(),
            kind: reply.kind.as_str(),
            icmp_type: reply.icmp_type,
            icmp_code: reply.icmp_code,
            mtu: reply.mtu,
            reply_ttl: reply.hop_limit,
            quoted_ttl: reply.quoted_hop_limit,
            quoted_tos: reply.quoted_traffic_class,
            hops_back: reply.hops_back(),
            evidence: reply.evidence().as_str(),
            changed: reply.changes.names().collect(),
            extensions: extensions.into(),
        }
    }
}

/// Returns the name of why a trace ended. One that was finished before its end was interrupted.
pub(super) fn stop_reason(route: &Route) -> &'static str {
    route
        .stop_reason()
        .unwrap_or(StopReason::Interrupted)
        .as_str()
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::time::Duration;

    #[test]
    fn an_rtt_keeps_its_nanoseconds() {
        for (nanos, text) in [
            (80_123_457, "80.123457"),
            (1, "1e-6"),
            (1_999_999_999, "1999.999999"),
        ] {
            assert_eq!(
                serde_json::to_string(&milliseconds(Duration::from_nanos(nanos))).unwrap(),
                text
            );
        }
    }
}
