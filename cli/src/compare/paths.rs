//! `--compare` with `--paths`: all paths of each side.

use super::json::PathsDocument;
use super::{lacks, target};
use crate::args::{Args, Format, Sides};
use crate::failure::Failure;
use crate::format::json::print_line;
use crate::session::Session;
use crate::text::View;
use hopshot_linux::compare::{ComparePaths, PathsComparison, Side};
use hopshot_linux::lookup::Wanted;
use hopshot_linux::paths::Graph;
use hopshot_linux::{AddressFamily, Reasons, Rejected, Step};
use std::net::IpAddr;
use std::time::{Duration, Instant};

/// At most so often the graphs are built: each time that takes longer.
const OFTEN: Duration = Duration::from_millis(50);

/// Finds the paths of all sides and shows them. Returns whether those got there that should.
pub(super) fn run(args: &Args, host: &str, sides: &Sides) -> Result<bool, Failure> {
    let (mut session, mut compare) = start(args, host, sides)?;
    let is_text = args.output.format() == Format::Text;
    let mut view = is_text.then(|| View::new(target(compare.sides()), args));
    let max_hops = args.probing.max;
    if let Some(view) = &mut view {
        view.comparison_header("all paths", compare.host(), compare.sides(), max_hops)
            .map_err(Failure::Output)?;
    }
    let lacks = lacks(compare.sides(), |family| compare.lacks(family));
    session.confine(compare.sockets(), &lacks, || compare.confine())?;
    let (mut graphs, mut flows, mut built) = (Vec::new(), 0, Instant::now());
    session.follow(&mut compare, |compare, names, step| {
        let is_due = compare.flows() > flows && (flows == 0 || built.elapsed() >= OFTEN);
        if is_due {
            (graphs, flows, built) = (known(compare), compare.flows(), Instant::now());
            let graphs = graphs.iter().map(|(_, graph)| graph);
            graphs.flat_map(addresses).for_each(|it| names.ask(it));
        }
        match view.as_mut().filter(|_| is_due || step == Step::Woken) {
            Some(view) => view.graphs_update(&graphs, flows, names),
            None => Ok(()),
        }
    })?;
    let comparison = compare.finish();
    let all = || {
        comparison
            .paths()
            .flat_map(|paths| addresses(paths.graph()))
    };
    all().for_each(|address| session.names.ask(address));
    session.wait_for_names(all, |_| Ok(()))?;
    let names = &session.names;
    let shown = match &mut view {
        Some(view) => view.graphs_finish(&comparison, max_hops, names),
        None => print_line(&PathsDocument::new(args, &comparison, names)),
    };
    shown.map_err(Failure::Output)?;
    explain(&session, &comparison);
    Ok(comparison.reached())
}

/// Opens the sockets, and chooses the first flows.
fn start(args: &Args, host: &str, sides: &Sides) -> Result<(Session, ComparePaths), Failure> {
    let plan = args.comparison_of_paths(host, sides);
    if !sides.are_families() {
        return Session::start(args, host, &plan, |opened, address| {
            opened.start_at(address)
        });
    }
    let opened = plan.open()?;
    let mut session = Session::new(args, true)?;
    let v4 = session.find(host, Wanted::Only(AddressFamily::V4))?;
    let v6 = session.find(host, Wanted::Only(AddressFamily::V6))?;
    Ok((session, opened.start_at_both(v4, v6)?))
}

/// Returns what is known of each side so far.
fn known(compare: &ComparePaths) -> Vec<(Side, Graph)> {
    let sides = compare.sides().zip(compare.graphs());
    sides
        .filter_map(|((side, _), graph)| Some((side, graph?)))
        .collect()
}

fn addresses(graph: &Graph) -> impl Iterator<Item = IpAddr> {
    graph.nodes().iter().filter_map(|node| node.address)
}

/// Sums up why probes were sent, and what else arrived.
fn explain(session: &Session, comparison: &PathsComparison) {
    let (mut reasons, mut rejected) = (Reasons::default(), Rejected::default());
    let mut forged = 0;
    for paths in comparison.paths() {
        reasons += paths.summary().reasons;
        rejected = rejected + paths.summary().rejected;
        forged += paths.forged();
    }
    session.explain(reasons, forged, rejected);
}
