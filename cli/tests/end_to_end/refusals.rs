//! Kernels that know fewer options, or no sockets of a kind: what is only nice is done without and
//! told by `-v`, and an error names what is necessary and what to do.

use crate::errors::refused;
use crate::routes::check;
use crate::world::{FAMILIES, HOPSHOT, Said, command_in_scenario, lab};
use hopshot_core::wire::AddressFamily;
use hopshot_lab::{Internet, Scenario};
use serde_json::Value;

const SCENARIO: &str = "wan";

/// asm-generic/errno.h
const EPERM: u8 = 1;

const EMFILE: u8 = 24;

const ENOSYS: u8 = 38;

const ENOPROTOOPT: u8 = 92;

const EPROTONOSUPPORT: u8 = 93;

const ESOCKTNOSUPPORT: u8 = 94;

const EPFNOSUPPORT: u8 = 96;

const EAFNOSUPPORT: u8 = 97;

/// Runs hopshot where ping sockets are permitted, and what the options of the lab say is refused.
fn with_refused(refused: &[&str], args: &[&str]) -> Option<Said> {
    let lab = lab().to_str().unwrap();
    let command = [
        &[lab, "refuse"],
        refused,
        &["--", HOPSHOT, "-n", "-q1"],
        args,
    ]
    .concat();
    command_in_scenario(SCENARIO, true, &command)
}

/// An option of sockets: its name, level and number by family, and on which kinds of sockets it is
/// one.
struct Choice {
    names: [&'static str; 2],
    numbers: [[u16; 2]; 2],
    sockets: &'static [&'static str],
}

