//! The simulated internet: packets with their time of arrival go in, answers with the time they are
//! due come out.

use crate::answer::{Delivery, Report, Request, echo_reply, error};
use crate::hop::ErrorKind;
use crate::hostile::Attacker;
use crate::limit::{Bucket, Window};
use crate::log::{Answer, Fate, Probe};
use crate::map::{Both, Map, Place, Router, Truth};
use crate::scenario::{Balance, Scenario};
use crate::sweeper::Hostile;
use crate::usurper;
use core::time::Duration;
use hopshot_core::wire::{AddressFamily, icmp};
use std::collections::VecDeque;
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
    target_bucket: [Bucket; 2],
    target_window: [Window; 2],
    attacker: Option<Attacker>,
    sweeper: Option<Hostile>,
    log: Vec<Probe>,
}

/// Who answers a probe, and how.
enum Responder {
    /// A router, with the kind of its error and how much of the hop limit was left there.
    Router {
        router: usize,
        hop: u8,
        kind: ErrorKind,
        rest: u32,
        left: u8,
    },
    /// An echo from the target, or from a router that was the destination itself.
    Echo { router: Option<usize>, hop: u8 },
    /// Nobody.
    Nobody { hop: u8 },
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
            target_bucket: Default::default(),
            target_window: Default::default(),
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

