//! Which size next, and from which hop on: the search itself, without packets.

use hopshot_core::wire::Version;
use std::net::IpAddr;

/// Sizes at which packets get stuck or don't: the plateaus of RFC 1191, section 7.1, and what has become usual since: jumbo
/// frames, Ethernet, one tunnel inside another, IPv6's least, what every IPv4 host takes.
const USUAL: [u16; 18] =
    [32_000, 17_914, 9000, 8166, 4352, 2002, 1500, 1492, 1480, 1460, 1420, 1400, 1280, 1006, 576, 508, 296, 68];

/// Sweeps of one search. A path has a few links that are too small; a router that names an MTU one octet less each time is none.
const MOST_SWEEPS: u8 = 16;

/// Sweeps that come again because silence was no matter of size.
const MOST_DOUBTS: u8 = 2;

/// How often a hop is asked that answers no size any more: most routers write one error a second at least.
const MOST_TRIES: u8 = 6;

/// A place from which on the path carries only smaller packets.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Limit {
    /// The first hop behind the link.
    pub hop: u8,
    /// The size of the largest packets that are known to pass, in octets.
    pub mtu: u16,
    /// Where the true MTU isn't known, the size of the smallest packets that are known not to pass.
    pub less_than: Option<u16>,
    /// The router that said so; `None` where none did that proves it.
    pub from: Option<IpAddr>,
}

/// A trace of the search.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Round {
    pub(super) size: u16,
    /// The nearest and the farthest.
    pub(super) hops: (u8, u8),
    pub(super) purpose: Purpose,
}

/// What a trace is for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Purpose {
    /// To find the path, with packets of the size so far.
    Sweep,
    /// To see whether silence is a matter of size: packets of the size `fails` got no answer from this hop on. It begins one
    /// hop nearer, with one that has answered: that shows how long to wait for the others.
    Check { hop: u8, fails: u16 },
    /// To see which sizes pass in silence and which don't, from a hop on; beside the probe goes one of the size that passes.
    /// First it is the size that the sweep got no answer with, and when no usual size is left in between, once more the one that
    /// fails.
    Narrow {
        hop: u8,
        passes: u16,
        fails: u16,
        /// What the sweep got no answer with.
        silent: u16,
        /// How often this size was tried, and neither probe was answered.
        tries: u8,
    },
}

impl Round {
    /// The first hop that nothing was known of before.
    pub(super) const fn first_unknown(self) -> u8 {
        match self.purpose {
            Purpose::Sweep => self.hops.0,
            Purpose::Check { hop, .. } | Purpose::Narrow { hop, .. } => hop,
        }
    }
}

/// What a trace showed.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(super) struct Saw {
    /// The farthest hop that the packets got to; 0 if no answer says so.
    pub(super) passed: u8,
    /// Behind that, the nearest hop on whose way they were too big.
    pub(super) too_big: Option<TooBig>,
    /// Whether the target answered.
    pub(super) reached: bool,
    /// Whether the probe beside it was answered, which was of the size that passes: by that hop, or because it was too big for a
    /// link farther on.
    pub(super) smaller_answered: bool,
    /// Whether another size would show nothing else.
    pub(super) ended: bool,
}

/// A router's word that a packet was too big.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct TooBig {
    /// The hop that it was to go to.
    pub(super) hop: u8,
    pub(super) by: IpAddr,
    /// What the router says how large it may be.
    pub(super) mtu: u16,
}

/// What is known so far.
#[derive(Debug)]
pub(super) struct Search {
    /// Every link carries so much (RFC 791, section 3.2; RFC 8200, section 5).
    least: u16,
    max_hops: u8,
    sweeps: u8,
    /// How many of them came again.
    doubts: u8,
    limits: Vec<Limit>,
    path_mtu: Option<u16>,
}

impl Search {
    pub(super) const fn new(family: Version, max_hops: u8) -> Self {
        let least = match family {
            Version::V4 => 68,
            Version::V6 => 1280,
        };
        Self { least, max_hops, sweeps: 1, doubts: 0, limits: Vec::new(), path_mtu: None }
    }

    /// The first round.
    pub(super) const fn begin(&self, size: u16, first_hop: u8) -> Round {
        Round { size, hops: (first_hop, self.max_hops), purpose: Purpose::Sweep }
    }

