//! The command as its users run it, beside programs that nearly every Linux machine has: those that
//! docs/install.md names. `with_programs` has the tests that need more.
//!
//! Tests that need network namespaces say so and skip where the kernel doesn't permit them; with
//! `HOPSHOT_NO_SKIP` in the environment they fail instead.

mod appended;
mod asn;
mod compare;
mod errors;
mod field;
mod formats;
mod learning;
mod local;
mod lookups;
mod mtu;
mod mtu_lies;
mod options;
mod outage;
mod output;
mod paths;
mod policy;
mod privileges;
mod readers;
mod refusals;
mod routes;
mod survey;
mod sweeper;
mod tcp_sockets;
mod terminal;
mod transport;
mod transport_lists;
mod udp_sockets;
mod unproven;
mod watch;
#[path = "../world/mod.rs"]
mod world;
