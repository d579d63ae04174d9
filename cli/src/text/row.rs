//! What there is to say of a hop: a row for each address that answered.

use super::paint::{Jump, Style};
use crate::inside::Inside;
use crate::names::{Names, Origin};
use crate::reading::{PortState, appended, failed, failure, is_target, local_mark, mark};
use hopshot_linux::extensions::OwnedExtensions;
use hopshot_linux::survey::SharedHop;
use hopshot_linux::{Changes, Hop, Outcome, ProbeId, ProbeProtocol, Route, TargetAnswer};
use std::net::IpAddr;
use std::time::Duration;

/// A hop, or a further address at the same hop.
pub(super) struct Row {
    /// Of the hop, in its first row.
    pub(super) number: Option<u8>,
    /// The letters of one of several nodes at the same hop; empty where there is one.
    pub(super) branch: String,
    pub(super) host: Option<Host>,
    /// The text in place of times where no host answered.
    pub(super) instead: String,
    pub(super) cells: Vec<Cell>,
    /// Of number and host.
    pub(super) style: Style,
    /// Further notes on the host, a few words each.
    pub(super) notes: Vec<String>,
    /// Extensions that routers appended to their answers.
    pub(super) appended: Vec<String>,
}

/// A host that answered.
pub(crate) struct Host {
    pub(super) name: Option<String>,
    pub(super) address: String,
    /// The AS of the address.
    pub(super) origin: Option<Origin>,
}

impl Host {
    /// Returns all that is known of an address.
    pub(crate) fn new(address: IpAddr, names: &Names) -> Self {
        Self {
            name: names.of(address),
            address: address.to_string(),
            origin: names.origin(address),
        }
    }

    /// The same, without its name.
    pub(crate) fn nameless(self) -> Self {
        Self { name: None, ..self }
    }
}

/// A doubt that it is the target that answers.
#[derive(Clone, Copy, Debug)]
pub(super) enum Doubt {
    No,
    /// It may be a proxy.
    Perhaps,
    /// It is a proxy.
    Certain,
}

impl Doubt {
    /// Returns the doubt that there is when a trace has ended; `None` if it was interrupted before
    /// that was known.
    pub(super) fn of(route: &Route) -> Option<Self> {
        match route.proxy() {
            None => route.is_checked().then_some(Self::No),
            Some(proxy) if proxy.is_certain => Some(Self::Certain),
            Some(_) => Some(Self::Perhaps),
        }
    }
}

/// An attempt.
pub(super) enum Cell {
    /// The time, how it compares, and a mark such as `!H`.
    Time {
        rtt: Duration,
        style: Style,
        mark: String,
    },
    /// It is as conspicuous as it means something: a router may limit its answers.
    Lost(Style),
    /// With a mark that the reason is found by.
    Failed(String),
    InFlight,
}

impl Cell {
    /// Whether it was answered.
    pub(super) const fn is_answer(&self) -> bool {
        matches!(self, Self::Time { .. })
    }

    /// How it is shown, if it was lost.
    pub(super) const fn lost(&self) -> Option<Style> {
        match self {
            Self::Lost(style) => Some(*style),
            Self::Time { .. } | Self::Failed(_) | Self::InFlight => None,
        }
    }
}

impl Row {
    /// Says one thing more.
    pub(super) fn note(&mut self, note: &str) {
        match &self.host {
            Some(_) => self.notes.push(note.to_owned()),
            None => self.instead = format!("{}  {note}", self.instead),
        }
    }

    pub(super) fn bare(number: u8, instead: String) -> Self {
        let (host, cells, style) = (None, Vec::new(), Style::Faint);
        let (branch, notes, appended) = (String::new(), Vec::new(), Vec::new());
        Self {
            number: Some(number),
            branch,
            host,
            instead,
            cells,
            style,
            notes,
            appended,
        }
    }
}

