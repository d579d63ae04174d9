//! The meaning of the next hop's state for a trace that hears nobody.

use crate::link::{Link, Neighbour, NextHop, Way};
use hopshot_core::Instant;
use std::time::Duration;

/// A kernel asks for a neighbour three times, a second apart, and then says that nobody is there.
const LONGEST: Duration = Duration::from_millis(3_600);
/// After this time two of three questions have gone without an answer.
pub(crate) const DOUBTFUL: Duration = Duration::from_secs(2);
/// Between two looks at the state.
const LOOK: Duration = Duration::from_millis(50);

/// How long a trace that has heard nothing waits for the kernel to find out.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Patience {
    /// Until the kernel's verdict.
    Verdict,
    /// No longer than its timeout, which somebody chose.
    Timeout,
    /// No longer than its timeout, since others wait for its place: a neighbour that has left two
    /// questions without an answer is taken for missing.
    Doubt,
}

/// The meaning of a neighbour's state for a trace that has heard nothing in time.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Verdict {
    /// The kernel is about to tell: look again then.
    Pending(Instant),
    /// Nobody is there.
    Unreachable,
    /// Nobody is there, and it is the gateway: what is behind it can't be reached either.
    NoGateway,
    /// It isn't to blame.
    Innocent,
}

const fn is_missed(next_hop: NextHop) -> bool {
    matches!(next_hop.neighbour, Neighbour::Sought | Neighbour::Missing)
}

/// Returns whether the next hop is being asked for, or didn't answer. The kernel may forget that
/// before the trace's time is over.
pub(crate) fn was_missed<L: Link>(link: &L, way: Way) -> bool {
    link.next_hop(way).is_some_and(is_missed)
}

/// Returns whether the next hop may be missing when this machine calls a host unreachable: then it
/// has just been asked for. Where the kernel doesn't tell, it may.
pub(crate) fn may_be_missing<L: Link>(link: &L, way: Way) -> bool {
    link.next_hop(way).is_none_or(is_missed)
}

/// Returns whether packets go to a gateway, as far as is known.
pub(crate) fn is_gateway<L: Link>(link: &L, way: Way) -> bool {
    link.next_hop(way)
        .is_some_and(|next_hop| next_hop.is_gateway)
}

/// Judges why a trace has heard nothing since its first probe left. `was_missed` is whether the
/// next hop [was missed](was_missed) earlier.
pub(crate) fn judge(
    next_hop: Option<NextHop>,
    left: Instant,
    now: Instant,
    patience: Patience,
    was_missed: bool,
) -> Verdict {
    let waited = now.saturating_since(left);
    let Some(NextHop {
        is_gateway,
        neighbour,
    }) = next_hop
    else {
        return Verdict::Innocent;
    };
    let missing = if is_gateway {
        Verdict::NoGateway
    } else {
        Verdict::Unreachable
    };
    match (neighbour, patience) {
        (Neighbour::Missing, _) => missing,
        // Who was found would have an entry.
        (Neighbour::Unknown, _) if was_missed => missing,
        (Neighbour::Sought, Patience::Verdict) if waited < LONGEST => {
            Verdict::Pending(now.saturating_add(LOOK))
        }
        (Neighbour::Sought, Patience::Doubt) if waited >= DOUBTFUL => missing,
        _ => Verdict::Innocent,
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use Neighbour::{Missing, Other, Sought, Unknown};

    const PATIENCES: [Patience; 3] = [Patience::Verdict, Patience::Timeout, Patience::Doubt];

    /// The verdict on a neighbour, or a gateway, after so many milliseconds.
    fn verdict(
        is_gateway: bool,
        neighbour: Neighbour,
        waited: u64,
        patience: Patience,
        was_missed: bool,
    ) -> Verdict {
        let next_hop = Some(NextHop {
            is_gateway,
            neighbour,
        });
        judge(
            next_hop,
            Instant::from_millis(1_000),
            Instant::from_millis(1_000 + waited),
            patience,
            was_missed,
        )
    }

    #[test]
    fn who_did_not_answer_is_to_blame_whatever_the_patience() {
        for (is_gateway, expected) in [(false, Verdict::Unreachable), (true, Verdict::NoGateway)] {
            for patience in PATIENCES {
                assert_eq!(verdict(is_gateway, Missing, 500, patience, false), expected);
                assert_eq!(
                    verdict(is_gateway, Unknown, 5_000, patience, true),
                    expected,
                    "forgotten since"
                );
                assert_eq!(
                    verdict(is_gateway, Unknown, 5_000, patience, false),
                    Verdict::Innocent
                );
                assert_eq!(
                    verdict(is_gateway, Other, 5_000, patience, true),
                    Verdict::Innocent
                );
            }
        }
    }

    #[test]
    fn who_is_being_asked_for_is_waited_for_as_the_patience_permits() {
        let verdict = |waited, patience| verdict(false, Sought, waited, patience, false);
        let pending = Verdict::Pending(Instant::from_millis(3_000).saturating_add(LOOK));
        assert_eq!(verdict(2_000, Patience::Verdict), pending);
        assert_eq!(
            verdict(3_600, Patience::Verdict),
            Verdict::Innocent,
            "the kernel has not told in time"
        );
        assert_eq!(verdict(2_000, Patience::Timeout), Verdict::Innocent);
        assert_eq!(verdict(1_999, Patience::Doubt), Verdict::Innocent);
        assert_eq!(verdict(2_000, Patience::Doubt), Verdict::Unreachable);
    }

    #[test]
    fn where_the_machine_does_not_tell_nobody_is_to_blame() {
        for patience in PATIENCES {
            let verdict = judge(
                None,
                Instant::EPOCH,
                Instant::from_millis(9_000),
                patience,
                true,
            );
            assert_eq!(verdict, Verdict::Innocent);
        }
    }
}
