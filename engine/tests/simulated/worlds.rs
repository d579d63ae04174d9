//! Paths that are made up from a seed, traced by every protocol.

use super::FAMILIES;
use super::judge::{self, PROBES};
use hopshot_engine::{ProbeProtocol, ProbeSettings, Sweep};
use hopshot_lab::{
    Balance, Diamond, Flood, Hop, Limit, Nat, Partial, Places, PortNat, Protocol, Rate, Scenario,
    Unreachable,
};
use std::time::Duration;

fn is_one_in(random: &mut fastrand::Rng, many: u8) -> bool {
    random.u8(..many) == 0
}

/// A path that loses nothing, and on which everybody answers always, or never.
fn calm(random: &mut fastrand::Rng) -> Scenario {
    let mut scenario = Scenario::plain(random.u8(1..=30), random.u32(1..300).into());
    if is_one_in(random, 4) {
        scenario.jitter_ms = random.u32(1..60).into();
    }
    if is_one_in(random, 4) {
        scenario.duplicates = random.u8(1..3);
    }
    scenario.quote = [None, None, Some(8), Some(28)][random.usize(..4)];
    scenario.target.hop_limit = [64, 64, 128, 255][random.usize(..4)];
    for port in [443, 80] {
        if is_one_in(random, 4) {
            scenario.target.tcp.open.retain(|open| *open != port);
        }
    }
    for at in 1..scenario.hops {
        if is_one_in(random, 3) {
            let at = Places::One(at);
            scenario.hop.push(Hop { at, ..odd(random) });
        }
    }
    scenario
}

/// A router that isn't like the others.
fn odd(random: &mut fastrand::Rng) -> Hop {
    let mut hop = Hop::default();
    match random.u8(..8) {
        0..3 => hop.silent = true,
        3 => hop.slow_ms = random.u32(1..400).into(),
        4 => {
            let leaves_quotes = random.bool();
            hop.port_nat = Some(PortNat { leaves_quotes });
        }
        5 => {
            let all = [
                Nat::Source,
                Nat::Destination,
                Nat::Port,
                Nat::Ident,
                Nat::Checksum,
            ];
            let chosen = all.into_iter().filter(|_| is_one_in(random, 3));
            hop.nat = chosen.collect();
        }
        6 => {
            hop.clamps_mss = Some(random.u16(500..1460));
            hop.quoted_hop_limit = random.bool().then(|| random.u8(..));
        }
        _ => hop.bad_checksum = true,
    }
    hop
}

/// A path on which anything may happen.
fn wild(random: &mut fastrand::Rng) -> Scenario {
    let mut scenario = calm(random);
    let limit = |random: &mut fastrand::Rng| {
        let (burst, per_second) = (random.u8(1..8).into(), Rate::Same(random.u8(1..20).into()));
        Some(Limit { burst, per_second })
    };
    if is_one_in(random, 3) {
        scenario.loss = f64::from(random.u8(1..30)) / 100.0;
    }
    if is_one_in(random, 4) {
        scenario.limit = limit(random);
    }
    if is_one_in(random, 10) {
        let per_second = random.u32(100..5_000);
        scenario.flood = Some(Flood { per_second });
    }
    let target = &mut scenario.target;
    if is_one_in(random, 6) {
        target.errors = limit(random);
    }
    if is_one_in(random, 6) {
        target.limit = limit(random);
    }
    if is_one_in(random, 8) {
        target.partial = Some(Partial {
            skip: random.u32(..6),
            answer: random.u32(1..6),
            window_ms: random.u32(1..200).into(),
        });
    }
    if is_one_in(random, 3) {
        target.hop_limit = [30, 32, 60, 62, 100, 127, 200, 250][random.usize(..8)];
    }
    (target.resends, target.silent) = (is_one_in(random, 4), is_one_in(random, 12));
    let (tcp, udp) = (&mut target.tcp, &mut target.udp);
    for port in [443, 80, 81, 7, 33_434] {
        let barred = [
            &mut tcp.filtered,
            &mut tcp.rejected,
            &mut udp.filtered,
            &mut udp.rejected,
        ];
        if let Some(ports) = barred.into_iter().nth(random.usize(..20)) {
            ports.push(port);
        }
    }
    for hop in &mut scenario.hop {
        bar(hop, random);
    }
    if is_one_in(random, 3) {
        split(&mut scenario, random);
    }
    scenario
}

