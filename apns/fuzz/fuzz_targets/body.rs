//! Fuzzes [`skein_apns_fuzz::body`].

#![no_main]

libfuzzer_sys::fuzz_target!(|data: &[u8]| skein_apns_fuzz::body::check(data));
