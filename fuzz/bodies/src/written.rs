//! A probe as it was written.

use crate::ends;
use hopshot_core::wire::{AddressFamily, Ends, checksum::Checksum, icmp::QuotedEcho, tcp, udp};
use hopshot_core::{Echo, Tcp, Udp};
use hopshot_engine::Probes;

/// A probe between two ends, of which the source may be left to the kernel.
pub(crate) struct Written<'a> {
    pub(crate) ends: Ends,
    pub(crate) message: &'a [u8],
}

impl Written<'_> {
    /// Checks it against what was asked for, and against those of the same trace that left before.
    pub(crate) fn check<'b>(
        &self,
        probes: &Probes,
        before: impl ExactSizeIterator<Item = &'b [u8]>,
    ) {
        match probes {
            Probes::Echo(echo) => self.check_echo(echo, before.len()),
            Probes::Udp(udp) => self.check_datagram(udp, before),
            Probes::Tcp(tcp) => self.check_syn(tcp, before),
            other => panic!("{other:?}"),
        }
    }

    /// Whether a message brings back what says that it answers this probe: of a SYN its sequence
    /// number, of a datagram the checksum or the cookie, of an Echo Request its seq.
    pub(crate) fn is_in(&self, probes: &Probes, message: &[u8]) -> bool {
        let has = |octets: &[u8]| message.windows(octets.len()).any(|it| it == octets);
        match probes {
            Probes::Tcp(_) => {
                let seq = self.message[4..8].try_into().map(u32::from_be_bytes);
                let seq = seq.expect("there are four octets");
                // Where a firewall has changed that, the window of the quote tells.
                let window = &self.message[14..16];
                [seq, seq.wrapping_add(1)]
                    .iter()
                    .any(|seq| has(&seq.to_be_bytes()))
                    || has(window)
            }
            Probes::Udp(udp) => {
                // DNS brings back the balance alone, which is the ID.
                has(&self.message[6..8]) || has(&udp.cookie) || has(&self.message[8..10])
            }
            _ => has(&self.message[6..8]),
        }
    }

    fn is_source_known(&self) -> bool {
        !self.ends.source.is_unspecified()
    }

    fn check_echo(&self, echo: &Echo, before: usize) {
        let family = self.ends.family();
        let quoted = QuotedEcho::parse(family, self.message).expect("a probe is an Echo Request");
        let index = u16::try_from(before).expect("there are fewer");
        assert_eq!(
            (quoted.echo.ident, quoted.echo.seq),
            (echo.ident, echo.first_seq.wrapping_add(index))
        );
        assert_eq!(quoted.echo.payload[2..10], echo.cookie);
        assert!(quoted.echo.payload[10..].iter().all(|octet| *octet == 0));
        if family == AddressFamily::V4 || self.is_source_known() {
            assert_eq!(quoted.checksum, echo.checksum);
            let sum = Checksum::of_ends(ends::of(family), self.message.len())
                .expect("both ends are known");
            assert_eq!(sum.with(self.message).finish(), 0);
        }
    }

    /// One flow; and no two probes have the same checksum, where there is one.
    fn check_datagram<'b>(&self, udp: &Udp, mut before: impl Iterator<Item = &'b [u8]>) {
        let datagram =
            udp::Datagram::parse(self.ends, self.message).expect("a probe is a datagram");
        assert_eq!(
            (datagram.source, datagram.destination),
            (udp.source_port, udp.port)
        );
        let mut octets = datagram.payload.windows(udp.cookie.len());
        assert!(octets.any(|octets| octets == udp.cookie));
        let is_summed = self.is_source_known();
        assert_eq!(datagram.checksum != 0, is_summed);
        let is_alike = |other: &[u8]| match is_summed {
            true => other[6..8] == self.message[6..8],
            false => other == self.message,
        };
        assert!(!before.any(is_alike), "two probes can't be told apart");
    }

    /// One flow, but for detours; and no two probes have the same sequence number.
    fn check_syn<'b>(&self, tcp: &Tcp, mut before: impl Iterator<Item = &'b [u8]>) {
        let segment = tcp::Segment::parse(self.ends, self.message).expect("a probe is a segment");
        assert_eq!(
            (segment.destination, segment.flags),
            (tcp.port, tcp::Flags::SYN)
        );
        let is_of_block = segment.source / Tcp::PORTS == tcp.source_port / Tcp::PORTS;
        assert!(segment.source == tcp.source_port || tcp.detours && is_of_block);
        assert!(self.is_source_known() || self.message[16..18] == [0, 0]);
        let is_alike = |other: &[u8]| other[4..8] == self.message[4..8];
        assert!(!before.any(is_alike), "two probes can't be told apart");
    }
}
