//! What every program for this board has: its size is taken off the others'.
#![no_std]
#![no_main]

use cortex_m_rt::entry;
use hopshot_firmware as _;

#[entry]
fn main() -> ! {
    loop {}
}
