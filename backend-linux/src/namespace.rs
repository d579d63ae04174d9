//! For tests: a network namespace of their own. No packet leaves this machine, none comes in, and
//! where the kernel lets users make namespaces no privilege is needed.
//!
//! Each test starts this test program again under unshare(1), for that test alone, and there does
//! what it is about.

use std::io::Write;
use std::process::{Command, Output};

/// Lets the group that this namespace knows open ping sockets.
pub(crate) const PERMIT_PING: &str = "echo '0 0' >/proc/sys/net/ipv4/ping_group_range; ";

/// Set inside the namespace.
const INSIDE: &str = "HOPSHOT_TEST_NAMESPACE";

/// Runs `body` in a new network namespace that the shell commands `setup` have prepared. `test` is
/// the path of the test that calls this.
pub(crate) fn in_namespace(test: &str, setup: &str, body: fn()) {
    if std::env::var_os(INSIDE).is_some() {
        return body();
    }
    under(&["--user", "--map-root-user", "--net"], test, setup);
}

/// The same as root of this machine, who can become another user: in a network and a tree of mounts
/// of its own.
pub(crate) fn as_root_in_namespace(test: &str, setup: &str, body: fn()) {
    if std::env::var_os(INSIDE).is_some() {
        return body();
    }
    under(&["--net", "--mount"], test, setup);
}

/// Starts the test once more, under unshare with these options.
fn under(options: &[&str], test: &str, setup: &str) {
    let unshare = |script: &str, arguments: &[&str]| -> std::io::Result<Output> {
        let mut command = Command::new("unshare");
        command.args(options).args(["--", "sh", "-c", script]);
        // tc, which Debian has on root's path alone.
        let path = std::env::var("PATH").unwrap_or_default() + ":/usr/sbin:/sbin";
        command.env("PATH", path).env(INSIDE, "1");
        command.args(arguments).output()
    };
    let text = |output: &Output| {
        String::from_utf8_lossy(&[&output.stdout[..], &output.stderr].concat()).into_owned()
    };
    let prepare = format!("set -e; ip link set lo up; {setup}");
    let obstacle = match unshare(&prepare, &[]) {
        Ok(output) if output.status.success() => None,
        Ok(output) => Some(text(&output)),
        Err(error) => Some(format!("unshare: {error}")),
    };
    if let Some(obstacle) = obstacle {
        assert!(
            std::env::var_os("HOPSHOT_NO_SKIP").is_none(),
            "{test} can't run here: {}",
            obstacle.trim()
        );
        // Not eprintln!, which the test harness hides when the test passes.
        let mut stderr = std::io::stderr();
        let _ = writeln!(
            stderr,
            "SKIP {test}: this needs unshare, ip (and tc) and a kernel that lets users make network namespaces: {}",
            obstacle.trim()
        );
        return;
    }
    let program = std::env::current_exe().unwrap();
    let script = format!("{prepare}\n\"$0\" \"$@\"");
    let output = unshare(
        &script,
        &[program.to_str().unwrap(), test, "--exact", "--nocapture"],
    )
    .unwrap();
    assert!(
        output.status.success() && text(&output).contains("1 passed"),
        "{}",
        text(&output)
    );
}
