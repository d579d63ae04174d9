//! Properties of the traces of a list, without sockets: answers of true routers, in any order, and
//! of a forger who sees the probes that reach it and answers for anybody's. Nobody stands in a
//! result who didn't prove to have seen a probe of it.

use crate::identities::Identities;
use crate::per_family::FAMILIES;
use crate::protocol::{Key, ProbeProtocol};
use crate::shared::SharedHops;
use crate::storage::{CAPACITY, Growing, Tracer};
use crate::trace_id::TraceId;
use hopshot_core::wire::icmp::{Echo, Error, Message, Type};
use hopshot_core::wire::{AddressFamily, Ends, ip};
use hopshot_core::{Action, Answer, Config, Evidence, Instant, Protocol, Reply};
use std::collections::{BTreeMap, HashSet};
use std::net::IpAddr;

/// SplitMix64 (Steele, Lea and Flood, 2014).
struct Random(u64);

impl Random {
    fn next(&mut self) -> u64 {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut z = self.0;
        z = (z ^ (z >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        z = (z ^ (z >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        z ^ (z >> 31)
    }

    fn below(&mut self, end: usize) -> usize {
        (self.next() % end as u64) as usize
    }

    fn word(&mut self) -> u16 {
        self.next() as u16
    }

    fn one_in(&mut self, n: usize) -> bool {
        self.below(n) == 0
    }
}

/// An address: of the net of routers, of targets, or of the forger.
/// The hosts of a kind are in five networks (/24, /48): those of one alone would teach nobody a
/// router's name.
fn host(family: AddressFamily, kind: u8, number: u8) -> IpAddr {
    let network = number % 5;
    match family {
        AddressFamily::V4 => [10, kind, network, number].into(),
        AddressFamily::V6 => [
            0x2001,
            0xdb8,
            u16::from_be_bytes([kind, network]),
            0,
            0,
            0,
            0,
            number.into(),
        ]
        .into(),
    }
}

const US: u8 = 0;
const ROUTERS: u8 = 1;
const TARGETS: u8 = 2;
const FORGER: u8 = 3;

/// All targets are so far.
const DISTANCE: u8 = 6;

fn id(number: usize) -> TraceId {
    TraceId::after(number as u64)
}

fn answered(identities: &Identities, key: Key) -> Vec<usize> {
    identities.whose(key).map(|id| id.age() as usize).collect()
}

/// A probe of a trace as it left.
struct Probe {
    trace: usize,
    hop: u8,
    message: Vec<u8>,
}

/// An answer that is on its way.
struct Packet {
    from: IpAddr,
    message: Vec<u8>,
}

/// Traces that come and go, and everything that is on its way to them.
struct List {
    random: Random,
    family: AddressFamily,
    /// Whether no router is heard at hop 2, but the forger tries to be; or the forger lies about
    /// where it is.
    is_silent: bool,
    /// The ident of all, as on a ping socket.
    ident: Option<u16>,
    identities: Identities,
    traces: BTreeMap<usize, Tracer>,
    added: usize,
    now: Instant,
    packets: Vec<Packet>,
    /// Probes that came to the forger: it is one of the targets, and may be one of the routers.
    seen: Vec<Probe>,
    /// Who has seen a probe of a trace.
    proofs: HashSet<(usize, IpAddr)>,
    shared_hops: SharedHops,
    /// Who has proved to be at a hop, whole traces say.
    named: HashSet<(u8, IpAddr)>,
    /// How many routers a trace took over from others.
    shared: usize,
}

impl List {
    fn new(family: AddressFamily, ident: Option<u16>, seed: u64) -> Self {
        Self {
            random: Random(seed),
            family,
            is_silent: seed % 2 == 1,
            ident,
            identities: Identities::default(),
            traces: BTreeMap::new(),
            added: 0,
            now: Instant::EPOCH,
            packets: Vec::new(),
            seen: Vec::new(),
            proofs: HashSet::new(),
            shared_hops: SharedHops::default(),
            named: HashSet::new(),
            shared: 0,
        }
    }

    fn add(&mut self) {
        let number = self.added;
        let target = match number % 8 {
            0 => host(self.family, FORGER, 1),
            _ => host(self.family, TARGETS, number as u8),
        };
        let random = u128::from(self.random.next()) << 64 | u128::from(self.random.next());
        let config = Config {
            source: host(self.family, US, 1),
            attempts: 1 + self.random.below(2) as u8,
            max_hops: 12,
            ..Config::new(target)
        };
        let probing = ProbeProtocol::Icmp.probes(random);
        let wanted = probing.first_key();
        let Some(first) = self
            .identities
            .take(id(number), &config, wanted, self.ident)
        else {
            return;
        };
        let probing = probing.with_first_key(first);
        self.traces.insert(
            number,
            Tracer::new_in(Growing::new(&config), config, probing).unwrap(),
        );
        self.added += 1;
    }

    /// Sends what is due of a trace. Returns whether it has ended.
    fn poll(&mut self, number: usize) -> bool {
        let mut buf = [0; 128];
        let tracer = self.traces.get_mut(&number).unwrap();
        let (target, hop) = match tracer.poll(self.now, &mut buf).unwrap() {
            Action::Done => return true,
            Action::Wait(_) => return false,
            Action::Transmit(transmit) => (tracer.config().target, transmit.probe.hop),
        };
        let len = tracer.protocol().message_len();
        self.reach(
            target,
            Probe {
                trace: number,
                hop,
                message: buf[..len].to_vec(),
            },
        );
        false
    }

    /// A probe comes to a router, the target or the forger, who answer or don't.
    fn reach(&mut self, target: IpAddr, probe: Probe) {
        let router = host(self.family, ROUTERS, probe.hop);
        let from = if probe.hop < DISTANCE { router } else { target };
        let is_forger = from == host(self.family, FORGER, 1)
            || !self.is_silent && probe.hop == 3 && probe.trace.is_multiple_of(5);
        if is_forger {
            self.proofs
                .insert((probe.trace, host(self.family, FORGER, 1)));
            self.seen.push(probe);
            return;
        }
        if self.random.one_in(6) || self.is_silent && probe.hop == 2 {
            return;
        }
        let says = if probe.hop < DISTANCE {
            Some(Type::TimeExceeded)
        } else {
            None
        };
        let quote = if self.random.one_in(4) { 8 } else { usize::MAX };
        let message = self.written(from, target, says, &probe.message, quote);
        self.proofs.insert((probe.trace, from));
        self.packets.push(Packet { from, message });
    }

    /// An answer to a message: an error with so many octets of it, or an Echo Reply.
    fn written(
        &self,
        from: IpAddr,
        target: IpAddr,
        says: Option<Type>,
        message: &[u8],
        quote: usize,
    ) -> Vec<u8> {
        let us = host(self.family, US, 1);
        let word = |at: usize| u16::from_be_bytes([message[at], message[at + 1]]);
        let mut quoted = vec![0; ip::header_len(self.family)];
        let protocol = if self.family == AddressFamily::V4 {
            ip::PROTOCOL_ICMP
        } else {
            ip::PROTOCOL_ICMPV6
        };
        let ends = Ends {
            source: us,
            destination: target,
        };
        let header = ip::Header {
            ends,
            hop_limit: 1,
            traffic_class: 0,
            protocol,
        };
        header.emit(message.len(), &mut quoted).unwrap();
        quoted.extend_from_slice(&message[..quote.min(message.len())]);
        let written = match says {
            Some(icmp_type) => Message::Error(Error {
                icmp_type,
                code: 0,
                rest: 0,
                quoted: &quoted,
            }),
            None => Message::EchoReply(Echo {
                ident: word(4),
                seq: word(6),
                payload: &message[8..],
            }),
        };
        let mut buf = [0; 256];
        let len = written
            .emit(
                Ends {
                    source: from,
                    destination: us,
                },
                &mut buf,
            )
            .unwrap();
        buf[..len].to_vec()
    }

    /// The forger answers for a probe that it may not have seen, in its own name, of all that it
    /// knows.
    fn forge(&mut self) {
        if self.seen.is_empty() {
            return;
        }
        let at = self.random.below(self.seen.len());
        let mut message = self.seen[at].message.clone();
        let number = self.random.below(self.added);
        let any = match self.traces.get(&self.seen[at].trace) {
            Some(tracer) if !self.is_silent && self.random.one_in(2) => tracer.config().target,
            _ => host(self.family, TARGETS, number as u8),
        };
        let (ident, seq) = self.guess();
        message[4..6].copy_from_slice(&ident.to_be_bytes());
        message[6..8].copy_from_slice(&seq.to_be_bytes());
        let says = [Some(Type::TimeExceeded), Some(Type::Unreachable), None][self.random.below(3)];
        let quote = if self.random.one_in(2) { 8 } else { usize::MAX };
        let from = host(self.family, FORGER, 1);
        let message = self.written(from, any, says, &message, quote);
        self.packets.push(Packet { from, message });
    }

    /// An ident and a seq, with such luck that it is often those of a probe to one of the nearest
    /// hops, or to the silent one.
    fn guess(&mut self) -> (u16, u16) {
        let at = self.random.below(self.traces.len().max(1));
        match self.traces.values().nth(at) {
            Some(tracer) if !self.random.one_in(4) => {
                let Key { ident, seq } = tracer.protocol().first_key();
                let index = if self.is_silent {
                    1
                } else {
                    self.random.below(6)
                };
                (ident, seq.unwrap().wrapping_add(index as u16))
            }
            _ => (self.random.word(), self.random.word()),
        }
    }

    /// The forger answers a probe that it has seen: that is its right.
    fn answer_truly(&mut self) {
        if self.seen.is_empty() {
            return;
        }
        let at = self.random.below(self.seen.len());
        let from = host(self.family, FORGER, 1);
        let probe = &self.seen[at];
        let Some(tracer) = self.traces.get(&probe.trace) else {
            return;
        };
        let says = if probe.hop < DISTANCE {
            Some(Type::TimeExceeded)
        } else {
            None
        };
        let message = self.written(
            from,
            tracer.config().target,
            says,
            &probe.message,
            usize::MAX,
        );
        self.packets.push(Packet { from, message });
    }

    /// One packet of those on their way arrives, as the driver takes it.
    fn arrive(&mut self) {
        if self.packets.is_empty() {
            return;
        }
        let at = self.random.below(self.packets.len());
        // Some come twice.
        let again = self.random.one_in(5);
        let ends = |from| Ends {
            source: from,
            destination: host(self.family, US, 1),
        };
        let packet = &self.packets[at];
        let answer = Answer::parse(ends(packet.from), Some(60), &packet.message).unwrap();
        let numbers = answered(&self.identities, Key::of(&answer).unwrap());
        for number in numbers {
            assert!(
                self.traces.contains_key(&number),
                "no answer is for a trace that has ended"
            );
            let tracer = self.traces.get_mut(&number).unwrap();
            if let Ok(reply) = tracer.accept(self.now, &answer) {
                assert!(
                    self.is_proven(number, &reply),
                    "{reply:?} in trace {number}"
                );
                break;
            }
        }
        if !again {
            self.packets.swap_remove(at);
        }
    }

    fn is_proven(&self, number: usize, reply: &Reply) -> bool {
        reply.evidence() == Evidence::Weak || self.proofs.contains(&(number, reply.from))
    }

    /// A trace has ended: its result names only who has proved to be there, and so does what others
    /// learn of it.
    fn end(&mut self, number: usize) {
        let tracer = self.traces.remove(&number).unwrap();
        self.identities
            .give_back(id(number), tracer.protocol().first_key().ident);
        let replies = tracer.route().hops().flat_map(|hop| hop.replies());
        for reply in replies {
            assert!(
                self.is_proven(number, &reply),
                "{reply:?} in the result of trace {number}"
            );
            if reply.evidence() == Evidence::Strong {
                self.named.insert((reply.probe.hop, reply.from));
            }
        }
        let routers = vote(&mut self.shared_hops, &tracer);
        assert!(
            routers.iter().all(|router| self.named.contains(router)),
            "{routers:?} are shared"
        );
        self.shared += routers.len();
    }

    fn run(&mut self, traces: usize) {
        while self.added < traces || !self.traces.is_empty() {
            if self.traces.len() < 8 && self.added < traces {
                self.add();
            }
            let numbers: Vec<usize> = self.traces.keys().copied().collect();
            for number in numbers {
                match self.random.below(8) {
                    0 => self.forge(),
                    1 => self.answer_truly(),
                    2..5 => self.arrive(),
                    _ if self.poll(number) => self.end(number),
                    _ => {}
                }
            }
            self.now = self
                .now
                .saturating_add(std::time::Duration::from_millis(20));
        }
    }
}

/// Teaches a whole trace, and returns the routers that the next one would take over from others.
fn vote(shared: &mut SharedHops, tracer: &Tracer) -> Vec<(u8, IpAddr)> {
    let target = tracer.config().target;
    let sample = shared.sample();
    shared.vote(sample, target, tracer.route().hops());
    let Some(mut head) = shared.head(target, None, 12) else {
        return Vec::new();
    };
    // It takes them over once the farthest of them has answered.
    let family = AddressFamily::of(target);
    let _ = head.fits(&met(family, head.first_hop()));
    let spared = head.spared().into_iter().flatten();
    spared
        .filter_map(|shared| Some((shared.hop, shared.from?)))
        .collect()
}

/// The answer of the router at a hop.
fn met(family: AddressFamily, hop: u8) -> Reply {
    let target = host(family, TARGETS, 1);
    let source = host(family, US, 1);
    let config = Config {
        first_hop: hop,
        max_hops: hop,
        source,
        ..Config::new(target)
    };
    let mut tracer =
        Tracer::new_in(Growing::new(&config), config, ProbeProtocol::Icmp.probes(7)).unwrap();
    let mut buf = [0; 128];
    assert!(matches!(
        tracer.poll(Instant::EPOCH, &mut buf),
        Ok(Action::Transmit(_))
    ));
    let from = host(family, ROUTERS, hop);
    let probe = &buf[..tracer.protocol().message_len()];
    let message = List::new(family, None, 0).written(
        from,
        target,
        Some(Type::TimeExceeded),
        probe,
        usize::MAX,
    );
    let answer = Answer::parse(
        Ends {
            source: from,
            destination: source,
        },
        None,
        &message,
    )
    .unwrap();
    tracer.accept(Instant::EPOCH, &answer).unwrap()
}

#[test]
fn no_result_names_who_sent_it_no_proof_in_whatever_order_answers_come_and_from_whomever() {
    for family in FAMILIES {
        for ident in [None, Some(4711)] {
            let (mut named, mut shared) = (HashSet::new(), 0);
            for seed in 0..12 {
                let mut list = List::new(family, ident, seed);
                list.run(60);
                named.extend(list.named);
                shared += list.shared;
            }
            // Else nothing was shown: true routers, targets and the forger's own answers stand in
            // results.
            assert!(
                (1..DISTANCE).all(|hop| named.contains(&(hop, host(family, ROUTERS, hop)))),
                "{named:?}"
            );
            assert!(shared > 0);
            let others = [host(family, FORGER, 1), host(family, TARGETS, 1)];
            assert!(
                others
                    .into_iter()
                    .all(|host| named.contains(&(DISTANCE, host))),
                "{named:?}"
            );
        }
    }
}

#[test]
fn an_answer_is_for_one_trace_at_most_and_for_none_that_has_ended() {
    for (seed, ident) in (0..20).zip([None, Some(9)].into_iter().cycle()) {
        let mut random = Random(seed);
        let mut identities = Identities::default();
        let mut live: BTreeMap<usize, (u16, u16, u16)> = BTreeMap::new();
        for number in 0..300 {
            let config = Config {
                max_hops: 1 + random.below(64) as u8,
                attempts: 1 + random.below(10) as u8,
                retries: random.below(11) as u8,
                ..Config::new(host(AddressFamily::V4, TARGETS, 1))
            };
            // Few, so that they are wanted twice.
            let wanted = random.below(40) as u16;
            let wanted = Key {
                ident: wanted,
                ..ProbeProtocol::Icmp.probes(random.next().into()).first_key()
            };
            if let Some(first) = identities.take(id(number), &config, wanted, ident) {
                let most = u16::from(config.max_hops) * u16::from(config.attempts);
                live.insert(
                    number,
                    (first.ident, first.seq.unwrap(), most.min(CAPACITY as u16)),
                );
            }
            while live.len() > 60 || !live.is_empty() && random.one_in(3) {
                let at = random.below(live.len());
                let (number, (ident, ..)) = live
                    .iter()
                    .nth(at)
                    .map(|(number, taken)| (*number, *taken))
                    .unwrap();
                live.remove(&number);
                identities.give_back(id(number), ident);
            }
            for (number, (ident, first, most)) in &live {
                let seq = first.wrapping_add(random.below(usize::from(*most)) as u16);
                let key = Key {
                    ident: *ident,
                    seq: Some(seq),
                };
                assert_eq!(answered(&identities, key), [*number]);
            }
            let anybody = Key {
                ident: random.below(40) as u16,
                seq: Some(random.word()),
            };
            let anybody = answered(&identities, anybody);
            assert!(anybody.iter().all(|number| live.contains_key(number)));
        }
    }
}
