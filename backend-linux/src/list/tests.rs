//! Lists of hosts of this machine, in network namespaces.

use super::Survey;
use crate::namespace::{PERMIT_PING, as_root_in_namespace, in_namespace};
use crate::{AddressFamily, Error, Route, Settings, SocketKind, Step, clock};
use hopshot_core::{StopReason, Sweep};
use std::collections::HashMap;
use std::net::IpAddr;
use std::time::Duration;

const KINDS: [SocketKind; 2] = [SocketKind::Raw, SocketKind::Ping];

/// Loopback answers from all of 127.0.0.0/8.
fn hosts(count: u16) -> Vec<String> {
    (0..count)
        .map(|number| format!("127.1.{}.{}", number / 200, number % 200 + 1))
        .chain(["::1".into()])
        .collect()
}

#[test]
fn more_hosts_than_are_traced_at_once_each_get_their_own_route_from_either_kind_of_socket() {
    const TEST: &str = "list::tests::more_hosts_than_are_traced_at_once_each_get_their_own_route_from_either_kind_of_socket";
    in_namespace(TEST, PERMIT_PING, || {
        for kind in KINDS {
            let hosts = hosts(500);
            let many = Settings::new()
                .socket(kind)
                .many(hosts.clone())
                .rate(100_000)
                .at_once(60);
            let routes: HashMap<String, Route> = many
                .start()
                .unwrap()
                .map(|(host, route)| (host, route.unwrap()))
                .collect();
            assert_eq!(routes.len(), hosts.len());
            for host in hosts {
                let route = &routes[&host];
                let target: IpAddr = host.parse().unwrap();
                assert_eq!(
                    (route.summary().target, route.summary().socket),
                    (target, kind)
                );
                assert_eq!(
                    (route.distance(), route.stop_reason()),
                    (Some(1), Some(StopReason::Reached))
                );
                let hop = route.hops().next().unwrap();
                assert!(
                    hop.replies().all(|reply| reply.from == target
                        && reply.evidence() == hopshot_core::Evidence::Strong),
                    "{host}"
                );
                assert_eq!(route.tally(), hopshot_core::Tally::default());
            }
        }
    });
}

#[test]
fn traces_side_by_side_in_one_driver_share_its_sockets_and_do_not_mix() {
    in_namespace(
        "list::tests::traces_side_by_side_in_one_driver_share_its_sockets_and_do_not_mix",
        PERMIT_PING,
        || {
            for kind in KINDS {
                let settings = Settings::new().attempts(3).socket(kind);
                let mut survey = Survey::new(&settings, 100_000, 2).unwrap();
                let open = || std::fs::read_dir("/proc/self/fd").unwrap().count();
                let before = open();
                survey.add("127.0.0.2").unwrap();
                survey.add("127.0.0.3").unwrap();
                assert!(matches!(survey.add("127.0.0.4"), Err(Error::Full)));
                assert_eq!(open(), before);
                while survey.advance(None).unwrap() != Step::Done {}
                let routes: Vec<Route> = std::iter::from_fn(|| survey.take()).collect();
                assert!(survey.is_empty() && survey.has_room());
                for (route, target) in routes.iter().zip(["127.0.0.2", "127.0.0.3"]) {
                    let replies: Vec<IpAddr> = route
                        .hops()
                        .flat_map(|hop| hop.replies())
                        .map(|reply| reply.from)
                        .collect();
                    assert_eq!(replies, [target.parse::<IpAddr>().unwrap(); 3]);
                }
                assert_eq!(routes.len(), 2);
            }
        },
    );
}

