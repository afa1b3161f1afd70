//! What a backend brings, and what a case gets.

use super::support::{Dump, all_entries, assert_kind, bytes, dump};
use crate::{
    Batch, BlobRef, BlobStore, Entry, ErrorKind, MetaStore, Page, Provenance, Scan, StorageError,
};
use bytes::Bytes;
use std::collections::BTreeMap;
use std::fs;
use std::ops::AsyncFnOnce;
use std::path::Path;
use std::sync::Arc;
use std::time::Duration;
use types::{AccountId, BlobHash};

/// The store is away only inside `crash`.
const OPEN: &str = "the store is open";

/// No case needs nearly as long; a store that never answers must fail, not hang.
const PATIENCE: Duration = Duration::from_secs(240);

/// A place where one [`MetaStore`] lives: a temporary directory, a schema of its own, the store
/// before.
#[expect(async_fn_in_trait, reason = "run by block_on, never spawned")]
pub trait MetaHarness: Sized + 'static {
    /// The backend under test.
    type Store: MetaStore;

    /// A place where no store has been yet. Removes itself when dropped.
    async fn fresh() -> Self;

    /// Opens the store at this place, making it if there is none. Panics on failure.
    async fn open(&self) -> Self::Store;

    /// Ends the store without closing it, as when the process is killed, and opens what is left.
    ///
    /// By default the only handle is dropped and the place opened again: enough for a store whose
    /// `Drop` does nothing more than release it. A store that tidies up when dropped should
    /// override this, for instance by opening a copy of its files taken while `store` still runs.
    /// Commits whose handles did not resolve may be lost, as the contract allows; commits that were
    /// durable may not.
    async fn crash_reopen(&self, store: Arc<Self::Store>) -> Self::Store {
        drop(Arc::into_inner(store).expect("a crash case holds the only handle"));
        self.open().await
    }
}

/// A place where one [`BlobStore`] lives.
#[expect(async_fn_in_trait, reason = "run by block_on, never spawned")]
pub trait BlobHarness: Sized + 'static {
    /// The backend under test.
    type Store: BlobStore;

    /// A place where no store has been yet. Removes itself when dropped.
    async fn fresh() -> Self;

    /// Opens the store at this place, making it if there is none. Panics on failure.
    async fn open(&self) -> Self::Store;

    /// Ends the store without closing it, as when the process is killed, and opens what is left; as
    /// [`MetaHarness::crash_reopen`].
    async fn crash_reopen(&self, store: Arc<Self::Store>) -> Self::Store {
        drop(Arc::into_inner(store).expect("a crash case holds the only handle"));
        self.open().await
    }

    /// Runs the collector as if every grace period were over: what was released is gone afterwards,
    /// to the last byte. Thresholds below which collecting would not pay are to be set to nothing.
    async fn collect(&self, store: &Self::Store);

    /// Changes at least one stored byte of the blob that is `content`, behind the back of the open
    /// store. [`damage_files`] does it for stores that keep bytes as they came in files.
    async fn damage(&self, store: &Self::Store, content: &Bytes);
}

/// Flips the middle byte of every place in the files below `dir` where `content` lies as it is.
///
/// # Panics
/// When there is no such place, or a file cannot be read or written.
pub fn damage_files(dir: &Path, content: &[u8]) {
    assert!(
        flip(dir, content) > 0,
        "the bytes lie in no file as they are"
    );
}

fn flip(dir: &Path, content: &[u8]) -> usize {
    use std::os::unix::fs::FileExt;
    let mut flipped = 0;
    for entry in fs::read_dir(dir).expect("read the directory") {
        let path = entry.expect("read the directory").path();
        if path.is_dir() {
            flipped += flip(&path, content);
            continue;
        }
        let file = match fs::read(&path) {
            // Being replaced by the living store; its successor has a name of its own.
            Err(error) if error.kind() == std::io::ErrorKind::NotFound => continue,
            read => read.expect("read the file"),
        };
        let found = file.windows(content.len()).enumerate();
        for (start, _) in found.filter(|(_, window)| *window == content) {
            let middle = start + content.len() / 2;
            // In place: the store may hold the file open, and must meet the damage there.
            let writer = fs::OpenOptions::new().write(true).open(&path);
            let byte = [file[middle] ^ 1];
            writer
                .and_then(|writer| writer.write_all_at(&byte, middle as u64))
                .expect("write the file");
            flipped += 1;
        }
    }
    flipped
}

