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
//! Raw sockets need the capability `CAP_NET_RAW`. Where they aren't permitted, ping sockets do the same but for what
//! [`SocketKind::Ping`] lists; where those aren't either, [`Error::Refused`] says how to get one of
//! the two. A kernel may refuse options of sockets that a trace is better with: [`Trace::lacks`]
//! tells what is done without. Any number of
//! traces may run at once in a process and on a machine: each has its ident, and soon after its first probes the kernel lets it see
//! its own answers only; those of a [`Survey`] share its sockets, and are told apart here.
//!
//! An RTT ends with the kernel's stamp on the answer, and begins right before the probe is sent, or, with
//! [`Traceroute::precise`], with the kernel's stamp on the probe; [`Route::clocks`] says so for each. A program that does
//! nothing else can give up its privileges before the first answer is read ([`Trace::confine`]), and before a name is looked up
//! ([`Traceroute::open`]).
//!
//! The state machine and the formats are [`hopshot_core`]'s, whose views of a result are used as they are.
#![deny(unsafe_code)]

mod advice;
mod clock;
mod departures;
mod distance;
mod driver;
mod error;
mod extensions;
mod health;
mod identities;
pub mod inherited;
mod interface;
mod memory;
#[cfg(test)]
mod namespace;
mod near;
mod neighbour;
mod netlink;
mod order;
mod pace;
mod path_mtu;
mod paths;
mod printable;
pub mod privilege;
#[cfg(test)]
mod properties;
mod rejected;
mod resolve;
mod running;
mod schedule;
mod socket;
mod sockets;
mod survey;
mod sys;
mod trace;
mod uplink;

pub use clock::{Clock, Clocks};
pub use driver::Step;
pub use error::{Error, failure_text};
pub use extensions::{Extensions, Interface, MAX_INTERFACES, MAX_LABELS, NodeId};
pub use hopshot_core::wire::Version;
pub use hopshot_core::wire::extensions::{Label, Role};
pub use hopshot_core::{
    Changes, ConfigError, Evidence, Failure, Hop, Kind, MAX_ATTEMPTS, MAX_HOPS, MAX_PATIENCE, Outcome, ProbeId, Reply,
    SendError, StopReason, Sweep, Tally,
};
pub use memory::Memory;
pub use near::{Sample, Shared};
pub use order::Order;
pub use path_mtu::{Limit, MtuRoute, PathMtu, Stretch, Trial};
pub use paths::{AllPaths, Completeness, Edge, End, Exploration, Graph, Node, Paths};
pub use printable::printable;
pub use rejected::Rejected;
pub use resolve::{needs_resolver, resolve};
#[cfg(feature = "fuzzing")]
#[doc(hidden)]
pub use socket::fuzzing;
pub use socket::{Lack, Nicety, SocketKind};
pub use sockets::Sockets;
pub use survey::{Many, Outage, Routes, Started, Survey};
pub use trace::{Heard, Route, Trace};

#[cfg(doctest)]
#[doc = include_str!("../../README.md")]
mod readme {}

use driver::Driver;
use hopshot_core::{Config, Echo, MIN_PAYLOAD, Protocol};
use near::Head;
use pace::Pace;
use resolve::specified;
use running::Endurance;
use std::net::{IpAddr, SocketAddr};
use std::time::Duration;
use trace::Begun;

/// What to trace, and how. Every setting has a default; ranges are checked when the trace starts.
#[derive(Clone, Debug)]
#[must_use = "nothing is sent before run or start"]
pub struct Traceroute {
    host: String,
    family: Option<Version>,
    options: socket::Options,
    flow: Option<u16>,
    size: Option<u16>,
    dont_fragment: bool,
    memory: Memory,
    /// Whether the timeout was set.
    has_timeout: bool,
    /// What the user set; target, source and random parts are filled in at the start.
    config: Config,
    echo: Echo,
}

impl Traceroute {
    /// The longest to wait for an answer by default.
    pub const DEFAULT_TIMEOUT: Duration = Duration::from_secs(2);

    /// A trace of a host: a name, or an address of either family.
    pub fn new(host: impl Into<String>) -> Self {
        let config = Config { timeout: Self::DEFAULT_TIMEOUT, ..Config::new(Version::V4.unspecified()) };
        Self {
            host: host.into(),
            family: None,
            options: socket::Options::default(),
            flow: None,
            size: None,
            dont_fragment: false,
            memory: Memory::new(),
            has_timeout: false,
            config,
            echo: Echo::new(0),
        }
    }

    /// Only addresses of this family; else the resolver's first choice.
    pub fn family(mut self, family: Version) -> Self {
        self.family = Some(family);
        self
    }

