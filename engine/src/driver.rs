//! The loop: read everything that has arrived, then send what is due, then sleep until an answer or
//! a deadline.
//!
//! One driver runs any number of traces on one port per family, or several where each has one
//! ident. Reading before each send spares probes that an answer has made needless; a survey reads
//! and wakes up less often ([`BUNCH`], [`LULL`]).

mod asides;
mod knocks;
mod outages;
mod purpose;
mod receiving;
mod sending;

use crate::checks::{Checks, Proxy};
use crate::departures::is_of;
use crate::error::Fault;
use crate::extensions::{NONE, OwnedExtensions};
use crate::identities::Identities;
use crate::link::{Audience, Clocks, Link, Port, SocketKind};
use crate::pace::Pace;
use crate::per_family::PerFamily;
use crate::protocol::{Key, ProbeProtocol, Probes};
use crate::rejected::Rejected;
use crate::route::detour;
use crate::running::{Asides, Endurance, Knock, Running};
use crate::schedule::Schedule;
use crate::settings::ProbeSettings;
use crate::shared::Head;
use crate::storage::{Growing, Tracer};
use crate::summary::Reasons;
use crate::trace_id::TraceId;
use crate::uplink::Uplink;
use hopshot_core::wire::AddressFamily;
use hopshot_core::{Config, Evidence, Hop, Instant, ProbeId, Reply};
use purpose::Purpose;
use std::collections::{BTreeMap, BTreeSet, VecDeque};
use std::fmt;
use std::net::IpAddr;
use std::ops::Add;
use std::time::Duration;

/// How many probes of a survey are sent before it is looked for answers again: as many as go in 0.1
/// ms. Others look after each probe, since an answer from nearby may spare the next.
pub(crate) const BUNCH: usize = 8;

/// A survey that has something to do within this time sleeps as long whatever comes, and then does
/// all of it: an awakening can cost more than a probe. The kernel stamps the answers meanwhile, and
/// [`Pace`] makes up for what was due.
const LULL: Duration = Duration::from_millis(1);

/// Probes of a trace that are under way at a time, about, where few go past the last router.
const UNDER_WAY: usize = 8;

/// What a port is used for.
struct Listener {
    port: Port,
    purpose: Purpose,
    identities: Identities,
    rejected: Rejected,
    filter: Filter,
}

/// The filter of what a port brings.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Filter {
    /// Not set yet. What is no answer to the trace wakes the driver, which passes it over.
    Unset,
    /// Only answers to the trace, unless the machine can't tell them from others.
    Own,
    /// Off: there are many traces, or there will be.
    Off,
}

/// Any number of traces on the ports of a machine.
pub struct Driver<L> {
    pub(crate) link: L,
    /// One for each port, in their order.
    listeners: Vec<Listener>,
    /// Whether IPv4 and IPv6 get through.
    uplinks: PerFamily<Uplink>,
    /// In the order of age.
    traces: BTreeMap<TraceId, Running>,
    /// The handle of the next trace.
    next: TraceId,
    schedule: Schedule,
    pace: Pace,
    /// When it was looked for something to do last.
    looked: Instant,
    /// Whether there may be far more probes and answers than one trace has: then fewer looks and
    /// awakenings do.
    is_survey: bool,
    /// Traces of one hop, which belong to nobody, to see whether anybody is heard still; and
    /// whether there are to be any.
    questions: BTreeSet<TraceId>,
    /// Traces of a probe or two that are to tell other traces something of their targets.
    asides: Asides,
    /// Proxies that were found, by the target in whose name they answer.
    proxies: BTreeMap<IpAddr, Proxy>,
    asks: bool,
    /// The traces of each family that are no questions.
    own: PerFamily<usize>,
    replies: VecDeque<(TraceId, Reply)>,
    /// Made when it is looked for answers first: what is launched before need not wait for it.
    inbox: Vec<u8>,
    outbox: Vec<u8>,
}

impl<L> fmt::Debug for Driver<L> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Driver")
            .field("traces", &self.traces.len())
            .finish_non_exhaustive()
    }
}

/// The reason why [`Job::advance`](crate::Job::advance) came back.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum Step {
    /// Something may have changed; call again.
    Running,
    /// The descriptor that was given is readable; call again.
    Woken,
    /// All traces have ended.
    Done,
}

