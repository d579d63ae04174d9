//! Sides that are slower than others or lose more, and how long a comparison takes.

use super::{ALL, How, ICMP, SOCKETS, Seen, Sockets, USUAL, at, each, path, plan, run, with};
use crate::FAMILIES;
use hopshot_core::wire::AddressFamily;
use hopshot_engine::{Compare, Memory, ProbeProtocol, Side};
use hopshot_lab::{Hop, Loses, Protocol, Scenario};
use std::net::IpAddr;
use std::time::Duration;

/// The time of a comparison, and of the slowest of its sides alone, in RTTs of 80 ms.
fn durations(
    scenario: &Scenario,
    family: AddressFamily,
    sockets: Sockets,
    attempts: u8,
    known: bool,
) -> (f64, f64) {
    let rtts = |span: Duration| span.as_secs_f64() / 0.08;
    let memory = if known { Memory::new() } else { Memory::none() };
    let plan_of = |protocol: ProbeProtocol, target: IpAddr| {
        let target = sockets.permit(protocol, target);
        let mut plan = plan(Side::Protocol(protocol), protocol, target, attempts);
        plan.settings.memory = memory.clone();
        plan
    };
    let run_all = |protocols: &[ProbeProtocol]| {
        let machine = sockets.machine(scenario, protocols, 1);
        let target = machine.internet().target(family);
        let plans = protocols.iter().map(|it| plan_of(*it, target)).collect();
        run(Compare::start(machine, "target", plans, true).unwrap())
            .0
            .duration()
    };
    if known {
        run_all(&ALL);
    }
    let all = rtts(run_all(&ALL));
    let own = ALL.iter().skip(usize::from(sockets == Sockets::NoPings));
    let alone = own.map(|protocol| rtts(run_all(&[*protocol])));
    (all, alone.fold(0.0, f64::max))
}

#[test]
fn a_router_that_answers_icmp_slowly_is_named_and_nothing_else_is_slow() {
    let (slow_ms, slow_for) = (120.0, vec![Protocol::Icmp]);
    let hop = Hop {
        slow_ms,
        slow_for,
        ..at(7)
    };
    each(&with(hop), &USUAL, |seen| {
        if seen.fails(0) {
            return seen.shows_ends_alone();
        }
        let verdict = seen.result.verdict();
        let [slow] = verdict.slower() else {
            panic!("{}: {:?}", seen.told, verdict.slower());
        };
        assert_eq!((slow.side, slow.hop), (Side::Protocol(ICMP), Some(7)));
        assert!(!slow.is_target && slow.than.len() == 2, "{}", seen.told);
        assert_eq!((verdict.parting(), verdict.lossier()), (None, &[][..]));
        seen.reaches(0, None);
        seen.reaches(2, Some(true));
    });
}

#[test]
fn a_target_that_answers_icmp_slowly_is_told_from_a_longer_way() {
    let mut scenario = path();
    (scenario.target.slow_ms, scenario.target.slow_for) = (60.0, vec![Protocol::Icmp]);
    each(&scenario, &USUAL, |seen| {
        if seen.fails(0) {
            return seen.shows_ends_alone();
        }
        let [slow] = seen.result.verdict().slower() else {
            panic!("{}", seen.told);
        };
        assert_eq!((slow.side, slow.hop), (Side::Protocol(ICMP), Some(12)));
        assert!(slow.is_target);
        let sentences = seen.result.verdict().sentences();
        let last = sentences.last().unwrap();
        assert!(
            last.starts_with("The target answers ICMP slowly: in 14"),
            "{last}"
        );
    });
    // Behind a router that nobody hears it may be the way.
    scenario.hop = vec![Hop {
        silent: true,
        ..at(11)
    }];
    each(&scenario, &USUAL, |seen| {
        if seen.fails(0) {
            return seen.shows_ends_alone();
        }
        let [slow] = seen.result.verdict().slower() else {
            panic!("{}", seen.told);
        };
        assert_eq!((slow.side, slow.hop), (Side::Protocol(ICMP), None));
        let sentences = seen.result.verdict().sentences();
        let last = sentences.last().unwrap();
        assert!(
            last.starts_with("ICMP takes longer to the target: 14"),
            "{last}"
        );
    });
}

