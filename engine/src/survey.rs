//! Many traces at once, on the same few ports.

mod list;
mod outages;
mod service;
mod setbacks;

pub use setbacks::Outage;

use crate::driver::{Driver, Step};
use crate::error::Fault;
use crate::health::Health;
use crate::job::Job;
use crate::link::{Link, SocketKind};
use crate::pace::Pace;
use crate::per_family::PerFamily;
use crate::rejected::Rejected;
use crate::route::{HostReply, Route};
use crate::running::Endurance;
use crate::settings::ProbeSettings;
use crate::shared::{Head, Sample, SharedHops};
use crate::trace::Begun;
use crate::trace_id::TraceId;
use hopshot_core::Instant;
use hopshot_core::wire::AddressFamily;
use setbacks::Setbacks;
use std::collections::{BTreeMap, VecDeque};
use std::fmt;
use std::net::{IpAddr, SocketAddr};

/// Probes a second by default: half a megabit of small packets, spread over all that is traced.
pub const DEFAULT_RATE: u32 = 1000;

/// Traces in flight by default. Each takes 3 to 6 KiB with one attempt, up to 8 KiB with three.
pub const AT_ONCE: usize = 256;

/// The first sweep of a trace that the rate holds up, where nothing is known of the distance: it
/// spares more probes than the usual one, and takes more round trips.
const SPARING: u8 = 8;

/// A trace that has begun.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct Started {
    /// The host as it was given.
    pub host: String,
    /// The address that is traced.
    pub target: IpAddr,
    /// The address that its probes leave from.
    pub source: IpAddr,
    /// The flow of all its probes, if they have one in common.
    pub flow: Option<u16>,
}

/// Many traces at once, for a loop of one's own: [`add_found`](Self::add_found) hosts while there
/// [is room](Self::has_room), [`advance`](Job::advance), [`take`](Self::take) the routes of traces
/// that have ended and [the hosts](Self::take_lost) that were given up, until it is
/// [empty](Self::is_empty). Whoever looks names up elsewhere takes [those to look up
/// again](Self::take_name) as well.
///
/// With more than 32 traces in flight an answer whose ident a translator has changed on the way
/// finds its trace no more, and its hop stays silent.
///
/// # Ping sockets
/// On raw sockets each trace has an ident of its own. All traces of a ping socket have the same
/// one. So a survey opens up to 16 pairs of ping sockets in each family: fewer where this process
/// may have less than 512 descriptors, and one where the settings have an
/// [ident](ProbeSettings::ident). A trace takes one of them at random, and there a stretch of seqs
/// at a random place, which isn't used again as long as there are others. The host of one trace
/// knows the ident of the traces on its own socket then, and neither their seqs nor their
/// checksums: [what it can
/// do](https://docs.rs/hopshot-core/latest/hopshot_core/hostile/index.html). Where the settings
/// have a [flow](ProbeSettings::flow) it knows the checksums too; then an error proves nothing
/// unless it quotes the cookie.
///
/// # What traces share
/// What one trace learns spares the next ones probes, unless the settings have
/// [`Memory::none`](crate::Memory::none). The distances of neighbours say how far the first sweep
/// goes: see [`Memory`](crate::Memory). And traces [of hosts](Self::add_found) begin at the
/// farthest router that is known to stand on all paths and to answer more often than not. If it
/// answers there, the hops before it are in [`Route::shared`], and have no RTTs; if somebody else
/// does, or nobody, they are probed after all, which takes one more round trip. A trace of a host
/// whose neighbours are among the shared routers is whole, if 16 of the drawn hosts are as near.
///
/// What the routers are is learnt from hosts that were drawn [at random](Self::sample), and from
/// these alone: no host can choose to be among them. A router is named if at least 16 of the last
/// 64 of these traces met it, and 12 more than twice as many as met others there, to hosts of four
/// networks (/24, /48) at least. Else nobody is named, and behind a hop where 16 met somebody else,
/// or nobody clearly answers, nothing is shared. While 5 % of the list are hostile, and work
/// together, they have 16 of 64 once in 13 million times: they can neither set a name nor keep the
/// others from learning. A family that is less than a quarter of the list shares nothing.
/// [`hopshot_core::hostile`] has the model. Where the paths near us change, traces go back to hop 1
/// until enough of the drawn hosts have met the new routers: after some 50 hosts the changed hop is
/// shared no more, and after some 500 it is known again.
///
/// From the seventeenth trace on, one [of a host](Self::add_found) whose distance can't be guessed,
/// and which the rate holds up, begins with a sweep of 8 hops, then 4 more at a time, unless the
/// settings have a [sweep](hopshot_core::Config::sweep): probes that would go past its target are
/// worth more to the others.
pub struct Survey<L: Link> {
    settings: ProbeSettings,
    driver: Driver<L>,
    begun: BTreeMap<TraceId, Begun>,
    /// The first hops that paths share.
    shared: SharedHops,
    at_once: usize,
    setbacks: Setbacks,
    /// Whether names can be looked up.
    names: Health,
    /// The last name that servers had an address for, and when it was looked up to see whether any
    /// can be.
    known_name: Option<(String, Instant)>,
    /// When an outage of each family was last seen to go on after it had ended the list.
    found_hopeless: PerFamily<Option<Instant>>,
    started: VecDeque<Started>,
    lost: VecDeque<(String, L::Error)>,
    names_due: VecDeque<String>,
    is_interrupted: bool,
}

