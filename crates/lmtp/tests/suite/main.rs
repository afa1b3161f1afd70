//! The front over the in-memory stores.
#![allow(clippy::unwrap_used, reason = "a test may panic")]

mod bounds;
mod common;
mod scripts;
mod sessions;
