//! What the plan and the patience promise, as figures of the simulated internet.

use crate::world::{Traced, leap, play, trace, trace_in};
use hopshot_core::wire::AddressFamily;
use hopshot_core::{Config, Kind, StopReason, Sweep};
use hopshot_lab::{Internet, Scenario};
use std::time::Duration;

fn run(name: &str, attempts: u8) -> Traced {
    trace(
        &Scenario::named(name).unwrap(),
        AddressFamily::V4,
        1,
        |config| Config { attempts, ..config },
    )
}

fn in_rtts(traced: &Traced, rtt_ms: f64) -> f64 {
    traced.took.as_secs_f64() * 1e3 / rtt_ms
}

#[test]
fn where_every_hop_answers_one_attempt_takes_one_round_trip() {
    let traced = run("wan", 1);
    assert_eq!(
        (traced.took, traced.stop_reason()),
        (Duration::from_millis(80), StopReason::Reached)
    );
}

#[test]
fn three_attempts_take_less_than_two_round_trips_and_waste_less_than_a_fifth() {
    let traced = run("wan", 3);
    assert!(in_rtts(&traced, 80.0) <= 1.9, "{}", in_rtts(&traced, 80.0));
    assert!(traced.past_target() * 5 <= 36, "{}", traced.past_target());
}

#[test]
fn silent_hops_are_retried_and_cost_at_most_two_and_a_half_round_trips() {
    for attempts in [1, 3] {
        let traced = run("silent", attempts);
        assert!(in_rtts(&traced, 80.0) <= 2.5, "{}", in_rtts(&traced, 80.0));
        for hop in [3, 4, 7] {
            let probes = traced
                .internet
                .log()
                .iter()
                .filter(|probe| probe.hop_limit == hop)
                .count();
            assert_eq!(probes, usize::from(attempts) + 2, "hop {hop}");
        }
    }
}

#[test]
fn a_silent_target_ends_within_half_a_second_and_every_router_is_found() {
    for attempts in [1, 3] {
        let traced = run("deadtarget", attempts);
        assert!(
            traced.took < Duration::from_millis(500),
            "{:?}",
            traced.took
        );
        assert_eq!(traced.stop_reason(), StopReason::Quiet);
        assert_eq!(
            traced
                .addresses()
                .iter()
                .filter(|from| !from.is_empty())
                .count(),
            11
        );
    }
}

#[test]
fn where_nothing_is_known_to_lead_one_probe_is_sent() {
    let traced = run("deadtarget", 1);
    let probes = |hop| {
        traced
            .internet
            .log()
            .iter()
            .filter(|probe| probe.hop_limit == hop)
            .count()
    };
    // But for two behind the eleven routers, whose answers may have been lost.
    assert!((12..=13).all(|hop| probes(hop) == 2) && (14..=32).all(|hop| probes(hop) == 1));
}

#[test]
fn a_leap_to_another_continent_is_not_taken_for_the_end() {
    for (attempts, most) in [(1, 20), (3, 40)] {
        for leap_ms in [100.0, 200.0, 300.0, 450.0] {
            let traced = trace(&leap(12, leap_ms), AddressFamily::V4, 1, |config| Config {
                attempts,
                ..config
            });
            assert_eq!(traced.distance(), Some(12));
            assert!(
                traced.sent() <= most,
                "{leap_ms} ms: {} probes",
                traced.sent()
            );
        }
    }
}

#[test]
fn what_is_far_behind_an_ocean_or_a_satellite_is_waited_for_whatever_the_plan_is() {
    for sweep in [
        None,
        Some(Sweep::Burst),
        Some(Sweep::Window { first: 1, step: 1 }),
    ] {
        for retries in [0, 2] {
            for leap_ms in [300.0, 700.0] {
                let traced = trace(&leap(8, leap_ms), AddressFamily::V4, 1, |config| Config {
                    sweep,
                    retries,
                    max_hops: 8,
                    ..config
                });
                assert_eq!(
                    traced.distance(),
                    Some(8),
                    "{sweep:?}, {retries} retries, {leap_ms} ms"
                );
            }
        }
    }
}

