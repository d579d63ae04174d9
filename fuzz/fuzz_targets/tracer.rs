//! See [`hopshot_fuzz::tracer`].
#![no_main]

libfuzzer_sys::fuzz_target!(|octets: &[u8]| hopshot_fuzz::tracer::body(octets));
