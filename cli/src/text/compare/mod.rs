//! A comparison as text: a line for each address of a hop, a column for each side. An address that
//! sides have in common stands there once, so a hop with two lines is one where paths differ. On a
//! terminal the table is drawn while it fills.

mod graphs;
mod table;

use super::graph::fitting;
use super::paint::Style;
use super::row::{Doubt, Host};
use super::view::{View, hops_max};
use crate::names::Names;
use crate::reading::{PortState, failure, is_target, last_heard, local_mark, mark};
use crate::units::{counted, date, port};
use hopshot_linux::compare::{Compared, Comparison, Side};
use hopshot_linux::{Hop, Kind, ProbeProtocol, Route};
use std::io;
use std::net::IpAddr;
use table::{Cell, Line, written};

/// A side of the table: its name, and what is known of its hops.
pub(crate) struct Column<'a> {
    title: String,
    hops: Vec<Hop<'a>>,
    /// What the state of the target's port is read by, once the trace has ended.
    ended: Option<(ProbeProtocol, Option<Doubt>)>,
}

impl<'a> Column<'a> {
    /// The column of a trace that has not ended.
    pub(crate) fn new(side: Side, hops: impl Iterator<Item = Hop<'a>>) -> Self {
        Self {
            title: side.to_string(),
            hops: hops.collect(),
            ended: None,
        }
    }

    /// The column of a trace that has ended, or that could not begin.
    pub(crate) fn of(compared: &'a Compared) -> Self {
        let route = compared.route.as_deref().ok();
        Self {
            title: compared.side.to_string(),
            hops: route.into_iter().flat_map(Route::hops).collect(),
            ended: route.map(|route| (route.protocol(), Doubt::of(route))),
        }
    }

    fn hop(&self, number: u8) -> Option<Hop<'a>> {
        self.hops.iter().copied().find(|hop| hop.number() == number)
    }
}

impl View {
    /// Prints who is compared: the sides, each with its target and source if it has begun.
    pub(crate) fn comparison_header(
        &mut self,
        what: &str,
        host: &str,
        sides: impl Iterator<Item = (Side, Option<(IpAddr, IpAddr)>)>,
        max_hops: u8,
    ) -> io::Result<()> {
        let (mut targets, mut sources, mut is_by_family) = (Vec::new(), Vec::new(), false);
        for (side, ends) in sides {
            is_by_family |= matches!(side, Side::Family(_));
            let Some((target, source)) = ends else {
                continue;
            };
            for (address, all) in [(target, &mut targets), (source, &mut sources)] {
                let address = address.to_string();
                if !all.contains(&address) {
                    all.push(address);
                }
            }
        }
        let what = format!("comparing {what} to {host} ({})", targets.join(" and "));
        let from = format!("from {}", sources.join(" and "));
        let protocol = port(self.protocol).filter(|_| is_by_family);
        let parts = [what, hops_max(max_hops)].into_iter();
        let text = self.parts(parts.chain(protocol).chain([from]));
        self.draw(&text, "")
    }

    /// Draws what is known so far, if this is a terminal: as much of it as there is room for.
    pub(crate) fn comparison_update(
        &mut self,
        columns: &[Column<'_>],
        names: &Names,
    ) -> io::Result<()> {
        self.fit_terminal();
        let Some(height) = self.height else {
            return Ok(());
        };
        let heard = last_heard_by(columns);
        let table = match heard {
            0 => String::new(),
            heard => self.table(columns, heard, None, names),
        };
        let table = fitting(table, height, |count| {
            self.sentence(&format!("{count} more lines"))
        });
        if table == self.drawn {
            Ok(())
        } else {
            self.draw("", &table)
        }
    }

    /// Prints the table, and what differs.
    pub(crate) fn comparison_finish(
        &mut self,
        comparison: &Comparison,
        names: &Names,
    ) -> io::Result<()> {
        self.fit_terminal();
        let columns: Vec<Column<'_>> = comparison.sides().iter().map(Column::of).collect();
        // Where nobody gets there one line shows that more was asked.
        let is_reached = comparison.routes().any(Route::reached);
        let end = last_heard_by(&columns) + u8::from(!is_reached);
        let parting = comparison.verdict().parting().map(|parting| parting.hop);
        let mut text = self.table(&columns, end, parting, names);
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

    fn table(&self, columns: &[Column<'_>], end: u8, parting: Option<u8>, names: &Names) -> String {
        let was_probed = |hop: &u8| columns.iter().any(|column| column.hop(*hop).is_some());
        let lines: Vec<Line> = (1..=end)
            .filter(was_probed)
            .flat_map(|hop| lines(columns, hop, parting == Some(hop), names))
            .collect();
        let titles: Vec<&str> = columns.iter().map(|column| &*column.title).collect();
        written(&self.layout, &titles, &lines)
    }
}

/// The last hop at which anybody has answered.
fn last_heard_by(columns: &[Column<'_>]) -> u8 {
    let heard = columns.iter().map(|it| last_heard(it.hops.iter().copied()));
    heard.max().unwrap_or(0)
}

/// The lines of a hop.
fn lines(columns: &[Column<'_>], number: u8, is_parting: bool, names: &Names) -> Vec<Line> {
    let hops: Vec<Option<Hop<'_>>> = columns.iter().map(|column| column.hop(number)).collect();
    let mut addresses: Vec<IpAddr> = Vec::new();
    for reply in hops.iter().flatten().flat_map(Hop::replies) {
        if !addresses.contains(&reply.from) {
            addresses.push(reply.from);
        }
    }
    let is_several = is_parting && addresses.len() > 1;
    let mut lines = Vec::new();
    for address in addresses {
        let of_target = |hop: &Hop<'_>| is_target(*hop, address);
        let is_targets = hops.iter().flatten().any(of_target);
        let cell = |hop: &Option<Hop<'_>>| time((*hop)?, address);
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
        let state = |(column, hop): (&Column<'_>, &Option<Hop<'_>>)| {
            let (protocol, doubt) = column.ended?;
            state(protocol, doubt?, hop.filter(of_target)?)
        };
        let states: Vec<Option<Cell>> = columns.iter().zip(&hops).map(state).collect();
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
            cells: vec![Cell::Nothing; columns.len()],
        });
    }
    // Of sides by which nobody answers here.
    if let Some(first) = lines.first_mut() {
        for (cell, side) in first.cells.iter_mut().zip(&hops) {
            if let Some(hop) = side.filter(|hop| hop.replies().next().is_none()) {
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
fn state(protocol: ProbeProtocol, doubt: Doubt, hop: Hop<'_>) -> Option<Cell> {
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
