//! See [`hopshot_fuzz::list`].
#![no_main]

libfuzzer_sys::fuzz_target!(|octets: &[u8]| hopshot_fuzz::list::body(octets));
