//! A judge of traces: what a result says is compared with what the simulated internet saw.

use super::{strong, to_the_end_with};
use hopshot_core::Tcp;
use hopshot_core::wire::AddressFamily;
use hopshot_engine::{
    Evidence, Hop, ProbeProtocol, ProbeSettings, Reply, Route, SocketKind, TargetAnswer,
    TcpOptions, Trace, UdpPayload,
};
use hopshot_lab::log::Probe;
use hopshot_lab::{Balance, End, Machine, Protocol, Scenario, TruePath, Truth};
use std::time::Duration;

/// SYNs of one trace that may go past a target whose distance isn't known, and the one from another
/// port that finds it out.
const PAST_END: usize = 3;
const KNOCKS: usize = 1;

/// The time between the moment that counts as that of sending and the one when the packet leaves.
const SENDING: Duration = Duration::from_micros(2);

/// Ways to ask the target: by every protocol, at ports that are open and closed.
pub(super) const PROBES: [ProbeProtocol; 7] = [
    ProbeProtocol::Icmp,
    tcp(443),
    tcp(80),
    tcp(81),
    udp(33_434, UdpPayload::Plain),
    udp(7, UdpPayload::Plain),
    udp(443, UdpPayload::Quic),
];

pub(super) const fn tcp(port: u16) -> ProbeProtocol {
    let options = TcpOptions::Mss;
    ProbeProtocol::Tcp { port, options }
}

pub(super) const fn udp(port: u16, payload: UdpPayload) -> ProbeProtocol {
    ProbeProtocol::Udp { port, payload }
}

pub(super) fn settings(probes: ProbeProtocol) -> ProbeSettings {
    let mut settings = ProbeSettings::default();
    settings.protocol = probes;
    settings
}

/// A trace with all that is known of it.
pub(super) struct Traced {
    pub(super) route: Route,
    pub(super) truth: Truth,
    /// All that has left the machine.
    log: Vec<Probe>,
    scenario: Scenario,
}

/// Traces the target of a scenario to the end.
pub(super) fn trace(
    scenario: &Scenario,
    family: AddressFamily,
    settings: &ProbeSettings,
    seed: u64,
) -> Traced {
    trace_on(SocketKind::Raw, scenario, family, settings, seed)
}

/// Does the same on another kind of sockets.
pub(super) fn trace_on(
    kind: SocketKind,
    scenario: &Scenario,
    family: AddressFamily,
    settings: &ProbeSettings,
    seed: u64,
) -> Traced {
    let machine = Machine::new(scenario, kind, seed)
        .speaking(settings.protocol)
        .with_icmp();
    let target = machine.internet().target(family);
    let truth = truth(&machine, family, settings.protocol);
    let job = Trace::start(machine, settings, "target", (target, 0).into()).unwrap();
    let (log, route) = to_the_end_with(job, |link| link.internet().log().to_vec());
    let scenario = scenario.clone();
    Traced {
        route,
        truth,
        log,
        scenario,
    }
}

/// The route that a trace by a protocol should find.
pub(super) fn truth(machine: &Machine, family: AddressFamily, probes: ProbeProtocol) -> Truth {
    let protocol = match probes {
        ProbeProtocol::Tcp { .. } => Protocol::Tcp,
        ProbeProtocol::Udp { .. } => Protocol::Udp,
        _ => Protocol::Icmp,
    };
    let port = probes.port().unwrap_or_default();
    machine.internet().truth_to(family, protocol, port)
}

impl Traced {
    /// The probes of the trace itself, without its knocks: those of its flow, and its detours,
    /// which leave from a port of the same block, or, on UDP sockets, of the lower half.
    pub(super) fn own(&self) -> impl Iterator<Item = &Probe> {
        let block = |port: u16| if port < 0x8000 { 0 } else { port / Tcp::PORTS };
        let own = self.route.source_port().map(block);
        let is_own = move |probe: &&Probe| {
            let port = probe.ports.map(|ports| block(ports.source));
            port == own || port == Some(0)
        };
        self.log.iter().filter(is_own)
    }

    /// The paths that its probes took.
    fn paths(&self) -> impl Iterator<Item = &TruePath> {
        self.own().map(|probe| &self.truth.paths[probe.path])
    }

    /// Whether everybody who is asked answers, also the target, and by one way.
    pub(super) fn is_answered(&self) -> bool {
        let is_by_packet = |diamond: &hopshot_lab::Diamond| diamond.by != Balance::Flow;
        !self.scenario.diamond.iter().any(is_by_packet)
            && !self.is_choosy()
            && self.paths().all(|path| path.end == End::Target)
    }

    /// Whether the target may not answer what gets there.
    fn is_choosy(&self) -> bool {
        let target = &self.scenario.target;
        self.scenario.loss > 0.0
            || target.partial.is_some()
            || target.limit.is_some()
            || target.errors.is_some()
            || self.scenario.hop.iter().any(|hop| hop.first_syn_only)
    }

