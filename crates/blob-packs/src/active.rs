//! The pack that grows: appending, and making everything appended durable.

use crate::catalog::Sealed;
use crate::files::{self, Which};
use crate::format::{ALIGN, FILE_HEADER, FileHeader, Kind, StoreId};
use crate::index::{Map, Slot, Summary};
use crate::options::{Options, Step};
use crate::released::Released;
use crate::store::Shared;
use std::fs::File;
use std::io::{self, IoSlice};
use std::ops::Range;
use std::path::Path;
use std::sync::Arc;
use std::time::Instant;
use storage::StorageError;
use tokio::sync::oneshot;
use types::BlobHash;

/// Blocks reserved ahead of the end of the pack. Measured (docs/decisions): `fdatasync` after an
/// append into reserved blocks is a third cheaper for one writer than one that allocates.
const RESERVE: u64 = 16 << 20;
/// Growth after which the index of the active pack is written down, to bound the scan of a restart.
const CHECKPOINT: u64 = 128 << 20;

/// The pack that grows.
pub(crate) struct Active {
    pub(crate) header: FileHeader,
    pub(crate) file: Arc<File>,
    /// Where the next record goes.
    pub(crate) tail: u64,
    pub(crate) map: Map,
    pub(crate) damage: Vec<Range<u64>>,
    /// Blocks are reserved up to here; `u64::MAX` where the file system cannot.
    reserved: u64,
    checkpoint: u64,
}

/// What changes under the writer's lock.
pub(crate) struct Writer {
    pub(crate) active: Active,
    /// The active pack is on stable storage up to here.
    pub(crate) durable: u64,
    pub(crate) released: Released,
    pub(crate) waiters: Vec<Waiter>,
    /// The log of releases holds something a waiter relies on.
    pub(crate) log_dirty: bool,
    /// Somebody wants the active pack sealed, whatever its size.
    pub(crate) seal: Vec<Waiter>,
    /// Somebody has the turn: only they sync and seal.
    pub(crate) syncing: bool,
    /// The sync thread has something to do although nobody waits.
    pub(crate) tend: bool,
    pub(crate) next_number: u32,
    /// Why the store takes no more writes.
    pub(crate) failed: Option<String>,
    pub(crate) closed: bool,
}

pub(crate) type Waiter = oneshot::Sender<Result<(), StorageError>>;

impl Active {
    pub(crate) fn new(header: FileHeader, file: File, tail: u64, map: Map) -> Self {
        Self {
            header,
            file: Arc::new(file),
            tail,
            map,
            damage: Vec::new(),
            reserved: tail,
            checkpoint: tail,
        }
    }

    /// Makes a new pack whose name and header are on stable storage.
    pub(crate) fn create(
        dir: &Path,
        number: u32,
        store: StoreId,
        options: &Options,
    ) -> io::Result<Self> {
        let header = FileHeader {
            number,
            kind: Kind::Delivered,
            created: options.seconds(),
            replaces: Vec::new(),
        };
        let path = files::path(dir, number, Which::Pack);
        let file = files::replace(&path, &[&header.encode(store)], true)?;
        files::sync_dir(dir)?;
        Ok(Self::new(header, file, FILE_HEADER, Map::new()))
    }

    /// Appends one record without copying it. When that fails the pack ends where it ended before.
    ///
    /// # Errors
    /// What the disk said; if even cutting the pack back failed, the second value says that.
    pub(crate) fn append(
        &mut self,
        head: &[u8],
        body: &[u8],
        options: &Options,
    ) -> Result<Slot, (io::Error, Option<io::Error>)> {
        let padding = [0; ALIGN as usize];
        let length = (head.len() + body.len()) as u64;
        let total = length.next_multiple_of(ALIGN);
        self.reserve(total, options);
        let parts = [head, body, &padding[..(total - length) as usize]];
        let written = options
            .step(Step::Append)
            .and_then(|()| write_all(&self.file, parts, self.tail));
        if let Err(error) = written {
            self.reserved = self.tail;
            return Err((error, self.file.set_len(self.tail).err()));
        }
        let slot = Slot {
            offset: self.tail,
            size: body.len() as u32,
            units: (total / ALIGN) as u32,
        };
        self.tail += total;
        Ok(slot)
    }

    fn reserve(&mut self, total: u64, options: &Options) {
        if self.tail + total <= self.reserved {
            return;
        }
        let want = total.max(RESERVE.min(options.pack_bytes));
        let flags = rustix::fs::FallocateFlags::KEEP_SIZE;
        self.reserved = match rustix::fs::fallocate(&self.file, flags, self.tail, want) {
            Ok(()) => self.tail + want,
            // The disk is full or nearly so: the write itself will tell.
            Err(rustix::io::Errno::NOSPC) => self.tail + total,
            Err(_) => u64::MAX,
        };
    }

