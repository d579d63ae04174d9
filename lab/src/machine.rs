//! A machine on the simulated internet, on virtual time: a link for the engine.

mod unprivileged;

use crate::answer::Delivery;
use crate::connections::Connections;
use crate::kernel;
use crate::map::CLIENT;
use crate::model::Internet;
use crate::scenario::Scenario;
use crate::spare::Spares;
use core::cell::Cell;
use core::cmp::Reverse;
use core::fmt;
use core::ops::Range;
use core::time::Duration;
use hopshot_core::wire::{AddressFamily, Ends, Malformed, ip, tcp, udp};
use hopshot_core::{Answer, Back, Instant, SendError, Tcp, Udp};
use hopshot_engine::link::{Arrived, Clock, Datagram, Obstacle, Port};
use hopshot_engine::{Fault, Link, LinkError, ProbeProtocol, SocketKind};
use std::collections::{BinaryHeap, VecDeque};
use std::net::IpAddr;
use std::time::{SystemTime, UNIX_EPOCH};

/// The time that sending a probe takes.
const SENDING: Duration = Duration::from_micros(2);

/// The errors of sending, with numbers of Linux.
const NOT_PERMITTED: SendError = SendError(1);
const TOO_LARGE: SendError = SendError(90);
const NO_ROOM: SendError = SendError(105);

/// The largest packet that the first link carries, in octets.
const FIRST_LINK: usize = 1500;

/// A machine: [`CLIENT`] on an [`Internet`]. Time passes only while it sends and sleeps, so that
/// any number of seconds takes no time.
pub struct Machine {
    internet: Internet,
    random: fastrand::Rng,
    now: Cell<Duration>,
    ports: Vec<Port>,
    failures: Vec<(Failure, Box<Whom>)>,
    attacker: Option<Box<Attacker>>,
    /// On their way.
    coming: BinaryHeap<Queued>,
    /// Those that have arrived at each port, with the time when they did.
    arrived: Vec<VecDeque<(Duration, Vec<u8>)>>,
    made: u64,
    spares: Spares,
    /// Those of TCP sockets.
    connections: Connections,
}

/// Something that fails for a time.
#[derive(Clone, Debug)]
pub struct Failure {
    /// When, from the start on.
    pub span: Range<Duration>,
    /// What.
    pub what: Failing,
}

/// What fails.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Failing {
    /// There is no route.
    Route,
    /// A firewall refuses what is sent.
    Firewall,
    /// A firewall refuses what may go farther than two hops.
    FarProbes,
    /// A queue has no room.
    Queue,
    /// What is sent is lost.
    Probes,
    /// What arrives is lost.
    Answers,
}

/// Whether a failure is about a target.
type Whom = dyn Fn(IpAddr) -> bool;

/// Somebody who sees what leaves.
type Attacker = dyn FnMut(&[u8]) -> Attack;

/// Answers that an attacker gives to a packet.
#[derive(Clone, Debug, Default)]
pub struct Attack {
    /// Whether nobody else answers.
    pub is_alone: bool,
    /// Packets, and how long after this one they arrive.
    pub forged: Vec<(Duration, Vec<u8>)>,
}

/// An answer on its way: by time, then in the order in which they were made.
type Queued = Reverse<(Duration, u64, Vec<u8>)>;

impl Machine {
    /// A machine with a socket of a kind for each family. A raw one hears ICMP, TCP and UDP.
    #[must_use]
    pub fn new(scenario: &Scenario, kind: SocketKind, seed: u64) -> Self {
        let mut random = fastrand::Rng::with_seed(seed);
        let mut port = |family| {
            let ident = (kind == SocketKind::Ping).then(|| random.u16(1..));
            Port {
                family,
                protocol: ip::icmp(family),
                kind,
                ident,
                own_port: None,
                room: None,
                target_port: None,
                detours: kind == SocketKind::Udp,
            }
        };
        let ports = [AddressFamily::V4, AddressFamily::V6]
            .map(&mut port)
            .to_vec();
        // A clock is never at its beginning.
        let now = Cell::new(Duration::from_secs(1));
        Self {
            internet: Internet::new(scenario, seed),
            random,
            now,
            ports,
            failures: Vec::new(),
            attacker: None,
            coming: BinaryHeap::new(),
            arrived: vec![VecDeque::new(); 2],
            made: 0,
            spares: Spares::default(),
            connections: Connections::default(),
        }
    }

    /// The same machine for probes of another protocol.
    #[must_use]
    pub fn speaking(mut self, protocol: ProbeProtocol) -> Self {
        for port in self.ports.iter_mut().take(2) {
            port.protocol = protocol.number(port.family);
        }
        self
    }

