//! The name of a probe, and how well an answer proves that it belongs to it.

/// The name of a probe: the hop that it was sent to, and the attempt there.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
#[cfg_attr(feature = "defmt", derive(defmt::Format))]
pub struct ProbeId {
    /// The hop, from 1: the hop limit that the probe left with.
    pub hop: u8,
    /// The attempt at this hop, from 1.
    pub attempt: u8,
}

/// The strength of the proof that an answer is one.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
#[cfg_attr(feature = "defmt", derive(defmt::Format))]
pub enum Evidence {
    /// The quoted destination, checksum or ident isn't what was sent (a NAT on the path, or a
    /// forgery), a reply came from another address than the target's, or an error is
    /// [unproven](Changes::UNPROVEN).
    Weak = 1,
    /// Everything that counts came back as it was sent, and a reply came from the target.
    Strong = 2,
}

impl Evidence {
    /// Returns its name in documents.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Weak => "weak",
            Self::Strong => "strong",
        }
    }
}

/// All that came back otherwise than it was sent.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
#[cfg_attr(feature = "defmt", derive(defmt::Format))]
pub struct Changes(u8);

impl Changes {
    /// The quoted destination address: translated on the way to the target.
    pub const DESTINATION: Self = Self(1);
    /// The quoted source address: translated on the way out, and not translated back in the quote.
    pub const SOURCE: Self = Self(2);
    /// The quoted checksum of ICMP or UDP.
    pub const CHECKSUM: Self = Self(4);
    /// The quoted sequence number of TCP, which some firewalls rewrite. The value is that of
    /// [`CHECKSUM`](Self::CHECKSUM): the quoted checksum of TCP isn't compared.
    pub const SEQ: Self = Self::CHECKSUM;
    /// The quoted ident; in TCP and UDP the quoted source port.
    pub const IDENT: Self = Self(8);
    /// The quoted traffic class (TOS): remarked on the way.
    pub const TRAFFIC_CLASS: Self = Self(16);
    /// The sender of a reply, which isn't the target.
    pub const SENDER: Self = Self(32);
    /// The proof of an error, which is missing: it quotes neither the cookie nor a secret checksum
    /// with the right destination. Such an error stands at its hop, as a weak one, and decides
    /// nothing.
    pub const UNPROVEN: Self = Self(64);
    /// The quoted destination port of TCP or UDP: translated on the way to the target.
    pub const PORT: Self = Self(128);

    /// Whether all of `other` are among these.
    #[must_use]
    pub const fn contains(self, other: Self) -> bool {
        self.0 & other.0 == other.0
    }

    /// Whether everything came back as it was sent.
    #[must_use]
    pub const fn is_empty(self) -> bool {
        self.0 == 0
    }

    /// Returns the names of all that changed, as documents have them.
    pub fn names(self) -> impl Iterator<Item = &'static str> {
        let all = [
            (Self::SOURCE, "source"),
            (Self::DESTINATION, "destination"),
            (Self::CHECKSUM, "checksum"),
            (Self::IDENT, "ident"),
            (Self::TRAFFIC_CLASS, "tos"),
            (Self::SENDER, "sender"),
            (Self::UNPROVEN, "unproven"),
            (Self::PORT, "destination_port"),
        ];
        all.into_iter()
            .filter(move |(change, _)| self.contains(*change))
            .map(|(_, name)| name)
    }

    /// The strength that is left to an answer: many networks rewrite the source and the traffic
    /// class, and neither helps a forger.
    #[must_use]
    pub const fn evidence(self) -> Evidence {
        let harmless = Self::SOURCE.0 | Self::TRAFFIC_CLASS.0;
        if self.0 & !harmless == 0 {
            Evidence::Strong
        } else {
            Evidence::Weak
        }
    }

    /// The greater decides between two answers to one probe. Of weak ones a proven one is better:
    /// it is a translator's, not a forger's.
    pub(crate) const fn rank(self) -> (bool, Evidence) {
        (!self.contains(Self::UNPROVEN), self.evidence())
    }

    pub(crate) const fn note(&mut self, change: Self, changed: bool) {
        if changed {
            self.0 |= change.0;
        }
    }
}
