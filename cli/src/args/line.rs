//! The options, and what may stand beside what.

use super::about::About;
use super::asn::Asn;
use super::compare;
use super::output::{Format, Output};
use super::probing::Probes;
use super::sides::Sides;
use super::values;
use super::watch::Watching;
use clap::error::{ContextKind, ContextValue, ErrorKind};
use clap::parser::ValueSource;
use clap::{Command, CommandFactory, FromArgMatches, Parser, ValueHint};
use hopshot_linux::compare::{Comparing, ComparingPaths};
use hopshot_linux::paths::PathSearch;
use hopshot_linux::survey::Survey;
use hopshot_linux::{Error, Plan, ProbeProtocol, Settings};
use std::ffi::OsString;
use std::time::Duration;

/// The path to a host in one to two round trips: probes to all hops leave at once.
#[derive(Debug, Parser)]
#[command(
    name = "hopshot",
    version,
    disable_help_flag = true,
    disable_version_flag = true,
    args_override_self = true
)]
#[command(override_usage = "hopshot [OPTIONS] HOST...", max_term_width = 100)]
#[command(
    help_template = "{about}\n\n{usage-heading} {usage}\n\n{before-help}{all-args}{after-help}"
)]
pub(crate) struct Args {
    /// The host to trace, a name or an address; several are traced at once
    #[arg(value_name = "HOST", value_hint = ValueHint::Hostname, value_parser = values::host)]
    #[arg(required_unless_present_any = ["targets", "help", "long_help", "generate", "print_config"])]
    pub(crate) hosts: Vec<String>,

    /// Hosts from a file, one a line; '-' is standard input
    #[arg(long, value_name = "FILE", value_hint = ValueHint::FilePath)]
    targets: Vec<String>,

    /// How many of several hosts are traced at a time, 1 to 10000
    #[arg(long, value_name = "N", default_value_t = Survey::AT_ONCE, value_parser = values::number(1..=10_000_usize, "hosts"))]
    pub(crate) at_once: usize,

    /// How long several hosts wait while nothing can be sent (no route, a firewall) or looked up;
    /// 0 to 86400, 0 gives them up
    #[arg(long, value_name = "SECONDS", default_value_t = 60, value_parser = values::number(0..=86_400_u32, "seconds"))]
    pub(crate) outage: u32,

    #[command(flatten)]
    pub(crate) probing: Probes,

    #[command(flatten)]
    pub(crate) watch: Watching,

    #[command(flatten)]
    pub(crate) output: Output,

    #[command(flatten)]
    pub(crate) asn: Asn,

    /// Keep the rights to open files, sockets and programs while the trace runs: for debugging
    #[arg(long, help_heading = "Other")]
    pub(crate) no_sandbox: bool,

    /// Don't read the configuration file
    #[arg(long, help_heading = "Other")]
    pub(super) no_config: bool,

    /// Print the configuration file, and which of its options have an effect with the other
    /// arguments
    #[arg(long, help_heading = "Other")]
    pub(super) print_config: bool,

    #[command(flatten)]
    pub(super) about: About,
}

/// The command with all that help, completions and complaints need.
pub(super) fn command() -> Command {
    Args::command().mut_args(|arg| {
        if arg.is_positional() || !arg.get_action().takes_values() {
            return arg;
        }
        // Shells offer files where nothing is said of a value.
        let is_told =
            arg.get_value_hint() != ValueHint::Unknown || !arg.get_possible_values().is_empty();
        let arg = if is_told {
            arg
        } else {
            arg.value_hint(ValueHint::Other)
        };
        // A negative number is a value that is out of range, not an option that isn't known.
        arg.allow_negative_numbers(true)
    })
}

