//! What is on the wire and shouldn't be, and what is rightly there but easily misread. The numbers are those of the table in
//! `src/hostile.md`.

mod burst;
mod extensions;
mod forgery;
mod matching;
mod meaning;
#[path = "../network/mod.rs"]
mod network;
mod proof;
mod quoted;
mod sending;
