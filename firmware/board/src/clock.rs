//! Time since the start, from the one timer that every Cortex-M has.
//!
//! The timer counts cycles down from a limit, wraps, and interrupts. There is no tick: while
//! nothing waits the limit is as far as 24 bits go, and [`Clock::sleep_until`] sets it to the
//! moment that is waited for.

use core::cell::Cell;
use cortex_m::interrupt::{self, CriticalSection, Mutex};
use cortex_m::peripheral::syst::SystClkSource;
use cortex_m::peripheral::{NVIC, SCB, SYST};
use cortex_m_rt::exception;
use hopshot_core::Instant;

/// The processor's clock as QEMU runs it after reset.
#[cfg(feature = "lm3s6965evb")]
const HZ: u32 = 12_500_000;
#[cfg(all(feature = "mps2-an386", not(feature = "lm3s6965evb")))]
const HZ: u32 = 25_000_000;

const NANOS_PER_CYCLE: u64 = 1_000_000_000 / HZ as u64;
/// The most cycles between two interrupts.
const MOST: u32 = 1 << 24;
/// The least: an interrupt must be served before the next comes.
const LEAST: u32 = HZ / 10_000;

/// Cycles up to the timer's last wrap.
static PASSED: Mutex<Cell<u64>> = Mutex::new(Cell::new(0));
/// Cycles from one wrap to the next.
static PERIOD: Mutex<Cell<u32>> = Mutex::new(Cell::new(MOST));

/// The timer, running.
pub struct Clock(SYST);

impl Clock {
    /// Starts the timer.
    pub fn start(timer: SYST) -> Self {
        let mut clock = Self(timer);
        clock.0.set_clock_source(SystClkSource::Core);
        interrupt::free(|section| clock.restart(section, MOST));
        clock.0.enable_counter();
        clock.0.enable_interrupt();
        clock
    }

    /// The time, exact to one cycle.
    pub fn now(&self) -> Instant {
        Instant::from_nanos(interrupt::free(cycles) * NANOS_PER_CYCLE)
    }

    /// Sleeps until an instant, or until the network card has a packet; no longer than the timer
    /// counts.
    pub fn sleep_until(&mut self, until: Instant) {
        // With interrupts held back one that comes between these lines still ends the sleep:
        // nothing is missed.
        interrupt::free(|section| {
            let now = cycles(section);
            let wait = (until.as_nanos() / NANOS_PER_CYCLE).saturating_sub(now);
            if wait == 0 {
                return;
            }
            PASSED.borrow(section).set(now);
            self.restart(
                section,
                u32::try_from(wait).unwrap_or(MOST).clamp(LEAST, MOST),
            );
            crate::nic::unmask();
            cortex_m::asm::wfi();
        });
    }

    fn restart(&mut self, section: &CriticalSection, period: u32) {
        PERIOD.borrow(section).set(period);
        self.0.set_reload(period - 1);
        self.0.clear_current();
        // A wrap that has not been served is in `PASSED` already.
        SCB::clear_pendst();
    }
}

/// Cycles since the start.
fn cycles(section: &CriticalSection) -> u64 {
    let (passed, period) = (PASSED.borrow(section).get(), PERIOD.borrow(section).get());
    let left = SYST::get_current();
    // It wrapped, and the interrupt is held back: count that wrap, and read again what is left
    // since.
    let (wrapped, left) = if SCB::is_pendst_pending() {
        (period, SYST::get_current())
    } else {
        (0, left)
    };
    // Zero is what a timer holds that was cleared and has not counted yet.
    let since = if left == 0 { 0 } else { period - left };
    passed + u64::from(wrapped) + u64::from(since)
}

#[exception]
fn SysTick() {
    interrupt::free(|section| {
        let passed = PASSED.borrow(section);
        passed.set(passed.get() + u64::from(PERIOD.borrow(section).get()));
    });
}

/// Every interrupt but the timer's: the card's. The loop does the work; until it sleeps again, once
/// is enough.
#[exception]
unsafe fn DefaultHandler(_number: i16) {
    NVIC::mask(crate::nic::INTERRUPT);
}
