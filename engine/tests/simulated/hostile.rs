//! Lists some of whose hosts are hostile and work together: what they say stands in no result but
//! their own, and the others go on sharing what is true.

use super::judge::{self, tcp, udp};
use super::{FAMILIES, KINDS, MOST_STEPS, strong};
use hopshot_core::wire::icmp::{Echo, Message, Type};
use hopshot_core::wire::{AddressFamily, Ends, ip, tcp as segments, udp as datagrams};
use hopshot_engine::{Job, ProbeProtocol, Route, SocketKind, Step, Survey, UdpPayload};
use hopshot_lab::{Attack, Failing, Failure, Hop, Machine, Places, Scenario};
use std::cell::RefCell;
use std::collections::{HashMap, HashSet};
use std::net::IpAddr;
use std::rc::Rc;
use std::time::Duration;

/// The distance of all hosts.
const DISTANCE: u8 = 12;

/// The name that all hostile hosts give.
fn forger(family: AddressFamily) -> IpAddr {
    match family {
        AddressFamily::V4 => [10, 66, 66, 66].into(),
        AddressFamily::V6 => [0x2001, 0xdb8, 0x6666, 0, 0, 0, 0, 0x66].into(),
    }
}

/// What hostile hosts say of the probes of their own traces.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Claim {
    /// The router of this hop has their name.
    Router(u8),
    /// All routers have.
    Routers,
    /// The path ends at this hop.
    End(u8),
    /// They are at this hop.
    Near(u8),
    /// They are at this hop, behind routers of their name.
    Far(u8),
}

const CLAIMS: [Claim; 8] = [
    Claim::Router(1),
    Claim::Router(3),
    Claim::Router(11),
    Claim::Routers,
    Claim::End(3),
    Claim::Near(2),
    Claim::Near(1),
    Claim::Far(30),
];

/// How hostile hosts stand in a list.
#[derive(Clone, Copy, Debug)]
enum Place {
    First,
    Last,
    /// One after so many.
    Among(usize),
}

const PLACES: [Place; 3] = [Place::First, Place::Last, Place::Among(20)];

/// Whoever sees all that leaves.
#[derive(Default)]
struct World {
    random: fastrand::Rng,
    claim: Option<Claim>,
    hostile: HashSet<IpAddr>,
    silent: HashSet<IpAddr>,
    /// Guesses about the probes of others for each of their own, with ident and checksum of the
    /// latter.
    guesses: usize,
    /// Whose probes are on their way: the last targets.
    latest: Vec<IpAddr>,
    sent: HashMap<IpAddr, usize>,
}

impl World {
    fn see(&mut self, packet: &[u8]) -> Attack {
        let (header, message) = ip::parse(packet).unwrap();
        let (ends, hop) = (header.ends, header.hop_limit);
        let family = ends.family();
        *self.sent.entry(ends.destination).or_default() += 1;
        let arrives = hop >= DISTANCE;
        if self.silent.contains(&ends.destination) {
            return Attack {
                is_alone: arrives,
                forged: Vec::new(),
            };
        }
        if !self.hostile.contains(&ends.destination) {
            self.latest.push(ends.destination);
            if self.latest.len() > 64 {
                self.latest.remove(0);
            }
            return Attack::default();
        }
        // Sooner than the truth.
        let soon = Duration::from_micros(100);
        let name = forger(family);
        let exceeded = || error(Type::TimeExceeded, name, packet);
        let claimed = match self.claim {
            Some(Claim::Router(at)) if at == hop => Some(exceeded()),
            Some(Claim::Routers) if !arrives => Some(exceeded()),
            Some(Claim::End(at)) if at == hop => Some(error(Type::Unreachable, name, packet)),
            Some(Claim::Near(at)) if hop >= at => Some(reply(&header, message)),
            Some(Claim::Far(at)) if arrives && hop >= at => Some(reply(&header, message)),
            Some(Claim::Far(_)) if arrives => Some(exceeded()),
            _ => None,
        };
        let mut attack = Attack {
            is_alone: claimed.is_some(),
            forged: Vec::new(),
        };
        attack.forged.extend(claimed.map(|packet| (soon, packet)));
        let to_guess = if self.latest.is_empty() {
            0
        } else {
            self.guesses
        };
        for _ in 0..to_guess {
            let victim = self.latest[self.random.usize(..self.latest.len())];
            if AddressFamily::of(victim) == family {
                let kind = [Type::TimeExceeded, Type::Unreachable][self.random.usize(..2)];
                let victims = Ends {
                    destination: victim,
                    ..ends
                };
                let header = ip::Header {
                    ends: victims,
                    ..header
                };
                let guess = guess(&header, message, &mut self.random);
                let after = Duration::from_micros(self.random.u64(..100_000));
                attack
                    .forged
                    .push((after, error_of(kind, name, ends.source, &guess)));
            }
        }
        attack
    }
}

