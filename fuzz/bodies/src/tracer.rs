//! A tracer under any sequence of calls: at hostile times, with true answers, forgeries, garbage
//! and repeats, by each protocol.

use crate::ends;
use crate::packets::{Packet, Shape};
use crate::watched::{Step, Watched};
use arbitrary::{Arbitrary, Unstructured};
use core::time::Duration;
use hopshot_core::wire::{AddressFamily, ip};
use hopshot_core::{Config, Echo, MAX_ATTEMPTS, MAX_HOPS, MAX_PATIENCE, MAX_RETRIES, Protocol};
use hopshot_core::{Sweep, Tcp, TcpOptions, Udp, UdpPayload};
use hopshot_engine::Probes;

/// The parameters of a trace; every value gives a permitted one.
#[derive(Arbitrary, Debug)]
pub(crate) struct Setup {
    v6: bool,
    source_known: bool,
    random: [u8; 16],
    max_hops: u8,
    first_hop: u8,
    attempts: u8,
    retries: u8,
    payload: u8,
    timeout: u32,
    interval: u16,
    sweep: Option<(u8, u8)>,
    pub(crate) room: u8,
}

impl Setup {
    pub(crate) fn config(&self) -> Config {
        let family = if self.v6 {
            AddressFamily::V6
        } else {
            AddressFamily::V4
        };
        let ends = ends::of(family);
        let max_hops = 1 + self.max_hops % MAX_HOPS;
        Config {
            source: if self.source_known {
                ends.source
            } else {
                family.unspecified()
            },
            max_hops,
            first_hop: 1 + self.first_hop % max_hops,
            attempts: 1 + self.attempts % MAX_ATTEMPTS,
            retries: self.retries % (MAX_RETRIES + 1),
            patience: 1 + (self.attempts >> 4) % MAX_PATIENCE,
            // Microseconds, so that ordinary ones are as frequent as those too long to ever pass.
            timeout: if self.timeout == 0 {
                Duration::MAX
            } else {
                Duration::from_micros(self.timeout.into())
            },
            interval: Duration::from_micros(self.interval.into()),
            sweep: match self.sweep {
                None => None,
                Some((0, _) | (_, 0)) => Some(Sweep::Burst),
                Some((first, step)) => Some(Sweep::Window { first, step }),
            },
            ..Config::new(ends.destination)
        }
    }

    pub(crate) fn echo(&self) -> Echo {
        Echo {
            payload_len: 10 + u16::from(self.payload),
            ..Echo::new(self.random)
        }
    }

    /// The probes. The hops leave two bits for the choice, which are zero in seeds that are older
    /// than it.
    fn probes(&self) -> Probes {
        const PORT: u16 = 443;
        match self.max_hops / MAX_HOPS {
            1 => {
                let payload = [UdpPayload::Plain, UdpPayload::Dns, UdpPayload::Quic]
                    [usize::from(self.random[0] % 3)];
                Probes::Udp(Udp {
                    payload_len: payload.least() + u16::from(self.payload),
                    detours: self.random[1].is_multiple_of(2),
                    ..Udp::new(PORT, payload, self.random)
                })
            }
            2 => Probes::Tcp(Tcp {
                options: [TcpOptions::Mss, TcpOptions::Full][usize::from(self.payload % 2)],
                ..Tcp::new(PORT, self.random)
            }),
            _ => Probes::Echo(self.echo()),
        }
    }
}

#[derive(Arbitrary, Debug)]
enum Clock {
    Still,
    Forward(u32),
    Back(u32),
    Anywhere(u64),
    /// As the last `Wait` said.
    OnTime,
}

#[derive(Arbitrary, Debug)]
enum Call<'a> {
    Poll(Clock),
    PollShort(Clock, u8),
    /// The probe just sent can't be sent.
    Fail,
    FailAny(u8),
    /// The probe really left so many microseconds ago.
    Left {
        which: u8,
        ago: u32,
    },
    /// An answer of a known shape to some probe, so many microseconds ago.
    Answer {
        which: u8,
        shape: Shape,
        ago: u32,
    },
    /// One with octets changed, and perhaps its checksum put right again.
    Mutated {
        which: u8,
        shape: Shape,
        changes: [(u8, u8); 2],
        cut: u8,
        right: bool,
    },
    /// The last message again, a little later.
    Again(u16),
    Garbage(&'a [u8]),
    Interrupt,
    StartFrom(u8),
    /// There was no room for the probe just sent.
    Unsent,
    Start,
}

