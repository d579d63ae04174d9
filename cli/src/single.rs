//! One host: its route is shown while it becomes known.

use crate::args::Args;
use crate::ases::Ases;
use crate::events::Events;
use crate::names::replying;
use crate::session::Session;
use crate::{Failure, format};
use hopshot_linux::{Step, Trace};
use std::io;

/// Traces the host and shows it. Returns whether it answered.
pub(crate) fn run(args: &Args, host: &str) -> Result<bool, Failure> {
    let mut trace = args.traceroute(host).start()?;
    let ases = Ases::open(args)?;
    // What else there is to do is done while the probes are on their way; no answer is read before all of it.
    trace.launch()?;
    let mut session = Session::new(args, ases, false)?;
    let mut format = format::of(args);
    format.begin(host, trace.target(), trace.source()).map_err(Failure::Output)?;
    format.update(&trace, &session.names).map_err(Failure::Output)?;
    session.confine([trace.socket()], || trace.confine());
    let Session { names, events, .. } = &mut session;
    follow(&mut trace, events, |trace| {
        names.hear();
        while let Some(heard) = trace.take_reply() {
            format.hear(&heard, names)?;
        }
        replying(trace.route().hops()).for_each(|address| names.ask(address));
        format.learn(names)?;
        format.update(trace, names)
    })?;
    let route = trace.finish();
    while let Some(left) = names.patience(replying(route.hops())) {
        if events.interrupted() || !events.wait(false, Some(left)).map_err(Failure::events)? {
            break;
        }
        names.hear();
        format.learn(names).map_err(Failure::Output)?;
    }
    format.finish(&route, names).and_then(|()| format.end()).map_err(Failure::Output)?;
    session.explain_rejected(route.tally().forged.into(), route.rejected());
    Ok(route.reached())
}

/// Drives the trace to its end, or to Ctrl-C, and shows it after every step.
fn follow(
    trace: &mut Trace,
    events: &mut Events,
    mut show: impl FnMut(&mut Trace) -> io::Result<()>,
) -> Result<(), Failure> {
    loop {
        let step = trace.advance(Some(events.fd()))?;
        if step == Step::Woken {
            events.clear().map_err(Failure::events)?;
        }
        if events.interrupted() {
            trace.interrupt();
        }
        show(trace).map_err(Failure::Output)?;
        if step == Step::Done {
            return Ok(());
        }
    }
}
