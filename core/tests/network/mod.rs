//! One trace whose octets are known, and everybody who answers it: what the tests of formats, edge
//! cases and properties share.
#![allow(dead_code, reason = "no test needs all of it")]

use hopshot_core::wire::checksum::Checksum;
use hopshot_core::wire::icmp::{Error, Message, Type};
use hopshot_core::wire::{AddressFamily, Ends, ip};
use hopshot_core::{
    Accepted, Action, Arrival, Config, Discard, Echo, Instant, Reason, Reply, Sweep, Tracer,
};
use std::collections::VecDeque;
use std::net::IpAddr;
use std::time::Duration;

pub(crate) const BOTH: [AddressFamily; 2] = [AddressFamily::V4, AddressFamily::V6];

/// The first probe of the trace, as the router at hop 1 gets it: IP header, ICMP header, balance,
/// cookie, zeros. It is what the captured packets answer.
pub(crate) const PROBE_V4: &str = "45 00 00 34 00 00 40 00 01 01 8d 31 c0 00 02 01 c6 33 64 63 \
    08 00 c5 c5 1d e7 5e b0 17 9e c0 0c 1e 5a 17 b0 a7 ed 00 00 00 00 00 00 00 00 00 00 00 00 00 00";
pub(crate) const PROBE_V6: &str = "60 00 00 00 00 20 3a 01 20 01 0d b8 00 01 00 00 00 00 00 00 00 00 00 01 \
    20 01 0d b8 00 09 00 00 00 00 00 00 00 00 00 99 \
    80 00 c5 c5 1d e7 5e b0 43 2d c0 0c 1e 5a 17 b0 a7 ed 00 00 00 00 00 00 00 00 00 00 00 00 00 00";

/// Octets written as hexadecimal numbers. `00 * 40` on a line of its own stands for as many of
/// them; what follows `#` is for people.
pub(crate) fn octets(hex: &str) -> Vec<u8> {
    let mut octets = Vec::new();
    for line in hex
        .lines()
        .map(|line| line.split('#').next().unwrap_or_default())
    {
        let number = |text: &str| {
            u8::from_str_radix(text, 16).unwrap_or_else(|error| panic!("{text}: {error}"))
        };
        match line.split_once('*') {
            Some((octet, count)) => {
                octets.resize(
                    octets.len() + count.trim().parse::<usize>().unwrap(),
                    number(octet.trim()),
                );
            }
            None => octets.extend(line.split_whitespace().map(number)),
        }
    }
    octets
}

/// The packet of the first probe.
pub(crate) fn probe_packet(family: AddressFamily) -> Vec<u8> {
    octets(if family == AddressFamily::V4 {
        PROBE_V4
    } else {
        PROBE_V6
    })
}

/// From us to the target.
pub(crate) fn ends(family: AddressFamily) -> Ends {
    let text = match family {
        AddressFamily::V4 => ["192.0.2.1", "198.51.100.99"],
        AddressFamily::V6 => ["2001:db8:1::1", "2001:db8:9::99"],
    };
    let [source, destination] = text.map(|text| text.parse().unwrap());
    Ends {
        source,
        destination,
    }
}

/// The router at `hop`; the first two are the captured ones.
pub(crate) fn router(family: AddressFamily, hop: u8) -> IpAddr {
    match (family, hop) {
        (AddressFamily::V4, 1) => [192, 0, 2, 254].into(),
        (AddressFamily::V4, _) => [203, 0, 113, hop].into(),
        (AddressFamily::V6, 1) => "2001:db8:1::fe".parse().unwrap(),
        (AddressFamily::V6, _) => [0x2001, 0xdb8, 2, 0, 0, 0, 0, hop.into()].into(),
    }
}

/// Somebody who is neither on the path nor the target.
pub(crate) fn stranger(family: AddressFamily) -> IpAddr {
    match family {
        AddressFamily::V4 => [198, 18, 0, 66].into(),
        AddressFamily::V6 => "2001:db8:bad::66".parse().unwrap(),
    }
}

/// The identity of the trace: all that is random is as in the captured probes.
pub(crate) const ECHO: Echo = Echo {
    ident: 0x1de7,
    first_seq: 0x5eb0,
    checksum: 0xc5c5,
    checksum_is_public: false,
    cookie: [0xc0, 0x0c, 0x1e, 0x5a, 0x17, 0xb0, 0xa7, 0xed],
    payload_len: 24,
};

/// The parameters of the trace.
pub(crate) fn config(family: AddressFamily) -> Config {
    let Ends {
        source,
        destination,
    } = ends(family);
    Config {
        source,
        max_hops: 4,
        sweep: Some(Sweep::Burst),
        ..Config::new(destination)
    }
}