    pub(super) fn limits(&self) -> &[Limit] {
        &self.limits
    }

    pub(super) fn into_limits(self) -> Vec<Limit> {
        self.limits
    }

    pub(super) const fn path_mtu(&self) -> Option<u16> {
        self.path_mtu
    }

    /// The round after this one, which showed that; `None` at the end. Each sweep has smaller packets than the one before.
    pub(super) fn next(&mut self, round: Round, saw: Saw) -> Option<Round> {
        let Round { size, hops: (first, last), purpose } = round;
        let heard = saw.passed >= round.first_unknown();
        match purpose {
            Purpose::Sweep => match saw {
                Saw { too_big: Some(TooBig { hop, by, mtu }), .. } => {
                    let (smaller, less_than) = self.smaller(size, mtu)?;
                    self.sweep(Limit { hop, mtu: smaller, less_than, from: Some(by) })
                }
                Saw { reached: true, .. } => {
                    self.path_mtu = Some(size);
                    None
                }
                Saw { ended: false, .. } if size > self.least && saw.passed < last => {
                    let hop = first.max(saw.passed + 1);
                    let purpose = Purpose::Check { hop, fails: size };
                    Some(Round { size: self.least, hops: ((hop - 1).max(1), last), purpose })
                }
                _ => None,
            },
            Purpose::Check { hop, fails } if heard => {
                let purpose = Purpose::Narrow { hop, passes: self.least, fails, silent: fails, tries: 1 };
                Some(Round { size: fails, hops: (saw.passed, saw.passed), purpose })
            }
            Purpose::Check { .. } => None,
            // Also one that is too big for a link behind has passed here.
            Purpose::Narrow { hop, fails, silent, .. } if heard || saw.too_big.is_some() => match size == fails {
                false => Some(narrow(hop, last, size, fails, silent)),
                true if size < silent => Some(narrow(hop, last, size, silent, silent)),
                true => self.again(hop, size),
            },
            // Only beside an answer is silence a matter of size: routers bound how many they write, and answers get lost.
            Purpose::Narrow { hop, passes, fails, silent, .. } if saw.smaller_answered => {
                match size == fails && between(passes, fails).is_none() {
                    false => Some(narrow(hop, last, passes, size, silent)),
                    true => self.sweep(Limit { hop, mtu: passes, less_than: Some(fails), from: None }),
                }
            }
            Purpose::Narrow { hop, passes, fails, silent, tries } => (tries < MOST_TRIES).then_some(Round {
                purpose: Purpose::Narrow { hop, passes, fails, silent, tries: tries + 1 },
                ..round
            }),
        }
    }

    /// The path goes on behind a link, with what that carries.
    fn sweep(&mut self, limit: Limit) -> Option<Round> {
        // What was tried before at the same link was still too big.
        self.limits.retain(|before| before.hop < limit.hop);
        self.limits.push(limit);
        self.sweeps += 1;
        (self.sweeps <= MOST_SWEEPS).then(|| self.begin(limit.mtu, limit.hop))
    }

    /// A size passes that got no answer before: the sweep with it goes on.
    fn again(&mut self, hop: u8, size: u16) -> Option<Round> {
        self.doubts += 1;
        (self.doubts <= MOST_DOUBTS).then(|| self.begin(size, hop))
    }

    /// What to try after a size that was too big: what the router says if it can be; else the next usual size, and then what
    /// the true MTU is less than. An IPv6 router that names less than the least isn't believed (RFC 8201, section 4).
    fn smaller(&self, size: u16, said: u16) -> Option<(u16, Option<u16>)> {
        if (self.least..size).contains(&said) {
            return Some((said, None));
        }
        let usual = USUAL.into_iter().find(|usual| *usual < size && *usual >= self.least)?;
        Some((usual, Some(size)))
    }
}

/// The usual size in the middle between one that passes and one that doesn't.
fn between(passes: u16, fails: u16) -> Option<u16> {
    let between: Vec<u16> = USUAL.into_iter().filter(|size| passes < *size && *size < fails).collect();
    between.get(between.len() / 2).copied()
}

