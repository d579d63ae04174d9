//! Cases 13 to 21: which message means what.

use crate::network::{
    BOTH, ECHO, Trace, config, echo_reply, ends, error, octets, put_right, quote, router, stranger,
};
use hopshot_core::wire::icmp::Type;
use hopshot_core::wire::{AddressFamily, Malformed};
use hopshot_core::{
    Changes, Config, Discard, Echo, Evidence, Failure, Kind, Outcome, Reply, SendError, StopReason,
    Sweep,
};
use std::net::IpAddr;

/// An error about the first probe to `hop`.
fn report(
    trace: &mut Trace,
    hop: u8,
    from: IpAddr,
    icmp_type: Type,
    code: u8,
    rest: u32,
) -> Result<Reply, Discard> {
    let message = error(from, icmp_type, code, rest, &trace.quote(hop));
    trace.handle(10, from, &message).map(|heard| heard.reply)
}

#[test]
fn case_13_time_exceeded_in_reassembly_is_no_hop() {
    // The golden octets of a Time Exceeded with code 1.
    let golden = [
        (
            AddressFamily::V4,
            "0b 01 aa a1 00 00 00 00 45 00 00 34 00 00 40 00 01 01 8d 31 c0 00 02 01 c6 33 64 63 \
            08 00 c5 c5 1d e7 5e b0",
        ),
        (
            AddressFamily::V6,
            "03 01 e7 83 00 00 00 00 60 00 00 00 00 20 3a 01 20 01 0d b8 00 01 00 00 00 00 00 00 00 00 00 01 \
            20 01 0d b8 00 09 00 00 00 00 00 00 00 00 00 99 80 00 c5 c5 1d e7 5e b0",
        ),
    ];
    for (family, hex) in golden {
        let mut trace = Trace::new(family);
        let discard = trace
            .handle(10, router(family, 1), &octets(hex))
            .unwrap_err();
        assert_eq!(discard, Discard::Malformed(Malformed::Foreign));
        for code in 1..=255 {
            let discard = report(
                &mut trace,
                1,
                router(family, 1),
                Type::TimeExceeded,
                code,
                0,
            )
            .unwrap_err();
            assert_eq!(discard, Discard::Malformed(Malformed::Foreign));
        }
        assert_eq!(trace.route(), [None; 4]);
    }
}

#[test]
fn case_14_an_unreachable_says_its_code() {
    for family in BOTH {
        for code in 0..=255 {
            let mut trace = Trace::new(family);
            let reply =
                report(&mut trace, 2, router(family, 2), Type::Unreachable, code, 0).unwrap();
            assert_eq!(
                (reply.kind, reply.icmp_code, reply.probe.hop),
                (Kind::Unreachable, code, 2)
            );
            assert_eq!(
                reply.icmp_type,
                if family == AddressFamily::V4 { 3 } else { 1 }
            );
        }
    }
}

#[test]
fn case_14_an_unreachable_is_the_end_only_while_nothing_comes_from_behind_it() {
    for family in BOTH {
        let mut trace = Trace::new(family);
        report(&mut trace, 2, router(family, 2), Type::Unreachable, 13, 0).unwrap();
        assert_eq!(trace.route().len(), 2, "the path ends there");
        trace.time_exceeded(20, 3).unwrap();
        assert_eq!(trace.route().len(), 4, "it goes on");
        trace.echo_reply(30, 4).unwrap();
        assert_eq!(
            (trace.distance(), trace.tracer.route().hops().count()),
            (Some(4), 4)
        );
        trace.run_out(40);
        assert_eq!(
            trace.tracer.route().stop_reason(),
            Some(StopReason::Reached)
        );
    }
}

#[test]
fn case_14_an_unreachable_from_the_target_is_the_target_refusing() {
    for family in BOTH {
        let target = ends(family).destination;
        let mut trace = Trace::new(family);
        // Protocol unreachable; in IPv6 that is a Parameter Problem with code 1.
        let icmp_type = if family == AddressFamily::V4 {
            Type::Unreachable
        } else {
            Type::ParameterProblem
        };
        let code = if family == AddressFamily::V4 { 2 } else { 1 };
        report(&mut trace, 3, target, icmp_type, code, 0).unwrap();
        assert_eq!(trace.distance(), Some(3));
        trace.time_exceeded(20, 1).unwrap();
        trace.time_exceeded(20, 2).unwrap();
        trace.run_out(30);
        assert_eq!(
            trace.tracer.route().stop_reason(),
            Some(StopReason::Unreachable)
        );
    }
}

