//! The system calls that rustix has no safe wrapper for: options by number, socket filters, and
//! messages with control data.
//!
//! The only module with `unsafe` and the only one that names libc. What it gives out is safe: every
//! function takes slices and borrowed descriptors, and an option or a control message can only be
//! one of the [`Name`]s written here. Control messages are plain octets, written with [`put_cmsg`]
//! and read with [`Cmsgs`].

#![allow(unsafe_code)]

pub(crate) mod calls;
mod cmsg;
pub(crate) mod start;

pub(crate) use cmsg::{Cmsgs, Name, cmsg_space, put_cmsg};
pub(crate) use libc::sock_filter as Instruction;

use cmsg::array;
use libc::c_int;
use rustix::io::Errno;
use rustix::net::{RecvFlags, ReturnFlags, SendFlags};
use std::io;
use std::mem::MaybeUninit;
use std::net::{IpAddr, SocketAddr, SocketAddrV6};
use std::os::fd::{AsRawFd, BorrowedFd};
use std::time::Duration;

/// Sets an option of a socket to `value`, in the octets of this machine.
///
/// # Errors
/// Whatever setsockopt(2) says.
#[doc(alias = "setsockopt")]
pub(crate) fn set_option(fd: BorrowedFd<'_>, name: Name, value: &[u8]) -> Result<(), Errno> {
    // SAFETY: the kernel reads at most `value.len()` octets from `value`, which is borrowed for the
    // whole call, and keeps no pointer to it. It follows no address inside the value: no option
    // that a `Name` can name has one. The lengths here are a few octets, far under
    // `socklen_t`'s range; were one cut, the kernel would read less.
    let status = unsafe {
        let len = value.len() as libc::socklen_t;
        libc::setsockopt(
            fd.as_raw_fd(),
            name.level,
            name.number,
            value.as_ptr().cast(),
            len,
        )
    };
    succeeded(status)
}

/// Gives a socket a classic BPF program that decides what it receives, in place of the one it had.
///
/// # Errors
/// EINVAL for a program that the kernel's checker refuses (empty, over 4,096 instructions, a jump
/// out of it), EPERM if the filter was locked.
#[doc(alias = "SO_ATTACH_FILTER")]
pub(crate) fn attach_filter(fd: BorrowedFd<'_>, program: &[Instruction]) -> Result<(), Errno> {
    let len = u16::try_from(program.len()).map_err(|_| Errno::INVAL)?;
    let program = libc::sock_fprog {
        len,
        filter: program.as_ptr().cast_mut(),
    };
    // SAFETY: the value is a live `sock_fprog` and its length is that type's. Its one pointer leads
    // to exactly `len` initialized instructions, borrowed for the whole call; the kernel copies
    // them and never writes there, so that the pointer came from a shared borrow does no harm.
    let status = unsafe {
        libc::setsockopt(
            fd.as_raw_fd(),
            libc::SOL_SOCKET,
            libc::SO_ATTACH_FILTER,
            (&raw const program).cast(),
            size_of::<libc::sock_fprog>() as libc::socklen_t,
        )
    };
    succeeded(status)
}

/// How many packets a socket had to drop since it was opened, modulo 2³²: its receive buffer was
/// full (which the kernel may find before it asks the filters, so some of these were not wanted),
/// or in ICMPv6 their checksum was wrong.
///
/// # Errors
/// ENOPROTOOPT before Linux 4.12.
#[doc(alias = "SO_MEMINFO")]
#[doc(alias = "SK_MEMINFO_DROPS")]
pub(crate) fn drops(fd: BorrowedFd<'_>) -> Result<u32, Errno> {
    const DROPS: usize = libc::SK_MEMINFO_DROPS as usize;
    let mut memory = [0_u32; DROPS + 1];
    let mut len = size_of_val(&memory) as libc::socklen_t;
    // SAFETY: the kernel writes at most `len` octets to `memory`, which is that long and borrowed
    // exclusively, and the length that it wrote to `len`. Any octets are a valid `u32`.
    let status = unsafe {
        let place = memory.as_mut_ptr().cast();
        libc::getsockopt(
            fd.as_raw_fd(),
            libc::SOL_SOCKET,
            libc::SO_MEMINFO,
            place,
            &raw mut len,
        )
    };
    succeeded(status).map(|()| memory[DROPS])
}

