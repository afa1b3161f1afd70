//! A moment of the store that can be copied away while it goes on: exports and log segments are
//! never changed once written, so all it takes is to keep them from being dropped.

use crate::export::Export;
use crate::segment::Segment;
use crate::store::{Core, SledStore, closed};
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use storage::StorageError;

/// A file of the store, relative to its directory, and how many of its bytes belong to the moment:
/// it may grow behind them.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct HeldFile {
    /// Its path below the store's directory.
    pub path: PathBuf,
    /// Its bytes.
    pub length: u64,
}

/// The files of one moment; none of them goes away before this is dropped.
pub struct Held {
    core: Arc<Core>,
    /// The last commit that belongs to the moment, over all accounts: every commit up to it is
    /// there, none behind it.
    pub sequence: u64,
    /// From these files alone the store opens as it was at that moment.
    pub files: Vec<HeldFile>,
}

impl SledStore {
    /// 32 hexadecimal digits that name the store: it keeps them when it is restored from a copy.
    pub fn id(&self) -> String {
        let bytes = self.core().store.iter();
        bytes.map(|byte| format!("{byte:02x}")).collect()
    }

    /// Holds the moment at which it is called. Everything in it is durable. Blocks for an
    /// `fdatasync`.
    ///
    /// # Errors
    /// `Unavailable` when the store is closed, read-only or cannot list its files.
    pub fn hold(&self) -> Result<Held, StorageError> {
        let core = Arc::clone(self.core());
        if core.index().is_none() {
            return Err(closed());
        }
        core.holds.hold();
        // From here on dropping it lets go again.
        let mut held = Held {
            core,
            sequence: 0,
            files: Vec::new(),
        };
        held.take()?;
        Ok(held)
    }
}

impl Held {
    fn take(&mut self) -> Result<(), StorageError> {
        let core = &self.core;
        let io = |e| StorageError::io("list the files of the store", &e);
        // The exports first: one that comes later may hold commits the log is not copied up to.
        let exports = Export::list(&core.layout.exports).map_err(io)?;
        let (sequence, newest, end) = core.log.position();
        core.group.wait_blocking(sequence)?;
        self.sequence = sequence;
        for export in exports {
            self.files.push(held(&core.layout.root, export.path, None)?);
        }
        for segment in Segment::list(&core.layout.log).map_err(io)? {
            if segment.first <= newest {
                let length = (segment.first == newest).then_some(end);
                self.files
                    .push(held(&core.layout.root, segment.path, length)?);
            }
        }
        let format = core.layout.root.join("FORMAT");
        self.files.push(held(&core.layout.root, format, None)?);
        Ok(())
    }
}

/// A file that has its final size unless a length is given.
fn held(root: &Path, path: PathBuf, length: Option<u64>) -> Result<HeldFile, StorageError> {
    let io = |e| StorageError::io(format!("look at {}", path.display()), &e);
    let length = match length {
        Some(length) => length,
        None => std::fs::metadata(&path).map_err(io)?.len(),
    };
    let path = path.strip_prefix(root).map_or(path.clone(), PathBuf::from);
    Ok(HeldFile { path, length })
}

impl Drop for Held {
    fn drop(&mut self) {
        self.core.holds.release();
    }
}

/// How many moments are held; dropping old files waits for none.
#[derive(Default)]
pub(crate) struct Holds(Mutex<usize>);

impl Holds {
    fn hold(&self) {
        *self.lock() += 1;
    }

    fn release(&self) {
        let mut holds = self.lock();
        *holds = holds.saturating_sub(1);
    }

    /// Runs `work` unless something is held; nothing can be while it runs.
    pub(crate) fn unless_held<T>(&self, work: impl FnOnce() -> T) -> Option<T> {
        let holds = self.lock();
        (*holds == 0).then(work)
    }

    fn lock(&self) -> MutexGuard<'_, usize> {
        let lock = self.0.lock();
        lock.unwrap_or_else(PoisonError::into_inner)
    }
}
