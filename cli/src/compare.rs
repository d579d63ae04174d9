//! `--compare`: one host by several protocols, or over both families, side by side.

mod json;
mod paths;

use crate::args::{Args, Format, Sides};
use crate::failure::Failure;
use crate::format::json::print_line;
use crate::names::replying;
use crate::session::Session;
use crate::text::{Column, View};
use hopshot_linux::compare::{Compare, Comparison, Side};
use hopshot_linux::lookup::Wanted;
use hopshot_linux::{AddressFamily, Lack, Reasons, Rejected};
use std::net::{IpAddr, Ipv4Addr};

/// Compares the sides and shows them. Returns whether those got there that should.
pub(crate) fn run(args: &Args, host: &str) -> Result<bool, Failure> {
    let Some(sides) = &args.probing.compare else {
        return Ok(false);
    };
    if args.probing.paths {
        return paths::run(args, host, sides);
    }
    let (mut session, mut compare) = start(args, host, sides)?;
    let mut view =
        (args.output.format() == Format::Text).then(|| View::new(target(compare.sides()), args));
    if let Some(view) = &mut view {
        view.comparison_header("paths", compare.host(), compare.sides(), args.probing.max)
            .map_err(Failure::Output)?;
    }
    let lacks = lacks(compare.sides(), |family| compare.lacks(family));
    session.confine(compare.sockets(), &lacks, || compare.confine())?;
    session.follow(&mut compare, |compare, names, _| {
        while let Some((_, heard)) = compare.take_reply() {
            names.ask(heard.reply.from);
        }
        match &mut view {
            Some(view) => view.comparison_update(&columns(compare), names),
            None => Ok(()),
        }
    })?;
    session.say_lacks(&lacks);
    let comparison = compare.finish();
    addresses(&comparison).for_each(|address| session.names.ask(address));
    let columns: Vec<Column<'_>> = comparison.sides().iter().map(Column::of).collect();
    session.wait_for_names(
        || addresses(&comparison),
        |names| match &mut view {
            Some(view) => view.comparison_update(&columns, names),
            None => Ok(()),
        },
    )?;
    let names = &session.names;
    let shown = match &mut view {
        Some(view) => view.comparison_finish(&comparison, names),
        None => print_line(&json::Document::new(args, &comparison, names)),
    };
    shown.map_err(Failure::Output)?;
    explain(&session, &comparison);
    Ok(comparison.reached())
}

/// Opens the sockets and sends the first probes.
fn start(args: &Args, host: &str, sides: &Sides) -> Result<(Session, Compare), Failure> {
    let plan = args.comparison(host, sides);
    if !sides.are_families() {
        return Session::start(args, host, &plan, |opened, address| {
            let mut compare = opened.start_at(address)?;
            compare.launch().map(|()| compare)
        });
    }
    let opened = plan.open()?;
    let mut session = Session::new(args, true)?;
    let v4 = session.find(host, Wanted::Only(AddressFamily::V4))?;
    let v6 = session.find(host, Wanted::Only(AddressFamily::V6))?;
    let mut compare = opened.start_at_both(v4, v6)?;
    compare.launch()?;
    Ok((session, compare))
}

/// A side with its target and source, if it could begin.
type Begun = (Side, Option<(IpAddr, IpAddr)>);

/// Returns what the sockets of both families do without, where this tells it of one.
fn lacks(sides: impl Iterator<Item = Begun>, of: impl Fn(AddressFamily) -> Vec<Lack>) -> Vec<Lack> {
    let targets = sides.filter_map(|(_, ends)| Some(ends?.0));
    let mut families: Vec<AddressFamily> = targets.map(AddressFamily::of).collect();
    families.dedup();
    families.into_iter().flat_map(of).collect()
}

/// The addresses that have answered.
fn addresses(comparison: &Comparison) -> impl Iterator<Item = IpAddr> {
    comparison.routes().flat_map(|route| replying(route.hops()))
}

/// The target of the first side that has one.
fn target(mut sides: impl Iterator<Item = Begun>) -> IpAddr {
    let target = sides.find_map(|(_, ends)| Some(ends?.0));
    target.unwrap_or(Ipv4Addr::UNSPECIFIED.into())
}

/// Returns what is known of each side so far.
fn columns(compare: &Compare) -> Vec<Column<'_>> {
    let mut routes = compare.routes();
    let mut hops = || routes.next().flatten().map(|route| route.hops());
    let sides = compare.sides();
    sides
        .map(|(side, _)| Column::new(side, hops().into_iter().flatten()))
        .collect()
}

/// Sums up why probes were sent, and what else arrived.
fn explain(session: &Session, comparison: &Comparison) {
    let (mut reasons, mut rejected) = (Reasons::default(), Rejected::default());
    let mut forged = 0;
    for route in comparison.routes() {
        reasons += route.summary().reasons;
        rejected = rejected + route.summary().rejected;
        forged += u32::from(route.tally().forged);
    }
    session.explain(reasons, forged, rejected);
}
