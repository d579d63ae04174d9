//! hopshot-core on smoltcp: raw socket in, raw socket out. To be copied into your own project, with
//! `packet.rs` beside it.
//!
//! smoltcp's ICMP socket won't do: bound to an ident it never delivers a Time Exceeded for an Echo
//! Request, and its parser refuses the short quotes that routers send. A raw socket takes and gives
//! whole packets. smoltcp writes the IP header anew on the way out; the hop limit stays.

#![allow(
    dead_code,
    unreachable_pub,
    reason = "whoever copies it decides what is public, and what is needed"
)]

pub mod packet;

use core::net::IpAddr;
use hopshot_core::wire::{AddressFamily, BufferTooSmall, ip};
use hopshot_core::{Action, Instant, Reply, SendError, Tracer, Transmit};
use smoltcp::iface::{Interface, PollIngressSingleResult, SocketHandle, SocketSet};
use smoltcp::phy::Device;
use smoltcp::socket::raw;
use smoltcp::wire::{IpProtocol, IpVersion};

/// The octets of a probe's packet with the default payload, in the longer of the two families: what
/// a transmit buffer must hold.
pub const PROBE_LEN: usize = ip::header_len(AddressFamily::V6) + 32;
/// The octets of the longest answer's packet. A router can quote no more than the 72 octets that
/// were sent, padded to 128 where it appends extensions (RFC 4884, section 5.1), which seldom take
/// another hundred. smoltcp drops what a receive buffer can't hold.
pub const ANSWER_LEN: usize = 512;

/// A raw socket for traces in one family. The buffers need room for one packet each:
/// [`Stack::step`] takes and gives them one by one.
pub fn socket<'a>(
    family: AddressFamily,
    receive: raw::PacketBuffer<'a>,
    transmit: raw::PacketBuffer<'a>,
) -> raw::Socket<'a> {
    let (family, protocol) = match family {
        AddressFamily::V4 => (IpVersion::Ipv4, IpProtocol::Icmp),
        AddressFamily::V6 => (IpVersion::Ipv6, IpProtocol::Icmpv6),
    };
    raw::Socket::new(Some(family), Some(protocol), receive, transmit)
}

/// What carries a trace: an interface with a route to the target, its device, and one of its
/// sockets.
pub struct Stack<'a, 's, D: Device> {
    iface: &'a mut Interface,
    device: &'a mut D,
    sockets: &'a mut SocketSet<'s>,
    socket: SocketHandle,
    /// Since when a probe has been waiting in the socket for its gateway's hardware address.
    held_since: Option<Instant>,
}

/// What a [`Stack::step`] came to.
pub enum Step {
    /// An answer came: step again at once.
    Heard(Reply),
    /// A probe was sent, or something came that was no answer: step again at once.
    Busy,
    /// Nothing to do before this instant, unless the device has something.
    Wait(Instant),
    /// The trace has ended.
    Done,
}

impl<'a, 's, D: Device> Stack<'a, 's, D> {
    /// Puts them together; `socket` is one made by [`socket`] for the target's family.
    pub fn new(
        iface: &'a mut Interface,
        device: &'a mut D,
        sockets: &'a mut SocketSet<'s>,
        socket: SocketHandle,
    ) -> Self {
        Self {
            iface,
            device,
            sockets,
            socket,
            held_since: None,
        }
    }

    /// Takes one packet from the device or, when it has none, sends one probe. Read the clock right
    /// before each call: one reading stamps one packet.
    ///
    /// Before its first packet to a gateway smoltcp asks for the hardware address. The first probe
    /// waits for it, so its RTT holds that time; the trace waits too, so no other RTT does.
    /// Where no gateway answers within the trace's timeout, the trace is interrupted.
    ///
    /// # Errors
    /// [`BufferTooSmall`] if `buf` can't hold a probe.
    pub fn step<const N: usize>(
        &mut self,
        tracer: &mut Tracer<N>,
        now: Instant,
        buf: &mut [u8],
    ) -> Result<Step, BufferTooSmall> {
        let at = to_smoltcp(now);
        // Drain before sending: what has arrived must not wait until the rest of a burst is out.
        if self
            .iface
            .poll_ingress_single(at, self.device, self.sockets)
            != PollIngressSingleResult::None
        {
            let socket = self.sockets.get_mut::<raw::Socket>(self.socket);
            let reply = socket
                .recv()
                .ok()
                .and_then(|packet| packet::hear(tracer, now, packet));
            return Ok(reply.map_or(Step::Busy, Step::Heard));
        }
        self.iface.poll_egress(at, self.device, self.sockets);
        if self.is_held(now) {
            if self
                .held_since
                .is_some_and(|since| now.saturating_since(since) >= tracer.config().timeout)
            {
                tracer.stop();
                return Ok(Step::Done);
            }
            return Ok(Step::Wait(self.wake_at(now).unwrap_or(now)));
        }
        match tracer.poll(now, buf)? {
            Action::Transmit(probe) => {
                let (id, sent) = (probe.probe, self.send(&probe, tracer.config().source));
                if let Err(error) = sent {
                    tracer.fail(id, error);
                }
                self.iface.poll_egress(at, self.device, self.sockets);
                Ok(Step::Busy)
            }
            Action::Wait(until) => Ok(Step::Wait(
                self.wake_at(now).map_or(until, |at| at.min(until)),
            )),
            Action::Done => Ok(Step::Done),
        }
    }

    /// Puts a probe into the socket, behind the IP header that goes with it.
    fn send(&mut self, probe: &Transmit<'_>, source: IpAddr) -> Result<(), SendError> {
        let header = packet::header(probe, source);
        let len = ip::header_len(header.ends.family()) + probe.message.len();
        let socket = self.sockets.get_mut::<raw::Socket>(self.socket);
        let packet = socket.send(len).map_err(|_| FULL)?;
        let at = header.emit(probe.message.len(), packet).map_err(|_| FULL)?;
        packet[at..].copy_from_slice(probe.message);
        Ok(())
    }

    /// Whether a probe could not leave yet.
    fn is_held(&mut self, now: Instant) -> bool {
        let held = self
            .sockets
            .get_mut::<raw::Socket>(self.socket)
            .send_queue()
            > 0;
        self.held_since = if held {
            self.held_since.or(Some(now))
        } else {
            None
        };
        held
    }

    /// When smoltcp itself has something to do.
    fn wake_at(&mut self, now: Instant) -> Option<Instant> {
        let at = self.iface.poll_at(to_smoltcp(now), self.sockets)?;
        Some(Instant::from_nanos(
            u64::try_from(at.total_micros())
                .unwrap_or(0)
                .saturating_mul(1000),
        ))
    }
}

/// The number given to [`Tracer::fail`] for a probe that the socket's transmit buffer can't hold.
const FULL: SendError = SendError(1);

fn to_smoltcp(instant: Instant) -> smoltcp::time::Instant {
    smoltcp::time::Instant::from_micros(
        i64::try_from(instant.as_nanos() / 1000).unwrap_or(i64::MAX),
    )
}