/// The row of a hop that was not probed, because the path begins as those to other hosts do; `None`
/// if no router is known there.
pub(super) fn shared(shared: &SharedHop, names: &Names) -> Option<Row> {
    let host = Some(Host::new(shared.from?, names));
    let notes = vec![format!("shared: {} of {}", shared.seen, shared.of)];
    Some(Row {
        host,
        notes,
        ..Row::bare(shared.hop, String::new())
    })
}

/// The rows of a hop. `before` is the fastest answer of the hop before, and becomes that of this
/// one. Nothing is said of the target's port until it is known whether a proxy answers for it.
pub(super) fn rows<'e>(
    hop: Hop<'_>,
    target: IpAddr,
    protocol: ProbeProtocol,
    doubt: Option<Doubt>,
    names: &Names,
    before: &mut Duration,
    extensions: impl Fn(ProbeId) -> &'e OwnedExtensions,
) -> Vec<Row> {
    let mut addresses: Vec<IpAddr> = Vec::new();
    for reply in hop.replies() {
        if !addresses.contains(&reply.from) {
            addresses.push(reply.from);
        }
    }
    let Some(first) = addresses.first().copied() else {
        let waiting = !hop.is_settled();
        return vec![Row::bare(
            hop.number(),
            match failure(hop) {
                Some(failure) => failed(failure),
                None if waiting => String::new(),
                None => "*".to_owned(),
            },
        )];
    };
    // A firewall that knows connections looks the same.
    let is_limited = hop.may_be_rate_limited() && !protocol.is_tcp();
    let loss = if is_limited {
        Style::Faint
    } else {
        Style::Yellow
    };
    let jump = Jump::from(*before);
    *before = hop.best().unwrap_or(*before);
    let row = |address: IpAddr| {
        let is_first = address == first;
        let replies = || hop.replies().filter(move |reply| reply.from == address);
        let fastest = replies().map(|reply| reply.rtt).min();
        let cell = |outcome| match outcome {
            Outcome::Answered(reply) if reply.from == address => Some(Cell::Time {
                rtt: reply.rtt,
                style: if Some(reply.rtt) == fastest {
                    jump.style(reply.rtt)
                } else {
                    Style::Faint
                },
                mark: if protocol.target_answer(&reply) == Some(TargetAnswer::Ack) {
                    "ack".to_owned()
                } else {
                    mark(&reply)
                },
            }),
            Outcome::Lost if is_first => Some(Cell::Lost(loss)),
            Outcome::Failed(failure) if is_first => Some(Cell::Failed(local_mark(failure))),
            Outcome::InFlight if is_first => Some(Cell::InFlight),
            _ => None,
        };
        let mut notes = Vec::new();
        if is_first && is_limited {
            notes.push("rate limited?".to_owned());
        }
        if is_target(hop, address) && replies().any(|reply| reply.changes.contains(Changes::SENDER))
        {
            notes.push(format!("answers for {target}"));
        }
        if is_target(hop, address) {
            // Several, where they are of several servers.
            let states = replies().filter_map(|reply| PortState::of_reply(protocol, &reply));
            for state in states {
                let state = match doubt {
                    Some(Doubt::No) => state.to_string(),
                    Some(Doubt::Perhaps) => format!("[{}?]", state.as_str()),
                    Some(Doubt::Certain) => PortState::Proxied.to_string(),
                    None => continue,
                };
                if !notes.contains(&state) {
                    notes.push(state);
                }
            }
        }
        notes.extend(Inside::of(address).map(|inside| inside.to_string()));
        Row {
            number: is_first.then_some(hop.number()),
            branch: String::new(),
            host: Some(Host::new(address, names)),
            instead: String::new(),
            cells: hop.outcomes().filter_map(cell).collect(),
            style: if is_target(hop, address) {
                Style::Strong
            } else {
                Style::Plain
            },
            notes,
            appended: appended(replies().map(|reply| extensions(reply.probe))),
        }
    };
    addresses.into_iter().map(row).collect()
}
