//! The Ethernet controller of the LM3S6965 (data sheet, chapter 16). Frames go through a FIFO, a
//! word at a time; the first word of each begins with two octets of length.

use super::{ADDRESS, FRAME_LEN, Frame, Received};
use crate::registers;
use smoltcp::phy::{Device, DeviceCapabilities, TxToken};
use smoltcp::time::Instant;

/// Interrupt status; writing a bit clears it.
const RIS: usize = 0x00;
/// Interrupt mask.
const IM: usize = 0x04;
/// Receive control.
const RCTL: usize = 0x08;
/// Transmit control.
const TCTL: usize = 0x0c;
/// Both FIFOs.
const DATA: usize = 0x10;
/// The hardware address, four octets and two.
const IA0: usize = 0x14;
const IA1: usize = 0x18;
/// How many frames are in the receive FIFO.
const NP: usize = 0x34;
/// Bit 0 starts a transmission, and stays set until it is done.
const TR: usize = 0x38;

const RECEIVED: u32 = 1;
const RCTL_ENABLE: u32 = 1;
const RCTL_DROP_BAD_CRC: u32 = 1 << 3;
const RCTL_RESET_FIFO: u32 = 1 << 4;
const TCTL_ENABLE: u32 = 1;
const TCTL_PAD: u32 = 1 << 1;
const TCTL_CRC: u32 = 1 << 2;
const TCTL_DUPLEX: u32 = 1 << 4;

/// Clock gates, in the system control block: of the MAC (bit 28) and the PHY (bit 30).
const RCGC2: usize = 0x108;
const ETHERNET_CLOCKS: u32 = 1 << 28 | 1 << 30;

/// The octets of a frame before the data that the transmit FIFO's length counts.
const HEADER_LEN: usize = 14;
/// The shortest frame without its checksum.
const MIN_FRAME_LEN: usize = 60;
/// What the length of a received frame counts beside the frame: itself and the checksum.
const EXTRA_LEN: usize = 2 + 4;

type Registers = registers::Registers<0x4004_8000, TR>;

/// The controller.
pub struct Stellaris {
    registers: Registers,
    received: Frame,
    transmitted: Frame,
}

impl Stellaris {
    /// The controller, switched off.
    ///
    /// # Safety
    /// To be called once: two drivers would take each other's frames apart.
    pub const unsafe fn new() -> Self {
        // SAFETY: the controller of the LM3S6965 lies here and has no DMA.
        let registers = unsafe { Registers::new() };
        Self {
            registers,
            received: [0; _],
            transmitted: [0; _],
        }
    }

    /// Switches it on.
    ///
    /// # Errors
    /// None here; other boards' cards may be missing.
    pub fn start(&mut self) -> Result<(), &'static str> {
        // SAFETY: system control lies here; its clock gates have no effect on memory.
        let system = unsafe { registers::Registers::<0x400f_e000, RCGC2>::new() };
        system.write(RCGC2, system.read(RCGC2) | ETHERNET_CLOCKS);
        let [a, b, c, d, e, f] = ADDRESS.0;
        let registers = self.registers;
        registers.write(IA0, u32::from_le_bytes([a, b, c, d]));
        registers.write(IA1, u32::from_le_bytes([e, f, 0, 0]));
        registers.write(RCTL, RCTL_RESET_FIFO);
        registers.write(RIS, !0);
        registers.write(IM, RECEIVED);
        registers.write(TCTL, TCTL_ENABLE | TCTL_PAD | TCTL_CRC | TCTL_DUPLEX);
        registers.write(RCTL, RCTL_ENABLE | RCTL_DROP_BAD_CRC);
        Ok(())
    }

    /// Reads a frame out of the FIFO; its length.
    fn read(&mut self) -> Option<usize> {
        let registers = self.registers;
        if registers.read(NP) == 0 {
            // Cleared only here, and looked at again after: no frame goes unnoticed, none
            // interrupts twice.
            registers.write(RIS, RECEIVED);
            if registers.read(NP) == 0 {
                return None;
            }
        }
        let [low, high, first, second] = registers.read(DATA).to_le_bytes();
        let total = usize::from(u16::from_le_bytes([low, high]));
        self.received[..2].copy_from_slice(&[first, second]);
        // All of it has to be read, also what the buffer can't hold.
        for start in (2..total.saturating_sub(2)).step_by(4) {
            let word = registers.read(DATA).to_le_bytes();
            if let Some(rest) = self.received.get_mut(start..) {
                let len = rest.len().min(4);
                rest[..len].copy_from_slice(&word[..len]);
            }
        }
        total.checked_sub(EXTRA_LEN).filter(|len| *len <= FRAME_LEN)
    }
}

/// Room for a frame to send.
pub struct Transmit<'a> {
    registers: Registers,
    frame: &'a mut Frame,
}

impl TxToken for Transmit<'_> {
    fn consume<R, F: FnOnce(&mut [u8]) -> R>(self, len: usize, f: F) -> R {
        let result = f(&mut self.frame[..len]);
        let padded = len.max(MIN_FRAME_LEN);
        self.frame[len..padded].fill(0);
        // One frame at a time: the one before must be out.
        while self.registers.read(TR) & 1 != 0 {}
        let [low, high, ..] = (padded - HEADER_LEN).to_le_bytes();
        self.registers.write(
            DATA,
            u32::from_le_bytes([low, high, self.frame[0], self.frame[1]]),
        );
        for word in self.frame[2..].chunks(4).take((padded - 2).div_ceil(4)) {
            let mut octets = [0; 4];
            octets[..word.len()].copy_from_slice(word);
            self.registers.write(DATA, u32::from_le_bytes(octets));
        }
        self.registers.write(TR, 1);
        result
    }
}

impl Device for Stellaris {
    type RxToken<'a> = Received<'a>;
    type TxToken<'a> = Transmit<'a>;

    fn receive(&mut self, _: Instant) -> Option<(Received<'_>, Transmit<'_>)> {
        let len = self.read()?;
        let transmit = Transmit {
            registers: self.registers,
            frame: &mut self.transmitted,
        };
        Some((Received(&self.received[..len]), transmit))
    }

    fn transmit(&mut self, _: Instant) -> Option<Transmit<'_>> {
        Some(Transmit {
            registers: self.registers,
            frame: &mut self.transmitted,
        })
    }

    fn capabilities(&self) -> DeviceCapabilities {
        super::capabilities()
    }
}
