//! UDP by sockets that keep the quoted header to themselves: a router that quotes no more than that
//! is asked again by a probe of another flow, and stands where it is, as a weak one.

use super::FAMILIES;
use super::judge::{self, Traced, udp};
use hopshot_core::wire::checksum::Checksum;
use hopshot_core::wire::{AddressFamily, Ends, ip};
use hopshot_engine::{Evidence, ProbeProtocol, SocketKind, StopReason, Trace, UdpPayload};
use hopshot_lab::{Attack, Hop, Machine, Places, Scenario};
use std::time::Duration;

const RTT_MS: u32 = 80;
const HOPS: u8 = 12;

const PLAIN: ProbeProtocol = udp(33_434, UdpPayload::Plain);

/// A path on which these routers quote 8 octets.
fn path(short: impl IntoIterator<Item = u8>) -> Scenario {
    let mut scenario = Scenario::plain(HOPS, RTT_MS.into());
    scenario.hop.extend(short.into_iter().map(|at| Hop {
        at: Places::One(at),
        quote: Some(8),
        ..Hop::default()
    }));
    scenario
}

fn trace(scenario: &Scenario, family: AddressFamily, attempts: u8, seed: u64) -> Traced {
    let mut settings = judge::settings(PLAIN);
    settings.config.attempts = attempts;
    judge::trace_on(SocketKind::Udp, scenario, family, &settings, seed)
}

/// All that it says, weak answers too.
fn lies(traced: &Traced) -> Vec<String> {
    let mut lies = traced.lies();
    for reply in traced.replies() {
        lies.extend(traced.lie_about(&reply));
        let is_there = reply.probe.hop > HOPS;
        if !is_there && !traced.truth.at(reply.probe.hop).contains(&Some(reply.from)) {
            lies.push(format!("{} isn't at hop {}", reply.from, reply.probe.hop));
        }
    }
    lies
}

/// The hops that have answered, and those that have done so beyond doubt.
fn heard(traced: &Traced) -> [Vec<u8>; 2] {
    let heard = |evidence| {
        let hops = traced.route.hops().filter(move |hop| {
            let mut replies = hop.replies();
            replies.any(|reply| reply.evidence() >= evidence)
        });
        hops.map(|hop| hop.number()).collect()
    };
    [heard(Evidence::Weak), heard(Evidence::Strong)]
}

#[test]
fn routers_that_quote_eight_octets_are_found_within_three_rtt() {
    for (seed, family) in (0..50).flat_map(|seed| FAMILIES.map(|family| (seed, family))) {
        let mut random = fastrand::Rng::with_seed(seed);
        let first = random.u8(1..HOPS);
        let two = vec![first, random.u8(1..HOPS)];
        for short in [two, (1..HOPS).collect()] {
            for attempts in 1..4 {
                let traced = trace(&path(short.clone()), family, attempts, seed);
                let told = format!("{short:?} {family:?} -q {attempts} seed {seed}");
                assert_eq!(lies(&traced), [""; 0], "{told}");
                let [all, sure] = heard(&traced);
                assert_eq!(all, (1..=HOPS).collect::<Vec<_>>(), "{told}");
                let is_long = |hop: &u8| !short.contains(hop);
                let long: Vec<_> = (1..=HOPS).filter(is_long).collect();
                assert_eq!(sure, long, "{told}");
                let route = &traced.route;
                assert_eq!(route.distance(), Some(HOPS), "{told}");
                let took = route.summary().duration.as_millis();
                assert!(took <= u128::from(3 * RTT_MS), "{told}: {took} ms");
                let mut off: Vec<u8> = short.clone();
                off.sort_unstable();
                off.dedup();
                assert_eq!(route.off_flow().collect::<Vec<_>>(), off, "{told}");
                assert!(!route.is_one_flow());
                // Which port each detour left from is told of those that were answered.
                for reply in traced.replies() {
                    let port = route.detour(reply.probe);
                    assert_eq!(port.is_some(), route.is_detour(reply.probe), "{told}");
                    let is_it = |port: u16| {
                        let ports = traced.own().filter_map(|probe| probe.ports);
                        ports.filter(|ports| ports.source == port).count() == 1
                    };
                    assert!(port.is_none_or(is_it), "{told}: {port:?}");
                }
            }
        }
    }
}

