//! The loop: read everything that has arrived, then send what is due, then sleep until an answer or a deadline.
//!
//! One driver runs any number of traces on one socket pair per family, or several where each has one
//! ident. Reading before each send spares probes that an answer has made needless; a survey reads
//! and wakes up less often ([`BUNCH`], [`LULL`]). The kernel's filter keeps other people's ICMP from
//! waking it.

mod outages;
mod receiving;
mod sending;

use crate::clock;
use crate::error::Error;
use crate::identities::{self, Identities};
use crate::near::Head;
use crate::pace::Pace;
use crate::privilege::{Shortfall, Shortfalls};
use crate::rejected::Rejected;
use crate::running::{CAPACITY, ClocksOf, Endurance, ExtensionsOf, Running};
use crate::schedule::Schedule;
use crate::socket::{Identity, Lack, Options, Socket, SocketKind, Sources};
use crate::sockets::{Pair, Sockets};
use crate::uplink::Uplink;
use hopshot_core::wire::Version;
use hopshot_core::{Config, Echo, Evidence, Hop, Instant, Reply, Tracer};
use rustix::event::{PollFd, PollFlags, Timespec};
use rustix::io::Errno;
use rustix::process::Resource;
use std::collections::{BTreeMap, BTreeSet, VecDeque};
use std::net::IpAddr;
use std::ops::Add;
use std::os::fd::{AsFd, BorrowedFd};
use std::sync::Arc;
use std::time::Duration;

/// How many probes of a survey are sent before it is looked for answers again: as many as go in 0.1 ms. Others look after each
/// probe, since an answer from nearby may spare the next.
pub(crate) const BUNCH: usize = 8;

/// A survey that has something to do within this time sleeps as long whatever comes, and then does all of it: an awakening can cost
/// more than a probe. The kernel stamps the answers meanwhile, and [`Pace`] makes up for what was due.
const LULL: Duration = Duration::from_millis(1);

/// A pair of ping sockets and its ident for so many of a survey, in each family.
const MOST_PINGS: usize = 16;

/// Descriptors that a process may have for each such pair: so all of them take an eighth.
const FILES_PER_PING: usize = 32;

/// The sockets of a family, or, of ping sockets, of an ident.
struct Listener {
    version: Version,
    socket: Socket,
    sources: Arc<Sources>,
    rejected: Rejected,
    audience: Audience,
}

/// Whose answers the kernel's filter lets through.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Audience {
    /// Everybody's so far. What is no answer to the trace wakes the driver, which passes it over.
    Unsaid,
    /// Those of the trace, unless the filter could not be set.
    Own,
    /// Everybody's: there are many traces, or there will be.
    Everyone,
}

/// Any number of traces on one pair of sockets per family.
pub(crate) struct Driver {
    /// How the sockets were opened, and which were not.
    sockets: Sockets,
    listeners: Vec<Listener>,
    /// Whether IPv4 and IPv6 get through.
    uplinks: [Uplink; 2],
    /// In the order of age, by a number that is never used again.
    traces: BTreeMap<usize, Running>,
    added: usize,
    schedule: Schedule,
    identities: Identities,
    pace: Pace,
    /// When it was looked for something to do last.
    looked: Instant,
    /// Whether there may be far more probes and answers than one trace has: then fewer looks and awakenings do.
    is_survey: bool,
    /// Traces of one hop, which belong to nobody, to see whether anybody is heard still; and whether there are to be any.
    questions: BTreeSet<usize>,
    asks: bool,
    /// The traces of each family that are no questions.
    own: [usize; 2],
    replies: VecDeque<(usize, Reply)>,
    /// Made when it is looked for answers first: what is launched before need not wait for it.
    inbox: Vec<u8>,
    outbox: Vec<u8>,
}

/// What [`Trace::advance`](crate::Trace::advance) came back for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Step {
    /// Something may have changed; call again.
    Running,
    /// The descriptor that was given is readable; call again.
    Woken,
    /// All traces have ended.
    Done,
}

impl Listener {
    fn new(version: Version, socket: Socket, sources: Arc<Sources>) -> Self {
        Self { version, socket, sources, rejected: Rejected::default(), audience: Audience::Unsaid }
    }
}

