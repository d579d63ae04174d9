//! TCP sockets, which every user may open: tcp(7). Each probe is the SYN of a connect(2). The
//! connection's fate is its answer.
//!
//! One socket sends one probe at a time, so there are many of them. The kernel takes a free port
//! and a random sequence number for each probe. It ignores ICMP errors that don't quote that
//! number. So whatever it tells of a socket is about the probe of that socket, and is as good as an
//! answer that proves itself: it is handed on as the answer to the SYN that the caller wrote.
//!
//! A socket is disconnected after its probe, and used again. Disconnecting resets an open
//! connection and stops further SYNs. All sockets are one descriptor to whoever waits.

use super::arrival::{Arrival, Received};
use super::needs::{Lacks, Necessity, Nicety};
use super::one_port::OnePort;
use super::options::{OpenError, Options, apply, endpoint, errors, files_permitted, open, set};
use super::queue::{Origin, Packet, Queue};
use super::unprivileged;
use crate::clock;
use crate::interface::Interface;
use crate::sys::{self, Name, State};
use hopshot_core::Instant;
use hopshot_core::wire::AddressFamily;
use hopshot_core::wire::tcp::{self, Flags};
use hopshot_engine::{Clock, SocketKind};
use rustix::event::epoll::{self, CreateFlags, Event, EventData, EventFlags};
use rustix::io::Errno;
use rustix::net::sockopt;
use rustix::time::{
    Itimerspec, TimerfdClockId, TimerfdFlags, TimerfdTimerFlags, Timespec, timerfd_create,
    timerfd_settime,
};
use std::collections::VecDeque;
use std::net::{IpAddr, SocketAddr};
use std::ops::RangeInclusive;
use std::os::fd::{AsFd, BorrowedFd, OwnedFd};
use std::time::Duration;

/// Sockets of one family: the probes that may be under way. A single trace seldom needs more at a
/// time, and with fewer it waits.
const PLACES: RangeInclusive<usize> = 8..=64;

/// Descriptors that a process may have for each of them: so those of both families take an eighth,
/// if there are more than the least.
const FILES_PER_PLACE: usize = 16;

/// How long a probe may be under way. The kernel sends its SYN once more after a second (RFC 6298,
/// section 2).
const LONGEST: Duration = Duration::from_millis(950);

/// Marks the timer among the events.
const TIMER: u64 = u64::MAX;

/// Sockets of one family, all to one port. `AsFd` is readable when there may be an answer.
#[derive(Debug)]
pub(crate) struct Socket {
    family: AddressFamily,
    /// The destination port.
    port: u16,
    places: Vec<Place>,
    /// Sockets without a probe: the one that was done first is the next.
    free: VecDeque<usize>,
    /// Sockets with an event to be read.
    ready: VecDeque<usize>,
    events: OwnedFd,
    timer: OwnedFd,
    /// The interface that all are bound to.
    interface: Option<Interface>,
    /// The port of all probes, if they share one.
    one_port: Option<OnePort>,
    /// Whether the timer goes off by the time that the first probe has been under way for too long.
    is_armed: bool,
    pub(super) lacks: Lacks,
}

/// One of the sockets.
#[derive(Debug)]
struct Place {
    fd: OwnedFd,
    reports: Queue,
    /// The interface that it is bound to, else 0: the kernel binds it to that of a link-local
    /// target, for good.
    scope_id: u32,
    probe: Option<Probe>,
}

/// A probe that is under way.
#[derive(Debug)]
struct Probe {
    tag: u32,
    target: IpAddr,
    left: Instant,
    hop_limit: u8,
    /// The SYN as the caller wrote it.
    message: Vec<u8>,
}