#[test]
fn behind_such_routers_a_silent_target_hides_none_of_them() {
    for (seed, family) in (0..20).flat_map(|seed| FAMILIES.map(|family| (seed, family))) {
        let mut random = fastrand::Rng::with_seed(seed);
        let short: Vec<u8> = (1..HOPS).filter(|_| random.u8(..3) > 0).collect();
        let mut scenario = path(short.clone());
        scenario.target.udp.filtered.push(33_434);
        for attempts in [1, 3] {
            let traced = trace(&scenario, family, attempts, seed);
            let told = format!("{short:?} {family:?} -q {attempts} seed {seed}");
            assert_eq!(lies(&traced), [""; 0], "{told}");
            let [all, _] = heard(&traced);
            assert_eq!(all, (1..HOPS).collect::<Vec<_>>(), "{told}");
            let reason = traced.route.stop_reason();
            let all_are_short = short.len() == usize::from(HOPS) - 1;
            let expected = match all_are_short {
                true => StopReason::Timeout,
                false => StopReason::Quiet,
            };
            assert_eq!(reason, Some(expected), "{told}");
        }
    }
}

#[test]
fn a_lost_answer_leaves_the_flow_alone_where_routers_quote_enough() {
    for (seed, family) in (0..100).flat_map(|seed| FAMILIES.map(|family| (seed, family))) {
        let mut scenario = path([]);
        scenario.loss = 0.1;
        let traced = trace(&scenario, family, 1, seed);
        assert_eq!(lies(&traced), [""; 0], "{family:?} seed {seed}");
        assert!(traced.route.is_one_flow(), "{family:?} seed {seed}");
    }
}

#[test]
fn with_loss_too_nothing_is_credited_to_another_probe() {
    let mut missing = 0;
    for (seed, family) in (0..200).flat_map(|seed| FAMILIES.map(|family| (seed, family))) {
        let mut random = fastrand::Rng::with_seed(seed);
        let mut scenario = path((1..HOPS).filter(|_| random.bool()));
        scenario.loss = 0.1;
        let traced = trace(&scenario, family, 1 + (seed % 3) as u8, seed);
        assert_eq!(lies(&traced), [""; 0], "{family:?} seed {seed}");
        let [all, _] = heard(&traced);
        missing += usize::from(HOPS) - all.len();
    }
    assert!(missing <= 96, "{missing} of 4,800 hops");
}

#[test]
fn on_every_scenario_nothing_is_said_that_isnt_so() {
    // There the route changes while it is traced, or answers come from where nobody is asked; and
    // the attacker knows the ports.
    let moves = ["changing", "leap", "altreply", "dnat", "demo", "hostile"];
    for name in Scenario::names().filter(|name| !moves.contains(name)) {
        for payload in [(33_434, UdpPayload::Plain), (443, UdpPayload::Quic)] {
            for (family, seed) in FAMILIES.into_iter().flat_map(|it| [(it, 0), (it, 1)]) {
                let settings = judge::settings(udp(payload.0, payload.1));
                let scenario = Scenario::named(name).unwrap();
                let traced = judge::trace_on(SocketKind::Udp, &scenario, family, &settings, seed);
                let told = format!("{name} {payload:?} {family:?} seed {seed}");
                assert_eq!(traced.lies(), [""; 0], "{told}");
            }
        }
    }
}

#[test]
fn a_target_that_quotes_so_little_stands_at_its_hop_and_gets_few_probes_more() {
    for (seed, family) in (0..20).flat_map(|seed| FAMILIES.map(|family| (seed, family))) {
        let mut random = fastrand::Rng::with_seed(seed);
        let mut scenario = path((1..HOPS).filter(|_| random.u8(..3) == 0));
        scenario.target.quote = Some(8);
        for attempts in [1, 3] {
            let traced = trace(&scenario, family, attempts, seed);
            let told = format!("{family:?} -q {attempts} seed {seed}");
            assert_eq!(lies(&traced), [""; 0], "{told}");
            let [all, sure] = heard(&traced);
            let last = all.len() as u8;
            assert!((HOPS..HOPS + 4).contains(&last), "{told}: {last}");
            assert_eq!(all, (1..=last).collect::<Vec<_>>(), "{told}");
            assert!(!sure.contains(&HOPS), "{told}");
            // What is weak ends nothing.
            let route = &traced.route;
            assert_eq!(
                (route.stop_reason(), route.distance()),
                (Some(StopReason::Quiet), None)
            );
            let detours = traced.own().filter(|probe| {
                let port = probe.ports.map(|ports| ports.source);
                probe.past_target && port < Some(0x8000)
            });
            assert!(detours.count() <= 3, "{told}");
        }
    }
}

