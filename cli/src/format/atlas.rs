//! Results as RIPE Atlas gives those of its traceroutes, one a line
//! (<https://atlas.ripe.net/docs/apis/result-format/>).
//!
//! What the format has and a trace doesn't know is left out: the size of answers, and which of them
//! were late or came again. It has no mark for an answer that proves nothing. Whoever doesn't know
//! ours would take a forger's guess for a measurement, so that stands as lost, with the answer
//! beside it.

use super::json::print_line;
use super::results::Format;
use crate::names::Names;
use crate::reading::failure;
use hopshot_linux::document::milliseconds;
use hopshot_linux::extensions::Label;
use hopshot_linux::{
    AddressFamily, Hop, Kind, Outcome, ProbeProtocol, Reply, Route, TargetAnswer, failure_text,
};
use serde::Serialize;
use std::io;
use std::net::IpAddr;
use std::time::UNIX_EPOCH;

/// The version of the format: that of the firmware that writes it so.
const FIRMWARE: u16 = 5080;

pub(super) struct Atlas;

impl Format for Atlas {
    fn finish(&mut self, route: &Route, _names: &Names) -> io::Result<()> {
        print_line(&Measurement::new(route))
    }
}

#[derive(Serialize)]
struct Measurement<'a> {
    fw: u16,
    /// Seconds since the clock was set; -1 if that isn't known.
    lts: i8,
    #[serde(rename = "type")]
    kind: &'static str,
    msm_name: &'static str,
    /// Placeholder ids: there is no Atlas measurement, nor an Atlas probe.
    msm_id: u8,
    prb_id: u8,
    timestamp: u64,
    endtime: u64,
    af: u8,
    proto: &'static str,
    dst_name: &'a str,
    dst_addr: IpAddr,
    src_addr: IpAddr,
    size: usize,
    paris_id: u16,
    result: Vec<AtlasHop>,
}

#[derive(Serialize)]
struct AtlasHop {
    hop: u8,
    #[serde(flatten)]
    what: Answers,
}

#[derive(Serialize)]
#[serde(rename_all = "snake_case")]
enum Answers {
    Result(Vec<Answer>),
    /// No probe got out of this machine.
    Error(String),
}

#[derive(Serialize)]
#[serde(untagged)]
enum Answer {
    Lost {
        x: char,
        /// An answer that proves nothing: readers of the format pass over the field.
        #[serde(skip_serializing_if = "Option::is_none")]
        unproven: Option<Answered>,
    },
    Reply(Answered),
}

#[derive(Serialize)]
struct Answered {
    from: IpAddr,
    rtt: f64,
    #[serde(skip_serializing_if = "Option::is_none")]
    ttl: Option<u8>,
    #[serde(skip_serializing_if = "Option::is_none")]
    err: Option<Unreachable>,
    /// Of a TCP segment.
    #[serde(skip_serializing_if = "Option::is_none")]
    flags: Option<&'static str>,
    #[serde(skip_serializing_if = "Option::is_none")]
    mtu: Option<u16>,
    /// The probe's TTL when the answer was made, unless 1.
    #[serde(skip_serializing_if = "Option::is_none")]
    ittl: Option<u8>,
    #[serde(skip_serializing_if = "Option::is_none")]
    icmpext: Option<Appended>,
}

/// A code of Destination Unreachable, by its letter if it has one.
#[derive(Debug, PartialEq, Eq, Serialize)]
#[serde(untagged)]
enum Unreachable {
    Letter(char),
    Code(u8),
}

#[derive(Serialize)]
struct Appended {
    version: u8,
    obj: [Object; 1],
}

#[derive(Serialize)]
struct Object {
    class: u8,
    #[serde(rename = "type")]
    kind: u8,
    mpls: Vec<Entry>,
}

#[derive(Serialize)]
struct Entry {
    label: u32,
    exp: u8,
    s: u8,
    ttl: u8,
}