impl<L: Link> Survey<L> {
    /// Traces on the ports of a link, as many as it has: on ping sockets fewer traces than were
    /// asked for may be in flight, if each needs many of their seqs.
    ///
    /// `rate` is in probes a second, all traces together, 1 to 1,000,000; `at_once` the most traces
    /// in flight, 1 to 10,000 (what is beyond is taken for the nearest). From 1,000 a second on,
    /// probes leave in small groups, a millisecond apart, and it is looked for answers after every
    /// eighth at most, so a target that is nearer than that may get some in vain.
    ///
    /// # Errors
    /// A parameter of the settings is out of its range.
    pub fn start(
        link: L,
        settings: &ProbeSettings,
        rate: u32,
        at_once: usize,
    ) -> Result<Self, L::Error> {
        Self::of_several(link, settings, &[settings], rate, at_once)
    }

    /// The same for traces of several protocols that are [added with settings of their
    /// own](Self::add_as).
    pub(crate) fn of_several(
        link: L,
        settings: &ProbeSettings,
        all: &[&ProbeSettings],
        rate: u32,
        at_once: usize,
    ) -> Result<Self, L::Error> {
        settings.check(AddressFamily::V4)?;
        let pace = Pace::per_second(rate.clamp(1, 1_000_000), link.now());
        let mut driver = Driver::of_several(link, all, pace);
        driver.expect_many();
        driver.expect_survey();
        let at_once = at_once
            .clamp(1, 10_000)
            .min(driver.capacity(&settings.config));
        Ok(Self {
            settings: settings.clone(),
            driver,
            begun: BTreeMap::new(),
            shared: SharedHops::default(),
            at_once,
            setbacks: Setbacks::new(),
            names: Health::default(),
            known_name: None,
            found_hopeless: PerFamily::default(),
            started: VecDeque::new(),
            lost: VecDeque::new(),
            names_due: VecDeque::new(),
            is_interrupted: false,
        })
    }

    /// Whether one more trace may be added now: not more than are to be in flight, and only when
    /// the others have sent what is due. So a trace that has begun is soon over, and the later
    /// ones begin with what it taught.
    #[must_use]
    pub fn has_room(&self) -> bool {
        self.has_room_for_found() && !self.is_held_back()
    }

    /// The same for a host whose name has been looked up: it may begin where new ones may not,
    /// since too many wait. Only so is seen that names are found again.
    #[must_use]
    pub fn has_room_for_found(&self) -> bool {
        self.has_place() && !self.driver.has_backlog()
    }

    fn has_place(&self) -> bool {
        self.begun.len() < self.at_once
    }

    /// The most traces that there may be at a time, running or ended: what was asked for, or on
    /// ping sockets fewer.
    #[must_use]
    pub const fn at_once(&self) -> usize {
        self.at_once
    }

    /// The number of hosts that were added and not taken yet: whose traces run or have ended, that
    /// wait to be tried again, or that were given up.
    #[must_use]
    pub fn len(&self) -> usize {
        self.begun.len() + self.setbacks.len() + self.names_due.len() + self.lost.len()
    }

    /// Whether there is nothing to advance: no trace runs, and no host is to be tried again or
    /// taken in later.
    #[must_use]
    pub fn is_idle(&self) -> bool {
        self.begun.is_empty() && self.next_turn().is_none()
    }

    /// Whether there is none.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }

    /// Whether the survey would learn from a host that is drawn at random from the whole list: then
    /// draw one, [`Order`](crate::Order) says which, and [`sample`](Self::sample). At first it
    /// wants 16 or more, then one in 16 hosts, and more if the paths seem to have changed.
    #[must_use]
    pub fn wants_sample(&self) -> bool {
        self.shares() && self.shared.wants_sample()
    }

    /// A place among the votes for a host that **was drawn at random** from all hosts of the list,
    /// hostile ones at its head or its end included: [`add_found`](Self::add_found) takes both.
    /// Take the place when the host is drawn, not when its address is found: votes are counted in
    /// the order of the draws. A survey learns nothing of the routers without.
    pub fn sample(&mut self) -> Sample {
        // No sweep to a host of which nothing is known is shorter; until there are votes none is
        // longer.
        self.settings.memory.limit.get_or_insert(SPARING);
        self.shared.sample()
    }

    /// Whether traces spare the next ones probes, and are whole unless they are spared some.
    const fn shares(&self) -> bool {
        !self.settings.memory.is_none() && self.settings.config.first_hop == 1
    }

