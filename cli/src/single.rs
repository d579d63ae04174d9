//! One host: its route is shown while it becomes known.

use crate::args::Args;
use crate::ases::Ases;
use crate::events::Events;
use crate::session::Session;
use crate::{Failure, format, replying};
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
    format.begin(host, trace.target(), trace.source())?;
    format.update(&trace, &session.names)?;
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
        if events.interrupted() || !events.wait(false, Some(left))? {
            break;
        }
        names.hear();
        format.learn(names)?;
    }
    format.finish(&route, names)?;
    format.end()?;
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
            events.clear()?;
        }
        if events.interrupted() {
            trace.interrupt();
        }
        show(trace)?;
        if step == Step::Done {
            return Ok(());
        }
    }
}
