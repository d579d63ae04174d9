//! All paths to a host that load balancers share traffic over.

mod flows;
mod graph;
mod search;
mod stopping;

pub use graph::{Edge, End, Graph, Node};
pub use search::Completeness;

use crate::driver::{Driver, Step};
use crate::error::LinkError;
use crate::failure::{Describe, failure_text};
use crate::job::Job;
use crate::link::{Link, SocketKind};
use crate::protocol::TargetAnswer;
use crate::rejected::Rejected;
use crate::route::Route;
use crate::settings::{ProbeSettings, specified};
use crate::summary::{Reasons, Summary};
use crate::survey::{DEFAULT_RATE, Survey};
use flows::{FLOWS, Flows};
use graph::{Answered, Flow, FlowHop};
use hopshot_core::wire::AddressFamily;
use hopshot_core::{Config, Evidence, Failure, Hop, Instant, Kind, Outcome, Reply};
use search::{Batch, Search};
use std::collections::BTreeMap;
use std::fmt;
use std::net::{IpAddr, SocketAddr};
use std::time::Duration;

/// The thoroughness of a search for all paths.
#[derive(Clone, Copy, Debug)]
#[non_exhaustive]
pub struct Thoroughness {
    /// The confidence that no next hop of any router is missing: above 0, below 1. What is beyond
    /// 0.5 to 0.999999 is taken for the nearest, and what is no number for 0.95.
    pub confidence: f64,
    /// Probes a second, all flows together, 1 to 1,000,000 (what is beyond is taken for the
    /// nearest).
    pub rate: u32,
    /// The most flows to trace, 1 to 65,534 (what is beyond is taken for the nearest).
    pub most_flows: usize,
}

impl Thoroughness {
    /// The confidence by default.
    pub const CONFIDENCE: f64 = 0.95;

    /// Flows traced at most by default.
    pub const MOST_FLOWS: usize = 1024;

    fn confidence(self) -> f64 {
        if self.confidence.is_nan() {
            Self::CONFIDENCE
        } else {
            self.confidence.clamp(0.5, 0.999_999)
        }
    }
}

impl Default for Thoroughness {
    fn default() -> Self {
        Self {
            confidence: Self::CONFIDENCE,
            rate: DEFAULT_RATE,
            most_flows: Self::MOST_FLOWS,
        }
    }
}

/// A search that has been started.
pub struct Exploration<L: Link> {
    survey: Survey<L>,
    settings: ProbeSettings,
    address: SocketAddr,
    search: Search,
    flows: Flows,
    /// What is still to be traced of the last batch.
    batch: Batch,
    paths: Paths,
    start: Instant,
    /// Since when no flow can begin.
    stuck_since: Option<Instant>,
    /// When it is tried again.
    retry: Instant,
}

/// The pause before a flow that could not begin is tried again.
const RETRY: Duration = Duration::from_millis(50);

impl<L: Link> Exploration<L> {
    /// Begins a search for all paths to an address, which is called `host` in the result. The first
    /// probes leave with [`advance`](Job::advance). The port has no meaning.
    ///
    /// # Errors
    /// As [`Trace::start`](crate::Trace::start).
    pub fn start(
        mut link: L,
        settings: &ProbeSettings,
        thoroughness: Thoroughness,
        host: &str,
        address: SocketAddr,
    ) -> Result<Self, L::Error> {
        settings.check(AddressFamily::of(address.ip()))?;
        let (address, config, confidence) = (
            specified(address),
            settings.config,
            thoroughness.confidence(),
        );
        let target = address.ip();
        let seed = u64::try_from(link.random()? >> 64).unwrap_or_default();
        let flows = Flows::new(settings.flow, seed);
        let (started, start) = (link.date(), link.now());
        let most_flows = thoroughness.most_flows.clamp(1, FLOWS.into());
        // Each flow is a trace of its own.
        let settings = &ProbeSettings {
            one_flow: true,
            ..settings.clone()
        };
        let survey = Survey::start(link, settings, thoroughness.rate, search::AT_ONCE)?;
        let socket = survey.socket(AddressFamily::of(target));
        let summary = Summary {
            host: host.to_owned(),
            target,
            // Until the first flow has begun.
            source: target,
            protocol: settings.protocol,
            socket: socket.unwrap_or(SocketKind::Raw),
            started,
            duration: Duration::ZERO,
            probes_sent: 0,
            reasons: Reasons::default(),
            rejected: Rejected::default(),
        };
        let mut exploration = Self {
            survey,
            search: Search::new(confidence, most_flows, config.first_hop, config.max_hops),
            address,
            flows,
            batch: Batch {
                flows: 0,
                first_hop: config.first_hop,
                max_hops: config.max_hops,
                twice: 0,
            },
            paths: Paths::new(summary, L::describe, confidence),
            start,
            stuck_since: None,
            retry: Instant::EPOCH,
            settings: settings.clone(),
        };
        exploration.batch = exploration.search.next().unwrap_or(exploration.batch);
        // What keeps the first flow from being traced, such as that no route leads there, is told
        // at once.
        exploration.paths.summary.source = exploration.add()?;
        Ok(exploration)
    }

