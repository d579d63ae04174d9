//! Traces by every protocol, on every scenario, compared with the truth.

use super::judge::{self, PROBES, Traced, tcp, udp};
use super::{FAMILIES, to_the_end_with};
use hopshot_core::wire::AddressFamily;
use hopshot_engine::{
    Completeness, Exploration, PathMtu, ProbeProtocol, SocketKind, StopReason, TargetAnswer,
    Thoroughness, UdpPayload,
};
use hopshot_lab::log::{Fate, Probe};
use hopshot_lab::{Machine, Scenario};
use std::collections::BTreeSet;

fn trace(name: &str, probes: ProbeProtocol, family: AddressFamily, seed: u64) -> Traced {
    let mut settings = judge::settings(probes);
    settings.config.attempts = 1 + u8::try_from(seed % 3).unwrap();
    let scenario = Scenario::named(name).unwrap();
    judge::trace(&scenario, family, &settings, seed)
}

#[test]
fn no_trace_by_any_protocol_says_what_isnt_so() {
    // There the route changes while it is traced, or answers come from where nobody is asked; and
    // the attacker knows the ports, so that of UDP one guess in some thousands is right.
    let moves = ["changing", "leap", "altreply", "dnat", "demo"];
    for name in Scenario::names().filter(|name| !moves.contains(name)) {
        let is_guessed = |probes| name == "hostile" && matches!(probes, ProbeProtocol::Udp { .. });
        for probes in PROBES.into_iter().filter(|probes| !is_guessed(*probes)) {
            for (family, seed) in FAMILIES
                .into_iter()
                .flat_map(|it| [(it, 0), (it, 1), (it, 2)])
            {
                let traced = trace(name, probes, family, seed);
                let told = format!("{name} {probes:?} {family:?} seed {seed}");
                assert_eq!(traced.lies(), [""; 0], "{told}");
                if traced.is_answered() {
                    assert!(traced.route.distance().is_some(), "{told}");
                    assert!(!traced.is_rude(), "{told}");
                }
            }
        }
    }
}

#[test]
fn the_target_says_by_each_protocol_what_its_port_is() {
    let said = [
        (tcp(443), TargetAnswer::SynAck),
        (tcp(81), TargetAnswer::Rst),
        (
            udp(33_434, UdpPayload::Plain),
            TargetAnswer::PortUnreachable,
        ),
        (udp(53, UdpPayload::Dns), TargetAnswer::Datagram),
        (udp(443, UdpPayload::Quic), TargetAnswer::Datagram),
    ];
    for (probes, answer) in said {
        for family in FAMILIES {
            let Traced { route, .. } = trace("tcp-open", probes, family, 2);
            let last = route.hops().last().unwrap();
            let answers: Vec<_> = last.replies().map(|it| route.target_answer(&it)).collect();
            assert_eq!(answers, [Some(answer); 3], "{probes:?} {family:?}");
            assert_eq!(route.is_open(), answer.is_open());
        }
    }
}

#[test]
fn where_a_firewall_stops_the_probes_the_end_says_so() {
    for (name, reason) in [
        ("tcp-filtered", StopReason::Quiet),
        ("tcp-rejected", StopReason::Unreachable),
    ] {
        for probes in [tcp(443), udp(443, UdpPayload::Quic)] {
            for family in FAMILIES {
                let Traced { route, .. } = trace(name, probes, family, 0);
                assert_eq!(route.stop_reason(), Some(reason), "{name} {probes:?}");
                assert_eq!(route.is_filtered(), reason == StopReason::Unreachable);
                assert_eq!((route.distance(), route.is_open()), (None, None));
            }
        }
    }
}

