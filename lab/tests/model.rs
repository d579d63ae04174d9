//! The simulated internet on virtual time: every scenario, both families.

use core::time::Duration;
use hopshot_core::wire::{AddressFamily, Ends, Malformed, icmp, ip};
use hopshot_lab::log::{Event, Fate, line, parse};
use hopshot_lab::{CLIENT, Delivery, End, Internet, Scenario, Sweep, Sweeper};
use std::collections::HashSet;
use std::net::IpAddr;

const BOTH: [AddressFamily; 2] = [AddressFamily::V4, AddressFamily::V6];

/// An Echo Request of the client. The payload's first word keeps the checksum of all seqs the same,
/// if asked for.
fn probe(destination: IpAddr, hop_limit: u8, ident: u16, seq: u16, one_flow: bool) -> Vec<u8> {
    let family = AddressFamily::of(destination);
    let ends = Ends {
        source: CLIENT.address(family),
        destination,
    };
    let mut payload = [0x5a; 36];
    payload[..2].copy_from_slice(&if one_flow { !seq } else { 0 }.to_be_bytes());
    let mut message = [0; 44];
    let echo = icmp::Echo {
        ident,
        seq,
        payload: &payload,
    };
    icmp::Message::EchoRequest(echo)
        .emit(ends, &mut message)
        .unwrap();
    let protocol = if family == AddressFamily::V4 {
        ip::PROTOCOL_ICMP
    } else {
        ip::PROTOCOL_ICMPV6
    };
    let mut packet = vec![0; ip::header_len(family)];
    ip::Header {
        ends,
        hop_limit,
        traffic_class: 0,
        protocol,
    }
    .emit(message.len(), &mut packet)
    .unwrap();
    packet.extend_from_slice(&message);
    packet
}

fn send(
    internet: &mut Internet,
    family: AddressFamily,
    now: Duration,
    hop_limit: u8,
) -> Vec<Delivery> {
    let target = internet.target(family);
    internet.receive(now, &probe(target, hop_limit, 7, hop_limit.into(), true))
}

/// Who sent a packet, and what it is if it is whole.
fn read(delivery: &Delivery) -> (IpAddr, Result<icmp::Message<'_>, Malformed>) {
    let (header, message) = ip::parse(&delivery.packet).unwrap();
    (
        header.ends.source,
        icmp::Message::parse(header.ends, message),
    )
}

fn named(name: &str, seed: u64) -> Internet {
    Internet::new(&Scenario::named(name).unwrap(), seed)
}

#[test]
fn every_scenario_answers_as_its_truth_says() {
    // Loss and limits hide what is there; they have tests of their own.
    for name in Scenario::names().filter(|name| !["loss", "partial"].contains(name)) {
        for family in BOTH {
            let mut internet = named(name, 3);
            let truth = internet.truth(family);
            for hop in 1..=40 {
                let answers = send(&mut internet, family, Duration::ZERO, hop);
                let path = &truth.paths[internet.log().last().unwrap().path];
                let end = path.hops.len();
                let place = usize::from(hop).min(end);
                let seen = answers.first().and_then(|delivery| {
                    let (from, message) = read(delivery);
                    let quoted = match message.ok()? {
                        icmp::Message::EchoReply(echo) => return (echo.ident == 7).then_some(from),
                        icmp::Message::Error(error) => error.quoted,
                        icmp::Message::EchoRequest(_) => return None,
                    };
                    let (_, quoted) = ip::parse_quoted(quoted).ok()?;
                    icmp::QuotedEcho::parse(family, quoted).ok().map(|_| from)
                });
                assert_eq!(seen, path.hops[place - 1], "{name} {family:?} hop {hop}");
                let past = match path.end {
                    End::Target | End::Silent | End::Dropped => usize::from(hop) > end,
                    End::Unreachable => hop > 12,
                    End::Loop => false,
                };
                assert_eq!(
                    internet.log().last().unwrap().past_target,
                    past,
                    "{name} {family:?} hop {hop}"
                );
            }
        }
    }
}