    /// The nearest hop to probe, 1 to `max_hops`; 1 by default.
    pub fn first_hop(mut self, hop: u8) -> Self {
        self.config.first_hop = hop;
        self
    }

    /// The farthest hop to probe, 1 to 64; 32 by default.
    pub fn max_hops(mut self, hops: u8) -> Self {
        self.config.max_hops = hops;
        self
    }

    /// How many answers to ask for at each hop of the path, 1 to 10; 1 by default. Where nothing says that the path leads, a hop
    /// gets one probe, and the first two behind the last router two.
    pub fn attempts(mut self, attempts: u8) -> Self {
        self.config.attempts = attempts;
        self
    }

    /// How many more probes go to a hop that has not answered at all although one behind it has, 0 to 10; 2 by default.
    pub fn retries(mut self, retries: u8) -> Self {
        self.config.retries = retries;
        self
    }

    /// The longest to wait for an answer; 2 s by default. Most traces end long before: when the answers are there. Unless it is
    /// set, a trace outside a list waits a second longer where nothing answers and the kernel is still looking for the next
    /// hop on its link: then it will say that nobody is there.
    pub fn timeout(mut self, timeout: Duration) -> Self {
        self.has_timeout = true;
        self.config.timeout = timeout;
        self
    }

    /// Multiplies the waits for what is late, 1 to 10; 1 by default. Routers that take longer than most are heard then, and hops
    /// that never answer hold the end up as much longer. [`timeout`](Self::timeout) bounds every wait all the same.
    pub fn patience(mut self, patience: u8) -> Self {
        self.config.patience = patience;
        self
    }

    /// The ICMP identifier of all probes. By default random, which is best: it must differ between all traces that run at the
    /// same time on this machine.
    pub fn ident(mut self, ident: u16) -> Self {
        self.options.ident = Some(ident);
        self
    }

    /// The kind of socket; by default raw where that is permitted, else ping.
    pub fn socket(mut self, kind: SocketKind) -> Self {
        self.options.kind = Some(kind);
        self
    }

    /// Whether the kernel is asked when each probe left, in place of a reading of the clock right before; off by default. It
    /// takes about 3 µs off the RTTs, and what a full queue or an unresolved neighbour adds, for some 2 µs more work per probe.
    pub fn precise(mut self, precise: bool) -> Self {
        self.options.precise = precise;
        self
    }

    /// The flow, 1 to 65,534: the ICMP checksum of all probes, which routers that share traffic over several paths look at.
    /// All probes of a trace are of one flow, a random one by default; another may take another path. In a list a flow that is
    /// given is the same for all hosts, so it proves nothing: errors that don't quote the cookie are weak then.
    pub fn flow(mut self, flow: u16) -> Self {
        self.flow = Some(flow);
        // For the check of the ranges.
        self.echo.checksum = flow;
        self
    }

    /// The size of a probe in octets: the whole packet, its IP header included. 38 to 65,535 in IPv4, 58 to 65,535 in IPv6; by
    /// default 52 and 72, which every link carries. A probe whose size was chosen may be fragmented on its way, unless
    /// [`dont_fragment`](Self::dont_fragment) says otherwise; in IPv6 only by this machine, which does so once a router has told it
    /// of the link that is too small.
    pub fn size(mut self, octets: u16) -> Self {
        self.size = Some(octets);
        self
    }

    /// Whether a probe that is too large for a link is to come back with the link's MTU ([`Reply::mtu`]) rather than be
    /// fragmented; off by default. Probes of the default size are never fragmented.
    #[doc(alias = "DF")]
    pub fn dont_fragment(mut self, dont_fragment: bool) -> Self {
        self.dont_fragment = dont_fragment;
        self
    }

    /// What to learn from and to learn into. By default every `Traceroute` has a memory of its own, shared with its clones:
    /// running the same one again profits from it.
    pub fn memory(mut self, memory: &Memory) -> Self {
        self.memory = memory.clone();
        self
    }

    /// The least time between two probes; none by default.
    pub fn interval(mut self, interval: Duration) -> Self {
        self.config.interval = interval;
        self
    }

    /// How far to go at once; [`Sweep::Burst`] sends every probe to every hop whatever comes back.
    pub fn sweep(mut self, sweep: Sweep) -> Self {
        self.config.sweep = Some(sweep);
        self
    }

    /// The source address, one of this machine's; else the kernel chooses. A host with addresses of both families is traced in that of
    /// its source.
    pub fn source(mut self, source: IpAddr) -> Self {
        self.options.source = Some(source);
        self
    }

    /// The interface to send by; else the routing table chooses.
    pub fn interface(mut self, name: impl Into<String>) -> Self {
        self.options.interface = Some(name.into());
        self
    }

