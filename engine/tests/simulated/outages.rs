//! Outages that a part of a list makes look different: hosts that never get through, a queue that
//! never drains, and hosts whose answers come late.

use super::MOST_STEPS;
use super::hostile::{error, reply};
use super::judge::{self, tcp, udp};
use super::lists::{List, Results, check, host};
use hopshot_core::wire::icmp::Type;
use hopshot_core::wire::{AddressFamily, ip};
use hopshot_engine::{ProbeProtocol, ProbeSettings, SocketKind, UdpPayload};
use hopshot_lab::{Attack, Failing, Failure, Machine, Scenario};
use std::net::IpAddr;
use std::ops::Range;
use std::time::Duration;

const FAMILIES: [AddressFamily; 2] = [AddressFamily::V4, AddressFamily::V6];

const PROBES: [ProbeProtocol; 3] = [
    ProbeProtocol::Icmp,
    tcp(443),
    udp(33_434, UdpPayload::Plain),
];

/// The distance of all hosts.
const DISTANCE: u8 = 12;

fn ms(millis: u64) -> Duration {
    Duration::from_millis(millis)
}

fn list(hosts: impl Iterator<Item = (String, IpAddr)>) -> List {
    List {
        hosts: hosts.collect(),
        rate: 1_000,
        at_once: 256,
        outage_limit: Duration::from_secs(60),
        interrupted_after: MOST_STEPS,
    }
}

/// The number of a host in the scenario `many`.
fn number(address: IpAddr) -> u16 {
    match address {
        IpAddr::V4(address) => {
            let [.., high, low] = address.octets();
            u16::from_be_bytes([high, low])
        }
        IpAddr::V6(address) => address.segments()[7],
    }
}

fn many() -> Scenario {
    Scenario::named("many").unwrap()
}

fn reached(results: &Results, who: impl Fn(u16) -> bool) -> usize {
    let routes = results.routes.values().flatten();
    routes
        .filter(|route| route.reached() && who(number(route.summary().target)))
        .count()
}

/// Runs a list whose hosts have no way for good, but for those of one network, from this number on,
/// which have none for a while. Returns how many of these were reached.
fn reached_again(
    (family, probes): (AddressFamily, ProbeProtocol),
    hosts: u32,
    few: Range<u32>,
    away: Range<u64>,
) -> usize {
    let mut machine = Machine::new(&many(), SocketKind::Raw, 1);
    let is_few = {
        let few = few.clone();
        move |address: IpAddr| few.contains(&number(address).into())
    };
    let what = Failing::Route;
    let span = ms(away.start)..Duration::MAX;
    machine.fail_for(Failure { span, what }, {
        let is_few = is_few.clone();
        move |address| !is_few(address)
    });
    let span = ms(away.start)..ms(away.end);
    machine.fail_for(Failure { span, what }, is_few);
    let list = list((0..hosts).chain(few.clone()).map(|it| host(family, it)));
    let results = list.run(machine, &judge::settings(probes));
    check(&results, &list, |_| true, 1);
    reached(&results, |it| few.contains(&it.into()))
}

#[test]
fn who_gets_through_again_is_traced_however_many_never_do() {
    for means in FAMILIES
        .into_iter()
        .zip(PROBES)
        .chain([(AddressFamily::V4, PROBES[2])])
    {
        // From the start on; and in the middle of a list, when others were reached.
        for (hosts, few, away) in [
            (150, 3_072..3_122, 0..1_000),
            (2_000, 3_072..3_077, 0..1_000),
            (4_000, 4_072..4_092, 0..9_000),
            (2_000, 3_072..3_092, 1_500..4_000),
        ] {
            let count = few.len();
            assert_eq!(
                reached_again(means, hosts, few, away.clone()),
                count,
                "{means:?}, {hosts} hosts, away {away:?}"
            );
        }
    }
}