#[test]
fn case_15_the_mtu_is_told_where_the_router_says_it() {
    let mtu = |family: AddressFamily, icmp_type: Type, code: u8, rest: u32| {
        let mut trace = Trace::of(
            config(family),
            Echo {
                payload_len: 1472,
                ..ECHO
            },
        );
        let quote = &trace.quote(2)[..100];
        let message = error(router(family, 2), icmp_type, code, rest, quote);
        trace
            .handle(10, router(family, 2), &message)
            .unwrap()
            .reply
            .mtu
    };
    assert_eq!(
        mtu(AddressFamily::V4, Type::Unreachable, 4, 0x0000_05d4),
        Some(1492)
    );
    assert_eq!(
        mtu(AddressFamily::V4, Type::Unreachable, 4, 0),
        Some(0),
        "a router older than RFC 1191"
    );
    assert_eq!(
        mtu(AddressFamily::V4, Type::Unreachable, 4, 0xffff_0044),
        Some(68),
        "the unused half means nothing"
    );
    assert_eq!(
        mtu(AddressFamily::V4, Type::Unreachable, 1, 0x0000_05d4),
        None
    );
    assert_eq!(
        mtu(AddressFamily::V6, Type::PacketTooBig, 0, 1280),
        Some(1280)
    );
    assert_eq!(
        mtu(AddressFamily::V6, Type::PacketTooBig, 9, 1280),
        Some(1280),
        "the code is ignored: RFC 4443, section 3.2"
    );
    assert_eq!(mtu(AddressFamily::V6, Type::PacketTooBig, 0, 0), Some(0));
    // What is not less than the packet of 1,500 or 1,520 octets was not too big.
    assert_eq!(
        mtu(AddressFamily::V4, Type::Unreachable, 4, 1499),
        Some(1499)
    );
    assert_eq!(
        mtu(AddressFamily::V6, Type::PacketTooBig, 0, 1519),
        Some(1519)
    );
    for named in [1520, 9000, 65_535, 9_000_000] {
        assert_eq!(
            mtu(
                AddressFamily::V4,
                Type::Unreachable,
                4,
                (named - 20) & 0xffff
            ),
            None,
            "{named}"
        );
        assert_eq!(
            mtu(AddressFamily::V6, Type::PacketTooBig, 0, named),
            None,
            "{named}"
        );
    }
    assert_eq!(mtu(AddressFamily::V6, Type::Unreachable, 4, 1280), None);
}

#[test]
fn case_16_messages_that_report_nothing_about_a_probe_are_foreign() {
    // Source quench, redirect, router advertisement and solicitation, timestamps, information,
    // address mask.
    let v4 = [4, 5, 9, 10, 13, 14, 15, 16, 17, 18, 30, 40, 42, 43];
    // Private use, multicast listeners, neighbour discovery, redirect, node information.
    let v6 = [
        0, 100, 101, 127, 130, 131, 132, 133, 134, 135, 136, 137, 139, 140, 143, 160, 161, 255,
    ];
    for (family, types) in [(AddressFamily::V4, &v4[..]), (AddressFamily::V6, &v6[..])] {
        let mut trace = Trace::new(family);
        for number in types {
            let from = router(family, 1);
            let mut message = error(from, Type::TimeExceeded, 0, 0, &trace.quote(1));
            message[0] = *number;
            put_right(from, &mut message);
            let discard = trace.handle(10, from, &message).unwrap_err();
            assert_eq!(
                discard,
                Discard::Malformed(Malformed::Foreign),
                "type {number}"
            );
        }
        assert_eq!(trace.route(), [None; 4]);
    }
}

#[test]
fn case_17_a_parameter_problem_quotes_the_probe_too() {
    for family in BOTH {
        for rest in [0, 40, 0x1400_0000, u32::MAX] {
            let mut trace = Trace::new(family);
            let reply = report(
                &mut trace,
                2,
                router(family, 2),
                Type::ParameterProblem,
                0,
                rest,
            )
            .unwrap();
            assert_eq!(
                (reply.kind, reply.mtu, reply.probe.hop),
                (Kind::Unreachable, None, 2)
            );
            assert_eq!(
                reply.icmp_type,
                if family == AddressFamily::V4 { 12 } else { 4 }
            );
        }
    }
}

