//! Settings of traces, whatever their targets.

use crate::error::Fault;
use crate::link::Port;
use crate::memory::Memory;
use crate::protocol::{Key, ProbeProtocol, Probes};
use hopshot_core::wire::AddressFamily;
use hopshot_core::{Config, ConfigError, Protocol, Tcp};
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr};
use std::time::Duration;

/// Settings of traces, whatever their targets. Ranges are checked when a trace starts.
#[derive(Clone, Debug)]
#[non_exhaustive]
pub struct ProbeSettings {
    /// Hops, attempts, waits and the traffic class. Target and source are filled in at the start,
    /// and the sweep from [`memory`](Self::memory) if there is none.
    pub config: Config,
    /// Whether the timeout was chosen by somebody. If not, a trace outside a list waits a second
    /// longer where nothing answers and the kernel is still looking for the next hop.
    pub has_timeout: bool,
    /// The protocol of the probes.
    pub protocol: ProbeProtocol,
    /// The ICMP identifier of all probes; a random one for each trace if none is given. Probes of
    /// TCP and UDP have none.
    pub ident: Option<u16>,
    /// The flow, 1 to 65,534: the ICMP checksum of all probes, or their source port in TCP and UDP;
    /// a random one for each trace if none is given.
    pub flow: Option<u16>,
    /// The size of a probe in octets, IP header included: 38 to 65,535 in IPv4, 58 to 65,535 in
    /// IPv6; 52 and 72 if none is given. In UDP it may be smaller or must be larger by what the
    /// payload takes; a SYN has a size of its own.
    pub size: Option<u16>,
    /// The memory to learn from and to learn into.
    pub memory: Memory,
    /// Whether others than the target know the flow, so that it proves nothing.
    pub(crate) flow_is_public: bool,
    /// Whether all probes of a trace are of one flow, so that silent hops are asked on no other.
    pub one_flow: bool,
}

impl Default for ProbeSettings {
    fn default() -> Self {
        let config = Config {
            timeout: Self::DEFAULT_TIMEOUT,
            ..Config::new(AddressFamily::V4.unspecified())
        };
        let (has_timeout, ident, flow, size, memory) = (false, None, None, None, Memory::new());
        Self {
            config,
            has_timeout,
            protocol: ProbeProtocol::Icmp,
            ident,
            flow,
            size,
            memory,
            flow_is_public: false,
            one_flow: false,
        }
    }
}

impl ProbeSettings {
    /// The longest to wait for an answer by default.
    pub const DEFAULT_TIMEOUT: Duration = Duration::from_secs(2);

    /// Checks the ranges. `family` is that of the target, or the one whose probes may be smaller.
    ///
    /// # Errors
    /// [`Fault::Config`] and [`Fault::Size`].
    pub fn check<E>(&self, family: AddressFamily) -> Result<(), Fault<E>> {
        self.config.check().map_err(Fault::Config)?;
        self.probing(family, 0).map(drop)
    }

    /// Returns whether silent hops are asked on no other flow: one that was asked for is the only
    /// one.
    const fn keeps_flow(&self) -> bool {
        self.one_flow || self.flow.is_some()
    }

    /// Returns how many source ports each trace on a port of the machine has: an aligned block.
    pub(crate) fn ports_of(&self, port: Port) -> u16 {
        match self.protocol {
            protocol if protocol.number(port.family) != port.protocol => 1,
            ProbeProtocol::Tcp { .. } if !self.keeps_flow() => Tcp::PORTS,
            _ => 1,
        }
    }

    /// Returns the probes of a trace: as was asked for, and the rest at random.
    pub(crate) fn probing<E>(
        &self,
        family: AddressFamily,
        random: u128,
    ) -> Result<Probes, Fault<E>> {
        let mut probing = self.protocol.probes(random);
        if let (Some(ident), ProbeProtocol::Icmp) = (self.ident, self.protocol) {
            let first = probing.first_key();
            probing = probing.with_first_key(Key { ident, ..first });
        }
        if let Some(flow) = self.flow {
            probing = probing.with_flow(flow, self.flow_is_public);
        }
        if self.keeps_flow() {
            probing = probing.on_one_flow();
        }
        probing.check().map_err(Fault::Config)?;
        let Some(given) = self.size else {
            return Ok(probing);
        };
        let size = probing.size(family);
        if matches!(probing, Probes::Tcp(_)) && usize::from(given) != size {
            let size = u16::try_from(size).unwrap_or(u16::MAX);
            return Err(Fault::Config(ConfigError::OutOfRange {
                parameter: "size",
                given,
                least: size,
                greatest: size,
            }));
        }
        probing
            .with_size(family, given)
            .map_err(|least| Fault::Size {
                family,
                given,
                least,
            })
    }
}

/// The address that a packet to the unspecified address goes to: this machine. Kernels take `::`
/// for it in one kind of socket and for a host of the network in the other.
#[must_use]
pub fn specified(address: SocketAddr) -> SocketAddr {
    match address.ip() {
        IpAddr::V4(Ipv4Addr::UNSPECIFIED) => (Ipv4Addr::LOCALHOST, 0).into(),
        IpAddr::V6(Ipv6Addr::UNSPECIFIED) => (Ipv6Addr::LOCALHOST, 0).into(),
        _ => address,
    }
}

/// A target, and the interface that it belongs to if it is link-local, else 0.
pub(crate) fn target(address: SocketAddr) -> (IpAddr, u32) {
    match specified(address) {
        SocketAddr::V4(v4) => (IpAddr::V4(*v4.ip()), 0),
        SocketAddr::V6(v6) => (IpAddr::V6(*v6.ip()), v6.scope_id()),
    }
}
