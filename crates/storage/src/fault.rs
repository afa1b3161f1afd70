//! Stores that fail on purpose: a wrapper around any store, and a switchboard that says which calls
//! fail. The fronts are tested over it (`NO [UNAVAILABLE]`, `-ERR [SYS/TEMP]`, `451`, and nothing
//! changed).

use crate::rng::Rng;
use crate::{
    Batch, BlobRef, BlobStore, Commit, ErrorKind, Health, Link, MetaStore, Page, Provenance, Scan,
    StorageError, Watch,
};
use async_trait::async_trait;
use bytes::Bytes;
use std::collections::HashMap;
use std::ops::Range;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use types::{AccountId, BlobHash};

/// A place where a store can be made to fail.
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug)]
pub enum Call {
    /// [`MetaStore::get`] and [`MetaStore::get_many`].
    Get,
    /// [`MetaStore::scan`].
    Scan,
    /// [`MetaStore::commit`]: nothing has changed.
    Commit,
    /// [`Commit::durable`]: the batch is applied, but could not be made durable. As the contract
    /// has it, the meta store is read-only from then on, until [`Faults::heal`]. Counted at the
    /// commit, awaited or not.
    Durable,
    /// [`MetaStore::links`].
    Links,
    /// [`MetaStore::accounts`].
    Accounts,
    /// [`BlobStore::put`]: nothing is stored.
    BlobPut,
    /// [`BlobStore::get`], and each blob of [`BlobStore::get_many`].
    BlobGet,
    /// [`BlobStore::stat`].
    BlobStat,
    /// [`BlobStore::release`]: nothing is released.
    BlobRelease,
    /// [`BlobStore::verify`].
    BlobVerify,
}

/// The switchboard: which calls fail, how, and whether they do now. Clones are handles to the same
/// one, and one may serve several stores. A new one lets everything pass.
#[derive(Clone, Default)]
pub struct Faults(Arc<Mutex<Plan>>);

#[derive(Default)]
struct Plan {
    rules: Vec<Rule>,
    off: bool,
    read_only: bool,
    calls: HashMap<Call, u64>,
    injected: u64,
}

struct Rule {
    /// `None`: any call.
    call: Option<Call>,
    when: When,
    kind: ErrorKind,
}

enum When {
    /// Once, when as many calls have passed.
    After(u64),
    Always,
    Sometimes {
        per_mille: u64,
        rng: Rng,
    },
}

impl Rule {
    /// Whether this rule makes the call fail; every matching call moves it on.
    fn strikes(&mut self, call: Call) -> bool {
        if self.call.is_some_and(|only| only != call) {
            return false;
        }
        match &mut self.when {
            When::Always => true,
            When::Sometimes { per_mille, rng } => rng.below(1000) < *per_mille,
            When::After(left) => {
                let strikes = *left == 0;
                // Wraps to a count no test ever reaches: a rule for one call strikes once.
                *left = left.wrapping_sub(1);
                strikes
            }
        }
    }
}

impl Faults {
    /// A switchboard without faults.
    pub fn new() -> Self {
        Self::default()
    }

    /// The `nth` call from now fails, once; 1 is the next. With `None` calls of every kind are
    /// counted together: raising `nth` until [`injected`](Self::injected) stays 0 breaks an
    /// operation at each of its steps in turn.
    pub fn fail_nth(&self, call: impl Into<Option<Call>>, nth: u64, kind: ErrorKind) {
        self.add(call.into(), When::After(nth.saturating_sub(1)), kind);
    }

    /// Every call from now on fails.
    pub fn fail_every(&self, call: impl Into<Option<Call>>, kind: ErrorKind) {
        self.add(call.into(), When::Always, kind);
    }

    /// Of a thousand calls `per_mille` fail, chosen by `seed`.
    pub fn fail_sometimes(
        &self,
        call: impl Into<Option<Call>>,
        per_mille: u32,
        seed: u64,
        kind: ErrorKind,
    ) {
        let when = When::Sometimes {
            per_mille: per_mille.into(),
            rng: Rng::new(seed),
        };
        self.add(call.into(), when, kind);
    }

    fn add(&self, call: Option<Call>, when: When, kind: ErrorKind) {
        self.plan().rules.push(Rule { call, when, kind });
    }

    /// Switches all faults off or on again; off, everything passes and no rule moves on.
    pub fn switch(&self, on: bool) {
        self.plan().off = !on;
    }

