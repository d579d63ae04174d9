//! Which columns there is room for, and what stands in them.

use super::history::{Hop, REMEMBERED};
use hopshot_linux::document::milliseconds;
use std::time::Duration;

/// The mark, the hop's number, and a space.
const NUMBER: usize = 4;
/// The least that a host gets.
const HOST: usize = 15;
/// The least that a graph gets, with the space before it.
const GRAPH: usize = 11;

/// The columns in the order in which they get room; `None` is the graph.
const BY_USE: [Option<Column>; 8] = [
    Some(Column::Loss),
    Some(Column::Last),
    Some(Column::Average),
    None,
    Some(Column::Best),
    Some(Column::Worst),
    Some(Column::Jitter),
    Some(Column::Sent),
];

/// A column of figures.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) enum Column {
    Loss,
    Sent,
    Last,
    Best,
    Average,
    Worst,
    Jitter,
}

impl Column {
    /// All, in the order in which they stand.
    pub(crate) const ALL: [Self; 7] = [
        Self::Loss,
        Self::Sent,
        Self::Last,
        Self::Best,
        Self::Average,
        Self::Worst,
        Self::Jitter,
    ];

    pub(crate) const fn title(self) -> &'static str {
        match self {
            Self::Loss => "Loss",
            Self::Sent => "Sent",
            Self::Last => "Last",
            Self::Best => "Best",
            Self::Average => "Avg",
            Self::Worst => "Worst",
            Self::Jitter => "Jit",
        }
    }

    /// With the space before it.
    pub(crate) const fn width(self) -> usize {
        7
    }

    /// Returns the text for a hop, as wide as the column.
    pub(crate) fn of(self, hop: &Hop) -> String {
        let text = match self {
            Self::Loss if hop.lost == 0 => "0%".to_owned(),
            Self::Loss if hop.lost == hop.sent => "100%".to_owned(),
            Self::Loss => format!("{:.1}%", hop.loss()),
            Self::Sent => count(hop.sent),
            Self::Last => digits(hop.last),
            Self::Best => digits(hop.best),
            Self::Average => digits(hop.average()),
            Self::Worst => digits(hop.worst),
            Self::Jitter => digits(hop.jitter()),
        };
        format!(" {text:>width$}", width = self.width() - 1)
    }
}

/// All digits if there is room, else in thousands or millions.
fn count(number: u32) -> String {
    match number {
        0..=999_999 => number.to_string(),
        1_000_000..=99_999_999 => format!("{}k", number / 1_000),
        _ => format!("{}M", number / 1_000_000),
    }
}

/// Milliseconds with three digits or more, as there is room.
fn digits(span: Option<Duration>) -> String {
    match span.map(milliseconds) {
        None => String::new(),
        Some(ms) if ms < 9.995 => format!("{ms:.2}"),
        Some(ms) if ms < 999.95 => format!("{ms:.1}"),
        Some(ms) => format!("{ms:.0}"),
    }
}

/// The places of everything in a line.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Layout {
    pub(crate) width: u16,
    pub(crate) host: usize,
    pub(crate) columns: Vec<Column>,
    /// With the space before it; 0 for none.
    pub(crate) graph: usize,
}

impl Layout {
    /// Returns what fits a terminal this wide, with hosts of which the widest is so wide: the more
    /// useful columns first, and of the graph as much as is left.
    pub(crate) fn new(width: usize, widest: usize) -> Self {
        let least = (width * 7 / 20).max(HOST);
        let mut host = widest.clamp(HOST, least);
        let mut left = width.saturating_sub(NUMBER + host);
        let (mut columns, mut graph) = (Vec::new(), 0);
        for piece in BY_USE {
            let room = piece.map_or(GRAPH, Column::width);
            if room > left {
                break;
            }
            left -= room;
            match piece {
                Some(column) => columns.push(column),
                None => graph = GRAPH,
            }
        }
        columns.sort();
        let wider = widest.saturating_sub(host).min(left);
        host += wider;
        if graph > 0 {
            graph = (graph + left - wider).min(REMEMBERED + 1);
        } else {
            host += left - wider;
        }
        Self {
            width: u16::try_from(width).unwrap_or(u16::MAX),
            host,
            columns,
            graph,
        }
    }

