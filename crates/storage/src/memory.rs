//! The reference stores: both contracts in their plainest form, in memory. Tests of the engine and
//! of the fronts run on them, and the conformance suite measures every backend against them.

use crate::{
    Batch, BlobRef, BlobStore, Commit, Entry, Health, Link, MetaStore, Page, Precondition,
    Provenance, Scan, StorageError, Watch, Write, check_key,
};
use async_trait::async_trait;
use bytes::Bytes;
use std::collections::{BTreeMap, BTreeSet, HashMap};
use std::ops::{Bound, Range};
use std::sync::{Arc, PoisonError, RwLock, RwLockReadGuard, RwLockWriteGuard};
use tokio::sync::watch;
use types::{AccountId, BlobHash, EmailId};

/// A [`MetaStore`] in memory. Clones are handles to the same store; a commit is as durable as it
/// will ever be when `commit` returns.
#[derive(Clone, Default)]
pub struct MemoryMeta {
    state: Arc<RwLock<MetaState>>,
}

/// Everything a [`MemoryMeta`] held at one moment: its "disk".
#[derive(Clone, Default, PartialEq, Eq, Debug)]
pub struct MetaSnapshot {
    accounts: BTreeMap<AccountId, BTreeMap<Bytes, Bytes>>,
    links: BTreeSet<(BlobHash, Link)>,
}

#[derive(Default)]
struct MetaState {
    data: MetaSnapshot,
    watches: HashMap<AccountId, watch::Sender<u64>>,
    closed: bool,
}

impl MemoryMeta {
    /// An empty store.
    pub fn new() -> Self {
        Self::default()
    }

    /// What the store holds now; works after `close` as well.
    pub fn snapshot(&self) -> MetaSnapshot {
        self.read().data.clone()
    }

    /// A new store that holds what `snapshot` holds.
    pub fn reopen(snapshot: MetaSnapshot) -> Self {
        let state = MetaState {
            data: snapshot,
            ..MetaState::default()
        };
        Self {
            state: Arc::new(RwLock::new(state)),
        }
    }

    // A panic in another test thread must not hide behind a poisoned lock: no method leaves the
    // state half changed.
    fn read(&self) -> RwLockReadGuard<'_, MetaState> {
        self.state.read().unwrap_or_else(PoisonError::into_inner)
    }

    fn write(&self) -> RwLockWriteGuard<'_, MetaState> {
        self.state.write().unwrap_or_else(PoisonError::into_inner)
    }

    fn opened(&self) -> Result<RwLockReadGuard<'_, MetaState>, StorageError> {
        let state = self.read();
        check_open(state.closed)?;
        Ok(state)
    }
}

fn check_open(closed: bool) -> Result<(), StorageError> {
    if closed {
        return Err(StorageError::unavailable("the store was closed"));
    }
    Ok(())
}

impl MetaSnapshot {
    fn get(&self, account: AccountId, key: &[u8]) -> Option<&Bytes> {
        self.accounts.get(&account)?.get(key)
    }

    fn holds(&self, account: AccountId, condition: &Precondition) -> bool {
        match condition {
            Precondition::Absent(key) => self.get(account, key).is_none(),
            Precondition::Equals(key, value) => self.get(account, key) == Some(value),
        }
    }

    fn apply(&mut self, account: AccountId, write: Write) {
        match write {
            Write::Put(key, value) => {
                self.accounts.entry(account).or_default().insert(key, value);
            }
            Write::Delete(key) => {
                let Some(keys) = self.accounts.get_mut(&account) else {
                    return;
                };
                keys.remove(&key);
                if keys.is_empty() {
                    self.accounts.remove(&account);
                }
            }
            Write::Link(blob, email) => {
                self.links.insert((blob, Link { account, email }));
            }
            Write::Unlink(blob, email) => {
                self.links.remove(&(blob, Link { account, email }));
            }
        }
    }

    fn scan(&self, account: AccountId, scan: &Scan) -> Page {
        // BTreeMap::range panics on a range that is upside down; ours is merely empty.
        let upside_down = scan.end.as_ref().is_some_and(|end| *end <= scan.start);
        let Some(keys) = self.accounts.get(&account).filter(|_| !upside_down) else {
            return Page::default();
        };
        let end = match &scan.end {
            Some(end) => Bound::Excluded(&end[..]),
            None => Bound::Unbounded,
        };
        let range = keys.range::<[u8], _>((Bound::Included(&scan.start[..]), end));
        if scan.reverse {
            page(range.rev(), scan.limit)
        } else {
            page(range, scan.limit)
        }
    }
}

