//! Which flows to trace next, until every router has shown its next hops.

use super::graph::{Flow, Graph, Node, Place, Silence};
use super::stopping::Stopping;
use std::collections::HashMap;

/// Batches in a row that may bring nothing before it is no use to go on: routers that limit how often they answer.
const FRUITLESS: u8 = 5;

/// Flows on their way at once at most.
pub(crate) const AT_ONCE: usize = 64;

/// Flows to trace: how many, and which hops.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Batch {
    pub(crate) flows: usize,
    pub(crate) first_hop: u8,
    pub(crate) max_hops: u8,
    /// Two where it is not known yet whether a hop is balanced by packet.
    pub(crate) attempts: u8,
}

/// Why there is nothing more to trace.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Completeness {
    /// Every router has been passed by enough flows.
    Complete,
    /// As many flows as may be were traced, and that was not enough.
    FlowLimit,
    /// Routers stopped answering.
    NoProgress,
    /// It was interrupted.
    Interrupted,
}

/// What is known, and what is missing.
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
    /// With nothing more from anywhere.
    ended: usize,
}

impl Search {
    pub(crate) fn new(confidence: f64, most_flows: usize, first_hop: u8, max_hops: u8) -> Self {
        let stopping = Stopping::new(confidence);
        Self { stopping, first_hop, max_hops, flows: Vec::new(), most_flows, last: (0, usize::MAX), fruitless: 0 }
    }

    /// Takes what a flow was answered.
    pub(crate) fn take(&mut self, flow: Flow) {
        self.flows.push(flow);
    }

    pub(crate) fn flows(&self) -> usize {
        self.flows.len()
    }

    /// What is known now.
    pub(crate) fn graph(&self) -> Graph {
        Graph::new(self.first_hop - 1, &self.flows)
    }

    /// What to trace now that all that was asked for is there.
    ///
    /// # Errors
    /// Why there is nothing more to trace.
    pub(crate) fn next(&mut self) -> Result<Batch, Completeness> {
        let left = self.most_flows.saturating_sub(self.flows.len());
        if self.flows.is_empty() {
            let flows = self.stopping.enough(1).min(left).min(AT_ONCE);
            return Ok(Batch { flows, first_hop: self.first_hop, max_hops: self.max_hops, attempts: 1 });
        }
        let graph = self.graph();
        let missing = self.missing(&graph);
        let unchecked = self.unchecked(&graph);
        let lack = missing.iter().chain(&unchecked).map(|missing| missing.flows).sum();
        let Some(nearest) = missing.iter().chain(&unchecked).map(|missing| missing.first_hop).min() else {
            return Err(Completeness::Complete);
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
        let flows = missing.iter().chain(&unchecked).map(|missing| missing.to_trace).max().unwrap_or(1);
        Ok(Batch {
            flows: flows.clamp(1, AT_ONCE).min(left),
            first_hop: nearest,
            max_hops: missing.iter().chain(&unchecked).map(|missing| missing.max_hops).max().unwrap_or(self.max_hops),
            attempts: if unchecked.is_empty() { 1 } else { 2 },
        })
    }

    /// The nodes that too few flows have passed to know all of their next hops.
    fn missing(&mut self, graph: &Graph) -> Vec<Missing> {
        let silence = Silence::new(&self.flows);
        let mut passed: HashMap<Place, Passed> = HashMap::new();
        let mut probed: HashMap<u8, usize> = HashMap::new();
        for flow in &self.flows {
            self.pass(&silence, flow, &mut passed);
            flow.hops.iter().for_each(|hop| *probed.entry(hop.number).or_default() += 1);
        }
        let mut next_hops = vec![0; graph.nodes().len()];
        graph.edges().iter().for_each(|edge| next_hops[edge.from] += 1);
        let farthest = graph.nodes().last().map_or(self.max_hops, |node| node.hop);
        let is_silent = |hop| graph.nodes().iter().any(|node| node.hop == hop && node.address.is_none());
        let mut missing = Vec::new();
        for (node, next_hops) in graph.nodes().iter().zip(next_hops) {
            if node.end.is_some() || node.hop >= self.max_hops {
                continue;
            }
            let Passed { answered, ended } = passed.get(&(node.hop, node.address)).copied().unwrap_or_default();
            let so_far = if next_hops == 0 { answered + ended } else { answered };
            let lack = self.stopping.enough(next_hops).saturating_sub(so_far);
            if lack == 0 {
                continue;
            }
            let all = probed.get(&node.hop).copied().unwrap_or(self.flows.len());
            // A silent router is seen by the answer from behind it.
            let beyond = (node.hop + 1..=farthest).find(|hop| !is_silent(*hop)).unwrap_or(node.hop + 1);
            let max_hops = if ended > 0 { beyond.max(farthest) } else { beyond };
            missing.push(Missing {
                flows: lack,
                to_trace: (lack * all).div_ceil(node.flows.max(1)),
                first_hop: node.hop.max(self.first_hop),
                max_hops: max_hops.min(self.max_hops),
            });
        }
        missing
    }

    /// Counts a flow at the nodes that it passed.
    fn pass(&self, silence: &Silence, flow: &Flow, passed: &mut HashMap<Place, Passed>) {
        let mut before = match flow.hops.first() {
            Some(first) if first.number == self.first_hop => vec![(self.first_hop - 1, None)],
            _ => Vec::new(),
        };
        let places = silence.places(flow);
        let is_cut_short = places.len() == flow.hops.len();
        for (_, here) in places {
            if !here.is_empty() {
                before.iter().for_each(|place| passed.entry(*place).or_default().answered += 1);
            }
            before = here;
        }
        if !is_cut_short {
            before.iter().for_each(|place| passed.entry(*place).or_default().ended += 1);
        }
    }

    /// The hops with several routers of which it is not known whether they are chosen by packet. Had it been so, two probes of a
    /// flow would have differed at least every other time.
    fn unchecked(&mut self, graph: &Graph) -> Vec<Missing> {
        let enough = self.stopping.enough(1) - 1;
        let hops = graph.nodes().chunk_by(|one, next| one.hop == next.hop);
        let is_balanced = |nodes: &&[Node]| {
            nodes.iter().filter(|node| node.address.is_some()).count() > 1 && !graph.is_per_packet(nodes[0].hop)
        };
        let unchecked = hops.filter(is_balanced).filter_map(|nodes| {
            let hop = nodes[0].hop;
            let answers = self.flows.iter().flat_map(|flow| &flow.hops).filter(|at| at.number == hop);
            let twice: usize = answers.map(|at| at.answers.len().saturating_sub(1)).sum();
            let lack = enough.saturating_sub(twice);
            (lack > 0).then_some(Missing { flows: lack, to_trace: lack, first_hop: hop, max_hops: hop })
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
