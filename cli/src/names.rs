//! Names of addresses, looked up side by side while the trace runs, by a helper: see [`lookup`]. A lookup may take as long as
//! it likes: nothing waits for it longer than [`PATIENCE`].

use crate::lookup;
use hopshot_linux::{Version, printable};
use std::cell::RefCell;
use std::collections::HashMap;
use std::io::{self, Read, Write};
use std::net::{IpAddr, SocketAddr};
use std::os::fd::{AsFd, BorrowedFd, OwnedFd};
use std::os::unix::net::UnixStream;
use std::os::unix::process::CommandExt;
use std::process::{Command, Stdio};
use std::time::{Duration, Instant};

/// The longest that a line waits for its names.
pub(crate) const PATIENCE: Duration = Duration::from_millis(300);
/// A name in DNS has at most 253 characters (RFC 1035, section 2.3.4).
pub(crate) const LONGEST: usize = 253;
/// A line of the helper has at most so many octets, else it isn't the helper's.
const LONGEST_LINE: usize = 4096;
/// Reads of the helper's output at a time.
const READS: usize = 64;
/// Addresses remembered; with more those that are done with are forgotten.
const REMEMBERED: usize = 65_536;

enum Lookup {
    Pending(Instant),
    Done(Option<String>),
}

/// The names known so far.
#[derive(Default)]
pub(crate) struct Names {
    lookups: RefCell<HashMap<IpAddr, Lookup>>,
    helper: RefCell<Option<Helper>>,
    /// Hosts whose addresses are asked for, and how often.
    wanted: RefCell<HashMap<String, usize>>,
    found: RefCell<Vec<(String, Result<SocketAddr, String>)>>,
}

/// The other end of a helper's input and output, and the line that it has begun.
struct Helper {
    stream: UnixStream,
    line: Vec<u8>,
}

impl Names {
    /// Names, and the helper that finds them. It gets the privileges that this process has now, and no descriptor of it.
    pub(crate) fn start() -> io::Result<Self> {
        let (stream, theirs) = UnixStream::pair()?;
        stream.set_nonblocking(true)?;
        let output = OwnedFd::from(theirs.try_clone()?);
        Command::new("/proc/self/exe")
            .arg(lookup::ARGUMENT)
            .stdin(OwnedFd::from(theirs))
            .stdout(output)
            .stderr(Stdio::null())
            // Ctrl-C is for this process; the helper ends when its input does.
            .process_group(0)
            .spawn()?;
        let helper = RefCell::new(Some(Helper { stream, line: Vec::new() }));
        Ok(Self { helper, ..Self::default() })
    }

    /// No names.
    pub(crate) fn off() -> Self {
        Self::default()
    }