impl Socket {
    /// Opens the sockets.
    ///
    /// # Errors
    /// See [`OpenError`].
    pub(super) fn open(
        family: AddressFamily,
        options: &Options,
        mut lacks: Lacks,
    ) -> Result<Self, OpenError> {
        let release = rustix::system::uname();
        if is_old(&release.release().to_string_lossy()) {
            return Err(OpenError::OldKernel);
        }
        let events = epoll::create(CreateFlags::CLOEXEC)?;
        let flags = TimerfdFlags::CLOEXEC | TimerfdFlags::NONBLOCK;
        let timer = timerfd_create(TimerfdClockId::Monotonic, flags)?;
        epoll::add(&events, &timer, EventData::new_u64(TIMER), EventFlags::IN)?;
        if options.precise {
            lacks.note(Nicety::DepartureStamps, Err(Errno::OPNOTSUPP));
        }
        let files = files_permitted();
        let count = match options.one_flow {
            true => 1,
            false => (files / FILES_PER_PLACE).clamp(*PLACES.start(), *PLACES.end()),
        };
        let (mut one_port, mut interface) = (None, None);
        let mut places = Vec::with_capacity(count);
        for index in 0..count {
            let (fd, bound) = open_place(family, options, &mut lacks)?;
            interface = bound;
            if options.one_flow {
                let (port, bound) = OnePort::bind(&fd, family, options)?;
                (one_port, interface) = (Some(port), bound);
            }
            // Edge-triggered: an unconnected socket would be ready all the time.
            let what = EventFlags::IN | EventFlags::OUT | EventFlags::ET;
            epoll::add(&events, &fd, EventData::new_u64(index as u64), what)?;
            places.push(Place {
                fd,
                reports: Queue::of_reports(),
                scope_id: 0,
                probe: None,
            });
        }
        let mut socket = Self {
            family,
            port: options.protocol.port().unwrap_or_default(),
            free: (0..places.len()).collect(),
            ready: VecDeque::new(),
            places,
            events,
            timer,
            interface,
            one_port,
            is_armed: false,
            lacks,
        };
        // That none is connected.
        while !socket.look()?.is_empty() {}
        Ok(socket)
    }

    /// The source port of all probes, if they have one in common.
    pub(crate) const fn port(&self) -> Option<u16> {
        match &self.one_port {
            Some(port) => Some(port.number),
            None => None,
        }
    }

    /// How many probes may be under way at a time.
    pub(crate) const fn room(&self) -> usize {
        self.places.len()
    }

    /// See [`raw::Socket::send`](super::raw::Socket::send). The kernel writes a SYN of its own, of
    /// another port and with other options.
    ///
    /// # Errors
    /// EAGAIN if all sockets have a probe under way, or this machine has no port that is free.
    pub(crate) fn send(
        &mut self,
        destination: IpAddr,
        scope_id: u32,
        hop_limit: u8,
        message: &[u8],
        tag: u32,
    ) -> Result<Instant, Errno> {
        self.take_turns(destination);
        let places = &self.places;
        let find = |scope_id| {
            let mut free = self.free.iter();
            free.position(|index| places[*index].scope_id == scope_id)
        };
        let next = find(scope_id).or_else(|| find(0));
        let index = match next {
            Some(next) => self.free.remove(next),
            None => self.free.pop_front(),
        };
        let index = index.ok_or(Errno::AGAIN)?;
        let place = &mut self.places[index];
        if next.is_none() {
            // It is bound to the interface of another link-local target.
            let own = self.interface.as_ref().map_or(0, |own| own.number);
            sys::set_option(place.fd.as_fd(), Name::SO_BINDTOIFINDEX, &own.to_ne_bytes())?;
        }
        let (fd, to) = (&place.fd, endpoint(destination, scope_id, self.port));
        let limited = match self.family {
            AddressFamily::V4 => sockopt::set_ip_ttl(fd, hop_limit.into()),
            AddressFamily::V6 => sockopt::set_ipv6_unicast_hops(fd, Some(hop_limit)),
        };
        let left = clock::now();
        let connected = limited.and_then(|()| rustix::net::connect(fd, &to));
        place.scope_id = scope_id;
        match connected {
            // What comes before the call is over is told later too.
            Ok(()) | Err(Errno::INPROGRESS) => {}
            Err(errno) => {
                self.release(index);
                return Err(match errno {
                    Errno::ADDRNOTAVAIL => Errno::AGAIN,
                    errno => errno,
                });
            }
        }
        place.probe = Some(Probe {
            tag,
            target: destination,
            left,
            hop_limit,
            message: message.to_vec(),
        });
        if !self.is_armed {
            self.arm(left.saturating_add(LONGEST), left);
        }
        Ok(left)
    }

