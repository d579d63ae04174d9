//! `--compare`: several protocols, or both families, side by side.

use crate::world::users::{Copy, NOBODY, can_be_nobody};
use crate::world::{FAMILIES, HOPSHOT, command_on_chain, hopshot, in_lab, in_scenario};
use hopshot_core::wire::AddressFamily;
use hopshot_lab::{Internet, Scenario};
use serde_json::{Value, json};

/// The address of a router of the scenario `compare` on its main path.
fn router(family: AddressFamily, hop: u8) -> String {
    let internet = Internet::new(&Scenario::named("compare").unwrap(), 1);
    let truth = internet.truth(family);
    truth.paths[0].hops[usize::from(hop) - 1]
        .unwrap()
        .to_string()
}

/// The words of a table's line.
fn words(line: &str) -> Vec<&str> {
    line.split_whitespace().collect()
}

#[test]
fn a_table_shows_where_paths_part_and_the_verdict_says_it() {
    for (family, target) in FAMILIES {
        let Some(said) = in_scenario("compare", &["--compare", "-n", target]) else {
            return;
        };
        let lines: Vec<&str> = said.stdout.lines().collect();
        assert!(lines[0].starts_with("comparing paths to "), "{}", lines[0]);
        assert_eq!(
            words(lines[1]),
            ["hop", "ICMP", "UDP", "33434", "TCP", "443"]
        );
        let [third, fourth, refuser] = [3, 4, 9].map(|hop| router(family, hop));
        // One line where all sides agree, with a time of each.
        assert_eq!(words(lines[4])[..2], ["3", &third], "{}", lines[4]);
        assert_eq!(words(lines[4]).len(), 2 + 3 * 2);
        // Two where they don't: ICMP and UDP by one address, TCP by the other.
        assert_eq!(words(lines[5])[..2], ["4", &fourth], "{}", lines[5]);
        assert_eq!((words(lines[5]).len(), words(lines[6]).len()), (6, 3));
        let refused = lines.iter().find(|line| line.contains("!X")).unwrap();
        assert_eq!(words(refused), ["10", &refuser, "!X", "!X"]);
        assert_eq!(words(lines[lines.len() - 4]), ["[open]"]);
        let filtered = format!("ICMP and UDP 33434 stop after hop 9: filtered by {refuser}");
        assert_eq!(lines[lines.len() - 3], filtered);
        let open = lines[lines.len() - 2];
        assert!(open.starts_with("TCP 443 gets there: open, "), "{open}");
        let parting = format!("Paths part at hop 4: ICMP and UDP 33434 by {fourth}, TCP 443 by ");
        assert!(lines[lines.len() - 1].starts_with(&parting), "{lines:?}");
        assert_eq!((said.status, said.stderr.as_str()), (0, ""));
        // Columns are in line.
        let ends: Vec<usize> = lines[2..5].iter().map(|line| line.len()).collect();
        assert!(ends.iter().all(|end| *end == lines[1].len()), "{lines:?}");
    }
}

#[test]
fn a_document_has_all_routes_and_the_verdict() {
    for (family, target) in FAMILIES {
        let args = ["--compare=tcp,icmp", "--json", "-n", target];
        let Some(said) = in_scenario("compare", &args) else {
            return;
        };
        let document = said.json();
        assert_eq!((said.status, &document["reached"]), (0, &true.into()));
        let sides = document["sides"].as_array().unwrap();
        let names: Vec<&Value> = sides.iter().map(|side| &side["side"]).collect();
        assert_eq!(names, ["tcp:443", "icmp"]);
        assert_eq!(sides[0]["route"]["stop_reason"], "reached");
        assert_eq!(sides[0]["route"]["hops"].as_array().unwrap().len(), 12);
        assert_eq!(sides[1]["route"]["reached"], false);
        let verdict = &document["verdict"];
        assert_eq!(
            (&verdict["alike"], &verdict["parts_at"]),
            (&false.into(), &4.into())
        );
        let ended =
            json!({"side": "icmp", "end": "filtered", "after_hop": 9, "by": router(family, 9)});
        assert_eq!(verdict["ends"][1], ended);
        assert_eq!(verdict["ends"][0]["port_state"], "open");
        assert_eq!(verdict["ways"].as_array().unwrap().len(), 2);
        assert_eq!(verdict["sentences"].as_array().unwrap().len(), 3);
        assert!(document["settings"].is_object() && document["version"].is_string());
    }
}

