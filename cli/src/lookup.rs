//! The helper that looks names up: this program once more, in a process of its own that never sees a packet and has no
//! privileges, since resolving names needs files, sockets and other people's code.
//!
//! It reads requests from the lines of standard input, writes answers to those of standard output, and ends with its input:
//!
//! | request | answer |
//! | --- | --- |
//! | an address | the address, and after a space its name if it has one |
//! | `find * NAME`, `find 4 NAME`, `find 6 NAME` | `found NAME ADDRESS:PORT`, or `lost NAME` and why, to the end of the line |

use crate::names::LONGEST;
use hopshot_linux::{Version, printable, privilege, resolve};
use std::io::{self, BufRead, Write};
use std::net::IpAddr;
use std::process::ExitCode;
use std::sync::atomic::{AtomicIsize, Ordering::SeqCst};
use std::sync::mpsc::{self, Receiver};
use std::sync::{Arc, Mutex, PoisonError};
use std::thread::{self, JoinHandle};

/// The argument that makes this program the helper.
pub(crate) const ARGUMENT: &str = "--look-up-names";

/// Lookups at a time. Who asks for the names of more addresses is told that there are none.
const LOOKUPS: usize = 128;

/// Is the helper.
pub(crate) fn run() -> ExitCode {
    // Whoever started this has renounced already, unless that was not wanted.
    privilege::renounce();
    let (requests, queue) = mpsc::channel();
    let queue = Arc::new(Mutex::new(queue));
    // Threads that have nothing to do, and to which nothing was promised.
    let free = Arc::new(AtomicIsize::new(0));
    let mut threads = 0;
    for line in io::stdin().lock().lines() {
        let Ok(line) = line else { break };
        let Some(request) = Request::parse(&line) else { continue };
        let promised = free.fetch_update(SeqCst, SeqCst, |free| (free > 0).then(|| free - 1)).is_ok()
            || threads < LOOKUPS && work(Arc::clone(&queue), Arc::clone(&free)).map(|_| threads += 1).is_ok();
        match (promised, request) {
            (false, Request::Name(address)) => write(&format!("{address}\n")),
            (false, Request::Address(host, _)) if threads == 0 => {
                write(&format!("lost {host} no thread can be started\n"));
            }
            (promised, request) => {
                // Whoever wants an address can wait until a thread is free, which then isn't for another.
                if !promised {
                    free.fetch_sub(1, SeqCst);
                }
                let _ = requests.send(request);
            }
        }
    }
    // Lookups that still run end here too.
    ExitCode::SUCCESS
}

/// What is asked for.
enum Request {
    /// The name of an address.
    Name(IpAddr),
    /// The address of a host, of one family or of any.
    Address(String, Option<Version>),
}

impl Request {
    fn parse(line: &str) -> Option<Self> {
        let Some(find) = line.strip_prefix("find ") else { return line.parse().ok().map(Self::Name) };
        let (family, host) = find.split_once(' ')?;
        let family = match family {
            "4" => Some(Version::V4),
            "6" => Some(Version::V6),
            _ => None,
        };
        Some(Self::Address(host.to_owned(), family))
    }

    /// The answer, a whole line.
    fn answer(&self) -> String {
        match self {
            Self::Name(address) => match name(*address) {
                Some(name) => format!("{address} {name}\n"),
                None => format!("{address}\n"),
            },
            Self::Address(host, family) => match resolve(host, *family) {
                Ok(address) => format!("found {host} {address}\n"),
                Err(error) => format!("lost {host} {}\n", error.to_string().replace('\n', " ")),
            },
        }
    }
}

/// Starts a thread that takes requests from the queue.
fn work(queue: Arc<Mutex<Receiver<Request>>>, free: Arc<AtomicIsize>) -> io::Result<JoinHandle<()>> {
    let next = move || queue.lock().unwrap_or_else(PoisonError::into_inner).recv();
    let work = move || {
        while let Ok(request) = next() {
            write(&request.answer());
            free.fetch_add(1, SeqCst);
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
