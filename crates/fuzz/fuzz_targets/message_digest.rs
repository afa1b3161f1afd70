//! See [`gatepost_fuzz::message::digest`].
#![no_main]

libfuzzer_sys::fuzz_target!(|data: &[u8]| gatepost_fuzz::message::digest(data));
