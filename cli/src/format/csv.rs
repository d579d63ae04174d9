//! CSV (RFC 4180): a header, then a row for each probe, lost ones too, and one for each host that
//! can't be traced. Probes that are still on their way when the trace is interrupted have none.

use super::results::Format;
use super::settings::{Settings, VERSION};
use crate::args::Args;
use crate::console::print;
use crate::names::Names;
use hopshot_linux::document::{Figures, milliseconds, timestamp};
use hopshot_linux::survey::SharedHop;
use hopshot_linux::{Hop, Outcome, Reply, Route, StopReason, TargetAnswer, failure_text};
use serde::Serialize;
use std::io;
use std::net::IpAddr;
use std::time::SystemTime;

pub(super) struct Csv {
    has_header: bool,
    settings: Settings,
}

/// A row. Fields that aren't known, or don't apply, are empty. The names are the JSON document's
/// where that has the same.
#[derive(Clone, Default, Serialize)]
struct Row {
    target: String,
    target_address: Option<IpAddr>,
    hop: Option<u8>,
    attempt: Option<usize>,
    /// `answered`, `lost`, `failed` (the probe did not get out of this machine); of a hop `shared`
    /// (not probed: the path begins as those to other hosts do); or of a host `not_traced`.
    outcome: &'static str,
    from: Option<IpAddr>,
    name: Option<String>,
    asn: Option<u32>,
    as_name: Option<String>,
    rtt_ms: Option<f64>,
    kind: Option<&'static str>,
    icmp_type: Option<u8>,
    icmp_code: Option<u8>,
    mtu: Option<u16>,
    reply_ttl: Option<u8>,
    quoted_ttl: Option<u8>,
    quoted_tos: Option<u8>,
    hops_back: Option<u8>,
    evidence: Option<&'static str>,
    /// The labels from the top on, with `/` between them.
    mpls: String,
    error: String,
    /// Of a shared hop: how many of so many others met this router.
    seen: Option<u8>,
    of: Option<u8>,
    /// Of a host that is not traced, when that was known.
    started: String,
    source: Option<IpAddr>,
    reached: Option<bool>,
    stop_reason: Option<&'static str>,
    flow: Option<u16>,
    /// All probes to the hop.
    sent: Option<usize>,
    lost: Option<usize>,
    best_ms: Option<f64>,
    median_ms: Option<f64>,
    average_ms: Option<f64>,
    worst_ms: Option<f64>,
    first_hop: Option<u8>,
    max_hops: Option<u8>,
    attempts: Option<u8>,
    wait_ms: Option<f64>,
    tos: Option<u8>,
    size: Option<u16>,
    dont_fragment: Option<bool>,
    patience: Option<u8>,
    version: &'static str,
    protocol: Option<&'static str>,
    port: Option<u16>,
    source_port: Option<u16>,
    /// What the target said.
    answer: Option<&'static str>,
    unproven: Option<usize>,
}

impl Csv {
    pub(super) fn new(args: &Args) -> Self {
        Self {
            has_header: false,
            settings: Settings::from(&args.probing),
        }
    }

    /// Returns a row with what all rows have: the settings.
    fn row(&self) -> Row {
        let Settings {
            first_hop,
            max_hops,
            attempts,
            wait_ms,
            tos,
            size,
            dont_fragment,
            patience,
        } = self.settings;
        Row {
            first_hop: Some(first_hop),
            max_hops: Some(max_hops),
            attempts: Some(attempts),
            wait_ms: Some(wait_ms),
            tos: Some(tos),
            size,
            dont_fragment: Some(dont_fragment),
            patience: Some(patience),
            version: VERSION,
            ..Row::default()
        }
    }

    /// Returns a row with what all rows of a route have.
    fn row_of(&self, route: &Route) -> Row {
        let summary = route.summary();
        // One that was finished before its end was interrupted.
        let stop_reason = route.stop_reason().unwrap_or(StopReason::Interrupted);
        Row {
            target: no_formula(&summary.host),
            target_address: Some(summary.target),
            started: timestamp(summary.started),
            source: Some(summary.source),
            reached: Some(route.reached()),
            stop_reason: Some(route.named(stop_reason)),
            flow: route.flow(),
            protocol: Some(summary.protocol.as_str()),
            port: summary.protocol.port(),
            source_port: route.source_port(),
            ..self.row()
        }
    }

    fn print(&mut self, rows: impl Iterator<Item = Row>) -> io::Result<()> {
        let mut writer = ::csv::WriterBuilder::new()
            .has_headers(!self.has_header)
            .terminator(::csv::Terminator::CRLF)
            .from_writer(Vec::new());
        for row in rows {
            writer.serialize(row)?;
        }
        let octets = writer
            .into_inner()
            .map_err(::csv::IntoInnerError::into_error)?;
        self.has_header |= !octets.is_empty();
        print(&octets)
    }
}

