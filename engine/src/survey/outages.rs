//! Outages of this machine's network and of its name servers: told, waited out or ended, and what
//! they have spoilt.

use super::Survey;
use super::service::Service;
use super::setbacks::{Outage, Setback};
use crate::health::ALONE;
use crate::link::Link;
use crate::trace::{Begun, Listed};
use crate::trace_id::TraceId;
use crate::uplink::{CutOff, Witness};
use hopshot_core::Instant;
use hopshot_core::wire::AddressFamily;
use std::net::IpAddr;
use std::time::Duration;

/// The most reruns of a trace that has heard nobody.
const MOST_RERUNS: u8 = 6;

/// The most reruns of a trace that has heard somebody.
const MOST_RERUNS_HEARD: u8 = 3;

impl<L: Link> Survey<L> {
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

    /// Returns whether an outage that has ended the list goes on, as far as is known. Where packets
    /// leave and nobody is heard only an answer ends it: then a host is traced to see that,
    /// once in a while.
    pub(super) fn is_hopeless(&mut self, target: IpAddr) -> bool {
        const WHILE: Duration = Duration::from_secs(1);
        let (family, now) = (AddressFamily::of(target), self.driver.link.now());
        if self.driver.cut_off(family).is_none() {
            let failing = Witness {
                target,
                scope_id: 0,
                protocol: self.settings.protocol,
            };
            return !self.driver.leaves_for_others(failing, now);
        }
        let found = self.found_hopeless.get(family);
        found.is_some_and(|found| now.saturating_since(found) < WHILE)
    }

    /// Returns whether a trace shows at present if an outage goes on that has ended the list: the
    /// next hosts wait for that.
    pub(super) fn has_trial(&self) -> bool {
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

    pub(super) fn end_outage(&mut self, service: Service, now: Instant) {
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

const fn why(cut_off: CutOff) -> &'static str {
    match cut_off {
        CutOff::Silence | CutOff::BehindGateway => "no answer from anybody",
        CutOff::Gateway => "the gateway doesn't answer on its link",
    }
}
