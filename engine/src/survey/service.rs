//! Services that hosts need to be traced, each of which may fail for a while.

use crate::health::Health;
use crate::per_family::PerFamily;
use hopshot_core::wire::AddressFamily;

/// A service that a host needs to be traced.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Service {
    V4,
    V6,
    Names,
}

impl Service {
    pub(super) const ALL: [Self; 3] = [Self::V4, Self::V6, Self::Names];

    pub(super) const fn of(family: AddressFamily) -> Self {
        match family {
            AddressFamily::V4 => Self::V4,
            AddressFamily::V6 => Self::V6,
        }
    }

    /// The family that it is, unless it is names.
    pub(super) const fn family(self) -> Option<AddressFamily> {
        match self {
            Self::V4 => Some(AddressFamily::V4),
            Self::V6 => Some(AddressFamily::V6),
            Self::Names => None,
        }
    }

    /// What fails while it does.
    pub(super) const fn outage(self) -> &'static str {
        match self {
            Self::V4 => "nothing gets through over IPv4",
            Self::V6 => "nothing gets through over IPv6",
            Self::Names => "no name can be looked up",
        }
    }
}

/// A value for each service: one for each family, and one for names.
#[derive(Clone, Copy, Debug, Default)]
pub(super) struct PerService<T> {
    families: PerFamily<T>,
    names: T,
}

/// The health of each service.
pub(super) type Healths = PerService<Health>;

impl<T> PerService<T> {
    pub(super) const fn new(families: PerFamily<T>, names: T) -> Self {
        Self { families, names }
    }

    /// The value of a service.
    pub(super) const fn get(&self, service: Service) -> &T {
        match service.family() {
            Some(family) => self.families.get(family),
            None => &self.names,
        }
    }

    /// The value of a service, to change it.
    pub(super) const fn get_mut(&mut self, service: Service) -> &mut T {
        match service.family() {
            Some(family) => self.families.get_mut(family),
            None => &mut self.names,
        }
    }

    /// All values, in the order of [`Service::ALL`].
    pub(super) fn iter(&self) -> impl Iterator<Item = &T> {
        self.families.iter().chain([&self.names])
    }

    /// All values, in the order of [`Service::ALL`], to change them.
    pub(super) fn iter_mut(&mut self) -> impl Iterator<Item = &mut T> {
        self.families.iter_mut().chain([&mut self.names])
    }
}