#[test]
fn where_the_target_is_behind_the_last_hop_probed_that_is_the_reason() {
    const LAST: u8 = 6;
    for (seed, family) in (0..20).flat_map(|seed| FAMILIES.map(|family| (seed, family))) {
        let mut random = fastrand::Rng::with_seed(seed);
        let some: Vec<u8> = (1..LAST).filter(|_| random.bool()).chain([LAST]).collect();
        for short in [(1..HOPS).collect(), some] {
            for (attempts, is_silent) in [(1, false), (3, false), (1, true)] {
                let mut scenario = path(short.clone());
                let last = scenario.hop.iter_mut();
                let mut last = last.filter(|hop| matches!(hop.at, Places::One(LAST)));
                last.next().unwrap().silent = is_silent;
                let mut settings = judge::settings(PLAIN);
                settings.config.attempts = attempts;
                settings.config.max_hops = LAST;
                let [raw, udp] = [SocketKind::Raw, SocketKind::Udp]
                    .map(|kind| judge::trace_on(kind, &scenario, family, &settings, seed));
                let told = format!("{short:?} {family:?} -q {attempts} seed {seed}");
                assert_eq!(lies(&udp), [""; 0], "{told}");
                assert_eq!((udp.route.distance(), udp.route.reached()), (None, false));
                let is_it =
                    |traced: &Traced| traced.route.stop_reason() == Some(StopReason::MaxHops);
                assert_eq!(
                    (is_it(&udp), is_it(&raw)),
                    (!is_silent, !is_silent),
                    "{told}"
                );
            }
        }
    }
}

#[test]
fn a_silent_target_gets_few_detours_more_and_takes_hardly_longer() {
    for (seed, family) in (0..20).flat_map(|seed| FAMILIES.map(|family| (seed, family))) {
        for attempts in [1, 3] {
            let play = |short: &[u8]| {
                let mut scenario = path(short.to_vec());
                scenario.target.udp.filtered.push(33_434);
                let traced = trace(&scenario, family, attempts, seed);
                let summary = traced.route.summary();
                (summary.probes_sent, summary.duration.as_millis())
            };
            let ((probes, took), (more, longer)) = (play(&[]), play(&[1]));
            let told = format!("{family:?} -q {attempts}: {probes} {more}, {took} {longer} ms");
            assert!(more <= probes + 8, "{told}");
            assert!(longer <= took + u128::from(3 * RTT_MS), "{told}");
        }
    }
}

#[test]
fn one_forged_error_ends_no_sweep_and_hides_no_router() {
    // It quotes nothing, in the target's name, before anybody has answered.
    for (seed, family) in (0..20).flat_map(|seed| FAMILIES.map(|family| (seed, family))) {
        let scenario = Scenario::plain(25, RTT_MS.into());
        let mut machine = Machine::new(&scenario, SocketKind::Udp, seed).speaking(PLAIN);
        let target = machine.internet().target(family);
        let mut is_first = true;
        machine.attack(move |packet| {
            let forged = forgery(packet).filter(|_| std::mem::take(&mut is_first));
            Attack {
                is_alone: false,
                forged: forged
                    .map(|it| (Duration::from_millis(3), it))
                    .into_iter()
                    .collect(),
            }
        });
        let mut settings = judge::settings(PLAIN);
        settings.config.attempts = 1;
        let job = Trace::start(machine, &settings, "target", (target, 0).into()).unwrap();
        let route = super::to_the_end(job);
        assert!(route.has_unattributed());
        assert_eq!(route.distance(), Some(25), "{family:?} seed {seed}");
        let heard = route.hops().filter(|hop| hop.replies().next().is_some());
        assert_eq!(heard.count(), 25, "{family:?} seed {seed}");
    }
}

/// Port Unreachable from the target about a probe, of which it quotes the UDP header alone.
fn forgery(probe: &[u8]) -> Option<Vec<u8>> {
    let (header, message) = ip::parse(probe).ok()?;
    let (family, target) = (header.ends.family(), header.ends.destination);
    let quoted = &probe[..probe.len() - message.len() + 8];
    let icmp_type = match family {
        AddressFamily::V4 => [3, 3],
        AddressFamily::V6 => [1, 4],
    };
    let mut error = [&icmp_type[..], &[0; 6], quoted].concat();
    let ends = Ends {
        source: target,
        destination: header.ends.source,
    };
    let sum = Checksum::of_ends(ends, error.len())?.with(&error).finish();
    error[2..4].copy_from_slice(&sum.to_be_bytes());
    let header = ip::Header {
        ends,
        hop_limit: 60,
        traffic_class: 0,
        protocol: ip::icmp(family),
    };
    let mut packet = [vec![0; ip::header_len(family)], error].concat();
    let len = packet.len() - ip::header_len(family);
    header.emit(len, &mut packet).ok()?;
    Some(packet)
}
