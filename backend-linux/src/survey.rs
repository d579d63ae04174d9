//! Many traces at once, on the same few sockets.

mod list;
mod many;
mod setbacks;

pub use list::{Outage, Started};
pub use many::{Many, Routes};

use crate::driver::{Driver, Step};
use crate::health::Health;
use crate::near::{Head, Near, Sample};
use crate::pace::Pace;
use crate::privilege::{self, Shortfalls};
use crate::running::Endurance;
use crate::sockets::Sockets;
use crate::trace::{Begun, Heard, Route};
use crate::{Error, Lack, Rejected, SocketKind, Traceroute, clock, resolve};
use hopshot_core::Instant;
use hopshot_core::wire::Version;
use setbacks::Setbacks;
use std::collections::{BTreeMap, HashSet, VecDeque};
use std::net::{IpAddr, SocketAddr};
use std::os::fd::BorrowedFd;
use std::time::Duration;

/// After so many traces it is a long list: what counts is its rate, not the round trips of one.
const LONG_LIST: usize = 16;

/// The first sweep of a trace that the rate holds up, where nothing is known of the distance: it spares more probes than the
/// usual one, and takes more round trips.
const SPARING: u8 = 8;

/// And how many hops more at a time.
const SPARING_STEP: u8 = 4;

/// Many traces at once, for a loop of one's own: [`add`](Self::add) hosts while there [is room](Self::has_room),
/// [`advance`](Self::advance), [`take`](Self::take) the routes of traces that have ended and [the
/// hosts](Self::take_lost) that were given up, until it is [empty](Self::is_empty). Whoever looks
/// names up elsewhere takes [those to look up again](Self::take_name) as well.
///
/// With more than 32 traces in flight an answer whose ident a translator has changed on the way finds its trace no more, and its
/// hop stays silent.
///
/// # Ping sockets
/// On raw sockets each trace has an ident of its own. All traces of a ping socket have the same one. So a survey opens up to 16
/// pairs of ping sockets in each family: fewer where this process may have less than 512 descriptors, and one where the
/// settings have an [ident](Traceroute::ident). A trace takes one of them at random, and there a stretch of seqs at a random
/// place, which isn't used again as long as there are others. The host of one trace knows the ident of the traces on its own
/// socket then, and neither their seqs nor their checksums:
/// [what it can do](https://docs.rs/hopshot-core/latest/hopshot_core/hostile/index.html). Where the settings have a
/// [flow](Traceroute::flow) it knows the checksums too; then an error proves nothing unless it quotes the cookie.
///
/// # What traces share
/// What one trace learns spares the next ones probes, unless the settings have
/// [`Memory::none`](crate::Memory::none). The distances of neighbours say how far the first sweep
/// goes: see [`Memory`](crate::Memory). And traces [of hosts](Self::add) begin at the farthest
/// router that is known to stand on all paths and to answer more often than not. If it answers
/// there, the hops before it are in [`Route::shared`], and have no RTTs; if somebody else does, or
/// nobody, they are probed after all, which takes one more round trip. A trace of a host whose
/// neighbours are among the shared routers is whole.
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
/// From the seventeenth trace on, one [of a host](Self::add) whose distance can't be guessed, and which the rate holds up,
/// begins with a sweep of 8 hops, then 4 more at a time, unless the settings have a [sweep](Traceroute::sweep): probes that would go
/// past its target are worth more to the others.
pub struct Survey {
    settings: Traceroute,
    driver: Driver,
    begun: BTreeMap<usize, Begun>,
    /// What the paths begin with.
    near: Near,
    at_once: usize,
    setbacks: Setbacks,
    /// Whether names can be looked up.
    names: Health,
    /// The last name that servers had an address for, and when it was looked up to see whether any can be.
    known_name: Option<(String, Instant)>,
    /// When an outage of each family was last seen to go on after it had ended the list.
    found_hopeless: [Option<Instant>; 2],
    /// Names for which no server is asked.
    names_of_file: HashSet<String>,
    started: VecDeque<Started>,
    lost: VecDeque<(String, Error)>,
    names_due: VecDeque<String>,
    is_interrupted: bool,
}

