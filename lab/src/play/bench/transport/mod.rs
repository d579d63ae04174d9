//! Probes by TCP and UDP: what a trace takes, what it tells of the target's port, and what it makes
//! of load balancers, late answers and firewalls.

mod tools;

use super::counts::{AT_A_TIME, shipped};
use super::formats::State;
use super::judge::{Path, Trace};
use super::measure::{Bench, How, each};
use super::paths::play;
use super::report::{code, number, table};
use super::stats::median;
use super::tools::Installed;
use crate::play::failure::Failure;
use hopshot_lab::{Protocol, Scenario};
use std::fs;
pub(super) use tools::TOOLS;

/// How many traces at most where something is counted: enough to tell a tool that keeps to a flow
/// from one that doesn't.
pub(super) const TIMES: usize = 100;

/// How often a tool that meets a firewall is run: what comes of it doesn't depend on chance.
const FIREWALLED: usize = 2;

/// How late an answer may be, in milliseconds: it overtakes those of several hops.
const LATE_MS: u32 = 60;

/// A port, for TCP and for UDP.
type Port = fn(Protocol) -> u16;

/// A tool's traces.
struct Row<'a> {
    tool: &'a Installed,
    usual: &'a [Trace],
    other: &'a [Trace],
    short: &'a [Trace],
    balanced: &'a [Trace],
    late: &'a [Trace],
    unpinged: &'a [Trace],
    silent: &'a [Trace],
}

/// The table.
pub(super) fn transport(
    bench: &Bench,
    tools: &[Installed],
    runs: u32,
    times: usize,
) -> Result<String, Failure> {
    let open = shipped(bench, "tcp-open")?;
    let usual = in_turn(bench, tools, &open, usual_port, runs)?;
    let other = in_turn(bench, tools, &open, other_port, runs)?;
    let short = in_turn(
        bench,
        tools,
        &shipped(bench, "short-quotes")?,
        usual_port,
        runs,
    )?;
    let count = |path: &Path, port, times| at_once(bench, tools, path, port, times);
    let balanced = count(&shipped(bench, "ecmp")?, usual_port, times)?;
    let late = count(&late(bench)?, usual_port, times)?;
    let unpinged = count(&shipped(bench, "no-icmp")?, usual_port, FIREWALLED)?;
    let silent = count(&shipped(bench, "tcp-filtered")?, |_| 443, FIREWALLED)?;
    let rows = tools.iter().enumerate().map(|(index, tool)| Row {
        tool,
        usual: &usual[index],
        other: &other[index],
        short: &short[index],
        balanced: &balanced[index],
        late: &late[index],
        unpinged: &unpinged[index],
        silent: &silent[index],
    });
    let rows: Vec<_> = rows
        .filter(|row| !row.usual.is_empty())
        .map(|row| row.cells())
        .collect();
    Ok(format!("{}{}", about(), table(&HEAD, &rows)))
}

/// Lets the tools take turns: what they do takes time, and that counts. The traces by tool.
fn in_turn(
    bench: &Bench,
    tools: &[Installed],
    path: &Path,
    port: Port,
    runs: u32,
) -> Result<Vec<Vec<Trace>>, Failure> {
    let mut traces = Vec::new();
    for tools in tools.chunk_by(|one, next| one.tool.protocol == next.tool.protocol) {
        let protocol = tools[0].tool.protocol;
        let how = How {
            port: port(protocol),
            ..How::default()
        };
        let path = path.clone().by(bench.family, protocol, how.port);
        traces.extend(play(bench, tools, path, how, 1..=runs)?.traces);
    }
    Ok(traces)
}

/// Lets several run at a time: most of it is waiting. The traces by tool.
fn at_once(
    bench: &Bench,
    tools: &[Installed],
    path: &Path,
    port: Port,
    times: usize,
) -> Result<Vec<Vec<Trace>>, Failure> {
    eprintln!("{}: {} × {times}", path.name, tools.len());
    let one = |number: usize| {
        let tool = &tools[number / times];
        let how = How {
            seed: (number % times) as u64 + 1,
            port: port(tool.tool.protocol),
            ..How::default()
        };
        let path = path.clone().by(bench.family, tool.tool.protocol, how.port);
        bench.trace(&path, tool, how)
    };
    let traces = each(tools.len() * times, AT_A_TIME, one)?;
    let of_each = traces.chunks(times);
    Ok(of_each
        .map(|traces| traces.iter().copied().flatten().collect())
        .collect())
}

