//! Messages that nobody asked for: garbage, cut-short errors, and forgeries by somebody who knows
//! that a trace runs, and where to, but not its secrets.

use crate::answer::Delivery;
use crate::answer::{Request, checksum, wrap};
use crate::scenario::Flood;
use crate::transport::{self, ACK, Protocol, RST, SYN};
use core::time::Duration;
use hopshot_core::wire::{AddressFamily, Ends, icmp};
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};

/// Somebody off the path who floods the client, in the family of the last probe.
#[derive(Debug)]
pub(crate) struct Attacker {
    interval: Duration,
    random: fastrand::Rng,
    next: Option<Duration>,
    victim: Option<Victim>,
}

/// What the attacker knows: the ends, and what the header of a probe looks like.
#[derive(Debug)]
struct Victim {
    ends: Ends,
    probe: Vec<u8>,
    /// Where the header behind the IP header starts.
    start: usize,
    protocol: Protocol,
}

impl Attacker {
    pub(crate) fn new(flood: Flood, random: fastrand::Rng) -> Self {
        let interval = Duration::from_secs(1) / flood.per_second.max(1);
        Self {
            interval,
            random,
            next: None,
            victim: None,
        }
    }

    /// Learns of a trace; the flood starts with its first probe.
    pub(crate) fn overhear(&mut self, now: Duration, request: &Request<'_>) {
        self.victim = Some(Victim {
            ends: request.header.ends,
            probe: request.packet.to_vec(),
            start: request.start,
            protocol: request.protocol(),
        });
        self.next.get_or_insert(now);
    }

    pub(crate) const fn next(&self) -> Option<Duration> {
        self.next
    }

    /// All that is due until then.
    pub(crate) fn messages(&mut self, until: Duration) -> Vec<Delivery> {
        let mut messages = Vec::new();
        while let Some(due) = self.next.filter(|due| *due <= until) {
            messages.extend(self.message().map(|packet| Delivery {
                due,
                packet,
                answer: None,
            }));
            self.next = Some(due + self.interval);
        }
        messages
    }

    fn message(&mut self) -> Option<Vec<u8>> {
        let victim = self.victim.as_ref()?;
        let random = &mut self.random;
        let family = victim.ends.family();
        let is_icmp = victim.protocol == Protocol::Icmp;
        let spoofed = match family {
            AddressFamily::V4 => IpAddr::V4(Ipv4Addr::new(10, 66, random.u8(..), random.u8(1..))),
            AddressFamily::V6 => IpAddr::V6(Ipv6Addr::new(
                0x2001,
                0xdb8,
                0x6666,
                0,
                0,
                0,
                0,
                random.u16(1..),
            )),
        };
        let source = if random.bool() {
            spoofed
        } else {
            victim.ends.destination
        };
        let ends = Ends {
            source,
            destination: victim.ends.source,
        };
        let error = |icmp_type: icmp::Type| icmp_type.number(family).unwrap_or_default();
        let kinds = [
            icmp::Type::TimeExceeded,
            icmp::Type::Unreachable,
            icmp::Type::ParameterProblem,
        ];
        let icmp_type = error(kinds[random.usize(..kinds.len())]);
        let mut quote = victim.probe.clone();
        quote[if family == AddressFamily::V4 { 8 } else { 7 }] = random.u8(..);
        // The secrets: of ICMP checksum, ident, seq and the payload; of others all but the ports.
        let known = if is_icmp { 2 } else { 4 };
        random.fill(&mut quote[victim.start + known..]);
        let mut message = vec![icmp_type, 0, 0, 0, 0, 0, 0, 0];
        match random.u8(..6) {
            // Any octets.
            0 => {
                message = vec![0; random.usize(..200)];
                random.fill(&mut message);
            }
            // An error with any octets for a quote.
            1 => {
                let start = message.len();
                message.resize(start + random.usize(..200), 0);
                random.fill(&mut message[start..]);
            }
            // An error with a quote cut anywhere.
            2 => message.extend_from_slice(&quote[..random.usize(..=quote.len())]),
            // An error with a guessed quote.
            3 => message.extend_from_slice(&quote),
            // A segment or a datagram of the target's with a guess.
            4 if !is_icmp => {
                message = quote.split_off(victim.start);
                message[..4].rotate_left(2);
                if victim.protocol == Protocol::Tcp {
                    message[13] = [SYN | ACK, RST | ACK, ACK][random.usize(..3)];
                }
                let ends = victim.ends.reversed();
                transport::seal(ends, victim.protocol, &mut message);
                return Some(wrap(ends, victim.protocol, random.u8(1..), &message));
            }
            // An echo reply with a guess.
            4 => {
                message = quote.split_off(victim.start);
                message[0] = error(icmp::Type::EchoReply);
            }
            // An error with a header length that points out of the packet, or that is too short to
            // be one.
            _ => {
                quote[0] = quote[0] & 0xf0 | random.u8(..16);
                message.extend_from_slice(&quote);
            }
        }
        // Most with a right checksum, so that they get past the kernel.
        if message.len() >= 4 {
            message[2..4].fill(0);
            let sum = checksum(ends, &message) ^ if random.u8(..8) == 0 { 0x1234 } else { 0 };
            message[2..4].copy_from_slice(&sum.to_be_bytes());
        }
        Some(wrap(ends, Protocol::Icmp, random.u8(1..), &message))
    }
}
