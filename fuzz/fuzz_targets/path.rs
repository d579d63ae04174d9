//! See [`hopshot_fuzz::path`].
#![no_main]

libfuzzer_sys::fuzz_target!(|octets: &[u8]| hopshot_fuzz::path::body(octets));
