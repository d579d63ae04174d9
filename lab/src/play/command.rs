//! The command that runs inside.

use super::{Failure, clock};
use core::time::Duration;
use hopshot_lab::log::Exit;
use nix::sys::resource::{UsageWho, getrusage};
use nix::sys::signal::{SigSet, Signal};
use nix::sys::time::TimeValLike;
use std::net::IpAddr;
use std::os::unix::process::ExitStatusExt;
use std::process::{Command, ExitStatus};

/// The target that a command is told of.
pub(super) struct Addressee {
    pub(super) v4: IpAddr,
    pub(super) v6: IpAddr,
    pub(super) name: String,
}

/// Runs a command with the target's address and name in its arguments and environment, and waits for it. Its input and output
/// are this process's own.
pub(super) fn run(command: &[String], target: &Addressee) -> Result<Exit, Failure> {
    let (v4, v6) = (target.v4.to_string(), target.v6.to_string());
    let fill = |text: &String| text.replace("{4}", &v4).replace("{6}", &v6).replace("{name}", &target.name);
    let (program, arguments) = command.split_first().ok_or_else(|| Failure::Lab("no command".to_owned()))?;
    // An interrupt from the terminal is the command's to handle; the lab only waits. The child starts with a clear mask.
    let _ = SigSet::from_iter([Signal::SIGINT, Signal::SIGQUIT]).thread_block();
    let started = clock();
    let status = Command::new(fill(program))
        .args(arguments.iter().map(fill))
        .env("HOPSHOT_LAB_TARGET4", &v4)
        .env("HOPSHOT_LAB_TARGET6", &v6)
        .env("HOPSHOT_LAB_NAME", &target.name)
        .status()
        .map_err(|error| {
            let status = if error.kind() == std::io::ErrorKind::NotFound { 127 } else { 126 };
            Failure::Command(format!("{program}: {error}"), status)
        })?;
    let ended = clock();
    let usage = getrusage(UsageWho::RUSAGE_CHILDREN).map_err(|error| Failure::Lab(error.to_string()))?;
    let cpu = usage.user_time().num_microseconds() + usage.system_time().num_microseconds();
    Ok(Exit {
        started_ns: nanos(started),
        ended_ns: nanos(ended),
        status: number(status),
        cpu_ns: u64::try_from(cpu).unwrap_or(0) * 1000,
        peak_memory: u64::try_from(usage.max_rss()).unwrap_or(0) * 1024,
    })
}

/// The exit status as a shell says it.
fn number(status: ExitStatus) -> u8 {
    let number = status.code().or_else(|| status.signal().map(|signal| 128 + signal));
    number.and_then(|number| u8::try_from(number).ok()).unwrap_or(125)
}

fn nanos(time: Duration) -> u64 {
    u64::try_from(time.as_nanos()).unwrap_or(u64::MAX)
}