/// What a case of the [`MetaStore`] contract works with: an open store, and short ways to use it
/// that panic when the store refuses.
pub struct MetaCase<H: MetaHarness> {
    harness: H,
    store: Option<Arc<H::Store>>,
}

impl<H: MetaHarness> MetaCase<H> {
    /// A handle to the store, also for other tasks.
    pub fn store(&self) -> Arc<H::Store> {
        Arc::clone(self.store.as_ref().expect(OPEN))
    }

    /// Closes the store and opens it again; handles from before are closed.
    pub async fn reopen(&mut self) {
        self.store().close().await.expect("close");
        self.store = Some(Arc::new(self.harness.open().await));
    }

    /// Ends the store without closing it and opens what is left.
    pub async fn crash(&mut self) {
        let store = self.store.take().expect(OPEN);
        self.store = Some(Arc::new(self.harness.crash_reopen(store).await));
    }

    /// Commits and waits until the batch is durable.
    pub async fn commit(&self, account: AccountId, batch: Batch) {
        let commit = self.store().commit(account, batch).await.expect("commit");
        commit.durable().await.expect("durable");
    }

    /// Commits a batch that must be refused.
    pub async fn refused(&self, account: AccountId, batch: Batch, kind: ErrorKind) {
        let answer = self.store().commit(account, batch).await;
        assert_kind(answer.map(|_| "a commit"), kind);
    }

    /// Stores one value, durably.
    pub async fn put(&self, account: AccountId, key: impl AsRef<[u8]>, value: impl AsRef<[u8]>) {
        let mut batch = Batch::new();
        batch.put(
            Bytes::copy_from_slice(key.as_ref()),
            Bytes::copy_from_slice(value.as_ref()),
        );
        self.commit(account, batch).await;
    }

    /// Stores a text under each key: the key itself.
    pub async fn put_keys(&self, account: AccountId, keys: &[&str]) {
        let mut batch = Batch::new();
        for key in keys {
            batch.put(bytes(key), bytes(key));
        }
        self.commit(account, batch).await;
    }

    /// The value of a key.
    pub async fn get(&self, account: AccountId, key: impl AsRef<[u8]>) -> Option<Bytes> {
        let value = self.store().get(account, key.as_ref()).await;
        value.expect("get")
    }

    /// One page.
    pub async fn scan(&self, account: AccountId, scan: Scan) -> Page {
        self.store().scan(account, scan).await.expect("scan")
    }

    /// The keys of one page, as text, and whether there are more.
    pub async fn keys(&self, account: AccountId, scan: Scan) -> (Vec<String>, bool) {
        let page = self.scan(account, scan).await;
        let keys = page.entries.iter();
        let text = keys.map(|(key, _)| String::from_utf8_lossy(key).into_owned());
        (text.collect(), page.more)
    }

    /// Everything of an account.
    pub async fn all(&self, account: AccountId) -> Vec<Entry> {
        all_entries(&*self.store(), account).await
    }

    /// Everything the store holds, to compare with later.
    pub(super) async fn dump(&self) -> Dump {
        dump(&*self.store()).await
    }
}

/// What a case of the [`BlobStore`] contract works with. It remembers what was put and not
/// released, and that is checked again after the case.
pub struct BlobCase<H: BlobHarness> {
    harness: H,
    store: Option<Arc<H::Store>>,
    alive: BTreeMap<BlobHash, Bytes>,
}

impl<H: BlobHarness> BlobCase<H> {
    /// A handle to the store, also for other tasks.
    pub fn store(&self) -> Arc<H::Store> {
        Arc::clone(self.store.as_ref().expect(OPEN))
    }

    /// Closes the store and opens it again; handles from before are closed.
    pub async fn reopen(&mut self) {
        self.store().close().await.expect("close");
        self.store = Some(Arc::new(self.harness.open().await));
    }

