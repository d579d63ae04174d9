//! What a trace costs the machine: to start it, and to wait.

use super::counts::shipped;
use super::judge::Path;
use super::measure::{Bench, How};
use super::report::{code, number, table};
use super::stats::median;
use super::targets::exit;
use super::tools::Installed;
use crate::play::failure::Failure;
use hopshot_core::wire::AddressFamily;
use hopshot_lab::Scenario;
use hopshot_lab::log::Exit;
use std::fs;

/// How often each command is started.
const STARTS: usize = 21;
/// A path on which nobody ever answers.
const NOBODY: &str =
    "[target]\nsilent = true\n[[hop]]\nat = [1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11]\nsilent = true\n";
/// How long an answer is waited for, in seconds: what differs between the two is idle time.
const WAITS: [&str; 2] = ["1", "10"];

/// Both tables.
pub(super) fn costs(bench: &Bench, tools: &[Installed]) -> Result<String, Failure> {
    Ok(start(bench, tools)? + &wait(bench, tools)?)
}

/// The processor time of a trace that is over at once.
fn start(bench: &Bench, tools: &[Installed]) -> Result<String, Failure> {
    let path = shipped(bench, "short")?;
    let mut rows = Vec::new();
    for tool in tools {
        let Some(command) = tool.command(bench.family) else {
            continue;
        };
        eprintln!("costs: {} × {STARTS}", tool.tool.label);
        let exits: Vec<Exit> = (0..STARTS)
            .map(|_| run(bench, &path, &command, How::default()))
            .collect::<Result<_, _>>()?;
        let of = |value: fn(&Exit) -> u64| {
            number(median(exits.iter().map(|exit| value(exit) as f64 / 1e6)), 1)
        };
        rows.push(vec![
            code(tool),
            of(|exit| exit.cpu_ns),
            of(|exit| exit.ended_ns - exit.started_ns),
        ]);
    }
    let head = ["command", "CPU, ms", "time, ms"];
    Ok(format!(
        "## To start\n\nUser and system time of one trace of `short`, and its time from start to end; medians of {STARTS}. hopshot's \
         has the sandbox in it.\n\n{}",
        table(&head, &rows)
    ))
}

/// What hopshot does while nobody answers.
fn wait(bench: &Bench, tools: &[Installed]) -> Result<String, Failure> {
    let Some(tool) = tools.iter().find(|tool| tool.tool.program == "hopshot") else {
        return Ok(String::new());
    };
    let file = bench.file("nobody.toml");
    fs::write(&file, NOBODY)
        .map_err(|error| Failure::Lab(format!("{}: {error}", file.display())))?;
    let file = file.display().to_string();
    let scenario = Scenario::load(&file).map_err(|error| Failure::Lab(error.to_string()))?;
    let path = Path::new("nobody", file, scenario, bench.family);
    let target = match bench.family {
        AddressFamily::V4 => "{4}",
        AddressFamily::V6 => "{6}",
    };
    let mut rows = Vec::new();
    for kind in ["raw", "ping"] {
        for hosts in [1, 2] {
            let mut exits = Vec::new();
            for wait in WAITS {
                let command: Vec<String> = [
                    tool.program(),
                    "-n",
                    "-q1",
                    "--json",
                    "--socket",
                    kind,
                    "-w",
                    wait,
                ]
                .into_iter()
                .chain(std::iter::repeat_n(target, hosts))
                .map(str::to_owned)
                .collect();
                eprintln!("costs: {}", command[1..].join(" "));
                exits.push(run(
                    bench,
                    &path,
                    &command,
                    How {
                        options: &["--ping"],
                        ..How::default()
                    },
                )?);
            }
            let [short, long] = [exits[0], exits[1]];
            let seconds = |exit: &Exit| (exit.ended_ns - exit.started_ns) as f64 / 1e9;
            rows.push(vec![
                format!(
                    "`hopshot -n -q1 --json --socket {kind} -w SECONDS{}`",
                    " TARGET".repeat(hosts)
                ),
                number(Some(seconds(&short)), 1),
                number(Some(seconds(&long)), 1),
                number(Some((long.cpu_ns as f64 - short.cpu_ns as f64) / 1e6), 1),
                (i128::from(long.sleeps) - i128::from(short.sleeps)).to_string(),
            ]);
        }
    }
    let head = [
        "command",
        "`-w 1`: time, s",
        "`-w 10`: time, s",
        "CPU of the longer wait over the shorter, ms",
        "times it was woken more",
    ];
    Ok(format!(
        "## To wait\n\nOn a path where nobody answers: what waiting so much longer costs. It should cost nothing.\n\n{}",
        table(&head, &rows)
    ))
}

fn run(bench: &Bench, path: &Path, command: &[String], how: How) -> Result<Exit, Failure> {
    let (_, events) = bench.once(path, command, how)?;
    exit(&events)
        .map(|(_, exit)| exit)
        .ok_or_else(|| Failure::Lab(format!("{}: no end in the log", path.name)))
}
