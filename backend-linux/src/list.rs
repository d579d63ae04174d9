//! Many traces at once, on the same few sockets, of hosts by their names: a [`Survey`] for loops of
//! one's own, [`Many`] and [`Routes`] as an iterator.

#[cfg(test)]
mod tests;

use crate::bell::Bell;
use crate::error::Error;
use crate::lookups::Lookups;
use crate::resolve::needs_resolver;
use crate::running::Running;
use crate::settings::Settings;
use crate::sockets::Sockets;
use hopshot_core::Instant;
use hopshot_core::wire::AddressFamily;
use hopshot_engine::{
    self as engine, HostReply, Job, Link, Outage, Rejected, Route, Sample, SocketKind, Started,
    Step,
};
use std::fmt;
use std::net::{IpAddr, SocketAddr};
use std::sync::Arc;
use std::time::Duration;

/// Many traces at once.
pub type Survey = Running<HostSurvey>;

/// The job of a [`Survey`]: the engine's, and names, which are looked up side by side on threads.
///
/// [`add`](Self::add) hosts while there [is room](Self::has_room), call
/// [`advance`](Running::advance), and [`take`](Self::take) the routes of traces that have ended and
/// [the hosts](Self::take_lost) that were given up, until it is [empty](Self::is_empty).
/// The survey learns [what traces share](engine::Survey#what-traces-share) from hosts that were
/// drawn at random only.
///
/// A program that looks names up itself, in a process of its own for example, calls
/// [`add_found`](Self::add_found) in place of `add`, and takes [the names to look up
/// again](Self::take_name) as well.
pub struct HostSurvey {
    survey: engine::Survey<Sockets>,
    lookups: Lookups,
    /// Whether names that failed are looked up again here, and not by the caller.
    looks_up: bool,
}

/// The longest sleep while nothing but look-ups is on its way: their end ends it.
const LOOK: Duration = Duration::from_secs(1);

impl Survey {
    /// Probes a second by default: half a megabit of small packets, spread over all that is traced.
    pub const DEFAULT_RATE: u32 = engine::DEFAULT_RATE;

    /// Traces in flight by default. Each takes 3 to 6 KiB with one attempt, up to 8 KiB with three.
    pub const AT_ONCE: usize = engine::AT_ONCE;

    /// Opens the sockets of both families, or of the one that the settings name.
    ///
    /// `rate` is in probes a second, all traces together, 1 to 1,000,000; `at_once` the most traces
    /// in flight, 1 to 10,000 (what is beyond is taken for the nearest). On ping sockets there are
    /// fewer where each needs many of their seqs: some 2,300 with three attempts, one sixteenth of
    /// that with one pair of sockets. From 1,000 a second on, probes leave in small groups, a
    /// millisecond apart, and the survey looks for answers at least once every eight probes: a
    /// target that is nearer than that may get some in vain.
    ///
    /// # Errors
    /// [`Error`] if a parameter of the settings is out of its range, or no socket can be opened.
    pub fn new(settings: &Settings, rate: u32, at_once: usize) -> Result<Self, Error> {
        settings.check()?;
        let mut sockets = Sockets::open(settings.family, settings.socket_options())?;
        sockets.open_more();
        if settings.checks_targets(false) {
            sockets.open_checks();
        }
        let bell = Bell::new().map_err(Error::system("can't make a descriptor for look-ups"))?;
        let lookups = Lookups::new(Arc::new(settings.resolver()), bell.clone());
        sockets.bell = Some(bell);
        let survey = engine::Survey::start(sockets, &settings.probes, rate, at_once)?;
        Self::of(HostSurvey {
            survey,
            lookups,
            looks_up: false,
        })
    }
}

impl HostSurvey {
    /// Sets how long everything may fail before the list ends: 60 s by default. Until then the
    /// hosts wait, and all are traced when the network is back. With zero nothing is tried again.
    pub const fn outage_limit(&mut self, limit: Duration) {
        self.survey.outage_limit(limit);
    }