/// What is to be tried next at the hop `far`, which answers.
fn narrow(hop: u8, far: u8, passes: u16, fails: u16, silent: u16) -> Round {
    let size = between(passes, fails).unwrap_or(fails);
    Round { size, hops: (far, far), purpose: Purpose::Narrow { hop, passes, fails, silent, tries: 1 } }
}

#[cfg(test)]
mod tests {
    use super::*;

    const ROUTER: IpAddr = IpAddr::V4(std::net::Ipv4Addr::new(192, 0, 2, 1));

    /// Each link of a path by the hop that it leads to, its MTU, and what is said where it is too small.
    type Links = [(u8, u16, Says)];

    #[derive(Clone, Copy)]
    enum Says {
        Mtu(u16),
        Nothing,
    }

    /// Searches a path of 12 hops, and returns the search with all its rounds.
    fn search(family: Version, links: &Links) -> (Search, Vec<Round>) {
        let mut search = Search::new(family, 32);
        let mut rounds = vec![search.begin(1500, 1)];
        while let Some(next) = search.next(*rounds.last().unwrap(), saw(rounds.last().unwrap(), links)) {
            rounds.push(next);
            assert!(rounds.len() < 100, "it never ends");
        }
        (search, rounds)
    }

    /// What a round shows, and the probe beside it where it narrows.
    fn saw(round: &Round, links: &Links) -> Saw {
        let beside = match round.purpose {
            Purpose::Narrow { passes, .. } => sent(&Round { size: passes, ..*round }, links),
            _ => Saw::default(),
        };
        Saw { smaller_answered: beside.passed > 0 || beside.too_big.is_some(), ..sent(round, links) }
    }

    fn sent(round: &Round, links: &Links) -> Saw {
        let (first, last) = round.hops;
        let stuck = links.iter().find(|(hop, mtu, _)| *mtu < round.size && *hop <= last.min(12));
        match stuck {
            None => Saw { passed: last.min(12), reached: last >= 12, ..Saw::default() },
            Some((hop, _, says)) => Saw {
                passed: if *hop > first { hop - 1 } else { 0 },
                too_big: match says {
                    Says::Mtu(mtu) => Some(TooBig { hop: first.max(*hop), by: ROUTER, mtu: *mtu }),
                    Says::Nothing => None,
                },
                ..Saw::default()
            },
        }
    }

    fn sizes(rounds: &[Round]) -> Vec<(u16, u8)> {
        rounds.iter().map(|round| (round.size, round.hops.0)).collect()
    }

    #[test]
    fn every_small_link_costs_one_round_more() {
        let links = [(5, 1400, Says::Mtu(1400)), (9, 1280, Says::Mtu(1280))];
        let (search, rounds) = search(Version::V4, &links);
        assert_eq!(sizes(&rounds), [(1500, 1), (1400, 5), (1280, 9)]);
        assert_eq!(search.path_mtu(), Some(1280));
        let limit = |hop, mtu| Limit { hop, mtu, less_than: None, from: Some(ROUTER) };
        assert_eq!(search.limits(), [limit(5, 1400), limit(9, 1280)]);
    }

    #[test]
    fn who_names_no_mtu_or_an_impossible_one_is_believed_that_it_was_too_big() {
        for said in [0, 40, 1500, 9000, u16::MAX] {
            let (search, rounds) = search(Version::V4, &[(4, 1410, Says::Mtu(said))]);
            let descent = [(1500, 1), (1492, 4), (1480, 4), (1460, 4), (1420, 4), (1400, 4)];
            assert_eq!(sizes(&rounds), descent, "{said}");
            let limit = Limit { hop: 4, mtu: 1400, less_than: Some(1420), from: Some(ROUTER) };
            assert_eq!((search.limits(), search.path_mtu()), (&[limit][..], Some(1400)), "{said}");
        }
    }

    #[test]
    fn no_router_makes_packets_smaller_than_every_link_must_carry() {
        for (family, least) in [(Version::V4, 68), (Version::V6, 1280)] {
            for said in [0, 1, 67, 1279] {
                let (search, rounds) = search(family, &[(4, 10, Says::Mtu(said))]);
                assert!(rounds.iter().all(|round| round.size >= least), "{rounds:?}");
                assert_eq!(search.path_mtu(), None);
            }
        }
    }

