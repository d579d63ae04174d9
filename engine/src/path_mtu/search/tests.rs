use super::*;
use std::net::Ipv4Addr;

const ROUTER: IpAddr = IpAddr::V4(Ipv4Addr::new(192, 0, 2, 1));

/// Each link of a path by the hop that it leads to, its MTU, and what is said where it is too
/// small.
type Links = [(u8, u16, Says)];

#[derive(Clone, Copy)]
enum Says {
    Mtu(u16),
    /// Something else each time, made of the size of the packet.
    Made(fn(u16) -> u16),
    Nothing,
}

/// Searches a path of 12 hops, and returns the search with all its rounds.
fn searched(family: AddressFamily, links: &Links) -> (Search, Vec<Round>) {
    let mut search = Search::new(family, 32);
    let mut rounds = vec![search.begin(1500, 1)];
    while let Some(next) = {
        let round = rounds.last().unwrap();
        search.next(
            *round,
            sent(round.size, round.hops, links),
            beside(round, links),
        )
    } {
        rounds.push(next);
        assert!(rounds.len() < 100, "it never ends");
    }
    (search, rounds)
}

/// What the trace beside a round shows.
fn beside(round: &Round, links: &Links) -> Findings {
    round
        .beside
        .map_or_else(Findings::default, |(size, hops)| sent(size, hops, links))
}

fn sent(size: u16, (first, last): (u8, u8), links: &Links) -> Findings {
    let stuck = links
        .iter()
        .find(|(hop, mtu, _)| *mtu < size && *hop <= last.min(12));
    let too_big = |hop: u8, mtu| {
        let by = Ipv4Addr::new(192, 0, 2, hop).into();
        Some(TooBig {
            hop: first.max(hop),
            by,
            mtu,
        })
    };
    match stuck {
        None => Findings {
            passed: last.min(12),
            reached: last >= 12,
            ..Findings::default()
        },
        Some((hop, _, says)) => Findings {
            passed: if *hop > first { hop - 1 } else { 0 },
            too_big: match says {
                Says::Mtu(mtu) => too_big(*hop, *mtu),
                Says::Made(make) => too_big(*hop, make(size)),
                Says::Nothing => None,
            },
            ..Findings::default()
        },
    }
}

fn told(hop: u8, mtu: u16, less_than: Option<u16>) -> Limit {
    Limit {
        hop,
        mtu,
        less_than,
        from: Some(Ipv4Addr::new(192, 0, 2, hop).into()),
    }
}

fn sizes(rounds: &[Round]) -> Vec<(u16, u8)> {
    rounds
        .iter()
        .map(|round| (round.size, round.hops.0))
        .collect()
}

#[test]
fn every_small_link_costs_one_round_more() {
    let links = [(5, 1400, Says::Mtu(1400)), (9, 1280, Says::Mtu(1280))];
    let (search, rounds) = searched(AddressFamily::V4, &links);
    assert_eq!(sizes(&rounds), [(1500, 1), (1400, 5), (1280, 9)]);
    assert_eq!(search.path_mtu(), Some(1280));
    assert_eq!(search.limits(), [told(5, 1400, None), told(9, 1280, None)]);
}

#[test]
fn who_names_no_mtu_or_an_impossible_one_is_believed_that_it_was_too_big() {
    for said in [0, 40, 1500, 9000, u16::MAX] {
        let (search, rounds) = searched(AddressFamily::V4, &[(4, 1410, Says::Mtu(said))]);
        let descent = [
            (1500, 1),
            (1492, 4),
            (1480, 4),
            (1460, 4),
            (1420, 4),
            (1400, 4),
        ];
        assert_eq!(sizes(&rounds), descent, "{said}");
        let limit = [told(4, 1400, Some(1420))];
        assert_eq!(
            (search.limits(), search.path_mtu()),
            (&limit[..], Some(1400)),
            "{said}"
        );
    }
}

