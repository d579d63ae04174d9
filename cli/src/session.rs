//! What every way of running has beside its traces: names, signals, and the least privilege that they leave.

use crate::args::Args;
use crate::ases::Ases;
use crate::events::Events;
use crate::names::Names;
use hopshot_linux::{Rejected, SocketKind, privilege};
use std::io::{self, Write};

/// Names and events. It is made when the sockets are open, and before anything that arrived is read.
pub(crate) struct Session {
    pub(crate) names: Names,
    pub(crate) events: Events,
    is_verbose: bool,
    is_confined: bool,
}

impl Session {
    /// Gives up the privileges that opening sockets took, without a sandbox too: no option is to keep those of the owner of a
    /// set-user-ID program. Then, if something is to be looked up, it starts the helper for that, which so gets none either,
    /// and which finds the addresses of hosts too, if there are any to be found.
    pub(crate) fn new(args: &Args, ases: Ases, finds_hosts: bool) -> io::Result<Self> {
        privilege::renounce();
        let names = Names::start(!args.output.numeric, ases, finds_hosts);
        let events = names.with_fd(|fd| Events::new(Some(fd))).unwrap_or_else(|| Events::new(None))?;
        Ok(Self { names, events, is_verbose: args.output.verbose, is_confined: !args.no_sandbox })
    }

    /// Gives up everything else, by a call of the library: from here on no file, socket or program can be opened.
    pub(crate) fn confine(&self, sockets: impl IntoIterator<Item = SocketKind>, confine: impl FnOnce() -> Vec<String>) {
        let notes = if self.is_confined { confine() } else { Vec::new() };
        if !self.is_verbose {
            return;
        }
        for socket in sockets {
            let kind = match socket {
                SocketKind::Raw => "raw",
                SocketKind::Ping => "ping",
            };
            let _ = writeln!(io::stderr(), "hopshot: {kind} sockets");
        }
        for note in notes {
            let _ = writeln!(io::stderr(), "hopshot: not confined in full: {note}");
        }
    }

    /// Says what arrived and was no answer, to those who want to know.
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
        let _ = writeln!(io::stderr(), "hopshot: rejected: {said}");
    }
}