impl<L: Link> Driver<L> {
    /// A driver without traces, which sends probes of the settings' protocol at the given pace.
    pub(crate) fn new(link: L, settings: &ProbeSettings, pace: Pace) -> Self {
        Self::of_several(link, &[settings], pace)
    }

    /// A driver without traces, which sends probes of the protocols of several settings at the
    /// given pace.
    pub(crate) fn of_several(link: L, settings: &[&ProbeSettings], pace: Pace) -> Self {
        let listener = |port: Port| {
            let ports = settings.iter().map(|settings| settings.ports_of(port));
            Listener {
                port,
                purpose: Purpose::of(port, settings),
                identities: Identities::new(ports.max().unwrap_or(1)),
                rejected: Rejected::default(),
                filter: Filter::Unset,
            }
        };
        Self {
            listeners: link.ports().map(listener).collect(),
            looked: link.now(),
            link,
            uplinks: PerFamily::default(),
            traces: BTreeMap::new(),
            next: TraceId::FIRST,
            schedule: Schedule::default(),
            pace,
            is_survey: false,
            questions: BTreeSet::new(),
            asides: Asides::new(),
            proxies: BTreeMap::new(),
            asks: false,
            own: PerFamily::default(),
            replies: VecDeque::new(),
            inbox: Vec::new(),
            outbox: Vec::new(),
        }
    }

    /// Makes ready for many traces in the families that are open: the machine no longer tells them
    /// apart, which takes some time for each that is added.
    pub(crate) fn expect_many(&mut self) {
        for (port, listener) in self.listeners.iter_mut().enumerate() {
            if listener.purpose != Purpose::Checks {
                self.link.listen_for(port, Audience::Everyone);
            }
            listener.filter = Filter::Off;
        }
    }

    /// Saves time where there are far more probes and answers than one trace has: see [`BUNCH`] and
    /// [`LULL`].
    pub(crate) const fn expect_survey(&mut self) {
        self.is_survey = true;
    }

    /// Adds a trace, to be started by the next [`advance`](Self::advance), and returns its handle
    /// and its source. The source is the kernel's choice; the ident and the first seq too where
    /// another trace, or the kernel, is in the way of those given. With a head it begins there,
    /// and goes back to hop 1 unless the head fits. `None` if every identity is taken.
    pub(crate) fn add(
        &mut self,
        config: Config,
        probing: Probes,
        scope_id: u32,
        head: Option<Head>,
        endurance: Endurance,
        has_timeout: bool,
    ) -> Result<Option<(TraceId, IpAddr)>, L::Error> {
        let source = self.source(config.target, scope_id, probing.protocol())?;
        let identity = self.take_identity(&config, &probing).or_else(|| {
            // A trace goes before questions.
            self.end_questions(AddressFamily::of(config.target));
            self.take_identity(&config, &probing)
        });
        let Some((listener, first)) = identity else {
            return Ok(None);
        };
        let first_hop = head.as_ref().map_or(config.first_hop, Head::first_hop);
        let probing = probing.with_first_key(first);
        let port = self.listeners.get(listener).map(|listener| listener.port);
        let probing = port.map_or(probing, |port| port.carried(probing));
        let config = Config {
            source,
            first_hop,
            ..config
        };
        let tracer = match Tracer::new_in(Growing::new(&config), config, probing) {
            Ok(tracer) => Box::new(tracer),
            Err(error) => {
                self.give_back(listener, self.next, first.ident);
                return Err(Fault::Config(error).into());
            }
        };
        let id = self.take_id();
        let is_to_itself = self.link.is_itself(config.target, source);
        let (clocks, extensions, ports) = (BTreeMap::new(), BTreeMap::new(), BTreeMap::new());
        let (held, left, was_missed, has_given_up) = (None, None, None, false);
        let trace = Running {
            tracer,
            listener,
            is_to_itself,
            clocks,
            extensions,
            ports,
            scope_id,
            head,
            endurance,
            held,
            left,
            last_left: None,
            was_missed,
            has_timeout,
            has_given_up,
            has_heard: false,
            reasons: Reasons::default(),
            knock: Knock::default(),
            checks: Checks::default(),
            asides: Vec::new(),
        };
        *self.own.get_mut(trace.family()) += 1;
        self.traces.insert(id, trace);
        self.schedule.set(id, Some(Instant::EPOCH));
        Ok(Some((id, source)))
    }