#[test]
fn no_router_makes_packets_smaller_than_every_link_must_carry() {
    for (family, least) in [(AddressFamily::V4, 68), (AddressFamily::V6, 1280)] {
        for said in [0, 1, 67, 1279] {
            let (search, rounds) = searched(family, &[(4, 10, Says::Mtu(said))]);
            assert!(rounds.iter().all(|round| round.size >= least), "{rounds:?}");
            assert_eq!(search.path_mtu(), None);
        }
    }
}

#[test]
fn a_router_that_names_one_octet_less_each_time_is_left_for_usual_sizes() {
    for family in [AddressFamily::V4, AddressFamily::V6] {
        let (search, rounds) = searched(family, &[(4, 1410, Says::Made(|size| size - 1))]);
        let descent = [1500, 1499, 1498, 1497, 1492, 1480, 1460, 1420, 1400];
        assert_eq!(
            rounds.iter().map(|round| round.size).collect::<Vec<_>>(),
            descent
        );
        assert_eq!(
            (search.limits(), search.path_mtu()),
            (&[told(4, 1400, Some(1420))][..], Some(1400))
        );
    }
}

#[test]
fn no_lie_makes_the_path_mtu_smaller_than_what_passes_or_the_search_long() {
    let lies: [fn(u16) -> u16; 8] = [
        |_| 68,
        |_| 1280,
        |_| 0,
        |size| size + 1,
        |size| size - 1,
        |size| size - 20,
        |size| 1280 + size.wrapping_mul(40_503) % 220,
        |size| 68 + size.wrapping_mul(40_503) % 1400,
    ];
    for family in [AddressFamily::V4, AddressFamily::V6] {
        for (lie, other) in lies
            .iter()
            .flat_map(|lie| lies.iter().map(move |other| (*lie, *other)))
        {
            for (near, far) in [
                (1500, 1410),
                (1430, 1300),
                (1450, 1280),
                (1410, 1410),
                (1400, 1280),
            ] {
                let links = [(4, near, Says::Made(lie)), (6, far, Says::Made(other))];
                let (search, rounds) = searched(family, &links);
                let (mtu, limits) = (search.path_mtu().unwrap_or(0), search.limits());
                assert!(rounds.len() <= 40, "{}: {rounds:?}", rounds.len());
                // No larger than what passes, and no smaller than the next usual size.
                let usual = USUAL
                    .into_iter()
                    .find(|usual| *usual <= far.min(near))
                    .unwrap();
                assert!(
                    (usual..=far.min(near)).contains(&mtu),
                    "{mtu} {limits:?} {rounds:?}"
                );
                for limit in limits {
                    let true_mtu = if limit.hop == 4 { near } else { far };
                    let is_true = limit
                        .less_than
                        .map_or(limit.mtu == true_mtu, |less| less > true_mtu);
                    assert!(is_true && limit.mtu <= true_mtu, "{limit:?} {rounds:?}");
                }
            }
        }
    }
}

#[test]
fn a_router_that_names_too_little_costs_a_few_rounds() {
    let (search, rounds) = searched(AddressFamily::V4, &[(5, 1000, Says::Mtu(68))]);
    assert_eq!(rounds[1].beside, Some((69, (5, 7))));
    assert!(rounds.len() <= 9, "{rounds:?}");
    assert_eq!(
        (search.limits(), search.path_mtu()),
        (&[told(5, 576, Some(1006))][..], Some(576))
    );
    // Two of them, one inside the other.
    let (search, rounds) = searched(
        AddressFamily::V6,
        &[(5, 1400, Says::Mtu(1280)), (6, 1300, Says::Mtu(1299))],
    );
    assert_eq!(search.path_mtu(), Some(1300), "{rounds:?}");
}

