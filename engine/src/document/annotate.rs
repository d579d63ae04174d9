//! The seam to what a program knows about addresses.

use serde::Serialize;
use std::net::IpAddr;

/// A source of facts about addresses, such as their names.
pub trait Annotate {
    /// The fields that stand beside an address. The default stands where there is no address, such
    /// as at a hop where nobody is known.
    type Known: Serialize + Default;

    /// Returns what is known about an address.
    fn known(&self, address: IpAddr) -> Self::Known;
}

/// Adds nothing.
impl Annotate for () {
    type Known = ();

    fn known(&self, _address: IpAddr) {}
}
