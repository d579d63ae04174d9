//! Traces a path and prints it; QEMU's exit status is 0 if the target answered.
//!
//! Arguments: the target, the board's own address, the gateway's.
#![no_std]
#![no_main]

#[path = "../../../../core/examples/adapter/smoltcp.rs"]
mod adapter;

use adapter::{ANSWER_LEN, PROBE_LEN, Stack, Step};
use core::net::IpAddr;
use cortex_m_rt::entry;
use hopshot_core::wire::AddressFamily;
use hopshot_core::{Config, Echo, RouteView, Tracer};
use hopshot_firmware::clock::Clock;
use hopshot_firmware::debugger::{self, ARGUMENTS_LEN};
use hopshot_firmware::text::Line;
use hopshot_firmware::{Nic, nic, stack};
use smoltcp::iface::{self, Interface, SocketSet, SocketStorage};
use smoltcp::socket::raw::{PacketBuffer, PacketMetadata};
use smoltcp::wire::IpCidr;

/// The most probes of a trace: one to each of 32 hops, and room to ask silent ones again.
const PROBES: usize = 48;

/// Who is where.
struct Addresses {
    target: IpAddr,
    source: IpAddr,
    gateway: IpAddr,
}

#[entry]
fn main() -> ! {
    // SAFETY: main is called once.
    static mut NIC: Nic = unsafe { Nic::new() };
    static mut RECEIVE: [u8; ANSWER_LEN] = [0; ANSWER_LEN];
    static mut TRANSMIT: [u8; PROBE_LEN] = [0; PROBE_LEN];
    match run(NIC, RECEIVE, TRANSMIT) {
        Ok(reached) => debugger::exit(reached),
        Err(reason) => {
            Line::new().text("trace: ").text(reason).print();
            debugger::exit(false)
        }
    }
}

/// Traces; whether the target answered.
fn run(
    nic: &mut Nic,
    receive: &mut [u8; ANSWER_LEN],
    transmit: &mut [u8; PROBE_LEN],
) -> Result<bool, &'static str> {
    let Addresses {
        target,
        source,
        gateway,
    } = addresses().ok_or("wanted: TARGET SOURCE GATEWAY")?;
    let random = debugger::random().ok_or("the host gives no random octets")?;
    let timer = cortex_m::Peripherals::take()
        .ok_or("the timer is in use")?
        .SYST;
    let mut clock = Clock::start(timer);
    nic.start()?;

    let at = smoltcp::time::Instant::ZERO;
    let mut interface = Interface::new(iface::Config::new(nic::ADDRESS.into()), nic, at);
    let prefix_len = if source.is_ipv4() { 24 } else { 64 };
    interface.update_ip_addrs(|addresses| {
        addresses
            .push(IpCidr::new(source.into(), prefix_len))
            .unwrap_or_default()
    });
    let routes = interface.routes_mut();
    let routed = match gateway {
        IpAddr::V4(gateway) => routes.add_default_ipv4_route(gateway),
        IpAddr::V6(gateway) => routes.add_default_ipv6_route(gateway),
    };
    routed.map_err(|_| "no room for a route")?;

    let (mut received, mut transmitted) = ([PacketMetadata::EMPTY], [PacketMetadata::EMPTY]);
    let receive = PacketBuffer::new(&mut received[..], &mut receive[..]);
    let transmit = PacketBuffer::new(&mut transmitted[..], &mut transmit[..]);
    let mut storage = [SocketStorage::EMPTY];
    let mut sockets = SocketSet::new(&mut storage[..]);
    let socket = sockets.add(adapter::socket(
        AddressFamily::of(target),
        receive,
        transmit,
    ));

    // The source is what the checksum of ICMPv6 covers: no kernel fills it in here.
    let config = Config {
        source,
        ..Config::new(target)
    };
    let mut tracer = Tracer::<PROBES>::idle();
    tracer
        .start(&config, Echo::new(random))
        .map_err(|_| "source and target are of different families")?;
    let mut stack = Stack::new(&mut interface, nic, &mut sockets, socket);
    let mut buf = [0; PROBE_LEN];
    loop {
        match stack
            .step(&mut tracer, clock.now(), &mut buf)
            .map_err(|_| "the buffer is too small")?
        {
            Step::Heard(_) | Step::Busy => {}
            Step::Wait(until) => clock.sleep_until(until),
            Step::Done => break,
        }
    }
    print(&tracer.route());
    Ok(tracer.route().distance().is_some())
}

/// The addresses on the command line, after the firmware's own name.
fn addresses() -> Option<Addresses> {
    let mut buf = [0; ARGUMENTS_LEN];
    let mut words = debugger::arguments(&mut buf)
        .split_ascii_whitespace()
        .skip(1);
    let mut next = || words.next()?.parse().ok();
    Some(Addresses {
        target: next()?,
        source: next()?,
        gateway: next()?,
    })
}

/// One line for each hop up to the last that answered, as traceroute prints it.
fn print(route: &RouteView<'_>) {
    let mut next = 1;
    for hop in route.hops() {
        let Some(reply) = hop.replies().next() else {
            continue;
        };
        for silent in next..hop.number() {
            Line::new().number(silent.into()).text(" *").print();
        }
        next = hop.number() + 1;
        let micros = reply.rtt.subsec_micros();
        let millis = reply.rtt.as_secs() as u32 * 1000 + micros / 1000;
        let mut line = Line::new();
        line.number(hop.number().into())
            .text(" ")
            .address(reply.from)
            .text(" ")
            .number(millis);
        line.text(".")
            .digits(micros % 1000, 10, 3)
            .text(" ms")
            .print();
    }
    let end = if route.distance().is_some() {
        "reached"
    } else {
        "not reached"
    };
    let mut line = Line::new();
    line.text(end)
        .text(" with ")
        .number(route.probes_sent() as u32)
        .text(" probes, ");
    line.number(stack::high_water() as u32)
        .text(" octets of stack")
        .print();
}
