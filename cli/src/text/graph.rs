//! All paths as text: a line for each router, hop by hop. Of several at a hop each has a letter,
//! and says where it comes from.

use super::paint::{Jump, Style};
use super::row::{Cell, Host, Row};
use super::view::{View, hops_max};
use crate::args::Args;
use crate::console::print;
use crate::inside::Inside;
use crate::names::Names;
use crate::paths::blocked_behind;
use crate::reading::{PortState, failed};
use crate::units::{counted, date, port};
use hopshot_linux::paths::{Completeness, End, Graph, Node, Paths};
use hopshot_linux::{Failure, failure_text};
use std::io;
use std::net::IpAddr;
use std::time::Duration;

impl View {
    /// The first line.
    pub(crate) fn paths_header(
        &mut self,
        host: &str,
        source: IpAddr,
        args: &Args,
    ) -> io::Result<()> {
        let (target, max_hops) = (self.target, args.probing.max);
        let parts = [
            format!("all paths to {host} ({target})"),
            hops_max(max_hops),
        ];
        let parts = parts.into_iter().chain(port(self.protocol));
        print(
            self.parts(parts.chain([format!("from {source}")]))
                .as_bytes(),
        )
    }

    /// Draws what is known so far, if this is a terminal: as much of it as there is room for.
    pub(crate) fn paths_update(
        &mut self,
        graph: &Graph,
        flows: usize,
        names: &Names,
    ) -> io::Result<()> {
        self.fit_terminal();
        let Some(height) = self.height else {
            return Ok(());
        };
        let lines = self.graph_lines(graph, names, &[]);
        let more = |count| {
            self.sentence(&format!(
                "{count} more lines, {}",
                counted(flows as u64, "flow")
            ))
        };
        let lines = fitting(lines, height, more);
        if lines == self.drawn {
            Ok(())
        } else {
            self.draw("", &lines)
        }
    }

    /// Prints all that became known, and how well it is known.
    pub(crate) fn paths_finish(
        &mut self,
        paths: &Paths,
        max_hops: u8,
        names: &Names,
    ) -> io::Result<()> {
        let text = self.graph_text(paths, max_hops, names);
        self.draw(&text, "")
    }

    /// All that became known, and how well it is known.
    pub(super) fn graph_text(&mut self, paths: &Paths, max_hops: u8, names: &Names) -> String {
        let graph = paths.graph();
        let blocked: Vec<_> = paths.blocked().collect();
        let mut text = self.graph_lines(graph, names, &blocked);
        let sentences = match paths.failure().filter(|_| paths.summary().probes_sent == 0) {
            Some(failure @ Failure::Send(_)) => {
                vec![format!(
                    "No probe could be sent to {}: {}.",
                    paths.summary().target,
                    failure_text(failure)
                )]
            }
            _ => sentences(paths, max_hops, self.is_summed_up()),
        };
        text.extend(sentences.iter().map(|sentence| self.sentence(sentence)));
        text
    }

    /// The lines of all routers: with the flows that lead to them, unless names would be cut to
    /// nothing for that. Then those of the hops behind them to which no probe got out of this
    /// machine.
    pub(super) fn graph_lines(
        &mut self,
        graph: &Graph,
        names: &Names,
        blocked: &[(u8, Failure)],
    ) -> String {
        let option = match self.protocol.port() {
            Some(_) => "--source-port",
            None => "--flow",
        };
        let rows_with = |option| rows(graph, names, option, blocked);
        let with_flows = rows_with(Some(option));
        let rows = if self.layout.has_room(&with_flows) {
            with_flows
        } else {
            rows_with(None)
        };
        let mut lines = self.layout.lines(&rows);
        for (first, last, why) in blocked_behind(graph, blocked) {
            lines += &self.layout.unanswered(first, last, &failed(why));
        }
        lines
    }
}

