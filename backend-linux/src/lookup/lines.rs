//! Requests and answers as lines, for the pipe to a helper that looks things up in a process of its
//! own: a [`Request`] in one direction, a [`Response`] in the other. Both ends read and write them
//! here.
//!
//! | request | answer |
//! | --- | --- |
//! | `name ADDRESS` | the same, and after a space the name if it has one |
//! | `origin ADDRESS` | the same, and after spaces the numbers of the ASes that announce it, if any are known; or `?` if no server said |
//! | `as NUMBER` | the same, and after a space what the AS is called, if that is known |
//! | `find FAMILY NAME` | `found NAME ADDRESS:PORT`, or `lost NAME` and why, or `later NAME` and why if another try may find it |
//!
//! Before the first answer the helper may write `unconfined` and what it could not give up, a line
//! each.
//!
//! A family is `4` or `6`, with a `?` behind it if another will do where the host has none of it,
//! or `*`.
//!
//! Text that strangers chose is a [`Word`] or [`Words`], however it came in. Neither can hold the
//! end of a line, so nobody's name can write an answer of its own.

use super::{Request, Response, Wanted, Word, Words};
use hopshot_core::wire::AddressFamily;
use std::fmt;
use std::str::FromStr;

/// The most octets of a line that an end waits for. No request or answer is as long.
pub const LONGEST_LINE: usize = 4096;
/// The most ASes that an answer names. No address has as many.
const MOST_ASES: usize = 32;
/// The place of the ASes where no server said.
const UNANSWERED: &str = "?";

/// A line that is no request or no answer.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Nonsense;

impl FromStr for Request {
    type Err = Nonsense;

    fn from_str(line: &str) -> Result<Self, Nonsense> {
        let (what, of) = line.split_once(' ').ok_or(Nonsense)?;
        Ok(match what {
            "name" => Self::Name(read(of)?),
            "origin" => Self::Origin(read(of)?),
            "as" => Self::As(read(of)?),
            "find" => {
                let (family, host) = of.split_once(' ').ok_or(Nonsense)?;
                Self::Find(Word::of(host), family.parse()?)
            }
            _ => return Err(Nonsense),
        })
    }
}

impl fmt::Display for Request {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Name(address) => write!(f, "name {address}"),
            Self::Origin(address) => write!(f, "origin {address}"),
            Self::As(number) => write!(f, "as {number}"),
            Self::Find(host, family) => write!(f, "find {family} {host}"),
        }
    }
}

impl FromStr for Response {
    type Err = Nonsense;

    fn from_str(line: &str) -> Result<Self, Nonsense> {
        let (what, rest) = line.split_once(' ').ok_or(Nonsense)?;
        if what == "unconfined" {
            return Ok(Self::Unconfined(Words::of(rest)));
        }
        let (of, rest) = rest.split_once(' ').unwrap_or((rest, ""));
        Ok(match what {
            "name" => Self::Name(read(of)?, Word::of(rest)),
            "origin" if rest == UNANSWERED => Self::Origin(read(of)?, None),
            // The address was asked about, so it gets an answer, even if the rest is none.
            "origin" => Self::Origin(read(of)?, Some(numbers(rest).unwrap_or_default())),
            "as" => Self::As(read(of)?, Words::of(rest)),
            "found" => match rest.parse() {
                Ok(address) => Self::Found(Word::of(of), address),
                // Nor may a host wait for ever.
                Err(_) => Self::Lost(Word::of(of), Words::of("its address can't be read")),
            },
            "lost" => Self::Lost(Word::of(of), Words::of(rest)),
            "later" => Self::Later(Word::of(of), Words::of(rest)),
            _ => return Err(Nonsense),
        })
    }
}

impl fmt::Display for Response {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Name(address, name) if name.as_str().is_empty() => write!(f, "name {address}"),
            Self::Name(address, name) => write!(f, "name {address} {name}"),
            Self::Origin(address, None) => write!(f, "origin {address} {UNANSWERED}"),
            Self::Origin(address, Some(numbers)) => {
                write!(f, "origin {address}")?;
                numbers
                    .iter()
                    .take(MOST_ASES)
                    .try_for_each(|number| write!(f, " {number}"))
            }
            Self::As(number, name) if name.as_str().is_empty() => write!(f, "as {number}"),
            Self::As(number, name) => write!(f, "as {number} {name}"),
            Self::Found(host, address) => write!(f, "found {host} {address}"),
            Self::Lost(host, why) => write!(f, "lost {host} {why}"),
            Self::Later(host, why) => write!(f, "later {host} {why}"),
            Self::Unconfined(what) => write!(f, "unconfined {what}"),
        }
    }
}

fn read<T: FromStr>(text: &str) -> Result<T, Nonsense> {
    text.parse().map_err(|_| Nonsense)
}

/// The numbers between spaces: all of them, or none.
fn numbers(text: &str) -> Option<Vec<u32>> {
    text.split(' ')
        .take(MOST_ASES)
        .map(|number| number.parse().ok())
        .collect()
}

