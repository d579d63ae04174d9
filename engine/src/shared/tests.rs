//! What is learnt from votes: of paths as they are, of hostile hosts in any order, and of changes.

use super::ballot::Who::{self, Nobody, Router, Several};
use super::votes::WINDOW;
use super::*;
use crate::Order;
use hopshot_core::{Action, Answer, Back, Config, Echo, Instant, Quoted, Tracer};
use std::net::Ipv6Addr;

/// Who answers at hop `hop` in either family.
fn router(is_ipv4: bool, hop: u8) -> IpAddr {
    match is_ipv4 {
        true => [10, hop, 0, 1].into(),
        false => Ipv6Addr::new(0x2001, 0xdb8, hop.into(), 0, 0, 0, 0, 1).into(),
    }
}

/// A host: there are 16 in each /24 or /48.
fn host(is_ipv4: bool, number: u16) -> IpAddr {
    let [high, low] = (number * 16).to_be_bytes();
    match is_ipv4 {
        true => [10, 100 + (number >> 12) as u8, high, low].into(),
        false => Ipv6Addr::new(0x2001, 0xdb8, 0x1000 + number / 16, number % 16, 0, 0, 0, 1).into(),
    }
}

/// Hops 1 to 5 with a router each.
fn path(is_ipv4: bool) -> Vec<Who> {
    (1..=5).map(|hop| Router(router(is_ipv4, hop))).collect()
}

fn with(mut path: Vec<Who>, hop: usize, who: Who) -> Vec<Who> {
    path[hop - 1] = who;
    path
}

fn vote(shared: &mut SharedHops, target: IpAddr, hops: Vec<Who>) {
    let sample = shared.sample();
    shared.cast(
        sample,
        Ballot {
            network: network(target),
            distance: None,
            hops,
        },
    );
}

/// What was learnt from IPv4 hosts of ever other networks.
fn taught(paths: &[Vec<Who>]) -> SharedHops {
    let mut shared = SharedHops::default();
    (0..)
        .step_by(16)
        .zip(paths)
        .for_each(|(number, path)| vote(&mut shared, host(true, number), path.clone()));
    shared
}

fn head(shared: &SharedHops) -> Option<Head> {
    shared.head(host(true, 0), None, 32)
}

fn first_hop(shared: &SharedHops) -> Option<u8> {
    head(shared).map(|head| head.first_hop())
}

fn names(shared: &SharedHops) -> Vec<Option<IpAddr>> {
    head(shared).map_or(Vec::new(), |head| {
        head.spared.iter().map(|shared| shared.from).collect()
    })
}

#[test]
fn sixteen_drawn_hosts_must_agree() {
    let paths = vec![path(true); 16];
    assert_eq!(first_hop(&taught(&paths[..15])), None);
    let shared = taught(&paths);
    assert_eq!(first_hop(&shared), Some(5));
    let spared = head(&shared).unwrap().spared;
    assert!(
        spared
            .iter()
            .all(|shared| (shared.seen, shared.of) == (16, 16)),
        "{spared:?}"
    );
    assert_eq!(
        names(&shared),
        (1..=4)
            .map(|hop| Some(router(true, hop)))
            .collect::<Vec<_>>()
    );
    assert!(
        shared.head(host(false, 0), None, 32).is_none(),
        "the other family's paths are others"
    );
}

