//! The least that an error must bring to be believed: a secret checksum with the right destination,
//! or the cookie. What has neither decides nothing, however much of it comes.

use crate::network::{BOTH, ECHO, Trace, config, ends, error, ms, quote, router, stranger};
use hopshot_core::wire::extensions::Extensions;
use hopshot_core::wire::icmp::Type;
use hopshot_core::wire::{AddressFamily, ip};
use hopshot_core::{
    Answer, Back, Changes, Config, Discard, Echo, Evidence, Failure, Instant, Kind, Outcome,
    Quoted, QuotedHeader, Reply, StopReason,
};
use std::net::IpAddr;

/// Octets of payload that have balance and cookie.
const COOKIE: usize = 10;

/// What a backend hands over that gets its errors already parsed.
#[derive(Clone, Copy)]
struct Parsed {
    hop: u8,
    from: IpAddr,
    kind: Kind,
    destination: Option<IpAddr>,
    checksum: u16,
    header: Option<QuotedHeader>,
    payload: usize,
}

/// A router's error about the probe to hop 1 as a ping socket gets it: with eight octets quoted.
fn parsed(family: AddressFamily) -> Parsed {
    let (from, kind) = (router(family, 1), Kind::TimeExceeded);
    let destination = Some(ends(family).destination);
    Parsed {
        hop: 1,
        from,
        kind,
        destination,
        checksum: ECHO.checksum,
        header: None,
        payload: 0,
    }
}

/// The same from somebody who has read ident, seq and checksum off a probe to his own address.
fn guessed(family: AddressFamily, hop: u8, kind: Kind) -> Parsed {
    let from = stranger(family);
    Parsed {
        hop,
        from,
        kind,
        destination: Some(from),
        checksum: 0x1234,
        header: None,
        payload: 0,
    }
}

fn accept(trace: &mut Trace, at: u64, parsed: &Parsed) -> Result<Reply, Discard> {
    let Parsed {
        hop,
        from,
        kind,
        destination,
        checksum,
        header,
        payload,
    } = *parsed;
    let mut probe = trace.probes[usize::from(hop) - 1].clone();
    probe.truncate(8 + payload);
    probe[2..4].copy_from_slice(&checksum.to_be_bytes());
    let protocol = ip::icmp(trace.family);
    let answer = Answer {
        from,
        hop_limit: Some(61),
        kind,
        icmp: (if kind == Kind::TimeExceeded { 11 } else { 3 }, 0),
        mtu: None,
        back: Back::Quoted(Quoted {
            destination,
            header,
            protocol,
            message: &probe,
        }),
        extensions: Extensions::default(),
    };
    trace.tracer.accept(Instant::from_millis(at), &answer)
}

fn changes(config: Config, parsed: &Parsed) -> Changes {
    accept(&mut Trace::with(config), 10, parsed)
        .unwrap()
        .changes
}

/// An identity whose checksum others may know.
const PUBLIC: Echo = Echo {
    checksum_is_public: true,
    ..ECHO
};

fn both(one: Changes, other: Changes, all: Changes) -> bool {
    all.contains(one) && all.contains(other) && all.evidence() == Evidence::Weak
}

#[test]
fn a_checksum_with_its_destination_proves_an_error_and_so_does_the_cookie() {
    for family in BOTH {
        let with_checksum = parsed(family);
        let with_cookie = Parsed {
            destination: None,
            payload: COOKIE,
            ..with_checksum
        };
        for proven in [with_checksum, with_cookie] {
            assert_eq!(changes(config(family), &proven), Changes::default());
        }
        let neither = Parsed {
            destination: None,
            payload: COOKIE - 1,
            ..with_checksum
        };
        let changes = changes(config(family), &neither);
        assert_eq!(
            (changes, changes.evidence()),
            (Changes::UNPROVEN, Evidence::Weak)
        );
    }
}

