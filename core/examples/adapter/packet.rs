//! hopshot-core on whole packets: for any stack whose raw sockets take and give them with their IP
//! header.

use core::net::IpAddr;
use hopshot_core::wire::{Ends, ip};
use hopshot_core::{Arrival, Instant, Reply, Tracer, Transmit};

/// The IP header that a probe goes out behind.
pub fn header(probe: &Transmit<'_>, source: IpAddr) -> ip::Header {
    let ends = Ends {
        source,
        destination: probe.destination,
    };
    ip::Header {
        ends,
        hop_limit: probe.hop_limit,
        traffic_class: probe.traffic_class,
        protocol: ip::icmp(ends.family()),
    }
}

/// Takes a packet: its header says who answered. `None` if it answers no probe, which is ordinary.
pub fn hear<const N: usize>(tracer: &mut Tracer<N>, at: Instant, packet: &[u8]) -> Option<Reply> {
    let (header, message) = ip::parse(packet).ok()?;
    let arrival = Arrival {
        at,
        from: header.ends.source,
        hop_limit: Some(header.hop_limit),
    };
    tracer
        .handle(arrival, message)
        .ok()
        .map(|heard| heard.reply)
}