    /// The same machine with a socket in each family for each of these protocols, and for ICMP.
    #[must_use]
    pub fn speaking_all(mut self, protocols: &[ProbeProtocol]) -> Self {
        let families: Vec<Port> = self.ports.iter().take(2).copied().collect();
        let mut ports = Vec::new();
        for protocol in protocols.iter().copied().chain([ProbeProtocol::Icmp]) {
            for port in &families {
                let port = Port {
                    protocol: protocol.number(port.family),
                    target_port: protocol.port(),
                    ..*port
                };
                if !ports.contains(&port) {
                    ports.push(port);
                }
            }
        }
        self.ports = ports;
        self.arrived.resize_with(self.ports.len(), VecDeque::new);
        self
    }

    /// The same machine with sockets for ICMP in addition.
    #[must_use]
    pub fn with_icmp(self) -> Self {
        self.and(1, |port| Port {
            protocol: ip::icmp(port.family),
            kind: match port.kind {
                SocketKind::Tcp | SocketKind::Udp => SocketKind::Ping,
                kind => kind,
            },
            ..*port
        })
    }

    /// The same machine with UDP sockets in addition.
    #[must_use]
    pub fn with_udp(self) -> Self {
        self.and(8, |port| Port {
            protocol: udp::PROTOCOL,
            kind: SocketKind::Udp,
            detours: true,
            ..*port
        })
    }

    /// The same machine with so many more ports for each that it has.
    fn and(mut self, count: usize, port: impl Fn(&Port) -> Port) -> Self {
        let more: Vec<Port> = self.ports.iter().map(port).collect();
        self.ports.extend((0..count).flat_map(|_| more.clone()));
        self.arrived.resize_with(self.ports.len(), VecDeque::new);
        self
    }

    /// Lets something fail.
    pub fn fail(&mut self, failure: Failure) {
        self.fail_for(failure, |_| true);
    }

    /// Lets something fail for some targets; not what arrives, which is everybody's.
    pub fn fail_for(&mut self, failure: Failure, whom: impl Fn(IpAddr) -> bool + 'static) {
        self.failures.push((failure, Box::new(whom)));
    }

    /// Lets somebody see every packet that leaves: what comes back may be forged, and may stand in
    /// place of the truth.
    pub fn attack(&mut self, attacker: impl FnMut(&[u8]) -> Attack + 'static) {
        self.attacker = Some(Box::new(attacker));
    }

    /// The internet that it is on.
    pub const fn internet(&self) -> &Internet {
        &self.internet
    }

    fn fails(&self, what: Failing, target: Option<IpAddr>) -> bool {
        self.failed(what, target, self.now.get())
    }

    fn failed(&self, what: Failing, target: Option<IpAddr>, at: Duration) -> bool {
        let since_start = at.saturating_sub(Duration::from_secs(1));
        self.failures.iter().any(|(failure, whom)| {
            let is_then = failure.what == what && failure.span.contains(&since_start);
            is_then && target.is_none_or(whom)
        })
    }

    fn put(&mut self, deliveries: Vec<Delivery>) {
        for Delivery { due, packet, .. } in deliveries {
            self.made += 1;
            self.coming.push(Reverse((due, self.made, packet)));
        }
    }

    /// Lets everything arrive that is due. The kernel sees each packet at once, whenever the
    /// program reads it: a connection that a probe has begun ends when its SYN/ACK is here.
    fn arrive(&mut self) {
        let now = self.now.get();
        while let Some(due) = self.due().filter(|due| *due <= now) {
            let unsolicited = self.internet.unsolicited(due);
            self.put(unsolicited);
            let is_here = |Reverse((at, ..)): &Queued| *at <= due;
            // What has been sent unasked may still be on its way.
            let Some(Reverse((due, _, packet))) = self
                .coming
                .peek()
                .is_some_and(is_here)
                .then(|| self.coming.pop())
                .flatten()
            else {
                continue;
            };
            if self.failed(Failing::Answers, None, due) {
                continue;
            }
            if let Some(reset) = kernel::reset(&packet) {
                self.internet.receive(due, &reset);
            }
            let is_ipv4 = packet.first().is_some_and(|octet| octet >> 4 == 4);
            let ports = self.ports.iter().zip(&mut self.arrived);
            for (_, queue) in
                ports.filter(|(port, _)| (port.family == AddressFamily::V4) == is_ipv4)
            {
                queue.push_back((due, packet.clone()));
            }
        }
    }

