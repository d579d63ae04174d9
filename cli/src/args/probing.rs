//! What is sent, and from where.

use super::protocol::Protocol;
use super::sides::{self, Sides, sides};
use super::values::{Source, mark, number, octet, seconds, source, word};
use clap::{Args, ValueEnum};
use hopshot_linux::lookup::Wanted;
use hopshot_linux::{
    AddressFamily, MAX_ATTEMPTS, MAX_HOPS, MAX_PATIENCE, Memory, ProbeProtocol, Settings,
    SocketKind, Sweep,
};
use std::time::Duration;

/// The options that shape a trace.
#[derive(Debug, Args)]
#[command(next_help_heading = "Probes")]
pub(crate) struct Probes {
    #[command(flatten)]
    pub(crate) protocol: Protocol,

    /// Use IPv4 only
    #[arg(short = '4', long, conflicts_with = "ipv6")]
    ipv4: bool,

    /// Use IPv6 only
    #[arg(short = '6', long)]
    ipv6: bool,

    /// The nearest hop to probe
    #[arg(short, long, value_name = "HOP", default_value_t = 1, value_parser = number(1..=MAX_HOPS, "hops"))]
    pub(crate) first: u8,

    /// The farthest hop to probe, 1 to 64
    #[arg(short, long = "max-hops", value_name = "HOP", default_value_t = 32, value_parser = number(1..=MAX_HOPS, "hops"))]
    pub(crate) max: u8,

    /// Answers to ask for at each hop, 1 to 10
    #[arg(short = 'q', long, value_name = "N", default_value_t = 3, default_value_if("watch", "true", "1"), value_parser = number(1..=MAX_ATTEMPTS, "answers"))]
    pub(crate) attempts: u8,

    /// The longest wait for an answer [default: 2]
    #[arg(short, long = "wait", value_name = "SECONDS", value_parser = seconds(0.001..=3600.0))]
    wait: Option<Duration>,

    /// Wait so many times as long for late answers, 1 to 10
    #[arg(long, value_name = "N", default_value_t = 1, value_parser = number(1..=MAX_PATIENCE, ""))]
    pub(crate) patience: u8,

    /// Send from this address of this machine; a link-local one has its interface behind it:
    /// fe80::1%eth0
    #[arg(short, long, value_name = "ADDRESS", value_parser = source)]
    source: Option<Source>,

    /// Send by this interface; any of its names, or its number
    #[arg(short, long, value_name = "NAME")]
    interface: Option<String>,

    /// Mark probes for rules of routing and of firewalls (fwmark)
    #[arg(long, value_name = "MARK", value_parser = mark)]
    pub(super) mark: Option<u32>,

    /// The TOS (IPv4) or traffic class (IPv6) of probes, 0 to 255
    #[arg(short, long, value_name = "TOS", value_parser = octet)]
    pub(crate) tos: Option<u8>,

    /// The size of probes by ICMP or UDP in octets, IP header included: 38 to 65535, in IPv6 58 or
    /// more
    #[arg(long, value_name = "OCTETS", value_parser = number(38..=u16::MAX, "octets"))]
    pub(crate) size: Option<u16>,

    /// Don't let probes be fragmented: the router before a link that is too small says so, !F
    #[arg(short = 'F', long)]
    pub(crate) dont_fragment: bool,

    /// Find the largest packets that the path carries, and mark where they get smaller, F=1400; by
    /// ICMP or UDP
    #[arg(long, conflicts_with = "watch")]
    pub(crate) mtu: bool,

    /// The ICMP identifier of probes, 0 to 65535; random if not given
    #[arg(long, value_name = "ID", value_parser = word)]
    pub(super) ident: Option<u16>,

    /// The flow of all probes by ICMP, 1 to 65534: another may take another path at load balancers;
    /// random if not given; TCP and UDP have --source-port
    #[arg(long, value_name = "N", value_parser = number(1..=65534_u16, ""))]
    pub(super) flow: Option<u16>,

    /// Show all paths that load balancers share traffic over, by as many flows as it takes; -q has
    /// no effect with it
    #[arg(long, conflicts_with_all = ["watch", "mtu"])]
    pub(crate) paths: bool,

