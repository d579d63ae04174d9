//! See [`hopshot_fuzz::round_trip`].
#![no_main]

libfuzzer_sys::fuzz_target!(|octets: &[u8]| hopshot_fuzz::round_trip::body(octets));