    /// The mark of all probes, by which rules of routing (`ip rule add fwmark`) and of firewalls tell them from other packets; 0 by
    /// default. Needs `CAP_NET_ADMIN`, or since Linux 5.17 `CAP_NET_RAW`.
    #[doc(alias = "SO_MARK")]
    #[doc(alias = "fwmark")]
    pub fn mark(mut self, mark: u32) -> Self {
        self.options.mark = Some(mark);
        self
    }

    /// The traffic class (TOS in IPv4) of all probes, DSCP and ECN; 0 by default.
    pub fn traffic_class(mut self, class: u8) -> Self {
        self.options.traffic_class = Some(class);
        self
    }

    /// Traces of many hosts at once, on one pair of sockets: see [`Many`].
    ///
    /// ```no_run
    /// # use hopshot_linux::Traceroute;
    /// let hosts = ["192.0.2.1", "example.com"];
    /// for (host, route) in Traceroute::many(hosts).each(|trace| trace.attempts(3)).rate(500).start()? {
    ///     println!("{host}: {:?}", route.map(|route| route.distance()));
    /// }
    /// # Ok::<(), hopshot_linux::Error>(())
    /// ```
    pub fn many<H: IntoIterator<Item: Into<String>>>(hosts: H) -> Many<H::IntoIter> {
        Many::new(hosts.into_iter())
    }

    /// All paths to the host that load balancers share traffic over, by varying the flow until the rule of the multipath
    /// detection algorithm is content. How many attempts to make is its own affair; all other settings hold.
    ///
    /// ```no_run
    /// # use hopshot_linux::Traceroute;
    /// let paths = Traceroute::new("example.com").paths().confidence(0.99).run()?;
    /// let nodes = paths.graph().nodes();
    /// for edge in paths.graph().edges() {
    ///     println!("{:?} -> {:?}", nodes[edge.from].address, nodes[edge.to].address);
    /// }
    /// # Ok::<(), hopshot_linux::Error>(())
    /// ```
    pub fn paths(self) -> AllPaths {
        AllPaths::new(self)
    }

    /// Runs the trace to its end.
    ///
    /// # Errors
    /// [`Error`] if it can't be started. A target that doesn't answer is no error: see [`Route::reached`].
    pub fn run(&self) -> Result<Route, Error> {
        let mut trace = self.start()?;
        while trace.advance(None)? != Step::Done {}
        Ok(trace.finish())
    }

    /// Resolves the name and opens the sockets. The first probes leave with [`Trace::launch`] or [`Trace::advance`], or when
    /// the first reply is asked for.
    ///
    /// # Errors
    /// [`Error`] if a parameter is out of its range, the name has no address, no route leads to it, or a socket can't be
    /// opened.
    pub fn start(&self) -> Result<Trace, Error> {
        // The ranges first: whoever mistyped a number should not wait for a name server to be told.
        self.check()?;
        let address = self.resolve()?;
        self.start_at(Sockets::open(Some(Version::of(address.ip())), self.socket_options())?, address)
    }

    /// Opens the sockets before the name is resolved: those of the family of the host if it is an address, or of the family
    /// that was asked for, else of both. Where this machine has only one of both, the other is an error when a trace starts
    /// at one of its addresses.
    ///
    /// # Errors
    /// As [`start`](Self::start), but for what concerns the name and the route.
    pub fn open(&self) -> Result<Sockets, Error> {
        Sockets::open(self.family_to_open()?, self.socket_options())
    }

    /// As [`start`](Self::start), with sockets that these settings have [opened](Self::open), and at an address that is known.
    /// The port has no meaning.
    ///
    /// # Errors
    /// As [`start`](Self::start).
    pub fn start_at(&self, sockets: Sockets, address: SocketAddr) -> Result<Trace, Error> {
        self.check()?;
        let mut driver = Driver::new(sockets, Pace::UNBOUND);
        let begun = self.begin(&mut driver, address, None, Endurance::Timeout)?;
        Ok(Trace::new(driver, begun.ok_or(Error::Full)?))
    }

    /// The address of the host: of the family that was asked for, else of that of the source address if it has one.
    ///
    /// # Errors
    /// As [`resolve`].
    pub fn resolve(&self) -> Result<SocketAddr, Error> {
        let of_source = self.options.source.map(Version::of);
        match (resolve(&self.host, self.family.or(of_source)), self.family) {
            // What is wrong then is the source, and told when the trace begins.
            (Err(Error::NoSuchFamily { .. }), None) => resolve(&self.host, None),
            (found, _) => found,
        }
    }

