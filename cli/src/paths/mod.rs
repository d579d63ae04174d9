//! All paths to one host, as a graph.

mod dot;
mod json;

use crate::args::{Args, Format};
use crate::console::print;
use crate::failure::Failure;
use crate::format::json::print_line;
use crate::session::Session;
use crate::text::View;
use hopshot_linux::paths::Graph;
use hopshot_linux::{AddressFamily, Failure as Blocked, Step};
use std::net::IpAddr;
use std::time::{Duration, Instant};

/// At most so often the graph is built: each time that takes longer.
const OFTEN: Duration = Duration::from_millis(50);

/// Finds the paths and shows them. Returns whether the host answered.
pub(crate) fn run(args: &Args, host: &str) -> Result<bool, Failure> {
    let plan = args.all_paths(host);
    let (mut session, mut exploration) = Session::start(args, host, &plan, |opened, address| {
        opened.start_at(address)
    })?;
    let format = args.output.format();
    let mut view = (format == Format::Text).then(|| View::new(exploration.target(), args));
    if let Some(view) = &mut view {
        view.paths_header(host, exploration.source(), args)
            .map_err(Failure::Output)?;
    }
    let lacks = exploration.lacks(AddressFamily::of(exploration.target()));
    session.confine([exploration.socket()], &lacks, || exploration.confine())?;
    let (mut graph, mut flows, mut built) = (Graph::default(), 0, Instant::now());
    let followed = session.follow(&mut exploration, |exploration, names, step| {
        let is_due = exploration.flows() > flows && (flows == 0 || built.elapsed() >= OFTEN);
        if is_due {
            (graph, flows, built) = (exploration.graph(), exploration.flows(), Instant::now());
            addresses(&graph).for_each(|address| names.ask(address));
        }
        match view.as_mut().filter(|_| is_due || step == Step::Woken) {
            Some(view) => view.paths_update(&graph, flows, names),
            None => Ok(()),
        }
    });
    let failed = match followed {
        // What is known is worth having.
        Err(Failure::Trace(error)) if exploration.flows() > 0 => Some(error),
        followed => followed.map(|()| None)?,
    };
    let paths = exploration.finish();
    addresses(paths.graph()).for_each(|address| session.names.ask(address));
    session.wait_for_names(|| addresses(paths.graph()), |_| Ok(()))?;
    let names = &session.names;
    let shown = match &mut view {
        Some(view) => view.paths_finish(&paths, args.probing.max, names),
        None if format == Format::Dot => print(dot::text(&paths, names).as_bytes()),
        None => print_line(&json::Document::new(args, &paths, names)),
    };
    shown.map_err(Failure::Output)?;
    let summary = paths.summary();
    session.explain(summary.reasons, paths.forged(), summary.rejected);
    failed.map_or_else(|| Ok(paths.reached()), |error| Err(error.into()))
}

/// The stretches of hops, behind all that are in the graph, to which no probe got out of this
/// machine: the first hop and the last, and why.
pub(crate) fn blocked_behind(graph: &Graph, blocked: &[(u8, Blocked)]) -> Vec<(u8, u8, Blocked)> {
    let last = graph.nodes().last().map_or(0, |node| node.hop);
    let mut stretches: Vec<(u8, u8, Blocked)> = Vec::new();
    for (hop, why) in blocked.iter().filter(|(hop, _)| *hop > last) {
        match stretches.last_mut() {
            Some((_, until, same)) if *until + 1 == *hop && same == why => *until = *hop,
            _ => stretches.push((*hop, *hop, *why)),
        }
    }
    stretches
}

fn addresses(graph: &Graph) -> impl Iterator<Item = IpAddr> {
    graph.nodes().iter().filter_map(|node| node.address)
}
