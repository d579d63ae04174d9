//! A trace while it runs, and its result.

use crate::clock::{self, Clocks};
use crate::distance::{Distance, distance};
use crate::driver::{Driver, Step};
use crate::extensions::{Extensions, NONE};
use crate::near::{Head, Sample, Shared};
use crate::privilege::{self, Shortfalls};
use crate::running::{CAPACITY, ClocksOf, ExtensionsOf, Running};
use crate::{Error, Lack, Memory, Rejected, SocketKind, headers_len};
use hopshot_core::wire::Version;
use hopshot_core::{Failure, Hop, Instant, ProbeId, Reply, StopReason, Tally, Tracer};
use std::net::{IpAddr, SocketAddr};
use std::os::fd::{AsFd, BorrowedFd};
use std::time::{Duration, SystemTime};

/// A trace among those of a driver, and what the driver doesn't know of it.
pub(crate) struct Begun {
    pub(crate) number: usize,
    host: String,
    started: SystemTime,
    start: Instant,
    memory: Memory,
    /// What is known of a host of a list.
    pub(crate) listed: Option<Listed>,
    /// Whether it began farther out than at hop 1, because the hops before are known.
    pub(crate) has_head: bool,
}

/// A host of a list.
pub(crate) struct Listed {
    pub(crate) address: SocketAddr,
    /// How often its trace was run before.
    pub(crate) reruns: u8,
    /// Where its vote on the nearest hops goes, if it has one.
    pub(crate) sample: Option<Sample>,
    /// Whether it shows if an outage that has ended the list is over.
    pub(crate) is_trial: bool,
}

impl Begun {
    pub(crate) fn new(number: usize, host: String, memory: Memory) -> Self {
        let (started, start) = (SystemTime::now(), clock::now());
        Self { number, host, started, start, memory, listed: None, has_head: false }
    }

    pub(crate) fn host(&self) -> &str {
        &self.host
    }

    pub(crate) const fn start(&self) -> Instant {
        self.start
    }

    /// One of its answers, which its driver has handed out.
    pub(crate) fn heard<'a>(&'a self, driver: &'a Driver, reply: Reply) -> Heard<'a> {
        Heard {
            host: &self.host,
            target: driver.tracer(self.number).config().target,
            reply,
            clocks: driver.clocks(self.number).get(&reply.probe).copied().unwrap_or_default(),
            extensions: driver.extensions(self.number).get(&reply.probe).unwrap_or(&NONE),
        }
    }

    /// Takes it out of its driver, with what is known now, and learns from it.
    pub(crate) fn finish(self, driver: &mut Driver) -> Option<Route> {
        let Self { number, host, started, start, memory, .. } = self;
        let Running { tracer, clocks, extensions, head, .. } = driver.remove(number)?;
        let spared = head.as_ref().and_then(Head::spared).map(<[_]>::to_vec);
        let config = tracer.config();
        // From a hop in the middle the first answer may be the target's, and says nothing of its distance.
        if (config.first_hop == 1 || spared.is_some())
            && let Distance::Exactly(distance) = distance(&tracer.route())
        {
            memory.learn(config.target, distance);
        }
        let shared = spared.unwrap_or_default();
        let version = Version::of(config.target);
        let (socket, rejected) = (driver.socket(version)?, driver.rejected(version));
        let duration = clock::now().saturating_since(start);
        Some(Route { host, started, duration, socket, tracer, shared, clocks, extensions, rejected })
    }
}

/// An answer as it comes, and what belongs to it. A better one to the same probe may follow, and then stands in its place.
#[derive(Clone, Copy, Debug)]
pub struct Heard<'a> {
    /// The host of its trace as it was given: a name or an address.
    pub host: &'a str,
    /// The address that is traced.
    pub target: IpAddr,
    /// The answer.
    pub reply: Reply,
    /// Which clocks its RTT is from.
    pub clocks: Clocks,
    /// What the router appended to it.
    pub extensions: &'a Extensions,
}

/// A trace that has been started: an iterator of the replies as they come, or, for a loop of one's own,
/// [`advance`](Self::advance).
///
/// For an event loop there are its descriptor ([`AsFd`]), readable when an answer has come, or with an error to be read where
/// that is how the kernel tells of one (`EPOLLERR`, on ping sockets), and two calls: [`timeout`] says
/// how long to wait for that at most, [`work`] does what there is to do then. `examples/tokio.rs` shows it.
///
/// [`timeout`]: Self::timeout
/// [`work`]: Self::work
pub struct Trace {
    driver: Driver,
    begun: Begun,
}

impl AsFd for Trace {
    fn as_fd(&self) -> BorrowedFd<'_> {
        self.driver.fd(Version::of(self.target())).expect("a trace has its sockets from the start")
    }
}

impl Trace {
    pub(crate) const fn new(driver: Driver, begun: Begun) -> Self {
        Self { driver, begun }
    }

    /// How long to wait for an answer at most before [`work`](Self::work) is called; `None` once the trace has ended.
    #[must_use]
    pub fn timeout(&self) -> Option<Duration> {
        self.driver.deadline().map(|deadline| deadline.saturating_since(clock::now()))
    }

