//! Rows as lines that fit a terminal. Where there is not room for everything, times get shorter before names do, and names are
//! cut in the middle, where their ends still tell who and where; a line never wraps.

use super::paint::Style;
use super::row::{Cell, Host, Row};
use crate::format::json::milliseconds;
use std::time::Duration;

/// The hop's number with the letters of a branch, and what stands between it and the host, at least.
const NUMBER: usize = 4;
/// Before a note.
const SPACE: usize = 2;
/// A longer name doesn't move the columns of all that follow.
const WIDEST: usize = 80;
/// With so much room for hosts, times stay as they are although a longer host is cut.
const AMPLE: usize = 48;
/// With so much no attempt is left out for a longer host.
const ENOUGH: usize = 16;
/// A name cut shorter than this says nothing: then its address is left out.
const SHORTEST_NAME: usize = 12;

/// How the lines of a view are laid out.
pub(super) struct Layout {
    /// Of the terminal; `None` cuts nothing.
    pub(super) width: Option<usize>,
    /// Of the column of numbers, so far.
    pub(super) number: usize,
    /// Of the column of hosts, so far.
    pub(super) column: usize,
    /// Attempts that are asked for at each hop; what is lost is tried again.
    pub(super) asked: usize,
    pub(super) colours: bool,
    /// What stands for what was cut.
    pub(super) ellipsis: char,
}

/// How much is said of the attempts.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Times {
    /// Each, to the microsecond.
    Full,
    /// Each, to ten microseconds, and the unit once.
    Short,
    /// The fastest.
    Fastest,
}

impl Times {
    /// What stands behind the host.
    fn of(self, row: &Row) -> Vec<(String, Style)> {
        match self {
            Self::Full => row.cells.iter().flat_map(full).collect(),
            Self::Short => row.cells.iter().flat_map(short).chain([(" ms".to_owned(), Style::Faint)]).collect(),
            Self::Fastest => fastest(&row.cells),
        }
    }
}

fn full(cell: &Cell) -> Vec<(String, Style)> {
    match cell {
        Cell::Time { rtt, style, mark } => marked((format!("  {:>8.3} ms", milliseconds(*rtt)), *style), mark),
        other => vec![(format!("{:>13}", sign(other)), Style::Faint)],
    }
}

fn short(cell: &Cell) -> Vec<(String, Style)> {
    match cell {
        Cell::Time { rtt, style, mark } => marked((format!(" {:>6.2}", milliseconds(*rtt)), *style), mark),
        other => vec![(format!("{:>7}", sign(other)), Style::Faint)],
    }
}

/// And how many attempts were answered, if not all that have been decided.
fn fastest(cells: &[Cell]) -> Vec<(String, Style)> {
    let answered = || cells.iter().filter(|cell| matches!(cell, Cell::Time { .. }));
    let lost = |cell: &Cell| match cell {
        Cell::Lost(times) => *times,
        Cell::Failed(_) => 1,
        Cell::Time { .. } | Cell::InFlight => 0,
    };
    let lost: usize = cells.iter().map(lost).sum();
    let mut texts = answered().min_by_key(|cell| rtt(cell)).map(full).unwrap_or_default();
    if lost > 0 {
        let answered = answered().count();
        texts.push((format!(" {answered}/{}", answered + lost), Style::Faint));
    }
    texts
}

fn marked(time: (String, Style), mark: &str) -> Vec<(String, Style)> {
    let mark = (!mark.is_empty()).then(|| (format!(" {mark}"), Style::Red));
    [time].into_iter().chain(mark).collect()
}

fn sign(cell: &Cell) -> String {
    match cell {
        Cell::Lost(1) => "*".to_owned(),
        Cell::Lost(times) => format!("{times}*"),
        Cell::Failed(mark) => mark.clone(),
        Cell::InFlight | Cell::Time { .. } => String::new(),
    }
}

fn rtt(cell: &Cell) -> Option<Duration> {
    match cell {
        Cell::Time { rtt, .. } => Some(*rtt),
        Cell::Lost(_) | Cell::Failed(_) | Cell::InFlight => None,
    }
}

fn width_of(texts: &[(String, Style)]) -> usize {
    texts.iter().map(|(text, _)| text.chars().count()).sum()
}

/// What is said of the attempts at this width, and the room that it leaves for hosts: the most that leaves them whole, with
/// notes beside it rather than below.
fn choose(rows: &[Row], width: usize, number: usize, widest: usize) -> (Times, usize) {
    let room = |times: Times, with_notes: bool| {
        let notes = |row: &Row| row.notes.iter().map(|note| SPACE + note.chars().count()).sum();
        let tails = rows.iter().map(|row| width_of(&times.of(row)) + if with_notes { notes(row) } else { 0 });
        width.saturating_sub(1 + number + tails.max().unwrap_or(0))
    };
    let ways = [(Times::Full, true), (Times::Short, true), (Times::Full, false), (Times::Short, false)];
    let mut ways = ways.into_iter().map(|(times, with_notes)| (times, room(times, with_notes)));
    ways.find(|(_, room)| *room >= widest).unwrap_or_else(|| {
        // Some will be cut.
        match (room(Times::Full, false), room(Times::Short, false)) {
            (full, _) if full >= AMPLE => (Times::Full, full),
            (_, short) if short >= ENOUGH => (Times::Short, short),
            _ => (Times::Fastest, room(Times::Fastest, false)),
        }
    })
}

/// What stands before a host.
fn numbered(row: &Row) -> String {
    row.number.map_or_else(String::new, |number| format!("{number:>2}{}", row.branch))
}

