//! Interfaces: their names, the alternative ones too, and their numbers.

use rustix::net::{AddressFamily, RecvFlags, SendFlags, SocketFlags, SocketType, netdevice};
use std::os::fd::OwnedFd;

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
    let by_number =
        || name.parse().ok().filter(|number| *number != 0).map(|number| Interface { number, short_name: None });
    named(name).or_else(by_number)
}

fn named(name: &str) -> Option<Interface> {
    if name.is_empty() || name.len() > MAX_ALTERNATIVE || name.contains('\0') {
        return None;
    }
    // Any socket would do for a short name; this one needs neither family.
    let socket = rustix::net::socket_with(AddressFamily::NETLINK, SocketType::RAW, SocketFlags::CLOEXEC, None).ok()?;
    if name.len() > MAX_NAME {
        return ask(&socket, name).map(|number| Interface { number, short_name: None });
    }
    let number = netdevice::name_to_index(&socket, name).ok()?;
    Some(Interface { number, short_name: Some(name.to_owned()) })
}

/// Asks the kernel for the number by netlink, which alone takes long names. Linux 5.5.
#[doc(alias = "RTM_GETLINK")]
fn ask(socket: &OwnedFd, name: &str) -> Option<u32> {
    rustix::net::send(socket, &request(name)?, SendFlags::empty()).ok()?;
    // All that is wanted stands at the beginning; the rest is cut off.
    let mut reply = [0; HEADER_LEN + INFO_LEN];
    let (len, _) = rustix::net::recv(socket, &mut reply[..], RecvFlags::empty()).ok()?;
    number(reply.get(..len)?)
}

// linux/netlink.h, linux/rtnetlink.h, linux/if_link.h
const HEADER_LEN: usize = 16;
const INFO_LEN: usize = 16;
const RTM_NEWLINK: u16 = 16;
const RTM_GETLINK: u16 = 18;
const NLM_F_REQUEST: u16 = 1;
const IFLA_ALT_IFNAME: u16 = 53;

/// Writes the question: a header, an `ifinfomsg` that names nothing, and the name as an attribute.
fn request(name: &str) -> Option<Vec<u8>> {
    let attribute_len = u16::try_from(4 + name.len() + 1).ok()?;
    let total = (HEADER_LEN + INFO_LEN + usize::from(attribute_len)).next_multiple_of(4);
    let mut octets = Vec::with_capacity(total);
    octets.extend(u32::try_from(total).ok()?.to_ne_bytes());
    octets.extend(RTM_GETLINK.to_ne_bytes());
    octets.extend(NLM_F_REQUEST.to_ne_bytes());
    octets.resize(HEADER_LEN + INFO_LEN, 0);
    octets.extend(attribute_len.to_ne_bytes());
    octets.extend(IFLA_ALT_IFNAME.to_ne_bytes());
    octets.extend(name.as_bytes());
    octets.resize(total, 0);
    Some(octets)
}

/// Reads the number from the answer: behind family and type in the `ifinfomsg`. `None` if it is an
/// error.
fn number(reply: &[u8]) -> Option<u32> {
    let kind = u16::from_ne_bytes(*reply.get(4..)?.first_chunk()?);
    let number = u32::from_ne_bytes(*reply.get(HEADER_LEN + 4..)?.first_chunk()?);
    (kind == RTM_NEWLINK).then_some(number)
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
        in_namespace("interface::tests::an_interface_has_any_of_its_names", SETUP, || {
            let number = |name: &str| find(name).map(|interface| interface.number);
            assert_eq!(number("lo"), Some(1));
            let near = number("near0");
            assert!(near.is_some() && near != number("far0"));
            assert_eq!([number("near-by-another-name-that-is-long"), number("n0"), number("1")], [near, near, Some(1)]);
            let others = ["", "0", "lo\0x", "near-by-another-name-that-is-lon", "absent", "absent-and-longer-than-15"];
            assert!(others.into_iter().all(|name| number(name).is_none()) && number(&"x".repeat(128)).is_none());
        });
    }
}
