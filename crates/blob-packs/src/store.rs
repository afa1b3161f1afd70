//! The store: what its parts share, and the trait.

use crate::active::{self, Writer};
use crate::buffers::Buffers;
use crate::catalog::{Catalog, Sealed};
use crate::files::{self, OpenFiles, Patience, Which};
use crate::format::{self, FILE_HEADER, Kind, StoreId};
use crate::hold::Holds;
use crate::index::Slot;
use crate::options::{Options, Progress};
use crate::read::plausible;
use crate::released::Location;
use crate::scan::{self, Found};
use async_trait::async_trait;
use bytes::Bytes;
use std::fs::File;
use std::ops::{ControlFlow, Range};
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError, RwLock};
use std::thread::JoinHandle;
use storage::{BlobRef, BlobStore, Health, Provenance, StorageError};
use types::BlobHash;

/// Blobs up to this size are hashed, written and read on the async threads: cheaper than a
/// hand-over.
const INLINE: usize = 1 << 20;
/// Reads up to this size are first tried from the page cache, without leaving the async thread.
const INLINE_READ: u32 = 256 << 10;

/// Blobs in pack files. See the [crate] documentation.
pub struct PackStore {
    pub(crate) shared: Arc<Shared>,
    pub(crate) compaction: tokio::sync::Mutex<()>,
}

/// What the store's threads and tasks share.
pub(crate) struct Shared {
    pub(crate) dir: PathBuf,
    pub(crate) store: StoreId,
    pub(crate) options: Options,
    pub(crate) files: OpenFiles,
    pub(crate) buffers: Buffers,
    pub(crate) holds: Holds,
    closed: AtomicBool,
    catalog: RwLock<Arc<Catalog>>,
    writer: Mutex<Writer>,
    wake: Condvar,
    thread: Mutex<Option<JoinHandle<()>>>,
    /// Held as long as the store is open.
    lock: Mutex<Option<File>>,
}

/// One record as [`PackStore::scan_records`] shows it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ScannedRecord {
    /// Hash, size and place. `None` for a region of a pack where no record can be recognised.
    pub blob: Option<BlobRef>,
    /// Whether owners and stored bytes are what was written.
    pub whole: bool,
    /// Further owners of a blob stored elsewhere, without bytes of its own.
    pub is_note: bool,
    /// To whom it was delivered; empty when that is damaged.
    pub origin: Provenance,
    /// Whether it was released: no link row named the blob then.
    pub released: bool,
    /// Whether a compaction wrote it here: then its place says nothing of when it was put.
    pub compacted: bool,
    /// The pack's number.
    pub pack: u32,
    /// The record's bytes in the pack.
    pub bytes: Range<u64>,
}

/// Figures for metrics and operators.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Stats {
    /// Pack files.
    pub packs: usize,
    /// Bytes of all packs.
    pub bytes: u64,
    /// Blobs (one that lies in two packs counts twice).
    pub blobs: u64,
    /// Bytes of records released and not yet collected.
    pub dead_bytes: u64,
    /// Bytes of regions without a readable record.
    pub damaged_bytes: u64,
}

impl Shared {
    pub(crate) fn new(
        dir: PathBuf,
        store: StoreId,
        options: Options,
        catalog: Catalog,
        writer: Writer,
        lock: File,
    ) -> Self {
        Self {
            files: OpenFiles::new(dir.clone()),
            buffers: Buffers::default(),
            holds: Holds::default(),
            dir,
            store,
            options,
            closed: AtomicBool::new(false),
            catalog: RwLock::new(Arc::new(catalog)),
            writer: Mutex::new(writer),
            wake: Condvar::new(),
            thread: Mutex::new(None),
            lock: Mutex::new(Some(lock)),
        }
    }

