//! Events of a path while it is watched, and of the port at its end: changes, and outages of
//! this machine's network.

use crate::reading::PortState;
use crate::units::date;
use std::fmt;
use std::net::IpAddr;
use std::time::SystemTime;

/// A difference at a hop since before.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Mark {
    /// Another address answers than before.
    Changed,
    /// It was silent, or not there, before.
    Up,
    /// It answered before, and doesn't any more.
    Gone,
}

impl Mark {
    /// Its name in JSON.
    pub(crate) const fn as_str(self) -> &'static str {
        match self {
            Self::Changed => "changed",
            Self::Up => "up",
            Self::Gone => "gone",
        }
    }

    pub(crate) const fn sign(self) -> char {
        match self {
            Self::Changed => '~',
            Self::Up => '+',
            Self::Gone => '-',
        }
    }
}

/// A change of the path.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Change {
    pub(crate) round: u32,
    /// From this hop to this: neighbours to whom the same happened.
    pub(crate) hops: (u8, u8),
    pub(crate) event: Event,
}

/// A change of the state of the target's port.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct PortChange {
    pub(crate) round: u32,
    pub(crate) before: PortState,
    pub(crate) after: PortState,
}

impl fmt::Display for PortChange {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self {
            round,
            before,
            after,
        } = self;
        write!(
            f,
            "round {round}: the port has become {after}, was {before}"
        )
    }
}

/// A change of the path or of the target's port, or an outage of this machine's network.
#[derive(Clone, Copy, Debug)]
pub(crate) enum Incident<'h> {
    Change(&'h Change),
    Port(&'h PortChange),
    Outage(&'h Outage),
}

impl Incident<'_> {
    pub(super) const fn round(self) -> u32 {
        match self {
            Self::Change(change) => change.round,
            Self::Port(change) => change.round,
            Self::Outage(outage) => outage.first,
        }
    }
}

impl fmt::Display for Incident<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Change(change) => change.fmt(f),
            Self::Port(change) => change.fmt(f),
            Self::Outage(outage) => outage.fmt(f),
        }
    }
}

/// The kind of a change.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Event {
    /// The second address answers in place of the first; it may have done so before.
    Address(IpAddr, IpAddr),
    Up,
    Gone,
}

impl Event {
    /// The mark that a hop gets for it.
    pub(crate) const fn mark(self) -> Mark {
        match self {
            Self::Address(..) => Mark::Changed,
            Self::Up => Mark::Up,
            Self::Gone => Mark::Gone,
        }
    }
}

impl fmt::Display for Change {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let (hops, verb) = match self.hops {
            (first, last) if first == last => (format!("hop {first}"), "has"),
            (first, last) => (format!("hops {first} to {last}"), "have"),
        };
        write!(f, "round {}: {hops} ", self.round)?;
        match self.event {
            Event::Address(before, after) => write!(f, "{verb} become {after}, was {before}"),
            Event::Up => write!(f, "{verb} come up"),
            Event::Gone => write!(f, "{verb} vanished"),
        }
    }
}

/// Rounds on end of which nothing left this machine. They are no loss of the path.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Outage {
    pub(crate) first: u32,
    pub(crate) last: u32,
    /// Why, in so many of its rounds: the first reason first.
    pub(super) reasons: Vec<(String, u32)>,
    pub(crate) began: Option<SystemTime>,
    /// When the first round began of which something left again.
    pub(crate) ended: Option<SystemTime>,
    pub(super) is_over: bool,
}

impl Outage {
    pub(crate) const fn rounds(&self) -> u32 {
        self.last - self.first + 1
    }

    /// Why, in most of its rounds: the first of several that were as frequent.
    pub(crate) fn reason(&self) -> &str {
        self.reasons
            .iter()
            .rev()
            .max_by_key(|(_, rounds)| *rounds)
            .map_or("", |(reason, _)| reason.as_str())
    }

    pub(super) fn count(&mut self, reason: &str) {
        match self.reasons.iter_mut().find(|(before, _)| before == reason) {
            Some((_, rounds)) => *rounds += 1,
            None => self.reasons.push((reason.to_owned(), 1)),
        }
    }
}

impl fmt::Display for Outage {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match (self.first, self.last) {
            (first, last) if first == last => write!(f, "round {first}")?,
            (first, last) => write!(f, "rounds {first} to {last}")?,
        }
        write!(f, ": nothing left this machine ({})", self.reason())?;
        match (self.began, self.ended) {
            (Some(began), Some(ended)) => write!(f, ", from {} to {}", date(began), date(ended)),
            (Some(began), None) => write!(f, ", since {}", date(began)),
            (None, _) => Ok(()),
        }
    }
}
