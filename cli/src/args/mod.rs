//! The command line.

mod output;
mod probing;
mod values;

pub(crate) use output::Output;
pub(crate) use probing::Probing;

use clap::{Command, CommandFactory, FromArgMatches, Parser};
use hopshot_linux::{Survey, Traceroute};
use std::time::Duration;

const EXAMPLES: &str = "\
Examples:
  hopshot example.com              the path to a host
  hopshot -n -q 1 2001:db8::1      addresses only, one probe at each hop
  hopshot -f 3 -m 12 example.com   hops 3 to 12 only
  hopshot --json example.com       a JSON document on standard output
  hopshot --json --targets FILE    the hosts of a file, a document a line

Marks:
  *         no answer             !X        forbidden by an administrator
  !H        host unreachable      !F-1400   too big for a link's MTU, 1400
  !N        network unreachable   !S        source route failed, out of scope
  !P        protocol unreachable  !<13>     any other code of unreachable
  ! REASON  the probe could not be sent
  rate limited?                   the hop answered, and then stopped

Exit status: 0 the target answered (of several hosts, all), 1 it did not,
2 hopshot could not run.";

/// The path to a host in one round trip: probes to all hops leave at once.
#[derive(Debug, Parser)]
#[command(name = "hopshot", version, after_help = EXAMPLES, max_term_width = 100)]
pub(crate) struct Args {
    /// The host to trace, a name or an address; several are traced at once
    #[arg(value_name = "HOST", required_unless_present = "targets")]
    pub(crate) hosts: Vec<String>,

    /// Trace the hosts of a file, one a line, as well; '-' is standard input
    #[arg(long, value_name = "FILE")]
    pub(crate) targets: Option<String>,

    /// How many of several hosts are traced at a time, 1 to 10000
    #[arg(long, value_name = "N", default_value_t = Survey::AT_ONCE, value_parser = values::at_once)]
    pub(crate) at_once: usize,

    #[command(flatten)]
    pub(crate) probing: Probing,

    #[command(flatten)]
    pub(crate) output: Output,

    /// Keep the rights to open files, sockets and programs while the trace runs: for debugging
    #[arg(long)]
    pub(crate) no_sandbox: bool,
}

/// The command as it is parsed.
fn command() -> Command {
    // A negative number is a value that is out of range, not an option that isn't known.
    Args::command().mut_args(|arg| match arg.is_positional() || !arg.get_action().takes_values() {
        true => arg,
        false => arg.allow_negative_numbers(true),
    })
}

/// The arguments of this process.
pub(crate) fn parse() -> Result<Args, clap::Error> {
    Args::from_arg_matches(&command().try_get_matches()?)
}

impl Args {
    /// What no single argument can be blamed for.
    pub(crate) fn check(&self) -> Result<(), String> {
        self.probing.check()
    }

    /// Whether one host is traced, and no more.
    pub(crate) fn single(&self) -> Option<&str> {
        match (self.hosts.as_slice(), &self.targets) {
            ([host], None) => Some(host),
            _ => None,
        }
    }

    /// A trace of the only host: its probes are as far apart as `--rate` says.
    pub(crate) fn traceroute(&self, host: &str) -> Traceroute {
        let traceroute = self.probing.traceroute(host);
        match self.probing.rate {
            Some(rate) => traceroute.interval(Duration::from_secs(1) / rate),
            None => traceroute,
        }
    }

    /// The survey that sends everything else, at `--rate` in all.
    pub(crate) fn survey(&self) -> Result<Survey, hopshot_linux::Error> {
        Survey::new(&self.probing.traceroute(""), self.probing.rate.unwrap_or(Survey::DEFAULT_RATE), self.at_once)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_command_line_is_consistent() {
        command().debug_assert();
    }
}
