//! The trait over log and index.

use crate::checkpoint::Schedule;
use crate::group::Group;
use crate::hold::Holds;
use crate::kept::Kept;
use crate::keys;
use crate::log::{AppendError, Log};
use crate::manifest::Manifest;
use crate::options::{Options, Progress};
use crate::recent::Index;
use crate::record::Record;
use crate::segment::StoreId;
use crate::startup::{self, Layout};
use crate::watch::Watchers;
use async_trait::async_trait;
use bytes::Bytes;
use std::fs::File;
use std::io;
use std::ops::ControlFlow;
use std::path::Path;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError, RwLock, RwLockReadGuard};
use std::thread::JoinHandle;
use storage::{
    Batch, Commit, Health, Link, MetaStore, Page, Precondition, Scan, StorageError, Watch, Write,
    check_key,
};
use types::{AccountId, BlobHash};

/// Commits to accounts of different shards do not wait for each other.
const SHARDS: u8 = 64;
/// Up to this many entries are read on the calling task; more go to a thread that may block.
const INLINE: usize = 256;

/// A [`MetaStore`] in a directory of a local disk.
///
/// Dropping it without [`MetaStore::close`] loses nothing that was durable; the next start replays
/// the end of the log.
pub struct SledStore(Arc<Core>);

/// What the store's threads and tasks share.
pub(crate) struct Core {
    pub(crate) options: Options,
    pub(crate) layout: Layout,
    pub(crate) store: StoreId,
    pub(crate) log: Arc<Log>,
    pub(crate) group: Arc<Group>,
    pub(crate) schedule: Schedule,
    pub(crate) holds: Holds,
    generation: u64,
    manifest: Mutex<Manifest>,
    /// `None` once the store was closed.
    index: RwLock<Option<Index>>,
    shards: Vec<Shard>,
    threads: Mutex<Threads>,
    lock: File,
}

/// The store's own threads, while they run.
#[derive(Default)]
struct Threads {
    sync: Option<JoinHandle<()>>,
    background: Option<JoinHandle<()>>,
}

/// Accounts that share locks.
struct Shard {
    number: u8,
    /// Held by a commit from judging to applying: the log has an account's batches in the order in
    /// which they were judged, and the index gets them in that order.
    order: Mutex<()>,
    /// Held for writing while a batch is applied: nobody reads half of it.
    rows: RwLock<()>,
    /// The sequence that is in the log but not yet in the index; 0: none.
    in_flight: AtomicU64,
    watchers: Watchers,
}

impl SledStore {
    /// Opens the store in `dir`, or makes a new one. Blocks: rebuilding a large index can take a
    /// minute, which `progress` hears about.
    ///
    /// # Errors
    /// - `InUse` when another process, or another store of this one, has the directory.
    /// - `Incompatible` when a newer Gatepost or something else wrote it.
    /// - `Corrupt`, naming file and offset, when the commit log lost what had been durable.
    /// - `Unavailable` on I/O errors.
    pub fn open(
        dir: &Path,
        options: Options,
        progress: &(dyn Fn(Progress) + Sync),
    ) -> Result<Arc<Self>, StorageError> {
        let opened = startup::open(dir, &options, progress)?;
        let log = Arc::new(opened.log);
        let core = Arc::new(Core {
            group: Arc::new(Group::new(
                Arc::clone(&log),
                Arc::clone(&options.observer),
                options.relaxed_sync,
            )),
            schedule: Schedule::new(
                options.checkpoint_bytes,
                opened.log_behind_export,
                opened.export_bytes,
            ),
            holds: Holds::default(),
            layout: opened.layout,
            store: opened.manifest.store,
            log,
            generation: opened.manifest.generation,
            manifest: Mutex::new(opened.manifest),
            index: RwLock::new(Some(opened.index)),
            shards: (0..SHARDS).map(Shard::new).collect(),
            threads: Mutex::default(),
            lock: opened.lock,
            options,
        });
        let store = Self(core);
        store.start_threads()?;
        Ok(Arc::new(store))
    }

    /// Gives back the space of the log that the index does not need any more, and of exports in
    /// which there is much that was deleted since.
    ///
    /// # Errors
    /// `Unavailable` when the store is read-only or closed.
    pub async fn trim(&self) -> Result<(), StorageError> {
        self.blocking(Core::trim).await
    }

    /// Whether anything of a store is in `dir`: without it [`Self::open`] makes a new one.
    pub fn exists(dir: &Path) -> bool {
        startup::exists(dir)
    }

