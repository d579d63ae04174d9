//! The AS of each address, from a file.

use crate::errors::refused;
use crate::world::read::ases;
use crate::world::{hopshot, in_scenario, shell_in_scenario};
use serde_json::{Value, json};

const DATABASE: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/tests/data/asn.mmdb");

#[test]
fn a_file_tells_the_as_of_each_address_in_either_family() {
    for target in ["{4}", "{6}"] {
        let Some(said) = in_scenario("wan", &["-n", "--json", "--asn-db", DATABASE, target]) else {
            return;
        };
        let of_pair = |pair| {
            (
                json!(64500 + pair),
                json!(format!("EXAMPLE-{} Example Network", 64500 + pair)),
            )
        };
        let mut truth: Vec<_> = (0..10).map(|hop| of_pair(hop / 2)).collect();
        truth.push((Value::Null, Value::Null));
        truth.push((json!(64511), json!(r"Target\u{1b}[2J Networks")));
        assert_eq!(ases(&said.json()), truth);
    }
    let Some(said) = in_scenario("wan", &["-4", "--asn-db", DATABASE, "{name}"]) else {
        return;
    };
    let lines: Vec<&str> = said.stdout.lines().collect();
    assert!(
        lines[1]
            .contains("gateway.home.example (10.1.0.1) [AS64500 EXAMPLE-64500 Example Network]  "),
        "{}",
        lines[1]
    );
    assert!(
        lines[11].contains("edge11.nyc.example (10.11.0.1)  "),
        "{}",
        lines[11]
    );
}

#[test]
fn a_file_that_can_not_tell_is_refused_before_anything_is_sent() {
    let folder = std::env::temp_dir().join(format!("hopshot-test-{}-asn", std::process::id()));
    std::fs::create_dir_all(&folder).unwrap();
    let damaged = folder.join("damaged.mmdb");
    let mut octets = std::fs::read(DATABASE).unwrap();
    octets[..600].fill(0xff);
    std::fs::write(&damaged, octets).unwrap();
    let other = concat!(env!("CARGO_MANIFEST_DIR"), "/tests/data/country.mmdb");
    let none = concat!(env!("CARGO_MANIFEST_DIR"), "/Cargo.toml");
    for (file, words) in [
        ("/nowhere.mmdb", "No such file"),
        (none, "not a file in MaxMind's format"),
        (other, "a database of type 'Test-Country' has no AS numbers"),
        (damaged.to_str().unwrap(), "it is damaged"),
    ] {
        for targets in ["{4}", "{4} {6}"] {
            // How many IPv4 packets have been sent says the kernel, and the exit status that there
            // were none.
            let script = format!(
                "sent() {{ awk '/^Ip:/ {{ sent = $11 }} END {{ print sent }}' /proc/net/snmp; }}
                before=$(sent); \"$0\" --asn-db '{file}' {targets}; status=$?
                [ \"$before\" = \"$(sent)\" ] && exit $status"
            );
            let Some(said) = shell_in_scenario("short", &script) else {
                break;
            };
            refused(
                &said,
                &format!("can't read AS numbers from '{file}': {words}"),
            );
        }
    }
    std::fs::remove_dir_all(folder).unwrap();
}

#[test]
fn a_zone_or_a_server_that_can_not_be_is_refused() {
    refused(
        &hopshot(&["--asn-zone", "a..b", "::1"]),
        "not a zone of DNS",
    );
    refused(
        &hopshot(&["--asn-server", "ns.example", "::1"]),
        "not an address",
    );
}
