//! What is known of addresses, their names and the ASes that they belong to: looked up side by side
//! while the trace runs, by a helper (see [`lookup`](crate::lookup)) or, for ASes, in a file. A
//! lookup may take as long as it likes: nothing waits for it longer than [`PATIENCE`].

mod helper;

use crate::ases::Ases;
use crate::console::printable_words;
use helper::Helper;
use hopshot_linux::lookup::{Request, Response, Wanted, Word};
use hopshot_linux::{Error, Hop, Route, printable};
use std::cell::{Cell, RefCell};
use std::collections::HashMap;
use std::fmt;
use std::io;
use std::net::{IpAddr, SocketAddr};
use std::os::fd::{AsFd, BorrowedFd};
use std::time::{Duration, Instant};

/// The longest that a line waits for what is looked up.
pub(crate) const PATIENCE: Duration = Duration::from_millis(300);
/// The longest that the address of a host is waited for. The system's resolver gives up before: it
/// asks each of three servers twice, for 5 s (resolv.conf(5)).
const LONGEST_LOOKUP: Duration = Duration::from_secs(40);
/// A name in DNS has at most 253 characters (RFC 1035, section 2.3.4).
pub(crate) const LONGEST: usize = 253;
/// A helper has no more to say of what it could not give up.
const SHORTFALLS: usize = 8;
/// Addresses remembered, and ASes; with more those that are done with are forgotten.
const REMEMBERED: usize = 65_536;

/// What is known so far.
pub(crate) struct Names {
    wants_names: bool,
    ases: Ases,
    helper: RefCell<Option<Helper>>,
    /// Why there is no helper, if that isn't because nothing is to be asked.
    obstacle: Option<String>,
    addresses: RefCell<HashMap<IpAddr, Facts>>,
    /// What ASes are called.
    called: RefCell<HashMap<u32, Fact<String>>>,
    /// What the helper could not give up.
    unconfined: RefCell<Vec<String>>,
    /// Addresses about whose ASes no server said anything.
    unanswered: Cell<usize>,
    /// Hosts whose addresses are asked for: how often, and since when.
    wanted: RefCell<HashMap<String, (usize, Instant)>>,
    found: RefCell<Vec<(String, Result<SocketAddr, Error>)>>,
}

/// What is known of an address.
struct Facts {
    asked: Instant,
    name: Fact<String>,
    /// The ASes that announce it.
    origin: Fact<Vec<u32>>,
}

/// Something that was asked for.
enum Fact<T> {
    Pending,
    Known(T),
    Unknown,
}

impl<T> Fact<T> {
    const fn asked(asked: bool) -> Self {
        if asked { Self::Pending } else { Self::Unknown }
    }

    const fn known(&self) -> Option<&T> {
        match self {
            Self::Known(fact) => Some(fact),
            Self::Pending | Self::Unknown => None,
        }
    }

    const fn is_pending(&self) -> bool {
        matches!(self, Self::Pending)
    }

    /// Takes an answer, if none has come yet.
    fn fill(&mut self, answer: Option<T>) {
        if self.is_pending() {
            *self = answer.map_or(Self::Unknown, Self::Known);
        }
    }
}

/// The AS that an address belongs to; its text is what people write, `AS64500`, or
/// `AS64500/AS64501` where there are more.
pub(crate) struct Origin {
    pub(crate) number: u32,
    /// What the AS is called.
    pub(crate) name: Option<String>,
    /// The others that announce the address.
    pub(crate) more: Vec<u32>,
}

impl Origin {
    /// Returns the number with its name, `AS64500 EXAMPLE-NET`. With several ASes the name is left
    /// out: it would be unclear whose it is.
    pub(crate) fn with_name(&self) -> String {
        match &self.name {
            Some(name) if self.more.is_empty() => format!("{self} {name}"),
            _ => self.to_string(),
        }
    }
}

impl fmt::Display for Origin {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "AS{}", self.number)?;
        self.more
            .iter()
            .try_for_each(|number| write!(f, "/AS{number}"))
    }
}

impl Names {
    /// Names of addresses, if those are wanted, and their ASes. A helper is started if something is
    /// to be asked, as the addresses of hosts may be; without one to be had nothing becomes
    /// known.
    pub(crate) fn start(wants_names: bool, ases: Ases, wants_hosts: bool) -> Self {
        let asks = wants_names || wants_hosts || matches!(ases, Ases::Dns { .. });
        match asks.then(|| Helper::start(&ases)).transpose() {
            Ok(helper) => Self::with(wants_names, ases, helper),
            Err(error) => Self {
                obstacle: Some(error.to_string()),
                ..Self::with(wants_names, ases, None)
            },
        }
    }