/// As many lines as there is room for, and how many more there are.
pub(super) fn fitting(lines: String, height: usize, more: impl Fn(usize) -> String) -> String {
    let count = lines.lines().count();
    if count <= height {
        return lines;
    }
    let fits = height.saturating_sub(1);
    lines
        .split_inclusive('\n')
        .take(fits)
        .map(str::to_owned)
        .chain([more(count - fits)])
        .collect()
}

/// Sums the graph up in sentences.
fn sentences(paths: &Paths, max_hops: u8, is_dated: bool) -> Vec<String> {
    let graph = paths.graph();
    let mut sentences = Vec::new();
    let by_packet: Vec<String> = hops(graph)
        .map(|(hop, _)| hop)
        .filter(|hop| graph.is_per_packet(*hop))
        .map(|hop| hop.to_string())
        .collect();
    if !by_packet.is_empty() {
        let hops = if by_packet.len() == 1 { "Hop" } else { "Hops" };
        sentences.push(format!(
            "{hops} {}: balanced by packet, probes of one flow differed.",
            by_packet.join(", ")
        ));
    }
    if graph.edges().iter().any(|edge| !edge.is_certain) {
        sentences.push("Which of them leads to which can't be known.".to_owned());
    }
    // Where the last hop that was to be probed answered, what comes behind it was not asked for.
    let goes_on =
        |node: &Node| node.hop == max_hops && node.address.is_some() && node.end.is_none();
    let is_longer =
        paths.completeness() == Completeness::Complete && graph.nodes().iter().any(goes_on);
    let (is_hidden, last_heard) = hidden(graph, paths);
    sentences.extend(ending(paths, is_longer));
    let last = is_longer.then_some(max_hops);
    let how_well = how_well(paths, last.or(is_hidden.then_some(last_heard)));
    let most = if graph.edges().iter().all(|edge| edge.is_certain) {
        ""
    } else {
        "At most "
    };
    let found = format!("{most}{}", counted(graph.paths(), "path"));
    let (flows, probes) = (
        counted(paths.flows() as u64, "flow"),
        counted(paths.summary().probes_sent as u64, "probe"),
    );
    let seconds = paths.summary().duration.as_secs_f64();
    let date = if is_dated {
        format!(" {}.", date(paths.summary().started))
    } else {
        String::new()
    };
    sentences.push(format!(
        "{found}: {how_well}. {flows}, {probes}, {seconds:.1} s.{date}"
    ));
    sentences
}

/// Whether the target has answered, but on none of the flows, and the last hop that has.
fn hidden(graph: &Graph, paths: &Paths) -> (bool, u8) {
    let heard = graph.nodes().iter().filter(|node| node.address.is_some());
    let last = heard.map(|node| node.hop).max().unwrap_or(0);
    let is_there = graph
        .nodes()
        .iter()
        .any(|node| node.end == Some(End::Target));
    (paths.knock().is_some() && !is_there, last)
}

/// Says why the target did not answer, if it didn't. `is_longer` is whether the path goes on behind
/// the hops that were probed.
fn ending(paths: &Paths, is_longer: bool) -> Option<String> {
    let target = paths.summary().target;
    let refusing = || {
        paths
            .graph()
            .nodes()
            .iter()
            .filter(|node| node.end == Some(End::Unreachable))
    };
    if refusing().any(|node| node.address == Some(target)) {
        return Some(format!("{target} answers only that it can't be reached."));
    }
    let why = if refusing().next().is_some() {
        ": a hop says that it can't be reached".to_owned()
    } else if goes_round(paths.graph()) {
        ": the path goes round in a loop".to_owned()
    } else if is_longer {
        ": it is farther than the hops probed (-m)".to_owned()
    } else {
        paths.end_failure().map_or_else(String::new, |failure| {
            format!(": {}", failure_text(failure))
        })
    };
    if let (true, last) = hidden(paths.graph(), paths) {
        let state = paths.knock().and_then(PortState::of_answer);
        let state = state.map_or_else(|| "there".to_owned(), |state| state.to_string());
        return Some(format!(
            "{target} is {state}, but answered probes of no flow: behind hop {last} a firewall may \
             pass only the first SYN of each. hopshot without --paths shows what is there."
        ));
    }
    (!paths.reached()).then(|| format!("No answer from {target}{why}."))
}