    /// Adds a host: an address, or a name, which is looked up while the others are traced; where
    /// this process may start no thread, the look-up is waited for. [`take_lost`](Self::take_lost)
    /// returns one that has no address. Its trace may begin later, when this machine's network
    /// permits: see [`take_started`](Self::take_started).
    ///
    /// # Errors
    /// Why it can't be traced, and won't be later either; [`Error::Full`] if there is no room.
    pub fn add(&mut self, host: &str) -> Result<(), Error> {
        self.add_drawn(host, None)
    }

    pub(crate) fn add_drawn(&mut self, host: &str, sample: Option<Sample>) -> Result<(), Error> {
        if !needs_resolver(host) {
            let found = self.lookups.resolve(host);
            return self.add_found(host, found, sample);
        }
        self.looks_up = true;
        if !self.has_room() {
            return Err(Error::Full);
        }
        self.lookups.ask(host.to_owned(), sample);
        Ok(())
    }

    /// Adds a host with what came of a look-up made elsewhere. If that has failed and [may
    /// pass](Error::may_pass), the name is to be looked up again when
    /// [`take_name`](Self::take_name) gives it back. With the [`sample`](Self::sample) of a host
    /// that was drawn at random its trace is whole, and the others learn from it.
    ///
    /// # Errors
    /// As [`add`](Self::add).
    pub fn add_found(
        &mut self,
        host: &str,
        found: Result<SocketAddr, Error>,
        sample: Option<Sample>,
    ) -> Result<(), Error> {
        let asked_servers = needs_resolver(host) && !self.lookups.has_in_file(host);
        self.survey.add_found(host, found, asked_servers, sample)
    }

    /// Adds a trace with settings of its own: see [`engine::Survey::add_as`].
    ///
    /// # Errors
    /// As there.
    pub fn add_as(
        &mut self,
        settings: &Settings,
        host: &str,
        address: SocketAddr,
    ) -> Result<IpAddr, Error> {
        self.survey.add_as(&settings.probes, host, address)
    }

    /// Returns the next name that is to be looked up again, for [`add_found`](Self::add_found). It
    /// may be one that was found before: whether it still is shows whether names can be looked up
    /// at all. `None` once [`add`](Self::add) was called: then all names are looked up here.
    pub fn take_name(&mut self) -> Option<String> {
        match self.looks_up {
            true => None,
            false => self.survey.take_name(),
        }
    }

    /// Gives a name back that was [taken](Self::take_name) and can't be looked up now, since too
    /// many are.
    pub fn put_back_name(&mut self, name: String) {
        self.survey.put_back_name(name);
    }

    /// Returns the name that was [taken](Self::take_name) to be looked up, although its host has
    /// its result.
    #[must_use]
    pub fn witness(&self) -> Option<&str> {
        self.survey.witness().filter(|_| !self.looks_up)
    }

    /// Returns whether one more host may be added now: see [`engine::Survey::has_room`]. Names that
    /// are looked up are few at a time.
    #[must_use]
    pub fn has_room(&self) -> bool {
        self.survey.has_room() && self.lookups.has_room()
    }

    /// Returns whether a host may be added now whose name was looked up elsewhere. There may be
    /// room for it while new hosts wait: otherwise nobody would notice that names are found again.
    #[must_use]
    pub fn has_room_for_found(&self) -> bool {
        self.survey.has_room_for_found()
    }

    /// Returns the most traces that there may be at a time, running or ended: what was asked for,
    /// or on ping sockets fewer.
    #[must_use]
    pub const fn at_once(&self) -> usize {
        self.survey.at_once()
    }

    /// Returns the number of hosts that were added and not taken yet, those that are looked up
    /// included.
    #[must_use]
    pub fn len(&self) -> usize {
        self.survey.len() + self.lookups.pending()
    }

    /// Returns whether there is nothing to advance, nor anything looked up.
    #[must_use]
    pub fn is_idle(&self) -> bool {
        self.survey.is_idle() && self.lookups.pending() == 0
    }

