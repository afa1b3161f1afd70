//! What each fuzz target does with its bytes. A panic, a hang, or an answer that is no answer is a
//! finding; so is a store whose invariants do not hold afterwards.
#![forbid(unsafe_code)]

pub mod imap;
pub mod lmtp;
pub mod message;
pub mod pop3;
mod world;