    /// A handle for one more trace.
    fn take_id(&mut self) -> TraceId {
        let id = self.next;
        self.next = id.next();
        id
    }

    /// The address that probes to a target leave from, or why there is none.
    pub(crate) fn source(
        &mut self,
        target: IpAddr,
        scope_id: u32,
        protocol: ProbeProtocol,
    ) -> Result<IpAddr, L::Error> {
        let source = self.link.source(target, scope_id, protocol)?;
        let uplink = self.uplinks.get_mut(AddressFamily::of(target));
        match uplink.admits(source, target) {
            true => Ok(source),
            false => Err(self.link.no_source(target, scope_id, protocol)),
        }
    }

    /// The source port that is held for one trace of a protocol, unless a trace has it.
    pub(crate) fn own_port(&self, family: AddressFamily, protocol: ProbeProtocol) -> Option<u16> {
        let (_, listener) = self.listeners_of(family, protocol).next()?;
        let port = listener.port.own_port;
        port.filter(|port| !listener.identities.has(*port))
    }

    /// An identity for one more trace, on a listener of its family, whose index comes first. Nobody
    /// else knows which it will be: the first that has room from a random one on.
    fn take_identity(&mut self, config: &Config, probing: &Probes) -> Option<(usize, Key)> {
        let wanted = probing.first_key();
        let family = AddressFamily::of(config.target);
        let serves = |port: Port| port.serves(family, probing.protocol());
        let mut listeners: Vec<_> = self
            .listeners
            .iter_mut()
            .enumerate()
            .filter(|(_, listener)| serves(listener.port))
            .collect();
        let first = usize::from(wanted.ident).checked_rem(listeners.len())?;
        listeners.rotate_left(first);
        // Those beside one that has detours are for checks.
        listeners.sort_by_key(|(_, listener)| !listener.port.detours);
        listeners.into_iter().find_map(|(index, listener)| {
            let (identities, port) = (&mut listener.identities, listener.port);
            let mut take = |ident| identities.take(self.next, config, wanted, ident);
            let key = match take(port.ident) {
                // A knock beside the trace that has the port: of others there is no more than one
                // at a time, since there is room for one probe. The system writes it anew, and
                // tells its answer by what was to be sent.
                None if port.kind == SocketKind::Tcp => take(None),
                key => key,
            };
            Some((index, key?))
        })
    }

    /// A trace needs its identity no more.
    fn give_back(&mut self, listener: usize, id: TraceId, ident: u16) {
        if let Some(listener) = self.listeners.get_mut(listener) {
            listener.identities.give_back(id, ident);
        }
    }

    /// The state of a trace; `None` once it was taken out.
    pub(crate) fn tracer(&self, id: TraceId) -> Option<&Tracer> {
        self.traces.get(&id).map(|trace| &*trace.tracer)
    }

    /// Which clocks the RTT of an answered probe is from.
    pub(crate) fn clocks(&self, id: TraceId, probe: ProbeId) -> Clocks {
        let clocks = self.traces.get(&id).map(|trace| &trace.clocks);
        clocks
            .and_then(|clocks| clocks.get(&probe))
            .copied()
            .unwrap_or_default()
    }

    /// The source port of an answered probe, if it isn't that of its trace.
    pub(crate) fn detour(&self, id: TraceId, probe: ProbeId) -> Option<u16> {
        let trace = self.traces.get(&id)?;
        detour(&trace.tracer, &trace.ports, probe)
    }

    /// What the router appended to the answer of a probe.
    pub(crate) fn extensions(&self, id: TraceId, probe: ProbeId) -> &OwnedExtensions {
        let extensions = self.traces.get(&id).map(|trace| &trace.extensions);
        extensions
            .and_then(|extensions| extensions.get(&probe))
            .unwrap_or(&NONE)
    }

    /// Whether probes are due that have not been sent yet.
    pub(crate) fn has_backlog(&self) -> bool {
        self.schedule
            .next()
            .is_some_and(|due| due <= self.link.now())
    }

