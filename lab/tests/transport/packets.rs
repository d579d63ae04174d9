//! TCP segments and UDP datagrams of the client, and a reader of what comes back. Made of plain
//! octets and a sum in 64 bits, so that nothing of the lab tests itself.

use core::time::Duration;
use hopshot_core::wire::{AddressFamily, Ends, icmp, ip};
use hopshot_lab::{CLIENT, Delivery, Internet, Scenario};
use std::net::IpAddr;

pub(crate) const BOTH: [AddressFamily; 2] = [AddressFamily::V4, AddressFamily::V6];
pub(crate) const TCP: u8 = 6;
pub(crate) const UDP: u8 = 17;
pub(crate) const SYN: u8 = 2;
pub(crate) const RST: u8 = 4;
pub(crate) const ACK: u8 = 16;

/// The source port unless another is said.
pub(crate) const PORT: u16 = 40_000;

pub(crate) fn named(name: &str) -> Internet {
    Internet::new(&Scenario::named(name).unwrap(), 1)
}

pub(crate) fn parsed(text: &str) -> Internet {
    Internet::new(&Scenario::parse(text).unwrap(), 1)
}

/// A probe of the client.
#[derive(Clone, Copy)]
pub(crate) struct Probe<'a> {
    pub(crate) to: IpAddr,
    pub(crate) hop_limit: u8,
    pub(crate) source_port: u16,
    pub(crate) port: u16,
    /// Of TCP alone.
    pub(crate) seq: u32,
    pub(crate) flags: u8,
    /// Of UDP alone.
    pub(crate) payload: &'a [u8],
}

impl Probe<'_> {
    /// To a port of the target.
    pub(crate) fn new(
        internet: &Internet,
        family: AddressFamily,
        hop_limit: u8,
        port: u16,
    ) -> Self {
        Self {
            to: internet.target(family),
            hop_limit,
            source_port: PORT,
            port,
            seq: 0x0102_0304,
            flags: SYN,
            payload: b"payload",
        }
    }

    /// A segment with an MSS of 1,460 behind SACK permitted.
    pub(crate) fn tcp(self) -> Vec<u8> {
        let mut message = self.ports();
        message.extend_from_slice(&self.seq.to_be_bytes());
        message.extend_from_slice(&[0, 0, 0, 0, 0x70, self.flags, 0xfa, 0xf0, 0, 0, 0, 0]);
        message.extend_from_slice(&[1, 4, 2, 2, 4, 0x05, 0xb4, 0]);
        self.packet(TCP, message, 16)
    }

    pub(crate) fn udp(self) -> Vec<u8> {
        let mut message = self.ports();
        message.extend_from_slice(&u16::try_from(8 + self.payload.len()).unwrap().to_be_bytes());
        message.extend_from_slice(&[0, 0]);
        message.extend_from_slice(self.payload);
        self.packet(UDP, message, 6)
    }

    /// Either.
    pub(crate) fn of(self, protocol: u8) -> Vec<u8> {
        if protocol == TCP {
            self.tcp()
        } else {
            self.udp()
        }
    }

    fn ports(self) -> Vec<u8> {
        [self.source_port.to_be_bytes(), self.port.to_be_bytes()].concat()
    }

    fn packet(self, protocol: u8, mut message: Vec<u8>, checksum: usize) -> Vec<u8> {
        let family = AddressFamily::of(self.to);
        let ends = Ends {
            source: CLIENT.address(family),
            destination: self.to,
        };
        let sum = sum(ends, protocol, &message);
        message[checksum..checksum + 2].copy_from_slice(&sum.to_be_bytes());
        packet(ends, self.hop_limit, protocol, &message)
    }
}

/// An Echo Request to the target.
pub(crate) fn echo(internet: &Internet, family: AddressFamily, hop_limit: u8) -> Vec<u8> {
    let ends = Ends {
        source: CLIENT.address(family),
        destination: internet.target(family),
    };
    let mut message = [0; 8];
    let echo = icmp::Echo {
        ident: 7,
        seq: 1,
        payload: &[],
    };
    icmp::Message::EchoRequest(echo)
        .emit(ends, &mut message)
        .unwrap();
    packet(ends, hop_limit, ip::icmp(family), &message)
}

