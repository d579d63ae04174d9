//! What stands on standard output of a text, and what comes next.

use super::layout::Layout;
use super::paint::Style;
use super::row::{self, Doubt, rows};
use crate::args::Args;
use crate::console::{can_draw, is_unicode, print, terminal_size};
use crate::names::Names;
use crate::on_the_way::findings;
use crate::reading::{ending, failed, failure, failures, last_heard, silence};
use hopshot_linux::extensions::OwnedExtensions;
use hopshot_linux::{AddressFamily, Failure, Hop, ProbeId, ProbeProtocol, Route, StopReason};
use signal_hook::consts::SIGCONT;
use std::fmt::Write as _;
use std::io;
use std::net::IpAddr;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

/// On a narrower terminal not even the shortest line is sure to stay one.
const NARROWEST: u16 = 32;

/// The room for an AS and a short name.
const ORIGIN: usize = " [AS64500 EXAMPLE-NET]".len();

/// The text on standard output, and what stands there already.
pub(crate) struct View {
    pub(super) target: IpAddr,
    pub(super) protocol: ProbeProtocol,
    /// The doubt that it is the target that answers, once the trace has ended.
    doubt: Option<Doubt>,
    /// The hop that the next settled line is for.
    next: u8,
    /// The fastest answer of the last hop before that.
    before: Duration,
    pub(super) layout: Layout,
    /// Lines that can be drawn over, if this is a terminal.
    pub(super) height: Option<usize>,
    /// Its width and height, as they were last looked at.
    pub(super) size: Option<(u16, u16)>,
    extensions: bool,
    pub(super) is_verbose: bool,
    /// Notes for the line of a hop's first address.
    notes: Vec<(u8, String)>,
    /// The present activity, shown below all hops on a terminal.
    status: String,
    /// The failures that stand as mere marks beside answers.
    marked: Vec<Failure>,
    /// The text below the settled lines, to be drawn over.
    pub(super) drawn: String,
    /// Whether this process was stopped since, and others may have written below it.
    continued: Arc<AtomicBool>,
}

impl View {
    pub(crate) fn new(target: IpAddr, args: &Args) -> Self {
        let size = if can_draw(&io::stdout()) {
            terminal_size()
        } else {
            None
        };
        let column = match (args.output.numeric, AddressFamily::of(target)) {
            (true, AddressFamily::V4) => 15,
            // What is cut to fit needs no room for the longest address there is.
            (true, AddressFamily::V6) => {
                if size.is_some() {
                    24
                } else {
                    39
                }
            }
            (false, _) => 36,
        };
        let mut view = Self {
            target,
            protocol: args.probing.protocol.chosen(),
            doubt: None,
            next: 1,
            before: Duration::ZERO,
            layout: Layout {
                width: None,
                number: 0,
                // In a pipe the first lines can't know how wide the others get.
                column: if args.asn.is_wanted() && size.is_none() {
                    column + ORIGIN
                } else {
                    column
                },
                notes_first: args.probing.paths || args.probing.mtu,
                asked: args.probing.attempts.into(),
                colours: args.output.colours(),
                ellipsis: if is_unicode() { '…' } else { '~' },
                chosen: None,
                kept: None,
            },
            height: None,
            size: None,
            extensions: args.output.extensions,
            is_verbose: args.output.verbose,
            notes: Vec::new(),
            status: String::new(),
            marked: Vec::new(),
            drawn: String::new(),
            continued: Arc::default(),
        };
        if size.is_some() {
            // If this fails we may overwrite shell output; nothing worse.
            let _ = signal_hook::flag::register(SIGCONT, Arc::clone(&view.continued));
        }
        view.fit(size);
        view
    }

    /// Lays out what comes from here on for a terminal of this width and height. What was drawn for
    /// another stays: a terminal may have broken its lines, and then it isn't known where they
    /// begin.
    fn fit(&mut self, size: Option<(u16, u16)>) {
        if size == self.size {
            return;
        }
        self.size = size;
        let size = size.filter(|(width, _)| *width >= NARROWEST);
        self.layout.kept = None;
        self.layout.width = size.map(|(width, _)| width.into());
        self.height = size.map(|(_, height)| usize::from(height).saturating_sub(2));
        self.drawn.clear();
    }

    /// Looks whether the terminal's size has changed, or what stands on it.
    pub(crate) fn fit_terminal(&mut self) {
        if self.size.is_some() {
            self.fit(terminal_size().or(self.size));
            if self.continued.swap(false, Ordering::SeqCst) {
                self.drawn.clear();
            }
        }
    }

    /// Adds a note to the line of a hop.
    pub(crate) fn note(&mut self, hop: u8, note: String) {
        self.notes.push((hop, note));
    }

