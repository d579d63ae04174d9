//! The process that reads what strangers' name servers say: it may do nothing else.

use crate::needs::needs;
use crate::world::users::{Copy, USER, can_be_nobody};
use crate::world::{HOPSHOT, Said, command_in_scenario, skip};
use std::process::Command;

/// What to trace, by a name and in each mode.
const MODES: [&[&str]; 5] = [
    &["target.test"],
    &["target.test", "127.0.0.1"],
    &["--watch", "--count", "1", "target.test"],
    &["--mtu", "target.test"],
    &["--paths", "target.test"],
];

/// Runs a command where the only name server is one of the test's, which looks who asks it: see
/// `looking_server.py`.
fn beside_looking_server(command: &[&str]) -> Option<Said> {
    let script = r#"set -e
        mount -t tmpfs -o mode=755 none /run
        echo 'nameserver 127.0.0.1' >/run/resolv.conf
        # The lab's own stands in the way.
        umount /etc/resolv.conf || true
        mount --bind /run/resolv.conf /etc/resolv.conf
        exec python3 "$0" "$@""#;
    let server = concat!(env!("CARGO_MANIFEST_DIR"), "/tests/data/looking_server.py");
    let outer = [
        "unshare",
        "--mount",
        "--propagation",
        "private",
        "sh",
        "-c",
        script,
        server,
        "10.255.0.80",
    ];
    command_in_scenario("short", true, &[&outer[..], command].concat())
}

/// That the name was found and its host reached, and that whoever was there when it was asked for
/// had no privilege.
fn assert_harmless(way: &str, command: &[&str]) {
    for mode in MODES {
        let Some(said) = beside_looking_server(&[command, &["-4", "-q1"], mode].concat()) else {
            return;
        };
        assert_eq!(
            said.status, 0,
            "{way} {mode:?}: {} {}",
            said.stdout, said.stderr
        );
        assert!(
            said.stdout.contains("10.255.0.80"),
            "{way} {mode:?}: {}",
            said.stdout
        );
        let looked: Vec<&str> = said
            .stderr
            .lines()
            .filter(|line| line.starts_with("looked "))
            .collect();
        for who in ["main", "helper"] {
            assert!(
                looked.iter().any(|line| line.contains(who)),
                "{way} {mode:?}: {}",
                said.stderr
            );
        }
        for line in looked {
            let users = line
                .split("users=")
                .nth(1)
                .and_then(|rest| rest.split(' ').next())
                .unwrap();
            let is_harmless =
                line.contains(" can't ") && users.parse::<u32>().is_ok_and(|user| user != 0);
            assert!(
                is_harmless && line.contains(" concealed "),
                "{way} {mode:?}: {line}"
            );
            assert!(
                !line.contains(" helper ") || line.ends_with("filter=2"),
                "{way} {mode:?}: {line}"
            );
        }
    }
}

#[test]
fn when_a_name_is_asked_for_no_process_has_a_privilege() {
    needs("python3");
    const TEST: &str = "when_a_name_is_asked_for_no_process_has_a_privilege";
    if !can_be_nobody(TEST) {
        return;
    }
    assert_harmless("root", &[HOPSHOT]);
    let copy = Copy::new("set-user-id-asks");
    copy.permit(0o4755);
    assert_harmless("set-user-ID", &[&USER[..], &[copy.path()]].concat());
    let copy = Copy::new("ambient-asks");
    let ambient = [
        "--inh-caps",
        "+net_raw",
        "--ambient-caps",
        "+net_raw",
        copy.path(),
    ];
    assert_harmless("ambient", &[&USER[..], &ambient].concat());
    let copy = Copy::new("capability-asks");
    match Command::new("setcap")
        .args(["cap_net_raw+ep", copy.path()])
        .output()
    {
        Ok(output) if output.status.success() => {
            assert_harmless("capability", &[&USER[..], &[copy.path()]].concat());
        }
        Ok(output) => skip(TEST, String::from_utf8_lossy(&output.stderr).trim()),
        Err(error) => skip(TEST, &format!("setcap: {error}")),
    }
}
