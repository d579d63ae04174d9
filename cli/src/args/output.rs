//! What is shown, and how.

use clap::Args;

/// The options that shape the output.
#[derive(Debug, Args)]
#[command(next_help_heading = "Output")]
pub(crate) struct Output {
    /// Don't look up the names of addresses
    #[arg(short)]
    pub(crate) numeric: bool,

    /// Show what routers append to their answers: MPLS labels, interfaces
    #[arg(short)]
    pub(crate) extensions: bool,

    /// Print a JSON document, for several hosts one a line
    #[arg(long)]
    pub(crate) json: bool,

    /// Say on standard error which kind of socket is used, what could not be confined, and what was rejected
    #[arg(short, long)]
    pub(crate) verbose: bool,
}
