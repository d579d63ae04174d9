//! The paths as a JSON document. A field is never renamed or removed; new ones may come.

use crate::args::Args;
use crate::format::json::{JsonRejected, Known, Target};
use crate::format::settings::{Settings, VERSION};
use crate::names::Names;
use crate::units::{milliseconds, started};
use hopshot_linux::{Edge, End, Node, Paths, failure_text};
use serde::Serialize;
use std::net::IpAddr;

#[derive(Serialize)]
pub(crate) struct Document<'a> {
    target: Target<'a>,
    source: IpAddr,
    socket: &'static str,
    started: String,
    duration_ms: f64,
    reached: bool,
    failure: Option<String>,
    completeness: &'static str,
    confidence: f64,
    flows: usize,
    probes_sent: usize,
    rejected: JsonRejected,
    paths: u64,
    nodes: Vec<JsonNode>,
    edges: Vec<JsonEdge>,
    blocked: Vec<Blocked>,
    settings: Settings,
    version: &'static str,
}

#[derive(Serialize)]
struct JsonNode {
    hop: u8,
    address: Option<IpAddr>,
    #[serde(flatten)]
    known: Known,
    rtt_ms: Option<f64>,
    flows: usize,
    end: Option<&'static str>,
    by_packet: bool,
    /// One of the flows.
    flow: Option<u16>,
    sent: usize,
    lost: usize,
}

#[derive(Serialize)]
struct JsonEdge {
    from: usize,
    to: usize,
    flows: usize,
    certain: bool,
}

/// A hop to which no probe got out of this machine.
#[derive(Serialize)]
struct Blocked {
    hop: u8,
    error: String,
}

impl<'a> Document<'a> {
    pub(crate) fn new(args: &Args, paths: &'a Paths, names: &Names) -> Self {
        let (summary, graph) = (paths.summary(), paths.graph());
        let node = |node: &Node| JsonNode {
            hop: node.hop,
            address: node.address,
            known: node
                .address
                .map(|address| Known::of(address, names))
                .unwrap_or_default(),
            rtt_ms: node.rtt.map(milliseconds),
            flows: node.flows,
            end: node.end.map(End::as_str),
            by_packet: graph.is_per_packet(node.hop),
            flow: node.flow,
            sent: node.sent,
            lost: node.lost,
        };
        let edge = |edge: &Edge| JsonEdge {
            from: edge.from,
            to: edge.to,
            flows: edge.flows,
            certain: edge.is_certain,
        };
        Self {
            target: Target::new(&summary.host, summary.target),
            source: summary.source,
            socket: summary.socket.as_str(),
            started: started(summary.started),
            duration_ms: milliseconds(summary.duration),
            reached: paths.reached(),
            failure: paths.failure().map(failure_text),
            completeness: paths.completeness().as_str(),
            confidence: paths.confidence(),
            flows: paths.flows(),
            probes_sent: summary.probes_sent,
            rejected: JsonRejected::new(paths.forged(), summary.rejected),
            paths: graph.paths(),
            nodes: graph.nodes().iter().map(node).collect(),
            edges: graph.edges().iter().map(edge).collect(),
            blocked: paths
                .blocked()
                .map(|(hop, why)| Blocked {
                    hop,
                    error: failure_text(why),
                })
                .collect(),
            settings: Settings::from(&args.probing),
            version: VERSION,
        }
    }
}
