//! Sizes of probes, and links that are too small for them, on real Linux routers and in the lab.

use crate::routes::FAMILIES;
use crate::world::{HOPSHOT, Said, command_on_chain};
use serde_json::Value;

const KINDS: [&str; 2] = ["raw", "ping"];

/// A chain of four routers and the target, whose third link carries 1400 octets.
fn behind_a_small_link(kind: &str, args: &[&str]) -> Option<Said> {
    let options = ["--ping", "--mtu", "3=1400"];
    command_on_chain(4, &options, &[&[HOPSHOT, "-n", "--json", "-q1", "--socket", kind], args].concat())
}

/// What the first probe to a hop says of an MTU.
fn mtu_said(document: &Value, hop: usize) -> &Value {
    &document["hops"][hop - 1]["probes"][0]["mtu"]
}

#[test]
fn a_probe_has_the_size_that_was_asked_for_up_to_the_octet() {
    for kind in KINDS {
        for (_, target) in FAMILIES {
            let Some(said) = behind_a_small_link(kind, &["-F", "--size", "1400", target]) else { return };
            assert_eq!((said.status, &said.json()["distance"]), (0, &5.into()), "{kind} {target} {}", said.stdout);
            let Some(said) = behind_a_small_link(kind, &["-F", "--size", "1401", target]) else { return };
            assert_eq!(said.status, 1, "{kind} {target} {}", said.stdout);
            assert_eq!(mtu_said(&said.json(), 3), 1400, "{kind} {target} {}", said.stdout);
        }
    }
}

#[test]
fn a_large_probe_is_fragmented_unless_that_is_forbidden() {
    for kind in KINDS {
        // By a router, and by this machine.
        for size in ["1500", "4000"] {
            let Some(said) = behind_a_small_link(kind, &["--size", size, "{4}"]) else { return };
            assert_eq!((said.status, &said.json()["distance"]), (0, &5.into()), "{kind} {size} {}", said.stdout);
        }
        let Some(said) = behind_a_small_link(kind, &["--size", "4000", "-F", "{4}"]) else { return };
        assert_eq!((said.status, &said.json()["probes_sent"]), (1, &0.into()), "{kind} {}", said.stdout);
    }
}

#[test]
fn in_ipv6_this_machine_fragments_once_it_has_been_told() {
    for kind in KINDS {
        let twice = "$0 $1 $2 --size 1500 {6} >/dev/null; exec $0 $1 $2 --size 1500 {6}";
        let command = ["sh", "-c", twice, HOPSHOT, "-q1", &format!("--socket={kind}")];
        let Some(said) = command_on_chain(4, &["--ping", "--mtu", "3=1400"], &command) else { return };
        assert_eq!(said.status, 0, "{kind} {}{}", said.stdout, said.stderr);
    }
}
