//! Cases 22 to 27: whose answer it is.

use crate::network::{
    BOTH, ECHO, Trace, config, echo_reply, ends, error, ms, octets, probe_packet, put_right, quote,
    router,
};
use hopshot_core::wire::icmp::Type;
use hopshot_core::wire::{AddressFamily, Malformed};
use hopshot_core::{Changes, Config, Discard, Echo, Evidence, Kind, Tally};
use std::time::Duration;

/// Time Exceeded about a probe of which some octets are others, quoted up to `len` octets of ICMP.
fn quoting(trace: &mut Trace, len: usize, change: impl Fn(&mut [u8])) -> Result<Changes, Discard> {
    let (family, from) = (trace.family, router(trace.family, 1));
    let mut probe = trace.probes[0].clone();
    change(&mut probe);
    let message = error(
        from,
        Type::TimeExceeded,
        0,
        0,
        &quote(family, &probe[..len]),
    );
    trace
        .handle(10, from, &message)
        .map(|heard| heard.reply.changes)
}

const IDENT: usize = 5;
const COOKIE: usize = 12;
/// Type to seq; then also balance and cookie.
const HEADER: usize = 8;
const WITH_COOKIE: usize = 18;

#[test]
fn case_22_another_ident_is_somebody_elses() {
    for family in BOTH {
        let discard =
            quoting(&mut Trace::new(family), HEADER, |probe| probe[IDENT] ^= 1).unwrap_err();
        assert_eq!(discard, Discard::NotOurs);
    }
}

#[test]
fn case_22_the_cookie_finds_the_probe_though_a_translator_changed_the_ident() {
    for family in BOTH {
        let mut trace = Trace::new(family);
        let changes = quoting(&mut trace, WITH_COOKIE, |probe| probe[IDENT] ^= 1).unwrap();
        assert_eq!(
            (changes, changes.evidence()),
            (Changes::IDENT, Evidence::Weak)
        );
        assert_eq!(trace.tracer.route().tally(), Tally::default());
    }
}

#[test]
fn case_22_the_cookie_is_checked_wherever_it_comes_back() {
    for family in BOTH {
        for octet in HEADER..WITH_COOKIE {
            let mut trace = Trace::new(family);
            let discard = quoting(&mut trace, WITH_COOKIE, |probe| probe[octet] ^= 1).unwrap_err();
            assert_eq!(discard, Discard::WrongCookie);
            let Tally {
                duplicates,
                late,
                forged,
                ..
            } = trace.tracer.route().tally();
            assert_eq!((duplicates, late, forged), (0, 0, 1));
        }
        // With another ident as well it may be somebody else's, and is not counted.
        let mut trace = Trace::new(family);
        let both = |probe: &mut [u8]| (probe[IDENT], probe[COOKIE]) = (0, 0);
        assert_eq!(
            quoting(&mut trace, WITH_COOKIE, both).unwrap_err(),
            Discard::NotOurs
        );
        assert_eq!(trace.tracer.route().tally(), Tally::default());
    }
}

#[test]
fn case_22_an_echo_reply_always_has_the_cookie() {
    for family in BOTH {
        let target = ends(family).destination;
        let mut trace = Trace::new(family);
        for len in HEADER..WITH_COOKIE {
            let message = echo_reply(target, &trace.probes[0][..len]);
            assert_eq!(
                trace.handle(10, target, &message).unwrap_err(),
                Discard::WrongCookie,
                "{len} octets"
            );
        }
        assert_eq!(trace.tracer.route().tally().forged, 10);
        // Cut behind it, or longer than what was sent: still an answer.
        let message = echo_reply(target, &trace.probes[0][..WITH_COOKIE]);
        assert!(trace.handle(10, target, &message).is_ok());
        let message = echo_reply(target, &[&trace.probes[1][..], &[0xa5; 5]].concat());
        assert!(trace.handle(10, target, &message).is_ok());
    }
}

#[test]
fn case_22_a_cookie_that_is_cut_short_is_checked_as_far_as_it_goes() {
    for family in BOTH {
        for len in HEADER..WITH_COOKIE {
            assert!(
                quoting(&mut Trace::new(family), len, |_| {}).is_ok(),
                "{len} octets"
            );
            for octet in HEADER..len {
                let discard =
                    quoting(&mut Trace::new(family), len, |probe| probe[octet] ^= 1).unwrap_err();
                assert_eq!(discard, Discard::WrongCookie, "octet {octet} of {len}");
            }
        }
    }
}