fn page<'a>(mut range: impl Iterator<Item = (&'a Bytes, &'a Bytes)>, limit: usize) -> Page {
    let entries: Vec<Entry> = range
        .by_ref()
        .take(limit)
        .map(|(key, value)| (key.clone(), value.clone()))
        .collect();
    let more = range.next().is_some();
    Page { entries, more }
}

#[async_trait]
impl MetaStore for MemoryMeta {
    fn backend(&self) -> &'static str {
        "memory"
    }

    async fn get(&self, account: AccountId, key: &[u8]) -> Result<Option<Bytes>, StorageError> {
        check_key(key)?;
        Ok(self.opened()?.data.get(account, key).cloned())
    }

    async fn scan(&self, account: AccountId, scan: Scan) -> Result<Page, StorageError> {
        if scan.limit == 0 {
            return Err(StorageError::invalid("scan with a limit of 0"));
        }
        Ok(self.opened()?.data.scan(account, &scan))
    }

    async fn commit(&self, account: AccountId, batch: Batch) -> Result<Commit, StorageError> {
        batch.check()?;
        let mut state = self.write();
        check_open(state.closed)?;
        for condition in &batch.preconditions {
            if !state.data.holds(account, condition) {
                return Err(StorageError::conflict(format!(
                    "account {account}: {condition:?}"
                )));
            }
        }
        for write in batch.writes {
            state.data.apply(account, write);
        }
        if let Some(sender) = state.watches.get(&account) {
            sender.send_modify(|tick| *tick = tick.wrapping_add(1));
        }
        Ok(Commit::already_durable())
    }

    async fn links(&self, blob: &BlobHash, limit: usize) -> Result<Vec<Link>, StorageError> {
        let lowest = Link {
            account: AccountId(0),
            email: EmailId(0),
        };
        let state = self.opened()?;
        let rows = state.data.links.range((*blob, lowest)..);
        Ok(rows
            .take_while(|(hash, _)| hash == blob)
            .map(|(_, link)| *link)
            .take(limit)
            .collect())
    }

    async fn accounts(
        &self,
        after: Option<AccountId>,
        limit: usize,
    ) -> Result<Vec<AccountId>, StorageError> {
        let start = after.map_or(Bound::Unbounded, Bound::Excluded);
        let state = self.opened()?;
        let range = state.data.accounts.range((start, Bound::Unbounded));
        Ok(range.map(|(account, _)| *account).take(limit).collect())
    }

    fn watch(&self, account: AccountId) -> Watch {
        let mut state = self.write();
        if state.closed {
            return Watch::new(watch::channel(0).1);
        }
        state.watches.retain(|_, sender| !sender.is_closed());
        let sender = state.watches.entry(account).or_default();
        Watch::new(sender.subscribe())
    }

    fn is_exclusive(&self) -> bool {
        true
    }

    fn generation(&self) -> u64 {
        0
    }

    fn health(&self) -> Health {
        if self.read().closed {
            return Health::ReadOnly("the store was closed".to_owned());
        }
        Health::Ready
    }

    async fn close(&self) -> Result<(), StorageError> {
        let mut state = self.write();
        state.closed = true;
        state.watches.clear();
        Ok(())
    }
}

/// A [`BlobStore`] in memory. Clones are handles to the same store. Its grace period lasts until
/// [`collect`](Self::collect) is called.
#[derive(Clone, Default)]
pub struct MemoryBlobs {
    state: Arc<RwLock<BlobState>>,
}

#[derive(Clone, Default)]
struct BlobState {
    blobs: BTreeMap<BlobHash, Stored>,
    closed: bool,
}

#[derive(Clone)]
struct Stored {
    bytes: Bytes,
    origin: Provenance,
    released: bool,
}

impl MemoryBlobs {
    /// An empty store.
    pub fn new() -> Self {
        Self::default()
    }

    /// A new store that holds what this one holds, closed or not.
    pub fn reopen(&self) -> Self {
        let state = BlobState {
            blobs: self.read().blobs.clone(),
            closed: false,
        };
        Self {
            state: Arc::new(RwLock::new(state)),
        }
    }

    /// Ends the grace period of everything that was released.
    pub fn collect(&self) {
        self.write().blobs.retain(|_, stored| !stored.released);
    }