#[test]
fn draws_are_wanted_until_something_is_known_and_then_for_one_host_in_sixteen() {
    let mut shared = SharedHops::default();
    let draws = |shared: &mut SharedHops, hosts: usize| -> Vec<Sample> {
        let draw = |_| {
            let wanted = shared.wants_sample();
            if !wanted {
                shared.pass();
            }
            wanted.then(|| shared.sample())
        };
        (0..hosts).filter_map(draw).collect()
    };
    let first = draws(&mut shared, 100);
    assert_eq!(first.len(), WINDOW + 2);
    for (number, sample) in (0..).step_by(16).zip(first) {
        shared.cast(
            sample,
            Ballot {
                distance: None,
                network: network(host(true, number)),
                hops: path(true),
            },
        );
    }
    assert_eq!(draws(&mut shared, 17 * 10).len(), 10);
    // Where traces don't meet what is known, one for each that misses.
    (0..100).for_each(|_| shared.met(true));
    (0..CHANGED - 1).for_each(|_| shared.met(false));
    let wanted = |shared: &mut SharedHops| {
        std::iter::from_fn(|| shared.wants_sample().then(|| shared.sample())).count()
    };
    assert_eq!(wanted(&mut shared), 0);
    (0..5).for_each(|_| shared.met(false));
    assert_eq!(wanted(&mut shared), 5);
}

#[test]
fn one_network_alone_names_nobody_but_spares_probes_all_the_same() {
    for (networks, named) in [(1, false), (3, false), (4, true)] {
        let mut shared = SharedHops::default();
        (0..64)
            .for_each(|number| vote(&mut shared, host(true, number % networks * 16), path(true)));
        assert_eq!(first_hop(&shared), Some(5));
        let spared = head(&shared).unwrap().spared;
        assert!(
            spared
                .iter()
                .all(|shared| shared.from.is_some() == named && (shared.seen > 0) == named),
            "{spared:?}"
        );
    }
}

#[test]
fn twelve_of_sixty_four_decide_nothing_and_with_thirteen_the_paths_part() {
    for odd in [Router(router(true, 99)), Several] {
        let other = with(path(true), 3, odd);
        let votes = |others: usize| {
            taught(&[vec![path(true); 64 - others], vec![other.clone(); others]].concat())
        };
        for others in [9, 12] {
            assert_eq!(
                (first_hop(&votes(others)), names(&votes(others))[2]),
                (Some(5), Some(router(true, 3)))
            );
        }
        assert_eq!(first_hop(&votes(13)), Some(2));
        // Where a router mostly says nothing it takes sixteen.
        let silent = with(path(true), 3, Nobody);
        let votes = |others: usize| {
            taught(
                &[
                    vec![silent.clone(); 64 - others],
                    vec![other.clone(); others],
                ]
                .concat(),
            )
        };
        assert_eq!(
            (first_hop(&votes(15)), names(&votes(15))[2]),
            (Some(5), None)
        );
    }
    // Few votes must be of one mind, or a balancer's that happen to differ little would do.
    let few = |others: usize| {
        taught(
            &[
                vec![path(true); 16 - others],
                vec![with(path(true), 3, Several); others],
            ]
            .concat(),
        )
    };
    assert_eq!(
        [0, 1, 2, 3, 8].map(|others| first_hop(&few(others))),
        [Some(5), Some(5), Some(2), Some(2), Some(2)]
    );
    // Of a balancer no branch is taken for all, however many there are.
    for branches in [2, 3, 8, 64] {
        let branch = |number: u8| with(path(true), 3, Router([10, 3, number % branches, 1].into()));
        for votes in [16, 24, 64] {
            assert_eq!(
                first_hop(&taught(&(0..votes).map(branch).collect::<Vec<_>>())),
                Some(2),
                "{branches} {votes}"
            );
        }
    }
}

#[test]
fn a_router_that_answers_rarely_loses_its_name_and_no_trace_begins_there() {
    let votes = |hop: usize, answers: usize| {
        let silent = with(path(true), hop, Nobody);
        taught(&[vec![path(true); answers], vec![silent; 64 - answers]].concat())
    };
    assert_eq!(
        (names(&votes(2, 16))[1], names(&votes(2, 15))[1]),
        (Some(router(true, 2)), None)
    );
    assert_eq!(
        (first_hop(&votes(5, 33)), first_hop(&votes(5, 32))),
        (Some(5), Some(4))
    );
    // A trace can't begin where nobody answers, but those behind are known.
    assert_eq!(
        (first_hop(&votes(4, 0)), names(&votes(4, 0))[3]),
        (Some(5), None)
    );
}

