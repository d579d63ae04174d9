//! TCP sockets, which every user may open: tcp(7). A probe is the SYN of a connect(2), and its
//! answer is what becomes of that.
//!
//! One socket sends one probe at a time, so there are many of them, each with a port of its own.
//! The kernel chooses the sequence number, and takes no error for one of the probe that doesn't
//! quote it. So whatever it tells of a socket is about the probe of that socket, and is as good as
//! an answer that proves itself: it is handed on as the answer to the SYN that the caller wrote.
//!
//! A socket that is done is disconnected, and serves again: a connection that was made is reset,
//! and of one that wasn't no second SYN leaves. All sockets are one descriptor to whoever waits.

use super::arrival::Arrival;
use super::needs::{Lacks, Necessity, Nicety};
use super::options::{OpenError, Options, endpoint, errors, open, set};
use super::queue::{Origin, Packet, Queue};
use super::unprivileged;
use crate::clock;
use crate::sys::{self, Name, State};
use hopshot_core::Instant;
use hopshot_core::wire::AddressFamily;
use hopshot_core::wire::tcp::{self, Flags};
use hopshot_engine::{Clock, SocketKind};
use rustix::event::epoll::{self, CreateFlags, Event, EventData, EventFlags};
use rustix::io::Errno;
use rustix::net::sockopt;
use rustix::process::Resource;
use rustix::time::{
    Itimerspec, TimerfdClockId, TimerfdFlags, TimerfdTimerFlags, Timespec, timerfd_create,
    timerfd_settime,
};
use std::collections::VecDeque;
use std::net::IpAddr;
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
    /// Sockets that something has happened to.
    ready: VecDeque<usize>,
    events: OwnedFd,
    timer: OwnedFd,
    pub(super) lacks: Lacks,
}

/// One of the sockets.
#[derive(Debug)]
struct Place {
    fd: OwnedFd,
    reports: Queue,
    probe: Option<Probe>,
}

/// A probe that is under way.
#[derive(Debug)]
struct Probe {
    target: IpAddr,
    left: Instant,
    /// The SYN as the caller wrote it.
    message: Vec<u8>,
    /// An error that came while connect(2) was at it, and what it quoted.
    early: Option<(Packet, Vec<u8>)>,
    /// What connect(2) said, and when, if it didn't leave that for later.
    said: Option<(Errno, Instant)>,
}

