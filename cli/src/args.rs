//! The command line.

use clap::{Parser, ValueEnum};
use hopshot_linux::{MAX_ATTEMPTS, MAX_HOPS, Memory, SocketKind, Survey, Sweep, Traceroute, Version};
use std::net::IpAddr;
use std::time::Duration;

const EXAMPLES: &str = "\
Examples:
  hopshot example.com              the path to a host
  hopshot -n -q 1 2001:db8::1      addresses only, one probe at each hop
  hopshot -f 3 -m 12 example.com   hops 3 to 12 only
  hopshot --json example.com       a JSON document on standard output
  hopshot --json --targets FILE    the hosts of a file, a document a line

Marks:
  *         no answer             !X        forbidden by an administrator
  !H        host unreachable      !F-1400   too big for a link's MTU, 1400
  !N        network unreachable   !S        source route failed, out of scope
  !P        protocol unreachable  !<13>     any other code of unreachable
  ! REASON  the probe could not be sent
  rate limited?                   the hop answered, and then stopped

Exit status: 0 the target answered (of several hosts, all), 1 it did not,
2 hopshot could not run.";

/// The path to a host in one round trip: probes to all hops leave at once.
#[derive(Debug, Parser)]
#[command(name = "hopshot", version, after_help = EXAMPLES, max_term_width = 100)]
pub(crate) struct Args {
    /// The host to trace, a name or an address; several are traced at once
    #[arg(value_name = "HOST", required_unless_present = "targets")]
    pub(crate) hosts: Vec<String>,

    /// Trace the hosts of a file, one a line, as well; '-' is standard input
    #[arg(long, value_name = "FILE")]
    pub(crate) targets: Option<String>,

    /// Use IPv4 only
    #[arg(short = '4', conflicts_with = "ipv6")]
    ipv4: bool,

    /// Use IPv6 only
    #[arg(short = '6')]
    ipv6: bool,

    /// The nearest hop to probe
    #[arg(short, long, value_name = "HOP", default_value_t = 1, value_parser = clap::value_parser!(u8).range(1..=MAX_HOPS.into()))]
    first: u8,

    /// The farthest hop to probe, 1 to 64
    #[arg(short, long = "max-hops", value_name = "HOP", default_value_t = 32, value_parser = clap::value_parser!(u8).range(1..=MAX_HOPS.into()))]
    pub(crate) max: u8,

    /// Answers to ask for at each hop, 1 to 10
    #[arg(short = 'q', long, value_name = "N", default_value_t = 3, value_parser = clap::value_parser!(u8).range(1..=MAX_ATTEMPTS.into()))]
    attempts: u8,

    /// The longest to wait for an answer; most traces end long before
    #[arg(short, long = "wait", value_name = "SECONDS", default_value = "2", value_parser = seconds)]
    wait: Duration,

    /// Don't look up the names of addresses
    #[arg(short)]
    pub(crate) numeric: bool,

    /// Show what routers append to their answers: MPLS labels, interfaces
    #[arg(short)]
    pub(crate) extensions: bool,

    /// Send from this address of this machine
    #[arg(short, long, value_name = "ADDRESS")]
    source: Option<IpAddr>,

    /// Send by this interface
    #[arg(short, long, value_name = "NAME")]
    interface: Option<String>,

    /// The TOS (IPv4) or traffic class (IPv6) of probes, 0 to 255
    #[arg(short, long, value_name = "TOS", value_parser = octet)]
    tos: Option<u8>,

    /// The ICMP identifier of probes, 0 to 65535; random if not given
    #[arg(long, value_name = "ID", value_parser = word)]
    ident: Option<u16>,

    /// Send every probe to every hop at once, whatever comes back
    #[arg(long)]
    burst: bool,

    /// At most this many probes a second, 1 to 1000000: 1000 for several hosts, no bound for one
    #[arg(long, value_name = "PPS", value_parser = clap::value_parser!(u32).range(1..=1_000_000))]
    pub(crate) rate: Option<u32>,

    /// How many of several hosts are traced at a time, 1 to 10000
    #[arg(long, value_name = "N", default_value_t = Survey::AT_ONCE, value_parser = at_once)]
    pub(crate) at_once: usize,

    /// Learn nothing from one host's distance for its neighbours
    #[arg(long)]
    no_learning: bool,

    /// The flow of all probes, 1 to 65534: another may take another path at load balancers; random if not given
    #[arg(long, value_name = "N", value_parser = clap::value_parser!(u16).range(1..=65534))]
    flow: Option<u16>,

    /// The kind of socket: raw needs a privilege and sees more, ping needs none where it is permitted
    #[arg(long, value_name = "KIND", value_enum, default_value_t = Socket::Auto)]
    socket: Socket,

    /// Ask the kernel when each probe left: RTTs without the few microseconds that sending takes
    #[arg(long)]
    precise: bool,

    /// Keep the rights to open files, sockets and programs while the trace runs: for debugging
    #[arg(long)]
    pub(crate) no_sandbox: bool,

