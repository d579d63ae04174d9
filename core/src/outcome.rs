//! The end of a probe, as the route shows it: answered, lost or failed.

use crate::answer::Kind;
use crate::probe::{Changes, Evidence, ProbeId};
use core::net::IpAddr;
use core::time::Duration;

/// The reason why a probe could not be sent: a number of the caller's own, an `errno` on Linux.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
#[cfg_attr(feature = "defmt", derive(defmt::Format))]
pub struct SendError(pub u16);

/// The reason why a probe failed on this machine, or on its way out of it.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
#[cfg_attr(feature = "defmt", derive(defmt::Format))]
#[non_exhaustive]
pub enum Failure {
    /// The probe could not be sent: [`Tracer::fail`](crate::Tracer::fail) was called.
    Send(SendError),
    /// The next hop doesn't answer on its link (ARP, Neighbor Discovery), as the caller knows:
    /// [`Tracer::abandon`](crate::Tracer::abandon) was called with this.
    NextHop,
    /// This machine reported it unreachable to itself, in an ICMP error from its own address:
    /// nobody answers on the link, or a local firewall rejects it. That is no hop.
    Local {
        /// The ICMP type.
        icmp_type: u8,
        /// The ICMP code.
        icmp_code: u8,
    },
}

impl Failure {
    /// Whether the next hop is known to be missing, or a host is unreachable as this machine says
    /// itself (RFC 792: type 3, code 1; RFC 4443, section 3.1: type 1, code 3). The latter a
    /// firewall may say too.
    #[must_use]
    pub const fn is_host_unreachable(&self) -> bool {
        matches!(
            self,
            Self::NextHop
                | Self::Local {
                    icmp_type: 3,
                    icmp_code: 1
                }
                | Self::Local {
                    icmp_type: 1,
                    icmp_code: 3
                }
        )
    }
}

/// An accepted answer.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[cfg_attr(feature = "defmt", derive(defmt::Format))]
#[non_exhaustive]
pub struct Reply {
    /// The probe that it answers.
    pub probe: ProbeId,
    /// The address that answered.
    pub from: IpAddr,
    /// The time from sending to receiving, at most 18 minutes.
    pub rtt: Duration,
    /// The meaning of the answer.
    pub kind: Kind,
    /// The ICMP type, as the answer's family numbers it.
    pub icmp_type: u8,
    /// The ICMP code.
    pub icmp_code: u8,
    /// The MTU that a Fragmentation Needed or Packet Too Big names, in octets. `None` also where
    /// the probe would have fitted: then it was not too big.
    pub mtu: Option<u16>,
    /// The hop limit (TTL) that the answer arrived with, if known.
    pub hop_limit: Option<u8>,
    /// The hop limit (TTL) that the probe had left when the error was made: normally 1.
    pub quoted_hop_limit: Option<u8>,
    /// The traffic class (TOS) that the probe had when the error was made.
    pub quoted_traffic_class: Option<u8>,
    /// All that came back otherwise than it was sent.
    pub changes: Changes,
}

impl Reply {
    /// The strength of its proof.
    #[must_use]
    pub const fn evidence(&self) -> Evidence {
        self.changes.evidence()
    }

    /// Whether anything proves that it answers the probe: see [`Changes::UNPROVEN`]. If not it
    /// decides nothing.
    #[must_use]
    pub const fn is_proven(&self) -> bool {
        !self.changes.contains(Changes::UNPROVEN)
    }

    /// An estimate of the hops on the way back: what is missing from the next of the hop limits
    /// that systems start with (64, 128, 255), plus one. Routers that count otherwise, and tunnels,
    /// make it wrong.
    #[must_use]
    pub fn hops_back(&self) -> Option<u8> {
        let left = self.hop_limit?;
        let start = [64, 128, u8::MAX]
            .into_iter()
            .find(|start| *start >= left)?;
        start.checked_sub(left)?.checked_add(1)
    }
}

/// The end of a probe, so far.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[cfg_attr(feature = "defmt", derive(defmt::Format))]
pub enum Outcome {
    /// No answer yet.
    InFlight,
    /// No answer within the time that was worth waiting.
    Lost,
    /// The probe did not get out of this machine.
    Failed(Failure),
    /// An answer.
    Answered(Reply),
}

impl Outcome {
    /// Returns its name in documents.
    #[must_use]
    pub const fn as_str(&self) -> &'static str {
        match self {
            Self::InFlight => "in_flight",
            Self::Lost => "lost",
            Self::Failed(_) => "failed",
            Self::Answered(_) => "answered",
        }
    }

    /// The answer, if there is one.
    #[must_use]
    pub const fn reply(&self) -> Option<&Reply> {
        match self {
            Self::Answered(reply) => Some(reply),
            Self::InFlight | Self::Lost | Self::Failed(_) => None,
        }
    }
}
