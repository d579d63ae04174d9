//! The document of a comparison.

use super::annotate::Annotate;
use super::trace::TraceDocument;
use super::value::{Target, milliseconds, timestamp};
use crate::compare::{Compared, Comparison, Lossier, Side, SideEnd, Slower, Unheard, Verdict, Way};
use serde::{Serialize, Serializer};
use std::net::IpAddr;
use std::time::Duration;

/// A comparison that has ended.
#[derive(Debug, Serialize)]
pub struct ComparisonDocument<'a, K> {
    target: Target<'a>,
    started: String,
    duration_ms: f64,
    reached: bool,
    sides: Vec<SideDocument<'a, K>>,
    verdict: VerdictDocument,
}

/// A side, with the document of its trace, or why there is none.
#[derive(Debug, Serialize)]
struct SideDocument<'a, K> {
    side: String,
    #[serde(skip_serializing_if = "Option::is_none")]
    error: Option<&'a str>,
    #[serde(skip_serializing_if = "Option::is_none")]
    route: Option<TraceDocument<'a, K>>,
}

#[derive(Debug, Serialize)]
struct VerdictDocument {
    alike: bool,
    ends: Vec<EndDocument>,
    /// The first hop at which paths are different ones.
    parts_at: Option<u8>,
    /// Whether the hop before is known to be the same.
    #[serde(skip_serializing_if = "Option::is_none")]
    parts_exactly: Option<bool>,
    /// Whether each probe of one of the sides that part is of another flow, which may be why.
    #[serde(skip_serializing_if = "Option::is_none")]
    many_flows: Option<bool>,
    ways: Vec<WayDocument>,
    slower: Vec<SlowerDocument>,
    lossier: Vec<LossierDocument>,
    unheard: Vec<UnheardDocument>,
    sentences: Vec<String>,
}

#[derive(Debug, Serialize)]
struct EndDocument {
    side: String,
    end: &'static str,
    /// The last hop that probes got to, where they didn't get to the target.
    #[serde(skip_serializing_if = "Option::is_none")]
    after_hop: Option<u8>,
    /// Answers from behind it that prove nothing.
    #[serde(skip_serializing_if = "Option::is_none")]
    unproven: Option<UnprovenDocument>,
    /// The host that refuses to pass probes on.
    #[serde(skip_serializing_if = "Option::is_none")]
    by: Option<IpAddr>,
    #[serde(skip_serializing_if = "Option::is_none")]
    port_state: Option<&'static str>,
    #[serde(skip_serializing_if = "Option::is_none")]
    median_ms: Option<f64>,
}

/// Answers that prove nothing: their last hop, or that at which the target seems to answer.
#[derive(Debug, Serialize)]
struct UnprovenDocument {
    hop: u8,
    target: bool,
}

/// Sides that go by one address where paths part.
#[derive(Debug, Serialize)]
struct WayDocument {
    sides: Vec<String>,
    address: IpAddr,
}

#[derive(Debug, Serialize)]
struct SlowerDocument {
    side: String,
    median_ms: f64,
    /// The hop whose answers are slow, if it is that and not the way.
    hop: Option<u8>,
    target: bool,
    than: Vec<FasterDocument>,
}

#[derive(Debug, Serialize)]
struct FasterDocument {
    side: String,
    median_ms: f64,
}

#[derive(Debug, Serialize)]
struct LossierDocument {
    #[serde(flatten)]
    side: LossDocument,
    than: Vec<LossDocument>,
}

/// A side that routers at these hops don't answer.
#[derive(Debug, Serialize)]
struct UnheardDocument {
    side: String,
    hops: Vec<u8>,
}

#[derive(Debug, Serialize)]
struct LossDocument {
    side: String,
    sent: usize,
    lost: usize,
}

