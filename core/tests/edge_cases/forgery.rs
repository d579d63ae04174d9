//! Answers by somebody who isn't on the path. What they can't know is ident, seq, checksum and
//! cookie; what they have guessed of it decides how far they get.

use crate::network::{BOTH, Trace, config, echo_reply, ends, error, quote, router, stranger};
use hopshot_core::wire::AddressFamily;
use hopshot_core::wire::icmp::Type;
use hopshot_core::{Config, Discard, Evidence, Kind, Outcome, Reply, StopReason, Sweep};
use std::net::IpAddr;

/// A forged error about probe number `index`, whose ident and seq were guessed, but not the
/// checksum: so it quotes no more than eight octets.
fn forge(
    trace: &mut Trace,
    ms: u64,
    index: usize,
    from: IpAddr,
    icmp_type: Type,
) -> Result<Reply, Discard> {
    let mut probe = trace.probes[index][..8].to_vec();
    probe[2] ^= 0x2a;
    let message = error(from, icmp_type, 0, 0, &quote(trace.family, &probe));
    trace.handle(ms, from, &message).map(|heard| heard.reply)
}

/// An error about the first probe to `hop`, with another checksum, but the whole payload: a
/// translator's, not a forger's.
fn translate(
    trace: &mut Trace,
    ms: u64,
    hop: u8,
    from: IpAddr,
    icmp_type: Type,
) -> Result<Reply, Discard> {
    let mut probe = trace.probes[usize::from(hop) - 1].clone();
    probe[2] ^= 0x2a;
    let message = error(from, icmp_type, 0, 0, &quote(trace.family, &probe));
    trace.handle(ms, from, &message).map(|heard| heard.reply)
}

/// The true answers, and what a forger makes of each probe.
type Answer = fn(&mut Trace, u64, u8) -> Result<Reply, Discard>;

fn forged_time_exceeded(trace: &mut Trace, ms: u64, hop: u8) -> Result<Reply, Discard> {
    let from = stranger(trace.family);
    forge(trace, ms, usize::from(hop) - 1, from, Type::TimeExceeded)
}

fn forged_unreachable(trace: &mut Trace, ms: u64, hop: u8) -> Result<Reply, Discard> {
    let from = stranger(trace.family);
    forge(trace, ms, usize::from(hop) - 1, from, Type::Unreachable)
}

fn forged_refusal(trace: &mut Trace, ms: u64, hop: u8) -> Result<Reply, Discard> {
    let from = ends(trace.family).destination;
    forge(trace, ms, usize::from(hop) - 1, from, Type::Unreachable)
}

fn forged_local_failure(trace: &mut Trace, ms: u64, hop: u8) -> Result<Reply, Discard> {
    let from = ends(trace.family).source;
    forge(trace, ms, usize::from(hop) - 1, from, Type::Unreachable)
}

const FORGERIES: [Answer; 4] = [
    forged_time_exceeded,
    forged_unreachable,
    forged_refusal,
    forged_local_failure,
];

#[test]
fn without_ident_or_seq_a_forgery_is_nobodys_answer() {
    for family in BOTH {
        let mut trace = Trace::new(family);
        for octet in [4, 5, 6] {
            let mut probe = trace.probes[0][..8].to_vec();
            probe[octet] ^= 0x80;
            let from = router(family, 1);
            let message = error(from, Type::TimeExceeded, 0, 0, &quote(family, &probe));
            assert_eq!(
                trace.handle(5, from, &message).unwrap_err(),
                Discard::NotOurs
            );
        }
        assert_eq!(trace.route(), [None; 4]);
    }
}

#[test]
fn without_the_cookie_nobody_can_speak_for_the_target() {
    for family in BOTH {
        let mut trace = Trace::new(family);
        for from in [ends(family).destination, stranger(family)] {
            let mut probe = trace.probes[0].clone();
            probe[10..18].fill(0x2a);
            let message = echo_reply(from, &probe);
            assert_eq!(
                trace.handle(5, from, &message).unwrap_err(),
                Discard::WrongCookie
            );
        }
        assert_eq!(
            (trace.route(), trace.tracer.route().tally().forged),
            (vec![None; 4], 2)
        );
    }
}

