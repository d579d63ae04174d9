//! The command `hopshot`.
#![forbid(unsafe_code)]

mod args;
mod ases;
mod compare;
mod console;
mod events;
mod extensions;
mod failure;
mod format;
mod inside;
mod lookup;
mod mtu;
mod names;
mod on_the_way;
mod paths;
mod reading;
mod session;
mod single;
mod survey;
mod targets;
mod text;
mod units;
mod watch;

use args::{Args, Wanted};
use failure::Failure;
use hopshot_linux::privilege;
use std::io::{self, IsTerminal};
use std::process::ExitCode;

fn main() -> ExitCode {
    if std::env::args_os()
        .nth(1)
        .is_some_and(|argument| argument == lookup::ARGUMENT)
    {
        return lookup::run();
    }
    let args = match args::parse() {
        Ok(Wanted::Trace(args)) => args,
        Ok(Wanted::Text(text)) => {
            return end(console::print(text.as_bytes())
                .map(|()| true)
                .map_err(Failure::Output));
        }
        Ok(Wanted::Usage(text)) => {
            console::draw(&text);
            return ExitCode::from(2);
        }
        Err(text) => return complain(&text),
    };
    end(trace(&args))
}

/// Traces what the arguments say. Returns whether all hosts answered.
fn trace(args: &Args) -> Result<bool, Failure> {
    // Before there are sockets that another process of this user could take.
    privilege::conceal()?;
    match args.single() {
        Some(host) if args.watch.watch => watch::run(args, host),
        Some(host) if args.probing.compare.is_some() => compare::run(args, host),
        Some(host) if args.probing.mtu => mtu::run(args, host),
        Some(host) if args.probing.paths => paths::run(args, host),
        Some(host) => single::run(args, host),
        None => survey::run(args),
    }
}

fn end(done: Result<bool, Failure>) -> ExitCode {
    match done {
        Ok(true) => ExitCode::SUCCESS,
        Ok(false) => ExitCode::from(1),
        // Whoever reads the output has had enough: nobody's fault, and the status is that of
        // programs which SIGPIPE ends.
        Err(Failure::Output(error)) if error.kind() == io::ErrorKind::BrokenPipe => {
            ExitCode::from(141)
        }
        // The user wants an end, and nobody takes the output: an end by that signal.
        Err(Failure::Output(error)) if error.kind() == io::ErrorKind::TimedOut => {
            ExitCode::from(130)
        }
        Err(Failure::Output(error)) => complain(&format!("can't write the output: {error}")),
        // As of a program that the signal ends.
        Err(Failure::Interrupted) => ExitCode::from(130),
        Err(Failure::Input(path, error)) => {
            complain(&format!("can't read the hosts of {path}: {error}"))
        }
        Err(Failure::Database(path, why)) => {
            complain(&format!("can't read AS numbers from '{path}': {why}"))
        }
        Err(Failure::System(what, why, remedy)) => complain(&format!("{what}: {why}; {remedy}")),
        Err(Failure::NoHosts) => complain("the list has no host: expected one per line"),
        Err(Failure::NoTerminal) => complain(no_terminal()),
        Err(Failure::Trace(error)) => complain(&error.to_string()),
    }
}

/// Why there can be no view.
fn no_terminal() -> &'static str {
    if io::stdin().is_terminal() && io::stdout().is_terminal() {
        return "--watch can't draw on this terminal: TERM says that it is dumb; set TERM as it is, such as TERM=xterm, \
                or let --count N give a report of N rounds";
    }
    "--watch needs a terminal as standard input and output; --count N gives a report of N rounds without one"
}

fn complain(text: &str) -> ExitCode {
    console::say(text);
    ExitCode::from(2)
}
