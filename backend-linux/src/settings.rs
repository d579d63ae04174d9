//! The settings of every job.

use crate::error::Error;
use crate::resolve::{Resolver, needs_resolver};
use crate::socket::Options;
use hopshot_core::wire::AddressFamily;
use hopshot_engine::{self as engine, Memory, ProbeProtocol, SocketKind, Sweep};
use std::net::{IpAddr, SocketAddr};
use std::time::Duration;

/// Settings of traces, whatever their hosts: what [`trace`](Self::trace), [`paths`](Self::paths),
/// [`path_mtu`](Self::path_mtu) and [`many`](Self::many) begin with.
///
/// Each has a default; ranges are checked when a job starts. Jobs of the same settings learn from
/// one another how far away hosts are: see [`memory`](Self::memory).
#[derive(Clone, Debug, Default)]
#[must_use = "settings alone send nothing"]
pub struct Settings {
    pub(crate) family: Option<AddressFamily>,
    options: Options,
    dont_fragment: bool,
    checks_targets: Option<bool>,
    pub(crate) probes: engine::ProbeSettings,
}

impl Settings {
    /// The longest to wait for an answer by default.
    pub const DEFAULT_TIMEOUT: Duration = engine::ProbeSettings::DEFAULT_TIMEOUT;

    /// The defaults.
    pub fn new() -> Self {
        Self::default()
    }

    /// Only addresses of this family; else the resolver's first choice.
    pub fn family(mut self, family: AddressFamily) -> Self {
        self.family = Some(family);
        self
    }

    /// The nearest hop to probe, 1 to `max_hops`; 1 by default.
    pub fn first_hop(mut self, hop: u8) -> Self {
        self.probes.config.first_hop = hop;
        self
    }

    /// The farthest hop to probe, 1 to 64; 32 by default.
    pub fn max_hops(mut self, hops: u8) -> Self {
        self.probes.config.max_hops = hops;
        self
    }

    /// Sets how many answers to ask for at each hop of the path, 1 to 10; 1 by default (the command
    /// asks for 3, since people want to see how much times differ). Where nothing says that the
    /// path leads, a hop gets one probe, and the first two behind the last router two.
    pub fn attempts(mut self, attempts: u8) -> Self {
        self.probes.config.attempts = attempts;
        self
    }

    /// Sets how many more probes go to a hop that has not answered at all although one behind it
    /// has, 0 to 10; 2 by default.
    pub fn retries(mut self, retries: u8) -> Self {
        self.probes.config.retries = retries;
        self
    }

    /// The longest to wait for an answer; 2 s by default. Most traces end long before: when the
    /// answers are there. Unless it is set, a trace outside a list waits a second longer where
    /// nothing answers and the kernel is still looking for the next hop on its link: then it
    /// will say that nobody is there.
    pub fn timeout(mut self, timeout: Duration) -> Self {
        self.probes.has_timeout = true;
        self.probes.config.timeout = timeout;
        self
    }

    /// Multiplies the waits for what is late, 1 to 10; 1 by default. Routers that take longer than
    /// most are heard then, and hops that never answer hold the end up as much longer.
    /// [`timeout`](Self::timeout) bounds every wait all the same.
    pub fn patience(mut self, patience: u8) -> Self {
        self.probes.config.patience = patience;
        self
    }

    /// The ICMP identifier of all probes. By default random, which is best: it must differ between
    /// all traces that run at the same time on this machine.
    pub fn ident(mut self, ident: u16) -> Self {
        self.options.ident = Some(ident);
        self.probes.ident = Some(ident);
        self
    }

    /// The protocol of the probes; ICMP by default. By TCP and UDP [`paths`](Self::paths) and
    /// [`path_mtu`](Self::path_mtu) need raw sockets, whatever [kind](Self::socket) is asked for.
    pub fn protocol(mut self, protocol: ProbeProtocol) -> Self {
        self.options.protocol = protocol;
        self.probes.protocol = protocol;
        self
    }

    /// The kind of socket; by default raw where that is permitted, else ping; for UDP and TCP,
    /// sockets of that protocol. A job that asks for a kind that doesn't send its
    /// [protocol](Self::protocol) ends with [`Error::WrongSocket`] before it begins.
    pub fn socket(mut self, kind: SocketKind) -> Self {
        self.options.kind = Some(kind);
        self
    }

