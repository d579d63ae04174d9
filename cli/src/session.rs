//! What every way of running has beside its traces: names, signals, and the least privilege that
//! they leave.

use crate::args::Args;
use crate::ases::{self, Ases};
use crate::console::say;
use crate::events::Events;
use crate::failure::Failure;
use crate::names::Names;
use hopshot_linux::lookup::Wanted;
use hopshot_linux::privilege::{self, Shortfalls};
use hopshot_linux::{
    Error, Job, Lack, Opened, Plan, PlanKind, Reasons, Rejected, Running, SocketKind, Sockets,
    Step, needs_resolver,
};
use rustix::process::getuid;
use std::fmt::Display;
use std::io;
use std::net::{IpAddr, SocketAddr};

/// Names and events. It is made when the sockets are open, and before anything that arrived is
/// read.
pub(crate) struct Session {
    pub(crate) names: Names,
    pub(crate) events: Events,
    is_verbose: bool,
    is_confined: bool,
    /// What the sockets do without, as far as it was told.
    told: Vec<Lack>,
}

impl Session {
    /// Opens the sockets of a job, and starts it at the address of its host. Privileges are given
    /// up in between if there is anything to be read or asked for; else while the first probes
    /// are on their way.
    pub(crate) fn start<K: PlanKind, R>(
        args: &Args,
        host: &str,
        plan: &Plan<K>,
        start: impl FnOnce(Opened<K>, SocketAddr) -> Result<R, Error>,
    ) -> Result<(Self, R), Failure> {
        let opened = plan.open()?;
        let is_named = needs_resolver(host);
        if !is_named && args.asn.database.is_none() {
            let running = start(opened, args.settings().resolve(host)?)?;
            return Ok((Self::new(args, false)?, running));
        }
        let mut session = Self::new(args, is_named)?;
        let address = session.address(args, host)?;
        Ok((session, start(opened, address)?))
    }

    /// As [`with_files`](Self::with_files), where there is no file to be opened.
    pub(crate) fn new(args: &Args, finds_hosts: bool) -> Result<Self, Failure> {
        Self::with_files(args, finds_hosts, || Ok(())).map(|(session, ())| session)
    }

    /// Starts the helper, if something is to be looked up: it becomes another user, which takes the
    /// privileges that there still are. Then it opens files with the rights of the user who
    /// started this, and gives up the privileges that opening sockets took; without a sandbox
    /// too, since no option is to keep those of the owner of a set-user-ID program. The sockets
    /// must be open before.
    pub(crate) fn with_files<T>(
        args: &Args,
        finds_hosts: bool,
        open: impl FnOnce() -> Result<T, Failure>,
    ) -> Result<(Self, T), Failure> {
        let mut names = Names::start(!args.output.numeric, Ases::new(&args.asn), finds_hosts);
        // Root becomes nobody, who couldn't open root's files; nor may the owner of the program
        // open anybody else's.
        if !getuid().is_root() {
            privilege::renounce()?;
        }
        let opened = open()?;
        let file = ases::File::read(&args.asn)?;
        privilege::renounce()?;
        if let Some(file) = file {
            names = names.with_ases(file.understand()?);
        }
        let events = names
            .with_fd(|fd| Events::new(Some(fd)))
            .unwrap_or_else(|| Events::new(None));
        let events = events.map_err(Failure::events)?;
        Ok((
            Self {
                names,
                events,
                is_verbose: args.output.verbose,
                is_confined: !args.no_sandbox,
                told: Vec::new(),
            },
            opened,
        ))
    }

    /// The address of the only host: the helper finds that of a name.
    pub(crate) fn address(&mut self, args: &Args, host: &str) -> Result<SocketAddr, Failure> {
        if !needs_resolver(host) {
            return Ok(args.settings().resolve(host)?);
        }
        Ok(self.find(host, args.probing.wanted())??)
    }

    /// Has the helper find the address of a name, or why it has none.
    pub(crate) fn find(
        &mut self,
        host: &str,
        wanted: Wanted,
    ) -> Result<Result<SocketAddr, Error>, Failure> {
        if !self.names.find(host, wanted) {
            let why = self
                .names
                .obstacle()
                .unwrap_or_else(|| "the process that looks names up has ended".to_owned());
            let text = format!("can't find the address of '{host}': {why}; give an address");
            return Err(Error::LookUp(text).into());
        }
        loop {
            self.names.receive();
            let left = self.names.give_up_late();
            if let Some((_, found)) = self.names.found().pop() {
                return Ok(found);
            }
            if self.events.interrupted() {
                return Err(Failure::Interrupted);
            }
            self.events.wait(false, left).map_err(Failure::events)?;
        }
    }

