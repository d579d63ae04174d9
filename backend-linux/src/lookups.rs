//! Names of lists: looked up side by side while others are traced.

use crate::bell::Bell;
use crate::error::Error;
use crate::resolve::Resolver;
use crate::threads::Threads;
use hopshot_engine::Sample;
use std::collections::BTreeMap;
use std::net::SocketAddr;
use std::sync::Arc;
use std::sync::mpsc::{self, Receiver, Sender};

/// Names that are looked up at a time.
const AT_ONCE: usize = 32;

/// What came of a look-up, by its number.
type Found = (usize, Result<SocketAddr, Error>);

/// Names on their way.
pub(crate) struct Lookups {
    resolver: Arc<Resolver>,
    threads: Threads<(usize, String)>,
    found: Receiver<Found>,
    tell: Sender<Found>,
    /// Rung when one was found.
    bell: Bell,
    /// Those that were not taken yet, by number: the name, and its vote.
    asked: BTreeMap<usize, (String, Option<Sample>)>,
    next: usize,
}

impl Lookups {
    pub(crate) fn new(resolver: Arc<Resolver>, bell: Bell) -> Self {
        let (tell, found) = mpsc::channel();
        let (threads_tell, threads_bell) = (tell.clone(), bell.clone());
        let threads_resolver = Arc::clone(&resolver);
        let threads = Threads::new(AT_ONCE, move |(number, name): (usize, String)| {
            let found = threads_resolver.resolve(&name);
            if threads_tell.send((number, found)).is_ok() {
                threads_bell.ring();
            }
        });
        Self {
            resolver,
            threads,
            found,
            tell,
            bell,
            asked: BTreeMap::new(),
            next: 0,
        }
    }

    /// Looks a name up. Without a thread for it this takes as long as the look-up.
    pub(crate) fn ask(&mut self, name: String, sample: Option<Sample>) {
        let number = self.next;
        self.next += 1;
        if let Err((number, name)) = self.threads.queue((number, name.clone())) {
            // Both ends of the channel are here.
            let _ = self.tell.send((number, self.resolver.resolve(&name)));
            self.bell.ring();
        }
        self.asked.insert(number, (name, sample));
    }

    /// Returns the next name that was looked up, its vote, and what came of it.
    pub(crate) fn take(&mut self) -> Option<(String, Option<Sample>, Result<SocketAddr, Error>)> {
        self.bell.clear();
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

    /// Returns the address of a host that needs no look-up.
    pub(crate) fn resolve(&self, host: &str) -> Result<SocketAddr, Error> {
        self.resolver.resolve(host)
    }

    /// Returns whether this machine has a name in its file of hosts.
    pub(crate) fn has_in_file(&self, name: &str) -> bool {
        self.resolver.has_in_file(name)
    }
}
