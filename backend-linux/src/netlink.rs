//! Questions to the kernel about its network, and its answers: rtnetlink(7).
//!
//! Everything that is asked here is a nicety: where the kernel refuses a question nothing is known.

use rustix::io::Errno;
use rustix::net::{AddressFamily, RecvFlags, SendFlags, SocketFlags, SocketType};
use std::os::fd::{AsFd, BorrowedFd, OwnedFd};

// linux/netlink.h
const NLM_F_REQUEST: u16 = 1;
/// The length of `nlmsghdr`.
const HEADER: usize = 16;

/// A socket for questions. Whoever gets hold of it can change nothing: the kernel asks for the
/// privileges of the process too.
#[derive(Debug)]
pub(crate) struct Netlink(OwnedFd);

impl Netlink {
    pub(crate) fn open() -> Result<Self, Errno> {
        let flags = SocketFlags::CLOEXEC | SocketFlags::NONBLOCK;
        rustix::net::socket_with(AddressFamily::NETLINK, SocketType::RAW, flags, None).map(Self)
    }

    /// Asks, and returns the answer if it is of this type. The kernel answers before the call
    /// returns.
    pub(crate) fn ask<const BODY: usize>(
        &self,
        question: Question<BODY>,
        answer: u16,
    ) -> Option<Answer<BODY>> {
        let mut octets = vec![0; 4096];
        // What an earlier question left would be taken for the answer.
        while rustix::net::recv(&self.0, octets.as_mut_slice(), RecvFlags::DONTWAIT).is_ok() {}
        rustix::net::send(&self.0, &question.finish(), SendFlags::empty()).ok()?;
        // What a long answer has behind its beginning is cut off.
        let (len, _) =
            rustix::net::recv(&self.0, octets.as_mut_slice(), RecvFlags::DONTWAIT).ok()?;
        octets.truncate(len);
        let kind = u16::from_ne_bytes(*octets.get(4..)?.first_chunk()?);
        (kind == answer && octets.len() >= HEADER + BODY).then_some(Answer(octets))
    }
}

impl AsFd for Netlink {
    fn as_fd(&self) -> BorrowedFd<'_> {
        self.0.as_fd()
    }
}

/// A question: a body of fixed length, such as `rtmsg`, and attributes behind it.
pub(crate) struct Question<const BODY: usize>(Vec<u8>);

impl<const BODY: usize> Question<BODY> {
    pub(crate) fn new(kind: u16, body: [u8; BODY]) -> Self {
        let mut octets = vec![0; HEADER];
        octets[4..6].copy_from_slice(&kind.to_ne_bytes());
        octets[6..8].copy_from_slice(&NLM_F_REQUEST.to_ne_bytes());
        octets.extend(body);
        Self(octets)
    }

    pub(crate) fn add(&mut self, name: u16, value: &[u8]) {
        let len = u16::try_from(4 + value.len()).unwrap_or(u16::MAX);
        self.0.extend(len.to_ne_bytes());
        self.0.extend(name.to_ne_bytes());
        self.0.extend(value);
        self.0.resize(self.0.len().next_multiple_of(4), 0);
    }

    fn finish(mut self) -> Vec<u8> {
        let len = u32::try_from(self.0.len()).unwrap_or(u32::MAX);
        self.0[..4].copy_from_slice(&len.to_ne_bytes());
        self.0
    }
}

/// An answer with such a body.
pub(crate) struct Answer<const BODY: usize>(Vec<u8>);

impl<const BODY: usize> Answer<BODY> {
    /// Some octets of the body, if it is so long.
    pub(crate) fn body<const N: usize>(&self, at: usize) -> Option<[u8; N]> {
        self.0
            .get(HEADER..HEADER + BODY)?
            .get(at..)?
            .first_chunk()
            .copied()
    }

    /// The value of an attribute.
    pub(crate) fn attribute(&self, name: u16) -> Option<&[u8]> {
        attribute(self.0.get(HEADER + BODY..)?, name)
    }
}

/// The value of an attribute among others.
pub(crate) fn attribute(mut rest: &[u8], name: u16) -> Option<&[u8]> {
    loop {
        let len = usize::from(u16::from_ne_bytes(*rest.first_chunk()?));
        let found = u16::from_ne_bytes(*rest.get(2..)?.first_chunk()?);
        let value = rest.get(4..len)?;
        if found == name {
            return Some(value);
        }
        rest = rest.get(len.next_multiple_of(4)..)?;
    }
}