    /// Prints those of these hops that aren't settled yet, of a trace that has ended; more of the
    /// path is to follow.
    pub(crate) fn append(
        &mut self,
        route: &Route,
        hops: &[Hop<'_>],
        names: &Names,
    ) -> io::Result<()> {
        self.fit_terminal();
        self.doubt = Doubt::of(route);
        let next = self.next;
        let hops: Vec<Hop<'_>> = hops
            .iter()
            .filter(|hop| hop.number() >= next)
            .copied()
            .collect();
        let lines = self.settled_lines(&hops, names, |probe| route.extensions(probe));
        if !hops.is_empty() {
            self.layout.keep_columns();
        }
        self.draw(&lines, "")
    }

    /// Prints a sentence.
    pub(crate) fn say(&mut self, text: &str) -> io::Result<()> {
        let line = self.sentence(text);
        self.draw(&line, "")
    }

    /// Says what is done at present, where that can be drawn over.
    pub(crate) fn set_status(&mut self, status: &str) {
        let line = self.layout.first_line(status);
        self.status = format!("{}\n", Style::Faint.paint(&line, self.layout.colours));
    }

    /// Draws hops that are not the last word, if this is a terminal: as many as there is room for.
    pub(crate) fn sketch<'e>(
        &mut self,
        hops: &[Hop<'_>],
        extensions: impl Fn(ProbeId) -> &'e OwnedExtensions,
        names: &Names,
    ) -> io::Result<()> {
        self.fit_terminal();
        let Some(height) = self.height else {
            return Ok(());
        };
        let (next, last) = (self.next, last_heard(hops.iter().copied()));
        let hops: Vec<Hop<'_>> = hops
            .iter()
            .copied()
            .filter(|hop| (next..=last).contains(&hop.number()))
            .collect();
        let lines = self.lines(&hops, names, extensions).0;
        let live = self.with_status(&lines, height);
        if live == self.drawn {
            Ok(())
        } else {
            self.draw("", &live)
        }
    }

    /// As many of these lines as there is room for, with what is done at present below them.
    fn with_status(&self, lines: &str, height: usize) -> String {
        let room = height.saturating_sub(usize::from(!self.status.is_empty()));
        lines
            .split_inclusive('\n')
            .take(room)
            .chain([self.status.as_str()])
            .collect()
    }

    /// Prints the hops that have become settled, and draws the others if this is a terminal.
    pub(crate) fn update<'h, 'e>(
        &mut self,
        hops: impl Iterator<Item = Hop<'h>>,
        extensions: impl Fn(ProbeId) -> &'e OwnedExtensions,
        names: &Names,
    ) -> io::Result<()> {
        self.fit_terminal();
        let next = self.next;
        let mut hops: Vec<Hop<'_>> = hops.filter(|hop| hop.number() >= next).collect();
        // What is silent at the far end may be one line in the end.
        let last_heard = last_heard(hops.iter().copied());
        hops.retain(|hop| hop.number() <= last_heard);
        // The target's line tells the state of its port in the end.
        let is_told = |hop: &Hop<'_>| self.protocol.port().is_none() || !hop.is_target();
        let settled = hops
            .iter()
            .take_while(|hop| hop.is_settled() && is_told(hop) && named(**hop, names))
            .count();
        let (settled, live) = hops.split_at(settled);
        let Some(height) = self.height else {
            if settled.is_empty() {
                return Ok(());
            }
            let lines = self.settled_lines(settled, names, &extensions);
            return self.draw(&lines, "");
        };
        let all = self.lines(&hops, names, &extensions).0;
        let all = self.with_status(&all, usize::MAX);
        if all.lines().count() <= height {
            return if all == self.drawn {
                Ok(())
            } else {
                self.draw("", &all)
            };
        }
        let settled = self.settled_lines(settled, names, &extensions);
        let live = self.lines(live, names, extensions).0;
        // A line that scrolls away could not be drawn over.
        let live = self.with_status(&live, height);
        self.draw(&settled, &live)
    }

    /// The lines of hops that are settled: the next call is for those behind them.
    fn settled_lines<'e>(
        &mut self,
        hops: &[Hop<'_>],
        names: &Names,
        extensions: impl Fn(ProbeId) -> &'e OwnedExtensions,
    ) -> String {
        let (lines, before) = self.lines(hops, names, extensions);
        self.before = before;
        let answered = hops.iter().filter(|hop| hop.replies().next().is_some());
        for failure in answered.flat_map(|hop| failures(*hop)) {
            if !self.marked.contains(&failure) {
                self.marked.push(failure);
            }
        }
        self.next = hops.last().map_or(self.next, |hop| hop.number() + 1);
        lines
    }

    /// The lines of hops from the next one on, and the fastest answer of the last.
    fn lines<'e>(
        &mut self,
        hops: &[Hop<'_>],
        names: &Names,
        extensions: impl Fn(ProbeId) -> &'e OwnedExtensions,
    ) -> (String, Duration) {
        let nothing = OwnedExtensions::default();
        let mut before = self.before;
        let rows: Vec<_> = hops
            .iter()
            .flat_map(|hop| {
                let mut rows = rows(
                    *hop,
                    self.target,
                    self.protocol,
                    self.doubt,
                    names,
                    &mut before,
                    |probe| {
                        if self.extensions {
                            extensions(probe)
                        } else {
                            &nothing
                        }
                    },
                );
                let notes = self
                    .notes
                    .iter()
                    .filter(|(number, _)| *number == hop.number());
                rows.iter_mut()
                    .take(1)
                    .for_each(|row| notes.clone().for_each(|(_, note)| row.note(note)));
                rows
            })
            .collect();
        (self.layout.lines(&rows), before)
    }

    /// Prints what is left when the trace has ended, hops at its end of which the same is to be
    /// said in one line, and why it ended.
    pub(crate) fn finish(
        &mut self,
        route: &Route,
        why: Option<StopReason>,
        names: &Names,
    ) -> io::Result<()> {
        self.fit_terminal();
        self.doubt = Doubt::of(route);
        let last_heard = last_heard(route.hops());
        let next = self
            .next
            .max(route.hops().next().map_or(1, |hop| hop.number()));
        self.next = next;
        let left = route
            .hops()
            .filter(|hop| hop.number() >= next && hop.number() <= last_heard);
        let mut text = self.shared(route, names);
        text += &self.settled_lines(&left.collect::<Vec<_>>(), names, |probe| {
            route.extensions(probe)
        });
        text += &self.unanswered(route);
        text += &self.legend();
        if let Some(why) = ending(route, why) {
            text += &self.sentence(&why);
        }
        for told in silence(route).into_iter().chain(findings(route)) {
            text += &self.sentence(&told);
        }
        self.draw(&text, "")
    }

    /// The lines of the hops that were not probed since others share them: one line of those at
    /// which no router is known.
    fn shared(&mut self, route: &Route, names: &Names) -> String {
        let shared: Vec<_> = route.shared().collect();
        let mut text = String::new();
        for hops in shared.chunk_by(|one, next| one.from.is_some() == next.from.is_some()) {
            let rows: Vec<_> = hops
                .iter()
                .filter_map(|hop| row::shared(hop, names))
                .collect();
            text += &self.layout.lines(&rows);
            if let ([first, ..], [.., last], true) = (hops, hops, rows.is_empty()) {
                text += &self.layout.unanswered(first.hop, last.hop, "shared");
            }
        }
        text
    }

    /// The lines of the hops behind the last that answered, those in one for which the same is to
    /// be said.
    fn unanswered(&self, route: &Route) -> String {
        let mut parts: Vec<(u8, u8, String)> = Vec::new();
        for hop in route.hops().filter(|hop| hop.number() >= self.next) {
            let instead = failure(hop).map_or_else(|| "*".to_owned(), failed);
            match parts.last_mut() {
                Some((_, last, before)) if *before == instead => *last = hop.number(),
                _ => parts.push((hop.number(), hop.number(), instead)),
            }
        }
        parts
            .iter()
            .map(|(first, last, instead)| self.layout.unanswered(*first, *last, instead))
            .collect()
    }

    /// The reasons of the failures that stand as mere marks beside answers.
    fn legend(&self) -> String {
        self.marked
            .iter()
            .map(|failure| self.sentence(&failed(*failure)))
            .collect()
    }

    /// Words, broken between them where a line ends.
    pub(super) fn sentence(&self, text: &str) -> String {
        self.layout.wrapped(text, 0, &[' '])
    }

    /// Puts settled lines in place of what was drawn below the last ones, and `live` below them.
    /// Each line is wiped only when it is written, so that nothing flickers.
    pub(super) fn draw(&mut self, settled: &str, live: &str) -> io::Result<()> {
        let mut screen = String::new();
        match self.drawn.lines().count() {
            // The keys that were typed stand there, such as ^C.
            0 if self.size.is_some() => screen.extend(["\r\x1b[K", settled, live]),
            0 => screen.extend([settled, live]),
            drawn => {
                let _ = write!(screen, "\x1b[{drawn}A\r");
                for line in settled.lines().chain(live.lines()) {
                    let _ = writeln!(screen, "{line}\x1b[K");
                }
                screen.push_str("\x1b[J");
            }
        }
        live.clone_into(&mut self.drawn);
        print(screen.as_bytes())
    }
}

/// How far a trace goes, in its first line.
pub(super) fn hops_max(max_hops: u8) -> String {
    format!(
        "{max_hops} {} max",
        if max_hops == 1 { "hop" } else { "hops" }
    )
}

/// Whether the names of this hop are known, or not worth waiting for any longer.
fn named(hop: Hop<'_>, names: &Names) -> bool {
    names
        .patience(hop.replies().map(|reply| reply.from))
        .is_none()
}
