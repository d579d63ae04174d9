//! The paths with all that is on them, and what they do to a packet and its answers.

use crate::answer::{Report, Request, error, remaining};
use crate::balance::flow_hash;
use crate::hop::{Hop, slow_ms};
use crate::limit::Bucket;
use crate::log::Fate;
use crate::map::{Map, Router};
use crate::middlebox::{self, View};
use crate::responder::Responder;
use crate::scenario::{Balance, Scenario};
use crate::target::{Arrival, Hosts};
use crate::transport::{Flow, Protocol, SYN, Segment};
use core::time::Duration;
use hopshot_core::wire::{AddressFamily, Ends};
use std::collections::BTreeSet;
use std::net::IpAddr;

/// The branch that a protocol takes where the protocol decides.
const fn branch_of(protocol: Protocol) -> usize {
    match protocol {
        Protocol::Icmp => 0,
        Protocol::Tcp => 1,
        Protocol::Udp => 2,
    }
}

/// Routers, hosts and what is between them.
#[derive(Debug)]
pub(crate) struct Network {
    pub(crate) map: Map,
    pub(crate) hosts: Hosts,
    scenario: Scenario,
    random: fastrand::Rng,
    /// What makes one seed's balancers choose otherwise than another's.
    salt: u64,
    buckets: Vec<[Bucket; 2]>,
    /// Which flows a router that passes only the first SYN has seen.
    begun: BTreeSet<(usize, Flow)>,
}

/// The way of a packet.
pub(crate) struct Way {
    pub(crate) path: usize,
    /// Who is at its end.
    pub(crate) responder: Responder,
    /// Whether it gets lost before.
    is_lost: bool,
}

impl Network {
    pub(crate) fn new(scenario: &Scenario, map: Map, seed: u64) -> Self {
        let mut random = fastrand::Rng::with_seed(seed);
        Self {
            salt: random.u64(..),
            buckets: vec![Default::default(); map.routers.len()],
            hosts: Hosts::new(seed),
            begun: BTreeSet::new(),
            scenario: scenario.clone(),
            map,
            random,
        }
    }

    /// Another source of randomness.
    pub(crate) fn fork(&mut self) -> fastrand::Rng {
        self.random.fork()
    }

    /// Sends a packet on its way.
    pub(crate) fn carry(&mut self, request: &Request<'_>) -> Way {
        let path = self.choose_path(request);
        let is_lost = self.random.f64() < self.scenario.loss;
        let mut responder = Responder::of(&self.map, request, path);
        if let Some(hop) = self.firewall(request, path, responder.hop(), is_lost) {
            responder = Responder::Nobody { hop };
        }
        Way {
            path,
            responder,
            is_lost,
        }
    }

    /// The path that the load balancers choose.
    fn choose_path(&mut self, request: &Request<'_>) -> usize {
        let mut path = 0;
        let mut weight = 1;
        for (number, diamond) in self.map.diamonds.iter().enumerate() {
            let branches = diamond.lengths.len();
            let chosen = match diamond.by {
                Balance::Packet => self.random.usize(..branches),
                Balance::Protocol => branch_of(request.protocol()) % branches,
                by => {
                    let hash = flow_hash(
                        request,
                        by == Balance::Ident,
                        self.salt.wrapping_add(number as u64),
                    );
                    usize::try_from(hash % branches as u64).unwrap_or(0)
                }
            };
            path += chosen * weight;
            weight *= branches;
        }
        path
    }

    /// The routers before a hop, which what gets there has passed.
    fn passed(&self, path: usize, hop: u8) -> impl Iterator<Item = &Hop> {
        self.map
            .before(path, hop)
            .map(|router| &self.map.routers[router].entry)
    }

    /// The hop of the firewall that drops a packet on its way to a hop.
    fn firewall(
        &mut self,
        request: &Request<'_>,
        path: usize,
        hop: u8,
        is_lost: bool,
    ) -> Option<u8> {
        let is_syn = request.segment().is_some_and(|segment| segment.has(SYN));
        for (place, router) in (1..).zip(self.map.before(path, hop)) {
            let entry = &self.map.routers[router].entry;
            let protocol = request.protocol();
            if entry.drops.contains(&protocol) {
                return Some(place);
            }
            if let Some(loses) = &entry.loses
                && loses.of.contains(&protocol)
                && self.random.f64() < loses.share
            {
                return Some(place);
            }
            if let Some(flow) = request.flow().filter(|_| is_syn && entry.first_syn_only) {
                let key = (router, flow);
                let is_first = !self.begun.contains(&key);
                if !is_first {
                    return Some(place);
                }
                // A packet that gets lost has begun nothing.
                if !is_lost {
                    self.begun.insert(key);
                }
            }
        }
        None
    }

    /// Lets an RST end what it belongs to.
    pub(crate) fn reset(&mut self, request: &Request<'_>, way: &Way) {
        if !way.is_lost
            && let Responder::Host { router: None, .. } = way.responder
            && let Some((flow, segment)) = self.arrived(request, way)
        {
            self.hosts.reset(flow, segment);
        }
    }

    /// A segment as it gets to the end of its way, and the connection that it belongs to there.
    fn arrived(&self, request: &Request<'_>, way: &Way) -> Option<(Flow, Segment)> {
        let boxes = self.passed(way.path, way.responder.hop());
        let packet = middlebox::pass(request, boxes, View::Arrived);
        let arrived = packet.as_deref().and_then(Request::parse);
        let arrived = arrived.as_ref().unwrap_or(request);
        Some((arrived.flow()?, arrived.segment()?))
    }

