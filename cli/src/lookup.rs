//! The helper that looks things up: this program once more, in a process of its own that never sees a packet of a trace, since
//! resolving names needs files, sockets and other people's code. It has no capability and no way to any. Started by root, or by a
//! set-user-ID program, it is nobody (user 65534, where there is that user). Where the kernel can, it may read the files that
//! resolvers need and no other, write none, start threads and no process, and reach no other process but by sockets: those of UDP
//! and TCP, and those among files only where a resolver of this machine has one. See [`privilege::confine_to_lookups`].
//!
//! It reads requests from the lines of standard input, writes answers to those of standard output, and ends with its input:
//!
//! | request | answer |
//! | --- | --- |
//! | `name ADDRESS` | the same, and after a space the name if it has one |
//! | `origin ADDRESS` | the same, and after spaces the numbers of the ASes that announce it, if any are known; or `?` if no server said |
//! | `as NUMBER` | the same, and after a space what the AS is called, if that is known |
//! | `find FAMILY NAME` | `found NAME ADDRESS:PORT`; or `lost NAME` and an error, or `later NAME` and the reason if it may be found later, to the end of the line |
//!
//! Before the first answer it may write `unconfined` and what it could not give up, a line each.
//!
//! A family is `4` or `6`, with a `?` behind it if another will do where the host has none of it, or `*`.
//!
//! Who wants to know of ASes gives it the [zone](PUBLIC_ZONE) that tells them as a second argument, and as a third the server
//! to ask if it isn't one of the system's.

mod dns;
mod origin;

pub(crate) use origin::PUBLIC_ZONE;

use crate::names::{LONGEST, printable_words};
use hopshot_linux::{Error, Version, printable, privilege, resolve};
use origin::Zone;
use std::fmt;
use std::io::{self, BufRead, Write};
use std::net::{IpAddr, SocketAddr};
use std::process::ExitCode;
use std::sync::atomic::{AtomicIsize, Ordering::SeqCst};
use std::sync::mpsc::{self, Receiver};
use std::sync::{Arc, Mutex, PoisonError};
use std::thread::{self, JoinHandle};

/// The argument that makes this program the helper.
pub(crate) const ARGUMENT: &str = "--look-up-names";

/// What stands for ASes where no server said.
pub(crate) const UNANSWERED: &str = "?";

/// Lookups at a time. Who asks for more about addresses is told that nothing is known.
const LOOKUPS: usize = 128;

/// Runs the helper. It gives up what it may not have before it reads anything.
pub(crate) fn run() -> ExitCode {
    match privilege::confine_to_lookups() {
        Ok(shortfalls) => shortfalls.iter().for_each(|shortfall| write(&format!("unconfined {shortfall}\n"))),
        Err(error) => {
            write(&format!("unconfined {error}\n"));
            return ExitCode::from(2);
        }
    }
    let mut arguments = std::env::args().skip(2);
    let server = |argument: String| argument.parse().ok();
    let zone = arguments.next().map(|zone| Zone::new(zone, arguments.next().and_then(server)));
    let (requests, queue) = mpsc::channel();
    let desk = Arc::new(Desk { queue: Mutex::new(queue), free: AtomicIsize::new(0), zone });
    let mut threads = 0;
    for line in io::stdin().lock().lines() {
        let Ok(line) = line else { break };
        let Some(request) = Request::parse(&line) else { continue };
        let promised = desk.free.fetch_update(SeqCst, SeqCst, |free| (free > 0).then(|| free - 1)).is_ok()
            || threads < LOOKUPS && work(Arc::clone(&desk)).map(|_| threads += 1).is_ok();
        match (promised, request) {
            (false, Request::Address(host, _)) if threads == 0 => {
                write(&format!("lost {host} no thread can be started\n"));
            }
            (false, Request::Name(_) | Request::Origin(_) | Request::As(_)) => write(&format!("{line}\n")),
            (promised, request) => {
                // Whoever wants an address can wait until a thread is free, which then isn't for another.
                if !promised {
                    desk.free.fetch_sub(1, SeqCst);
                }
                let _ = requests.send(request);
            }
        }
    }
    // Lookups that still run end here too.
    ExitCode::SUCCESS
}