    /// Gives up everything else, by a call of the library: from here on no file, socket or program
    /// can be opened. Tells who wants to know what the sockets are, and do without.
    pub(crate) fn confine(
        &mut self,
        sockets: impl IntoIterator<Item = SocketKind>,
        lacks: &[Lack],
        confine: impl FnOnce() -> Result<Shortfalls, Error>,
    ) -> Result<(), Failure> {
        let shortfalls = if self.is_confined {
            confine()?
        } else {
            Shortfalls::default()
        };
        if self.is_verbose {
            sockets
                .into_iter()
                .for_each(|socket| say(&format!("{} sockets", socket.as_str())));
            self.say_lacks(lacks);
            shortfalls
                .iter()
                .for_each(|shortfall| say(&format!("not confined in full: {shortfall}")));
        }
        // Else names would be missing without a word.
        let is_told = self.is_verbose || self.names.are_shown();
        if let Some(obstacle) = self.names.obstacle().filter(|_| is_told) {
            say(&format!("nothing can be looked up: {obstacle}"));
        }
        Ok(())
    }

    /// Says what the sockets do without, once, to those who want to know.
    pub(crate) fn say_lacks(&mut self, lacks: &[Lack]) {
        if !self.is_verbose {
            return;
        }
        for lack in lacks.iter().filter(|lack| !self.told.contains(lack)) {
            say(&lack.to_string());
        }
        self.told = lacks.to_vec();
    }

    /// Drives it to its end, or to Ctrl-C, and shows it after every step.
    pub(crate) fn follow<J: Job<Link = Sockets>>(
        &mut self,
        running: &mut Running<J>,
        mut show: impl FnMut(&mut Running<J>, &Names, Step) -> io::Result<()>,
    ) -> Result<(), Failure> {
        loop {
            let step = running.advance(Some(self.events.fd()))?;
            if step == Step::Woken {
                self.events.clear().map_err(Failure::events)?;
            }
            if self.events.interrupted() {
                running.interrupt();
            }
            self.names.receive();
            show(running, &self.names, step).map_err(Failure::Output)?;
            if step == Step::Done {
                return Ok(());
            }
        }
    }

    /// Waits for the names of these that are still asked for, as long as that is worth it; `show`
    /// is called for each.
    pub(crate) fn wait_for_names<I: Iterator<Item = IpAddr>>(
        &mut self,
        addresses: impl Fn() -> I,
        mut show: impl FnMut(&Names) -> io::Result<()>,
    ) -> Result<(), Failure> {
        while let Some(left) = self.names.patience(addresses()) {
            if self.events.interrupted()
                || !self
                    .events
                    .wait(false, Some(left))
                    .map_err(Failure::events)?
            {
                break;
            }
            self.names.receive();
            show(&self.names).map_err(Failure::Output)?;
        }
        Ok(())
    }

    /// Says why probes were sent, what arrived and was no answer, and what DNS did not say, to
    /// those who want to know.
    pub(crate) fn explain(&self, reasons: Reasons, forged: u32, rejected: Rejected) {
        if !self.is_verbose {
            return;
        }
        let sent = [
            (reasons.sweep, "in the sweep"),
            (reasons.attempts, "further attempts"),
            (reasons.retries, "retries"),
            (reasons.rechecks, "rechecks"),
            (reasons.knocks, "to learn the distance"),
            (
                reasons.checks,
                "to check that it is the target that answers",
            ),
        ];
        say(&format!("sent: {}", listed(&sent)));
        let rejected = [
            (forged, "forged"),
            (rejected.bad_checksum, "bad checksum"),
            (rejected.malformed, "malformed"),
            (rejected.not_ours, "not ours"),
            (rejected.dropped, "dropped by the kernel"),
        ];
        say(&format!("rejected: {}", listed(&rejected)));
        let unconfined = self.names.unconfined();
        unconfined
            .iter()
            .for_each(|what| say(&format!("lookups not confined in full: {what}")));
        let unanswered = self.names.unanswered();
        if unanswered > 0 {
            say(&format!(
                "no answer from DNS about the ASes of {unanswered} addresses"
            ));
        }
    }
}

/// The counts that aren't zero, as a list.
fn listed<N: Copy + Default + PartialOrd + Display>(counts: &[(N, &str)]) -> String {
    let there = counts.iter().filter(|(count, _)| *count > N::default());
    let there: Vec<String> = there.map(|(count, of)| format!("{count} {of}")).collect();
    match there.is_empty() {
        true => "nothing".to_owned(),
        false => there.join(", "),
    }
}
