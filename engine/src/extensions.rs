//! Extensions that routers append to their errors, kept: RFC 4884, with label stacks (RFC 4950),
//! interfaces (RFC 5837), and who they are (draft-ietf-intarea-extended-icmp-nodeid).

use crate::printable;
use crate::quoted_syn::QuotedSyn;
use hopshot_core::wire::extensions::{self as wire, Label, Role};
use std::net::IpAddr;

/// Labels that are kept of one answer. Routers push a handful; the rest of a longer stack is left
/// out.
pub const MAX_LABELS: usize = 16;

/// Interfaces that are kept of one answer: there are four roles (RFC 5837, section 4.2).
pub const MAX_INTERFACES: usize = 4;

/// The longest name of an interface, in characters (RFC 5837, section 4.4: 63 octets). What is left
/// of a longer one is cut off.
const MAX_NAME: usize = 63;

/// The extensions that a router appended to an answer. Most append nothing.
///
/// All of it is what the router says, or whoever wrote the answer in its name.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
#[non_exhaustive]
pub struct OwnedExtensions {
    /// The MPLS label stack that the probe arrived with, from the top on; at most [`MAX_LABELS`].
    pub mpls: Vec<Label>,
    /// Interfaces that the probe came in by, or would have left by; at most [`MAX_INTERFACES`].
    pub interfaces: Vec<OwnedInterface>,
    /// The router's name for itself, if it has told one.
    pub node: Option<OwnedNodeId>,
    /// The number of objects of a kind that isn't known here, that contradict themselves, or beyond
    /// what is kept.
    pub unknown: usize,
    /// Not an extension: what the quote shows of middleboxes before the router.
    pub syn: Option<QuotedSyn>,
}

/// The extensions of most routers: nothing.
pub(crate) static NONE: OwnedExtensions = OwnedExtensions {
    mpls: Vec::new(),
    interfaces: Vec::new(),
    node: None,
    unknown: 0,
    syn: None,
};

/// An interface of a router (RFC 5837, section 4). What the router doesn't tell is `None`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct OwnedInterface {
    /// Its role for the probe.
    pub role: Role,
    /// Its index on the router.
    pub index: Option<u32>,
    /// Its name, made [`printable`].
    pub name: Option<String>,
    /// Its address.
    pub address: Option<IpAddr>,
    /// Its MTU in octets.
    pub mtu: Option<u32>,
}

/// A router, wherever its answer comes from. What it doesn't tell is `None`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct OwnedNodeId {
    /// Its name, made [`printable`].
    pub name: Option<String>,
    /// An address that it can be reached at.
    pub address: Option<IpAddr>,
}

impl OwnedExtensions {
    /// Whether there is nothing.
    #[must_use]
    pub const fn is_empty(&self) -> bool {
        self.mpls.is_empty()
            && self.interfaces.is_empty()
            && self.node.is_none()
            && self.unknown == 0
            && self.syn.is_none()
    }

    /// Copies what is kept out of a message.
    pub(crate) fn copy(view: &wire::Extensions<'_>) -> Self {
        let mut kept = Self::default();
        for object in view.objects() {
            if let Some(labels) = object.mpls() {
                let room = MAX_LABELS.saturating_sub(kept.mpls.len());
                kept.mpls.extend(labels.take(room));
            } else if let (Some(interface), true) =
                (object.interface(), kept.interfaces.len() < MAX_INTERFACES)
            {
                kept.interfaces.push(OwnedInterface::copy(&interface));
            } else if let (Some(node), None) = (object.node(), &kept.node) {
                kept.node = Some(OwnedNodeId {
                    name: node.name.map(printable_name),
                    address: node.address,
                });
            } else {
                kept.unknown += 1;
            }
        }
        kept
    }
}

impl OwnedInterface {
    fn copy(view: &wire::Interface<'_>) -> Self {
        let name = view.name.map(printable_name);
        Self {
            role: view.role,
            index: view.index,
            name,
            address: view.address,
            mtu: view.mtu,
        }
    }
}

fn printable_name(octets: &[u8]) -> String {
    printable(&String::from_utf8_lossy(octets), MAX_NAME)
}

#[cfg(test)]
mod tests {
    use super::*;
    use hopshot_core::wire::AddressFamily;
    use hopshot_core::wire::checksum::Checksum;
    use hopshot_core::wire::icmp::{Error, Type};

