//! The process as the kernel started it, before anything changed that.

use std::ffi::c_int;
use std::sync::atomic::{AtomicBool, Ordering};

/// Whether the kernel raised the privileges of this process over those of the program that started
/// it.
#[doc(alias = "AT_SECURE")]
pub(crate) fn is_secure() -> bool {
    // SAFETY: it takes a number, reads what the kernel laid out for this process, and returns a
    // number: 0 for a type that isn't there.
    let secure = unsafe { libc::getauxval(libc::AT_SECURE) };
    secure != 0
}

/// Whether standard output was closed when the process began.
static IS_OUTPUT_CLOSED: AtomicBool = AtomicBool::new(false);

/// Whether standard output was open when the process began.
pub(crate) fn had_output() -> bool {
    !IS_OUTPUT_CLOSED.load(Ordering::Relaxed)
}

/// The C library calls it before `main`. By then std has opened `/dev/null` in place of a standard
/// descriptor that was closed, and from one that the caller opened so (as Python's
/// `subprocess.DEVNULL` is) nothing tells it any more: `F_GETFL` is the same.
// SAFETY: the section is a list of functions in this ABI that take nothing (the arguments that some
// C libraries pass are ignored), each called once, on the only thread. This one needs nothing of
// std's runtime, which isn't there yet: a system call, an atomic.
#[used]
#[unsafe(link_section = ".init_array")]
static LOOK: extern "C" fn() = look;

extern "C" fn look() {
    const OUTPUT: c_int = libc::STDOUT_FILENO;
    // SAFETY: it takes numbers alone, and F_GETFD changes nothing.
    let flags = unsafe { libc::fcntl(OUTPUT, libc::F_GETFD) };
    IS_OUTPUT_CLOSED.store(flags == -1, Ordering::Relaxed);
}
