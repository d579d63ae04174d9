//! TCP by sockets that tell no hop limit of the target's answer: the distance is learnt beside it,
//! or by looking; it is the true one or none, and few connections go past it.

use super::judge::{self, tcp};
use super::{FAMILIES, to_the_end};
use hopshot_core::wire::{AddressFamily, ip};
use hopshot_engine::{Job, Route, SocketKind, Survey, Trace};
use hopshot_lab::{Attack, Hop, Machine, Places, Scenario};
use std::cell::Cell;
use std::rc::Rc;

/// What a target says beside TCP, and which sockets there are to ask it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Beside {
    Pings,
    Udp,
    /// It answers neither, or there are none: so in a list.
    Nothing,
}

#[derive(Clone, Debug)]
struct World {
    hops: u8,
    silent: Vec<u8>,
    rtt_ms: u32,
    beside: Beside,
    is_deaf: bool,
    family: AddressFamily,
    attempts: u8,
    is_listed: bool,
    patience: u8,
}

impl World {
    fn draw(random: &mut fastrand::Rng) -> Self {
        let hops = random.u8(1..26);
        // A few anywhere, the first ones, the last ones, or all.
        let silent: Vec<u8> = match random.u8(..5) {
            0 => (1..hops).filter(|_| random.u8(..4) == 0).collect(),
            1 => (1..hops.min(random.u8(2..6))).collect(),
            2 => (hops.saturating_sub(random.u8(1..8)).max(1)..hops).collect(),
            3 => (1..hops).collect(),
            _ => Vec::new(),
        };
        let is_listed = random.u8(..4) == 0;
        let beside = [Beside::Pings, Beside::Udp, Beside::Nothing][random.usize(..3)];
        Self {
            hops,
            silent,
            rtt_ms: random.u32(2..150),
            beside: if is_listed { Beside::Nothing } else { beside },
            is_deaf: random.u8(..3) == 0,
            family: FAMILIES[random.usize(..2)],
            attempts: random.u8(1..4),
            is_listed,
            patience: [1, 1, 2][random.usize(..3)],
        }
    }

    /// Traces the target. Returns the SYNs that went past it, too.
    fn trace(&self, seed: u64) -> (Route, usize) {
        let mut scenario = Scenario::plain(self.hops, self.rtt_ms.into());
        scenario.hop.extend(self.silent.iter().map(|at| Hop {
            at: Places::One(*at),
            silent: true,
            ..Hop::default()
        }));
        let machine = Machine::new(&scenario, SocketKind::Tcp, seed).speaking(tcp(443));
        let mut machine = match self.beside {
            Beside::Pings => machine.with_icmp(),
            Beside::Udp => machine.with_udp(),
            Beside::Nothing => machine,
        };
        let past = Rc::new(Cell::new(0));
        let (count, hops, is_deaf) = (Rc::clone(&past), self.hops, self.is_deaf);
        let number = tcp(443).number(self.family);
        machine.attack(move |packet| {
            let (header, _) = ip::parse(packet).unwrap();
            let is_syn = header.protocol == number;
            count.set(count.get() + usize::from(is_syn && header.hop_limit > hops));
            Attack {
                is_alone: is_deaf && !is_syn && header.hop_limit >= hops,
                forged: Vec::new(),
            }
        });
        let target = (machine.internet().target(self.family), 0).into();
        let mut settings = judge::settings(tcp(443));
        settings.config.attempts = self.attempts;
        settings.config.patience = self.patience;
        let route = if self.is_listed {
            let mut survey = Survey::start(machine, &settings, 1_000, 4).unwrap();
            survey.add_found("target", Ok(target), false, None).unwrap();
            let mut route = None;
            for _ in 0..super::MOST_STEPS {
                route = survey.take();
                if route.is_some() {
                    break;
                }
                survey.advance(None).unwrap();
            }
            route.unwrap_or_else(|| panic!("{self:?}: it does not end"))
        } else {
            to_the_end(Trace::start(machine, &settings, "target", target).unwrap())
        };
        (route, past.get())
    }

    /// Silent routers right before the target.
    fn hidden(&self) -> u8 {
        let is_silent = |hop: &u8| self.silent.contains(hop);
        (1..self.hops).rev().take_while(is_silent).count() as u8
    }
}

#[test]
fn the_distance_is_true_or_unknown_and_few_connections_go_past_it() {
    let (mut known, mut dark) = (0, 0);
    for seed in 0..1_500 {
        let world = World::draw(&mut fastrand::Rng::with_seed(seed));
        let (route, past) = world.trace(seed);
        let told = format!("seed {seed}: {past} past, {world:?}: {route:?}");
        assert!(route.reached() && route.is_open() == Some(true), "{told}");
        let distance = route.distance();
        assert!(distance.is_none_or(|it| it == world.hops), "{told}");
        assert!(past <= if world.attempts == 1 { 2 } else { 4 }, "{told}");
        let has_router = world.hidden() < world.hops - 1;
        let is_asked = world.beside != Beside::Nothing && !world.is_deaf;
        if is_asked || world.hops < 6 || has_router && world.hidden() <= 5 {
            assert_eq!(distance, Some(world.hops), "{told}");
        }
        known += usize::from(distance.is_some());
        if distance.is_none() {
            dark += 1;
            let rtt = route.knock_rtt().unwrap().as_millis();
            assert_eq!(rtt, u128::from(world.rtt_ms), "{told}");
        }
        // Who has answered stands where it is.
        for hop in route.hops().filter(|hop| hop.number() < world.hops) {
            let is_silent = world.silent.contains(&hop.number());
            assert!(hop.replies().next().is_none() || !is_silent, "{told}");
        }
    }
    assert!(known > 1_000 && dark > 50, "{known} known, {dark} unknown");
}
