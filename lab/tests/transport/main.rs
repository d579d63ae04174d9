//! TCP and UDP in the simulated internet, in both families.

mod boxes;
mod connections;
mod packets;
mod target;

use core::time::Duration;
use hopshot_lab::log::{Event, line, parse};
use hopshot_lab::{Ports, Protocol};
use packets::{BOTH, Probe, named};

#[test]
fn the_log_names_protocol_and_ports_and_counts_syns_past_the_end() {
    for family in BOTH {
        let mut internet = named("wan");
        for hop_limit in 10..=15 {
            let probe = Probe::new(&internet, family, hop_limit, 443);
            internet.receive(Duration::ZERO, &probe.tcp());
        }
        let probe = Probe::new(&internet, family, 13, 7);
        internet.receive(Duration::ZERO, &probe.udp());
        let log = internet.take_log();
        let past = log
            .iter()
            .filter(|probe| probe.is_syn() && probe.past_target);
        assert_eq!(past.count(), 3);
        assert_eq!(
            (log[2].protocol, log[2].answers[0].flags),
            (Protocol::Tcp, Some(18))
        );
        assert_eq!(
            (log[0].answers[0].protocol, log[0].answers[0].flags),
            (Protocol::Icmp, None)
        );
        let ports = Ports {
            source: packets::PORT,
            destination: 7,
        };
        assert_eq!(
            (log[6].protocol, log[6].ports),
            (Protocol::Udp, Some(ports))
        );
        let text = line(&Event::Probe(log[2].clone()));
        for part in [
            "\"protocol\":\"tcp\"",
            "\"ports\":{\"source\":40000,\"destination\":443}",
            "\"tcp\":{\"seq\":16909060,\"flags\":2}",
        ] {
            assert!(text.contains(part), "{text}");
        }
        assert_eq!(parse(&text).unwrap(), [Event::Probe(log[2].clone())]);
    }
}
