//! The same target by several protocols at once: the verdict and the hop at which paths part are
//! right every time, and nothing is said that isn't so.

use super::hostile::reply;
use super::judge::{tcp, udp};
use super::{FAMILIES, MOST_STEPS};
use hopshot_core::wire::{AddressFamily, ip};
use hopshot_engine::{
    Compare, Comparison, Job, Memory, ProbeProtocol, ProbeSettings, Refusal, Side, SideEnd,
    SidePlan, SocketKind, Step, UdpPayload,
};
use hopshot_lab::log::Probe;
use hopshot_lab::{
    Attack, Balance, Diamond, Error, Failing, Failure, Hop, Loses, Machine, Places, Protocol,
    Scenario, Truth,
};
use std::net::IpAddr;
use std::time::Duration;

const ICMP: ProbeProtocol = ProbeProtocol::Icmp;
const UDP: ProbeProtocol = udp(33_434, UdpPayload::Plain);
const TCP: ProbeProtocol = tcp(443);
const ALL: [ProbeProtocol; 3] = [ICMP, UDP, TCP];

/// Seeds of each scenario, in each family.
const SEEDS: u64 = 50;

/// What a comparison has said, and what is known of its world.
struct Seen {
    result: Comparison,
    truth: Truth,
    log: Vec<Probe>,
    told: String,
}

impl Seen {
    fn end(&self, side: usize) -> &SideEnd {
        &self.result.verdict().ends()[side].1
    }

    fn router(&self, hop: u8) -> IpAddr {
        self.truth.paths[0].hops[usize::from(hop) - 1].expect("it answers")
    }

    /// Checks that nothing is said but where sides end.
    fn shows_ends_alone(&self) {
        let verdict = self.result.verdict();
        assert_eq!(verdict.parting(), None, "{}", self.told);
        assert_eq!(verdict.slower(), [], "{}", self.told);
        assert_eq!(verdict.lossier(), [], "{}", self.told);
    }

    /// Checks that a side got to the target at its hop, and how its port is.
    fn reaches(&self, side: usize, open: Option<bool>) {
        let SideEnd::Reached {
            distance, is_open, ..
        } = self.end(side)
        else {
            panic!("{}: {:?}", self.told, self.end(side));
        };
        let told = (*distance, *is_open);
        assert_eq!(told, (Some(12), open), "{}", self.told);
    }
}

fn plan(
    side: Side,
    protocol: ProbeProtocol,
    target: Result<IpAddr, Error>,
    attempts: u8,
) -> SidePlan<Error> {
    let mut settings = ProbeSettings::default();
    settings.protocol = protocol;
    settings.config.attempts = attempts;
    SidePlan {
        side,
        settings,
        address: target.map(|target| (target, 0).into()),
    }
}

fn run(mut job: Compare<Machine>) -> (Comparison, Vec<Probe>) {
    for _ in 0..MOST_STEPS {
        if job.advance(None).unwrap() == Step::Done {
            let log = job.link().internet().log().to_vec();
            return (job.finish(), log);
        }
    }
    panic!("it does not end");
}

/// How to compare.
struct How<'a> {
    protocols: &'a [ProbeProtocol],
    attempts: u8,
    change: &'a dyn Fn(&mut Machine),
}

const USUAL: How<'static> = How {
    protocols: &ALL,
    attempts: 3,
    change: &|_| (),
};

fn compare(scenario: &Scenario, family: AddressFamily, seed: u64, how: &How<'_>) -> Seen {
    let mut machine = Machine::new(scenario, SocketKind::Raw, seed).speaking_all(how.protocols);
    (how.change)(&mut machine);
    let target = machine.internet().target(family);
    let truth = machine.internet().truth(family);
    let plan = |protocol: &ProbeProtocol| {
        plan(
            Side::Protocol(*protocol),
            *protocol,
            Ok(target),
            how.attempts,
        )
    };
    let plans = how.protocols.iter().map(plan).collect();
    let (result, log) = run(Compare::start(machine, "target", plans).unwrap());
    let sentences = result.verdict().sentences();
    Seen {
        told: format!("{family:?} seed {seed}: {sentences:?}"),
        result,
        truth,
        log,
    }
}

