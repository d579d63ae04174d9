//! CSV (RFC 4180): a header, then a row for each probe, lost ones too, and one for each host that can't be traced.

use super::json::{evidence, kind, milliseconds};
use super::{Format, print};
use crate::names::Names;
use hopshot_linux::{Label, Outcome, Reply, Route, Shared, failure_text};
use serde::Serialize;
use std::io;
use std::net::IpAddr;

#[derive(Default)]
pub(super) struct Csv {
    has_header: bool,
}

/// What isn't known, or doesn't apply, is empty. The names are those of the JSON document where that has the same.
#[derive(Default, Serialize)]
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
}

impl Csv {
    fn print(&mut self, rows: impl Iterator<Item = Row>) -> io::Result<()> {
        let mut writer = ::csv::WriterBuilder::new()
            .has_headers(!self.has_header)
            .terminator(::csv::Terminator::CRLF)
            .from_writer(Vec::new());
        for row in rows {
            writer.serialize(row)?;
        }
        let octets = writer.into_inner().map_err(::csv::IntoInnerError::into_error)?;
        self.has_header |= !octets.is_empty();
        print(&octets)
    }
}

impl Format for Csv {
    fn finish(&mut self, route: &Route, names: &Names) -> io::Result<()> {
        let (target, target_address) = (no_formula(route.host()), Some(route.target()));
        let shared = route.shared().map(|Shared { hop, from, seen, of }| {
            let row = from.map_or_else(Row::default, |router| known(router, names));
            let (hop, seen, of) = (Some(hop), Some(seen), Some(of));
            Row { outcome: "shared", target: target.clone(), target_address, hop, seen, of, ..row }
        });
        let probed = route.hops().flat_map(|hop| {
            let target = &target;
            let outcomes: Vec<Outcome> = hop.outcomes().collect();
            (1..).zip(outcomes).map(move |(attempt, outcome)| {
                let row = match outcome {
                    Outcome::InFlight | Outcome::Lost => Row { outcome: "lost", ..Row::default() },
                    Outcome::Failed(error) => Row { outcome: "failed", error: failure_text(error), ..Row::default() },
                    Outcome::Answered(reply) => answered(&reply, &route.extensions(reply.probe).mpls, names),
                };
                Row { target: target.clone(), target_address, hop: Some(hop.number()), attempt: Some(attempt), ..row }
            })
        });
        self.print(shared.chain(probed))
    }

    fn lose(&mut self, host: &str, why: &str) -> io::Result<bool> {
        let (target, target_address, error) = (no_formula(host), host.parse().ok(), no_formula(why));
        let row = Row { target, target_address, outcome: "not_traced", error, ..Row::default() };
        self.print(std::iter::once(row)).map(|()| true)
    }
}

fn answered(reply: &Reply, stack: &[Label], names: &Names) -> Row {
    let labels: Vec<String> = stack.iter().map(|label| label.label.to_string()).collect();
    Row {
        outcome: "answered",
        rtt_ms: Some(milliseconds(reply.rtt)),
        kind: Some(kind(reply.kind)),
        icmp_type: Some(reply.icmp_type),
        icmp_code: Some(reply.icmp_code),
        mtu: reply.mtu,
        reply_ttl: reply.hop_limit,
        quoted_ttl: reply.quoted_hop_limit,
        quoted_tos: reply.quoted_traffic_class,
        hops_back: reply.hops_back(),
        evidence: Some(evidence(reply.evidence())),
        mpls: labels.join("/"),
        ..known(reply.from, names)
    }
}

fn known(router: IpAddr, names: &Names) -> Row {
    let origin = names.origin(router);
    Row {
        from: Some(router),
        name: names.of(router).map(|name| no_formula(&name)),
        asn: origin.as_ref().map(|origin| origin.number),
        as_name: origin.and_then(|origin| origin.name).map(|name| no_formula(&name)),
        ..Row::default()
    }
}

/// A text that a spreadsheet doesn't take for a formula, whoever chose it. No name of a host begins so.
fn no_formula(text: &str) -> String {
    match text.chars().next() {
        Some(first @ ('=' | '+' | '-' | '@')) => format!("{}{}", first.escape_unicode(), &text[1..]),
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