    /// Trace by several protocols at once, side by side, and say what differs: icmp, udp, tcp,
    /// quic, with :PORT for another port; or over both families, 4,6; with --paths, all paths of
    /// each [default: icmp,udp,tcp]
    #[arg(long, value_name = "SIDES", num_args = 0..=1, require_equals = true)]
    #[arg(default_missing_value = sides::USUAL, value_parser = sides)]
    #[arg(conflicts_with_all = ["watch", "mtu", "targets"])]
    pub(crate) compare: Option<Sides>,

    /// How sure to be, with --paths, that no path is missing: 50 to 99.999
    #[arg(long, value_name = "PERCENT", default_value_t = 95.0, value_parser = number(50.0..=99.999, "percent"))]
    pub(super) confidence: f64,

    /// Send every probe to every hop at once, whatever comes back
    #[arg(long)]
    burst: bool,

    /// At most this many probes a second, 1 to 1000000: 1000 for several hosts, no bound for one
    #[arg(long, value_name = "PPS", value_parser = number(1..=1_000_000_u32, "probes a second"))]
    pub(crate) rate: Option<u32>,

    /// The kind of socket: raw needs a privilege and sees more; ping needs none where it is
    /// permitted, and sends ICMP only; udp and tcp need none, and send their own protocol
    #[arg(long, value_name = "KIND", value_enum, default_value_t = Socket::Auto)]
    pub(super) socket: Socket,

    /// Ask the kernel when each probe left: RTTs without the few microseconds that sending takes
    #[arg(long)]
    precise: bool,

    /// Learn nothing from one host for the others: neither their distances nor the routers near us
    /// that they share
    #[arg(long)]
    no_learning: bool,
}

/// The kind of socket to open.
#[derive(Clone, Copy, Debug, ValueEnum)]
pub(super) enum Socket {
    /// Raw where that is permitted, else ping; for UDP and TCP, sockets of that protocol
    Auto,
    /// Raw
    Raw,
    /// Ping
    Ping,
    /// UDP
    Udp,
    /// TCP
    Tcp,
}

impl Probes {
    /// Checks what no single argument can be blamed for.
    pub(super) fn check(&self) -> Result<(), String> {
        if self.first > self.max {
            return Err(format!(
                "--first must be 1 to {} (--max-hops), not {}",
                self.max, self.first
            ));
        }
        self.protocol.check(self.compare.as_ref())?;
        self.check_beside_protocol()?;
        match (self.source_interface(), &self.interface) {
            (Some(one), Some(other)) if one != other => Err(format!(
                "--source names the interface {one}, and --interface {other}: leave one out"
            )),
            _ => Ok(()),
        }
    }

    /// Checks what goes with which protocol.
    fn check_beside_protocol(&self) -> Result<(), String> {
        let protocol = self.protocol.chosen();
        // The sides name their protocols themselves.
        if self.compare.as_ref().is_some_and(|it| !it.are_families()) {
            return Ok(());
        }
        let name = match protocol {
            ProbeProtocol::Tcp { .. } => "--tcp",
            ProbeProtocol::Udp { .. } => "--udp",
            _ if matches!(self.socket, Socket::Udp) => {
                return Err("--socket udp requires --udp: it sends UDP only".to_owned());
            }
            _ if matches!(self.socket, Socket::Tcp) => {
                return Err("--socket tcp requires --tcp: it sends TCP only".to_owned());
            }
            _ => return Ok(()),
        };
        let is_tcp = name == "--tcp";
        let conflicts = [
            (
                matches!(self.socket, Socket::Ping),
                "--socket ping, which sends ICMP only",
            ),
            (
                is_tcp && matches!(self.socket, Socket::Udp),
                "--socket udp, which sends UDP only",
            ),
            (
                !is_tcp && matches!(self.socket, Socket::Tcp),
                "--socket tcp, which sends TCP only",
            ),
            (
                (self.mtu || self.paths) && matches!(self.socket, Socket::Udp),
                "--socket udp and --mtu or --paths: those take raw sockets",
            ),
            (
                self.paths && matches!(self.socket, Socket::Tcp),
                "--socket tcp and --paths: those take raw sockets",
            ),
            (
                self.paths && self.protocol.one_flow,
                "--one-flow and --paths: each path is of another flow",
            ),
            (
                self.protocol.source_port.is_some()
                    && matches!(self.socket, Socket::Tcp)
                    && !self.protocol.one_flow,
                "--socket tcp and --source-port: each TCP socket has a port of its own; --one-flow gives all one",
            ),
            (
                self.ident.is_some(),
                "--ident, which only ICMP has; --source-port tells flows apart",
            ),
            (
                self.flow.is_some(),
                "--flow, which only ICMP has; --source-port tells flows apart",
            ),
            (
                is_tcp && self.size.is_some(),
                "--size: the size of a SYN is fixed; use ICMP or --udp",
            ),
            (
                is_tcp && self.mtu,
                "--mtu: the size of a SYN is fixed; use ICMP or --udp",
            ),
        ];
        match conflicts.into_iter().find(|(is_given, _)| *is_given) {
            Some((_, why)) => Err(format!("{name} can't be used with {why}")),
            None => Ok(()),
        }
    }

