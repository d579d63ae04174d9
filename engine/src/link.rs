//! The seam to a machine: what the engine needs of an operating system, or of a simulated internet.

use crate::error::LinkError;
use crate::protocol::{ProbeProtocol, Probes};
use hopshot_core::wire::{AddressFamily, Malformed};
use hopshot_core::{Answer, Instant, SendError};
use std::net::IpAddr;
use std::time::{Duration, SystemTime};

/// A machine that sends probes and hears the answers.
///
/// It has one port or several in each family that it has. The engine knows a port by its place in
/// [`ports`](Self::ports), which never changes. Beside those of a job's protocol there may be one of
/// ICMP: then the engine checks whether it is the target that answers, or a proxy in its name.
pub trait Link {
    /// Errors of the machine, and of the engine on it.
    type Error: LinkError;

    /// Something of the caller's that ends a sleep: a descriptor on Linux.
    type Wake<'w>: Copy;

    /// Returns the monotonic time.
    fn now(&self) -> Instant;

    /// Returns the date and time, for people.
    fn date(&self) -> SystemTime;

    /// Returns 16 octets that nobody can predict.
    ///
    /// # Errors
    /// The machine has none.
    fn random(&mut self) -> Result<u128, Self::Error>;

    /// Returns the ports.
    fn ports(&self) -> impl ExactSizeIterator<Item = Port> + '_;

    /// Returns the address that probes to a target leave from: rules of routing may tell protocols
    /// apart. `scope_id` is the interface that a link-local target belongs to, else 0.
    ///
    /// # Errors
    /// There is no route, or no port of the target's family.
    fn source(
        &self,
        target: IpAddr,
        scope_id: u32,
        protocol: ProbeProtocol,
    ) -> Result<IpAddr, Self::Error>;

    /// Returns the error of a target that packets could leave for, but only from an address that
    /// means nothing beyond its link.
    fn no_source(&self, target: IpAddr, scope_id: u32, protocol: ProbeProtocol) -> Self::Error;

    /// Sends a probe. Returns the moment right before it left.
    ///
    /// # Errors
    /// [`obstacle`](Self::obstacle) says what the number means.
    fn send(&mut self, port: usize, probe: Datagram<'_>) -> Result<Instant, SendError>;

    /// Returns what kept a packet from being sent.
    fn obstacle(error: SendError) -> Obstacle;

    /// Returns the words for an error of sending.
    fn describe(error: SendError) -> String;

    /// Returns whether something may have arrived. It reads nothing.
    ///
    /// # Errors
    /// The machine fails in what can't fail in ordinary use.
    fn has_arrivals(&self) -> Result<bool, Self::Error>;

    /// Returns the next message that has arrived at a port, if one has, without waiting.
    ///
    /// # Errors
    /// As [`has_arrivals`](Self::has_arrivals).
    fn receive<'b>(
        &mut self,
        port: usize,
        buf: &'b mut [u8],
    ) -> Result<Option<Arrived<'b>>, Self::Error>;

    /// Returns the tag of a probe that was seen to leave, and when that was, where the machine
    /// tells.
    fn departed(&mut self, _port: usize) -> Option<(u32, Instant)> {
        None
    }

    /// Says that nobody waits any more for answers to the probes with these tags. Where probes are
    /// connections they are to end now.
    fn forget(&mut self, _port: usize, _are_these: impl Fn(u32) -> bool) {}

