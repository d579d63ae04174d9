//! The hosts at the target's place: how Linux answers echo requests, segments and datagrams there.

use crate::answer::{Body, Delivery, Report, Request, echo_reply, error, wrap};
use crate::hop::{ErrorKind, Hop, prohibited};
use crate::host::{Port, Target};
use crate::limit::{Bucket, Window};
use crate::log::Fate;
use crate::transport::{self, ACK, FIN, Flow, Ports, Protocol, RST, SYN, Segment};
use core::time::Duration;
use hopshot_core::wire::{AddressFamily, Ends};
use std::collections::BTreeMap;

/// The window that is offered, and in which a SYN is taken for one of the connection.
const WINDOW: u16 = 64_240;

/// How long a connection waits for the end of its handshake: the time of five SYN/ACKs more.
const PATIENCE: Duration = Duration::from_secs(63);

/// The time between two answers to segments that don't belong there (`tcp_invalid_ratelimit`).
const BETWEEN_CHALLENGES: Duration = Duration::from_millis(500);

/// The time until a SYN/ACK is sent again; it doubles each time.
const FIRST_REPEAT: Duration = Duration::from_secs(1);

/// How often a SYN/ACK is sent again (`tcp_synack_retries`).
const REPEATS: u8 = 5;

/// The shortest datagram that gets a Version Negotiation.
const SHORTEST_QUIC: usize = 1200;

/// A request at its destination.
pub(crate) struct Arrival<'a> {
    /// As it has arrived.
    pub(crate) request: &'a Request<'a>,
    /// As an error's quote shows it.
    pub(crate) quoted: &'a Request<'a>,
    /// From whom to whom the answer goes.
    pub(crate) back: Ends,
    /// What is left of the answer's hop limit when it arrives.
    pub(crate) hop_limit: u8,
    /// What is left of the request's.
    pub(crate) left: u8,
    /// How many octets after the IP header an error quotes.
    pub(crate) quote: Option<usize>,
}

/// Hosts with all that they remember.
#[derive(Debug)]
pub(crate) struct Hosts {
    /// Of IPv4 and of IPv6.
    buckets: [Bucket; 2],
    errors: [Bucket; 2],
    windows: [Window; 2],
    /// In an order, so that a seed always gives the same.
    connections: BTreeMap<Flow, Connection>,
    /// Apart from the path's: a segment doesn't change what becomes of another protocol's probes.
    random: fastrand::Rng,
}

/// A connection that a SYN has begun.
#[derive(Debug)]
struct Connection {
    begun: Duration,
    /// The seq of the SYN.
    first: u32,
    /// The seq that is expected next.
    next: u32,
    /// The seq of the SYN/ACK.
    isn: u32,
    established: bool,
    /// The last answer to a segment that doesn't belong here.
    challenged: Option<Duration>,
    repeat: Option<Repeat>,
}

/// A SYN/ACK to be sent again.
#[derive(Debug)]
struct Repeat {
    at: Duration,
    /// The time until the next but one.
    gap: Duration,
    left: u8,
    /// How long it is under way, seen from the client.
    rtt: Duration,
    packet: Vec<u8>,
}

impl Hosts {
    pub(crate) fn new(seed: u64) -> Self {
        Self {
            buckets: Default::default(),
            errors: Default::default(),
            windows: Default::default(),
            connections: BTreeMap::new(),
            random: fastrand::Rng::with_seed(!seed),
        }
    }

    /// The answer of one of the hosts, or what becomes of the request without one.
    pub(crate) fn answer(
        &mut self,
        now: Duration,
        arrival: &Arrival<'_>,
        target: &Target,
    ) -> Result<Vec<u8>, Fate> {
        let request = arrival.request;
        let port = request.ports().map_or(Port::Open, |ports| {
            target.port(request.protocol(), ports.destination)
        });
        if target.silent || port == Port::Filtered || !arrival.is_whole() {
            return Err(Fate::Silent);
        }
        let family = request.family();
        let number = usize::from(family == AddressFamily::V6);
        if target
            .limit
            .is_some_and(|limit| !self.buckets[number].take(now, limit, family))
            || target
                .partial
                .is_some_and(|partial| !self.windows[number].take(now, partial))
        {
            return Err(Fate::Limited);
        }
        let is_error = match request.body {
            Body::Datagram(_) => port == Port::Closed,
            Body::Echo(_) | Body::Segment(_) => false,
        } || port == Port::Rejected;
        if is_error
            && target
                .errors
                .is_some_and(|limit| !self.errors[number].take(now, limit, family))
        {
            return Err(Fate::Limited);
        }
        match (request.body, port) {
            // A host behind no router at all refuses by itself.
            (_, Port::Rejected) => Ok(arrival.error(prohibited(family))),
            (Body::Segment(segment), Port::Open) => self.accept(now, arrival, segment),
            (Body::Datagram(datagram), Port::Echo) => Ok(arrival.datagram(datagram.payload)),
            (Body::Datagram(datagram), Port::Quic) => {
                let first = self.random.u8(..);
                let answer = version_negotiation(datagram.payload, first).ok_or(Fate::Silent)?;
                Ok(arrival.datagram(&answer))
            }
            _ => arrival.refuse(),
        }
    }

