//! A one-shot ICMP traceroute, as a library that does no I/O.
//!
//! Classic traceroute asks one hop after the other. This one sends its probes to all hops at once:
//! the path to a host is known after one to two round trips. What is here is everything of it that
//! isn't a socket or a clock, for any network stack, with or without an operating system: `no_std`,
//! no allocation, no `unsafe`, and nothing in it panics.
//!
//! # How it fits together
//!
//! ```text
//! Config, Echo -> Tracer::poll -> octets -> your socket ...
//!    ... your socket -> octets -> Tracer::handle -> Reply -> RouteView
//! ```
//!
//! [`Config`] says what to trace, [`Echo`] what the probes are. [`Tracer`] is the state machine:
//! [`poll`](Tracer::poll) writes the next probe into your buffer, or says until when there is
//! nothing to do; [`handle`](Tracer::handle) takes each ICMP message that arrives, whoever sent it,
//! and finds the probe that it answers; [`route`](Tracer::route) is a view of what is known so far.
//! Probes may be of TCP or UDP as well: [`Tcp`] and [`Udp`] in place of [`Echo`], each linked only
//! where it is named.
//!
//! One packet in gives at most one reply out, so there is no queue and no callback, and time comes
//! in as an argument, so a hardware timer, a kernel timestamp and a simulation are the same thing.
//!
//! # The loop
//!
//! Yours to write, around whatever your stack calls a socket. Two rules make the figures right:
//! read everything that has arrived before you send, and read the clock right before each `poll`.
//!
//! ```
//! # use std::collections::VecDeque;
//! # use std::net::IpAddr;
//! # use std::time::Duration;
//! # use hopshot_core::wire::{Ends, icmp};
//! use hopshot_core::{Action, Arrival, Config, Echo, Instant, Tracer};
//!
//! # /// A made-up network: two routers, then the target, 1 ms from hop to hop.
//! # struct Network { me: IpAddr, target: IpAddr, now: Instant, answers: VecDeque<(Arrival, Vec<u8>)> }
//! # impl Network {
//! #     fn now(&self) -> Instant { self.now }
//! #     fn sleep_until(&mut self, at: Instant) {
//! #         let first = self.answers.iter().map(|(arrival, _)| arrival.at).min();
//! #         self.now = first.map_or(at, |first| first.min(at)).max(self.now);
//! #     }
//! #     fn send(&mut self, hop_limit: u8, message: &[u8]) {
//! #         let ends = Ends { source: self.me, destination: self.target };
//! #         let icmp::Message::EchoRequest(echo) = icmp::Message::parse(ends, message).unwrap() else { panic!() };
//! #         let hop = hop_limit.min(3);
//! #         let mut quoted = [0; 512];
//! #         let header = hopshot_core::wire::ip::Header { ends, hop_limit: 1, traffic_class: 0, protocol: 1 };
//! #         let len = header.emit(message.len(), &mut quoted).unwrap();
//! #         quoted[len..len + message.len()].copy_from_slice(message);
//! #         let (from, answer) = match hop {
//! #             3 => (self.target, icmp::Message::EchoReply(echo)),
//! #             _ => (IpAddr::from([192, 0, 2, hop]), icmp::Message::Error(icmp::Error {
//! #                 icmp_type: icmp::Type::TimeExceeded, code: 0, rest: 0, quoted: &quoted[..len + 8],
//! #             })),
//! #         };
//! #         let mut octets = vec![0; 512];
//! #         let len = answer.emit(Ends { source: from, destination: self.me }, &mut octets).unwrap();
//! #         octets.truncate(len);
//! #         let at = self.now.saturating_add(Duration::from_millis(hop.into()));
//! #         self.answers.push_back((Arrival { at, from, hop_limit: Some(64) }, octets));
//! #     }
//! #     fn receive(&mut self) -> Option<(Arrival, Vec<u8>)> {
//! #         let due = self.answers.iter().position(|(arrival, _)| arrival.at <= self.now)?;
//! #         self.answers.remove(due)
//! #     }
//! # }
//! # let target = IpAddr::from([198, 51, 100, 7]);
//! # let random = *b"0123456789abcdef";
//! # let mut network = Network { me: [192, 0, 2, 100].into(), target, now: Instant::EPOCH, answers: VecDeque::new() };
//! // Room for 64 probes. `random` is 16 octets that nobody else can know.
//! let config = Config { max_hops: 16, ..Config::new(target) };
//! let mut tracer = Tracer::<64>::new(config, Echo::new(random))?;
//! let mut buf = [0; Echo::DEFAULT_MESSAGE_LEN];
//! loop {
//!     while let Some((arrival, message)) = network.receive() {
//!         match tracer.handle(arrival, &message) {
//!             Ok(heard) => println!("{} {} {:?}", heard.reply.probe.hop, heard.reply.from, heard.reply.rtt),
//!             Err(_) => {} // not an answer to us: ordinary
//!         }
//!     }
//!     match tracer.poll(network.now(), &mut buf)? {
//!         Action::Transmit(probe) => network.send(probe.hop_limit, probe.message),
//!         Action::Wait(until) => network.sleep_until(until), // or until something arrives
//!         Action::Done => break,
//!     }
//! }
//! assert_eq!(tracer.route().distance(), Some(3));
//! # assert_eq!(network.now, Instant::from_millis(3));
//! # Ok::<(), Box<dyn std::error::Error>>(())
//! ```
//!
//! # The modules
//!
//! In the order in which they build on each other:
//!
//! - `time` reckons with instants, [`wire`] with octets. `probe` names a probe, and weighs its
//!   answer.
//! - `answer` reads a message that answers a probe. `config` has the limits of a trace.
//! - `protocol` writes probes and recognizes their answers: a file for each kind of probe. Nothing
//!   behind it knows what a probe is made of.
//! - `outcome` is the end of a probe, `slot` its memory, `table` the memory of the trace.
//! - `patience` decides how long to wait, `plan` which probe goes next. `route` shows the result.
//!   `tracer` puts them together.
//!
//! Two pages more: [`embedding`] for those who bring their own socket, [`hostile`] on what may
//! arrive and what an attacker must guess.
//!
//! # How it decides
//!
//! The choice of the next probe is speculation without waste.
//!
//! - The first sweep goes out at once, as far as [`Sweep`] says, and opens as answers come from its
//!   edge. When nothing is left to wait for it goes on to the farthest hop, and two silent hops
//!   behind the last router get a second probe.
//! - Further attempts follow the answers, so once the target has answered nothing goes past it.
//! - A hop that stays silent although hops behind it have answered gets retries, and two more if it
//!   is right below the target: if it is the target, and only its answers were lost, the target
//!   would be placed too far.
//! - Probes of the first sweep that went past the target reached it too: each is one more sample of
//!   it.
//!
//! No fixed timeout decides how long to wait. The answers so far do.
//!
//! - The first final answer is a clock: when the target has answered after *R*, the answers of
//!   nearer hops are due about then. A hop that has never answered is given up after 2.3 *R*, at
//!   least 160 ms, at most *R* + 160 ms.
//! - What is lost at a hop that has answered is given up after *R*/8 + 2 ms more than *R*, not
//!   before 90 ms.
//! - A silent target ends by quiescence: 190 ms or 1.5 *R* after the last probe the sweep goes on,
//!   and 290 ms or 2 *R* later it is over; 500 and 590 ms while all that answered is nearer than 20
//!   ms.
//! - [`Config::timeout`] bounds every wait; [`Config::patience`] multiplies those that follow from
//!   what was heard.