    pub(crate) fn summary(&self, sealed: bool) -> Summary {
        Summary {
            covered: self.tail,
            sealed,
            entries: self.map.len() as u32,
            record_bytes: self.map.values().map(Slot::total).sum(),
            damage: self.damage.clone(),
        }
    }
}

fn write_all(file: &File, parts: [&[u8]; 3], mut at: u64) -> io::Result<()> {
    let mut slices = parts.map(IoSlice::new);
    let mut rest = &mut slices[..];
    IoSlice::advance_slices(&mut rest, 0);
    while !rest.is_empty() {
        match rustix::io::pwritev(file, rest, at) {
            Ok(0) => return Err(io::ErrorKind::WriteZero.into()),
            Ok(n) => {
                at += n as u64;
                IoSlice::advance_slices(&mut rest, n);
            }
            Err(rustix::io::Errno::INTR) => {}
            Err(error) => return Err(error.into()),
        }
    }
    Ok(())
}

impl Writer {
    /// Answers why nothing can be written, if so.
    pub(crate) fn check(&self) -> Result<(), StorageError> {
        if self.closed {
            return Err(StorageError::unavailable("blob store is closed"));
        }
        match &self.failed {
            Some(why) => Err(StorageError::unavailable(format!(
                "blob store is read-only since {why}"
            ))),
            None => Ok(()),
        }
    }

    /// No more writes until the next start: what is on disk is not known any more.
    pub(crate) fn fail(&mut self, why: String) {
        tracing::error!(%why, "blob store is read-only until the next start");
        let error = StorageError::unavailable(why.clone());
        self.failed.get_or_insert(why);
        for waiter in self.waiters.drain(..).chain(self.seal.drain(..)) {
            let _ = waiter.send(Err(error.clone()));
        }
    }

    /// Appends a record and enters it into the index (a note has no entry).
    pub(crate) fn append(
        &mut self,
        head: &[u8],
        body: &[u8],
        entry: Option<BlobHash>,
        options: &Options,
    ) -> Result<Slot, StorageError> {
        match self.active.append(head, body, options) {
            Ok(slot) => {
                if let Some(hash) = entry {
                    self.active.map.insert(hash, slot);
                }
                Ok(slot)
            }
            Err((error, None)) => Err(StorageError::io("append to pack", &error)),
            Err((error, Some(second))) => {
                self.fail(format!(
                    "an append failed ({error}) and could not be undone: {second}"
                ));
                Err(StorageError::io("append to pack", &error))
            }
        }
    }
}

/// The turn to sync, which one thread has at a time. Everybody who appended before an `fdatasync`
/// began is answered by it; who comes later waits for the next one, together with all others.
struct Turn<'a>(&'a Shared);

impl<'a> Turn<'a> {
    fn take(shared: &'a Shared, writer: &mut Writer) -> Self {
        writer.syncing = true;
        Self(shared)
    }
}

impl Drop for Turn<'_> {
    fn drop(&mut self) {
        let mut writer = self.0.writer();
        writer.syncing = false;
        let more = writer.needs_thread();
        drop(writer);
        if more {
            self.0.wake();
        }
    }
}

impl Writer {
    /// Whether the sync thread has to look.
    fn needs_thread(&self) -> bool {
        let waiting = !self.waiters.is_empty() || !self.seal.is_empty();
        waiting || self.tend || self.closed || self.failed.is_some()
    }

    fn is_full(&self, options: &Options) -> bool {
        self.active.tail > options.pack_bytes.min(crate::MAX_PACK_BYTES)
    }

    fn is_stale(&self) -> bool {
        self.active.tail - self.active.checkpoint > CHECKPOINT
    }
}

/// Has what was appended synced: here and now if nobody is at it, so that a single writer waits for
/// the disk and for no thread; otherwise by whoever has the turn next.
pub(crate) fn sync_soon(shared: &Shared) {
    let mut writer = shared.writer();
    if writer.syncing || writer.waiters.is_empty() {
        return;
    }
    if !storage::may_wait_in_place() {
        drop(writer);
        shared.wake();
        return;
    }
    let group = std::mem::take(&mut writer.waiters);
    let _turn = Turn::take(shared, &mut writer);
    drop(writer);
    storage::in_place(|| sync(shared, group));
    let mut writer = shared.writer();
    writer.tend |= writer.is_full(&shared.options) || writer.is_stale();
}

/// The sync thread: it syncs while others keep coming, and seals packs.
pub(crate) fn sync_loop(shared: &Shared) {
    while let Some((_turn, group, seal)) = next_group(shared) {
        if !sync(shared, group) {
            return;
        }
        let mut writer = shared.writer();
        writer.tend = false;
        let full = writer.is_full(&shared.options);
        // Whoever asked for sealing may have been outrun by a pack that was full.
        let wanted = !seal.is_empty() && writer.active.tail > FILE_HEADER;
        let stale = writer.is_stale();
        if stale {
            writer.active.checkpoint = writer.active.tail;
        }
        drop(writer);
        let mut result = Ok(());
        if full || wanted {
            result = roll(shared);
            if let Err(error) = &result {
                tracing::warn!(%error, "active pack could not be sealed");
            }
        } else if stale {
            checkpoint(shared);
        }
        for waiter in seal {
            let _ = waiter.send(result.clone());
        }
    }
}

