//! Where things are said: results on standard output, and all else on standard error.

mod escape;

pub(crate) use escape::{is_obeyed, visible};
use std::env;
use std::io::{self, IsTerminal, Write};

/// Writes to standard output, so that it is there at once.
pub(crate) fn print(text: &[u8]) -> io::Result<()> {
    let mut out = io::stdout().lock();
    out.write_all(text)?;
    out.flush()
}

/// Says something on standard error: one line, whatever is quoted in it.
pub(crate) fn say(text: &str) {
    let _ = writeln!(io::stderr(), "hopshot: {}", visible(text));
}

/// Whether this is a terminal on which what stands there can be drawn over.
pub(crate) fn can_draw(on: &impl IsTerminal) -> bool {
    on.is_terminal() && env::var_os("TERM").is_none_or(|term| term != "dumb")
}
