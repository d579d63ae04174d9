//! Every public function of hopshot-core, called with values that the compiler can't know.
//!
//! On bare metal the panic handler calls a function that doesn't exist: so this links only if no
//! panic can be reached. Text formatting (`Debug`, `Display`) is left out there, since the standard
//! library's own is not free of panics, and no packet gets near it.
#![cfg_attr(target_os = "none", no_std, no_main)]

use core::hint::black_box;
use core::net::IpAddr;
use core::num::NonZeroU32;
use core::time::Duration;
use hopshot_core::wire::checksum::Checksum;
use hopshot_core::wire::extensions::Extensions;
use hopshot_core::wire::icmp::{Message, QuotedEcho, Type, emit_balanced};
use hopshot_core::wire::tcp::{mss, options};
use hopshot_core::wire::{AddressFamily, Ends, ip};
use hopshot_core::{
    APART, Action, Answer, Arrival, Config, Echo, Extend32, Instant, Protocol, SendError, Tcp,
    TcpAnswer, TcpOptions, Tracer, Udp, UdpPayload,
};

/// All of it.
#[inline(never)]
fn everything(octets: &[u8], buf: &mut [u8], number: u64, addresses: [IpAddr; 2]) {
    let [source, target] = addresses;
    wire(
        octets,
        buf,
        number,
        Ends {
            source,
            destination: target,
        },
    );
    let config = Config {
        source,
        ..Config::new(target)
    };
    let echo = Echo::new(u128::from(number).to_be_bytes());
    black_box((
        config.check().is_ok(),
        echo.check().is_ok(),
        echo.message_len(),
        echo.number(AddressFamily::of(target)),
    ));
    if let Ok(mut tracer) = Tracer::<32>::new(config, echo) {
        trace(&mut tracer, octets, buf, number, source);
        black_box(tracer.start(&config, echo).is_ok());
    }
    transport(octets, buf, number, config);
    black_box(Tracer::<32>::idle().route().stop_reason());
    let mut clock = Extend32::new(black_box(NonZeroU32::MIN));
    black_box(clock.now(octets.len().try_into().unwrap_or_default()));
    #[cfg(feature = "flawed")]
    black_box(octets[black_box(9)]);
}

/// Traces by TCP and by UDP.
#[inline(never)]
fn transport(octets: &[u8], buf: &mut [u8], number: u64, config: Config) {
    let (random, at) = (
        u128::from(number).to_be_bytes(),
        Instant::from_nanos(number),
    );
    let ends = Ends {
        source: config.target,
        destination: config.source,
    };
    let [a, b, c, ..] = number.to_be_bytes();
    let port = u16::from_be_bytes([a, b]);
    let tcp = Tcp {
        options: black_box(TcpOptions::Full),
        ..Tcp::new(port, random)
    };
    if let Ok(mut tracer) = Tracer::<32, _>::new(config, tcp) {
        tracer.expect(c, a > b);
        if let Ok(Action::Transmit(probe)) = tracer.poll(at, buf) {
            let index = tracer.index(probe.probe);
            black_box(index.map(|index| tcp.source_port_of(index | APART)));
        }
        black_box(tracer.is_quiet());
        tracer.conclude();
        black_box((mss(octets), options(octets).last()));
        if let Ok(answer) = Tcp::answer(ends, Some(c), octets) {
            black_box((
                tracer.accept(at, &answer).is_ok(),
                Tcp::key(&answer).is_ok(),
            ));
            black_box(TcpAnswer::of(answer.icmp.1));
        }
    }
    let payloads = [UdpPayload::Plain, UdpPayload::Dns, UdpPayload::Quic];
    for payload in black_box(payloads) {
        let udp = Udp::new(port, payload, random);
        if let Ok(mut tracer) = Tracer::<32, _>::new(config, udp) {
            black_box(tracer.poll(at, buf).is_ok());
            if let Ok(answer) = Udp::answer(ends, Some(c), octets) {
                black_box((
                    tracer.accept(at, &answer).is_ok(),
                    Udp::key(&answer).is_ok(),
                ));
            }
        }
    }
}

