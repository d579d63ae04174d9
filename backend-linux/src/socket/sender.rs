//! Sending: one message with a hop limit of its own, and on request the moment when the kernel let
//! it go.
//!
//! The kernel's transmit timestamps come back through the error queue, with a number. Since Linux
//! 6.13 the number can be chosen for each message (`SCM_TS_OPT_ID`); before, the kernel counts the
//! messages of a socket from zero, and so does this.

use super::needs::{Lacks, Nicety};
use super::options::{endpoint, set};
use super::queue::{Origin, Queue};
use crate::clock;
use crate::sys::{self, Name};
use hopshot_core::Instant;
use hopshot_core::wire::AddressFamily;
use hopshot_engine::Clock;
use rustix::io::{Errno, retry_on_intr};
use rustix::net::{SendFlags, sockopt};
use std::collections::VecDeque;
use std::net::IpAddr;
use std::os::fd::{AsFd, OwnedFd};
use std::thread;
use std::time::Duration;

/// How long to wait for room, in turn, before a send is given up: 3.1 ms together.
const PAUSES: [Duration; 5] = [
    Duration::from_micros(100),
    Duration::from_micros(200),
    Duration::from_micros(400),
    Duration::from_micros(800),
    Duration::from_micros(1_600),
];

/// What a sender with transmit timestamps asks to buffer for them, in octets. Each takes less than
/// 1 KiB.
const STAMP_BUFFER: usize = 256 << 10;

/// A socket that sends.
#[derive(Debug)]
pub(super) struct Sender {
    pub(super) fd: OwnedFd,
    family: AddressFamily,
    /// The destination port, where the socket has ports.
    pub(super) port: u16,
    /// How many errors a send overlooks, because they may be about an earlier packet.
    overlooked: usize,
    departures: Option<Departures>,
}

fn set_send_buffer(fd: &OwnedFd) -> Result<(), Errno> {
    sockopt::set_socket_send_buffer_size_force(fd, SEND_BUFFER)
        .or_else(|_| sockopt::set_socket_send_buffer_size(fd, SEND_BUFFER))
}

/// When packets left, as the kernel says.
#[derive(Debug)]
struct Departures {
    reports: Queue,
    numbers: Numbers,
}

/// What the numbers of the timestamps mean.
#[derive(Debug)]
enum Numbers {
    /// Each is the tag of its message; once this has worked it is never given up, since the kernel
    /// then goes on with the last number that was chosen.
    Chosen { proven: bool },
    /// The kernel counts; these are the tags of the messages from number `first` on.
    Counted { first: u32, tags: VecDeque<u32> },
}

/// The send buffer, in octets, for packets that wait for the address of a neighbour: up to 101 for
/// each (unres_qlen_bytes), for 3 s.
const SEND_BUFFER: usize = 4 << 20;

impl Sender {
    /// With the kernel's transmit timestamps if `precise`, where the kernel has them. `overlooked`
    /// is how many times a send is tried again after an error that may be about an earlier packet.
    pub(super) fn new(
        fd: OwnedFd,
        family: AddressFamily,
        precise: bool,
        overlooked: usize,
        lacks: &mut Lacks,
    ) -> Self {
        lacks.note(Nicety::SendBuffer, set_send_buffer(&fd));
        let mut departures = None;
        if precise {
            lacks.note(
                Nicety::Buffer,
                sockopt::set_socket_recv_buffer_size(&fd, STAMP_BUFFER),
            );
            let stamps = set(&fd, Name::SO_TIMESTAMPING, STAMPS | STAMPS_NUMBERED);
            lacks.note(Nicety::DepartureStamps, stamps);
            let numbers = Numbers::Chosen { proven: false };
            departures = stamps.is_ok().then(|| Departures {
                reports: Queue::of_reports(),
                numbers,
            });
        }
        Self {
            fd,
            family,
            port: 0,
            overlooked,
            departures,
        }
    }

    /// Sends one message. If the kernel has no room for it (ENOBUFS, EAGAIN) it is tried again
    /// for about 3 ms. `tag` comes back with its [`departure`](Self::departure). Returns the
    /// moment right before it went.
    pub(super) fn send(
        &mut self,
        destination: IpAddr,
        scope_id: u32,
        hop_limit: u8,
        message: &[u8],
        tag: u32,
    ) -> Result<Instant, Errno> {
        let mut pauses = PAUSES.into_iter();
        let mut errors = 0;
        let sent = loop {
            let chosen = self.chosen();
            let sent = match self.attempt(
                destination,
                scope_id,
                hop_limit,
                message,
                chosen.map(|_| tag),
            ) {
                // Perhaps a kernel that can't be told the number.
                Err(Errno::INVAL) if chosen == Some(false) => {
                    self.count();
                    self.attempt(destination, scope_id, hop_limit, message, None)
                }
                sent => sent,
            };
            match sent {
                // Not poll(2): errors that wait on this socket would end it at once, and it knows
                // nothing of queueing disciplines.
                Err(Errno::NOBUFS | Errno::AGAIN) => match pauses.next() {
                    Some(pause) => thread::sleep(pause),
                    None => break sent,
                },
                Err(_) if errors < self.overlooked => errors += 1,
                sent => break sent,
            }
        };
        self.number(tag, sent.map(drop));
        sent
    }

