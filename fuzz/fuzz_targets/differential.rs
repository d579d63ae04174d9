//! See [`hopshot_fuzz::differential`].
#![no_main]

libfuzzer_sys::fuzz_target!(|octets: &[u8]| hopshot_fuzz::differential::body(octets));
