//! Threads that do one kind of work side by side.

use std::fmt;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::atomic::{AtomicBool, AtomicIsize, Ordering::SeqCst};
use std::sync::mpsc::{self, Receiver, Sender};
use std::sync::{Arc, Mutex, PoisonError};
use std::{io, thread};

/// The stack of a thread, in octets.
const STACK: usize = 256 << 10;

/// Threads that do one kind of work side by side, started as they are needed. When this is dropped
/// they end what they are doing, and begin nothing else. A panic ends the work that it is in, and
/// nothing else.
pub struct Threads<W> {
    requests: Sender<W>,
    shared: Arc<Shared<W>>,
    started: usize,
    most: usize,
    name: &'static str,
}

struct Shared<W> {
    queue: Mutex<Receiver<W>>,
    /// Threads that have nothing to do, and to which nothing was promised; below zero, work that
    /// waits.
    free: AtomicIsize,
    work: Box<dyn Fn(W) + Send + Sync>,
    /// Whether nothing is to be begun any more.
    is_over: AtomicBool,
}

impl<W: Send + 'static> Threads<W> {
    /// At most so many threads, all of one name.
    pub fn new(name: &'static str, most: usize, work: impl Fn(W) + Send + Sync + 'static) -> Self {
        let (requests, queue) = mpsc::channel();
        let shared = Shared {
            queue: Mutex::new(queue),
            free: AtomicIsize::new(0),
            work: Box::new(work),
            is_over: AtomicBool::new(false),
        };
        Self {
            requests,
            shared: Arc::new(shared),
            started: 0,
            most,
            name,
        }
    }

    /// Gives work to a thread that is free, or to a new one.
    ///
    /// # Errors
    /// The work, if all threads are busy.
    pub fn give(&mut self, work: W) -> Result<(), W> {
        if !self.take_free() && !self.start() {
            return Err(work);
        }
        self.requests.send(work).map_err(|unsent| unsent.0)
    }

    /// The same, but work waits until a thread is free, which then isn't for other work.
    ///
    /// # Errors
    /// The work, if no thread can be started at all.
    pub fn queue(&mut self, work: W) -> Result<(), W> {
        let work = match self.give(work) {
            Err(work) if self.started > 0 => work,
            done => return done,
        };
        self.shared.free.fetch_sub(1, SeqCst);
        self.requests.send(work).map_err(|unsent| unsent.0)
    }

    fn take_free(&self) -> bool {
        let take = |free| (free > 0).then(|| free - 1);
        self.shared.free.fetch_update(SeqCst, SeqCst, take).is_ok()
    }

    fn start(&mut self) -> bool {
        let is_started =
            self.started < self.most && start(self.name, Arc::clone(&self.shared)).is_ok();
        self.started += usize::from(is_started);
        is_started
    }
}

impl<W> Drop for Threads<W> {
    fn drop(&mut self) {
        self.shared.is_over.store(true, SeqCst);
    }
}

fn start<W: Send + 'static>(name: &str, shared: Arc<Shared<W>>) -> io::Result<()> {
    let next = |shared: &Shared<W>| {
        let queue = shared.queue.lock();
        queue.unwrap_or_else(PoisonError::into_inner).recv()
    };
    let run = move || {
        while let Ok(work) = next(&shared) {
            if shared.is_over.load(SeqCst) {
                return;
            }
            // A thread that a panic ended would be counted on for ever.
            let _ = catch_unwind(AssertUnwindSafe(|| (shared.work)(work)));
            shared.free.fetch_add(1, SeqCst);
        }
    };
    let thread = thread::Builder::new().name(name.into());
    thread.stack_size(STACK).spawn(run).map(drop)
}

impl<W> fmt::Debug for Threads<W> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { started, most, .. } = self;
        f.debug_struct("Threads")
            .field("started", started)
            .field("most", most)
            .finish_non_exhaustive()
    }
}