    /// The packets that the client gets, and when, or why there are none.
    pub(crate) fn respond(
        &mut self,
        now: Duration,
        request: &Request<'_>,
        way: &Way,
    ) -> Result<Vec<(Duration, Vec<u8>)>, Fate> {
        if way.is_lost {
            return Err(Fate::Lost);
        }
        let (packet, copies) = self.answer(now, request, way)?;
        let (responder, hop) = (&way.responder, way.responder.hop());
        let (rtt, loss) = self.round_trip(responder, hop, request.protocol());
        if self.map.target.resends
            && let Responder::Host { router: None, .. } = responder
            && let Some((flow, _)) = self.arrived(request, way)
        {
            self.hosts.repeat(now, flow, rtt, &packet);
        }
        if self.random.f64() < self.scenario.loss || self.random.f64() < loss {
            return Err(Fate::AnswerLost);
        }
        let due = |copy: u8| now + rtt + Duration::from_millis(copy.into());
        let copies = (0..=copies).map(move |copy| (due(copy), packet.clone()));
        Ok(copies.collect())
    }

    /// The packet of an answer and how many copies follow it, or why there is none.
    fn answer(
        &mut self,
        now: Duration,
        request: &Request<'_>,
        way: &Way,
    ) -> Result<(Vec<u8>, u8), Fate> {
        let family = request.family();
        let (path, hop) = (way.path, way.responder.hop());
        let [arrived, quoted] = [View::Arrived, View::Quoted]
            .map(|view| middlebox::pass(request, self.passed(path, hop), view));
        let [arrived, quoted] =
            [&arrived, &quoted].map(|packet| packet.as_deref().and_then(Request::parse));
        let arrived = arrived.as_ref().unwrap_or(request);
        let quoted = quoted.as_ref().unwrap_or(request);
        match way.responder {
            Responder::Nobody { .. } => Err(Fate::Silent),
            Responder::Router {
                router,
                kind,
                rest,
                left,
                ..
            } => {
                let from = self.map.error_addresses(router).address(family);
                let Router { entry, .. } = &self.map.routers[router];
                if entry.silent {
                    return Err(Fate::Silent);
                }
                let bucket = &mut self.buckets[router][usize::from(family == AddressFamily::V6)];
                if entry
                    .limit
                    .is_some_and(|limit| !bucket.take(now, limit, family))
                {
                    return Err(Fate::Limited);
                }
                let report = Report {
                    icmp_type: kind.icmp_type,
                    code: kind.code,
                    rest,
                    left,
                };
                let packet = error(quoted, from, remaining(u8::MAX, hop), &report, entry);
                Ok((packet, entry.duplicates.unwrap_or(0)))
            }
            Responder::Host { router, .. } => {
                let from = self.address(request.header.ends.destination, router);
                let starts_with = router.map_or(self.map.target.hop_limit, |_| u8::MAX);
                let arrival = Arrival {
                    request: arrived,
                    quoted,
                    back: Ends {
                        source: from,
                        destination: request.header.ends.source,
                    },
                    hop_limit: remaining(starts_with, hop),
                    left: request.header.hop_limit - (hop - 1),
                    quote: self.map.target.quote,
                };
                let (mut packet, copies) = match router {
                    Some(router) => {
                        let Router { entry, .. } = &self.map.routers[router];
                        if entry.silent {
                            return Err(Fate::Silent);
                        }
                        (arrival.refuse()?, entry.duplicates.unwrap_or(0))
                    }
                    None => {
                        let packet = self.hosts.answer(now, &arrival, &self.map.target)?;
                        (packet, self.scenario.duplicates)
                    }
                };
                middlebox::pass_back(&mut packet, self.passed(path, hop));
                Ok((packet, copies))
            }
        }
    }

    /// The address that a host answers from.
    fn address(&self, destination: IpAddr, router: Option<usize>) -> IpAddr {
        let family = AddressFamily::of(destination);
        match router {
            Some(router) => self.map.routers[router].addresses.address(family),
            None if destination == self.map.target_addresses().address(family) => {
                self.map.reply_addresses().address(family)
            }
            None => destination,
        }
    }

    /// How long an answer takes, and how often this responder's answers get lost.
    fn round_trip(
        &mut self,
        responder: &Responder,
        hop: u8,
        protocol: Protocol,
    ) -> (Duration, f64) {
        let plain = self.scenario.rtt_ms * f64::from(hop) / f64::from(self.scenario.hops);
        let router = match responder {
            Responder::Router { router, .. }
            | Responder::Host {
                router: Some(router),
                ..
            } => Some(*router),
            Responder::Host { router: None, .. } | Responder::Nobody { .. } => None,
        };
        let target = &self.map.target;
        let at_target = plain + slow_ms(target.slow_ms, &target.slow_for, protocol);
        let plain_target = (at_target, self.scenario.jitter_ms, 0.0);
        let (base, jitter, loss) = router.map_or(plain_target, |router| {
            let entry = &self.map.routers[router].entry;
            let jitter = entry.jitter_ms.unwrap_or(self.scenario.jitter_ms);
            (
                entry.rtt_ms.unwrap_or(plain) + slow_ms(entry.slow_ms, &entry.slow_for, protocol),
                jitter,
                entry.loss,
            )
        });
        let nanos = ((base + self.random.f64() * jitter) * 1e6).round();
        // Saturates: a float that isn't a time is none.
        (Duration::from_nanos(nanos as u64), loss)
    }
}
