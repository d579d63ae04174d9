//! The first line of a trace, and the last: where from, how it ended, when.

use super::view::{View, hops_max};
use crate::console::print;
use crate::reading::was_tried;
use crate::units::{A_FLOW_EACH, counted, date, port};
use hopshot_linux::path_mtu::MtuRoute;
use hopshot_linux::{Hop, Loss, Route, Summary};
use std::io;
use std::net::IpAddr;

/// Before what goes on below.
const INDENT: usize = 4;

impl View {
    /// Prints the first line. The flow is for those who want to trace the same path again; `None`
    /// if each probe has one of its own.
    pub(crate) fn header(
        &mut self,
        host: &str,
        source: IpAddr,
        flow: Option<u16>,
        max_hops: u8,
    ) -> io::Result<()> {
        let flow = match (flow, self.protocol.port()) {
            (None, _) => Some(A_FLOW_EACH.to_owned()),
            (Some(_), _) if !self.is_verbose => None,
            (Some(flow), Some(_)) => Some(format!("source port {flow}")),
            (Some(flow), None) => Some(format!("flow {flow}")),
        };
        let parts = [
            format!("traceroute to {host} ({})", self.target),
            hops_max(max_hops),
        ];
        print(
            self.parts(
                parts
                    .into_iter()
                    .chain(port(self.protocol))
                    .chain([format!("from {source}")])
                    .chain(flow),
            )
            .as_bytes(),
        )
    }

    /// Joins parts of a line by commas. A part that doesn't fit goes on a line of its own.
    pub(super) fn parts(&self, parts: impl IntoIterator<Item = String>) -> String {
        let room = self.layout.width.unwrap_or(usize::MAX);
        let mut text = String::new();
        let mut end = 0;
        for part in parts {
            let width = part.chars().count();
            // A comma stands before it, and may stand behind it.
            if end > 0 && end + 2 + width + 1 >= room {
                text.push_str(",\n");
                text.extend(std::iter::repeat_n(' ', INDENT));
                end = INDENT;
            } else if end > 0 {
                text.push_str(", ");
                end += 2;
            }
            text.push_str(&part);
            end += width;
        }
        // One part alone may be too long.
        text.lines().map(|line| self.sentence_below(line)).collect()
    }

    /// A line that keeps its indent where it is broken.
    fn sentence_below(&self, line: &str) -> String {
        let indent = line.len() - line.trim_start().len();
        self.layout.wrapped(line.trim_start(), indent, &[' '])
    }

    /// Says how a trace ended that was shown: for people, on a terminal and with -v.
    pub(crate) fn conclude(&self, route: &Route) -> io::Result<()> {
        if !was_tried(route) {
            return Ok(());
        }
        let target = route
            .hops()
            .find(|hop| Some(hop.number()) == route.distance());
        let (reached, there) = match (route.distance(), target) {
            (Some(1), target) => (Some("1 hop".to_owned()), target.map(loss)),
            (Some(distance), target) => (Some(format!("{distance} hops")), target.map(loss)),
            (None, _) => (None, None),
        };
        let probes = counted(route.summary().probes_sent as u64, "probe");
        self.summarize(
            reached.into_iter().chain([probes]).chain(there),
            route.summary(),
        )
    }

    /// Says how a search for the path MTU ended.
    pub(crate) fn conclude_search(&self, route: &MtuRoute) -> io::Result<()> {
        let summary = route.summary();
        self.summarize([counted(summary.probes_sent as u64, "probe")], summary)
    }

    /// Prints parts of the last line, if it is wanted, and then how long it took and when it was.
    fn summarize(
        &self,
        parts: impl IntoIterator<Item = String>,
        summary: &Summary,
    ) -> io::Result<()> {
        if !self.is_summed_up() {
            return Ok(());
        }
        let time = format!("{:.2} s", summary.duration.as_secs_f64());
        print(
            self.parts(parts.into_iter().chain([time, date(summary.started)]))
                .as_bytes(),
        )
    }

    /// Whether the last line says when it was: not in a pipe, where programs may read it.
    pub(super) const fn is_summed_up(&self) -> bool {
        self.is_verbose || self.size.is_some()
    }
}

/// The loss at a hop, in words.
fn loss(hop: Hop<'_>) -> String {
    match hop.loss() {
        Loss { lost: 0, .. } => "no loss at the target".to_owned(),
        Loss { sent, lost, .. } => format!("{lost} of {sent} lost at the target"),
    }
}