#[test]
fn without_the_checksum_an_error_is_weak() {
    for family in BOTH {
        for forged in &FORGERIES[..3] {
            let reply = forged(&mut Trace::new(family), 5, 2).unwrap();
            assert_eq!(reply.evidence(), Evidence::Weak);
        }
    }
}

#[test]
fn a_true_answer_takes_the_place_of_a_forged_one_whichever_came_first() {
    let truths: [Answer; 2] = [Trace::time_exceeded, Trace::echo_reply];
    for family in BOTH {
        for forged in FORGERIES {
            for truth in truths {
                let mut early = Trace::new(family);
                let _ = forged(&mut early, 5, 2);
                let reply = truth(&mut early, 10, 2).expect("the true answer");
                let mut late = Trace::new(family);
                truth(&mut late, 10, 2).unwrap();
                assert!(forged(&mut late, 15, 2).is_err());
                for trace in [early, late] {
                    let outcomes: Vec<Outcome> = trace
                        .tracer
                        .route()
                        .hops()
                        .nth(1)
                        .unwrap()
                        .outcomes()
                        .collect();
                    assert_eq!(outcomes, [Outcome::Answered(reply)]);
                    assert_eq!(trace.distance(), (reply.kind == Kind::Reply).then_some(2));
                }
            }
        }
    }
}

#[test]
fn a_true_answer_takes_its_place_also_after_the_end() {
    for family in BOTH {
        let mut trace = Trace::new(family);
        forged_time_exceeded(&mut trace, 5, 2).unwrap();
        trace.echo_reply(10, 3).unwrap();
        let end = trace.run_out(11).as_nanos() / 1_000_000;
        assert_eq!(trace.route()[1], Some(stranger(family)));
        trace.time_exceeded(end + 1, 2).unwrap();
        assert_eq!(trace.route()[1], Some(router(family, 2)));
    }
}

#[test]
fn a_forged_answer_doesnt_end_the_wait_for_the_true_one() {
    for family in BOTH {
        let mut trace = Trace::new(family);
        for hop in 1..=2 {
            forged_time_exceeded(&mut trace, 5, hop).unwrap();
        }
        trace.echo_reply(10, 3).unwrap();
        assert!(trace.send(50).is_some(), "the true ones may still come");
        let mut honest = Trace::new(family);
        for hop in 1..=2 {
            honest.time_exceeded(5, hop).unwrap();
        }
        honest.echo_reply(10, 3).unwrap();
        assert!(honest.send(10).is_none(), "and these have come");
    }
}

#[test]
fn a_forged_refusal_moves_the_target_neither_nearer_nor_farther() {
    for family in BOTH {
        for hop in 1..=4 {
            for early in [true, false] {
                let mut trace = Trace::new(family);
                if early {
                    let _ = forged_refusal(&mut trace, 5, hop);
                }
                trace.echo_reply(10, 3).unwrap();
                trace.echo_reply(10, 4).unwrap();
                if !early {
                    let _ = forged_refusal(&mut trace, 15, hop);
                }
                assert_eq!(trace.distance(), Some(3), "forged at hop {hop}");
            }
        }
    }
}

#[test]
fn a_weak_refusal_below_a_true_router_is_not_believed_and_a_forged_one_never() {
    for family in BOTH {
        let target = ends(family).destination;
        let mut trace = Trace::new(family);
        forged_refusal(&mut trace, 5, 2).unwrap();
        assert_eq!(trace.distance(), None);
        translate(&mut trace, 6, 2, target, Type::Unreachable).unwrap();
        assert_eq!(trace.distance(), Some(2), "nothing else is known");
        trace.time_exceeded(10, 3).unwrap();
        assert_eq!(trace.distance(), None);
    }
}

#[test]
fn a_forged_unreachable_hides_nothing_that_truly_answers() {
    for family in BOTH {
        let mut trace = Trace::new(family);
        forged_unreachable(&mut trace, 5, 1).unwrap();
        trace.time_exceeded(10, 2).unwrap();
        assert_eq!(
            trace.route(),
            [Some(stranger(family)), Some(router(family, 2)), None, None]
        );
    }
}

#[test]
fn a_rejected_forgery_is_not_counted_as_a_late_answer() {
    for family in BOTH {
        let mut trace = Trace::new(family);
        trace.echo_reply(10, 4).unwrap();
        trace.run_out(11);
        assert_eq!(
            forged_local_failure(&mut trace, 900, 2).unwrap_err(),
            Discard::NotOurs
        );
        assert_eq!(trace.tracer.route().tally().late, 0);
    }
}