impl Driver {
    /// A driver without traces, which sends at the given pace.
    pub(crate) fn new(mut sockets: Sockets, pace: Pace) -> Self {
        let listener = |Pair { version, socket, sources, .. }| Listener::new(version, socket, Arc::new(sources));
        Self {
            listeners: sockets.open.drain(..).map(listener).collect(),
            sockets,
            uplinks: [Uplink::default(); 2],
            traces: BTreeMap::new(),
            added: 0,
            schedule: Schedule::default(),
            identities: Identities::default(),
            pace,
            looked: clock::now(),
            is_survey: false,
            questions: BTreeSet::new(),
            asks: false,
            own: [0; 2],
            replies: VecDeque::new(),
            inbox: Vec::new(),
            outbox: Vec::new(),
        }
    }

    /// Opens more ping sockets in the families that have one, as many as this process may well have: whoever is traced by one
    /// of them learns its ident, and no other.
    pub(crate) fn open_more_pings(&mut self) {
        let most = rustix::process::getrlimit(Resource::Nofile)
            .current
            .map_or(MOST_PINGS, |files| usize::try_from(files).unwrap_or(usize::MAX) / FILES_PER_PING);
        // An ident that is given is to be the only one.
        let options = &self.sockets.options;
        let more = if options.ident.is_some() { 0 } else { most.min(MOST_PINGS).saturating_sub(1) };
        let options = Options { kind: Some(SocketKind::Ping), ..options.clone() };
        let pings = self.listeners.iter().filter(|listener| listener.socket.kind() == SocketKind::Ping);
        let families: Vec<_> = pings.map(|listener| (listener.version, Arc::clone(&listener.sources))).collect();
        for (version, sources) in families {
            let opened = (0..more).map_while(|_| Socket::open(version, &options).ok());
            self.listeners.extend(opened.map(|socket| Listener::new(version, socket, Arc::clone(&sources))));
        }
    }

    /// Makes ready for many traces in the families that are open: the kernel's filter no longer tells them apart, which takes
    /// some time for each that is added.
    pub(crate) fn expect_many(&mut self) {
        for listener in &mut self.listeners {
            // Without a filter there is more to pass over; the socket notes that.
            let _ = listener.socket.listen_for(None);
            listener.audience = Audience::Everyone;
        }
    }

    /// Saves time where there are far more probes and answers than one trace has: see [`BUNCH`] and [`LULL`].
    pub(crate) const fn expect_survey(&mut self) {
        self.is_survey = true;
    }

    /// Adds a trace, to be started by the next [`advance`](Self::advance), and returns its number. The source is the kernel's
    /// choice; the ident and the first seq too where another trace, or the kernel, is in the way of those given. With a head it
    /// begins there, and goes back to hop 1 unless the head fits. `None` if every identity is taken.
    pub(crate) fn add(
        &mut self,
        config: Config,
        echo: Echo,
        scope_id: u32,
        head: Option<Head>,
        endurance: Endurance,
        has_timeout: bool,
    ) -> Result<Option<usize>, Error> {
        let source = self.source(config.target, scope_id)?;
        let identity = self.take_identity(&config, &echo).or_else(|| {
            // A trace goes before questions.
            self.end_questions(Version::of(config.target));
            self.take_identity(&config, &echo)
        });
        let Some((listener, ident, first_seq)) = identity else { return Ok(None) };
        let first_hop = head.as_ref().map_or(config.first_hop, Head::first_hop);
        let echo = Echo { ident, first_seq, ..echo };
        let tracer = match Tracer::new(Config { source, first_hop, ..config }, echo) {
            Ok(tracer) => Box::new(tracer),
            Err(error) => {
                self.identities.give_back(self.added, ident);
                return Err(error.into());
            }
        };
        let number = self.added;
        self.added += 1;
        let is_to_itself = config.target.is_loopback()
            || config.target == source
            // Else the kernel chooses the target for the source.
            || self.sockets.options.source.is_some() && self.sockets.neighbours.is_own(config.target);
        let (clocks, extensions) = (BTreeMap::new(), BTreeMap::new());
        let (held, left, was_missed, has_given_up) = (None, None, None, false);
        let trace = Running {
            tracer,
            listener,
            is_to_itself,
            clocks,
            extensions,
            scope_id,
            head,
            endurance,
            held,
            left,
            was_missed,
            has_timeout,
            has_given_up,
        };
        self.own[family_index(trace.version())] += 1;
        self.traces.insert(number, trace);
        self.schedule.set(number, Some(Instant::EPOCH));
        Ok(Some(number))
    }

