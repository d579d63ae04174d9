//! What routers append to an ICMP error behind the quoted datagram: RFC 4884, with MPLS label
//! stacks (RFC 4950), interface information (RFC 5837) and node identification
//! (draft-ietf-intarea-extended-icmp-nodeid).
//!
//! A message that follows RFC 4884 says in its header where the extensions begin. Many that don't
//! are on the wire:
//!
//! | the message | what is done |
//! | --- | --- |
//! | says a length, and a structure of version 2 follows there | read, if its checksum is right or zero ("not computed") |
//! | says no length, but is longer than 128 octets (before RFC 4884, "widely deployed") | looked for at 128 |
//! | says a length below 128 octets, or in octets instead of words, but extends at 128 | looked for at 128 |
//! | has the version in the low half of its octet | taken as well, where looked for at 128 |
//! | quotes so much of a long datagram that octet 128 is data | told apart: at 128 the checksum must be right, or it is zero and the objects fill all that is left; our probes have zeros there |
//! | has an object whose length is below 4, or beyond the end | what came before it is kept |

use super::{AddressFamily, checksum::Checksum, icmp};
use core::fmt;
use core::net::{IpAddr, Ipv4Addr, Ipv6Addr};

/// Where extensions stand when the message doesn't say (RFC 4884, section 5.5), in octets of the
/// quoted datagram.
const IMPLIED_OFFSET: u16 = 128;

/// The extension objects of an error: a view of the message. Each call searches it anew, so keep
/// the iterator rather than ask twice.
#[derive(Clone, Copy, Default)]
pub struct Extensions<'a> {
    /// The quoted datagram, and what follows it.
    quoted: &'a [u8],
    /// The offset that the message gives; 0 for none.
    said: u16,
    /// The offset otherwise.
    implied: u16,
}

impl<'a> Extensions<'a> {
    /// The extensions of an error.
    #[must_use]
    pub fn of(family: AddressFamily, error: &icmp::Error<'a>) -> Self {
        let [first, second, ..] = error.rest.to_be_bytes();
        let said = match family {
            AddressFamily::V4 => u16::from(second).wrapping_mul(4),
            AddressFamily::V6 => u16::from(first).wrapping_mul(8),
        };
        Self::beginning_at(family, error, said, IMPLIED_OFFSET)
    }

    /// The extensions of an error whose quoted IP header a kernel keeps to itself: `quoted` begins
    /// behind it, and so does `said`, where the kernel says that they begin; 0 if it doesn't.
    #[must_use]
    pub fn behind_header(family: AddressFamily, error: &icmp::Error<'a>, said: u16) -> Self {
        // Behind a header without options: a kernel that keeps it doesn't tell of any.
        let implied = match family {
            AddressFamily::V4 => IMPLIED_OFFSET.wrapping_sub(20),
            AddressFamily::V6 => IMPLIED_OFFSET.wrapping_sub(40),
        };
        Self::beginning_at(family, error, said, implied)
    }

    #[inline(never)]
    fn beginning_at(
        family: AddressFamily,
        error: &icmp::Error<'a>,
        said: u16,
        implied: u16,
    ) -> Self {
        match (family, error.icmp_type) {
            (_, icmp::Type::TimeExceeded | icmp::Type::Unreachable)
            | (AddressFamily::V4, icmp::Type::ParameterProblem) => Self {
                quoted: error.quoted,
                said,
                implied,
            },
            _ => Self::default(),
        }
    }

    fn find(&self) -> &'a [u8] {
        let at = |offset: u16| Structure::at(self.quoted, offset.into());
        let explicit = if self.said == 0 { None } else { at(self.said) };
        match explicit {
            Some(structure) if structure.version == 2 && structure.checksum != Sum::Wrong => {
                structure.objects
            }
            _ => match at(self.implied) {
                Some(structure) if structure.is_told_from_data() => structure.objects,
                _ => &[],
            },
        }
    }

    /// Whether there are none.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.find().is_empty()
    }

    /// The objects, in order, up to the first that contradicts itself.
    pub fn objects(&self) -> impl Iterator<Item = Object<'a>> + use<'a> {
        let mut rest = self.find();
        core::iter::from_fn(move || {
            let (object, behind) = Object::split(rest)?;
            rest = behind;
            Some(object)
        })
    }
}

impl PartialEq for Extensions<'_> {
    fn eq(&self, other: &Self) -> bool {
        self.find() == other.find()
    }
}