    fn with(wants_names: bool, ases: Ases, helper: Option<Helper>) -> Self {
        Self {
            wants_names,
            ases,
            helper: RefCell::new(helper),
            obstacle: None,
            addresses: RefCell::default(),
            called: RefCell::default(),
            unconfined: RefCell::default(),
            unanswered: Cell::default(),
            wanted: RefCell::default(),
            found: RefCell::default(),
        }
    }

    /// Returns whether something of addresses is shown that only the helper finds.
    pub(crate) const fn are_shown(&self) -> bool {
        self.wants_names || matches!(self.ases, Ases::Dns { .. })
    }

    /// The same with another source of AS numbers.
    pub(crate) fn with_ases(self, ases: Ases) -> Self {
        Self { ases, ..self }
    }

    /// Calls `with` with the descriptor that becomes readable when [`receive`](Self::receive) has
    /// something to do. It may go away later, so it isn't returned.
    pub(crate) fn with_fd<T>(&self, with: impl FnOnce(BorrowedFd<'_>) -> T) -> Option<T> {
        self.helper
            .borrow()
            .as_ref()
            .map(|helper| with(helper.as_fd()))
    }

    /// Starts to look up what is wanted of an address, unless that was done.
    pub(crate) fn ask(&self, address: IpAddr) {
        let mut addresses = self.addresses.borrow_mut();
        if addresses.len() >= REMEMBERED {
            addresses.retain(|_, facts| facts.name.is_pending() || facts.origin.is_pending());
        }
        addresses.entry(address).or_insert_with(|| {
            let helper = self.helper.borrow();
            let ask = |request| helper.as_ref().is_some_and(|helper| helper.ask(&request));
            Facts {
                asked: Instant::now(),
                name: Fact::asked(self.wants_names && ask(Request::Name(address))),
                origin: match &self.ases {
                    Ases::Off => Fact::Unknown,
                    Ases::Dns { .. } => Fact::asked(ask(Request::Origin(address))),
                    Ases::Database(database) => match database.origin(address) {
                        Some((number, name)) => {
                            self.call(number, || {
                                name.map_or(Fact::Unknown, |name| {
                                    Fact::Known(printable_words(name))
                                })
                            });
                            Fact::Known(vec![number])
                        }
                        None => Fact::Unknown,
                    },
                },
            }
        });
    }

    /// Finds out what an AS is called, unless that was done.
    fn call(&self, number: u32, find: impl FnOnce() -> Fact<String>) {
        let mut called = self.called.borrow_mut();
        if called.len() >= REMEMBERED {
            called.retain(|_, name| name.is_pending());
        }
        called.entry(number).or_insert_with(find);
    }

    /// Asks for the address of a host. Returns false if that can't be asked now; if there [is
    /// nobody](Self::can_find) to ask it never can.
    pub(crate) fn find(&self, host: &str, family: Wanted) -> bool {
        let host = Word::of(host);
        let mut wanted = self.wanted.borrow_mut();
        if let Some((times, _)) = wanted.get_mut(host.as_str()) {
            *times += 1;
            return true;
        }
        let helper = self.helper.borrow();
        let asked = helper
            .as_ref()
            .is_some_and(|helper| helper.ask(&Request::Find(host.clone(), family)));
        if asked {
            wanted.insert(host.as_str().to_owned(), (1, Instant::now()));
        }
        asked
    }

    /// How many hosts are being looked for.
    pub(crate) fn wanted(&self) -> usize {
        self.wanted.borrow().values().map(|(times, _)| times).sum()
    }

    /// Looks for no host any longer. Returns those that it looked for, each as often as it was
    /// asked for.
    pub(crate) fn give_up(&self) -> Vec<String> {
        let wanted = self.wanted.take().into_iter();
        wanted
            .flat_map(|(host, (times, _))| std::iter::repeat_n(host, times))
            .collect()
    }

    /// The hosts whose addresses have been found since the last call, or why they have not.
    pub(crate) fn found(&self) -> Vec<(String, Result<SocketAddr, Error>)> {
        self.found.take()
    }

    /// Gives up look-ups that the helper has not answered for too long: it may have been stopped.
    /// Returns when there is a look-up to give up next.
    pub(crate) fn give_up_late(&self) -> Option<Duration> {
        let age = |asked: &Instant| asked.elapsed();
        let late = |(host, (_, asked)): (&String, &(usize, Instant))| {
            (age(asked) >= LONGEST_LOOKUP).then(|| host.clone())
        };
        let late: Vec<String> = self.wanted.borrow().iter().filter_map(late).collect();
        for host in late {
            let why = format!("no answer in {} s", LONGEST_LOOKUP.as_secs());
            self.end_look_up(&host, || Err(later(&host, &why)));
        }
        let wanted = self.wanted.borrow();
        wanted
            .values()
            .map(|(_, asked)| LONGEST_LOOKUP.saturating_sub(age(asked)))
            .min()
    }

    /// Why nothing can be looked up, if it was to be: no helper could be started, or it has ended
    /// since it could not give its privileges up.
    pub(crate) fn obstacle(&self) -> Option<String> {
        let ended = || {
            if self.can_find() {
                None
            } else {
                self.unconfined.borrow().last().cloned()
            }
        };
        self.obstacle.clone().or_else(ended)
    }

    /// Whether there is a helper that answers.
    pub(crate) fn can_find(&self) -> bool {
        self.helper.borrow().is_some()
    }

    /// Reads what the helper has found. A helper that ends, or talks nonsense, is let go, and
    /// nothing more becomes known.
    pub(crate) fn receive(&self) {
        let receive =
            |helper: &mut Helper| helper.receive(|line, helper| self.take_line(line, helper));
        let goes_on = self.helper.borrow_mut().as_mut().is_none_or(receive);
        if !goes_on {
            *self.helper.borrow_mut() = None;
            for facts in self.addresses.borrow_mut().values_mut() {
                facts.name.fill(None);
                facts.origin.fill(None);
            }
            self.called
                .borrow_mut()
                .values_mut()
                .for_each(|name| name.fill(None));
            let wanted: Vec<String> = self.wanted.borrow().keys().cloned().collect();
            let why = self
                .obstacle()
                .map_or(String::new(), |why| format!(": {why}"));
            let gone = |host| {
                Error::NoResolver(format!(
                    "the address of '{host}' can't be looked up any more{why}"
                ))
            };
            wanted
                .iter()
                .for_each(|host| self.end_look_up(host, || Err(gone(host))));
        }
    }

    /// A host that was asked for is found, or is not.
    fn end_look_up(&self, host: &str, found: impl Fn() -> Result<SocketAddr, Error>) {
        if let Some((times, _)) = self.wanted.borrow_mut().remove(host) {
            self.found
                .borrow_mut()
                .extend((0..times).map(|_| (host.to_owned(), found())));
        }
    }

    /// Takes a line of the helper: only what was asked for, and only once.
    fn take_line(&self, line: &str, helper: &Helper) {
        let known = |text: &str| (!text.is_empty()).then(|| text.to_owned());
        match line.parse() {
            // Whoever owns an address, or an AS, owns its name; and what a stranger's server said
            // may be why there is none.
            Ok(Response::Name(address, name)) => self.update(address, |facts| {
                facts
                    .name
                    .fill(known(name.as_str()).map(|name| printable(&name, LONGEST)));
            }),
            Ok(Response::Origin(address, numbers)) => self.update(address, |facts| {
                if facts.origin.is_pending() && numbers.is_none() {
                    self.unanswered.set(self.unanswered.get() + 1);
                }
                facts.origin.fill(numbers);
                if let Some(number) = facts.origin.known().and_then(|numbers| numbers.first()) {
                    self.call(*number, || Fact::asked(helper.ask(&Request::As(*number))));
                }
            }),
            Ok(Response::As(number, name)) => {
                if let Some(fact) = self.called.borrow_mut().get_mut(&number) {
                    fact.fill(known(name.as_str()).map(|name| printable_words(&name)));
                }
            }
            Ok(Response::Found(host, address)) => self.end_look_up(host.as_str(), || Ok(address)),
            Ok(Response::Lost(host, why)) => {
                self.end_look_up(host.as_str(), || {
                    Err(Error::LookUp(why.as_str().to_owned()))
                });
            }
            Ok(Response::Later(host, why)) => {
                self.end_look_up(host.as_str(), || Err(later(host.as_str(), why.as_str())));
            }
            Ok(Response::Unconfined(what)) => {
                let mut unconfined = self.unconfined.borrow_mut();
                // Not without end, whatever the helper writes.
                if unconfined.len() < SHORTFALLS {
                    unconfined.push(what.as_str().to_owned());
                }
            }
            Err(_) => {}
        }
    }

    /// Something has become known of an address, if it was asked about.
    fn update(&self, address: IpAddr, update: impl FnOnce(&mut Facts)) {
        if let Some(facts) = self.addresses.borrow_mut().get_mut(&address) {
            update(facts);
        }
    }

    /// What the helper could not give up, as far as it has said.
    pub(crate) fn unconfined(&self) -> Vec<String> {
        self.unconfined.borrow().clone()
    }

    /// About how many addresses no server has said to which ASes they belong, so far.
    pub(crate) fn unanswered(&self) -> usize {
        let pending = self
            .addresses
            .borrow()
            .values()
            .filter(|facts| facts.origin.is_pending())
            .count();
        pending + self.unanswered.get()
    }

    /// The name of an address, if it is known.
    pub(crate) fn of(&self, address: IpAddr) -> Option<String> {
        self.addresses.borrow().get(&address)?.name.known().cloned()
    }

    /// The AS of an address, if it is known.
    pub(crate) fn origin(&self, address: IpAddr) -> Option<Origin> {
        let addresses = self.addresses.borrow();
        let (number, more) = addresses.get(&address)?.origin.known()?.split_first()?;
        let name = self
            .called
            .borrow()
            .get(number)
            .and_then(|name| name.known().cloned());
        Some(Origin {
            number: *number,
            name,
            more: more.to_vec(),
        })
    }

    /// How much longer it is worth waiting for what is asked of one of these.
    pub(crate) fn patience(&self, addresses: impl Iterator<Item = IpAddr>) -> Option<Duration> {
        let (facts, called) = (self.addresses.borrow(), self.called.borrow());
        let is_called = |origin: &Vec<u32>| {
            origin
                .first()
                .and_then(|number| called.get(number))
                .is_some_and(Fact::is_pending)
        };
        let is_pending = |facts: &&Facts| {
            facts.name.is_pending()
                || facts.origin.is_pending()
                || facts.origin.known().is_some_and(is_called)
        };
        let asked = addresses
            .filter_map(|address| facts.get(&address))
            .filter(is_pending)
            .map(|facts| facts.asked);
        asked
            .filter_map(|asked| PATIENCE.checked_sub(asked.elapsed()))
            .max()
    }
}

/// A look-up that failed, and may not the next time.
fn later(host: &str, why: &str) -> Error {
    Error::Resolve {
        host: host.to_owned(),
        reason: io::Error::other(why),
        may_pass: true,
    }
}

/// Who is on a route: those who answered, and the routers that it shares with other routes.
pub(crate) fn on_route(route: &Route) -> impl Iterator<Item = IpAddr> {
    route
        .shared()
        .filter_map(|shared| shared.from)
        .chain(replying(route.hops()))
}

/// Who answered at these hops.
pub(crate) fn replying<'r>(hops: impl Iterator<Item = Hop<'r>>) -> impl Iterator<Item = IpAddr> {
    hops.flat_map(|hop| hop.replies()).map(|reply| reply.from)
}