    /// Whether the kernel is asked when each probe left, in place of a reading of the clock right
    /// before; off by default. It takes about 3 µs off the RTTs, and what a full queue or an
    /// unresolved neighbour adds, for some 2 µs more work per probe.
    pub fn precise(mut self, precise: bool) -> Self {
        self.options.precise = precise;
        self
    }

    /// The flow, 1 to 65,534: the ICMP checksum of all probes, which routers that share traffic
    /// over several paths look at. All probes of a trace are of one flow, a random one by
    /// default; another may take another path. In a list a flow that is given is the same for
    /// all hosts, so it proves nothing: errors that don't quote the cookie are weak then.
    pub fn flow(mut self, flow: u16) -> Self {
        self.probes.flow = Some(flow);
        self
    }

    /// The source port of all probes of a trace by TCP or UDP, so that a flow can be repeated, such
    /// as that of a connection that `ss -tn` shows. A random one by default. It stands in the place
    /// of the [flow](Self::flow). By TCP it takes raw sockets, or [one flow](Self::one_flow). On
    /// raw sockets the probe that is to learn the distance leaves from another one all the same.
    pub fn source_port(mut self, port: u16) -> Self {
        self.options.source_port = Some(port);
        self.probes.flow = Some(port);
        self
    }

    /// Sets whether all probes of a trace are of one flow, however little that tells; off by
    /// default. Then silent hops aren't asked again from other source ports, where a firewall may
    /// have passed only the first SYN or an answer quoted too little. On raw sockets the SYN that
    /// learns the distance leaves from another port all the same. [TCP sockets](SocketKind::Tcp)
    /// ask one hop after the other then, and trace one host after the other: a trace takes the RTTs
    /// of all hops together, and up to 0.95 s for each probe that nothing answers.
    pub fn one_flow(mut self, one_flow: bool) -> Self {
        self.options.one_flow = one_flow;
        self.probes.one_flow = one_flow;
        self
    }

    /// Sets whether ICMP Echo Requests check, beside TCP or UDP, that it is the target that
    /// answers, and not a [proxy](crate::Proxy) in its name. By default traces do, and lists don't,
    /// since it takes up to five probes for each host, and some fifteen where a proxy answers.
    /// Paths and MTUs are never checked. It takes sockets for ICMP; where none may be opened there
    /// are no checks, and [`Lack`](crate::Lack) says so.
    pub fn check_targets(mut self, checks: bool) -> Self {
        self.checks_targets = Some(checks);
        self
    }

    /// Returns the choice, or else this default.
    pub(crate) fn checks_targets(&self, by_default: bool) -> bool {
        self.checks_targets.unwrap_or(by_default)
    }

    /// The size of a probe by ICMP or UDP in octets: the whole packet, its IP header included. By
    /// UDP the least is what the payload takes; the size of a SYN is fixed. By ICMP: 38 to 65,535
    /// in IPv4, 58 to 65,535 in IPv6; by default 52 and 72, which every link carries. A probe whose
    /// size was chosen may be fragmented on its way, unless [`dont_fragment`](Self::dont_fragment)
    /// says otherwise; in IPv6 only by this machine, which does so once a router has told it of the
    /// link that is too small.
    pub fn size(mut self, octets: u16) -> Self {
        self.probes.size = Some(octets);
        self
    }

    /// Whether a probe that is too large for a link is to come back with the link's MTU
    /// ([`Reply::mtu`](crate::Reply::mtu)) rather than be fragmented; off by default. Probes of
    /// the default size are never fragmented.
    #[doc(alias = "DF")]
    pub fn dont_fragment(mut self, dont_fragment: bool) -> Self {
        self.dont_fragment = dont_fragment;
        self
    }

    /// The memory to learn from and to learn into. By default `Settings` have a memory of
    /// their own, shared with their clones: running a job again profits from it.
    pub fn memory(mut self, memory: &Memory) -> Self {
        self.probes.memory = memory.clone();
        self
    }

