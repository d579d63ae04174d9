//! The lines of a list of hosts, from octets that come in pieces.

use crate::console::is_obeyed;
use std::collections::VecDeque;
use std::io;

/// The most octets of a host. A name has at most 253 (RFC 1035, section 2.3.4), and an address may
/// have a zone.
const LONGEST: usize = 300;
/// The most octets of a line, its comment included: a line without an end must not take all memory.
pub(super) const LONGEST_LINE: usize = 4096;

/// What was read and not yet handed out.
#[derive(Debug, Default)]
pub(crate) struct Lines {
    read: VecDeque<u8>,
    /// The lines that were handed out or passed over.
    number: usize,
}

impl Lines {
    /// Takes the next octets.
    pub(crate) fn take(&mut self, octets: &[u8]) {
        self.read.extend(octets);
    }

    /// Returns the encoding of the list, if it is another than ours: see [`encoding`].
    pub(crate) fn encoding(&self) -> Option<&'static str> {
        let first: Vec<u8> = self.read.iter().take(4).copied().collect();
        encoding(&first).filter(|_| self.number == 0)
    }

    /// Returns whether the octets to come may still tell [the encoding](Self::encoding).
    pub(crate) fn are_undecided(&self) -> bool {
        let is_mark = |octet: &u8| matches!(octet, 0 | 0xfe | 0xff);
        self.number == 0 && self.read.len() < 4 && self.read.iter().take(2).any(is_mark)
    }

    /// Returns the next line that isn't empty: its number, and the host or why there is none. The
    /// last line is whole when nothing `is_to_come`.
    pub(crate) fn next(&mut self, is_to_come: bool) -> Option<(usize, Result<String, String>)> {
        loop {
            let line = self.line(is_to_come)?;
            self.number += 1;
            if let Some(host) = found(self.number, &line) {
                return Some((self.number, host));
            }
        }
    }

    fn line(&mut self, is_to_come: bool) -> Option<Vec<u8>> {
        match self.read.iter().position(|octet| *octet == b'\n') {
            Some(end) => Some(self.read.drain(..=end).take(end).collect()),
            None if !is_to_come && !self.read.is_empty() => Some(self.read.drain(..).collect()),
            None => {
                // One octet too many stays, so that the line is still too long when its end comes.
                self.read.truncate(LONGEST_LINE + 1);
                None
            }
        }
    }
}

/// Returns the encoding of a list that begins so, as iconv names it, if that is UTF-16 or UTF-32:
/// it has such a mark, or a letter of ASCII in two or four octets. Without a mark the name must say
/// the order of octets.
pub(super) fn encoding(first: &[u8]) -> Option<&'static str> {
    match first {
        // This mark begins with that of UTF-16.
        [0xff, 0xfe, 0, 0, ..] | [0, 0, 0xfe, 0xff, ..] => Some("UTF-32"),
        [0xff, 0xfe, ..] | [0xfe, 0xff, ..] => Some("UTF-16"),
        [0, 0, 0, (1..), ..] => Some("UTF-32BE"),
        [(1..), 0, 0, 0, ..] => Some("UTF-32LE"),
        [0, (1..), ..] => Some("UTF-16BE"),
        [(1..), 0, ..] => Some("UTF-16LE"),
        _ => None,
    }
}

/// An explanation for those whose list has such an encoding.
pub(super) fn not_utf8(encoding: &str) -> io::Error {
    let why = format!(
        "it is in {encoding}, and must be in UTF-8: iconv -f {encoding} -t UTF-8 converts it"
    );
    io::Error::new(io::ErrorKind::InvalidData, why)
}

/// Returns the host of a line with this number, or why there is none; `None` if the line is empty.
pub(super) fn found(number: usize, line: &[u8]) -> Option<Result<String, String>> {
    // Some editors begin a file with a mark of its encoding.
    let marked = line.strip_prefix(b"\xef\xbb\xbf").filter(|_| number == 1);
    host_of(marked.unwrap_or(line)).transpose()
}

/// The host that a line names, if any.
pub(crate) fn host_of(line: &[u8]) -> Result<Option<String>, String> {
    let too_long = || Err("it is too long for a host".to_owned());
    if line.len() > LONGEST_LINE {
        return too_long();
    }
    let text = std::str::from_utf8(line).map_err(|_| "it isn't text".to_owned())?;
    let host = text.split('#').next().unwrap_or_default().trim();
    match host {
        "" => Ok(None),
        _ if host.len() > LONGEST => too_long(),
        _ if host.contains(|c: char| c.is_whitespace() || is_obeyed(c)) => Err(format!(
            "'{}' isn't one host; there must be one a line",
            host.escape_debug()
        )),
        _ => Ok(Some(host.to_owned())),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// The lines of octets that come in pieces of a size.
    fn all(octets: &[u8], size: usize) -> Vec<(usize, Result<String, String>)> {
        let (mut lines, mut found) = (Lines::default(), Vec::new());
        for piece in octets.chunks(size) {
            lines.take(piece);
            found.extend(std::iter::from_fn(|| lines.next(true)));
        }
        found.extend(std::iter::from_fn(|| lines.next(false)));
        found
    }

    #[test]
    fn a_line_says_the_same_however_it_comes_in_and_none_is_passed_over_silently() {
        let letters = "\u{e4}".repeat(1000);
        for (line, is_host) in [
            (format!("::1 # a{letters}"), true),
            (format!("::1 # {letters}"), true),
            (format!("{}::1", " ".repeat(1000)), true),
            (format!("{}::1", " ".repeat(LONGEST_LINE)), false),
            (format!("::1 # {}", letters.repeat(3)), false),
            ("a".repeat(60_000), false),
        ] {
            let list = format!("::2\n{line}\n::3\n");
            for size in [1, 7, 601, 4096, list.len()] {
                let found = all(list.as_bytes(), size);
                assert_eq!(
                    (found.len(), found[1].0, found[1].1.is_ok()),
                    (3, 2, is_host),
                    "{size}: {line}"
                );
                assert_eq!(
                    [&found[0], &found[2]],
                    [&(1, Ok("::2".to_owned())), &(3, Ok("::3".to_owned()))]
                );
            }
        }
    }
}