impl Eq for Extensions<'_> {}

impl fmt::Debug for Extensions<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Extensions")
            .field("objects", &self.find())
            .finish()
    }
}

#[cfg(feature = "defmt")]
impl defmt::Format for Extensions<'_> {
    fn format(&self, f: defmt::Formatter<'_>) {
        defmt::write!(f, "Extensions {{ objects: {} }}", self.find());
    }
}

#[derive(Clone, Copy, PartialEq, Eq)]
enum Sum {
    Right,
    /// Zero: not computed.
    Absent,
    Wrong,
}

/// An extension structure (RFC 4884, section 7), whose version may be anything yet.
struct Structure<'a> {
    version: u8,
    checksum: Sum,
    objects: &'a [u8],
}

impl<'a> Structure<'a> {
    fn at(quoted: &'a [u8], offset: usize) -> Option<Self> {
        let octets = quoted.get(offset..)?;
        let ([version, reserved, high, low], objects) = octets.split_first_chunk()?;
        let checksum = match ([*high, *low], Checksum::new().with(octets).finish()) {
            ([0, 0], _) => Sum::Absent,
            (_, 0) => Sum::Right,
            _ => Sum::Wrong,
        };
        // 0 stands for the version in the wrong half.
        let version = match (version >> 4, version & 0x0f, reserved) {
            (2, _, _) => 2,
            (0, 2, 0) => 0,
            _ => return None,
        };
        Some(Self {
            version,
            checksum,
            objects,
        })
    }

    /// Whether this is no data, where nothing says that a structure begins here.
    // Within its caller it takes more room.
    #[inline(never)]
    fn is_told_from_data(&self) -> bool {
        match self.checksum {
            Sum::Right => true,
            // Not computed: then all that follows must be objects, with nothing left.
            Sum::Absent if self.version == 2 => {
                let mut rest = self.objects;
                while let Some((_, behind)) = Object::split(rest) {
                    rest = behind;
                }
                rest.is_empty()
            }
            Sum::Absent | Sum::Wrong => false,
        }
    }
}

/// An extension object (RFC 4884, section 8).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[cfg_attr(feature = "defmt", derive(defmt::Format))]
pub struct Object<'a> {
    /// The class number: 1 is MPLS, 2 interface information, 5 node identification.
    pub class: u8,
    /// The C-Type, whose meaning depends on the class.
    pub kind: u8,
    /// What follows.
    pub payload: &'a [u8],
}

impl<'a> Object<'a> {
    /// The first object of several, and what follows it.
    fn split(objects: &'a [u8]) -> Option<(Self, &'a [u8])> {
        let ([high, low, class, kind], _) = objects.split_first_chunk()?;
        let length = usize::from(u16::from_be_bytes([*high, *low]));
        let (object, behind) = objects.split_at_checked(length)?;
        Some((
            Self {
                class: *class,
                kind: *kind,
                payload: object.get(4..)?,
            },
            behind,
        ))
    }

    /// The label stack, if this is one (RFC 4950: class 1, C-Type 1), from the top on.
    #[must_use]
    pub fn mpls(&self) -> Option<impl Iterator<Item = Label> + use<'a>> {
        let labels = self.payload.as_chunks::<4>().0.iter();
        ((self.class, self.kind) == (1, 1))
            .then(|| labels.map(|octets| Label::from_octets(*octets)))
    }

    /// The interface, if this is one and whole (RFC 5837: class 2).
    #[must_use]
    pub fn interface(&self) -> Option<Interface<'a>> {
        if self.class == 2 {
            Interface::parse(self.kind, self.payload)
        } else {
            None
        }
    }

    /// What the router calls itself, if this says it and is whole
    /// (draft-ietf-intarea-extended-icmp-nodeid: class 5).
    #[must_use]
    pub fn node(&self) -> Option<NodeId<'a>> {
        if self.class == 5 {
            NodeId::parse(self.kind, self.payload)
        } else {
            None
        }
    }
}

/// An entry of an MPLS label stack (RFC 3032, section 2.1).
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
#[cfg_attr(feature = "defmt", derive(defmt::Format))]
pub struct Label {
    /// The label, 20 bits.
    pub label: u32,
    /// The traffic class, 3 bits (RFC 5462).
    pub traffic_class: u8,
    /// Whether this is the bottom of the stack.
    pub bottom: bool,
    /// The TTL.
    pub ttl: u8,
}

