//! How a store behaves, and what it tells its owner.

use std::fmt;
use std::io;
use std::path::Path;
use std::sync::Arc;
use std::time::{Duration, SystemTime, UNIX_EPOCH};

/// Called after every group commit: how long the `fdatasync` took, and how many puts it made
/// durable.
pub type SyncObserver = Arc<dyn Fn(Duration, usize) + Send + Sync>;

/// Called before each [`Step`]; an error is treated as if the disk had given it. For tests of
/// failure.
pub type StepHook = Arc<dyn Fn(Step) -> io::Result<()> + Send + Sync>;

/// See [`Options::free`].
pub type Free = Arc<dyn Fn(&Path) -> io::Result<u64> + Send + Sync>;

/// Where the store touches the disk in a way that matters after a crash.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Step {
    /// Appending a record to the active pack.
    Append,
    /// `fdatasync` of the active pack.
    Sync,
    /// A new pack exists; the old one is about to be sealed.
    Seal,
    /// A compacted pack is on stable storage under its temporary name.
    CompactWritten,
    /// It has its name, readers use it.
    CompactNamed,
    /// Its index is written; the packs it replaces are about to go.
    CompactIndexed,
    /// The indexes of the replaced packs are gone, the packs themselves not yet.
    CompactHalfRemoved,
    /// Everything is removed.
    CompactDone,
}

/// Settings of a [`PackStore`](crate::PackStore).
#[derive(Clone)]
pub struct Options {
    /// A pack is sealed when it has grown past this many bytes (at most 16 GiB). Default 1 GiB.
    pub pack_bytes: u64,
    /// How long a released blob stays readable: longer than any open session. Default one day.
    pub grace: Duration,
    /// The share of a pack (0 to 1) that must be dead before compaction rewrites it. Default 0.3.
    pub dead_share: f64,
    /// Sealed packs of this age are rewritten with zstd even when nothing in them is dead; `None`:
    /// never. Default 30 days.
    pub cold_after: Option<Duration>,
    /// zstd level of compaction. Default 3.
    pub zstd_level: i32,
    /// Compaction leaves this many bytes of the file system free. Default 64 MiB.
    pub min_free_bytes: u64,
    /// Bytes that are free where a directory lies; tests give other answers.
    pub free: Free,
    /// See [`SyncObserver`].
    pub on_sync: Option<SyncObserver>,
    /// See [`StepHook`].
    pub on_step: Option<StepHook>,
    /// The time of day; tests move it.
    pub now: Arc<dyn Fn() -> SystemTime + Send + Sync>,
}

impl Default for Options {
    fn default() -> Self {
        Self {
            pack_bytes: 1 << 30,
            grace: Duration::from_secs(24 * 3600),
            dead_share: 0.3,
            cold_after: Some(Duration::from_secs(30 * 24 * 3600)),
            zstd_level: 3,
            min_free_bytes: 64 << 20,
            free: Arc::new(crate::files::free),
            on_sync: None,
            on_step: None,
            now: Arc::new(SystemTime::now),
        }
    }
}

impl fmt::Debug for Options {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Options")
            .field("pack_bytes", &self.pack_bytes)
            .field("grace", &self.grace)
            .field("dead_share", &self.dead_share)
            .field("cold_after", &self.cold_after)
            .field("zstd_level", &self.zstd_level)
            .field("min_free_bytes", &self.min_free_bytes)
            .finish_non_exhaustive()
    }
}

impl Options {
    /// Seconds since 1970.
    pub(crate) fn seconds(&self) -> u64 {
        (self.now)()
            .duration_since(UNIX_EPOCH)
            .map_or(0, |since| since.as_secs())
    }

    pub(crate) fn step(&self, step: Step) -> io::Result<()> {
        self.on_step.as_ref().map_or(Ok(()), |hook| hook(step))
    }
}

/// How far [`PackStore::open`](crate::PackStore::open) is.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Progress {
    /// Bytes of packs looked at.
    pub done: u64,
    /// Bytes of packs to look at.
    pub total: u64,
}
