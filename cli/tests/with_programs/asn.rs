//! The AS of each address, from name servers, good ones and bad: dnsmasq, and one in Python.

use crate::world::read::ases;
use crate::world::{HOPSHOT, Said, command_in_scenario, in_scenario};
use serde_json::{Value, json};
use std::time::{Duration, Instant};

/// Runs hopshot beside a server that answers in a manner of its own: see `name_server.py`.
fn beside(manner: &str, args: &[&str]) -> Option<Said> {
    let command = [HOPSHOT, "-n", "--asn-server", "127.0.0.1:5300"];
    beside_server(
        ["127.0.0.1", "5300", manner],
        &[&command[..], args].concat(),
    )
}

/// Runs a command beside a server at an address and a port.
fn beside_server(server: [&str; 3], command: &[&str]) -> Option<Said> {
    let script = concat!(env!("CARGO_MANIFEST_DIR"), "/tests/data/name_server.py");
    command_in_scenario(
        "wan",
        false,
        &[&["python3", script], &server[..], command].concat(),
    )
}

/// Runs hopshot beside dnsmasq, which has the AS of each hop of "wan" and of its target, and the
/// name of each AS.
fn beside_dnsmasq(args: &str) -> Option<Said> {
    let mut records = String::new();
    for hop in 1..=11 {
        let number = 64500 + hop;
        // The nibbles of 2001:db8:HOP::1.
        let nibbles = format!("1.{}{hop:x}.0.0.0.8.b.d.0.1.0.0.2", "0.".repeat(19));
        records += &format!(
            " --txt-record='1.0.{hop}.10.origin.as.example,{number} | 10.{hop}.0.0/24 | ZZ'"
        );
        records += &format!(
            " --txt-record='{nibbles}.origin6.as.example,{number} | 2001:db8:{hop:x}::/48 | ZZ'"
        );
        records += &format!(
            " --txt-record='AS{number}.as.example,{number} | ZZ | x | 2020 | EXAMPLE-{hop} Net'"
        );
    }
    let nibbles = format!("0.8.{}f.f.f.f.8.b.d.0.1.0.0.2", "0.".repeat(18));
    records += " --txt-record='80.0.255.10.origin.as.example,64497 64496 | 10.255.0.0/24 | ZZ'";
    records += &format!(
        " --txt-record='{nibbles}.origin6.as.example,64497 64496 | 2001:db8:ffff::/48 | ZZ'"
    );
    beside_records("wan", false, &records, args)
}

/// Runs hopshot in a scenario beside dnsmasq, which has these records.
fn beside_records(scenario: &str, ping: bool, records: &str, args: &str) -> Option<Said> {
    let script = format!(
        "pid=$(mktemp) || exit 99
        # It goes to the background when it listens.
        dnsmasq --conf-file=/dev/null --no-resolv --no-hosts --user=root --pid-file=\"$pid\" --listen-address=127.0.0.1 \\
            --bind-interfaces --port=5300 {records} || exit 99
        \"$0\" --asn-zone as.example --asn-server 127.0.0.1:5300 {args}
        status=$?
        kill \"$(cat \"$pid\")\"
        rm -f \"$pid\"
        exit $status"
    );
    command_in_scenario(scenario, ping, &["sh", "-c", &script, HOPSHOT])
}

#[test]
fn dns_tells_the_as_of_each_address_in_either_family_within_the_sandbox_and_without() {
    for args in [
        "--json -q1 {4}",
        "--json -n {6}",
        "--json -n --no-sandbox {4}",
    ] {
        let Some(said) = beside_dnsmasq(args) else {
            return;
        };
        let document = said.json();
        let mut truth: Vec<_> = (1..=11)
            .map(|hop| (json!(64500 + hop), json!(format!("EXAMPLE-{hop} Net"))))
            .collect();
        truth.push((json!(64497), Value::Null));
        assert_eq!((said.status, ases(&document)), (0, truth), "{args}");
        assert_eq!(
            document["hops"][11]["probes"][0]["more_asns"],
            json!([64496])
        );
        assert_eq!(document["hops"][0]["probes"][0].get("more_asns"), None);
    }
}

