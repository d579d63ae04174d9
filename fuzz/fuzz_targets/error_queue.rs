//! See [`hopshot_fuzz::error_queue`].
#![no_main]

libfuzzer_sys::fuzz_target!(|octets: &[u8]| hopshot_fuzz::error_queue::body(octets));
