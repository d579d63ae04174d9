//! The hosts of a list: begun as they are added, held back while this machine's network or its name
//! servers fail, and given up only with a reason.

use super::service::{Healths, Service};
use super::setbacks::{Outage, Place, Setback};
use super::{SPARING, Started, Survey};
use crate::error::LinkError;
use crate::health::ALONE;
use crate::link::Link;
use crate::running::Endurance;
use crate::settings::ProbeSettings;
use crate::shared::{Head, Sample};
use crate::trace::{Begun, Listed};
use crate::trace_id::TraceId;
use crate::uplink::CutOff;
use hopshot_core::wire::AddressFamily;
use hopshot_core::{Instant, Sweep};
use std::net::{IpAddr, SocketAddr};
use std::time::Duration;

/// After so many traces it is a long list: what counts is its rate, not the round trips of one.
const LONG_LIST: u64 = 16;

/// Hops that a sparing sweep adds per step.
const SPARING_STEP: u8 = 4;

/// How often a trace that hears nothing at all is run again.
const MOST_RERUNS: u8 = 6;

/// Reruns of a trace that has heard somebody.
const MOST_RERUNS_HEARD: u8 = 3;

impl<L: Link> Survey<L> {
    /// How long everything may fail before the list ends: 60 s by default. Until then the hosts
    /// wait, and all are traced when the network is back. With zero nothing is tried again.
    pub const fn outage_limit(&mut self, limit: Duration) {
        self.setbacks.limit = limit;
    }

    /// Adds a host whose address is known. The port has no meaning. Its trace may begin later, when
    /// this machine's network permits: see [`take_started`](Self::take_started).
    ///
    /// # Errors
    /// Why it can't be traced, and won't be later either; or there is no room.
    pub fn add_at(&mut self, host: &str, address: SocketAddr) -> Result<(), L::Error> {
        self.add_found(host, Ok(address), false, None)
    }

    /// Adds a host with what came of a look-up. If that has failed and [may
    /// pass](LinkError::may_pass), the name is to be looked up again when
    /// [`take_name`](Self::take_name) gives it back. `asked_servers` is whether name servers
    /// had to be asked. With the [`sample`](Self::sample) of a host that was drawn at random its
    /// trace is whole, and the others learn from it.
    ///
    /// # Errors
    /// As [`add_at`](Self::add_at).
    pub fn add_found(
        &mut self,
        host: &str,
        found: Result<SocketAddr, L::Error>,
        asked_servers: bool,
        sample: Option<Sample>,
    ) -> Result<(), L::Error> {
        let now = self.driver.link.now();
        let before = self.setbacks.answered(host);
        if before
            .as_ref()
            .is_some_and(|before| before.place == Place::Witness)
        {
            // Any answer shows that they work, that there is no such name any more too.
            match found {
                Err(error) if error.may_pass() => self.names.fail(now),
                _ => drop(self.names.succeed(now)),
            }
            return Ok(());
        }
        match found {
            Ok(address) => {
                if asked_servers && !address.ip().is_loopback() {
                    self.names.succeed(now);
                    if self.known_name.is_none() {
                        self.known_name = Some((host.to_owned(), now));
                    }
                }
                let sample = sample.or_else(|| before.and_then(|before| before.sample));
                self.begin_listed(Setback::new(
                    host.to_owned(),
                    Place::At(address),
                    sample,
                    now,
                ))
            }
            Err(error) if error.may_pass() => {
                self.names.fail(now);
                let setback = before
                    .unwrap_or_else(|| Setback::new(host.to_owned(), Place::Unknown, sample, now));
                self.hold(setback, error)
            }
            Err(error) => {
                // Somebody has answered.
                if error.is_answer() && asked_servers {
                    self.names.succeed(now);
                }
                Err(error)
            }
        }
    }

    /// Returns the next trace that has begun since the last call. A host whose trace was spoilt by
    /// an outage begins again.
    pub fn take_started(&mut self) -> Option<Started> {
        self.started.pop_front()
    }

