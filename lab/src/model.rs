//! The simulated internet: packets with their time of arrival go in, answers with the time they are
//! due come out.

use crate::answer::{Delivery, Request};
use crate::hostile::Attacker;
use crate::log::{Answer, Fate, Probe, Sent};
use crate::map::{Both, Map, Truth};
use crate::network::{Network, Way};
use crate::responder::Responder;
use crate::scenario::Scenario;
use crate::sweeper::Hostile;
use crate::transport::{Protocol, RST, Segment};
use crate::usurper;
use core::time::Duration;
use hopshot_core::wire::AddressFamily;
use std::collections::VecDeque;
use std::net::IpAddr;

/// A simulated internet, with everything it remembers.
///
/// Pure: no clock, no I/O; the same scenario, seed and packets give the same answers. The time
/// given must not go back.
#[derive(Debug)]
pub struct Internet {
    scenario: Scenario,
    network: Network,
    /// What the map will be, and how long after the first packet.
    later: VecDeque<(Duration, Map)>,
    first_packet: Option<Duration>,
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
        let mut network = Network::new(scenario, map, seed);
        Self {
            attacker: scenario
                .flood
                .map(|flood| Attacker::new(flood, network.fork())),
            sweeper: scenario.sweeper.map(Hostile::new),
            log: Vec::new(),
            scenario: scenario.clone(),
            network,
            later,
            first_packet: None,
        }
    }

    /// The target's address.
    #[must_use]
    pub fn target(&self, family: AddressFamily) -> IpAddr {
        self.network.map.target_addresses().address(family)
    }

    /// The route that a trace to the target should find with ICMP.
    #[must_use]
    pub fn truth(&self, family: AddressFamily) -> Truth {
        self.network.map.truth(family, Protocol::Icmp, 0)
    }

    /// The route that a trace to a port of the target should find.
    #[must_use]
    pub fn truth_to(&self, family: AddressFamily, protocol: Protocol, port: u16) -> Truth {
        self.network.map.truth(family, protocol, port)
    }

    /// Every name with its addresses: the target's first, then the routers', also of those that
    /// come later.
    pub fn names(&self) -> impl Iterator<Item = (&str, Both)> {
        let maps = core::iter::once(&self.network.map).chain(self.later.iter().map(|(_, map)| map));
        let routers = maps.flat_map(|map| {
            map.routers
                .iter()
                .map(|router| (router.name.as_str(), router.addresses))
        });
        core::iter::once((
            self.network.map.target.name.as_str(),
            self.network.map.target_addresses(),
        ))
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
        let mut way = self.network.carry(&request);
        if request.segment().is_some_and(|segment| segment.has(RST)) {
            self.network.reset(&request, &way);
            return Vec::new();
        }
        if let Some(attacker) = &mut self.attacker {
            attacker.overhear(now, &request);
        }
        if let (Some(liar), Responder::Host { router: None, hop }) =
            (self.scenario.liar, &way.responder)
            && liar.is_mute(&request, &self.network.map.target)
        {
            way.responder = Responder::Nobody { hop: *hop };
        }
        if let (Some(sweeper), Responder::Host { .. }) = (&mut self.sweeper, &way.responder) {
            sweeper.overhear(now, &request, &self.network.map);
        }
        let mut probe = self.entry(now, &request, &way);
        let number = self.log.len();
        let mut deliveries = match self.network.respond(now, &request, &way) {
            Ok(answers) => (0..)
                .zip(answers)
                .map(|(copy, (due, packet))| Delivery {
                    due,
                    packet,
                    answer: Some((number, copy)),
                })
                .collect(),
            Err(fate) => {
                probe.fate = fate;
                Vec::new()
            }
        };
        probe.answers = deliveries
            .iter()
            .map(|delivery| answer(now, delivery))
            .collect();
        self.log.push(probe);
        if let (Some(usurper), Responder::Host { router: None, .. }) =
            (self.scenario.usurper, &way.responder)
            && let Some(packet) = usurper.claim(&request, &self.log, &self.network.map.target)
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
            self.network.map = map;
        }
    }

    /// The entry in the log of a probe that hasn't been answered yet.
    fn entry(&self, now: Duration, request: &Request<'_>, way: &Way) -> Probe {
        let distance = self.network.map.distance(way.path);
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
            path: way.path,
            hop: way.responder.hop(),
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
            .chain(self.network.hosts.repeats(until))
            .collect()
    }

    /// When [`Internet::unsolicited`] next has something.
    #[must_use]
    pub fn next_unsolicited(&self) -> Option<Duration> {
        let flood = self.attacker.as_ref().and_then(Attacker::next);
        let sweep = self.sweeper.as_ref().and_then(Hostile::next);
        [flood, sweep, self.network.hosts.next()]
            .into_iter()
            .flatten()
            .min()
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
