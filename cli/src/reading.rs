//! What a route means to a person: the sentence at its end, and the marks beside its answers.

use crate::extensions;
use hopshot_linux::extensions::OwnedExtensions;
use hopshot_linux::{
    AddressFamily, Evidence, Failure, Hop, Kind, Outcome, ProbeProtocol, Proxy, Reply, Route,
    SocketKind, StopReason, TargetAnswer, failure_text,
};
use std::fmt;
use std::net::IpAddr;

/// Why the target did not answer, if it didn't: a sentence.
pub(crate) fn ending(route: &Route, why: Option<StopReason>) -> Option<String> {
    let target = route.summary().target;
    if let Some(Proxy {
        hop,
        router,
        protocol,
        is_certain,
        ..
    }) = route.proxy()
    {
        let who = match is_certain {
            true => "a proxy, a redirect or a firewall, not the target",
            false => "perhaps a proxy, a redirect or a firewall, not the target",
        };
        let by = protocol.as_str().to_uppercase();
        return Some(format!(
            "Hop {hop} answers in the name of {target}, but {by} finds {router} there: {who}."
        ));
    }
    if is_said_weakly(route) {
        return Some(format!(
            "{target} seems to answer, but quotes too little of a probe to prove it."
        ));
    }
    let knock = route.knock().filter(|_| is_reached_by_knock_alone(route));
    if let Some(answer) = knock {
        let state = PortState::of_answer(answer);
        let state = state.map_or_else(|| "there".to_owned(), |state| state.to_string());
        return Some(match why {
            Some(StopReason::Interrupted) | None => {
                format!("{target} is {state}; interrupted before its distance was known.")
            }
            _ => {
                let rtt = route.knock_rtt().unwrap_or_default().as_secs_f64() * 1e3;
                let others = match route.hops().any(|hop| hop.replies().next().is_some()) {
                    true => "but no other",
                    false => "and nothing answered the others",
                };
                format!(
                    "{target} is {state}, {rtt:.3} ms away: it answered a probe that went as far \
                     as -m, {others}. Its distance in hops is unknown."
                )
            }
        });
    }
    if let Some(state) = only_knock_shows(route) {
        return Some(format!(
            "{target} is {state}: it has answered a probe from another source port."
        ));
    }
    if route.reached() {
        let is_doubtful = route.distance().is_none();
        let doubt = match route.hops().next().is_some_and(|hop| hop.is_target()) {
            true => "answered from the first hop probed (-f): it may be nearer",
            false => "answered, but no probe to the hop before it could be sent: it may be nearer",
        };
        return is_doubtful.then(|| format!("{target} {doubt}."));
    }
    if !was_tried(route) {
        let reason = route
            .hops()
            .find_map(failure)
            .map_or_else(|| "interrupted".to_owned(), failure_text);
        return Some(format!("No probe could be sent to {target}: {reason}."));
    }
    if why == Some(StopReason::Local)
        && let Some(failure) = route.failure()
    {
        return Some(format!(
            "No answer from {target}: {}.",
            failure_text(failure)
        ));
    }
    let reason = match why {
        _ if target.is_multicast() => "it is a multicast address, which stands for many hosts",
        Some(StopReason::Unreachable) if is_too_big(route) => {
            "the packets are too big for a link on the way"
        }
        Some(StopReason::Unreachable) if is_port_rejected(route) => {
            "the last hop rejects packets to this port"
        }
        Some(StopReason::Unreachable) if route.is_filtered() => "the last hop forbids it: filtered",
        Some(StopReason::Unreachable) => "the last hop says that it can't be reached",
        Some(StopReason::Loop) => "the path goes round in a loop",
        Some(StopReason::MaxHops) if !is_last_proven(route) => {
            "it seems to be farther than the hops probed (-m)"
        }
        Some(StopReason::MaxHops) => "it is farther than the hops probed (-m)",
        // A longer wait is no remedy: the nearest hop would have answered by now.
        Some(StopReason::Timeout)
            if last_heard(route.hops()) == 0 && route.summary().socket == SocketKind::Tcp =>
        {
            "no hop answered within 0.95 s, as long as TCP sockets wait; check the interface (-i), \
             the gateway and the firewalls, or use --socket raw, as root"
        }
        Some(StopReason::Timeout)
            if route.has_unattributed() && route.hops().all(|hop| hop.replies().count() == 0) =>
        {
            "routers answered, but quoted too little of a probe for UDP sockets; use --socket raw, \
             as root"
        }
        Some(StopReason::Timeout) if route.has_unattributed() => {
            "nothing more came: filtered, down, or an open port that says nothing"
        }
        Some(StopReason::Timeout) if last_heard(route.hops()) == 0 => {
            "no hop answered at all; check the interface (-i), the gateway and the firewalls"
        }
        Some(StopReason::Timeout) => "it may be later than the time waited (-w)",
        Some(StopReason::NoRoom) => "there was no room for more probes",
        Some(StopReason::Interrupted) | None => "interrupted",
        Some(_) => match route.protocol() {
            ProbeProtocol::Tcp { .. } => "nothing more came: filtered, or down",
            ProbeProtocol::Udp { .. } => {
                "nothing more came: filtered, down, or an open port that says nothing"
            }
            _ => "nothing more came",
        },
    };
    Some(format!("No answer from {target}: {reason}."))
}