impl<'a, K: Default> ComparisonDocument<'a, K> {
    /// Makes the document of a comparison.
    #[must_use]
    pub fn new(comparison: &'a Comparison, annotations: &impl Annotate<Known = K>) -> Self {
        let mut targets = comparison.routes().map(|route| route.summary().target);
        // Of families each side has its own.
        let target = targets
            .next()
            .filter(|first| targets.all(|it| it == *first));
        let sides = comparison.sides().iter();
        Self {
            target: Target::new(comparison.host(), target),
            started: timestamp(comparison.started()),
            duration_ms: milliseconds(comparison.duration()),
            reached: comparison.reached(),
            sides: sides
                .map(|side| SideDocument::new(side, annotations))
                .collect(),
            verdict: VerdictDocument::new(comparison.verdict()),
        }
    }
}

impl Serialize for Comparison {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        ComparisonDocument::new(self, &()).serialize(serializer)
    }
}

impl<'a, K: Default> SideDocument<'a, K> {
    fn new(compared: &'a Compared, annotations: &impl Annotate<Known = K>) -> Self {
        let route = compared.route.as_ref();
        Self {
            side: compared.side.name(),
            error: route.err().map(String::as_str),
            route: route
                .ok()
                .map(|route| TraceDocument::new(route, annotations)),
        }
    }
}

impl VerdictDocument {
    fn new(verdict: &Verdict) -> Self {
        let parting = verdict.parting();
        let ways = parting.iter().flat_map(|parting| &parting.ways);
        Self {
            alike: verdict.is_alike(),
            ends: verdict.ends().iter().map(EndDocument::new).collect(),
            parts_at: parting.map(|parting| parting.hop),
            parts_exactly: parting.map(|parting| parting.is_exact),
            many_flows: parting.map(|parting| parting.has_many_flows),
            ways: ways.map(WayDocument::new).collect(),
            slower: verdict.slower().iter().map(SlowerDocument::new).collect(),
            lossier: verdict.lossier().iter().map(LossierDocument::new).collect(),
            unheard: verdict.unheard().iter().map(UnheardDocument::new).collect(),
            sentences: verdict.sentences(),
        }
    }
}

impl EndDocument {
    fn new((side, end): &(Side, SideEnd)) -> Self {
        let by = match end {
            SideEnd::Refused { by, .. } => Some(*by),
            _ => None,
        };
        let rtt = match end {
            SideEnd::Reached { rtt, .. } => *rtt,
            _ => None,
        };
        Self {
            side: side.name(),
            end: end.as_str(),
            after_hop: end.after(),
            unproven: end.unproven().map(|unproven| UnprovenDocument {
                hop: unproven.hop,
                target: unproven.is_target,
            }),
            by,
            port_state: end.port_state(),
            median_ms: rtt.map(milliseconds),
        }
    }
}

impl WayDocument {
    fn new(way: &Way) -> Self {
        Self {
            sides: way.sides.iter().map(|side| side.name()).collect(),
            address: way.address,
        }
    }
}

impl SlowerDocument {
    fn new(slower: &Slower) -> Self {
        let faster = |(side, rtt): &(Side, Duration)| FasterDocument {
            side: side.name(),
            median_ms: milliseconds(*rtt),
        };
        Self {
            side: slower.side.name(),
            median_ms: milliseconds(slower.rtt),
            hop: slower.hop,
            target: slower.is_target,
            than: slower.than.iter().map(faster).collect(),
        }
    }
}

impl UnheardDocument {
    fn new(unheard: &Unheard) -> Self {
        Self {
            side: unheard.side.name(),
            hops: unheard.hops.clone(),
        }
    }
}

impl LossierDocument {
    fn new(lossier: &Lossier) -> Self {
        let loss = |side: Side, loss: hopshot_core::Loss| LossDocument {
            side: side.name(),
            sent: loss.sent,
            lost: loss.lost,
        };
        let others = lossier.than.iter();
        Self {
            side: loss(lossier.side, lossier.loss),
            than: others.map(|(side, other)| loss(*side, *other)).collect(),
        }
    }
}
