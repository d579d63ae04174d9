//! Many targets at once, at a bounded rate, and the same target again and again.

use super::counts::shipped;
use super::formats::Document;
use super::measure::{Bench, How};
use super::report::{number, table};
use super::stats::{median, share};
use super::tools::Installed;
use crate::play::failure::Failure;
use hopshot_core::wire::AddressFamily;
use hopshot_lab::log::{Event, Exit};
use std::fs;
use std::path::Path;

/// How many targets are side by side in the scenario.
const TARGETS: u32 = 4096;
/// Their distance.
const HOPS: usize = 12;
/// Probes a second; scamper takes at most 10,000.
const RATES: [u32; 3] = [5_000, 10_000, 1_000_000];
/// How often the same target is traced in one process.
const AGAIN: usize = 11;

/// All targets of a network, by those tools that take a list.
pub(super) fn many(bench: &Bench, tools: &[Installed]) -> Result<String, Failure> {
    let path = shipped(bench, "many")?;
    let list = bench.file("targets");
    let address = |place: u32| match bench.family {
        AddressFamily::V4 => format!("10.200.{}.{}\n", place / 256, place % 256),
        AddressFamily::V6 => format!("2001:db8:ffff:1::{place:x}\n"),
    };
    let text: String = (0..TARGETS).map(address).collect();
    fs::write(&list, text).map_err(|error| Failure::Lab(format!("{}: {error}", list.display())))?;
    let mut rows = Vec::new();
    for rate in RATES {
        let options: [(&str, &[&str]); 4] = [
            ("hopshot", &["-q1"]),
            ("hopshot", &["-q1", "--no-learning"]),
            ("hopshot", &["--no-learning"]),
            ("scamper", &[]),
        ];
        for (program, options) in options {
            let Some(tool) = tools.iter().find(|tool| tool.tool.program == program) else {
                continue;
            };
            let Some((label, command)) = command(tool, rate, options, &list) else {
                continue;
            };
            eprintln!("many: {label}");
            let (output, events) = bench.once(
                &path,
                &command,
                How {
                    seed: 1,
                    memory: true,
                    ..How::default()
                },
            )?;
            let Some((probes, exit)) = exit(&events) else {
                continue;
            };
            let seconds = (exit.ended_ns - exit.started_ns) as f64 / 1e9;
            rows.push(vec![
                format!("`{label}`"),
                number(Some(f64::from(TARGETS) / seconds), 0),
                number(Some(probes as f64 / seconds), 0),
                number(Some(share(probes as f64, f64::from(TARGETS))), 2),
                format!("{} of {TARGETS}", whole(program, &output)),
                number(Some(exit.cpu_ns as f64 / 1e9), 2),
                number(Some(share(probes as f64, exit.cpu_ns as f64 / 1e9)), 0),
                format!("{:.0}", exit.peak_memory as f64 / f64::from(1 << 20)),
            ]);
        }
    }
    let head = [
        "command",
        "targets a second",
        "probes a second",
        "probes a target",
        "whole paths",
        "CPU, s",
        "probes a CPU second",
        "memory, MiB",
    ];
    Ok(format!(
        "## Many targets at once\n\n{TARGETS} hosts side by side, {HOPS} hops and 50 ms away. hopshot asks once at each hop with `-q1`, \
         else three times; scamper once. All share the first 11 hops, which hopshot then needs not probe for each; with \
         `--no-learning` it does. The lab that answers shares the machine.\n\n{}",
        table(&head, &rows)
    ))
}

fn command(
    tool: &Installed,
    rate: u32,
    options: &[&str],
    list: &Path,
) -> Option<(String, Vec<String>)> {
    let list = list.display().to_string();
    let rate = rate.to_string();
    let mut words: Vec<&str> = match tool.tool.program {
        "hopshot" => vec![
            "-n",
            "--json",
            "--at-once",
            "1000",
            "--rate",
            &rate,
            "--targets",
            &list,
        ],
        "scamper" if rate.len() <= 5 => {
            vec![
                "-w",
                "1000",
                "-c",
                "trace -P icmp-paris -q 1 -w 1",
                "-p",
                &rate,
                "-f",
                &list,
            ]
        }
        _ => return None,
    };
    words.extend(options);
    let label = format!("{} {}", tool.tool.program, words.join(" ")).replace(&list, "LIST");
    let program = tool.command(AddressFamily::V4)?.into_iter().next()?;
    Some((
        label,
        std::iter::once(program)
            .chain(words.into_iter().map(str::to_owned))
            .collect(),
    ))
}

/// How many paths are there from the first hop to the target.
fn whole(program: &str, output: &str) -> usize {
    if program == "hopshot" {
        let distances = output
            .lines()
            .filter_map(|line| serde_json::from_str::<Document>(line).ok());
        return distances
            .filter(|document| document.distance.map(usize::from) == Some(HOPS))
            .count();
    }
    let paths = output.split("traceroute from").skip(1);
    paths
        .filter(|path| {
            path.lines()
                .skip(1)
                .filter(|line| line.contains(" ms"))
                .count()
                == HOPS
        })
        .count()
}

/// How many probes were sent, and the command's end.
pub(super) fn exit(events: &[Event]) -> Option<(usize, Exit)> {
    match events.split_last() {
        Some((Event::Exit(exit), probes)) => Some((probes.len(), *exit)),
        _ => None,
    }
}

/// The same target several times in one process, one trace after the other: what the first has
/// learnt spares the others probes.
pub(super) fn again(bench: &Bench, tools: &[Installed]) -> Result<String, Failure> {
    let mut rows = Vec::new();
    if let Some(program) = tools
        .iter()
        .find(|tool| tool.tool.program == "hopshot")
        .and_then(|tool| tool.command(bench.family)?.into_iter().next())
    {
        for name in ["wan", "long", "silent"] {
            let path = shipped(bench, name)?;
            let target = match bench.family {
                AddressFamily::V4 => "{4}",
                AddressFamily::V6 => "{6}",
            };
            let words = [
                program.as_str(),
                "-n",
                "-q1",
                "--json",
                "--rate",
                "1000000",
                "--at-once",
                "1",
            ];
            let command = words
                .into_iter()
                .chain(std::iter::repeat_n(target, AGAIN))
                .map(str::to_owned)
                .collect::<Vec<_>>();
            eprintln!("again: {name}");
            let (output, _) = bench.once(&path, &command, How::default())?;
            let documents: Vec<Document> = output
                .lines()
                .filter_map(|line| serde_json::from_str(line).ok())
                .collect();
            let limit = path.limit(0).as_secs_f64() * 1e3;
            if let Some((first, rest)) = documents.split_first() {
                let needed = |document: &Document| document.distance.map_or(f64::NAN, f64::from);
                let time = |document: &Document| document.duration_ms / limit;
                let sent =
                    |document: &Document| share(document.probes_sent as f64, needed(document));
                rows.push(vec![
                    format!("`{name}`"),
                    number(Some(time(first)), 2),
                    number(Some(sent(first)), 2),
                    number(median(rest.iter().map(time)), 2),
                    number(median(rest.iter().map(sent)), 2),
                ]);
            }
        }
    }
    let head = [
        "path",
        "first: time / limit",
        "sent / needed",
        "again: time / limit",
        "sent / needed",
    ];
    Ok(format!(
        "## A target traced before\n\nThe same target {AGAIN} times in one process (`hopshot -n -q1 --at-once 1 TARGET TARGET ...`): \
         the first time, and the median of the others. Times are those of the trace, without start-up.\n\n{}",
        table(&head, &rows)
    ))
}
