//! The core and nothing else, for its size: whole traces through memory that nobody knows the
//! content of.
//!
//! The linker keeps `Tracer::idle`, `start`, `poll`, `handle`, and the route. The program knows no
//! board, so it links for any target; it is never run.
#![no_std]
#![no_main]

use core::hint::black_box;
use hopshot_core::wire::AddressFamily;
use hopshot_core::{Action, Arrival, Config, Echo, Instant, Tracer};

// SAFETY: the linker starts from this name, and nothing else has it.
#[unsafe(no_mangle)]
extern "C" fn _start() -> ! {
    let target = black_box(AddressFamily::V6.unspecified());
    let (config, echo) = black_box((Config::new(target), Echo::new(black_box([0; 16]))));
    let mut tracer = Tracer::<32>::idle();
    if tracer.start(&config, echo).is_err() {
        #[expect(clippy::empty_loop, reason = "never run, so it wastes nothing")]
        loop {}
    }
    let mut buf = [0; 64];
    let mut packet = [0; 128];
    loop {
        let (at, from, len) = black_box((Instant::EPOCH, target, 0));
        if let Ok(Action::Transmit(probe)) = tracer.poll(at, &mut buf) {
            black_box(probe.message);
        }
        let packet = black_box(&mut packet);
        if let Some(message) = packet.get(..len) {
            let _ = black_box(tracer.handle(
                Arrival {
                    at,
                    from,
                    hop_limit: Some(64),
                },
                message,
            ));
        }
        for hop in tracer.route().hops() {
            for reply in hop.replies() {
                black_box(reply);
            }
        }
        black_box(tracer.route().stop_reason());
    }
}

#[panic_handler]
fn panic(_: &core::panic::PanicInfo<'_>) -> ! {
    loop {}
}
