//! The helper that looks names up: this program once more, in a process of its own that never sees a packet and has no
//! privileges, since resolving names needs files, sockets and other people's code.
//!
//! It reads an address from each line of standard input and writes lines to standard output: the address, and after a space
//! its name if it has one. It ends with its input.

use hopshot_linux::privilege;
use std::io::{self, BufRead, Write};
use std::net::IpAddr;
use std::process::ExitCode;
use std::sync::atomic::{AtomicUsize, Ordering::SeqCst};
use std::sync::mpsc::{self, Receiver};
use std::sync::{Arc, Mutex, PoisonError};
use std::thread::{self, JoinHandle};

/// The argument that makes this program the helper.
pub(crate) const ARGUMENT: &str = "--look-up-names";

/// Lookups at a time. Who asks for more is told that there is no name.
const LOOKUPS: usize = 128;

/// Is the helper.
pub(crate) fn run() -> ExitCode {
    // Whoever started this has renounced already, unless that was not wanted.
    privilege::renounce();
    let (requests, queue) = mpsc::channel();
    let queue = Arc::new(Mutex::new(queue));
    // Threads that have nothing to do, and to which nothing was promised.
    let free = Arc::new(AtomicUsize::new(0));
    let mut threads = 0;
    for line in io::stdin().lock().lines() {
        let Ok(line) = line else { break };
        let Ok(address) = line.parse() else { continue };
        let promised = free.fetch_update(SeqCst, SeqCst, |free| free.checked_sub(1)).is_ok()
            || threads < LOOKUPS && work(Arc::clone(&queue), Arc::clone(&free)).map(|_| threads += 1).is_ok();
        if !promised || requests.send(address).is_err() {
            answer(address, None);
        }
    }
    // Lookups that still run end here too.
    ExitCode::SUCCESS
}

/// Starts a thread that takes addresses from the queue.
fn work(queue: Arc<Mutex<Receiver<IpAddr>>>, free: Arc<AtomicUsize>) -> io::Result<JoinHandle<()>> {
    let next = move || queue.lock().unwrap_or_else(PoisonError::into_inner).recv();
    let work = move || {
        while let Ok(address) = next() {
            answer(address, name(address).as_deref());
            free.fetch_add(1, SeqCst);
        }
    };
    thread::Builder::new().name("name".into()).stack_size(256 * 1024).spawn(work)
}

/// The name of an address. One that would break a line is none, and one that is an address is no name.
fn name(address: IpAddr) -> Option<String> {
    let name = dns_lookup::lookup_addr(&address).ok()?;
    (!name.contains(char::is_control) && name.parse::<IpAddr>().is_err()).then_some(name)
}

fn answer(address: IpAddr, name: Option<&str>) {
    let line = match name {
        Some(name) => format!("{address} {name}\n"),
        None => format!("{address}\n"),
    };
    let _ = io::stdout().lock().write_all(line.as_bytes());
}
