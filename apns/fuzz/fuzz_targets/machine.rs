//! Fuzzes [`skein_apns_fuzz::machine`].

#![no_main]

libfuzzer_sys::fuzz_target!(|data: &[u8]| skein_apns_fuzz::machine::check(data));
