//! The groups that names are looked up with: none that may do anything.

use crate::world::users::{Copy, USER, can_be_nobody};
use crate::world::{HOPSHOT, command_in_scenario};

#[test]
fn a_list_is_read_with_the_groups_of_the_user() {
    const TEST: &str = "a_list_is_read_with_the_groups_of_the_user";
    if !can_be_nobody(TEST) {
        return;
    }
    let copy = Copy::new("grouped");
    copy.permit(0o4755);
    let script = r#"list=$(mktemp) && trap 'rm -f "$list"' EXIT && echo 127.0.0.1 >"$list"
        chgrp "$0" "$list" && chmod "$1" "$list"; shift
        "$@" -n --targets "$list""#;
    for (group, mode, status) in [("23456", "640", 0), ("0", "640", 2), ("0", "600", 2)] {
        let command = [
            &["sh", "-c", script, group, mode],
            &USER[..],
            &[copy.path()],
        ]
        .concat();
        let Some(said) = command_in_scenario("short", false, &command) else {
            return;
        };
        assert_eq!(said.status, status, "{group} {mode}: {}", said.stderr);
        assert_eq!(
            said.stderr.contains("Permission denied"),
            status == 2,
            "{}",
            said.stderr
        );
    }
    // Root's own, before root is nobody.
    let command = ["sh", "-c", script, "0", "600", HOPSHOT];
    let Some(said) = command_in_scenario("short", false, &command) else {
        return;
    };
    assert_eq!(said.status, 0, "{}", said.stderr);
}
