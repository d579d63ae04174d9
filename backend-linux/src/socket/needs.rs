//! The options of sockets: the few that are necessary, and those that are done without where the
//! kernel refuses them.
//!
//! Kernels differ: an emulated one, one of a container's sandbox, or an old one knows fewer
//! options. Every option that is set here belongs to a [`Necessity`] or a [`Nicety`], but for two.
//! `SO_LOCK_FILTER` is part of the sandbox, whose [shortfalls](crate::privilege::Shortfall) are
//! told as well. Without `SO_BROADCAST` a broadcast address is taken for a prohibited one. (The hop
//! limit is no option: it goes with each probe.)

use hopshot_core::wire::AddressFamily;
use rustix::io::Errno;
use std::fmt;
use std::io;

/// An option without which there is no trace, or not the one that was asked for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Necessity {
    /// The error queue of a socket that takes no privilege: it hears of routers by nothing else.
    Errors,
    /// Packets that nobody fragments, for a search for the path MTU.
    Unfragmented,
    /// The same where that was asked for.
    Whole,
    /// The MTU of a route, for the same.
    Mtu,
    /// The interface that was asked for.
    Interface,
    /// The mark that was asked for.
    Mark,
    /// The traffic class that was asked for.
    TrafficClass,
}

impl Necessity {
    /// Returns what the kernel calls the option.
    pub(crate) const fn option(self, family: AddressFamily) -> &'static str {
        match (self, family) {
            (Self::Errors, AddressFamily::V4) => "IP_RECVERR",
            (Self::Errors, AddressFamily::V6) => "IPV6_RECVERR",
            (Self::Unfragmented | Self::Whole, AddressFamily::V4) => "IP_MTU_DISCOVER",
            (Self::Unfragmented | Self::Whole, AddressFamily::V6) => "IPV6_MTU_DISCOVER",
            (Self::Mtu, AddressFamily::V4) => "IP_MTU",
            (Self::Mtu, AddressFamily::V6) => "IPV6_MTU",
            (Self::Interface, _) => "SO_BINDTODEVICE",
            (Self::Mark, _) => "SO_MARK",
            (Self::TrafficClass, AddressFamily::V4) => "IP_TOS",
            (Self::TrafficClass, AddressFamily::V6) => "IPV6_TCLASS",
        }
    }

    /// Returns what to do without it.
    pub(crate) const fn remedy(self) -> &'static str {
        match self {
            Self::Errors => {
                "no router is heard without it: use raw sockets, which need CAP_NET_RAW"
            }
            Self::Unfragmented | Self::Mtu => {
                "no path MTU can be found without it: permit it, or trace without asking for the MTU"
            }
            Self::Whole => "permit it, or let probes be fragmented",
            Self::Interface => "permit it, or leave the interface to the routing table",
            Self::Mark => "permit it, or leave the mark out",
            Self::TrafficClass => "permit it, or leave the traffic class out",
        }
    }
}

/// A socket option that improves a trace, and isn't necessary.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum Nicety {
    /// Raw sockets, where the kind of socket is left open.
    RawSockets,
    /// The kernel's stamps on answers.
    ArrivalStamps,
    /// The kernel's stamps on probes, which [`Settings::precise`](crate::Settings::precise)
    /// asks for.
    DepartureStamps,
    /// The hop limits of answers.
    HopLimits,
    /// The place where the extensions of an error begin.
    Extensions,
    /// Errors of sending on raw sockets, such as of a full queue.
    SendErrors,
    /// Probes that aren't fragmented, or that are, as was asked for.
    Fragmentation,
    /// A receive buffer of a certain size.
    Buffer,
    /// A send buffer of a certain size.
    SendBuffer,
    /// The kernel's filter by type of message.
    TypeFilter,
    /// The kernel's filter by whose answer it is.
    PacketFilter,
    /// An ident on ping sockets that no other user can take.
    OwnIdent,
    /// A source port of TCP or UDP that no other program of this machine uses.
    OwnPort,
    /// The kernel's knowledge of the next hop: whether it answers on its link.
    Neighbours,
    /// ICMP Echo beside TCP or UDP.
    Checks,
    /// UDP sockets for probes from other source ports.
    Spares,
}