#[test]
fn the_status_is_that_of_the_sides_by_tcp_or_of_any_side_without() {
    for (scenario, sides, status) in [
        ("wan", "icmp,udp", 0),
        ("wan", "tcp,tcp:81", 0),
        ("tcp-filtered", "icmp,tcp", 1),
        ("tcp-filtered", "icmp,tcp:80", 0),
        ("tcp-filtered", "icmp,quic", 0),
        ("deadtarget", "icmp,udp", 1),
    ] {
        let option = format!("--compare={sides}");
        let Some(said) = in_scenario(scenario, &[&option, "-n", "-q1", "{4}"]) else {
            return;
        };
        assert_eq!(said.status, status, "{scenario} {sides}: {}", said.stdout);
    }
}

#[test]
fn both_families_of_a_name_are_compared_by_the_protocol_that_is_asked_for() {
    let Some(said) = in_scenario("wan", &["--compare=4,6", "-T", "{name}"]) else {
        return;
    };
    let lines: Vec<&str> = said.stdout.lines().collect();
    assert!(lines[0].contains("TCP port 443"), "{}", lines[0]);
    assert_eq!(words(lines[1]), ["hop", "IPv4", "IPv6"]);
    let last = lines.last().unwrap();
    assert!(last.starts_with("No difference seen: IPv4 80."), "{last}");
    assert!(last.ends_with(" ms (open)") && said.status == 0, "{last}");
    let Some(said) = in_scenario("wan", &["--compare=6,4", "--json", "{name}"]) else {
        return;
    };
    let document = said.json();
    assert_eq!(document["target"]["address"], Value::Null);
    let of = |side: usize| document["sides"][side]["route"]["target"]["address"].clone();
    assert!(of(0).as_str().unwrap().contains(':') && !of(1).as_str().unwrap().contains(':'));
}

#[test]
fn on_real_routers_a_rule_against_udp_is_found_and_tcp_gets_there() {
    // In IPv4 the kernel limits what it says of such a rule.
    let rule = "2=ip rule add ipproto udp blackhole; ip -6 rule add ipproto udp prohibit";
    for (target, told) in [
        (
            "10.4.0.1",
            "UDP 33434 is silent after hop 1: filtered, lost, or an open port that says nothing",
        ),
        (
            "2001:db8:4::1",
            "UDP 33434 stops after hop 1: filtered by 2001:db8:2::1",
        ),
    ] {
        let lab = ["--serve", "4430", "--at", rule];
        let sides = "--compare=icmp,udp,tcp:4430,tcp:4431";
        let Some(said) = command_on_chain(3, &lab, &[HOPSHOT, sides, "-n", target]) else {
            return;
        };
        let lines: Vec<&str> = said.stdout.lines().collect();
        let verdict = &lines[lines.len() - 4..];
        assert!(verdict[0].starts_with("ICMP gets there: "), "{lines:?}");
        assert_eq!(verdict[1], told, "{lines:?}");
        let [open, closed] = ["4430 gets there: open, ", "4431 gets there: closed, "];
        assert!(verdict[2].starts_with(&format!("TCP {open}")), "{lines:?}");
        assert!(
            verdict[3].starts_with(&format!("TCP {closed}")),
            "{lines:?}"
        );
        assert_eq!((said.status, said.stderr.as_str()), (0, ""));
    }
}

#[test]
fn a_side_without_a_socket_says_why_and_the_others_go_on() {
    if !can_be_nobody("compare") {
        return;
    }
    let copy = Copy::new("compare");
    for (_, target) in FAMILIES {
        // No privilege, and no ping sockets: UDP sockets are for everybody.
        let command = [
            &NOBODY[..],
            &[copy.path(), "--compare=icmp,udp,udp:53", "-n", target],
        ]
        .concat();
        let Some(said) = in_lab(&["run", "wan", "--"], &command) else {
            return;
        };
        let lines: Vec<&str> = said.stdout.lines().collect();
        let verdict = &lines[lines.len() - 3..];
        // Each has its own socket, whose port it is.
        let refused = "ICMP failed: neither raw nor ping sockets are permitted";
        assert!(verdict[0].starts_with(refused), "{lines:?}");
        assert!(
            verdict[1].starts_with("UDP 33434 gets there: closed, "),
            "{lines:?}"
        );
        assert!(
            verdict[2].starts_with("UDP 53 gets there: closed, "),
            "{lines:?}"
        );
        assert_eq!(said.status, 0);
    }
}

