use crate::world::trace;
use hopshot_core::wire::Version;
use hopshot_core::{Config, Sweep};
use hopshot_lab::Scenario;

#[test]
fn family() {
    for first in [16u8, 17, 18, 19, 20, 21, 22, 25] {
        for step in [3u8, 4, 5, 6, 8] {
            let (mut time, mut waste, mut worst, mut needed) = (0.0, 0, 0.0f64, 0usize);
            for hops in 5..=25u8 {
                let scenario = Scenario::plain(hops, 80.0);
                let traced =
                    trace(&scenario, Version::V4, 1, |c| Config { sweep: Some(Sweep::Window { first, step }), ..c });
                let t = traced.took.as_secs_f64() / 0.080;
                time += t;
                worst = worst.max(t);
                waste += traced.past_target();
                needed += usize::from(hops);
            }
            println!(
                "first {first} step {step}: {:.4} RTT worst {worst:.2} waste {:.1}%",
                time / 21.0,
                100.0 * waste as f64 / needed as f64
            );
        }
    }
}
