//! A queue of a socket: what has arrived, or its error queue; each packet with the kernel's stamp
//! brought to the monotonic clock, and with what else the kernel says about it.

use crate::clock::{Reading, WallTime};
use crate::sys::{self, Cmsgs, Name};
use hopshot_core::Instant;
use hopshot_engine::Clock;
use rustix::io::{Errno, retry_on_intr};
use rustix::net::{RecvFlags, ReturnFlags};
use std::net::SocketAddr;
use std::os::fd::BorrowedFd;

/// One of the two queues of a socket.
#[derive(Debug)]
pub(super) struct Queue {
    flags: RecvFlags,
    /// When it was last seen empty.
    last_empty: Reading,
}

/// What was read from a queue, beside the octets.
#[derive(Clone, Copy, Debug)]
pub(super) struct Packet {
    /// The octets that are in the buffer.
    pub(super) len: usize,
    /// Whether there were more.
    pub(super) cut: bool,
    /// Who sent it; in an error queue, to whom the packet in question went.
    pub(super) peer: Option<SocketAddr>,
    /// The hop limit that it arrived with.
    pub(super) hop_limit: Option<u8>,
    /// When it was stamped, and with which clock.
    pub(super) at: Instant,
    pub(super) clock: Clock,
    /// In an error queue: why it is there.
    pub(super) report: Option<Report>,
}

/// Why a packet is in an error queue.
#[doc(alias = "sock_extended_err")]
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Report {
    pub(super) origin: Origin,
    /// The ICMP type and code.
    pub(super) icmp_type: u8,
    pub(super) icmp_code: u8,
    /// The MTU, in an error that has one.
    pub(super) info: u32,
    /// Of an ICMP error: where in the packet its extensions begin (RFC 4884), 0 if that wasn't
    /// said. Of a transmit timestamp: its number.
    pub(super) data: u32,
    /// Who made the error.
    pub(super) offender: Option<SocketAddr>,
    /// The destination that the error quotes.
    pub(super) destination: Option<SocketAddr>,
}

/// Who says so.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Origin {
    /// An ICMP or ICMPv6 error came in.
    Icmp,
    /// The packet went out, and this is when.
    Departure,
    /// Something else, such as this machine's own refusal to send.
    Other,
}

impl Report {
    /// Reads a `sock_extended_err`: errno, origin, type, code, padding, info, data; then the
    /// offender's address. The destination isn't in it, but beside it.
    fn parse(data: &[u8], destination: Option<SocketAddr>) -> Option<Self> {
        let (fixed, offender) = data.split_first_chunk::<16>()?;
        let [_, _, _, _, origin, icmp_type, icmp_code, _, words @ ..] = *fixed;
        let [info, data] =
            [0, 4].map(|at| [words[at], words[at + 1], words[at + 2], words[at + 3]]);
        Some(Self {
            // linux/errqueue.h: SO_EE_ORIGIN_ICMP, SO_EE_ORIGIN_ICMP6, SO_EE_ORIGIN_TIMESTAMPING.
            origin: match origin {
                2 | 3 => Origin::Icmp,
                4 => Origin::Departure,
                _ => Origin::Other,
            },
            icmp_type,
            icmp_code,
            info: u32::from_ne_bytes(info),
            data: u32::from_ne_bytes(data),
            offender: sys::decode_address(offender),
            destination,
        })
    }
}

/// What the control messages say that come with a packet.
#[derive(Debug, Default)]
pub(super) struct Said {
    pub(super) stamp: Option<WallTime>,
    pub(super) hop_limit: Option<u8>,
    pub(super) report: Option<Report>,
}

impl Said {
    pub(super) fn parse(control: &[u8], peer: Option<SocketAddr>) -> Self {
        let mut said = Self::default();
        for (name, data) in Cmsgs::new(control) {
            match name {
                Name::SO_TIMESTAMPNS => said.stamp = WallTime::parse(data),
                Name::SO_TIMESTAMPING => said.stamp = WallTime::parse_first(data),
                Name::IP_TTL | Name::IPV6_HOPLIMIT => said.hop_limit = parse_hop_limit(data),
                Name::IP_RECVERR | Name::IPV6_RECVERR => said.report = Report::parse(data, peer),
                _ => {}
            }
        }
        said
    }
}