fn packet(ends: Ends, hop_limit: u8, protocol: u8, message: &[u8]) -> Vec<u8> {
    let mut packet = vec![0; ip::header_len(ends.family())];
    ip::Header {
        ends,
        hop_limit,
        traffic_class: 0,
        protocol,
    }
    .emit(message.len(), &mut packet)
    .unwrap();
    packet.extend_from_slice(message);
    packet
}

/// The checksum over pseudo-header and message: 0 if it holds its own right one.
pub(crate) fn sum(ends: Ends, protocol: u8, message: &[u8]) -> u16 {
    let mut octets = match (ends.source, ends.destination) {
        (IpAddr::V4(from), IpAddr::V4(to)) => [from.octets(), to.octets()].concat(),
        (IpAddr::V6(from), IpAddr::V6(to)) => [from.octets(), to.octets()].concat(),
        _ => panic!("two families"),
    };
    octets.extend_from_slice(&u16::try_from(message.len()).unwrap().to_be_bytes());
    octets.extend_from_slice(&[0, protocol]);
    octets.extend_from_slice(message);
    octets.resize(octets.len().next_multiple_of(2), 0);
    let words = octets.chunks(2);
    let sum: u64 = words
        .map(|word| u64::from(u16::from_be_bytes([word[0], word[1]])))
        .sum();
    // Casting out 65,535 is what folding does, but for a sum of zeros.
    !u16::try_from((sum - 1) % 65_535 + 1).unwrap()
}

/// An answer, read.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Read {
    Segment {
        from: IpAddr,
        /// Its destination's.
        port: u16,
        flags: u8,
        seq: u32,
        ack: u32,
    },
    Datagram {
        from: IpAddr,
        port: u16,
        payload: Vec<u8>,
    },
    Error {
        from: IpAddr,
        kind: [u8; 2],
        /// The quoted header behind the IP header, and what follows.
        quoted: Vec<u8>,
    },
    Echo,
}

/// Reads the only answer, if there is one, and sees that its checksum is right.
pub(crate) fn only(answers: &[Delivery]) -> Option<Read> {
    assert!(answers.len() < 2);
    answers.first().map(|answer| read(&answer.packet))
}

pub(crate) fn read(packet: &[u8]) -> Read {
    let (header, message) = ip::parse(packet).unwrap();
    let from = header.ends.source;
    let u16_at = |at: usize| u16::from_be_bytes([message[at], message[at + 1]]);
    let u32_at = |at: usize| u32::from_be_bytes(message[at..at + 4].try_into().unwrap());
    match header.protocol {
        TCP => {
            assert_eq!(sum(header.ends, TCP, message), 0, "the checksum");
            Read::Segment {
                from,
                port: u16_at(2),
                flags: message[13],
                seq: u32_at(4),
                ack: u32_at(8),
            }
        }
        UDP => {
            assert_eq!(sum(header.ends, UDP, message), 0, "the checksum");
            Read::Datagram {
                from,
                port: u16_at(2),
                payload: message[8..].to_vec(),
            }
        }
        _ => match icmp::Message::parse(header.ends, message).unwrap() {
            icmp::Message::Error(error) => Read::Error {
                from,
                kind: [message[0], message[1]],
                quoted: ip::parse_quoted(error.quoted).unwrap().1.to_vec(),
            },
            _ => Read::Echo,
        },
    }
}

impl Read {
    pub(crate) fn from(&self) -> Option<IpAddr> {
        match self {
            Self::Segment { from, .. } | Self::Datagram { from, .. } | Self::Error { from, .. } => {
                Some(*from)
            }
            Self::Echo => None,
        }
    }

    /// What an error quotes.
    pub(crate) fn quoted(&self) -> &[u8] {
        match self {
            Self::Error { quoted, .. } => quoted,
            _ => panic!("{self:?} is no error"),
        }
    }

    /// The flags and numbers of a segment: seq and ack.
    pub(crate) fn numbers(&self) -> (u8, u32, u32) {
        match self {
            Self::Segment {
                flags, seq, ack, ..
            } => (*flags, *seq, *ack),
            _ => panic!("{self:?} is no segment"),
        }
    }
}

/// Sends a packet at a time in milliseconds.
pub(crate) fn send(internet: &mut Internet, at: u64, packet: &[u8]) -> Option<Read> {
    only(&internet.receive(Duration::from_millis(at), packet))
}
