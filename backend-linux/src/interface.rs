//! Interfaces: their names, the alternative ones too, and their numbers.

use crate::netlink::{Netlink, Question};
use rustix::net::netdevice;
use std::net::Ipv6Addr;

/// The longest name that a system call takes, in octets (IFNAMSIZ - 1). The kernel silently cuts
/// longer ones short.
const MAX_NAME: usize = 15;

/// The longest alternative name (ALTIFNAMSIZ - 1).
const MAX_ALTERNATIVE: usize = 127;

/// An interface that this machine has.
#[derive(Clone, Debug)]
pub(crate) struct Interface {
    pub(crate) number: u32,
    /// Its name, if it isn't too long for a system call.
    pub(crate) short_name: Option<String>,
}

/// Finds an interface by its name, or one of its alternative names, or its number.
pub(crate) fn find(name: &str) -> Option<Interface> {
    let by_number = || {
        name.parse()
            .ok()
            .filter(|number| *number != 0 && may_exist(*number))
    };
    named(name).or_else(|| {
        by_number().map(|number| Interface {
            number,
            short_name: None,
        })
    })
}

/// Returns whether there is an interface with this number, or the kernel can't be asked.
fn may_exist(number: u32) -> bool {
    let Ok(netlink) = Netlink::open() else {
        return true;
    };
    let mut body = [0; BODY];
    body[4..8].copy_from_slice(&number.to_ne_bytes());
    netlink
        .ask(Question::new(RTM_GETLINK, body), RTM_NEWLINK)
        .is_some()
}

fn named(name: &str) -> Option<Interface> {
    if name.is_empty() || name.len() > MAX_ALTERNATIVE || name.contains('\0') {
        return None;
    }
    // Any socket would do for a short name; this one needs neither family.
    let netlink = Netlink::open().ok()?;
    if name.len() > MAX_NAME {
        return ask(&netlink, name).map(|number| Interface {
            number,
            short_name: None,
        });
    }
    let number = netdevice::name_to_index(&netlink, name).ok()?;
    Some(Interface {
        number,
        short_name: Some(name.to_owned()),
    })
}

// linux/rtnetlink.h, linux/if_link.h; the length of `ifinfomsg`.
const RTM_NEWLINK: u16 = 16;
const RTM_GETLINK: u16 = 18;
const IFLA_ALT_IFNAME: u16 = 53;
const BODY: usize = 16;

/// Asks the kernel for the number by netlink, which alone takes long names. Linux 5.5.
#[doc(alias = "RTM_GETLINK")]
fn ask(netlink: &Netlink, name: &str) -> Option<u32> {
    let mut question = Question::new(RTM_GETLINK, [0; BODY]);
    question.add(IFLA_ALT_IFNAME, format!("{name}\0").as_bytes());
    netlink
        .ask(question, RTM_NEWLINK)?
        .body(4)
        .map(u32::from_ne_bytes)
}

/// Whether an address is one of many alike, each on a link of its own (RFC 4007, section 6).
pub(crate) fn has_zone(address: Ipv6Addr) -> bool {
    // Multicast addresses of the scopes 1 and 2, whatever their flags are (RFC 4291, section 2.7).
    address.is_unicast_link_local() || matches!(address.segments()[0] & 0xff0f, 0xff01 | 0xff02)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::namespace::in_namespace;

    #[test]
    fn an_interface_has_any_of_its_names() {
        const SETUP: &str = "
            ip link add name near0 type veth peer name far0
            ip link property add dev near0 altname near-by-another-name-that-is-long
            ip link property add dev near0 altname n0";
        in_namespace(
            "interface::tests::an_interface_has_any_of_its_names",
            SETUP,
            || {
                let number = |name: &str| find(name).map(|interface| interface.number);
                assert_eq!(number("lo"), Some(1));
                let near = number("near0");
                assert!(near.is_some() && near != number("far0"));
                assert_eq!(
                    [
                        number("near-by-another-name-that-is-long"),
                        number("n0"),
                        number("1")
                    ],
                    [near, near, Some(1)]
                );
                let others = [
                    "",
                    "0",
                    "99",
                    "4294967295",
                    "lo\0x",
                    "near-by-another-name-that-is-lon",
                    "absent",
                    "absent-and-longer-than-15",
                ];
                assert!(
                    others.into_iter().all(|name| number(name).is_none())
                        && number(&"x".repeat(128)).is_none()
                );
            },
        );
    }
}
