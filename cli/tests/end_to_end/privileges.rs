//! Who may trace, and how: root, a program with a capability, a set-user-ID program, and everybody
//! else with ping sockets.

use crate::errors::refused;
use crate::routes::check;
use crate::world::users::{Copy, NOBODY, can_be_nobody};
use crate::world::{FAMILIES, HOPSHOT, Said, command_in_scenario, in_lab, skip};
use hopshot_core::wire::AddressFamily;
use hopshot_lab::{Internet, Scenario};
use serde_json::Value;
use std::fs;
use std::net::IpAddr;
use std::process::Command;

/// The same, but a program may have its own privileges.
const NOBODY_YET: [&str; 6] = [
    "setpriv",
    "--reuid",
    "65534",
    "--regid",
    "65534",
    "--clear-groups",
];

/// The true route, by a socket of this kind; not every hop if answers may get lost, or are not to
/// be heard.
fn assert_true_route(scenario: &str, command: &[&str], socket: &str, complete: bool) {
    for (family, target) in FAMILIES {
        let command = [command, &["-n", "--json", target]].concat();
        let Some(said) = command_in_scenario(scenario, true, &command) else {
            return;
        };
        assert_eq!(said.stderr, "", "{scenario} {family:?}");
        assert_true(scenario, family, &said.json(), socket, complete);
    }
}

/// The true routes in both families, by one survey.
fn assert_true_survey(scenario: &str, command: &[&str], socket: &str, complete: bool) {
    let targets = FAMILIES.map(|(_, target)| target);
    let command = [command, &["-n", "--json"], &targets].concat();
    let Some(said) = command_in_scenario(scenario, true, &command) else {
        return;
    };
    assert_eq!(said.stderr, "", "{scenario}");
    let mut found = Vec::new();
    for line in said.stdout.lines() {
        let document: Value = serde_json::from_str(line)
            .unwrap_or_else(|error| panic!("{scenario}: {error} in {line:?}"));
        let address: IpAddr = document["target"]["address"]
            .as_str()
            .unwrap()
            .parse()
            .unwrap();
        assert_true(
            scenario,
            AddressFamily::of(address),
            &document,
            socket,
            complete,
        );
        found.push(address.is_ipv6());
    }
    found.sort_unstable();
    assert_eq!(found, [false, true], "{scenario}");
}

fn assert_true(
    scenario: &str,
    family: AddressFamily,
    document: &Value,
    socket: &str,
    complete: bool,
) {
    assert_eq!(document["socket"], socket);
    let internet = Internet::new(&Scenario::named(scenario).unwrap(), 1);
    let truth = internet.truth(family);
    check(scenario, document, &truth, complete);
    if document["stop_reason"] == "reached" {
        let distance = document["distance"].as_u64();
        assert!(
            distance == truth.distance().map(u64::from) || scenario == "ecmp-uneven",
            "{scenario}: {distance:?}"
        );
    }
}

/// What is the same with ping sockets: everything but what they can't hear. Routers that quote less
/// than the ICMP header ("truncated") or another ident than was sent ("nat-id") are silent to them,
/// as they are to everybody who can't tell whose answer that is.
const SCENARIOS: [(&str, bool); 24] = [
    ("short", true),
    ("wan", true),
    ("long", true),
    ("leap", true),
    ("silent", true),
    ("deadtarget", true),
    ("loss", false),
    ("dup", true),
    ("unreach", true),
    ("ratelimit", false),
    ("ratelimit-strict", false),
    ("slowhop", true),
    ("loop", true),
    ("ecmp", true),
    ("ecmp-packet", false),
    ("ecmp-uneven", false),
    ("dnat", true),
    ("partial", true),
    ("truncated", false),
    ("nat", true),
    ("nat-id", false),
    ("mpls", true),
    ("badchecksum", false),
    ("hostile", true),
];

#[test]
fn every_scenario_has_the_same_route_with_ping_sockets() {
    for (scenario, complete) in SCENARIOS {
        assert_true_route(scenario, &[HOPSHOT, "--socket", "ping"], "ping", complete);
    }
}

#[test]
fn every_scenario_has_the_same_route_for_an_unprivileged_user() {
    if !can_be_nobody("every_scenario_has_the_same_route_for_an_unprivileged_user") {
        return;
    }
    let copy = Copy::new("nobody");
    for (scenario, complete) in SCENARIOS {
        assert_true_route(
            scenario,
            &[&NOBODY[..], &[copy.path()]].concat(),
            "ping",
            complete,
        );
    }
}

