//! The text view: a line per hop, in order, each as soon as nothing more will become known about it. On a terminal the hops
//! that are not so far yet stand below as they are known, and are drawn again when that changes.

use crate::args::Args;
use crate::extensions;
use crate::names::Names;
use hopshot_linux::{
    Changes, Extensions, Hop, Kind, Outcome, ProbeId, Reply, Route, StopReason, Trace, Version, failure_text,
};
use std::fmt::Write as _;
use std::io::{self, IsTerminal, StdoutLock, Write};
use std::net::IpAddr;
use std::time::{Duration, Instant};

/// A longer name doesn't move the columns of all that follow.
const WIDEST: usize = 80;
/// Between two drawings of what isn't settled yet.
const REDRAW: Duration = Duration::from_millis(2);

/// Standard output, and what stands on it already.
pub(crate) struct View {
    out: StdoutLock<'static>,
    target: IpAddr,
    /// The hop that the next settled line is for.
    next: u8,
    /// Width of the column of hosts, so far.
    column: usize,
    /// Columns and rows, if this is a terminal.
    terminal: Option<(usize, usize)>,
    extensions: bool,
    /// Lines below the settled ones, to be drawn over.
    drawn: usize,
    last_drawing: Option<Instant>,
}

impl View {
    pub(crate) fn new(target: IpAddr, args: &Args) -> Self {
        let out = io::stdout().lock();
        let terminal = if out.is_terminal() { terminal_size::terminal_size() } else { None };
        Self {
            terminal: terminal.map(|(width, height)| (width.0.into(), height.0.into())),
            out,
            target,
            next: 1,
            column: match (args.output.numeric, Version::of(target)) {
                (true, Version::V4) => 15,
                (true, Version::V6) => 24,
                (false, _) => 36,
            },
            extensions: args.output.extensions,
            drawn: 0,
            last_drawing: None,
        }
    }

    /// The first line.
    pub(crate) fn header(&mut self, host: &str, target: IpAddr, max_hops: u8) -> io::Result<()> {
        writeln!(self.out, "traceroute to {host} ({target}), {max_hops} hops max")
    }

    /// Prints the hops that have become settled, and draws the others if this is a terminal.
    pub(crate) fn update(&mut self, trace: &Trace, names: &Names) -> io::Result<()> {
        let route = trace.route();
        // What is silent at the far end may be one line in the end.
        let last_heard = last_heard(route.hops());
        let next = self.next;
        let mut hops = route.hops().filter(|hop| hop.number() >= next && hop.number() <= last_heard).peekable();
        let mut text = String::new();
        let mut settled = 0;
        while let Some(hop) = hops.next_if(|hop| hop.is_settled() && named(*hop, names)) {
            self.line(&mut text, hop, names, |probe| trace.extensions(probe));
            self.next = hop.number() + 1;
            settled += 1;
        }
        let recent = self.last_drawing.is_some_and(|last| last.elapsed() < REDRAW);
        if settled == 0 && (self.terminal.is_none() || recent) {
            return Ok(());
        }
        let mut live = String::new();
        if self.terminal.is_some() {
            for hop in hops.filter(|hop| hop.replies().next().is_some()) {
                self.line(&mut live, hop, names, |probe| trace.extensions(probe));
            }
        }
        self.draw(&text, &live)
    }

    /// Prints what is left when the trace has ended, silent hops at its end in one line, and why it ended.
    pub(crate) fn finish(&mut self, route: &Route, names: &Names) -> io::Result<()> {
        let last_heard = last_heard(route.hops());
        let last_probed = route.hops().map(|hop| hop.number()).last();
        let mut text = String::new();
        let next = self.next.max(route.hops().next().map_or(1, |hop| hop.number()));
        self.next = next;
        let left = route.hops().filter(|hop| hop.number() >= next);
        let last_failed = route.hops().filter(|hop| failure(*hop).is_some()).map(|hop| hop.number()).max();
        // If all failed, one line says it.
        let last_shown = if route.probes_sent() == 0 { 0 } else { last_failed.unwrap_or(0).max(last_heard) };
        for hop in left.filter(|hop| hop.number() <= last_shown) {
            self.line(&mut text, hop, names, |probe| route.extensions(probe));
            self.next = hop.number() + 1;
        }
        match last_probed {
            Some(last) if last > self.next => _ = writeln!(text, "{:>2}-{last}  *", self.next),
            Some(last) if last == self.next => _ = writeln!(text, "{last:>2}  *"),
            _ => {}
        }
        if route.probes_sent() == 0 {
            let reason = route.hops().find_map(failure).unwrap_or_else(|| "interrupted".to_owned());
            let _ = writeln!(text, "No probe could be sent to {}: {reason}.", route.target());
        } else if !route.reached() {
            let reason = match route.stop_reason() {
                Some(StopReason::Unreachable) => "the last hop above says that it can't be reached",
                Some(StopReason::Loop) => "the path goes round in a loop",
                Some(StopReason::MaxHops) => "it is farther than the hops probed (-m)",
                Some(StopReason::Timeout) => "it may be later than the time waited (-w)",
                Some(StopReason::Interrupted) | None => "interrupted",
                Some(StopReason::Quiet | StopReason::Reached) => "nothing more came",
            };
            let _ = writeln!(text, "No answer from {}: {reason}.", route.target());
        }
        self.draw(&text, "")
    }

