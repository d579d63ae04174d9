//! The memory of a trace: every probe in the order of sending, a summary per hop, and what they say
//! about the path.

use crate::answer::Kind;
use crate::config::{Config, MAX_HOPS};
use crate::probe::Evidence;
use crate::slot::{Address, Slot, is_same};
use crate::time::Instant;

/// The memory of one hop: its probes, summed up.
#[derive(Clone, Copy, Debug)]
pub struct Progress {
    /// Probes sent.
    pub(crate) sent: u8,
    /// Probes in flight.
    pub(crate) waiting: u8,
    /// Probes answered.
    pub(crate) heard: u8,
    /// Probes answered beyond doubt.
    pub(crate) sure: u8,
    /// The best evidence that the path goes on behind this hop.
    pub(crate) passes: Option<Evidence>,
    /// Probes that the target answered.
    pub(crate) reached: u8,
    /// Probes that the target answered beyond doubt.
    pub(crate) surely_reached: u8,
    /// The best evidence that a router here lets nothing through.
    pub(crate) barred: Option<Evidence>,
    /// The indexes of the first and the last probe.
    pub(crate) first: u16,
    pub(crate) last: u16,
}

impl Default for Progress {
    fn default() -> Self {
        Self::NONE
    }
}

impl Progress {
    /// No probe yet.
    pub(crate) const NONE: Self = Self {
        sent: 0,
        waiting: 0,
        heard: 0,
        sure: 0,
        passes: None,
        reached: 0,
        surely_reached: 0,
        barred: None,
        first: 0,
        last: 0,
    };

    /// Sums up the probes sent to `hop`.
    pub(crate) fn of(hop: u8, probes: &[Slot]) -> Self {
        let mut progress = Self::NONE;
        for (index, probe) in (0..).zip(probes).filter(|(_, probe)| probe.hop() == hop) {
            progress.add(index, probe);
        }
        progress
    }

    /// Adds a probe, behind all that were sent before.
    pub(crate) fn add(&mut self, index: u16, probe: &Slot) {
        if self.sent == 0 {
            self.first = index;
        }
        self.last = index;
        // Attempts, retries and rechecks are few, so none of these overflows.
        self.sent = self.sent.wrapping_add(1);
        if probe.is_in_flight() {
            self.waiting = self.waiting.wrapping_add(1);
        }
        let Some(kind) = probe.kind() else { return };
        // Anybody may have written it: the hop is as silent as before.
        if !probe.is_proven() {
            return;
        }
        self.heard = self.heard.wrapping_add(1);
        let evidence = probe.changes().evidence();
        let sure = u8::from(evidence == Evidence::Strong);
        self.sure = self.sure.wrapping_add(sure);
        if probe.is_targets() {
            self.reached = self.reached.wrapping_add(1);
            self.surely_reached = self.surely_reached.wrapping_add(sure);
            return;
        }
        let shows = match kind {
            Kind::Unreachable => &mut self.barred,
            Kind::TimeExceeded | Kind::Reply => &mut self.passes,
        };
        *shows = (*shows).max(Some(evidence));
    }
}

/// The end of a path.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct End {
    pub(crate) hop: u8,
    pub(crate) kind: EndKind,
    pub(crate) evidence: Evidence,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum EndKind {
    /// The target answered from here.
    Target = 1,
    /// From here on routers come back that were on the path before.
    Loop,
    /// A router here lets nothing through, and nothing came from behind it.
    Barrier,
}

/// The path as the answers tell it, and since when nothing more is expected.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Path {
    /// The last hop that is known to lead on, or that need not be known since the probes begin
    /// behind it.
    pub(crate) top: u8,
    /// The farthest hop that passed a probe on beyond doubt; 0 before any did.
    pub(crate) sure_top: u8,
    pub(crate) end: Option<End>,
    /// The loop that the path goes into.
    pub(crate) found_loop: Option<End>,
    /// Since when nothing more is expected from the probes sent until then.
    pub(crate) quiet: Option<Instant>,
    /// The greatest RTT so far, in nanoseconds, plus one; 0 before there is any.
    slowest: u64,
}

impl Path {
    /// Nothing is known of a path whose probes begin at `first_hop`.
    pub(crate) const fn beginning_at(first_hop: u8) -> Self {
        Self {
            top: first_hop.saturating_sub(1),
            ..Self::UNKNOWN
        }
    }

    /// Nothing is known.
    pub(crate) const UNKNOWN: Self = Self {
        top: 0,
        sure_top: 0,
        end: None,
        found_loop: None,
        quiet: None,
        slowest: 0,
    };

