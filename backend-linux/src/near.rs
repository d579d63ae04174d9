//! The routers near us, which the paths to all hosts begin with: what spares the traces of a survey their nearest hops.
//!
//! A hop is taken for shared when enough whole traces have passed it and none has named another router there than the others. A
//! trace then begins at the farthest of these that answers more often than not. If that router answers there, the path is taken
//! to begin as the others did; if somebody else does, or nobody, the trace goes back to the first hop. One trace in some is
//! whole all the same, so that a path which changes nearer to us is noticed.

use hopshot_core::{Evidence, Hop, Kind, Reply};
use std::net::IpAddr;

/// Whole traces that agree before a hop is taken for shared, and so many more answers than silence before a trace begins there.
const AGREED: u8 = 16;

/// The most that count: where a router answers no more, soon no trace begins.
const MOST: u8 = 2 * AGREED;

/// One trace in so many is whole.
const WHOLE: u8 = 16;

/// What whole traces said of the hops, from the first on, as far as they agree.
#[derive(Debug, Default)]
pub(crate) struct Near {
    hops: Vec<Agreed>,
    /// Traces that were not whole since the last that was.
    spared: u8,
}

#[derive(Clone, Copy, Debug, Default)]
struct Agreed {
    /// `None` where nobody has answered yet.
    router: Option<IpAddr>,
    /// How many passed here, whether it answered or not.
    traces: u8,
    /// How many more it answered than not.
    answered: u8,
}

/// The nearest hops of a path as they are elsewhere.
#[derive(Clone, Debug)]
pub(crate) struct Head {
    /// From hop 1 on, `None` where nobody answers. The last is where the trace begins.
    routers: Vec<Option<IpAddr>>,
    is_met: bool,
}

impl Near {
    /// What the path to a host begins with, if its trace needs not be whole; `distance` is where the host is thought to be.
    pub(crate) fn head(&mut self, distance: Option<u8>, max_hops: u8) -> Option<Head> {
        let known = self.hops.iter().take_while(|hop| hop.traces >= AGREED).count();
        let last = self.hops[..known].iter().rposition(|hop| hop.answered >= AGREED)?;
        let routers: Vec<Option<IpAddr>> = self.hops[..=last].iter().map(|hop| hop.router).collect();
        let farthest = distance.unwrap_or(u8::MAX).min(max_hops);
        if last == 0 || routers.len() >= farthest.into() {
            return None;
        }
        self.spared = (self.spared + 1) % WHOLE;
        (self.spared != 0).then_some(Head { routers, is_met: false })
    }

    /// Learns from a trace that began at the first hop.
    pub(crate) fn learn<'r>(&mut self, hops: impl Iterator<Item = Hop<'r>>) {
        let hops: Vec<Hop<'_>> = hops.take_while(|hop| !hop.is_target()).collect();
        let last = hops.iter().rposition(|hop| hop.replies().next().is_some()).map_or(0, |last| last + 1);
        self.agree(hops.into_iter().take(last).map(who));
    }

    fn agree(&mut self, hops: impl Iterator<Item = Who>) {
        for (index, who) in hops.enumerate() {
            if index == self.hops.len() {
                self.hops.push(Agreed::default());
            }
            let agreed = &mut self.hops[index];
            match who {
                Who::Unsure => return,
                Who::Several => return self.hops.truncate(index),
                Who::Router(router) if agreed.router.is_some_and(|other| router != other) => {
                    return self.hops.truncate(index);
                }
                Who::Router(router) => {
                    agreed.router = Some(router);
                    agreed.answered = MOST.min(agreed.answered + 1);
                }
                // It may be too busy to answer each.
                Who::Nobody => agreed.answered = agreed.answered.saturating_sub(1),
            }
            agreed.traces = MOST.min(agreed.traces + 1);
        }
    }
}

/// Who answered at a hop.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Who {
    Router(IpAddr),
    Nobody,
    /// Different routers.
    Several,
    /// Somebody who may be a forger, or says that the path ends here: nothing that speaks for or against other paths.
    Unsure,
}

fn who(hop: Hop<'_>) -> Who {
    let mut replies = hop.replies();
    let Some(first) = replies.next() else { return Who::Nobody };
    let is_router = |reply: &Reply| (reply.kind, reply.evidence()) == (Kind::TimeExceeded, Evidence::Strong);
    match hop.replies().all(|reply| is_router(&reply)) {
        false => Who::Unsure,
        true if replies.all(|reply| reply.from == first.from) => Who::Router(first.from),
        true => Who::Several,
    }
}

impl Head {
    /// The hop that the trace begins at.
    pub(crate) fn first_hop(&self) -> u8 {
        u8::try_from(self.routers.len()).unwrap_or(u8::MAX)
    }

