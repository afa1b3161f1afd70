//! sled, as an index that may be lost. No other file names it.
//!
//! sled's own flush does not reach the disk on Linux, and its background flusher breaks databases
//! at power cuts even when its file is synced besides (DESIGN 3.1): the flusher is off, and
//! [`Index::checkpoint`] flushes and then syncs sled's file through a descriptor of our own.

use bytes::Bytes;
use std::collections::VecDeque;
use std::fs::File;
use std::ops::ControlFlow;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};
use storage::StorageError;

/// Bytes given to sled between two flushes: two or three of its seven I/O threads can be busy with
/// them.
const IN_FLIGHT: usize = 512 * 1024;

/// Entries kept while going back.
const WINDOW: usize = 1024;

/// sled releases its own file lock a moment after it was dropped.
const OPEN_PATIENCE: Duration = Duration::from_secs(5);

/// The index as far as it has left memory; [`Index`](crate::recent::Index) is the whole of it.
pub(crate) struct Disk {
    tree: sled::Db,
    file: File,
    dir: PathBuf,
}

impl Disk {
    /// Opens the index in `dir`, or makes an empty one.
    pub(crate) fn open(dir: &Path, cache_bytes: u64) -> Result<Self, StorageError> {
        let deadline = Instant::now() + OPEN_PATIENCE;
        loop {
            let opened = guarded("open", || {
                sled::Config::new()
                    .path(dir)
                    .cache_capacity(cache_bytes)
                    .flush_every_ms(None)
                    .open()
            });
            match opened {
                Err(error) if error.context.contains("could not acquire lock") => {
                    if Instant::now() > deadline {
                        return Err(error);
                    }
                    std::thread::sleep(Duration::from_millis(5));
                }
                Err(error) => return Err(error),
                Ok(tree) => {
                    let file = File::open(dir.join("db"))
                        .map_err(|e| StorageError::io("open the index file", &e))?;
                    let dir = dir.to_owned();
                    return Ok(Self { tree, file, dir });
                }
            }
        }
    }

    pub(crate) fn get(&self, key: &[u8]) -> Result<Option<Bytes>, StorageError> {
        let value = guarded("get", || self.tree.get(key))?;
        // A copy: a value of sled's may keep a much larger page in memory.
        Ok(value.map(|v| Bytes::copy_from_slice(&v)))
    }

    /// Whether `key` holds exactly `expected`; `None` means that it must be absent.
    pub(crate) fn holds(&self, key: &[u8], expected: Option<&[u8]>) -> Result<bool, StorageError> {
        let value = guarded("get", || self.tree.get(key))?;
        Ok(value.as_deref() == expected)
    }

    /// Shows the entries of `start..end` to `visit`, in key order or backwards, until it breaks.
    ///
    /// sled is only read forwards: its own way back guesses the key before a node's first one, and
    /// panics when longer keys lie between the guess and that (sled 0.34.7 `Iter::next_back`; found
    /// by the conformance suite). Going back therefore reads the range from its start, keeping the
    /// last [`WINDOW`] entries, once per window: meant for short ranges.
    pub(crate) fn scan(
        &self,
        start: Vec<u8>,
        mut end: Vec<u8>,
        reverse: bool,
        mut visit: impl FnMut(&[u8], &[u8]) -> ControlFlow<()>,
    ) -> Result<(), StorageError> {
        if !reverse {
            return self.forward(start, end, |key, value| visit(&key, &value));
        }
        loop {
            let mut window = VecDeque::with_capacity(WINDOW);
            let mut more = false;
            self.forward(start.clone(), end, |key, value| {
                if window.len() == WINDOW {
                    window.pop_front();
                    more = true;
                }
                window.push_back((key, value));
                ControlFlow::Continue(())
            })?;
            for (key, value) in window.iter().rev() {
                if visit(key, value).is_break() {
                    return Ok(());
                }
            }
            match window.front() {
                Some((first, _)) if more => end = first.to_vec(),
                _ => return Ok(()),
            }
        }
    }

    fn forward(
        &self,
        start: Vec<u8>,
        end: Vec<u8>,
        mut visit: impl FnMut(sled::IVec, sled::IVec) -> ControlFlow<()>,
    ) -> Result<(), StorageError> {
        if start >= end {
            return Ok(());
        }
        guarded("scan", || {
            for entry in self.tree.range(start..end) {
                let (key, value) = entry?;
                if visit(key, value).is_break() {
                    break;
                }
            }
            Ok(())
        })
    }

    /// Writes `rows` in their order.
    ///
    /// One thread writes, and waits for sled's own writing after every [`IN_FLIGHT`] bytes: sled
    /// 0.34 hangs for ever when all threads of its pool wait for a lock whose holder waits for a
    /// truncation that is queued behind them (`SegmentAccountant::bump_tip`; seen under load,
    /// docs/decisions/0003). There is no batch: sled's own writes out its buffers twice for each
    /// one. Whole batches are the log's business after a crash, and the shard's lock's before.
    pub(crate) fn write<'a>(
        &self,
        rows: impl Iterator<Item = (&'a [u8], Option<&'a [u8]>)>,
    ) -> Result<(), StorageError> {
        let mut unflushed = 0;
        for (key, value) in rows {
            match value {
                Some(value) => guarded("insert", || self.tree.insert(key, value)),
                None => guarded("remove", || self.tree.remove(key)),
            }?;
            unflushed += key.len() + value.map_or(0, <[u8]>::len);
            if unflushed >= IN_FLIGHT {
                guarded("flush", || self.tree.flush())?;
                unflushed = 0;
            }
        }
        Ok(())
    }

    /// Makes everything applied so far durable.
    pub(crate) fn checkpoint(&self) -> Result<(), StorageError> {
        guarded("flush", || self.tree.flush())?;
        self.file
            .sync_data()
            .map_err(|e| StorageError::io("sync the index", &e))
    }

    /// Closes the index with all its files durable, so that it can be trusted after a power loss.
    pub(crate) fn close(self) -> Result<(), StorageError> {
        self.checkpoint()?;
        let Self { tree, file, dir } = self;
        guarded("close", || {
            drop(tree);
            Ok(())
        })?;
        drop(file);
        sync_tree(&dir).map_err(|e| StorageError::io("sync the index files", &e))
    }
}

fn sync_tree(dir: &Path) -> std::io::Result<()> {
    for entry in std::fs::read_dir(dir)? {
        let path = entry?.path();
        if path.is_dir() {
            sync_tree(&path)?;
        } else {
            File::open(path)?.sync_all()?;
        }
    }
    crate::files::sync_dir(dir)
}

/// Runs a call into sled. It panics where damage was not foreseen; that must not take the server
/// down.
fn guarded<T>(doing: &str, call: impl FnOnce() -> sled::Result<T>) -> Result<T, StorageError> {
    match catch_unwind(AssertUnwindSafe(call)) {
        Ok(Ok(done)) => Ok(done),
        Ok(Err(sled::Error::Corruption { at, .. })) => Err(StorageError::corrupt(format!(
            "{doing} in the index: damaged at {at:?}"
        ))),
        Ok(Err(error)) => Err(StorageError::unavailable(format!(
            "{doing} in the index: {error}"
        ))),
        Err(_) => Err(StorageError::corrupt(format!(
            "{doing} in the index: sled panicked"
        ))),
    }
}
