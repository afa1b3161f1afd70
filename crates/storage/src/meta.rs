//! `MetaStore`: an ordered key-value store, partitioned by account, with atomic conditional
//! batches.

use crate::{Batch, Commit, Link, StorageError};
use async_trait::async_trait;
use bytes::Bytes;
use types::{AccountId, BlobHash};

/// A key and its value.
pub type Entry = (Bytes, Bytes);

/// Which keys of an account to read. `start..end`, ascending, or descending with `reverse`.
///
/// The bounds are any bytes, empty ones and ones longer than a key may be included: they name
/// places between keys.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Scan {
    /// First key that is included.
    pub start: Bytes,
    /// First key that is not included any more; `None`: to the end of the account.
    pub end: Option<Bytes>,
    /// From the last key of the range to the first.
    pub reverse: bool,
    /// How many entries at most; at least 1.
    pub limit: usize,
}

impl Scan {
    /// All keys in `start..end`, up to `limit`.
    pub fn range(start: impl Into<Bytes>, end: impl Into<Bytes>, limit: usize) -> Self {
        Self {
            start: start.into(),
            end: Some(end.into()),
            reverse: false,
            limit,
        }
    }

    /// All keys that begin with `prefix`, up to `limit`.
    pub fn prefix(prefix: impl Into<Bytes>, limit: usize) -> Self {
        let start: Bytes = prefix.into();
        let mut end = start.to_vec();
        // The successor of a prefix: drop trailing 0xff, then add one to the last byte.
        while end.last() == Some(&0xff) {
            end.pop();
        }
        if let Some(last) = end.last_mut() {
            *last += 1;
        }
        let end = if end.is_empty() {
            None
        } else {
            Some(end.into())
        };
        Self {
            start,
            end,
            reverse: false,
            limit,
        }
    }

    /// The rest of this scan after a page that ended with `last`.
    pub fn after(&self, last: &[u8]) -> Self {
        let mut rest = self.clone();
        if self.reverse {
            rest.end = Some(Bytes::copy_from_slice(last));
        } else {
            // The smallest byte string above `last`.
            rest.start = [last, &[0]].concat().into();
        }
        rest
    }

    /// The same range, read from its end.
    pub fn reversed(mut self) -> Self {
        self.reverse = true;
        self
    }
}

/// A part of a scan's answer.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Page {
    /// The entries, in the order asked for.
    pub entries: Vec<Entry>,
    /// Whether the limit ended the page although the range has more. Go on behind the last key.
    pub more: bool,
}

/// Whether a store takes writes.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Health {
    /// All is well.
    Ready,
    /// Reads work, writes answer `Unavailable`; the reason is for the operator.
    ReadOnly(String),
}

/// Ticks when something was committed for an account.
pub struct Watch(tokio::sync::watch::Receiver<u64>);

impl Watch {
    /// A watch fed by `receiver`; each change of its value is a tick.
    pub fn new(receiver: tokio::sync::watch::Receiver<u64>) -> Self {
        Self(receiver)
    }

    /// Resolves at the first commit since the watch was made or since the last tick; several
    /// commits may give one tick, none may go without. What was committed is visible when the tick
    /// comes. A tick without a commit is allowed: who is woken looks, and may find nothing new.
    /// After the store was closed a tick that is still due comes, then none ever again.
    pub async fn tick(&mut self) {
        if self.0.changed().await.is_err() {
            std::future::pending::<()>().await;
        }
    }
}

/// Ordered key-value storage, partitioned by account.
///
/// # Contract
/// Each bullet is a case of the conformance suite.
/// - Accounts are separate: the same key in two accounts names two values.
/// - Keys are ordered as unsigned bytes. Keys of 1 to [`MAX_KEY`](crate::MAX_KEY) bytes and values
///   of 0 to [`MAX_VALUE`](crate::MAX_VALUE) bytes are taken; anything else is `Invalid` and
///   changes nothing, in a `get` and in a precondition as well as in a write.
/// - What a commit wrote is seen by every later `get` and `scan` of any task of this process.
/// - After a reopen everything that was durable is there, and every commit is there whole or not at
///   all. If a commit is there, every commit of the same account before it is there too.
#[async_trait]
pub trait MetaStore: Send + Sync + 'static {
    /// The backend's name, for logs and metric labels.
    fn backend(&self) -> &'static str;

    /// The value of `key`; `None` when there is none.
    async fn get(&self, account: AccountId, key: &[u8]) -> Result<Option<Bytes>, StorageError>;

    /// The values of `keys`, in their order. Same as `get` for each, possibly faster.
    async fn get_many(
        &self,
        account: AccountId,
        keys: &[Bytes],
    ) -> Result<Vec<Option<Bytes>>, StorageError> {
        let mut values = Vec::with_capacity(keys.len());
        for key in keys {
            values.push(self.get(account, key).await?);
        }
        Ok(values)
    }

    /// One page of a range.
    /// - Entries come in key order, descending with `reverse`.
    /// - `start` is included, `end` is not; an empty range gives an empty page.
    /// - At most `limit` entries come; `more` tells exactly whether the range holds further ones.
    /// - A limit of 0 is `Invalid`.
    async fn scan(&self, account: AccountId, scan: Scan) -> Result<Page, StorageError>;

    /// Applies a batch.
    /// - All writes are applied, or none.
    /// - Preconditions are judged against the state before the batch, atomically with applying it:
    ///   of two commits that both require the same absent key and put it, exactly one succeeds.
    /// - When a precondition fails the answer is `Conflict` and nothing has changed.
    /// - `Equals` fails on an absent key, also for the empty value.
    /// - A later write of the batch to the same key wins.
    /// - The returned handle resolves once the batch and all earlier ones are durable; dropped, the
    ///   batch still becomes durable soon. It resolves also when the store was closed in between.
    /// - Link rows are part of the batch and as atomic. They are no keys: `scan`, `accounts` and
    ///   preconditions do not see them.
    /// - A batch over the limits ([`Batch::check`]: keys, values, and
    ///   [`MAX_BATCH`](crate::MAX_BATCH) bytes in all) is `Invalid`, whatever its preconditions,
    ///   and nothing has changed.
    /// - An empty batch succeeds and changes nothing; with preconditions it is a check of them.
    /// - On a read-only store the answer is `Unavailable` and nothing has changed.
    async fn commit(&self, account: AccountId, batch: Batch) -> Result<Commit, StorageError>;

    /// The link rows of a blob, at most `limit`, of all accounts, in order of account and email.
    async fn links(&self, blob: &BlobHash, limit: usize) -> Result<Vec<Link>, StorageError>;

    /// Every account that holds at least one key, ascending, from `after` (exclusive), at most
    /// `limit`.
    async fn accounts(
        &self,
        after: Option<AccountId>,
        limit: usize,
    ) -> Result<Vec<AccountId>, StorageError>;

    /// Ticks after commits to the account, by any process. A commit after the call is never missed.
    fn watch(&self, account: AccountId) -> Watch;

    /// Whether this process alone can commit: then what it holds in memory is never stale.
    fn is_exclusive(&self) -> bool;

    /// Rises by one at every start after which commits may be missing that were applied but not
    /// durable when the store was last used (a power loss). 0 for stores that never lose applied
    /// commits. The same after a clean close as before it; it never falls.
    fn generation(&self) -> u64;

    /// Whether the store takes writes now.
    fn health(&self) -> Health;

    /// Makes everything durable and releases the store: it can be opened anew at once, also while
    /// somebody still holds this handle. Later calls answer `Unavailable`; a second close succeeds.
    async fn close(&self) -> Result<(), StorageError>;
}
