//! What is on the wire and shouldn't be, and what is rightly there but easily misread. The numbers
//! are those of the table in `src/hostile.md`. Beside them: how long a trace waits and what it asks
//! for, to the nanosecond and the last probe.

mod burst;
mod extensions;
mod forgery;
mod matching;
mod meaning;
#[path = "../network/mod.rs"]
mod network;
mod patience;
mod plan;
mod proof;
mod protocol;
mod quoted;
mod room;
mod sending;
mod texts;
mod views;
