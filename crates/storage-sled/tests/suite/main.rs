//! The store, seen from outside.
#![allow(clippy::unwrap_used, reason = "a test may panic")]

mod conformance;
mod hold;
mod kill;
mod model;
mod recovery;
mod salvage;
mod support;
