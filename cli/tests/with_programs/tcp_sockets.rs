//! TCP by sockets that every user may open, where routers or the target say little.

use crate::needs::needs;
use crate::transport::rules;
use crate::world::{HOPSHOT, command_on_chain};
use serde_json::Value;

const OUTPUT: &str = "filter hook output priority 0";

/// Rules by which a router answers nothing that has come too far.
fn silent(hop: u8) -> String {
    let all = [
        "icmp type time-exceeded drop",
        "icmpv6 type time-exceeded drop",
    ];
    rules(hop, OUTPUT, &all)
}

/// Rules by which a target answers nothing by ICMP.
fn deaf(hop: u8) -> String {
    let all = [
        "icmp type { echo-reply, destination-unreachable } drop",
        "icmpv6 type { echo-reply, destination-unreachable } drop",
    ];
    rules(hop, OUTPUT, &all)
}

/// A command for a hop: a script of these tests, with its arguments.
fn script(hop: u8, words: &str) -> String {
    let tests = concat!(env!("CARGO_MANIFEST_DIR"), "/tests");
    format!("{hop}=python3 {tests}/data/{words}")
}

/// The options for commands at hops.
fn at(commands: &[String]) -> Vec<&str> {
    commands
        .iter()
        .flat_map(|command| ["--at", command.as_str()])
        .collect()
}

/// The address of a hop: the last is the target.
fn addresses(hop: u8) -> [String; 2] {
    [format!("10.{hop}.0.1"), format!("2001:db8:{hop}::1")]
}

/// The command for a trace on TCP sockets.
const BY_TCP: [&str; 6] = [HOPSHOT, "-n", "--json", "-T", "--socket", "tcp"];

#[test]
fn where_no_router_says_anything_the_state_and_the_rtt_are_the_result() {
    needs("nft");
    needs("python3");
    const ROUTERS: u8 = 7;
    let mut commands: Vec<String> = (1..=ROUTERS).map(silent).collect();
    commands.extend([deaf(ROUTERS + 1), script(0, "slow_link.py 0.02")]);
    let chain = [&["--serve", "443"][..], &at(&commands)].concat();
    for target in addresses(ROUTERS + 1) {
        for (port, answer) in [("443", "syn_ack"), ("81", "rst")] {
            for attempts in ["-q1", "-q3"] {
                let args = [attempts, "-p", port, &target];
                let command = [&BY_TCP[..], &args].concat();
                let Some(said) = command_on_chain(ROUTERS, &chain, &command) else {
                    return;
                };
                let document = said.json();
                assert_eq!((&document["reached"], said.status), (&true.into(), 0));
                assert_eq!(document["knock"], answer, "{document}");
                assert_eq!(document["distance"], Value::Null, "{document}");
                assert_eq!(document["stop_reason"], "quiet", "{document}");
                let rtt = document["knock_ms"].as_f64().unwrap();
                assert!((20.0..1_000.0).contains(&rtt), "{document}");
            }
        }
    }
}

#[test]
fn a_target_behind_silent_routers_is_found_where_it_is() {
    needs("nft");
    needs("python3");
    // The first two routers answer, or none that is far.
    for (routers, silent_ones) in [(3, 1..=3), (7, 3..=7)] {
        let mut commands: Vec<String> = silent_ones.map(silent).collect();
        commands.extend([deaf(routers + 1), script(0, "slow_link.py 0.02")]);
        let chain = [&["--serve", "443"][..], &at(&commands)].concat();
        for target in addresses(routers + 1) {
            let command = [&BY_TCP[..], &["-q1", &target]].concat();
            let Some(said) = command_on_chain(routers, &chain, &command) else {
                return;
            };
            let document = said.json();
            assert_eq!(document["distance"], routers + 1, "{document}");
        }
    }
}

/// The connections that were completed at the target behind three routers, and the octets that it
/// got.
fn counted(commands: &[String], chain: &[&str], command: &[&str]) -> Option<[u64; 2]> {
    let name = format!("hopshot-test-{}-connections", std::process::id());
    let file = std::env::temp_dir().join(name);
    let file = file.to_str().unwrap();
    let serve = script(4, &format!("connections.py {file} 443"));
    let chain = [&["--at", &serve][..], &at(commands), chain].concat();
    // What is on its way when the command ends has come by then.
    let script = format!("\"$@\" >/dev/null; sleep 0.3; cat {file}");
    let command = [&["sh", "-c", &script, "sh"][..], command].concat();
    let said = command_on_chain(3, &chain, &command)?;
    let numbers = said.stdout.split_whitespace();
    let numbers: Vec<u64> = numbers.map(|number| number.parse().unwrap()).collect();
    let _ = std::fs::remove_file(file);
    Some(numbers.try_into().unwrap())
}

#[test]
fn few_connections_are_made_past_the_target_and_nothing_is_said_on_them() {
    needs("nft");
    needs("python3");
    let slow = script(0, "slow_link.py 0.02");
    let routers: Vec<String> = (1..=3).map(silent).collect();
    let alone = [slow.clone()];
    let quiet = [slow.clone(), deaf(4)];
    let dark = [&[slow.clone(), deaf(4)][..], &routers].concat();
    let pinged = [&[slow][..], &routers].concat();
    for target in addresses(4) {
        for (commands, chain) in [
            (&alone[..], &[][..]),
            (&alone, &["--ping"]),
            (&quiet, &[]),
            (&dark, &[]),
            (&pinged, &["--ping"]),
        ] {
            for (attempts, most) in [("-q1", 1 + 2), ("-q3", 3 + 4)] {
                let command = [&BY_TCP[..], &[attempts, &target]].concat();
                let Some([made, octets]) = counted(commands, chain, &command) else {
                    return;
                };
                let case = format!("{made} connections {attempts} {commands:?} {chain:?}");
                assert!((1..=most).contains(&made), "{case}");
                assert_eq!(octets, 0, "{case}");
            }
        }
    }
}