#[test]
fn a_router_that_answers_seldom_keeps_its_name_unless_half_as_many_less_six_name_others() {
    let votes = |seen: usize, others: &[Who]| {
        let silent = vec![with(path(true), 2, Nobody); 64 - seen - others.len()];
        let others = others.iter().map(|who| with(path(true), 2, *who));
        names(&taught(
            &[silent, others.collect(), vec![path(true); seen]].concat(),
        ))[1]
    };
    let named = Some(router(true, 2));
    for (seen, most) in [(16, 2), (20, 4), (24, 6), (30, 7)] {
        for (number, odd) in [Router(router(true, 66)), Several]
            .into_iter()
            .cycle()
            .enumerate()
            .take(2 * most)
        {
            assert_eq!(
                votes(seen, &vec![odd; number / 2 + 1]),
                named,
                "{seen}, {number} {odd:?}"
            );
        }
    }
    let others = |count: usize| vec![Router(router(true, 66)); count];
    assert_eq!(
        [votes(15, &[]), votes(16, &others(3)), votes(20, &others(5))],
        [None; 3]
    );
}

#[test]
fn neither_of_two_routers_that_balance_the_load_has_a_name_however_seldom_they_answer() {
    let mut random = fastrand::Rng::with_seed(14);
    for answers in [20, 40, 60, 100] {
        let mut named = 0;
        for _ in 0..400 {
            let vote = |_| match random.u8(..100) < answers {
                true => Router([10, 2, random.u8(..2), 1].into()),
                false => Nobody,
            };
            let paths: Vec<_> = (0..64)
                .map(vote)
                .map(|who| with(path(true), 2, who))
                .collect();
            named += usize::from(names(&taught(&paths)).get(1).is_some_and(Option::is_some));
        }
        // One in a thousand.
        assert!(named < 5, "{named} of 400, where {answers} % answer");
    }
}

/// The whole trace of a host six hops away; what comes beside the truth is said of the probe to a
/// hop, and can't prove that it has seen it.
fn traced(silent: &[u8], beside: &[(u8, Kind)]) -> Vec<Who> {
    let target = host(true, 0);
    let config = Config {
        max_hops: 12,
        retries: 0,
        ..Config::new(target)
    };
    let echo = Echo::new(0x1234_5678_u128.to_be_bytes());
    let mut tracer = Tracer::<32>::new(config, echo).unwrap();
    let (mut now, mut buf) = (Instant::EPOCH, [0; 128]);
    loop {
        let at = match tracer.poll(now, &mut buf).unwrap() {
            Action::Transmit(transmit) => transmit.probe.hop,
            Action::Wait(until) => {
                now = until;
                continue;
            }
            Action::Done => break,
        };
        let probe = buf[..echo.message_len()].to_vec();
        let mut hear = |from: IpAddr, kind: Kind, quoted: &[u8]| {
            let (destination, header, protocol, message) = (None, None, 1, quoted);
            let (icmp, back) = match kind {
                Kind::Reply => ((0, 0), Back::Reply { protocol, message }),
                Kind::Unreachable => (
                    (3, 0),
                    Back::Quoted(Quoted {
                        destination,
                        header,
                        protocol,
                        message,
                    }),
                ),
                Kind::TimeExceeded => (
                    (11, 0),
                    Back::Quoted(Quoted {
                        destination,
                        header,
                        protocol,
                        message,
                    }),
                ),
            };
            let (hop_limit, mtu, extensions) = (None, None, Default::default());
            let _ = tracer.accept(
                now,
                &Answer {
                    from,
                    hop_limit,
                    kind,
                    icmp,
                    mtu,
                    back,
                    extensions,
                },
            );
        };
        for (_, kind) in beside.iter().filter(|(hop, _)| *hop == at) {
            hear(router(true, 66), *kind, &probe[..8]);
        }
        match at {
            6.. => {
                let mut reply = probe.clone();
                // An Echo Reply (RFC 792): type 0 for 8, and what that does to the checksum.
                let (sum, carry) = u16::from_be_bytes([reply[2], reply[3]]).overflowing_add(0x0800);
                reply[0] = 0;
                reply[2..4].copy_from_slice(&(sum + u16::from(carry)).to_be_bytes());
                hear(target, Kind::Reply, &reply);
            }
            hop if silent.contains(&hop) => {}
            hop => hear(router(true, hop), Kind::TimeExceeded, &probe),
        }
    }
    Ballot::new(network(target), tracer.route().hops()).hops
}

