//! Where things are said: results on standard output, and all else on standard error.
//!
//! Both may be a pipe that nobody reads, or a terminal that is stopped. So each write waits for
//! room first, and that wait ends when the user wants an end.

mod escape;
mod words;

pub(crate) use escape::{is_obeyed, visible};
pub(crate) use words::{is_unicode, printable_words};

use hopshot_linux::inherited::had_standard_output;
use rustix::event::{PollFd, PollFlags, Timespec, poll};
use rustix::io::Errno;
use rustix::stdio::{stderr, stdout};
use std::env;
use std::ffi::OsStr;
use std::io::{self, IsTerminal, Write};
use std::os::fd::{AsFd, BorrowedFd};
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, OnceLock};
use std::time::{Duration, Instant};

/// Octets that a pipe takes without blocking once poll(2) says that it has room: Linux's
/// `PIPE_BUF`.
const PIECE: usize = 4096;

/// How long a reader that takes nothing is waited for, once the user wants an end.
const PATIENCE: Duration = Duration::from_secs(1);

/// How often a wait looks whether the user wants an end. A signal ends the wait at once, but for
/// one that comes between the look and the wait.
const LOOK: Timespec = Timespec {
    tv_sec: 0,
    tv_nsec: 100_000_000,
};

/// Whether the user wants an end: of the process, as signals and these descriptors are.
static INTERRUPTED: OnceLock<Arc<AtomicBool>> = OnceLock::new();

/// From now on no write waits longer than a second for its reader once this is set. Before, signals
/// end the process at once.
pub(crate) fn heed(interrupted: &Arc<AtomicBool>) {
    let _ = INTERRUPTED.set(Arc::clone(interrupted));
}

/// Standard output, unbuffered.
pub(crate) struct Out;

impl Write for Out {
    fn write(&mut self, octets: &[u8]) -> io::Result<usize> {
        static IS_GIVEN_UP: AtomicBool = AtomicBool::new(false);
        match had_standard_output() {
            true => write(stdout(), &IS_GIVEN_UP, octets),
            false => Err(Errno::BADF.into()),
        }
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

/// Standard error, unbuffered.
struct Messages;

impl Write for Messages {
    fn write(&mut self, octets: &[u8]) -> io::Result<usize> {
        static IS_GIVEN_UP: AtomicBool = AtomicBool::new(false);
        write(stderr(), &IS_GIVEN_UP, octets)
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

/// Writes a piece when there is room for it. What was once given up is not waited for again: there
/// may be much more to write.
fn write(fd: BorrowedFd<'_>, is_given_up: &AtomicBool, octets: &[u8]) -> io::Result<usize> {
    loop {
        if is_given_up.load(Ordering::Relaxed) || !has_room(fd)? {
            is_given_up.store(true, Ordering::Relaxed);
            return Err(io::ErrorKind::TimedOut.into());
        }
        // Not through std, which takes a descriptor that can't be written to for one that swallows
        // all.
        match rustix::io::write(fd, &octets[..octets.len().min(PIECE)]) {
            // Others may have taken the room, if they share the pipe.
            Err(Errno::INTR | Errno::AGAIN) => {}
            written => return Ok(written?),
        }
    }
}

/// Waits for room to write. Returns whether there is, or the user wants an end and it was waited
/// for long enough.
fn has_room(fd: BorrowedFd<'_>) -> io::Result<bool> {
    let mut since = None;
    loop {
        let mut fds = [PollFd::from_borrowed_fd(fd, PollFlags::OUT)];
        match poll(&mut fds, Some(&LOOK)) {
            Ok(0) | Err(Errno::INTR) => {}
            ready => return Ok(ready? > 0),
        }
        if INTERRUPTED
            .get()
            .is_some_and(|interrupted| interrupted.load(Ordering::SeqCst))
            && since.get_or_insert_with(Instant::now).elapsed() >= PATIENCE
        {
            return Ok(false);
        }
    }
}

/// Writes to standard output, so that it is there at once.
pub(crate) fn print(text: &[u8]) -> io::Result<()> {
    Out.write_all(text)
}

/// Says something on standard error: one line, whatever is quoted in it.
pub(crate) fn say(text: &str) {
    draw(&format!("hopshot: {}\n", visible(text)));
}

/// Draws on standard error, if that can be.
pub(crate) fn draw(text: &str) {
    let _ = Messages.write_all(text.as_bytes());
}

/// What a terminal that tells no size is taken for: serial lines have none, nor has `docker run -t`
/// before it begins.
const USUAL_SIZE: (u16, u16) = (80, 24);

/// The width and the height of the terminal that standard output is, if it is one.
pub(crate) fn terminal_size() -> Option<(u16, u16)> {
    size_of(io::stdout())
}

/// The same of this descriptor.
pub(crate) fn size_of(on: impl IsTerminal + AsFd) -> Option<(u16, u16)> {
    if !on.is_terminal() {
        return None;
    }
    // It is `None` where either is 0.
    let told = terminal_size::terminal_size_of(on);
    Some(told.map_or(USUAL_SIZE, |(width, height)| (width.0, height.0)))
}

/// Whether this is a terminal on which what stands there can be drawn over.
pub(crate) fn can_draw(on: &impl IsTerminal) -> bool {
    on.is_terminal() && knows_cursor(env::var_os("TERM").as_deref())
}

/// Returns whether a terminal of this type obeys cursor sequences. Nothing set is for programs that
/// forgot to; some set the types that stand for no terminal at all.
fn knows_cursor(term: Option<&OsStr>) -> bool {
    term.is_none_or(|term| !["", "dumb", "unknown"].contains(&&*term.to_string_lossy()))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_no_terminal_is_not_drawn_on() {
        for (term, draws) in [
            ("xterm", true),
            ("vt100", true),
            ("dumb", false),
            ("unknown", false),
            ("", false),
        ] {
            assert_eq!(knows_cursor(Some(OsStr::new(term))), draws, "{term}");
        }
        assert!(knows_cursor(None));
    }
}
