//! Control messages as plain octets, and what they are called.

use libc::c_int;

/// What the kernel calls a socket option or a control message: a level, and a number within it. The
/// constants carry the kernel's names; those are all that can be used, and no value of any of them
/// holds an address.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Name {
    pub(super) level: c_int,
    pub(super) number: c_int,
}

impl Name {
    /// Option: the ICMP types *not* to receive, one bit each of a `u32`; types from 32 on always
    /// pass.
    pub(crate) const ICMP_FILTER: Self = Self::new(libc::SOL_RAW, 1);
    /// Option: the ICMPv6 types *not* to receive, 256 bits as eight `u32`.
    pub(crate) const ICMPV6_FILTER: Self = Self::new(libc::IPPROTO_ICMPV6, 1);
    /// Control message: the hop limit of the packet it goes with, a C `int` from 1 to 255.
    #[doc(alias = "hop_limit")]
    pub(crate) const IP_TTL: Self = Self::new(libc::IPPROTO_IP, libc::IP_TTL);
    /// Control message, both ways: the hop limit of the packet it goes with, a C `int` from 0 to
    /// 255.
    #[doc(alias = "hop_limit")]
    pub(crate) const IPV6_HOPLIMIT: Self = Self::new(libc::IPPROTO_IPV6, libc::IPV6_HOPLIMIT);
    /// Option: whether [`Name::IPV6_HOPLIMIT`] comes with every packet, a C `int`.
    pub(crate) const IPV6_RECVHOPLIMIT: Self =
        Self::new(libc::IPPROTO_IPV6, libc::IPV6_RECVHOPLIMIT);
    /// Option: whether errors are reported in full (an error queue, ENOBUFS from a queueing
    /// discipline), a C `int`. The control message of the same name: a `sock_extended_err`,
    /// then the address of who made the error.
    pub(crate) const IP_RECVERR: Self = Self::new(libc::IPPROTO_IP, libc::IP_RECVERR);
    /// Option: [`Name::IP_RECVERR`] for IPv6.
    pub(crate) const IPV6_RECVERR: Self = Self::new(libc::IPPROTO_IPV6, libc::IPV6_RECVERR);
    /// Option: whether the hop limit comes with every packet as [`Name::IP_TTL`], a C `int`.
    pub(crate) const IP_RECVTTL: Self = Self::new(libc::IPPROTO_IP, libc::IP_RECVTTL);
    /// Option: whether an error from the error queue says where its extensions begin (RFC 4884), a
    /// C `int`. Linux 5.9.
    pub(crate) const IP_RECVERR_RFC4884: Self = Self::new(libc::IPPROTO_IP, 26);
    /// Option: [`Name::IP_RECVERR_RFC4884`] for IPv6.
    pub(crate) const IPV6_RECVERR_RFC4884: Self = Self::new(libc::IPPROTO_IPV6, 31);
    /// Control message: the number that the transmit timestamps of this message will have, a `u32`.
    /// Linux 6.13.
    pub(crate) const SCM_TS_OPT_ID: Self = Self::new(libc::SOL_SOCKET, 81);
    /// Option: the interface to send and receive by, its name, at most 15 octets.
    pub(crate) const SO_BINDTODEVICE: Self = Self::new(libc::SOL_SOCKET, libc::SO_BINDTODEVICE);
    /// Option: the same by its number, a C `int`. Linux 5.1.
    pub(crate) const SO_BINDTOIFINDEX: Self = Self::new(libc::SOL_SOCKET, libc::SO_BINDTOIFINDEX);
    /// Option: the mark of all packets, which rules of routing and of firewalls can ask for, a
    /// `u32`. Needs `CAP_NET_ADMIN`, or since Linux 5.17 `CAP_NET_RAW`.
    pub(crate) const SO_MARK: Self = Self::new(libc::SOL_SOCKET, libc::SO_MARK);
    /// Option: a C `int`, not zero to forbid any change of the filter from now on.
    pub(crate) const SO_LOCK_FILTER: Self = Self::new(libc::SOL_SOCKET, libc::SO_LOCK_FILTER);
    /// Option: whether every packet comes with the `CLOCK_REALTIME` of its arrival, a C `int`. The
    /// control message of the same name: a `timespec`.
    #[doc(alias = "SCM_TIMESTAMPNS")]
    pub(crate) const SO_TIMESTAMPNS: Self = Self::new(libc::SOL_SOCKET, libc::SO_TIMESTAMPNS);
    /// Option: which timestamps to make, and how: flags as a C `unsigned int`. The control message
    /// of the same name: three `timespec`, the first of which is the kernel's stamp.
    #[doc(alias = "SCM_TIMESTAMPING")]
    pub(crate) const SO_TIMESTAMPING: Self = Self::new(libc::SOL_SOCKET, libc::SO_TIMESTAMPING);

    /// Option: whether binding to an address leaves the port to connect(2), a C `int`. Linux 4.2.
    pub(crate) const IP_BIND_ADDRESS_NO_PORT: Self = Self::new(libc::IPPROTO_IP, 24);
    /// Option: how often a SYN is sent again, a C `int` from 1 to 127.
    pub(crate) const TCP_SYNCNT: Self = Self::new(libc::IPPROTO_TCP, libc::TCP_SYNCNT);
    /// Option: whether the kernel chooses a flow label for each socket, a C `int`. Linux 3.17.
    pub(crate) const IPV6_AUTOFLOWLABEL: Self = Self::new(libc::IPPROTO_IPV6, 70);