    /// Whether the pace permits a packet.
    pub(crate) fn may_send(&self) -> bool {
        self.pace.next() <= self.link.now()
    }

    /// When the pace permits the next packet.
    pub(crate) const fn next_send(&self) -> Instant {
        self.pace.next()
    }

    /// Whether a trace goes on without probes that could not be sent.
    pub(crate) fn has_given_up(&self, id: TraceId) -> bool {
        self.traces.get(&id).is_some_and(|trace| trace.has_given_up)
    }

    /// Whether a trace is whole: its target has answered, and every hop before that, all beyond
    /// doubt.
    pub(crate) fn is_whole(&self, id: TraceId) -> bool {
        let Some(route) = self.tracer(id).map(Tracer::route) else {
            return false;
        };
        let is_sure = |hop: Hop<'_>| {
            hop.replies()
                .any(|reply| reply.evidence() == Evidence::Strong)
        };
        route.distance().is_some() && route.hops().all(is_sure)
    }

    /// How many traces were ever added.
    pub(crate) const fn added(&self) -> u64 {
        self.next.age()
    }

    /// Whether it is the pace that holds the traces up.
    pub(crate) fn is_held_up(&self) -> bool {
        self.pace.is_used_up(self.link.now())
    }

    /// How many traces with these parameters there may be at a time.
    pub(crate) fn capacity(&self, config: &Config) -> usize {
        let of_family = |family: AddressFamily| {
            let (mut capacity, mut single) = (0, 0);
            let own = self.listeners.iter().filter(|listener| {
                listener.port.family == family && listener.purpose != Purpose::Checks
            });
            for listener in own {
                let port = listener.port;
                let capacity_of = || listener.identities.capacity(config, port.ident);
                match (port.kind, port.room) {
                    (SocketKind::Udp, _) => single += 1,
                    (_, Some(room)) => capacity += (room / UNDER_WAY).clamp(1, capacity_of()),
                    (_, None) => capacity += capacity_of(),
                }
            }
            // Of several that serve one trace each, one is for whoever is asked about an outage.
            capacity + if single > 1 { single - 1 } else { single }
        };
        self.listeners
            .iter()
            .map(|listener| of_family(listener.port.family))
            .min()
            .unwrap_or(0)
    }

    /// A trace that has ended: the oldest.
    pub(crate) fn ended(&mut self) -> Option<TraceId> {
        while let Some(id) = self.schedule.ended() {
            if self.asides.contains_key(&id) {
                // It belongs to its trace, which may be counting on it.
                self.schedule.remove(id);
                continue;
            }
            if !self.questions.remove(&id) {
                return Some(id);
            }
            self.forget(id);
        }
        None
    }

    /// The kind of socket that is open for a protocol, if one is.
    pub(crate) fn socket(
        &self,
        family: AddressFamily,
        protocol: ProbeProtocol,
    ) -> Option<SocketKind> {
        self.listeners_of(family, protocol)
            .next()
            .map(|(_, listener)| listener.port.kind)
    }

    /// Whether each probe by a protocol is of another flow.
    pub(crate) fn has_many_flows(&self, family: AddressFamily, protocol: ProbeProtocol) -> bool {
        let mut listeners = self.listeners_of(family, protocol);
        listeners.any(|(_, listener)| listener.port.has_many_flows())
    }

    /// What the sockets of a protocol brought that was no answer.
    pub(crate) fn rejected(&self, family: AddressFamily, protocol: ProbeProtocol) -> Rejected {
        let rejected = |(port, listener): (usize, &Listener)| Rejected {
            dropped: self.link.dropped(port),
            ..listener.rejected
        };
        self.listeners_of(family, protocol)
            .map(rejected)
            .fold(Rejected::default(), Rejected::add)
    }

    /// The ports for traces of a protocol: there is one, but for ping sockets of a survey.
    fn listeners_of(
        &self,
        family: AddressFamily,
        protocol: ProbeProtocol,
    ) -> impl Iterator<Item = (usize, &Listener)> {
        self.listeners
            .iter()
            .enumerate()
            .filter(move |(_, listener)| listener.port.serves(family, protocol))
    }

    /// Takes a trace out, for keeping.
    pub(crate) fn remove(&mut self, id: TraceId) -> Option<Running> {
        self.end_asides(id);
        let trace = self.forget(id)?;
        let own = self.own.get_mut(trace.family());
        *own -= 1;
        if *own == 0 {
            self.end_questions(trace.family());
        }
        Some(trace)
    }

    fn forget(&mut self, id: TraceId) -> Option<Running> {
        let trace = self.traces.remove(&id)?;
        self.schedule.remove(id);
        self.link.forget(trace.listener, |tag| is_of(tag, id));
        let ident = trace.tracer.protocol().first_key().ident;
        self.give_back(trace.listener, id, ident);
        Some(trace)
    }

    /// Ends all traces with what is known.
    pub(crate) fn interrupt(&mut self) {
        self.traces.values_mut().for_each(Running::interrupt);
        self.schedule.end();
    }

    /// Ends the traces of one family with what is known.
    pub(crate) fn interrupt_family(&mut self, family: AddressFamily) {
        for (id, trace) in &mut self.traces {
            if trace.family() == family {
                trace.interrupt();
                self.schedule.set(*id, None);
            }
        }
    }

    /// The next reply that has been received and not been taken yet, and its trace.
    pub(crate) fn take_reply(&mut self) -> Option<(TraceId, Reply)> {
        self.replies.pop_front()
    }

    /// Sends what is due now, as long as nothing has arrived, but the very first probe at all
    /// events. Reads nothing.
    pub(crate) fn launch(&mut self) -> Result<(), L::Error> {
        let mut is_first = self
            .traces
            .values()
            .all(|trace| trace.tracer.route().probes_sent() == 0);
        while (is_first || !self.link.has_arrivals()?) && self.send() > 0 {
            is_first = false;
        }
        Ok(())
    }

    /// When [`work`](Self::work) has something to do even if nothing arrives; `None` if all traces
    /// have ended.
    pub(crate) fn deadline(&self) -> Option<Instant> {
        let due = self.schedule.next()?.max(self.pace.next());
        Some(self.next_question().map_or(due, |next| next.min(due)))
    }

    /// Does what there is to do now, without sleeping.
    pub(crate) fn work(&mut self) -> Result<Step, L::Error> {
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
        self.listen();
        Ok(Step::Running)
    }

    /// Says whose answers are wanted, once. This comes after the first probes, which so leave some
    /// 0.1 ms sooner.
    pub(crate) fn listen(&mut self) {
        for (port, listener) in self.listeners.iter_mut().enumerate() {
            if listener.filter != Filter::Unset {
                continue;
            }
            listener.filter = Filter::Own;
            if listener.purpose == Purpose::Checks {
                continue;
            }
            // Without `expect_many` there is one trace, and perhaps there are checks of others; or
            // one for each side of a comparison, and two may have the port.
            let is_its = |(_, trace): &(&TraceId, &Running)| trace.listener == port;
            let mut its = self.traces.iter().filter(is_its);
            let own = its
                .next()
                .filter(|_| its.next().is_none() && listener.purpose != Purpose::Both)
                // Knocks and checks come and go, and have identities of their own.
                .filter(|(id, trace)| !self.asides.contains_key(id) && !trace.knock.is_permitted)
                .map(|(_, trace)| trace);
            let audience = own.map_or(Audience::Everyone, |trace| {
                Audience::Trace(trace.tracer.protocol(), trace.tracer.config().target)
            });
            self.link.listen_for(port, audience);
        }
    }

    /// Sleeps until `due`, or an arrival; or through a [lull](LULL). Returns true if `wake` became
    /// readable.
    pub(crate) fn sleep(
        &mut self,
        due: Instant,
        wake: Option<L::Wake<'_>>,
    ) -> Result<bool, L::Error> {
        let asleep = self.link.now();
        let is_woken = self.wait(due, wake);
        self.leave_out_stops(asleep, due);
        is_woken
    }

    fn wait(&self, due: Instant, wake: Option<L::Wake<'_>>) -> Result<bool, L::Error> {
        let span = due.saturating_since(self.link.now());
        let is_lull = self.is_survey && !span.is_zero() && span < LULL;
        self.link
            .wait(if is_lull { LULL } else { span }, is_lull, wake)
    }
}