impl Wanted {
    const ALL: [(&str, Self); 5] = [
        ("*", Self::Any),
        ("4", Self::Only(AddressFamily::V4)),
        ("6", Self::Only(AddressFamily::V6)),
        ("4?", Self::Rather(AddressFamily::V4)),
        ("6?", Self::Rather(AddressFamily::V6)),
    ];
}

impl FromStr for Wanted {
    type Err = Nonsense;

    fn from_str(text: &str) -> Result<Self, Nonsense> {
        Self::ALL
            .into_iter()
            .find_map(|(sign, wanted)| (sign == text).then_some(wanted))
            .ok_or(Nonsense)
    }
}

impl fmt::Display for Wanted {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let signs = Self::ALL.iter().find(|(_, wanted)| wanted == self);
        f.write_str(signs.map_or("*", |(sign, _)| sign))
    }
}

/// The lines in octets that come in pieces.
#[derive(Debug, Default)]
pub struct Lines(Vec<u8>);

impl Lines {
    /// Takes the next octets, and returns each line that they end.
    pub fn take(&mut self, octets: &[u8]) -> Vec<String> {
        let mut pieces = octets.split(|octet| *octet == b'\n');
        let last = pieces.next_back().unwrap_or_default();
        let mut lines = Vec::new();
        for piece in pieces {
            self.0.extend_from_slice(piece);
            lines.push(String::from_utf8_lossy(&std::mem::take(&mut self.0)).into_owned());
        }
        self.0.extend_from_slice(last);
        lines
    }

    /// Whether a line has begun that is longer than [`LONGEST_LINE`]. No end of the pipe writes
    /// one.
    pub fn is_too_long(&self) -> bool {
        self.0.len() > LONGEST_LINE
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::net::IpAddr;

    const V6: IpAddr = IpAddr::V6(std::net::Ipv6Addr::new(0x2001, 0xdb8, 0, 0, 0, 0, 0, 1));

    #[test]
    fn requests_and_answers_are_written_as_the_table_says_and_read_back() {
        let host = || Word::of("m\u{fc}nchen.example");
        for (request, line) in [
            (Request::Name(V6), "name 2001:db8::1"),
            (Request::Origin(V6), "origin 2001:db8::1"),
            (Request::As(64500), "as 64500"),
            (
                Request::Find(host(), Wanted::Rather(AddressFamily::V4)),
                "find 4? m\u{fc}nchen.example",
            ),
        ] {
            assert_eq!(
                (request.to_string().as_str(), line.parse()),
                (line, Ok(request))
            );
        }
        let at = "[fe80::1%3]:0".parse().unwrap();
        for (answer, line) in [
            (
                Response::Name(V6, Word::of("a.example")),
                "name 2001:db8::1 a.example",
            ),
            (Response::Name(V6, Word::of("")), "name 2001:db8::1"),
            (
                Response::Origin(V6, Some(vec![1, 2])),
                "origin 2001:db8::1 1 2",
            ),
            (Response::Origin(V6, Some(vec![])), "origin 2001:db8::1"),
            (Response::Origin(V6, None), "origin 2001:db8::1 ?"),
            (
                Response::As(1, Words::of("EXAMPLE NET")),
                "as 1 EXAMPLE NET",
            ),
            (Response::As(1, Words::of("")), "as 1"),
            (
                Response::Found(host(), at),
                "found m\u{fc}nchen.example [fe80::1%3]:0",
            ),
            (
                Response::Lost(host(), Words::of("no such host")),
                "lost m\u{fc}nchen.example no such host",
            ),
            (
                Response::Later(host(), Words::of("try again")),
                "later m\u{fc}nchen.example try again",
            ),
        ] {
            assert_eq!(
                (answer.to_string().as_str(), line.parse()),
                (line, Ok(answer))
            );
        }
    }

    #[test]
    fn what_is_no_line_of_the_table_is_nonsense_and_whoever_waits_gets_an_answer() {
        for line in [
            "",
            "name",
            "name x",
            "find *",
            "find 5 a",
            "as -1",
            "origin",
            "Name ::1",
            " name ::1",
        ] {
            assert_eq!(
                (line.parse::<Request>(), line.parse::<Response>()),
                (Err(Nonsense), Err(Nonsense)),
                "{line}"
            );
        }
        assert_eq!(
            "origin ::1 1 x".parse(),
            Ok(Response::Origin("::1".parse().unwrap(), Some(vec![])))
        );
        assert!(matches!("found a 1.2.3.4".parse(), Ok(Response::Lost(..))));
    }

    #[test]
    fn lines_come_whole_however_their_octets_do_and_one_without_an_end_is_too_long() {
        for size in 1..12 {
            let mut lines = Lines::default();
            let read: Vec<String> = b"one\n\ntw\xff\nthr"
                .chunks(size)
                .flat_map(|piece| lines.take(piece))
                .collect();
            assert_eq!(read, ["one", "", "tw\u{fffd}"]);
        }
        let mut lines = Lines::default();
        lines.take(&[b'a'; LONGEST_LINE]);
        assert!(!lines.is_too_long());
        lines.take(b"a");
        assert!(lines.is_too_long());
    }
}
