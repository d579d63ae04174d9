//! The figures of the plan: what each way to sweep costs in time and in waste. They are written to
//! `core/FIGURES.md`, which the README quotes; the test fails if the file isn't what comes out.
//! `UPDATE_FIGURES=1 cargo test -p hopshot-core` writes it anew.

use crate::world::{Traced, leap, trace};
use hopshot_core::wire::AddressFamily;
use hopshot_core::{Config, Sweep};
use hopshot_lab::Scenario;
use std::collections::BTreeSet;
use std::fmt::Write as _;
use std::time::Duration;

const HOP_BY_HOP: Sweep = Sweep::Window { first: 1, step: 1 };

/// Time in units of the least that any tool could take, and probes likewise.
#[derive(Default)]
struct Cost {
    runs: usize,
    time: f64,
    worst_time: f64,
    sent: usize,
    past_target: usize,
    needed: usize,
    worst_probes: f64,
    wrong: usize,
    hops: usize,
    heard: usize,
}

impl Cost {
    /// A trace of a path with so many hops, whose target is `rtt` away.
    fn add(&mut self, traced: &Traced, hops: u8, rtt: Duration) {
        let time = traced.took.as_secs_f64() / rtt.as_secs_f64();
        let needed = usize::from(hops) * usize::from(traced.tracer.config().attempts);
        self.runs += 1;
        self.time += time;
        self.worst_time = self.worst_time.max(time);
        self.sent += traced.sent();
        self.past_target += traced.past_target();
        self.needed += needed;
        self.worst_probes = self.worst_probes.max(traced.sent() as f64 / needed as f64);
        self.wrong += usize::from(traced.distance() != Some(hops));
        self.hops += usize::from(hops);
        self.heard += traced
            .addresses()
            .iter()
            .take(hops.into())
            .filter(|from| !from.is_empty())
            .count();
    }

    fn row(&self) -> String {
        format!(
            "{:.2} | {:.2} | {:.2} | {:.2} | {:.0} %",
            self.time / self.runs as f64,
            self.worst_time,
            self.sent as f64 / self.needed as f64,
            self.worst_probes,
            100.0 * self.past_target as f64 / self.needed as f64
        )
    }
}

/// Paths of 5 to 25 hops, each as likely as the other, RTT growing with the hop, every hop answers:
/// what a sweep costs where nothing goes wrong.
fn even_paths(sweep: Sweep) -> Cost {
    let mut cost = Cost::default();
    for hops in 5..=25 {
        let scenario = Scenario::plain(hops, 80.0);
        let traced = trace(&scenario, AddressFamily::V4, 1, |config| Config {
            sweep: Some(sweep),
            ..config
        });
        cost.add(&traced, hops, Duration::from_millis(80));
    }
    cost
}

/// Paths of 5 to 20 hops with an ocean in the way.
fn leaps(attempts: u8, rtt_ms: f64) -> Cost {
    let mut cost = Cost::default();
    for hops in 5..=20 {
        let traced = trace(&leap(hops, rtt_ms), AddressFamily::V4, 1, |config| Config {
            attempts,
            ..config
        });
        cost.add(&traced, hops, Duration::from_secs_f64(rtt_ms / 1e3));
    }
    cost
}

/// A path drawn from a seed: 1 to 64 hops, 1 to 300 ms, in every third silent hops, in every third
/// loss, in every fourth routers that limit their errors.
fn drawn_path(seed: u64) -> (Scenario, u8, f64) {
    let mut state = seed.wrapping_mul(0x9e37_79b9_7f4a_7c15) | 1;
    let mut draw = |from: u64, to: u64| {
        state ^= state << 13;
        state ^= state >> 7;
        state ^= state << 17;
        from + (state >> 11) % (to - from + 1)
    };
    let hops = u8::try_from(draw(1, 64)).unwrap();
    let rtt_ms = draw(1, 300) as f64;
    let mut text = format!(
        "hops = {hops}\nrtt_ms = {rtt_ms}\njitter_ms = {}\n",
        rtt_ms / 50.0
    );
    if draw(1, 3) == 1 {
        let _ = writeln!(text, "loss = 0.0{}", draw(1, 5));
    }
    if draw(1, 4) == 1 {
        text.push_str("limit = { burst = 6, per_second = 1 }\n");
    }
    if hops > 2 && draw(1, 3) == 1 {
        let silent: BTreeSet<u64> = (0..draw(1, 3))
            .map(|_| draw(1, u64::from(hops) - 1))
            .collect();
        let _ = write!(
            text,
            "[[hop]]\nat = {:?}\nsilent = true\n",
            silent.into_iter().collect::<Vec<_>>()
        );
    }
    (
        Scenario::parse(&text).unwrap_or_else(|error| panic!("{text}: {error}")),
        hops,
        rtt_ms,
    )
}