#[test]
fn case_22_a_seq_that_was_never_sent_is_not_ours() {
    for family in BOTH {
        for first_seq in [0x5eac, 0x5eb4, 0, 0xdeb0] {
            // Another trace with our cookie: no answer of a forger, only one to a probe that this
            // trace never sent.
            let other = Trace::of(config(family), Echo { first_seq, ..ECHO });
            let mut trace = Trace::new(family);
            for probe in &other.probes {
                let target = ends(family).destination;
                assert_eq!(
                    trace
                        .handle(10, target, &echo_reply(target, probe))
                        .unwrap_err(),
                    Discard::NotOurs
                );
            }
            assert_eq!(
                (trace.route(), trace.tracer.route().tally()),
                (vec![None; 4], Tally::default())
            );
        }
    }
}

#[test]
fn case_22_a_seq_that_another_probe_had_is_a_wrong_cookie() {
    for family in BOTH {
        // As if a bit of the seq had been turned on the way: balance and cookie come back with the
        // wrong one.
        let discard =
            quoting(&mut Trace::new(family), HEADER + 2, |probe| probe[7] ^= 1).unwrap_err();
        assert_eq!(discard, Discard::WrongCookie);
        let target = ends(family).destination;
        let mut trace = Trace::new(family);
        let mut message = echo_reply(target, &trace.probes[0]);
        message[7] ^= 1;
        put_right(target, &mut message);
        assert_eq!(
            trace.handle(10, target, &message).unwrap_err(),
            Discard::WrongCookie
        );
    }
}

#[test]
fn case_23_seqs_wrap_around_within_a_trace() {
    for family in BOTH {
        for first_seq in [0xfffe, 0xffff, 0] {
            let mut trace = Trace::of(config(family), Echo { first_seq, ..ECHO });
            let seqs: Vec<u16> = trace
                .probes
                .iter()
                .map(|probe| u16::from_be_bytes([probe[6], probe[7]]))
                .collect();
            assert_eq!(
                seqs,
                [0, 1, 2, 3].map(|index| first_seq.wrapping_add(index))
            );
            for hop in 1..=3 {
                assert_eq!(trace.time_exceeded(10, hop).unwrap().probe.hop, hop);
            }
            assert_eq!(trace.echo_reply(20, 4).unwrap().probe.hop, 4);
        }
    }
}

#[test]
fn case_24_of_two_answers_the_first_counts_and_the_second_is_counted() {
    for family in BOTH {
        let mut trace = Trace::new(family);
        assert_eq!(trace.time_exceeded(10, 1).unwrap().rtt, ms(10));
        for copy in 1..=3 {
            assert_eq!(trace.time_exceeded(20, 1).unwrap_err(), Discard::Duplicate);
            assert_eq!(trace.tracer.route().tally().duplicates, copy);
        }
        let reply = trace
            .tracer
            .route()
            .hops()
            .next()
            .unwrap()
            .replies()
            .next()
            .unwrap();
        assert_eq!(reply.rtt, ms(10));
    }
}

#[test]
fn case_24_a_late_answer_counts_also_after_the_end() {
    for family in BOTH {
        let mut trace = Trace::new(family);
        trace.echo_reply(10, 4).unwrap();
        let end = trace.run_out(11);
        assert_eq!(trace.route()[..3], [None; 3]);
        let late = end.as_nanos() / 1_000_000 + 500;
        assert_eq!(trace.time_exceeded(late, 2).unwrap().rtt, ms(late));
        let Tally {
            duplicates,
            late,
            forged,
            ..
        } = trace.tracer.route().tally();
        assert_eq!((duplicates, late, forged), (0, 1, 0));
        assert_eq!(trace.route()[1], Some(router(family, 2)));
    }
}

#[test]
fn case_24_an_answer_from_before_its_probe_takes_no_time() {
    for family in BOTH {
        let mut trace = Trace::with(config(family));
        let buf = &mut [0; 64];
        let mut late = hopshot_core::Tracer::<64>::new(config(family), ECHO).unwrap();
        let _ = late
            .poll(hopshot_core::Instant::from_millis(1000), buf)
            .unwrap();
        std::mem::swap(&mut trace.tracer, &mut late);
        assert_eq!(trace.time_exceeded(10, 1).unwrap().rtt, Duration::ZERO);
    }
}

