//! The command beside programs that not every machine has: nft, Python, dnsmasq, a server of QUIC,
//! tmux, traceroute, setcap.
//! `cargo test --workspace` leaves these tests out;
//!
//!     cargo test --workspace --test with_programs
//!
//! runs them. Where one of the programs is missing its tests fail.

mod asn;
mod cgroups;
mod firewall;
mod guesser;
mod lookups;
mod middleboxes;
mod needs;
mod outage;
mod outage_ends;
mod outage_of_names;
mod tcp_sockets;
mod terminal;
mod traceroute;
mod transport;
// `end_to_end` uses the rest.
#[allow(dead_code)]
#[path = "../world/mod.rs"]
mod world;