    /// Lets a packet reach whom it does.
    fn reach(&mut self, packet: &[u8]) {
        let now = self.now.get();
        let Attack { is_alone, forged } = self
            .attacker
            .as_mut()
            .map(|attacker| attacker(packet))
            .unwrap_or_default();
        let due = |(after, packet)| Delivery {
            due: now.saturating_add(after),
            packet,
            answer: None,
        };
        self.put(forged.into_iter().map(due).collect());
        if !is_alone {
            let answers = self.internet.receive(now, packet);
            self.put(answers);
        }
    }

    /// When something may be read, at the earliest.
    fn next_arrival(&self) -> Option<Duration> {
        let arrived = self.arrived.iter().filter_map(VecDeque::front);
        arrived.map(|(at, _)| *at).chain(self.due()).min()
    }

    /// When something happens next that nobody here does.
    fn due(&self) -> Option<Duration> {
        let coming = self.coming.peek().map(|Reverse((due, ..))| *due);
        [coming, self.internet.next_unsolicited()]
            .into_iter()
            .flatten()
            .min()
    }
}

impl Link for Machine {
    type Error = Error;
    type Wake<'w> = ();

    fn now(&self) -> Instant {
        Instant::EPOCH.saturating_add(self.now.get())
    }

    fn date(&self) -> SystemTime {
        UNIX_EPOCH + self.now.get()
    }

    fn random(&mut self) -> Result<u128, Error> {
        Ok(self.random.u128(..))
    }

    fn ports(&self) -> impl ExactSizeIterator<Item = Port> + '_ {
        self.ports.iter().copied()
    }

    fn source(&self, target: IpAddr, _: u32, _: ProbeProtocol) -> Result<IpAddr, Error> {
        match self.fails(Failing::Route, Some(target)) {
            true => Err(Error::NoRoute),
            false => Ok(CLIENT.address(AddressFamily::of(target))),
        }
    }

    fn no_source(&self, _: IpAddr, _: u32, _: ProbeProtocol) -> Error {
        Error::NoRoute
    }

    fn send(&mut self, port: usize, probe: Datagram<'_>) -> Result<Instant, SendError> {
        self.arrive();
        let left = self.now();
        self.now.set(self.now.get() + SENDING);
        let fails = |what| self.fails(what, Some(probe.destination));
        let is_far = probe.hop_limit > 2 && fails(Failing::FarProbes);
        if is_far || fails(Failing::Firewall) || fails(Failing::Route) {
            return Err(NOT_PERMITTED);
        }
        if fails(Failing::Queue) {
            return Err(NO_ROOM);
        }
        let family = AddressFamily::of(probe.destination);
        assert_eq!(
            self.ports.get(port).map(|port| port.family),
            Some(family),
            "a port of the other family"
        );
        let header_len = ip::header_len(family);
        if header_len + probe.message.len() > FIRST_LINK {
            return Err(TOO_LARGE);
        }
        let ends = Ends {
            source: CLIENT.address(family),
            destination: probe.destination,
        };
        let header = ip::Header {
            ends,
            hop_limit: probe.hop_limit,
            traffic_class: 0,
            protocol: probe.protocol,
        };
        let is_diverted = probe.is_detour && self.ports.get(port).is_some_and(|port| port.detours);
        let message = match is_diverted {
            true => self.spares.divert(probe.message),
            false => probe.message.to_vec(),
        };
        let mut packet = [vec![0; header_len], message].concat();
        header
            .emit(probe.message.len(), &mut packet)
            .expect("there is room");
        if self.ports[port].kind == SocketKind::Tcp {
            let (which, syn) = ((probe.tag, self.now.get()), &mut packet[header_len..]);
            self.connections
                .begin(port, which, syn, &mut self.random)
                .ok_or(NO_ROOM)?;
        }
        if !self.fails(Failing::Probes, Some(probe.destination)) {
            self.reach(&packet);
        }
        Ok(left)
    }

    fn obstacle(error: SendError) -> Obstacle {
        match error {
            TOO_LARGE => Obstacle::TooLarge,
            NO_ROOM => Obstacle::Full,
            _ => Obstacle::Other,
        }
    }

    fn describe(error: SendError) -> String {
        if error == TOO_LARGE {
            "Message too long"
        } else {
            "Operation not permitted"
        }
        .to_owned()
    }

    fn has_arrivals(&self) -> Result<bool, Error> {
        Ok(self.next_arrival().is_some_and(|at| at <= self.now.get()))
    }

    fn receive<'b>(
        &mut self,
        port: usize,
        buf: &'b mut [u8],
    ) -> Result<Option<Arrived<'b>>, Error> {
        self.arrive();
        let Some(Port { kind, ident, .. }) = self.ports.get(port).copied() else {
            return Ok(None);
        };
        while let Some((due, mut packet)) = self.arrived[port].pop_front() {
            if kind == SocketKind::Tcp && self.connections.answer(port, &mut packet).is_none() {
                continue;
            }
            let is_heard =
                |answer: &Answer<'_>| ident.is_none_or(|ident| is_about(answer, kind, ident));
            let len = packet.len();
            let mut scratch = vec![0; len];
            // Without privilege a socket hears of nothing that isn't its own.
            let is_heard = match read(&packet, kind) {
                Ok(answer) if kind == SocketKind::Udp => {
                    is_heard(&self.spares.hide(answer, &mut scratch))
                }
                Ok(answer) => is_heard(&answer),
                Err(_) => kind == SocketKind::Raw,
            };
            if !is_heard || len > buf.len() {
                continue;
            }
            let (copy, room) = buf.split_at_mut(len);
            copy.copy_from_slice(&packet);
            let at = Instant::EPOCH.saturating_add(due);
            let answer = read(copy, kind);
            let source_port = match (kind, &answer) {
                (SocketKind::Udp, Ok(answer)) => self.spares.port_of(answer),
                _ => None,
            };
            let answer = answer.map(|answer| match kind {
                SocketKind::Udp => self.spares.hide(answer, room),
                _ => answer,
            });
            return Ok(Some(Arrived {
                answer,
                at,
                clock: Clock::Kernel,
                source_port,
            }));
        }
        Ok(None)
    }

    fn forget(&mut self, port: usize, are_these: impl Fn(u32) -> bool) {
        let kind = self.ports.get(port).map(|port| port.kind);
        if kind == Some(SocketKind::Tcp) {
            self.connections.end(are_these);
        }
    }

    fn wait(
        &self,
        span: Duration,
        through_arrivals: bool,
        _wake: Option<()>,
    ) -> Result<bool, Error> {
        assert!(
            span < Duration::from_secs(86_400) || self.next_arrival().is_some(),
            "it would sleep for ever"
        );
        let end = self.now.get().saturating_add(span);
        let until = self
            .next_arrival()
            .filter(|_| !through_arrivals)
            .map_or(end, |at| at.min(end));
        self.now.set(until.max(self.now.get()));
        Ok(false)
    }
}