#[test]
fn every_scenario_has_the_same_routes_in_a_survey_with_either_socket() {
    for (scenario, complete) in SCENARIOS {
        // What only ping sockets don't hear raw ones may.
        for socket in ["raw", "ping"] {
            assert_true_survey(scenario, &[HOPSHOT, "--socket", socket], socket, complete);
        }
    }
}

#[test]
fn every_scenario_has_the_same_routes_in_a_survey_of_an_unprivileged_user() {
    if !can_be_nobody("every_scenario_has_the_same_routes_in_a_survey_of_an_unprivileged_user") {
        return;
    }
    let copy = Copy::new("surveyor");
    for (scenario, complete) in SCENARIOS {
        assert_true_survey(
            scenario,
            &[&NOBODY[..], &[copy.path()]].concat(),
            "ping",
            complete,
        );
    }
}

#[test]
fn a_capability_or_a_set_user_id_is_enough_for_raw_sockets() {
    const TEST: &str = "a_capability_or_a_set_user_id_is_enough_for_raw_sockets";
    if !can_be_nobody(TEST) {
        return;
    }
    let copy = Copy::new("privileged");
    let command = [&NOBODY_YET[..], &[copy.path()]].concat();
    match Command::new("setcap")
        .args(["cap_net_raw+ep", copy.path()])
        .output()
    {
        Ok(output) if output.status.success() => assert_true_route("short", &command, "raw", true),
        Ok(output) => skip(TEST, String::from_utf8_lossy(&output.stderr).trim()),
        Err(error) => skip(TEST, &format!("setcap: {error}")),
    }
    let copy = Copy::new("set-user-id");
    copy.permit(0o4755);
    assert_true_route(
        "short",
        &[&NOBODY_YET[..], &[copy.path()]].concat(),
        "raw",
        true,
    );
}

/// Calls `check` with a copy that has a file capability, and with one that is set-user-ID.
fn with_privileged_copies(test: &str, check: impl Fn(&Copy)) {
    if !can_be_nobody(test) {
        return;
    }
    let copy = Copy::new(&format!("{test}-capable"));
    match Command::new("setcap")
        .args(["cap_net_raw,cap_net_admin+ep", copy.path()])
        .output()
    {
        Ok(output) if output.status.success() => check(&copy),
        Ok(output) => skip(test, String::from_utf8_lossy(&output.stderr).trim()),
        Err(error) => skip(test, &format!("setcap: {error}")),
    }
    for mode in [0o4755, 0o2755] {
        let copy = Copy::new(&format!("{test}-{mode:o}"));
        copy.permit(mode);
        check(&copy);
    }
}

#[test]
fn who_has_the_privilege_of_the_program_has_bounds_and_root_has_none() {
    with_privileged_copies("bounds", |copy| {
        for (_, target) in FAMILIES {
            for (args, words) in [
                (&["--rate", "1001"][..], "--rate may be at most 1000"),
                (&["--rate", "1000000", target], "--rate may be at most 1000"),
                (&["--paths", "--rate", "2000"], "--rate may be at most 1000"),
                (
                    &["--watch", "--count", "1", "--rate", "2000"],
                    "--rate may be at most 1000",
                ),
                (&["--mtu", "--rate", "2000"], "--rate may be at most 1000"),
                (&["--size", "1501"], "--size may be at most 1500"),
                (&["--mark", "7"], "--mark is not permitted"),
            ] {
                let command = [&NOBODY_YET[..], &[copy.path(), "-n", target], args].concat();
                let Some(said) = command_in_scenario("short", true, &command) else {
                    return;
                };
                refused(&said, words);
                assert!(
                    said.stderr.contains("run it as root for more (sudo)"),
                    "{}",
                    said.stderr
                );
            }
        }
        let most = ["--rate", "1000", "--size", "1500", "-n", "{4}"];
        let Some(said) = command_in_scenario(
            "short",
            true,
            &[&NOBODY_YET[..], &[copy.path()], &most].concat(),
        ) else {
            return;
        };
        assert_eq!((said.status, said.stderr.as_str()), (0, ""));
        let more = [
            "--rate", "5000", "--size", "1600", "--mark", "7", "-n", "{4}",
        ];
        for command in [&[copy.path()][..], &["env", "-i", copy.path()]] {
            let Some(said) = command_in_scenario("short", true, &[command, &more].concat()) else {
                return;
            };
            assert_eq!((said.status, said.stderr.as_str()), (0, ""));
        }
    });
}

