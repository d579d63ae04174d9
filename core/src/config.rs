//! The target of a trace, and its limits.

use crate::answer::Kind;
use crate::wire::{AddressFamily, Ends, is_same_address};
use core::fmt;
use core::net::IpAddr;
use core::time::Duration;

/// The farthest hop that a trace may ask for.
pub const MAX_HOPS: u8 = 64;
/// The most attempts at one hop, retries not counted.
pub const MAX_ATTEMPTS: u8 = 10;
/// The most retries at a hop that stays silent.
pub const MAX_RETRIES: u8 = 10;
/// The greatest [`Config::patience`].
pub const MAX_PATIENCE: u8 = 10;
/// The reach of the first sweep, before answers have shown how long the path is.
///
/// A probe sent to a hop behind the target is wasted; a probe not sent yet to a hop before it costs
/// time. `FIGURES.md` beside this crate has the figures.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[cfg_attr(feature = "defmt", derive(defmt::Format))]
pub enum Sweep {
    /// Every attempt at every hop, at once and whatever comes back. Retries go only to silent hops
    /// right before the target, where it may hide.
    Burst,
    /// `first` hops at once, then `step` more each time an answer has come from the farthest hop
    /// probed so far, or is overdue where routers may be silent; all the others when nothing more
    /// is expected. With `first` set to a distance known from an earlier trace hardly a probe is
    /// wasted; with 1 and 1 it is the classic hop by hop.
    Window {
        /// Hops at once; 1 or more.
        first: u8,
        /// Hops that each step adds; 1 or more.
        step: u8,
    },
}

impl Sweep {
    /// The best where one probe at each hop is enough: 20 hops, then 5 more.
    pub const ONE_ATTEMPT: Self = Self::Window { first: 20, step: 5 };
    /// The best with several attempts: 16 hops, then 8 more. The later attempts take a second round
    /// trip anyway, so the first sweep may hold back a little more.
    pub const SEVERAL_ATTEMPTS: Self = Self::Window { first: 16, step: 8 };
}

/// The parameters of one trace. [`Config::new`] gives defaults for everything but the target;
/// [`Tracer::new`](crate::Tracer::new) checks the ranges. The identity of the probes is the
/// protocol's.
///
/// ```
/// use hopshot_core::Config;
///
/// let config = Config { max_hops: 8, attempts: 3, ..Config::new([192, 0, 2, 1].into()) };
/// assert!(config.check().is_ok());
/// ```
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[cfg_attr(feature = "defmt", derive(defmt::Format))]
pub struct Config {
    /// The address to trace.
    pub target: IpAddr,
    /// The address that probes leave from, or the unspecified one of the target's family. Where no
    /// kernel fills in the ICMPv6 checksum it must be given; it also lets the checksum of ICMPv6
    /// answers be verified. In both families, errors from it are this machine's own word
    /// ([`Failure::Local`](crate::Failure::Local)), and the quoted source is compared with it.
    pub source: IpAddr,
    /// The traffic class (TOS in IPv4) that probes are sent with, which only the caller can do: to
    /// tell whether it was changed on the way. 0 by default.
    pub traffic_class: u8,
    /// The nearest hop to probe, 1 to `max_hops`; 1 by default.
    pub first_hop: u8,
    /// The farthest hop to probe, 1 to [`MAX_HOPS`]; 32 by default.
    pub max_hops: u8,
    /// Answers to ask for at each hop of the path, 1 to [`MAX_ATTEMPTS`]; 1 by default. Where
    /// nothing says that the path leads, a hop gets one probe, and the first two behind the last
    /// router two.
    pub attempts: u8,
    /// Further probes to a hop that has not answered at all although one behind it has, 0 to
    /// [`MAX_RETRIES`]; 2 by default. A silent hop right below the target gets two more, since it
    /// may turn out to be the target.
    pub retries: u8,
    /// The longest to wait for an answer; 2 s by default. Most traces end long before.
    pub timeout: Duration,
    /// Multiplies the waits that follow from what was heard, 1 to [`MAX_PATIENCE`]; 1 by default.
    /// With more, routers that are later than most are heard, and silent ones take as much longer;
    /// `timeout` bounds every wait all the same.
    pub patience: u8,
    /// The least time between two probes: zero, the default, sends each sweep back to back.
    pub interval: Duration,
    /// The reach of the first sweep. `None`, the default, stands for [`Sweep::ONE_ATTEMPT`] or
    /// [`Sweep::SEVERAL_ATTEMPTS`].
    pub sweep: Option<Sweep>,
}

impl Config {
    /// The parameters of no trace: all zeros, and so is `Burst`, which `None` is not.
    pub(crate) const IDLE: Self = Self {
        first_hop: 0,
        max_hops: 0,
        retries: 0,
        attempts: 0,
        timeout: Duration::ZERO,
        patience: 0,
        sweep: Some(Sweep::Burst),
        ..Self::new(AddressFamily::V4.unspecified())
    };

