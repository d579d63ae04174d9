//! The memory of one probe, packed: its fields fill whole words of 32 bits, so that no place is
//! lost between them, and that none is read octet by octet.
//!
//! | octets | what |
//! | ---: | --- |
//! | 8 | when it was sent, in nanoseconds |
//! | 5 | its RTT, in nanoseconds up to 18 minutes; of a lost probe, how long it was waited for |
//! | 16 | who answered |
//! | 2 | an MTU, or the number of a send error |
//! | 9 | hop, attempt, state and what is there, type, code, three fields of headers, changes |

use crate::answer::{Answer, Kind};
use crate::outcome::{Failure, Outcome, Reply, SendError};
use crate::probe::{Changes, Evidence, ProbeId};
use crate::time::{Instant, short_span};
use crate::wire::is_same_address;
use core::net::{IpAddr, Ipv4Addr, Ipv6Addr};

/// The longest RTT that is kept, in nanoseconds: 18 minutes.
pub(crate) const LONGEST_RTT: u64 = 0xff_ffff_ffff;

/// The low bits of `state`.
const STATE: u8 = 0b111;
const IN_FLIGHT: u8 = 0;
const LOST: u8 = 1;
const SEND: u8 = 2;
const LOCAL: u8 = 3;
const REPLY: u8 = 4;
const TIME_EXCEEDED: u8 = 5;
const UNREACHABLE: u8 = 6;
/// The others: what of an answer is there.
const IPV4: u8 = 1 << 3;
const MTU: u8 = 1 << 4;
const HOP_LIMIT: u8 = 1 << 5;
const QUOTED: u8 = 1 << 6;
/// The target wrote it.
const TARGETS: u8 = 1 << 7;

/// The bit of `attempt` that says that the probe left on a flow of its own.
const APART: u8 = 1 << 7;

/// The bit of an attempt that says that an answer came which names no probe: in the first probe.
const FOLLOWED: u8 = 1 << 6;

/// An address as it is kept here, in words: of IPv4 the first, and zeros.
pub(crate) type Address = [u32; 4];

/// Tells whether two addresses are the same: in four words, which are compared faster than sixteen
/// octets.
#[inline(never)]
pub(crate) fn is_same(one: &Address, other: &Address) -> bool {
    let ([a, b, c, d], [e, f, g, h]) = (one, other);
    a == e && b == f && c == g && d == h
}

/// The memory of one probe.
#[derive(Clone, Copy, Debug)]
pub struct Slot {
    /// In nanoseconds.
    sent: [u32; 2],
    from: Address,
    /// The span from sending on, in nanoseconds: its low 32 bits, and the 8 above them.
    span_low: u32,
    span_high: u8,
    number: u16,
    hop: u8,
    attempt: u8,
    state: u8,
    icmp_type: u8,
    icmp_code: u8,
    hop_limit: u8,
    quoted_hop_limit: u8,
    quoted_traffic_class: u8,
    changes: Changes,
}

impl Slot {
    /// A probe that is just being sent.
    pub(crate) fn new(hop: u8, attempt: u8, sent: Instant) -> Self {
        Self {
            sent: zerocopy::transmute!(sent.as_nanos()),
            from: [0; 4],
            span_low: 0,
            span_high: 0,
            number: 0,
            hop,
            attempt,
            state: IN_FLIGHT,
            icmp_type: 0,
            icmp_code: 0,
            hop_limit: 0,
            quoted_hop_limit: 0,
            quoted_traffic_class: 0,
            changes: Changes::default(),
        }
    }

    pub(crate) const fn hop(&self) -> u8 {
        self.hop
    }

    pub(crate) const fn id(&self) -> ProbeId {
        ProbeId {
            hop: self.hop,
            attempt: self.attempt & !(APART | FOLLOWED),
        }
    }

    /// Remembers that it left on a flow of its own.
    pub(crate) const fn set_apart(&mut self) {
        self.attempt |= APART;
    }

    /// Whether it left on a flow of its own.
    pub(crate) const fn is_apart(&self) -> bool {
        self.attempt & APART != 0
    }

    /// Remembers that an answer came after it which names no probe.
    pub(crate) const fn set_followed(&mut self) {
        self.attempt |= FOLLOWED;
    }

