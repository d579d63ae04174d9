//! A list under any sequence of operations: hosts that come when they want, answers in any order
//! from any host, forgeries, errors of the link, time that jumps, by each protocol.

use crate::packets::{datagram, segment};
use arbitrary::{Arbitrary, Unstructured};
use core::cell::Cell;
use core::fmt;
use core::net::IpAddr;
use core::time::Duration;
use hopshot_core::wire::icmp::{Echo, Error, Message, Type};
use hopshot_core::wire::{AddressFamily, Ends, ip, tcp, udp};
use hopshot_core::{Answer, Instant, SendError, Tcp, TcpOptions, Udp, UdpPayload};
use hopshot_engine::link::{Arrived, Datagram, Obstacle, Port};
use hopshot_engine::{
    Clock, Evidence, Fault, Job, Link, LinkError, ProbeProtocol, ProbeSettings, Route, SocketKind,
    Survey,
};
use std::collections::{BTreeMap, VecDeque};
use std::time::{SystemTime, UNIX_EPOCH};

/// Operations at most, so that no input takes long.
const MOST: usize = 200;

/// The steps in which a list ends at last.
const LAST_STEPS: usize = 200_000;

#[derive(Arbitrary, Debug)]
enum Operation {
    Add {
        number: u8,
    },
    /// Lets time pass, and has the survey work.
    Pass {
        micros: u32,
    },
    /// The true answer to a probe: of its target, or of a router.
    Answer {
        probe: u16,
        reaches: bool,
    },
    /// An answer that the host of a probe makes up about another probe: it knows its own alone.
    Forge {
        own: u16,
        seq: u16,
        ident: u16,
        says: u8,
    },
    Garbage {
        octets: [u8; 24],
    },
    /// From now on there is no route, or nothing can be sent.
    Fail {
        route: bool,
        sending: bool,
    },
    Interrupt,
}

#[derive(Arbitrary, Debug)]
struct Setup {
    ping: bool,
    rate: u16,
    at_once: u8,
    attempts: u8,
    outage: u8,
    random: u64,
}

impl Setup {
    /// Whether there are ports of ICMP beside those of the protocol.
    fn checks(&self) -> bool {
        self.at_once >= 128 && self.protocol() != ProbeProtocol::Icmp
    }

    /// The protocol. The attempts leave two bits for the choice, of which the upper is zero in
    /// seeds that are older than it.
    const fn protocol(&self) -> ProbeProtocol {
        const PORT: u16 = 443;
        match self.attempts / 64 {
            2 => ProbeProtocol::Udp {
                port: PORT,
                payload: UdpPayload::Plain,
            },
            3 => ProbeProtocol::Tcp {
                port: PORT,
                options: TcpOptions::Mss,
            },
            _ => ProbeProtocol::Icmp,
        }
    }
}

/// A probe as it left.
#[derive(Clone)]
struct Sent {
    destination: IpAddr,
    hop_limit: u8,
    protocol: u8,
    message: Vec<u8>,
}

/// What is to be received: from whom, by which protocol, and the message.
type Queue = VecDeque<(IpAddr, u8, Vec<u8>)>;

struct Chaos {
    now: Cell<Duration>,
    random: u64,
    protocol: ProbeProtocol,
    kind: SocketKind,
    sent: Vec<Sent>,
    /// Of each port: of the protocol first, and of ICMP where that is checked.
    arriving: Vec<Queue>,
    no_route: bool,
    no_sending: bool,
}

fn ours(family: AddressFamily) -> IpAddr {
    match family {
        AddressFamily::V4 => [192, 0, 2, 1].into(),
        AddressFamily::V6 => [0x2001, 0xdb8, 0, 0, 0, 0, 0, 1].into(),
    }
}

fn router(family: AddressFamily, hop: u8) -> IpAddr {
    match family {
        AddressFamily::V4 => [203, 0, 113, hop].into(),
        AddressFamily::V6 => [0x2001, 0xdb8, 2, 0, 0, 0, 0, hop.into()].into(),
    }
}

/// Every other host is of the other family, and in a network of its own.
fn host(number: u8) -> IpAddr {
    match number % 2 {
        0 => [198, 51, number, 9].into(),
        _ => [0x2001, 0xdb8, 0x100 + u16::from(number), 0, 0, 0, 0, 9].into(),
    }
}

const fn index(family: AddressFamily) -> usize {
    match family {
        AddressFamily::V4 => 0,
        AddressFamily::V6 => 1,
    }
}

