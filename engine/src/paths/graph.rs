//! The paths that many flows took, as one graph.

use crate::protocol::TargetAnswer;
use std::collections::{BTreeMap, BTreeSet};
use std::net::IpAddr;
use std::time::Duration;

/// Answers to one flow.
#[derive(Clone, Debug, Default)]
pub(crate) struct Flow {
    /// The flow itself: what load balancers tell it from others by.
    pub(crate) number: u16,
    /// The hops that were probed, in order, up to the end of the path if that is known.
    pub(crate) hops: Vec<FlowHop>,
}

/// Answers to one flow from one hop; none if they were lost, or the router is silent.
#[derive(Clone, Debug, Default)]
pub(crate) struct FlowHop {
    pub(crate) number: u8,
    pub(crate) answers: Vec<Answered>,
    /// Probes without an answer.
    pub(crate) lost: usize,
}

impl Flow {
    /// How many probes were sent to the target, and how many of them it did not answer. A flow to
    /// which it never did was lost at the farthest hop at which it answers others, if it was
    /// probed as far.
    fn loss(&self, farthest: Option<u8>) -> (usize, usize) {
        let is_target = |hop: &&FlowHop| {
            hop.answers
                .iter()
                .any(|answer| answer.end == Some(End::Target))
        };
        let there = self.hops.iter().find(is_target);
        let there = there.or_else(|| self.hops.iter().find(|hop| Some(hop.number) == farthest));
        there.map_or((0, 0), |hop| {
            let answered = hop
                .answers
                .iter()
                .filter(|answer| answer.end == Some(End::Target))
                .count();
            let sent = hop.answers.len() + hop.lost;
            (sent, sent - answered)
        })
    }
}

#[derive(Clone, Copy, Debug)]
pub(crate) struct Answered {
    pub(crate) from: IpAddr,
    pub(crate) rtt: Duration,
    pub(crate) end: Option<End>,
    /// The target's answer, if that is beyond doubt.
    pub(crate) said: Option<TargetAnswer>,
}

/// The reason why a path ends where it does.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum End {
    /// This is the target.
    Target,
    /// This router, or the target, said that there is no way further.
    Unreachable,
}

impl End {
    /// Returns its name in documents.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Target => "target",
            Self::Unreachable => "unreachable",
        }
    }
}

/// A router at a hop; one that stands at several is several nodes.
#[derive(Clone, Debug)]
#[non_exhaustive]
pub struct Node {
    /// The hop; that before the first one probed is where all flows come from.
    pub hop: u8,
    /// Its address. `None`: a router, or several, that never answered, or where all flows come
    /// from.
    pub address: Option<IpAddr>,
    /// Its fastest answer.
    pub rtt: Option<Duration>,
    /// The number of flows that were seen to pass here.
    pub flows: usize,
    /// The end of a path, if one ends here.
    pub end: Option<End>,
    /// The target's answer to the first of these flows that it answered, if this is the target.
    pub answer: Option<TargetAnswer>,
    /// One of these flows, by which the path through here can be traced again; `None` if none is
    /// known.
    pub flow: Option<u16>,
    /// The number of probes that these flows sent to the target.
    pub sent: usize,
    /// The number of those that the target did not answer: the loss of the paths through here, not
    /// of this router's answers.
    pub lost: usize,
}

impl Node {
    const fn new((hop, address): Place) -> Self {
        Self {
            hop,
            address,
            rtt: None,
            flows: 0,
            end: None,
            answer: None,
            flow: None,
            sent: 0,
            lost: 0,
        }
    }
}

/// From a router to its next hop.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct Edge {
    /// The index of the nearer node.
    pub from: usize,
    /// The index of the farther one.
    pub to: usize,
    /// The number of flows that took it.
    pub flows: usize,
    /// Whether it is known to be there. Between two hops that both balance by packet nobody can
    /// tell who leads to whom.
    pub is_certain: bool,
}

/// The paths to a host: routers, and who leads to whom.
#[derive(Clone, Debug, Default)]
pub struct Graph {
    nodes: Vec<Node>,
    edges: Vec<Edge>,
    per_packet: BTreeSet<u8>,
    unanswered: BTreeMap<u8, usize>,
}

/// A node before it has an index.
pub(crate) type Place = (u8, Option<IpAddr>);

impl Graph {
    /// The nodes, hop by hop; the first one is where all flows come from.
    #[must_use]
    pub fn nodes(&self) -> &[Node] {
        &self.nodes
    }

