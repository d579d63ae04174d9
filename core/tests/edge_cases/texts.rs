//! What people read: errors say what failed, with the value.

use crate::network::{
    BOTH, ECHO, Trace, config, echo_reply, error, put_right, quote, router, stranger,
};
use hopshot_core::wire::extensions::Role;
use hopshot_core::wire::icmp::Type;
use hopshot_core::wire::{AddressFamily, BufferTooSmall, Ends, Malformed};
use hopshot_core::{
    Action, Changes, Config, ConfigError, Discard, Echo, Evidence, Failure, Instant, Kind, Outcome,
    Protocol, Reason, StopReason, Sweep, Tracer,
};
use std::collections::BTreeSet;
use std::net::IpAddr;

/// Another parameter.
type Change = fn(Config) -> Config;

fn refused(change: impl Fn(Config) -> Config) -> (ConfigError, String) {
    let error = Tracer::<64>::new(change(config(AddressFamily::V4)), ECHO).unwrap_err();
    (error, error.to_string())
}

fn refused_echo(echo: Echo) -> (ConfigError, String) {
    let error = Tracer::<64>::new(config(AddressFamily::V4), echo).unwrap_err();
    (error, error.to_string())
}

#[test]
fn a_refused_parameter_is_told_with_its_value_and_its_range() {
    let texts = [
        (
            refused(|config| Config {
                max_hops: 65,
                ..config
            }),
            "max_hops must be 1 to 64, not 65",
        ),
        (
            refused(|config| Config {
                first_hop: 9,
                ..config
            }),
            "first_hop must be 1 to 4, not 9",
        ),
        (
            refused(|config| Config {
                attempts: 11,
                ..config
            }),
            "attempts must be 1 to 10, not 11",
        ),
        (
            refused(|config| Config {
                retries: 11,
                ..config
            }),
            "retries must be 0 to 10, not 11",
        ),
        (
            refused(|config| Config {
                patience: 0,
                ..config
            }),
            "patience must be 1 to 10, not 0",
        ),
        (
            refused(|config| Config {
                patience: 11,
                ..config
            }),
            "patience must be 1 to 10, not 11",
        ),
        (
            refused_echo(Echo {
                payload_len: 9,
                ..ECHO
            }),
            "payload_len must be 10 to 65507, not 9",
        ),
        (
            refused_echo(Echo {
                payload_len: 65_508,
                ..ECHO
            }),
            "payload_len must be 10 to 65507, not 65508",
        ),
        (
            refused_echo(Echo {
                checksum: 0,
                ..ECHO
            }),
            "checksum must be 1 to 65534, not 0",
        ),
    ];
    for ((_, text), expected) in texts {
        assert_eq!(text, expected);
    }
    let (error, text) = refused(|config| Config {
        max_hops: 64,
        attempts: 2,
        ..config
    });
    assert_eq!(
        error,
        ConfigError::Capacity {
            needed: 128,
            capacity: 64
        }
    );
    assert!(
        text.contains("128 probes") && text.contains("of 64"),
        "{text}"
    );
    let others: [(ConfigError, Change, &str); 4] = [
        (
            ConfigError::EmptySweep,
            |config| Config {
                sweep: Some(Sweep::Window { first: 0, step: 1 }),
                ..config
            },
            "sweep",
        ),
        (
            ConfigError::EmptySweep,
            |config| Config {
                sweep: Some(Sweep::Window { first: 1, step: 0 }),
                ..config
            },
            "sweep",
        ),
        (
            ConfigError::NoTime,
            |config| Config {
                timeout: Default::default(),
                ..config
            },
            "timeout",
        ),
        (
            ConfigError::MixedFamilies,
            |config| Config {
                source: AddressFamily::V6.unspecified(),
                ..config
            },
            "IPv6",
        ),
    ];
    for (expected, change, about) in others {
        let (error, text) = refused(change);
        assert_eq!(error, expected);
        assert!(text.contains(about), "{text}");
    }
}

#[test]
fn every_least_and_greatest_value_is_permitted() {
    let changes: [Change; 7] = [
        |config| Config {
            max_hops: 64,
            ..config
        },
        |config| Config {
            max_hops: 1,
            ..config
        },
        |config| Config {
            first_hop: 4,
            ..config
        },
        |config| Config {
            attempts: 10,
            ..config
        },
        |config| Config {
            retries: 0,
            ..config
        },
        |config| Config {
            retries: 10,
            ..config
        },
        |config| Config {
            patience: 10,
            ..config
        },
    ];
    for (payload_len, checksum) in [(10, 1), (65_507, 0xfffe)] {
        assert_eq!(
            Echo {
                payload_len,
                checksum,
                ..ECHO
            }
            .check(),
            Ok(())
        );
    }
    for family in BOTH {
        for change in changes {
            assert_eq!(change(config(family)).check(), Ok(()));
        }
        // 64 probes have room for 64, and not for one more.
        for (first_hop, attempts, fits) in
            [(1, 1, true), (33, 2, true), (32, 2, false), (64, 10, true)]
        {
            let config = Config {
                first_hop,
                max_hops: 64,
                attempts,
                ..config(family)
            };
            assert_eq!(
                Tracer::<64>::new(config, ECHO).is_ok(),
                fits,
                "from {first_hop}, {attempts} each"
            );
        }
    }
}