    /// The same without a graph, and the figures before the host: for a report on a terminal so
    /// wide, or in a pipe.
    pub(crate) fn of_report(width: Option<usize>, widest: usize) -> Self {
        let figures =
            |columns: &[Column]| columns.iter().map(|column| column.width()).sum::<usize>();
        let width = width.unwrap_or(NUMBER + widest + figures(&Column::ALL));
        let least = HOST.min(widest);
        let mut columns: Vec<Column> = BY_USE.into_iter().flatten().collect();
        while NUMBER + least + figures(&columns) > width && columns.pop().is_some() {}
        columns.sort();
        let host = width
            .saturating_sub(NUMBER + figures(&columns))
            .min(widest)
            .max(least);
        Self {
            width: u16::try_from(width).unwrap_or(u16::MAX),
            host,
            columns,
            graph: 0,
        }
    }

    /// The width of a line.
    pub(crate) fn line(&self) -> usize {
        let figures: usize = self.columns.iter().map(|column| column.width()).sum();
        NUMBER + self.host + figures + self.graph
    }

    /// The titles of all columns, as wide as the terminal.
    pub(crate) fn header(&self) -> String {
        let mut header = format!("{:NUMBER$}{:host$}", "", "Host", host = self.host);
        for column in &self.columns {
            header += &format!(" {:>width$}", column.title(), width = column.width() - 1);
        }
        if self.graph > 0 {
            header += " Last RTTs";
        }
        format!("{header:width$}", width = self.width.into())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn titles(width: usize, widest: usize) -> String {
        let layout = Layout::new(width, widest);
        let columns: Vec<&str> = layout.columns.iter().map(|column| column.title()).collect();
        format!("{} {} {}", layout.host, columns.join(" "), layout.graph)
    }

    #[test]
    fn a_narrow_terminal_has_fewer_columns_and_a_wide_one_more_of_the_graph() {
        let expected = [
            (20, "16  0"),
            (30, "19 Loss 0"),
            (40, "15 Loss Last Avg 0"),
            (60, "24 Loss Last Avg 11"),
            (80, "30 Loss Last Best Avg Worst 11"),
            (120, "40 Loss Sent Last Best Avg Worst Jit 27"),
            (200, "40 Loss Sent Last Best Avg Worst Jit 107"),
        ];
        for (width, shown) in expected {
            assert_eq!(titles(width, 40), shown, "{width}");
        }
        assert_eq!(titles(80, 12), "15 Loss Sent Last Best Avg Worst Jit 12");
    }

    #[test]
    fn a_line_is_never_wider_than_the_terminal_but_where_not_even_a_host_fits() {
        for width in 0..400 {
            for widest in [0, 15, 39, 260] {
                let layout = Layout::new(width, widest);
                assert!(
                    layout.line() <= width.max(NUMBER + HOST),
                    "{width} {widest} {layout:?}"
                );
            }
        }
    }

    #[test]
    fn a_report_keeps_its_figures_and_cuts_the_hosts() {
        let report = |width, widest| {
            let layout = Layout::of_report(width, widest);
            (layout.host, layout.columns.len())
        };
        assert_eq!(
            [report(None, 90), report(None, 11), report(Some(200), 31)],
            [(90, 7), (11, 7), (31, 7)]
        );
        assert_eq!(
            [report(Some(80), 31), report(Some(64), 11)],
            [(27, 7), (11, 7)]
        );
        assert_eq!(
            [
                report(Some(68), 31),
                report(Some(67), 31),
                report(Some(10), 31)
            ],
            [(15, 7), (21, 6), (15, 0)]
        );
    }

    #[test]
    fn a_count_has_all_digits_until_there_is_no_room() {
        assert_eq!(
            [0, 999_999, 1_000_000, 99_999_999, 100_000_000, u32::MAX].map(count),
            ["0", "999999", "1000k", "99999k", "100M", "4294M"]
        );
    }

    #[test]
    fn times_have_the_digits_that_there_is_room_for() {
        let text = |ms: f64| digits(Some(Duration::from_secs_f64(ms / 1e3)));
        assert_eq!(
            [0.123, 9.99, 9.996, 123.45, 999.96, 12_345.6].map(text),
            ["0.12", "9.99", "10.0", "123.5", "1000", "12346"]
        );
    }
}