    /// Puts settled lines in place of what was drawn below the last ones, and `live` below them.
    fn draw(&mut self, settled: &str, live: &str) -> io::Result<()> {
        let mut screen = String::new();
        if self.drawn > 0 {
            let _ = write!(screen, "\x1b[{}A\r\x1b[J", self.drawn);
        }
        screen.push_str(settled);
        self.drawn = 0;
        if let Some((width, height)) = self.terminal {
            // A line that wraps or scrolls away could not be drawn over.
            for line in live.lines().take(height.saturating_sub(2)) {
                screen.extend(line.chars().take(width.saturating_sub(1)));
                screen.push('\n');
                self.drawn += 1;
            }
            self.last_drawing = Some(Instant::now());
        }
        self.out.write_all(screen.as_bytes())?;
        self.out.flush()
    }

    /// A hop: a line for each address that answered, its times in the order of sending.
    fn line<'e>(
        &mut self,
        text: &mut String,
        hop: Hop<'_>,
        names: &Names,
        extensions: impl Fn(ProbeId) -> &'e Extensions,
    ) {
        let number = hop.number();
        let mut addresses: Vec<IpAddr> = Vec::new();
        for reply in hop.replies() {
            if !addresses.contains(&reply.from) {
                addresses.push(reply.from);
            }
        }
        let Some(first) = addresses.first().copied() else {
            let _ = match failure(hop) {
                Some(reason) => writeln!(text, "{number:>2}  ! {reason}"),
                None => writeln!(text, "{number:>2}  *"),
            };
            return;
        };
        for address in addresses {
            let host = match names.of(address) {
                Some(name) => format!("{name} ({address})"),
                None => address.to_string(),
            };
            self.column = self.column.max(host.len().min(WIDEST));
            let _ = match address == first {
                true => write!(text, "{number:>2}  {host:<width$}", width = self.column),
                false => write!(text, "    {host:<width$}", width = self.column),
            };
            for outcome in hop.outcomes() {
                let _ = match outcome {
                    Outcome::Answered(reply) if reply.from == address => write!(text, "{}", time(&reply)),
                    Outcome::Lost if address == first => write!(text, "  {:>11}", "*"),
                    Outcome::Failed(_) if address == first => write!(text, "  {:>11}", "!"),
                    _ => Ok(()),
                };
            }
            if address == first && hop.may_be_rate_limited() {
                text.push_str("  rate limited?");
            }
            if hop.is_target()
                && hop.replies().any(|reply| reply.from == address && reply.changes.contains(Changes::SENDER))
            {
                let _ = write!(text, "  answers for {}", self.target);
            }
            text.truncate(text.trim_end().len());
            text.push('\n');
            if self.extensions {
                appended(
                    text,
                    hop.replies().filter(|reply| reply.from == address).map(|reply| extensions(reply.probe)),
                );
            }
        }
    }
}

/// A line for what was appended to the answers from an address, for each thing once.
fn appended<'e>(text: &mut String, extensions: impl Iterator<Item = &'e Extensions>) {
    let mut said: Vec<String> = Vec::new();
    for one in extensions.filter(|extensions| !extensions.is_empty()).map(extensions::text) {
        if !said.contains(&one) {
            let _ = writeln!(text, "    {one}");
            said.push(one);
        }
    }
}

/// The farthest hop that answered; 0 if none did.
fn last_heard<'r>(hops: impl Iterator<Item = Hop<'r>>) -> u8 {
    hops.filter(|hop| hop.replies().next().is_some()).map(|hop| hop.number()).last().unwrap_or(0)
}

/// Whether the names of this hop are known, or not worth waiting for any longer.
fn named(hop: Hop<'_>, names: &Names) -> bool {
    names.patience(hop.replies().map(|reply| reply.from)).is_none()
}

/// Why a probe to this hop did not get out of this machine, if one didn't.
fn failure(hop: Hop<'_>) -> Option<String> {
    hop.outcomes().find_map(|outcome| match outcome {
        Outcome::Failed(error) => Some(failure_text(error)),
        _ => None,
    })
}

fn time(reply: &Reply) -> String {
    let milliseconds = reply.rtt.as_nanos() as f64 / 1e6;
    let mark = match reply.kind {
        Kind::Unreachable => format!(" {}", symbol(reply)),
        Kind::EchoReply | Kind::TimeExceeded => String::new(),
    };
    format!("  {milliseconds:>8.3} ms{mark}")
}

/// The usual signs of traceroute for the codes of Destination Unreachable (RFC 792, RFC 1812 section 5.2.7.1; RFC 4443
/// section 3.1), Packet Too Big and Parameter Problem.
fn symbol(reply: &Reply) -> String {
    match (Version::of(reply.from), reply.icmp_type, reply.icmp_code) {
        (_, _, _) if reply.mtu.is_some() => format!("!F-{}", reply.mtu.unwrap_or_default()),
        (Version::V4, 3, 0) | (Version::V6, 1, 0) => "!N".into(),
        (Version::V4, 3, 1) | (Version::V6, 1, 3) => "!H".into(),
        (Version::V4, 3, 2) | (Version::V6, 4, 1) => "!P".into(),
        (Version::V4, 3, 5) | (Version::V6, 1, 2) => "!S".into(),
        (Version::V4, 3, 9 | 10 | 13) | (Version::V6, 1, 1) => "!X".into(),
        (Version::V4, 3, 14) => "!V".into(),
        (Version::V4, 3, 15) => "!C".into(),
        (Version::V4, 3, code) | (Version::V6, 1, code) => format!("!<{code}>"),
        (_, icmp_type, code) => format!("!<{icmp_type}-{code}>"),
    }
}