impl<'a> Measurement<'a> {
    fn new(route: &'a Route) -> Self {
        let summary = route.summary();
        let started = summary
            .started
            .duration_since(UNIX_EPOCH)
            .unwrap_or_default();
        Self {
            fw: FIRMWARE,
            lts: -1,
            kind: "traceroute",
            msm_name: "Traceroute",
            msm_id: 0,
            prb_id: 0,
            timestamp: started.as_secs(),
            endtime: (started + summary.duration).as_secs(),
            af: match AddressFamily::of(summary.target) {
                AddressFamily::V4 => 4,
                AddressFamily::V6 => 6,
            },
            proto: match summary.protocol {
                ProbeProtocol::Tcp { .. } => "TCP",
                ProbeProtocol::Udp { .. } => "UDP",
                _ => "ICMP",
            },
            dst_name: &summary.host,
            dst_addr: summary.target,
            src_addr: summary.source,
            size: route.size(),
            // 0 is for probes of different flows.
            paris_id: route.flow().unwrap_or(0),
            result: route
                .hops()
                .map(|hop| AtlasHop {
                    hop: hop.number(),
                    what: answers(route, hop),
                })
                .collect(),
        }
    }
}

fn answers(route: &Route, hop: Hop<'_>) -> Answers {
    let has_left = hop
        .outcomes()
        .any(|outcome| !matches!(outcome, Outcome::Failed(_)));
    if let Some(failure) = failure(hop).filter(|_| !has_left) {
        return Answers::Error(failure_text(failure));
    }
    let lost = |unproven| Answer::Lost { x: '*', unproven };
    let answers = hop.outcomes().map(|outcome| match outcome {
        Outcome::InFlight | Outcome::Lost | Outcome::Failed(_) => lost(None),
        Outcome::Answered(reply) if !reply.is_proven() => lost(Some(answered(route, &reply))),
        Outcome::Answered(reply) => Answer::Reply(answered(route, &reply)),
    });
    Answers::Result(answers.collect())
}

fn answered(route: &Route, reply: &Reply) -> Answered {
    Answered {
        from: reply.from,
        rtt: milliseconds(reply.rtt),
        ttl: reply.hop_limit,
        err: unreachable(reply),
        flags: match route.target_answer(reply) {
            Some(TargetAnswer::SynAck) => Some("SA"),
            Some(TargetAnswer::Rst) => Some("RA"),
            Some(TargetAnswer::Ack) => Some("A"),
            _ => None,
        },
        mtu: reply.mtu,
        ittl: reply.quoted_hop_limit.filter(|left| *left != 1),
        icmpext: appended(&route.extensions(reply.probe).mpls),
    }
}

/// How Atlas marks an error that isn't Time Exceeded. Packet Too Big has no mark of its own, but an
/// MTU.
fn unreachable(reply: &Reply) -> Option<Unreachable> {
    let letter = match (
        AddressFamily::of(reply.from),
        reply.icmp_type,
        reply.icmp_code,
    ) {
        _ if reply.kind != Kind::Unreachable || reply.mtu.is_some() => return None,
        (AddressFamily::V4, 3, 0) | (AddressFamily::V6, 1, 0) => 'N',
        (AddressFamily::V4, 3, 1) | (AddressFamily::V6, 1, 3) => 'H',
        (AddressFamily::V4, 3, 2) => 'P',
        (AddressFamily::V4, 3, 3) | (AddressFamily::V6, 1, 4) => 'p',
        (AddressFamily::V4, 3, 9 | 10 | 13) | (AddressFamily::V6, 1, 1) => 'A',
        (AddressFamily::V6, 1, 2) => 'h',
        (_, _, code) => return Some(Unreachable::Code(code)),
    };
    Some(Unreachable::Letter(letter))
}

/// The label stack (RFC 4950).
fn appended(stack: &[Label]) -> Option<Appended> {
    let entry = |label: &Label| Entry {
        label: label.label,
        exp: label.traffic_class,
        s: label.bottom.into(),
        ttl: label.ttl,
    };
    let object = Object {
        class: 1,
        kind: 1,
        mpls: stack.iter().map(entry).collect(),
    };
    (!stack.is_empty()).then_some(Appended {
        version: 2,
        obj: [object],
    })
}