/// Compares in a scenario by many seeds, in both families.
fn each(scenario: &Scenario, how: &How<'_>, check: impl Fn(&Seen)) {
    for family in FAMILIES {
        for seed in 0..SEEDS {
            check(&compare(scenario, family, seed, how));
        }
    }
}

/// Twelve hops with some jitter.
fn path() -> Scenario {
    Scenario {
        jitter_ms: 2.0,
        ..Scenario::plain(12, 80.0)
    }
}

fn with(hop: Hop) -> Scenario {
    Scenario {
        hop: vec![hop],
        ..path()
    }
}

fn at(hop: u8) -> Hop {
    Hop {
        at: Places::One(hop),
        ..Hop::default()
    }
}

#[test]
fn where_all_is_the_same_one_sentence_says_so() {
    each(&path(), &USUAL, |seen| {
        seen.reaches(0, None);
        seen.reaches(1, Some(false));
        seen.reaches(2, Some(true));
        seen.shows_ends_alone();
        assert!(seen.result.verdict().is_alike() && seen.result.reached());
        let sentences = seen.result.verdict().sentences();
        let [sentence] = sentences.as_slice() else {
            panic!("{sentences:?}");
        };
        assert!(
            sentence.starts_with("No difference seen: ICMP 8"),
            "{sentence}"
        );
    });
}

#[test]
fn a_firewall_that_forbids_udp_is_named_with_its_hop() {
    let forbids = vec![Protocol::Udp];
    each(&with(Hop { forbids, ..at(9) }), &USUAL, |seen| {
        seen.reaches(0, None);
        seen.reaches(2, Some(true));
        let (after, by, how) = (9, seen.router(9), Refusal::Filtered);
        assert_eq!(*seen.end(1), SideEnd::Refused { after, by, how });
        seen.shows_ends_alone();
        let told = format!("UDP 33434 stops after hop 9: filtered by {by}");
        assert_eq!(seen.result.verdict().sentences()[1], told);
    });
}

#[test]
fn where_icmp_is_dropped_on_the_way_tcp_is_open_all_the_same() {
    let drops = vec![Protocol::Icmp];
    each(&with(Hop { drops, ..at(5) }), &USUAL, |seen| {
        assert_eq!(*seen.end(0), SideEnd::Quiet { after: 5 });
        seen.reaches(1, Some(false));
        seen.reaches(2, Some(true));
        seen.shows_ends_alone();
        assert_eq!(
            seen.result.verdict().sentences()[0],
            "ICMP is silent after hop 5: filtered"
        );
        assert!(seen.result.reached());
    });
}

#[test]
fn a_closed_port_gets_there_as_much_as_an_open_one() {
    let protocols = &[ICMP, tcp(81), tcp(443)];
    let how = How { protocols, ..USUAL };
    each(&path(), &how, |seen| {
        seen.reaches(1, Some(false));
        seen.reaches(2, Some(true));
        seen.shows_ends_alone();
    });
}

#[test]
fn one_port_that_is_filtered_says_nothing_of_another() {
    let mut scenario = path();
    scenario.target.tcp.filtered = vec![22];
    let protocols = &[ICMP, tcp(22), tcp(443)];
    each(&scenario, &How { protocols, ..USUAL }, |seen| {
        assert_eq!(*seen.end(1), SideEnd::Quiet { after: 11 });
        seen.reaches(2, Some(true));
        seen.shows_ends_alone();
        // One side by TCP doesn't get there.
        assert!(!seen.result.reached());
    });
}

#[test]
fn paths_that_part_by_protocol_part_where_they_do() {
    for lengths in [vec![1, 1], vec![3, 3], vec![2, 4], vec![1, 1, 1]] {
        let mut scenario = path();
        let ways = lengths.len();
        scenario.diamond = vec![Diamond {
            at: 4,
            lengths,
            by: Balance::Protocol,
        }];
        each(&scenario, &USUAL, |seen| {
            let parting = seen.result.verdict().parting().expect("they part");
            assert_eq!(
                (parting.hop, parting.ways.len()),
                (4, ways),
                "{}",
                seen.told
            );
            let side = |protocol| Side::Protocol(protocol);
            let of_icmp = match ways {
                2 => vec![side(ICMP), side(UDP)],
                _ => vec![side(ICMP)],
            };
            assert_eq!(parting.ways[0].sides, of_icmp);
            let way = |way: usize| seen.truth.paths[way].hops[3];
            assert_eq!(Some(parting.ways[0].address), way(0), "{}", seen.told);
            let of_tcp = parting.ways.iter().find(|way| way.sides == [side(TCP)]);
            assert_eq!(of_tcp.map(|way| way.address), way(1), "{}", seen.told);
        });
    }
}