    /// Whether a source address was given.
    pub(super) const fn has_source(&self) -> bool {
        self.source.is_some()
    }

    /// The interface that the source address was given with.
    fn source_interface(&self) -> Option<&String> {
        self.source
            .as_ref()
            .and_then(|source| source.interface.as_ref())
    }

    /// The family that was asked for.
    pub(crate) fn family(&self) -> Option<AddressFamily> {
        match (self.ipv4, self.ipv6) {
            (true, _) => Some(AddressFamily::V4),
            (_, true) => Some(AddressFamily::V6),
            (false, false) => None,
        }
    }

    /// The family that a name's address is to have: that of the source, if it has one, where none
    /// was asked for.
    pub(crate) fn wanted(&self) -> Wanted {
        match (
            self.family(),
            self.source
                .as_ref()
                .map(|source| AddressFamily::of(source.address)),
        ) {
            (Some(family), _) => Wanted::Only(family),
            (None, Some(family)) => Wanted::Rather(family),
            (None, None) => Wanted::Any,
        }
    }

    /// The longest wait for an answer.
    pub(crate) fn wait(&self) -> Duration {
        self.wait.unwrap_or(Settings::DEFAULT_TIMEOUT)
    }

    /// The settings that the options say, but for `--rate`.
    pub(super) fn settings(&self) -> Settings {
        let mut settings = Settings::new()
            .first_hop(self.first)
            .max_hops(self.max)
            .attempts(self.attempts)
            .patience(self.patience)
            .precise(self.precise)
            .dont_fragment(self.dont_fragment);
        if let Some(wait) = self.wait {
            settings = settings.timeout(wait);
        }
        if let Some(family) = self.family() {
            settings = settings.family(family);
        }
        if let Some(source) = &self.source {
            settings = settings.source(source.address);
        }
        if let Some(interface) = self.interface.as_ref().or(self.source_interface()) {
            settings = settings.interface(interface);
        }
        if let Some(mark) = self.mark {
            settings = settings.mark(mark);
        }
        if let Some(tos) = self.tos {
            settings = settings.traffic_class(tos);
        }
        if let Some(size) = self.size {
            settings = settings.size(size);
        }
        if let Some(ident) = self.ident {
            settings = settings.ident(ident);
        }
        if let Some(flow) = self.flow {
            settings = settings.flow(flow);
        }
        settings = settings.protocol(self.protocol.chosen());
        if self.protocol.one_flow {
            settings = settings.one_flow(true);
        }
        if self.protocol.no_checks {
            settings = settings.check_targets(false);
        }
        if let Some(port) = self.protocol.source_port {
            settings = settings.source_port(port);
        }
        match self.socket {
            Socket::Auto => {}
            Socket::Raw => settings = settings.socket(SocketKind::Raw),
            Socket::Ping => settings = settings.socket(SocketKind::Ping),
            Socket::Udp => settings = settings.socket(SocketKind::Udp),
            Socket::Tcp => settings = settings.socket(SocketKind::Tcp),
        }
        if self.no_learning {
            settings = settings.memory(&Memory::none());
        }
        if self.burst {
            settings = settings.sweep(Sweep::Burst);
        }
        settings
    }
}
