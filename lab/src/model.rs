//! The simulated internet: packets with their time of arrival go in, answers with the time they are
//! due come out.

use crate::answer::{Delivery, Report, Request, error, remaining};
use crate::balance::flow_hash;
use crate::hop::Hop;
use crate::hostile::Attacker;
use crate::limit::Bucket;
use crate::log::{Answer, Fate, Probe, Sent};
use crate::map::{Both, Map, Router, Truth};
use crate::middlebox::{self, View};
use crate::responder::Responder;
use crate::scenario::{Balance, Scenario};
use crate::sweeper::Hostile;
use crate::target::{Arrival, Hosts};
use crate::transport::{Flow, Protocol, RST, SYN, Segment};
use crate::usurper;
use core::time::Duration;
use hopshot_core::wire::{AddressFamily, Ends};
use std::collections::{BTreeSet, VecDeque};
use std::net::IpAddr;

/// A simulated internet, with everything it remembers.
///
/// Pure: no clock, no I/O; the same scenario, seed and packets give the same answers. The time
/// given must not go back.
#[derive(Debug)]
pub struct Internet {
    scenario: Scenario,
    map: Map,
    /// What the map will be, and how long after the first packet.
    later: VecDeque<(Duration, Map)>,
    first_packet: Option<Duration>,
    random: fastrand::Rng,
    /// What makes one seed's balancers choose otherwise than another's.
    salt: u64,
    buckets: Vec<[Bucket; 2]>,
    hosts: Hosts,
    /// Which flows a router that passes only the first SYN has seen.
    begun: BTreeSet<(usize, Flow)>,
    attacker: Option<Attacker>,
    sweeper: Option<Hostile>,
    log: Vec<Probe>,
}

impl Internet {
    /// An internet as the scenario describes it.
    #[must_use]
    pub fn new(scenario: &Scenario, seed: u64) -> Self {
        let mut later: VecDeque<_> = scenario
            .stretches()
            .map(|(from, scenario)| (from, Map::new(&scenario)))
            .collect();
        let (_, map) = later.pop_front().expect("there is always a first stretch");
        let mut random = fastrand::Rng::with_seed(seed);
        Self {
            salt: random.u64(..),
            buckets: vec![Default::default(); map.routers.len()],
            hosts: Hosts::new(seed),
            begun: BTreeSet::new(),
            attacker: scenario
                .flood
                .map(|flood| Attacker::new(flood, random.fork())),
            sweeper: scenario.sweeper.map(Hostile::new),
            log: Vec::new(),
            scenario: scenario.clone(),
            map,
            later,
            first_packet: None,
            random,
        }
    }

    /// The target's address.
    #[must_use]
    pub fn target(&self, family: AddressFamily) -> IpAddr {
        self.map.target_addresses().address(family)
    }

    /// The route that a trace to the target should find with ICMP.
    #[must_use]
    pub fn truth(&self, family: AddressFamily) -> Truth {
        self.map.truth(family, Protocol::Icmp, 0)
    }

    /// The route that a trace to a port of the target should find.
    #[must_use]
    pub fn truth_to(&self, family: AddressFamily, protocol: Protocol, port: u16) -> Truth {
        self.map.truth(family, protocol, port)
    }

    /// Every name with its addresses: the target's first, then the routers', also of those that
    /// come later.
    pub fn names(&self) -> impl Iterator<Item = (&str, Both)> {
        let maps = core::iter::once(&self.map).chain(self.later.iter().map(|(_, map)| map));
        let routers = maps.flat_map(|map| {
            map.routers
                .iter()
                .map(|router| (router.name.as_str(), router.addresses))
        });
        core::iter::once((self.map.target.name.as_str(), self.map.target_addresses()))
            .chain(routers)
    }

    /// The probes so far.
    #[must_use]
    pub fn log(&self) -> &[Probe] {
        &self.log
    }

    /// Takes the log out, for instance between two traces.
    pub fn take_log(&mut self) -> Vec<Probe> {
        core::mem::take(&mut self.log)
    }

    /// Writes into the log when an answer was really handed over.
    pub fn delivered(&mut self, delivery: &Delivery, at: Duration) {
        if let Some((probe, answer)) = delivery.answer
            && let Some(answer) = self
                .log
                .get_mut(probe)
                .and_then(|probe| probe.answers.get_mut(answer))
        {
            answer.delivered_ns = Some(nanos(at));
        }
    }