    pub(crate) fn writer(&self) -> MutexGuard<'_, Writer> {
        self.writer.lock().unwrap_or_else(PoisonError::into_inner)
    }

    pub(crate) fn wait<'a>(&self, writer: MutexGuard<'a, Writer>) -> MutexGuard<'a, Writer> {
        self.wake
            .wait(writer)
            .unwrap_or_else(PoisonError::into_inner)
    }

    /// Wakes the sync thread.
    pub(crate) fn wake(&self) {
        self.wake.notify_one();
    }

    pub(crate) fn catalog(&self) -> Arc<Catalog> {
        self.catalog
            .read()
            .unwrap_or_else(PoisonError::into_inner)
            .clone()
    }

    /// Replaces the catalog. The caller holds the writer's lock: nobody else changes it meanwhile.
    pub(crate) fn change_catalog(
        &self,
        active: Option<(u32, Arc<File>)>,
        gone: &[u32],
        new: Option<Arc<Sealed>>,
    ) {
        let next = Arc::new(self.catalog().changed(active, gone, new));
        *self.catalog.write().unwrap_or_else(PoisonError::into_inner) = next;
    }

    /// A pack number nobody has had.
    pub(crate) fn take_number(&self) -> Result<u32, StorageError> {
        let mut writer = self.writer();
        let number = writer.next_number;
        if number >= 1 << 24 {
            return Err(StorageError::unavailable("pack numbers are used up"));
        }
        writer.next_number += 1;
        Ok(number)
    }

    pub(crate) fn check_open(&self) -> Result<(), StorageError> {
        if self.closed.load(Ordering::Acquire) {
            return Err(StorageError::unavailable("blob store is closed"));
        }
        Ok(())
    }

    /// Stops the sync thread once everything appended is durable.
    fn stop(&self) {
        let mut writer = self.writer();
        writer.closed = true;
        self.closed.store(true, Ordering::Release);
        drop(writer);
        self.wake();
        let thread = self
            .thread
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
            .take();
        if let Some(thread) = thread
            && thread.join().is_err()
        {
            tracing::error!("the sync thread of the blob store panicked");
        }
    }

    fn finish(&self) -> Result<(), StorageError> {
        self.stop();
        let mut writer = self.writer();
        let healthy = writer.failed.is_none();
        let mut result = Ok(());
        if healthy {
            let flushed = writer.released.flush();
            let _ = writer.active.file.set_len(writer.active.tail); // gives reserved blocks back
            let synced = writer.active.file.sync_data();
            if let Err(error) = flushed.and(synced) {
                result = Err(StorageError::io("close blob store", &error));
            } else {
                writer.durable = writer.active.tail;
            }
        }
        drop(writer);
        if healthy && result.is_ok() {
            active::checkpoint(self);
        }
        self.lock
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
            .take();
        result
    }
}

/// Pack and offset as a reference carries them: 24 and 40 bits.
pub(crate) fn hint_of(at: Location) -> u64 {
    u64::from(at.pack) << 40 | at.offset
}

/// The place a hint names; `None` for 0 and what no record can have.
pub(crate) fn location_of(hint: u64) -> Option<Location> {
    let at = Location {
        pack: (hint >> 40) as u32,
        offset: hint & ((1 << 40) - 1),
    };
    plausible(at).then_some(at)
}

impl PackStore {
    /// Opens the store in `dir`, making it when there is none. Blocks; `progress` hears how far the
    /// scan of packs without an index is.
    ///
    /// # Errors
    /// `InUse` when another process has it, `Incompatible` when it is of a newer format or
    /// something else, `Unavailable` when the disk fails.
    pub fn open(
        dir: impl AsRef<Path>,
        options: Options,
        progress: impl FnMut(Progress),
    ) -> Result<Arc<Self>, StorageError> {
        let shared = Arc::new(crate::open::open(dir.as_ref(), options, progress)?);
        let thread = std::thread::Builder::new()
            .name("blob-sync".into())
            .spawn({
                let shared = shared.clone();
                move || active::sync_loop(&shared)
            })
            .map_err(|error| StorageError::io("start sync thread", &error))?;
        *shared.thread.lock().unwrap_or_else(PoisonError::into_inner) = Some(thread);
        Ok(Arc::new(Self {
            shared,
            compaction: tokio::sync::Mutex::new(()),
        }))
    }

    /// Whether the store takes writes.
    pub fn health(&self) -> Health {
        match self.shared.writer().check() {
            Ok(()) => Health::Ready,
            Err(error) => Health::ReadOnly(error.context),
        }
    }