#[test]
fn a_file_of_options_is_no_way_around_the_bounds() {
    with_privileged_copies("file-bounds", |copy| {
        let script = "f=$(mktemp); echo --rate 5000 >$f; chmod 644 $f; HOPSHOT_CONFIG=$f \"$@\"; s=$?; rm $f; exit $s";
        let command = [
            &["sh", "-c", script, "sh"][..],
            &NOBODY_YET,
            &[copy.path(), "-n", "{4}"],
        ]
        .concat();
        let Some(said) = command_in_scenario("short", true, &command) else {
            return;
        };
        // With the rights of another user or group no file is read.
        match said.status {
            0 => assert!(
                copy.path().contains("4755") || copy.path().contains("2755"),
                "{}",
                said.stdout
            ),
            _ => refused(&said, "--rate may be at most 1000"),
        }
    });
}

#[test]
fn no_way_of_tracing_with_the_privilege_of_the_program_sends_faster_than_that() {
    let mode = 0o4755;
    if !can_be_nobody("no_way_of_tracing_with_the_privilege_of_the_program_sends_faster_than_that")
    {
        return;
    }
    let copy = Copy::new("pace");
    copy.permit(mode);
    let log = std::env::temp_dir().join(format!("hopshot-pace-{}", std::process::id()));
    let many = ["-q10", "-m64", "-w1", "--burst"];
    for args in [
        &["--watch", "--every", "0.1", "--count", "3", "{4}"][..],
        &["--mtu", "{6}"],
        &["--paths", "{4}"],
        &[
            "--at-once",
            "10000",
            "{4}",
            "{6}",
            "{4}",
            "{6}",
            "{4}",
            "{6}",
        ],
    ] {
        let lab = ["run", "--log", log.to_str().unwrap(), "deadtarget", "--"];
        let command = [&NOBODY_YET[..], &[copy.path(), "-n"], &many, args].concat();
        if in_lab(&lab, &command).is_none() {
            return;
        }
        let events = fs::read_to_string(&log).unwrap();
        let events = events
            .lines()
            .map(|line| serde_json::from_str::<Value>(line).unwrap());
        let times: Vec<u64> = events.filter_map(|event| event["at_ns"].as_u64()).collect();
        let (first, last) = (times.iter().min().unwrap(), times.iter().max().unwrap());
        // A busy machine makes up for some that it was late with.
        let most = (last - first) / 1_000_000 * 11 / 10 + 50;
        assert!(
            times.len() as u64 <= most,
            "{args:?}: {} probes, at most {most}",
            times.len()
        );
        assert!(times.len() > 100, "{args:?}: {} probes", times.len());
    }
    fs::remove_file(&log).unwrap();
}

#[test]
fn no_option_keeps_the_rights_of_the_owner_of_a_set_user_id_program() {
    if !can_be_nobody("no_option_keeps_the_rights_of_the_owner_of_a_set_user_id_program") {
        return;
    }
    let copy = Copy::new("owner");
    copy.permit(0o4755);
    // Looked at when its output begins: before an answer is read.
    let script = r#"mkfifo "$0.fifo" && chmod 666 "$0.fifo" && trap 'rm -f "$0.fifo"' EXIT
        "$@" >"$0.fifo" & pid=$!
        { read -r begin; grep '^Uid:' /proc/$pid/status; kill -TERM $pid; cat >/dev/null; } <"$0.fifo"
        wait $pid"#;
    for options in [&["-n"][..], &["-n", "--no-sandbox"]] {
        let sh = ["sh", "-c", script, copy.path()];
        let hopshot = [copy.path(), "-q1", "--rate", "4", "{4}"];
        let command = [&sh[..], &NOBODY_YET, &hopshot, options].concat();
        let Some(said) = command_in_scenario("deadtarget", false, &command) else {
            return;
        };
        assert_eq!(
            said.stdout, "Uid:\t65534\t65534\t65534\t65534\n",
            "{options:?} {}",
            said.stderr
        );
    }
}

