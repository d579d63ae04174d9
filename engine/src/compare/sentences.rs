//! A verdict in words.

use super::end::{Refusal, SideEnd, Unproven};
use super::figures::{Lossier, Slower};
use super::parting::{Parting, Way};
use super::side::{Side, listed};
use super::unheard::Unheard;
use super::verdict::Verdict;
use crate::protocol::ProbeProtocol;
use hopshot_core::Loss;
use std::time::Duration;

impl Verdict {
    /// Returns all of it for people, a sentence for each statement; one sentence where nothing
    /// differs.
    #[must_use]
    pub fn sentences(&self) -> Vec<String> {
        if self.is_alike() {
            return vec![alike(self)];
        }
        let distances = (!self.distances().is_empty()).then(|| distances(self.distances()));
        let parting = self.parting().map(parts);
        let slower = self.slower().iter().map(slow);
        let lossier = self.lossier().iter().map(loses);
        let unheard = self.unheard().iter().map(unanswered);
        ends(self)
            .into_iter()
            .chain(distances)
            .chain(parting)
            .chain(slower)
            .chain(lossier)
            .chain(unheard)
            .collect()
    }
}

/// Says that nothing differs, and when the target answered.
fn alike(verdict: &Verdict) -> String {
    let told = verdict.ends().iter().map(|(side, end)| match end {
        SideEnd::Reached { rtt, .. } => {
            let state = end
                .port_state()
                .map_or_else(String::new, |state| format!(" ({state})"));
            let rtt = rtt.map_or_else(String::new, |rtt| format!(" {}", ms(rtt)));
            format!("{side}{rtt}{state}")
        }
        _ => side.to_string(),
    });
    format!(
        "No difference seen: {}",
        told.collect::<Vec<_>>().join(", ")
    )
}

/// Says where sides end, those together of which the same is to be said.
fn ends(verdict: &Verdict) -> Vec<String> {
    let is_up = verdict.ends().iter().any(|(side, end)| {
        // Of families each is another address.
        matches!(side, Side::Protocol(_)) && end.is_reached()
    });
    let mut groups: Vec<(Vec<Side>, &SideEnd)> = Vec::new();
    for (side, end) in verdict.ends() {
        let same = groups
            .iter_mut()
            .find(|(_, other)| *other == end && !end.is_reached());
        match same {
            Some((sides, _)) => sides.push(*side),
            None => groups.push((vec![*side], end)),
        }
    }
    groups
        .iter()
        .map(|(sides, end)| ending(sides, end, is_up))
        .collect()
}

fn ending(sides: &[Side], end: &SideEnd, is_up: bool) -> String {
    let (who, is_one) = (listed(sides), sides.len() == 1);
    let verb = |one: &'static str, several: &'static str| if is_one { one } else { several };
    let (stops, is) = (verb("stops", "stop"), verb("is", "are"));
    let only = |unproven: Unproven| {
        let (has, hop) = (verb("has", "have"), unproven.hop);
        format!("{has} only answers that prove nothing, up to hop {hop}")
    };
    match end {
        SideEnd::Reached { distance, rtt, .. } => {
            let by_family = matches!(sides, [Side::Family(_)]);
            let hops = distance
                .filter(|_| by_family)
                .map(|hops| counted(hops, "hop"));
            let parts = [end.port_state().map(str::to_owned), hops, rtt.map(ms)];
            let parts: Vec<String> = parts.into_iter().flatten().collect();
            match parts.is_empty() {
                true => format!("{who} gets there"),
                false => format!("{who} gets there: {}", parts.join(", ")),
            }
        }
        SideEnd::Proxied(proxy) => {
            let what = match proxy.is_certain {
                true => " by a proxy, a redirect or a firewall",
                false => ", perhaps by a proxy, a redirect or a firewall",
            };
            let by = proxy.protocol.as_str().to_uppercase();
            format!(
                "{who} {is} answered at hop {}{what}, not the target: {by} finds {} there",
                proxy.hop, proxy.router
            )
        }
        SideEnd::Refused { after, by, how } => {
            let how = match how {
                Refusal::Filtered => format!("filtered by {by}"),
                Refusal::Rejected => format!("{by} rejects packets to this port"),
                Refusal::TooBig => format!("{by} says that packets are too big"),
                Refusal::Unreachable => format!("{by} says that the target can't be reached"),
            };
            format!("{who} {stops} {}: {how}", behind(*after))
        }
        SideEnd::Quiet { unproven, .. }
        | SideEnd::Timeout { unproven, .. }
        | SideEnd::MaxHops { unproven, .. }
            if unproven.is_some_and(|unproven| unproven.is_target) =>
        {
            let hop = unproven.map_or(0, |unproven| unproven.hop);
            let seems = verb("seems", "seem");
            format!("{who} {seems} to get there at hop {hop}, but nothing proves that answer")
        }
        SideEnd::Quiet { after, unproven } => {
            let is_udp = |side: &Side| matches!(side, Side::Protocol(ProbeProtocol::Udp { .. }));
            let udp = match (sides.iter().any(is_udp), is_one) {
                (false, _) => "",
                (true, true) => ", or an open port that says nothing",
                (true, false) => ", or of UDP an open port that says nothing",
            };
            // The same address may answer another protocol.
            let why = match (is_up, udp.is_empty()) {
                (true, true) => "filtered, or lost",
                (true, false) => "filtered, lost",
                (false, true) => "filtered, or down",
                (false, false) => "filtered, down",
            };
            match (after, unproven) {
                (0, None) => format!("{who} {is} not answered at all: {why}{udp}"),
                (0, Some(unproven)) => format!("{who} {}: {why}{udp}", only(*unproven)),
                (after, unproven) => {
                    let but = but(*unproven);
                    format!("{who} {is} silent after hop {after}{but}: {why}{udp}")
                }
            }
        }
        SideEnd::Timeout { after, unproven } => {
            let but = but(*unproven);
            format!("{who} {is} silent after hop {after} for as long as was waited (-w){but}")
        }
        SideEnd::Loop { after } => {
            format!(
                "{who} {stops} {}: the path goes round in a loop",
                behind(*after)
            )
        }
        SideEnd::MaxHops { after, unproven } => {
            let stops = match (after, unproven) {
                (0, Some(unproven)) => only(*unproven),
                _ => format!("{stops} {}{}", behind(*after), but(*unproven)),
            };
            format!("{who} {stops}: no farther hop was probed (-m)")
        }
        SideEnd::Local { why } => format!("{who} failed: {why}"),
        SideEnd::Interrupted { after } => {
            let was = verb("was", "were");
            format!("{who} {was} interrupted {}", behind(*after))
        }
    }
}