    /// The edges, in the order of the nodes that they come from.
    #[must_use]
    pub fn edges(&self) -> &[Edge] {
        &self.edges
    }

    /// Whether a flow saw several routers at this hop: it is balanced by packet, not by flow.
    #[must_use]
    pub fn is_per_packet(&self, hop: u8) -> bool {
        self.per_packet.contains(&hop)
    }

    /// Returns how many flows got no answer from this hop though others did: lost, limited, or a
    /// silent router among others.
    #[must_use]
    pub fn unanswered(&self, hop: u8) -> usize {
        self.unanswered.get(&hop).copied().unwrap_or(0)
    }

    /// Returns how many ways lead from the beginning to an end, by the edges that there are; none
    /// if nobody answered. Saturates.
    #[must_use]
    pub fn paths(&self) -> u64 {
        let mut ways = vec![0_u64; self.nodes.len()];
        if let Some(first) = ways.first_mut() {
            *first = 1;
        }
        let mut goes_on = vec![false; self.nodes.len()];
        for edge in &self.edges {
            let before = ways.get(edge.from).copied().unwrap_or(0);
            if let Some(ways) = ways.get_mut(edge.to) {
                *ways = ways.saturating_add(before);
            }
            if let Some(goes_on) = goes_on.get_mut(edge.from) {
                *goes_on = true;
            }
        }
        ways.iter()
            .zip(goes_on)
            .skip(1)
            .filter(|(_, goes_on)| !goes_on)
            .fold(0, |sum: u64, (ways, _)| sum.saturating_add(*ways))
    }

    /// The graph of flows that all come from hop `root`.
    pub(crate) fn new(root: u8, flows: &[Flow]) -> Self {
        let silence = Silence::new(flows);
        let per_packet = per_packet(flows);
        let mut graph = Self {
            per_packet,
            ..Self::default()
        };
        let mut places: BTreeMap<Place, Node> = BTreeMap::new();
        let mut edges: BTreeMap<(Place, Place), usize> = BTreeMap::new();
        let start = (root, None);
        places.insert(start, Node::new(start));
        let farthest = silence.targets.last().copied();
        for flow in flows {
            let (sent, lost) = flow.loss(farthest);
            let mut before = Vec::new();
            if flow.hops.first().is_some_and(|hop| hop.number == root + 1) {
                places.entry(start).and_modify(|node| node.flows += 1);
                before.push(start);
            }
            for (hop, here) in silence.places(flow) {
                for place in &here {
                    let node = places.entry(*place).or_insert_with(|| Node::new(*place));
                    node.flows += 1;
                    node.flow.get_or_insert(flow.number);
                    node.sent += sent;
                    node.lost += lost;
                    for answer in hop
                        .answers
                        .iter()
                        .filter(|answer| Some(answer.from) == place.1)
                    {
                        node.rtt = Some(node.rtt.map_or(answer.rtt, |rtt| rtt.min(answer.rtt)));
                        node.end = node.end.or(answer.end);
                        node.answer = node.answer.or(answer.said);
                    }
                    before
                        .iter()
                        .for_each(|from| *edges.entry((*from, *place)).or_default() += 1);
                }
                if here.is_empty() {
                    *graph.unanswered.entry(hop.number).or_default() += 1;
                }
                before = here;
            }
        }
        graph.arrange(places, &edges);
        graph
    }

    /// Gives the nodes their order: hop by hop, below those that they come from, so that few edges
    /// cross.
    fn arrange(&mut self, places: BTreeMap<Place, Node>, edges: &BTreeMap<(Place, Place), usize>) {
        let mut index: BTreeMap<Place, usize> = BTreeMap::new();
        // Of the nodes that lead to a place, the first.
        let mut nearest: BTreeMap<Place, usize> = BTreeMap::new();
        let mut left: Vec<(Place, Node)> = places.into_iter().collect();
        while let Some(((hop, _), _)) = left.first() {
            let hop = *hop;
            let behind = left.partition_point(|(place, _)| place.0 == hop);
            let farther = left.split_off(behind);
            left.sort_by_cached_key(|(place, _)| nearest.get(place).copied().unwrap_or(usize::MAX));
            for (place, node) in left {
                for (_, to) in edges
                    .range((place, (0, None))..)
                    .map(|(edge, _)| edge)
                    .take_while(|edge| edge.0 == place)
                {
                    nearest.entry(*to).or_insert(self.nodes.len());
                }
                index.insert(place, self.nodes.len());
                self.nodes.push(node);
            }
            left = farther;
        }
        self.edges = edges
            .iter()
            .filter_map(|((from, to), flows)| {
                let is_certain = !(self.is_per_packet(from.0) && self.is_per_packet(to.0));
                Some(Edge {
                    from: *index.get(from)?,
                    to: *index.get(to)?,
                    flows: *flows,
                    is_certain,
                })
            })
            .collect();
        self.edges.sort_by_key(|edge| (edge.from, edge.to));
        // One that refuses what expires there, and passes the rest, is no end.
        for edge in &self.edges {
            if let Some(node) = self.nodes.get_mut(edge.from) {
                node.end = node.end.filter(|end| *end != End::Unreachable);
            }
        }
    }
}

