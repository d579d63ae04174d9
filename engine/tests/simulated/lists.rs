//! Lists of hosts: thousands of them, drawn at random from a seed, on networks that fail.

use super::judge::{self, tcp, udp};
use super::{KINDS, MOST_STEPS, strong};
use hopshot_core::wire::AddressFamily;
use hopshot_engine::{Fault, Job, Link, ProbeProtocol, ProbeSettings, Route, SocketKind, Step};
use hopshot_engine::{Survey, UdpPayload};
use hopshot_lab::log::Probe;
use hopshot_lab::{Error, Failing, Failure, Machine, Scenario};
use std::collections::BTreeMap;
use std::net::IpAddr;
use std::time::Duration;

/// The distance of all hosts.
const DISTANCE: u8 = 12;

/// SYNs that may go past a host: one that learns how far away it is, and three that don't know.
const MOST_PAST: usize = 4;

/// What came of the hosts of a list, by name.
#[derive(Default)]
pub(super) struct Results {
    pub(super) routes: BTreeMap<String, Vec<Route>>,
    pub(super) lost: BTreeMap<String, Vec<Error>>,
    pub(super) took: Duration,
    /// All that has left the machine.
    log: Vec<Probe>,
}

impl Results {
    /// The most SYNs that got to one host past its distance.
    fn most_past(&self) -> usize {
        let mut past = BTreeMap::<IpAddr, usize>::new();
        let syns = self.log.iter().filter(|probe| probe.is_syn());
        for probe in syns.filter(|probe| probe.past_target) {
            *past.entry(probe.destination).or_default() += 1;
        }
        past.into_values().max().unwrap_or(0)
    }
}

/// A list, and how it is traced.
pub(super) struct List {
    pub(super) hosts: Vec<(String, IpAddr)>,
    pub(super) rate: u32,
    pub(super) at_once: usize,
    pub(super) outage_limit: Duration,
    /// Steps after which it is interrupted.
    pub(super) interrupted_after: usize,
}

impl List {
    pub(super) fn run(&self, machine: Machine, settings: &ProbeSettings) -> Results {
        let mut survey = Survey::start(
            machine.speaking(settings.protocol),
            settings,
            self.rate,
            self.at_once,
        )
        .unwrap();
        survey.outage_limit(self.outage_limit);
        let begun = survey.link().now();
        let (mut results, mut hosts) = (Results::default(), self.hosts.iter());
        for step in 0..MOST_STEPS {
            let is_interrupted = step >= self.interrupted_after;
            if is_interrupted {
                survey.interrupt();
                hosts = [].iter();
            }
            while survey.has_room()
                && let Some((host, address)) = hosts.next()
            {
                let sample = survey.wants_sample().then(|| survey.sample());
                if let Err(error) = survey.add_found(host, Ok((*address, 0).into()), false, sample)
                {
                    results.lost.entry(host.clone()).or_default().push(error);
                }
            }
            while let Some(route) = survey.take() {
                results
                    .routes
                    .entry(route.summary().host.clone())
                    .or_default()
                    .push(route);
            }
            while let Some((host, error)) = survey.take_lost() {
                results.lost.entry(host).or_default().push(error);
            }
            if survey.is_empty() && hosts.len() == 0 {
                results.log = survey.link().internet().log().to_vec();
                results.took = survey.link().now().saturating_since(begun);
                return results;
            }
            // Done while others are still to be added: what has ended makes room.
            let _: Step = survey.advance_within(None, Duration::from_secs(1)).unwrap();
        }
        panic!("it does not end: {} left", survey.len());
    }
}

/// How the probes of a list are sent: in one half by ping sockets and raw ones, in the other half
/// by TCP and UDP, to ports that are open and closed.
fn means(random: &mut fastrand::Rng) -> (SocketKind, ProbeSettings) {
    let probes = [
        tcp(443),
        tcp(81),
        udp(33_434, UdpPayload::Plain),
        udp(443, UdpPayload::Quic),
    ];
    let probes = probes.get(random.usize(..8)).copied().unwrap_or_default();
    let kind = match probes {
        ProbeProtocol::Icmp => KINDS[random.usize(..2)],
        _ => SocketKind::Raw,
    };
    (kind, judge::settings(probes))
}

/// What the hosts say of the port.
fn is_open(probes: ProbeProtocol) -> Option<bool> {
    probes.port().map(|port| port == 443)
}