/// A packet of so many octets, which in IPv4 may be fragmented or not.
fn sized(destination: IpAddr, hop_limit: u8, octets: usize, may_be_fragmented: bool) -> Vec<u8> {
    let family = AddressFamily::of(destination);
    let ends = Ends {
        source: CLIENT.address(family),
        destination,
    };
    let mut message = vec![0; octets - ip::header_len(family)];
    let payload = vec![0; message.len() - 8];
    let echo = icmp::Echo {
        ident: 7,
        seq: hop_limit.into(),
        payload: &payload,
    };
    icmp::Message::EchoRequest(echo)
        .emit(ends, &mut message)
        .unwrap();
    let protocol = if family == AddressFamily::V4 {
        ip::PROTOCOL_ICMP
    } else {
        ip::PROTOCOL_ICMPV6
    };
    let mut packet = vec![0; ip::header_len(family)];
    ip::Header {
        ends,
        hop_limit,
        traffic_class: 0,
        protocol,
    }
    .emit(message.len(), &mut packet)
    .unwrap();
    if family == AddressFamily::V4 {
        packet[6] = if may_be_fragmented { 0 } else { 0x40 };
    }
    packet.extend_from_slice(&message);
    packet
}

#[test]
fn what_is_too_big_for_a_link_comes_to_its_router_and_no_farther() {
    for family in BOTH {
        let mut internet = named("mtu", 1);
        let target = internet.target(family);
        // Who answers a packet of this size that is to expire at this hop, and the MTU that it
        // names.
        let mut ask = |hop_limit, octets| {
            let answers =
                internet.receive(Duration::ZERO, &sized(target, hop_limit, octets, false));
            let (from, message) = read(&answers[0]);
            let mtu = match message.unwrap() {
                icmp::Message::Error(error) => error.mtu(family),
                _ => None,
            };
            (from, mtu)
        };
        let router = |hop: u16| -> IpAddr {
            match family {
                AddressFamily::V4 => format!("10.{hop}.0.1").parse().unwrap(),
                AddressFamily::V6 => format!("2001:db8:{hop}::1").parse().unwrap(),
            }
        };
        assert_eq!(
            ask(4, 1500),
            (router(4), None),
            "it expires before it would go on"
        );
        assert_eq!(ask(5, 1500), (router(4), Some(1400)));
        assert_eq!(ask(12, 1401), (router(4), Some(1400)));
        assert_eq!(ask(8, 1400), (router(8), None));
        assert_eq!(ask(9, 1400), (router(8), Some(1280)));
        assert_eq!(ask(12, 1280), (target, None));
    }
}

#[test]
fn a_router_may_name_another_mtu_or_none_and_say_nothing() {
    for family in BOTH {
        let mut internet = named("mtu-odd", 1);
        let packet = sized(internet.target(family), 12, 1500, false);
        let answers = internet.receive(Duration::ZERO, &packet);
        let icmp::Message::Error(error) = read(&answers[0]).1.unwrap() else {
            panic!("an error")
        };
        assert_eq!(error.mtu(family), Some(9000));
        let mut internet = named("mtu-silent", 1);
        let target = internet.target(family);
        assert_eq!(
            internet.receive(Duration::ZERO, &sized(target, 6, 1401, false)),
            []
        );
        assert_eq!(
            internet
                .receive(Duration::ZERO, &sized(target, 6, 1400, false))
                .len(),
            1
        );
    }
}

#[test]
fn only_what_may_not_be_fragmented_is_too_big() {
    let mut internet = named("mtu", 1);
    let target = internet.target(AddressFamily::V4);
    let answers = internet.receive(Duration::ZERO, &sized(target, 12, 1500, true));
    assert_eq!(read(&answers[0]).0, target);
}

#[test]
fn round_trips_grow_with_the_hop() {
    for family in BOTH {
        let mut internet = named("wan", 1);
        for hop in 1..=30 {
            let now = Duration::from_secs(hop.into());
            let answers = send(&mut internet, family, now, hop);
            let millis = 80.0 * f64::from(hop.min(12)) / 12.0;
            assert_eq!(answers.len(), 1);
            assert_eq!(
                answers[0].due - now,
                Duration::from_nanos((millis * 1e6).round() as u64)
            );
            let log = internet.log().last().unwrap();
            assert_eq!(
                u128::from(log.answers[0].rtt_ns),
                (answers[0].due - now).as_nanos()
            );
        }
    }
}

