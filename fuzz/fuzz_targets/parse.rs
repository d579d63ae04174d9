//! See [`hopshot_fuzz::parse`].
#![no_main]

libfuzzer_sys::fuzz_target!(|octets: &[u8]| hopshot_fuzz::parse::body(octets));
