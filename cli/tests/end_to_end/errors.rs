//! What goes wrong, each with its exit status and one clear line.

use crate::world::{Said, hopshot, in_scenario, shell_in_scenario};

/// One line on standard error, nothing on standard output, exit status 2.
pub(crate) fn refused(said: &Said, words: &str) {
    assert_eq!(
        (said.status, said.stdout.as_str()),
        (2, ""),
        "{}",
        said.stderr
    );
    assert_eq!(said.stderr.lines().count(), 1, "{:?}", said.stderr);
    assert!(
        said.stderr.starts_with("hopshot: ") && said.stderr.contains(words),
        "{:?}",
        said.stderr
    );
}

#[test]
fn an_address_without_a_route_is_refused() {
    if let Some(said) = in_scenario("short", &["172.16.1.1"]) {
        refused(&said, "no route to 172.16.1.1");
    }
}

#[test]
fn a_name_that_does_not_exist_is_refused() {
    if let Some(said) = in_scenario("short", &["nowhere.invalid"]) {
        refused(&said, "can't find the address of 'nowhere.invalid'");
        assert!(!said.stderr.contains("lookup"), "{}", said.stderr);
    }
}

#[test]
fn what_can_be_no_host_is_refused_without_asking_dns() {
    for host in ["", "192.0.2.0/24", "two hosts", "256.0.0.1"] {
        refused(&hopshot(&[host]), &format!("'{host}' is no host: "));
    }
}

#[test]
fn the_wrong_family_is_refused() {
    if let Some(said) = in_scenario("short", &["-6", "{4}"]) {
        refused(&said, "has no IPv6 address");
    }
}

#[test]
fn an_interface_or_a_source_that_is_not_there_is_refused() {
    if let Some(said) = in_scenario("short", &["-i", "nosuch0", "{4}"]) {
        refused(&said, "no interface is named 'nosuch0'");
    }
    if let Some(said) = in_scenario("short", &["fe80::1%nosuch0"]) {
        refused(&said, "no interface is named 'nosuch0'");
    }
    let ways: [(&[&str], &str); 6] = [
        (&["::1%lo"], "::1 has no zone"),
        (
            &["fe80::1"],
            "fe80::1 is link-local, so its interface must follow, as in fe80::1%eth0",
        ),
        (&["fe80::1%hopshot0"], "no route to fe80::1%hopshot0: "),
        (
            &["fe80::1%hopshot0"],
            "(ip route get fe80::1 dev hopshot0 ipproto ipv6-icmp)",
        ),
        (
            &["-s", "127.0.0.1", "{4}"],
            "can't send from 127.0.0.1: the target can't be reached from it",
        ),
        (
            &["--mtu", "-s", "127.0.0.1", "{4}"],
            "can't send from 127.0.0.1: the target can't be reached from it",
        ),
    ];
    for (args, words) in ways {
        if let Some(said) = in_scenario("short", args) {
            refused(&said, words);
        }
    }
    if let Some(said) = in_scenario("short", &["-s", "10.9.9.9", "{4}"]) {
        refused(&said, "it isn't an address of this machine");
    }
}

#[test]
fn loopback_is_one_hop() {
    for address in ["127.0.0.1", "::1"] {
        let Some(said) = in_scenario("short", &["-n", "--json", address]) else {
            return;
        };
        let document = said.json();
        assert_eq!(
            (said.status, &document["distance"]),
            (0, &1.into()),
            "{document}"
        );
        assert_eq!(document["hops"].as_array().map(Vec::len), Some(1));
    }
}

#[test]
fn an_ipv4_address_written_as_ipv6_is_traced_as_ipv4() {
    let Some(said) = in_scenario("short", &["-n", "-q1", "--json", "::ffff:10.255.0.80"]) else {
        return;
    };
    let document = said.json();
    assert_eq!(
        (said.status, &document["distance"]),
        (0, &5.into()),
        "{document}"
    );
    assert_eq!(document["target"]["address"], "10.255.0.80");
}

#[test]
fn a_host_with_addresses_of_both_families_is_traced_in_that_of_the_source() {
    for (source, target) in [
        ("10.0.0.2", "10.255.0.80"),
        ("2001:db8::2", "2001:db8:ffff::80"),
    ] {
        for more in [
            &["{name}"][..],
            &["{name}", "10.1.0.1"],
            &["--watch", "--count", "1", "{name}"],
        ] {
            let Some(said) =
                in_scenario("short", &[&["-n", "-q1", "-s", source][..], more].concat())
            else {
                return;
            };
            assert!(
                said.stdout.contains(target),
                "{more:?}: {} {}",
                said.stdout,
                said.stderr
            );
        }
    }
}

