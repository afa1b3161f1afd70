//! See [`gatepost_fuzz::pop3::session`].
#![no_main]

libfuzzer_sys::fuzz_target!(|data: &[u8]| gatepost_fuzz::pop3::session(data));