impl Survey {
    /// Probes a second by default: half a megabit of small packets, spread over all that is traced.
    pub const DEFAULT_RATE: u32 = 1000;

    /// Traces in flight by default. Each takes some 45 KiB.
    pub const AT_ONCE: usize = 256;

    /// Opens the sockets of both families, or of the one that the settings name. The host of the settings is not traced.
    ///
    /// `rate` is in probes a second, all traces together, 1 to 1,000,000; `at_once` the most traces in flight, 1 to 10,000 (what
    /// is beyond is taken for the nearest). On ping sockets there are fewer where each needs many of their seqs: some 2,300 with
    /// three attempts, one sixteenth of that with one pair of sockets. From 1,000 a second on, probes leave in small groups, a millisecond apart, and it is looked for answers after
    /// every eighth at most, so a target that is nearer than that may get some in vain.
    ///
    /// # Errors
    /// [`Error`] if a parameter of the settings is out of its range, or no socket can be opened.
    pub fn new(settings: &Traceroute, rate: u32, at_once: usize) -> Result<Self, Error> {
        settings.check()?;
        Self::on(Sockets::open(settings.family, settings.socket_options())?, settings, rate, at_once)
    }

    /// The same on sockets that are open.
    pub(crate) fn on(sockets: Sockets, settings: &Traceroute, rate: u32, at_once: usize) -> Result<Self, Error> {
        let pace = Pace::per_second(rate.clamp(1, 1_000_000), clock::now());
        let mut driver = Driver::new(sockets, pace);
        driver.open_more_pings();
        driver.expect_many();
        driver.expect_survey();
        let at_once = at_once.clamp(1, 10_000).min(driver.capacity(&settings.config));
        Ok(Self {
            settings: settings.clone(),
            driver,
            begun: BTreeMap::new(),
            near: Near::default(),
            at_once,
            setbacks: Setbacks::new(),
            names: Health::default(),
            known_name: None,
            found_hopeless: [None; 2],
            names_of_file: resolve::names_of_file(),
            started: VecDeque::new(),
            lost: VecDeque::new(),
            names_due: VecDeque::new(),
            is_interrupted: false,
        })
    }

    /// Whether one more trace may be added now: not more than are to be in flight, and only when the others have sent what is
    /// due. So a trace that has begun is soon over, and the later ones begin with what it taught.
    #[must_use]
    pub fn has_room(&self) -> bool {
        self.has_room_for_found() && !self.is_held_back()
    }

    /// The same for a host whose name has been looked up: it may begin where new ones may not, since too many wait. Only so is
    /// seen that names are found again.
    #[must_use]
    pub fn has_room_for_found(&self) -> bool {
        self.has_place() && !self.driver.has_backlog()
    }

    fn has_place(&self) -> bool {
        self.begun.len() < self.at_once
    }

    /// The most traces that there may be at a time, running or ended: what was asked for, or on ping sockets fewer.
    #[must_use]
    pub const fn at_once(&self) -> usize {
        self.at_once
    }

    /// The number of hosts that were added and not taken yet: whose traces run or have ended, that wait to be tried again, or that
    /// were given up.
    #[must_use]
    pub fn len(&self) -> usize {
        self.begun.len() + self.setbacks.len() + self.names_due.len() + self.lost.len()
    }

    /// Whether there is nothing to advance: no trace runs, and no host is to be tried again or taken in later.
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
    /// draw one, [`Order`](crate::Order) says which, and [`sample`](Self::sample). At first it wants 16 or more,
    /// then one in 16 hosts, and more if the paths seem to have changed.
    #[must_use]
    pub fn wants_sample(&self) -> bool {
        self.learns() && self.near.wants_sample()
    }

    /// A place among the votes for a host that **was drawn at random** from all hosts of the list,
    /// hostile ones at its head or its end included: [`add_found`](Self::add_found) takes both.
    /// Take the place when the host is drawn, not when its address is found: votes are counted in
    /// the order of the draws. A survey learns nothing of the routers without.
    pub fn sample(&mut self) -> Sample {
        self.near.sample()
    }

    /// Whether traces spare the next ones probes, and are whole unless they are spared some.
    const fn learns(&self) -> bool {
        !self.settings.memory.is_none() && self.settings.config.first_hop == 1
    }