    /// Ends the probe that has the one port, if it has had its turn.
    fn take_turns(&mut self, next_target: IpAddr) {
        let Some(port) = &mut self.one_port else {
            return;
        };
        port.turn_to(next_target);
        let now = clock::now();
        let is_over = |probe: &Probe| {
            probe.target != next_target
                || now.saturating_since(probe.left) > port.turn(probe.hop_limit, LONGEST)
        };
        let over = self
            .places
            .iter()
            .position(|place| place.probe.as_ref().is_some_and(is_over));
        if let Some(index) = over {
            self.release(index);
        }
    }

    /// Ends probes that nobody waits for any more.
    pub(crate) fn forget(&mut self, are_these: impl Fn(u32) -> bool) {
        for index in 0..self.places.len() {
            let probe = self.places[index].probe.as_ref();
            if probe.is_some_and(|probe| are_these(probe.tag)) {
                self.release(index);
            }
        }
    }

    /// See [`raw::Socket::receive`](super::raw::Socket::receive).
    pub(crate) fn receive<'b>(&mut self, buf: &'b mut [u8]) -> Result<Option<Arrival<'b>>, Errno> {
        let received = loop {
            if self.ready.is_empty() {
                self.ready = self.look()?;
            }
            let Some(index) = self.ready.pop_front() else {
                return Ok(None);
            };
            if let Some(received) = self.outcome(index, buf) {
                break received;
            }
        };
        Ok(Some(received.arrival(buf)))
    }

    /// Looks for sockets with an event, and ends what has been under way for too long.
    fn look(&mut self) -> Result<VecDeque<usize>, Errno> {
        let mut events = Vec::<Event>::with_capacity(self.places.len() + 1);
        let room = rustix::buffer::spare_capacity(&mut events);
        match epoll::wait(&self.events, room, Some(&Timespec::default())) {
            Ok(_) | Err(Errno::INTR) => {}
            Err(errno) => return Err(errno),
        }
        let data = events.iter().map(|event| event.data.u64());
        let indices = data.clone().filter(|data| *data != TIMER);
        let ready: VecDeque<usize> = indices.filter_map(|data| data.try_into().ok()).collect();
        if data.into_iter().any(|data| data == TIMER) {
            self.end_late(&ready);
        }
        Ok(ready)
    }

    /// Ends probes that have been under way for too long, but for those whose answer is there, and
    /// sees that the next is ended.
    fn end_late(&mut self, ready: &VecDeque<usize>) {
        let _ = rustix::io::read(&self.timer, &mut [0_u8; 8]);
        self.is_armed = false;
        let now = clock::now();
        let mut next: Option<Instant> = None;
        for index in 0..self.places.len() {
            let Some(probe) = &self.places[index].probe else {
                continue;
            };
            let end = probe.left.saturating_add(LONGEST);
            if end <= now && !ready.contains(&index) {
                self.release(index);
            } else {
                next = Some(next.map_or(end, |next| next.min(end)));
            }
        }
        if let Some(next) = next {
            self.arm(next, now);
        }
    }

    /// Has the timer go off at a time.
    fn arm(&mut self, at: Instant, now: Instant) {
        // A span of zero would stop it.
        let span = at.saturating_since(now).max(Duration::from_millis(1));
        let timer = Itimerspec {
            it_interval: Timespec::default(),
            it_value: Timespec::try_from(span).unwrap_or_default(),
        };
        let set = timerfd_settime(&self.timer, TimerfdTimerFlags::empty(), &timer);
        self.is_armed = set.is_ok();
    }

    /// Reads what became of the probe of a socket, if it is known, as the answer to the SYN that
    /// the caller wrote. Then the socket is free.
    fn outcome(&mut self, index: usize, buf: &mut [u8]) -> Option<Received> {
        let place = &mut self.places[index];
        let probe = place.probe.take()?;
        // The state first: what changes it while the rest is read makes a new event.
        let handshake = sys::handshake(place.fd.as_fd()).unwrap_or_default();
        let reported = report(place, buf).filter(|_| handshake.state != State::Made);
        if let Some(packet) = reported {
            self.release(index);
            let from = unprivileged::sender(packet.report.as_ref(), packet.peer)?;
            // The kernel has compared what it sent.
            if let Some(port) = &mut self.one_port {
                port.note(probe.hop_limit, packet.at.saturating_since(probe.left));
            }
            let len = packet.len;
            let known = len.min(probe.message.len());
            buf[..known].copy_from_slice(&probe.message[..known]);
            return (!packet.cut).then_some(received(from, len, packet));
        }
        if handshake.state == State::SynSent {
            // The event was about something else.
            place.probe = Some(probe);
            return None;
        }
        let told = clock::now();
        let flags = match (handshake.state, sockopt::socket_error(&place.fd)) {
            (State::Made, _) if is_to_itself(place, probe.target, self.port) => Flags::RST,
            // The SYN/ACK has come, whatever the error says. An ICMP error may be about the
            // kernel's ACK, or the target may have reset the connection since.
            (State::Made, _) | (_, Ok(Err(Errno::CONNRESET | Errno::PIPE))) => Flags::SYN,
            (_, Ok(Err(Errno::CONNREFUSED))) => Flags::RST,
            _ => {
                self.release(index);
                return None;
            }
        };
        let rtt = handshake.rtt.filter(|_| flags == Flags::SYN);
        let (at, clock) = match rtt {
            Some(rtt) => (probe.left.saturating_add(rtt), Clock::Kernel),
            None => (told, Clock::User),
        };
        self.release(index);
        if let Some(port) = &mut self.one_port {
            port.note(probe.hop_limit, at.saturating_since(probe.left));
        }
        let flags = Flags(flags.0 | Flags::ACK.0);
        let len = reply(&probe.message, flags, buf)?;
        let packet = Packet {
            len,
            cut: false,
            peer: None,
            hop_limit: None,
            at,
            clock,
            report: None,
        };
        let from = probe.target;
        Some(received(from, len, packet))
    }

    /// Makes a socket free: resets its connection, or takes back its SYN.
    fn release(&mut self, index: usize) {
        let place = &mut self.places[index];
        place.probe = None;
        let _ = rustix::net::connect_unspec(&place.fd);
        // What is told of the last probe would be told of the next.
        let _ = sockopt::socket_error(&place.fd);
        while report(place, &mut [0; 64]).is_some() {}
        self.free.push_back(index);
    }
}