#[test]
fn a_forgery_alone_never_ends_a_trace_that_has_hops_left_to_probe() {
    for family in BOTH {
        for forged in FORGERIES {
            // Hop by hop, and the first router says nothing: the forgery is all there is.
            let sweep = Some(Sweep::Window { first: 1, step: 1 });
            let mut trace = Trace::with(Config {
                sweep,
                ..config(family)
            });
            let _ = forged(&mut trace, 5, 1);
            trace.run_out(6);
            for hop in 1..=4 {
                assert!(
                    trace.hops.contains(&hop),
                    "{family:?}: hop {hop} was not probed"
                );
            }
        }
    }
}

#[test]
fn a_loop_that_is_weak_in_part_is_no_loop_beyond_doubt() {
    for family in BOTH {
        for second in [forge_as_hop_3, translate_as_hop_3] {
            let mut trace = Trace::with(Config {
                max_hops: 12,
                ..config(family)
            });
            for hop in [3, 4, 6] {
                trace.time_exceeded(10, hop).unwrap();
            }
            // Two that were silent, as if the third were there too.
            for hop in [5, 7] {
                second(&mut trace, 11, hop).unwrap();
            }
            // The trace doesn't end before it knows of the hops beyond: the target is at 12, and
            // slow.
            trace.send(300);
            assert_eq!(trace.tracer.route().stop_reason(), None);
            trace.echo_reply(330, 12).unwrap();
            trace.run_out(331);
            assert_eq!(
                (trace.distance(), trace.tracer.route().stop_reason()),
                (Some(12), Some(StopReason::Reached))
            );
        }
    }
}

fn forge_as_hop_3(trace: &mut Trace, ms: u64, hop: u8) -> Result<Reply, Discard> {
    forge(
        trace,
        ms,
        usize::from(hop) - 1,
        router(trace.family, 3),
        Type::TimeExceeded,
    )
}

fn translate_as_hop_3(trace: &mut Trace, ms: u64, hop: u8) -> Result<Reply, Discard> {
    translate(trace, ms, hop, router(trace.family, 3), Type::TimeExceeded)
}

#[test]
fn where_only_weak_answers_come_they_stand_and_say_so() {
    for family in BOTH {
        let mut trace = Trace::new(family);
        // A translator in front of everything: each quote has another checksum; the target speaks
        // from another address.
        for hop in 1..=2 {
            forge(
                &mut trace,
                10,
                usize::from(hop) - 1,
                router(family, hop),
                Type::TimeExceeded,
            )
            .unwrap();
        }
        let message = echo_reply(stranger(family), &trace.probes[2]);
        trace.handle(10, stranger(family), &message).unwrap();
        trace.run_out(11);
        let route = trace.tracer.route();
        assert_eq!(
            (route.distance(), route.stop_reason()),
            (Some(3), Some(StopReason::Reached))
        );
        assert!(route.hops().all(|hop| {
            hop.replies()
                .all(|reply| reply.evidence() == Evidence::Weak)
        }));
    }
}

#[test]
fn of_two_forgeries_the_first_stands_until_the_truth_comes() {
    for family in BOTH {
        let mut trace = Trace::new(family);
        forged_time_exceeded(&mut trace, 5, 2).unwrap();
        assert_eq!(
            forged_unreachable(&mut trace, 6, 2).unwrap_err(),
            Discard::Duplicate
        );
        assert!(trace.time_exceeded(10, 2).is_ok());
    }
}

#[test]
fn of_all_idents_one_is_right() {
    // With a seq that is right, which is one of 16,384 while four probes are in flight.
    let family = AddressFamily::V4;
    let mut trace = Trace::new(family);
    let mut accepted = 0;
    let mut probe = trace.probes[0][..8].to_vec();
    probe[2..4].fill(0x11);
    for ident in 0..=u16::MAX {
        probe[4..6].copy_from_slice(&ident.to_be_bytes());
        let from = stranger(family);
        let message = error(from, Type::TimeExceeded, 0, 0, &quote(family, &probe));
        accepted += usize::from(trace.handle(5, from, &message).is_ok());
    }
    assert_eq!(accepted, 1, "the ident itself");
}