    /// Gives up the memory that large reads left for the next ones (17 MiB at most). Cheap; worth
    /// doing now and then, since a store that reads little would keep it for ever.
    pub fn give_up_buffers(&self) {
        self.shared.buffers.clear();
    }

    /// Figures for metrics. Cheap.
    pub fn stats(&self) -> Stats {
        let writer = self.shared.writer();
        let catalog = self.shared.catalog();
        let damaged = |ranges: &[Range<u64>]| ranges.iter().map(|r| r.end - r.start).sum::<u64>();
        let mut stats = Stats {
            packs: catalog.sealed.len() + 1,
            bytes: writer.active.tail,
            blobs: writer.active.map.len() as u64,
            dead_bytes: writer.released.bytes(),
            damaged_bytes: damaged(&writer.active.damage),
        };
        for pack in &catalog.sealed {
            stats.bytes += pack.summary.covered;
            stats.blobs += u64::from(pack.summary.entries);
            stats.damaged_bytes += damaged(&pack.summary.damage);
        }
        stats
    }

    /// When the newest pack was made, in seconds since 1970: the clock has been there.
    pub fn newest(&self) -> u64 {
        let active = self.shared.writer().active.header.created;
        let catalog = self.shared.catalog();
        let sealed = catalog.sealed.iter().map(|pack| pack.created);
        sealed.fold(active, u64::max)
    }

    /// The numbers of packs whose index is there and whose file is lost, and how many blobs each
    /// held.
    pub fn missing(&self) -> Vec<(u32, u32)> {
        let catalog = self.shared.catalog();
        let is_missing = |number| !files::path(&self.shared.dir, number, Which::Pack).exists();
        let sealed = catalog.sealed.iter();
        sealed
            .filter(|pack| is_missing(pack.number))
            .map(|pack| (pack.number, pack.summary.entries))
            .collect()
    }

    /// Reads every pack from front to back and shows each record, for `gatepost recover` and
    /// `verify`. Checksums are checked, BLAKE3 is not. Blocks.
    ///
    /// # Errors
    /// `Unavailable` when the disk fails. A missing pack is no error: its records are not shown.
    pub fn scan_records(
        &self,
        mut visit: impl FnMut(ScannedRecord) -> ControlFlow<()>,
    ) -> Result<(), StorageError> {
        let shared = &self.shared;
        shared.check_open()?;
        let (catalog, tail) = {
            let writer = shared.writer();
            (shared.catalog(), writer.active.tail)
        };
        let sealed = catalog
            .sealed
            .iter()
            .map(|pack| (pack.number, pack.summary.covered, pack.kind));
        let active = (catalog.active.0, tail, Kind::Delivered);
        for (number, end, kind) in sealed.chain([active]) {
            let describe = |found| shared.describe(found, number, kind);
            let file = if number == catalog.active.0 {
                catalog.active.1.clone()
            } else {
                match shared.files.open(number, Which::Pack) {
                    Ok(file) => file,
                    Err(error) if error.kind() == std::io::ErrorKind::NotFound => continue,
                    Err(error) => return Err(StorageError::io("open pack", &error)),
                }
            };
            let mut stopped = false;
            let result = scan::scan(&*file, FILE_HEADER..end, shared.store, |found| {
                if visit(describe(found)).is_break() {
                    stopped = true;
                    return Err(std::io::ErrorKind::Interrupted.into());
                }
                Ok(())
            });
            match result {
                _ if stopped => return Ok(()),
                Err(error) => return Err(StorageError::io("scan pack", &error)),
                Ok(at) if at < end => {
                    let _ = visit(describe(Found::Damage(at..end)));
                }
                Ok(_) => {}
            }
        }
        Ok(())
    }
}

impl PackStore {
    /// Where copies of a blob are: off the async threads if the page cache does not know.
    async fn locate(&self, hash: &BlobHash) -> Result<Vec<(Location, Slot)>, StorageError> {
        self.shared.check_open()?;
        if let Ok(places) = self.shared.locate(hash, Patience::PageCacheOnly) {
            return Ok(places);
        }
        let (shared, hash) = (self.shared.clone(), *hash);
        blocking(move || shared.locate(&hash, Patience::Wait)).await?
    }
}

