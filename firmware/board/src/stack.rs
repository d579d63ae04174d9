//! How deep the stack ever was.

use core::ptr::{addr_of, addr_of_mut};
use cortex_m::register::msp;

unsafe extern "C" {
    // Placed by the linker script of cortex-m-rt.
    static mut __sheap: u32;
    static _stack_start: u32;
}

/// The most octets of stack used so far: what is left of the paint that covered it before `main`.
pub fn high_water() -> usize {
    let (mut word, end) = (addr_of!(__sheap), addr_of!(_stack_start));
    while word < end {
        // SAFETY: all words from the end of the statics to the start of the stack are memory,
        // painted before `main`. Volatile, because to Rust they belong to nobody.
        let painted = unsafe { word.read_volatile() } == cortex_m_rt::STACK_PAINT_VALUE;
        if !painted {
            break;
        }
        word = word.wrapping_add(1);
    }
    end as usize - word as usize
}

/// What is left unpainted below a function: its own calls, while it paints.
const MARGIN: usize = 32;

/// Paints the free stack anew and does some work; the octets of stack that it took. The work should
/// be a function of its own that isn't inlined: what it keeps in its caller's frame is not counted.
pub fn depth_of(work: impl FnOnce()) -> usize {
    let here = msp::read() as usize;
    let mut word = addr_of_mut!(__sheap);
    // An interrupt's frame would be painted over.
    cortex_m::interrupt::free(|_| {
        while (word as usize) < here - MARGIN {
            // SAFETY: memory between the statics and the stack's end, with a margin: nobody's,
            // until the stack grows into it.
            unsafe { word.write_volatile(cortex_m_rt::STACK_PAINT_VALUE) };
            word = word.wrapping_add(1);
        }
    });
    work();
    high_water() - (addr_of!(_stack_start) as usize - here)
}