/// The state of a connection that was asked for, and its RTT.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) struct Handshake {
    pub(crate) state: State,
    /// The RTT, from the SYN to its answer, if there is one and no other SYN was sent.
    pub(crate) rtt: Option<Duration>,
}

/// The state of a connection.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) enum State {
    /// There is none, or no more.
    #[default]
    Closed,
    /// It was asked for.
    SynSent,
    /// It was made, or is about to be.
    Made,
}

/// Reads the state of a connection, and the RTT of its handshake.
///
/// # Errors
/// Whatever getsockopt(2) says.
#[doc(alias = "TCP_INFO")]
pub(crate) fn handshake(fd: BorrowedFd<'_>) -> Result<Handshake, Errno> {
    /// linux/tcp.h: `tcpi_rtt`, in microseconds, and `tcpi_total_retrans`, by their places among
    /// the words of `tcp_info`.
    const RTT: usize = 17;
    const RETRANSMITS: usize = 25;
    let mut info = [0_u32; RETRANSMITS + 1];
    let mut len = size_of_val(&info) as libc::socklen_t;
    // SAFETY: the kernel writes at most `len` octets to `info`, which is that long and borrowed
    // exclusively, and the length that it wrote to `len`. Any octets are a valid `u32`.
    let status = unsafe {
        let place = info.as_mut_ptr().cast();
        libc::getsockopt(
            fd.as_raw_fd(),
            libc::IPPROTO_TCP,
            libc::TCP_INFO,
            place,
            &raw mut len,
        )
    };
    succeeded(status)?;
    let rtt = Duration::from_micros(info[RTT].into());
    Ok(Handshake {
        // The first octet. linux/tcp_states.h: TCP_SYN_SENT, TCP_CLOSE.
        state: match info[0].to_ne_bytes()[0] {
            2 => State::SynSent,
            0 | 7 => State::Closed,
            _ => State::Made,
        },
        rtt: Some(rtt).filter(|rtt| !rtt.is_zero() && info[RETRANSMITS] == 0),
    })
}

/// The ids of this thread, of users and of groups: real, effective, saved.
///
/// # Errors
/// EPERM where a filter forbids the question.
#[doc(alias = "getresuid")]
pub(crate) fn ids() -> Result<([u32; 3], [u32; 3]), Errno> {
    let ([mut ur, mut ue, mut us], [mut gr, mut ge, mut gs]) = ([0; 3], [0; 3]);
    // SAFETY: the kernel writes one `uid_t` to each of three live locals, and nothing more.
    succeeded(unsafe { libc::getresuid(&raw mut ur, &raw mut ue, &raw mut us) })?;
    // SAFETY: as above, with `gid_t`.
    succeeded(unsafe { libc::getresgid(&raw mut gr, &raw mut ge, &raw mut gs) })?;
    Ok(([ur, ue, us], [gr, ge, gs]))
}

/// Makes a system call that a sandbox should refuse.
///
/// # Errors
/// Whatever the kernel says.
#[cfg(test)]
#[allow(
    clippy::useless_conversion,
    reason = "a C long isn't 64 bits wide everywhere"
)]
pub(crate) fn try_call(number: i64, arguments: [i64; 6]) -> Result<i64, Errno> {
    let [a, b, c, d, e, f] = arguments;
    // SAFETY: a call that a filter refuses does nothing, and the tests, which alone use this, make
    // no other calls by it than such, and signals of number 0. Should a filter let one through,
    // then it gets small numbers, at which nothing is mapped, or addresses of texts that live
    // longer than the call, in places that the kernel only reads from. What else such a call
    // may do, such as to fork, ends in a test that fails, in a process that was made for it.
    let result = unsafe { libc::syscall(number as libc::c_long, a, b, c, d, e, f) };
    if result == -1 {
        Err(last_errno())
    } else {
        Ok(result.into())
    }
}

