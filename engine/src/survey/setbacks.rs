//! Hosts of a list that could not be begun for a reason that may pass, until they are tried again.
//!
//! A host that fails while others succeed is tried again after 3 s and after 12 s, and then given
//! up. While everything fails the fault is this machine's. Then one host at a time is tried, after
//! pauses that grow to a second. The first success makes all the others due. If none comes within
//! the limit of an outage, all are tried once more, and if none succeeds the list ends.

use super::service::{Healths, PerService, Service};
use crate::error::{Fault, LinkError};
use crate::health::{ALONE, Health, pause};
use crate::shared::Sample;
use crate::trace::Listed;
use hopshot_core::Instant;
use hopshot_core::wire::AddressFamily;
use std::collections::{BTreeMap, HashMap};
use std::mem::take;
use std::net::SocketAddr;
use std::time::Duration;

/// The most hosts that wait. While as many do no more are taken in.
const MOST: usize = 4096;

/// The pause before the first of the tries while everything fails.
const PAUSE: Duration = Duration::from_millis(50);

/// The time from the first failure of a host to its second try, and between all that follow the
/// third.
const BETWEEN: Duration = Duration::from_secs(3);

/// The time that the last hosts tried have for a success, before the list ends.
const GRACE: Duration = Duration::from_secs(1);

/// The tries that a host gets at least.
const TRIES: u32 = 3;

/// How the address of a host becomes known.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Place {
    At(SocketAddr),
    /// By a look-up of the caller's.
    Unknown,
    /// By one, of no interest: whether there is any answer shows whether names can be looked up.
    Witness,
}

/// The reason why no trace of a list gets on at present.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct Outage<'a> {
    /// The failure, such as `nothing gets through over IPv4`.
    pub what: &'static str,
    /// The last reason for it.
    pub reason: &'a str,
    /// The time that it may last before it ends the list.
    pub limit: Duration,
}

/// A host that waits.
#[derive(Debug)]
pub(super) struct Setback {
    pub(super) host: String,
    pub(super) place: Place,
    since: Instant,
    tries: u32,
    /// How often its trace was run before, and spoilt by an outage.
    pub(super) reruns: u8,
    /// Where its trace's vote on the nearest hops goes, if it has one.
    pub(super) sample: Option<Sample>,
}

impl Setback {
    pub(super) const fn new(
        host: String,
        place: Place,
        sample: Option<Sample>,
        now: Instant,
    ) -> Self {
        Self {
            host,
            place,
            since: now,
            tries: 0,
            reruns: 0,
            sample,
        }
    }

    /// A trace that has ended, and is run again.
    pub(super) fn rerun(host: String, listed: Listed, now: Instant) -> Self {
        let Listed {
            address,
            reruns,
            sample,
            ..
        } = listed;
        Self {
            reruns: reruns.saturating_add(1),
            ..Self::new(host, Place::At(address), sample, now)
        }
    }

    pub(super) fn service(&self) -> Service {
        match self.place {
            Place::At(address) => Service::of(AddressFamily::of(address.ip())),
            Place::Unknown | Place::Witness => Service::Names,
        }
    }
}

/// All hosts that wait.
#[derive(Debug)]
pub(super) struct Setbacks {
    /// The longest that everything may fail.
    pub(super) limit: Duration,
    queues: PerService<Queue>,
    /// Numbers hosts by age.
    added: u64,
    /// Names that the caller is looking up again.
    asked: HashMap<String, Vec<Setback>>,
}

/// The hosts that wait for one service, and what is known of its outage.
#[derive(Debug, Default)]
struct Queue {
    /// By the time of the next try, and by age.
    waiting: BTreeMap<(Instant, u64), Setback>,
    /// Tries made one at a time since everything has failed, with the first failure.
    tries: u32,
    /// When the next of these is due.
    next: Instant,
    /// The last failure.
    reason: String,
    /// When all that wait were made due for a last try, or the last of them was tried: those that
    /// were tried one at a time may be those that never succeed.
    last_call: Option<Instant>,
    /// For how long everything had failed when that ended the list.
    ended: Option<Duration>,
}

impl Setbacks {
    /// The limit by default.
    const LIMIT: Duration = Duration::from_secs(60);

    pub(super) fn new() -> Self {
        Self {
            limit: Self::LIMIT,
            queues: PerService::default(),
            added: 0,
            asked: HashMap::new(),
        }
    }

