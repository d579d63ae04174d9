//! Sentences about what middleboxes did to the probes of a trace, and where it left its flow.

use hopshot_linux::{Changes, Hop, ProbeProtocol, QuotedSyn, Reply, Route};

/// Says what was changed on the way, each with the first hop whose quote shows it.
pub(crate) fn findings(route: &Route) -> Vec<String> {
    match route.protocol() {
        ProbeProtocol::Tcp { .. } => of_syns(route),
        ProbeProtocol::Udp { .. } => of_detours(route),
        _ => Vec::new(),
    }
}

/// Says which hops UDP sockets found by detours alone, and why.
fn of_detours(route: &Route) -> Vec<String> {
    let is_proven = |hop: &u8| {
        let mut hops = route.hops().filter(|it| it.number() == *hop);
        hops.any(|hop| hop.replies().any(|reply| reply.is_proven()))
    };
    let (proven, short): (Vec<u8>, Vec<u8>) = route.off_flow().partition(is_proven);
    if proven.is_empty() && short.is_empty() && route.has_unattributed() {
        let told = "Some routers quote too little of a probe for UDP sockets, so they look silent: as \
                    root, --socket raw hears them.";
        return vec![told.to_owned()];
    }
    let verb = if short.len() == 1 { "quotes" } else { "quote" };
    let short = (!short.is_empty()).then(|| {
        format!(
            "{} {verb} too little of a probe for UDP sockets, and answered probes from other \
             source ports: load balancers may have sent those another way. As root, --socket raw \
             needs none.",
            hops(&short)
        )
    });
    let proven = (!proven.is_empty()).then(|| off_flow(&proven));
    short.into_iter().chain(proven).collect()
}

/// Says of hops that they aren't known to be on the flow.
fn off_flow(numbers: &[u8]) -> String {
    format!(
        "{} answered only probes from other source ports: load balancers may have sent those \
         another way.",
        hops(numbers)
    )
}

fn of_syns(route: &Route) -> Vec<String> {
    let syn = |reply: &Reply| {
        route
            .extensions(reply.probe)
            .syn
            .filter(|_| reply.is_proven())
    };
    // Each box that clamps leaves less.
    let mut last = None;
    let mut clamps = Vec::new();
    for hop in route.hops() {
        let left = hop.replies().find_map(|reply| syn(&reply)?.mss);
        if left.is_some() && left != last {
            clamps.extend(left.map(|mss| match mss {
                0 => format!("MSS option taken away {}.", before(hop.number())),
                mss => format!("MSS clamped to {mss} {}.", before(hop.number())),
            }));
            last = left;
        }
    }
    let is_changed = |syn: QuotedSyn| syn.options_changed.then_some(());
    let options = first(route, |reply| syn(reply).and_then(is_changed))
        .map(|(hop, ())| format!("TCP options changed {}.", before(hop)));
    let is_rewritten = |reply: &Reply| reply.changes.contains(Changes::SEQ).then_some(());
    let seq = first(route, is_rewritten).map(|(hop, ())| {
        format!(
            "Sequence numbers look rewritten {}: nothing proves the answers with a question mark.",
            before(hop)
        )
    });
    let others: Vec<u8> = route.off_flow().collect();
    let flow = (!others.is_empty()).then(|| off_flow(&others));
    let others = [options, seq, flow].into_iter().flatten();
    clamps.into_iter().chain(others).collect()
}

/// Returns the first hop with an answer that shows something, and what it shows.
fn first<T>(route: &Route, shows: impl Fn(&Reply) -> Option<T>) -> Option<(u8, T)> {
    let shown = |hop: Hop<'_>| {
        let found = hop.replies().find_map(|reply| shows(&reply));
        found.map(|what| (hop.number(), what))
    };
    route.hops().find_map(shown)
}

/// Says where it was done: a router quotes what came in.
fn before(hop: u8) -> String {
    format!("before hop {hop}")
}

/// Names hops, such as `Hops 3, 6-12`.
fn hops(numbers: &[u8]) -> String {
    let mut ranges: Vec<(u8, u8)> = Vec::new();
    for number in numbers {
        match ranges.last_mut() {
            Some((_, last)) if *number == *last + 1 => *last = *number,
            _ => ranges.push((*number, *number)),
        }
    }
    let range = |(first, last): &(u8, u8)| match first == last {
        true => first.to_string(),
        false => format!("{first}-{last}"),
    };
    let named: Vec<String> = ranges.iter().map(range).collect();
    let word = if numbers.len() == 1 { "Hop" } else { "Hops" };
    format!("{word} {}", named.join(", "))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn hops_in_a_row_are_a_range() {
        assert_eq!(hops(&[12]), "Hop 12");
        assert_eq!(hops(&[3, 6, 7, 8, 10, 11]), "Hops 3, 6-8, 10-11");
    }
}
