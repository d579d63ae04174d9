//! The command `hopshot`.
#![forbid(unsafe_code)]

mod args;
mod json;
mod lookup;
mod names;
mod text;

use args::Args;
use clap::Parser;
use hopshot_linux::{Error, Hop, Route, SocketKind, Step, Trace, privilege};
use names::Names;
use rustix::event::{PollFd, PollFlags, Timespec, epoll};
use signal_hook::consts::{SIGINT, SIGTERM};
use std::io::{self, Read, Write};
use std::os::fd::{AsFd, OwnedFd};
use std::os::unix::net::UnixStream;
use std::process::ExitCode;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use text::View;

/// What ends the command.
enum Failure {
    Trace(Error),
    Output(io::Error),
}

impl From<Error> for Failure {
    fn from(error: Error) -> Self {
        Self::Trace(error)
    }
}

impl From<io::Error> for Failure {
    fn from(error: io::Error) -> Self {
        Self::Output(error)
    }
}

fn main() -> ExitCode {
    if std::env::args_os().nth(1).is_some_and(|argument| argument == lookup::ARGUMENT) {
        return lookup::run();
    }
    let args = match Args::try_parse() {
        Ok(args) => args,
        Err(error) if error.use_stderr() => return complain(&one_line(&error.to_string())),
        Err(error) => error.exit(),
    };
    match run(&args) {
        Ok(true) => ExitCode::SUCCESS,
        Ok(false) => ExitCode::from(1),
        // Whoever reads the output has had enough, which is nobody's fault.
        Err(Failure::Output(error)) if error.kind() == io::ErrorKind::BrokenPipe => ExitCode::from(2),
        Err(Failure::Output(error)) => complain(&format!("can't write the output: {error}")),
        Err(Failure::Trace(error)) => complain(&error.to_string()),
    }
}

fn complain(text: &str) -> ExitCode {
    let _ = writeln!(io::stderr(), "hopshot: {text}");
    ExitCode::from(2)
}

/// What clap says of a mistake, without what it adds for those who have not read the help.
fn one_line(text: &str) -> String {
    let said: Vec<&str> = text.lines().take_while(|line| !line.is_empty()).map(str::trim).collect();
    let said = said.join(" ");
    format!("{} (hopshot --help lists all options)", said.strip_prefix("error: ").unwrap_or(&said))
}

/// Runs the trace and shows it. Returns whether the target answered.
fn run(args: &Args) -> Result<bool, Failure> {
    let mut trace = args.traceroute().start()?;
    // What else there is to do is done while the probes are on their way; no answer is read before all of it.
    trace.launch()?;
    if !args.no_sandbox {
        // The helper gets nothing of it either.
        privilege::renounce();
    }
    // Without a helper to be had there are no names.
    let names = if args.numeric { Names::off() } else { Names::start().unwrap_or_else(|_| Names::off()) };
    let mut events = Events::new(&names)?;
    let mut view = match args.json {
        true => None,
        false => Some(View::new(trace.target(), args.numeric)),
    };
    if let Some(view) = &mut view {
        view.header(&args.host, trace.target(), args.max)?;
    }
    let notes = if args.no_sandbox { Vec::new() } else { trace.confine() };
    if args.verbose {
        explain(&trace, &notes);
    }
    follow(&mut trace, &mut events, |trace| {
        names.hear();
        replying(trace.route().hops()).for_each(|address| names.ask(address));
        view.as_mut().map_or(Ok(()), |view| view.update(trace, &names))
    })?;
    let route = trace.finish();
    while let Some(left) = names.patience(replying(route.hops())) {
        if events.interrupted() || !events.wait(left)? {
            break;
        }
        names.hear();
    }
    match &mut view {
        Some(view) => view.finish(&route, &names)?,
        None => print_json(&route, &names)?,
    }
    Ok(route.reached())
}

/// What nobody needs to know who doesn't ask.
fn explain(trace: &Trace, notes: &[String]) {
    let kind = match trace.socket() {
        SocketKind::Raw => "raw",
        SocketKind::Ping => "ping",
    };
    let _ = writeln!(io::stderr(), "hopshot: {kind} sockets");
    for note in notes {
        let _ = writeln!(io::stderr(), "hopshot: not confined in full: {note}");
    }
}

/// Drives the trace to its end, or to Ctrl-C, and shows it after every step.
fn follow(
    trace: &mut Trace,
    events: &mut Events,
    mut show: impl FnMut(&Trace) -> io::Result<()>,
) -> Result<(), Failure> {
    loop {
        let step = trace.advance(Some(events.any.as_fd()))?;
        if step == Step::Woken {
            events.clear()?;
        }
        if events.interrupted() {
            trace.interrupt();
        }
        show(trace)?;
        if step == Step::Done {
            return Ok(());
        }
    }
}

fn replying<'r>(hops: impl Iterator<Item = Hop<'r>>) -> impl Iterator<Item = std::net::IpAddr> {
    hops.flat_map(|hop| hop.replies()).map(|reply| reply.from)
}

fn print_json(route: &Route, names: &Names) -> io::Result<()> {
    let mut out = io::stdout().lock();
    serde_json::to_writer(&mut out, &json::Document::new(route, names))?;
    writeln!(out)?;
    out.flush()
}

/// What may happen beside the trace, as one descriptor to wait for: a signal, or a name that has come in.
struct Events {
    any: OwnedFd,
    signals: UnixStream,
    interrupted: Arc<AtomicBool>,
}

impl Events {
    fn new(names: &Names) -> io::Result<Self> {
        let (signals, writable) = UnixStream::pair()?;
        signals.set_nonblocking(true)?;
        writable.set_nonblocking(true)?;
        let interrupted = Arc::new(AtomicBool::new(false));
        for signal in [SIGINT, SIGTERM] {
            // A second signal ends the command at once.
            signal_hook::flag::register_conditional_shutdown(signal, 130, Arc::clone(&interrupted))?;
            signal_hook::flag::register(signal, Arc::clone(&interrupted))?;
            signal_hook::low_level::pipe::register(signal, writable.try_clone()?)?;
        }
        let any = epoll::create(epoll::CreateFlags::CLOEXEC)?;
        let data = epoll::EventData::new_u64(0);
        epoll::add(&any, &signals, data, epoll::EventFlags::IN)?;
        names.with_fd(|fd| epoll::add(&any, fd, data, epoll::EventFlags::IN)).transpose()?;
        Ok(Self { any, signals, interrupted })
    }

    fn interrupted(&self) -> bool {
        self.interrupted.load(Ordering::SeqCst)
    }

    /// Waits for something to happen, at most this long. Returns whether it did.
    fn wait(&mut self, span: std::time::Duration) -> io::Result<bool> {
        let timeout = Timespec::try_from(span).ok();
        let mut fds = [PollFd::from_borrowed_fd(self.any.as_fd(), PollFlags::IN)];
        match rustix::event::poll(&mut fds, timeout.as_ref()) {
            Ok(0) => Ok(false),
            Ok(_) => self.clear().map(|()| true),
            Err(rustix::io::Errno::INTR) => Ok(true),
            Err(errno) => Err(errno.into()),
        }
    }

    fn clear(&mut self) -> io::Result<()> {
        let mut octets = [0; 64];
        loop {
            match self.signals.read(&mut octets) {
                Ok(0) => return Ok(()),
                Ok(_) => {}
                Err(error) if error.kind() == io::ErrorKind::WouldBlock => return Ok(()),
                Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
                Err(error) => return Err(error),
            }
        }
    }
}