/// A probe to somebody else as one's own shows it to be, but for its seq, and by TCP and UDP its
/// source port and checksum: eight octets of it.
fn guess(header: &ip::Header, message: &[u8], random: &mut fastrand::Rng) -> Vec<u8> {
    let header_len = ip::header_len(header.ends.family());
    let mut packet = vec![0; header_len + 8];
    let start = &mut packet[header_len..];
    start.copy_from_slice(&message[..8]);
    let (port, seq) = (0x8000 | random.u16(..), random.u32(..).to_be_bytes());
    match header.protocol {
        segments::PROTOCOL => {
            start[..2].copy_from_slice(&port.to_be_bytes());
            start[4..].copy_from_slice(&seq);
        }
        datagrams::PROTOCOL => {
            start[..2].copy_from_slice(&port.to_be_bytes());
            start[6..].copy_from_slice(&seq[..2]);
        }
        _ => start[6..].copy_from_slice(&seq[..2]),
    }
    let header = ip::Header {
        traffic_class: 0,
        ..*header
    };
    header.emit(8, &mut packet).unwrap();
    packet
}

pub(super) fn error(kind: Type, from: IpAddr, packet: &[u8]) -> Vec<u8> {
    let (header, _) = ip::parse(packet).unwrap();
    error_of(kind, from, header.ends.source, packet)
}

fn error_of(kind: Type, from: IpAddr, to: IpAddr, quote: &[u8]) -> Vec<u8> {
    let ends = Ends {
        source: from,
        destination: to,
    };
    let mut message = vec![kind.number(ends.family()).unwrap(), 0, 0, 0, 0, 0, 0, 0];
    message.extend_from_slice(quote);
    wrap(ends, message)
}

/// What a host answers that is there: a SYN/ACK, or what it was sent.
pub(super) fn reply(header: &ip::Header, message: &[u8]) -> Vec<u8> {
    let ends = header.ends.reversed();
    let ports = [&message[2..4], &message[..2]].concat();
    let reply = match header.protocol {
        segments::PROTOCOL => {
            let seq = u32::from_be_bytes(message[4..8].try_into().unwrap());
            let ack = seq.wrapping_add(1).to_be_bytes();
            let rest = [0x50, 0x12, 0xff, 0xff, 0, 0, 0, 0];
            [&ports[..], &[7; 4], &ack, &rest].concat()
        }
        datagrams::PROTOCOL => [&ports[..], &message[4..6], &[0, 0], &message[8..]].concat(),
        _ => {
            let [ident, seq] = [4, 6].map(|at| u16::from_be_bytes([message[at], message[at + 1]]));
            let payload = &message[8..];
            let echo = Message::EchoReply(Echo {
                ident,
                seq,
                payload,
            });
            let mut reply = vec![0; message.len()];
            echo.emit(ends, &mut reply).unwrap();
            reply
        }
    };
    packet(ends, header.protocol, &reply)
}

/// Puts an ICMP message into a packet, with its checksum (RFC 1071; RFC 4443, section 2.3).
fn wrap(ends: Ends, mut message: Vec<u8>) -> Vec<u8> {
    message[2..4].fill(0);
    let octets = |address: IpAddr| match address {
        IpAddr::V4(address) => address.octets().to_vec(),
        IpAddr::V6(address) => address.octets().to_vec(),
    };
    let len = u32::try_from(message.len()).unwrap();
    let pseudo = match ends.family() {
        AddressFamily::V4 => Vec::new(),
        AddressFamily::V6 => [
            octets(ends.source),
            octets(ends.destination),
            len.to_be_bytes().to_vec(),
            vec![0, 0, 0, 58],
        ]
        .concat(),
    };
    let all = [&pseudo[..], &message].concat();
    let mut sum: u32 = all
        .chunks(2)
        .map(|pair| u32::from(pair[0]) << 8 | u32::from(*pair.get(1).unwrap_or(&0)))
        .sum();
    while sum > 0xffff {
        sum = (sum >> 16) + (sum & 0xffff);
    }
    message[2..4].copy_from_slice(&(!sum as u16).to_be_bytes());
    packet(ends, ip::icmp(ends.family()), &message)
}