#[test]
#[rustfmt::skip]
fn time_exceeded_to_the_octet() {
    let mut internet = named("wan", 1);
    let answers = send(&mut internet, AddressFamily::V4, Duration::ZERO, 2);
    let mut golden = vec![
        0x45, 0, 0, 92, 0, 0, 0x40, 0, 254, 1, 0x68, 0x9c, 10, 2, 0, 1, 10, 0, 0, 2, // from router 2, TTL 255 - 1
        11, 0, 0xf4, 0xff, 0, 0, 0, 0, // Time Exceeded in transit
        0x45, 0, 0, 64, 0, 0, 0x40, 0, 1, 1, 0x64, 0x6d, 10, 0, 0, 2, 10, 255, 0, 80, // the quote, TTL 1
        8, 0, 0xf7, 0xf8, 0, 7, 0, 2, 0xff, 0xfd, // Echo Request, ident 7, seq 2
    ];
    golden.resize(92, 0x5a);
    assert_eq!(answers[0].packet, golden);
}

#[test]
fn time_exceeded_in_ipv6_to_the_octet() {
    let mut internet = named("wan", 1);
    let answers = send(&mut internet, AddressFamily::V6, Duration::ZERO, 2);
    let router: IpAddr = "2001:db8:2::1".parse().unwrap();
    let (from, message) = read(&answers[0]);
    let icmp::Message::Error(error) = message.unwrap() else {
        panic!("an error")
    };
    assert_eq!(
        (from, error.icmp_type, error.code, error.rest),
        (router, icmp::Type::TimeExceeded, 0, 0)
    );
    let mut quoted = probe(internet.target(AddressFamily::V6), 1, 7, 2, true);
    assert_eq!(error.quoted, quoted);
    quoted[7] = 1;
    assert_eq!(answers[0].packet[..8], [0x60, 0, 0, 0, 0, 92, 58, 254]);
}

#[test]
fn the_target_answers_with_what_it_was_sent_and_a_realistic_hop_limit() {
    for family in BOTH {
        let mut internet = named("wan", 1);
        let answers = send(&mut internet, family, Duration::ZERO, 20);
        let (header, _) = ip::parse(&answers[0].packet).unwrap();
        assert_eq!(header.hop_limit, 64 - 11);
        let Ok(icmp::Message::EchoReply(echo)) = read(&answers[0]).1 else {
            panic!("an echo reply")
        };
        assert_eq!((echo.ident, echo.seq, echo.payload.len()), (7, 20, 36));
    }
}

#[test]
fn a_router_can_be_the_destination() {
    for family in BOTH {
        let mut internet = named("wan", 1);
        let router = internet.truth(family).at(5)[0].unwrap();
        let answers = internet.receive(Duration::ZERO, &probe(router, 9, 1, 1, true));
        assert!(
            matches!(read(&answers[0]), (from, Ok(icmp::Message::EchoReply(_))) if from == router)
        );
        let nobody = if family == AddressFamily::V4 {
            "10.9.9.9"
        } else {
            "2001:db8:9:9::9"
        };
        assert!(
            internet
                .receive(
                    Duration::ZERO,
                    &probe(nobody.parse().unwrap(), 30, 1, 1, true)
                )
                .is_empty()
        );
    }
}

#[test]
fn loss_is_what_the_seed_says_and_near_its_share() {
    let run = |seed| {
        let mut internet = named("loss", seed);
        for number in 0..10_000_u32 {
            send(
                &mut internet,
                AddressFamily::V4,
                Duration::from_millis(number.into()),
                5,
            );
        }
        internet.take_log()
    };
    let log = run(1);
    let share =
        |fate| log.iter().filter(|probe| probe.fate == fate).count() as f64 / log.len() as f64;
    assert!(
        (share(Fate::Lost) - 0.1).abs() < 0.01,
        "{}",
        share(Fate::Lost)
    );
    assert!(
        (share(Fate::AnswerLost) - 0.09).abs() < 0.01,
        "{}",
        share(Fate::AnswerLost)
    );
    assert_eq!(log, run(1));
    assert_ne!(log, run(2));
}