    /// A packet from the client arrives; its answers, the earliest first. What is no Echo Request,
    /// TCP segment or UDP datagram is ignored.
    pub fn receive(&mut self, now: Duration, packet: &[u8]) -> Vec<Delivery> {
        let Some(request) = Request::parse(packet) else {
            return Vec::new();
        };
        self.follow(now);
        let path = self.choose_path(&request);
        let is_lost = self.random.f64() < self.scenario.loss;
        let mut responder = Responder::of(&self.map, &request, path);
        if let Some(hop) = self.firewall(&request, path, responder.hop(), is_lost) {
            responder = Responder::Nobody { hop };
        }
        if request.segment().is_some_and(|segment| segment.has(RST)) {
            if let (false, Responder::Host { router: None, hop }) = (is_lost, responder)
                && let Some((flow, segment)) = self.arrived(&request, path, hop)
            {
                self.hosts.reset(flow, segment);
            }
            return Vec::new();
        }
        if let Some(attacker) = &mut self.attacker {
            attacker.overhear(now, &request);
        }
        if let (Some(liar), Responder::Host { router: None, hop }) =
            (self.scenario.liar, &responder)
            && liar.is_mute(&request, &self.map.target)
        {
            responder = Responder::Nobody { hop: *hop };
        }
        if let (Some(sweeper), Responder::Host { .. }) = (&mut self.sweeper, &responder) {
            sweeper.overhear(now, &request, &self.map);
        }
        self.log.push(self.entry(now, &request, path, &responder));
        let (fate, mut deliveries) = if is_lost {
            (Fate::Lost, Vec::new())
        } else {
            self.respond(now, &request, path, &responder)
        };
        if let Some(probe) = self.log.last_mut() {
            probe.fate = fate;
            probe.answers = deliveries
                .iter()
                .map(|delivery| answer(now, delivery))
                .collect();
        }
        if let (Some(usurper), Responder::Host { router: None, .. }) =
            (self.scenario.usurper, &responder)
            && let Some(packet) = usurper.claim(&request, &self.log, &self.map.target)
        {
            deliveries.push(Delivery {
                due: usurper::due(now, self.scenario.rtt_ms),
                packet,
                answer: None,
            });
        }
        deliveries
    }

    /// Takes the map of the time.
    fn follow(&mut self, now: Duration) {
        let begun = *self.first_packet.get_or_insert(now);
        while self
            .later
            .front()
            .is_some_and(|(from, _)| begun.saturating_add(*from) <= now)
            && let Some((_, map)) = self.later.pop_front()
        {
            self.map = map;
        }
    }

    /// The entry in the log of a probe that hasn't been answered yet.
    fn entry(
        &self,
        now: Duration,
        request: &Request<'_>,
        path: usize,
        responder: &Responder,
    ) -> Probe {
        let distance = self.map.distance(path);
        let (echo, segment) = (request.echo(), request.segment());
        Probe {
            at_ns: nanos(now),
            destination: request.header.ends.destination,
            hop_limit: request.header.hop_limit,
            traffic_class: request.header.traffic_class,
            protocol: request.protocol(),
            ports: request.ports(),
            tcp: segment.map(|Segment { seq, flags, .. }| Sent { seq, flags }),
            ident: echo.map_or(0, |echo| echo.ident),
            seq: echo.map_or(0, |echo| echo.seq),
            checksum: request.checksum(),
            length: request.packet.len(),
            path,
            hop: responder.hop(),
            past_target: distance.is_some_and(|distance| request.header.hop_limit > distance),
            fate: Fate::Answered,
            answers: Vec::new(),
        }
    }

    /// What has been sent up to `until` without being the answer to a packet: an attacker's
    /// messages, and what the target sends again.
    pub fn unsolicited(&mut self, until: Duration) -> Vec<Delivery> {
        let flood = self.attacker.iter_mut();
        let sweep = self.sweeper.iter_mut();
        flood
            .flat_map(|attacker| attacker.messages(until))
            .chain(sweep.flat_map(|sweeper| sweeper.messages(until)))
            .chain(self.hosts.repeats(until))
            .collect()
    }

    /// When [`Internet::unsolicited`] next has something.
    #[must_use]
    pub fn next_unsolicited(&self) -> Option<Duration> {
        let flood = self.attacker.as_ref().and_then(Attacker::next);
        let sweep = self.sweeper.as_ref().and_then(Hostile::next);
        [flood, sweep, self.hosts.next()]
            .into_iter()
            .flatten()
            .min()
    }