#[cfg(test)]
mod tests {
    use super::*;
    use hopshot_linux::lookup::lines::LONGEST_LINE;
    use std::io::{Read, Write};
    use std::os::unix::net::UnixStream;

    #[test]
    fn names_that_are_off_are_not_waited_for() {
        let names = Names::start(false, Ases::Off, false);
        let address = IpAddr::from([127, 0, 0, 1]);
        names.ask(address);
        assert_eq!(names.patience([address].into_iter()), None);
        assert!(names.of(address).is_none() && names.origin(address).is_none());
    }

    /// Names with a helper that the test plays itself.
    fn played() -> (Names, UnixStream) {
        let (stream, helper) = UnixStream::pair().unwrap();
        let ases = Ases::Dns {
            zone: "as.example".to_owned(),
            server: None,
        };
        (
            Names::with(true, ases, Some(Helper::new(stream).unwrap())),
            helper,
        )
    }

    const ADDRESSES: [[u8; 4]; 3] = [[192, 0, 2, 1], [192, 0, 2, 2], [192, 0, 2, 3]];

    #[test]
    fn a_name_is_taken_once_and_only_where_it_was_asked_for() {
        let [one, two, three] = ADDRESSES.map(IpAddr::from);
        let (names, mut helper) = played();
        names.ask(one);
        names.ask(two);
        helper.write_all(b"origin 192.0.2.1\norigin 192.0.2.2\nname 192.0.2.3 evil\nname 192.0.2.1 a\x1b b\n").unwrap();
        helper
            .write_all(b"name 192.0.2.1 other\nnonsense\nname 192.0")
            .unwrap();
        names.receive();
        assert_eq!(names.of(one).as_deref(), Some(r"a\u{1b}\u{20}b"));
        assert_eq!((names.of(two), names.of(three)), (None, None));
        assert!(names.patience([two].into_iter()).is_some());
        helper.write_all(b".2.2\n").unwrap();
        names.receive();
        assert_eq!(
            (names.of(two), names.patience([one, two].into_iter())),
            (None, None)
        );
    }