    /// Begins to trace one more flow. Returns the address that its probes leave from.
    fn add(&mut self) -> Result<IpAddr, L::Error> {
        // Taken only when the flow has begun.
        let mut batch = self.batch;
        let attempts = batch.take();
        let Batch {
            first_hop,
            max_hops,
            ..
        } = batch;
        let mut settings = self.settings.clone();
        settings.config = Config {
            first_hop,
            max_hops,
            attempts,
            ..settings.config
        };
        let mut flow = self.flows.draw();
        // Each source port once, and one that was given as it is.
        while settings.flow != Some(flow) && settings.protocol.flow(flow) != flow {
            flow = self.flows.draw();
        }
        settings.flow = Some(flow);
        let source = self
            .survey
            .add_as(&settings, &self.paths.summary.host, self.address)?;
        self.batch = batch;
        Ok(source)
    }

    /// Whether a flow may begin in a moment that can't now: others have begun, and it is waited for
    /// no longer than an answer.
    fn may_pass(&mut self, error: &L::Error) -> bool {
        let now = self.link().now();
        let since = *self.stuck_since.get_or_insert(now);
        error.may_pass() && now.saturating_since(since) < self.settings.config.timeout
    }

    /// The target's address.
    #[must_use]
    pub fn target(&self) -> IpAddr {
        self.address.ip()
    }

    /// The address that the probes leave from.
    #[must_use]
    pub const fn source(&self) -> IpAddr {
        self.paths.summary.source
    }

    /// The kind of socket that was opened.
    #[must_use]
    pub const fn socket(&self) -> SocketKind {
        self.paths.summary.socket
    }

    /// Returns how many flows' traces have ended: what [`graph`](Self::graph) is of.
    #[must_use]
    pub fn flows(&self) -> usize {
        self.search.flows()
    }

    /// Returns what is known so far, of the flows whose traces have ended.
    #[must_use]
    pub fn graph(&self) -> Graph {
        self.search.graph()
    }

    /// Takes the flows whose traces have ended.
    fn take(&mut self) {
        while let Some(route) = self.survey.take() {
            self.paths.note(&route);
            self.search.take(flow(&route));
        }
    }

    /// Begins with the next flows where all have been traced, unless it is over.
    fn go_on(&mut self) {
        if self.batch.flows > 0 || !self.survey.is_empty() {
            return;
        }
        match self.search.next() {
            Ok(batch) => self.batch = batch,
            // Behind this machine's own refusal nothing is known.
            Err(Completeness::Complete) if self.paths.blocked().next().is_some() => {
                self.paths.completeness = Some(Completeness::NoProgress);
            }
            Err(completeness) => self.paths.completeness = Some(completeness),
        }
    }
}

impl<L: Link> fmt::Debug for Exploration<L> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Exploration")
            .field("flows", &self.flows())
            .field("paths", &self.paths)
            .finish_non_exhaustive()
    }
}

impl<L: Link> Job for Exploration<L> {
    type Link = L;
    type Output = Paths;

    fn driver(&self) -> &Driver<L> {
        self.survey.driver()
    }

    fn driver_mut(&mut self) -> &mut Driver<L> {
        self.survey.driver_mut()
    }

    fn deadline(&self) -> Option<Instant> {
        if self.paths.completeness.is_some() {
            return None;
        }
        let begins = self.batch.flows > 0 && self.survey.has_room();
        let next = begins.then_some(self.retry);
        // Without either the next flows are to be chosen.
        Some(
            self.survey
                .deadline()
                .into_iter()
                .chain(next)
                .min()
                .unwrap_or(Instant::EPOCH),
        )
    }

    /// # Errors
    /// Those of the machine, and why no more flows can be traced, such as that no route leads to
    /// the target any more: [`finish`](Self::finish) has what is known nevertheless.
    fn work(&mut self) -> Result<Step, L::Error> {
        if self.paths.completeness.is_some() {
            return Ok(Step::Done);
        }
        let now = self.link().now();
        while self.batch.flows > 0 && self.survey.has_room() && self.retry <= now {
            match self.add() {
                Ok(_) => self.stuck_since = None,
                Err(error) if self.may_pass(&error) => {
                    self.retry = now.saturating_add(RETRY);
                }
                Err(error) => return Err(error),
            }
        }
        self.survey.work()?;
        self.take();
        self.go_on();
        Ok(if self.paths.completeness.is_some() {
            Step::Done
        } else {
            Step::Running
        })
    }

    fn interrupt(&mut self) {
        self.survey.interrupt();
        self.take();
        self.paths
            .completeness
            .get_or_insert(Completeness::Interrupted);
    }

    fn finish(mut self) -> Paths {
        self.interrupt();
        let summary = &mut self.paths.summary;
        summary.rejected = self.survey.rejected(AddressFamily::of(summary.target));
        summary.duration = self.survey.link().now().saturating_since(self.start);
        Paths {
            graph: self.search.graph(),
            flows: self.search.flows(),
            ..self.paths
        }
    }
}