    /// Whether an answer leaves it possible that the path begins so.
    pub(crate) fn fits(&mut self, reply: &Reply) -> bool {
        // Who can't prove that it is an answer proves nothing else.
        if self.is_met || reply.probe.hop != self.first_hop() || reply.evidence() != Evidence::Strong {
            return true;
        }
        self.is_met = Some(&Some(reply.from)) == self.routers.last() && reply.kind == Kind::TimeExceeded;
        self.is_met
    }

    /// The routers of the hops that were not probed, if the path is known to begin so.
    pub(crate) fn spared(&self) -> Option<&[Option<IpAddr>]> {
        self.is_met.then(|| self.routers.split_last().map_or(&[][..], |(_, spared)| spared))
    }
}

#[cfg(test)]
mod tests {
    use super::Who::{Nobody, Router, Several, Unsure};
    use super::*;

    fn router(hop: u8) -> IpAddr {
        [10, hop, 0, 1].into()
    }

    /// Hops 1 to 5 with a router each.
    fn path() -> Vec<Who> {
        (1..=5).map(|hop| Router(router(hop))).collect()
    }

    fn taught(paths: &[Vec<Who>]) -> Near {
        let mut near = Near::default();
        paths.iter().for_each(|path| near.agree(path.iter().copied()));
        near
    }

    fn first_hop(near: &mut Near) -> Option<u8> {
        near.head(None, 32).map(|head| head.first_hop())
    }

    #[test]
    fn sixteen_traces_must_agree_and_of_sixteen_that_follow_one_is_whole() {
        let mut paths = vec![path(); 15];
        assert_eq!(first_hop(&mut taught(&paths)), None);
        paths.push(path());
        let mut near = taught(&paths);
        let first_hops: Vec<Option<u8>> = (0..32).map(|_| first_hop(&mut near)).collect();
        assert_eq!(first_hops.iter().filter(|first| first.is_none()).count(), 2);
        assert!(first_hops.iter().flatten().all(|first| *first == 5), "{first_hops:?}");
    }

    #[test]
    fn what_differs_is_shared_no_more_nor_what_is_behind_it() {
        for odd in [Router(router(99)), Several] {
            let mut other = path();
            other[2] = odd;
            let mut near = taught(&[vec![path(); 200], vec![other]].concat());
            assert_eq!(first_hop(&mut near), Some(2));
            (0..16).for_each(|_| near.agree(path().into_iter()));
            assert_eq!(first_hop(&mut near), Some(5));
        }
    }

    #[test]
    fn who_can_not_be_believed_or_ends_a_path_says_nothing_of_the_others() {
        let mut near = taught(&[vec![path(); 16], vec![vec![path()[0], path()[1], Unsure]; 50]].concat());
        assert_eq!(first_hop(&mut near), Some(5));
    }

    #[test]
    fn a_busy_router_near_us_does_not_hide_those_behind_it() {
        let mut busy = path();
        busy[1] = Nobody;
        let mut near = taught(&[vec![path(); 3], vec![busy; 16]].concat());
        assert_eq!(near.head(None, 32).unwrap().routers, (1..=5).map(|hop| Some(router(hop))).collect::<Vec<_>>());
    }

    #[test]
    fn a_router_that_leaves_some_out_is_still_known_and_one_that_never_answers_is_shared_as_silent() {
        let mut silent = path();
        silent[1] = Nobody;
        let mut near = taught(&[vec![path(); 200], vec![silent.clone(); 16]].concat());
        assert_eq!(near.head(None, 32).unwrap().routers, (1..=5).map(|hop| Some(router(hop))).collect::<Vec<_>>());
        // But no trace begins at one that mostly leaves out.
        let short = [&path()[..4], &[Nobody]].concat();
        (0..17).for_each(|_| near.agree(short.iter().copied()));
        assert_eq!(first_hop(&mut near), Some(4));
        let mut near = taught(&vec![silent; 16]);
        assert_eq!(near.head(None, 32).unwrap().routers[1], None);
        // A trace can't begin where nobody answers.
        let mut near = taught(&vec![vec![path()[0], path()[1], Nobody]; 16]);
        assert_eq!(first_hop(&mut near), Some(2));
    }

    #[test]
    fn a_host_among_the_shared_routers_is_traced_whole_and_so_is_all_within_one_hop() {
        let mut near = taught(&vec![path(); 16]);
        assert!(near.head(Some(5), 32).is_none() && near.head(None, 5).is_none());
        assert!(near.head(Some(6), 32).is_some() && near.head(None, 6).is_some());
        assert!(taught(&vec![vec![path()[0]]; 16]).head(None, 32).is_none());
    }
}