#[test]
fn a_checksum_or_a_destination_that_is_another_proves_nothing_by_itself() {
    for family in BOTH {
        let right = Parsed {
            payload: COOKIE - 1,
            ..parsed(family)
        };
        let cases = [
            (
                Parsed {
                    destination: Some(stranger(family)),
                    ..right
                },
                Changes::DESTINATION,
            ),
            (
                Parsed {
                    checksum: !right.checksum,
                    ..right
                },
                Changes::CHECKSUM,
            ),
        ];
        for (short, change) in cases {
            assert!(both(
                change,
                Changes::UNPROVEN,
                changes(config(family), &short)
            ));
            // A translator that quotes the cookie is told as that.
            assert_eq!(
                changes(
                    config(family),
                    &Parsed {
                        payload: COOKIE,
                        ..short
                    }
                ),
                change
            );
        }
    }
}

#[test]
fn a_checksum_that_others_may_know_proves_nothing() {
    for family in BOTH {
        let mut trace = Trace::of(config(family), PUBLIC);
        assert_eq!(
            accept(&mut trace, 10, &parsed(family)).unwrap().changes,
            Changes::UNPROVEN
        );
        let with_cookie = Parsed {
            payload: COOKIE,
            ..parsed(family)
        };
        assert_eq!(
            accept(&mut trace, 10, &with_cookie).unwrap().changes,
            Changes::default()
        );
        // On the wire it is the same.
        let mut trace = Trace::of(config(family), PUBLIC);
        let whole = trace.quote(1);
        for (len, changes) in [
            (ip::header_len(family) + 8, Changes::UNPROVEN),
            (whole.len(), Changes::default()),
        ] {
            let quoted = &whole[..len];
            let message = error(router(family, 1), Type::TimeExceeded, 0, 0, quoted);
            assert_eq!(
                trace
                    .handle(10, router(family, 1), &message)
                    .unwrap()
                    .reply
                    .changes,
                changes
            );
        }
    }
}

#[test]
fn an_icmpv6_checksum_that_is_not_known_here_proves_nothing() {
    let config = Config {
        source: AddressFamily::V6.unspecified(),
        ..config(AddressFamily::V6)
    };
    assert_eq!(
        changes(config, &parsed(AddressFamily::V6)),
        Changes::UNPROVEN
    );
    // Balance covers the source too, but nothing of it is looked at beyond the cookie.
    let with_cookie = Parsed {
        payload: COOKIE,
        ..parsed(AddressFamily::V6)
    };
    assert_eq!(changes(config, &with_cookie), Changes::default());
}

#[test]
fn the_rest_of_a_quoted_header_is_compared_where_it_is_known() {
    for family in BOTH {
        let header = QuotedHeader {
            source: stranger(family),
            hop_limit: 2,
            traffic_class: 4,
        };
        let with_header = Parsed {
            header: Some(header),
            ..parsed(family)
        };
        let reply = accept(&mut Trace::new(family), 10, &with_header).unwrap();
        assert!(
            reply.changes.contains(Changes::SOURCE)
                && reply.changes.contains(Changes::TRAFFIC_CLASS)
        );
        assert_eq!(
            (reply.evidence(), reply.quoted_hop_limit),
            (Evidence::Strong, Some(2))
        );
        let reply = accept(&mut Trace::new(family), 10, &parsed(family)).unwrap();
        assert_eq!(
            (reply.quoted_hop_limit, reply.quoted_traffic_class),
            (None, None)
        );
    }
}

#[test]
fn thousands_of_guesses_keep_no_answer_out_whichever_came_first() {
    for family in BOTH {
        for kind in [Kind::TimeExceeded, Kind::Unreachable] {
            let mut trace = Trace::new(family);
            let flood = |trace: &mut Trace| {
                let guesses = (0..3000)
                    .flat_map(|_| 1..=4)
                    .map(|hop| guessed(family, hop, kind));
                guesses
                    .filter(|guess| accept(trace, 5, guess).is_ok())
                    .count()
            };
            assert_eq!(
                flood(&mut trace),
                4,
                "the first to each probe counts, marked"
            );
            assert_eq!(trace.distance(), None);
            for hop in 1..=2 {
                trace.time_exceeded(10, hop).unwrap();
            }
            trace.echo_reply(10, 3).unwrap();
            assert_eq!(flood(&mut trace), 0);
            trace.run_out(11);
            assert_eq!(
                trace.route(),
                [1, 2, 3].map(|hop| Some(if hop == 3 {
                    ends(family).destination
                } else {
                    router(family, hop)
                }))
            );
            assert_eq!(
                trace.tracer.route().stop_reason(),
                Some(StopReason::Reached)
            );
        }
    }
}