impl Drop for PackStore {
    fn drop(&mut self) {
        self.shared.stop();
    }
}

impl Shared {
    fn describe(&self, found: Found, pack: u32, kind: Kind) -> ScannedRecord {
        let compacted = kind == Kind::Compacted;
        match found {
            Found::Damage(bytes) => ScannedRecord {
                blob: None,
                whole: false,
                is_note: false,
                origin: Provenance::default(),
                released: false,
                compacted,
                pack,
                bytes,
            },
            Found::Record {
                offset,
                header,
                owners,
                whole,
            } => {
                let at = Location { pack, offset };
                let hint = if header.is_note() { 0 } else { hint_of(at) };
                ScannedRecord {
                    blob: Some(BlobRef {
                        hash: header.hash,
                        size: header.size,
                        hint,
                    }),
                    whole,
                    is_note: header.is_note(),
                    origin: format::decode_origin(&header, &owners),
                    released: self.writer().released.is_dead(at),
                    compacted,
                    pack,
                    bytes: offset..offset + header.total(),
                }
            }
        }
    }
}

/// Runs what may wait for the disk off the async threads.
pub(crate) async fn blocking<T: Send + 'static>(
    work: impl FnOnce() -> T + Send + 'static,
) -> Result<T, StorageError> {
    tokio::task::spawn_blocking(work)
        .await
        .map_err(|error| StorageError::unavailable(format!("blob store task: {error}")))
}

#[async_trait]
impl BlobStore for PackStore {
    fn backend(&self) -> &'static str {
        "packs"
    }

    async fn put(&self, bytes: Bytes, origin: &Provenance) -> Result<BlobRef, StorageError> {
        let shared = &self.shared;
        let mut hash = None;
        let known = if bytes.len() <= INLINE {
            let blake = BlobHash(*blake3::hash(&bytes).as_bytes());
            hash = Some(blake);
            shared.may_be_there(&blake)
        } else {
            true
        };
        let receipt = if known {
            let (shared, origin) = (shared.clone(), origin.clone());
            blocking(move || shared.store_blob(hash, &bytes, &origin)).await??
        } else {
            shared.store_blob(hash, &bytes, origin)?
        };
        receipt.durable(shared).await
    }

    async fn get(&self, blob: &BlobRef, range: Range<u32>) -> Result<Bytes, StorageError> {
        let shared = &self.shared;
        shared.check_open()?;
        if range.end.saturating_sub(range.start) <= INLINE_READ
            && let Ok(bytes) = shared.read(blob, &range, Patience::PageCacheOnly)
        {
            return Ok(bytes);
        }
        let (shared, blob) = (shared.clone(), *blob);
        blocking(move || shared.read(&blob, &range, Patience::Wait)).await?
    }

    async fn get_many(&self, blobs: &[BlobRef]) -> Vec<Result<Bytes, StorageError>> {
        let (shared, copies) = (self.shared.clone(), blobs.to_vec());
        let work = move || {
            shared.check_open()?;
            Ok(shared.read_many(&copies))
        };
        match blocking(work).await.and_then(|result| result) {
            Ok(answers) => answers,
            Err(error) => vec![Err(error); blobs.len()],
        }
    }

    async fn stat(&self, hash: &BlobHash) -> Result<Option<BlobRef>, StorageError> {
        let places = self.locate(hash).await?;
        Ok(places.first().map(|(at, slot)| BlobRef {
            hash: *hash,
            size: slot.size,
            hint: hint_of(*at),
        }))
    }

    async fn release(&self, hash: &BlobHash) -> Result<(), StorageError> {
        let places = self.locate(hash).await?;
        self.shared.release(places)
    }

    async fn verify(&self, hash: &BlobHash) -> Result<(), StorageError> {
        self.shared.check_open()?;
        let (shared, hash) = (self.shared.clone(), *hash);
        blocking(move || shared.verify(&hash)).await?
    }

    async fn close(&self) -> Result<(), StorageError> {
        let shared = self.shared.clone();
        blocking(move || shared.finish()).await?
    }
}