#[test]
fn answers_can_be_taken_as_they_come_each_with_its_host() {
    in_namespace(
        "list::tests::answers_can_be_taken_as_they_come_each_with_its_host",
        PERMIT_PING,
        || {
            for kind in KINDS {
                // Slowly: at full speed hops beyond the target are probed too, and their answers
                // are in no hop of the route.
                let mut survey =
                    Survey::new(&Settings::new().attempts(3).socket(kind), 100, 10).unwrap();
                for host in ["127.0.0.2", "127.0.0.3"] {
                    survey.add(host).unwrap();
                    let started = survey.take_started().unwrap();
                    assert_eq!(
                        (started.host.as_str(), started.source),
                        (host, IpAddr::from([127, 0, 0, 1]))
                    );
                }
                let mut heard = Vec::new();
                while survey.advance(None).unwrap() != Step::Done {
                    heard.extend(std::iter::from_fn(|| {
                        survey.take_reply().map(|heard| heard.host.to_owned())
                    }));
                }
                heard.extend(std::iter::from_fn(|| {
                    survey.take_reply().map(|heard| heard.host.to_owned())
                }));
                let answered = |route: &Route| route.hops().flat_map(|hop| hop.replies()).count();
                for route in std::iter::from_fn(|| survey.take()) {
                    assert_eq!(
                        heard
                            .iter()
                            .filter(|host| **host == route.summary().host)
                            .count(),
                        answered(&route)
                    );
                }
                assert!(heard.len() >= 6, "{heard:?}");
            }
        },
    );
}

#[test]
fn a_host_that_can_not_be_traced_is_a_result_among_the_others() {
    in_namespace(
        "list::tests::a_host_that_can_not_be_traced_is_a_result_among_the_others",
        "",
        || {
            let hosts = ["127.0.0.2", "no such host", "192.0.2.1", "127.0.0.3"];
            let mut results: Vec<(String, bool)> = Settings::new()
                .many(hosts)
                .outage_limit(Duration::ZERO)
                .start()
                .unwrap()
                .map(|(host, route)| (host, route.is_ok_and(|route| route.reached())))
                .collect();
            results.sort();
            let expected = [
                ("127.0.0.2", true),
                ("127.0.0.3", true),
                ("192.0.2.1", false),
                ("no such host", false),
            ];
            assert_eq!(
                results,
                expected.map(|(host, reached)| (host.to_owned(), reached))
            );
        },
    );
}

#[test]
fn a_confined_survey_goes_on_taking_addresses() {
    in_namespace(
        "list::tests::a_confined_survey_goes_on_taking_addresses",
        PERMIT_PING,
        || {
            let mut surveys = KINDS.map(|kind| {
                Survey::new(&Settings::new().socket(kind).interface("lo"), 100_000, 100).unwrap()
            });
            let _ = surveys[0].confine().unwrap();
            for survey in &mut surveys {
                for host in hosts(50) {
                    let address: IpAddr = host.parse().unwrap();
                    survey
                        .add_found(&host, Ok((address, 0).into()), None)
                        .unwrap();
                }
                while survey.advance(None).unwrap() != Step::Done {}
                let routes: Vec<Route> = std::iter::from_fn(|| survey.take()).collect();
                assert_eq!(
                    routes
                        .iter()
                        .filter(|route| route.distance() == Some(1))
                        .count(),
                    51
                );
                survey.outage_limit(Duration::ZERO);
                survey.add("localhost").unwrap();
                while survey.advance(None).unwrap() != Step::Done {}
                assert!(survey.take_lost().is_some(), "a name needs files");
            }
        },
    );
}

#[test]
fn a_confined_survey_asks_for_routes_from_the_source_that_was_given() {
    const TEST: &str =
        "list::tests::a_confined_survey_asks_for_routes_from_the_source_that_was_given";
    in_namespace(TEST, PERMIT_PING, || {
        let source = IpAddr::from([127, 0, 0, 9]);
        let settings = |kind| {
            Settings::new()
                .family(AddressFamily::V4)
                .socket(kind)
                .source(source)
                .interface("lo")
        };
        let mut surveys = KINDS.map(|kind| Survey::new(&settings(kind), 100_000, 100).unwrap());
        let _ = surveys[0].confine().unwrap();
        for survey in &mut surveys {
            for host in 1..=20 {
                assert_eq!(
                    survey
                        .add_as(&settings(KINDS[0]), "host", ([127, 0, 1, host], 0).into())
                        .unwrap(),
                    source
                );
            }
            while survey.advance(None).unwrap() != Step::Done {}
            assert!(std::iter::from_fn(|| survey.take()).all(|route| route.distance() == Some(1)));
        }
    });
}