    /// Adds a trace with settings of its own, and nothing [shared](Self#what-traces-share). Those
    /// of the ports stay as they are, such as the source, and whether probes may be fragmented.
    ///
    /// Give hosts that you don't trust no [flow](ProbeSettings::flow) in common: each would know
    /// that of the others.
    ///
    /// It begins now or not at all. A probe that can't be sent is tried again as long as its answer
    /// would be waited for; with an [`outage_limit`](Self::outage_limit) of zero it fails at once,
    /// unless only a queue was full. Returns the address that its probes leave from.
    ///
    /// # Errors
    /// As [`Trace::start`](crate::Trace::start); [`Fault::Full`] if there is no room.
    pub fn add_as(
        &mut self,
        settings: &ProbeSettings,
        host: &str,
        address: SocketAddr,
    ) -> Result<IpAddr, L::Error> {
        let endurance = if self.setbacks.limit.is_zero() {
            Endurance::Queue
        } else {
            Endurance::Timeout
        };
        let begun = self.begin(settings, host, address, None, endurance)?;
        Ok(begun.source)
    }

    fn begin(
        &mut self,
        settings: &ProbeSettings,
        host: &str,
        address: SocketAddr,
        head: Option<Head>,
        endurance: Endurance,
    ) -> Result<&mut Begun, L::Error> {
        if !self.has_place() {
            return Err(Fault::Full.into());
        }
        let begun = Begun::new(settings, &mut self.driver, host, address, head, endurance)?;
        self.driver.permit_checks(begun.id);
        Ok(self.begun.entry(begun.id).or_insert(begun))
    }

    /// The next answer that [`advance`](Job::advance) brought, of any trace, but for those of
    /// traces that were [taken](Self::take) since.
    pub fn take_reply(&mut self) -> Option<HostReply<'_>> {
        let (id, reply) = loop {
            let (id, reply) = self.driver.take_reply()?;
            // Not `if let`: a borrow that is returned from inside a loop would last for all of it.
            if self.begun.contains_key(&id) {
                break (id, reply);
            }
        };
        let begun = self.begun.get(&id)?;
        Some(begun.heard(&self.driver, reply))
    }

    /// The route of a trace that has ended, the oldest first.
    pub fn take(&mut self) -> Option<Route> {
        let id = loop {
            let id = self.driver.ended()?;
            if self.is_in_doubt(id) {
                return None;
            }
            match (self.failed_trial(id), self.spoilt(id)) {
                (Some(lost), _) => self.lost.push_back(lost),
                (None, Some(again)) => self.setbacks.put(again, Instant::EPOCH),
                (None, None) => break id,
            }
            self.begun.remove(&id);
            self.driver.remove(id);
        };
        let mut begun = self.begun.remove(&id)?;
        let (sample, has_head) = (
            begun.listed.take().and_then(|listed| listed.sample),
            begun.has_head,
        );
        let route = begun.finish(&mut self.driver)?;
        if has_head {
            self.shared.met(route.shared().next().is_some());
        }
        if let Some(sample) = sample {
            self.shared
                .vote(sample, route.summary().target, route.hops());
            self.settings.memory.limit =
                Some(self.shared.sweep_limit().unwrap_or(SPARING).max(SPARING));
        }
        Some(route)
    }

    /// The kind of socket that is open for a family, if one is.
    #[must_use]
    pub fn socket(&self, family: AddressFamily) -> Option<SocketKind> {
        self.driver.socket(family, self.settings.protocol)
    }

    /// Returns counts of what the sockets of a family brought that was no answer to any trace.
    #[must_use]
    pub fn rejected(&self, family: AddressFamily) -> Rejected {
        self.driver.rejected(family, self.settings.protocol)
    }
}

impl<L: Link> fmt::Debug for Survey<L> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Survey")
            .field("len", &self.len())
            .field("at_once", &self.at_once)
            .finish_non_exhaustive()
    }
}

/// [`deadline`](Job::deadline) is `None` when no trace is running. Answers and beginnings of the
/// last [`work`](Job::work) that were not taken, by [`take_reply`](Survey::take_reply) and
/// [`take_started`](Survey::take_started), are forgotten by the next; they stand in the routes all
/// the same.
impl<L: Link> Job for Survey<L> {
    type Link = L;

    /// The routes that were not taken, as far as they are known.
    type Output = Vec<Route>;

    fn driver(&self) -> &Driver<L> {
        &self.driver
    }

    fn driver_mut(&mut self) -> &mut Driver<L> {
        &mut self.driver
    }

    fn deadline(&self) -> Option<Instant> {
        let driver = self.driver.deadline();
        // What has ended is to be taken first: it makes room for others.
        let has_turn = driver.is_some() || self.begun.is_empty();
        driver
            .into_iter()
            .chain(self.next_turn().filter(|_| has_turn))
            .min()
    }

    fn work(&mut self) -> Result<Step, L::Error> {
        while self.driver.take_reply().is_some() {}
        self.started.clear();
        self.try_again();
        self.driver.work()?;
        Ok(if self.deadline().is_none() {
            Step::Done
        } else {
            Step::Running
        })
    }

    /// Ends all traces with what is known. Hosts that wait are not traced.
    fn interrupt(&mut self) {
        self.is_interrupted = true;
        self.lost.extend(self.setbacks.interrupt());
        self.names_due.clear();
        self.driver.interrupt();
    }

    fn finish(mut self) -> Vec<Route> {
        self.interrupt();
        std::iter::from_fn(|| self.take()).collect()
    }
}
