//! The search for flows to trace next, until every router has shown its next hops.

use super::graph::{Flow, Graph, Node, Place, Silence};
use super::stopping::Stopping;
use std::collections::{HashMap, HashSet};

/// Batches in a row that may bring nothing before it is no use to go on: routers that limit how
/// often they answer.
const FRUITLESS: u8 = 5;

/// Flows on their way at once at most.
pub(crate) const AT_ONCE: usize = 64;

/// Flows to trace: how many, and which hops.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Batch {
    pub(crate) flows: usize,
    pub(crate) first_hop: u8,
    pub(crate) max_hops: u8,
    /// How many of them are probed twice at each hop: those that show whether a hop is balanced by
    /// packet.
    pub(crate) twice: usize,
}

impl Batch {
    /// Takes the next flow to trace, by the number of its attempts at each hop.
    pub(crate) fn take(&mut self) -> u8 {
        self.flows = self.flows.saturating_sub(1);
        match self.twice.checked_sub(1) {
            Some(left) => {
                self.twice = left;
                2
            }
            None => 1,
        }
    }
}

/// The reason why there is nothing more to trace.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum Completeness {
    /// Every router has been passed by enough flows.
    Complete,
    /// As many flows as may be were traced, and that was not enough.
    FlowLimit,
    /// Routers stopped answering, or nobody answers, or no probe to some hop got out of this
    /// machine ([`Paths::blocked`](super::Paths::blocked)), or so many flows got no answer from
    /// behind a router that a silent next hop may stand beside those that answer.
    NoProgress,
    /// It was interrupted.
    Interrupted,
}

impl Completeness {
    /// Returns its name in documents.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Complete => "complete",
            Self::FlowLimit => "flow_limit",
            Self::NoProgress => "no_progress",
            Self::Interrupted => "interrupted",
        }
    }
}

/// A search for all paths: its answers so far, and what is missing.
pub(crate) struct Search {
    stopping: Stopping,
    first_hop: u8,
    max_hops: u8,
    flows: Vec<Flow>,
    most_flows: usize,
    /// How many nodes there were after the last batch, and how many flows they lacked.
    last: (usize, usize),
    fruitless: u8,
}

/// How many flows passed a node.
#[derive(Clone, Copy, Default)]
struct Passed {
    /// With an answer from right behind it, or from behind a silent router there.
    answered: usize,
    /// With none from right behind it, but from farther on: it was lost, or a router there is
    /// silent where others answer.
    skipped: usize,
    /// With nothing more from anywhere.
    ended: usize,
    /// With the hop before it probed as well.
    from_before: usize,
}

impl Passed {
    /// Whether so many flows were not answered from behind a node as may have gone to one more next
    /// hop, which is silent: a quarter of what such a one would get, so that what is lost now
    /// and then is no reason to doubt.
    const fn is_doubtful(self, next_hops: usize) -> bool {
        let unanswered = self.skipped + self.ended;
        unanswered > 0 && 4 * unanswered * (next_hops + 1) >= self.answered + unanswered
    }
}

impl Search {
    pub(crate) fn new(confidence: f64, most_flows: usize, first_hop: u8, max_hops: u8) -> Self {
        let stopping = Stopping::new(confidence);
        Self {
            stopping,
            first_hop,
            max_hops,
            flows: Vec::new(),
            most_flows,
            last: (0, usize::MAX),
            fruitless: 0,
        }
    }

    /// Takes what a flow was answered.
    pub(crate) fn take(&mut self, flow: Flow) {
        self.flows.push(flow);
    }

    pub(crate) fn flows(&self) -> usize {
        self.flows.len()
    }

    /// Returns the graph of all answers so far.
    pub(crate) fn graph(&self) -> Graph {
        Graph::new(self.first_hop - 1, &self.flows)
    }

