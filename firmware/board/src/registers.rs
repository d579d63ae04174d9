//! A device's registers in memory.

use core::ptr::with_exposed_provenance_mut;

/// The 32-bit registers from `BASE` to `BASE + LAST`.
#[derive(Clone, Copy)]
pub(crate) struct Registers<const BASE: usize, const LAST: usize>(());

impl<const BASE: usize, const LAST: usize> Registers<BASE, LAST> {
    /// Takes the registers.
    ///
    /// # Safety
    /// On this board every word there is a device's register, and neither reading nor writing one
    /// makes the device touch memory that Rust knows of.
    pub(crate) const unsafe fn new() -> Self {
        Self(())
    }

    pub(crate) fn read(self, offset: usize) -> u32 {
        let register = self.register(offset);
        // SAFETY: an aligned register inside the block that `new` was promised; any word is a u32.
        unsafe { register.read_volatile() }
    }

    pub(crate) fn write(self, offset: usize, value: u32) {
        let register = self.register(offset);
        // SAFETY: as in `read`; `new` was promised that a write stays with the device.
        unsafe { register.write_volatile(value) }
    }

    /// Offsets are constants, so nothing of the check is left in the program.
    fn register(self, offset: usize) -> *mut u32 {
        assert!(offset <= LAST && offset.is_multiple_of(4));
        with_exposed_provenance_mut(BASE + offset)
    }
}