/// Whether the target answered only the probe that was to find out its distance, which came from
/// another source port.
pub(crate) fn is_reached_by_knock_alone(route: &Route) -> bool {
    route.knock().is_some() && !route.hops().any(|hop| hop.is_target())
}

/// The state of the port where the target answered the trace, but only the probe that was to learn
/// its distance shows the state.
fn only_knock_shows(route: &Route) -> Option<PortState> {
    let state = |reply: Reply| PortState::of_reply(route.protocol(), &reply);
    let is_shown = route
        .hops()
        .any(|hop| hop.replies().any(|reply| state(reply).is_some()));
    let knock = route.knock().filter(|_| !is_shown)?;
    PortState::of_answer(knock)
}

/// Whether UDP sockets have heard the target without proof alone.
fn is_said_weakly(route: &Route) -> bool {
    let target = route.summary().target;
    let mut replies = route
        .hops()
        .flat_map(|hop| hop.replies().collect::<Vec<_>>());
    route.has_unattributed()
        && !route.reached()
        && replies.any(|reply| reply.from == target && !reply.is_proven())
}

/// Whether this machine took a probe to send: it may say later that it goes nowhere.
pub(crate) fn was_tried(route: &Route) -> bool {
    let is_taken = |outcome: Outcome| !matches!(outcome, Outcome::Failed(Failure::Send(_)));
    route.summary().probes_sent > 0 || route.hops().any(|hop| hop.outcomes().any(is_taken))
}

/// Whether an answer of the last hop that answered is proven.
fn is_last_proven(route: &Route) -> bool {
    let last = last_heard(route.hops());
    last_passed(route.hops()) == last
}

/// Whether all that came from behind the last hop that packets passed says that they are too big.
fn is_too_big(route: &Route) -> bool {
    let passed = last_passed(route.hops());
    let behind = route.hops().filter(|hop| hop.number() > passed);
    let mut refusals = behind
        .flat_map(|hop| hop.replies().filter(Reply::is_proven))
        .peekable();
    refusals.peek().is_some()
        && refusals.all(|reply| reply.mtu.is_some() && reply.evidence() == Evidence::Strong)
}

/// Whether the last answer is Port Unreachable from somebody else than the target: what a firewall
/// says that rejects.
fn is_port_rejected(route: &Route) -> bool {
    let rejects = |reply: &Reply| match AddressFamily::of(reply.from) {
        AddressFamily::V4 => (reply.icmp_type, reply.icmp_code) == (3, 3),
        AddressFamily::V6 => (reply.icmp_type, reply.icmp_code) == (1, 4),
    };
    let proven = |hop: Hop<'_>| hop.replies().filter(Reply::is_proven).collect::<Vec<_>>();
    let last = route
        .hops()
        .map(proven)
        .filter(|replies| !replies.is_empty());
    let last = last.last().unwrap_or_default();
    let is_rejected = |reply: &Reply| reply.kind == Kind::Unreachable && rejects(reply);
    route.protocol() != ProbeProtocol::Icmp && last.iter().any(is_rejected)
}

