//! Targets that answer no SYN, and how few of these they get.

use super::FAMILIES;
use super::judge::{self, Traced, tcp};
use hopshot_engine::{ProbeSettings, StopReason};
use hopshot_lab::{Hop, Places, Scenario};
use std::time::Duration;

/// SYNs beyond the attempts asked for that a target may get.
const MOST_MORE: usize = 3;

fn silent(at: u8) -> Hop {
    Hop {
        at: Places::One(at),
        silent: true,
        ..Hop::default()
    }
}

/// A path to a target that drops SYNs.
fn filtered(hops: u8, loss: f64) -> Scenario {
    let mut scenario = Scenario::plain(hops, 80.0);
    scenario.loss = loss;
    scenario.target.tcp.filtered.push(443);
    scenario
}

fn settings(attempts: u8) -> ProbeSettings {
    let mut settings = judge::settings(tcp(443));
    settings.config.attempts = attempts;
    settings
}

/// The last hop that has answered.
fn last_heard(traced: &Traced) -> Option<u8> {
    let heard = |hop: &hopshot_engine::Hop<'_>| hop.replies().next().is_some();
    traced
        .route
        .hops()
        .filter(heard)
        .map(|hop| hop.number())
        .last()
}

#[test]
fn a_silent_target_gets_at_most_three_syns_more_than_were_asked_for() {
    for seed in 0..40 {
        for (family, attempts) in FAMILIES
            .into_iter()
            .flat_map(|family| [(family, 1), (family, 2), (family, 3)])
        {
            for hops in [1, 2, 3, 4, 7, 12, 19, 30] {
                let loss = [0.0, 0.1, 0.3][seed as usize % 3];
                let mut scenario = filtered(hops, loss);
                // Now and then the first routers are silent, or some that are anywhere.
                let mut random = fastrand::Rng::with_seed(seed);
                let hidden = random.u8(..8);
                scenario
                    .hop
                    .extend((1..hops).filter(|at| *at <= hidden).map(silent));
                for is_known in [false, true] {
                    let mut settings = settings(attempts);
                    settings.config.retries = random.u8(..4);
                    if is_known {
                        judge::trace(&Scenario::plain(hops, 80.0), family, &settings, seed);
                    }
                    let traced = judge::trace(&scenario, family, &settings, seed);
                    let told = format!(
                        "seed {seed}: {family:?}, {attempts} attempts, {hops} hops, {is_known}"
                    );
                    assert_eq!(traced.lies(), [""; 0], "{told}");
                    let most = usize::from(attempts) + MOST_MORE;
                    assert!(traced.syns() <= most, "{told}: {} SYNs", traced.syns());
                    let knocks = traced.route.summary().reasons.knocks;
                    assert!(knocks <= 1, "{told}: {knocks} knocks");
                }
            }
        }
    }
}

#[test]
fn a_silent_port_ends_a_trace_in_half_a_second() {
    for attempts in [1, 2, 3] {
        for family in FAMILIES {
            let traced = judge::trace(&filtered(12, 0.0), family, &settings(attempts), 1);
            let summary = traced.route.summary();
            assert_eq!(traced.route.stop_reason(), Some(StopReason::Quiet));
            assert_eq!(last_heard(&traced), Some(11));
            assert!(summary.duration < Duration::from_millis(490), "{summary:?}");
        }
    }
}

#[test]
fn loss_seldom_hides_the_last_router_before_a_silent_target() {
    // What is lost on the way there, and again on the way back: 19 of 100.
    for (attempts, least) in [(1, 160), (2, 180), (3, 180)] {
        let mut found = 0;
        for seed in 0..200 {
            let family = FAMILIES[seed as usize % 2];
            let traced = judge::trace(&filtered(12, 0.1), family, &settings(attempts), seed);
            found += usize::from(last_heard(&traced) == Some(11));
        }
        assert!(found >= least, "{attempts} attempts: {found} of 200");
    }
}

#[test]
fn behind_silent_routers_the_others_are_found_though_the_target_is_silent() {
    for (attempts, hidden) in [(1, 5), (2, 5), (3, 11)] {
        for family in FAMILIES {
            let mut scenario = filtered(16, 0.0);
            scenario.hop.extend((1..=hidden).map(silent));
            let traced = judge::trace(&scenario, family, &settings(attempts), 1);
            assert_eq!(last_heard(&traced), Some(15), "{hidden} silent {family:?}");
            let heard = traced
                .route
                .hops()
                .filter(|hop| hop.replies().next().is_some());
            assert_eq!(heard.count(), usize::from(15 - hidden));
        }
    }
}

#[test]
fn a_target_that_answers_a_knock_is_found_behind_silent_routers() {
    // Its answers come back by a way that is shorter by so many hops, all of which are silent.
    for shorter in [1, 2] {
        for family in FAMILIES {
            let mut scenario = Scenario::plain(12, 80.0);
            scenario.target.hop_limit = 64 + shorter;
            scenario.hop.extend((12 - shorter..12).map(silent));
            let traced = judge::trace(&scenario, family, &settings(1), 1);
            assert_eq!(traced.route.distance(), Some(12), "{shorter} {family:?}");
        }
    }
}
