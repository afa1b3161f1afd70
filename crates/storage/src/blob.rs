//! `BlobStore`: immutable bytes named by their BLAKE3 hash.

use crate::StorageError;
use async_trait::async_trait;
use bytes::Bytes;
use std::ops::Range;
use types::{AccountId, BlobHash};

/// Names a stored blob. `hash` and `size` are its identity; `hint` is where it lay when it was put,
/// so that reading needs no index. A stale hint costs time, never correctness; 0 is "unknown".
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug)]
pub struct BlobRef {
    /// BLAKE3 of the bytes.
    pub hash: BlobHash,
    /// Length in bytes.
    pub size: u32,
    /// Backend-private location.
    pub hint: u64,
}

/// Where a message was first delivered, kept with its bytes so that `gatepost recover` can rebuild
/// mailboxes from nothing but blobs (DESIGN 3.6).
#[derive(Clone, PartialEq, Eq, Debug, Default)]
pub struct Provenance {
    /// The accounts, and in each the mailbox path, it was delivered to.
    pub owners: Vec<(AccountId, String)>,
    /// INTERNALDATE, in seconds since 1970 UTC.
    pub internal_date: i64,
    /// For each owner the header lines of that delivery alone, which stand in front of the bytes;
    /// or nothing, when there are none. A store may drop them when there are too many.
    pub lines: Vec<Bytes>,
}

/// Immutable bytes by content.
///
/// # Contract
/// Each bullet is a case of the conformance suite.
/// - What was put can be read back byte for byte, also after a reopen, also when it is empty.
/// - The same bytes put twice, one after the other or at once, are stored once and give equal
///   hashes.
/// - A hash that was never put, or was released and collected, is `NotFound`.
#[async_trait]
pub trait BlobStore: Send + Sync + 'static {
    /// The backend's name, for logs and metric labels.
    fn backend(&self) -> &'static str;

    /// Stores bytes. Returns only when they are on stable storage.
    /// - `origin` is kept with the bytes when they are stored; that of a put which finds them there
    ///   already may be dropped.
    /// - Bytes that are there already re-arm the grace period of the collector (DESIGN 3.5): a put
    ///   is never undone by a release that came before it.
    /// - Over `u32::MAX` bytes the answer is `Invalid`.
    async fn put(&self, bytes: Bytes, origin: &Provenance) -> Result<BlobRef, StorageError>;

    /// The bytes of `range`, which lies within the blob (`Invalid` otherwise, also when it is
    /// upside down); an empty range gives no bytes. Bytes that are not what was put are `Corrupt`,
    /// for a range as far as the format can tell, for the whole blob always.
    async fn get(&self, blob: &BlobRef, range: Range<u32>) -> Result<Bytes, StorageError>;

    /// Whole blobs, in the order asked for, each with its own result; neighbours on disk are read
    /// together. The caller bounds the sum of sizes.
    async fn get_many(&self, blobs: &[BlobRef]) -> Vec<Result<Bytes, StorageError>>;

    /// The blob's current reference, `None` when it is not there.
    async fn stat(&self, hash: &BlobHash) -> Result<Option<BlobRef>, StorageError>;

    /// Says that no link row names the blob any more: it may be collected once the grace period has
    /// passed without another put. Releasing what is not there succeeds. A clean close keeps what
    /// was released; a crash may forget it, and then the blob stays until it is released again.
    async fn release(&self, hash: &BlobHash) -> Result<(), StorageError>;

    /// Reads the whole blob and checks it against its hash; `Corrupt` or `NotFound` if that fails.
    async fn verify(&self, hash: &BlobHash) -> Result<(), StorageError>;

    /// Makes everything durable and releases the store: it can be opened anew at once, also while
    /// somebody still holds this handle. Later calls answer `Unavailable`; a second close succeeds.
    async fn close(&self) -> Result<(), StorageError>;
}