    /// The route that a trace to the target should find.
    #[must_use]
    pub fn truth(&self, family: AddressFamily) -> Truth {
        self.map.truth(family)
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

    /// A packet from the client arrives; its answers, the earliest first. What isn't an Echo
    /// Request is ignored.
    pub fn receive(&mut self, now: Duration, packet: &[u8]) -> Vec<Delivery> {
        let Some(request) = Request::parse(packet) else {
            return Vec::new();
        };
        let begun = *self.first_packet.get_or_insert(now);
        while self
            .later
            .front()
            .is_some_and(|(from, _)| begun.saturating_add(*from) <= now)
            && let Some((_, map)) = self.later.pop_front()
        {
            self.map = map;
        }
        if let Some(attacker) = &mut self.attacker {
            attacker.overhear(now, &request);
        }
        let path = self.choose_path(&request);
        let mut responder = self.responder(&request, path);
        if let (Some(liar), Responder::Echo { router: None, hop }) =
            (self.scenario.liar, &responder)
            && liar.is_mute(&request, &self.map.target)
        {
            responder = Responder::Nobody { hop: *hop };
        }
        if let (Some(sweeper), Responder::Echo { .. }) = (&mut self.sweeper, &responder) {
            sweeper.overhear(now, &request, &self.map);
        }
        let (hop, distance) = (responder.hop(), self.map.distance(path));
        self.log.push(Probe {
            at_ns: nanos(now),
            destination: request.header.ends.destination,
            hop_limit: request.header.hop_limit,
            traffic_class: request.header.traffic_class,
            ident: request.echo.ident,
            seq: request.echo.seq,
            checksum: request.checksum,
            length: packet.len(),
            path,
            hop,
            past_target: distance.is_some_and(|distance| request.header.hop_limit > distance),
            fate: Fate::Answered,
            answers: Vec::new(),
        });
        let (fate, mut deliveries) = self.respond(now, &request, &responder);
        if let Some(probe) = self.log.last_mut() {
            probe.fate = fate;
            probe.answers = deliveries
                .iter()
                .map(|delivery| entry(now, delivery))
                .collect();
        }
        if let (Some(usurper), Responder::Echo { router: None, .. }) =
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

    /// What arrives up to `until` without being an answer to anything; empty unless the scenario
    /// has an attacker.
    pub fn unsolicited(&mut self, until: Duration) -> Vec<Delivery> {
        let flood = self
            .attacker
            .iter_mut()
            .flat_map(|attacker| attacker.messages(until));
        flood
            .chain(
                self.sweeper
                    .iter_mut()
                    .flat_map(|sweeper| sweeper.messages(until)),
            )
            .collect()
    }

    /// When [`Internet::unsolicited`] next has something.
    #[must_use]
    pub fn next_unsolicited(&self) -> Option<Duration> {
        let flood = self.attacker.as_ref().and_then(Attacker::next);
        flood
            .into_iter()
            .chain(self.sweeper.as_ref().and_then(Hostile::next))
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

    fn responder(&self, request: &Request<'_>, path: usize) -> Responder {
        let family = request.family();
        let (hop_limit, destination) = (request.header.hop_limit, request.header.ends.destination);
        let host = self.map.paths[path]
            .iter()
            .position(|router| self.map.routers[*router].addresses.address(family) == destination);
        let host_distance = host.and_then(|index| u8::try_from(index + 1).ok());
        let reach = host_distance.map_or(hop_limit, |distance| hop_limit.min(distance));
        let barrier = self.map.barrier(path, hop_limit);
        if !request.may_be_fragmented()
            && let Some((hop, router, link)) =
                self.map.bottleneck(path, reach, request.packet.len())
            && barrier.is_none_or(|(barrier, ..)| hop < barrier)
        {
            if link.silent {
                return Responder::Nobody { hop };
            }
            // RFC 1191, section 4; RFC 4443, section 3.2.
            let kind = match family {
                AddressFamily::V4 => ErrorKind {
                    icmp_type: 3,
                    code: 4,
                },
                AddressFamily::V6 => ErrorKind {
                    icmp_type: 2,
                    code: 0,
                },
            };
            let said = link.says.map_or(link.mtu, |says| {
                says.mtu(request.packet.len(), request.echo.seq)
            });
            let rest = said.into();
            return Responder::Router {
                router,
                hop,
                kind,
                rest,
                left: hop_limit - (hop - 1),
            };
        }
        if let (Some(index), Some(distance)) = (host, host_distance)
            && hop_limit >= distance
        {
            return Responder::Echo {
                router: Some(self.map.paths[path][index]),
                hop: distance,
            };
        }
        if let Some((hop, router, barrier)) = barrier {
            let kind = match family {
                AddressFamily::V4 => barrier.v4,
                AddressFamily::V6 => barrier.v6,
            };
            return Responder::Router {
                router,
                hop,
                kind,
                rest: barrier.rest,
                left: hop_limit - (hop - 1),
            };
        }
        match self.map.place(path, hop_limit) {
            Place::Router(router) => {
                let icmp_type = icmp::Type::TimeExceeded.number(family).unwrap_or_default();
                let kind = ErrorKind {
                    icmp_type,
                    code: self.map.routers[router].entry.code,
                };
                Responder::Router {
                    router,
                    hop: hop_limit.max(1),
                    kind,
                    rest: 0,
                    left: 1,
                }
            }
            Place::Target => {
                let hop = self.map.distance(path).unwrap_or(u8::MAX);
                if self.map.is_target(destination) {
                    Responder::Echo { router: None, hop }
                } else {
                    Responder::Nobody { hop }
                }
            }
        }
    }

    fn respond(
        &mut self,
        now: Duration,
        request: &Request<'_>,
        responder: &Responder,
    ) -> (Fate, Vec<Delivery>) {
        if self.random.f64() < self.scenario.loss {
            return (Fate::Lost, Vec::new());
        }
        let family = request.family();
        let bucket = usize::from(family == AddressFamily::V6);
        let (hop, copies, packet) = match *responder {
            Responder::Nobody { .. } => return (Fate::Silent, Vec::new()),
            Responder::Router {
                router,
                hop,
                kind,
                rest,
                left,
            } => {
                let from = self.map.error_addresses(router).address(family);
                let Router { entry, .. } = &self.map.routers[router];
                if entry.silent {
                    return (Fate::Silent, Vec::new());
                }
                if entry
                    .limit
                    .is_some_and(|limit| !self.buckets[router][bucket].take(now, limit, family))
                {
                    return (Fate::Limited, Vec::new());
                }
                let report = Report {
                    icmp_type: kind.icmp_type,
                    code: kind.code,
                    rest,
                    left,
                };
                let packet = error(request, from, remaining(u8::MAX, hop), &report, entry);
                (hop, entry.duplicates.unwrap_or(0), packet)
            }
            Responder::Echo {
                router: Some(router),
                hop,
            } => {
                let Router {
                    addresses, entry, ..
                } = &self.map.routers[router];
                if entry.silent {
                    return (Fate::Silent, Vec::new());
                }
                let packet =
                    echo_reply(request, addresses.address(family), remaining(u8::MAX, hop));
                (hop, entry.duplicates.unwrap_or(0), packet)
            }
            Responder::Echo { router: None, hop } => {
                let target = &self.map.target;
                if target.silent {
                    return (Fate::Silent, Vec::new());
                }
                if target
                    .limit
                    .is_some_and(|limit| !self.target_bucket[bucket].take(now, limit, family))
                    || target
                        .partial
                        .is_some_and(|partial| !self.target_window[bucket].take(now, partial))
                {
                    return (Fate::Limited, Vec::new());
                }
                let from = match request.header.ends.destination {
                    first if first == self.map.target_addresses().address(family) => {
                        self.map.reply_addresses().address(family)
                    }
                    other => other,
                };
                (
                    hop,
                    self.scenario.duplicates,
                    echo_reply(request, from, remaining(target.hop_limit, hop)),
                )
            }
        };
        let (rtt, loss) = self.round_trip(responder, hop);
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

    /// How long an answer takes, and how often this responder's answers get lost.
    fn round_trip(&mut self, responder: &Responder, hop: u8) -> (Duration, f64) {
        let plain = self.scenario.rtt_ms * f64::from(hop) / f64::from(self.scenario.hops);
        let router = match responder {
            Responder::Router { router, .. }
            | Responder::Echo {
                router: Some(router),
                ..
            } => Some(*router),
            Responder::Echo { router: None, .. } | Responder::Nobody { .. } => None,
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

impl Responder {
    const fn hop(&self) -> u8 {
        match self {
            Self::Router { hop, .. } | Self::Echo { hop, .. } | Self::Nobody { hop } => *hop,
        }
    }
}

/// What is left of a hop limit after the way back from a hop: the sender itself doesn't count.
const fn remaining(hop_limit: u8, hop: u8) -> u8 {
    let left = hop_limit.saturating_sub(hop.saturating_sub(1));
    if left == 0 { 1 } else { left }
}

fn nanos(time: Duration) -> u64 {
    u64::try_from(time.as_nanos()).unwrap_or(u64::MAX)
}

fn entry(now: Duration, delivery: &Delivery) -> Answer {
    let (header, message) =
        hopshot_core::wire::ip::parse(&delivery.packet).expect("the model makes whole packets");
    Answer {
        from: header.ends.source,
        icmp_type: message[0],
        icmp_code: message[1],
        rtt_ns: nanos(delivery.due - now),
        delivered_ns: None,
    }
}

/// FNV-1a over what a balancer looks at. Routers' own hashes are secret; any that mixes well shows
/// the same behaviour.
fn flow_hash(request: &Request<'_>, ident: bool, salt: u64) -> u64 {
    let message =
        &request.packet[request.packet.len() - icmp::HEADER_LEN - request.echo.payload.len()..];
    let network: &[u8] = match request.family() {
        AddressFamily::V4 => &request.packet[9..10],
        AddressFamily::V6 => &request.packet[1..4],
    };
    let addresses = match request.family() {
        AddressFamily::V4 => &request.packet[12..20],
        AddressFamily::V6 => &request.packet[8..40],
    };
    let flow = &message[..if ident { 6 } else { 4 }];
    let parts = [&salt.to_be_bytes()[..], network, addresses, flow];
    let hash = parts
        .into_iter()
        .flatten()
        .fold(0xcbf2_9ce4_8422_2325, |hash: u64, octet| {
            (hash ^ u64::from(*octet)).wrapping_mul(0x0100_0000_01b3)
        });
    // FNV's low bits are weak; fold the high ones in.
    let hash = (hash ^ (hash >> 33)).wrapping_mul(0xff51_afd7_ed55_8ccd);
    hash ^ (hash >> 33)
}
