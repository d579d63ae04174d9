//! The bodies of the fuzz targets: plain functions of octets that panic when hopshot breaks a
//! promise.
//!
//! `cargo test` replays the seeds in `fuzz/corpus` and some thousands of made-up inputs through
//! each on stable; `cargo fuzz run TARGET` looks for more (nightly, or stable with
//! `RUSTC_BOOTSTRAP=1`).

pub mod config;
pub mod differential;
mod ends;
pub mod error_queue;
pub mod helper;
pub mod list;
mod packets;
pub mod parse;
pub mod path;
pub mod round_trip;
pub mod survey;
pub mod tracer;
mod watched;
mod written;

// The command is a program, which nothing can depend on: so these files of it are compiled here
// once more.
#[allow(dead_code)]
#[path = "../../../cli/src/args/config/lines.rs"]
mod config_lines;
#[allow(dead_code)]
#[path = "../../../cli/src/console/escape.rs"]
mod console;
#[allow(dead_code)]
#[path = "../../../cli/src/targets/lines.rs"]
mod list_lines;

/// What a target does with its input.
pub type Body = fn(&[u8]);

/// Every target by name.
pub const TARGETS: [(&str, Body); 10] = [
    ("parse", parse::body),
    ("round_trip", round_trip::body),
    ("differential", differential::body),
    ("tracer", tracer::body),
    ("path", path::body),
    ("error_queue", error_queue::body),
    ("helper", helper::body),
    ("list", list::body),
    ("config", config::body),
    ("survey", survey::body),
];