#[test]
fn loss_hides_few_targets_and_moves_hardly_any() {
    let mut scenario = Scenario::named("wan").unwrap();
    scenario.loss = 0.1;
    // One attempt, two retries and two rechecks, or their answers: in one trace of 4,000.
    let is_bad_luck = |traced: &Traced| {
        let mut at_target = traced.to_hop(scenario.hops);
        let are_all = traced.to_hop(scenario.hops).count() == 5;
        are_all && at_target.all(|probe| probe.fate != Fate::Answered)
    };
    for probes in PROBES {
        let (mut hidden, mut moved) = (0, 0);
        for seed in 0..400 {
            let family = FAMILIES[seed as usize % 2];
            let traced = judge::trace(&scenario, family, &judge::settings(probes), seed);
            assert_eq!(traced.lies(), [""; 0], "{probes:?} seed {seed}");
            match traced.route.distance() {
                Some(distance) if distance != scenario.hops => {
                    moved += usize::from(!is_bad_luck(&traced));
                }
                Some(_) => {}
                None => hidden += 1,
            }
        }
        // Where a SYN/ACK, or the RST that follows, is lost, an open port answers no other SYN for
        // a while; and four SYNs at most go where nothing is heard.
        let most = match probes {
            ProbeProtocol::Tcp { .. } => (8, 1),
            _ => (0, 0),
        };
        assert!(
            hidden <= most.0 && moved <= most.1,
            "{probes:?}: {hidden}, {moved} of 400"
        );
    }
}

/// The most SYNs of one source port that were sent past the target.
fn most_past(log: &[Probe]) -> usize {
    let past = log
        .iter()
        .filter(|probe| probe.is_syn() && probe.past_target);
    let ports: Vec<_> = past.map(|probe| probe.ports).collect();
    let of = |port| ports.iter().filter(|other| *other == port).count();
    ports.iter().map(of).max().unwrap_or(0)
}

#[test]
fn once_the_distance_is_known_no_syn_goes_past_it() {
    for name in ["short", "wan", "silent", "no-icmp", "ecmp"] {
        for probes in [tcp(443), tcp(81)] {
            let (scenario, settings) = (Scenario::named(name).unwrap(), judge::settings(probes));
            for round in 0..4 {
                let traced = judge::trace(&scenario, AddressFamily::V4, &settings, round);
                assert_eq!(traced.lies(), [""; 0], "{name}");
                let (knocks, past) = (traced.route.summary().reasons.knocks, traced.past());
                assert_eq!(knocks, usize::from(round == 0), "{name} round {round}");
                assert!(
                    past == 0 || round == 0 && past <= 4,
                    "{name} round {round}: {past}"
                );
            }
        }
    }
}

#[test]
fn all_paths_are_found_by_tcp_and_udp_too() {
    for probes in [tcp(443), tcp(81), udp(33_434, UdpPayload::Plain)] {
        for (family, name) in FAMILIES.into_iter().zip(["ecmp", "ecmp-mesh"]) {
            let mut complete = 0;
            for seed in 0..20 {
                let scenario = Scenario::named(name).unwrap();
                let machine = Machine::new(&scenario, SocketKind::Raw, seed).speaking(probes);
                let target = (machine.internet().target(family), 0).into();
                let truth = judge::truth(&machine, family, probes);
                let (settings, how) = (judge::settings(probes), Thoroughness::default());
                let job = Exploration::start(machine, &settings, how, name, target).unwrap();
                let (past, paths) = to_the_end_with(job, |link| most_past(link.internet().log()));
                assert!(past <= 3, "{probes:?} {family:?} seed {seed}: {past}");
                assert_eq!(paths.completeness(), Completeness::Complete);
                let hops = truth.paths.iter().flat_map(|path| &path.hops);
                let routers: BTreeSet<_> = hops.copied().flatten().collect();
                let graph = paths.graph();
                let found: BTreeSet<_> = graph.nodes().iter().filter_map(|it| it.address).collect();
                assert!(found.is_subset(&routers), "{probes:?} {found:?}");
                complete += usize::from(found == routers);
            }
            assert!(complete >= 17, "{probes:?} {family:?}: {complete} of 20");
        }
    }
}

#[test]
fn the_mtu_of_a_path_is_found_by_udp_too() {
    for port in [33_434, 7] {
        for family in FAMILIES {
            let scenario = Scenario::named("mtu").unwrap();
            let settings = judge::settings(udp(port, UdpPayload::Plain));
            let machine = Machine::new(&scenario, SocketKind::Raw, 1).speaking(settings.protocol);
            let target = (machine.internet().target(family), 0).into();
            let job = PathMtu::start(machine, &settings, "mtu", target, |_, _, _| Ok(1500));
            let route = super::to_the_end(job.unwrap());
            let found = (route.path_mtu(), route.bounds(), route.limits().len());
            assert_eq!(found, (Some(1280), (1280, 1280), 2), "{port} {family:?}");
        }
    }
}