#[test]
fn a_limit_is_known_only_once_larger_packets_have_not_passed() {
    let links = [(5, 1400, Says::Mtu(1400))];
    let first = |search: &mut Search| {
        let begun = search.begin(1500, 1);
        search
            .next(begun, sent(1500, (1, 32), &links), Findings::default())
            .unwrap()
    };
    // What came of the larger ones: nothing, or the word of another than the router.
    let other = TooBig {
        hop: 5,
        by: ROUTER,
        mtu: 1400,
    };
    for beside in [
        Findings::default(),
        Findings {
            too_big: Some(other),
            ..Findings::default()
        },
    ] {
        let mut search = Search::new(AddressFamily::V4, 32);
        let second = first(&mut search);
        assert_eq!(second.beside, Some((1401, (5, 7))));
        assert_eq!(
            search.next(second, sent(1400, second.hops, &links), beside),
            None
        );
        assert_eq!(
            (search.limits(), search.path_mtu()),
            (&[told(5, 1400, Some(1500))][..], Some(1400))
        );
    }
    // One octet less than what is too big needs no proof.
    let (search, rounds) = searched(AddressFamily::V4, &[(5, 1499, Says::Mtu(1499))]);
    assert_eq!(
        (rounds.len(), rounds[1].beside, search.limits()),
        (2, None, &[told(5, 1499, None)][..])
    );
}

#[test]
fn who_refuses_what_passed_before_makes_nothing_smaller() {
    let mut search = Search::new(AddressFamily::V4, 32);
    search.next(
        search.begin(1400, 1),
        Findings {
            passed: 12,
            ..Findings::default()
        },
        Findings::default(),
    );
    let mut round = search.begin(1400, 5);
    let refused = TooBig {
        hop: 7,
        by: ROUTER,
        mtu: 100,
    };
    let mut rounds = 0;
    while let Some(next) = search.next(
        round,
        Findings {
            too_big: Some(refused),
            ..Findings::default()
        },
        Findings::default(),
    ) {
        assert_eq!(next.size, 1400);
        (round, rounds) = (next, rounds + 1);
    }
    assert_eq!(
        (rounds, search.limits(), search.path_mtu()),
        (MOST_DOUBTS, &[][..], None)
    );
    // Nor is less believed than what has passed.
    let mut search = Search::new(AddressFamily::V4, 32);
    search.next(
        search.begin(1400, 1),
        Findings {
            passed: 12,
            ..Findings::default()
        },
        Findings::default(),
    );
    let next = search.next(
        search.begin(1500, 1),
        Findings {
            too_big: Some(refused),
            ..Findings::default()
        },
        Findings::default(),
    );
    assert_eq!(
        next.map(|next| (next.size, next.beside)),
        Some((1492, None))
    );
}

#[test]
fn where_large_packets_vanish_small_ones_show_it_and_usual_sizes_which() {
    let links = [(6, 1410, Says::Nothing), (9, 1300, Says::Mtu(1300))];
    for family in [AddressFamily::V4, AddressFamily::V6] {
        let (search, rounds) = searched(family, &links);
        // From a hop on that has answered: who is heard shows how long to wait for the others.
        assert_eq!(
            rounds[1].purpose,
            Purpose::Check {
                hop: 6,
                fails: 1500
            }
        );
        assert_eq!(rounds[1].hops, (5, 32));
        assert!(rounds.len() <= 10, "{rounds:?}");
        let vanish = Limit {
            hop: 6,
            mtu: 1400,
            less_than: Some(1420),
            from: None,
        };
        let limits = [vanish, told(9, 1300, None)];
        assert_eq!(
            (search.limits(), search.path_mtu()),
            (&limits[..], Some(1300)),
            "{rounds:?}"
        );
    }
}