    /// Answers a segment to an open port.
    fn accept(
        &mut self,
        now: Duration,
        arrival: &Arrival<'_>,
        segment: Segment,
    ) -> Result<Vec<u8>, Fate> {
        let flow = Flow::new(arrival.request.header.ends, segment.ports);
        let is_over = |connection: &Connection| now.saturating_sub(connection.begun) >= PATIENCE;
        if self.connections.get(&flow).is_some_and(is_over) {
            self.connections.remove(&flow);
        }
        let Some(connection) = self.connections.get_mut(&flow) else {
            if !segment.has(SYN) || segment.has(ACK) {
                return arrival.refuse();
            }
            let connection = Connection {
                begun: now,
                first: segment.seq,
                next: segment.seq.wrapping_add(1),
                isn: self.random.u32(..),
                established: false,
                challenged: None,
                repeat: None,
            };
            let answer = connection.syn_ack(arrival);
            self.connections.insert(flow, connection);
            return Ok(answer);
        };
        let is_inside = segment.seq.wrapping_sub(connection.next) < WINDOW.into();
        if !segment.has(SYN) {
            if !is_inside || !segment.has(ACK) {
                return connection.challenge(now, arrival);
            }
            (connection.established, connection.repeat) = (true, None);
            let answer = connection.acknowledge(arrival, segment);
            if segment.has(FIN) {
                self.connections.remove(&flow);
            }
            return answer;
        }
        if segment.seq == connection.first && !connection.established {
            connection.may_answer(now)?;
            return Ok(connection.syn_ack(arrival));
        }
        if is_inside && !connection.established {
            self.connections.remove(&flow);
            return arrival.refuse();
        }
        connection.challenge(now, arrival)
    }

    /// Takes note of an RST: the connection that it belongs to is over.
    pub(crate) fn reset(&mut self, flow: Flow, segment: Segment) {
        let expected = self
            .connections
            .get(&flow)
            .map(|connection| connection.next);
        if expected == Some(segment.seq) {
            self.connections.remove(&flow);
        }
    }

    /// Lets the SYN/ACK of a connection that has just begun be sent again.
    pub(crate) fn repeat(&mut self, now: Duration, flow: Flow, rtt: Duration, packet: &[u8]) {
        if let Some(connection) = self.connections.get_mut(&flow)
            && connection.begun == now
            && connection.repeat.is_none()
        {
            connection.repeat = Some(Repeat {
                at: now + FIRST_REPEAT,
                gap: FIRST_REPEAT * 2,
                left: REPEATS,
                rtt,
                packet: packet.to_vec(),
            });
        }
    }

    /// When [`Hosts::repeats`] next has something.
    pub(crate) fn next(&self) -> Option<Duration> {
        let repeats = self.connections.values();
        repeats
            .filter_map(|connection| Some(connection.repeat.as_ref()?.at))
            .min()
    }

    /// What has been sent again until then.
    pub(crate) fn repeats(&mut self, until: Duration) -> Vec<Delivery> {
        let mut deliveries = Vec::new();
        for connection in self.connections.values_mut() {
            while let Some(repeat) = connection
                .repeat
                .as_mut()
                .filter(|repeat| repeat.at <= until)
            {
                deliveries.push(Delivery {
                    due: repeat.at + repeat.rtt,
                    packet: repeat.packet.clone(),
                    answer: None,
                });
                repeat.at += repeat.gap;
                repeat.gap *= 2;
                repeat.left -= 1;
                if repeat.left == 0 {
                    connection.repeat = None;
                }
            }
        }
        deliveries
    }
}

impl Connection {
    fn syn_ack(&self, arrival: &Arrival<'_>) -> Vec<u8> {
        let mss = match arrival.back.family() {
            AddressFamily::V4 => 1460,
            AddressFamily::V6 => 1440,
        };
        arrival.segment(self.isn, self.first.wrapping_add(1), SYN | ACK, Some(mss))
    }

    /// Answers a segment that doesn't belong here with what does (RFC 5961).
    fn challenge(&mut self, now: Duration, arrival: &Arrival<'_>) -> Result<Vec<u8>, Fate> {
        self.may_answer(now)?;
        Ok(arrival.segment(self.isn.wrapping_add(1), self.next, ACK, None))
    }

