//! The search itself, without packets: which size is next, and from which hop on.
//!
//! A router's word is a hint. The truth is which sizes pass: a limit is known once packets of its
//! MTU have passed and those one octet larger have not.

use hopshot_core::wire::AddressFamily;
use std::net::IpAddr;

/// Sizes at which packets get stuck or don't: the plateaus of RFC 1191, section 7.1, and what has
/// become usual since: jumbo frames, Ethernet, one tunnel inside another, IPv6's least, what every
/// IPv4 host takes.
const USUAL: [u16; 18] = [
    32_000, 17_914, 9000, 8166, 4352, 2002, 1500, 1492, 1480, 1460, 1420, 1400, 1280, 1006, 576,
    508, 296, 68,
];

/// Sweeps of one search: enough for all usual sizes and some links. Only a path of liars has more.
const MOST_SWEEPS: u8 = 32;

/// How often a router is believed about one link. One with a tunnel inside of another names two
/// MTUs; then usual sizes are tried.
const MOST_HINTS: u8 = 3;

/// Hops behind a limit that are asked whether larger packets pass: the first ones may be silent.
const ASKED: u8 = 3;

/// Sweeps that come again because silence was no matter of size.
const MOST_DOUBTS: u8 = 2;

/// How often a hop is asked that answers no size any more: most routers write one error a second at
/// least.
const MOST_TRIES: u8 = 6;

/// A place from which on the path carries only smaller packets.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct Limit {
    /// The first hop behind the link.
    pub hop: u8,
    /// The size of the largest packets that are known to pass, in octets.
    pub mtu: u16,
    /// The size of the smallest packets that are known not to pass, where the true MTU isn't known.
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
    /// The size and the hops of a trace beside it, at the same time.
    pub(super) beside: Option<(u16, (u8, u8))>,
    pub(super) purpose: Purpose,
}

