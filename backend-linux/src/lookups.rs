//! Names of lists: looked up side by side while others are traced.

use crate::bell::Bell;
use crate::error::Error;
use crate::resolve::Resolver;
use crate::threads::Threads;
use hopshot_engine::Sample;
use std::collections::{BTreeMap, VecDeque};
use std::net::SocketAddr;
use std::sync::Arc;
use std::sync::mpsc::{self, Receiver};

/// Names that are looked up at a time.
const AT_ONCE: usize = 32;

/// What came of a look-up, by its number.
type Found = (usize, Result<SocketAddr, Error>);

/// Names on their way.
pub(crate) struct Lookups {
    resolver: Arc<Resolver>,
    threads: Threads<(usize, String)>,
    found: Receiver<Found>,
    /// Rung when one was found.
    bell: Bell,
    /// Those that were heard of, in their order.
    ready: VecDeque<Found>,
    /// Those that were not taken yet, by number.
    asked: BTreeMap<usize, Asked>,
    next: usize,
}

/// A name that is looked up.
struct Asked {
    name: String,
    /// Its vote on the nearest hops, if it has one.
    sample: Option<Sample>,
    /// Whether the survey still knows of it, and tells what becomes of it.
    is_again: bool,
}

impl Lookups {
    pub(crate) fn new(resolver: Arc<Resolver>, bell: Bell) -> Self {
        let (tell, found) = mpsc::channel();
        let (its_resolver, its_bell) = (Arc::clone(&resolver), bell.clone());
        let threads = Threads::new(
            "look-up",
            AT_ONCE,
            move |(number, name): (usize, String)| {
                if tell.send((number, its_resolver.resolve(&name))).is_ok() {
                    its_bell.ring();
                }
            },
        );
        Self {
            resolver,
            threads,
            found,
            bell,
            ready: VecDeque::new(),
            asked: BTreeMap::new(),
            next: 0,
        }
    }

    /// Looks a name up. Without a thread for it this takes as long as the look-up.
    pub(crate) fn ask(&mut self, name: String, sample: Option<Sample>) {
        self.queue(Asked {
            name,
            sample,
            is_again: false,
        });
    }

    /// Looks a name up once more: the survey still knows of it.
    pub(crate) fn ask_again(&mut self, name: String) {
        self.queue(Asked {
            name,
            sample: None,
            is_again: true,
        });
    }

    fn queue(&mut self, asked: Asked) {
        let number = self.next;
        self.next += 1;
        if let Err((number, name)) = self.threads.queue((number, asked.name.clone())) {
            self.ready.push_back((number, self.resolver.resolve(&name)));
        }
        self.asked.insert(number, asked);
    }

    /// Collects what was found since the last time.
    pub(crate) fn collect(&mut self) {
        // First: what is found meanwhile rings again.
        self.bell.clear();
        self.ready.extend(self.found.try_iter());
    }

    /// Returns whether there is one to be taken.
    pub(crate) fn is_ready(&self) -> bool {
        !self.ready.is_empty()
    }

    /// Returns the next name that was looked up, its vote, and what came of it.
    pub(crate) fn take(&mut self) -> Option<(String, Option<Sample>, Result<SocketAddr, Error>)> {
        let (number, found) = self.ready.pop_front()?;
        let Asked { name, sample, .. } = self.asked.remove(&number)?;
        Some((name, sample, found))
    }

    /// Forgets all names that were not taken yet, and returns those that the survey doesn't know.
    /// Look-ups that run are left to their end.
    pub(crate) fn give_up(&mut self) -> impl Iterator<Item = String> + use<> {
        let asked = std::mem::take(&mut self.asked);
        *self = Self::new(Arc::clone(&self.resolver), self.bell.clone());
        let is_new = |asked: &Asked| !asked.is_again;
        asked.into_values().filter(is_new).map(|asked| asked.name)
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