    pub(crate) fn core(&self) -> &Arc<Core> {
        &self.0
    }

    fn start_threads(&self) -> Result<(), StorageError> {
        let core = &self.0;
        let mut threads = lock(&core.threads);
        threads.sync = Some(core.spawn("meta-sync", |core| {
            core.group.run();
            // If a sync failed, the other thread writes that down.
            core.schedule.kick();
        })?);
        threads.background = Some(core.spawn("meta-checkpoint", Core::run_background)?);
        // An export may be due already.
        core.schedule.kick();
        Ok(())
    }

    pub(crate) async fn blocking<T: Send + 'static>(
        &self,
        work: impl FnOnce(&Core) -> Result<T, StorageError> + Send + 'static,
    ) -> Result<T, StorageError> {
        let core = Arc::clone(&self.0);
        tokio::task::spawn_blocking(move || work(&core))
            .await
            .map_err(|e| StorageError::io("wait for a blocking call", &io::Error::other(e)))?
    }
}

impl Drop for SledStore {
    fn drop(&mut self) {
        self.0.abandon();
    }
}

impl Shard {
    fn new(number: u8) -> Self {
        Self {
            number,
            order: Mutex::new(()),
            rows: RwLock::new(()),
            in_flight: AtomicU64::new(0),
            watchers: Watchers::new(),
        }
    }

    /// Brings the index to what the log says with record `sequence`.
    fn apply(
        &self,
        index: &Index,
        account: AccountId,
        writes: &[Write],
        sequence: u64,
    ) -> Result<(), StorageError> {
        {
            let _rows = self.rows.write().unwrap_or_else(PoisonError::into_inner);
            for write in writes {
                let (key, value) = keys::effect(account, write);
                index.set(&key, value)?;
            }
        }
        index.set(&keys::applied(self.number), Some(&sequence.to_le_bytes()))?;
        self.in_flight.store(0, Ordering::Release);
        Ok(())
    }

    /// Keeps batches from being applied.
    fn read(&self) -> RwLockReadGuard<'_, ()> {
        self.rows.read().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Core {
    pub(crate) fn index(&self) -> RwLockReadGuard<'_, Option<Index>> {
        self.index.read().unwrap_or_else(PoisonError::into_inner)
    }