    /// All that the result says, and isn't so.
    pub(super) fn lies(&self) -> Vec<String> {
        let mut lies: Vec<String> = strong(&self.route)
            .filter(|(hop, from)| {
                // Behind the end the truth knows nothing.
                let is_behind = self.paths().any(|path| path.hops.len() < (*hop).into());
                !is_behind && !self.truth.at(*hop).contains(&Some(*from))
            })
            .map(|(hop, from)| format!("{from} is not at hop {hop}"))
            .collect();
        // What isn't proven may be anybody's guess, and says so.
        for reply in self.replies().filter(Reply::is_proven) {
            lies.extend(self.lie_about(&reply));
        }
        if self.is_answered()
            && let Some(distance) = self.route.distance()
            && !self
                .paths()
                .any(|path| path.hops.len() == usize::from(distance))
        {
            lies.push(format!("the target is not at {distance}"));
        }
        if let Some(proxy) = self.route.proxy().filter(|proxy| proxy.is_certain) {
            lies.push(format!("the target is no proxy: {proxy:?}"));
        }
        let strong = self
            .replies()
            .filter(|reply| reply.evidence() == Evidence::Strong);
        let said = strong.filter_map(|reply| self.said(&reply)?.is_open());
        for is_open in said.chain(self.route.is_open()) {
            if !self.port_is(is_open) {
                lies.push(format!("the port is not what it is said to be: {is_open}"));
            }
        }
        lies
    }

    pub(super) fn replies(&self) -> impl Iterator<Item = Reply> {
        let replies = |hop: Hop<'_>| hop.replies().collect::<Vec<_>>();
        self.route.hops().flat_map(replies)
    }

    /// What the target said, if a reply is the target's.
    fn said(&self, reply: &Reply) -> Option<TargetAnswer> {
        self.route.target_answer(reply)
    }

    /// What a reply says of its probe, and isn't so.
    pub(super) fn lie_about(&self, reply: &Reply) -> Option<String> {
        let (hop, nth) = (reply.probe.hop, usize::from(reply.probe.attempt) - 1);
        let Some(probe) = self.to_hop(hop).nth(nth) else {
            return Some(format!("no such probe: {reply:?}"));
        };
        // A later SYN has drawn it, or it has been sent again.
        let is_late = self.said(reply) == Some(TargetAnswer::Ack) || self.scenario.target.resends;
        let is_its = |rtt_ns: u64| Duration::from_nanos(rtt_ns) + SENDING == reply.rtt;
        let mut answers = probe.answers.iter();
        let is_answer = answers.any(|answer| answer.from == reply.from && is_its(answer.rtt_ns));
        (!is_answer && !is_late).then(|| format!("of another probe than {probe:?}: {reply:?}"))
    }

    /// Whether the target's port is open, or closed.
    fn port_is(&self, open: bool) -> bool {
        let (tcp, udp) = (&self.scenario.target.tcp, &self.scenario.target.udp);
        match self.route.protocol() {
            ProbeProtocol::Tcp { port, .. } => {
                let is_barred = tcp.filtered.contains(&port) || tcp.rejected.contains(&port);
                !is_barred && tcp.open.contains(&port) == open
            }
            ProbeProtocol::Udp { port, .. } => {
                let is_barred = udp.filtered.contains(&port) || udp.rejected.contains(&port);
                !is_barred && (udp.echo.contains(&port) || udp.quic.contains(&port)) == open
            }
            _ => false,
        }
    }

    /// The probes that went just as far as this hop.
    pub(super) fn to_hop(&self, hop: u8) -> impl Iterator<Item = &Probe> {
        self.own().filter(move |probe| probe.hop_limit == hop)
    }

    /// Whether more SYNs got to the target past its distance than a stranger should be sent.
    pub(super) fn is_rude(&self) -> bool {
        let own = self.own().filter(|probe| self.is_past(probe)).count();
        own > PAST_END || self.past() - own > KNOCKS
    }

    /// SYNs that got to the target past its distance, from whatever port.
    pub(super) fn past(&self) -> usize {
        self.log.iter().filter(|probe| self.is_past(probe)).count()
    }

    /// SYNs that got as far as the target, from whatever port, or would have without loss.
    pub(super) fn syns(&self) -> usize {
        let is_there = |probe: &&Probe| {
            usize::from(probe.hop) == self.truth.paths[probe.path].hops.len() && probe.is_syn()
        };
        self.log.iter().filter(is_there).count()
    }

    fn is_past(&self, probe: &Probe) -> bool {
        let is_there = usize::from(probe.hop) == self.truth.paths[probe.path].hops.len();
        probe.past_target && is_there && probe.is_syn()
    }
}
