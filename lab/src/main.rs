//! `hopshot-lab`: commands in a simulated internet, or on a chain of real Linux routers, without
//! leaving the machine.
#![forbid(unsafe_code)]
#![cfg_attr(not(target_os = "linux"), allow(unused))]

#[cfg(not(target_os = "linux"))]
compile_error!(
    "the binary needs Linux's namespaces; the library alone (--no-default-features) runs anywhere"
);

mod play;

use clap::{Args, Parser, Subcommand};
use core::time::Duration;
use hopshot_lab::Scenario;
use play::{Conduct, Failure, LinkKind, bench, chain, demo, refuse, run};
use std::path::PathBuf;
use std::process::ExitCode;

/// A simulated internet for hopshot's tests, benchmarks and demos.
///
/// Exit status: the command's own; 77 if the kernel doesn't give the namespaces, 125 if the lab
/// fails, 126 or 127 if the command can't be started.
#[derive(Parser)]
#[command(version)]
struct Arguments {
    #[command(subcommand)]
    task: Task,
}

#[derive(Subcommand)]
enum Task {
    /// Run a command in a simulated internet.
    ///
    /// {4}, {6} and {name} in the command stand for the target's IPv4 address, IPv6 address and
    /// name; HOPSHOT_LAB_TARGET4, HOPSHOT_LAB_TARGET6 and HOPSHOT_LAB_NAME hold them too.
    Run {
        /// A scenario of the lab (see `list`), or a file with one.
        scenario: String,
        /// Write what the simulated internet saw to a file, one JSON object per line.
        #[arg(long, value_name = "FILE")]
        log: Option<PathBuf>,
        /// What loss, jitter and load balancing are drawn from.
        #[arg(long, default_value_t = 1)]
        seed: u64,
        /// How packets come and go: by default a TUN device where it can be opened, else a veth
        /// pair.
        #[arg(long, value_enum)]
        link: Option<LinkKind>,
        /// Kill the command if it takes longer.
        #[arg(long, value_name = "SECONDS")]
        time_limit: Option<u16>,
        /// Stop the command at its very end to see how much memory it had, for the log. It ends a
        /// little later then.
        #[arg(long)]
        memory: bool,
        #[command(flatten)]
        inside: Inside,
    },
    /// Run a command on a chain of real Linux routers, each a network namespace, with a target at
    /// its end.
    Chain {
        /// How many routers; this machine's packets can pass 63.
        #[arg(default_value_t = 3, value_parser = clap::value_parser!(u8).range(1..=63))]
        routers: u8,
        /// The MTU of the link that leads to a hop, 1280 octets or more; may be given for several.
        #[arg(long, value_name = "HOP=OCTETS", value_parser = chain::Mtu::parse)]
        mtu: Vec<chain::Mtu>,
        /// Leave the kernel's limits on ICMP errors as they are: 6, then one a second.
        #[arg(long)]
        ratelimit: bool,
        /// Serve TCP and UDP on a port of the target; may be given for several.
        #[arg(long, value_name = "PORT")]
        serve: Vec<u16>,
        /// Run a shell command at a hop first, 0 for the start: to set up a firewall, or, with '&',
        /// to serve; may be given for several.
        #[arg(long, value_name = "HOP=SCRIPT", value_parser = chain::At::parse)]
        at: Vec<chain::At>,
        #[command(flatten)]
        inside: Inside,
    },
    /// Run a command to which the kernel refuses system calls: some options of sockets, some kinds
    /// of sockets.
    Refuse {
        /// A refused option: its level, its number, and the number of the error.
        #[arg(long, value_name = "LEVEL:OPTION:ERRNO", value_parser = refuse::three)]
        option: Vec<[u32; 3]>,
        /// A refused kind of socket: its family, its type, and the number of the error.
        #[arg(long, value_name = "FAMILY:TYPE:ERRNO", value_parser = refuse::three)]
        socket: Vec<[u32; 3]>,
        /// A call that is refused whatever its arguments: `socketpair`.
        #[arg(long, value_name = "ERRNO")]
        socketpair: Option<u32>,
        /// The command and its arguments.
        #[arg(last = true, required = true, value_name = "COMMAND")]
        command: Vec<String>,
    },
    /// Show the scenarios.
    List,
    /// Trace a path of twelve hops with hopshot, on a machine without a network.
    Demo {
        /// Compare ICMP, UDP and TCP, of which two are filtered.
        #[arg(long)]
        compare: bool,
    },
    /// Play scenarios against hopshot and every peer that is installed, and print Markdown.
    ///
    /// The tools take turns, so that a busy moment of the machine hits all alike. Nothing leaves
    /// the machine.
    Bench(bench::Arguments),
}

/// What a command is and what it may do.
#[derive(Args)]
struct Inside {
    /// Let every group open ping sockets; off by default, as in a fresh network namespace.
    #[arg(long)]
    ping: bool,
    /// The command and its arguments.
    #[arg(last = true, required = true, value_name = "COMMAND")]
    command: Vec<String>,
}

fn main() -> ExitCode {
    let done = match Arguments::parse().task {
        Task::Run {
            scenario,
            log,
            seed,
            link,
            time_limit,
            memory,
            inside: Inside { ping, command },
        } => {
            let time_limit = time_limit.map(|seconds| Duration::from_secs(seconds.into()));
            let options = run::Options {
                log,
                seed,
                link,
                ping,
                conduct: Conduct { time_limit, memory },
            };
            Scenario::load(&scenario)
                .map_err(|error| Failure::Lab(error.to_string()))
                .and_then(|scenario| run::run(&scenario, &options, &command))
        }
        Task::Chain {
            routers,
            mtu,
            ratelimit,
            serve,
            at,
            inside: Inside { ping, command },
        } => chain::run(
            routers,
            &chain::Setting {
                mtus: mtu,
                ratelimit,
                ping,
                serve,
                at,
            },
            &command,
        ),
        Task::Refuse {
            option,
            socket,
            socketpair,
            command,
        } => Err(refuse::run(
            &refuse::Refused {
                option,
                socket,
                socketpair,
            },
            &command,
        )),
        Task::List => list(),
        Task::Demo { compare } => demo::run(compare),
        Task::Bench(arguments) => bench::run(&arguments),
    };
    match done {
        Ok(status) => ExitCode::from(status),
        Err(failure) => {
            eprintln!("hopshot-lab: {failure}");
            ExitCode::from(failure.status())
        }
    }
}

fn list() -> Result<u8, Failure> {
    use std::io::Write;
    let mut out = std::io::stdout().lock();
    for name in Scenario::names() {
        let scenario =
            Scenario::named(name).map_err(|error| Failure::Lab(format!("{name}: {error}")))?;
        writeln!(out, "{name:<18}{}", scenario.about)
            .map_err(|error| Failure::Lab(format!("standard output: {error}")))?;
    }
    Ok(0)
}