#[test]
fn a_source_of_the_other_family_and_hops_in_the_wrong_order_are_told_in_the_words_of_the_command() {
    let said = hopshot(&["-s", "::1", "127.0.0.1"]);
    assert_eq!(said.status, 2);
    assert_eq!(
        said.stderr,
        "hopshot: can't send from ::1: it is of another family than the target's address\n"
    );
    let said = hopshot(&["-f", "5", "-m", "3", "127.0.0.1"]);
    assert_eq!(
        (said.status, said.stderr.as_str()),
        (2, "hopshot: --first must be 1 to 3 (--max-hops), not 5\n")
    );
}

#[test]
fn a_wait_that_is_too_short_makes_no_hop_rate_limited() {
    let Some(said) = in_scenario("wan", &["-n", "-w", "0.03", "{4}"]) else {
        return;
    };
    assert!(!said.stdout.contains("rate limited"), "{}", said.stdout);
}

#[test]
fn a_trace_without_a_probe_that_left_says_why_in_three_lines() {
    let script = "tc qdisc add dev hopshot0 root tbf rate 1kbit burst 10 limit 1; exec $0 -n -q1 $HOPSHOT_LAB_TARGET4";
    let Some(said) = shell_in_scenario("short", script) else {
        return;
    };
    let lines: Vec<&str> = said.stdout.lines().collect();
    assert_eq!((said.status, lines.len()), (1, 3), "{lines:?}");
    assert_eq!(
        lines[1..],
        [
            " 1-32  ! No buffer space available",
            "No probe could be sent to 10.255.0.80: No buffer space available."
        ]
    );
}

#[test]
fn too_few_open_files_are_not_taken_for_a_full_disk() {
    let script = "ulimit -n 9; $0 -q1 $HOPSHOT_LAB_TARGET4";
    let Some(said) = shell_in_scenario("short", script) else {
        return;
    };
    // The words are those of the C library.
    refused(&said, "(os error 24)");
    assert!(
        !said.stderr.contains("can't write") && said.stderr.contains("ulimit -n"),
        "{}",
        said.stderr
    );
}

#[test]
fn nobody_is_told_to_give_up_a_safety_measure_for_a_slip_of_the_pen() {
    for option in ["--no-sandbx", "--no-sandboxes", "--nosandbox"] {
        let said = hopshot(&[option, "127.0.0.1"]);
        assert!(
            said.status == 2 && !said.stderr.contains("did you mean"),
            "{}",
            said.stderr
        );
    }
    for option in ["--no-dns", "--numeric"] {
        let Some(said) = in_scenario("short", &["-q1", option, "--ipv4", "{4}"]) else {
            return;
        };
        assert!(
            said.status == 0 && !said.stdout.contains("example"),
            "{}",
            said.stdout
        );
    }
}

#[test]
fn what_can_be_no_host_is_told_as_what_it_is() {
    for (host, why) in [
        ("example.com:443", "with a port it is a service"),
        ("192.0.2.1:80", "with a port it is a service"),
        ("[2001:db8::1]:443", "with a port it is a service"),
        ("255.255.255.255", "it is the broadcast address"),
        ("203.0.113.9\u{200b}/", r"'203.0.113.9\u{200b}/' is no host"),
    ] {
        let Some(said) = in_scenario("short", &[host]) else {
            return;
        };
        assert!(
            said.status == 2 && said.stderr.contains(why),
            "{host}: {}",
            said.stderr
        );
    }
}

#[test]
fn a_multicast_address_that_nobody_answers_for_is_told_as_one() {
    for (target, address) in [("224.0.0.1", "224.0.0.1"), ("ff02::1%hopshot0", "ff02::1")] {
        let script =
            format!("ip route add 224.0.0.0/4 dev hopshot0; exec $0 -n -q1 -w 0.3 -m 3 {target}");
        let Some(said) = shell_in_scenario("short", &script) else {
            return;
        };
        let why = format!(
            "No answer from {address}: it is a multicast address, which stands for many hosts.\n"
        );
        assert!(
            said.status == 1 && said.stdout.ends_with(&why),
            "{} {}",
            said.stdout,
            said.stderr
        );
    }
}