/// Decodes a set-up and calls from `octets`, makes them, and lets the trace run out.
pub fn body(octets: &[u8]) {
    let mut input = Unstructured::new(octets);
    let Ok(setup) = Setup::arbitrary(&mut input) else {
        return;
    };
    match setup.room % 3 {
        0 => play::<12>(&setup, &mut input),
        1 => play::<64>(&setup, &mut input),
        _ => play::<200>(&setup, &mut input),
    }
}

fn play<const N: usize>(setup: &Setup, input: &mut Unstructured<'_>) {
    let Some(watched) = Watched::<N>::new(setup.config(), setup.probes()) else {
        return;
    };
    let mut play = Play {
        watched,
        own_protocol: setup
            .probes()
            .number(AddressFamily::of(setup.config().target)),
        now: 1_000_000_000,
        told: 0,
        last: None,
    };
    // Every call costs a look at the whole route: more would be slow, not more telling.
    for _ in 0..300 {
        if input.is_empty() {
            break;
        }
        let Ok(call) = Call::arbitrary(input) else {
            break;
        };
        play.call(call);
    }
    let was_done = play.watched.stop_reason();
    play.watched.run_out(play.now);
    assert!(was_done.is_none() || play.watched.stop_reason() == was_done);
}

struct Play<const N: usize> {
    watched: Watched<N>,
    /// That of the probes, in IP headers.
    own_protocol: u8,
    now: u64,
    /// The last instant to wait for.
    told: u64,
    last: Option<Packet>,
}

impl<const N: usize> Play<N> {
    fn call(&mut self, call: Call<'_>) {
        match call {
            Call::Poll(clock) => {
                self.set(&clock);
                if let Step::Wait(until) = self.watched.poll(self.now) {
                    self.told = until;
                }
            }
            Call::PollShort(clock, space) => {
                self.set(&clock);
                self.watched.poll_short(self.now, space);
            }
            Call::Fail => {
                if let Some(last) = self.watched.sent.len().checked_sub(1) {
                    self.watched.fail(last);
                }
            }
            Call::FailAny(which) => {
                if let Some(index) = self.pick(which) {
                    self.watched.fail(index);
                }
            }
            Call::Left { which, ago } => {
                if let Some(index) = self.pick(which) {
                    self.watched.left(index, self.ago(ago));
                }
            }
            Call::Answer { which, shape, ago } => {
                if let Some(index) = self.pick(which) {
                    self.last = Some(self.watched.answer(index, &shape, self.ago(ago)));
                }
            }
            Call::Mutated {
                which,
                shape,
                changes,
                cut,
                right,
            } => {
                if let Some(index) = self.pick(which) {
                    self.mutated(index, &shape, changes, cut, right);
                }
            }
            Call::Again(later) => {
                if let Some(packet) = self.last.take() {
                    let _ = self.watched.handle(&packet, self.now);
                    let again = self
                        .watched
                        .handle(&packet, self.now.saturating_add(later.into()));
                    assert!(again.is_err(), "the same answer twice");
                    self.last = Some(packet);
                }
            }
            Call::Garbage(octets) => {
                let family = self.watched.family();
                for protocol in [ip::icmp(family), self.own_protocol] {
                    let packet = Packet {
                        from: ends::stranger(family),
                        protocol,
                        message: octets.to_vec(),
                    };
                    let _ = self.watched.handle(&packet, self.now);
                }
            }
            Call::Interrupt => self.watched.interrupt(),
            Call::StartFrom(hop) => self.watched.start_from(hop % (MAX_HOPS + 2)),
            Call::Unsent => self.watched.unsent(),
            Call::Start => self.watched.start(),
        }
    }

    fn mutated(
        &mut self,
        index: usize,
        shape: &Shape,
        changes: [(u8, u8); 2],
        cut: u8,
        right: bool,
    ) {
        let mut packet = self.watched.packet(index, shape);
        let len = packet.message.len();
        packet.message.truncate(len - usize::from(cut) % len);
        for (at, flip) in changes {
            let at = usize::from(at) % packet.message.len();
            packet.message[at] ^= flip;
        }
        if right {
            packet.put_right();
        }
        let _ = self.watched.handle(&packet, self.now);
        self.last = Some(packet);
    }

    fn pick(&self, which: u8) -> Option<usize> {
        usize::from(which).checked_rem(self.watched.sent.len())
    }

    fn ago(&self, micros: u32) -> u64 {
        self.now
            .saturating_sub(u64::from(micros).saturating_mul(1000))
    }

    fn set(&mut self, clock: &Clock) {
        self.now = match clock {
            Clock::Still => self.now,
            Clock::Forward(micros) => self
                .now
                .saturating_add(u64::from(*micros).saturating_mul(1000)),
            Clock::Back(micros) => self.ago(*micros),
            Clock::Anywhere(now) => *now,
            Clock::OnTime => self.now.max(self.told),
        };
    }
}
