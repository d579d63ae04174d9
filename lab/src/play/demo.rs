//! The whole of hopshot on a machine without a network.

use super::failure::Failure;
use super::run;
use hopshot_lab::Scenario;
use std::env;
use std::path::PathBuf;
use std::process::Command;

/// Traces the path of the scenario `demo` with the `hopshot` that was built beside this program, or
/// that of the scenario `compare` by several protocols.
pub(crate) fn run(compare: bool) -> Result<u8, Failure> {
    let (name, options) = match compare {
        true => ("compare", &["--compare", "-4"][..]),
        false => ("demo", &["-4"][..]),
    };
    let scenario = Scenario::named(name).map_err(|error| Failure::Lab(error.to_string()))?;
    let mut command = vec![hopshot()?.display().to_string()];
    command.extend(options.iter().map(|option| (*option).to_owned()));
    command.push("{name}".to_owned());
    run::run(
        &scenario,
        &run::Options {
            seed: 1,
            ..run::Options::default()
        },
        &command,
    )
}

/// The `hopshot` beside this program; built first if it isn't there and cargo started this program.
pub(super) fn hopshot() -> Result<PathBuf, Failure> {
    let own = env::current_exe()
        .map_err(|error| Failure::Lab(format!("this program's own path: {error}")))?;
    let hopshot = own.with_file_name("hopshot");
    if hopshot.exists() {
        return Ok(hopshot);
    }
    let profile = if cfg!(debug_assertions) {
        "dev"
    } else {
        "release"
    };
    if let Some(cargo) = env::var_os("CARGO") {
        let built = Command::new(cargo)
            .args(["build", "--profile", profile, "-p", "hopshot"])
            .status();
        if built.is_ok_and(|status| status.success()) && hopshot.exists() {
            return Ok(hopshot);
        }
    }
    Err(Failure::Lab(format!(
        "{} isn't there; build it: cargo build --profile {profile} -p hopshot",
        hopshot.display()
    )))
}
