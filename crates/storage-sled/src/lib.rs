//! The embedded [`storage::MetaStore`]: a commit log of our own is the truth, sled is its index.
//!
//! A batch is written to the log before sled sees it, and made durable by group commit. sled may
//! lag, be lost or be damaged: start-up rebuilds it from the newest export and the log behind it.
//! Every byte on disk is described in `docs/storage-format.md`, "The commit log and its index".
//!
//! | file | what it does |
//! |---|---|
//! | `store.rs` | the trait: judge, append, apply, wait |
//! | `log.rs`, `record.rs`, `segment.rs` | the log: appending, bytes of a record, bytes of a segment |
//! | `group.rs` | one `fdatasync` for all who wait |
//! | `db.rs`, `keys.rs` | sled (named nowhere else) and how rows map to its keys |
//! | `recent.rs` | what was written lately, in memory, in front of sled |
//! | `checkpoint.rs`, `export.rs` | bounding the replay; the sorted copy a rebuild starts from |
//! | `startup.rs`, `tail.rs`, `rebuild.rs`, `spread.rs` | from files to a running store |
//! | `salvage.rs` | from damaged files to what the store once was |
//! | `check.rs` | damage that nobody would notice until a rebuild |
//! | `kept.rs` | what a scan copies out of the index |
//! | `hold.rs` | a moment kept on disk while it is copied away |
//! | `manifest.rs`, `files.rs` | small files and how they are replaced |
//! | `watch.rs` | ticks |
#![forbid(unsafe_code)]

mod check;
mod checkpoint;
mod db;
mod export;
#[cfg(test)]
mod fault_tests;
mod files;
mod group;
mod hold;
mod kept;
mod keys;
mod log;
mod manifest;
mod options;
mod rebuild;
mod recent;
mod record;
mod salvage;
mod segment;
mod spread;
mod startup;
mod store;
mod tail;
mod watch;

pub use hold::{Held, HeldFile};
pub use options::{Observer, Options, Progress, Silent};
pub use store::SledStore;