    pub(super) fn len(&self) -> usize {
        self.queues.iter().map(|queue| queue.waiting.len()).sum()
    }

    pub(super) fn is_full(&self) -> bool {
        self.len() >= MOST
    }

    /// Takes all out, each with the reason why it waited.
    pub(super) fn interrupt<E: LinkError>(&mut self) -> Vec<(String, E)> {
        let asked = take(&mut self.asked).into_values().flatten();
        let asked: Vec<_> = asked
            .filter(|setback| setback.place != Place::Witness)
            .collect();
        let waiting = self
            .queues
            .iter_mut()
            .flat_map(|queue| take(&mut queue.waiting).into_values());
        let all: Vec<Setback> = waiting.chain(asked).collect();
        let lose = |setback: Setback| {
            let reason = self.queues.get(setback.service()).reason.clone();
            (setback.host, Fault::Interrupted { reason }.into())
        };
        all.into_iter().map(lose).collect()
    }

    /// Adds a host to be tried at an instant.
    pub(super) fn put(&mut self, setback: Setback, due: Instant) {
        self.added += 1;
        self.queues
            .get_mut(setback.service())
            .waiting
            .insert((due, self.added), setback);
    }

    /// Takes a host that has just failed, to be tried again. In an outage the time so
    /// far says nothing of it.
    ///
    /// # Errors
    /// Why it is not tried again.
    pub(super) fn hold<E: LinkError>(
        &mut self,
        mut setback: Setback,
        error: E,
        health: &Health,
        now: Instant,
    ) -> Result<(), E> {
        let service = setback.service();
        if let Some(away) = self.has_ended(service) {
            return Err(away);
        }
        let queue = self.queues.get_mut(service);
        if queue.tries == 0 && health.failing_for(now).is_some() {
            queue.count(now);
        }
        queue.reason = error.reason();
        setback.tries += 1;
        // Not of names: a zone that fails alone looks like that, until a name that was found before
        // is asked for.
        if service != Service::Names && health.is_out(now) {
            setback.since = now;
        }
        let works = health.works_for_others(setback.since);
        let (tries, waited) = (setback.tries, now.saturating_since(setback.since));
        if works && tries >= TRIES && waited >= ALONE {
            return Err(Fault::GivenUp {
                reason: Box::new(error),
                tries,
                waited,
            }
            .into());
        }
        let due = match tries {
            1 => setback.since.saturating_add(BETWEEN),
            2 => setback.since.saturating_add(ALONE),
            _ => now.saturating_add(BETWEEN),
        };
        self.put(setback, due);
        Ok(())
    }

    /// Returns the next host to try, if one is due. After an outage of both families they take
    /// turns as in the list: drawn hosts of one that all come behind those of the other would
    /// vote too late, and its traces share nothing meanwhile.
    pub(super) fn due(&mut self, healths: &Healths, now: Instant) -> Option<Setback> {
        let mut queues: Vec<_> = self.queues.iter_mut().zip(healths.iter()).collect();
        queues.sort_by_key(|(queue, _)| queue.waiting.first_key_value().map(|((_, age), _)| *age));
        queues
            .into_iter()
            .find_map(|(queue, health)| queue.due(health, now))
    }

    /// Returns when a host is to be tried; `None` if none waits.
    pub(super) fn next(&self, healths: &Healths, now: Instant) -> Option<Instant> {
        self.queues
            .iter()
            .zip(healths.iter())
            .filter_map(|(queue, health)| queue.next(health, now))
            .min()
    }

    /// Returns the name that shows whether names can be looked up, while its answer is waited for.
    pub(super) fn witness(&self) -> Option<&str> {
        let mut asked = self.asked.values().flatten();
        asked
            .find(|setback| setback.place == Place::Witness)
            .map(|setback| setback.host.as_str())
    }

    /// Notes that the caller looks up a name again.
    pub(super) fn ask(&mut self, setback: Setback) {
        self.asked
            .entry(setback.host.clone())
            .or_default()
            .push(setback);
    }

    /// Returns what is known of a host whose name the caller has looked up.
    pub(super) fn answered(&mut self, host: &str) -> Option<Setback> {
        let asked = self.asked.get_mut(host)?;
        let setback = asked.pop();
        if asked.is_empty() {
            self.asked.remove(host);
        }
        setback
    }

