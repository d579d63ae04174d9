//! How deep the stack ever was.

use core::ptr::addr_of;

unsafe extern "C" {
    // Placed by the linker script of cortex-m-rt.
    static __sheap: u32;
    static _stack_start: u32;
}

/// The most octets of stack used so far: what is left of the paint that covered it before `main`.
pub fn high_water() -> usize {
    let (mut word, end) = (addr_of!(__sheap), addr_of!(_stack_start));
    while word < end {
        // SAFETY: all words from the end of the statics to the start of the stack are memory, painted before `main`.
        // Volatile, because to Rust they belong to nobody.
        let painted = unsafe { word.read_volatile() } == cortex_m_rt::STACK_PAINT_VALUE;
        if !painted {
            break;
        }
        word = word.wrapping_add(1);
    }
    end as usize - word as usize
}
