//! What is printed when the watch has ended: everything that was counted, as a table or as a JSON
//! document.

use super::history::{Change, Event, History, Hop, Incident, Mark, Outage, PortChange};
use super::layout::Layout;
use crate::console::is_unicode;
use crate::format::json::Known;
use crate::format::settings::VERSION;
use crate::inside::Inside;
use crate::names::Names;
use crate::reading::PortState;
use crate::text::Host;
use crate::units::{A_FLOW_EACH, date, port_with_state};
use hopshot_linux::ProbeProtocol;
use hopshot_linux::document::{Annotate as _, Target, milliseconds, timestamp};
use serde::Serialize;
use std::net::IpAddr;
use std::time::{Duration, SystemTime};

/// A watch that has ended.
pub(crate) struct Report<'a> {
    pub(crate) host: &'a str,
    pub(crate) target: IpAddr,
    pub(crate) source: Option<IpAddr>,
    pub(crate) started: SystemTime,
    pub(crate) duration: Duration,
    pub(crate) every: Duration,
    pub(crate) protocol: ProbeProtocol,
    pub(crate) flow: Option<u16>,
    pub(crate) history: &'a History,
    pub(crate) names: &'a Names,
}

impl Report<'_> {
    /// The table, and the changes of the path below it; on a terminal so wide as it is.
    pub(crate) fn text(&self, width: Option<usize>) -> String {
        let history = self.history;
        let rounds = history.rounds;
        let unit = if rounds == 1 { "round" } else { "rounds" };
        let label = |address| Host::new(address, self.names);
        let widest = history
            .hops
            .values()
            .flat_map(|hop| &hop.addresses)
            .map(|seen| label(seen.address).width());
        let layout = Layout::of_report(width, widest.max().unwrap_or(0).max("Host".len()));
        // It stands behind the target's figures where that has a line, and the line has room.
        let room = width.map_or(usize::MAX, |width| width.saturating_sub(layout.line()));
        let state = history.port.map(|state| format!("  {state}"));
        let state = state.filter(|state| history.distance.is_some() && state.len() <= room);
        let above = history.port.filter(|_| state.is_none());
        let mut text = self.head(width, unit, above);
        let label = |address| label(address).fit(layout.host, if is_unicode() { '…' } else { '~' });
        let hosts = |hop: &Hop| match hop.addresses.as_slice() {
            [] => vec!["*".to_owned()],
            [first, ..] => {
                let others = hop
                    .others()
                    .map(|(said, seen, until)| format!("{said} {}{until}", label(seen.address)));
                let inside = hop
                    .addresses
                    .iter()
                    .filter_map(|seen| Inside::of(seen.address));
                let inside = inside.map(|inside| inside.to_string());
                [label(first.address)]
                    .into_iter()
                    .chain(others)
                    .chain(inside)
                    .collect()
            }
        };
        let hops: Vec<(u8, &Hop, Vec<String>)> = history
            .hops
            .iter()
            .map(|(number, hop)| (*number, hop, hosts(hop)))
            .collect();
        text += &format!("{}\n", layout.header().trim_end());
        for (number, hop, hosts) in hops {
            let figures: String = layout.columns.iter().map(|column| column.of(hop)).collect();
            let sign = hop.mark.map_or(' ', Mark::sign);
            let is_target = history.distance == Some(number);
            let state = state.as_deref().filter(|_| is_target).unwrap_or_default();
            text += format!(
                "{sign}{number:>2} {:host$}{figures}{state}",
                hosts[0],
                host = layout.host
            )
            .trim_end();
            text.push('\n');
            hosts[1..]
                .iter()
                .for_each(|host| text += &format!("    {host}\n"));
        }
        history
            .silence()
            .into_iter()
            .for_each(|what| text += &format!("{what}\n"));
        history
            .trouble
            .iter()
            .for_each(|why| text += &format!("in the last round: {why}\n"));
        if let Some((in_part, why)) = &history.in_part {
            text += &format!("{in_part} of {rounds} {unit} went out in part: {why}\n");
        }
        if history.rounds_away > 0 {
            let away = history.rounds_away;
            text += &format!(
                "in {away} of {rounds} {unit} nothing left this machine: they don't count as loss\n"
            );
        }
        history
            .incidents()
            .iter()
            .for_each(|incident| text += &format!("{incident}\n"));
        text
    }

    /// The lines above the table, with the state of the port if that is to stand there.
    fn head(&self, width: Option<usize>, unit: &str, state: Option<PortState>) -> String {
        let (rounds, seconds) = (self.history.rounds, self.duration.as_secs_f64());
        let host = match self.host.parse::<IpAddr>() {
            Ok(_) => self.host.to_owned(),
            Err(_) => format!("{} ({})", self.host, self.target),
        };
        let source = self
            .source
            .map_or_else(String::new, |source| format!("from {source}, "));
        let port = port_with_state(self.protocol, state);
        let flow = match (self.flow, &port) {
            (None, _) => A_FLOW_EACH.to_owned(),
            (Some(flow), None) => format!("flow {flow}"),
            (Some(flow), Some(_)) => format!("source port {flow}"),
        };
        let flow = port
            .into_iter()
            .chain([flow])
            .collect::<Vec<_>>()
            .join(", ");
        let (probes, since) = (
            format!("{source}{flow},"),
            format!("since {}", date(self.started)),
        );
        let fits = width.is_none_or(|width| probes.len() + 1 + since.len() <= width);
        let between = if fits { ' ' } else { '\n' };
        format!("watch of {host}, {rounds} {unit} in {seconds:.0} s\n{probes}{between}{since}\n")
    }

    /// The document of `--json`: its fields are named as those of a trace where they mean the same.
    pub(crate) fn json(&self) -> Document<'_> {
        let hops = self.history.hops.iter().map(|(number, hop)| JsonHop {
            hop: *number,
            hosts: hop
                .addresses
                .iter()
                .map(|seen| JsonHost {
                    address: seen.address,
                    known: self.names.known(seen.address),
                    first_round: seen.first,
                    last_round: seen.last,
                })
                .collect(),
            state: hop.mark.map_or("same", Mark::as_str),
            sent: hop.sent,
            lost: hop.lost,
            last_ms: hop.last.map(milliseconds),
            best_ms: hop.best.map(milliseconds),
            average_ms: hop.average().map(milliseconds),
            worst_ms: hop.worst.map(milliseconds),
            jitter_ms: hop.jitter().map(milliseconds),
            rtts_ms: hop.rtts.iter().map(|rtt| rtt.map(milliseconds)).collect(),
        });
        let changes = self
            .history
            .incidents()
            .into_iter()
            .map(JsonChange::from)
            .collect();
        Document {
            target: Target::new(self.host, Some(self.target)),
            source: self.source,
            started: timestamp(self.started),
            duration_ms: milliseconds(self.duration),
            every_ms: milliseconds(self.every),
            rounds: self.history.rounds,
            rounds_away: self.history.rounds_away,
            rounds_in_part: self
                .history
                .in_part
                .as_ref()
                .map_or(0, |(rounds, _)| *rounds),
            in_part: self.history.in_part.as_ref().map(|(_, why)| why.as_str()),
            reached: self.history.reached,
            trouble: self.history.trouble.as_deref(),
            distance: self.history.distance,
            hops: hops.collect(),
            changes,
            flow: self.flow,
            protocol: self.protocol.as_str(),
            port: self.protocol.port(),
            port_state: self
                .protocol
                .port()
                .map(|_| self.history.port.map(PortState::as_str)),
            version: VERSION,
        }
    }
}