    fn may_answer(&mut self, now: Duration) -> Result<(), Fate> {
        let is_early = |last| now.saturating_sub(last) < BETWEEN_CHALLENGES;
        if self.challenged.is_some_and(is_early) {
            return Err(Fate::Limited);
        }
        self.challenged = Some(now);
        Ok(())
    }

    /// Acknowledges data, of which nothing becomes, and the end of a connection.
    fn acknowledge(&mut self, arrival: &Arrival<'_>, segment: Segment) -> Result<Vec<u8>, Fate> {
        if segment.length == 0 {
            return Err(Fate::Silent);
        }
        self.next = segment.seq.wrapping_add(segment.length);
        let flags = ACK | segment.flags & FIN;
        Ok(arrival.segment(self.isn.wrapping_add(1), self.next, flags, None))
    }
}

impl Arrival<'_> {
    /// Whether the checksum is right.
    fn is_whole(&self) -> bool {
        let Request { header, .. } = self.request;
        let protocol = self.request.protocol();
        protocol == Protocol::Icmp
            || transport::is_right(header.ends, protocol, self.request.message())
    }

    /// The answer of a host on which nobody listens.
    pub(crate) fn refuse(&self) -> Result<Vec<u8>, Fate> {
        if !self.is_whole() {
            return Err(Fate::Silent);
        }
        match self.request.body {
            Body::Echo(echo) => Ok(echo_reply(self.back, echo, self.hop_limit)),
            Body::Segment(segment) if segment.has(RST) => Err(Fate::Silent),
            Body::Segment(segment) => Ok(self.wrap(&segment.refusal(), 0, None)),
            Body::Datagram(_) => Ok(self.error(match self.back.family() {
                AddressFamily::V4 => [3, 3].into(),
                AddressFamily::V6 => [1, 4].into(),
            })),
        }
    }

    fn segment(&self, seq: u32, ack: u32, flags: u8, mss: Option<u16>) -> Vec<u8> {
        let ports = self.request.ports().map(Ports::reversed);
        let segment = Segment {
            ports: ports.expect("it answers a segment"),
            seq,
            ack,
            flags,
            length: 0,
        };
        self.wrap(&segment, WINDOW, mss)
    }

    fn wrap(&self, segment: &Segment, window: u16, mss: Option<u16>) -> Vec<u8> {
        let message = transport::segment(self.back, segment, window, mss);
        wrap(self.back, Protocol::Tcp, self.hop_limit, &message)
    }

    fn datagram(&self, payload: &[u8]) -> Vec<u8> {
        let ports = self.request.ports().map(Ports::reversed);
        let ports = ports.expect("it answers a datagram");
        let message = transport::datagram(self.back, ports, payload);
        wrap(self.back, Protocol::Udp, self.hop_limit, &message)
    }

    fn error(&self, kind: ErrorKind) -> Vec<u8> {
        let report = Report {
            icmp_type: kind.icmp_type,
            code: kind.code,
            rest: 0,
            left: self.left,
        };
        let from = self.back.source;
        let by = Hop {
            quote: self.quote,
            ..Hop::default()
        };
        error(self.quoted, from, self.hop_limit, &report, &by)
    }
}

/// The answer to a QUIC packet of a version that isn't known (RFC 8999, section 6): both connection
/// ids change places, and version 1 is what is spoken here. `first` is any octet.
fn version_negotiation(payload: &[u8], first: u8) -> Option<Vec<u8>> {
    const LONG_HEADER: u8 = 0x80;
    const NEGOTIATION: u32 = 0;
    const SPOKEN: u32 = 1;
    let (form, rest) = payload.split_first()?;
    let (version, rest) = rest.split_first_chunk()?;
    let (destination, rest) = connection_id(rest)?;
    let (source, _) = connection_id(rest)?;
    let is_unknown = ![NEGOTIATION, SPOKEN].contains(&u32::from_be_bytes(*version));
    if form & LONG_HEADER == 0 || !is_unknown || payload.len() < SHORTEST_QUIC {
        return None;
    }
    let mut answer = vec![first | LONG_HEADER];
    answer.extend_from_slice(&NEGOTIATION.to_be_bytes());
    answer.extend_from_slice(source);
    answer.extend_from_slice(destination);
    answer.extend_from_slice(&SPOKEN.to_be_bytes());
    Some(answer)
}

/// A connection id with the octet that says how long it is, and what follows.
fn connection_id(octets: &[u8]) -> Option<(&[u8], &[u8])> {
    octets.split_at_checked(usize::from(*octets.first()?) + 1)
}