    /// What the test was asked since the last time.
    fn asked(helper: &mut UnixStream) -> String {
        let mut octets = [0; 4096];
        let len = helper.read(&mut octets).unwrap();
        String::from_utf8_lossy(&octets[..len]).into_owned()
    }

    #[test]
    fn an_as_is_asked_for_its_name_once_however_many_addresses_it_has() {
        let [one, two, three] = ADDRESSES.map(IpAddr::from);
        let (names, mut helper) = played();
        [one, two, two, three]
            .into_iter()
            .for_each(|address| names.ask(address));
        helper
            .write_all(b"name 192.0.2.1\nname 192.0.2.2\nname 192.0.2.3\n")
            .unwrap();
        helper
            .write_all(
                b"origin 192.0.2.1 64500\norigin 192.0.2.2 64500 64501\norigin 192.0.2.3 x\n",
            )
            .unwrap();
        assert_eq!(asked(&mut helper).matches("origin 192.0.2.2\n").count(), 1);
        names.receive();
        assert_eq!(asked(&mut helper), "as 64500\n");
        let origin = |address| {
            names
                .origin(address)
                .map(|origin| (origin.to_string(), origin.name))
        };
        let [alone, shared] = ["AS64500", "AS64500/AS64501"].map(str::to_owned);
        assert_eq!(
            [one, two, three].map(origin),
            [
                Some((alone.clone(), None)),
                Some((shared.clone(), None)),
                None
            ]
        );
        assert!(
            names.patience([one].into_iter()).is_some()
                && names.patience([three].into_iter()).is_none()
        );
        helper
            .write_all(b"as 64501 OTHER\nas 64500 EXAMPLE\x1b\x07  NET\nas 64500 OTHER\norigin 192.0.2.1 64501\n")
            .unwrap();
        names.receive();
        let called = Some(r"EXAMPLE\u{1b}\u{7} NET".to_owned());
        assert_eq!(
            [one, two].map(origin),
            [Some((alone, called.clone())), Some((shared, called))]
        );
        assert_eq!(names.patience([one, two].into_iter()), None);
    }

