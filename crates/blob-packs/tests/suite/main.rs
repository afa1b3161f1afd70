//! The store, seen from outside.
#![allow(clippy::unwrap_used, reason = "a test may panic")]

mod archive;
mod common;
mod compaction;
mod conformance;
mod damage;
mod kill;
mod removal;
mod store;
