//! The hosts of a survey: those of the command line, then those of a file or of standard input, one
//! a line. `#` begins a comment.
//!
//! Most come in this order. But what the traces share is learnt from hosts that are drawn at
//! random, from all that there are: of a [file](mod@file) from all of it, of a [stream] from what
//! has come.

mod file;
mod lines;
mod next;
mod stream;

pub(crate) use next::Next;

use file::Lines;
use hopshot_linux::survey::Order;
use lines::host_of;
use next::next_of;
use std::fs::File;
use std::io;
use std::os::fd::{AsFd, BorrowedFd};
use stream::Stream;

/// What the input is called.
pub(crate) fn called(path: Option<&str>) -> String {
    match path {
        None | Some("-") => "standard input".to_owned(),
        Some(path) => format!("'{path}'"),
    }
}

/// The hosts that are left.
pub(crate) struct Targets {
    put_back: Option<String>,
    list: List,
}

enum List {
    File(Listed),
    Stream(Stream),
}

/// The hosts of the command line, then the lines of a file.
struct Listed {
    given: Vec<String>,
    lines: Lines,
    order: Order,
}

impl Targets {
    /// Hosts, and a file of more: `-` is standard input.
    pub(crate) fn new(given: &[String], path: Option<&str>) -> io::Result<Self> {
        let input = match path {
            None => None,
            Some("-") => Some(File::from(io::stdin().as_fd().try_clone_to_owned()?)),
            Some(path) => Some(File::open(path)?),
        };
        Self::of(given.to_vec(), input)
    }

    fn of(given: Vec<String>, input: Option<File>) -> io::Result<Self> {
        let list = match input {
            Some(file) if file.metadata()?.is_file() => {
                let lines = Lines::new(file)?;
                let order = Order::new(given.len() + lines.count());
                List::File(Listed {
                    given,
                    lines,
                    order,
                })
            }
            input => List::Stream(Stream::new(
                given.iter().map(|host| next_given(host)),
                input,
            )),
        };
        Ok(Self {
            put_back: None,
            list,
        })
    }

    /// What to wait for when it is [`Next::Later`].
    pub(crate) fn input(&self) -> Option<BorrowedFd<'_>> {
        match &self.list {
            List::File(_) => None,
            List::Stream(stream) => stream.input(),
        }
    }

    /// Takes back a host that can't be taken now.
    pub(crate) fn put_back(&mut self, host: String) {
        self.put_back = Some(host);
    }

    /// The next host, without waiting for it.
    pub(crate) fn next(&mut self) -> io::Result<Next> {
        if let Some(host) = self.put_back.take() {
            return Ok(Next::Host(host));
        }
        match &mut self.list {
            List::Stream(stream) => stream.next(),
            List::File(list) => loop {
                let Some(place) = list.order.next() else {
                    return Ok(Next::End);
                };
                if let Some(next) = list.at(place)? {
                    return Ok(next);
                }
            },
        }
    }

    /// A host, or what names none, from a random place of the whole list; `None` if there is
    /// nothing to draw, or not yet.
    pub(crate) fn draw(&mut self) -> io::Result<Option<Next>> {
        // The next host is one that was put back.
        if self.put_back.is_some() {
            return Ok(None);
        }
        match &mut self.list {
            List::Stream(stream) => Ok(stream.draw()),
            List::File(list) => loop {
                let Some(place) = list.order.draw() else {
                    return Ok(None);
                };
                if let Some(next) = list.at(place)? {
                    return Ok(Some(next));
                }
            },
        }
    }
}

impl Listed {
    fn at(&mut self, place: usize) -> io::Result<Option<Next>> {
        match place.checked_sub(self.given.len()) {
            None => Ok(Some(next_given(&self.given[place]))),
            Some(line) => {
                let found = lines::found(line + 1, &self.lines.line(line)?);
                Ok(found.map(|found| next_of(line + 1, found)))
            }
        }
    }
}