/// Sends one message, with the control messages in `control` (see [`put_cmsg`]). The port of
/// `destination` is without meaning on a raw socket and should be 0; an IPv6 address carries its
/// scope id.
///
/// # Errors
/// Whatever sendmsg(2) says: EINVAL also for control data that isn't well-formed.
pub(crate) fn sendmsg(
    fd: BorrowedFd<'_>,
    destination: SocketAddr,
    payload: &[u8],
    control: &[u8],
    flags: SendFlags,
) -> Result<usize, Errno> {
    let (name, name_len) = encode_address(destination);
    let mut segment = libc::iovec {
        iov_base: payload.as_ptr().cast_mut().cast(),
        iov_len: payload.len(),
    };
    let mut header = empty_header();
    header.msg_name = name.as_ptr().cast_mut().cast();
    header.msg_namelen = name_len as _;
    header.msg_iov = &raw mut segment;
    header.msg_iovlen = 1;
    header.msg_control = control.as_ptr().cast_mut().cast();
    header.msg_controllen = control.len() as _;
    // SAFETY: each pointer in `header` leads to a live local or a slice borrowed for the whole
    // call, and the length beside it is that slice's (the name's is at most its array's).
    // sendmsg only reads through them, so that three of them came from shared borrows does no
    // harm; it asks for no alignment, since it copies everything in first.
    let sent = unsafe { libc::sendmsg(fd.as_raw_fd(), &raw const header, flags.bits() as c_int) };
    usize::try_from(sent).map_err(|_| last_errno())
}

/// What one [`recvmsg`] brought.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Received {
    /// The octets of the message that are in the buffer.
    pub(crate) len: usize,
    /// Who sent it, or with `ERRQUEUE` to whom the packet in question went; `None` if the kernel
    /// named no IP address.
    pub(crate) from: Option<SocketAddr>,
    /// The octets of control data that are in its buffer.
    pub(crate) control_len: usize,
    /// `TRUNC` and `CTRUNC`: what of the message or the control data didn't fit is lost.
    pub(crate) flags: ReturnFlags,
}

/// Receives one message, and the control messages that come with it (see [`Cmsgs`]).
///
/// # Errors
/// EAGAIN if there is none and the socket doesn't block; otherwise whatever recvmsg(2) says.
#[allow(
    clippy::unnecessary_cast,
    reason = "msg_controllen is a size_t in one C library, a socklen_t in another"
)]
pub(crate) fn recvmsg(
    fd: BorrowedFd<'_>,
    buf: &mut [u8],
    control: &mut [u8],
    flags: RecvFlags,
) -> Result<Received, Errno> {
    let mut name = [0; ADDRESS_LEN];
    let mut segment = libc::iovec {
        iov_base: buf.as_mut_ptr().cast(),
        iov_len: buf.len(),
    };
    let mut header = empty_header();
    header.msg_name = name.as_mut_ptr().cast();
    header.msg_namelen = name.len() as _;
    header.msg_iov = &raw mut segment;
    header.msg_iovlen = 1;
    header.msg_control = control.as_mut_ptr().cast();
    header.msg_controllen = control.len() as _;
    // SAFETY: each pointer in `header` leads to memory borrowed exclusively for the whole call, and
    // the length beside it is that memory's, so the kernel writes only there. It writes octets,
    // and any octets are valid in a `[u8]`; it asks for no alignment, since it copies out at
    // the end.
    let received = unsafe { libc::recvmsg(fd.as_raw_fd(), &raw mut header, flags.bits() as c_int) };
    let len = usize::try_from(received).map_err(|_| last_errno())?;
    Ok(Received {
        // With MSG_TRUNC among the flags the kernel gives the length before the cut.
        len: len.min(buf.len()),
        from: name
            .get(..header.msg_namelen as usize)
            .and_then(decode_address),
        control_len: (header.msg_controllen as usize).min(control.len()),
        flags: ReturnFlags::from_bits_retain(header.msg_flags as u32),
    })
}

