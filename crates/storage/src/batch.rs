//! What one commit writes, and on which conditions.

use crate::{MAX_BATCH, MAX_KEY, MAX_VALUE, StorageError};
use bytes::Bytes;
use types::{AccountId, BlobHash, EmailId};

/// A set of writes applied all or nothing, if every precondition holds.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Batch {
    /// All must hold when the batch is applied.
    pub preconditions: Vec<Precondition>,
    /// Applied in order; a later write to the same key wins.
    pub writes: Vec<Write>,
}

/// A condition on the state before the batch.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Precondition {
    /// No value is stored under the key.
    Absent(Bytes),
    /// Exactly this value is stored under the key.
    Equals(Bytes, Bytes),
}

/// One write of a batch.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Write {
    /// Stores the value under the key, replacing what was there.
    Put(Bytes, Bytes),
    /// Removes the key; removing what is not there succeeds.
    Delete(Bytes),
    /// Adds the link row `(blob, this account, email)`: the blob is alive. Adding it twice is one
    /// row.
    Link(BlobHash, EmailId),
    /// Removes that row; removing what is not there succeeds.
    Unlink(BlobHash, EmailId),
}

/// A link row: `email` of `account` uses a blob.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Debug)]
pub struct Link {
    /// The account the email belongs to.
    pub account: AccountId,
    /// The email whose bytes the blob holds.
    pub email: EmailId,
}

impl Batch {
    /// An empty batch: committing it is allowed and changes nothing.
    pub fn new() -> Self {
        Self::default()
    }

    /// Requires that nothing is stored under `key`.
    pub fn require_absent(&mut self, key: impl Into<Bytes>) -> &mut Self {
        self.preconditions.push(Precondition::Absent(key.into()));
        self
    }

    /// Requires that exactly `value` is stored under `key`.
    pub fn require(&mut self, key: impl Into<Bytes>, value: impl Into<Bytes>) -> &mut Self {
        self.preconditions
            .push(Precondition::Equals(key.into(), value.into()));
        self
    }

    /// Stores `value` under `key`.
    pub fn put(&mut self, key: impl Into<Bytes>, value: impl Into<Bytes>) -> &mut Self {
        self.writes.push(Write::Put(key.into(), value.into()));
        self
    }

    /// Removes `key`.
    pub fn delete(&mut self, key: impl Into<Bytes>) -> &mut Self {
        self.writes.push(Write::Delete(key.into()));
        self
    }

    /// Adds a link row for the committing account.
    pub fn link(&mut self, blob: BlobHash, email: EmailId) -> &mut Self {
        self.writes.push(Write::Link(blob, email));
        self
    }

    /// Removes a link row of the committing account.
    pub fn unlink(&mut self, blob: BlobHash, email: EmailId) -> &mut Self {
        self.writes.push(Write::Unlink(blob, email));
        self
    }

    /// What the batch counts against [`MAX_BATCH`]: the bytes of all its keys and values, those of
    /// preconditions included; a link row counts 40 (hash and email id).
    pub fn size(&self) -> usize {
        let conditions = self.preconditions.iter().map(|condition| match condition {
            Precondition::Absent(key) => key.len(),
            Precondition::Equals(key, value) => key.len().saturating_add(value.len()),
        });
        let writes = self.writes.iter().map(|write| match write {
            Write::Put(key, value) => key.len().saturating_add(value.len()),
            Write::Delete(key) => key.len(),
            Write::Link(..) | Write::Unlink(..) => 40,
        });
        conditions.chain(writes).fold(0, usize::saturating_add)
    }

    /// Checks the limits every backend shares, so that all of them draw the line at the same byte.
    ///
    /// # Errors
    /// `Invalid` when a key, a value or the whole batch is outside the limits.
    pub fn check(&self) -> Result<(), StorageError> {
        for condition in &self.preconditions {
            match condition {
                Precondition::Absent(key) => check_key(key)?,
                Precondition::Equals(key, value) => check_entry(key, value)?,
            }
        }
        for write in &self.writes {
            match write {
                Write::Put(key, value) => check_entry(key, value)?,
                Write::Delete(key) => check_key(key)?,
                Write::Link(..) | Write::Unlink(..) => {}
            }
        }
        match self.size() {
            0..=MAX_BATCH => Ok(()),
            size => Err(StorageError::invalid(format!(
                "batch of {size} bytes, limit {MAX_BATCH}"
            ))),
        }
    }
}

/// Checks that a key has 1 to [`MAX_KEY`] bytes.
///
/// # Errors
/// `Invalid` when it has not.
pub fn check_key(key: &[u8]) -> Result<(), StorageError> {
    match key.len() {
        1..=MAX_KEY => Ok(()),
        length => Err(StorageError::invalid(format!(
            "key of {length} bytes, allowed are 1 to {MAX_KEY}"
        ))),
    }
}

fn check_entry(key: &[u8], value: &[u8]) -> Result<(), StorageError> {
    check_key(key)?;
    match value.len() {
        0..=MAX_VALUE => Ok(()),
        length => Err(StorageError::invalid(format!(
            "value of {length} bytes, limit {MAX_VALUE}"
        ))),
    }
}