#[test]
fn an_answer_that_proves_nothing_is_no_vote_and_cuts_none() {
    for silent in [&[][..], &[3], &[1, 2, 4], &[5], &[1, 2, 3, 4, 5]] {
        let honest: Vec<Who> = (1..6)
            .map(|hop| {
                if silent.contains(&hop) {
                    Nobody
                } else {
                    Router(router(true, hop))
                }
            })
            .collect();
        assert_eq!(traced(silent, &[]), honest);
        for kind in [Kind::TimeExceeded, Kind::Unreachable] {
            for hop in 1..=12 {
                assert_eq!(
                    traced(silent, &[(hop, kind)]),
                    honest,
                    "{kind:?} at hop {hop}, silent {silent:?}"
                );
            }
            let all: Vec<_> = (1..=12).map(|hop| (hop, kind)).collect();
            assert_eq!(
                traced(silent, &all),
                honest,
                "{kind:?} at all hops, silent {silent:?}"
            );
        }
    }
}

#[test]
fn a_host_among_the_shared_routers_is_traced_whole_and_so_is_all_within_one_hop() {
    let shared = taught_distances(&[Some(5); 64]);
    let is_spared = |distance, max_hops| shared.head(host(true, 0), distance, max_hops).is_some();
    assert!(!is_spared(Some(5), 32) && !is_spared(None, 5));
    assert!(is_spared(Some(6), 32) && is_spared(None, 6));
    assert!(head(&taught(&vec![path(true)[..1].to_vec(); 16])).is_none());
}

#[test]
fn votes_count_in_the_order_of_the_draws_whenever_they_come() {
    let (mut shared, mut late) = (SharedHops::default(), Vec::new());
    let usurped = with(path(true), 3, Router(router(true, 66)));
    let honest = with(path(true), 3, Nobody);
    // One in ten lets its trace last until all of them can end at once.
    for number in 0..400 {
        let sample = shared.sample();
        match number % 10 {
            0 => late.push((number, sample)),
            _ => {
                let network = network(host(true, number));
                shared.cast(
                    sample,
                    Ballot {
                        network,
                        distance: None,
                        hops: honest.clone(),
                    },
                );
            }
        }
    }
    for (number, sample) in late {
        shared.cast(
            sample,
            Ballot {
                distance: None,
                network: network(host(true, number)),
                hops: usurped.clone(),
            },
        );
        assert_eq!((first_hop(&shared), names(&shared)[2]), (Some(5), None));
    }
}

#[test]
fn draws_that_never_vote_hold_nothing_up_and_take_no_memory() {
    let (mut shared, mut kept) = (SharedHops::default(), Vec::new());
    let moved = with(path(true), 5, Router(router(true, 55)));
    for number in 0..1280 {
        let hops = if number < 640 {
            path(true)
        } else {
            moved.clone()
        };
        match number % 8 {
            // Given up, as where a name has no address.
            0 => drop(shared.sample()),
            1 => kept.push(shared.sample()),
            _ => vote(&mut shared, host(true, number), hops),
        }
    }
    assert_eq!(head(&shared).unwrap().router, router(true, 55));
    let mut shared = SharedHops::default();
    while shared.votes.has_room() {
        kept.push(shared.sample());
    }
    assert!(kept.len() < 10_000 && !shared.wants_sample());
}