    /// Adds a trace with settings of its own, and nothing [shared](Self#what-traces-share). Those of the sockets stay as they
    /// are: the kind of socket, source and interface, traffic class, whether probes may be fragmented, and whether it is
    /// [`precise`](Traceroute::precise).
    ///
    /// Give hosts that you don't trust no [flow](Traceroute::flow) in common: each would know that of the others.
    ///
    /// It begins now or not at all. A probe that can't be sent is tried again as long as its answer
    /// would be waited for; with an [`outage_limit`](Self::outage_limit) of zero it fails at once, unless
    /// only a queue was full. Returns the address that its probes leave from.
    ///
    /// # Errors
    /// As [`Traceroute::start`]; [`Error::Full`] if there is no room.
    pub fn add_as(&mut self, settings: &Traceroute, address: SocketAddr) -> Result<IpAddr, Error> {
        let endurance = if self.setbacks.limit.is_zero() { Endurance::Queue } else { Endurance::Timeout };
        let number = self.begin(settings, address, None, endurance)?;
        Ok(self.driver.tracer(number).config().source)
    }

    fn begin(
        &mut self,
        settings: &Traceroute,
        address: SocketAddr,
        head: Option<Head>,
        endurance: Endurance,
    ) -> Result<usize, Error> {
        if !self.has_place() {
            return Err(Error::Full);
        }
        let has_head = head.is_some();
        let mut begun = settings.begin(&mut self.driver, address, head, endurance)?.ok_or(Error::Full)?;
        begun.has_head = has_head;
        let number = begun.number;
        self.begun.insert(number, begun);
        Ok(number)
    }

    /// As [`Trace::advance`](crate::Trace::advance), of all traces: `Done` when none is running. Answers and beginnings of the last
    /// time that were not taken, by [`take_reply`](Self::take_reply) and [`take_started`](Self::take_started), are forgotten;
    /// they stand in the routes all the same.
    ///
    /// # Errors
    /// As there.
    pub fn advance(&mut self, wake: Option<BorrowedFd<'_>>) -> Result<Step, Error> {
        self.advance_within(wake, Duration::MAX)
    }

    /// The same, but sleeps at most so long.
    ///
    /// # Errors
    /// As there.
    pub fn advance_within(&mut self, wake: Option<BorrowedFd<'_>>, at_most: Duration) -> Result<Step, Error> {
        while self.driver.take_reply().is_some() {}
        self.started.clear();
        self.try_again();
        let next_turn = self.next_turn().map(|next| next.saturating_since(clock::now()));
        match self.driver.advance(wake, next_turn.map_or(at_most, |next| next.min(at_most)))? {
            // What has ended is to be taken first: it makes room for others.
            Step::Done if self.begun.is_empty() && self.next_turn().is_some() => self.wait(wake, at_most),
            step => Ok(step),
        }
    }