/// What became of a probe: who answered, with so many octets in the buffer.
struct Outcome {
    from: IpAddr,
    len: usize,
    packet: Packet,
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
        let files = rustix::process::getrlimit(Resource::Nofile).current;
        let files = usize::try_from(files.unwrap_or(u64::MAX)).unwrap_or(usize::MAX);
        let count = (files / FILES_PER_PLACE).clamp(*PLACES.start(), *PLACES.end());
        let mut places = Vec::with_capacity(count);
        for index in 0..count {
            let fd = match open_place(family, options, &mut lacks) {
                // This machine has few ports.
                Err(OpenError::Other(Errno::ADDRINUSE)) if index > 0 => break,
                opened => opened?,
            };
            // Of what is so all the time, such as that a socket isn't connected, it tells once.
            let what = EventFlags::IN | EventFlags::OUT | EventFlags::ET;
            epoll::add(&events, &fd, EventData::new_u64(index as u64), what)?;
            let (reports, probe) = (Queue::of_reports(), None);
            places.push(Place { fd, reports, probe });
        }
        Ok(Self {
            family,
            port: options.protocol.port().unwrap_or_default(),
            free: (0..places.len()).collect(),
            ready: VecDeque::new(),
            places,
            events,
            timer,
            lacks,
        })
    }

    /// How many probes may be under way at a time.
    pub(crate) const fn room(&self) -> usize {
        self.places.len()
    }

    /// See [`raw::Socket::send`](super::raw::Socket::send). The kernel writes a SYN of its own, of
    /// another port and with other options.
    ///
    /// # Errors
    /// EAGAIN if all sockets have a probe under way.
    pub(crate) fn send(
        &mut self,
        destination: IpAddr,
        scope_id: u32,
        hop_limit: u8,
        message: &[u8],
    ) -> Result<Instant, Errno> {
        let index = self.free.pop_front().ok_or(Errno::AGAIN)?;
        let place = &mut self.places[index];
        let (fd, to) = (&place.fd, endpoint(destination, scope_id, self.port));
        let limited = match self.family {
            AddressFamily::V4 => sockopt::set_ip_ttl(fd, hop_limit.into()),
            AddressFamily::V6 => sockopt::set_ipv6_unicast_hops(fd, Some(hop_limit)),
        };
        let left = clock::now();
        let said = match limited.and_then(|()| rustix::net::connect(fd, &to)) {
            Ok(()) | Err(Errno::INPROGRESS) => None,
            Err(errno) => Some((errno, clock::now())),
        };
        let mut early = None;
        if let Some((errno, _)) = said {
            // From nearby an answer may come before the call is over, and is told by it.
            let mut quote = vec![0; 2_048];
            early = report(place, &mut quote).map(|packet| (packet, quote));
            if early.is_none() && errno != Errno::CONNREFUSED {
                self.release(index);
                return Err(errno);
            }
            self.ready.push_back(index);
        }
        self.places[index].probe = Some(Probe {
            target: destination,
            left,
            message: message.to_vec(),
            early,
            said,
        });
        self.wind(left.saturating_add(LONGEST));
        Ok(left)
    }

    /// See [`raw::Socket::receive`](super::raw::Socket::receive).
    pub(crate) fn receive<'b>(&mut self, buf: &'b mut [u8]) -> Result<Option<Arrival<'b>>, Errno> {
        let outcome = loop {
            if self.ready.is_empty() {
                self.look()?;
            }
            let Some(index) = self.ready.pop_front() else {
                return Ok(None);
            };
            if let Some(outcome) = self.outcome(index, buf) {
                break outcome;
            }
        };
        let Outcome { from, len, packet } = outcome;
        Ok(Some(Arrival {
            from,
            hop_limit: packet.hop_limit,
            protocol: tcp::PROTOCOL,
            message: buf.get(..len).unwrap_or_default(),
            report: packet.report,
            at: packet.at,
            clock: packet.clock,
        }))
    }

    /// Looks which sockets something has happened to, and ends what has been under way for too
    /// long.
    fn look(&mut self) -> Result<(), Errno> {
        let mut events = Vec::<Event>::with_capacity(32);
        let room = rustix::buffer::spare_capacity(&mut events);
        match epoll::wait(&self.events, room, Some(&Timespec::default())) {
            Ok(_) | Err(Errno::INTR) => {}
            Err(errno) => return Err(errno),
        }
        let mut is_late = false;
        for event in events {
            match usize::try_from(event.data.u64()) {
                Ok(index) if index < self.places.len() => self.ready.push_back(index),
                _ => is_late = true,
            }
        }
        if is_late {
            self.end_late();
        }
        Ok(())
    }

    /// Ends probes that have been under way for too long, and winds the timer up for the next.
    fn end_late(&mut self) {
        let _ = rustix::io::read(&self.timer, &mut [0_u8; 8]);
        let now = clock::now();
        let mut next: Option<Instant> = None;
        for index in 0..self.places.len() {
            let Some(probe) = &self.places[index].probe else {
                continue;
            };
            let end = probe.left.saturating_add(LONGEST);
            if end > now {
                next = Some(next.map_or(end, |next| next.min(end)));
            } else if !self.ready.contains(&index) {
                self.release(index);
            }
        }
        if let Some(next) = next {
            self.set_timer(next.saturating_since(now));
        }
    }

    /// Sees that the timer goes off at a time, if it isn't wound up yet: then it goes off before.
    fn wind(&mut self, at: Instant) {
        let others = self.places.iter().filter(|place| place.probe.is_some());
        if others.count() <= 1 {
            self.set_timer(at.saturating_since(clock::now()));
        }
    }

    fn set_timer(&self, span: Duration) {
        // A span of zero would stop it.
        let span = span.max(Duration::from_micros(1));
        let timer = Itimerspec {
            it_interval: Timespec::default(),
            it_value: Timespec::try_from(span).unwrap_or_default(),
        };
        let _ = timerfd_settime(&self.timer, TimerfdTimerFlags::empty(), &timer);
    }

    /// Reads what became of the probe of a socket, if it is known, as the answer to the SYN that
    /// the caller wrote. Then the socket is free.
    fn outcome(&mut self, index: usize, buf: &mut [u8]) -> Option<Outcome> {
        let place = &mut self.places[index];
        let mut probe = place.probe.take()?;
        let early = probe.early.take().map(|(packet, quote)| {
            let len = packet.len.min(buf.len());
            buf[..len].copy_from_slice(&quote[..len]);
            packet
        });
        if let Some(packet) = early.or_else(|| report(place, buf)) {
            self.release(index);
            let from = unprivileged::sender(packet.report.as_ref(), packet.peer)?;
            // The kernel has compared what it sent.
            let len = packet.len;
            let known = len.min(probe.message.len());
            buf[..known].copy_from_slice(&probe.message[..known]);
            return (!packet.cut).then_some(Outcome { from, len, packet });
        }
        let (said, told) = match probe.said {
            Some((errno, at)) => (Err(errno), at),
            None => (
                sockopt::socket_error(&place.fd).and_then(|said| said),
                clock::now(),
            ),
        };
        let handshake = sys::handshake(place.fd.as_fd()).unwrap_or_default();
        let flags = match (said, handshake.state) {
            (Ok(()), State::SynSent) => {
                // Something else has happened.
                place.probe = Some(probe);
                return None;
            }
            // What goes on may be told here: the ACK that the kernel has sent gets no farther than
            // the SYN, and the target may have reset the connection at once.
            (_, State::Made) | (Err(Errno::CONNRESET | Errno::PIPE), _) => {
                Flags(Flags::SYN.0 | Flags::ACK.0)
            }
            (Err(Errno::CONNREFUSED), _) => Flags(Flags::RST.0 | Flags::ACK.0),
            _ => {
                self.release(index);
                return None;
            }
        };
        let rtt = handshake.rtt.filter(|_| flags.contains(Flags::SYN));
        let (at, clock) = match rtt {
            Some(rtt) => (probe.left.saturating_add(rtt), Clock::Kernel),
            None => (told, Clock::User),
        };
        self.release(index);
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
        Some(Outcome { from, len, packet })
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

/// Opens one of the sockets, on a port that is free. Nobody else can bind that then.
fn open_place(
    family: AddressFamily,
    options: &Options,
    lacks: &mut Lacks,
) -> Result<OwnedFd, OpenError> {
    let fd = open(family, SocketKind::Tcp, options.protocol)?;
    if family == AddressFamily::V6 {
        let _ = sockopt::set_ipv6_v6only(&fd, true);
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
    let _ = sockopt::set_socket_linger(&fd, Some(Duration::ZERO));
    if family == AddressFamily::V6 {
        // Else each port has a flow label of its own, which routers may tell flows apart by.
        let _ = set(&fd, Name::IPV6_AUTOFLOWLABEL, 0);
    }
    unprivileged::bind(&fd, family, options, 0)?;
    Ok(fd)
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

/// Writes the target's answer to a SYN (RFC 9293, section 3.1). Its sequence number and its checksum
/// nobody looks at.
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