    /// Says whose answers are wanted at a port. The machine may bring others all the same.
    fn listen_for(&mut self, _port: usize, _audience: Audience<'_>) {}

    /// Returns how many messages a port has lost for want of room.
    fn dropped(&self, _port: usize) -> u32 {
        0
    }

    /// Returns whether packets to a target don't leave this machine. Its own choice of a source
    /// shows that already: `source` is the address that they leave from.
    fn is_itself(&self, target: IpAddr, source: IpAddr) -> bool {
        target.is_loopback() || target == source
    }

    /// Returns whether an address is one of this machine's.
    fn is_own(&self, _address: IpAddr) -> bool {
        false
    }

    /// Returns the first that packets go to, where the machine tells.
    fn next_hop(&self, _way: Way) -> Option<NextHop> {
        None
    }

    /// Sleeps for a time, or until something arrives unless that is to be slept through, or until
    /// `wake`. Returns whether it was that.
    ///
    /// # Errors
    /// As [`has_arrivals`](Self::has_arrivals).
    fn wait(
        &self,
        span: Duration,
        through_arrivals: bool,
        wake: Option<Self::Wake<'_>>,
    ) -> Result<bool, Self::Error>;
}

/// A way out for probes of one family, and in for their answers.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Port {
    /// The family.
    pub family: AddressFamily,
    /// The number of the protocol that it sends, in IP headers.
    pub protocol: u8,
    /// The kind of socket.
    pub kind: SocketKind,
    /// The ident of everything that it sends, or the source port, whatever the message says; `None`
    /// if that stays as it is.
    pub ident: Option<u16>,
    /// A source port of TCP or UDP that no other program of this machine can take, if one is held.
    pub own_port: Option<u16>,
    /// How many probes may be under way at a time; `None` where any number may.
    pub room: Option<usize>,
    /// The destination port of all that it sends, where it can send to no other, or hears no
    /// answers from others; else `None`.
    pub target_port: Option<u16>,
    /// Whether it sends [detours](Datagram::is_detour) from ports that only they have, although it
    /// has one port for everything else.
    pub detours: bool,
}

impl Port {
    /// Whether each probe of a trace is of another flow.
    pub(crate) const fn has_many_flows(&self) -> bool {
        matches!(self.kind, SocketKind::Tcp) && self.ident.is_none()
    }

    /// Returns the probes of a trace as it sends them.
    pub(crate) const fn carried(&self, probes: Probes) -> Probes {
        match (self.kind, probes) {
            // The system writes them.
            (SocketKind::Tcp, probes) => probes.with_options_of_systems(),
            (_, Probes::Udp(_)) if !self.detours => probes.on_one_flow(),
            _ => probes,
        }
    }

    /// Whether it sends probes of a protocol, and hears the answers.
    pub(crate) fn serves(&self, family: AddressFamily, protocol: ProbeProtocol) -> bool {
        let is_heard = self
            .target_port
            .is_none_or(|port| protocol.port() == Some(port));
        self.family == family && self.protocol == protocol.number(family) && is_heard
    }
}

/// The kinds of sockets that send probes and hear the answers.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum SocketKind {
    /// A raw socket: sees all of an answer. On Linux it needs the privilege `CAP_NET_RAW`.
    Raw,
    /// An ICMP datagram socket, a "ping socket": on Linux for every user whose group is in
    /// `net.ipv4.ping_group_range`. The kernel keeps some of an answer to itself: of the IP header
    /// that an error quotes all but the destination (so there is no quoted hop limit, and a
    /// translated source isn't seen), errors that quote less than 28 octets in IPv4, and errors
    /// that quote another ident than the one sent.
    ///
    /// All probes of a socket have one ident. It is drawn at random, and nobody else can open a
    /// socket for it, unless it was given. Then another user of this machine may open a ping socket
    /// for it, on purpose, and gets the answers. That user can make them missing, but can't make up
    /// an Echo Reply, nor an error that proves itself.
    #[doc(alias = "unprivileged")]
    Ping,
    /// A UDP socket: on Linux every user may open one. It sends UDP probes alone. The kernel keeps
    /// all of the quoted headers to itself but for the destination, so an error must quote the
    /// cookie and the balance of the payload: 18 octets behind the IP header, of QUIC 26, of a DNS
    /// question 48. A router that quotes less is asked again by a
    /// [detour](crate::Route::is_detour), but for lists and traces that are to be one flow: there
    /// it looks silent. So does one behind a translator of the source port. A socket has one source
    /// port, so it serves one trace at a time.
    Udp,
    /// A TCP socket: on Linux every user may open one. Its probe is the SYN by which the system
    /// makes a connection, so each leaves from a port of its own, and load balancers may send them
    /// different ways. On one flow they leave one after the other. The system compares what an
    /// error quotes, and keeps it to itself, so what was changed on the way isn't seen, and a
    /// router behind a firewall that changes sequence numbers looks silent. Nor does it tell the
    /// hop limit of the target's answer.
    Tcp,
}