    /// Spoils the stored bytes of a blob behind the store's back, so that reading it whole is
    /// `Corrupt`. Whether the blob was there.
    pub fn damage(&self, hash: &BlobHash) -> bool {
        let mut state = self.write();
        let Some(stored) = state.blobs.get_mut(hash) else {
            return false;
        };
        let mut bytes = stored.bytes.to_vec();
        match bytes.first_mut() {
            Some(byte) => *byte ^= 1,
            None => bytes.push(0),
        }
        stored.bytes = bytes.into();
        true
    }

    /// Where a blob was first delivered to.
    pub fn origin(&self, hash: &BlobHash) -> Option<Provenance> {
        let state = self.read();
        state.blobs.get(hash).map(|stored| stored.origin.clone())
    }

    /// How many blobs are stored, released ones included until they are collected.
    pub fn count(&self) -> usize {
        self.read().blobs.len()
    }

    fn read(&self) -> RwLockReadGuard<'_, BlobState> {
        self.state.read().unwrap_or_else(PoisonError::into_inner)
    }

    fn write(&self) -> RwLockWriteGuard<'_, BlobState> {
        self.state.write().unwrap_or_else(PoisonError::into_inner)
    }

    /// The stored bytes, unchecked.
    fn stored(&self, hash: &BlobHash) -> Result<Bytes, StorageError> {
        let state = self.read();
        check_open(state.closed)?;
        match state.blobs.get(hash) {
            Some(stored) => Ok(stored.bytes.clone()),
            None => Err(StorageError::not_found(format!("blob {hash}"))),
        }
    }

    /// The stored bytes, checked against their name.
    fn whole(&self, hash: &BlobHash) -> Result<Bytes, StorageError> {
        let bytes = self.stored(hash)?;
        if hash_of(&bytes) != *hash {
            return Err(StorageError::corrupt(format!("blob {hash}")));
        }
        Ok(bytes)
    }
}

fn hash_of(bytes: &[u8]) -> BlobHash {
    BlobHash(*blake3::hash(bytes).as_bytes())
}

fn length_of(bytes: &Bytes) -> Result<u32, StorageError> {
    u32::try_from(bytes.len())
        .map_err(|_| StorageError::invalid(format!("blob of {} bytes", bytes.len())))
}

#[async_trait]
impl BlobStore for MemoryBlobs {
    fn backend(&self) -> &'static str {
        "memory"
    }

    async fn put(&self, bytes: Bytes, origin: &Provenance) -> Result<BlobRef, StorageError> {
        let size = length_of(&bytes)?;
        let hash = hash_of(&bytes);
        let mut state = self.write();
        check_open(state.closed)?;
        let stored = state.blobs.entry(hash).or_insert_with(|| Stored {
            bytes,
            origin: origin.clone(),
            released: false,
        });
        stored.released = false;
        let hint = 0;
        Ok(BlobRef { hash, size, hint })
    }

    async fn get(&self, blob: &BlobRef, range: Range<u32>) -> Result<Bytes, StorageError> {
        let length = length_of(&self.stored(&blob.hash)?)?;
        if range.start > range.end || range.end > length {
            return Err(StorageError::invalid(format!(
                "{range:?} of blob {} with {length} bytes",
                blob.hash
            )));
        }
        let whole = self.whole(&blob.hash)?;
        Ok(whole.slice(range.start as usize..range.end as usize))
    }

    async fn get_many(&self, blobs: &[BlobRef]) -> Vec<Result<Bytes, StorageError>> {
        blobs.iter().map(|blob| self.whole(&blob.hash)).collect()
    }

    async fn stat(&self, hash: &BlobHash) -> Result<Option<BlobRef>, StorageError> {
        let state = self.read();
        check_open(state.closed)?;
        let Some(stored) = state.blobs.get(hash) else {
            return Ok(None);
        };
        Ok(Some(BlobRef {
            hash: *hash,
            size: length_of(&stored.bytes)?,
            hint: 0,
        }))
    }

    async fn release(&self, hash: &BlobHash) -> Result<(), StorageError> {
        let mut state = self.write();
        check_open(state.closed)?;
        if let Some(stored) = state.blobs.get_mut(hash) {
            stored.released = true;
        }
        Ok(())
    }

    async fn verify(&self, hash: &BlobHash) -> Result<(), StorageError> {
        self.whole(hash).map(drop)
    }

    async fn close(&self) -> Result<(), StorageError> {
        self.write().closed = true;
        Ok(())
    }
}