#[test]
fn case_25_a_wrong_checksum_is_no_answer() {
    for family in BOTH {
        let mut trace = Trace::new(family);
        let from = router(family, 1);
        for right in [
            error(from, Type::TimeExceeded, 0, 0, &trace.quote(1)),
            echo_reply(from, &trace.probes[0]),
        ] {
            for octet in 2..4 {
                let mut wrong = right.clone();
                wrong[octet] ^= 0x55;
                let discard = trace.handle(10, from, &wrong).unwrap_err();
                assert_eq!(discard, Discard::Malformed(Malformed::Checksum));
            }
        }
        assert_eq!(trace.route(), [None; 4]);
    }
}

#[test]
fn case_25_an_icmpv6_checksum_covers_the_addresses() {
    let mut trace = Trace::new(AddressFamily::V6);
    let message = error(
        router(AddressFamily::V6, 1),
        Type::TimeExceeded,
        0,
        0,
        &trace.quote(1),
    );
    let discard = trace
        .handle(10, router(AddressFamily::V6, 2), &message)
        .unwrap_err();
    assert_eq!(discard, Discard::Malformed(Malformed::Checksum));
    // Not knowing our own address we take it as it is: a kernel that hands out ICMPv6 has verified
    // it.
    let mut trace = Trace::with(Config {
        source: AddressFamily::V6.unspecified(),
        ..config(AddressFamily::V6)
    });
    let message = error(
        router(AddressFamily::V6, 1),
        Type::TimeExceeded,
        0,
        0,
        &trace.quote(1),
    );
    assert!(
        trace
            .handle(10, router(AddressFamily::V6, 2), &message)
            .is_ok()
    );
}

#[test]
fn case_26_our_own_echo_request_on_the_loopback_is_no_answer() {
    for family in BOTH {
        let us = if family == AddressFamily::V4 {
            "127.0.0.1"
        } else {
            "::1"
        }
        .parse()
        .unwrap();
        let mut trace = Trace::with(Config {
            target: us,
            source: us,
            ..config(family)
        });
        let request = trace.probes[0].clone();
        let discard = trace.handle(0, us, &request).unwrap_err();
        assert_eq!(discard, Discard::Malformed(Malformed::Foreign));
        let mut reply = request;
        reply[0] = if family == AddressFamily::V4 { 0 } else { 129 };
        // One's complement: from type 8 to 0, or 128 to 129.
        let sum = u16::from_be_bytes([reply[2], reply[3]]);
        let sum = if family == AddressFamily::V4 {
            sum + 0x0800
        } else {
            sum - 0x0100
        };
        reply[2..4].copy_from_slice(&sum.to_be_bytes());
        let reply = trace.handle(1, us, &reply).unwrap().reply;
        assert_eq!(
            (reply.kind, reply.probe.hop, reply.evidence()),
            (Kind::Reply, 1, Evidence::Strong)
        );
        assert_eq!(trace.distance(), Some(1));
    }
}

#[test]
fn case_27_other_peoples_icmp_uses_up_nothing_and_resets_no_timer() {
    for family in BOTH {
        let mut trace = Trace::new(family);
        let undisturbed = trace.send(1).unwrap();
        for stray in 0..10_000_u16 {
            let from = router(family, 1);
            let mut packet = probe_packet(family);
            // Somebody else's ident, then ours with a seq that was never sent.
            let at = packet.len() - 32 + if stray % 2 == 0 { 4 } else { 6 };
            packet[at..at + 2].copy_from_slice(&(stray & 0x0fff).to_be_bytes());
            packet.truncate(packet.len() - 24);
            let message = error(from, Type::TimeExceeded, 0, 0, &packet);
            assert_eq!(
                trace.handle(1, from, &message).unwrap_err(),
                Discard::NotOurs
            );
        }
        assert_eq!(trace.send(1).unwrap(), undisturbed);
        assert_eq!(trace.probes.len(), 4);
        assert_eq!(
            (trace.route(), trace.tracer.route().tally()),
            (vec![None; 4], Tally::default())
        );
    }
}

#[test]
fn an_answer_in_the_other_family_is_not_ours() {
    let v4 = Trace::new(AddressFamily::V4);
    let message = error(
        router(AddressFamily::V4, 1),
        Type::TimeExceeded,
        0,
        0,
        &v4.quote(1),
    );
    assert!(
        Trace::new(AddressFamily::V6)
            .handle(10, router(AddressFamily::V4, 1), &message)
            .is_err()
    );
    let hex = "03 00 00 00 00 00 00 00";
    assert!(
        Trace::new(AddressFamily::V4)
            .handle(10, router(AddressFamily::V6, 1), &octets(hex))
            .is_err()
    );
}
