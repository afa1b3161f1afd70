//! Which packs there are, as readers see them: an immutable list, replaced when a pack is sealed or
//! compacted.

use crate::files::{OpenFiles, Patience, Which};
use crate::format::{FILE_HEADER, FileHeader, Kind, StoreId};
use crate::index::{self, IndexFile, Map, Slot, Summary};
use crate::scan::{self, Found};
use std::fs::File;
use std::io;
use std::path::Path;
use std::sync::{Arc, PoisonError, RwLock};
use types::BlobHash;

/// A pack that takes no more records.
pub(crate) struct Sealed {
    pub(crate) number: u32,
    pub(crate) kind: Kind,
    /// Seconds since 1970.
    pub(crate) created: u64,
    pub(crate) summary: Summary,
    index: RwLock<Index>,
}

enum Index {
    /// Until the `.idx` file is written, or when it cannot be.
    Memory(Arc<Map>),
    File(Arc<IndexFile>),
}

/// All packs.
pub(crate) struct Catalog {
    /// The number and file of the pack that grows.
    pub(crate) active: (u32, Arc<File>),
    /// By number, ascending.
    pub(crate) sealed: Vec<Arc<Sealed>>,
}

impl Catalog {
    pub(crate) fn find(&self, number: u32) -> Option<&Arc<Sealed>> {
        let at = self
            .sealed
            .binary_search_by_key(&number, |pack| pack.number);
        at.ok().and_then(|at| self.sealed.get(at))
    }

    /// The same without `gone` and with `new`.
    pub(crate) fn changed(
        &self,
        active: Option<(u32, Arc<File>)>,
        gone: &[u32],
        new: Option<Arc<Sealed>>,
    ) -> Self {
        let kept = self
            .sealed
            .iter()
            .filter(|pack| !gone.contains(&pack.number));
        let mut sealed: Vec<_> = kept.cloned().chain(new).collect();
        sealed.sort_unstable_by_key(|pack| pack.number);
        Self {
            active: active.unwrap_or_else(|| self.active.clone()),
            sealed,
        }
    }
}

impl Sealed {
    pub(crate) fn in_file(header: &FileHeader, file: IndexFile) -> Self {
        Self {
            number: header.number,
            kind: header.kind,
            created: header.created,
            summary: file.summary.clone(),
            index: RwLock::new(Index::File(Arc::new(file))),
        }
    }

    pub(crate) fn in_memory(header: &FileHeader, summary: Summary, map: Map) -> Self {
        Self {
            number: header.number,
            kind: header.kind,
            created: header.created,
            summary,
            index: RwLock::new(Index::Memory(Arc::new(map))),
        }
    }

    /// Whether [`Self::find`] may have to ask the disk or can find something: no false "no".
    pub(crate) fn may_hold(&self, hash: &BlobHash) -> bool {
        match &*self.index.read().unwrap_or_else(PoisonError::into_inner) {
            Index::Memory(map) => map.contains_key(hash),
            Index::File(file) => file.may_hold(hash),
        }
    }

    /// The record of `hash`. A damaged `.idx` file is rebuilt from the pack.
    pub(crate) fn find(
        &self,
        hash: &BlobHash,
        dir: &Path,
        store: StoreId,
        files: &OpenFiles,
        patience: Patience,
    ) -> io::Result<Option<Slot>> {
        let index = match &*self.index.read().unwrap_or_else(PoisonError::into_inner) {
            Index::Memory(map) => return Ok(map.get(hash).copied()),
            Index::File(file) if !file.may_hold(hash) => return Ok(None),
            Index::File(file) => file.clone(),
        };
        let file = files.open(self.number, Which::Index);
        match file.and_then(|file| index.find(&file, hash, patience)) {
            Err(error) if is_damage(&error) && patience == Patience::Wait => {
                Ok(self.rebuild(dir, store, files)?.get(hash).copied())
            }
            other => other,
        }
    }

    /// All records.
    pub(crate) fn map(
        &self,
        dir: &Path,
        store: StoreId,
        files: &OpenFiles,
    ) -> io::Result<Arc<Map>> {
        let index = match &*self.index.read().unwrap_or_else(PoisonError::into_inner) {
            Index::Memory(map) => return Ok(map.clone()),
            Index::File(file) => file.clone(),
        };
        let file = files.open(self.number, Which::Index);
        match file.and_then(|file| index.map(&file)) {
            Err(error) if is_damage(&error) => self.rebuild(dir, store, files),
            other => Ok(Arc::new(other?)),
        }
    }

    fn rebuild(&self, dir: &Path, store: StoreId, files: &OpenFiles) -> io::Result<Arc<Map>> {
        tracing::warn!(
            pack = self.number,
            "index is damaged, rebuilding it from the pack"
        );
        let pack = files.open(self.number, Which::Pack)?;
        let mut map = Map::new();
        scan::scan(&*pack, FILE_HEADER..self.summary.covered, store, |found| {
            note(&found, &mut map);
            Ok(())
        })?;
        let map = Arc::new(map);
        *self.index.write().unwrap_or_else(PoisonError::into_inner) = Index::Memory(map.clone());
        files.forget(self.number);
        self.persist(dir, store)?;
        Ok(map)
    }

    /// Writes the `.idx` file and lets go of the map in memory.
    pub(crate) fn persist(&self, dir: &Path, store: StoreId) -> io::Result<()> {
        let map = match &*self.index.read().unwrap_or_else(PoisonError::into_inner) {
            Index::Memory(map) => map.clone(),
            Index::File(_) => return Ok(()),
        };
        let mut summary = self.summary.clone();
        summary.entries = map.len() as u32;
        let file = index::write(dir, self.number, store, &summary, &map)?;
        *self.index.write().unwrap_or_else(PoisonError::into_inner) = Index::File(Arc::new(file));
        Ok(())
    }
}

/// Enters what a scan found into an index. A later record of the same blob is the better one: it
/// was written because the earlier one was damaged.
pub(crate) fn note(found: &Found, map: &mut Map) {
    if let Found::Record { offset, header, .. } = found
        && !header.is_note()
    {
        let slot = Slot {
            offset: *offset,
            size: header.size,
            units: (header.total() / crate::format::ALIGN) as u32,
        };
        map.insert(header.hash, slot);
    }
}

fn is_damage(error: &io::Error) -> bool {
    matches!(
        error.kind(),
        io::ErrorKind::InvalidData | io::ErrorKind::NotFound
    )
}