    /// What to trace now that all that was asked for is there.
    ///
    /// # Errors
    /// The reason why there is nothing more to trace.
    pub(crate) fn next(&mut self) -> Result<Batch, Completeness> {
        let left = self.most_flows.saturating_sub(self.flows.len());
        if self.flows.is_empty() {
            let flows = self.stopping.enough(1).min(left).min(AT_ONCE);
            return Ok(Batch {
                flows,
                first_hop: self.first_hop,
                max_hops: self.max_hops,
                twice: 0,
            });
        }
        let graph = self.graph();
        self.stopping.share(
            graph
                .nodes()
                .iter()
                .filter(|node| node.end.is_none())
                .count(),
        );
        let (missing, is_doubtful) = self.missing(&graph);
        let unchecked = self.unchecked(&graph);
        let lack = missing
            .iter()
            .chain(&unchecked)
            .map(|missing| missing.flows)
            .sum();
        let Some(nearest) = missing
            .iter()
            .chain(&unchecked)
            .map(|missing| missing.first_hop)
            .min()
        else {
            return Err(if is_doubtful {
                Completeness::NoProgress
            } else {
                Completeness::Complete
            });
        };
        if left == 0 {
            return Err(Completeness::FlowLimit);
        }
        let is_fruitless = graph.nodes().len() == self.last.0 && lack >= self.last.1;
        self.fruitless = if is_fruitless { self.fruitless + 1 } else { 0 };
        self.last = (graph.nodes().len(), lack);
        if self.fruitless >= FRUITLESS {
            return Err(Completeness::NoProgress);
        }
        let flows = missing
            .iter()
            .chain(&unchecked)
            .map(|missing| missing.to_trace)
            .max()
            .unwrap_or(1);
        Ok(Batch {
            flows: flows.clamp(1, AT_ONCE).min(left),
            first_hop: nearest,
            max_hops: missing
                .iter()
                .chain(&unchecked)
                .map(|missing| missing.max_hops)
                .max()
                .unwrap_or(self.max_hops),
            twice: unchecked
                .iter()
                .map(|missing| missing.to_trace)
                .max()
                .unwrap_or(0),
        })
    }

    /// The nodes that too few flows have passed to know all of their next hops, and whether there
    /// are some of which more flows would not tell.
    fn missing(&mut self, graph: &Graph) -> (Vec<Missing>, bool) {
        let silence = Silence::new(&self.flows);
        let mut passed: HashMap<Place, Passed> = HashMap::new();
        let mut probed: HashMap<u8, usize> = HashMap::new();
        for flow in &self.flows {
            self.pass(&silence, flow, &mut passed);
            flow.hops
                .iter()
                .for_each(|hop| *probed.entry(hop.number).or_default() += 1);
        }
        let mut next_hops: HashMap<usize, usize> = HashMap::new();
        let mut led_to: HashSet<usize> = HashSet::new();
        for edge in graph.edges() {
            *next_hops.entry(edge.from).or_default() += 1;
            led_to.insert(edge.to);
        }
        let farthest = graph.nodes().last().map_or(self.max_hops, |node| node.hop);
        let silent: HashSet<u8> = graph
            .nodes()
            .iter()
            .filter(|node| node.address.is_none())
            .map(|node| node.hop)
            .collect();
        // A silent router beside others is seen only by flows that were answered right before.
        let nearest = self.first_hop;
        let first_hop = |hop: u8| {
            let is_told = !silent.contains(&hop) || !silence.is_heard(hop);
            if is_told { hop } else { hop - 1 }.max(nearest)
        };
        let enough = self.stopping.enough(1);
        let (mut missing, mut is_doubtful) = (Vec::new(), false);
        for (index, node) in graph.nodes().iter().enumerate() {
            let next_hops = next_hops.get(&index).copied().unwrap_or(0);
            let so_far = passed
                .get(&(node.hop, node.address))
                .copied()
                .unwrap_or_default();
            let all = probed.get(&node.hop).copied().unwrap_or(self.flows.len());
            let to_trace = |lack: usize| (lack * all).div_ceil(node.flows.max(1));
            // Whoever was met first by a flow that began there has no origin yet; it may also stay
            // behind one that is silent.
            if index > 0 && !led_to.contains(&index) && so_far.from_before < enough {
                let (first_hop, max_hops) = (first_hop(node.hop - 1), node.hop);
                missing.push(Missing {
                    flows: 1,
                    to_trace: to_trace(1),
                    first_hop,
                    max_hops,
                });
            }
            if node.end.is_some() || node.hop >= self.max_hops {
                continue;
            }
            let lack = self.lack(so_far, next_hops);
            if lack == 0 {
                // A path may end at a router that answers, since the target is silent.
                let may_end = next_hops == 0 && node.address.is_some();
                is_doubtful |= !may_end && so_far.is_doubtful(next_hops);
                continue;
            }
            // A silent router is seen by the answer from behind it.
            let beyond = (node.hop + 1..=farthest)
                .find(|hop| !silent.contains(hop))
                .unwrap_or(node.hop + 1);
            let max_hops = if so_far.ended > 0 {
                beyond.max(farthest)
            } else {
                beyond
            };
            missing.push(Missing {
                flows: lack,
                to_trace: to_trace(lack),
                first_hop: if node.address.is_none() {
                    first_hop(node.hop)
                } else {
                    node.hop.max(nearest)
                },
                max_hops: max_hops.min(self.max_hops),
            });
        }
        (missing, is_doubtful)
    }

