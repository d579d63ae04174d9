//! See [`hopshot_fuzz::survey`].
#![no_main]

libfuzzer_sys::fuzz_target!(|octets: &[u8]| hopshot_fuzz::survey::body(octets));