impl Format for Csv {
    fn finish(&mut self, route: &Route, names: &Names) -> io::Result<()> {
        let whole = self.row_of(route);
        let shared = route.shared().map(
            |SharedHop {
                 hop,
                 from,
                 seen,
                 of,
                 ..
             }| {
                let row = from.map_or_else(|| whole.clone(), |router| known(router, names, &whole));
                Row {
                    outcome: "shared",
                    hop: Some(hop),
                    seen: Some(seen),
                    of: Some(of),
                    ..row
                }
            },
        );
        let probed = route.hops().flat_map(|hop| {
            let whole = of_hop(hop, &whole);
            let outcomes: Vec<Outcome> = hop.outcomes().collect();
            (1..).zip(outcomes).filter_map(move |(attempt, outcome)| {
                let row = match outcome {
                    Outcome::InFlight => return None,
                    Outcome::Lost => whole.clone(),
                    Outcome::Failed(error) => Row {
                        error: failure_text(error),
                        ..whole.clone()
                    },
                    Outcome::Answered(reply) => answered(route, &reply, names, &whole),
                };
                Some(Row {
                    attempt: Some(attempt),
                    outcome: outcome.as_str(),
                    ..row
                })
            })
        });
        let rows: Vec<Row> = shared.chain(probed).collect();
        self.print(rows.into_iter())
    }

    fn lose(&mut self, host: &str, why: &str) -> io::Result<bool> {
        let (target, target_address, error) =
            (no_formula(host), host.parse().ok(), no_formula(why));
        let started = timestamp(SystemTime::now());
        let row = Row {
            target,
            target_address,
            outcome: "not_traced",
            error,
            started,
            ..self.row()
        };
        self.print(std::iter::once(row)).map(|()| true)
    }
}

/// Returns a row with what all rows of a hop have.
fn of_hop(hop: Hop<'_>, whole: &Row) -> Row {
    let Figures {
        sent,
        lost,
        unproven,
        best_ms,
        median_ms,
        average_ms,
        worst_ms,
        ..
    } = Figures::from(hop);
    let (hop, sent, lost) = (Some(hop.number()), Some(sent), Some(lost));
    Row {
        hop,
        sent,
        lost,
        best_ms,
        median_ms,
        average_ms,
        worst_ms,
        unproven: Some(unproven),
        ..whole.clone()
    }
}

fn answered(route: &Route, reply: &Reply, names: &Names, whole: &Row) -> Row {
    let stack = &route.extensions(reply.probe).mpls;
    let answer = route.target_answer(reply);
    let is_icmp = answer.is_none_or(TargetAnswer::is_icmp);
    let labels: Vec<String> = stack.iter().map(|label| label.label.to_string()).collect();
    Row {
        rtt_ms: Some(milliseconds(reply.rtt)),
        kind: Some(answer.map_or(reply.kind.as_str(), TargetAnswer::kind)),
        icmp_type: is_icmp.then_some(reply.icmp_type),
        icmp_code: is_icmp.then_some(reply.icmp_code),
        answer: answer.map(TargetAnswer::as_str),
        mtu: reply.mtu,
        reply_ttl: reply.hop_limit,
        quoted_ttl: reply.quoted_hop_limit,
        quoted_tos: reply.quoted_traffic_class,
        hops_back: reply.hops_back(),
        evidence: Some(reply.evidence().as_str()),
        mpls: labels.join("/"),
        ..known(reply.from, names, whole)
    }
}

fn known(router: IpAddr, names: &Names, whole: &Row) -> Row {
    let origin = names.origin(router);
    Row {
        from: Some(router),
        name: names.of(router).map(|name| no_formula(&name)),
        asn: origin.as_ref().map(|origin| origin.number),
        as_name: origin
            .and_then(|origin| origin.name)
            .map(|name| no_formula(&name)),
        ..whole.clone()
    }
}

/// A text that a spreadsheet doesn't take for a formula, whoever chose it. No name of a host begins
/// so.
fn no_formula(text: &str) -> String {
    match text.chars().next() {
        Some(first @ ('=' | '+' | '-' | '@')) => {
            format!("{}{}", first.escape_unicode(), &text[1..])
        }
        _ => text.to_owned(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn no_name_is_a_formula() {
        assert_eq!(no_formula("a-b.example"), "a-b.example");
        assert_eq!(no_formula("=1+1"), r"\u{3d}1+1");
    }
}
