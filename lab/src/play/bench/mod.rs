//! hopshot and its peers, side by side: the same simulated paths, in turn.

mod costs;
mod counts;
mod formats;
mod judge;
mod measure;
mod paths;
mod report;
mod rtt;
mod screen;
mod stats;
mod svg;
mod tap;
mod targets;
mod tools;
mod transport;

use crate::play::failure::Failure;
use clap::ValueEnum;
use hopshot_core::wire::AddressFamily;
use measure::Bench;
use std::io::{self, Write};
use std::path::{Path, PathBuf};
use std::{env, fs};

/// The paths of the main tables, unless others are asked for.
const PATHS: [&str; 12] = [
    "short",
    "wan",
    "long",
    "leap",
    "silent",
    "deadtarget",
    "slowhop",
    "unreach",
    "loop",
    "dnat",
    "partial",
    "altreply",
];
/// The paths in the picture, with what is special about each.
const PICTURED: [(&str, &str); 5] = [
    ("wan", "every hop answers"),
    ("long", "25 hops"),
    ("silent", "3 silent hops"),
    ("deadtarget", "silent target"),
    ("slowhop", "a router 150 ms late"),
];

/// What to play, with whom, and where the result goes.
#[derive(clap::Args)]
pub(crate) struct Arguments {
    /// How many times each tool traces each path; a slow one twice.
    #[arg(long, value_name = "N", default_value_t = 5, value_parser = clap::value_parser!(u32).range(1..=1000))]
    runs: u32,
    /// How many times where something is counted: whole lists under loss, false links. By TCP and
    /// UDP 100 at most.
    #[arg(long, value_name = "N", default_value_t = 200)]
    many: usize,
    /// How many times each tool is flooded.
    #[arg(long, value_name = "N", default_value_t = 20)]
    floods: usize,
    /// The paths of the main tables: scenarios of the lab (see `list`), or files.
    #[arg(long, value_name = "SCENARIO", num_args = 1..)]
    scenario: Vec<String>,
    /// Only these tools: a program, or a command as the table has it.
    #[arg(long, value_name = "TOOL", num_args = 1..)]
    tool: Vec<String>,
    /// Only these parts.
    #[arg(long, value_enum, value_name = "PART", num_args = 1..)]
    part: Vec<Part>,
    /// Trace in IPv6, with the tools that can.
    #[arg(short = '6', long)]
    ipv6: bool,
    /// The hopshot to measure; by default the one that was built beside this program.
    #[arg(long, value_name = "FILE")]
    hopshot: Option<PathBuf>,
    /// Write the report to a file, not to standard output.
    #[arg(long, value_name = "FILE")]
    out: Option<PathBuf>,
    /// Draw the main table.
    #[arg(long, value_name = "FILE")]
    svg: Option<PathBuf>,
}

/// A part of the report.
#[derive(Clone, Copy, Debug, PartialEq, Eq, clap::ValueEnum)]
enum Part {
    /// The main tables, a path each.
    Paths,
    /// Paths of 5 to 25 hops.
    Lengths,
    /// Ten traces in a row under Linux's own limits.
    Limits,
    /// A flood of forgeries.
    Hostile,
    /// Whole lists under loss.
    Loss,
    /// False links where load is balanced.
    Flows,
    /// What a person sees on a terminal, and when.
    Screen,
    /// The same target again and again.
    Again,
    /// Many targets at once.
    Many,
    /// What a trace costs the machine, to start and to wait.
    Costs,
    /// RTTs against a tap on the wire (tcpdump), on an idle machine and on a busy one.
    Rtt,
    /// TCP and UDP: time, waste, the port's state, false links, late answers, firewalls.
    Transport,
}

