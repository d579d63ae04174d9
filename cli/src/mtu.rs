//! `--mtu`: the path to a host, and where it carries only smaller packets.

use crate::Failure;
use crate::args::{Args, Format};
use crate::ases::Ases;
use crate::format::json;
use crate::names::{Names, replying};
use crate::session::Session;
use crate::text::View;
use hopshot_linux::{Limit, MtuRoute, Step};
use std::io;

/// Searches for the path MTU and shows it with the path. Returns whether the target answered.
pub(crate) fn run(args: &Args, host: &str) -> Result<bool, Failure> {
    let mut search = args.traceroute(host).start_path_mtu()?;
    let ases = Ases::open(args)?;
    search.launch()?;
    let mut session = Session::new(args, ases, false)?;
    session.confine([search.socket()], || search.confine());
    let Session { names, events, .. } = &mut session;
    loop {
        let step = search.advance(Some(events.fd()))?;
        if step == Step::Woken {
            events.clear().map_err(Failure::events)?;
        }
        if events.interrupted() {
            search.interrupt();
        }
        names.hear();
        search.stretches().iter().for_each(|stretch| replying(stretch.hops()).for_each(|address| names.ask(address)));
        if step == Step::Done {
            break;
        }
    }
    let target = search.target();
    let route = search.finish();
    while let Some(left) = names.patience(replying(route.hops().map(|(_, hop)| hop))) {
        if events.interrupted() || !events.wait(false, Some(left)).map_err(Failure::events)? {
            break;
        }
        names.hear();
    }
    let shown = match args.output.format() {
        Format::Json => json::path_mtu(&route, names),
        _ => {
            let mut view = View::new(target, args);
            view.header(host, target, args.probing.max).and_then(|()| show(&mut view, &route, names))
        }
    };
    shown.map_err(Failure::Output)?;
    session.explain_rejected(route.tally().forged.into(), route.rejected());
    Ok(route.path_mtu().is_some())
}

/// The path with a mark where smaller packets begin, and then what is known of the path's MTU.
fn show(view: &mut View, route: &MtuRoute, names: &Names) -> io::Result<()> {
    for stretch in route.stretches() {
        if let Some(hop) = stretch.hops().next() {
            view.note(hop.number(), format!("F={}", stretch.size));
        }
    }
    if let Some((last, others)) = route.stretches().split_last() {
        for stretch in others {
            view.append(&stretch.route, &stretch.hops().collect::<Vec<_>>(), names)?;
        }
        view.finish(&last.route, names)?;
    }
    for limit in route.limits() {
        if let Some(text) = doubt(limit) {
            view.say(&text)?;
        }
    }
    match route.path_mtu() {
        Some(mtu) => view.say(&format!("path MTU {mtu}")),
        None => view.say("path MTU unknown"),
    }
}

/// What is not known of a limit.
fn doubt(limit: &Limit) -> Option<String> {
    let Limit { hop, mtu, less_than, from } = *limit;
    let less_than = less_than?;
    let why = match from {
        Some(router) => format!("{router} doesn't say how large they may be"),
        None => "they vanish without a word".to_owned(),
    };
    Some(format!("To hop {hop} packets of {mtu} octets pass, and of {less_than} don't: {why}."))
}