#[test]
fn a_hop_that_is_probed_alone_is_asked_twice() {
    let text = "hops = 9\nrtt_ms = 80\n[[hop]]\nat = 7\nsilent = true\n";
    let traced = trace(
        &Scenario::parse(text).unwrap(),
        AddressFamily::V4,
        1,
        |config| Config {
            first_hop: 7,
            max_hops: 7,
            ..config
        },
    );
    assert_eq!(traced.sent(), 2);
}

#[test]
fn silent_routers_at_the_edge_of_the_sweep_delay_it_as_long_as_a_lost_answer() {
    // 25 hops, 75 ms: 20 of them are in the first sweep.
    let text = "hops = 25\nrtt_ms = 75\n[[hop]]\nat = [19, 20]\nsilent = true\n";
    let traced = trace(
        &Scenario::parse(text).unwrap(),
        AddressFamily::V4,
        1,
        |config| config,
    );
    assert!(
        traced.took <= Duration::from_millis(90 + 160),
        "{:?}",
        traced.took
    );
    assert_eq!((traced.distance(), traced.sent()), (Some(25), 25 + 4));
}

#[test]
fn a_router_that_is_slow_to_write_its_errors_is_heard() {
    for attempts in [1, 3] {
        let traced = run("slowhop", attempts);
        assert_eq!(traced.dark(), 0);
        assert!(
            traced.took < Duration::from_millis(230),
            "{:?}",
            traced.took
        );
    }
}

#[test]
fn a_slow_router_is_heard_also_where_the_last_hop_probed_is_a_router() {
    let scenario = Scenario::named("slowhop").unwrap();
    for attempts in [1, 3] {
        for max_hops in 6..=9 {
            let configure = |config| Config {
                attempts,
                max_hops,
                ..config
            };
            let traced = trace(&scenario, AddressFamily::V4, 1, configure);
            assert_eq!(
                (traced.dark(), traced.stop_reason()),
                (0, StopReason::MaxHops),
                "{max_hops} hops"
            );
        }
    }
}

#[test]
fn with_patience_routers_are_heard_that_are_as_much_later() {
    // The hop behind an answer is given up after 2.3 times the path's 80 ms.
    for (slow_ms, patience) in [(140.0, 1), (386.0, 3), (1200.0, 10)] {
        let text = format!("hops = 12\nrtt_ms = 80\n[[hop]]\nat = 5\nslow_ms = {slow_ms}\n");
        let scenario = Scenario::parse(&text).unwrap();
        for attempts in [1, 3] {
            for sweep in [
                None,
                Some(Sweep::Burst),
                Some(Sweep::Window { first: 1, step: 1 }),
            ] {
                for family in [AddressFamily::V4, AddressFamily::V6] {
                    let dark = |patience| {
                        let configure = |config| Config {
                            attempts,
                            sweep,
                            patience,
                            retries: 0,
                            ..config
                        };
                        trace(&scenario, family, 1, configure).dark()
                    };
                    let hop_by_hop = sweep == Some(Sweep::Window { first: 1, step: 1 });
                    assert_eq!(
                        dark(patience),
                        0,
                        "{slow_ms} ms, {attempts} attempts, {sweep:?}"
                    );
                    assert!(
                        patience == 1 || hop_by_hop || dark(1) == 1,
                        "{slow_ms} ms, {attempts} attempts"
                    );
                }
            }
        }
    }
}

/// Twelve hops of 80 ms, the fifth of which answers so much later.
fn late(slow_ms: f64) -> Scenario {
    let text = format!("hops = 12\nrtt_ms = 80\n[[hop]]\nat = 5\nslow_ms = {slow_ms}\n");
    Scenario::parse(&text).unwrap()
}

#[test]
fn with_patience_a_late_router_has_lost_nothing() {
    for (slow_ms, patience) in [(352.7, 3), (866.7, 5), (450.0, 3), (1500.0, 10)] {
        let scenario = late(slow_ms);
        for attempts in [1, 2, 3] {
            for family in [AddressFamily::V4, AddressFamily::V6] {
                let traced = trace(&scenario, family, 1, |config| Config {
                    attempts,
                    patience,
                    ..config
                });
                let hop = traced.tracer.route().hops().nth(4).unwrap();
                let outcomes: Vec<_> = hop.outcomes().collect();
                assert!(
                    !hop.may_be_rate_limited(),
                    "{slow_ms} ms, {attempts} attempts: {outcomes:?}"
                );
                let heard = outcomes
                    .iter()
                    .filter(|outcome| outcome.reply().is_some())
                    .count();
                let expected = (usize::from(attempts), usize::from(attempts));
                assert_eq!(
                    (heard, outcomes.len()),
                    expected,
                    "{slow_ms} ms, {attempts} attempts: {outcomes:?}"
                );
                assert_eq!(
                    traced.tracer.route().tally().late,
                    0,
                    "{slow_ms} ms, {attempts} attempts"
                );
            }
        }
    }
}

