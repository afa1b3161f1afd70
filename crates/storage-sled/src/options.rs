//! What the operator may set, and what the server may listen to.

use std::sync::Arc;
use std::time::Duration;

/// Settings of a [`SledStore`](crate::SledStore).
#[derive(Clone)]
pub struct Options {
    /// Memory for index pages, in bytes.
    pub cache_bytes: u64,
    /// A log segment is closed once it would grow past this many bytes.
    pub segment_bytes: u64,
    /// How long the index may lag behind the log on disk.
    pub checkpoint_every: Duration,
    /// How many bytes of log the index may lag behind; whichever of the two comes first.
    pub checkpoint_bytes: u64,
    /// Bytes of log after which a new export is written; never before the log has grown by half the
    /// size of the last export, so that exporting stays a fraction of all writing.
    pub export_every: u64,
    /// How soon a commit nobody waits for is made durable (DESIGN 3.4).
    pub relaxed_sync: Duration,
    /// With less than this free on the file system commits answer `Unavailable`: sled does not
    /// survive a full disk without a restart, so it must never meet one.
    pub min_free_bytes: u64,
    /// An index larger than this of which most is free space is made anew at the start.
    pub bloat_bytes: u64,
    /// Takes a damaged log for its end: what was committed behind the damage is given up. For
    /// `gatepost recover`, on a copy of the files: what is given up is cut off.
    pub salvage: bool,
    /// Overrides the kernel's boot id.
    pub boot_id: Option<String>,
    /// Told about what happens, for metrics.
    pub observer: Arc<dyn Observer>,
    #[cfg(test)]
    pub(crate) faults: Arc<crate::log::faults::Faults>,
}

impl Default for Options {
    fn default() -> Self {
        Self {
            cache_bytes: 64 << 20,
            segment_bytes: 64 << 20,
            checkpoint_every: Duration::from_secs(30),
            checkpoint_bytes: 64 << 20,
            export_every: 256 << 20,
            relaxed_sync: Duration::from_millis(100),
            min_free_bytes: 64 << 20,
            bloat_bytes: 64 << 20,
            salvage: false,
            boot_id: None,
            observer: Arc::new(Silent),
            #[cfg(test)]
            faults: Arc::default(),
        }
    }
}

/// Hears what the store does. Called on its hot paths: count, do not block.
pub trait Observer: Send + Sync {
    /// The log was synced; how long the call took.
    fn on_fsync(&self, _took: Duration) {}
    /// A batch was applied; the bytes its record takes in the log.
    fn on_commit(&self, _bytes: usize) {}
    /// A batch was refused because a precondition did not hold.
    fn on_conflict(&self) {}
    /// The index was made durable; how long it took.
    fn on_checkpoint(&self, _took: Duration) {}
    /// An export was completed; its size in bytes and how long it took.
    fn on_export(&self, _bytes: u64, _took: Duration) {}
}

/// The observer that listens to nothing.
pub struct Silent;

impl Observer for Silent {}

/// How far a long start-up has come.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Progress {
    /// What is being done, in a few words.
    pub step: &'static str,
    /// Bytes done of this step.
    pub done: u64,
    /// Bytes of this step in all.
    pub total: u64,
}
