//! Email records: one per delivered content, shared by all its copies in an account; immutable.

use crate::account::AccountInner;
use crate::codec::{Decoder, Encoder};
use crate::threads::{self, Threading};
use crate::{Account, MailError, keys};
use bytes::Bytes;
use message::Digest;
use std::sync::Arc;
use storage::{Batch, BlobRef};
use types::{BlobHash, EmailId, ThreadId};

/// Written today. Version 1 lacks the conversation.
const VERSION: u8 = 2;

/// Longest digest that is stored; a longer one (thousands of parts) is made anew when it is needed,
/// so that values stay below what the store takes.
const MAX_STORED_DIGEST: usize = 12 * 1024;

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

    /// Octets it takes in memory until it is appended, and at most in the batch that does that.
    pub fn weight(&self) -> usize {
        RECORD + self.digest.len()
    }
}

/// Octets of an email in a batch beside prefix and digest, at most: its record, its link, its rows
/// in the thread index and in the journal.
const RECORD: usize = 1024;

/// The content of a message: where its bytes are and what is known about them without reading them.
#[derive(Clone, Debug)]
pub struct Email {
    /// Its id in the account.
    pub id: EmailId,
    /// The shared bytes, without the prefix.
    pub blob: BlobRef,
    pub(crate) prefix: Bytes,
    /// `None`: the record is older than the thread index.
    pub(crate) thread: Option<ThreadId>,
    /// Empty, or what [`Digest::parse`] takes.
    pub(crate) digest: Bytes,
}

impl Email {
    /// Header lines of this delivery alone (Return-Path, Delivered-To), each with CRLF; they are
    /// served in front of the shared bytes. Message = prefix + blob.
    pub fn prefix(&self) -> &Bytes {
        &self.prefix
    }

    /// What was parsed at delivery. All offsets in it count from the start of the shared bytes: a
    /// front that serves the header (or the whole message) puts [`prefix`](Self::prefix) in front.
    pub fn digest(&self) -> Option<Digest<'_>> {
        (!self.digest.is_empty()).then(|| Digest::parsed_before(&self.digest))
    }

    /// The conversation it belongs to, for ever (RFC 8474 5.2).
    pub fn thread(&self) -> ThreadId {
        self.thread
            .unwrap_or_else(|| threads::by_itself(self.digest().as_ref(), &self.blob.hash))
    }

    /// A number for this content as received at `internal_date`: the same for all its copies in all
    /// mailboxes, and for the same message appended again.
    // RFC 8474 5.1: all that is immutable is the same where EMAILID is. RFC 3501 2.3.1.1: that
    // includes the internal date.
    pub fn content_id(&self, internal_date: i64) -> u128 {
        let mut hasher = blake3::Hasher::new();
        hasher.update(&self.blob.hash.0);
        hasher.update(&internal_date.to_be_bytes());
        hasher.update(&self.prefix);
        let mut id = [0; 16];
        hasher.finalize_xof().fill(&mut id);
        u128::from_be_bytes(id)
    }

    /// RFC822.SIZE.
    pub fn size(&self) -> u32 {
        self.blob
            .size
            .saturating_add(u32::try_from(self.prefix.len()).unwrap_or(u32::MAX))
    }

    pub(crate) fn decode(id: EmailId, record: &Bytes) -> Result<Self, MailError> {
        let mut d = Decoder::new(record, "email record");
        let version = d.byte()?;
        if !(1..=VERSION).contains(&version) {
            return Err(d.damaged());
        }
        let hash = BlobHash(d.array()?);
        let blob = BlobRef {
            hash,
            size: d.u32()?,
            hint: u64::from_le_bytes(d.array()?),
        };
        let prefix = record.slice_ref(d.bytes()?);
        let thread = match version {
            1 => None,
            _ => Some(ThreadId(u64::from_be_bytes(d.array()?))),
        };
        let digest = match Digest::parse(d.rest()) {
            Some(_) => record.slice_ref(d.rest()),
            None => Bytes::new(),
        };
        Ok(Self {
            id,
            blob,
            prefix,
            thread,
            digest,
        })
    }
}

/// The same record for bytes that lie elsewhere now.
pub(crate) fn moved(record: &Bytes, to: &BlobRef) -> Result<Bytes, MailError> {
    let mut d = Decoder::new(record, "email record");
    d.byte()?;
    d.array::<32>()?;
    d.u32()?;
    let at = record.len() - d.rest().len();
    d.array::<8>()?;
    let mut moved = record.to_vec();
    moved[at..at + 8].copy_from_slice(&to.hint.to_le_bytes());
    Ok(moved.into())
}