impl Chaos {
    fn bring(&mut self, from: IpAddr, message: &Message<'_>) {
        let family = AddressFamily::of(from);
        let ends = Ends {
            source: from,
            destination: ours(family),
        };
        let mut octets = vec![0; 2048];
        if let Ok(len) = message.emit(ends, &mut octets) {
            octets.truncate(len);
            self.arrive(from, ip::icmp(family), &octets);
        }
    }

    /// Every port of a family hears all.
    fn arrive(&mut self, from: IpAddr, protocol: u8, octets: &[u8]) {
        let ports = self
            .arriving
            .iter_mut()
            .skip(index(AddressFamily::of(from)));
        for queue in ports.step_by(2) {
            queue.push_back((from, protocol, octets.to_vec()));
        }
    }

    /// An error about a probe as if it had been sent to `destination`.
    fn refuse(&mut self, from: IpAddr, destination: IpAddr, probe: &Sent, icmp_type: Type) {
        let family = AddressFamily::of(destination);
        let ends = Ends {
            source: ours(family),
            destination,
        };
        let header_len = ip::header_len(family);
        let mut quoted = vec![0; header_len + probe.message.len()];
        quoted[header_len..].copy_from_slice(&probe.message);
        let header = ip::Header {
            ends,
            hop_limit: 1,
            traffic_class: 0,
            protocol: probe.protocol,
        };
        header
            .emit(probe.message.len(), &mut quoted)
            .expect("there is room");
        self.bring(
            from,
            &Message::Error(Error {
                icmp_type,
                code: 0,
                rest: 0,
                quoted: &quoted,
            }),
        );
    }

    /// What a target says to a probe, be it its own or not.
    fn reply(&mut self, from: IpAddr, probe: &Sent, says: u8) {
        let message = &probe.message;
        let said = match probe.protocol {
            tcp::PROTOCOL => segment(message, says.into()),
            udp::PROTOCOL => datagram(UdpPayload::Plain, message),
            _ => {
                let (ident, seq) = (word(message, 4), word(message, 6));
                let echo = Echo {
                    ident,
                    seq,
                    payload: message.get(8..).unwrap_or_default(),
                };
                return self.bring(from, &Message::EchoReply(echo));
            }
        };
        self.arrive(from, probe.protocol, &said);
    }

    fn answer(&mut self, number: u16, reaches: bool) {
        let Some(probe) = self.pick(number) else {
            return;
        };
        let destination = probe.destination;
        let router = router(AddressFamily::of(destination), probe.hop_limit);
        match reaches {
            true => self.reply(destination, &probe, number.to_be_bytes()[1] % 2),
            false => self.refuse(router, destination, &probe, Type::TimeExceeded),
        }
    }

    fn forge(&mut self, own: u16, seq: u16, ident: u16, says: u8) {
        let Some(mut probe) = self.pick(own) else {
            return;
        };
        let forger = probe.destination;
        // The checksum of an Echo Request, and every cookie, stay as they are known.
        let (ident_at, seq_at) = match probe.protocol {
            tcp::PROTOCOL => (0, 4),
            udp::PROTOCOL => (0, 6),
            _ => (4, 6),
        };
        let (ident, seq) = (
            word(&probe.message, ident_at) ^ ident,
            word(&probe.message, seq_at).wrapping_add(seq),
        );
        probe.message[ident_at..ident_at + 2].copy_from_slice(&ident.to_be_bytes());
        probe.message[seq_at..seq_at + 2].copy_from_slice(&seq.to_be_bytes());
        let others: Vec<IpAddr> = self
            .sent
            .iter()
            .map(|sent| sent.destination)
            .filter(|it| *it != forger)
            .collect();
        let other = others
            .get(usize::from(says) % others.len().max(1))
            .copied()
            .unwrap_or(forger);
        let victim = if AddressFamily::of(other) == AddressFamily::of(forger) {
            other
        } else {
            forger
        };
        match says % 3 {
            0 => self.refuse(forger, victim, &probe, Type::TimeExceeded),
            1 => self.refuse(forger, victim, &probe, Type::Unreachable),
            _ => self.reply(forger, &probe, says),
        }
    }

    fn pick(&self, number: u16) -> Option<Sent> {
        self.sent
            .get(usize::from(number) % self.sent.len().max(1))
            .cloned()
    }
}

fn word(octets: &[u8], at: usize) -> u16 {
    octets
        .get(at..at + 2)
        .map_or(0, |octets| u16::from_be_bytes([octets[0], octets[1]]))
}

impl Link for Chaos {
    type Error = Failure;
    type Wake<'w> = ();

