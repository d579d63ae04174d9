//! The real command in a network of its own: the lab's simulated internet, or real Linux routers.

pub(crate) mod chain;
pub(crate) mod lists;
pub(crate) mod read;
pub(crate) mod users;

use hopshot_core::wire::AddressFamily;
use serde_json::Value;
use std::io::{self, Write};
use std::path::{Path, PathBuf};
use std::process::{Command, Output, Stdio};
use std::sync::OnceLock;
use std::time::SystemTime;

/// The kinds of sockets.
pub(crate) const KINDS: [&str; 2] = ["raw", "ping"];

/// Each family, with the lab's word for the target's address.
pub(crate) const FAMILIES: [(AddressFamily, &str); 2] =
    [(AddressFamily::V4, "{4}"), (AddressFamily::V6, "{6}")];

/// What the command said and how it ended.
pub(crate) struct Said {
    pub(crate) status: i32,
    pub(crate) stdout: String,
    pub(crate) stderr: String,
}

impl Said {
    pub(crate) fn json(&self) -> Value {
        serde_json::from_str(&self.stdout)
            .unwrap_or_else(|error| panic!("{error} in {:?}, {:?}", self.stdout, self.stderr))
    }
}

impl From<Output> for Said {
    fn from(output: Output) -> Self {
        Self {
            status: output.status.code().expect("it was not killed"),
            stdout: String::from_utf8(output.stdout).expect("the output is text"),
            stderr: String::from_utf8(output.stderr).expect("messages are text"),
        }
    }
}

pub(crate) const HOPSHOT: &str = env!("CARGO_BIN_EXE_hopshot");

/// Whoever runs the tests may have options of their own.
const OPTIONS: (&str, &str) = ("HOPSHOT_CONFIG", "/dev/null");

/// Runs hopshot as it is, where this test runs: only for what sends nothing.
pub(crate) fn hopshot(args: &[&str]) -> Said {
    Command::new(HOPSHOT)
        .args(args)
        .env(OPTIONS.0, OPTIONS.1)
        .stdin(Stdio::null())
        .output()
        .expect("hopshot can be started")
        .into()
}

/// Runs hopshot in a scenario of the lab; `None` if the kernel doesn't permit namespaces.
pub(crate) fn in_scenario(scenario: &str, args: &[&str]) -> Option<Said> {
    in_lab(&["run", scenario, "--", HOPSHOT], args)
}

/// Runs a command in a scenario where ping sockets are permitted to every group, or to none.
pub(crate) fn command_in_scenario(scenario: &str, ping: bool, command: &[&str]) -> Option<Said> {
    let permit: &[&str] = if ping { &["--ping"] } else { &[] };
    in_lab(&[&["run", scenario], permit, &["--"]].concat(), command)
}

/// Runs hopshot on a chain of real Linux routers.
pub(crate) fn on_chain(routers: u8, args: &[&str]) -> Option<Said> {
    command_on_chain(routers, &[], &[&[HOPSHOT], args].concat())
}

/// Runs a command on a chain of real Linux routers that is as the options say.
pub(crate) fn command_on_chain(routers: u8, options: &[&str], command: &[&str]) -> Option<Said> {
    in_lab(
        &[&["chain", &routers.to_string()], options, &["--"]].concat(),
        command,
    )
}

/// Runs a shell command in a scenario, where `$0` is hopshot.
pub(crate) fn shell_in_scenario(scenario: &str, script: &str) -> Option<Said> {
    in_lab(&["run", scenario, "--", "sh", "-c"], &[script, HOPSHOT])
}

/// Runs the lab with these arguments, and then those of a command.
pub(crate) fn in_lab(lab_args: &[&str], args: &[&str]) -> Option<Said> {
    let output = Command::new(lab())
        .args(lab_args)
        .args(args)
        .env(OPTIONS.0, OPTIONS.1)
        .env("PATH", path())
        .stdin(Stdio::null())
        .output()
        .expect("the lab can be started");
    if output.status.code() != Some(77) {
        return Some(output.into());
    }
    let reason = String::from_utf8_lossy(&output.stderr).into_owned();
    assert!(
        std::env::var_os("HOPSHOT_NO_SKIP").is_none(),
        "no namespaces, but none may be skipped: {reason}"
    );
    eprintln!("SKIPPED, it needs network namespaces: {reason}");
    None
}

/// Where programs are. In a namespace an ordinary user may call what is on root's path alone, as tc
/// is in Debian.
pub(crate) fn path() -> String {
    std::env::var("PATH").unwrap_or_default() + ":/usr/sbin:/sbin"
}

/// Not possible here; a failure where nothing may be skipped. Not eprintln!, which the harness
/// hides when the test passes.
pub(crate) fn skip(test: &str, reason: &str) {
    assert!(
        std::env::var_os("HOPSHOT_NO_SKIP").is_none(),
        "{test} can't run here: {reason}"
    );
    let _ = writeln!(io::stderr(), "SKIPPED {test}: {reason}");
}

/// The lab's binary, which stands beside hopshot's.
pub(crate) fn lab() -> &'static PathBuf {
    static LAB: OnceLock<PathBuf> = OnceLock::new();
    LAB.get_or_init(|| {
        let lab = PathBuf::from(HOPSHOT).with_file_name("hopshot-lab");
        let mut build = Command::new(env!("CARGO"));
        build.args([
            "build",
            "--quiet",
            "--package",
            "hopshot-lab",
            "--bin",
            "hopshot-lab",
        ]);
        if lab.with_file_name("").ends_with("release") {
            build.arg("--release");
        }
        // `cargo test --workspace` has renewed it, `cargo test -p hopshot` has not.
        let sources = PathBuf::from(concat!(env!("CARGO_MANIFEST_DIR"), "/../lab"));
        let is_new = changed(&lab)
            .is_some_and(|built| newest(&sources).is_some_and(|source| source <= built));
        assert!(
            is_new || build.status().is_ok_and(|status| status.success()),
            "the lab can't be built"
        );
        lab
    })
}

fn changed(path: &Path) -> Option<SystemTime> {
    path.metadata().ok()?.modified().ok()
}

/// When the file that was changed last in a folder was.
fn newest(folder: &Path) -> Option<SystemTime> {
    let entries = folder
        .read_dir()
        .ok()?
        .filter_map(Result::ok)
        .map(|entry| entry.path());
    entries
        .filter_map(|path| {
            if path.is_dir() {
                newest(&path)
            } else {
                changed(&path)
            }
        })
        .max()
}
