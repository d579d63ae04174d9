//! One host: its route is shown while it becomes known.

use crate::args::Args;
use crate::failure::Failure;
use crate::format;
use crate::names::replying;
use crate::session::Session;
use hopshot_linux::{AddressFamily, SocketKind};

/// Traces the host and shows it. Returns whether it answered.
pub(crate) fn run(args: &Args, host: &str) -> Result<bool, Failure> {
    let plan = args.settings().trace(host);
    let (mut session, mut trace) = Session::start(args, host, &plan, |opened, address| {
        let mut trace = opened.start_at(address)?;
        // What else there is to do is done while the probes are on their way; no answer is read
        // before all of it. Where the kernel doesn't say when an answer came that would be late.
        if trace.socket() != SocketKind::Tcp {
            trace.launch()?;
        }
        Ok(trace)
    })?;
    let (mut format, family) = (format::of(args), AddressFamily::of(trace.target()));
    format
        .begin(host, trace.target(), trace.source(), trace.flow())
        .map_err(Failure::Output)?;
    format
        .update(&trace, &session.names)
        .map_err(Failure::Output)?;
    session.confine([trace.socket()], &trace.lacks(family), || trace.confine())?;
    session.follow(&mut trace, |trace, names, _| {
        while let Some(heard) = trace.take_reply() {
            format.reply(&heard, names)?;
        }
        replying(trace.route().hops()).for_each(|address| names.ask(address));
        format.update_names(names)?;
        format.update(trace, names)
    })?;
    // The filter of its answers is set after the first probes.
    session.say_lacks(&trace.lacks(family));
    let route = trace.finish();
    session.wait_for_names(
        || replying(route.hops()),
        |names| format.update_names(names),
    )?;
    format
        .finish(&route, &session.names)
        .and_then(|()| format.end())
        .map_err(Failure::Output)?;
    let summary = route.summary();
    session.explain(
        summary.reasons,
        route.tally().forged.into(),
        summary.rejected,
    );
    Ok(route.reached())
}
