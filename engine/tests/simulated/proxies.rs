//! Proxies that answer TCP and UDP in the target's name: they are told from it wherever ICMP finds
//! a router at their place, and nobody else is taken for one.

use super::hostile::{error, reply};
use super::judge::{self, tcp, udp};
use super::{FAMILIES, MOST_STEPS, to_the_end};
use hopshot_core::wire::icmp::Type;
use hopshot_core::wire::{AddressFamily, ip};
use hopshot_engine::{
    Job, Memory, ProbeProtocol, Route, SocketKind, Step, StopReason, Survey, Sweep, Trace,
};
use hopshot_lab::{Attack, Hop, Machine, Places, Scenario};
use std::net::IpAddr;
use std::time::Duration;

/// A proxy on the way, and what ICMP meets there.
#[derive(Clone, Copy, Debug)]
struct World {
    hops: u8,
    /// The hop that answers in the target's name.
    proxy: u8,
    /// The hop limit that its answers begin with.
    hop_limit: u8,
    is_silent: bool,
    drops_pings: bool,
    /// Of a hundred packets to it and beyond so many are lost.
    loss: u8,
    /// Answers are late by up to this, and overtake one another.
    jitter_ms: u32,
}

impl World {
    fn draw(random: &mut fastrand::Rng) -> Self {
        let hops = random.u8(2..=25);
        Self {
            hops,
            proxy: random.u8(1..hops),
            hop_limit: [64, 128, 255][random.usize(..3)],
            is_silent: random.u8(..5) == 0,
            drops_pings: random.bool(),
            loss: [0, 0, 1, 10, 30][random.usize(..5)],
            jitter_ms: [0, 0, 12][random.usize(..3)],
        }
    }

    fn scenario(&self, rtt_ms: u32) -> Scenario {
        let mut scenario = Scenario::plain(self.hops, rtt_ms.into());
        scenario.jitter_ms = self.jitter_ms.into();
        if self.is_silent {
            let at = Places::One(self.proxy);
            let silent = true;
            scenario.hop.push(Hop {
                at,
                silent,
                ..Hop::default()
            });
        }
        scenario
    }

    /// Answers a packet as the proxy does, or loses it, or lets it go on. It takes one protocol.
    fn meets(
        &self,
        packet: &[u8],
        protocol: ProbeProtocol,
        rtt_ms: u32,
        random: &mut fastrand::Rng,
    ) -> Attack {
        let (header, message) = ip::parse(packet).unwrap();
        if header.hop_limit >= self.proxy && random.u8(..100) < self.loss {
            let (is_alone, forged) = (true, Vec::new());
            return Attack { is_alone, forged };
        }
        let is_taken = header.protocol == protocol.number(header.ends.family());
        let goes_past = header.hop_limit >= if is_taken { self.proxy } else { self.hops };
        let mut forged = Vec::new();
        if goes_past && is_taken {
            let mut answer = reply(&header, message);
            let (header, message) = ip::parse(&answer).unwrap();
            let (hop_limit, len) = (self.hop_limit - (self.proxy - 1), message.len());
            let header = ip::Header {
                hop_limit,
                ..header
            };
            header.emit(len, &mut answer).unwrap();
            let rtt = rtt_ms * u32::from(self.proxy) / u32::from(self.hops);
            forged.push((Duration::from_millis(rtt.into()), answer));
        }
        Attack {
            is_alone: goes_past && (is_taken || self.drops_pings),
            forged,
        }
    }
}

/// A machine with ports for probes of a protocol, and for checks.
fn machine(
    scenario: &Scenario,
    kind: SocketKind,
    seed: u64,
    probes: ProbeProtocol,
    by_udp: bool,
) -> Machine {
    let machine = Machine::new(scenario, kind, seed).speaking(probes);
    match by_udp {
        true => machine.with_udp(),
        false => machine.with_icmp(),
    }
}

/// Checks that nothing is said to be the target's that isn't, and returns whether that was found
/// out. Nothing is certain where the hop before isn't known, or too few flows show it.
fn check(route: &Route, world: &World, (first_hop, are_few): (u8, bool), told: &str) -> bool {
    let says = (route.reached(), route.distance(), route.is_open());
    let name = route.named(route.stop_reason().unwrap());
    let proxy = route.proxy();
    if world.is_silent {
        // Nothing shows it.
        assert_eq!((proxy, name == "proxied"), (None, false), "{told}");
        return true;
    }
    if world.loss > 0 && proxy.is_none_or(|proxy| !proxy.is_certain) {
        // All that would have shown it may be lost, or too much of it.
        assert!(proxy.is_none() || says.2.is_none(), "{told}");
        return proxy.is_some() || !route.reached();
    }
    let proxy = proxy.unwrap_or_else(|| panic!("{told}: no proxy"));
    if first_hop > 1 || are_few {
        // Nobody knows whether ICMP goes the same way, unless there were retries of other flows.
        let is_certain = proxy.is_certain && first_hop > 1;
        assert_eq!((is_certain, says.2), (false, None), "{told}");
        return true;
    }
    assert_eq!((name, says), ("proxied", (false, None, None)), "{told}");
    // A lost answer makes it seem farther.
    assert!(proxy.is_certain && proxy.hop >= world.proxy, "{told}");
    assert!(world.loss > 0 || proxy.hop == world.proxy, "{told}");
    assert_eq!(route.stop_reason(), Some(StopReason::Reached), "{told}");
    true
}