#[test]
fn a_router_later_than_its_lost_probes_were_waited_for_is_not_called_rate_limited() {
    // The silent target keeps the trace running until the first answer of hop 5 has come.
    for slow_ms in [250.0, 300.0, 400.0] {
        let text = format!(
            "hops = 12\nrtt_ms = 80\n[target]\nsilent = true\n[[hop]]\nat = 5\nslow_ms = {slow_ms}\n"
        );
        let scenario = Scenario::parse(&text).unwrap();
        for attempts in [1, 2, 3] {
            let traced = trace(&scenario, AddressFamily::V4, 1, |config| Config {
                attempts,
                ..config
            });
            let hop = traced.tracer.route().hops().nth(4).unwrap();
            let outcomes: Vec<_> = hop.outcomes().collect();
            assert!(
                !hop.may_be_rate_limited(),
                "{slow_ms} ms, {attempts} attempts: {outcomes:?}"
            );
        }
    }
}

#[test]
fn a_router_that_is_only_late_is_not_called_rate_limited() {
    let scenario = Scenario::named("slowhop").unwrap();
    for attempts in [1, 3] {
        for interval in [0, 1, 5] {
            let interval = Duration::from_millis(interval);
            let traced = trace(&scenario, AddressFamily::V4, 1, |config| Config {
                attempts,
                interval,
                ..config
            });
            let hop = traced.tracer.route().hops().nth(4).unwrap();
            assert!(
                !hop.may_be_rate_limited() && hop.replies().count() >= usize::from(attempts),
                "{attempts} {interval:?}"
            );
        }
    }
}

#[test]
fn every_hop_gets_the_attempts_asked_for_where_the_target_is_not_reached_too() {
    for attempts in [4, 10] {
        let near = trace(&Scenario::plain(12, 80.0), AddressFamily::V4, 1, |config| {
            Config {
                attempts,
                max_hops: 4,
                ..config
            }
        });
        let silent = trace(
            &Scenario::named("deadtarget").unwrap(),
            AddressFamily::V4,
            1,
            |config| Config { attempts, ..config },
        );
        for (traced, hops) in [(near, 4), (silent, 11)] {
            let answers: Vec<usize> = traced
                .tracer
                .route()
                .hops()
                .take(hops)
                .map(|hop| hop.replies().count())
                .collect();
            assert_eq!(answers, vec![usize::from(attempts); hops]);
        }
    }
}

#[test]
fn a_slow_router_in_front_of_a_silent_target_is_heard() {
    let text = "hops = 12\nrtt_ms = 80\n[target]\nsilent = true\n[[hop]]\nat = 11\nslow_ms = 150\n";
    let scenario = Scenario::parse(text).unwrap();
    for attempts in [1, 3] {
        let traced = trace(&scenario, AddressFamily::V4, 1, |config| Config {
            attempts,
            ..config
        });
        assert_eq!(
            traced
                .addresses()
                .iter()
                .filter(|from| !from.is_empty())
                .count(),
            11
        );
    }
}

#[test]
fn with_ten_percent_loss_each_way_the_whole_list_is_found_in_99_of_100_runs() {
    let scenario = Scenario::named("loss").unwrap();
    let complete = (0..1000).filter(|seed| {
        let traced = trace(&scenario, AddressFamily::V4, *seed, |config| Config {
            attempts: 3,
            ..config
        });
        traced.dark() == 0 && traced.distance() == Some(12)
    });
    let complete = complete.count();
    assert!(complete >= 990, "{complete} of 1000");
}