/// A message header that names nothing. (libc's type has padding on some targets, so it can't be
/// written out field by field.)
fn empty_header() -> libc::msghdr {
    // SAFETY: `msghdr` is a C struct of integers and raw pointers, for which all zeroes (0 and
    // null) are valid values.
    unsafe { MaybeUninit::zeroed().assume_init() }
}

fn succeeded(status: c_int) -> Result<(), Errno> {
    if status == 0 {
        Ok(())
    } else {
        Err(last_errno())
    }
}

fn last_errno() -> Errno {
    Errno::from_io_error(&io::Error::last_os_error()).unwrap_or(Errno::IO)
}

/// The octets of the longest address here: a `sockaddr_in6`.
const ADDRESS_LEN: usize = size_of::<libc::sockaddr_in6>();
const _: () = assert!(size_of::<libc::sockaddr_in>() == 16 && ADDRESS_LEN == 28);

/// Writes a `sockaddr_in` or `sockaddr_in6`: family in this machine's order, port and address in
/// the network's, flow information zero (so that the kernel's own flow label stays), scope id in
/// this machine's order.
fn encode_address(address: SocketAddr) -> ([u8; ADDRESS_LEN], usize) {
    let mut octets = [0; ADDRESS_LEN];
    octets[2..4].copy_from_slice(&address.port().to_be_bytes());
    let (family, len) = match address {
        SocketAddr::V4(address) => {
            octets[4..8].copy_from_slice(&address.ip().octets());
            (libc::AF_INET, size_of::<libc::sockaddr_in>())
        }
        SocketAddr::V6(address) => {
            octets[8..24].copy_from_slice(&address.ip().octets());
            octets[24..28].copy_from_slice(&address.scope_id().to_ne_bytes());
            (libc::AF_INET6, ADDRESS_LEN)
        }
    };
    octets[..2].copy_from_slice(&(family as libc::sa_family_t).to_ne_bytes());
    (octets, len)
}

/// Reads a `sockaddr_in` or `sockaddr_in6`, whatever follows it.
pub(crate) fn decode_address(octets: &[u8]) -> Option<SocketAddr> {
    let port = u16::from_be_bytes(array(octets, 2)?);
    match c_int::from(libc::sa_family_t::from_ne_bytes(array(octets, 0)?)) {
        libc::AF_INET => Some((IpAddr::from(array::<4>(octets, 4)?), port).into()),
        libc::AF_INET6 => {
            let scope_id = u32::from_ne_bytes(array(octets, 24)?);
            Some(SocketAddrV6::new(array::<16>(octets, 8)?.into(), port, 0, scope_id).into())
        }
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_layout_is_the_one_of_the_c_macros() {
        for data_len in 0..40 {
            // SAFETY: it only computes with the number that it is given.
            let len = unsafe { libc::CMSG_LEN(data_len) };
            // SAFETY: as above.
            let space = unsafe { libc::CMSG_SPACE(data_len) };
            let mut octets = [0; 100];
            let taken = put_cmsg(&mut octets, Name::IP_TTL, &vec![1; data_len as usize]).unwrap();
            assert_eq!(
                (taken, cmsg_space(data_len as usize)),
                (space as usize, space as usize)
            );
            assert_eq!(
                usize::from_ne_bytes(array(&octets, 0).unwrap()),
                len as usize
            );
        }
    }

    #[test]
    fn addresses_come_back_as_they_were_written_or_not_at_all() {
        let v4 = "192.0.2.1:7".parse().unwrap();
        let v6 = SocketAddrV6::new("fe80::1".parse().unwrap(), 9, 0, 3).into();
        for address in [v4, v6] {
            let (octets, len) = encode_address(address);
            assert_eq!(decode_address(&octets[..len]), Some(address));
            let needed = if address.is_ipv4() { 8 } else { 28 };
            assert!((0..needed).all(|cut| decode_address(&octets[..cut]).is_none()));
        }
        assert_eq!(decode_address(&[0; ADDRESS_LEN]), None);
    }
}
