//! UDP headers (RFC 768), in datagrams and in the quotes of ICMP errors.

use super::{BufferTooSmall, Ends, Malformed, checksum::Checksum};
use zerocopy::network_endian::U16;
use zerocopy::{FromBytes, Immutable, IntoBytes, KnownLayout, Unaligned};

/// The protocol number of UDP.
pub const PROTOCOL: u8 = 17;

/// The octets of a UDP header.
pub const HEADER_LEN: usize = size_of::<Raw>();

#[derive(FromBytes, IntoBytes, KnownLayout, Immutable, Unaligned, Clone, Copy)]
#[repr(C)]
struct Raw {
    source: U16,
    destination: U16,
    length: U16,
    checksum: U16,
}

/// A datagram, as sent, as received, or as an error quotes it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[cfg_attr(feature = "defmt", derive(defmt::Format))]
pub struct Datagram<'a> {
    /// The source port.
    pub source: u16,
    /// The destination port.
    pub destination: u16,
    /// The checksum; 0 in IPv4 where the sender made none.
    pub checksum: u16,
    /// The octets behind the header, as far as they are there.
    pub payload: &'a [u8],
}

impl<'a> Datagram<'a> {
    /// Reads a whole datagram, and verifies its checksum if both ends are known and it has one.
    ///
    /// # Errors
    /// [`Malformed::Truncated`] if octets are missing, [`Malformed::Header`] if its length is
    /// impossible, and [`Malformed::Checksum`].
    pub fn parse(ends: Ends, octets: &'a [u8]) -> Result<Self, Malformed> {
        let (raw, _) = Raw::ref_from_prefix(octets).map_err(|_| Malformed::Truncated)?;
        let len = usize::from(raw.length.get());
        if len < HEADER_LEN {
            return Err(Malformed::Header);
        }
        let octets = octets.get(..len).ok_or(Malformed::Truncated)?;
        let datagram = Self::parse_quoted(octets)?;
        match Checksum::of_pseudo_header(ends, PROTOCOL, len) {
            Some(sum) if datagram.checksum != 0 && sum.with(octets).finish() != 0 => {
                Err(Malformed::Checksum)
            }
            _ => Ok(datagram),
        }
    }

    /// Reads the start of a datagram as an error quotes it. Eight octets are enough.
    ///
    /// # Errors
    /// [`Malformed::Truncated`] under 8 octets.
    pub fn parse_quoted(octets: &'a [u8]) -> Result<Self, Malformed> {
        let (raw, payload) = Raw::ref_from_prefix(octets).map_err(|_| Malformed::Truncated)?;
        Ok(Self {
            source: raw.source.get(),
            destination: raw.destination.get(),
            checksum: raw.checksum.get(),
            payload,
        })
    }
}

/// Writes the header of a datagram that takes the whole of `message`, with this checksum, over its
/// first 8 octets. The payload stays.
///
/// # Errors
/// [`BufferTooSmall`] if `message` has fewer.
pub fn emit(
    source: u16,
    destination: u16,
    checksum: u16,
    message: &mut [u8],
) -> Result<(), BufferTooSmall> {
    let raw = Raw {
        source: source.into(),
        destination: destination.into(),
        length: u16::try_from(message.len()).unwrap_or(u16::MAX).into(),
        checksum: checksum.into(),
    };
    let needed = HEADER_LEN;
    let header = message.get_mut(..needed).ok_or(BufferTooSmall { needed })?;
    super::copy(header, raw.as_bytes());
    Ok(())
}
