//! Rows as lines that fit a terminal. Where there is not room for everything, times get shorter
//! before names do, and names are cut in the middle, where their ends still tell who and where; a
//! line never wraps.

use super::paint::Style;
use super::row::{Cell, Host, Row};
use hopshot_linux::document::milliseconds;
use std::time::Duration;

/// The hop's number with the letters of a branch, and what stands between it and the host, at
/// least.
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
    /// Whether notes are for the line, and names are cut before notes go below it.
    pub(super) notes_first: bool,
    /// Attempts that are asked for at each hop; what is lost is tried again.
    pub(super) asked: usize,
    pub(super) colours: bool,
    /// The sign in place of text that was cut.
    pub(super) ellipsis: char,
    /// The form of the times and the room for hosts: of the lines before, and of all that follow
    /// if it was kept.
    pub(super) chosen: Option<(Times, usize)>,
    pub(super) kept: Option<(Times, usize)>,
}

/// How much is said of the attempts.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(super) enum Times {
    /// Each, to the microsecond.
    Full,
    /// Each, to ten microseconds, and the unit once.
    Short,
    /// The fastest.
    Fastest,
}

/// The unit of all times.
const UNIT: &str = " ms";

impl Times {
    /// The text of each attempt. A mark that all answers have stands behind the last only, if it is
    /// to be joined. Of short times the last has the unit. Marks and that unit stand in the blanks
    /// before what follows, so that all columns stay where they are.
    fn of(self, cells: &[&Cell], joins_marks: bool) -> Vec<(String, Style)> {
        let last = cells.iter().rposition(|cell| cell.is_answer());
        let is_joined = joins_marks && have_one_mark(cells);
        let width = if self == Self::Full { 13 } else { 7 };
        let mut texts = Vec::new();
        let mut ahead = 0;
        for (place, cell) in cells.iter().enumerate() {
            let Cell::Time { rtt, style, mark } = cell else {
                texts.push((
                    catching_up(&format!("{:>width$}", sign(cell)), &mut ahead),
                    cell.lost().unwrap_or(Style::Faint),
                ));
                continue;
            };
            let is_last = Some(place) == last;
            let time = match self {
                Self::Full | Self::Fastest => format!("  {:>8.3}{UNIT}", milliseconds(*rtt)),
                Self::Short => format!(" {:>6.2}", milliseconds(*rtt)),
            };
            texts.push((catching_up(&time, &mut ahead), *style));
            if self == Self::Short && is_last {
                texts.push((UNIT.to_owned(), Style::Faint));
                ahead += UNIT.len();
            }
            if !mark.is_empty() && (is_last || !is_joined) {
                texts.push((format!(" {mark}"), Style::Red));
                ahead += 1 + mark.chars().count();
            }
        }
        texts
    }
}

/// Returns the text of a column without as many blanks before it as what stands before took too
/// many, if it has so many and one more.
fn catching_up(text: &str, ahead: &mut usize) -> String {
    let blanks = text.len() - text.trim_start_matches(' ').len();
    let less = std::mem::take(ahead);
    text[if less < blanks { less } else { 0 }..].to_owned()
}

/// Whether all answers have the same mark.
fn have_one_mark(cells: &[&Cell]) -> bool {
    let mut marks = cells.iter().filter_map(|cell| match cell {
        Cell::Time { mark, .. } => Some(mark),
        Cell::Lost(_) | Cell::Failed(_) | Cell::InFlight => None,
    });
    marks
        .next()
        .is_some_and(|first| marks.all(|mark| mark == first))
}

/// Whether there are answers, and nothing proves any of them.
fn prove_nothing(cells: &[Cell]) -> bool {
    let is_proven = |cell: &Cell| matches!(cell, Cell::Time { mark, .. } if !mark.ends_with('?'));
    cells.iter().any(Cell::is_answer) && !cells.iter().any(is_proven)
}

/// Returns the fastest time, and how many attempts were answered if some were lost.
fn fastest(cells: &[Cell]) -> Vec<(String, Style)> {
    let answered = || cells.iter().filter(|cell| cell.is_answer());
    let lost = |cell: &Cell| match cell {
        Cell::Lost(_) | Cell::Failed(_) => 1,
        Cell::Time { .. } | Cell::InFlight => 0,
    };
    let lost: usize = cells.iter().map(lost).sum();
    let fastest = answered().min_by_key(|cell| rtt(cell));
    let mut texts = fastest
        .map(|cell| Times::Fastest.of(&[cell], false))
        .unwrap_or_default();
    if lost > 0 {
        let answered = answered().count();
        let style = cells.iter().find_map(Cell::lost).unwrap_or(Style::Faint);
        texts.push((format!(" {answered}/{}", answered + lost), style));
    }
    texts
}