#[test]
fn a_survey_that_is_interrupted_ends_with_what_is_known() {
    in_namespace(
        "list::tests::a_survey_that_is_interrupted_ends_with_what_is_known",
        "",
        || {
            let mut survey = Survey::new(&Settings::new(), 1, 10).unwrap();
            survey.add("127.0.0.2").unwrap();
            survey.add("127.0.0.3").unwrap();
            survey.advance(None).unwrap();
            survey.interrupt();
            assert_eq!(survey.advance(None).unwrap(), Step::Done);
            let reasons: Vec<_> = std::iter::from_fn(|| survey.take())
                .map(|route| route.stop_reason())
                .collect();
            assert_eq!(reasons.len(), 2);
            assert_eq!(reasons[1], Some(StopReason::Interrupted));
        },
    );
}

#[test]
fn a_survey_whose_hosts_wait_sleeps_whatever_arrives() {
    in_namespace(
        "list::tests::a_survey_whose_hosts_wait_sleeps_whatever_arrives",
        PERMIT_PING,
        || {
            for kind in KINDS {
                let mut survey = Survey::new(&Settings::new().socket(kind), 1000, 10).unwrap();
                survey.add("192.0.2.1").unwrap();
                // A raw socket hears the answers to others too.
                Settings::new()
                    .socket(SocketKind::Raw)
                    .trace("127.0.0.3")
                    .run()
                    .unwrap();
                let (start, mut awakenings) = (clock::now(), 0);
                while clock::now().saturating_since(start) < Duration::from_millis(300) {
                    survey
                        .advance_within(None, Duration::from_millis(300))
                        .unwrap();
                    awakenings += 1;
                }
                assert!(awakenings <= 20, "{kind:?}: {awakenings}");
            }
        },
    );
}

#[test]
fn a_survey_wakes_up_less_often_than_it_has_probes_to_send() {
    in_namespace(
        "list::tests::a_survey_wakes_up_less_often_than_it_has_probes_to_send",
        "",
        || {
            let mut survey =
                Survey::new(&Settings::new().memory(&crate::Memory::none()), 10_000, 300).unwrap();
            for host in hosts(250) {
                survey.add(&host).unwrap();
            }
            let mut awakenings = 0;
            while survey.advance(None).unwrap() != Step::Done {
                awakenings += 1;
            }
            let probes: usize = std::iter::from_fn(|| survey.take())
                .map(|route| route.summary().probes_sent)
                .sum();
            assert!(
                awakenings * 4 < probes,
                "{awakenings} awakenings for {probes} probes"
            );
        },
    );
}

#[test]
fn however_fast_it_may_go_a_survey_looks_for_answers_after_every_eighth_probe() {
    in_namespace(
        "list::tests::however_fast_it_may_go_a_survey_looks_for_answers_after_every_eighth_probe",
        "",
        || {
            // One sweep over all hops, so that nothing but this bound decides how many probes go at
            // a time.
            let settings = Settings::new()
                .max_hops(64)
                .sweep(Sweep::Window { first: 64, step: 1 });
            let mut survey = Survey::new(&settings, 1_000_000, 1).unwrap();
            survey.add("127.0.0.2").unwrap();
            while survey.advance(None).unwrap() != Step::Done {}
            let route = survey.take().unwrap();
            // Loopback answers at once, or nearly: the first eight are all that go before that is
            // seen.
            assert_eq!(route.distance(), Some(1));
            assert!(
                route.summary().probes_sent.is_multiple_of(8) && route.summary().probes_sent < 48,
                "{}",
                route.summary().probes_sent
            );
        },
    );
}

/// Names that the server below waits for before it answers any.
const TOGETHER: usize = 8;

