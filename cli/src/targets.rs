//! The hosts of a survey: those of the command line, then those of a file or of standard input, one a line. `#` begins a comment.

mod lines;

use lines::{Lines, host_of};
use rustix::event::{PollFd, PollFlags, Timespec};
use std::collections::VecDeque;
use std::fs::File;
use std::io::{self, Read};
use std::os::fd::{AsFd, BorrowedFd};

/// What the input is called.
pub(crate) fn called(path: Option<&str>) -> String {
    match path {
        None | Some("-") => "standard input".to_owned(),
        Some(path) => format!("'{path}'"),
    }
}

/// The hosts that are left.
pub(crate) struct Targets {
    given: VecDeque<String>,
    input: Option<File>,
    lines: Lines,
}

/// What comes next.
#[derive(Debug, PartialEq, Eq)]
pub(crate) enum Next {
    Host(String),
    /// What names no host: the number of its line, or none if it is of the command line; and why not.
    Bad(Option<usize>, String),
    /// Nothing yet: there is more when the input is readable.
    Later,
    End,
}

impl Targets {
    /// Hosts, and a file of more: `-` is standard input.
    pub(crate) fn new(given: &[String], path: Option<&str>) -> io::Result<Self> {
        let input = match path {
            None => None,
            Some("-") => Some(File::from(io::stdin().as_fd().try_clone_to_owned()?)),
            Some(path) => Some(File::open(path)?),
        };
        Ok(Self { given: given.iter().cloned().collect(), input, lines: Lines::default() })
    }

    /// What to wait for when it is [`Next::Later`].
    pub(crate) fn input(&self) -> Option<BorrowedFd<'_>> {
        self.input.as_ref().map(File::as_fd)
    }

    /// Takes back a host that can't be taken now.
    pub(crate) fn put_back(&mut self, host: String) {
        self.given.push_front(host);
    }

    /// The next host, without waiting for it.
    pub(crate) fn next(&mut self) -> io::Result<Next> {
        if let Some(host) = self.given.pop_front() {
            return Ok(match host_of(host.as_bytes()) {
                Ok(Some(host)) => Next::Host(host),
                Ok(None) | Err(_) => Next::Bad(None, format!("'{}' is no host", host.escape_debug())),
            });
        }
        loop {
            if let Some((number, found)) = self.lines.next(self.input.is_some()) {
                return Ok(found.map_or_else(|why| Next::Bad(Some(number), why), Next::Host));
            }
            let Some(input) = &mut self.input else { return Ok(Next::End) };
            let mut fds = [PollFd::new(&*input, PollFlags::IN)];
            // A signal is no input.
            if !matches!(rustix::event::poll(&mut fds, Some(&Timespec::default())), Ok(1..)) {
                return Ok(Next::Later);
            }
            let mut octets = [0; 4096];
            match input.read(&mut octets) {
                Ok(0) => self.input = None,
                Ok(len) => self.lines.take(&octets[..len]),
                Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
                Err(error) => return Err(error),
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::io::Write;

    fn all(targets: &mut Targets) -> Vec<Next> {
        let mut found = Vec::new();
        loop {
            match targets.next().unwrap() {
                Next::End => return found,
                next => found.push(next),
            }
        }
    }

    fn from_octets(octets: &[u8]) -> Targets {
        let (reader, mut writer) = io::pipe().unwrap();
        writer.write_all(octets).unwrap();
        let input = Some(File::from(std::os::fd::OwnedFd::from(reader)));
        Targets { given: VecDeque::from(["first.example".to_owned()]), input, lines: Lines::default() }
    }

    fn host(text: &str) -> Next {
        Next::Host(text.to_owned())
    }

    #[test]
    fn a_line_names_a_host_comments_and_empty_lines_do_not_and_bad_lines_have_their_numbers() {
        let mut targets = from_octets(
            b"\xef\xbb\xbf192.0.2.1\n\n# all of it\n  fe80::1%eth0  # a neighbour\ntwo hosts\n\xff\r\n\xe2\x80\xaea\nlast.example",
        );
        let found = all(&mut targets);
        assert_eq!(found[..3], [host("first.example"), host("192.0.2.1"), host("fe80::1%eth0")]);
        assert!(matches!(&found[3], Next::Bad(Some(5), why) if why.contains("'two hosts'")), "{found:?}");
        assert_eq!(found[4], Next::Bad(Some(6), "it isn't text".to_owned()));
        assert!(matches!(&found[5], Next::Bad(Some(7), _)), "{found:?}");
        assert_eq!(found[6..], [host("last.example")]);
    }

    #[test]
    fn a_line_that_never_ends_is_one_bad_line_and_takes_no_memory() {
        let mut targets = from_octets(&[b'a'; 60_000]);
        assert_eq!(targets.next().unwrap(), host("first.example"));
        let next = targets.next().unwrap();
        assert!(matches!(next, Next::Bad(Some(1), _)), "{next:?}");
        assert_eq!(targets.next().unwrap(), Next::End);
    }

    #[test]
    fn what_the_command_line_gives_is_looked_at_as_a_line_is() {
        let given = ["two hosts", "a\nfind * b", "", "192.0.2.1"].map(str::to_owned);
        let found = all(&mut Targets::new(&given, None).unwrap());
        assert!(found[..3].iter().all(|next| matches!(next, Next::Bad(None, _))), "{found:?}");
        assert_eq!(found[3], host("192.0.2.1"));
    }

    #[test]
    fn input_that_is_not_there_yet_is_not_waited_for() {
        let (reader, mut writer) = io::pipe().unwrap();
        let input = Some(File::from(std::os::fd::OwnedFd::from(reader)));
        let mut targets = Targets { given: VecDeque::new(), input, lines: Lines::default() };
        assert_eq!(targets.next().unwrap(), Next::Later);
        writer.write_all(b"192.0.").unwrap();
        assert_eq!(targets.next().unwrap(), Next::Later);
        writer.write_all(b"2.1\n").unwrap();
        assert_eq!(targets.next().unwrap(), host("192.0.2.1"));
        drop(writer);
        assert_eq!(targets.next().unwrap(), Next::End);
    }
}
