//! See [`hopshot_fuzz::config`].
#![no_main]

libfuzzer_sys::fuzz_target!(|octets: &[u8]| hopshot_fuzz::config::body(octets));
