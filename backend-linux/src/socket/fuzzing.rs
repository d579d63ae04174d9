//! A way in for the fuzz targets, past the kernel, to what is private here. Not part of the public
//! interface.

use super::queue::{Report, Said};
use super::{Arrival, unprivileged};
use crate::sys::Cmsgs;
use hopshot_core::wire::{AddressFamily, Malformed, ip};
use hopshot_core::{Answer, Echo, Instant, Protocol};
use hopshot_engine::Clock;
use std::net::{IpAddr, SocketAddr};

/// A packet as a ping socket reads it.
#[derive(Debug)]
pub struct Read<'b> {
    /// The sender, if it came from the network.
    pub from: Option<IpAddr>,
    /// The hop limit that was left.
    pub hop_limit: Option<u8>,
    /// Whether it came with a stamp.
    pub is_stamped: bool,
    /// The contents of a `sock_extended_err`: type, code, info and data.
    pub report: Option<(u8, u8, u32, u32)>,
    /// The answer that it is; `None` if it isn't from the network.
    pub answer: Option<Result<Answer<'b>, Malformed>>,
}

/// The data of each control message.
pub fn control_messages(control: &[u8]) -> impl Iterator<Item = &[u8]> {
    Cmsgs::new(control).map(|(_, data)| data)
}

/// Reads what recvmsg(2) gave: control messages, the address, the octets.
#[must_use]
pub fn read<'b>(control: &[u8], peer: Option<SocketAddr>, message: &'b [u8]) -> Read<'b> {
    let Said {
        stamp,
        hop_limit,
        report,
    } = Said::parse(control, peer);
    let from = unprivileged::sender(report.as_ref(), peer);
    let arrival = |from| Arrival {
        protocol: ip::icmp(AddressFamily::of(from)),
        from,
        hop_limit,
        message,
        report,
        at: Instant::EPOCH,
        clock: Clock::Kernel,
    };
    Read {
        from,
        hop_limit,
        is_stamped: stamp.is_some(),
        report: report.map(
            |Report {
                 icmp_type,
                 icmp_code,
                 info,
                 data,
                 ..
             }| (icmp_type, icmp_code, info, data),
        ),
        answer: from.map(|from| {
            arrival(from)
                .answer()
                .and_then(|answer| Echo::key(&answer).map(|_| answer))
        }),
    }
}
