//! The front over the in-memory stores.
#![allow(clippy::unwrap_used, reason = "a test may panic")]

mod appending;
mod capabilities;
mod common;
mod compress;
mod context;
mod dialogue;
mod enable;
mod fetch;
mod grammar;
mod hostile;
mod messagelimit;
mod multisearch;
mod notify;
mod progress;
mod scarce;
mod search;
mod several;
mod surroundings;