/// The paths to a host.
#[derive(Clone, Debug)]
pub struct Paths {
    summary: Summary,
    describe: Describe,
    confidence: f64,
    graph: Graph,
    flows: usize,
    forged: u32,
    failure: Option<Failure>,
    end_failure: Option<Failure>,
    /// Of each hop why a probe to it failed, if one did, and whether one left.
    sent_to: BTreeMap<u8, (Option<Failure>, bool)>,
    completeness: Option<Completeness>,
    knock: Option<TargetAnswer>,
}

impl Paths {
    fn new(summary: Summary, describe: Describe, confidence: f64) -> Self {
        Self {
            summary,
            describe,
            confidence,
            graph: Graph::default(),
            flows: 0,
            forged: 0,
            failure: None,
            end_failure: None,
            knock: None,
            sent_to: BTreeMap::new(),
            completeness: None,
        }
    }

    /// Counts a flow whose trace has ended.
    fn note(&mut self, route: &Route) {
        self.summary.probes_sent += route.summary().probes_sent;
        self.summary.reasons += route.summary().reasons;
        self.forged += u32::from(route.tally().forged);
        self.end_failure = route.failure();
        self.knock = self.knock.or(route.knock());
        for hop in route.hops() {
            let (why, has_left) = self.sent_to.entry(hop.number()).or_default();
            for outcome in hop.outcomes() {
                match outcome {
                    Outcome::Failed(failure) => *why = why.or(Some(failure)),
                    _ => *has_left = true,
                }
            }
            self.failure = self.failure.or(*why);
        }
    }

    /// Returns the facts that every result has: who was traced, from where, when and for how long.
    #[must_use]
    pub const fn summary(&self) -> &Summary {
        &self.summary
    }

    /// Returns how sure it is, if the search is complete, that no next hop of any router is
    /// missing.
    #[must_use]
    pub const fn confidence(&self) -> f64 {
        self.confidence
    }

    /// The routers, and who leads to whom.
    #[must_use]
    pub const fn graph(&self) -> &Graph {
        &self.graph
    }

    /// Returns how many flows were traced.
    #[must_use]
    pub const fn flows(&self) -> usize {
        self.flows
    }

    /// Messages with the ident of a flow but without its cookie: forgeries.
    #[must_use]
    pub const fn forged(&self) -> u32 {
        self.forged
    }

    /// Returns why a probe did not get out of this machine, if one didn't.
    #[must_use]
    pub const fn failure(&self) -> Option<Failure> {
        self.failure
    }

    /// Returns why a probe failed on this machine, in the machine's words where they are its own.
    #[must_use]
    pub fn failure_text(&self, failure: Failure) -> String {
        failure_text(failure, self.describe)
    }

    /// The failure on this machine that the path of the last flow ends in: see
    /// [`Route::failure`](crate::Route::failure).
    #[must_use]
    pub const fn end_failure(&self) -> Option<Failure> {
        self.end_failure
    }

    /// The hops to which no probe got out of this machine, nearest first, and why. The search isn't
    /// complete if there are any.
    pub fn blocked(&self) -> impl Iterator<Item = (u8, Failure)> {
        let blocked = self.sent_to.iter().filter(|(_, (_, has_left))| !has_left);
        blocked.filter_map(|(hop, (why, _))| Some((*hop, (*why)?)))
    }

    /// Whether the target answered, be it a [knock](Self::knock) alone.
    #[must_use]
    pub fn reached(&self) -> bool {
        let mut nodes = self.graph.nodes().iter();
        self.knock.is_some() || nodes.any(|node| node.end == Some(End::Target))
    }

    /// Returns what the target said to the first probe that was to learn its distance. Such a probe
    /// is of no flow: where only it was answered, the paths end before the target.
    #[must_use]
    pub const fn knock(&self) -> Option<TargetAnswer> {
        self.knock
    }

    /// Returns whether all routers were passed by enough flows, or why not.
    #[must_use]
    pub fn completeness(&self) -> Completeness {
        self.completeness.unwrap_or(Completeness::Interrupted)
    }
}

/// The answers to a trace of one flow, as far as they are proven. The rest counts as lost, but for
/// what was still on its way when the search was interrupted.
fn flow(route: &Route) -> Flow {
    let answered = |reply: Reply| Answered {
        from: reply.from,
        rtt: reply.rtt,
        end: match reply.kind {
            Kind::Reply => Some(End::Target),
            Kind::Unreachable => Some(End::Unreachable),
            Kind::TimeExceeded => None,
        },
        said: route
            .target_answer(&reply)
            .filter(|_| reply.evidence() == Evidence::Strong),
    };
    let hop = |hop: Hop<'_>| FlowHop {
        number: hop.number(),
        answers: hop
            .replies()
            .filter(Reply::is_proven)
            .map(answered)
            .collect(),
        lost: hop.loss().lost,
    };
    Flow {
        number: route.tracer.protocol().flow(),
        hops: route.hops().map(hop).collect(),
    }
}

#[cfg(test)]
mod tests;