    /// Forgets all faults and their consequences, the counts of [`calls`](Self::calls) and
    /// [`injected`](Self::injected) included.
    pub fn heal(&self) {
        *self.plan() = Plan::default();
    }

    /// How many calls of a kind were made, failed ones included.
    pub fn calls(&self, call: Call) -> u64 {
        self.plan().calls.get(&call).copied().unwrap_or(0)
    }

    /// How many calls were made to fail.
    pub fn injected(&self) -> u64 {
        self.plan().injected
    }

    fn is_read_only(&self) -> bool {
        let plan = self.plan();
        plan.read_only && !plan.off
    }

    /// Counts the call; an error if it is to fail.
    fn pass(&self, call: Call) -> Result<(), StorageError> {
        let mut plan = self.plan();
        *plan.calls.entry(call).or_default() += 1;
        if plan.off {
            return Ok(());
        }
        // All rules move on, also those behind the one that strikes.
        let mut struck = None;
        for rule in &mut plan.rules {
            if rule.strikes(call) && struck.is_none() {
                struck = Some(rule.kind);
            }
        }
        match struck {
            Some(kind) => {
                plan.injected += 1;
                plan.read_only |= call == Call::Durable;
                Err(StorageError::new(kind, format!("injected into {call:?}")))
            }
            None if plan.read_only && matches!(call, Call::Commit | Call::BlobPut) => Err(
                StorageError::unavailable("read-only after an injected fault"),
            ),
            None => Ok(()),
        }
    }

    fn plan(&self) -> MutexGuard<'_, Plan> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// A [`MetaStore`] that fails as its [`Faults`] say and otherwise is the store it wraps.
pub struct FaultMeta<S> {
    inner: S,
    faults: Faults,
}

impl<S> FaultMeta<S> {
    /// Wraps a store; `faults` steers it.
    pub fn new(inner: S, faults: Faults) -> Self {
        Self { inner, faults }
    }

    /// The switchboard.
    pub fn faults(&self) -> &Faults {
        &self.faults
    }

    /// The store behind, which never fails on purpose.
    pub fn inner(&self) -> &S {
        &self.inner
    }
}

#[async_trait]
impl<S: MetaStore> MetaStore for FaultMeta<S> {
    fn backend(&self) -> &'static str {
        self.inner.backend()
    }

    async fn get(&self, account: AccountId, key: &[u8]) -> Result<Option<Bytes>, StorageError> {
        self.faults.pass(Call::Get)?;
        self.inner.get(account, key).await
    }

    async fn get_many(
        &self,
        account: AccountId,
        keys: &[Bytes],
    ) -> Result<Vec<Option<Bytes>>, StorageError> {
        self.faults.pass(Call::Get)?;
        self.inner.get_many(account, keys).await
    }

    async fn scan(&self, account: AccountId, scan: Scan) -> Result<Page, StorageError> {
        self.faults.pass(Call::Scan)?;
        self.inner.scan(account, scan).await
    }

    async fn commit(&self, account: AccountId, batch: Batch) -> Result<Commit, StorageError> {
        self.faults.pass(Call::Commit)?;
        let commit = self.inner.commit(account, batch).await?;
        match self.faults.pass(Call::Durable) {
            Ok(()) => Ok(commit),
            Err(error) => Ok(Commit::pending(async { Err(error) })),
        }
    }

    async fn links(&self, blob: &BlobHash, limit: usize) -> Result<Vec<Link>, StorageError> {
        self.faults.pass(Call::Links)?;
        self.inner.links(blob, limit).await
    }

    async fn accounts(
        &self,
        after: Option<AccountId>,
        limit: usize,
    ) -> Result<Vec<AccountId>, StorageError> {
        self.faults.pass(Call::Accounts)?;
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
        if self.faults.is_read_only() {
            return Health::ReadOnly("an injected fault".to_owned());
        }
        self.inner.health()
    }

    async fn close(&self) -> Result<(), StorageError> {
        self.inner.close().await
    }
}

/// A [`BlobStore`] that fails as its [`Faults`] say and otherwise is the store it wraps.
pub struct FaultBlobs<S> {
    inner: S,
    faults: Faults,
}

impl<S> FaultBlobs<S> {
    /// Wraps a store; `faults` steers it.
    pub fn new(inner: S, faults: Faults) -> Self {
        Self { inner, faults }
    }

    /// The switchboard.
    pub fn faults(&self) -> &Faults {
        &self.faults
    }

