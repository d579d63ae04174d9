//! What another traceroute says of the same path.

use crate::world::read::marks;
use crate::world::{FAMILIES, HOPSHOT, KINDS, command_on_chain};

#[test]
fn small_links_are_marked_where_traceroute_marks_them() {
    let options = ["--ping", "--mtu", "3=1400", "--mtu", "5=1300"];
    for (_, target) in FAMILIES {
        let Some(other) =
            command_on_chain(4, &options, &["traceroute", "--mtu", "-n", "-I", target])
        else {
            return;
        };
        assert_eq!(
            marks(&other.stdout),
            [(1, 1500), (3, 1400), (5, 1300)],
            "{}{}",
            other.stdout,
            other.stderr
        );
        for kind in KINDS {
            let command = [HOPSHOT, "-n", "--mtu", "--socket", kind, target];
            let Some(said) = command_on_chain(4, &options, &command) else {
                return;
            };
            assert_eq!(
                marks(&said.stdout),
                marks(&other.stdout),
                "{kind} {}{}",
                said.stdout,
                said.stderr
            );
            assert_eq!(
                (said.status, said.stdout.lines().last()),
                (0, Some("path MTU 1300")),
                "{kind}"
            );
        }
    }
}