fn distances(distances: &[(Side, u8)]) -> String {
    let told = distances
        .iter()
        .map(|(side, hop)| format!("{side} at hop {hop}"));
    format!("The target answers {}", told.collect::<Vec<_>>().join(", "))
}

/// Names answers that prove nothing, so that they are left out.
fn but(unproven: Option<Unproven>) -> String {
    unproven.map_or_else(String::new, |unproven| {
        let hop = unproven.hop;
        format!(", but for answers that prove nothing, up to hop {hop}")
    })
}

fn behind(hop: u8) -> String {
    match hop {
        0 => "before hop 1".to_owned(),
        hop => format!("after hop {hop}"),
    }
}

fn parts(parting: &Parting) -> String {
    let way = |way: &Way| format!("{} by {}", listed(&way.sides), way.address);
    let ways: Vec<String> = parting.ways.iter().map(way).collect();
    let before = if parting.is_exact { "" } else { " or before" };
    let flows = match parting.has_many_flows {
        true => " (or each TCP probe goes its own way)",
        false => "",
    };
    format!(
        "Paths part at hop {}{before}: {}{flows}",
        parting.hop,
        ways.join(", ")
    )
}

fn slow(slower: &Slower) -> String {
    let (side, rtt) = (slower.side, ms(slower.rtt));
    let other = |(side, rtt): &(Side, Duration)| format!("{side} in {}", ms(*rtt));
    let others: Vec<String> = slower.than.iter().map(other).collect();
    let others = others.join(", ");
    match (slower.hop, slower.is_target) {
        (Some(_), true) => format!("The target answers {side} slowly: in {rtt}, {others}"),
        (Some(hop), false) => format!("Hop {hop} answers {side} slowly: in {rtt}, {others}"),
        (None, _) => format!("{side} takes longer to the target: {rtt}, {others}"),
    }
}

fn loses(lossier: &Lossier) -> String {
    let of = |loss: Loss| format!("{} of {}", loss.lost, loss.sent);
    let others = lossier.than.iter();
    let others: Vec<String> = others
        .map(|(side, loss)| format!("{side} {}", of(*loss)))
        .collect();
    let (side, loss, others) = (lossier.side, of(lossier.loss), others.join(", "));
    format!("{side} loses more at the target: {loss} probes, {others}")
}

fn unanswered(unheard: &Unheard) -> String {
    let (side, count) = (unheard.side, unheard.hops.len());
    format!(
        "{side} gets no answers from {count} routers where others get some: perhaps these limit \
         them, and -q 1 asks for fewer"
    )
}

fn counted(count: u8, what: &str) -> String {
    format!("{count} {what}{}", if count == 1 { "" } else { "s" })
}

fn ms(rtt: Duration) -> String {
    let digits = if rtt < Duration::from_millis(1) { 3 } else { 1 };
    format!("{:.digits$} ms", rtt.as_secs_f64() * 1e3)
}