#![no_std]
#![forbid(unsafe_code)]
#![deny(missing_docs)]
#![warn(missing_debug_implementations)]
// `#[inline(never)]` stands where `firmware/sizes` showed a call to take less room than the body in
// each of its callers.
// Panic-free by construction: whatever can panic is not written.
#![cfg_attr(
    not(test),
    deny(
        clippy::indexing_slicing,
        clippy::arithmetic_side_effects,
        clippy::unwrap_used,
        clippy::expect_used,
        clippy::panic,
        clippy::unreachable,
        clippy::as_conversions,
        clippy::string_slice
    )
)]

mod answer;
mod config;
mod detour;
mod outcome;
mod past_end;
mod patience;
mod plan;
mod probe;
mod protocol;
mod route;
mod slot;
mod storage;
mod sweep;
mod table;
mod time;
mod tracer;
pub mod wire;

#[doc = include_str!("embedding.md")]
pub mod embedding {}

#[doc = include_str!("hostile.md")]
pub mod hostile {}

pub use answer::{Answer, Back, Discard, Kind, Quoted, QuotedHeader};
pub use config::{Config, ConfigError, MAX_ATTEMPTS, MAX_HOPS, MAX_PATIENCE, MAX_RETRIES, Sweep};
pub use outcome::{Failure, Outcome, Reply, SendError};
pub use plan::Reason;
pub use probe::{Changes, Evidence, ProbeId};
pub use protocol::echo::{Echo, MAX_PAYLOAD, MIN_PAYLOAD};
pub use protocol::tcp::{Tcp, TcpAnswer, TcpOptions};
pub use protocol::udp::{Udp, UdpPayload};
pub use protocol::{APART, Match, Protocol};
pub use route::{Hop, Loss, RouteView, StopReason, Tally};
pub use slot::Slot;
pub use storage::{Inline, Storage};
pub use table::Progress;
pub use time::{Extend32, Instant};
pub use tracer::{Accepted, Action, Arrival, Tracer, TracerIn, Transmit};