/// An option that has no effect without another: its id, itself, what it goes with, and whether
/// that is there.
type Dependent = (&'static str, &'static str, &'static str, fn(&Args) -> bool);

const DEPENDENT: [Dependent; 6] = [
    ("every", "--every", "--watch", |args| args.watch.watch),
    ("count", "--count", "--watch", |args| args.watch.watch),
    ("confidence", "--confidence", "--paths", |args| {
        args.probing.paths
    }),
    ("at_once", "--at-once", "several hosts", |args| {
        args.single().is_none()
    }),
    ("outage", "--outage", "several hosts", |args| {
        args.single().is_none()
    }),
    (
        "extensions",
        "-e",
        "a single path as text, json, json-stream, csv, atlas or markdown",
        Args::has_extensions,
    ),
];

/// The options of a command line, and which of [`DEPENDENT`] are among them.
pub(super) type Read = (Args, [bool; DEPENDENT.len()]);

/// Reads a command line. Every trace waits for it: so the values are taken and not
/// copied, and what only a complaint needs is made when there is one.
pub(super) fn read(line: &[OsString]) -> clap::error::Result<Read> {
    let parsed = Args::command().try_get_matches_from(line);
    let mut matches = parsed.or_else(|_| command().try_get_matches_from(line))?;
    let dependent =
        DEPENDENT.map(|(id, ..)| matches.value_source(id) == Some(ValueSource::CommandLine));
    Ok((Args::from_arg_matches_mut(&mut matches)?, dependent))
}

/// Returns clap's words on a mistake, without what it adds for those who have not read the help.
pub(super) fn one_line(error: &clap::Error) -> String {
    let text = error.to_string();
    let said: Vec<&str> = text
        .lines()
        .take_while(|line| !line.is_empty())
        .map(str::trim)
        .collect();
    let said = said.join(" ");
    let said = said.strip_prefix("error: ").unwrap_or(&said);
    if error.kind() == ErrorKind::UnknownArgument
        && let Some(ContextValue::String(option)) = error.get(ContextKind::InvalidArg)
        && let Some(why) = of_traceroute(option)
    {
        return format!("unexpected argument '{option}': {why}");
    }
    match error.get(ContextKind::SuggestedArg) {
        // Whoever mistypes an option must not be led to give up a safety measure.
        Some(ContextValue::String(meant)) if meant != "--no-sandbox" => {
            format!("{said}; did you mean '{meant}'?")
        }
        _ => said.to_owned(),
    }
}

/// Explains options of other traceroutes that hopshot doesn't have.
fn of_traceroute(option: &str) -> Option<&'static str> {
    Some(match option {
        "-D" | "-P" | "-M" | "--sctp" => {
            "hopshot sends ICMP, TCP (--tcp) and UDP (--udp), and no other protocol"
        }
        "-N" => "hopshot probes many hops at once as it is; leave it out",
        "-g" => "hopshot follows the routes of this machine; ip route changes them",
        "-r" => {
            "a report is --watch --count 10; hopshot follows the routes of this machine, and ip route changes them"
        }
        "-c" | "--report" | "--report-cycles" => "a report of so many rounds is --watch --count 10",
        "-a" | "-z" | "--aslookup" => "the AS of each address is -A",
        _ => return None,
    })
}

impl Args {
    /// Refuses options that have no effect beside the others. In the file of options they may stand
    /// for other days; on the command line they are a mistake.
    pub(super) fn check_beside(&self, dependent: [bool; DEPENDENT.len()]) -> Result<(), String> {
        let stand = DEPENDENT
            .into_iter()
            .zip(dependent)
            .filter(|(_, stands)| *stands);
        match stand
            .map(|(option, _)| option)
            .find(|(.., is_whole)| !is_whole(self))
        {
            Some((_, option, whole, _)) => Err(format!("{option} goes with {whole} only")),
            None => Ok(()),
        }
    }

    /// Checks what no single argument can be blamed for.
    pub(super) fn check(&self) -> Result<(), String> {
        // Of two of any other option the latter counts, but a list of hosts that nobody traces must
        // not go unnoticed.
        if self.targets.len() > 1 {
            return Err(
                "--targets names one list: join them, and give '-' for standard input".to_owned(),
            );
        }
        if self.output.format() == Format::Svg && self.single().is_none() {
            return Err(
                "--format svg draws the path to one host: trace one, or take --format dot"
                    .to_owned(),
            );
        }
        let compares = self.probing.compare.as_ref();
        if let Some(sides) = compares {
            compare::check(sides, &self.probing, &self.hosts)?;
        }
        let ways = [
            (
                compares.is_some(),
                "--compare",
                &[Format::Text, Format::Json][..],
                "text and json",
            ),
            (
                self.watch.watch,
                "--watch",
                &[Format::Text, Format::Json],
                "text and json",
            ),
            (
                self.probing.mtu,
                "--mtu",
                &[Format::Text, Format::Json],
                "text and json",
            ),
            (
                self.probing.paths,
                "--paths",
                &[Format::Text, Format::Json, Format::Dot],
                "text, json and dot",
            ),
        ];
        for (_, option, formats, named) in ways.into_iter().filter(|(is_wanted, ..)| *is_wanted) {
            if self.single().is_none() {
                return Err(format!("{option} is for one host: give one"));
            }
            if !formats.contains(&self.output.format()) {
                return Err(format!("{option} supports the formats {named} only"));
            }
        }
        if self.probing.protocol.source_port.is_some() && self.single().is_none() {
            return Err("--source-port is for one host: give one".to_owned());
        }
        self.probing.check()
    }

