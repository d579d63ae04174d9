//! Sockets as the engine's link to this machine.

use crate::clock;
use crate::error::Error;
use crate::refusal::no_route;
use crate::socket::{AnswerKey, HeldPort, OpenError};
use crate::sockets::{Pair, Sockets};
use crate::words::send_error;
use hopshot_core::wire::AddressFamily;
use hopshot_core::{Instant, SendError};
use hopshot_engine::link::{Arrived, Audience, Datagram, NextHop, Obstacle, Port, Way};
use hopshot_engine::{Link, ProbeProtocol};
use rustix::event::{PollFd, PollFlags, Timespec};
use rustix::io::Errno;
use rustix::rand::GetRandomFlags;
use std::net::IpAddr;
use std::os::fd::{AsFd, BorrowedFd};
use std::time::{Duration, SystemTime};

impl Link for Sockets {
    type Error = Error;
    type Wake<'w> = BorrowedFd<'w>;

    fn now(&self) -> Instant {
        clock::now()
    }

    fn date(&self) -> SystemTime {
        SystemTime::now()
    }

    fn random(&mut self) -> Result<u128, Error> {
        let mut random = [0; 16];
        rustix::rand::getrandom(&mut random, GetRandomFlags::empty())
            .map_err(Error::system("can't get random octets"))?;
        Ok(u128::from_ne_bytes(random))
    }