/// The host of a number in the scenario `many`.
pub(super) fn host(family: AddressFamily, number: u32) -> (String, IpAddr) {
    let [.., high, low] = number.to_be_bytes();
    let address = match family {
        AddressFamily::V4 => [10, 200, high, low].into(),
        AddressFamily::V6 => [0x2001, 0xdb8, 0xffff, 1, 0, 0, 0, number as u16].into(),
    };
    (format!("host{number}"), address)
}

pub(super) fn check(results: &Results, list: &List, is_whole: impl Fn(&Route) -> bool, seed: u64) {
    let was_interrupted = list.interrupted_after < MOST_STEPS;
    for (host, _) in &list.hosts {
        let routes = results.routes.get(host).map_or(&[][..], Vec::as_slice);
        let lost = results.lost.get(host).map_or(&[][..], Vec::as_slice);
        let count = routes.len() + lost.len();
        assert!(
            count == 1 || was_interrupted && count == 0,
            "seed {seed}: {host} has {count} results"
        );
        for error in lost {
            let has_reason = matches!(
                error,
                Error::Engine(
                    Fault::GivenUp { .. } | Fault::Away { .. } | Fault::Interrupted { .. }
                ) | Error::NoRoute
            );
            assert!(has_reason, "seed {seed}: {error}");
        }
        for route in routes {
            assert!(
                was_interrupted || is_whole(route),
                "seed {seed}: {host} is not whole"
            );
        }
    }
}

/// All that a trace names is where it says: in `many` the path to each host is the same, but for
/// its end.
fn names_only_who_is_there(route: &Route, machine: &Scenario) -> bool {
    let truth = Machine::new(machine, SocketKind::Raw, 0)
        .internet()
        .truth(AddressFamily::of(route.summary().target));
    let is_there = |(hop, from): (u8, IpAddr)| {
        from == route.summary().target || truth.at(hop).contains(&Some(from))
    };
    strong(route).all(is_there)
}

/// A machine that checks targets every other time.
fn machine(many: &Scenario, kind: SocketKind, seed: u64, protocol: ProbeProtocol) -> Machine {
    let machine = Machine::new(many, kind, seed);
    match seed.is_multiple_of(2) || protocol == ProbeProtocol::Icmp {
        true => machine,
        false => machine.with_icmp(),
    }
}

#[test]
fn every_list_ends_with_one_result_for_each_host_whatever_fails_and_none_is_lost_to_what_passes() {
    let many = Scenario::named("many").unwrap();
    for seed in 0..400 {
        let mut random = fastrand::Rng::with_seed(seed);
        let (kind, mut settings) = means(&mut random);
        let family = super::FAMILIES[random.usize(..2)];
        let mut machine = machine(&many, kind, seed, settings.protocol);
        // Shorter than the limit of an outage, one after the other.
        let mut begin = Duration::from_millis(random.u64(..2_000));
        for _ in 0..random.usize(..4) {
            let end = begin + Duration::from_millis(random.u64(10..10_000));
            let what = [Failing::Route, Failing::Firewall][random.usize(..2)];
            machine.fail(Failure {
                span: begin..end,
                what,
            });
            begin = end + Duration::from_millis(random.u64(2_000..5_000));
        }
        let hosts = (0..random.u32(1..300))
            .map(|number| host(family, number * 13 % 4096))
            .collect();
        let (rate, at_once) = (random.u32(20..20_000), random.usize(1..300));
        let outage_limit = Duration::from_secs(60);
        let list = List {
            hosts,
            rate,
            at_once,
            outage_limit,
            interrupted_after: MOST_STEPS,
        };
        settings.config.attempts = random.u8(1..4);
        let results = list.run(machine, &settings);
        check(
            &results,
            &list,
            |route| names_only_who_is_there(route, &many),
            seed,
        );
        let told = format!("seed {seed}: {kind:?} {:?} {family:?}", settings.protocol);
        for route in results.routes.values().flatten() {
            let says = (route.distance(), route.is_open());
            assert_eq!(says, (Some(DISTANCE), is_open(settings.protocol)), "{told}");
        }
        assert!(results.most_past() <= MOST_PAST, "{told}");
        let reached = results
            .routes
            .values()
            .flatten()
            .filter(|route| route.reached())
            .count();
        assert_eq!(reached, list.hosts.len(), "{told} {:?}", results.lost);
    }
}

