//! A trace while it runs, and its result.

use crate::clock::{self, Clocks};
use crate::driver::{CAPACITY, ClocksOf, Driver, Step};
use crate::{Error, Memory, SocketKind, privilege};
use hopshot_core::{Hop, Instant, ProbeId, Reply, StopReason, Tally, Tracer};
use std::net::IpAddr;
use std::os::fd::BorrowedFd;
use std::time::{Duration, SystemTime};

/// A trace that has been started: an iterator of the replies as they come, or, for a loop of one's own,
/// [`advance`](Self::advance).
pub struct Trace {
    memory: Memory,
    host: String,
    started: SystemTime,
    start: Instant,
    driver: Driver,
    number: usize,
}

impl Trace {
    pub(crate) fn new(memory: Memory, host: String, started: SystemTime, driver: Driver, number: usize) -> Self {
        Self { memory, host, started, start: clock::now(), driver, number }
    }

    /// Sends the first probes without reading an answer: for a process that has something to do meanwhile, such as to
    /// [`confine`](Self::confine) itself before it reads what strangers send. Ends early if an answer is there.
    ///
    /// # Errors
    /// [`Error::System`] if the kernel fails in what can't fail in ordinary use.
    pub fn launch(&mut self) -> Result<(), Error> {
        self.driver.launch()
    }

    /// Sleeps until there is something to do, then receives and sends what is due. `wake` is a descriptor of the caller's
    /// that ends the sleep when it becomes readable.
    ///
    /// # Errors
    /// [`Error::System`] if the kernel fails in what can't fail in ordinary use.
    pub fn advance(&mut self, wake: Option<BorrowedFd<'_>>) -> Result<Step, Error> {
        self.driver.advance(wake)
    }

    /// Ends the trace now, with what is known.
    pub fn interrupt(&mut self) {
        self.driver.interrupt();
    }

    /// The target's address.
    #[must_use]
    pub fn target(&self) -> IpAddr {
        self.tracer().config().target
    }

    /// Gives up everything that the rest of this trace doesn't need: see [`privilege::confine`]. Sockets of a later trace
    /// can't be opened in this process any more. Returns a sentence for each thing that could not be given up.
    pub fn confine(&self) -> Vec<String> {
        privilege::confine()
    }

    /// The kind of socket that was opened.
    #[must_use]
    pub fn socket(&self) -> SocketKind {
        self.driver.socket(self.number)
    }

    /// Which clocks the RTT of an answered probe is from.
    #[must_use]
    pub fn clocks(&self, probe: ProbeId) -> Clocks {
        self.driver.clocks(self.number).get(&probe).copied().unwrap_or_default()
    }

    /// What is known so far.
    #[must_use]
    pub fn route(&self) -> hopshot_core::Route<'_> {
        self.tracer().route()
    }

    /// The result: what is known now.
    #[must_use]
    pub fn finish(self) -> Route {
        let duration = clock::now().saturating_since(self.start);
        let Self { memory, host, started, driver, number, .. } = self;
        let config = driver.tracer(number).config();
        // From a hop in the middle the first answer may be the target's, and says nothing of its distance.
        if let (1, Some(distance)) = (config.first_hop, driver.tracer(number).route().distance()) {
            memory.learn(config.target, distance);
        }
        let socket = driver.socket(number);
        let (tracer, clocks) = driver.into_result(number);
        Route { host, started, duration, socket, tracer, clocks }
    }

    fn tracer(&self) -> &Tracer<CAPACITY> {
        self.driver.tracer(self.number)
    }
}

impl Iterator for Trace {
    type Item = Result<Reply, Error>;

    fn next(&mut self) -> Option<Self::Item> {
        loop {
            if let Some((_, reply)) = self.driver.take_reply() {
                return Some(Ok(reply));
            }
            match self.driver.advance(None) {
                Ok(Step::Done) => return self.driver.take_reply().map(|(_, reply)| Ok(reply)),
                Ok(Step::Running | Step::Woken) => {}
                Err(error) => {
                    self.driver.interrupt();
                    return Some(Err(error));
                }
            }
        }
    }
}

/// The path to a host.
pub struct Route {
    host: String,
    started: SystemTime,
    duration: Duration,
    socket: SocketKind,
    tracer: Box<Tracer<CAPACITY>>,
    clocks: ClocksOf,
}

impl Route {
    /// The host as it was given: a name or an address.
    #[must_use]
    pub fn host(&self) -> &str {
        &self.host
    }

    /// The address that was traced.
    #[must_use]
    pub fn target(&self) -> IpAddr {
        self.tracer.config().target
    }

    /// The address that the probes left from.
    #[must_use]
    pub fn source(&self) -> IpAddr {
        self.tracer.config().source
    }

    /// When the trace was started, on the wall clock.
    #[must_use]
    pub const fn started(&self) -> SystemTime {
        self.started
    }

    /// How long it took, names not included.
    #[must_use]
    pub const fn duration(&self) -> Duration {
        self.duration
    }

    /// Whether the target answered.
    #[must_use]
    pub fn reached(&self) -> bool {
        self.distance().is_some()
    }

    /// The hop of the target: the lowest hop limit that reached it.
    #[must_use]
    pub fn distance(&self) -> Option<u8> {
        self.tracer.route().distance()
    }

    /// Why the trace ended; `None` if it was still running when it was finished.
    #[must_use]
    pub fn stop_reason(&self) -> Option<StopReason> {
        self.tracer.route().stop_reason()
    }

    /// How many probes were sent.
    #[must_use]
    pub fn probes_sent(&self) -> usize {
        self.tracer.route().probes_sent()
    }

    /// The kind of socket that was used.
    #[must_use]
    pub const fn socket(&self) -> SocketKind {
        self.socket
    }

    /// Which clocks the RTT of an answered probe is from.
    #[must_use]
    pub fn clocks(&self, probe: ProbeId) -> Clocks {
        self.clocks.get(&probe).copied().unwrap_or_default()
    }

    /// What else arrived.
    #[must_use]
    pub fn tally(&self) -> Tally {
        self.tracer.route().tally()
    }

    /// The hops, in order.
    pub fn hops(&self) -> impl Iterator<Item = Hop<'_>> {
        self.tracer.route().hops()
    }
}
