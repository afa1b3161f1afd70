//! See [`gatepost_fuzz::imap::session`].
#![no_main]

libfuzzer_sys::fuzz_target!(|data: &[u8]| gatepost_fuzz::imap::session(data));