    /// Whether an answer came after it which names no probe.
    pub(crate) const fn is_followed(&self) -> bool {
        self.attempt & FOLLOWED != 0
    }

    pub(crate) const fn sent(&self) -> Instant {
        Instant::from_nanos(zerocopy::transmute!(self.sent))
    }

    pub(crate) const fn is_in_flight(&self) -> bool {
        self.state & STATE == IN_FLIGHT
    }

    pub(crate) const fn is_lost(&self) -> bool {
        self.state & STATE == LOST
    }

    pub(crate) const fn is_answered(&self) -> bool {
        self.state & STATE >= REPLY
    }

    /// Whether an answer would still tell more.
    pub(crate) fn may_improve(&self) -> bool {
        self.is_in_flight() || self.is_answered() && self.changes.evidence() == Evidence::Weak
    }

    /// The kind of its answer, if it was answered.
    pub(crate) const fn kind(&self) -> Option<Kind> {
        match self.state & STATE {
            REPLY => Some(Kind::Reply),
            TIME_EXCEEDED => Some(Kind::TimeExceeded),
            UNREACHABLE => Some(Kind::Unreachable),
            _ => None,
        }
    }

    /// Whether the target wrote its answer.
    pub(crate) const fn is_targets(&self) -> bool {
        self.state & TARGETS != 0
    }

    /// Whether its answer, if it has one, may decide anything.
    pub(crate) const fn is_proven(&self) -> bool {
        !self.changes.contains(Changes::UNPROVEN)
    }

    /// The router's address as it is kept here, if this is its Time Exceeded, and proven.
    pub(crate) const fn passed_by(&self) -> Option<&Address> {
        if self.state & STATE == TIME_EXCEEDED && self.is_proven() {
            Some(&self.from)
        } else {
            None
        }
    }

    /// The address as it is kept here of whoever let it pass no further, if an answer says so, and
    /// proves it beyond doubt.
    pub(crate) fn barred_by(&self) -> Option<&Address> {
        (self.state & STATE == UNREACHABLE && self.changes.evidence() == Evidence::Strong)
            .then_some(&self.from)
    }

    /// Its RTT in nanoseconds, if it was answered.
    pub(crate) const fn rtt(&self) -> Option<u64> {
        if self.is_answered() {
            Some(self.span())
        } else {
            None
        }
    }

    pub(crate) const fn changes(&self) -> Changes {
        self.changes
    }

    /// Returns why it failed on this machine, if it did.
    pub(crate) const fn failure(&self) -> Option<Failure> {
        match self.state & STATE {
            SEND => Some(Failure::Send(SendError(self.number))),
            // No error has this type.
            LOCAL if self.icmp_type == 0 => Some(Failure::NextHop),
            LOCAL => Some(Failure::Local {
                icmp_type: self.icmp_type,
                icmp_code: self.icmp_code,
            }),
            _ => None,
        }
    }

    pub(crate) fn outcome(&self) -> Outcome {
        match (self.state & STATE, self.failure()) {
            (_, Some(failure)) => Outcome::Failed(failure),
            (IN_FLIGHT, _) => Outcome::InFlight,
            (LOST, _) => Outcome::Lost,
            _ => Outcome::Answered(self.reply()),
        }
    }

    /// Its answer, if it was answered.
    pub(crate) fn reply(&self) -> Reply {
        let there = |bit: u8, value: u8| (self.state & bit != 0).then_some(value);
        Reply {
            probe: self.id(),
            from: self.from(),
            rtt: short_span(self.rtt().unwrap_or_default()),
            kind: self.kind().unwrap_or(Kind::Unreachable),
            icmp_type: self.icmp_type,
            icmp_code: self.icmp_code,
            mtu: (self.state & MTU != 0).then_some(self.number),
            hop_limit: there(HOP_LIMIT, self.hop_limit),
            quoted_hop_limit: there(QUOTED, self.quoted_hop_limit),
            quoted_traffic_class: there(QUOTED, self.quoted_traffic_class),
            changes: self.changes,
        }
    }

    /// Moves the time of sending back, after the clock began again.
    pub(crate) const fn turn_back(&mut self, nanos: u64) {
        self.sent = zerocopy::transmute!(self.sent().before(nanos).as_nanos());
    }