    /// Weighs the answers of a trace whose probes begin at `first_hop`.
    ///
    /// The nearest end against which no answer speaks: the target's own word stands against all
    /// others, a weak one only where no router answered from there on, a barrier only where no
    /// router as well proven answered from behind it. A barrier that was not met by what goes
    /// farther is weak: something behind it must be asked first.
    pub(crate) fn survey(&mut self, first_hop: u8, hops: &[Progress], probes: &[Slot]) {
        // From the far end: the first hops that pass probes on, at all and beyond doubt.
        let (mut top, mut sure_top) = (0, 0);
        let (mut target, mut barrier) = (None::<End>, None);
        let mut nearer = u8::try_from(hops.len()).unwrap_or(MAX_HOPS);
        for progress in hops.iter().rev() {
            let hop = nearer;
            nearer = nearer.wrapping_sub(1);
            let end = |kind, evidence| End {
                hop,
                kind,
                evidence,
            };
            match progress.barred {
                Some(Evidence::Weak) if top == 0 => {
                    barrier = Some(end(EndKind::Barrier, Evidence::Weak));
                }
                Some(Evidence::Strong) if sure_top == 0 => {
                    barrier = Some(end(EndKind::Barrier, Evidence::Strong));
                }
                _ => {}
            }
            if top == 0 && progress.passes.is_some() {
                top = hop;
            }
            if sure_top == 0 && progress.passes == Some(Evidence::Strong) {
                sure_top = hop;
            }
            if progress.surely_reached > 0 {
                target = Some(end(EndKind::Target, Evidence::Strong));
            } else if progress.reached > 0
                && top == 0
                && target.is_none_or(|target| target.evidence == Evidence::Weak)
            {
                target = Some(end(EndKind::Target, Evidence::Weak));
            }
        }
        self.top = first_hop.saturating_sub(1).max(top);
        self.sure_top = sure_top;
        self.end = target
            .or(self.found_loop)
            .or_else(|| barrier.map(|barrier| weigh(barrier, hops, probes)));
        let mut slowest = 0;
        for probe in probes {
            if probe.is_answered() && probe.is_proven() {
                slowest = probe.span().wrapping_add(1).max(slowest);
            }
        }
        self.slowest = slowest;
    }

    /// The greatest RTT so far, in nanoseconds.
    pub(crate) const fn slowest(&self) -> Option<u64> {
        self.slowest.checked_sub(1)
    }

    /// The end, if it is certain enough to stop at.
    pub(crate) fn certain_end(&self) -> Option<End> {
        self.end.filter(|end| end.evidence == Evidence::Strong)
    }
}

/// A barrier that was not met by what goes farther is weak.
fn weigh(barrier: End, hops: &[Progress], probes: &[Slot]) -> End {
    let is_met = usize::from(barrier.hop) == hops.len() || bars(probes, barrier.hop);
    let evidence = if is_met {
        barrier.evidence
    } else {
        Evidence::Weak
    };
    End {
        evidence,
        ..barrier
    }
}

/// Whether a router that refused what expired at `hop` also refused what was to go farther. Some
/// refuse only the former.
fn bars(probes: &[Slot], hop: u8) -> bool {
    let router = probes
        .iter()
        .filter(|probe| probe.hop() == hop)
        .find_map(Slot::barred_by);
    let mut behind = probes
        .iter()
        .filter(|probe| probe.hop() > hop)
        .filter_map(Slot::barred_by);
    router.is_some_and(|router| behind.any(|other| is_same(router, other)))
}

/// Farther than any hop.
pub(crate) const NOWHERE: u8 = u8::MAX;

/// The loop that the path goes into, after an answer at `hop`: a router that is on it three times,
/// each time with another one in between. Twice could be a change of the path, and one address at
/// hop after hop is a translator that speaks for all behind it. The loop is as well proven as the
/// answers that make it: that of all answers and that of strong ones are looked for in one pass.
///
/// An answer can close a loop of its own router, or come between two answers of a router that is at
/// the nearest hop before it, if it is nearer than `top`; and where it `replaces` another it may
/// take away what made the loop that is `known`: what is new takes nothing away. So these are
/// looked at, and no others: each costs a pass over all probes.
pub(crate) fn find_loop(
    hops: &[Progress],
    probes: &[Slot],
    hop: u8,
    top: u8,
    known: Option<End>,
    replaces: bool,
) -> Option<End> {
    let (mut near, mut surely_near) = (0, 0);
    if hop < top {
        for (number, progress) in (1..hop).zip(hops) {
            if progress.passes.is_some() {
                near = number;
            }
            if progress.passes == Some(Evidence::Strong) {
                surely_near = number;
            }
        }
        // Most often it is one and the same: then one look is enough.
        if surely_near == near {
            surely_near = 0;
        }
    }
    let (mut weak, mut strong) = (NOWHERE, NOWHERE);
    let mut doubtful = 0;
    match known {
        Some(known) if replaces => doubtful = known.hop,
        Some(known) if known.evidence == Evidence::Strong => strong = known.hop,
        Some(known) => weak = known.hop,
        None => {}
    }
    for number in [hop, near, surely_near, doubtful] {
        let Some(progress) = hops.get(usize::from(number).wrapping_sub(1)) else {
            continue;
        };
        let from_first = probes.get(progress.first.into()..).unwrap_or_default();
        let its = from_first.iter().filter(|probe| probe.hop() == number);
        let mut seen = None;
        for router in its.take(progress.sent.into()).filter_map(Slot::passed_by) {
            // Most often it is one and the same at all attempts.
            if seen.is_some_and(|seen| is_same(seen, router)) {
                continue;
            }
            seen = Some(router);
            let (all, sure) = third_visit(probes, router);
            (weak, strong) = (weak.min(all), strong.min(sure));
        }
    }
    let (hop, evidence) = match (weak, strong) {
        (NOWHERE, NOWHERE) => return None,
        (hop, NOWHERE) => (hop, Evidence::Weak),
        (_, hop) => (hop, Evidence::Strong),
    };
    Some(End {
        hop,
        kind: EndKind::Loop,
        evidence,
    })
}

