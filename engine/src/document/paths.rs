//! The document of a search for all paths.

use super::annotate::Annotate;
use super::value::{RejectedDocument, Target, milliseconds, timestamp};
use crate::paths::{Edge, End, Node, Paths};
use crate::protocol::TargetAnswer;
use serde::{Serialize, Serializer};
use std::net::IpAddr;

/// A search for all paths that has ended.
#[derive(Debug, Serialize)]
pub struct PathsDocument<'a, K> {
    target: Target<'a>,
    source: IpAddr,
    socket: &'static str,
    protocol: &'static str,
    #[serde(skip_serializing_if = "Option::is_none")]
    port: Option<u16>,
    started: String,
    duration_ms: f64,
    reached: bool,
    /// The target's answer to a probe that was to learn its distance.
    #[serde(skip_serializing_if = "Option::is_none")]
    knock: Option<&'static str>,
    failure: Option<String>,
    completeness: &'static str,
    confidence: f64,
    flows: usize,
    probes_sent: usize,
    rejected: RejectedDocument,
    paths: u64,
    nodes: Vec<NodeDocument<K>>,
    edges: Vec<EdgeDocument>,
    blocked: Vec<Blocked>,
}

#[derive(Debug, Serialize)]
struct NodeDocument<K> {
    hop: u8,
    address: Option<IpAddr>,
    #[serde(flatten)]
    known: K,
    rtt_ms: Option<f64>,
    flows: usize,
    end: Option<&'static str>,
    /// What the target said.
    #[serde(skip_serializing_if = "Option::is_none")]
    answer: Option<&'static str>,
    by_packet: bool,
    /// One of the flows.
    flow: Option<u16>,
    sent: usize,
    lost: usize,
}

#[derive(Debug, Serialize)]
struct EdgeDocument {
    from: usize,
    to: usize,
    flows: usize,
    certain: bool,
}

/// A hop to which no probe got out of this machine.
#[derive(Debug, Serialize)]
struct Blocked {
    hop: u8,
    error: String,
}

impl<'a, K: Default> PathsDocument<'a, K> {
    /// Makes the document of a search.
    #[must_use]
    pub fn new(paths: &'a Paths, annotations: &impl Annotate<Known = K>) -> Self {
        let (summary, graph) = (paths.summary(), paths.graph());
        let node = |node: &Node| NodeDocument {
            hop: node.hop,
            address: node.address,
            known: node
                .address
                .map(|address| annotations.known(address))
                .unwrap_or_default(),
            rtt_ms: node.rtt.map(milliseconds),
            flows: node.flows,
            end: node.end.map(End::as_str),
            answer: node.answer.map(TargetAnswer::as_str),
            by_packet: graph.is_per_packet(node.hop),
            flow: node.flow,
            sent: node.sent,
            lost: node.lost,
        };
        let edge = |edge: &Edge| EdgeDocument {
            from: edge.from,
            to: edge.to,
            flows: edge.flows,
            certain: edge.is_certain,
        };
        let blocked = paths.blocked().map(|(hop, why)| Blocked {
            hop,
            error: paths.failure_text(why),
        });
        Self {
            target: Target::new(&summary.host, Some(summary.target)),
            source: summary.source,
            socket: summary.socket.as_str(),
            protocol: summary.protocol.as_str(),
            port: summary.protocol.port(),
            started: timestamp(summary.started),
            duration_ms: milliseconds(summary.duration),
            reached: paths.reached(),
            knock: paths.knock().map(TargetAnswer::as_str),
            failure: paths.failure().map(|failure| paths.failure_text(failure)),
            completeness: paths.completeness().as_str(),
            confidence: paths.confidence(),
            flows: paths.flows(),
            probes_sent: summary.probes_sent,
            rejected: RejectedDocument::new(paths.forged(), summary.rejected),
            paths: graph.paths(),
            nodes: graph.nodes().iter().map(node).collect(),
            edges: graph.edges().iter().map(edge).collect(),
            blocked: blocked.collect(),
        }
    }
}

impl Serialize for Paths {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        PathsDocument::new(self, &()).serialize(serializer)
    }
}