/// A path whose hops 2 to 5 have addresses with an IPv4 address inside, those of hops 2 and 3
/// public ones.
fn with_addresses_inside(name: &str) -> String {
    let scenario = format!("{}/{name}.toml", env!("CARGO_TARGET_TMPDIR"));
    // The bits of what Teredo hides are turned.
    let addresses = [
        "::ffff:4.2.0.1",
        "64:ff9b::4.3.0.1",
        "2002:a04:1::1",
        "2001:0:1:1:1:1:f5fa:fffe",
    ];
    let hops = (2..)
        .zip(addresses)
        .map(|(hop, address)| format!("[[hop]]\nat = {hop}\nv6 = '{address}'\n"));
    let text = format!(
        "about = 'translators'\nhops = 6\nrtt_ms = 10\n{}",
        hops.collect::<String>()
    );
    std::fs::write(&scenario, text).unwrap();
    scenario
}

#[test]
fn dns_tells_the_as_of_the_ipv4_address_inside_of_another_and_is_asked_for_nothing_else_of_it() {
    let scenario = with_addresses_inside("dns-inside");
    let inside = [
        (2, "1.0.2.4"),
        (3, "1.0.3.4"),
        (4, "1.0.4.10"),
        (5, "1.0.5.10"),
    ];
    let of = |(hop, reversed): (u32, &str)| {
        let number = 64500 + hop;
        format!(
            " --txt-record='{reversed}.origin.as.example,{number} | 0.0.0.0/0 | ZZ' \
             --txt-record='AS{number}.as.example,{number} | ZZ | x | 2020 | INSIDE-{hop} Net'"
        )
    };
    let records: String = inside.into_iter().map(of).collect();
    for socket in ["raw", "ping"] {
        let args =
            |format: &str| format!("-n -q1 --socket {socket} {format} \"$HOPSHOT_LAB_TARGET6\"");
        let Some(said) = beside_records(&scenario, true, &records, &args("--json")) else {
            return;
        };
        let known = |hop: u32| (json!(64500 + hop), json!(format!("INSIDE-{hop} Net")));
        assert_eq!(
            ases(&said.json())[1..5],
            [2, 3, 4, 5].map(known),
            "{socket} {}",
            said.stdout
        );
        let Some(said) = beside_records(&scenario, true, &records, &args("")) else {
            return;
        };
        let lines: Vec<&str> = said.stdout.lines().collect();
        for (line, inside) in lines[2..6].iter().zip([
            "6PE: 4.2.0.1",
            "NAT64: 4.3.0.1",
            "6to4: 10.4.0.1",
            "Teredo: 10.5.0.1",
        ]) {
            assert!(
                line.contains(inside) && line.contains("[AS6450"),
                "{socket} {}",
                said.stdout
            );
        }
    }
    // What is public inside is told to a zone of others, and the address around it to none.
    let server = ["127.0.0.1", "5300", "tell"];
    let script = concat!(env!("CARGO_MANIFEST_DIR"), "/tests/data/name_server.py");
    let hopshot = [
        HOPSHOT,
        "-n",
        "-q1",
        "--asn-server",
        "127.0.0.1:5300",
        "{6}",
    ];
    let Some(said) = command_in_scenario(
        &scenario,
        false,
        &[&["python3", script], &server[..], &hopshot].concat(),
    ) else {
        return;
    };
    let mut asked: Vec<&str> = said
        .stderr
        .lines()
        .filter_map(|line| line.split_once(".origin"))
        .map(|it| it.0)
        .collect();
    asked.sort_unstable();
    asked.dedup();
    assert_eq!(asked, ["1.0.2.4", "1.0.3.4"], "{}", said.stderr);
}

