//! All paths to a host that load balancers share traffic over.

mod flows;
mod graph;
mod search;
mod stopping;

pub use graph::{Edge, End, Graph, Node};
pub use search::Completeness;

use crate::driver::Step;
use crate::privilege::Shortfalls;
use crate::resolve::specified;
use crate::{
    Error, Failure, Hop, Kind, Lack, Outcome, Rejected, Reply, Route, SocketKind, Sockets, Survey, Traceroute, clock,
    random,
};
use flows::{FLOWS, Flows};
use graph::{Answered, Flow, FlowHop};
use hopshot_core::Instant;
use hopshot_core::wire::Version;
use search::{Batch, Search};
use std::collections::BTreeMap;
use std::net::{IpAddr, SocketAddr};
use std::os::fd::BorrowedFd;
use std::time::{Duration, SystemTime};

/// A search for all paths to a host: what [`Traceroute::paths`] returns.
#[derive(Clone, Debug)]
#[must_use = "nothing is sent before run or start"]
pub struct AllPaths {
    settings: Traceroute,
    confidence: f64,
    rate: u32,
    most_flows: usize,
}

impl AllPaths {
    /// The confidence by default.
    pub const CONFIDENCE: f64 = 0.95;

    /// Flows traced at most by default.
    pub const MOST_FLOWS: usize = 1024;

    pub(crate) const fn new(settings: Traceroute) -> Self {
        Self { settings, confidence: Self::CONFIDENCE, rate: Survey::DEFAULT_RATE, most_flows: Self::MOST_FLOWS }
    }

    /// How sure to be that no next hop of any router is missing in the graph: above 0, below 1. What is beyond 0.5 to 0.999999 is
    /// taken for the nearest, and what is no number for 0.95, the default.
    pub const fn confidence(mut self, confidence: f64) -> Self {
        self.confidence = if confidence.is_nan() { Self::CONFIDENCE } else { confidence.clamp(0.5, 0.999_999) };
        self
    }

    /// Probes a second, all flows together, 1 to 1,000,000 (what is beyond is taken for the nearest); 1,000 by default.
    pub const fn rate(mut self, rate: u32) -> Self {
        self.rate = rate;
        self
    }

    /// The most flows to trace, 1 to 65,534 (what is beyond is taken for the nearest); 1,024 by default.
    pub fn most_flows(mut self, flows: usize) -> Self {
        self.most_flows = flows.clamp(1, FLOWS.into());
        self
    }

    /// Runs the search to its end. What goes wrong when flows have been traced is one, too: [`Completeness::Interrupted`].
    ///
    /// # Errors
    /// As [`Traceroute::run`].
    pub fn run(&self) -> Result<Paths, Error> {
        let mut exploration = self.start()?;
        loop {
            match exploration.advance(None) {
                Ok(Step::Done) => break,
                Err(error) if exploration.flows() == 0 => return Err(error),
                Err(_) => break,
                Ok(_) => {}
            }
        }
        Ok(exploration.finish())
    }

    /// Resolves the name and opens the sockets; the first probes leave with [`Exploration::advance`].
    ///
    /// # Errors
    /// As [`Traceroute::start`].
    pub fn start(&self) -> Result<Exploration, Error> {
        self.settings.check()?;
        let address = self.settings.resolve()?;
        let sockets = Sockets::open(Some(Version::of(address.ip())), self.settings.socket_options())?;
        self.start_at(sockets, address)
    }

    /// Opens the sockets: see [`Traceroute::open`].
    ///
    /// # Errors
    /// As there.
    pub fn open(&self) -> Result<Sockets, Error> {
        self.settings.open()
    }

    /// As [`start`](Self::start), with sockets that were [opened](Self::open) before, and at an address that is known. The port
    /// has no meaning.
    ///
    /// # Errors
    /// As [`Traceroute::start`].
    pub fn start_at(&self, sockets: Sockets, address: SocketAddr) -> Result<Exploration, Error> {
        self.settings.check()?;
        let address = specified(address);
        let settings = self.settings.clone().family(Version::of(address.ip()));
        let config = settings.config;
        let mut exploration = Exploration {
            survey: Survey::on(sockets, &settings, self.rate, search::AT_ONCE)?,
            search: Search::new(self.confidence, self.most_flows, config.first_hop, config.max_hops),
            address,
            flows: Flows::new(settings.flow, (random()? >> 64) as u64),
            batch: Batch { flows: 0, first_hop: config.first_hop, max_hops: config.max_hops, twice: 0 },
            paths: Paths::new(settings.host.clone(), address.ip(), self.confidence),
            start: clock::now(),
            stuck_since: None,
            settings,
        };
        exploration.batch = exploration.search.next().unwrap_or(exploration.batch);
        // What keeps the first flow from being traced, such as that no route leads there, is told at once.
        exploration.add()?;
        Ok(exploration)
    }
}

