//! One-shot ICMP traceroute for Linux: the path to a host in one to two round trips.
//!
//! ```no_run
//! use hopshot_linux::Settings;
//!
//! let route = Settings::new().max_hops(8).trace("example.com").run()?;
//! for hop in route.hops() {
//!     match hop.replies().next() {
//!         Some(reply) => println!("{:2}  {}  {:?}", hop.number(), reply.from, reply.rtt),
//!         None => println!("{:2}  *", hop.number()),
//!     }
//! }
//! # Ok::<(), hopshot_linux::Error>(())
//! ```
//!
//! [`Settings`] hold for any host. Each job has a method of theirs, and a module with what it
//! returns:
//!
//! | job | method | result |
//! | --- | --- | --- |
//! | one trace | [`trace`](Settings::trace) | [`Route`] |
//! | many traces at once | [`many`](Settings::many) | a [`Route`] for each host: [`survey`] |
//! | all paths | [`paths`](Settings::paths) | [`Paths`](paths::Paths): [`paths`] |
//! | the largest packets | [`path_mtu`](Settings::path_mtu) | [`MtuRoute`](path_mtu::MtuRoute): [`path_mtu`] |
//! | several protocols | [`compare`](Settings::compare) | [`Comparison`](compare::Comparison): [`compare`] |
//! | all paths by several | [`compare_paths`](Settings::compare_paths) | [`PathsComparison`](compare::PathsComparison) |
//!
//! `run` does all of it. `start` returns a [`Running`] job, for a loop of one's own or for an event
//! loop; that of a trace gives the replies as they come:
//!
//! ```no_run
//! # use hopshot_linux::Settings;
//! # use std::time::Duration;
//! let settings = Settings::new().attempts(3).timeout(Duration::from_secs(1));
//! for reply in settings.trace("example.com").start()? {
//!     println!("{:?}", reply?);
//! }
//! # Ok::<(), hopshot_linux::Error>(())
//! ```
//!
//! Raw sockets need the capability `CAP_NET_RAW`. Where they aren't permitted, ping sockets do the
//! same but for what [`SocketKind::Ping`] lists, and for UDP and TCP sockets of that protocol, but
//! for what [`SocketKind::Udp`] and [`SocketKind::Tcp`] list; where those aren't either,
//! [`Error::Refused`] says how to get one of the two. A kernel may refuse options of sockets that a
//! trace is better with: [`Running::lacks`] tells what is done without. Any number of traces may
//! run at once in a process and on a machine: each has its ident, and soon after its first probes
//! the kernel lets it see its own answers only; those of a [`Survey`](survey::Survey) share its
//! sockets, and are told apart here.
//!
//! An RTT ends with the kernel's stamp on the answer, and begins right before the probe is sent,
//! or, with [`Settings::precise`], with the kernel's stamp on the probe; [`Route::clocks`] says so
//! for each. A program that does nothing else can give up its privileges before the first answer is
//! read ([`Running::confine`]), and before a name is looked up ([`Plan::open`]).
//!
//! The state machine and the formats are [`hopshot_core`]'s, whose views of a result are used as
//! they are.
//!
//! # Features
//! - `lookup`: the names of addresses and their ASes, in the module `lookup`.
//! - `serde`: results are `Serialize`, as the documents that `hopshot --json` prints, and the module
//!   `document` lets a program add what it knows about addresses.
#![deny(unsafe_code)]
#![warn(missing_debug_implementations)]

mod advice;
mod bell;
mod clock;
pub mod compare;
mod epoll;
mod error;
pub mod inherited;
mod interface;
mod link;
mod list;
#[cfg(feature = "lookup")]
pub mod lookup;
mod lookups;
mod many;
#[cfg(test)]
mod namespace;
mod neighbour;
mod netlink;
pub mod path_mtu;
pub mod paths;
mod plan;
pub mod privilege;
mod refusal;
mod resolve;
mod running;
mod settings;
mod socket;
mod sockets;
mod sys;
mod threads;
mod trace;
mod words;

pub use error::{Error, failure_text};
#[cfg(feature = "serde")]
pub use hopshot_engine::document;
pub use hopshot_engine::{
    AddressFamily, Changes, Clock, Clocks, ConfigError, Evidence, Failure, Hop, HostReply, Inside,
    Job, Kind, Loss, MAX_ATTEMPTS, MAX_HOPS, MAX_PATIENCE, Mechanism, Memory, Outcome, ProbeId,
    ProbeProtocol, Proxy, QuotedSyn, Reasons, Rejected, Reply, Route, SendError, SocketKind, Step,
    StopReason, Summary, Sweep, Tally, TargetAnswer, TcpOptions, UdpPayload, is_obeyed, printable,
};
pub use plan::{Opened, Plan, PlanKind};
pub use resolve::{needs_resolver, resolve};
pub use running::Running;
pub use settings::Settings;
#[cfg(feature = "fuzzing")]
#[doc(hidden)]
pub use socket::fuzzing;
pub use socket::{Lack, Nicety};
pub use sockets::Sockets;
pub use threads::Threads;
pub use trace::{SingleTrace, Trace};

/// Many traces at once: a [`Survey`](survey::Survey) for loops of one's own, [`Many`](survey::Many)
/// and [`Routes`](survey::Routes) as an iterator.
pub mod survey {
    pub use crate::list::{HostSurvey, Survey};
    pub use crate::many::{Many, Routes};
    pub use hopshot_engine::{Order, Outage, Sample, SharedHop, Started};
}

/// Extensions of answers: MPLS labels, interfaces and what routers call themselves.
pub mod extensions {
    pub use hopshot_engine::{
        Label, MAX_INTERFACES, MAX_LABELS, OwnedExtensions, OwnedInterface, OwnedNodeId, Role,
    };
}

#[cfg(doctest)]
#[doc = include_str!("../../README.md")]
mod readme {}