#[test]
fn case_18_an_echo_reply_from_another_address_is_the_target_and_says_so() {
    for family in BOTH {
        let mut trace = Trace::new(family);
        let message = echo_reply(stranger(family), &trace.probes[2]);
        let reply = trace.handle(10, stranger(family), &message).unwrap().reply;
        assert_eq!(
            (reply.kind, reply.changes, reply.evidence()),
            (Kind::Reply, Changes::SENDER, Evidence::Weak)
        );
        assert_eq!(trace.distance(), Some(3));
        trace.time_exceeded(20, 1).unwrap();
        trace.time_exceeded(20, 2).unwrap();
        trace.run_out(30);
        assert_eq!(
            trace.tracer.route().stop_reason(),
            Some(StopReason::Reached)
        );
    }
}

#[test]
fn case_18_of_targets_by_other_addresses_the_nearest_counts_and_their_own_word_more() {
    for family in BOTH {
        let mut trace = Trace::new(family);
        for (hop, distance) in [(4, 4), (2, 2), (3, 2)] {
            let message = echo_reply(stranger(family), &trace.probes[hop - 1]);
            trace.handle(10, stranger(family), &message).unwrap();
            assert_eq!(trace.distance(), Some(distance), "after hop {hop}");
        }
        trace.echo_reply(10, 4).unwrap();
        assert_eq!(trace.distance(), Some(4));
        trace.echo_reply(10, 3).unwrap();
        assert_eq!(trace.distance(), Some(3));
    }
}

#[test]
fn case_19_time_exceeded_from_the_targets_address_is_a_hop() {
    for family in BOTH {
        let target = ends(family).destination;
        let mut trace = Trace::new(family);
        let reply = report(&mut trace, 2, target, Type::TimeExceeded, 0, 0).unwrap();
        assert_eq!((reply.kind, reply.from), (Kind::TimeExceeded, target));
        assert_eq!((trace.distance(), trace.route().len()), (None, 4));
        trace.echo_reply(20, 3).unwrap();
        assert_eq!(trace.distance(), Some(3));
    }
}

#[test]
fn case_20_routers_that_come_back_are_a_loop_and_what_was_sent_still_counts() {
    for family in BOTH {
        let mut trace = Trace::with(Config {
            max_hops: 12,
            ..config(family)
        });
        // Hop 3, 5 and 7 are the same router; 4, 6 and 8 another one.
        for hop in 1..=9 {
            let place = if hop <= 4 { hop } else { 3 + (hop - 3) % 2 };
            let from = router(family, place);
            report(&mut trace, hop, from, Type::TimeExceeded, 0, 0).unwrap();
        }
        assert_eq!(
            trace.route().len(),
            7,
            "up to where the first comes for the third time"
        );
        // All that was sent may still be answered: here the target, and the loop was none.
        trace.echo_reply(90, 10).unwrap();
        assert_eq!((trace.distance(), trace.route().len()), (Some(10), 10));
    }
}

#[test]
fn case_20_one_address_at_hop_after_hop_is_no_loop() {
    for family in BOTH {
        let mut trace = Trace::with(Config {
            max_hops: 12,
            ..config(family)
        });
        for hop in 1..=9 {
            report(&mut trace, hop, router(family, 1), Type::TimeExceeded, 0, 0).unwrap();
        }
        assert_eq!(trace.route().len(), 12);
    }
}

#[test]
fn case_21_any_address_may_send_an_error() {
    let v4 = [
        "10.0.0.1",
        "192.168.1.1",
        "100.64.0.1",
        "0.0.0.0",
        "127.0.0.1",
        "169.254.0.1",
        "240.0.0.1",
        "224.0.0.1",
    ];
    let v6 = [
        "fe80::1",
        "fc00::1",
        "::",
        "::1",
        "ff02::1",
        "::ffff:10.0.0.1",
    ];
    for (family, addresses) in [(AddressFamily::V4, &v4[..]), (AddressFamily::V6, &v6[..])] {
        for address in addresses {
            let from: IpAddr = address.parse().unwrap();
            let mut trace = Trace::new(family);
            let reply = report(&mut trace, 1, from, Type::TimeExceeded, 0, 0).unwrap();
            assert_eq!(
                (reply.from, reply.evidence()),
                (from, Evidence::Strong),
                "the address proves nothing, either way"
            );
        }
    }
}

