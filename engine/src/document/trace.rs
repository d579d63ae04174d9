//! The document of a trace.

use super::annotate::Annotate;
use super::answer::AnswerDocument;
use super::figures::Figures;
use super::value::{RejectedDocument, Target, milliseconds, timestamp};
use crate::path_mtu::MtuRoute;
use crate::protocol::TargetAnswer;
use crate::route::Route;
use crate::shared::SharedHop;
use crate::summary::Summary;
use hopshot_core::{Hop, Outcome, StopReason, Tally};
use serde::{Serialize, Serializer};
use std::net::IpAddr;

/// A trace that has ended.
#[derive(Debug, Serialize)]
pub struct TraceDocument<'a, K> {
    #[serde(flatten)]
    end: TraceEnd<'a, K>,
    hops: Vec<HopDocument<'a, K>>,
}

/// A trace that has ended, but for its hops.
#[derive(Debug, Serialize)]
pub struct TraceEnd<'a, K> {
    target: Target<'a>,
    source: IpAddr,
    socket: &'static str,
    protocol: &'static str,
    #[serde(skip_serializing_if = "Option::is_none")]
    port: Option<u16>,
    #[serde(skip_serializing_if = "Option::is_none")]
    source_port: Option<u16>,
    /// Whether all answers are to probes of this flow.
    one_flow: bool,
    /// What the target said to the probe that was to find out its distance.
    #[serde(skip_serializing_if = "Option::is_none")]
    knock: Option<&'static str>,
    #[serde(skip_serializing_if = "Option::is_none")]
    knock_ms: Option<f64>,
    /// Evidence of a proxy that answers in the target's name.
    #[serde(skip_serializing_if = "Option::is_none")]
    proxy: Option<ProxyDocument>,
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
    rejected: RejectedDocument,
    #[serde(skip_serializing_if = "Vec::is_empty")]
    shared: Vec<SharedDocument<K>>,
    flow: Option<u16>,
}

/// A hop at which the target's name is answered for, and the router that probes of another protocol
/// hear there.
#[derive(Debug, Serialize)]
struct ProxyDocument {
    hop: u8,
    router: IpAddr,
    protocol: &'static str,
    certain: bool,
}

/// A hop that was not probed, because the path begins as those to other hosts do.
#[derive(Debug, Serialize)]
struct SharedDocument<K> {
    hop: u8,
    from: Option<IpAddr>,
    seen: u8,
    of: u8,
    #[serde(flatten)]
    known: K,
}

/// A hop with its probes.
#[derive(Debug, Serialize)]
pub struct HopDocument<'a, K> {
    hop: u8,
    rate_limited: bool,
    probes: Vec<Option<Probe<'a, K>>>,
    #[serde(flatten)]
    figures: Figures,
}

/// A probe that was answered, or that could not be sent; a lost one is `null`.
#[derive(Debug, Serialize)]
#[serde(untagged)]
enum Probe<'a, K> {
    Answered(Box<AnswerDocument<'a, K>>),
    Failed { attempt: usize, error: String },
}

impl<'a, K: Default> TraceDocument<'a, K> {
    /// Makes the document of a trace.
    #[must_use]
    pub fn new(route: &'a Route, annotations: &impl Annotate<Known = K>) -> Self {
        let hops = route
            .hops()
            .map(|hop| HopDocument::new(route, hop, annotations));
        Self {
            end: TraceEnd::new(route, annotations),
            hops: hops.collect(),
        }
    }
}

impl Serialize for Route {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        TraceDocument::new(self, &()).serialize(serializer)
    }
}

impl<'a, K: Default> TraceEnd<'a, K> {
    /// Makes the document of a trace without its hops.
    #[must_use]
    pub fn new(route: &'a Route, annotations: &impl Annotate<Known = K>) -> Self {
        Self::with(
            route.summary(),
            route.tally(),
            route.stop_reason(),
            route,
            annotations,
        )
    }

    /// Makes that of a search for an MTU, whose last trace shows how the path ends.
    pub(super) fn of_search(search: &'a MtuRoute, annotations: &impl Annotate<Known = K>) -> Self {
        Self::with(
            search.summary(),
            search.tally(),
            Some(search.stop_reason()),
            &search.last().route,
            annotations,
        )
    }

    fn with(
        summary: &'a Summary,
        tally: Tally,
        stop_reason: Option<StopReason>,
        route: &'a Route,
        annotations: &impl Annotate<Known = K>,
    ) -> Self {
        let shared = route
            .shared()
            .map(|shared| SharedDocument::new(shared, annotations));
        Self {
            target: Target::new(&summary.host, Some(summary.target)),
            source: summary.source,
            socket: summary.socket.as_str(),
            protocol: summary.protocol.as_str(),
            port: summary.protocol.port(),
            source_port: route.source_port(),
            one_flow: route.is_one_flow(),
            knock: route.knock().map(TargetAnswer::as_str),
            knock_ms: route.knock_rtt().map(milliseconds),
            proxy: route.proxy().map(|proxy| ProxyDocument {
                hop: proxy.hop,
                router: proxy.router,
                protocol: proxy.protocol.as_str(),
                certain: proxy.is_certain,
            }),
            started: timestamp(summary.started),
            duration_ms: milliseconds(summary.duration),
            reached: route.reached(),
            // One that was finished before its end was interrupted.
            stop_reason: route.named(stop_reason.unwrap_or(StopReason::Interrupted)),
            failure: route.failure().map(|failure| route.failure_text(failure)),
            distance: route.distance(),
            probes_sent: summary.probes_sent,
            duplicates: tally.duplicates,
            late: tally.late,
            forged: tally.forged,
            rejected: RejectedDocument::new(tally.forged.into(), summary.rejected),
            shared: shared.collect(),
            flow: route.flow(),
        }
    }
}

impl<K: Default> SharedDocument<K> {
    fn new(shared: SharedHop, annotations: &impl Annotate<Known = K>) -> Self {
        let SharedHop {
            hop,
            from,
            seen,
            of,
        } = shared;
        Self {
            hop,
            from,
            seen,
            of,
            known: from
                .map(|router| annotations.known(router))
                .unwrap_or_default(),
        }
    }
}

impl<'a, K> HopDocument<'a, K> {
    pub(super) fn new(
        route: &'a Route,
        hop: Hop<'_>,
        annotations: &impl Annotate<Known = K>,
    ) -> Self {
        // At the target some of the probes may have been sent to farther hops: they are numbered
        // as they stand here.
        let numbered = (1..).zip(hop.outcomes());
        let probes = numbered.map(|(attempt, outcome)| match outcome {
            Outcome::InFlight | Outcome::Lost => None,
            Outcome::Failed(failure) => Some(Probe::Failed {
                attempt,
                error: route.failure_text(failure),
            }),
            Outcome::Answered(reply) => Some(Probe::Answered(Box::new(AnswerDocument::new(
                attempt,
                &route.told(reply),
                annotations,
            )))),
        });
        Self {
            hop: hop.number(),
            // A firewall that knows connections looks the same.
            rate_limited: hop.may_be_rate_limited() && !route.protocol().is_tcp(),
            probes: probes.collect(),
            figures: Figures::from(hop),
        }
    }
}