#[inline(never)]
fn wire(octets: &[u8], buf: &mut [u8], number: u64, ends: Ends) {
    let family = AddressFamily::of(ends.source);
    black_box((
        ends.family(),
        ends.reversed(),
        family.unspecified(),
        ip::header_len(family),
    ));
    black_box((
        Checksum::new(),
        Checksum::of_ends(ends, octets.len())
            .unwrap_or_default()
            .with(octets)
            .finish(),
    ));
    if let Ok((header, payload)) = ip::parse(octets) {
        black_box((header.is_icmp(), header.emit(payload.len(), buf)).1.ok());
    }
    black_box(ip::parse_quoted(octets).ok());
    if let Ok(message) = Message::parse(ends, octets) {
        if let Message::Error(error) = message {
            black_box(error.mtu(family));
            extensions(Extensions::of(family, &error));
        }
        black_box(message.emit(ends, buf).ok());
    }
    let [a, b, c, d, e, f, g, _] = number.to_be_bytes();
    let word = |high, low| u16::from_be_bytes([high, low]);
    black_box(emit_balanced(ends, word(a, b), word(c, d), word(e, f), buf).ok());
    black_box(QuotedEcho::parse(family, octets).ok());
    black_box(Type::from_number(family, g).map(|icmp_type| icmp_type.number(family)));
}

#[inline(never)]
fn extensions(extensions: Extensions<'_>) {
    black_box(extensions.is_empty());
    for object in extensions.objects() {
        black_box((object.mpls().and_then(Iterator::last), object.interface()));
    }
}

#[inline(never)]
fn trace(tracer: &mut Tracer<32>, octets: &[u8], buf: &mut [u8], number: u64, from: IpAddr) {
    let now = Instant::from_nanos(number).max(Instant::from_millis(number));
    black_box(now.saturating_since(Instant::EPOCH));
    if let Ok(Action::Transmit(transmit)) = tracer.poll(now, buf) {
        let probe = transmit.probe;
        black_box(transmit.message);
        tracer.sent(probe, now);
        tracer.unsent(probe);
        tracer.fail(probe, SendError(1));
    }
    if let Ok(heard) = tracer.handle(
        Arrival {
            at: now,
            from,
            hop_limit: None,
        },
        octets,
    ) {
        extensions(heard.extensions);
        black_box((
            heard.reply.hops_back(),
            heard.reply.evidence(),
            heard.reply.changes.is_empty(),
            heard.reply.changes.names().last(),
        ));
    }
    let ends = Ends {
        source: from,
        destination: tracer.config().target,
    };
    if let Ok(answer) = Answer::parse(ends, None, octets) {
        black_box(Echo::key(&answer).ok());
        black_box(
            tracer
                .accept(now.saturating_add(Duration::from_nanos(number)), &answer)
                .ok(),
        );
    }
    black_box((
        tracer
            .start_from(octets.first().copied().unwrap_or(1))
            .is_ok(),
        tracer.poll(now, buf).is_ok(),
    ));
    let route = tracer.route();
    black_box((
        route.distance(),
        route.stop_reason(),
        route.probes_sent(),
        route.tally(),
    ));
    for hop in route.hops() {
        black_box((
            hop.number(),
            hop.is_target(),
            hop.is_settled(),
            hop.may_be_rate_limited(),
            hop.is_passed(),
        ));
        for outcome in hop.outcomes() {
            black_box(outcome.reply().copied());
        }
        black_box((hop.replies().last(), hop.best(), hop.median(), hop.loss()));
    }
    tracer.stop();
}

fn start() {
    let addresses = black_box([
        IpAddr::from([192, 0, 2, 1]),
        IpAddr::from([198, 51, 100, 7]),
    ]);
    everything(
        black_box(&[0; 64]),
        black_box(&mut [0; 64]),
        black_box(1),
        addresses,
    );
}

#[cfg(not(target_os = "none"))]
fn main() {
    println!("size_of::<Tracer<32>>() = {}", size_of::<Tracer<32>>());
    start();
}

#[cfg(target_os = "none")]
mod bare {
    unsafe extern "C" {
        safe fn a_panic_is_reachable() -> !;
    }

    #[panic_handler]
    fn panic(_: &core::panic::PanicInfo<'_>) -> ! {
        a_panic_is_reachable()
    }

    #[unsafe(no_mangle)]
    extern "C" fn _start() {
        super::start();
    }
}