#[test]
fn without_privilege_real_routers_show_the_same_to_all_sides() {
    const TEST: &str = "without_privilege_real_routers_show_the_same_to_all_sides";
    if !can_be_nobody(TEST) {
        return;
    }
    let copy = Copy::new("compare-chain");
    let rule = "2=ip -6 rule add ipproto udp prohibit";
    for (target, router) in [("10.4.0.1", None), ("2001:db8:4::1", Some("2001:db8:2::1"))] {
        // With ping sockets, and without: then UDP goes along to check who answers TCP.
        for has_pings in [true, false] {
            let lab = ["--serve", "4430", "--at", rule, "--ping"];
            let lab = &lab[..lab.len() - usize::from(!has_pings)];
            let sides = "--compare=icmp,udp,tcp:4430,tcp:4431";
            let args = [copy.path(), sides, "-n", target];
            let Some(said) = command_on_chain(3, lab, &[&NOBODY[..], &args].concat()) else {
                return;
            };
            let lines: Vec<&str> = said.stdout.lines().collect();
            // The first hop is one router to all.
            let first: Vec<&&str> = lines.iter().filter(|it| it.starts_with(" 1 ")).collect();
            assert_eq!(first.len(), 1, "{lines:?}");
            let asked = if has_pings { 4 } else { 3 };
            assert_eq!(words(first[0]).len(), 2 + asked * 2, "{lines:?}");
            let udp = match router {
                None => "UDP 33434 gets there: closed, ".to_owned(),
                Some(by) => format!("UDP 33434 stops after hop 1: filtered by {by}"),
            };
            let verdict = [
                if has_pings {
                    "ICMP gets there: "
                } else {
                    "ICMP failed: "
                },
                &udp,
                "TCP 4430 gets there: open, ",
                "TCP 4431 gets there: closed, ",
            ];
            let is_alike = has_pings && router.is_none();
            if is_alike {
                assert!(
                    lines
                        .last()
                        .unwrap()
                        .starts_with("No difference seen: ICMP ")
                );
            } else {
                for (told, start) in lines[lines.len() - 4..].iter().zip(verdict) {
                    assert!(told.starts_with(start), "{lines:?}");
                }
            }
            assert_eq!((said.status, said.stderr.as_str()), (0, ""));
        }
    }
}

#[test]
fn with_paths_each_side_has_its_graph_and_one_sentence_says_where_routers_differ() {
    for (family, target) in FAMILIES {
        let args = ["--compare=icmp,tcp", "--paths", "-n", target];
        let Some(said) = in_scenario("compare", &args) else {
            return;
        };
        let lines: Vec<&str> = said.stdout.lines().collect();
        assert!(lines[0].starts_with("comparing all paths to "), "{lines:?}");
        assert_eq!(lines[1], "ICMP", "{lines:?}");
        let second = lines.iter().position(|line| *line == "TCP 443").unwrap();
        // A graph and its sentences for each.
        let count = |lines: &[&str]| lines.iter().filter(|it| it.contains("1 path: ")).count();
        assert_eq!(
            (count(&lines[..second]), count(&lines[second..])),
            (1, 1),
            "{lines:?}"
        );
        let start = format!(
            "Routers differ at hops 4 to 9: ICMP by {}, TCP 443 by ",
            router(family, 4)
        );
        assert!(lines.last().unwrap().starts_with(&start), "{lines:?}");
        assert_eq!((said.status, said.stderr.as_str()), (0, ""));
        let Some(said) = in_scenario("compare", &[&args[..], &["--json"]].concat()) else {
            return;
        };
        let document = said.json();
        let sides = document["sides"].as_array().unwrap();
        let names: Vec<&Value> = sides.iter().map(|side| &side["side"]).collect();
        assert_eq!(names, ["icmp", "tcp:443"]);
        assert!(sides.iter().all(|side| side["graph"]["nodes"].is_array()));
        let differences = document["verdict"]["differences"].as_array().unwrap();
        let hops: Vec<&Value> = differences.iter().map(|it| &it["hop"]).collect();
        assert_eq!(hops, [4, 5, 6, 7, 8, 9]);
        assert!(document["settings"].is_object() && document["version"].is_string());
    }
}

#[test]
fn all_paths_of_both_families_are_found_and_not_compared() {
    let Some(said) = in_scenario("ecmp", &["--compare=4,6", "--paths", "-n", "{name}"]) else {
        return;
    };
    let lines: Vec<&str> = said.stdout.lines().collect();
    assert!(
        lines.contains(&"IPv4") && lines.contains(&"IPv6"),
        "{lines:?}"
    );
    let last = lines.last().unwrap();
    assert!(
        last.starts_with("Families have no addresses in common: "),
        "{last}"
    );
    assert_eq!(said.status, 0);
}

