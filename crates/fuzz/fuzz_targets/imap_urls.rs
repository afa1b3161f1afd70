//! See [`gatepost_fuzz::imap::urls`].
#![no_main]

libfuzzer_sys::fuzz_target!(|data: &[u8]| gatepost_fuzz::imap::urls(data));
