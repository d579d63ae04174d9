//! A simulated internet: a pure model on virtual time, and (in the binary `hopshot-lab`) the same
//! model played on a TUN device.
//!
//! A [`Scenario`] is a data file that describes a path. An [`Internet`] made from it takes packets
//! with the time of their arrival, and gives back the answers with the time each is due. It has no
//! clock and does no I/O, so a test may run it a thousand times faster than the world, and the same
//! seed always gives the same answers. Echo Requests, TCP segments and UDP datagrams are answered;
//! TCP and UDP headers are read and written here without the core's code, which is tested with it.
//!
//! ```
//! use core::net::IpAddr;
//! use core::time::Duration;
//! use hopshot_core::wire::{Ends, AddressFamily, icmp, ip};
//! use hopshot_lab::{CLIENT, Internet, Scenario};
//!
//! let scenario = Scenario::named("short").unwrap(); let mut internet = Internet::new(&scenario,
//! 1); let ends = Ends { source: CLIENT.address(AddressFamily::V4), destination:
//! internet.target(AddressFamily::V4) };
//!
//! // An Echo Request with a hop limit of 2 ...
//! let mut packet = [0; 64];
//! let echo = icmp::Echo { ident: 1, seq: 2, payload: &[0; 8] };
//! let length = icmp::Message::EchoRequest(echo).emit(ends, &mut packet[20..]).unwrap();
//! let header = ip::Header { ends, hop_limit: 2, traffic_class: 0, protocol: ip::PROTOCOL_ICMP };
//! header.emit(length, &mut packet).unwrap();
//!
//! // ... is answered by the second router, after 2 ms.
//! let answers = internet.receive(Duration::ZERO, &packet[..20 + length]);
//! assert_eq!(answers[0].due, Duration::from_millis(2));
//! let (header, _) = ip::parse(&answers[0].packet).unwrap();
//! assert_eq!(header.ends.source, "10.2.0.1".parse::<IpAddr>().unwrap());
//! ```
#![forbid(unsafe_code)]

mod answer;
mod balance;
mod connections;
mod hop;
mod host;
mod hostile;
mod kernel;
mod liar;
mod limit;
pub mod log;
mod machine;
mod map;
mod middlebox;
mod model;
mod network;
mod responder;
mod scenario;
mod spare;
mod sweeper;
mod target;
mod translator;
mod transport;
mod usurper;

pub use answer::Delivery;
pub use hop::{
    ErrorKind, Hop, Interface, Label, Limit, Link, Loses, Nat, Places, PortNat, Rate, Unreachable,
};
pub use host::{Partial, Target, TcpPorts, UdpPorts};
pub use kernel::reset;
pub use machine::{Attack, Error, Failing, Failure, Machine};
pub use map::{Both, CLIENT, End, PREFIX_LEN, TruePath, Truth};
pub use model::Internet;
pub use scenario::{
    Balance, Diamond, Flood, Later, Loop, Scenario, ScenarioError, Sweep, Sweeper, Usurper,
};
pub use transport::{Ports, Protocol};