    /// Returns whether no host is left.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }

    /// Returns whether the survey would learn from a host that is drawn at random from the whole
    /// list: see [`engine::Survey::wants_sample`].
    #[must_use]
    pub fn wants_sample(&self) -> bool {
        self.survey.wants_sample()
    }

    /// Returns a place among the votes for a host that **was drawn at random** from all hosts of
    /// the list: see [`engine::Survey::sample`].
    pub fn sample(&mut self) -> Sample {
        self.survey.sample()
    }

    /// Returns the next trace that has begun since the last call. A host whose trace was spoilt by
    /// an outage begins again. Those that were not taken are forgotten by the next
    /// [`work`](Running::work).
    pub fn take_started(&mut self) -> Option<Started> {
        self.survey.take_started()
    }

    /// Returns the next answer that was received, of any trace but those that were
    /// [taken](Self::take) since. Those that were not taken are forgotten by the next
    /// [`work`](Running::work), and stand in the routes all the same.
    pub fn take_reply(&mut self) -> Option<HostReply<'_>> {
        self.survey.take_reply()
    }

    /// Returns the route of a trace that has ended, the oldest first.
    pub fn take(&mut self) -> Option<Route> {
        self.survey.take()
    }

    /// Returns the next host that was given up after it had been added, and why.
    pub fn take_lost(&mut self) -> Option<(String, Error)> {
        self.survey.take_lost()
    }

    /// Returns what keeps all hosts waiting, if that has lasted for a second, or for two where it
    /// is names.
    #[must_use]
    pub fn outage(&self) -> Option<Outage<'_>> {
        self.survey.outage()
    }

    /// Returns the kind of socket that is open for a family, if one is.
    #[must_use]
    pub fn socket(&self, family: AddressFamily) -> Option<SocketKind> {
        self.survey.socket(family)
    }

    /// Returns counts of what the sockets of a family brought that was no answer to any trace.
    #[must_use]
    pub fn rejected(&self, family: AddressFamily) -> Rejected {
        self.survey.rejected(family)
    }

    /// Begins traces of those that were found, as long as there is room.
    fn take_found(&mut self) {
        while self.survey.has_room_for_found()
            && let Some((name, sample, found)) = self.lookups.take()
        {
            if let Err(error) = self.add_found(&name, found, sample) {
                self.survey.give_up(name, error);
            }
        }
    }
}

impl fmt::Debug for HostSurvey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("HostSurvey")
            .field("survey", &self.survey)
            .field("pending", &self.lookups.pending())
            .finish_non_exhaustive()
    }
}

impl Job for HostSurvey {
    type Link = Sockets;
    type Output = Vec<Route>;

    fn driver(&self) -> &engine::Driver<Sockets> {
        self.survey.driver()
    }

    fn driver_mut(&mut self) -> &mut engine::Driver<Sockets> {
        self.survey.driver_mut()
    }

    fn deadline(&self) -> Option<Instant> {
        let now = || self.link().now();
        if self.lookups.is_ready() && self.survey.has_room_for_found() {
            return Some(now());
        }
        let is_looking = self.lookups.pending() > 0;
        let look = || is_looking.then(|| now().saturating_add(LOOK));
        self.survey.deadline().or_else(look)
    }

    fn work(&mut self) -> Result<Step, Error> {
        let step = self.survey.work()?;
        if !self.looks_up {
            return Ok(step);
        }
        while self.lookups.has_room()
            && let Some(name) = self.survey.take_name()
        {
            self.lookups.ask_again(name);
        }
        self.lookups.collect();
        self.take_found();
        Ok(match self.deadline() {
            None => Step::Done,
            Some(_) => Step::Running,
        })
    }

    fn interrupt(&mut self) {
        for name in self.lookups.give_up() {
            let why = "not traced: interrupted while its address was looked up";
            self.survey.give_up(name, Error::LookUp(why.to_owned()));
        }
        self.survey.interrupt();
    }

    fn finish(self) -> Vec<Route> {
        self.survey.finish()
    }
}
