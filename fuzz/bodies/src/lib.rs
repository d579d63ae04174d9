//! The bodies of the fuzz targets: plain functions of octets that panic when hopshot-core breaks a promise.
//!
//! `cargo test` replays the seeds in `corpus/` and some thousands of made-up inputs through each on stable;
//! `cargo fuzz run TARGET --features libfuzzer` looks for more (nightly, or stable with `RUSTC_BOOTSTRAP=1`).

pub mod differential;
mod ends;
mod packets;
pub mod parse;
pub mod path;
pub mod round_trip;
pub mod tracer;
mod watched;

/// What a target does with its input.
pub type Body = fn(&[u8]);

/// Every target by name.
pub const TARGETS: [(&str, Body); 5] = [
    ("parse", parse::body),
    ("round_trip", round_trip::body),
    ("differential", differential::body),
    ("tracer", tracer::body),
    ("path", path::body),
];
