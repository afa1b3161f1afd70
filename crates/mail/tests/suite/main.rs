//! The engine over the in-memory stores.
#![allow(clippy::unwrap_used, reason = "a test may panic")]

mod annotations;
mod common;
mod directory;
mod emails;
mod model;
mod policies;
mod restore;
mod sharing;
mod threads;
mod uidls;
mod undelete;
mod visibility;