#[test]
fn silent_routers_are_no_difference() {
    for silent in [vec![3, 4, 9], (1..=11).collect()] {
        let at = Places::Many(silent);
        let scenario = with(Hop {
            at,
            silent: true,
            ..Hop::default()
        });
        each(&scenario, &USUAL, |seen| {
            seen.reaches(0, None);
            seen.reaches(1, Some(false));
            seen.reaches(2, Some(true));
            seen.shows_ends_alone();
        });
    }
}

#[test]
fn a_target_that_is_silent_to_all_may_be_down() {
    let mut scenario = path();
    scenario.target.silent = true;
    each(&scenario, &USUAL, |seen| {
        for side in 0..3 {
            assert_eq!(*seen.end(side), SideEnd::Quiet { after: 11 });
        }
        seen.shows_ends_alone();
        let sentences = seen.result.verdict().sentences();
        let told = "ICMP, UDP 33434 and TCP 443 are silent after hop 11: filtered, down, or of \
                    UDP an open port that says nothing";
        assert_eq!(sentences, [told]);
        assert!(!seen.result.reached());
    });
}

/// Lets a proxy at a hop answer TCP in the target's name.
fn proxy(machine: &mut Machine, hop: u8) {
    machine.attack(move |packet| {
        let (header, message) = ip::parse(packet).unwrap();
        if header.protocol != 6 || header.hop_limit < hop {
            return Attack::default();
        }
        let rtt = Duration::from_millis(80 * u64::from(hop) / 12);
        Attack {
            is_alone: true,
            forged: vec![(rtt, reply(&header, message))],
        }
    });
}

#[test]
fn a_proxy_for_tcp_is_no_target() {
    let change: &dyn Fn(&mut Machine) = &|machine| proxy(machine, 6);
    each(&path(), &How { change, ..USUAL }, |seen| {
        seen.reaches(0, None);
        seen.reaches(1, Some(false));
        let SideEnd::Proxied(proxy) = seen.end(2) else {
            panic!("{}: {:?}", seen.told, seen.end(2));
        };
        assert_eq!((proxy.hop, proxy.router), (6, seen.router(6)));
        assert!(proxy.is_certain && !seen.result.reached());
        seen.shows_ends_alone();
    });
}

#[test]
fn a_router_that_answers_icmp_slowly_is_named_and_nothing_else_is_slow() {
    let (slow_ms, slow_for) = (120.0, vec![Protocol::Icmp]);
    let hop = Hop {
        slow_ms,
        slow_for,
        ..at(7)
    };
    each(&with(hop), &USUAL, |seen| {
        let verdict = seen.result.verdict();
        let [slow] = verdict.slower() else {
            panic!("{}: {:?}", seen.told, verdict.slower());
        };
        assert_eq!((slow.side, slow.hop), (Side::Protocol(ICMP), Some(7)));
        assert!(!slow.is_target && slow.than.len() == 2, "{}", seen.told);
        assert_eq!((verdict.parting(), verdict.lossier()), (None, &[][..]));
        seen.reaches(0, None);
        seen.reaches(2, Some(true));
    });
}

#[test]
fn a_target_that_answers_icmp_slowly_is_told_from_a_longer_way() {
    let mut scenario = path();
    (scenario.target.slow_ms, scenario.target.slow_for) = (60.0, vec![Protocol::Icmp]);
    each(&scenario, &USUAL, |seen| {
        let [slow] = seen.result.verdict().slower() else {
            panic!("{}", seen.told);
        };
        assert_eq!((slow.side, slow.hop), (Side::Protocol(ICMP), Some(12)));
        assert!(slow.is_target);
        let sentences = seen.result.verdict().sentences();
        let last = sentences.last().unwrap();
        assert!(
            last.starts_with("The target answers ICMP slowly: in 14"),
            "{last}"
        );
    });
    // Behind a router that nobody hears it may be the way.
    scenario.hop = vec![Hop {
        silent: true,
        ..at(11)
    }];
    each(&scenario, &USUAL, |seen| {
        let [slow] = seen.result.verdict().slower() else {
            panic!("{}", seen.told);
        };
        assert_eq!((slow.side, slow.hop), (Side::Protocol(ICMP), None));
        let sentences = seen.result.verdict().sentences();
        let last = sentences.last().unwrap();
        assert!(
            last.starts_with("ICMP takes longer to the target: 14"),
            "{last}"
        );
    });
}

