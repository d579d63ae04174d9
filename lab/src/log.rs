//! What the simulated internet saw: one entry for each probe, with the true round trip of every
//! answer. Times are nanoseconds on the clock that the packets were given with; in a log file that
//! is `CLOCK_MONOTONIC`.

use crate::transport::{ACK, Ports, Protocol, SYN};
use serde::{Deserialize, Serialize};
use std::net::IpAddr;

/// A line of a log file.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(tag = "event", rename_all = "snake_case")]
pub enum Event {
    /// A probe and its answers, in the order of arrival.
    Probe(Probe),
    /// The command and its end: the last line.
    Exit(Exit),
}

/// An Echo Request, a TCP segment or a UDP datagram that left the client. An RST is none: the
/// kernel sends it by itself.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Probe {
    /// When it arrived in the simulated internet.
    pub at_ns: u64,
    /// Its destination.
    pub destination: IpAddr,
    /// The hop limit that it was sent with.
    pub hop_limit: u8,
    /// The traffic class (TOS in IPv4).
    pub traffic_class: u8,
    /// Its protocol.
    #[serde(default)]
    pub protocol: Protocol,
    /// The ports, of TCP and UDP.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub ports: Option<Ports>,
    /// What else a TCP header says.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub tcp: Option<Sent>,
    /// The ident of ICMP; else 0.
    pub ident: u16,
    /// The sequence number of ICMP; else 0.
    pub seq: u16,
    /// The checksum behind the IP header.
    pub checksum: u16,
    /// The length of the whole packet.
    pub length: usize,
    /// Which path it took.
    pub path: usize,
    /// The hop where it ended: the router where its hop limit ran out, the one that stopped it, or
    /// the target.
    pub hop: u8,
    /// Whether it was sent farther than the target is: waste.
    pub past_target: bool,
    /// What became of it.
    pub fate: Fate,
    /// The answers that the client will get.
    pub answers: Vec<Answer>,
}

/// Fields of a TCP header.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Sent {
    /// The sequence number.
    pub seq: u32,
    /// The flags: 2 is SYN, 16 is ACK.
    pub flags: u8,
}

impl Probe {
    /// Whether it is a TCP segment that asks for a connection.
    #[must_use]
    pub fn is_syn(&self) -> bool {
        self.tcp.is_some_and(|sent| sent.flags & (SYN | ACK) == SYN)
    }
}

/// What became of a probe.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Fate {
    /// It was answered, and the answer comes through.
    Answered,
    /// It was lost on the way there.
    Lost,
    /// Nobody is there, or who is there never answers.
    Silent,
    /// Who is there has answered often enough.
    Limited,
    /// The answer was lost on the way back.
    AnswerLost,
}

/// An answer on its way to the client.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Answer {
    /// Its sender, as the packet says.
    pub from: IpAddr,
    /// Its protocol.
    #[serde(default)]
    pub protocol: Protocol,
    /// The ICMP type; 0 if it isn't ICMP.
    pub icmp_type: u8,
    /// The ICMP code; 0 if it isn't ICMP.
    pub icmp_code: u8,
    /// The flags of a TCP segment: 18 is SYN/ACK, 20 RST/ACK, 16 ACK.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub flags: Option<u8>,
    /// The round trip: from [`Probe::at_ns`] to the moment it is due.
    pub rtt_ns: u64,
    /// When it was really handed over to the client's kernel; none on virtual time, or if the
    /// command ended first.
    pub delivered_ns: Option<u64>,
}

/// How the command ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Exit {
    /// When it was started.
    pub started_ns: u64,
    /// When it had ended.
    pub ended_ns: u64,
    /// Its exit status; 128 and the signal's number if a signal ended it.
    pub status: u8,
    /// The processor time of the command and its children that it waited for.
    pub cpu_ns: u64,
    /// How often it, or such a child, went to sleep and so had to be woken.
    pub sleeps: u64,
    /// Its greatest resident memory in octets; never less than the lab's own, which it starts as a
    /// copy of.
    pub peak_memory: u64,
}

/// Reads a log file.
///
/// # Errors
/// A line isn't an [`Event`].
pub fn parse(text: &str) -> Result<Vec<Event>, serde_json::Error> {
    text.lines().map(serde_json::from_str).collect()
}

/// The line of a log file, without its line end.
///
/// # Panics
/// Never: an event is always JSON.
#[must_use]
pub fn line(event: &Event) -> String {
    serde_json::to_string(event).expect("an event has no map keys that aren't text")
}
