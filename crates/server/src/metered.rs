//! Stores that time what they do, `gatepost_store_seconds{op,backend,result}`, and remember what
//! they could not do.

use crate::trouble::Trouble;
use crate::upkeep::Upkeep;
use async_trait::async_trait;
use bytes::Bytes;
use net::Metrics;
use prometheus::Histogram;
use std::future::Future;
use std::ops::Range;
use std::sync::Arc;
use std::time::Instant;
use storage::{
    Batch, BlobRef, BlobStore, Commit, Health, Link, MetaStore, Page, Provenance, Scan,
    StorageError, Watch,
};
use types::{AccountId, BlobHash};

/// One operation's series, looked up once.
struct Timer {
    ok: Histogram,
    error: Histogram,
    trouble: Arc<Trouble>,
}

/// What each kind of operation could not do of late.
pub(crate) struct Troubles {
    reading: Arc<Trouble>,
    writing: Arc<Trouble>,
    index: Arc<Trouble>,
    commit: Arc<Trouble>,
}

impl Troubles {
    pub(crate) fn new() -> Self {
        let trouble = |doing| Arc::new(Trouble::new(doing));
        Self {
            reading: trouble("reading messages"),
            writing: trouble("storing messages"),
            index: trouble("reading the index"),
            commit: trouble("writing the commit log"),
        }
    }

    /// The first there is, in a sentence for the operator.
    pub(crate) fn now(&self) -> Option<String> {
        let all = [&self.commit, &self.writing, &self.reading, &self.index];
        all.into_iter().find_map(|trouble| trouble.now())
    }
}

impl Timer {
    fn new(metrics: &Metrics, op: &str, backend: &str, trouble: &Arc<Trouble>) -> Self {
        let series = |result| {
            metrics
                .store_seconds
                .with_label_values(&[op, backend, result])
        };
        Self {
            ok: series("ok"),
            error: series("error"),
            trouble: trouble.clone(),
        }
    }

    async fn time<T>(
        &self,
        work: impl Future<Output = Result<T, StorageError>>,
    ) -> Result<T, StorageError> {
        let started = Instant::now();
        let result = work.await;
        self.trouble.hear(&result);
        let series = if result.is_ok() {
            &self.ok
        } else {
            &self.error
        };
        series.observe(started.elapsed().as_secs_f64());
        result
    }
}

/// A [`MetaStore`] with timers. Single look-ups are not timed: they cost less than the clock.
pub(crate) struct MeteredMeta<S> {
    inner: Arc<S>,
    scan: Timer,
    commit: Timer,
}

impl<S: MetaStore> MeteredMeta<S> {
    pub(crate) fn new(inner: Arc<S>, metrics: &Metrics, troubles: &Troubles) -> Self {
        let timer = |op, trouble| Timer::new(metrics, op, inner.backend(), trouble);
        Self {
            scan: timer("scan", &troubles.index),
            commit: timer("commit", &troubles.commit),
            inner,
        }
    }
}

#[async_trait]
impl<S: MetaStore> MetaStore for MeteredMeta<S> {
    fn backend(&self) -> &'static str {
        self.inner.backend()
    }

    async fn get(&self, account: AccountId, key: &[u8]) -> Result<Option<Bytes>, StorageError> {
        self.inner.get(account, key).await
    }

    async fn get_many(
        &self,
        account: AccountId,
        keys: &[Bytes],
    ) -> Result<Vec<Option<Bytes>>, StorageError> {
        self.inner.get_many(account, keys).await
    }

    async fn scan(&self, account: AccountId, scan: Scan) -> Result<Page, StorageError> {
        self.scan.time(self.inner.scan(account, scan)).await
    }

    async fn commit(&self, account: AccountId, batch: Batch) -> Result<Commit, StorageError> {
        self.commit.time(self.inner.commit(account, batch)).await
    }

    async fn links(&self, blob: &BlobHash, limit: usize) -> Result<Vec<Link>, StorageError> {
        self.inner.links(blob, limit).await
    }

    async fn accounts(
        &self,
        after: Option<AccountId>,
        limit: usize,
    ) -> Result<Vec<AccountId>, StorageError> {
        self.inner.accounts(after, limit).await
    }

    fn watch(&self, account: AccountId) -> Watch {
        self.inner.watch(account)
    }

    fn is_exclusive(&self) -> bool {
        self.inner.is_exclusive()
    }

    fn generation(&self) -> u64 {
        self.inner.generation()
    }

    fn health(&self) -> Health {
        self.inner.health()
    }

    async fn close(&self) -> Result<(), StorageError> {
        self.inner.close().await
    }
}

/// A [`BlobStore`] with timers, that notes which blobs turn out to be damaged.
pub(crate) struct MeteredBlobs<S> {
    inner: Arc<S>,
    put: Timer,
    get: Timer,
    many: Timer,
    upkeep: Arc<Upkeep>,
}

impl<S: BlobStore> MeteredBlobs<S> {
    pub(crate) fn new(
        inner: Arc<S>,
        metrics: &Metrics,
        troubles: &Troubles,
        upkeep: Arc<Upkeep>,
    ) -> Self {
        let timer = |op, trouble| Timer::new(metrics, op, inner.backend(), trouble);
        Self {
            put: timer("put", &troubles.writing),
            get: timer("get", &troubles.reading),
            many: timer("get_many", &troubles.reading),
            upkeep,
            inner,
        }
    }
}

#[async_trait]
impl<S: BlobStore> BlobStore for MeteredBlobs<S> {
    fn backend(&self) -> &'static str {
        self.inner.backend()
    }

    async fn put(&self, bytes: Bytes, origin: &Provenance) -> Result<BlobRef, StorageError> {
        self.put.time(self.inner.put(bytes, origin)).await
    }

    async fn get(&self, blob: &BlobRef, range: Range<u32>) -> Result<Bytes, StorageError> {
        let result = self.get.time(self.inner.get(blob, range)).await;
        self.upkeep.read(&blob.hash, &result);
        result
    }

    async fn get_many(&self, blobs: &[BlobRef]) -> Vec<Result<Bytes, StorageError>> {
        let started = Instant::now();
        let contents = self.inner.get_many(blobs).await;
        self.many.ok.observe(started.elapsed().as_secs_f64());
        for (blob, content) in blobs.iter().zip(&contents) {
            self.many.trouble.hear(content);
            self.upkeep.read(&blob.hash, content);
        }
        contents
    }

    async fn stat(&self, hash: &BlobHash) -> Result<Option<BlobRef>, StorageError> {
        self.inner.stat(hash).await
    }

    async fn release(&self, hash: &BlobHash) -> Result<(), StorageError> {
        self.inner.release(hash).await
    }

    async fn verify(&self, hash: &BlobHash) -> Result<(), StorageError> {
        let result = self.inner.verify(hash).await;
        self.upkeep.read(hash, &result);
        result
    }

    async fn close(&self) -> Result<(), StorageError> {
        self.inner.close().await
    }
}
