//! ICMP (RFC 792) and ICMPv6 (RFC 4443) through one code path: what the two disagree on is a table
//! of type numbers, and a checksum that covers more in IPv6.

use super::{AddressFamily, BufferTooSmall, Ends, Malformed, checksum::Checksum};
use zerocopy::network_endian::U16;
use zerocopy::{FromBytes, Immutable, IntoBytes, KnownLayout, Unaligned};

/// The octets of an ICMP header: type, code, checksum and four more that each type reads in its own
/// way.
pub const HEADER_LEN: usize = size_of::<RawHeader>();

#[derive(FromBytes, IntoBytes, KnownLayout, Immutable, Unaligned, Clone, Copy)]
#[repr(C)]
struct RawHeader {
    icmp_type: u8,
    code: u8,
    checksum: U16,
    rest: [u8; 4],
}

#[derive(FromBytes, IntoBytes, KnownLayout, Immutable, Unaligned, Clone, Copy)]
#[repr(C)]
struct RawEcho {
    ident: U16,
    seq: U16,
}

/// The types that a traceroute knows. IPv4: RFC 792. IPv6: RFC 4443.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
#[cfg_attr(feature = "defmt", derive(defmt::Format))]
pub enum Type {
    /// Echo Request: 8, in IPv6 128.
    EchoRequest,
    /// Echo Reply: 0, in IPv6 129.
    EchoReply,
    /// Destination Unreachable: 3, in IPv6 1.
    Unreachable,
    /// Packet Too Big: 2 in IPv6 only. In IPv4 it is code 4 of [`Type::Unreachable`] (RFC 1191,
    /// section 4).
    PacketTooBig,
    /// Time Exceeded: 11, in IPv6 3.
    TimeExceeded,
    /// Parameter Problem: 12, in IPv6 4.
    ParameterProblem,
}

impl Type {
    /// Each type with its number in IPv4 and in IPv6.
    const NUMBERS: [(Self, Option<u8>, u8); 6] = [
        (Self::EchoRequest, Some(8), 128),
        (Self::EchoReply, Some(0), 129),
        (Self::Unreachable, Some(3), 1),
        (Self::PacketTooBig, None, 2),
        (Self::TimeExceeded, Some(11), 3),
        (Self::ParameterProblem, Some(12), 4),
    ];

    /// The type that `number` means in `family`, if a traceroute knows it.
    #[must_use]
    pub fn from_number(family: AddressFamily, number: u8) -> Option<Self> {
        Self::NUMBERS
            .iter()
            .find(|row| Self::column(row, family) == Some(number))
            .map(|row| row.0)
    }

    /// The number of this type in `family`; none for Packet Too Big in IPv4.
    #[must_use]
    pub fn number(self, family: AddressFamily) -> Option<u8> {
        Self::NUMBERS
            .iter()
            .find(|row| row.0 == self)
            .and_then(|row| Self::column(row, family))
    }

    const fn column(row: &(Self, Option<u8>, u8), family: AddressFamily) -> Option<u8> {
        match family {
            AddressFamily::V4 => row.1,
            AddressFamily::V6 => Some(row.2),
        }
    }
}

/// An Echo Request or Reply, as sent, as received, or as an error quotes it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[cfg_attr(feature = "defmt", derive(defmt::Format))]
pub struct Echo<'a> {
    /// The identifier, the same in all probes of a trace.
    pub ident: u16,
    /// The sequence number, another one in each probe.
    pub seq: u16,
    /// The octets behind the header, as far as they are there.
    pub payload: &'a [u8],
}

/// An error: Time Exceeded, Destination Unreachable, Packet Too Big or Parameter Problem.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[cfg_attr(feature = "defmt", derive(defmt::Format))]
pub struct Error<'a> {
    /// The type: one of the four.
    pub icmp_type: Type,
    /// The code, whose meaning depends on type and family.
    pub code: u8,
    /// Octets 4 to 7: the MTU in a Packet Too Big and in a Fragmentation Needed, the pointer in a
    /// Parameter Problem, the length of the quote in what follows RFC 4884.
    pub rest: u32,
    /// The quoted datagram, from its IP header on; read it with
    /// [`ip::parse_quoted`](super::ip::parse_quoted).
    pub quoted: &'a [u8],
}

