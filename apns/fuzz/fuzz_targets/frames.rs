//! Fuzzes [`skein_apns_fuzz::frames`].

#![no_main]

libfuzzer_sys::fuzz_target!(|data: &[u8]| skein_apns_fuzz::frames::check(data));
