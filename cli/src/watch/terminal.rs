//! The terminal: another screen, and keys as they are typed, until it is given back: at the end,
//! and when an error, a panic or a signal that can be caught is the end.

use super::keys::is_cut;
use crate::console::{Out, can_draw, terminal_size};
use ratatui::crossterm::cursor::Show;
use ratatui::crossterm::execute;
use ratatui::crossterm::terminal::{Clear, ClearType, EnterAlternateScreen, LeaveAlternateScreen};
use ratatui::layout::Rect;
use ratatui::prelude::CrosstermBackend;
use ratatui::{Frame, Terminal, TerminalOptions, Viewport};
use rustix::event::{PollFd, PollFlags, Timespec, poll};
use rustix::io::Errno;
use rustix::process::{Pid, getpgrp};
use rustix::stdio::stdin;
use rustix::termios::{
    LocalModes, OptionalActions, SpecialCodeIndex, Termios, tcgetattr, tcgetpgrp, tcsetattr,
};
use signal_hook::consts::SIGTTOU;
use signal_hook::low_level;
use std::io::{self, BufWriter};
use std::mem::ManuallyDrop;
use std::time::Duration;
use std::{panic, thread};

/// The value for no key (`_POSIX_VDISABLE`).
const DISABLED: u8 = 0;

/// How often a process in the background looks whether it has been brought to the foreground, where
/// nothing stops it.
const LOOK: Duration = Duration::from_millis(100);

/// How the terminal was when the command was started, and who is in the foreground when this
/// process is.
#[derive(Clone)]
pub(crate) struct Settings(Termios, Pid);

impl Settings {
    /// Those of the terminal that is standard input and output, if it is one that can show a
    /// screen.
    pub(crate) fn read() -> Option<Self> {
        if can_draw(&io::stdout()) {
            tcgetattr(stdin())
                .ok()
                .map(|settings| Self(settings, getpgrp()))
        } else {
            None
        }
    }

    /// The only way of setting them that is open to a confined process.
    fn apply(&self) -> io::Result<()> {
        Ok(tcsetattr(stdin(), OptionalActions::Flush, &self.0)?)
    }

    fn restore(&self) {
        let _ = execute!(Out, LeaveAlternateScreen, Show);
        let _ = self.apply();
    }
}

/// The screen; dropping it gives the terminal back.
pub(crate) struct Screen {
    before: Settings,
    /// Whether the terminal has been taken, and not been given back.
    is_taken: bool,
    /// Never dropped: it would show the cursor once more, and tell on standard error if that
    /// fails, which may be a terminal that is stopped, and would block.
    terminal: ManuallyDrop<Terminal<CrosstermBackend<BufWriter<Out>>>>,
}

impl Screen {
    pub(crate) fn enter(before: Settings) -> io::Result<Self> {
        let options = TerminalOptions {
            viewport: Viewport::Fixed(area()),
        };
        let backend = CrosstermBackend::new(BufWriter::new(Out));
        let terminal = ManuallyDrop::new(Terminal::with_options(backend, options)?);
        let mut screen = Self {
            before,
            is_taken: false,
            terminal,
        };
        screen.restore_before_a_panic_is_told();
        screen.take()?;
        Ok(screen)
    }

    /// Takes the terminal: every key comes as it is typed, but for that which stops processes, all
    /// that are in the foreground.
    fn take(&mut self) -> io::Result<()> {
        let mut raw = self.before.clone();
        raw.0.make_raw();
        raw.0.local_modes |= LocalModes::ISIG;
        for key in [SpecialCodeIndex::VINTR, SpecialCodeIndex::VQUIT] {
            raw.0.special_codes[key] = DISABLED;
        }
        self.is_taken = true;
        raw.apply()?;
        execute!(self.terminal.backend_mut(), EnterAlternateScreen)?;
        self.redraw()
    }

    /// Stops this process until it is in the foreground again, or is to end, and meanwhile gives
    /// the terminal back. Where no shell could let it go on, the kernel doesn't stop it.
    pub(crate) fn suspend(&mut self, is_to_end: impl Fn() -> bool) -> io::Result<()> {
        self.give_back();
        self.is_taken = false;
        loop {
            // Stops as SIGTSTP does, which is caught.
            low_level::raise(SIGTTOU)?;
            if is_to_end() {
                return Ok(());
            }
            if tcgetpgrp(stdin())? == self.before.1 {
                return self.take();
            }
            thread::sleep(LOOK);
        }
    }

    /// Gives the terminal back. tmux would leave lines of a screen that has grown on the one before
    /// it.
    fn give_back(&self) {
        let _ = execute!(Out, Clear(ClearType::All));
        self.before.restore();
    }

    fn restore_before_a_panic_is_told(&self) {
        let (before, tell) = (self.before.clone(), panic::take_hook());
        panic::set_hook(Box::new(move |panic| {
            before.restore();
            tell(panic);
        }));
    }

    /// Draws a frame as large as the terminal is now.
    pub(crate) fn draw(&mut self, draw: impl FnOnce(&mut Frame<'_>)) -> io::Result<()> {
        let area = area();
        if self.terminal.get_frame().area() != area {
            self.terminal.resize(area)?;
        }
        self.terminal.draw(draw).map(drop)
    }

    /// Forgets what stands on the screen: the next drawing is a whole one.
    pub(crate) fn redraw(&mut self) -> io::Result<()> {
        self.terminal.resize(area())
    }

    /// Returns what has been typed, and the rest of a key's sequence if it comes within 50 ms;
    /// `None` if the terminal has gone away.
    pub(crate) fn typed(&self) -> Option<Vec<u8>> {
        let (mut typed, mut octets) = (Vec::new(), [0; 256]);
        let mut patience = Timespec::default();
        loop {
            let mut fds = [PollFd::from_borrowed_fd(stdin(), PollFlags::IN)];
            match poll(&mut fds, Some(&patience)) {
                Ok(0) => return Some(typed),
                Ok(_) => {}
                Err(Errno::INTR) => continue,
                Err(_) => return None,
            }
            match rustix::io::read(stdin(), &mut octets) {
                Ok(0) | Err(_) => return None,
                Ok(len) => typed.extend_from_slice(&octets[..len]),
            }
            if !is_cut(&typed) || typed.len() > octets.len() {
                return Some(typed);
            }
            patience.tv_nsec = 50_000_000;
        }
    }
}

/// All of the terminal. It is measured here, since ratatui would draw nothing on one that tells no
/// size.
fn area() -> Rect {
    let (width, height) = terminal_size().unwrap_or_default();
    Rect::new(0, 0, width, height)
}

impl Drop for Screen {
    fn drop(&mut self) {
        // Else that was done before the panic was told, and once more would put the cursor on what
        // was told.
        if self.is_taken && !thread::panicking() {
            self.give_back();
        }
    }
}
