//! The hosts of a survey: those of the command line, then those of a file or of standard input, one a line. `#` begins a comment.

use crate::console::is_obeyed;
use rustix::event::{PollFd, PollFlags, Timespec};
use std::collections::VecDeque;
use std::fs::File;
use std::io::{self, Read};
use std::os::fd::{AsFd, BorrowedFd};

/// No host is longer: a name has at most 253 octets (RFC 1035, section 2.3.4), and an address may have a zone.
const LONGEST: usize = 300;

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
    read: VecDeque<u8>,
    lines: usize,
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
        Ok(Self { given: given.iter().cloned().collect(), input, read: VecDeque::new(), lines: 0 })
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
            if let Some(line) = self.line() {
                self.lines += 1;
                // Some editors begin a file with a mark of its encoding.
                let marked = line.strip_prefix(b"\xef\xbb\xbf").filter(|_| self.lines == 1);
                match host_of(marked.unwrap_or(&line)) {
                    Ok(None) => continue,
                    Ok(Some(host)) => return Ok(Next::Host(host)),
                    Err(why) => return Ok(Next::Bad(Some(self.lines), why)),
                }
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
                Ok(len) => self.read.extend(&octets[..len]),
                Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
                Err(error) => return Err(error),
            }
        }
    }

    /// Takes a whole line from what was read; the last one needs no end. Of one that is too long only the beginning is kept.
    fn line(&mut self) -> Option<Vec<u8>> {
        match self.read.iter().position(|octet| *octet == b'\n') {
            Some(end) => {
                let line = self.read.drain(..=end).take(end).collect();
                Some(line)
            }
            None if self.input.is_none() && !self.read.is_empty() => Some(self.read.drain(..).collect()),
            None => {
                self.read.truncate(2 * LONGEST);
                None
            }
        }
    }
}

/// The host that a line names, if any.
fn host_of(line: &[u8]) -> Result<Option<String>, String> {
    let text = std::str::from_utf8(line).map_err(|_| "it isn't text".to_owned())?;
    let host = text.split('#').next().unwrap_or_default().trim();
    match host {
        "" => Ok(None),
        _ if host.len() > LONGEST => Err("it is too long for a host".to_owned()),
        _ if host.contains(|c: char| c.is_whitespace() || is_obeyed(c)) => {
            Err(format!("'{}' isn't one host; there must be one a line", host.escape_debug()))
        }
        _ => Ok(Some(host.to_owned())),
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
        Targets { given: VecDeque::from(["first.example".to_owned()]), input, read: VecDeque::new(), lines: 0 }
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
        let mut targets = Targets { given: VecDeque::new(), input, read: VecDeque::new(), lines: 0 };
        assert_eq!(targets.next().unwrap(), Next::Later);
        writer.write_all(b"192.0.").unwrap();
        assert_eq!(targets.next().unwrap(), Next::Later);
        writer.write_all(b"2.1\n").unwrap();
        assert_eq!(targets.next().unwrap(), host("192.0.2.1"));
        drop(writer);
        assert_eq!(targets.next().unwrap(), Next::End);
    }
}
