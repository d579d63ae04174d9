//! Paths traced several times by every tool: the main tables, and the one over many lengths.

use super::judge::{Path, Trace};
use super::measure::{Bench, How};
use super::report::{HEAD, code, number, percent, row, table};
use super::stats::mean;
use super::tools::Installed;
use crate::play::failure::Failure;
use core::fmt::Write;
use core::ops::RangeInclusive;
use core::time::Duration;
use hopshot_lab::Scenario;
use std::fs;

/// A tool that takes longer than this is not asked more than [`SLOW_RUNS`] times.
const SLOW: Duration = Duration::from_secs(3);
const SLOW_RUNS: u32 = 2;

/// What each tool made of a path.
pub(super) struct Traced {
    pub(super) path: Path,
    /// By tool, in their order; empty where the tool doesn't know the family.
    pub(super) traces: Vec<Vec<Trace>>,
    memory: Vec<u64>,
}

/// Lets the tools trace a path in turn, `runs` times. One round before that warms up and looks for
/// the memory.
pub(super) fn trace(
    bench: &Bench,
    tools: &[Installed],
    path: Path,
    runs: u32,
) -> Result<Traced, Failure> {
    play(bench, tools, path, How::default(), 0..=runs)
}

/// Plays these rounds; round 0 is only for the memory.
pub(super) fn play(
    bench: &Bench,
    tools: &[Installed],
    path: Path,
    how: How,
    rounds: RangeInclusive<u32>,
) -> Result<Traced, Failure> {
    let runs = *rounds.end();
    let mut traced = Traced {
        path,
        traces: vec![Vec::new(); tools.len()],
        memory: vec![0; tools.len()],
    };
    let mut wanted = vec![runs; tools.len()];
    for run in rounds {
        eprintln!("{}: round {run} of {runs}", traced.path.name);
        for (index, tool) in tools.iter().enumerate() {
            if run > wanted[index] {
                continue;
            }
            let how = How {
                seed: u64::from(run),
                memory: run == 0,
                ..how
            };
            let Some(trace) = bench.trace(&traced.path, tool, how)? else {
                continue;
            };
            if trace.wall > SLOW {
                wanted[index] = runs.min(SLOW_RUNS);
            }
            if run > 0 {
                traced.traces[index].push(trace);
            } else {
                traced.memory[index] = trace.memory;
            }
        }
    }
    Ok(traced)
}

/// The table of a path.
pub(super) fn report(tools: &[Installed], traced: &Traced) -> String {
    let known = tools
        .iter()
        .zip(&traced.traces)
        .zip(&traced.memory)
        .filter(|((_, traces), _)| !traces.is_empty());
    let rows: Vec<Vec<String>> = known
        .clone()
        .map(|((tool, traces), memory)| row(tool, traces, *memory))
        .collect();
    let Some(((_, first), _)) = known.clone().next() else {
        return String::new();
    };
    let limit = first[0].limit.as_secs_f64() * 1e3;
    format!(
        "### {}\n\n{}. Limit: {limit:.1} ms.\n\n{}",
        traced.path.name,
        traced.path.about,
        table(&HEAD, &rows)
    )
}

/// Paths of every length from `5` to `25`, RTT growing with the hop: the means.
pub(super) fn lengths(bench: &Bench, tools: &[Installed], runs: u32) -> Result<String, Failure> {
    const RTT_MS_PER_HOP: f64 = 10.0;
    let mut all = vec![Vec::new(); tools.len()];
    for hops in 5..=25_u8 {
        let rtt_ms = f64::from(hops) * RTT_MS_PER_HOP;
        let file = bench.file(&format!("plain-{hops}.toml"));
        fs::write(&file, format!("hops = {hops}\nrtt_ms = {rtt_ms}\n"))
            .map_err(|error| Failure::Lab(format!("{}: {error}", file.display())))?;
        let scenario = Scenario::plain(hops, rtt_ms);
        let path = Path::new(
            &format!("{hops} hops"),
            file.display().to_string(),
            scenario,
            bench.family,
        );
        for (all, traces) in all
            .iter_mut()
            .zip(play(bench, tools, path, How::default(), 1..=runs)?.traces)
        {
            all.extend(traces);
        }
    }
    let mut text = format!(
        "## Lengths of 5 to 25 hops, each as likely\n\nEvery hop answers, {RTT_MS_PER_HOP:.0} ms for each; {runs} traces of \
         each length. Waste: probes past the target over probes needed, in totals.\n\n"
    );
    let rows: Vec<Vec<String>> = tools
        .iter()
        .zip(&all)
        .filter(|(_, traces)| !traces.is_empty())
        .map(|(tool, traces)| {
            let sum = |value: fn(&Trace) -> usize| traces.iter().map(value).sum::<usize>() as f64;
            let needed = sum(|trace| trace.hops) * f64::from(tool.tool.attempts);
            vec![
                code(tool),
                number(mean(traces.iter().map(Trace::ratio)), 2),
                number(traces.iter().map(Trace::ratio).max_by(f64::total_cmp), 2),
                number(Some(sum(|trace| trace.sent) / needed), 2),
                percent(sum(|trace| trace.past), needed),
                format!(
                    "{} of {}",
                    traces.iter().filter(|trace| trace.is_right()).count(),
                    traces.len()
                ),
            ]
        })
        .collect();
    let head = [
        "command",
        "time / RTT, mean",
        "worst",
        "sent / needed",
        "waste",
        "routes right",
    ];
    let _ = write!(text, "{}", table(&head, &rows));
    Ok(text)
}