/// What a trace is for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Purpose {
    /// To find the path, with packets of the size so far. If that is what a router named, the trace
    /// beside it is one octet larger.
    Sweep,
    /// To see whether silence is a matter of size: packets of the size `fails` got no answer from
    /// this hop on. It begins one hop nearer, with one that has answered: that shows how long
    /// to wait for the others.
    Check { hop: u8, fails: u16 },
    /// To see which sizes pass and which don't, from a hop on, where nobody says that, or no truth;
    /// beside the probe goes one of the size that passes. First it is the size that the sweep
    /// got no answer with, and when no usual size is left in between, once more the one that
    /// fails.
    Narrow {
        hop: u8,
        passes: u16,
        fails: u16,
        /// What the sweep did not pass with.
        stuck: u16,
        /// The router that says that packets are too big for this link, if one does: not how large
        /// they may be.
        from: Option<IpAddr>,
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

/// The findings of a trace.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(super) struct Findings {
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

/// A search for the path MTU, with its findings so far.
#[derive(Debug)]
pub(super) struct Search {
    /// Every link carries so much (RFC 791, section 3.2; RFC 8200, section 5).
    least: u16,
    max_hops: u8,
    sweeps: u8,
    /// How many of them came again.
    doubts: u8,
    limits: Vec<Limit>,
    /// The link of the last limit, by its hop, and how often a router was believed about it.
    hints: (u8, u8),
    /// The farthest hops that packets got to, by their size: no link before is smaller, whoever
    /// says so.
    carried: Vec<(u8, u16)>,
    path_mtu: Option<u16>,
    /// The largest size that the target has answered.
    answered: u16,
}

impl Search {
    pub(super) const fn new(family: AddressFamily, max_hops: u8) -> Self {
        let least = match family {
            AddressFamily::V4 => 68,
            AddressFamily::V6 => 1280,
        };
        Self {
            least,
            max_hops,
            sweeps: 1,
            doubts: 0,
            limits: Vec::new(),
            hints: (0, 0),
            carried: Vec::new(),
            path_mtu: None,
            answered: 0,
        }
    }

    /// The first round.
    pub(super) const fn begin(&self, size: u16, first_hop: u8) -> Round {
        Round {
            size,
            hops: (first_hop, self.max_hops),
            beside: None,
            purpose: Purpose::Sweep,
        }
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

    /// Takes what a round showed that there is no other after.
    pub(super) fn note(&mut self, round: Round, found: Findings, beside: Findings) {
        let sizes = [
            Some((found, round.size)),
            round.beside.map(|(size, _)| (beside, size)),
        ];
        let answered = sizes
            .into_iter()
            .flatten()
            .filter(|(found, _)| found.reached)
            .map(|(_, size)| size);
        self.answered = answered.fold(self.answered, u16::max);
    }

    /// The least and the most that the path MTU can be, as far as is known in this round; no path
    /// carries more than the first link, of this MTU.
    pub(super) fn bounds(&self, round: Round, link: u16) -> (u16, u16) {
        let limits = self
            .limits
            .iter()
            .map(|limit| limit.less_than.map_or(limit.mtu, |less_than| less_than - 1));
        let narrowed = match round.purpose {
            Purpose::Narrow { fails, .. } if round.size < fails => Some(fails - 1),
            // Tried once more, so that it is in doubt; what was tried before it is not.
            Purpose::Narrow { fails, stuck, .. } if fails < stuck => Some(stuck - 1),
            Purpose::Narrow { .. } | Purpose::Sweep | Purpose::Check { .. } => None,
        };
        let most = limits.chain(narrowed).fold(link, u16::min);
        (self.answered.max(self.least).min(most), most)
    }

    /// The round after this one, which showed that, as the trace beside it did; `None` at the end.
    pub(super) fn next(
        &mut self,
        round: Round,
        found: Findings,
        beside: Findings,
    ) -> Option<Round> {
        self.note(round, found, beside);
        self.carried.push((found.passed, round.size));
        self.carried
            .extend(round.beside.map(|(size, _)| (beside.passed, size)));
        match round.purpose {
            Purpose::Sweep => self.after_sweep(round, found, beside),
            Purpose::Check { hop, fails } if found.passed >= hop => Some(narrow(
                hop,
                found.passed,
                self.least,
                fails,
                fails,
                None,
                fails,
            )),
            Purpose::Check { .. } => None,
            Purpose::Narrow { .. } => self.after_narrow(round, found, beside),
        }
    }

    fn after_sweep(&mut self, round: Round, found: Findings, beside: Findings) -> Option<Round> {
        let Round {
            size,
            hops: (first, last),
            ..
        } = round;
        if found.reached {
            self.path_mtu = Some(size);
        }
        if let Some((larger, _)) = round.beside
            && let Some(again) = self.verify(larger, beside)
        {
            return Some(again);
        }
        match found {
            // One that has let this size pass before lies, now or then.
            Findings {
                too_big: Some(TooBig { hop, .. }),
                ..
            } if self.carried(hop) >= size => self.again(hop, size),
            Findings {
                too_big: Some(too_big),
                ..
            } => self.shrink(size, too_big),
            Findings { reached: true, .. } => None,
            Findings { ended: false, .. } if size > self.least && found.passed < last => {
                let hop = first.max(found.passed + 1);
                let (purpose, hops) = (
                    Purpose::Check { hop, fails: size },
                    ((hop - 1).max(1), last),
                );
                Some(Round {
                    size: self.least,
                    hops,
                    beside: None,
                    purpose,
                })
            }
            _ => None,
        }
    }

    /// Takes what packets one octet larger than the last limit showed. If they pass, the router
    /// named too little, and the truth is to be found between what passes and what did not.
    fn verify(&mut self, larger: u16, found: Findings) -> Option<Round> {
        let limit = self.limits.last_mut()?;
        let (hop, fails, from) = (limit.hop, limit.less_than?, limit.from);
        if found.passed >= hop {
            limit.mtu = larger;
            return Some(narrow(
                hop,
                found.passed,
                larger,
                fails,
                fails,
                from,
                between(larger, fails).unwrap_or(fails),
            ));
        }
        // Silence shows nothing: then the true MTU stays unknown.
        if found
            .too_big
            .is_some_and(|too_big| Some(too_big.by) == from)
        {
            limit.less_than = None;
        }
        None
    }

    fn after_narrow(&mut self, round: Round, found: Findings, beside: Findings) -> Option<Round> {
        let Round {
            size,
            hops: (_, far),
            ..
        } = round;
        let Purpose::Narrow {
            hop,
            passes,
            fails,
            stuck,
            from,
            tries,
        } = round.purpose
        else {
            return None;
        };
        let next = |passes, fails| {
            let size = between(passes, fails).unwrap_or(fails);
            Some(narrow(hop, far, passes, fails, stuck, from, size))
        };
        let refused = from.is_some()
            && found
                .too_big
                .is_some_and(|too_big| Some(too_big.by) == from);
        // One that is too big for a link behind has passed here.
        if found.passed >= hop || found.too_big.is_some() && !refused {
            return match size == fails {
                false => next(size, fails),
                true if size < stuck => next(size, stuck),
                true => self.again(hop, size),
            };
        }
        // Only beside an answer is silence a matter of size: routers bound how many they write, and
        // answers get lost.
        if refused || beside.passed > 0 || beside.too_big.is_some() {
            return match size == fails && between(passes, fails).is_none() {
                false => next(passes, size),
                true => {
                    let less_than = (fails > passes + 1).then_some(fails);
                    self.sweep(Limit {
                        hop,
                        mtu: passes,
                        less_than,
                        from,
                    })
                }
            };
        }
        let purpose = Purpose::Narrow {
            hop,
            passes,
            fails,
            stuck,
            from,
            tries: tries + 1,
        };
        (tries < MOST_TRIES).then_some(Round { purpose, ..round })
    }

    /// The largest size that is known to get to a hop.
    fn carried(&self, hop: u8) -> u16 {
        let there = self.carried.iter().filter(|(passed, _)| *passed >= hop);
        there.map(|(_, size)| *size).max().unwrap_or(0)
    }

    /// The path goes on behind a link, with what that carries.
    fn sweep(&mut self, limit: Limit) -> Option<Round> {
        // What was tried before at the same link was still too big.
        self.limits.retain(|before| before.hop < limit.hop);
        self.limits.push(limit);
        self.path_mtu = None;
        self.sweeps += 1;
        (self.sweeps <= MOST_SWEEPS).then(|| self.begin(limit.mtu, limit.hop))
    }

    /// A size passes that got no answer before: the sweep with it goes on.
    fn again(&mut self, hop: u8, size: u16) -> Option<Round> {
        self.doubts += 1;
        (self.doubts <= MOST_DOUBTS).then(|| self.begin(size, hop))
    }

    /// Goes on with smaller packets behind a link that this size is too big for: with what the
    /// router names if that can be, and one octet more beside it; else with the next usual
    /// size. An IPv6 router that names less than the least isn't believed (RFC 8201, section
    /// 4), nor any that names less than got there before, or ever something else.
    fn shrink(&mut self, size: u16, too_big: TooBig) -> Option<Round> {
        let TooBig { hop, by, mtu: said } = too_big;
        let least = self.carried(hop).max(self.least);
        let hints = if self.hints.0 == hop { self.hints.1 } else { 0 };
        if (least..size).contains(&said) && hints < MOST_HINTS {
            self.hints = (hop, hints + 1);
            let larger = said + 1;
            let less_than = (larger < size).then_some(size);
            let beside = less_than.map(|_| {
                (
                    larger,
                    (hop, self.max_hops.min(hop.saturating_add(ASKED - 1))),
                )
            });
            let sweep = self.sweep(Limit {
                hop,
                mtu: said,
                less_than,
                from: Some(by),
            })?;
            return Some(Round { beside, ..sweep });
        }
        let mtu = USUAL
            .into_iter()
            .chain([least])
            .find(|usual| (least..size).contains(usual))?;
        let less_than = (mtu + 1 < size).then_some(size);
        self.sweep(Limit {
            hop,
            mtu,
            less_than,
            from: Some(by),
        })
    }
}

/// The usual size in the middle between one that passes and one that doesn't.
fn between(passes: u16, fails: u16) -> Option<u16> {
    let between: Vec<u16> = USUAL
        .into_iter()
        .filter(|size| passes < *size && *size < fails)
        .collect();
    between.get(between.len() / 2).copied()
}

/// Tries a size at the hop `far`, which answers.
const fn narrow(
    hop: u8,
    far: u8,
    passes: u16,
    fails: u16,
    stuck: u16,
    from: Option<IpAddr>,
    size: u16,
) -> Round {
    let purpose = Purpose::Narrow {
        hop,
        passes,
        fails,
        stuck,
        from,
        tries: 1,
    };
    Round {
        size,
        hops: (far, far),
        beside: Some((passes, (far, far))),
        purpose,
    }
}

#[cfg(test)]
mod tests;