    /// The path that the load balancers choose.
    fn choose_path(&mut self, request: &Request<'_>) -> usize {
        let mut path = 0;
        let mut weight = 1;
        for (number, diamond) in self.map.diamonds.iter().enumerate() {
            let branches = diamond.lengths.len();
            let chosen = match diamond.by {
                Balance::Packet => self.random.usize(..branches),
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
    fn passed(&self, path: usize, hop: u8) -> impl DoubleEndedIterator<Item = &Hop> {
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
            if entry.drops.contains(&request.protocol()) {
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

    /// A segment as it gets to a hop, and the connection that it belongs to there.
    fn arrived(&self, request: &Request<'_>, path: usize, hop: u8) -> Option<(Flow, Segment)> {
        let packet = middlebox::pass(request, self.passed(path, hop), View::Arrived);
        let arrived = packet.as_deref().and_then(Request::parse);
        let arrived = arrived.as_ref().unwrap_or(request);
        Some((arrived.flow()?, arrived.segment()?))
    }

    fn respond(
        &mut self,
        now: Duration,
        request: &Request<'_>,
        path: usize,
        responder: &Responder,
    ) -> (Fate, Vec<Delivery>) {
        let (packet, copies) = match self.answer(now, request, path, responder) {
            Ok(answered) => answered,
            Err(fate) => return (fate, Vec::new()),
        };
        let hop = responder.hop();
        let (rtt, loss) = self.round_trip(responder, hop);
        if self.map.target.resends
            && let Responder::Host { router: None, .. } = responder
            && let Some((flow, _)) = self.arrived(request, path, hop)
        {
            self.hosts.repeat(now, flow, rtt, &packet);
        }
        if self.random.f64() < self.scenario.loss || self.random.f64() < loss {
            return (Fate::AnswerLost, Vec::new());
        }
        let probe = self.log.len() - 1;
        let copy = |number: u8| Delivery {
            due: now + rtt + Duration::from_millis(number.into()),
            packet: packet.clone(),
            answer: Some((probe, number.into())),
        };
        (Fate::Answered, (0..=copies).map(copy).collect())
    }

    /// The packet of an answer and how many copies follow it, or why there is none.
    fn answer(
        &mut self,
        now: Duration,
        request: &Request<'_>,
        path: usize,
        responder: &Responder,
    ) -> Result<(Vec<u8>, u8), Fate> {
        let family = request.family();
        let hop = responder.hop();
        let [arrived, quoted] = [View::Arrived, View::Quoted]
            .map(|view| middlebox::pass(request, self.passed(path, hop), view));
        let [arrived, quoted] =
            [&arrived, &quoted].map(|packet| packet.as_deref().and_then(Request::parse));
        let arrived = arrived.as_ref().unwrap_or(request);
        let quoted = quoted.as_ref().unwrap_or(request);
        match *responder {
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
    fn round_trip(&mut self, responder: &Responder, hop: u8) -> (Duration, f64) {
        let plain = self.scenario.rtt_ms * f64::from(hop) / f64::from(self.scenario.hops);
        let router = match responder {
            Responder::Router { router, .. }
            | Responder::Host {
                router: Some(router),
                ..
            } => Some(*router),
            Responder::Host { router: None, .. } | Responder::Nobody { .. } => None,
        };
        let (base, jitter, loss) = router.map_or((plain, self.scenario.jitter_ms, 0.0), |router| {
            let entry = &self.map.routers[router].entry;
            let jitter = entry.jitter_ms.unwrap_or(self.scenario.jitter_ms);
            (
                entry.rtt_ms.unwrap_or(plain) + entry.slow_ms,
                jitter,
                entry.loss,
            )
        });
        let nanos = ((base + self.random.f64() * jitter) * 1e6).round();
        // Saturates: a float that isn't a time is none.
        (Duration::from_nanos(nanos as u64), loss)
    }
}

fn nanos(time: Duration) -> u64 {
    u64::try_from(time.as_nanos()).unwrap_or(u64::MAX)
}

fn answer(now: Duration, delivery: &Delivery) -> Answer {
    let (header, message) =
        hopshot_core::wire::ip::parse(&delivery.packet).expect("the model makes whole packets");
    let protocol = Protocol::numbered(header.protocol, header.ends.family()).unwrap_or_default();
    let is_icmp = protocol == Protocol::Icmp;
    Answer {
        from: header.ends.source,
        protocol,
        icmp_type: if is_icmp { message[0] } else { 0 },
        icmp_code: if is_icmp { message[1] } else { 0 },
        flags: (protocol == Protocol::Tcp).then(|| message[13]),
        rtt_ns: nanos(delivery.due - now),
        delivered_ns: None,
    }
}
