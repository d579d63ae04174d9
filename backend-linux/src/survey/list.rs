//! The hosts of a list: begun as they are added, held back while this machine's network or its name servers fail, and given up
//! only with a reason.

use super::setbacks::{Healths, Place, Service, Setback};
use super::{SPARING, SPARING_STEP, Survey};
use crate::driver::Step;
use crate::health::ALONE;
use crate::near::{Head, Sample};
use crate::running::Endurance;
use crate::trace::{Begun, Listed};
use crate::uplink::CutOff;
use crate::{Error, Failure, SendError, Traceroute, clock, failure_text, needs_resolver};
use hopshot_core::wire::Version;
use hopshot_core::{Instant, Sweep};
use rustix::io::Errno;
use std::net::{IpAddr, SocketAddr};
use std::os::fd::BorrowedFd;
use std::time::Duration;

/// How often a trace that hears nothing at all is run again.
const MOST_RERUNS: u8 = 6;

/// Reruns of a trace that has heard somebody.
const MOST_RERUNS_HEARD: u8 = 3;

/// A trace that has begun.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Started {
    /// The host as it was given.
    pub host: String,
    /// The address that is traced.
    pub target: IpAddr,
    /// The address that its probes leave from.
    pub source: IpAddr,
    /// The flow of all its probes.
    pub flow: u16,
}

/// Why no trace of a list gets on at present.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Outage<'a> {
    /// What fails, such as `nothing gets through over IPv4`.
    pub what: &'static str,
    /// The last reason for it.
    pub reason: &'a str,
    /// How long it may last before it ends the list.
    pub limit: Duration,
}

impl Survey {
    /// How long everything may fail before the list ends: 60 s by default. Until then the hosts wait, and all are traced when the
    /// network is back. With zero nothing is tried again.
    pub const fn outage_limit(&mut self, limit: Duration) {
        self.setbacks.limit = limit;
    }

    /// Adds a host: a name, which is resolved now, or an address. Its trace may begin later, when this machine's network
    /// permits: see [`take_started`](Self::take_started).
    ///
    /// # Errors
    /// Why it can't be traced, and won't be later either; [`Error::Full`] if there is no room.
    pub fn add(&mut self, host: &str) -> Result<(), Error> {
        self.add_drawn(host, None)
    }

    pub(super) fn add_drawn(&mut self, host: &str, sample: Option<Sample>) -> Result<(), Error> {
        let resolved = self.resolve(host);
        self.take_in(host, resolved, Place::Unknown, sample)
    }

    /// Adds a host whose address is known: after [`confine`](Self::confine) no name can be resolved here. The port means
    /// nothing.
    ///
    /// # Errors
    /// As [`add`](Self::add).
    pub fn add_at(&mut self, host: &str, address: SocketAddr) -> Result<(), Error> {
        self.take_in(host, Ok(address), Place::Elsewhere, None)
    }

    /// Adds a host with what came of a look-up made elsewhere. If that has failed and [may pass](Error::may_pass), the name is to
    /// be looked up again when [`take_name`](Self::take_name) gives it back. With the [`sample`](Self::sample) of a host that was
    /// drawn at random its trace is whole, and the others learn from it.
    ///
    /// # Errors
    /// As [`add`](Self::add).
    pub fn add_found(
        &mut self,
        host: &str,
        found: Result<SocketAddr, Error>,
        sample: Option<Sample>,
    ) -> Result<(), Error> {
        self.take_in(host, found, Place::Elsewhere, sample)
    }

    /// Returns the next trace that has begun since the last call. A host whose trace was spoilt by an outage begins again.
    pub fn take_started(&mut self) -> Option<Started> {
        self.started.pop_front()
    }

    /// Returns the next host that was given up after it had been added, and why.
    pub fn take_lost(&mut self) -> Option<(String, Error)> {
        self.lost.pop_front()
    }

    /// Returns the next name to look up again, for [`add_found`](Self::add_found). It may be one that was found before: whether
    /// it still is shows whether names can be looked up at all.
    pub fn take_name(&mut self) -> Option<String> {
        self.names_due.pop_front()
    }