    /// The store behind, which never fails on purpose.
    pub fn inner(&self) -> &S {
        &self.inner
    }
}

#[async_trait]
impl<S: BlobStore> BlobStore for FaultBlobs<S> {
    fn backend(&self) -> &'static str {
        self.inner.backend()
    }

    async fn put(&self, bytes: Bytes, origin: &Provenance) -> Result<BlobRef, StorageError> {
        self.faults.pass(Call::BlobPut)?;
        self.inner.put(bytes, origin).await
    }

    async fn get(&self, blob: &BlobRef, range: Range<u32>) -> Result<Bytes, StorageError> {
        self.faults.pass(Call::BlobGet)?;
        self.inner.get(blob, range).await
    }

    async fn get_many(&self, blobs: &[BlobRef]) -> Vec<Result<Bytes, StorageError>> {
        let answers = self.inner.get_many(blobs).await;
        answers
            .into_iter()
            .map(|answer| self.faults.pass(Call::BlobGet).and(answer))
            .collect()
    }

    async fn stat(&self, hash: &BlobHash) -> Result<Option<BlobRef>, StorageError> {
        self.faults.pass(Call::BlobStat)?;
        self.inner.stat(hash).await
    }

    async fn release(&self, hash: &BlobHash) -> Result<(), StorageError> {
        self.faults.pass(Call::BlobRelease)?;
        self.inner.release(hash).await
    }

    async fn verify(&self, hash: &BlobHash) -> Result<(), StorageError> {
        self.faults.pass(Call::BlobVerify)?;
        self.inner.verify(hash).await
    }

    async fn close(&self) -> Result<(), StorageError> {
        self.inner.close().await
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{MemoryBlobs, MemoryMeta};

    const A: AccountId = AccountId(1);

    fn meta() -> (FaultMeta<MemoryMeta>, Faults) {
        let faults = Faults::new();
        (FaultMeta::new(MemoryMeta::new(), faults.clone()), faults)
    }

    fn put(key: &'static str) -> Batch {
        let mut batch = Batch::new();
        batch.put(key, "value");
        batch
    }

    fn kind<T>(answer: Result<T, StorageError>) -> Option<ErrorKind> {
        answer.err().map(|error| error.kind)
    }

    #[tokio::test]
    async fn the_nth_call_fails_once() {
        let (store, faults) = meta();
        faults.fail_nth(Call::Get, 3, ErrorKind::Corrupt);
        let mut failed = Vec::new();
        for number in 1..10 {
            // Calls of another kind do not count.
            store.scan(A, Scan::prefix("", 1)).await.unwrap();
            if let Some(kind) = kind(store.get(A, b"key").await) {
                failed.push((number, kind));
            }
        }
        assert_eq!(failed, [(3, ErrorKind::Corrupt)]);
        assert_eq!((faults.calls(Call::Get), faults.injected()), (9, 1));
    }

    #[tokio::test]
    async fn every_call_of_a_kind_fails_and_others_pass() {
        let (store, faults) = meta();
        faults.fail_every(Call::Commit, ErrorKind::Unavailable);
        for _ in 0..3 {
            let answer = store.commit(A, put("key")).await;
            assert_eq!(kind(answer), Some(ErrorKind::Unavailable));
        }
        assert_eq!(store.get(A, b"key").await.unwrap(), None);
        assert_eq!(store.health(), Health::Ready);
        assert_eq!(store.inner().snapshot(), MemoryMeta::new().snapshot());
    }

    #[tokio::test]
    async fn each_kind_of_call_can_fail() {
        let (store, faults) = meta();
        let wanted = Some(ErrorKind::NotFound);
        let fail = |call| {
            faults.heal();
            faults.fail_every(call, ErrorKind::NotFound);
        };
        fail(Call::Get);
        assert_eq!(kind(store.get(A, b"key").await), wanted);
        assert_eq!(kind(store.get_many(A, &[]).await), wanted);
        fail(Call::Scan);
        assert_eq!(kind(store.scan(A, Scan::prefix("", 1)).await), wanted);
        fail(Call::Links);
        assert_eq!(kind(store.links(&BlobHash([0; 32]), 1).await), wanted);
        fail(Call::Accounts);
        assert_eq!(kind(store.accounts(None, 1).await), wanted);

        let blobs = FaultBlobs::new(MemoryBlobs::new(), faults.clone());
        faults.heal();
        let origin = Provenance::default();
        let blob = blobs.put("content".into(), &origin).await.unwrap();
        fail(Call::BlobPut);
        assert_eq!(kind(blobs.put("other".into(), &origin).await), wanted);
        assert_eq!(blobs.inner().count(), 1);
        fail(Call::BlobGet);
        assert_eq!(kind(blobs.get(&blob, 0..1).await), wanted);
        fail(Call::BlobStat);
        assert_eq!(kind(blobs.stat(&blob.hash).await), wanted);
        fail(Call::BlobVerify);
        assert_eq!(kind(blobs.verify(&blob.hash).await), wanted);
        fail(Call::BlobRelease);
        assert_eq!(kind(blobs.release(&blob.hash).await), wanted);
        blobs.inner().collect();
        assert_eq!(blobs.inner().count(), 1, "nothing was released");
    }

    #[tokio::test]
    async fn a_failed_durable_leaves_a_read_only_store() {
        let (store, faults) = meta();
        store.commit(A, put("before")).await.unwrap().relax();
        faults.fail_nth(Call::Durable, 1, ErrorKind::Unavailable);
        let commit = store.commit(A, put("key")).await.unwrap();
        assert!(!commit.is_durable());
        assert_eq!(kind(commit.durable().await), Some(ErrorKind::Unavailable));
        assert!(matches!(store.health(), Health::ReadOnly(_)));
        let answer = store.commit(A, put("later")).await;
        assert_eq!(kind(answer), Some(ErrorKind::Unavailable));
        assert_eq!(store.get(A, b"later").await.unwrap(), None);
        assert!(store.get(A, b"before").await.unwrap().is_some());
        faults.heal();
        assert_eq!(store.health(), Health::Ready);
        let commit = store.commit(A, put("later")).await.unwrap();
        commit.durable().await.unwrap();
    }

    #[tokio::test]
    async fn faults_switch_off_and_on() {
        let (store, faults) = meta();
        faults.fail_every(None, ErrorKind::Unavailable);
        assert!(store.get(A, b"key").await.is_err());
        faults.switch(false);
        assert!(store.get(A, b"key").await.is_ok());
        store
            .commit(A, put("key"))
            .await
            .unwrap()
            .durable()
            .await
            .unwrap();
        faults.switch(true);
        assert!(store.get(A, b"key").await.is_err());
        assert!(store.commit(A, put("key")).await.is_err());
    }

    #[tokio::test]
    async fn a_sweep_breaks_each_step_once() {
        let mut broken = Vec::new();
        for nth in 1.. {
            let (store, faults) = meta();
            faults.fail_nth(None, nth, ErrorKind::Unavailable);
            let read = store.get(A, b"key").await.is_ok();
            let (mut applied, mut durable) = (false, false);
            if let Ok(commit) = store.commit(A, put("key")).await {
                applied = true;
                durable = commit.durable().await.is_ok();
            }
            if faults.injected() == 0 {
                break;
            }
            broken.push((read, applied, durable));
        }
        let expected = [
            (false, true, true),
            (true, false, false),
            (true, true, false),
        ];
        assert_eq!(broken, expected);
    }

    #[tokio::test]
    async fn chance_follows_its_seed() {
        let run = async |seed, per_mille| {
            let (store, faults) = meta();
            faults.fail_sometimes(Call::Get, per_mille, seed, ErrorKind::Unavailable);
            let mut failed = Vec::new();
            for _ in 0..1000 {
                failed.push(store.get(A, b"key").await.is_err());
            }
            failed
        };
        let some = run(1, 100).await;
        assert_eq!(some, run(1, 100).await, "the same seed");
        assert_ne!(some, run(2, 100).await, "another seed");
        let count = some.into_iter().filter(|failed| *failed).count();
        assert!((50..200).contains(&count), "{count} of 1000 at 10 %");
        assert!(!run(1, 0).await.contains(&true));
        assert!(!run(1, 1000).await.contains(&false));
    }

    #[tokio::test]
    async fn one_of_many_blobs_fails() {
        let faults = Faults::new();
        let store = FaultBlobs::new(MemoryBlobs::new(), faults.clone());
        let blob = store
            .put("content".into(), &Provenance::default())
            .await
            .unwrap();
        faults.fail_nth(Call::BlobGet, 2, ErrorKind::Corrupt);
        let answers = store.get_many(&[blob; 3]).await;
        let kinds: Vec<_> = answers.into_iter().map(kind).collect();
        assert_eq!(kinds, [None, Some(ErrorKind::Corrupt), None]);
    }
}
