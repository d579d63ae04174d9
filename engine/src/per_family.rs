//! A value for each address family.

use hopshot_core::wire::AddressFamily;
use std::slice::{Iter, IterMut};

/// Both families.
pub(crate) const FAMILIES: [AddressFamily; 2] = [AddressFamily::V4, AddressFamily::V6];

/// A value for IPv4 and one for IPv6: each family has its own, so none can be missing.
#[derive(Clone, Copy, Debug, Default)]
pub(crate) struct PerFamily<T>([T; 2]);

impl<T> PerFamily<T> {
    /// The values that a function gives.
    pub(crate) fn new(value: impl Fn(AddressFamily) -> T) -> Self {
        Self(FAMILIES.map(value))
    }

    /// The value of a family.
    pub(crate) const fn get(&self, family: AddressFamily) -> &T {
        let [v4, v6] = &self.0;
        match family {
            AddressFamily::V4 => v4,
            AddressFamily::V6 => v6,
        }
    }

    /// The value of a family, to change it.
    pub(crate) const fn get_mut(&mut self, family: AddressFamily) -> &mut T {
        let [v4, v6] = &mut self.0;
        match family {
            AddressFamily::V4 => v4,
            AddressFamily::V6 => v6,
        }
    }

    /// Both values, IPv4's first.
    pub(crate) fn iter(&self) -> Iter<'_, T> {
        self.0.iter()
    }

    /// Both values, IPv4's first, to change them.
    pub(crate) fn iter_mut(&mut self) -> IterMut<'_, T> {
        self.0.iter_mut()
    }
}