    const fn new(level: c_int, number: c_int) -> Self {
        Self { level, number }
    }
}

/// The octets of a control message's header: length (a C `size_t`), level and type.
const CMSG_HEADER_LEN: usize = size_of::<usize>() + 2 * size_of::<c_int>();

/// The octets that a control message with `data_len` octets of data takes: each begins on a
/// multiple of a C `long`.
#[doc(alias = "CMSG_SPACE")]
pub(crate) const fn cmsg_space(data_len: usize) -> usize {
    (CMSG_HEADER_LEN + data_len).next_multiple_of(size_of::<libc::c_long>())
}

/// Writes a control message at the start of `space` and returns the octets that it takes, padding
/// included; `None` if `space` is too short. The next one goes into the rest.
pub(crate) fn put_cmsg(space: &mut [u8], name: Name, data: &[u8]) -> Option<usize> {
    let taken = cmsg_space(data.len());
    let (header, body) = space.get_mut(..taken)?.split_at_mut(CMSG_HEADER_LEN);
    let (len, kind) = header.split_at_mut(size_of::<usize>());
    let (level, number) = kind.split_at_mut(size_of::<c_int>());
    len.copy_from_slice(&(CMSG_HEADER_LEN + data.len()).to_ne_bytes());
    level.copy_from_slice(&name.level.to_ne_bytes());
    number.copy_from_slice(&name.number.to_ne_bytes());
    let (value, padding) = body.split_at_mut(data.len());
    value.copy_from_slice(data);
    padding.fill(0);
    Some(taken)
}

/// The control messages in the octets that [`recvmsg`] left: each one's name and data. Ends at the
/// first that isn't whole.
#[derive(Clone, Debug)]
pub(crate) struct Cmsgs<'a>(&'a [u8]);

impl<'a> Cmsgs<'a> {
    /// Reads `control`, cut to the length that was received.
    pub(crate) const fn new(control: &'a [u8]) -> Self {
        Self(control)
    }
}

impl<'a> Iterator for Cmsgs<'a> {
    type Item = (Name, &'a [u8]);

    fn next(&mut self) -> Option<Self::Item> {
        let control = std::mem::take(&mut self.0);
        let len = usize::from_ne_bytes(array(control, 0)?);
        let level = c_int::from_ne_bytes(array(control, size_of::<usize>())?);
        let number = c_int::from_ne_bytes(array(control, size_of::<usize>() + size_of::<c_int>())?);
        let data = control.get(CMSG_HEADER_LEN..len)?;
        // The padding of the last one may be missing.
        self.0 = control.get(cmsg_space(data.len())..).unwrap_or_default();
        Some((Name { level, number }, data))
    }
}

/// The `N` octets that begin at `start`, if they are there.
pub(super) fn array<const N: usize>(octets: &[u8], start: usize) -> Option<[u8; N]> {
    octets.get(start..)?.first_chunk().copied()
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Two messages: an `int`, and three octets.
    fn two() -> Vec<u8> {
        let mut space = vec![0xaa; 100];
        let first = put_cmsg(&mut space, Name::IP_TTL, &7_i32.to_ne_bytes()).unwrap();
        let second = put_cmsg(&mut space[first..], Name::SO_TIMESTAMPNS, &[1, 2, 3]).unwrap();
        space.truncate(first + second);
        space
    }

    #[test]
    fn control_messages_come_back_as_they_were_written() {
        let control = two();
        let read: Vec<_> = Cmsgs::new(&control).collect();
        assert_eq!(
            read,
            [
                (Name::IP_TTL, &7_i32.to_ne_bytes()[..]),
                (Name::SO_TIMESTAMPNS, &[1, 2, 3])
            ]
        );
    }

    #[test]
    fn control_data_cut_anywhere_gives_the_messages_that_are_whole() {
        let control = two();
        for cut in 0..=control.len() {
            let whole = Cmsgs::new(&control[..cut]).count();
            let first = usize::from(cut >= CMSG_HEADER_LEN + 4);
            let second = usize::from(cut >= cmsg_space(4) + CMSG_HEADER_LEN + 3);
            assert_eq!(whole, first + second, "cut to {cut}");
        }
    }

    #[test]
    fn a_hostile_length_ends_the_control_data() {
        for len in (0..CMSG_HEADER_LEN).chain([41, 1 << 20, usize::MAX - 1, usize::MAX]) {
            let mut control = two();
            control[..size_of::<usize>()].copy_from_slice(&len.to_ne_bytes());
            let read = Cmsgs::new(&control).count();
            assert!(read == 0 || len <= control.len(), "length {len}");
        }
        for len in CMSG_HEADER_LEN..=two().len() {
            let mut control = two();
            control[..size_of::<usize>()].copy_from_slice(&len.to_ne_bytes());
            assert_eq!(
                Cmsgs::new(&control).next().unwrap().1.len(),
                len - CMSG_HEADER_LEN
            );
        }
    }

    #[test]
    fn a_control_message_that_does_not_fit_is_not_written() {
        for space in 0..cmsg_space(4) {
            assert_eq!(put_cmsg(&mut vec![0; space], Name::IP_TTL, &[0; 4]), None);
        }
    }
}
