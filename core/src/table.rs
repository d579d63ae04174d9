//! What the tracer remembers: every probe in the order of sending, a summary per hop, and what they say about the path.

use crate::answer::Kind;
use crate::config::Config;
use crate::probe::{Changes, Evidence};
use crate::time::Instant;
use core::net::IpAddr;
use core::time::Duration;

/// Why a probe could not be sent: a number of the caller's own, an `errno` on Linux.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
#[cfg_attr(feature = "defmt", derive(defmt::Format))]
pub struct SendError(pub u16);

/// Why a probe failed on this machine, or on its way out of it.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
#[cfg_attr(feature = "defmt", derive(defmt::Format))]
pub enum Failure {
    /// It could not be sent: [`Tracer::fail`](crate::Tracer::fail) was called.
    Send(SendError),
    /// This machine reported it unreachable to itself, in an ICMP error from its own address: nobody answers on the link
    /// (ARP, Neighbor Discovery), or a local firewall rejects it. That is no hop.
    Local {
        /// The ICMP type.
        icmp_type: u8,
        /// The ICMP code.
        icmp_code: u8,
    },
}

/// A probe that was sent.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Probe {
    pub(crate) hop: u8,
    pub(crate) attempt: u8,
    pub(crate) sent: Instant,
    pub(crate) state: State,
}

#[derive(Clone, Copy, Debug)]
pub(crate) enum State {
    InFlight,
    /// Given up; an answer still counts if it comes.
    Lost,
    Failed(Failure),
    Answered(Answered),
}

/// The best answer to a probe so far.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Answered {
    pub(crate) received: Instant,
    pub(crate) from: IpAddr,
    pub(crate) kind: Kind,
    pub(crate) icmp_type: u8,
    pub(crate) icmp_code: u8,
    pub(crate) mtu: Option<u16>,
    pub(crate) hop_limit: Option<u8>,
    pub(crate) quoted_hop_limit: Option<u8>,
    pub(crate) quoted_traffic_class: Option<u8>,
    pub(crate) changes: Changes,
}

/// A hop, summed up.
#[derive(Clone, Copy, Debug, Default)]
pub(crate) struct Progress {
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
    /// The best evidence that this hop is the target.
    pub(crate) target: Option<Evidence>,
    /// The best evidence that a router here lets nothing through.
    pub(crate) barred: Option<Evidence>,
    /// The indexes of the first and the last probe.
    pub(crate) first: u16,
    pub(crate) last: u16,
}

impl Progress {
    /// Sums up the probes sent to `hop`.
    pub(crate) fn of(hop: u8, target: IpAddr, probes: &[Probe]) -> Self {
        let mut progress = Self::default();
        for (index, probe) in (0..).zip(probes).filter(|(_, probe)| probe.hop == hop) {
            if progress.sent == 0 {
                progress.first = index;
            }
            progress.last = index;
            progress.sent = progress.sent.saturating_add(1);
            match probe.state {
                State::InFlight => progress.waiting = progress.waiting.saturating_add(1),
                State::Lost | State::Failed(_) => {}
                State::Answered(answer) => {
                    progress.heard = progress.heard.saturating_add(1);
                    if answer.changes.evidence() == Evidence::Strong {
                        progress.sure = progress.sure.saturating_add(1);
                    }
                    let shows = match answer.kind {
                        Kind::TimeExceeded => &mut progress.passes,
                        Kind::EchoReply => &mut progress.target,
                        Kind::Unreachable if answer.from == target => &mut progress.target,
                        Kind::Unreachable => &mut progress.barred,
                    };
                    *shows = (*shows).max(Some(answer.changes.evidence()));
                }
            }
        }
        progress
    }
}

/// Where a path ends.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct End {
    pub(crate) hop: u8,
    pub(crate) kind: EndKind,
    pub(crate) evidence: Evidence,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum EndKind {
    /// The target answered from here.
    Target,
    /// From here on routers come back that were on the path before.
    Loop,
    /// A router here lets nothing through, and nothing came from behind it.
    Barrier,
}

/// What the answers say about the path.
#[derive(Clone, Copy, Debug, Default)]
pub(crate) struct Path {
    /// The farthest hop that passed a probe on; 0 before any did.
    pub(crate) top: u8,
    /// The same, beyond doubt.
    pub(crate) sure_top: u8,
    pub(crate) end: Option<End>,
    /// The greatest RTT so far.
    pub(crate) slowest: Option<Duration>,
}

