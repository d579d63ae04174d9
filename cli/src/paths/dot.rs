//! The paths as a graph for Graphviz.

use super::blocked_behind;
use crate::format::dot::{HEAD, TAIL, TARGET, UNREACHABLE, quoted};
use crate::names::Names;
use hopshot_linux::document::milliseconds;
use hopshot_linux::paths::{End, Node, Paths};
use hopshot_linux::{Failure, failure_text};
use std::fmt::Write as _;

const NOBODY: &str = " style=\"rounded,dashed\"";

/// The whole graph. A router that stands at two hops is two nodes.
pub(super) fn text(paths: &Paths, names: &Names) -> String {
    let mut text = HEAD.to_owned();
    let source = paths.summary().source.to_string();
    let _ = writeln!(
        text,
        "  n0 [label={} style=\"rounded,bold\"]",
        quoted(&[&source])
    );
    let graph = paths.graph();
    let blocked: Vec<_> = paths.blocked().collect();
    for (index, node) in graph.nodes().iter().enumerate().skip(1) {
        let look = match node.end {
            Some(End::Target) => TARGET,
            Some(_) => UNREACHABLE,
            None if node.address.is_none() => NOBODY,
            None => "",
        };
        let why = blocked
            .iter()
            .find(|(hop, _)| *hop == node.hop)
            .map(|(_, why)| *why);
        let _ = writeln!(text, "  n{index} [label={}{look}]", label(node, names, why));
    }
    // With -f there are routers between the source and the first hop probed.
    let root = graph.nodes().first().map_or(0, |node| node.hop);
    let not_probed = format!(" [style=dotted label=\"up to {root} not probed\"]");
    let look = |from, is_certain| match is_certain {
        true if from == 0 && root > 0 => not_probed.as_str(),
        true => "",
        false => " [style=dashed]",
    };
    for edge in graph.edges() {
        let _ = writeln!(
            text,
            "  n{} -> n{}{}",
            edge.from,
            edge.to,
            look(edge.from, edge.is_certain)
        );
    }
    let (mut last, mut index) = (
        graph.nodes().last().map_or(0, |node| node.hop),
        graph.nodes().len(),
    );
    let mut before: Vec<usize> = (0..index)
        .filter(|from| graph.nodes()[*from].hop == last)
        .collect();
    for (first, until, why) in blocked_behind(graph, &blocked) {
        let hops = if first == until {
            first.to_string()
        } else {
            format!("{first}-{until}")
        };
        let _ = writeln!(
            text,
            "  n{index} [label={}{NOBODY}]",
            quoted(&[&format!("{hops}  {}", failure_text(why))])
        );
        for from in before {
            let _ = writeln!(
                text,
                "  n{from} -> n{index}{}",
                look(from, first == last + 1)
            );
        }
        (last, before, index) = (until, vec![index], index + 1);
    }
    text + TAIL
}

/// `why` is why no probe to its hop got out of this machine, if none did.
fn label(node: &Node, names: &Names, why: Option<Failure>) -> String {
    let Some(address) = node.address else {
        let said = why.map_or_else(|| "*".to_owned(), failure_text);
        return quoted(&[&format!("{}  {said}", node.hop)]);
    };
    let name = names.of(address);
    let address = address.to_string();
    let first = format!("{}  {}", node.hop, name.as_deref().unwrap_or(&address));
    let time = node
        .rtt
        .map(|rtt| format!("{:.3} ms", milliseconds(rtt)))
        .unwrap_or_default();
    match name {
        Some(_) => quoted(&[&first, &address, &time]),
        None => quoted(&[&first, &time]),
    }
}
