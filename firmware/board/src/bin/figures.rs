//! Figures of the core, taken on the board: octets of a tracer, instructions for one probe out and
//! one answer in, in the mean and at worst, and the stack that either takes at most.
//!
//! To be run with QEMU's `-icount shift=0`: time is then the count of instructions, one a
//! nanosecond.
#![no_std]
#![no_main]

use core::hint::black_box;
use core::net::IpAddr;
use core::time::Duration;
use cortex_m_rt::entry;
use hopshot_core::wire::{Ends, icmp, ip};
use hopshot_core::{
    Action, Arrival, Config, Echo, Instant, MAX_ATTEMPTS, MAX_HOPS, Protocol, Sweep, Tracer,
};
use hopshot_firmware::clock::Clock;
use hopshot_firmware::debugger;
use hopshot_firmware::stack;
use hopshot_firmware::text::Line;

/// Hops of the path that is traced.
const HOPS: u8 = 16;
const MESSAGE_LEN: usize = 32;

/// The families' addresses.
const PATHS: [(&str, Ends); 2] = [
    (
        "v4",
        Ends {
            source: IpAddr::V4(core::net::Ipv4Addr::new(192, 0, 2, 1)),
            destination: IpAddr::V4(core::net::Ipv4Addr::new(198, 51, 100, 7)),
        },
    ),
    (
        "v6",
        Ends {
            source: IpAddr::V6(core::net::Ipv6Addr::new(0x2001, 0xdb8, 1, 0, 0, 0, 0, 1)),
            destination: IpAddr::V6(core::net::Ipv6Addr::new(0x2001, 0xdb8, 2, 0, 0, 0, 0, 7)),
        },
    ),
];

#[entry]
fn main() -> ! {
    // Zeros: on the stack they would not fit.
    static mut SMALL: Tracer<32> = Tracer::idle();
    static mut LARGE: Tracer<640> = Tracer::idle();
    let Some(peripherals) = cortex_m::Peripherals::take() else {
        debugger::exit(false)
    };
    let clock = Clock::start(peripherals.SYST);
    let (small, large) = (size_of::<Tracer<32>>(), size_of::<Tracer<64>>());
    figure("tracer32", "", small as u32);
    figure("slot", "", (large - small) as u32 / 32);
    for (family, ends) in PATHS {
        let Some((poll, handle)) = measure(&clock, ends) else {
            debugger::exit(false)
        };
        figure("poll_", family, poll);
        figure("handle_", family, handle);
        let Some((poll, handle)) = slowest(&clock, ends, SMALL, 1) else {
            debugger::exit(false)
        };
        figure("poll_worst_", family, poll);
        figure("handle_worst_", family, handle);
        let Some((poll, handle)) = slowest(&clock, ends, LARGE, MAX_ATTEMPTS) else {
            debugger::exit(false)
        };
        figure("poll_worst_640_", family, poll);
        figure("handle_worst_640_", family, handle);
        let Some((start, poll, handle)) = deepest(ends) else {
            debugger::exit(false)
        };
        figure("start_stack_", family, start);
        figure("poll_stack_", family, poll);
        figure("handle_stack_", family, handle);
    }
    debugger::exit(true)
}

fn figure(name: &str, family: &str, value: u32) {
    Line::new()
        .text(name)
        .text(family)
        .text(" ")
        .number(value)
        .print();
}

/// Instructions of a poll that sends and of a handle that accepts, each as the mean over a sweep.
fn measure(clock: &Clock, ends: Ends) -> Option<(u32, u32)> {
    let config = Config {
        source: ends.source,
        max_hops: HOPS,
        ..Config::new(ends.destination)
    };
    let (config, echo) = black_box((config, Echo::new(*b"0123456789abcdef")));
    let mut tracer = Tracer::<32>::new(config, echo).ok()?;
    let mut probes = [[0; MESSAGE_LEN]; HOPS as usize];
    let start = clock.now();
    for probe in &mut probes {
        let Ok(Action::Transmit(_)) = tracer.poll(black_box(start), probe) else {
            return None;
        };
    }
    let polled = clock.now().saturating_since(start);
    let mut handled = 0;
    for (hop, probe) in (1u8..).zip(&probes) {
        let mut packet = [0; 128];
        let from = router(ends, hop);
        let message = time_exceeded(from, ends, ends.source, probe, &mut packet)?;
        let before = clock.now();
        let arrival = Arrival {
            at: before,
            from,
            hop_limit: Some(64),
        };
        black_box(tracer.handle(arrival, black_box(message)).ok()?);
        handled += clock.now().saturating_since(before).subsec_nanos();
    }
    Some((
        polled.subsec_nanos() / u32::from(HOPS),
        handled / u32::from(HOPS),
    ))
}