    /// Receives what has arrived and sends what is due, without sleeping.
    ///
    /// # Errors
    /// As [`advance`](Self::advance).
    pub fn work(&mut self) -> Result<Step, Error> {
        self.driver.work()
    }

    /// Sends the first probes without reading an answer: for a process that has something to do meanwhile, such as to
    /// [`confine`](Self::confine) itself before it reads what strangers send. Ends early if something has arrived, but not before
    /// the very first probe.
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
        self.driver.advance(wake, Duration::MAX)
    }

    /// Ends the trace now, with what is known.
    pub fn interrupt(&mut self) {
        self.driver.interrupt();
    }

    /// The next answer that has come in and has not been taken yet, by this or as the next item of the iterator. It never
    /// sleeps: for a loop of one's own, after each [`advance`](Self::advance) or [`work`](Self::work).
    pub fn take_reply(&mut self) -> Option<Heard<'_>> {
        let (_, reply) = self.driver.take_reply()?;
        Some(self.begun.heard(&self.driver, reply))
    }

    /// The host as it was given: a name or an address.
    #[must_use]
    pub fn host(&self) -> &str {
        &self.begun.host
    }

    /// The target's address.
    #[must_use]
    pub fn target(&self) -> IpAddr {
        self.tracer().config().target
    }

    /// The address that the probes leave from.
    #[must_use]
    pub fn source(&self) -> IpAddr {
        self.tracer().config().source
    }

    /// The flow of all its probes: what load balancers tell flows apart by.
    #[must_use]
    pub fn flow(&self) -> u16 {
        self.tracer().protocol().checksum
    }

    /// Gives up everything that the rest of this trace doesn't need: fixes what its sockets receive, and then see
    /// [`privilege::confine`](crate::privilege::confine). Sockets of a later trace can't be opened in this process any more.
    ///
    /// # Errors
    /// As there.
    pub fn confine(&mut self) -> Result<Shortfalls, Error> {
        self.driver.confine(privilege::confine)
    }

    /// The kind of socket that was opened.
    #[must_use]
    pub fn socket(&self) -> SocketKind {
        self.driver.socket(Version::of(self.target())).unwrap_or(SocketKind::Raw)
    }

    /// Returns what the sockets do without.
    #[must_use]
    pub fn lacks(&self) -> Vec<Lack> {
        self.driver.lacks(Version::of(self.target())).to_vec()
    }

    /// Which clocks the RTT of an answered probe is from.
    #[must_use]
    pub fn clocks(&self, probe: ProbeId) -> Clocks {
        self.driver.clocks(self.begun.number).get(&probe).copied().unwrap_or_default()
    }

    /// What the router appended to the answer of a probe.
    #[must_use]
    pub fn extensions(&self, probe: ProbeId) -> &Extensions {
        self.driver.extensions(self.begun.number).get(&probe).unwrap_or(&NONE)
    }

    /// What is known so far.
    #[must_use]
    pub fn route(&self) -> hopshot_core::Route<'_> {
        self.tracer().route()
    }

    /// The result: what is known now.
    #[must_use]
    pub fn finish(self) -> Route {
        let Self { mut driver, begun } = self;
        begun.finish(&mut driver).expect("a trace is in its driver until it is taken out")
    }

    fn tracer(&self) -> &Tracer<CAPACITY> {
        self.driver.tracer(self.begun.number)
    }
}

impl Iterator for Trace {
    type Item = Result<Reply, Error>;

