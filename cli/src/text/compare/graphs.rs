//! All paths of each side as text: the graph of each under its name, then where routers differ.

use crate::names::Names;
use crate::text::graph::fitting;
use crate::text::paint::Style;
use crate::text::view::View;
use crate::units::counted;
use hopshot_linux::compare::{PathsComparison, Side};
use hopshot_linux::paths::Graph;
use std::io;

impl View {
    /// Draws what is known so far of each side, if this is a terminal: as much of it as there is
    /// room for.
    pub(crate) fn graphs_update(
        &mut self,
        graphs: &[(Side, Graph)],
        flows: usize,
        names: &Names,
    ) -> io::Result<()> {
        self.fit_terminal();
        let Some(height) = self.height else {
            return Ok(());
        };
        let mut text = String::new();
        for (side, graph) in graphs.iter().filter(|(_, graph)| !graph.nodes().is_empty()) {
            text += &self.title(*side);
            text += &self.graph_lines(graph, names, &[]);
        }
        let flows = counted(flows as u64, "flow");
        let text = fitting(text, height, |count| {
            self.sentence(&format!("{count} more lines, {flows}"))
        });
        if text == self.drawn {
            Ok(())
        } else {
            self.draw("", &text)
        }
    }

    /// Prints the graph of each side, and where routers differ.
    pub(crate) fn graphs_finish(
        &mut self,
        comparison: &PathsComparison,
        max_hops: u8,
        names: &Names,
    ) -> io::Result<()> {
        let mut text = String::new();
        for side in comparison.sides() {
            if let Ok(paths) = &side.paths {
                text += &self.title(side.side);
                self.target = paths.summary().target;
                text += &self.graph_text(paths, max_hops, names);
            }
        }
        for sentence in comparison.sentences() {
            text += &self.sentence(&sentence);
        }
        self.draw(&text, "")
    }

    /// The name of a side. Its probes are those that a line tells how to repeat.
    fn title(&mut self, side: Side) -> String {
        if let Side::Protocol(protocol) = side {
            self.protocol = protocol;
        }
        Style::Strong.paint(&side.to_string(), self.layout.colours) + "\n"
    }
}
