//! The distance of a target, as far as the probes before it have left this machine.

use hopshot_core::{Outcome, RouteView};

/// A distance, as far as it is known.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Distance {
    Unknown,
    /// The target answered from some hop, but no probe to the hop before that ever left: it may be
    /// nearer.
    AtMost,
    Exactly(u8),
}

/// Returns the distance of a route's target.
pub(crate) fn distance(route: &RouteView<'_>) -> Distance {
    let Some(distance) = route.distance() else {
        return Distance::Unknown;
    };
    let is_failed = |outcome: &Outcome| matches!(outcome, Outcome::Failed(_));
    let before = route.hops().find(|hop| hop.number() + 1 == distance);
    let is_doubtful = before.is_some_and(|hop| {
        hop.outcomes().next().is_some() && hop.outcomes().all(|it| is_failed(&it))
    });
    if is_doubtful {
        Distance::AtMost
    } else {
        Distance::Exactly(distance)
    }
}
