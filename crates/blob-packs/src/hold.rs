//! The packs of one moment, kept on disk while they are copied away: sealed packs never change, the
//! active one only grows, and compaction, which alone removes packs, waits.

use crate::files::{self, Which};
use crate::store::{PackStore, Shared};
use std::io;
use std::path::PathBuf;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use storage::StorageError;

/// A file of the store, relative to its directory.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct HeldFile {
    /// Its name.
    pub path: PathBuf,
    /// The bytes that belong to the moment, if it may grow behind them; `None`: all of it.
    pub length: Option<u64>,
}

/// Keeps every pack of a store where it is until it is dropped.
pub struct Held(Arc<Shared>);

impl PackStore {
    /// Keeps the packs there are and those that come. Waits for a collection under way; later ones
    /// do nothing meanwhile.
    pub async fn hold(&self) -> Held {
        let _none_under_way = self.compaction.lock().await;
        self.shared.holds.fetch_add(1, Ordering::AcqRel);
        Held(self.shared.clone())
    }
}

impl Held {
    /// The files as they are now: every blob is in them whose put has returned. Blocks.
    ///
    /// # Errors
    /// `Unavailable` when the directory cannot be read.
    pub fn files(&self) -> Result<Vec<HeldFile>, StorageError> {
        let shared = &self.0;
        shared.check_open()?;
        let (catalog, number, durable) = {
            let writer = shared.writer();
            let number = writer.active.header.number;
            (shared.catalog(), number, writer.durable)
        };
        let mut held = vec![HeldFile {
            path: "store".into(),
            length: None,
        }];
        let mut add = |path: PathBuf, length| {
            let path = path.file_name().map(PathBuf::from).unwrap_or_default();
            held.push(HeldFile { path, length });
        };
        for pack in &catalog.sealed {
            // The pack first, as everywhere: one that is lost leaves its index behind.
            for which in [Which::Pack, Which::Index] {
                let path = files::path(&shared.dir, pack.number, which);
                match std::fs::metadata(&path) {
                    Ok(meta) if which == Which::Pack => add(path, Some(meta.len())),
                    Ok(_) => add(path, None),
                    Err(error) if error.kind() == io::ErrorKind::NotFound => {}
                    Err(error) => return Err(StorageError::io("look at a pack", &error)),
                }
            }
        }
        add(files::path(&shared.dir, number, Which::Pack), Some(durable));
        Ok(held)
    }
}

impl Drop for Held {
    fn drop(&mut self) {
        self.0.holds.fetch_sub(1, Ordering::AcqRel);
    }
}

/// How many moments are held.
pub(crate) type Holds = AtomicUsize;
