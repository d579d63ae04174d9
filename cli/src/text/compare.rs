//! A comparison as text: a line for each address of a hop, a column for each side. An address that
//! sides have in common stands there once, so a hop with two lines is one where paths differ.

use super::layout::Layout;
use super::paint::Style;
use super::row::{Doubt, Host};
use super::view::{View, hops_max};
use crate::args::Args;
use crate::names::Names;
use crate::reading::{PortState, failure, is_target, last_heard, local_mark, mark};
use crate::units::{counted, date, port};
use hopshot_linux::compare::{Compared, Comparison, Side};
use hopshot_linux::document::milliseconds;
use hopshot_linux::{Hop, Kind, Route};
use std::io;
use std::net::IpAddr;
use std::time::Duration;

/// The column of numbers, with the word above it.
const NUMBER: &str = "hop ";
/// Between columns.
const SPACE: usize = 2;
/// The longest name that moves the columns in a pipe.
const WIDEST: usize = 80;
/// Rather than names that are cut shorter, times lose digits.
const AMPLE: usize = 24;
/// The least room for names, however many sides there are.
const LEAST: usize = 12;

/// A line of the table.
struct Line {
    /// Of the hop, in its first line.
    number: Option<u8>,
    host: Option<Host>,
    style: Style,
    /// One for each side.
    cells: Vec<Cell>,
}

/// The text of a side at an address.
#[derive(Clone)]
enum Cell {
    Nothing,
    /// The fastest answer, and a mark if nothing proves it.
    Time(Duration, &'static str),
    Word(String, Style),
}

/// Digits and units of times: all, fewer, or no unit either.
#[derive(Clone, Copy)]
enum Times {
    Full,
    Short,
    Bare,
}

impl View {
    /// Prints a comparison: who was compared, the table, and what differs.
    pub(crate) fn comparison(
        &mut self,
        comparison: &Comparison,
        args: &Args,
        names: &Names,
    ) -> io::Result<()> {
        self.fit_terminal();
        let mut text = self.parts(heading(comparison, args.probing.max));
        text += &self.table(comparison, names);
        for sentence in comparison.verdict().sentences() {
            text += &self.sentence(&sentence);
        }
        if self.is_summed_up() {
            let probes = comparison.routes().map(|it| it.summary().probes_sent);
            let probes = counted(probes.sum::<usize>() as u64, "probe");
            let time = format!("{:.2} s", comparison.duration().as_secs_f64());
            text += &self.parts([probes, time, date(comparison.started())]);
        }
        self.draw(&text, "")
    }