/// Makes a firewall of some routers, and others that are of little help.
fn bar(hop: &mut Hop, random: &mut fastrand::Rng) {
    match random.u8(..40) {
        0 => hop.first_syn_only = true,
        1 => hop.drops = vec![[Protocol::Icmp, Protocol::Tcp, Protocol::Udp][random.usize(..3)]],
        2 => {
            hop.unreachable = Some(Unreachable {
                v4: [3, [0, 1, 3, 9, 10, 13][random.usize(..6)]].into(),
                v6: [1, [0, 1, 3, 4, 5, 6][random.usize(..6)]].into(),
                from: random.u8(..20),
                to: [u8::MAX, random.u8(..40)][random.usize(..2)],
                rest: 0,
            });
        }
        3 => hop.quote = Some([0, 4, 8][random.usize(..3)]),
        4 => hop.loss = 0.5,
        5 => hop.rewrites_seq = Some(random.u32(..)),
        _ => {}
    }
}

/// Lets a path split and join again, once or twice.
fn split(scenario: &mut Scenario, random: &mut fastrand::Rng) {
    let mut next = 1;
    for _ in 0..random.u8(1..3) {
        let (at, main) = (next + random.u8(..4), random.u8(1..3));
        if at + main > scenario.hops {
            return;
        }
        let others = random.usize(1..3);
        let mut lengths = vec![main];
        lengths.extend((0..others).map(|_| random.u8(1..4)));
        let by = [Balance::Flow, Balance::Ident, Balance::Packet][random.usize(..3)];
        scenario.diamond.push(Diamond { at, lengths, by });
        next = at + main;
    }
}

fn settings(probes: ProbeProtocol, random: &mut fastrand::Rng) -> ProbeSettings {
    let mut settings = judge::settings(probes);
    settings.config.attempts = random.u8(1..4);
    settings.config.retries = random.u8(..4);
    settings
}

fn wild_settings(probes: ProbeProtocol, random: &mut fastrand::Rng) -> ProbeSettings {
    let mut settings = settings(probes, random);
    let config = &mut settings.config;
    let (first, step) = (random.u8(1..30), random.u8(1..10));
    let sweeps = [Sweep::Burst, Sweep::Window { first, step }];
    config.sweep = sweeps.get(random.usize(..6)).copied();
    if is_one_in(random, 6) {
        config.max_hops = random.u8(1..65);
        config.first_hop = random.u8(1..=config.max_hops);
    }
    if is_one_in(random, 6) {
        config.patience = random.u8(1..4);
        config.interval = Duration::from_millis(random.u64(..30));
        config.timeout = Duration::from_millis(random.u64(1..4_000));
    }
    settings
}

/// Whether the target's answer can't be known for one: it quotes a datagram whose port was
/// translated, and not so much of it that the payload says which it is.
fn is_garbled(scenario: &Scenario, probes: ProbeProtocol) -> bool {
    let leaves = |hop: &Hop| hop.port_nat.is_some_and(|nat| nat.leaves_quotes);
    matches!(probes, ProbeProtocol::Udp { .. })
        && scenario.quote == Some(8)
        && scenario.hop.iter().any(leaves)
}

#[test]
fn where_nothing_is_lost_every_target_is_found_where_it_is() {
    for seed in 0..300 {
        for probes in PROBES {
            let mut random = fastrand::Rng::with_seed(seed);
            let scenario = calm(&mut random);
            let family = FAMILIES[random.usize(..2)];
            let settings = settings(probes, &mut random);
            let traced = judge::trace(&scenario, family, &settings, seed);
            let told = format!("seed {seed}: {probes:?} {family:?}");
            assert_eq!(traced.lies(), [""; 0], "{told}");
            assert!(traced.is_answered());
            if !is_garbled(&scenario, probes) {
                assert_eq!(traced.route.distance(), Some(scenario.hops), "{told}");
            }
            assert!(!traced.is_rude(), "{told}");
        }
    }
}

#[test]
fn whatever_happens_a_trace_ends_and_says_only_what_is_so() {
    for seed in 0..700 {
        for probes in PROBES {
            let mut random = fastrand::Rng::with_seed(seed);
            let scenario = wild(&mut random);
            let family = FAMILIES[random.usize(..2)];
            let settings = wild_settings(probes, &mut random);
            // The attacker knows the ports: one guess in some thousands is right.
            if scenario.flood.is_none() || !matches!(probes, ProbeProtocol::Udp { .. }) {
                let traced = judge::trace(&scenario, family, &settings, seed);
                assert_eq!(traced.lies(), [""; 0], "seed {seed}: {probes:?} {family:?}");
            }
        }
    }
}