    /// Remembers a better time of sending. A probe that was answered left no later than its answer
    /// came.
    pub(crate) fn leave(&mut self, mut at: Instant) {
        if let Some(rtt) = self.rtt() {
            let received = self.sent().after(rtt);
            at = at.min(received);
            self.set_received(at, received);
        }
        self.sent = zerocopy::transmute!(at.as_nanos());
    }

    // In its callers it takes more room.
    #[inline(never)]
    fn set_received(&mut self, sent: Instant, received: Instant) {
        let span = received.nanos_since(sent).min(LONGEST_RTT);
        let [a, b, c, d, high, ..] = span.to_le_bytes();
        (self.span_low, self.span_high) = (u32::from_le_bytes([a, b, c, d]), high);
    }

    /// Its RTT if it was answered, or the time that it was waited for if it is lost: in
    /// nanoseconds.
    pub(crate) const fn span(&self) -> u64 {
        let [a, b, c, d] = self.span_low.to_le_bytes();
        u64::from_le_bytes([a, b, c, d, self.span_high, 0, 0, 0])
    }

    /// Gives it up from now on. An answer still counts if it comes.
    pub(crate) fn lose(&mut self, now: Instant) {
        self.set_received(self.sent(), now);
        self.state = LOST;
    }

    /// The time that it was waited for in nanoseconds, if it is lost.
    pub(crate) const fn waited(&self) -> Option<u64> {
        if self.state & STATE == LOST {
            Some(self.span())
        } else {
            None
        }
    }

    /// Remembers why it failed on this machine.
    pub(crate) const fn fail(&mut self, failure: Failure) {
        self.state = match failure {
            Failure::Send(SendError(number)) => {
                self.number = number;
                SEND
            }
            Failure::NextHop => {
                (self.icmp_type, self.icmp_code) = (0, 0);
                LOCAL
            }
            Failure::Local {
                icmp_type,
                icmp_code,
            } => {
                (self.icmp_type, self.icmp_code) = (icmp_type, icmp_code);
                LOCAL
            }
        };
    }

    /// Remembers an answer that came at `received`, in place of what is here. `packet_len` is the
    /// length of the probe.
    pub(crate) fn take(
        &mut self,
        received: Instant,
        answer: &Answer<'_>,
        changes: Changes,
        target: &IpAddr,
        packet_len: usize,
    ) {
        self.set_received(self.sent(), received);
        self.changes = changes;
        (self.icmp_type, self.icmp_code) = answer.icmp;
        let (mut state, is_targets) = match answer.kind {
            Kind::Reply => (REPLY, true),
            Kind::TimeExceeded => (TIME_EXCEEDED, false),
            Kind::Unreachable => (UNREACHABLE, is_same_address(&answer.from, target)),
        };
        if is_targets {
            state |= TARGETS;
        }
        match answer.from {
            IpAddr::V4(from) => {
                self.from = [u32::from_ne_bytes(from.octets()), 0, 0, 0];
                state |= IPV4;
            }
            IpAddr::V6(from) => self.from = zerocopy::transmute!(from.octets()),
        }
        // A probe that fits isn't too big, whoever says so.
        if let Some(mtu) = answer.mtu.filter(|mtu| usize::from(*mtu) < packet_len) {
            self.number = mtu;
            state |= MTU;
        }
        if let Some(hop_limit) = answer.hop_limit {
            self.hop_limit = hop_limit;
            state |= HOP_LIMIT;
        }
        if let Some(header) = answer.header() {
            self.quoted_hop_limit = header.hop_limit;
            self.quoted_traffic_class = header.traffic_class;
            state |= QUOTED;
        }
        self.state = state;
    }

    /// Takes its answer, an error, for the target's own.
    pub(crate) const fn be_reply(&mut self) {
        self.state = self.state & !STATE | REPLY | TARGETS;
    }

    #[inline(never)]
    fn from(&self) -> IpAddr {
        let octets: [u8; 16] = zerocopy::transmute!(self.from);
        let [a, b, c, d, ..] = octets;
        if self.state & IPV4 == 0 {
            Ipv6Addr::from(octets).into()
        } else {
            Ipv4Addr::new(a, b, c, d).into()
        }
    }
}
