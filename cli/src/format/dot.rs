//! Graphviz: the paths to all hosts as one graph, each address once.

use super::results::Format;
use super::stages::{Stage, stages};
use crate::console::print;
use crate::names::Names;
use crate::units::A_FLOW_EACH;
use hopshot_linux::Route;
use std::collections::HashSet;
use std::fmt::Write as _;
use std::io;
use std::net::IpAddr;

/// The beginning of a graph from the left to the right, in colours that can be read on light and on
/// dark pages.
pub(crate) const HEAD: &str = "\
digraph hopshot {
  rankdir=LR
  bgcolor=transparent
  node [shape=box style=rounded color=\"#6e7781\" fontcolor=\"#6e7781\" fontname=\"Helvetica,Arial,sans-serif\" fontsize=11]
  edge [color=\"#6e7781\" arrowsize=0.6]
";
pub(crate) const TAIL: &str = "}\n";

pub(crate) const TARGET: &str = " color=\"#1a7f37\" fontcolor=\"#1a7f37\" penwidth=2";
pub(crate) const UNREACHABLE: &str = " color=\"#cf222e\" fontcolor=\"#cf222e\"";
const UNPROVEN: &str = " style=\"rounded,dashed\"";

#[derive(Default)]
pub(super) struct Dot {
    is_begun: bool,
    /// The sources of probes. A host that answered may have such an address too, and is another
    /// node.
    sources: HashSet<IpAddr>,
    /// The hosts that answered, and the edges between nodes.
    places: HashSet<IpAddr>,
    edges: HashSet<(String, String)>,
}

impl Dot {
    fn print(&mut self, text: &str) -> io::Result<()> {
        let head = if self.is_begun { "" } else { HEAD };
        self.is_begun = true;
        print(format!("{head}{text}").as_bytes())
    }

    /// The nodes of a hop, as they are written if they are new, and their names in the graph.
    fn nodes(&mut self, route: &Route, stage: &Stage, text: &mut String) -> Vec<String> {
        if stage.places.is_empty() {
            let node = quoted(&[&format!("{} {}", route.summary().target, stage.number())]);
            let said = stage.instead.as_deref().unwrap_or("*");
            let label = quoted(&[&format!("{}  {said}", stage.number())]);
            let _ = writeln!(text, "  {node} [label={label} style=\"rounded,dashed\"]");
            return vec![node];
        }
        let mut nodes = Vec::new();
        for place in &stage.places {
            let is_new = place.is_unproven() || self.places.insert(place.address);
            let address = place.address.to_string();
            // Nobody may be where a forger says to be: the node of who has that address stays as it
            // is.
            let node = match place.is_unproven() {
                true => quoted(&[&format!(
                    "{} {} {address}",
                    route.summary().target,
                    stage.number()
                )]),
                false => quoted(&[&address]),
            };
            if is_new {
                let first = format!(
                    "{}  {}",
                    stage.number(),
                    place.name.as_deref().unwrap_or(&address)
                );
                let time = match place.rtts.is_empty() {
                    true => "shared".to_owned(),
                    false => format!("{:.3} ms {}", place.median(), place.mark),
                };
                let address = place.name.is_some().then_some(address.as_str());
                let lines = [
                    Some(first.as_str()),
                    address,
                    place.origin.as_deref(),
                    Some(time.trim_end()),
                ];
                let label = quoted(&lines.into_iter().flatten().collect::<Vec<_>>());
                let look = match (place.is_target, place.is_stop()) {
                    _ if place.is_unproven() => UNPROVEN,
                    (_, true) => UNREACHABLE,
                    (true, false) => TARGET,
                    (false, false) => "",
                };
                let _ = writeln!(text, "  {node} [label={label}{look}]");
            }
            nodes.push(node);
        }
        nodes
    }
}

impl Format for Dot {
    fn finish(&mut self, route: &Route, names: &Names) -> io::Result<()> {
        let mut text = String::new();
        let summary = route.summary();
        let source = quoted(&[&format!("from {}", summary.source)]);
        if self.sources.insert(summary.source) {
            let label = quoted(&[&summary.source.to_string()]);
            let _ = writeln!(text, "  {source} [label={label} style=\"rounded,bold\"]");
        }
        // A comment, since one router may be on the paths of several flows.
        let flow = route.flow().map(|flow| format!("flow {flow}"));
        let flow = flow.as_deref().unwrap_or(A_FLOW_EACH);
        let _ = writeln!(text, "  // {}: {flow}", summary.target);
        let (mut before, mut last, mut was_proven) = (vec![source], 0, true);
        for stage in stages(route, names) {
            let nodes = self.nodes(route, &stage, &mut text);
            let is_proven = !stage.is_unproven();
            for edge in before
                .iter()
                .flat_map(|from| nodes.iter().map(move |to| (from.clone(), to.clone())))
            {
                if self.edges.insert(edge.clone()) {
                    let (from, to) = edge;
                    // Which of several led to which of several is not known, nor what is before the
                    // first hop that was probed, nor who is where nobody proves
                    // to be.
                    let is_unknown = before.len() > 1 && nodes.len() > 1 || stage.first > last + 1;
                    let is_unknown = is_unknown || !is_proven || !was_proven;
                    let look = if is_unknown { " [style=dashed]" } else { "" };
                    let _ = writeln!(text, "  {from} -> {to}{look}");
                }
            }
            (before, last, was_proven) = (nodes, stage.last, is_proven);
        }
        self.print(&text)
    }

    fn end(&mut self) -> io::Result<()> {
        self.print(TAIL)
    }
}

/// Lines of text as a string of Graphviz, in which nothing stands for anything else: not for an
/// entity of HTML either.
pub(crate) fn quoted(lines: &[&str]) -> String {
    let quoted = |line: &&str| {
        line.replace('&', "&amp;")
            .replace('\\', "\\\\")
            .replace('"', "\\\"")
    };
    let lines: Vec<String> = lines.iter().map(quoted).collect();
    format!("\"{}\"", lines.join("\\n"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_name_can_not_end_its_label_and_is_shown_as_it_is() {
        assert_eq!(quoted(&["core", "10.0.0.1"]), r#""core\n10.0.0.1""#);
        assert_eq!(quoted(&[r#"a"]; \N"#]), r#""a\"]; \\N""#);
        assert_eq!(quoted(&["a&quot;b"]), r#""a&amp;quot;b""#);
    }
}
