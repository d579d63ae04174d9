//! A path that is watched.

use super::values::{number, seconds};
use clap::Args;
use std::time::Duration;

/// The options that make it be watched.
#[derive(Debug, Args)]
#[command(next_help_heading = "Output")]
pub(crate) struct Watching {
    /// Trace again and again: a live view of loss and changes
    #[arg(long, conflicts_with_all = ["targets", "mtu"])]
    pub(crate) watch: bool,

    /// The time from one round to the next, 0.1 to 3600
    #[arg(long, value_name = "SECONDS", default_value = "1", value_parser = seconds(0.1..=3600.0))]
    pub(crate) every: Duration,

    /// End after N rounds with the report; without a terminal, which has no view, this must be
    /// given
    #[arg(long, value_name = "N", value_parser = number(1..=u32::MAX, "rounds"))]
    pub(crate) count: Option<u32>,
}