impl Nicety {
    /// Returns what the kernel calls it.
    const fn option(self, family: AddressFamily) -> &'static str {
        match (self, family) {
            (Self::RawSockets, _) => "raw sockets",
            (Self::ArrivalStamps, _) => "SO_TIMESTAMPNS",
            (Self::DepartureStamps, _) => "SO_TIMESTAMPING",
            (Self::HopLimits, AddressFamily::V4) => "IP_RECVTTL",
            (Self::HopLimits, AddressFamily::V6) => "IPV6_RECVHOPLIMIT",
            (Self::Extensions, AddressFamily::V4) => "IP_RECVERR_RFC4884",
            (Self::Extensions, AddressFamily::V6) => "IPV6_RECVERR_RFC4884",
            (Self::SendErrors, AddressFamily::V4) => "IP_RECVERR",
            (Self::SendErrors, AddressFamily::V6) => "IPV6_RECVERR",
            (Self::Fragmentation, AddressFamily::V4) => "IP_MTU_DISCOVER",
            (Self::Fragmentation, AddressFamily::V6) => "IPV6_MTU_DISCOVER",
            (Self::Buffer, _) => "SO_RCVBUF",
            (Self::SendBuffer, _) => "SO_SNDBUF",
            (Self::TypeFilter, AddressFamily::V4) => "ICMP_FILTER",
            (Self::TypeFilter, AddressFamily::V6) => "ICMPV6_FILTER",
            (Self::PacketFilter, _) => "SO_ATTACH_FILTER",
            (Self::OwnIdent, _) => "SO_REUSEADDR",
            (Self::OwnPort, _) => "a source port of its own",
            (Self::Neighbours, _) => "rtnetlink",
            (Self::Checks, _) => "ICMP Echo",
            (Self::Spares, _) => "UDP sockets of other ports",
        }
    }

    /// Returns what is different without it.
    const fn loss(self) -> &'static str {
        match self {
            Self::RawSockets => "others, which hear less, take their place",
            Self::ArrivalStamps => "RTTs end when this program reads the answer",
            Self::DepartureStamps => "RTTs begin when this program sends the probe",
            Self::HopLimits => "the hop limits of answers aren't known",
            Self::Extensions => {
                "MPLS labels and interfaces are found only where they usually stand"
            }
            Self::SendErrors => "probes that a full queue drops are taken for lost",
            Self::Fragmentation => "the kernel decides whether probes are fragmented",
            Self::Buffer => "a burst of answers may be too much for the receive buffer",
            Self::SendBuffer => "hosts of the own link that don't answer may hold others up",
            Self::TypeFilter | Self::PacketFilter => {
                "this program passes over what the kernel would keep away"
            }
            Self::OwnIdent => "other users of this machine can take the answers",
            Self::OwnPort => "another program may get the answers, and answer them",
            Self::Neighbours => {
                "a next hop that doesn't answer on its link may be taken for a silent one"
            }
            Self::Checks => "a proxy that answers in the target's name may be taken for it",
            Self::Spares => "routers that quote little of a probe look silent",
        }
    }
}

/// A [`Nicety`] that the kernel has refused, and that is done without. `Display` says what is
/// different.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct Lack {
    family: AddressFamily,
    nicety: Nicety,
    errno: Errno,
}

impl Lack {
    /// Returns the family whose sockets lack it.
    #[must_use]
    pub const fn family(&self) -> AddressFamily {
        self.family
    }

    /// Returns what they lack.
    #[must_use]
    pub const fn nicety(&self) -> Nicety {
        self.nicety
    }

    /// Returns what the kernel said.
    #[must_use]
    pub fn reason(&self) -> io::Error {
        self.errno.into()
    }
}

impl fmt::Display for Lack {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let family = crate::words::family_name(self.family);
        let reason = crate::words::without_number(&self.reason());
        write!(
            f,
            "{family} without {} ({reason}): {}",
            self.nicety.option(self.family),
            self.nicety.loss()
        )
    }
}

/// All that the sockets of a family do without.
#[derive(Debug)]
pub(crate) struct Lacks {
    family: AddressFamily,
    lacks: Vec<Lack>,
}

impl Lacks {
    pub(crate) const fn of(family: AddressFamily) -> Self {
        Self {
            family,
            lacks: Vec::new(),
        }
    }

    /// Records a refusal, once for each nicety.
    pub(super) fn note(&mut self, nicety: Nicety, done: Result<(), Errno>) {
        if let Err(errno) = done
            && self.lacks.iter().all(|lack| lack.nicety != nicety)
        {
            self.lacks.push(Lack {
                family: self.family,
                nicety,
                errno,
            });
        }
    }

    pub(super) fn list(&self) -> &[Lack] {
        &self.lacks
    }
}
