//! The command `hopshot`.
#![forbid(unsafe_code)]

mod args;
mod events;
mod extensions;
mod json;
mod lookup;
mod names;
mod survey;
mod targets;
mod text;

use args::Args;
use clap::Parser;
use events::Events;
use hopshot_linux::{Error, Hop, Rejected, SocketKind, Step, Trace, privilege};
use names::Names;
use serde::Serialize;
use std::io::{self, Write};
use std::process::ExitCode;
use text::View;

/// What ends the command.
enum Failure {
    Trace(Error),
    /// The list of hosts can't be read.
    Input(String, io::Error),
    /// The list of hosts is empty.
    NoHosts,
    Output(io::Error),
}

impl From<Error> for Failure {
    fn from(error: Error) -> Self {
        Self::Trace(error)
    }
}

impl From<io::Error> for Failure {
    fn from(error: io::Error) -> Self {
        Self::Output(error)
    }
}

fn main() -> ExitCode {
    if std::env::args_os().nth(1).is_some_and(|argument| argument == lookup::ARGUMENT) {
        return lookup::run();
    }
    let args = match Args::try_parse() {
        Ok(args) => args,
        Err(error) if error.use_stderr() => return complain(&one_line(&error.to_string())),
        Err(error) => error.exit(),
    };
    if let Err(text) = args.check() {
        return complain(&text);
    }
    let done = match args.single() {
        Some(host) => run(&args, host),
        None => survey::run(&args),
    };
    match done {
        Ok(true) => ExitCode::SUCCESS,
        Ok(false) => ExitCode::from(1),
        // Whoever reads the output has had enough, which is nobody's fault.
        Err(Failure::Output(error)) if error.kind() == io::ErrorKind::BrokenPipe => ExitCode::from(2),
        Err(Failure::Output(error)) => complain(&format!("can't write the output: {error}")),
        Err(Failure::Input(path, error)) => complain(&format!("can't read the hosts of '{path}': {error}")),
        Err(Failure::NoHosts) => complain("the list names no host; it wants one a line"),
        Err(Failure::Trace(error)) => complain(&error.to_string()),
    }
}

fn complain(text: &str) -> ExitCode {
    let _ = writeln!(io::stderr(), "hopshot: {text}");
    ExitCode::from(2)
}

/// What clap says of a mistake, without what it adds for those who have not read the help.
fn one_line(text: &str) -> String {
    let said: Vec<&str> = text.lines().take_while(|line| !line.is_empty()).map(str::trim).collect();
    let said = said.join(" ");
    format!("{} (hopshot --help lists all options)", said.strip_prefix("error: ").unwrap_or(&said))
}

/// Traces one host and shows it. Returns whether it answered.
fn run(args: &Args, host: &str) -> Result<bool, Failure> {
    let mut trace = args.traceroute(host).start()?;
    // What else there is to do is done while the probes are on their way; no answer is read before all of it.
    trace.launch()?;
    if !args.no_sandbox {
        // The helper gets nothing of it either.
        privilege::renounce();
    }
    // Without a helper to be had there are no names.
    let names = if args.numeric { Names::off() } else { Names::start().unwrap_or_else(|_| Names::off()) };
    let mut events = names.with_fd(|fd| Events::new(Some(fd))).unwrap_or_else(|| Events::new(None))?;
    let mut view = match args.json {
        true => None,
        false => Some(View::new(trace.target(), args)),
    };
    if let Some(view) = &mut view {
        view.header(host, trace.target(), args.max)?;
    }
    let notes = if args.no_sandbox { Vec::new() } else { trace.confine() };
    if args.verbose {
        explain([trace.socket()], &notes);
    }
    follow(&mut trace, &mut events, |trace| {
        names.hear();
        replying(trace.route().hops()).for_each(|address| names.ask(address));
        view.as_mut().map_or(Ok(()), |view| view.update(trace, &names))
    })?;
    let route = trace.finish();
    while let Some(left) = names.patience(replying(route.hops())) {
        if events.interrupted() || !events.wait(false, Some(left))? {
            break;
        }
        names.hear();
    }
    match &mut view {
        Some(view) => view.finish(&route, &names)?,
        None => print_json(&json::Document::new(&route, &names))?,
    }
    if args.verbose {
        explain_rejected(route.tally().forged.into(), route.rejected());
    }
    Ok(route.reached())
}

/// What nobody needs to know who doesn't ask.
fn explain(sockets: impl IntoIterator<Item = SocketKind>, notes: &[String]) {
    for socket in sockets {
        let kind = match socket {
            SocketKind::Raw => "raw",
            SocketKind::Ping => "ping",
        };
        let _ = writeln!(io::stderr(), "hopshot: {kind} sockets");
    }
    for note in notes {
        let _ = writeln!(io::stderr(), "hopshot: not confined in full: {note}");
    }
}

/// What arrived and was no answer.
fn explain_rejected(forged: u32, rejected: Rejected) {
    let Rejected { bad_checksum, malformed, not_ours, dropped } = rejected;
    let counts = [
        (forged, "forged"),
        (bad_checksum, "bad checksum"),
        (malformed, "malformed"),
        (not_ours, "not ours"),
        (dropped, "dropped by the kernel"),
    ];
    let said = counts.iter().filter(|(count, _)| *count > 0).map(|(count, what)| format!("{count} {what}"));
    let said: Vec<String> = said.collect();
    let said = if said.is_empty() { "nothing".to_owned() } else { said.join(", ") };
    let _ = writeln!(io::stderr(), "hopshot: rejected: {said}");
}

/// Drives the trace to its end, or to Ctrl-C, and shows it after every step.
fn follow(
    trace: &mut Trace,
    events: &mut Events,
    mut show: impl FnMut(&Trace) -> io::Result<()>,
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

fn replying<'r>(hops: impl Iterator<Item = Hop<'r>>) -> impl Iterator<Item = std::net::IpAddr> {
    hops.flat_map(|hop| hop.replies()).map(|reply| reply.from)
}

fn print_json(document: &impl Serialize) -> io::Result<()> {
    let mut line = serde_json::to_vec(document)?;
    line.push(b'\n');
    let mut out = io::stdout().lock();
    out.write_all(&line)?;
    out.flush()
}