#[test]
fn a_target_that_hears_only_part_of_the_burst_is_not_placed_too_far() {
    for seed in 0..50 {
        for attempts in [1, 3] {
            let scenario = Scenario::named("partial").unwrap();
            let burst = |config| Config {
                attempts,
                sweep: Some(Sweep::Burst),
                ..config
            };
            assert_eq!(
                trace(&scenario, AddressFamily::V4, seed, burst).distance(),
                Some(12)
            );
            let traced = trace(&scenario, AddressFamily::V4, seed, |config| Config {
                attempts,
                ..config
            });
            assert_eq!(traced.distance(), Some(12));
        }
    }
}

#[test]
fn a_satellite_behind_the_home_router_is_waited_for() {
    let text = "hops = 4\nrtt_ms = 650\n[[hop]]\nat = 1\nrtt_ms = 1\n[[hop]]\nat = 2\nsilent = true\n[[hop]]\nat = 3\nrtt_ms = 600\n";
    let traced = trace(
        &Scenario::parse(text).unwrap(),
        AddressFamily::V4,
        1,
        |config| config,
    );
    assert_eq!(traced.distance(), Some(4));
}

#[test]
fn where_nothing_answers_the_timeout_rules() {
    let text =
        "hops = 3\nrtt_ms = 10\n[target]\nsilent = true\n[[hop]]\nat = [1, 2]\nsilent = true\n";
    for timeout in [Duration::from_millis(700), Duration::from_millis(100)] {
        let traced = trace(
            &Scenario::parse(text).unwrap(),
            AddressFamily::V4,
            1,
            |config| Config { timeout, ..config },
        );
        assert_eq!(traced.stop_reason(), StopReason::Timeout);
        assert!(traced.took <= timeout * 2, "{:?}", traced.took);
    }
}

#[test]
fn a_wait_that_the_timeout_has_cut_short_is_told_as_that() {
    let text = "hops = 6\nrtt_ms = 10\n[target]\nsilent = true\n";
    for (timeout, reason) in [(1000, StopReason::Timeout), (1100, StopReason::Quiet)] {
        let traced = trace(
            &Scenario::parse(text).unwrap(),
            AddressFamily::V4,
            1,
            |config| Config {
                timeout: Duration::from_millis(timeout),
                sweep: Some(Sweep::Burst),
                ..config
            },
        );
        assert_eq!(traced.stop_reason(), reason, "{timeout} ms");
    }
}

#[test]
fn routers_with_linux_limits_stay_visible_as_long_as_they_permit() {
    let scenario = Scenario::named("ratelimit").unwrap();
    let mut internet = Internet::new(&scenario, 1);
    let mut start = Duration::ZERO;
    for run in 0..6 {
        let (tracer, took) = trace_in(&mut internet, AddressFamily::V4, run, start, |config| {
            config
        });
        let named = tracer
            .route()
            .hops()
            .filter(|hop| hop.replies().next().is_some())
            .count();
        assert_eq!(named, 12, "run {run}");
        start += took;
    }
}

#[test]
fn a_distance_known_from_before_shapes_the_burst_and_a_path_that_changed_is_still_right() {
    let known = |config| Config {
        sweep: Some(Sweep::Window { first: 12, step: 5 }),
        ..config
    };
    for (hops, rtts, waste) in [(12, 1.0, 0), (10, 1.0, 2), (14, 1.9, 3)] {
        let traced = trace(&Scenario::plain(hops, 80.0), AddressFamily::V4, 1, known);
        assert_eq!(traced.distance(), Some(hops));
        assert!(
            in_rtts(&traced, 80.0) <= rtts,
            "{hops} hops: {}",
            in_rtts(&traced, 80.0)
        );
        assert_eq!(traced.past_target(), waste, "{hops} hops");
    }
}

