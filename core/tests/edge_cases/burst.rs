//! Cases 36 to 39: what comes of sending all at once.

use crate::network::{BOTH, ECHO, Trace, config, error, quote, router};
use hopshot_core::wire::icmp::Type;
use hopshot_core::{Config, ConfigError, StopReason, Sweep, Tracer};
use std::collections::BTreeSet;
use std::net::IpAddr;

/// A trace that has sent to five hops at once.
fn five(family: hopshot_core::wire::AddressFamily) -> Config {
    Config {
        max_hops: 8,
        sweep: Some(Sweep::Window { first: 5, step: 1 }),
        ..config(family)
    }
}

#[test]
fn case_36_a_target_that_answers_only_part_of_the_burst_is_not_placed_too_far() {
    for family in BOTH {
        let mut trace = Trace::with(five(family));
        // It is at hop 3; its answers to the first probes to hops 3 and 4 get lost.
        trace.play(3, |index, hop| index >= 5 || !matches!(hop, 3 | 4));
        assert_eq!(trace.distance(), Some(3));
        assert_eq!(trace.tracer.route().hops().count(), 3);
    }
}

#[test]
fn case_36_the_hop_below_the_target_is_asked_again_more_often_than_others() {
    for family in BOTH {
        let mut trace = Trace::with(five(family));
        // Nothing ever comes from hops 2 and 4: the target may be at 4.
        trace.play(5, |_, hop| !matches!(hop, 2 | 4));
        let probes = |hop: u8| trace.hops.iter().filter(|at| **at == hop).count();
        assert_eq!(
            [probes(1), probes(2), probes(3), probes(4), probes(5)],
            [1, 3, 1, 5, 1]
        );
    }
}

#[test]
fn case_37_no_router_is_asked_more_often_than_linux_answers_at_once() {
    /// The burst of `net.ipv4.icmp_ratelimit` and of its sister in IPv6.
    const LINUX: usize = 6;
    for family in BOTH {
        for silent in 1..=4 {
            let mut trace = Trace::with(five(family));
            trace.play(5, |_, hop| hop != silent);
            assert!((1..=5).all(|hop| trace.hops.iter().filter(|at| **at == hop).count() < LINUX));
        }
    }
}

#[test]
fn case_37_a_router_that_answered_and_then_stopped_may_be_limited() {
    for family in BOTH {
        let mut trace = Trace::with(Config {
            attempts: 3,
            ..five(family)
        });
        trace.play(5, |index, hop| hop != 2 || index < 5);
        let limited: Vec<u8> = trace
            .tracer
            .route()
            .hops()
            .filter_map(|hop| hop.may_be_rate_limited().then_some(hop.number()))
            .collect();
        assert_eq!(limited, [2]);
    }
}

#[test]
fn case_38_all_attempts_at_all_hops_are_one_flow() {
    for family in BOTH {
        let mut trace = Trace::with(Config {
            attempts: 3,
            ..five(family)
        });
        trace.play(5, |_, _| true);
        // Type, code, checksum and ident: what load balancers look at.
        let flows: BTreeSet<&[u8]> = trace.probes.iter().map(|probe| &probe[..6]).collect();
        let seqs: BTreeSet<&[u8]> = trace.probes.iter().map(|probe| &probe[6..8]).collect();
        assert_eq!((flows.len(), seqs.len()), (1, trace.probes.len()));
        assert!(trace.probes.len() >= 15);
    }
}

#[test]
fn case_38_two_routers_at_one_hop_are_both_in_the_route() {
    for family in BOTH {
        let mut trace = Trace::with(Config {
            attempts: 2,
            ..config(family)
        });
        let at_hop_2: Vec<usize> = (0..trace.hops.len())
            .filter(|index| trace.hops[*index] == 2)
            .collect();
        for (index, place) in at_hop_2.into_iter().zip([2, 7]) {
            let from = router(family, place);
            let message = error(
                from,
                Type::TimeExceeded,
                0,
                0,
                &quote(family, &trace.probes[index]),
            );
            trace.handle(10, from, &message).unwrap();
        }
        let from: Vec<IpAddr> = trace
            .tracer
            .route()
            .hops()
            .nth(1)
            .unwrap()
            .replies()
            .map(|reply| reply.from)
            .collect();
        assert_eq!(from, [router(family, 2), router(family, 7)]);
    }
}

#[test]
fn case_39_a_trace_of_one_hop_probes_that_hop() {
    for family in BOTH {
        for (hop, sweep) in [(1, None), (7, None), (64, None), (64, Some(Sweep::Burst))] {
            let mut trace = Trace::with(Config {
                first_hop: hop,
                max_hops: hop,
                sweep,
                ..config(family)
            });
            trace.play(hop, |_, _| true);
            assert_eq!(
                (trace.hops, trace.tracer.route().distance()),
                (vec![hop], Some(hop))
            );
        }
    }
}

#[test]
fn case_39_a_target_on_the_link_is_hop_1() {
    for family in BOTH {
        let mut trace = Trace::with(Config {
            sweep: None,
            ..config(family)
        });
        trace.play(1, |_, _| true);
        assert_eq!(
            (trace.distance(), trace.tracer.route().hops().count()),
            (Some(1), 1)
        );
        assert_eq!(
            trace.tracer.route().stop_reason(),
            Some(StopReason::Reached)
        );
    }
}

#[test]
fn case_39_hops_attempts_and_room_have_their_limits() {
    let refused = |change: fn(Config) -> Config| {
        Tracer::<64>::new(change(config(BOTH[0])), ECHO).unwrap_err()
    };
    let parameter = |error: ConfigError| match error {
        ConfigError::OutOfRange { parameter, .. } => parameter,
        _ => "none",
    };
    assert_eq!(
        parameter(refused(|config| Config {
            max_hops: 255,
            ..config
        })),
        "max_hops"
    );
    assert_eq!(
        parameter(refused(|config| Config {
            max_hops: 65,
            ..config
        })),
        "max_hops"
    );
    assert_eq!(
        parameter(refused(|config| Config {
            max_hops: 0,
            ..config
        })),
        "max_hops"
    );
    assert_eq!(
        parameter(refused(|config| Config {
            first_hop: 0,
            ..config
        })),
        "first_hop"
    );
    assert_eq!(
        parameter(refused(|config| Config {
            first_hop: 5,
            ..config
        })),
        "first_hop"
    );
    assert_eq!(
        parameter(refused(|config| Config {
            attempts: 0,
            ..config
        })),
        "attempts"
    );
    assert_eq!(
        parameter(refused(|config| Config {
            attempts: 255,
            ..config
        })),
        "attempts"
    );
    // 64 hops, 10 times each: fewer than there are seqs, more than there is room.
    let error = refused(|config| Config {
        max_hops: 64,
        attempts: 10,
        ..config
    });
    assert_eq!(
        error,
        ConfigError::Capacity {
            needed: 640,
            capacity: 64
        }
    );
}
