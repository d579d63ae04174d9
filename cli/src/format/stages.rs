//! What tables and pictures show of a route: its hops, summed up.

use crate::names::Names;
use crate::reading::{appended, failure, is_target, last_heard, mark};
use hopshot_linux::document::{Figures, milliseconds};
use hopshot_linux::{Hop, Loss, Reply, Route, failure_text};
use std::net::IpAddr;
use std::time::Duration;

/// A hop; or several, where none of those at the end of the path answered and the reason is the
/// same.
pub(super) struct Stage {
    pub(super) first: u8,
    pub(super) last: u8,
    /// Probes that were answered, also by what proves nothing, and that were not.
    pub(super) answered: usize,
    pub(super) lost: usize,
    /// What to say where nobody answered: why a probe did not get out of this machine, or that
    /// none was sent.
    pub(super) instead: Option<String>,
    /// The hosts that answered, in the order of sending.
    pub(super) places: Vec<Place>,
}

/// An address that answered at a hop.
pub(super) struct Place {
    pub(super) address: IpAddr,
    pub(super) name: Option<String>,
    /// The AS that it belongs to, such as `AS64500 EXAMPLE-NET`.
    pub(super) origin: Option<String>,
    /// The fastest first.
    pub(super) rtts: Vec<Duration>,
    /// Such as `!H`, where it said that there is no way further; with `?` at its end, or alone,
    /// where nothing proves that.
    pub(super) mark: String,
    pub(super) is_target: bool,
    /// Extensions that it appended to its answers, each once.
    pub(super) appended: Vec<String>,
}

/// The hops of a route, as far as any answered; those behind are one stage for each reason.
pub(super) fn stages(route: &Route, names: &Names) -> Vec<Stage> {
    let last_heard = last_heard(route.hops());
    let mut shared: Vec<Stage> = Vec::new();
    for hop in route.shared() {
        match shared.last_mut() {
            Some(before) if before.places.is_empty() && hop.from.is_none() => before.last = hop.hop,
            _ => shared.push(Stage::shared(hop.hop, hop.from, names)),
        }
    }
    let mut stages: Vec<Stage> = Vec::new();
    for hop in route.hops() {
        let stage = Stage::new(route, hop, names);
        match stages.last_mut() {
            Some(before) if before.first > last_heard && before.instead == stage.instead => {
                before.join(&stage);
            }
            _ => stages.push(stage),
        }
    }
    shared.append(&mut stages);
    shared
}

impl Stage {
    /// A hop that was not probed, because the path begins as those to other hosts do.
    fn shared(hop: u8, router: Option<IpAddr>, names: &Names) -> Self {
        let places: Vec<_> = router
            .map(|router| Place::new(router, names))
            .into_iter()
            .collect();
        Self {
            first: hop,
            last: hop,
            answered: 0,
            lost: 0,
            instead: Some("shared".to_owned()),
            places,
        }
    }

    fn new(route: &Route, hop: Hop<'_>, names: &Names) -> Self {
        let mut places: Vec<Place> = Vec::new();
        for reply in hop.replies() {
            match places.iter_mut().find(|place| place.address == reply.from) {
                Some(place) => place.add(&reply),
                None => {
                    let is_target = is_target(hop, reply.from);
                    let mut place = Place {
                        is_target,
                        ..Place::new(reply.from, names)
                    };
                    place.add(&reply);
                    places.push(place);
                }
            }
        }
        for place in &mut places {
            place.rtts.sort_unstable();
            let replies = hop.replies().filter(|reply| reply.from == place.address);
            place.appended = appended(replies.map(|reply| route.extensions(reply.probe)));
        }
        Self {
            first: hop.number(),
            last: hop.number(),
            answered: hop.replies().count(),
            lost: Figures::from(hop).lost,
            instead: failure(hop).map(failure_text),
            places,
        }
    }

    fn join(&mut self, next: &Self) {
        self.last = next.last;
        self.lost += next.lost;
    }

    /// Its number, or the first and the last.
    pub(super) fn number(&self) -> String {
        match self.first == self.last {
            true => self.first.to_string(),
            false => format!("{}-{}", self.first, self.last),
        }
    }

    /// Whether nobody proves to be there of those who answered.
    pub(super) fn is_unproven(&self) -> bool {
        self.places.iter().any(Place::is_unproven)
    }

    /// The share of its probes that were lost, in per cent.
    pub(super) fn loss(&self) -> Option<f64> {
        let probes = self.answered + self.lost;
        (probes > 0).then(|| self.lost as f64 * 100.0 / probes as f64)
    }
}

impl Place {
    fn new(address: IpAddr, names: &Names) -> Self {
        Self {
            address,
            name: names.of(address),
            origin: names.origin(address).map(|origin| origin.with_name()),
            rtts: Vec::new(),
            mark: String::new(),
            is_target: false,
            appended: Vec::new(),
        }
    }

    fn add(&mut self, reply: &Reply) {
        self.rtts.push(reply.rtt);
        let mark = mark(reply);
        if self.mark.is_empty() || !self.is_stop() && mark.starts_with('!') {
            self.mark = mark;
        }
    }

    /// Whether it said that there is no way further.
    pub(super) fn is_stop(&self) -> bool {
        self.mark.starts_with('!')
    }

    /// Whether it didn't prove that it is there.
    pub(super) fn is_unproven(&self) -> bool {
        self.mark.ends_with('?')
    }

    /// In milliseconds.
    pub(super) fn best(&self) -> f64 {
        self.rtts.first().map_or(0.0, |rtt| milliseconds(*rtt))
    }

    pub(super) fn worst(&self) -> f64 {
        self.rtts.last().map_or(0.0, |rtt| milliseconds(*rtt))
    }

    /// The one in the middle, or between the two there.
    pub(super) fn median(&self) -> f64 {
        let figures = Figures::new(self.rtts.clone(), Loss::default());
        figures.median_ms.unwrap_or(0.0)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn hops_that_are_joined_lose_their_probes_together() {
        let silent = |number| Stage {
            first: number,
            last: number,
            answered: 0,
            lost: 3,
            instead: None,
            places: Vec::new(),
        };
        let mut stage = silent(4);
        assert_eq!((stage.number().as_str(), stage.loss()), ("4", Some(100.0)));
        stage.join(&silent(5));
        assert_eq!(
            (stage.number().as_str(), stage.lost, stage.loss()),
            ("4-5", 6, Some(100.0))
        );
    }
}