fn packet(ends: Ends, protocol: u8, message: &[u8]) -> Vec<u8> {
    let header_len = ip::header_len(ends.family());
    let mut packet = vec![0; header_len + message.len()];
    let header = ip::Header {
        ends,
        hop_limit: 60,
        traffic_class: 0,
        protocol,
    };
    header.emit(message.len(), &mut packet).unwrap();
    packet[header_len..].copy_from_slice(message);
    packet
}

/// An order as [`hopshot_engine::Order`] gives, from a seed.
struct Draws {
    rest: std::vec::IntoIter<usize>,
    draws: Vec<usize>,
}

impl Draws {
    fn new(len: usize, random: &mut fastrand::Rng) -> Self {
        let mut draws = random.choose_multiple(0..len, len.min(64 + len / 8));
        random.shuffle(&mut draws);
        let reserved: HashSet<usize> = draws.iter().copied().collect();
        let rest: Vec<usize> = (0..len).filter(|place| !reserved.contains(place)).collect();
        Self {
            rest: rest.into_iter(),
            draws,
        }
    }
}

/// A list, and who is on it.
#[derive(Clone)]
struct List {
    hosts: Vec<IpAddr>,
    hostile: HashSet<IpAddr>,
    silent: HashSet<IpAddr>,
    claim: Option<Claim>,
    guesses: usize,
    /// One for all traces: then the hostile ones know the checksums of the others.
    flow: Option<u16>,
    probes: ProbeProtocol,
    rate: u32,
    at_once: usize,
    failures: Vec<Failure>,
    seed: u64,
}

struct Outcome {
    routes: Vec<Route>,
    /// Hosts that were drawn.
    drawn: HashSet<IpAddr>,
    sent: HashMap<IpAddr, usize>,
    lost: usize,
}

impl List {
    fn run(&self, scenario: &Scenario, kind: SocketKind, attempts: u8) -> Outcome {
        let mut settings = judge::settings(self.probes);
        settings.config.attempts = attempts;
        settings.flow = self.flow;
        let mut machine = Machine::new(scenario, kind, self.seed).speaking(self.probes);
        let world = Rc::new(RefCell::new(World {
            random: fastrand::Rng::with_seed(self.seed),
            claim: self.claim,
            hostile: self.hostile.clone(),
            silent: self.silent.clone(),
            guesses: self.guesses,
            ..World::default()
        }));
        let attacker = Rc::clone(&world);
        machine.attack(move |packet| attacker.borrow_mut().see(packet));
        self.failures
            .iter()
            .for_each(|failure| machine.fail(failure.clone()));
        let mut survey = Survey::start(machine, &settings, self.rate, self.at_once).unwrap();
        let mut order = Draws::new(
            self.hosts.len(),
            &mut fastrand::Rng::with_seed(self.seed ^ 0x5eed),
        );
        let mut outcome = Outcome {
            routes: Vec::new(),
            drawn: HashSet::new(),
            sent: HashMap::new(),
            lost: 0,
        };
        for _ in 0..MOST_STEPS {
            let mut is_over = false;
            while survey.has_room() {
                let drawn = if survey.wants_sample() {
                    order.draws.pop()
                } else {
                    None
                };
                let Some(place) = drawn
                    .or_else(|| order.rest.next())
                    .or_else(|| order.draws.pop())
                else {
                    is_over = true;
                    break;
                };
                let host = self.hosts[place];
                let sample = drawn.is_some().then(|| survey.sample());
                outcome.drawn.extend(drawn.map(|_| host));
                survey
                    .add_found(&host.to_string(), Ok((host, 0).into()), false, sample)
                    .unwrap();
            }
            outcome.routes.extend(std::iter::from_fn(|| survey.take()));
            outcome.lost += std::iter::from_fn(|| survey.take_lost()).count();
            if survey.is_empty() && is_over {
                outcome.sent = std::mem::take(&mut world.borrow_mut().sent);
                return outcome;
            }
            let _: Step = survey.advance_within(None, Duration::from_secs(1)).unwrap();
        }
        panic!("it does not end: {} left", survey.len());
    }
}

