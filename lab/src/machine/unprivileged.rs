//! The machine of a program without privilege, as in a pod.

use super::Machine;
use crate::connections;
use crate::scenario::Scenario;
use hopshot_core::wire::AddressFamily;
use hopshot_engine::link::Port;
use hopshot_engine::{ProbeProtocol, SocketKind};
use std::collections::VecDeque;

/// UDP sockets of a family that check who answers TCP where ping sockets are refused.
const UDP_CHECKS: usize = 10;

impl Machine {
    /// A machine with the sockets that Linux gives to a program without privilege: in each family
    /// one for each of these protocols, and more for checks. Ping sockets may be refused.
    #[must_use]
    pub fn unprivileged(
        scenario: &Scenario,
        protocols: &[ProbeProtocol],
        has_pings: bool,
        seed: u64,
    ) -> Self {
        let mut machine = Self::new(scenario, SocketKind::Ping, seed);
        let has = |protocol: ProbeProtocol| protocols.contains(&protocol);
        let has_tcp = protocols.iter().any(|protocol| protocol.is_tcp());
        let checks = match has_pings {
            true if has(ProbeProtocol::Icmp) => &[][..],
            true => &[ProbeProtocol::Icmp],
            false if has_tcp => &[ProbeProtocol::UNUSED_UDP; UDP_CHECKS],
            false => &[],
        };
        let is_permitted = |it: &&ProbeProtocol| has_pings || **it != ProbeProtocol::Icmp;
        let own = protocols.iter().filter(is_permitted).map(|it| (it, true));
        let all = own.chain(checks.iter().map(|it| (it, false)));
        let random = &mut machine.random;
        machine.ports = all
            .flat_map(|(protocol, is_own)| {
                [AddressFamily::V4, AddressFamily::V6].map(|family| {
                    let port = port(family, *protocol, random);
                    let detours = is_own && port.kind == SocketKind::Udp;
                    Port { detours, ..port }
                })
            })
            .collect();
        machine
            .arrived
            .resize_with(machine.ports.len(), VecDeque::new);
        machine
    }
}

fn port(family: AddressFamily, protocol: ProbeProtocol, random: &mut fastrand::Rng) -> Port {
    let (kind, ident, room) = match protocol {
        ProbeProtocol::Tcp { .. } => (SocketKind::Tcp, None, Some(connections::ROOM)),
        ProbeProtocol::Udp { .. } => (SocketKind::Udp, Some(random.u16(32_768..61_000)), None),
        _ => (SocketKind::Ping, Some(random.u16(1..)), None),
    };
    Port {
        family,
        protocol: protocol.number(family),
        kind,
        ident,
        own_port: None,
        room,
        target_port: protocol.port(),
        detours: false,
    }
}
