//! IP headers: the outer one of a packet, and the quoted one inside an ICMP error.
//!
//! IPv4: RFC 791, section 3.1. IPv6: RFC 8200, section 3; extension headers: section 4.

use super::{AddressFamily, BufferTooSmall, Ends, Malformed, checksum::Checksum};
use core::net::IpAddr;
use zerocopy::network_endian::{U16, U32};
use zerocopy::{FromBytes, Immutable, IntoBytes, KnownLayout, Unaligned};

/// The protocol number of ICMP.
pub const PROTOCOL_ICMP: u8 = 1;
/// The protocol number of ICMPv6.
pub const PROTOCOL_ICMPV6: u8 = 58;

#[derive(FromBytes, IntoBytes, KnownLayout, Immutable, Unaligned, Clone, Copy)]
#[repr(C)]
struct Ipv4 {
    version_ihl: u8,
    tos: u8,
    total_length: U16,
    ident: U16,
    flags_fragment: U16,
    ttl: u8,
    protocol: u8,
    checksum: U16,
    source: [u8; 4],
    destination: [u8; 4],
}

#[derive(FromBytes, IntoBytes, KnownLayout, Immutable, Unaligned, Clone, Copy)]
#[repr(C)]
struct Ipv6 {
    version_class_flow: U32,
    payload_length: U16,
    next_header: u8,
    hop_limit: u8,
    source: [u8; 16],
    destination: [u8; 16],
}

/// The protocol number of this family's ICMP.
#[must_use]
pub const fn icmp(family: AddressFamily) -> u8 {
    match family {
        AddressFamily::V4 => PROTOCOL_ICMP,
        AddressFamily::V6 => PROTOCOL_ICMPV6,
    }
}

/// The octets that an IPv4 header without options, or an IPv6 header, takes.
#[must_use]
pub const fn header_len(family: AddressFamily) -> usize {
    match family {
        AddressFamily::V4 => size_of::<Ipv4>(),
        AddressFamily::V6 => size_of::<Ipv6>(),
    }
}

/// The fields of an IP header that a traceroute needs.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[cfg_attr(feature = "defmt", derive(defmt::Format))]
pub struct Header {
    /// The source and the destination of the packet.
    pub ends: Ends,
    /// The hop limit (TTL in IPv4) as the header has it.
    pub hop_limit: u8,
    /// The traffic class (TOS in IPv4): DSCP and ECN.
    pub traffic_class: u8,
    /// The protocol of the payload, after any IPv6 extension headers.
    pub protocol: u8,
}

impl Header {
    /// Whether the payload is of this header's own family's ICMP.
    #[must_use]
    pub const fn is_icmp(&self) -> bool {
        self.protocol == icmp(self.ends.family())
    }

    /// Writes a header without options for `payload_len` octets that follow it, and returns its
    /// length. The IPv4 identification is zero, allowed for what is not fragmented (RFC 6864,
    /// section 4.1), and DF is set.
    ///
    /// # Errors
    /// [`BufferTooSmall`] if `buf` can't hold the header. A payload over 65,515 (IPv4) or 65,535
    /// octets (IPv6) is written as the longest that the length field can say.
    pub fn emit(&self, payload_len: usize, buf: &mut [u8]) -> Result<usize, BufferTooSmall> {
        let len = header_len(self.ends.family());
        let space = buf.get_mut(..len).ok_or(BufferTooSmall { needed: len })?;
        match (self.ends.source, self.ends.destination) {
            (source, IpAddr::V4(destination)) => {
                let total = u16::try_from(payload_len.saturating_add(len)).unwrap_or(u16::MAX);
                let mut header = Ipv4 {
                    version_ihl: 0x45,
                    tos: self.traffic_class,
                    total_length: total.into(),
                    ident: 0.into(),
                    flags_fragment: 0x4000.into(),
                    ttl: self.hop_limit,
                    protocol: self.protocol,
                    checksum: 0.into(),
                    source: match source {
                        IpAddr::V4(source) => source.octets(),
                        IpAddr::V6(_) => [0; 4],
                    },
                    destination: destination.octets(),
                };
                header.checksum = Checksum::new().with(header.as_bytes()).finish().into();
                super::copy(space, header.as_bytes());
            }
            (source, IpAddr::V6(destination)) => {
                let header = Ipv6 {
                    version_class_flow: (0x6000_0000 | u32::from(self.traffic_class) << 20).into(),
                    payload_length: u16::try_from(payload_len).unwrap_or(u16::MAX).into(),
                    next_header: self.protocol,
                    hop_limit: self.hop_limit,
                    source: match source {
                        IpAddr::V6(source) => source.octets(),
                        IpAddr::V4(_) => [0; 16],
                    },
                    destination: destination.octets(),
                };
                super::copy(space, header.as_bytes());
            }
        }
        Ok(len)
    }
}

/// Reads a whole packet: its header and its payload, cut to the length that the header gives.
///
/// # Errors
/// As [`parse_quoted`]; also [`Malformed::Truncated`] if the packet is shorter than its header
/// says.
pub fn parse(octets: &[u8]) -> Result<(Header, &[u8]), Malformed> {
    let total = match family(octets)? {
        AddressFamily::V4 => usize::from(read::<Ipv4>(octets)?.0.total_length.get()),
        AddressFamily::V6 => usize::from(read::<Ipv6>(octets)?.0.payload_length.get())
            .saturating_add(size_of::<Ipv6>()),
    };
    parse_quoted(octets.get(..total).ok_or(Malformed::Truncated)?)
}