#[derive(Serialize)]
pub(crate) struct Document<'a> {
    target: Target<'a>,
    source: Option<IpAddr>,
    started: String,
    duration_ms: f64,
    every_ms: f64,
    rounds: u32,
    /// Those of outages.
    rounds_away: u32,
    /// Those of which some probes could not be sent though others were, and why in the last of
    /// them.
    rounds_in_part: u32,
    in_part: Option<&'a str>,
    /// In the last round.
    reached: bool,
    /// Why the last round could not be sent, or not in full.
    trouble: Option<&'a str>,
    /// Of the target, when it last answered.
    distance: Option<u8>,
    hops: Vec<JsonHop>,
    changes: Vec<JsonChange>,
    /// Of all rounds.
    flow: Option<u16>,
    protocol: &'static str,
    #[serde(skip_serializing_if = "Option::is_none")]
    port: Option<u16>,
    /// Only of what has a port; null as long as nobody has said it.
    #[serde(skip_serializing_if = "Option::is_none")]
    port_state: Option<Option<&'static str>>,
    version: &'static str,
}

#[derive(Serialize)]
struct JsonHop {
    hop: u8,
    /// The one that answered last comes first.
    hosts: Vec<JsonHost>,
    state: &'static str,
    sent: u32,
    lost: u32,
    last_ms: Option<f64>,
    best_ms: Option<f64>,
    average_ms: Option<f64>,
    worst_ms: Option<f64>,
    jitter_ms: Option<f64>,
    /// The last ones, the newest at the end; null where one was lost.
    rtts_ms: Vec<Option<f64>>,
}