/// Waits for work and the turn to do it; `None` when the store is closed and nothing is left to do.
fn next_group(shared: &Shared) -> Option<(Turn<'_>, Vec<Waiter>, Vec<Waiter>)> {
    let mut writer = shared.writer();
    loop {
        if !writer.syncing {
            // After a failure nothing may be synced again.
            if writer.failed.is_some() {
                return None;
            }
            if writer.tend || !writer.waiters.is_empty() || !writer.seal.is_empty() {
                let turn = Turn::take(shared, &mut writer);
                let group = std::mem::take(&mut writer.waiters);
                return Some((turn, group, std::mem::take(&mut writer.seal)));
            }
            if writer.closed {
                return None;
            }
        }
        writer = shared.wait(writer);
    }
}

fn sync(shared: &Shared, group: Vec<Waiter>) -> bool {
    let mut writer = shared.writer();
    let (number, tail) = (writer.active.header.number, writer.active.tail);
    let files = [writer.active.file.clone(), writer.released.file().clone()];
    let log_dirty = std::mem::take(&mut writer.log_dirty);
    drop(writer);
    let start = Instant::now();
    let result = shared
        .options
        .step(Step::Sync)
        .and_then(|()| files[0].sync_data())
        .and_then(|()| {
            if log_dirty {
                files[1].sync_data()
            } else {
                Ok(())
            }
        });
    let took = start.elapsed();
    let mut writer = shared.writer();
    if let Err(error) = result {
        writer.waiters.extend(group);
        writer.fail(format!("fdatasync failed: {error}"));
        return false;
    }
    debug_assert_eq!(
        writer.active.header.number, number,
        "only who has the turn seals"
    );
    writer.durable = tail;
    drop(writer);
    if let Some(observer) = &shared.options.on_sync {
        observer(took, group.len());
    }
    for waiter in group {
        let _ = waiter.send(Ok(()));
    }
    true
}

/// Seals the active pack and starts the next one.
fn roll(shared: &Shared) -> Result<(), StorageError> {
    let io = |error: io::Error| StorageError::io("seal pack", &error);
    let number = shared.take_number()?;
    let next = Active::create(&shared.dir, number, shared.store, &shared.options).map_err(io)?;
    if let Err(error) = shared.options.step(Step::Seal) {
        let _ = files::remove(&files::path(&shared.dir, number, Which::Pack));
        return Err(io(error));
    }
    // Most of what came in since the last group commit is synced here, so that the lock is held
    // shortly. A failure shows once only: it may never be passed over.
    if let Err(error) = shared.catalog().active.1.sync_data() {
        shared.writer().fail(format!("fdatasync failed: {error}"));
        return Err(io(error));
    }
    let (sealed, group) = {
        let mut writer = shared.writer();
        // What came in since the last group commit must not be forgotten with the old descriptor.
        if let Err(error) = writer.active.file.sync_data() {
            writer.fail(format!("fdatasync failed: {error}"));
            return Err(io(error));
        }
        let _ = writer.active.file.set_len(writer.active.tail); // gives reserved blocks back
        let old = std::mem::replace(&mut writer.active, next);
        writer.durable = FILE_HEADER;
        let summary = old.summary(true);
        let sealed = Arc::new(Sealed::in_memory(&old.header, summary, old.map));
        let active = (number, writer.active.file.clone());
        shared.change_catalog(Some(active), &[], Some(sealed.clone()));
        let group = if writer.log_dirty {
            Vec::new()
        } else {
            std::mem::take(&mut writer.waiters)
        };
        (sealed, group)
    };
    for waiter in group {
        let _ = waiter.send(Ok(()));
    }
    if let Err(error) = sealed
        .persist(&shared.dir, shared.store)
        .and_then(|()| files::sync_dir(&shared.dir))
    {
        // It stays in memory and is rebuilt at the next start.
        tracing::warn!(pack = sealed.number, %error, "index could not be written");
    }
    Ok(())
}

/// Writes down what the active pack holds, so that the next start scans only what came later. It
/// need not be durable: a lost or torn one is noticed and costs time.
pub(crate) fn checkpoint(shared: &Shared) {
    let writer = shared.writer();
    let number = writer.active.header.number;
    let mut map = writer.active.map.clone();
    let mut summary = writer.active.summary(false);
    summary.covered = writer.durable;
    drop(writer);
    // Nothing may be believed that a power cut can still take away.
    map.retain(|_, slot| slot.offset < summary.covered);
    summary.entries = map.len() as u32;
    summary.record_bytes = map.values().map(Slot::total).sum();
    if let Err(error) = crate::index::write(&shared.dir, number, shared.store, &summary, &map) {
        tracing::warn!(pack = number, %error, "checkpoint of the active pack could not be written");
    }
}