/// Searches behind a link that drops what is larger than 1410 octets, until the search ends. Each
/// narrowing round hears what `hears` makes of whether its probe passed; the one beside it did.
fn narrowed(mut hears: impl FnMut(usize, bool) -> (bool, bool)) -> (Search, usize) {
    let links = [(6, 1410, Says::Nothing)];
    let mut search = Search::new(AddressFamily::V4, 32);
    let (mut round, mut narrowing) = (search.begin(1500, 1), 0);
    loop {
        let (mut found, mut beside) =
            (sent(round.size, round.hops, &links), beside(&round, &links));
        if matches!(round.purpose, Purpose::Narrow { .. }) {
            let passed = |is_heard| Findings {
                passed: if is_heard { round.hops.1 } else { 0 },
                ..Findings::default()
            };
            let (heard, smaller_answered) = hears(narrowing, found.passed >= 6);
            (found, beside) = (passed(heard), passed(smaller_answered));
            narrowing += 1;
        }
        match search.next(round, found, beside) {
            Some(next) => round = next,
            None => return (search, narrowing),
        }
        assert!(narrowing < 100, "it never ends");
    }
}

#[test]
fn a_size_fails_only_beside_one_that_passes_and_twice() {
    let limit = [Limit {
        hop: 6,
        mtu: 1400,
        less_than: Some(1420),
        from: None,
    }];
    let (search, at_best) = narrowed(|_, heard| (heard, true));
    assert_eq!(search.limits(), limit);
    // Any one probe lost, or both of a round: the same limit, a few rounds later.
    for lost in 0..at_best {
        for both in [false, true] {
            let (search, rounds) = narrowed(|round, heard| match round == lost {
                true => (false, !both),
                false => (heard, true),
            });
            assert_eq!(search.limits(), limit, "{lost} {both}");
            assert!(rounds <= at_best + 4, "{lost} {both}: {rounds}");
        }
    }
    // A router that writes one error at a time, for every other round.
    let (search, _) = narrowed(|round, heard| match round % 2 {
        0 => (heard, !heard),
        _ => (false, false),
    });
    assert_eq!(search.limits(), limit);
    // One that has fallen silent makes no limit.
    assert_eq!(narrowed(|_, _| (false, false)).0.limits(), []);
}

#[test]
fn a_size_that_passes_after_all_makes_no_limit() {
    let mut search = Search::new(AddressFamily::V4, 32);
    let mut round = search.begin(1500, 1);
    let mut sweeps = 1;
    // The hops from 6 on answer everything but the sweeps.
    while let Some(next) = search.next(
        round,
        match round.purpose {
            Purpose::Sweep => Findings {
                passed: 5,
                ..Findings::default()
            },
            _ => Findings {
                passed: round.hops.1.min(12),
                ..Findings::default()
            },
        },
        Findings {
            passed: 6,
            ..Findings::default()
        },
    ) {
        sweeps += u8::from(next.purpose == Purpose::Sweep);
        assert!(next.purpose != Purpose::Sweep || next.size == 1500);
        round = next;
    }
    assert_eq!(
        (sweeps, search.limits(), search.path_mtu()),
        (1 + MOST_DOUBTS, &[][..], None)
    );
}

#[test]
fn silence_that_is_no_matter_of_size_ends_the_search() {
    let mut search = Search::new(AddressFamily::V4, 32);
    let first = search.begin(1500, 1);
    let check = search
        .next(
            first,
            Findings {
                passed: 7,
                ..Findings::default()
            },
            Findings::default(),
        )
        .unwrap();
    assert_eq!((check.size, check.hops), (68, (7, 32)));
    assert_eq!(
        search.next(
            check,
            Findings {
                passed: 7,
                ..Findings::default()
            },
            Findings::default()
        ),
        None
    );
    assert_eq!(
        search.next(check, Findings::default(), Findings::default()),
        None
    );
    assert_eq!((search.limits(), search.path_mtu()), (&[][..], None));
    // Nor does another size help where somebody says what the matter is.
    let mut search = Search::new(AddressFamily::V4, 32);
    assert_eq!(
        search.next(
            search.begin(1500, 1),
            Findings {
                passed: 7,
                ended: true,
                ..Findings::default()
            },
            Findings::default()
        ),
        None
    );
}