#[test]
fn every_reason_to_turn_a_message_down_has_a_text_of_its_own() {
    let malformed = [
        Malformed::Truncated,
        Malformed::Header,
        Malformed::Checksum,
        Malformed::Fragment,
        Malformed::Foreign,
    ];
    let discards = [Discard::NotOurs, Discard::WrongCookie, Discard::Duplicate];
    let texts: BTreeSet<String> = malformed
        .iter()
        .map(ToString::to_string)
        .chain(discards.iter().map(ToString::to_string))
        .collect();
    assert_eq!(texts.len(), malformed.len() + discards.len());
    assert!(texts.iter().all(|text| text.len() > 10), "{texts:?}");
    for malformed in malformed {
        assert_eq!(Discard::from(malformed), Discard::Malformed(malformed));
        assert_eq!(Discard::from(malformed).to_string(), malformed.to_string());
    }
    assert!(Discard::WrongCookie.to_string().contains("cookie"));
    assert!(Malformed::Checksum.to_string().contains("checksum"));
}

#[test]
fn a_buffer_that_is_too_small_is_told_what_is_needed_and_nothing_has_changed() {
    for family in BOTH {
        let mut tracer = Tracer::<64>::new(config(family), ECHO).unwrap();
        let needed = tracer.protocol().message_len();
        assert_eq!(needed, 8 + 24);
        for len in [0, 9, 10, 17, needed - 1] {
            let error = tracer.poll(Instant::EPOCH, &mut vec![0; len]).unwrap_err();
            assert_eq!(
                (error, error.to_string()),
                (
                    BufferTooSmall { needed },
                    "the buffer must hold 32 octets".into()
                )
            );
        }
        assert_eq!(tracer.route().probes_sent(), 0);
        assert!(
            matches!(tracer.poll(Instant::EPOCH, &mut vec![0; needed]), Ok(Action::Transmit(probe)) if probe.hop_limit == 1)
        );
    }
}

/// What is changed in an error about the first probe that another traffic class, and maybe another
/// source, comes back in.
fn changed(family: AddressFamily, source: bool) -> Changes {
    let mut trace = Trace::new(family);
    let mut quoted = quote(family, &trace.probes[0]);
    // The traffic class, in IPv6 over two octets; then the last octet of the source.
    match family {
        AddressFamily::V4 => quoted[1] = 0x20,
        AddressFamily::V6 => quoted[0] = 0x62,
    }
    if source {
        quoted[if family == AddressFamily::V4 { 15 } else { 23 }] ^= 1;
    }
    let from = router(family, 1);
    trace
        .handle(10, from, &error(from, Type::TimeExceeded, 0, 0, &quoted))
        .unwrap()
        .reply
        .changes
}

#[test]
fn changes_contain_what_was_changed_and_nothing_else() {
    let each = [
        Changes::DESTINATION,
        Changes::SOURCE,
        Changes::CHECKSUM,
        Changes::IDENT,
        Changes::TRAFFIC_CLASS,
        Changes::SENDER,
    ];
    for one in each {
        assert!(!one.is_empty() && !Changes::default().contains(one));
        assert!(
            one.contains(Changes::default()),
            "nothing is contained in anything"
        );
        for other in each {
            assert_eq!(one.contains(other), one == other);
        }
    }
    assert!(Changes::default().is_empty());
    for family in BOTH {
        assert_eq!(changed(family, false), Changes::TRAFFIC_CLASS);
        let both = changed(family, true);
        for one in each {
            assert_eq!(
                both.contains(one),
                one == Changes::TRAFFIC_CLASS || one == Changes::SOURCE
            );
        }
        assert!(both.contains(both) && !Changes::SOURCE.contains(both) && !both.is_empty());
    }
}

#[test]
fn the_ends_of_a_path_change_places_on_the_way_back() {
    for family in BOTH {
        let Ends {
            source,
            destination,
        } = crate::network::ends(family);
        let back = Ends {
            source,
            destination,
        }
        .reversed();
        assert_eq!((back.source, back.destination), (destination, source));
    }
}

#[test]
fn the_hops_of_the_way_back_are_reckoned_from_the_next_hop_limit_that_systems_start_with() {
    for family in BOTH {
        for (left, hops) in [
            (64, 1),
            (63, 2),
            (1, 64),
            (65, 64),
            (128, 1),
            (127, 2),
            (129, 127),
            (255, 1),
            (254, 2),
        ] {
            let mut trace = Trace::new(family);
            let target: IpAddr = crate::network::ends(family).destination;
            let mut message = echo_reply(target, &trace.probes[3]);
            put_right(target, &mut message);
            let arrival = |hop_limit| hopshot_core::Arrival {
                at: Instant::from_millis(5),
                from: target,
                hop_limit,
            };
            let reply = trace
                .tracer
                .handle(arrival(Some(left)), &message)
                .unwrap()
                .reply;
            assert_eq!(
                (reply.hop_limit, reply.hops_back()),
                (Some(left), Some(hops)),
                "{left}"
            );
            let mut trace = Trace::new(family);
            let reply = trace.tracer.handle(arrival(None), &message).unwrap().reply;
            assert_eq!(reply.hops_back(), None);
        }
    }
}

