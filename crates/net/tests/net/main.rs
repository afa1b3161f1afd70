//! The crate over real sockets on loopback.
#![allow(clippy::unwrap_used, reason = "a test may panic")]
#![allow(unreachable_pub, reason = "a test binary has no other crates")]

mod common;
mod deflate;
mod listener;
mod tls;
mod wire;