#[test]
fn an_interrupt_at_any_moment_ends_a_list_and_no_host_has_two_results() {
    let many = Scenario::named("many").unwrap();
    for seed in 0..300 {
        let mut random = fastrand::Rng::with_seed(seed);
        let (kind, settings) = means(&mut random);
        let mut machine = machine(&many, kind, seed, settings.protocol);
        let begin = Duration::from_millis(random.u64(..500));
        let what = [
            Failing::Route,
            Failing::Firewall,
            Failing::Probes,
            Failing::Answers,
        ][random.usize(..4)];
        machine.fail(Failure {
            span: begin..begin + Duration::from_millis(random.u64(10..3_000)),
            what,
        });
        let family = super::FAMILIES[random.usize(..2)];
        let hosts = (0..random.u32(1..100))
            .map(|number| host(family, number))
            .collect();
        let (rate, at_once) = (random.u32(50..20_000), random.usize(1..100));
        let (outage_limit, interrupted_after) = (Duration::from_secs(60), random.usize(..200));
        let list = List {
            hosts,
            rate,
            at_once,
            outage_limit,
            interrupted_after,
        };
        let results = list.run(machine, &settings);
        check(
            &results,
            &list,
            |route| names_only_who_is_there(route, &many),
            seed,
        );
    }
}

#[test]
fn what_lasts_ends_the_list_with_its_reason_once_the_limit_is_over() {
    let many = Scenario::named("many").unwrap();
    for (seed, what) in [Failing::Route, Failing::Firewall].into_iter().enumerate() {
        for limit in [1, 5, 60] {
            let mut machine = Machine::new(&many, SocketKind::Raw, seed as u64);
            machine.fail(Failure {
                span: Duration::ZERO..Duration::MAX,
                what,
            });
            let hosts = (0..50)
                .map(|number| host(AddressFamily::V4, number))
                .collect();
            let outage_limit = Duration::from_secs(limit);
            let list = List {
                hosts,
                rate: 1_000,
                at_once: 20,
                outage_limit,
                interrupted_after: MOST_STEPS,
            };
            let results = list.run(machine, &ProbeSettings::default());
            let away = results.lost.values().flatten().filter(|error| match error {
                Error::Engine(Fault::Away { waited, .. }) => {
                    (limit..limit + 3).contains(&waited.as_secs())
                }
                _ => false,
            });
            let told = away.count()
                + results
                    .routes
                    .values()
                    .flatten()
                    .filter(|route| route.failure().is_some())
                    .count();
            assert_eq!(told, 50, "{what:?} for {limit} s: {:?}", results.lost);
        }
    }
}

#[test]
fn whatever_fails_for_good_and_whenever_a_list_ends_soon_after_the_limit_of_an_outage() {
    let many = Scenario::named("many").unwrap();
    for seed in 0..400 {
        let mut random = fastrand::Rng::with_seed(seed);
        let (kind, settings) = means(&mut random);
        let family = super::FAMILIES[random.usize(..2)];
        let all = [
            Failing::Route,
            Failing::Firewall,
            Failing::FarProbes,
            Failing::Probes,
            Failing::Answers,
        ];
        let what = all[random.usize(..all.len())];
        let mut machine = machine(&many, kind, seed, settings.protocol);
        let begin = if random.bool() {
            0
        } else {
            random.u64(..3_000)
        };
        machine.fail(Failure {
            span: Duration::from_millis(begin)..Duration::MAX,
            what,
        });
        let hosts = (0..random.u32(1..100))
            .map(|number| host(family, number))
            .collect();
        let (rate, at_once) = (random.u32(200..20_000), random.usize(1..100));
        let outage_limit = Duration::from_secs([1, 5, 60][random.usize(..3)]);
        let list = List {
            hosts,
            rate,
            at_once,
            outage_limit,
            interrupted_after: MOST_STEPS,
        };
        let results = list.run(machine, &settings);
        check(
            &results,
            &list,
            |route| names_only_who_is_there(route, &many),
            seed,
        );
        // Silence is a result of each host, which takes its time.
        let each = Duration::from_secs(3) * (1 + list.hosts.len() / list.at_once) as u32;
        let most = outage_limit.max(Duration::from_secs(12)) + Duration::from_secs(10) + each * 8;
        assert!(
            results.took <= most,
            "seed {seed}: {what:?} {kind:?} {:?} {:?} of {most:?}",
            settings.protocol,
            results.took
        );
    }
}