    /// Ends the list where a service has failed for too long. Returns the hosts that waited for it,
    /// if that was now.
    pub(super) fn end<E: LinkError>(
        &mut self,
        service: Service,
        healths: &Healths,
        now: Instant,
    ) -> Option<Vec<(String, E)>> {
        let mut failed = healths.get(service).failed_for()?;
        let limit = self.limit_of(service, healths);
        if let Some(other) = other_worked_since(service, healths) {
            // Both may have been away until a moment ago.
            failed = failed.min(healths.get(service).failed_since(other));
        }
        let queue = self.queues.get_mut(service);
        if failed < limit || queue.ended.is_some() {
            return None;
        }
        // However slow the pace is, and whatever leaves no place for those that wait, there is an
        // end.
        if failed < limit.saturating_mul(2) {
            // At a slow rate the first tries may take longer than the limit.
            if !queue.waiting.is_empty() && queue.tries < TRIES {
                return None;
            }
            let called = queue.call(now);
            if queue.is_calling() || now.saturating_since(called) < GRACE {
                return None;
            }
        }
        queue.ended = Some(failed);
        let waiting = take(&mut queue.waiting);
        let lose = |setback: Setback| self.has_ended(service).map(|away| (setback.host, away));
        Some(waiting.into_values().filter_map(lose).collect())
    }

    /// Returns for how long a service may fail. A machine that lacks one of the families isn't
    /// waited for as one that was cut off.
    fn limit_of(&self, service: Service, healths: &Healths) -> Duration {
        if other_worked_since(service, healths).is_some() {
            self.limit.min(ALONE)
        } else {
            self.limit
        }
    }

    /// Takes hosts again that need a service, since it works.
    pub(super) fn reopen(&mut self, service: Service) {
        let queue = self.queues.get_mut(service);
        (queue.ended, queue.last_call) = (None, None);
    }

    /// Returns why no host that needs a service is traced any more, if that is so.
    pub(super) fn has_ended<E: LinkError>(&self, service: Service) -> Option<E> {
        let queue = self.queues.get(service);
        let (what, reason) = (service.outage(), queue.reason.clone());
        queue.ended.map(|waited| {
            Fault::Away {
                what,
                waited,
                reason,
            }
            .into()
        })
    }

    /// Returns whether a service has failed for so long, and is waited for.
    pub(super) fn waits_for(
        &self,
        service: Service,
        healths: &Healths,
        now: Instant,
        at_least: Duration,
    ) -> bool {
        let failing = healths.get(service).failing_for(now);
        let is_waited_for = !self.limit.is_zero() && self.queues.get(service).ended.is_none();
        is_waited_for && failing.is_some_and(|failing| failing >= at_least)
    }

    /// Returns what is to be told of a service that fails.
    pub(super) fn outage(&self, service: Service, healths: &Healths) -> Outage<'_> {
        let reason = &self.queues.get(service).reason;
        Outage {
            what: service.outage(),
            reason,
            limit: self.limit_of(service, healths),
        }
    }

    /// Notes why a packet could not be sent that belongs to a trace already begun.
    pub(super) fn note(&mut self, service: Service, reason: String) {
        self.queues.get_mut(service).reason = reason;
    }
}

/// When the other family worked first, if this one never has: then the machine may lack it.
fn other_worked_since(service: Service, healths: &Healths) -> Option<Instant> {
    let other = match service {
        Service::V4 => Service::V6,
        Service::V6 => Service::V4,
        Service::Names => return None,
    };
    let has_worked = healths.get(service).has_worked();
    healths.get(other).worked_since().filter(|_| !has_worked)
}

impl Queue {
    /// Counts one of the tries that are made while everything fails.
    fn count(&mut self, now: Instant) {
        self.tries += 1;
        self.next = now.saturating_add(pause(PAUSE, self.tries));
    }

    fn due(&mut self, health: &Health, now: Instant) -> Option<Setback> {
        // A single failure among successes is no outage, and its host's alone.
        if health.failing_for(now).is_none() {
            self.last_call = None;
            if take(&mut self.tries) > 1 {
                self.make_all_due();
            }
        }
        if self.next(health, now)? > now {
            return None;
        }
        let is_outage = health.failing_for(now).is_some();
        if is_outage {
            self.count(now);
        }
        if is_outage && !self.is_calling() {
            return self.take_any();
        }
        self.last_call = self.last_call.map(|_| now);
        self.waiting.pop_first().map(|(_, setback)| setback)
    }