/// Says how sure it is that no path is missing: up to this hop only, if there is one.
fn how_well(paths: &Paths, last: Option<u8>) -> String {
    let percent = (paths.confidence() * 1e5).round() / 1e3;
    let why = match (paths.completeness(), last) {
        (Completeness::Complete, Some(last)) => {
            return format!("{percent} % sure that none is missing before hop {last}");
        }
        (Completeness::Complete, None) => return format!("{percent} % sure that none is missing"),
        (Completeness::FlowLimit, _) => "more flows are needed",
        (Completeness::NoProgress, _)
            if paths.end_failure().is_some() || paths.blocked().next().is_some() =>
        {
            "this machine is in the way"
        }
        (Completeness::NoProgress, _) => "routers did not answer (a lower --rate may help)",
        (_, _) => "interrupted",
    };
    format!("not complete, {why}")
}

/// Whether a router stands on one path three times.
fn goes_round(graph: &Graph) -> bool {
    let mut addresses: Vec<IpAddr> = graph
        .nodes()
        .iter()
        .filter_map(|node| node.address)
        .collect();
    addresses.sort_unstable();
    let often = addresses
        .chunk_by(|one, next| one == next)
        .filter(|same| same.len() >= 3);
    often.filter_map(|same| same.first()).any(|address| {
        let own = |node: &Node| usize::from(node.address == Some(*address));
        let mut times: Vec<usize> = graph.nodes().iter().map(own).collect();
        // In the order of the nodes that they come from: what leads to a node comes before what
        // leads on.
        for edge in graph.edges() {
            times[edge.to] = times[edge.to].max(times[edge.from] + own(&graph.nodes()[edge.to]));
        }
        times.iter().any(|times| *times >= 3)
    })
}

/// The hops that were probed, each with the index of its first node and the nodes.
fn hops(graph: &Graph) -> impl Iterator<Item = (u8, &[Node])> {
    let hops = graph.nodes().chunk_by(|one, next| one.hop == next.hop);
    hops.skip(1)
        .filter_map(|nodes| Some((nodes.first()?.hop, nodes)))
}

/// The room that a share takes, as in ` 25 %`.
const SHARE: usize = 5;

/// The rows of all routers. With an option, each has the flow that leads to it.
fn rows(graph: &Graph, names: &Names, option: Option<&str>, blocked: &[(u8, Failure)]) -> Vec<Row> {
    let mut rows = Vec::new();
    let mut before = Duration::ZERO;
    let (mut nearer, mut first) = (1, 1);
    for (hop, nodes) in hops(graph) {
        let jump = Jump::from(before);
        before = nodes
            .iter()
            .filter_map(|node| node.rtt)
            .min()
            .unwrap_or(before);
        let all: usize = nodes.iter().map(|node| node.flows).sum();
        for (place, node) in nodes.iter().enumerate() {
            let mut notes = Vec::new();
            let origins = origins(graph, first - nearer..first, first + place, nodes.len());
            if nodes.len() > 1 {
                notes.push(format!(
                    "{:>3} %",
                    (node.flows * 100 + all / 2) / all.max(1)
                ));
            } else if origins.is_some() {
                // Below those of hops that have shares.
                notes.push(" ".repeat(SHARE));
            }
            notes.extend(origins);
            if nodes.len() > 1 && node.lost > 0 {
                notes.push(format!("{} of {} lost", node.lost, node.sent));
            }
            if node.end == Some(End::Unreachable) {
                notes.push("unreachable".to_owned());
            }
            let state = node.answer.and_then(PortState::of_answer);
            notes.extend(state.map(|state| state.to_string()));
            if let Some(option) = option.filter(|_| nodes.len() > 1) {
                notes.extend(node.flow.map(|flow| format!("{option} {flow}")));
            }
            let branch = if nodes.len() > 1 {
                letters(place)
            } else {
                String::new()
            };
            let why = blocked
                .iter()
                .find(|(blocked, _)| *blocked == hop)
                .map(|(_, why)| *why);
            rows.push(row(node, branch, notes, &jump, names, why));
        }
        match graph.unanswered(hop) {
            0 => {}
            flows => {
                let mut row = Row::bare(
                    hop,
                    format!(
                        "*  {} got no answer from here",
                        counted(flows as u64, "flow")
                    ),
                );
                row.number = None;
                rows.push(row);
            }
        }
        (nearer, first) = (nodes.len(), first + nodes.len());
    }
    rows
}