fn sign(cell: &Cell) -> String {
    match cell {
        Cell::Lost(_) => "*".to_owned(),
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

/// Returns the hop's number and branch.
fn numbered(row: &Row) -> String {
    row.number
        .map_or_else(String::new, |number| format!("{number:>2}{}", row.branch))
}

impl Layout {
    /// Keeps the columns of the last lines for those that follow, since those stand for good.
    pub(super) fn keep_columns(&mut self) {
        self.kept = self.kept.or(self.chosen);
    }

    /// The lines of these rows, which stand below those of earlier calls.
    pub(super) fn lines(&mut self, rows: &[Row]) -> String {
        self.number = rows
            .iter()
            .map(|row| numbered(row).len() + 1)
            .max()
            .unwrap_or(0)
            .max(NUMBER)
            .max(self.number);
        let widest = rows
            .iter()
            .filter_map(|row| row.host.as_ref())
            .map(Host::width)
            .max()
            .unwrap_or(0);
        let (times, column) = match self.width {
            None => {
                self.column = self.column.max(widest.min(WIDEST));
                (Times::Full, self.column)
            }
            Some(width) => {
                self.column = self.column.max(widest);
                let fits = |(times, room): &(Times, usize)| {
                    self.room(rows, width, self.number, *times, false) >= *room
                };
                let kept = self.kept.filter(fits);
                let (times, room) =
                    kept.unwrap_or_else(|| self.choose(rows, width, self.number, widest));
                self.chosen = Some((times, room));
                (times, self.column.min(room))
            }
        };
        rows.iter()
            .map(|row| self.row(row, times, column))
            .collect()
    }

    /// Chooses the form of the times at this width, and the room that it leaves for hosts: the most
    /// that leaves them whole, with notes beside it rather than below.
    fn choose(&self, rows: &[Row], width: usize, number: usize, widest: usize) -> (Times, usize) {
        let room =
            |times: Times, with_notes: bool| self.room(rows, width, number, times, with_notes);
        let ways = [
            (Times::Full, true),
            (Times::Short, true),
            (Times::Full, false),
            (Times::Short, false),
        ];
        let ways = ways
            .into_iter()
            .filter(|(_, with_notes)| *with_notes || !self.notes_first);
        let mut ways = ways.map(|(times, with_notes)| (times, room(times, with_notes)));
        ways.find(|(_, room)| *room >= widest).unwrap_or_else(|| {
            // Some will be cut.
            match (
                room(Times::Full, false),
                room(Times::Short, false),
                room(Times::Short, true),
            ) {
                (_, _, short) if self.notes_first && short >= ENOUGH => (Times::Short, short),
                (full, _, _) if full >= AMPLE => (Times::Full, full),
                (_, short, _) if short >= ENOUGH => (Times::Short, short),
                _ => (Times::Fastest, room(Times::Fastest, false)),
            }
        })
    }

    /// The room that times leave for hosts, and notes if they are to stand beside them.
    fn room(
        &self,
        rows: &[Row],
        width: usize,
        number: usize,
        times: Times,
        with_notes: bool,
    ) -> usize {
        let notes = |row: &Row| {
            row.notes
                .iter()
                .map(|note| SPACE + note.chars().count())
                .sum()
        };
        let tails = rows
            .iter()
            .map(|row| width_of(&self.times(times, row)) + if with_notes { notes(row) } else { 0 });
        width.saturating_sub(1 + number + tails.max().unwrap_or(0))
    }

    /// Returns the texts behind the host of a row. On a terminal losses are counted where they are
    /// more than what was asked for. Where all answers prove nothing the hop was asked more often,
    /// and not each hop as often: there they stand first, below those of other hops, on a terminal
    /// as many as were asked for.
    fn times(&self, times: Times, row: &Row) -> Vec<(String, Style)> {
        let is_terminal = self.width.is_some();
        let lost: Vec<Style> = row.cells.iter().filter_map(Cell::lost).collect();
        let (mut shown, others): (Vec<&Cell>, Vec<&Cell>) = match prove_nothing(&row.cells) {
            true => row.cells.iter().partition(|cell| cell.is_answer()),
            false => (row.cells.iter().collect(), Vec::new()),
        };
        if is_terminal && prove_nothing(&row.cells) {
            shown.truncate(self.asked.max(1));
        }
        shown.extend(others);
        match (times, lost.first()) {
            (Times::Fastest, _) => fastest(&row.cells),
            (_, Some(style)) if is_terminal && row.cells.len() > self.asked => {
                shown.retain(|cell| cell.lost().is_none());
                let count = format!("  {} of {} lost", lost.len(), row.cells.len());
                times
                    .of(&shown, true)
                    .into_iter()
                    .chain([(count, *style)])
                    .collect()
            }
            _ => times.of(&shown, is_terminal),
        }
    }

    /// Whether the lines of these rows leave enough room for hosts, with their notes beside them.
    pub(super) fn has_room(&self, rows: &[Row]) -> bool {
        let number = rows
            .iter()
            .map(|row| numbered(row).len() + 1)
            .max()
            .unwrap_or(0)
            .max(NUMBER);
        self.width
            .is_none_or(|width| self.room(rows, width, number, Times::Short, true) > ENOUGH)
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
        let times = self.times(times, row);
        let mut line = row.style.paint(&format!("{number}{host}"), self.colours) + &padding;
        line.extend(
            times
                .iter()
                .map(|(text, style)| style.paint(text, self.colours)),
        );
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
        for extra in below
            .into_iter()
            .chain(row.appended.iter().map(String::as_str))
        {
            text += &self.wrapped(extra, self.number, &[' ', '/']);
        }
        text
    }

    /// As much of a text as fits a line.
    pub(super) fn first_line(&self, text: &str) -> String {
        let room = self
            .width
            .map_or(usize::MAX, |width| width.saturating_sub(1));
        text.chars().take(room).collect()
    }

    /// The line of one hop or several at the end of a path where nobody answered.
    pub(super) fn unanswered(&self, first: u8, last: u8, instead: &str) -> String {
        let numbers = if first == last {
            format!("{first:>2}")
        } else {
            format!("{first:>2}-{last}")
        };
        let line = self.first_line(&format!("{numbers}  {instead}"));
        format!("{}\n", Style::Faint.paint(&line, self.colours))
    }

    /// A text of one line at most.
    fn cut_end(&self, text: &str) -> String {
        let width = self
            .width
            .map_or(usize::MAX, |width| width.saturating_sub(1 + self.number));
        text.chars().take(width).collect()
    }

    /// A text, broken behind any of these characters where it is too long for a line; all lines are
    /// indented.
    pub(super) fn wrapped(&self, text: &str, indent: usize, behind: &[char]) -> String {
        let room = self
            .width
            .map_or(usize::MAX, |width| width.saturating_sub(1 + indent).max(1));
        let mut lines = vec![String::new()];
        for piece in text.split_inclusive(behind) {
            let line = lines.last().map_or(0, |line| line.chars().count());
            if line > 0 && line + piece.trim_end().chars().count() > room {
                lines.push(String::new());
            }
            for character in piece.chars() {
                // A blank that doesn't fit any more is where the line is broken.
                if character == ' '
                    && lines
                        .last()
                        .is_some_and(|line| line.chars().count() >= room)
                {
                    continue;
                }
                if lines
                    .last()
                    .is_some_and(|line| line.chars().count() >= room)
                {
                    lines.push(String::new());
                }
                if let Some(line) = lines.last_mut() {
                    line.push(character);
                }
            }
        }
        let lines = lines
            .iter()
            .map(|line| line.trim_end())
            .filter(|line| !line.is_empty());
        lines
            .map(|line| format!("{:indent$}{line}\n", ""))
            .collect()
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

    /// Returns the AS as it stands behind the address.
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
        let Some(name) = &self.name else {
            return shortened(&self.address, room, ellipsis);
        };
        let address = format!(" ({})", self.address);
        match room.checked_sub(address.chars().count()) {
            Some(left) if left >= SHORTEST_NAME.min(name.chars().count()) => {
                shortened(name, left, ellipsis) + &address
            }
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
    text.chars()
        .take(head)
        .chain([ellipsis])
        .chain(text.chars().skip(length - tail))
        .take(width)
        .collect()
}
