//! Email records: one per delivered content, shared by all its copies in an account; immutable.

use bytes::Bytes;
use message::Digest;
use std::sync::Arc;
use storage::BlobRef;
use types::EmailId;

/// Bytes that are on stable storage and parsed, ready to be appended to any number of mailboxes.
#[derive(Clone, Debug)]
pub struct Ingested {
    pub(crate) blob: BlobRef,
    pub(crate) digest: Arc<[u8]>,
    pub(crate) crlf_extra: u32,
}

impl Ingested {
    /// Size of the shared bytes, without per-recipient lines.
    pub fn size(&self) -> u32 {
        self.blob.size
    }
}

/// The content of a message: where its bytes are and what is known about them without reading them.
#[derive(Clone, Debug)]
pub struct Email {
    /// Its id in the account.
    pub id: EmailId,
    /// The shared bytes, without the prefix.
    pub blob: BlobRef,
    pub(crate) prefix: Bytes,
    pub(crate) digest: Bytes,
}

impl Email {
    /// Header lines of this delivery alone (Return-Path, Delivered-To), each with CRLF; they are served
    /// in front of the shared bytes. Message = prefix + blob.
    pub fn prefix(&self) -> &Bytes {
        &self.prefix
    }

    /// What was parsed at delivery. All offsets in it count from the start of the shared bytes: a front
    /// that serves the header (or the whole message) puts [`prefix`](Self::prefix) in front.
    pub fn digest(&self) -> Option<Digest<'_>> {
        Digest::parse(&self.digest)
    }

    /// RFC822.SIZE.
    pub fn size(&self) -> u32 {
        self.blob.size.saturating_add(u32::try_from(self.prefix.len()).unwrap_or(u32::MAX))
    }
}