/// The hops at which one flow saw several routers.
fn per_packet(flows: &[Flow]) -> BTreeSet<u8> {
    let differs = |hop: &&FlowHop| {
        hop.answers
            .split_first()
            .is_some_and(|(first, others)| others.iter().any(|other| other.from != first.from))
    };
    flows
        .iter()
        .flat_map(|flow| &flow.hops)
        .filter(differs)
        .map(|hop| hop.number)
        .collect()
}

/// The places of routers that never answer.
pub(crate) struct Silence {
    /// The hops that anybody answered from.
    heard: BTreeSet<u8>,
    /// The routers that an answer came from right behind.
    led_on: BTreeSet<Place>,
    /// The hops that a target stands at.
    targets: BTreeSet<u8>,
}

impl Silence {
    pub(crate) fn new(flows: &[Flow]) -> Self {
        let hops = || flows.iter().flat_map(|flow| &flow.hops);
        let heard = hops()
            .filter(|hop| !hop.answers.is_empty())
            .map(|hop| hop.number)
            .collect();
        let pairs = flows
            .iter()
            .flat_map(|flow| flow.hops.iter().zip(flow.hops.iter().skip(1)))
            .filter(|(_, behind)| !behind.answers.is_empty());
        let led_on = pairs
            .flat_map(|(hop, _)| {
                hop.answers
                    .iter()
                    .map(|answer| (hop.number, Some(answer.from)))
            })
            .collect();
        let is_target = |hop: &&FlowHop| {
            hop.answers
                .iter()
                .any(|answer| answer.end == Some(End::Target))
        };
        let targets = hops().filter(is_target).map(|hop| hop.number).collect();
        Self {
            heard,
            led_on,
            targets,
        }
    }

    /// How many hops of a flow there are up to its last answer. That of a target which may have
    /// kept silent at a nearer hop, since it stands there for other flows, doesn't tell where
    /// it is.
    fn end(&self, flow: &Flow) -> usize {
        let hops = flow.hops.iter().enumerate();
        let mut answered = hops.rev().filter(|(_, hop)| !hop.answers.is_empty());
        let Some((index, last)) = answered.next() else {
            return 0;
        };
        let before = answered.next().map_or(0, |(index, _)| index + 1);
        let mut silent = flow.hops.iter().take(index).skip(before);
        let is_elsewhere = self.targets.contains(&last.number)
            && silent.any(|hop| self.targets.contains(&hop.number));
        if is_elsewhere { before } else { index + 1 }
    }

    /// Whether anybody ever answered from this hop.
    pub(crate) fn is_heard(&self, hop: u8) -> bool {
        self.heard.contains(&hop)
    }

    /// Who answered a flow, hop by hop up to its last answer. Where none did there is a silent
    /// router if nobody ever answered from there, or from right behind the router before; else
    /// an answer was lost, and it is not known who is there.
    pub(crate) fn places<'f>(&self, flow: &'f Flow) -> Vec<(&'f FlowHop, Vec<Place>)> {
        let mut before: Vec<Place> = Vec::new();
        let mut places = Vec::new();
        for hop in flow.hops.iter().take(self.end(flow)) {
            let mut here: Vec<Place> = hop
                .answers
                .iter()
                .map(|answer| (hop.number, Some(answer.from)))
                .collect();
            here.sort_unstable();
            here.dedup();
            let leads_nowhere = |place: &Place| place.1.is_some() && !self.led_on.contains(place);
            let is_silent = !self.heard.contains(&hop.number)
                || !before.is_empty() && before.iter().all(leads_nowhere);
            if here.is_empty() && is_silent {
                here.push((hop.number, None));
            }
            before.clone_from(&here);
            places.push((hop, here));
        }
        places
    }
}
