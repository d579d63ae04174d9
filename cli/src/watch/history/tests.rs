use super::*;

/// A round of a path whose routers are told by the last octet of their addresses, at the last of
/// which is the target.
fn round(hops: &[Option<u8>]) -> Round {
    let probe = |(number, octet): (u8, &Option<u8>)| {
        (
            number,
            vec![octet.map(|octet| {
                (
                    IpAddr::from([10, 0, 0, octet]),
                    Duration::from_millis(u64::from(octet)),
                )
            })],
        )
    };
    let end = u8::try_from(hops.len()).ok();
    Round {
        probes: (1..).zip(hops).map(probe).collect(),
        end,
        reached: hops.last().is_some_and(Option::is_some),
        ..Round::default()
    }
}

fn history(rounds: &[&[Option<u8>]]) -> History {
    let mut history = History::default();
    rounds.iter().for_each(|hops| history.add(&round(hops)));
    history
}

fn marks(history: &History) -> Vec<Option<Mark>> {
    history.hops.values().map(|hop| hop.mark).collect()
}

const MS: fn(u64) -> Option<Duration> = |ms| Some(Duration::from_millis(ms));

#[test]
fn statistics_are_of_answers_and_loss_is_of_probes() {
    let history = history(&[&[Some(10)], &[Some(30)], &[None], &[Some(20)]]);
    let hop = &history.hops[&1];
    assert_eq!((hop.sent, hop.lost, hop.loss()), (4, 1, 25.0));
    assert_eq!(
        [hop.last, hop.best, hop.average(), hop.worst],
        [20, 10, 20, 30].map(MS)
    );
    // 20 up, 10 down.
    assert_eq!(hop.jitter(), MS(15));
    assert_eq!(hop.rtts, [MS(10), MS(30), None, MS(20)]);
}

#[test]
fn of_a_hop_that_never_answered_nothing_is_claimed() {
    let history = history(&[&[None, Some(2)]]);
    let hop = &history.hops[&1];
    assert_eq!(
        [hop.last, hop.best, hop.average(), hop.worst, hop.jitter()],
        [None; 5]
    );
    assert_eq!((hop.loss(), hop.mark), (100.0, None));
}

#[test]
fn a_probe_that_was_not_sent_is_not_lost() {
    let mut history = history(&[&[Some(1), Some(2)]]);
    let mut failed = round(&[Some(1), Some(2)]);
    failed.probes.insert(1, Vec::new());
    history.add(&failed);
    assert_eq!([1, 2].map(|hop| history.hops[&hop].sent), [1, 2]);
}

#[test]
fn another_address_is_a_change_and_the_one_before_is_remembered() {
    let history = history(&[
        &[Some(1), Some(9)],
        &[Some(2), Some(9)],
        &[Some(2), Some(9)],
    ]);
    let hop = &history.hops[&1];
    let seen: Vec<_> = hop
        .addresses
        .iter()
        .map(|seen| (seen.address.to_string(), seen.first, seen.last))
        .collect();
    assert_eq!(
        seen,
        [("10.0.0.2".to_owned(), 2, 3), ("10.0.0.1".to_owned(), 1, 1)]
    );
    assert_eq!(marks(&history), [Some(Mark::Changed), None]);
    assert!(!hop.is_several());
    let event = Event::Address([10, 0, 0, 1].into(), [10, 0, 0, 2].into());
    assert_eq!(
        history.changes,
        [Change {
            round: 2,
            hops: (1, 1),
            event
        }]
    );
}

#[test]
fn addresses_that_take_turns_are_several_and_one_change() {
    let history = history(&[&[Some(1)], &[Some(2)], &[Some(1)], &[Some(2)]]);
    assert!(history.hops[&1].is_several());
    assert_eq!(history.changes.len(), 1);
}

#[test]
fn who_takes_turns_with_others_is_no_change_until_they_have_not_for_long() {
    let mut history = History::default();
    let mut hear = |octet, times| {
        (0..times).for_each(|_| history.add(&round(&[Some(octet)])));
        (history.changes.len(), history.hops[&1].mark)
    };
    [1, 2, 3, 1, 4, 2]
        .into_iter()
        .for_each(|octet| _ = hear(octet, 1));
    assert_eq!(hear(5, 1), (2, None));
    assert_eq!(hear(1, TURNS), (2, None));
    assert_eq!(hear(6, 1), (3, Some(Mark::Changed)));
}