#[test]
fn linux_limits_are_six_then_one_a_second() {
    let answered = |internet: &mut Internet, family, at: f64, count| {
        (0..count)
            .filter(|_| !send(internet, family, Duration::from_secs_f64(at), 3).is_empty())
            .count()
    };
    for (family, later) in [(AddressFamily::V4, 1), (AddressFamily::V6, 6)] {
        let mut internet = named("ratelimit", 1);
        assert_eq!(answered(&mut internet, family, 0.0, 10), 6);
        assert_eq!(answered(&mut internet, family, 1.0, 10), later);
        assert_eq!(answered(&mut internet, family, 60.0, 10), 6);
        assert_eq!(internet.log().last().unwrap().fate, Fate::Limited);
    }
    let mut strict = named("ratelimit-strict", 1);
    assert_eq!(answered(&mut strict, AddressFamily::V6, 0.0, 3), 1);
    // The target's echo replies aren't limited.
    assert!((0..50).all(|_| !send(&mut strict, AddressFamily::V4, Duration::ZERO, 12).is_empty()));
}

#[test]
fn a_partial_target_misses_the_start_of_the_first_burst() {
    for family in BOTH {
        let mut internet = named("partial", 1);
        let answered = |internet: &mut Internet, at, hops: core::ops::RangeInclusive<u8>| {
            let at = Duration::from_millis(at);
            hops.filter(|hop| !send(internet, family, at, *hop).is_empty())
                .collect::<Vec<_>>()
        };
        assert_eq!(answered(&mut internet, 0, 12..=30), [17, 18, 19, 20, 21]);
        assert_eq!(answered(&mut internet, 100, 12..=16), [12, 13, 14, 15, 16]);
    }
}

#[test]
fn duplicates_follow_each_answer() {
    let mut internet = named("dup", 1);
    for hop in [3, 12] {
        let answers = send(&mut internet, AddressFamily::V4, Duration::ZERO, hop);
        assert_eq!(answers.len(), 2);
        assert_eq!(answers[0].packet, answers[1].packet);
        assert!(answers[0].due < answers[1].due);
    }
}

#[test]
fn balancers_by_flow_keep_a_flow_together() {
    for family in BOTH {
        let mut seen = HashSet::new();
        for ident in 0..200 {
            let mut internet = named("ecmp", 1);
            let target = internet.target(family);
            for hop in 1..=30 {
                internet.receive(Duration::ZERO, &probe(target, hop, ident, hop.into(), true));
            }
            let paths: HashSet<_> = internet.log().iter().map(|probe| probe.path).collect();
            assert_eq!(paths.len(), 1, "one flow, one path");
            seen.extend(paths);
        }
        assert_eq!(
            seen.len(),
            8,
            "every path of four branches and two is taken by some flow"
        );
        // A seq that changes the checksum changes the flow.
        let mut internet = named("ecmp", 1);
        let target = internet.target(family);
        for seq in 0..100 {
            internet.receive(Duration::ZERO, &probe(target, 4, 1, seq, false));
        }
        assert_eq!(
            internet
                .log()
                .iter()
                .map(|probe| probe.path)
                .collect::<HashSet<_>>()
                .len(),
            8
        );
    }
}

#[test]
fn uneven_branches_move_the_target() {
    let internet = named("ecmp-uneven", 1);
    let truth = internet.truth(AddressFamily::V4);
    let lengths: Vec<_> = truth.paths.iter().map(|path| path.hops.len()).collect();
    assert_eq!((lengths, truth.distance()), (vec![12, 13], Some(12)));
    assert_eq!(truth.at(5).len(), 2);
    assert_eq!(truth.at(4).len(), 1);
}