    /// Ends the store without closing it and opens what is left.
    pub async fn crash(&mut self) {
        let store = self.store.take().expect(OPEN);
        self.store = Some(Arc::new(self.harness.crash_reopen(store).await));
    }

    /// Puts bytes and remembers them.
    pub async fn put(&mut self, bytes: impl Into<Bytes>) -> BlobRef {
        let bytes = bytes.into();
        let answer = self.store().put(bytes.clone(), &origin()).await;
        let blob = answer.expect("put");
        self.remember(&blob, bytes);
        blob
    }

    /// From now on the blob must be there.
    pub fn remember(&mut self, blob: &BlobRef, bytes: Bytes) {
        self.alive.insert(blob.hash, bytes);
    }

    /// Releases a blob; from now on it may be gone.
    pub async fn release(&mut self, blob: &BlobRef) {
        self.store().release(&blob.hash).await.expect("release");
        self.alive.remove(&blob.hash);
    }

    /// The whole blob.
    pub async fn get(&self, blob: &BlobRef) -> Result<Bytes, StorageError> {
        self.store().get(blob, 0..blob.size).await
    }

    /// Runs the collector: what was released is gone.
    pub async fn collect(&self) {
        self.harness.collect(&self.store()).await;
    }

    /// Spoils a stored blob; from now on it is not expected back.
    pub async fn damage(&mut self, blob: &BlobRef) {
        let content = self.alive.remove(&blob.hash).expect("a blob of this case");
        self.harness.damage(&self.store(), &content).await;
    }

    /// Checks that everything that was put and not released is there, whole.
    pub async fn check(&self) {
        for (hash, content) in &self.alive {
            let blob = self.store().stat(hash).await.expect("stat");
            let blob = blob.unwrap_or_else(|| panic!("blob {hash} is gone"));
            assert_eq!(blob.hash, *hash, "stat answers for the hash asked for");
            assert_eq!(blob.size as usize, content.len(), "size of {hash}");
            let found = self.get(&blob).await.expect("get");
            assert!(found == *content, "the bytes of {hash} are what was put");
        }
    }
}

/// Runs one case of the [`MetaStore`] contract, then closes the store, opens it and compares.
pub fn run_meta<H: MetaHarness>(case: impl AsyncFnOnce(&mut MetaCase<H>)) {
    run(async {
        let harness = H::fresh().await;
        let store = Some(Arc::new(harness.open().await));
        let mut ground = MetaCase { harness, store };
        case(&mut ground).await;
        let before = ground.dump().await;
        ground.reopen().await;
        let after = ground.dump().await;
        assert_eq!(before, after, "a clean reopen changes nothing");
        ground.store().close().await.expect("close");
    });
}

/// Runs one case of the [`BlobStore`] contract, then checks all blobs that must be there, twice: as
/// the case left the store, and opened again.
pub fn run_blob<H: BlobHarness>(case: impl AsyncFnOnce(&mut BlobCase<H>)) {
    run(async {
        let harness = H::fresh().await;
        let store = Some(Arc::new(harness.open().await));
        let mut ground = BlobCase {
            harness,
            store,
            alive: BTreeMap::new(),
        };
        case(&mut ground).await;
        ground.check().await;
        ground.reopen().await;
        ground.check().await;
        ground.store().close().await.expect("close");
    });
}

// Two workers: enough for cases that race, and the tests of a backend run in parallel anyway.
fn run(case: impl Future<Output = ()>) {
    let runtime = tokio::runtime::Builder::new_multi_thread()
        .worker_threads(2)
        .enable_all()
        .build()
        .expect("build a runtime");
    runtime.block_on(async {
        let ended = tokio::time::timeout(PATIENCE, case).await;
        ended.expect("the case ends in time");
    });
}

/// A usual origin.
pub(super) fn origin() -> Provenance {
    Provenance {
        owners: vec![(AccountId(1), "INBOX".to_owned())],
        internal_date: 1_700_000_000,
        ..Provenance::default()
    }
}
