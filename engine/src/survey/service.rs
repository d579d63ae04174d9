//! Services that hosts need to be traced, each of which may fail for a while.

use crate::health::Health;
use hopshot_core::wire::AddressFamily;
use std::slice::{Iter, IterMut};

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

/// A value for each service.
#[derive(Clone, Copy, Debug, Default)]
pub(super) struct PerService<T>([T; 3]);

/// How each service does.
pub(super) type Healths = PerService<Health>;

impl<T> PerService<T> {
    pub(super) const fn new(v4: T, v6: T, names: T) -> Self {
        Self([v4, v6, names])
    }

    /// The value of a service.
    pub(super) const fn get(&self, service: Service) -> &T {
        let [v4, v6, names] = &self.0;
        match service {
            Service::V4 => v4,
            Service::V6 => v6,
            Service::Names => names,
        }
    }

    /// The value of a service, to change it.
    pub(super) const fn get_mut(&mut self, service: Service) -> &mut T {
        let [v4, v6, names] = &mut self.0;
        match service {
            Service::V4 => v4,
            Service::V6 => v6,
            Service::Names => names,
        }
    }

    /// All values, in the order of [`Service::ALL`].
    pub(super) fn iter(&self) -> Iter<'_, T> {
        self.0.iter()
    }

    /// All values, in the order of [`Service::ALL`], to change them.
    pub(super) fn iter_mut(&mut self) -> IterMut<'_, T> {
        self.0.iter_mut()
    }
}