/// Adds an email to a batch: its record, the link that keeps its bytes alive, and what leads to its
/// conversation.
pub(crate) fn write(
    batch: &mut Batch,
    id: EmailId,
    content: &Ingested,
    prefix: &[u8],
    threading: &Threading,
) {
    let mut e = Encoder(Vec::with_capacity(64 + prefix.len() + content.digest.len()));
    e.byte(VERSION);
    e.0.extend_from_slice(&content.blob.hash.0);
    e.uint(content.blob.size.into());
    e.0.extend_from_slice(&content.blob.hint.to_le_bytes());
    e.bytes(prefix);
    e.0.extend_from_slice(&threading.thread.0.to_be_bytes());
    if content.digest.len() <= MAX_STORED_DIGEST {
        e.0.extend_from_slice(&content.digest);
    }
    batch.put(keys::email(id), e.0);
    batch.link(content.blob.hash, id);
    threading.write(batch, id);
}

/// Ids that are read in one scan: a gap of this many unwanted records costs less than another
/// look-up.
const GAP: u64 = 8;

/// Emails that are worth keeping in memory when they are read together, and so many ids that are
/// close to each other are read in one scan.
const MANY: usize = 4;

impl Account {
    /// The emails of `ids`, in their order; `None` for one that was expunged long ago. Reads whole
    /// ranges where ids are close to each other: call it with a few hundred at once.
    pub async fn emails(&self, ids: &[EmailId]) -> Result<Vec<Option<Email>>, MailError> {
        self.0.emails(ids).await
    }
}

impl AccountInner {
    pub(crate) async fn emails(&self, ids: &[EmailId]) -> Result<Vec<Option<Email>>, MailError> {
        let mut order: Vec<usize> = (0..ids.len()).collect();
        order.sort_unstable_by_key(|&i| ids[i]);
        let mut found: Vec<Option<Email>> = vec![None; ids.len()];
        let cache = self.mail.email_cache();
        let reading = cache.reading();
        cache.find(self.id, ids, &order, &mut found);
        order.retain(|&i| found[i].is_none());
        for run in runs(ids, &order) {
            self.read_run(ids, run, &mut found).await?;
        }
        if order.len() >= MANY && self.mail.meta().is_exclusive() {
            let read = order.iter().filter_map(|&i| found[i].as_ref());
            let read: Vec<&Email> = read.filter(|email| email.digest().is_some()).collect();
            let max = self.mail.options().email_cache_bytes;
            cache.keep(self.id, &read, &reading, max);
        }
        for email in found.iter_mut().flatten() {
            if email.digest().is_none() {
                let content = self.mail.blobs().get(&email.blob, 0..email.blob.size).await;
                email.digest = match content {
                    Ok(bytes) => message::digest(&bytes).into(),
                    // Reading the body will report the damage; the rest can still be served.
                    Err(_) => message::digest(b"").into(),
                };
            }
        }
        Ok(found)
    }

    /// Reads the records of a run of close ids: one by one or as a range.
    async fn read_run(
        &self,
        ids: &[EmailId],
        run: &[usize],
        found: &mut [Option<Email>],
    ) -> Result<(), MailError> {
        let (Some(&first), Some(&last)) = (run.first(), run.last()) else {
            return Ok(());
        };
        let meta = self.mail.meta();
        if run.len() < MANY {
            for &i in run {
                if let Some(record) = meta.get(self.id, &keys::email(ids[i])).await? {
                    found[i] = Some(Email::decode(ids[i], &record)?);
                }
            }
            return Ok(());
        }
        let span = usize::try_from(ids[last].0 - ids[first].0 + 1).unwrap_or(usize::MAX);
        let page = meta
            .scan(self.id, keys::emails(ids[first], ids[last], span))
            .await?;
        let mut wanted = run.iter().copied().peekable();
        for (key, record) in &page.entries {
            let Some(id) = keys::id_of(key).map(EmailId) else {
                continue;
            };
            while wanted.next_if(|&i| ids[i] < id).is_some() {}
            while let Some(i) = wanted.next_if(|&i| ids[i] == id) {
                found[i] = Some(Email::decode(id, record)?);
            }
        }
        Ok(())
    }
}

/// Cuts sorted positions into runs whose ids are close to each other.
fn runs<'a>(ids: &'a [EmailId], order: &'a [usize]) -> impl Iterator<Item = &'a [usize]> {
    order.chunk_by(|&a, &b| ids[b].0 - ids[a].0 <= GAP)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn records_older_than_the_thread_index_know_their_conversation() {
        let digest = message::digest(b"Message-ID: <a@x>\r\n\r\nHello\r\n");
        let mut e = Encoder::default();
        e.byte(1);
        e.0.extend_from_slice(&[7; 32]);
        e.uint(30);
        e.0.extend_from_slice(&[0; 8]);
        e.bytes(b"X: y\r\n");
        e.0.extend_from_slice(&digest);
        let email = Email::decode(EmailId(1), &e.0.into()).unwrap();
        assert_eq!(email.prefix(), "X: y\r\n");
        let same = message::digest(b"In-Reply-To: <a@x>\r\n\r\n");
        let same = threads::by_itself(Digest::parse(&same).as_ref(), &BlobHash([8; 32]));
        assert_eq!(email.thread(), same);
        assert!(Email::decode(EmailId(1), &Bytes::from_static(b"\x03")).is_err());
    }
}