    pub(crate) fn manifest(&self) -> MutexGuard<'_, Manifest> {
        lock(&self.manifest)
    }

    /// The highest sequence up to which every record is in the index.
    pub(crate) fn low_water(&self) -> u64 {
        self.log
            .low_water(self.shards.iter().map(|shard| &shard.in_flight))
    }

    fn spawn(
        self: &Arc<Self>,
        name: &str,
        run: impl FnOnce(&Self) + Send + 'static,
    ) -> Result<JoinHandle<()>, StorageError> {
        let core = Arc::clone(self);
        std::thread::Builder::new()
            .name(name.to_owned())
            .spawn(move || run(&core))
            .map_err(|e| StorageError::io("start a thread of the store", &e))
    }

    /// Makes everything durable and lets go of the directory. A second call waits for the first
    /// one.
    fn close(&self) -> Result<(), StorageError> {
        let mut threads = lock(&self.threads);
        self.schedule.stop();
        join(threads.background.take());
        // From here on no commit can begin, and those that had begun are applied.
        let Some(index) = self.take_index() else {
            return Ok(());
        };
        let synced = self.group.wait_blocking(self.log.written());
        self.group.stop();
        join(threads.sync.take());
        let closed = synced.and_then(|()| self.close_files(index));
        if closed.is_err() {
            self.distrust();
        }
        self.release();
        closed
    }

    /// Lets go of everything as it is.
    fn abandon(&self) {
        let mut threads = lock(&self.threads);
        self.schedule.stop();
        // A checkpoint under way waits for the sync thread: stopped first, that would look like a
        // failing disk, and the next start like one after a power loss.
        join(threads.background.take());
        self.group.stop();
        join(threads.sync.take());
        if self.take_index().is_some() {
            self.release();
        }
    }

    fn take_index(&self) -> Option<Index> {
        let mut index = self.index.write().unwrap_or_else(PoisonError::into_inner);
        index.take()
    }

    fn release(&self) {
        for shard in &self.shards {
            shard.watchers.close();
        }
        if let Err(error) = self.lock.unlock() {
            tracing::warn!(%error, "unlocking the metadata store");
        }
    }

    fn close_files(&self, index: Index) -> Result<(), StorageError> {
        let end = self.low_water();
        index.set(&keys::LOW, Some(&end.to_le_bytes()))?;
        index.close()?;
        self.log
            .seal()
            .map_err(|e| StorageError::io("seal the log", &e))?;
        let mut manifest = self.manifest();
        manifest.promised = end;
        manifest.clean = true;
        manifest.write(&self.layout.root)
    }

    fn shard(&self, account: AccountId) -> &Shard {
        // Fibonacci hashing: neighbouring account ids go to different shards.
        let mixed = account.0.wrapping_mul(0x9e37_79b9_7f4a_7c15) >> 32;
        &self.shards[mixed as usize % self.shards.len()]
    }

    /// Judges, logs and applies a batch; gives the sequence that must be durable before it is.
    fn commit(&self, account: AccountId, batch: &Batch) -> Result<u64, StorageError> {
        let mut record = Record::encode(account, batch)?;
        let shard = self.shard(account);
        let _order = lock(&shard.order);
        let index = self.index();
        let index = index.as_ref().ok_or_else(closed)?;
        self.check_writable()?;
        self.judge(index, account, &batch.preconditions)?;
        if batch.writes.is_empty() {
            return Ok(self.log.written());
        }
        let sequence = self.append(&mut record, shard)?;
        if let Err(error) = shard.apply(index, account, &batch.writes, sequence) {
            // Logged but not applied: only a restart can bring the index in line with the log
            // again.
            self.fail(format!("the index refused a batch: {error}"));
            return Err(StorageError::unavailable(error.context));
        }
        shard.watchers.tick(account);
        self.group.wrote();
        self.schedule.wrote(record.len() as u64);
        self.options.observer.on_commit(record.len());
        Ok(sequence)
    }

    fn judge(
        &self,
        index: &Index,
        account: AccountId,
        preconditions: &[Precondition],
    ) -> Result<(), StorageError> {
        for precondition in preconditions {
            let (key, expected) = match precondition {
                Precondition::Absent(key) => (key, None),
                Precondition::Equals(key, value) => (key, Some(value.as_ref())),
            };
            if !index.holds(&keys::row(account, key), expected)? {
                self.options.observer.on_conflict();
                return Err(StorageError::conflict(format!(
                    "account {account}, key {}",
                    key.escape_ascii()
                )));
            }
        }
        Ok(())
    }

    fn append(&self, record: &mut Record, shard: &Shard) -> Result<u64, StorageError> {
        match self
            .log
            .append(record, self.group.durable(), &shard.in_flight)
        {
            Ok(sequence) => Ok(sequence),
            Err(AppendError::Full(error)) => Err(error),
            Err(AppendError::Fatal(error)) => {
                self.fail(error.context.clone());
                Err(error)
            }
        }
    }

    /// Makes the store read-only and has that written down.
    fn fail(&self, reason: String) {
        self.group.fail(reason);
        self.schedule.kick();
    }

    fn check_writable(&self) -> Result<(), StorageError> {
        match self.group.failure() {
            Some(reason) => Err(StorageError::unavailable(format!("read-only: {reason}"))),
            None => Ok(()),
        }
    }

    fn scan(&self, account: AccountId, mut rest: Scan) -> Result<Page, StorageError> {
        let shard = self.shard(account);
        let index = self.index();
        let index = index.as_ref().ok_or_else(closed)?;
        let mut page = Page::default();
        let mut kept = Kept::for_entries(rest.limit);
        loop {
            let enough = rest.limit.min(page.entries.len() + INLINE);
            let start = keys::row(account, &rest.start);
            let end = match &rest.end {
                Some(end) => keys::row(account, end),
                None => keys::account_end(account),
            };
            page.more = false;
            // Commits wait for a part of a long page, never for all of it.
            let rows = shard.read();
            index.scan(start, end, rest.reverse, |key, value| {
                if page.entries.len() == enough {
                    page.more = true;
                    return ControlFlow::Break(());
                }
                page.entries
                    .push(kept.entry(&key[keys::ROW_PREFIX..], value));
                ControlFlow::Continue(())
            })?;
            drop(rows);
            match page.entries.last() {
                Some((last, _)) if page.more && enough < rest.limit => rest = rest.after(last),
                _ => return Ok(page),
            }
        }
    }

    fn read_many(
        &self,
        account: AccountId,
        keys: &[Bytes],
    ) -> Result<Vec<Option<Bytes>>, StorageError> {
        let index = self.index();
        let index = index.as_ref().ok_or_else(closed)?;
        let mut order: Vec<usize> = (0..keys.len()).collect();
        // Neighbours share a page of the index.
        order.sort_unstable_by_key(|i| &keys[*i]);
        keys.iter().try_for_each(|key| check_key(key))?;
        let mut values = vec![None; keys.len()];
        let _rows = self.shard(account).read();
        for i in order {
            values[i] = index.get(&keys::row(account, &keys[i]))?;
        }
        Ok(values)
    }

    fn links(&self, blob: &BlobHash, limit: usize) -> Result<Vec<Link>, StorageError> {
        let mut links = Vec::new();
        if limit == 0 {
            return Ok(links);
        }
        let (start, end) = keys::link_range(blob);
        self.index()
            .as_ref()
            .ok_or_else(closed)?
            .scan(start, end, false, |key, _| {
                links.extend(keys::parse_link(key));
                if links.len() < limit {
                    ControlFlow::Continue(())
                } else {
                    ControlFlow::Break(())
                }
            })?;
        Ok(links)
    }

    fn accounts(
        &self,
        after: Option<AccountId>,
        limit: usize,
    ) -> Result<Vec<AccountId>, StorageError> {
        let mut accounts = Vec::new();
        let mut start = after.map_or_else(|| keys::row(AccountId(0), b""), keys::account_end);
        let index = self.index();
        let index = index.as_ref().ok_or_else(closed)?;
        while accounts.len() < limit {
            let mut found = None;
            index.scan(start, keys::rows_end(), false, |key, _| {
                found = keys::row_account(key);
                ControlFlow::Break(())
            })?;
            let Some(account) = found else {
                break;
            };
            accounts.push(account);
            start = keys::account_end(account);
        }
        Ok(accounts)
    }
}

