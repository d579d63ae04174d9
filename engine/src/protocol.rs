//! The protocols of probes, and what tells the probes of one trace from those of others. Only this
//! file matches on the protocol.
//!
//! Each protocol is one of core's. The choice among them is made at run time, so it is an enum that
//! implements [`Protocol`] by match.

use hopshot_core::wire::{AddressFamily, BufferTooSmall, Ends, Malformed, icmp, ip};
use hopshot_core::{Answer, Changes, ConfigError, Discard, Echo, MIN_PAYLOAD, Match, Protocol};

/// The probes of a trace: their protocol, and the identity that all of them share.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum Probes {
    /// ICMP Echo Requests.
    Echo(Echo),
}

/// The key that an answer finds its probe by, among those of all traces on a port: of an Echo
/// Request its ident and its seq.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Key {
    /// The part that all probes of a trace share.
    pub(crate) ident: u16,
    /// The number of the probe: one more for each, beginning anywhere.
    pub(crate) seq: u16,
}

impl Key {
    /// Reads the key of the probe that is answered.
    pub(crate) fn of(answer: &Answer<'_>) -> Result<Self, Malformed> {
        let [a, b, c, d] = Probes::key(answer)?.to_be_bytes();
        Ok(Self {
            ident: u16::from_be_bytes([a, b]),
            seq: u16::from_be_bytes([c, d]),
        })
    }
}

impl Probes {
    /// Makes the probes of a trace from octets that nobody can predict.
    pub(crate) const fn new(random: u128) -> Self {
        Self::Echo(Echo::new(random.to_be_bytes()))
    }

    /// Returns the key of the first probe.
    pub(crate) const fn first_key(&self) -> Key {
        match self {
            Self::Echo(echo) => Key {
                ident: echo.ident,
                seq: echo.first_seq,
            },
        }
    }

    /// Gives the first probe another key.
    pub(crate) const fn with_first_key(self, Key { ident, seq }: Key) -> Self {
        match self {
            Self::Echo(echo) => Self::Echo(Echo {
                ident,
                first_seq: seq,
                ..echo
            }),
        }
    }

    /// Returns the flow: what load balancers look at.
    pub(crate) const fn flow(&self) -> u16 {
        match self {
            Self::Echo(echo) => echo.checksum,
        }
    }

    /// Returns whether others may know the flow, so that it proves nothing.
    pub(crate) const fn flow_is_public(&self) -> bool {
        match self {
            Self::Echo(echo) => echo.checksum_is_public,
        }
    }

    /// Gives the probes another flow, which others may know.
    pub(crate) const fn with_flow(self, flow: u16, is_public: bool) -> Self {
        match self {
            Self::Echo(echo) => Self::Echo(Echo {
                checksum: flow,
                checksum_is_public: is_public,
                ..echo
            }),
        }
    }

    /// Returns the size of a probe in octets, its IP header included.
    pub(crate) fn size(&self, family: AddressFamily) -> usize {
        ip::header_len(family) + self.message_len()
    }

    /// Gives the probes another size, or returns the least that they can have.
    pub(crate) fn with_size(self, family: AddressFamily, size: u16) -> Result<Self, u16> {
        match self {
            Self::Echo(echo) => {
                let headers = ip::header_len(family) + icmp::HEADER_LEN;
                let headers = u16::try_from(headers).unwrap_or(u16::MAX);
                let least = headers.saturating_add(MIN_PAYLOAD);
                let payload_len = size.checked_sub(headers).filter(|_| size >= least);
                let payload_len = payload_len.ok_or(least)?;
                Ok(Self::Echo(Echo {
                    payload_len,
                    ..echo
                }))
            }
        }
    }

    /// Returns the [`Key::seq`] of a probe that was written. A `message` of another protocol, or
    /// one that is too short, has none.
    pub(crate) fn seq(&self, message: &[u8]) -> Option<u16> {
        let seq = match self {
            // RFC 792; RFC 4443, section 4.1.
            Self::Echo(_) => message.get(6..8)?,
        };
        seq.try_into().ok().map(u16::from_be_bytes)
    }
}

impl Protocol for Probes {
    const IDLE: Self = Self::Echo(Echo::IDLE);

    fn number(&self, family: AddressFamily) -> u8 {
        match self {
            Self::Echo(echo) => echo.number(family),
        }
    }

    fn check(&self) -> Result<(), ConfigError> {
        match self {
            Self::Echo(echo) => echo.check(),
        }
    }

    fn message_len(&self) -> usize {
        match self {
            Self::Echo(echo) => echo.message_len(),
        }
    }

    fn emit(&self, ends: Ends, index: u16, message: &mut [u8]) -> Result<(), BufferTooSmall> {
        match self {
            Self::Echo(echo) => echo.emit(ends, index, message),
        }
    }

    fn recognize(
        &self,
        ends: Ends,
        answer: &Answer<'_>,
        changes: Changes,
    ) -> Result<Match, Discard> {
        match self {
            Self::Echo(echo) => echo.recognize(ends, answer, changes),
        }
    }

    fn key(answer: &Answer<'_>) -> Result<u32, Malformed> {
        // Echo is the only protocol.
        Echo::key(answer)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const FAMILIES: [(AddressFamily, u16); 2] = [(AddressFamily::V4, 38), (AddressFamily::V6, 58)];

    #[test]
    fn a_size_is_that_of_the_whole_packet_and_holds_what_an_answer_is_known_by() {
        for (family, least) in FAMILIES {
            for size in [least, 100, 1_500, u16::MAX] {
                let probing = Probes::new(7).with_size(family, size).unwrap();
                assert_eq!(probing.size(family), usize::from(size));
                assert!(probing.check().is_ok());
            }
            for size in [0, 27, least - 1] {
                assert_eq!(Probes::new(7).with_size(family, size), Err(least));
            }
        }
    }

    #[test]
    fn a_probe_has_the_key_and_the_flow_that_it_was_given() {
        for (family, _) in FAMILIES {
            let first = Key {
                ident: 0x1234,
                seq: u16::MAX,
            };
            let probing = Probes::new(7).with_first_key(first).with_flow(0x5678, true);
            assert_eq!(probing.first_key(), first);
            assert_eq!((probing.flow(), probing.flow_is_public()), (0x5678, true));
            let ends = Ends {
                source: family.unspecified(),
                destination: family.unspecified(),
            };
            let mut message = vec![0; probing.message_len()];
            probing.emit(ends, 2, &mut message).unwrap();
            assert_eq!(probing.seq(&message), Some(1));
            assert_eq!(message[4..6], first.ident.to_be_bytes());
            assert_eq!(probing.seq(&message[..7]), None);
        }
    }
}