#[test]
fn an_as_stands_behind_its_address_and_several_are_told_as_such() {
    let Some(said) = beside_dnsmasq("-4 {name}") else {
        return;
    };
    let lines: Vec<&str> = said.stdout.lines().collect();
    assert!(
        lines[1].starts_with(" 1  gateway.home.example (10.1.0.1) [AS64501 EXAMPLE-1 Net]  "),
        "{}",
        said.stdout
    );
    assert!(
        lines[12].starts_with("12  target.example (10.255.0.80) [AS64497/AS64496]  "),
        "{}",
        said.stdout
    );
    let Some(said) = beside_dnsmasq("-n {4}") else {
        return;
    };
    let times: Vec<_> = said
        .stdout
        .lines()
        .skip(1)
        .map(|line| line.find(" ms"))
        .collect();
    assert!(
        times.iter().all(|time| time.is_some() && *time == times[0]),
        "{}",
        said.stdout
    );
    let Some(said) = beside_dnsmasq("-n --json {4} {6}") else {
        return;
    };
    let lines: Vec<&str> = said.stdout.lines().collect();
    assert_eq!(lines.len(), 2, "{}", said.stderr);
    for line in lines {
        let numbers = ases(&serde_json::from_str(line).unwrap())
            .into_iter()
            .map(|(number, _)| number);
        assert_eq!(
            numbers.take(11).collect::<Vec<_>>(),
            (64501..=64511).map(Value::from).collect::<Vec<_>>()
        );
    }
}

#[test]
fn private_addresses_are_told_to_nobody_but_a_zone_of_ones_own() {
    let Some(said) = beside("tell", &["-q1", "{4}"]) else {
        return;
    };
    assert_eq!(
        (said.status, said.stderr.as_str()),
        (0, ""),
        "{}",
        said.stdout
    );
    let Some(said) = beside(
        "tell",
        &["-q1", "-f1", "-m1", "--asn-zone", "as.example", "{4}"],
    ) else {
        return;
    };
    assert!(
        said.stderr.starts_with("1.0.1.10.origin.as.example\n"),
        "{}",
        said.stderr
    );
}

#[test]
fn servers_are_asked_by_either_family_and_those_of_the_system_if_none_is_given() {
    let known = |said: &Said| {
        ases(&said.json())
            .iter()
            .all(|(number, _)| number.is_number())
    };
    let hopshot = [
        HOPSHOT,
        "-n",
        "-q1",
        "--json",
        "--asn-zone",
        "as.example",
        "--asn-server",
        "[::1]:5300",
        "{4}",
    ];
    let Some(said) = beside_server(["::1", "5300", "true"], &hopshot) else {
        return;
    };
    assert!(known(&said), "{}", said.stdout);
    // In the lab the system's server is this machine.
    let hopshot = [
        HOPSHOT,
        "-n",
        "-q1",
        "--json",
        "--asn-zone",
        "as.example",
        "{6}",
    ];
    let Some(said) = beside_server(["127.0.0.1", "53", "true"], &hopshot) else {
        return;
    };
    assert!(known(&said), "{}", said.stdout);
}

#[test]
fn lies_and_garbage_are_not_believed_and_what_an_as_is_called_can_do_no_harm_to_a_terminal() {
    let Some(said) = beside(
        "lies",
        &["--json", "-q1", "--asn-zone", "as.example", "{4}"],
    ) else {
        return;
    };
    let name = json!(r"EVIL\u{1b}[2J\u{202e}NET Second, ZZ");
    assert_eq!(
        (said.status, ases(&said.json())),
        (0, vec![(json!(64496), name); 12])
    );
    let Some(said) = beside(
        "nonsense",
        &["--json", "-q1", "--asn-zone", "as.example", "{4}"],
    ) else {
        return;
    };
    assert_eq!(
        (said.status, ases(&said.json())),
        (0, vec![(Value::Null, Value::Null); 12])
    );
}

#[test]
fn a_slow_or_a_silent_server_does_not_hold_up_the_trace() {
    for manner in ["slow", "silent"] {
        let started = Instant::now();
        let Some(said) = beside(manner, &["--json", "--asn-zone", "as.example", "{4}"]) else {
            return;
        };
        assert_eq!(
            (said.status, ases(&said.json())),
            (0, vec![(Value::Null, Value::Null); 12]),
            "{manner}"
        );
        // The slow one takes 5 s, and two tries with the silent one 1.2 s for each of 12 hops.
        assert!(
            started.elapsed() < Duration::from_secs(4),
            "{manner}: {:?}",
            started.elapsed()
        );
    }
    // And one that isn't there.
    let Some(said) = in_scenario(
        "wan",
        &["-A", "-v", "-n", "-q1", "--asn-zone", "as.example", "{4}"],
    ) else {
        return;
    };
    assert!(
        said.stderr
            .ends_with("\nhopshot: no answer from DNS about the ASes of 12 addresses\n"),
        "{}",
        said.stderr
    );
}
