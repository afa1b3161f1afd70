//! See [`gatepost_fuzz::lmtp::session`].
#![no_main]

libfuzzer_sys::fuzz_target!(|data: &[u8]| gatepost_fuzz::lmtp::session(data));