#[test]
fn what_nobody_sees_in_a_host_is_seen_in_the_message() {
    for hidden in ['\u{200b}', '\u{feff}', '\u{2060}', '\u{ad}'] {
        let Some(said) = in_scenario("short", &[&format!("203.0.113.9{hidden}")]) else {
            return;
        };
        let escaped = format!("'203.0.113.9{}'", hidden.escape_unicode());
        assert!(
            said.status == 2 && said.stderr.contains(&escaped),
            "{}",
            said.stderr
        );
    }
}

#[test]
fn a_name_beyond_ascii_is_found_as_dns_has_it_and_as_it_is_written() {
    let script = "echo '10.255.0.80 xn--mnchen-3ya.example büro.example' >>/etc/hosts; \
        for host in münchen.example MÜNCHEN.example büro.example; do $0 -n -q1 --json $host; done";
    let Some(said) = shell_in_scenario("short", script) else {
        return;
    };
    let found = said.stdout.matches("\"address\":\"10.255.0.80\"").count();
    assert_eq!(
        (found, said.status),
        (3, 0),
        "{}{}",
        said.stdout,
        said.stderr
    );
}

#[test]
fn a_list_in_another_encoding_is_told_as_that_once_and_the_advice_converts_it() {
    for encoding in [
        "UTF-16", "UTF-16LE", "UTF-16BE", "UTF-32", "UTF-32LE", "UTF-32BE",
    ] {
        let path = std::env::temp_dir().join(format!("hopshot-{encoding}-{}", std::process::id()));
        let name = path.to_str().unwrap();
        // Without a number for the order iconv writes a mark.
        let write =
            format!("printf '203.0.113.9\\n203.0.113.8\\n' | iconv -f UTF-8 -t {encoding} >{name}");
        let slowly = format!(
            "(head -c 1 {name}; sleep 0.1; tail -c +2 {name} | head -c 1; sleep 0.1; tail -c +3 {name})"
        );
        for read in [
            format!("--targets {name}"),
            format!("--targets - <{name}"),
            format!("--targets - < <({slowly})"),
        ] {
            let script = format!("{write}; exec bash -c '\"$0\" -n {read}' \"$0\"");
            let Some(said) = shell_in_scenario("short", &script) else {
                return;
            };
            assert_eq!(
                (
                    said.status,
                    said.stdout.as_str(),
                    said.stderr.lines().count()
                ),
                (2, "", 1),
                "{}",
                said.stderr
            );
            assert!(
                said.stderr.contains(&format!("it is in {encoding}, ")),
                "{encoding}: {}",
                said.stderr
            );
            let advice = format!("iconv -f {encoding} -t UTF-8");
            assert!(said.stderr.contains(&advice), "{}", said.stderr);
            let converted = std::process::Command::new("sh")
                .args(["-c", &format!("{advice} <{name}")])
                .output()
                .unwrap();
            assert_eq!(
                String::from_utf8_lossy(&converted.stdout),
                "203.0.113.9\n203.0.113.8\n"
            );
        }
        std::fs::remove_file(path).expect("the file can be removed");
    }
}

#[test]
fn without_proc_it_is_told_why_there_are_no_names() {
    const WHY: &str = "nothing can be looked up: there is no /proc/self/exe";
    // The last is a list.
    for mode in [
        "",
        "-v",
        "--json",
        "--paths",
        "--mtu",
        "--watch --count 1",
        "127.0.0.1",
    ] {
        for (names, told) in [("", 1), ("-n", 0)] {
            for (target, address) in [("4", "10.255.0.80"), ("6", "2001:db8:ffff::80")] {
                let script = format!(
                    "mount -t tmpfs none /proc && $0 {names} {mode} -q1 $HOPSHOT_LAB_TARGET{target}"
                );
                let Some(said) =
                    shell_in_scenario("short", &format!("unshare -m sh -c '{script}' $0"))
                else {
                    return;
                };
                assert_eq!(
                    (said.status, said.stderr.matches(WHY).count()),
                    (0, told),
                    "{names} {mode}: {}",
                    said.stderr
                );
                assert!(said.stdout.contains(address), "{mode}: {}", said.stdout);
            }
        }
    }
}