impl Label {
    const fn from_octets([a, b, c, ttl]: [u8; 4]) -> Self {
        let label = u32::from_be_bytes([0, a, b, c]) >> 4;
        Self {
            label,
            traffic_class: c >> 1 & 7,
            bottom: c & 1 == 1,
            ttl,
        }
    }
}

/// Which interface of the router is described (RFC 5837, section 4.1).
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
#[cfg_attr(feature = "defmt", derive(defmt::Format))]
pub enum Role {
    /// The one that the probe came in by.
    Incoming,
    /// A part of the one that the probe came in by.
    IncomingSubIp,
    /// The one that the probe would have gone out by.
    Outgoing,
    /// The next hop it would have gone to.
    NextHop,
}

impl Role {
    /// Returns its name in documents.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Incoming => "incoming",
            Self::IncomingSubIp => "incoming_sub_ip",
            Self::Outgoing => "outgoing",
            Self::NextHop => "next_hop",
        }
    }
}

/// An interface of the router (RFC 5837, section 4). What the router doesn't tell is `None`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[cfg_attr(feature = "defmt", derive(defmt::Format))]
pub struct Interface<'a> {
    /// Which one it is.
    pub role: Role,
    /// Its index on the router.
    pub index: Option<u32>,
    /// Its address.
    pub address: Option<IpAddr>,
    /// Its name, as octets: nothing says that it is text.
    pub name: Option<&'a [u8]>,
    /// Its MTU in octets.
    pub mtu: Option<u32>,
}

impl<'a> Interface<'a> {
    fn parse(kind: u8, payload: &'a [u8]) -> Option<Self> {
        let role = match kind >> 6 {
            0 => Role::Incoming,
            1 => Role::IncomingSubIp,
            2 => Role::Outgoing,
            _ => Role::NextHop,
        };
        let mut rest = payload;
        let says = |bit: u8| kind & bit != 0;
        Some(Self {
            role,
            index: if says(8) {
                Some(u32::from_be_bytes(take(&mut rest)?))
            } else {
                None
            },
            address: if says(4) {
                Some(take_address(&mut rest)?)
            } else {
                None
            },
            name: if says(2) {
                Some(take_name(&mut rest)?)
            } else {
                None
            },
            mtu: if says(1) {
                Some(u32::from_be_bytes(take(&mut rest)?))
            } else {
                None
            },
        })
    }
}

/// A router, wherever its answer comes from. What it doesn't tell is `None`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[cfg_attr(feature = "defmt", derive(defmt::Format))]
pub struct NodeId<'a> {
    /// An address that it can be reached at.
    pub address: Option<IpAddr>,
    /// Its name, as octets: it should be UTF-8.
    pub name: Option<&'a [u8]>,
}

impl<'a> NodeId<'a> {
    /// The bits of the C-Type, and the parts, are those of an [`Interface`].
    fn parse(kind: u8, payload: &'a [u8]) -> Option<Self> {
        let mut rest = payload;
        Some(Self {
            address: if kind & 4 != 0 {
                Some(take_address(&mut rest)?)
            } else {
                None
            },
            name: if kind & 2 != 0 {
                Some(take_name(&mut rest)?)
            } else {
                None
            },
        })
    }
}

fn take<const N: usize>(rest: &mut &[u8]) -> Option<[u8; N]> {
    let (head, tail) = rest.split_first_chunk()?;
    *rest = tail;
    Some(*head)
}

/// An address family number, two reserved octets, the address (RFC 5837, section 4.3).
fn take_address(rest: &mut &[u8]) -> Option<IpAddr> {
    match take::<4>(rest)? {
        [0, 1, ..] => Some(Ipv4Addr::from(take::<4>(rest)?).into()),
        [0, 2, ..] => Some(Ipv6Addr::from(take::<16>(rest)?).into()),
        _ => None,
    }
}

/// A length that counts itself, then the name, padded with zeros (RFC 5837, section 4.4).
fn take_name<'a>(rest: &mut &'a [u8]) -> Option<&'a [u8]> {
    let length = usize::from(*rest.first()?);
    let (name, tail) = rest.split_at_checked(length)?;
    let name = name.get(1..)?;
    *rest = tail;
    let end = name
        .iter()
        .position(|octet| *octet == 0)
        .unwrap_or(name.len());
    name.get(..end)
}