    /// The default parameters for a trace of `target`.
    #[must_use]
    pub const fn new(target: IpAddr) -> Self {
        Self {
            target,
            source: AddressFamily::of(target).unspecified(),
            traffic_class: 0,
            first_hop: 1,
            max_hops: 32,
            attempts: 1,
            retries: 2,
            timeout: Duration::from_secs(2),
            patience: 1,
            interval: Duration::ZERO,
            sweep: None,
        }
    }

    /// Checks every range.
    ///
    /// # Errors
    /// The first [`ConfigError`] found.
    // In its caller it takes more room.
    #[inline(never)]
    pub fn check(&self) -> Result<(), ConfigError> {
        check_range("max_hops", self.max_hops.into(), 1, MAX_HOPS.into())?;
        check_range("first_hop", self.first_hop.into(), 1, self.max_hops.into())?;
        check_range("attempts", self.attempts.into(), 1, MAX_ATTEMPTS.into())?;
        check_range("retries", self.retries.into(), 0, MAX_RETRIES.into())?;
        check_range("patience", self.patience.into(), 1, MAX_PATIENCE.into())?;
        if let Some(Sweep::Window { first: 0, .. } | Sweep::Window { step: 0, .. }) = self.sweep {
            return Err(ConfigError::EmptySweep);
        }
        if self.timeout.is_zero() {
            return Err(ConfigError::NoTime);
        }
        if AddressFamily::of(self.source) != AddressFamily::of(self.target) {
            return Err(ConfigError::MixedFamilies);
        }
        Ok(())
    }

    /// Whether an answer is this machine's own word, in the name of the source: not about itself,
    /// but that a probe goes nowhere. A backend whose machine writes it in another name may put
    /// the source in place of that.
    #[must_use]
    pub fn is_local(&self, kind: Kind, from: IpAddr) -> bool {
        kind == Kind::Unreachable
            && is_same_address(&from, &self.source)
            && !is_same_address(&from, &self.target)
    }

    /// From us to the target.
    pub(crate) const fn ends(&self) -> Ends {
        Ends {
            source: self.source,
            destination: self.target,
        }
    }

    /// Whether all goes out at once, whatever comes back.
    pub(crate) const fn is_burst(&self) -> bool {
        matches!(self.sweep, Some(Sweep::Burst))
    }

    pub(crate) const fn sweep(&self) -> Sweep {
        match (self.sweep, self.attempts) {
            (Some(sweep), _) => sweep,
            (None, 0 | 1) => Sweep::ONE_ATTEMPT,
            (None, _) => Sweep::SEVERAL_ATTEMPTS,
        }
    }
}

/// Checks a parameter against the least and the greatest.
pub(crate) const fn check_range(
    parameter: &'static str,
    given: u16,
    least: u16,
    greatest: u16,
) -> Result<(), ConfigError> {
    if given < least || given > greatest {
        Err(ConfigError::OutOfRange {
            parameter,
            given,
            least,
            greatest,
        })
    } else {
        Ok(())
    }
}

/// The reason why a trace can't be set up.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[cfg_attr(feature = "defmt", derive(defmt::Format))]
#[non_exhaustive]
pub enum ConfigError {
    /// A number outside its range.
    OutOfRange {
        /// The field of [`Config`], or of the protocol.
        parameter: &'static str,
        /// The value that was given.
        given: u16,
        /// The least that is permitted.
        least: u16,
        /// The greatest that is permitted.
        greatest: u16,
    },
    /// A [`Sweep::Window`] that would never send.
    EmptySweep,
    /// A timeout of zero.
    NoTime,
    /// Source and target are of different families.
    MixedFamilies,
    /// The tracer has room for fewer probes than were asked for.
    Capacity {
        /// Hops to probe times attempts, at least the farthest hop.
        needed: usize,
        /// The `N` of `Tracer<N>`.
        capacity: usize,
    },
}

impl fmt::Display for ConfigError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::OutOfRange {
                parameter,
                given,
                least,
                greatest,
            } => {
                write!(f, "{parameter} must be {least} to {greatest}, not {given}")
            }
            Self::EmptySweep => {
                f.write_str("a sweep must start with at least 1 hop and open by at least 1")
            }
            Self::NoTime => f.write_str("the timeout must be longer than zero"),
            Self::MixedFamilies => f.write_str("source and target must both be IPv4 or both IPv6"),
            Self::Capacity { needed, capacity } => {
                write!(
                    f,
                    "{needed} probes don't fit a tracer of {capacity}: ask for fewer hops or attempts"
                )
            }
        }
    }
}

impl core::error::Error for ConfigError {}
