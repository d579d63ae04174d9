//! Which size next, and from which hop on: the search itself, without packets.

use hopshot_core::wire::Version;
use std::net::IpAddr;

/// Sizes at which packets get stuck or don't: the plateaus of RFC 1191, section 7.1, and what has become usual since: jumbo
/// frames, Ethernet, one tunnel inside another, IPv6's least.
const USUAL: [u16; 17] =
    [32_000, 17_914, 9000, 8166, 4352, 2002, 1500, 1492, 1480, 1460, 1420, 1400, 1280, 1006, 508, 296, 68];

/// Sweeps of one search. A path has a few links that are too small; a router that names an MTU one octet less each time is none.
const MOST_SWEEPS: u8 = 16;

/// A place from which on the path carries only smaller packets.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Limit {
    /// The first hop behind the link.
    pub hop: u8,
    /// The size of the largest packets that are known to pass, in octets.
    pub mtu: u16,
    /// Where the true MTU isn't known, the size of the smallest packets that are known not to pass.
    pub less_than: Option<u16>,
    /// The router that said so; `None` where larger packets vanish without a word.
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
    /// To see which sizes pass in silence and which don't, from a hop on.
    Narrow { hop: u8, passes: u16, fails: u16 },
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

impl Purpose {
    pub(super) const fn is_one_probe(self) -> bool {
        matches!(self, Self::Narrow { .. })
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
    limits: Vec<Limit>,
    path_mtu: Option<u16>,
}

impl Search {
    pub(super) const fn new(family: Version, max_hops: u8) -> Self {
        let least = match family {
            Version::V4 => 68,
            Version::V6 => 1280,
        };
        Self { least, max_hops, sweeps: 1, limits: Vec::new(), path_mtu: None }
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
            Purpose::Check { hop, fails } if heard => self.narrow(hop, saw.passed, self.least, fails),
            Purpose::Check { .. } => None,
            // Also one that is too big for a link behind has passed here.
            Purpose::Narrow { hop, fails, .. } if heard || saw.too_big.is_some() => self.narrow(hop, last, size, fails),
            Purpose::Narrow { hop, passes, .. } => self.narrow(hop, last, passes, size),
        }
    }

    /// Which of the usual sizes between those that pass and those that don't is to be tried at the hop `far`, which answers.
    fn narrow(&mut self, hop: u8, far: u8, passes: u16, fails: u16) -> Option<Round> {
        let between: Vec<u16> = USUAL.into_iter().filter(|size| passes < *size && *size < fails).collect();
        match between.get(between.len() / 2) {
            Some(size) => {
                Some(Round { size: *size, hops: (far, far), purpose: Purpose::Narrow { hop, passes, fails } })
            }
            None => self.sweep(Limit { hop, mtu: passes, less_than: Some(fails), from: None }),
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

    fn saw(round: &Round, links: &Links) -> Saw {
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
            assert!(rounds.len() <= 8, "{rounds:?}");
            let vanish = Limit { hop: 6, mtu: 1400, less_than: Some(1420), from: None };
            let told = Limit { hop: 9, mtu: 1300, less_than: None, from: Some(ROUTER) };
            assert_eq!((search.limits(), search.path_mtu()), (&[vanish, told][..], Some(1300)), "{rounds:?}");
        }
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