    /// Takes another host each time, from all over the list: a stretch of it may lead nowhere.
    fn take_any(&mut self) -> Option<Setback> {
        /// The golden ratio of 2³²: its multiples are spread evenly over the range.
        const STEP: u32 = 0x9e37_79b9;
        let len = u64::try_from(self.waiting.len()).unwrap_or(u64::MAX);
        let place = (u64::from(self.tries.wrapping_mul(STEP)) * len) >> 32;
        let place = usize::try_from(place).ok()?;
        let key = *self.waiting.keys().nth(place)?;
        self.waiting.remove(&key)
    }

    fn make_all_due(&mut self) {
        let waiting = take(&mut self.waiting).into_iter();
        self.waiting = waiting
            .map(|((_, age), setback)| ((Instant::EPOCH, age), setback))
            .collect();
    }

    /// Makes all due for a last time, once. Returns when the last of them was tried.
    fn call(&mut self, now: Instant) -> Instant {
        if self.last_call.is_none() {
            self.make_all_due();
        }
        *self.last_call.get_or_insert(now)
    }

    /// Whether some were not tried yet since they were called.
    fn is_calling(&self) -> bool {
        let first = self.waiting.first_key_value();
        self.last_call.is_some() && first.is_some_and(|((due, _), _)| *due == Instant::EPOCH)
    }