/// A host of the command line.
fn next_given(host: &str) -> Next {
    match host_of(host.as_bytes()) {
        Ok(Some(host)) => Next::Host(host),
        Ok(None) | Err(_) => Next::Bad(None, format!("'{}' is no host", host.escape_debug())),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use rustix::event::{PollFd, PollFlags, Timespec};
    use std::io::Write;
    use std::os::fd::OwnedFd;

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
        Targets::of(
            vec!["first.example".to_owned()],
            Some(File::from(OwnedFd::from(reader))),
        )
        .unwrap()
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
        assert_eq!(
            found[..3],
            [
                host("first.example"),
                host("192.0.2.1"),
                host("fe80::1%eth0")
            ]
        );
        assert!(
            matches!(&found[3], Next::Bad(Some(5), why) if why.contains("'two hosts'")),
            "{found:?}"
        );
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
        assert!(
            found[..3]
                .iter()
                .all(|next| matches!(next, Next::Bad(None, _))),
            "{found:?}"
        );
        assert_eq!(found[3], host("192.0.2.1"));
    }

    #[test]
    fn input_that_is_not_there_yet_is_not_waited_for() {
        let (reader, mut writer) = io::pipe().unwrap();
        let mut targets = Targets::of(Vec::new(), Some(File::from(OwnedFd::from(reader)))).unwrap();
        assert_eq!(targets.next().unwrap(), Next::Later);
        writer.write_all(b"192.0.").unwrap();
        assert_eq!(targets.next().unwrap(), Next::Later);
        writer.write_all(b"2.1\n").unwrap();
        assert_eq!(targets.next().unwrap(), host("192.0.2.1"));
        drop(writer);
        assert_eq!(targets.next().unwrap(), Next::End);
    }

    /// A file that has no name any more.
    fn from_file(name: &str, octets: &[u8]) -> Targets {
        let path = std::env::temp_dir().join(format!("hopshot-{name}-{}", std::process::id()));
        std::fs::write(&path, octets).unwrap();
        let file = File::open(&path).unwrap();
        std::fs::remove_file(path).unwrap();
        Targets::of(vec!["first.example".to_owned()], Some(file)).unwrap()
    }

    /// 1,000 lines, some of them no hosts or with long comments; each host is the number of its
    /// line.
    fn lines() -> Vec<String> {
        let line = |number: usize| match number % 10 {
            3 => "# a comment".to_owned(),
            5 => "two hosts".to_owned(),
            7 => format!("{number} # {}", "a long comment ".repeat(200)),
            _ => number.to_string(),
        };
        (1..=1000).map(line).collect()
    }

    /// Draws now and then.
    fn drawn_and_not(targets: &mut Targets) -> [Vec<Next>; 2] {
        let (mut drawn, mut others) = (Vec::new(), Vec::new());
        loop {
            if others.len() % 16 == 1 {
                drawn.extend(targets.draw().unwrap());
            }
            match targets.next().unwrap() {
                Next::End => return [drawn, others],
                next => others.push(next),
            }
        }
    }

    #[test]
    fn each_line_comes_once_with_its_number_whether_it_is_drawn_or_not() {
        let text = lines().join("\n");
        let (reader, mut writer) = io::pipe().unwrap();
        let (given, input) = (
            vec!["first.example".to_owned()],
            File::from(OwnedFd::from(reader)),
        );
        let octets = text.clone().into_bytes();
        std::thread::spawn(move || writer.write_all(&octets));
        for mut targets in [
            from_file("lines", text.as_bytes()),
            Targets::of(given, Some(input)).unwrap(),
        ] {
            // Of a pipe nothing is drawn, nor is anything taken here, before all is there.
            let first = loop {
                match targets.draw().unwrap() {
                    Some(next) => break next,
                    None => assert!(targets.input().is_some()),
                }
            };
            let [mut drawn, others] = drawn_and_not(&mut targets);
            drawn.push(first);
            assert!(drawn.len() > 30 && !drawn.iter().map(|next| format!("{next:?}")).is_sorted());
            let mut bad = Vec::new();
            let mut hosts = Vec::new();
            for next in drawn.into_iter().chain(others) {
                match next {
                    Next::Host(host) => hosts.push(host.parse().unwrap_or(0)),
                    Next::Bad(number, _) => bad.push(number.unwrap()),
                    Next::Later | Next::End => panic!("{next:?}"),
                }
            }
            hosts.sort_unstable();
            bad.sort_unstable();
            assert_eq!(bad, (5..1000).step_by(10).collect::<Vec<_>>());
            assert!(
                hosts
                    .into_iter()
                    .eq((0..=1000).filter(|number| number % 10 != 3 && number % 10 != 5))
            );
        }
    }

    #[test]
    fn of_lines_that_are_taken_as_they_come_none_is_drawn() {
        let (reader, mut writer) = io::pipe().unwrap();
        let mut targets = Targets::of(Vec::new(), Some(File::from(OwnedFd::from(reader)))).unwrap();
        for number in 0..100 {
            writer.write_all(format!("{number}\n").as_bytes()).unwrap();
            assert_eq!(
                (targets.draw().unwrap(), targets.next().unwrap()),
                (None, host(&number.to_string()))
            );
        }
        // The last few, which may be one and the same man's, neither.
        (100..140).for_each(|number| writer.write_all(format!("{number}\n").as_bytes()).unwrap());
        drop(writer);
        assert_eq!(
            (targets.draw().unwrap(), targets.next().unwrap()),
            (None, host("100"))
        );
        assert_eq!(
            (targets.draw().unwrap(), all(&mut targets).len()),
            (None, 39)
        );
    }

    /// Draws from a pipe as a survey does, and returns how many lines were drawn, and the most of
    /// 64 drawn one after another that are hostile. Those are the last of the list. Between its
    /// pieces so many lines are taken as they come.
    fn drawn_from_pipe(
        len: usize,
        hostile: usize,
        pieces: usize,
        between: usize,
    ) -> (usize, usize) {
        let text: String = (0..len)
            .map(|number| if number + hostile < len { "h\n" } else { "x\n" })
            .collect();
        let (reader, mut writer) = io::pipe().unwrap();
        let mut targets = Targets::of(Vec::new(), Some(File::from(OwnedFd::from(reader)))).unwrap();
        let (mut drawn, mut others) = (Vec::new(), 0);
        let mut take = || {
            if drawn.len() < 64 || others % 16 == 0 {
                drawn.extend(targets.draw().unwrap());
            }
            others += 1;
            targets.next().unwrap()
        };
        for (number, piece) in text
            .as_bytes()
            .chunks(text.len().div_ceil(pieces))
            .enumerate()
        {
            if number > 0 {
                (0..between).for_each(|_| drop(take()));
            }
            for part in piece.chunks(4096) {
                // A pipe is full where nothing more is read ahead.
                let is_full = |writer| {
                    let mut fds = [PollFd::new(writer, PollFlags::OUT)];
                    rustix::event::poll(&mut fds, Some(&Timespec::default())) == Ok(0)
                };
                while is_full(&writer) {
                    assert_ne!(take(), Next::End);
                }
                writer.write_all(part).unwrap();
            }
            assert_ne!(take(), Next::End);
        }
        drop(writer);
        while take() != Next::End {}
        let is_hostile: Vec<usize> = drawn
            .iter()
            .map(|next| usize::from(*next == host("x")))
            .collect();
        (
            drawn.len(),
            is_hostile
                .windows(64)
                .map(|window| window.iter().sum())
                .max()
                .unwrap_or(0),
        )
    }

    #[test]
    fn hostile_lines_at_the_end_of_a_pipe_are_drawn_no_more_often_than_others() {
        const STRETCH: usize = 65_536;
        let lengths = [
            1000,
            STRETCH + 40,
            STRETCH + 1799,
            2 * STRETCH - 1,
            2 * STRETCH + 1799,
            3 * STRETCH + 40_000,
        ];
        for len in lengths {
            let hostile = len.min(STRETCH) / 20;
            // At once; not much slower than it is taken; and slower.
            for (pieces, between) in [(1, 0), (8, 500), (8, 30_000), (50, 30_000)] {
                let (drawn, most) = drawn_from_pipe(len, hostile, pieces, between);
                assert!(
                    most < 16,
                    "{most} of 64 in {len} lines, {pieces} pieces, {between}"
                );
                assert!(
                    drawn > 64 + len / 40 || pieces > 1 || len < STRETCH,
                    "{drawn} of {len} lines"
                );
            }
        }
    }
}
