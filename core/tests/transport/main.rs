//! Probes by TCP and UDP: their octets, what tells them apart, and whole traces.

mod detours;
mod golden;
mod hidden;
mod identity;
#[path = "../network/mod.rs"]
mod network;
mod options;
mod silence;
mod traces;

use hopshot_core::wire::{AddressFamily, Ends, ip};
use hopshot_core::{Answer, Changes, Discard, Match, Protocol, Tcp, Udp, UdpPayload};
use network::{ends, error};
use std::net::IpAddr;

/// What is random, as everywhere here.
const RANDOM: [u8; 16] = *b"0123456789abcdef";

const PAYLOADS: [UdpPayload; 3] = [UdpPayload::Plain, UdpPayload::Dns, UdpPayload::Quic];

fn tcp() -> Tcp {
    Tcp::new(443, RANDOM)
}

fn udp(payload: UdpPayload) -> Udp {
    Udp::new(33_434, payload, RANDOM)
}

/// The probe with this index.
fn probe(protocol: &impl Protocol, ends: Ends, index: u16) -> Vec<u8> {
    let mut message = vec![0xa5; protocol.message_len()];
    protocol.emit(ends, index, &mut message).unwrap();
    message
}

/// An ICMP error that quotes so many octets of a message behind its IP header.
fn quoting(
    protocol: &impl Protocol,
    from: IpAddr,
    (icmp_type, code): (hopshot_core::wire::icmp::Type, u8),
    probe: &[u8],
    octets: usize,
) -> Vec<u8> {
    let family = AddressFamily::of(from);
    let header = ip::Header {
        ends: ends(family),
        hop_limit: 1,
        traffic_class: 0,
        protocol: protocol.number(family),
    };
    let mut packet = vec![0; ip::header_len(family)];
    header.emit(probe.len(), &mut packet).unwrap();
    let quoted = &probe[..octets.min(probe.len())];
    error(from, icmp_type, code, 0, &[&packet, quoted].concat())
}

/// What a protocol makes of an answer to the trace of these ends.
fn recognized(protocol: &impl Protocol, answer: &Answer<'_>) -> Result<Match, Discard> {
    let family = AddressFamily::of(answer.from);
    protocol.recognize(ends(family), answer, Changes::default())
}