impl AsFd for Socket {
    fn as_fd(&self) -> BorrowedFd<'_> {
        self.events.as_fd()
    }
}

/// Whether a kernel doesn't tell a TCP socket of an error about its SYN: before Linux 5.8.
fn is_old(release: &str) -> bool {
    let mut numbers = release
        .split(|c: char| !c.is_ascii_digit())
        .map(|number| number.parse::<u32>().unwrap_or(0));
    let [major, minor] = [(); 2].map(|()| numbers.next().unwrap_or(0));
    (major, minor) < (5, 8)
}

/// Whether a socket is connected to itself: nobody listens at the port, and the kernel has taken it
/// for the connection's own.
fn is_to_itself(place: &Place, target: IpAddr, port: u16) -> bool {
    let name = rustix::net::getsockname(&place.fd).ok();
    let name = name.and_then(|name| SocketAddr::try_from(name).ok());
    name.is_some_and(|name| (name.ip(), name.port()) == (target, port))
}

/// Opens one of the sockets.
fn open_place(
    family: AddressFamily,
    options: &Options,
    lacks: &mut Lacks,
) -> Result<(OwnedFd, Option<Interface>), OpenError> {
    let fd = open(family, SocketKind::Tcp, options.protocol)?;
    if family == AddressFamily::V6 {
        let _ = sockopt::set_ipv6_v6only(&fd, true);
        // Else each port has a flow label of its own, which routers may tell flows apart by.
        let _ = set(&fd, Name::IPV6_AUTOFLOWLABEL, 0);
    }
    let refused = |errno| OpenError::Necessary(Necessity::Errors, errno);
    set(&fd, errors(family), 1).map_err(refused)?;
    let [extensions, hop_limits] = match family {
        AddressFamily::V4 => [Name::IP_RECVERR_RFC4884, Name::IP_RECVTTL],
        AddressFamily::V6 => [Name::IPV6_RECVERR_RFC4884, Name::IPV6_RECVHOPLIMIT],
    };
    lacks.note(Nicety::ArrivalStamps, set(&fd, Name::SO_TIMESTAMPNS, 1));
    lacks.note(Nicety::HopLimits, set(&fd, hop_limits, 1));
    lacks.note(Nicety::Extensions, set(&fd, extensions, 1));
    // Should this program be stopped meanwhile: one more SYN at most, and no connection that stays.
    let _ = set(&fd, Name::TCP_SYNCNT, 1);
    let _ = sockopt::set_tcp_user_timeout(&fd, 900);
    let _ = sockopt::set_socket_linger(&fd, Some(Duration::ZERO));
    let interface = match options.one_flow {
        // That is bound with its port.
        true => None,
        false => {
            // A source is bound without a port, which the kernel takes for each probe.
            let _ = set(&fd, Name::IP_BIND_ADDRESS_NO_PORT, 1);
            apply(options, family, fd.as_fd(), 0)?
        }
    };
    Ok((fd, interface))
}