/// The same of both families.
const fn of_both(name: &'static str, number: [u16; 2], sockets: &'static [&'static str]) -> Choice {
    Choice {
        names: [name; 2],
        numbers: [number; 2],
        sockets,
    }
}

/// On both kinds of sockets.
const fn of_each(names: [&'static str; 2], numbers: [[u16; 2]; 2]) -> Choice {
    Choice {
        names,
        numbers,
        sockets: BOTH,
    }
}

const BOTH: &[&str] = &["raw", "ping"];

/// Each option that is done without. (linux/in.h, linux/in6.h, asm-generic/socket.h)
const NICETIES: [Choice; 10] = [
    of_both("SO_TIMESTAMPNS", [1, 35], BOTH),
    of_both("SO_TIMESTAMPING", [1, 37], BOTH),
    of_both("SO_RCVBUF", [1, 8], BOTH),
    of_both("SO_SNDBUF", [1, 7], BOTH),
    of_both("SO_REUSEADDR", [1, 2], &["ping"]),
    Choice {
        names: ["ICMP_FILTER", "ICMPV6_FILTER"],
        numbers: [[255, 1], [58, 1]],
        sockets: &["raw"],
    },
    of_each(
        ["IP_MTU_DISCOVER", "IPV6_MTU_DISCOVER"],
        [[0, 10], [41, 23]],
    ),
    Choice {
        names: ["IP_RECVERR", "IPV6_RECVERR"],
        numbers: [[0, 11], [41, 25]],
        sockets: &["raw"],
    },
    of_each(["IP_RECVTTL", "IPV6_RECVHOPLIMIT"], [[0, 12], [41, 51]]),
    Choice {
        names: ["IP_RECVERR_RFC4884", "IPV6_RECVERR_RFC4884"],
        numbers: [[0, 26], [41, 31]],
        sockets: &["ping"],
    },
];

fn assert_true(said: &Said, family: AddressFamily, what: &str) -> Value {
    let document = said.json();
    let truth = Internet::new(&Scenario::named(SCENARIO).unwrap(), 1).truth(family);
    check(SCENARIO, &document, &truth, true);
    assert_eq!(
        (said.status, document["distance"].as_u64()),
        (0, truth.distance().map(u64::from)),
        "{what}: {document}"
    );
    document
}

#[test]
fn each_option_that_is_only_nice_is_done_without_and_told() {
    for choice in NICETIES {
        for (index, (family, target)) in FAMILIES.into_iter().enumerate() {
            let (name, [level, number]) = (choice.names[index], choice.numbers[index]);
            // An IPv4 header has the hop limit in it, where it is seen.
            let sockets = if name == "IP_RECVTTL" {
                &["ping"]
            } else {
                choice.sockets
            };
            for socket in sockets {
                let option = format!("{level}:{number}:{ENOPROTOOPT}");
                // Root may have any buffer by SO_RCVBUFFORCE and SO_SNDBUFFORCE.
                let [force, force_send] = [33, 32].map(|number| format!("1:{number}:{EPERM}"));
                let args = ["--json", "-v", "--precise", "--socket", socket, target];
                let Some(said) = with_refused(
                    &[
                        "--option",
                        &option,
                        "--option",
                        &force,
                        "--option",
                        &force_send,
                    ],
                    &args,
                ) else {
                    return;
                };
                let what = format!("{name} on {socket} sockets");
                let document = assert_true(&said, family, &what);
                assert!(
                    said.stderr
                        .contains(&format!(" without {name} (Protocol not available): ")),
                    "{}",
                    said.stderr
                );
                let probe = &document["hops"][3]["probes"][0];
                let clock = |end: &str| probe[end].as_str();
                match name {
                    "SO_TIMESTAMPNS" => assert_eq!(clock("clock"), Some("user"), "{what}: {probe}"),
                    "SO_TIMESTAMPING" => {
                        assert_eq!(clock("sent_clock"), Some("user"), "{what}: {probe}");
                    }
                    "IP_RECVTTL" | "IPV6_RECVHOPLIMIT" => {
                        assert!(probe["reply_ttl"].is_null(), "{what}: {probe}");
                    }
                    _ => {}
                }
            }
        }
    }
}

#[test]
fn without_any_of_them_a_trace_is_right_as_well_alone_and_in_a_list() {
    let mut options = vec!["--option".to_owned(), format!("1:26:{ENOPROTOOPT}")];
    for number in NICETIES.iter().flat_map(|choice| choice.numbers) {
        options.extend([
            "--option".to_owned(),
            format!("{}:{}:{ENOPROTOOPT}", number[0], number[1]),
        ]);
    }
    // Raw sockets alone: to the others one of these is necessary.
    let options: Vec<&str> = options.iter().map(String::as_str).collect();
    for (family, target) in FAMILIES {
        for sandbox in [&[][..], &["--no-sandbox"]] {
            let args = [sandbox, &["-v", "--json", "--socket", "raw", target]].concat();
            let Some(said) = with_refused(&options, &args) else {
                return;
            };
            assert_true(&said, family, "nothing nice");
            assert_eq!(
                said.stderr.matches("without SO_ATTACH_FILTER").count(),
                1,
                "{}",
                said.stderr
            );
        }
        let Some(said) = with_refused(
            &options,
            &["-v", "--json", "--socket", "raw", target, target],
        ) else {
            return;
        };
        assert_eq!(
            (said.status, said.stdout.matches("\"reached\":true").count()),
            (0, 2),
            "{}",
            said.stdout
        );
        assert!(
            said.stderr.contains("without SO_ATTACH_FILTER"),
            "{}",
            said.stderr
        );
    }
}

#[test]
fn without_what_is_only_nice_paths_sizes_and_watches_work_as_well_on_either_socket() {
    let modes: [(&[&str], &str); 3] = [
        (&["--paths"], "none"),
        (&["--mtu"], "_MTU_DISCOVER"),
        (&["--watch", "--count", "1"], "none"),
    ];
    for (index, (_, target)) in FAMILIES.into_iter().enumerate() {
        for (socket, (mode, necessary)) in BOTH
            .iter()
            .flat_map(|socket| modes.map(|mode| (*socket, mode)))
        {
            let is_nice = |choice: &&Choice| {
                let name = choice.names[index];
                !name.ends_with(necessary) && (socket == "raw" || !name.ends_with("_RECVERR"))
            };
            let option = |choice: &Choice| {
                let [level, number] = choice.numbers[index];
                format!("{level}:{number}:{ENOPROTOOPT}")
            };
            let options: Vec<String> = NICETIES.iter().filter(is_nice).map(option).collect();
            let refuse: Vec<&str> = options
                .iter()
                .flat_map(|option| ["--option", option])
                .collect();
            let Some(said) = with_refused(&refuse, &[mode, &["--socket", socket, target]].concat())
            else {
                return;
            };
            assert_eq!(
                (said.status, said.stderr.as_str()),
                (0, ""),
                "{mode:?} {socket} {target}: {}",
                said.stdout
            );
        }
    }
}

#[test]
fn an_option_that_is_necessary_is_an_error_with_its_name_and_what_to_do() {
    for (index, (_, target)) in FAMILIES.into_iter().enumerate() {
        let errors = of_each(["IP_RECVERR", "IPV6_RECVERR"], [[0, 11], [41, 25]]);
        let cases: [(&[&str], Choice, &str); 7] = [
            (
                &[],
                Choice {
                    sockets: &["ping"],
                    ..errors
                },
                "use raw sockets",
            ),
            (
                &["--mtu"],
                of_each(
                    ["IP_MTU_DISCOVER", "IPV6_MTU_DISCOVER"],
                    [[0, 10], [41, 23]],
                ),
                "asking for the MTU",
            ),
            (
                &["--mtu"],
                of_each(["IP_MTU", "IPV6_MTU"], [[0, 14], [41, 24]]),
                "asking for the MTU",
            ),
            (
                &["-F"],
                of_each(
                    ["IP_MTU_DISCOVER", "IPV6_MTU_DISCOVER"],
                    [[0, 10], [41, 23]],
                ),
                "let probes be fragmented",
            ),
            (
                &["-t", "8"],
                of_each(["IP_TOS", "IPV6_TCLASS"], [[0, 1], [41, 67]]),
                "leave the traffic class out",
            ),
            (
                &["--mark", "8"],
                of_both("SO_MARK", [1, 36], BOTH),
                "leave the mark out",
            ),
            (
                &["-i", "hopshot0"],
                of_both("SO_BINDTODEVICE", [1, 25], BOTH),
                "leave the interface to the routing table",
            ),
        ];
        for (
            args,
            Choice {
                names,
                numbers,
                sockets,
            },
            remedy,
        ) in cases
        {
            let [level, number] = numbers[index];
            let by_number = format!("1:62:{ENOPROTOOPT}");
            let option = format!("{level}:{number}:{ENOPROTOOPT}");
            let refuse = ["--option", &option, "--option", &by_number];
            for socket in sockets {
                let Some(said) =
                    with_refused(&refuse, &[args, &["--socket", socket, target]].concat())
                else {
                    return;
                };
                refused(
                    &said,
                    &format!(
                        "can't set the socket option {}: Protocol not available",
                        names[index]
                    ),
                );
                assert!(said.stderr.contains(remedy), "{}", said.stderr);
            }
        }
        // By its name an interface is found also where it can't be by its number.
        let by_number = format!("1:62:{ENOPROTOOPT}");
        let Some(said) = with_refused(&["--option", &by_number], &["-i", "hopshot0", target])
        else {
            return;
        };
        assert_eq!((said.status, said.stderr.as_str()), (0, ""));
    }
}

/// Kinds of sockets that there are none of, and the error.
type Kinds<'a> = &'a [(&'a str, u8)];

/// socket.h: the family's number, and that of the type.
fn kind(family: AddressFamily, socket: &str, errno: u8) -> String {
    let family = if family == AddressFamily::V4 { 2 } else { 10 };
    format!("{family}:{}:{errno}", if socket == "raw" { 3 } else { 2 })
}

#[test]
fn where_there_are_no_sockets_of_one_kind_those_of_the_other_are_taken_and_the_reason_is_told() {
    let errors = [
        (EPERM, "Operation not permitted"),
        (ENOSYS, "Function not implemented"),
        (EPROTONOSUPPORT, "Protocol not supported"),
        (ESOCKTNOSUPPORT, "Socket type not supported"),
        (EPFNOSUPPORT, "Protocol family not supported"),
        (EAFNOSUPPORT, "Address family not supported by protocol"),
    ];
    for (family, target) in FAMILIES {
        for (errno, words) in errors {
            let no_raw = kind(family, "raw", errno);
            let Some(said) = with_refused(&["--socket", &no_raw], &["--json", "-v", target]) else {
                return;
            };
            assert_eq!(assert_true(&said, family, words)["socket"], "ping");
            assert!(
                said.stderr
                    .contains(&format!("without raw sockets ({words}): ")),
                "{}",
                said.stderr
            );
            let Some(said) = with_refused(&["--socket", &no_raw], &["--json", target, target])
            else {
                return;
            };
            assert_eq!(
                (
                    said.status,
                    said.stdout.matches("\"socket\":\"ping\"").count()
                ),
                (0, 2),
                "{}",
                said.stderr
            );
        }
        let no_ping = kind(family, "ping", EPROTONOSUPPORT);
        let Some(said) = with_refused(&["--socket", &no_ping], &["--json", "-v", target]) else {
            return;
        };
        assert_eq!(
            assert_true(&said, family, "no ping sockets")["socket"],
            "raw"
        );
    }
}

#[test]
fn where_the_kernel_tells_nothing_of_neighbours_that_is_told_in_each_mode() {
    // linux/socket.h: AF_NETLINK, SOCK_RAW.
    let no_netlink = format!("16:3:{EAFNOSUPPORT}");
    for (_, target) in FAMILIES {
        for socket in BOTH {
            let modes: [&[&str]; 5] = [
                &[],
                &[target],
                &["--paths"],
                &["--mtu"],
                &["--watch", "--count", "1", "--every", "0.1"],
            ];
            for mode in modes {
                let args = [mode, &["-v", "--socket", socket, target]].concat();
                let Some(said) = with_refused(&["--socket", &no_netlink], &args) else {
                    return;
                };
                assert_eq!(said.status, 0, "{mode:?}: {} {}", said.stdout, said.stderr);
                let lack = " without rtnetlink (Address family not supported by protocol): ";
                assert!(said.stderr.contains(lack), "{mode:?}: {}", said.stderr);
            }
        }
    }
}

#[test]
fn where_there_are_no_sockets_the_error_says_which_and_what_to_do() {
    for (family, target) in FAMILIES {
        let refuse = |errors: Kinds<'_>, args: &[&str]| {
            let kinds: Vec<String> = errors
                .iter()
                .map(|(socket, errno)| kind(family, socket, *errno))
                .collect();
            let options: Vec<&str> = kinds.iter().flat_map(|kind| ["--socket", kind]).collect();
            with_refused(&options, &[args, &[target]].concat())
        };
        let family = if family == AddressFamily::V4 {
            "IPv4"
        } else {
            "IPv6"
        };
        let cases: [(Kinds<'_>, &[&str], String, &str); 5] = [
            (
                &[("raw", EPROTONOSUPPORT)],
                &["--socket", "raw"],
                format!("this kernel has no raw sockets for {family} (Protocol not supported)"),
                "use ping sockets",
            ),
            (
                &[("ping", EPROTONOSUPPORT)],
                &["--socket", "ping"],
                format!("this kernel has no ping sockets for {family} (Protocol not supported)"),
                "use raw sockets",
            ),
            (
                &[("raw", ESOCKTNOSUPPORT), ("ping", EPERM)],
                &[],
                "ping sockets aren't permitted to this user".to_owned(),
                "net.ipv4.ping_group_range",
            ),
            // The tests are root, who has the capability: something else forbids it.
            (
                &[("raw", EPERM), ("ping", EPERM)],
                &[],
                "neither raw nor ping sockets".to_owned(),
                "or sandbox",
            ),
            (
                &[("raw", EAFNOSUPPORT), ("ping", EAFNOSUPPORT)],
                &["--mtu"],
                format!("no ping sockets for {family} (Address family not supported by protocol)"),
                "use the other family",
            ),
        ];
        for (errors, args, words, remedy) in cases {
            let Some(said) = refuse(errors, args) else {
                return;
            };
            refused(&said, &words);
            assert!(said.stderr.contains(remedy), "{}", said.stderr);
        }
    }
}

#[test]
fn root_without_the_capability_is_given_advice_that_fits() {
    let [no_raw, no_admin] =
        ["-net_raw", "-net_raw,-net_admin"].map(|bounds| format!("--bounding-set={bounds}"));
    for (bounds, remedy) in [(&no_raw, "sudo sysctl"), (&no_admin, "docker run --sysctl")] {
        let drop = ["setpriv", bounds, "--inh-caps=-all", HOPSHOT, "{4}"];
        let Some(said) = command_in_scenario(SCENARIO, false, &drop) else {
            return;
        };
        refused(
            &said,
            "neither raw nor ping sockets are permitted to this user: ",
        );
        assert!(
            said.stderr.contains("docker run --cap-add NET_RAW") && said.stderr.contains(remedy),
            "{}",
            said.stderr
        );
        assert!(
            !said.stderr.contains("as root") && !said.stderr.contains("setcap"),
            "{}",
            said.stderr
        );
    }
}

#[test]
fn what_a_sandbox_forbids_is_not_taken_for_a_lack_of_open_files() {
    // systemd's RestrictAddressFamilies= says that there is no such family, other filters that
    // there is no such call.
    for (errno, why) in [
        (EPERM, "Operation not permitted"),
        (EAFNOSUPPORT, "Address family not supported by protocol"),
        (ENOSYS, "Function not implemented"),
    ] {
        let Some(said) = with_refused(&["--socketpair", &errno.to_string()], &["{4}"]) else {
            return;
        };
        refused(&said, why);
        let advice = "permit the calls socketpair";
        assert!(
            said.stderr.contains(advice) && !said.stderr.contains("ulimit"),
            "{}",
            said.stderr
        );
    }
    let Some(said) = with_refused(&["--socketpair", &EMFILE.to_string()], &["{4}"]) else {
        return;
    };
    assert!(said.stderr.contains("ulimit -n 64"), "{}", said.stderr);
}