    /// Say on standard error which kind of socket is used, what could not be confined, and what was rejected
    #[arg(short, long)]
    pub(crate) verbose: bool,

    /// Print a JSON document, for several hosts one a line
    #[arg(long)]
    pub(crate) json: bool,
}

/// The kind of socket to open.
#[derive(Clone, Copy, Debug, ValueEnum)]
enum Socket {
    /// Raw where that is permitted, else ping
    Auto,
    /// Raw
    Raw,
    /// Ping
    Ping,
}

impl Args {
    /// What no single argument can be blamed for.
    pub(crate) fn check(&self) -> Result<(), String> {
        match self.first > self.max {
            true => Err(format!("--first must be 1 to {} (--max-hops), not {}", self.max, self.first)),
            false => Ok(()),
        }
    }

    /// Whether one host is traced, and no more.
    pub(crate) fn single(&self) -> Option<&str> {
        match (self.hosts.as_slice(), &self.targets) {
            ([host], None) => Some(host),
            _ => None,
        }
    }

    /// The family that was asked for.
    pub(crate) fn family(&self) -> Option<Version> {
        match (self.ipv4, self.ipv6) {
            (true, _) => Some(Version::V4),
            (_, true) => Some(Version::V6),
            (false, false) => None,
        }
    }

    /// A trace of a host as the other arguments say.
    pub(crate) fn traceroute(&self, host: &str) -> Traceroute {
        let mut traceroute = Traceroute::new(host)
            .first_hop(self.first)
            .max_hops(self.max)
            .attempts(self.attempts)
            .timeout(self.wait)
            .precise(self.precise);
        if let Some(family) = self.family() {
            traceroute = traceroute.family(family);
        }
        if let Some(source) = self.source {
            traceroute = traceroute.source(source);
        }
        if let Some(interface) = &self.interface {
            traceroute = traceroute.interface(interface);
        }
        if let Some(tos) = self.tos {
            traceroute = traceroute.traffic_class(tos);
        }
        if let Some(ident) = self.ident {
            traceroute = traceroute.ident(ident);
        }
        if let (Some(rate), Some(_)) = (self.rate, self.single()) {
            traceroute = traceroute.interval(Duration::from_secs(1) / rate);
        }
        if let Some(flow) = self.flow {
            traceroute = traceroute.flow(flow);
        }
        match self.socket {
            Socket::Auto => {}
            Socket::Raw => traceroute = traceroute.socket(SocketKind::Raw),
            Socket::Ping => traceroute = traceroute.socket(SocketKind::Ping),
        }
        if self.no_learning {
            traceroute = traceroute.memory(&Memory::none());
        }
        if self.burst {
            traceroute = traceroute.sweep(Sweep::Burst);
        }
        traceroute
    }
}

fn seconds(text: &str) -> Result<Duration, String> {
    let seconds: f64 = text.parse().map_err(|_| "not a number of seconds, such as 1 or 0.5".to_owned())?;
    match Duration::try_from_secs_f64(seconds) {
        Ok(wait) if (0.001..=3600.0).contains(&seconds) => Ok(wait),
        _ => Err("must be 0.001 to 3600 seconds".to_owned()),
    }
}

fn at_once(text: &str) -> Result<usize, String> {
    let traces = text.parse().ok().filter(|traces| (1..=10_000).contains(traces));
    traces.ok_or_else(|| "must be 1 to 10000".to_owned())
}

fn octet(text: &str) -> Result<u8, String> {
    number(text)
        .and_then(|number| u8::try_from(number).ok())
        .ok_or_else(|| "must be 0 to 255, or 0x00 to 0xff".to_owned())
}

fn word(text: &str) -> Result<u16, String> {
    number(text)
        .and_then(|number| u16::try_from(number).ok())
        .ok_or_else(|| "must be 0 to 65535, or 0x0000 to 0xffff".to_owned())
}

/// Decimal, or hexadecimal after `0x`, as both are usual for TOS and ident.
fn number(text: &str) -> Option<u32> {
    match text.strip_prefix("0x") {
        Some(digits) => u32::from_str_radix(digits, 16).ok(),
        None => text.parse().ok(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use clap::CommandFactory;

    #[test]
    fn the_command_line_is_consistent() {
        Args::command().debug_assert();
    }

    #[test]
    fn numbers_are_decimal_or_hexadecimal_and_in_range() {
        assert_eq!(octet("184"), Ok(184));
        assert_eq!(octet("0xb8"), Ok(184));
        assert_eq!(word("0xffff"), Ok(65535));
        for wrong in ["256", "0x100", "-1", "", "0x"] {
            assert!(octet(wrong).is_err(), "{wrong}");
        }
        assert!(word("65536").is_err());
    }

    #[test]
    fn waits_are_positive_and_finite() {
        assert_eq!(seconds("0.5"), Ok(Duration::from_millis(500)));
        for wrong in ["0", "-1", "nan", "inf", "3601", "soon"] {
            assert!(seconds(wrong).is_err(), "{wrong}");
        }
    }
}