#[test]
fn label_stacks_and_interfaces_are_where_rfc_4884_says() {
    for (family, length_word) in [(AddressFamily::V4, 32 << 16), (AddressFamily::V6, 16 << 24)] {
        let mut internet = named("mpls", 1);
        let stack = send(&mut internet, family, Duration::ZERO, 7);
        let Ok(icmp::Message::Error(error)) = read(&stack[0]).1 else {
            panic!("an error")
        };
        assert_eq!(error.rest, length_word);
        assert_eq!(error.quoted[128..130], [0x20, 0]);
        // Labels 24002 (tc 3, TTL 1) and 16 (the bottom, TTL 2).
        assert_eq!(
            error.quoted[132..],
            [0, 12, 1, 1, 0x05, 0xdc, 0x26, 1, 0, 1, 1, 2]
        );
        let interface = send(&mut internet, family, Duration::ZERO, 8);
        let Ok(icmp::Message::Error(error)) = read(&interface[0]).1 else {
            panic!("an error")
        };
        assert_eq!(error.quoted[134..136], [2, 0x0f]);
        assert_eq!(
            error.quoted[error.quoted.len() - 4..],
            9000_u32.to_be_bytes()
        );
    }
}

#[test]
fn translators_leave_quotes_changed_and_their_checksums_right() {
    for family in BOTH {
        let mut internet = named("nat-id", 1);
        let sent = probe(internet.target(family), 5, 7, 5, true);
        let answers = internet.receive(Duration::ZERO, &sent);
        let Ok(icmp::Message::Error(error)) = read(&answers[0]).1 else {
            panic!("an error")
        };
        let (header, message) = ip::parse_quoted(error.quoted).unwrap();
        assert_ne!(header.ends.source, CLIENT.address(family));
        assert_eq!(header.ends.destination, internet.target(family));
        let quoted = icmp::QuotedEcho::parse(family, message).unwrap();
        assert_eq!((quoted.echo.ident, quoted.echo.seq), (7 ^ 0x0f, 5));
        assert!(
            icmp::Message::parse(header.ends, message).is_ok(),
            "the quote's own checksum"
        );
    }
}

#[test]
fn the_attacker_keeps_its_rate_and_is_not_in_the_log() {
    for family in BOTH {
        let mut internet = named("hostile", 1);
        assert_eq!(internet.next_unsolicited(), None);
        let answers = send(&mut internet, family, Duration::from_secs(5), 3);
        assert_eq!(internet.next_unsolicited(), Some(Duration::from_secs(5)));
        let forged = internet.unsolicited(Duration::from_secs(6));
        assert_eq!((answers.len(), forged.len()), (1, 10_001));
        assert!(
            forged
                .iter()
                .all(|delivery| delivery.answer.is_none() && ip::parse(&delivery.packet).is_ok())
        );
        let whole = forged
            .iter()
            .filter(|delivery| read(delivery).1.is_ok())
            .count();
        assert!(whole > 4_000, "{whole} get past a checksum");
        assert_eq!(internet.log().len(), 1);
    }
}

#[test]
fn a_path_changes_so_long_after_the_first_packet_and_not_before() {
    let text = "[[later]]\nfrom_s = 4\n[[later.hop]]\nat = 3\nv4 = \"10.3.99.1\"\n[[later.hop]]\nat = 5\nsilent = true\n\
                [[later]]\nfrom_s = 6";
    let mut internet = Internet::new(&Scenario::parse(text).unwrap(), 1);
    let first = Duration::from_secs(100);
    let mut answerers = |seconds: f64| {
        [3, 5].map(|hop| {
            let answers = send(
                &mut internet,
                AddressFamily::V4,
                first + Duration::from_secs_f64(seconds),
                hop,
            );
            answers.first().map(|answer| read(answer).0.to_string())
        })
    };
    let before = [Some("10.3.0.1".to_owned()), Some("10.5.0.1".to_owned())];
    assert_eq!(
        [answerers(0.0), answerers(3.9)],
        [before.clone(), before.clone()]
    );
    assert_eq!(answerers(4.0), [Some("10.3.99.1".to_owned()), None]);
    assert_eq!(answerers(6.0), before);
}

#[test]
fn what_is_no_probe_is_ignored() {
    let mut internet = named("wan", 1);
    let whole = probe(internet.target(AddressFamily::V6), 3, 1, 1, true);
    for length in 0..whole.len() {
        assert!(
            internet
                .receive(Duration::ZERO, &whole[..length])
                .is_empty()
        );
    }
    assert!(internet.log().is_empty());
}