    /// Keeps what the number of a message means. One that could not be sent the kernel may have
    /// counted all the same, so then the count begins anew.
    fn number(&mut self, tag: u32, sent: Result<(), Errno>) {
        /// Timestamps come within milliseconds, or never.
        const KEPT: usize = 4096;
        let Some(departures) = &mut self.departures else {
            return;
        };
        match (&mut departures.numbers, sent) {
            (Numbers::Chosen { proven }, Ok(())) => *proven = true,
            (Numbers::Chosen { .. }, Err(_)) => {}
            (Numbers::Counted { first, tags }, Ok(())) => {
                tags.push_back(tag);
                if tags.len() > KEPT {
                    tags.pop_front();
                    *first = first.wrapping_add(1);
                }
            }
            // The number wasn't at fault.
            (Numbers::Counted { tags, .. }, Err(Errno::INVAL)) if tags.is_empty() => {
                departures.numbers = Numbers::Chosen { proven: false };
            }
            (Numbers::Counted { .. }, Err(_)) => self.count(),
        }
    }

    fn attempt(
        &self,
        destination: IpAddr,
        scope_id: u32,
        hop_limit: u8,
        message: &[u8],
        number: Option<u32>,
    ) -> Result<Instant, Errno> {
        const CONTROL_LEN: usize = 2 * sys::cmsg_space(size_of::<i32>());
        let name = match self.family {
            AddressFamily::V4 => Name::IP_TTL,
            AddressFamily::V6 => Name::IPV6_HOPLIMIT,
        };
        let mut control = [0; CONTROL_LEN];
        let mut len =
            sys::put_cmsg(&mut control, name, &i32::from(hop_limit).to_ne_bytes()).unwrap_or(0);
        if let Some(number) = number {
            len += sys::put_cmsg(
                &mut control[len..],
                Name::SCM_TS_OPT_ID,
                &number.to_ne_bytes(),
            )
            .unwrap_or(0);
        }
        // It would be taken for a protocol number on a raw socket, and means nothing on a ping
        // socket: there it is 0.
        let destination = endpoint(destination, scope_id, self.port);
        let fd = self.fd.as_fd();
        retry_on_intr(|| {
            let now = clock::now();
            sys::sendmsg(
                fd,
                destination,
                message,
                &control[..len],
                SendFlags::empty(),
            )
            .map(|_| now)
        })
    }

    /// Whether this says the numbers, and whether that has worked.
    fn chosen(&self) -> Option<bool> {
        match self.departures.as_ref()?.numbers {
            Numbers::Chosen { proven } => Some(proven),
            Numbers::Counted { .. } => None,
        }
    }

    /// Makes the kernel count from zero.
    #[doc(alias = "SOF_TIMESTAMPING_OPT_ID")]
    pub(super) fn count(&mut self) {
        let restarted = [STAMPS, STAMPS | STAMPS_NUMBERED]
            .into_iter()
            .try_for_each(|flags| set(&self.fd, Name::SO_TIMESTAMPING, flags));
        match (&mut self.departures, restarted) {
            (Some(departures), Ok(())) => {
                departures.numbers = Numbers::Counted {
                    first: 0,
                    tags: VecDeque::new(),
                }
            }
            (departures, _) => *departures = None,
        }
    }

    /// The next message that was seen to leave: its tag, and when. Each is seen twice, on its way
    /// to the interface's queue and on its way to the device, in this order; not every device
    /// says the second.
    pub(super) fn departure(&mut self) -> Option<(u32, Instant)> {
        let Departures { reports, numbers } = self.departures.as_mut()?;
        // The errors about earlier probes are in this queue too.
        while let Some(packet) = reports.read(self.fd.as_fd(), &mut []).ok()? {
            match packet.report {
                Some(report)
                    if report.origin == Origin::Departure && packet.clock == Clock::Kernel =>
                {
                    let tag = match numbers {
                        Numbers::Chosen { .. } => Some(report.data),
                        Numbers::Counted { first, tags } => {
                            tags.get(report.data.wrapping_sub(*first) as usize).copied()
                        }
                    };
                    if let Some(tag) = tag {
                        return Some((tag, packet.at));
                    }
                }
                _ => {}
            }
        }
        None
    }
}

/// Stamps by the kernel, as a packet comes to the interface's queue and as it goes to the device,
/// without the packet itself.
const STAMPS: i32 = SOF_TIMESTAMPING_TX_SOFTWARE
    | SOF_TIMESTAMPING_TX_SCHED
    | SOF_TIMESTAMPING_SOFTWARE
    | SOF_TIMESTAMPING_OPT_TSONLY;
/// And with numbers.
const STAMPS_NUMBERED: i32 = SOF_TIMESTAMPING_OPT_ID;

// linux/net_tstamp.h
const SOF_TIMESTAMPING_TX_SOFTWARE: i32 = 1 << 1;
const SOF_TIMESTAMPING_SOFTWARE: i32 = 1 << 4;
const SOF_TIMESTAMPING_OPT_ID: i32 = 1 << 7;
const SOF_TIMESTAMPING_TX_SCHED: i32 = 1 << 8;
const SOF_TIMESTAMPING_OPT_TSONLY: i32 = 1 << 11;