impl Layout {
    /// The lines of these rows, which stand below those of earlier calls.
    pub(super) fn lines(&mut self, mut rows: Vec<Row>) -> String {
        self.number = rows.iter().map(|row| numbered(row).len() + 1).max().unwrap_or(0).max(NUMBER).max(self.number);
        let widest = rows.iter().filter_map(|row| row.host.as_ref()).map(Host::width).max().unwrap_or(0);
        let (times, column) = match self.width {
            None => {
                self.column = self.column.max(widest.min(WIDEST));
                (Times::Full, self.column)
            }
            Some(width) => {
                self.column = self.column.max(widest);
                rows.iter_mut().filter(|row| row.cells.len() > self.asked).for_each(Row::gather);
                let (times, room) = choose(&rows, width, self.number, widest);
                (times, self.column.min(room))
            }
        };
        rows.iter().map(|row| self.row(row, times, column)).collect()
    }

    fn row(&self, row: &Row, times: Times, column: usize) -> String {
        let number = format!("{:<width$}", numbered(row), width = self.number);
        let Some(host) = &row.host else {
            let line = format!("{number}{}", self.cut_end(&row.instead));
            return format!("{}\n", row.style.paint(line.trim_end(), self.colours));
        };
        let host = match self.width {
            Some(_) => host.fit(column, self.ellipsis),
            None => host.whole(),
        };
        let padding = " ".repeat(column.saturating_sub(host.chars().count()));
        let times = times.of(row);
        let mut line = row.style.paint(&format!("{number}{host}"), self.colours) + &padding;
        line.extend(times.iter().map(|(text, style)| style.paint(text, self.colours)));
        let mut end = self.number + column.max(host.chars().count()) + width_of(&times);
        let mut below = Vec::new();
        for note in &row.notes {
            end += SPACE + note.chars().count();
            match self.width.is_none_or(|width| end < width) {
                true => line = line + "  " + note,
                false => below.push(note.as_str()),
            }
        }
        let mut text = line.trim_end().to_owned() + "\n";
        for extra in below.into_iter().chain(row.appended.iter().map(String::as_str)) {
            text += &self.wrapped(extra, self.number, &[' ', '/']);
        }
        text
    }

    /// The line of one hop or several at the end of a path where nobody answered.
    pub(super) fn unanswered(&self, first: u8, last: u8, instead: &str) -> String {
        let numbers = if first == last { format!("{first:>2}") } else { format!("{first:>2}-{last}") };
        let width = self.width.map_or(usize::MAX, |width| width.saturating_sub(1));
        let line: String = format!("{numbers}  {instead}").chars().take(width).collect();
        format!("{}\n", Style::Faint.paint(&line, self.colours))
    }

    /// A text of one line at most.
    fn cut_end(&self, text: &str) -> String {
        let width = self.width.map_or(usize::MAX, |width| width.saturating_sub(1 + self.number));
        text.chars().take(width).collect()
    }

    /// A text, broken behind any of these characters where it is too long for a line; all lines are indented.
    pub(super) fn wrapped(&self, text: &str, indent: usize, behind: &[char]) -> String {
        let room = self.width.map_or(usize::MAX, |width| width.saturating_sub(1 + indent).max(1));
        let mut lines = vec![String::new()];
        for piece in text.split_inclusive(behind) {
            let line = lines.last().map_or(0, |line| line.chars().count());
            if line > 0 && line + piece.trim_end().chars().count() > room {
                lines.push(String::new());
            }
            for character in piece.chars() {
                if lines.last().is_some_and(|line| line.chars().count() >= room) {
                    lines.push(String::new());
                }
                if let Some(line) = lines.last_mut() {
                    line.push(character);
                }
            }
        }
        let lines = lines.iter().map(|line| line.trim_end()).filter(|line| !line.is_empty());
        lines.map(|line| format!("{:indent$}{line}\n", "")).collect()
    }
}

impl Host {
    pub(crate) fn whole(&self) -> String {
        let host = match &self.name {
            Some(name) => format!("{name} ({})", self.address),
            None => self.address.clone(),
        };
        host + &self.origin(true)
    }

    pub(crate) fn width(&self) -> usize {
        self.whole().chars().count()
    }

    /// What stands behind the address.
    fn origin(&self, named: bool) -> String {
        match &self.origin {
            None => String::new(),
            Some(origin) if named => format!(" [{}]", origin.with_name()),
            Some(origin) => format!(" [{origin}]"),
        }
    }

    /// As much as there is room for: what an AS is called is left out first.
    pub(crate) fn fit(&self, room: usize, ellipsis: char) -> String {
        if self.width() <= room {
            return self.whole();
        }
        let origin = self.origin(false);
        match room.checked_sub(origin.len()) {
            Some(left) if left >= ENOUGH => self.fit_address(left, ellipsis) + &origin,
            _ => self.fit_address(room, ellipsis),
        }
    }

    /// The same, without the AS.
    fn fit_address(&self, room: usize, ellipsis: char) -> String {
        let Some(name) = &self.name else { return shortened(&self.address, room, ellipsis) };
        let address = format!(" ({})", self.address);
        match room.checked_sub(address.chars().count()) {
            Some(left) if left >= SHORTEST_NAME.min(name.chars().count()) => shortened(name, left, ellipsis) + &address,
            _ => shortened(name, room, ellipsis),
        }
    }
}

/// The beginning and the end of what is longer than this.
pub(super) fn shortened(text: &str, width: usize, ellipsis: char) -> String {
    let length = text.chars().count();
    if length <= width {
        return text.to_owned();
    }
    let ends = width.saturating_sub(1);
    let (head, tail) = (ends.div_ceil(2), ends / 2);
    text.chars().take(head).chain([ellipsis]).chain(text.chars().skip(length - tail)).take(width).collect()
}
