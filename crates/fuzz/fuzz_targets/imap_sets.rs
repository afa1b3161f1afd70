//! See [`gatepost_fuzz::imap::sets`].
#![no_main]

libfuzzer_sys::fuzz_target!(|data: &[u8]| gatepost_fuzz::imap::sets(data));