#[test]
fn a_guess_does_not_keep_out_a_translators_answer_which_is_weak_too() {
    for family in BOTH {
        let mut trace = Trace::new(family);
        accept(&mut trace, 5, &guessed(family, 1, Kind::TimeExceeded)).unwrap();
        let translated = Parsed {
            checksum: 0x4321,
            payload: COOKIE,
            ..parsed(family)
        };
        assert_eq!(
            accept(&mut trace, 10, &translated).unwrap().changes,
            Changes::CHECKSUM
        );
        assert_eq!(
            accept(&mut trace, 15, &guessed(family, 1, Kind::TimeExceeded)).unwrap_err(),
            Discard::Duplicate
        );
        assert_eq!(trace.route()[0], Some(router(family, 1)));
    }
}

#[test]
fn guesses_neither_shorten_nor_lengthen_the_wait_for_the_truth() {
    for family in BOTH {
        for kind in [Kind::TimeExceeded, Kind::Unreachable] {
            let silent = Config {
                attempts: 2,
                max_hops: 6,
                sweep: None,
                ..config(family)
            };
            let mut undisturbed = Trace::with(silent);
            let end = undisturbed.run_out(1);
            // A satellite's path, guessed at by somebody nearer: quick guesses say nothing of how
            // slow the truth is.
            let mut guessed_at = Trace::with(silent);
            for hop in 1..=6 {
                accept(&mut guessed_at, 25, &guessed(family, hop, kind)).unwrap();
            }
            assert_eq!(
                (guessed_at.run_out(25), &guessed_at.hops),
                (end, &undisturbed.hops)
            );
            let [guessed_at, undisturbed] =
                [guessed_at, undisturbed].map(|trace| trace.tracer.route().stop_reason());
            assert_eq!(guessed_at, undisturbed);
        }
    }
}

#[test]
fn a_guess_stands_where_nobody_answers_and_at_no_hop_that_does() {
    for family in BOTH {
        let mut trace = Trace::with(Config {
            attempts: 2,
            ..config(family)
        });
        let [first, second] = [0, 4];
        assert_eq!((trace.hops[first], trace.hops[second]), (1, 1));
        accept(&mut trace, 5, &guessed(family, 1, Kind::TimeExceeded)).unwrap();
        accept(&mut trace, 5, &guessed(family, 2, Kind::TimeExceeded)).unwrap();
        let alone = trace
            .tracer
            .route()
            .hops()
            .next()
            .unwrap()
            .replies()
            .next()
            .unwrap();
        assert_eq!(
            (alone.from, alone.evidence(), alone.rtt),
            (stranger(family), Evidence::Weak, ms(5))
        );
        // The second probe to the same hop is answered by who is there; the first one's answer got
        // lost.
        let probe = trace.probes[second].clone();
        let quoted = quote(family, &probe);
        let message = error(router(family, 1), Type::TimeExceeded, 0, 0, &quoted);
        trace.handle(10, router(family, 1), &message).unwrap();
        trace.run_out(11);
        let route = trace.tracer.route();
        let [one, two] = [1, 2].map(|hop| {
            route
                .hops()
                .nth(hop - 1)
                .unwrap()
                .replies()
                .map(|reply| reply.from)
                .collect::<Vec<_>>()
        });
        assert_eq!(
            (one, two),
            (vec![router(family, 1)], vec![stranger(family)])
        );
        assert!(
            route
                .hops()
                .next()
                .unwrap()
                .outcomes()
                .any(|outcome| matches!(outcome, Outcome::Lost))
        );
    }
}

/// An error about a probe that quotes too little to prove anything.
fn forge(trace: &mut Trace, from: IpAddr, icmp_type: Type, hop: u8) {
    let quoted = trace.quote(hop);
    let quoted = &quoted[..ip::header_len(trace.family) + 8];
    let reply = trace
        .handle(10, from, &error(from, icmp_type, 0, 0, quoted))
        .unwrap()
        .reply;
    assert_eq!(reply.changes, Changes::UNPROVEN);
}