    /// What is kept of an error in IPv4 with these objects: class, C-Type, payload.
    fn kept(objects: &[(u8, u8, Vec<u8>)]) -> OwnedExtensions {
        let mut structure = vec![0x20, 0, 0, 0];
        for (class, kind, payload) in objects {
            let len = u16::try_from(payload.len() + 4).unwrap();
            structure.extend([&len.to_be_bytes()[..], &[*class, *kind], payload].concat());
        }
        let sum = Checksum::new().with(&structure).finish();
        structure[2..4].copy_from_slice(&sum.to_be_bytes());
        let quoted = [vec![0; 128], structure].concat();
        let error = Error {
            icmp_type: Type::TimeExceeded,
            code: 0,
            rest: 32 << 16,
            quoted: &quoted,
        };
        OwnedExtensions::copy(&wire::Extensions::of(AddressFamily::V4, &error))
    }

    fn named(name: &[u8]) -> (u8, u8, Vec<u8>) {
        let len = u8::try_from(name.len() + 1).unwrap();
        (2, 2, [&[len], name].concat())
    }

    #[test]
    fn labels_and_interfaces_are_kept_and_other_objects_counted() {
        let labels = vec![0x05, 0xdc, 0x16, 1, 0, 1, 1, 2];
        let interface = [
            &[0, 0, 0, 7, 0, 1, 0, 0, 10, 8, 0, 1, 12][..],
            b"xe-0/0/1\0\0\0",
            &[0, 0, 0x23, 0x28],
        ]
        .concat();
        let torn = (2, 0x08, vec![0; 3]);
        assert!(kept(&[]).is_empty());
        let kept = kept(&[
            (1, 1, labels),
            (2, 0x0f, interface),
            (3, 1, vec![1, 2, 3, 4]),
            (1, 2, vec![0; 4]),
            torn,
        ]);
        let label = |label, traffic_class, bottom, ttl| Label {
            label,
            traffic_class,
            bottom,
            ttl,
        };
        assert_eq!(
            kept.mpls,
            [label(24001, 3, false, 1), label(16, 0, true, 2)]
        );
        let expected = OwnedInterface {
            role: Role::Incoming,
            index: Some(7),
            name: Some("xe-0/0/1".to_owned()),
            address: Some([10, 8, 0, 1].into()),
            mtu: Some(9000),
        };
        assert_eq!((kept.interfaces, kept.unknown), (vec![expected], 3));
    }

    #[test]
    fn the_first_that_says_who_the_router_is_is_kept() {
        let node = |kind, payload: &[u8]| (5, kind, payload.to_vec());
        let first = node(
            0b0110,
            b"\x00\x01\x00\x00\x0a\x08\x00\x01\x08r\x1b1\x00\x00\x00\x00",
        );
        let kept = kept(&[node(0b0010, b""), first, node(0b0010, b"\x04two")]);
        let expected = OwnedNodeId {
            name: Some(r"r\u{1b}1".to_owned()),
            address: Some([10, 8, 0, 1].into()),
        };
        assert_eq!(
            (kept.node.as_ref(), kept.unknown, kept.is_empty()),
            (Some(&expected), 2, false)
        );
        let alone = OwnedExtensions {
            node: Some(expected),
            ..OwnedExtensions::default()
        };
        assert!(!alone.is_empty());
    }

    #[test]
    fn the_name_of_an_interface_can_do_no_harm() {
        let name = |octets: &[u8]| kept(&[named(octets)]).interfaces[0].name.clone().unwrap();
        assert_eq!(
            name("a\x1b]0;b\x07\u{202e}c\n".as_bytes()),
            r"a\u{1b}]0;b\u{7}\u{202e}c\u{a}"
        );
        assert_eq!(name(b"\xff\x9b1m"), r"\u{fffd}\u{fffd}1m");
        assert_eq!(name(&[b'a'; 254]), "a".repeat(MAX_NAME));
    }

    #[test]
    fn whatever_is_appended_what_is_kept_is_bounded() {
        let all: Vec<_> = (0..100)
            .flat_map(|_| [(1, 1, vec![0; 40]), named(&[0x1b; 200]), (9, 9, vec![])])
            .collect();
        let kept = kept(&all);
        assert_eq!(
            (kept.mpls.len(), kept.interfaces.len()),
            (MAX_LABELS, MAX_INTERFACES)
        );
        assert_eq!(kept.unknown, 100 + 100 - MAX_INTERFACES);
        assert!(
            kept.interfaces
                .iter()
                .all(|interface| interface.name.as_ref().unwrap().len() <= MAX_NAME * 10)
        );
    }
}