#[test]
fn where_nothing_is_permitted_both_remedies_are_named() {
    const TEST: &str = "where_nothing_is_permitted_both_remedies_are_named";
    if !can_be_nobody(TEST) {
        return;
    }
    let copy = Copy::new("refused");
    let refused = |args: &[&str]| {
        command_in_scenario(
            "short",
            false,
            &[&NOBODY_YET[..], &[copy.path(), "{4}"], args].concat(),
        )
    };
    let Some(Said {
        status,
        stdout,
        stderr,
    }) = refused(&[])
    else {
        return;
    };
    assert_eq!(
        (status, stdout.as_str(), stderr.lines().count()),
        (2, "", 1)
    );
    let raw = format!("sudo setcap cap_net_raw+ep {}", copy.path());
    let ping = "sudo sysctl -w net.ipv4.ping_group_range=\"0 2147483647\"";
    assert!(stderr.contains(&raw) && stderr.contains(ping), "{stderr}");
    let Some(said) = refused(&["--socket", "raw"]) else {
        return;
    };
    assert!(
        said.status == 2 && said.stderr.contains(&raw) && !said.stderr.contains(ping),
        "{}",
        said.stderr
    );
    let Some(said) = refused(&["--socket", "ping"]) else {
        return;
    };
    assert!(
        said.status == 2 && !said.stderr.contains(&raw) && said.stderr.contains(ping),
        "{}",
        said.stderr
    );
    // Where neither could be had there is only what those outside can do.
    let nobody = [&NOBODY[..], &[copy.path(), "{4}"]].concat();
    let Some(said) = command_in_scenario("short", false, &nobody) else {
        return;
    };
    assert!(
        said.status == 2 && said.stderr.contains("docker run --cap-add NET_RAW"),
        "{}",
        said.stderr
    );
    assert!(
        !said.stderr.contains("sudo") && !said.stderr.contains("setcap"),
        "{}",
        said.stderr
    );
}

#[test]
fn where_marks_are_not_permitted_that_is_what_is_said_and_nothing_is_sent() {
    if !can_be_nobody("where_marks_are_not_permitted_that_is_what_is_said_and_nothing_is_sent") {
        return;
    }
    let copy = Copy::new("unmarked");
    let command = [&NOBODY_YET[..], &[copy.path(), "--mark", "7", "{4}"]].concat();
    let Some(Said {
        status,
        stdout,
        stderr,
    }) = command_in_scenario("short", true, &command)
    else {
        return;
    };
    assert_eq!(
        (status, stdout.as_str(), stderr.lines().count()),
        (2, "", 1),
        "{stderr}"
    );
    assert!(stderr.contains("run this as root (sudo)"), "{stderr}");
}

#[test]
fn names_are_found_from_within_the_sandbox_and_without() {
    for args in [
        &["--json"][..],
        &["--json", "--no-sandbox"],
        &["--json", "--socket", "ping"],
    ] {
        let command = [&[HOPSHOT, "{name}"], args].concat();
        let Some(said) = command_in_scenario("wan", true, &command) else {
            return;
        };
        let document = said.json();
        let hops = document["hops"].as_array().unwrap();
        let named = hops
            .iter()
            .filter(|hop| hop["probes"][0]["name"].is_string())
            .count();
        assert!(named == hops.len() && named == 12, "{}", said.stdout);
    }
}

#[test]
fn a_precise_trace_knows_when_each_probe_left() {
    for kind in ["raw", "ping"] {
        for (_, target) in FAMILIES {
            for (args, sent) in [(&[][..], "user"), (&["--precise"], "kernel")] {
                let command = [&[HOPSHOT, "-n", "--json", "--socket", kind, target], args].concat();
                let Some(said) = command_in_scenario("wan", true, &command) else {
                    return;
                };
                let document = said.json();
                let hops = document["hops"].as_array().unwrap().iter();
                let answered = hops
                    .flat_map(|hop| hop["probes"].as_array().unwrap())
                    .filter(|probe| probe.is_object());
                let answered: Vec<_> = answered.collect();
                assert!(
                    answered.iter().all(|probe| probe["sent_clock"] == sent),
                    "{document}"
                );
                // A stamp that can't be true is not believed, which a busy machine may bring about
                // now and then.
                let stamped = answered
                    .iter()
                    .filter(|probe| probe["clock"] == "kernel")
                    .count();
                assert!(stamped * 2 > answered.len(), "{document}");
            }
        }
    }
}