    /// How many more flows are to pass a node of which so many next hops are known.
    fn lack(&mut self, so_far: Passed, next_hops: usize) -> usize {
        let Passed {
            answered,
            skipped,
            ended,
            ..
        } = so_far;
        let all = answered + skipped + ended;
        if next_hops == 0 {
            return self.stopping.enough(1).saturating_sub(all);
        }
        let lack = self.stopping.enough(next_hops).saturating_sub(answered);
        if lack > 0 || !so_far.is_doubtful(next_hops) {
            return lack;
        }
        // Was it chance? What is lost now and then gets rarer with more flows, what goes to a
        // silent router doesn't.
        let most = 2 * self.stopping.enough(next_hops + 1);
        most.min(4 * (skipped + ended) * (next_hops + 1) + 1)
            .saturating_sub(all)
    }

    /// Counts a flow at the nodes that it passed.
    fn pass(&self, silence: &Silence, flow: &Flow, passed: &mut HashMap<Place, Passed>) {
        let mut before = match flow.hops.first() {
            Some(first) if first.number == self.first_hop => vec![(self.first_hop - 1, None)],
            _ => Vec::new(),
        };
        let places = silence.places(flow);
        let is_cut_short = places.len() == flow.hops.len();
        let mut is_begin = before.is_empty();
        for (_, here) in places {
            for place in &before {
                let passed = passed.entry(*place).or_default();
                *if here.is_empty() {
                    &mut passed.skipped
                } else {
                    &mut passed.answered
                } += 1;
            }
            if !is_begin {
                here.iter()
                    .for_each(|place| passed.entry(*place).or_default().from_before += 1);
            }
            (before, is_begin) = (here, false);
        }
        if !is_cut_short {
            before
                .iter()
                .for_each(|place| passed.entry(*place).or_default().ended += 1);
        }
    }

    /// The hops with several routers of which it is not known whether they are chosen by packet.
    /// Had it been so, two probes of a flow would have differed at least every other time.
    fn unchecked(&mut self, graph: &Graph) -> Vec<Missing> {
        let enough = self.stopping.enough(1) - 1;
        let hops = graph.nodes().chunk_by(|one, next| one.hop == next.hop);
        let is_balanced = |nodes: &[Node], hop| {
            nodes.iter().filter(|node| node.address.is_some()).count() > 1
                && !graph.is_per_packet(hop)
        };
        let unchecked = hops.filter_map(|nodes| {
            let hop = nodes
                .first()
                .map(|node| node.hop)
                .filter(|hop| is_balanced(nodes, *hop))?;
            let answers = self
                .flows
                .iter()
                .flat_map(|flow| &flow.hops)
                .filter(|at| at.number == hop);
            let twice: usize = answers.map(|at| at.answers.len().saturating_sub(1)).sum();
            let lack = enough.saturating_sub(twice);
            (lack > 0).then_some(Missing {
                flows: lack,
                to_trace: lack,
                first_hop: hop,
                max_hops: hop,
            })
        });
        unchecked.collect()
    }
}

/// What a node lacks.
#[derive(Clone, Copy, Debug)]
struct Missing {
    flows: usize,
    /// How many are to be traced so that this many are expected to pass here.
    to_trace: usize,
    first_hop: u8,
    max_hops: u8,
}
