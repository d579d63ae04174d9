//! What a traceroute on bare metal needs beside the trace itself: a clock, a network card, and
//! somebody to report to.
//!
//! Two boards, both as QEMU emulates them: `lm3s6965evb` (Cortex-M3, 64 KB of RAM, the network card
//! on the chip) and `mps2-an386` (Cortex-M4F, a LAN9118 beside it). Drivers poll; an interrupt only
//! ends a sleep.
#![no_std]

// Named nowhere else, but it brings the critical section that defmt links against.
use cortex_m as _;

pub mod clock;
pub mod debugger;
pub mod nic;
mod registers;
pub mod stack;
pub mod text;

#[cfg(all(feature = "mps2-an386", not(feature = "lm3s6965evb")))]
pub use nic::lan9118::Lan9118 as Nic;
#[cfg(feature = "lm3s6965evb")]
pub use nic::stellaris::Stellaris as Nic;

// Says nothing of what and where: the texts of that, and what formats them, would be kilobytes.
#[panic_handler]
fn panic(_: &core::panic::PanicInfo<'_>) -> ! {
    debugger::print(b"panicked\n");
    debugger::exit(false)
}