impl SocketKind {
    /// Returns its name in documents.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Raw => "raw",
            Self::Ping => "ping",
            Self::Udp => "udp",
            Self::Tcp => "tcp",
        }
    }
}

/// A probe to be sent.
#[derive(Clone, Copy, Debug)]
#[non_exhaustive]
pub struct Datagram<'m> {
    /// The target.
    pub destination: IpAddr,
    /// The interface that a link-local target belongs to, else 0.
    pub scope_id: u32,
    /// The hop limit (TTL in IPv4).
    pub hop_limit: u8,
    /// The number of the message's protocol in IP headers: that of the port.
    pub protocol: u8,
    /// The message, from its own header on.
    pub message: &'m [u8],
    /// A number that [`Link::departed`] gives back.
    pub tag: u32,
    /// Whether it is to leave on a flow of its own, so that its answer is known by that. A port
    /// that [has detours](Port::detours) sends it from another source port, and gives back the
    /// answer with the header that the message has.
    pub is_detour: bool,
}

/// The reason why a packet could not be sent.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum Obstacle {
    /// It is too large for the first link, and others may not be.
    TooLarge,
    /// A queue is full: also of what waits for neighbours that don't answer.
    Full,
    /// Anything else.
    Other,
}

/// A message that has arrived.
#[derive(Debug)]
pub struct Arrived<'b> {
    /// The answer that it is, or why it is none.
    pub answer: Result<Answer<'b>, Malformed>,
    /// The time of arrival.
    pub at: Instant,
    /// The clock that says so.
    pub clock: Clock,
    /// The source port that the probe left from, where that is a [detour](Datagram::is_detour)'s
    /// own. The header that the answer quotes has the port of the trace instead.
    pub source_port: Option<u16>,
}

/// Those whose answers are wanted.
#[derive(Clone, Copy, Debug)]
#[non_exhaustive]
pub enum Audience<'a> {
    /// Everybody.
    Everyone,
    /// One trace: its probes and its target.
    Trace(&'a Probes, IpAddr),
}

/// The clock that said when a packet came or went.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum Clock {
    /// The kernel's, as the packet came in or went out: independent of how busy this machine is.
    Kernel,
    /// This process's, right before it sent the packet, or right after it had read it: off by the
    /// time that took.
    #[default]
    User,
}

impl Clock {
    /// Returns its name in documents.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Kernel => "kernel",
            Self::User => "user",
        }
    }
}

/// The clocks that the two ends of an RTT are from.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub struct Clocks {
    /// The clock for when the probe left: [`Clock::Kernel`] only where that was asked for.
    pub sent: Clock,
    /// The clock for when the answer came: [`Clock::Kernel`], but for the odd one.
    pub received: Clock,
}

/// The way that probes take.
#[derive(Clone, Copy, Debug)]
pub struct Way {
    /// The address that they leave from.
    pub source: IpAddr,
    /// The address that they go to.
    pub target: IpAddr,
    /// The interface that a link-local target belongs to, else 0.
    pub scope_id: u32,
}

/// The first that packets go to.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct NextHop {
    /// Whether it isn't the target itself.
    pub is_gateway: bool,
    /// The state that it is in.
    pub neighbour: Neighbour,
}

/// The state of a next hop on its link (ARP, Neighbor Discovery).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Neighbour {
    /// It is being asked for, and has not answered.
    Sought,
    /// It did not answer.
    Missing,
    /// It is known.
    Other,
    /// It has no entry: there is none, or nobody has asked for it of late, or the machine doesn't
    /// tell.
    Unknown,
}