/// Reads the start of a packet as an ICMP error quotes it: cut short on purpose (8 octets of
/// payload in RFC 792, more in RFC 1812, section 4.3.2.3, and RFC 4443, section 2.4), so the length
/// fields are not looked at: some stacks change them before they quote. The payload is what is
/// there.
///
/// # Errors
/// [`Malformed::Truncated`] if the header isn't whole, [`Malformed::Header`] if its own length is
/// impossible, [`Malformed::Fragment`] if the payload isn't the start of the message.
pub fn parse_quoted(octets: &[u8]) -> Result<(Header, &[u8]), Malformed> {
    let (fields, payload) = fields(octets)?;
    let header = Header {
        ends: Ends {
            source: fields.source.address(),
            destination: fields.destination.address(),
        },
        hop_limit: fields.hop_limit,
        traffic_class: fields.traffic_class,
        protocol: fields.protocol,
    };
    Ok((header, payload))
}

/// The fields of a [`Header`], where the addresses are still in the packet: each is copied once, to
/// its place.
pub(crate) struct Fields<'a> {
    pub(crate) source: Octets<'a>,
    pub(crate) destination: Octets<'a>,
    pub(crate) hop_limit: u8,
    pub(crate) traffic_class: u8,
    pub(crate) protocol: u8,
}

/// An address in a packet.
#[derive(Clone, Copy)]
pub(crate) enum Octets<'a> {
    V4(&'a [u8; 4]),
    V6(&'a [u8; 16]),
}

impl Octets<'_> {
    #[inline(never)]
    pub(crate) fn address(self) -> IpAddr {
        match self {
            Self::V4(octets) => (*octets).into(),
            Self::V6(octets) => (*octets).into(),
        }
    }

    pub(crate) const fn family(self) -> AddressFamily {
        match self {
            Self::V4(_) => AddressFamily::V4,
            Self::V6(_) => AddressFamily::V6,
        }
    }
}

/// Does what [`parse_quoted`] does.
pub(crate) fn fields(octets: &[u8]) -> Result<(Fields<'_>, &[u8]), Malformed> {
    match family(octets)? {
        AddressFamily::V4 => parse_v4(octets),
        AddressFamily::V6 => parse_v6(octets),
    }
}

fn family(octets: &[u8]) -> Result<AddressFamily, Malformed> {
    match octets.first().ok_or(Malformed::Truncated)? >> 4 {
        4 => Ok(AddressFamily::V4),
        6 => Ok(AddressFamily::V6),
        _ => Err(Malformed::Header),
    }
}

fn read<T: FromBytes + KnownLayout + Immutable + Unaligned>(
    octets: &[u8],
) -> Result<(&T, &[u8]), Malformed> {
    T::ref_from_prefix(octets).map_err(|_| Malformed::Truncated)
}

fn parse_v4(octets: &[u8]) -> Result<(Fields<'_>, &[u8]), Malformed> {
    let (fixed, _) = read::<Ipv4>(octets)?;
    let header_len = usize::from(fixed.version_ihl & 0x0f).saturating_mul(4);
    if header_len < size_of::<Ipv4>() {
        return Err(Malformed::Header);
    }
    let payload = octets.get(header_len..).ok_or(Malformed::Header)?;
    match fixed.flags_fragment.get() {
        // "Don't fragment" and no offset, quoted in the byte order of a little-endian host, as
        // older BSD kernels do.
        0x0040 => {}
        flags_fragment if flags_fragment & 0x1fff != 0 => return Err(Malformed::Fragment),
        _ => {}
    }
    let fields = Fields {
        source: Octets::V4(&fixed.source),
        destination: Octets::V4(&fixed.destination),
        hop_limit: fixed.ttl,
        traffic_class: fixed.tos,
        protocol: fixed.protocol,
    };
    Ok((fields, payload))
}

fn parse_v6(octets: &[u8]) -> Result<(Fields<'_>, &[u8]), Malformed> {
    let (fixed, payload) = read::<Ipv6>(octets)?;
    let [class_high, class_low, ..] = fixed.version_class_flow.to_bytes();
    let (protocol, payload) = skip_extension_headers(fixed.next_header, payload)?;
    let fields = Fields {
        source: Octets::V6(&fixed.source),
        destination: Octets::V6(&fixed.destination),
        hop_limit: fixed.hop_limit,
        traffic_class: class_high << 4 | class_low >> 4,
        protocol,
    };
    Ok((fields, payload))
}

/// Walks hop-by-hop options (0), routing (43), fragment (44) and destination options (60): RFC
/// 8200, section 4.1. Every one takes at least 8 octets, so the walk ends with the packet.
fn skip_extension_headers(mut protocol: u8, mut octets: &[u8]) -> Result<(u8, &[u8]), Malformed> {
    loop {
        let len = match (protocol, octets) {
            (0 | 43 | 60, [_, units, ..]) => {
                usize::from(*units).saturating_add(1).saturating_mul(8)
            }
            (44, [_, _, high, low, ..]) if u16::from_be_bytes([*high, *low]) & 0xfff8 != 0 => {
                return Err(Malformed::Fragment);
            }
            (44, [_, _, _, _, ..]) => 8,
            (0 | 43 | 44 | 60, _) => return Err(Malformed::Truncated),
            _ => return Ok((protocol, octets)),
        };
        protocol = *octets.first().ok_or(Malformed::Truncated)?;
        octets = octets.get(len..).ok_or(Malformed::Truncated)?;
    }
}