#[test]
fn a_router_that_is_slow_to_all_and_jitter_are_no_difference() {
    let slow = with(Hop {
        slow_ms: 120.0,
        ..at(7)
    });
    let noisy = Scenario {
        jitter_ms: 40.0,
        ..path()
    };
    for scenario in [slow, noisy] {
        each(&scenario, &USUAL, Seen::shows_ends_alone);
    }
}

#[test]
fn loss_of_one_protocol_is_told_where_chance_does_not_explain_it() {
    let (of, share) = (vec![Protocol::Icmp], 0.75);
    let loses = Some(Loses { of, share });
    let scenario = with(Hop { loses, ..at(10) });
    let how = How {
        attempts: 10,
        ..USUAL
    };
    let found = std::cell::Cell::new(0);
    each(&scenario, &how, |seen| {
        let verdict = seen.result.verdict();
        assert_eq!((verdict.parting(), verdict.slower()), (None, &[][..]));
        if seen.fails(0) {
            return seen.shows_ends_alone();
        }
        let sides: Vec<_> = verdict.lossier().iter().map(|it| it.side).collect();
        assert!(
            sides.is_empty() || sides == [Side::Protocol(ICMP)],
            "{}",
            seen.told
        );
        found.set(found.get() + sides.len());
        let target = seen.result.routes().next().unwrap().hops().last().unwrap();
        let loss = target.loss();
        // Beside none of ten, chance alone loses five of ten in 16 of a thousand cases, and six in
        // five. A hop that looks silent is asked more often.
        let of = |i: usize| (loss.sent - i) as f64 / (loss.sent + 10 - i) as f64;
        let chance: f64 = (0..loss.lost).map(of).product();
        let is_told = seen.end(0).is_reached() && loss.lost > 0 && chance < 0.01;
        assert_eq!(sides.len(), usize::from(is_told), "{} {loss:?}", seen.told);
    });
    assert!(found.get() >= 100, "{} of 200", found.get());
}

#[test]
fn loss_of_all_protocols_is_no_difference() {
    let scenario = Scenario {
        loss: 0.1,
        ..path()
    };
    for attempts in [1, 3, 10] {
        each(&scenario, &How { attempts, ..USUAL }, |seen| {
            seen.shows_ends_alone();
            let ends = seen.result.verdict().ends().iter();
            let reached = ends.filter(|(_, end)| end.is_reached()).count();
            assert!(reached >= 2, "{}", seen.told);
        });
    }
}

#[test]
fn a_comparison_takes_as_long_as_its_slowest_side() {
    let drops = |drops: Vec<Protocol>| with(Hop { drops, ..at(5) });
    let (icmp, udp, tcp) = (Protocol::Icmp, Protocol::Udp, Protocol::Tcp);
    let mut silent = path();
    silent.target.tcp.filtered = vec![443];
    let (quick, known, slow) = (2.01, 1.01, 6.01);
    // With raw sockets at first, and where the distance is known, then with others.
    for (mut scenario, raw, unprivileged) in [
        (path(), (quick, known), (quick, 1.1)),
        // Half a second where the RTT is 80 ms.
        (drops(vec![icmp]), (slow, slow), (slow, slow)),
        (drops(vec![udp]), (slow, slow), (slow, slow)),
        (drops(vec![tcp]), (slow, slow), (slow, slow)),
        (drops(vec![icmp, udp]), (slow, slow), (slow, slow)),
        (drops(vec![icmp, tcp]), (slow, slow), (slow, slow)),
        (drops(vec![udp, tcp]), (slow, slow), (slow, slow)),
        (silent, (slow, slow), (slow, slow)),
        // By TCP sockets one hop after the other, where nobody else gets as far.
        (
            Scenario::named("compare").unwrap(),
            (quick, 1.8),
            (4.3, 1.8),
        ),
    ] {
        scenario.jitter_ms = 0.0;
        for (family, sockets) in FAMILIES
            .into_iter()
            .flat_map(|family| SOCKETS.map(|it| (family, it)))
        {
            let ((cold, again), more) = match sockets {
                Sockets::Raw => (raw, 1.1),
                _ => (unprivileged, 1.8),
            };
            for (attempts, known, most) in
                [(1, false, cold), (1, true, again), (3, false, cold + more)]
            {
                let (all, alone) = durations(&scenario, family, sockets, attempts, known);
                let told = format!("{sockets:?} -q {attempts} {known} {scenario:?}");
                assert!(all <= most, "{all} RTT, {told}");
                assert!((all - alone).abs() < 0.05, "{all} and {alone} RTT, {told}");
            }
        }
    }
}
