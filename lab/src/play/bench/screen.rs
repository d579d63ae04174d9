//! When a person at a terminal sees the whole path.

use super::counts::shipped;
use super::measure::{Bench, TIME_LIMIT};
use super::report::{number, table};
use super::stats::median;
use super::tools::Installed;
use crate::play::clock::clock;
use crate::play::failure::Failure;
use hopshot_core::wire::AddressFamily;
use hopshot_lab::log::{self, Event};
use nix::pty::{Winsize, openpty};
use std::fs::{self, File};
use std::io::Read;
use std::process::{Command, Stdio};
use std::time::Duration;

/// How often each command is looked at.
const TIMES: usize = 9;

/// What a person sees.
struct Seen {
    /// From the start of the command until each hop's address stands on the screen.
    whole: Duration,
    /// Until the command has ended.
    end: Duration,
}

/// The commands that people type, on a terminal.
pub(super) fn screen(bench: &Bench, tools: &[Installed]) -> Result<String, Failure> {
    let mut rows = Vec::new();
    for (program, options) in [
        ("hopshot", &["-n"][..]),
        ("hopshot", &["-n", "-q1"]),
        ("traceroute", &["-I", "-n"]),
    ] {
        let Some(tool) = tools.iter().find(|tool| tool.tool.program == program) else {
            continue;
        };
        let Some(path_of_tool) = tool
            .command(bench.family)
            .and_then(|command| command.into_iter().next())
        else {
            continue;
        };
        for name in ["wan", "long"] {
            let path = shipped(bench, name)?;
            let command: Vec<&str> = std::iter::once(path_of_tool.as_str())
                .chain(options.iter().copied())
                .collect();
            eprintln!("screen: {program} {}, {name}", options.join(" "));
            let seen: Vec<Seen> = (0..TIMES)
                .map(|_| look(bench, name, &command))
                .collect::<Result<_, _>>()?;
            let limit = path.limit(0).as_secs_f64();
            let ratio = |time: fn(&Seen) -> Duration| {
                median(seen.iter().map(|seen| time(seen).as_secs_f64() / limit))
            };
            rows.push(vec![
                format!("`{program} {}`", options.join(" ")),
                format!("`{name}`"),
                number(ratio(|seen| seen.whole), 2),
                number(ratio(|seen| seen.end), 2),
            ]);
        }
    }
    let head = [
        "command",
        "path",
        "every hop on the screen, time / limit",
        "the end, time / limit",
    ];
    Ok(format!(
        "## On a terminal\n\nMedians of {TIMES}, start-up included: when the address of every hop stands on the screen of a \
         terminal, and when the command has ended.\n\n{}",
        table(&head, &rows)
    ))
}

fn look(bench: &Bench, scenario: &str, command: &[&str]) -> Result<Seen, Failure> {
    let failed = |error: std::io::Error| Failure::Lab(format!("terminal: {error}"));
    let size = Winsize {
        ws_row: 50,
        ws_col: 120,
        ws_xpixel: 0,
        ws_ypixel: 0,
    };
    let terminal = openpty(&size, None).map_err(|errno| failed(errno.into()))?;
    let log = bench.file("screen.log");
    let (target, hops) = bench.truth(scenario)?;
    let mut lab = Command::new(&bench.lab);
    lab.args([
        "run",
        scenario,
        "--seed",
        "1",
        "--time-limit",
        &TIME_LIMIT.to_string(),
        "--log",
    ])
    .arg(&log)
    .arg("--");
    let mut child = lab
        .args(command)
        .arg(target)
        .stdin(Stdio::null())
        .stdout(terminal.slave)
        .stderr(Stdio::null())
        .spawn()
        .map_err(failed)?;
    // The slave's last copy went with the command's end: then reading fails.
    drop(lab);
    let (mut screen, mut text, mut octets) =
        (File::from(terminal.master), String::new(), [0; 4096]);
    let mut whole = None;
    while let Ok(len @ 1..) = screen.read(&mut octets) {
        text += &String::from_utf8_lossy(&octets[..len]);
        if whole.is_none() && hops.iter().all(|line| text.contains(line)) {
            whole = Some(clock());
        }
    }
    let _ = child.wait().map_err(failed)?;
    let events = log::parse(&fs::read_to_string(&log).map_err(failed)?)
        .map_err(|error| Failure::Lab(format!("log: {error}")))?;
    match (whole, events.last()) {
        (Some(whole), Some(Event::Exit(exit))) => Ok(Seen {
            whole: whole.saturating_sub(Duration::from_nanos(exit.started_ns)),
            end: Duration::from_nanos(exit.ended_ns - exit.started_ns),
        }),
        _ => Err(Failure::Lab(format!(
            "{}: never the whole path on the screen: {text:?}",
            command.join(" ")
        ))),
    }
}

impl Bench {
    /// The target as a command is told it, and what a line of each hop has in it.
    fn truth(&self, scenario: &str) -> Result<(&'static str, Vec<String>), Failure> {
        let path = shipped(self, scenario)?;
        let target = match self.family {
            AddressFamily::V4 => "{4}",
            AddressFamily::V6 => "{6}",
        };
        let hops = (1..)
            .zip(path.hops(0))
            .filter_map(|(hop, address)| Some(format!("{hop:>2}  {}", address?)));
        Ok((target, hops.collect()))
    }
}