#[async_trait]
impl MetaStore for SledStore {
    fn backend(&self) -> &'static str {
        "sled"
    }

    async fn get(&self, account: AccountId, key: &[u8]) -> Result<Option<Bytes>, StorageError> {
        check_key(key)?;
        let index = self.0.index();
        let index = index.as_ref().ok_or_else(closed)?;
        let _rows = self.0.shard(account).read();
        index.get(&keys::row(account, key))
    }

    async fn get_many(
        &self,
        account: AccountId,
        keys: &[Bytes],
    ) -> Result<Vec<Option<Bytes>>, StorageError> {
        if keys.len() <= INLINE {
            return self.0.read_many(account, keys);
        }
        let keys = keys.to_vec();
        self.blocking(move |core| core.read_many(account, &keys))
            .await
    }

    async fn scan(&self, account: AccountId, scan: Scan) -> Result<Page, StorageError> {
        if scan.limit == 0 {
            return Err(StorageError::invalid("a scan of 0 entries"));
        }
        if scan.limit <= INLINE {
            return self.0.scan(account, scan);
        }
        self.blocking(move |core| core.scan(account, scan)).await
    }

    async fn commit(&self, account: AccountId, batch: Batch) -> Result<Commit, StorageError> {
        let sequence = self.0.commit(account, &batch)?;
        Ok(Commit::pending(self.0.group.wait(sequence)))
    }

    async fn links(&self, blob: &BlobHash, limit: usize) -> Result<Vec<Link>, StorageError> {
        if limit <= INLINE {
            return self.0.links(blob, limit);
        }
        let blob = *blob;
        self.blocking(move |core| core.links(&blob, limit)).await
    }

    async fn accounts(
        &self,
        after: Option<AccountId>,
        limit: usize,
    ) -> Result<Vec<AccountId>, StorageError> {
        if limit <= INLINE {
            return self.0.accounts(after, limit);
        }
        self.blocking(move |core| core.accounts(after, limit)).await
    }

    fn watch(&self, account: AccountId) -> Watch {
        self.0.shard(account).watchers.watch(account)
    }

    fn is_exclusive(&self) -> bool {
        true
    }

    fn generation(&self) -> u64 {
        self.0.generation
    }

    fn health(&self) -> Health {
        match self.0.group.failure() {
            Some(reason) => Health::ReadOnly(reason.to_string()),
            None => Health::Ready,
        }
    }

    async fn close(&self) -> Result<(), StorageError> {
        self.blocking(Core::close).await
    }
}

pub(crate) fn closed() -> StorageError {
    StorageError::unavailable("the store is closed")
}

fn join(thread: Option<JoinHandle<()>>) {
    if thread.is_some_and(|thread| thread.join().is_err()) {
        tracing::error!("a thread of the metadata store panicked");
    }
}

/// The state behind these locks is complete between any two statements: a panic elsewhere does not
/// make it wrong.
fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}
