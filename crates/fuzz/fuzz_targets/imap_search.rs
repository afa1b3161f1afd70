//! See [`gatepost_fuzz::imap::search`].
#![no_main]

libfuzzer_sys::fuzz_target!(|data: &[u8]| gatepost_fuzz::imap::search(data));
