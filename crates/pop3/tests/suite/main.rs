//! The front over the in-memory stores.
#![allow(clippy::unwrap_used, reason = "a test may panic")]

mod arguments;
mod common;
mod model;
mod scripts;
mod sessions;
mod settings;