/// The farthest hop that packets got to, as far as answers prove; 0 if there is none.
pub(crate) fn last_passed<'r>(hops: impl Iterator<Item = Hop<'r>>) -> u8 {
    hops.filter(Hop::is_passed)
        .map(|hop| hop.number())
        .last()
        .unwrap_or(0)
}

/// The farthest hop with an answer to show, proven or not; 0 if none has one.
pub(crate) fn last_heard<'r>(hops: impl Iterator<Item = Hop<'r>>) -> u8 {
    hops.filter(|hop| hop.replies().next().is_some())
        .map(|hop| hop.number())
        .last()
        .unwrap_or(0)
}

/// Lists the extensions of the answers from an address, each once.
pub(crate) fn appended<'e>(extensions: impl Iterator<Item = &'e OwnedExtensions>) -> Vec<String> {
    let mut said: Vec<String> = Vec::new();
    for one in extensions
        .filter(|extensions| !extensions.is_empty())
        .map(extensions::text)
        .filter(|one| !one.is_empty())
    {
        if !said.contains(&one) {
            said.push(one);
        }
    }
    said
}

/// Whether it is the target that answered with this address: a router may stand at the same hop,
/// where a way is longer.
pub(crate) fn is_target(hop: Hop<'_>, address: IpAddr) -> bool {
    hop.is_target()
        && hop
            .replies()
            .any(|reply| reply.from == address && reply.kind == Kind::Reply)
}

/// Why a probe to this hop did not get out of this machine, if one didn't.
pub(crate) fn failure(hop: Hop<'_>) -> Option<Failure> {
    failures(hop).next()
}

/// The same of each probe that didn't.
pub(crate) fn failures(hop: Hop<'_>) -> impl Iterator<Item = Failure> {
    hop.outcomes().filter_map(|outcome| match outcome {
        Outcome::Failed(failure) => Some(failure),
        _ => None,
    })
}

/// A failure on this machine, with the mark that stands for it elsewhere.
pub(crate) fn failed(failure: Failure) -> String {
    format!("{} {}", local_mark(failure), failure_text(failure))
}

/// The mark of a failure on this machine: `!` where a probe could not be sent, else what this
/// machine said of it itself.
pub(crate) fn local_mark(failure: Failure) -> String {
    match failure {
        Failure::Send(_) => "!".to_owned(),
        Failure::NextHop => "!H".to_owned(),
        // Destination Unreachable is type 3 in IPv4, where 1 is no error; in IPv6 3 is one that
        // only routers write.
        Failure::Local {
            icmp_type: icmp_type @ 3,
            icmp_code,
        } => sign(AddressFamily::V4, icmp_type, icmp_code),
        Failure::Local {
            icmp_type,
            icmp_code,
        } => sign(AddressFamily::V6, icmp_type, icmp_code),
        _ => "!".to_owned(),
    }
}

/// The usual signs of traceroute for the codes of Destination Unreachable (RFC 792, RFC 1812
/// section 5.2.7.1; RFC 4443 section 3.1), Packet Too Big and Parameter Problem. `?` follows where
/// nothing proves the answer.
pub(crate) fn mark(reply: &Reply) -> String {
    let mut mark = match (reply.kind, reply.mtu) {
        (Kind::Reply | Kind::TimeExceeded, _) => String::new(),
        (Kind::Unreachable, Some(mtu)) => format!("!F-{mtu}"),
        (Kind::Unreachable, None) => sign(
            AddressFamily::of(reply.from),
            reply.icmp_type,
            reply.icmp_code,
        ),
    };
    if !reply.is_proven() {
        mark.push('?');
    }
    mark
}

