//! Messages that were received, and the answers that they are.

use super::queue::{Packet, Report};
use hopshot_core::wire::extensions::Extensions;
use hopshot_core::wire::icmp::{Error, Type};
use hopshot_core::wire::{AddressFamily, Ends, Malformed, tcp, udp};
use hopshot_core::{Answer, Back, Instant, Kind, Quoted, Tcp, Udp};
use hopshot_engine::Clock;
use std::net::IpAddr;

/// A message that was received.
#[derive(Debug)]
pub(crate) struct Arrival<'b> {
    /// The sender.
    pub(crate) from: IpAddr,
    /// The hop limit (TTL in IPv4) that was left.
    pub(crate) hop_limit: Option<u8>,
    /// The protocol of the message.
    pub(super) protocol: u8,
    /// The message, from its own header on; of an error that the kernel has taken apart, the Echo
    /// Request that it quotes.
    pub(super) message: &'b [u8],
    /// The kernel's report on an error that it has taken apart.
    pub(super) report: Option<Report>,
    /// When it arrived.
    pub(crate) at: Instant,
    /// The clock that says so.
    pub(crate) clock: Clock,
}

/// A message that stands at the beginning of a buffer.
#[derive(Debug)]
pub(crate) struct Received {
    pub(super) from: IpAddr,
    pub(super) protocol: u8,
    pub(super) len: usize,
    pub(super) packet: Packet,
}

impl Received {
    pub(crate) fn arrival(self, buf: &[u8]) -> Arrival<'_> {
        Arrival {
            from: self.from,
            hop_limit: self.packet.hop_limit,
            protocol: self.protocol,
            message: buf.get(..self.len).unwrap_or_default(),
            report: self.packet.report,
            at: self.packet.at,
            clock: self.packet.clock,
        }
    }
}

impl<'b> Arrival<'b> {
    /// Returns the answer that it is.
    ///
    /// # Errors
    /// See [`Answer::parse`].
    pub(crate) fn answer(&self) -> Result<Answer<'b>, Malformed> {
        match &self.report {
            Some(report) => answer(
                report,
                self.protocol,
                self.from,
                self.hop_limit,
                self.message,
            ),
            // The kernel has verified an ICMPv6 checksum before a socket sees the message (RFC
            // 3542, section 3.1).
            None => {
                let ends = Ends {
                    source: self.from,
                    destination: AddressFamily::of(self.from).unspecified(),
                };
                match self.protocol {
                    // Of these it isn't verified: what comes from this machine has none, where a
                    // device would fill it in. Their numbers prove them.
                    tcp::PROTOCOL => Tcp::answer(ends, self.hop_limit, self.message),
                    udp::PROTOCOL => Udp::answer(ends, self.hop_limit, self.message),
                    _ => Answer::parse(ends, self.hop_limit, self.message),
                }
            }
        }
    }
}

/// Returns the answer that the kernel has taken apart; `quoted` is the quoted message of this
/// protocol, from its header on. Of the quoted IP header the kernel tells the destination, and
/// keeps the rest to itself.
pub(super) fn answer<'b>(
    report: &Report,
    protocol: u8,
    from: IpAddr,
    hop_limit: Option<u8>,
    quoted: &'b [u8],
) -> Result<Answer<'b>, Malformed> {
    let family = AddressFamily::of(from);
    let icmp_type = Type::from_number(family, report.icmp_type).ok_or(Malformed::Foreign)?;
    let kind = match (icmp_type, report.icmp_code) {
        (Type::TimeExceeded, 0) => Kind::TimeExceeded,
        (Type::TimeExceeded | Type::EchoRequest | Type::EchoReply, _) => {
            return Err(Malformed::Foreign);
        }
        _ => Kind::Unreachable,
    };
    let error = Error {
        icmp_type,
        code: report.icmp_code,
        rest: report.info,
        quoted,
    };
    let destination = report.destination.map(|destination| destination.ip());
    let back = Quoted {
        destination,
        header: None,
        protocol,
        message: quoted,
    };
    Ok(Answer {
        from,
        hop_limit,
        kind,
        icmp: (report.icmp_type, report.icmp_code),
        mtu: error.mtu(family),
        back: Back::Quoted(back),
        extensions: extensions(family, &error, report.data),
    })
}

/// The extensions behind the quoted message. The kernel's verdict on them
/// (`SO_EE_RFC4884_FLAG_INVALID`) is left out: the parser judges them as it does on raw sockets,
/// where a bad object doesn't spoil those before it.
fn extensions<'b>(family: AddressFamily, error: &Error<'b>, data: u32) -> Extensions<'b> {
    Extensions::behind_header(family, error, (data & 0xffff) as u16)
}