#[test]
fn a_list_ends_where_a_queue_never_drains() {
    for (family, probes) in FAMILIES
        .into_iter()
        .flat_map(|it| PROBES.map(|probes| (it, probes)))
    {
        for from in [0, 2_000] {
            let mut machine = Machine::new(&many(), SocketKind::Raw, 1);
            machine.fail(Failure {
                span: ms(from)..Duration::MAX,
                what: Failing::Queue,
            });
            let list = list((0..1_000).map(|number| host(family, number)));
            let results = list.run(machine, &judge::settings(probes));
            check(&results, &list, |_| true, from);
            assert!(
                results.took < Duration::from_secs(120),
                "{family:?} {probes:?}, from {from} ms: {:?}",
                results.took
            );
        }
    }
}

#[test]
fn a_queue_that_is_full_for_a_while_loses_nobody() {
    for (family, probes) in FAMILIES
        .into_iter()
        .flat_map(|it| PROBES.map(|probes| (it, probes)))
    {
        for span in [300, 10_000, 40_000] {
            let mut machine = Machine::new(&many(), SocketKind::Raw, 1);
            machine.fail(Failure {
                span: ms(1_000)..ms(1_000 + span),
                what: Failing::Queue,
            });
            let list = list((0..2_000).map(|number| host(family, number)));
            let results = list.run(machine, &judge::settings(probes));
            check(&results, &list, |_| true, span);
            assert_eq!(
                reached(&results, |_| true),
                2_000,
                "{family:?} {probes:?}, {span} ms"
            );
        }
    }
}

#[test]
fn hosts_whose_answers_come_late_hide_no_silence() {
    // One host in ten answers, and one in twenty lets all its answers wait.
    let answers = |number: u16| number % 10 == 1;
    let is_late = |number: u16| number.is_multiple_of(20);
    for family in FAMILIES {
        for seed in 0..5 {
            let mut machine = Machine::new(&many(), SocketKind::Raw, seed);
            machine.attack(move |packet| {
                let (header, message) = ip::parse(packet).unwrap();
                let number = number(header.ends.destination);
                let arrives = header.hop_limit >= DISTANCE;
                let from = host(family, 4_000 + u32::from(header.hop_limit)).1;
                let late = |after, packet| Attack {
                    is_alone: true,
                    forged: vec![(ms(after), packet)],
                };
                match header.hop_limit {
                    _ if !is_late(number) => Attack {
                        is_alone: arrives && !answers(number),
                        forged: Vec::new(),
                    },
                    9 => late(400, error(Type::TimeExceeded, from, packet)),
                    10 => late(1_000, error(Type::TimeExceeded, from, packet)),
                    11 => late(1_600, error(Type::TimeExceeded, from, packet)),
                    DISTANCE.. => late(1_950, reply(&header, message)),
                    _ => Attack::default(),
                }
            });
            let begin = 4_000 + seed * 37;
            machine.fail(Failure {
                span: ms(begin)..ms(begin + 3_000),
                what: Failing::Answers,
            });
            let list = list((0..2_000).map(|number| host(family, number)));
            let results = list.run(machine, &ProbeSettings::default());
            check(&results, &list, |_| true, seed);
            assert_eq!(reached(&results, answers), 200, "{family:?}, seed {seed}");
        }
    }
}

#[test]
fn an_outage_for_good_soon_after_another_ends_a_list_whoever_waits_still() {
    let failures = [
        Failing::Route,
        Failing::Firewall,
        Failing::Probes,
        Failing::Answers,
    ];
    for seed in 0..300 {
        let mut random = fastrand::Rng::with_seed(seed);
        let mut machine = Machine::new(&many(), SocketKind::Raw, seed);
        let begin = random.u64(..1_500);
        let end = begin + random.u64(100..9_000);
        let what = failures[random.usize(..4)];
        let span = ms(begin)..ms(end);
        machine.fail(Failure { span, what });
        let span = ms(end + random.u64(..3_000))..Duration::MAX;
        let what = failures[random.usize(..4)];
        machine.fail(Failure { span, what });
        let list = List {
            at_once: random.usize(5..40),
            rate: random.u32(20..2_000),
            ..list((0..100).map(|number| host(FAMILIES[random.usize(..2)], number)))
        };
        let results = list.run(machine, &judge::settings(PROBES[random.usize(..3)]));
        check(&results, &list, |_| true, seed);
        // Twice the limit, for each family.
        let most = list.outage_limit * 4 + Duration::from_secs(20);
        assert!(results.took <= most, "seed {seed}: {:?}", results.took);
    }
}