#[test]
fn a_trace_that_began_farther_out_can_go_back_to_the_first_hop() {
    for (hops, others) in [
        (12, ""),
        (5, ""),
        (12, "[target]\nsilent = true\n"),
        (12, "[[hop]]\nat = [2, 9]\nsilent = true\n"),
    ] {
        let scenario = Scenario::parse(&format!("hops = {hops}\nrtt_ms = 80\n{others}")).unwrap();
        for attempts in [1, 3] {
            let configure = |config| Config { attempts, ..config };
            let whole = trace(&scenario, AddressFamily::V4, 1, configure);
            let mut internet = Internet::new(&scenario, 1);
            let begin = |config| Config {
                first_hop: 9,
                ..configure(config)
            };
            let (mut tracer, took) =
                trace_in(&mut internet, AddressFamily::V4, 1, Duration::ZERO, begin);
            assert!(tracer.start_from(10).is_err());
            tracer.start_from(1).unwrap();
            let took = play(&mut internet, &mut tracer, took);
            let traced = Traced {
                tracer,
                internet,
                took,
            };
            assert_eq!(traced.addresses(), whole.addresses(), "{hops} {others}");
            assert_eq!(
                (traced.distance(), traced.stop_reason()),
                (whole.distance(), whole.stop_reason())
            );
            assert!(
                traced.sent() <= whole.sent() + 12 * usize::from(attempts),
                "{} {}",
                traced.sent(),
                whole.sent()
            );
        }
    }
}

#[test]
fn a_loop_ends_and_is_told_as_one() {
    for attempts in [1, 3] {
        let traced = run("loop", attempts);
        assert_eq!(
            (traced.stop_reason(), traced.distance()),
            (StopReason::Loop, None)
        );
        let hops = traced.addresses();
        assert_eq!(
            (hops.len(), &hops[4], &hops[5]),
            (9, &hops[8], &hops[7]),
            "{hops:?}"
        );
    }
}

#[test]
fn an_unreachable_from_a_router_that_others_pass_is_not_the_end() {
    let text = "hops = 12\nrtt_ms = 80\n[[hop]]\nat = 6\nunreachable = { v4 = [3, 13], v6 = [1, 1], from = 6, to = 6 }\n";
    for attempts in [1, 3] {
        let traced = trace(
            &Scenario::parse(text).unwrap(),
            AddressFamily::V6,
            1,
            |config| Config { attempts, ..config },
        );
        assert_eq!(
            (traced.stop_reason(), traced.distance()),
            (StopReason::Reached, Some(12))
        );
        let route = traced.tracer.route();
        let kinds: Vec<Kind> = route
            .hops()
            .nth(5)
            .unwrap()
            .replies()
            .map(|reply| reply.kind)
            .collect();
        assert_eq!(kinds, vec![Kind::Unreachable; attempts.into()]);
    }
}

#[test]
fn a_router_that_stops_answering_may_be_rate_limited() {
    let text = "hops = 12\nrtt_ms = 80\n[[hop]]\nat = 6\nlimit = { burst = 1, per_second = 1 }\n";
    let traced = trace(
        &Scenario::parse(text).unwrap(),
        AddressFamily::V4,
        1,
        |config| Config {
            attempts: 3,
            ..config
        },
    );
    let route = traced.tracer.route();
    let limited: Vec<u8> = route
        .hops()
        .filter_map(|hop| hop.may_be_rate_limited().then_some(hop.number()))
        .collect();
    assert_eq!(limited, [6]);
}

#[test]
fn no_more_probes_leave_than_the_interval_permits() {
    let scenario = Scenario::named("wan").unwrap();
    let interval = Duration::from_millis(2);
    let traced = trace(&scenario, AddressFamily::V4, 1, |config| Config {
        attempts: 3,
        interval,
        ..config
    });
    let sent: Vec<u64> = traced
        .internet
        .log()
        .iter()
        .map(|probe| probe.at_ns)
        .collect();
    assert!(
        sent.windows(2).all(|pair| pair[1] - pair[0] >= 2_000_000),
        "{sent:?}"
    );
    assert_eq!((traced.distance(), traced.dark()), (Some(12), 0));
}

#[test]
fn an_answer_from_another_address_counts_and_says_so() {
    let traced = run("altreply", 1);
    let route = traced.tracer.route();
    let reply = route.hops().last().unwrap().replies().next().unwrap();
    assert!(reply.changes.contains(hopshot_core::Changes::SENDER));
    assert_eq!(traced.distance(), Some(12));
}

#[test]
fn translated_quotes_are_answers_and_say_what_was_changed() {
    let traced = run("nat", 1);
    let route = traced.tracer.route();
    let changes: Vec<_> = route
        .hops()
        .map(|hop| hop.replies().next().unwrap().changes)
        .collect();
    assert!(
        changes[..3].iter().all(|changes| changes.is_empty()),
        "{changes:?}"
    );
    assert!(
        changes[3..10]
            .iter()
            .all(|changes| changes.contains(hopshot_core::Changes::SOURCE)),
        "{changes:?}"
    );
    assert!(
        changes[10].contains(hopshot_core::Changes::DESTINATION),
        "{changes:?}"
    );
    assert!(
        run("nat-id", 1).dark() == 0,
        "the cookie finds the probe though the ident was changed"
    );
}