    /// Whether what routers append has a place in the output.
    fn has_extensions(&self) -> bool {
        let is_compared = self.probing.compare.is_some();
        let is_single_path = !self.watch.watch && !self.probing.paths && !is_compared;
        is_single_path && !matches!(self.output.format(), Format::Svg | Format::Dot)
    }

    /// Whether a text is wanted in place of a trace.
    pub(super) fn is_about(&self) -> bool {
        self.about.page().is_some()
    }

    /// Whether it has options that a file may not have. A file that the user has forgotten, or that
    /// another program wrote, must not take the sandbox away. No other option takes any safety
    /// away: the rest shapes probes and output, within the same bounds.
    pub(super) fn is_for_command_line(&self) -> bool {
        self.is_about()
            || self.no_config
            || self.print_config
            || self.no_sandbox
            || !self.targets.is_empty()
    }

    /// Whether one host is traced, and no more.
    pub(crate) fn single(&self) -> Option<&str> {
        match (self.hosts.as_slice(), self.targets.as_slice()) {
            ([host], []) => Some(host),
            _ => None,
        }
    }

    /// The file with hosts, if there is one.
    pub(crate) fn list(&self) -> Option<&str> {
        self.targets.first().map(String::as_str)
    }

    /// The settings of a trace of the only host: its probes are as far apart as `--rate` says.
    pub(crate) fn settings(&self) -> Settings {
        let settings = self.probing.settings();
        match self.probing.rate {
            Some(rate) => settings.interval(Duration::from_secs(1) / rate),
            None => settings,
        }
    }

    /// The flow that was asked for, or one that a random number stands for.
    pub(crate) fn flow_of(&self, random: u16) -> u16 {
        let given = self.probing.flow.or(self.probing.protocol.source_port);
        let protocol = self.probing.protocol.chosen();
        given.unwrap_or(protocol.flow(random % 65_534 + 1))
    }

    /// The settings of a round of a watch: without retries, since the next one comes soon, and all
    /// rounds of one flow and ident. The ident is this one unless another was asked for.
    pub(crate) fn round(&self, flow: u16, ident: u16) -> Settings {
        self.settings()
            .retries(0)
            .flow(flow)
            .ident(self.probing.ident.unwrap_or(ident))
    }

    /// All paths to the only host, at `--rate` in all.
    pub(crate) fn all_paths(&self, host: &str) -> Plan<PathSearch> {
        let paths = self.probing.settings().paths(host);
        paths
            .confidence(self.probing.confidence / 100.0)
            .rate(self.probing.rate.unwrap_or(Survey::DEFAULT_RATE))
    }

    /// The comparison of these sides of the only host, at `--rate` in all.
    pub(crate) fn comparison(&self, host: &str, sides: &Sides) -> Plan<Comparing> {
        let settings = self.probing.settings();
        let settings = match self.probing.rate {
            Some(rate) => settings.interval(Duration::from_secs(1) * sides.count() / rate),
            None => settings,
        };
        settings.compare(host, sides.with(self.probing.protocol.tcp_options()))
    }

    /// All paths of these sides of the only host, at `--rate` in all.
    pub(crate) fn comparison_of_paths(&self, host: &str, sides: &Sides) -> Plan<ComparingPaths> {
        let sides = sides.with(self.probing.protocol.tcp_options());
        let paths = self.probing.settings().compare_paths(host, sides);
        paths
            .confidence(self.probing.confidence / 100.0)
            .rate(self.probing.rate.unwrap_or(Survey::DEFAULT_RATE))
    }

    /// The survey that sends everything else, at `--rate` in all.
    pub(crate) fn survey(&self) -> Result<Survey, Error> {
        self.survey_of(None)
    }

    /// The same for traces that all have one flow, if one is given: of TCP and UDP its port is held,
    /// and it is checked whether a proxy answers.
    pub(crate) fn survey_of(&self, flow: Option<u16>) -> Result<Survey, Error> {
        let rate = self.probing.rate.unwrap_or(Survey::DEFAULT_RATE);
        let protocol = self.probing.protocol.chosen();
        let port = flow.filter(|_| protocol != ProbeProtocol::Icmp);
        let settings = self.probing.settings();
        let open = |settings: &Settings| Survey::new(settings, rate, self.at_once);
        let mut survey = match port {
            None => open(&settings)?,
            Some(port) => {
                let settings = settings.check_targets(!self.probing.protocol.no_checks);
                match open(&settings.clone().source_port(port)) {
                    // TCP sockets have a port each.
                    Err(Error::Refused { .. } | Error::ManyPorts)
                        if self.probing.protocol.source_port.is_none() && protocol.is_tcp() =>
                    {
                        open(&settings)?
                    }
                    opened => opened?,
                }
            }
        };
        survey.outage_limit(Duration::from_secs(self.outage.into()));
        Ok(survey)
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