#[test]
fn an_address_that_comes_back_for_good_is_a_change_and_takes_no_turns() {
    let mut history = History::default();
    for (octet, rounds) in [(1, 20), (2, TURN), (1, 20), (3, 1)] {
        (0..rounds).for_each(|_| history.add(&round(&[Some(octet)])));
        assert!(!history.hops[&1].is_several(), "{octet}");
    }
    let events: Vec<_> = history.changes.iter().map(ToString::to_string).collect();
    let expected = [
        "round 21: hop 1 has become 10.0.0.2, was 10.0.0.1",
        "round 26: hop 1 has become 10.0.0.1, was 10.0.0.2",
        "round 46: hop 1 has become 10.0.0.3, was 10.0.0.1",
    ];
    assert_eq!(events, expected);
    let others: Vec<_> = history.hops[&1]
        .others()
        .map(|(said, seen, until)| (said, seen.first, until))
        .collect();
    assert_eq!(
        others,
        [
            ("was", 1, " until round 45".to_owned()),
            ("was", 21, " until round 25".to_owned())
        ]
    );
}

#[test]
fn a_hop_vanishes_after_five_silent_rounds_and_comes_up_with_its_next_answer() {
    let up: &[Option<u8>] = &[Some(1), Some(2)];
    let down: &[Option<u8>] = &[None, Some(2)];
    assert_eq!(marks(&history(&[up, down, down, down, down])), [None, None]);
    let gone = history(&[up, down, down, down, down, down]);
    assert_eq!(marks(&gone), [Some(Mark::Gone), None]);
    let back = history(&[up, down, down, down, down, down, down, up]);
    assert_eq!(marks(&back), [Some(Mark::Up), None]);
    let events: Vec<_> = back
        .changes
        .iter()
        .map(|change| (change.round, change.event))
        .collect();
    assert_eq!(events, [(6, Event::Gone), (8, Event::Up)]);
}

#[test]
fn hops_behind_the_end_of_a_shorter_path_are_gone_and_lose_nothing() {
    let long: &[Option<u8>] = &[Some(1), Some(2), Some(3), Some(9)];
    let mut history = history(&[long, &[Some(1), Some(9)]]);
    assert_eq!((history.length, history.distance), (2, Some(2)));
    assert_eq!(
        marks(&history),
        [
            None,
            Some(Mark::Changed),
            Some(Mark::Gone),
            Some(Mark::Gone)
        ]
    );
    assert_eq!((history.hops[&4].sent, history.hops[&4].lost), (1, 0));
    assert_eq!(history.changes.back().unwrap().hops, (3, 4));
    history.add(&round(long));
    assert_eq!(marks(&history)[2..], [Some(Mark::Up), Some(Mark::Up)]);
}

#[test]
fn who_says_that_there_is_no_way_further_is_told_and_what_is_behind_has_gone() {
    let mut history = history(&[&[Some(1), Some(2), Some(9)]]);
    assert_eq!(history.silence(), None);
    history.add(&Round {
        unreachable: true,
        reached: false,
        ..round(&[Some(1), Some(2)])
    });
    assert_eq!(
        history.silence().unwrap(),
        "hop 2 says that the target can't be reached"
    );
    assert_eq!(
        (marks(&history), history.hops[&3].lost),
        (vec![None, None, Some(Mark::Gone)], 0)
    );
}

#[test]
fn the_reason_of_an_outage_is_that_of_most_of_its_rounds_and_the_first_of_several_as_frequent() {
    for (reasons, expected) in [
        ("a", "a"),
        ("aab", "a"),
        ("abb", "b"),
        ("ab", "a"),
        ("abba", "a"),
        ("bcacb", "b"),
        ("abcc", "c"),
    ] {
        let mut history = history(&[&[Some(1), Some(9)]]);
        for reason in reasons.chars() {
            history.add(&Round::not_begun(
                "no route".to_owned(),
                reason.to_string(),
                SystemTime::UNIX_EPOCH,
            ));
        }
        assert_eq!(
            (history.outages.len(), history.outages[0].reason()),
            (1, expected),
            "{reasons}"
        );
    }
}

