//! Plays the model in real time: reads what the client sends, and hands over each answer at the
//! moment it is due.

use super::clock::{clock, real_time};
use super::link::Link;
use core::cmp::{Ordering, Reverse};
use core::time::Duration;
use hopshot_lab::{Delivery, Internet};
use nix::poll::{PollFd, PollFlags, ppoll};
use nix::sys::eventfd::EventFd;
use nix::sys::prctl::set_timerslack;
use std::collections::BinaryHeap;
use std::io;
use std::os::fd::AsFd;

/// The last stretch before a delivery is waited out awake: sleeping ends too late by about so much.
const AWAKE: Duration = Duration::from_micros(150);

/// What nobody asked for may be late by so much: it comes in bunches, or this thread would take a
/// whole processor for a flood.
const TOGETHER: Duration = Duration::from_millis(1);

/// An answer in the queue: by time, then in the order in which they were made.
struct Queued {
    number: u64,
    delivery: Delivery,
}

impl Ord for Queued {
    fn cmp(&self, other: &Self) -> Ordering {
        (self.delivery.due, self.number).cmp(&(other.delivery.due, other.number))
    }
}

impl PartialOrd for Queued {
    fn partial_cmp(&self, other: &Self) -> Option<Ordering> {
        Some(self.cmp(other))
    }
}

impl PartialEq for Queued {
    fn eq(&self, other: &Self) -> bool {
        self.cmp(other).is_eq()
    }
}

impl Eq for Queued {}

/// Plays until `stop` is signalled, and gives the internet back with its log.
pub(super) fn play(mut internet: Internet, link: &Link, stop: &EventFd) -> io::Result<Internet> {
    // The default slack would make every sleep 50 us too long, and other programs even longer.
    // Without: the same, less precise.
    let _ = set_timerslack(1);
    let _ = real_time();
    let mut queue = BinaryHeap::new();
    let mut made = 0;
    let mut buf = vec![0; 65_536];
    loop {
        while let Some(Reverse(Queued { delivery, .. })) = pop_due(&mut queue, clock()) {
            // A packet that the client's kernel doesn't take is lost, as on any network.
            let at = clock();
            if link.send(&delivery.packet).is_ok() {
                internet.delivered(&delivery, at);
            }
        }
        let packet = link.receive(&mut buf)?;
        let now = clock();
        let answers = packet
            .map(|packet| internet.receive(now, packet))
            .unwrap_or_default();
        let quiet = packet.is_none();
        for delivery in answers.into_iter().chain(internet.unsolicited(now)) {
            made += 1;
            queue.push(Reverse(Queued {
                number: made,
                delivery,
            }));
        }
        if !quiet {
            continue;
        }
        // Close to a delivery the wait is zero: this looks for packets again and again until the
        // moment has come.
        let answer_due = queue
            .peek()
            .map(|Reverse(next)| next.delivery.due.saturating_sub(AWAKE));
        let flood_due = internet.next_unsolicited().map(|due| due + TOGETHER);
        let next = [answer_due, flood_due].into_iter().flatten().min();
        let wait = next.map(|due| due.saturating_sub(clock()).into());
        let mut fds = [
            PollFd::new(link.as_fd(), PollFlags::POLLIN),
            PollFd::new(stop.as_fd(), PollFlags::POLLIN),
        ];
        match ppoll(&mut fds, wait, None) {
            Ok(_) | Err(nix::errno::Errno::EINTR) => {}
            Err(error) => return Err(error.into()),
        }
        if fds[1].any().unwrap_or(false) {
            return Ok(internet);
        }
    }
}

fn pop_due(queue: &mut BinaryHeap<Reverse<Queued>>, now: Duration) -> Option<Reverse<Queued>> {
    queue
        .peek()
        .is_some_and(|Reverse(next)| next.delivery.due <= now)
        .then(|| queue.pop())
        .flatten()
}