/// The family of a host's address.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Wanted {
    Any,
    Only(Version),
    /// This one if the host has an address of it.
    Rather(Version),
}

impl Wanted {
    const ALL: [(&str, Self); 5] = [
        ("*", Self::Any),
        ("4", Self::Only(Version::V4)),
        ("6", Self::Only(Version::V6)),
        ("4?", Self::Rather(Version::V4)),
        ("6?", Self::Rather(Version::V6)),
    ];

    fn parse(text: &str) -> Option<Self> {
        Self::ALL.into_iter().find_map(|(sign, wanted)| (sign == text).then_some(wanted))
    }

    fn resolve(self, host: &str) -> Result<SocketAddr, Error> {
        match self {
            Self::Any => resolve(host, None),
            Self::Only(family) => resolve(host, Some(family)),
            Self::Rather(family) => match resolve(host, Some(family)) {
                Err(Error::NoSuchFamily { .. }) => resolve(host, None),
                found => found,
            },
        }
    }
}

impl fmt::Display for Wanted {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let signs = Self::ALL.iter().find(|(_, wanted)| wanted == self);
        f.write_str(signs.map_or("*", |(sign, _)| sign))
    }
}

/// What is asked for.
enum Request {
    /// The name of an address.
    Name(IpAddr),
    /// The ASes that announce an address.
    Origin(IpAddr),
    /// What an AS is called.
    As(u32),
    /// The address of a host.
    Address(String, Wanted),
}

impl Request {
    fn parse(line: &str) -> Option<Self> {
        let (what, of) = line.split_once(' ')?;
        Some(match what {
            "name" => Self::Name(of.parse().ok()?),
            "origin" => Self::Origin(of.parse().ok()?),
            "as" => Self::As(of.parse().ok()?),
            "find" => {
                let (family, host) = of.split_once(' ')?;
                Self::Address(host.to_owned(), Wanted::parse(family)?)
            }
            _ => return None,
        })
    }

    /// The answer, a whole line.
    fn answer(&self, zone: Option<&Zone>) -> String {
        match self {
            Self::Name(address) => match name(*address) {
                Some(name) => format!("name {address} {name}\n"),
                None => format!("name {address}\n"),
            },
            Self::Origin(address) => {
                let numbers = |numbers: Vec<u32>| numbers.iter().map(|number| format!(" {number}")).collect();
                let said = zone.and_then(|zone| zone.origin(*address)).map_or(format!(" {UNANSWERED}"), numbers);
                format!("origin {address}{said}\n")
            }
            Self::As(number) => match zone.and_then(|zone| zone.name(*number)) {
                Some(name) => format!("as {number} {}\n", printable_words(&name)),
                None => format!("as {number}\n"),
            },
            Self::Address(host, family) => match family.resolve(host) {
                Ok(address) => format!("found {host} {address}\n"),
                Err(error) if error.may_pass() => format!("later {host} {}\n", error.reason().replace('\n', " ")),
                Err(error) => format!("lost {host} {}\n", error.to_string().replace('\n', " ")),
            },
        }
    }
}

/// What the threads share.
struct Desk {
    queue: Mutex<Receiver<Request>>,
    /// Threads that have nothing to do, and to which nothing was promised.
    free: AtomicIsize,
    zone: Option<Zone>,
}

/// Starts a thread that takes requests from the queue.
fn work(desk: Arc<Desk>) -> io::Result<JoinHandle<()>> {
    let work = move || {
        let next = || desk.queue.lock().unwrap_or_else(PoisonError::into_inner).recv();
        while let Ok(request) = next() {
            write(&request.answer(desk.zone.as_ref()));
            desk.free.fetch_add(1, SeqCst);
        }
    };
    thread::Builder::new().name("name".into()).stack_size(256 * 1024).spawn(work)
}

/// The name of an address, on one line whatever its owner wrote. One that is an address is no name.
fn name(address: IpAddr) -> Option<String> {
    let name = dns_lookup::lookup_addr(&address).ok()?;
    name.parse::<IpAddr>().is_err().then(|| printable(&name, LONGEST))
}

fn write(line: &str) {
    let _ = io::stdout().lock().write_all(line.as_bytes());
}
