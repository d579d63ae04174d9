//! The memory that traces take while they are in flight. A file of its own: its allocator counts.

use hopshot_core::wire::AddressFamily;
use hopshot_engine::{Job, Link, Memory, ProbeSettings, SocketKind, Survey};
use hopshot_lab::{Machine, Scenario};
use peak_alloc::PeakAlloc;
use std::net::IpAddr;
use std::time::Duration;

#[global_allocator]
static HEAP: PeakAlloc = PeakAlloc;

/// Traces in flight at a time.
const AT_ONCE: usize = 200;

/// Paths of 32 hops: every router answers, every second one, none at all.
const PATHS: [&str; 3] = [
    "",
    "[[hop]]\nat = [1,3,5,7,9,11,13,15,17,19,21,23,25,27,29,31]\nsilent = true",
    "[[hop]]\nat = [1,2,3,4,5,6,7,8,9,10,11,12,13,14,15,16,17,18,19,20,21,22,23,24,25,26,27,28,29,\
     30,31]\nsilent = true",
];

/// Returns the octets of memory for each trace of a list, so long after its start; `None` if there
/// is a result by then.
fn octets_per_trace(
    path: &str,
    family: AddressFamily,
    attempts: u8,
    after: Duration,
) -> Option<usize> {
    let scenario = format!(
        "hops = 32\nrtt_ms = 500\n[target]\nv4 = '10.200.0.0'\nv6 = '2001:db8:ffff:1::'\n\
         count = 4096\n{path}"
    );
    let machine = || Machine::new(&Scenario::parse(&scenario).unwrap(), SocketKind::Raw, 1);
    let mut settings = ProbeSettings::default();
    settings.memory = Memory::none();
    settings.config.attempts = attempts;
    let before = HEAP.current_usage();
    let mut survey = Survey::start(machine(), &settings, 1_000_000, AT_ONCE).unwrap();
    let end = survey.link().now().saturating_add(after);
    for number in 0..AT_ONCE {
        let address: IpAddr = match family {
            AddressFamily::V4 => [10, 200, (number >> 8) as u8, number as u8].into(),
            AddressFamily::V6 => [0x2001, 0xdb8, 0xffff, 1, 0, 0, 0, number as u16].into(),
        };
        survey
            .add_found("a host of the list", Ok((address, 0).into()), false, None)
            .unwrap();
    }
    while survey.link().now() < end {
        survey
            .advance_within(None, Duration::from_millis(1))
            .unwrap();
        if survey.take().is_some() {
            return None;
        }
    }
    // Packets on their way are the network's.
    *survey.link_mut() = machine();
    Some(HEAP.current_usage().saturating_sub(before) / AT_ONCE)
}

#[test]
fn a_trace_takes_the_memory_that_its_probes_need() {
    for (attempts, most) in [(1, 6 << 10), (3, 10 << 10)] {
        for family in [AddressFamily::V4, AddressFamily::V6] {
            for path in PATHS {
                let moments = (1..25).map(|moment| Duration::from_millis(200 * moment));
                let octets = moments
                    .map_while(|after| octets_per_trace(path, family, attempts, after))
                    .max()
                    .unwrap();
                assert!(
                    (1 << 10..=most).contains(&octets),
                    "{octets} octets, {attempts} attempts: {path}"
                );
            }
        }
    }
}
