//! The helper that looks things up: this program once more, in a process of its own that never sees
//! a packet of a trace, since resolving names needs files, sockets and other people's code. It has
//! no capability and no way to any. Started by root, or by a set-user-ID program, it is nobody
//! (user 65534, where there is that user). Where the kernel can, it may read the files that
//! resolvers need and no other, write none, start threads and no process, and reach no other
//! process but by sockets: those of UDP and TCP, and those among files only where a resolver of
//! this machine has one. See [`privilege::confine_to_lookups`].
//!
//! It reads requests from the lines of standard input, writes answers to those of standard output,
//! and ends with its input: see [`protocol`].
//!
//! Who wants to know of ASes gives it the [zone](PUBLIC_ZONE) that tells them as a second argument,
//! and as a third the server to ask if it isn't one of the system's.

mod dns;
mod origin;
pub(crate) mod protocol;

pub(crate) use origin::PUBLIC_ZONE;
pub(crate) use protocol::Wanted;

use hopshot_linux::privilege::{self, Shortfall};
use hopshot_linux::{Error, resolve};
use origin::Zone;
use protocol::{Answer, Request, Word, Words};
use std::io::{self, BufRead, Write};
use std::net::{IpAddr, SocketAddr};
use std::process::ExitCode;
use std::sync::atomic::{AtomicIsize, Ordering::SeqCst};
use std::sync::mpsc::{self, Receiver};
use std::sync::{Arc, Mutex, PoisonError};
use std::thread::{self, JoinHandle};

/// The argument that makes this program the helper.
pub(crate) const ARGUMENT: &str = "--look-up-names";

/// Lookups at a time. Who asks for more about addresses is told that nothing is known.
const LOOKUPS: usize = 128;

/// Runs the helper. It gives up what it may not have before it reads anything.
pub(crate) fn run() -> ExitCode {
    match privilege::confine_to_lookups() {
        Ok(shortfalls) => {
            let tell = |shortfall: &Shortfall| {
                write(&Answer::Unconfined(Words::of(&shortfall.to_string())));
            };
            shortfalls.iter().for_each(tell);
        }
        Err(error) => {
            write(&Answer::Unconfined(Words::of(&error.to_string())));
            return ExitCode::from(2);
        }
    }
    let mut arguments = std::env::args().skip(2);
    let server = |argument: String| argument.parse().ok();
    let zone = arguments
        .next()
        .map(|zone| Zone::new(zone, arguments.next().and_then(server)));
    let (requests, queue) = mpsc::channel();
    let desk = Arc::new(Desk {
        queue: Mutex::new(queue),
        free: AtomicIsize::new(0),
        zone,
    });
    let mut threads = 0;
    for line in io::stdin().lock().lines() {
        let Ok(line) = line else { break };
        let Ok(request) = line.parse::<Request>() else {
            continue;
        };
        let promised = desk
            .free
            .fetch_update(SeqCst, SeqCst, |free| (free > 0).then(|| free - 1))
            .is_ok()
            || threads < LOOKUPS && work(Arc::clone(&desk)).map(|_| threads += 1).is_ok();
        match (promised, request) {
            (false, Request::Find(host, _)) if threads == 0 => {
                write(&Answer::Later(host, Words::of("no thread can be started")));
            }
            (false, Request::Name(address)) => write(&Answer::Name(address, Word::of(""))),
            (false, Request::Origin(address)) => write(&Answer::Origin(address, Some(Vec::new()))),
            (false, Request::As(number)) => write(&Answer::As(number, Words::of(""))),
            (promised, request) => {
                // Whoever wants an address can wait until a thread is free, which then isn't for
                // another.
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

/// The answer to a request.
fn answer(request: Request, zone: Option<&Zone>) -> Answer {
    match request {
        Request::Name(address) => {
            Answer::Name(address, Word::of(&name(address).unwrap_or_default()))
        }
        Request::Origin(address) => {
            Answer::Origin(address, zone.and_then(|zone| zone.origin(address)))
        }
        Request::As(number) => Answer::As(
            number,
            Words::of(&zone.and_then(|zone| zone.name(number)).unwrap_or_default()),
        ),
        Request::Find(host, family) => match find(host.as_str(), family) {
            Ok(address) => Answer::Found(host, address),
            Err(error) if error.may_pass() => Answer::Later(host, Words::of(&error.reason())),
            Err(error) => Answer::Lost(host, Words::of(&error.to_string())),
        },
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
        let next = || {
            desk.queue
                .lock()
                .unwrap_or_else(PoisonError::into_inner)
                .recv()
        };
        while let Ok(request) = next() {
            write(&answer(request, desk.zone.as_ref()));
            desk.free.fetch_add(1, SeqCst);
        }
    };
    thread::Builder::new()
        .name("name".into())
        .stack_size(256 * 1024)
        .spawn(work)
}

/// The name of an address, if it has one.
fn name(address: IpAddr) -> Option<String> {
    dns_lookup::lookup_addr(&address)
        .ok()
        .filter(|name| is_name(name))
}

/// Whether a PTR record says a name: not an address, nor the root of DNS, which some give to
/// addresses that have none.
fn is_name(name: &str) -> bool {
    !name.trim_matches('.').is_empty() && name.parse::<IpAddr>().is_err()
}

fn write(answer: &Answer) {
    let _ = io::stdout()
        .lock()
        .write_all(format!("{answer}\n").as_bytes());
}

#[cfg(test)]
mod tests {
    use super::is_name;

    #[test]
    fn the_root_of_dns_and_an_address_are_no_names() {
        for none in ["", ".", "..", "192.0.2.1", "2001:db8::1"] {
            assert!(!is_name(none), "{none}");
        }
        assert!(is_name("gateway.home.example.") && is_name("a"));
    }
}
