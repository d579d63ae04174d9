//! The host of the debugger, here QEMU: arguments come from there, text goes there (semihosting). A
//! board of your own has a serial port for the text, and a random number generator.

use cortex_m_semihosting::{debug, hio, nr, syscall};

/// The most octets of arguments.
pub const ARGUMENTS_LEN: usize = 160;

/// The command line of the firmware, as the debugger was given it.
pub fn arguments(buf: &mut [u8; ARGUMENTS_LEN]) -> &str {
    // SYS_GET_CMDLINE wants the buffer and its size, and writes a text and a zero into it.
    let block = [buf.as_mut_ptr() as usize, buf.len()];
    // SAFETY: the block and the buffer it names outlive the call, and the debugger writes no more
    // than the size given.
    let failed = unsafe { syscall(nr::GET_CMDLINE, &block) };
    let len = buf.iter().position(|octet| *octet == 0).unwrap_or(0);
    if failed == 0 {
        core::str::from_utf8(&buf[..len]).unwrap_or_default()
    } else {
        ""
    }
}

/// Sixteen octets that nobody else can know, from the host.
pub fn random() -> Option<[u8; 16]> {
    const NAME: &[u8] = b"/dev/urandom\0";
    const OPEN_BINARY: usize = 1;
    let mut octets = [0; 16];
    let block = [NAME.as_ptr() as usize, OPEN_BINARY, NAME.len() - 1];
    // SAFETY: the block and the name it points to outlive the call, which only reads them.
    let file = unsafe { syscall(nr::OPEN, &block) };
    let block = [file, octets.as_mut_ptr() as usize, octets.len()];
    // SAFETY: the block and the buffer it names outlive the call, and the debugger writes no more
    // than the size given. With a file that could not be opened it fails.
    let unread = unsafe { syscall(nr::READ, &block) };
    (unread == 0).then_some(octets)
}

/// Text for whoever is debugging.
pub fn print(text: &[u8]) {
    if let Ok(mut out) = hio::hstdout() {
        // Nobody is left to be told of an error.
        let _ = out.write_all(text);
    }
}

/// Ends the emulation: QEMU's exit status is 0 or 1.
pub fn exit(success: bool) -> ! {
    loop {
        debug::exit(if success {
            debug::EXIT_SUCCESS
        } else {
            debug::EXIT_FAILURE
        });
    }
}
