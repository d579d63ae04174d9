//! How far the RTTs that a tool tells are from those that a tap on the wire saw, on an idle machine
//! and on a busy one.

use super::counts::shipped;
use super::measure::{Bench, How};
use super::report::{number, table};
use super::stats::{median, percentile};
use super::tap::{self, Seen};
use super::tools::Installed;
use crate::play::failure::Failure;
use core::time::Duration;
use hopshot_core::wire::AddressFamily;
use serde::Deserialize;
use std::fs;
use std::sync::atomic::{AtomicBool, Ordering};

/// How many traces of each tool, unless that takes longer than [`SECONDS`].
const TRACES: u16 = 100;
const SECONDS: u16 = 40;
/// What keeps the machine busy.
const BUSY_LOOPS: usize = 8;

/// The commands, with as many answers from each hop as there are probes on the wire: one. `{t}` is
/// the target's address.
const COMMANDS: [(&str, &str); 9] = [
    ("hopshot", "-n|-q1|--json|--socket|raw|{t}"),
    ("hopshot", "-n|-q1|--json|--socket|ping|{t}"),
    ("hopshot", "-n|-q1|--json|--socket|raw|--precise|{t}"),
    ("hopshot", "-n|-q1|--json|--socket|ping|--precise|{t}"),
    ("traceroute", "{f}|-I|-n|-q1|-N30|{t}"),
    ("traceroute", "{f}|-I|-n|-q1|-N1|{t}"),
    ("scamper", "-p|1000|-I|trace -P icmp-paris -q 1 -w 1 {t}"),
    ("mtr", "{f}|-n|--raw|-c1|-i0.1|-G1|{t}"),
    (
        "ftr",
        "{f}|--json|--no-enrich|--no-rdns|--protocol|icmp|--socket-mode|raw|{t}",
    ),
];

/// Starts the tap, `$0` its file; then the command `$3...` again and again, at most `$1` times or
/// `$2` seconds. Before the output of each stands a line with an @ and the time. The tap reads by
/// the block, a second's worth at most: to wake it for every packet would hold up the packet that
/// it has just stamped.
const SCRIPT: &str = "\
times=$1 end=$(($(date +%s) + $2)); shift 2
tcpdump -B 16384 -U -Z root -i hopshot0 --time-stamp-precision=nano -w \"$0\" 'icmp or icmp6' 2>\"$0.said\" &
tap=$!; tries=0
while [ $tries -lt 100 ] && ! grep -q 'listening on' \"$0.said\"; do tries=$((tries + 1)); sleep 0.05; done
while [ $times -gt 0 ] && [ $(date +%s) -lt $end ]; do times=$((times - 1)); date +@%s%N; \"$@\" 2>/dev/null; done
sleep 1.5; kill -INT $tap; wait $tap";

/// The table, for a machine as it is and for a busy one.
pub(super) fn rtt(bench: &Bench, tools: &[Installed]) -> Result<String, Failure> {
    let mut text = format!(
        "## RTTs against the wire\n\nThe difference between each RTT that a command tells and what tcpdump saw on the client's \
         interface (a veth pair, the kernel's stamps, nanoseconds), in µs and without its sign: `wan`, the 11 routers of up to \
         {TRACES} traces. A hop that got more than one probe in a trace is left out, since who can say which was answered. mtr is \
         asked for its raw format, which is finer than its report.\n\n",
    );
    for (title, loops) in [("as it is", 0), ("8 busy loops beside", BUSY_LOOPS)] {
        let rows = with_busy_loops(loops, || rows(bench, tools))?;
        let head = ["command", "RTTs", "median, µs", "95 %, µs", "worst, µs"];
        text += &format!("### The machine {title}\n\n{}", table(&head, &rows));
    }
    Ok(text)
}

