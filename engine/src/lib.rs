//! Many one-shot traceroutes at once, without an operating system.
//!
//! A [`Link`] is the machine that probes leave from: [`hopshot_core`] decides what to send and what
//! an answer proves, the engine runs any number of traces on the ports of a link, and shares among
//! them what they learn. On Linux the link is that of the crate `hopshot-linux`; its tests have a
//! simulated internet on virtual time.
//!
//! - [`Trace`]: one trace.
//! - [`Survey`]: a list of hosts that nothing can lose or poison.
//! - [`Exploration`]: all paths that load balancers share traffic over.
//! - [`PathMtu`]: the largest packets that a path carries.
//! - [`Compare`]: one host by several protocols, or over both families, and what differs.
//!
//! Each is a [`Job`]: its caller may sleep in it, or bring an event loop.
//!
//! # Features
//! - `serde`: results are `Serialize`, as the documents that `hopshot --json` prints, and the module
//!   `document` lets a program add what it knows about addresses.
#![forbid(unsafe_code)]
#![warn(missing_debug_implementations)]
// As in core, but for arithmetic: a count that overflows ends the process.
#![cfg_attr(
    not(test),
    deny(
        clippy::indexing_slicing,
        clippy::unwrap_used,
        clippy::expect_used,
        clippy::panic,
        clippy::unreachable,
        clippy::as_conversions,
        clippy::string_slice
    )
)]

mod checks;
mod compare;
mod departures;
mod distance;
#[cfg(feature = "serde")]
pub mod document;
mod driver;
mod error;
mod extensions;
mod failure;
#[cfg(test)]
mod fake;
mod health;
mod identities;
mod inside;
mod job;
pub mod link;
mod memory;
mod next_hop;
mod order;
mod pace;
mod path_mtu;
mod paths;
mod per_family;
mod printable;
#[cfg(test)]
mod properties;
mod protocol;
mod quoted_syn;
mod rejected;
mod route;
mod running;
mod schedule;
mod settings;
mod shared;
mod storage;
mod summary;
mod survey;
mod trace;
mod trace_id;
mod uplink;

#[doc(hidden)]
pub use checks::Proxy;
pub use compare::{
    Compare, ComparePaths, Compared, Comparison, Difference, ExploredSide, Lossier, Parting,
    PathsComparison, Refusal, RouterSet, Side, SideEnd, SidePlan, Slower, Unheard, Unproven,
    Verdict, Way,
};
pub use driver::Driver;
pub use driver::Step;
pub use error::{Fault, LinkError};
pub use extensions::{MAX_INTERFACES, MAX_LABELS, OwnedExtensions, OwnedInterface, OwnedNodeId};
pub use failure::failure_text;
pub use hopshot_core::wire::AddressFamily;
pub use hopshot_core::wire::extensions::{Label, Role};
pub use hopshot_core::{
    Changes, ConfigError, Evidence, Failure, Hop, Kind, Loss, MAX_ATTEMPTS, MAX_HOPS, MAX_PATIENCE,
    Outcome, ProbeId, Reply, SendError, StopReason, Sweep, Tally,
};
pub use hopshot_core::{TcpOptions, UdpPayload};
pub use inside::{Inside, Mechanism, owner};
pub use job::Job;
pub use link::{Clock, Clocks, Link, SocketKind};
pub use memory::Memory;
pub use order::Order;
pub use path_mtu::{Limit, MtuRoute, PathMtu, Stretch, Trial};
pub use paths::{Completeness, Edge, End, Exploration, Graph, Node, Paths, Thoroughness};
pub use printable::{is_obeyed, printable};
pub use protocol::{ProbeProtocol, Probes, TargetAnswer};
pub use quoted_syn::QuotedSyn;
pub use rejected::Rejected;
pub use route::{HostReply, Route};
pub use settings::{ProbeSettings, specified};
pub use shared::{Sample, SharedHop};
pub use summary::{Reasons, Summary};
pub use survey::{AT_ONCE, DEFAULT_RATE, Outage, Started, Survey};
pub use trace::Trace;