/// Reads a packet as a socket of a kind shows it.
fn read(packet: &[u8], kind: SocketKind) -> Result<Answer<'_>, Malformed> {
    let (header, message) = ip::parse(packet)?;
    let hop_limit = Some(header.hop_limit);
    // As on Linux, whose raw sockets verify no checksum of TCP and UDP.
    let unverified = Ends {
        destination: header.ends.family().unspecified(),
        ..header.ends
    };
    let mut answer = match header.protocol {
        tcp::PROTOCOL => Tcp::answer(unverified, hop_limit, message)?,
        udp::PROTOCOL => Udp::answer(unverified, hop_limit, message)?,
        _ => Answer::parse(header.ends, hop_limit, message)?,
    };
    match (kind, &mut answer.back) {
        (SocketKind::Raw, _) => {}
        (_, Back::Quoted(quoted)) => quoted.header = None,
        (SocketKind::Tcp, _) => answer.hop_limit = None,
        _ => {}
    }
    Ok(answer)
}

/// Whether the kernel would give an answer to a ping socket with this ident, or to a UDP socket
/// with this port.
fn is_about(answer: &Answer<'_>, kind: SocketKind, ident: u16) -> bool {
    use hopshot_core::{Echo, Protocol};
    let key = match kind {
        SocketKind::Udp => Udp::key(answer),
        _ => Echo::key(answer),
    };
    key.is_ok_and(|key| key >> 16 == u32::from(ident))
}

/// Errors of a [`Machine`], and of the engine on it.
#[derive(Debug)]
pub enum Error {
    /// There is no route.
    NoRoute,
    /// There is no such name, says the server.
    NoSuchName,
    /// No server answers.
    NoServer,
    /// There is no socket: this user may not open one.
    NotPermitted,
    /// An error of the engine.
    Engine(Fault<Self>),
}

impl fmt::Display for Error {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Debug::fmt(self, f)
    }
}

impl core::error::Error for Error {}

impl From<Fault<Self>> for Error {
    fn from(fault: Fault<Self>) -> Self {
        Self::Engine(fault)
    }
}

impl LinkError for Error {
    fn may_pass(&self) -> bool {
        let lost = |fault: &Fault<Self>| {
            !matches!(fault, Fault::Config(_) | Fault::Size { .. } | Fault::Full)
        };
        matches!(self, Self::NoRoute | Self::NoServer)
            || matches!(self, Self::Engine(fault) if lost(fault))
    }

    fn is_change(&self) -> bool {
        false
    }

    fn is_answer(&self) -> bool {
        matches!(self, Self::NoSuchName)
    }

    fn reason(&self) -> String {
        self.to_string()
    }
}
