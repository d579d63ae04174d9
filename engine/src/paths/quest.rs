//! A search for all paths of one side, among those of a survey.

use super::flows::{FLOWS, Flows};
use super::graph::{Answered, End, Flow, FlowHop, Graph};
use super::result::Paths;
use super::search::{Batch, Completeness, Search};
use super::thoroughness::Thoroughness;
use crate::error::LinkError;
use crate::job::Job;
use crate::link::{Link, SocketKind};
use crate::rejected::Rejected;
use crate::route::Route;
use crate::settings::{ProbeSettings, specified};
use crate::summary::{Reasons, Summary};
use crate::survey::Survey;
use hopshot_core::wire::AddressFamily;
use hopshot_core::{Config, Evidence, Hop, Instant, Kind, Reply};
use std::net::{IpAddr, SocketAddr};
use std::time::Duration;

/// The pause before a flow that could not begin is tried again.
const RETRY: Duration = Duration::from_millis(50);

/// A search for all paths to a target by one protocol. Each flow is a trace of a survey.
pub(crate) struct Quest {
    settings: ProbeSettings,
    address: SocketAddr,
    search: Search,
    flows: Flows,
    /// Flows of the last batch that are still to be traced.
    batch: Batch,
    /// Flows whose traces have begun and were not taken.
    under_way: usize,
    pub(crate) paths: Paths,
    /// Since when no flow can begin.
    stuck_since: Option<Instant>,
    /// When it is tried again.
    retry: Instant,
}

impl Quest {
    /// A search for all paths to an address, which is called `host` in the result.
    pub(crate) fn new<L: Link>(
        survey: &mut Survey<L>,
        settings: &ProbeSettings,
        thoroughness: Thoroughness,
        host: &str,
        address: SocketAddr,
    ) -> Result<Self, L::Error> {
        let address = specified(address);
        let (target, config, confidence) =
            (address.ip(), settings.config, thoroughness.confidence());
        let seed = u64::try_from(survey.link_mut().random()? >> 64).unwrap_or_default();
        let socket = survey
            .driver()
            .socket(AddressFamily::of(target), settings.protocol);
        let summary = Summary {
            host: host.to_owned(),
            target,
            // Until the first flow has begun.
            source: target,
            protocol: settings.protocol,
            socket: socket.unwrap_or(SocketKind::Raw),
            started: survey.link().date(),
            duration: Duration::ZERO,
            probes_sent: 0,
            reasons: Reasons::default(),
            rejected: Rejected::default(),
        };
        let most_flows = thoroughness.most_flows.clamp(1, FLOWS.into());
        let mut search = Search::new(confidence, most_flows, config.first_hop, config.max_hops);
        let none = Batch {
            flows: 0,
            first_hop: config.first_hop,
            max_hops: config.max_hops,
            twice: 0,
        };
        Ok(Self {
            batch: search.next().unwrap_or(none),
            search,
            address,
            flows: Flows::new(settings.flow, seed),
            under_way: 0,
            paths: Paths::new(summary, L::describe, confidence),
            stuck_since: None,
            retry: Instant::EPOCH,
            // Each flow is a trace of its own.
            settings: ProbeSettings {
                one_flow: true,
                ..settings.clone()
            },
        })
    }

    /// Begins to trace the first flow.
    pub(crate) fn begin<L: Link>(&mut self, survey: &mut Survey<L>) -> Result<(), L::Error> {
        self.paths.summary.source = self.add(survey)?;
        Ok(())
    }

    /// Begins to trace one more flow. Returns the address that its probes leave from.
    fn add<L: Link>(&mut self, survey: &mut Survey<L>) -> Result<IpAddr, L::Error> {
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
        let source = survey.add_as(&settings, &self.paths.summary.host, self.address)?;
        self.batch = batch;
        self.under_way += 1;
        Ok(source)
    }

    /// Begins to trace the flows that are due, as many as there is room for.
    ///
    /// # Errors
    /// None can begin, and that won't pass.
    pub(crate) fn begin_due<L: Link>(&mut self, survey: &mut Survey<L>) -> Result<(), L::Error> {
        let now = survey.link().now();
        while self.batch.flows > 0 && survey.has_room() && self.retry <= now {
            match self.add(survey) {
                Ok(_) => self.stuck_since = None,
                Err(error) if self.may_pass(&error, now) => {
                    self.retry = now.saturating_add(RETRY);
                }
                Err(error) => return Err(error),
            }
        }
        Ok(())
    }

    /// Whether a flow may begin in a moment that can't now: others have begun, and it is waited for
    /// no longer than an answer.
    fn may_pass(&mut self, error: &impl LinkError, now: Instant) -> bool {
        let since = *self.stuck_since.get_or_insert(now);
        error.may_pass() && now.saturating_since(since) < self.settings.config.timeout
    }

    /// Whether a route is that of one of its flows.
    pub(crate) fn owns(&self, route: &Route) -> bool {
        route.protocol() == self.settings.protocol && route.summary().target == self.address.ip()
    }

    /// Takes a flow whose trace has ended.
    pub(crate) fn take(&mut self, route: &Route) {
        self.under_way = self.under_way.saturating_sub(1);
        self.paths.note(route);
        self.search.take(flow(route));
    }

    /// Chooses the next flows where all have been traced, unless it is over.
    pub(crate) fn go_on(&mut self) {
        if self.batch.flows > 0 || self.under_way > 0 || self.is_over() {
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

    pub(crate) const fn is_over(&self) -> bool {
        self.paths.completeness.is_some()
    }

    pub(crate) fn interrupt(&mut self) {
        let completeness = &mut self.paths.completeness;
        completeness.get_or_insert(Completeness::Interrupted);
    }

    /// Returns how many flows' traces have ended.
    pub(crate) fn flows(&self) -> usize {
        self.search.flows()
    }

    /// Returns what is known so far.
    pub(crate) fn graph(&self) -> Graph {
        self.search.graph()
    }

    /// Returns the result.
    pub(crate) fn finish<L: Link>(mut self, survey: &Survey<L>, start: Instant) -> Paths {
        let summary = &mut self.paths.summary;
        let family = AddressFamily::of(summary.target);
        summary.rejected = survey.driver().rejected(family, summary.protocol);
        summary.duration = survey.link().now().saturating_since(start);
        (self.paths.graph, self.paths.flows) = (self.search.graph(), self.search.flows());
        self.paths
    }
}

/// Returns when there is something to do for these searches; `None` if all are over.
pub(crate) fn deadline<'q, L: Link>(
    survey: &Survey<L>,
    quests: impl Iterator<Item = &'q Quest>,
) -> Option<Instant> {
    let left: Vec<&Quest> = quests.filter(|quest| !quest.is_over()).collect();
    if left.is_empty() {
        return None;
    }
    let has_room = survey.has_room();
    let begins = left
        .iter()
        .filter(|quest| has_room && quest.batch.flows > 0);
    let next = begins.map(|quest| quest.retry);
    // Without either the next flows are to be chosen.
    let due = survey.deadline().into_iter().chain(next).min();
    Some(due.unwrap_or(Instant::EPOCH))
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