impl Path {
    /// The nearest end against which no answer speaks: the target's own word stands against all others, a weak one only where
    /// no router answered from there on, a barrier only where no router as well proven answered from behind it.
    pub(crate) fn survey(hops: &[Progress], probes: &[Probe]) -> Self {
        let numbered = || (1u8..).zip(hops);
        // The best evidence that the path goes on behind a hop's predecessor.
        let passes_from =
            |hop: u8| hops.iter().skip(usize::from(hop).saturating_sub(1)).filter_map(|hop| hop.passes).max();
        let target = |least: Evidence| {
            let mut found = numbered().filter(|(_, progress)| progress.target >= Some(least));
            found.find_map(|(hop, progress)| {
                let evidence = progress.target?;
                let stands = evidence == Evidence::Strong || passes_from(hop).is_none();
                stands.then_some(End { hop, kind: EndKind::Target, evidence })
            })
        };
        let passed = |least: Evidence| {
            let passing = numbered().filter(|(_, progress)| progress.passes >= Some(least));
            passing.map(|(hop, _)| hop).last().unwrap_or(0)
        };
        let barrier = || {
            numbered().find_map(|(hop, progress)| {
                let evidence = progress.barred?;
                let stands = Some(evidence) > passes_from(hop.saturating_add(1));
                stands.then_some(End { hop, kind: EndKind::Barrier, evidence })
            })
        };
        Self {
            top: passed(Evidence::Weak),
            sure_top: passed(Evidence::Strong),
            end: target(Evidence::Strong)
                .or_else(|| target(Evidence::Weak))
                .or_else(|| find_loop(probes, Evidence::Strong))
                .or_else(|| find_loop(probes, Evidence::Weak))
                .or_else(barrier),
            slowest: probes.iter().filter_map(Probe::rtt).max(),
        }
    }

    /// The end, if it is certain enough to stop at.
    pub(crate) fn certain_end(&self) -> Option<End> {
        self.end.filter(|end| end.evidence == Evidence::Strong)
    }
}

/// A loop: a router that is on the path three times, each time with another one in between. Twice could be a change of the
/// path, and one address at hop after hop is a translator that speaks for all behind it. All the answers that make it are at
/// least as well proven as `evidence`.
fn find_loop(probes: &[Probe], evidence: Evidence) -> Option<End> {
    let passed = || {
        probes.iter().filter_map(|probe| match probe.state {
            State::Answered(answer) if answer.kind == Kind::TimeExceeded && answer.changes.evidence() >= evidence => {
                Some((probe.hop, answer))
            }
            _ => None,
        })
    };
    // The next hop after `hop` where this router answered again, and another one before that.
    let again = |hop: u8, router: IpAddr| {
        let between = passed().filter(|(at, answer)| *at > hop && answer.from != router).map(|(at, _)| at).min()?;
        passed().filter(|(at, answer)| *at > between && answer.from == router).map(|(at, _)| at).min()
    };
    let loops = passed().filter_map(|(hop, answer)| {
        let third = again(again(hop, answer.from)?, answer.from)?;
        Some(End { hop: third, kind: EndKind::Loop, evidence })
    });
    loops.min_by_key(|end| end.hop)
}

impl Probe {
    /// Whether an answer would still tell more.
    pub(crate) fn may_improve(&self) -> bool {
        match self.state {
            State::InFlight => true,
            State::Answered(answer) => answer.changes.evidence() == Evidence::Weak,
            State::Lost | State::Failed(_) => false,
        }
    }

    pub(crate) fn rtt(&self) -> Option<Duration> {
        match self.state {
            State::Answered(answer) => Some(answer.received.saturating_since(self.sent)),
            State::InFlight | State::Lost | State::Failed(_) => None,
        }
    }
}

/// Everything that [`plan`](crate::plan) and [`patience`](crate::patience) decide upon.
#[derive(Clone, Copy)]
pub(crate) struct View<'a> {
    pub(crate) config: &'a Config,
    pub(crate) probes: &'a [Probe],
    pub(crate) hops: &'a [Progress],
    pub(crate) path: &'a Path,
    /// Nothing more is expected from the probes sent so far.
    pub(crate) quiet: bool,
    /// How many more probes may be sent.
    pub(crate) room: usize,
}

impl View<'_> {
    pub(crate) fn progress(&self, hop: u8) -> Progress {
        self.hops.get(usize::from(hop).wrapping_sub(1)).copied().unwrap_or_default()
    }

    pub(crate) fn sent_at(&self, index: u16) -> Instant {
        self.probes.get(usize::from(index)).map_or(Instant::EPOCH, |probe| probe.sent)
    }

    /// How often the target has answered: whatever goes past it reaches it too, and is as good a sample.
    pub(crate) fn samples_heard(&self, end: End) -> u8 {
        self.from(end).fold(0, |sum, progress| sum.saturating_add(progress.heard))
    }

    /// How often the target has answered beyond doubt.
    pub(crate) fn samples_sure(&self, end: End) -> u8 {
        self.from(end).fold(0, |sum, progress| sum.saturating_add(progress.sure))
    }

    /// How many probes are on their way to the target, or past it.
    pub(crate) fn samples_in_flight(&self, end: End) -> u8 {
        self.from(end).fold(0, |sum, progress| sum.saturating_add(progress.waiting))
    }

    fn from(&self, end: End) -> impl Iterator<Item = &Progress> {
        self.hops.iter().skip(usize::from(end.hop).saturating_sub(1))
    }
}
