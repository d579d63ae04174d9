//! The protocol of probes.

use super::sides::{DNS, HTTPS, Sides, UNUSED};
use super::values::number;
use clap::Args;
use hopshot_linux::{ProbeProtocol, TcpOptions, UdpPayload};

/// The options that say what probes are.
#[derive(Debug, Args)]
#[command(next_help_heading = "Probes")]
pub(crate) struct Protocol {
    /// Probe by ICMP (Echo Requests), the default; of -I, -T and -U the last one counts
    #[arg(short = 'I', long, overrides_with_all = ["tcp", "udp"])]
    icmp: bool,

    /// Probe by TCP (SYNs), port 443 or that of -p, and say whether it is open; with --paths that
    /// needs root or CAP_NET_RAW
    #[arg(short = 'T', long, overrides_with_all = ["icmp", "udp"])]
    tcp: bool,

    /// Probe by UDP, port 33434 or that of -p; with --paths or --mtu that needs root or CAP_NET_RAW
    #[arg(short = 'U', long, overrides_with_all = ["icmp", "tcp"])]
    udp: bool,

    /// With --udp: begin a QUIC connection, at port 443 or that of -p; QUIC servers answer it
    #[arg(long)]
    quic: bool,

    /// With --tcp: SYNs as operating systems send them (MSS, SACK, timestamps, window scale), for
    /// firewalls that drop others; without it they have an MSS only
    #[arg(long)]
    full_syn: bool,

    /// With --tcp or --udp: the destination port, 1 to 65535, the same at every hop; UDP asks port
    /// 53 a DNS question
    #[arg(short, long, value_name = "PORT", value_parser = number(1..=u16::MAX, ""))]
    pub(super) port: Option<u16>,

    /// With --tcp or --udp: the source port, 1 to 65535, the same at every hop: another may take
    /// another path at load balancers, that of a connection takes its path; random if not given
    #[arg(long, value_name = "PORT", value_parser = number(1..=u16::MAX, ""))]
    pub(super) source_port: Option<u16>,

    /// With --tcp or --udp: keep all probes on one flow, but for the SYN that learns the distance.
    /// Silent hops aren't asked again from other source ports; without root TCP asks one hop after
    /// the other, which takes the RTTs of all hops together
    #[arg(long)]
    pub(crate) one_flow: bool,

    /// With --tcp or --udp: send no pings to check that it is the target that answers, and not a
    /// proxy in its name
    #[arg(long)]
    pub(super) no_checks: bool,
}

impl Protocol {
    /// The protocol that was asked for.
    pub(crate) fn chosen(&self) -> ProbeProtocol {
        let port_or = |usual| self.port.unwrap_or(usual);
        match (self.tcp, self.udp) {
            (true, _) => ProbeProtocol::Tcp {
                port: port_or(HTTPS),
                options: self.tcp_options(),
            },
            (_, true) if self.quic => ProbeProtocol::Udp {
                port: port_or(HTTPS),
                payload: UdpPayload::Quic,
            },
            (_, true) => ProbeProtocol::Udp {
                port: port_or(UNUSED),
                payload: if self.port == Some(DNS) {
                    UdpPayload::Dns
                } else {
                    UdpPayload::Plain
                },
            },
            (false, false) => ProbeProtocol::Icmp,
        }
    }

    /// The options of SYNs that were asked for.
    pub(crate) const fn tcp_options(&self) -> TcpOptions {
        match self.full_syn {
            true => TcpOptions::Full,
            false => TcpOptions::Mss,
        }
    }

    /// Whether an option names a protocol.
    pub(super) const fn is_named(&self) -> bool {
        self.icmp || self.tcp || self.udp
    }

    /// Checks what goes with what. A comparison may name protocols too.
    pub(super) fn check(&self, compared: Option<&Sides>) -> Result<(), String> {
        let has_ports = self.tcp || self.udp;
        let has_tcp = self.tcp || compared.is_some_and(Sides::have_tcp);
        let is_checked = has_ports || compared.is_some_and(Sides::have_ports);
        let without_protocol = [
            (self.quic && !self.udp, "--quic requires --udp"),
            (self.full_syn && !has_tcp, "--full-syn requires --tcp"),
            (
                self.one_flow && !is_checked,
                "--one-flow requires --tcp or --udp: by ICMP all probes are of one flow",
            ),
            (
                self.no_checks && !is_checked,
                "--no-checks requires --tcp or --udp: by ICMP nothing is checked",
            ),
            (
                self.port.is_some() && !has_ports,
                "--port requires --tcp or --udp: ICMP has no ports",
            ),
            (
                self.source_port.is_some() && !has_ports,
                "--source-port requires --tcp or --udp: ICMP has no ports",
            ),
        ];
        match without_protocol.into_iter().find(|(is_wrong, _)| *is_wrong) {
            Some((_, why)) => Err(why.to_owned()),
            None => Ok(()),
        }
    }
}