/// A search that has been started.
pub struct Exploration {
    survey: Survey,
    settings: Traceroute,
    address: SocketAddr,
    search: Search,
    flows: Flows,
    /// What is still to be traced of the last batch.
    batch: Batch,
    paths: Paths,
    start: Instant,
    /// Since when no flow can begin.
    stuck_since: Option<Instant>,
}

/// The pause before a flow that could not begin is tried again.
const RETRY: Duration = Duration::from_millis(50);

impl Exploration {
    /// As [`Trace::advance`](crate::Trace::advance).
    ///
    /// # Errors
    /// As there, and why no more flows can be traced, such as that no route leads to the target any more:
    /// [`finish`](Self::finish) has what is known nevertheless.
    pub fn advance(&mut self, wake: Option<BorrowedFd<'_>>) -> Result<Step, Error> {
        if self.paths.completeness.is_some() {
            return Ok(Step::Done);
        }
        let mut is_stuck = false;
        while self.batch.flows > 0 && self.survey.has_room() && !is_stuck {
            match self.add() {
                Ok(()) => self.stuck_since = None,
                Err(error) if self.may_pass(&error) => is_stuck = true,
                Err(error) => return Err(error),
            }
        }
        let step = match is_stuck {
            true if self.survey.is_idle() => self.survey.wait(wake, RETRY)?,
            true => self.survey.advance_within(wake, RETRY)?,
            false => self.survey.advance(wake)?,
        };
        while let Some(route) = self.survey.take() {
            self.paths.note(&route);
            self.search.take(flow(&route));
        }
        if step == Step::Woken {
            return Ok(step);
        }
        if self.batch.flows == 0 && self.survey.is_empty() {
            match self.search.next() {
                Ok(batch) => self.batch = batch,
                // Behind this machine's own refusal nothing is known.
                Err(Completeness::Complete) if self.paths.blocked().next().is_some() => {
                    self.paths.completeness = Some(Completeness::NoProgress);
                }
                Err(completeness) => self.paths.completeness = Some(completeness),
            }
        }
        Ok(if self.paths.completeness.is_some() { Step::Done } else { Step::Running })
    }

    /// Begins to trace one more flow.
    fn add(&mut self) -> Result<(), Error> {
        // Taken only when the flow has begun.
        let mut batch = self.batch;
        let attempts = batch.take();
        let Batch { first_hop, max_hops, .. } = batch;
        let settings = self.settings.clone().first_hop(first_hop).max_hops(max_hops).attempts(attempts);
        let source = self.survey.add_as(&settings.flow(self.flows.draw()), self.address)?;
        self.paths.source.get_or_insert(source);
        self.batch = batch;
        Ok(())
    }

    /// Whether a flow may begin in a moment that can't now: others have begun, and it is waited for no longer than an answer.
    fn may_pass(&mut self, error: &Error) -> bool {
        let now = clock::now();
        let since = *self.stuck_since.get_or_insert(now);
        error.may_pass() && self.paths.source.is_some() && now.saturating_since(since) < self.settings.config.timeout
    }

    /// Ends the search now, with what is known.
    pub fn interrupt(&mut self) {
        self.survey.interrupt();
        while let Some(route) = self.survey.take() {
            self.paths.note(&route);
            self.search.take(flow(&route));
        }
        self.paths.completeness.get_or_insert(Completeness::Interrupted);
    }

    /// The target's address.
    #[must_use]
    pub fn target(&self) -> IpAddr {
        self.address.ip()
    }

    /// Returns what its sockets do without.
    #[must_use]
    pub fn lacks(&self) -> Vec<Lack> {
        self.survey.lacks(Version::of(self.target()))
    }

    /// The address that the probes leave from.
    #[must_use]
    pub const fn source(&self) -> Option<IpAddr> {
        self.paths.source
    }

    /// The kind of socket that was opened.
    #[must_use]
    pub fn socket(&self) -> SocketKind {
        self.survey.socket(Version::of(self.target())).unwrap_or(SocketKind::Raw)
    }

    /// As [`Trace::confine`](crate::Trace::confine).
    ///
    /// # Errors
    /// As there.
    pub fn confine(&mut self) -> Result<Shortfalls, Error> {
        self.survey.confine()
    }

    /// How many flows' traces have ended: what [`graph`](Self::graph) is of.
    #[must_use]
    pub fn flows(&self) -> usize {
        self.search.flows()
    }

    /// What is known so far, of the flows whose traces have ended.
    #[must_use]
    pub fn graph(&self) -> Graph {
        self.search.graph()
    }

    /// The result: what is known now.
    #[must_use]
    pub fn finish(mut self) -> Paths {
        self.interrupt();
        let rejected = self.survey.rejected(Version::of(self.target()));
        let duration = clock::now().saturating_since(self.start);
        Paths { graph: self.search.graph(), flows: self.search.flows(), rejected, duration, ..self.paths }
    }
}