/// A path of six hops in so many milliseconds, whose routers at hops 2 and 3 refuse what expires
/// there, and pass all else.
fn refusing(rtt_ms: f64, v4: &str, v6: &str, rest: u32) -> Scenario {
    let router = |hop: u8| {
        let kind = format!("v4 = {v4}, v6 = {v6}, rest = {rest}, from = {hop}, to = {hop}");
        format!("[[hop]]\nat = {hop}\nunreachable = {{ {kind} }}\n")
    };
    let text = format!("hops = 6\nrtt_ms = {rtt_ms}\n{}{}", router(2), router(3));
    Scenario::parse(&text).unwrap_or_else(|error| panic!("{text}: {error}"))
}

#[test]
fn a_router_that_refuses_what_expires_there_is_never_the_end() {
    let plans = [
        None,
        Some(Sweep::Burst),
        Some(Sweep::Window { first: 1, step: 1 }),
        Some(Sweep::Window { first: 3, step: 2 }),
    ];
    for family in [AddressFamily::V4, AddressFamily::V6] {
        for (v4, v6, rest) in [
            ("[3, 10]", "[1, 1]", 0),
            ("[3, 13]", "[1, 6]", 0),
            ("[3, 4]", "[2, 0]", 9000),
            ("[12, 0]", "[4, 0]", 0),
        ] {
            for rtt_ms in [0.3, 0.6, 3.0, 30.0, 120.0] {
                for (sweep, attempts) in
                    plans.into_iter().flat_map(|sweep| [(sweep, 1), (sweep, 3)])
                {
                    let scenario = refusing(rtt_ms, v4, v6, rest);
                    let traced = trace(&scenario, family, 1, |config| Config {
                        sweep,
                        attempts,
                        ..config
                    });
                    let found = (traced.distance(), traced.stop_reason(), traced.dark());
                    assert_eq!(
                        found,
                        (Some(6), StopReason::Reached, 0),
                        "{family:?}, {v4}, {rtt_ms} ms, {sweep:?}"
                    );
                    let route = traced.tracer.route();
                    let refused = route.hops().nth(1).unwrap().replies().next().unwrap();
                    assert_eq!((refused.kind, refused.mtu), (Kind::Unreachable, None));
                }
            }
        }
    }
}

#[test]
fn a_refusal_in_front_of_an_ocean_is_not_the_end() {
    for leap_ms in [100.0, 300.0, 700.0] {
        let text = format!(
            "hops = 6\nrtt_ms = {leap_ms}\n[[hop]]\nat = 1\nrtt_ms = 0.05\nunreachable = {{ from = 1, to = 1 }}\n"
        );
        let far = (2..6).map(|hop| {
            format!(
                "[[hop]]\nat = {hop}\nrtt_ms = {}\n",
                leap_ms - 6.0 + f64::from(hop)
            )
        });
        let scenario = Scenario::parse(&(text + &far.collect::<String>())).unwrap();
        let traced = trace(&scenario, AddressFamily::V4, 1, |config| config);
        assert_eq!(
            (traced.distance(), traced.dark()),
            (Some(6), 0),
            "{leap_ms} ms"
        );
    }
}

#[test]
fn one_that_refuses_all_that_comes_is_the_end_at_any_rtt() {
    for rtt_ms in [0.3, 6.0, 60.0] {
        let text = format!("hops = 12\nrtt_ms = {rtt_ms}\n[[hop]]\nat = 6\nunreachable = {{}}\n");
        let traced = trace(
            &Scenario::parse(&text).unwrap(),
            AddressFamily::V4,
            1,
            |config| config,
        );
        assert_eq!(
            (traced.stop_reason(), traced.tracer.route().hops().count()),
            (StopReason::Unreachable, 6)
        );
        assert_eq!(traced.sent(), 20, "no more than at once");
        assert!(
            traced.took < Duration::from_millis(170),
            "{:?}",
            traced.took
        );
    }
}