#[test]
fn a_proxy_is_told_from_the_target_wherever_icmp_finds_a_router_in_its_place() {
    let (mut seen, mut lossy) = (0, 0);
    for seed in 0..900 {
        let mut random = fastrand::Rng::with_seed(seed);
        let world = World::draw(&mut random);
        let probes = [tcp(443), tcp(81), udp(53, Default::default())][random.usize(..3)];
        let (family, rtt_ms) = (FAMILIES[random.usize(..2)], random.u32(1..200));
        let scenario = world.scenario(rtt_ms);
        // Without root TCP has sockets of its own, and perhaps none for ICMP.
        let kind = match probes.is_tcp() && random.bool() {
            true => SocketKind::Tcp,
            false => SocketKind::Raw,
        };
        let by_udp = kind == SocketKind::Tcp && !world.drops_pings && random.bool();
        let told =
            format!("seed {seed}: {probes:?} {kind:?} {family:?} {rtt_ms} ms, {by_udp} {world:?}");
        let mut settings = judge::settings(probes);
        settings.config.attempts = random.u8(1..4);
        settings.config.patience = [1, 1, 3][random.usize(..3)];
        settings.config.first_hop = [1, 1, world.proxy][random.usize(..3)];
        settings.config.max_hops = [32, 32, world.proxy][random.usize(..3)];
        if random.u8(..4) == 0 {
            settings.config.sweep = Some(Sweep::Burst);
        }
        let has_few = kind == SocketKind::Tcp && settings.config.attempts < 3;
        let how_well = (settings.config.first_hop, has_few && world.proxy > 1);
        // Again and again: what isn't the target teaches nothing.
        for round in 0..3 {
            let mut machine = machine(&scenario, kind, seed, probes, by_udp);
            let (meets, mut random) = (world, fastrand::Rng::with_seed(seed + round));
            machine.attack(move |packet| meets.meets(packet, probes, rtt_ms, &mut random));
            let target = (machine.internet().target(family), 0).into();
            let job = Trace::start(machine, &settings, "target", target).unwrap();
            let route = to_the_end(job);
            let is_seen = check(&route, &world, how_well, &format!("{told}, round {round}"));
            let is_lossy = world.loss > 0 && !world.is_silent;
            (seen, lossy) = (
                seen + u32::from(is_lossy && is_seen),
                lossy + u32::from(is_lossy),
            );
            if world.loss == 0 && route.is_proxied() && settings.config.sweep.is_none() {
                let knocks = u32::from(probes.is_tcp() && kind == SocketKind::Raw);
                let knocked = u32::try_from(route.summary().reasons.knocks).unwrap();
                assert_eq!(knocked, knocks, "{told}, round {round}");
            }
        }
    }
    // Only where both of the first two checks are lost nothing shows.
    assert!(lossy > 500 && seen * 20 > lossy * 19, "{seen} of {lossy}");
}

#[test]
fn without_sockets_for_icmp_and_by_icmp_itself_nothing_is_checked() {
    let (scenario, family) = (Scenario::plain(5, 10.0), FAMILIES[0]);
    for (probes, has_icmp) in [(tcp(443), false), (ProbeProtocol::Icmp, true)] {
        let machine = Machine::new(&scenario, SocketKind::Raw, 1).speaking(probes);
        let machine = if has_icmp {
            machine.with_icmp()
        } else {
            machine
        };
        let target = (machine.internet().target(family), 0).into();
        let mut settings = judge::settings(probes);
        settings.memory = Memory::none();
        let job = Trace::start(machine, &settings, "target", target).unwrap();
        let route = to_the_end(job);
        assert_eq!(
            (route.summary().reasons.checks, route.distance()),
            (0, Some(5))
        );
    }
}

