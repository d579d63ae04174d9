//! The result of a trace: the path to a host.

use crate::checks::Proxy;
use crate::distance::{Distance, distance};
use crate::error::Fault;
use crate::extensions::{NONE, OwnedExtensions};
use crate::failure::{Describe, failure_text};
use crate::link::{Clocks, Link};
use crate::protocol::{ProbeProtocol, Probes, TargetAnswer};
use crate::running::{ClocksOf, ExtensionsOf, PortsOf};
use crate::shared::SharedHop;
use crate::storage::{Growing, Tracer};
use crate::summary::Summary;
use hopshot_core::wire::AddressFamily;
use hopshot_core::{
    APART, Config, Evidence, Failure, Hop, Kind, ProbeId, Reply, StopReason, Tally,
};
use std::collections::BTreeMap;
use std::fmt;
use std::net::IpAddr;
use std::time::Duration;

/// The path to a host.
pub struct Route {
    pub(crate) summary: Summary,
    pub(crate) describe: Describe,
    pub(crate) tracer: Box<Tracer>,
    pub(crate) knock: Option<Reply>,
    pub(crate) proxy: Option<Proxy>,
    pub(crate) is_checked: bool,
    pub(crate) shared: Vec<SharedHop>,
    /// Whether each probe is of another flow.
    pub(crate) has_many_flows: bool,
    pub(crate) clocks: ClocksOf,
    pub(crate) extensions: ExtensionsOf,
    pub(crate) ports: PortsOf,
}

impl fmt::Debug for Route {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Route")
            .field("summary", &self.summary)
            .field("shared", &self.shared)
            .field("route", &self.tracer.route())
            .finish_non_exhaustive()
    }
}

impl Route {
    /// The result of a trace that has sent nothing.
    pub(crate) fn unsent<L: Link>(
        summary: Summary,
        probes: Probes,
        config: Config,
    ) -> Result<Self, L::Error> {
        let config = Config {
            target: summary.target,
            source: summary.source,
            ..config
        };
        let tracer = Tracer::new_in(Growing::new(&config), config, probes);
        Ok(Self {
            summary,
            describe: L::describe,
            tracer: Box::new(tracer.map_err(Fault::Config)?),
            knock: None,
            proxy: None,
            is_checked: true,
            shared: Vec::new(),
            has_many_flows: false,
            clocks: BTreeMap::new(),
            extensions: BTreeMap::new(),
            ports: BTreeMap::new(),
        })
    }

    /// Returns the facts that every result has: who was traced, from where, when and for how long.
    #[must_use]
    pub const fn summary(&self) -> &Summary {
        &self.summary
    }

    /// The size of its probes in octets: the whole packet, its IP header included.
    #[must_use]
    pub fn size(&self) -> usize {
        let family = AddressFamily::of(self.summary.target);
        self.tracer.protocol().size(family)
    }

    /// The flow of its probes, but for [detours](Route::is_detour): what load balancers tell flows
    /// apart by. `None` where each has a flow of its own: with [TCP
    /// sockets](crate::SocketKind::Tcp).
    #[must_use]
    pub fn flow(&self) -> Option<u16> {
        let flow = self.tracer.protocol().flow();
        Some(flow).filter(|_| !self.has_many_flows)
    }

    /// Returns the protocol of its probes.
    #[must_use]
    pub fn protocol(&self) -> ProbeProtocol {
        self.tracer.protocol().protocol()
    }

    /// Returns the source port of its probes, if they have one in common:
    /// [TCP sockets](crate::SocketKind::Tcp) have one each.
    #[must_use]
    pub fn source_port(&self) -> Option<u16> {
        let port = self.tracer.protocol().source_port();
        port.filter(|_| !self.has_many_flows)
    }

    /// Returns whether a probe left on another flow than the trace's, so that a load balancer may
    /// have sent it another way. A silent hop is asked again by such a probe where nothing shows
    /// that any SYN of the flow gets as far, since a firewall may pass only the first; and on [UDP
    /// sockets](crate::SocketKind::Udp) where answers quoted too little to tell which probe they
    /// are about. Where each probe is of another flow this is false.
    #[must_use]
    pub fn is_detour(&self, probe: ProbeId) -> bool {
        let index = self.tracer.index(probe);
        index.is_some_and(|index| index & APART != 0) && !self.has_many_flows
    }

    /// Returns the source port of a [detour](Self::is_detour), where it is known: of one on [UDP
    /// sockets](crate::SocketKind::Udp) only if it was answered, since the system chooses it.
    #[must_use]
    pub fn detour(&self, probe: ProbeId) -> Option<u16> {
        detour(&self.tracer, &self.ports, probe).filter(|_| !self.has_many_flows)
    }

    /// Returns the hops that have answered [detours](Self::is_detour) alone. Where each probe is of
    /// another flow there is none.
    pub fn off_flow(&self) -> impl Iterator<Item = u8> {
        let is_apart = |reply: Reply| self.is_detour(reply.probe);
        let is_off =
            move |hop: &Hop<'_>| hop.replies().next().is_some() && hop.replies().all(is_apart);
        self.hops().filter(is_off).map(|hop| hop.number())
    }

