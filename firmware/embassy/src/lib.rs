//! A trace on embassy-net: the same loop, as a future. The network task drives the device; this one
//! sleeps until its timer rings or a packet comes.
#![no_std]

#[allow(unreachable_pub, reason = "whoever copies it decides what is public")]
#[path = "../../../core/examples/adapter/packet.rs"]
mod packet;

use embassy_futures::poll_once;
use embassy_futures::select::{Either, select};
use embassy_net::Stack;
use embassy_net::raw::{IpProtocol, IpVersion, PacketMetadata, RawSocket};
use embassy_time::Timer;
use hopshot_core::wire::{AddressFamily, BufferTooSmall};
use hopshot_core::{Action, Instant, Tracer};

/// The octets of a probe's packet: an IPv6 header and the default payload.
const PROBE_LEN: usize = 40 + 32;
/// The octets of the longest answer's packet: a quote of what was sent, and extensions.
const ANSWER_LEN: usize = 512;
/// How many answers may wait until this task has its turn.
const ANSWERS: usize = 4;

/// Runs a trace to its end. `Config::source` must be the stack's own address in the target's
/// family.
///
/// # Errors
/// [`BufferTooSmall`] if the payload isn't the default one.
pub async fn trace<const N: usize>(
    stack: Stack<'_>,
    tracer: &mut Tracer<N>,
) -> Result<(), BufferTooSmall> {
    let source = tracer.config().source;
    let (family, protocol) = match AddressFamily::of(source) {
        AddressFamily::V4 => (IpVersion::Ipv4, IpProtocol::Icmp),
        AddressFamily::V6 => (IpVersion::Ipv6, IpProtocol::Icmpv6),
    };
    let (mut receive_meta, mut receive) =
        ([PacketMetadata::EMPTY; ANSWERS], [0; ANSWERS * ANSWER_LEN]);
    let (mut transmit_meta, mut transmit) = ([PacketMetadata::EMPTY; 1], [0; PROBE_LEN]);
    let socket = RawSocket::new(
        stack,
        Some(family),
        Some(protocol),
        &mut receive_meta,
        &mut receive,
        &mut transmit_meta,
        &mut transmit,
    );
    let (mut answer, mut message, mut probe) = ([0; ANSWER_LEN], [0; PROBE_LEN], [0; PROBE_LEN]);
    loop {
        // Drain before sending.
        while let core::task::Poll::Ready(Ok(len)) = poll_once(socket.recv(&mut answer)) {
            packet::hear(tracer, now(), &answer[..len]);
        }
        match tracer.poll(now(), &mut message)? {
            Action::Transmit(next) => {
                let at = packet::header(&next, source).emit(next.message.len(), &mut probe)?;
                let len = at + next.message.len();
                let space = probe
                    .get_mut(at..len)
                    .ok_or(BufferTooSmall { needed: len })?;
                space.copy_from_slice(next.message);
                socket.send(&probe[..len]).await;
            }
            Action::Wait(until) => {
                let timer = Timer::at(embassy_time::Instant::from_micros(
                    until.as_nanos().div_ceil(1000),
                ));
                if let Either::First(Ok(len)) = select(socket.recv(&mut answer), timer).await {
                    packet::hear(tracer, now(), &answer[..len]);
                }
            }
            Action::Done => return Ok(()),
        }
    }
}

fn now() -> Instant {
    Instant::from_nanos(
        embassy_time::Instant::now()
            .as_micros()
            .saturating_mul(1000),
    )
}
