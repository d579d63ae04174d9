//! Figures of the core, taken on the board: octets of a tracer, and instructions for one probe out and one answer in.
//!
//! To be run with QEMU's `-icount shift=0`: time is then the count of instructions, one a nanosecond.
#![no_std]
#![no_main]

use core::hint::black_box;
use core::net::IpAddr;
use cortex_m_rt::entry;
use hopshot_core::wire::{Ends, icmp, ip};
use hopshot_core::{Action, Arrival, Config, Tracer};
use hopshot_firmware::clock::Clock;
use hopshot_firmware::debugger;

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
    let Some(peripherals) = cortex_m::Peripherals::take() else { debugger::exit(false) };
    let clock = Clock::start(peripherals.SYST);
    let (small, large) = (size_of::<Tracer<32>>(), size_of::<Tracer<64>>());
    debugger::print(format_args!("tracer32 {small}\nslot {}\n", (large - small) / 32));
    for (family, ends) in PATHS {
        let Some((poll, handle)) = measure(&clock, ends) else { debugger::exit(false) };
        debugger::print(format_args!("poll_{family} {poll}\nhandle_{family} {handle}\n"));
    }
    debugger::exit(true)
}

/// Instructions of a poll that sends and of a handle that accepts, each as the mean over a sweep.
fn measure(clock: &Clock, ends: Ends) -> Option<(u32, u32)> {
    let config = Config { source: ends.source, max_hops: HOPS, ..Config::new(ends.destination, 0x0123_4567_89ab_cdef) };
    let mut tracer = Tracer::<32>::new(black_box(config)).ok()?;
    let mut probes = [[0; MESSAGE_LEN]; HOPS as usize];
    let start = clock.now();
    for probe in &mut probes {
        let Ok(Action::Transmit(_)) = tracer.poll(black_box(start), probe) else { return None };
    }
    let polled = clock.now().saturating_since(start);
    let mut handled = 0;
    for (hop, probe) in (1u8..).zip(&probes) {
        let mut packet = [0; 128];
        let from = match ends.source {
            IpAddr::V4(_) => IpAddr::from([10, hop, 0, 1]),
            IpAddr::V6(_) => IpAddr::from([0x2001, 0xdb8, hop.into(), 0, 0, 0, 0, 1]),
        };
        let message = time_exceeded(Ends { source: from, destination: ends.source }, ends, probe, &mut packet)?;
        let before = clock.now();
        let arrival = Arrival { at: before, from, hop_limit: Some(64) };
        black_box(tracer.handle(arrival, black_box(message)).ok()?);
        handled += clock.now().saturating_since(before).subsec_nanos();
    }
    Some((polled.subsec_nanos() / u32::from(HOPS), handled / u32::from(HOPS)))
}

/// A router's answer that quotes all of a probe.
fn time_exceeded<'b>(ends: Ends, probe_ends: Ends, probe: &[u8], buf: &'b mut [u8; 128]) -> Option<&'b [u8]> {
    let mut quoted = [0; 40 + MESSAGE_LEN];
    let protocol = if ends.source.is_ipv4() { ip::PROTOCOL_ICMP } else { ip::PROTOCOL_ICMPV6 };
    let header = ip::Header { ends: probe_ends, hop_limit: 1, traffic_class: 0, protocol };
    let at = header.emit(probe.len(), &mut quoted).ok()?;
    quoted.get_mut(at..at + probe.len())?.copy_from_slice(probe);
    let quoted = &quoted[..at + probe.len()];
    let error = icmp::Error { icmp_type: icmp::Type::TimeExceeded, code: 0, rest: 0, quoted };
    let len = icmp::Message::Error(error).emit(ends, buf).ok()?;
    Some(&buf[..len])
}