    /// Returns whether every hop that answered has answered a probe of one flow. The target's
    /// further answers are to probes of others: it answers one of each. [TCP
    /// sockets](crate::SocketKind::Tcp) have a flow each.
    #[must_use]
    pub fn is_one_flow(&self) -> bool {
        !self.has_many_flows && self.off_flow().next().is_none()
    }

    /// Returns an answer with all that belongs to it.
    #[must_use]
    pub fn told(&self, reply: Reply) -> HostReply<'_> {
        HostReply {
            host: &self.summary.host,
            target: self.summary.target,
            protocol: self.protocol(),
            detour: self.detour(reply.probe),
            answer: self.target_answer(&reply),
            clocks: self.clocks(reply.probe),
            extensions: self.extensions(reply.probe),
            reply,
        }
    }

    /// Returns what the target said, if a reply is the target's own.
    #[must_use]
    pub fn target_answer(&self, reply: &Reply) -> Option<TargetAnswer> {
        self.protocol().target_answer(reply)
    }

    /// Returns the name of a stop reason in documents: where a firewall forbids the probes,
    /// `filtered`; where a proxy answers in the target's name, `proxied`.
    #[must_use]
    pub fn named(&self, reason: StopReason) -> &'static str {
        match reason {
            _ if self.is_proxied() => "proxied",
            StopReason::Unreachable if self.is_filtered() => "filtered",
            reason => reason.as_str(),
        }
    }

    /// Returns whether a firewall forbids the probes: see [`ProbeProtocol::is_filtered`].
    #[must_use]
    pub fn is_filtered(&self) -> bool {
        let protocol = self.protocol();
        let refusals = |hop: Hop<'_>| hop.replies().filter(Reply::is_proven).collect::<Vec<_>>();
        let last = self
            .hops()
            .map(refusals)
            .filter(|refusals| !refusals.is_empty())
            .last();
        self.stop_reason() == Some(StopReason::Unreachable)
            && last.is_some_and(|last| last.iter().any(|reply| protocol.is_filtered(reply)))
    }

    /// Returns the proxy that answers in the target's name, if checks found one. ICMP traces are
    /// never checked.
    #[must_use]
    pub const fn proxy(&self) -> Option<Proxy> {
        self.proxy
    }

    /// Returns whether the checks for a [proxy](Self::proxy) ended before the trace did, or there
    /// were to be none. A trace that was interrupted may not have got so far.
    #[must_use]
    pub const fn is_checked(&self) -> bool {
        self.is_checked
    }

    /// Returns whether a proxy is certain to answer in the target's name.
    #[must_use]
    pub fn is_proxied(&self) -> bool {
        self.proxy.is_some_and(|proxy| proxy.is_certain)
    }

    /// Returns what the target said to the probe that was to find out how far away it is. It came
    /// from another source port.
    #[must_use]
    pub fn knock(&self) -> Option<TargetAnswer> {
        self.target_answer(self.knock.as_ref()?)
    }

    /// Returns the RTT of the [knock](Self::knock), if it was answered.
    #[must_use]
    pub fn knock_rtt(&self) -> Option<Duration> {
        Some(self.knock.as_ref()?.rtt)
    }

    /// Returns whether the port of the target is open, or closed, if an answer shows it: to a probe
    /// of the flow, else to [one of another](Self::is_detour), which may be another server's where
    /// load is balanced, else to the [knock](Self::knock).
    #[must_use]
    pub fn is_open(&self) -> Option<bool> {
        if self.proxy.is_some() || !self.is_checked {
            return None;
        }
        let replies = self
            .hops()
            .flat_map(|hop| hop.replies().collect::<Vec<_>>());
        let strong = replies.filter(|reply| reply.evidence() == Evidence::Strong);
        let known = strong.filter_map(|reply| {
            let is_open = self.target_answer(&reply)?.is_open()?;
            Some((!self.is_detour(reply.probe), is_open))
        });
        // A port that is open may also reset what it takes for a mistake.
        let best = known.max();
        best.map(|(_, is_open)| is_open)
            .or_else(|| self.knock()?.is_open())
    }

    /// Whether the target answered, be it the [knock](Self::knock) alone, and no
    /// [proxy](Self::proxy) for it.
    #[must_use]
    pub fn reached(&self) -> bool {
        !self.is_proxied() && (self.tracer.route().distance().is_some() || self.knock.is_some())
    }

    /// The hop of the target: the lowest hop limit that reached it. `None` if it did not answer, or
    /// if no probe to the hop before could leave this machine, or none was asked for
    /// ([`Config::first_hop`]): then it may be nearer.
    #[must_use]
    pub fn distance(&self) -> Option<u8> {
        match distance(&self.tracer.route()) {
            _ if self.is_proxied() => None,
            Distance::Exactly(distance) if self.knows_hop_before(distance) => Some(distance),
            Distance::Exactly(_) | Distance::AtMost | Distance::Unknown => None,
        }
    }

    /// Whether it begins before a hop, or behind hops that it shares with others.
    fn knows_hop_before(&self, hop: u8) -> bool {
        hop == 1 || self.tracer.config().first_hop < hop || !self.shared.is_empty()
    }

    /// Returns why the trace ended, also if a [proxy](Self::proxy) has answered it; `None` if it
    /// was still running when it was finished.
    ///
    /// Where a router at the last hop that may be probed has answered a [detour](Self::is_detour),
    /// that is [`StopReason::MaxHops`], although on [UDP sockets](crate::SocketKind::Udp) nothing
    /// proves such an answer: only the word for the end depends on it.
    #[must_use]
    pub fn stop_reason(&self) -> Option<StopReason> {
        match self.tracer.route().stop_reason() {
            Some(StopReason::Quiet | StopReason::Timeout) if self.ends_at_a_detour() => {
                Some(StopReason::MaxHops)
            }
            reason => reason,
        }
    }

    /// Whether a router at the last hop that may be probed has answered a detour.
    fn ends_at_a_detour(&self) -> bool {
        let last = self.tracer.config().max_hops;
        let is_it = |reply: Reply| reply.kind == Kind::TimeExceeded && self.is_detour(reply.probe);
        let mut hops = self.hops().filter(|hop| hop.number() == last);
        hops.any(|hop| hop.replies().any(is_it))
    }

    /// The failure on this machine that the path ends in: see [`hopshot_core::RouteView::failure`].
    #[must_use]
    pub fn failure(&self) -> Option<Failure> {
        self.tracer.route().failure()
    }

    /// Returns why a probe of this trace failed on its machine, in the machine's words where they
    /// are its own.
    #[must_use]
    pub fn failure_text(&self, failure: Failure) -> String {
        failure_text(failure, self.describe)
    }

    /// Returns which clocks the RTT of an answered probe is from.
    #[must_use]
    pub fn clocks(&self, probe: ProbeId) -> Clocks {
        self.clocks.get(&probe).copied().unwrap_or_default()
    }

    /// Returns what the router appended to the answer of a probe.
    #[must_use]
    pub fn extensions(&self, probe: ProbeId) -> &OwnedExtensions {
        self.extensions.get(&probe).unwrap_or(&NONE)
    }

    /// Returns whether an error came that quoted too little to tell which probe it is about. It
    /// happens on [UDP sockets](crate::SocketKind::Udp).
    #[must_use]
    pub fn has_unattributed(&self) -> bool {
        self.tracer.has_unattributed()
    }

    /// Returns counts of what else arrived.
    #[must_use]
    pub fn tally(&self) -> Tally {
        self.tracer.route().tally()
    }

    /// The nearest hops that were not probed, because the path is known to begin with them, and how
    /// well each is known. Only in [surveys](crate::Survey#what-traces-share) without
    /// [`Memory::none`](crate::Memory::none); [`hops`](Self::hops) begins behind them.
    pub fn shared(&self) -> impl Iterator<Item = SharedHop> {
        self.shared.iter().copied()
    }

    /// The hops that were probed, in order.
    pub fn hops(&self) -> impl Iterator<Item = Hop<'_>> {
        self.tracer.route().hops()
    }
}

