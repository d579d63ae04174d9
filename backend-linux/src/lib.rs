//! One-shot ICMP traceroute for Linux: the path to a host in one to two round trips.
//!
//! ```no_run
//! use hopshot_linux::Traceroute;
//!
//! let route = Traceroute::new("example.com").max_hops(8).run()?;
//! for hop in route.hops() {
//!     match hop.replies().next() {
//!         Some(reply) => println!("{:2}  {}  {:?}", hop.number(), reply.from, reply.rtt),
//!         None => println!("{:2}  *", hop.number()),
//!     }
//! }
//! # Ok::<(), hopshot_linux::Error>(())
//! ```
//!
//! [`Traceroute::start`] gives the replies as they come instead:
//!
//! ```no_run
//! # use hopshot_linux::Traceroute;
//! # use std::time::Duration;
//! for reply in Traceroute::new("example.com").attempts(3).timeout(Duration::from_secs(1)).start()? {
//!     println!("{:?}", reply?);
//! }
//! # Ok::<(), hopshot_linux::Error>(())
//! ```
//!
//! Raw sockets need the capability `CAP_NET_RAW`. Where they aren't permitted, ping sockets do the
//! same but for what [`SocketKind::Ping`] lists; where those aren't either, [`Error::Refused`] says
//! how to get one of the two. A kernel may refuse options of sockets that a trace is better with:
//! [`Running::lacks`] tells what is done without. Any number of
//! traces may run at once in a process and on a machine: each has its ident, and soon after its
//! first probes the kernel lets it see its own answers only; those of a [`Survey`] share its
//! sockets, and are told apart here.
//!
//! An RTT ends with the kernel's stamp on the answer, and begins right before the probe is sent,
//! or, with [`Traceroute::precise`], with the kernel's stamp on the probe; [`Route::clocks`] says
//! so for each. A program that does nothing else can give up its privileges before the first answer
//! is read ([`Running::confine`]), and before a name is looked up ([`Traceroute::open`]).
//!
//! The state machine and the formats are [`hopshot_core`]'s, whose views of a result are used as
//! they are.
//!
//! # Features
//! - `serde`: results are `Serialize`, as the documents that `hopshot --json` prints, and the module
//!   `document` lets a program add what it knows about addresses.
#![deny(unsafe_code)]

mod advice;
mod clock;
mod error;
pub mod inherited;
mod interface;
mod link;
mod many;
#[cfg(test)]
mod namespace;
mod neighbour;
mod netlink;
mod paths;
pub mod privilege;
mod resolve;
mod running;
mod settings;
mod socket;
mod sockets;
mod survey;
mod sys;
mod trace;
mod words;

pub use error::{Error, failure_text};
#[cfg(feature = "serde")]
pub use hopshot_engine::document;
pub use hopshot_engine::{
    AddressFamily, Changes, Clock, Clocks, Completeness, ConfigError, Edge, End, Evidence, Failure,
    Graph, Hop, HostReply, Interface, Job, Kind, Label, Limit, Loss, MAX_ATTEMPTS, MAX_HOPS,
    MAX_INTERFACES, MAX_LABELS, MAX_PATIENCE, Memory, MtuRoute, Node, NodeId, Order, Outage,
    Outcome, OwnedExtensions, Paths, ProbeId, Rejected, Reply, Role, Route, Sample, SendError,
    Shared, SocketKind, Started, Step, StopReason, Stretch, Summary, Sweep, Tally, Trial,
    printable,
};
pub use many::{Many, Routes};
pub use paths::{AllPaths, Exploration};
pub use resolve::{needs_resolver, resolve};
pub use running::Running;
pub use settings::Traceroute;
#[cfg(feature = "fuzzing")]
#[doc(hidden)]
pub use socket::fuzzing;
pub use socket::{Lack, Nicety};
pub use sockets::Sockets;
pub use survey::{HostSurvey, Survey};
pub use trace::{PathMtu, Trace};

#[cfg(doctest)]
#[doc = include_str!("../../README.md")]
mod readme {}