#[test]
fn a_change_is_shared_no_more_after_thirteen_draws_and_known_after_some_fifty() {
    let mut shared = taught(&vec![path(true); 200]);
    let moved = with(path(true), 5, Router(router(true, 55)));
    let begins: Vec<Option<u8>> = (0..64)
        .map(|number| {
            vote(&mut shared, host(true, number * 16), moved.clone());
            first_hop(&shared)
        })
        .collect();
    assert_eq!(begins.iter().position(|first| *first == Some(4)), Some(12));
    assert_eq!(
        (begins.last(), head(&shared).unwrap().router),
        (Some(&Some(5)), router(true, 55))
    );
}

/// How the hostile ones of a list stand in it.
fn orders(random: &mut fastrand::Rng, hosts: usize, hostile: usize) -> [Vec<bool>; 4] {
    let first: Vec<bool> = (0..hosts).map(|place| place < hostile).collect();
    let last = first.iter().rev().copied().collect();
    // Every second one of the last, when few are left to be drawn.
    let among_the_last = (0..hosts)
        .map(|place| (hosts - place) % 2 == 1 && hosts - place < 2 * hostile)
        .collect();
    let mut anywhere = first.clone();
    random.shuffle(&mut anywhere);
    [first, last, among_the_last, anywhere]
}

#[test]
fn five_hostile_hosts_of_a_hundred_neither_name_a_router_nor_stop_the_learning_in_whatever_order() {
    let mut random = fastrand::Rng::with_seed(14);
    for (hosts, hostile, is_ipv4) in [
        (301, 15, true),
        (301, 15, false),
        (4001, 200, true),
        (20_000, 1000, false),
    ] {
        for order in orders(&mut random, hosts, hostile) {
            // They name a silent router, rename one, or claim to be as far as nobody else.
            let forged = Router(router(is_ipv4, 66));
            let claims = [
                with(path(is_ipv4), 3, forged),
                with(path(is_ipv4), 4, forged),
                [vec![forged; 30]].concat(),
            ];
            let honest = with(path(is_ipv4), 3, Nobody);
            for claim in claims {
                let mut list = Order::by(hosts, std::iter::repeat_with(|| random.u64(..)));
                let (mut shared, mut known) = (SharedHops::default(), 0);
                loop {
                    let drawn = if shared.wants_sample() {
                        list.draw()
                    } else {
                        None
                    };
                    let Some(place) = drawn.or_else(|| list.next()) else {
                        break;
                    };
                    let target = host(is_ipv4, place as u16 % 4096);
                    if drawn.is_some() {
                        vote(
                            &mut shared,
                            target,
                            if order[place] {
                                claim.clone()
                            } else {
                                honest.clone()
                            },
                        );
                        continue;
                    }
                    shared.pass();
                    let Some(head) = shared.head(target, None, 32) else {
                        continue;
                    };
                    let spared = head
                        .spared
                        .iter()
                        .map(|shared| shared.from)
                        .chain([Some(head.router)]);
                    assert!(
                        spared.clone().all(|from| from != Some(router(is_ipv4, 66))),
                        "{head:?}"
                    );
                    // Of the first few votes one may shorten what is shared, for a while.
                    known += usize::from(spared.count() == 5);
                }
                assert!(known > hosts / 2, "{known} of {hosts}");
            }
        }
    }
}

/// The lessons of hosts that answered at these distances, or not at all.
fn taught_distances(distances: &[Option<u8>]) -> SharedHops {
    let mut shared = taught(&[]);
    for (number, distance) in (0..).zip(distances) {
        let sample = shared.sample();
        // Ever other networks, and both families.
        let network = network(host(number % 3 > 0, number * 16));
        shared.cast(
            sample,
            Ballot {
                network,
                distance: *distance,
                hops: path(true),
            },
        );
    }
    shared
}