    /// The least time between two probes; none by default.
    pub fn interval(mut self, interval: Duration) -> Self {
        self.probes.config.interval = interval;
        self
    }

    /// Sets how far to go at once; [`Sweep::Burst`] sends every probe to every hop whatever comes
    /// back.
    pub fn sweep(mut self, sweep: Sweep) -> Self {
        self.probes.config.sweep = Some(sweep);
        self
    }

    /// The source address, one of this machine's; else the kernel chooses. A host with addresses of
    /// both families is traced in that of its source.
    pub fn source(mut self, source: IpAddr) -> Self {
        self.options.source = Some(source);
        self
    }

    /// The interface to send by; else the routing table chooses.
    pub fn interface(mut self, name: impl Into<String>) -> Self {
        self.options.interface = Some(name.into());
        self
    }

    /// The mark of all probes, by which rules of routing (`ip rule add fwmark`) and of firewalls
    /// tell them from other packets; 0 by default. Needs `CAP_NET_ADMIN`, or since Linux 5.17
    /// `CAP_NET_RAW`.
    #[doc(alias = "SO_MARK")]
    #[doc(alias = "fwmark")]
    pub fn mark(mut self, mark: u32) -> Self {
        self.options.mark = Some(mark);
        self
    }

    /// The traffic class (TOS in IPv4) of all probes, DSCP and ECN; 0 by default.
    pub fn traffic_class(mut self, class: u8) -> Self {
        self.options.traffic_class = Some(class);
        self.probes.config.traffic_class = class;
        self
    }

    /// Returns the address of a host: of the family that was asked for, else of that of the source
    /// address if it has one.
    ///
    /// # Errors
    /// As [`resolve`](crate::resolve).
    pub fn resolve(&self, host: &str) -> Result<SocketAddr, Error> {
        self.resolver().resolve(host)
    }

    pub(crate) fn resolver(&self) -> Resolver {
        Resolver::new(self.family, self.options.source.map(AddressFamily::of))
    }

    /// The family whose sockets are needed, if that can be known without asking a resolver.
    pub(crate) fn family_to_open(&self, host: &str) -> Result<Option<AddressFamily>, Error> {
        if needs_resolver(host) {
            return Ok(self.family);
        }
        let address = self.resolve(host)?;
        Ok(Some(AddressFamily::of(address.ip())))
    }

    /// Checks what can be checked while the target isn't known.
    pub(crate) fn check(&self) -> Result<(), Error> {
        let protocol = self.options.protocol;
        let is_right = |kind: SocketKind| match (kind, protocol) {
            (SocketKind::Ping, protocol) => protocol == ProbeProtocol::Icmp,
            (SocketKind::Udp, protocol) => matches!(protocol, ProbeProtocol::Udp { .. }),
            (SocketKind::Tcp, protocol) => protocol.is_tcp(),
            _ => true,
        };
        if let Some(kind) = self.options.kind.filter(|kind| !is_right(*kind)) {
            return Err(Error::WrongSocket { kind, protocol });
        }
        let has_many_ports = self.options.kind == Some(SocketKind::Tcp) && !self.options.one_flow;
        if has_many_ports && self.options.source_port.is_some() {
            return Err(Error::ManyPorts);
        }
        Ok(self
            .probes
            .check(self.family.unwrap_or(AddressFamily::V4))?)
    }

    /// The same for several traces at a time to one host. By UDP and TCP those need raw sockets:
    /// each is of a source port of its own, or all are of one, and a UDP socket has one for one
    /// trace, a TCP socket one for one probe.
    pub(crate) fn options_for_several(&self) -> Options {
        let options = self.socket_options();
        match self.probes.protocol {
            ProbeProtocol::Udp { .. } | ProbeProtocol::Tcp { .. } => Options {
                kind: Some(SocketKind::Raw),
                ..options
            },
            _ => options,
        }
    }

    /// How the sockets are to be.
    pub(crate) fn socket_options(&self) -> Options {
        let may_be_fragmented = self.probes.size.is_some() && !self.dont_fragment;
        Options {
            may_be_fragmented,
            must_stay_whole: self.dont_fragment,
            ..self.options.clone()
        }
    }
}
