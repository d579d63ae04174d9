//! Many traces at once, on the same few sockets, of hosts by their names.

#[cfg(test)]
mod tests;

use crate::error::Error;
use crate::resolve::{Resolver, needs_resolver};
use crate::running::Running;
use crate::settings::Traceroute;
use crate::sockets::Sockets;
use hopshot_core::Instant;
use hopshot_engine::{self as engine, Job, Route, Sample, Step};
use std::net::{IpAddr, SocketAddr};
use std::ops::{Deref, DerefMut};

/// Many traces at once.
pub type Survey = Running<HostSurvey>;

/// The job of a [`Survey`]: the engine's, and names.
pub struct HostSurvey {
    survey: engine::Survey<Sockets>,
    resolver: Resolver,
    /// Whether names are looked up here, and not by the caller.
    looks_up: bool,
}

impl Survey {
    /// Probes a second by default: half a megabit of small packets, spread over all that is traced.
    pub const DEFAULT_RATE: u32 = engine::DEFAULT_RATE;

    /// Traces in flight by default. Each takes 3 to 6 KiB with one attempt, up to 8 KiB with three.
    pub const AT_ONCE: usize = engine::AT_ONCE;

    /// Opens the sockets of both families, or of the one that the settings name. The host of the
    /// settings is not traced.
    ///
    /// `rate` is in probes a second, all traces together, 1 to 1,000,000; `at_once` the most traces
    /// in flight, 1 to 10,000 (what is beyond is taken for the nearest). On ping sockets there
    /// are fewer where each needs many of their seqs: some 2,300 with three attempts, one
    /// sixteenth of that with one pair of sockets. From 1,000 a second on, probes leave in small
    /// groups, a millisecond apart, and it is looked for answers after every eighth at most, so
    /// a target that is nearer than that may get some in vain.
    ///
    /// # Errors
    /// [`Error`] if a parameter of the settings is out of its range, or no socket can be opened.
    pub fn new(settings: &Traceroute, rate: u32, at_once: usize) -> Result<Self, Error> {
        settings.check()?;
        let mut sockets = Sockets::open(settings.family, settings.socket_options())?;
        sockets.open_more_pings();
        let survey = engine::Survey::start(sockets, &settings.settings, rate, at_once)?;
        Ok(Self::of(HostSurvey {
            survey,
            resolver: settings.resolver(),
            looks_up: false,
        }))
    }
}

impl HostSurvey {
    /// Adds a host: a name, which is looked up now, or an address. Its trace may begin later, when
    /// this machine's network permits: see [`take_started`](engine::Survey::take_started).
    ///
    /// # Errors
    /// Why it can't be traced, and won't be later either; [`Error::Full`] if there is no room.
    pub fn add(&mut self, host: &str) -> Result<(), Error> {
        self.add_drawn(host, None)
    }

    pub(crate) fn add_drawn(&mut self, host: &str, sample: Option<Sample>) -> Result<(), Error> {
        self.looks_up = true;
        let found = self.resolver.resolve(host);
        self.add_found(host, found, sample)
    }

    /// Adds a host with what came of a look-up made elsewhere. If that has failed and [may
    /// pass](Error::may_pass), the name is to be looked up again when
    /// [`take_name`](engine::Survey::take_name) gives it back. With the
    /// [`sample`](engine::Survey::sample) of a host that was drawn at random its trace is whole,
    /// and the others learn from it.
    ///
    /// # Errors
    /// As [`add`](Self::add).
    pub fn add_found(
        &mut self,
        host: &str,
        found: Result<SocketAddr, Error>,
        sample: Option<Sample>,
    ) -> Result<(), Error> {
        let asked_servers = needs_resolver(host) && !self.resolver.has_in_file(host);
        self.survey.add_found(host, found, asked_servers, sample)
    }

    /// Adds a trace with settings of its own: see [`engine::Survey::add_as`].
    ///
    /// # Errors
    /// As there.
    pub fn add_as(&mut self, settings: &Traceroute, address: SocketAddr) -> Result<IpAddr, Error> {
        self.survey
            .add_as(&settings.settings, &settings.host, address)
    }
}

impl Deref for HostSurvey {
    type Target = engine::Survey<Sockets>;

    fn deref(&self) -> &Self::Target {
        &self.survey
    }
}

impl DerefMut for HostSurvey {
    fn deref_mut(&mut self) -> &mut Self::Target {
        &mut self.survey
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
        self.survey.deadline()
    }

    fn work(&mut self) -> Result<Step, Error> {
        let step = self.survey.work()?;
        if !self.looks_up {
            return Ok(step);
        }
        while let Some(name) = self.survey.take_name() {
            let found = self.resolver.resolve(&name);
            if let Err(error) = self.add_found(&name, found, None) {
                self.survey.give_up(name, error);
            }
        }
        Ok(if self.deadline().is_none() {
            Step::Done
        } else {
            Step::Running
        })
    }

    fn interrupt(&mut self) {
        self.survey.interrupt();
    }

    fn finish(self) -> Vec<Route> {
        self.survey.finish()
    }
}
