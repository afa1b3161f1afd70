//! The background thread: making the index durable, exporting, and dropping log nobody needs.

use crate::export::{self, Export, Writer};
use crate::files;
use crate::keys;
use crate::log::available_bytes;
use crate::segment::Segment;
use crate::store::{Core, closed};
use std::ops::ControlFlow;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Condvar, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};
use storage::StorageError;

/// How many exports are kept.
const KEEP: usize = 2;

/// When the background thread is to do something.
pub(crate) struct Schedule {
    demand: Mutex<Demand>,
    wake: Condvar,
    checkpoint_bytes: u64,
    /// Bytes of log since the last checkpoint and since the last export.
    since_checkpoint: AtomicU64,
    since_export: AtomicU64,
    /// Size of the newest export.
    export_size: AtomicU64,
}

#[derive(Default)]
struct Demand {
    due: bool,
    stop: bool,
    /// An export is wanted whether it is due or not.
    export: bool,
    /// How many exports were begun and ended, well or not.
    exports: u64,
}

impl Schedule {
    pub(crate) fn new(checkpoint_bytes: u64, since_export: u64, export_size: u64) -> Self {
        Self {
            demand: Mutex::default(),
            wake: Condvar::new(),
            checkpoint_bytes,
            since_checkpoint: AtomicU64::new(0),
            since_export: AtomicU64::new(since_export),
            export_size: AtomicU64::new(export_size),
        }
    }

    /// Counts log that was written; wakes the thread when that makes a checkpoint due.
    pub(crate) fn wrote(&self, bytes: u64) {
        self.since_export.fetch_add(bytes, Ordering::Relaxed);
        let before = self.since_checkpoint.fetch_add(bytes, Ordering::Relaxed);
        if before < self.checkpoint_bytes && before + bytes >= self.checkpoint_bytes {
            self.kick();
        }
    }

    /// Wakes the thread.
    pub(crate) fn kick(&self) {
        self.lock().due = true;
        self.wake.notify_all();
    }

    /// Has an export written now.
    pub(crate) fn order_export(&self) {
        self.lock().export = true;
        self.kick();
    }

    /// Whether one was ordered since this was asked last.
    fn take_order(&self) -> bool {
        std::mem::take(&mut self.lock().export)
    }

    /// Waits for the end of an export that begins from now on; returns at once when stopped.
    fn wait_for_export(&self) {
        let before = self.lock().exports;
        self.order_export();
        // One may be under way that began too early.
        let demand = self.lock();
        let _ended = self
            .wake
            .wait_while(demand, |d| d.exports < before + 1 && !d.stop)
            .unwrap_or_else(PoisonError::into_inner);
    }

    /// Tells who waits that an export ended.
    fn ended_export(&self) {
        self.lock().exports += 1;
        self.wake.notify_all();
    }

    pub(crate) fn stop(&self) {
        self.lock().stop = true;
        self.wake.notify_all();
    }

    /// Waits until there is something to do or `at_most` has passed; `false` when stopped.
    fn wait(&self, at_most: Duration) -> bool {
        let (mut demand, _) = self
            .wake
            .wait_timeout_while(self.lock(), at_most, |d| !d.due && !d.stop)
            .unwrap_or_else(PoisonError::into_inner);
        demand.due = false;
        !demand.stop
    }

    /// Sleeps; `false` when stopped.
    fn pause(&self, time: Duration) -> bool {
        let (demand, _) = self
            .wake
            .wait_timeout_while(self.lock(), time, |d| !d.stop)
            .unwrap_or_else(PoisonError::into_inner);
        !demand.stop
    }

