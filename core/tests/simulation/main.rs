//! The tracer in the simulated internet, on virtual time.

mod figures;
mod world;

use hopshot_core::wire::Version;
use hopshot_lab::Scenario;
use world::trace;

#[test]
fn look() {
    let only = std::env::var("ONLY").unwrap_or_default();
    for name in Scenario::names().filter(|name| name.contains(&only)) {
        let scenario = Scenario::named(name).unwrap();
        for version in [Version::V4] {
            for attempts in [1, 3] {
                let traced = trace(&scenario, version, 1, |config| hopshot_core::Config { attempts, ..config });
                println!(
                    "{name:18} {version:?} q{attempts} took {:7.1} ms sent {:3} past {:3} dark {:2} hops {:2} distance {:?} {:?}",
                    traced.took.as_secs_f64() * 1e3,
                    traced.sent(),
                    traced.past_target(),
                    traced.dark(),
                    traced.addresses().len(),
                    traced.distance(),
                    traced.stop_reason()
                );
                if !only.is_empty() {
                    for probe in traced.internet.log() {
                        println!(
                            "  {:7.1} ttl {} hop {} {:?} {:?}",
                            probe.at_ns as f64 / 1e6,
                            probe.hop_limit,
                            probe.hop,
                            probe.fate,
                            probe.answers.iter().map(|a| a.rtt_ns as f64 / 1e6).collect::<Vec<_>>()
                        );
                    }
                }
            }
        }
    }
}