/// A path that costs much.
#[derive(Clone, Copy)]
enum Costly {
    /// Every fifth hop silent, every router at three hops in a row.
    Rows,
    /// Two routers in turn.
    Loop,
    /// The same, but whose answers are weak.
    WeakLoop,
    /// The same, each of which a strong one replaces at once.
    Replaced,
    /// The target behind silent hops, which answers last.
    Silent,
}

/// Instructions of the slowest poll and of the slowest handle, over traces of all costly paths:
/// with every probe at once, and with the sweep as it is by default and room for retries.
fn slowest<const N: usize>(
    clock: &Clock,
    ends: Ends,
    tracer: &mut Tracer<N>,
    attempts: u8,
) -> Option<(u32, u32)> {
    let (mut polling, mut handling) = (0, 0);
    for path in [
        Costly::Rows,
        Costly::Loop,
        Costly::WeakLoop,
        Costly::Replaced,
        Costly::Silent,
    ] {
        for (sweep, places) in [(Some(Sweep::Burst), N), (None, N * 3 / 4)] {
            let hops = (places / usize::from(attempts)).min(MAX_HOPS.into());
            let config = Config {
                source: ends.source,
                max_hops: u8::try_from(hops).ok()?,
                attempts,
                sweep,
                ..Config::new(ends.destination)
            };
            let (poll, handle) = trace(clock, tracer, &config, path)?;
            polling = polling.max(poll);
            handling = handling.max(handle);
        }
    }
    Some((polling, handling))
}

/// Instructions of the slowest poll and of the slowest handle of a trace.
fn trace<const N: usize>(
    clock: &Clock,
    tracer: &mut Tracer<N>,
    config: &Config,
    path: Costly,
) -> Option<(u32, u32)> {
    let ends = Ends {
        source: config.source,
        destination: config.target,
    };
    let echo = Echo::new([7; 16]);
    tracer.start(black_box(config), black_box(echo)).ok()?;
    let (mut at, mut message, mut packet) = (Instant::EPOCH, [0; MESSAGE_LEN], [0; 128]);
    let (mut polling, mut handling) = (0, 0);
    let (mut sent, mut answered) = ([0; N], 0);
    let mut count = 0;
    for _ in 0..100 * N {
        let before = clock.now();
        let action = tracer.poll(black_box(at), &mut message).ok()?;
        polling = polling.max(clock.now().saturating_since(before).subsec_nanos());
        match action {
            Action::Transmit(probe) => {
                *sent.get_mut(count)? = probe.hop_limit;
                count += 1;
                continue;
            }
            Action::Wait(until) if answered == count => at = until,
            Action::Wait(_) => {}
            Action::Done => return Some((polling, handling)),
        }
        // All that were sent since the last wait are answered now, a millisecond apart.
        for (index, hop) in sent.iter().enumerate().take(count).skip(answered) {
            at = at.saturating_add(Duration::from_millis(1));
            let weak = Ends {
                destination: ends.source,
                ..ends
            };
            let (router, quoted) = match path {
                Costly::Rows if hop % 5 == 0 => continue,
                Costly::Rows => ((hop - 1) / 3, &[ends][..]),
                Costly::Loop => (hop % 2, &[ends][..]),
                Costly::WeakLoop => (hop % 2, &[weak][..]),
                Costly::Replaced => (hop % 2, &[weak, ends][..]),
                Costly::Silent if *hop == config.max_hops => (0, &[ends][..]),
                Costly::Silent => continue,
            };
            for quoted in quoted {
                echo.emit(ends, u16::try_from(index).ok()?, &mut message)
                    .ok()?;
                let mut from = self::router(ends, router);
                let answer = if matches!(path, Costly::Silent) {
                    from = ends.destination;
                    echo_reply(ends, &message, &mut packet)?
                } else {
                    time_exceeded(from, *quoted, ends.source, &message, &mut packet)?
                };
                let arrival = Arrival {
                    at,
                    from,
                    hop_limit: Some(64),
                };
                let before = clock.now();
                black_box(tracer.handle(arrival, black_box(answer)).ok()?);
                handling = handling.max(clock.now().saturating_since(before).subsec_nanos());
            }
        }
        answered = count;
    }
    None
}