    /// What becomes readable when [`hear`](Self::hear) has something to do; for `with`, since it may go away later.
    pub(crate) fn with_fd<T>(&self, with: impl FnOnce(BorrowedFd<'_>) -> T) -> Option<T> {
        self.helper.borrow().as_ref().map(|helper| with(helper.stream.as_fd()))
    }

    /// Starts a lookup, unless there was one.
    pub(crate) fn ask(&self, address: IpAddr) {
        let helper = self.helper.borrow();
        let Some(helper) = helper.as_ref() else { return };
        let mut lookups = self.lookups.borrow_mut();
        if lookups.len() >= REMEMBERED {
            lookups.retain(|_, lookup| matches!(lookup, Lookup::Pending(_)));
        }
        lookups.entry(address).or_insert_with(|| {
            // One that isn't taken at once, whole, gets no answer.
            match (&helper.stream).write_all(format!("{address}\n").as_bytes()) {
                Ok(()) => Lookup::Pending(Instant::now()),
                Err(_) => Lookup::Done(None),
            }
        });
    }

    /// Asks for the address of a host. Returns false if that can't be asked now; if there [is nobody](Self::can_find) to ask
    /// it never can.
    pub(crate) fn find(&self, host: &str, family: Option<Version>) -> bool {
        let family = match family {
            None => '*',
            Some(Version::V4) => '4',
            Some(Version::V6) => '6',
        };
        let mut wanted = self.wanted.borrow_mut();
        if let Some(times) = wanted.get_mut(host) {
            *times += 1;
            return true;
        }
        let helper = self.helper.borrow();
        let request = format!("find {family} {host}\n");
        let asked = helper.as_ref().is_some_and(|helper| (&helper.stream).write_all(request.as_bytes()).is_ok());
        if asked {
            wanted.insert(host.to_owned(), 1);
        }
        asked
    }

    /// How many hosts are being looked for.
    pub(crate) fn wanted(&self) -> usize {
        self.wanted.borrow().values().sum()
    }

    /// Looks for no host any longer.
    pub(crate) fn give_up(&self) {
        self.wanted.borrow_mut().clear();
    }

    /// The hosts whose addresses have been found since the last call, or why they have not.
    pub(crate) fn found(&self) -> Vec<(String, Result<SocketAddr, String>)> {
        self.found.take()
    }

    /// Whether there is a helper that answers.
    pub(crate) fn can_find(&self) -> bool {
        self.helper.borrow().is_some()
    }

    /// Reads what the helper has found. A helper that ends, or talks nonsense, is let go, and there are no more names.
    pub(crate) fn hear(&self) {
        let mut helper = self.helper.borrow_mut();
        let goes_on = helper.as_mut().is_none_or(|helper| self.read(helper));
        if !goes_on {
            *helper = None;
            for lookup in self.lookups.borrow_mut().values_mut().filter(|lookup| matches!(lookup, Lookup::Pending(_))) {
                *lookup = Lookup::Done(None);
            }
            let wanted: Vec<String> = self.wanted.borrow().keys().cloned().collect();
            wanted
                .iter()
                .for_each(|host| self.settle(host, &Err("its address can't be looked up any more".to_owned())));
        }
    }

    /// A host that was asked for is found, or is not.
    fn settle(&self, host: &str, found: &Result<SocketAddr, String>) {
        if let Some(times) = self.wanted.borrow_mut().remove(host) {
            self.found.borrow_mut().extend(std::iter::repeat_n((host.to_owned(), found.clone()), times));
        }
    }

    /// Returns whether more may come.
    fn read(&self, helper: &mut Helper) -> bool {
        let mut octets = [0; 4096];
        // Not without end, whatever the helper writes.
        for _ in 0..READS {
            match helper.stream.read(&mut octets) {
                Ok(0) => return false,
                Ok(len) => helper.line.extend_from_slice(&octets[..len]),
                Err(error) if error.kind() == io::ErrorKind::Interrupted => continue,
                Err(error) => return error.kind() == io::ErrorKind::WouldBlock,
            }
            while let Some(end) = helper.line.iter().position(|octet| *octet == b'\n') {
                let line: Vec<u8> = helper.line.drain(..=end).collect();
                self.learn(&String::from_utf8_lossy(&line[..end]));
            }
            if helper.line.len() > LONGEST_LINE {
                return false;
            }
        }
        true
    }

    /// Takes a line of the helper: only what was asked for, and only once.
    fn learn(&self, line: &str) {
        if let Some((host, rest)) = line.strip_prefix("found ").and_then(|line| line.split_once(' ')) {
            let address = rest.parse().map_err(|_| "its address can't be read".to_owned());
            return self.settle(host, &address);
        }
        if let Some((host, why)) = line.strip_prefix("lost ").and_then(|line| line.split_once(' ')) {
            // It may say what a stranger's server said.
            let visible = why.chars().filter(|c| *c == ' ' || c.is_ascii_graphic()).take(LONGEST_LINE).collect();
            return self.settle(host, &Err(visible));
        }
        let (address, name) = line.split_once(' ').map_or((line, None), |(address, name)| (address, Some(name)));
        if let Ok(address) = address.parse::<IpAddr>()
            && let Some(lookup @ Lookup::Pending(_)) = self.lookups.borrow_mut().get_mut(&address)
        {
            // Whoever owns an address owns its name.
            *lookup = Lookup::Done(name.map(|name| printable(name, LONGEST)));
        }
    }

    /// The name of an address, if it is known.
    pub(crate) fn of(&self, address: IpAddr) -> Option<String> {
        match self.lookups.borrow().get(&address) {
            Some(Lookup::Done(name)) => name.clone(),
            _ => None,
        }
    }

    /// How much longer it is worth waiting for the name of one of these.
    pub(crate) fn patience(&self, addresses: impl Iterator<Item = IpAddr>) -> Option<Duration> {
        let lookups = self.lookups.borrow();
        let left = addresses.filter_map(|address| match lookups.get(&address) {
            Some(Lookup::Pending(asked)) => PATIENCE.checked_sub(asked.elapsed()),
            _ => None,
        });
        left.max()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_that_are_off_are_not_waited_for() {
        let names = Names::off();
        let address = IpAddr::from([127, 0, 0, 1]);
        names.ask(address);
        assert_eq!(names.patience([address].into_iter()), None);
        assert_eq!(names.of(address), None);
    }

    /// Names with a helper that the test plays itself.
    fn played() -> (Names, UnixStream) {
        let (stream, helper) = UnixStream::pair().unwrap();
        stream.set_nonblocking(true).unwrap();
        let names = Names { helper: RefCell::new(Some(Helper { stream, line: Vec::new() })), ..Names::default() };
        (names, helper)
    }

    const ADDRESSES: [[u8; 4]; 3] = [[192, 0, 2, 1], [192, 0, 2, 2], [192, 0, 2, 3]];

    #[test]
    fn a_name_is_taken_once_and_only_where_it_was_asked_for() {
        let [one, two, three] = ADDRESSES.map(IpAddr::from);
        let (names, mut helper) = played();
        names.ask(one);
        names.ask(two);
        helper.write_all(b"192.0.2.3 evil\n192.0.2.1 a\x1b b\n192.0.2.1 other\nnonsense\n192.0").unwrap();
        names.hear();
        assert_eq!(names.of(one).as_deref(), Some(r"a\u{1b}\u{20}b"));
        assert_eq!((names.of(two), names.of(three)), (None, None));
        assert!(names.patience([two].into_iter()).is_some());
        helper.write_all(b".2.2\n").unwrap();
        names.hear();
        assert_eq!((names.of(two), names.patience([one, two].into_iter())), (None, None));
    }

    #[test]
    fn a_helper_that_ends_or_never_ends_a_line_is_let_go() {
        let one = IpAddr::from(ADDRESSES[0]);
        let (names, helper) = played();
        names.ask(one);
        drop(helper);
        names.hear();
        assert_eq!((names.patience([one].into_iter()), names.with_fd(|_| ())), (None, None));

        let (names, mut helper) = played();
        names.ask(one);
        helper.write_all(&[b'a'; 2 * LONGEST_LINE]).unwrap();
        names.hear();
        assert_eq!((names.patience([one].into_iter()), names.with_fd(|_| ())), (None, None));
    }

    #[test]
    fn a_helper_that_does_not_read_is_not_waited_for() {
        let (names, _helper) = played();
        for number in 0..100_000_u32 {
            names.ask(IpAddr::from(number.to_be_bytes()));
        }
        assert_eq!(names.patience([IpAddr::from(99_999_u32.to_be_bytes())].into_iter()), None);
    }
}
