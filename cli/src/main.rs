//! The command `hopshot`.
#![forbid(unsafe_code)]

mod args;
mod ases;
mod events;
mod extensions;
mod format;
mod lookup;
mod mtu;
mod names;
mod paths;
mod session;
mod single;
mod survey;
mod targets;
mod text;
mod watch;

use args::Wanted;
use hopshot_linux::{Error, Hop};
use std::io::{self, Write};
use std::process::ExitCode;

/// What ends the command.
enum Failure {
    Trace(Error),
    /// The list of hosts can't be read.
    Input(String, io::Error),
    /// The file of AS numbers can't be used.
    Database(String, String),
    /// The list of hosts is empty.
    NoHosts,
    /// There is nothing to show a view on, and no end of it.
    NoTerminal,
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
    let args = match args::parse() {
        Ok(Wanted::Trace(args)) => args,
        Ok(Wanted::Text(text)) => return end(print(text.as_bytes()).map(|()| true).map_err(Failure::Output)),
        Err(text) => return complain(&text),
    };
    end(match args.single() {
        Some(host) if args.watch.watch => watch::run(&args, host),
        Some(host) if args.probing.mtu => mtu::run(&args, host),
        Some(host) if args.probing.paths => paths::run(&args, host),
        Some(host) => single::run(&args, host),
        None => survey::run(&args),
    })
}

fn end(done: Result<bool, Failure>) -> ExitCode {
    match done {
        Ok(true) => ExitCode::SUCCESS,
        Ok(false) => ExitCode::from(1),
        // Whoever reads the output has had enough: nobody's fault, and the status is that of programs which SIGPIPE ends.
        Err(Failure::Output(error)) if error.kind() == io::ErrorKind::BrokenPipe => ExitCode::from(141),
        Err(Failure::Output(error)) => complain(&format!("can't write the output: {error}")),
        Err(Failure::Input(path, error)) => complain(&format!("can't read the hosts of '{path}': {error}")),
        Err(Failure::Database(path, why)) => complain(&format!("can't read AS numbers from '{path}': {why}")),
        Err(Failure::NoHosts) => complain("the list names no host; it wants one a line"),
        Err(Failure::NoTerminal) => complain(
            "--watch needs a terminal as standard input and output; --count N gives a report of N rounds without one",
        ),
        Err(Failure::Trace(error)) => complain(&error.to_string()),
    }
}

fn complain(text: &str) -> ExitCode {
    let _ = writeln!(io::stderr(), "hopshot: {text}");
    ExitCode::from(2)
}

/// Who is on a route: those who answered, and the routers that it shares with other routes.
fn on_route(route: &hopshot_linux::Route) -> impl Iterator<Item = std::net::IpAddr> {
    route.shared().filter_map(|(_, router)| router).chain(replying(route.hops()))
}

fn replying<'r>(hops: impl Iterator<Item = Hop<'r>>) -> impl Iterator<Item = std::net::IpAddr> {
    hops.flat_map(|hop| hop.replies()).map(|reply| reply.from)
}

/// Writes to standard output, so that it is there at once.
fn print(text: &[u8]) -> io::Result<()> {
    let mut out = io::stdout().lock();
    out.write_all(text)?;
    out.flush()
}
