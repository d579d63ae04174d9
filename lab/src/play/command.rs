//! The command that runs inside.

use super::clock::{clock, real_time};
use super::failure::Failure;
use core::time::Duration;
use hopshot_lab::log::Exit;
use nix::sys::ptrace;
use nix::sys::resource::{UsageWho, getrusage};
use nix::sys::signal::{SigSet, Signal, kill};
use nix::sys::time::TimeValLike;
use nix::sys::wait::{WaitStatus, waitpid};
use nix::unistd::Pid;
use std::net::IpAddr;
use std::os::unix::process::ExitStatusExt;
use std::process::{Child, Command, ExitStatus};
use std::sync::mpsc::{RecvTimeoutError, channel};
use std::{fs, io};

/// The target that a command is told of.
pub(super) struct Addressee {
    pub(super) v4: IpAddr,
    pub(super) v6: IpAddr,
    pub(super) name: String,
}

/// How to treat a command.
#[derive(Clone, Copy, Debug, Default)]
pub(crate) struct Conduct {
    /// When to kill it.
    pub(crate) time_limit: Option<Duration>,
    /// Whether to stop it at its end and look how much memory it had. Otherwise what the kernel
    /// adds up is taken, which starts with the lab's own memory.
    pub(crate) memory: bool,
}

/// Runs a command with the target's address and name in its arguments and environment, and waits
/// for it. Its input and output are this process's own.
pub(super) fn run(
    command: &[String],
    target: &Addressee,
    conduct: Conduct,
) -> Result<Exit, Failure> {
    let (v4, v6) = (target.v4.to_string(), target.v6.to_string());
    let fill = |text: &String| {
        text.replace("{4}", &v4)
            .replace("{6}", &v6)
            .replace("{name}", &target.name)
    };
    let (program, arguments) = command
        .split_first()
        .ok_or_else(|| Failure::Lab("no command".to_owned()))?;
    let started = clock();
    let child = Command::new(fill(program))
        .args(arguments.iter().map(fill))
        .env("HOPSHOT_LAB_TARGET4", &v4)
        .env("HOPSHOT_LAB_TARGET6", &v6)
        .env("HOPSHOT_LAB_NAME", &target.name)
        .spawn()
        .map_err(|error| {
            let status = if error.kind() == io::ErrorKind::NotFound {
                127
            } else {
                126
            };
            Failure::Command(format!("{program}: {error}"), status)
        })?;
    // From here on, so that the child inherits neither. An interrupt from the terminal is the
    // command's to handle, the lab only waits; and the command's end must be noticed when it
    // comes.
    let _ = SigSet::from_iter([Signal::SIGINT, Signal::SIGQUIT]).thread_block();
    let _ = real_time();
    let (ended, status, memory) =
        wait(child, conduct).map_err(|error| Failure::Lab(format!("{program}: {error}")))?;
    let usage =
        getrusage(UsageWho::RUSAGE_CHILDREN).map_err(|error| Failure::Lab(error.to_string()))?;
    let cpu = usage.user_time().num_microseconds() + usage.system_time().num_microseconds();
    Ok(Exit {
        started_ns: nanos(started),
        ended_ns: nanos(ended),
        status,
        cpu_ns: u64::try_from(cpu).unwrap_or(0) * 1000,
        sleeps: u64::try_from(usage.voluntary_context_switches()).unwrap_or(0),
        peak_memory: memory.unwrap_or_else(|| u64::try_from(usage.max_rss()).unwrap_or(0) * 1024),
    })
}

/// Waits for the command's end: when it was, the exit status, and the memory if it was looked at.
fn wait(mut child: Child, conduct: Conduct) -> io::Result<(Duration, u8, Option<u64>)> {
    let pid = Pid::from_raw(i32::try_from(child.id()).map_err(io::Error::other)?);
    // Dropped at the end of the command: then there is nothing to kill any more.
    let (running, over) = channel::<()>();
    if let Some(limit) = conduct.time_limit {
        std::thread::spawn(move || {
            if over.recv_timeout(limit) == Err(RecvTimeoutError::Timeout) {
                let _ = kill(pid, Signal::SIGKILL);
            }
        });
    }
    let (status, memory) = if conduct.memory {
        observe(pid)?
    } else {
        (child.wait().map(number)?, None)
    };
    drop(running);
    Ok((clock(), status, memory))
}

/// Waits for a process, and looks at its memory when it has nothing left to do but to go.
fn observe(pid: Pid) -> io::Result<(u8, Option<u64>)> {
    // A process that is gone already can't be seized, but waited for.
    let _ = ptrace::seize(pid, ptrace::Options::PTRACE_O_TRACEEXIT);
    let mut memory = None;
    loop {
        let pass_on = match waitpid(pid, None)? {
            WaitStatus::Exited(_, status) => {
                return Ok((u8::try_from(status).unwrap_or(125), memory));
            }
            WaitStatus::Signaled(_, signal, _) => return Ok((128 + signal as u8, memory)),
            WaitStatus::PtraceEvent(..) => {
                memory = greatest_memory(pid);
                None
            }
            WaitStatus::Stopped(_, signal) => Some(signal),
            _ => continue,
        };
        // Killed meanwhile: the next wait says so.
        let _ = ptrace::cont(pid, pass_on);
    }
}

/// The most memory that a process ever had resident, in octets.
fn greatest_memory(pid: Pid) -> Option<u64> {
    let status = fs::read_to_string(format!("/proc/{pid}/status")).ok()?;
    let line = status
        .lines()
        .find_map(|line| line.strip_prefix("VmHWM:"))?;
    line.trim()
        .trim_end_matches(" kB")
        .parse::<u64>()
        .ok()
        .map(|kib| kib * 1024)
}

/// The exit status as a shell says it.
fn number(status: ExitStatus) -> u8 {
    let number = status
        .code()
        .or_else(|| status.signal().map(|signal| 128 + signal));
    number
        .and_then(|number| u8::try_from(number).ok())
        .unwrap_or(125)
}

fn nanos(time: Duration) -> u64 {
    u64::try_from(time.as_nanos()).unwrap_or(u64::MAX)
}