impl Queue {
    /// What has arrived.
    pub(super) fn of_arrivals() -> Self {
        Self {
            flags: RecvFlags::empty(),
            last_empty: Reading::take(),
        }
    }

    /// What was reported.
    #[doc(alias = "MSG_ERRQUEUE")]
    pub(super) fn of_reports() -> Self {
        Self {
            flags: RecvFlags::ERRQUEUE,
            last_empty: Reading::take(),
        }
    }

    /// Reads the next packet into `buf`; `None` when there are no more for now.
    ///
    /// # Errors
    /// Whatever recvmsg(2) says, but EAGAIN and EINTR: in a queue of arrivals also an error that
    /// waited to be told.
    pub(super) fn read(
        &mut self,
        fd: BorrowedFd<'_>,
        buf: &mut [u8],
    ) -> Result<Option<Packet>, Errno> {
        /// Room for three stamps, a hop limit and a report with an IPv6 address, and as much again.
        const CONTROL_LEN: usize =
            2 * (sys::cmsg_space(48) + sys::cmsg_space(4) + sys::cmsg_space(16 + 28));
        let mut control = [0; CONTROL_LEN];
        let asked = Reading::take();
        let received = match retry_on_intr(|| sys::recvmsg(fd, buf, &mut control, self.flags)) {
            Err(Errno::AGAIN) => {
                self.last_empty = asked;
                return Ok(None);
            }
            received => received?,
        };
        let reading = Reading::take();
        let Said {
            stamp,
            hop_limit,
            report,
        } = Said::parse(&control[..received.control_len], received.from);
        let (at, clock) = reading.carry(stamp, &self.last_empty, &asked);
        let cut = received.flags.contains(ReturnFlags::TRUNC);
        Ok(Some(Packet {
            len: received.len,
            cut,
            peer: received.from,
            hop_limit,
            at,
            clock,
            report,
        }))
    }
}

fn parse_hop_limit(data: &[u8]) -> Option<u8> {
    data.try_into()
        .ok()
        .and_then(|data| u8::try_from(i32::from_ne_bytes(data)).ok())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_report_is_read_as_the_kernel_writes_it_or_not_at_all() {
        let mut data = [0; 32];
        data[4..7].copy_from_slice(&[2, 11, 1]);
        data[8..12].copy_from_slice(&1400_u32.to_ne_bytes());
        data[12..16].copy_from_slice(&108_u32.to_ne_bytes());
        data[16..18].copy_from_slice(&2_u16.to_ne_bytes());
        data[20..24].copy_from_slice(&[192, 0, 2, 1]);
        let report = Report::parse(&data, None).unwrap();
        assert_eq!(
            (report.origin, report.icmp_type, report.icmp_code),
            (Origin::Icmp, 11, 1)
        );
        assert_eq!((report.info, report.data), (1400, 108));
        assert_eq!(report.offender, Some(([192, 0, 2, 1], 0).into()));
        for (origin, read) in [
            (1, Origin::Other),
            (3, Origin::Icmp),
            (4, Origin::Departure),
        ] {
            data[4] = origin;
            assert_eq!(Report::parse(&data, None).unwrap().origin, read);
        }
        assert_eq!(Report::parse(&data[..20], None).unwrap().offender, None);
        assert!((0..16).all(|cut| Report::parse(&data[..cut], None).is_none()));
    }

    #[test]
    fn a_hop_limit_is_an_int_from_0_to_255() {
        assert_eq!(parse_hop_limit(&64_i32.to_ne_bytes()), Some(64));
        assert_eq!(parse_hop_limit(&256_i32.to_ne_bytes()), None);
        assert_eq!(parse_hop_limit(&[64]), None);
    }
}