fn rows(bench: &Bench, tools: &[Installed]) -> Result<Vec<Vec<String>>, Failure> {
    let path = shipped(bench, "wan")?;
    let capture = bench.file("capture");
    let (target, family) = match bench.family {
        AddressFamily::V4 => ("{4}", "-4"),
        AddressFamily::V6 => ("{6}", "-6"),
    };
    let mut rows = Vec::new();
    for (program, arguments) in COMMANDS {
        let Some(tool) = tools.iter().find(|tool| tool.tool.program == program) else {
            continue;
        };
        let words = arguments
            .split('|')
            .map(|word| word.replace("{t}", target).replace("{f}", family));
        let words: Vec<String> = words.collect();
        let label = format!("{program} {}", words.join(" ")).replace(target, "TARGET");
        eprintln!("rtt: {label}");
        let shell = [
            "sh",
            "-c",
            SCRIPT,
            &capture.display().to_string(),
            &TRACES.to_string(),
            &SECONDS.to_string(),
        ];
        let command: Vec<String> = shell
            .into_iter()
            .chain([tool.program()])
            .map(str::to_owned)
            .chain(words)
            .collect();
        let how = How {
            seed: 1,
            options: &["--link", "veth", "--ping"],
            ..How::default()
        };
        let (output, _) = bench.once(&path, &command, how)?;
        let seen = fs::read(&capture)
            .ok()
            .and_then(|octets| tap::round_trips(&octets))
            .ok_or_else(|| {
                Failure::Lab(
                    "no capture of the wire; is tcpdump installed, and may it listen here?"
                        .to_owned(),
                )
            })?;
        let _ = fs::remove_file(&capture);
        let errors = errors(program, &output, &seen);
        let of = |share| number(percentile(&errors, share), 1);
        let middle = number(median(errors.iter().copied()), 1);
        rows.push(vec![
            format!("`{label}`"),
            errors.len().to_string(),
            middle,
            of(0.95),
            of(1.0),
        ]);
    }
    Ok(rows)
}

/// The errors of all traces, in microseconds.
fn errors(program: &str, output: &str, seen: &[Seen]) -> Vec<f64> {
    let mut traces: Vec<(Duration, String)> = Vec::new();
    for line in output.lines() {
        match (
            line.strip_prefix('@').and_then(|nanos| nanos.parse().ok()),
            traces.last_mut(),
        ) {
            (Some(nanos), _) => traces.push((Duration::from_nanos(nanos), String::new())),
            (None, Some((_, text))) => *text += &format!("{line}\n"),
            (None, None) => {}
        }
    }
    let ends = traces
        .iter()
        .skip(1)
        .map(|(start, _)| *start)
        .chain([Duration::MAX])
        .collect::<Vec<_>>();
    let mut errors = Vec::new();
    for ((start, text), end) in traces.iter().zip(ends) {
        let sent: Vec<&Seen> = seen
            .iter()
            .filter(|probe| (*start..end).contains(&probe.at))
            .collect();
        // The last hop is the target, which answers farther probes too.
        let told = told(program, text);
        let last = told.iter().map(|(hop, _)| *hop).max().unwrap_or(0);
        for (hop, rtt) in told.into_iter().filter(|(hop, _)| *hop < last) {
            let mut probes = sent.iter().filter(|probe| probe.hop_limit == hop);
            if let (
                Some(Seen {
                    rtt: Some(wire), ..
                }),
                None,
            ) = (probes.next(), probes.next())
            {
                errors.push((rtt * 1e3 - wire.as_secs_f64() * 1e6).abs());
            }
        }
    }
    errors
}

/// The hops in a tool's output, each with its RTT in milliseconds.
fn told(program: &str, output: &str) -> Vec<(u8, f64)> {
    match program {
        "hopshot" => serde_json::from_str(output)
            .map(|document: Hopshot| document.told())
            .unwrap_or_default(),
        "ftr" => serde_json::from_str(output)
            .map(|document: Ftr| document.told())
            .unwrap_or_default(),
        "mtr" => output.lines().filter_map(raw).collect(),
        _ => output.lines().filter_map(line).collect(),
    }
}

/// `3  10.3.0.1  20.006 ms`
fn line(line: &str) -> Option<(u8, f64)> {
    let words: Vec<&str> = line.split_whitespace().collect();
    let place = words
        .iter()
        .position(|word| *word == "ms")?
        .checked_sub(1)?;
    Some((
        words.first()?.parse().ok()?,
        words.get(place)?.parse().ok()?,
    ))
}

