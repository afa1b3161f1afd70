//! The storage contract: two small traits, their errors, an in-memory reference store, the
//! conformance suite every backend passes, and a store that fails on purpose.
//!
//! Nothing above this crate knows which backend it runs on, and no backend knows a protocol.
#![forbid(unsafe_code)]

mod batch;
mod blob;
mod commit;
#[cfg(feature = "conformance")]
pub mod conformance;
mod error;
mod fault;
mod in_place;
mod memory;
mod meta;
mod rng;

pub use batch::{Batch, Link, Precondition, Write, check_key};
pub use blob::{BlobRef, BlobStore, Provenance};
pub use commit::Commit;
pub use error::{ErrorKind, StorageError};
pub use fault::{Call, FaultBlobs, FaultMeta, Faults};
pub use in_place::{in_place, may_wait_in_place};
pub use memory::{MemoryBlobs, MemoryMeta, MetaSnapshot};
pub use meta::{Entry, Health, MetaStore, Page, Scan, Watch};

/// Longest key a [`MetaStore`] takes, in bytes.
pub const MAX_KEY: usize = 1024;
/// Longest value a [`MetaStore`] takes, in bytes: indexes suffer from large values (DESIGN 3.1).
pub const MAX_VALUE: usize = 16 * 1024;
/// Largest batch, summed over keys and values, in bytes.
pub const MAX_BATCH: usize = 64 * 1024 * 1024;