    fn ports(&self) -> impl ExactSizeIterator<Item = Port> + '_ {
        let port = |pair: &Pair| Port {
            family: pair.family,
            protocol: pair.options.protocol.number(pair.family),
            kind: pair.socket.kind(),
            ident: pair.ident,
            own_port: pair.held.as_ref().and_then(HeldPort::number),
            room: pair.socket.room(),
            target_port: pair.options.protocol.port(),
            detours: pair.spares.is_some(),
        };
        self.open.iter().map(port)
    }

    fn source(
        &self,
        target: IpAddr,
        scope_id: u32,
        protocol: ProbeProtocol,
    ) -> Result<IpAddr, Error> {
        let family = AddressFamily::of(target);
        let pair = self
            .of_protocol(family, protocol)
            .ok_or_else(|| self.obstacle(family, protocol))?;
        let source = pair
            .sources
            .of(target, scope_id)
            .map_err(|error| no_route(error, target, scope_id, &pair.options))?;
        match self.options.source {
            None if is_makeshift(source, target) => Err(self.no_source(target, scope_id, protocol)),
            // The kernel would send it all the same, to nobody. (In IPv4 it doesn't.)
            Some(_) if is_makeshift(source, target) && !self.neighbours.is_own(target) => {
                let error = OpenError::SourceOfElsewhere;
                Err(no_route(error, target, scope_id, &pair.options))
            }
            _ => Ok(source),
        }
    }

    fn no_source(&self, target: IpAddr, scope_id: u32, protocol: ProbeProtocol) -> Error {
        let error = OpenError::Other(Errno::ADDRNOTAVAIL);
        let pair = self.of_protocol(AddressFamily::of(target), protocol);
        let options = pair.map_or(&self.options, |pair| &pair.options);
        no_route(error, target, scope_id, options)
    }

    fn send(&mut self, port: usize, probe: Datagram<'_>) -> Result<Instant, SendError> {
        let Datagram {
            destination,
            scope_id,
            hop_limit,
            message,
            tag,
            is_detour,
            ..
        } = probe;
        let Some(pair) = self.open.get_mut(port) else {
            return Err(number(Errno::BADF));
        };
        let spares = pair.spares.as_mut().filter(|_| is_detour);
        let sent = match spares {
            Some(spares) => spares.send(destination, scope_id, hop_limit, message, tag),
            None => pair
                .socket
                .send(destination, scope_id, hop_limit, message, tag),
        };
        sent.map_err(number)
    }

    fn obstacle(error: SendError) -> Obstacle {
        match Errno::from_raw_os_error(error.0.into()) {
            Errno::MSGSIZE => Obstacle::TooLarge,
            Errno::NOBUFS | Errno::AGAIN | Errno::NOMEM => Obstacle::Full,
            _ => Obstacle::Other,
        }
    }

    fn describe(error: SendError) -> String {
        send_error(error)
    }

    fn has_arrivals(&self) -> Result<bool, Error> {
        let mut fds: Vec<PollFd<'_>> = self.open.iter().flat_map(readable).collect();
        match rustix::event::poll(&mut fds, Some(&Timespec::default())) {
            Ok(readable) => Ok(readable > 0),
            Err(Errno::INTR) => Ok(false),
            Err(errno) => Err(Error::system("can't look for answers")(errno)),
        }
    }

    fn receive<'b>(
        &mut self,
        port: usize,
        buf: &'b mut [u8],
    ) -> Result<Option<Arrived<'b>>, Error> {
        let Some(pair) = self.open.get_mut(port) else {
            return Ok(None);
        };
        let arrival = pair.receive(buf).map_err(Error::system("can't receive"))?;
        Ok(arrival.map(|(arrival, source_port)| Arrived {
            answer: arrival.answer(),
            at: arrival.at,
            clock: arrival.clock,
            source_port,
        }))
    }

    fn departed(&mut self, port: usize) -> Option<(u32, Instant)> {
        self.open.get_mut(port)?.socket.departure()
    }

    fn forget(&mut self, port: usize, are_these: impl Fn(u32) -> bool) {
        if let Some(pair) = self.open.get_mut(port) {
            pair.socket.forget(&are_these);
            if let Some(spares) = &mut pair.spares {
                spares.forget(are_these);
            }
        }
    }

    /// Has the kernel filter what is received. Without a filter there is more to pass over; the
    /// socket notes that.
    fn listen_for(&mut self, port: usize, audience: Audience<'_>) {
        let own = match audience {
            Audience::Trace(probes, target) => AnswerKey::of(probes, target),
            _ => None,
        };
        let Some(pair) = self.open.get_mut(port) else {
            return;
        };
        if let Err(errno) = pair.socket.listen_for(own.as_ref()) {
            self.unfiltered = Some(errno);
        }
    }

    fn dropped(&self, port: usize) -> u32 {
        self.open.get(port).map_or(0, |pair| pair.socket.dropped())
    }

    fn is_itself(&self, target: IpAddr, source: IpAddr) -> bool {
        // Where no source was given the kernel chooses the target for the source.
        target.is_loopback()
            || target == source
            || self.options.source.is_some() && self.neighbours.is_own(target)
    }

    fn is_own(&self, address: IpAddr) -> bool {
        self.neighbours.is_own(address)
    }

    fn next_hop(&self, way: Way) -> Option<NextHop> {
        self.neighbours.next_hop(way)
    }

    fn wait(
        &self,
        span: Duration,
        through_arrivals: bool,
        wake: Option<BorrowedFd<'_>>,
    ) -> Result<bool, Error> {
        let timeout = Timespec::try_from(span).ok();
        let mut fds: Vec<PollFd<'_>> = Vec::with_capacity(3);
        fds.extend(wake.map(|wake| PollFd::from_borrowed_fd(wake, PollFlags::IN)));
        if !span.is_zero() && !through_arrivals {
            fds.extend(self.open.iter().flat_map(readable));
            let bell = self.bell.iter();
            fds.extend(bell.map(|bell| PollFd::from_borrowed_fd(bell.as_fd(), PollFlags::IN)));
        }
        if fds.is_empty() && span.is_zero() {
            return Ok(false);
        }
        match rustix::event::poll(&mut fds, timeout.as_ref()) {
            Ok(_) | Err(Errno::INTR) => {
                Ok(wake.is_some() && fds.first().is_some_and(|fd| !fd.revents().is_empty()))
            }
            Err(errno) => Err(Error::system("can't wait for answers")(errno)),
        }
    }
}

fn readable(pair: &Pair) -> impl Iterator<Item = PollFd<'_>> {
    pair.fds()
        .map(|fd| PollFd::from_borrowed_fd(fd, PollFlags::IN))
}

fn number(errno: Errno) -> SendError {
    SendError(u16::try_from(errno.raw_os_error()).unwrap_or(u16::MAX))
}

/// Whether an address means that there is none: where IPv6 has no other, the kernel falls back on
/// `::1`, whose packets never leave (RFC 4291, section 2.5.3).
const fn is_makeshift(source: IpAddr, target: IpAddr) -> bool {
    source.is_ipv6() && source.is_loopback() && !target.is_loopback() && !target.is_multicast()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_loopback_address_is_no_source_for_others() {
        let [loopback, global, multicast]: [IpAddr; 3] =
            ["::1", "2001:db8::1", "ff02::1"].map(|address| address.parse().unwrap());
        assert!(is_makeshift(loopback, global));
        assert!(!is_makeshift(loopback, loopback) && !is_makeshift(loopback, multicast));
        assert!(
            !is_makeshift([127, 0, 0, 1].into(), [192, 0, 2, 1].into())
                && !is_makeshift(global, global)
        );
    }
}
