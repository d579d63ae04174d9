//! Targets that use what their own probes tell them: they answer in place of a router that says
//! nothing.

use crate::answer::{Body, Report, Request, error};
use crate::hop::Hop;
use crate::host::Target;
use crate::log::Probe;
use crate::scenario::Usurper;
use core::time::Duration;
use hopshot_core::wire::{AddressFamily, icmp};
use std::net::IpAddr;

/// Octets 6 and 7 of an ICMP header of an Echo.
const SEQ: core::ops::Range<usize> = 6..8;

impl Usurper {
    /// Whether a host at this place is one of them.
    fn is_at(self, place: u32, count: u32) -> bool {
        (0..self.hosts).any(|number| number.wrapping_mul(self.step) % count == place)
    }

    /// What a host does when its probe arrives: it claims to be the router that an earlier probe of
    /// the same trace expired at. All of them give one name.
    pub(crate) fn claim(
        self,
        request: &Request<'_>,
        log: &[Probe],
        target: &Target,
    ) -> Option<Vec<u8>> {
        let (ends, echo) = (request.header.ends, request.echo()?);
        if !self.is_at(target.place(ends.destination)?, target.count) {
            return None;
        }
        let is_its = |probe: &&Probe| {
            (probe.destination, probe.ident, probe.hop_limit)
                == (ends.destination, echo.ident, self.hop)
        };
        let seq = log.iter().rev().find(is_its)?.seq;
        let mut packet = request.packet.to_vec();
        packet[request.start..][SEQ].copy_from_slice(&seq.to_be_bytes());
        let claimed = Request {
            header: request.header,
            packet: &packet,
            start: request.start,
            body: Body::Echo(icmp::Echo { seq, ..echo }),
        };
        let family = request.family();
        let icmp_type = icmp::Type::TimeExceeded.number(family)?;
        // What is behind the eight octets would not fit the other seq.
        let by = Hop {
            quote: Some(icmp::HEADER_LEN),
            ..Hop::default()
        };
        let name = match family {
            AddressFamily::V4 => IpAddr::V4(target.v4),
            AddressFamily::V6 => IpAddr::V6(target.v6),
        };
        Some(error(
            &claimed,
            name,
            target.hop_limit,
            &Report {
                icmp_type,
                code: 0,
                rest: 0,
                left: 1,
            },
            &by,
        ))
    }
}

/// When a claim arrives: as soon as the target's answer could.
pub(crate) fn due(now: Duration, rtt_ms: f64) -> Duration {
    now.saturating_add(Duration::try_from_secs_f64(rtt_ms / 1e3).unwrap_or(Duration::MAX))
}