    fn next(&self, health: &Health, now: Instant) -> Option<Instant> {
        let ((due, _), _) = self.waiting.first_key_value()?;
        match health.failing_for(now) {
            Some(_) if self.is_calling() => Some(Instant::EPOCH),
            Some(_) => Some(self.next),
            // The others are due as soon as that is seen.
            None if self.tries > 1 => Some(Instant::EPOCH),
            None => Some(*due),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::fake::Failure;
    use crate::per_family::FAMILIES;

    const TARGET: SocketAddr = SocketAddr::new(
        std::net::IpAddr::V4(std::net::Ipv4Addr::new(192, 0, 2, 1)),
        0,
    );

    fn at(millis: u64) -> Instant {
        Instant::from_millis(millis)
    }

    fn no_route() -> Failure {
        Failure::NoRoute
    }

    fn host(number: usize, now: u64) -> Setback {
        Setback::new(format!("host{number}"), Place::At(TARGET), None, at(now))
    }

    fn healths(ipv4: Health) -> Healths {
        let mut healths = Healths::default();
        *healths.get_mut(Service::V4) = ipv4;
        healths
    }

    /// The tries of one host that fails each time, in milliseconds, until it is given up with an
    /// error.
    fn tries(mut healths: Healths, others_succeed: bool) -> (Vec<u64>, Failure) {
        let (mut setbacks, mut tries) = (Setbacks::new(), vec![0]);
        healths.get_mut(Service::V4).fail(at(0));
        setbacks
            .hold(host(0, 0), no_route(), healths.get(Service::V4), at(0))
            .unwrap();
        for now in 1.. {
            if others_succeed {
                healths.get_mut(Service::V4).succeed(at(now));
            }
            if let Some(lost) = setbacks.end(Service::V4, &healths, at(now)) {
                return (tries, lost.into_iter().next().unwrap().1);
            }
            if let Some(setback) = setbacks.due(&healths, at(now)) {
                tries.push(now);
                healths.get_mut(Service::V4).fail(at(now));
                if let Err(error) =
                    setbacks.hold(setback, no_route(), healths.get(Service::V4), at(now))
                {
                    return (tries, error);
                }
            }
        }
        unreachable!()
    }

    #[test]
    fn a_host_that_fails_among_others_gets_three_tries_in_some_ten_seconds() {
        let (tries, error) = tries(healths(Health::default()), true);
        assert_eq!(tries, [0, 3_000, 12_000]);
        assert!(
            matches!(error, Failure::Fault(Fault::GivenUp { tries: 3, .. })),
            "{error}"
        );
    }

    #[test]
    fn while_everything_fails_tries_become_seldom_and_the_limit_ends_the_list() {
        let mut health = Health::default();
        health.succeed(at(0));
        let (tries, error) = tries(healths(health), false);
        assert_eq!(tries[..5], [0, 50, 150, 350, 750]);
        assert!((60..70).contains(&tries.len()), "{}", tries.len());
        // The try after the limit has failed too.
        let Failure::Fault(Fault::Away {
            what,
            waited,
            reason,
        }) = error
        else {
            panic!("{error}")
        };
        assert_eq!(
            (what, waited.as_secs(), reason.as_str()),
            ("nothing gets through over IPv4", 60, "no route")
        );
    }

    #[test]
    fn a_family_that_the_machine_lacks_is_not_waited_for_as_long() {
        let mut healths = healths(Health::default());
        healths.get_mut(Service::V6).succeed(at(0));
        assert_eq!(Setbacks::new().outage(Service::V4, &healths).limit, ALONE);
        assert_eq!(
            Setbacks::new().outage(Service::V6, &healths).limit,
            Setbacks::LIMIT
        );
        let (_, error) = tries(healths, false);
        assert!(
            matches!(error, Failure::Fault(Fault::Away { waited, .. }) if waited.as_secs() == ALONE.as_secs()),
            "{error}"
        );
    }

    #[test]
    fn the_first_success_after_an_outage_makes_all_others_due_in_their_order() {
        let (mut setbacks, mut healths) = (Setbacks::new(), healths(Health::default()));
        healths.get_mut(Service::V4).fail(at(0));
        for number in 0..100 {
            setbacks
                .hold(host(number, 0), no_route(), healths.get(Service::V4), at(0))
                .unwrap();
        }
        assert!(setbacks.due(&healths, at(49)).is_none());
        let first = setbacks.due(&healths, at(50)).unwrap();
        assert!(setbacks.due(&healths, at(50)).is_none(), "one at a time");
        healths.get_mut(Service::V4).succeed(at(60));
        let tried = first.host.clone();
        setbacks.put(first, at(60));
        assert_eq!(setbacks.next(&healths, at(60)), Some(Instant::EPOCH));
        let due: Vec<String> = std::iter::from_fn(|| setbacks.due(&healths, at(61)))
            .map(|setback| setback.host)
            .collect();
        assert_eq!(due.len(), 100);
        let others = (0..100).map(|number| format!("host{number}"));
        let others: Vec<String> = others.filter(|host| *host != tried).collect();
        assert_eq!(due[..99], others);
    }

    #[test]
    fn after_an_outage_of_both_families_their_hosts_come_as_in_the_list() {
        let (mut setbacks, mut healths) = (Setbacks::new(), healths(Health::default()));
        let ipv6 = SocketAddr::new(std::net::Ipv6Addr::LOCALHOST.into(), 0);
        for family in FAMILIES {
            healths.get_mut(Service::of(family)).fail(at(0));
        }
        for number in 0..100 {
            let place = Place::At(if number % 3 == 0 { TARGET } else { ipv6 });
            let setback = Setback::new(number.to_string(), place, None, at(0));
            let health = healths.get(setback.service());
            setbacks.hold(setback, no_route(), health, at(0)).unwrap();
        }
        for family in FAMILIES {
            assert!(healths.get_mut(Service::of(family)).succeed(at(60)));
        }
        // The tries while everything fails come from either queue.
        for family in FAMILIES {
            setbacks.queues.get_mut(Service::of(family)).tries = 2;
        }
        let due = std::iter::from_fn(|| setbacks.due(&healths, at(61))).map(|setback| setback.host);
        assert!(due.eq((0..100).map(|number| number.to_string())));
    }

    #[test]
    fn a_single_failure_among_successes_hastens_nobody() {
        let (mut setbacks, mut healths) = (Setbacks::new(), healths(Health::default()));
        healths.get_mut(Service::V4).fail(at(0));
        setbacks
            .hold(host(0, 0), no_route(), healths.get(Service::V4), at(0))
            .unwrap();
        healths.get_mut(Service::V4).succeed(at(1));
        assert_eq!(setbacks.next(&healths, at(2)), Some(at(3_000)));
    }

    #[test]
    fn no_more_hosts_wait_than_there_is_room_for() {
        let (mut setbacks, mut healths) = (Setbacks::new(), healths(Health::default()));
        healths.get_mut(Service::V4).fail(at(0));
        for number in 0..MOST {
            assert!(!setbacks.is_full());
            setbacks
                .hold(host(number, 0), no_route(), healths.get(Service::V4), at(0))
                .unwrap();
        }
        assert!(setbacks.is_full());
    }
}