    /// Gives a host up that was added before: [`take_lost`](Self::take_lost) returns it.
    pub fn give_up(&mut self, host: String, error: L::Error) {
        self.lost.push_back((host, error));
    }

    /// Returns the next host that was given up after it had been added, and why.
    pub fn take_lost(&mut self) -> Option<(String, L::Error)> {
        self.lost.pop_front()
    }

    /// Returns the next name to look up again, for [`add_found`](Self::add_found). It may be one
    /// that was found before: whether it still is shows whether names can be looked up at all.
    pub fn take_name(&mut self) -> Option<String> {
        self.names_due.pop_front()
    }

    /// Returns the name that was [given](Self::take_name) to be looked up, although its host has
    /// its result.
    #[must_use]
    pub fn witness(&self) -> Option<&str> {
        self.setbacks.witness()
    }

    /// Returns what keeps all hosts waiting, if that has lasted for a second, or for two where it
    /// is names.
    #[must_use]
    pub fn outage(&self) -> Option<Outage<'_>> {
        let (now, healths) = (self.driver.link.now(), self.healths());
        // One that was found before is asked for once a second while the last names fail.
        let at_least = |service| Duration::from_secs(if service == Service::Names { 2 } else { 1 });
        let waits_for = |service: &Service| {
            self.setbacks
                .waits_for(*service, &healths, now, at_least(*service))
        };
        let service = Service::ALL.into_iter().find(waits_for)?;
        let outage = self.setbacks.outage(service, &healths);
        let cut_off = service
            .family()
            .and_then(|family| self.driver.cut_off(family));
        let is_silence = cut_off == Some(CutOff::Silence);
        Some(Outage {
            limit: if is_silence {
                outage.limit.min(ALONE)
            } else {
                outage.limit
            },
            ..outage
        })
    }

    /// Begins a trace, or holds its host back where that fails for a reason that may pass.
    fn begin_listed(&mut self, setback: Setback) -> Result<(), L::Error> {
        let Place::At(address) = setback.place else {
            return Ok(());
        };
        let service = setback.service();
        let ended = self.setbacks.has_ended(service);
        let has_ended = ended.is_some();
        // The network may be back, or there may be a way to this host: others may have been at
        // fault.
        let is_trial = has_ended && self.driver.has_witness_beside(address.ip());
        if let Some(away) = ended
            && is_trial
            && self.is_hopeless(address.ip())
        {
            return Err(away);
        }
        self.driver.expect_silence();
        let (settings, head) = self.settings_for(address, setback.sample.is_some());
        let endures = !has_ended && !self.setbacks.limit.is_zero();
        let endurance = if endures {
            Endurance::Outage
        } else {
            Endurance::Timeout
        };
        let error = match self.begin(&settings, &setback.host, address, head, endurance) {
            Ok(begun) => {
                let Setback {
                    host,
                    reruns,
                    sample,
                    ..
                } = setback;
                begun.listed = Some(Listed {
                    address,
                    reruns,
                    sample,
                    is_trial,
                });
                let started = Started {
                    host,
                    target: begun.target,
                    source: begun.source,
                    flow: begun.flow,
                };
                self.started.push_back(started);
                return Ok(());
            }
            Err(error) => error,
        };
        if !self.may_pass(&error, service) {
            return Err(error);
        }
        self.driver.fail(address.ip());
        self.hold(setback, error)
    }

    /// Returns whether an outage that has ended the list goes on, as far as is known. Where packets
    /// leave and nobody is heard only an answer ends it: then a host is traced to see that,
    /// once in a while.
    fn is_hopeless(&mut self, target: IpAddr) -> bool {
        const WHILE: Duration = Duration::from_secs(1);
        let (family, now) = (AddressFamily::of(target), self.driver.link.now());
        if self.driver.cut_off(family).is_none() {
            return !self.driver.leaves_for_others(target, now);
        }
        let found = self.found_hopeless.get(family);
        found.is_some_and(|found| now.saturating_since(found) < WHILE)
    }

    /// Returns whether a trace shows at present if an outage goes on that has ended the list: the
    /// next hosts wait for that.
    fn has_trial(&self) -> bool {
        let is_open = |listed: &Listed| {
            listed.is_trial
                && self
                    .driver
                    .cut_off(AddressFamily::of(listed.address.ip()))
                    .is_some()
        };
        let is_trial = |begun: &Begun| begun.listed.as_ref().is_some_and(is_open);
        self.found_hopeless.iter().any(Option::is_some) && self.begun.values().any(is_trial)
    }

    /// Returns the host of a trace that has ended and found the outage to go on, and why it isn't
    /// traced.
    pub(super) fn failed_trial(&mut self, id: TraceId) -> Option<(String, L::Error)> {
        let begun = self.begun.get(&id)?;
        let address = begun
            .listed
            .as_ref()
            .filter(|listed| listed.is_trial)?
            .address;
        let family = AddressFamily::of(address.ip());
        let away = self.setbacks.has_ended(Service::of(family))?;
        let lost = (!self.driver.has_heard(id)).then(|| (begun.host().to_owned(), away))?;
        *self.found_hopeless.get_mut(family) = Some(self.driver.link.now());
        Some(lost)
    }

    /// Whether an error may be over soon. What worked before and doesn't now is this machine's
    /// doing, such as an interface or an address that has gone for a moment.
    fn may_pass(&self, error: &L::Error, service: Service) -> bool {
        error.may_pass() || error.is_change() && self.healths().get(service).has_worked()
    }

    fn hold(&mut self, setback: Setback, error: L::Error) -> Result<(), L::Error> {
        if self.setbacks.limit.is_zero() {
            return Err(error);
        }
        let service = setback.service();
        let (health, now) = (*self.healths().get(service), self.driver.link.now());
        if service == Service::Names {
            self.ask_witness(now);
        }
        self.setbacks.hold(setback, error, &health, now)
    }

    /// The settings of a host's trace, with what other traces have taught. That of a host which was
    /// drawn is whole.
    fn settings_for(
        &mut self,
        address: SocketAddr,
        is_drawn: bool,
    ) -> (ProbeSettings, Option<Head>) {
        let mut settings = self.settings.clone();
        // Each host of the list learns a flow that all have from its own probes.
        settings.flow_is_public = settings.flow.is_some();
        let distance = settings.memory.distance(address.ip());
        let head = if is_drawn || !self.shares() {
            None
        } else {
            self.shared.pass();
            self.shared
                .head(address.ip(), distance, settings.config.max_hops)
        };
        if distance.is_none() && self.driver.added() >= LONG_LIST && self.driver.is_held_up() {
            let nearest = head
                .as_ref()
                .map_or(settings.config.first_hop, Head::first_hop);
            let first = SPARING.max(nearest.saturating_add(SPARING_STEP - 1));
            settings.config.sweep.get_or_insert(Sweep::Window {
                first,
                step: SPARING_STEP,
            });
        }
        (settings, head)
    }

    /// Looks up a name that was found before, where too few hosts are left to show whether those of
    /// others still can be.
    fn ask_witness(&mut self, now: Instant) {
        /// An outage in the middle of a long list leaves more; and who has a cache says nothing of
        /// it.
        const FEW: usize = 8;
        const PAUSE: Duration = Duration::from_secs(1);
        let (is_tail, is_asked) = (self.len() <= FEW, self.setbacks.witness().is_some());
        // Before all of them are lost for a fault that may be theirs: a whole zone may fail.
        let is_late = self
            .names
            .failing_for(now)
            .is_some_and(|failing| failing >= self.setbacks.limit / 6 * 5);
        let is_due = (is_tail || is_late) && !is_asked;
        let Some((name, asked)) = self.known_name.as_mut().filter(|_| is_due) else {
            return;
        };
        if now.saturating_since(*asked) < PAUSE {
            return;
        }
        *asked = now;
        let name = name.clone();
        self.setbacks
            .ask(Setback::new(name.clone(), Place::Witness, None, now));
        self.names_due.push_back(name);
    }

    /// Gives a name back that can't be looked up now, since too many are.
    pub fn put_back_name(&mut self, name: String) {
        self.names_due.push_front(name);
    }

    /// Tries hosts again that are due, and ends the list where an outage has lasted too long.
    pub(super) fn try_again(&mut self) {
        let now = self.driver.link.now();
        if self.setbacks.limit.is_zero() {
            return;
        }
        for service in Service::ALL {
            self.end_outage(service, now);
        }
        while self.has_place() && self.driver.may_send() {
            let healths = self.healths();
            let Some(setback) = self.setbacks.due(&healths, now) else {
                return;
            };
            let host = setback.host.clone();
            match setback.place {
                Place::At(_) => {
                    let tried = self.begin_listed(setback);
                    self.lost.extend(tried.err().map(|error| (host, error)));
                }
                Place::Unknown | Place::Witness => {
                    self.setbacks.ask(setback);
                    self.names_due.push_back(host);
                }
            }
        }
    }

    fn end_outage(&mut self, service: Service, now: Instant) {
        let family = service.family();
        let healths = self.healths();
        if healths.get(service).failing_for(now).is_none() {
            return self.setbacks.reopen(service);
        }
        if let Some(family) = family {
            if let Some(error) = self.driver.obstacle(family) {
                self.setbacks.note(service, L::describe(error));
            } else if let Some(cut_off) = self.driver.cut_off(family) {
                self.setbacks.note(service, why(cut_off).to_owned());
                // It may be that nobody answers any more.
                let is_long = healths
                    .get(service)
                    .failed_for()
                    .is_some_and(|failed| failed >= ALONE);
                if cut_off == CutOff::Silence && is_long {
                    return self.driver.accept_silence(family);
                }
            }
        }
        if let Some(lost) = self.setbacks.end(service, &healths, now) {
            self.lost.extend(lost);
            if let Some(family) = family {
                *self.found_hopeless.get_mut(family) = Some(now);
                self.give_up_family(family);
                self.driver.interrupt_family(family);
            }
        }
    }

    /// Gives up the hosts of a family whose traces were on their way when an outage ended the list,
    /// as those that waited.
    fn give_up_family(&mut self, family: AddressFamily) {
        let is_of_family = |listed: &Listed| AddressFamily::of(listed.address.ip()) == family;
        let is_left = |(id, begun): (&TraceId, &Begun)| {
            // What has ended by a failure here is a result with its reason.
            let goes_on = self.driver.tracer(*id).is_some_and(|tracer| {
                let route = tracer.route();
                route.failure().is_none() || route.stop_reason().is_none()
            });
            let is_open = goes_on && !self.driver.is_whole(*id);
            (is_open && begun.listed.as_ref().is_some_and(is_of_family)).then_some(*id)
        };
        let left: Vec<TraceId> = self.begun.iter().filter_map(is_left).collect();
        for id in left {
            self.driver.remove(id);
            let host = self.begun.remove(&id).map(|begun| begun.host().to_owned());
            self.lost
                .extend(host.zip(self.setbacks.has_ended(Service::of(family))));
        }
    }

    pub(super) fn healths(&self) -> Healths {
        Healths::new(
            self.driver.health(AddressFamily::V4),
            self.driver.health(AddressFamily::V6),
            self.names,
        )
    }

    /// Whether no host is taken in at present: enough wait, one of them is to be tried first, or
    /// packets can't be sent and those that failed have used the pace up.
    pub(super) fn is_held_back(&self) -> bool {
        let (now, healths) = (self.driver.link.now(), self.healths());
        self.setbacks.is_full()
            || self.has_trial()
            || self
                .setbacks
                .next(&healths, now)
                .is_some_and(|next| next <= now)
            || is_failing(&healths, now) && self.driver.next_send() > now
    }

    /// When a host is to be tried again, or the next may be taken in after one that failed.
    pub(super) fn next_turn(&self) -> Option<Instant> {
        if !self.has_place() {
            return None;
        }
        let (now, healths, next_send) = (
            self.driver.link.now(),
            self.healths(),
            self.driver.next_send(),
        );
        let again = self
            .setbacks
            .next(&healths, now)
            .map(|next| next.max(next_send));
        let intake = (is_failing(&healths, now) && next_send > now).then_some(next_send);
        again.into_iter().chain(intake).min()
    }

    /// Whether a trace that has ended, and isn't whole, is to wait until it is known whether
    /// anybody is heard at all.
    pub(super) fn is_in_doubt(&mut self, id: TraceId) -> bool {
        let Some(begun) = self.begun.get(&id) else {
            return false;
        };
        let Some(Listed { address, .. }) = &begun.listed else {
            return false;
        };
        let family = AddressFamily::of(address.ip());
        !self.is_interrupted
            && !self.setbacks.limit.is_zero()
            && self
                .setbacks
                .has_ended::<L::Error>(Service::of(family))
                .is_none()
            && !self.driver.is_whole(id)
            && self.driver.may_be_silent(family)
    }

    /// Returns the host of a trace that has ended and is to be run again: it isn't whole, and while
    /// it ran packets of its family could not be sent, or their source has changed.
    pub(super) fn spoilt(&mut self, id: TraceId) -> Option<Setback> {
        let begun = self.begun.get(&id)?;
        let Listed {
            address, reruns, ..
        } = *begun.listed.as_ref()?;
        let (family, start, host) = (
            AddressFamily::of(address.ip()),
            begun.start(),
            begun.host().to_owned(),
        );
        let may_be_run = !self.is_interrupted && !self.setbacks.limit.is_zero();
        if !may_be_run
            || self
                .setbacks
                .has_ended::<L::Error>(Service::of(family))
                .is_some()
            || self.driver.is_whole(id)
        {
            return None;
        }
        let has_failed = !self.driver.has_given_up(id)
            && (self.driver.had_outage_since(family, start) || self.driver.has_moved(id));
        let was_cut_off = has_failed || self.driver.fell_silent(id, start);
        // Whoever has heard something knows more of the path than that nobody answers: what is
        // missing may be silent. Once is enough where it isn't known that there was an
        // outage at all.
        let is_doubtful = self.driver.has_doubtful_distance(id);
        let most = match (was_cut_off, self.driver.has_heard(id)) {
            // The limit of an outage is enough.
            _ if matches!(
                self.driver.cut_off(family),
                Some(CutOff::Gateway | CutOff::BehindGateway)
            ) =>
            {
                u8::MAX
            }
            (true, true) => MOST_RERUNS_HEARD,
            (true, false) => MOST_RERUNS,
            (false, _) if is_doubtful => MOST_RERUNS_HEARD,
            (false, _) => 1,
        };
        let is_spoilt = was_cut_off || is_doubtful || self.driver.was_silent_after(family, start);
        let is_spoilt = is_spoilt && reruns < most;
        let listed = self
            .begun
            .get_mut(&id)
            .filter(|_| is_spoilt)?
            .listed
            .take()?;
        Some(Setback::rerun(host, listed, self.driver.link.now()))
    }
}

fn is_failing(healths: &Healths, now: Instant) -> bool {
    healths
        .iter()
        .any(|health| health.failing_for(now).is_some())
}

const fn why(cut_off: CutOff) -> &'static str {
    match cut_off {
        CutOff::Silence | CutOff::BehindGateway => "no answer from anybody",
        CutOff::Gateway => "the gateway doesn't answer on its link",
    }
}
