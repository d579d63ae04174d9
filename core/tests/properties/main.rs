//! What holds for every input of a kind: drawn at random, and where there are few enough of them,
//! each.

mod extensions;
mod flips;
mod forgeries;
mod mixed;
#[path = "../network/mod.rs"]
mod network;
mod time;
mod truncation;

use hopshot_core::wire::AddressFamily;
use proptest::prelude::*;

/// How many inputs are drawn for each property.
fn drawn(cases: u32) -> ProptestConfig {
    ProptestConfig {
        cases,
        failure_persistence: None,
        ..ProptestConfig::default()
    }
}

fn a_version() -> impl Strategy<Value = AddressFamily> {
    prop_oneof![Just(AddressFamily::V4), Just(AddressFamily::V6)]
}