/// The host of a number in the scenario `many`: 256 in each /24, 16 in each /48.
fn host(family: AddressFamily, number: usize) -> IpAddr {
    let number = u16::try_from(number).unwrap();
    let [high, low] = number.to_be_bytes();
    match family {
        AddressFamily::V4 => [10, 200, high, low].into(),
        AddressFamily::V6 => [
            0x2001,
            0xdb8,
            0x1000 + number / 16,
            number % 16 * 0x1000,
            0,
            0,
            0,
            0,
        ]
        .into(),
    }
}

/// The scenario, with so many routers that say nothing.
fn many(silent: &[u8]) -> Scenario {
    let mut many = Scenario::named("many").unwrap();
    (many.target.v6, many.target.shift_v6) = ("2001:db8:1000::".parse().unwrap(), 76);
    many.hop = silent
        .iter()
        .map(|at| Hop {
            at: Places::One(*at),
            silent: true,
            ..Hop::default()
        })
        .collect();
    many
}

/// Hosts of the families in turn, of which one in twenty is hostile.
fn hosts(families: &[AddressFamily], count: usize, place: Place) -> (Vec<IpAddr>, HashSet<IpAddr>) {
    let hosts: Vec<IpAddr> = (0..count)
        .map(|number| host(families[number % families.len()], number))
        .collect();
    let bad = count / 20;
    let is_hostile = |number: &usize| match place {
        Place::First => *number < bad,
        Place::Last => *number >= count - bad,
        Place::Among(step) => number.is_multiple_of(step) && number / step < bad,
    };
    let hostile = (0..count)
        .filter(is_hostile)
        .map(|number| hosts[number])
        .collect();
    (hosts, hostile)
}

/// Who stands in a route where nobody of that name is.
fn wrong(route: &Route, scenario: &Scenario) -> Option<(u8, IpAddr)> {
    let truth = Machine::new(scenario, SocketKind::Raw, 0)
        .internet()
        .truth(AddressFamily::of(route.summary().target));
    let shared = route
        .shared()
        .filter_map(|shared| Some((shared.hop, shared.from?)));
    let named: Vec<(u8, IpAddr)> = shared.chain(strong(route)).collect();
    named.into_iter().find(|(hop, from)| {
        *from != route.summary().target && !truth.at(*hop).contains(&Some(*from))
    })
}

/// How many of the hosts that are neither hostile nor drawn share, and how many there are.
fn sharing(outcome: &Outcome, list: &List) -> (usize, usize) {
    let is_spared = |route: &&Route| {
        !outcome.drawn.contains(&route.summary().target)
            && !list.hostile.contains(&route.summary().target)
    };
    let spared = outcome.routes.iter().filter(is_spared);
    (
        spared
            .clone()
            .filter(|route| route.shared().next().is_some())
            .count(),
        spared.count(),
    )
}

