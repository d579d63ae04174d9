//! The other end of the [helper](crate::lookup): requests go there and answers come back, a line
//! each, and nothing waits.

use crate::ases::Ases;
use crate::lookup;
use hopshot_linux::lookup::Request;
use hopshot_linux::lookup::lines::Lines;
use std::io::{self, Read, Write};
use std::os::fd::{AsFd, BorrowedFd, OwnedFd};
use std::os::unix::net::UnixStream;
use std::os::unix::process::CommandExt;
use std::process::{Command, Stdio};

/// Reads of the helper's output at a time.
const READS: usize = 64;

/// A helper's input and output.
pub(super) struct Helper {
    stream: UnixStream,
    lines: Lines,
}

impl Helper {
    /// Starts a helper. It gets the privileges that this process has now, and no descriptor of it.
    pub(super) fn start(ases: &Ases) -> io::Result<Self> {
        let (stream, theirs) = UnixStream::pair()?;
        let output = OwnedFd::from(theirs.try_clone()?);
        let mut command = Command::new("/proc/self/exe");
        command.arg(lookup::ARGUMENT);
        if let Ases::Dns { zone, server } = ases {
            command
                .arg(zone)
                .args(server.map(|server| server.to_string()));
        }
        command
            .stdin(OwnedFd::from(theirs))
            .stdout(output)
            .stderr(Stdio::null())
            // Ctrl-C is for this process; the helper ends when its input does.
            .process_group(0)
            .spawn()
            .map_err(|error| match error.kind() {
                io::ErrorKind::NotFound => {
                    io::Error::new(error.kind(), "there is no /proc/self/exe; mount /proc")
                }
                _ => error,
            })?;
        Self::new(stream)
    }

    pub(super) fn new(stream: UnixStream) -> io::Result<Self> {
        stream.set_nonblocking(true)?;
        Ok(Self {
            stream,
            lines: Lines::default(),
        })
    }

    /// Asks for something. Returns whether that will be answered: one that isn't taken at once,
    /// whole, won't be.
    pub(super) fn ask(&self, request: &Request) -> bool {
        (&self.stream)
            .write_all(format!("{request}\n").as_bytes())
            .is_ok()
    }

    /// Takes each line that has come. Returns whether more may come: not of a helper that ends, or
    /// talks nonsense.
    pub(super) fn receive(&mut self, mut take: impl FnMut(&str, &Self)) -> bool {
        let mut octets = [0; 4096];
        // Not without end, whatever the helper writes.
        for _ in 0..READS {
            let len = match self.stream.read(&mut octets) {
                Ok(0) => return false,
                Ok(len) => len,
                Err(error) if error.kind() == io::ErrorKind::Interrupted => continue,
                Err(error) => return error.kind() == io::ErrorKind::WouldBlock,
            };
            self.lines
                .take(&octets[..len])
                .iter()
                .for_each(|line| take(line, self));
            if self.lines.is_too_long() {
                return false;
            }
        }
        true
    }
}

impl AsFd for Helper {
    fn as_fd(&self) -> BorrowedFd<'_> {
        self.stream.as_fd()
    }
}
