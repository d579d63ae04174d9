//! A hostile host among those of a list: it reads ident and checksum off the probes that reach it,
//! and guesses the seqs of all others that have the same ident.

use crate::answer::Delivery;
use crate::answer::{Request, checksum, wrap};
use crate::map::Map;
use crate::scenario::{Sweep, Sweeper};
use crate::transport::Protocol;
use core::time::Duration;
use hopshot_core::wire::icmp::{Echo, Message, Type};
use hopshot_core::wire::{Ends, ip};

/// Errors that one sweep has: one about each seq.
const SEQS: u32 = 1 << 16;

/// The host, and what it does. It answers its own probes as others do.
#[derive(Debug)]
pub(crate) struct Hostile {
    sweeper: Sweeper,
    learnt: Option<Learnt>,
    next: Option<Duration>,
    sent: u32,
}

/// What it knows after its first probe.
#[derive(Debug)]
struct Learnt {
    /// From the client to this host.
    ends: Ends,
    /// The ends that it quotes.
    quoted: Ends,
    ident: u16,
    checksum: u16,
}

impl Hostile {
    pub(crate) const fn new(sweeper: Sweeper) -> Self {
        Self {
            sweeper,
            learnt: None,
            next: None,
            sent: 0,
        }
    }

    /// A probe has arrived at its destination; the sweep starts with the first that does here.
    pub(crate) fn overhear(&mut self, now: Duration, request: &Request<'_>, map: &Map) {
        let family = request.family();
        let [host, victim] = [
            self.sweeper.host,
            self.sweeper.quotes.unwrap_or(self.sweeper.host),
        ]
        .map(|number| map.host(number).address(family));
        let ends = request.header.ends;
        let Some(echo) = request.echo() else {
            return;
        };
        if ends.destination != host || self.learnt.is_some() {
            return;
        }
        let quoted = Ends {
            destination: victim,
            ..ends
        };
        self.learnt = Some(Learnt {
            ends,
            quoted,
            ident: echo.ident,
            checksum: request.checksum(),
        });
        self.next = Some(now);
    }

    pub(crate) const fn next(&self) -> Option<Duration> {
        self.next
    }

    /// All that is due until then.
    pub(crate) fn messages(&mut self, until: Duration) -> Vec<Delivery> {
        let mut messages = Vec::new();
        let interval = Duration::from_secs(1) / self.sweeper.per_second.max(1);
        while let (Some(due), Some(learnt)) = (self.next.filter(|due| *due <= until), &self.learnt)
        {
            let packet = learnt.error((self.sent % SEQS) as u16, self.sweeper.says);
            messages.push(Delivery {
                due,
                packet,
                answer: None,
            });
            self.sent += 1;
            self.next =
                (self.sent < self.sweeper.sweeps.saturating_mul(SEQS)).then_some(due + interval);
        }
        messages
    }
}

impl Learnt {
    /// An error in the host's own name that quotes eight octets behind the IP header: no more than
    /// it knows.
    fn error(&self, seq: u16, says: Sweep) -> Vec<u8> {
        let Self {
            ends,
            quoted: quoted_ends,
            ident,
            checksum: learnt,
        } = *self;
        let family = ends.family();
        let icmp_type = match says {
            Sweep::TimeExceeded => Type::TimeExceeded,
            Sweep::Unreachable => Type::Unreachable,
        };
        let mut probe = [0; 8];
        let emitted = Message::EchoRequest(Echo {
            ident,
            seq,
            payload: &[],
        })
        .emit(quoted_ends, &mut probe);
        debug_assert!(emitted.is_ok(), "the buffer has the header's length");
        probe[2..4].copy_from_slice(&learnt.to_be_bytes());
        let mut message = vec![
            icmp_type.number(family).unwrap_or_default(),
            0,
            0,
            0,
            0,
            0,
            0,
            0,
        ];
        message.extend_from_slice(&wrap(quoted_ends, Protocol::Icmp, 1, &probe));
        debug_assert_eq!(message.len(), 16 + ip::header_len(family));
        let back = Ends {
            source: ends.destination,
            destination: ends.source,
        };
        let sum = checksum(back, &message);
        message[2..4].copy_from_slice(&sum.to_be_bytes());
        wrap(back, Protocol::Icmp, 64, &message)
    }
}
