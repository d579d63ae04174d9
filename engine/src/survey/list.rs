//! The hosts of a list: begun as they are added, held back while this machine's network or its name
//! servers fail, and given up only with a reason.

use super::service::{Healths, Service};
use super::setbacks::{Place, Setback};
use super::{SPARING, Started, Survey};
use crate::error::LinkError;
use crate::link::Link;
use crate::per_family::PerFamily;
use crate::running::Endurance;
use crate::settings::ProbeSettings;
use crate::shared::{Head, Sample};
use crate::trace::Listed;
use crate::uplink::Witness;
use hopshot_core::{Instant, Sweep};
use std::net::SocketAddr;
use std::time::Duration;

/// After so many traces it is a long list: what counts is its rate, not the round trips of one.
const LONG_LIST: u64 = 16;

/// Hops that a sparing sweep adds per step.
const SPARING_STEP: u8 = 4;

impl<L: Link> Survey<L> {
    /// Sets how long everything may fail before the list ends: 60 s by default. Until then the
    /// hosts wait, and all are traced when the network is back. With zero nothing is tried again.
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
                    flow: begun.flow(),
                };
                self.started.push_back(started);
                return Ok(());
            }
            Err(error) => error,
        };
        if !self.may_pass(&error, service) {
            return Err(error);
        }
        self.driver.fail(Witness {
            target: address.ip(),
            scope_id: 0,
            protocol: settings.protocol,
        });
        self.hold(setback, error)
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
        // A protocol that knocks is sparing as it is.
        let is_sparing = settings.protocol.knocks() || distance.is_some();
        if !is_sparing && self.driver.added() >= LONG_LIST && self.driver.is_held_up() {
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

    pub(super) fn healths(&self) -> Healths {
        Healths::new(
            PerFamily::new(|family| self.driver.health(family)),
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
}

fn is_failing(healths: &Healths, now: Instant) -> bool {
    healths
        .iter()
        .any(|health| health.failing_for(now).is_some())
}
