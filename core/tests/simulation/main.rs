//! The tracer in the simulated internet, on virtual time: thousands of whole traces in seconds.

mod bound;
mod figures;
mod promises;
mod scenarios;
mod world;