/// Measures, and writes the report.
pub(crate) fn run(arguments: &Arguments) -> Result<u8, Failure> {
    let family = if arguments.ipv6 {
        AddressFamily::V6
    } else {
        AddressFamily::V4
    };
    let hopshot = match &arguments.hopshot {
        Some(path) => path.clone(),
        None => super::demo::hopshot()?,
    };
    let is_asked = |part: &Part| arguments.part.is_empty() || arguments.part.contains(part);
    let of = |list, is_asked: bool| match is_asked {
        true => tools::installed(list, &arguments.tool, &hopshot),
        false => Vec::new(),
    };
    let is_icmp = |part: &&Part| **part != Part::Transport;
    let tools = of(
        tools::TOOLS,
        Part::value_variants().iter().filter(is_icmp).any(is_asked),
    );
    let by_port = of(transport::TOOLS, is_asked(&Part::Transport));
    let all = [&tools[..], &by_port].concat();
    if all.is_empty() {
        return Err(Failure::Lab("none of these tools is here".to_owned()));
    }
    let bench = Bench::new(family)?;
    let mut report = Report {
        file: arguments.out.clone(),
        text: String::new(),
    };
    report.add(&report::introduction(&all, family, &own_command()))?;
    for part in Part::value_variants().iter().filter(|part| is_asked(part)) {
        match part {
            Part::Paths => {
                report.add(PATHS_ABOUT)?;
                let mut traced = Vec::new();
                for name in names(&arguments.scenario) {
                    let path = counts::shipped(&bench, &name)?;
                    traced.push(paths::trace(&bench, &tools, path, arguments.runs)?);
                    report.add(
                        &traced
                            .last()
                            .map(|last| paths::report(&tools, last))
                            .unwrap_or_default(),
                    )?;
                }
                if let Some(file) = &arguments.svg {
                    write(file, &svg::draw(&panels(&tools, &traced)))?;
                }
            }
            Part::Lengths => {
                report.add(&paths::lengths(&bench, &tools, arguments.runs.div_ceil(3))?)?;
            }
            Part::Limits => report.add(&counts::limits(&bench, &tools)?)?,
            Part::Hostile => report.add(&counts::hostile(&bench, &tools, arguments.floods)?)?,
            Part::Loss => report.add(&counts::loss(&bench, &tools, arguments.many)?)?,
            Part::Flows => report.add(&counts::flows(&bench, &tools, arguments.many)?)?,
            Part::Screen => report.add(&screen::screen(&bench, &tools)?)?,
            Part::Again => report.add(&targets::again(&bench, &tools)?)?,
            Part::Many => report.add(&targets::many(&bench, &tools)?)?,
            Part::Costs => report.add(&costs::costs(&bench, &tools)?)?,
            Part::Rtt => report.add(&rtt::rtt(&bench, &tools)?)?,
            Part::Transport => {
                let times = arguments.many.clamp(1, transport::TIMES);
                report.add(&transport::transport(
                    &bench,
                    &by_port,
                    arguments.runs,
                    times,
                )?)?;
            }
        }
    }
    Ok(0)
}

/// The report, on standard output or in a file; either has each part as soon as it is measured.
struct Report {
    file: Option<PathBuf>,
    text: String,
}

impl Report {
    fn add(&mut self, part: &str) -> Result<(), Failure> {
        self.text += part;
        match &self.file {
            Some(file) => write(file, &self.text),
            None => io::stdout()
                .write_all(part.as_bytes())
                .map_err(|error| Failure::Lab(format!("standard output: {error}"))),
        }
    }
}

const PATHS_ABOUT: &str = "\
## Paths

Medians. The limit is the RTT of the slowest answer on the path: nobody can know the whole path sooner. 'Over the limit' is
the time from the start of the command to its end, less the limit: start-up included. 'Start-up' ends with the first probe;
'after the answer' starts when the target's answer to the probe that just reaches it is handed to the kernel. 'Needed' is the
length of the path times the probes per hop asked for; 'past the end' counts probes sent farther than the path goes. A hop is
right if it shows the address that answers there, or none where nobody does; wrong if it shows another, or the end of the path
too far away. CPU is user and system time, memory the greatest resident set (of the main process, read at its end in a round of
its own).

";

fn names(asked: &[String]) -> Vec<String> {
    if asked.is_empty() {
        PATHS.map(str::to_owned).to_vec()
    } else {
        asked.to_vec()
    }
}

/// This command without the places of files, which are nobody else's.
fn own_command() -> String {
    let mut words = vec!["hopshot-lab".to_owned()];
    let mut arguments = env::args().skip(1);
    while let Some(argument) = arguments.next() {
        if ["--out", "--svg", "--hopshot"].contains(&argument.as_str()) {
            arguments.next();
        } else {
            words.push(argument);
        }
    }
    words.join(" ")
}

/// The picture's data: the time over the limit of each tool, path by path.
fn panels(tools: &[tools::Installed], traced: &[paths::Traced]) -> Vec<svg::Panel> {
    let pictured = PICTURED.iter().filter_map(|(name, about)| {
        let traced = traced.iter().find(|traced| traced.path.name == *name)?;
        let bars = tools
            .iter()
            .zip(&traced.traces)
            .filter(|(tool, _)| tool.tool.pictured)
            .map(|(tool, traces)| svg::Bar {
                label: tool.tool.pictured_label(),
                ours: tool.tool.program == "hopshot",
                ratio: stats::median(traces.iter().map(judge::Trace::ratio)),
                right: stats::median(
                    traces
                        .iter()
                        .map(|trace| f64::from(u8::from(trace.is_right()))),
                ) == Some(1.0),
            });
        Some(svg::Panel {
            title: name,
            about,
            bars: bars.collect(),
        })
    });
    pictured.collect()
}

fn write(file: &Path, text: &str) -> Result<(), Failure> {
    fs::write(file, text).map_err(|error| Failure::Lab(format!("{}: {error}", file.display())))
}