#[test]
fn a_round_that_could_not_begin_counts_and_is_told_and_asked_nobody() {
    let mut history = history(&[&[Some(1), Some(9)]]);
    let not_begun = || {
        Round::not_begun(
            "no route".to_owned(),
            "none".to_owned(),
            SystemTime::UNIX_EPOCH,
        )
    };
    history.add(&not_begun());
    assert_eq!(
        (history.rounds, history.reached, history.trouble.as_deref()),
        (2, false, Some("no route"))
    );
    assert_eq!(
        history.silence().unwrap(),
        "the target did not answer in the last round"
    );
    assert_eq!(
        [1, 2].map(|hop| (history.hops[&hop].sent, history.hops[&hop].lost)),
        [(1, 0); 2]
    );
    history.add(&not_begun());
    assert_eq!(
        history.outages[0].to_string(),
        "rounds 2 to 3: nothing left this machine (none), since 1970-01-01 00:00:00 UTC"
    );
    let later = SystemTime::UNIX_EPOCH + Duration::from_secs(61);
    (0..2).for_each(|_| {
        history.add(&Round {
            began: Some(later),
            ..round(&[Some(1), Some(9)])
        });
    });
    let outage = &history.outages[0];
    assert_eq!(
        (history.outages.len(), history.rounds_away, outage.rounds()),
        (1, 2, 2)
    );
    assert_eq!(
        outage.to_string(),
        "rounds 2 to 3: nothing left this machine (none), from 1970-01-01 00:00:00 UTC to 1970-01-01 00:01:01 UTC"
    );
    assert_eq!(
        (history.reached, &history.trouble, history.changes.len()),
        (true, &None, 0)
    );
    history.add(&not_begun());
    assert_eq!(
        (
            history.outages.len(),
            history.outages[1].first,
            history.rounds_away
        ),
        (2, 6, 3)
    );
    history.add(&round(&[Some(2), Some(9)]));
    history.add(&not_begun());
    let incidents: Vec<_> = history
        .incidents()
        .iter()
        .map(|incident| incident.round())
        .collect();
    assert_eq!(
        incidents,
        [2, 6, 7, 8],
        "by their rounds, a change of the path among them"
    );
}

#[test]
fn of_rounds_that_never_were_nothing_is_claimed() {
    assert_eq!(History::default().silence().unwrap(), "no round has ended");
}

#[test]
fn behind_a_target_that_vanished_nothing_is_counted() {
    let mut history = history(&[&[Some(1), Some(9)]]);
    let mut silent = round(&[Some(1), None, None, None, None]);
    silent.end = None;
    history.add(&silent);
    assert!(!history.reached);
    assert_eq!(
        (history.length, history.hops.len(), history.hops[&2].lost),
        (2, 2, 1)
    );
    assert_eq!(history.distance, Some(2));
}

#[test]
fn a_round_goes_little_farther_than_the_path_and_a_silent_target_is_looked_for_now_and_then() {
    assert_eq!(History::default().horizon(32), 32);
    let mut history = history(&[&[Some(1), Some(9)]]);
    assert_eq!([history.horizon(32), history.horizon(3)], [5, 3]);
    let mut silent = round(&[Some(1), None, None]);
    silent.end = None;
    let horizons: Vec<u8> = (0..10)
        .map(|_| {
            history.add(&silent);
            history.horizon(32)
        })
        .collect();
    assert_eq!(horizons, [5, 5, 5, 5, 5, 5, 5, 5, 32, 5]);
}

#[test]
fn a_target_that_answers_the_knock_alone_may_be_anywhere() {
    let knocked = Round {
        end: None,
        reached: true,
        is_knock_alone: true,
        ..round(&[Some(1), None])
    };
    let mut history = History::default();
    history.add(&knocked);
    assert_eq!(history.horizon(32), 32);
    let said = history.silence().unwrap();
    assert!(said.ends_with("its distance is unknown"), "{said}");
    // One that was lost changes nothing, but is told.
    history.add(&Round {
        reached: false,
        is_knock_alone: false,
        ..knocked
    });
    assert_eq!(history.horizon(32), 32);
    let said = history.silence().unwrap();
    assert!(said.ends_with("did not answer in the last round"), "{said}");
    history.add(&round(&[Some(1), Some(9)]));
    assert_eq!((history.horizon(32), history.silence()), (5, None));
}

#[test]
fn what_is_remembered_is_bounded() {
    let mut history = History::default();
    for number in 0..2000_u32 {
        let octet = u8::try_from(number % 250).unwrap();
        let port = match number % 2 {
            0 => PortState::Open,
            _ => PortState::Closed,
        };
        history.add(&Round {
            port: Some(port),
            ..round(&[Some(octet)])
        });
    }
    let hop = &history.hops[&1];
    assert_eq!(
        (hop.addresses.len(), hop.rtts.len()),
        (ADDRESSES, REMEMBERED)
    );
    let changes = (history.changes.len(), history.port_changes.len());
    assert_eq!(changes, (CHANGES, CHANGES));
}

#[test]
fn rounds_that_went_out_in_part_are_counted_with_the_last_reason() {
    let mut history = history(&[&[Some(1), Some(9)]]);
    assert_eq!(history.in_part, None);
    for why in ["no room", "not permitted"] {
        history.add(&Round {
            trouble: Some(why.to_owned()),
            ..round(&[Some(1), Some(9)])
        });
    }
    history.add(&round(&[Some(1), Some(9)]));
    let expected = Some((2, "not permitted".to_owned()));
    assert_eq!((&history.trouble, &history.in_part), (&None, &expected));
    // A round of which nothing left is an outage.
    history.add(&Round::not_begun(
        "no route".to_owned(),
        "none".to_owned(),
        SystemTime::UNIX_EPOCH,
    ));
    assert_eq!(history.in_part, expected);
}