    /// Finds the path and the largest packets that it carries: see [`PathMtu`]. The size that was set, if one was, is the largest
    /// that is tried.
    ///
    /// What goes wrong when a part of the path is known is an end, too: [`StopReason::Interrupted`].
    ///
    /// # Errors
    /// As [`run`](Self::run).
    pub fn path_mtu(&self) -> Result<MtuRoute, Error> {
        let mut search = self.start_path_mtu()?;
        loop {
            match search.advance(None) {
                Ok(Step::Done) => break,
                Err(error) if search.stretches().is_empty() => return Err(error),
                Err(_) => break,
                Ok(_) => {}
            }
        }
        Ok(search.finish())
    }

    /// The same, for a loop of one's own: resolves the name and opens the sockets.
    ///
    /// # Errors
    /// As [`start`](Self::start).
    pub fn start_path_mtu(&self) -> Result<PathMtu, Error> {
        self.check()?;
        let address = self.resolve()?;
        let options = self.clone().dont_fragment(true).socket_options();
        self.start_path_mtu_at(Sockets::open_for_mtu(Some(Version::of(address.ip())), options)?, address)
    }

    /// As [`open`](Self::open), for [`start_path_mtu_at`](Self::start_path_mtu_at).
    ///
    /// # Errors
    /// As there.
    pub fn open_path_mtu(&self) -> Result<Sockets, Error> {
        let options = self.clone().dont_fragment(true).socket_options();
        Sockets::open_for_mtu(self.family_to_open()?, options)
    }

    /// As [`start_path_mtu`](Self::start_path_mtu), with sockets from [`open_path_mtu`](Self::open_path_mtu), and at an address
    /// that is known. The port has no meaning.
    ///
    /// # Errors
    /// As [`start`](Self::start).
    pub fn start_path_mtu_at(&self, sockets: Sockets, address: SocketAddr) -> Result<PathMtu, Error> {
        PathMtu::start(self, sockets, address)
    }

    /// The family whose sockets are needed, if that can be known without asking a resolver.
    fn family_to_open(&self) -> Result<Option<Version>, Error> {
        self.check()?;
        match needs_resolver(&self.host) {
            true => Ok(self.family),
            false => self.resolve().map(|address| Some(Version::of(address.ip()))),
        }
    }

    /// Checks what can be checked while the target isn't known.
    fn check(&self) -> Result<(), Error> {
        self.config.check()?;
        self.echo.check()?;
        self.payload_len(self.family.unwrap_or(Version::V4)).map(drop)
    }

    /// How the sockets are to be.
    fn socket_options(&self) -> socket::Options {
        let may_be_fragmented = self.size.is_some() && !self.dont_fragment;
        socket::Options { may_be_fragmented, ..self.options.clone() }
    }

    /// The payload that makes a probe as large as was asked for.
    fn payload_len(&self, family: Version) -> Result<u16, Error> {
        let Some(given) = self.size else { return Ok(self.echo.payload_len) };
        let headers = headers_len(family);
        let least = headers + MIN_PAYLOAD;
        match given >= least {
            true => Ok(given - headers),
            false => Err(Error::Size { family, given, least }),
        }
    }

    /// Gives a driver a trace with these settings. `None` if it can't take one more now.
    fn begin(
        &self,
        driver: &mut Driver,
        address: SocketAddr,
        head: Option<Head>,
        endurance: Endurance,
    ) -> Result<Option<Begun>, Error> {
        let (target, scope_id) = match specified(address) {
            SocketAddr::V4(v4) => (IpAddr::V4(*v4.ip()), 0),
            SocketAddr::V6(v6) => (IpAddr::V6(*v6.ip()), v6.scope_id()),
        };
        let random = Echo::new(random()?);
        let echo = Echo {
            ident: self.options.ident.unwrap_or(random.ident),
            checksum: self.flow.unwrap_or(random.checksum),
            checksum_is_public: self.echo.checksum_is_public,
            payload_len: self.payload_len(Version::of(target))?,
            ..random
        };
        let config = Config {
            target,
            traffic_class: self.options.traffic_class.unwrap_or(0),
            sweep: self.config.sweep.or_else(|| self.memory.sweep(target)),
            ..self.config
        };
        let number = driver.add(config, echo, scope_id, head, endurance, self.has_timeout)?;
        Ok(number.map(|number| Begun::new(number, self.host.clone(), self.memory.clone())))
    }
}

/// Octets that nobody can predict.
fn random() -> Result<u128, Error> {
    let mut random = [0; 16];
    rustix::rand::getrandom(&mut random, rustix::rand::GetRandomFlags::empty())
        .map_err(Error::system("can't get random octets"))?;
    Ok(u128::from_ne_bytes(random))
}

/// The octets of a probe's headers, IP's and ICMP's.
const fn headers_len(family: Version) -> u16 {
    match family {
        Version::V4 => 20 + 8,
        Version::V6 => 40 + 8,
    }
}
