//! Proxies that answer TCP and UDP in the target's name: they are told from it wherever ICMP finds
//! a router at their place, and nobody else is taken for one.

use super::hostile::reply;
use super::judge::{self, tcp, udp};
use super::{FAMILIES, to_the_end};
use hopshot_core::wire::ip;
use hopshot_engine::{Memory, ProbeProtocol, Route, SocketKind, StopReason, Sweep, Trace};
use hopshot_lab::{Attack, Hop, Machine, Places, Scenario};
use std::time::Duration;

/// A proxy on the way, and what ICMP meets there.
#[derive(Debug)]
struct World {
    hops: u8,
    /// The hop that answers in the target's name.
    proxy: u8,
    /// What its answers begin with.
    hop_limit: u8,
    is_silent: bool,
    drops_pings: bool,
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
        }
    }

    fn scenario(&self, rtt_ms: u32) -> Scenario {
        let mut scenario = Scenario::plain(self.hops, rtt_ms.into());
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

    /// What becomes of a packet.
    fn meets(&self, packet: &[u8], rtt_ms: u32) -> Attack {
        let (header, message) = ip::parse(packet).unwrap();
        let is_icmp = header.protocol == ip::icmp(header.ends.family());
        let goes_past = header.hop_limit >= if is_icmp { self.hops } else { self.proxy };
        let mut forged = Vec::new();
        if goes_past && !is_icmp {
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
            is_alone: goes_past && (!is_icmp || self.drops_pings),
            forged,
        }
    }
}

fn check(route: &Route, world: &World, told: &str) {
    let says = (route.reached(), route.distance(), route.is_open());
    let name = route.named(route.stop_reason().unwrap());
    if world.is_silent {
        // Nothing shows it.
        assert_eq!((says.1, name), (Some(world.proxy), "reached"), "{told}");
        return;
    }
    assert_eq!(says, (false, None, None), "{told}");
    assert_eq!(route.stop_reason(), Some(StopReason::Reached), "{told}");
    let at = route.proxy().map(|reply| reply.probe.hop);
    assert_eq!((name, at), ("proxied", Some(world.proxy)), "{told}");
}

#[test]
fn a_proxy_is_told_from_the_target_wherever_icmp_finds_a_router_in_its_place() {
    for seed in 0..600 {
        let mut random = fastrand::Rng::with_seed(seed);
        let world = World::draw(&mut random);
        let probes = [tcp(443), tcp(81), udp(53, Default::default())][random.usize(..3)];
        let (family, rtt_ms) = (FAMILIES[random.usize(..2)], random.u32(1..200));
        let scenario = world.scenario(rtt_ms);
        let told = format!("seed {seed}: {probes:?} {family:?} {rtt_ms} ms, {world:?}");
        let mut settings = judge::settings(probes);
        settings.config.attempts = random.u8(1..4);
        if random.u8(..4) == 0 {
            settings.config.sweep = Some(Sweep::Burst);
        }
        // Again and again: what isn't the target teaches nothing.
        for round in 0..3 {
            let mut machine = Machine::new(&scenario, SocketKind::Raw, seed)
                .speaking(probes)
                .with_icmp();
            let meets = World { ..world };
            machine.attack(move |packet| meets.meets(packet, rtt_ms));
            let target = (machine.internet().target(family), 0).into();
            let job = Trace::start(machine, &settings, "target", target).unwrap();
            check(&to_the_end(job), &world, &format!("{told}, round {round}"));
        }
    }
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