#[test]
fn no_sweep_to_a_neighbour_goes_farther_than_the_drawn_hosts_are() {
    assert_eq!(taught_distances(&[]).sweep_limit(), None);
    let list = |far: usize, near: usize, silent: usize| {
        let distances = [
            vec![Some(32); far],
            vec![Some(12); near],
            vec![None; silent],
        ]
        .concat();
        taught_distances(&distances).sweep_limit()
    };
    assert_eq!((list(15, 49, 0), list(16, 48, 0)), (Some(12), Some(32)));
    // Who doesn't answer is behind the last router that does, which is at hop 5.
    assert_eq!(
        (list(4, 12, 48), list(15, 1, 48), list(16, 0, 48)),
        (Some(12), Some(12), Some(32))
    );
    // Of few the larger part, and of very few none.
    assert_eq!(
        (list(9, 9, 0), list(10, 8, 0), list(15, 0, 0)),
        (Some(12), Some(32), None)
    );
    // All that are really so far may be swept at once.
    let spread: Vec<_> = (1..=64).map(Some).collect();
    assert_eq!(taught_distances(&spread).sweep_limit(), Some(49));
}

#[test]
fn a_distance_that_few_have_keeps_no_trace_from_sharing() {
    let is_spared = |near: usize, silent: usize| {
        let distances = [
            vec![Some(2); near],
            vec![None; silent],
            vec![Some(12); 64 - near - silent],
        ]
        .concat();
        taught_distances(&distances)
            .head(host(true, 0), Some(2), 32)
            .is_some()
    };
    assert_eq!(
        (is_spared(0, 0), is_spared(15, 0), is_spared(16, 0)),
        (true, true, false)
    );
    // Also where hardly anybody answers, so that they are most of those that do.
    assert_eq!(
        (is_spared(3, 61), is_spared(15, 49), is_spared(16, 48)),
        (true, true, false)
    );
    assert_eq!((is_spared(3, 58), is_spared(7, 50)), (true, true));
}

#[test]
fn five_hostile_hosts_of_a_hundred_are_believed_no_distance_however_few_others_answer() {
    let mut random = fastrand::Rng::with_seed(14);
    for (claim, answers) in [(2, 0), (2, 5), (2, 100), (32, 0), (32, 5), (32, 100)] {
        for is_ipv4 in [true, false] {
            let hosts = 4001;
            for order in orders(&mut random, hosts, hosts / 20) {
                let mut list = Order::by(hosts, std::iter::repeat_with(|| random.u64(..)));
                let (mut shared, mut misled, mut slow) = (SharedHops::default(), 0, Vec::new());
                loop {
                    let drawn = if shared.wants_sample() {
                        list.draw()
                    } else {
                        None
                    };
                    let Some(place) = drawn.or_else(|| list.next()) else {
                        break;
                    };
                    let target = host(is_ipv4, place as u16 % 4096);
                    if drawn.is_some() {
                        let distance = match order[place] {
                            true => Some(claim),
                            false => (random.usize(..100) < answers).then_some(12),
                        };
                        let hops = if distance == Some(2) {
                            path(is_ipv4)[..1].to_vec()
                        } else {
                            path(is_ipv4)
                        };
                        let vote = (
                            shared.sample(),
                            Ballot {
                                network: network(target),
                                distance,
                                hops,
                            },
                        );
                        match distance {
                            Some(_) => shared.cast(vote.0, vote.1),
                            // Who doesn't answer is waited for.
                            None => slow.push(vote),
                        }
                        if slow.len() > 60 {
                            let (sample, ballot) = slow.remove(0);
                            shared.cast(sample, ballot);
                        }
                        continue;
                    }
                    shared.pass();
                    // All its neighbours that were reached are hostile.
                    let is_misled = match claim {
                        2 => {
                            shared.head(target, None, 32).is_some()
                                && shared.head(target, Some(claim), 32).is_none()
                        }
                        _ => shared.sweep_limit().is_some_and(|limit| limit > 12),
                    };
                    misled += usize::from(is_misled);
                }
                assert_eq!(
                    misled, 0,
                    "of {hosts} believe {claim}, where {answers} % answer"
                );
            }
        }
    }
}
