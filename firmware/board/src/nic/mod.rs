//! The network cards: each a small polled driver for smoltcp, with one frame of buffer either way.

#[cfg(all(feature = "mps2-an386", not(feature = "lm3s6965evb")))]
pub mod lan9118;
#[cfg(feature = "lm3s6965evb")]
pub mod stellaris;

use cortex_m::interrupt::InterruptNumber;
use cortex_m::peripheral::NVIC;
use smoltcp::phy::{DeviceCapabilities, Medium, RxToken};
use smoltcp::wire::EthernetAddress;

/// The board's hardware address: one that is administered locally.
pub const ADDRESS: EthernetAddress = EthernetAddress([0x02, 0, 0, 0, 0, 0x02]);

/// The longest Ethernet frame without its checksum.
const FRAME_LEN: usize = 1514;

/// A buffer for a frame, rounded up to words.
type Frame = [u8; FRAME_LEN.next_multiple_of(4)];

/// The card's place in the interrupt controller.
#[derive(Clone, Copy)]
pub struct Interrupt(u16);

// SAFETY: both numbers below are external interrupts of their chip, and the number is a constant.
unsafe impl InterruptNumber for Interrupt {
    fn number(self) -> u16 {
        self.0
    }
}

/// Ethernet is interrupt 42 of the LM3S6965 (data sheet, table 2-9).
#[cfg(feature = "lm3s6965evb")]
pub(crate) const INTERRUPT: Interrupt = Interrupt(42);
/// Ethernet is interrupt 13 of the MPS2 (application note 386, section 4.7).
#[cfg(all(feature = "mps2-an386", not(feature = "lm3s6965evb")))]
pub(crate) const INTERRUPT: Interrupt = Interrupt(13);

/// Lets the card's interrupt through.
pub(crate) fn unmask() {
    // SAFETY: the handler only masks the interrupt again: it shares no data with anything that a
    // critical section guards.
    unsafe { NVIC::unmask(INTERRUPT) };
}

/// A frame that was received.
pub struct Received<'a>(&'a [u8]);

impl RxToken for Received<'_> {
    fn consume<R, F: FnOnce(&[u8]) -> R>(self, f: F) -> R {
        f(self.0)
    }
}

fn capabilities() -> DeviceCapabilities {
    let mut capabilities = DeviceCapabilities::default();
    capabilities.medium = Medium::Ethernet;
    capabilities.max_transmission_unit = FRAME_LEN;
    capabilities.max_burst_size = Some(1);
    capabilities
}