    /// The address that packets to a target leave from, or why there is none.
    pub(crate) fn source(&mut self, target: IpAddr, scope_id: u32) -> Result<IpAddr, Error> {
        let version = Version::of(target);
        let listener = self.listener(version).ok_or_else(|| self.sockets.obstacle(version))?;
        let is_given = self.sockets.options.source.is_some();
        Arc::clone(&listener.sources)
            .of(target, scope_id)
            .and_then(|source| uplink(&mut self.uplinks, version).admit(source, target, is_given))
            .map_err(|error| crate::error::no_route(error, target, scope_id, &self.sockets.options))
    }

    /// An identity for one more trace, on a listener of its family, whose index comes first. Nobody else knows which it will be:
    /// the first that has room from a random one on.
    fn take_identity(&mut self, config: &Config, echo: &Echo) -> Option<(usize, u16, u16)> {
        let version = Version::of(config.target);
        let idents = self.listeners.iter().enumerate().filter(|(_, listener)| listener.version == version);
        let idents: Vec<_> = idents.map(|(index, listener)| (index, listener.socket.ident())).collect();
        let (before, from) = idents.split_at(usize::from(echo.ident).checked_rem(idents.len())?);
        from.iter().chain(before).find_map(|(index, ident)| {
            let (ident, first_seq) = self.identities.take(self.added, config, echo, *ident)?;
            Some((*index, ident, first_seq))
        })
    }

    /// The state of a trace, by the number that [`add`](Self::add) gave.
    pub(crate) fn tracer(&self, number: usize) -> &Tracer<CAPACITY> {
        &self.traces[&number].tracer
    }