#[test]
fn a_target_that_icmp_reaches_by_a_longer_way_is_no_proxy() {
    for seed in 0..300 {
        let mut random = fastrand::Rng::with_seed(seed);
        let (split, drops_pings) = (random.u8(0..10), random.bool());
        let near = split + random.u8(2..10);
        let long = near + random.u8(1..10);
        let probes = [tcp(443), tcp(81), udp(53, Default::default())][random.usize(..3)];
        let family = FAMILIES[random.usize(..2)];
        let kind = match probes.is_tcp() && random.bool() {
            true => SocketKind::Tcp,
            false => SocketKind::Raw,
        };
        let scenario = Scenario::plain(near, 20.0);
        let mut machine = machine(&scenario, kind, seed, probes, false);
        machine.attack(move |packet| {
            let (header, message) = ip::parse(packet).unwrap();
            let hop = header.hop_limit;
            let is_icmp = header.protocol == ip::icmp(header.ends.family());
            let mut forged = Vec::new();
            // Routers of the longer way have numbers that nobody else has.
            let router: IpAddr = match header.ends.family() {
                AddressFamily::V4 => [203, 0, 113, hop].into(),
                AddressFamily::V6 => [0x2001, 0xdb8, 0x203, 0, 0, 0, 0, hop.into()].into(),
            };
            let is_alone = is_icmp && hop > split;
            if is_alone && hop < long {
                forged.push(error(Type::TimeExceeded, router, packet));
            } else if is_alone && !drops_pings {
                forged.push(reply(&header, message));
            }
            let after = |packet| (Duration::from_millis(30), packet);
            let forged = forged.into_iter().map(after).collect();
            Attack { is_alone, forged }
        });
        let target = (machine.internet().target(family), 0).into();
        let job = Trace::start(machine, &judge::settings(probes), "target", target).unwrap();
        let route = to_the_end(job);
        let told = format!("seed {seed}: {probes:?} {family:?}, from {split} {near} or {long}");
        assert_eq!(
            (route.proxy(), route.distance()),
            (None, Some(near)),
            "{told}"
        );
        assert!(route.reached(), "{told}");
    }
}

#[test]
fn at_a_slow_pace_a_list_finds_proxies_too() {
    for (seed, rate) in [(0, 1_000), (1, 20), (2, 3)] {
        let mut random = fastrand::Rng::with_seed(seed);
        let world = World {
            is_silent: false,
            loss: 0,
            ..World::draw(&mut random)
        };
        for (family, probes) in FAMILIES
            .into_iter()
            .zip([tcp(443), udp(53, Default::default())])
        {
            let scenario = world.scenario(50);
            let mut machine = Machine::new(&scenario, SocketKind::Raw, seed)
                .speaking(probes)
                .with_icmp();
            let mut losses = fastrand::Rng::with_seed(seed);
            machine.attack(move |packet| world.meets(packet, probes, 50, &mut losses));
            let target = (machine.internet().target(family), 0).into();
            let settings = judge::settings(probes);
            let mut survey = Survey::start(machine, &settings, rate, 4).unwrap();
            survey.add_found("target", Ok(target), false, None).unwrap();
            let told = format!("{probes:?} {family:?} at {rate}/s: {world:?}");
            let mut route = None;
            for _ in 0..MOST_STEPS {
                route = survey.take();
                if route.is_some() {
                    break;
                }
                survey.advance(None).unwrap();
            }
            let route = route.unwrap_or_else(|| panic!("{told}: it does not end"));
            assert!(
                check(&route, &world, (1, false), &told) && route.is_proxied(),
                "{told}"
            );
        }
    }
}

#[test]
fn who_interrupts_a_trace_before_it_is_checked_is_told_of_no_open_port() {
    let (mut early, mut late) = (0, 0);
    for seed in 0..100 {
        let mut random = fastrand::Rng::with_seed(seed);
        let world = World {
            is_silent: false,
            loss: 0,
            ..World::draw(&mut random)
        };
        let (scenario, settings) = (world.scenario(40), judge::settings(tcp(443)));
        let mut machine = Machine::new(&scenario, SocketKind::Raw, seed)
            .speaking(settings.protocol)
            .with_icmp();
        let mut losses = fastrand::Rng::with_seed(seed);
        machine.attack(move |packet| world.meets(packet, tcp(443), 40, &mut losses));
        let target = (machine.internet().target(FAMILIES[0]), 0).into();
        let mut job = Trace::start(machine, &settings, "target", target).unwrap();
        let mut steps = random.usize(..8);
        for _ in 0..MOST_STEPS {
            if job.advance(None).unwrap() == Step::Done {
                break;
            }
            let is_reached = job.route().distance().is_some();
            if is_reached && steps == 0 {
                job.interrupt();
                break;
            }
            steps -= usize::from(is_reached);
        }
        let route = job.finish();
        assert_eq!(route.is_open(), None, "seed {seed}: {world:?}");
        let count = if route.is_checked() {
            &mut late
        } else {
            &mut early
        };
        *count += 1;
    }
    assert!(early > 20 && late > 0, "{early} early, {late} late");
}
