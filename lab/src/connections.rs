//! The TCP sockets of a program without privilege. Each probe is a connection with a port of its
//! own, and the kernel tells of each connection once.

use crate::transport::{self, Protocol};
use core::ops::Range;
use core::time::Duration;
use hopshot_core::wire::{icmp, ip, tcp};
use std::collections::BTreeMap;

/// Sockets at a port of the machine, so connections that may be under way.
pub(crate) const ROOM: usize = 64;

/// The source ports that Linux takes for connections.
const PORTS: Range<u16> = 32_768..61_000;

/// How long a connection may be under way before its socket is used again.
const LONGEST: Duration = Duration::from_millis(950);

/// Where the sequence number of a segment is.
const SEQ: Range<usize> = 4..8;

/// The connections that are under way, by their source ports.
#[derive(Debug, Default)]
pub(crate) struct Connections(BTreeMap<u16, Connection>);

#[derive(Debug)]
struct Connection {
    /// The port of the machine that its socket belongs to.
    of: usize,
    tag: u32,
    left: Duration,
    /// The SYN as the caller wrote it.
    syn: Vec<u8>,
}

impl Connections {
    /// Begins a connection with a caller's SYN, which gets a source port of its own. `None` if all
    /// sockets are in use.
    pub(crate) fn begin(
        &mut self,
        of: usize,
        (tag, left): (u32, Duration),
        syn: &mut [u8],
        random: &mut fastrand::Rng,
    ) -> Option<()> {
        self.0.retain(|_, it| it.left + LONGEST > left);
        if self.0.values().filter(|it| it.of == of).count() >= ROOM {
            return None;
        }
        let mut ports = core::iter::repeat_with(|| random.u16(PORTS));
        let port = ports.find(|port| !self.0.contains_key(port))?;
        let connection = Connection {
            of,
            tag,
            left,
            syn: syn.to_vec(),
        };
        self.0.insert(port, connection);
        transport::set_source_port(syn, Protocol::Tcp, port);
        Some(())
    }

    /// Ends connections that nobody waits for.
    pub(crate) fn end(&mut self, are_these: impl Fn(u32) -> bool) {
        self.0.retain(|_, connection| !are_these(connection.tag));
    }

    /// Ends the connection that a packet is about, and makes the packet an answer to the SYN that
    /// the caller wrote. `None` if it is about none of this port of the machine.
    pub(crate) fn answer(&mut self, of: usize, packet: &mut [u8]) -> Option<()> {
        let (header, message) = ip::parse(packet).ok()?;
        let start = packet.len() - message.len();
        let is_its = |connection: &&Connection| connection.of == of;
        if header.protocol == tcp::PROTOCOL {
            let port = transport::ports(message).destination;
            self.0.get(&port).filter(is_its)?;
            let own = transport::ports(&self.0.remove(&port)?.syn).source;
            transport::set_destination_port(&mut packet[start..], Protocol::Tcp, own);
            return Some(());
        }
        let quoted = message.get(icmp::HEADER_LEN..)?;
        let (header, quote) = ip::parse_quoted(quoted).ok()?;
        if header.protocol != tcp::PROTOCOL || quote.len() < SEQ.end {
            return None;
        }
        let port = transport::ports(quote).source;
        // The kernel takes no error about another sequence number.
        let is_about = |it: &&Connection| is_its(it) && it.syn[SEQ] == quote[SEQ];
        self.0.get(&port).filter(is_about)?;
        let syn = self.0.remove(&port)?.syn;
        let (at, known) = (packet.len() - quote.len(), quote.len().min(syn.len()));
        let old = packet[at..at + known].to_vec();
        packet[at..at + known].copy_from_slice(&syn[..known]);
        transport::adjust(&mut packet[start..], Protocol::Icmp, &old, &syn[..known]);
        Some(())
    }
}