#[derive(Serialize)]
struct JsonHost {
    address: IpAddr,
    #[serde(flatten)]
    known: Known,
    first_round: u32,
    last_round: u32,
}

#[derive(Serialize)]
struct JsonChange {
    round: u32,
    event: &'static str,
    #[serde(flatten)]
    what: What,
}

/// Details of an event: of the path, of the target's port, or of this machine.
#[derive(Serialize)]
#[serde(untagged)]
enum What {
    Hops {
        first_hop: u8,
        last_hop: u8,
        #[serde(skip_serializing_if = "Option::is_none")]
        from: Option<IpAddr>,
        #[serde(skip_serializing_if = "Option::is_none")]
        to: Option<IpAddr>,
    },
    Port {
        was: &'static str,
        is: &'static str,
    },
    Outage {
        last_round: u32,
        rounds: u32,
        began: Option<String>,
        /// Null while it lasts.
        ended: Option<String>,
        reason: String,
    },
}

impl From<Incident<'_>> for JsonChange {
    fn from(incident: Incident<'_>) -> Self {
        match incident {
            Incident::Change(change) => change.into(),
            Incident::Port(change) => change.into(),
            Incident::Outage(outage) => outage.into(),
        }
    }
}

impl From<&Change> for JsonChange {
    fn from(change: &Change) -> Self {
        let (from, to) = match change.event {
            Event::Address(from, to) => (Some(from), Some(to)),
            Event::Up | Event::Gone => (None, None),
        };
        let what = What::Hops {
            first_hop: change.hops.0,
            last_hop: change.hops.1,
            from,
            to,
        };
        Self {
            round: change.round,
            event: change.event.mark().as_str(),
            what,
        }
    }
}

impl From<&PortChange> for JsonChange {
    fn from(change: &PortChange) -> Self {
        let what = What::Port {
            was: change.before.as_str(),
            is: change.after.as_str(),
        };
        Self {
            round: change.round,
            event: "port",
            what,
        }
    }
}

impl From<&Outage> for JsonChange {
    fn from(outage: &Outage) -> Self {
        let what = What::Outage {
            last_round: outage.last,
            rounds: outage.rounds(),
            began: outage.began.map(timestamp),
            ended: outage.ended.map(timestamp),
            reason: outage.reason().to_owned(),
        };
        Self {
            round: outage.first,
            event: "outage",
            what,
        }
    }
}

#[cfg(test)]
mod tests;