/// The paths to a host.
#[derive(Clone, Debug)]
pub struct Paths {
    host: String,
    target: IpAddr,
    source: Option<IpAddr>,
    started: SystemTime,
    duration: Duration,
    confidence: f64,
    graph: Graph,
    flows: usize,
    probes_sent: usize,
    forged: u32,
    rejected: Rejected,
    socket: Option<SocketKind>,
    failure: Option<Failure>,
    end_failure: Option<Failure>,
    /// Of each hop why a probe to it failed, if one did, and whether one left.
    sent_to: BTreeMap<u8, (Option<Failure>, bool)>,
    completeness: Option<Completeness>,
}

impl Paths {
    fn new(host: String, target: IpAddr, confidence: f64) -> Self {
        Self {
            host,
            target,
            source: None,
            started: SystemTime::now(),
            duration: Duration::ZERO,
            confidence,
            graph: Graph::default(),
            flows: 0,
            probes_sent: 0,
            forged: 0,
            rejected: Rejected::default(),
            socket: None,
            failure: None,
            end_failure: None,
            sent_to: BTreeMap::new(),
            completeness: None,
        }
    }

    /// Counts a flow whose trace has ended.
    fn note(&mut self, route: &Route) {
        self.socket.get_or_insert(route.socket());
        self.probes_sent += route.probes_sent();
        self.forged += u32::from(route.tally().forged);
        self.end_failure = route.failure();
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

    /// The host as it was given: a name or an address.
    #[must_use]
    pub fn host(&self) -> &str {
        &self.host
    }

    /// The address that was traced.
    #[must_use]
    pub const fn target(&self) -> IpAddr {
        self.target
    }

    /// The address that the probes left from; `None` if it ended before the first flow did.
    #[must_use]
    pub const fn source(&self) -> Option<IpAddr> {
        self.source
    }

    /// When the search was started, on the wall clock.
    #[must_use]
    pub const fn started(&self) -> SystemTime {
        self.started
    }

    /// How long it took.
    #[must_use]
    pub const fn duration(&self) -> Duration {
        self.duration
    }

    /// How sure it is, if the search is complete, that no next hop of any router is missing.
    #[must_use]
    pub const fn confidence(&self) -> f64 {
        self.confidence
    }

    /// The routers, and who leads to whom.
    #[must_use]
    pub const fn graph(&self) -> &Graph {
        &self.graph
    }

    /// How many flows were traced.
    #[must_use]
    pub const fn flows(&self) -> usize {
        self.flows
    }

    /// How many probes were sent.
    #[must_use]
    pub const fn probes_sent(&self) -> usize {
        self.probes_sent
    }

    /// Messages with the ident of a flow but without its cookie: forgeries.
    #[must_use]
    pub const fn forged(&self) -> u32 {
        self.forged
    }

    /// What was received and was no answer.
    #[must_use]
    pub const fn rejected(&self) -> Rejected {
        self.rejected
    }

    /// The kind of socket that was used.
    #[must_use]
    pub fn socket(&self) -> SocketKind {
        self.socket.unwrap_or(SocketKind::Raw)
    }

    /// Why a probe did not get out of this machine, if one didn't.
    #[must_use]
    pub const fn failure(&self) -> Option<Failure> {
        self.failure
    }

    /// The failure on this machine that the path of the last flow ends in: see [`Route::failure`](crate::Route::failure).
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

    /// Whether the target answered.
    #[must_use]
    pub fn reached(&self) -> bool {
        self.graph.nodes().iter().any(|node| node.end == Some(End::Target))
    }

    /// Whether all routers were passed by enough flows, or why not.
    #[must_use]
    pub fn completeness(&self) -> Completeness {
        self.completeness.unwrap_or(Completeness::Interrupted)
    }
}

/// The answers to a trace of one flow, as far as they are proven. The rest counts as lost, but for what was still on its way when
/// the search was interrupted.
fn flow(route: &Route) -> Flow {
    let answered = |reply: Reply| Answered {
        from: reply.from,
        rtt: reply.rtt,
        end: match reply.kind {
            Kind::Reply => Some(End::Target),
            Kind::Unreachable => Some(End::Unreachable),
            Kind::TimeExceeded => None,
        },
    };
    let is_lost = |outcome: &Outcome| match outcome {
        Outcome::Lost => true,
        Outcome::Answered(reply) => !reply.is_proven(),
        Outcome::InFlight | Outcome::Failed(_) => false,
    };
    let hop = |hop: Hop<'_>| FlowHop {
        number: hop.number(),
        answers: hop.replies().filter(Reply::is_proven).map(answered).collect(),
        lost: hop.outcomes().filter(is_lost).count(),
    };
    Flow { number: route.flow(), hops: route.hops().map(hop).collect() }
}

#[cfg(test)]
mod tests;
