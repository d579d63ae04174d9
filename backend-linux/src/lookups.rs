//! Look-ups of names, side by side on threads.

use crate::error::Error;
use crate::resolve::Resolver;
use hopshot_engine::Sample;
use rustix::event::{EventfdFlags, eventfd};
use std::collections::BTreeMap;
use std::net::SocketAddr;
use std::os::fd::OwnedFd;
use std::sync::mpsc::{self, Receiver, Sender};
use std::sync::{Arc, Mutex, PoisonError};
use std::thread;

/// Names that are looked up at a time.
const AT_ONCE: usize = 32;

/// The stack of a look-up's thread, in octets.
const STACK: usize = 256 << 10;

/// What came of a look-up, by its number.
type Found = (usize, Result<SocketAddr, Error>);

/// Names on their way.
pub(crate) struct Lookups {
    resolver: Arc<Resolver>,
    requests: Sender<(usize, String)>,
    queue: Arc<Mutex<Receiver<(usize, String)>>>,
    found: Receiver<Found>,
    tell: Sender<Found>,
    /// Readable when one was found; `None` where the kernel has none to give.
    bell: Option<Arc<OwnedFd>>,
    threads: usize,
    /// Those that were not taken yet, by number: the name, and its vote.
    asked: BTreeMap<usize, (String, Option<Sample>)>,
    next: usize,
}

impl Lookups {
    pub(crate) fn new(resolver: Arc<Resolver>, bell: Option<Arc<OwnedFd>>) -> Self {
        let (requests, queue) = mpsc::channel();
        let (tell, found) = mpsc::channel();
        Self {
            resolver,
            requests,
            queue: Arc::new(Mutex::new(queue)),
            found,
            tell,
            bell,
            threads: 0,
            asked: BTreeMap::new(),
            next: 0,
        }
    }

    /// Returns a descriptor that is rung when a name was found.
    pub(crate) fn bell() -> Option<Arc<OwnedFd>> {
        let flags = EventfdFlags::CLOEXEC | EventfdFlags::NONBLOCK;
        eventfd(0, flags).ok().map(Arc::new)
    }

    /// Looks a name up. Without a thread for it this takes as long as the look-up.
    pub(crate) fn ask(&mut self, name: String, sample: Option<Sample>) {
        let number = self.next;
        self.next += 1;
        if self.threads < AT_ONCE.min(self.asked.len() + 1) && self.start_thread() {
            self.threads += 1;
        }
        if self.threads == 0 {
            // Both ends of the channel are here.
            let _ = self.tell.send((number, self.resolver.resolve(&name)));
        } else {
            let _ = self.requests.send((number, name.clone()));
        }
        self.asked.insert(number, (name, sample));
    }

    fn start_thread(&self) -> bool {
        let Some(bell) = self.bell.clone() else {
            return false;
        };
        let (resolver, queue) = (Arc::clone(&self.resolver), Arc::clone(&self.queue));
        let tell = self.tell.clone();
        let work = move || {
            let next = || queue.lock().unwrap_or_else(PoisonError::into_inner).recv();
            while let Ok((number, name)) = next() {
                if tell.send((number, resolver.resolve(&name))).is_err() {
                    return;
                }
                // A bell that can't be rung has been rung already.
                let _ = rustix::io::write(&bell, &1_u64.to_ne_bytes());
            }
        };
        let thread = thread::Builder::new().name("name".into());
        thread.stack_size(STACK).spawn(work).is_ok()
    }

    /// Returns the next name that was looked up, its vote, and what came of it.
    pub(crate) fn take(&mut self) -> Option<(String, Option<Sample>, Result<SocketAddr, Error>)> {
        if let Some(bell) = &self.bell {
            let _ = rustix::io::read(bell, &mut [0_u8; 8]);
        }
        let (number, found) = self.found.try_recv().ok()?;
        let (name, sample) = self.asked.remove(&number)?;
        Some((name, sample, found))
    }

    /// Forgets all names that were not taken yet, and returns them. Look-ups that run are left to
    /// their end.
    pub(crate) fn give_up(&mut self) -> impl Iterator<Item = String> + use<> {
        let asked = std::mem::take(&mut self.asked);
        *self = Self::new(Arc::clone(&self.resolver), self.bell.clone());
        asked.into_values().map(|(name, _)| name)
    }

    /// Returns how many names were asked for and not taken yet.
    pub(crate) fn pending(&self) -> usize {
        self.asked.len()
    }

    /// Returns whether there is room for one more name: more are of no use, and memory is bounded.
    pub(crate) fn has_room(&self) -> bool {
        self.asked.len() < 2 * AT_ONCE
    }

    /// Returns whether names are looked up while others are traced.
    pub(crate) const fn has_threads(&self) -> bool {
        self.threads > 0
    }

    /// Returns the address of a host that needs no look-up.
    pub(crate) fn resolve(&self, host: &str) -> Result<SocketAddr, Error> {
        self.resolver.resolve(host)
    }

    /// Returns whether this machine has a name in its file of hosts.
    pub(crate) fn has_in_file(&self, name: &str) -> bool {
        self.resolver.has_in_file(name)
    }
}