impl Error<'_> {
    /// The MTU of the next link, in octets: from Fragmentation Needed (IPv4 type 3 code 4; RFC
    /// 1191, section 4: 0 from routers older than it) or Packet Too Big (RFC 4443, section 3.2).
    /// What doesn't fit 16 bits is said as 65,535.
    #[must_use]
    pub fn mtu(&self, family: AddressFamily) -> Option<u16> {
        match (family, self.icmp_type, self.code) {
            (AddressFamily::V4, Type::Unreachable, 4) => {
                let [_, _, high, low] = self.rest.to_be_bytes();
                Some(u16::from_be_bytes([high, low]))
            }
            (AddressFamily::V6, Type::PacketTooBig, _) => {
                Some(u16::try_from(self.rest).unwrap_or(u16::MAX))
            }
            _ => None,
        }
    }
}

/// An ICMP message of a kind that a traceroute knows.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[cfg_attr(feature = "defmt", derive(defmt::Format))]
pub enum Message<'a> {
    /// An Echo Request: a probe.
    EchoRequest(Echo<'a>),
    /// An Echo Reply: the target's answer.
    EchoReply(Echo<'a>),
    /// A router's or the target's report about a packet, which it quotes.
    Error(Error<'a>),
}

impl<'a> Message<'a> {
    /// Reads a message and verifies its checksum (in IPv6 only if both ends are known).
    ///
    /// # Errors
    /// [`Malformed::Truncated`] under 8 octets, [`Malformed::Checksum`], and [`Malformed::Foreign`]
    /// for a type that a traceroute has no use for or an Echo with a code other than 0.
    pub fn parse(ends: Ends, octets: &'a [u8]) -> Result<Self, Malformed> {
        let (header, body) =
            RawHeader::ref_from_prefix(octets).map_err(|_| Malformed::Truncated)?;
        let family = ends.family();
        let icmp_type = Type::from_number(family, header.icmp_type).ok_or(Malformed::Foreign)?;
        if let Some(sum) = Checksum::of_ends(ends, octets.len())
            && sum.with(octets).finish() != 0
        {
            return Err(Malformed::Checksum);
        }
        match icmp_type {
            Type::EchoRequest | Type::EchoReply if header.code != 0 => Err(Malformed::Foreign),
            Type::EchoRequest => Ok(Self::EchoRequest(header.echo(body))),
            Type::EchoReply => Ok(Self::EchoReply(header.echo(body))),
            _ => {
                let rest = u32::from_be_bytes(header.rest);
                Ok(Self::Error(Error {
                    icmp_type,
                    code: header.code,
                    rest,
                    quoted: body,
                }))
            }
        }
    }

    /// The error, if this is one; `None` for the target's own answer.
    ///
    /// # Errors
    /// [`Malformed::Foreign`] for a request.
    pub(crate) const fn into_error(self) -> Result<Option<Error<'a>>, Malformed> {
        match self {
            Self::EchoRequest(_) => Err(Malformed::Foreign),
            Self::EchoReply(_) => Ok(None),
            Self::Error(error) => Ok(Some(error)),
        }
    }

    /// Writes the message with its checksum (zero in IPv6 where an end isn't known) and returns its
    /// length.
    ///
    /// # Errors
    /// [`BufferTooSmall`] if `buf` can't hold it.
    pub fn emit(&self, ends: Ends, buf: &mut [u8]) -> Result<usize, BufferTooSmall> {
        let (icmp_type, code, rest, body) = match self {
            Self::EchoRequest(echo) => (Type::EchoRequest, 0, echo.rest(), echo.payload),
            Self::EchoReply(echo) => (Type::EchoReply, 0, echo.rest(), echo.payload),
            Self::Error(error) => (
                error.icmp_type,
                error.code,
                error.rest.to_be_bytes(),
                error.quoted,
            ),
        };
        let (icmp_type, code) = match icmp_type.number(ends.family()) {
            Some(number) => (number, code),
            // Packet Too Big in IPv4 is Destination Unreachable, code 4.
            None => (3, 4),
        };
        let len = HEADER_LEN.saturating_add(body.len());
        let too_small = BufferTooSmall { needed: len };
        let (head, tail) = buf.split_at_mut_checked(HEADER_LEN).ok_or(too_small)?;
        let tail = tail.get_mut(..body.len()).ok_or(too_small)?;
        let mut header = RawHeader {
            icmp_type,
            code,
            checksum: 0.into(),
            rest,
        };
        if let Some(sum) = Checksum::of_ends(ends, len) {
            header.checksum = sum.with(header.as_bytes()).with(body).finish().into();
        }
        super::copy(head, header.as_bytes());
        super::copy(tail, body);
        Ok(len)
    }
}

/// Writes an Echo Request over the whole of `message` with a checksum of the caller's choice:
/// header, two octets of balance that make the checksum come out right, and the payload that
/// `message` holds from octet 10 on, which stays.
///
/// Routers that share traffic over several paths may hash the first octets of the ICMP header; with
/// ident and checksum the same in every probe they see one flow ("Paris traceroute"). In IPv6 with
/// an end unknown the checksum is left zero; what fills it in will then find the same value in
/// every probe all the same.
///
/// # Errors
/// [`BufferTooSmall`] if `message` is shorter than 10 octets.
pub fn emit_balanced(
    ends: Ends,
    ident: u16,
    seq: u16,
    checksum: u16,
    message: &mut [u8],
) -> Result<(), BufferTooSmall> {
    let len = message.len();
    let too_small = BufferTooSmall {
        needed: BALANCED_LEN,
    };
    let (header, rest) = message.split_at_mut_checked(HEADER_LEN).ok_or(too_small)?;
    let (balance, payload) = rest.split_first_chunk_mut::<2>().ok_or(too_small)?;
    let mut raw = RawHeader::request(ends.family(), ident, seq, checksum);
    let covered = Checksum::of_ends(ends, len);
    *balance = raw.balance(covered, payload);
    if covered.is_none() {
        raw.checksum = 0.into();
    }
    super::copy(header, raw.as_bytes());
    Ok(())
}

/// The balance that [`emit_balanced`] writes into a message of `len` octets. `payload` is what it
/// holds from octet 10 on, up to where there are only zeros.
pub(crate) fn balance_of(
    ends: Ends,
    ident: u16,
    seq: u16,
    checksum: u16,
    len: usize,
    payload: &[u8],
) -> [u8; 2] {
    RawHeader::request(ends.family(), ident, seq, checksum)
        .balance(Checksum::of_ends(ends, len), payload)
}

/// The octets that [`emit_balanced`] writes itself.
pub const BALANCED_LEN: usize = HEADER_LEN + 2;

/// A quoted Echo Request: the start of a probe, as an error brings it back.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[cfg_attr(feature = "defmt", derive(defmt::Format))]
pub struct QuotedEcho<'a> {
    /// The checksum that the quote carries; it covers more than what is quoted, so it can be
    /// compared but not verified.
    pub checksum: u16,
    /// Ident, seq, and as much of the payload as the quote holds.
    pub echo: Echo<'a>,
}