#[test]
fn a_router_that_is_slow_to_all_and_jitter_are_no_difference() {
    let slow = with(Hop {
        slow_ms: 120.0,
        ..at(7)
    });
    let noisy = Scenario {
        jitter_ms: 40.0,
        ..path()
    };
    for scenario in [slow, noisy] {
        each(&scenario, &USUAL, Seen::shows_ends_alone);
    }
}

#[test]
fn loss_of_one_protocol_is_told_where_chance_does_not_explain_it() {
    let (of, share) = (vec![Protocol::Icmp], 0.75);
    let loses = Some(Loses { of, share });
    let scenario = with(Hop { loses, ..at(10) });
    let how = How {
        attempts: 10,
        ..USUAL
    };
    let found = std::cell::Cell::new(0);
    each(&scenario, &how, |seen| {
        let verdict = seen.result.verdict();
        assert_eq!((verdict.parting(), verdict.slower()), (None, &[][..]));
        let sides: Vec<_> = verdict.lossier().iter().map(|it| it.side).collect();
        assert!(
            sides.is_empty() || sides == [Side::Protocol(ICMP)],
            "{}",
            seen.told
        );
        found.set(found.get() + sides.len());
        let target = seen.result.routes().next().unwrap().hops().last().unwrap();
        let lost = target.loss().lost;
        // Five of ten beside none of ten is chance in 16 of a thousand cases, six in five.
        let is_told = seen.end(0).is_reached() && lost >= 6;
        assert_eq!(sides.len(), usize::from(is_told), "{} {lost}", seen.told);
    });
    assert!(found.get() >= 50, "{} of 100", found.get());
}

#[test]
fn loss_of_all_protocols_is_no_difference() {
    let scenario = Scenario {
        loss: 0.1,
        ..path()
    };
    for attempts in [1, 3, 10] {
        each(&scenario, &How { attempts, ..USUAL }, |seen| {
            seen.shows_ends_alone();
            let ends = seen.result.verdict().ends().iter();
            let reached = ends.filter(|(_, end)| end.is_reached()).count();
            assert!(reached >= 2, "{}", seen.told);
        });
    }
}

/// The path that a side's probes took, if it is one: in the log of all.
fn path_of(seen: &Seen, side: usize) -> Option<usize> {
    let route = seen.result.sides()[side].route.as_ref().unwrap();
    let is_its = |probe: &&Probe| match (route.source_port(), probe.ports) {
        (Some(port), Some(ports)) => ports.source == port,
        (None, None) => probe.checksum == route.flow(),
        _ => false,
    };
    let mut paths = seen.log.iter().filter(is_its).map(|probe| probe.path);
    let first = paths.next()?;
    paths.all(|path| path == first).then_some(first)
}

#[test]
fn where_load_is_balanced_by_flow_the_paths_part_where_those_of_the_flows_do() {
    for name in ["ecmp", "ecmp-uneven", "ecmp-mesh"] {
        let scenario = Scenario::named(name).unwrap();
        each(&scenario, &USUAL, |seen| {
            let paths: Vec<_> = (0..3).map(|side| path_of(seen, side)).collect();
            assert!(paths.iter().all(Option::is_some), "{}", seen.told);
            let hops = paths
                .iter()
                .flatten()
                .map(|path| &seen.truth.paths[*path].hops);
            let hops: Vec<_> = hops.collect();
            let at = |hop: usize| {
                let there = hops.iter().filter_map(|hops| *hops.get(hop)?);
                there.collect::<std::collections::BTreeSet<_>>()
            };
            let expected = (0..30).find(|hop| at(*hop).len() > 1);
            let parting = seen.result.verdict().parting();
            let found = parting.map(|parting| usize::from(parting.hop) - 1);
            assert_eq!(found, expected, "{name} {}", seen.told);
            let ways = parting.iter().flat_map(|parting| &parting.ways);
            let addresses: Vec<_> = ways.map(|way| way.address).collect();
            let expected = expected.map(at).unwrap_or_default();
            assert!(addresses.iter().all(|address| expected.contains(address)));
            assert_eq!(addresses.len(), expected.len(), "{name} {}", seen.told);
        });
    }
}

