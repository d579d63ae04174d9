//! Why the command ends without a result.

use hopshot_linux::Error;
use rustix::io::Errno;
use std::io;

/// An end of the command without a result.
pub(crate) enum Failure {
    Trace(Error),
    /// The list of hosts can't be read: its name, and why.
    Input(String, io::Error),
    /// The file of AS numbers can't be used.
    Database(String, String),
    /// The user had enough before anything was known.
    Interrupted,
    /// The list of hosts is empty.
    NoHosts,
    /// There is nothing to show a view on, and no end of it.
    NoTerminal,
    /// The system refuses something beside the trace: what, why, and what can be done.
    System(&'static str, io::Error, &'static str),
    Output(io::Error),
}

impl From<Error> for Failure {
    fn from(error: Error) -> Self {
        Self::Trace(error)
    }
}

impl Failure {
    /// Of what is to be waited for beside the traces.
    pub(crate) fn events(error: io::Error) -> Self {
        let remedy = match Errno::from_io_error(&error) {
            Some(Errno::MFILE | Errno::NFILE) => "permit it more open files (ulimit -n 64)",
            Some(Errno::NOMEM | Errno::NOBUFS) => "this machine is short of memory",
            // A sandbox may pretend that the call, or the family of sockets, doesn't exist.
            _ => "a sandbox forbids it: permit the calls socketpair (AF_UNIX) and epoll_create1",
        };
        Self::System("can't wait for signals and names", error, remedy)
    }
}
