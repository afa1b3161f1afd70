//! See [`gatepost_fuzz::message::sections`].
#![no_main]

libfuzzer_sys::fuzz_target!(|data: &[u8]| gatepost_fuzz::message::sections(data));