/// A trace under way: what was sent, and when.
pub(crate) struct Trace<const N: usize = 64> {
    pub(crate) tracer: Tracer<N>,
    pub(crate) family: AddressFamily,
    pub(crate) probes: Vec<Vec<u8>>,
    /// The hop that each was sent to.
    pub(crate) hops: Vec<u8>,
    /// When each was sent.
    pub(crate) sent: Vec<Instant>,
    /// Why each was sent.
    pub(crate) reasons: Vec<Reason>,
}

impl Trace {
    /// Four probes sent at 0 ms, to hops 1 to 4.
    pub(crate) fn new(family: AddressFamily) -> Self {
        Self::with(config(family))
    }

    /// Everything sent that goes out at 0 ms.
    pub(crate) fn with(config: Config) -> Self {
        Self::in_room(config)
    }

    /// The same of a trace with another identity.
    pub(crate) fn of(config: Config, echo: Echo) -> Self {
        Self::of_in_room(config, echo)
    }
}

impl<const N: usize> Trace<N> {
    /// Everything sent that goes out at 0 ms, with room for `N` probes in all.
    pub(crate) fn in_room(config: Config) -> Self {
        Self::of_in_room(config, ECHO)
    }

    fn of_in_room(config: Config, echo: Echo) -> Self {
        let tracer = Tracer::new(config, echo).expect("the parameters are in range");
        let family = AddressFamily::of(config.target);
        let (probes, hops, sent, reasons) = Default::default();
        let mut trace = Self {
            tracer,
            family,
            probes,
            hops,
            sent,
            reasons,
        };
        trace.send(0);
        trace
    }

    /// Polls until there is nothing to send; the instant to wait for, `None` if the trace has
    /// ended.
    pub(crate) fn send(&mut self, ms: u64) -> Option<Instant> {
        self.send_at(Instant::from_millis(ms))
    }

    pub(crate) fn send_at(&mut self, now: Instant) -> Option<Instant> {
        let mut buf = vec![0xa5; self.tracer.protocol().message_len()];
        loop {
            match self
                .tracer
                .poll(now, &mut buf)
                .expect("the buffer is large enough")
            {
                Action::Transmit(probe) => {
                    self.probes.push(probe.message.to_vec());
                    self.hops.push(probe.hop_limit);
                    self.sent.push(now);
                    self.reasons.push(probe.reason);
                }
                Action::Wait(until) => return Some(until),
                Action::Done => return None,
            }
        }
    }

    /// Lets the trace run out from `ms` on, hearing nothing more; when it ended.
    pub(crate) fn run_out(&mut self, ms: u64) -> Instant {
        let mut now = Instant::from_millis(ms);
        for _ in 0..1000 {
            match self.send(now.as_nanos() / 1_000_000) {
                Some(until) => now = Instant::from_millis(until.as_nanos().div_ceil(1_000_000)),
                None => return now,
            }
        }
        panic!("the trace doesn't end");
    }

