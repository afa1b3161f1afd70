//! The embedded [`storage::BlobStore`]: append-only pack files on a local disk.
//!
//! A put appends one record to the active pack and waits for an `fdatasync` it shares with
//! everybody who put at the same time. A reference carries pack and offset as its hint, so reading
//! needs no index; the record's own hash says whether the hint still holds. Every byte on disk is
//! described in `docs/storage-format.md`, "Packs".
//!
//! | file | what it does |
//! |---|---|
//! | `store.rs` | the trait, opening handles, locks |
//! | `open.rs` | from files to a running store |
//! | `put.rs`, `active.rs` | appending and the group commit |
//! | `read.rs`, `buffers.rs` | one record, a range, many in disk order; memory of large reads used again |
//! | `compact.rs`, `rewrite.rs` | space really returned |
//! | `catalog.rs`, `index.rs` | which packs there are, where a hash lies |
//! | `released.rs` | what nobody links to any more |
//! | `hold.rs`, `archive.rs` | packs of one moment, kept while they are copied away; reading such a copy |
//! | `format.rs`, `scan.rs`, `files.rs` | bytes of a pack, reading one from front to back, files |
#![forbid(unsafe_code)]

mod active;
mod archive;
mod buffers;
mod catalog;
mod compact;
mod files;
mod format;
mod gentle;
mod hold;
mod index;
mod open;
mod options;
mod put;
mod read;
mod released;
mod rewrite;
mod scan;
mod store;

pub use archive::{Archive, ArchivedPack};
pub use compact::Collected;
pub use files::ReadAt;
pub use hold::{Held, HeldFile};
pub use options::{Free, Options, Progress, Step, StepHook, SyncObserver};
pub use store::{PackStore, ScannedRecord, Stats};

/// A pack never grows beyond this by much, whatever [`Options::pack_bytes`] says.
pub const MAX_PACK_BYTES: u64 = 16 << 30;