    fn now(&self) -> Instant {
        Instant::EPOCH.saturating_add(self.now.get())
    }

    fn date(&self) -> SystemTime {
        UNIX_EPOCH
    }

    fn random(&mut self) -> Result<u128, Failure> {
        // SplitMix64 (Steele, Lea and Flood, 2014).
        let mut next = || {
            self.random = self.random.wrapping_add(0x9e37_79b9_7f4a_7c15);
            let mut z = self.random;
            z = (z ^ (z >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
            z = (z ^ (z >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
            u128::from(z ^ (z >> 31))
        };
        Ok(next() << 64 | next())
    }

    fn ports(&self) -> impl ExactSizeIterator<Item = Port> + '_ {
        let ident = (self.kind == SocketKind::Ping).then_some(77);
        let families = [AddressFamily::V4, AddressFamily::V6].into_iter().cycle();
        let port = move |(number, family): (usize, AddressFamily)| Port {
            family,
            protocol: match number {
                0..2 => self.protocol.number(family),
                _ => ip::icmp(family),
            },
            kind: self.kind,
            ident,
            own_port: None,
            detours: false,
            room: None,
            target_port: None,
        };
        let ports: Vec<Port> = (0..self.arriving.len()).zip(families).map(port).collect();
        ports.into_iter()
    }

    fn source(&self, target: IpAddr, _: u32, _: ProbeProtocol) -> Result<IpAddr, Failure> {
        if self.no_route {
            Err(Failure::NoRoute)
        } else {
            Ok(ours(AddressFamily::of(target)))
        }
    }

    fn no_source(&self, _: IpAddr, _: u32, _: ProbeProtocol) -> Failure {
        Failure::NoRoute
    }

    fn send(&mut self, _port: usize, probe: Datagram<'_>) -> Result<Instant, SendError> {
        if self.no_sending {
            return Err(SendError(1));
        }
        let Datagram {
            destination,
            hop_limit,
            protocol,
            message,
            ..
        } = probe;
        self.sent.push(Sent {
            destination,
            hop_limit,
            protocol,
            message: message.to_vec(),
        });
        Ok(self.now())
    }

    fn obstacle(_error: SendError) -> Obstacle {
        Obstacle::Other
    }

    fn describe(_error: SendError) -> String {
        "Operation not permitted".to_owned()
    }

    fn has_arrivals(&self) -> Result<bool, Failure> {
        Ok(self.arriving.iter().any(|queue| !queue.is_empty()))
    }

    fn receive<'b>(
        &mut self,
        port: usize,
        buf: &'b mut [u8],
    ) -> Result<Option<Arrived<'b>>, Failure> {
        let Some((from, protocol, octets)) =
            self.arriving.get_mut(port).and_then(VecDeque::pop_front)
        else {
            return Ok(None);
        };
        let room = &mut buf[..octets.len()];
        room.copy_from_slice(&octets);
        let ends = Ends {
            source: from,
            destination: ours(AddressFamily::of(from)),
        };
        // A segment's and a datagram's checksum a raw socket doesn't verify.
        let unverified = Ends {
            destination: ends.family().unspecified(),
            ..ends
        };
        Ok(Some(Arrived {
            answer: match protocol {
                tcp::PROTOCOL => Tcp::answer(unverified, Some(60), room),
                udp::PROTOCOL => Udp::answer(unverified, Some(60), room),
                _ => Answer::parse(ends, Some(60), room),
            },
            at: self.now(),
            clock: Clock::Kernel,
            source_port: None,
        }))
    }

    fn wait(
        &self,
        span: Duration,
        _through_arrivals: bool,
        _wake: Option<()>,
    ) -> Result<bool, Failure> {
        self.now.set(self.now.get().saturating_add(span));
        Ok(false)
    }
}

/// What came of the hosts, by name.
#[derive(Default)]
struct Results {
    routes: Vec<Route>,
    counts: BTreeMap<String, usize>,
}

impl Results {
    fn take(&mut self, survey: &mut Survey<Chaos>) {
        while let Some(route) = survey.take() {
            *self.counts.entry(route.summary().host.clone()).or_default() += 1;
            self.routes.push(route);
        }
        while let Some((host, _)) = survey.take_lost() {
            *self.counts.entry(host).or_default() += 1;
        }
    }
}

/// Reads `octets` as operations, and checks that every list ends whole, and that no result names a
/// host that proved nothing to it.
pub fn body(octets: &[u8]) {
    let mut input = Unstructured::new(octets);
    let Ok(setup) = Setup::arbitrary(&mut input) else {
        return;
    };
    let protocol = setup.protocol();
    let kind = if setup.ping && protocol == ProbeProtocol::Icmp {
        SocketKind::Ping
    } else {
        SocketKind::Raw
    };
    let link = Chaos {
        now: Cell::new(Duration::from_secs(1)),
        random: setup.random,
        protocol,
        kind,
        sent: Vec::new(),
        arriving: vec![VecDeque::new(); 2 << usize::from(setup.checks())],
        no_route: false,
        no_sending: false,
    };
    let mut settings = ProbeSettings::default();
    settings.protocol = protocol;
    settings.config.attempts = 1 + setup.attempts % 3;
    let (rate, at_once) = (
        1 + u32::from(setup.rate),
        1 + usize::from(setup.at_once % 128),
    );
    let mut survey = Survey::start(link, &settings, rate, at_once).expect("the settings are good");
    survey.outage_limit(Duration::from_secs(setup.outage.into()));
    let (mut results, mut added, mut is_interrupted) =
        (Results::default(), BTreeMap::<String, usize>::new(), false);
    for _ in 0..MOST {
        let Ok(operation) = Operation::arbitrary(&mut input) else {
            break;
        };
        match operation {
            Operation::Add { number } if survey.has_room() => {
                let sample = survey.wants_sample().then(|| survey.sample());
                let name = host(number).to_string();
                if survey
                    .add_found(&name, Ok((host(number), 0).into()), false, sample)
                    .is_ok()
                {
                    *added.entry(name).or_default() += 1;
                }
            }
            Operation::Add { .. } => {}
            Operation::Pass { micros } => {
                let span = Duration::from_micros(micros.into());
                let now = &survey.link().now;
                now.set(now.get() + span);
                let _ = survey.work();
            }
            Operation::Answer { probe, reaches } => survey.link_mut().answer(probe, reaches),
            Operation::Forge {
                own,
                seq,
                ident,
                says,
            } => survey.link_mut().forge(own, seq, ident, says),
            Operation::Garbage { octets } => {
                let from = host(octets[0]);
                let family = AddressFamily::of(from);
                let protocols = [ip::icmp(family), protocol.number(family)];
                let protocol = protocols[usize::from(octets[1] % 2)];
                survey.link_mut().arrive(from, protocol, &octets);
            }
            Operation::Fail { route, sending } => {
                (survey.link_mut().no_route, survey.link_mut().no_sending) = (route, sending);
            }
            Operation::Interrupt => {
                survey.interrupt();
                is_interrupted = true;
            }
        }
        results.take(&mut survey);
    }
    for _ in 0..LAST_STEPS {
        let _ = survey.advance(None);
        results.take(&mut survey);
        if survey.is_empty() {
            break;
        }
    }
    assert!(survey.is_empty(), "the list ends");
    assert!(
        is_interrupted || results.counts == added,
        "each host has one result: {:?} of {added:?}",
        results.counts
    );
    for route in &results.routes {
        let replies = route.hops().flat_map(|hop| hop.replies());
        for reply in replies.filter(|reply| reply.evidence() == Evidence::Strong) {
            let family = AddressFamily::of(route.summary().target);
            let is_router = (1..=64).any(|hop| router(family, hop) == reply.from);
            assert!(
                reply.from == route.summary().target || is_router,
                "{} proved nothing to {}",
                reply.from,
                route.summary().target
            );
        }
        if let Some(proof) = route.proxy() {
            let family = AddressFamily::of(route.summary().target);
            assert_eq!(proof.router, router(family, proof.hop), "no router");
        }
        for shared in route.shared() {
            let is_router = |from| (1..=64).any(|hop| router(AddressFamily::of(from), hop) == from);
            assert!(shared.from.is_none_or(is_router), "{shared:?} is no router");
        }
    }
}

/// The errors of a link without a machine.
#[derive(Debug)]
enum Failure {
    NoRoute,
    Engine(Fault<Self>),
}

impl fmt::Display for Failure {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Debug::fmt(self, f)
    }
}

impl core::error::Error for Failure {}

impl From<Fault<Self>> for Failure {
    fn from(fault: Fault<Self>) -> Self {
        Self::Engine(fault)
    }
}

impl LinkError for Failure {
    fn may_pass(&self) -> bool {
        !matches!(
            self,
            Self::Engine(Fault::Config(_) | Fault::Size { .. } | Fault::Full)
        )
    }

    fn is_change(&self) -> bool {
        false
    }

    fn is_answer(&self) -> bool {
        false
    }

    fn reason(&self) -> String {
        self.to_string()
    }
}