#[test]
fn log_lines_read_back() {
    let mut internet = named("dup", 1);
    let answers = send(&mut internet, AddressFamily::V6, Duration::from_secs(1), 3);
    internet.delivered(&answers[1], Duration::from_secs(2));
    let events: Vec<_> = internet.take_log().into_iter().map(Event::Probe).collect();
    let Event::Probe(probe) = &events[0] else {
        panic!("a probe")
    };
    assert_eq!(probe.answers[1].delivered_ns, Some(2_000_000_000));
    assert_eq!(probe.answers[0].delivered_ns, None);
    assert_eq!(parse(&line(&events[0])).unwrap(), events);
}

#[test]
fn scenarios_that_contradict_themselves_are_refused() {
    for wrong in [
        "hops = 0",
        "hops = 255",
        "hop_count = 5",
        "[[hop]]\nat = 12",
        "[[hop]]\nat = [3, 3]",
        "[[diamond]]\nat = 11\nlengths = [2, 2]",
        "[[diamond]]\nat = 4\nlengths = []",
        "loop = { from = 6, to = 6 }",
        "[[later]]\nfrom_s = 0",
        "[[later]]\nfrom_s = 2\n[[later]]\nfrom_s = 2",
        "[[later]]\nfrom_s = 1\n[[later.hop]]\nat = 12",
    ] {
        assert!(Scenario::parse(wrong).is_err(), "{wrong}");
    }
    assert!(
        Scenario::load("no-such-scenario")
            .unwrap_err()
            .to_string()
            .contains("no-such-scenario")
    );
    assert!(Scenario::names().all(|name| !Scenario::named(name).unwrap().about.is_empty()));
}

#[test]
fn a_sweeper_guesses_every_seq_with_what_it_read_off_its_own_probe() {
    for family in BOTH {
        for (says, icmp_type) in [
            (Sweep::TimeExceeded, icmp::Type::TimeExceeded),
            (Sweep::Unreachable, icmp::Type::Unreachable),
        ] {
            let mut scenario = Scenario::named("sweeper").unwrap();
            scenario.sweeper = scenario.sweeper.map(|sweeper| Sweeper {
                says,
                quotes: Some(9),
                ..sweeper
            });
            let mut internet = Internet::new(&scenario, 1);
            let hour = Duration::from_secs(3600);
            let [host, victim] = [7, 9].map(|number| match internet.target(family) {
                IpAddr::V4(first) => {
                    IpAddr::from(first.to_bits().wrapping_add(number).to_be_bytes())
                }
                IpAddr::V6(first) => {
                    IpAddr::from((first.to_bits() + u128::from(number)).to_be_bytes())
                }
            });
            // A router's answer to its probe teaches it nothing, nor do the probes of others.
            internet.receive(Duration::ZERO, &probe(host, 11, 99, 1, true));
            internet.receive(Duration::ZERO, &probe(victim, 12, 99, 1, true));
            assert_eq!(
                (
                    internet.next_unsolicited(),
                    internet.unsolicited(hour).len()
                ),
                (None, 0)
            );
            assert_eq!(
                internet
                    .receive(Duration::ZERO, &probe(host, 12, 77, 1, true))
                    .len(),
                1,
                "it answers"
            );
            let swept = internet.unsolicited(hour);
            let mut seqs = HashSet::new();
            for delivery in &swept {
                let (from, message) = read(delivery);
                let Ok(icmp::Message::Error(error)) = message else {
                    panic!("{message:?}")
                };
                let (header, quoted) = ip::parse_quoted(error.quoted).unwrap();
                let quoted = icmp::QuotedEcho::parse(family, quoted).unwrap();
                assert_eq!(
                    (from, error.icmp_type, header.ends.destination),
                    (host, icmp_type, victim)
                );
                assert_eq!((quoted.echo.ident, quoted.echo.payload.len()), (77, 0));
                assert_eq!(quoted.checksum, internet.log()[2].checksum);
                seqs.insert(quoted.echo.seq);
            }
            assert_eq!(
                (swept.len(), seqs.len(), internet.next_unsolicited()),
                (65_536, 65_536, None)
            );
        }
    }
}