#[test]
fn where_each_packet_goes_its_own_way_hardly_anything_looks_like_a_parting() {
    let scenario = Scenario::named("ecmp-packet").unwrap();
    let parted = std::cell::Cell::new(0);
    each(&scenario, &USUAL, |seen| {
        parted.set(parted.get() + u32::from(seen.result.verdict().parting().is_some()));
    });
    assert!(parted.get() <= 2, "{} of 100", parted.get());
}

#[test]
fn icmp_and_udp_may_end_where_tcp_goes_on_by_another_way() {
    let scenario = Scenario::named("compare").unwrap();
    each(&scenario, &USUAL, |seen| {
        let (after, by, how) = (9, seen.router(9), Refusal::Filtered);
        let refused = SideEnd::Refused { after, by, how };
        assert_eq!([seen.end(0), seen.end(1)], [&refused; 2], "{}", seen.told);
        seen.reaches(2, Some(true));
        let parting = seen.result.verdict().parting().expect("they part");
        assert_eq!(parting.hop, 4, "{}", seen.told);
        let sentences = seen.result.verdict().sentences();
        assert_eq!(
            sentences[0],
            format!("ICMP and UDP 33434 stop after hop 9: filtered by {by}")
        );
        assert!(sentences[1].starts_with("TCP 443 gets there: open, 8"));
        assert_eq!((sentences.len(), seen.result.reached()), (3, true));
    });
}

fn by_family(change: impl Fn(&mut Machine), fails: bool, protocol: ProbeProtocol) -> Comparison {
    let mut machine = Machine::new(&path(), SocketKind::Raw, 1).speaking_all(&[protocol]);
    change(&mut machine);
    let sides = FAMILIES.map(|family| {
        let target = machine.internet().target(family);
        let is_there = !fails || family == AddressFamily::V4;
        let target = is_there.then_some(target).ok_or(Error::NoSuchName);
        plan(Side::Family(family), protocol, target, 3)
    });
    run(Compare::start(machine, "target", sides.into()).unwrap()).0
}

#[test]
fn families_have_different_addresses_and_their_paths_do_not_part() {
    for protocol in ALL {
        let alike = by_family(|_| (), false, protocol);
        assert_eq!(alike.verdict().parting(), None);
        assert!(
            alike.verdict().is_alike() && alike.reached(),
            "{protocol:?}"
        );
        let silent = by_family(
            |machine| {
                let span = Duration::ZERO..Duration::from_secs(60);
                let what = Failing::Probes;
                machine.fail_for(Failure { span, what }, |target| target.is_ipv6());
            },
            false,
            protocol,
        );
        let sentences = silent.verdict().sentences();
        assert!(
            sentences[0].starts_with("IPv4 gets there: "),
            "{sentences:?}"
        );
        let told = "IPv6 is not answered at all: filtered, or down";
        assert_eq!(sentences[1..], [told]);
        assert_eq!(silent.reached(), !protocol.is_tcp());
    }
}

#[test]
fn a_side_that_can_not_begin_does_not_keep_the_others_from_it() {
    for protocol in ALL {
        let one = by_family(|_| (), true, protocol);
        assert!(one.sides()[0].reached() && !one.sides()[1].reached());
        assert_eq!(one.sides()[1].route.as_ref().err().unwrap(), "NoSuchName");
        let sentences = one.verdict().sentences();
        assert_eq!(sentences[1..], ["IPv6 failed on this machine: NoSuchName"]);
        assert_eq!(one.reached(), !protocol.is_tcp());
    }
    let machine = Machine::new(&path(), SocketKind::Raw, 1);
    let none = plan(Side::Protocol(ICMP), ICMP, Err(Error::NoSuchName), 3);
    let error = Compare::start(machine, "target", vec![none]).err();
    assert!(matches!(error, Some(Error::NoSuchName)), "{error:?}");
}