/// Returns the source port of a probe, if it isn't that of its trace.
pub(crate) fn detour(tracer: &Tracer, ports: &PortsOf, probe: ProbeId) -> Option<u16> {
    let port = tracer.protocol().source_port_of(tracer.index(probe)?);
    port.filter(|_| port != tracer.protocol().source_port())
        .or_else(|| ports.get(&probe).copied())
}

/// An answer as it comes, and what belongs to it. A better one to the same probe may follow, and
/// then stands in its place.
#[derive(Clone, Copy, Debug)]
#[non_exhaustive]
pub struct HostReply<'a> {
    /// The host of its trace as it was given: a name or an address.
    pub host: &'a str,
    /// The address that is traced.
    pub target: IpAddr,
    /// The answer.
    pub reply: Reply,
    /// The protocol of the probe.
    pub protocol: ProbeProtocol,
    /// The source port of the probe, if it isn't that of the trace: see [`Route::detour`].
    pub detour: Option<u16>,
    /// What the target said, if the answer is the target's own.
    pub answer: Option<TargetAnswer>,
    /// The clocks that its RTT is from.
    pub clocks: Clocks,
    /// The extensions that the router appended to it.
    pub extensions: &'a OwnedExtensions,
}

impl HostReply<'_> {
    /// Returns the names of all that came back otherwise than it was sent, as documents have them.
    #[must_use]
    pub fn changed(&self) -> Vec<&'static str> {
        let syn = self.extensions.syn.into_iter();
        let of_syn = syn.flat_map(|syn| {
            let mss = syn.mss.map(|_| "mss");
            mss.into_iter()
                .chain(syn.options_changed.then_some("options"))
        });
        self.protocol
            .changed(self.reply.changes)
            .chain(of_syn)
            .collect()
    }
}