/// `p 2 20117 33002`: the hop from 0, and microseconds.
fn raw(line: &str) -> Option<(u8, f64)> {
    let mut words = line.strip_prefix("p ")?.split_whitespace();
    let hop: u8 = words.next()?.parse().ok()?;
    Some((
        hop.checked_add(1)?,
        words.next()?.parse::<f64>().ok()? / 1e3,
    ))
}

#[derive(Deserialize)]
struct Hopshot {
    hops: Vec<Hop>,
}

#[derive(Deserialize)]
struct Hop {
    hop: u8,
    probes: Vec<Option<Probe>>,
}

#[derive(Deserialize)]
struct Probe {
    rtt_ms: Option<f64>,
}

impl Hopshot {
    fn told(&self) -> Vec<(u8, f64)> {
        let first = |hop: &Hop| {
            Some((
                hop.hop,
                hop.probes.iter().flatten().find_map(|probe| probe.rtt_ms)?,
            ))
        };
        self.hops.iter().filter_map(first).collect()
    }
}

#[derive(Deserialize)]
struct Ftr {
    hops: Vec<FtrHop>,
}

#[derive(Deserialize)]
struct FtrHop {
    ttl: u8,
    rtt_ms: Option<f64>,
}

impl Ftr {
    fn told(&self) -> Vec<(u8, f64)> {
        self.hops
            .iter()
            .filter_map(|hop| Some((hop.ttl, hop.rtt_ms?)))
            .collect()
    }
}

/// Does a job while so many threads never rest.
fn with_busy_loops<T>(count: usize, job: impl FnOnce() -> T) -> T {
    /// Lets them go, also when the job panics.
    struct Over<'a>(&'a AtomicBool);
    impl Drop for Over<'_> {
        fn drop(&mut self) {
            self.0.store(true, Ordering::Relaxed);
        }
    }
    let over = AtomicBool::new(false);
    std::thread::scope(|scope| {
        let _over = Over(&over);
        for _ in 0..count {
            scope.spawn(|| {
                while !over.load(Ordering::Relaxed) {
                    core::hint::spin_loop();
                }
            });
        }
        job()
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn seen(at: u64, hop_limit: u8, micros: Option<u64>) -> Seen {
        Seen {
            at: Duration::from_nanos(at),
            hop_limit,
            rtt: micros.map(Duration::from_micros),
        }
    }

    #[test]
    fn each_trace_is_held_against_its_own_probes_and_what_is_not_sure_is_left_out() {
        let output = "\
tcpdump says something
@1000
traceroute to 10.255.0.80 (10.255.0.80), 30 hops max, 60 byte packets
 1  10.1.0.1  6.003 ms
 2  *
 3  10.255.0.80  20.0 ms
@2000
 1  10.1.0.1  6.009 ms
 2  10.2.0.1  13.000 ms
 3  10.255.0.80  20.0 ms
";
        let wire = [
            seen(1001, 1, Some(6000)),
            seen(1002, 2, None),
            seen(1003, 3, Some(20_000)),
            seen(2001, 1, Some(6000)),
            seen(2002, 2, Some(1)),
            seen(2003, 2, Some(13_000)),
        ];
        let found: Vec<f64> = errors("traceroute", output, &wire)
            .iter()
            .map(|error| error.round())
            .collect();
        assert_eq!(found, [3.0, 9.0]);
    }

    #[test]
    fn every_format_is_read() {
        let hopshot = r#"{"hops":[{"hop":1,"probes":[null,{"attempt":2,"from":"10.1.0.1","rtt_ms":6.7}]},{"hop":2,"probes":[null]}]}"#;
        assert_eq!(told("hopshot", hopshot), [(1, 6.7)]);
        assert_eq!(
            told(
                "ftr",
                r#"{"hops":[{"ttl":1,"rtt_ms":7.1},{"ttl":2,"rtt_ms":null}]}"#
            ),
            [(1, 7.1)]
        );
        assert_eq!(
            told("mtr", "x 2 33002\nh 2 10.3.0.1\np 2 20117 33002\n"),
            [(3, 20.117)]
        );
        assert_eq!(
            told(
                "scamper",
                "traceroute from a to b\n 3  10.3.0.1  20.006 ms\n 4  *\n"
            ),
            [(3, 20.006)]
        );
    }

    #[test]
    fn busy_loops_end_with_the_job() {
        assert_eq!(with_busy_loops(2, || 7), 7);
    }
}
