//! What is shown, and how.

use crate::console::can_draw;
use clap::{Args, ValueEnum};
use std::env;
use std::io;

/// The options that shape the output.
#[derive(Debug, Args)]
#[command(next_help_heading = "Output")]
pub(crate) struct Output {
    /// Don't look up the names of addresses
    #[arg(short, long, visible_alias = "no-dns")]
    pub(crate) numeric: bool,

    /// Show what routers append: MPLS labels, interfaces
    ///
    /// Refused with --paths, --watch and the formats svg and dot, which have no place for it. JSON
    /// and CSV have it without.
    #[arg(short, long)]
    pub(crate) extensions: bool,

    /// Colour times by how much later they are than those of the hop before
    #[arg(long, value_name = "WHEN", value_enum, default_value_t = Colour::Auto)]
    color: Colour,

    /// How the result is written
    #[arg(long, value_name = "FORMAT", value_enum, default_value_t = Format::Text)]
    format: Format,

    /// Print a JSON document, for several hosts one a line
    #[arg(long, conflicts_with_all = ["format", "json_stream"])]
    json: bool,

    /// Print a line of JSON for whatever happens, when it does
    #[arg(long, conflicts_with = "format")]
    json_stream: bool,

    /// Say on standard error which kind of socket is used, what could not be confined, and what
    /// was rejected
    #[arg(short, long)]
    pub(crate) verbose: bool,
}

/// How the result is written.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub(crate) enum Format {
    /// Lines for people
    Text,
    /// A JSON document for each host
    Json,
    /// JSON lines as it happens, from begin to end
    JsonStream,
    /// RIPE Atlas traceroute results, one a line
    Atlas,
    /// A table for programs, a row for each probe
    Csv,
    /// A graph for Graphviz, of all hosts together
    Dot,
    /// A picture, of one host
    Svg,
    /// A table for documents
    Markdown,
}

/// When to use colours.
#[derive(Clone, Copy, Debug, ValueEnum)]
enum Colour {
    /// On a terminal, unless NO_COLOR is set
    Auto,
    /// Always
    Always,
    /// Never
    Never,
}

impl Output {
    /// How the result is written.
    pub(crate) const fn format(&self) -> Format {
        match (self.json, self.json_stream) {
            (true, _) => Format::Json,
            (_, true) => Format::JsonStream,
            (false, false) => self.format,
        }
    }

    /// Whether the text on standard output is coloured (<https://no-color.org>).
    pub(crate) fn colours(&self) -> bool {
        match self.color {
            Colour::Always => true,
            Colour::Never => false,
            Colour::Auto => {
                let is_wanted = env::var_os("NO_COLOR").is_none_or(|value| value.is_empty());
                is_wanted && can_draw(&io::stdout())
            }
        }
    }
}