const fn received(from: IpAddr, len: usize, packet: Packet) -> Received {
    Received {
        from,
        protocol: tcp::PROTOCOL,
        len,
        packet,
    }
}

/// Reads an ICMP error from the error queue of a socket.
fn report(place: &mut Place, buf: &mut [u8]) -> Option<Packet> {
    let is_icmp = |packet: &Packet| {
        let origin = packet.report.map(|report| report.origin);
        origin == Some(Origin::Icmp)
    };
    // It holds few.
    (0..16)
        .map_while(|_| place.reports.read(place.fd.as_fd(), buf).ok().flatten())
        .find(is_icmp)
}

/// Writes the target's answer to a SYN (RFC 9293, section 3.1). Nobody reads its sequence number
/// and checksum.
fn reply(syn: &[u8], flags: Flags, buf: &mut [u8]) -> Option<usize> {
    let [a, b, c, d, seq @ ..] = *syn.first_chunk::<8>()?;
    let [e, f, g, h] = u32::from_be_bytes(seq).wrapping_add(1).to_be_bytes();
    let segment: [u8; tcp::HEADER_LEN] = [
        c, d, a, b, 0, 0, 0, 0, e, f, g, h, 0x50, flags.0, 0, 0, 0, 0, 0, 0,
    ];
    buf.get_mut(..segment.len())?.copy_from_slice(&segment);
    Some(segment.len())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_kernel_is_old_by_its_release() {
        for (release, old) in [
            ("4.19.0-27-amd64", true),
            ("5.7.19", true),
            ("5.8.0", false),
            ("5.10.0-8-arm64", false),
            ("6.18.44", false),
            ("10.0-rc1", false),
            ("", true),
        ] {
            assert_eq!(is_old(release), old, "{release}");
        }
    }

    #[test]
    fn an_answer_names_the_syn() {
        let syn = [0xab, 0xcd, 1, 0xbb, 0xff, 0xff, 0xff, 0xff];
        let mut buf = [0; 20];
        assert_eq!(reply(&syn, Flags::RST, &mut buf), Some(20));
        let unknown = AddressFamily::V4.unspecified();
        let ends = hopshot_core::wire::Ends {
            source: unknown,
            destination: unknown,
        };
        let segment = tcp::Segment::parse(ends, &buf).unwrap();
        assert_eq!((segment.source, segment.destination), (443, 0xabcd));
        assert_eq!((segment.ack, segment.flags), (0, Flags::RST));
        assert_eq!(reply(&syn[..7], Flags::RST, &mut buf), None);
        assert_eq!(reply(&syn, Flags::RST, &mut buf[..19]), None);
    }
}