    /// The descriptor that is readable when an answer of this family has come.
    pub(crate) fn fd(&self, version: Version) -> Option<BorrowedFd<'_>> {
        self.listener(version).map(|listener| listener.socket.as_fd())
    }

    /// Where the RTTs of a trace are from.
    pub(crate) fn clocks(&self, number: usize) -> &ClocksOf {
        &self.traces[&number].clocks
    }

    /// Whether probes are due that have not been sent yet.
    pub(crate) fn has_backlog(&self) -> bool {
        self.schedule.next().is_some_and(|due| due <= clock::now())
    }

    /// Whether the pace permits a packet.
    pub(crate) fn may_send(&self) -> bool {
        self.pace.next() <= clock::now()
    }

    /// When the pace permits the next packet.
    pub(crate) const fn next_send(&self) -> Instant {
        self.pace.next()
    }

    /// Whether a trace goes on without probes that could not be sent.
    pub(crate) fn has_given_up(&self, number: usize) -> bool {
        self.traces.get(&number).is_some_and(|trace| trace.has_given_up)
    }

    /// Whether a trace is whole: its target has answered, and every hop before that, all beyond doubt.
    pub(crate) fn is_whole(&self, number: usize) -> bool {
        let route = self.tracer(number).route();
        let is_sure = |hop: Hop<'_>| hop.replies().any(|reply| reply.evidence() == Evidence::Strong);
        route.distance().is_some() && route.hops().all(is_sure)
    }

    /// How many traces were ever added.
    pub(crate) const fn added(&self) -> usize {
        self.added
    }

    /// Whether it is the pace that holds the traces up.
    pub(crate) fn is_held_up(&self) -> bool {
        self.pace.is_used_up(clock::now())
    }

    /// How many traces with these parameters there may be at a time.
    pub(crate) fn capacity(&self, config: &Config) -> usize {
        let of_family = |version: Version| {
            let idents = self.listeners_of(version).map(|listener| listener.socket.ident());
            idents.map(|ident| identities::capacity(config, ident)).sum::<usize>()
        };
        self.listeners.iter().map(|listener| of_family(listener.version)).min().unwrap_or(0)
    }

    /// A trace that has ended: the oldest.
    pub(crate) fn ended(&mut self) -> Option<usize> {
        while let Some(number) = self.schedule.ended() {
            if !self.questions.remove(&number) {
                return Some(number);
            }
            self.forget(number);
        }
        None
    }

    /// The kind of socket that is open for a family, if one is.
    pub(crate) fn socket(&self, version: Version) -> Option<SocketKind> {
        self.listener(version).map(|listener| listener.socket.kind())
    }

    /// Options that the sockets of a family do without.
    pub(crate) fn lacks(&self, version: Version) -> &[Lack] {
        self.listener(version).map_or(&[], |listener| listener.socket.lacks())
    }

    /// What came with the answers of a trace.
    pub(crate) fn extensions(&self, number: usize) -> &ExtensionsOf {
        &self.traces[&number].extensions
    }

    /// What the sockets of a family brought that was no answer.
    pub(crate) fn rejected(&self, version: Version) -> Rejected {
        let rejected = |listener: &Listener| Rejected { dropped: listener.socket.dropped(), ..listener.rejected };
        self.listeners_of(version).map(rejected).fold(Rejected::default(), Rejected::add)
    }

    /// The first of a family: there is one, but for ping sockets of a survey.
    fn listener(&self, version: Version) -> Option<&Listener> {
        self.listeners_of(version).next()
    }

    fn listeners_of(&self, version: Version) -> impl Iterator<Item = &Listener> {
        self.listeners.iter().filter(move |listener| listener.version == version)
    }

    /// Takes a trace out, for keeping.
    pub(crate) fn remove(&mut self, number: usize) -> Option<Running> {
        let trace = self.forget(number)?;
        let own = &mut self.own[family_index(trace.version())];
        *own -= 1;
        if *own == 0 {
            self.end_questions(trace.version());
        }
        Some(trace)
    }

    fn forget(&mut self, number: usize) -> Option<Running> {
        let trace = self.traces.remove(&number)?;
        self.schedule.remove(number);
        self.identities.give_back(number, trace.tracer.protocol().ident);
        Some(trace)
    }

    /// Forbids any further change of what the sockets receive, also to whoever should get hold of this process, and gives up
    /// the rest by a call of [`privilege`](crate::privilege).
    pub(crate) fn confine(&mut self, rest: fn() -> Result<Shortfalls, Error>) -> Result<Shortfalls, Error> {
        let locked =
            self.listen().and_then(|()| self.listeners.iter().try_for_each(|listener| listener.socket.lock_filter()));
        let mut shortfalls = rest()?;
        shortfalls.note(locked.map_err(|errno| Shortfall::SocketFilter(errno.into())));
        Ok(shortfalls)
    }

    /// Ends all traces with what is known.
    pub(crate) fn interrupt(&mut self) {
        self.traces.values_mut().for_each(Running::interrupt);
        self.schedule.end();
    }

    /// Ends the traces of one family with what is known.
    pub(crate) fn interrupt_family(&mut self, version: Version) {
        for (number, trace) in &mut self.traces {
            if trace.version() == version {
                trace.interrupt();
                self.schedule.set(*number, None);
            }
        }
    }

    /// The next reply that has been received and not been taken yet, with the number of its trace.
    pub(crate) fn take_reply(&mut self) -> Option<(usize, Reply)> {
        self.replies.pop_front()
    }

    /// Sends what is due now, as long as nothing has arrived, but the very first probe at all events. Reads nothing.
    pub(crate) fn launch(&mut self) -> Result<(), Error> {
        let mut is_first = self.traces.values().all(|trace| trace.tracer.route().probes_sent() == 0);
        while (is_first || !self.has_arrivals()?) && self.send() > 0 {
            is_first = false;
        }
        Ok(())
    }

    /// Sleeps until there is something to do, or until `wake` is readable, but at most so long, and does it.
    pub(crate) fn advance(&mut self, wake: Option<BorrowedFd<'_>>, at_most: Duration) -> Result<Step, Error> {
        let Some(deadline) = self.deadline() else { return Ok(Step::Done) };
        let deadline = deadline.min(clock::now().saturating_add(at_most));
        if self.sleep(deadline, wake)? {
            return Ok(Step::Woken);
        }
        self.work()
    }

    /// When [`work`](Self::work) has something to do even if nothing arrives; `None` if all traces have ended.
    pub(crate) fn deadline(&self) -> Option<Instant> {
        let due = self.schedule.next()?.max(self.pace.next());
        Some(self.next_question().map_or(due, |next| next.min(due)))
    }

    /// Does what there is to do now, without sleeping.
    pub(crate) fn work(&mut self) -> Result<Step, Error> {
        loop {
            let is_drained = self.drain()?;
            if self.send() == 0 && (is_drained || self.deadline().is_none()) {
                break;
            }
        }
        self.watch_silence();
        if self.deadline().is_none() {
            return Ok(Step::Done);
        }
        // This process may have been confined since it opened its sockets; that costs time alone.
        let _ = self.listen();
        Ok(Step::Running)
    }

    /// Tells the kernel whose answers to let through, once. This comes after the first probes, which so leave some 0.1 ms sooner.
    fn listen(&mut self) -> Result<(), Errno> {
        for listener in self.listeners.iter_mut().filter(|listener| listener.audience == Audience::Unsaid) {
            listener.audience = Audience::Own;
            // Without `expect_many` there is one trace.
            let own = self.traces.values().find(|trace| trace.version() == listener.version);
            let own = own.map(|trace| Identity::of(trace.tracer.protocol(), trace.tracer.config().target));
            listener.socket.listen_for(own.as_ref())?;
        }
        Ok(())
    }

    fn has_arrivals(&self) -> Result<bool, Error> {
        let sockets = self.listeners.iter().map(|listener| listener.socket.as_fd());
        let mut fds: Vec<PollFd<'_>> = sockets.map(|fd| PollFd::from_borrowed_fd(fd, PollFlags::IN)).collect();
        match rustix::event::poll(&mut fds, Some(&Timespec::default())) {
            Ok(readable) => Ok(readable > 0),
            Err(Errno::INTR) => Ok(false),
            Err(errno) => Err(Error::system("can't look for answers")(errno)),
        }
    }

    /// Sleeps until `due`, or an arrival; or through a [lull](LULL). Returns true if `wake` became readable.
    pub(crate) fn sleep(&mut self, due: Instant, wake: Option<BorrowedFd<'_>>) -> Result<bool, Error> {
        let asleep = clock::now();
        let is_woken = self.wait(due, wake);
        self.leave_out_stops(asleep, due);
        is_woken
    }

    fn wait(&self, due: Instant, wake: Option<BorrowedFd<'_>>) -> Result<bool, Error> {
        let span = due.saturating_since(clock::now());
        let is_lull = self.is_survey && !span.is_zero() && span < LULL;
        let span = if is_lull { LULL } else { span };
        let timeout = Timespec::try_from(span).ok();
        let mut fds: Vec<PollFd<'_>> = Vec::with_capacity(3);
        fds.extend(wake.map(|wake| PollFd::from_borrowed_fd(wake, PollFlags::IN)));
        if !span.is_zero() && !is_lull {
            let sockets = self.listeners.iter().map(|listener| listener.socket.as_fd());
            fds.extend(sockets.map(|fd| PollFd::from_borrowed_fd(fd, PollFlags::IN)));
        }
        if fds.is_empty() && span.is_zero() {
            return Ok(false);
        }
        match rustix::event::poll(&mut fds, timeout.as_ref()) {
            Ok(_) | Err(Errno::INTR) => Ok(wake.is_some() && fds.first().is_some_and(|fd| !fd.revents().is_empty())),
            Err(errno) => Err(Error::system("can't wait for answers")(errno)),
        }
    }
}

fn uplink(uplinks: &mut [Uplink; 2], version: Version) -> &mut Uplink {
    &mut uplinks[family_index(version)]
}

const fn family_index(version: Version) -> usize {
    match version {
        Version::V4 => 0,
        Version::V6 => 1,
    }
}