    fn lock(&self) -> MutexGuard<'_, Demand> {
        self.demand.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Core {
    /// Checkpoints and exports until stopped or until the store is read-only.
    pub(crate) fn run_background(&self) {
        while self.schedule.wait(self.options.checkpoint_every) {
            if self.group.failure().is_some() {
                break;
            }
            if self.schedule.since_checkpoint.load(Ordering::Relaxed) > 0 {
                self.checkpoint_or_fail();
            }
            if self.schedule.take_order() || self.export_is_due() {
                if let Err(error) = self.export() {
                    // The log is kept until an export succeeds, so nothing is lost but space.
                    tracing::warn!(%error, "writing an export failed");
                }
                self.schedule.ended_export();
            }
        }
        self.schedule.stop();
        if self.group.failure().is_some() {
            self.distrust();
        }
    }

    /// Writes as many exports as are kept, so that all log before them goes.
    pub(crate) fn trim(&self) -> Result<(), StorageError> {
        for _ in 0..KEEP {
            if let Some(reason) = self.group.failure() {
                return Err(StorageError::unavailable(format!("read-only: {reason}")));
            }
            self.schedule.wait_for_export();
        }
        Ok(())
    }

    /// A checkpoint; an index that cannot be made durable makes the store read-only.
    fn checkpoint_or_fail(&self) {
        let start = Instant::now();
        match self.checkpoint() {
            Ok(()) => self.options.observer.on_checkpoint(start.elapsed()),
            Err(error) => {
                self.group.fail(format!("a checkpoint failed: {error}"));
                self.schedule.kick();
            }
        }
    }

    /// Makes the index durable up to its low-water mark and writes the promise down.
    pub(crate) fn checkpoint(&self) -> Result<(), StorageError> {
        self.schedule.since_checkpoint.store(0, Ordering::Relaxed);
        let low = self.low_water();
        // What the index knows for good the log must know for good.
        self.group.wait_blocking(low)?;
        {
            let index = self.index();
            let index = index.as_ref().ok_or_else(closed)?;
            index.set(&keys::LOW, Some(&low.to_le_bytes()))?;
            index.checkpoint()?;
        }
        let mut manifest = self.manifest();
        manifest.promised = low;
        if let Err(error) = manifest.write(&self.layout.root) {
            // The promise only lets start-up notice an index that is too old.
            tracing::warn!(%error, "the checkpoint is not recorded");
        }
        Ok(())
    }

    /// After a failed sync: what is in the kernel's memory may not be on disk, so the next start
    /// must not take it for granted even if the machine stays up.
    pub(crate) fn distrust(&self) {
        let mut manifest = self.manifest();
        manifest.boot = None;
        if let Err(error) = manifest.write(&self.layout.root) {
            tracing::error!(%error, "the failure could not be recorded in the manifest");
        }
    }

    fn export_is_due(&self) -> bool {
        let size = self.schedule.export_size.load(Ordering::Relaxed);
        let log = self.schedule.since_export.load(Ordering::Relaxed);
        log >= self.options.export_every.max(size / 2)
    }

    /// Writes an export and drops the exports and log segments it makes superfluous. Commits go on
    /// meanwhile: some of those behind `from` are in the export and will be replayed over it.
    fn export(&self) -> Result<(), StorageError> {
        let start = Instant::now();
        let size = self.schedule.export_size.load(Ordering::Relaxed);
        let io = |e| StorageError::io("write an export", &e);
        let free = available_bytes(&self.layout.exports).map_err(io)?;
        if free < self.options.min_free_bytes.saturating_add(size) {
            return Err(StorageError::unavailable("not enough space for an export"));
        }
        let log_then = self.schedule.since_export.load(Ordering::Relaxed);
        let from = self.low_water();
        let mut writer = Writer::create(&self.layout.exports, &self.store, from).map_err(io)?;
        let (mut next, end) = keys::data_range();
        let mut body = Vec::with_capacity(export::BLOCK * 2);
        loop {
            let block_start = Instant::now();
            let entries = self.collect_block(&mut next, &end, &mut body)?;
            if entries == 0 {
                break;
            }
            writer.block(&body, entries).map_err(io)?;
            // Leaves half of a processor and of the disk to those who wait for an answer.
            if !self.schedule.pause(block_start.elapsed()) {
                return Ok(());
            }
            let behind = self.schedule.since_checkpoint.load(Ordering::Relaxed);
            if behind >= self.options.checkpoint_bytes {
                self.checkpoint_or_fail();
            }
        }
        let upto = self.log.written();
        self.group.wait_blocking(upto)?;
        let size = writer.finish(upto).map_err(io)?;
        self.schedule.export_size.store(size, Ordering::Relaxed);
        self.schedule
            .since_export
            .fetch_sub(log_then, Ordering::Relaxed);
        self.options.observer.on_export(size, start.elapsed());
        // What is held goes with the next export.
        let retired = self.holds.unless_held(|| self.retire());
        retired
            .unwrap_or(Ok(()))
            .map_err(|e| StorageError::io("drop old exports and log segments", &e))
    }

    /// Fills `body` with the entries from `next` on, moves `next` behind them, and counts them.
    fn collect_block(
        &self,
        next: &mut Vec<u8>,
        end: &[u8],
        body: &mut Vec<u8>,
    ) -> Result<u64, StorageError> {
        body.clear();
        let mut entries = 0;
        let mut last = Vec::new();
        let index = self.index();
        let index = index.as_ref().ok_or_else(closed)?;
        index.scan(next.clone(), end.to_vec(), false, |key, value| {
            export::push_entry(body, key, value);
            entries += 1;
            if body.len() < export::BLOCK {
                return ControlFlow::Continue(());
            }
            last.extend_from_slice(key);
            ControlFlow::Break(())
        })?;
        if last.is_empty() {
            // The range is exhausted: the next block is the empty one.
            end.clone_into(next);
        } else {
            last.push(0);
            *next = last;
        }
        Ok(entries)
    }

    /// Drops what the two newest exports make superfluous.
    fn retire(&self) -> std::io::Result<()> {
        let exports = Export::list(&self.layout.exports)?;
        for entry in std::fs::read_dir(&self.layout.exports)? {
            let path = entry?.path();
            if !exports.iter().take(KEEP).any(|kept| kept.path == path) {
                files::remove(&path)?;
            }
        }
        files::sync_dir(&self.layout.exports)?;
        let Some(oldest) = exports.get(KEEP - 1) else {
            return Ok(());
        };
        let segments = Segment::list(self.log.dir())?;
        for pair in segments.windows(2) {
            if pair[1].first > oldest.from + 1 {
                break;
            }
            files::remove(&pair[0].path)?;
        }
        files::sync_dir(self.log.dir())
    }
}
