//! The command `hopshot`.
#![forbid(unsafe_code)]

mod args;
mod events;
mod extensions;
mod json;
mod lookup;
mod names;
mod session;
mod single;
mod survey;
mod targets;
mod text;

use hopshot_linux::{Error, Hop};
use serde::Serialize;
use std::io::{self, Write};
use std::process::ExitCode;

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
    let args = match args::parse() {
        Ok(args) => args,
        Err(error) if error.use_stderr() => return complain(&one_line(&error.to_string())),
        Err(help) => return end(help.print().map(|()| true).map_err(Failure::Output)),
    };
    if let Err(text) = args.check() {
        return complain(&text);
    }
    end(match args.single() {
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