#[test]
fn errors_that_prove_nothing_make_no_loop() {
    for family in BOTH {
        let config = Config {
            max_hops: 8,
            retries: 0,
            ..config(family)
        };
        let mut trace = Trace::of(config, PUBLIC);
        for hop in 1..=2 {
            trace.time_exceeded(10, hop).unwrap();
        }
        for hop in 3..=8 {
            forge(
                &mut trace,
                router(family, 3 + hop % 2),
                Type::TimeExceeded,
                hop,
            );
        }
        trace.run_out(10);
        assert_ne!(trace.tracer.route().stop_reason(), Some(StopReason::Loop));
    }
}

#[test]
fn no_hop_is_called_rate_limited_for_what_proves_nothing() {
    for family in BOTH {
        for (is_forged, limited) in [(true, vec![]), (false, vec![2])] {
            let config = Config {
                attempts: 3,
                retries: 0,
                ..config(family)
            };
            let mut trace = Trace::of(config, PUBLIC);
            match is_forged {
                true => forge(&mut trace, stranger(family), Type::TimeExceeded, 2),
                false => _ = trace.time_exceeded(10, 2).unwrap(),
            }
            trace.run_out(10);
            let hops = trace
                .tracer
                .route()
                .hops()
                .filter(hopshot_core::Hop::may_be_rate_limited);
            assert_eq!(hops.map(|hop| hop.number()).collect::<Vec<_>>(), limited);
        }
    }
}

#[test]
fn what_proves_nothing_hides_no_failure_of_this_machine() {
    for family in BOTH {
        let (icmp_type, icmp_code) = if family == AddressFamily::V4 {
            (3, 1)
        } else {
            (1, 3)
        };
        let failure = Failure::Local {
            icmp_type,
            icmp_code,
        };
        let config = Config {
            max_hops: 8,
            sweep: None,
            ..config(family)
        };
        let mut trace = Trace::of(config, PUBLIC);
        trace.time_exceeded(10, 1).unwrap();
        for hop in 2..=8 {
            forge(&mut trace, stranger(family), Type::TimeExceeded, hop);
        }
        trace.tracer.abandon(failure);
        let route = trace.tracer.route();
        assert_eq!(
            (route.stop_reason(), route.failure()),
            (Some(StopReason::Local), Some(failure))
        );
        assert_eq!(route.hops().flat_map(|hop| hop.replies()).count(), 1);
        // Nor where this machine says so of one probe, and the guess is farther out.
        let mut trace = Trace::of(config, PUBLIC);
        let quoted = trace.quote(2);
        let source = ends(family).source;
        trace
            .handle(
                10,
                source,
                &error(source, Type::Unreachable, icmp_code, 0, &quoted),
            )
            .unwrap();
        forge(&mut trace, stranger(family), Type::TimeExceeded, 8);
        assert_eq!(trace.tracer.route().failure(), Some(failure));
    }
}

#[test]
fn only_the_targets_own_proven_answers_from_behind_it_are_its_samples() {
    for family in BOTH {
        let config = Config {
            max_hops: 8,
            attempts: 3,
            sweep: None,
            ..config(family)
        };
        let mut trace = Trace::of(config, PUBLIC);
        trace.time_exceeded(10, 1).unwrap();
        trace.time_exceeded(10, 2).unwrap();
        // Of the target, and behind it somebody else, and a forgery in its name.
        let target = ends(family).destination;
        trace.echo_reply(10, 3).unwrap();
        trace.time_exceeded(10, 5).unwrap();
        forge(&mut trace, target, Type::Unreachable, 6);
        let route = trace.tracer.route();
        let hop = route.hops().last().unwrap();
        assert_eq!((hop.number(), route.distance()), (3, Some(3)));
        let from: Vec<_> = hop
            .replies()
            .map(|reply| (reply.from, reply.evidence()))
            .collect();
        assert_eq!(from, [(target, Evidence::Strong)]);
        // The true one counts.
        trace.echo_reply(11, 4).unwrap();
        assert_eq!(
            trace
                .tracer
                .route()
                .hops()
                .last()
                .unwrap()
                .replies()
                .count(),
            2
        );
    }
}