    #[test]
    fn a_router_that_names_less_each_time_is_left_after_some_rounds() {
        let mut search = Search::new(Version::V4, 32);
        let mut round = search.begin(1500, 1);
        let mut rounds = 1;
        let saw = |size| Saw { too_big: Some(TooBig { hop: 1, by: ROUTER, mtu: size - 1 }), ..Saw::default() };
        while let Some(next) = search.next(round, saw(round.size)) {
            assert!(next.size < round.size);
            (round, rounds) = (next, rounds + 1);
        }
        assert_eq!((rounds, search.path_mtu()), (MOST_SWEEPS, None));
    }

    #[test]
    fn where_large_packets_vanish_small_ones_show_it_and_usual_sizes_which() {
        let links = [(6, 1410, Says::Nothing), (9, 1300, Says::Mtu(1300))];
        for family in [Version::V4, Version::V6] {
            let (search, rounds) = search(family, &links);
            // From a hop on that has answered: who is heard shows how long to wait for the others.
            assert_eq!(rounds[1].purpose, Purpose::Check { hop: 6, fails: 1500 });
            assert_eq!(rounds[1].hops, (5, 32));
            assert!(rounds.len() <= 10, "{rounds:?}");
            let vanish = Limit { hop: 6, mtu: 1400, less_than: Some(1420), from: None };
            let told = Limit { hop: 9, mtu: 1300, less_than: None, from: Some(ROUTER) };
            assert_eq!((search.limits(), search.path_mtu()), (&[vanish, told][..], Some(1300)), "{rounds:?}");
        }
    }

    /// Searches behind a link that drops what is larger than 1410 octets, until the search ends. Each narrowing round hears what
    /// `hears` makes of whether its probe passed; the one beside it did.
    fn narrowed(mut hears: impl FnMut(usize, bool) -> (bool, bool)) -> (Search, usize) {
        let links = [(6, 1410, Says::Nothing)];
        let mut search = Search::new(Version::V4, 32);
        let (mut round, mut narrowing) = (search.begin(1500, 1), 0);
        loop {
            let mut saw = saw(&round, &links);
            if matches!(round.purpose, Purpose::Narrow { .. }) {
                let (heard, smaller_answered) = hears(narrowing, saw.passed >= 6);
                saw = Saw { passed: if heard { round.hops.1 } else { 0 }, smaller_answered, ..Saw::default() };
                narrowing += 1;
            }
            match search.next(round, saw) {
                Some(next) => round = next,
                None => return (search, narrowing),
            }
            assert!(narrowing < 100, "it never ends");
        }
    }

    #[test]
    fn a_size_fails_only_beside_one_that_passes_and_twice() {
        let limit = [Limit { hop: 6, mtu: 1400, less_than: Some(1420), from: None }];
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
        let mut search = Search::new(Version::V4, 32);
        let mut round = search.begin(1500, 1);
        let mut sweeps = 1;
        // The hops from 6 on answer everything but the sweeps.
        while let Some(next) = search.next(
            round,
            match round.purpose {
                Purpose::Sweep => Saw { passed: 5, ..Saw::default() },
                _ => Saw { passed: round.hops.1.min(12), smaller_answered: true, ..Saw::default() },
            },
        ) {
            sweeps += u8::from(next.purpose == Purpose::Sweep);
            assert!(next.purpose != Purpose::Sweep || next.size == 1500);
            round = next;
        }
        assert_eq!((sweeps, search.limits(), search.path_mtu()), (1 + MOST_DOUBTS, &[][..], None));
    }

    #[test]
    fn silence_that_is_no_matter_of_size_ends_the_search() {
        let mut search = Search::new(Version::V4, 32);
        let first = search.begin(1500, 1);
        let check = search.next(first, Saw { passed: 7, ..Saw::default() }).unwrap();
        assert_eq!((check.size, check.hops), (68, (7, 32)));
        assert_eq!(search.next(check, Saw { passed: 7, ..Saw::default() }), None);
        assert_eq!(search.next(check, Saw::default()), None);
        assert_eq!((search.limits(), search.path_mtu()), (&[][..], None));
        // Nor does another size help where somebody says what the matter is.
        let mut search = Search::new(Version::V4, 32);
        assert_eq!(search.next(search.begin(1500, 1), Saw { passed: 7, ended: true, ..Saw::default() }), None);
    }
}
