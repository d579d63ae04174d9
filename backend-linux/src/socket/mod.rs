//! Sockets that send probes with a hop limit of their own each, and receive what comes back.
//!
//! [`raw`] sockets see whole ICMP messages and need the privilege `CAP_NET_RAW`. [`ping`] sockets
//! need none where the administrator permits them, and see less; [`udp`] sockets never need any.
//! [`unprivileged`] is what the two have in common. Nor do [`tcp`] sockets, of which each sends one
//! probe at a time.

mod arrival;
mod filter;
mod first_link;
#[cfg(feature = "fuzzing")]
pub mod fuzzing;
mod held_port;
mod needs;
mod one_port;
mod options;
mod pair;
mod ping;
mod queue;
mod raw;
mod sender;
mod sources;
mod spares;
mod tcp;
#[cfg(test)]
mod tests;
mod udp;
mod unprivileged;

pub(crate) use arrival::Arrival;
pub(crate) use filter::AnswerKey;
pub(crate) use first_link::FirstLink;
pub(crate) use held_port::HeldPort;
pub use needs::{Lack, Nicety};
pub(crate) use options::{OpenError, Options, files_permitted};
pub(crate) use pair::Socket;
pub(crate) use sources::Sources;
pub(crate) use spares::Spares;
