//! Look-ups of what belongs to addresses and hosts: names, ASes, addresses of hosts.
//!
//! [`Request`] and [`Response`] are what may be asked and said. [`Request::answer`] looks one up
//! and waits for it; [`Lookups`] do so side by side, on threads. A program that reads what
//! strangers send had better look things up in another process, which has no privileges (see
//! [`privilege::confine_to_lookups`](crate::privilege::confine_to_lookups)): then the two go over a
//! pipe as [lines]. The command `hopshot` does that.
//!
//! The AS of an address comes from DNS ([`Zone`]) or from a file ([`Database`]).

mod database;
mod dns;
pub mod lines;
mod word;
mod zone;

pub use database::Database;
pub use word::{Word, Words};
pub use zone::{PUBLIC_ZONE, Zone};

use crate::bell::Bell;
use crate::error::Error;
use crate::resolve::resolve;
use crate::threads::Threads;
use hopshot_core::wire::AddressFamily;
use std::net::{IpAddr, SocketAddr};
use std::os::fd::{AsFd, BorrowedFd};
use std::sync::mpsc::{self, Receiver};

/// A request: what is to be looked up.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Request {
    /// The name of an address.
    Name(IpAddr),
    /// The ASes that announce an address.
    Origin(IpAddr),
    /// The name of an AS.
    As(u32),
    /// The address of a host.
    Find(Word, Wanted),
}

/// The response to a request.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Response {
    /// The name of an address; empty if it has none.
    Name(IpAddr, Word),
    /// The ASes that announce an address; `None` if no server said.
    Origin(IpAddr, Option<Vec<u32>>),
    /// The name of an AS; empty if nobody knows.
    As(u32, Words),
    /// The address of a host. An IPv6 flow label isn't part of it.
    Found(Word, SocketAddr),
    /// The reason why a host has no address.
    Lost(Word, Words),
    /// The reason why a host's address can't be found now. It may be found later.
    Later(Word, Words),
    /// A privilege that the helper could not give up.
    Unconfined(Words),
}

/// The family of a host's address.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Wanted {
    /// Any.
    Any,
    /// Only this one.
    Only(AddressFamily),
    /// This one if the host has an address of it.
    Rather(AddressFamily),
}

impl Request {
    /// Looks it up, and waits for the answer. Without a zone nothing is known of ASes.
    #[must_use]
    pub fn answer(self, zone: Option<&Zone>) -> Response {
        match self {
            Self::Name(address) => {
                Response::Name(address, Word::of(&name(address).unwrap_or_default()))
            }
            Self::Origin(address) => {
                Response::Origin(address, zone.and_then(|zone| zone.origin(address)))
            }
            Self::As(number) => {
                let name = zone.and_then(|zone| zone.name(number));
                Response::As(number, Words::of(&name.unwrap_or_default()))
            }
            Self::Find(host, family) => match find(host.as_str(), family) {
                Ok(address) => Response::Found(host, address),
                Err(error) if error.may_pass() => Response::Later(host, Words::of(&error.reason())),
                Err(error) => Response::Lost(host, Words::of(&error.to_string())),
            },
        }
    }
}

/// The address of a host.
fn find(host: &str, family: Wanted) -> Result<SocketAddr, Error> {
    match family {
        Wanted::Any => resolve(host, None),
        Wanted::Only(family) => resolve(host, Some(family)),
        Wanted::Rather(family) => match resolve(host, Some(family)) {
            Err(Error::NoSuchFamily { .. }) => resolve(host, None),
            found => found,
        },
    }
}

/// Returns the name of an address, if it has one, as the system's resolver says (a PTR record in
/// DNS). It waits for the answer. A stranger wrote it: see [`printable`](crate::printable).
#[must_use]
#[doc(alias = "getnameinfo")]
pub fn name(address: IpAddr) -> Option<String> {
    dns_lookup::lookup_addr(&address)
        .ok()
        .filter(|name| is_name(name))
}

/// Whether a PTR record says a name: not an address, nor the root of DNS, which some give to
/// addresses that have none.
fn is_name(name: &str) -> bool {
    !name.trim_matches('.').is_empty() && name.parse::<IpAddr>().is_err()
}

/// Look-ups side by side, on threads that are started as they are needed.
///
/// Its descriptor ([`AsFd`]) is readable when there is an answer to [`take`](Self::take): give it
/// to [`Running::advance`](crate::Running::advance), and no trace waits for a name.
#[derive(Debug)]
pub struct Lookups {
    threads: Threads<Request>,
    answers: Receiver<Response>,
    bell: Bell,
    pending: usize,
}

impl Lookups {
    /// Look-ups, at most so many at a time. Without a zone nothing is known of ASes.
    ///
    /// # Errors
    /// [`Error::System`] if this process may have no more descriptors.
    pub fn new(most: usize, zone: Option<Zone>) -> Result<Self, Error> {
        let (tell, answers) = mpsc::channel();
        let bell = Bell::new().map_err(Error::system("can't make a descriptor for look-ups"))?;
        let ring = bell.clone();
        let work = move |request: Request| {
            if tell.send(request.answer(zone.as_ref())).is_ok() {
                ring.ring();
            }
        };
        Ok(Self {
            threads: Threads::new("look-up", most, work),
            answers,
            bell,
            pending: 0,
        })
    }

    /// Looks something up as soon as a thread is free.
    ///
    /// # Errors
    /// The request, if this process may start no thread at all.
    pub fn ask(&mut self, request: Request) -> Result<(), Request> {
        self.threads.queue(request)?;
        self.pending += 1;
        Ok(())
    }

    /// Returns the next answer, if there is one. It never waits.
    pub fn take(&mut self) -> Option<Response> {
        let next = self.answers.try_recv().or_else(|_| {
            self.bell.clear();
            // It may have come in between.
            self.answers.try_recv()
        });
        let answer = next.ok()?;
        self.pending -= 1;
        Some(answer)
    }

    /// Returns how many answers are still to come.
    #[must_use]
    pub const fn pending(&self) -> usize {
        self.pending
    }
}

impl AsFd for Lookups {
    fn as_fd(&self) -> BorrowedFd<'_> {
        self.bell.as_fd()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use rustix::event::{PollFd, PollFlags};

    #[test]
    fn the_root_of_dns_and_an_address_are_no_names() {
        for none in ["", ".", "..", "192.0.2.1", "2001:db8::1"] {
            assert!(!is_name(none), "{none}");
        }
        assert!(is_name("gateway.home.example.") && is_name("a"));
    }

    #[test]
    fn every_request_has_an_answer_and_the_descriptor_says_so() {
        let mut lookups = Lookups::new(3, None).unwrap();
        let hosts = (1..=20).map(|host| format!("127.0.0.{host}"));
        for host in hosts {
            let request = Request::Find(Word::of(&host), Wanted::Any);
            lookups.ask(request).unwrap();
        }
        let mut found = Vec::new();
        while lookups.pending() > 0 {
            let mut fds = [PollFd::new(&lookups, PollFlags::IN)];
            rustix::event::poll(&mut fds, None).unwrap();
            while let Some(answer) = lookups.take() {
                let Response::Found(host, address) = answer else {
                    panic!("{answer:?}")
                };
                assert_eq!(address.ip().to_string(), host.as_str());
                found.push(host);
            }
        }
        assert_eq!(found.len(), 20);
    }
}