    fn table(&self, comparison: &Comparison, names: &Names) -> String {
        let sides = comparison.sides();
        let parting = comparison.verdict().parting().map(|parting| parting.hop);
        let heard = comparison.routes().map(|route| last_heard(route.hops()));
        let heard = heard.max().unwrap_or(0);
        // Where nobody gets there one line shows that more was asked.
        let end = heard + u8::from(!comparison.routes().any(Route::reached));
        let was_probed = |hop: &u8| {
            let mut routes = comparison.routes();
            routes.any(|route| route.hops().any(|probed| probed.number() == *hop))
        };
        let lines: Vec<Line> = (1..=end)
            .filter(was_probed)
            .flat_map(|hop| lines(sides, hop, parting == Some(hop), names))
            .collect();
        let titles: Vec<String> = sides.iter().map(|side| side.side.to_string()).collect();
        written(&self.layout, &titles, &lines)
    }
}

/// The parts of the first line.
fn heading(comparison: &Comparison, max_hops: u8) -> Vec<String> {
    let (mut targets, mut sources) = (Vec::new(), Vec::new());
    for route in comparison.routes() {
        let summary = route.summary();
        for (address, all) in [
            (summary.target, &mut targets),
            (summary.source, &mut sources),
        ] {
            let address = address.to_string();
            if !all.contains(&address) {
                all.push(address);
            }
        }
    }
    let by_family = |side: &&Compared| matches!(side.side, Side::Family(_));
    let first = comparison.sides().first().filter(by_family);
    let protocol = first.and_then(|side| port(side.protocol));
    let (host, targets) = (comparison.host(), targets.join(" and "));
    let what = format!("comparing paths to {host} ({targets})");
    let from = format!("from {}", sources.join(" and "));
    let parts = [what, hops_max(max_hops)].into_iter();
    parts.chain(protocol).chain([from]).collect()
}

/// The lines of a hop.
fn lines(sides: &[Compared], number: u8, is_parting: bool, names: &Names) -> Vec<Line> {
    let mut hops: Vec<Option<(&Route, Hop<'_>)>> = Vec::new();
    for side in sides {
        let route = side.route.as_deref().ok();
        hops.push(route.and_then(|route| {
            let hop = route.hops().find(|hop| hop.number() == number)?;
            Some((route, hop))
        }));
    }
    let mut addresses: Vec<IpAddr> = Vec::new();
    for reply in hops.iter().flatten().flat_map(|(_, hop)| hop.replies()) {
        if !addresses.contains(&reply.from) {
            addresses.push(reply.from);
        }
    }
    let is_several = is_parting && addresses.len() > 1;
    let mut lines = Vec::new();
    for address in addresses {
        let of_target = |(_, hop): &(&Route, Hop<'_>)| is_target(*hop, address);
        let is_targets = hops.iter().flatten().any(of_target);
        let cell = |side: &Option<(&Route, Hop<'_>)>| {
            let (_, hop) = side.as_ref()?;
            time(*hop, address)
        };
        lines.push(Line {
            number: lines.is_empty().then_some(number),
            host: Some(Host::new(address, names)),
            style: match (is_several, is_targets) {
                (true, _) => Style::Yellow,
                (false, true) => Style::Strong,
                (false, false) => Style::Plain,
            },
            cells: hops
                .iter()
                .map(|side| cell(side).unwrap_or(Cell::Nothing))
                .collect(),
        });
        let state = |side: &Option<(&Route, Hop<'_>)>| {
            let (route, hop) = side.as_ref().filter(|side| of_target(side))?;
            state(route, *hop)
        };
        let states: Vec<Option<Cell>> = hops.iter().map(state).collect();
        if states.iter().any(Option::is_some) {
            lines.push(Line {
                number: None,
                host: None,
                style: Style::Plain,
                cells: states
                    .into_iter()
                    .map(|it| it.unwrap_or(Cell::Nothing))
                    .collect(),
            });
        }
    }
    if lines.is_empty() {
        lines.push(Line {
            number: Some(number),
            host: None,
            style: Style::Faint,
            cells: vec![Cell::Nothing; sides.len()],
        });
    }
    // Of sides by which nobody answers here.
    if let Some(first) = lines.first_mut() {
        for (cell, side) in first.cells.iter_mut().zip(&hops) {
            if let Some((_, hop)) = side.filter(|(_, hop)| hop.replies().next().is_none()) {
                *cell = silence(hop);
            }
        }
    }
    lines
}

/// The fastest answer from an address; of one that refuses the probe its mark.
fn time(hop: Hop<'_>, address: IpAddr) -> Option<Cell> {
    let replies = || hop.replies().filter(move |reply| reply.from == address);
    let first = replies().next()?;
    if replies().all(|reply| reply.kind == Kind::Unreachable) {
        return Some(Cell::Word(mark(&first), Style::Red));
    }
    let passed = || replies().filter(|reply| reply.kind != Kind::Unreachable);
    let fastest = passed().map(|reply| reply.rtt).min()?;
    let is_proven = passed().any(|reply| reply.is_proven());
    Some(Cell::Time(fastest, if is_proven { "" } else { "?" }))
}

/// The mark in place of an answer.
fn silence(hop: Hop<'_>) -> Cell {
    match failure(hop) {
        Some(failure) => Cell::Word(local_mark(failure), Style::Red),
        None if hop.is_settled() => Cell::Word("*".to_owned(), Style::Faint),
        None => Cell::Nothing,
    }
}

/// The state of the target's port, as far as the trace shows it.
fn state(route: &Route, hop: Hop<'_>) -> Option<Cell> {
    let doubt = Doubt::of(route)?;
    let protocol = route.protocol();
    let state = hop
        .replies()
        .find_map(|reply| PortState::of_reply(protocol, &reply))?;
    let (text, style) = match (doubt, state) {
        (Doubt::Certain, _) => (PortState::Proxied.to_string(), Style::Red),
        (Doubt::Perhaps, _) => (format!("[{}?]", state.as_str()), Style::Yellow),
        (Doubt::No, PortState::Open) => (state.to_string(), Style::Green),
        (Doubt::No, _) => (state.to_string(), Style::Yellow),
    };
    Some(Cell::Word(text, style))
}

/// The table, as wide as there is room for.
fn written(layout: &Layout, titles: &[String], lines: &[Line]) -> String {
    let hosts = lines.iter().filter_map(|line| line.host.as_ref());
    let widest = hosts.map(Host::width).max().unwrap_or(0);
    let widths = |times: Times| -> Vec<usize> {
        let width = |(place, title): (usize, &String)| {
            let cells = lines.iter().filter_map(|line| line.cells.get(place));
            let widest = cells.map(|cell| cell.text(times).0.chars().count()).max();
            SPACE + widest.unwrap_or(0).max(title.chars().count())
        };
        titles.iter().enumerate().map(width).collect()
    };
    let room = |times: Times| {
        let others = NUMBER.len() + widths(times).iter().sum::<usize>();
        layout
            .width
            .map_or(WIDEST, |width| width.saturating_sub(1 + others))
    };
    let times = [Times::Full, Times::Short];
    let whole = times.into_iter().find(|times| room(*times) >= widest);
    let ample = || times.into_iter().find(|times| room(*times) >= AMPLE);
    let times = whole.or_else(ample).unwrap_or(Times::Bare);
    let (widths, column) = (widths(times), widest.min(room(times).max(LEAST)));
    let mut text = NUMBER.to_owned() + &" ".repeat(column);
    for (title, width) in titles.iter().zip(&widths) {
        text += &format!("{title:>width$}");
    }
    text = Style::Faint.paint(&text, layout.colours) + "\n";
    for line in lines {
        text += &line.text(layout, times, column, &widths);
    }
    text
}

impl Line {
    fn text(&self, layout: &Layout, times: Times, column: usize, widths: &[usize]) -> String {
        let number = self
            .number
            .map_or_else(String::new, |number| format!("{number:>2}"));
        let host = self
            .host
            .as_ref()
            .map_or_else(String::new, |host| match layout.width {
                Some(_) => host.fit(column, layout.ellipsis),
                None => host.whole(),
            });
        let head = format!("{number:<width$}{host}", width = NUMBER.len());
        let padding = " ".repeat((NUMBER.len() + column).saturating_sub(head.chars().count()));
        let mut text = self.style.paint(&head, layout.colours) + &padding;
        for (cell, width) in self.cells.iter().zip(widths) {
            let (word, style) = cell.text(times);
            text += &" ".repeat(width.saturating_sub(word.chars().count()));
            text += &style.paint(&word, layout.colours);
        }
        text.trim_end().to_owned() + "\n"
    }
}

impl Cell {
    fn text(&self, times: Times) -> (String, Style) {
        match self {
            Self::Nothing => (String::new(), Style::Plain),
            Self::Word(word, style) => (word.clone(), *style),
            Self::Time(rtt, mark) => {
                let ms = milliseconds(*rtt);
                let time = match times {
                    Times::Full => format!("{ms:.3} ms"),
                    Times::Short => format!("{ms:.1} ms"),
                    Times::Bare => format!("{ms:.1}"),
                };
                (time + mark, Style::Plain)
            }
        }
    }
}