fn drawn_paths(attempts: u8, sweep: Option<Sweep>) -> Cost {
    let mut cost = Cost::default();
    for seed in 1..=400 {
        let (scenario, hops, rtt_ms) = drawn_path(seed);
        let configure = |config| Config {
            attempts,
            sweep,
            max_hops: 64,
            ..config
        };
        let traced = trace(&scenario, AddressFamily::V4, seed, configure);
        cost.add(&traced, hops, Duration::from_secs_f64(rtt_ms / 1e3));
    }
    cost
}

fn figures() -> String {
    let mut text = String::from(
        "# Figures of the plan\n\n\
         Made by `core/tests/simulation/figures.rs` in the simulated internet, on virtual time: the same on every machine.\n\
         Time: the whole trace over the RTT of the target, which nobody can beat. Probes: sent over needed (hops times\n\
         attempts). Waste: probes past the target over probes needed, in totals.\n\n\
         ## One attempt, every hop answers\n\n\
         Paths of 5 to 25 hops, each length as likely, RTT growing with the hop.\n\n\
         | first sweep | then | time, mean | worst | probes, mean | worst | waste |\n\
         | --- | --- | --- | --- | --- | --- | --- |\n",
    );
    let _ = writeln!(
        text,
        "| hop by hop | 1 | {} |",
        even_paths(HOP_BY_HOP).row()
    );
    for (first, step) in [
        (8, 4),
        (12, 5),
        (16, 5),
        (16, 8),
        (18, 8),
        (19, 6),
        (20, 5),
        (21, 4),
        (22, 4),
        (25, 5),
        (30, 2),
    ] {
        let note = if (Sweep::Window { first, step }) == Sweep::ONE_ATTEMPT {
            " (the default)"
        } else {
            ""
        };
        let _ = writeln!(
            text,
            "| {first}{note} | {step} | {} |",
            even_paths(Sweep::Window { first, step }).row()
        );
    }
    let _ = writeln!(
        text,
        "| all 32 at once (`--burst`) | | {} |",
        even_paths(Sweep::Burst).row()
    );
    text.push_str(
        "\nAll that a plan learns before the target answers is which routers have. Of all ways to open from that which send to 17\n\
         hops or more at once (`core/tests/simulation/bound.rs` tries them) none that wastes as much as the default takes less\n\
         time, and none that wastes at most 40 % takes less than 1.228 round trips on the mean.\n\
         \n## A leap\n\n\
         Paths of 5 to 20 hops, each length as likely, every hop answers: the first third is within 10 ms, the rest behind an\n\
         ocean.\n\n\
         | RTT, ms | attempts | time, mean | worst | probes, mean | worst | waste |\n\
         | --- | --- | --- | --- | --- | --- | --- |\n",
    );
    for rtt_ms in [60.0, 150.0, 300.0] {
        for attempts in [1, 3] {
            let _ = writeln!(
                text,
                "| {rtt_ms} | {attempts} | {} |",
                leaps(attempts, rtt_ms).row()
            );
        }
    }
    text.push_str(
        "\n## Any path\n\n\
         400 paths drawn from seeds: 1 to 64 hops, 1 to 300 ms, jitter of 2 %; in a third of them 1 to 5 % loss each way, in a\n\
         third 1 to 3 silent hops, in a quarter routers that answer 6 probes and then one a second. `max_hops` is 64.\n\n\
         | plan | attempts | time, mean | worst | probes, mean | worst | waste | distance wrong | hops heard |\n\
         | --- | --- | --- | --- | --- | --- | --- | --- | --- |\n",
    );
    for (name, sweep) in [
        ("default", None),
        ("`--burst`", Some(Sweep::Burst)),
        ("hop by hop", Some(HOP_BY_HOP)),
    ] {
        for attempts in [1, 3] {
            let cost = drawn_paths(attempts, sweep);
            let heard = 100.0 * cost.heard as f64 / cost.hops as f64;
            let wrong = format!("{} of {}", cost.wrong, cost.runs);
            let _ = writeln!(
                text,
                "| {name} | {attempts} | {} | {wrong} | {heard:.2} % |",
                cost.row()
            );
        }
    }
    text
}

#[test]
fn the_figures_are_those_in_the_file() {
    let path = concat!(env!("CARGO_MANIFEST_DIR"), "/FIGURES.md");
    let text = figures();
    if std::env::var_os("UPDATE_FIGURES").is_some() {
        std::fs::write(path, &text).unwrap();
    }
    let file = std::fs::read_to_string(path).unwrap_or_default();
    assert!(
        file == text,
        "core/FIGURES.md isn't up to date; UPDATE_FIGURES=1 writes it. What comes out is:\n{text}"
    );
}
