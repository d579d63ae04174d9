//! Markdown.

use super::judge::Trace;
use super::stats::{frequencies, median, share};
use super::tools::Installed;
use core::fmt::Write;
use hopshot_core::wire::AddressFamily;
use std::fs;

/// A table: the first row is its head. All columns but the first are numbers, aligned to the right.
pub(super) fn table(head: &[&str], rows: &[Vec<String>]) -> String {
    let line = |cells: &mut dyn Iterator<Item = &str>| {
        format!("| {} |\n", cells.collect::<Vec<_>>().join(" | "))
    };
    let mut text = line(&mut head.iter().copied());
    text += &line(&mut (0..head.len()).map(|column| if column == 0 { "---" } else { "---:" }));
    for row in rows {
        text += &line(&mut row.iter().map(String::as_str));
    }
    text + "\n"
}

/// A number with so many decimals; a dash where there is none.
pub(super) fn number(value: Option<f64>, decimals: usize) -> String {
    value.map_or_else(|| "–".to_owned(), |value| format!("{value:.decimals$}"))
}

/// A share in percent.
pub(super) fn percent(part: f64, whole: f64) -> String {
    format!("{:.0} %", share(part, whole) * 100.0)
}

/// A tool's label as code.
pub(super) fn code(installed: &Installed) -> String {
    format!("`{}`", installed.tool.label)
}

/// The head of [`row`].
pub(super) const HEAD: [&str; 11] = [
    "command",
    "time / limit",
    "over the limit, ms",
    "start-up, ms",
    "after the answer, ms",
    "sent / needed",
    "past the end",
    "hops right",
    "wrong hops",
    "CPU, ms",
    "memory, MiB",
];

/// The medians of a tool's traces of one path.
pub(super) fn row(installed: &Installed, traces: &[Trace], memory: u64) -> Vec<String> {
    let of = |value: fn(&Trace) -> f64| median(traces.iter().map(value));
    let needed = |trace: &Trace| trace.hops as f64 * f64::from(installed.tool.attempts);
    let hops = traces.first().map_or(0, |trace| trace.hops);
    let right = of(|trace| trace.right as f64);
    // One that gave up isn't the faster for it.
    let late = traces.iter().filter(|trace| trace.status == KILLED).count();
    let ratio = number(of(Trace::ratio), 2);
    vec![
        code(installed),
        if late > 0 {
            format!("killed {late} of {}", traces.len())
        } else {
            ratio
        },
        number(of(over_ms), 1),
        number(of(|trace| trace.start_up.as_secs_f64() * 1e3), 1),
        number(
            median(
                traces
                    .iter()
                    .filter_map(|trace| Some(trace.after?.as_secs_f64() * 1e3)),
            ),
            1,
        ),
        number(
            median(
                traces
                    .iter()
                    .map(|trace| share(trace.sent as f64, needed(trace))),
            ),
            2,
        ),
        number(of(|trace| trace.past as f64), 0),
        format!("{} / {hops}", number(right, 0)),
        number(of(|trace| trace.wrong as f64), 0),
        number(of(|trace| trace.cpu.as_secs_f64() * 1e3), 1),
        format!("{:.1}", memory as f64 / f64::from(1 << 20)),
    ]
}

/// The exit status of a command that took too long.
pub(super) const KILLED: u8 = 137;

/// What a trace took longer than the slowest answer on the path: start-up, and what came after that
/// answer.
pub(super) fn over_ms(trace: &Trace) -> f64 {
    (trace.wall.as_secs_f64() - trace.limit.as_secs_f64()) * 1e3
}

/// Exit statuses with how often each came.
pub(super) fn statuses(traces: &[Trace]) -> String {
    let seen = frequencies(traces.iter().map(|trace| trace.status));
    let words = seen.into_iter().map(|(status, count)| match status {
        KILLED => format!("killed after the time limit ×{count}"),
        101 => format!("panic ×{count}"),
        129.. => format!("signal {} ×{count}", status - 128),
        _ => format!("{status} ×{count}"),
    });
    words.collect::<Vec<_>>().join(", ")
}

/// The machine and the tools: what a reader needs to repeat it.
pub(super) fn introduction(tools: &[Installed], family: AddressFamily, command: &str) -> String {
    let read = |path: &str| fs::read_to_string(path).unwrap_or_default();
    let cpuinfo = read("/proc/cpuinfo");
    let models: Vec<&str> = cpuinfo
        .lines()
        .filter_map(|line| line.strip_prefix("model name")?.split_once(": "))
        .map(|(_, model)| model)
        .collect();
    let load = read("/proc/loadavg");
    let mut text = String::from("# hopshot and its peers\n\n");
    let _ = writeln!(
        text,
        "Machine: {} × {}, Linux {}; load at the start: {}. Made by `{command}`, in {}.",
        models.len().max(1),
        models.first().copied().unwrap_or("CPU"),
        read("/proc/sys/kernel/osrelease").trim(),
        load.split_whitespace().next().unwrap_or("unknown"),
        match family {
            AddressFamily::V4 => "IPv4",
            AddressFamily::V6 => "IPv6",
        },
    );
    text += "\nEach tool with the settings that suit this job best, without look-ups of names:\n\n";
    let rows: Vec<Vec<String>> = tools
        .iter()
        .filter_map(|installed| {
            let command = installed.shown(family)?;
            Some(vec![
                code(installed),
                format!("`{command}`"),
                installed.version.clone(),
                installed.tool.attempts.to_string(),
            ])
        })
        .collect();
    text + &table(&["here", "command", "version", "probes per hop"], &rows)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_table_is_markdown() {
        let rows = [
            vec!["a".to_owned(), "1".to_owned()],
            vec!["b".to_owned(), "2".to_owned()],
        ];
        assert_eq!(
            table(&["x", "y"], &rows),
            "| x | y |\n| --- | ---: |\n| a | 1 |\n| b | 2 |\n\n"
        );
    }

    #[test]
    fn what_is_missing_is_a_dash() {
        assert_eq!(
            (number(Some(1.25), 1).as_str(), number(None, 1).as_str()),
            ("1.2", "–")
        );
        assert_eq!(
            (percent(1.0, 3.0).as_str(), percent(0.0, 0.0).as_str()),
            ("33 %", "0 %")
        );
    }
}
