//! Programs that a cgroup hooks into the system calls of sockets.

use crate::needs::needs;
use crate::world::chain::WAYS;
use crate::world::{HOPSHOT, command_on_chain};
use serde_json::Value;

#[test]
fn a_hook_of_a_cgroup_that_redirects_udp_changes_nothing() {
    needs("python3");
    const HOOKED: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/tests/data/hooked.py");
    for (target, source, socket) in WAYS {
        // The last is a list.
        for job in ["", "--paths", "--mtu", target] {
            let script = format!("exec {HOPSHOT} -n -q1 --json --socket {socket} {job} {target}");
            let Some(said) =
                command_on_chain(3, &["--ping"], &["python3", HOOKED, "sh", "-c", &script])
            else {
                return;
            };
            let what = format!("{target} {socket} {job}: {}{}", said.stdout, said.stderr);
            assert_eq!(said.status, 0, "{what}");
            for line in said.stdout.lines() {
                let document: Value = serde_json::from_str(line).unwrap();
                assert_eq!(document["source"], source, "{what}");
            }
        }
    }
}