fn sign(family: AddressFamily, icmp_type: u8, icmp_code: u8) -> String {
    match (family, icmp_type, icmp_code) {
        (AddressFamily::V4, 3, 0) | (AddressFamily::V6, 1, 0) => "!N".into(),
        (AddressFamily::V4, 3, 1) | (AddressFamily::V6, 1, 3) => "!H".into(),
        (AddressFamily::V4, 3, 2) | (AddressFamily::V6, 4, 1) => "!P".into(),
        (AddressFamily::V4, 3, 5) | (AddressFamily::V6, 1, 2) => "!S".into(),
        (AddressFamily::V4, 3, 9 | 10 | 13) | (AddressFamily::V6, 1, 1) => "!X".into(),
        (AddressFamily::V4, 3, 14) => "!V".into(),
        (AddressFamily::V4, 3, 15) => "!C".into(),
        (AddressFamily::V4, 3, code) | (AddressFamily::V6, 1, code) => format!("!<{code}>"),
        (_, icmp_type, code) => format!("!<{icmp_type}-{code}>"),
    }
}

/// The state of the target's port, as far as anybody has said. Silence says nothing.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum PortState {
    Open,
    Closed,
    /// A router, or the target, says that a firewall forbids the probes.
    Filtered,
    /// A proxy answers in the target's name.
    Proxied,
}

impl PortState {
    /// Returns the state that a trace shows, if it shows one.
    pub(crate) fn of_route(route: &Route) -> Option<Self> {
        let of_port = |is_open| if is_open { Self::Open } else { Self::Closed };
        let is_filtered = || route.is_filtered().then_some(Self::Filtered);
        let is_proxied = || route.is_proxied().then_some(Self::Proxied);
        let port = route.is_open().map(of_port);
        port.or_else(is_filtered).or_else(is_proxied)
    }

    /// Returns the state that a reply shows. One that may be somebody else's shows none.
    pub(crate) fn of_reply(protocol: ProbeProtocol, reply: &Reply) -> Option<Self> {
        let is_sure = reply.evidence() == Evidence::Strong;
        let answer = protocol.target_answer(reply).filter(|_| is_sure)?;
        Self::of_answer(answer)
    }

    /// Returns the state that an answer of the target's shows.
    pub(crate) fn of_answer(answer: TargetAnswer) -> Option<Self> {
        Some(if answer.is_open()? {
            Self::Open
        } else {
            Self::Closed
        })
    }

    /// Its name in JSON.
    pub(crate) const fn as_str(self) -> &'static str {
        match self {
            Self::Open => "open",
            Self::Closed => "closed",
            Self::Filtered => "filtered",
            Self::Proxied => "proxied",
        }
    }
}

/// In the brackets that traceroute puts it in.
impl fmt::Display for PortState {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "[{}]", self.as_str())
    }
}

/// Explains a path that is silent up to its target, where that is longer than a home network.
/// Answers that prove nothing may be anybody's, so they don't break the silence.
pub(crate) fn silence(route: &Route) -> Option<String> {
    let distance = route.distance().filter(|distance| *distance > 2)?;
    if route.summary().socket == SocketKind::Udp && route.off_flow().next().is_some() {
        // What is said of these explains it.
        return None;
    }
    let is_whole = route.hops().next().is_some_and(|hop| hop.number() == 1);
    let mut replies = route
        .hops()
        .filter(|hop| hop.number() < distance)
        .flat_map(|hop| hop.replies())
        .peekable();
    let what = if replies.peek().is_some() {
        "proved to answer"
    } else {
        "answered"
    };
    let advice = match route.summary().socket {
        SocketKind::Udp => {
            "they may quote too little of a probe for UDP sockets; use --socket raw, as root"
        }
        _ => "they may never answer, or limit their answers; then wait some seconds, or use -q 1",
    };
    let is_silent = !replies.any(|reply| reply.is_proven());
    (is_silent && is_whole).then(|| format!("No router {what}, but the target did: {advice}."))
}