    pub(crate) fn handle<'m>(
        &mut self,
        ms: u64,
        from: IpAddr,
        message: &'m [u8],
    ) -> Result<Accepted<'m>, Discard> {
        self.tracer.handle(
            Arrival {
                at: Instant::from_millis(ms),
                from,
                hop_limit: Some(61),
            },
            message,
        )
    }

    /// Plays a path whose target is at `distance`, 80 ms away as are all its routers, from the
    /// first probe to the end; what `answers` says no to gets lost. It is asked with the number of
    /// each probe and its hop.
    pub(crate) fn play(&mut self, distance: u8, answers: impl Fn(usize, u8) -> bool) -> u64 {
        self.play_until(u64::MAX, distance, answers)
    }

    /// The same, no farther than to `end`; when it has ended, or would have gone on.
    pub(crate) fn play_until(
        &mut self,
        end: u64,
        distance: u8,
        answers: impl Fn(usize, u8) -> bool,
    ) -> u64 {
        const RTT: u64 = 80;
        let (mut now, mut due) = (0, VecDeque::new());
        let mut known = 0;
        for _ in 0..1000 {
            while let Some((at, index)) = due.front().copied().filter(|(at, _)| *at <= now) {
                due.pop_front();
                let hop = self.hops[index];
                if answers(index, hop) {
                    self.answer(Instant::from_millis(at), index, hop >= distance)
                        .expect("it is the only answer");
                }
            }
            let wait = self.send(now);
            due.extend((known..self.probes.len()).map(|index| (now + RTT, index)));
            known = self.probes.len();
            let Some(until) = wait else { return now };
            let until = until.as_nanos().div_ceil(1_000_000);
            let next = due.front().map_or(until, |(at, _)| until.min(*at));
            if next > end {
                return now;
            }
            now = next;
        }
        panic!("the trace doesn't end");
    }

    /// A whole packet that arrives after 10 ms.
    pub(crate) fn packet<'m>(&mut self, packet: &'m [u8]) -> Result<Accepted<'m>, Discard> {
        let (header, message) = ip::parse(packet).expect("it is whole");
        let at = Instant::from_millis(10);
        self.tracer.handle(
            Arrival {
                at,
                from: header.ends.source,
                hop_limit: Some(header.hop_limit),
            },
            message,
        )
    }

    /// The first probe as the router at its hop gets it: the probe that the captured packets
    /// answer.
    pub(crate) fn quote(&self, hop: u8) -> Vec<u8> {
        quote(self.family, &self.probes[usize::from(hop) - 1])
    }

    /// Time Exceeded for the first probe to `hop`, as the router there writes it.
    pub(crate) fn time_exceeded(&mut self, ms: u64, hop: u8) -> Result<Reply, Discard> {
        self.answer(Instant::from_millis(ms), usize::from(hop) - 1, false)
    }

    /// The target's answer to the first probe to `hop`.
    pub(crate) fn echo_reply(&mut self, ms: u64, hop: u8) -> Result<Reply, Discard> {
        self.answer(Instant::from_millis(ms), usize::from(hop) - 1, true)
    }

    /// The true answer to a probe, by its number: the target's, or Time Exceeded of the router at
    /// its hop.
    pub(crate) fn answer(
        &mut self,
        at: Instant,
        index: usize,
        is_target: bool,
    ) -> Result<Reply, Discard> {
        let probe = &self.probes[index];
        let (from, message) = if is_target {
            let target = ends(self.family).destination;
            (target, echo_reply(target, probe))
        } else {
            let router = router(self.family, self.hops[index]);
            (
                router,
                error(router, Type::TimeExceeded, 0, 0, &quote(self.family, probe)),
            )
        };
        self.tracer
            .handle(
                Arrival {
                    at,
                    from,
                    hop_limit: Some(61),
                },
                &message,
            )
            .map(|heard| heard.reply)
    }

    /// What each hop of the route says: who answered there first.
    pub(crate) fn route(&self) -> Vec<Option<IpAddr>> {
        self.tracer
            .route()
            .hops()
            .map(|hop| hop.replies().next().map(|reply| reply.from))
            .collect()
    }

    pub(crate) fn distance(&self) -> Option<u8> {
        self.tracer.route().distance()
    }
}

/// A probe in its IP header, with a hop limit of 1.
pub(crate) fn quote(family: AddressFamily, probe: &[u8]) -> Vec<u8> {
    let header = ip::Header {
        ends: ends(family),
        hop_limit: 1,
        traffic_class: 0,
        protocol: ip::icmp(family),
    };
    let mut packet = vec![0; ip::header_len(family)];
    header.emit(probe.len(), &mut packet).unwrap();
    packet.extend_from_slice(probe);
    packet
}

/// An error to us, with a right checksum.
pub(crate) fn error(from: IpAddr, icmp_type: Type, code: u8, rest: u32, quoted: &[u8]) -> Vec<u8> {
    message(
        from,
        &Message::Error(Error {
            icmp_type,
            code,
            rest,
            quoted,
        }),
    )
}

/// A probe, sent back.
pub(crate) fn echo_reply(from: IpAddr, probe: &[u8]) -> Vec<u8> {
    let mut message = probe.to_vec();
    message[0] = if from.is_ipv4() { 0 } else { 129 };
    put_right(from, &mut message);
    message
}

/// A message to us.
pub(crate) fn message(from: IpAddr, message: &Message<'_>) -> Vec<u8> {
    let ends = Ends {
        source: from,
        destination: ends(AddressFamily::of(from)).source,
    };
    let mut octets = vec![0xa5; 4096];
    let len = message.emit(ends, &mut octets).unwrap();
    octets.truncate(len);
    octets
}

/// Makes the checksum of a message to us right.
pub(crate) fn put_right(from: IpAddr, message: &mut [u8]) {
    message[2..4].fill(0);
    let ends = Ends {
        source: from,
        destination: ends(AddressFamily::of(from)).source,
    };
    let sum = Checksum::of_ends(ends, message.len())
        .unwrap()
        .with(message)
        .finish();
    message[2..4].copy_from_slice(&sum.to_be_bytes());
}

pub(crate) fn ms(milliseconds: u64) -> Duration {
    Duration::from_millis(milliseconds)
}
