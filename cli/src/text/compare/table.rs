//! The table of a comparison: a line for each address of a hop, a column for each side.

use crate::text::layout::Layout;
use crate::text::paint::Style;
use crate::text::row::Host;
use hopshot_linux::document::milliseconds;
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
pub(super) struct Line {
    /// Of the hop, in its first line.
    pub(super) number: Option<u8>,
    pub(super) host: Option<Host>,
    pub(super) style: Style,
    /// One for each side.
    pub(super) cells: Vec<Cell>,
}

/// The text of a side at an address.
#[derive(Clone)]
pub(super) enum Cell {
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

/// The table, as wide as there is room for.
pub(super) fn written(layout: &Layout, titles: &[&str], lines: &[Line]) -> String {
    let hosts = lines.iter().filter_map(|line| line.host.as_ref());
    let is_drawn = layout.width.is_some();
    let usual = if is_drawn { layout.column } else { 0 };
    let widest = hosts.map(Host::width).max().unwrap_or(0).max(usual);
    let widths = |times: Times| -> Vec<usize> {
        let least = if is_drawn { times.usual() } else { 0 };
        let width = |(place, title): (usize, &&str)| {
            let cells = lines.iter().filter_map(|line| line.cells.get(place));
            let widest = cells.map(|cell| cell.text(times).0.chars().count()).max();
            SPACE + widest.unwrap_or(0).max(title.chars().count()).max(least)
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

impl Times {
    /// The width of times below a second. On a terminal columns are as wide from the start, so that
    /// they stay where they are while the table fills.
    const fn usual(self) -> usize {
        match self {
            Self::Full => "100.000 ms".len(),
            Self::Short => "100.0 ms".len(),
            Self::Bare => "100.0".len(),
        }
    }
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
