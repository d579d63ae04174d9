//! How often something happens: whole routes under loss, false links, hops under limits, and what a
//! flood does.

use super::judge::{Path, Trace};
use super::measure::{Bench, How, each};
use super::report::{code, number, percent, statuses, table};
use super::stats::median;
use super::tools::Installed;
use crate::play::failure::Failure;
use hopshot_lab::Scenario;

/// How many traces run at a time where only the route counts.
pub(super) const AT_A_TIME: usize = 4;
/// A tool that takes longer is asked fewer times, so that it costs no more than about this, in
/// seconds.
const PATIENCE: f64 = 30.0;
/// How many traces follow each other under limits.
const ROW: u16 = 10;

/// A scenario that comes with the lab.
pub(super) fn shipped(bench: &Bench, name: &str) -> Result<Path, Failure> {
    let scenario = Scenario::load(name).map_err(|error| Failure::Lab(error.to_string()))?;
    Ok(Path::new(name, name.to_owned(), scenario, bench.family))
}

/// As many traces as wanted, or as there is time for, each with a seed of its own.
fn many(
    bench: &Bench,
    path: &Path,
    tool: &Installed,
    wanted: usize,
    at_a_time: usize,
) -> Result<Vec<Trace>, Failure> {
    let one = |number: usize| {
        bench.trace(
            path,
            tool,
            How {
                seed: number as u64 + 1,
                ..How::default()
            },
        )
    };
    let Some(first) = one(0)? else {
        return Ok(Vec::new());
    };
    let affordable = PATIENCE * at_a_time as f64 / first.wall.as_secs_f64();
    // Saturates: more than can be counted is more than wanted.
    let count = wanted.min((affordable as usize).max(10)).max(1);
    eprintln!("{}: {} × {count}", path.name, tool.tool.label);
    let rest = each(count - 1, at_a_time, |number| one(number + 1))?;
    Ok([first]
        .into_iter()
        .chain(rest.into_iter().flatten())
        .collect())
}

/// How often the whole list is found where packets get lost.
pub(super) fn loss(bench: &Bench, tools: &[Installed], times: usize) -> Result<String, Failure> {
    let path = shipped(bench, "loss")?;
    let mut rows = Vec::new();
    for tool in tools {
        let traces = many(bench, &path, tool, times, AT_A_TIME)?;
        if !traces.is_empty() {
            let whole = traces.iter().filter(|trace| trace.is_right()).count();
            rows.push(vec![
                code(tool),
                traces.len().to_string(),
                percent(whole as f64, traces.len() as f64),
                number(median(traces.iter().map(|trace| trace.right as f64)), 0),
                traces
                    .iter()
                    .filter(|trace| trace.wrong > 0)
                    .count()
                    .to_string(),
                number(median(traces.iter().map(Trace::ratio)), 2),
            ]);
        }
    }
    let head = [
        "command",
        "traces",
        "whole list",
        "hops right, median of 12",
        "traces with a wrong hop",
        "time / limit",
    ];
    Ok(format!(
        "## 10 % loss, both ways\n\n{}",
        table(&head, &rows)
    ))
}

/// Links that no packet can take, where load is balanced by flow.
pub(super) fn flows(bench: &Bench, tools: &[Installed], times: usize) -> Result<String, Failure> {
    let mut rows = Vec::new();
    let paths = [shipped(bench, "ecmp")?, shipped(bench, "ecmp-uneven")?];
    for tool in tools {
        let mut row = vec![
            code(tool),
            if tool.tool.one_flow { "yes" } else { "no" }.to_owned(),
        ];
        for path in &paths {
            let traces = many(bench, path, tool, times, AT_A_TIME)?;
            let with = traces.iter().filter(|trace| trace.false_links > 0).count();
            row.push(format!("{with} of {}", traces.len()));
            row.push(
                traces
                    .iter()
                    .map(|trace| trace.false_links)
                    .sum::<usize>()
                    .to_string(),
            );
        }
        if !row[2].ends_with(" of 0") {
            rows.push(row);
        }
    }
    let head = [
        "command",
        "one flow",
        "`ecmp`: traces with a false link",
        "false links",
        "`ecmp-uneven`: traces",
        "false links",
    ];
    Ok(format!(
        "## One flow\n\nA false link: neighbours in the output that are on no way one behind the other.\n\n{}",
        table(&head, &rows)
    ))
}

/// Ten traces in a row through routers that limit their errors as Linux does.
pub(super) fn limits(bench: &Bench, tools: &[Installed]) -> Result<String, Failure> {
    let path = shipped(bench, "ratelimit")?;
    let mut rows = Vec::new();
    for tool in tools {
        eprintln!("{}: {} × {ROW}, in a row", path.name, tool.tool.label);
        let Some((found, trace)) = bench.in_a_row(&path, tool, ROW)? else {
            continue;
        };
        let words = |value: &dyn Fn(usize) -> usize| {
            (0..found.len())
                .map(|run| value(run).to_string())
                .collect::<Vec<_>>()
                .join(" ")
        };
        rows.push(vec![
            code(tool),
            words(&|run| found[run].named(trace.hops)),
            words(&|run| found[run].marked),
            found
                .iter()
                .map(|found| found.named(trace.hops))
                .sum::<usize>()
                .to_string(),
            number(Some(trace.wall.as_secs_f64()), 1),
            trace.sent.to_string(),
        ]);
    }
    let head = [
        "command",
        "hops named, run by run",
        "marked 'rate limited?'",
        "named in all",
        "time of all, s",
        "probes in all",
    ];
    Ok(format!(
        "## Linux's own limits, ten runs in a row\n\nEach router sends 6 errors back to back, then one a second (IPv6: ten); \
         the target always answers. 12 hops.\n\n{}",
        table(&head, &rows)
    ))
}

/// What an attacker off the path does to each tool.
pub(super) fn hostile(bench: &Bench, tools: &[Installed], times: usize) -> Result<String, Failure> {
    let path = shipped(bench, "hostile")?;
    let mut rows = Vec::new();
    for tool in tools {
        let traces = many(bench, &path, tool, times, 1)?;
        if !traces.is_empty() {
            let missing = traces
                .iter()
                .map(|trace| trace.hops - (trace.right + trace.wrong).min(trace.hops));
            rows.push(vec![
                code(tool),
                format!(
                    "{} of {}",
                    traces.iter().filter(|trace| trace.is_right()).count(),
                    traces.len()
                ),
                traces
                    .iter()
                    .filter(|trace| trace.wrong > 0)
                    .count()
                    .to_string(),
                traces
                    .iter()
                    .map(|trace| trace.wrong)
                    .max()
                    .unwrap_or(0)
                    .to_string(),
                number(median(missing.map(|missing| missing as f64)), 0),
                statuses(&traces),
                number(median(traces.iter().map(Trace::ratio)), 2),
            ]);
        }
    }
    let head = [
        "command",
        "routes right",
        "traces with wrong hops",
        "wrong hops, worst",
        "hops missing, median",
        "exit status",
        "time / limit",
    ];
    Ok(format!(
        "## A flood of forgeries\n\n10,000 forged, cut-short and random ICMP messages a second from off the path, while a \
         trace runs.\n\n{}",
        table(&head, &rows)
    ))
}