#[test]
fn a_kind_of_socket_goes_with_sides_that_it_can_send() {
    for (_, target) in FAMILIES {
        for (sides, socket) in [
            ("--compare=tcp:443,tcp:22", "tcp"),
            ("--compare=udp,quic", "udp"),
        ] {
            let args = ["-n", "-q1", "--json", sides, "--socket", socket, target];
            let Some(said) = in_scenario("wan", &args) else {
                return;
            };
            let document = said.json();
            let of_side = |side: &Value| side["route"]["socket"].clone();
            let sockets: Vec<Value> = document["sides"]
                .as_array()
                .unwrap()
                .iter()
                .map(of_side)
                .collect();
            assert_eq!(sockets, [socket, socket], "{sides}: {}", said.stderr);
        }
    }
}

#[test]
fn what_makes_no_sense_beside_a_comparison_is_refused_with_the_reason() {
    for (args, why) in [
        (
            "--compare -T ::1",
            "--compare can't be used with --icmp, --tcp or --udp: ",
        ),
        (
            "--compare -p 22 ::1",
            "--compare can't be used with --port: ",
        ),
        (
            "--compare=4,6 ::1",
            "--compare=4,6 is for a name with addresses of both families",
        ),
        (
            "--compare=4,6 -6 name",
            "--compare can't be used with -4 or -6: ",
        ),
        (
            "--compare=4,6 -s ::1 name",
            "--compare can't be used with --source: ",
        ),
        (
            "--compare --source-port 5 ::1",
            "--compare can't be used with --source-port: ",
        ),
        (
            "--compare --flow 5 ::1",
            "--compare can't be used with --flow: ",
        ),
        (
            "--compare --ident 5 ::1",
            "--compare can't be used with --ident: ",
        ),
        (
            "--compare --size 99 ::1",
            "--compare can't be used with --size: ",
        ),
        (
            "--compare --socket ping ::1",
            "--socket ping can't send probes of the side udp:33434: leave --socket out",
        ),
        (
            "--compare --socket udp 127.0.0.1",
            "--socket udp can't send probes of the side icmp: leave --socket out",
        ),
        (
            "--compare --socket tcp ::1",
            "--socket tcp can't send probes of the side icmp: leave --socket out",
        ),
        (
            "--compare=tcp,tcp:22,quic --socket tcp 127.0.0.1",
            "--socket tcp can't send probes of the side quic:443: leave --socket out",
        ),
        (
            "--compare=4,6 --socket tcp name",
            "--socket tcp requires --tcp: it sends TCP only",
        ),
        (
            "--compare=4,6 -T --socket ping name",
            "--tcp can't be used with --socket ping, which sends ICMP only",
        ),
        ("--compare ::1 ::2", "--compare is for one host: give one"),
        (
            "--compare icmp,tcp ::1",
            "the sides stand behind '=': --compare=icmp,tcp",
        ),
        (
            "--compare icmp,tcp",
            "the sides stand behind '=': --compare=icmp,tcp",
        ),
        (
            "--compare --format csv ::1",
            "--compare supports the formats text and json only",
        ),
        (
            "--compare --json-stream ::1",
            "--compare supports the formats text and json only",
        ),
        ("--compare -e ::1", "-e goes with a single path as text"),
        (
            "--compare=icmp,udp --full-syn ::1",
            "--full-syn requires --tcp",
        ),
        (
            "--compare=icmp ::1",
            "invalid value 'icmp' for '--compare[=<SIDES>]': one alone is no ",
        ),
        (
            "--compare --watch ::1",
            "the argument '--compare[=<SIDES>]' cannot be used with ",
        ),
        (
            "--compare --paths --format dot ::1",
            "--compare supports the formats text and json only",
        ),
        (
            "--compare=tcp,tcp:22 --paths --socket tcp ::1",
            "--compare can't be used with --socket udp or tcp and --paths: ",
        ),
        (
            "--compare --mtu ::1",
            "the argument '--compare[=<SIDES>]' cannot be used with ",
        ),
        (
            "--compare --targets x",
            "the argument '--compare[=<SIDES>]' cannot be used with ",
        ),
    ] {
        let said = hopshot(&args.split(' ').collect::<Vec<_>>());
        assert_eq!((said.status, said.stdout.as_str()), (2, ""), "{args}");
        let expected = format!("hopshot: {why}");
        assert!(
            said.stderr.starts_with(&expected),
            "{args}: {}",
            said.stderr
        );
    }
}