    #[test]
    fn addresses_that_no_server_says_anything_about_are_counted_once() {
        let [one, two, three] = ADDRESSES.map(IpAddr::from);
        let (names, mut helper) = played();
        [one, two, three]
            .into_iter()
            .for_each(|address| names.ask(address));
        helper
            .write_all(
                b"origin 192.0.2.1\norigin 192.0.2.2 ?\norigin 192.0.2.2 ?\nname 192.0.2.2\n",
            )
            .unwrap();
        names.receive();
        assert_eq!(
            (names.unanswered(), names.patience([two].into_iter())),
            (2, None)
        );
        helper.write_all(b"origin 192.0.2.3 64500\n").unwrap();
        names.receive();
        assert_eq!(names.unanswered(), 1);
    }

    #[test]
    fn the_name_of_an_as_is_waited_for_no_longer_than_its_address_is() {
        let one = IpAddr::from(ADDRESSES[0]);
        let (names, mut helper) = played();
        names.ask(one);
        std::thread::sleep(PATIENCE);
        helper
            .write_all(b"name 192.0.2.1\norigin 192.0.2.1 64500\n")
            .unwrap();
        names.receive();
        assert_eq!(
            (
                asked(&mut helper).contains("as 64500\n"),
                names.patience([one].into_iter())
            ),
            (true, None)
        );
    }

    #[test]
    fn a_helper_that_ends_or_never_ends_a_line_is_let_go() {
        let one = IpAddr::from(ADDRESSES[0]);
        let (names, helper) = played();
        names.ask(one);
        drop(helper);
        names.receive();
        assert_eq!(
            (names.patience([one].into_iter()), names.with_fd(|_| ())),
            (None, None)
        );

        let (names, mut helper) = played();
        names.ask(one);
        helper.write_all(&[b'a'; 2 * LONGEST_LINE]).unwrap();
        names.receive();
        assert_eq!(
            (names.patience([one].into_iter()), names.with_fd(|_| ())),
            (None, None)
        );
    }

    #[test]
    fn a_helper_that_does_not_read_is_not_waited_for() {
        let (names, _helper) = played();
        for number in 0..100_000_u32 {
            names.ask(IpAddr::from(number.to_be_bytes()));
        }
        assert_eq!(
            names.patience([IpAddr::from(99_999_u32.to_be_bytes())].into_iter()),
            None
        );
    }
}