impl<'a> QuotedEcho<'a> {
    /// Reads the payload of a quoted datagram as an Echo Request. Eight octets are enough (RFC
    /// 792).
    ///
    /// # Errors
    /// [`Malformed::Truncated`] under 8 octets, [`Malformed::Foreign`] if it isn't an Echo Request.
    pub fn parse(family: AddressFamily, octets: &'a [u8]) -> Result<Self, Malformed> {
        Self::of_type(Type::EchoRequest, family, octets)
    }

    /// Reads an Echo of this type.
    pub(crate) fn of_type(
        icmp_type: Type,
        family: AddressFamily,
        octets: &'a [u8],
    ) -> Result<Self, Malformed> {
        let (header, payload) =
            RawHeader::ref_from_prefix(octets).map_err(|_| Malformed::Truncated)?;
        if icmp_type.number(family) != Some(header.icmp_type) || header.code != 0 {
            return Err(Malformed::Foreign);
        }
        Ok(Self {
            checksum: header.checksum.get(),
            echo: header.echo(payload),
        })
    }
}

impl RawHeader {
    fn request(family: AddressFamily, ident: u16, seq: u16, checksum: u16) -> Self {
        let icmp_type = Type::EchoRequest.number(family).unwrap_or_default();
        let echo = Echo {
            ident,
            seq,
            payload: &[],
        };
        Self {
            icmp_type,
            code: 0,
            checksum: checksum.into(),
            rest: echo.rest(),
        }
    }

    /// The balance between this header, what the checksum covers before it, and the payload.
    fn balance(&self, covered: Option<Checksum>, payload: &[u8]) -> [u8; 2] {
        let sum = covered.unwrap_or_default().with(self.as_bytes());
        sum.with(payload).finish().to_be_bytes()
    }

    fn echo<'a>(&self, payload: &'a [u8]) -> Echo<'a> {
        let RawEcho { ident, seq } = zerocopy::transmute!(self.rest);
        Echo {
            ident: ident.get(),
            seq: seq.get(),
            payload,
        }
    }
}

impl Echo<'_> {
    fn rest(&self) -> [u8; 4] {
        zerocopy::transmute!(RawEcho {
            ident: self.ident.into(),
            seq: self.seq.into()
        })
    }
}
