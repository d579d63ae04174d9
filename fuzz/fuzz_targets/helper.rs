//! See [`hopshot_fuzz::helper`].
#![no_main]

libfuzzer_sys::fuzz_target!(|octets: &[u8]| hopshot_fuzz::helper::body(octets));