    fn next(&mut self) -> Option<Self::Item> {
        loop {
            if let Some((_, reply)) = self.driver.take_reply() {
                return Some(Ok(reply));
            }
            match self.driver.advance(None, Duration::MAX) {
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
    shared: Vec<Shared>,
    clocks: ClocksOf,
    extensions: ExtensionsOf,
    rejected: Rejected,
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

    /// The size of its probes in octets: the whole packet, its IP header included.
    #[must_use]
    pub fn size(&self) -> usize {
        let headers = headers_len(Version::of(self.target()));
        usize::from(headers) + usize::from(self.tracer.protocol().payload_len)
    }

    /// The flow of all its probes: what load balancers tell flows apart by.
    #[must_use]
    pub fn flow(&self) -> u16 {
        self.tracer.protocol().checksum
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
        self.tracer.route().distance().is_some()
    }

    /// The hop of the target: the lowest hop limit that reached it. `None` if it did not answer, or if no probe to the hop
    /// before could leave this machine: then it may be nearer.
    #[must_use]
    pub fn distance(&self) -> Option<u8> {
        match distance(&self.tracer.route()) {
            Distance::Exactly(distance) => Some(distance),
            Distance::AtMost | Distance::Unknown => None,
        }
    }

    /// Why the trace ended; `None` if it was still running when it was finished.
    #[must_use]
    pub fn stop_reason(&self) -> Option<StopReason> {
        self.tracer.route().stop_reason()
    }

    /// The failure on this machine that the path ends in: see [`hopshot_core::Route::failure`].
    #[must_use]
    pub fn failure(&self) -> Option<Failure> {
        self.tracer.route().failure()
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

    /// What the router appended to the answer of a probe.
    #[must_use]
    pub fn extensions(&self, probe: ProbeId) -> &Extensions {
        self.extensions.get(&probe).unwrap_or(&NONE)
    }

    /// What was received and was no answer.
    #[must_use]
    pub const fn rejected(&self) -> Rejected {
        self.rejected
    }

    /// What else arrived.
    #[must_use]
    pub fn tally(&self) -> Tally {
        self.tracer.route().tally()
    }

    /// The nearest hops that were not probed, because the path is known to begin with them, and how
    /// well each is known. Only in [surveys](crate::Survey#what-traces-share) without
    /// [`Memory::none`]; [`hops`](Self::hops) begins behind them.
    pub fn shared(&self) -> impl Iterator<Item = Shared> {
        self.shared.iter().copied()
    }

    /// The hops that were probed, in order.
    pub fn hops(&self) -> impl Iterator<Item = Hop<'_>> {
        self.tracer.route().hops()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::Traceroute;
    use crate::namespace::{PERMIT_PING, in_namespace};
    use rustix::event::{PollFd, PollFlags};

    #[test]
    fn a_launch_sends_and_reads_nothing() {
        in_namespace("trace::tests::a_launch_sends_and_reads_nothing", "", || {
            let mut trace = Traceroute::new("127.0.0.1").start().unwrap();
            trace.launch().unwrap();
            // Mostly loopback's answer to the first probe is there before the second could leave.
            assert!(trace.route().probes_sent() >= 1);
            assert_eq!(trace.route().hops().flat_map(|hop| hop.replies()).count(), 0);
            while trace.advance(None).unwrap() != Step::Done {}
            assert_eq!(trace.finish().distance(), Some(1));
        });
    }

    #[test]
    fn an_event_loop_of_ones_own_needs_the_descriptor_and_two_calls() {
        in_namespace("trace::tests::an_event_loop_of_ones_own_needs_the_descriptor_and_two_calls", "", || {
            let mut trace = Traceroute::new("::1").attempts(3).start().unwrap();
            while let Some(timeout) = trace.timeout() {
                let timeout = timeout.try_into().unwrap();
                let mut fds = [PollFd::new(&trace, PollFlags::IN)];
                rustix::event::poll(&mut fds, Some(&timeout)).unwrap();
                trace.work().unwrap();
            }
            assert_eq!(trace.finish().distance(), Some(1));
        });
    }

    #[test]
    fn after_its_first_probes_a_trace_is_not_woken_by_the_answers_of_others() {
        // Whatever goes there is lost.
        const SINK: &str = "
            ip link add sink type veth peer name far
            ip link set sink up; ip link set far up; ip address add 192.0.2.2/24 dev sink
            ip neighbour add 192.0.2.1 lladdr 02:00:00:00:00:02 dev sink nud permanent";
        let test = "trace::tests::after_its_first_probes_a_trace_is_not_woken_by_the_answers_of_others";
        in_namespace(test, SINK, || {
            let mut trace = Traceroute::new("192.0.2.1").start().unwrap();
            let other = || assert!(Traceroute::new("127.0.0.1").start().unwrap().all(|reply| reply.is_ok()));
            let is_readable = |trace: &Trace| {
                let mut fds = [PollFd::new(trace, PollFlags::IN)];
                rustix::event::poll(&mut fds, Some(&rustix::event::Timespec::default())).unwrap() > 0
            };
            trace.launch().unwrap();
            other();
            assert!(is_readable(&trace), "nobody has said yet whose answers are wanted");
            while trace.work().unwrap() == Step::Running && is_readable(&trace) {}
            other();
            assert!(!is_readable(&trace));
            assert!(trace.finish().rejected().not_ours > 0);
        });
    }

    #[test]
    fn a_next_hop_that_is_not_there_is_waited_for_unless_a_timeout_is_set_and_is_no_hop() {
        const LINK: &str = "
            ip link add near type veth peer name far; ip link set near up; ip link set far up
            ip address add 192.0.2.1/24 dev near; ip address add 2001:db8::1/64 dev near nodad";
        let test = "trace::tests::a_next_hop_that_is_not_there_is_waited_for_unless_a_timeout_is_set_and_is_no_hop";
        in_namespace(test, &format!("{PERMIT_PING}{LINK}"), || {
            for (kind, hosts) in
                [(SocketKind::Raw, ["192.0.2.98", "2001:db8::98"]), (SocketKind::Ping, ["192.0.2.99", "2001:db8::99"])]
            {
                for host in hosts {
                    let traceroute = Traceroute::new(host).socket(kind).max_hops(3);
                    let route = traceroute.clone().timeout(Duration::from_millis(500)).run().unwrap();
                    assert_eq!((route.stop_reason(), route.failure()), (Some(StopReason::Timeout), None), "{host}");
                    let route = traceroute.run().unwrap();
                    assert_eq!(route.stop_reason(), Some(StopReason::Local), "{kind:?} {host}");
                    assert!(route.failure().is_some_and(|failure| failure.is_host_unreachable()));
                    assert_eq!(route.hops().flat_map(|hop| hop.replies()).count(), 0);
                }
            }
        });
    }
}
