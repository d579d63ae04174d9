//! The paths as a graph for Graphviz.

use crate::format::dot::{HEAD, TAIL, TARGET, UNREACHABLE, quoted};
use crate::names::Names;
use crate::units::milliseconds;
use hopshot_linux::{End, Node, Paths, failure_text};
use std::fmt::Write as _;

/// The whole graph. A router that stands at two hops is two nodes.
pub(super) fn text(paths: &Paths, names: &Names) -> String {
    let mut text = HEAD.to_owned();
    let source = paths.source().map_or_else(|| "*".to_owned(), |source| source.to_string());
    let _ = writeln!(text, "  n0 [label={} style=\"rounded,bold\"]", quoted(&[&source]));
    let graph = paths.graph();
    for (index, node) in graph.nodes().iter().enumerate().skip(1) {
        let look = match node.end {
            Some(End::Target) => TARGET,
            Some(End::Unreachable) => UNREACHABLE,
            None if node.address.is_none() => " style=\"rounded,dashed\"",
            None => "",
        };
        let _ = writeln!(text, "  n{index} [label={}{look}]", label(node, names));
    }
    // With -f there are routers between the source and the first hop probed.
    let root = graph.nodes().first().map_or(0, |node| node.hop);
    for edge in graph.edges() {
        let look = match edge.is_certain {
            true if edge.from == 0 && root > 0 => format!(" [style=dotted label=\"up to {root} not probed\"]"),
            true => String::new(),
            false => " [style=dashed]".to_owned(),
        };
        let _ = writeln!(text, "  n{} -> n{}{look}", edge.from, edge.to);
    }
    text + &blocked(paths) + TAIL
}

/// The hops to which no probe got out of this machine: one node for those side by side with one reason, behind whoever
/// stands nearest before them.
fn blocked(paths: &Paths) -> String {
    let mut parts: Vec<(u8, u8, String)> = Vec::new();
    for (hop, why) in paths.blocked() {
        let why = failure_text(why);
        match parts.last_mut() {
            Some((_, last, before)) if last.checked_add(1) == Some(hop) && *before == why => *last = hop,
            _ => parts.push((hop, hop, why)),
        }
    }
    let mut text = String::new();
    let nodes = paths.graph().nodes();
    for (first, last, why) in parts {
        let numbers = if first == last { first.to_string() } else { format!("{first}-{last}") };
        let label = quoted(&[&format!("{numbers}  {why}")]);
        let _ = writeln!(text, "  b{first} [label={label} style=\"rounded,dashed\"]");
        let before = nodes.iter().map(|node| node.hop).filter(|hop| *hop < first).max();
        let is_before = |node: &Node| Some(node.hop) == before && node.end.is_none();
        for (index, _) in nodes.iter().enumerate().filter(|(_, node)| is_before(node)) {
            let _ = writeln!(text, "  n{index} -> b{first} [style=dashed]");
        }
    }
    text
}

fn label(node: &Node, names: &Names) -> String {
    let Some(address) = node.address else { return quoted(&[&format!("{}  *", node.hop)]) };
    let name = names.of(address);
    let address = address.to_string();
    let first = format!("{}  {}", node.hop, name.as_deref().unwrap_or(&address));
    let time = node.rtt.map(|rtt| format!("{:.3} ms", milliseconds(rtt))).unwrap_or_default();
    match name {
        Some(_) => quoted(&[&first, &address, &time]),
        None => quoted(&[&first, &time]),
    }
}