/// The hop where `router` is on the path for the third time, by all answers and by those that are
/// beyond doubt; [`NOWHERE`] if it is not.
// In its caller it takes more room.
#[inline(never)]
pub(crate) fn third_visit(probes: &[Slot], router: &Address) -> (u8, u8) {
    let (mut its, mut others) = ((0, 0), (0, 0));
    for probe in probes {
        let Some(from) = probe.passed_by() else {
            continue;
        };
        let hops = if is_same(from, router) {
            &mut its
        } else {
            &mut others
        };
        let hop = 1u64.wrapping_shl(u32::from(probe.hop()).wrapping_sub(1));
        hops.0 |= hop;
        if probe.changes().evidence() == Evidence::Strong {
            hops.1 |= hop;
        }
    }
    (third(its.0, others.0), third(its.1, others.1))
}

/// The third of `its` hops that are not next to each other: there are hops of `others` in between.
/// Both are sets, with a bit for each hop.
#[inline(never)]
fn third(its: u64, others: u64) -> u8 {
    let (mut wanted, mut between) = (its, others);
    // It, another, it, another, it.
    for _ in 0..4 {
        let nearest = wanted & wanted.wrapping_neg();
        let behind = nearest.wrapping_neg() ^ nearest;
        (wanted, between) = (between & behind, wanted & behind);
    }
    match wanted.trailing_zeros() {
        64.. => NOWHERE,
        before => u8::try_from(before).unwrap_or(NOWHERE).saturating_add(1),
    }
}

/// Probes to the target's hop, and those that went past it: each that the target answers is as good
/// a sample.
#[derive(Clone, Copy)]
pub(crate) struct Samples {
    /// Those that were answered.
    pub(crate) heard: u8,
    /// Those that were answered beyond doubt.
    pub(crate) sure: u8,
    /// Those that are on their way.
    pub(crate) waiting: u8,
}

/// Everything that [`plan`](crate::plan) and [`patience`](crate::patience) decide upon.
#[derive(Clone, Copy)]
pub(crate) struct View<'a> {
    pub(crate) config: &'a Config,
    pub(crate) probes: &'a [Slot],
    pub(crate) hops: &'a [Progress],
    pub(crate) path: &'a Path,
    /// Probes that may still be sent.
    pub(crate) room: usize,
}

impl View<'_> {
    #[inline(never)]
    pub(crate) fn progress(&self, hop: u8) -> &Progress {
        self.hops
            .get(usize::from(hop).wrapping_sub(1))
            .unwrap_or(&Progress::NONE)
    }

    #[inline(never)]
    pub(crate) fn sent_at(&self, index: u16) -> Instant {
        self.probes
            .get(usize::from(index))
            .map_or(Instant::EPOCH, Slot::sent)
    }

    /// Returns when the last of the first probes to these hops left: of all, or of those that are
    /// silent; [`NEVER`](Instant::NEVER) if there are none.
    #[inline(never)]
    pub(crate) fn last_first(&self, hops: &[Progress], only_silent: bool) -> Instant {
        let mut last = Instant::NEVER;
        for progress in hops {
            let sent = self.sent_at(progress.first);
            if (progress.heard == 0 || !only_silent) && (last == Instant::NEVER || sent > last) {
                last = sent;
            }
        }
        last
    }

    /// Counts the samples of the target.
    // In its callers it takes more room.
    #[inline(never)]
    pub(crate) fn samples(&self, target: End) -> Samples {
        let at = self.progress(target.hop);
        let mut samples = Samples {
            heard: at.heard,
            sure: at.sure,
            waiting: at.waiting,
        };
        for past in self.behind(target.hop) {
            samples.heard = samples.heard.saturating_add(past.reached);
            samples.sure = samples.sure.saturating_add(past.surely_reached);
            samples.waiting = samples.waiting.saturating_add(past.waiting);
        }
        samples
    }

    /// The hops behind `hop`.
    #[inline(never)]
    pub(crate) fn behind(&self, hop: u8) -> &[Progress] {
        self.hops.get(hop.into()..).unwrap_or_default()
    }

    /// The hops behind `hop`, up to `last`.
    #[inline(never)]
    pub(crate) fn between(&self, hop: u8, last: u8) -> &[Progress] {
        self.hops.get(hop.into()..last.into()).unwrap_or_default()
    }
}