#[test]
fn no_verdict_on_any_path_says_what_is_not_so() {
    // There the route changes while it is traced, or answers come from where nobody is asked; and
    // the attacker knows the ports.
    let moves = ["changing", "leap", "altreply", "dnat", "demo", "hostile"];
    for name in Scenario::names().filter(|name| !moves.contains(name)) {
        let scenario = Scenario::named(name).unwrap();
        for family in FAMILIES {
            for seed in 0..4 {
                let attempts = 1 + u8::try_from(seed).unwrap();
                let seen = compare(&scenario, family, seed, &How { attempts, ..USUAL });
                let ways = seen.result.verdict().parting().into_iter();
                for (hop, way) in ways.flat_map(|it| it.ways.iter().map(|way| (it.hop, way))) {
                    let is_there = seen.truth.at(hop).contains(&Some(way.address));
                    assert!(is_there, "{name} {}", seen.told);
                }
                for (side, end) in seen.result.verdict().ends() {
                    let Side::Protocol(protocol) = side else {
                        continue;
                    };
                    let machine = Machine::new(&scenario, SocketKind::Raw, seed);
                    let truth = super::judge::truth(&machine, family, *protocol);
                    let ends = truth.paths.iter().map(|path| path.end);
                    let may_be_reached = ends.clone().any(|end| end == hopshot_lab::End::Target);
                    assert!(!end.is_reached() || may_be_reached, "{name} {}", seen.told);
                    if let SideEnd::Refused { by, .. } = end {
                        let all = truth.paths.iter().flat_map(|path| &path.hops);
                        assert!(all.flatten().any(|it| it == by), "{name} {}", seen.told);
                    }
                    let is_proxied = matches!(end, SideEnd::Proxied(proxy) if proxy.is_certain);
                    assert!(!is_proxied, "{name} {}", seen.told);
                }
            }
        }
    }
}

/// The time of a comparison, and of the slowest of its sides alone, in RTTs of 80 ms.
fn durations(scenario: &Scenario, family: AddressFamily, attempts: u8, known: bool) -> (f64, f64) {
    let rtts = |span: Duration| span.as_secs_f64() / 0.08;
    let memory = if known { Memory::new() } else { Memory::none() };
    let plan_of = |protocol: ProbeProtocol, target: IpAddr| {
        let mut plan = plan(Side::Protocol(protocol), protocol, Ok(target), attempts);
        plan.settings.memory = memory.clone();
        plan
    };
    let run_all = |protocols: &[ProbeProtocol]| {
        let machine = Machine::new(scenario, SocketKind::Raw, 1).speaking_all(protocols);
        let target = machine.internet().target(family);
        let plans = protocols.iter().map(|it| plan_of(*it, target)).collect();
        run(Compare::start(machine, "target", plans).unwrap())
            .0
            .duration()
    };
    if known {
        run_all(&ALL);
    }
    let all = rtts(run_all(&ALL));
    let alone = ALL.map(|protocol| rtts(run_all(&[protocol])));
    (all, alone.into_iter().fold(0.0, f64::max))
}

#[test]
fn a_comparison_takes_as_long_as_its_slowest_side() {
    let drops = |drops: Vec<Protocol>| with(Hop { drops, ..at(5) });
    let (icmp, udp, tcp) = (Protocol::Icmp, Protocol::Udp, Protocol::Tcp);
    let mut silent = path();
    silent.target.tcp.filtered = vec![443];
    let (quick, known, slow) = (2.01, 1.01, 6.01);
    for (mut scenario, cold, again) in [
        (path(), quick, known),
        // Half a second where the RTT is 80 ms.
        (drops(vec![icmp]), slow, slow),
        (drops(vec![udp]), slow, slow),
        (drops(vec![tcp]), slow, 6.6),
        (drops(vec![icmp, udp]), slow, slow),
        (drops(vec![icmp, tcp]), slow, 6.6),
        (drops(vec![udp, tcp]), slow, 6.6),
        (silent, slow, 7.1),
        (Scenario::named("compare").unwrap(), quick, 1.8),
    ] {
        scenario.jitter_ms = 0.0;
        for family in FAMILIES {
            for (attempts, known, most) in
                [(1, false, cold), (1, true, again), (3, false, cold + 1.1)]
            {
                let (all, alone) = durations(&scenario, family, attempts, known);
                let told = format!("-q {attempts} {known} {scenario:?}");
                assert!(all <= most, "{all} RTT, {told}");
                assert!((all - alone).abs() < 0.05, "{all} and {alone} RTT, {told}");
            }
        }
    }
}
