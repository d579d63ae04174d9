//! What is shown, and how.

use clap::{Args, ValueEnum};
use std::env;
use std::io::{self, IsTerminal};

/// The options that shape the output.
#[derive(Debug, Args)]
#[command(next_help_heading = "Output")]
pub(crate) struct Output {
    /// Don't look up the names of addresses
    #[arg(short)]
    pub(crate) numeric: bool,

    /// Show what routers append: MPLS labels, interfaces
    #[arg(short)]
    pub(crate) extensions: bool,

    /// Colour times by how much later they are than those of the hop before
    #[arg(long, value_name = "WHEN", value_enum, default_value_t = Colour::Auto)]
    color: Colour,

    /// Print a JSON document, for several hosts one a line
    #[arg(long)]
    pub(crate) json: bool,

    /// Say on standard error which kind of socket is used, what could not be confined, and what was rejected
    #[arg(short, long)]
    pub(crate) verbose: bool,
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
    /// Whether the text on standard output is coloured (<https://no-color.org>).
    pub(crate) fn colours(&self) -> bool {
        match self.color {
            Colour::Always => true,
            Colour::Never => false,
            Colour::Auto => {
                let is_wanted = env::var_os("NO_COLOR").is_none_or(|value| value.is_empty());
                is_wanted && io::stdout().is_terminal() && env::var_os("TERM").is_none_or(|term| term != "dumb")
            }
        }
    }
}