    /// The next answer that [`advance`](Self::advance) brought, of any trace, but for those of traces that were
    /// [taken](Self::take) since.
    pub fn take_reply(&mut self) -> Option<Heard<'_>> {
        loop {
            let (number, reply) = self.driver.take_reply()?;
            // Not `if let`: a borrow that is returned from inside a loop would last for all of it.
            if self.begun.contains_key(&number) {
                return Some(self.begun[&number].heard(&self.driver, reply));
            }
        }
    }

    /// The route of a trace that has ended, the oldest first.
    pub fn take(&mut self) -> Option<Route> {
        let number = loop {
            let number = self.driver.ended()?;
            if self.is_in_doubt(number) {
                return None;
            }
            match (self.failed_trial(number), self.spoilt(number)) {
                (Some(lost), _) => self.lost.push_back(lost),
                (None, Some(again)) => self.setbacks.put(again, Instant::EPOCH),
                (None, None) => break number,
            }
            self.begun.remove(&number);
            self.driver.remove(number);
        };
        let mut begun = self.begun.remove(&number)?;
        let (sample, has_head) = (begun.listed.take().and_then(|listed| listed.sample), begun.has_head);
        let route = begun.finish(&mut self.driver)?;
        if has_head {
            self.near.met(route.shared().next().is_some());
        }
        if let Some(sample) = sample {
            self.near.learn(sample, route.target(), route.hops());
            self.settings.memory.limit = self.near.sweep_limit();
        }
        Some(route)
    }

    /// Ends all traces with what is known. Hosts that wait are not traced.
    pub fn interrupt(&mut self) {
        self.is_interrupted = true;
        self.lost.extend(self.setbacks.interrupt());
        self.names_due.clear();
        self.driver.interrupt();
    }

    /// The kind of socket that is open for a family, if one is.
    #[must_use]
    pub fn socket(&self, family: Version) -> Option<SocketKind> {
        self.driver.socket(family)
    }

    /// Returns what the sockets of a family do without.
    #[must_use]
    pub fn lacks(&self, family: Version) -> Vec<Lack> {
        self.driver.lacks(family).to_vec()
    }

    /// What the sockets of a family brought that was no answer to any trace.
    #[must_use]
    pub fn rejected(&self, family: Version) -> Rejected {
        self.driver.rejected(family)
    }

    /// As [`Trace::confine`](crate::Trace::confine): addresses can be added afterwards, names can't.
    ///
    /// # Errors
    /// As there.
    pub fn confine(&mut self) -> Result<Shortfalls, Error> {
        self.driver.confine(privilege::confine)
    }

    /// The same, but for a terminal whose settings are to be restored: see
    /// [`privilege::confine_on_terminal`](crate::privilege::confine_on_terminal).
    ///
    /// # Errors
    /// As there.
    pub fn confine_on_terminal(&mut self) -> Result<Shortfalls, Error> {
        self.driver.confine(privilege::confine_on_terminal)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::driver::BUNCH;
    use crate::namespace::{PERMIT_PING, in_namespace};
    use hopshot_core::{StopReason, Sweep};
    use std::collections::HashMap;

    const KINDS: [SocketKind; 2] = [SocketKind::Raw, SocketKind::Ping];

    /// Loopback answers from all of 127.0.0.0/8.
    fn hosts(count: u16) -> Vec<String> {
        (0..count).map(|number| format!("127.1.{}.{}", number / 200, number % 200 + 1)).chain(["::1".into()]).collect()
    }

    #[test]
    fn more_hosts_than_are_traced_at_once_each_get_their_own_route_from_either_kind_of_socket() {
        const TEST: &str =
            "survey::tests::more_hosts_than_are_traced_at_once_each_get_their_own_route_from_either_kind_of_socket";
        in_namespace(TEST, PERMIT_PING, || {
            for kind in KINDS {
                let hosts = hosts(500);
                let many = Traceroute::many(hosts.clone()).each(|trace| trace.socket(kind)).rate(100_000).at_once(60);
                let routes: HashMap<String, Route> =
                    many.start().unwrap().map(|(host, route)| (host, route.unwrap())).collect();
                assert_eq!(routes.len(), hosts.len());
                for host in hosts {
                    let route = &routes[&host];
                    let target: IpAddr = host.parse().unwrap();
                    assert_eq!((route.target(), route.socket()), (target, kind));
                    assert_eq!((route.distance(), route.stop_reason()), (Some(1), Some(StopReason::Reached)));
                    let hop = route.hops().next().unwrap();
                    assert!(
                        hop.replies()
                            .all(|reply| reply.from == target && reply.evidence() == hopshot_core::Evidence::Strong),
                        "{host}"
                    );
                    assert_eq!(route.tally(), hopshot_core::Tally::default());
                }
            }
        });
    }

    #[test]
    fn traces_side_by_side_in_one_driver_share_its_sockets_and_do_not_mix() {
        in_namespace(
            "survey::tests::traces_side_by_side_in_one_driver_share_its_sockets_and_do_not_mix",
            PERMIT_PING,
            || {
                for kind in KINDS {
                    let settings = Traceroute::new("").attempts(3).socket(kind);
                    let mut survey = Survey::new(&settings, 100_000, 2).unwrap();
                    let open = || std::fs::read_dir("/proc/self/fd").unwrap().count();
                    let before = open();
                    survey.add("127.0.0.2").unwrap();
                    survey.add("127.0.0.3").unwrap();
                    assert!(matches!(survey.add("127.0.0.4"), Err(Error::Full)));
                    assert_eq!(open(), before);
                    while survey.advance(None).unwrap() != Step::Done {}
                    let routes: Vec<Route> = std::iter::from_fn(|| survey.take()).collect();
                    assert!(survey.is_empty() && survey.has_room());
                    for (route, target) in routes.iter().zip(["127.0.0.2", "127.0.0.3"]) {
                        let replies: Vec<IpAddr> =
                            route.hops().flat_map(|hop| hop.replies()).map(|reply| reply.from).collect();
                        assert_eq!(replies, [target.parse::<IpAddr>().unwrap(); 3]);
                    }
                    assert_eq!(routes.len(), 2);
                }
            },
        );
    }

    #[test]
    fn answers_can_be_taken_as_they_come_each_with_its_host() {
        in_namespace("survey::tests::answers_can_be_taken_as_they_come_each_with_its_host", PERMIT_PING, || {
            for kind in KINDS {
                // Slowly: at full speed hops beyond the target are probed too, and their answers are in no hop of the route.
                let mut survey = Survey::new(&Traceroute::new("").attempts(3).socket(kind), 100, 10).unwrap();
                for host in ["127.0.0.2", "127.0.0.3"] {
                    survey.add(host).unwrap();
                    let started = survey.take_started().unwrap();
                    assert_eq!((started.host.as_str(), started.source), (host, IpAddr::from([127, 0, 0, 1])));
                }
                let mut heard = Vec::new();
                while survey.advance(None).unwrap() != Step::Done {
                    heard.extend(std::iter::from_fn(|| survey.take_reply().map(|heard| heard.host.to_owned())));
                }
                heard.extend(std::iter::from_fn(|| survey.take_reply().map(|heard| heard.host.to_owned())));
                let answered = |route: &Route| route.hops().flat_map(|hop| hop.replies()).count();
                for route in std::iter::from_fn(|| survey.take()) {
                    assert_eq!(heard.iter().filter(|host| **host == route.host()).count(), answered(&route));
                }
                assert!(heard.len() >= 6, "{heard:?}");
            }
        });
    }

    #[test]
    fn a_host_that_can_not_be_traced_is_a_result_among_the_others() {
        in_namespace("survey::tests::a_host_that_can_not_be_traced_is_a_result_among_the_others", "", || {
            let hosts = ["127.0.0.2", "no such host", "192.0.2.1", "127.0.0.3"];
            let mut results: Vec<(String, bool)> = Traceroute::many(hosts)
                .outage_limit(Duration::ZERO)
                .start()
                .unwrap()
                .map(|(host, route)| (host, route.is_ok_and(|route| route.reached())))
                .collect();
            results.sort();
            let expected = [("127.0.0.2", true), ("127.0.0.3", true), ("192.0.2.1", false), ("no such host", false)];
            assert_eq!(results, expected.map(|(host, reached)| (host.to_owned(), reached)));
        });
    }

    #[test]
    fn a_confined_survey_goes_on_taking_addresses() {
        in_namespace("survey::tests::a_confined_survey_goes_on_taking_addresses", PERMIT_PING, || {
            let mut surveys =
                KINDS.map(|kind| Survey::new(&Traceroute::new("").socket(kind).interface("lo"), 100_000, 100).unwrap());
            let _ = surveys[0].confine().unwrap();
            for survey in &mut surveys {
                for host in hosts(50) {
                    let address: IpAddr = host.parse().unwrap();
                    survey.add_at(&host, (address, 0).into()).unwrap();
                }
                while survey.advance(None).unwrap() != Step::Done {}
                let routes: Vec<Route> = std::iter::from_fn(|| survey.take()).collect();
                assert_eq!(routes.iter().filter(|route| route.distance() == Some(1)).count(), 51);
                survey.outage_limit(Duration::ZERO);
                assert!(survey.add("localhost").is_err(), "a name needs files");
            }
        });
    }

    #[test]
    fn a_confined_survey_asks_for_routes_from_the_source_that_was_given() {
        const TEST: &str = "survey::tests::a_confined_survey_asks_for_routes_from_the_source_that_was_given";
        in_namespace(TEST, PERMIT_PING, || {
            let source = IpAddr::from([127, 0, 0, 9]);
            let settings = |kind| Traceroute::new("").family(Version::V4).socket(kind).source(source).interface("lo");
            let mut surveys = KINDS.map(|kind| Survey::new(&settings(kind), 100_000, 100).unwrap());
            let _ = surveys[0].confine().unwrap();
            for survey in &mut surveys {
                for host in 1..=20 {
                    assert_eq!(survey.add_as(&settings(KINDS[0]), ([127, 0, 1, host], 0).into()).unwrap(), source);
                }
                while survey.advance(None).unwrap() != Step::Done {}
                assert!(std::iter::from_fn(|| survey.take()).all(|route| route.distance() == Some(1)));
            }
        });
    }

    #[test]
    fn a_survey_that_is_interrupted_ends_with_what_is_known() {
        in_namespace("survey::tests::a_survey_that_is_interrupted_ends_with_what_is_known", "", || {
            let mut survey = Survey::new(&Traceroute::new(""), 1, 10).unwrap();
            survey.add("127.0.0.2").unwrap();
            survey.add("127.0.0.3").unwrap();
            survey.advance(None).unwrap();
            survey.interrupt();
            assert_eq!(survey.advance(None).unwrap(), Step::Done);
            let reasons: Vec<_> = std::iter::from_fn(|| survey.take()).map(|route| route.stop_reason()).collect();
            assert_eq!(reasons.len(), 2);
            assert_eq!(reasons[1], Some(StopReason::Interrupted));
        });
    }

    #[test]
    fn a_survey_whose_hosts_wait_sleeps_whatever_arrives() {
        in_namespace("survey::tests::a_survey_whose_hosts_wait_sleeps_whatever_arrives", PERMIT_PING, || {
            for kind in KINDS {
                let mut survey = Survey::new(&Traceroute::new("").socket(kind), 1000, 10).unwrap();
                survey.add("192.0.2.1").unwrap();
                // A raw socket hears the answers to others too.
                Traceroute::new("127.0.0.3").socket(SocketKind::Raw).run().unwrap();
                let (start, mut awakenings) = (clock::now(), 0);
                while clock::now().saturating_since(start) < Duration::from_millis(300) {
                    survey.advance_within(None, Duration::from_millis(300)).unwrap();
                    awakenings += 1;
                }
                assert!(awakenings <= 20, "{kind:?}: {awakenings}");
            }
        });
    }

    #[test]
    fn a_survey_wakes_up_less_often_than_it_has_probes_to_send() {
        in_namespace("survey::tests::a_survey_wakes_up_less_often_than_it_has_probes_to_send", "", || {
            let mut survey = Survey::new(&Traceroute::new("").memory(&crate::Memory::none()), 10_000, 300).unwrap();
            for host in hosts(250) {
                survey.add(&host).unwrap();
            }
            let mut awakenings = 0;
            while survey.advance(None).unwrap() != Step::Done {
                awakenings += 1;
            }
            let probes: usize = std::iter::from_fn(|| survey.take()).map(|route| route.probes_sent()).sum();
            assert!(awakenings * 4 < probes, "{awakenings} awakenings for {probes} probes");
        });
    }

    #[test]
    fn however_fast_it_may_go_a_survey_looks_for_answers_after_every_eighth_probe() {
        in_namespace(
            "survey::tests::however_fast_it_may_go_a_survey_looks_for_answers_after_every_eighth_probe",
            "",
            || {
                // One sweep over all hops, so that nothing but this bound decides how many probes go at a time.
                let settings = Traceroute::new("").max_hops(64).sweep(Sweep::Window { first: 64, step: 1 });
                let mut survey = Survey::new(&settings, 1_000_000, 1).unwrap();
                survey.add("127.0.0.2").unwrap();
                while survey.advance(None).unwrap() != Step::Done {}
                let route = survey.take().unwrap();
                // Loopback answers at once, or nearly: the first eight are all that go before that is seen.
                assert_eq!(route.distance(), Some(1));
                assert!(
                    route.probes_sent().is_multiple_of(BUNCH) && route.probes_sent() < 48,
                    "{}",
                    route.probes_sent()
                );
            },
        );
    }
}