#[test]
fn one_host_in_twenty_names_nobody_in_the_results_of_others_nor_stops_their_sharing_whatever_all_claim()
 {
    let mut guessed = 0;
    let is_forger = |address| FAMILIES.into_iter().any(|family| forger(family) == address);
    for seed in 0..80 {
        let mut random = fastrand::Rng::with_seed(seed);
        let families = [&FAMILIES[..1], &FAMILIES[1..], &FAMILIES[..]][random.usize(..3)];
        let place = PLACES[random.usize(..3)];
        let count = random.usize(500..1500);
        let (hosts, hostile) = hosts(families, count, place);
        let silent_hops = [&[][..], &[3], &[1], &[2, 3, 7]][random.usize(..4)];
        let scenario = many(silent_hops);
        let silent = hosts
            .iter()
            .copied()
            .filter(|host| !hostile.contains(host) && random.u8(..100) < 30)
            .collect();
        let claim = Some(CLAIMS[random.usize(..CLAIMS.len())]);
        let (rate, at_once) = (random.u32(500..5_000), random.usize(16..300));
        let mut failures = Vec::new();
        if random.bool() {
            // Not before anybody was heard: that nobody answers would be what is known of the
            // network.
            let begin = Duration::from_millis(random.u64(300..2_000));
            let what = [
                Failing::Route,
                Failing::Firewall,
                Failing::Probes,
                Failing::Answers,
            ][random.usize(..4)];
            failures.push(Failure {
                span: begin..begin + Duration::from_millis(random.u64(10..5_000)),
                what,
            });
        }
        let (guesses, flow) = (
            [0, 100][random.usize(..2)],
            [None, Some(0x1234)][random.usize(..2)],
        );
        let by_port = [
            tcp(443),
            tcp(81),
            udp(33_434, UdpPayload::Plain),
            udp(7, UdpPayload::Plain),
        ];
        let probes = by_port.get(random.usize(..8)).copied().unwrap_or_default();
        // A source port that was given is for one host.
        let flow = flow.filter(|_| probes == ProbeProtocol::Icmp);
        let list = List {
            hosts,
            hostile,
            silent,
            claim,
            guesses,
            flow,
            probes,
            rate,
            at_once,
            failures,
            seed,
        };
        let kind = match probes {
            ProbeProtocol::Icmp => KINDS[random.usize(..2)],
            _ => SocketKind::Raw,
        };
        let outcome = list.run(&scenario, kind, random.u8(1..3));
        let told = format!(
            "seed {seed}: {kind:?} {probes:?} {claim:?} flow {flow:?} {place:?} {families:?} silent {silent_hops:?}"
        );
        assert_eq!(outcome.routes.len() + outcome.lost, count, "{told}");
        for route in outcome
            .routes
            .iter()
            .filter(|route| !list.hostile.contains(&route.summary().target))
        {
            assert_eq!(
                wrong(route, &scenario),
                None,
                "{told}: {}",
                route.summary().host
            );
            guessed += route
                .hops()
                .flat_map(|hop| hop.replies())
                .filter(|reply| is_forger(reply.from))
                .count();
            // A short outage may not be noticed.
            let may_be_missed =
                list.silent.contains(&route.summary().target) || !list.failures.is_empty();
            assert!(
                may_be_missed || route.distance() == Some(DISTANCE),
                "{told}: {}",
                route.summary().host
            );
        }
        let (sharing, all) = sharing(&outcome, &list);
        // After an outage all are due at once, and many have begun before the first of them votes.
        let percent = if list.failures.is_empty() { 60 } else { 40 };
        assert!(sharing * 100 >= all * percent, "{told}: {sharing} of {all}");
    }
    // Some guesses are right, and stand where nobody answers.
    assert!(guessed > 100, "{guessed}");
}

/// A list of both families that is like any other.
fn mixed(seed: u64, place: Place) -> List {
    let (hosts, hostile) = hosts(&FAMILIES, 2_000, place);
    let (silent, failures) = (HashSet::new(), Vec::new());
    List {
        hosts,
        hostile,
        silent,
        claim: None,
        guesses: 0,
        flow: None,
        probes: ProbeProtocol::Icmp,
        rate: 3_000,
        at_once: 100,
        failures,
        seed,
    }
}

#[test]
fn one_host_in_twenty_of_either_family_costs_the_others_few_probes() {
    let sent = |list: &List| {
        let outcome = list.run(&many(&[]), SocketKind::Raw, 1);
        let honest = list
            .hosts
            .iter()
            .filter(|host| !list.hostile.contains(host));
        honest.map(|host| outcome.sent[host]).sum::<usize>()
    };
    for claim in [Claim::Router(1), Claim::Routers] {
        let lists = (0..6).map(|seed| mixed(seed, [Place::First, Place::Last][seed as usize % 2]));
        let claimed = |list: List| {
            sent(&List {
                claim: Some(claim),
                ..list
            })
        };
        let [honest, hostile] = [
            lists.clone().map(|list| sent(&list)).sum::<usize>(),
            lists.map(claimed).sum(),
        ];
        // The draws that make it clear are more than half of that.
        assert!(
            hostile * 5 <= honest * 6,
            "{claim:?}: {hostile} in place of {honest}"
        );
    }
}

#[test]
fn after_an_outage_both_families_share_as_soon_as_without() {
    for seed in 0..6 {
        let end = Duration::from_secs(4);
        let failures = vec![Failure {
            span: Duration::from_millis(50)..end,
            what: Failing::Route,
        }];
        let list = List {
            failures,
            hostile: HashSet::new(),
            ..mixed(seed, Place::First)
        };
        let outcome = list.run(&many(&[]), SocketKind::Raw, 1);
        for family in FAMILIES {
            let others = list
                .hosts
                .iter()
                .copied()
                .filter(|host| AddressFamily::of(*host) != family)
                .collect();
            let (sharing, all) = sharing(
                &outcome,
                &List {
                    hostile: others,
                    ..list.clone()
                },
            );
            assert!(
                sharing * 100 >= all * 80,
                "seed {seed}: {family:?} {sharing} of {all}"
            );
        }
    }
}
