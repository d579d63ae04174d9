//! What every way of running has beside its traces: names, signals, and the least privilege that they leave.

use crate::Failure;
use crate::args::Args;
use crate::ases::Ases;
use crate::console::say;
use crate::events::Events;
use crate::format::json;
use crate::names::Names;
use hopshot_linux::{Error, PathMtu, Rejected, SocketKind, Step, Trace, privilege};
use std::io;
use std::net::IpAddr;
use std::os::fd::BorrowedFd;

/// What has to be advanced until it has ended.
pub(crate) trait Running {
    fn advance(&mut self, wake: Option<BorrowedFd<'_>>) -> Result<Step, Error>;
    fn interrupt(&mut self);
}

impl Running for Trace {
    fn advance(&mut self, wake: Option<BorrowedFd<'_>>) -> Result<Step, Error> {
        Self::advance(self, wake)
    }

    fn interrupt(&mut self) {
        Self::interrupt(self);
    }
}

impl Running for PathMtu {
    fn advance(&mut self, wake: Option<BorrowedFd<'_>>) -> Result<Step, Error> {
        Self::advance(self, wake)
    }

    fn interrupt(&mut self) {
        Self::interrupt(self);
    }
}

/// Names and events. It is made when the sockets are open, and before anything that arrived is read.
pub(crate) struct Session {
    pub(crate) names: Names,
    pub(crate) events: Events,
    is_verbose: bool,
    is_confined: bool,
    /// What could not be given up so far.
    kept: Vec<String>,
}

impl Session {
    /// Gives up the privileges that opening sockets took, without a sandbox too: no option is to keep those of the owner of a
    /// set-user-ID program. Then, if something is to be looked up, it starts the helper for that, which so gets none either,
    /// and which finds the addresses of hosts too, if there are any to be found.
    pub(crate) fn new(args: &Args, ases: Ases, finds_hosts: bool) -> Result<Self, Failure> {
        let kept = privilege::renounce();
        let names = Names::start(!args.output.numeric, ases, finds_hosts);
        let events = names.with_fd(|fd| Events::new(Some(fd))).unwrap_or_else(|| Events::new(None));
        let events = events.map_err(Failure::events)?;
        Ok(Self { names, events, is_verbose: args.output.verbose, is_confined: !args.no_sandbox, kept })
    }

    /// Gives up everything else, by a call of the library: from here on no file, socket or program can be opened.
    pub(crate) fn confine(&self, sockets: impl IntoIterator<Item = SocketKind>, confine: impl FnOnce() -> Vec<String>) {
        // Confining renounces once more, and finds the same.
        let notes = if self.is_confined { confine() } else { self.kept.clone() };
        if !self.is_verbose {
            return;
        }
        sockets.into_iter().for_each(|socket| say(&format!("{} sockets", json::socket(socket))));
        notes.iter().for_each(|note| say(&format!("not confined in full: {note}")));
        if let Some(obstacle) = self.names.obstacle() {
            say(&format!("nothing can be looked up: {obstacle}"));
        }
    }

    /// Drives it to its end, or to Ctrl-C, and shows it after every step.
    pub(crate) fn follow<R: Running>(
        &mut self,
        running: &mut R,
        mut show: impl FnMut(&mut R, &Names, Step) -> io::Result<()>,
    ) -> Result<(), Failure> {
        loop {
            let step = running.advance(Some(self.events.fd()))?;
            if step == Step::Woken {
                self.events.clear().map_err(Failure::events)?;
            }
            if self.events.interrupted() {
                running.interrupt();
            }
            self.names.hear();
            show(running, &self.names, step).map_err(Failure::Output)?;
            if step == Step::Done {
                return Ok(());
            }
        }
    }

    /// Waits for the names of these that are still asked for, as long as that is worth it; `learn` is told of each.
    pub(crate) fn wait_for_names<I: Iterator<Item = IpAddr>>(
        &mut self,
        addresses: impl Fn() -> I,
        mut learn: impl FnMut(&Names) -> io::Result<()>,
    ) -> Result<(), Failure> {
        while let Some(left) = self.names.patience(addresses()) {
            if self.events.interrupted() || !self.events.wait(false, Some(left)).map_err(Failure::events)? {
                break;
            }
            self.names.hear();
            learn(&self.names).map_err(Failure::Output)?;
        }
        Ok(())
    }

    /// Says what arrived and was no answer, and what DNS did not say, to those who want to know.
    pub(crate) fn explain_rejected(&self, forged: u32, rejected: Rejected) {
        if !self.is_verbose {
            return;
        }
        let Rejected { bad_checksum, malformed, not_ours, dropped } = rejected;
        let counts = [
            (forged, "forged"),
            (bad_checksum, "bad checksum"),
            (malformed, "malformed"),
            (not_ours, "not ours"),
            (dropped, "dropped by the kernel"),
        ];
        let said = counts.iter().filter(|(count, _)| *count > 0).map(|(count, what)| format!("{count} {what}"));
        let said: Vec<String> = said.collect();
        let said = if said.is_empty() { "nothing".to_owned() } else { said.join(", ") };
        say(&format!("rejected: {said}"));
        let unanswered = self.names.unanswered();
        if unanswered > 0 {
            say(&format!("no answer from DNS about the ASes of {unanswered} addresses"));
        }
    }
}