fn about() -> String {
    format!(
        "## TCP and UDP\n\n\
         Time, waste and hops: `tcp-open`, medians, at TCP port 443, which is open, and UDP port \
         33434, which is closed. The limit is the RTT, 80 ms. 'Past the end' counts SYNs and \
         datagrams that were sent farther than the target, and the ping by which hopshot checks \
         that no proxy answers. 'Open' and 'closed': whether the command says so of TCP ports 443 \
         and 81, and of UDP ports 53, which answers, and 33434; a dash is one that says nothing. \
         'Again' is the second trace by one process, without start-up. scamper's TCP needs \
         Ethernet and has a veth pair, all others a TUN device.\n\n\
         'Eight octets quoted': hops right, and time over the limit, where each router quotes no \
         more of a probe (`short-quotes`). Without root the answers that such a router sends by UDP \
         are weak.\n\n\
         The rest: traces with neighbours that are on no way one behind the other, where load is \
         balanced by ports and in IPv6 by the flow label too (`ecmp`); whole lists where each \
         answer is up to {LATE_MS} ms late and so overtakes others; whether the target is found \
         where it is, behind a firewall that drops pings and silent routers (`no-icmp`); the time \
         until a command gives up a target that is silent at port 443, the last router 73 ms away \
         (`tcp-filtered`).\n\n"
    )
}

const HEAD: [&str; 12] = [
    "command",
    "time / limit",
    "past the end",
    "hops right",
    "wrong hops",
    "open",
    "closed",
    "eight octets quoted",
    "false links: traces",
    "late answers: lists right",
    "ICMP dropped: found",
    "silent target, s",
];

impl Row<'_> {
    fn cells(&self) -> Vec<String> {
        let of = |value: fn(&Trace) -> f64| median(self.usual.iter().map(value));
        let (open, closed) = match self.tool.tool.protocol {
            Protocol::Udp => (self.other, self.usual),
            Protocol::Tcp | Protocol::Icmp => (self.usual, self.other),
        };
        vec![
            code(self.tool),
            number(of(Trace::ratio), 2),
            number(of(|trace| trace.past as f64), 0),
            right(self.usual),
            number(of(|trace| trace.wrong as f64), 0),
            told(open, State::Open),
            told(closed, State::Closed),
            right_in(self.short),
            share(self.balanced, |trace| trace.false_links > 0),
            share(self.late, Trace::is_right),
            share(self.unpinged, |trace| trace.reached),
            number(
                median(self.silent.iter().map(|trace| trace.wall.as_secs_f64())),
                2,
            ),
        ]
    }
}

/// How many hops are right, of how many.
fn right(traces: &[Trace]) -> String {
    let right = median(traces.iter().map(|trace| trace.right as f64));
    let hops = traces.first().map_or(0, |trace| trace.hops);
    format!("{} / {hops}", number(right, 0))
}

/// The same, and the time over the limit.
fn right_in(traces: &[Trace]) -> String {
    let ratio = median(traces.iter().map(Trace::ratio));
    format!("{}; {}", right(traces), number(ratio, 2))
}

/// Whether a port's state is told: if in some traces only, in how many; and whether it is wrong.
fn told(traces: &[Trace], truth: State) -> String {
    let count = |state| traces.iter().filter(|trace| trace.state == state).count();
    let (right, silent) = (count(Some(truth)), count(None));
    match traces.len() - right - silent {
        0 if right == traces.len() => "yes".to_owned(),
        0 if right == 0 => number(None, 0),
        0 => format!("{right} of {}", traces.len()),
        wrong => format!("wrong {wrong} of {}", traces.len()),
    }
}

fn share(traces: &[Trace], is_so: fn(&Trace) -> bool) -> String {
    let count = traces.iter().filter(|trace| is_so(trace)).count();
    format!("{count} of {}", traces.len())
}

/// A path of 12 hops and 80 ms on which answers overtake each other.
fn late(bench: &Bench) -> Result<Path, Failure> {
    let file = bench.file("late.toml");
    fs::write(&file, format!("jitter_ms = {LATE_MS}\n"))
        .map_err(|error| Failure::Lab(format!("{}: {error}", file.display())))?;
    let file = file.display().to_string();
    let scenario = Scenario::load(&file).map_err(|error| Failure::Lab(error.to_string()))?;
    Ok(Path::new("late", file, scenario, bench.family))
}

/// TCP's is open, UDP's is closed.
fn usual_port(protocol: Protocol) -> u16 {
    if protocol == Protocol::Udp {
        33_434
    } else {
        443
    }
}

/// TCP's is closed, UDP's answers.
fn other_port(protocol: Protocol) -> u16 {
    if protocol == Protocol::Udp { 53 } else { 81 }
}
