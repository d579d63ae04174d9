//! The SMSC LAN9118 of the MPS2 boards (data sheet, chapter 5). Frames and what became of them go
//! through four FIFOs; the MAC's own registers are reached through two of the chip's.

use super::{ADDRESS, FRAME_LEN, Frame, Received};
use crate::registers;
use smoltcp::phy::{Device, DeviceCapabilities, TxToken};
use smoltcp::time::Instant;

const RX_DATA: usize = 0x00;
const TX_DATA: usize = 0x20;
const RX_STATUS: usize = 0x40;
const TX_STATUS: usize = 0x48;
/// How the interrupt line behaves.
const IRQ_CFG: usize = 0x54;
/// Interrupt status; writing a bit clears it.
const INT_STS: usize = 0x58;
/// Interrupt mask.
const INT_EN: usize = 0x5c;
/// A fixed value, to see whether the chip is there.
const BYTE_TEST: usize = 0x64;
/// At how many entries of each FIFO there is an interrupt.
const FIFO_INT: usize = 0x68;
const TX_CFG: usize = 0x70;
const HW_CFG: usize = 0x74;
/// What is in the receive FIFOs, and what room is in the transmit FIFO.
const RX_FIFO_INF: usize = 0x7c;
const TX_FIFO_INF: usize = 0x80;
const MAC_COMMAND: usize = 0xa4;
const MAC_DATA: usize = 0xa8;

const BYTE_TEST_VALUE: u32 = 0x8765_4321;
const HW_SOFT_RESET: u32 = 1;
/// Required by the data sheet, and the transmit FIFO's size: 5 KB.
const HW_DEFAULT: u32 = 1 << 20 | 5 << 16;
const TX_ON: u32 = 1 << 1;
/// The line is driven, active high.
const IRQ_ON: u32 = 1 << 8 | 1 << 4 | 1;
/// More receive statuses than the level (zero).
const INT_RX_STATUS: u32 = 1 << 3;
const RX_STATUS_ERROR: u32 = 1 << 15;
const TX_FIRST_AND_LAST: u32 = 1 << 13 | 1 << 12;
/// What the two words before a frame take of the transmit FIFO, with padding.
const TX_OVERHEAD: u32 = 16;

const MAC_BUSY: u32 = 1 << 31;
/// The MAC's registers.
const MAC_CONTROL: u32 = 1;
const MAC_ADDRESS_HIGH: u32 = 2;
const MAC_ADDRESS_LOW: u32 = 3;
/// Full duplex, transmitter and receiver.
const MAC_ON: u32 = 1 << 20 | 1 << 3 | 1 << 2;

/// How often a bit is looked at before the chip counts as broken.
const PATIENCE: u32 = 100_000;
const CRC_LEN: usize = 4;

type Registers = registers::Registers<0x4020_0000, MAC_DATA>;

/// The controller.
pub struct Lan9118 {
    registers: Registers,
    received: Frame,
    transmitted: Frame,
}

impl Lan9118 {
    /// The controller, switched off.
    ///
    /// # Safety
    /// To be called once: two drivers would take each other's frames apart.
    pub const unsafe fn new() -> Self {
        // SAFETY: the chip of the MPS2 boards lies here; its registers reach no memory but its own.
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
    /// What is wrong with the chip.
    pub fn start(&mut self) -> Result<(), &'static str> {
        let registers = self.registers;
        registers.write(HW_CFG, HW_SOFT_RESET);
        self.wait(HW_CFG, HW_SOFT_RESET)
            .ok_or("the network card doesn't come out of its reset")?;
        if registers.read(BYTE_TEST) != BYTE_TEST_VALUE {
            return Err("there is no LAN9118");
        }
        registers.write(HW_CFG, HW_DEFAULT);
        let [a, b, c, d, e, f] = ADDRESS.0;
        let stuck = "the network card's MAC stays busy";
        self.write_mac(MAC_ADDRESS_LOW, u32::from_le_bytes([a, b, c, d]))
            .ok_or(stuck)?;
        self.write_mac(MAC_ADDRESS_HIGH, u32::from_le_bytes([e, f, 0, 0]))
            .ok_or(stuck)?;
        registers.write(FIFO_INT, 0);
        registers.write(INT_STS, !0);
        registers.write(INT_EN, INT_RX_STATUS);
        registers.write(IRQ_CFG, IRQ_ON);
        registers.write(TX_CFG, TX_ON);
        self.write_mac(MAC_CONTROL, MAC_ON).ok_or(stuck)
    }

    fn write_mac(&self, register: u32, value: u32) -> Option<()> {
        self.wait(MAC_COMMAND, MAC_BUSY)?;
        self.registers.write(MAC_DATA, value);
        self.registers.write(MAC_COMMAND, MAC_BUSY | register);
        self.wait(MAC_COMMAND, MAC_BUSY)
    }

    /// Waits until a bit is clear.
    fn wait(&self, register: usize, bit: u32) -> Option<()> {
        (0..PATIENCE)
            .any(|_| self.registers.read(register) & bit == 0)
            .then_some(())
    }

    /// How many frames have been received.
    fn waiting(&self) -> u32 {
        self.registers.read(RX_FIFO_INF) >> 16 & 0xff
    }

    /// Reads a frame out of the FIFO; its length.
    fn read(&mut self) -> Option<usize> {
        if self.waiting() == 0 {
            // Cleared only here, and looked at again after: no frame goes unnoticed, none
            // interrupts twice.
            self.registers.write(INT_STS, INT_RX_STATUS);
            if self.waiting() == 0 {
                return None;
            }
        }
        let status = self.registers.read(RX_STATUS);
        let total = usize::try_from(status >> 16 & 0x3fff).unwrap_or(0);
        // All of it has to be read, also what the buffer can't hold.
        for start in (0..total).step_by(4) {
            let word = self.registers.read(RX_DATA).to_le_bytes();
            if let Some(place) = self.received.get_mut(start..start + 4) {
                place.copy_from_slice(&word);
            }
        }
        let good = status & RX_STATUS_ERROR == 0;
        total
            .checked_sub(CRC_LEN)
            .filter(|len| good && *len <= FRAME_LEN)
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
        let size = u32::try_from(len).unwrap_or(0);
        while self.registers.read(TX_FIFO_INF) & 0xffff < size + TX_OVERHEAD {}
        self.registers.write(TX_DATA, TX_FIRST_AND_LAST | size);
        self.registers.write(TX_DATA, size);
        let (words, _) = self.frame.as_chunks();
        for word in words.iter().take(len.div_ceil(4)) {
            self.registers.write(TX_DATA, u32::from_le_bytes(*word));
        }
        // Nobody asks what became of it, but a full status FIFO would stop the transmitter.
        while self.registers.read(TX_FIFO_INF) >> 16 & 0xff != 0 {
            self.registers.read(TX_STATUS);
        }
        result
    }
}

impl Device for Lan9118 {
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