#[test]
fn case_21_an_error_from_our_own_address_is_a_failure_here_and_no_hop() {
    for family in BOTH {
        let us = ends(family).source;
        let mut trace = Trace::new(family);
        let code = if family == AddressFamily::V4 { 1 } else { 3 };
        report(&mut trace, 1, us, Type::Unreachable, code, 0).unwrap();
        let icmp_type = if family == AddressFamily::V4 { 3 } else { 1 };
        let failure = Outcome::Failed(Failure::Local {
            icmp_type,
            icmp_code: code,
        });
        let outcomes: Vec<Outcome> = trace
            .tracer
            .route()
            .hops()
            .next()
            .unwrap()
            .outcomes()
            .collect();
        assert_eq!(outcomes, [failure]);
        assert_eq!((trace.route().len(), trace.distance()), (4, None));
        // That one did not get out of this machine.
        assert_eq!(trace.tracer.route().probes_sent(), 3);
        // What this machine says of it once more is no stranger's.
        let again = report(&mut trace, 1, us, Type::Unreachable, code, 0).unwrap_err();
        assert_eq!(again, Discard::FailedHere);
        // Who knows that the next hop is missing knows what was meant.
        trace.tracer.abandon(Failure::NextHop);
        let route = trace.tracer.route();
        assert!(
            route
                .hops()
                .flat_map(|hop| hop.outcomes())
                .all(|outcome| outcome == Outcome::Failed(Failure::NextHop))
        );
        // Nor are its words on the others, when they have failed for the same reason.
        assert_eq!(
            report(&mut trace, 2, us, Type::Unreachable, code, 0).unwrap_err(),
            Discard::FailedHere
        );
        assert_eq!(trace.tracer.route().probes_sent(), 0);
    }
}

#[test]
fn case_21_to_ourselves_an_unreachable_from_our_own_address_is_the_targets() {
    for family in BOTH {
        let us = ends(family).source;
        let mut trace = Trace::with(Config {
            target: us,
            ..config(family)
        });
        let mut quote = trace.quote(1);
        let address_len = if family == AddressFamily::V4 { 4 } else { 16 };
        let at = quote.len() - trace.probes[0].len() - address_len;
        quote.copy_within(at - address_len..at, at);
        let message = error(us, Type::Unreachable, 3, 0, &quote);
        let reply = trace.handle(10, us, &message).unwrap().reply;
        assert_eq!(
            (reply.kind, reply.evidence()),
            (Kind::Unreachable, Evidence::Strong)
        );
        assert_eq!(trace.distance(), Some(1));
    }
}

#[test]
fn only_the_codes_of_a_host_are_host_unreachable() {
    for icmp_type in 0..=5 {
        for icmp_code in 0..=5 {
            let is_host = [(3, 1), (1, 3)].contains(&(icmp_type, icmp_code));
            assert_eq!(
                Failure::Local {
                    icmp_type,
                    icmp_code
                }
                .is_host_unreachable(),
                is_host,
                "{icmp_type} {icmp_code}"
            );
        }
    }
    assert!(
        Failure::NextHop.is_host_unreachable()
            && !Failure::Send(SendError(1)).is_host_unreachable()
    );
}

#[test]
fn one_word_of_this_machines_says_why_nobody_answers_only_if_it_holds_for_all() {
    for family in BOTH {
        let us = ends(family).source;
        let (host, other) = if family == AddressFamily::V4 {
            (1, 13)
        } else {
            (3, 1)
        };
        let failure = |heard: Option<u8>, index: usize, code: u8| {
            let mut trace = Trace::with(Config {
                attempts: 2,
                retries: 0,
                sweep: Some(Sweep::Burst),
                ..config(family)
            });
            assert_eq!(trace.hops, [1, 2, 3, 4, 1, 2, 3, 4]);
            if let Some(hop) = heard {
                trace.time_exceeded(10, hop).unwrap();
            }
            let message = error(
                us,
                Type::Unreachable,
                code,
                0,
                &quote(family, &trace.probes[index]),
            );
            trace.handle(10, us, &message).unwrap();
            trace.tracer.route().failure().is_some()
        };
        // That the next hop is missing holds for all, and anything does where nobody has answered.
        assert!(
            failure(None, 1, host) && failure(None, 1, other) && failure(Some(1), 1, host),
            "{family:?}"
        );
        // A firewall may have refused that one alone; and what is no farther than an answer says
        // nothing.
        assert!(
            !failure(Some(1), 1, other) && !failure(Some(2), 0, host) && !failure(Some(2), 5, host),
            "{family:?}"
        );
    }
}