    /// Returns the name that was [given](Self::take_name) to be looked up, although its host has its result.
    #[must_use]
    pub fn witness(&self) -> Option<&str> {
        self.setbacks.witness()
    }

    /// Returns what keeps all hosts waiting, if that has lasted for a second, or for two where it is names.
    #[must_use]
    pub fn outage(&self) -> Option<Outage<'_>> {
        let (now, healths) = (clock::now(), self.healths());
        // One that was found before is asked for once a second while the last names fail.
        let at_least = |service| Duration::from_secs(if service == Service::Names { 2 } else { 1 });
        let waits_for = |service: &Service| self.setbacks.waits_for(*service, &healths, now, at_least(*service));
        let service = Service::ALL.into_iter().find(waits_for)?;
        let outage = self.setbacks.outage(service, &healths);
        let cut_off = service.family().and_then(|family| self.driver.cut_off(family));
        let is_silence = cut_off == Some(CutOff::Silence);
        Some(Outage { limit: if is_silence { outage.limit.min(ALONE) } else { outage.limit }, ..outage })
    }

    fn resolve(&self, host: &str) -> Result<SocketAddr, Error> {
        Traceroute { host: host.to_owned(), ..self.settings.clone() }.resolve()
    }

    fn take_in(
        &mut self,
        host: &str,
        found: Result<SocketAddr, Error>,
        unknown: Place,
        sample: Option<Sample>,
    ) -> Result<(), Error> {
        let now = clock::now();
        let before = self.setbacks.answered(host);
        if before.as_ref().is_some_and(|before| before.place == Place::Witness) {
            // Any answer shows that they work, that there is no such name any more too.
            match found {
                Err(error) if error.may_pass() => self.names.fail(now),
                _ => drop(self.names.succeed(now)),
            }
            return Ok(());
        }
        match found {
            Ok(address) => {
                if self.asks_servers(host) && !address.ip().is_loopback() {
                    self.names.succeed(now);
                    if self.known_name.is_none() {
                        self.known_name = Some((host.to_owned(), now));
                    }
                }
                let sample = sample.or_else(|| before.and_then(|before| before.sample));
                self.begin_listed(Setback::new(host.to_owned(), Place::At(address), sample, now))
            }
            Err(error) if error.may_pass() => {
                self.names.fail(now);
                let setback = before.unwrap_or_else(|| Setback::new(host.to_owned(), unknown, sample, now));
                self.hold(setback, error)
            }
            Err(error) => {
                // Somebody has answered.
                let is_answer = matches!(error, Error::Resolve { .. } | Error::LookUp(_) | Error::NoSuchFamily { .. });
                if is_answer && self.asks_servers(host) {
                    self.names.succeed(now);
                }
                Err(error)
            }
        }
    }

    /// Whether a name server has to be asked for a host, as far as can be told.
    fn asks_servers(&self, host: &str) -> bool {
        needs_resolver(host) && !self.names_of_file.contains(&host.to_lowercase())
    }

    /// Begins a trace, or holds its host back where that fails for a reason that may pass.
    fn begin_listed(&mut self, setback: Setback) -> Result<(), Error> {
        let Place::At(address) = setback.place else { return Ok(()) };
        let service = setback.service();
        let ended = self.setbacks.has_ended(service);
        let has_ended = ended.is_some();
        // The network may be back, or there may be a way to this host: others may have been at fault.
        let is_trial = has_ended && self.driver.has_witness_near(address.ip());
        if let Some(away) = ended
            && is_trial
            && self.is_hopeless(address.ip())
        {
            return Err(away);
        }
        self.driver.expect_silence();
        let (settings, head) = self.settings_for(&setback.host, address, setback.sample.is_some());
        let endures = !has_ended && !self.setbacks.limit.is_zero();
        let endurance = if endures { Endurance::Outage } else { Endurance::Timeout };
        match self.begin(&settings, address, head, endurance) {
            Ok(number) => {
                let tracer = self.driver.tracer(number);
                let (target, source) = (tracer.config().target, tracer.config().source);
                let flow = tracer.protocol().checksum;
                let Setback { host, reruns, sample, .. } = setback;
                if let Some(begun) = self.begun.get_mut(&number) {
                    begun.listed = Some(Listed { address, reruns, sample, is_trial });
                }
                self.started.push_back(Started { host, target, source, flow });
                Ok(())
            }
            Err(error) if self.may_pass(&error, service) => {
                self.driver.fail(address.ip());
                self.hold(setback, error)
            }
            Err(error) => Err(error),
        }
    }

    /// Returns whether an outage that has ended the list goes on, as far as is known. Where packets leave and nobody is heard only
    /// an answer ends it: then a host is traced to see that, once in a while.
    fn is_hopeless(&mut self, target: IpAddr) -> bool {
        const WHILE: Duration = Duration::from_secs(1);
        let (version, now) = (Version::of(target), clock::now());
        if self.driver.cut_off(version).is_none() {
            return !self.driver.leaves_for_others(target, now);
        }
        let found = self.found_hopeless[Service::of(version) as usize];
        found.is_some_and(|found| now.saturating_since(found) < WHILE)
    }

    /// Returns whether a trace shows at present if an outage goes on that has ended the list: the next hosts wait for that.
    fn has_trial(&self) -> bool {
        let is_open =
            |listed: &Listed| listed.is_trial && self.driver.cut_off(Version::of(listed.address.ip())).is_some();
        let is_trial = |begun: &Begun| begun.listed.as_ref().is_some_and(is_open);
        self.found_hopeless.iter().any(Option::is_some) && self.begun.values().any(is_trial)
    }

    /// Returns the host of a trace that has ended and found the outage to go on, and why it isn't traced.
    pub(super) fn failed_trial(&mut self, number: usize) -> Option<(String, Error)> {
        let begun = self.begun.get(&number)?;
        let address = begun.listed.as_ref().filter(|listed| listed.is_trial)?.address;
        let service = Service::of(Version::of(address.ip()));
        let away = self.setbacks.has_ended(service)?;
        let lost = (!self.driver.has_heard(number)).then(|| (begun.host().to_owned(), away))?;
        self.found_hopeless[service as usize] = Some(clock::now());
        Some(lost)
    }

    /// Whether an error may be over soon. What worked before and doesn't now is this machine's doing, such as an interface or an
    /// address that has gone for a moment.
    fn may_pass(&self, error: &Error, service: Service) -> bool {
        let has_changed = matches!(error, Error::Source { .. } | Error::NoSuchInterface(_) | Error::System { .. });
        error.may_pass() || has_changed && self.healths()[service as usize].has_worked()
    }

    fn hold(&mut self, setback: Setback, error: Error) -> Result<(), Error> {
        if self.setbacks.limit.is_zero() {
            return Err(error);
        }
        let service = setback.service();
        let (health, now) = (self.healths()[service as usize], clock::now());
        let works = health.works_for_others(setback.since());
        if service == Service::Names {
            self.ask_witness(setback.place, now);
        }
        self.setbacks.hold(setback, error, &health, works, now)
    }

    /// The settings of a host's trace, with what other traces have taught. That of a host which was drawn is whole.
    fn settings_for(&mut self, host: &str, address: SocketAddr, is_drawn: bool) -> (Traceroute, Option<Head>) {
        let mut settings = Traceroute { host: host.to_owned(), ..self.settings.clone() };
        // Each host of the list learns a flow that all have from its own probes.
        settings.echo.checksum_is_public = settings.flow.is_some();
        let distance = settings.memory.distance(address.ip());
        let head = if is_drawn || !self.learns() {
            None
        } else {
            self.near.pass();
            self.near.head(address.ip(), distance, settings.config.max_hops)
        };
        if distance.is_none() && self.driver.added() >= super::LONG_LIST && self.driver.is_held_up() {
            let nearest = head.as_ref().map_or(settings.config.first_hop, Head::first_hop);
            let first = SPARING.max(nearest.saturating_add(SPARING_STEP - 1));
            settings.config.sweep.get_or_insert(Sweep::Window { first, step: SPARING_STEP });
        }
        (settings, head)
    }

    /// Looks up a name that was found before, where too few hosts are left to show whether those of others still can be.
    fn ask_witness(&mut self, how: Place, now: Instant) {
        /// An outage in the middle of a long list leaves more; and who has a cache says nothing of it.
        const FEW: usize = 8;
        const PAUSE: Duration = Duration::from_secs(1);
        let (is_tail, is_asked) = (self.len() <= FEW, self.setbacks.witness().is_some());
        // Before all of them are lost for a fault that may be theirs: a whole zone may fail.
        let is_late = self.names.failing_for(now).is_some_and(|failing| failing >= self.setbacks.limit / 6 * 5);
        let is_due = (is_tail || is_late) && !is_asked;
        let Some((name, asked)) = self.known_name.as_mut().filter(|_| is_due) else { return };
        if now.saturating_since(*asked) < PAUSE {
            return;
        }
        *asked = now;
        let name = name.clone();
        if how == Place::Elsewhere {
            self.setbacks.ask(Setback::new(name.clone(), Place::Witness, None, now));
            return self.names_due.push_back(name);
        }
        match self.resolve(&name) {
            Err(error) if error.may_pass() => self.names.fail(clock::now()),
            _ => drop(self.names.succeed(clock::now())),
        }
    }

    /// Gives a name back that can't be looked up now, since too many are.
    pub fn put_back_name(&mut self, name: String) {
        self.names_due.push_front(name);
    }

    /// Tries hosts again that are due, and ends the list where an outage has lasted too long.
    pub(super) fn try_again(&mut self) {
        let now = clock::now();
        if self.setbacks.limit.is_zero() {
            return;
        }
        for service in Service::ALL {
            self.end_outage(service, now);
        }
        while self.has_place() && self.driver.may_send() {
            let healths = self.healths();
            let Some(setback) = self.setbacks.due(&healths, now) else { return };
            let host = setback.host.clone();
            let tried = match setback.place {
                Place::At(_) => self.begin_listed(setback),
                Place::Unknown => {
                    self.setbacks.ask(setback);
                    self.add(&host)
                }
                Place::Elsewhere | Place::Witness => {
                    self.setbacks.ask(setback);
                    self.names_due.push_back(host);
                    continue;
                }
            };
            self.lost.extend(tried.err().map(|error| (host, error)));
        }
    }

    fn end_outage(&mut self, service: Service, now: Instant) {
        let family = service.family();
        let healths = self.healths();
        if healths[service as usize].failing_for(now).is_none() {
            return self.setbacks.reopen(service);
        }
        if let Some(family) = family {
            if let Some(errno) = self.driver.obstacle(family) {
                self.setbacks.note(service, failure(errno));
            } else if let Some(cut_off) = self.driver.cut_off(family) {
                self.setbacks.note(service, why(cut_off).to_owned());
                // It may be that nobody answers any more.
                let is_long = healths[service as usize].failed_for().is_some_and(|failed| failed >= ALONE);
                if cut_off == CutOff::Silence && is_long {
                    return self.driver.accept_silence(family);
                }
            }
        }
        if let Some(lost) = self.setbacks.end(service, &healths) {
            self.lost.extend(lost);
            if let Some(family) = family {
                self.found_hopeless[service as usize] = Some(now);
                self.driver.interrupt_family(family);
            }
        }
    }

    pub(super) fn healths(&self) -> Healths {
        [self.driver.health(Version::V4), self.driver.health(Version::V6), self.names]
    }

    /// Whether no host is taken in at present: enough wait, one of them is to be tried first, or packets can't be sent and those
    /// that failed have used the pace up.
    pub(super) fn is_held_back(&self) -> bool {
        let (now, healths) = (clock::now(), self.healths());
        self.setbacks.is_full()
            || self.has_trial()
            || self.setbacks.next(&healths, now).is_some_and(|next| next <= now)
            || is_failing(&healths, now) && self.driver.next_send() > now
    }

    /// When a host is to be tried again, or the next may be taken in after one that failed.
    pub(super) fn next_turn(&self) -> Option<Instant> {
        if !self.has_place() {
            return None;
        }
        let (now, healths, next_send) = (clock::now(), self.healths(), self.driver.next_send());
        let again = self.setbacks.next(&healths, now).map(|next| next.max(next_send));
        let intake = (is_failing(&healths, now) && next_send > now).then_some(next_send);
        again.into_iter().chain(intake).min()
    }

    /// Sleeps until it is a host's turn.
    pub(crate) fn wait(&mut self, wake: Option<BorrowedFd<'_>>, at_most: Duration) -> Result<Step, Error> {
        let latest = clock::now().saturating_add(at_most);
        let until = self.next_turn().map_or(latest, |next| next.min(latest));
        if self.driver.sleep(until, wake)? {
            return Ok(Step::Woken);
        }
        // Late answers, and those of others, would end the next sleep at once.
        self.driver.work()?;
        Ok(Step::Running)
    }

    /// Whether a trace that has ended, and isn't whole, is to wait until it is known whether anybody is heard at all.
    pub(super) fn is_in_doubt(&mut self, number: usize) -> bool {
        let Some(begun) = self.begun.get(&number) else { return false };
        let Some(Listed { address, .. }) = &begun.listed else { return false };
        let version = Version::of(address.ip());
        !self.is_interrupted
            && !self.setbacks.limit.is_zero()
            && self.setbacks.has_ended(Service::of(version)).is_none()
            && !self.driver.is_whole(number)
            && self.driver.may_be_silent(version)
    }

    /// Returns the host of a trace that has ended and is to be run again: it isn't whole, and while it ran packets of its family
    /// could not be sent, or their source has changed.
    pub(super) fn spoilt(&mut self, number: usize) -> Option<Setback> {
        let begun = self.begun.get(&number)?;
        let Listed { address, reruns, .. } = *begun.listed.as_ref()?;
        let (version, start, host) = (Version::of(address.ip()), begun.start(), begun.host().to_owned());
        let may_be_run = !self.is_interrupted && !self.setbacks.limit.is_zero();
        if !may_be_run || self.setbacks.has_ended(Service::of(version)).is_some() || self.driver.is_whole(number) {
            return None;
        }
        let has_failed = !self.driver.has_given_up(number)
            && (self.driver.had_outage_since(version, start) || self.driver.has_moved(number));
        let was_cut_off = has_failed || self.driver.fell_silent(number, start);
        // Whoever has heard something knows more of the path than that nobody answers: what is missing may be silent. Once is
        // enough where it isn't known that there was an outage at all.
        let is_doubtful = self.driver.has_doubtful_distance(number);
        let most = match (was_cut_off, self.driver.has_heard(number)) {
            // The limit of an outage is enough.
            _ if matches!(self.driver.cut_off(version), Some(CutOff::Gateway | CutOff::BehindGateway)) => u8::MAX,
            (true, true) => MOST_RERUNS_HEARD,
            (true, false) => MOST_RERUNS,
            (false, _) if is_doubtful => MOST_RERUNS_HEARD,
            (false, _) => 1,
        };
        let is_spoilt = was_cut_off || is_doubtful || self.driver.was_silent_after(version, start);
        let is_spoilt = is_spoilt && reruns < most;
        let listed = self.begun.get_mut(&number).filter(|_| is_spoilt)?.listed.take()?;
        Some(Setback::rerun(host, listed, clock::now()))
    }
}

fn is_failing(healths: &Healths, now: Instant) -> bool {
    healths.iter().any(|health| health.failing_for(now).is_some())
}

const fn why(cut_off: CutOff) -> &'static str {
    match cut_off {
        CutOff::Silence | CutOff::BehindGateway => "no answer from anybody",
        CutOff::Gateway => "the gateway doesn't answer on its link",
    }
}

/// Why a packet could not be sent, in words.
fn failure(errno: Errno) -> String {
    failure_text(Failure::Send(SendError(u16::try_from(errno.raw_os_error()).unwrap_or(u16::MAX))))
}