/// The most stack that the start, a poll and a handle take, over a whole trace that has all there
/// is: two attempts, a loop of three routers to be found, silent hops, retries, and the end.
fn deepest(ends: Ends) -> Option<(u32, u32, u32)> {
    let config = Config {
        source: ends.source,
        max_hops: HOPS,
        attempts: 2,
        ..Config::new(ends.destination)
    };
    let (config, echo) = black_box((config, Echo::new([7; 16])));
    let mut tracer = Tracer::<48>::idle();
    let tracer = black_box(&mut tracer);
    let starting = stack::depth_of(|| start(tracer, &config, &echo));
    let (mut at, mut message) = (Instant::EPOCH, [0; MESSAGE_LEN]);
    let (mut polling, mut handling) = (0, 0);
    for _ in 0..1000 {
        let mut next = Step::Done;
        polling = polling.max(stack::depth_of(|| next = poll(tracer, at, &mut message)));
        match next {
            Step::Done => return Some((starting as u32, polling as u32, handling as u32)),
            Step::Wait(until) => at = until,
            Step::Sent(hop) if hop % 5 == 0 => {}
            Step::Sent(hop) => {
                let mut packet = [0; 128];
                let from = router(ends, hop % 3);
                let answer = time_exceeded(from, ends, ends.source, &message, &mut packet)?;
                let arrival = Arrival {
                    at,
                    from,
                    hop_limit: Some(64),
                };
                handling = handling.max(stack::depth_of(|| handle(tracer, arrival, answer)));
            }
        }
    }
    None
}

/// What a poll came to.
enum Step {
    Sent(u8),
    Wait(Instant),
    Done,
}

#[inline(never)]
fn start(tracer: &mut Tracer<48>, config: &Config, echo: &Echo) {
    let _ = black_box(tracer.start(config, *echo));
}

#[inline(never)]
fn poll(tracer: &mut Tracer<48>, at: Instant, message: &mut [u8; MESSAGE_LEN]) -> Step {
    match tracer.poll(at, message) {
        Ok(Action::Transmit(probe)) => Step::Sent(probe.hop_limit),
        Ok(Action::Wait(until)) => Step::Wait(until),
        Ok(Action::Done) | Err(_) => Step::Done,
    }
}

#[inline(never)]
fn handle(tracer: &mut Tracer<48>, arrival: Arrival, message: &[u8]) {
    let _ = black_box(tracer.handle(arrival, message));
}

/// The router at a hop.
fn router(ends: Ends, hop: u8) -> IpAddr {
    match ends.source {
        IpAddr::V4(_) => IpAddr::from([10, hop, 0, 1]),
        IpAddr::V6(_) => IpAddr::from([0x2001, 0xdb8, hop.into(), 0, 0, 0, 0, 1]),
    }
}

/// A router's answer that quotes all of a probe.
fn time_exceeded<'b>(
    from: IpAddr,
    probe_ends: Ends,
    to: IpAddr,
    probe: &[u8],
    buf: &'b mut [u8; 128],
) -> Option<&'b [u8]> {
    let ends = Ends {
        source: from,
        destination: to,
    };
    let mut quoted = [0; 40 + MESSAGE_LEN];
    let protocol = if ends.source.is_ipv4() {
        ip::PROTOCOL_ICMP
    } else {
        ip::PROTOCOL_ICMPV6
    };
    let header = ip::Header {
        ends: probe_ends,
        hop_limit: 1,
        traffic_class: 0,
        protocol,
    };
    let at = header.emit(probe.len(), &mut quoted).ok()?;
    quoted.get_mut(at..at + probe.len())?.copy_from_slice(probe);
    let quoted = &quoted[..at + probe.len()];
    let error = icmp::Error {
        icmp_type: icmp::Type::TimeExceeded,
        code: 0,
        rest: 0,
        quoted,
    };
    let len = icmp::Message::Error(error).emit(ends, buf).ok()?;
    Some(&buf[..len])
}

/// The target's answer.
fn echo_reply<'b>(ends: Ends, probe: &[u8], buf: &'b mut [u8; 128]) -> Option<&'b [u8]> {
    let Ok(icmp::Message::EchoRequest(echo)) = icmp::Message::parse(ends, probe) else {
        return None;
    };
    let len = icmp::Message::EchoReply(echo)
        .emit(ends.reversed(), buf)
        .ok()?;
    Some(&buf[..len])
}