#[test]
fn an_outcome_gives_its_reply_if_it_has_one() {
    for family in BOTH {
        let mut trace = Trace::new(family);
        let reply = trace.time_exceeded(10, 1).unwrap();
        let route = trace.tracer.route();
        let replies: Vec<_> = route
            .hops()
            .flat_map(|hop| hop.outcomes().map(|outcome| outcome.reply().copied()))
            .collect();
        assert_eq!(replies, [Some(reply), None, None, None]);
        assert_eq!(
            (reply.kind, reply.from == stranger(family)),
            (Kind::TimeExceeded, false)
        );
    }
}

#[test]
fn instants_are_reckoned_in_nanoseconds_and_never_overflow() {
    assert_eq!(Instant::from_millis(7), Instant::from_nanos(7_000_000));
    assert_eq!(
        Instant::from_millis(u64::MAX),
        Instant::from_nanos(u64::MAX)
    );
    assert_eq!(Instant::from_nanos(5).as_nanos(), 5);
    let late = Instant::from_nanos(u64::MAX - 1);
    assert_eq!(
        late.saturating_add(std::time::Duration::from_secs(1))
            .as_nanos(),
        u64::MAX
    );
    let span = std::time::Duration::new(3, 5);
    assert_eq!(
        Instant::EPOCH.saturating_add(span).as_nanos(),
        3_000_000_005
    );
    assert_eq!(
        Instant::from_nanos(9)
            .saturating_since(Instant::from_nanos(4))
            .as_nanos(),
        5
    );
    assert_eq!(
        Instant::from_nanos(4)
            .saturating_since(Instant::from_nanos(9))
            .as_nanos(),
        0
    );
}

#[test]
fn what_documents_name_has_the_names_of_their_schema() {
    let reasons = [
        StopReason::Reached,
        StopReason::Unreachable,
        StopReason::Loop,
        StopReason::Quiet,
        StopReason::MaxHops,
        StopReason::Timeout,
        StopReason::NoRoom,
        StopReason::Local,
        StopReason::Interrupted,
    ];
    let expected = [
        "reached",
        "unreachable",
        "loop",
        "quiet",
        "max_hops",
        "timeout",
        "no_room",
        "local",
        "interrupted",
    ];
    assert_eq!(reasons.map(StopReason::as_str), expected);
    // The numbers are for good too.
    let numbers = reasons.map(|reason| reason as u8);
    assert_eq!(numbers, [1, 2, 3, 4, 5, 6, 7, 8, 0]);
    let whys = [
        Reason::Sweep,
        Reason::Attempt,
        Reason::Retry,
        Reason::Recheck,
    ];
    assert_eq!(whys.map(|why| why as u8), [1, 2, 3, 4]);
    assert_eq!(
        whys.map(Reason::as_str),
        ["sweep", "attempt", "retry", "recheck"]
    );
    let kinds = [Kind::Reply, Kind::TimeExceeded, Kind::Unreachable];
    assert_eq!(kinds.map(|kind| kind as u8), [1, 2, 3]);
    assert_eq!(
        kinds.map(Kind::as_str),
        ["echo_reply", "time_exceeded", "unreachable"]
    );
    let evidence = [Evidence::Weak, Evidence::Strong];
    assert_eq!(evidence.map(Evidence::as_str), ["weak", "strong"]);
    let roles = [
        Role::Incoming,
        Role::IncomingSubIp,
        Role::Outgoing,
        Role::NextHop,
    ];
    assert_eq!(
        roles.map(Role::as_str),
        ["incoming", "incoming_sub_ip", "outgoing", "next_hop"]
    );
    let reasons = [
        Reason::Sweep,
        Reason::Attempt,
        Reason::Retry,
        Reason::Recheck,
    ];
    assert_eq!(
        reasons.map(Reason::as_str),
        ["sweep", "attempt", "retry", "recheck"]
    );
    let outcomes = [
        Outcome::InFlight,
        Outcome::Lost,
        Outcome::Failed(Failure::NextHop),
    ];
    assert_eq!(
        outcomes.each_ref().map(Outcome::as_str),
        ["in_flight", "lost", "failed"]
    );
    let changes = [
        (Changes::SOURCE, "source"),
        (Changes::DESTINATION, "destination"),
        (Changes::CHECKSUM, "checksum"),
        (Changes::IDENT, "ident"),
        (Changes::TRAFFIC_CLASS, "tos"),
        (Changes::SENDER, "sender"),
        (Changes::UNPROVEN, "unproven"),
    ];
    for (change, name) in changes {
        assert!(change.names().eq([name]), "{change:?}");
    }
    assert_eq!(Changes::default().names().next(), None);
}
