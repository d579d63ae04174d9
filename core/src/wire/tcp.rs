//! TCP headers (RFC 9293, section 3.1), in segments and in the quotes of ICMP errors.

use super::{BufferTooSmall, Ends, Malformed, checksum::Checksum};
use zerocopy::network_endian::{U16, U32};
use zerocopy::{FromBytes, Immutable, IntoBytes, KnownLayout, Unaligned};

/// The protocol number of TCP.
pub const PROTOCOL: u8 = 6;

/// The octets of a TCP header without options.
pub const HEADER_LEN: usize = size_of::<Start>() + size_of::<Rest>();

/// What every error quotes (RFC 792).
#[derive(FromBytes, IntoBytes, KnownLayout, Immutable, Unaligned, Clone, Copy)]
#[repr(C)]
struct Start {
    source: U16,
    destination: U16,
    seq: U32,
}

#[derive(FromBytes, IntoBytes, KnownLayout, Immutable, Unaligned, Clone, Copy)]
#[repr(C)]
struct Rest {
    ack: U32,
    data_offset: u8,
    flags: u8,
    window: U16,
    checksum: U16,
    urgent: U16,
}

/// The flags of a segment that a traceroute looks at.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
#[cfg_attr(feature = "defmt", derive(defmt::Format))]
pub struct Flags(pub u8);

impl Flags {
    /// The sender begins a connection.
    pub const SYN: Self = Self(0x02);
    /// The sender has no such connection.
    pub const RST: Self = Self(0x04);
    /// The acknowledgment number counts.
    pub const ACK: Self = Self(0x10);

    /// Whether all of `other` are set.
    #[must_use]
    pub const fn contains(self, other: Self) -> bool {
        self.0 & other.0 == other.0
    }
}

/// A segment that was received: what tells whose answer it is, and what it says.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[cfg_attr(feature = "defmt", derive(defmt::Format))]
pub struct Segment {
    /// The source port.
    pub source: u16,
    /// The destination port.
    pub destination: u16,
    /// The sequence number.
    pub seq: u32,
    /// The acknowledgment number.
    pub ack: u32,
    /// The flags.
    pub flags: Flags,
}

impl Segment {
    /// Reads a whole segment, and verifies its checksum if both ends are known.
    ///
    /// # Errors
    /// [`Malformed::Truncated`] if its header isn't whole, [`Malformed::Header`] if its length is
    /// impossible, and [`Malformed::Checksum`].
    pub fn parse(ends: Ends, octets: &[u8]) -> Result<Self, Malformed> {
        let (start, rest) = Start::ref_from_prefix(octets).map_err(|_| Malformed::Truncated)?;
        let (rest, _) = Rest::ref_from_prefix(rest).map_err(|_| Malformed::Truncated)?;
        let header_len = usize::from(rest.data_offset >> 4).saturating_mul(4);
        if header_len < HEADER_LEN || header_len > octets.len() {
            return Err(Malformed::Header);
        }
        if let Some(sum) = Checksum::of_pseudo_header(ends, PROTOCOL, octets.len())
            && sum.with(octets).finish() != 0
        {
            return Err(Malformed::Checksum);
        }
        Ok(Self {
            source: start.source.get(),
            destination: start.destination.get(),
            seq: start.seq.get(),
            ack: rest.ack.get(),
            flags: Flags(rest.flags),
        })
    }
}

/// A quoted segment: the 8 octets of a probe that every error brings back, and what more there is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[cfg_attr(feature = "defmt", derive(defmt::Format))]
pub struct QuotedSegment<'a> {
    /// The source port.
    pub source: u16,
    /// The destination port.
    pub destination: u16,
    /// The sequence number.
    pub seq: u32,
    /// The window, if it came back.
    pub window: Option<u16>,
    /// The options, if all of them came back.
    pub options: Option<&'a [u8]>,
}

impl<'a> QuotedSegment<'a> {
    /// Reads the start of a segment as an error quotes it.
    ///
    /// # Errors
    /// [`Malformed::Truncated`] under 8 octets.
    pub fn parse(octets: &'a [u8]) -> Result<Self, Malformed> {
        let (start, behind) = Start::ref_from_prefix(octets).map_err(|_| Malformed::Truncated)?;
        let rest = Rest::ref_from_prefix(behind).ok().map(|(rest, _)| rest);
        // It stands before the end of the header, which may be missing.
        let window = behind.get(6..8).and_then(<[u8]>::first_chunk).copied();
        let options = rest.and_then(|rest| {
            let header_len = usize::from(rest.data_offset >> 4).saturating_mul(4);
            octets.get(HEADER_LEN..header_len)
        });
        Ok(Self {
            source: start.source.get(),
            destination: start.destination.get(),
            seq: start.seq.get(),
            window: window.map(u16::from_be_bytes),
            options,
        })
    }
}

/// Returns the options of a header in order, each from its kind on (RFC 9293, section 3.1), up to
/// the end of their list. Padding is left out.
///
/// Each has at least its kind and its length. Any octets are taken: an option that is longer than
/// what is there is cut, one whose length is below 2 ends behind it, and a kind that is the last
/// octet is none.
pub fn options(octets: &[u8]) -> impl Iterator<Item = &[u8]> {
    /// The kinds without a length.
    const END: u8 = 0;
    const PADDING: u8 = 1;
    let mut rest = octets;
    core::iter::from_fn(move || {
        loop {
            match *rest {
                [PADDING, ref others @ ..] => rest = others,
                [END, ..] | [] | [_] => return None,
                [_, len, ..] => {
                    let len = usize::from(len).max(2);
                    let (option, behind) = rest.split_at_checked(len).unwrap_or((rest, &[]));
                    rest = behind;
                    return Some(option);
                }
            }
        }
    })
}

/// Returns the maximum segment size among the options of a SYN (RFC 9293, section 3.2), if it is
/// there.
#[must_use]
pub fn mss(octets: &[u8]) -> Option<u16> {
    options(octets).find_map(|option| match *option {
        [2, 4, high, low] => Some(u16::from_be_bytes([high, low])),
        _ => None,
    })
}

/// Writes a SYN over the whole of `message`: its header, and behind it the options that `message`
/// holds from octet 20 on, which stay. The checksum is zero where an end isn't known.
///
/// # Errors
/// [`BufferTooSmall`] if `message` has fewer than 20 octets. Of options over 40 octets the rest
/// would be payload.
pub fn emit_syn(
    ends: Ends,
    source: u16,
    destination: u16,
    seq: u32,
    window: u16,
    message: &mut [u8],
) -> Result<(), BufferTooSmall> {
    let (len, needed) = (message.len(), HEADER_LEN);
    let too_small = BufferTooSmall { needed };
    let (header, options) = message.split_at_mut_checked(needed).ok_or(too_small)?;
    let (first, second) = header
        .split_at_mut_checked(size_of::<Start>())
        .ok_or(too_small)?;
    let words = u8::try_from(len >> 2).unwrap_or(u8::MAX).min(15);
    let start = Start {
        source: source.into(),
        destination: destination.into(),
        seq: seq.into(),
    };
    let mut rest = Rest {
        ack: 0.into(),
        data_offset: words << 4,
        flags: Flags::SYN.0,
        window: window.into(),
        checksum: 0.into(),
        urgent: 0.into(),
    };
    if let Some(sum) = Checksum::of_pseudo_header(ends, PROTOCOL, len) {
        let sum = sum.with(start.as_bytes()).with(rest.as_bytes());
        rest.checksum = sum.with(options).finish().into();
    }
    super::copy(first, start.as_bytes());
    super::copy(second, rest.as_bytes());
    Ok(())
}
