//! Markdown: a section with a table for each host.

use super::results::Format;
use super::stages::{Place, Stage, stages};
use crate::args::Args;
use crate::console::print;
use crate::inside::Inside;
use crate::names::Names;
use crate::reading::{PortState, ending};
use crate::units::{A_FLOW_EACH, date, port_with_state};
use hopshot_linux::Route;
use std::fmt::Write as _;
use std::io;

pub(super) struct Markdown {
    is_begun: bool,
    /// Whether what routers append is shown.
    has_extensions: bool,
}

type Row = [String; 10];

const HEAD: [&str; 10] = [
    "Hop",
    "Address",
    "Name",
    "AS",
    "Loss",
    "Best ms",
    "Median ms",
    "Worst ms",
    "Appended",
    "IPv4 inside",
];
/// Columns of numbers, which end at the right.
const NUMBERS: [bool; 10] = [
    true, false, false, false, true, true, true, true, false, false,
];
/// The columns that are only there if they have something.
const OPTIONAL: [usize; 3] = [3, 8, 9];

impl Markdown {
    pub(super) const fn new(args: &Args) -> Self {
        Self {
            is_begun: false,
            has_extensions: args.output.extensions,
        }
    }

    fn section(&mut self, host: &str, text: &str) -> io::Result<()> {
        let before = if self.is_begun { "\n" } else { "" };
        self.is_begun = true;
        print(format!("{before}## {}\n\n{text}", plain(host)).as_bytes())
    }
}

impl Format for Markdown {
    fn finish(&mut self, route: &Route, names: &Names) -> io::Result<()> {
        let rows: Vec<Row> = stages(route, names)
            .iter()
            .flat_map(|stage| rows(stage, self.has_extensions))
            .collect();
        let summary = route.summary();
        let verdict = match (route.distance(), ending(route, route.stop_reason())) {
            (Some(1), _) => format!("{}, 1 hop.", summary.target),
            (Some(distance), _) => format!("{}, {distance} hops.", summary.target),
            (None, why) => plain(&why.unwrap_or_default()),
        };
        let shared = match route.shared().last().map(|last| last.hop) {
            Some(1) => " The first was not probed: it is as on the way to others.".to_owned(),
            Some(last) => {
                format!(" The first {last} were not probed: they are as on the way to others.")
            }
            None => String::new(),
        };
        let (source, seconds, probes) = (
            summary.source,
            summary.duration.as_secs_f64(),
            summary.probes_sent,
        );
        let told = format!(
            "From {source}, {}: {seconds:.2} s, {probes} probes",
            date(summary.started)
        );
        let port = port_with_state(summary.protocol, PortState::of_route(route));
        let told = match (port, route.flow()) {
            (None, Some(flow)) => format!("{told}, flow {flow}."),
            (Some(port), Some(flow)) => format!("{told}, {}, source port {flow}.", plain(&port)),
            (Some(port), None) => format!("{told}, {}, {A_FLOW_EACH}.", plain(&port)),
            (None, None) => format!("{told}."),
        };
        self.section(
            &summary.host,
            &format!("{verdict}{shared}\n\n{told}\n\n{}", table(&rows)),
        )
    }

    fn lose(&mut self, host: &str, why: &str) -> io::Result<bool> {
        self.section(host, &format!("Not traced: {}.\n", plain(why)))
            .map(|()| true)
    }
}

/// A row for each address that answered at a hop; the loss is that of the hop.
fn rows(stage: &Stage, has_extensions: bool) -> Vec<Row> {
    // An answer that proves nothing is none that was lost, but a forger may have written it.
    let mark = if stage.is_unproven() { " ?" } else { "" };
    let loss = stage
        .loss()
        .map(|loss| format!("{loss:.0} %{mark}"))
        .unwrap_or_default();
    let row = |(place, loss): (&Place, String)| {
        let time = |time: f64| {
            if place.rtts.is_empty() {
                String::new()
            } else {
                format!("{time:.3}")
            }
        };
        let [best, median, worst] = [place.best(), place.median(), place.worst()].map(time);
        let worst = if place.mark.is_empty() {
            worst
        } else {
            format!("{worst} {}", plain(&place.mark))
        };
        let name = place.name.as_deref().map(plain).unwrap_or_default();
        let origin = place.origin.as_deref().map(plain).unwrap_or_default();
        let appended = if has_extensions {
            plain(&place.appended.join(" "))
        } else {
            String::new()
        };
        let inside = Inside::of(place.address)
            .map(|inside| inside.to_string())
            .unwrap_or_default();
        [
            stage.number(),
            place.address.to_string(),
            name,
            origin,
            loss,
            best,
            median,
            worst,
            appended,
            inside,
        ]
    };
    if stage.places.is_empty() {
        let instead = stage
            .instead
            .as_deref()
            .map_or_else(|| r"\*".to_owned(), plain);
        let empty = String::new;
        return vec![[
            stage.number(),
            instead,
            empty(),
            empty(),
            loss,
            empty(),
            empty(),
            empty(),
            empty(),
            empty(),
        ]];
    }
    stage
        .places
        .iter()
        .zip(std::iter::once(loss).chain(std::iter::repeat(String::new())))
        .map(row)
        .collect()
}

/// A table whose columns stand below each other in the source too.
fn table(rows: &[Row]) -> String {
    let head = HEAD.map(str::to_owned);
    let width = |column: usize| {
        std::iter::once(&head)
            .chain(rows)
            .map(|row| row[column].chars().count())
            .max()
            .unwrap_or(0)
            .max(3)
    };
    let widths: [usize; 10] = std::array::from_fn(width);
    let rule = std::array::from_fn(|column| match NUMBERS[column] {
        true => format!("{}:", "-".repeat(widths[column] - 1)),
        false => "-".repeat(widths[column]),
    });
    let has = |column: &usize| {
        !OPTIONAL.contains(column) || rows.iter().any(|row| !row[*column].is_empty())
    };
    let mut text = String::new();
    for row in [&head, &rule].into_iter().chain(rows) {
        for (column, cell) in row.iter().enumerate().filter(|(column, _)| has(column)) {
            let width = widths[column];
            let _ = match NUMBERS[column] {
                true => write!(text, "| {cell:>width$} "),
                false => write!(text, "| {cell:<width$} "),
            };
        }
        text.push_str("|\n");
    }
    text
}

/// Text that means nothing to Markdown, or to HTML in it.
fn plain(text: &str) -> String {
    let mut plain = String::new();
    for c in text.chars() {
        if "\\`*_{}[]<>|#~&!".contains(c) {
            plain.push('\\');
        }
        plain.push(c);
    }
    plain
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_name_can_be_neither_markup_nor_a_column() {
        assert_eq!(plain("core-1.example"), "core-1.example");
        assert_eq!(plain("a|b<i>[x](y)`"), r"a\|b\<i\>\[x\](y)\`");
    }
}