/// A name server on loopback that answers nobody before [`TOGETHER`] names were asked for. The
/// address of `hN.test` is 127.0.0.N.
fn serve_names(server: &std::net::UdpSocket) {
    let (mut held, mut names) = (Vec::new(), std::collections::BTreeSet::new());
    loop {
        let mut query = [0; 512];
        let (len, from) = server.recv_from(&mut query).unwrap();
        let label: String = query[13..13 + usize::from(query[12])]
            .iter()
            .map(|octet| char::from(*octet))
            .collect();
        names.insert(label.clone());
        held.push((query[..len].to_vec(), label, from));
        if names.len() < TOGETHER {
            continue;
        }
        for (query, label, from) in held.drain(..) {
            // Label, root and class follow the header (RFC 1035, section 4.1).
            let question = 12 + usize::from(query[12]) + "\u{4}test\0".len() + 1;
            let is_a = query[question..question + 2] == [0, 1];
            let mut answer = query[..question + 4].to_vec();
            answer[2..12].copy_from_slice(&[0x81, 0x80, 0, 1, 0, u8::from(is_a), 0, 0, 0, 0]);
            if is_a {
                answer.extend([0xc0, 12, 0, 1, 0, 1, 0, 0, 0, 60, 0, 4, 127, 0, 0]);
                answer.push(label[1..].parse().unwrap());
            }
            server.send_to(&answer, from).unwrap();
        }
    }
}

#[test]
fn names_are_looked_up_side_by_side() {
    const SERVER: &str = "
        file=$(mktemp); printf 'nameserver 127.0.0.1\\noptions timeout:5 attempts:1\\n' >$file
        mount --bind $file /etc/resolv.conf; rm $file; ";
    let test = "list::tests::names_are_looked_up_side_by_side";
    as_root_in_namespace(test, &format!("{PERMIT_PING}{SERVER}"), || {
        let server = std::net::UdpSocket::bind("127.0.0.1:53").unwrap();
        std::thread::spawn(move || serve_names(&server));
        let names = (1..=TOGETHER).map(|number| format!("h{number}.test"));
        let hosts: Vec<String> = names.chain(["127.0.0.99".to_owned()]).collect();
        let routes: HashMap<String, Route> = Settings::new()
            .many(hosts.clone())
            .outage_limit(Duration::ZERO)
            .start()
            .unwrap()
            .map(|(host, route)| (host, route.unwrap()))
            .collect();
        assert_eq!(routes.len(), hosts.len());
        for number in 1..=TOGETHER {
            let route = &routes[&format!("h{number}.test")];
            assert_eq!(
                route.summary().target,
                IpAddr::from([127, 0, 0, number as u8])
            );
            assert!(route.reached());
        }
    });
}

#[test]
fn a_survey_that_is_interrupted_names_the_hosts_that_were_looked_up() {
    const SILENT: &str = "
        file=$(mktemp); printf 'nameserver 127.0.0.1\\noptions timeout:5 attempts:1\\n' >$file
        mount --bind $file /etc/resolv.conf; rm $file; ";
    let test = "list::tests::a_survey_that_is_interrupted_names_the_hosts_that_were_looked_up";
    as_root_in_namespace(test, SILENT, || {
        let _silent = std::net::UdpSocket::bind("127.0.0.1:53").unwrap();
        let mut survey = Survey::new(&Settings::new(), 1_000, 10).unwrap();
        survey.add("h1.test").unwrap();
        survey.add("127.0.0.2").unwrap();
        while survey.take().is_none() {
            assert_eq!(survey.advance(None).unwrap(), Step::Running);
        }
        assert!(!survey.is_empty() && survey.take_lost().is_none());
        survey.interrupt();
        assert_eq!(survey.take_lost().unwrap().0, "h1.test");
        assert!(survey.is_empty() && survey.advance(None).unwrap() == Step::Done);
    });
}

#[test]
fn names_that_are_found_while_there_is_no_room_begin_as_soon_as_there_is() {
    let test = "list::tests::names_that_are_found_while_there_is_no_room_begin_as_soon_as_there_is";
    in_namespace(test, PERMIT_PING, || {
        let begun = std::time::Instant::now();
        let many = Settings::new().many(["localhost"; 40]).at_once(1);
        let reached = many.start().unwrap();
        let reached = reached.filter(|(_, route)| route.as_ref().is_ok_and(Route::reached));
        assert_eq!(reached.count(), 40);
        // A second for each would be 40.
        assert!(begun.elapsed() < Duration::from_secs(20));
    });
}