/// The row of a node. `why` is why no probe to its hop got out of this machine, if none did.
fn row(
    node: &Node,
    branch: String,
    mut notes: Vec<String>,
    jump: &Jump,
    names: &Names,
    why: Option<Failure>,
) -> Row {
    let Some(address) = node.address else {
        let mark = why.map_or_else(|| "*".to_owned(), failed);
        let said: Vec<&str> = [mark.as_str()]
            .into_iter()
            .chain(notes.iter().map(String::as_str))
            .collect();
        return Row {
            branch,
            ..Row::bare(node.hop, said.join("  "))
        };
    };
    notes.extend(Inside::of(address).map(|inside| inside.to_string()));
    let time = node.rtt.map(|rtt| Cell::Time {
        rtt,
        style: jump.style(rtt),
        mark: String::new(),
    });
    Row {
        number: Some(node.hop),
        branch,
        host: Some(Host::new(address, names)),
        instead: String::new(),
        cells: time.into_iter().collect(),
        style: if node.end == Some(End::Target) {
            Style::Strong
        } else {
            Style::Plain
        },
        notes,
        appended: Vec::new(),
    }
}

/// Says which nodes lead to a node, if that is one of several, or not all of them, or not known.
/// `nearer` are the nodes of the hop before, and there are so many beside it.
fn origins(
    graph: &Graph,
    nearer: std::ops::Range<usize>,
    node: usize,
    beside: usize,
) -> Option<String> {
    let edges: Vec<_> = graph
        .edges()
        .iter()
        .filter(|edge| edge.to == node && nearer.contains(&edge.from))
        .collect();
    if edges.iter().any(|edge| !edge.is_certain) {
        return None;
    }
    let hop = graph.nodes()[nearer.start].hop;
    match edges.len() {
        0 => Some(format!("from {hop}?")),
        all if all == nearer.len() => (all > 1 && beside > 1).then(|| format!("from {hop} all")),
        _ => {
            let from = edges
                .iter()
                .map(|edge| format!("{hop}{}", letters(edge.from - nearer.start)));
            Some(format!("from {}", from.collect::<Vec<_>>().join(" ")))
        }
    }
}

/// Names one of several nodes: a, b, c, and so on to z, then aa, ab.
fn letters(mut place: usize) -> String {
    let mut letters = Vec::new();
    loop {
        letters.insert(0, char::from(b"abcdefghijklmnopqrstuvwxyz"[place % 26]));
        match (place / 26).checked_sub(1) {
            None => return letters.into_iter().collect(),
            Some(more) => place = more,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::fitting;

    #[test]
    fn of_more_lines_than_the_screen_has_the_first_are_drawn() {
        let fitting = |height| {
            fitting("1\n2\n3\n".to_owned(), height, |more| {
                format!("{more} more\n")
            })
        };
        assert_eq!([2, 3].map(fitting), ["1\n2 more\n", "1\n2\n3\n"]);
    }
}
